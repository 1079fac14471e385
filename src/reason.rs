//! The reasons of the log: each with its word, the sentence for the user, its meaning, and advice for the
//! administrator. One table; the manual's lists are made from it (`cargo xtask docs`).
//! Pure. Only [`Reason::word`] and [`Reason::words`] are in the module.

use crate::api::ApiTrouble;
use crate::login::{Denial, Unknown};
use crate::user::{Exemption, Unclear};

/// The sentence for every denial whose reason must stay hidden from the user (rule R13).
pub const WRONG: &str = "OneLogin verification failed.";
const NOT_APPROVED: &str = "The login was not approved. Log in again to retry.";
const AGAIN: &str = "OneLogin verification was denied a moment ago. Log in again. If the new login is denied, too, wait one minute.";
const TOO_MANY: &str = "Too many attempts. Try again later, or ask your administrator.";
const TOO_MANY_TODAY: &str =
    "Too many attempts in 24 hours. Try again tomorrow, or ask your administrator.";
const NO_PUSH: &str = "A push was denied on your phone. No push is sent for one hour. If you did not deny it, tell your administrator.";
const BUSY: &str = "Another login is waiting on your phone. Approve it if it is yours, deny it if not. Then log in again.";
const NO_USER: &str = "You have no active OneLogin account. Please tell your administrator.";
const NO_FACTOR: &str =
    "You have no OneLogin factor that can be used here. Please tell your administrator.";
const NO_USER_OR_FACTOR: &str = "You have no OneLogin account, or no factor, that works on this host. Please tell your administrator.";
const ENROLLED: &str = "Your OneLogin factor is set up. Log in again to use it.";
const NO_REPLY: &str = "OneLogin cannot be reached. Try again later, or ask your administrator.";
const WRONG_OFFLINE: &str = "OneLogin cannot be reached, and no valid offline code was typed. Each code works once. Log in again with another one.";
const ASK_ADMIN: &str =
    "OneLogin verification does not work on this host. Please tell your administrator.";

/// Defines the reasons with their texts. In the texts, `` `x` `` quotes a file or the log, and `{limits}` and
/// `{configuration#Keys}` refer to docs/.
macro_rules! reasons {
    (
        $( $group:ident $heading:literal {
            $( $reason:ident $word:literal $words:expr, $meaning:literal, $advice:literal; )+
        } )+
    ) => {
        listed! {
            /// Groups of reasons, in the order of the manual.
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub enum Group {
                $( #[doc = $heading] $group ),+
            }
        }

        listed! {
            /// A reason of the log.
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub enum Reason {
                $( $( #[doc = $meaning] $reason ),+ ),+
            }
        }

        impl Group {
            /// Above the reasons of this group in the manual.
            #[must_use]
            pub fn heading(self) -> &'static str {
                match self { $( Self::$group => $heading ),+ }
            }
        }

        impl Reason {
            /// The word in the log.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $( $( Self::$reason => $word ),+ ),+ }
            }

            /// The sentence for the user.
            #[must_use]
            pub fn words(self) -> Option<&'static str> {
                match self { $( $( Self::$reason => $words ),+ ),+ }
            }

            /// What happened.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $( $( Self::$reason => $meaning ),+ ),+ }
            }

            /// What the administrator should do.
            #[must_use]
            pub fn advice(self) -> &'static str {
                match self { $( $( Self::$reason => $advice ),+ ),+ }
            }

            /// Where the manual lists it.
            #[must_use]
            pub fn group(self) -> Group {
                match self { $( $( Self::$reason => Group::$group ),+ ),+ }
            }
        }
    };
}

reasons! {
    NotPassed "The second factor was not verified:" {
        WrongCode "wrong-code" Some(WRONG),
            "OneLogin refused the last code.",
            "Let the user try again in a new session; check the phone's clock. If all users have this reason, check the credential's scope.";
        NoCode "no-code" Some(WRONG),
            "The last answer was neither a code nor an option, and was not sent.",
            "Let the user try again.";
        NoKey "no-key" Some(WRONG),
            "The stack has `behind=key`, and sshd has accepted no key on this connection.",
            "Check `AuthenticationMethods` in sshd_config, also in its `Match` blocks, with `pam-onelogin check`.";
        PasswordTyped "password-typed" Some(WRONG),
            "The answer was the login password, and was not sent.",
            "Find the client that answers prompts automatically.";
        UserNameTyped "user-name-typed" Some(WRONG),
            "The answer was the name of the user, and was not sent.",
            "The host program answers every prompt with the name and cannot show this one. For OpenVPN, configure pairs in its plugin, such as `\"SERVICE login USERNAME OneLogin PASSWORD\"`.";
        PushDenied "push-denied" Some(NOT_APPROVED),
            "The push was denied on the phone, or the digits of a call were wrong.",
            "Ask the user; if the login was not theirs, change their password.";
        PushUnanswered "push-unanswered" Some(NOT_APPROVED),
            "The push, call or link was not answered in time.",
            "Let the user try again, or raise `push.wait`.";
        NotEnrolled "not-enrolled" Some(WRONG),
            "The user was asked to enrol a factor, but registered none.",
            "Let the user try again in a new session.";
        LogInAgain "log-in-again" Some(ENROLLED),
            "A factor was enrolled, but `onelogin.login_timeout` was over before it could be used.",
            "The user must log in again.";
        Expired "expired" Some(WRONG),
            "The verification no longer exists at OneLogin.",
            "Let the user try again, or raise `factors.expires_in`.";
        Interrupted "interrupted" Some(WRONG),
            "The user pressed Ctrl-C.",
            "Nothing to do.";
        WrongOfflineCode "wrong-offline-code" Some(WRONG_OFFLINE),
            "OneLogin gave no answer, and the user typed no valid offline code.",
            "An earlier line says why OneLogin gave no answer. To see the codes of the user, type `sudo pam-onelogin offline status USER`.";
        OfflineCodeKept "offline-code-kept" Some(ASK_ADMIN),
            "The offline code was right, but it could not be removed from the disk, so it does not count.",
            "Check that `offline_dir` can be written, also by this service: its file system may be read-only.";
        UsedCode "used-code" Some(WRONG),
            "The last code was used before on this host, and was not sent.",
            "The user must wait for the next code.";
        TooManyCodes "too-many-codes" Some(TOO_MANY),
            "OneLogin refused too many codes from this user.",
            "See {limits}. Ask the user whether they typed these codes; an attacker may be guessing.";
        TooManyChallenges "too-many-challenges" Some(TOO_MANY),
            "Too many pushes, calls or messages led to no accepted login, and the user has no device that makes codes.",
            "See {limits}. Ask the user whether they started these logins.";
        TooManyCodesToday "too-many-codes-today" Some(TOO_MANY_TODAY),
            "As `too-many-codes`, within 24 hours.",
            "If the user did not type these codes, change their password or key; then run `pam-onelogin limits reset USER`.";
        TooManyChallengesToday "too-many-challenges-today" Some(TOO_MANY_TODAY),
            "As `too-many-challenges`, within 24 hours.",
            "Follow the advice for `too-many-codes-today`.";
        PushDeniedLately "push-denied-lately" Some(NO_PUSH),
            "A push was denied on the phone in the last hour, and the user has no other device, or the service has `ask = \"push\"`.",
            "Ask the user whether they caused that push; then run `pam-onelogin limits reset USER`.";
        TooManyLookUps "too-many-look-ups" Some(TOO_MANY),
            "Within one hour, 20 look-ups of this user found nothing to verify, or could not be stored in `state_dir`.",
            "Read the reason in the earlier lines of this user, and let `pam-onelogin check` say whether `state_dir` is full. The limit ends within one hour, or with `pam-onelogin limits reset USER`.";
        PhoneBusy "phone-busy" Some(BUSY),
            "The push, call or link of another login stayed pending during the whole login.",
            "Ask the user whether they started that login.";
        NoPushDevice "no-push-device" Some(NO_FACTOR),
            "`ask = \"push\"` is set for this service, and the user has no device that can receive a push.",
            "Let the user enrol OneLogin Protect, or see {services}.";
        PushPaused "push-paused" Some(TOO_MANY),
            "`ask = \"push\"` is set for this service, and a push of the last 10 minutes was not approved, or still waits for its answer.",
            "Ask the user whether they started that login; a program may log in by itself with a stored password. The pause ends after 10 minutes, or with `pam-onelogin limits reset USER`.";
        NoFirstFactor "no-first-factor" Some(WRONG),
            "`ask = \"push\"` is set for this service, and the module sees no first factor, so no push was sent.",
            "Put `auth requisite pam_unix.so` (or what checks the password) before the module; see {services}.";
        DeniedBefore "denied-before" Some(AGAIN),
            "The host program ran the stack again after a denial, or after a code whose reply was lost.",
            "Read the reason in the line before.";
        NoState "no-state" Some(ASK_ADMIN),
            "The module cannot write its counts to `state_dir`.",
            "Fix what the `state=` line says; without such a line, check whether the file system is full or read-only. A service with `ProcSubset=pid` in its unit cannot read the boot id.";
        UserChanged "user-changed" Some(WRONG),
            "`PAM_USER` changed during the login.",
            "Look for another module in the stack that sets it.";
    }
    NoUser "The user cannot be verified:" {
        NoAccount "no-account" Some(WRONG),
            "The system has no account with this name.",
            "Nothing to do, unless the account should exist.";
        NoCaller "no-caller" Some(WRONG),
            "The caller's uid has no passwd entry; `detail=` has the uid.",
            "Fix passwd or NSS.";
        PasswdLookup "passwd-lookup" Some(WRONG),
            "The passwd database could not be read.",
            "Fix NSS (sssd, LDAP).";
        GroupLookup "group-lookup" Some(ASK_ADMIN),
            "A group in `users.groups`, `users.exempt_groups` or `users.exempt` does not exist, or a group could not be looked up; `detail=` names it.",
            "Correct the list or create the group; `pam-onelogin check` names the line. If a look-up failed, fix NSS.";
        NameRefused "name-refused" Some(WRONG),
            "The name has characters that are not sent to OneLogin.",
            "Rename the user, or exempt them.";
        NotMapped "not-mapped" Some(NO_USER),
            "`users.match = \"map\"`, and the map file has no line for the user.",
            "Add a line for the user.";
        NoOneloginUser "no-onelogin-user" Some(NO_USER),
            "OneLogin has no user with this name or id.",
            "Check `users.match`, `users.append_domain` and the map file.";
        SeveralOneloginUsers "several-onelogin-users" Some(NO_USER),
            "OneLogin has several users with this name.",
            "Set `users.match` to an attribute that is unique.";
        OtherOneloginUser "other-onelogin-user" Some(NO_USER),
            "The only user that OneLogin found has another name.",
            "Compare the spelling, or set `users.ignore_case`.";
        InactiveOneloginUser "inactive-onelogin-user" Some(NO_USER),
            "The OneLogin user is not approved or not active.",
            "Check the status of the user at OneLogin.";
        LookUpPaused "look-up-paused" Some(NO_USER_OR_FACTOR),
            "A look-up in the last two minutes found no user, or no factor, at OneLogin. In a service with `ask = \"push\"`: in the last ten minutes, none that can receive a push. Until this time is over, OneLogin is not asked again.",
            "Read the reason in the earlier lines of this user. To let the next login ask at once, run `pam-onelogin limits reset USER`.";
        NoFactor "no-factor" Some(NO_FACTOR),
            "The user has no device.",
            "Let the user enrol one at OneLogin; or see {configuration#Setting up a factor at a login}.";
        NoAllowedFactor "no-allowed-factor" Some(NO_FACTOR),
            "None of the user's devices may be used on this host.",
            "Enrol another device, or change `factors.allow`. In version 1 of the API, a device counts only after its first use.";
    }
    Exempt "The user is exempt:" {
        ExemptUser "exempt-user" None,
            "The user is named in `users.exempt_users`.",
            "Nothing to do, if this is intended.";
        ExemptGroup "exempt-group" None,
            "The user is in one of `users.exempt_groups`.",
            "Nothing to do, if this is intended.";
        ExemptUntil "exempt-until" None,
            "An entry of `users.exempt` names the user, or a group of theirs, and its last day is not over. `detail=` has this day and the reason of the entry.",
            "Nothing to do, if this is intended. Remove the entry when the reason no longer holds.";
        ExemptOtherGroups "exempt-other-groups" None,
            "The user is in no group that matches `users.groups`.",
            "Nothing to do, if this is intended.";
        ExemptUnknown "exempt-unknown" None,
            "`users.unknown = \"exempt\"`, and OneLogin has no user with this name.",
            "Nothing to do, if this is intended.";
        ExemptNoFactor "exempt-no-factor" None,
            "`users.no_factor = \"exempt\"`, and the user has no device.",
            "Nothing to do, if this is intended.";
    }
    NoAnswer "OneLogin gave no usable answer (the first two reasons also appear with `let in by failmode=safe`):" {
        NoConnection "no-connection" Some(NO_REPLY),
            "No connection could be made, or no name server answered.",
            "Type `sudo pam-onelogin check`: it says whether the name server, the network or OneLogin does not answer. With `failmode = \"safe\"`, an earlier line says why the login was denied nevertheless.";
        Gateway "gateway" Some(NO_REPLY),
            "OneLogin answered 502, 503 or 504.",
            "Look at OneLogin's status page.";
        NoSuchHost "no-such-host" Some(NO_REPLY),
            "The host name in `onelogin.url` does not exist.",
            "Check the subdomain.";
        Timeout "timeout" Some(NO_REPLY),
            "A time limit ended after the connection was started.",
            "Check the network; raise the time limits in `[onelogin]` if OneLogin is slow.";
        ConnectionLost "connection-lost" Some(NO_REPLY),
            "The connection broke.",
            "Try again; check the firewalls between this host and OneLogin.";
        ServerError "server-error" Some(NO_REPLY),
            "OneLogin answered with another 5xx status.",
            "Look at its status page; check that the credential's owner still exists.";
        RateLimited "rate-limited" Some(NO_REPLY),
            "OneLogin answered 429, and waiting was not possible or did not help.",
            "Find out which client of the account makes so many calls, and whether many hosts share one public address (NAT).";
        Redirected "redirected" Some(NO_REPLY),
            "OneLogin answered with a redirect (3xx), which the module does not follow.",
            "Check `onelogin.url`.";
        NotFound "not-found" Some(NO_REPLY),
            "OneLogin answered 404 unexpectedly.",
            "Check `onelogin.url` and `onelogin.api_version`.";
        RequestRefused "request-refused" Some(NO_REPLY),
            "OneLogin answered with another 4xx status, or the proxy refused the connection.",
            "Read `detail`.";
        BadReply "bad-reply" Some(NO_REPLY),
            "A reply was too long, or its format is unknown.",
            "Look for a captive portal or a filter between this host and OneLogin; if there is none, report a bug.";
        LocalError "local-error" Some(NO_REPLY),
            "This host could not send the request or read the reply.",
            "Read `detail`; check file descriptors, memory and permissions.";
    }
    ToFix "An administrator must fix this:" {
        Config "config" Some(ASK_ADMIN),
            "The configuration, a file that it names or an argument has a fault.",
            "Read the `fault=` lines before this one.";
        Credential "credential" Some(ASK_ADMIN),
            "OneLogin refused an API credential or its scope.",
            "`detail` says which credential, and which scope the call needs.";
        GatewayRefused "gateway-refused" Some(ASK_ADMIN),
            "The gateway refused the call, or the certificate of this host.",
            "`gateway=refused`: compare this host's configuration with the one that the gateway was configured from. `gateway=revoked`: the certificate is on the list of revoked ones. See {gateway}.";
        Tls "tls" Some(ASK_ADMIN),
            "The TLS certificate or the handshake is not valid.",
            "Check the clock and `onelogin.ca_file`, and whether a proxy decrypts TLS.";
        UnsafeTenant "unsafe-tenant" Some(ASK_ADMIN),
            "`pam-onelogin check --prove` saw that this OneLogin tenant accepts what it must refuse, such as a wrong code; or the list of such tenants cannot be read, and `detail=` says why.",
            "Correct a list that cannot be read. Otherwise ask OneLogin's support. When it is corrected, run `pam-onelogin check --prove USER` again; see {first-day}.";
        NoConversation "no-conversation" None,
            "The host program cannot show a prompt, or the client gave no answer.",
            "See {automation}. Over ssh `detail` says what sshd_config needs.";
        Unprivileged "unprivileged" Some(ASK_ADMIN),
            "A program that does not run as root uses the stack, such as a lock screen.",
            "Take the module out of that stack.";
        Panic "panic" Some(ASK_ADMIN),
            "The module has a bug.",
            "Please report the bug with the `panic=` line.";
    }
}

impl From<Denial> for Reason {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Code => Self::WrongCode,
            Denial::NoCode => Self::NoCode,
            Denial::Password => Self::PasswordTyped,
            Denial::Push => Self::PushDenied,
            Denial::Unanswered => Self::PushUnanswered,
            Denial::NotEnrolled => Self::NotEnrolled,
            Denial::LogInAgain => Self::LogInAgain,
            Denial::Expired => Self::Expired,
            Denial::Interrupted => Self::Interrupted,
            Denial::UsedCode => Self::UsedCode,
            Denial::UserName => Self::UserNameTyped,
            Denial::TooManyCodes => Self::TooManyCodes,
            Denial::TooManyCodesToday => Self::TooManyCodesToday,
            Denial::TooManyChallenges => Self::TooManyChallenges,
            Denial::TooManyChallengesToday => Self::TooManyChallengesToday,
            Denial::PushDeniedLately => Self::PushDeniedLately,
            Denial::TooManyLookUps => Self::TooManyLookUps,
            Denial::PhoneBusy => Self::PhoneBusy,
            Denial::NoPushDevice => Self::NoPushDevice,
            Denial::PushPaused => Self::PushPaused,
            Denial::NoFirstFactor => Self::NoFirstFactor,
            Denial::OfflineCode => Self::WrongOfflineCode,
            Denial::OfflineCodeKept => Self::OfflineCodeKept,
            Denial::NoKey => Self::NoKey,
            Denial::Before => Self::DeniedBefore,
            Denial::NoState => Self::NoState,
            Denial::UserChanged => Self::UserChanged,
        }
    }
}

impl From<&Unknown> for Reason {
    fn from(unknown: &Unknown) -> Self {
        match unknown {
            Unknown::Account => Self::NoAccount,
            Unknown::Name => Self::NameRefused,
            Unknown::NotMapped => Self::NotMapped,
            Unknown::User => Self::NoOneloginUser,
            Unknown::Several => Self::SeveralOneloginUsers,
            Unknown::Other => Self::OtherOneloginUser,
            Unknown::Inactive => Self::InactiveOneloginUser,
            Unknown::LookUpPaused => Self::LookUpPaused,
            Unknown::NoFactor => Self::NoFactor,
            Unknown::NoAllowedFactor => Self::NoAllowedFactor,
            Unknown::Unclear(Unclear::Caller(_)) => Self::NoCaller,
            Unknown::Unclear(Unclear::Passwd(_)) => Self::PasswdLookup,
            Unknown::Unclear(Unclear::Groups(_)) => Self::GroupLookup,
        }
    }
}

impl From<&Exemption> for Reason {
    fn from(exemption: &Exemption) -> Self {
        match exemption {
            Exemption::User => Self::ExemptUser,
            Exemption::Group => Self::ExemptGroup,
            Exemption::Dated(_) => Self::ExemptUntil,
            Exemption::OtherGroups => Self::ExemptOtherGroups,
            Exemption::Unknown => Self::ExemptUnknown,
            Exemption::NoFactor => Self::ExemptNoFactor,
        }
    }
}

impl From<ApiTrouble> for Reason {
    fn from(trouble: ApiTrouble) -> Self {
        match trouble {
            ApiTrouble::NoConnection => Self::NoConnection,
            ApiTrouble::Gateway => Self::Gateway,
            ApiTrouble::NoSuchHost => Self::NoSuchHost,
            ApiTrouble::Timeout => Self::Timeout,
            ApiTrouble::Broken => Self::ConnectionLost,
            ApiTrouble::ServerError => Self::ServerError,
            ApiTrouble::RateLimited => Self::RateLimited,
            ApiTrouble::Redirected => Self::Redirected,
            ApiTrouble::NotFound => Self::NotFound,
            ApiTrouble::RequestRefused => Self::RequestRefused,
            ApiTrouble::BadReply => Self::BadReply,
            ApiTrouble::Tls => Self::Tls,
            ApiTrouble::GatewayRefused => Self::GatewayRefused,
            ApiTrouble::Credential => Self::Credential,
            ApiTrouble::Local => Self::LocalError,
            ApiTrouble::Interrupted => Self::Interrupted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_reasons_have_the_same_word() {
        let mut words: Vec<_> = Reason::all().map(Reason::word).collect();
        let count = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), count, "{words:?}");
    }

    /// Each end of a login has a reason of its own, and no reason is left over.
    #[test]
    fn each_reason_belongs_to_one_end_of_a_login() {
        // Ctrl-C is a denial wherever it comes, so `ApiTrouble::Interrupted` has the same reason.
        let troubles = ApiTrouble::all().filter(|&trouble| trouble != ApiTrouble::Interrupted);
        let ends = Denial::all().map(Reason::from);
        let ends = ends
            .chain(Unknown::all().map(|unknown| Reason::from(&unknown)))
            .chain(Exemption::all().map(|exemption| Reason::from(&exemption)))
            .chain(troubles.map(Reason::from))
            .chain([
                Reason::Config,
                Reason::UnsafeTenant,
                Reason::NoConversation,
                Reason::Unprivileged,
                Reason::Panic,
            ]);
        let ends: Vec<Reason> = ends.collect();
        for reason in Reason::all() {
            let count = ends.iter().filter(|&&end| end == reason).count();
            assert_eq!(count, 1, "{reason:?}");
        }
        assert_eq!(ends.len(), Reason::all().count());
    }

    #[test]
    fn each_text_of_a_reason_is_whole_sentences() {
        for reason in Reason::all() {
            let texts = [reason.meaning(), reason.advice()];
            for text in texts.into_iter().chain(reason.words()) {
                assert!(text.ends_with('.'), "{reason:?}: {text}");
                let first = text.trim_start_matches('`').chars().next();
                let is_start = first.is_some_and(char::is_uppercase) || text.starts_with('`');
                assert!(is_start, "{reason:?}: {text}");
            }
        }
        for group in Group::all() {
            assert!(group.heading().ends_with(':'), "{group:?}");
            assert!(Reason::all().any(|reason| reason.group() == group));
        }
    }
}

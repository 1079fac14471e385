//! The reasons of the log: for each its word, the sentence for the user, what it means, and what the
//! administrator should do. One table; the manual's lists are made from it (`cargo xtask docs`).
//! Pure. Only [`Reason::word`] and [`Reason::words`] are in the module.

use crate::api::ApiTrouble;
use crate::login::{Denial, Unknown};
use crate::user::{Exemption, Unclear};

/// What a user sees who must not learn more (rule R13).
pub const WRONG: &str = "OneLogin verification failed.";
const NOT_APPROVED: &str = "The sign-in was not approved. Log in again to try again.";
const AGAIN: &str =
    "OneLogin verification was denied a moment ago. Wait a minute, or start a new login.";
const TOO_MANY: &str = "Too many attempts. Try again later, or ask your administrator.";
const TOO_MANY_TODAY: &str =
    "Too many attempts in 24 hours. Try again tomorrow, or ask your administrator.";
const NO_PUSH: &str = "A push was denied on your phone. No push is sent for one hour. If you did not deny it, tell your administrator.";
const BUSY: &str = "Another sign-in is waiting for your approval. If you did not start it, deny it. Then try again.";
const ENROLLED: &str = "Your OneLogin factor is set up. Log in again to use it.";
const NO_REPLY: &str = "OneLogin cannot be reached. Try again later, or ask your administrator.";
const ASK_ADMIN: &str =
    "OneLogin verification does not work on this host. Please tell your administrator.";

/// Defines the reasons, and what is known of each. In the texts `` `x` `` is what stands in a file or
/// in the log, and `{limits}` and `{configuration#Keys}` refer to docs/.
macro_rules! reasons {
    (
        $( $group:ident $heading:literal {
            $( $reason:ident $word:literal $words:expr, $meaning:literal, $advice:literal; )+
        } )+
    ) => {
        listed! {
            /// What the reasons have in common, in the order of the manual.
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
    NotPassed "The user, or the phone, did not pass:" {
        WrongCode "wrong-code" Some(WRONG),
            "OneLogin refused the last code.",
            "Let the user try again in a new session; check the phone's clock. If all users have this reason, check the credential's scope.";
        NoCode "no-code" Some(WRONG),
            "The last answer was neither a code nor an option, and was not sent.",
            "Let the user try again.";
        NoKey "no-key" Some(WRONG),
            "The stack has `behind=key`, and sshd has accepted no key on this connection.",
            "Look at `AuthenticationMethods` of sshd, also behind `Match`: `pam-onelogin check`.";
        PasswordTyped "password-typed" Some(WRONG),
            "The answer was the login password, and was not sent.",
            "Look for a client that answers prompts by itself.";
        UserNameTyped "user-name-typed" Some(WRONG),
            "The answer was the name of the user, and was not sent.",
            "The host answers each prompt with the name; it cannot show ours. OpenVPN: give its plugin pairs, such as `\"SERVICE login USERNAME OneLogin PASSWORD\"`.";
        PushDenied "push-denied" Some(NOT_APPROVED),
            "The push was denied on the phone, or the digits of a call were wrong.",
            "Ask the user; if the login was not theirs, change their password.";
        PushUnanswered "push-unanswered" Some(NOT_APPROVED),
            "The push, call or link was not answered in time.",
            "Let the user try again, or raise `push.wait`.";
        NotEnrolled "not-enrolled" Some(WRONG),
            "The user was to enrol a factor, and none was registered.",
            "Let the user try again in a new session.";
        LogInAgain "log-in-again" Some(ENROLLED),
            "A factor was enrolled, but the time of the login was over before it could be used.",
            "The user logs in again.";
        Expired "expired" Some(WRONG),
            "The verification is gone at OneLogin.",
            "Let the user try again, or raise `factors.expires_in`.";
        Interrupted "interrupted" Some(WRONG),
            "The user pressed Ctrl-C.",
            "Nothing to do.";
        UsedCode "used-code" Some(WRONG),
            "The last code was used before on this host, and was not sent.",
            "The user waits for the next one.";
        TooManyCodes "too-many-codes" Some(TOO_MANY),
            "OneLogin refused too many codes of this user.",
            "See {limits}; ask the user, as somebody may be guessing codes.";
        TooManyChallenges "too-many-challenges" Some(TOO_MANY),
            "Too much was sent in vain, and the user has no device for a code.",
            "See {limits}; ask the user.";
        TooManyCodesToday "too-many-codes-today" Some(TOO_MANY_TODAY),
            "As `too-many-codes`, within 24 hours.",
            "Change the user's password or key if they did not type these codes; then `pam-onelogin limits reset USER`.";
        TooManyChallengesToday "too-many-challenges-today" Some(TOO_MANY_TODAY),
            "As `too-many-challenges`, within 24 hours.",
            "Do as for `too-many-codes-today`.";
        PushDeniedLately "push-denied-lately" Some(NO_PUSH),
            "A push was denied on the phone in the last hour, and the user has no other device.",
            "Ask the user whether that push was theirs; then `pam-onelogin limits reset USER`.";
        TooManyLookUps "too-many-look-ups" Some(TOO_MANY),
            "OneLogin was asked 20 times in an hour about this user in vain.",
            "Look at the lines before for the reason; it ends within an hour, or by `pam-onelogin limits reset USER`.";
        PhoneBusy "phone-busy" Some(BUSY),
            "The push, call or link of another login was pending all the time.",
            "Ask the user whether that login is theirs.";
        DeniedBefore "denied-before" Some(AGAIN),
            "The host ran the stack again after a denial or a code whose reply was lost.",
            "Look at the line before for the reason.";
        NoState "no-state" Some(ASK_ADMIN),
            "What has to be counted or remembered cannot be written into `state_dir`.",
            "Fix what the `state=` line says (a service with `ProcSubset=pid` in its unit cannot read the name of this start of the machine); without one, look whether the file system is full or read-only.";
        UserChanged "user-changed" Some(WRONG),
            "`PAM_USER` changed during the login.",
            "Look for another module in the stack that sets it.";
    }
    NoUser "There is no user to verify:" {
        NoAccount "no-account" Some(WRONG),
            "The system does not know the name.",
            "Nothing to do, unless it should.";
        NoCaller "no-caller" Some(WRONG),
            "The caller's uid has no passwd entry; `detail=` has the uid.",
            "Fix passwd or NSS.";
        PasswdLookup "passwd-lookup" Some(WRONG),
            "The passwd database could not be asked.",
            "Fix NSS (sssd, LDAP).";
        GroupLookup "group-lookup" Some(WRONG),
            "A group could not be looked up, or a configured one does not exist; `detail=` names it.",
            "Fix NSS or the list.";
        NameRefused "name-refused" Some(WRONG),
            "The name has characters that are not sent to OneLogin.",
            "Rename the user, or exempt them.";
        NotMapped "not-mapped" Some(WRONG),
            "`users.match = \"map\"`, and the map file has no line for the user.",
            "Add one.";
        NoOneloginUser "no-onelogin-user" Some(WRONG),
            "OneLogin knows no user of this name or id.",
            "Check `users.match`, `users.append_domain` and the map file.";
        SeveralOneloginUsers "several-onelogin-users" Some(WRONG),
            "OneLogin knows several users of this name.",
            "Match by an attribute that is unique.";
        OtherOneloginUser "other-onelogin-user" Some(WRONG),
            "OneLogin's only hit has another name.",
            "Compare the spelling, or set `users.ignore_case`.";
        InactiveOneloginUser "inactive-onelogin-user" Some(WRONG),
            "The OneLogin user is not approved or not active.",
            "Look at the user at OneLogin.";
        NobodyLately "nobody-lately" Some(WRONG),
            "OneLogin said within the last two minutes that it has no such user, or no factor of theirs, and is not asked again so soon.",
            "Look at the lines before for the reason.";
        NoFactor "no-factor" Some(WRONG),
            "The user has no device.",
            "Let the user enrol one at OneLogin; or see {configuration#Setting up a factor at a login}.";
        NoAllowedFactor "no-allowed-factor" Some(WRONG),
            "No device of the user's may be used here.",
            "Enrol another one, or change `factors.allow`. In version 1 a device counts only once it was used.";
    }
    Exempt "The user is exempt:" {
        ExemptUser "exempt-user" None,
            "The user is named in `users.exempt_users`.",
            "Nothing to do, if that is meant.";
        ExemptGroup "exempt-group" None,
            "The user is in one of `users.exempt_groups`.",
            "Nothing to do, if that is meant.";
        ExemptOtherGroups "exempt-other-groups" None,
            "The user is in no group that `users.groups` means.",
            "Nothing to do, if that is meant.";
        ExemptUnknown "exempt-unknown" None,
            "`users.unknown = \"exempt\"`, and OneLogin knows no user of this name.",
            "Nothing to do, if that is meant.";
        ExemptNoFactor "exempt-no-factor" None,
            "`users.no_factor = \"exempt\"`, and the user has no device.",
            "Nothing to do, if that is meant.";
    }
    NoAnswer "OneLogin gave no usable answer (the first two also stand in a line of `let in by failmode=safe`):" {
        NoConnection "no-connection" Some(NO_REPLY),
            "There is no connection, or no answer of the name server.",
            "Check network, firewall and resolver. With `failmode = \"safe\"`, a line before it says why the login was denied all the same.";
        Gateway "gateway" Some(NO_REPLY),
            "OneLogin answered 502, 503 or 504.",
            "Look at OneLogin's status page.";
        NoSuchHost "no-such-host" Some(NO_REPLY),
            "The host name in `onelogin.url` does not exist.",
            "Check the subdomain.";
        Timeout "timeout" Some(NO_REPLY),
            "A time limit was reached after a connection was begun.",
            "Check the network; raise the limits if OneLogin is slow.";
        ConnectionLost "connection-lost" Some(NO_REPLY),
            "The connection broke.",
            "Try again; check firewalls in between.";
        ServerError "server-error" Some(NO_REPLY),
            "OneLogin answered another 5xx.",
            "Look at its status page; check that the credential's owner still exists.";
        RateLimited "rate-limited" Some(NO_REPLY),
            "OneLogin answered 429, and no wait was possible or it did not help.",
            "Find out which client of the account makes so many calls, and whether many hosts share one public address (NAT).";
        Redirected "redirected" Some(NO_REPLY),
            "OneLogin answered 3xx, which is not followed.",
            "Check `onelogin.url`.";
        NotFound "not-found" Some(NO_REPLY),
            "OneLogin answered 404 where that is not expected.",
            "Check `onelogin.url` and `onelogin.api_version`.";
        RequestRefused "request-refused" Some(NO_REPLY),
            "OneLogin answered another 4xx, or the proxy refused the connection.",
            "Read `detail`.";
        BadReply "bad-reply" Some(NO_REPLY),
            "A reply is too long or of no known shape.",
            "Look for a portal or filter in between; otherwise report it.";
        LocalError "local-error" Some(NO_REPLY),
            "This host could not send the request or read the reply.",
            "Read `detail`: descriptors, memory, permissions.";
    }
    ToFix "For an administrator to fix:" {
        Config "config" Some(ASK_ADMIN),
            "The configuration, its files or the arguments have a fault.",
            "Read the `fault=` lines before.";
        Credential "credential" Some(ASK_ADMIN),
            "OneLogin refused an API credential or its scope.",
            "`detail` says which credential, and which scope the call needs.";
        Tls "tls" Some(ASK_ADMIN),
            "The certificate or the handshake is not acceptable.",
            "Check the clock, `onelogin.ca_file`, and who is in between.";
        NoConversation "no-conversation" None,
            "The host cannot ask, or the client gave no answer.",
            "See {automation}. Over ssh `detail` says what sshd_config needs.";
        Unprivileged "unprivileged" Some(ASK_ADMIN),
            "A program that is not root's uses the stack, such as a lock screen.",
            "Take the module out of that stack.";
        Panic "panic" Some(ASK_ADMIN),
            "The module has a bug.",
            "Please report it with the `panic=` line.";
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
            Unknown::Lately => Self::NobodyLately,
            Unknown::NoFactor => Self::NoFactor,
            Unknown::NoAllowedFactor => Self::NoAllowedFactor,
            Unknown::Unclear(Unclear::Caller(_)) => Self::NoCaller,
            Unknown::Unclear(Unclear::Passwd(_)) => Self::PasswdLookup,
            Unknown::Unclear(Unclear::Groups(_)) => Self::GroupLookup,
        }
    }
}

impl From<Exemption> for Reason {
    fn from(exemption: Exemption) -> Self {
        match exemption {
            Exemption::User => Self::ExemptUser,
            Exemption::Group => Self::ExemptGroup,
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
            .chain(Exemption::all().map(Reason::from))
            .chain(troubles.map(Reason::from))
            .chain([
                Reason::Config,
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

//! One login with everything around it: who must pass, the state on this host, OneLogin's API. The
//! module runs it in a host program, the tool in a terminal.

use crate::clock::unix_now;
use crate::config::dates::{Dates, Lapse, NotObserved};
use crate::config::file::Loaded;
use crate::config::{Ask, Config, FailMode};
use crate::denials::Denials;
use crate::host::{
    Nss, has_terminal, has_the_hosts_network, interrupt_is_blocked, interrupt_is_pending,
    is_of_this_host, parent_identity,
};
use crate::id::UserId;
use crate::log::Facts;
use crate::login::{
    ApprovalWait, Clock, Denial, Fault, Limit, LimitReached, Login, Memory as _, Outcome, Prompt,
    Report, Unknown,
};
use crate::offline::{CodeStore, Holder};
use crate::onelogin::OneLogin;
use crate::onelogin::addresses::StoredAddresses;
use crate::onelogin::http::{RequestTrace, Transport};
use crate::outage::{Here, NotSafe, SafePlace};
use crate::reason::Reason;
use crate::state::State;
use crate::state::offline_codes::OfflineCodes;
use crate::state::user_memory::{Action, Person, UserMemory};
use crate::text::pair;
use crate::trust::Trusted;
use crate::user::{Exemption, Proof, Request, Subject, Uids, Who, who};
use crate::verdict::{self, Circumstances};
use ipnet::IpNet;
use std::net::IpAddr;

/// A host that shows texts at once, so that a push needs no prompt.
const LOGIN: &str = "login";

/// Hosts that show texts at once, and block SIGINT while they authenticate, so that Ctrl-C can be seen
/// pending. sudo may have other names in a stack (`pam_service`): see [`is_sudo`].
const SUDO: [&str; 2] = ["sudo", "sudo-i"];

/// What sshd says for an address of a connection that is no network connection.
const NO_ADDRESS: &str = "UNKNOWN";

/// A login that is about to run.
pub struct HostLogin<'a> {
    /// What the host program asks.
    pub request: &'a Request,
    /// Whose process this is.
    pub uids: Uids,
    /// Runs since authenticate was entered.
    pub clock: &'a dyn Clock,
    /// The person.
    pub prompt: &'a mut dyn Prompt,
    /// The way to OneLogin.
    pub transport: &'a mut dyn Transport,
    /// What the PAM handle keeps of denials; `None` where it cannot.
    pub denials: Option<&'a Denials>,
    /// Whether `PAM_USER` is still who it was in the request.
    pub is_same_user: &'a dyn Fn() -> bool,
    /// Whether it goes through a stack, and so shows that this one works.
    pub has_stack: bool,
}

/// Whether a login is decided.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// It is.
    Decide,
    /// It goes on, whatever OneLogin says of the user.
    Observe,
}

/// How a login ended, and what that rests on.
pub struct Decision {
    /// How it ended.
    pub report: Report,
    /// What the verdict depends on beside the outcome.
    pub here: Circumstances,
    /// The Unix name of the user who logs in, once known.
    pub subject: Option<String>,
    /// Whether the host program shows no text.
    pub is_mute: bool,
    /// Why an entry of `users.exempt` does not exempt this user.
    pub lapse: Option<Lapse>,
    /// What an admin should know beside the decision.
    pub remarks: Vec<String>,
}

impl HostLogin<'_> {
    /// Runs the login: the request becomes a subject, the subject an outcome.
    #[must_use]
    pub fn run(self, loaded: &Loaded) -> Decision {
        let request = self.request;
        let dates = loaded.dates(unix_now());
        let (who, proof) = who(request, &loaded.config, &loaded.map, dates, &Nss);
        let mut decision = Decision::without(request, Outcome::Fault(Fault::Config));
        decision.here.proven = proof == Proof::Proven;
        // Without a stack, an administrator tries a factor, also before logins ask for one.
        let until = loaded.config.observe.filter(|_| self.has_stack);
        let observe = until.map(|until| {
            dates.observe(until)?;
            match proof {
                Proof::Proven => Ok(()),
                Proof::Unproven => Err(NotObserved::Unproven),
            }
        });
        let mode = match observe {
            Some(Ok(())) => Mode::Observe,
            Some(Err(_)) | None => Mode::Decide,
        };
        match who {
            Who::Subject(subject) => {
                decision.subject = Some(subject.name.clone());
                decision.lapse = subject.lapse;
                self.verify(loaded, Ok(&subject), proof, mode, &mut decision);
            }
            Who::NoAccount => {
                self.verify(loaded, Err(Unknown::Account), proof, mode, &mut decision);
            }
            Who::Unclear(unclear) => {
                let unclear = Err(Unknown::Unclear(unclear));
                self.verify(loaded, unclear, proof, mode, &mut decision);
            }
            Who::NoSuchGroup(name) => {
                decision.report.outcome = Outcome::Fault(Fault::NoSuchGroup(name));
            }
            Who::Exempt { name, exemption } => {
                decision.remarks.extend(ends_soon(&exemption, dates, &name));
                decision.subject = Some(name);
                decision.report.outcome = Outcome::Exempt(exemption);
            }
        }
        if mode == Mode::Observe {
            let outcome = Outcome::Fault(Fault::Config);
            let outcome = std::mem::replace(&mut decision.report.outcome, outcome);
            decision.report.outcome = outcome.observed();
        }
        let is_exempt = matches!(decision.report.outcome, Outcome::Exempt(_));
        if let (Some(Err(not_observed)), false) = (observe, is_exempt) {
            let why = pair("why", not_observed.why());
            let remark = format!("observe mode does not apply: {why}");
            decision.remarks.push(remark);
        }
        decision
    }

    /// The flow, over this host's state and OneLogin's API.
    fn verify(
        self,
        loaded: &Loaded,
        subject: Result<&Subject, Unknown>,
        proof: Proof,
        mode: Mode,
        decision: &mut Decision,
    ) {
        if let Some(why) = &loaded.unsafe_tenant {
            decision.report.outcome = Outcome::Fault(Fault::UnsafeTenant(why.clone()));
            return;
        }
        let Self { request, uids, .. } = self;
        let config = &loaded.config;
        let ask = config.ask;
        if ask.is_push_only() && proof == Proof::Unproven && subject.is_err() {
            // As for a user whom the system knows.
            decision.report.outcome = Outcome::Denied(Denial::NoFirstFactor);
            return;
        }
        let state = State::open(&config.state_dir, Trusted::of(uids));
        let user = decision.user(request).unwrap_or_default().to_owned();
        let origin = origin(request, uids, ask, &is_of_this_host);
        let person = Person {
            name: &user,
            uid: subject.as_ref().ok().map(|subject| subject.uid),
            proof,
            origin: origin.as_deref(),
        };
        let mut user_memory =
            UserMemory::of(&state, config, action(request, self.denials), &person);
        let mut transport = StoredAddresses::new(config, &state, self.transport);
        let mut onelogin = OneLogin::new(config, loaded.secrets.as_ref(), &state, &mut transport);
        let safe = SafePlace::check(
            config,
            &Here {
                uids,
                proof,
                ssh_connection: request.ssh_connection.as_deref(),
                is_of_this_host: &is_of_this_host,
                has_the_hosts_network: &has_the_hosts_network,
            },
        );
        let login = Login::new(
            &mut onelogin,
            self.prompt,
            self.clock,
            &mut user_memory,
            config,
            approval_wait(request, uids),
        );
        match mode {
            Mode::Decide => {
                let codes = OfflineCodes::of(config, Trusted::of(uids));
                let holder = subject.as_ref().ok().filter(|_| config.offline);
                let store = holder.map(|subject| codes.store(Holder::from(*subject)));
                let store = store.as_ref().map(|store| -> &dyn CodeStore { store });
                let login = login.with_outages(safe.ok()).with_offline_codes(store);
                decision.report = login.run(subject);
                decision.remarks = remarks(&decision.report, &state, &user_memory, &user);
                let offline = offline_remarks(&decision.report, decision.here, &user);
                decision.remarks.extend(offline);
                decision
                    .remarks
                    .extend(codes.trouble_so_far().map(|trouble| {
                        let why = pair("why", &trouble.to_string());
                        format!("offline codes cannot be used: {why}")
                    }));
                let not_safe = not_safe(&decision.report, config, safe);
                decision.remarks.extend(not_safe);
            }
            Mode::Observe => decision.report = login.observe(subject),
        }
        decision.remarks.extend(transport.remark());
        if !(self.is_same_user)() {
            // The login may have taken its denial back.
            let _ = user_memory.deny();
            decision.report.outcome = Outcome::Denied(Denial::UserChanged);
        }
        let outcome = &decision.report.outcome;
        let is_accepted = matches!(outcome, Outcome::Accepted(_));
        let is_let_in = matches!(outcome, Outcome::Accepted(_) | Outcome::OfflineCode(_));
        if self.has_stack && is_accepted {
            state.record_login(&request.service, &user);
        }
        if !is_let_in && mode == Mode::Decide {
            user_memory.renew_denial();
        }
        user_memory.sweep(!is_accepted);
    }
}

impl Decision {
    /// A decision for which OneLogin was not asked.
    #[must_use]
    pub fn without(request: &Request, outcome: Outcome) -> Self {
        Self {
            report: Report {
                outcome,
                onelogin_id: None,
                factor: None,
                denial_unrecorded: false,
                held_back: None,
                odd_devices: 0,
                without_offline_code: None,
                not_safe: None,
                removed_offline_codes: 0,
            },
            here: Circumstances {
                in_ssh: request.ssh_connection.is_some(),
                proven: false,
            },
            subject: None,
            is_mute: false,
            lapse: None,
            remarks: Vec::new(),
        }
    }

    /// Who had to pass, as far as that is known.
    #[must_use]
    pub fn user<'a>(&'a self, request: &'a Request) -> Option<&'a str> {
        self.subject.as_deref().or(request.user.as_deref())
    }

    /// What the log says of it.
    #[must_use]
    pub fn facts<'a>(
        &'a self,
        request: &'a Request,
        traces: &'a [RequestTrace],
        ms: u128,
    ) -> Facts<'a> {
        Facts {
            user: self.user(request),
            onelogin_id: self.report.onelogin_id.as_ref().map(UserId::as_str),
            factor: self.report.factor,
            offline_code: match &self.report.outcome {
                Outcome::OfflineCode(used) => Some(used),
                _ => None,
            },
            lapse: self.lapse.map(Lapse::word),
            rhost: request.rhost.as_deref(),
            tty: request.tty.as_deref(),
            ruser: request.ruser.as_deref(),
            request_id: traces.last().and_then(|trace| trace.request_id.as_deref()),
            requests: traces.len(),
            ms,
        }
    }
}

/// What an admin should know beside the decision.
fn remarks(
    report: &Report,
    state: &State,
    user_memory: &UserMemory<'_>,
    user: &str,
) -> Vec<String> {
    let mut remarks = Vec::new();
    let of_user = pair("user", user);
    if let Some(trouble) = state.trouble() {
        let text = pair("state", &trouble.to_string());
        remarks.push(format!(
            "cannot count attempts, so every login is denied: {text}"
        ));
    } else if report.denial_unrecorded && !matches!(report.outcome, Outcome::Accepted(_)) {
        let text = "cannot record the denial; if the host runs the stack again, that counts as a new login";
        remarks.push(text.to_owned());
    }
    remarks.extend(report.held_back.map(|reached| {
        let what = match reached {
            LimitReached::Window => "limits.challenges is reached, only codes are offered",
            LimitReached::Day => "limits.challenges_per_day is reached, only codes are offered",
            LimitReached::PushDenied => "a push was denied in the last hour, so no push is sent",
            LimitReached::PushPaused => {
                "a push was not approved in the last 10 minutes, so no push is sent"
            }
        };
        format!("{what}: {of_user}")
    }));
    remarks.extend(user_memory.last_of_the_day().map(|limit| {
        let key = match limit {
            Limit::Challenges | Limit::PushesAlone => "challenges_per_day",
            Limit::RefusedCodes | Limit::OfflineCodes => "failures_per_day",
        };
        format!(
            "limits.{key} is reached, an attacker may have the user's password or key: {of_user}"
        )
    }));
    if user_memory.is_push_denied() {
        let text = "a push was denied on the phone, so logins from unknown addresses get no push for one hour";
        remarks.push(format!("{text}: {of_user}"));
    }
    remarks
}

/// What became of offline codes.
fn offline_remarks(report: &Report, here: Circumstances, user: &str) -> Vec<String> {
    let mut remarks = Vec::new();
    let of_user = pair("user", user);
    if let Some(without) = &report.without_offline_code {
        let verdict = verdict::of(without, here);
        let mut text =
            format!("OneLogin gave no answer, so an offline code was asked for: {of_user}");
        for (key, value) in [
            ("reason", verdict.reason.map(Reason::word)),
            (
                "detail",
                verdict
                    .detail
                    .as_deref()
                    .filter(|detail| !detail.is_empty()),
            ),
        ] {
            if let Some(value) = value {
                text.push(' ');
                text.push_str(&pair(key, value));
            }
        }
        remarks.push(text);
    }
    if report.removed_offline_codes > 0 {
        remarks.push(format!(
            "OneLogin has no active user of this name, so the offline codes were removed: {of_user} removed={}",
            report.removed_offline_codes
        ));
    }
    remarks
}

/// That an exemption will end in a few days.
fn ends_soon(exemption: &Exemption, dates: Dates, user: &str) -> Option<String> {
    let Exemption::Dated(term) = exemption else {
        return None;
    };
    let text = "the exemption ends on";
    dates
        .is_near(term.until)
        .then(|| format!("{text} {}: {}", term.until, pair("user", user)))
}

/// Why `failmode = "safe"` did not let the user in, where an administrator may have expected it.
fn not_safe(report: &Report, config: &Config, safe: Result<SafePlace, NotSafe>) -> Option<String> {
    let without = report.without_offline_code.as_deref();
    let Outcome::Unavailable(error) = without.unwrap_or(&report.outcome) else {
        return None;
    };
    let miss = error.miss.filter(|_| config.failmode == FailMode::Safe)?;
    let why = match report.not_safe.map_or(safe, Err) {
        Err(not_safe) => not_safe.why(),
        Ok(_) if miss.is_outage() => "a code or an activation was already sent",
        Ok(_) => miss.weight().1,
    };
    Some(format!(
        "failmode=safe does not apply: {}",
        pair("why", why)
    ))
}

/// What the host may run the stack for more than once: an ssh connection, by its addresses and
/// ports where it has some, else by the process that serves it; or a PAM handle.
fn action<'a>(request: &Request, denials: Option<&'a Denials>) -> Action<'a> {
    match &request.ssh_connection {
        Some(connection) if connection.contains(NO_ADDRESS) => {
            Action::Connection(format!("{connection} {}", parent_identity()))
        }
        Some(connection) => Action::Connection(connection.clone()),
        None => Action::Handle(denials),
    }
}

/// Where a login comes from: the address of an ssh client, of IPv6 its /64, which one client can take
/// addresses of at will; the user whose process it is, in sudo, su and doas; else what the host tells. What all users of a
/// program share is no origin: the account of a helper of squid, this host as the client of a web mail program.
fn origin(
    request: &Request,
    uids: Uids,
    ask: Ask,
    is_of_this_host: &dyn Fn(IpAddr) -> bool,
) -> Option<String> {
    if let Some(connection) = &request.ssh_connection {
        let address = connection.split_ascii_whitespace().next()?;
        return Some(format!("ssh {}", prefix(address.parse().ok()?)));
    }
    if uids.is_setuid() {
        return (!ask.is_push_only()).then(|| format!("uid {}", uids.real));
    }
    // A name is what a name server says of an address, which may be the client's own.
    let address: IpAddr = request.rhost.as_deref()?.parse().ok()?;
    (!is_of_this_host(address)).then(|| format!("rhost {}", prefix(address)))
}

fn prefix(address: IpAddr) -> IpNet {
    match address.to_canonical() {
        address @ IpAddr::V4(_) => IpNet::from(address),
        IpAddr::V6(address) => IpNet::new_assert(address.into(), 64).trunc(),
    }
}

fn approval_wait(request: &Request, uids: Uids) -> ApprovalWait {
    let has_tty = request.tty.as_deref().is_some_and(|tty| !tty.is_empty());
    let shows_text_at_once = request.service == LOGIN || is_sudo(request, uids);
    if has_tty && request.ssh_connection.is_none() && shows_text_at_once {
        ApprovalWait::AtOnce
    } else {
        ApprovalWait::AfterEnter
    }
}

/// How a user ends a wait: sudo blocks SIGINT and SIGQUIT while it authenticates, so that they stay
/// pending and can be seen.
#[must_use]
pub fn interrupt(request: &Request, uids: Uids) -> Option<fn() -> bool> {
    let look: fn() -> bool = interrupt_is_pending;
    is_sudo(request, uids).then_some(look)
}

/// Whether the host is sudo: by its name, or by what it does. That changes words and waits alone.
fn is_sudo(request: &Request, uids: Uids) -> bool {
    SUDO.contains(&request.service.as_str())
        || (uids.is_setuid() && interrupt_is_blocked() && has_terminal())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r14_a_connection_without_addresses_is_named_by_the_process_that_serves_it() {
        let denials = Denials::default();
        let named = |connection: Option<&str>| {
            let request = Request {
                ssh_connection: connection.map(str::to_owned),
                ..Request::default()
            };
            match action(&request, Some(&denials)) {
                Action::Connection(name) => Some(name),
                Action::Handle(_) => None,
            }
        };
        let connection = "192.0.2.7 5 192.0.2.1 22";
        assert_eq!(named(Some(connection)).as_deref(), Some(connection));
        let parent = parent_identity();
        assert_eq!(
            named(Some("UNKNOWN 65535 UNKNOWN 65535")),
            Some(format!("UNKNOWN 65535 UNKNOWN 65535 {parent}"))
        );
        assert_eq!(named(None), None);
    }

    /// The origin of a login in a process with this real user, and the rights of root.
    fn came_from(
        connection: Option<&str>,
        rhost: Option<&str>,
        real: u32,
        ask: Ask,
    ) -> Option<String> {
        let request = Request {
            ssh_connection: connection.map(str::to_owned),
            rhost: rhost.map(str::to_owned),
            ..Request::default()
        };
        let uids = Uids {
            real,
            effective: 0,
            saved: 0,
        };
        origin(&request, uids, ask, &|address| {
            ["127.0.0.1", "::1", "192.0.2.1"].contains(&address.to_string().as_str())
        })
    }

    #[test]
    fn r22_an_origin_is_what_a_client_cannot_choose_at_will() {
        let of = |connection: Option<&str>, rhost: Option<&str>, real| {
            came_from(connection, rhost, real, Ask::Prompt)
        };
        let ssh = |address: &str| of(Some(&format!("{address} 5 192.0.2.1 22")), None, 0);
        assert_eq!(ssh("192.0.2.7").as_deref(), Some("ssh 192.0.2.7/32"));
        assert_eq!(ssh("::ffff:192.0.2.7"), ssh("192.0.2.7"));
        assert_eq!(ssh("2001:db8::1"), ssh("2001:db8::ffff:2"));
        assert_ne!(ssh("2001:db8::1"), ssh("2001:db8:0:1::1"));
        assert_eq!(ssh("UNKNOWN"), None);
        // sudo passes on what its caller says; the caller is who they are.
        assert_eq!(of(None, Some("x"), 1000).as_deref(), Some("uid 1000"));
        let rhost = of(None, Some("192.0.2.7"), 0);
        assert_eq!(rhost.as_deref(), Some("rhost 192.0.2.7/32"));
        assert_eq!(of(None, Some("a.name.of.the.client"), 0), None);
        assert_eq!(of(None, None, 0), None);
    }

    #[test]
    fn r22_what_all_clients_of_a_host_share_is_the_origin_of_none() {
        let of = |rhost: Option<&str>, real| came_from(None, rhost, real, Ask::Push);
        // squid's setuid helper: the real user is the account of the proxy, for the logins of all users.
        assert_eq!(of(None, 13), None);
        // A web mail program on this host.
        assert_eq!(of(Some("127.0.0.1"), 0), None);
        assert_eq!(of(Some("::1"), 0), None);
        assert_eq!(of(Some("192.0.2.1"), 0), None);
    }
}

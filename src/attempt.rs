//! One login with everything around it: who must pass, the state on this host, OneLogin's API. The
//! module runs it in a host program, the tool in a terminal.

use crate::clock::seconds_since_boot;
use crate::config::file::Loaded;
use crate::config::{Config, FailMode};
use crate::host::{
    Nss, has_the_hosts_network, interrupt_is_pending, is_of_this_host, parent_identity,
    process_identity,
};
use crate::log::Facts;
use crate::login::{
    Clock, Denial, Fault, Login, Manner, Memory as _, Outcome, Prompt, Report, Unknown,
};
use crate::onelogin::OneLogin;
use crate::onelogin::addresses::KeepsAddresses;
use crate::onelogin::http::{Carrier, Exchange};
use crate::onelogin::wire::UserId;
use crate::outage::{Here, NotSafe, SafePlace};
use crate::state::State;
use crate::state::ledger::{Action, Ledger, Strictness};
use crate::state::notes::Notes;
use crate::text::pair;
use crate::trust::Trusted;
use crate::user::{Proof, Request, Subject, Uids, Who, who};
use crate::verdict::Circumstances;

/// The hosts that show texts at once, so that a push needs no prompt.
const SHOW_TEXT_AT_ONCE: [&str; 3] = ["sudo", "sudo-i", "login"];

/// The hosts that block SIGINT while they authenticate, so that Ctrl-C can be seen pending.
const BLOCK_INTERRUPTS: [&str; 2] = ["sudo", "sudo-i"];

/// What sshd says for an address of a connection that is no network connection.
const NO_ADDRESS: &str = "UNKNOWN";

/// A login that is about to run.
pub struct Attempt<'a> {
    /// What the host program asks.
    pub request: &'a Request,
    /// Whose process this is.
    pub uids: Uids,
    /// Runs since authenticate was entered.
    pub clock: &'a dyn Clock,
    /// The person.
    pub prompt: &'a mut dyn Prompt,
    /// The way to OneLogin.
    pub carrier: &'a mut dyn Carrier,
    /// Whether `PAM_USER` is still who it was in the request.
    pub is_same_user: &'a dyn Fn() -> bool,
    /// Whether it goes through a stack, and so shows that this one works.
    pub has_stack: bool,
}

/// How a login ended, and what that rests on.
pub struct Decision {
    /// How it ended.
    pub report: Report,
    /// What the verdict depends on beside the outcome.
    pub here: Circumstances,
    /// The Unix name of whoever had to pass, once that is clear.
    pub subject: Option<String>,
    /// What an admin should know beside the decision.
    pub remarks: Vec<String>,
}

impl Attempt<'_> {
    /// Runs the login: the request becomes a subject, the subject an outcome.
    #[must_use]
    pub fn run(self, loaded: &Loaded) -> Decision {
        let request = self.request;
        let (who, proof) = who(request, &loaded.config, &loaded.map, &Nss);
        let mut decision = Decision::without(request, Outcome::Fault(Fault::Config));
        decision.here.proven = proof == Proof::Proven;
        match who {
            Who::Subject(subject) => {
                decision.subject = Some(subject.name.clone());
                self.verify(loaded, Ok(&subject), proof, &mut decision);
            }
            Who::Stranger => self.verify(loaded, Err(Unknown::Account), proof, &mut decision),
            Who::Unclear(unclear) => {
                self.verify(loaded, Err(Unknown::Unclear(unclear)), proof, &mut decision);
            }
            Who::Exempt { name, exemption } => {
                decision.subject = Some(name);
                decision.report.outcome = Outcome::Exempt(exemption);
            }
        }
        decision
    }

    /// The flow, over this host's state and OneLogin's API.
    fn verify(
        self,
        loaded: &Loaded,
        subject: Result<&Subject, Unknown>,
        proof: Proof,
        decision: &mut Decision,
    ) {
        let Self { request, uids, .. } = self;
        let config = &loaded.config;
        let state = State::open(&config.state_dir, Trusted::of(uids));
        let user = decision.user(request).unwrap_or_default().to_owned();
        let uid = subject.ok().map(|subject| subject.uid);
        let strictness = strictness(uids);
        let action = action(request);
        let notes = Notes::new(&state, seconds_since_boot);
        let mut ledger = Ledger::of(notes, &action, (&user, uid), &config.limits, strictness);
        let mut carrier = KeepsAddresses::new(config, &state, self.carrier);
        let mut onelogin = OneLogin::new(config, &loaded.secrets, notes, &mut carrier);
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
            &mut ledger,
            config,
            manner(request),
        );
        decision.report = login.with_outages(safe.ok()).run(subject);
        decision.remarks = remarks(&decision.report, &state, strictness, &user);
        decision
            .remarks
            .extend(not_safe(&decision.report, config, safe));
        if !(self.is_same_user)() {
            // The login may have taken its denial back.
            let _ = ledger.deny();
            decision.report.outcome = Outcome::Denied(Denial::UserChanged);
        }
        if self.has_stack && matches!(decision.report.outcome, Outcome::Accepted(_)) {
            state.witness(&request.service, &user);
        }
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
                forgotten: false,
                held_back: false,
            },
            here: Circumstances {
                in_ssh: request.ssh_connection.is_some(),
                proven: false,
            },
            subject: None,
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
        exchanges: &'a [Exchange],
        ms: u128,
    ) -> Facts<'a> {
        Facts {
            user: self.user(request),
            onelogin_id: self.report.onelogin_id.as_ref().map(UserId::as_str),
            factor: self.report.factor,
            rhost: request.rhost.as_deref(),
            tty: request.tty.as_deref(),
            ruser: request.ruser.as_deref(),
            request_id: exchanges
                .last()
                .and_then(|exchange| exchange.request_id.as_deref()),
            requests: exchanges.len(),
            ms,
        }
    }
}

/// What the user can do to this process, they could do to keep it from counting.
fn strictness(uids: Uids) -> Strictness {
    if uids.is_setuid() {
        Strictness::Strict
    } else {
        Strictness::Lenient
    }
}

/// What an admin should know beside the decision.
fn remarks(report: &Report, state: &State, strictness: Strictness, user: &str) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(trouble) = state.trouble() {
        let result = match strictness {
            Strictness::Lenient => "codes only, nothing can be activated",
            Strictness::Strict => "codes cannot be counted, nobody gets in",
        };
        let text = pair("state", &trouble.to_string());
        remarks.push(format!("{result}: {text}"));
    } else if report.forgotten && !matches!(report.outcome, Outcome::Accepted(_)) {
        let text = "a denial could not be written down; a rerun of the stack is a new login";
        remarks.push(text.to_owned());
    }
    if report.held_back {
        let text = pair("user", user);
        remarks.push(format!("limits.challenges is used up, codes only: {text}"));
    }
    remarks
}

/// Why `failmode = "safe"` did not let in, where somebody may have expected that.
fn not_safe(report: &Report, config: &Config, safe: Result<SafePlace, NotSafe>) -> Option<String> {
    let Outcome::Unavailable(error) = &report.outcome else {
        return None;
    };
    let miss = error.miss.filter(|_| config.failmode == FailMode::Safe)?;
    let why = match safe {
        Err(not_safe) => not_safe.why(),
        Ok(_) if miss.is_outage() => "a code or an activation was sent before",
        Ok(_) => miss.weight().1,
    };
    Some(format!(
        "failmode=safe lets nobody in here: {}",
        pair("why", why)
    ))
}

/// What the host may run the stack for more than once: an ssh connection, by its addresses and
/// ports where it has some, else by the process that serves it; or this process.
fn action(request: &Request) -> Action {
    match &request.ssh_connection {
        Some(connection) if connection.contains(NO_ADDRESS) => {
            Action::Connection(format!("{connection} {}", parent_identity()))
        }
        Some(connection) => Action::Connection(connection.clone()),
        None => Action::Process(process_identity()),
    }
}

fn manner(request: &Request) -> Manner {
    let has_tty = request.tty.as_deref().is_some_and(|tty| !tty.is_empty());
    if has_tty && request.ssh_connection.is_none() && is_one_of(request, &SHOW_TEXT_AT_ONCE) {
        Manner::Waited
    } else {
        Manner::Prompted
    }
}

/// How a user ends a wait: sudo blocks SIGINT and SIGQUIT while it authenticates, so that they stay
/// pending and can be seen.
#[must_use]
pub fn interrupt(request: &Request) -> Option<fn() -> bool> {
    let look: fn() -> bool = interrupt_is_pending;
    is_one_of(request, &BLOCK_INTERRUPTS).then_some(look)
}

fn is_one_of(request: &Request, services: &[&str]) -> bool {
    services.contains(&request.service.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r14_a_connection_without_addresses_is_named_by_the_process_that_serves_it() {
        let named = |connection: Option<&str>| {
            let request = Request {
                ssh_connection: connection.map(str::to_owned),
                ..Request::default()
            };
            match action(&request) {
                Action::Connection(name) | Action::Process(name) => name,
            }
        };
        assert_eq!(
            named(Some("192.0.2.7 5 192.0.2.1 22")),
            "192.0.2.7 5 192.0.2.1 22"
        );
        let parent = parent_identity();
        assert_eq!(
            named(Some("UNKNOWN 65535 UNKNOWN 65535")),
            format!("UNKNOWN 65535 UNKNOWN 65535 {parent}")
        );
        assert_eq!(named(None), process_identity());
    }
}

//! The cdylib's face: the six entry points of a PAM module, and the story of a login.

use crate::args::Args;
use crate::clock::{SystemClock, seconds_since_boot};
use crate::config::FailMode;
use crate::config::file::{LoadError, Loaded, load};
use crate::host::{
    Nss, StandardDescriptors, interrupt_is_pending, parent_identity, process_identity, uids,
};
use crate::log::{self, Facts, Log};
use crate::login::{
    Clock as _, Denial, Fault, Login, Manner, Memory as _, Outcome, Report, Unknown,
};
use crate::onelogin::OneLogin as Api;
use crate::onelogin::http::{Exchange, Http};
use crate::onelogin::wire::UserId;
use crate::pam::{Conversation, is_still_the_user, request, service, sys, tell_error};
use crate::state::State;
use crate::state::ledger::{Action, Ledger, Strictness};
use crate::state::notes::Notes;
use crate::text::{FAULT_CHARS, fact, pair};
use crate::trust::Trusted;
use crate::user::{Proof, Request, Subject, Uids, Who, proof, who};
use crate::verdict::{self, Circumstances, Level};
use pam::constants::{PamFlag, PamResultCode};
use pam::module::{PamHandle, PamHooks};
use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// How long libpam is asked to wait after a denial, in microseconds: as `pam_unix(8)` asks.
const FAIL_DELAY: u32 = 2_000_000;

/// The hosts that show texts at once, so that a push needs no prompt.
const SHOW_TEXT_AT_ONCE: [&str; 3] = ["sudo", "sudo-i", "login"];

/// The hosts that block SIGINT while they authenticate, so that Ctrl-C can be seen pending.
const BLOCK_INTERRUPTS: [&str; 2] = ["sudo", "sudo-i"];

/// What sshd says for an address of a connection that is no network connection.
const NO_ADDRESS: &str = "UNKNOWN";

/// The module.
pub struct OneLogin;

// This macro writes `pub` items into a module of its own, for the linker only.
#[allow(missing_docs, unreachable_pub)]
mod entry_points {
    use super::OneLogin;
    pam::pam_hooks!(OneLogin);
}

impl PamHooks for OneLogin {
    fn sm_authenticate(handle: &mut PamHandle, args: Vec<&CStr>, _: PamFlag) -> PamResultCode {
        authenticate(handle, &args)
    }

    /// There are no credentials to set. Hosts call this without authenticate, too (cron, an ssh
    /// login by key alone), and run the chain that authenticate froze.
    fn sm_setcred(_: &mut PamHandle, _: Vec<&CStr>, _: PamFlag) -> PamResultCode {
        PamResultCode::PAM_SUCCESS
    }

    // The account, session and password hooks stay as pam-bindings has them: PAM_IGNORE.
}

/// What a login meets in the host program.
struct Host<'a> {
    handle: &'a PamHandle,
    request: &'a Request,
    clock: &'a SystemClock,
    log: &'a mut Log,
    uids: Uids,
}

/// What a decision rests on.
struct Decision {
    report: Report,
    here: Circumstances,
    subject: Option<String>,
    exchanges: Vec<Exchange>,
}

/// Runs a login so that nothing unwinds into the host, prints, or takes a standard descriptor.
fn authenticate(handle: &mut PamHandle, words: &[&CStr]) -> PamResultCode {
    let _descriptors = StandardDescriptors::fill();
    let service = service(handle);
    let _hook = PanicHook::install(&service);
    let request = request(handle);
    catch_unwind(AssertUnwindSafe(|| login(handle, &request, words))).unwrap_or_else(|_| {
        let decision = Decision::without(&request, Outcome::Panicked);
        conclude(handle, &request, &mut Log::open(&service), &decision, 0)
    })
}

/// The story of a login.
fn login(handle: &mut PamHandle, request: &Request, words: &[&CStr]) -> PamResultCode {
    let clock = SystemClock::start(interrupt(request));
    let mut log = Log::open(&request.service);
    let host = Host {
        handle,
        request,
        clock: &clock,
        log: &mut log,
        uids: uids(),
    };
    let decision = decide(host, words);
    conclude(
        handle,
        request,
        &mut log,
        &decision,
        clock.elapsed().as_millis(),
    )
}

/// Tells libpam, the log and the user how a login ended.
fn conclude(
    handle: &mut PamHandle,
    request: &Request,
    log: &mut Log,
    decision: &Decision,
    ms: u128,
) -> PamResultCode {
    let verdict = verdict::of(&decision.report.outcome, decision.here);
    log.line(
        verdict.level,
        &log::decision(&verdict, &decision.facts(request, ms)),
    );
    if let Some(words) = verdict.words {
        tell_error(handle, words);
    }
    if verdict.is_denial() {
        sys::fail_delay(handle, FAIL_DELAY);
    }
    verdict.code
}

/// Arguments and files become settings, the request becomes a subject, the subject an outcome.
fn decide(mut host: Host<'_>, words: &[&CStr]) -> Decision {
    let request = host.request;
    let loaded = match settings(&mut host, words) {
        Ok(loaded) => loaded,
        Err(outcome) => return Decision::without(request, outcome),
    };
    let proof = proof(request, loaded.config.first_factor, host.uids);
    let mut decision = Decision::without(request, Outcome::Fault(Fault::Config));
    decision.here.failmode = loaded.config.failmode;
    decision.here.proven = proof == Proof::Proven;
    match who(request, &loaded.config, &loaded.map, &Nss) {
        Who::Subject(subject) => {
            decision.subject = Some(subject.name.clone());
            verify(host, &loaded, Ok(&subject), &mut decision);
        }
        Who::Stranger => verify(host, &loaded, Err(Unknown::Account), &mut decision),
        Who::Unclear(unclear) => {
            verify(host, &loaded, Err(Unknown::Unclear(unclear)), &mut decision);
        }
        Who::Exempt { name, exemption } => {
            decision.subject = Some(name);
            decision.report.outcome = Outcome::Exempt(exemption);
        }
    }
    decision
}

/// The configuration. Each fault is a line in the log.
fn settings(host: &mut Host<'_>, words: &[&CStr]) -> Result<Loaded, Outcome> {
    let trusted = Trusted::of(host.uids);
    let loaded = Args::parse(words.iter().map(|word| word.to_bytes()))
        .map_err(LoadError::Faults)
        .and_then(|args| Ok((load(Path::new(&args.config), trusted)?, args.debug)));
    match loaded {
        Ok((loaded, debug)) => {
            if debug || loaded.config.debug {
                host.log.show_debug();
            }
            Ok(loaded)
        }
        Err(LoadError::Unprivileged) => Err(Outcome::Unprivileged),
        Err(LoadError::Faults(faults)) => {
            for fault in &faults {
                let text = fact("fault", &fault.to_string(), FAULT_CHARS);
                host.log.line(Level::Error, &text);
            }
            Err(Outcome::Fault(Fault::Config))
        }
    }
}

/// The login itself, with everything that it needs from outside.
fn verify(
    host: Host<'_>,
    loaded: &Loaded,
    subject: Result<&Subject, Unknown>,
    decision: &mut Decision,
) {
    let Host {
        handle,
        request,
        clock,
        log,
        uids,
    } = host;
    let config = &loaded.config;
    let trusted = Trusted::of(uids);
    let state = State::open(&config.state_dir, trusted);
    let user = decision.user(request).unwrap_or_default().to_owned();
    let uid = subject.ok().map(|subject| subject.uid);
    let strictness = strictness(uids);
    let action = action(request);
    let notes = Notes::new(&state, seconds_since_boot);
    let mut ledger = Ledger::of(notes, &action, (&user, uid), &config.limits, strictness);
    let mut http = Http::new(config, trusted, interrupt(request));
    let mut onelogin = Api::new(config, &loaded.secrets, notes, &mut http);
    let mut conversation = Conversation::new(handle, request.password.as_ref());
    let login = Login::new(
        &mut onelogin,
        &mut conversation,
        clock,
        &mut ledger,
        config,
        manner(request),
    );
    decision.report = login.run(subject);
    decision.exchanges = http.into_exchanges();
    for exchange in &decision.exchanges {
        log.line(Level::Debug, &shape(exchange));
    }
    for remark in remarks(&decision.report, &state, strictness, &user) {
        log.line(Level::Warning, &remark);
    }
    if !is_still_the_user(handle, request) {
        // The login may have taken its denial back.
        let _ = ledger.deny();
        decision.report.outcome = Outcome::Denied(Denial::UserChanged);
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

impl Decision {
    /// A decision for which OneLogin was not asked.
    fn without(request: &Request, outcome: Outcome) -> Self {
        Self {
            report: Report {
                outcome,
                onelogin_id: None,
                factor: None,
                forgotten: false,
                held_back: false,
            },
            here: Circumstances {
                failmode: FailMode::Secure,
                in_ssh: request.ssh_connection.is_some(),
                is_setuid: uids().is_setuid(),
                proven: false,
            },
            subject: None,
            exchanges: Vec::new(),
        }
    }

    /// Who had to pass, as far as that is known.
    fn user<'a>(&'a self, request: &'a Request) -> Option<&'a str> {
        self.subject.as_deref().or(request.user.as_deref())
    }

    fn facts<'a>(&'a self, request: &'a Request, ms: u128) -> Facts<'a> {
        Facts {
            user: self.user(request),
            onelogin_id: self.report.onelogin_id.as_ref().map(UserId::as_str),
            factor: self.report.factor,
            rhost: request.rhost.as_deref(),
            tty: request.tty.as_deref(),
            ruser: request.ruser.as_deref(),
            request_id: self
                .exchanges
                .last()
                .and_then(|exchange| exchange.request_id.as_deref()),
            requests: self.exchanges.len(),
            ms,
        }
    }
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
fn interrupt(request: &Request) -> Option<fn() -> bool> {
    let look: fn() -> bool = interrupt_is_pending;
    is_one_of(request, &BLOCK_INTERRUPTS).then_some(look)
}

fn is_one_of(request: &Request, services: &[&str]) -> bool {
    services.contains(&request.service.as_str())
}

/// A request in the log, at level debug.
fn shape(exchange: &Exchange) -> String {
    let status = exchange
        .status
        .map_or("-".to_owned(), |status| status.to_string());
    format!(
        "request {} {} status={status} bytes={} ms={} {}",
        exchange.method,
        pair("path", &exchange.path),
        exchange.bytes,
        exchange.time.as_millis(),
        pair(
            "request_id",
            exchange.request_id.as_deref().unwrap_or_default()
        ),
    )
}

/// While it lives, a panic prints nothing to the host's stderr, and logs where it happened; its
/// message could hold a value (rule R7).
struct PanicHook;

impl PanicHook {
    fn install(service: &str) -> Self {
        let service = service.to_owned();
        std::panic::set_hook(Box::new(move |info| {
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            Log::open(&service).line(Level::Error, &pair("panic", &place));
        }));
        Self
    }
}

impl Drop for PanicHook {
    fn drop(&mut self) {
        // The default hook is back; but a hook cannot be taken during a panic.
        if !std::thread::panicking() {
            drop(std::panic::take_hook());
        }
    }
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

    #[test]
    fn r07_a_panic_below_the_hook_is_silent_and_does_not_abort() {
        let caught = catch_unwind(|| {
            let _hook = PanicHook::install("test");
            panic!("unseen");
        });
        assert!(caught.is_err());
        drop(PanicHook::install("test"));
    }
}

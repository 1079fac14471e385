//! The cdylib's face: the six entry points of a PAM module, and the story of a login.

use crate::args::Args;
use crate::clock::SystemClock;
use crate::config::FailMode;
use crate::config::file::{LoadError, load};
use crate::host::{Nss, StandardDescriptors, process_identity, uids};
use crate::log::{self, Facts, Log};
use crate::login::{Clock as _, Denial, Fault, Login, Manner, Outcome, Report, Unknown};
use crate::onelogin::http::Exchange;
use crate::onelogin::v2::V2;
use crate::onelogin::wire::UserId;
use crate::pam::{Conversation, is_still_the_user, request, sys, tell_error};
use crate::state::{Action, Denials, State};
use crate::text::pair;
use crate::trust::Trusted;
use crate::user::{Proof, Request, Who, proof, who};
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
    let request = request(handle);
    let _hook = PanicHook::install(&request.service);
    catch_unwind(AssertUnwindSafe(|| login(handle, &request, words))).unwrap_or_else(|_| {
        let decision = Decision::without(&request, Outcome::Panicked);
        conclude(
            handle,
            &request,
            &mut Log::open(&request.service),
            &decision,
            0,
        )
    })
}

/// The story of a login.
fn login(handle: &mut PamHandle, request: &Request, words: &[&CStr]) -> PamResultCode {
    let clock = SystemClock::start(is_one_of(request, &BLOCK_INTERRUPTS));
    let mut log = Log::open(&request.service);
    let decision = decide(handle, request, words, &clock, &mut log);
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
        sys::fail_delay(handle, FAIL_DELAY);
    }
    verdict.code
}

/// Arguments and files become settings, the request becomes a subject, the subject an outcome.
fn decide(
    handle: &PamHandle,
    request: &Request,
    words: &[&CStr],
    clock: &SystemClock,
    log: &mut Log,
) -> Decision {
    let uids = uids();
    let trusted = Trusted::of(uids);
    let mut decision = Decision::without(request, Outcome::Fault(Fault::Config));

    let loaded = Args::parse(words.iter().map(|word| word.to_bytes()))
        .map_err(LoadError::Faults)
        .and_then(|args| Ok((load(Path::new(&args.config), trusted)?, args.debug)));
    let (loaded, debug) = match loaded {
        Ok(loaded) => loaded,
        Err(LoadError::Unprivileged) => {
            decision.report.outcome = Outcome::Unprivileged;
            return decision;
        }
        Err(LoadError::Faults(faults)) => {
            for fault in &faults {
                log.line(Level::Error, &pair("fault", &fault.to_string()));
            }
            return decision;
        }
    };
    let config = &loaded.config;
    if debug || config.debug {
        log.show_debug();
    }

    let proof = proof(request, config.first_factor, uids);
    decision.here.failmode = config.failmode;
    decision.here.proven = proof == Proof::Proven;
    let who = who(request, config, &Nss);
    let subject = match &who {
        Who::Subject(subject) => Ok(subject),
        Who::Stranger => Err(Unknown::Account),
        Who::Unclear(unclear) => Err(Unknown::Unclear(*unclear)),
        Who::Exempt { name, exemption } => {
            decision.subject = Some(name.clone());
            decision.report.outcome = Outcome::Exempt(*exemption);
            return decision;
        }
    };
    decision.subject = subject.ok().map(|subject| subject.name.clone());

    let state = State::open(&config.state_dir, trusted);
    if let Some(trouble) = state.trouble() {
        let text = pair("state", &trouble.to_string());
        log.line(
            Level::Warning,
            &format!("codes only, nothing can be activated: {text}"),
        );
    }
    let process = process_identity();
    let action = match &request.ssh_connection {
        Some(connection) => Action::Connection(connection),
        None => Action::Process(&process),
    };
    let user = decision
        .subject
        .as_deref()
        .or(request.user.as_deref())
        .unwrap_or_default();
    let mut denials = Denials::of(&state, &action, user);
    let mut onelogin = V2::new(config, &loaded.client_secret, &state, trusted);
    let mut conversation = Conversation::new(handle, request.password.as_ref());
    let login = Login::new(
        &mut onelogin,
        &mut conversation,
        clock,
        &mut denials,
        config,
        manner(request),
    );
    decision.report = login.run(subject);
    decision.exchanges = onelogin.into_exchanges();
    for exchange in &decision.exchanges {
        log.line(Level::Debug, &shape(exchange));
    }
    if !is_still_the_user(handle, request) {
        decision.report.outcome = Outcome::Denied(Denial::UserChanged);
    }
    decision
}

impl Decision {
    /// A decision for which OneLogin was not asked.
    fn without(request: &Request, outcome: Outcome) -> Self {
        Self {
            report: Report {
                outcome,
                onelogin_id: None,
                factor: None,
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

    fn facts<'a>(&'a self, request: &'a Request, ms: u128) -> Facts<'a> {
        Facts {
            user: self.subject.as_deref().or(request.user.as_deref()),
            onelogin_id: self.report.onelogin_id.as_ref().map(UserId::as_str),
            factor: self.report.factor,
            rhost: request.rhost.as_deref(),
            tty: request.tty.as_deref(),
            ruser: request.ruser.as_deref(),
            requests: self.exchanges.len(),
            ms,
        }
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
        // Dropping the hook; the default one is back.
        drop(std::panic::take_hook());
    }
}

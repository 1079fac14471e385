//! The cdylib's face: the six entry points of a PAM module, and the flow of a login in a
//! host program.

use crate::args::Args;
use crate::clock::SystemClock;
use crate::config::file::{LoadError, Loaded, load};
use crate::host::{StandardDescriptors, uids};
use crate::host_login::{Decision, HostLogin, interrupt};
use crate::log::{Facts, Log};
use crate::login::{Clock as _, Denial, Fault, Outcome};
use crate::onelogin::http::{Http, RequestTrace};
use crate::pam::{Conversation, is_still_the_user, request, service, sys, tell_error};
use crate::text::{FAULT_CHARS, fact, pair};
use crate::trust::Trusted;
use crate::user::Request;
use crate::verdict::{self, Level};
use pam::constants::{PamFlag, PamResultCode};
use pam::module::{PamHandle, PamHooks};
use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// How long libpam is asked to wait after a denial, in microseconds: as `pam_unix(8)` asks.
const FAIL_DELAY: u32 = 2_000_000;

/// The module.
pub struct Module;

// This macro writes `pub` items into a module of its own, for the linker only.
#[allow(missing_docs, unreachable_pub)]
mod entry_points {
    use super::Module;
    pam::pam_hooks!(Module);
}

impl PamHooks for Module {
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

/// Runs a login so that nothing unwinds into the host, prints, or takes a standard descriptor.
fn authenticate(handle: &mut PamHandle, words: &[&CStr]) -> PamResultCode {
    let _descriptors = StandardDescriptors::fill();
    let service = service(handle);
    let _hook = PanicHook::install(&service);
    let request = request(handle);
    catch_unwind(AssertUnwindSafe(|| login(handle, &request, words))).unwrap_or_else(|_| {
        let decision = Decision::without(&request, Outcome::Panicked);
        let facts = decision.facts(&request, &[], 0);
        conclude(handle, &mut Log::open(&service), &decision, &facts)
    })
}

/// The flow of a login.
fn login(handle: &mut PamHandle, request: &Request, words: &[&CStr]) -> PamResultCode {
    let interrupt = interrupt(request, uids());
    let clock = SystemClock::start(interrupt);
    let mut log = Log::open(&request.service);
    let (decision, traces) = match settings(&mut log, words) {
        Ok((args, _)) if args.behind_key && !request.ssh_key => {
            let outcome = Outcome::Denied(Denial::NoKey);
            (Decision::without(request, outcome), Vec::new())
        }
        Ok((_, loaded)) => {
            let loaded = loaded.for_service(&request.service);
            let mut http = Http::new(&loaded.config, Trusted::of(uids()), interrupt);
            let mut decision = host_login(handle, request, &clock, &mut http, &loaded);
            let traces = http.into_traces();
            for trace in &traces {
                log.line(Level::Debug, &request_line(trace));
            }
            if let Some(skipped) = skipped(decision.report.odd_devices) {
                log.line(Level::Debug, &skipped);
            }
            for remark in &decision.remarks {
                log.line(Level::Warning, remark);
            }
            decision.is_mute = loaded.config.ask.is_push_only();
            (decision, traces)
        }
        Err(outcome) => (Decision::without(request, outcome), Vec::new()),
    };
    let ms = clock.elapsed().as_millis();
    let facts = decision.facts(request, &traces, ms);
    conclude(handle, &mut log, &decision, &facts)
}

/// The attempt, in this host program.
fn host_login(
    handle: &mut PamHandle,
    request: &Request,
    clock: &SystemClock,
    http: &mut Http,
    loaded: &Loaded,
) -> Decision {
    if request.ssh_connection.is_none() {
        sys::keep_denials(handle);
    }
    let handle = &*handle;
    HostLogin {
        request,
        uids: uids(),
        clock,
        prompt: &mut Conversation::new(handle, request),
        transport: http,
        denials: sys::denials(handle),
        is_same_user: &|| is_still_the_user(handle, request),
        has_stack: true,
    }
    .run(loaded)
}

/// Tells libpam, the log and the user how a login ended.
fn conclude(
    handle: &mut PamHandle,
    log: &mut Log,
    decision: &Decision,
    facts: &Facts<'_>,
) -> PamResultCode {
    let verdict = verdict::of(&decision.report.outcome, decision.here);
    log.decision(&verdict, facts);
    if let Some(words) = verdict.words.filter(|_| !decision.is_mute) {
        tell_error(handle, words);
    }
    if verdict.is_denial() {
        sys::fail_delay(handle, FAIL_DELAY);
    }
    verdict.code
}

/// The arguments and the configuration. Each fault is a line in the log.
fn settings(log: &mut Log, words: &[&CStr]) -> Result<(Args, Loaded), Outcome> {
    let trusted = Trusted::of(uids());
    let loaded = Args::parse(words.iter().map(|word| word.to_bytes()))
        .map_err(LoadError::Faults)
        .and_then(|args| load(Path::new(&args.config), trusted).map(|loaded| (args, loaded)));
    match loaded {
        Ok((args, loaded)) => {
            if args.debug || loaded.config.debug {
                log.show_debug();
            }
            Ok((args, loaded))
        }
        Err(LoadError::Unprivileged) => Err(Outcome::Unprivileged),
        Err(LoadError::Faults(faults)) => {
            for fault in &faults {
                let text = fact("fault", &fault.to_string(), FAULT_CHARS);
                log.line(Level::Error, &text);
            }
            Err(Outcome::Fault(Fault::Config))
        }
    }
}

/// What was left out of a list of devices, at level debug: how many entries, never what stands there.
fn skipped(entries: usize) -> Option<String> {
    let text = "device entries that cannot be read are skipped";
    (entries > 0).then(|| format!("{text}: count={entries}"))
}

/// A request in the log, at level debug.
fn request_line(trace: &RequestTrace) -> String {
    let status = trace
        .status
        .map_or("-".to_owned(), |status| status.to_string());
    format!(
        "request {} {} status={status} bytes={} ms={} {}",
        trace.method,
        pair("path", &trace.path),
        trace.bytes,
        trace.time.as_millis(),
        pair(
            "request_id",
            trace.request_id.as_deref().unwrap_or_default()
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
    fn r07_a_panic_below_the_hook_is_silent_and_does_not_abort() {
        let caught = catch_unwind(|| {
            let _hook = PanicHook::install("test");
            panic!("unseen");
        });
        assert!(caught.is_err());
        drop(PanicHook::install("test"));
    }
}

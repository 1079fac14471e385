//! What the system under us can do to a login: calls that fail, from the n-th on or once, short reads, limits, a clock
//! that goes back, a process that is killed or stopped before any call. Nobody gets in by it under either `failmode`,
//! nothing unwinds, nothing is left behind. The built module in the real libpam; no root.

mod world;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use onelogin_simulator::{Dialect, PushBehaviour};
use pam_host::{Call, Case, Code, Outcome};
use std::time::Duration;
use world::{
    PUSH_CODE, SAFE, TOTP_CODE, World, assert_accepted, assert_denied, connection, push, reason,
    totp,
};

const SECURE: &str = "failmode = \"secure\"";
const ONE_TRY: &str = "factors.prompts = 1";
const WRONG: &str = "111111";

/// More than any wait that a test can end by an event.
const LONG: Duration = Duration::from_secs(60);

/// How many calls a login makes.
fn calls(case: Case) -> u64 {
    let calls = case.run().notes.calls;
    assert!(calls > 50, "{calls}");
    calls
}

/// The process is as it was, and nobody wrote to its terminal.
fn assert_untouched(outcome: &Outcome, what: &str) {
    assert_eq!(outcome.changes(), [""; 0], "{what}");
    assert_eq!(
        (outcome.stdout.as_str(), outcome.stderr.as_str()),
        ("", ""),
        "{what}"
    );
}

#[test]
fn r01_r07_whatever_call_fails_nobody_gets_in_by_it_and_nothing_unwinds() {
    let mut panics = 0;
    for (failmode, errno) in [
        (SECURE, Errno::EIO),
        (SAFE, Errno::EMFILE),
        (SAFE, Errno::ETIMEDOUT),
    ] {
        let world = World::with([totp()], &[failmode, ONE_TRY]);
        let wrong = || {
            world.forget_counts();
            world.ssh().answer(WRONG)
        };
        for number in 1..=calls(wrong()) {
            world.onelogin.clear_requests();
            let outcome = wrong().fail_call(number, errno as i32).run();
            let what = format!(
                "call {number}, {:?}, {errno}, {failmode}",
                outcome.notes.failed
            );
            assert_denied(&outcome, &what);
            assert_untouched(&outcome, &what);
            if outcome.log.concat().contains("panic=") {
                panics += 1;
                assert_eq!(outcome.code, Code::ABORT, "{what}");
                assert!(!outcome.log.concat().contains(WRONG), "{what}");
            }
        }
    }
    assert!(
        panics > 0,
        "no panic was provoked: this test cannot show what it should"
    );
}

#[test]
fn r01_when_every_call_fails_from_one_on_nobody_gets_in() {
    for (failmode, errno) in [
        (SECURE, Errno::EIO),
        (SAFE, Errno::EMFILE),
        (SAFE, Errno::ECONNREFUSED),
    ] {
        let world = World::with([totp()], &[failmode, ONE_TRY]);
        let wrong = || {
            world.forget_counts();
            world.ssh().answer(WRONG)
        };
        for number in 1..=calls(wrong()) {
            world.onelogin.clear_requests();
            let outcome = wrong().fail_on(number, errno as i32).run();
            let what = format!(
                "from call {number}, {:?}, {errno}, {failmode}",
                outcome.notes.failed
            );
            assert_denied(&outcome, &what);
            assert_untouched(&outcome, &what);
        }
    }
}

#[test]
fn r01_r14_whatever_call_fails_in_a_push_nobody_gets_in_and_a_rerun_sends_no_second_one() {
    let world = World::with([push()], &[SAFE, "push.wait = 1"]);
    world.onelogin.on_push(PushBehaviour::DenyAfterPolls(0));
    let login = |connection: &str| {
        world.forget_counts();
        world.ssh_again(connection).answers(["", ""])
    };
    let cold = calls(login(&connection()));
    for number in 1..=cold {
        world.onelogin.clear_requests();
        let connection = connection();
        let first = login(&connection)
            .fail_call(number, Errno::ENOSPC as i32)
            .run();
        let what = format!("call {number}, {:?}", first.notes.failed);
        assert_denied(&first, &what);
        assert_untouched(&first, &what);
        assert_denied(&login(&connection).run(), &what);
        // A connection whose name libpam does not tell cannot be known again.
        if first.notes.failed.as_deref() != Some("pam_getenv") {
            assert!(world.onelogin.activations() <= 1, "{what}");
        }
    }
}

#[test]
fn r14_a_process_that_is_killed_before_any_call_leaves_nothing_that_lets_in() {
    for (device, answer) in [(push(), ""), (totp(), WRONG)] {
        let world = World::with([device], &[SAFE, ONE_TRY, "push.wait = 1"]);
        world.onelogin.on_push(PushBehaviour::DenyAfterPolls(0));
        let login = |connection: &str| {
            world.forget_counts();
            world.ssh_again(connection).answers([answer, ""])
        };
        let cold = calls(login(&connection()));
        for number in 1..=cold {
            world.onelogin.clear_requests();
            let connection = connection();
            match login(&connection).kill_at(number).run_or_die() {
                Err((signal, _)) => assert_eq!(signal, Signal::SIGKILL, "call {number}"),
                // A login that finds its folders makes fewer calls than the first one.
                Ok(outcome) => {
                    assert_denied(&outcome, "its last call was before");
                    assert!(number > cold / 2, "{number} of {cold}");
                    break;
                }
            }
            // What a killed login has sent may be read after its end: then it would count for the next one.
            let connections = world.onelogin.connections();
            assert!(world.onelogin.wait_for_closed(LONG, connections));
            let sent = world.onelogin.activations() + world.onelogin.codes();
            let rerun = login(&connection).run();
            assert_denied(&rerun, &format!("a rerun after call {number}"));
            if sent > 0 {
                assert_eq!(
                    reason(&rerun),
                    "denied-before",
                    "killed before call {number}"
                );
            }
            let sent = world.onelogin.activations() + world.onelogin.codes();
            assert!(sent <= 1, "call {number}: {sent}");
        }
    }
}

/// The minute of a denial begins when its login ends, not when the first code is sent: a user who leaves a prompt or a
/// push alone for a minute gets no further codes from the same handle.
#[test]
fn r14_a_minute_that_passes_during_a_login_gives_a_rerun_no_further_codes() {
    fn start() -> World {
        World::with([totp()], &["first_factor = \"assumed\""])
    }
    let login = |world: &World, codes: usize, runs: usize| {
        world.forget_counts();
        let case = world
            .host("sudo")
            .answers(std::iter::repeat_n(WRONG, codes));
        case.calls(std::iter::repeat_n(Call::Authenticate, runs))
    };
    // Up to here the third code is not sent yet, so that the login goes on.
    let world = start();
    let all: Vec<u64> = (1..=calls(login(&world, 6, 1))).collect();
    let during = all.partition_point(|&number| {
        world.onelogin.clear_requests();
        let _ = login(&world, 6, 1).kill_at(number).run_or_die();
        world.onelogin.codes() < 3
    });
    assert!(during > all.len() / 2, "{during} of {}", all.len());
    // Another OneLogin: what a login sent that was killed may still arrive at the first one.
    let world = start();
    for &number in all[..during].iter().step_by(5) {
        world.onelogin.clear_requests();
        let outcome = login(&world, 6, 2).later_at(number, 61).run();
        assert_denied(&outcome, &format!("call {number}"));
        let codes = world.onelogin.codes();
        assert!(codes <= 3, "call {number}: {codes} {:#?}", outcome.log);
    }
}

#[test]
fn a_login_does_not_care_for_interrupts_and_short_reads_and_writes() {
    let world = World::with([totp()], &[]);
    let right = || {
        world.forget_counts();
        world.ssh().answer(TOTP_CODE)
    };
    assert_accepted(&right().byte_by_byte().run());
    let interruptible = ["read", "recv", "recvfrom", "write", "send", "poll"];
    let mut interrupted = 0;
    for number in 1..=calls(right()) {
        let outcome = right().fail_call(number, Errno::EINTR as i32).run();
        let failed = outcome.notes.failed.clone().unwrap_or_default();
        if interruptible.contains(&failed.as_str()) {
            interrupted += 1;
            assert_eq!(
                outcome.code,
                Code::SUCCESS,
                "call {number}, {failed}: {:?}",
                outcome.log
            );
        }
    }
    assert!(interrupted > 10, "{interrupted}");
}

#[test]
fn a_clock_that_goes_back_a_day_at_any_call_changes_nothing() {
    let world = World::with([totp()], &[]);
    let right = || {
        world.forget_counts();
        world.ssh().answer(TOTP_CODE)
    };
    for number in 1..=calls(right()) {
        let outcome = right().day_back_at(number).run();
        assert_eq!(
            outcome.code,
            Code::SUCCESS,
            "call {number}: {:?}",
            outcome.log
        );
    }
    let outcome = world.ssh().answer(WRONG).day_back_at(1).run();
    assert_denied(&outcome, "a wrong code");
}

#[test]
fn r02_files_that_cannot_grow_never_let_in() {
    for failmode in [SECURE, SAFE] {
        let world = World::with([push()], &[failmode, "limits.failures = 3"]);
        let login = |answers: [&str; 3]| world.ssh().answers(answers).no_room_for_files();
        let outcome = login(["111111", "222222", "333333"]).run();
        assert_denied(&outcome, "no file can grow");
        // What is counted is no file that grows.
        assert_eq!(world.onelogin.codes(), 3);
        let outcome = login([PUSH_CODE; 3]).run();
        assert_eq!(reason(&outcome), "too-many-codes");
        world.forget_counts();
        let right = login([PUSH_CODE; 3]).run();
        assert_eq!(right.code, Code::SUCCESS, "{:?}", right.log);
        // As a host that does nothing about it: killed before anything is sent.
        let connection = connection();
        let case = world.later().ssh_again(&connection).answers(["", ""]);
        let (signal, _) = case.killed_by_files().run_to_death();
        assert_eq!(signal, Signal::SIGXFSZ);
        assert_eq!(world.onelogin.activations(), 0);
    }
}

#[test]
fn r02_with_little_memory_a_login_may_abort_and_nobody_gets_in() {
    for failmode in [SECURE, SAFE] {
        let world = World::with([totp()], &[failmode, ONE_TRY]);
        let mut ends = (0, 0);
        // First the module cannot be mapped, then a login runs out of memory somewhere, then it has enough.
        let mut kib = 0;
        while kib < 12_000 {
            world.forget_counts();
            match world.ssh().answer(WRONG).memory(kib).run_or_die() {
                Ok(outcome) => {
                    assert_denied(&outcome, &format!("{kib} KiB"));
                    ends.0 += 1;
                }
                Err((signal, _)) => {
                    // A stack that cannot grow.
                    let is_stack = signal == Signal::SIGSEGV;
                    assert!(signal == Signal::SIGABRT || is_stack, "{kib} KiB: {signal}");
                    ends.1 += 1;
                }
            }
            kib += 100;
        }
        assert!(ends.0 > 0 && ends.1 > 0, "{ends:?}");
        world.forget_counts();
        assert_accepted(&world.ssh().answer(TOTP_CODE).memory(64_000).run());
    }
}

/// A login is stopped before each call. Meanwhile somebody else uses up what is left of the limit: once at once, and once in
/// another minute, so that the stopped one finds its own out of date.
#[test]
fn r22_who_is_stopped_at_any_call_cannot_get_beyond_the_limits() {
    let lines = ["limits.failures = 2", "onelogin.login_timeout = 300"];
    // In the other dialect a refused code drops the token, and who is stopped while it asks for one holds a lock for two seconds.
    let world = World::with([totp()], &lines).speaking(Dialect::Live);
    let warm = || {
        world.later();
        assert_accepted(&world.ssh().answer(TOTP_CODE).run());
        world.forget_user().onelogin.clear_requests();
    };
    // Codes that are no two alike.
    let login = |from: u32| {
        world
            .ssh()
            .answers([0, 1, 2].map(|next| format!("{:06}", from + next)))
    };
    warm();
    let calls = calls(login(0));
    let mut refused = 0;
    // Before the prompt, a third of all calls and more, nothing is counted.
    for number in calls / 3..=calls - 10 {
        for later in [0, 61] {
            warm();
            let case = login(10).stop_at(number);
            let case = if later > 0 {
                case.later_at(number, later).stop_at(number)
            } else {
                case
            };
            let mut stopped = case.spawn();
            stopped.wait_stop();
            let before = world.onelogin.codes();
            let other = login(20).later_at(1, later).run();
            assert_denied_by_a_limit(&other, before);
            stopped.signal(Signal::SIGCONT);
            let outcome = stopped.finish();
            let sent = world.onelogin.codes();
            let what = format!(
                "call {number}, {:?}, {later} s: {:?}",
                outcome.notes.failed, outcome.log
            );
            assert!(outcome.code != Code::SUCCESS, "{what}");
            // What a stopped login has counted and was too late to send stays counted.
            assert!(sent <= 2 && sent <= world.kept("f-").len(), "{what}");
            refused += usize::from(reason(&outcome) == "too-many-codes");
        }
    }
    assert!(refused > 50, "{refused}");
}

/// It sent the codes that were left, and no more.
fn assert_denied_by_a_limit(outcome: &Outcome, sent_before: usize) {
    assert_eq!(
        reason(outcome),
        "too-many-codes",
        "{sent_before} {:?}",
        outcome.log
    );
}

/// What a killed login has sent, it has counted.
#[test]
fn r22_a_login_that_is_killed_before_any_call_has_counted_what_it_sent() {
    for (device, answer, kind) in [(push(), "", "c-"), (totp(), WRONG, "f-")] {
        let world = World::with([device], &[ONE_TRY, "push.wait = 1"]);
        let login = || world.later().ssh().answers([answer, ""]);
        world.onelogin.on_push(PushBehaviour::DenyAfterPolls(0));
        let cold = calls(login());
        // OneLogin may see what was sent only when the next login is under way already.
        let sent = || world.onelogin.activations() + world.onelogin.codes();
        let (before, mut counted) = (sent(), 0);
        for number in 1..=cold {
            if login().kill_at(number).run_or_die().is_ok() {
                assert!(number > cold / 2, "{number} of {cold}");
                break;
            }
            let own = world.kept(kind).len();
            counted += own;
            assert!(own <= 1 && sent() - before <= counted, "call {number}");
        }
        assert!(sent() - before > 5, "{} {before}", sent());
    }
}

/// A login is stopped before each call, for longer than its push may be pending; meanwhile the user starts one of their own,
/// and approves whatever the phone shows.
#[test]
fn r21_an_approval_gets_nobody_in_whose_push_is_over_wherever_it_was_stopped() {
    const STOPPED: u32 = 130;
    // The push is over long before the login: what counts is the push.
    let settings = ["onelogin.login_timeout = 300", "factors.expires_in = 120"];
    let world = World::with([push()], &settings);
    world.onelogin.on_push(PushBehaviour::ApproveAfterPolls(0));
    let login = || world.ssh().answers(["", ""]);
    let polls = || world.onelogin.count("GET", "/verifications/");
    let pending = || world.kept("p-").len();
    // Warm: a login that is stopped while it looks up holds a lock, which the next one waits for.
    let begin = || {
        world.later();
        let _ = login().run();
        world.forget_user();
        world.onelogin.clear_requests();
    };
    begin();
    // The calls at the end are of the log, when the phone is left.
    let calls: Vec<u64> = (1..=calls(login()) - 10).collect();
    let first = calls.partition_point(|&number| {
        begin();
        let mut stopped = login().stop_at(number).spawn();
        // A login may make a few calls less than the one that was counted.
        let is_over = !stopped.stops();
        let is_pending = pending() > 0;
        let _ = stopped.kill();
        !is_pending && !is_over
    });
    let (mut approved, mut denied) = (0, 0);
    for &number in &calls[first..] {
        begin();
        let mut stopped = login().later_at(number, STOPPED).stop_at(number).spawn();
        if !stopped.stops() {
            let _ = stopped.kill();
            continue;
        }
        let (had_the_phone, approved_before) = (pending() > 0, polls() > 0);
        let own = login().later_at(1, STOPPED).run();
        assert_eq!(own.code, Code::SUCCESS, "call {number}: {:?}", own.log);
        let sent = world.onelogin.activations();
        stopped.signal(Signal::SIGCONT);
        let outcome = stopped.finish();
        // Stopped while it took the phone, it finds out, and asks for it anew.
        let is_anew = outcome.prompts().concat().contains("Another login");
        if had_the_phone && !is_anew {
            if world.onelogin.activations() > sent {
                // Stopped in the write itself, it leaves; but its approval is worth nothing.
                let stopped_at = outcome.notes.failed.as_deref();
                assert_eq!(
                    stopped_at,
                    Some("send"),
                    "call {number}: a push was sent late"
                );
            }
            // Only what was approved and read before the stop.
            let may_enter = approved_before || outcome.code != Code::SUCCESS;
            assert!(may_enter, "call {number}: {:?}", outcome.log);
            approved += usize::from(approved_before);
            denied += usize::from(outcome.code != Code::SUCCESS);
        }
    }
    assert!(approved > 0 && denied > 50, "{approved} {denied}");
}

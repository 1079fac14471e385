//! The scripted host itself, against modules that are not ours: a host that sees wrongly would prove nothing.

use std::time::Duration;

use pam_host::{Answer, Call, Calls, Case, Code, Place, Step, Style, Text, Texts, place};

/// A place whose "module" is the helper.
fn place() -> Place {
    Place::with_module(place::helper())
}

/// A case for one line `auth required` with the helper, seen by the shim as the module.
fn helper(place: &Place, arguments: &str) -> Case {
    place.service("test", &[&format!("auth required @helper@ {arguments}")]);
    place
        .case("test")
        .user("root")
        .env("PAM_HOST_MODULE", "pam_host_helper")
}

#[test]
fn a_stack_that_permits_gives_success_and_setcred_follows() {
    let place = place();
    place.service("test", &["auth required pam_permit.so"]);
    let outcome = place.case("test").user("root").run();
    assert_eq!(outcome.code, Code::SUCCESS);
    assert_eq!(outcome.codes(Call::Setcred), [Code::SUCCESS]);
    assert_eq!(outcome.changes(), Vec::<String>::new());
}

#[test]
fn a_stack_that_denies_gives_its_code_and_no_setcred() {
    let place = place();
    place.service("test", &["auth required pam_deny.so"]);
    let outcome = place.case("test").user("root").run();
    assert_eq!(outcome.code, Code::AUTH_ERR);
    assert_eq!(outcome.codes(Call::Setcred), []);
}

#[test]
fn the_system_calls_of_a_module_are_counted_and_those_of_the_conversation_are_not() {
    let place = place();
    let file = place.write("kept/file", "");
    let folder = file.parent().unwrap();
    let count = |arguments: &str| {
        let case = helper(&place, &format!("auth=0 cred=0 {arguments}"));
        case.further(Answer::Text("yes".into())).run_counted(folder)
    };
    let (quiet, floor) = count("");
    assert_eq!((quiet.code, floor.in_folder), (Code::SUCCESS, 0));
    let (_, opened) = count(&format!("leak={}", file.display()));
    let one_more = Calls {
        all: floor.all + 1,
        in_folder: 1,
    };
    assert_eq!(opened, one_more);
    // The conversation looks at the threads of the process.
    let (asked, calls) = count("ask=?");
    assert_eq!((asked.prompts().len(), calls), (1, floor));
}

#[test]
fn calls_are_made_as_listed_whatever_they_return() {
    let place = place();
    let calls = [Call::Setcred, Call::Authenticate, Call::Authenticate];
    let outcome = helper(&place, "auth=11 cred=0").calls(calls).run();
    let seen: Vec<_> = outcome.runs[0]
        .iter()
        .map(|called| (called.call, called.code))
        .collect();
    assert_eq!(
        seen,
        [
            (Call::Setcred, Code::SUCCESS),
            (Call::Authenticate, Code::MAXTRIES),
            (Call::Authenticate, Code::MAXTRIES)
        ]
    );
}

#[test]
fn answers_meet_prompts_in_their_order_and_leftovers_are_counted() {
    let place = place();
    let case = helper(
        &place,
        "say=hello ask=visible? hidden=hidden? auth=0 cred=0",
    );
    let outcome = case.answers(["yes", "yes", "left"]).run();
    assert_eq!(outcome.code, Code::SUCCESS);
    let styles: Vec<_> = outcome
        .transcript
        .iter()
        .map(|message| message.style)
        .collect();
    assert_eq!(styles, [Style::Info, Style::Visible, Style::Hidden]);
    assert_eq!(outcome.prompts(), ["visible?", "hidden?"]);
    assert_eq!(outcome.texts(), ["hello"]);
    assert_eq!((outcome.unused, outcome.unscripted), (1, 0));
}

#[test]
fn each_hostile_answer_reaches_the_module() {
    let place = place();
    let case = helper(&place, "ask=code? auth=0");
    for (answer, code) in [
        (Answer::Fail, Code::CONV_ERR),
        (Answer::Null, Code::CONV_ERR),
        (Answer::NullText, Code::CONV_ERR),
        (Answer::Long(100_000), Code::AUTH_ERR),
        (Answer::Text(Text::from(b"\xff\xfe")), Code::AUTH_ERR),
    ] {
        let outcome = case.clone().respond(answer.clone()).run();
        assert_eq!(outcome.code, code, "{answer:?}");
        assert_eq!(outcome.transcript[0].answer, Some(answer));
    }
    assert_eq!(case.clone().run().unscripted, 1);
    assert_eq!(case.no_conversation().run().code, Code::CONV_ERR);
}

#[test]
fn texts_can_be_dropped_or_refused() {
    let place = place();
    let case = helper(&place, "say=hello auth=0");
    assert_eq!(case.clone().texts(Texts::Dropped).run().code, Code::SUCCESS);
    assert_eq!(case.texts(Texts::Refused).run().code, Code::CONV_ERR);
}

#[test]
fn a_test_can_act_between_a_prompt_and_its_answer() {
    let place = place();
    let mut running = helper(&place, "say=first ask=ready? auth=0").spawn();
    running.wait_text("first");
    assert_eq!(running.wait_prompt().text, "ready?");
    running.reply("yes");
    assert!(matches!(running.step(), Step::End(_)));
}

#[test]
fn a_test_that_stops_answering_makes_the_conversation_fail() {
    let place = place();
    let running = helper(&place, "ask=ready? auth=0").spawn();
    assert_eq!(running.finish().code, Code::CONV_ERR);
}

#[test]
#[should_panic(expected = "did not end in time and was killed")]
fn the_watchdog_ends_a_case_that_hangs() {
    let place = place();
    let mut running = helper(&place, "ask=ready? auth=0")
        .watchdog(Duration::from_millis(300))
        .spawn();
    running.wait_prompt();
    running.step();
}

#[test]
fn the_log_comes_to_the_test() {
    let place = place();
    let outcome = helper(&place, "log=one log=two auth=0").run();
    assert_eq!(outcome.log, ["one", "two"]);
    assert_eq!(
        helper(&place, "log=one auth=0").no_log().run().code,
        Code::SYSTEM_ERR
    );
}

#[test]
fn the_shim_sees_what_the_module_asks_for_and_nobody_else() {
    let place = place();
    let outcome = helper(&place, "getenv=HTTPS_PROXY leak=/dev/null auth=0").run();
    assert_eq!(outcome.notes.getenv, ["HTTPS_PROXY"]);
    assert_eq!(outcome.notes.opened.len(), 1);
    assert_eq!(outcome.notes.opened[0].path, "/dev/null");
    assert!(!outcome.notes.opened[0].close_on_exec);
    let unseen = helper(&place, "getenv=HTTPS_PROXY auth=0")
        .env("PAM_HOST_MODULE", "another")
        .run();
    assert_eq!(unseen.notes.getenv, Vec::<String>::new());
}

#[test]
fn each_call_of_the_module_can_be_made_to_fail() {
    let place = place();
    let case = helper(&place, "log=one auth=0");
    let calls = case.clone().run().notes.calls;
    assert!(calls >= 3, "socket, connect and send: {calls}");
    for number in 1..=calls {
        let outcome = case.clone().fail_call(number, libc::EIO).run();
        assert_eq!(outcome.code, Code::SYSTEM_ERR, "{:?}", outcome.notes.failed);
    }
}

#[test]
fn what_a_module_leaves_behind_is_seen() {
    let place = place();
    let outcome = helper(&place, "leak=/etc/passwd print=noise auth=0").run();
    let changes = outcome.changes();
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert!(changes[0].contains("/etc/passwd"), "{changes:?}");
    assert_eq!(outcome.stdout, "noise\n");
    assert_eq!(outcome.stderr, "");
}

#[test]
fn descriptors_can_be_closed_and_limited() {
    let place = place();
    let outcome = helper(&place, "leak=/etc/passwd auth=0")
        .closed([0, 1, 2])
        .run();
    assert_eq!(outcome.notes.opened[0].descriptor, 0);
    let leaks = "leak=/etc/passwd ".repeat(8);
    let outcome = helper(&place, &format!("{leaks} auth=0"))
        .descriptors(8)
        .run();
    assert_eq!(outcome.code, Code::SYSTEM_ERR);
}

#[test]
fn fail_delays_are_noted_and_not_slept() {
    let place = place();
    let outcome = helper(&place, "delay=60000000 auth=7").run();
    assert_eq!(outcome.code, Code::AUTH_ERR);
    assert_eq!(outcome.fail_delays.len(), 1);
    assert!(outcome.fail_delays[0] > 0);
}

#[test]
fn repetitions_run_in_one_process() {
    let place = place();
    let outcome = helper(&place, "ask=ready? auth=0 cred=0")
        .answer("yes")
        .repeat(50)
        .run();
    assert_eq!(outcome.runs.len(), 50);
    assert!(
        outcome
            .runs
            .iter()
            .flatten()
            .all(|called| called.code == Code::SUCCESS)
    );
    assert_eq!(outcome.unused, 0);
    assert_eq!(
        outcome.first.differences(&outcome.after),
        Vec::<String>::new()
    );
}

#[test]
fn only_the_environment_of_the_case_is_there() {
    let place = place();
    let outcome = helper(&place, "auth=0").env("ONE", "1").run();
    let names: Vec<_> = outcome
        .before
        .environment
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        names,
        ["LD_PRELOAD", "ONE", "PAM_HOST_LOG", "PAM_HOST_MODULE"]
    );
}

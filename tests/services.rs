//! `[services.NAME]` in the real libpam: programs that cannot show a prompt get one push, and no text. No root.

mod world;

use onelogin_simulator::PushBehaviour;
use pam_host::{Answer, Case, Code, Texts};
use std::time::Duration;
use world::{
    NAME, World, assert_accepted, assert_end, assert_logged, decision, fresh_code, push, reason,
    sms, totp,
};

const LONG: Duration = Duration::from_secs(60);

const PUSH: &str = "services.vsftpd.ask = \"push\"";

/// `pam_unix` asks for a password, whether it is right or not: this file is about what comes after it.
const STACK: [&str; 2] = [
    "auth [default=ignore] pam_unix.so",
    "auth required @module@",
];

/// A program that asks for the password and fails at every other prompt and at every text, as vsftpd and squid do.
fn vsftpd(world: &World) -> Case {
    world.place.service("vsftpd", &STACK);
    let case = world.place.case("vsftpd").user(NAME);
    let case = case.rhost("198.51.100.7").answer("a password");
    case.further(Answer::Fail).texts(Texts::Refused)
}

#[test]
fn an_approved_push_lets_in_without_a_prompt_or_a_text() {
    for polls in [0, 1] {
        let world = World::with([totp(), push()], &[PUSH]);
        world
            .onelogin
            .on_push(PushBehaviour::ApproveAfterPolls(polls));
        let outcome = vsftpd(&world).run();
        assert_accepted(&outcome);
        assert_eq!(outcome.prompts(), ["Password: "]);
        assert_eq!(outcome.texts(), [""; 0]);
        assert_eq!(world.sent(), (1, 0));
        let log = decision(&outcome);
        let expected = "pam_onelogin(vsftpd:auth): accepted user=nobody onelogin_id=1001 factor=push rhost=198.51.100.7";
        assert!(log.starts_with(expected), "{log}");
    }
}

#[test]
fn r22_a_push_that_was_not_approved_is_followed_by_none() {
    let world = World::with([totp(), push()], &[PUSH, "services.vsftpd.push_wait = 1"]);
    let outcome = vsftpd(&world).run();
    assert_end(&outcome, Code::ABORT, "push-unanswered");
    assert_eq!(outcome.texts(), [""; 0]);
    // A client that tries again by itself causes no second push.
    for _ in 0..2 {
        let outcome = vsftpd(&world).run();
        assert_end(&outcome, Code::ABORT, "push-paused");
        assert_logged(
            &outcome,
            "a push was not approved in the last 10 minutes, so no push is sent",
        );
    }
    assert_eq!(world.onelogin.activations(), 1);
    // Other services have limits of their own.
    world.onelogin.on_push(PushBehaviour::ApproveAfterPolls(0));
    let outcome = world.ssh().answers(["1", ""]).run();
    assert_accepted(&outcome);
    assert_eq!(world.onelogin.activations(), 2);
}

#[test]
fn r22_a_push_that_was_denied_is_followed_by_none_for_any_service() {
    let world = World::with([push()], &[PUSH]);
    world.onelogin.on_push(PushBehaviour::DenyAfterPolls(0));
    assert_end(&vsftpd(&world).run(), Code::ABORT, "push-denied");
    assert_end(&vsftpd(&world).run(), Code::ABORT, "push-denied-lately");
    let outcome = world.ssh().answer(world::PUSH_CODE).run();
    assert!(outcome.prompts()[0].starts_with("A push was denied. "));
    assert_accepted(&outcome);
    assert_eq!(world.onelogin.activations(), 1);
}

#[test]
fn r13_without_a_first_factor_nothing_is_sent() {
    let world = World::with([push()], &[PUSH, "first_factor = \"assumed\""]);
    world.place.service("vsftpd", &["auth required @module@"]);
    let outcome = world.place.case("vsftpd").user(NAME).run();
    assert_end(&outcome, Code::ABORT, "no-first-factor");
    assert_eq!((world.requests(), outcome.prompts().len()), (0, 0));
    // What is assumed of all services is not assumed of this one; what is set for it, is.
    let world = World::with(
        [push()],
        &[PUSH, "services.vsftpd.first_factor = \"assumed\""],
    );
    world.onelogin.on_push(PushBehaviour::ApproveAfterPolls(0));
    world.place.service("vsftpd", &["auth required @module@"]);
    assert_accepted(&world.place.case("vsftpd").user(NAME).run());
}

#[test]
fn r14_a_login_without_prompts_does_not_wait_for_the_push_of_another_one() {
    let world = World::with([push()], &[PUSH]);
    let first = vsftpd(&world).spawn();
    let poll = world
        .onelogin
        .wait_for_request(LONG, "GET", "/verifications/");
    assert!(poll.is_some());
    assert_end(&vsftpd(&world).run(), Code::ABORT, "push-paused");
    assert!(world.onelogin.approve_latest().is_some());
    assert_accepted(&first.finish());
    assert_eq!(world.onelogin.activations(), 1);

    let mut other = world.ssh().spawn();
    other.wait_prompt();
    other.reply("");
    assert!(other.prompt().starts_with("Push sent"));
    assert_end(&vsftpd(&world).run(), Code::ABORT, "phone-busy");
    assert!(world.onelogin.approve_latest().is_some());
    other.reply("");
    assert_accepted(&other.finish());
    assert_eq!(world.onelogin.activations(), 2);
}

#[test]
fn a_user_without_a_push_device_is_denied() {
    let world = World::with([totp(), sms()], &[PUSH]);
    assert_end(&vsftpd(&world).run(), Code::ABORT, "no-push-device");
    assert_eq!(world.sent(), (0, 0));
}

#[test]
fn the_name_of_a_service_is_in_lower_case_as_pam_has_it() {
    let world = World::with([push()], &[PUSH]);
    world.onelogin.on_push(PushBehaviour::ApproveAfterPolls(0));
    world.place.service("vsftpd", &STACK);
    let outcome = world
        .place
        .case("VSFTPD")
        .user(NAME)
        .answer("a password")
        .run();
    assert_accepted(&outcome);
}

#[test]
fn a_service_with_prompts_may_have_its_own_text_and_factors() {
    let world = World::with(
        [totp(), push()],
        &["services.ocserv = { prompt = \"Verification code: \", factors = [\"totp\"] }"],
    );
    let outcome = world
        .host("ocserv")
        .respond(Answer::Text(fresh_code().into()))
        .run();
    assert_accepted(&outcome);
    assert_eq!(outcome.prompts(), ["Verification code: "]);
    assert_eq!(reason(&outcome), "");
}

#[test]
fn r22_what_a_service_does_not_allow_ends_no_login_of_another_service() {
    let world = World::with(
        [totp()],
        &[
            "services.vsftpd = { ask = \"push\", factors = [\"push\"] }",
            "users.cache = 0",
        ],
    );
    assert_end(
        &vsftpd(&world).run(),
        Code::USER_UNKNOWN,
        "no-allowed-factor",
    );
    assert_accepted(&world.ssh().answer(fresh_code()).run());
}

#[test]
fn r22_a_service_without_prompts_does_not_use_up_the_look_ups_of_ssh_while_it_is_paused() {
    let world = World::with(
        [totp(), push()],
        &[PUSH, "services.vsftpd.push_wait = 1", "users.cache = 0"],
    );
    assert_end(&vsftpd(&world).run(), Code::ABORT, "push-unanswered");
    let before = world.requests();
    for _ in 0..20 {
        assert_eq!(vsftpd(&world).run().code, Code::ABORT);
    }
    let calls = world.requests() - before;
    assert_eq!(calls, 0);
    assert_accepted(&world.ssh().answers(["2", &fresh_code()]).run());
}

#[test]
fn r22_a_client_of_a_user_without_a_push_device_does_not_use_up_the_look_ups_of_ssh() {
    let world = World::with([totp()], &[PUSH, "users.cache = 0"]);
    assert_end(&vsftpd(&world).run(), Code::ABORT, "no-push-device");
    let before = world.requests();
    for _ in 0..20 {
        assert_end(&vsftpd(&world).run(), Code::USER_UNKNOWN, "look-up-paused");
    }
    assert_eq!(world.requests(), before);
    assert_accepted(&world.ssh().answer(fresh_code()).run());
}

#[test]
fn r22_who_could_only_enrol_costs_onelogin_few_calls_where_nobody_can() {
    let world = World::with([], &[PUSH, "users.no_factor = \"enroll\""]);
    let mut before = 0;
    for _ in 0..30 {
        vsftpd(&world).run();
        before = world.requests();
    }
    let outcome = vsftpd(&world).run();
    assert_eq!(world.requests(), before, "{:?}", outcome.log);
}

#[test]
fn r13_without_a_first_factor_each_name_gets_the_same_code() {
    let world = World::with([push()], &[PUSH]);
    world.place.service("vsftpd", &["auth required @module@"]);
    let known = world.place.case("vsftpd").user(NAME).run();
    let unknown = world.place.case("vsftpd").user("nobody-at-all").run();
    assert_eq!(
        (known.code, known.fail_delays.len()),
        (unknown.code, unknown.fail_delays.len())
    );
}

/// A web mail program, or a proxy: all its users come from its own address, a thief of a password, too.
#[test]
fn r22_behind_a_program_that_all_share_a_denied_push_is_followed_by_none() {
    let world = World::with([push()], &[PUSH]);
    let login = || vsftpd(&world).rhost("127.0.0.1").run();
    world.onelogin.on_push(PushBehaviour::ApproveAfterPolls(0));
    assert_accepted(&login());
    world.onelogin.on_push(PushBehaviour::DenyAfterPolls(0));
    assert_end(&login(), Code::ABORT, "push-denied");
    for _ in 0..3 {
        login();
    }
    assert_eq!(world.onelogin.activations(), 2);
}

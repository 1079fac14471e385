//! `pam-onelogin check --prove`: what the tool finds out about a tenant, and what follows from it.

mod tool;
mod world;

use onelogin_simulator::{Action, DEFAULT_CLIENT_ID, Dialect, Fault, Match, Message, WrongCode};
use pam_host::{Code, Pty};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;
use tool::{Ran, assert_documented, at, has, on_terminal, run};
use world::{
    NAME, PUSH_CODE, PUSH_CODE_2, TOTP_CODE, World, assert_accepted, assert_end, fresh_code, push,
    sms, totp,
};

const LONG: Duration = Duration::from_secs(60);
const CODE: &str = "Code (empty line: stop): ";
const V1: &str = "onelogin.api_version = 1";

fn prove(world: &World, answers: &[&str]) -> Ran {
    run(
        at(&world.place, &["check", "--prove", NAME, "--json"]),
        answers,
    )
}

/// The answers, by their questions.
fn answer<'a>(document: &'a Value, question: &str) -> &'a str {
    let answers = document["answers"].as_array().unwrap();
    let mut found = answers
        .iter()
        .filter(|answer| answer["question"] == question);
    found
        .next()
        .map_or("", |answer| answer["answer"].as_str().unwrap())
}

/// What `check` says is known of the tenant.
fn known(world: &World) -> String {
    let ran = run(at(&world.place, &["check", "--json"]), &[]);
    let document = ran.json();
    let ids = document["findings"].as_array().unwrap().iter();
    let mut ids = ids.map(|finding| finding["id"].as_str().unwrap());
    let id = ids.find(|id| ["proved", "not-proved", "unsafe-tenant", "unsafe-answer"].contains(id));
    id.unwrap().to_owned()
}

fn beside_the_configuration(world: &World, name: &str) -> PathBuf {
    world.place.config_path().with_file_name(name)
}

#[test]
fn r06_a_tenant_that_accepts_a_wrong_code_is_unsafe_until_it_refuses_one() {
    let activated = "onelogin.verify = \"activated\"";
    for (dialect, version) in [
        (Dialect::Live, ""),
        (Dialect::Docs, ""),
        (Dialect::Live, activated),
        (Dialect::Live, V1),
    ] {
        let world = World::with([totp()], &[version]).speaking(dialect);
        world.onelogin.set_wrong_code(WrongCode::Accepted);
        let ran = prove(&world, &[TOTP_CODE, TOTP_CODE]);
        assert_eq!(ran.code, 3, "{dialect:?} {version} {}", ran.err);
        has(&ran.err, "DANGER: OneLogin accepted two wrong codes.");
        has(
            answer(&ran.json(), "wrong-code"),
            "ACCEPTED two wrong codes: HTTP 200",
        );
        assert_eq!(world.onelogin.codes(), 2, "it stops at once");
        let list = beside_the_configuration(&world, "unsafe-tenants");
        let line = format!("\n{} {DEFAULT_CLIENT_ID} 2", world.onelogin.url());
        has(&std::fs::read_to_string(&list).unwrap(), &line);

        // The module lets nobody in by it, whatever OneLogin says.
        let denied = world.ssh().answer(fresh_code()).run();
        assert_end(&denied, Code::SERVICE_ERR, "unsafe-tenant");
        let ran = run(at(&world.place, &["test", NAME]), &[&fresh_code()]);
        has(&ran.out, "denied user=nobody");
        has(&ran.out, "reason=unsafe-tenant");
        // A refusal is worth nothing while no right code is accepted.
        world.onelogin.set_wrong_code(WrongCode::Rejected);
        for codes in [
            &["000000", "000000"] as &[&str],
            &["000000", ""],
            &["000000"],
        ] {
            let ran = prove(&world, codes);
            assert_eq!(ran.code, 3, "{}", ran.err);
            has(
                &ran.err,
                "every login by this credential is denied, because of: wrong-code/totp/v",
            );
            assert!(list.exists());
        }
        let ran = prove(&world, &["000000", "000000"]);
        std::fs::rename(&list, list.with_extension("away")).unwrap();
        assert_eq!(
            known(&world),
            "not-proved",
            "the answer is another one by now"
        );
        std::fs::rename(list.with_extension("away"), &list).unwrap();
        assert_eq!(known(&world), "unsafe-tenant");
        has(answer(&ran.json(), "right-code"), "refused: HTTP");
        assert!(list.exists());

        let ran = prove(&world, &[TOTP_CODE, TOTP_CODE]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        has(&ran.err, "Logins by this credential work again.");
        assert!(!list.exists());
        assert_eq!(known(&world), "proved");
        world.later();
        assert_accepted(&world.ssh().answer(fresh_code()).run());
    }
}

/// In the models of a Python package, the reply to a right code has neither of the two forms that count (rule R6).
#[test]
fn a_right_code_whose_reply_is_no_acceptance_is_a_surprise() {
    let world = World::with_totp().speaking(Dialect::Py4);
    let ran = prove(&world, &[TOTP_CODE, TOTP_CODE]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let document = ran.json();
    has(answer(&document, "wrong-code"), "refused: HTTP 401");
    has(
        answer(&document, "right-code"),
        "unexpected: HTTP 200, an object; reason=bad-reply",
    );
    assert_eq!(known(&world), "not-proved");
}

#[test]
fn each_step_asks_first_and_at_most_three_pushes_are_sent() {
    for (dialect, refused) in [(Dialect::Live, "HTTP 200"), (Dialect::Docs, "HTTP 401")] {
        let world = World::with([push()], &["factors.expires_in = 900"]).speaking(dialect);
        let mut screen = on_terminal(at(&world.place, &["check", "--prove", NAME]));
        screen.expect(CODE);
        assert_eq!(world.sent(), (0, 0));
        screen.line(PUSH_CODE);
        screen.expect(&format!("OneLogin's answer: refused: {refused}"));
        screen.expect(CODE);
        screen.line(PUSH_CODE);
        screen.expect("OneLogin's answer: accepted: HTTP 200");
        let push = |screen: &mut Pty, count: usize| {
            screen.expect("Send it? [y/N] ");
            assert_eq!(world.onelogin.activations(), count - 1);
            screen.line("y");
        };
        push(&mut screen, 1);
        // When the push is on the phone, not only before.
        screen.expect("The push has been sent. Deny it now.");
        sent(&world, 1);
        world.onelogin.deny_latest().unwrap();
        screen.expect("Did you press Deny? [y/n] ");
        screen.line("y");
        screen.expect("OneLogin's answer: refused: HTTP 200");
        push(&mut screen, 2);
        screen.expect(CODE);
        sent(&world, 2);
        screen.line(PUSH_CODE_2);
        screen.expect("OneLogin's answer: accepted: HTTP 200");
        push(&mut screen, 3);
        screen.expect("The push has been sent. Do not answer it.");
        sent(&world, 3);
        world.onelogin.expire_verifications();
        screen.expect("Did you leave the push unanswered? [y/n] ");
        screen.line("perhaps");
        screen.expect("Did you leave the push unanswered? [y/n] ");
        screen.line("y");
        screen.expect("OneLogin's answer: refused: HTTP 404");
        screen.expect(&format!("Next: sudo pam-onelogin test {NAME}"));
        let (status, all) = screen.finish();
        assert_eq!(status.code(), Some(0), "{all}");
        assert_eq!(world.onelogin.activations(), 3);
        // What was refused and denied here on purpose counts against nobody; what was accepted is used up.
        for code in [PUSH_CODE, PUSH_CODE_2] {
            let login = world.ssh().answers([code; 3]).run();
            assert_end(&login, Code::MAXTRIES, "used-code");
        }
        assert_eq!(
            world.kept("f-").len() + world.kept("c-").len() + world.kept("h-").len(),
            0
        );
        let kept = std::fs::read_to_string(beside_the_configuration(&world, "proof.json")).unwrap();
        for secret in [PUSH_CODE, PUSH_CODE_2, NAME] {
            assert!(!kept.contains(secret), "{kept}");
        }
        // The folder of a process that was killed goes with the next one.
        std::fs::create_dir(world.place.state_path().join("prove-999999999@1")).unwrap();
        assert_eq!(prove(&world, &[""]).code, 1);
        let left = std::fs::read_dir(world.place.state_path()).unwrap();
        let names = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let names: Vec<_> = names.filter(|name| name.starts_with("prove-")).collect();
        assert_eq!(names, [""; 0]);
    }
}

/// Waits until so many messages were sent, and returns the last of them.
fn sent(world: &World, count: usize) -> Message {
    let mut seen = BTreeSet::new();
    // It is asked about earlier messages again and again.
    let are_all = |message: &Message| {
        seen.insert(message.verification.clone());
        seen.len() >= count
    };
    assert!(world.onelogin.wait_for_message(LONG, are_all).is_some());
    world.onelogin.messages().swap_remove(count - 1)
}

#[test]
fn a_denied_push_that_counts_as_approved_makes_a_tenant_unsafe_if_it_was_denied() {
    for (was_denied, code) in [("y", 3), ("n", 1)] {
        let world = World::with_push();
        let mut screen = on_terminal(at(&world.place, &["check", "--prove", NAME]));
        for code in [PUSH_CODE, PUSH_CODE] {
            screen.expect(CODE);
            screen.line(code);
        }
        screen.expect("Send it? [y/N] ");
        screen.line("y");
        sent(&world, 1);
        world.onelogin.approve_latest().unwrap();
        screen.expect("Did you press Deny? [y/n] ");
        screen.line(was_denied);
        let (status, all) = screen.finish();
        assert_eq!(status.code(), Some(code), "{all}");
        let list = beside_the_configuration(&world, "unsafe-tenants");
        assert_eq!(list.exists(), code == 3);
        assert_eq!(all.contains("DANGER"), code == 3, "{all}");
        // A right answer to another question does not lift it.
        let ran = prove(&world, &[PUSH_CODE_2, PUSH_CODE_2, "n"]);
        assert_eq!(ran.code, code, "{}", ran.err);
        assert_eq!(list.exists(), code == 3);
        // Configuration management may remove the list; the answer is still known.
        if code == 3 {
            std::fs::remove_file(&list).unwrap();
            assert_eq!(known(&world), "unsafe-answer");
        }
    }
}

#[test]
fn a_message_is_sent_for_each_code_and_the_user_without_a_push_is_asked_no_more() {
    for version in ["", V1] {
        let world = World::with([sms()], &[version]);
        let mut screen = on_terminal(at(&world.place, &["check", "--prove", NAME]));
        for count in 1..=2 {
            screen.expect("Send it? [y/N] ");
            assert_eq!(world.onelogin.activations(), count - 1);
            screen.line("y");
            screen.expect(CODE);
            screen.line(sent(&world, count).code().unwrap());
            screen.expect("OneLogin's answer: ");
        }
        let (status, all) = screen.finish();
        assert_eq!(status.code(), Some(0), "{all}");
        has(&all, "this user has no OneLogin Protect");
    }
}

#[test]
fn it_stops_where_the_administrator_does_or_where_onelogin_surprises() {
    let world = World::with_totp();
    let ran = prove(&world, &[""]);
    assert_eq!((ran.code, world.onelogin.codes()), (1, 0));
    has(&ran.err, "stopped; the other questions were not asked");

    let refusal = Fault::new(Match::path("/verifications"), Action::status(500));
    world.onelogin.fault(refusal);
    let ran = prove(&world, &[TOTP_CODE]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    has(&ran.err, "stopped at a surprise");
    let document = ran.json();
    has(answer(&document, "wrong-code"), "unexpected: HTTP 500");
    assert!(!beside_the_configuration(&world, "unsafe-tenants").exists());

    // A tenant that takes the code for a wish to begin a verification.
    let begun = json!({"id": "b4e1", "user_id": 1001, "device_id": "501", "expires_at": "2026-11-30T00:00:00Z"});
    let begins = Action::Status(201, begun.to_string(), Vec::new());
    let world = World::with_totp();
    world
        .onelogin
        .fault(Fault::new(Match::path("/verifications"), begins));
    let ran = prove(&world, &[TOTP_CODE]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let advice = &ran.json()["answers"][0]["advice"];
    has(advice.as_str().unwrap(), "write verify = \"activated\"");

    let world = World::with([], &[]);
    let ran = prove(&world, &[]);
    assert_eq!(ran.code, 1);
    has(
        &ran.err,
        "nobody could not log in: no-factor; nothing was asked",
    );
}

#[test]
fn the_answers_are_kept_for_each_credential_and_the_document_is_in_the_manual() {
    let world = World::with_totp();
    let ran = prove(&world, &[TOTP_CODE, TOTP_CODE]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let document = ran.json();
    assert_documented("check", &document);
    has(
        answer(&document, "wrong-code"),
        "refused: HTTP 200, an object, status \"rejected\"",
    );
    has(answer(&document, "ids"), "device_id");
    has(answer(&document, "denied-push"), "not asked");
    let path = beside_the_configuration(&world, "proof.json");
    let kept = |path: &PathBuf| -> Value {
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    };
    // What was not asked is shown, and not kept.
    let answered = |document: &Value| {
        let mut document = document.clone();
        let answers = document["answers"].as_array_mut().unwrap();
        answers.retain(|answer| answer["tested"] != "");
        document
    };
    assert_eq!(kept(&path), Value::from(vec![answered(&document)]));
    let other = json!({"url": "https://x.onelogin.com", "client_id": "x", "answers": []});
    let both = Value::from(vec![answered(&document), other.clone()]);
    std::fs::write(&path, both.to_string()).unwrap();
    world.forget_used_codes();
    let again = prove(&world, &[TOTP_CODE, TOTP_CODE]).json();
    assert_eq!(kept(&path), Value::from(vec![other, answered(&again)]));
}

#[test]
fn one_wrong_code_that_is_accepted_is_a_surprise_and_a_second_one_is_danger() {
    let world = World::with_totp();
    world.onelogin.set_wrong_code(WrongCode::Accepted);
    let mut screen = on_terminal(at(&world.place, &["check", "--prove", NAME]));
    screen.expect(CODE);
    screen.line(TOTP_CODE);
    screen.expect("OneLogin accepted a wrong code. To be sure, ");
    screen.expect(CODE);
    world.onelogin.set_wrong_code(WrongCode::Rejected);
    screen.line(TOTP_CODE);
    screen.expect("one was accepted, a second one refused");
    let (status, all) = screen.finish();
    assert_eq!(status.code(), Some(1), "{all}");
    assert!(!beside_the_configuration(&world, "unsafe-tenants").exists());
    assert_eq!(known(&world), "not-proved");
}

#[test]
fn r21_nothing_is_sent_while_another_login_of_the_user_waits_for_its_push() {
    let world = World::with_push();
    let mut login = world.ssh().spawn();
    login.wait_prompt();
    login.reply("");
    login.wait_prompt();
    let sent = world.sent();
    let ran = prove(&world, &[PUSH_CODE]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    has(&ran.err, "another login of this user waits for its push");
    assert_eq!(world.sent(), sent);
    world.onelogin.approve_latest().unwrap();
    login.reply("");
    assert_accepted(&login.finish());
}

//! Each factor in each dialect and version of the API: the right answer lets in, a wrong, late,
//! repeated or foreign one does not, and nothing is sent twice. The built module in the real
//! libpam; no root.

mod world;

use onelogin_simulator::{
    Action, DEFAULT_CLIENT_ID, Device, Dialect, Factor as Kind, Fault, Match, ProtectListing,
    PushBehaviour, Scope, ScopeRules, Simulator, User,
};
use pam_host::{Case, Code, Outcome, Place};
use pam_onelogin::factor::Factor;
use std::collections::BTreeSet;
use std::time::Duration;
use world::{
    DIALECTS, ID, NAME, World, assert_accepted, assert_denied, assert_denied_for, assert_end,
    assert_factor, assert_logged, connection, decision, reason, totp,
};

const LONG: Duration = Duration::from_secs(60);
const YUBIKEY_CODE: &str = "ccccccbchvthlivuitriujjifivbvtrjkjfirllluurj";

/// The configuration of a version.
fn version(version: u8) -> String {
    format!("onelogin.api_version = {version}")
}

/// A factor whose codes are at hand: device, right code, a wrong one of the same shape.
fn at_hand() -> [(&'static str, Device, &'static str, String); 4] {
    let yubikey = "c".repeat(44);
    [
        (
            "totp",
            Device::authenticator("501", "App").code("012345"),
            "012345",
            "012346".into(),
        ),
        (
            "protect-code",
            Device::protect("601", "Phone").code("000001"),
            "000001",
            "000002".into(),
        ),
        (
            "yubikey",
            Device::yubikey("901", "Key").code(YUBIKEY_CODE),
            YUBIKEY_CODE,
            yubikey,
        ),
        (
            "duo",
            Device::duo("902", "Duo").code("7654321"),
            "7654321",
            "7654322".into(),
        ),
    ]
}

#[test]
fn each_code_at_hand_lets_in_and_a_wrong_or_foreign_one_does_not() {
    for dialect in DIALECTS {
        for api in [1, 2] {
            for (factor, device, code, wrong) in at_hand() {
                let what = format!("{factor} {dialect:?} v{api}");
                let world = World::with([device], &[&version(api)]).speaking(dialect);
                // Somebody else's device of the same kind.
                world.onelogin.add_user(User::new(2002, "other"));
                world
                    .onelogin
                    .add_device(2002, Device::authenticator("999", "Other").code("555555"));
                let outcome = world.ssh().answer(code).run();
                assert_eq!(outcome.code, Code::SUCCESS, "{what} {:?}", outcome.log);
                assert_factor(&outcome, factor);
                assert_eq!(world.onelogin.codes(), 1, "{what}");

                let outcome = world
                    .ssh()
                    .answers([wrong.as_str(), "555555", "555555"])
                    .run();
                assert_eq!(outcome.code, Code::MAXTRIES, "{what}");
                assert_eq!(world.onelogin.activations(), 0, "{what}");
            }
        }
    }
}

/// A factor that sends a code: device, and what its prompts say.
fn sent() -> [(&'static str, Device, &'static str); 2] {
    [
        (
            "sms",
            Device::sms("701", "Mobile"),
            "Verification code from the text message to Mobile: ",
        ),
        (
            "email",
            Device::email("702", "Mail"),
            "Verification code from the e-mail to Mail: ",
        ),
    ]
}

#[test]
fn each_code_that_is_sent_lets_in_once_and_a_wrong_or_late_one_does_not() {
    for dialect in DIALECTS {
        for api in [1, 2] {
            for (factor, device, prompt) in sent() {
                let what = format!("{factor} {dialect:?} v{api}");
                let world = World::with([device], &[&version(api)]).speaking(dialect);
                world.onelogin.set_next_code("0B41");
                let outcome = world.ssh().answers(["", "0B41"]).run();
                assert_eq!(outcome.code, Code::SUCCESS, "{what} {:?}", outcome.log);
                assert_eq!(outcome.prompts()[1], prompt, "{what}");
                assert_factor(&outcome, factor);
                assert_eq!(world.sent(), (1, 1), "{what}");

                // Wrong, and the code of the earlier message.
                let outcome = world
                    .later()
                    .ssh()
                    .answers(["", "9999", "0B41", "0B41"])
                    .run();
                assert_denied(&outcome, &what);
                assert_eq!(world.onelogin.activations(), 2, "{what}");

                // Late: the verification has expired while the user was typing.
                world.onelogin.set_next_code("0B42");
                let mut login = world.later().ssh().spawn();
                login.wait_prompt();
                login.reply("");
                login.wait_prompt();
                world.onelogin.expire_verifications();
                login.reply("0B42");
                let outcome = answer_the_rest(login);
                assert_denied(&outcome, &what);
                assert_eq!(
                    world.onelogin.activations(),
                    3,
                    "it is not sent again: {what}"
                );
            }
        }
    }
}

/// A person who has nothing more to say.
fn answer_the_rest(mut login: pam_host::Running) -> Outcome {
    while let pam_host::Step::Prompt(_) | pam_host::Step::Shown(_) = {
        let step = login.step();
        if let pam_host::Step::End(report) = step {
            return login.end(*report);
        }
        if let pam_host::Step::Prompt(_) = &step {
            login.reply("x");
        }
        step
    } {}
    unreachable!("a case ends");
}

/// A factor that is answered elsewhere: device, version, and the beginning of its prompt.
fn approved() -> [(&'static str, Device, u8, &'static str); 4] {
    [
        (
            "push",
            Device::protect("601", "Phone"),
            2,
            "Push sent to Phone. Approve it, then press Enter (or type a code): ",
        ),
        (
            "push",
            Device::protect("601", "Phone"),
            1,
            "Push sent to Phone. Approve it, then press Enter: ",
        ),
        (
            "voice",
            Device::voice("801", "Desk"),
            2,
            "Calling Desk. Type ",
        ),
        (
            "magic-link",
            Device::magic_link("803", "Mail").type_name("Link"),
            2,
            "Link sent by e-mail (Mail). Open it, then press Enter: ",
        ),
    ]
}

#[test]
fn no_factor_is_left_out_here() {
    let at_hand = at_hand().map(|row| row.0);
    let sent = sent().map(|row| row.0);
    let approved = approved().map(|row| row.0);
    // A temporary token is no device, and has a test of its own.
    let tried: BTreeSet<&str> = [&at_hand[..], &sent, &approved, &["temporary"]]
        .concat()
        .into_iter()
        .collect();
    let all: BTreeSet<&str> = Factor::all().map(Factor::word).collect();
    assert_eq!(tried, all);
}

fn approving(device: Device, api: u8, dialect: Dialect) -> World {
    let lines = [
        version(api),
        "factors.magic_link = [\"Link\"]".to_owned(),
        "push.wait = 1".to_owned(),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let world = World::with([device], &lines).speaking(dialect);
    world.onelogin.set_protect_listing(ProtectListing::Twice);
    world
}

/// The first prompt starts the factor: by Enter, or by the line of a menu.
fn start(world: &World) -> Case {
    world.ssh().answer("")
}

#[test]
fn each_approval_lets_in_and_a_refusal_or_silence_does_not() {
    for dialect in DIALECTS {
        for (factor, device, api, prompt) in approved() {
            let what = format!("{factor} {dialect:?} v{api}");
            let world = approving(device.clone(), api, dialect);
            world.onelogin.on_push(PushBehaviour::ApproveAfterPolls(1));
            let outcome = start(&world).answer("").run();
            assert_eq!(outcome.code, Code::SUCCESS, "{what} {:?}", outcome.log);
            assert!(
                outcome.prompts()[1].starts_with(prompt),
                "{what}: {:?}",
                outcome.prompts()
            );
            assert_factor(&outcome, factor);
            assert_eq!(world.onelogin.activations(), 1, "{what}");

            let world = approving(device.clone(), api, dialect);
            world.onelogin.on_push(PushBehaviour::DenyAfterPolls(1));
            let outcome = start(&world).answer("").run();
            assert_denied_for(&outcome, &what, "push-denied");
            assert_eq!(world.onelogin.activations(), 1, "{what}");

            let world = approving(device, api, dialect);
            let outcome = start(&world).answer("").run();
            assert_denied_for(&outcome, &what, "push-unanswered");
            assert_eq!(world.onelogin.activations(), 1, "{what}");
        }
    }
}

/// As the models of a Python package have it, which were generated and never seen answered. Devices, activations and polls are
/// understood; the flat reply to a right code is no acceptance in either version (rule R6).
#[test]
fn by_the_models_of_a_python_package_a_push_lets_in_and_the_flat_reply_to_a_code_does_not() {
    let world = approving(Device::protect("601", "Phone"), 2, Dialect::Py4);
    world.onelogin.on_push(PushBehaviour::ApproveAfterPolls(1));
    let outcome = start(&world).answer("").run();
    assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
    world.onelogin.on_push(PushBehaviour::DenyAfterPolls(0));
    let outcome = start(&world).answer("").run();
    assert_eq!(reason(&outcome), "push-denied");
    for api in [1, 2] {
        for (factor, device, code, _) in at_hand() {
            let world = World::with([device], &[&version(api)]).speaking(Dialect::Py4);
            let outcome = world.ssh().answer(code).run();
            assert_denied_for(&outcome, &format!("{factor} v{api}"), "bad-reply");
            assert_eq!(world.onelogin.codes(), 1, "{factor} v{api}");
        }
    }
}

#[test]
fn an_approval_of_another_login_counts_for_nobody_else() {
    // Two hosts, which do not know of each other's push.
    let world = World::with_push();
    let other = Place::new();
    other.config_for(&world.onelogin, &[]);
    let mut first = world.ssh().spawn();
    first.wait_prompt();
    first.reply("");
    first.wait_prompt();
    let connection = world::connection();
    let mut second = other
        .alone("sshd")
        .user(world::NAME)
        .ssh_with_key(&connection)
        .spawn();
    second.wait_prompt();
    second.reply("");
    second.wait_prompt();
    // Only the second push is approved.
    assert!(world.onelogin.approve_latest().is_some());
    second.reply("");
    assert_eq!(second.finish().code, Code::SUCCESS);
    world.onelogin.expire_verifications();
    first.reply("");
    assert_denied(&first.finish(), "somebody else's approval");
}

#[test]
fn r14_of_two_logins_at_once_one_approval_lets_in_one() {
    let world = World::with_push();
    let mut first = world.ssh().spawn();
    first.wait_prompt();
    first.reply("");
    assert!(first.prompt().starts_with("Push sent"));
    let mut second = world.ssh().spawn();
    second.wait_prompt();
    second.reply("");
    let busy = second.prompt();
    assert!(
        busy.starts_with("Another login is waiting on your phone. "),
        "{busy}"
    );
    assert_eq!(world.onelogin.activations(), 1);
    // The second one waits; the approval is that of the first, who has it.
    second.reply("");
    assert!(world.onelogin.approve_latest().is_some());
    first.reply("");
    assert_eq!(first.finish().code, Code::SUCCESS);
    assert!(second.prompt().starts_with("Push sent"));
    assert_eq!(world.onelogin.activations(), 2);
    assert!(world.onelogin.deny_latest().is_some());
    second.reply("");
    assert_eq!(reason(&second.finish()), "push-denied");
}

#[test]
fn r14_of_many_logins_at_once_one_push_is_on_the_phone() {
    let world = World::with([world::push()], &["limits.challenges = 100"]);
    world.place.service("sshd", &["auth required @module@"]);
    let login = || {
        let case = world.place.case("sshd").user(NAME);
        case.ssh_with_key(&connection()).spawn()
    };
    for round in 0..8 {
        let before = world.onelogin.activations();
        let mut logins: Vec<_> = (0..8).map(|_| login()).collect();
        for login in &mut logins {
            login.wait_prompt();
        }
        for login in &mut logins {
            login.reply("");
        }
        for login in &mut logins {
            login.wait_prompt();
        }
        assert_eq!(world.onelogin.activations(), before + 1, "round {round}");
        // Those of the round before are gone, and so is whoever had the phone.
        for login in logins {
            let _ = login.kill();
        }
    }
}

#[test]
fn r14_the_phone_is_free_again_when_a_login_ends_though_its_process_goes_on() {
    let world = World::with_push();
    world.onelogin.on_push(PushBehaviour::ApproveAfterPolls(0));
    let outcome = world.ssh().answers(["", ""]).repeat(2).run();
    assert!(
        outcome.runs.iter().all(|run| run[0].code == Code::SUCCESS),
        "{:?}",
        outcome.log
    );
}

#[test]
fn r14_an_outage_at_the_code_is_no_refused_code() {
    let mut world = World::with_totp();
    assert_accepted(&world.ssh().answer(world::fresh_code()).run());
    let used = world.kept("x-").len();
    let mut login = world.ssh().spawn();
    login.wait_prompt();
    world.onelogin.close_connections();
    world.onelogin.stop();
    login.reply(world::fresh_code());
    assert_eq!(reason(&login.finish()), "no-connection");
    assert_eq!((world.kept("f-").len(), world.kept("x-").len()), (0, used));
}

#[test]
fn r16_r18_a_code_whose_reply_was_trouble_is_not_sent_in_a_later_login_either() {
    let world = World::with_totp();
    let code = world::fresh_code();
    for action in [Action::status(503), Action::DropAfter] {
        let codes = world.onelogin.codes();
        world.fault(Fault::new(Match::code(), action).times(1));
        let _ = world.ssh().answer(&code).run();
        assert_eq!(world.onelogin.codes(), codes + 1);
        let outcome = world.ssh().answers([code.as_str(); 3]).run();
        assert_eq!(reason(&outcome), "used-code");
        assert_eq!(world.onelogin.codes(), codes + 1);
        world.later();
    }
}

#[test]
fn r18_a_code_is_taken_once_whichever_account_here_it_is_typed_for() {
    let world = World::with_totp();
    let map = world
        .place
        .write("etc/map", "nobody id=1001\ndaemon id=1001\n");
    world.config(&[&format!("users.map_file = {:?}", map.to_str().unwrap())]);
    let code = world::fresh_code();
    assert_accepted(&world.ssh().answer(&code).run());
    let codes = world.onelogin.codes();
    let other = world
        .place
        .alone("sshd")
        .user("daemon")
        .ssh_with_key(&connection());
    assert_eq!(
        reason(&other.answers([code.as_str(); 3]).run()),
        "used-code"
    );
    assert_eq!(world.onelogin.codes(), codes);
}

#[test]
fn r14_who_waits_for_the_phone_can_type_a_code_instead() {
    let world = World::with_push();
    let mut first = world.ssh().spawn();
    first.wait_prompt();
    first.reply("");
    first.wait_prompt();
    let outcome = world.ssh().answers(["", world::PUSH_CODE]).run();
    assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
    assert_eq!(world.onelogin.activations(), 1);
    // The phone is still the first one's.
    assert!(world.onelogin.approve_latest().is_some());
    first.reply("");
    assert_eq!(first.finish().code, Code::SUCCESS);
}

#[test]
fn r14_a_login_that_is_killed_leaves_the_phone_to_the_next_and_its_challenge_counted() {
    let world = World::with([world::push()], &["limits.challenges = 2"]);
    for _ in 0..2 {
        let mut login = world.ssh().spawn();
        login.wait_prompt();
        login.reply("");
        assert!(login.prompt().starts_with("Push sent"));
        let _ = login.kill();
    }
    let outcome = world.ssh().answers(["", "", ""]).run();
    assert_eq!(world.onelogin.activations(), 2);
    assert_eq!(
        outcome.prompts()[0],
        "Too many pushes, calls or messages. Type a code, or log in again later. Verification code (OneLogin): "
    );
    let held_back = "limits.challenges is reached, only codes are offered: user=nobody";
    assert_logged(&outcome, held_back);
}

#[test]
fn r14_unanswered_and_denied_challenges_are_counted_and_accepted_ones_are_not() {
    let world = World::with([world::sms()], &["limits.challenges = 2"]);
    let accepted = || {
        let mut login = world.ssh().spawn();
        login.wait_prompt();
        login.reply("");
        login.wait_prompt();
        let message = world.onelogin.messages().pop().unwrap();
        login.reply(message.code().unwrap());
        assert_eq!(login.finish().code, Code::SUCCESS);
    };
    for _ in 0..3 {
        accepted();
    }
    // Broken off, then typed wrong: either counts.
    let _ = world.ssh().answer("").run();
    let _ = world.ssh().answers(["", "0000", "0000", "0000"]).run();
    // From where the user was accepted before there is one more.
    let reserve = world.ssh().answer("").run();
    assert_eq!(reason(&reserve), "no-conversation");
    let activations = world.onelogin.activations();
    let outcome = world.ssh().answers(["", ""]).run();
    assert_eq!(reason(&outcome), "too-many-challenges");
    assert_eq!(outcome.prompts(), [""; 0]);
    assert_eq!(world.onelogin.activations(), activations);
}

#[test]
fn r14_refused_codes_are_counted_over_logins_and_then_nothing_is_sent() {
    let world = World::with([totp()], &["limits.failures = 4"]);
    for codes in [
        ["000001", "000002", "000003"],
        ["000004", "000005", "000006"],
    ] {
        let _ = world.ssh().answers(codes).run();
    }
    assert_eq!(world.onelogin.codes(), 4, "the fifth was not sent");
    world.onelogin.clear_requests();
    let outcome = world.ssh().answer(world::TOTP_CODE).run();
    assert_end(&outcome, Code::MAXTRIES, "too-many-codes");
    assert_eq!(world.requests(), 0);
    assert_eq!(outcome.prompts(), [""; 0]);
}

#[test]
fn r14_an_accepted_code_is_not_counted_as_refused() {
    let world = World::with([totp()], &["limits.failures = 2"]);
    for _ in 0..4 {
        assert_accepted(&world.ssh().answer(world::fresh_code()).run());
    }
    let _ = world.ssh().answers(["000001", &world::fresh_code()]).run();
    assert_accepted(&world.ssh().answer(world::fresh_code()).run());
}

#[test]
fn r18_a_code_is_accepted_once_on_a_host_whatever_onelogin_says() {
    let world = World::with_totp();
    assert_accepted(&world.ssh().answer(world::TOTP_CODE).run());
    let codes = world.onelogin.codes();
    let next = world::fresh_code();
    let outcome = world.ssh().answers([world::TOTP_CODE, &next]).run();
    assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
    assert_eq!(
        outcome.prompts()[1],
        "That code was used before; wait for the next one. Verification code (OneLogin): "
    );
    assert_eq!(
        world.onelogin.codes(),
        codes + 1,
        "the used one was not sent"
    );
    // With nothing but used ones there is no way in.
    let outcome = world.ssh().answers([world::TOTP_CODE, &next, &next]).run();
    assert_end(&outcome, Code::MAXTRIES, "used-code");
}

#[test]
fn r18_two_logins_with_one_code_at_once_send_it_once() {
    let world = World::with_totp();
    let mut logins = [world.ssh().spawn(), world.ssh().spawn()];
    for login in &mut logins {
        login.wait_prompt();
    }
    for login in &mut logins {
        login.reply(world::TOTP_CODE);
    }
    let outcomes = logins.map(|login| login.finish().code);
    let accepted = outcomes
        .iter()
        .filter(|&&code| code == Code::SUCCESS)
        .count();
    assert_eq!((accepted, world.onelogin.codes()), (1, 1), "{outcomes:?}");
}

#[test]
fn a_call_shows_the_digits_that_onelogin_gave() {
    let world = World::with([Device::voice("801", "Desk")], &[]);
    let mut login = world.ssh().spawn();
    login.wait_prompt();
    login.reply("");
    let prompt = login.prompt();
    let message = world.onelogin.messages().pop().unwrap();
    let digits = message.code().unwrap();
    assert_eq!(
        prompt,
        format!("Calling Desk. Type {digits} on the phone, then press Enter: ")
    );
    assert!(world.onelogin.approve_latest().is_some());
    login.reply("");
    assert_eq!(login.finish().code, Code::SUCCESS);
}

#[test]
fn a_text_message_has_the_admins_words() {
    for api in [1, 2] {
        let lines = [
            version(api),
            "factors.sms_message = \"Code {{otp_code}} for {{otp_expiry}} min\"".to_owned(),
        ];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let world = World::with([world::sms()], &lines);
        world.onelogin.set_next_code("0042");
        assert_accepted(&world.ssh().answers(["", "0042"]).run());
        let text = world.onelogin.messages().pop().unwrap().to_string();
        assert!(text.contains("Code 0042 for 2 min"), "v{api}: {text}");
    }
}

#[test]
fn requests_hold_what_is_documented_and_nothing_else() {
    let lines = [
        "factors.sms_message = \"Code {{otp_code}}\"",
        "factors.expires_in = 240",
    ];
    let bodies = |device: Device, code: &str| {
        let world = World::with([device], &lines);
        world.onelogin.set_next_code(code);
        assert_accepted(&world.ssh().answers(["", code]).run());
        let requests = world.onelogin.requests().into_iter();
        let bodies = requests
            .filter(|r| r.path.contains("/verifications"))
            .map(|r| r.body);
        bodies.collect::<Vec<_>>()
    };
    assert_eq!(
        bodies(Device::sms("701", "Mobile"), "0042"),
        [
            r#"{"device_id":701,"expires_in":240,"custom_message":"Code {{otp_code}}"}"#,
            r#"{"otp":"0042"}"#
        ]
    );
    assert_eq!(
        bodies(Device::email("702", "Mail"), "0042"),
        [r#"{"device_id":702,"expires_in":240}"#, r#"{"otp":"0042"}"#]
    );
}

#[test]
fn several_devices_of_a_kind_can_be_told_apart_and_the_default_comes_first() {
    let devices = [
        Device::authenticator("501", "Old phone").code("111111"),
        Device::authenticator("502", "New phone")
            .code("222222")
            .default(true),
    ];
    let world = World::with(devices, &[]);
    let outcome = world.ssh().answer("222222").run();
    assert_eq!(outcome.code, Code::SUCCESS);
    assert!(
        outcome.prompts()[0].contains(" 1. Verification code from Old phone\n"),
        "{:?}",
        outcome.prompts()
    );
    assert_accepted(&world.ssh().answers(["1", "111111"]).run());
    assert_eq!(
        world.onelogin.codes(),
        2,
        "one typed code is one submission to one device"
    );
    assert_denied(
        &world.later().ssh().answers(["111111"; 3]).run(),
        "a code of the other device",
    );
}

#[test]
fn a_temporary_token_lets_in_in_both_versions_also_beside_a_device() {
    for api in [1, 2] {
        let lines = [
            version(api),
            "factors.allow = [\"totp\", \"temporary\"]".to_owned(),
        ];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let world = World::with([], &lines);
        let _ = world.onelogin.give_temporary_token(ID, "25992782", false);
        let outcome = world.ssh().answer("25992782").run();
        assert_eq!(outcome.code, Code::SUCCESS, "v{api} {:?}", outcome.log);
        assert_factor(&outcome, "temporary");
        let outcome = world.later().ssh().answers(["25992782"; 3]).run();
        assert_denied(&outcome, "a used token");

        let world = World::with([world::totp()], &lines);
        let _ = world.onelogin.give_temporary_token(ID, "25992782", false);
        assert_eq!(
            world.ssh().answers(["1", "25992782"]).run().code,
            Code::SUCCESS,
            "v{api}"
        );
        // It must be named in `allow`.
        let world = World::with([], &[&version(api)]);
        let _ = world.onelogin.give_temporary_token(ID, "25992782", false);
        let outcome = world.ssh().answers(["25992782"; 3]).run();
        assert_eq!(outcome.code, Code::USER_UNKNOWN);
        assert_eq!(world.onelogin.codes(), 0);
    }
}

fn enrolling(dialect: Dialect, kind: Kind) -> World {
    let world =
        World::with([], &["users.no_factor = \"enroll\"", "push.wait = 5"]).speaking(dialect);
    world
        .onelogin
        .change_user(ID, |user| user.factors = vec![kind]);
    world
}

#[test]
fn an_authenticator_is_enrolled_at_login_by_qr_code_and_then_logs_in() {
    for dialect in DIALECTS {
        let world = enrolling(dialect, Kind::Authenticator);
        let mut login = world.ssh().spawn();
        assert!(
            login
                .prompt()
                .starts_with("You have no OneLogin factor yet. Choose one to set up:\n\n 1. ")
        );
        login.reply("1");
        let prompt = login.prompt();
        let registration = world.onelogin.registrations().pop().unwrap();
        assert!(prompt.contains("otpauth://totp/"), "{prompt}");
        assert!(
            prompt.contains('█') && prompt.contains('▄'),
            "a QR code: {prompt}"
        );
        assert!(prompt.ends_with("\n\nVerification code from the app: "));
        login.reply(registration.code.clone().unwrap());
        assert_eq!(login.prompt(), "Verification code (OneLogin): ");
        let registration = world.onelogin.registrations().pop().unwrap();
        login.reply(registration.code.clone().unwrap());
        let outcome = login.finish();
        assert_eq!(outcome.code, Code::SUCCESS, "{dialect:?} {:?}", outcome.log);
        assert!(!outcome.log.concat().contains("otpauth"));
        let secret = registration.secret.unwrap_or_default();
        assert!(!secret.is_empty() && !outcome.log.concat().contains(&secret));
    }
}

#[test]
fn a_protect_is_enrolled_by_its_token_and_a_refusal_lets_nobody_in() {
    for dialect in DIALECTS {
        let world = enrolling(dialect, Kind::Protect);
        let mut login = world.ssh().spawn();
        login.wait_prompt();
        login.reply("1");
        let prompt = login.prompt();
        let registration = world.onelogin.registrations().pop().unwrap();
        let token = registration.token.clone().unwrap();
        assert_eq!(
            prompt,
            format!(
                "In OneLogin Protect, add an account and type this code: {token}\nThen press Enter: "
            )
        );
        world.onelogin.confirm_registration(&registration.id);
        login.reply("");
        assert!(login.prompt().contains("Enter for a push"));
        login.reply("");
        login.wait_prompt();
        assert!(world.onelogin.approve_latest().is_some());
        login.reply("");
        assert_eq!(login.finish().code, Code::SUCCESS, "{dialect:?}");

        let world = enrolling(dialect, Kind::Protect);
        let mut login = world.ssh().spawn();
        login.wait_prompt();
        login.reply("1");
        login.wait_prompt();
        let registration = world.onelogin.registrations().pop().unwrap();
        world.onelogin.reject_registration(&registration.id);
        login.reply("");
        let outcome = login.finish();
        assert_denied_for(&outcome, "a refused enrolment", "not-enrolled");
    }
}

#[test]
fn a_code_of_an_enrolment_keeps_its_leading_zeros() {
    for dialect in DIALECTS {
        for code in ["058959", "158959"] {
            let world = enrolling(dialect, Kind::Sms);
            world.onelogin.set_next_code(code);
            world.onelogin.set_next_code("0777");
            let mut login = world.ssh().spawn();
            login.wait_prompt();
            login.reply("1");
            assert_eq!(
                login.prompt(),
                "Verification code from the text message that was sent to you: "
            );
            login.reply(code);
            let prompt = login.prompt();
            assert!(
                prompt.starts_with("Press Enter to get a verification code"),
                "{dialect:?} {code} {prompt}"
            );
            login.reply("");
            login.wait_prompt();
            let sent = world.onelogin.messages().pop().unwrap();
            login.reply(sent.code().unwrap());
            assert_eq!(login.finish().code, Code::SUCCESS);
            let put = world
                .onelogin
                .requests()
                .into_iter()
                .find(|r| r.method == "PUT")
                .unwrap();
            let expected = if code.starts_with('0') {
                "\"058959\""
            } else {
                "158959"
            };
            assert!(
                put.body.contains(&format!("\"otp\":{expected}")),
                "{}",
                put.body
            );
        }
    }
}

#[test]
fn an_enrolment_that_fails_is_remembered_and_registers_once() {
    let world = enrolling(Dialect::Docs, Kind::Sms);
    let connection = connection();
    let outcome = world
        .ssh_again(&connection)
        .answers(["1", "0000", "1111", "2222"])
        .run();
    assert_end(&outcome, Code::MAXTRIES, "not-enrolled");
    let rerun = world.ssh_again(&connection).answers(["1"]).run();
    assert_eq!(reason(&rerun), "denied-before");
    assert_eq!(world.onelogin.count("POST", "/registrations"), 1);
}

#[test]
fn look_ups_and_verification_can_have_a_credential_each() {
    for api in [1, 2] {
        let (verify, lookup) = match api {
            1 => (Scope::ManageUsers, Scope::ReadUsers),
            _ => (Scope::AuthenticationOnly, Scope::ReadAll),
        };
        let lines = [
            version(api),
            "onelogin.lookup.client_id = \"reader\"".to_owned(),
            "onelogin.lookup.client_secret = \"r3ader\"".to_owned(),
            "users.cache = 0".to_owned(),
        ];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let world = World::with([world::totp()], &lines);
        world.onelogin.add_credential("reader", "r3ader");
        world.onelogin.set_scope_rules(ScopeRules::Observed);
        world.onelogin.set_scope(DEFAULT_CLIENT_ID, verify);
        world.onelogin.set_scope("reader", lookup);
        let outcome = world.ssh().answer(world::TOTP_CODE).run();
        assert_eq!(outcome.code, Code::SUCCESS, "v{api} {:?}", outcome.log);
        for request in world.onelogin.requests() {
            let is_reading = request.method == "GET";
            let expected = if is_reading {
                "reader"
            } else {
                DEFAULT_CLIENT_ID
            };
            if !request.path.contains("oauth2") {
                assert_eq!(
                    request.client.as_deref(),
                    Some(expected),
                    "{}",
                    request.path
                );
            }
        }
        // The log says whose scope is missing, and which.
        world
            .onelogin
            .set_scope("reader", Scope::AuthenticationOnly);
        let outcome = world.ssh().run();
        assert_end(&outcome, Code::SERVICE_ERR, "credential");
        assert!(
            outcome.log[0]
                .contains("the credential of [onelogin.lookup] needs the scope \\\"Read Users\\\""),
            "{:?}",
            outcome.log
        );
        assert!(outcome.log[0].contains("request_id="), "{:?}", outcome.log);
    }
    let world = World::with([world::push()], &[]);
    world.onelogin.set_scope_rules(ScopeRules::Observed);
    world.onelogin.set_scope(DEFAULT_CLIENT_ID, Scope::ReadAll);
    let outcome = world.ssh().answer("").run();
    assert_eq!(reason(&outcome), "credential");
    assert!(
        outcome.log[0].contains("the credential of [onelogin] needs the scope"),
        "{:?}",
        outcome.log
    );
}

fn named(onelogin: &Simulator, change: impl FnOnce(&mut User)) {
    onelogin.change_user(ID, |user| {
        user.username = Some("somebody.else".to_owned());
        change(user);
    });
}

#[test]
fn users_are_matched_in_all_forms() {
    let login = |world: &World| world.ssh().answer(world::TOTP_CODE).run().code;
    let world = World::with([world::totp()], &["users.match = \"samaccountname\""]);
    named(&world.onelogin, |user| {
        user.samaccountname = Some(NAME.to_owned());
    });
    assert_eq!(login(&world), Code::SUCCESS);

    let world = World::with(
        [world::totp()],
        &[
            "users.match = \"userprincipalname\"",
            "users.append_domain = \"corp.example\"",
        ],
    );
    named(&world.onelogin, |user| {
        user.userprincipalname = Some("nobody@corp.example".to_owned());
    });
    assert_eq!(login(&world), Code::SUCCESS);
    assert_eq!(world.onelogin.count("GET", "/api/1/users"), 1);

    let world = World::with([world::totp()], &["users.match = \"external_id\""]);
    named(&world.onelogin, |user| {
        user.external_id = Some(NAME.to_owned());
    });
    assert_eq!(login(&world), Code::SUCCESS);

    let world = World::with(
        [world::totp()],
        &[
            "users.match = \"custom_attributes.unix_name\"",
            "users.cache = 0",
        ],
    );
    let attribute = |value: &'static str| {
        move |user: &mut User| {
            *user = user.clone().custom_attribute("unix_name", value);
        }
    };
    named(&world.onelogin, attribute(NAME));
    assert_eq!(login(&world), Code::SUCCESS);
    // Another hit, and the reply to the second request being somebody else's.
    world
        .onelogin
        .add_user(User::new(1002, "twin").custom_attribute("unix_name", NAME));
    let outcome = world.ssh().answers(["111111"; 3]).run();
    assert_eq!(reason(&outcome), "several-onelogin-users");
    world.forget_user().onelogin.remove_user(1002);
    let foreign = r#"{"id":1002,"custom_attributes":{"unix_name":"nobody"},"state":1,"status":1}"#;
    let on = Match::new("GET", "/api/2/users/1001");
    world.fault(Fault::new(on, Action::Body(foreign.to_owned())));
    let outcome = world.ssh().answers(["111111"; 3]).run();
    assert_eq!(reason(&outcome), "other-onelogin-user");
    world.forget_user().onelogin.clear_faults();
    world.onelogin.change_user(ID, attribute("Nobody"));
    assert_eq!(
        world.ssh().answers(["111111"; 3]).run().code,
        Code::USER_UNKNOWN
    );
}

#[test]
fn the_map_file_names_users_and_ids() {
    let map = |world: &World, text: &str| {
        let path = world.place.write("etc/map", text);
        format!("users.map_file = {:?}", path.to_str().unwrap())
    };
    let world = World::with([totp()], &["users.cache = 0"]);
    named(&world.onelogin, |_| ());
    let line = map(&world, "nobody somebody.else\n");
    world.config(&["users.cache = 0", &line]);
    assert_accepted(&world.ssh().answer(world::TOTP_CODE).run());

    let line = map(&world, "nobody id=1001\n");
    world.config(&["users.cache = 0", &line, "users.match = \"map\""]);
    world.onelogin.clear_requests();
    assert_accepted(&world.ssh().answer(world::fresh_code()).run());
    assert_eq!(
        world.onelogin.count("GET", "/api/2/users/1001"),
        1,
        "its state is checked"
    );
    world.onelogin.change_user(ID, |user| user.status = 2);
    let outcome = world.ssh().answers(["111111"; 3]).run();
    assert_eq!(reason(&outcome), "inactive-onelogin-user");
    world.forget_user().config(&[
        "users.cache = 0",
        &line,
        "users.match = \"map\"",
        "users.check_active = false",
    ]);
    world.onelogin.clear_requests();
    assert_accepted(&world.ssh().answer(world::fresh_code()).run());
    assert_eq!(world.onelogin.count("GET", "/api/2/users"), 0, "no look-up");

    let case = world
        .place
        .alone("sshd")
        .user("daemon")
        .ssh_with_key(&connection());
    let outcome = case.answers(["111111"; 3]).run();
    assert_end(&outcome, Code::USER_UNKNOWN, "not-mapped");

    let line = map(&world, "nobody *\n");
    world.config(&["users.cache = 0", &line]);
    let outcome = world.ssh().run();
    assert_end(&outcome, Code::SERVICE_ERR, "config");
    assert!(outcome.log[0].contains("/map:1: "), "{:?}", outcome.log);
}

#[test]
fn a_retry_after_is_waited_for_once() {
    let world = World::with_totp();
    let busy = Action::Status(
        429,
        String::new(),
        vec![("Retry-After".to_owned(), "1".to_owned())],
    );
    world.fault(Fault::new(Match::path("/devices"), busy.clone()).times(1));
    assert_accepted(&world.ssh().answer(world::TOTP_CODE).run());
    assert_eq!(world.onelogin.count("GET", "/devices"), 2);
    world.fault(Fault::new(Match::code(), busy));
    let outcome = world.ssh().answer(world::fresh_code()).run();
    assert_end(&outcome, Code::MAXTRIES, "rate-limited");
    assert_eq!(world.onelogin.codes(), 2, "a code is never sent again");
}

#[test]
fn a_push_in_version_1_is_polled_with_its_state_token_and_keeps_the_token() {
    let world = approving(Device::protect("601", "Phone"), 1, Dialect::Docs);
    world.config(&[&version(1)]);
    let mut login = world.ssh().answer("").spawn();
    login.wait_prompt();
    login.reply("");
    assert!(
        world
            .onelogin
            .wait_for_nth_request(LONG, "POST", "/verify", 2)
            .is_some()
    );
    assert!(world.onelogin.approve_latest().is_some());
    assert_eq!(login.finish().code, Code::SUCCESS);
    assert_eq!(
        world.onelogin.count("POST", "/oauth2/v2/token"),
        1,
        "a pending push says 401"
    );
    assert_eq!(world.onelogin.count("POST", "/trigger"), 1);
}

/// A Protect that API v1 lists once, with a trigger: its code goes together with a push.
fn triggered(lines: &[&str]) -> World {
    let lines = [&["onelogin.api_version = 1", "push.wait = 1"], lines].concat();
    let world = World::with([world::push()], &lines);
    world
        .onelogin
        .set_protect_listing(ProtectListing::Triggered);
    world
}

/// Paths and bodies of what was sent to a device, without the ids of the path.
fn sent_to_devices(world: &World) -> Vec<(String, String)> {
    let requests = world.onelogin.requests();
    let sent = requests.iter().filter(|r| r.method == "POST");
    let sent = sent.filter(|r| r.path.contains("/otp_devices/"));
    sent.map(|r| {
        let call = r.path.rsplit('/').next().unwrap();
        (call.to_owned(), r.body.clone())
    })
    .collect()
}

/// The state token beside each code and each poll.
fn state_tokens(world: &World) -> Vec<String> {
    let sent = sent_to_devices(world).into_iter();
    let verified = sent.filter(|(call, _)| call == "verify");
    verified
        .map(|(_, body)| {
            let rest = body.split(r#""state_token":""#).nth(1);
            let token = rest.unwrap_or_else(|| panic!("no state token: {body}"));
            token.split('"').next().unwrap().to_owned()
        })
        .collect()
}

const NOT_ACCEPTED_BESIDE_THE_PUSH: &str =
    "Not accepted. Push sent to Phone. Approve it, then press Enter (or type a code): ";

#[test]
fn the_code_of_a_protect_that_needs_a_trigger_goes_with_its_push() {
    for dialect in DIALECTS {
        let world = triggered(&[]).speaking(dialect);
        let outcome = world.ssh().answer(world::PUSH_CODE).run();
        assert_eq!(outcome.code, Code::SUCCESS, "{dialect:?} {:?}", outcome.log);
        assert_eq!(
            outcome.prompts(),
            ["Verification code, or Enter for a push to Phone: "]
        );
        assert_factor(&outcome, "protect-code");
        // Token, user, devices, and what is shown here.
        assert_eq!(world.requests(), 5, "{dialect:?}");
        let calls: Vec<_> = sent_to_devices(&world).into_iter().collect();
        let [(trigger, _), (verify, body)] = &calls[..] else {
            panic!("{calls:?}");
        };
        assert_eq!((trigger.as_str(), verify.as_str()), ("trigger", "verify"));
        assert!(
            body.contains(&format!(r#""otp_token":"{}""#, world::PUSH_CODE)),
            "{body}"
        );
        assert_eq!(state_tokens(&world)[0].len(), 40);
        assert_eq!((world.kept("f-").len(), world.kept("c-").len()), (0, 0));

        // How its codes go is kept with the devices.
        let outcome = world.ssh().answer(world::PUSH_CODE_2).run();
        assert_eq!(outcome.code, Code::SUCCESS, "{dialect:?} {:?}", outcome.log);
        assert_eq!(world.requests(), 7, "{dialect:?}");
    }
}

#[test]
fn a_code_whose_push_was_lost_on_the_way_is_not_used_and_the_push_counts() {
    let world = triggered(&[]);
    let lost = Fault::new(Match::trigger(), Action::DropAfter).times(1);
    world.fault(lost);
    let outcome = world.ssh().answer(world::PUSH_CODE).run();
    assert_eq!(reason(&outcome), "connection-lost");
    assert_eq!(world.sent(), (1, 0));
    let kept = ["f-", "x-", "c-", "p-"].map(|kind| world.kept(kind).len());
    assert_eq!(kept, [0, 0, 1, 0]);
    let outcome = world.ssh().answer(world::PUSH_CODE).run();
    assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
}

#[test]
fn a_code_that_is_typed_when_its_push_is_over_denies() {
    let world = triggered(&[]);
    let mut login = world.ssh().answer("000001").spawn();
    login.wait_prompt();
    world.onelogin.expire_verifications();
    login.reply(world::PUSH_CODE);
    assert_eq!(reason(&login.finish()), "expired");
    assert_eq!(world.onelogin.activations(), 1);
}

#[test]
fn a_wrong_code_beside_its_push_is_corrected_without_a_second_push() {
    let world = triggered(&[]);
    let outcome = world.ssh().answers(["000001", world::PUSH_CODE]).run();
    assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
    assert_eq!(outcome.prompts()[1], NOT_ACCEPTED_BESIDE_THE_PUSH);
    assert_factor(&outcome, "protect-code");
    assert_eq!(world.onelogin.activations(), 1);
    let tokens = state_tokens(&world);
    assert_eq!(tokens.len(), 2);
    assert_eq!(tokens[0], tokens[1]);
    assert_eq!(world.requests(), 6);
}

#[test]
fn wrong_codes_beside_a_push_count_and_the_push_counts_once() {
    let world = triggered(&[]);
    let outcome = world.ssh().answers(["000001", "000002", "000003"]).run();
    assert_eq!(outcome.code, Code::MAXTRIES, "{:?}", outcome.log);
    assert_eq!(reason(&outcome), "wrong-code");
    assert_factor(&outcome, "protect-code");
    assert_eq!((world.kept("f-").len(), world.kept("c-").len()), (3, 1));
    assert_eq!(world.sent(), (1, 3));
}

#[test]
fn behind_a_wrong_code_its_push_may_be_approved_or_denied() {
    for (behaviour, expected) in [
        (PushBehaviour::ApproveAfterPolls(0), "accepted"),
        (PushBehaviour::DenyAfterPolls(0), "push-denied"),
    ] {
        let world = triggered(&[]);
        world.onelogin.on_push(behaviour);
        let outcome = world.ssh().answers(["000001", ""]).run();
        let decision = decision(&outcome);
        assert!(decision.contains(expected), "{decision}");
        assert!(decision.contains("factor=push"), "{decision}");
        assert_eq!(world.onelogin.activations(), 1);
        assert_eq!(state_tokens(&world).len(), 2);
    }
}

#[test]
fn the_push_of_a_protect_that_needs_a_trigger_takes_its_code_too() {
    let world = triggered(&[]);
    let outcome = world.ssh().answers(["", world::PUSH_CODE]).run();
    assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
    assert_eq!(
        outcome.prompts()[1],
        "Push sent to Phone. Approve it, then press Enter (or type a code): "
    );
    assert_factor(&outcome, "protect-code");
    assert_eq!(world.onelogin.activations(), 1);
    assert_eq!(world.requests(), 5);
}

#[test]
fn r14_a_code_that_needs_a_push_waits_until_the_push_before_is_answered() {
    let world = triggered(&[]);
    let mut first = world.ssh().spawn();
    first.wait_prompt();
    first.reply("");
    first.wait_prompt();
    let mut second = world.ssh().spawn();
    second.wait_prompt();
    second.reply(world::PUSH_CODE_2);
    let busy = second.prompt();
    assert!(
        busy.ends_with("deny it if not. Press Enter to wait: "),
        "{busy}"
    );
    assert_eq!(world.sent(), (1, 0));
    assert_eq!((world.kept("f-").len(), world.kept("c-").len()), (0, 1));
    assert!(world.onelogin.approve_latest().is_some());
    first.reply("");
    assert_eq!(first.finish().code, Code::SUCCESS);
    second.reply("");
    let outcome = second.finish();
    assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
    assert_factor(&outcome, "protect-code");
    assert_eq!(world.sent(), (2, 1));
}

#[test]
fn r18_a_used_code_that_needs_a_push_sends_none_and_leaves_the_phone() {
    let world = triggered(&[]);
    let login = |codes: &[&str]| world.ssh().answers(codes.to_vec()).run();
    assert_eq!(login(&[world::PUSH_CODE]).code, Code::SUCCESS);
    let outcome = login(&[world::PUSH_CODE; 3]);
    assert_eq!(reason(&outcome), "used-code");
    assert_eq!(world.sent(), (1, 1));
    for kind in ["f-", "c-", "p-"] {
        assert_eq!(world.kept(kind).len(), 0, "{kind}");
    }
    let outcome = login(&[world::PUSH_CODE, world::PUSH_CODE_2]);
    assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
    assert_eq!(
        outcome.prompts()[1],
        "That code was used before; wait for the next one. Verification code, or Enter for a push to Phone: "
    );
    assert_eq!(world.onelogin.activations(), 2);
}

#[test]
fn r22_where_no_push_may_be_sent_a_code_that_needs_one_is_not_taken() {
    let world = triggered(&["limits.challenges = 1"]);
    let wrong = ["000001", "000002", "000003"];
    assert_eq!(reason(&world.ssh().answers(wrong).run()), "wrong-code");
    let requests = world.requests();
    let outcome = world.ssh().answers([world::PUSH_CODE; 3]).run();
    assert_eq!(reason(&outcome), "too-many-challenges");
    assert_eq!(outcome.prompts(), [""; 0]);
    assert_eq!(world.onelogin.activations(), 1);
    assert_eq!(world.requests(), requests, "what is cached is not asked");

    let world = triggered(&[]);
    world.onelogin.add_device(ID, totp());
    world.onelogin.on_push(PushBehaviour::DenyAfterPolls(0));
    let outcome = world.ssh().answers(["1", ""]).run();
    assert_eq!(reason(&outcome), "push-denied");
    let outcome = world
        .ssh()
        .answers([world::PUSH_CODE, world::TOTP_CODE])
        .run();
    assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
    assert_factor(&outcome, "totp");
    assert_eq!(world.onelogin.activations(), 1);
}

#[test]
fn r13_before_a_user_is_proven_a_code_never_causes_a_push() {
    let world = triggered(&[]);
    let outcome = world
        .place
        .alone("sshd")
        .user(NAME)
        .ssh(&connection())
        .answers([world::PUSH_CODE; 3])
        .run();
    assert_denied(&outcome, "nothing has proven the user");
    assert_eq!(outcome.prompts()[0], "Verification code (OneLogin): ");
    assert_eq!(world.onelogin.activations(), 0);
    assert_eq!(world.onelogin.codes(), 0);
}

#[test]
fn the_usual_pair_of_version_1_takes_codes_without_a_push() {
    let world = approving(world::push(), 1, Dialect::Docs);
    let outcome = world.ssh().answer(world::PUSH_CODE).run();
    assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
    assert_eq!(world.onelogin.activations(), 0);
    assert_eq!(world.requests(), 4);
}

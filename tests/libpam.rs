//! The built module in the real libpam, against the simulator over HTTPS. No root.

mod days;
mod world;

use days::{changed_in, day_in};
use onelogin_simulator::{
    Action, DEFAULT_CLIENT_ID, Dialect, Fault, Match, Page, PushBehaviour, User,
};
use pam_host::{Answer, Call, Code, Outcome, Style, Texts};
use pam_onelogin::log::DECISION_ID;
use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;
use world::{
    DIALECTS, FRESH_CODES, ID, NAME, PUSH_CODE, PUSH_CODE_2, TOTP_CODE, World, assert_accepted,
    assert_denied, assert_denied_for, assert_end, assert_factor, assert_logged, connection,
    decision, fresh_code, push, reason, sms, totp,
};

/// An account that every system has.
const ROOT: &str = "root";

const LONG: Duration = Duration::from_secs(60);

#[test]
fn an_authenticator_code_lets_in_and_the_log_says_so_in_one_line() {
    for dialect in DIALECTS {
        for verify in ["direct", "activated"] {
            let line = format!("onelogin.verify = {verify:?}");
            let world = World::with([totp()], &[&line]).speaking(dialect);
            let outcome = world.ssh().answer(TOTP_CODE).run();
            assert_eq!(
                outcome.code,
                Code::SUCCESS,
                "{dialect:?} {verify} {:?}",
                outcome.log
            );
            assert_eq!(outcome.codes(Call::Setcred), [Code::SUCCESS]);
            assert_eq!(outcome.prompts(), ["Verification code (OneLogin): "]);
            assert_eq!(outcome.texts(), [""; 0]);
            assert_eq!(
                decision(&outcome),
                "pam_onelogin(sshd:auth): accepted user=nobody onelogin_id=1001 factor=totp rhost=127.0.0.1 tty=ssh"
            );
            assert!(outcome.log[0].starts_with("<86>sshd["), "{:?}", outcome.log);
        }
    }
}

#[test]
fn r06_a_wrong_code_is_denied_in_both_dialects() {
    for dialect in DIALECTS {
        let world = World::with_totp().speaking(dialect);
        let outcome = world
            .ssh()
            .answers(["111111", "222222", "333333", TOTP_CODE])
            .run();
        assert_eq!(outcome.code, Code::MAXTRIES);
        assert_eq!(outcome.unused, 1, "three tries and no more");
        assert_eq!(world.onelogin.codes(), 3);
        assert_eq!(reason(&outcome), "wrong-code");
        assert_eq!(outcome.texts(), ["OneLogin verification failed."]);
        assert!(world::is_delayed(&outcome));
    }
}

#[test]
fn r06_a_tenant_that_accepted_what_it_must_refuse_lets_nobody_in() {
    let world = World::with([totp()], &[&format!("users.exempt_users = [\"{ROOT}\"]")]);
    let list = world.place.config_path().with_file_name("unsafe-tenants");
    let (url, client) = (world.onelogin.url(), DEFAULT_CLIENT_ID);
    let names = format!("# a comment\n{url} {client} 2026-11-30 wrong-code\n");
    std::fs::write(&list, &names).unwrap();
    let outcome = world.ssh().answer(fresh_code()).run();
    assert_end(&outcome, Code::SERVICE_ERR, "unsafe-tenant");
    assert_eq!((outcome.prompts().len(), world.requests()), (0, 0));
    let exempt = world.ssh().user(ROOT).run();
    assert_eq!(reason(&exempt), "exempt-user");
    // The same place, spelt in another way.
    for same in [url.to_uppercase(), format!("{url}/")] {
        std::fs::write(&list, format!("{same} {client} x\n")).unwrap();
        let outcome = world.ssh().answer(fresh_code()).run();
        assert_end(&outcome, Code::SERVICE_ERR, "unsafe-tenant");
    }
    // Another tenant, or another credential.
    for other in [
        format!("{url}1 {client}\n"),
        format!("{url} {client}x\n"),
        format!("# {url} {client}\n"),
        String::new(),
    ] {
        std::fs::write(&list, other).unwrap();
        assert_accepted(&world.ssh().answer(fresh_code()).run());
    }
    // What cannot be read could name it; whom OneLogin is not asked about, it does not concern.
    let broken = |text: &str| {
        let outcome = world.ssh().answer(fresh_code()).run();
        assert_end(&outcome, Code::SERVICE_ERR, "unsafe-tenant");
        assert_logged(&outcome, &format!("unsafe-tenants: {text}"));
        assert_eq!(reason(&world.ssh().user(ROOT).run()), "exempt-user");
    };
    std::fs::write(&list, b"\xff").unwrap();
    broken("is not UTF-8 text");
    std::fs::write(&list, "").unwrap();
    std::fs::set_permissions(&list, Permissions::from_mode(0o666)).unwrap();
    broken("has mode 0666");
    std::fs::remove_file(&list).unwrap();
    std::os::unix::fs::symlink("nowhere", &list).unwrap();
    broken("is a symbolic link");
}

#[test]
fn a_wrong_code_may_be_corrected() {
    for dialect in DIALECTS {
        let world = World::with_totp().speaking(dialect);
        let outcome = world.ssh().answers(["111111", TOTP_CODE]).run();
        assert_eq!(outcome.code, Code::SUCCESS);
        assert_eq!(
            outcome.prompts()[1],
            "Not accepted. Verification code (OneLogin): "
        );
    }
}

#[test]
fn r14_a_rerun_of_the_stack_is_denied_without_a_call_or_a_prompt() {
    let world = World::with_totp();
    let connection = connection();
    let first = world.ssh_again(&connection).answers(["111111"; 3]).run();
    assert_eq!(first.code, Code::MAXTRIES);
    let requests = world.requests();
    let rerun = world.ssh_again(&connection).answer(TOTP_CODE).run();
    assert_eq!(rerun.code, Code::MAXTRIES);
    assert_eq!(reason(&rerun), "denied-before");
    assert_eq!(rerun.prompts(), [""; 0]);
    assert_eq!(world.requests(), requests);
    let another = world.ssh().answer(TOTP_CODE).run();
    assert_eq!(another.code, Code::SUCCESS);
}

/// As sudo runs it.
#[test]
fn r14_a_rerun_by_the_same_handle_is_denied_too() {
    let world = World::with([totp()], &["first_factor = \"assumed\""]);
    let outcome = world
        .host("sudo")
        .answers(["111111", "222222", "333333", TOTP_CODE])
        .calls([Call::Authenticate; 3])
        .run();
    assert_eq!(outcome.codes(Call::Authenticate), [Code::ABORT; 3]);
    assert_eq!(world.onelogin.codes(), 3);
    assert_eq!(outcome.prompts().len(), 3, "the reruns ask nothing");
}

/// As in a screen locker, which keeps its handle.
#[test]
fn r14_a_handle_is_asked_again_a_minute_after_its_denial() {
    let world = World::with([totp()], &["first_factor = \"assumed\""]);
    let after = |seconds| {
        world.forget_counts();
        let case = world.host("locker");
        let case = case.answers(["111111", "222222", "333333", TOTP_CODE]);
        let case = case.calls([Call::Authenticate, Call::TimePasses, Call::Authenticate]);
        case.time_passes(seconds).run().codes(Call::Authenticate)
    };
    assert_eq!(after(55), [Code::ABORT, Code::ABORT]);
    assert_eq!(after(61), [Code::ABORT, Code::SUCCESS]);
}

/// As in a VPN server, a mail server or a print server.
#[test]
fn r14_one_process_may_serve_many_logins_whatever_became_of_the_one_before() {
    let world = World::with([totp()], &["first_factor = \"assumed\""]);
    let mut server = world.host("openvpn").repeat(2).spawn();
    for code in ["111111", "222222", "333333", TOTP_CODE] {
        server.wait_prompt();
        server.reply(code);
    }
    let outcome = server.finish();
    let codes: Vec<_> = outcome.runs.iter().map(|calls| calls[0].code).collect();
    assert_eq!(codes, [Code::ABORT, Code::SUCCESS], "{:?}", outcome.log);
}

/// As login(1) does after a name that was not accepted.
#[test]
fn r14_a_denial_by_a_handle_is_that_of_its_user_alone() {
    let world = World::with([totp()], &["first_factor = \"assumed\""]);
    let outcome = world
        .place
        .alone("login")
        .user("root")
        .next_user(NAME)
        .answers([TOTP_CODE])
        .calls([Call::Authenticate, Call::NextUser, Call::Authenticate])
        .run();
    let codes = outcome.codes(Call::Authenticate);
    assert_eq!(
        codes,
        [Code::USER_UNKNOWN, Code::SUCCESS],
        "{:?}",
        outcome.log
    );
}

#[test]
fn an_approved_push_lets_in_after_enter() {
    for dialect in DIALECTS {
        let world = World::with_push().speaking(dialect);
        let mut login = world.ssh().spawn();
        assert_eq!(
            login.prompt(),
            "Verification code, or Enter for a push to Phone: "
        );
        assert_eq!(
            world.onelogin.activations(),
            0,
            "nothing is sent without a choice"
        );
        login.reply("");
        assert_eq!(
            login.prompt(),
            "Push sent to Phone. Approve it, then press Enter (or type a code): "
        );
        assert!(world.onelogin.approve_latest().is_some());
        login.reply("");
        let outcome = login.finish();
        assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
        assert_eq!(world.onelogin.activations(), 1);
        assert_factor(&outcome, "push");
    }
}

#[test]
fn a_push_that_is_approved_while_we_wait_is_noticed() {
    for dialect in DIALECTS {
        let world = World::with_push().speaking(dialect);
        world.onelogin.on_push(PushBehaviour::ApproveAfterPolls(2));
        let outcome = world.ssh().answers(["", ""]).run();
        assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
    }
}

#[test]
fn a_denied_push_denies_and_a_rerun_sends_no_second_one() {
    for dialect in DIALECTS {
        let world = World::with_push().speaking(dialect);
        world.onelogin.on_push(PushBehaviour::DenyAfterPolls(1));
        let connection = connection();
        for reasons in ["push-denied", "denied-before", "denied-before"] {
            let outcome = world.ssh_again(&connection).answers(["", ""]).run();
            assert_eq!(outcome.code, Code::MAXTRIES);
            assert_eq!(reason(&outcome), reasons);
        }
        assert_eq!(world.onelogin.activations(), 1);
    }
}

#[test]
fn an_unanswered_push_denies_when_its_wait_is_over() {
    let world = World::with([push()], &["push.wait = 1"]);
    let outcome = world.ssh().answers(["", ""]).run();
    assert_eq!(outcome.code, Code::MAXTRIES);
    assert_eq!(reason(&outcome), "push-unanswered");
}

#[test]
fn a_code_may_be_typed_instead_of_the_push_or_while_it_is_open() {
    for dialect in DIALECTS {
        let world = World::with_push().speaking(dialect);
        let outcome = world.ssh().answer(PUSH_CODE).run();
        assert_eq!(outcome.code, Code::SUCCESS);
        assert_eq!(world.onelogin.activations(), 0);
        let outcome = world.ssh().answers(["", PUSH_CODE_2]).run();
        assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
        assert_eq!(world.onelogin.activations(), 1);
    }
}

#[test]
fn in_sudo_a_push_is_shown_at_once_and_needs_no_enter() {
    for dialect in DIALECTS {
        let world = World::with([push()], &["first_factor = \"assumed\""]).speaking(dialect);
        world.onelogin.on_push(PushBehaviour::ApproveAfterPolls(1));
        for texts in [Texts::Shown, Texts::Dropped, Texts::Refused] {
            let outcome = world.host("sudo").answer("").texts(texts).silent().run();
            assert_eq!(outcome.code, Code::SUCCESS, "{texts:?} {:?}", outcome.log);
            assert_eq!(
                outcome.texts(),
                ["Push sent to Phone. Approve it to continue."]
            );
        }
        // Without a terminal the texts may be lost: the prompt has it all.
        let outcome = world.place.alone("sudo").user(NAME).answers(["", ""]).run();
        assert_eq!(outcome.code, Code::SUCCESS);
        assert_eq!(outcome.prompts().len(), 2);
    }
}

#[test]
fn a_text_message_is_sent_on_enter_and_its_code_lets_in() {
    for dialect in DIALECTS {
        let world = World::with_sms().speaking(dialect);
        world.onelogin.set_next_code("0041");
        let mut login = world.ssh().spawn();
        assert_eq!(
            login.prompt(),
            "Press Enter to get a verification code by text message (Mobile): "
        );
        assert_eq!(world.onelogin.messages().len(), 0);
        login.reply("");
        assert_eq!(
            login.prompt(),
            "Verification code from the text message to Mobile: "
        );
        let message = world.onelogin.messages().pop().expect("a message was sent");
        login.reply(message.code().expect("it has a code"));
        let outcome = login.finish();
        assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
        assert_factor(&outcome, "sms");
    }
}

#[test]
fn a_wrong_code_from_a_text_message_is_denied_and_no_second_message_sent() {
    for dialect in DIALECTS {
        let world = World::with_sms().speaking(dialect);
        let outcome = world.ssh().answers(["", "1111", "2222", "3333", ""]).run();
        assert_eq!(outcome.code, Code::MAXTRIES);
        assert_eq!(world.onelogin.activations(), 1);
        assert_eq!(world.onelogin.codes(), 3);
        assert_eq!(outcome.unused, 1);
    }
}

#[test]
fn a_code_of_another_verification_or_a_used_one_is_denied() {
    let world = World::with_sms();
    world.onelogin.set_next_code("AAAA11");
    let first = world.ssh().answers(["", "AAAA11"]).run();
    assert_eq!(first.code, Code::SUCCESS);
    let second = world
        .later()
        .ssh()
        .answers(["", "AAAA11", "AAAA11", "AAAA11"])
        .run();
    assert_denied(&second, "the code of an earlier message");
}

#[test]
fn the_menu_is_one_prompt_and_each_of_its_lines_works() {
    for (answers, factor) in [
        (vec![PUSH_CODE], "protect-code"),
        (vec!["1", ""], "push"),
        (vec!["", ""], "push"),
        (vec!["2", TOTP_CODE], "totp"),
        (vec!["3", "B41832"], "sms"),
    ] {
        let world = World::with([push(), totp(), sms()], &[]);
        world.onelogin.on_push(PushBehaviour::ApproveAfterPolls(1));
        world.onelogin.set_next_code("B41832");
        let outcome = world.ssh().answers(answers.clone()).run();
        assert_eq!(outcome.code, Code::SUCCESS, "{answers:?} {:?}", outcome.log);
        assert_factor(&outcome, factor);
        assert_eq!(
            outcome.prompts()[0],
            "OneLogin verification for nobody\n\n 1. Push to OneLogin Protect (Phone)\n 2. Verification code from App\n 3. Text message\n\nVerification code or option (1-3): "
        );
    }
}

#[test]
fn every_prompt_is_visible_so_that_no_host_answers_it_with_a_password() {
    let world = World::with([push(), totp(), sms()], &[]);
    let outcome = world.ssh().answers(["3", "x", "x", "x"]).run();
    assert!(
        outcome
            .transcript
            .iter()
            .all(|message| message.style != Style::Hidden)
    );
    assert!(
        outcome
            .prompts()
            .iter()
            .all(|text| !text.to_lowercase().contains("password"))
    );
}

#[test]
fn setcred_succeeds_at_once_and_the_other_calls_are_ignored() {
    let world = World::with_totp();
    let lines: Vec<String> = ["auth", "account", "session", "password"]
        .iter()
        .map(|kind| format!("{kind} required @module@"))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    world.place.service("cron", &lines);
    let calls = [
        Call::Setcred,
        Call::Account,
        Call::OpenSession,
        Call::CloseSession,
        Call::Password,
    ];
    let outcome = world.place.case("cron").user(NAME).calls(calls).run();
    assert_eq!(outcome.codes(Call::Setcred), [Code::SUCCESS]);
    // libpam makes PERM_DENIED of a stack in which everybody said PAM_IGNORE.
    for call in [
        Call::Account,
        Call::OpenSession,
        Call::CloseSession,
        Call::Password,
    ] {
        assert_eq!(outcome.codes(call), [Code::PERM_DENIED], "{call:?}");
    }
    assert_eq!(world.requests(), 0);
    assert_eq!(outcome.log, [""; 0]);
}

#[test]
fn r17_the_token_is_kept_until_it_expires_and_never_revoked() {
    let world = World::with_totp();
    for expected in [4, 1, 1] {
        world.onelogin.clear_requests();
        assert_accepted(&world.ssh().answer(fresh_code()).run());
        assert_eq!(world.requests(), expected);
    }
    // Expired by its own date: asked for again, before anything else.
    world.onelogin.set_token_lifetime(36_000, 36_060);
    std::fs::remove_dir_all(world.place.state_path()).unwrap();
    for _ in 0..2 {
        world.onelogin.clear_requests();
        assert_accepted(&world.ssh().answer(fresh_code()).run());
        assert_eq!(
            world.onelogin.count("POST", "/auth/oauth2/v2/token"),
            1,
            "it has 60 s left"
        );
    }
    assert_eq!(world.onelogin.count("", "revoke"), 0);
}

#[test]
fn a_client_secret_that_is_changed_counts_at_once() {
    let world = World::with_totp();
    assert_accepted(&world.ssh().answer(fresh_code()).run());
    let wrong = "onelogin.client_secret = \"0000000000000000\"";
    world.place.config_for(&world.onelogin, &[wrong]);
    let outcome = world.ssh().answer(fresh_code()).run();
    assert_eq!(outcome.code, Code::SERVICE_ERR, "{:?}", outcome.log);
    assert_eq!(reason(&outcome), "credential");
    // Nothing is lost: with the right secret the token of before is used again.
    world.place.config_for(&world.onelogin, &[]);
    world.onelogin.clear_requests();
    assert_accepted(&world.ssh().answer(fresh_code()).run());
    assert_eq!(world.requests(), 1);
}

#[test]
fn r16_a_token_that_is_no_longer_taken_is_replaced_by_a_read_and_nothing_is_sent_twice() {
    for dialect in DIALECTS {
        let world = World::with([totp()], &["users.cache = 0"]).speaking(dialect);
        assert_accepted(&world.ssh().answer(TOTP_CODE).run());
        world.onelogin.clear_requests();
        world.onelogin.expire_tokens();
        let outcome = world.ssh().answer(fresh_code()).run();
        assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
        assert_eq!(world.onelogin.codes(), 1);
        assert_eq!(world.onelogin.count("POST", "/token"), 1);
        assert_eq!(world.onelogin.count("GET", "/users?"), 2);
    }
}

#[test]
fn r16_a_right_code_is_accepted_though_the_token_ended_while_the_user_typed() {
    let world = World::with_totp().speaking(Dialect::Live);
    let mut login = world.ssh().spawn();
    login.wait_prompt();
    world.onelogin.expire_tokens();
    let devices = world.onelogin.count("GET", "/devices");
    login.reply(TOTP_CODE);
    let outcome = login.finish();
    assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
    // The code, a read by the same token, a token, the code.
    assert_eq!(world.onelogin.count("POST", "/verifications"), 2);
    assert_eq!(world.onelogin.count("GET", "/devices"), devices + 1);
    assert_eq!(world.onelogin.count("POST", "/token"), 2);
    assert!(
        world.kept("f-").is_empty(),
        "it counts once, and was accepted"
    );
}

#[test]
fn r16_a_code_is_not_sent_again_where_a_read_by_its_token_is_refused_for_another_reason() {
    let world = World::with_totp().speaking(Dialect::Live);
    world.config(&["factors.prompts = 1"]);
    let mut login = world.ssh().spawn();
    login.wait_prompt();
    world.onelogin.expire_tokens();
    let body = r#"{"status":{"error":true,"code":401,"type":"Unauthorized","message":"Insufficient Permission"}}"#;
    let refuse = Action::Status(401, body.to_owned(), Vec::new());
    let read = Match::new("GET", "/devices");
    world.fault(Fault::new(read, refuse));
    login.reply(TOTP_CODE);
    let outcome = login.finish();
    assert_ne!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
    assert_eq!(world.onelogin.count("POST", "/verifications"), 1);
    assert_eq!(world.kept("f-").len(), 1);
}

#[test]
fn r16_a_code_is_sent_and_counted_twice_where_only_a_new_token_can_tell_that_the_old_one_ended() {
    let lookup = [
        "onelogin.lookup.client_id = \"reader\"",
        "onelogin.lookup.client_secret = \"r3ader\"",
        "factors.prompts = 1",
    ];
    for (code, expected, counted) in [(TOTP_CODE, Code::SUCCESS, 0), ("111111", Code::MAXTRIES, 2)]
    {
        let world = World::with([totp()], &lookup).speaking(Dialect::Live);
        world.onelogin.add_credential("reader", "r3ader");
        // Both tokens are known from now on.
        let outcome = world.ssh().answer(fresh_code()).run();
        assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
        world.onelogin.clear_requests();
        let mut login = world.ssh().spawn();
        login.wait_prompt();
        world.onelogin.expire_tokens();
        let before = [("GET", "/devices"), ("POST", "/token")];
        let before = before.map(|(method, path)| world.onelogin.count(method, path));
        login.reply(code);
        let outcome = login.finish();
        assert_eq!(outcome.code, expected, "{:?}", outcome.log);
        assert_eq!(world.onelogin.count("GET", "/devices"), before[0]);
        assert_eq!(world.onelogin.count("POST", "/token"), before[1] + 1);
        assert_eq!(world.onelogin.count("POST", "/verifications"), 2);
        assert_eq!(world.kept("f-").len(), counted, "{code}");
    }
}

#[test]
fn r16_a_code_that_a_front_end_refuses_is_given_back_three_times_a_minute() {
    let world = World::with_totp();
    world.config(&["factors.prompts = 1"]);
    let refuse = Match::new("POST", "/verifications");
    let refuse = Fault::new(refuse, Action::Page(Page::TooManyRequests));
    world.fault(refuse);
    for counted in [0, 0, 0, 1, 2] {
        let outcome = world.ssh().answer(fresh_code()).run();
        assert_ne!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
        assert_eq!(world.kept("f-").len(), counted, "{:?}", outcome.log);
    }
    // Those whom nothing has proven have three of their own.
    for counted in [0, 0, 0, 1] {
        let outcome = world.host("login").answer(fresh_code()).run();
        assert_ne!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
        assert_eq!(world.kept("g-").len(), counted, "{:?}", outcome.log);
    }
    world.onelogin.clear_faults();
    let outcome = world.ssh().answer(fresh_code()).run();
    assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
}

#[test]
fn r18_a_code_that_is_answered_with_pending_stays_used() {
    let world = World::with_totp();
    world.config(&["factors.prompts = 1"]);
    let body = r#"{"status":"pending"}"#.to_owned();
    let pending = Action::Status(202, body, Vec::new());
    let pending = Fault::new(Match::new("POST", "/verifications"), pending);
    world.fault(pending.times(1));
    let code = fresh_code();
    for expected in ["wrong-code", "used-code"] {
        let outcome = world.ssh().answer(&code).run();
        assert_eq!(reason(&outcome), expected, "{:?}", outcome.log);
    }
}

#[test]
fn one_connection_serves_a_login() {
    let world = World::with([push(), totp()], &[]).speaking(Dialect::Live);
    let outcome = world.ssh().answers(["111111", "222222", PUSH_CODE]).run();
    assert_eq!(outcome.code, Code::SUCCESS);
    assert_eq!(world.onelogin.connections(), 1);
    assert_eq!(world.requests(), 6);
}

#[test]
fn a_code_goes_by_a_new_connection_after_two_idle_seconds_and_a_read_does_not() {
    // Only time can show it. Left alone, the HTTP client drops a connection that was idle for 15 s, too.
    let proven = World::with_totp();
    let unproven = World::with_totp();
    for (world, case, connections) in [
        (&proven, proven.ssh(), 2),
        (&unproven, unproven.host("login"), 1),
    ] {
        let mut login = case.spawn();
        login.wait_prompt();
        std::thread::sleep(Duration::from_secs(17));
        login.reply(TOTP_CODE);
        let outcome = login.finish();
        assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
        assert_eq!(world.onelogin.connections(), connections);
    }
}

#[test]
fn a_connection_that_onelogin_closed_meanwhile_is_replaced_before_anything_is_sent() {
    use onelogin_simulator::{Action, Fault, Match};
    let world = World::with_totp();
    world.fault(Fault::new(Match::path("/devices"), Action::CloseAfterReply));
    let mut login = world.ssh().spawn();
    login.wait_prompt();
    assert!(world.onelogin.wait_for_closed(LONG, 1));
    login.reply(TOTP_CODE);
    let outcome = login.finish();
    assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
    assert_eq!(world.onelogin.codes(), 1);
    assert_eq!(world.onelogin.connections(), 2);
}

#[test]
fn who_is_exempt_is_ignored_without_a_call() {
    let world = World::with([totp()], &["users.exempt_users = [\"nobody\"]"]);
    world.place.service(
        "sshd",
        &["auth requisite @module@", "auth required pam_permit.so"],
    );
    let case = || {
        world
            .place
            .case("sshd")
            .user(NAME)
            .ssh_with_key(&connection())
    };
    let outcome = case().run();
    assert_eq!(outcome.code, Code::SUCCESS, "pam_permit decides");
    assert_eq!(
        decision(&outcome),
        "pam_onelogin(sshd:auth): exempt user=nobody reason=exempt-user rhost=127.0.0.1 tty=ssh"
    );
    // Alone in a stack, an exemption lets nobody in.
    let alone = world.ssh().run();
    assert_eq!(alone.code, Code::PERM_DENIED);
    assert_eq!((world.requests(), world.onelogin.connections()), (0, 0));
}

#[test]
fn r01_in_observe_mode_the_login_goes_on_and_nothing_is_sent_to_the_user() {
    let until = format!("observe.until = \"{}\"", day_in(5));
    let world = World::with([push(), totp()], &[&until]);
    world.place.service(
        "sshd",
        &["auth requisite @module@", "auth required pam_permit.so"],
    );
    let case = || {
        let case = world.place.case("sshd").user(NAME);
        case.ssh_with_key(&connection()).run()
    };
    let observed = case();
    assert_eq!(observed.code, Code::SUCCESS, "pam_permit decides");
    assert_eq!(observed.prompts().len(), 0);
    let log = decision(&observed);
    let expected =
        "pam_onelogin(sshd:auth): observed, would ask user=nobody onelogin_id=1001 factor=push ";
    assert!(log.starts_with(expected), "{log}");
    // Whatever OneLogin answers, or if it does not answer at all.
    for (action, why) in [
        (Action::Status(503, String::new(), Vec::new()), "gateway"),
        (Action::Status(401, String::new(), Vec::new()), "credential"),
        (Action::Body("{}".to_owned()), "bad-reply"),
        (Action::Silence, "timeout"),
    ] {
        world.config(&[&until, "users.cache = 0"]);
        world.onelogin.clear_faults();
        world.fault(Fault::new(Match::path("/devices"), action).times(9));
        let outcome = case();
        assert_end(&outcome, Code::SUCCESS, why);
        assert!(decision(&outcome).contains(": observed, would deny user="));
    }
    // Alone in a stack, observe mode lets nobody in.
    assert_eq!(world.ssh().run().code, Code::PERM_DENIED);
    // A denied login is not remembered: there was none.
    assert!(world.kept("denied-").is_empty());
    assert_eq!(
        (world.onelogin.activations(), world.onelogin.codes()),
        (0, 0)
    );
}

#[test]
fn r01_where_observe_mode_does_not_apply_users_are_asked() {
    let until = |days| format!("observe.until = \"{}\"", day_in(days));
    let world = World::with([totp()], &[]);
    let asked = |outcome: Outcome, why: &str| {
        assert_eq!(outcome.prompts().len(), 1, "{:?}", outcome.log);
        assert_accepted(&outcome);
        assert_logged(
            &outcome,
            &format!("observe mode does not apply: why=\"{why}"),
        );
    };
    for (days, changed, why) in [
        (-1, 0, "its last day is over"),
        (5, 1, "the clock is earlier"),
        (62, 0, "its last day is more than 60 days after"),
        (5, -60, "its last day is more than 60 days after"),
    ] {
        world.config(&[&until(days)]);
        changed_in(world.place.config_path(), changed);
        asked(world.ssh().answer(fresh_code()).run(), why);
    }
    // Without a first factor, the login would go on without any.
    world.config(&[&until(5)]);
    let unproven = world.place.alone("sshd").user(NAME).ssh(&connection());
    asked(
        unproven.answer(fresh_code()).run(),
        "no first factor was verified",
    );
}

#[test]
fn r15_behind_a_key_nobody_passes_without_one_exempt_or_not() {
    let world = World::with([totp()], &[]);
    world.place.service(
        "sshd",
        &[
            "auth requisite @module@ behind=key",
            "auth required pam_permit.so",
        ],
    );
    let case = || world.place.case("sshd").user(NAME);
    for exempt in [
        "users.exempt_users = []",
        &format!("observe.until = \"{}\"", day_in(5)),
        "users.exempt_users = [\"nobody\"]",
    ] {
        world.config(&[exempt]);
        for (what, outcome) in [
            ("no ssh", case().run()),
            ("no method before", case().ssh(&connection()).run()),
            (
                "another method before",
                case()
                    .ssh(&connection())
                    .pam_env("SSH_AUTH_INFO_0", "password\nnot publickey x\n")
                    .run(),
            ),
        ] {
            assert_denied_for(&outcome, &format!("{exempt} {what}"), "no-key");
            assert_eq!(outcome.prompts(), [""; 0], "{exempt} {what}");
        }
    }
    assert_eq!((world.requests(), world.onelogin.connections()), (0, 0));
    let with_key = case().ssh_with_key(&connection()).run();
    assert_eq!(reason(&with_key), "exempt-user");
    world.config(&[]);
    let with_key = case()
        .ssh_with_key(&connection())
        .answer(fresh_code())
        .run();
    assert_eq!(with_key.code, Code::SUCCESS, "{:?}", with_key.log);
}

#[test]
fn groups_say_who_is_asked_by_the_systems_own_groups() {
    // Every system has nobody in one group only, which has one of two names.
    let group = nix::unistd::User::from_name(NAME).unwrap().unwrap().gid;
    let group = nix::unistd::Group::from_gid(group).unwrap().unwrap().name;
    let world = World::with_totp();
    let run = |list: &str| {
        world.config(&[&format!("users.groups = {list}"), "factors.prompts = 1"]);
        world.ssh().answer(fresh_code()).run()
    };
    for list in [
        format!("[\"{group}\"]"),
        "[\"no*\"]".to_owned(),
        format!("[\"root\", \"*,!root,{group}\"]"),
    ] {
        assert_eq!(run(&list).code, Code::SUCCESS, "{list}");
    }
    world.onelogin.clear_requests();
    for list in [format!("[\"*,!{group}\"]"), "[\"root\"]".to_owned()] {
        assert_eq!(reason(&run(&list)), "exempt-other-groups", "{list}");
    }
    // A group that is not there is no group that nobody is in.
    for list in ["[\"no-such-group\"]", "[\"*,!no-such-group\"]"] {
        let outcome = run(list);
        assert_denied_for(&outcome, list, "group-lookup");
    }
    assert_eq!(world.requests(), 0);
}

#[test]
fn the_unknown_and_the_factorless_can_be_exempt() {
    let world = World::with(
        [],
        &["users.no_factor = \"exempt\"", "users.unknown = \"exempt\""],
    );
    world.place.service(
        "sshd",
        &["auth requisite @module@", "auth required pam_permit.so"],
    );
    let case = |user| {
        world
            .place
            .case("sshd")
            .user(user)
            .ssh_with_key(&connection())
    };
    let outcome = case(NAME).run();
    assert_end(&outcome, Code::SUCCESS, "exempt-no-factor");
    let outcome = case("daemon").run();
    assert_end(&outcome, Code::SUCCESS, "exempt-unknown");
    // An inactive user is known.
    world.onelogin.change_user(ID, |user| user.status = 2);
    let outcome = case(NAME).answers(["111111"; 3]).run();
    assert_eq!(outcome.code, Code::USER_UNKNOWN);
    assert_eq!(reason(&outcome), "inactive-onelogin-user");
}

#[test]
fn r05_only_one_active_user_whose_name_is_equal_to_the_byte_gets_in() {
    let deny = |change: &dyn Fn(&World), expected: &str| {
        let world = World::with_totp();
        change(&world);
        let outcome = world.ssh().answers([TOTP_CODE; 3]).run();
        assert_eq!(outcome.code, Code::USER_UNKNOWN, "{expected}");
        assert_eq!(reason(&outcome), expected);
        assert_eq!(world.onelogin.codes(), 0);
    };
    let change = |world: &World, change: fn(&mut User)| world.onelogin.change_user(ID, change);
    deny(&|w| w.onelogin.remove_user(ID), "no-onelogin-user");
    deny(
        &|w| change(w, |u| u.username = Some("Nobody".into())),
        "other-onelogin-user",
    );
    deny(&|w| change(w, |u| u.status = 2), "inactive-onelogin-user");
    deny(&|w| change(w, |u| u.status = 3), "inactive-onelogin-user");
    deny(&|w| change(w, |u| u.state = 0), "inactive-onelogin-user");
    deny(
        &|w| w.onelogin.add_user(User::new(1002, NAME)),
        "several-onelogin-users",
    );
    deny(&|w| w.onelogin.change_devices(ID, Vec::clear), "no-factor");
    deny(
        &|w| w.config(&["factors.allow = [\"push\"]"]),
        "no-allowed-factor",
    );
}

#[test]
fn r05_odd_names_cause_no_call() {
    let world = World::with_totp();
    let long = "a".repeat(300);
    let names: [&[u8]; 10] = [
        b"*",
        b"n*",
        b"!nobody",
        b"%6eobody",
        b"",
        long.as_bytes(),
        b"\xff\xfe",
        b"-rf",
        b"nobody ",
        b"no\nbody",
    ];
    for name in names {
        let case = world
            .place
            .alone("sshd")
            .user(name.to_vec())
            .ssh_with_key(&connection());
        let outcome = case.answers([TOTP_CODE; 3]).run();
        assert_eq!(
            outcome.code,
            Code::USER_UNKNOWN,
            "{name:?} {:?}",
            outcome.log
        );
        let prompts = outcome.prompts();
        // libpam itself asks for the name when there is none.
        let ours = prompts
            .iter()
            .filter(|text| text.contains("OneLogin"))
            .count();
        assert_eq!(
            ours,
            if name.is_empty() { 2.max(ours) } else { 3 },
            "{name:?} {prompts:?}"
        );
    }
    // A connection is made for all names alike.
    assert_eq!(world.requests(), 0);
}

#[test]
fn r05_a_user_who_changes_on_the_way_is_denied_and_remembered() {
    let world = World::with_totp();
    let connection = connection();
    let rename = Answer::Rename("root".to_owned(), TOTP_CODE.into());
    let outcome = world.ssh_again(&connection).respond(rename).run();
    assert_eq!(outcome.code, Code::MAXTRIES);
    assert_eq!(reason(&outcome), "user-changed");
    let rerun = world.ssh_again(&connection).answer(TOTP_CODE).run();
    assert_eq!(reason(&rerun), "denied-before");
}

#[test]
fn r14_breaking_off_after_a_wrong_code_does_not_start_over() {
    let world = World::with_totp();
    let connection = connection();
    let outcome = world.ssh_again(&connection).answer("111111").run();
    assert_eq!(outcome.code, Code::CONV_ERR);
    assert!(world::is_delayed(&outcome));
    let rerun = world.ssh_again(&connection).answer(TOTP_CODE).run();
    assert_end(&rerun, Code::MAXTRIES, "denied-before");
    assert_eq!(world.onelogin.codes(), 1);
}

#[test]
fn users_are_matched_by_the_configured_attribute() {
    let world = World::with(
        [totp()],
        &[
            "users.match = \"email\"",
            "users.append_domain = \"example.com\"",
            "users.cache = 0",
        ],
    );
    assert_accepted(&world.ssh().answer(TOTP_CODE).run());
    world
        .onelogin
        .change_user(ID, |user| user.email = Some("Nobody@example.com".into()));
    assert_eq!(
        world.ssh().answers([TOTP_CODE; 3]).run().code,
        Code::USER_UNKNOWN
    );
    world.forget_user().config(&[
        "users.match = \"email\"",
        "users.append_domain = \"example.com\"",
        "users.ignore_case = true",
    ]);
    assert_accepted(&world.ssh().answer(fresh_code()).run());
}

#[test]
fn a_login_can_wait_for_the_user_for_as_long_as_the_host_lets_it() {
    // The clock of the login runs while the person types; what is typed late gets one request.
    let world = World::with(
        [totp()],
        &["onelogin.login_timeout = 5", "onelogin.request_timeout = 5"],
    );
    let mut login = world.ssh().spawn();
    login.wait_prompt();
    assert!(
        world
            .onelogin
            .wait_for_request(LONG, "GET", "/devices")
            .is_some()
    );
    login.reply(TOTP_CODE);
    assert_eq!(login.finish().code, Code::SUCCESS);
    assert_eq!(world.onelogin.connections(), 1);
}

#[test]
fn r12_a_hostile_conversation_sends_nothing() {
    let world = World::with([push(), totp()], &[]);
    let run = |answer: Answer| world.ssh().further(answer).run();
    for answer in [Answer::Fail, Answer::Null, Answer::NullText] {
        let outcome = run(answer.clone());
        assert_eq!(outcome.code, Code::CONV_ERR, "{answer:?}");
        assert_eq!(reason(&outcome), "no-conversation");
    }
    let outcome = world.ssh().no_conversation().run();
    assert_eq!(outcome.code, Code::CONV_ERR);
    // What is text, and neither an option nor a code, costs no try three times.
    for (answer, prompts) in [
        (Answer::Long(100_000), 3),
        (Answer::Long(500), 6),
        (Answer::Text(vec![0xff; 6].into()), 3),
        (Answer::Text("\u{8}\n\r\u{7f}INCORRECT\u{0001}".into()), 6),
        (Answer::Text("' OR 1=1".into()), 6),
        (Answer::Text("12345".into()), 6),
        (Answer::Text("9".into()), 6),
    ] {
        let outcome = run(answer.clone());
        assert_eq!(outcome.code, Code::MAXTRIES, "{answer:?} {:?}", outcome.log);
        assert_eq!(outcome.prompts().len(), prompts, "{answer:?}");
    }
    assert_eq!(
        (world.onelogin.codes(), world.onelogin.activations()),
        (0, 0)
    );
}

#[test]
fn r12_the_login_password_is_never_sent() {
    // The password has the shape of a code, and a client types it at every prompt.
    let world = World::with_totp();
    let stack = [
        "auth required @helper@ authtok=123456",
        "auth required @module@",
    ];
    world.place.service("sshd", &stack);
    let outcome = world
        .place
        .case("sshd")
        .user(NAME)
        .answers([TOTP_CODE; 3])
        .run();
    assert_eq!(reason(&outcome), "password-typed");
    assert_denied(&outcome, "the login password");
    assert_eq!(world.onelogin.codes(), 0);
}

/// As vsftpd, dovecot or cups do. The name could have the shape of a code.
#[test]
fn r12_the_users_name_is_never_sent() {
    let world = World::with_totp();
    let outcome = world.ssh().answers([NAME; 3]).run();
    assert_eq!(reason(&outcome), "user-name-typed");
    assert_denied(&outcome, "the user's name");
    assert_eq!(world.onelogin.codes(), 0);
}

#[test]
fn r22_one_first_factor_of_a_user_without_a_factor_costs_onelogin_few_calls() {
    let world = World::with([], &[]);
    let login = |later| world.ssh().answers(["111111"; 3]).later_at(1, later).run();
    // A loop of logins, one after the other.
    assert_eq!(reason(&login(0)), "no-factor");
    assert_eq!(world.requests(), 3, "token, user, devices");
    for _ in 0..10 {
        assert_eq!(reason(&login(0)), "look-up-paused");
    }
    assert_eq!(world.requests(), 3);
    // One each two minutes, for an hour and a bit.
    let mut reasons: Vec<String> = (1..=28)
        .map(|number| reason(&login(number * 125)))
        .collect();
    assert_eq!(world.requests(), 1 + 2 * 20);
    assert_eq!(reasons.pop().as_deref(), Some("too-many-look-ups"));
    assert_eq!(reason(&login(3_600 + 25 * 125)), "no-factor");
}

/// Processes, each with three codes that nobody else types.
#[test]
fn r22_however_many_logins_at_once_send_no_more_codes_than_the_limit() {
    let world = World::with([totp()], &[]);
    // One stack for all of them: it is not written anew while they read it.
    world.place.service("sshd", &["auth required @module@"]);
    std::thread::scope(|scope| {
        for number in 0..32 {
            let case = world
                .place
                .case("sshd")
                .user(NAME)
                .ssh_with_key(&connection());
            let codes = [0, 1, 2].map(|next| format!("{:06}", number * 3 + next));
            scope.spawn(move || {
                let outcome = case.answers(codes).run();
                assert_eq!(outcome.code, Code::MAXTRIES, "{:?}", outcome.log);
            });
        }
    });
    // Where a minute ends meanwhile, some may have been denied because of what others took back.
    let codes = world.onelogin.codes();
    assert!((5..=10).contains(&codes), "{codes}");
    assert_eq!(world.kept("f-").len(), codes);
}

/// As with a file-size limit of the caller in sudo, or where no block is free.
#[test]
fn r22_who_breaks_off_where_nothing_can_be_kept_costs_onelogin_few_calls() {
    let world = World::with_totp();
    for _ in 0..30 {
        let _ = world.ssh().no_room_for_files().run();
    }
    assert_eq!(world.requests(), 20 * 3, "token, user, devices");
    let world = World::with([totp()], &["users.cache = 0"]);
    for _ in 0..30 {
        let _ = world.ssh().run();
    }
    assert_eq!(world.requests(), 1 + 20 * 2);
}

#[test]
fn r22_two_accounts_of_one_onelogin_user_have_one_limit() {
    let world = World::with([totp()], &[]);
    let map = world
        .place
        .write("etc/map", "nobody id=1001\nroot id=1001\n");
    let map = format!("users.map_file = {:?}", map.to_str().unwrap());
    world.config(&["limits.failures = 4", &map]);
    let login = |name: &str| {
        let case = world.place.alone("sshd").user(name);
        let case = case.ssh_with_key(&connection());
        case.answers(["000001", "000002", "000003"]).run()
    };
    assert_eq!(reason(&login(NAME)), "wrong-code");
    assert_eq!(reason(&login("root")), "too-many-codes");
    assert_eq!(reason(&login(NAME)), "too-many-codes");
    assert_eq!(world.onelogin.codes(), 4);
}

#[test]
fn r22_a_denied_push_is_noticed_though_the_login_ends_by_wrong_codes_or_hangs_up() {
    // Three wrong codes at the prompt of the push; and no answer to it.
    for answers in [&["", "111111", "222222", "333333"][..], &[""]] {
        let world = World::with([push()], &[]);
        world.onelogin.on_push(PushBehaviour::DenyAfterPolls(0));
        let outcome = world.ssh().answers(answers.iter().copied()).run();
        assert_ne!(reason(&outcome), "push-denied", "{:?}", outcome.log);
        assert_eq!(world.onelogin.activations(), 1);
        assert_eq!(world.kept("h-").len(), 1, "{answers:?} {:?}", outcome.log);
    }
    // An approval that nobody waits for lets nobody in.
    let world = World::with([push()], &[]);
    world.onelogin.on_push(PushBehaviour::ApproveAfterPolls(0));
    let outcome = world
        .ssh()
        .answers(["", "111111", "222222", "333333"])
        .run();
    assert_denied_for(
        &outcome,
        "an approval after the last wrong code",
        "wrong-code",
    );
    assert_eq!(world.kept("h-").len(), 0);
}

#[test]
fn r22_a_denied_push_ends_pushes_from_unknown_addresses_and_says_so() {
    let world = World::with([push(), totp()], &[]);
    world.onelogin.on_push(PushBehaviour::DenyAfterPolls(0));
    let denied = world.ssh().answers(["1", ""]).run();
    assert_eq!(reason(&denied), "push-denied");
    let line = "a push was denied on the phone, so logins from unknown addresses get no push for one hour: user=nobody";
    assert_logged(&denied, line);
    let next = world.ssh().answers([PUSH_CODE]).run();
    let prompt = &next.prompts()[0];
    assert!(
        prompt.starts_with("A push was denied. No push is sent for one hour. "),
        "{prompt}"
    );
    assert!(!prompt.contains("Push"), "{prompt}");
    assert_eq!(next.code, Code::SUCCESS, "{:?}", next.log);
    // Now the address is known.
    let known = world.ssh().answers([""]).run();
    assert!(
        known.prompts()[0].contains("Push to"),
        "{:?}",
        known.prompts()
    );
}

#[test]
fn r22_the_limits_of_a_day_hold_after_the_window_and_are_told_once() {
    let lines = ["limits.failures = 3", "limits.failures_per_day = 6"];
    let world = World::with([totp()], &lines);
    let wrong = |later, text: [&str; 3]| {
        let case = world.ssh().answers(text);
        case.later_at(1, later).run()
    };
    let told = "limits.failures_per_day is reached";
    let end = |outcome: &pam_host::Outcome| {
        let is_told = outcome.log.iter().any(|log| log.contains(told));
        format!("{} {is_told}", reason(outcome))
    };
    let first = wrong(0, ["000001", "000002", "000003"]);
    assert_eq!(end(&first), "wrong-code false");
    assert_eq!(reason(&wrong(0, ["1"; 3])), "too-many-codes");
    let second = wrong(700, ["000004", "000005", "000006"]);
    assert_eq!(end(&second), "wrong-code true");
    let third = wrong(1_400, ["000007"; 3]);
    assert_eq!(end(&third), "too-many-codes-today false");
    let words = "Too many attempts in 24 hours. Try again tomorrow, or ask your administrator.";
    assert!(
        third.texts().contains(&words.to_owned()),
        "{:?}",
        third.texts()
    );
    assert_accepted(&wrong(88_000, ["000008", "000009", TOTP_CODE]));
}

#[test]
fn r04_no_descriptor_of_ours_takes_the_place_of_a_closed_one() {
    let world = World::with_totp();
    let outcome = world.ssh().answer(TOTP_CODE).closed([0, 1, 2]).run();
    assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
    assert!(
        outcome
            .notes
            .opened
            .iter()
            .all(|file| file.descriptor < 0 || file.descriptor > 2 || file.path == "/dev/null"),
        "{:?}",
        outcome.notes.opened
    );
    assert!(
        outcome.notes.opened.iter().all(|file| file.close_on_exec),
        "{:?}",
        outcome.notes.opened
    );
    assert_eq!(outcome.changes(), [""; 0]);
}

#[test]
fn r08_the_host_is_left_as_it_was() {
    let world = World::with([push()], &[]);
    world.onelogin.on_push(PushBehaviour::ApproveAfterPolls(1));
    for umask in [0, 0o022, 0o777] {
        let outcome = world.ssh().answers(["", ""]).umask(umask).run();
        assert_eq!(
            outcome.code,
            Code::SUCCESS,
            "umask {umask:o} {:?}",
            outcome.log
        );
        assert_eq!(outcome.changes(), [""; 0]);
        assert_eq!(outcome.threads_during, 1, "no thread is started");
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
    }
    let denied = world.ssh().run();
    assert_eq!(denied.changes(), [""; 0]);
    assert_eq!(world.onelogin.activations(), 3);
}

#[test]
fn r08_a_hundred_logins_in_one_process_leave_nothing_behind() {
    let world = World::with_totp();
    let codes = Answer::Count(FRESH_CODES);
    let outcome = world.ssh().respond(codes).repeat(100).run();
    assert!(outcome.runs.iter().all(|run| run[0].code == Code::SUCCESS));
    assert_eq!(outcome.first.differences(&outcome.after), [""; 0]);
}

#[test]
fn r03_no_variable_of_the_environment_is_obeyed_or_read() {
    use onelogin_simulator::Simulator;
    let evil = Simulator::start();
    let world = World::with_totp();
    let ca = world.place.write("evil.pem", evil.ca_pem());
    let proxy = format!("http://127.0.0.1:{}", evil.port());
    let mut case = world.ssh().answer(TOTP_CODE);
    for name in [
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ] {
        case = case.env(name, &proxy);
    }
    for name in ["SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"] {
        case = case.env(name, &ca);
    }
    for name in ["HOME", "XDG_CONFIG_HOME", "SSL_CERT_DIR", "TMPDIR", "TZDIR"] {
        case = case.env(name, world.place.path());
    }
    let outcome = case
        .env("RUST_BACKTRACE", "full")
        .env("RUST_LOG", "trace")
        .env("TZ", ":/dev/zero")
        .env("NO_PROXY", "")
        .run();
    assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
    assert_eq!(evil.connections(), 0);
    assert!(outcome.notes.shim);
    let listed = world::listed_touches();
    let mut others = outcome.notes.getenv.clone();
    others.retain(|name| !listed.contains(&format!("env {name}").as_str()));
    assert_eq!(others, [""; 0], "variables that the module asked for");
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
}

#[test]
fn r09_a_log_that_is_stalled_or_absent_holds_up_no_login() {
    let world = World::with_totp();
    assert_accepted(&world.ssh().answer(TOTP_CODE).stalled_log().run());
    assert_accepted(&world.ssh().answer(fresh_code()).no_log().run());
    assert_denied(
        &world.ssh().answers(["1"; 3]).stalled_log().run(),
        "stalled log",
    );
}

#[test]
fn the_journal_gets_the_line_of_a_decision_once_with_its_values_as_fields() {
    let world = World::with_totp();
    let socket = world.place.path().join("journal");
    let journal = UnixDatagram::bind(&socket).unwrap();
    journal.set_nonblocking(true).unwrap();
    for (code, level, event, reason) in [
        (TOTP_CODE, "6", "accepted", None),
        ("111111", "5", "denied", Some("wrong-code")),
    ] {
        let outcome = world.ssh().answers([code; 3]).journal(&socket).run();
        assert_eq!(outcome.log, [""; 0], "the same line at syslog");
        // The process is over, so what it has sent is here.
        let mut buffer = vec![0; 1 << 16];
        let length = journal.recv(&mut buffer).unwrap();
        assert_eq!(
            journal.recv(&mut [0]).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        let record = std::str::from_utf8(&buffer[..length]).unwrap();
        let fields: BTreeMap<_, _> = record
            .lines()
            .map(|line| line.split_once('=').unwrap())
            .collect();
        assert_eq!(fields.len(), record.lines().count(), "a field twice");
        for (name, value) in [
            ("PRIORITY", Some(level)),
            ("SYSLOG_FACILITY", Some("10")),
            ("SYSLOG_IDENTIFIER", Some("sshd")),
            ("MESSAGE_ID", Some(DECISION_ID)),
            ("ONELOGIN_EVENT", Some(event)),
            ("ONELOGIN_REASON", reason),
            ("ONELOGIN_FACTOR", Some("totp")),
            ("ONELOGIN_USER", Some(NAME)),
            ("ONELOGIN_RHOST", Some("127.0.0.1")),
        ] {
            assert_eq!(fields.get(name).copied(), value, "{name}: {record}");
        }
        let line = format!("pam_onelogin(sshd:auth): {event} user={NAME} ");
        assert!(fields["MESSAGE"].starts_with(&line), "{record}");
        let requests = format!(" requests={} ms=", fields["ONELOGIN_REQUESTS"]);
        assert!(fields["MESSAGE"].contains(&requests), "{record}");
        assert!(fields["SYSLOG_PID"].parse::<u32>().is_ok(), "{record}");
    }
}

#[test]
fn a_journal_that_is_missing_full_or_refuses_leaves_the_line_to_syslog() {
    let world = World::with_totp();
    let socket = |name: &str| world.place.path().join(name);
    drop(UnixDatagram::bind(socket("refuses")).unwrap());
    let _full = pam_host::case::stalled(&socket("full"));
    for name in ["missing", "refuses", "full"] {
        let case = world.ssh().answer(fresh_code());
        let outcome = case.journal(&socket(name)).run();
        assert_accepted(&outcome);
        assert_eq!(outcome.log.len(), 1, "{name}: {:?}", outcome.log);
        assert!(outcome.log[0].starts_with("<86>sshd["), "{name}");
    }
}

#[test]
fn r22_without_state_nobody_gets_in_and_nothing_is_asked() {
    let world = World::with([push(), sms()], &["state_dir = \"/proc/nothing\""]);
    for case in [world.ssh(), world.host("sudo"), world.host("login")] {
        let outcome = case.answers([PUSH_CODE; 3]).run();
        assert_eq!(reason(&outcome), "no-state");
        assert_denied(&outcome, "no state");
        let line = "cannot count attempts, so every login is denied";
        let lines = outcome.log.iter().filter(|log| log.contains(line));
        assert_eq!(lines.count(), 1, "{:?}", outcome.log);
    }
    assert_eq!(world.requests(), 0);
}

#[test]
fn r11_no_secret_is_in_a_log_at_any_level() {
    for dialect in DIALECTS {
        let world =
            World::with([push(), totp(), sms()], &["log_level = \"debug\""]).speaking(dialect);
        world.onelogin.set_next_code("B41832");
        let good = world.ssh().answers(["999999", "3", "B41832"]).run();
        assert_eq!(good.code, Code::SUCCESS);
        assert_logged(&good, "request GET");
        let token = world
            .onelogin
            .requests()
            .iter()
            .find_map(|r| r.authorization.clone())
            .unwrap();
        let bearer = world
            .onelogin
            .requests()
            .iter()
            .filter_map(|r| r.authorization.clone())
            .find(|a| a.to_lowercase().starts_with("bearer"))
            .unwrap();
        let secrets = [
            onelogin_simulator::DEFAULT_CLIENT_SECRET,
            "B41832",
            "999999",
            token.split(' ').next_back().unwrap(),
            bearer.split(' ').next_back().unwrap(),
        ];
        for secret in secrets {
            assert!(!good.log.concat().contains(secret), "{secret}");
        }
    }
}

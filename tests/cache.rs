//! What a login costs, and what it believes of earlier ones: requests and connections, counted at OneLogin.
//! The built module in the real libpam.

mod world;

use nix::fcntl::{Flock, FlockArg};
use onelogin_simulator::{Action, Dialect, Fault, Match, Page, PushBehaviour, User};
use pam_host::Code;
use std::fs::File;
use std::time::Duration;
use world::{DIALECTS, ID, World, assert_accepted, fresh_code, reason, totp};

/// More than any wait that a test can end by an event.
const LONG: Duration = Duration::from_secs(60);

/// A login with a code; how many requests it took.
fn requests_of(world: &World) -> usize {
    world.onelogin.clear_requests();
    let outcome = world.ssh().answer(fresh_code()).run();
    assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
    world.requests()
}

#[test]
fn a_warm_login_by_code_is_one_request_on_a_connection_that_was_there_before_the_prompt() {
    for dialect in DIALECTS {
        let world = World::with_totp().speaking(dialect);
        assert_eq!(requests_of(&world), 4, "token, user, devices, code");
        world.onelogin.clear_requests();
        let connections = world.onelogin.connections();
        let mut login = world.ssh().spawn();
        login.wait_prompt();
        assert_eq!(world.onelogin.connections(), connections + 1);
        assert_eq!(world.requests(), 0, "nothing is asked before the prompt");
        login.reply(fresh_code());
        assert_eq!(login.finish().code, Code::SUCCESS);
        assert_eq!(world.requests(), 1);
        assert_eq!(world.onelogin.connections(), connections + 1);
    }
}

#[test]
fn a_warm_text_message_is_two_requests_and_a_warm_push_that_was_approved_before_enter_too() {
    let world = World::with_sms();
    let login = || {
        world.onelogin.clear_requests();
        let mut login = world.ssh().spawn();
        login.wait_prompt();
        login.reply("");
        login.wait_prompt();
        let message = world.onelogin.messages().pop().unwrap();
        login.reply(message.code().unwrap());
        assert_eq!(login.finish().code, Code::SUCCESS);
        world.requests()
    };
    assert_eq!(login(), 5);
    assert_eq!(login(), 2);

    let world = World::with_push();
    world.onelogin.on_push(PushBehaviour::ApproveAfterPolls(0));
    let login = || {
        world.onelogin.clear_requests();
        assert_accepted(&world.ssh().answers(["", ""]).run());
        world.requests()
    };
    assert_eq!(login(), 5);
    assert_eq!(login(), 2);
}

#[test]
fn a_prepared_connection_that_the_server_closed_is_made_anew_and_the_code_sent_once() {
    let world = World::with_totp();
    let _ = requests_of(&world);
    let connections = world.onelogin.connections();
    let mut login = world.ssh().spawn();
    login.wait_prompt();
    world.onelogin.close_connections();
    assert!(world.onelogin.wait_for_closed(LONG, connections + 1));
    world.onelogin.clear_requests();
    login.reply(fresh_code());
    let outcome = login.finish();
    assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
    assert_eq!((world.requests(), world.onelogin.codes()), (1, 1));
    assert_eq!(world.onelogin.connections(), connections + 2);
}

#[test]
fn r02_an_outage_is_noticed_before_the_prompt_however_warm_a_login_is() {
    let mut world = World::with_totp();
    let _ = requests_of(&world);
    world.onelogin.stop();
    let outcome = world.ssh().run();
    assert_eq!(outcome.code, Code::MAXTRIES, "{:?}", outcome.log);
    assert_eq!(reason(&outcome), "no-connection");
    assert_eq!(outcome.prompts(), [""; 0]);
}

#[test]
fn without_a_cache_each_login_looks_the_user_up() {
    let world = World::with([totp()], &["users.cache = 0"]);
    assert_eq!(requests_of(&world), 4);
    assert_eq!(requests_of(&world), 3);
}

#[test]
fn what_is_kept_belongs_to_the_configuration_it_was_asked_by() {
    let world = World::with_totp();
    assert_eq!(requests_of(&world), 4);
    world.config(&[
        "users.match = \"email\"",
        "users.append_domain = \"example.com\"",
    ]);
    assert_eq!(requests_of(&world), 3);
    // How long it is believed is said by whoever believes it.
    world.config(&["users.cache = 60"]);
    assert_eq!(requests_of(&world), 1);
    world.config(&["users.cache = 0"]);
    assert_eq!(requests_of(&world), 3);
    world.config(&[]);
    assert_eq!(requests_of(&world), 1);
}

#[test]
fn r05_what_is_kept_serves_no_other_credential_rule_or_form() {
    let world = World::with_totp();
    world.onelogin.add_credential("reader", "r3ader");
    world.onelogin.add_user(User::new(1002, "1001"));
    world.onelogin.add_device(1002, totp());
    let write = |text: &str| {
        let path = world.place.write("etc/map", text);
        format!("users.map_file = {:?}", path.to_str().unwrap())
    };
    let by_id = write("nobody id=1001\n");
    let settings: [&[&str]; 5] = [
        &[],
        &[
            "onelogin.lookup.client_id = \"reader\"",
            "onelogin.lookup.client_secret = \"r3ader\"",
        ],
        &["users.ignore_case = true"],
        &[&by_id],
        &[&by_id, "users.check_active = false"],
    ];
    for lines in settings {
        world.config(lines);
        assert!(requests_of(&world) > 1, "{lines:?}: asked anew");
        assert_eq!(requests_of(&world), 1, "{lines:?}: kept");
    }
    // A name that reads like the id of somebody else.
    let by_name = write("nobody 1001\n");
    world.config(&[&by_name]);
    world.onelogin.clear_requests();
    let outcome = world.ssh().answer(fresh_code()).run();
    assert!(world.requests() > 1, "{:?}", outcome.log);
    assert!(
        outcome.log.concat().contains("onelogin_id=1002"),
        "{:?}",
        outcome.log
    );
}

#[test]
fn what_is_kept_counts_from_the_look_up_and_not_from_its_end() {
    let world = World::with([totp()], &["users.cache = 1"]);
    let slow = Fault::new(Match::path("/devices"), Action::DelayMs(1500));
    world.fault(slow.times(1));
    let _ = requests_of(&world);
    assert_eq!(requests_of(&world), 3, "the user is asked for again");
}

#[test]
fn a_failed_activation_and_a_code_for_a_device_that_is_gone_drop_what_is_kept() {
    for (dialect, wrong) in DIALECTS.map(|dialect| (dialect, ["000001", "000002", "000003"])) {
        let world = World::with_totp().speaking(dialect);
        let _ = requests_of(&world);
        let refused = world.ssh().answers(wrong).run();
        assert_eq!(reason(&refused), "wrong-code");
        assert_eq!(requests_of(&world), 1, "a wrong code costs no look-up");
    }
    // How OneLogin answers is not known.
    for status in [400, 403, 404, 422] {
        let world = World::with_totp();
        let _ = requests_of(&world);
        let body = r#"{"name":"ForbiddenAction"}"#.to_owned();
        let gone = Action::Status(status, body, Vec::new());
        world.fault(Fault::new(Match::code(), gone).times(1));
        let outcome = world.ssh().answer("000001").run();
        assert_ne!(outcome.code, Code::SUCCESS);
        assert!(requests_of(&world) >= 3, "{status}: the user is looked up");
    }

    // What OneLogin has not seen says nothing of the user.
    let world = World::with_totp();
    let _ = requests_of(&world);
    let refuse = Action::Page(Page::TooManyRequests);
    world.fault(Fault::new(Match::code(), refuse).times(1));
    let outcome = world.ssh().answer("000001").run();
    assert_ne!(outcome.code, Code::SUCCESS);
    assert_eq!(requests_of(&world), 1, "a code that was not seen");

    // The device was replaced at OneLogin; the one that is kept is gone.
    let world = World::with_sms();
    let _ = world.ssh().answer("").run();
    world
        .onelogin
        .change_devices(ID, |devices| *devices = vec![totp()]);
    let gone = world.ssh().answer("").run();
    assert_ne!(gone.code, Code::SUCCESS);
    assert_accepted(&world.ssh().answer(fresh_code()).run());
}

#[test]
fn a_suspended_user_gets_in_no_longer_than_the_cache_lasts() {
    let world = World::with_totp();
    let _ = requests_of(&world);
    world.onelogin.change_user(ID, |user| user.status = 2);
    world.later();
    let outcome = world
        .ssh()
        .answers([fresh_code(), fresh_code(), fresh_code()])
        .run();
    assert_eq!(reason(&outcome), "inactive-onelogin-user");
}

#[test]
fn r01_that_somebody_has_no_device_is_never_believed_from_before() {
    let world = World::with([], &["users.no_factor = \"exempt\""]);
    for _ in 0..2 {
        world.onelogin.clear_requests();
        assert_eq!(reason(&world.ssh().run()), "exempt-no-factor");
        assert_eq!(world.onelogin.count("GET", "/devices"), 1);
    }
    world.onelogin.add_device(ID, totp());
    assert_accepted(&world.ssh().answer(fresh_code()).run());
}

#[test]
fn r04_a_cache_that_cannot_be_read_is_none() {
    let world = World::with_totp();
    let _ = requests_of(&world);
    for garbage in [
        "",
        "1",
        "99999999999 {}",
        "99999999999 {\"user\":\"1/../2\",\"enrolled\":1,\"devices\":[]}",
        "99999999999 {\"user\":\"1001\",\"enrolled\":0,\"devices\":[]}",
    ] {
        for entry in world.kept("directory-") {
            std::fs::write(entry, garbage).unwrap();
        }
        assert_eq!(requests_of(&world), 3, "{garbage:?}");
    }
}

#[test]
fn of_many_logins_at_once_one_asks_for_the_token_and_one_for_the_user() {
    let world = World::with([totp()], &["limits.failures = 100"]);
    // One stack for all of them: it is not written anew while they read it.
    world.place.service("sshd", &["auth required @module@"]);
    let login = || {
        let case = world.place.case("sshd").user(world::NAME);
        case.ssh_with_key(&world::connection()).spawn()
    };
    let mut logins: Vec<_> = (0..24).map(|_| login()).collect();
    for login in &mut logins {
        login.wait_prompt();
    }
    assert_eq!(world.onelogin.count("POST", "/token"), 1);
    assert_eq!(world.onelogin.count("GET", "/api/2/users?"), 1);
    assert_eq!(world.onelogin.count("GET", "/devices"), 1);
    for login in &mut logins {
        login.reply(fresh_code());
    }
    for login in logins {
        assert_eq!(login.finish().code, Code::SUCCESS);
    }
    assert_eq!(world.requests(), 3 + 24);
}

#[test]
fn a_lock_that_somebody_holds_for_ever_is_done_without() {
    let world = World::with_totp().speaking(Dialect::Live);
    let _ = requests_of(&world);
    let locks: Vec<_> = world
        .kept("lock-")
        .into_iter()
        .map(|path| Flock::lock(File::open(path).unwrap(), FlockArg::LockExclusive).unwrap())
        .collect();
    assert_eq!(locks.len(), 2);
    world.later().onelogin.expire_tokens();
    for token in world.kept("token-") {
        std::fs::remove_file(token).unwrap();
    }
    assert_eq!(requests_of(&world), 4);
}

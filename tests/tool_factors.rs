//! `pam-onelogin factors`: what a login would begin with, without one.

mod tool;
mod world;

use onelogin_simulator::{
    Action, DEFAULT_CLIENT_SECRET, Device, Factor, Fault, Match, Simulator, User,
};
use pam_host::Code;
use serde_json::{Value, json};
use tool::{Ran, assert_documented, at, has, run};
use world::{DIALECTS, ID, NAME, SMS, TOTP, World, push, sms, totp};

fn factors(world: &World, further: &[&str]) -> Ran {
    let words = [&["factors", NAME], further].concat();
    run(at(&world.place, &words), &[])
}

fn document(world: &World) -> Value {
    factors(world, &["--json"]).json()
}

#[test]
fn the_devices_and_the_prompt_are_those_of_the_login() {
    for dialect in DIALECTS {
        let world = World::with([push(), totp(), sms()], &[]).speaking(dialect);
        let ran = factors(&world, &[]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let login = world.ssh().answer("garbage").run();
        let prompt = login.prompts().remove(0);
        let lines: Vec<&str> = prompt.lines().map(str::trim_end).collect();
        for line in &lines {
            assert!(ran.out.contains(line), "{line}: {}", ran.out);
        }
        assert!(lines.len() > 4 && ran.out.contains("is OneLogin user 1001."));
    }
}

#[test]
fn what_keeps_a_device_out_stands_beside_it() {
    let world = World::with(
        [totp().default(true), sms(), Device::duo("801", "Duo")],
        &[
            "factors.allow = [\"totp\", \"duo\"]",
            "onelogin.verify = \"activated\"",
        ],
    );
    let ran = factors(&world, &[]);
    assert!(ran.out.contains("  totp  App     default\n"), "{}", ran.out);
    assert!(ran.out.contains("  sms   Mobile  not in factors.allow\n"));
    has(
        &ran.out,
        "  duo   Duo     cannot be used with onelogin.verify = ",
    );
    let document = document(&world);
    assert_documented("factors", &document);
    let entry = |id: &str| {
        let devices = document["devices"].as_array().unwrap();
        devices.iter().find(|device| device["id"] == id).unwrap()
    };
    assert_eq!(
        *entry(TOTP),
        json!({"id": TOTP, "factor": "totp", "name": "App", "default": true, "allowed": true, "why": null})
    );
    assert_eq!(entry(SMS)["allowed"], false);
    assert_eq!(
        document["begins"],
        json!({"prompt": "Verification code (OneLogin): "})
    );
}

#[test]
fn the_list_has_the_order_of_the_menu_and_then_what_is_kept_out() {
    let world = World::with(
        [sms(), push(), totp().default(true)],
        &["factors.allow = [\"push\", \"totp\"]"],
    );
    let document = document(&world);
    let devices = document["devices"].as_array().unwrap();
    let order: Vec<_> = devices.iter().map(|device| &device["factor"]).collect();
    assert_eq!(order, ["totp", "push", "sms"], "{document}");
}

#[test]
fn devices_of_unknown_kinds_are_counted() {
    let odd = Factor::Other("WebAuthn".to_owned());
    let world = World::with([totp(), Device::new(odd, "901", "Key")], &[]);
    assert_eq!(document(&world)["other_devices"], 1);
    let ran = factors(&world, &[]);
    has(&ran.out, "of types that cannot be used here: 1.");
}

#[test]
fn nothing_is_activated_counted_or_kept_and_each_time_onelogin_is_asked() {
    let world = World::with([push()], &["factors.autopush = true"]);
    for _ in 0..2 {
        let document = document(&world);
        assert_eq!(document["begins"], json!({"push": "Phone"}));
        assert_eq!(document["verdict"], "pass");
    }
    assert_eq!(world.onelogin.activations(), 0);
    let asked = world.onelogin.requests();
    let sent: Vec<_> = asked
        .iter()
        .map(|request| request.method.as_str())
        .collect();
    // One token, and then a look-up and the devices each time.
    assert_eq!(sent, ["POST", "GET", "GET", "GET", "GET"]);
    for kept in ["denied-", "u-", "n-", "directory-"] {
        assert!(world.kept(kept).is_empty(), "{kept}");
    }
}

/// What is changed at OneLogin.
type Spoil<'a> = &'a dyn Fn(&Simulator);

#[test]
fn who_cannot_log_in_has_the_reason_that_the_log_would_give() {
    let cases: [(&[&str], Spoil<'_>, &str); 11] = [
        (
            &["users.match = \"map\"", "users.map_file = \"MAP\""],
            &|_| {},
            "not-mapped",
        ),
        (
            &[
                "users.exempt_groups = [\"no-such-group\"]",
                "factors.prompts = 1",
            ],
            &|_| {},
            "group-lookup",
        ),
        (
            &[],
            &|onelogin| onelogin.remove_user(ID),
            "no-onelogin-user",
        ),
        (
            &[],
            &|onelogin| onelogin.add_user(User::new(1002, NAME)),
            "several-onelogin-users",
        ),
        (
            &[],
            &|onelogin| {
                let body = "[{\"id\":1001,\"username\":\"other\",\"state\":1,\"status\":1}]";
                let on = Match::path("/api/2/users?");
                onelogin.fault(Fault::new(on, Action::Body(body.to_owned())));
            },
            "other-onelogin-user",
        ),
        (
            &[],
            &|onelogin| onelogin.change_user(ID, |user| user.status = 2),
            "inactive-onelogin-user",
        ),
        (
            &[],
            &|onelogin| onelogin.change_devices(ID, Vec::clear),
            "no-factor",
        ),
        (&["factors.allow = [\"sms\"]"], &|_| {}, "no-allowed-factor"),
        (
            &[],
            &|onelogin| onelogin.fault(Fault::new(Match::path("/devices"), Action::status(500))),
            "server-error",
        ),
        (
            &[],
            &|onelogin| onelogin.fault(Fault::new(Match::path("/devices"), Action::status(503))),
            "gateway",
        ),
        (
            &[],
            &|onelogin| onelogin.fault(Fault::new(Match::token(), Action::status(401))),
            "credential",
        ),
    ];
    for (config, spoil, reason) in cases {
        let world = World::with_totp();
        let map = world.place.write("map", "# nobody\n");
        let lines: Vec<String> = config
            .iter()
            .map(|line| line.replace("MAP", map.to_str().unwrap()))
            .collect();
        world.config(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        spoil(&world.onelogin);
        let ran = factors(&world, &[]);
        assert_eq!(ran.code, 1, "{reason}");
        let text = format!("{NAME} could not log in: {reason}");
        for (advice, reasons) in [
            ("pam-onelogin enroll nobody", &["no-factor"] as &[_]),
            (
                "pam-onelogin check --user nobody",
                &["group-lookup", "server-error", "gateway", "credential"],
            ),
        ] {
            let is_given = ran.err.contains(advice);
            assert_eq!(is_given, reasons.contains(&reason), "{}", ran.err);
        }
        assert!(ran.out.contains(&text), "{reason}: {} {}", ran.out, ran.err);
        let login = world.ssh().answers(["000000"; 3]).run();
        assert_eq!(world::reason(&login), reason, "{:?}", login.log);
        assert_eq!(document(&world)["reason"], reason);
    }
}

#[test]
fn who_is_exempt_and_who_would_enrol_is_said_and_is_no_denial() {
    let cases: [(&[&str], &str, &str); 4] = [
        (
            &["users.exempt_users = [\"nobody\"]"],
            "exempt",
            "exempt-user",
        ),
        (
            &["users.groups = [\"root\"]"],
            "exempt",
            "exempt-other-groups",
        ),
        (
            &["users.no_factor = \"exempt\""],
            "exempt",
            "exempt-no-factor",
        ),
        (&["users.no_factor = \"enroll\""], "enroll", ""),
    ];
    for (config, verdict, reason) in cases {
        let world = World::with([], config);
        let ran = factors(&world, &["--json"]);
        let document = ran.json();
        assert_eq!((ran.code, &document["verdict"]), (0, &json!(verdict)));
        assert_eq!(document["reason"].as_str().unwrap_or_default(), reason);
    }
}

#[test]
fn a_name_that_the_system_does_not_know_is_not_asked_for() {
    let world = World::with_totp();
    let ran = run(at(&world.place, &["factors", "no-such-user"]), &[]);
    has(&ran.out, "could not log in: no-account");
    assert_eq!((ran.code, world.requests()), (1, 0));
}

#[test]
fn a_used_up_limit_is_seen() {
    let world = World::with([push()], &["limits.challenges = 1"]);
    let outcome = world.ssh().answer("").run();
    assert_ne!(outcome.code, Code::SUCCESS);
    let ran = factors(&world, &["--json"]);
    let document = ran.json();
    assert_eq!(document["held_back"], "limits.challenges is used up");
    assert_eq!(
        document["begins"],
        json!({"prompt": "Verification code (OneLogin): "})
    );
    has(&ran.err, "limits.challenges is used up");
}

#[test]
fn too_many_refused_codes_are_a_denial_and_the_devices_are_shown_all_the_same() {
    let world = World::with([totp()], &["limits.failures = 1"]);
    let refused = world.ssh().answers(["000000"; 3]).run();
    assert_eq!(refused.code, Code::MAXTRIES);
    let document = document(&world);
    assert_eq!(document["reason"], "too-many-codes");
    assert_eq!(document["devices"][0]["id"], TOTP);
}

#[test]
fn r10_hostile_names_move_no_cursor_and_r11_no_secret_is_shown() {
    let evil = "\u{1b}]0;owned\u{7}\u{9b}31mEvil\u{202e}\nphone";
    let world = World::with([Device::protect("601", evil)], &[]);
    for further in [&[] as &[&str], &["--json"]] {
        let ran = factors(&world, further);
        let all = format!("{}{}", ran.out, ran.err);
        assert!(all.contains("Evil phone"), "{all}");
        for bad in ['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}'] {
            assert!(!all.contains(bad), "{all:?}");
        }
        assert!(!all.contains(DEFAULT_CLIENT_SECRET));
        let tokens = world.onelogin.access_tokens();
        assert!(!tokens.is_empty() && tokens.iter().all(|token| !all.contains(token)));
    }
    // A name on the command line, too.
    let ran = run(at(&world.place, &["factors", evil]), &[]);
    assert!(!ran.out.contains('\u{1b}'), "{:?}", ran.out);
}

//! `pam-onelogin status` and `limits reset`: what this host has decided, counted and kept.

mod days;
mod tool;
mod world;

use days::day_in;
use onelogin_simulator::DEFAULT_CLIENT_SECRET;
use pam_host::{Code, Outcome};
use serde_json::{Value, json};
use std::path::PathBuf;
use tool::{Ran, assert_documented, at, has, run};
use world::{NAME, TOTP_CODE as CODE, World, assert_accepted, fresh_code, reason, totp};

#[test]
fn decisions_of_real_logins_are_counted_and_the_last_ones_shown() {
    let world = World::with_totp();
    let outcomes = [
        world.ssh().answers(["000001", "000002", "000003"]).run(),
        world.ssh().rhost("10.0.0.9").answer(CODE).run(),
        world.host("sudo").answer(fresh_code()).run(),
    ];
    let log = log_of(&world, &outcomes);
    let words = ["status", "--log", log.to_str().unwrap()];
    let ran = shown(&world, &[&words[..], &["--last", "2"]].concat());
    let document = &ran.json();
    let count = |event: &str, reason: Value, count: u32| json!({"event": event, "reason": reason, "count": count});
    let counts = [
        count("accepted", Value::Null, 2),
        count("denied", "wrong-code".into(), 1),
    ];
    assert_eq!(document["counts"], json!(counts), "{}", ran.out);
    assert_documented("status", document);
    let last = document["last"].as_array().unwrap();
    assert_eq!(last.len(), 2);
    assert_eq!(
        (&last[0]["service"], &last[1]["service"]),
        (&"sshd".into(), &"sudo".into())
    );
    assert_eq!(last[0]["time"], "Nov 22 02:10:00");
    assert_eq!(
        (&last[0]["user"], &last[0]["rhost"]),
        (&NAME.into(), &"10.0.0.9".into())
    );

    let ran = run(at(&world.place, &words), &[]);
    for part in [
        "     2  accepted\n",
        "     1  denied wrong-code\n",
        "\nFor what to do about each reason, see pam_onelogin(8).\n",
        "  Nov 22 02:10:00  sshd denied user=nobody reason=wrong-code factor=totp rhost=127.0.0.1\n",
        "  for [onelogin]          cached until 20",
    ] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
    let ran = shown(&world, &[&words[..], &["root"]].concat());
    assert_eq!(ran.json()["counts"], json!([]), "nothing of another user");
}

#[test]
fn in_observe_mode_the_decisions_say_what_would_have_happened() {
    let until = day_in(5);
    let line = format!("observe.until = \"{until}\"");
    let world = World::with([totp()], &[&line]);
    let outcomes = [
        world.ssh().run(),
        world.ssh().run(),
        world.ssh().user("root").run(),
    ];
    let log = log_of(&world, &outcomes);
    let words = ["status", "--log", log.to_str().unwrap()];
    let document = &shown(&world, &words).json();
    assert_documented("status", document);
    let expected = json!([
        {"event": "observed, would ask", "reason": null, "count": 2},
        {"event": "observed, would deny", "reason": "no-onelogin-user", "count": 1},
    ]);
    assert_eq!(document["counts"], expected);
    assert_eq!(document["observe"]["applies"], true);
    let ran = run(at(&world.place, &words), &[]);
    let warning = format!("Warning: observe mode until {until}: there is no second factor");
    assert!(ran.out.starts_with(&warning), "{}", ran.out);
    has(&ran.out, "     1  observed, would deny no-onelogin-user\n");

    world.config(&[&format!("observe.until = \"{}\"", day_in(-1))]);
    let ran = run(at(&world.place, &words), &[]);
    has(
        &ran.out,
        "Warning: observe mode does not apply, so users are asked: its last day is over (",
    );
}

#[test]
fn after_a_reset_a_user_who_has_used_the_limits_up_gets_in() {
    let world = World::with([totp()], &["limits.failures = 3"]);
    let _ = world.ssh().answers(["000001", "000002", "000003"]).run();
    let denied = world.ssh().answer(CODE).run();
    assert_eq!(reason(&denied), "too-many-codes");
    let user = user_of(&world, NAME);
    assert_eq!(
        (&user["failures"], &user["failures_limit"]),
        (&3.into(), &3.into())
    );
    assert!(
        run(at(&world.place, &["status", NAME]), &[])
            .out
            .contains("3 of 3 in 600 s, 3 of 50 in 24 h, used up")
    );

    let other = shown(&world, &["limits", "reset", "root"]);
    assert_eq!(
        other.json()["failures"],
        0,
        "another user's counts are another's"
    );
    assert_eq!(reason(&world.ssh().answer(CODE).run()), "too-many-codes");

    let ran = shown(&world, &["limits", "reset", NAME]);
    assert_eq!(
        ran.json(),
        json!({
            "user": NAME, "challenges": 0, "failures": 3, "unproven_failures": 0, "reserve": 0,
            "wrong_offline_codes": 0, "look_ups": 0, "push_denied": false, "by": ran.json()["by"],
        })
    );
    assert!(ran.json()["by"].is_string());
    assert_documented("limits reset", &ran.json());
    assert_eq!(user_of(&world, NAME)["failures"], 0);
    let accepted = world.ssh().answer(CODE).run();
    assert_eq!(accepted.code, Code::SUCCESS, "{:?}", accepted.log);
}

#[test]
fn challenges_are_taken_back_as_well_and_the_phone_is_told_of() {
    let world = World::with(
        [world::push()],
        &["limits.challenges = 1", "push.wait = 40"],
    );
    let user = user_of(&world, NAME);
    assert_eq!(
        (&user["challenges"], &user["phone_busy"]),
        (&0.into(), &false.into())
    );
    let mut login = world.ssh().spawn();
    login.wait_prompt();
    login.reply("");
    // The push has left when the next prompt is there.
    login.wait_prompt();
    let user = user_of(&world, NAME);
    assert_eq!(
        (&user["challenges"], &user["phone_busy"]),
        (&1.into(), &true.into())
    );
    assert!(world.onelogin.deny_latest().is_some());
    login.reply("");
    assert_eq!(reason(&login.finish()), "push-denied");
    let user = user_of(&world, NAME);
    assert_eq!(
        (&user["challenges"], &user["phone_busy"]),
        (&1.into(), &false.into())
    );
    let ran = shown(&world, &["limits", "reset", NAME]);
    assert_eq!(ran.json()["challenges"], 1);
    let activations = world.onelogin.activations();
    let mut login = world.ssh().spawn();
    login.wait_prompt();
    login.reply("");
    login.wait_prompt();
    assert_eq!(world.onelogin.activations(), activations + 1);
    assert!(world.onelogin.approve_latest().is_some());
    login.reply("");
    assert_eq!(login.finish().code, Code::SUCCESS);
}

#[test]
fn a_denial_of_a_connection_stays_after_a_reset() {
    let world = World::with_totp();
    let connection = world::connection();
    let wrong = ["000001", "000002", "000003"];
    let _ = world.ssh_again(&connection).answers(wrong).run();
    let _ = shown(&world, &["limits", "reset", NAME]);
    let again = world.ssh_again(&connection).answer(CODE).run();
    assert_eq!(reason(&again), "denied-before");
}

#[test]
fn a_reset_takes_back_counts_and_nothing_else() {
    let world = World::with_totp();
    let _ = world.ssh().answers(["000001", "000002", "000003"]).run();
    let _ = world.ssh().answer(CODE).run();
    let names = |beginning| world.kept(beginning).len();
    let before = (
        names("token-"),
        names("directory-"),
        names("denied-"),
        names("x-"),
    );
    assert_eq!(names("f-"), 3);
    let _ = shown(&world, &["limits", "reset", NAME]);
    let after = (
        names("token-"),
        names("directory-"),
        names("denied-"),
        names("x-"),
    );
    assert_eq!((before, names("f-")), (after, 0));
    assert!(before.0 == 1 && before.3 == 1, "{before:?}");
}

#[test]
fn what_is_kept_is_told_with_its_age_and_never_what_it_is() {
    let world = World::with_totp();
    let nothing = shown(&world, &["status", NAME]).json();
    assert_eq!(nothing["kept"]["cached_seconds"], Value::Null);
    let none = json!([{"table": "[onelogin]", "kept_until": null}]);
    assert_eq!(nothing["tokens"], none);
    assert!(!world.place.state_path().exists(), "to look makes nothing");
    assert_documented("status", &nothing);
    assert_eq!(nothing["user"], NAME);
    assert_accepted(&world.ssh().answer(CODE).run());
    let kept = shown(&world, &["status", NAME]).json();
    assert!(
        kept["kept"]["cached_seconds"]
            .as_i64()
            .is_some_and(|age| (0..300).contains(&age))
    );
    let until = kept["tokens"][0]["kept_until"].as_u64().unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!((now + 30_000..now + 36_001).contains(&until), "{until}");
    assert_eq!(world.onelogin.count("", "/auth/rate_limit"), 0);
}

#[test]
fn who_is_not_known_here_or_a_folder_of_others_is_said() {
    let world = World::with_totp();
    let ran = run(
        at(&world.place, &["limits", "reset", "no-such-account"]),
        &[],
    );
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    has(
        &ran.err,
        "the user \"no-such-account\" does not exist on this host",
    );
    let state = world.place.state_path();
    pam_host::place::make_folder(&state);
    pam_host::place::set_mode(&state, 0o777);
    let ran = run(at(&world.place, &["status", NAME]), &[]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("type: chown root:root "), "{}", ran.err);
    let ran = run(at(&world.place, &["limits"]), &[]);
    assert_eq!(ran.code, 2);
}

#[test]
fn r10_a_forged_line_of_the_log_moves_no_cursor() {
    let world = World::with_totp();
    let line = "Nov 22 02:10:00 h sshd[1]: pam_onelogin(x\u{1b}[2J:auth): denied user=\"a\u{202e}\u{1b}]0;b\" reason=x requests=1 ms=1\n";
    let log = world.place.write("log", line);
    let ran = run(
        at(&world.place, &["status", "--log", log.to_str().unwrap()]),
        &[],
    );
    assert!(ran.out.contains("denied user=a]0;b"), "{:?}", ran.out);
    assert!(!ran.out.contains(['\u{1b}', '\u{202e}']), "{:?}", ran.out);
}

/// The log of these logins as a log daemon writes it.
fn log_of(world: &World, outcomes: &[Outcome]) -> PathBuf {
    let lines = outcomes.iter().flat_map(|outcome| &outcome.log);
    let lines = lines.map(|line| {
        let (_, line) = line.split_once('>').unwrap();
        format!("Nov 22 02:10:00 host {line}\n")
    });
    world.place.write("log", lines.collect::<String>())
}

/// A run with `--json` that goes well and shows no secret.
fn shown(world: &World, words: &[&str]) -> Ran {
    let ran = run(at(&world.place, &[words, &["--json"]].concat()), &[]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    let tokens = world.onelogin.access_tokens();
    for secret in tokens
        .iter()
        .map(String::as_str)
        .chain([CODE, DEFAULT_CLIENT_SECRET])
    {
        assert!(!ran.out.contains(secret), "{}", ran.out);
    }
    ran
}

fn user_of(world: &World, name: &str) -> Value {
    shown(world, &["status", name]).json()["kept"].clone()
}

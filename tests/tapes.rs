//! Tapes: each file in tests/tapes is replayed to the module and to the tool. A new file is a new test. `UPDATE=1` records those
//! of the simulator anew.

mod tool;
mod world;

use onelogin_simulator::{Device, Dialect, Factor, ProtectListing, PushBehaviour, Simulator, User};
use pam_host::Place;
use pam_onelogin::factor;
use pam_onelogin::reason::Reason;
use pam_onelogin::verdict::Event;
use pam_onelogin_tape::words::is_protocol_word;
use pam_onelogin_tape::{Exchange, Json, Settings, Step, Tape};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tool::{at, has, on_terminal, run};
use world::{DIALECTS, ID, NAME, TOTP_CODE, World, connection, decision, push, sms, totp};

const LONG: Duration = Duration::from_secs(60);

/// A login that the simulator lets us record.
struct Scene {
    name: &'static str,
    version: u8,
    /// Further lines of the configuration.
    lines: &'static [&'static str],
    device: fn() -> Device,
    prepare: fn(&Simulator),
    /// The lines that are typed.
    typed: &'static [&'static str],
    /// What happens after the first line.
    meanwhile: fn(&Simulator),
}

/// A right code of an authenticator, in version 2; the other logins say what is different.
const RIGHT_CODE: Scene = Scene {
    name: "code-right",
    version: 2,
    lines: &[],
    device: totp,
    prepare: nothing,
    typed: &[TOTP_CODE],
    meanwhile: nothing,
};

/// The lines of the table below are those of tests/tapes, once for each dialect.
const SCENES: &[Scene] = &[
    RIGHT_CODE,
    Scene {
        name: "code-wrong",
        typed: &["111111", "222222", "333333"],
        ..RIGHT_CODE
    },
    Scene {
        name: "push-accepted",
        device: push,
        prepare: approve,
        typed: &["", ""],
        ..RIGHT_CODE
    },
    Scene {
        name: "push-denied",
        device: push,
        prepare: deny,
        typed: &["", ""],
        ..RIGHT_CODE
    },
    Scene {
        name: "push-expired",
        device: push,
        typed: &["", ""],
        meanwhile: expire,
        ..RIGHT_CODE
    },
    Scene {
        name: "push-ignored",
        lines: &["push.wait = 1"],
        device: push,
        typed: &["", ""],
        ..RIGHT_CODE
    },
    Scene {
        name: "sms",
        device: sms,
        prepare: send,
        typed: &["", "482913"],
        ..RIGHT_CODE
    },
    Scene {
        name: "v1-code",
        version: 1,
        ..RIGHT_CODE
    },
    Scene {
        name: "v1-push",
        version: 1,
        device: push,
        prepare: approve_v1,
        typed: &["", ""],
        ..RIGHT_CODE
    },
];

const ALL_DIALECTS: [(&str, Dialect); 3] = [
    ("docs", Dialect::Docs),
    ("live", Dialect::Live),
    ("py4", Dialect::Py4),
];

fn nothing(_: &Simulator) {}

fn approve(simulator: &Simulator) {
    simulator.on_push(PushBehaviour::ApproveAfterPolls(1));
}

fn approve_v1(simulator: &Simulator) {
    simulator.set_protect_listing(ProtectListing::Twice);
    approve(simulator);
}

fn deny(simulator: &Simulator) {
    simulator.on_push(PushBehaviour::DenyAfterPolls(1));
}

fn send(simulator: &Simulator) {
    simulator.set_next_code("482913");
}

fn expire(simulator: &Simulator) {
    let push = simulator.wait_for_message(LONG, |message| message.factor == Factor::Protect);
    assert!(push.is_some(), "a push was sent");
    simulator.expire_verifications();
}

#[test]
fn each_tape_is_replayed_to_the_module_with_its_outcome() {
    for_each(&tapes(), |(path, tape)| {
        let world = world_of(tape);
        let answers = world.onelogin.replay(tape.clone()).unwrap();
        let case = match (tape.header.service.as_str(), tape.header.proven) {
            ("sshd", true) => world.ssh(),
            ("sshd", false) => world.place.alone("sshd").user(NAME).ssh(&connection()),
            (service, _) => world.host(service),
        };
        let outcome = case.answers(answers).run();
        assert_eq!(world.onelogin.replay_report(), [""; 0], "{path:?}");
        let line = decision(&outcome);
        let value = |key: &str| {
            let mut words = line.split(' ');
            words.find_map(|word| word.strip_prefix(key).map(str::to_owned))
        };
        let expected = &tape.outcome;
        let event = format!(": {} user=", expected.event);
        assert!(line.contains(&event), "{path:?}: {line}");
        assert_eq!(value("reason="), expected.reason, "{path:?}: {line}");
        assert_eq!(value("factor="), expected.factor, "{path:?}: {line}");
        assert_eq!(outcome.code.to_string(), expected.code, "{path:?}: {line}");
        assert_eq!(outcome.unused, 0, "{path:?}: answers");
    });
}

#[test]
fn each_tape_is_replayed_to_the_tool_which_records_the_same_tape() {
    for_each(&tapes(), |(path, tape)| {
        let world = world_of(tape);
        let answers = world.onelogin.replay(tape.clone()).unwrap();
        let lines: Vec<&str> = answers.iter().map(String::as_str).collect();
        let recorded = record(&world.place, Some(tape), &lines, || {});
        assert_eq!(world.onelogin.replay_report(), [""; 0], "{path:?}");
        let recorded = Tape::read(&recorded).unwrap();
        assert_same(&recorded, tape, path);
    });
}

#[test]
fn the_simulator_still_makes_the_tapes_that_were_recorded_of_it() {
    let update = std::env::var_os("UPDATE").is_some();
    let all = ALL_DIALECTS
        .iter()
        .flat_map(|dialect| SCENES.iter().map(move |scene| (dialect, scene)));
    let all: Vec<_> = all.collect();
    for_each(&all, |((word, dialect), scene)| {
        let file = folder().join(format!("{word}-{}.jsonl", scene.name));
        let text = scene.record(*dialect);
        let recorded = Tape::read(&text).unwrap();
        let kept = fs::read_to_string(&file).unwrap_or_default();
        let kept = Tape::read(&kept).ok();
        let is_same = kept
            .as_ref()
            .is_some_and(|kept| comparable(&recorded, &recorded) == comparable(kept, kept));
        if update && !is_same {
            fs::write(&file, &text).unwrap();
        } else if !is_same {
            let command = "UPDATE=1 cargo test --test tapes the_simulator";
            println!("{}: to record it again, type: {command}", file.display());
            assert_same(&recorded, &kept.expect("there is a tape"), &file);
        }
    });
}

#[test]
fn the_scenes_reach_each_end_that_their_names_say() {
    for (path, tape) in tapes() {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let outcome = &tape.outcome;
        let end = outcome.reason.as_deref().unwrap_or(&outcome.event);
        let Some((dialect, scene)) = name.split_once('-') else {
            panic!("{name}")
        };
        let expected = match (dialect, scene) {
            // What a Python package demands of a right code: only OneLogin's documented reply is an acceptance.
            ("py4", "code-right" | "sms" | "v1-code" | "v1-push") => "bad-reply",
            (_, "code-right" | "push-accepted" | "sms" | "v1-code" | "v1-push") => "accepted",
            (_, "code-wrong") => "wrong-code",
            (_, "push-denied") => "push-denied",
            (_, "push-expired") => "expired",
            (_, "push-ignored") => "push-unanswered",
            _ => continue,
        };
        assert_eq!(end, expected, "{name}");
    }
}

#[test]
fn a_login_that_differs_is_told_with_the_line() {
    let text = fs::read_to_string(folder().join("live-code-right.jsonl")).unwrap();
    let tape = Tape::read(&text).unwrap();
    let world = world_of(&tape);
    world.config(&["onelogin.verify = \"activated\""]);
    let answers = world.onelogin.replay(tape.clone()).unwrap();
    let outcome = world.ssh().answers(answers).run();
    assert_ne!(outcome.code.to_string(), "PAM_SUCCESS");
    let report = world.onelogin.replay_report();
    let line = 1 + text
        .lines()
        .position(|line| line.contains("\"otp\""))
        .unwrap();
    has(
        &report[0],
        &format!("line {line}: expected {{\"method\":\"POST\""),
    );
    has(report.last().unwrap(), &format!("line {line}: not used: "));
    // Another code than the tape's is no code of this login.
    let world = world_of(&tape);
    world.onelogin.replay(tape).unwrap();
    let outcome = world.ssh().answers(["999999"; 3]).run();
    assert_ne!(outcome.code.to_string(), "PAM_SUCCESS");
    assert!(!world.onelogin.replay_report().is_empty());
}

#[test]
fn no_tape_has_a_value_of_the_login_that_it_was_recorded_of() {
    let values = [
        NAME,
        "localhost",
        "1001",
        TOTP_CODE,
        "482913",
        "111111",
        "Phone",
        "Mobile",
        "App\"",
    ];
    for (path, tape) in tapes() {
        let text = tape.write();
        for value in values {
            assert!(!text.contains(value), "{path:?}: {value}");
        }
    }
}

/// Else the check would take a user of such a name for a value that was left.
#[test]
fn the_words_of_an_outcome_are_in_the_dictionary() {
    let mut words: Vec<&str> = Reason::all().map(Reason::word).collect();
    // The login of a tape is never one in observe mode.
    let events = Event::all().map(Event::word);
    words.extend(events.filter(|event| !event.starts_with("observed")));
    words.extend(factor::Factor::all().map(factor::Factor::word));
    for word in words {
        for part in word.split(['-', ' ', '=']) {
            assert!(is_protocol_word(part), "{word}");
        }
    }
}

#[test]
fn each_file_is_a_tape_as_the_tool_writes_it() {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(path.extension().unwrap(), "jsonl", "{path:?}");
        let text = fs::read_to_string(&path).unwrap();
        let tape = Tape::read(&text).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
        assert_eq!(tape.write(), text, "{path:?}");
        names.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
    }
    assert!(names.len() > ALL_DIALECTS.len() * SCENES.len(), "{names:?}");
}

// Recording

#[test]
fn a_tape_is_written_only_after_yes_and_only_for_its_user() {
    for (answer, is_written) in [("y", true), ("n", false), ("no", false)] {
        let world = World::with_totp();
        let file = world.place.path().join("tape");
        let name = file.to_str().unwrap();
        let mut screen = on_terminal(at(&world.place, &["test", NAME, "--record", name]));
        for wrong in ["111111", "222222", "333333"] {
            screen.expect("(OneLogin): ");
            screen.line(wrong);
        }
        let shown = screen.expect("Write this to ");
        has(&shown, "{\"typed\":\"{digits 6 #");
        has(&shown, "\"reason\":\"wrong-code\"");
        assert!(!file.exists());
        screen.line(answer);
        screen.expect(if is_written {
            ": written."
        } else {
            "The tape was not written."
        });
        assert_eq!(screen.finish().0.code(), Some(1));
        assert_eq!(file.exists(), is_written);
        if is_written {
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600);
            let text = fs::read_to_string(&file).unwrap();
            assert!(shown.replace("\r\n", "\n").contains(&text), "{shown}");
        }
    }
}

#[test]
fn what_can_be_refused_is_refused_before_the_login() {
    let world = World::with_totp();
    let there = world.place.write("tape", "x");
    let nowhere = world.place.path().join("nowhere/tape");
    for (path, why) in [(&there, "exists already"), (&nowhere, "nowhere")] {
        let command = at(
            &world.place,
            &["test", NAME, "--record", path.to_str().unwrap()],
        );
        let (status, screen) = on_terminal(command).finish();
        assert_eq!(status.code(), Some(1));
        has(&screen, why);
    }
    assert_eq!(fs::read_to_string(&there).unwrap(), "x");
    let new = world.place.path().join("new");
    // This account is on every Debian; its name is a word of the protocol.
    let words = ["test", "mail", "--record", new.to_str().unwrap()];
    let (status, screen) = on_terminal(at(&world.place, &words)).finish();
    assert_eq!(status.code(), Some(1));
    has(&screen, "a tape cannot hide the name \"mail\"");
    assert_eq!(world.requests(), 0);
    let command = at(
        &world.place,
        &["test", NAME, "--record", new.to_str().unwrap()],
    );
    let ran = run(command, &[TOTP_CODE, "y"]);
    has(&ran.err, "so it needs a terminal");
    assert!(ran.code == 1 && !new.exists());
    assert_eq!(world.requests(), 0);
}

#[test]
fn an_error_without_a_reply_and_a_connection_that_is_never_made_are_recorded() {
    let mut world = World::with_totp();
    world.onelogin.fault(onelogin_simulator::Fault::new(
        onelogin_simulator::Match::path("/devices"),
        onelogin_simulator::Action::DropBefore,
    ));
    let text = record(&world.place, None, &[], || {});
    let tape = Tape::read(&text).unwrap();
    let ends: Vec<_> = tape
        .exchanges()
        .filter_map(|(_, exchange)| exchange.result.as_ref().err())
        .map(|error| (error.reason.as_str(), error.ending.as_str()))
        .collect();
    assert_eq!(ends, [("connection-lost", "lost"); 2], "{text}");
    world.onelogin.stop();
    let text = record(&world.place, None, &[], || {});
    has(
        &text,
        "\"error\":{\"reason\":\"no-connection\",\"ending\":\"not-sent\"}",
    );
}

#[test]
fn a_user_whose_name_is_a_word_of_the_protocol_does_not_stand_in_a_tape() {
    let world = World::with([], &["users.append_domain = \"status.example\""]);
    world.onelogin.change_user(ID, |user| {
        *user = User::new(ID, format!("{NAME}@status.example"));
    });
    world.onelogin.add_device(ID, totp());
    let text = record(&world.place, None, &[TOTP_CODE], || {});
    assert!(
        !text.contains("status.example") && !text.contains(NAME),
        "{text}"
    );
    has(&text, "\"query\":{\"username\":\"{email #5}\"");
}

// How it is done

impl Scene {
    fn record(&self, dialect: Dialect) -> String {
        let version = format!("onelogin.api_version = {}", self.version);
        let lines = [&[version.as_str()], self.lines].concat();
        let world = World::with([(self.device)()], &lines).speaking(dialect);
        (self.prepare)(&world.onelogin);
        let meanwhile = || (self.meanwhile)(&world.onelogin);
        record(&world.place, None, self.typed, meanwhile)
    }
}

/// Records a login of the tool, by default at sshd by a user who is proven. Something happens after the first line that is typed.
fn record(
    place: &Place,
    as_recorded: Option<&Tape>,
    lines: &[&str],
    meanwhile: impl FnOnce(),
) -> String {
    let file = place.path().join("recorded.jsonl");
    let _ = fs::remove_file(&file);
    let mut words = vec!["test", NAME, "--record", file.to_str().unwrap()];
    if let Some(tape) = as_recorded {
        words.extend(["--service", &tape.header.service]);
        words.extend((!tape.header.proven).then_some("--unproven"));
    }
    let mut screen = on_terminal(at(place, &words));
    let mut lines = lines.iter();
    if let Some(first) = lines.next() {
        screen.line(first);
        meanwhile();
    }
    for line in lines {
        screen.line(line);
    }
    screen.expect("Write this to ");
    screen.line("y");
    screen.expect(": written.");
    let (status, screen) = screen.finish();
    assert!(status.code().is_some(), "{screen}");
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{error}: {screen}"))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tapes")
}

/// Does the same with each, several at a time: most of a login is waiting.
fn for_each<T: Sync>(all: &[T], run: impl Fn(&T) + Sync) {
    std::thread::scope(|scope| {
        for part in all.chunks(all.len().div_ceil(6)) {
            scope.spawn(|| part.iter().for_each(&run));
        }
    });
}

/// All tapes, with their paths.
fn tapes() -> Vec<(PathBuf, Tape)> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let tape = Tape::read(&text).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
        (path, tape)
    };
    paths.into_iter().map(read).collect()
}

/// A place with the settings of a tape.
fn world_of(tape: &Tape) -> World {
    let mut lines = lines_of(&tape.header.settings);
    let world = World::with([], &[]);
    if tape.header.settings.mapped {
        let map = format!("{NAME} id={}\n", id_of(tape));
        let map = world.place.write("map", map);
        lines.push(format!("users.map_file = {:?}", map.to_str().unwrap()));
    }
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    world.config(&lines);
    world
}

/// An id that is as long as that of the user of the tape. What is made up begins with another digit.
fn id_of(tape: &Tape) -> String {
    let path = |(_, exchange): (usize, &Exchange)| {
        let (_, rest) = exchange.request.path.split_once("/users/{digits ")?;
        rest.split_once(' ')?.0.parse().ok()
    };
    let length = tape.exchanges().find_map(path);
    "9".repeat(length.expect("a request about the user"))
}

/// The settings of a tape as lines of a configuration.
fn lines_of(settings: &Settings) -> Vec<String> {
    let attribute = match settings.attribute.as_str() {
        "custom" => "custom_attributes.login",
        word => word,
    };
    let magic: Vec<String> = (0..settings.magic_link)
        .map(|it| format!("Link {it}"))
        .collect();
    let mut lines = vec![
        format!("onelogin.api_version = {}", settings.api_version),
        format!("onelogin.verify = {:?}", settings.verify),
        format!("users.match = {attribute:?}"),
        format!("users.ignore_case = {}", settings.ignore_case),
        format!("users.check_active = {}", settings.check_active),
        format!("users.unknown = {:?}", settings.unknown),
        format!("users.no_factor = {:?}", settings.no_factor),
        format!("factors.allow = {:?}", settings.factors),
        format!("factors.autopush = {}", settings.autopush),
        format!("factors.prompts = {}", settings.prompts),
        format!("factors.expires_in = {}", settings.expires_in),
        format!("factors.magic_link = {magic:?}"),
        format!("push.wait = {}", settings.push_wait),
        format!("failmode = {:?}", settings.failmode),
        // A request that gets no reply on the tape gets none here.
        "onelogin.request_timeout = 2".to_owned(),
        "first_factor = \"assumed\"".to_owned(),
    ];
    if settings.lookup {
        lines.push("onelogin.lookup.client_id = \"reader\"".to_owned());
        lines.push("onelogin.lookup.client_secret = \"r3ader\"".to_owned());
    }
    if settings.append_domain {
        lines.push("users.append_domain = \"example.com\"".to_owned());
    }
    if settings.sms_message {
        lines.push("factors.sms_message = \"Qwer {{otp_code}} asdf\"".to_owned());
    }
    if settings.failmode == "safe" {
        lines.push("failmode_from = [\"192.0.2.0/24\"]".to_owned());
    }
    lines
}

/// A tape as text, without what may differ: times, the version of the tool, the proxy, and how placeholders are numbered, and
/// how often a pending push was polled. If
/// `original` begins with a stored token, the requests for one are left out.
fn comparable(tape: &Tape, original: &Tape) -> String {
    let mut tape = tape.clone();
    "0".clone_into(&mut tape.header.tool);
    tape.header.settings.http_proxy = false;
    let is_token_call = |exchange: &Exchange| exchange.request.path == "/auth/oauth2/v2/token";
    let begins_with_one = |tape: &Tape| {
        tape.exchanges()
            .next()
            .is_some_and(|(_, it)| is_token_call(it))
    };
    if !begins_with_one(original) {
        while begins_with_one(&tape) {
            tape.steps.remove(0);
        }
    }
    let polls_again: Vec<bool> = (0..tape.steps.len())
        .map(|at| tape.is_poll_again(at))
        .collect();
    let mut polls_again = polls_again.into_iter();
    tape.steps.retain(|_| polls_again.next() == Some(false));
    for step in &mut tape.steps {
        if let Step::Exchange(exchange) = step {
            (exchange.after_ms, exchange.ms) = (0, 0);
        }
    }
    renumbered(&tape.write())
}

/// Both tapes are of the same login; else the first line that differs is shown.
#[track_caller]
fn assert_same(recorded: &Tape, original: &Tape, path: &Path) {
    let recorded = comparable(recorded, original);
    let original = comparable(original, original);
    for (recorded, original) in recorded.lines().zip(original.lines()) {
        assert_eq!(recorded, original, "{}", path.display());
    }
    assert_eq!(recorded.len(), original.len(), "{}", path.display());
}

/// Placeholders are numbered in the order in which they appear, and times have no offset.
fn renumbered(text: &str) -> String {
    let mut seen: Vec<&str> = Vec::new();
    let mut written = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(" #") {
        let (number, behind) = after.split_once('}').unwrap();
        let place = seen.iter().position(|it| *it == number).unwrap_or_else(|| {
            seen.push(number);
            seen.len() - 1
        });
        match before.rsplit_once("{time ") {
            Some((before, offset)) if !offset.contains('"') => {
                written.push_str(before);
                written.push_str("{time");
            }
            _ => written.push_str(before),
        }
        written += " #";
        written += &(place + 1).to_string();
        written.push('}');
        rest = behind;
    }
    written + rest
}

#[test]
fn the_comparison_sees_other_values_but_not_other_numbers_or_times() {
    let same = r#"{"a":"{text #7}","b":"{time +5s #9}","c":"{text #7}"}"#;
    let alike = r#"{"a":"{text #2}","b":"{time -3s #1}","c":"{text #2}"}"#;
    let other = r#"{"a":"{text #2}","b":"{time -3s #1}","c":"{text #3}"}"#;
    assert_eq!(renumbered(same), renumbered(alike));
    assert_ne!(renumbered(same), renumbered(other));
    assert!(Json::read(renumbered(same).as_bytes()).is_some());
    assert!(DIALECTS.len() < ALL_DIALECTS.len());
}

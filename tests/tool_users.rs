//! `pam-onelogin users`: who would get in and who would be locked out, before a stack asks anybody.

mod days;
mod tool;
mod world;

use days::day_in;
use nix::sys::signal::Signal;
use onelogin_simulator::{
    Action, DEFAULT_CLIENT_SECRET, Device, Fault, Match, Options, Simulator, User,
};
use pam_host::root::Stage;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use tool::{Ran, assert_documented, at, has, on_terminal, run, tool};
use world::{NAME, World, push, totp};

/// Accounts that every system has, beside [`NAME`].
const OTHERS: [&str; 4] = ["bin", "daemon", "root", "sync"];

/// A world with all of them at OneLogin: `bin` with no device, `sync` suspended, `root` with an authenticator, and nobody of
/// the name `daemon`.
fn world(config: &[&str]) -> World {
    let world = World::with([push(), totp()], config);
    let onelogin = &world.onelogin;
    onelogin.add_user(User::new(1002, "bin"));
    onelogin.add_user(User::new(1003, "root"));
    onelogin.add_device(1003, Device::authenticator("502", "App"));
    onelogin.add_user(User::new(1004, "sync").status(2));
    world
}

fn users(world: &World, further: &[&str]) -> Ran {
    run(at(&world.place, &[&["users"], further].concat()), &[])
}

fn entry<'a>(document: &'a Value, user: &str) -> &'a Value {
    let users = document["users"].as_array().unwrap();
    let entry = users.iter().find(|entry| entry["user"] == user);
    entry.unwrap_or_else(|| panic!("{user}: {document}"))
}

#[test]
fn each_user_has_a_verdict_and_who_would_be_locked_out_is_a_finding() {
    let world = world(&["users.exempt_users = [\"root\"]"]);
    let all = [&[NAME][..], &OTHERS, &["no-such-user"]].concat();
    let ran = users(&world, &all);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let expected = "bin           denied  no-factor\n\
        daemon        denied  no-onelogin-user\n\
        no-such-user  denied  no-account\n\
        nobody        pass    push, totp\n\
        root          exempt  exempt-user, users.exempt_users\n\
        sync          denied  inactive-onelogin-user\n\
        \n\
        1 would pass, 1 exempt, 4 denied; for what to do about each reason, see pam_onelogin(8).\n";
    assert_eq!(ran.out, expected);
    assert_eq!(world.onelogin.activations(), 0);
}

#[test]
fn for_machines_it_is_one_document_with_counts() {
    let world = world(&["users.no_factor = \"enroll\""]);
    let ran = users(&world, &["--json", NAME, "bin", "root"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let document = ran.json();
    assert_documented("users", &document);
    assert_eq!(
        *entry(&document, NAME),
        json!({"user": NAME, "verdict": "pass", "reason": null, "detail": null, "onelogin_id": "1001",
            "factors": ["push", "totp"], "limits": []})
    );
    assert_eq!(entry(&document, "bin")["verdict"], "enroll");
    let counts =
        ["pass", "enroll", "exempt", "denied", "not_asked"].map(|key| document[key].as_u64());
    assert_eq!(counts, [2, 1, 0, 0, 0].map(Some));
    assert_eq!(document["requests"], world.requests());
}

#[test]
fn it_takes_one_token_and_two_requests_a_user_on_one_connection() {
    let world = world(&[]);
    users(&world, &[NAME, "bin", "root", "daemon"]);
    assert_eq!(world.onelogin.count("POST", "/token"), 1);
    // Nobody is looked up for their devices who was not found.
    assert_eq!(
        (world.requests(), world.onelogin.connections()),
        (1 + 2 * 3 + 1, 1)
    );
    // Nothing of it is believed by a login.
    assert!(world.kept("directory-").is_empty());
}

#[test]
fn without_a_folder_for_the_state_there_is_one_token_all_the_same() {
    let world = world(&["state_dir = \"/proc/nothing\""]);
    let ran = users(&world, &[NAME, "root", "--json"]);
    assert_eq!(world.onelogin.count("POST", "/token"), 1, "{}", ran.err);
    // Nothing could be counted there, so nobody gets in.
    assert_eq!(entry(&ran.json(), NAME)["reason"], "no-state");
}

#[test]
fn the_group_that_cannot_be_looked_up_is_named() {
    for lines in [
        ["users.groups = [\"root\", \"Domain Admins\"]"],
        ["users.exempt_groups = [\"Domain Admins\"]"],
    ] {
        let world = world(&lines);
        let ran = users(&world, &[NAME]);
        assert_eq!(ran.code, 1, "{}", ran.err);
        let told = "group-lookup, there is no group Domain Admins\n";
        assert!(ran.out.contains(told), "{}{}", ran.out, ran.err);
        let document = users(&world, &[NAME, "--json"]).json();
        let detail = &entry(&document, NAME)["detail"];
        assert_eq!(detail, "there is no group Domain Admins");
        assert_eq!(world.requests(), 0);
    }
}

#[test]
fn who_is_exempt_is_listed_with_the_reason_and_without_a_request() {
    let (next, last) = (day_in(5), day_in(-1));
    let dated = format!(
        "users.exempt = [{{ user = \"bin\", until = \"{next}\", reason = \"ticket 4711\" }}, \
         {{ user = \"daemon\", until = \"{last}\", reason = \"over\" }}]"
    );
    let lines = [dated.as_str(), "users.exempt_groups = [\"root\"]"];
    let world = world(&lines);
    let ran = users(&world, &["--exempt", NAME, "bin", "daemon", "root"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let expected = format!(
        "bin     exempt  exempt-until, users.exempt, until {next}: ticket 4711\n\
         root    exempt  exempt-group, users.exempt_groups, group root\n\n2 exempt.\n"
    );
    assert_eq!(ran.out, expected);
    // By default, those whom the configuration names are listed, too: they need no login shell.
    let ran = users(&world, &["--exempt", "--json"]);
    let document = ran.json();
    assert_documented("users", &document);
    assert_eq!(entry(&document, "bin")["reason"], "exempt-until");
    assert_eq!(world.requests(), 0);

    // OneLogin's answer can exempt a user.
    world.config(&[dated.as_str(), "users.no_factor = \"exempt\""]);
    let ran = users(&world, &["--exempt", NAME, "bin", "daemon", "sync"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("exempt-until"), "{}", ran.out);
    assert!(world.requests() > 0);
}

#[test]
fn in_observe_mode_a_warning_comes_with_what_would_happen_after_it() {
    let until = day_in(5);
    let world = world(&[&format!("observe.until = \"{until}\"")]);
    let ran = users(&world, &[NAME, "bin"]);
    let warning = format!("Warning: observe mode until {until}: there is no second factor");
    has(&ran.err, &warning);
    let expected = "bin     denied  no-factor\nnobody  pass    push, totp\n";
    assert!(ran.out.starts_with(expected), "{}", ran.out);
    let document = users(&world, &["--json", NAME]).json();
    assert_documented("users", &document);
    let observe = json!({"until": until.to_string(), "applies": true, "why": null});
    assert_eq!(document["observe"], observe);
}

#[test]
fn groups_and_lists_are_taken_apart() {
    let world = world(&[]);
    let list = world
        .place
        .write("list", "# all\nnobody\n\nroot # the admin\n");
    let from = users(&world, &["--from", list.to_str().unwrap(), "--json"]);
    let names = |ran: &Ran| -> Vec<String> {
        let document = ran.json();
        let users = document["users"].as_array().unwrap();
        users
            .iter()
            .map(|user| user["user"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&from), ["nobody", "root"]);
    // By the group's number in passwd.
    let group = users(&world, &["--group", "root", "--json"]);
    assert!(names(&group).contains(&"root".to_owned()), "{}", group.out);
    let nowhere = users(&world, &["--group", "no-such-group"]);
    assert_eq!((nowhere.code, nowhere.out.as_str()), (1, ""));
    has(&nowhere.err, "this host has no such entry: getent group");
    let absent = users(&world, &["--from", "/no/such/list"]);
    has(&absent.err, "/no/such/list: No such file");
    let empty = world.place.write("empty", "# nobody\n");
    let ran = users(&world, &["--from", empty.to_str().unwrap()]);
    assert_eq!(ran.code, 1);
    has(&ran.err, "no users selected: the list or group is empty");
}

#[test]
fn without_a_name_it_is_root_and_those_with_a_login_shell() {
    let world = world(&[]);
    let document = users(&world, &["--json"]).json();
    let users = document["users"].as_array().unwrap();
    assert_eq!(entry(&document, "root")["verdict"], "pass");
    for service in ["daemon", "bin", NAME] {
        assert!(
            users.iter().all(|user| user["user"] != service),
            "{service}"
        );
    }
}

#[test]
fn where_onelogin_cannot_be_asked_at_all_it_is_asked_once() {
    let world = world(&[]);
    world.fault(Fault::new(Match::token(), Action::status(401)));
    let ran = users(&world, &[NAME, "bin", "root", "--json"]);
    let document = ran.json();
    assert_eq!((ran.code, world.requests()), (1, 1));
    assert_eq!(entry(&document, "bin")["reason"], "credential");
    assert_eq!(document["not_asked"], 2);
    let ran = users(&world, &[NAME, "bin", "root"]);
    assert!(
        ran.out
            .contains("2 not checked: OneLogin gave no usable answer; "),
        "{}",
        ran.out
    );
}

#[test]
fn one_answer_that_cannot_be_used_is_that_users_and_three_in_a_row_are_enough() {
    let world = world(&[]);
    let devices = Match::path("/api/2/mfa/users/1003");
    world.fault(Fault::new(devices, Action::status(500)));
    let ran = users(&world, &[NAME, "root", "sync", "--json"]);
    let document = ran.json();
    assert_eq!(entry(&document, "root")["reason"], "server-error");
    assert_eq!(document["not_asked"], 0);
    world.fault(Fault::new(Match::path("/api/"), Action::status(500)));
    let document = users(&world, &[&[NAME, "--json"][..], &OTHERS].concat()).json();
    assert_eq!(
        (&document["denied"], &document["not_asked"]),
        (&json!(3), &json!(2))
    );
}

#[test]
fn progress_is_shown_on_a_terminal_only() {
    let world = world(&[]);
    let mut screen = on_terminal(at(&world.place, &["users", NAME, "root"]));
    screen.expect("2 of 2");
    screen.expect("2 would pass");
    assert!(screen.finish().0.success());
    let ran = users(&world, &[NAME, "root"]);
    assert_eq!(ran.err, "");
}

#[test]
fn a_long_wait_is_said_and_can_be_broken_off() {
    let world = world(&[]);
    let later = vec![("retry-after".to_owned(), "1800".to_owned())];
    let refusal = Action::Status(429, "{}".to_owned(), later);
    let on = Match::path("/api/2/");
    world.fault(Fault::new(on, refusal));
    let mut screen = on_terminal(at(&world.place, &["users", NAME]));
    screen.expect("OneLogin asks to retry in 1800 s; waiting.");
    screen.expect("Waiting, 17");
    screen.type_keys("\u{3}");
    assert_eq!(screen.finish().0.signal(), Some(Signal::SIGINT as i32));
    assert_eq!(world.requests(), 2);
}

#[test]
fn r10_a_hostile_name_spoils_no_list_and_r11_no_secret_is_in_it() {
    let evil = "\u{1b}]0;owned\u{7}evil\u{202e}\nroot";
    let world = world(&[]);
    for further in [&[] as &[&str], &["--json"]] {
        let ran = users(&world, &[&[evil, NAME], further].concat());
        let all = format!("{}{}", ran.out, ran.err);
        assert!(all.contains("evil root"), "{all}");
        for bad in ['\u{1b}', '\u{7}', '\u{202e}'] {
            assert!(!all.contains(bad), "{all:?}");
        }
        assert!(!all.contains(DEFAULT_CLIENT_SECRET));
        let tokens = world.onelogin.access_tokens();
        assert!(!tokens.is_empty() && tokens.iter().all(|token| !all.contains(token)));
    }
}

/// More users than OneLogin likes to be asked for at once.
#[test]
#[ignore = "needs root: run by make test"]
fn a_thousand_users_are_looked_up_at_the_pace_that_onelogin_wants() {
    const USERS: u64 = 1000;
    let stage = Stage::enter();
    let onelogin = Simulator::start_with(Options::default());
    let mut passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    for number in 0..USERS {
        let name = format!("person{number:04}");
        let id = 60_000 + number;
        writeln!(passwd, "{name}:x:{id}:{id}::/nonexistent:/bin/sh").unwrap();
        onelogin.add_user(User::new(id, name));
        let device = format!("7{id}");
        onelogin.add_device(id, Device::authenticator(device, "App"));
    }
    stage.write("/etc/passwd", &passwd, 0o644);
    // The last one is suspended.
    onelogin.change_user(60_000 + USERS - 1, |user| user.status = 2);
    stage.config(&onelogin, &["users.exempt_users = [\"root\"]"]);
    let refusal = || {
        let later = vec![("retry-after".to_owned(), "0".to_owned())];
        Action::Status(429, "{}".to_owned(), later)
    };
    // Once a login asks again by itself; further times the tool does.
    for (skip, times) in [(100, 1), (700, 3), (1500, 7)] {
        let on = Match::path("/api/2/");
        onelogin.fault(Fault::new(on, refusal()).skip(skip).times(times));
    }
    let ran = run(tool(&["users", "--json"]), &[]);
    assert!(ran.err.starts_with("100"), "{}", ran.err);
    assert!(ran.err.contains(" users, up to "), "{}", ran.err);
    let document = ran.json();
    let is_here = |entry: &&Value| entry["user"].as_str().unwrap().starts_with("person");
    let people = document["users"].as_array().unwrap().iter().filter(is_here);
    let getting_in = people.filter(|entry| entry["verdict"] == "pass").count();
    assert_eq!(getting_in as u64, USERS - 1);
    assert_eq!(
        entry(&document, "person0999")["reason"],
        "inactive-onelogin-user"
    );
    assert_eq!(ran.code, 1);
    assert_eq!(onelogin.count("POST", "/token"), 1);
    let asked = onelogin.requests().len() as u64;
    assert!((2 * USERS..2 * USERS + 30).contains(&asked), "{asked}");
}

#[test]
fn without_a_configuration_each_command_names_the_one_that_says_what_to_do() {
    let world = world(&[]);
    let path = world.place.config_path();
    std::fs::remove_file(&path).unwrap();
    let path = path.display();
    let expected = format!(
        "{path}: does not exist; to see what to do, as root, type: pam-onelogin --config {path} check"
    );
    for words in [&["users"][..], &["test", NAME], &["status"]] {
        let ran = run(at(&world.place, words), &[]);
        assert_eq!(ran.code, 1, "{words:?}");
        has(&ran.err, &expected);
    }
}

/// Makes folders until no inode is free.
const FILL: &str = "i=0; while mkdir $0/filler-$i 2>/dev/null; do i=$((i+1)); done; ";

/// A run of the tool that sees a file system of its own here, after this was done to it.
fn on_mounted(world: &World, folder: &str, options: &str, then: &str, arguments: &[&str]) -> Ran {
    let script =
        format!("mount -t tmpfs -o mode=700,{options} tmpfs $0 && {{ {then}exec \"$@\"; }}");
    let tool = at(&world.place, arguments);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script, folder]);
    command.arg(tool.get_program()).args(tool.get_args());
    run(command, &[])
}

/// What `check` found about the folder.
fn fault_of_the_state(checked: &Ran) -> Value {
    assert_eq!(checked.code, 1, "{}", checked.out);
    let document = checked.json();
    let findings = document["findings"].as_array().unwrap();
    let found = findings.iter().find(|found| found["id"] == "state");
    let found = found.unwrap_or_else(|| panic!("{}", checked.out));
    assert_eq!(found["severity"], "fault");
    found.clone()
}

/// A full file system is one without a free inode: a login makes entries, and each needs one.
#[test]
#[ignore = "needs root: run by make test"]
fn where_no_entry_can_be_made_check_is_a_fault_and_users_says_that_no_user_can_log_in() {
    for (options, then, cause, advice) in [
        (
            "nr_inodes=64",
            FILL,
            "No space left on device",
            "df -i STATE; df -h STATE",
        ),
        (
            "ro",
            "",
            "Read-only file system",
            "type: findmnt -T STATE; sudo mount -o remount,rw STATE",
        ),
    ] {
        let world = world(&[]);
        let state = world.place.state_path();
        pam_host::place::make_folder(&state);
        let state = state.to_str().unwrap();
        let under = |arguments: &[&str]| on_mounted(&world, state, options, then, arguments);
        let found = fault_of_the_state(&under(&["--json", "check"]));
        has(found["what"].as_str().unwrap(), cause);
        let advice = advice.replace("STATE", state);
        has(found["advice"].as_str().unwrap(), &advice);

        let ran = under(&["users", NAME, "root"]);
        assert_eq!(ran.code, 1, "{}", ran.out);
        has(&ran.out, "0 would pass");
        let line = ran
            .err
            .lines()
            .find(|line| line.starts_with("No user can log in"));
        let line = line.unwrap_or_else(|| panic!("{}", ran.err));
        assert!(
            line.contains(cause) && line.ends_with("; type: pam-onelogin check"),
            "{line}"
        );
        has(&under(&["factors", NAME]).err, cause);
    }
}

/// Counts need no block, so logins go on for a while.
#[test]
#[ignore = "needs root: run by make test"]
fn where_no_block_is_free_check_says_that_look_ups_cannot_be_stored() {
    let world = world(&[]);
    let state = world.place.state_path();
    pam_host::place::make_folder(&state);
    let state = state.to_str().unwrap();
    let fill = "head -c 1m /dev/zero >$0/filler 2>/dev/null; ";
    let under = |then| on_mounted(&world, state, "size=64k", then, &["--json", "check"]);
    let find = |checked: &Ran| {
        let document = checked.json();
        let findings = document["findings"].as_array().unwrap();
        let found = findings.iter().find(|found| found["id"] == "state-full");
        found.cloned()
    };
    assert_eq!(find(&under("")), None);
    let found = find(&under(fill)).expect("a finding");
    assert_eq!(found["severity"], "fault");
    has(found["what"].as_str().unwrap(), "No space left on device");
    has(found["advice"].as_str().unwrap(), &format!("df -h {state}"));
}

#[test]
#[ignore = "needs root: run by make test"]
fn where_the_folder_cannot_be_made_because_no_inode_is_free_check_is_a_fault() {
    let world = world(&[]);
    let above = world.place.path().join("above");
    pam_host::place::make_folder(&above);
    let above = above.to_str().unwrap();
    world.config(&[&format!("state_dir = \"{above}/state\"")]);
    let options = "nr_inodes=64";
    let checked = on_mounted(&world, above, options, FILL, &["--json", "check"]);
    let found = fault_of_the_state(&checked);
    has(found["what"].as_str().unwrap(), "no inode is free");
    has(found["advice"].as_str().unwrap(), &format!("df -i {above}"));
}

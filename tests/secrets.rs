//! Where secrets come to lie: the log, the private files, arguments and environments of processes, and memory. The built
//! module in the real libpam; no root.

mod world;

use onelogin_simulator::{Action, DEFAULT_CLIENT_SECRET, Fault, Match};
use pam_host::{Answer, Code, Step};
use std::time::Duration;
use world::{World, sms, totp};

const LONG: Duration = Duration::from_secs(60);
const WRONG: &str = "918273";
const RIGHT: &str = "564738";
const SMS_CODE: &str = "B41832";

/// The way to each request of a login, and what is typed on it.
fn steps() -> [(&'static str, &'static str, Match, &'static [&'static str]); 6] {
    [
        ("POST", "/token", Match::token(), &[]),
        ("GET", "/api/2/users?", Match::path("/api/2/users?"), &[]),
        ("GET", "/devices", Match::path("/devices"), &[]),
        ("POST", "/verifications", Match::code(), &[RIGHT]),
        ("POST", "/verifications", Match::activation(), &["1"]),
        ("PUT", "/verifications/", Match::code(), &["1", SMS_CODE]),
    ]
}

fn world() -> World {
    let world = World::with([totp().code(RIGHT), sms()], &["log_level = \"debug\""]);
    world.onelogin.set_next_code(SMS_CODE);
    world
}

/// The tokens that OneLogin gave out.
fn tokens(world: &World) -> Vec<String> {
    let requests = world.onelogin.requests();
    let mut tokens: Vec<String> = requests
        .iter()
        .filter_map(|request| request.authorization.as_deref()?.strip_prefix("Bearer "))
        .map(str::to_owned)
        .collect();
    tokens.dedup();
    tokens
}

/// No secret stands in the log, in the private files (but a token in its own), or where any user can read of the process.
fn assert_secret(world: &World, log: &[String], process: Option<u32>, what: &str) {
    let tokens = tokens(world);
    let mut places = vec![("the log".to_owned(), log.join("\n").into_bytes())];
    let mut folders = vec![world.place.state_path()];
    while let Some(folder) = folders.pop() {
        for file in std::fs::read_dir(folder).into_iter().flatten() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                folders.push(path);
            } else {
                let target = std::fs::read_link(&path);
                let target = target.map(|target| target.into_os_string().into_encoded_bytes());
                let content = target.unwrap_or_else(|_| std::fs::read(&path).unwrap());
                places.push((name, content));
            }
        }
    }
    if let Some(process) = process {
        for name in ["cmdline", "environ"] {
            let bytes = std::fs::read(format!("/proc/{process}/{name}")).unwrap();
            assert!(name == "cmdline" || !bytes.is_empty());
            places.push((name.to_owned(), bytes));
        }
    }
    for (place, bytes) in places {
        let holds = |secret: &str| {
            bytes
                .windows(secret.len())
                .any(|part| part == secret.as_bytes())
        };
        for secret in [WRONG, RIGHT, SMS_CODE, DEFAULT_CLIENT_SECRET] {
            assert!(!holds(secret), "{secret} in {place}, {what}");
        }
        let is_its_own = place.contains("token-");
        for token in &tokens {
            assert!(is_its_own || !holds(token), "the token in {place}, {what}");
        }
    }
}

#[test]
fn r11_no_secret_is_in_the_log_the_private_files_or_what_ps_shows_however_a_login_ends() {
    let world = world();
    for (answers, code) in [
        (vec![WRONG, RIGHT], Code::SUCCESS),
        (vec!["1", SMS_CODE], Code::SUCCESS),
        (vec![WRONG, WRONG, WRONG], Code::MAXTRIES),
    ] {
        let outcome = world.ssh().unseen_answers(answers.clone()).run();
        assert_eq!(outcome.code, code, "{:?}", outcome.log);
        assert!(outcome.log.len() > 2, "at debug level: {:?}", outcome.log);
        assert_secret(&world, &outcome.log, None, &format!("{answers:?}"));
    }
    assert!(!tokens(&world).is_empty());
    for (method, path, on, answers) in steps() {
        world.onelogin.expire_tokens();
        world.onelogin.clear_requests();
        let _ = std::fs::remove_dir_all(world.place.state_path());
        world.fault(Fault::new(on, Action::Silence));
        let login = world.ssh().unseen_answers(answers.to_vec()).spawn();
        // What is shown does not matter here; the request does.
        let request = world.onelogin.wait_for_request(LONG, method, path);
        assert!(request.is_some(), "{method} {path}");
        let what = format!("at {method} {path}");
        assert_secret(&world, &login.log(), Some(login.pid()), &what);
        let log = login.kill();
        assert_secret(&world, &log, None, &format!("killed {what}"));
        world.onelogin.clear_faults();
    }
}

/// How many copies of each secret a login may leave in memory, as docs/security-officer.md says: client secret, token, code.
fn documented_copies() -> [usize; 3] {
    let text = include_str!("../docs/security-officer.md");
    ["client secret", "access token", "code"].map(|name| {
        let row = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("| {name} | ")));
        let number = row.and_then(|row| row.split(' ').next()?.parse().ok());
        number.unwrap_or_else(|| panic!("no row for {name} in \"Secrets in memory\""))
    })
}

#[test]
fn r11_after_a_login_memory_holds_no_more_than_is_documented() {
    let world = world();
    let documented = documented_copies();
    for answers in [
        vec![WRONG, RIGHT],
        vec![RIGHT],
        vec!["1", SMS_CODE],
        vec![WRONG, WRONG, WRONG],
    ] {
        // The second time in a process, the allocator keeps buffers that it gave back to the system the first time.
        for times in [1_u32, 3] {
            let case = world.ssh().unseen_answers(answers.clone()).repeat(times);
            let mut login = case.spawn();
            let report = loop {
                match login.step() {
                    Step::End(report) => break report,
                    Step::Shown(_) => {}
                    // The simulator's code was for the first text message.
                    Step::Prompt(_) => login.reply_with(&Answer::Fail),
                }
            };
            let token = tokens(&world).pop().unwrap();
            let texts = [DEFAULT_CLIENT_SECRET, &token, WRONG, RIGHT, SMS_CODE];
            let found: Vec<usize> = login.memory_holds(&texts).iter().map(Vec::len).collect();
            let codes_found: usize = found[2..].iter().sum();
            let found = [found[0], found[1], codes_found];
            println!(
                "{answers:?}, {times} times: copies of client secret, token, codes: {found:?}"
            );
            for (found, documented) in found.into_iter().zip(documented) {
                assert!(
                    found <= documented * usize::try_from(times).unwrap(),
                    "{found:?} {documented:?}"
                );
            }
            // The search works: what the host itself holds is found.
            assert!(!login.memory_holds(&[world::NAME])[0].is_empty());
            let outcome = login.end(*report);
            assert!(
                times > 1 || outcome.unused == 0,
                "{answers:?} {:?}",
                outcome.log
            );
        }
    }
}

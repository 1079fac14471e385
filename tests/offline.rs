//! Offline codes: issued by the admin tool, typed in a login for which OneLogin gives no answer. The built module in the real
//! libpam; no root.

mod tool;
mod world;

use nix::errno::Errno;
use onelogin_simulator::{Action, Fault, Match};
use pam_host::place::set_mode;
use pam_host::{Case, Code, Step};
use std::fs;
use std::path::PathBuf;
use tool::{Ran, at, has, on_terminal, run};
use world::{
    ID, NAME, World, assert_accepted, assert_denied, assert_logged, decision, fresh_code, reason,
    totp,
};

const PROMPT: &str = "OneLogin cannot be reached. Offline code: ";
const AGAIN: &str = "Not accepted. OneLogin cannot be reached. Offline code: ";
const NO_CODE: &str = "0000-0000-0000-0000";

/// A world with offline codes switched on.
fn world() -> World {
    let world = World::with([totp()], &[]);
    set(&world, &[]);
    world
}

fn set(world: &World, lines: &[&str]) {
    let folder = format!("offline_dir = \"{}\"", folder(world).display());
    world.config(&[&["offline = true", &folder], lines].concat());
}

fn folder(world: &World) -> PathBuf {
    world.place.path().join("offline")
}

/// The files of the codes.
fn files(world: &World) -> Vec<PathBuf> {
    let entries = |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten();
    let users = entries(folder(world));
    let files = users.flat_map(|user| entries(user.path()));
    files.map(|file| file.path()).collect()
}

fn issue_as(world: &World, words: &[&str], code: &str) -> Ran {
    let words = [&["offline", "issue", NAME, "--to-stdout"], words].concat();
    run(at(&world.place, &words), &[code])
}

/// Issues so many codes.
fn issue(world: &World, count: u8) -> Vec<String> {
    let ran = issue_as(world, &["--count", &count.to_string()], &fresh_code());
    assert_eq!(ran.code, 0, "{}", ran.err);
    let codes = ran.out.lines().filter(|line| line.starts_with("  "));
    let codes: Vec<String> = codes.map(|line| line.trim().to_owned()).collect();
    assert_eq!(codes.len(), usize::from(count), "{}", ran.out);
    assert_eq!(files(world).len(), usize::from(count));
    codes
}

/// A world in which OneLogin has gone away since codes were issued.
fn outage(count: u8) -> (World, Vec<String>) {
    let mut world = world();
    let codes = issue(&world, count);
    world.onelogin.stop();
    (world, codes)
}

fn login(world: &World, answers: &[&str]) -> Case {
    world.ssh().answers(answers.iter().copied())
}

#[test]
fn r20_an_offline_code_lets_in_once_in_each_form_and_the_log_warns() {
    let (world, codes) = outage(3);
    let outcome = login(&world, &[&codes[0]]).run();
    assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
    assert_eq!(outcome.prompts(), [PROMPT]);
    let line = decision(&outcome);
    has(&line, "accepted user=nobody");
    has(&line, "factor=offline-code left=2 issued_by=");
    assert_logged(
        &outcome,
        "OneLogin gave no answer, so an offline code was asked for: user=nobody reason=no-connection",
    );
    // Whatever case and hyphens; but once.
    let typed = codes[1].to_lowercase().replace('-', " ");
    assert_eq!(login(&world, &[&typed]).run().code, Code::SUCCESS);
    for used in [&codes[0], &codes[1]] {
        let outcome = login(&world, &[used, NO_CODE, ""]).run();
        assert_eq!(outcome.prompts(), [PROMPT, AGAIN, AGAIN]);
        assert_denied(&outcome, "a code that was used");
    }
    assert_eq!(login(&world, &[&codes[2]]).run().code, Code::SUCCESS);
    // Without codes it is as if there were none.
    let outcome = login(&world, &[]).run();
    assert_eq!(reason(&outcome), "no-connection");
    assert_eq!(outcome.prompts(), [""; 0]);
    assert!(outcome.log.concat().find(&codes[0]).is_none());
}

#[test]
fn r20_an_offline_code_serves_for_each_end_that_is_no_answer_about_the_user() {
    let faults = [
        Action::status(500),
        Action::status(503),
        Action::status(429),
        Action::Redirect("https://example.com/".to_owned()),
        Action::HangUpAfterHandshake,
        Action::Silence,
    ];
    let world = world();
    set(&world, &["users.cache = 0", "onelogin.request_timeout = 1"]);
    let codes = issue(&world, 8);
    for (fault, code) in faults.into_iter().zip(&codes) {
        let what = format!("{fault:?}");
        world.fault(Fault::new(Match::any(), fault));
        let outcome = login(&world, &[code]).run();
        assert_eq!(outcome.code, Code::SUCCESS, "{what}: {:?}", outcome.log);
        world.onelogin.clear_faults();
    }
    // A code was sent, and its answer is lost.
    world.fault(Fault::new(Match::code(), Action::DropAfter));
    let outcome = login(&world, &[&fresh_code(), &codes[6]]).run();
    assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
    world.onelogin.clear_faults();
    // OneLogin refused the code: that is its answer.
    let outcome = login(&world, &["111111", "111111", "111111"]).run();
    assert_eq!(reason(&outcome), "wrong-code");
}

#[test]
fn r20_who_has_no_first_factor_is_never_asked_for_an_offline_code() {
    let (world, codes) = outage(1);
    let outcome = world
        .host("login")
        .answers([&codes[0], &codes[0], &codes[0]])
        .run();
    assert_denied(&outcome, "unproven");
    assert!(!outcome.prompts().concat().contains("Offline"));
    assert_eq!(files(&world).len(), 1);
}

#[test]
fn r20_wrong_offline_codes_are_counted_apart_and_a_right_one_takes_back_its_own() {
    let (world, codes) = outage(2);
    set(&world, &["limits.failures = 4"]);
    let outcome = login(&world, &[NO_CODE, NO_CODE, &codes[0]]).run();
    assert_eq!(outcome.code, Code::SUCCESS);
    assert_eq!(world.kept("w-").len(), 0);
    let outcome = login(&world, &[NO_CODE, NO_CODE, NO_CODE]).run();
    assert_eq!(reason(&outcome), "wrong-offline-code");
    let sentence = "OneLogin cannot be reached, and no valid offline code was typed. Each code works once. Log in again with another one.";
    assert_eq!(outcome.texts(), [sentence]);
    assert_eq!(world.kept("w-").len(), 3);
    let outcome = login(&world, &[NO_CODE, &codes[1]]).run();
    assert_eq!(reason(&outcome), "too-many-codes");
    assert_eq!(files(&world).len(), 1, "the right one was not compared");
    let ran = run(at(&world.place, &["limits", "reset", NAME]), &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(login(&world, &[&codes[1]]).run().code, Code::SUCCESS);
}

#[test]
fn wrong_offline_codes_are_shown_and_reset() {
    let (world, _) = outage(1);
    set(&world, &["limits.failures = 4"]);
    let tool = |words: &[&str]| run(at(&world.place, words), &[]);
    let _ = login(&world, &[NO_CODE, NO_CODE, NO_CODE]).run();
    let line = "wrong offline codes   3 in 600 s, 3 in 24 h; for each address 4 and 50\n";
    has(&tool(&["status", NAME]).out, line);
    let denied = login(&world, &[NO_CODE, NO_CODE]).run();
    assert_eq!(reason(&denied), "too-many-codes");
    let line = "4 in 24 h; for each address 4 and 50, used up for 1 of them\n";
    has(&tool(&["status", NAME]).out, line);
    let kept = tool(&["--json", "status", NAME]).json()["kept"].clone();
    let counts = [
        "wrong_offline_codes",
        "wrong_offline_codes_today",
        "offline_origins_used_up",
    ];
    assert_eq!(counts.map(|name| kept[name].as_u64().unwrap()), [4, 4, 1]);
    has(
        &tool(&["limits", "reset", NAME]).out,
        "refused codes 0, wrong offline codes 4, look-ups 0.",
    );
    has(
        &tool(&["status", NAME]).out,
        "wrong offline codes   0 in 600 s",
    );
}

#[test]
fn r20_of_many_logins_with_one_code_at_the_same_time_one_gets_in() {
    let (world, codes) = outage(1);
    // Each writes its stack, which must not change while another one reads it.
    let logins: Vec<Case> = (0..6).map(|_| world.ssh()).collect();
    let mut logins: Vec<_> = logins.into_iter().map(Case::spawn).collect();
    for login in &mut logins {
        login.wait_prompt();
    }
    for login in &mut logins {
        login.reply(codes[0].as_str());
    }
    let ends = logins.into_iter().map(|mut login| {
        // Who was too late is asked again, and has nothing else.
        loop {
            match login.step() {
                Step::Prompt(_) => login.reply(""),
                Step::Shown(_) => {}
                Step::End(report) => return login.end(*report).code,
            }
        }
    });
    assert_eq!(ends.filter(|code| *code == Code::SUCCESS).count(), 1);
}

/// A login is killed before each of its calls in turn; then another one types the same code.
#[test]
fn r20_a_login_that_is_killed_at_any_call_leaves_no_code_that_works_twice() {
    let (world, codes) = outage(1);
    let kept = files(&world).remove(0);
    let spare = folder(&world).join("spare");
    let attempt = || login(&world, &[&codes[0], "", ""]);
    // The same file under a second name: what is removed is put back for the next round.
    fs::hard_link(&kept, &spare).unwrap();
    let put_back = || {
        let _ = fs::remove_file(&kept);
        fs::hard_link(&spare, &kept).unwrap();
        world.later();
    };
    let (mut removed, mut kept_codes) = (0, 0);
    for number in 1.. {
        put_back();
        let first = attempt().kill_at(number).run_or_die();
        let is_removed = !kept.exists();
        let second = attempt().run().code == Code::SUCCESS;
        assert_eq!(second, !is_removed, "call {number}");
        if let Ok(outcome) = first {
            assert!(is_removed && outcome.code == Code::SUCCESS, "call {number}");
            break;
        }
        removed += usize::from(is_removed);
        kept_codes += usize::from(second);
    }
    assert!(removed > 0 && kept_codes > 50, "{removed} {kept_codes}");
}

#[test]
fn r20_whatever_call_fails_a_code_that_let_in_is_gone() {
    let (world, codes) = outage(1);
    let kept = files(&world).remove(0);
    let spare = folder(&world).join("spare");
    fs::hard_link(&kept, &spare).unwrap();
    let attempt = || login(&world, &[&codes[0], "", ""]);
    let calls = {
        world.later();
        attempt().run().notes.calls
    };
    let mut unsynced = 0;
    for errno in [Errno::EIO, Errno::EROFS] {
        for number in 1..=calls {
            let _ = fs::remove_file(&kept);
            fs::hard_link(&spare, &kept).unwrap();
            world.later();
            let outcome = attempt().fail_call(number, errno as i32).run();
            let is_in = outcome.code == Code::SUCCESS;
            assert!(
                !(is_in && kept.exists()),
                "call {number}, {errno}: {:?}",
                outcome.log
            );
            let is_kept = outcome.log.concat().contains("offline-code-kept");
            unsynced += usize::from(is_kept && !kept.exists());
        }
    }
    // It was removed, but the folder could not be synced.
    assert!(unsynced > 0);
}

#[test]
fn r20_the_codes_of_a_user_who_is_suspended_at_onelogin_are_removed() {
    let world = world();
    set(&world, &["users.cache = 0"]);
    issue(&world, 2);
    world.onelogin.change_user(ID, |user| user.status = 2);
    let outcome = login(&world, &[]).run();
    assert_eq!(reason(&outcome), "inactive-onelogin-user");
    assert_logged(
        &outcome,
        "the offline codes were removed: user=nobody removed=2",
    );
    assert!(files(&world).is_empty());
}

#[test]
fn r20_where_offline_codes_are_off_nobody_is_asked_for_one() {
    let (world, _) = outage(1);
    let folder = format!("offline_dir = \"{}\"", folder(&world).display());
    world.config(&[&folder]);
    let outcome = login(&world, &[]).run();
    assert_eq!(reason(&outcome), "no-connection");
    assert_eq!(outcome.prompts(), [""; 0]);
    let ran = issue_as(&world, &[], "");
    assert_eq!(ran.code, 1);
    has(&ran.err, "offline = true");
}

#[test]
fn codes_are_issued_only_after_a_real_login_and_replace_those_before() {
    let mut world = world();
    let ran = issue_as(&world, &[], "111111");
    assert_eq!(ran.code, 1, "{}", ran.err);
    has(&ran.err, "no codes were issued; earlier codes still work");
    assert!(
        files(&world).is_empty() && ran.out.is_empty(),
        "{}",
        ran.out
    );
    let first = issue(&world, 2);
    let second = issue(&world, 3);
    assert!(first.iter().all(|code| !second.contains(code)));
    // An offline code is no login with OneLogin.
    world.onelogin.stop();
    let ran = issue_as(&world, &[], &second[0]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert_eq!(files(&world).len(), 3);
    assert_denied(&login(&world, &[&first[0], "", ""]).run(), "replaced");
    assert_eq!(login(&world, &[&second[0]]).run().code, Code::SUCCESS);
}

#[test]
fn codes_are_shown_on_a_terminal_or_where_that_is_asked_for() {
    let world = world();
    let ran = run(
        at(&world.place, &["offline", "issue", NAME]),
        &[&fresh_code()],
    );
    assert_eq!(ran.code, 1);
    has(&ran.err, "--to-stdout");
    assert_eq!(world.requests(), 0, "nobody logs in for nothing");
    let mut screen = on_terminal(at(
        &world.place,
        &["offline", "issue", NAME, "--count", "1"],
    ));
    screen.expect("nobody must log in with OneLogin before codes are issued");
    screen.expect("Verification code (OneLogin): ");
    screen.line(&fresh_code());
    screen.expect("Offline codes of nobody. Each works once, until ");
    screen.expect("They are not shown again.");
    assert!(screen.finish().0.success());
}

#[test]
fn what_users_have_is_shown_and_revoked() {
    let world = world();
    let status = || run(at(&world.place, &["offline", "status"]), &[]).out;
    has(&status(), "No user has offline codes.");
    let codes = issue(&world, 2);
    has(&status(), "nobody");
    assert!(codes.iter().all(|code| !status().contains(code)));
    let json = at(&world.place, &["--json", "offline", "status", NAME]);
    let rows: serde_json::Value = serde_json::from_str(&run(json, &[]).out).unwrap();
    assert_eq!(
        (&rows[0]["codes"], &rows[0]["not_valid"]),
        (&2.into(), &0.into())
    );
    // A restored file is told apart.
    let file = files(&world).remove(0);
    let content = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    fs::write(&file, content).unwrap();
    set_mode(&file, 0o600);
    let json = at(&world.place, &["--json", "offline", "status", NAME]);
    let rows: serde_json::Value = serde_json::from_str(&run(json, &[]).out).unwrap();
    assert_eq!(
        (&rows[0]["codes"], &rows[0]["not_valid"]),
        (&1.into(), &1.into())
    );
    let ran = run(at(&world.place, &["offline", "revoke", NAME]), &[]);
    has(&ran.out, "Removed: 2.");
    assert!(files(&world).is_empty());
    has(&status(), "No user has offline codes.");
    assert_accepted(&world.ssh().answer(fresh_code()).run());
}

#[test]
fn check_names_who_runs_out_of_codes_and_files_that_do_not_work() {
    let world = world();
    let found = || run(at(&world.place, &["--json", "check"]), &[]).out;
    has(&found(), "\"offline-codes-none\"");
    issue(&world, 3);
    assert!(!found().contains("\"offline-codes-"));
    let file = files(&world).remove(0);
    fs::remove_file(&file).unwrap();
    has(&found(), "nobody has 2 offline codes left");
    fs::copy(&files(&world)[0], &file).unwrap();
    has(&found(), "\"offline-codes-not-valid\"");
    set_mode(&folder(&world), 0o755);
    has(&found(), "\"offline-dir\"");
}

#[test]
fn check_says_in_an_outage_who_can_log_in_with_an_offline_code() {
    let (world, _) = outage(2);
    let why = |words: &[&str]| {
        let words = [&["--json", "check"], words].concat();
        let document = run(at(&world.place, &words), &[]).json();
        let findings = document["findings"].as_array().unwrap().clone();
        let part = |id: &str, part: &str| {
            let found = findings.iter().find(|found| found["id"] == id).unwrap();
            found[part].as_str().unwrap().to_owned()
        };
        // It needs a login with OneLogin.
        let issue = "when OneLogin answers again, type: ";
        has(&part("offline-codes-few", "advice"), issue);
        part("no-connection", "why")
    };
    let without = "and can log in with one; without one, logins are denied (reason=no-connection)";
    let expected = format!("nobody has 2 offline codes {without}");
    assert_eq!(why(&[NAME]), expected);
    assert_eq!(why(&[]), format!("1 user has offline codes {without}"));
    assert_eq!(why(&["root"]), "logins are denied (reason=no-connection)");
}

#[test]
fn check_names_the_offline_codes_also_where_onelogin_issues_no_token() {
    let world = world();
    issue(&world, 2);
    let action = Action::status(401);
    world.fault(Fault::new(Match::path("/token"), action));
    let ran = run(at(&world.place, &["check", NAME]), &[]);
    let why = format!(
        "why    {NAME} has 2 offline codes and can log in with one; without one, every login is denied (reason=credential)"
    );
    has(&ran.out, &why);
    has(&ran.out, "\"WHEN ONELOGIN IS DOWN\" in pam_onelogin(8)");
}

#[test]
fn files_of_others_in_the_folder_of_all_codes_do_not_matter() {
    let world = world();
    issue(&world, 1);
    fs::write(folder(&world).join("README"), "").unwrap();
    std::os::unix::fs::symlink("/", folder(&world).join("link")).unwrap();
    fs::create_dir(folder(&world).join("lost+found")).unwrap();
    let ran = run(at(&world.place, &["offline", "status"]), &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    has(&ran.out, "nobody");
    let ran = run(at(&world.place, &["offline", "revoke", NAME]), &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    has(&ran.out, "Removed: 1.");
}

#[test]
fn r20_a_login_without_onelogin_says_in_the_log_why_the_folder_of_the_codes_is_not_used() {
    let (world, _) = outage(1);
    set_mode(&folder(&world), 0o755);
    let outcome = login(&world, &[]).run();
    assert_eq!(reason(&outcome), "no-connection");
    assert_logged(&outcome, "offline codes cannot be used: why=");
    assert_logged(&outcome, "chmod 700");
}

#[test]
fn r11_after_a_login_memory_holds_no_offline_code() {
    let (world, codes) = outage(2);
    let letters: String = codes[0].replace('-', "");
    for typed in [codes[0].to_lowercase(), codes[1].clone()] {
        let mut login = world.ssh().unseen_answers([NO_CODE, &typed]).spawn();
        let report = loop {
            match login.step() {
                Step::End(report) => break report,
                Step::Prompt(_) | Step::Shown(_) => {}
            }
        };
        let texts = [&typed, NO_CODE, &letters, &typed.replace('-', ""), NAME];
        let found = login.memory_holds(&texts);
        let counts: Vec<usize> = found.iter().map(Vec::len).collect();
        // The search works: what the host itself holds is found.
        assert!(counts[..4] == [0; 4] && counts[4] > 0, "{found:?}");
        assert_eq!(login.end(*report).code, Code::SUCCESS);
    }
}

#[test]
fn where_codes_cannot_be_kept_nobody_logs_in_for_nothing() {
    let world = world();
    fs::create_dir(folder(&world)).unwrap();
    set_mode(&folder(&world), 0o755);
    let ran = issue_as(&world, &[], &fresh_code());
    assert_eq!(ran.code, 1);
    has(&ran.err, "chmod 700");
    assert_eq!(world.requests(), 0);
}

#[test]
fn where_earlier_codes_cannot_be_removed_no_codes_are_issued() {
    let world = world();
    issue(&world, 2);
    let of_user = files(&world)[0].parent().unwrap().to_owned();
    // A folder cannot be removed as a file.
    fs::create_dir(of_user.join("folder")).unwrap();
    let ran = issue_as(&world, &[], &fresh_code());
    assert_eq!(ran.code, 1);
    has(&ran.err, "no codes were issued");
    assert!(ran.out.is_empty(), "{}", ran.out);
    assert!(files(&world).len() <= 3, "{:?}", files(&world));
}

#[test]
fn of_two_administrators_at_the_same_time_the_last_one_issues_the_codes_that_work() {
    let world = world();
    let issued = std::thread::scope(|scope| {
        let issue = || issue_as(&world, &["--count", "50"], &fresh_code());
        let issued = [scope.spawn(issue), scope.spawn(issue)];
        issued.map(|issued| issued.join().unwrap())
    });
    for ran in issued {
        assert_eq!(ran.code, 0, "{}", ran.err);
    }
    assert_eq!(files(&world).len(), 50);
}

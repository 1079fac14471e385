//! What depends on who runs the host program: root, the user, or the user by a setuid program.
//! The built module in the real libpam. Run by `make test` as root.

mod world;

use nix::sys::signal::Signal;
use onelogin_simulator::{PushBehaviour, Simulator, User};
use pam_host::{Case, Code};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use world::{
    ID, NAME, SAFE, TOTP_CODE, World, assert_accepted, assert_denied, assert_denied_for,
    connection, decision, fresh_code, push, reason, sms, totp,
};

/// An account that every system has, beside [`NAME`], and its uid.
const CALLER: &str = "daemon";
const CALLER_UID: u32 = 1;

/// su to root: started by the caller, running as root.
fn by_caller(case: Case) -> Case {
    case.ids(CALLER_UID, 0, 0)
}

/// sudo and su: started by [`NAME`], whose code it wants, running as root.
fn setuid(case: Case) -> Case {
    let user = nix::unistd::User::from_name(NAME).unwrap().unwrap();
    case.ids(user.uid.as_raw(), 0, 0)
}

#[test]
#[ignore = "needs root: run by make test"]
fn r13_unproven_users_strangers_and_users_without_a_factor_see_the_same() {
    let world = World::with([push(), totp(), sms()], &[]);
    world.onelogin.add_user(User::new(1002, CALLER));
    let run = |user: &str, in_ssh: bool| {
        let case = world.place.alone("sshd").user(user);
        let case = if in_ssh {
            case.ssh(&connection())
        } else {
            case
        };
        let outcome = case.answers(["garbage", "111111", "222222"]).run();
        (
            outcome.code,
            outcome.transcript.clone(),
            world::is_delayed(&outcome),
        )
    };
    let known = run(NAME, true);
    assert_eq!(known.0, Code::MAXTRIES);
    for stranger in ["no-such-user", "bin", CALLER] {
        assert_eq!(run(stranger, true), known, "{stranger}");
    }
    // Elsewhere the code tells a wrong code from an unknown user; what the user sees does not.
    let known = run(NAME, false);
    let stranger = run("no-such-user", false);
    assert_eq!((known.0, stranger.0), (Code::ABORT, Code::USER_UNKNOWN));
    assert!(known.2);
    assert_eq!((&known.1, &known.2), (&stranger.1, &stranger.2));
    assert_eq!(world.onelogin.activations(), 0);
    let asked_for = |name: &str| world.onelogin.count("GET", name);
    assert_eq!(asked_for("no-such-user"), 0);
}

/// The configuration decides it and no user, so the sentence may name this host, and no code is asked for.
#[test]
#[ignore = "needs root: run by make test"]
fn r13_a_configured_group_that_does_not_exist_is_a_fault_of_this_host_for_every_name() {
    let lines = [
        "users.exempt_groups = [\"no-such-group\"]",
        "users.exempt_users = [\"root\"]",
    ];
    let world = World::with([totp()], &lines);
    let ssh = |user: &str| {
        world
            .place
            .alone("sshd")
            .user(user)
            .ssh(&connection())
            .run()
    };
    let other = |user: &str| world.place.alone("login").user(user).run();
    for name in [NAME, CALLER, "bin", "no-such-user"] {
        for (host, outcome) in [("sshd", ssh(name)), ("login", other(name))] {
            let what = format!("{name} {host}");
            assert_eq!(outcome.code, Code::SERVICE_ERR, "{what}");
            assert_eq!(outcome.prompts(), [""; 0], "{what}");
            let told =
                "OneLogin verification does not work on this host. Please tell your administrator.";
            assert_eq!(outcome.texts(), [told], "{what}");
            assert!(world::is_delayed(&outcome), "{what}");
            let decision = decision(&outcome);
            let why = "reason=group-lookup detail=\"there is no group no-such-group\"";
            assert!(decision.contains(why), "{decision}");
        }
    }
    assert_eq!((world.requests(), world.onelogin.connections()), (0, 0));
    assert_eq!(reason(&ssh("root")), "exempt-user");
}

#[test]
#[ignore = "needs root: run by make test"]
fn r13_a_connection_is_made_for_every_name_alike_and_nothing_asked() {
    let world = World::with_totp();
    for name in [world::NAME, "daemon", "nobody-of-that-name"] {
        let connections = world.onelogin.connections();
        let mut login = world
            .place
            .alone("sshd")
            .user(name)
            .ssh(&connection())
            .spawn();
        login.wait_prompt();
        assert_eq!(world.onelogin.connections(), connections + 1, "{name}");
        assert_eq!(world.requests(), 0, "{name}");
        let _ = login.kill();
    }
}

#[test]
#[ignore = "needs root: run by make test"]
fn r13_an_unproven_user_gets_in_with_a_code_and_sees_no_device() {
    let world = World::with([push(), totp()], &[]);
    let outcome = world
        .place
        .alone("sshd")
        .user(NAME)
        .ssh(&connection())
        .answer("654321")
        .run();
    assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
    assert_eq!(outcome.prompts(), ["Verification code (OneLogin): "]);
}

#[test]
#[ignore = "needs root: run by make test"]
fn r02_few_descriptors_never_let_in_under_safe() {
    // An outage that the user made, by a limit on descriptors.
    let world = World::with([totp()], &[SAFE]);
    // With fewer than five, libpam itself gives up.
    for limit in 5..12 {
        let outcome = setuid(world.host("sudo"))
            .descriptors(limit)
            .answers(["1"; 3])
            .run();
        assert_denied(&outcome, &format!("{limit} descriptors"));
        let outcome = world.ssh().descriptors(limit).answers(["1"; 3]).run();
        assert_denied(&outcome, &format!("{limit} descriptors"));
    }
}

#[test]
#[ignore = "needs root: run by make test"]
fn on_the_way_to_root_the_caller_must_pass() {
    let world = World::with([], &["users.exempt_users = [\"root\"]"]);
    world.onelogin.add_user(User::new(1002, CALLER));
    world.onelogin.add_device(1002, totp());
    for service in ["su", "sudo"] {
        let outcome = by_caller(world.place.alone(service).user("root"))
            .answer(fresh_code())
            .run();
        assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
        assert!(decision(&outcome).contains("accepted user=daemon onelogin_id=1002"));
    }
    let outcome = by_caller(world.place.alone("su").user("root"))
        .answers(["111111"; 3])
        .run();
    assert_eq!(outcome.code, Code::ABORT);
    // A caller whom passwd does not know is nobody, whatever root may do.
    let outcome = world
        .place
        .alone("su")
        .user("root")
        .ids(54_321, 0, 0)
        .answers(["111111"; 3])
        .run();
    assert_denied_for(&outcome, "a caller without an account", "no-caller");
    // Root itself is exempt here.
    let outcome = world.place.alone("su").user("root").run();
    assert_eq!(reason(&outcome), "exempt-user");
}

#[test]
#[ignore = "needs root: run by make test"]
fn r13_su_to_somebody_else_shows_and_sends_nothing_before_their_password() {
    let world = World::with([push(), totp()], &[]);
    // `su nobody` as daemon, with this module before the line that asks for nobody's password.
    let outcome = by_caller(world.place.alone("su").user(NAME).tty("/dev/pts/7"))
        .answers(["1", "", "111111"])
        .run();
    assert_denied(&outcome, "no secret of the target");
    assert_eq!(outcome.prompts()[0], "Verification code (OneLogin): ");
    assert!(!format!("{:?}", outcome.transcript).contains("Phone"));
    assert_eq!(world.onelogin.activations(), 0);
    // Behind that line, the menu is offered as before.
    world.place.service(
        "su-l",
        &[
            "auth requisite @helper@ authtok=secret",
            "auth required @module@",
        ],
    );
    let behind = by_caller(world.place.case("su-l").user(NAME))
        .answer("")
        .run();
    assert!(
        behind.prompts()[0].contains("Push to OneLogin Protect (Phone)"),
        "{behind:?}"
    );
}

#[test]
#[ignore = "needs root: run by make test"]
fn r05_a_group_of_the_same_name_in_a_second_store_of_users_exempts_nobody() {
    // mallory and people come from the second store, and with them a group that has the name of a local one.
    let store = SecondStore::new(
        "mallory:x:70011:70000::/:/bin/sh\n",
        "people:x:70000:\nmfa-exempt:x:90000:mallory\n",
    );
    let world = World::with([totp()], &[]);
    world.onelogin.add_user(User::new(1003, "mallory"));
    let login = |user: &str| {
        let login = world.place.alone("sshd").user(user);
        let login = login.ssh_with_key(&connection());
        store.of(login).answers(["111111"; 3]).run()
    };
    for (lines, expected) in [
        ("users.exempt_groups = [\"mfa-exempt\"]", "no-factor"),
        ("users.groups = [\"*,!mfa-exempt\"]", "no-factor"),
        // Who is in no group of the list is not asked; the local group is meant, and mallory is not in it.
        ("users.groups = [\"mfa-exempt\"]", "exempt-other-groups"),
        // A wildcard can only be compared with names.
        ("users.groups = [\"*,!mfa-exemp?\"]", "exempt-other-groups"),
    ] {
        world.forget_user().config(&[lines]);
        let outcome = login("mallory");
        assert_eq!(reason(&outcome), expected, "{lines} {:?}", outcome.log);
    }
    // The local group still exempts its own member.
    world.config(&["users.exempt_groups = [\"mfa-exempt\"]"]);
    let outcome = login(CALLER);
    assert_eq!(reason(&outcome), "exempt-group", "{:?}", outcome.log);
}

#[test]
#[ignore = "needs root: run by make test"]
fn r05_a_callers_name_that_means_another_uid_in_the_first_store_names_nobody() {
    let passwd = format!("{CALLER}:x:70012:70000::/:/bin/sh\n");
    let store = SecondStore::new(&passwd, "people:x:70000:\n");
    let world = World::with([totp()], &[&format!("users.exempt_users = [\"{CALLER}\"]")]);
    // su to root; and sudo, which names its caller, and the name means the exempt account.
    for (service, user) in [("su", "root"), ("sudo", CALLER)] {
        let login = world.place.alone(service).user(user).ids(70_012, 0, 0);
        let outcome = store.of(login).answers(["111111"; 3]).run();
        let what = format!("a caller of {service} whose name is somebody else's");
        assert_denied_for(&outcome, &what, "no-caller");
    }
    let outcome = store
        .of(by_caller(world.place.alone("su").user("root")))
        .run();
    assert_eq!(reason(&outcome), "exempt-user");
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_group_with_sixty_thousand_members_can_be_named() {
    // Names as long as those of a directory: with them the record is larger than 1 MiB.
    let mut members = String::new();
    for number in 0..60_000 {
        let _ = write!(members, "first.last-{number:05}@ad,");
    }
    assert!(members.len() > 1 << 20);
    let store = SecondStore::new(
        "mallory:x:70011:70000::/:/bin/sh\n",
        &format!("people:x:70000:\nDomain Admins:x:70001:{members}mallory\n"),
    );
    let world = World::with([totp()], &[]);
    world.onelogin.add_user(User::new(1003, "mallory"));
    for (line, expected) in [
        ("users.exempt_groups = [\"Domain Admins\"]", "exempt-group"),
        ("users.groups = [\"Domain Admins\"]", "no-factor"),
        (
            "users.groups = [\"*,!Domain Admins\"]",
            "exempt-other-groups",
        ),
        // The name of each group of the user is read.
        ("users.groups = [\"Domain?A*\"]", "no-factor"),
        ("users.exempt_groups = [\"root\"]", "no-factor"),
    ] {
        world.forget_user().config(&[line]);
        let login = world.place.alone("sshd").user("mallory");
        let login = store.of(login.ssh_with_key(&connection()));
        let outcome = login.answers(["111111"; 3]).run();
        assert_eq!(reason(&outcome), expected, "{line} {:?}", outcome.log);
    }
}

#[test]
#[ignore = "needs root: run by make test"]
fn what_could_not_be_looked_up_is_named_in_the_log() {
    let without = SecondStore::new("mallory:x:70011:70000::/:/bin/sh\n", "");
    // What could make the host program take all memory is not read. Nobody has such a group.
    let large = SecondStore::new(
        "mallory:x:70011:70000::/:/bin/sh\n",
        &format!(
            "people:x:70000:\nlarge:x:70002:{}mallory\n",
            "first.last-00000@ad,".repeat(900_000)
        ),
    );
    let world = World::with([totp()], &[]);
    for (store, line, detail) in [
        (
            &without,
            "users.exempt_groups = [\"root\"]",
            "gid 70000 has no name",
        ),
        (
            &without,
            "users.groups = [\"root\", \"*,!Domain Admins\"]",
            "there is no group Domain Admins",
        ),
        (
            &large,
            "users.exempt_groups = [\"large\"]",
            "group large cannot be looked up: the record of a group is larger than 16 MiB",
        ),
    ] {
        world.config(&[line, "factors.prompts = 1"]);
        let login = world.place.alone("sshd").user("mallory");
        let login = store.of(login.ssh_with_key(&connection()));
        let outcome = login.answer("111111").run();
        assert_denied(&outcome, line);
        let decision = decision(&outcome);
        let told = format!("reason=group-lookup detail=\"{detail}\"");
        assert!(decision.contains(&told), "{line} {decision}");
    }
    assert_eq!(world.requests(), 0);
    // A caller without a name is named by their uid.
    world.config(&["factors.prompts = 1"]);
    let login = world.place.alone("su").user("root").ids(54_321, 0, 0);
    let outcome = login.answers(["111111"; 3]).run();
    let decision = decision(&outcome);
    let told = "reason=no-caller detail=\"uid 54321 has no name\"";
    assert!(decision.contains(told), "{decision}");
}

#[test]
#[ignore = "needs root: run by make test"]
fn the_ca_bundle_is_found_where_each_distribution_keeps_it() {
    let world = World::with_totp();
    let config = std::fs::read_to_string(world.place.config_path()).unwrap();
    let lines = config.lines().filter(|line| !line.contains("ca_file"));
    world.place.config(lines.collect::<Vec<_>>().join("\n"));
    let ca = world.place.write("bundle", world.onelogin.ca_pem());
    std::fs::create_dir_all("/etc/pki").unwrap();
    // No other file is there.
    let with_bundle = |place: Option<&str>| {
        let mut script =
            "mount -t tmpfs -o mode=755 tmpfs /etc/ssl && mount -t tmpfs -o mode=755 tmpfs /etc/pki && "
                .to_owned();
        if let Some(place) = place {
            let ca = ca.display();
            let _ = write!(
                script,
                "mkdir -p $(dirname {place}) && cat {ca} > {place} && "
            );
        }
        script.push_str("exec \"$0\" \"$@\"");
        let unshare = ["unshare", "--mount", "--propagation", "private", "sh", "-c"];
        let command = unshare.map(str::to_owned).into_iter().chain([script]);
        let login = world.place.alone("sshd").user(NAME);
        let login = login.ssh_with_key(&connection()).under(command);
        login.answer(fresh_code()).run()
    };
    for place in [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        // Fedora 44
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/etc/ssl/ca-bundle.pem",
        // NixOS
        "/etc/ssl/certs/ca-bundle.crt",
        "/etc/ssl/cert.pem",
    ] {
        let outcome = with_bundle(Some(place));
        assert_eq!(outcome.code, Code::SUCCESS, "{place}: {:?}", outcome.log);
    }
    let outcome = with_bundle(None);
    assert_eq!(reason(&outcome), "tls", "{:?}", outcome.log);
}

/// A second store of users (libnss-extrausers), and a local group `mfa-exempt` with one member, [`CALLER`].
struct SecondStore {
    _folder: tempfile::TempDir,
    mounts: String,
}

impl SecondStore {
    fn new(passwd: &str, group: &str) -> Self {
        assert!(
            std::env::var_os("PAM_HOST_PRIVATE_ETC").is_some(),
            "this writes below /var/lib: run it by make test"
        );
        let folder = tempfile::tempdir().unwrap();
        let groups = std::fs::read_to_string("/etc/group").unwrap();
        let groups = format!("{groups}mfa-exempt:x:5000:{CALLER}\n");
        let sources =
            "passwd: files extrausers\ngroup: files extrausers\nshadow: files\nhosts: files\n";
        let mut mounts = String::new();
        std::fs::create_dir_all("/var/lib/extrausers").unwrap();
        pam_host::place::set_mode(folder.path(), 0o755);
        for (name, text, place) in [
            ("sources", sources, "/etc/nsswitch.conf"),
            ("groups", &groups, "/etc/group"),
            ("passwd", passwd, "/var/lib/extrausers/passwd"),
            ("group", group, "/var/lib/extrausers/group"),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            pam_host::place::set_mode(&path, 0o644);
            if !std::path::Path::new(place).exists() {
                std::fs::write(place, "").unwrap();
            }
            let _ = write!(mounts, "mount --bind {} {place} && ", path.display());
        }
        Self {
            _folder: folder,
            mounts,
        }
    }

    /// The case sees it; the other tests do not.
    fn of(&self, case: Case) -> Case {
        let script = format!("{}exec \"$0\" \"$@\"", self.mounts);
        let unshare = ["unshare", "--mount", "--propagation", "private", "sh", "-c"];
        let command = unshare.map(str::to_owned).into_iter();
        case.under(command.chain([script]))
    }
}

#[test]
#[ignore = "needs root: run by make test"]
fn r04_in_a_setuid_program_the_callers_files_are_not_trusted() {
    let world = World::with_totp();
    let own = |path: &std::path::Path, uid: u32| {
        nix::unistd::chown(path, Some(uid.into()), None).unwrap();
    };
    let config = world.place.config_path();
    assert_accepted(&setuid(world.host("sudo")).answer(TOTP_CODE).run());
    own(&config, CALLER_UID);
    let outcome = setuid(world.host("sudo")).answer(TOTP_CODE).run();
    assert_eq!(outcome.code, Code::SERVICE_ERR);
    assert!(
        outcome.log.concat().contains("belongs to uid 1"),
        "{:?}",
        outcome.log
    );
    own(&config, 0);
    own(config.parent().unwrap(), CALLER_UID);
    let outcome = setuid(world.host("sudo")).answer(TOTP_CODE).run();
    assert_eq!(outcome.code, Code::SERVICE_ERR);
    own(config.parent().unwrap(), 0);
    // A state folder of the caller's is not used: what cannot be counted is not sent.
    own(&world.place.state_path(), CALLER_UID);
    let codes = world.onelogin.codes();
    let outcome = setuid(world.host("sudo")).answer(fresh_code()).run();
    assert_eq!(outcome.code, Code::ABORT);
    assert_eq!(reason(&outcome), "no-state");
    assert_eq!(world.onelogin.codes(), codes);
    assert!(
        outcome
            .log
            .concat()
            .contains("cannot count attempts, so every login is denied: state="),
        "{:?}",
        outcome.log
    );
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_program_that_may_not_read_the_configuration_is_told_so_at_once() {
    let world = World::with([totp()], &[SAFE]);
    let uid = nix::unistd::User::from_name(NAME)
        .unwrap()
        .unwrap()
        .uid
        .as_raw();
    // The folder can be entered, the configuration is root's.
    for folder in [
        world.place.path(),
        &world.place.path().join("etc"),
        &world.place.confdir(),
    ] {
        pam_host::place::set_mode(folder, 0o755);
    }
    let _ = world.place.alone("lock-screen");
    pam_host::place::set_mode(&world.place.confdir().join("lock-screen"), 0o644);
    // As a lock screen runs: with the user's own rights. Then as it is installed: the folder is root's, too.
    for mode in [0o755, 0o700] {
        pam_host::place::set_mode(&world.place.path().join("etc"), mode);
        let lock_screen = world.place.case("lock-screen").user(NAME);
        let outcome = lock_screen.ids(uid, uid, uid).run();
        assert_eq!(outcome.code, Code::AUTHINFO_UNAVAIL, "{:?}", outcome.log);
        assert_eq!(reason(&outcome), "unprivileged");
        assert_eq!(outcome.log.len(), 1, "{:?}", outcome.log);
        assert_eq!(outcome.prompts(), [""; 0]);
    }
    assert_eq!(world.onelogin.connections(), 0);
}

/// The folder of the state as a file system of its own.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn on(world: &World, options: &str) -> Self {
        assert!(
            std::env::var_os("PAM_HOST_PRIVATE_ETC").is_some(),
            "this mounts something: run it by make test"
        );
        let folder = world.place.state_path();
        std::fs::create_dir_all(&folder).unwrap();
        let options = format!("mode=700,{options}");
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&folder)
            .status();
        assert!(mount.unwrap().success());
        Self(folder)
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        let mount = std::process::Command::new("mount")
            .args(["-o", &options])
            .arg(&self.0)
            .status();
        assert!(mount.unwrap().success());
    }

    /// Makes files until no more can be made.
    fn fill(&self) {
        let mut made = 0;
        while std::fs::write(self.0.join(format!("filler-{made}")), vec![0; 4096]).is_ok() {
            made += 1;
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmount = std::process::Command::new("umount").arg(&self.0).status();
        assert!(unmount.is_ok_and(|status| status.success()));
    }
}

/// Any local user can fill a file system that they can write to.
#[test]
#[ignore = "needs root: run by make test"]
fn r22_where_no_block_is_free_all_is_counted_as_ever() {
    let world = World::with([push(), totp()], &["limits.failures = 4"]);
    let mounted = Mounted::on(&world, "size=16k");
    mounted.fill();
    let right = world.ssh().answer("654321").run();
    assert_eq!(right.code, Code::SUCCESS, "{:?}", right.log);
    let again = world.ssh().answers(["654321", "654321", "654321"]).run();
    assert_eq!(reason(&again), "used-code");
    world.onelogin.clear_requests();
    for _ in 0..3 {
        let _ = world.ssh().answers(["111111", "222222", "333333"]).run();
    }
    // From an address that was accepted, so three more.
    assert_eq!(world.onelogin.codes(), 4 + 3);
    let pushed = world.ssh().answers(["1", ""]).run();
    assert_eq!(reason(&pushed), "too-many-codes");
}

#[test]
#[ignore = "needs root: run by make test"]
fn r22_where_nothing_can_be_written_nobody_gets_in_and_the_log_says_so() {
    let world = World::with([push(), totp()], &[]);
    let mounted = Mounted::on(&world, "nr_inodes=64");
    let login = |answers: [&str; 3]| world.ssh().answers(answers).run();
    assert_eq!(login(["111111", "222222", "654321"]).code, Code::SUCCESS);
    world.onelogin.clear_requests();
    mounted.fill();
    for (answers, service) in [
        (["1", "", ""], "sshd"),
        (["333333"; 3], "sshd"),
        (["123456"; 3], "su"),
    ] {
        let case = match service {
            "sshd" => world.ssh(),
            _ => setuid(world.host(service)),
        };
        let outcome = case.answers(answers).run();
        assert_eq!(reason(&outcome), "no-state", "{service} {:?}", outcome.log);
    }
    let sent = || (world.onelogin.codes(), world.onelogin.activations());
    assert_eq!(sent(), (0, 0));
    mounted.remount("nr_inodes=0,ro");
    for answers in [["1", "", ""], ["333333"; 3]] {
        assert_eq!(reason(&login(answers)), "no-state");
    }
    assert_eq!(sent(), (0, 0));
    mounted.remount("rw");
    assert_eq!(login(["333333", "444444", "765432"]).code, Code::SUCCESS);
}

/// As in a unit with `ProcSubset=pid`: a name of its own for this start of the machine would hide what others have counted.
#[test]
#[ignore = "needs root: run by make test"]
fn r22_where_the_start_of_the_machine_has_no_name_nobody_gets_in() {
    const HIDE: &str = "mount -t proc -o subset=pid proc /proc && exec \"$@\"";
    let world = World::with([totp()], &[]);
    let case = world.ssh().answer(TOTP_CODE);
    let outcome = case.under(["unshare", "-m", "sh", "-c", HIDE, "sh"]).run();
    assert_eq!(reason(&outcome), "no-state", "{:?}", outcome.log);
    let line = "every login is denied: state=\"/proc/sys/kernel/random/boot_id: ";
    assert!(outcome.log.concat().contains(line), "{:?}", outcome.log);
    assert_eq!(world.onelogin.codes(), 0);
    let right = world.ssh().answer(TOTP_CODE).run();
    assert_eq!(right.code, Code::SUCCESS, "{:?}", right.log);
}

/// A stranger's connections: each is denied, and none takes what logins need.
#[test]
#[ignore = "needs root: run by make test"]
fn r22_denials_are_written_down_only_while_half_of_the_room_is_free() {
    let world = World::with([totp()], &[]);
    let _mounted = Mounted::on(&world, "nr_inodes=40");
    assert_accepted(&world.ssh().answer("123456").run());
    for _ in 0..60 {
        let stranger = world.ssh().answers(["x"; 3]).run();
        assert_eq!(reason(&stranger), "no-code");
    }
    let denials = world.kept("denied-").len();
    assert!((5..20).contains(&denials), "{denials}");
    let right = world.ssh().answer(fresh_code()).run();
    assert_eq!(right.code, Code::SUCCESS, "{:?}", right.log);
}

/// Whoever holds a password does not close the way by sudo as well.
#[test]
#[ignore = "needs root: run by make test"]
fn r22_a_thief_of_the_first_factor_does_not_close_the_owners_sudo() {
    let world = World::with([push(), totp()], &[]);
    let sudo = |answer: &str| setuid(world.host("sudo")).answers([answer, ""]).run();
    assert_eq!(sudo("654321").code, Code::SUCCESS);
    // Codes and pushes, until nothing is sent any more.
    let thief = |answers: [&str; 3]| {
        let connection = connection().replace("192.0.2.7", "198.51.100.9");
        world.ssh_again(&connection).answers(answers).run()
    };
    world.onelogin.on_push(PushBehaviour::DenyAfterPolls(0));
    assert_eq!(reason(&thief(["1", "", ""])), "push-denied");
    for number in 0..4 {
        let codes = [0, 1, 2].map(|other| format!("00000{}", number * 3 + other));
        let _ = thief([&codes[0], &codes[1], &codes[2]].map(String::as_str));
    }
    assert_eq!(reason(&thief(["999999"; 3])), "too-many-codes");
    let own = sudo("765432");
    assert_eq!(own.code, Code::SUCCESS, "{:?}", own.log);
    world.onelogin.on_push(PushBehaviour::ApproveAfterPolls(0));
    let pushed = sudo("1");
    assert_eq!(pushed.code, Code::SUCCESS, "{:?}", pushed.log);
    assert_eq!(reason(&thief(["999999"; 3])), "too-many-codes");
}

/// A user can start su with few descriptors, or so that no file can grow.
#[test]
#[ignore = "needs root: run by make test"]
fn r14_limits_that_the_user_sets_do_not_make_a_code_uncounted() {
    let world = World::with([totp()], &[]);
    let counted = || world.kept("f-").len() + world.kept("g-").len() > 0;
    let mut sent = 0;
    for limit in 5..16 {
        world.onelogin.clear_requests();
        world.forget_counts();
        let case = setuid(world.host("su")).descriptors(limit);
        let code = case.answers(["111111"; 3]).run().code;
        assert!(code != Code::SUCCESS && code != Code::IGNORE, "{limit}");
        assert!(
            world.onelogin.codes() == 0 || counted(),
            "{limit} descriptors"
        );
        sent += world.onelogin.codes();
    }
    assert!(sent > 0, "no limit was high enough");
    world.onelogin.clear_requests();
    // What is counted is no file that grows.
    world.forget_counts();
    let case = setuid(world.host("su")).no_room_for_files();
    let code = case.answers(["111111"; 3]).run().code;
    assert!(code != Code::SUCCESS && code != Code::IGNORE);
    assert!(world.onelogin.codes() == 0 || counted());
}

/// Before each call that comes before the network, an attacker puts his own in the place of a file that decides.
#[test]
#[ignore = "needs root: run by make test"]
fn r04_a_file_that_is_swapped_before_any_call_is_refused_or_too_late() {
    const WRONG: &str = "111111";
    let theirs = Simulator::start();
    theirs.add_user(User::new(ID, NAME));
    theirs.add_device(ID, totp().code(WRONG));
    let world = World::with([totp()], &[SAFE]);
    world.onelogin.add_user(User::new(1002, CALLER));
    world.onelogin.add_device(1002, totp().code(WRONG));
    let map = world.place.write("etc/map", format!("{NAME} id={ID}\n"));
    world.config(&[
        SAFE,
        "factors.prompts = 1",
        &format!("users.map_file = {:?}", map.to_str().unwrap()),
    ]);
    let ca = world.place.write("etc/their-ca.pem", theirs.ca_pem());
    let settings = pam_host::place::settings(&theirs, &ca, Some(&world.place.state_path()), &[]);
    let their_map = format!("{NAME} id=1002\n");
    let login = || {
        world.forget_counts();
        setuid(world.host("sudo")).answer(WRONG)
    };
    // Where no host has the name, a login ends before it connects.
    let calls = login().names(-2).run().notes.calls;
    assert!(calls > 50, "{calls}");
    let mut refused = 0;
    for (path, content) in [
        (world.place.config_path(), settings.as_str()),
        (map, their_map.as_str()),
    ] {
        let (new, kept) = (path.with_extension("new"), path.with_extension("kept"));
        for trick in ["owner", "mode", "link"] {
            for number in 1..=calls {
                let mut login = login().stop_at(number).spawn();
                login.wait_stop();
                std::fs::write(&new, content).unwrap();
                pam_host::place::set_mode(&new, if trick == "mode" { 0o666 } else { 0o600 });
                if trick == "owner" {
                    nix::unistd::chown(&new, Some(CALLER_UID.into()), None).unwrap();
                }
                std::fs::rename(&path, &kept).unwrap();
                if trick == "link" {
                    std::os::unix::fs::symlink(&new, &path).unwrap();
                } else {
                    std::fs::rename(&new, &path).unwrap();
                }
                login.signal(Signal::SIGCONT);
                let outcome = login.finish();
                std::fs::rename(&kept, &path).unwrap();
                let what = format!("{} by {trick} before call {number}", path.display());
                assert_denied(&outcome, &what);
                refused += usize::from(reason(&outcome) == "config");
            }
        }
    }
    assert_eq!(theirs.connections(), 0);
    assert!(refused > 6, "{refused}: no swap came in time to be seen");
    assert_accepted(&setuid(world.host("sudo")).answer(TOTP_CODE).run());
}

/// Compared with tests/touched.txt, which says why for each.
#[test]
#[ignore = "needs root: run by make test"]
fn r03_r04_a_login_opens_what_is_listed_and_nothing_else() {
    let world = World::with([push(), totp()], &[]);
    let trace = world.place.path().join("trace");
    let mut touched = BTreeSet::new();
    let mut login = |code: Code| {
        let case = setuid(world.host("sudo").traced(&trace));
        let outcome = case.answers(["2".to_owned(), fresh_code()]).run();
        assert_eq!(outcome.code, code, "{:?}", outcome.log);
        let text = std::fs::read_to_string(&trace).unwrap();
        let (_, after) = text.split_once("\"/trace/begin\"").expect("a begin");
        let (during, _) = after.split_once("\"/trace/end\"").expect("an end");
        touched.extend(during.lines().filter_map(|line| touch(&world, line)));
    };
    // Cold, warm, and with the bundle of the system, which does not know the simulator's CA.
    login(Code::SUCCESS);
    login(Code::SUCCESS);
    let text = std::fs::read_to_string(world.place.config_path()).unwrap();
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("ca_file"))
        .collect();
    world.place.config(lines.join("\n"));
    login(Code::SERVICE_ERR);
    let listed = world::listed_touches();
    for path in ["open @place@/etc/config.toml", "open /etc/passwd"] {
        assert!(touched.contains(path), "{path} is not seen: {touched:?}");
    }
    touched.retain(|touch| !listed.iter().any(|pattern| world::fits(pattern, touch)));
    assert!(touched.is_empty(), "{touched:#?}");
}

/// What a line of strace opens, connects to or runs.
fn touch(world: &World, line: &str) -> Option<String> {
    let call = line.split_once(' ')?.1.trim_start();
    let kind = match call.split_once('(')?.0 {
        "open" | "openat" | "openat2" => "open",
        "connect" if call.contains("AF_INET") => return None,
        "connect" => "connect",
        "execve" => "run",
        _ => return None,
    };
    let path = call.split('"').nth(1)?;
    let mut path = path.replace(world.place.path().to_str()?, "@place@");
    if kind == "connect" && path.contains("/pam-log-") {
        "@log@".clone_into(&mut path);
    }
    Some(format!("{kind} {path}"))
}

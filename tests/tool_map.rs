//! `pam-onelogin map export`: users are looked up once, and the hosts that get the map look up nobody.

mod tool;
mod world;

use onelogin_simulator::{Action, DEFAULT_CLIENT_SECRET, Device, Fault, Match, User};
use pam_host::Code;
use pam_host::place::set_mode;
use pam_onelogin::id::UserId;
use pam_onelogin::map::{Entries, Map, UserKey};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::PathBuf;
use tool::{Ran, assert_documented, at, has, on_terminal, run};
use world::{ID, NAME, World};

/// A world in which OneLogin knows three accounts of this system, and suspended one of them.
fn world(config: &[&str]) -> World {
    let world = World::with([world::totp()], config);
    world.onelogin.add_user(User::new(1002, "bin"));
    world.onelogin.add_user(User::new(1003, "sync").status(2));
    world
}

fn export(world: &World, further: &[&str]) -> Ran {
    run(
        at(&world.place, &[&["map", "export"], further].concat()),
        &[],
    )
}

fn output(world: &World) -> PathBuf {
    world.place.path().join("users.map")
}

#[test]
fn the_map_is_sorted_and_says_who_was_left_out_and_why() {
    let world = world(&["users.exempt_users = [\"root\"]"]);
    let words = ["sync", NAME, "root", "daemon", "bin", NAME];
    let ran = export(&world, &words);
    let map = "# By pam-onelogin map export: 2 mapped, 3 left out.\n\
        bin id=1002\n\
        nobody id=1001\n\
        # daemon: no-onelogin-user\n\
        # root: exempt-user\n\
        # sync: inactive-onelogin-user\n";
    assert_eq!((ran.code, ran.out.as_str()), (1, map), "{}", ran.err);
    assert_eq!(export(&world, &words).out, map, "the same each time");
    // One token, and one request for each who is not exempt.
    assert_eq!(world.requests(), 1 + 2 * 4);
    let map = Map::parse("m", map, Entries::Ids).unwrap();
    assert_eq!(
        map.get("bin").cloned(),
        UserId::parse("1002").map(UserKey::Id)
    );
    assert_eq!(map.get("root"), None);
}

#[test]
fn many_users_are_announced_with_the_requests_that_they_take() {
    let world = world(&[]);
    let names = ["a", "b", "c", "d", "e"].map(|first| {
        let names = (0..12).map(|number| format!("{first}{number}"));
        names.collect::<Vec<_>>().join("\n")
    });
    let list = world.place.write("list", names.join("\n"));
    let ran = export(&world, &["--from", list.to_str().unwrap()]);
    assert!(
        ran.err.starts_with("60 users, up to 61 requests."),
        "{}",
        ran.err
    );
}

#[test]
fn who_is_exempt_is_left_out_without_a_finding() {
    let world = world(&["users.exempt_users = [\"root\"]"]);
    let ran = export(&world, &[NAME, "root"]);
    assert_eq!(ran.code, 0, "{}", ran.out);
}

#[test]
fn for_machines_it_is_one_document_also_beside_the_file() {
    let world = world(&[]);
    let ran = export(&world, &["--json", NAME, "daemon"]);
    let mut expected = serde_json::json!({
        "entries": [{"user": NAME, "onelogin_id": "1001"}],
        "left_out": [{"user": "daemon", "reason": "no-onelogin-user"}],
    });
    assert_eq!((ran.code, ran.json()), (1, expected.clone()));
    let path = output(&world);
    let file = path.to_str().unwrap();
    let ran = export(&world, &["--json", NAME, "daemon", "-o", file]);
    expected["changed"] = true.into();
    assert_eq!((ran.code, ran.json()), (1, expected.clone()));
    assert_documented("map export", &expected);
    let map = fs::read_to_string(path).unwrap();
    assert_eq!(map, export(&world, &[NAME, "daemon"]).out);
}

#[test]
fn a_file_that_holds_the_same_map_is_not_touched() {
    let world = world(&[]);
    let path = output(&world);
    let file = path.to_str().unwrap();
    let which = || fs::metadata(&path).unwrap().ino();
    export(&world, &[NAME, "-o", file]);
    let first = which();
    let ran = export(&world, &[NAME, "-o", file, "--json"]);
    assert_eq!((which(), &ran.json()["changed"]), (first, &false.into()));
    assert!(ran.err.contains("0 left out, unchanged."), "{}", ran.err);
    world
        .onelogin
        .change_user(1002, |user| user.username = Some("other".to_owned()));
    let ran = export(&world, &[NAME, "bin", "-o", file, "--json"]);
    assert_ne!(which(), first);
    assert_eq!(ran.json()["changed"], true);
}

#[test]
fn a_login_with_the_map_looks_nobody_up() {
    let world = world(&[]);
    let path = output(&world);
    let ran = export(&world, &[NAME, "-o", path.to_str().unwrap()]);
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{}", ran.err);
    has(&ran.err, "users.map: 1 mapped, 0 left out.");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o644
    );
    let setting = format!("users.map_file = \"{}\"", path.display());
    let map = ["users.match = \"map\"", setting.as_str()];
    for (further, asked) in [(&[] as &[&str], 1), (&["users.check_active = false"], 0)] {
        world.config(&[&map, further].concat());
        world.later().onelogin.clear_requests();
        let outcome = world.ssh().answer(world::fresh_code()).run();
        assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
        assert_eq!(world.onelogin.count("GET", "/users?"), 0);
        // The id is looked at where users.check_active wants it.
        assert_eq!(world.onelogin.count("GET", "/api/2/users/1001"), asked);
    }
}

#[test]
fn where_onelogin_gives_no_answer_the_old_map_stays() {
    let world = world(&[]);
    let path = output(&world);
    fs::write(&path, "nobody id=1\n").unwrap();
    for on in [Match::token(), Match::path("username=daemon")] {
        world.later().onelogin.clear_faults();
        fs::remove_dir_all(world.place.state_path()).unwrap_or_default();
        world.fault(Fault::new(on, Action::status(500)));
        let ran = export(
            &world,
            &["bin", "daemon", NAME, "-o", path.to_str().unwrap()],
        );
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{}", ran.err);
        assert!(ran.err.contains("server-error") && ran.err.contains("no map was written"));
        has(&ran.err, "pam-onelogin check --user ");
        assert_eq!(fs::read_to_string(&path).unwrap(), "nobody id=1\n");
    }
}

#[test]
fn a_link_is_not_written_through() {
    let world = world(&[]);
    let target = world.place.write("target", "kept");
    symlink(&target, output(&world)).unwrap();
    let ran = export(&world, &[NAME, "-o", output(&world).to_str().unwrap()]);
    assert_eq!(ran.code, 1);
    has(&ran.err, "symbolic link");
    assert_eq!(fs::read_to_string(target).unwrap(), "kept");
}

#[test]
fn r04_where_others_can_write_no_map_is_made_and_onelogin_is_not_asked() {
    let world = world(&[]);
    let folder = world.place.path().join("open");
    fs::create_dir(&folder).unwrap();
    set_mode(&folder, 0o777);
    let path = folder.join("users.map");
    let ran = export(&world, &[NAME, "-o", path.to_str().unwrap()]);
    let said = format!("the folder {} has mode 0777", folder.display());
    assert!(ran.code == 1 && ran.err.contains(&said), "{}", ran.err);
    assert!(!path.exists());
    assert_eq!(world.requests(), 0);
}

/// Only root can give a file away: everybody else names one of root's.
#[test]
fn r04_a_file_of_another_user_is_neither_written_nor_kept_as_the_map() {
    let world = world(&[]);
    let folder = world.place.path().join("sticky");
    fs::create_dir(&folder).unwrap();
    set_mode(&folder, 0o1777);
    let mut path = folder.join("users.map");
    let old = export(&world, &[NAME]).out;
    fs::write(&path, &old).unwrap();
    set_mode(&path, 0o666);
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(65534), Some(65534)).unwrap();
    } else {
        path = PathBuf::from("/etc/passwd");
    }
    let before = (fs::read(&path).unwrap(), fs::metadata(&path).unwrap().ino());
    // The same map would be left alone, with its owner, and another one would be written into it.
    for names in [&[NAME] as &[&str], &[NAME, "bin"]] {
        world.onelogin.clear_requests();
        let ran = export(&world, &[names, &["-o", path.to_str().unwrap()]].concat());
        let said = "belongs to uid ";
        assert!(ran.code == 1 && ran.err.contains(said), "{}", ran.err);
        assert!(ran.err.contains("remove the file, or name another one"));
        assert_eq!(world.requests(), 0);
        let after = (fs::read(&path).unwrap(), fs::metadata(&path).unwrap().ino());
        assert_eq!(after, before);
    }
}

#[test]
fn r04_a_map_that_others_could_write_is_made_anew_with_its_fixed_mode() {
    let world = world(&[]);
    let path = output(&world);
    let file = path.to_str().unwrap();
    for old in ["nobody id=1\n".to_owned(), export(&world, &[NAME]).out] {
        fs::write(&path, &old).unwrap();
        set_mode(&path, 0o666);
        let ran = export(&world, &[NAME, "-o", file, "--json"]);
        assert_eq!((ran.code, &ran.json()["changed"]), (0, &true.into()));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o644);
    }
}

#[test]
fn an_id_that_is_no_number_makes_no_map() {
    let world = world(&[]);
    let body = "[{\"id\":\"abc\",\"username\":\"nobody\",\"state\":1,\"status\":1}]";
    let on = Match::path("username=nobody");
    world.fault(Fault::new(on, Action::Body(body.to_owned())));
    let ran = export(&world, &[NAME]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.contains("numeric id at OneLogin"), "{}", ran.err);
}

#[test]
fn devices_are_not_asked_for_and_nothing_secret_is_in_it() {
    let world = world(&[]);
    world.onelogin.add_device(ID, Device::sms("701", "Mobile"));
    let evil = "\u{1b}]0;owned\u{7}evil\u{202e}\nroot id=1";
    let ran = export(&world, &[NAME, evil]);
    assert_eq!(world.onelogin.count("GET", "/devices"), 0);
    assert!(
        ran.out.ends_with("# ]0;ownedevil root id=1: no-account\n"),
        "{:?}",
        ran.out
    );
    assert!(!ran.out.contains(DEFAULT_CLIENT_SECRET) && !ran.err.contains(DEFAULT_CLIENT_SECRET));
    let mut screen = on_terminal(at(&world.place, &["map", "export", NAME]));
    screen.expect("nobody id=1001");
    assert!(screen.finish().0.success());
}

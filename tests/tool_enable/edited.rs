//! Stacks that somebody has changed, or that are not understood.

use super::*;

#[test]
#[ignore = "needs root: run by make test"]
fn disable_takes_only_our_lines_out_of_a_stack_that_was_edited_since() {
    let _scene = machine(&[]);
    let before = fs::read_to_string("/etc/pam.d/sudo").unwrap();
    good(tool(&["enable", "sudo", "--no-trial", "--yes"]));
    let edited = fs::read_to_string("/etc/pam.d/sudo").unwrap() + "# mine\n";
    fs::write("/etc/pam.d/sudo", edited).unwrap();
    good_saying(disable("sudo"), "only the lines of this tool");
    let after = fs::read_to_string("/etc/pam.d/sudo").unwrap();
    assert_eq!(after, before + "# mine\n");
}

#[test]
#[ignore = "needs root: run by make test"]
fn disable_makes_no_stack_that_was_taken_away_since() {
    let _scene = machine(&[]);
    let before = fs::read_to_string("/etc/pam.d/sudo").unwrap();
    let enabled = tool(&["enable", "sudo", "--no-trial", "--yes"]).finish();
    assert!(enabled.0.success(), "{}", enabled.1);
    fs::remove_file("/etc/pam.d/sudo-i").unwrap();
    good(disable("sudo"));
    assert!(!Path::new("/etc/pam.d/sudo-i").exists());
    assert_eq!(fs::read_to_string("/etc/pam.d/sudo").unwrap(), before);
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_stack_that_still_names_us_is_never_forgotten_though_it_is_not_understood() {
    let scene = machine(&[]);
    let before = stacks();
    // Our lines without our marks, and a line that goes on in the next one.
    let edit = || {
        let text = fs::read_to_string("/etc/pam.d/sudo").unwrap();
        let lines = text
            .lines()
            .filter(|line| !line.contains("pam-onelogin enable"));
        let text = lines.collect::<Vec<_>>().join("\n");
        assert!(text.contains("pam_onelogin.so"), "{text}");
        fs::write(
            "/etc/pam.d/sudo",
            text + "\nsession required \\\n pam_limits.so\n",
        )
        .unwrap();
    };
    let enabled = tool(&["enable", "sudo", "--no-trial", "--yes"]).finish();
    assert!(enabled.0.success(), "{}", enabled.1);
    edit();
    bad_saying(
        disable("sudo"),
        "this tool did not write this line, which names pam_onelogin",
    );
    assert!(record("enabled", "sudo").exists());

    // On trial, it goes back as it was.
    write(&scene, "/etc/pam.d/sudo", &before["sudo"].bytes);
    good(disable("sudo"));
    assert_eq!(stacks(), before);
    let mut screen = tool(&["enable", "sudo", "--no-trial", "--yes", "--try", "3"]);
    screen.expect(IN_PLACE);
    edit();
    bad(screen);
    wait_until(|| !record("trial", "sudo").exists(), "it is put back");
    assert_eq!(stacks(), before);
}

#[test]
#[ignore = "needs root: run by make test"]
fn what_is_not_understood_is_left_alone_and_said_with_its_line() {
    let scene = machine(&[]);
    let odd = "auth sufficient pam_wheel.so trust\n@include common-auth\n";
    write(&scene, "/etc/pam.d/sudo", odd);
    let before = stacks();
    let screen = bad_saying(enable(&SUDO), "/etc/pam.d/sudo:1: ");
    assert!(screen.contains("auth required pam_onelogin.so"), "{screen}");
    assert_eq!(stacks(), before);
    write(
        &scene,
        "/etc/pam.d/sudo",
        "auth requisite pam_unix.so\nauth required pam_onelogin.so\n",
    );
    bad_saying(disable("sudo"), "/etc/pam.d/sudo:2: ");
}

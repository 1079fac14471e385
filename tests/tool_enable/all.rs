//! Every service at once, by pam-auth-update.

use super::*;

#[test]
#[ignore = "needs root: run by make test"]
fn all_is_done_as_pam_auth_update_would_and_undone_to_the_byte() {
    let scene = machine(&[]);
    profile(&scene);
    let before = stacks();
    // As Debian has it: passwords, and no prompts.
    write(
        &scene,
        "/etc/ssh/sshd_config",
        "UsePAM yes\nKbdInteractiveAuthentication no\n",
    );
    bad_saying(enable(&ALL), "users without a key could not log in");
    assert_eq!(stacks(), before);
    profile(&scene);
    good_saying(enable(&["all", "--dry-run"]), "/etc/pam.d/common-auth:");
    assert_eq!(stacks(), before, "a dry run changes nothing");

    let mut screen = enable(&ALL);
    trial(&mut screen, CODE);
    good(screen);
    let after = stacks();
    let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
    password(&mut sudo);
    passcode(&mut sudo, CODES[1]);
    became_root(sudo);
    good(disable("all"));
    assert_eq!(stacks(), before);

    good(tool(&["enable", "sudo", "--no-trial", "--yes"]));
    bad_saying(enable(&ALL), "would ask twice");
    good(disable("sudo"));

    // The same by its own hand; and what it knows is undone by its own hand, too.
    update("--enable");
    assert_eq!(stacks(), after);
    good(disable("all"));
    assert_eq!(stacks(), before);
    good(tool(&["enable", "all", "--no-trial", "--yes"]));
    update("--disable");
    assert_eq!(stacks(), before);
}

#[test]
#[ignore = "needs root: run by make test"]
fn all_on_trial_is_kept_by_a_login_and_put_back_without_what_a_package_did_meanwhile() {
    let scene = machine(&[]);
    profile(&scene);
    let before = stacks();
    let mut screen = on_trial(&["all", "--user", "alice"], 3600);
    screen.line("yes");
    screen.expect("OneLogin has accepted no login through all since the change");
    let mut sudo = scene.sudo_as("alice", &["id", "-un"]);
    password(&mut sudo);
    passcode(&mut sudo, CODES[1]);
    became_root(sudo);
    screen.line("yes");
    screen.expect("Done.");
    good(screen);
    bad_saying(
        disable("sudo"),
        "sudo: logins still ask OneLogin, because of /etc/pam.d/common-auth:",
    );
    good(disable("all"));
    assert_eq!(stacks(), before);

    // A package is installed during the next trial: its line stays, ours goes.
    fresh_codes();
    // The trial lasts long enough for the package to be done before its end, also on a busy machine.
    end(on_trial(&["all", "--user", "alice"], 12));
    let theirs = "Name: Theirs\nDefault: yes\nPriority: 16\nAuth-Type: Additional\nAuth:\n\toptional\tpam_permit.so theirs\n";
    write(&scene, "/usr/share/pam-configs/theirs", theirs);
    let mut package = Command::new("/usr/sbin/pam-auth-update");
    package
        .arg("--package")
        .env("DEBIAN_FRONTEND", "noninteractive");
    assert!(package.status().unwrap().success());
    let common = || fs::read_to_string("/etc/pam.d/common-auth").unwrap();
    assert!(common().contains("pam_permit.so theirs"), "{}", common());
    assert!(record("trial", "all").exists(), "the trial was over first");
    wait_until(|| !record("trial", "all").exists(), "it is put back");
    assert!(common().contains("pam_permit.so theirs"), "{}", common());
    assert!(!common().contains("pam_onelogin"), "{}", common());
    by_password_alone(&scene);
    fs::remove_file("/usr/share/pam-configs/theirs").unwrap();
}

/// Our profile, where pam-auth-update looks for it; and an sshd that can ask for a code.
fn profile(scene: &Scene) {
    write(
        scene,
        "/usr/share/pam-configs/onelogin",
        include_bytes!("../../packaging/deb/pam-config"),
    );
    let prompts = "UsePAM yes\nKbdInteractiveAuthentication yes\n";
    write(scene, "/etc/ssh/sshd_config", prompts);
}

fn update(what: &str) {
    let mut command = Command::new("/usr/sbin/pam-auth-update");
    command
        .args([what, "onelogin"])
        .env("DEBIAN_FRONTEND", "noninteractive");
    assert!(command.status().unwrap().success());
}

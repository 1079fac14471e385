//! The terminal after `pam-onelogin`: as it was, whatever ended the tool. As root, on a private /etc.

mod scene;

use pam_host::place::binary;
use pam_host::pty::Pty;
use scene::Scene;
use std::process::Command;

#[test]
#[ignore = "needs root: run by make test"]
fn ctrl_c_at_a_password_leaves_a_terminal_that_shows_what_is_typed() {
    let scene = Scene::new(&[]);
    scene.stage.install();
    let _ = scene.person("alice");
    let tool = binary("pam-onelogin");
    let tool = tool.display();
    // The shell lives on, as one that a person types at.
    let line = format!("trap : INT; {tool} enable su --user alice; echo ended=$?; stty -a; exit 0");
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &line]).current_dir("/");
    let mut screen = Pty::spawn(command);
    screen.expect("assword: ");
    screen.type_keys("half\u{3}");
    screen.expect("Ctrl-C: nothing was changed");
    screen.expect("ended=1");
    let modes = screen.expect(" echoke");
    let modes: Vec<&str> = modes.split_whitespace().collect();
    for mode in ["isig", "icanon", "echo"] {
        assert!(modes.contains(&mode), "{mode}: {modes:?}");
    }
    assert!(modes.join(" ").contains("eol = <undef>;"), "{modes:?}");
}

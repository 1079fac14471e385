//! `pam-onelogin check`: what is wrong with a machine.

mod tool;

use tool::{run, tool};

#[test]
fn a_machine_without_us_is_a_finding_for_people_and_for_machines() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("etc/pam.d");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("su"), "# auth required pam_onelogin.so\n").unwrap();
    let words = [
        "check",
        "--offline",
        "--root",
        root.path().to_str().unwrap(),
    ];
    let ran = run(tool(&words), &[]);
    assert_eq!((ran.code, ran.err.as_str()), (1, ""), "{}", ran.out);
    assert!(
        ran.out.starts_with("warning  no stack names "),
        "{}",
        ran.out
    );
    assert!(ran.out.ends_with("\n0 faults, 1 warning.\n"), "{}", ran.out);
    let ran = run(tool(&[&words[..], &["--json"]].concat()), &[]);
    let document = ran.json();
    assert_eq!((ran.code, &document["warnings"]), (1, &1.into()));
    assert_eq!(document["findings"][0]["id"], "not-used");
    assert_eq!(document["findings"][0]["path"], "/etc/pam.d");
}

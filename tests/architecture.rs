//! The structure of the code: what the module exports, which module imports which, and which files may use certain words (`unsafe`, `PAM_SUCCESS`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use xtask::structure::{Imports, Module, circle, imports, modules, row_of, sources};

/// The source of the module below `src/`, without its tests: path → text. The tool is not in it.
fn source() -> BTreeMap<String, String> {
    fn collect(folder: &Path, files: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, files);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let mut code = text.as_str();
                for tests in ["mod tests", "pub(crate) mod tests"] {
                    let start = format!("#[cfg(test)]\n{tests} {{");
                    code = code.split(&start).next().unwrap();
                }
                let code = code.to_owned();
                let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
                let name = path
                    .strip_prefix(root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                files.insert(name, code);
            }
        }
    }
    let mut files = BTreeMap::new();
    collect(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    assert!(files.len() > 15, "{files:?}");
    files
}

/// The code without comments: what a compiler would see.
fn code_of(text: &str) -> String {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

fn files_with(word: &str) -> Vec<String> {
    let with = source()
        .into_iter()
        .filter(|(_, text)| code_of(text).contains(word));
    with.map(|(name, _)| name).collect()
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_module_exports_the_six_entry_points_and_nothing_else() {
    let module = pam_host::place::module();
    let symbols = run("nm", &["-D", "--defined-only", module.to_str().unwrap()]);
    let names: Vec<_> = symbols
        .lines()
        .filter_map(|line| line.split(' ').next_back())
        .collect();
    assert_eq!(
        names,
        [
            "pam_sm_acct_mgmt",
            "pam_sm_authenticate",
            "pam_sm_chauthtok",
            "pam_sm_close_session",
            "pam_sm_open_session",
            "pam_sm_setcred",
        ]
    );
}

#[test]
fn r08_the_module_stays_mapped_and_is_bound_when_it_is_loaded() {
    let module = pam_host::place::module();
    let dynamic = run("readelf", &["-d", module.to_str().unwrap()]);
    let flags = dynamic
        .lines()
        .find(|line| line.contains("FLAGS_1"))
        .unwrap();
    assert!(
        flags.contains("NODELETE") && flags.contains("NOW"),
        "{flags}"
    );
    let needed: Vec<_> = dynamic
        .lines()
        .filter(|line| line.contains("NEEDED"))
        .collect();
    for line in &needed {
        let known = ["libpam.so", "libc.so", "libgcc_s.so", "ld-linux"];
        assert!(known.iter().any(|name| line.contains(name)), "{line}");
    }
}

#[test]
fn r07_a_panic_unwinds_to_our_own_entry_points() {
    let manifest = include_str!("../Cargo.toml");
    assert!(manifest.contains("panic = \"unwind\""));
    assert!(!manifest.contains("panic = \"abort\""));
}

#[test]
fn unsafe_stands_in_one_file() {
    let before = [" {", " fn", " impl", " extern", " trait", "("];
    let files: BTreeSet<_> = before
        .iter()
        .flat_map(|what| files_with(&format!(" unsafe{what}")))
        .collect();
    assert_eq!(files, BTreeSet::from(["pam/sys.rs".to_owned()]));
    let manifest = include_str!("../Cargo.toml");
    assert!(manifest.contains("unsafe_code = \"deny\""));
}

#[test]
fn r01_success_is_said_in_two_places() {
    assert_eq!(files_with("PAM_SUCCESS"), ["module.rs", "verdict.rs"]);
    let count = |name: &str| code_of(&source()[name]).matches("PAM_SUCCESS").count();
    assert_eq!(count("module.rs"), 1, "setcred");
    assert_eq!(
        count("verdict.rs"),
        3,
        "accepted; an offline code; an outage under safe"
    );
    assert_eq!(files_with("PAM_IGNORE"), ["verdict.rs"]);
    // The proofs for it: their fields are private, so no other file can make one.
    for (proof, file) in [
        ("Acceptance", "api.rs"),
        ("SafePlace", "outage.rs"),
        ("Outage", "outage.rs"),
        ("OfflineCode", "offline.rs"),
    ] {
        let code = code_of(&source()[file]);
        assert!(
            code.contains(&format!("pub struct {proof}(());")),
            "{proof}"
        );
        assert_eq!(files_with(&format!("{proof}(())")), [file], "{proof}");
    }
}

#[test]
fn the_http_client_and_writing_to_disk_have_one_place_each() {
    for client in ["ureq", "rustls"] {
        let files = files_with(client);
        assert!(!files.is_empty(), "{client}");
        for file in files {
            assert!(file.starts_with("onelogin/http"), "{client}: {file}");
        }
    }
    for word in [
        "O_CREAT",
        "remove_file",
        "remove_dir",
        "set_permissions",
        "fs::symlink(",
        "mkdir(",
        "rename(",
    ] {
        assert_eq!(files_with(word), ["state.rs"], "{word}");
    }
    for word in [
        "File::create",
        "fs::write",
        "OpenOptions",
        "create_dir",
        "linkat",
        "unlink",
    ] {
        assert_eq!(files_with(word), [""; 0], "{word}");
    }
}

#[test]
fn r11_secrets_are_exposed_in_one_file() {
    assert_eq!(files_with(".expose()"), ["onelogin/http.rs"]);
    assert_eq!(files_with(".shown_to_its_owner()"), ["login/enrol.rs"]);
    let secret = &source()["secret.rs"];
    assert!(
        !code_of(secret).contains("derive"),
        "no Debug, no Display, no Clone"
    );
    for word in ["impl fmt::", "impl Debug", "impl Display", "impl Deref"] {
        assert!(!code_of(secret).contains(word), "{word}");
    }
}

#[test]
fn r03_no_environment_no_process_no_thread() {
    for word in [
        "env::",
        "Command::",
        "thread::spawn",
        "setenv",
        "set_var",
        "home_dir",
    ] {
        let mut files = files_with(word);
        // The version of the package is put in by the compiler.
        files.retain(|name| code_of(&source()[name]).replace("env!(", "").contains(word));
        assert_eq!(files, [""; 0], "{word}");
    }
}

/// What the modules of the library import.
fn of_the_library() -> Imports {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut imports = imports(&sources(&folder).unwrap());
    imports.remove("").expect("lib.rs");
    // `super::` in a module that stands in a file: lib.rs itself has nothing to import.
    for imported in imports.values_mut() {
        imported.remove("");
    }
    assert!(imports.len() > 40, "{imports:?}");
    imports
}

#[test]
fn each_module_imports_only_what_stands_below_it_in_the_table_of_lib_rs() {
    let modules = modules(include_str!("../src/lib.rs"));
    let mut unused: Vec<&str> = modules.iter().map(|module| module.name.as_str()).collect();
    for (path, imports) in of_the_library() {
        let row = row_of(&path, &modules);
        let row = row.unwrap_or_else(|| panic!("{path} is not in the table of src/lib.rs"));
        let Module { name, touches, .. } = &modules[row];
        unused.retain(|unused| unused != name);
        for import in imports {
            let imported = row_of(&import, &modules);
            let imported = imported.unwrap_or_else(|| panic!("{path} imports {import}"));
            assert!(
                imported >= row,
                "{path} imports {import}, which stands above it"
            );
            let of = &modules[imported].touches;
            assert!(
                touches != "nothing" || of == "nothing",
                "{path} imports {import}, and touches {of}"
            );
        }
    }
    assert_eq!(unused, [""; 0], "in the table, and there is no such module");
}

/// Within a module of several files, too, no file needs another one that needs it.
#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut imports = of_the_library();
    for (path, imported) in &mut imports {
        // A part uses the types of the module that it is a part of.
        imported.retain(|other| !path.starts_with(&format!("{other}::")));
    }
    assert_eq!(circle(&imports), [""; 0]);
}

#[test]
fn nothing_below_the_module_logs() {
    for (name, text) in source() {
        if name != "module.rs" && name != "log.rs" {
            let code = code_of(&text).replace("crate::log::Facts", "");
            assert!(!code.contains("crate::log::"), "{name}");
        }
    }
    for word in ["println!", "eprintln!", "dbg!", "syslog::unix"] {
        assert_eq!(files_with(word), [""; 0], "{word}");
    }
}

#[test]
fn each_crate_of_the_module_has_its_reason() {
    let manifest = include_str!("../Cargo.toml");
    let dependencies = manifest.split("\n[dependencies]\n").nth(1).unwrap();
    let dependencies = dependencies.split("\n[").next().unwrap();
    for line in dependencies
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        assert!(line.contains(" # "), "{line}");
    }
}

/// The Makefile has cargo run the programs by tests/as-user.sh; another setting of cargo's could overrule that.
#[test]
fn where_root_has_an_ordinary_user_run_the_tests_it_is_one() {
    if std::env::var_os("PAM_ONELOGIN_TESTS_BY_USER").is_some() {
        assert!(!nix::unistd::getuid().is_root());
    }
}

//! The house itself: what the module exports, who may import whom, and where a few words may stand.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

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
fn r07_a_panic_unwinds_to_our_own_door() {
    let manifest = include_str!("../Cargo.toml");
    assert!(manifest.contains("panic = \"unwind\""));
    assert!(!manifest.contains("panic = \"abort\""));
}

#[test]
fn unsafe_stands_in_one_file() {
    assert_eq!(files_with("unsafe"), ["pam/sys.rs"]);
    let manifest = include_str!("../Cargo.toml");
    assert!(manifest.contains("unsafe_code = \"deny\""));
}

#[test]
fn r01_success_is_said_in_two_places() {
    assert_eq!(files_with("PAM_SUCCESS"), ["module.rs", "verdict.rs"]);
    let count = |name: &str| code_of(&source()[name]).matches("PAM_SUCCESS").count();
    assert_eq!(count("module.rs"), 1, "setcred");
    assert_eq!(count("verdict.rs"), 2, "accepted; an outage under safe");
    assert_eq!(files_with("PAM_IGNORE"), ["verdict.rs"]);
    // The proofs for it: their fields are private, so no other file can make one.
    for (proof, file) in [
        ("Acceptance", "onelogin/wire.rs"),
        ("SafePlace", "outage.rs"),
        ("Outage", "outage.rs"),
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
fn the_http_client_and_writing_to_disk_have_one_room_each() {
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

/// Which rooms a room may import. Data moves one way; the flow imports no adapter.
#[test]
#[allow(clippy::too_many_lines)] // one table
fn imports_keep_their_direction() {
    let may_import: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("secret", [].as_slice()),
        ("text", &[]),
        ("args", &["config"]),
        ("config", &["factor", "group", "secret"]),
        ("config::file", &["config", "map", "secret", "trust"]),
        ("factor", &["onelogin::wire", "secret", "text"]),
        ("map", &["config", "onelogin::wire"]),
        ("user", &["config", "group", "map", "secret"]),
        ("group", &[]),
        ("listed", &[]),
        ("trust", &["user"]),
        ("host", &["group", "pam::sys", "user"]),
        ("clock", &["host", "login"]),
        (
            "login",
            &[
                "config",
                "factor",
                "map",
                "onelogin::wire",
                "outage",
                "secret",
                "text",
                "user",
            ],
        ),
        ("outage", &["config", "user"]),
        ("verdict", &["login", "user"]),
        (
            "state",
            &[
                "clock",
                "config",
                "denials",
                "factor",
                "host",
                "login",
                "onelogin::wire",
                "secret",
                "trust",
                "user",
            ],
        ),
        ("denials", &[]),
        ("log", &["text", "verdict"]),
        ("pam", &["denials", "login", "secret", "user"]),
        (
            "onelogin::wire",
            &["config", "factor", "login", "outage", "secret", "text"],
        ),
        (
            "onelogin::http",
            &[
                "config",
                "host",
                "login",
                "onelogin::wire",
                "outage",
                "secret",
                "trust",
            ],
        ),
        (
            "onelogin::addresses",
            &[
                "config",
                "login",
                "onelogin::http",
                "onelogin::token",
                "onelogin::wire",
                "outage",
                "state",
            ],
        ),
        (
            "onelogin::token",
            &[
                "clock",
                "config",
                "login",
                "onelogin::http",
                "onelogin::wire",
                "secret",
                "state",
            ],
        ),
        (
            "onelogin::cache",
            &["config", "factor", "map", "onelogin::wire", "state"],
        ),
        (
            "onelogin::client",
            &[
                "config",
                "login",
                "onelogin::http",
                "onelogin::token",
                "onelogin::wire",
                "secret",
                "state",
            ],
        ),
        (
            "onelogin::users",
            &[
                "config",
                "login",
                "onelogin::client",
                "onelogin::http",
                "onelogin::wire",
            ],
        ),
        (
            "onelogin::v1",
            &[
                "config",
                "factor",
                "login",
                "onelogin::client",
                "onelogin::http",
                "onelogin::wire",
                "secret",
            ],
        ),
        (
            "onelogin::v2",
            &[
                "config",
                "factor",
                "login",
                "onelogin::client",
                "onelogin::http",
                "onelogin::wire",
                "secret",
            ],
        ),
        (
            "onelogin",
            &["config", "factor", "login", "map", "onelogin", "state"],
        ),
    ]);
    let mut seen = 0;
    for (name, text) in source() {
        let room = name.trim_end_matches(".rs").replace('/', "::");
        let first = room.split("::").next().unwrap();
        let room = match first {
            _ if room.starts_with("onelogin::wire") => "onelogin::wire",
            _ if room.starts_with("onelogin::http") => "onelogin::http",
            _ if first == "onelogin" || room == "config::file" => room.as_str(),
            _ => first,
        };
        if ["lib", "module", "attempt"].contains(&room) {
            assert!(room == "lib" || !code_of(&text).contains("cli::"), "{room}");
            continue;
        }
        seen += 1;
        let allowed = may_import
            .get(room)
            .unwrap_or_else(|| panic!("{room} has no line in this table"));
        for part in code_of(&text).split("crate::").skip(1) {
            let imported = part
                .split([';', '{', ',', ' ', '\n', ')', '('])
                .next()
                .unwrap();
            let is_allowed = allowed
                .iter()
                .any(|wanted| imported == *wanted || imported.starts_with(&format!("{wanted}::")));
            let is_own = imported.split("::").next() == Some(room);
            assert!(is_allowed || is_own, "{room} imports {imported}");
        }
    }
    assert!(seen >= may_import.len(), "{seen}");
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

//! Both packages, and make install: the same files, the same bytes, programs that run on old systems and can be debugged.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::system::*;

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn make_install_has_the_files_of_the_package_and_uninstall_takes_them_away() {
    let folder = tempfile::tempdir().unwrap();
    let destination = folder.path().to_str().unwrap();
    let module = env::var("PAM_ONELOGIN_MODULE").unwrap();
    let make = |target: &str| {
        run(Command::new("make")
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["--silent", target])
            .arg(format!("DESTDIR={destination}"))
            .arg(format!("MODULE={module}"))
            .args(["PREFIX=/usr", "DOCDIR=/usr/share/doc/libpam-onelogin"])
            .arg(format!("SECURITYDIR={}", security_folder())))
    };
    make("install");
    let installed = files_below(folder.path(), Path::new("/"));
    let of_the_package_alone = [
        "/usr/share/pam-configs/onelogin",
        "/usr/share/doc/libpam-onelogin/changelog",
        "/usr/share/doc/libpam-onelogin/sbom.cdx.json",
        "/usr/share/doc/libpam-onelogin/sbom-tool.cdx.json",
        "/usr/share/bash-completion/completions/pam-onelogin",
        "/usr/share/zsh/vendor-completions/_pam-onelogin",
        "/usr/share/fish/vendor_completions.d/pam-onelogin.fish",
    ];
    let unpacked = tempfile::tempdir().unwrap();
    run(Command::new("dpkg-deb")
        .arg("-x")
        .arg(package("deb"))
        .arg(unpacked.path()));
    let packaged = files_below(unpacked.path(), Path::new("/"));
    let names = |files: &BTreeMap<String, (u32, Vec<u8>)>| -> BTreeMap<String, u32> {
        files
            .iter()
            .map(|(name, (mode, _))| (name.trim_end_matches(".gz").to_owned(), *mode))
            .filter(|(name, _)| !of_the_package_alone.contains(&name.as_str()))
            .collect()
    };
    assert_eq!(names(&installed), names(&packaged));
    let folder_mode = fs::metadata(folder.path().join("etc/pam_onelogin"))
        .unwrap()
        .mode();
    assert_eq!(folder_mode, 0o40_700);

    // Once more keeps what an admin wrote.
    let config = folder.path().join("etc/pam_onelogin/config.toml");
    fs::write(&config, "mine").unwrap();
    make("install");
    assert_eq!(fs::read_to_string(&config).unwrap(), "mine");
    make("uninstall");
    let left: Vec<String> = files_below(folder.path(), Path::new("/"))
        .into_keys()
        .collect();
    assert_eq!(left, ["/etc/pam_onelogin/config.toml"]);
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn uninstall_leaves_the_module_where_it_is_while_a_stack_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let module = folder.path().join("pam_onelogin.so");
    fs::write(&module, "").unwrap();
    let uninstall = || {
        let mut command = Command::new("packaging/install.sh");
        for key in ["SECURITYDIR", "SYSCONFDIR", "PREFIX", "DOCDIR"] {
            command.env(key, folder.path());
        }
        command
            .args(["uninstall", "all"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap()
    };
    let stack = "/etc/pam.d/probe-uninstall";
    fs::write(stack, "auth required pam_onelogin.so\n").unwrap();
    let output = uninstall();
    fs::remove_file(stack).unwrap();
    let said = both(&output);
    assert!(
        !output.status.success() && said.contains(&format!("  {stack}:1: auth")),
        "{said}"
    );
    assert!(module.exists());
    assert!(uninstall().status.success());
    assert!(!module.exists());
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn a_second_build_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    for format in ["deb", "rpm"] {
        run(Command::new("packaging/build.sh")
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .arg(format)
            .arg(folder.path()));
        for first in [package(format), debug_package(format)] {
            let name = first.file_name().unwrap();
            let second = fs::read(folder.path().join(name)).unwrap();
            assert!(fs::read(&first).unwrap() == second, "{name:?}");
        }
    }
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn what_the_linters_still_say_is_explained() {
    let explained = include_str!("../../packaging/README.md");
    let folder = env!("CARGO_MANIFEST_DIR");
    let lintian = Command::new("lintian")
        .args(["--allow-root", "--tag-display-limit=0"])
        .args([package("deb"), debug_package("deb")])
        .output()
        .unwrap();
    let rpmlint = Command::new("rpmlint")
        .args(["--config", &format!("{folder}/packaging/rpm/rpmlint.toml")])
        .args([package("rpm"), debug_package("rpm")])
        .output()
        .unwrap();
    for (output, name) in [(&lintian, "lintian"), (&rpmlint, "rpmlint")] {
        let said = both(output);
        for line in said.lines() {
            assert!(
                !line.contains(": E: ") && !line.starts_with("E: "),
                "{name}: {line}"
            );
            let tag = match line.split_once(": W: ") {
                Some((_, rest)) => rest.split(' ').next(),
                None => line
                    .strip_prefix("W: ")
                    .and_then(|rest| rest.split(' ').nth(1)),
            };
            if let Some(tag) = tag {
                assert!(explained.contains(&format!("`{tag}`")), "{name}: {line}");
            }
        }
    }
    assert!(both(&rpmlint).contains("2 packages"), "{rpmlint:?}");
    for page in [
        "man/pam_onelogin.8",
        "man/pam_onelogin.conf.5",
        "man/pam-onelogin.8",
    ] {
        let said = run(Command::new("mandoc")
            .args(["-T", "lint", "-W", "warning", page])
            .current_dir(folder));
        assert_eq!(said, "");
    }
}

// The programs in the packages

/// The module and the tool, unpacked.
struct Unpacked {
    folder: tempfile::TempDir,
    programs: [&'static str; 2],
}

impl Unpacked {
    fn deb(package: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        run(Command::new("dpkg-deb")
            .arg("-x")
            .arg(package)
            .arg(folder.path()));
        let module = format!("{}/pam_onelogin.so", security_folder());
        Self {
            folder,
            programs: [module.leak(), "/usr/sbin/pam-onelogin"],
        }
    }

    fn rpm(package: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        run(Command::new("rpm")
            .arg(format!("--root={}", folder.path().display()))
            .args(["-i", "--nodeps", "--noscripts", "--nodb"])
            .arg(package));
        Self {
            folder,
            programs: [
                "/usr/lib64/security/pam_onelogin.so",
                "/usr/sbin/pam-onelogin",
            ],
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path.trim_start_matches('/'))
    }
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn both_packages_have_the_same_programs_and_they_need_no_glibc_above_2_28() {
    let deb = Unpacked::deb(&package("deb"));
    let rpm = Unpacked::rpm(&package("rpm"));
    for (deb_path, rpm_path) in deb.programs.into_iter().zip(rpm.programs) {
        let program = rpm.path(rpm_path);
        assert!(
            fs::read(deb.path(deb_path)).unwrap() == fs::read(&program).unwrap(),
            "{deb_path}"
        );
        let symbols = run(Command::new("objdump").arg("-T").arg(&program));
        let versions: BTreeSet<(u32, u32)> = symbols
            .split("GLIBC_2.")
            .skip(1)
            .map(|rest| {
                let rest = rest.split(')').next().unwrap();
                let mut numbers = rest.split('.').map(|number| number.parse().unwrap());
                (numbers.next().unwrap(), numbers.next().unwrap_or(0))
            })
            .collect();
        let highest = versions
            .last()
            .expect("a program that asks glibc for nothing");
        assert!(*highest <= (28, 0), "{rpm_path}: GLIBC_2.{highest:?}");
        // Linux-PAM has had this one from the first.
        let foreign: Vec<&str> = symbols
            .lines()
            .filter(|line| line.contains(" pam_") && line.contains("*UND*"))
            .filter(|line| !line.contains("(LIBPAM_1.0)"))
            .collect();
        assert!(foreign.is_empty(), "{foreign:?}");
    }
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn the_programs_are_hardened_and_say_nothing_of_where_they_were_built() {
    let deb = Unpacked::deb(&package("deb"));
    let home = env::var("HOME").unwrap();
    for path in deb.programs {
        let program = deb.path(path);
        let said = run(Command::new("readelf")
            .args(["--wide", "-dl"])
            .arg(&program));
        for wanted in ["GNU_RELRO", "BIND_NOW"] {
            assert!(said.contains(wanted), "{path}: {wanted}");
        }
        for unwanted in ["TEXTREL", "RPATH", "RUNPATH", "RWE"] {
            assert!(!said.contains(unwanted), "{path}: {unwanted}");
        }
        assert!(
            said.contains("DYN ("),
            "{path} is not independent of its place"
        );
        let needed = said.lines().filter(|line| line.contains("(NEEDED)"));
        for line in needed {
            // The last two are parts of glibc, empty from 2.34 on.
            let known = [
                "libpam.so.0",
                "libc.so.6",
                "ld-linux",
                "libpthread.so.0",
                "libdl.so.2",
            ];
            assert!(known.iter().any(|name| line.contains(name)), "{line}");
        }
    }
    let debug = Unpacked::deb(&debug_package("deb"));
    let programs = deb.programs.iter().map(|path| deb.path(path));
    for path in programs.chain(debug_files(&debug)) {
        let bytes = fs::read(&path).unwrap();
        for folder in [env!("CARGO_MANIFEST_DIR"), home.as_str()] {
            let found = bytes
                .windows(folder.len() + 1)
                .any(|window| window.strip_prefix(folder.as_bytes()) == Some(b"/"));
            assert!(!found, "{folder} in {}", path.display());
        }
    }
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn a_debugger_finds_the_lines_of_the_programs() {
    let programs = Unpacked::rpm(&package("rpm"));
    let debug = Unpacked::rpm(&debug_package("rpm"));
    assert_eq!(debug_files(&debug).len(), programs.programs.len());
    for path in programs.programs {
        let program = programs.path(path);
        let sections = run(Command::new("readelf").args(["--wide", "-S"]).arg(&program));
        for unwanted in [".symtab", ".debug_info", ".debug_line"] {
            assert!(!sections.contains(unwanted), "{path}: {unwanted}");
        }
        let notes = run(Command::new("readelf").arg("--notes").arg(&program));
        let id = notes.split("Build ID: ").nth(1).unwrap().trim();
        let file = debug.path(&format!(
            "/usr/lib/debug/.build-id/{}/{}.debug",
            &id[..2],
            &id[2..]
        ));
        let lines = run(Command::new("readelf")
            .args(["--wide", "--debug-dump=decodedline"])
            .arg(&file));
        assert!(lines.contains("login.rs"), "{path}: no lines of ours");
    }
    // From an address to a line, as in a report of a crash.
    let module = programs.path(programs.programs[0]);
    let symbols = run(Command::new("nm").arg("-D").arg(&module));
    let address = symbols
        .lines()
        .find_map(|line| line.strip_suffix(" T pam_sm_authenticate"))
        .unwrap();
    let line = debug_files(&debug).iter().any(|file| {
        let mut command = Command::new("addr2line");
        let found = run(command.args(["-f", "-e"]).arg(file).arg(address));
        // The entry points are made by a macro.
        found.starts_with("pam_sm_authenticate\n/usr/src/crates/pam-bindings-")
    });
    assert!(line, "{address}");
}

fn debug_files(debug: &Unpacked) -> Vec<PathBuf> {
    files_below(&debug.path("/usr/lib/debug/.build-id"), Path::new("/"))
        .into_keys()
        .map(|name| debug.path(&format!("/usr/lib/debug/.build-id{name}")))
        .collect()
}

//! The module itself: whether it is installed where libpam looks for it, whether other users can change it,
//! whether it has the version of the tool, and whether it can be loaded.

use crate::examine::config::{look_at as advice_for, told};
use crate::examine::subject::Subject;
use crate::host::programs::{output_of, run};
use crate::ui::finding::Finding;
use pam_onelogin::host::uids;
use pam_onelogin::trust::{Privacy, Trusted};
use std::path::{Path, PathBuf};

/// Looks at the module.
pub(crate) fn examine(_subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let Some(libpam) = libpam() else {
        let what = "the module was not checked: libpam was not found";
        findings.push(Finding::note("module", what));
        return;
    };
    look_at(&folder_of(&libpam).join(NAME), findings);
}

/// Looks at a module where libpam expects it.
fn look_at(module: &Path, findings: &mut Vec<Finding>) {
    let Ok(bytes) = std::fs::read(module) else {
        findings.push(absent(module));
        return;
    };
    let before = findings.len();
    for flaw in Trusted::of(uids()).flaws(module, Privacy::Public) {
        let (what, advice) = told(&flaw);
        let mut finding = Finding::fault("module-trust", what)
            .in_file(module)
            .why("other users could change code that runs as root in every login");
        finding.advice = advice.or_else(|| Some(advice_for(module)));
        findings.push(finding);
    }
    match version(&bytes) {
        Some(version) if version == VERSION => {}
        version => {
            let version = version.unwrap_or_else(|| "unknown".to_owned());
            let what = format!("the versions differ: module {version}, tool {VERSION}");
            findings.push(
                Finding::warning("module-version", what)
                    .in_file(module)
                    .why("the module may not behave as this tool reports")
                    .advice("install both from the same package"),
            );
        }
    }
    // Only a file that no other user could have written is given to the loader.
    if findings.len() == before {
        findings.extend(unresolved(module).into_iter().map(|what| {
            Finding::fault("module-loads", what)
                .in_file(module)
                .why("libpam cannot load the module: its line fails in every stack")
                .advice("install the package for this release of the distribution")
        }));
    }
    if findings.len() == before {
        let what = format!("the module is installed where libpam looks for it, version {VERSION}");
        findings.push(Finding::good("module", what).in_file(module));
    }
}

fn absent(module: &Path) -> Finding {
    let mut elsewhere = FOLDERS.iter().map(|folder| Path::new(folder).join(NAME));
    let found = elsewhere.find(|path| path.exists());
    let advice = match found {
        Some(path) => format!("type: sudo cp {} {}", path.display(), module.display()),
        None => "install the package, or type: make install".to_owned(),
    };
    let what = "the module is not installed where libpam looks for it";
    Finding::fault("module-absent", what)
        .in_file(module)
        .why("every stack that names it fails")
        .advice(advice)
}

/// The libpam that host programs get, by the loader's own list: that for programs like this one.
fn libpam() -> Option<PathBuf> {
    let list = output_of(&["/sbin/ldconfig", "/usr/sbin/ldconfig"], &["-p"])?;
    let paths = list.lines().filter_map(|line| {
        let (name, path) = line.trim().split_once(" => ")?;
        name.starts_with("libpam.so.0 ")
            .then(|| PathBuf::from(path))
    });
    let class = std::fs::read("/proc/self/exe")
        .ok()
        .and_then(|own| own.get(4).copied());
    let mut paths = paths.filter(|path| {
        let other = std::fs::read(path).ok();
        other.is_some_and(|other| other.get(4).copied() == class)
    });
    paths.next()
}

/// The folder that is compiled into a libpam; else that beside it.
fn folder_of(libpam: &Path) -> PathBuf {
    let bytes = std::fs::read(libpam).unwrap_or_default();
    let texts = bytes.split(|&byte| byte == 0);
    let texts = texts.filter_map(|text| std::str::from_utf8(text).ok());
    let mut folders = texts.filter(|text| text.starts_with('/') && text.ends_with("/security/"));
    match folders.next() {
        Some(folder) => PathBuf::from(folder.trim_end_matches('/')),
        None => libpam.with_file_name("security"),
    }
}

/// The version in a module, by the name that it gives itself at OneLogin.
fn version(module: &[u8]) -> Option<String> {
    let own = format!("{MARK}{VERSION}");
    if contains(module, own.as_bytes()).is_some() {
        return Some(VERSION.to_owned());
    }
    let start = contains(module, MARK.as_bytes())? + MARK.len();
    let digits = module.get(start..)?.iter();
    let digits = digits.take_while(|byte| byte.is_ascii_digit() || **byte == b'.');
    let version: String = digits.map(|&byte| char::from(byte)).collect();
    Some(version).filter(|version| !version.is_empty())
}

fn contains(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// What the dynamic loader does not find.
fn unresolved(module: &Path) -> Vec<String> {
    let path = module.to_string_lossy();
    let Some(output) = run(&["/usr/bin/ldd"], &["-r", &path]) else {
        return Vec::new();
    };
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    let is_bad = |line: &&str| line.contains("not found") || line.contains("undefined symbol");
    let mut bad: Vec<_> = text
        .lines()
        .filter(is_bad)
        .map(|line| line.trim().to_owned())
        .collect();
    if bad.is_empty() && !output.status.success() {
        bad.push("the dynamic loader cannot read it".to_owned());
    }
    bad
}

const NAME: &str = "pam_onelogin.so";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Before the version, in the name that the module gives itself at OneLogin.
const MARK: &str = "pam_onelogin/";

/// Where known distributions install modules.
const FOLDERS: [&str; 6] = [
    "/usr/lib/x86_64-linux-gnu/security",
    "/usr/lib/aarch64-linux-gnu/security",
    "/lib/x86_64-linux-gnu/security",
    "/usr/lib64/security",
    "/lib64/security",
    "/lib/security",
];

#[cfg(test)]
mod tests {
    use super::*;
    use pam_host::place::set_mode;

    #[test]
    fn the_version_is_read_from_the_module() {
        let own = format!("\0junk{MARK}{VERSION}application/json\0");
        assert_eq!(version(own.as_bytes()).as_deref(), Some(VERSION));
        let other = format!("x{MARK}9.10.2application/json\0");
        assert_eq!(version(other.as_bytes()).as_deref(), Some("9.10.2"));
        assert_eq!(version(b"nothing"), None);
        assert_eq!(version(b"pam_onelogin/tls"), None);
    }

    fn found(module: &Path) -> Vec<(&'static str, String)> {
        let mut findings = Vec::new();
        look_at(module, &mut findings);
        let findings = findings.into_iter();
        findings.map(|finding| (finding.id, finding.what)).collect()
    }

    #[test]
    fn the_built_module_is_right_and_one_that_others_could_change_or_of_another_version_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let module = folder.path().join(NAME);
        assert_eq!(found(&module)[0].0, "module-absent");
        std::fs::copy(pam_host::place::module(), &module).unwrap();
        set_mode(&module, 0o644);
        let what = format!("the module is installed where libpam looks for it, version {VERSION}");
        assert_eq!(found(&module), [("module", what)]);
        set_mode(&module, 0o666);
        let findings = found(&module);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].0, "module-trust");
        std::fs::write(&module, format!("{MARK}9.9.9")).unwrap();
        set_mode(&module, 0o644);
        let what = format!("the versions differ: module 9.9.9, tool {VERSION}");
        assert_eq!(found(&module), [("module-version", what)]);
        std::fs::write(&module, format!("{MARK}{VERSION}")).unwrap();
        assert_eq!(found(&module)[0].0, "module-loads");
    }

    #[test]
    fn the_folder_is_the_one_that_libpam_has_in_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"a\0/lib/x/security/\0/lib/security\0").unwrap();
        assert_eq!(folder_of(file.path()), Path::new("/lib/x/security"));
        std::fs::write(file.path(), b"\x7fELF").unwrap();
        let beside = file.path().with_file_name("security");
        assert_eq!(folder_of(file.path()), beside);
    }
}

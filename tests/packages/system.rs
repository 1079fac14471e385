//! A clean system, and what the tests of the packages do in it.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::ops::Deref;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use onelogin_simulator::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, Simulator, samples};
use pam_host::{Log, Pty};

/// A folder with a system in it, below /run, gone when it is dropped.
pub(crate) struct Root {
    pub(crate) folder: PathBuf,
}

/// One in which people log in.
pub(crate) struct System {
    root: Root,
    log: Log,
    _alone: MutexGuard<'static, ()>,
}

impl Deref for System {
    type Target = Root;

    fn deref(&self) -> &Root {
        &self.root
    }
}

impl Root {
    /// With this machine's /proc and /dev, for a chroot.
    pub(crate) fn unpack(release: &str) -> Self {
        let root = Self::bare(release, release);
        for name in ["proc", "dev"] {
            run(Command::new("mount")
                .arg("--rbind")
                .arg(Path::new("/").join(name))
                .arg(root.folder.join(name)));
        }
        root
    }

    /// What the archive has, in a folder of this name.
    pub(crate) fn bare(archive: &str, name: &str) -> Self {
        assert!(
            env::var_os("PAM_HOST_PRIVATE_ETC").is_some(),
            "run it by `make test-packages`"
        );
        let folder = Path::new("/run/systems").join(name);
        fs::create_dir_all(&folder).unwrap();
        // As the root of a machine is, it is a mount of its own.
        run(Command::new("mount").arg("--bind").args([&folder, &folder]));
        let archive = wanted("PAM_ONELOGIN_ROOTS").join(format!("{archive}.tar"));
        run(Command::new("tar")
            .args([
                "--extract",
                "--numeric-owner",
                "--exclude=./dev/*",
                "--file",
            ])
            .arg(archive)
            .arg("--directory")
            .arg(&folder));
        Self { folder }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path.trim_start_matches('/'))
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    pub(crate) fn copy(&self, file: &Path, folder: &str) {
        fs::copy(file, self.path(folder).join(file.file_name().unwrap())).unwrap();
    }

    /// A command line of root, in /root.
    pub(crate) fn shell(&self, line: &str) -> Output {
        Command::new("chroot")
            .arg(&self.folder)
            .args(["sh", "-c", &format!("cd /root && {line}")])
            .env_clear()
            .envs(ENVIRONMENT)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    pub(crate) fn sh(&self, line: &str) -> String {
        let output = self.shell(line);
        assert!(output.status.success(), "{line}: {}", both(&output));
        both(&output)
    }

    pub(crate) fn sh_fails(&self, line: &str) -> String {
        let output = self.shell(line);
        assert!(!output.status.success(), "{line}: {}", both(&output));
        both(&output)
    }

    /// Debian's rpm from outside; whether it went well, and what it said. There is no database of packages for dependencies.
    pub(crate) fn rpm(&self, arguments: &[&str]) -> (bool, String) {
        let output = Command::new("rpm")
            .arg(format!("--root={}", self.folder.display()))
            .args(arguments)
            .output()
            .unwrap();
        (output.status.success(), both(&output))
    }

    pub(crate) fn stacks(&self) -> BTreeMap<String, (u32, Vec<u8>)> {
        self.files("/etc/pam.d")
    }

    pub(crate) fn files(&self, folder: &str) -> BTreeMap<String, (u32, Vec<u8>)> {
        files_below(&self.path(folder), Path::new(folder))
    }
}

impl System {
    /// Waits for its turn: /dev, and the log in it, are one for all.
    pub(crate) fn unpack(release: &str) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let alone = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let root = Root::unpack(release);
        let _ = fs::remove_file("/dev/log");
        let system = Self {
            root,
            log: Log::bind(Path::new("/dev/log")).unwrap(),
            _alone: alone,
        };
        system.write("/etc/hosts", "127.0.0.1 localhost\n");
        // As a person would answer.
        system.write(
            "/etc/apt/apt.conf.d/99test",
            "APT::Get::Assume-Yes \"true\";\n",
        );
        system
    }

    /// The .deb, with what it recommends.
    pub(crate) fn install(&self) {
        self.copy(&package("deb"), "/root/");
        self.sh("apt-get install ./libpam-onelogin_*.deb");
    }

    /// Somebody who may use sudo.
    pub(crate) fn person(&self, name: &str) {
        self.sh(&new_person(name));
    }

    /// A simulator with its sample users, whose certificate the system trusts.
    pub(crate) fn onelogin(&self) -> Simulator {
        let simulator = Simulator::start();
        samples(&simulator);
        self.sh("apt-get install ca-certificates && mkdir -p /usr/local/share/ca-certificates");
        self.write(
            "/usr/local/share/ca-certificates/simulator.crt",
            simulator.ca_pem(),
        );
        self.sh("update-ca-certificates");
        simulator
    }

    /// A command line of root, on a terminal.
    pub(crate) fn terminal(&self, line: &str) -> Pty {
        let mut command = Command::new("chroot");
        command
            .arg(&self.folder)
            .args(["sh", "-c", line])
            .env_clear()
            .envs(ENVIRONMENT);
        Pty::spawn(command)
    }

    /// sudo, by an ordinary user on a terminal, without its memory of earlier calls.
    pub(crate) fn sudo(&self, name: &str, arguments: &[&str]) -> Pty {
        let mut command = Command::new("chroot");
        command
            .arg(format!("--userspec={name}:{name}"))
            .arg("--groups=sudo")
            .arg(&self.folder)
            .args(["sudo", "-k"])
            .args(arguments)
            .env_clear()
            .envs(ENVIRONMENT)
            .current_dir("/");
        let home = fs::metadata(self.path("/home").join(name)).unwrap();
        Pty::spawn_as(command, Some((home.uid(), home.gid())))
    }

    /// A login of root's pamtester with the right password; whether it got in, and what was shown.
    pub(crate) fn login(&self, service: &str, name: &str, codes: &[&str]) -> (bool, String) {
        self.login_with(service, name, PASSWORD, codes)
    }

    pub(crate) fn login_with(
        &self,
        service: &str,
        name: &str,
        password: &str,
        codes: &[&str],
    ) -> (bool, String) {
        let mut command = Command::new("chroot");
        command
            .arg(&self.folder)
            .args(["pamtester", service, name, "authenticate"])
            .env_clear()
            .envs(ENVIRONMENT);
        let mut terminal = Pty::spawn(command);
        let mut codes = codes.iter();
        while let Some(prompt) = terminal.next_of(&["Password: ", "Verification code (OneLogin): "])
        {
            terminal.line(match prompt {
                0 => password,
                _ => codes.next().copied().unwrap_or_default(),
            });
        }
        let (status, screen) = terminal.finish();
        (status.success(), screen)
    }

    pub(crate) fn logged(&self, text: &str) -> String {
        self.log
            .wait_for(text, Duration::from_secs(10))
            .unwrap_or_else(|| panic!("no {text:?} in {:#?}", self.log.lines()))
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the log: {:#?}", self.log.lines());
        }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        for name in ["proc", "dev"] {
            let _ = Command::new("umount")
                .arg("--lazy")
                .arg(self.folder.join(name))
                .stderr(Stdio::null())
                .status();
        }
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(&self.folder)
            .status();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let folder = self.folder.display();
        let is_unmounted = [" ", "/"]
            .iter()
            .all(|end| !mounts.contains(&format!(" {folder}{end}")));
        if is_unmounted {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// The command line that makes somebody who may use sudo.
pub(crate) fn new_person(name: &str) -> String {
    format!(
        "useradd --create-home --shell /bin/sh --groups sudo {name} && echo '{name}:{PASSWORD}' | chpasswd"
    )
}

/// Takes the `#` away before what the README says has to be filled in, and fills it in.
pub(crate) fn fill_in(system: &Root, onelogin: &Simulator) {
    let path = "/etc/pam_onelogin/config.toml";
    let mut text = system.read(path);
    for (key, value) in [
        ("url", onelogin.url()),
        ("client_id", DEFAULT_CLIENT_ID.to_owned()),
        ("client_secret", DEFAULT_CLIENT_SECRET.to_owned()),
    ] {
        let start = text.find(&format!("\n# {key} = ")).unwrap() + 1;
        let end = start + text[start..].find('\n').unwrap();
        text.replace_range(start..end, &format!("{key} = {value:?}"));
    }
    // Into the file that is there: its owner and mode stay.
    system.write(path, &text);
}

/// With [`stand_in`] for the module: of what it may return, `PAM_SUCCESS` and `PAM_IGNORE` (for those whom the admin exempted) alone
/// let in, and a wrong password does not get to it.
pub(crate) fn every_denial_denies(system: &System, stack: &str) {
    let probe = |code: i32, password: &str| {
        let service = format!("code-{code}");
        let file = format!("/etc/pam.d/{service}");
        let asked = system.path(&format!("/run/asked-{service}"));
        system.write(&file, stack);
        let _ = fs::remove_file(&asked);
        let (success, screen) = system.login_with(&service, "alice", password, &[]);
        fs::remove_file(system.path(&file)).unwrap();
        (success, screen, asked.exists())
    };
    let (success, screen, asked) = probe(0, "wrong");
    assert!(!success && !asked, "a wrong password: {screen}");
    // At the same time: after each denial libpam waits.
    thread::scope(|scope| {
        for code in 0..32 {
            scope.spawn(move || {
                let (success, screen, asked) = probe(code, PASSWORD);
                assert_eq!(
                    success,
                    [0, 25].contains(&code),
                    "{stack}code {code}: {screen}"
                );
                assert!(asked, "{stack}code {code}");
            });
        }
    });
}

/// Builds a module that returns the number at the end of the service's name, and writes /run/asked-SERVICE.
pub(crate) fn stand_in(module: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("module.c");
    fs::write(&source, STAND_IN).unwrap();
    let built = folder.path().join("module.so");
    run(Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&built)
        .arg(&source));
    fs::remove_file(module).unwrap();
    fs::copy(&built, module).unwrap();
}

pub(crate) const STAND_IN: &str = r#"
#include <stdio.h>
enum { PAM_SYSTEM_ERR = 4, PAM_SERVICE = 1 };
int pam_get_item(const void *handle, int item, const void **value);
int pam_sm_authenticate(void *handle, int flags, int count, const char **words)
{
    const void *service = NULL;
    int code;
    char path[64];
    FILE *file;
    (void)flags, (void)count, (void)words;
    if (pam_get_item(handle, PAM_SERVICE, &service) != 0 || sscanf(service, "code-%d", &code) != 1)
        return PAM_SYSTEM_ERR;
    snprintf(path, sizeof path, "/run/asked-%s", (const char *)service);
    file = fopen(path, "w");
    if (file != NULL)
        fclose(file);
    return code;
}
int pam_sm_setcred(void *handle, int flags, int count, const char **words)
{
    (void)handle, (void)flags, (void)count, (void)words;
    return 0;
}
"#;

pub(crate) fn stack_lines(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

/// Files and links with mode and contents; their names begin with `name`.
pub(crate) fn files_below(folder: &Path, name: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut files = BTreeMap::new();
    let Ok(entries) = fs::read_dir(folder) else {
        return files;
    };
    for entry in entries {
        let entry = entry.unwrap();
        let name = name.join(entry.file_name());
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() {
            files.extend(files_below(&entry.path(), &name));
        } else {
            let contents = if metadata.is_symlink() {
                fs::read_link(entry.path())
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes()
            } else {
                fs::read(entry.path()).unwrap()
            };
            files.insert(
                name.to_str().unwrap().to_owned(),
                (metadata.mode() & 0o7777, contents),
            );
        }
    }
    files
}

/// The package of this kind that `make packages` made.
pub(crate) fn package(ending: &str) -> PathBuf {
    one_of(&wanted("PAM_ONELOGIN_PACKAGES"), ending, false)
}

/// The one with its debug information.
pub(crate) fn debug_package(ending: &str) -> PathBuf {
    one_of(&wanted("PAM_ONELOGIN_PACKAGES"), ending, true)
}

/// The one for a gateway.
pub(crate) fn gateway_package(ending: &str) -> PathBuf {
    let is_it = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("pam-onelogin-gateway") && name.ends_with(ending)
    };
    let entries = fs::read_dir(wanted("PAM_ONELOGIN_PACKAGES")).unwrap();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(is_it)
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

pub(crate) fn one_of(folder: &Path, ending: &str, debug: bool) -> PathBuf {
    let version = env!("CARGO_PKG_VERSION");
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == ending))
        .filter(|path| path.to_str().unwrap().contains(version))
        .filter(|path| path.to_str().unwrap().contains("-d") == debug)
        .filter(|path| {
            !path
                .file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .contains("-gateway")
        })
        .collect();
    assert_eq!(found.len(), 1, "{}: {found:?}", folder.display());
    found.remove(0)
}

/// Makes a package there that provides what our .rpm asks of glibc, Linux-PAM and a shell.
pub(crate) fn what_a_system_provides(folder: &Path) {
    let requires = run(Command::new("rpm")
        .args(["-qp", "--requires"])
        .arg(package("rpm")));
    let provides: Vec<String> = requires
        .lines()
        .filter(|need| !need.starts_with("rpmlib("))
        .map(|need| format!("  - \"{}\"", need.trim()))
        .collect();
    let description = folder.join("system.yaml");
    fs::write(
        &description,
        format!(
            "name: system\narch: amd64\nversion: 9.0\nmaintainer: nobody <nobody@lists.invalid>\n\
             description: what a system has\nprovides:\n{}\n",
            provides.join("\n")
        ),
    )
    .unwrap();
    run(Command::new(wanted("NFPM"))
        .args(["package", "--packager", "rpm", "--config"])
        .arg(&description)
        .arg("--target")
        .arg(folder.join("system.rpm")));
}

/// A version after this one.
pub(crate) const LATER: &str = concat!(env!("CARGO_PKG_VERSION"), ".1");

/// A package of another version.
pub(crate) fn later_package(ending: &str, version: &str, folder: &Path) -> PathBuf {
    run(Command::new("packaging/build.sh")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("VERSION", version)
        .arg(ending)
        .arg(folder));
    let separator = if ending == "deb" {
        "onelogin_"
    } else {
        "onelogin-"
    };
    let found = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.ends_with(ending) && name.contains(&format!("{separator}{version}"))
        });
    found.unwrap_or_else(|| panic!("no {ending} of {version}"))
}

pub(crate) fn wanted(name: &str) -> PathBuf {
    PathBuf::from(
        env::var_os(name).unwrap_or_else(|| panic!("{name}: run it by `make test-packages`")),
    )
}

pub(crate) fn security_folder() -> String {
    format!("/usr/lib/{}-linux-gnu/security", env::consts::ARCH)
}

pub(crate) fn module_path() -> String {
    format!("{}/pam_onelogin.so", security_folder())
}

pub(crate) fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", both(&output));
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn both(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

pub(crate) const PASSWORD: &str = "Unix-Pass-1";
pub(crate) const ENVIRONMENT: [(&str, &str); 3] = [
    ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
    ("TERM", "dumb"),
    ("LC_ALL", "C.UTF-8"),
];

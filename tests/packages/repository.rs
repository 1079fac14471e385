//! The signed repositories of `make repository`, with the real apt and dnf: installing, upgrading from 0.1.0, replacing the key, and
//! what clients and the script refuse.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::debian::RELEASES;
use crate::system::*;
use pam_host::place::set_mode;

/// Keys that sign, as files with their secret parts.
struct Keys {
    folder: tempfile::TempDir,
}

impl Keys {
    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["old", "new", "stranger"] {
            let home = folder.path().join(format!("{name}.home"));
            fs::create_dir(&home).unwrap();
            set_mode(&home, 0o700);
            let gpg = |arguments: &[&str]| {
                run(Command::new("gpg")
                    .args([
                        "--batch",
                        "--quiet",
                        "--passphrase",
                        "",
                        "--pinentry-mode",
                        "loopback",
                    ])
                    .args(arguments)
                    .env("GNUPGHOME", &home))
            };
            let user = format!("{name} <{name}@lists.invalid>");
            gpg(&["--quick-generate-key", &user, "rsa2048", "sign", "never"]);
            fs::write(
                folder.path().join(name),
                gpg(&["--armor", "--export-secret-keys"]),
            )
            .unwrap();
            run(Command::new("gpgconf")
                .args(["--kill", "all"])
                .env("GNUPGHOME", &home));
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Publishes the package of this version, signed with these keys: what the script says.
    fn publish(&self, package: &Path, repository: &Path, keys: &[&str]) -> (bool, String) {
        let one = tempfile::tempdir().unwrap();
        fs::copy(package, one.path().join(package.file_name().unwrap())).unwrap();
        let output = Command::new("packaging/repository.sh")
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .arg(one.path())
            .arg(repository)
            .args(keys.iter().map(|name| self.path(name)))
            .output()
            .unwrap();
        (output.status.success(), both(&output))
    }

    fn published(&self, package: &Path, repository: &Path, keys: &[&str]) {
        let (success, said) = self.publish(package, repository, keys);
        assert!(success, "{said}");
    }
}

/// A clean system whose apt knows our repository alone.
struct Client {
    system: System,
    repository: PathBuf,
}

impl Client {
    /// With a repository that has this package, signed with the old key.
    fn of(release: &str, keys: &Keys, package: &Path) -> Self {
        let system = System::unpack(release);
        system.sh("apt-get install ca-certificates");
        let repository = system.path("/srv/repository");
        fs::create_dir_all(&repository).unwrap();
        keys.published(package, &repository, &["old"]);
        let page = include_str!("../../docs/install.md");
        let source = between(page, "```deb822\n", "```");
        let source = source.replace(
            "https://packages.invalid/pam_onelogin",
            "file:/srv/repository",
        );
        assert!(source.contains("file:/srv/repository/apt"), "{source}");
        system.sh("mkdir -p /etc/apt/ours /etc/apt/keyrings");
        system.write("/etc/apt/ours/pam_onelogin.sources", &source);
        let client = Self { system, repository };
        client.trusts(&client.keys());
        client.system.sh(&apt("update"));
        client.system.sh(&apt("install libpam-onelogin"));
        client
    }

    /// The public keys that the repository has now.
    fn keys(&self) -> Vec<u8> {
        fs::read(self.repository.join("pam-onelogin.asc")).unwrap()
    }

    fn trusts(&self, keys: &[u8]) {
        fs::write(self.system.path("/etc/apt/keyrings/pam-onelogin.asc"), keys).unwrap();
    }

    fn upgrades(&self) {
        self.system.sh(&apt("update"));
        self.system.sh(&apt("upgrade"));
    }

    fn has(&self, version: &str) {
        let said = self
            .system
            .sh("dpkg-query --show --showformat='${Version}' libpam-onelogin");
        assert_eq!(said.trim(), version);
    }
}

fn apt(words: &str) -> String {
    format!(
        "apt-get -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=/etc/apt/ours -o APT::Update::Error-Mode=any -y {words}"
    )
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn apt_upgrades_from_0_1_0_and_does_not_go_back() {
    let keys = Keys::make();
    let folder = tempfile::tempdir().unwrap();
    let old = later_package("deb", "0.1.0", folder.path());
    let older = later_package("deb", "0.0.9", folder.path());
    let other = tempfile::tempdir().unwrap();
    run(Command::new("packaging/build.sh")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("SOURCE_DATE_EPOCH", "1")
        .arg("deb")
        .arg(other.path()));
    let other = one_of(other.path(), "deb", false);
    for release in RELEASES {
        let client = Client::of(release, &keys, &old);
        let (system, repository) = (&client.system, &client.repository);
        client.has("0.1.0");
        system.person("alice");
        let onelogin = system.onelogin();
        fill_in(system, &onelogin);
        let edited = system.read("/etc/pam_onelogin/config.toml");
        system.write(
            "/etc/pam.d/probe",
            "auth requisite pam_unix.so\nauth required pam_onelogin.so\n",
        );
        let (success, screen) = system.login("probe", "alice", &["123456"]);
        assert!(success, "{screen}");
        let kept = tempfile::tempdir().unwrap();
        run(Command::new("cp")
            .arg("-a")
            .arg(repository)
            .arg(kept.path()));

        // The upgrade, with an edited configuration and the state of that login.
        keys.published(&package("deb"), repository, &["old"]);
        client.upgrades();
        client.has(env!("CARGO_PKG_VERSION"));
        assert_eq!(system.read("/etc/pam_onelogin/config.toml"), edited);
        let (success, screen) = system.login("probe", "alice", &["234567"]);
        assert!(success, "{screen}");

        // What the script does not publish.
        let (success, said) = keys.publish(&older, repository, &["old"]);
        let text = "a repository does not go back";
        assert!(!success && said.contains(text), "{said}");
        let (success, said) = keys.publish(&other, repository, &["old"]);
        let text = "is published with other bytes";
        assert!(!success && said.contains(text), "{said}");

        // The repository of before: apt takes no older list.
        let list = || system.sh("grep ^Date: /var/lib/apt/lists/*InRelease");
        let newer = list();
        fs::remove_dir_all(repository).unwrap();
        run(Command::new("cp")
            .arg("-a")
            .arg(kept.path().join("repository"))
            .arg(repository));
        system.shell(&apt("update"));
        assert_eq!(list(), newer);
        client.has(env!("CARGO_PKG_VERSION"));
    }
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn apt_follows_a_new_key_and_takes_nothing_that_was_changed() {
    let keys = Keys::make();
    let folder = tempfile::tempdir().unwrap();
    let later = later_package("deb", LATER, folder.path());
    for release in RELEASES {
        let client = Client::of(release, &keys, &package("deb"));
        let (system, repository) = (&client.system, &client.repository);

        // While the key is replaced, both sign: a client that knows only the old one goes on.
        keys.published(&later, repository, &["old", "new"]);
        system.sh(&apt("update"));
        // The package is not the one that was signed.
        let pool = system.sh("find /srv/repository/apt/pool -name 'libpam-onelogin_*.deb'");
        let pool = system.path(pool.trim());
        let right = fs::read(&pool).unwrap();
        let mut wrong = right.clone();
        *wrong.last_mut().unwrap() ^= 1;
        fs::write(&pool, wrong).unwrap();
        system.sh_fails(&apt("upgrade"));
        client.has(env!("CARGO_PKG_VERSION"));
        fs::write(&pool, right).unwrap();
        system.sh(&apt("upgrade"));
        client.has(LATER);

        // Then the new key alone signs: a client without it is told so.
        let both = client.keys();
        keys.published(&later, repository, &["new"]);
        system.sh_fails(&apt("update"));
        client.trusts(&both);
        system.sh(&apt("update"));

        // A changed index.
        let index = repository.join("apt/dists/stable/InRelease");
        let text = fs::read_to_string(&index).unwrap();
        fs::write(&index, text.replace("Codename: stable", "Codename: stably")).unwrap();
        system.sh_fails(&apt("update"));
    }
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
#[allow(clippy::too_many_lines)] // One host lives through it.
fn dnf_installs_and_upgrades_from_the_repository_and_takes_nothing_unsigned() {
    let keys = Keys::make();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["packages", "system", "root"] {
        fs::create_dir(at(name)).unwrap();
    }
    let old = later_package("rpm", "0.1.0", &at("packages"));
    let later = later_package("rpm", LATER, &at("packages"));
    what_a_system_provides(&at("system"));
    run(Command::new("createrepo_c")
        .arg("--quiet")
        .arg(at("system")));
    let repository = at("repository");
    keys.published(&old, &repository, &["old"]);

    let page = include_str!("../../docs/install.md");
    let file = between(page, "```ini\n", "```");
    let here = format!("file://{}", repository.display());
    let file = file.replace("https://packages.invalid/pam_onelogin", &here);
    assert!(file.contains(&format!("{here}/rpm")), "{file}");
    let trusted = at("trusted.asc");
    let file = file.replace(
        "/etc/pki/rpm-gpg/pam-onelogin.asc",
        trusted.to_str().unwrap(),
    );
    assert!(file.contains(trusted.to_str().unwrap()), "{file}");
    let new_keys = || {
        fs::copy(repository.join("pam-onelogin.asc"), &trusted).unwrap();
    };
    new_keys();
    fs::create_dir(at("repos")).unwrap();
    fs::write(at("repos/pam_onelogin.repo"), file).unwrap();
    let dnf = |arguments: &[&str]| {
        let output = Command::new("dnf")
            .args(["--assumeyes", "--refresh", "--releasever=9"])
            .arg(format!("--setopt=reposdir={}", at("repos").display()))
            .args([
                "--setopt=tsflags=noscripts",
                "--setopt=install_weak_deps=False",
            ])
            .arg(format!("--repofrompath=system,{}", at("system").display()))
            .args([
                "--setopt=system.gpgcheck=0",
                "--setopt=system.repo_gpgcheck=0",
            ])
            .arg(format!("--installroot={}", at("root").display()))
            // As on RHEL: without a repository that it cannot check, dnf does not go on.
            .arg("--setopt=pam_onelogin.skip_if_unavailable=0")
            .args(arguments)
            .env("HOME", folder.path())
            .output()
            .unwrap();
        (output.status.success(), both(&output))
    };
    let has = |version: &str| {
        let (_, said) = dnf(&["list", "--installed", "pam_onelogin"]);
        assert!(said.contains(&format!(" {version}-1 ")), "{said}");
    };
    let (success, said) = dnf(&["install", "pam_onelogin"]);
    assert!(success, "{said}");
    has("0.1.0");
    let config = at("root/etc/pam_onelogin/config.toml");
    let edited = format!("{}# mine\n", fs::read_to_string(&config).unwrap());
    fs::write(&config, &edited).unwrap();

    keys.published(&package("rpm"), &repository, &["old"]);
    let (success, said) = dnf(&["upgrade", "pam_onelogin"]);
    assert!(success, "{said}");
    has(env!("CARGO_PKG_VERSION"));
    assert_eq!(fs::read_to_string(&config).unwrap(), edited);
    // The same once more is no fault; a lower version, new there, is.
    keys.published(&package("rpm"), &repository, &["old"]);
    let older = later_package("rpm", "0.0.9", &at("packages"));
    let (success, said) = keys.publish(&older, &repository, &["old"]);
    assert!(
        !success && said.contains("a repository does not go back"),
        "{said}"
    );

    // What a stranger signs in its place, with the stranger's key beside it.
    let right = at("right");
    fs::rename(&repository, &right).unwrap();
    keys.published(&later, &repository, &["stranger"]);
    let (success, said) = dnf(&["upgrade", "pam_onelogin"]);
    assert!(!success, "{said}");
    has(env!("CARGO_PKG_VERSION"));
    fs::remove_dir_all(&repository).unwrap();
    fs::rename(&right, &repository).unwrap();

    // Both keys, for a host that knows the old one; then the new one, which also signs what was published before.
    keys.published(&later, &repository, &["old", "new"]);
    let (success, said) = dnf(&["upgrade", "pam_onelogin"]);
    assert!(success, "{said}");
    has(LATER);
    keys.published(&later, &repository, &["new"]);
    let (success, said) = dnf(&["makecache"]);
    assert!(!success, "{said}");
    new_keys();
    let (success, said) = dnf(&["reinstall", "pam_onelogin"]);
    assert!(success, "{said}");

    // A changed index, and one without a signature.
    let index = repository.join("rpm/repodata/repomd.xml");
    let text = fs::read_to_string(&index).unwrap();
    fs::write(&index, text.replace("</repomd>", " </repomd>")).unwrap();
    let (success, said) = dnf(&["makecache"]);
    assert!(!success, "{said}");
    fs::write(&index, text).unwrap();
    fs::remove_file(repository.join("rpm/repodata/repomd.xml.asc")).unwrap();
    let (success, said) = dnf(&["makecache"]);
    assert!(!success, "{said}");
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn a_repository_needs_a_key() {
    let keys = Keys::make();
    let folder = tempfile::tempdir().unwrap();
    let (success, said) = keys.publish(&package("deb"), folder.path(), &[]);
    assert!(!success && said.contains("make repository KEY="), "{said}");
    let (success, said) = keys.publish(&package("deb"), folder.path(), &["missing"]);
    assert!(
        !success && said.contains("there is no secret key"),
        "{said}"
    );
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).expect("the page has this part");
    rest.split_once(end).expect("the part ends").0
}

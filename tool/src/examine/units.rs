//! The systemd units of the programs that ask PAM: whether their sandbox lets the module write its private
//! files and connect to OneLogin.

use crate::examine::named_stack::asks;
use crate::examine::subject::Subject;
use crate::host::programs::{SYSTEMCTL, UNIT_FOLDERS, output_of, systemd_runs};
use crate::host::state_mount::FOLDER;
use crate::host::target_system::TargetSystem;
use crate::pam_stack::FOLDERS;
use crate::ui::finding::{Finding, Place};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Looks at the units of each service whose stack calls `pam_onelogin`.
pub(super) fn examine(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let machine = subject.machine;
    let names = FOLDERS.iter().flat_map(|folder| {
        let names = machine.names(folder).unwrap_or_default();
        names.into_iter().filter(|name| asks(machine, name))
    });
    let asking: BTreeSet<String> = names.collect();
    let mut units: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for service in asking.iter().filter(|service| subject.includes(service)) {
        for unit in units_of(service) {
            units.entry(unit).or_default().push(service);
        }
    }
    let state_dir = subject.settings.as_ref().map(|config| &config.state_dir);
    let state_dir = state_dir.map_or(Path::new(FOLDER), PathBuf::as_path);
    let ask_systemd = subject.is_live && systemd_runs();
    let mut seen = BTreeSet::new();
    for (name, services) in &units {
        let unit = if ask_systemd {
            Unit::shown(machine, name)
        } else {
            Unit::read(machine, name)
        };
        let Some(unit) = unit else { continue };
        // A unit may have two names.
        if seen.insert(unit.files.clone()) {
            findings.extend(unit.read_only(name, services, state_dir));
            findings.extend(unit.without_network(name, services));
        }
    }
}

/// The units that start the program of a service, or the session in which users start it.
fn units_of(service: &str) -> BTreeSet<String> {
    let rows = UNITS
        .iter()
        .filter(|(services, _)| services.contains(&service));
    let listed = rows.flat_map(|(_, units)| units.iter().map(|unit| (*unit).to_owned()));
    listed.chain([format!("{service}.service")]).collect()
}

/// The settings of a unit.
struct Unit {
    /// Its file, and its drop-ins in the order in which they count.
    files: Vec<PathBuf>,
    settings: Vec<Setting>,
}

struct Setting {
    key: String,
    value: String,
    place: Option<Place>,
}

impl Unit {
    /// As systemd has it.
    fn shown(machine: &TargetSystem, name: &str) -> Option<Self> {
        // A template has properties only with an instance.
        let name = name.replace("@.", "@pam.");
        let properties = "--property=FragmentPath,DropInPaths,ProtectSystem,ReadOnlyPaths,\
                          ReadWritePaths,PrivateNetwork,RestrictAddressFamilies";
        let said = output_of(&[SYSTEMCTL], &["show", properties, "--", &name])?;
        Self::of_systemd(machine, &said)
    }

    /// From what `systemctl show` prints; `None` if there is no such unit.
    fn of_systemd(machine: &TargetSystem, said: &str) -> Option<Self> {
        let lines = || said.lines().filter_map(|line| line.split_once('='));
        let paths = |key: &'static str| {
            let found = lines().filter(move |(name, _)| *name == key);
            found.flat_map(|(_, value)| value.split_ascii_whitespace())
        };
        let files: Vec<PathBuf> = paths("FragmentPath")
            .chain(paths("DropInPaths"))
            .map(PathBuf::from)
            .collect();
        let written = settings(machine, &files);
        let settings = lines().map(|(key, value)| Setting {
            key: key.to_owned(),
            value: value.to_owned(),
            place: written
                .iter()
                .rfind(|setting| setting.key == key && !setting.value.is_empty())
                .and_then(|setting| setting.place.clone()),
        });
        let settings = settings.collect();
        // Drop-ins for all services are listed for a unit that does not exist, too.
        let exists = paths("FragmentPath").next().is_some();
        exists.then_some(Self { files, settings })
    }

    /// As its files are.
    fn read(machine: &TargetSystem, name: &str) -> Option<Self> {
        let mut files = UNIT_FOLDERS
            .iter()
            .map(|folder| Path::new(folder).join(name));
        let own = files.find(|file| machine.has(file))?;
        let mut drop_ins: BTreeMap<String, PathBuf> = BTreeMap::new();
        for folder in drop_in_folders(name) {
            for file in machine.names(&folder).unwrap_or_default() {
                if Path::new(&file)
                    .extension()
                    .is_some_and(|end| end == "conf")
                {
                    let path = folder.join(&file);
                    drop_ins.entry(file).or_insert(path);
                }
            }
        }
        let files: Vec<PathBuf> = [own].into_iter().chain(drop_ins.into_values()).collect();
        let settings = settings(machine, &files);
        Some(Self { files, settings })
    }

    /// The words of a list, each with its place. An empty value removes those before it.
    fn list(&self, key: &str) -> Vec<(&str, Option<&Place>)> {
        let mut words = Vec::new();
        for setting in self.settings.iter().filter(|setting| setting.key == key) {
            if setting.value.trim().is_empty() {
                words.clear();
            }
            let new = setting.value.split_ascii_whitespace();
            words.extend(new.map(|word| (word, setting.place.as_ref())));
        }
        words
    }

    fn last(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().rfind(|setting| setting.key == key)
    }

    /// A finding if `state_dir` is read-only in this unit. Of several paths, the longest one counts.
    fn read_only(&self, name: &str, services: &[&str], state_dir: &Path) -> Option<Finding> {
        let above = |path: &str| {
            let path = Path::new(path.trim_start_matches(['-', '+']));
            let is_above = path.is_absolute() && state_dir.starts_with(path);
            is_above.then(|| path.components().count())
        };
        let longest = |key: &str| {
            let paths = self.list(key).into_iter();
            let paths = paths.filter_map(|(path, place)| Some((above(path)?, path, place)));
            paths.max_by_key(|(length, ..)| *length)
        };
        let protect = self.last("ProtectSystem");
        let strict = protect.filter(|setting| setting.value == "strict");
        let strict = strict.map(|setting| (1, "strict", setting.place.as_ref(), "ProtectSystem"));
        let listed = longest("ReadOnlyPaths")
            .map(|(length, path, place)| (length, path, place, "ReadOnlyPaths"));
        let (length, value, place, key) = listed.or(strict)?;
        if longest("ReadWritePaths").is_some_and(|(other, ..)| other >= length) {
            return None;
        }
        let what = format!(
            "{name}: systemd does not let the module write to {}",
            state_dir.display()
        );
        let why = format!(
            "{key}={value}: every login by {} is denied there (reason=no-state)",
            services.join(", ")
        );
        let line = format!("ReadWritePaths=-{}", state_dir.display());
        let finding = Finding::warning("unit-sandbox", what).why(why);
        let mut advice = edit(name, &[&line]);
        if state_dir == Path::new(FOLDER) {
            // At the start of the unit the folder must exist.
            advice =
                format!("type: sudo systemctl enable --now run-pam_onelogin.mount; then {advice}");
        }
        Some(finding.of(place.cloned()).advice(advice))
    }

    /// A finding if the module has no network in this unit.
    fn without_network(&self, name: &str, services: &[&str]) -> Option<Finding> {
        let families = self.list("RestrictAddressFamilies");
        let is_denied = families
            .first()
            .is_some_and(|(word, _)| word.starts_with('~'));
        let names = |family: &str| {
            families
                .iter()
                .any(|(word, _)| word.trim_start_matches('~') == family)
        };
        let is_cut = !families.is_empty() && names("AF_INET") == is_denied;
        let private = self.last("PrivateNetwork");
        let private = private.filter(|setting| is_on(&setting.value));
        let mut reasons = Vec::new();
        let mut lines = Vec::new();
        if private.is_some() {
            reasons.push("PrivateNetwork=yes");
            lines.push("PrivateNetwork=no");
        }
        if is_cut {
            reasons.push("RestrictAddressFamilies without AF_INET");
            lines.push("RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6");
        }
        if reasons.is_empty() {
            return None;
        }
        let place = private.and_then(|setting| setting.place.as_ref());
        let place = place.or_else(|| families.last().and_then(|(_, place)| *place));
        let what = format!("{name}: systemd does not let the module connect to OneLogin");
        let why = format!(
            "{}: every login by {} is denied there",
            reasons.join(", "),
            services.join(", ")
        );
        let finding = Finding::warning("unit-network", what).why(why);
        Some(finding.of(place.cloned()).advice(edit(name, &lines)))
    }
}

/// How to add lines to a unit.
fn edit(name: &str, lines: &[&str]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| format!("\"{line}\"")).collect();
    let restart = if name.contains("@.") {
        "the next start of the unit uses them".to_owned()
    } else {
        format!("then type: sudo systemctl restart {name}")
    };
    format!(
        "type: sudo systemctl edit {name}; write \"[Service]\" and below it {}; {restart}",
        lines.join(" and ")
    )
}

fn is_on(value: &str) -> bool {
    ["1", "yes", "true", "on"].contains(&value.to_ascii_lowercase().as_str())
}

/// The settings in the section `[Service]` of these files.
fn settings(machine: &TargetSystem, files: &[PathBuf]) -> Vec<Setting> {
    let mut settings = Vec::new();
    for file in files.iter().filter(|file| !is_masked(machine, file)) {
        let text = machine.text_or_empty(file);
        let mut is_service = false;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.starts_with('[') {
                is_service = line == "[Service]";
            } else if let Some((key, value)) = line.split_once('=').filter(|_| is_service) {
                settings.push(Setting {
                    key: key.trim().to_owned(),
                    value: value.trim().to_owned(),
                    place: Some(Place::of(file, Some(index + 1))),
                });
            }
        }
    }
    settings
}

/// The folders of drop-ins of a unit, the most important first: those for all services, for a common
/// beginning of the name (`a-.service.d`), and for the unit itself.
fn drop_in_folders(name: &str) -> Vec<PathBuf> {
    let mut names = vec![name.to_owned()];
    let stem = name.strip_suffix(".service").unwrap_or(name);
    let dashes = stem.match_indices('-').map(|(index, _)| index);
    let mut beginnings: Vec<String> = dashes
        .filter_map(|index| stem.get(..=index))
        .map(|begin| format!("{begin}.service"))
        .collect();
    beginnings.reverse();
    names.extend(beginnings);
    names.push("service".to_owned());
    let of = |name: &String| UNIT_FOLDERS.map(|folder| Path::new(folder).join(format!("{name}.d")));
    names.iter().flat_map(of).collect()
}

/// Whether a file is a link to /dev/null, by which an administrator switches it off.
fn is_masked(machine: &TargetSystem, file: &Path) -> bool {
    let real = machine.real(file);
    real.is_ok_and(|real| {
        let target = std::fs::canonicalize(&real).unwrap_or(real);
        target.ends_with("dev/null")
    })
}

/// Services and the units that start their programs. Users start sudo and su in a session that a program
/// of one of these units has started, and the sandbox of that unit holds there, too. Beside these, a service
/// may have a unit of its own name.
const UNITS: &[(&[&str], &[&str])] = &[
    (
        &["sshd", "sudo", "sudo-i", "su", "su-l", "doas"],
        &[
            "ssh.service",
            "ssh@.service",
            "sshd.service",
            "sshd@.service",
        ],
    ),
    (
        &["login", "sudo", "sudo-i", "su", "su-l", "doas"],
        &[
            "console-getty.service",
            "getty@.service",
            "serial-getty@.service",
        ],
    ),
    (&["polkit-1"], &["polkit-agent-helper@.service"]),
    (&["cockpit"], &["cockpit-session@.service"]),
    (&["gdm-password"], &["gdm.service"]),
    (
        &["openvpn"],
        &["openvpn-server@.service", "openvpn@.service"],
    ),
    (&["samba"], &["smbd.service"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(text: &str) -> Unit {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("etc/systemd/system");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("x.service"), format!("[Service]\n{text}")).unwrap();
        Unit::read(&TargetSystem::below(root.path()), "x.service").unwrap()
    }

    #[test]
    fn the_longest_path_decides_whether_the_folder_can_be_written() {
        for (text, is_read_only) in [
            ("", false),
            ("ProtectSystem=full\n", false),
            ("ProtectSystem=strict\n", true),
            ("ProtectSystem=strict\nReadWritePaths=/var -/run\n", false),
            ("ProtectSystem=strict\nReadWritePaths=/run/pam\n", true),
            (
                "ProtectSystem=strict\nReadWritePaths=/run\nReadWritePaths=\n",
                true,
            ),
            ("ProtectSystem=strict\nProtectSystem=yes\n", false),
            ("ReadOnlyPaths=/run\n", true),
            (
                "ReadOnlyPaths=/run\nReadWritePaths=/run/pam_onelogin\n",
                false,
            ),
            ("ReadOnlyPaths=+/run\nReadWritePaths=/\n", true),
        ] {
            let found = unit(text).read_only("x.service", &["x"], Path::new(FOLDER));
            assert_eq!(found.is_some(), is_read_only, "{text}");
        }
    }

    #[test]
    fn a_network_of_its_own_or_no_family_of_addresses_is_reported() {
        for (text, is_cut) in [
            ("PrivateNetwork=no\n", false),
            ("PrivateNetwork=yes\n", true),
            ("RestrictAddressFamilies=AF_UNIX AF_INET\n", false),
            ("RestrictAddressFamilies=AF_UNIX\n", true),
            (
                "RestrictAddressFamilies=AF_UNIX\nRestrictAddressFamilies=AF_INET\n",
                false,
            ),
            ("RestrictAddressFamilies=~AF_PACKET\n", false),
            ("RestrictAddressFamilies=~AF_INET\n", true),
        ] {
            let found = unit(text).without_network("x.service", &["x"]);
            assert_eq!(found.is_some(), is_cut, "{text}");
        }
    }

    /// As `systemctl show` of systemd 252 prints it.
    #[test]
    fn what_systemd_shows_gets_its_place_from_the_files_that_it_names() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("etc/systemd/system/ssh.service.d");
        std::fs::create_dir_all(&folder).unwrap();
        let text =
            "[Service]\nNoNewPrivileges=no\nProtectSystem=strict\nReadWritePaths=/var /home\n";
        std::fs::write(folder.join("hardening.conf"), text).unwrap();
        let machine = TargetSystem::below(root.path());
        let said = "ReadWritePaths=/var /home\nReadOnlyPaths=\nPrivateNetwork=no\nProtectSystem=strict\n\
                    RestrictAddressFamilies=~\nFragmentPath=/lib/systemd/system/ssh.service\n\
                    DropInPaths=/etc/systemd/system/ssh.service.d/hardening.conf\n";
        let unit = Unit::of_systemd(&machine, said).unwrap();
        let found = unit.read_only("ssh.service", &["sshd"], Path::new(FOLDER));
        let place = found.unwrap().place.unwrap();
        let path = "/etc/systemd/system/ssh.service.d/hardening.conf:3";
        assert_eq!(place.text(), path);
        assert_eq!(unit.without_network("ssh.service", &["sshd"]), None);
        // A unit that is switched off is a link to /dev/null, such as sudo.service in Debian.
        let this = TargetSystem::this();
        assert!(Unit::of_systemd(&this, "FragmentPath=/dev/null\n").is_some());
        assert!(this.unread().is_empty());
        let absent = "ProtectSystem=strict\nFragmentPath=\nDropInPaths=/etc/systemd/system/service.d/a.conf\n";
        assert!(Unit::of_systemd(&machine, absent).is_none());
    }

    #[test]
    fn a_drop_in_of_the_administrator_counts_before_one_of_the_distribution() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(
            "usr/lib/systemd/system/a-b.service",
            "[Service]\nProtectSystem=no\n",
        );
        write(
            "usr/lib/systemd/system/service.d/10-x.conf",
            "[Service]\nProtectSystem=strict\n",
        );
        let read = || Unit::read(&TargetSystem::below(root.path()), "a-b.service").unwrap();
        let is_read_only = || read().read_only("a-b.service", &["x"], Path::new(FOLDER));
        let found = is_read_only().unwrap();
        let place = found.place.unwrap();
        assert_eq!(
            place.text(),
            "/usr/lib/systemd/system/service.d/10-x.conf:2"
        );
        write(
            "etc/systemd/system/a-.service.d/10-x.conf",
            "[Unit]\nProtectSystem=strict\n",
        );
        assert_eq!(is_read_only(), None);
    }
}

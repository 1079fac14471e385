//! The traits of a process that a module must leave as it found them (rule R8), from /proc and the system calls.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::{env, fs};

use nix::sys::stat::{Mode, umask};
use nix::unistd::{getgroups, getresgid, getresuid};

use crate::ffi;
use crate::wire::Snapshot;

/// The most memory that this process ever had, in KiB.
pub(crate) fn peak_memory() -> u64 {
    let peak = fields("/proc/self/status", ':', |name| name == "VmHWM");
    let text = peak.get("VmHWM").map(String::as_str).unwrap_or_default();
    let number = text.split_whitespace().next();
    number.and_then(|text| text.parse().ok()).unwrap_or(0)
}

impl Snapshot {
    /// The state of this process now.
    pub fn take() -> Self {
        Self {
            tasks: tasks(),
            descriptors: descriptors(),
            umask: current_umask(),
            folder: env::current_dir().unwrap_or_default(),
            signals: fields("/proc/self/status", ':', |name| {
                // SigQ counts what is queued for the user in all processes.
                (name.starts_with("Sig") || name.starts_with("Shd")) && name != "SigQ"
            }),
            handlers: ffi::signal_handlers().into_iter().collect(),
            limits: limits(),
            locale: ffi::locale(),
            ids: ids(),
            environment: env::vars_os()
                .map(|(name, value)| {
                    (
                        name.to_string_lossy().into_owned(),
                        value.to_string_lossy().into_owned(),
                    )
                })
                .collect(),
            timers: timers(),
            name: read("/proc/self/comm").trim().to_owned(),
        }
    }

    /// What differs in `after`, one line each; empty when the process was left as it was.
    pub fn differences(&self, after: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let mut differ = |what: &str, before: String, after: String| {
            if before != after {
                found.push(format!("{what}: {before} became {after}"));
            }
        };
        differ("tasks", self.tasks.to_string(), after.tasks.to_string());
        differ(
            "umask",
            format!("{:o}", self.umask),
            format!("{:o}", after.umask),
        );
        differ(
            "working folder",
            self.folder.display().to_string(),
            after.folder.display().to_string(),
        );
        differ("locale", self.locale.clone(), after.locale.clone());
        differ("ids", self.ids.clone(), after.ids.clone());
        differ("timers", self.timers.join(", "), after.timers.join(", "));
        differ("process name", self.name.clone(), after.name.clone());
        compare(
            "descriptor",
            &self.descriptors,
            &after.descriptors,
            &mut found,
        );
        compare("signals", &self.signals, &after.signals, &mut found);
        compare(
            "handler of signal",
            &self.handlers,
            &after.handlers,
            &mut found,
        );
        compare("limit", &self.limits, &after.limits, &mut found);
        compare(
            "environment variable",
            &self.environment,
            &after.environment,
            &mut found,
        );
        found
    }
}

/// Number of tasks of this process.
pub fn tasks() -> usize {
    fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

fn compare<K: Ord + std::fmt::Display>(
    what: &str,
    before: &BTreeMap<K, String>,
    after: &BTreeMap<K, String>,
    found: &mut Vec<String>,
) {
    for (name, value) in before {
        match after.get(name) {
            None => found.push(format!("{what} {name}: gone (was {value})")),
            Some(other) if other != value => {
                found.push(format!("{what} {name}: {value} became {other}"));
            }
            Some(_) => {}
        }
    }
    for (name, value) in after.iter().filter(|(name, _)| !before.contains_key(name)) {
        found.push(format!("{what} {name}: new ({value})"));
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn fields(path: &str, separator: char, wanted: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    read(path)
        .lines()
        .filter_map(|line| line.split_once(separator))
        .filter(|(name, _)| wanted(name))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

fn descriptors() -> BTreeMap<i32, String> {
    let Ok(folder) = fs::read_dir("/proc/self/fd") else {
        return BTreeMap::new();
    };
    let numbers: Vec<i32> = folder
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    // The descriptor of read_dir itself is closed by now: it has no link any more.
    numbers
        .into_iter()
        .filter_map(|number| {
            let target: PathBuf = fs::read_link(format!("/proc/self/fd/{number}")).ok()?;
            Some((number, target.to_string_lossy().into_owned()))
        })
        .collect()
}

fn current_umask() -> u32 {
    let mask = umask(Mode::empty());
    umask(mask);
    mask.bits()
}

fn limits() -> BTreeMap<String, String> {
    read("/proc/self/limits")
        .lines()
        .skip(1)
        .filter_map(|line| line.split_at_checked(26))
        .map(|(name, value)| {
            (
                name.trim().to_owned(),
                value.split_whitespace().collect::<Vec<_>>().join(" "),
            )
        })
        .collect()
}

fn ids() -> String {
    format!("{:?} {:?} {:?}", getresuid(), getresgid(), getgroups())
}

fn timers() -> Vec<String> {
    let mut found = ffi::interval_timers();
    found.extend(read("/proc/self/timers").lines().map(str::to_owned));
    found
}

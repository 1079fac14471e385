//! sudoers: where sudo does not ask PAM, or asks somebody else.

use super::Subject;
use super::stacks::read;
use crate::cli::finding::{Finding, Place};
use crate::cli::machine::Machine;
use std::path::{Path, PathBuf};

/// Looks at the rules of sudo, where its stack asks us.
pub(super) fn examine(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let machine = subject.machine;
    // sudo-rs reads its own file where there is one.
    for path in PATHS
        .map(Path::new)
        .into_iter()
        .filter(|path| machine.has(path))
    {
        let mut rules = Rules::default();
        rules.file(machine, path, 0);
        services(machine, &rules, findings);
        if ["sudo", "sudo-i"]
            .iter()
            .any(|name| read(machine, name).asks())
        {
            for (place, what) in rules.faults {
                let mut finding = Finding::warning("sudoers", what);
                finding.place = Some(place);
                findings.push(finding.why("what stands there is not looked at"));
            }
            defaults(path, &rules.defaults, findings);
            exempt(&rules.others, findings);
        }
    }
}

/// What sudoers says, line by line.
#[derive(Default)]
struct Rules {
    /// Each setting of `Defaults`, with the word behind that (`:alice`).
    defaults: Vec<Setting>,
    /// Every other line.
    others: Vec<(Place, String)>,
    faults: Vec<(Place, String)>,
}

struct Setting {
    place: Place,
    /// For whom; empty: for all.
    scope: String,
    name: String,
    /// `None`: it is a flag.
    value: Option<String>,
    /// `!`
    is_off: bool,
}

impl Rules {
    fn file(&mut self, machine: &Machine, path: &Path, depth: usize) {
        let text = match machine.text(path) {
            Ok(text) => text.unwrap_or_default(),
            Err(error) => {
                self.faults.push((Place::of(path, None), error.to_string()));
                return;
            }
        };
        let mut begun: Option<(usize, String)> = None;
        for (index, line) in text.lines().enumerate() {
            let (number, mut whole) = begun.take().unwrap_or((index + 1, String::new()));
            if let Some(before) = line.strip_suffix('\\') {
                whole.push_str(before);
                begun = Some((number, whole));
                continue;
            }
            whole.push_str(line);
            let place = Place::of(path, Some(number));
            self.line(machine, place, whole.trim(), depth);
        }
    }

    fn line(&mut self, machine: &Machine, place: Place, line: &str, depth: usize) {
        let mut words = line.split_whitespace();
        let word = words.next().unwrap_or_default();
        match word {
            "@include" | "#include" | "@includedir" | "#includedir" => {
                let rest = line.strip_prefix(word).unwrap_or_default();
                if depth < MAX_DEPTH {
                    for path in included(machine, &place.path, word, rest.trim()) {
                        self.file(machine, &path, depth + 1);
                    }
                }
            }
            _ if line.is_empty() || is_comment(line) => {}
            _ if word.starts_with("Defaults") => {
                let scope = word.strip_prefix("Defaults").unwrap_or_default();
                let rest = line.strip_prefix(word).unwrap_or_default();
                for setting in apart(rest, ',') {
                    self.defaults.extend(setting_of(&place, scope, &setting));
                }
            }
            _ => {
                let rule = line.split(" # ").next().unwrap_or_default();
                self.others.push((place, rule.to_owned()));
            }
        }
    }
}

/// `#` begins a comment, unless a user's number follows.
fn is_comment(line: &str) -> bool {
    line.strip_prefix('#')
        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// The files of an include: one, or those of a folder with neither a dot nor a `~` at the end.
fn included(machine: &Machine, from: &Path, word: &str, name: &str) -> Vec<PathBuf> {
    let name = name.trim_matches('"');
    let folder = from.parent().unwrap_or(Path::new("/etc"));
    let path = folder.join(name);
    if !word.ends_with("dir") {
        return vec![path];
    }
    let names = machine.names(&path).unwrap_or_default();
    let usable = |name: &String| !name.contains('.') && !name.ends_with('~');
    names
        .iter()
        .filter(|name| usable(name))
        .map(|name| path.join(name))
        .collect()
}

/// `name`, `!name`, `name=value`, `name="value"`.
fn setting_of(place: &Place, scope: &str, text: &str) -> Option<Setting> {
    let text = text.trim();
    let bare = text.trim_start_matches('!');
    let (name, value) = match bare.split_once('=') {
        Some((name, value)) => (name.trim_end_matches(['+', '-', ' ']), Some(value)),
        None => (bare, None),
    };
    let value = value.map(|value| value.trim().trim_matches('"').to_owned());
    (!name.is_empty()).then(|| Setting {
        place: place.clone(),
        scope: scope.to_owned(),
        name: name.trim().to_owned(),
        value,
        is_off: text.starts_with('!'),
    })
}

/// The parts between separators that stand neither in quotes nor behind a backslash.
fn apart(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut is_quoted = false;
    let mut is_escaped = false;
    for c in text.chars() {
        if c == separator && !is_quoted && !is_escaped {
            parts.push(String::new());
            continue;
        }
        is_quoted ^= c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
}

/// A stack of another name.
fn services(machine: &Machine, rules: &Rules, findings: &mut Vec<Finding>) {
    for setting in &rules.defaults {
        let usual = match setting.name.as_str() {
            "pam_service" | "pam_askpass_service" => "sudo",
            "pam_login_service" => "sudo-i",
            _ => continue,
        };
        let service = setting.value.as_deref().unwrap_or_default();
        if read(machine, usual).asks() && !read(machine, service).asks() {
            let what = format!("sudo uses the stack {service}, which does not ask");
            findings.push(
                Finding::fault("sudo-service", what)
                    .of(Some(setting.place.clone()))
                    .why(format!(
                        "{} says so; {usual}, which asks, is not used",
                        setting.name
                    ))
                    .advice(format!("change /etc/pam.d/{service}")),
            );
        }
    }
}

/// Settings that change whom sudo asks, and how often.
fn defaults(path: &Path, settings: &[Setting], findings: &mut Vec<Finding>) {
    let mut remembers = true;
    for setting in settings {
        let scope = match setting.scope.as_str() {
            "" => String::new(),
            scope => format!(" (Defaults{scope})"),
        };
        let value = setting.value.as_deref().unwrap_or_default();
        let finding = match (setting.name.as_str(), setting.is_off) {
            ("authenticate", true) => {
                let what = format!("sudo asks nothing at all{scope}");
                let finding = if scope.is_empty() {
                    Finding::fault("sudo-authenticate", what)
                } else {
                    Finding::warning("sudo-authenticate", what)
                };
                finding
                    .why("\"!authenticate\" skips the stack")
                    .advice("take it out")
            }
            ("timestamp_timeout", is_off) => {
                remembers = false;
                match value.parse::<f64>() {
                    _ if is_off => continue,
                    Ok(minutes) if minutes < 0.0 => {
                        let what = format!("sudo asks once, and not again until a restart{scope}");
                        Finding::warning("sudo-timestamp", what)
                            .why("who gets at the open terminal is root")
                            .advice("write \"Defaults timestamp_timeout=0\" to be asked each time")
                    }
                    Ok(minutes) if minutes > 0.0 => timestamp(value, &scope),
                    _ => continue,
                }
            }
            ("timestamp_type", false) if value == "global" => {
                let what = format!("one login to sudo is good for all terminals{scope}");
                Finding::warning("sudo-timestamp", what)
                    .why("timestamp_type=global")
                    .advice("write \"Defaults timestamp_type=tty\"")
            }
            ("targetpw" | "runaspw", false) => {
                let what = format!("sudo asks for the factor of another user{scope}");
                Finding::warning("sudo-subject", what)
                    .why(format!(
                        "with {} OneLogin is asked about the target, unless that is root",
                        setting.name
                    ))
                    .advice("take it out")
            }
            ("rootpw", false) => {
                let what = format!("sudo asks for root's password{scope}");
                Finding::note("sudo-subject", what).why("OneLogin is asked about the caller")
            }
            ("exempt_group", false) => {
                let what = format!("sudo asks nothing of the group {value}{scope}");
                Finding::warning("sudo-exempt", what)
                    .why("exempt_group skips the stack")
                    .advice("take it out, or use users.exempt_groups: that is logged")
            }
            ("passwd_tries", false) if value.parse::<u32>().is_ok_and(|tries| tries > 3) => {
                let what = format!("sudo runs the stack up to {value} times{scope}");
                Finding::note("sudo-tries", what)
                    .why("while OneLogin cannot be reached, each is a wait")
            }
            _ => continue,
        };
        findings.push(finding.of(Some(setting.place.clone())));
    }
    if remembers {
        findings.push(timestamp("5 or 15", "").of(Some(Place::of(path, None))));
    }
}

fn timestamp(minutes: &str, scope: &str) -> Finding {
    let what = format!("sudo does not ask again for {minutes} minutes{scope}");
    Finding::note("sudo-timestamp", what)
        .why("within that time there is no second factor")
        .advice("write \"Defaults timestamp_timeout=0\" to be asked each time")
}

/// Rules without a password.
fn exempt(rules: &[(Place, String)], findings: &mut Vec<Finding>) {
    for (place, rule) in rules {
        if rule
            .split(|c: char| !c.is_ascii_alphabetic())
            .any(|word| word == "NOPASSWD")
        {
            let who = rule.split_whitespace().next().unwrap_or_default();
            let commands = rule.rsplit("NOPASSWD:").next().unwrap_or_default().trim();
            let what = format!("sudo asks nothing of {who} for {commands}");
            findings.push(
                Finding::warning("sudo-nopasswd", what)
                    .of(Some(place.clone()))
                    .why("NOPASSWD skips the stack")
                    .advice("take NOPASSWD out, unless a machine uses the rule"),
            );
        }
    }
}

/// Of sudo-rs, and of both.
const PATHS: [&str; 2] = ["/etc/sudoers-rs", "/etc/sudoers"];

/// As many files within files as sudo takes.
const MAX_DEPTH: usize = 128;

#[cfg(test)]
mod tests {
    use super::apart;

    #[test]
    fn a_separator_in_quotes_or_behind_a_backslash_separates_nothing() {
        assert_eq!(apart("a,\"b,c\",d\\,e", ','), ["a", "\"b,c\"", "d\\,e"]);
    }
}

//! sudoers as sudo reads it: its files, its settings, its lines.

use crate::host::target_system::TargetSystem;
use crate::ui::finding::Place;
use std::path::{Path, PathBuf};

/// sudo-rs reads a file of its own where there is one; SUSE's is below /usr until there is one in /etc.
pub(super) fn paths(machine: &TargetSystem) -> Vec<&'static Path> {
    let mut paths: Vec<_> = PATHS.map(Path::new).to_vec();
    paths.retain(|path| machine.has(path));
    if paths.contains(&Path::new(SUDOERS)) {
        paths.retain(|path| *path != Path::new(VENDOR));
    }
    paths
}

/// The lines of sudoers.
#[derive(Default)]
pub(super) struct Rules {
    /// Each setting of `Defaults`, with its scope (`:alice`).
    pub(super) defaults: Vec<Setting>,
    /// Every other line.
    pub(super) others: Vec<(Place, String)>,
    /// How many files were read.
    files: usize,
    /// Whether a file cannot be read.
    pub(super) is_in_part: bool,
}

pub(super) struct Setting {
    pub(super) place: Place,
    /// The users, hosts or commands that it applies to; empty for all.
    pub(super) scope: String,
    pub(super) name: String,
    /// `None`: it is a flag.
    pub(super) value: Option<String>,
    /// `!`
    pub(super) is_off: bool,
}

impl Setting {
    pub(super) fn is_for_all(&self) -> bool {
        ["", ":ALL", "@ALL", ">ALL", "!ALL"].contains(&self.scope.as_str())
    }
}

impl Rules {
    pub(super) fn is_endless(&self) -> bool {
        self.files > MAX_FILES
    }

    pub(super) fn file(&mut self, machine: &TargetSystem, path: &Path) {
        self.files += 1;
        if self.is_endless() {
            return;
        }
        let Ok(text) = machine.text(path) else {
            self.is_in_part = true;
            return;
        };
        let mut begun: Option<(usize, String)> = None;
        for (index, line) in text.unwrap_or_default().lines().enumerate() {
            let (number, mut whole) = begun.take().unwrap_or((index + 1, String::new()));
            // A comment does not go on in the next line.
            let said = without_comment(line);
            if let Some(before) = said.strip_suffix('\\') {
                whole.push_str(before);
                begun = Some((number, whole));
                continue;
            }
            whole.push_str(said);
            self.line(machine, &Place::of(path, Some(number)), whole.trim());
        }
    }

    fn line(&mut self, machine: &TargetSystem, place: &Place, line: &str) {
        let word = line.split_whitespace().next().unwrap_or_default();
        let rest = line.strip_prefix(word).unwrap_or_default();
        if ["@include", "#include", "@includedir", "#includedir"].contains(&word) {
            for path in self.included(machine, &place.path, word, rest.trim()) {
                self.file(machine, &path);
            }
        } else if let Some(rest) = line.strip_prefix("Defaults") {
            let (scope, rest) = if rest.starts_with([':', '@', '!', '>']) {
                let (sign, names) = rest.split_at(1);
                let (names, rest) = members(names);
                (format!("{sign}{names}"), rest)
            } else {
                (String::new(), rest)
            };
            for setting in apart(rest, ',') {
                self.defaults.extend(setting_of(place, &scope, &setting));
            }
        } else if !line.is_empty() {
            self.others.push((place.clone(), line.to_owned()));
        }
    }

    /// The files of an include: one, or those of a folder with neither a dot nor a `~` at the end.
    fn included(
        &mut self,
        machine: &TargetSystem,
        from: &Path,
        word: &str,
        name: &str,
    ) -> Vec<PathBuf> {
        let name = name.trim_matches('"').replace("\\ ", " ");
        let path = from.parent().unwrap_or(Path::new("/etc")).join(name);
        if !word.ends_with("dir") {
            return vec![path];
        }
        let Ok(names) = machine.names(&path) else {
            self.is_in_part = true;
            return Vec::new();
        };
        let usable = |name: &String| !name.contains('.') && !name.ends_with('~');
        let files = names
            .iter()
            .filter(|name| usable(name))
            .map(|name| path.join(name));
        files.filter(|file| !machine.is_folder(file)).collect()
    }
}

/// The text before a `#`, unless the `#` begins an include or a user id.
fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with("#include") {
        return line;
    }
    let mut is_quoted = false;
    let mut is_escaped = false;
    let mut chars = line.char_indices();
    while let Some((index, c)) = chars.next() {
        let is_number = || {
            chars
                .as_str()
                .starts_with(|c: char| c.is_ascii_digit() || c == '-')
        };
        if c == '#' && !is_quoted && !is_escaped && !is_number() {
            return line.split_at(index).0;
        }
        is_quoted ^= c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
    }
    line
}

/// Names with commas between them, and what follows.
pub(super) fn members(text: &str) -> (String, &str) {
    let mut names = Vec::new();
    let mut rest = text.trim_start();
    loop {
        // `\ ` is a space in a name, and so is one in quotes.
        let mut is_escaped = false;
        let mut is_quoted = false;
        let end = rest.find(|c: char| {
            is_quoted ^= c == '"' && !is_escaped;
            let is_end = !is_escaped && !is_quoted && (c.is_whitespace() || c == ',');
            is_escaped = c == '\\' && !is_escaped;
            is_end
        });
        let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
        names.push(name);
        match after.trim_start().strip_prefix(',') {
            Some(more) => rest = more.trim_start(),
            None => return (names.join(","), after.trim_start()),
        }
    }
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
pub(super) fn apart(text: &str, separator: char) -> Vec<String> {
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

pub(super) const SUDOERS: &str = "/etc/sudoers";

/// Where SUSE keeps its own.
pub(super) const VENDOR: &str = "/usr/etc/sudoers";

/// Of sudo-rs, and of both.
const PATHS: [&str; 3] = ["/etc/sudoers-rs", SUDOERS, VENDOR];

/// More included files than this mean that a file includes itself.
const MAX_FILES: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    /// As sudo 1.9.13 reads them.
    #[test]
    fn comments_and_lists_of_names_are_found() {
        for (line, said) in [
            ("a # b", "a "),
            ("# a \\", ""),
            ("#1000 ALL", "#1000 ALL"),
            ("a \\#b \"#c\" #d", "a \\#b \"#c\" "),
            ("#includedir /x", "#includedir /x"),
        ] {
            assert_eq!(without_comment(line), said);
        }
        assert_eq!(members(" a , b,c d"), ("a,b,c".to_owned(), "d"));
        assert_eq!(members(""), (String::new(), ""));
        assert_eq!(members("\"%a b\" c"), ("\"%a b\"".to_owned(), "c"));
    }

    #[test]
    fn a_separator_in_quotes_or_behind_a_backslash_separates_nothing() {
        assert_eq!(apart("a,\"b,c\",d\\,e", ','), ["a", "\"b,c\"", "d\\,e"]);
    }
}

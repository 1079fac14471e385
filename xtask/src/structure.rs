//! The structure of a crate, read from its source: its modules, what they import, and the table at the top of its `lib.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{read_dir, read_to_string};
use std::io;
use std::path::Path;

/// The code of each module, by its path (`change::undo`; that of lib.rs is empty), without tests and comments.
pub type Sources = BTreeMap<String, String>;

/// Which modules each module imports, by their paths.
pub type Imports = BTreeMap<String, BTreeSet<String>>;

/// Reads the modules of a crate from its folder `src`.
///
/// # Errors
/// What cannot be read.
pub fn sources(folder: &Path) -> io::Result<Sources> {
    let mut found = Sources::new();
    collect(folder, "", &mut found)?;
    Ok(found)
}

fn collect(folder: &Path, above: &str, found: &mut Sources) -> io::Result<()> {
    for entry in read_dir(folder)? {
        let path = entry?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = [above, &stem].join("::").trim_matches(':').to_owned();
        if path.is_dir() {
            collect(&path, &name, found)?;
        } else if stem != "main" && stem != "tests" {
            let name = if name == "lib" { String::new() } else { name };
            found.insert(name, code(&read_to_string(&path)?));
        }
    }
    Ok(())
}

/// A text without its tests and comments.
fn code(text: &str) -> String {
    let before = |text, tests: &str| match str::split_once(text, tests) {
        Some((code, _)) => code,
        None => text,
    };
    let text = before(text, "#[cfg(test)]\nmod tests {");
    let text = before(text, "#[cfg(test)]\npub(crate) mod tests {");
    let lines = text.lines();
    let lines = lines.filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths behind `start`: one, or those of a tree in braces.
fn paths(start: &str, tree: &str, found: &mut Vec<String>) {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let end = tree.find(|c| !is_word(c)).unwrap_or(tree.len());
    let (path, rest) = tree.split_at(end);
    let path = format!("{start}{path}");
    let Some(branches) = rest.strip_prefix('{') else {
        found.push(path);
        return;
    };
    let (mut depth, mut from) = (0_u32, 0);
    for (at, c) in branches.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                paths(&path, branches[from..at].trim(), found);
                from = at + 1;
                if c == '}' {
                    return;
                }
            }
            _ => {}
        }
    }
}

/// What each module imports: by `crate::`, by `super::`, or of the modules that it declares itself.
#[must_use]
pub fn imports(sources: &Sources) -> Imports {
    let mut all = Imports::new();
    for (name, code) in sources {
        let mut found = Vec::new();
        for tree in code.split("crate::").skip(1) {
            paths("", tree, &mut found);
        }
        let above = name.rsplit_once("::").map_or("", |(above, _)| above);
        for tree in code.split("super::").skip(1) {
            let mut of_super = Vec::new();
            paths("", tree, &mut of_super);
            let absolute = |path| format!("{above}::{path}").trim_matches(':').to_owned();
            found.extend(of_super.into_iter().map(absolute));
        }
        let declared = code.lines().filter_map(|line| {
            let (_, module) = line.strip_suffix(';')?.split_once("mod ")?;
            Some(module)
        });
        for module in declared {
            let is_used =
                |before: &str| !before.ends_with(|c: char| c.is_alphanumeric() || c == ':');
            let path = format!("{module}::");
            let mut uses = code.match_indices(&path);
            if uses.any(|(at, _)| is_used(&code[..at])) {
                found.push(format!("{name}::{module}").trim_matches(':').to_owned());
            }
        }
        let module = |path: &String| {
            let mut path = path.as_str();
            while !path.is_empty() && !sources.contains_key(path) {
                path = path.rsplit_once("::").map_or("", |(above, _)| above);
            }
            path.to_owned()
        };
        let mut imported: BTreeSet<_> = found.iter().map(module).collect();
        imported.remove(name);
        all.insert(name.clone(), imported);
    }
    all
}

/// The modules that import each other in a circle; an empty list if there is no circle.
#[must_use]
pub fn circle(imports: &Imports) -> Vec<String> {
    let mut left = imports.clone();
    loop {
        let names: BTreeSet<_> = left.keys().cloned().collect();
        let imported: BTreeSet<_> = left.values().flatten().cloned().collect();
        // Neither what imports none of them, nor what none of them imports.
        left.retain(|name, of| imported.contains(name) && !of.is_disjoint(&names));
        if left.len() == names.len() {
            return left.into_keys().collect();
        }
    }
}

/// A module in the table of `src/lib.rs`.
pub struct Module {
    /// Its path.
    pub name: String,
    /// What it does.
    pub does: String,
    /// What it may touch.
    pub touches: String,
}

/// The modules of the table in the text of `src/lib.rs`, from the top.
#[must_use]
pub fn modules(map: &str) -> Vec<Module> {
    let mut modules = Vec::new();
    for line in map.lines() {
        let row = line.strip_prefix("//! | ");
        let row = row.and_then(|row| row.strip_suffix(" |"));
        let cells: Vec<&str> = row.unwrap_or_default().split(" | ").collect();
        let [names, does, touches] = cells[..] else {
            continue;
        };
        for name in names.split(", ").filter(|name| name.contains('`')) {
            modules.push(Module {
                name: name.trim_matches(['[', ']', '`']).to_owned(),
                does: does.to_owned(),
                touches: touches.to_owned(),
            });
        }
    }
    modules
}

/// The place in the table of the module that a path belongs to: that of the longest name that it begins with.
#[must_use]
pub fn row_of(path: &str, modules: &[Module]) -> Option<usize> {
    let begins = |name: &str| path == name || path.starts_with(&format!("{name}::"));
    let rows = modules.iter().enumerate();
    let rows = rows.filter(|(_, module)| begins(&module.name));
    rows.max_by_key(|(_, module)| module.name.len())
        .map(|(row, _)| row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_that_is_planted_is_found() {
        let sources = |pairs: [(&str, &str); 4]| -> Sources {
            pairs
                .map(|(name, code)| (name.to_owned(), code.to_owned()))
                .into()
        };
        for (codes, found) in [
            (["use crate::b::c::{D, e::F};", "", "", ""], &[][..]),
            (
                ["use crate::b::{c::{D}, x};", "", "use crate::a::Y;", ""],
                &["a", "b::c"],
            ),
            (
                ["", "mod c;\npub use c::D;", "fn f() { crate::b::g() }", ""],
                &["b", "b::c"],
            ),
            (["", "mod c;", "use crate::b::D;", ""], &[]),
            (
                ["", "mod c;\npub use c::D;", "use super::E;", ""],
                &["b", "b::c"],
            ),
            (
                ["use super::x::Y;", "", "", "use super::a::Z;"],
                &["a", "x"],
            ),
        ] {
            let names = ["a", "b", "b::c", "x"];
            let pairs: Vec<_> = names.into_iter().zip(codes).collect();
            let imports = imports(&sources(pairs.try_into().unwrap()));
            assert_eq!(circle(&imports), found, "{imports:?}");
        }
    }
}

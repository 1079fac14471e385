//! The tool's modules: those of the table in its lib.rs, importing what their rows name and never in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The code of each module, by its path (`change::undo`; that of lib.rs is empty), without tests and comments.
type Sources = BTreeMap<String, String>;

/// Which modules each one imports.
type Imports = BTreeMap<String, BTreeSet<String>>;

fn sources(folder: &Path, above: &str, found: &mut Sources) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let name = [above, stem].join("::").trim_matches(':').to_owned();
        if path.is_dir() {
            sources(&path, &name, found);
        } else if stem != "main" && stem != "tests" {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let is_code = |line: &&str| !line.trim_start().starts_with("//");
            let lines: Vec<_> = code.lines().filter(is_code).collect();
            let name = if name == "lib" { String::new() } else { name };
            found.insert(name, lines.join("\n"));
        }
    }
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

/// What each module imports: by `crate::`, or of the modules that it declares itself.
fn imports(sources: &Sources) -> Imports {
    let mut all = Imports::new();
    for (name, code) in sources {
        assert!(!code.contains("super::"), "{name}: write crate:: instead");
        let mut found = Vec::new();
        for tree in code.split("crate::").skip(1) {
            paths("", tree, &mut found);
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
            while !sources.contains_key(path) {
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

/// Modules that import each other in a circle; none where there is none.
fn circle(imports: &Imports) -> Vec<String> {
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

/// The same for folders: each module stands for the first part of its path.
fn of_folders(imports: &Imports) -> Imports {
    let folder = |module: &String| module.split("::").next().unwrap().to_owned();
    let mut folders = Imports::new();
    for (name, of) in imports {
        let own = folders.entry(folder(name)).or_default();
        own.extend(of.iter().map(folder).filter(|other| *other != folder(name)));
    }
    folders
}

fn of_the_tool() -> Imports {
    let mut found = Sources::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tool/src");
    sources(&folder, "", &mut found);
    assert!(found.len() > 50, "{found:?}");
    imports(&found)
}

#[test]
fn no_modules_of_the_tool_import_each_other_in_a_circle() {
    assert_eq!(circle(&of_the_tool()), [""; 0]);
}

#[test]
fn each_module_of_the_tool_imports_what_its_row_names() {
    let rows = include_str!("../tool/src/lib.rs")
        .lines()
        .filter_map(|line| {
            let row = line.strip_prefix("//! | `")?;
            let (module, row) = row.split_once('`')?;
            Some((module.to_owned(), row.rsplit('|').nth(1)?.trim()))
        });
    let rows: BTreeMap<String, &str> = rows.collect();
    let mut folders = of_folders(&of_the_tool());
    folders.remove("");
    let names: Vec<_> = folders.keys().collect();
    assert_eq!(
        rows.keys().collect::<Vec<_>>(),
        names,
        "the table of lib.rs"
    );
    for (folder, imported) in &folders {
        let allowed = rows[folder];
        if allowed == "all of these" {
            continue;
        }
        let allowed = allowed.split('`').skip(1).step_by(2);
        let allowed: BTreeSet<String> = allowed.map(str::to_owned).collect();
        assert_eq!(*imported, allowed, "{folder}");
    }
}

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
    ] {
        let names = ["a", "b", "b::c", "x"];
        let pairs: Vec<_> = names.into_iter().zip(codes).collect();
        let imports = imports(&sources(pairs.try_into().unwrap()));
        assert_eq!(circle(&imports), found, "{imports:?}");
    }
}

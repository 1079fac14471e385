//! The diagram of the module's parts, for graphviz: from the table in `src/lib.rs` and the imports of the code.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// What everything imports, and says nothing about the structure.
const EVERYWHERE: [&str; 3] = ["text", "secret", "listed"];

/// A row of the table in `src/lib.rs`.
struct Module {
    name: String,
    /// What it does.
    does: String,
    touches: String,
}

/// The text for `dot`. An import that another path of imports shows, too, has no arrow.
///
/// # Errors
/// What cannot be read.
pub(crate) fn dot(root: &Path) -> Result<String, String> {
    let map = fs::read_to_string(root.join("src/lib.rs")).map_err(|error| error.to_string())?;
    let modules: Vec<Module> = map.lines().filter_map(row).flatten().collect();
    let mut imports = BTreeMap::new();
    collect(&root.join("src"), "", &modules, &mut imports)?;
    let mut text = String::from(
        "// Written by `make docs` from src/lib.rs and the imports of the code.\n\
         digraph modules {\n  rankdir=TB; nodesep=0.25; ranksep=0.45; concentrate=true;\n  \
         node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\", fontsize=11, fillcolor=\"#fde9d0\"];\n  \
         edge [color=\"#777777\", arrowsize=0.6];\n",
    );
    for Module {
        name,
        does,
        touches,
    } in &modules
    {
        let colour = if touches == "nothing" {
            ", fillcolor=\"#e3f1dc\""
        } else {
            ""
        };
        let label = format!(
            "<b>{name}</b><br/><font point-size=\"9\">{}</font>",
            wrapped(does)
        );
        let _ = writeln!(text, "  \"{name}\" [label=<{label}>{colour}];");
    }
    for (from, direct) in &imports {
        for to in direct {
            let is_shown = !direct
                .iter()
                .any(|other| other != to && reaches(&imports, other, to));
            if is_shown {
                let _ = writeln!(text, "  \"{from}\" -> \"{to}\";");
            }
        }
    }
    text.push_str("}\n");
    Ok(text)
}

/// The modules of a line of the table.
fn row(line: &str) -> Option<Vec<Module>> {
    let line = line.strip_prefix("//! | ")?.strip_suffix(" |")?;
    let cells: Vec<&str> = line.split(" | ").collect();
    let [names, does, touches] = cells[..] else {
        return None;
    };
    let names = names.split(", ").filter(|name| name.contains('`'));
    let names = names.map(|name| name.trim_matches(['[', ']', '`']).to_owned());
    let modules = names.filter(|name| !EVERYWHERE.contains(&name.as_str()));
    Some(
        modules
            .map(|name| Module {
                name,
                does: does.replace('`', ""),
                touches: touches.to_owned(),
            })
            .collect(),
    )
}

/// The module that a path belongs to: the longest name that it begins with.
fn module_of<'m>(path: &str, modules: &'m [Module]) -> Option<&'m str> {
    let names = modules.iter().map(|module| module.name.as_str());
    let begins = |name: &&str| path == *name || path.starts_with(&format!("{name}::"));
    names.filter(begins).max_by_key(|name| name.len())
}

/// What the files of a folder import, by module.
fn collect(
    folder: &Path,
    above: &str,
    modules: &[Module],
    imports: &mut BTreeMap<String, BTreeSet<String>>,
) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = format!("{above}{stem}");
        if path.is_dir() {
            collect(&path, &format!("{name}::"), modules, imports)?;
            continue;
        }
        let Some(module) = module_of(&name, modules) else {
            continue;
        };
        let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let code = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let code: Vec<&str> = code.collect();
        for part in code.join("\n").split("crate::").skip(1) {
            let end = part.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
            let imported = module_of(
                part.get(..end.unwrap_or(part.len())).unwrap_or_default(),
                modules,
            );
            let imported = imported.filter(|imported| *imported != module && stem != "tests");
            if let Some(imported) = imported {
                let own = imports.entry(module.to_owned()).or_default();
                own.insert(imported.to_owned());
            }
        }
    }
    Ok(())
}

/// Whether one module imports another, itself or by others.
fn reaches(imports: &BTreeMap<String, BTreeSet<String>>, from: &str, to: &str) -> bool {
    imports.get(from).is_some_and(|direct| {
        direct.contains(to) || direct.iter().any(|next| reaches(imports, next, to))
    })
}

/// In lines of about 30 letters, with what HTML reads otherwise written out.
fn wrapped(text: &str) -> String {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        let is_full = lines
            .last()
            .is_some_and(|line| line.len() + word.len() > 30 && !line.is_empty());
        if is_full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("<br/>")
}

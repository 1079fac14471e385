//! The diagram of the module's parts, for graphviz: from the table in `src/lib.rs` and the imports of the code.

use crate::structure::{self, Imports, Module, modules, row_of, sources};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// What everything imports, and says nothing about the structure.
const EVERYWHERE: [&str; 3] = ["text", "secret", "listed"];

/// The text for `dot`. An import that another path of imports shows, too, has no arrow.
///
/// # Errors
/// What cannot be read.
pub(crate) fn dot(root: &Path) -> Result<String, String> {
    let map = fs::read_to_string(root.join("src/lib.rs")).map_err(|error| error.to_string())?;
    let mut modules = modules(&map);
    modules.retain(|module| !EVERYWHERE.contains(&module.name.as_str()));
    let sources = sources(&root.join("src")).map_err(|error| error.to_string())?;
    let name_of = |path: &String| row_of(path, &modules).map(|row| modules[row].name.clone());
    let mut imports = Imports::new();
    for (path, imported) in structure::imports(&sources) {
        let Some(name) = name_of(&path) else {
            continue;
        };
        let imported = imported.iter().filter_map(name_of);
        let imported = imported.filter(|imported| *imported != name);
        imports.entry(name.clone()).or_default().extend(imported);
    }
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
            wrapped(&does.replace('`', ""))
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

/// Whether one module imports another, itself or by others.
fn reaches(imports: &Imports, from: &str, to: &str) -> bool {
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

//! The tool's modules: those of the table in its lib.rs, importing what their rows name and never in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use xtask::structure::{Imports, circle, imports, sources};

/// The imports between folders: each module stands for the first part of its path.
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
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tool/src");
    let found = sources(&folder).unwrap();
    assert!(found.len() > 50, "{found:?}");
    for (name, code) in &found {
        assert!(!code.contains("super::"), "{name}: write crate:: instead");
    }
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

//! What is in the module: docs/dependencies.md and the bill of materials say what cargo builds.

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

const DOCUMENT: &str = include_str!("../docs/dependencies.md");
const FILES: &str = include_str!("../packaging/files");

fn output(command: &mut Command) -> String {
    let output = command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO", env!("CARGO"))
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

const MODULE: &str = "pam_onelogin";
const TOOL: &str = "pam-onelogin";
/// Of the tool alone; see the first test.
const TAPE: &str = "pam-onelogin-tape";

/// Name and version of each crate of the module, or of the tool.
fn tree(edges: &str, package: &str) -> BTreeSet<(String, String)> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["tree", "--locked", "--offline", "-p", package]);
    command.args(["--prefix", "none", "-f", "{p}", "-e", edges]);
    output(&mut command)
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?.to_owned(), words.next()?.to_owned()))
        })
        .filter(|(name, _)| name != package)
        .collect()
}

/// Name and "asked for by" of each row.
fn documented() -> Vec<(&'static str, &'static str)> {
    let rows = DOCUMENT.lines().filter_map(|line| {
        let line = line.strip_prefix("| ")?.strip_suffix(" |")?;
        let cells: Vec<&str> = line.split(" | ").collect();
        let [name, by, why] = cells[..] else {
            panic!("{line}")
        };
        assert!(!why.is_empty(), "{line}");
        Some((name, by))
    });
    rows.skip(1).collect()
}

#[test]
fn each_crate_of_the_module_is_explained_and_there_once() {
    let tree = tree("normal", MODULE);
    let built: Vec<&str> = tree.iter().map(|(name, _)| name.as_str()).collect();
    let rows: Vec<&str> = documented().into_iter().map(|(name, _)| name).collect();
    assert_eq!(rows, built);
    assert!(
        !built.contains(&TAPE),
        "the module neither records nor replays"
    );
    let once: BTreeSet<&str> = built.iter().copied().collect();
    assert_eq!(once.len(), built.len(), "a crate is there in two versions");
    // Those that we ask for ourselves are those of Cargo.toml.
    let manifest = include_str!("../Cargo.toml");
    let (_, ours) = manifest.split_once("\n[dependencies]\n").unwrap();
    let (ours, _) = ours.split_once("\n\n").unwrap();
    let ours: BTreeSet<&str> = ours
        .lines()
        .filter_map(|line| Some(line.split_once(" = ")?.0))
        .collect();
    let said: BTreeSet<&str> = documented()
        .into_iter()
        .filter(|(_, by)| by.split(", ").any(|by| by == "us"))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(said, ours);
}

#[test]
fn the_provenance_has_the_checksums_of_the_files_and_of_what_they_were_built_from() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["one.deb", "two.rpm"] {
        std::fs::write(folder.path().join(name), name).unwrap();
    }
    let sum = |path: &Path| {
        let said = output(Command::new("sha256sum").arg(path));
        said.split_once(' ').unwrap().0.to_owned()
    };
    let statement = || {
        let mut command = Command::new("packaging/provenance.sh");
        command
            .env("COMMIT", "0123abc")
            .env("SOURCE_DATE_EPOCH", "7");
        output(command.arg(folder.path()))
    };
    let text = statement();
    assert_eq!(text, statement());
    assert!(!text.contains(env!("CARGO_MANIFEST_DIR")), "{text}");
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(value["predicateType"], "https://slsa.dev/provenance/v1");
    let subjects = value["subject"].as_array().unwrap();
    assert_eq!(subjects.len(), 2);
    for subject in subjects {
        let path = folder.path().join(subject["name"].as_str().unwrap());
        assert_eq!(subject["digest"]["sha256"], sum(&path));
    }
    let built = &value["predicate"]["buildDefinition"];
    assert_eq!(built["externalParameters"]["commit"], "0123abc");
    assert_eq!(built["internalParameters"]["SOURCE_DATE_EPOCH"], "7");
    let compiler = &built["internalParameters"]["rustc"];
    for key in ["release", "commit-hash", "host"] {
        assert!(
            compiler[key].as_str().is_some_and(|it| !it.is_empty()),
            "{key}"
        );
    }
    let dependencies = built["resolvedDependencies"].as_array().unwrap();
    assert_eq!(dependencies[0]["digest"]["gitCommit"], "0123abc");
    for dependency in &dependencies[1..] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(dependency["name"].as_str().unwrap());
        assert_eq!(dependency["digest"]["sha256"], sum(&path));
    }
    assert_eq!(dependencies.len(), 3);
}

#[test]
fn the_bills_of_materials_are_the_trees_and_the_same_each_time() {
    for (of, package, file) in [
        ("module", MODULE, "/sbom.cdx.json"),
        ("tool", TOOL, "/sbom-tool.cdx.json"),
    ] {
        let bill = || output(Command::new("packaging/sbom.sh").arg(of));
        let text = bill();
        assert_eq!(text, bill());
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["bomFormat"], "CycloneDX");
        assert_eq!(value["metadata"]["component"]["name"], package);
        for volatile in ["timestamp", "serialNumber", env!("CARGO_MANIFEST_DIR")] {
            assert!(!text.contains(volatile), "{volatile}");
        }
        let mut components = BTreeSet::new();
        for component in value["components"].as_array().unwrap() {
            let text = |key: &str| component[key].as_str().unwrap().to_owned();
            let checksum = component["hashes"][0]["content"].as_str();
            let is_ours = [MODULE, TAPE].contains(&text("name").as_str());
            assert_eq!(
                checksum.map(str::len),
                (!is_ours).then_some(64),
                "{component}"
            );
            let licence = component["licenses"][0]["expression"].as_str().unwrap();
            assert!(!licence.is_empty(), "{component}");
            components.insert((text("name"), format!("v{}", text("version"))));
        }
        assert_eq!(components, tree("normal,no-proc-macro", package));
        let dependencies = value["dependencies"].as_array().unwrap();
        assert_eq!(dependencies.len(), components.len() + 1);
        for package in ["deb", "rpm"] {
            let carries = |line: &str| line.starts_with(package) && line.ends_with(file);
            assert!(FILES.lines().any(carries), "{package}");
        }
    }
}

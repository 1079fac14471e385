//! The pictures of docs/pictures, as `make pictures` leaves them. Recordings differ from run to run, so no bytes are compared.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use roxmltree::{Document, ParsingOptions};

/// Terminals that `tests/pictures/record.py` records.
const RECORDINGS: [&str; 4] = ["demo.svg", "enable.svg", "login.svg", "prove.svg"];

/// Drawn from a source that is in the repository.
const DRAWINGS: [&str; 2] = ["asked.svg", "bench.svg"];

/// In bytes: a page with all of them loads quickly.
const LARGEST: usize = 100_000;

#[test]
fn each_picture_is_a_small_well_formed_svg_with_a_title() {
    for (name, text) in pictures() {
        assert!(text.len() <= LARGEST, "{name}: {} bytes", text.len());
        // graphviz writes a document type.
        let options = ParsingOptions {
            allow_dtd: true,
            ..ParsingOptions::default()
        };
        let document = Document::parse_with_options(&text, options)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(document.root_element().tag_name().name(), "svg", "{name}");
        let title = document
            .descendants()
            .find(|node| node.tag_name().name() == "title")
            .and_then(|node| node.text());
        assert!(
            title.is_some_and(|title| title.len() > 20),
            "{name}: {title:?}"
        );
    }
}

#[test]
fn the_pictures_are_those_that_make_pictures_writes() {
    let names: BTreeSet<String> = pictures().into_iter().map(|(name, _)| name).collect();
    let written = RECORDINGS.iter().chain(&DRAWINGS);
    let written: BTreeSet<String> = written.map(|name| (*name).to_owned()).collect();
    assert_eq!(names, written);
}

#[test]
fn each_picture_is_shown_by_a_document() {
    let documents = documents();
    for (name, _) in pictures() {
        let is_shown = documents.contains(&format!("pictures/{name}"));
        assert!(is_shown, "no document shows {name}");
    }
}

#[test]
fn a_recording_shows_its_key_frame_where_nothing_moves() {
    for (name, text) in pictures() {
        if !RECORDINGS.contains(&name.as_str()) {
            continue;
        }
        let still = "@media (prefers-reduced-motion: reduce) {#screen_view {animation: none;}}";
        assert!(text.contains(still), "{name}");
        let document = Document::parse(&text).unwrap();
        let view = document
            .descendants()
            .find(|node| node.attribute("id") == Some("screen_view"));
        let transform = view.and_then(|view| view.attribute("transform"));
        let offset = transform
            .and_then(|transform| transform.strip_prefix("translate(0,-"))
            .and_then(|rest| rest.strip_suffix(')'))
            .unwrap_or_else(|| panic!("{name}: {transform:?}"));
        // The first frame is an empty terminal.
        assert_ne!(offset, "0", "{name}");
        assert!(
            text.contains(&format!("translateY(-{offset}px)")),
            "{name}: no frame begins at {offset}"
        );
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Each picture's name and text.
fn pictures() -> Vec<(String, String)> {
    let entries = fs::read_dir(root().join("docs/pictures")).unwrap();
    let pictures: Vec<(String, String)> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "svg"))
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    assert!(!pictures.is_empty());
    pictures
}

/// All documents in Markdown, one behind the other.
fn documents() -> String {
    let folders = ["", "docs", "packaging"].map(|folder| root().join(folder));
    folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect()
}

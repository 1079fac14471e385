//! Texts for users and administrators say things directly and with the words of the field. The list below names words and phrases
//! that are hard to understand or that only this project uses, and what to write instead.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::fs::{read_dir, read_to_string};
use std::path::Path;

/// Folders of Rust code whose string literals are checked, without its tests; and whether its doc comments are texts for users,
/// too, as clap shows them as help.
const CODE: &[(&str, bool)] = &[("src", false), ("tool/src", true), ("tape/src", true)];

/// Folders whose documents are checked.
const FOLDERS: &[&str] = &["", "docs", "packaging", "tests/fuzz"];

/// What is not written, in lower case, and what to write instead. A phrase matches whole words, whatever space is between them.
const AVOIDED: &str = "\
whoever, whom, who comes second: the user who, a second login
somebody, nobody, anybody, everybody: a user, no user, each user
stranger, strangers: an unknown user, another user
sign-in, sign-ins: login
door, doors, house, room: login, service, host, space
fate, witness, likeness, notes: result, proof, similarity, counts
hole, hit, mend: vulnerability, search result, fix
is none that, what lacks, that lacks, of what it lacks: is not a, what is missing
is told of, if nothing is said, stands here: is listed, by default
so many seconds, so many users, for some minutes: a number
are believed, is believed, is meant: is cached, is selected
nobody gets in, lets nobody, do not tell: denies every login, cannot tell
in vain, in spite of, at no moment, goes by: without result, although, at no point, passes
the initial value, puts everything back: what a login starts with, roll back
without onelogin's word, behind it: without a decision by OneLogin, after it
";

/// Texts that may contain such a word: a part of the text, and the reason.
const EXCEPTIONS: &[(&str, &str)] = &[];

/// A text, and where it stands.
struct Text {
    place: String,
    text: String,
}

#[test]
fn texts_for_people_use_plain_words() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = Vec::new();
    for &(folder, doc_comments) in CODE {
        let before = texts.len();
        collect(&root.join(folder), doc_comments, &mut texts);
        assert_ne!(texts.len(), before, "no text in {folder}");
    }
    for folder in FOLDERS {
        let before = texts.len();
        for entry in read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let text = read_to_string(&path).unwrap();
                let name = path.strip_prefix(root).unwrap().to_str().unwrap();
                texts.extend(paragraphs(name, &text));
            }
        }
        assert_ne!(texts.len(), before, "no document in {folder:?}");
    }
    for (part, reason) in EXCEPTIONS {
        let is_there = texts.iter().any(|text| text.text.contains(part));
        assert!(is_there, "no text contains {part:?} ({reason})");
    }
    texts.retain(|text| !EXCEPTIONS.iter().any(|(part, _)| text.text.contains(part)));
    let found: Vec<String> = texts.iter().flat_map(avoided).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// The texts of all files below a folder.
fn collect(folder: &Path, doc_comments: bool, texts: &mut Vec<Text>) {
    for entry in read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, doc_comments, texts);
        } else if path.file_stem().is_some_and(|stem| stem != "tests") {
            let name = path.display().to_string();
            let code: TokenStream = read_to_string(&path).unwrap().parse().unwrap();
            texts.extend(literals(&name, code, doc_comments));
        }
    }
}

/// The string literals of some code; an item behind `#[cfg(test)]` is left out.
fn literals(name: &str, code: TokenStream, doc_comments: bool) -> Vec<Text> {
    let mut texts = Vec::new();
    let mut is_test = false;
    let mut tokens = code.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(mark) if mark.as_char() == '#' => {
                // `#![…]` has a mark of its own between.
                tokens.next_if(|token| matches!(token, TokenTree::Punct(_)));
                let attribute = match tokens.next() {
                    Some(TokenTree::Group(group)) => group.stream(),
                    _ => continue,
                };
                let text = attribute.to_string();
                is_test |= text.replace(' ', "") == "cfg(test)";
                if doc_comments || !text.starts_with("doc") {
                    texts.extend(literals(name, attribute, doc_comments));
                }
            }
            TokenTree::Punct(mark) => is_test &= mark.as_char() != ';',
            TokenTree::Group(group) => {
                let is_end = group.delimiter() == Delimiter::Brace;
                if !is_test {
                    texts.extend(literals(name, group.stream(), doc_comments));
                }
                is_test &= !is_end;
            }
            TokenTree::Literal(literal) if !is_test => {
                let place = format!("{name}:{}", literal.span().start().line);
                if let syn::Lit::Str(literal) = syn::Lit::new(literal) {
                    let text = literal.value();
                    texts.push(Text { place, text });
                }
            }
            TokenTree::Literal(_) | TokenTree::Ident(_) => {}
        }
    }
    texts
}

/// The paragraphs of a document.
fn paragraphs<'a>(name: &'a str, text: &'a str) -> impl Iterator<Item = Text> + use<'a> {
    let mut line = 1;
    text.split("\n\n").map(move |paragraph| {
        let place = format!("{name}:{line}");
        line += paragraph.matches('\n').count() + 2;
        // What stands in backquotes is a name, or a text of the code, which is checked there.
        let text = paragraph
            .split('`')
            .step_by(2)
            .collect::<Vec<_>>()
            .join("`…`");
        Text { place, text }
    })
}

/// What a text should say in other words.
fn avoided(text: &Text) -> Vec<String> {
    let is_of_word = |c: char| c.is_alphanumeric() || "-_'".contains(c);
    let words = text.text.to_lowercase();
    let words: Vec<&str> = words
        .split(|c| !is_of_word(c))
        .filter(|word| !word.is_empty())
        .collect();
    let words = format!(" {} ", words.join(" "));
    let mut found = Vec::new();
    for line in AVOIDED.lines() {
        let (phrases, instead) = line.split_once(": ").unwrap();
        for phrase in phrases.split(", ") {
            if words.contains(&format!(" {phrase} ")) {
                let Text { place, text } = text;
                found.push(format!(
                    "{place}: {phrase:?} (write {instead:?}) in {text:?}"
                ));
            }
        }
    }
    found
}

#[test]
fn a_word_is_found_wherever_it_stands_but_in_tests() {
    let code = r##"
        //! Whoever reads the file.
        /// Whoever reads the help.
        #[error("nobody in an attribute")]
        fn first() { print(&format!("for\nsomebody {}", r#"so  many seconds"#)); }
        text! { "in a macro: door" }
        const GOOD: &str = "indoor, doorway, nobody's-id";
        #[cfg(test)]
        use crate::test;
        const LATE: &str = "fate";
        #[cfg(test)]
        mod tests { const BAD: &str = "whoever"; }
        fn last() -> &'static str { "stranger" }
    "##;
    let found = |doc_comments| -> Vec<String> {
        let texts = literals("x.rs", code.parse().unwrap(), doc_comments);
        let found = texts.iter().flat_map(avoided);
        found
            .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
            .map(|line| line.trim_end_matches('"').replace('"', ""))
            .collect()
    };
    let in_code = [
        "x.rs:4: nobody",
        "x.rs:5: somebody",
        "x.rs:5: so",
        "x.rs:6: door",
        "x.rs:10: fate",
        "x.rs:13: stranger",
    ];
    assert_eq!(found(false), in_code);
    let in_comments = ["x.rs:2: whoever", "x.rs:3: whoever"];
    assert_eq!(found(true), [&in_comments[..], &in_code].concat());
    let document = "A title\n\nNobody\nknows `somebody` who\ncomes second.\n";
    let texts: Vec<Text> = paragraphs("x.md", document).collect();
    assert_eq!(texts.iter().flat_map(avoided).count(), 2);
    assert_eq!(texts[1].place, "x.md:3");
}

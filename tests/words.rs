//! Texts for users and administrators say things directly and with the words of the field. The list below names words and phrases
//! that are hard to understand or that only this project uses, and what to write instead.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::fs::{read_dir, read_to_string};
use std::path::Path;

/// A folder of Rust code.
struct Code {
    folder: &'static str,
    /// Whether doc comments are texts for users, too: clap shows them as help.
    doc_comments: bool,
}

/// Code whose string literals are checked, without its tests.
const CODE: &[Code] = &[
    Code {
        folder: "src",
        doc_comments: false,
    },
    Code {
        folder: "tool/src",
        doc_comments: true,
    },
];

/// Folders whose documents are checked.
const FOLDERS: &[&str] = &["", "docs", "packaging", "tests/fuzz"];

/// What is not written, in lower case, and what to write instead. A phrase matches whole words, whatever space is between them.
const AVOIDED: &[(&str, &str)] = &[
    // Who does it?
    ("whoever", "the user who"),
    ("whom", "name the user and use a second sentence"),
    ("somebody", "a user, an attacker"),
    ("nobody", "no user"),
    ("anybody", "any user"),
    ("everybody", "every user"),
    ("who comes second", "a second login"),
    ("stranger", "an unknown user, another user"),
    ("strangers", "unknown users, other users"), // Words of this project alone.
    ("sign-in", "login"),
    ("sign-ins", "logins"),
    ("door", "service, login"),
    ("doors", "services, logins"),
    ("fate", "result"),
    ("hole", "vulnerability"),
    ("house", "host"),
    ("notes", "counts, state files"),
    ("likeness", "similarity"),
    ("room", "space"),
    ("witness", "proof"),
    ("hit", "search result"),
    ("mend", "fix"),
    // Riddles.
    ("is none that", "is not a"),
    ("what lacks", "what is missing"),
    ("that lacks", "that is missing"),
    ("of what it lacks", "the missing"),
    ("is told of", "is listed"),
    ("goes by", "passes"),
    ("if nothing is said", "by default"),
    ("so many seconds", "this many seconds"),
    ("so many users", "from this many users on"),
    ("for some minutes", "for a few minutes"),
    ("in spite of", "although"),
    ("at no moment", "at no point"),
    ("are believed", "are cached"),
    ("is believed", "is cached"),
    ("is meant", "is selected, is intended"),
    ("in vain", "without result"),
    ("lets nobody", "denies every login"),
    ("nobody gets in", "every login is denied"),
    ("the initial value", "what every login starts with"),
    ("without onelogin's word", "without a decision by OneLogin"),
    ("puts everything back", "roll back"),
    ("do not tell", "cannot tell"),
    ("stands here", "is listed here"),
    ("behind it", "after it"),
];

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
    for code in CODE {
        let before = texts.len();
        collect(&root.join(code.folder), code.doc_comments, &mut texts);
        assert_ne!(texts.len(), before, "no text in {}", code.folder);
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
    let found = AVOIDED
        .iter()
        .filter(|(phrase, _)| words.contains(&format!(" {phrase} ")));
    found
        .map(|(phrase, instead)| {
            let Text { place, text } = text;
            format!("{place}: {phrase:?} (write {instead:?}) in {text:?}")
        })
        .collect()
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

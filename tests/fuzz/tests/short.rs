//! The targets on stable: over the corpus, and over inputs that are made from it, the same ones in
//! each run. `FUZZ_CASES` makes them more or fewer.

use onelogin_fuzz::TARGETS;
use onelogin_fuzz::corpus;
use onelogin_fuzz::login::played;
use onelogin_fuzz::mutate::{Chance, SEED, mutate};
use pam_onelogin::factor::Factor;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Runs a target over its corpus and so many inputs out of it.
fn run(target: &str, cases: usize) {
    let (_, function) = TARGETS.iter().find(|(name, _)| *name == target).unwrap();
    let cases = std::env::var("FUZZ_CASES").map_or(cases, |text| text.parse().unwrap());
    let corpus = corpus(target);
    assert!(!corpus.is_empty());
    let mut chance = Chance::new(SEED);
    for case in 0..corpus.len() + cases {
        let input = match corpus.get(case) {
            Some(input) => input.clone(),
            None => mutate(&mut chance, &corpus),
        };
        let result = catch_unwind(AssertUnwindSafe(|| function(&input)));
        assert!(
            result.is_ok(),
            "{target}, seed {SEED}, case {case}: a rule is broken by\n{}\nas bytes: {input:?}",
            String::from_utf8_lossy(&input)
        );
    }
    println!(
        "{target}: {} inputs and {cases} out of them, seed {SEED}",
        corpus.len()
    );
}

#[test]
fn no_story_breaks_a_rule() {
    run("story", 6_000);
}

#[test]
fn no_reply_is_read_as_more_than_it_says() {
    run("replies", 20_000);
}

#[test]
fn no_configuration_is_weaker_than_its_words() {
    run("config", 6_000);
}

#[test]
fn no_map_names_anybody_else() {
    run("map", 8_000);
}

#[test]
fn no_private_file_is_trusted_for_more_than_it_holds() {
    run("state_files", 5_000);
}

#[test]
fn no_answer_is_a_code_without_its_shape() {
    run("answers", 10_000);
}

#[test]
fn no_tape_has_a_secret() {
    run("tape", 3_000);
}

/// A story that ends at its door tests nothing: the corpus must get everywhere.
#[test]
fn the_corpus_of_stories_reaches_each_kind_of_end() {
    let ends: BTreeSet<String> = corpus("story")
        .iter()
        .filter_map(|input| {
            let line = played(input)?;
            let word = |key| line.split(' ').find_map(|pair| pair.strip_prefix(key));
            let event = line.split(' ').next().unwrap();
            let why = word("reason=").or(word("factor=")).unwrap_or_default();
            Some(format!("{event} {why}"))
        })
        .collect();
    let accepted = Factor::all().map(|factor| format!("accepted {}", factor.word()));
    for end in accepted.chain(ENDS.iter().map(|&end| end.to_owned())) {
        assert!(ends.contains(&end), "nothing ends in {end:?}: {ends:#?}");
    }
}

/// Besides an acceptance by each factor.
const ENDS: &[&str] = &[
    "denied bad-reply",
    "denied credential",
    "denied gateway",
    "denied inactive-onelogin-user",
    "denied interrupted",
    "denied no-account",
    "denied no-conversation",
    "denied no-onelogin-user",
    "denied not-enrolled",
    "denied push-denied",
    "denied push-unanswered",
    "denied timeout",
    "denied wrong-code",
    "exempt exempt-group",
    "exempt exempt-no-factor",
    "exempt exempt-unknown",
    "exempt exempt-user",
    "let gateway",
    "let no-connection",
];

#[test]
fn each_target_has_a_corpus_and_each_corpus_a_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut folders: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort();
    let mut targets: Vec<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    targets.sort();
    assert_eq!(folders, targets);
}

//! The reasons of the log, and the sentences at the end of a denial.
#![allow(clippy::format_push_string)] // rather clear than quick

use crate::markup::{Form, wrapped};
use crate::pages::Pages;
use pam_onelogin::reason::{Group, Reason};

/// The longest line of a page, in characters.
const WIDTH: usize = 128;

/// The sentences that a user may see, each once.
pub(crate) fn sentences() -> String {
    let mut sentences = Vec::new();
    for sentence in Reason::all().filter_map(Reason::words) {
        if !sentences.contains(&sentence) {
            sentences.push(sentence);
        }
    }
    let mut text = "\n".to_owned();
    for sentence in sentences {
        text += &format!("    {sentence}\n");
    }
    text.push('\n');
    text
}

/// Each reason with what to do, by groups.
pub(crate) fn list(form: Form, pages: &Pages) -> Result<String, String> {
    let mut text = String::new();
    for group in Group::all() {
        text += &format!("\n{}\n\n", form.text(group.heading(), pages)?);
        for reason in Reason::all().filter(|reason| reason.group() == group) {
            let word = form.literal(reason.word());
            let about = format!("{} {}", reason.meaning(), reason.advice());
            let about = form.text(&about, pages)?;
            text += &wrapped(&format!("- {word}: {about}"), "  ", WIDTH);
            text.push('\n');
        }
    }
    text.push('\n');
    Ok(text)
}

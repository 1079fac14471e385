//! The factors: their words in `factors.allow`, and OneLogin's names.
#![allow(clippy::format_push_string)] // rather clear than quick

use crate::markup::{Form, Sections};
use pam_onelogin::factor::{Factor, Row};

/// The table of the README, or the entries of the manual page.
pub(crate) fn list(form: Form, sections: &Sections) -> Result<String, String> {
    let mut text = String::new();
    if form == Form::Markdown {
        text += "\n| word in `factors.allow` | what | OneLogin's names (`auth_factor_name`) | version |\n";
        text += "|---|---|---|---|\n";
    }
    for row in Factor::rows() {
        let word = form.literal(row.word);
        let names = form.text(&names(&row), sections)?;
        let what = form.text(row.what, sections)?;
        let versions = row.versions;
        text += &if form == Form::Markdown {
            format!("| {word} | {what} | {names} | {versions} |\n")
        } else {
            let key = form.literal("auth_factor_name");
            let whose = form.text("OneLogin's names", sections)?;
            format!(".TP\n{word}\n{what};\n{whose} ({key}):\n{names}; version: {versions}\n")
        };
    }
    if form == Form::Markdown {
        text.push('\n');
    }
    Ok(text)
}

fn names(row: &Row) -> String {
    let names: Vec<String> = row.names.iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        "none: it is no device".to_owned()
    } else {
        names.join(", ")
    }
}

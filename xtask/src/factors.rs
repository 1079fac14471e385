//! The factors: their words in `factors.allow`, and OneLogin's names.
#![allow(clippy::format_push_string)] // rather clear than quick

use crate::markup::Form;
use crate::pages::Pages;
use pam_onelogin::factor::{Factor, FactorRow};

/// The table.
pub(crate) fn list(form: Form, pages: &Pages) -> Result<String, String> {
    let mut text =
        "\n| word in `factors.allow` | what | OneLogin's names (`auth_factor_name`) | version |\n"
            .to_owned();
    text += "|---|---|---|---|\n";
    for row in Factor::rows() {
        let word = form.literal(row.word);
        let names = form.text(&names(&row), pages)?;
        let what = form.text(row.what, pages)?;
        let versions = row.versions;
        text += &format!("| {word} | {what} | {names} | {versions} |\n");
    }
    text.push('\n');
    Ok(text)
}

fn names(row: &FactorRow) -> String {
    let names: Vec<String> = row.names.iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        "none: it is no device".to_owned()
    } else {
        names.join(", ")
    }
}

//! The keys of the configuration: in the manual page, in the table of docs/configuration.md, and in the file as it is
//! installed.
#![allow(clippy::format_push_string)] // rather clear than quick

use crate::markup::{Form, wrapped};
use crate::pages::Pages;
use pam_onelogin::config::keys::{self, KeyRow, TABLES};
use pam_onelogin::trust::BUNDLES;

/// The longest line of the installed configuration, in characters.
const WIDTH: usize = 118;

/// Above the keys of the installed configuration.
const HEAD: &str = "\
# /etc/pam_onelogin/config.toml: the configuration of pam_onelogin. See pam_onelogin.conf(5).
#
# As it stands here it denies everybody, because url, client_id and client_secret are missing. Every key stands here with
# its default, behind a \"#\"; where there is no default, with an example. Changes count from the next login on.
# This file must stay root's, with mode 0600. Times are whole seconds.
";

/// A table with its keys.
struct Table {
    name: &'static str,
    rows: Vec<KeyRow>,
}

impl Table {
    /// What is said of the table beside its keys.
    fn text(&self) -> Option<&'static str> {
        let mut texts = TABLES.iter();
        texts
            .find(|(table, _)| *table == self.name)
            .map(|(_, text)| *text)
    }
}

/// The tables, as TOML wants them: the keys without a table come first.
fn tables() -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for row in keys::all() {
        match tables.iter_mut().find(|table| table.name == row.table) {
            Some(table) => table.rows.push(row),
            None => tables.push(Table {
                name: row.table,
                rows: vec![row],
            }),
        }
    }
    tables.sort_by_key(|table| !table.name.is_empty());
    tables
}

/// The entries of the manual page, as lists below headings.
pub(crate) fn entries(form: Form, pages: &Pages) -> Result<String, String> {
    let mut text = String::new();
    for table in tables() {
        text += &match table.name {
            "" => "\n### Top of the file\n\n".to_owned(),
            name => format!("\n### [{name}]\n\n"),
        };
        if let Some(about) = table.text() {
            text += &form.text(about, pages)?;
            text.push_str("\n\n");
        }
        for row in table.rows {
            let about = form.text(&about(&row, true), pages)?;
            let default = match (&row.default, row.unset) {
                (Some(value), _) => form.literal(value),
                (None, "") => "none".to_owned(),
                (None, unset) => form.text(&format!("none; {unset}"), pages)?,
            };
            let example = form.literal(&format!("{} = {}", row.name, short(row.example)));
            let path = form.literal(&row.path());
            text +=
                &format!("- {path}: {about}\\\n  Default: {default}.\\\n  Example: {example}\n");
        }
    }
    Ok(text)
}

/// The table of the page.
pub(crate) fn rows(form: Form, pages: &Pages) -> Result<String, String> {
    let mut text = "\n| key | default | meaning |\n|---|---|---|\n".to_owned();
    for row in keys::all() {
        let about = form.text(&about(&row, false), pages)?;
        let default = match (&row.default, row.unset) {
            (Some(value), _) => form.literal(value),
            (None, "") => "none".to_owned(),
            (None, unset) => unset.to_owned(),
        };
        let path = form.literal(&row.path());
        text += &format!("| {path} | {default} | {about} |\n");
    }
    text.push('\n');
    Ok(text)
}

/// The configuration as it is installed: nothing in it is set.
pub(crate) fn file(pages: &Pages) -> Result<String, String> {
    let form = Form::Comment;
    let comment = |text: &str| {
        let text = form.text(text, pages)?;
        Ok::<_, String>(wrapped(&format!("# {text}"), "# ", WIDTH))
    };
    let mut text = HEAD.to_owned();
    for table in tables() {
        if !table.name.is_empty() {
            text.push('\n');
            if let Some(about) = table.text() {
                text += &format!("{}\n", comment(about)?);
            }
            // One that may be missing needs its keys, or a name.
            let may_be_missing =
                ["onelogin.lookup", "observe", keys::SERVICE].contains(&table.name);
            let mark = if may_be_missing { "# " } else { "" };
            text += &format!("{mark}[{}]\n", table.name);
        }
        for (index, row) in table.rows.iter().enumerate() {
            if index > 0 || table.name.is_empty() {
                text.push('\n');
            }
            let about = about(row, false);
            let about = match row.unset {
                "" => about,
                "required" => format!("Required. {about}"),
                unset if unset.ends_with("required") => {
                    format!("Required, {unset}. {about}").replace(" is required. ", ". ")
                }
                unset => format!("{about} Default: none; {unset}."),
            };
            let value = row.default.as_deref().unwrap_or(row.example);
            text += &format!("{}\n# {} = {value}\n", comment(&about)?, row.name);
        }
    }
    Ok(text)
}

/// What a key does, with its range and its lists.
fn about(row: &KeyRow, more: bool) -> String {
    let range = match row.range {
        None => String::new(),
        Some((least, most)) if least + 1 == most => format!("{least} or {most}: "),
        Some((least, most)) => format!("{least} to {most}: "),
    };
    let more = match row.more {
        text if more && !text.is_empty() => format!(" {text}"),
        _ => String::new(),
    };
    let words: Vec<String> = row.words.iter().map(|word| format!("\"{word}\"")).collect();
    let text = format!("{range}{}{more}", row.text);
    text.replace("{WORDS}", &literals(&words))
        .replace("{BUNDLES}", &literals(&BUNDLES))
}

fn literals(texts: &[impl AsRef<str>]) -> String {
    let literals: Vec<String> = texts
        .iter()
        .map(|text| format!("`{}`", text.as_ref()))
        .collect();
    literals.join(", ")
}

/// A value with its long words cut off, which would not fit a terminal.
fn short(value: &str) -> String {
    let words = value.split(' ').map(|word| match word.get(..13) {
        Some(start) if word.starts_with('"') && word.len() > 60 => format!("{start}...\""),
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

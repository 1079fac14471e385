//! Takes one value of one kind at a time out of a table of the file, or says in which line what is wrong.

use super::ConfigFault;
use super::keys::{self, Flag, Key, Number, Path, Text, Texts, Word};
use std::fmt;
use std::path::PathBuf;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Collects faults while it turns tables into values.
pub(super) struct Reader<'a> {
    pub(super) path: &'a str,
    pub(super) text: &'a str,
    /// In the order of their lines.
    pub(super) faults: Vec<(usize, ConfigFault)>,
}

/// One table of the document, from which the keys are taken; what stays is unknown.
pub(super) struct Table<'a> {
    pub(super) name: &'static str,
    pub(super) line: usize,
    pub(super) entries: DeTable<'a>,
}

type Value<'a> = Spanned<DeValue<'a>>;

impl<'a> Reader<'a> {
    pub(super) fn table(&mut self, top: &mut Table<'a>, name: &'static str) -> Table<'a> {
        let (line, entries) = match self.take(top, name) {
            None => (1, DeTable::new()),
            Some((line, DeValue::Table(entries))) => (line, entries),
            Some((line, value)) => {
                self.fault(
                    line,
                    format!(
                        "\"{name}\" must be a table, \"[{name}]\", not {}",
                        value.type_str()
                    ),
                );
                (line, DeTable::new())
            }
        };
        Table {
            name,
            line,
            entries,
        }
    }

    /// Of a key whose value is text, such as that of a word.
    pub(super) fn text<K>(&mut self, table: &mut Table<'a>, key: &Key<K>) -> Option<String> {
        self.text_of(table, key.name)
    }

    fn text_of(&mut self, table: &mut Table<'a>, key: &str) -> Option<String> {
        match self.take(table, key)? {
            (_, DeValue::String(text)) => Some(text.into_owned()),
            (line, value) => {
                self.fault(
                    line,
                    format!("\"{key}\" must be text in quotes, not {}", value.type_str()),
                );
                None
            }
        }
    }

    pub(super) fn required_text(
        &mut self,
        table: &mut Table<'a>,
        key: &Key<Text>,
    ) -> Option<String> {
        let Key { name, .. } = key;
        let line = self.line(table, name);
        let is_set = table.entries.contains_key(*name);
        let text = self.text(table, key);
        if !is_set {
            self.fault(table.line, format!("[{}] needs \"{name}\"", table.name));
        } else if text.as_deref() == Some("") {
            self.fault(line, format!("\"{name}\" is empty"));
        }
        text.filter(|text| !text.is_empty())
    }

    /// `None` when the key is not set, or not a list of texts.
    pub(super) fn texts(&mut self, table: &mut Table<'a>, key: &Key<Texts>) -> Option<Vec<String>> {
        let key = key.name;
        let (line, value) = self.take(table, key)?;
        let DeValue::Array(values) = value else {
            let kind = value.type_str();
            self.fault(
                line,
                format!("\"{key}\" must be a list of texts, [\"…\"], not {kind}"),
            );
            return None;
        };
        let mut texts = Some(Vec::new());
        for value in values {
            let line = line_of(self.text, value.span().start);
            match value.into_inner() {
                DeValue::String(text) if !text.is_empty() => {
                    if let Some(texts) = &mut texts {
                        texts.push(text.into_owned());
                    }
                }
                _ => {
                    self.fault(
                        line,
                        format!(
                            "\"{key}\" must contain only texts in quotes, and none of them empty"
                        ),
                    );
                    texts = None;
                }
            }
        }
        texts
    }

    /// `None` when the key is not set and has no default, or is no absolute path.
    pub(super) fn path(&mut self, table: &mut Table<'a>, key: &Key<Path>) -> Option<PathBuf> {
        let Path(default) = key.kind;
        let line = self.line(table, key.name);
        if !table.entries.contains_key(key.name) {
            return default.map(PathBuf::from);
        }
        let path = PathBuf::from(self.text(table, key)?);
        if path.is_absolute() {
            Some(path)
        } else {
            self.fault(line, format!("\"{}\" must be an absolute path", key.name));
            None
        }
    }

    pub(super) fn bool(&mut self, table: &mut Table<'a>, key: &Key<Flag>) -> bool {
        let Flag(default) = key.kind;
        let key = key.name;
        match self.take(table, key) {
            None => default,
            Some((_, DeValue::Boolean(value))) => value,
            Some((line, value)) => {
                let flag = match &value {
                    DeValue::String(text) => as_flag(text),
                    _ => None,
                };
                let write = flag.map_or(String::new(), |flag| format!("; write {key} = {flag}"));
                let kind = value.type_str();
                self.fault(
                    line,
                    format!("\"{key}\" must be true or false, not {kind}{write}"),
                );
                default
            }
        }
    }

    pub(super) fn number<N: Copy + Into<u64> + TryFrom<u64>>(
        &mut self,
        table: &mut Table<'a>,
        key: &Key<Number<N>>,
    ) -> N {
        let Number {
            default,
            least,
            most,
        } = key.kind;
        let number = self.number_within(table, key.name, least.into(), most.into());
        number
            .and_then(|number| N::try_from(number).ok())
            .unwrap_or(default)
    }

    fn number_within(
        &mut self,
        table: &mut Table<'a>,
        key: &str,
        least: u64,
        most: u64,
    ) -> Option<u64> {
        let (line, value) = self.take(table, key)?;
        let DeValue::Integer(integer) = value else {
            self.fault(
                line,
                format!(
                    "\"{key}\" must be a whole number from {least} to {most}, not {}",
                    value.type_str()
                ),
            );
            return None;
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix());
        let number = number.ok().filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.fault(
                line,
                format!("\"{key}\" must be {least} to {most}, not {integer}"),
            );
        }
        number
    }

    pub(super) fn word<T: Copy>(&mut self, table: &mut Table<'a>, key: &Key<Word<T>>) -> T {
        let line = self.line(table, key.name);
        let (_, default) = key.kind.default;
        let Some(text) = self.text(table, key) else {
            return default;
        };
        if let Some(&(_, value)) = key.kind.all().find(|(word, _)| *word == text) {
            return value;
        }
        let known: Vec<&str> = key.kind.all().map(|(word, _)| *word).collect();
        let known = list(&known);
        self.fault(
            line,
            format!("\"{}\" must be one of {known}, not \"{text}\"", key.name),
        );
        default
    }

    pub(super) fn take(
        &mut self,
        table: &mut Table<'a>,
        key: &str,
    ) -> Option<(usize, DeValue<'a>)> {
        let value: Value<'a> = table.entries.remove(key)?;
        let line = line_of(self.text, value.span().start);
        Some((line, value.into_inner()))
    }

    /// The line of a key that has not been taken yet; the table's own when it is not set.
    pub(super) fn line(&self, table: &Table<'a>, key: &str) -> usize {
        table
            .entries
            .get(key)
            .map_or(table.line, |value| line_of(self.text, value.span().start))
    }

    /// What was not taken is not a key of this table.
    pub(super) fn leftovers(&mut self, table: Table<'a>) {
        if table.entries.is_empty() {
            return;
        }
        let place = match table.name {
            "" => "at the top of the file".to_owned(),
            name => format!("in [{name}]"),
        };
        let known = keys::names(table.name);
        for (key, _) in table.entries {
            let line = line_of(self.text, key.span().start);
            let key = key.into_inner();
            let advice = match (keys::table_of(&key), nearest(&key, &known)) {
                (Some(""), _) => {
                    "write it at the top of the file, before the first table".to_owned()
                }
                (Some(other), _) => format!("write it below [{other}]"),
                (None, Some(near)) => format!("did you mean \"{near}\"?"),
                (None, None) => format!("the keys there are {}", list(&known)),
            };
            self.fault(line, format!("\"{key}\" is not a key {place}; {advice}"));
        }
    }

    pub(super) fn fault(&mut self, line: usize, text: impl fmt::Display) {
        let place = self.faults.partition_point(|&(other, _)| other <= line);
        let fault = ConfigFault::at(self.path, line, text);
        self.faults.insert(place, (line, fault));
    }
}

/// What other programs write for true and false.
pub(super) fn as_flag(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "yes" | "on" | "true" => Some(true),
        "no" | "off" | "false" => Some(false),
        _ => None,
    }
}

/// The known key that a misspelt one is like: at most two letters in one place differ, or its first word is missing.
fn nearest(wrong: &str, known: &[&'static str]) -> Option<&'static str> {
    let letters = |text: &str| -> Vec<char> {
        let text = text.chars().filter(char::is_ascii_alphanumeric);
        text.map(|c| c.to_ascii_lowercase()).collect()
    };
    let wrong = letters(wrong);
    let is_misspelt = |key: &&&str| {
        let key = letters(key);
        let same = |(a, b): &(&char, &char)| a == b;
        let begin = wrong.iter().zip(&key).take_while(same).count();
        let ends = wrong.iter().rev().zip(key.iter().rev());
        let end = ends.take_while(same).count();
        let (short, long) = (wrong.len().min(key.len()), wrong.len().max(key.len()));
        short >= 4 && (begin + end).min(short) + 2 >= long
    };
    let is_part = |key: &&&str| wrong.len() >= 4 && letters(key).ends_with(&wrong);
    let found = known.iter().find(is_misspelt);
    found.or_else(|| known.iter().find(is_part)).copied()
}

/// The line of a byte of the text, counted from 1.
pub(super) fn line_of(text: &str, byte: usize) -> usize {
    1 + text.bytes().take(byte).filter(|&b| b == b'\n').count()
}

pub(super) fn list(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    words.join(", ")
}

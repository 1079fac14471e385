//! Takes one value of one kind at a time out of a table of a TOML file, or says in which line what is wrong. The module reads its
//! configuration by it, and the tool the settings of a gateway.

use super::ConfigFault;
use super::keys::{Flag, Key, Number, Path, Text, Texts, Word};
use std::fmt;
use std::path::PathBuf;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What the parser says of a key that stands in a table twice.
const DUPLICATE: &str = "duplicate key";

/// Collects faults while it turns tables into values.
pub struct Reader<'a> {
    path: &'a str,
    text: &'a str,
    /// What a file of this kind may have, for the faults.
    keys: Keys,
    /// In the order of their lines.
    faults: Vec<(usize, ConfigFault)>,
}

/// What a kind of file may have.
#[derive(Clone, Copy)]
pub struct Keys {
    /// The names of the keys and tables within a table.
    pub names: fn(&str) -> Vec<&'static str>,
    /// The table that has a key of this name, the first one of several; empty for the top of the file.
    pub table_of: fn(&str) -> Option<&'static str>,
}

/// One table of the document, from which the keys are taken; what stays is unknown.
pub struct Table<'a> {
    /// Its name, by which faults call it; empty at the top of the file.
    pub name: &'static str,
    /// Where it begins, counted from 1.
    pub line: usize,
    entries: DeTable<'a>,
}

impl Table<'_> {
    /// Whether a key is set, and has not been taken yet.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }
}

type Value<'a> = Spanned<DeValue<'a>>;

impl<'a> Reader<'a> {
    /// Reads a document, and returns what is at the top of it. `path` is its name in the faults.
    ///
    /// # Errors
    /// What makes the text something other than TOML.
    pub fn open(
        path: &'a str,
        text: &'a str,
        keys: Keys,
    ) -> Result<(Self, Table<'a>), ConfigFault> {
        let document = DeTable::parse(text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            let line = line_of(text, span.start);
            let place = text.lines().nth(line.saturating_sub(1));
            let bare = place.filter(|_| error.message() != DUPLICATE);
            if let Some(fault) = bare.and_then(|line| of_bare(line, keys)) {
                return ConfigFault::at(path, line, fault);
            }
            // The parser marks the key; it would mark a value, which may be a secret, under other messages.
            let key = text.get(span).filter(|_| error.message() == DUPLICATE);
            let key = key.map_or(String::new(), |key| format!(" {key:?} in one table"));
            ConfigFault::at(
                path,
                line,
                format_args!("not TOML: {}{key}", error.message()),
            )
        })?;
        let reader = Self {
            path,
            text,
            keys,
            faults: Vec::new(),
        };
        let top = Table {
            name: "",
            line: 1,
            entries: document.into_inner(),
        };
        Ok((reader, top))
    }

    /// What was read, if it has no fault.
    ///
    /// # Errors
    /// Every fault, in the order of the lines.
    pub fn end<T>(self, value: Option<T>) -> Result<T, Vec<ConfigFault>> {
        match value {
            Some(value) if self.faults.is_empty() => Ok(value),
            _ => Err(self.faults.into_iter().map(|(_, fault)| fault).collect()),
        }
    }

    /// A table; an empty one when it is not set.
    pub fn table(&mut self, top: &mut Table<'a>, name: &'static str) -> Table<'a> {
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

    /// The tables in a table, `[name.KEY]`, each with its key and called `as_name` in faults; in the order of the file.
    pub fn tables_in(
        &mut self,
        top: &mut Table<'a>,
        name: &'static str,
        as_name: &'static str,
    ) -> Vec<(String, Table<'a>)> {
        let mut tables = Vec::new();
        for (key, value) in self.table(top, name).entries {
            let line = line_of(self.text, key.span().start);
            match value.into_inner() {
                DeValue::Table(entries) => {
                    let name = as_name;
                    let table = Table {
                        name,
                        line,
                        entries,
                    };
                    tables.push((key.into_inner().into_owned(), table));
                }
                other => self.fault(
                    line,
                    format!(
                        "\"{}\" in [{name}] must be a table, [{as_name}], not {}",
                        key.get_ref(),
                        other.type_str()
                    ),
                ),
            }
        }
        tables
    }

    /// The tables of a list, `[[name]]`; none when it is not set.
    pub fn tables(&mut self, top: &mut Table<'a>, name: &'static str) -> Vec<Table<'a>> {
        let Some((line, value)) = self.take(top, name) else {
            return Vec::new();
        };
        let kind = value.type_str();
        let form = match top.name {
            "" => format!("\"[[{name}]]\""),
            table => format!("\"[[{table}.{name}]]\""),
        };
        let DeValue::Array(values) = value else {
            self.fault(
                line,
                format!("\"{name}\" must be a list of tables, {form}, not {kind}"),
            );
            return Vec::new();
        };
        let mut tables = Vec::new();
        for value in values {
            let line = line_of(self.text, value.span().start);
            match value.into_inner() {
                DeValue::Table(entries) => tables.push(Table {
                    name,
                    line,
                    entries,
                }),
                other => self.fault(
                    line,
                    format!(
                        "\"{name}\" must be a list of tables, {form}, not of {}",
                        other.type_str()
                    ),
                ),
            }
        }
        tables
    }

    /// Of a key whose value is text, such as that of a word.
    pub fn text<K>(&mut self, table: &mut Table<'a>, key: &Key<K>) -> Option<String> {
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

    /// Of a key that must be set to a text that is not empty.
    pub fn required_text(&mut self, table: &mut Table<'a>, key: &Key<Text>) -> Option<String> {
        let Key { name, .. } = key;
        let line = self.line(table, name);
        let is_set = table.entries.contains_key(*name);
        let text = self.text(table, key);
        if !is_set && !self.is_misspelt(table, name) {
            let text = match table.name {
                "" => format!("\"{name}\" is missing"),
                table => format!("[{table}] needs \"{name}\""),
            };
            self.fault(table.line, text);
        } else if text.as_deref() == Some("") {
            self.fault(line, format!("\"{name}\" is empty"));
        }
        let text = text.filter(|text| !text.is_empty());
        if let Some(odd) = text.as_deref().and_then(|text| odd_space(name, text)) {
            self.fault(line, odd);
        }
        text
    }

    /// `None` when the key is not set, or not a list of texts.
    pub fn texts(&mut self, table: &mut Table<'a>, key: &Key<Texts>) -> Option<Vec<String>> {
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
    pub fn path(&mut self, table: &mut Table<'a>, key: &Key<Path>) -> Option<PathBuf> {
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

    /// The default when the key is not set.
    pub fn bool(&mut self, table: &mut Table<'a>, key: &Key<Flag>) -> bool {
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

    /// The default when the key is not set.
    pub fn number<N: Copy + Into<u64> + TryFrom<u64>>(
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

    /// The default when the key is not set.
    pub fn word<T: Copy>(&mut self, table: &mut Table<'a>, key: &Key<Word<T>>) -> T {
        let line = self.line(table, key.name);
        let (_, default) = key.kind.default;
        let Some(text) = self.text(table, key) else {
            return default;
        };
        if let Some(&(_, value)) = key.kind.all().find(|(word, _)| *word == text) {
            return value;
        }
        let known: Vec<&str> = key.kind.all().map(|(word, _)| *word).collect();
        let known = match known.as_slice() {
            [sole] => format!("\"{sole}\""),
            _ => format!("one of {}", list(&known)),
        };
        let odd = odd_space("it", &text).map_or(String::new(), |odd| format!("; {odd}"));
        self.fault(
            line,
            format!("\"{}\" must be {known}, not \"{text}\"{odd}", key.name),
        );
        default
    }

    /// Takes a value with its line out of a table.
    pub fn take(&mut self, table: &mut Table<'a>, key: &str) -> Option<(usize, DeValue<'a>)> {
        let value: Value<'a> = table.entries.remove(key)?;
        let line = line_of(self.text, value.span().start);
        Some((line, value.into_inner()))
    }

    /// The line of a key that has not been taken yet; the table's own when it is not set.
    #[must_use]
    pub fn line(&self, table: &Table<'a>, key: &str) -> usize {
        table
            .entries
            .get(key)
            .map_or(table.line, |value| line_of(self.text, value.span().start))
    }

    /// Whether the table has a misspelt form of this key: the fault about that one is enough.
    #[must_use]
    pub fn is_misspelt(&self, table: &Table<'a>, key: &str) -> bool {
        let known = (self.keys.names)(table.name);
        let mut set = table.entries.keys().map(Spanned::get_ref);
        set.any(|set| !known.contains(&&**set) && nearest(set, &known) == Some(key))
    }

    /// What was not taken is not a key of this table.
    pub fn leftovers(&mut self, table: Table<'a>) {
        if table.entries.is_empty() {
            return;
        }
        let place = match table.name {
            "" => "at the top of the file".to_owned(),
            name => format!("in [{name}]"),
        };
        let known = (self.keys.names)(table.name);
        for (key, _) in table.entries {
            let line = line_of(self.text, key.span().start);
            let key = key.into_inner();
            let advice = match ((self.keys.table_of)(&key), nearest(&key, &known)) {
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

    /// Notes a fault of a line.
    pub fn fault(&mut self, line: usize, text: impl fmt::Display) {
        let place = self.faults.partition_point(|&(other, _)| other <= line);
        let fault = ConfigFault::at(self.path, line, text);
        self.faults.insert(place, (line, fault));
    }
}

/// What to write in a line that is not TOML: quotes around text, or another value in place of the `yes` of other
/// programs; of `no` the parser says that it is no number. The value may be a secret, and the key may be a part of one,
/// so only a known key is repeated.
fn of_bare(line: &str, keys: Keys) -> Option<String> {
    let outside = outside_quotes(line);
    if let Some(odd) = odd_space("this line", &outside) {
        return Some(format!(
            "{odd}; delete it, and type a plain space if one is needed there"
        ));
    }
    let (key, value) = line.split_once('=')?;
    let key = key.trim();
    let name = key.rsplit('.').next().unwrap_or(key);
    (keys.table_of)(name)?;
    let text = value.trim_start().strip_prefix('[');
    let write = format!("write {name} = {}", text.map_or("\"…\"", |_| "[\"…\"]"));
    let is_open = outside.ends_with(QUOTES);
    let quote = value.chars().find(|c| TYPOGRAPHIC.contains(c));
    if let Some(quote) = quote.filter(|quote| is_open || outside.contains(*quote)) {
        return Some(format!(
            "\"{name}\" has a typographic quote, {quote}; {write} with plain quotes"
        ));
    }
    if is_open {
        return Some(format!(
            "\"{name}\" has text with only one of its two quotes; {write}"
        ));
    }
    let value = value.split('#').next().unwrap_or(value).trim();
    if ["true", "false"].contains(&value) {
        return None;
    }
    if let Some(flag) = as_flag(value) {
        return Some(format!(
            "\"{name}\" has a value that TOML does not know; write {name} = {flag}"
        ));
    }
    let text = text.unwrap_or(value).trim_start();
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic());
    is_word.then(|| format!("\"{name}\" has text without quotes; {write}"))
}

/// A line with `_` for each character between quotes, up to a comment. It ends with a quote that is not closed.
fn outside_quotes(line: &str) -> String {
    let mut outside = String::new();
    let mut open = None;
    let mut is_escaped = false;
    for c in line.chars() {
        match open {
            Some(quote) if c == quote && !is_escaped => {
                open = None;
                outside.push('_');
            }
            Some(_) => {
                is_escaped = c == '\\' && open == Some('"') && !is_escaped;
                outside.push('_');
            }
            None if c == '#' => break,
            None if QUOTES.contains(&c) => {
                open = Some(c);
                outside.push('_');
            }
            None => outside.push(c),
        }
    }
    outside.extend(open);
    outside
}

/// A character that looks like a space, or like nothing: which one it is, and that it is no plain space.
pub(super) fn odd_space(place: &str, text: &str) -> Option<String> {
    let is_odd = |c: char| !c.is_ascii() && c.is_whitespace() || "\u{200b}\u{feff}".contains(c);
    let (number, odd) = (1..).zip(text.chars()).find(|&(_, c)| is_odd(c))?;
    let kind = match odd {
        '\u{a0}' | '\u{202f}' => "a no-break space",
        _ => "not a plain space",
    };
    Some(format!(
        "character {number} of {place} is {kind} (U+{:04X})",
        u32::from(odd)
    ))
}

/// The quotes of TOML.
const QUOTES: [char; 2] = ['"', '\''];

/// The quotes that a word processor, or a web page, writes in their place.
const TYPOGRAPHIC: [char; 8] = ['“', '”', '„', '‘', '’', '‚', '«', '»'];

/// What other programs write for true and false.
fn as_flag(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "yes" | "on" | "true" => Some(true),
        "no" | "off" | "false" => Some(false),
        _ => None,
    }
}

/// The known key that a misspelt one is like: at most two letters in one place differ, or its first word is missing.
pub(crate) fn nearest(wrong: &str, known: &[&'static str]) -> Option<&'static str> {
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
fn line_of(text: &str, byte: usize) -> usize {
    1 + text.bytes().take(byte).filter(|&b| b == b'\n').count()
}

/// Words in quotes, separated by commas.
#[must_use]
pub fn list(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    words.join(", ")
}

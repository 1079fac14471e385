//! Names at OneLogin: which may be searched for, and the map file of those that differ. Pure.

use crate::config::ConfigFault;
use crate::id::UserId;
use std::collections::BTreeMap;

/// The user to look up at OneLogin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserKey {
    /// The user whose attribute has this value.
    Name(String),
    /// The user with this id, from the map.
    Id(UserId),
}

/// The entries of a map file, by Unix name.
#[derive(Debug, Default)]
pub struct Map(BTreeMap<String, UserKey>);

/// Whether a map may give names: without an attribute to look them up by, it may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entries {
    /// Names and ids.
    NamesAndIds,
    /// Ids only: `match = "map"`.
    Ids,
}

impl Map {
    /// Reads `unix-name onelogin-name` and `unix-name id=12345`, one a line; `#` begins a comment.
    /// `path` is its name in the faults.
    ///
    /// # Errors
    /// Every fault of the text, in the order of the lines.
    pub fn parse(path: &str, text: &str, entries: Entries) -> Result<Self, Vec<ConfigFault>> {
        let mut map = BTreeMap::new();
        let mut faults = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            // A comment begins at a word of its own: "a#b" is a name, and a wrong one.
            let words = line.split_whitespace();
            let words: Vec<&str> = words.take_while(|word| !word.starts_with('#')).collect();
            let trouble = match words.as_slice() {
                _ if line.starts_with('\u{feff}') => {
                    "begins with a byte order mark; save the file without one".to_owned()
                }
                [] => continue,
                [unix, onelogin] => match key(onelogin, entries) {
                    Ok(key) if !map.contains_key(*unix) => {
                        map.insert((*unix).to_owned(), key);
                        continue;
                    }
                    Ok(_) => format!("\"{unix}\" is listed twice; keep one line"),
                    Err(trouble) => trouble,
                },
                _ => "write \"unix-name onelogin-name\" or \"unix-name id=12345\"".to_owned(),
            };
            faults.push(ConfigFault::at(path, number, trouble));
        }
        if faults.is_empty() {
            Ok(Self(map))
        } else {
            Err(faults)
        }
    }

    /// The entry of a Unix name.
    #[must_use]
    pub fn get(&self, unix: &str) -> Option<&UserKey> {
        self.0.get(unix)
    }
}

/// Whether a name may be searched for. OneLogin's search takes `*` and `!` as operators, so that
/// only names of harmless characters are sent at all.
#[must_use]
pub fn is_searchable(name: &str) -> bool {
    let is_harmless = |c: char| c.is_alphanumeric() || "._-+@$'\\".contains(c);
    !name.starts_with(['-', '@'])
        && (1..=255).contains(&name.len())
        && name.chars().all(is_harmless)
}

fn key(text: &str, entries: Entries) -> Result<UserKey, String> {
    if let Some(id) = text.strip_prefix("id=") {
        let id = UserId::parse(id).filter(|id| id.as_str().bytes().all(|b| b.is_ascii_digit()));
        return id.map(UserKey::Id).ok_or_else(|| {
            "\"id=\" must be followed by the user's numeric id at OneLogin".to_owned()
        });
    }
    match entries {
        Entries::Ids => Err("\"match\" is \"map\", so each line needs \"id=\"".to_owned()),
        Entries::NamesAndIds if is_searchable(text) => Ok(UserKey::Name(text.to_owned())),
        Entries::NamesAndIds => Err(format!(
            "\"{text}\" contains characters that must not be sent to OneLogin"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str, entries: Entries) -> Vec<String> {
        let faults = Map::parse("m", text, entries).err().unwrap_or_default();
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_ids_comments_and_blank_lines_are_read() {
        let text = "# a map\n\nalice alice@example.com # note\n  bob\tid=12345\n";
        let map = Map::parse("m", text, Entries::NamesAndIds).unwrap();
        assert_eq!(
            map.get("alice"),
            Some(&UserKey::Name("alice@example.com".to_owned()))
        );
        assert_eq!(
            map.get("bob"),
            UserId::parse("12345").map(UserKey::Id).as_ref()
        );
        assert_eq!(map.get("carol"), None);
    }

    #[test]
    fn r05_each_fault_names_its_line() {
        let both = Entries::NamesAndIds;
        assert!(faults("alice", both)[0].starts_with("m:1: write \"unix-name"));
        assert!(faults("\nalice a b", both)[0].starts_with("m:2: write"));
        assert!(faults("alice a#b", both)[0].contains("must not be sent to OneLogin"));
        assert!(faults("alice id=12#3", both)[0].contains("numeric id at OneLogin"));
        assert!(faults("\u{feff}alice b", both)[0].contains("byte order mark"));
        assert!(faults("alice *", both)[0].contains("must not be sent to OneLogin"));
        assert!(faults("alice !x", both)[0].contains("must not be sent to OneLogin"));
        assert!(faults("alice id=", both)[0].contains("numeric id at OneLogin"));
        assert!(faults("alice id=1/2", both)[0].contains("numeric id at OneLogin"));
        assert!(faults("a b\na c", both)[0].starts_with("m:2: \"a\" is listed twice"));
        assert!(faults("alice alice", Entries::Ids)[0].contains("needs \"id=\""));
        assert_eq!(faults("a id=1\nb id=2", Entries::Ids), [""; 0]);
        assert_eq!(faults("a *\nb *", both).len(), 2);
    }
}

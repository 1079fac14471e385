//! The groups of an account, and pattern lists over them as Duo's and OpenSSH's users know them. Pure.

use std::fmt;

/// The groups of an account.
///
/// Two stores of users may each have a group of the same name: a name alone does not say which one is
/// meant. A name that the admin wrote means the gid that the system gives for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    /// Those names of the configuration whose gid is one of the account's gids.
    pub configured: Vec<String>,
    /// The names of the account's gids, for wildcards.
    pub names: Vec<String>,
}

impl Groups {
    /// Whether the account is in the group that this name of the configuration means.
    #[must_use]
    pub fn has(&self, configured: &str) -> bool {
        self.configured.iter().any(|name| name == configured)
    }
}

/// Patterns between commas: `users,!wheel,!*admin`. `*` stands for any characters, `?` for one,
/// `!` before a pattern excludes. Source: PATTERNS in `ssh_config(5)`, which the `groups` of
/// `pam_duo` follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternList(Vec<Pattern>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    text: String,
    excludes: bool,
}

/// What is wrong with a pattern list, and what to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// A pattern is empty.
    Empty,
    /// A pattern holds white space that no group name has, or beside a wildcard: patterns of a list are
    /// divided by commas, and a list of `pam_duo`'s by spaces.
    Space,
    /// Nothing is included: such a list matches no user, and so exempts every user.
    OnlyExcludes,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "contains an empty pattern; write \"users,!wheel\"",
            Self::Space => {
                "contains a space outside of a group name; separate the patterns of a list by commas without spaces, put each list in its own quotes, and write ? for a space in a pattern with * or ?"
            }
            Self::OnlyExcludes => {
                "only excludes groups, so it matches no user and every user would be exempt; write \"*,\" before it"
            }
        })
    }
}

impl PatternList {
    /// Reads a list.
    ///
    /// # Errors
    /// [`Misfit`] when it cannot be meant.
    pub fn parse(text: &str) -> Result<Self, Misfit> {
        let patterns: Vec<Pattern> = text
            .split(',')
            .map(|text| match text.strip_prefix('!') {
                Some(rest) => Pattern {
                    text: rest.to_owned(),
                    excludes: true,
                },
                None => Pattern {
                    text: text.to_owned(),
                    excludes: false,
                },
            })
            .collect();
        if !patterns.iter().all(Pattern::has_spaces_of_a_name) {
            return Err(Misfit::Space);
        }
        if patterns.iter().any(|pattern| pattern.text.is_empty()) {
            return Err(Misfit::Empty);
        }
        if patterns.iter().all(|pattern| pattern.excludes) {
            return Err(Misfit::OnlyExcludes);
        }
        Ok(Self(patterns))
    }

    /// The patterns that name one group each: such a group must exist.
    pub fn literals(&self) -> impl Iterator<Item = &str> {
        let literals = self.0.iter().filter(|pattern| pattern.is_literal());
        literals.map(|pattern| pattern.text.as_str())
    }

    /// Whether the list selects an account in these groups: one group is included, and none is
    /// excluded. `groups` must answer for all [`PatternList::literals`].
    #[must_use]
    pub fn matches(&self, groups: &Groups) -> bool {
        let is_hit = |excludes: bool| {
            let mut patterns = self.0.iter();
            patterns.any(|pattern| pattern.excludes == excludes && pattern.is_among(groups))
        };
        is_hit(false) && !is_hit(true)
    }
}

impl Pattern {
    /// Whether it names one group.
    fn is_literal(&self) -> bool {
        !self.text.contains(['*', '?'])
    }

    /// Whether its white space can be that of a name, such as `Domain Admins`. A pattern with a wildcard
    /// and a space, or with ` !`, may as well be two patterns without their comma.
    fn has_spaces_of_a_name(&self) -> bool {
        let is_one_name = self.is_literal()
            && self.text.trim() == self.text
            && !self.text.contains(" !")
            && self.text.chars().all(|c| c == ' ' || !c.is_whitespace());
        is_one_name || !self.text.contains(char::is_whitespace)
    }

    /// A literal is compared by gid; a wildcard can only be compared with names.
    fn is_among(&self, groups: &Groups) -> bool {
        if self.is_literal() {
            groups.has(&self.text)
        } else {
            groups.names.iter().any(|name| fits(&self.text, name))
        }
    }
}

/// Whether a whole text fits a pattern. After a mismatch only the last `*` may take one more
/// character: the time is bounded by the product of the lengths.
fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while let Some(&character) = text.get(t) {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(&expected) if expected == '?' || expected == character => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((after, taken)) => {
                    p = after;
                    t = taken + 1;
                    star = Some((after, t));
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|&rest| rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(list: &str, groups: &[&str]) -> bool {
        let names: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        let configured = names.clone();
        PatternList::parse(list)
            .unwrap()
            .matches(&Groups { configured, names })
    }

    #[test]
    fn r05_a_name_of_the_configuration_is_not_matched_by_a_group_of_the_same_name() {
        // The account has a group of this name, but the system gives another gid for the name.
        let groups = Groups {
            configured: vec!["users".to_owned()],
            names: vec!["users".to_owned(), "wheel".to_owned()],
        };
        let matches = |list: &str| PatternList::parse(list).unwrap().matches(&groups);
        assert!(matches("users"));
        assert!(!matches("wheel"));
        assert!(matches("users,!wheel"));
        // A wildcard can only match names.
        assert!(matches("whee*"));
        assert!(!matches("users,!whee*"));
        assert!(groups.has("users") && !groups.has("wheel"));
    }

    #[test]
    fn a_list_means_who_is_included_and_not_excluded() {
        let list = "users,!wheel,!*admin";
        assert!(matches(list, &["users"]));
        assert!(matches(list, &["staff", "users"]));
        assert!(!matches(list, &["staff"]));
        assert!(!matches(list, &[]));
        assert!(!matches(list, &["users", "wheel"]));
        assert!(!matches(list, &["users", "dbadmin"]));
        assert!(matches("*,!wheel", &["staff"]));
        assert!(!matches("*,!wheel", &["wheel", "staff"]));
        // The order does not matter.
        assert!(!matches("!wheel,users", &["users", "wheel"]));
    }

    #[test]
    fn stars_and_question_marks_stand_for_characters() {
        for (pattern, text, fit) in [
            ("ops", "ops", true),
            ("ops", "opsx", false),
            ("ops", "op", false),
            ("ops", "OPS", false),
            ("o?s", "ops", true),
            ("o?s", "os", false),
            ("*", "anything", true),
            ("team-*", "team-", true),
            ("team-*", "team", false),
            ("*-ops-*", "a-ops-b", true),
            ("*-ops-*", "a-ops", false),
            ("a*b*c", "axbxbxc", true),
            ("a*b*c", "axcxb", false),
            ("**x", "yyx", true),
            // After a mismatch the rest of the pattern begins anew.
            ("*ab", "axb", false),
            ("*ab", "aab", true),
            ("z?e", "zoe", true),
            ("zo?", "zoë", true),
        ] {
            assert_eq!(fits(pattern, text), fit, "{pattern} {text}");
        }
        // Without a bound this would not end in a lifetime.
        assert!(!fits(&"a*".repeat(40), &"a".repeat(39)));
    }

    #[test]
    fn a_list_that_cannot_be_meant_is_refused() {
        for (text, misfit) in [
            ("", Misfit::Empty),
            ("users,", Misfit::Empty),
            ("users,!", Misfit::Empty),
            ("users !wheel", Misfit::Space),
            ("users, wheel", Misfit::Space),
            ("users ,wheel", Misfit::Space),
            ("*,! wheel", Misfit::Space),
            (" users", Misfit::Space),
            ("users ", Misfit::Space),
            (" ", Misfit::Space),
            ("users *admin", Misfit::Space),
            ("Domain *", Misfit::Space),
            ("Domain\tAdmins", Misfit::Space),
            ("Domain\u{a0}Admins", Misfit::Space),
            ("!wheel", Misfit::OnlyExcludes),
            ("!wheel,!*admin", Misfit::OnlyExcludes),
        ] {
            assert_eq!(PatternList::parse(text), Err(misfit), "{text:?}");
        }
    }

    #[test]
    fn a_group_name_with_spaces_is_valid() {
        let list = "Domain Admins,*,!Domain Guests";
        assert!(matches(list, &["Domain Admins"]));
        assert!(matches(list, &["staff"]));
        assert!(!matches(list, &["Domain Admins", "Domain Guests"]));
        let list = PatternList::parse(list).unwrap();
        let literals: Vec<_> = list.literals().collect();
        assert_eq!(literals, ["Domain Admins", "Domain Guests"]);
        // In a pattern with a wildcard, ? fits a space.
        assert!(matches("Domain?A*", &["Domain Admins"]));
    }

    #[test]
    fn groups_without_a_wildcard_are_literal() {
        let list = PatternList::parse("users,!wheel,*admin,te?m").unwrap();
        assert_eq!(list.literals().collect::<Vec<_>>(), ["users", "wheel"]);
    }
}

//! Lines, words and controls, as `_pam_assemble_line`, `_pam_StrTok` and `_pam_parse_control` read
//! them.

use crate::pam_stack::codes::{Code, IGNORE, NAMES, SUCCESS};

/// `PAM_NEW_AUTHTOK_REQD`, which the four plain controls take as they take `PAM_SUCCESS`.
const NEW_AUTHTOK_REQD: Code = 12;

/// What stands between words. A carriage return does not.
const BLANK: [char; 3] = [' ', '\n', '\t'];

/// Which calls a line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// authenticate and setcred
    Auth,
    /// the account
    Account,
    /// opening and closing of a session
    Session,
    /// a new password
    Password,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Auth, Self::Account, Self::Session, Self::Password];

    /// The word at the beginning of a line, in any case.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.word().eq_ignore_ascii_case(word))
    }

    /// The word at the beginning of a line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Account => "account",
            Self::Session => "session",
            Self::Password => "password",
        }
    }
}

/// A line with those that continue it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Where it begins, counted from 1.
    pub(super) number: usize,
    pub(super) text: String,
}

/// The lines that say something. `Err`: the text ends within a continued line, and libpam then
/// takes nothing of the stack; the number is that of its beginning.
pub(super) fn lines(text: &str) -> (Vec<Line>, Result<(), usize>) {
    let mut lines = Vec::new();
    let mut begun: Option<Line> = None;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let said = line.trim_start_matches(BLANK);
        if said.is_empty() || said.starts_with('#') {
            continue;
        }
        let line = begun.get_or_insert_with(|| Line {
            number: index + 1,
            text: String::new(),
        });
        match said.split_once('#') {
            Some((before, _)) => line.text.push_str(before),
            None => match said.trim_end_matches(BLANK).strip_suffix('\\') {
                Some(before) => {
                    line.text.push_str(before);
                    line.text.push(' ');
                    continue;
                }
                None => line.text.push_str(said),
            },
        }
        lines.extend(begun.take());
    }
    let end = begun.map_or(Ok(()), |line| Err(line.number));
    (lines, end)
}

/// Lines that Linux-PAM 1.5 and 1.7 read differently: an empty line, or a comment, within a
/// continued one.
#[must_use]
pub fn flaws(text: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut is_continued = false;
    for (index, line) in text.lines().enumerate() {
        let said = line.trim_start_matches(BLANK);
        let is_empty = said.is_empty() || said.starts_with('#');
        if is_continued && is_empty {
            found.push(index + 1);
        }
        let continues = !said.contains('#') && said.trim_end_matches(BLANK).ends_with('\\');
        is_continued = continues || (is_continued && is_empty);
    }
    found
}

/// The words of a line, one after the other. `[…]` is one word, with blanks; `\]` in it is `]`.
pub(super) struct Words<'a> {
    rest: Option<&'a str>,
}

impl<'a> Words<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { rest: Some(text) }
    }
}

impl Iterator for Words<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let text = self.rest.take()?.trim_start_matches(BLANK);
        let (word, after) = if let Some(inner) = text.strip_prefix('[') {
            bracketed(inner)
        } else if text.is_empty() {
            return None;
        } else {
            let (word, after) = text.split_once(BLANK).unwrap_or((text, ""));
            (word.to_owned(), after)
        };
        self.rest = Some(after).filter(|after| !after.is_empty());
        Some(word)
    }
}

/// Up to the `]`, and what follows it.
fn bracketed(inner: &str) -> (String, &str) {
    let mut word = String::new();
    let mut rest = inner;
    loop {
        if let Some(after) = rest.strip_prefix("\\]") {
            word.push(']');
            rest = after;
            continue;
        }
        let mut chars = rest.chars();
        match chars.next() {
            None => return (word, ""),
            Some(']') => return (word, chars.as_str()),
            Some(other) => word.push(other),
        }
        rest = chars.as_str();
    }
}

/// What one line says to those who change a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Says {
    /// A comment, an empty line.
    Nothing,
    /// `@include NAME`
    Include(String),
    /// A line of the auth chain; the control as it is written, with its brackets.
    Auth { control: String, module: String },
    /// A line of another chain.
    Other,
}

/// Reads one line. `None`: libpam could not use it.
pub(crate) fn says(line: &str) -> Option<Says> {
    let mut words = Words::of(line.split('#').next().unwrap_or_default().trim());
    let Some(first) = words.next() else {
        return Some(Says::Nothing);
    };
    let first = first.strip_prefix('-').unwrap_or(&first);
    if first.eq_ignore_ascii_case("@include") {
        return words.next().map(Says::Include);
    }
    if Kind::of(first)? != Kind::Auth {
        return Some(Says::Other);
    }
    let is_in_brackets = words
        .rest
        .is_some_and(|rest| rest.trim_start_matches(BLANK).starts_with('['));
    let mut control = words.next()?;
    if is_in_brackets {
        control = format!("[{control}]");
    }
    let module = words.next()?;
    Some(Says::Auth { control, module })
}

/// Whether a line goes on in the next one.
pub(crate) fn goes_on(line: &str) -> bool {
    line.trim_end().ends_with('\\')
}

/// The action for a return code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Counts for nothing.
    Ignore,
    /// Counts as success, unless something failed before.
    Ok,
    /// As `Ok`, and ends the stack or substack.
    Done,
    /// Fails.
    Bad,
    /// Fails, and ends the stack or substack.
    Die,
    /// Forgets what the stack or substack has come to.
    Reset,
    /// Skips this many lines.
    Jump(u32),
}

/// The action for each return code.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Control(Vec<Action>);

impl Control {
    /// Every code fails.
    pub(super) fn failing() -> Self {
        Self(vec![Action::Bad; NAMES.len()])
    }

    /// The second word of a line; with it what is wrong with it, in which case every code fails.
    #[must_use]
    pub fn parse(word: &str) -> (Self, Option<&'static str>) {
        let plain = |success, other| {
            let mut control = Self(vec![other; NAMES.len()]);
            control.set(SUCCESS, success);
            control.set(NEW_AUTHTOK_REQD, success);
            control
        };
        let plain = match word.to_ascii_lowercase().as_str() {
            "required" => plain(Action::Ok, Action::Bad),
            "requisite" => plain(Action::Ok, Action::Die),
            "optional" => plain(Action::Ok, Action::Ignore),
            "sufficient" => plain(Action::Done, Action::Ignore),
            _ => {
                return match pairs(word) {
                    Ok(actions) => (actions, None),
                    Err(fault) => (Self::failing(), Some(fault)),
                };
            }
        };
        let mut control = plain;
        control.set(IGNORE, Action::Ignore);
        (control, None)
    }

    /// The action for this return code; an invalid code is a failure.
    #[must_use]
    pub fn action(&self, code: Code) -> Action {
        self.0
            .get(usize::from(code))
            .copied()
            .unwrap_or(Action::Bad)
    }

    fn set(&mut self, code: Code, action: Action) {
        if let Some(place) = self.0.get_mut(usize::from(code)) {
            *place = action;
        }
    }
}

/// `code=action …`; what is not named has the default, and without one fails.
fn pairs(text: &str) -> Result<Control, &'static str> {
    let blank = |c: char| c.is_ascii_whitespace() || c == '\u{b}';
    let mut actions = [None; 32];
    let mut rest = text.trim_start_matches(blank);
    while !rest.is_empty() {
        // A name is taken where it is the beginning of what is there, as libpam does.
        let known = NAMES
            .iter()
            .enumerate()
            .find_map(|(code, name)| Some((Some(code), rest.strip_prefix(name)?)));
        let (code, after) = known
            .or_else(|| Some((None, rest.strip_prefix("default")?)))
            .ok_or("it names an unknown return code")?;
        let after = after
            .trim_start_matches(blank)
            .strip_prefix('=')
            .ok_or("a return code has no \"=\" after it")?
            .trim_start_matches(blank);
        let (action, after) = action(after)?;
        match code {
            Some(code) => actions
                .iter_mut()
                .skip(code)
                .take(1)
                .for_each(|place| *place = Some(action)),
            None => actions
                .iter_mut()
                .filter(|place| place.is_none())
                .for_each(|place| *place = Some(action)),
        }
        rest = after.trim_start_matches(blank);
    }
    let actions = actions.map(|action| action.unwrap_or(Action::Bad));
    Ok(Control(actions.to_vec()))
}

/// What a code is to do, and what follows it.
fn action(text: &str) -> Result<(Action, &str), &'static str> {
    const WORDS: [(&str, Action); 6] = [
        ("ignore", Action::Ignore),
        ("ok", Action::Ok),
        ("done", Action::Done),
        ("bad", Action::Bad),
        ("die", Action::Die),
        ("reset", Action::Reset),
    ];
    for (word, action) in WORDS {
        if let Some(after) = text.strip_prefix(word) {
            return Ok((action, after));
        }
    }
    let after = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = text.strip_suffix(after).unwrap_or_default();
    match digits.parse() {
        Ok(0) => Err("a jump by 0 lines is not valid; write \"ignore\""),
        Ok(lines) if lines < u32::from(u16::MAX) => Ok((Action::Jump(lines), after)),
        _ => Err("it names an unknown action"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(usize, String)> {
        let (lines, _) = lines(text);
        lines
            .into_iter()
            .map(|line| (line.number, line.text))
            .collect()
    }

    #[test]
    fn comments_end_a_line_and_a_backslash_continues_it() {
        let text = "# a\n\n auth x # y\nb \\\n  c \\ \nd\n";
        assert_eq!(
            texts(text),
            [(3, "auth x ".to_owned()), (4, "b  c  d\n".to_owned())]
        );
        assert_eq!(lines("a\nb \\\n").1, Err(2));
        assert_eq!(flaws("a \\\n# c\n\nb\n# d\n"), [2, 3]);
        assert_eq!(flaws("a # \\\n\nb\n"), [0; 0]);
    }

    #[test]
    fn brackets_hold_blanks_and_an_escaped_bracket() {
        let words = |text| Words::of(text).collect::<Vec<_>>();
        assert_eq!(words(" a\t b \n"), ["a", "b"]);
        assert_eq!(words("[a b] [c\\]d]e"), ["a b", "c]d", "e"]);
        assert_eq!(words("[] x [open"), ["", "x", "open"]);
        assert_eq!(words("a\r\n"), ["a\r"]);
        assert!(words(" \t").is_empty());
    }

    #[test]
    fn a_control_is_what_libpam_makes_of_it() {
        let at = |word: &str, code| Control::parse(word).0.action(code);
        assert_eq!(at("REQUIRED", 7), Action::Bad);
        assert_eq!(at("optional", IGNORE), Action::Ignore);
        assert_eq!(at("sufficient", NEW_AUTHTOK_REQD), Action::Done);
        assert_eq!(at("success=1 default=ignore", 0), Action::Jump(1));
        assert_eq!(at("success = okdefault=die", 7), Action::Die);
        assert_eq!(at("success=ok", 7), Action::Bad);
        assert_eq!(at("default=die success=ok", 0), Action::Ok);
        for wrong in [
            "succes=ok",
            "success ok",
            "success=0",
            "success=",
            "Success=ok",
            "x",
        ] {
            let (control, fault) = Control::parse(wrong);
            assert_eq!(
                (control, fault.is_some()),
                (Control::failing(), true),
                "{wrong}"
            );
        }
    }
}

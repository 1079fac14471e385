//! Text that we did not write: names, messages, host names. Cleaned before it reaches a terminal
//! or a log (rule R10).

/// The longest foreign text in a prompt, in characters.
pub const PROMPT_CHARS: usize = 40;

/// The longest foreign text in a log value, in characters.
pub const LOG_CHARS: usize = 200;

/// Drops what could move a cursor, hide or reorder text, folds white space to one blank, and cuts
/// to `max` characters (a cut text ends in `…`).
#[must_use]
pub fn clean(text: &str, max: usize) -> String {
    let mut out = String::new();
    let mut length = 0;
    let mut blank = false;
    for c in text.chars().filter(|&c| !is_hostile(c)) {
        if c.is_whitespace() {
            blank = length > 0;
            continue;
        }
        let needed = if blank { 2 } else { 1 };
        if length + needed > max {
            out.push('…');
            return out;
        }
        if std::mem::take(&mut blank) {
            out.push(' ');
        }
        out.push(c);
        length += needed;
    }
    out
}

/// A line of a file or a prompt, at its full length: what could move a cursor, hide or reorder text
/// is dropped, white space stays.
#[must_use]
pub fn printable(line: &str) -> String {
    line.chars()
        .filter(|&c| !is_hostile(c) && !matches!(c, '\r' | '\n' | '\x0b' | '\x0c' | '\u{85}'))
        .collect()
}

/// The longest fault of a configuration in the log: it holds advice, and nothing foreign.
pub const FAULT_CHARS: usize = 600;

/// `key=value` for the log; the value is cleaned, and quoted where it would be ambiguous.
#[must_use]
pub fn pair(key: &str, value: &str) -> String {
    fact(key, value, LOG_CHARS)
}

/// As [`pair`], with a limit of its own, in characters.
#[must_use]
pub fn fact(key: &str, value: &str, max: usize) -> String {
    let value = clean(value, max);
    let plain = |c: char| c.is_alphanumeric() || "._-:/@+,$".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        format!("{key}={value}")
    } else {
        let quoted: String = value
            .chars()
            .flat_map(|c| match c {
                '"' | '\\' => vec!['\\', c],
                _ => vec![c],
            })
            .collect();
        format!("{key}=\"{quoted}\"")
    }
}

/// Characters that must not reach a terminal or log from outside: controls (line ends and tabs
/// are white space and folded before), format characters that hide or reorder text, private use
/// and the tag block.
fn is_hostile(c: char) -> bool {
    (c.is_control() && !c.is_whitespace())
        || matches!(u32::from(c),
            0x00AD | 0x034F | 0x061C | 0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x180B..=0x180F
            | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0x3164
            | 0xE000..=0xF8FF | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFF
            | 0x1D173..=0x1D17A | 0xE0000..=0x0010_FFFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r10_hostile_characters_are_dropped() {
        assert_eq!(
            clean("\x1b]0;owned\x07Bob\u{202e}phone\u{200b}", 40),
            "]0;ownedBobphone"
        );
        assert_eq!(clean("two\r\nlines\tof  text", 40), "two lines of text");
        assert_eq!(clean("\u{9b}31mred", 40), "31mred");
        assert_eq!(clean("Zoë's Händy 電話", 40), "Zoë's Händy 電話");
    }

    #[test]
    fn a_line_keeps_its_white_space_and_nothing_hostile() {
        assert_eq!(
            printable("auth\t  x\x1b[2K\r\u{202e}#\u{2028}\u{85}"),
            "auth\t  x[2K#"
        );
    }

    #[test]
    fn r10_long_text_is_cut_and_says_so() {
        assert_eq!(clean("abcdef", 6), "abcdef");
        assert_eq!(clean("abcdefg", 6), "abcdef…");
        assert_eq!(clean(&"x".repeat(1 << 20), 40).chars().count(), 41);
        assert_eq!(clean("ab cd", 3), "ab…");
    }

    #[test]
    fn r10_a_log_value_cannot_forge_another_pair() {
        assert_eq!(pair("user", "alice"), "user=alice");
        assert_eq!(pair("user", "a b"), "user=\"a b\"");
        assert_eq!(
            pair("user", "x\" reason=\"y"),
            "user=\"x\\\" reason=\\\"y\""
        );
        assert_eq!(
            pair("user", "a\nOct 1 sshd: accepted"),
            "user=\"a Oct 1 sshd: accepted\""
        );
        assert_eq!(pair("rhost", ""), "rhost=\"\"");
        assert_eq!(pair("user", "a=b"), "user=\"a=b\"");
    }
}

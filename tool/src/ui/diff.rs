//! A change of a file, for the terminal: one hunk, as `diff -u` shows it.

use crate::ui::console::{Paint, paint};
use pam_onelogin::text::printable;
use std::path::Path;

/// How many lines around the change are shown.
const AROUND: usize = 3;

/// The change of this file.
pub(crate) fn diff(path: &Path, old: &[u8], new: &[u8]) -> String {
    if old.contains(&0) || new.contains(&0) {
        let text = format!("{}: changes (not a text file)", path.display());
        return paint(Paint::Bold, &text);
    }
    let (old, new) = (lines(old), lines(new));
    let same = |pair: &(&String, &String)| pair.0 == pair.1;
    let head = old.iter().zip(&new).take_while(same).count();
    let rest = old.len().min(new.len()) - head;
    let tail = old.iter().rev().zip(new.iter().rev());
    let tail = tail.take(rest).take_while(same).count();
    let part = |lines: &[String], from: usize, to: usize| -> Vec<String> {
        let count = to.saturating_sub(from);
        lines.iter().skip(from).take(count).cloned().collect()
    };
    let start = head.saturating_sub(AROUND);
    let mut text = paint(Paint::Bold, &format!("{}:{}", path.display(), head + 1));
    let mut add = |lines: Vec<String>, sign: &str, colour: Option<Paint>| {
        for line in lines {
            let line = format!("{sign} {}", printable(&line));
            let line = colour.map_or_else(|| line.clone(), |colour| paint(colour, &line));
            text.push('\n');
            text.push_str(line.trim_end());
        }
    };
    add(part(&old, start, head), " ", None);
    add(part(&old, head, old.len() - tail), "-", Some(Paint::Bad));
    add(part(&new, head, new.len() - tail), "+", Some(Paint::Good));
    let end = old.len() - tail;
    add(part(&old, end, old.len().min(end + AROUND)), " ", None);
    text
}

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes)
        .lines()
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_shown_with_the_lines_around_it() {
        let old = b"1\n2\n3\n4\n\x1b[31m5\n6\n7\n8\n9\n";
        let new = b"1\n2\n3\n4\nfive\n5b\n6\n7\n8\n9\n";
        let text = diff(Path::new("/etc/x"), old, new);
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(
            plain,
            "/etc/x:5\n  2\n  3\n  4\n- [31m5\n+ five\n+ 5b\n  6\n  7\n  8"
        );
        let grown = diff(Path::new("/etc/x"), b"a\n", b"a\na\n");
        assert!(grown.contains("+ a"), "{grown}");
        let compiled = diff(Path::new("/etc/x"), b"a\n\0", b"b\n\0");
        assert!(compiled.contains("/etc/x: changes"), "{compiled}");
        assert!(!compiled.contains('\n'), "{compiled}");
    }
}

//! The lists that `HAProxy` compares line by line: revoked serial numbers, and users who may enrol. A line in another form than
//! `HAProxy` compares never matches, and `HAProxy` says nothing about it.

use crate::outcome::Failure;
use pam_onelogin::text::printable;
use std::path::Path;

/// The most digits of a serial number: 20 bytes (RFC 5280, section 4.1.2.2).
const DIGITS: usize = 40;

/// What is wrong with a line of the list of revoked certificates that is not a serial number.
pub(crate) const NEVER_MATCHES: &str =
    "is not a serial number as HAProxy compares it, so it never matches";

/// Refuses a list of revoked certificates with a line that never matches: its certificate would still be good.
pub(crate) fn revoked(path: &Path) -> Result<(), Failure> {
    let text = std::fs::read(path).map_err(|error| Failure::at(path, error))?;
    let text = String::from_utf8_lossy(&text);
    let wrong = patterns(&text).filter_map(|(number, line)| {
        let advice = instead(line)?;
        let (path, line) = (path.display(), printable(line));
        Some(format!(
            "{path}:{number}: \"{line}\" {NEVER_MATCHES}; {advice}"
        ))
    });
    match wrong.collect::<Vec<_>>() {
        faults if faults.is_empty() => Ok(()),
        faults => Err(Failure(faults)),
    }
}

/// The serial numbers in the file that `HAProxy` can compare.
pub(crate) fn serials(path: &Path) -> Vec<String> {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let serials = patterns(&text).map(|(_, serial)| serial);
    let serials = serials.filter(|serial| is_serial(serial));
    serials.map(str::to_ascii_uppercase).collect()
}

/// What to write in place of a line of the list of revoked certificates that never matches; `None` for a right line.
pub(crate) fn instead(line: &str) -> Option<String> {
    if is_serial(line) {
        return None;
    }
    Some(match meant(line) {
        Some(serial) => format!("write this line instead: \"{serial}\""),
        None => "write the serial number as this command prints it, without \"serial=\": \"openssl x509 -noout -serial -in CERTIFICATE\"".to_owned(),
    })
}

/// The lines of a list as `HAProxy` reads them, counted from 1: it skips empty lines and lines that begin with `#`, and keeps
/// spaces at the end. A comment after spaces never matches, and should not.
pub(crate) fn patterns(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.split('\n').zip(1..);
    lines.filter_map(|(line, number)| {
        let line = line.split('\r').next().unwrap_or_default();
        let line = line.trim_start_matches([' ', '\t']);
        (!line.is_empty() && !line.starts_with('#')).then_some((number, line))
    })
}

/// Whether it has the form of `ssl_c_serial,hex` in `HAProxy`: two digits for each byte, without bytes of zeros before it. The
/// rule compares without regard to case.
fn is_serial(text: &str) -> bool {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_short = text.len() > 2 && text.starts_with("00");
    is_hex && text.len() % 2 == 0 && (2..=DIGITS).contains(&text.len()) && !is_short
}

/// The serial number that a line in another form has, as far as it can be told.
fn meant(line: &str) -> Option<String> {
    let text = line
        .split('#')
        .next()
        .unwrap_or_default()
        .to_ascii_uppercase();
    let text = text.trim();
    let text = text.strip_prefix("SERIAL=").unwrap_or(text);
    let text = text.strip_prefix("0X").unwrap_or(text);
    let is_hex = |text: &str| text.chars().all(|c| c.is_ascii_hexdigit() || c == ':');
    // "0A 01" is one number, and "0A01 web1" a number with a remark.
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_in_bytes = words.iter().all(|word| word.len() == 2);
    let number = if is_in_bytes {
        words.concat()
    } else {
        (*words.first()?).to_owned()
    };
    if !is_hex(&number) {
        return None;
    }
    let digits = number.replace(':', "");
    let digits = digits.trim_start_matches('0');
    let even = digits.len().next_multiple_of(2);
    let serial = format!("{digits:0>even$}");
    is_serial(&serial).then_some(serial)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_in_another_form_shows_the_serial_number_that_it_means() {
        for (line, serial) in [
            ("A01", Some("0A01")),
            ("0a01 ", Some("0A01")),
            ("0x0A01", Some("0A01")),
            ("000A01", Some("0A01")),
            ("0A:01", Some("0A01")),
            ("0A 01", Some("0A01")),
            ("serial=0A01", Some("0A01")),
            ("0A01 # web1", Some("0A01")),
            ("0A01 web1", Some("0A01")),
            ("web1.hosts.test", None),
            ("+0A01", None),
            ("", None),
            ("é", None),
        ] {
            assert_eq!(meant(line).as_deref(), serial, "{line:?}");
            assert!(!is_serial(line), "{line:?}");
        }
        for serial in ["0A01", "0a01", "01", "7F00", &"AB".repeat(20)] {
            assert!(is_serial(serial), "{serial}");
        }
        // A fingerprint is longer.
        assert!(!is_serial(&"AB".repeat(32)));
        assert_eq!(meant(&"AB".repeat(32)), None);
    }

    #[test]
    fn lines_are_numbered_as_an_editor_does() {
        let text = "# a\n\n01\r\n  02\n\t# b\n03 \n";
        let lines: Vec<_> = patterns(text).collect();
        assert_eq!(lines, [(3, "01"), (4, "02"), (6, "03 ")]);
    }
}

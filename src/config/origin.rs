//! The one host that the module talks to.

use std::fmt;

/// `https://host[:port]`, checked: no user, no path, no query (rule R6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Reads an origin; a single `/` at the end is dropped.
    ///
    /// # Errors
    /// What is wrong with it, as the rest of a sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let rest = text
            .strip_prefix("https://")
            .ok_or("must begin with \"https://\"")?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        };
        let label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if host.len() > 253 || !host.split('.').all(label) {
            return Err("must hold a host name and nothing behind it but a port");
        }
        let is_port = |port: &str| {
            port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|n| n > 0)
        };
        if !port.is_none_or(is_port) {
            return Err("has a port that is not 1 to 65535");
        }
        Ok(Self(format!("https://{rest}")))
    }

    /// `https://host[:port]`, without a slash at the end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_and_without_a_port_are_read() {
        for text in [
            "https://acme.onelogin.com",
            "https://localhost:8443",
            "https://127.0.0.1:1",
        ] {
            assert_eq!(Origin::parse(text).unwrap().as_str(), text);
        }
        assert_eq!(
            Origin::parse("https://acme.onelogin.com/")
                .unwrap()
                .as_str(),
            "https://acme.onelogin.com"
        );
    }

    #[test]
    fn r06_anything_but_https_to_one_host_is_refused() {
        for text in [
            "",
            "acme.onelogin.com",
            "http://acme.onelogin.com",
            "HTTPS://x.com",
            "https://",
            "https://user@host",
            "https://user:pw@host",
            "https://host/path",
            "https://host?x",
            "https://host#x",
            "https://host:0",
            "https://host:65536",
            "https://host:",
            "https://a..b",
            "https://-a.b",
            "https://a b",
            "https://[::1]",
            "https://host\\@evil",
            "https://host:+1",
            "https://höst",
        ] {
            assert!(Origin::parse(text).is_err(), "{text}");
        }
    }
}

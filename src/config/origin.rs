//! The one host that the module talks to, and the proxy on the way there, if any.

use crate::secret::Secret;
use std::fmt;
use zeroize::Zeroizing;

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
        place(rest)?;
        Ok(Self(format!("https://{rest}")))
    }

    /// The name or address of the host.
    #[must_use]
    pub fn host(&self) -> &str {
        self.parts().0
    }

    /// The port, 443 where none is said.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.parts().1
    }

    fn parts(&self) -> (&str, u16) {
        let rest = self.0.strip_prefix("https://").unwrap_or(&self.0);
        match rest.split_once(':') {
            Some((host, port)) => (host, port.parse().unwrap_or(443)),
            None => (rest, 443),
        }
    }

    /// `https://host[:port]`, without a slash at the end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `host:port`.
    #[must_use]
    pub fn authority(&self) -> String {
        let place = self.0.trim_start_matches("https://");
        if place.contains(':') {
            place.to_owned()
        } else {
            format!("{place}:443")
        }
    }
}

/// A proxy: the only one that is ever used (rule R3).
pub struct Proxy {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// `user:password`, for itself alone.
    pub credential: Option<Secret>,
}

impl Proxy {
    /// Reads `http://[user:password@]host:port`; signs in user and password may be percent-encoded.
    ///
    /// # Errors
    /// What is wrong with it, as the rest of a sentence, which holds nothing of the text.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let rest = text
            .strip_prefix("http://")
            .ok_or("must begin with \"http://\"")?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (credential, rest) = match rest.rsplit_once('@') {
            Some((credential, rest)) => (Some(decoded(credential)?), rest),
            None => (None, rest),
        };
        let (host, port) = place(rest)?;
        Ok(Self {
            host: host.to_owned(),
            port: port.ok_or("needs a port")?,
            credential,
        })
    }
}

/// A `user:password` without its percent signs.
fn decoded(credential: &str) -> Result<Secret, &'static str> {
    const WHY: &str = "must have user and password in the form \"user:password\"";
    let mut bytes = Zeroizing::new(Vec::with_capacity(credential.len()));
    let mut rest = credential.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next(), rest.next()].map(|digit| char::from(digit.unwrap_or(0)));
                let [Some(high), Some(low)] = digits.map(|digit| digit.to_digit(16)) else {
                    return Err(
                        "has a % without two hexadecimal digits; write %25 for a percent sign",
                    );
                };
                u8::try_from(high * 16 + low).map_err(|_| WHY)?
            }
            other => other,
        });
    }
    let is_pair = credential
        .split_once(':')
        .is_some_and(|(user, _)| !user.is_empty());
    Secret::from_bytes(&bytes)
        .filter(|secret| is_pair && secret.all(|c| !c.is_control()))
        .ok_or(WHY)
}

/// `host[:port]`.
fn place(text: &str) -> Result<(&str, Option<u16>), &'static str> {
    if text.contains(['/', '?', '#']) {
        return Err("must have a host name and an optional port; remove what is after them");
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
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
        return Err("must have a host name, an optional port and nothing else");
    }
    let number = |port: &str| {
        let is_number = port.bytes().all(|b| b.is_ascii_digit());
        let port = port.parse::<u16>().ok().filter(|&n| is_number && n > 0);
        port.ok_or("must have a port from 1 to 65535")
    };
    Ok((host, port.map(number).transpose()?))
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
        let origin = Origin::parse("https://localhost:8443").unwrap();
        assert_eq!((origin.host(), origin.port()), ("localhost", 8443));
        let origin = Origin::parse("https://acme.onelogin.com").unwrap();
        assert_eq!((origin.host(), origin.port()), ("acme.onelogin.com", 443));
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

    #[test]
    fn a_path_is_named_as_what_is_wrong_also_after_a_port() {
        for text in [
            "https://localhost:8443/api/2",
            "https://acme.onelogin.com/api/2",
        ] {
            let why = Origin::parse(text).err().unwrap();
            assert!(why.contains("remove what is after them"), "{text}: {why}");
        }
    }

    #[test]
    fn a_proxy_has_a_port_and_perhaps_a_user_and_a_password() {
        let proxy = Proxy::parse("http://proxy.example.com:3128").unwrap();
        assert_eq!(
            (proxy.host.as_str(), proxy.port),
            ("proxy.example.com", 3128)
        );
        assert!(proxy.credential.is_none());
        for (text, credential) in [
            ("http://user:password@10.0.0.1:80/", "user:password"),
            ("http://user:p%40ss%3a%25@proxy:80", "user:p@ss:%"),
            ("http://user:p@ss:word/@proxy:80", "user:p@ss:word/"),
            ("http://user:@proxy:80", "user:"),
        ] {
            let proxy = Proxy::parse(text).unwrap();
            assert_eq!(proxy.port, 80, "{text}");
            assert!(
                proxy
                    .credential
                    .unwrap()
                    .same_as(&Secret::new(credential.to_owned())),
                "{text}"
            );
        }
    }

    #[test]
    fn r11_what_is_no_proxy_is_refused_without_its_password() {
        for text in [
            "",
            "proxy:3128",
            "https://proxy:3128",
            "socks5://proxy:1080",
            "http://proxy",
            "http://proxy:0",
            "http://proxy:3128/path",
            "http://word@proxy:3128",
            "http://:word@proxy:3128",
            "http://user:wor%d@proxy:3128",
            "http://user:word%@proxy:3128",
            "http://user:word%0d%0aHost:@proxy:3128",
            "http://user:word%ff@proxy:3128",
            "http://user:word@",
        ] {
            let why = Proxy::parse(text).map(|_| ()).unwrap_err();
            assert!(
                !why.contains("word@") && !why.contains("wor%"),
                "{text}: {why}"
            );
        }
    }
}

//! The words behind `pam_onelogin.so` in a stack.

use crate::config::ConfigFault;
use crate::config::table::nearest;

/// The configuration file when the stack names none.
pub const DEFAULT_CONFIG: &str = "/etc/pam_onelogin/config.toml";

/// The module's arguments.
#[derive(Debug, PartialEq, Eq)]
pub struct Args {
    /// `config=PATH`: the configuration file, an absolute path.
    pub config: String,
    /// `behind=key`: deny every login, also of exempt users, for which sshd has accepted no key.
    pub behind_key: bool,
    /// `debug`: as `log_level = "debug"`.
    pub debug: bool,
}

impl Args {
    /// Reads the arguments.
    ///
    /// # Errors
    /// One [`ConfigFault`] for each word that is not an argument of this module.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, Vec<ConfigFault>> {
        let mut args = Self {
            config: DEFAULT_CONFIG.to_owned(),
            behind_key: false,
            debug: false,
        };
        let mut faults = Vec::new();
        for word in words {
            match word {
                b"debug" => args.debug = true,
                b"behind=key" => args.behind_key = true,
                word => match word.strip_prefix(b"config=").map(std::str::from_utf8) {
                    Some(Ok(path)) if path.starts_with('/') => path.clone_into(&mut args.config),
                    Some(_) => faults.push(ConfigFault::argument(
                        word,
                        "the path after \"config=\" must be absolute",
                    )),
                    None => faults.push(unknown(word)),
                },
            }
        }
        if faults.is_empty() {
            Ok(args)
        } else {
            Err(faults)
        }
    }
}

/// The fault of a word that is not an argument.
fn unknown(word: &[u8]) -> ConfigFault {
    let all = "the arguments are \"config=PATH\", \"behind=key\" and \"debug\"";
    let name = word.split(|&byte| byte == b'=').next().unwrap_or(word);
    let name = String::from_utf8_lossy(name);
    match nearest(&name, &["config", "behind", "debug"]) {
        Some(near) if near != name => {
            ConfigFault::argument(word, format_args!("did you mean \"{near}\"? {all}"))
        }
        _ => ConfigFault::argument(word, all),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Args, Vec<ConfigFault>> {
        Args::parse(words.iter().map(|word| word.as_bytes()))
    }

    #[test]
    fn no_argument_means_the_default_file() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.config, DEFAULT_CONFIG);
        assert!(!args.debug && !args.behind_key);
    }

    #[test]
    fn each_argument_is_read() {
        let args = parse(&["debug", "config=/etc/x.toml", "behind=key"]).unwrap();
        assert_eq!(args.config, "/etc/x.toml");
        assert!(args.debug && args.behind_key);
    }

    #[test]
    fn anything_else_is_a_fault() {
        for word in [
            "debugg",
            "config",
            "config=",
            "config=x.toml",
            "behind=",
            "behind=password",
            "use_first_pass",
            "",
            "nullok",
        ] {
            let faults = parse(&[word]).unwrap_err();
            assert_eq!(faults.len(), 1, "{word}");
            assert!(faults[0].to_string().contains("argument"), "{}", faults[0]);
        }
        assert_eq!(parse(&["a", "b"]).unwrap_err().len(), 2);
    }

    #[test]
    fn the_fault_of_a_misspelt_argument_names_the_one_that_was_meant() {
        for (word, meant) in [
            ("behid=key", Some("behind")),
            ("behnid=key", Some("behind")),
            ("confg=/etc/x.toml", Some("config")),
            ("debugg", Some("debug")),
            ("behind=password", None),
            ("nullok", None),
        ] {
            let said = parse(&[word]).unwrap_err()[0].to_string();
            let meant = meant.map(|meant| format!("did you mean \"{meant}\"?"));
            assert_eq!(said.contains("did you mean"), meant.is_some(), "{said}");
            assert!(said.contains(&meant.unwrap_or_default()), "{said}");
        }
    }
}

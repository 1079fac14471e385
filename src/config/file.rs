//! Opens and checks the files that an admin wrote, and reads the configuration from them.

use super::{Config, Fault, SecretSource, parse};
use crate::secret::Secret;
use crate::trust::{FileError, Privacy, Trusted};
use std::path::Path;
use zeroize::Zeroizing;

/// The longest configuration, in bytes.
const MAX_CONFIG: u64 = 64 << 10;

/// The longest file with a client secret, in bytes.
const MAX_SECRET: u64 = 4 << 10;

/// Why there is no configuration.
#[derive(Debug)]
pub enum LoadError {
    /// The process may not read it, because it is not root's: a lock screen, say.
    Unprivileged,
    /// What an admin has to mend.
    Faults(Vec<Fault>),
}

/// A configuration with the secret that it names.
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// The secret of the API credential.
    pub client_secret: Secret,
}

/// Reads the configuration, and the file with the client secret if it names one. The
/// configuration must be readable by its owner only: it may hold the secret.
///
/// # Errors
/// [`LoadError`].
pub fn load(path: &Path, trusted: Trusted) -> Result<Loaded, LoadError> {
    let text = text(path, trusted, MAX_CONFIG)?;
    let mut config = parse(&path.display().to_string(), &text).map_err(LoadError::Faults)?;
    let nothing = SecretSource::Inline(Secret::new(String::new()));
    let client_secret = match std::mem::replace(&mut config.onelogin.client_secret, nothing) {
        SecretSource::Inline(secret) => secret,
        SecretSource::File(path) => {
            let text = self::text(&path, trusted, MAX_SECRET)?;
            let secret = text.trim_end_matches(['\r', '\n']);
            if secret.is_empty() || secret.contains(char::is_whitespace) {
                let text = "must hold the client secret on one line and nothing else";
                return Err(LoadError::Faults(vec![Fault::of_file(&path, text)]));
            }
            Secret::new(secret.to_owned())
        }
    };
    Ok(Loaded {
        config,
        client_secret,
    })
}

fn text(path: &Path, trusted: Trusted, max: u64) -> Result<Zeroizing<String>, LoadError> {
    let fault = |text: String| LoadError::Faults(vec![Fault::of_file(path, text)]);
    let bytes = trusted
        .read(path, Privacy::Secret, max)
        .map_err(|error| match error {
            FileError::NotPermitted => LoadError::Unprivileged,
            FileError::Refused(text) => fault(text),
        })?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(error) => Err(fault(format!(
            "is not UTF-8 text, at byte {}",
            error.valid_up_to()
        ))),
    }
}

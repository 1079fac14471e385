//! Opens and checks the files that an admin wrote, and reads the configuration from them.

use super::dates::Dates;
use super::{Access, Config, ConfigFault, SecretSource, parse};
use crate::map::{Entries, Map};
use crate::secret::Secret;
use crate::trust::{FileError, Privacy, Trusted};
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The longest configuration, in bytes.
const MAX_CONFIG: u64 = 64 << 10;

/// The longest file with a client secret, in bytes.
const MAX_SECRET: u64 = 4 << 10;

/// The longest map file, in bytes: some hundred thousand lines.
const MAX_MAP: u64 = 16 << 20;

/// The longest list of unsafe tenants, in bytes.
const MAX_UNSAFE: u64 = 64 << 10;

/// Why there is no configuration.
#[derive(Debug)]
pub enum LoadError {
    /// The process may not read it, because it is not root's: a lock screen, say.
    Unprivileged,
    /// What an administrator has to fix.
    Faults(Vec<ConfigFault>),
}

/// A configuration with what it names.
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// When the configuration was last changed, in seconds since 1970.
    pub changed: u64,
    /// The secrets of the API credentials; `None` where a gateway has them.
    pub secrets: Option<Secrets>,
    /// The map file.
    pub map: Map,
    /// Why acceptances of this tenant count for nothing: `check --prove` saw that it accepts what it must refuse, or the
    /// list of such tenants cannot be read. `None` where neither is so.
    pub unsafe_tenant: Option<String>,
}

impl Loaded {
    /// With what differs in logins by this PAM service.
    #[must_use]
    pub fn for_service(mut self, name: &str) -> Self {
        self.config = self.config.for_service(name);
        self
    }

    /// What decides whether a setting with an end applies, with the clock of the system at `now`.
    #[must_use]
    pub fn dates(&self, now: u64) -> Dates {
        let changed = self.changed;
        Dates { now, changed }
    }
}

/// The secrets of the API credentials.
pub struct Secrets {
    /// Of `[onelogin]`.
    pub verify: Secret,
    /// Of `[onelogin.lookup]`.
    pub lookup: Option<Secret>,
}

impl Secrets {
    /// Each secret, in the order of [`Access::credentials`].
    pub fn all(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.verify).chain(&self.lookup)
    }
}

/// Reads the configuration, and the files that it names. The configuration must be readable by
/// its owner only: it may hold the secret.
///
/// # Errors
/// [`LoadError`].
pub fn load(path: &Path, trusted: Trusted) -> Result<Loaded, LoadError> {
    let file = trusted.open(path, Privacy::Secret, MAX_CONFIG);
    let file = file.map_err(|error| unread(path, error))?;
    let changed = file
        .metadata()
        .map_or(u64::MAX, |metadata| changed(&metadata));
    let bytes = trusted.read_opened(file, Privacy::Secret, MAX_CONFIG);
    let text = text_of(path, bytes)?;
    let mut config = parse(&path.display().to_string(), &text).map_err(LoadError::Faults)?;
    Ok(Loaded {
        changed,
        secrets: secrets(&mut config.onelogin.access, trusted)?,
        map: map(&config, trusted)?,
        unsafe_tenant: unsafe_tenant(path, &config, trusted),
        config,
    })
}

/// When a file was last changed, in seconds since 1970; 0 before that.
#[must_use]
pub fn changed(metadata: &Metadata) -> u64 {
    u64::try_from(metadata.mtime()).unwrap_or_default()
}

/// Takes the secrets from where they are written.
fn secrets(access: &mut Access, trusted: Trusted) -> Result<Option<Secrets>, LoadError> {
    let Access::Credentials { verify, lookup } = access else {
        return Ok(None);
    };
    let verify = secret(&mut verify.client_secret, trusted)?;
    let lookup = match lookup {
        Some(credential) => Some(secret(&mut credential.client_secret, trusted)?),
        None => None,
    };
    Ok(Some(Secrets { verify, lookup }))
}

/// Takes a secret from where it is written.
fn secret(source: &mut SecretSource, trusted: Trusted) -> Result<Secret, LoadError> {
    let nothing = SecretSource::Inline(Secret::new(String::new()));
    match std::mem::replace(source, nothing) {
        SecretSource::Inline(secret) => Ok(secret),
        SecretSource::File(path) => secret_file(&path, Privacy::Secret, trusted),
    }
}

/// Reads a file that contains a client secret and nothing else.
///
/// # Errors
/// [`LoadError`].
pub fn secret_file(path: &Path, privacy: Privacy, trusted: Trusted) -> Result<Secret, LoadError> {
    let text = text(path, trusted, privacy, MAX_SECRET)?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() || secret.contains(char::is_whitespace) {
        let text = "must contain only the client secret, on one line";
        return Err(LoadError::Faults(vec![ConfigFault::of_file(path, text)]));
    }
    Ok(Secret::new(secret.to_owned()))
}

/// The file with the unsafe tenants, beside the configuration: a process that may read the one may read the other.
/// Each line is a URL, a `client_id` (or `client_cert`, for a gateway), and what follows is for people. `#` begins a comment.
#[must_use]
pub fn unsafe_tenants(config: &Path) -> PathBuf {
    config.with_file_name("unsafe-tenants")
}

/// Whether a line of the list is about this URL, however it is spelt, and this `client_id`.
#[must_use]
pub fn is_about(line: &str, url: &str, client_id: &str) -> bool {
    fn place(url: &str) -> &str {
        let url = url.strip_suffix('/').unwrap_or(url);
        url.strip_suffix(":443").unwrap_or(url)
    }
    let mut words = line.split_ascii_whitespace();
    let named = words.next().map(place);
    named.is_some_and(|named| named.eq_ignore_ascii_case(place(url)))
        && words.next() == Some(client_id)
}

/// Why the tenant is unsafe. One system call where there is no list.
fn unsafe_tenant(config_path: &Path, config: &Config, trusted: Trusted) -> Option<String> {
    let path = unsafe_tenants(config_path);
    match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        _ => {}
    }
    let named = |why: &str| Some(format!("{}: {why}", path.display()));
    let list = match trusted.read(&path, Privacy::Public, MAX_UNSAFE) {
        Ok(list) => list,
        Err(error) => return named(&error.to_string()),
    };
    let Ok(list) = std::str::from_utf8(&list) else {
        return named("is not UTF-8 text");
    };
    let onelogin = &config.onelogin;
    let is_about = |line| is_about(line, onelogin.origin.as_str(), onelogin.access.name());
    list.lines()
        .any(is_about)
        .then(|| path.display().to_string())
}

fn map(config: &Config, trusted: Trusted) -> Result<Map, LoadError> {
    let Some(path) = &config.users.map_file else {
        return Ok(Map::default());
    };
    let text = text(path, trusted, Privacy::Public, MAX_MAP)?;
    let entries = match config.users.attribute {
        Some(_) => Entries::NamesAndIds,
        None => Entries::Ids,
    };
    Map::parse(&path.display().to_string(), &text, entries).map_err(LoadError::Faults)
}

fn text(
    path: &Path,
    trusted: Trusted,
    privacy: Privacy,
    max: u64,
) -> Result<Zeroizing<String>, LoadError> {
    text_of(path, trusted.read(path, privacy, max))
}

/// The text of a file that was read.
fn text_of(
    path: &Path,
    bytes: Result<Zeroizing<Vec<u8>>, FileError>,
) -> Result<Zeroizing<String>, LoadError> {
    let bytes = bytes.map_err(|error| unread(path, error))?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(error) => {
            let place = error.valid_up_to();
            let text = format!("is not UTF-8 text, at byte {place}");
            Err(unread(path, FileError::Refused(text)))
        }
    }
}

fn unread(path: &Path, error: FileError) -> LoadError {
    match error {
        FileError::NotPermitted => LoadError::Unprivileged,
        FileError::Refused(text) => LoadError::Faults(vec![ConfigFault::of_file(path, text)]),
    }
}

//! Hands the token to `HAProxy`: over its admin socket, and in the file that it reads when it starts.

use crate::gateway::keeper::Held;
use crate::host::files::{self, Metadata};
use crate::outcome::Failure;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// The key of the token in the map.
const TOKEN: &str = "token";

/// The key of the end of the token in the map.
const END: &str = "end";

/// How long to wait for `HAProxy`.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest answer of `HAProxy` that is read, in bytes: a list of more revoked certificates than there are hosts.
const LONGEST: u64 = 16 << 20;

/// The file of the map can be read by its owner and by the group, in which `HAProxy` is.
const MODE: u32 = 0o640;

/// A `HAProxy`, running or not.
pub(crate) struct Haproxy {
    /// Its admin socket.
    pub(crate) socket: PathBuf,
    /// The file of its map, which is also the name of the map.
    pub(crate) map: PathBuf,
}

impl Haproxy {
    /// Writes the file, which `HAProxy` reads when it starts.
    pub(crate) fn store(&self, held: Option<&Held>) -> Result<(), Failure> {
        let mut text = Zeroizing::new(String::with_capacity(held.map_or(0, size)));
        if let Some(held) = held {
            let _ = writeln!(text, "{TOKEN} {}\n{END} {}", held.bearer.expose(), held.end);
        }
        files::replace(&self.map, text.as_bytes(), &Metadata::own(MODE))
    }

    /// Changes the map of the running `HAProxy`. Both entries change at the same moment, or none does.
    pub(crate) fn set(&self, held: Option<&Held>) -> Result<(), Failure> {
        let map = escaped(&self.map);
        let answer = self.ask(&format!("prepare map {map}\n"))?;
        let version = answer.trim().strip_prefix("New version created: ");
        let version = version.and_then(|version| version.parse::<u32>().ok());
        let version = version.ok_or_else(|| self.unexpected(&answer))?;
        if let Some(held) = held {
            let length = size(held) + 2 * (map.len() + 40);
            let mut text = Zeroizing::new(String::with_capacity(length));
            let token = held.bearer.expose();
            let _ = write!(text, "add map @{version} {map} {TOKEN} {token};");
            let _ = writeln!(text, "add map @{version} {map} {END} {}", held.end);
            self.command(&text)?;
        }
        self.command(&format!("commit map @{version} {map}\n"))
    }

    /// Whether the map of the running `HAProxy` has the end of this token. The token itself is not read.
    pub(crate) fn has(&self, held: Option<&Held>) -> Result<bool, Failure> {
        let map = escaped(&self.map);
        let answer = self.ask(&format!("get map {map} {END}\n"))?;
        Ok(match held {
            Some(held) => answer.contains(&format!("value=\"{}\"", held.end)),
            None => answer.contains("found=no"),
        })
    }

    /// The end of the token in the map of the running `HAProxy`, in seconds since 1970; `None` without a token. The token
    /// itself is not read.
    pub(crate) fn end(&self) -> Result<Option<u64>, Failure> {
        let map = escaped(&self.map);
        let answer = self.ask(&format!("get map {map} {END}\n"))?;
        if answer.contains("found=no") {
            return Ok(None);
        }
        let value = answer.split_once("value=\"");
        let value = value.and_then(|(_, behind)| behind.split('"').next());
        let end = value.and_then(|value| value.parse().ok());
        end.map_or_else(|| Err(self.unexpected(&answer)), |end| Ok(Some(end)))
    }

    /// A command that has no answer if it succeeds.
    fn command(&self, command: &str) -> Result<(), Failure> {
        let answer = self.ask(command)?;
        if answer.trim().is_empty() {
            Ok(())
        } else {
            Err(self.unexpected(&answer))
        }
    }

    /// The answer to a command, which ends with a line feed.
    pub(crate) fn ask(&self, command: &str) -> Result<String, Failure> {
        talk(&self.socket, command).map_err(|error| Failure::at(&self.socket, error))
    }

    /// The answer itself is not told: `unable to parse 'VALUE'` repeats the token.
    fn unexpected(&self, answer: &str) -> Failure {
        let is_unknown = answer.contains("Unknown map identifier");
        let why = if is_unknown {
            "HAProxy has no such map; write the configuration anew by \"pam-onelogin gateway config\""
        } else {
            "HAProxy does not take the token; its version must be 2.6 or newer, and its configuration that of \"pam-onelogin gateway config\""
        };
        Failure::at(
            &self.socket,
            format_args!("the map {}: {why}", self.map.display()),
        )
    }
}

/// The length of a token with its end as text, and more.
fn size(held: &Held) -> usize {
    held.bearer.len() + 40
}

/// A path as a word of a command.
pub(crate) fn escaped(path: &Path) -> String {
    let mut word = String::new();
    for c in path.to_string_lossy().chars() {
        if matches!(c, '\\' | ' ' | ';') {
            word.push('\\');
        }
        word.push(c);
    }
    word
}

/// Sends a line to an admin socket and reads the answer. A `HAProxy` that hangs must not stop the keeper: if no further
/// connection fits into its queue, the connection fails.
fn talk(socket: &Path, line: &str) -> io::Result<String> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&fd, &SocketAddrUnix::new(socket)?)?;
    let mut stream = UnixStream::from(fd);
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(line.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pam_onelogin::secret::Secret;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_file_has_both_entries_or_none_and_is_private_to_owner_and_group() {
        let folder = tempfile::tempdir().unwrap();
        let haproxy = Haproxy {
            socket: folder.path().join("none.sock"),
            map: folder.path().join("token.map"),
        };
        let held = Held {
            bearer: Secret::new("t0k".to_owned()),
            end: 1234,
        };
        haproxy.store(Some(&held)).unwrap();
        let text = || fs::read_to_string(&haproxy.map).unwrap();
        assert_eq!(text(), "token t0k\nend 1234\n");
        let mode = fs::metadata(&haproxy.map).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o640);
        haproxy.store(None).unwrap();
        assert_eq!(text(), "");
        let failure = haproxy.set(Some(&held)).unwrap_err();
        assert!(failure.0.concat().contains("none.sock"), "{failure:?}");
    }

    #[test]
    fn a_path_stays_one_word_of_a_command() {
        assert_eq!(escaped(Path::new("/a b/c;d\\e")), "/a\\ b/c\\;d\\\\e");
    }
}

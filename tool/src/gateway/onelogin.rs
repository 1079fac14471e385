//! The two calls of the keeper at OneLogin: for a token, and to see whether it is still valid. Each has a connection of
//! its own: between two of them OneLogin closes it, and its addresses change.

use crate::gateway::settings;
use crate::host::dates::of_header;
use pam_onelogin::api::{ApiError, Token};
use pam_onelogin::clock::unix_now;
use pam_onelogin::config::FailMode;
use pam_onelogin::config::file::{LoadError, secret_file};
use pam_onelogin::host::{termination_is_pending, uids};
use pam_onelogin::login::Deadline;
use pam_onelogin::onelogin::http::{Call, Caller, Destination, Http, Method, send_again};
use pam_onelogin::onelogin::token::issue;
use pam_onelogin::reason::Reason;
use pam_onelogin::secret::Secret;
use pam_onelogin::text::pair;
use pam_onelogin::trust::{Privacy, Trusted};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest time for a connection to OneLogin.
const CONNECT: Duration = Duration::from_secs(5);

/// The longest time for a request and its reply.
const REQUEST: Duration = Duration::from_secs(10);

/// A call that every token may make.
const PROBE: &str = "/auth/rate_limit";

/// The name of the credential in the unit of the keeper.
const CREDENTIAL: &str = "client_secret";

/// The credential at OneLogin, and the way there.
pub(crate) struct OneLogin<'a> {
    settings: &'a settings::OneLogin,
    secret: SecretFile,
    trusted: Trusted,
}

/// The file of the secret. It is read for each call, so that a new secret needs no restart.
struct SecretFile {
    path: PathBuf,
    privacy: Privacy,
}

/// Why there is no token.
pub(crate) struct NoToken {
    /// For the log: no secret and no token.
    pub(crate) why: String,
    /// When OneLogin wants to be asked again.
    pub(crate) retry_after: Option<Duration>,
}

/// What OneLogin says about a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// It is not valid any more.
    Dead,
    /// It is valid, or OneLogin did not say.
    NotDead,
}

impl<'a> OneLogin<'a> {
    /// With these settings. `credentials` is the folder in which systemd puts the credentials of a service.
    ///
    /// # Errors
    /// What to write where neither the settings nor the service has a secret.
    pub(crate) fn new(
        settings: &'a settings::OneLogin,
        credentials: Option<&Path>,
    ) -> Result<Self, &'static str> {
        let secret = match (&settings.client_secret_file, credentials) {
            (Some(path), _) => SecretFile {
                path: path.clone(),
                privacy: Privacy::Secret,
            },
            // systemd lets only the service read it. It may do so by an access list, which shows as a mode for a group.
            (None, Some(folder)) => SecretFile {
                path: folder.join(CREDENTIAL),
                privacy: Privacy::Public,
            },
            (None, None) => {
                return Err(
                    "[onelogin] needs \"client_secret_file\", unless systemd starts the keeper with LoadCredential=client_secret:FILE",
                );
            }
        };
        Ok(Self {
            settings,
            secret,
            trusted: Trusted::of(uids()),
        })
    }

    /// A token, and by how many seconds the clock of this host is ahead of OneLogin's.
    pub(crate) fn token(&self) -> Result<(Token, i64), NoToken> {
        let secret = secret_file(&self.secret.path, self.secret.privacy, self.trusted);
        let secret = secret.map_err(|error| NoToken {
            why: match error {
                LoadError::Unprivileged => format!(
                    "{}: the keeper is not allowed to read it",
                    self.secret.path.display()
                ),
                LoadError::Faults(faults) => {
                    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
                    faults.join("; ")
                }
            },
            retry_after: None,
        })?;
        let mut http = self.http();
        let client_id = &self.settings.client_id;
        let token = issue(client_id, &secret, &mut http, Deadline::after(REQUEST));
        let token = token.map_err(|error| no_token(&error))?;
        if !token.bearer.all(is_of_a_token) {
            return Err(NoToken {
                why: "the token has characters that no access token has".to_owned(),
                retry_after: None,
            });
        }
        let date = http.traces().last().and_then(|trace| trace.date.as_deref());
        let date = date.and_then(of_header);
        let now = i64::try_from(unix_now()).unwrap_or(0);
        Ok((token, date.map_or(0, |date| now.saturating_sub(date))))
    }

    /// Whether this token is still valid.
    pub(crate) fn health(&self, bearer: &Secret) -> Health {
        let call = Call {
            method: Method::Get,
            path: PROBE,
            query: &[],
            caller: Caller::Bearer(bearer),
        };
        match send_again(&mut self.http(), &call, Deadline::after(REQUEST)) {
            Ok(reply) if reply.is_of_dead_token() => Health::Dead,
            Ok(_) | Err(_) => Health::NotDead,
        }
    }

    fn http(&self) -> Http {
        let destination = Destination {
            origin: &self.settings.origin,
            ca_file: self.settings.ca_file.as_deref(),
            certificate: None,
            http_proxy: None,
            connect_timeout: CONNECT,
            request_timeout: REQUEST,
            failmode: FailMode::Secure,
        };
        Http::to(&destination, self.trusted, Some(termination_is_pending))
    }
}

fn no_token(error: &ApiError) -> NoToken {
    let reason = Reason::from(error.trouble).word();
    NoToken {
        why: format!(
            "{} {}",
            pair("reason", reason),
            pair("detail", &error.detail)
        ),
        retry_after: error.retry_after,
    }
}

/// The characters of access tokens (RFC 6750, section 2.1). Others could end a command of `HAProxy`, or a header.
fn is_of_a_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~+/=".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_no_character_that_ends_a_command() {
        for c in [';', '\\', ' ', '"', '#', '\n', '@', '\u{e9}'] {
            assert!(!is_of_a_token(c), "{c:?}");
        }
        let bearer = Secret::new("aZ09-._~+/=".to_owned());
        assert!(bearer.all(is_of_a_token));
    }
}

//! Calls by token: which credential a call uses, and what is sent again (rule R16).

use crate::api::{ApiError, ApiTrouble, Ending, Reply};
use crate::config::file::Secrets;
use crate::config::{Access, Config};
use crate::login::{Deadline, Permit};
use crate::onelogin::http::{Call, Caller, Method, Transport, send_again};
use crate::onelogin::token::Tokens;
use crate::secret::Secret;
use crate::state::State;
use std::rc::Rc;

/// Which credential a call is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Users and devices: `[onelogin.lookup]` where it is set.
    Lookup,
    /// Verifications and enrolment.
    Verify,
}

/// A call: what it is made with, and what the credential needs for it.
#[derive(Clone, Copy)]
pub struct Purpose {
    /// The credential.
    pub role: Role,
    /// The scopes that OneLogin documents for it, or that were seen to work, for the log.
    pub scope: &'static str,
}

/// Calls of one login by its tokens, over one transport.
pub struct Client<'a> {
    transport: &'a mut dyn Transport,
    authority: Authority<'a>,
}

/// What calls are authorised by, beside the transport.
enum Authority<'a> {
    /// The tokens of both credentials.
    Credentials {
        lookup: Option<Tokens<'a>>,
        verify: Tokens<'a>,
    },
    /// The client certificate of the connection: the gateway adds its token.
    Certificate,
}

/// A token, or `None` for a call that the client certificate authorises.
type Bearer = Option<Rc<Secret>>;

impl<'a> Client<'a> {
    /// Prepares the client. Nothing is sent before it is asked.
    #[must_use]
    pub fn new(
        config: &'a Config,
        secrets: Option<&'a Secrets>,
        state: &'a State,
        transport: &'a mut dyn Transport,
    ) -> Self {
        let tokens = |id, secret| Tokens::new(&config.onelogin.origin, id, secret, state);
        let authority = match (&config.onelogin.access, secrets) {
            (Access::Credentials { verify, lookup }, Some(secrets)) => {
                let lookup = lookup.as_ref().zip(secrets.lookup.as_ref());
                Authority::Credentials {
                    lookup: lookup
                        .map(|(credential, secret)| tokens(&credential.client_id, secret)),
                    verify: tokens(&verify.client_id, &secrets.verify),
                }
            }
            (Access::Certificate(_), _) | (_, None) => Authority::Certificate,
        };
        Self {
            transport,
            authority,
        }
    }

    /// Makes the connection, if there is none yet. Nothing is asked.
    ///
    /// # Errors
    /// [`ApiError`] if no connection can be made.
    pub fn prepare(&mut self, deadline: Deadline) -> Result<(), ApiError> {
        self.transport.prepare(deadline)
    }

    /// Ends the connection: the next call makes one of its own.
    pub fn disconnect(&mut self) {
        self.transport.disconnect();
    }

    /// Reads something. A token that OneLogin refuses is replaced once.
    ///
    /// # Errors
    /// [`ApiError`] when there is no reply.
    pub fn get(
        &mut self,
        purpose: Purpose,
        path: &str,
        query: &[(&str, &str)],
        deadline: Deadline,
    ) -> Result<Reply, ApiError> {
        let token = self.bearer(purpose.role, deadline)?;
        let call = call(Method::Get, path, query, token.as_deref());
        let reply = send_again(self.transport, &call, deadline)?;
        match &token {
            Some(token) if reply.status == 401 => self.again(purpose, call, token, reply, deadline),
            _ => Ok(reply),
        }
    }

    /// Sends a POST that changes nothing. A 401 of its own is an answer; after a 401 as for an expired token, the token is
    /// replaced once.
    ///
    /// # Errors
    /// [`ApiError`] when there is no reply.
    pub fn ask(
        &mut self,
        purpose: Purpose,
        method: Method,
        path: &str,
        deadline: Deadline,
    ) -> Result<Reply, ApiError> {
        let token = self.bearer(purpose.role, deadline)?;
        let call = call(method, path, &[], token.as_deref());
        let reply = send_again(self.transport, &call, deadline)?;
        match &token {
            Some(token) if reply.is_of_dead_token() => {
                self.again(purpose, call, token, reply, deadline)
            }
            _ => Ok(reply),
        }
    }

    /// Sends a call again with another token, if OneLogin gives one.
    fn again(
        &mut self,
        purpose: Purpose,
        call: Call<'_>,
        token: &Secret,
        reply: Reply,
        deadline: Deadline,
    ) -> Result<Reply, ApiError> {
        let Some(token) = self.replace(purpose.role, token, deadline)? else {
            return Ok(reply);
        };
        let call = Call {
            caller: Caller::Bearer(&token),
            ..call
        };
        send_again(self.transport, &call, deadline)
    }

    /// Sends something that must not be sent twice, once, and only while its permit holds. `devices` is the path of the
    /// user's devices: if the reply is that of an expired token, reading the devices shows whether it has expired.
    ///
    /// # Errors
    /// [`ApiError`] when there is no reply, or one that may be sent again.
    pub fn act(
        &mut self,
        purpose: Purpose,
        method: Method,
        path: &str,
        devices: &str,
        permit: Permit<'_>,
    ) -> Result<Reply, ApiError> {
        let Permit { deadline, holds } = permit;
        // What fails before it is written has not been seen.
        let unsent = |error: ApiError| error.ended(Ending::NotSent);
        let token = self.bearer(purpose.role, deadline).map_err(unsent)?;
        self.transport.refresh(deadline).map_err(unsent)?;
        // Nothing that takes time is between this look and the request (rule R21).
        if !holds() {
            return Err(ApiError::late("factors.expires_in"));
        }
        let reply = self
            .transport
            .send(&call(method, path, &[], token.as_deref()), deadline)?;
        if reply.is_of_dead_token() {
            self.check_token(purpose, token.as_deref(), devices, deadline)?;
        }
        Ok(reply)
    }

    /// Finds out whether the token of a request has expired, after a 401 that looks like it. `Ok`: the token is good, so the
    /// reply is OneLogin's answer.
    fn check_token(
        &mut self,
        purpose: Purpose,
        token: Option<&Secret>,
        devices: &str,
        deadline: Deadline,
    ) -> Result<(), ApiError> {
        let credential =
            |detail: &str, ending| Err(ApiError::new(ApiTrouble::Credential, detail).ended(ending));
        let has_lookup = matches!(
            self.authority,
            Authority::Credentials {
                lookup: Some(_),
                ..
            }
        );
        if let Some(token) = token.filter(|_| has_lookup) {
            // This credential need not have the scope to read devices.
            return match self.replace(purpose.role, token, deadline) {
                Ok(Some(_)) => credential(
                    "status=401, and OneLogin issued a new token",
                    Ending::TokenChanged,
                ),
                Err(error) if error.trouble == ApiTrouble::Credential => Err(error),
                Ok(None) | Err(_) => Ok(()),
            };
        }
        let read = call(Method::Get, devices, &[], token);
        match send_again(self.transport, &read, deadline) {
            Ok(reply) if reply.is_of_dead_token() => {}
            Ok(_) | Err(_) => return Ok(()),
        }
        let Some(token) = token else {
            return credential(
                "status=401, as the token of the gateway was no longer valid",
                Ending::TokenRefused,
            );
        };
        match self.replace(purpose.role, token, deadline) {
            Ok(Some(_)) => credential(
                "status=401, as the token was no longer valid",
                Ending::TokenReplaced,
            ),
            Ok(None) => credential(
                "status=401, and OneLogin issued the same token again",
                Ending::TokenRefused,
            ),
            // In either case OneLogin has not evaluated the request.
            Err(error) => Err(error.ended(Ending::TokenRefused)),
        }
    }

    fn replace(
        &mut self,
        role: Role,
        token: &Secret,
        deadline: Deadline,
    ) -> Result<Option<Rc<Secret>>, ApiError> {
        let which = self.table_of(role);
        let Some(tokens) = self.authority.tokens(role) else {
            return Ok(None);
        };
        tokens
            .replace(token, self.transport, deadline)
            .map_err(|error| of_token(error, which))
    }

    /// Adds to a credential error which credential it is, and which scope it needs.
    #[must_use]
    pub fn explain(&self, purpose: Purpose, error: ApiError) -> ApiError {
        if error.trouble != ApiTrouble::Credential {
            return error;
        }
        let which = self.table_of(purpose.role);
        let detail = format!(
            "{}; the credential of {which} needs the scope {}",
            error.detail, purpose.scope
        );
        ApiError { detail, ..error }
    }

    /// Gets a token for the next calls, if there is none.
    ///
    /// # Errors
    /// [`ApiError`] when OneLogin gave none.
    pub fn authorise(&mut self, role: Role, deadline: Deadline) -> Result<(), ApiError> {
        self.bearer(role, deadline).map(|_| ())
    }

    /// The table of the configuration that has the credential of a role, or who has it.
    #[must_use]
    pub fn table_of(&self, role: Role) -> &'static str {
        self.authority.table_of(role)
    }

    fn bearer(&mut self, role: Role, deadline: Deadline) -> Result<Bearer, ApiError> {
        let which = self.table_of(role);
        let Some(tokens) = self.authority.tokens(role) else {
            return Ok(None);
        };
        tokens
            .bearer(self.transport, deadline)
            .map(Some)
            .map_err(|error| of_token(error, which))
    }
}

/// An error of a token call, with the table of its credential.
fn of_token(mut error: ApiError, which: &str) -> ApiError {
    error.detail = format!("{} for the token of {which}", error.detail);
    error
}

fn call<'c>(
    method: Method,
    path: &'c str,
    query: &'c [(&'c str, &'c str)],
    token: Option<&'c Secret>,
) -> Call<'c> {
    Call {
        method,
        path,
        query,
        caller: token.map_or(Caller::Certificate, Caller::Bearer),
    }
}

impl<'a> Authority<'a> {
    /// The table of the configuration that has the credential, or who has it.
    fn table_of(&self, role: Role) -> &'static str {
        match (self, role) {
            (
                Self::Credentials {
                    lookup: Some(_), ..
                },
                Role::Lookup,
            ) => "[onelogin.lookup]",
            (Self::Credentials { .. }, _) => "[onelogin]",
            (Self::Certificate, _) => "the gateway",
        }
    }

    /// `None` for a client certificate.
    fn tokens(&mut self, role: Role) -> Option<&mut Tokens<'a>> {
        match (self, role) {
            (
                Self::Credentials {
                    lookup: Some(tokens),
                    ..
                },
                Role::Lookup,
            ) => Some(tokens),
            (Self::Credentials { verify, .. }, _) => Some(verify),
            (Self::Certificate, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onelogin::token::TOKEN_PATH;
    use std::time::Duration;

    /// Gives out a token, and takes down what is sent.
    #[derive(Default)]
    struct RecordedTransport(Vec<String>);

    impl Transport for RecordedTransport {
        fn prepare(&mut self, _: Deadline) -> Result<(), ApiError> {
            self.0.push("connected".to_owned());
            Ok(())
        }

        fn send(&mut self, call: &Call<'_>, _: Deadline) -> Result<Reply, ApiError> {
            self.0.push(call.path.to_owned());
            Ok(Reply {
                status: 200,
                body: br#"{"access_token":"t"}"#.to_vec().into(),
                request_id: None,
                retry_after: None,
                is_of_front_end: false,
                miss: None,
            })
        }
    }

    #[test]
    fn r21_what_the_permit_no_longer_covers_is_not_sent_with_token_and_connection_ready() {
        let text = "[onelogin]\nurl = \"https://x.onelogin.com\"\nclient_id = \"i\"\nclient_secret = \"s\"\n";
        let config = crate::config::parse("c", text).unwrap_or_else(|faults| panic!("{faults:?}"));
        let secrets = Secrets {
            verify: Secret::new("s".to_owned()),
            lookup: None,
        };
        let state = State::nowhere();
        for holds in [true, false] {
            let mut recorded = RecordedTransport::default();
            let mut client = Client::new(&config, Some(&secrets), &state, &mut recorded);
            let purpose = Purpose {
                role: Role::Verify,
                scope: "",
            };
            let permit = Permit {
                deadline: Deadline::after(Duration::from_secs(9)),
                holds: &|| holds,
            };
            let body = Method::Post(Vec::new().into());
            let result = client.act(purpose, body, "/push", "/devices", permit);
            assert_eq!(result.is_ok(), holds);
            let expected = [TOKEN_PATH, "connected", "/push"];
            let expected = expected.get(..if holds { 3 } else { 2 }).unwrap();
            assert_eq!(recorded.0, expected);
        }
    }
}

//! The access token: asked for by the API credential, kept in the private files until shortly
//! before it expires. Never revoked: all hosts with the same credential share it (rule R17).

use crate::api;
use crate::api::ApiError;
use crate::clock::unix_now;
use crate::config::Origin;
use crate::digest;
use crate::login::Deadline;
use crate::onelogin::http::{Call, Caller, Method, Transport, exposed, json, send_again};
use crate::secret::Secret;
use crate::state::State;
use serde::{Deserialize, Serialize};
use std::rc::Rc;

/// How long before its end a token is no longer used, in seconds.
const MARGIN: u64 = 120;

/// Where OneLogin gives out tokens.
pub const TOKEN_PATH: &str = "/auth/oauth2/v2/token";

/// Where the token comes from.
pub struct Tokens<'a> {
    state: &'a State,
    client_id: &'a str,
    client_secret: &'a Secret,
    /// Of what the token belongs to.
    digest: String,
    current: Option<Rc<Secret>>,
}

impl<'a> Tokens<'a> {
    /// The tokens of a credential.
    #[must_use]
    pub fn new(
        origin: &Origin,
        client_id: &'a str,
        client_secret: &'a Secret,
        state: &'a State,
    ) -> Self {
        Self {
            state,
            client_id,
            client_secret,
            // With another secret the token of the old one must not hide that the new one is wrong.
            digest: digest::name_with(&[origin.as_str(), client_id], client_secret),
            current: None,
        }
    }

    /// The token: of this login, else of the private files, else from OneLogin.
    ///
    /// # Errors
    /// [`ApiError`] when OneLogin gave none.
    pub fn bearer(
        &mut self,
        transport: &mut dyn Transport,
        deadline: Deadline,
    ) -> Result<Rc<Secret>, ApiError> {
        if self.current.is_none() {
            self.current = self.stored().map(Rc::new);
        }
        if let Some(token) = &self.current {
            return Ok(Rc::clone(token));
        }
        self.ask(None, transport, deadline)
    }

    /// Another token than this one, which OneLogin does not take any more: of the private files, where another login may
    /// have put it, else from OneLogin. `None` where OneLogin gives the same one again.
    ///
    /// # Errors
    /// [`ApiError`] when OneLogin gave none.
    pub fn replace(
        &mut self,
        old: &Secret,
        transport: &mut dyn Transport,
        deadline: Deadline,
    ) -> Result<Option<Rc<Secret>>, ApiError> {
        self.current = None;
        let token = self.ask(Some(old), transport, deadline)?;
        Ok((!token.same_as(old)).then_some(token))
    }

    /// Of many logins at once one asks OneLogin for the token that they share.
    fn ask(
        &mut self,
        old: Option<&Secret>,
        transport: &mut dyn Transport,
        deadline: Deadline,
    ) -> Result<Rc<Secret>, ApiError> {
        let lock = self.state.lock("token", &self.digest);
        let stored = self
            .stored()
            .filter(|token| !old.is_some_and(|old| old.same_as(token)));
        if let Some(token) = stored {
            return Ok(self.set_current(token));
        }
        let token = issue(self.client_id, self.client_secret, transport, deadline)?;
        self.store(&token);
        drop(lock);
        Ok(self.set_current(token.bearer))
    }

    /// The token of this login from now on.
    fn set_current(&mut self, token: Secret) -> Rc<Secret> {
        Rc::clone(self.current.insert(Rc::new(token)))
    }

    fn name(&self) -> String {
        format!("token-{}", self.digest)
    }

    /// Until when a token is kept in the private files, in seconds since 1970.
    #[must_use]
    pub fn kept_until(&self) -> Option<u64> {
        self.entry().map(|(_, expires)| expires)
    }

    fn stored(&self) -> Option<Secret> {
        self.entry().map(|(token, _)| token)
    }

    /// The token of the private files, and when it ends.
    fn entry(&self) -> Option<(Secret, u64)> {
        let file = self.state.read(&self.name()).ok()?;
        let stored: StoredToken = serde_json::from_slice(&file).ok()?;
        let token = Secret::new(stored.token);
        let is_fit = !token.is_empty() && token.all(|c| c.is_ascii_graphic());
        let holds = is_fit && unix_now() + MARGIN < stored.expires;
        holds.then_some((token, stored.expires))
    }

    fn store(&self, token: &api::Token) {
        let Some(expires) = token.expires.filter(|&end| unix_now() + MARGIN < end) else {
            return;
        };
        let body = json(&TokenToStore {
            token: &token.bearer,
            expires,
        });
        if let Ok(body) = body {
            // A token that cannot be kept is asked for again next time.
            let _ = self.state.write(&self.name(), &body);
        }
    }
}

/// Asks OneLogin for the token of a credential. It issues the same token until that ends.
///
/// # Errors
/// [`ApiError`] when OneLogin gave none.
pub fn issue(
    client_id: &str,
    client_secret: &Secret,
    transport: &mut dyn Transport,
    deadline: Deadline,
) -> Result<api::Token, ApiError> {
    let call = Call {
        method: Method::Post(json(&GrantBody {
            grant_type: "client_credentials",
        })?),
        path: TOKEN_PATH,
        query: &[],
        caller: Caller::Client {
            id: client_id,
            secret: client_secret,
        },
    };
    api::token(&send_again(transport, &call, deadline)?)
}

#[derive(Serialize)]
struct GrantBody {
    grant_type: &'static str,
}

#[derive(Serialize)]
struct TokenToStore<'a> {
    #[serde(serialize_with = "exposed")]
    token: &'a Secret,
    expires: u64,
}

#[derive(Deserialize)]
struct StoredToken {
    token: String,
    expires: u64,
}

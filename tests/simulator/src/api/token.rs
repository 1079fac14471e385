//! `/auth/oauth2`: access tokens for client credentials.

use std::time::Instant;

use serde_json::{Value, json};

use super::{envelope, success};
use crate::http::{Incoming, Reply, pairs};
use crate::state::{State, Token, clock, iso, random_hex};

/// `POST /auth/oauth2/v2/token`: the same token again until it expires.
pub(super) fn issue(state: &mut State, request: &Incoming) -> Reply {
    if field(request, "grant_type").as_deref() != Some("client_credentials") {
        return envelope(400, "bad request", "grant_type is incorrect/absent");
    }
    let Some(client) = client(state, request) else {
        return envelope(401, "Unauthorized", "Authentication Failure");
    };
    let token = current(state, client);
    let body = json!({
        "access_token": token.access,
        "created_at": token.created_at,
        "expires_in": token.expires_in,
        "refresh_token": token.refresh,
        "token_type": "bearer",
        "account_id": 555_555,
    });
    Reply::new(200, &body)
}

/// The token that a client gets now: the same one again until it expires.
pub(crate) fn current(state: &mut State, client: String) -> Token {
    let now = Instant::now();
    let known = state
        .tokens
        .iter()
        .find(|t| t.client == client && t.current && now < t.expires)
        .cloned();
    known.unwrap_or_else(|| {
        let (ago, lifetime) = (state.settings.token_age(), state.settings.token_expires_in);
        let token = Token {
            client,
            access: random_hex() + &random_hex(),
            refresh: random_hex() + &random_hex(),
            created_at: iso(clock(state.settings.ahead) - ago),
            expires_in: lifetime.as_secs(),
            expires: now + lifetime.saturating_sub(ago),
            current: true,
            revoked: false,
        };
        state.tokens.push(token.clone());
        token
    })
}

/// `POST /auth/oauth2/revoke`.
pub(super) fn revoke(state: &mut State, request: &Incoming) -> Reply {
    if request.header("authorization").is_none() {
        return envelope(
            400,
            "bad request",
            "The authorization information is missing",
        );
    }
    let Some(client) = client(state, request) else {
        return envelope(401, "Unauthorized", "Authentication Failure");
    };
    let Some(access) = field(request, "access_token") else {
        return envelope(400, "bad request", "Access Token Missing");
    };
    state
        .tokens
        .retain(|token| token.client != client || token.access != access);
    Reply::new(200, &success())
}

/// The client whose valid bearer token a request carries.
pub(super) fn bearer_client(state: &State, request: &Incoming) -> Option<String> {
    let now = Instant::now();
    let access = bearer(request.header("authorization")?)?;
    let mut tokens = state.tokens.iter();
    let token = tokens.find(|t| t.access == access && !t.revoked && now < t.expires)?;
    Some(token.client.clone())
}

/// `bearer:<t>`, `bearer: <t>`, `bearer <t>` or `Bearer <t>`.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, rest) = header.split_at_checked("bearer".len())?;
    let token = rest.trim_start_matches([':', ' ']);
    (scheme.eq_ignore_ascii_case("bearer") && token.len() < rest.len()).then_some(token)
}

/// The client that a request proves to be, by any of the three documented ways.
pub(super) fn client(state: &State, request: &Incoming) -> Option<String> {
    let (id, secret) = match request.header("authorization") {
        Some(header) => basic(header).or_else(|| named(header))?,
        None => (
            field(request, "client_id")?,
            field(request, "client_secret")?,
        ),
    };
    (state.credentials.get(&id) == Some(&secret)).then_some(id)
}

/// `client_id:<id>, client_secret:<secret>`, with or without the blanks.
fn named(header: &str) -> Option<(String, String)> {
    let (id, secret) = header.split_once(',')?;
    let id = id.trim().strip_prefix("client_id:")?;
    let secret = secret.trim().strip_prefix("client_secret:")?;
    Some((id.trim().to_owned(), secret.trim().to_owned()))
}

fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    let decoded = String::from_utf8(base64(encoded.trim())?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    scheme
        .eq_ignore_ascii_case("basic")
        .then(|| (id.to_owned(), secret.to_owned()))
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xff_ffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(bytes)
}

/// A field of the body, which is JSON or a form by its content type.
fn field(request: &Incoming, name: &str) -> Option<String> {
    let content_type = request
        .header("content-type")
        .unwrap_or_default()
        .to_ascii_lowercase();
    if content_type.starts_with("application/x-www-form-urlencoded") {
        return pairs(&request.body)
            .into_iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value);
    }
    let body: Value = serde_json::from_str(&request.body).ok()?;
    body.get(name)?.as_str().map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_found_in_all_spellings() {
        for header in [
            "bearer:t0k",
            "bearer: t0k",
            "bearer t0k",
            "Bearer t0k",
            "BEARER t0k",
        ] {
            assert_eq!(bearer(header), Some("t0k"), "{header}");
        }
        for header in ["bearert0k", "Basic t0k", "b", "bearer"] {
            assert_eq!(bearer(header), None, "{header}");
        }
    }

    #[test]
    fn base64_is_decoded_with_and_without_padding() {
        assert_eq!(
            base64("aWQ6c2VjcmV0").as_deref(),
            Some(b"id:secret".as_slice())
        );
        assert_eq!(base64("aWQ6cw==").as_deref(), Some(b"id:s".as_slice()));
        assert_eq!(base64("a\u{e9}"), None);
    }
}

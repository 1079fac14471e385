//! Routes and the replies that all of them share. A new endpoint is a new arm here and a function below `api/`.

mod body;
mod mfa;
mod registrations;
mod temporary;
pub(crate) mod token;
mod users;
mod v1;

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::http::{Incoming, Reply};
use crate::scope::Scope;
use crate::state::{Dialect, State};

/// The client that a request comes from, if it has a valid token or credential.
pub(crate) fn client(state: &State, request: &Incoming) -> Option<String> {
    token::bearer_client(state, request).or_else(|| token::client(state, request))
}

/// Answers a request, and does what it asks for.
pub(crate) fn answer(state: &mut State, request: &Incoming) -> Reply {
    let path = request.path.strip_prefix('/').unwrap_or_default();
    let segments: Vec<&str> = path.strip_suffix('/').unwrap_or(path).split('/').collect();
    match (request.method.as_str(), segments.as_slice()) {
        ("POST", ["auth", "oauth2", "v2", "token"]) => token::issue(state, request),
        ("POST", ["auth", "oauth2", "revoke"]) => token::revoke(state, request),
        ("GET", ["auth", "rate_limit"]) | (_, ["api", ..]) => resource(state, request, &segments),
        _ => no_route(),
    }
}

fn resource(state: &mut State, request: &Incoming, segments: &[&str]) -> Reply {
    let Some(client) = token::bearer_client(state, request) else {
        return unauthorized(state, request, segments);
    };
    let method = request.method.as_str();
    let scope = state.scopes.get(&client).copied();
    let scope = scope.unwrap_or(Scope::ManageAll);
    if !state.settings.scope_rules.allow(scope, method, segments) {
        return forbidden(segments);
    }
    match (method, segments) {
        ("GET", ["auth", "rate_limit"]) => rate_limit(state),
        ("GET", ["api", "2", "apps"]) => Reply::new(200, &json!([app()])),
        ("GET", ["api", "2", "roles"]) => Reply::new(
            200,
            &json!([{"id": 123, "name": "Sample Role", "apps": [APP]}]),
        ),
        ("GET", ["api", "2", "users"]) => users::list(state, &request.query),
        ("GET", ["api", "2", "users", id]) => users::one(state, id),
        (_, ["api", "2", "mfa", "users", id, rest @ ..]) => mfa::answer(state, request, id, rest),
        ("GET", ["api", "1", "users"]) => users::list_v1(state, request),
        ("GET", ["api", "1", "users", id]) => users::one_v1(state, id),
        (_, ["api", "1", "users", id, rest @ ..]) => v1::answer(state, request, id, rest),
        _ => no_route(),
    }
}

/// A bad or dead bearer token: by default as recorded, in v2 in the words of an SDK's maintainer. The documentation has
/// two more shapes for v2.
fn unauthorized(state: &State, request: &Incoming, segments: &[&str]) -> Reply {
    let is_docs = state.settings.dialect == Dialect::Docs;
    match segments {
        ["api", "2", "mfa", "users", _, "verifications", _]
            if is_docs && request.method == "GET" =>
        {
            Reply::new(401, DEAD_TOKEN)
        }
        ["api", "2", "mfa", ..] if is_docs => invalid_credentials(),
        ["auth", ..] | ["api", "1", ..] => Reply::new(401, DEAD_TOKEN),
        _ => Reply::new(401, DEAD_TOKEN_V2),
    }
}

/// A credential without the scope that the call wants.
fn forbidden(segments: &[&str]) -> Reply {
    match segments {
        ["api", "2", ..] => error(
            403,
            "ForbiddenAction",
            "You are not authorised to perform this action or access the resource",
        ),
        _ => envelope(401, "Unauthorized", "Insufficient Permission"),
    }
}

/// `GET /auth/rate_limit`.
fn rate_limit(state: &State) -> Reply {
    let budget = Budget::of(state);
    let mut body = success();
    body["data"] = json!({
        "X-RateLimit-Limit": budget.limit,
        "X-RateLimit-Remaining": budget.left,
        "X-RateLimit-Reset": budget.reset,
    });
    Reply::new(200, &body)
}

/// The calls of an hour. Nothing is limited. Recorded: calls of API v1 count, those of v2 and for tokens do not. Here the
/// hour ends for all at the same time.
pub(crate) struct Budget {
    pub(crate) limit: usize,
    pub(crate) left: usize,
    /// Seconds.
    pub(crate) reset: u64,
}

impl Budget {
    pub(crate) fn of(state: &State) -> Budget {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Budget {
            limit: RATE_LIMIT,
            left: RATE_LIMIT.saturating_sub(state.v1_calls),
            reset: now.map_or(0, |now| 3600 - now.as_secs() % 3600),
        }
    }
}

/// The account's one app, as in the documentation's sample.
fn app() -> Value {
    json!({
        "id": APP, "connector_id": 50534, "auth_method": 2, "auth_method_description": "SAML2.0",
        "name": "Sample App", "description": "", "visible": true,
        "updated_at": "2020-01-14T21:21:06Z", "created_at": "2020-01-14T21:21:06Z",
    })
}

fn no_route() -> Reply {
    envelope(404, "not found", "No Route Exists")
}

fn invalid_credentials() -> Reply {
    error(
        401,
        "InvalidCredentials",
        "Please provide valid credentials",
    )
}

fn not_found() -> Reply {
    error(404, "NotFound", "The resource can't be found")
}

fn bad_request(message: &str) -> Reply {
    error(400, "BadRequestError", message)
}

fn invalid(field: &str, message: &str) -> Reply {
    let body = json!({"statusCode": 422, "name": "UnprocessableEntityFieldError", "message": message, "field": field});
    Reply::new(422, &body)
}

fn error(status: u16, name: &str, message: &str) -> Reply {
    Reply::new(
        status,
        &json!({"statusCode": status, "name": name, "message": message}),
    )
}

fn envelope(status: u16, kind: &str, message: &str) -> Reply {
    Reply::new(
        status,
        &json!({"status": {"error": true, "code": status, "type": kind, "message": message}}),
    )
}

fn success() -> Value {
    json!({"status": {"type": "success", "code": 200, "message": "Success", "error": false}})
}

/// The reply to a right code where the documentation has [`success`].
fn code_is_right(state: &State) -> Reply {
    let mut body = success();
    if state.settings.dialect == Dialect::Py4 {
        body = body["status"].take();
    }
    Reply::new(200, &body)
}

const RATE_LIMIT: usize = 5000;
const DEAD_TOKEN: &str = r#"{"status":{"error":true,"code":401,"type":"Unauthorized","message":"Authentication Failure"}}"#;
const DEAD_TOKEN_V2: &str =
    r#"{"statusCode":401,"name":"UnauthorizedError","message":"Unauthorized"}"#;
const APP: u64 = 1_061_937;

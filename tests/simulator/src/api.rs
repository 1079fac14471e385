//! Routes and the replies that all of them share. A new endpoint is a new arm here and a function below `api/`.

mod mfa;
mod token;
mod users;

use serde_json::{Value, json};

use crate::http::{Incoming, Reply};
use crate::state::{Dialect, State};

/// Answers a request, and does what it asks for.
pub(crate) fn answer(state: &mut State, request: &Incoming) -> Reply {
    let path = request.path.strip_prefix('/').unwrap_or_default();
    let segments: Vec<&str> = path.strip_suffix('/').unwrap_or(path).split('/').collect();
    match (request.method.as_str(), segments.as_slice()) {
        ("POST", ["auth", "oauth2", "v2", "token"]) => token::issue(state, request),
        ("POST", ["auth", "oauth2", "revoke"]) => token::revoke(state, request),
        (_, ["api", rest @ ..]) if token::is_authorized(state, request) => {
            resource(state, request, rest)
        }
        (_, ["api", rest @ ..]) => unauthorized(state, request, rest),
        _ => no_route(),
    }
}

fn resource(state: &mut State, request: &Incoming, segments: &[&str]) -> Reply {
    match (request.method.as_str(), segments) {
        ("GET", ["2", "users"]) => users::list(state, &request.query),
        ("GET", ["2", "users", id]) => users::one(state, id),
        (_, ["2", "mfa", "users", id, rest @ ..]) => mfa::answer(state, request, id, rest),
        _ => no_route(),
    }
}

/// The three shapes in which a bad bearer token is documented.
fn unauthorized(state: &State, request: &Incoming, segments: &[&str]) -> Reply {
    match segments {
        ["2", "mfa", "users", _, "verifications", _]
            if state.settings.dialect == Dialect::Docs && request.method == "GET" =>
        {
            envelope(401, "Unauthorized", "Authentication Failure")
        }
        ["2", "mfa", ..] if state.settings.dialect == Dialect::Docs => invalid_credentials(),
        _ => error(401, "UnauthorizedError", "Unauthorized"),
    }
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

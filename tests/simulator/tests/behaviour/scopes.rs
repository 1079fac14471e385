//! What a credential may do, and which one a request came with.

use onelogin_simulator::{DEFAULT_CLIENT_ID, Scope, ScopeRules, Simulator};
use serde_json::{Value, json};

use crate::client::Client;
use crate::{sample, session};

const SCOPES: [Scope; 5] = [
    Scope::AuthenticationOnly,
    Scope::ReadUsers,
    Scope::ReadAll,
    Scope::ManageUsers,
    Scope::ManageAll,
];

/// Which scopes, as bits in the order of [`SCOPES`], may make a call.
fn allowed(simulator: &Simulator, method: &str, path: &str) -> String {
    let mut client = Client::authorized(simulator);
    let may = SCOPES.map(|scope| {
        simulator.set_scope(DEFAULT_CLIENT_ID, scope);
        let reply = client.request(method, path, "{}").unwrap();
        let body: Value = serde_json::from_str(&reply.body).unwrap_or_default();
        match (reply.status, path) {
            (403, _) => assert_eq!(body["name"], "ForbiddenAction"),
            (401, _) => assert_eq!(body["status"]["message"], "Insufficient Permission"),
            _ => return '1',
        }
        assert_eq!(reply.status == 403, path.starts_with("/api/2/"));
        '0'
    });
    may.iter().collect()
}

#[test]
fn each_call_wants_the_scope_of_the_table() {
    // Documented, observed.
    let table = [
        ("GET", "/api/2/users", "01111", "01111"),
        ("GET", "/api/2/users/1001", "01111", "01111"),
        ("GET", "/api/2/mfa/users/1001/devices", "00001", "00111"),
        (
            "POST",
            "/api/2/mfa/users/1001/verifications",
            "00001",
            "10001",
        ),
        (
            "GET",
            "/api/2/mfa/users/1001/verifications/x",
            "00001",
            "10001",
        ),
        (
            "PUT",
            "/api/2/mfa/users/1001/verifications/x",
            "00001",
            "10001",
        ),
        ("GET", "/api/2/mfa/users/1001/factors", "00001", "00001"),
        (
            "POST",
            "/api/2/mfa/users/1001/registrations",
            "00001",
            "00001",
        ),
        (
            "DELETE",
            "/api/2/mfa/users/1001/devices/9",
            "00001",
            "00001",
        ),
        ("POST", "/api/2/mfa/users/1001/mfa_token", "00011", "00011"),
        ("GET", "/api/1/users", "01111", "01111"),
        ("GET", "/api/1/users/1001/otp_devices", "01111", "01111"),
        ("GET", "/api/1/users/1001/auth_factors", "01111", "01111"),
        ("POST", "/api/1/users/1001/otp_devices", "00011", "00011"),
        (
            "POST",
            "/api/1/users/1002/otp_devices/503/trigger",
            "00011",
            "00011",
        ),
        (
            "POST",
            "/api/1/users/1002/otp_devices/503/verify",
            "00011",
            "00011",
        ),
        (
            "DELETE",
            "/api/1/users/1001/otp_devices/9",
            "00011",
            "00011",
        ),
        ("POST", "/api/1/users/1001/mfa_token", "00011", "00011"),
        ("GET", "/api/2/roles", "01101", "01101"),
        ("GET", "/api/2/apps", "00101", "00101"),
        ("GET", "/auth/rate_limit", "01111", "01111"),
        ("GET", "/api/3/users", "11111", "11111"),
    ];
    let simulator = sample();
    for (method, path, documented, observed) in table {
        simulator.set_scope_rules(ScopeRules::Documented);
        assert_eq!(
            allowed(&simulator, method, path),
            documented,
            "{method} {path}"
        );
        simulator.set_scope_rules(ScopeRules::Observed);
        assert_eq!(
            allowed(&simulator, method, path),
            observed,
            "{method} {path}"
        );
    }
}

#[test]
fn the_log_names_the_client_whose_token_was_used() {
    let simulator = sample();
    simulator.add_credential("id", "secret");
    simulator.set_scope("id", Scope::ReadUsers);
    let mut client = Client::connect(&simulator);
    let token = client.token_with("Basic aWQ6c2VjcmV0").json()["access_token"].take();
    client.authorization = Some(format!("Bearer {}", token.as_str().unwrap()));
    assert_eq!(client.get("/api/2/users").status, 200);
    assert_eq!(client.get("/api/2/mfa/users/1001/devices").status, 403);
    let token = client.token();
    client.authorization = Some(format!("Bearer {token}"));
    assert_eq!(client.get("/api/2/mfa/users/1001/devices").status, 200);
    simulator.expire_tokens();
    assert_eq!(client.get("/api/2/users").status, 401);
    let requests = simulator.requests();
    let clients: Vec<_> = requests.iter().map(|r| r.client.as_deref()).collect();
    let default = Some(DEFAULT_CLIENT_ID);
    assert_eq!(
        clients,
        [Some("id"), Some("id"), Some("id"), default, default, None]
    );
}

#[test]
fn a_missing_scope_sends_nothing() {
    let (simulator, mut client) = session();
    simulator.set_scope(DEFAULT_CLIENT_ID, Scope::ReadAll);
    let body = json!({"device_id": "506"});
    assert_eq!(
        client
            .post("/api/2/mfa/users/1004/verifications", &body)
            .status,
        403
    );
    let path = "/api/1/users/1004/otp_devices/506/trigger";
    assert_eq!(client.post(path, &json!({})).status, 401);
    assert!(simulator.messages().is_empty());
    assert_eq!(simulator.activations(), 2);
}

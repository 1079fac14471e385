//! The simulator, driven over TLS as a client would.

#![allow(missing_docs, reason = "test names are sentences")]

mod client;
mod factors;
mod faults;
mod recorded;
mod registrations;
mod replay;
mod scopes;
mod server;
mod temporary;
mod v1;
mod verifications;

use client::{Client, verifications};
use onelogin_simulator::{
    DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, Dialect, Factor, Message, Options, Simulator, User,
    sample_users, samples,
};
use serde_json::{Value, json};

/// With the sample users, as documented.
fn sample() -> Simulator {
    speaking(Dialect::Docs)
}

fn live() -> Simulator {
    speaking(Dialect::Live)
}

fn py4() -> Simulator {
    speaking(Dialect::Py4)
}

fn speaking(dialect: Dialect) -> Simulator {
    let simulator = Simulator::start_with(Options {
        dialect,
        ..Options::default()
    });
    samples(&simulator);
    simulator
}

/// The sample users as documented, and a client that may do everything.
fn session() -> (Simulator, Client) {
    with_client(sample())
}

fn live_session() -> (Simulator, Client) {
    with_client(live())
}

fn with_client(simulator: Simulator) -> (Simulator, Client) {
    let client = Client::authorized(&simulator);
    (simulator, client)
}

/// The message that was sent, which is by text message and the only one.
fn only_text_message(simulator: &Simulator) -> Message {
    let mut messages = simulator.messages();
    assert_eq!(messages.len(), 1, "{messages:?}");
    let message = messages.remove(0);
    assert_eq!(message.factor, Factor::Sms);
    message
}

fn ids(users: &Value) -> Vec<u64> {
    users
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["id"].as_u64().unwrap())
        .collect()
}

#[test]
fn a_token_is_given_for_each_documented_client_authentication() {
    let simulator = sample();
    let mut client = Client::connect(&simulator);
    let first = client.token();
    simulator.add_credential("id", "secret");
    for authorization in ["Basic aWQ6c2VjcmV0", "client_id:id,client_secret:secret"] {
        let reply = client.token_with(authorization);
        assert_eq!(reply.status, 200, "{authorization}");
        assert_ne!(
            reply.json()["access_token"],
            first,
            "another credential, another token"
        );
    }
    let form = format!(
        "grant_type=client_credentials&client_id={DEFAULT_CLIENT_ID}&client_secret={DEFAULT_CLIENT_SECRET}"
    );
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let reply = client
        .send("POST", "/auth/oauth2/v2/token", &headers, &form)
        .unwrap();
    assert_eq!(reply.json()["access_token"], first);
    assert_eq!(reply.json()["token_type"], "bearer");
}

#[test]
fn a_wrong_secret_gets_no_token() {
    let simulator = sample();
    let reply = Client::connect(&simulator).token_with("client_id:id, client_secret:wrong");
    assert_eq!(reply.status, 401);
    let expected = json!({"status": {"error": true, "code": 401, "type": "Unauthorized", "message": "Authentication Failure"}});
    assert_eq!(reply.json(), expected);
}

#[test]
fn a_token_is_given_out_again_until_it_expires() {
    let (simulator, mut client) = session();
    assert_eq!(client.token(), client.token());
    assert_eq!(client.get("/api/2/users").status, 200);

    simulator.expire_tokens();
    assert_eq!(client.get("/api/2/users").status, 401);
    let token = client.token();
    client.authorization = Some(format!("bearer:{token}"));
    assert_eq!(client.get("/api/2/users").status, 200);
}

#[test]
fn a_token_can_be_old_when_it_is_given() {
    let (simulator, mut client) = session();
    simulator.set_token_lifetime(36_001, 36_000);
    let token = client.token();
    assert_eq!(
        client.get("/api/2/users").status,
        200,
        "the earlier token stays valid"
    );
    client.authorization = Some(format!("Bearer {token}"));
    assert_eq!(client.get("/api/2/users").status, 401);
}

#[test]
fn a_revoked_token_is_refused() {
    let (_simulator, mut client) = session();
    let token = client.token();
    let credential =
        format!("client_id:{DEFAULT_CLIENT_ID}, client_secret:{DEFAULT_CLIENT_SECRET}");
    let headers = [
        ("Authorization", credential.as_str()),
        ("Content-Type", "application/json"),
    ];
    let body = json!({"access_token": token}).to_string();
    assert_eq!(
        client
            .send("POST", "/auth/oauth2/revoke", &headers, &body)
            .unwrap()
            .status,
        200
    );
    assert_eq!(client.get("/api/2/users").status, 401);
}

#[test]
fn a_bad_bearer_token_is_refused_in_the_documented_shapes() {
    let simulator = sample();
    let mut client = Client::connect(&simulator);
    client.authorization = Some("Bearer x".to_owned());
    let users = json!({"statusCode": 401, "name": "UnauthorizedError", "message": "Unauthorized"});
    assert_eq!(client.get("/api/2/users").json(), users);
    assert_eq!(
        client.get("/api/2/mfa/users/1001/devices").json()["name"],
        "InvalidCredentials"
    );
    let poll = client.get(&format!("{}/x", verifications(1001))).json();
    assert_eq!(poll["status"]["message"], "Authentication Failure");
    simulator.set_dialect(Dialect::Live);
    assert_eq!(
        client.get("/api/2/mfa/users/1001/devices").json()["name"],
        "UnauthorizedError"
    );
}

#[test]
fn users_are_found_by_exact_value_whatever_the_case() {
    let simulator = sample();
    simulator.change_user(1001, |user| user.external_id = Some("E 1+1".to_owned()));
    simulator.add_user(
        User::new(7, "eve")
            .samaccountname("EVE")
            .custom_attribute("unix", "eve_u"),
    );
    let mut client = Client::authorized(&simulator);
    for (query, expected) in [
        ("username=ALICE", vec![1001]),
        ("email=bob@example.com", vec![1002]),
        ("samaccountname=eve", vec![7]),
        ("external_id=e+1%2B1", vec![1001]),
        ("custom_attributes.unix=eve_u", vec![7]),
        ("user_ids=7,1002", vec![7, 1002]),
        ("username=alice&email=bob@example.com", vec![]),
        ("username=alic", vec![]),
    ] {
        assert_eq!(
            ids(&client.get(&format!("/api/2/users?{query}")).json()),
            expected,
            "{query}"
        );
    }
}

#[test]
fn a_case_sensitive_search_is_an_option() {
    let simulator = Simulator::start_with(Options {
        case_sensitive: true,
        ..Options::default()
    });
    samples(&simulator);
    let mut client = Client::authorized(&simulator);
    assert!(ids(&client.get("/api/2/users?username=ALICE").json()).is_empty());
    assert_eq!(
        ids(&client.get("/api/2/users?username=alice").json()),
        [1001]
    );
}

#[test]
fn a_star_in_a_search_is_a_wildcard_even_when_encoded() {
    let (_simulator, mut client) = session();
    assert_eq!(ids(&client.get("/api/2/users?username=a*").json()), [1001]);
    let all = ids(&client.get("/api/2/users?username=%2A").json());
    assert_eq!(all.len(), sample_users().lines().count());
    assert_eq!(
        ids(&client.get("/api/2/users?email=*o*@example.com").json()),
        [1002, 1003, 1005, 1006]
    );
}

#[test]
fn an_unknown_filter_is_refused() {
    let simulator = sample();
    let reply = Client::authorized(&simulator).get("/api/2/users?userprincipalname=x");
    let expected = json!({"statusCode": 400, "name": "BadRequestError", "message": "unknown attribute: userprincipalname"});
    assert_eq!((reply.status, reply.json()), (400, expected));
}

#[test]
fn a_list_has_the_fields_asked_for_and_pages() {
    let simulator = sample();
    simulator.change_user(1001, |user| {
        user.custom_attributes
            .insert("unix".to_owned(), "al".to_owned());
    });
    let mut client = Client::authorized(&simulator);
    let reply = client.get("/api/2/users?username=alice&fields=username,custom_attributes");
    assert_eq!(
        reply.json(),
        json!([{"id": 1001, "username": "alice", "custom_attributes": {"unix": "al"}}])
    );
    assert!(
        client.get("/api/2/users").json()[0]
            .get("custom_attributes")
            .is_none()
    );

    let page = client.get("/api/2/users?limit=4&page=2");
    assert_eq!(ids(&page.json()), [1005, 1006, 1007, 1008]);
    let count = sample_users().lines().count();
    let total = |name| page.header(name).map(str::parse::<usize>);
    assert_eq!(total("total-count"), Some(Ok(count)));
    assert_eq!(total("total-pages"), Some(Ok(count.div_ceil(4))));

    simulator.omit_from_list(&["status"]);
    assert!(
        client.get("/api/2/users?fields=status").json()[0]
            .get("status")
            .is_none()
    );
    assert_eq!(client.get("/api/2/users/1005").json()["status"], 2);
    assert_eq!(client.get("/api/2/users/1").status, 404);
}

#[test]
fn other_routes_do_not_exist() {
    let (_simulator, mut client) = session();
    for (method, target) in [
        ("GET", "/"),
        ("GET", "/auth/oauth2/v2/token"),
        ("POST", "/auth/oauth2/token"),
        ("DELETE", "/api/2/users/1001"),
        ("GET", "/api/3/users"),
        ("PATCH", "/api/2/mfa/users/1001/devices"),
    ] {
        let reply = client.request(method, target, "").unwrap();
        assert_eq!(reply.status, 404, "{target}");
        assert_eq!(
            reply.json()["status"]["message"],
            "No Route Exists",
            "{target}"
        );
    }
}

//! What was recorded from the real service: headers, counters, the replies to a dead token, pages of the front end.

use onelogin_simulator::{
    Action, Dialect, Fault, Match, Options, Page, ProtectListing, PushBehaviour, Reissue,
    Simulator, Usernames, samples,
};
use serde_json::{Value, json};

use crate::client::{Client, Reply};
use crate::{live, live_session, py4, sample};

/// 93 bytes, as recorded from API v1 and from the token endpoint.
const DEAD: &str = r#"{"status":{"error":true,"code":401,"type":"Unauthorized","message":"Authentication Failure"}}"#;
const DEAD_V2: &str = r#"{"statusCode":401,"name":"UnauthorizedError","message":"Unauthorized"}"#;

#[test]
fn the_likeliest_dialect_is_the_default() {
    assert_eq!(Options::default().dialect, Dialect::Live);
}

#[test]
fn replies_of_version_1_and_tokens_come_in_chunks_and_those_of_version_2_have_a_length() {
    let (_simulator, mut client) = live_session();
    let of_token = client.token_with("client_id:x, client_secret:y");
    let of_v1 = client.get("/api/1/users/1001/otp_devices");
    for reply in [of_token, of_v1] {
        assert_eq!(reply.header("transfer-encoding"), Some("chunked"));
        assert!(reply.header("x-runtime").is_some(), "{reply:?}");
        assert!(reply.header("etag").is_some(), "{reply:?}");
    }
    let of_v2 = client.get("/api/2/mfa/users/1001/devices");
    let length = of_v2.body.len().to_string();
    assert_eq!(of_v2.header("content-length"), Some(length.as_str()));
    assert_eq!(
        (of_v2.header("x-runtime"), of_v2.header("etag")),
        (None, None)
    );
    for plain in [sample(), py4()] {
        let reply = Client::authorized(&plain).get("/api/1/users/1001/otp_devices");
        assert!(reply.header("content-length").is_some(), "{reply:?}");
        assert_eq!(reply.header("x-ratelimit-limit"), None, "{reply:?}");
    }
}

#[test]
fn only_calls_of_version_1_have_counters_and_lower_them() {
    let (_simulator, mut client) = live_session();
    let left = |reply: &Reply| {
        let left = reply.header("x-ratelimit-remaining")?;
        assert_eq!(reply.header("x-ratelimit-limit"), Some("5000"));
        let reset: u64 = reply.header("x-ratelimit-reset")?.parse().unwrap();
        assert!(reset <= 3600);
        left.parse::<usize>().ok()
    };
    assert_eq!(left(&client.get("/api/1/users")), Some(4999));
    assert_eq!(left(&client.get("/api/2/users")), None);
    assert_eq!(
        left(&client.token_with("client_id:x, client_secret:y")),
        None
    );
    assert_eq!(left(&client.get("/api/1/users")), Some(4998));
}

#[test]
fn a_request_id_tells_time_caller_and_front_end() {
    let (_simulator, mut client) = live_session();
    let id = client
        .get("/api/2/users")
        .header("x-request-id")
        .unwrap()
        .to_owned();
    let parts: Vec<&str> = id.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    assert_eq!(lengths[..5], [8, 8, 4, 8, 4], "{id}");
    assert_eq!(
        (parts.len(), parts[1], parts[4]),
        (7, "7F000001", "01BB"),
        "{id}"
    );
    assert!(parts[3].starts_with("0A0B05"), "{id}");
    for part in parts {
        assert!(u64::from_str_radix(part, 16).is_ok(), "{id}");
    }
}

#[test]
fn a_token_is_some_minutes_old_when_it_is_given() {
    let simulator = live();
    let credential = format!(
        "client_id:{}, client_secret:{}",
        onelogin_simulator::DEFAULT_CLIENT_ID,
        onelogin_simulator::DEFAULT_CLIENT_SECRET
    );
    let reply = Client::connect(&simulator).token_with(&credential);
    let [created, sent] = [
        reply.json()["created_at"].as_str().unwrap()[11..19].to_owned(),
        reply.header("date").unwrap()[17..25].to_owned(),
    ]
    .map(|time| {
        let mut parts = time.split(':').map(|part| part.parse::<i64>().unwrap());
        (0..3).fold(0, |sum, _| sum * 60 + parts.next().unwrap())
    });
    let age = (sent - created).rem_euclid(86_400);
    // The second may have changed between the two.
    assert!((204..=205).contains(&age), "{age}");
    assert_eq!(reply.json()["expires_in"], 36_000);
}

#[test]
fn a_revoked_token_is_refused_by_all_calls_until_the_token_call_gives_another() {
    let (simulator, mut client) = live_session();
    let before = client.token();
    simulator.revoke_tokens();
    assert!(simulator.access_tokens().is_empty());
    for (target, body) in [
        ("/api/1/users", DEAD),
        ("/api/1/users/1001/otp_devices", DEAD),
        ("/auth/rate_limit", DEAD),
        ("/api/2/users", DEAD_V2),
        ("/api/2/mfa/users/1001/devices", DEAD_V2),
        ("/api/2/mfa/users/1001/verifications/x", DEAD_V2),
    ] {
        let reply = client.get(target);
        assert_eq!((reply.status, reply.body.as_str()), (401, body), "{target}");
    }
    let code = client.post(
        "/api/2/mfa/users/1001/verifications",
        &json!({"otp": "123456", "device_id": "501"}),
    );
    assert_eq!((code.status, code.body.as_str()), (401, DEAD_V2));
    let after = client.token();
    assert_ne!(before, after);
    client.authorization = Some(format!("Bearer {after}"));
    assert_eq!(client.get("/api/2/users").status, 200);
}

#[test]
fn a_revoked_token_can_be_given_out_again_and_stays_dead() {
    let simulator = Simulator::start_with(Options {
        reissue: Reissue::Same,
        ..Options::default()
    });
    samples(&simulator);
    let mut client = Client::authorized(&simulator);
    let before = client.token();
    simulator.revoke_tokens();
    assert_eq!(client.token(), before);
    assert_eq!(client.get("/api/2/users").status, 401);
    simulator.set_reissue(Reissue::New);
    simulator.revoke_tokens();
    assert_ne!(client.token(), before);
}

#[test]
fn a_wrong_credential_is_refused_in_the_recorded_bytes() {
    let reply = Client::connect(&live()).token_with("client_id:x, client_secret:y");
    let message = reply.json()["status"]["message"].clone();
    assert_eq!(
        (reply.status, message),
        (401, "Authentication Failure".into())
    );
    assert_eq!(reply.body.len(), 93);
}

#[test]
fn all_users_can_be_without_a_user_name() {
    let simulator = Simulator::start_with(Options {
        usernames: Usernames::Empty,
        ..Options::default()
    });
    samples(&simulator);
    let mut client = Client::authorized(&simulator);
    assert_eq!(client.get("/api/2/users?username=alice").json(), json!([]));
    let found = client.get("/api/2/users?email=alice@example.com").json();
    let of_v1 = client.get("/api/1/users/1001").json()["data"][0].clone();
    for user in [&found[0], &client.get("/api/2/users/1001").json(), &of_v1] {
        assert_eq!(user["email"], "alice@example.com");
        assert_eq!(user["username"], "");
        assert_eq!(user["samaccountname"], Value::Null);
        assert_eq!(user["userprincipalname"], Value::Null);
    }
    let found = client.get("/api/1/users?username=alice").json();
    assert_eq!(found["data"], json!([]));
}

#[test]
fn pages_of_the_front_end_have_nothing_of_the_api() {
    let simulator = live();
    for (page, status, length) in [
        (Page::TooManyRequests, 429, "117"),
        (Page::RequestTimeout, 408, "110"),
    ] {
        simulator.clear_requests();
        let mut client = Client::authorized(&simulator);
        simulator.fault(Fault::new(Match::path("/api/2/users"), Action::Page(page)).times(1));
        let reply = client.get("/api/2/users");
        assert_eq!(reply.status, status);
        assert_eq!(reply.header("content-length"), Some(length));
        assert_eq!(reply.header("content-type"), Some("text/html"));
        assert_eq!(reply.header("cache-control"), Some("no-cache"));
        assert_eq!(reply.header("connection"), Some("close"));
        assert_eq!(reply.headers.len(), 4, "{reply:?}");
        // Nothing more comes.
        assert!(client.request("GET", "/api/2/users", "").is_err());
        let statuses: Vec<u16> = simulator.requests().iter().map(|r| r.status).collect();
        assert_eq!(statuses, [200, status]);
    }
}

#[test]
fn the_texts_of_polls_of_version_1_can_be_chosen() {
    let simulator = live();
    simulator.set_protect_listing(ProtectListing::Triggered);
    let mut client = Client::authorized(&simulator);
    let devices = client.get("/api/1/users/1004/otp_devices").json();
    let listed = &devices["data"]["otp_devices"];
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["needs_trigger"], true);
    let mut poll = |texts: Option<(&str, &str)>, behaviour| {
        if let Some((pending, refused)) = texts {
            simulator.set_v1_poll_texts(pending, refused);
        }
        simulator.on_push(behaviour);
        let sent = client.post("/api/1/users/1004/otp_devices/506/trigger", &json!({}));
        let token = sent.json()["data"][0]["state_token"].clone();
        let path = "/api/1/users/1004/otp_devices/506/verify";
        let body = json!({"state_token": token});
        [(); 2].map(|()| {
            let reply = client.post(path, &body);
            assert_eq!(reply.status, 401);
            reply.json()["status"]["message"]
                .as_str()
                .unwrap()
                .to_owned()
        })
    };
    let denied = PushBehaviour::DenyAfterPolls(1);
    assert_eq!(
        poll(None, denied),
        [
            "Authentication pending on OL Protect",
            "Failed authentication with this factor"
        ]
    );
    let texts = Some(("Authentication pending", "Denied"));
    assert_eq!(poll(texts, denied), ["Authentication pending", "Denied"]);
    // The code of the app, beside the token of the push.
    simulator.on_push(PushBehaviour::Manual);
    let sent = client.post("/api/1/users/1004/otp_devices/506/trigger", &json!({}));
    let token = sent.json()["data"][0]["state_token"].clone();
    let body = json!({"state_token": token, "otp_token": "444444"});
    let reply = client.post("/api/1/users/1004/otp_devices/506/verify", &body);
    assert_eq!(reply.status, 200, "{reply:?}");
}

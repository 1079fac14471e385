//! API v1: users, devices, triggers and codes.

use onelogin_simulator::{
    Action, Device, Factor, Fault, Match, ProtectListing, PushBehaviour, Simulator, User,
};
use serde_json::{Value, json};

use crate::client::{Client, Reply};
use crate::{ids, live_session, only_text_message, sample, session};

fn path(user: u64, rest: &str) -> String {
    format!("/api/1/users/{user}/otp_devices{rest}")
}

fn trigger(client: &mut Client, user: u64, device: &str) -> Value {
    let reply = client.post(&path(user, &format!("/{device}/trigger")), &json!({}));
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["data"][0].take()
}

fn verify(client: &mut Client, user: u64, device: &str, body: &Value) -> Reply {
    client.post(&path(user, &format!("/{device}/verify")), body)
}

/// Status and message, which are the same in the body.
fn outcome(reply: &Reply) -> (u16, String) {
    let body = reply.json();
    assert_eq!(body["status"]["code"], reply.status);
    assert_eq!(body["status"]["error"], reply.status != 200);
    let message = body["status"]["message"].as_str().unwrap().to_owned();
    (reply.status, message)
}

fn failed() -> (u16, String) {
    (401, "Failed authentication with this factor".to_owned())
}

fn stale() -> (u16, String) {
    (400, "State token is invalid or expired".to_owned())
}

fn pending() -> (u16, String) {
    (401, "Authentication pending on OL Protect".to_owned())
}

fn success() -> (u16, String) {
    (200, "Success".to_owned())
}

#[test]
fn devices_have_integers_for_ids_and_the_names_of_v1() {
    let simulator = sample();
    simulator.change_devices(1003, |devices| {
        devices[0].phone = Some("+15551234".to_owned());
    });
    let mut client = Client::authorized(&simulator);
    let body = client.get(&path(1003, "")).json();
    assert_eq!(body["status"]["message"], "Success");
    let expected = json!([{
        "id": 505, "auth_factor_name": "OneLogin SMS", "type_display_name": "SMS",
        "user_display_name": "Carol's number", "phone_number": "+15551234",
        "active": true, "default": true, "needs_trigger": true,
    }]);
    assert_eq!(body["data"]["otp_devices"], expected);
    for (user, name, needs_trigger) in [
        (1001, "Google Authenticator", false),
        (1004, "OneLogin Protect", false),
        (1007, "OneLogin Email", true),
        (1008, "OneLogin Voice", true),
        (1009, "Yubico YubiKey", false),
        (1011, "Duo Security", false),
    ] {
        let mut body = client.get(&path(user, "")).json();
        let device = body["data"]["otp_devices"][0].take();
        assert_eq!(
            (&device["auth_factor_name"], &device["needs_trigger"]),
            (&json!(name), &json!(needs_trigger))
        );
    }
    let heidi = client.get(&path(1010, "")).json();
    assert_eq!(heidi["data"]["otp_devices"], json!([]), "v1 has no links");
}

#[test]
fn protect_can_be_listed_twice() {
    let simulator = sample();
    simulator.set_protect_listing(ProtectListing::Twice);
    let mut client = Client::authorized(&simulator);
    let body = client.get(&path(1004, "")).json();
    let devices = body["data"]["otp_devices"].as_array().unwrap();
    let shown: Vec<_> = devices
        .iter()
        .map(|d| (&d["id"], &d["needs_trigger"]))
        .collect();
    assert_eq!(
        shown,
        [(&json!(506), &json!(true)), (&json!(506), &json!(false))]
    );
}

#[test]
fn a_text_message_is_triggered_and_its_code_is_right_once() {
    let (simulator, mut client) = session();
    let reply = client.post(&path(1003, "/505/trigger"), &json!({})).json();
    assert_eq!(
        reply["status"]["message"],
        "SMS token sent to your mobile device. Authentication pending."
    );
    let data = &reply["data"][0];
    assert_eq!(
        (&data["id"], &data["device_id"], &data["active"]),
        (&json!(1003), &json!(505), &json!(true))
    );
    assert!(
        data["state_token_expires_at"]
            .as_str()
            .unwrap()
            .ends_with('Z')
    );
    let token = &data["state_token"];
    let message = &simulator.messages()[0];
    assert_eq!(message.verification, token.as_str().unwrap());
    let code = message.code().unwrap();
    assert!(code.starts_with('B') && code.len() == 6, "{code}");

    let mut check = |body: Value| outcome(&verify(&mut client, 1003, "505", &body));
    assert_eq!(
        check(json!({"otp_token": "B00000", "state_token": token})),
        failed()
    );
    assert_eq!(check(json!({"state_token": token})), failed());
    assert_eq!(check(json!({"otp_token": code})), stale());
    assert_eq!(
        check(json!({"otp_token": code, "state_token": "x"})),
        stale()
    );
    assert_eq!(
        check(json!({"otp_token": code, "state_token": token})),
        success()
    );
    assert_eq!(
        check(json!({"otp_token": code, "state_token": token})),
        stale()
    );
    assert_eq!((simulator.activations(), simulator.codes()), (1, 5));
}

#[test]
fn a_text_message_can_be_numeric_and_worded() {
    let (simulator, mut client) = session();
    let body = json!({"numeric_sms_otp": true, "state_token_expires_in": 300,
        "sms_message": "{{otp_code}} for {{expiration}} minutes"});
    assert_eq!(client.post(&path(1003, "/505/trigger"), &body).status, 200);
    assert_eq!(only_text_message(&simulator).text, "048611 for 5 minutes");
    for body in [
        json!({"state_token_expires_in": 901}),
        json!({"state_token_expires_in": 0}),
        json!({"numeric_sms_otp": "x"}),
        json!({"sms_message": "x".repeat(161)}),
        json!([]),
    ] {
        let reply = client.post(&path(1003, "/505/trigger"), &body);
        assert_eq!(reply.status, 400, "{body}");
    }
    assert_eq!(simulator.messages().len(), 1);
}

#[test]
fn codes_of_apps_and_keys_need_no_state_token_and_cannot_be_triggered() {
    let (_simulator, mut client) = session();
    for (user, device, code) in [
        (1001, "501", "123456"),
        (1004, "506", "444444"),
        (1009, "510", "ccccccgrrcekdvlhjbnvitfkruehugdjtlcnrgkvidgd"),
        (1011, "512", "888888"),
    ] {
        let mut check = |body: Value| outcome(&verify(&mut client, user, device, &body));
        assert_eq!(check(json!({"otp_token": "000000"})), failed());
        assert_eq!(
            check(json!({"otp_token": code, "state_token": "x"})),
            stale()
        );
        assert_eq!(check(json!({})), failed());
        assert_eq!(check(json!({"otp_token": code})), success());
    }
    assert_eq!(
        client.post(&path(1001, "/501/trigger"), &json!({})).status,
        400
    );
}

#[test]
fn a_push_is_pending_until_it_is_answered() {
    let (simulator, mut client) = session();
    let token = trigger(&mut client, 1004, "506")["state_token"].take();
    let body = json!({"state_token": token});
    let mut poll = || outcome(&verify(&mut client, 1004, "506", &body));
    assert_eq!(poll(), pending());
    let messages = simulator.messages();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].factor, Factor::Protect);
    assert_eq!(simulator.approve_latest().as_deref(), token.as_str());
    assert_eq!(poll(), success());
    assert_eq!(poll(), stale(), "success uses it up");

    let token = trigger(&mut client, 1004, "506")["state_token"].take();
    let body = json!({"state_token": token});
    simulator.deny(token.as_str().unwrap());
    assert_eq!(outcome(&verify(&mut client, 1004, "506", &body)), failed());

    simulator.on_push(PushBehaviour::ApproveAfterPolls(1));
    let token = trigger(&mut client, 1004, "506")["state_token"].take();
    let body = json!({"state_token": token});
    let mut poll = || outcome(&verify(&mut client, 1004, "506", &body));
    assert_eq!([poll(), poll()], [pending(), success()]);
}

#[test]
fn a_code_of_the_app_can_be_typed_while_its_push_is_open() {
    let (_simulator, mut client) = session();
    let token = trigger(&mut client, 1004, "506")["state_token"].take();
    let mut check = |otp| {
        let body = json!({"state_token": token, "otp_token": otp});
        outcome(&verify(&mut client, 1004, "506", &body))
    };
    assert_eq!(check("000000"), failed());
    assert_eq!(check("444444"), success());
}

#[test]
fn a_code_of_a_protect_that_is_listed_with_a_trigger_alone_needs_an_open_push() {
    let simulator = sample();
    simulator.set_protect_listing(ProtectListing::Triggered);
    let mut client = Client::authorized(&simulator);
    let alone = json!({"otp_token": "444444"});
    assert_eq!(
        outcome(&verify(&mut client, 1004, "506", &alone)),
        stale(),
        "nothing was triggered"
    );
    let token = trigger(&mut client, 1004, "506")["state_token"].take();
    let mut check = |body: &Value| outcome(&verify(&mut client, 1004, "506", body));
    let with = |otp| json!({"state_token": token, "otp_token": otp});
    assert_eq!(check(&alone), stale(), "without its state token");
    let foreign = json!({"state_token": "x", "otp_token": "444444"});
    assert_eq!(check(&foreign), stale());
    assert_eq!(check(&with("000000")), failed());
    assert_eq!(check(&with("444444")), success());
    assert_eq!(check(&with("444444")), stale(), "success uses it up");
    for is_approved in [true, false] {
        let token = trigger(&mut client, 1004, "506")["state_token"].take();
        let text = token.as_str().unwrap();
        if is_approved {
            simulator.approve(text);
        } else {
            simulator.deny(text);
        }
        let body = json!({"state_token": token, "otp_token": "444444"});
        assert_eq!(outcome(&verify(&mut client, 1004, "506", &body)), failed());
    }
    let token = trigger(&mut client, 1004, "506")["state_token"].take();
    simulator.expire_verifications();
    let body = json!({"state_token": token, "otp_token": "444444"});
    assert_eq!(outcome(&verify(&mut client, 1004, "506", &body)), stale());
}

#[test]
fn a_call_is_verified_by_its_digits_or_by_waiting() {
    for by_digits in [true, false] {
        let (simulator, mut client) = live_session();
        let token = trigger(&mut client, 1008, "509")["state_token"].take();
        let message = simulator.messages().remove(0);
        let body = json!({"state_token": token});
        assert_eq!(outcome(&verify(&mut client, 1008, "509", &body)), pending());
        if by_digits {
            let body = json!({"state_token": token, "otp_token": message.code()});
            assert_eq!(outcome(&verify(&mut client, 1008, "509", &body)), success());
        } else {
            simulator.approve(&message.verification);
            assert_eq!(outcome(&verify(&mut client, 1008, "509", &body)), success());
        }
    }
}

#[test]
fn a_state_token_is_for_one_device_of_one_user_and_expires() {
    let simulator = sample();
    simulator.add_device(1003, Device::sms("601", "Other number"));
    let mut client = Client::authorized(&simulator);
    let token = trigger(&mut client, 1003, "505")["state_token"].take();
    let code = simulator.messages()[0].code().unwrap().to_owned();
    let body = json!({"otp_token": code, "state_token": token});
    assert_eq!(outcome(&verify(&mut client, 1003, "601", &body)), stale());
    assert_eq!(outcome(&verify(&mut client, 1002, "503", &body)), stale());
    let v2 = client.activate(1003, "505")["id"].take();
    let other = json!({"otp_token": simulator.messages()[1].code(), "state_token": v2});
    assert_eq!(
        outcome(&verify(&mut client, 1003, "505", &other)),
        stale(),
        "an id of v2"
    );
    simulator.expire_verifications();
    assert_eq!(outcome(&verify(&mut client, 1003, "505", &body)), stale());
}

#[test]
fn unknown_users_and_devices_have_the_documented_errors() {
    let (simulator, mut client) = session();
    let missing = (404, "User for id 9 was not found".to_owned());
    assert_eq!(outcome(&client.get("/api/1/users/9/auth_factors")), missing);
    assert_eq!(outcome(&client.get("/api/1/users/9")), missing);
    let body = json!({"otp_token": "1"});
    let nobody = (400, "User does not exist".to_owned());
    assert_eq!(outcome(&verify(&mut client, 9, "501", &body)), nobody);
    assert_eq!(
        outcome(&client.post(&path(9, "/501/trigger"), &json!({}))),
        nobody
    );
    let nothing = (400, "Factor could not be found".to_owned());
    assert_eq!(outcome(&verify(&mut client, 1001, "502", &body)), nothing);
    assert_eq!(outcome(&client.delete(&path(1001, "/502"))), nothing);
    assert_eq!(client.get("/api/1/users/1001/auth_factor").status, 404);
    client.authorization = Some("Bearer x".to_owned());
    let bad = (401, "Authentication Failure".to_owned());
    assert_eq!(outcome(&client.get("/api/1/users")), bad);
    simulator.set_dialect(onelogin_simulator::Dialect::Live);
    assert_eq!(outcome(&client.get("/api/1/users")), bad);
}

#[test]
fn a_number_is_enrolled_and_active_after_its_first_code() {
    let (simulator, mut client) = session();
    let factors = client.get("/api/1/users/1012/auth_factors").json();
    let sms = json!({"name": "OneLogin SMS", "factor_id": 103});
    assert_eq!(factors["data"]["auth_factors"][2], sms);

    let body = json!({"factor_id": 103, "display_name": "Mine", "number": "+15555550123"});
    let device = client.post(&path(1012, ""), &body).json()["data"][0].take();
    assert_eq!(
        (&device["active"], &device["phone_number"]),
        (&json!(false), &json!("+15555550123"))
    );
    let v2 = "/api/2/mfa/users/1012/devices";
    assert_eq!(client.get(v2).json(), json!([]), "v2 lists what is active");
    let id = device["id"].to_string();
    let code = simulator.messages()[0].code().unwrap().to_owned();
    let body = json!({"otp_token": code, "state_token": device["state_token"]});
    assert_eq!(outcome(&verify(&mut client, 1012, &id, &body)), success());
    assert_eq!(client.get(v2).json()[0]["device_id"], id.as_str());
    let listed = client.get(&path(1012, "")).json();
    assert_eq!(listed["data"]["otp_devices"][0]["active"], true);

    let reply = client.delete(&path(1012, &format!("/{id}")));
    assert_eq!((reply.status, reply.body.as_str()), (200, "{}"));
    assert_eq!(client.get(v2).json(), json!([]));
}

#[test]
fn only_text_messages_and_calls_can_be_enrolled_through_v1() {
    let (simulator, mut client) = session();
    let body = json!({"factor_id": 105, "display_name": "Mine", "number": "+15555550123", "verified": true});
    let device = client.post(&path(1012, ""), &body).json()["data"][0].take();
    assert_eq!(
        (&device["active"], device.get("state_token")),
        (&json!(true), None)
    );
    for body in [
        json!({"factor_id": 102, "display_name": "Mine", "number": "+15555550123"}),
        json!({"factor_id": 103, "display_name": "Mine", "number": "5555550123"}),
        json!({"factor_id": 103, "display_name": "Mine"}),
        json!({"factor_id": 103, "number": "+15555550123"}),
        json!({"display_name": "Mine", "number": "+15555550123"}),
    ] {
        assert_eq!(client.post(&path(1012, ""), &body).status, 400, "{body}");
    }
    assert!(simulator.messages().is_empty());
}

fn many_users() -> Simulator {
    let simulator = Simulator::start();
    for id in 1..=120 {
        let user = User::new(id, format!("user{id}")).userprincipalname(format!("u{id}@ad"));
        simulator.add_user(user);
    }
    simulator
}

#[test]
fn users_are_found_with_wildcards_and_negation() {
    let simulator = many_users();
    simulator.change_user(5, |user| user.role_ids = vec![77, 78]);
    let mut client = Client::authorized(&simulator);
    for (query, expected) in [
        ("userprincipalname=u7@ad", vec![7]),
        (
            "username=user11*",
            vec![11, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119],
        ),
        (
            "username=user11%2A&username=!user11*0",
            vec![11, 111, 112, 113, 114, 115, 116, 117, 118, 119],
        ),
        ("email=!*@example.com", vec![]),
        ("id=3", vec![3]),
        ("role_id=77", vec![5]),
        ("username=nobody", vec![]),
    ] {
        let body = client.get(&format!("/api/1/users?{query}")).json();
        assert_eq!(body["status"]["error"], false);
        assert_eq!(ids(&body["data"]), expected, "{query}");
    }
    let one = client.get("/api/1/users/5").json();
    assert_eq!(one["data"][0]["role_id"], json!([77, 78]));
    assert!(one["data"][0].get("role_ids").is_none());
    let some = client.get("/api/1/users?id=5&fields=email").json();
    assert_eq!(
        some["data"],
        json!([{"id": 5, "email": "user5@example.com"}])
    );
}

#[test]
fn an_unknown_filter_is_refused_with_an_object_for_a_message() {
    let simulator = sample();
    let reply = Client::authorized(&simulator).get("/api/1/users?lastnam=x");
    assert_eq!(reply.status, 400);
    let message = json!({"description": "lastnam is not a valid attribute for user model", "attribute": "lastnam"});
    assert_eq!(reply.json()["status"]["message"], message);
}

#[test]
fn users_come_in_pages_of_fifty() {
    let simulator = many_users();
    let mut client = Client::authorized(&simulator);
    let first = client.get("/api/1/users").json();
    assert_eq!(
        (
            ids(&first["data"]).len(),
            &first["pagination"]["before_cursor"]
        ),
        (50, &Value::Null)
    );
    let link = first["pagination"]["next_link"].as_str().unwrap();
    let target = link.strip_prefix("https://localhost").unwrap();
    let second = client.get(target).json();
    assert_eq!(ids(&second["data"])[0], 51);
    let cursor = second["pagination"]["after_cursor"].as_str().unwrap();
    let third = client
        .get(&format!("/api/1/users?after_cursor={cursor}"))
        .json();
    assert_eq!(
        (
            ids(&third["data"]).len(),
            &third["pagination"]["after_cursor"]
        ),
        (20, &Value::Null)
    );
    let back = third["pagination"]["previous_link"].as_str().unwrap();
    let back = client
        .get(back.strip_prefix("https://localhost").unwrap())
        .json();
    assert_eq!(ids(&back["data"])[0], 51);
}

#[test]
fn faults_can_be_aimed_at_calls_of_v1_and_at_enrolments() {
    let (simulator, mut client) = session();
    let token = trigger(&mut client, 1004, "506")["state_token"].take();
    for (number, on) in [
        Match::v1_poll(),
        Match::v1_code(),
        Match::trigger(),
        Match::registration(),
        Match::registration_code(),
        Match::registration_poll(),
        Match::mfa_token(),
    ]
    .into_iter()
    .enumerate()
    {
        let status = 501 + u16::try_from(number).unwrap();
        simulator.fault(Fault::new(on, Action::status(status)));
    }
    let mut replies = vec![
        verify(&mut client, 1004, "506", &json!({"state_token": token})),
        verify(&mut client, 1004, "506", &json!({"otp_token": "444444"})),
        client.post(&path(1004, "/506/trigger"), &json!({})),
    ];
    let registrations = "/api/2/mfa/users/1012/registrations";
    replies.push(client.post(registrations, &json!({})));
    replies.push(client.put(&format!("{registrations}/x"), &json!({})));
    replies.push(client.get(&format!("{registrations}/x")));
    replies.push(client.post("/api/1/users/1012/mfa_token", &json!({})));
    let statuses: Vec<_> = replies.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses, [501, 502, 503, 504, 505, 506, 507]);

    simulator.clear_faults();
    let headers = vec![("Retry-After".to_owned(), "30".to_owned())];
    simulator.fault(Fault::new(
        Match::v1(),
        Action::Status(429, String::new(), headers),
    ));
    let reply = client.get("/api/1/users");
    assert_eq!(
        (reply.status, reply.header("retry-after")),
        (429, Some("30"))
    );
    assert!(reply.header("x-request-id").is_some());
}

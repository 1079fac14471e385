//! Enrolment through API v2.

use std::time::SystemTime;

use onelogin_simulator::{Device, Dialect, ExpiredPoll, Outcome, PushBehaviour, Simulator, totp};
use serde_json::{Value, json};

use crate::client::{Client, verifications};
use crate::{live, live_session, only_text_message, py4, sample, session};

const JUDY: u64 = 1012;
const PROTECT: u64 = 101;
const AUTHENTICATOR: u64 = 102;
const SMS: u64 = 103;
const EMAIL: u64 = 104;
const VOICE: u64 = 105;

const REGISTRATIONS: &str = "/api/2/mfa/users/1012/registrations";
const DEVICES: &str = "/api/2/mfa/users/1012/devices";

fn start(client: &mut Client, factor: u64) -> Value {
    let body = json!({"factor_id": factor, "display_name": "Mine"});
    let reply = client.post(REGISTRATIONS, &body);
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.json()
}

fn path(registration: &Value) -> String {
    format!("{REGISTRATIONS}/{}", registration["id"].as_str().unwrap())
}

/// The one object of the answer, in an array or not.
fn one(mut body: Value) -> Value {
    if body.is_array() {
        body[0].take()
    } else {
        body
    }
}

fn devices(client: &mut Client) -> Vec<(String, String)> {
    let devices = client.get(DEVICES).json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let devices = devices.as_array().unwrap().iter();
    devices
        .map(|d| (text(&d["device_id"]), text(&d["auth_factor_name"])))
        .collect()
}

fn dialects() -> [Simulator; 3] {
    [sample(), live(), py4()]
}

#[test]
fn a_text_message_enrols_a_number_in_every_dialect() {
    for simulator in dialects() {
        let mut client = Client::authorized(&simulator);
        let started = start(&mut client, SMS);
        assert_eq!(started["status"], "pending");
        assert_eq!(started["auth_factor_name"], "SMS");
        assert_eq!(started["user_display_name"], "Mine");
        assert!(started["expires_at"].as_str().unwrap().ends_with('Z'));
        assert!(started.get("device_id").is_none());
        assert!(devices(&mut client).is_empty());
        let message = only_text_message(&simulator);
        let code = message.code().unwrap();
        assert_eq!(
            (message.verification.as_str(), message.device.as_str()),
            (started["id"].as_str().unwrap(), "")
        );

        let wrong = one(client.put(&path(&started), &json!({"otp": "x"})).json());
        assert_eq!(wrong, json!({"id": started["id"], "status": "pending"}));
        let right = one(client.put(&path(&started), &json!({"otp": code})).json());
        let device = right["device_id"].as_str().unwrap().to_owned();
        assert_eq!(
            right,
            json!({"id": started["id"], "status": "accepted", "device_id": device})
        );
        assert_eq!(devices(&mut client), [(device.clone(), "SMS".to_owned())]);
        let again = one(client.put(&path(&started), &json!({"otp": code})).json());
        assert_eq!(again["status"], "rejected", "a code is right once");
        client.activate(JUDY, &device);
    }
}

#[test]
fn answers_to_codes_and_polls_are_arrays_only_as_documented() {
    for (simulator, is_array) in dialects().iter().zip([true, false, false]) {
        let mut client = Client::authorized(simulator);
        let path = path(&start(&mut client, VOICE));
        assert_eq!(client.get(&path).json().is_array(), is_array);
        let answer = client.put(&path, &json!({"otp": 1})).json();
        assert_eq!(answer.is_array(), is_array);
    }
}

#[test]
fn a_code_may_be_an_integer_and_keeps_its_leading_zeros() {
    for (otp, status) in [
        (json!(58_959), "accepted"),
        (json!("058959"), "accepted"),
        (json!("58959"), "pending"),
        (json!(589_590), "pending"),
    ] {
        let simulator = live();
        simulator.set_next_code("058959");
        let mut client = Client::authorized(&simulator);
        let path = path(&start(&mut client, EMAIL));
        let reply = client.put(&path, &json!({"otp": otp}));
        assert_eq!(reply.json()["status"], status, "{otp}");
    }
}

#[test]
fn an_authenticator_is_enrolled_with_its_secret() {
    let (simulator, mut client) = live_session();
    let started = start(&mut client, AUTHENTICATOR);
    let url = started["factor_data"]["totp_url"].as_str().unwrap();
    let secret = started["factor_data"]["verification_token"]
        .as_str()
        .unwrap();
    assert!(url.starts_with("otpauth://totp/"));
    assert!(url.contains(&format!("?secret={secret}&")));
    let registration = &simulator.registrations()[0];
    assert_eq!(registration.secret.as_deref(), Some(secret));
    let code = totp(secret, SystemTime::now()).unwrap();
    assert_eq!(registration.code.as_ref(), Some(&code));

    let reply = client.put(&path(&started), &json!({"otp": code})).json();
    assert_eq!(reply["status"], "accepted");
    let login = json!({"otp": code, "device_id": reply["device_id"]});
    let reply = client.post(&verifications(JUDY), &login);
    assert_eq!(reply.json()["status"], "accepted", "the secret is kept");
    assert!(simulator.messages().is_empty());
}

#[test]
fn protect_is_paired_by_its_token_and_confirmed_by_poll_or_code() {
    for by_code in [true, false] {
        let (simulator, mut client) = live_session();
        let started = start(&mut client, PROTECT);
        let token = started["factor_data"]["verification_token"]
            .as_str()
            .unwrap();
        assert!(token.starts_with("01-"));
        let url = started["factor_data"]["totp_url"].as_str().unwrap();
        assert!(url.contains(&format!("?secret={token}&")));
        assert_eq!(client.get(&path(&started)).json()["status"], "pending");
        let registration = simulator.registrations().remove(0);
        assert_eq!(registration.token.as_deref(), Some(token));
        assert!(simulator.messages().is_empty(), "there is no push yet");
        if by_code {
            let body = json!({"otp": registration.code});
            client.put(&path(&started), &body);
        } else {
            simulator.confirm_registration(&registration.id);
        }
        let polled = client.get(&path(&started)).json();
        assert_eq!(polled["status"], "accepted");
        let registration = simulator.registrations().remove(0);
        assert_eq!(polled["device_id"].as_str(), registration.device.as_deref());
        let login = json!({"otp": registration.code, "device_id": registration.device});
        let reply = client.post(&verifications(JUDY), &login);
        assert_eq!(reply.json()["status"], "accepted", "the app keeps its code");
    }
}

#[test]
fn a_call_is_confirmed_or_refused_on_the_telephone() {
    for (outcome, status) in [
        (Outcome::Accepted, "accepted"),
        (Outcome::Rejected, "rejected"),
    ] {
        let (simulator, mut client) = live_session();
        let started = start(&mut client, VOICE);
        let call = &simulator.messages()[0];
        assert_eq!(
            started["factor_data"]["verification_token"],
            call.code().unwrap()
        );
        assert_eq!(simulator.registrations()[0].code, None, "nothing is typed");
        let reply = client.put(&path(&started), &json!({"otp": call.code()}));
        assert_eq!(
            reply.json()["status"],
            "pending",
            "the digits go by telephone"
        );
        match outcome {
            Outcome::Accepted => simulator.approve(&call.verification),
            _ => simulator.reject_registration(&call.verification),
        }
        assert_eq!(client.get(&path(&started)).json()["status"], status);
        let enrolled = devices(&mut client).len();
        assert_eq!(enrolled, usize::from(outcome == Outcome::Accepted));
        assert_eq!(simulator.registrations()[0].outcome, outcome);
    }
}

#[test]
fn a_registration_can_be_answered_after_a_number_of_polls() {
    let simulator = live();
    simulator.on_push(PushBehaviour::ApproveAfterPolls(1));
    let mut client = Client::authorized(&simulator);
    let path = path(&start(&mut client, PROTECT));
    let mut poll = || client.get(&path).json()["status"].take();
    assert_eq!(
        [poll(), poll(), poll()],
        ["pending", "accepted", "accepted"]
    );
    assert_eq!(devices(&mut client).len(), 1, "only once");
}

#[test]
fn trusted_data_needs_no_code_where_the_documentation_allows_it() {
    let (simulator, mut client) = session();
    for (factor, status) in [
        (SMS, 201),
        (VOICE, 201),
        (EMAIL, 201),
        (PROTECT, 422),
        (AUTHENTICATOR, 422),
    ] {
        let body = json!({"factor_id": factor, "display_name": "Mine", "verified": true});
        let reply = client.post(REGISTRATIONS, &body);
        assert_eq!(reply.status, status, "{factor}");
        if status == 201 {
            let reply = reply.json();
            assert_eq!(reply["status"], "accepted");
            let device = reply["device_id"].as_str().unwrap();
            assert!(devices(&mut client).iter().any(|(id, _)| id == device));
        }
    }
    assert!(simulator.messages().is_empty());
}

#[test]
fn an_enrolment_that_is_not_possible_is_refused() {
    let simulator = sample();
    simulator.add_device(JUDY, Device::sms("601", "Old number"));
    let mut client = Client::authorized(&simulator);
    let long = "x".repeat(161);
    for body in [
        json!({}),
        json!({"factor_id": EMAIL}),
        json!({"factor_id": EMAIL, "display_name": ""}),
        json!({"factor_id": 999, "display_name": "Mine"}),
        json!({"factor_id": SMS, "display_name": "The same again"}),
        json!({"factor_id": 107, "display_name": "YubiKey"}),
        json!({"factor_id": 108, "display_name": "Duo"}),
        json!({"factor_id": EMAIL, "display_name": "Mine", "expires_in": 119}),
        json!({"factor_id": EMAIL, "display_name": "Mine", "expires_in": "901"}),
        json!({"factor_id": EMAIL, "display_name": "Mine", "verified": 1}),
        json!({"factor_id": EMAIL, "display_name": "Mine", "redirect_to": 1}),
    ] {
        assert_eq!(client.post(REGISTRATIONS, &body).status, 422, "{body}");
    }
    client.delete(&format!("{DEVICES}/601"));
    let body = json!({"factor_id": SMS, "display_name": "Mine", "custom_message": long});
    assert_eq!(client.post(REGISTRATIONS, &body).status, 422);
    assert!(simulator.messages().is_empty() && simulator.registrations().is_empty());

    let body = json!({"factor_id": SMS.to_string(), "display_name": "Mine", "expires_in": "300",
        "custom_message": "{{otp_code}} for {{otp_expiry}} minutes"});
    simulator.set_next_code("111111");
    assert_eq!(client.post(REGISTRATIONS, &body).status, 201);
    assert_eq!(only_text_message(&simulator).text, "111111 for 5 minutes");
}

#[test]
fn an_expired_registration_is_worth_nothing() {
    let (simulator, mut client) = live_session();
    let path = path(&start(&mut client, SMS));
    let code = simulator.messages()[0].code().unwrap().to_owned();
    simulator.expire_verifications();
    assert!(!simulator.registrations()[0].is_expired);
    simulator.expire_registrations();
    assert!(simulator.registrations()[0].is_expired);
    let reply = client.put(&path, &json!({"otp": code}));
    assert_eq!(reply.json()["status"], "rejected");
    assert_eq!(client.get(&path).status, 404);
    simulator.set_expired_poll(ExpiredPoll::Rejected);
    assert_eq!(client.get(&path).json()["status"], "rejected");
    assert!(devices(&mut client).is_empty());
}

#[test]
fn ids_of_registrations_verifications_and_other_users_are_not_mixed_up() {
    let (simulator, mut client) = session();
    let registration = start(&mut client, VOICE);
    let id = registration["id"].as_str().unwrap();
    let verification = client.activate(1004, "506");
    let other = verification["id"].as_str().unwrap();
    for path in [
        format!("{}/{id}", verifications(JUDY)),
        format!("/api/2/mfa/users/1004/registrations/{id}"),
        format!("/api/2/mfa/users/1004/registrations/{other}"),
        format!("{REGISTRATIONS}/x"),
    ] {
        assert_eq!(client.get(&path).status, 404, "{path}");
        assert_eq!(
            client.put(&path, &json!({"otp": "1"})).status,
            404,
            "{path}"
        );
    }
    simulator.set_dialect(Dialect::Live);
    assert_eq!(client.get(&path(&registration)).json()["status"], "pending");
}

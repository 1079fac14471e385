//! Second factors in both dialects.

use std::sync::mpsc;
use std::time::Duration;

use onelogin_simulator::{Device, ExpiredPoll, Factor, PushBehaviour, WrongCode};
use serde_json::{Value, json};

use crate::client::{Client, PATIENCE, verifications};
use crate::{live, live_session, only_text_message, sample, session};

fn verification(user: u64, activated: &Value) -> String {
    format!(
        "{}/{}",
        verifications(user),
        activated["id"].as_str().unwrap()
    )
}

#[test]
fn devices_are_listed_with_string_ids_or_numbers() {
    let (simulator, mut client) = session();
    let devices = client.get("/api/2/mfa/users/1003/devices").json();
    let expected = json!([{
        "device_id": "505", "user_display_name": "Carol's number", "type_display_name": "SMS",
        "auth_factor_name": "SMS", "default": true,
    }]);
    assert_eq!(devices, expected);
    simulator.set_numeric_ids(true);
    assert_eq!(
        client.get("/api/2/mfa/users/1003/devices").json()[0]["device_id"],
        505
    );
    assert_eq!(
        client.get("/api/2/mfa/users/1006/devices").json(),
        json!([])
    );
    assert_eq!(client.get("/api/2/mfa/users/9/devices").status, 404);
}

#[test]
fn an_enrolled_factor_is_no_longer_offered() {
    let simulator = sample();
    let factors = Client::authorized(&simulator)
        .get("/api/2/mfa/users/1002/factors")
        .json();
    let names: Vec<_> = factors
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["auth_factor_name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["OneLogin Email", "OneLogin Voice"]);
}

#[test]
fn a_code_needs_no_activation() {
    let (simulator, mut client) = session();
    let right = json!({"otp": "123456", "device_id": "501"});
    let success =
        json!({"status": {"type": "success", "code": 200, "message": "Success", "error": false}});
    let reply = client.post(&format!("{}/", verifications(1001)), &right);
    assert_eq!((reply.status, reply.json()), (200, success));
    let protect = json!({"otp": "444444", "device_id": 506});
    assert_eq!(client.post(&verifications(1004), &protect).status, 200);

    simulator.set_dialect(onelogin_simulator::Dialect::Live);
    let reply = client.post(&verifications(1001), &right);
    assert_eq!(
        reply.json(),
        json!({"status": "accepted", "device_id": "501", "user_id": "1001"})
    );
    assert!(simulator.messages().is_empty());
    assert_eq!((simulator.activations(), simulator.codes()), (0, 3));
}

#[test]
fn a_wrong_code_is_refused_in_the_way_of_the_dialect() {
    let (simulator, mut client) = session();
    let wrong = json!({"otp": "000000", "device_id": "501"});
    let reply = client.post(&verifications(1001), &wrong);
    assert_eq!(
        (reply.status, reply.json()["name"].as_str()),
        (401, Some("InvalidCredentials"))
    );

    simulator.set_dialect(onelogin_simulator::Dialect::Live);
    let reply = client.post(&verifications(1001), &wrong);
    assert_eq!(
        (reply.status, reply.json()["status"].as_str()),
        (200, Some("rejected"))
    );
    simulator.set_wrong_code(WrongCode::Pending);
    assert_eq!(
        client.post(&verifications(1001), &wrong).json()["status"],
        "pending"
    );
}

#[test]
fn a_text_message_has_a_code_that_is_right_once() {
    for simulator in [sample(), live()] {
        let mut client = Client::authorized(&simulator);
        let activated = client.activate(1003, "505");
        assert_eq!(
            (&activated["user_id"], &activated["device_id"]),
            (&json!("1003"), &json!("505"))
        );
        let message = only_text_message(&simulator);
        let code = message.code().unwrap();
        assert_eq!((message.user, code), (1003, "048611"));
        assert!(message.text.contains("048611"));

        let mut accepts = |path: &str, code: &str| {
            let reply = client.put(path, &json!({"otp": code}));
            let status = reply.json()["status"].clone();
            reply.status == 200 && (status["type"] == "success" || status == "accepted")
        };
        let path = verification(1003, &activated);
        assert!(!accepts(&path, "48611"));
        assert!(
            accepts(&path, "048611"),
            "a wrong code does not use the verification up"
        );
        assert!(!accepts(&path, "048611"), "an accepted code does");
        assert!(
            !accepts(&verification(1002, &activated), "048611"),
            "nor is it another user's"
        );
    }
}

#[test]
fn a_text_message_is_activated_in_an_array_as_documented_and_in_an_object_as_observed() {
    for (simulator, is_array) in [(sample(), true), (live(), false)] {
        let mut client = Client::authorized(&simulator);
        let body = json!({"device_id": 505, "expires_in": "120"});
        let reply = client.post(&verifications(1003), &body).json();
        assert_eq!(reply.is_array(), is_array);
        let object = if is_array { &reply[0] } else { &reply };
        assert!(object["expires_at"].as_str().unwrap().ends_with('Z'));
        assert!(
            client
                .post(&verifications(1004), &json!({"device_id": "506"}))
                .json()
                .is_object()
        );
    }
}

#[test]
fn codes_have_leading_zeros_and_letters_and_can_be_chosen() {
    let (simulator, mut client) = session();
    simulator.set_next_code("B41832");
    (0..5).for_each(|_| drop(client.activate(1003, "505")));
    let messages = simulator.messages();
    let codes: Vec<_> = messages
        .iter()
        .map(|message| message.code().unwrap())
        .collect();
    assert_eq!(codes, ["B41832", "048611", "320440", "592269", "B64098"]);
}

#[test]
fn a_custom_message_is_filled_in_and_limited() {
    let (simulator, mut client) = session();
    simulator.set_next_code("111111");
    let template = "{{otp_code}} for {{otp_expiry}} minutes";
    let body = json!({"device_id": "505", "expires_in": 300, "custom_message": template});
    assert_eq!(client.post(&verifications(1003), &body).status, 201);
    assert_eq!(only_text_message(&simulator).text, "111111 for 5 minutes");

    let body = json!({"device_id": "505", "custom_message": "x".repeat(161)});
    assert_eq!(client.post(&verifications(1003), &body).status, 422);
}

#[test]
fn a_malformed_activation_is_refused_and_sends_nothing() {
    let (simulator, mut client) = session();
    for (body, status) in [
        (json!({}), 422),
        (json!({"device_id": "505", "expires_in": 119}), 422),
        (json!({"device_id": "505", "expires_in": 901}), 422),
        (json!({"device_id": "505", "expires_in": "soon"}), 422),
        (json!({"device_id": "505", "otp": 123_456}), 422),
        (json!({"device_id": "501"}), 404),
        (json!(["505"]), 400),
    ] {
        assert_eq!(
            client.post(&verifications(1003), &body).status,
            status,
            "{body}"
        );
    }
    assert_eq!(
        client
            .request("POST", &verifications(1003), "{")
            .unwrap()
            .status,
        400
    );
    assert!(simulator.messages().is_empty());
}

#[test]
fn an_activated_authenticator_takes_its_code_with_the_device_id() {
    let (_simulator, mut client) = session();
    let path = verification(1001, &client.activate(1001, "501"));
    assert_eq!(client.put(&path, &json!({"otp": "123456"})).status, 422);
    assert_eq!(
        client
            .put(&path, &json!({"otp": "000000", "device_id": "501"}))
            .status,
        401
    );
    assert_eq!(
        client
            .put(&path, &json!({"otp": "123456", "device_id": "501"}))
            .status,
        200
    );
}

#[test]
fn a_push_waits_for_the_person() {
    for simulator in [sample(), live()] {
        let mut client = Client::authorized(&simulator);
        let activated = client.activate(1004, "506");
        assert!(activated.get("expires_at").is_none());
        let push = simulator
            .wait_for_message(PATIENCE, |message| message.user == 1004)
            .unwrap();
        assert_eq!(
            (push.verification.as_str(), push.device.as_str()),
            (activated["id"].as_str().unwrap(), "506")
        );

        let path = verification(1004, &activated);
        let mut poll = || {
            let body = client.get(&path).json();
            let object = if body.is_array() { &body[0] } else { &body };
            assert_eq!(
                (&object["id"], &object["device_id"]),
                (&activated["id"], &json!("506"))
            );
            object["status"].as_str().unwrap().to_owned()
        };
        assert_eq!(poll(), "pending");
        simulator.approve(&push.verification);
        assert_eq!(poll(), "accepted");
        simulator.deny(&push.verification);
        assert_eq!(poll(), "accepted", "an answer is final");
    }
}

#[test]
fn a_poll_is_an_array_as_documented_and_an_object_as_observed() {
    for (simulator, is_array) in [(sample(), true), (live(), false)] {
        let mut client = Client::authorized(&simulator);
        let path = verification(1004, &client.activate(1004, "506"));
        assert_eq!(client.get(&path).json().is_array(), is_array);
    }
}

#[test]
fn a_push_is_answered_after_a_number_of_polls() {
    let (simulator, mut client) = live_session();
    let mut answers = |behaviour| {
        simulator.on_push(behaviour);
        let path = verification(1004, &client.activate(1004, "506"));
        (0..3)
            .map(|_| {
                client.get(&path).json()["status"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(
        answers(PushBehaviour::ApproveAfterPolls(2)),
        ["pending", "pending", "accepted"]
    );
    assert_eq!(
        answers(PushBehaviour::ApproveAfterPolls(0)),
        ["accepted", "accepted", "accepted"]
    );
    assert_eq!(
        answers(PushBehaviour::DenyAfterPolls(1)),
        ["pending", "rejected", "rejected"]
    );
}

#[test]
fn a_protect_code_goes_by_post_and_not_to_the_id_of_a_push() {
    let (_simulator, mut client) = session();
    let path = verification(1004, &client.activate(1004, "506"));
    let code = json!({"otp": "444444", "device_id": "506"});
    assert_eq!(client.put(&path, &code).status, 401);
    assert_eq!(client.post(&verifications(1004), &code).status, 200);
    assert_eq!(
        client.get(&path).json()[0]["status"],
        "pending",
        "the push is another matter"
    );
}

#[test]
fn a_call_shows_its_digits_and_a_link_is_followed() {
    let simulator = live();
    simulator.add_device(1003, Device::voice("601", "Carol's phone"));
    simulator.add_device(1003, Device::magic_link("602", "Carol's mail"));
    let mut client = Client::authorized(&simulator);

    let call = client.activate(1003, "601");
    let messages = simulator.messages();
    assert_eq!(
        call["factor_data"]["verification_token"],
        messages[0].code().unwrap()
    );
    assert!(simulator.deny_latest().is_some());
    assert_eq!(
        client.get(&verification(1003, &call)).json()["status"],
        "rejected"
    );

    let link = client.activate(1003, "602");
    assert_eq!(link["auth_factor_name"], "OneLogin Email");
    assert_eq!(simulator.approve_latest().as_deref(), link["id"].as_str());
    assert_eq!(
        client.get(&verification(1003, &link)).json()["status"],
        "accepted"
    );
    assert_eq!(simulator.approve_latest(), None);
}

#[test]
fn an_expired_verification_is_worth_nothing() {
    let (simulator, mut client) = session();
    let sms = verification(1003, &client.activate(1003, "505"));
    let push = verification(1004, &client.activate(1004, "506"));
    simulator.expire_verifications();
    assert_eq!(client.put(&sms, &json!({"otp": "048611"})).status, 401);
    assert_eq!(client.get(&push).status, 404);
    simulator.set_expired_poll(ExpiredPoll::Pending);
    assert_eq!(client.get(&push).json()[0]["status"], "pending");
    simulator.set_expired_poll(ExpiredPoll::Rejected);
    assert_eq!(client.get(&push).json()[0]["status"], "rejected");
}

#[test]
fn a_message_and_a_request_can_be_waited_for() {
    let simulator = sample();
    std::thread::scope(|scope| {
        scope.spawn(|| Client::authorized(&simulator).activate(1004, "506"));
        assert!(
            simulator
                .wait_for_message(PATIENCE, |message| message.factor == Factor::Protect)
                .is_some()
        );
        let request = simulator
            .wait_for_request(PATIENCE, "POST", "/verifications")
            .unwrap();
        assert_eq!(
            (request.status, request.body.as_str()),
            (201, r#"{"device_id":"506"}"#)
        );
        assert!(request.authorization.unwrap().starts_with("Bearer "));
    });
    let moment = Duration::from_millis(1);
    assert!(
        simulator
            .wait_for_nth_request(moment, "POST", "/verifications", 2)
            .is_none()
    );
    assert!(
        simulator
            .wait_for_message(moment, |message| message.user == 1)
            .is_none()
    );
}

#[test]
fn the_printer_gets_each_message_before_the_login_gets_its_reply() {
    let simulator = sample();
    let (sender, receiver) = mpsc::channel();
    simulator.set_printer(move |message| sender.send(message.to_string()).unwrap());
    Client::authorized(&simulator).activate(1003, "505");
    assert_eq!(
        receiver.try_recv().unwrap(),
        "SMS to carol: Your OneLogin code is 048611"
    );
}

//! Temporary MFA tokens.

use onelogin_simulator::{Dialect, Simulator};
use serde_json::{Value, json};

use crate::client::{Client, verifications};
use crate::{live, py4, sample, session};

const TOKEN: &str = "/api/2/mfa/users/1006/mfa_token";

fn check(client: &mut Client, device: &Value, otp: &Value) -> u16 {
    let body = json!({"device_id": device, "otp": otp});
    client.post(&verifications(1006), &body).status
}

fn check_v1(client: &mut Client, otp: &Value) -> (u16, Value) {
    let body = json!({"otp_token": otp});
    let reply = client.post("/api/1/users/1006/otp_devices/0/verify", &body);
    (reply.status, reply.json()["status"]["message"].take())
}

#[test]
fn a_token_is_right_once_through_either_version() {
    for by_v1 in [true, false] {
        let (_simulator, mut client) = session();
        let reply = client.post(TOKEN, &json!({}));
        assert_eq!(reply.status, 200);
        let reply = reply.json();
        assert_eq!(
            (
                &reply["reusable"],
                reply["mfa_token"].as_str().unwrap().len()
            ),
            (&json!(false), 8)
        );
        let (device, token) = (&reply["device_id"], &reply["mfa_token"]);
        assert!(device.as_str().unwrap().starts_with("user_temp_otp_"));
        assert_eq!(check(&mut client, device, &json!("x")), 401);
        let failed = json!("Failed authentication with this factor");
        assert_eq!(check_v1(&mut client, &json!("x")), (401, failed.clone()));
        if by_v1 {
            assert_eq!(check_v1(&mut client, token), (200, json!("Success")));
        } else {
            assert_eq!(check(&mut client, device, token), 200);
        }
        assert_eq!(check_v1(&mut client, token), (401, failed));
        assert_eq!(check(&mut client, device, token), 404);
        assert_eq!(
            client.get("/api/2/mfa/users/1006/devices").json(),
            json!([])
        );
    }
}

#[test]
fn a_reusable_token_is_right_until_it_expires() {
    let (simulator, mut client) = session();
    let body = json!({"expires_in": "300", "reusable": "true"});
    let reply = client.post("/api/1/users/1006/mfa_token", &body);
    assert_eq!(reply.status, 200);
    let reply = reply.json();
    assert_eq!(reply["reusable"], true);
    assert!(reply.get("device_id").is_none() && reply.get("status").is_none());
    let token = &reply["mfa_token"];
    for _ in 0..2 {
        assert_eq!(check_v1(&mut client, token).0, 200);
    }
    simulator.expire_temporary_tokens();
    assert_eq!(check_v1(&mut client, token).0, 401);
}

#[test]
fn a_token_belongs_to_one_user() {
    let simulator = live();
    let device = simulator.give_temporary_token(1006, "00012345", true);
    let mut client = Client::authorized(&simulator);
    let body = json!({"device_id": device, "otp": "00012345"});
    let reply = client.post(&verifications(1006), &body).json();
    assert_eq!(
        (&reply["status"], &reply["device_id"]),
        (&json!("accepted"), &json!(device))
    );
    assert_eq!(client.post(&verifications(1001), &body).status, 404);
    let path = "/api/1/users/1001/otp_devices/0/verify";
    assert_eq!(
        client.post(path, &json!({"otp_token": "00012345"})).status,
        401
    );
    assert_eq!(check_v1(&mut client, &json!("00012345")).0, 200);
}

#[test]
fn the_status_of_a_new_token_and_its_limits_are_those_of_the_dialect_and_the_documentation() {
    let simulators: [Simulator; 3] = [sample(), live(), py4()];
    for (simulator, status) in simulators.iter().zip([200, 201, 201]) {
        let mut client = Client::authorized(simulator);
        assert_eq!(
            client.post(TOKEN, &json!({"expires_in": 259_200})).status,
            status
        );
        for body in [
            json!({"expires_in": 119}),
            json!({"expires_in": "259201"}),
            json!({"reusable": "perhaps"}),
        ] {
            let reply = client.post(TOKEN, &body);
            assert_eq!(
                (reply.status, &reply.json()["name"]),
                (422, &json!("ValidationError")),
                "{body}"
            );
            assert!(reply.json()["details"]["parameters"].is_array());
        }
    }
    simulators[0].set_dialect(Dialect::Live);
    let mut client = Client::authorized(&simulators[0]);
    assert_eq!(
        client
            .post("/api/2/mfa/users/9/mfa_token", &json!({}))
            .status,
        404
    );
}

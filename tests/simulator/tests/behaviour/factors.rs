//! Factors that are checked directly, devices that come and go, and the dialect of the Python package.

use std::time::SystemTime;

use onelogin_simulator::{Device, Factor, User, totp};
use serde_json::{Value, json};

use crate::client::{Client, verifications};
use crate::{ids, live, live_session, py4, sample, session};

fn names(list: &Value) -> Vec<&str> {
    let list = list.as_array().unwrap().iter();
    list.map(|item| item["auth_factor_name"].as_str().unwrap())
        .collect()
}

#[test]
fn the_samples_have_each_factor_under_its_stable_name() {
    let (_simulator, mut client) = session();
    for (user, expected) in [
        (1001, vec!["Google Authenticator"]),
        (1002, vec!["OneLogin", "SMS", "Google Authenticator"]),
        (1007, vec!["OneLogin Email"]),
        (1008, vec!["OneLogin Voice"]),
        (1009, vec!["YubiKey"]),
        (1010, vec!["OneLogin Email"]),
        (1011, vec!["Duo Security"]),
        (1012, vec![]),
    ] {
        let devices = client.get(&format!("/api/2/mfa/users/{user}/devices"));
        assert_eq!(names(&devices.json()), expected, "{user}");
    }
    let users = client.get("/api/2/users").json();
    let devices: Vec<Value> = ids(&users)
        .iter()
        .map(|user| {
            let path = format!("/api/2/mfa/users/{user}/devices");
            client.get(&path).json()
        })
        .collect();
    for factor in Factor::ALL {
        let name = factor.auth_factor_name();
        assert!(
            devices.iter().any(|list| names(list).contains(&name)),
            "no sample user has {name}"
        );
    }
}

#[test]
fn a_yubikey_and_duo_take_their_codes_without_activation() {
    for simulator in [sample(), live()] {
        let mut client = Client::authorized(&simulator);
        let key = "ccccccgrrcekdvlhjbnvitfkruehugdjtlcnrgkvidgd";
        assert_eq!(key.len(), 44);
        for (user, device, right, wrong) in [
            (1009, "510", key, &key[..43]),
            (1011, "512", "888888", "123456"),
        ] {
            let mut check = |otp| {
                let body = json!({"otp": otp, "device_id": device});
                client.post(&verifications(user), &body).body
            };
            let (right, wrong) = (check(right), check(wrong));
            assert!(right.contains("uccess") || right.contains("accepted"));
            assert!(wrong.contains("InvalidCredentials") || wrong.contains("rejected"));
        }
        assert!(simulator.messages().is_empty());
    }
}

#[test]
fn an_email_code_is_right_once() {
    let (simulator, mut client) = live_session();
    let activated = client.activate(1007, "508");
    let code = simulator.messages()[0].code().unwrap().to_owned();
    let path = format!(
        "{}/{}",
        verifications(1007),
        activated["id"].as_str().unwrap()
    );
    let mut check = |otp: &str| client.put(&path, &json!({"otp": otp})).json()["status"].take();
    assert_eq!(check("000000"), "rejected");
    assert_eq!(check(&code), "accepted");
    assert_eq!(check(&code), "rejected");
}

#[test]
fn a_device_with_a_secret_takes_the_code_of_now() {
    let simulator = sample();
    let secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    simulator.add_device(1006, Device::authenticator("601", "App").secret(secret));
    let code = totp(secret, SystemTime::now()).unwrap();
    let mut client = Client::authorized(&simulator);
    let mut check = |otp: &str| {
        let body = json!({"otp": otp, "device_id": "601"});
        client.post(&verifications(1006), &body).status
    };
    assert_eq!(check(&code), 200);
    let other = if code == "000000" { "000001" } else { "000000" };
    assert_eq!(check(other), 401);
}

#[test]
fn a_policy_decides_what_can_be_enrolled() {
    let simulator = sample();
    let policy = [Factor::MagicLink, Factor::Duo, Factor::YubiKey];
    simulator.add_user(User::new(7, "eve").factors(policy));
    let mut client = Client::authorized(&simulator);
    let mut factors = |user| {
        client
            .get(&format!("/api/2/mfa/users/{user}/factors"))
            .json()
    };
    assert_eq!(
        names(&factors(7)),
        ["OneLogin Email", "Duo Security", "YubiKey"]
    );
    let first = factors(1012)[0].clone();
    assert_eq!(
        first,
        json!({"factor_id": 101, "name": "OneLogin Protect", "auth_factor_name": "OneLogin"})
    );
    simulator.add_device(7, Device::duo("601", "Duo"));
    assert_eq!(names(&factors(7)), ["OneLogin Email", "YubiKey"]);
}

#[test]
fn a_deleted_device_is_gone_with_what_was_open_for_it() {
    let (_simulator, mut client) = session();
    let activated = client.activate(1003, "505");
    let devices = "/api/2/mfa/users/1003/devices";
    let reply = client.delete(&format!("{devices}/505"));
    assert_eq!((reply.status, reply.body.as_str()), (204, ""));
    assert_eq!(client.get(devices).json(), json!([]));
    assert_eq!(client.delete(&format!("{devices}/505")).status, 404);
    assert_eq!(
        client.delete(&format!("{devices}/501")).status,
        404,
        "alice's"
    );
    let path = format!(
        "{}/{}",
        verifications(1003),
        activated["id"].as_str().unwrap()
    );
    assert_eq!(client.put(&path, &json!({"otp": "048611"})).status, 404);
}

#[test]
fn the_dialect_of_the_python_package_has_flat_answers_and_an_integer_device_on_activation() {
    let simulator = py4();
    let mut client = Client::authorized(&simulator);
    let activated = client
        .post(&verifications(1003), &json!({"device_id": 505}))
        .json();
    assert_eq!(activated["device_id"], 505);
    let path = format!(
        "{}/{}",
        verifications(1003),
        activated["id"].as_str().unwrap()
    );
    let code = simulator.messages()[0].code().unwrap().to_owned();
    assert_eq!(client.put(&path, &json!({"otp": "000000"})).status, 401);
    let flat = json!({"error": false, "code": 200, "type": "success", "message": "Success"});
    assert_eq!(client.put(&path, &json!({"otp": code})).json(), flat);

    let push = client.activate(1004, "506");
    let path = format!("{}/{}", verifications(1004), push["id"].as_str().unwrap());
    assert_eq!(client.get(&path).json()["device_id"], "506");
    let path = "/api/1/users/1001/otp_devices/501/verify";
    assert_eq!(
        client.post(path, &json!({"otp_token": "123456"})).json(),
        flat
    );
}

#[test]
fn the_rate_limit_counts_calls_of_version_1_alone() {
    let (_simulator, mut client) = session();
    let mut left = || {
        let body = client.get("/auth/rate_limit").json();
        assert_eq!(body["status"]["message"], "Success");
        assert!(body["data"]["X-RateLimit-Reset"].as_u64().unwrap() <= 3600);
        body["data"]["X-RateLimit-Remaining"].as_u64().unwrap()
    };
    assert_eq!((left(), left()), (5000, 5000));
    client.get("/api/2/users");
    client.get("/api/1/users");
    client.get("/api/1/users/1001/otp_devices");
    let body = client.get("/auth/rate_limit").json();
    assert_eq!(body["data"]["X-RateLimit-Remaining"], 4998);
    client.authorization = None;
    assert_eq!(client.get("/auth/rate_limit").status, 401);
}

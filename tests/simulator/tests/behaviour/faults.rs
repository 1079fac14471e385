//! Replies spoiled on demand.

use std::time::Instant;

use onelogin_simulator::{Action, Fault, Match};
use serde_json::json;

use crate::client::{Client, verifications};
use crate::{sample, session};

#[test]
fn a_fault_hits_only_what_it_is_for_and_only_so_often() {
    let (simulator, mut client) = session();
    let headers = vec![("Retry-After".to_owned(), "7".to_owned())];
    let busy = Action::Status(429, "slow down".to_owned(), headers);
    simulator.fault(
        Fault::new(Match::new("GET", "/devices"), busy)
            .skip(1)
            .times(1),
    );
    let mut devices = || client.get("/api/2/mfa/users/1001/devices");
    assert_eq!(devices().status, 200);
    let reply = devices();
    assert_eq!(
        (
            reply.status,
            reply.body.as_str(),
            reply.header("retry-after")
        ),
        (429, "slow down", Some("7"))
    );
    assert_eq!(devices().status, 200);
    assert_eq!(
        simulator
            .requests()
            .iter()
            .map(|r| r.status)
            .collect::<Vec<_>>(),
        [200, 200, 429, 200]
    );
}

#[test]
fn faults_can_be_cleared() {
    let (simulator, mut client) = session();
    simulator.fault(Fault::new(Match::any(), Action::status(503)));
    assert_eq!(client.get("/api/2/users").status, 503);
    simulator.clear_faults();
    assert_eq!(client.get("/api/2/users").status, 200);
}

#[test]
fn activations_and_codes_are_told_apart() {
    let (simulator, mut client) = session();
    simulator.fault(Fault::new(Match::activation(), Action::status(500)));
    simulator.fault(Fault::new(Match::code(), Action::Body("{}".to_owned())));
    assert_eq!(
        client
            .post(&verifications(1001), &json!({"device_id": "501"}))
            .status,
        500
    );
    let reply = client.post(
        &verifications(1001),
        &json!({"device_id": "501", "otp": "1"}),
    );
    assert_eq!((reply.status, reply.body.as_str()), (200, "{}"));
}

#[test]
fn a_dropped_request_is_performed_or_not() {
    let activation = json!({"device_id": "506"}).to_string();
    for (fault, sent) in [
        (Fault::new(Match::activation(), Action::DropBefore), 0),
        (Fault::new(Match::activation(), Action::DropAfter), 1),
        (Fault::new(Match::activation(), Action::status(504)), 0),
        (
            Fault::new(Match::activation(), Action::status(504)).performed(),
            1,
        ),
    ] {
        let (simulator, mut client) = session();
        simulator.fault(fault.clone());
        let reply = client.request("POST", &verifications(1004), &activation);
        assert_eq!(reply.is_ok(), fault.action == Action::status(504));
        assert_eq!(
            (simulator.messages().len(), simulator.activations()),
            (sent, 1),
            "{fault:?}"
        );
    }
}

#[test]
fn replies_can_be_replaced_by_anything() {
    let simulator = sample();
    for (action, part) in [
        (
            Action::Redirect("https://elsewhere.example/".to_owned()),
            "elsewhere",
        ),
        (
            Action::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nraw".to_vec()),
            "raw",
        ),
        (Action::Huge(100_000), "aaaa"),
        (
            Action::Drip {
                bytes: 100,
                every_ms: 1,
            },
            "alice",
        ),
        (
            Action::Header("X-Odd".to_owned(), "odd value".to_owned()),
            "odd value",
        ),
    ] {
        let mut client = Client::authorized(&simulator);
        simulator.fault(Fault::new(Match::path("/users"), action.clone()).times(1));
        let reply = client.get("/api/2/users");
        assert!(format!("{reply:?}").contains(part), "{action:?}");
        if let Action::Huge(bytes) = action {
            assert_eq!(reply.body.len() as u64, bytes);
            assert!(reply.json().is_string());
        }
    }
}

#[test]
fn a_delayed_reply_comes_late_but_is_logged_at_once() {
    let (simulator, mut client) = session();
    simulator.fault(Fault::new(Match::path("/users"), Action::DelayMs(50)));
    let start = Instant::now();
    assert_eq!(client.get("/api/2/users").status, 200);
    assert!(start.elapsed().as_millis() >= 50);
}

#[test]
fn connections_can_be_hung_up() {
    let simulator = sample();
    simulator.fault(Fault::new(Match::any(), Action::HangUpAfterHandshake).times(1));
    assert!(Client::connect(&simulator).request("GET", "/", "").is_err());
    assert_eq!(
        (simulator.connections(), simulator.requests().len()),
        (1, 0)
    );

    let mut client = Client::authorized(&simulator);
    simulator.fault(Fault::new(Match::any(), Action::CloseAfterReply));
    let reply = client.get("/api/2/users");
    assert_eq!((reply.status, reply.header("connection")), (200, None));
    assert!(client.request("GET", "/api/2/users", "").is_err());
}

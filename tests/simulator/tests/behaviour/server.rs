//! Connections, certificates, HTTP and the stop.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::{fs, thread};

use onelogin_simulator::{Action, Certificate, Fault, Match, Options, Simulator};

use crate::client::{Client, PATIENCE};
use crate::{sample, session};

/// The threads of this process that work for the simulator on `port`.
fn threads_of(port: u16) -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names
        .filter(|name| name.trim() == format!("sim-{port}"))
        .count()
}

#[test]
fn requests_share_a_connection() {
    let (simulator, mut client) = session();
    client.get("/api/2/users?username=alice");
    let mut other = Client::authorized(&simulator);
    other.get("/api/2/users/1001");
    let connections: Vec<_> = simulator
        .requests()
        .iter()
        .map(|request| request.connection)
        .collect();
    assert_eq!(connections, [1, 1, 2, 2]);
    assert_eq!(simulator.connections(), 2);
    assert_eq!(
        (
            simulator.count("GET", "/api/2/users"),
            simulator.count("", "username=alice")
        ),
        (2, 1)
    );
    simulator.clear_requests();
    assert!(simulator.requests().is_empty());
}

#[test]
fn a_chunked_body_is_understood() {
    let simulator = sample();
    let text = "POST /auth/oauth2/v2/token HTTP/1.1\r\nTransfer-Encoding: chunked\r\nUser-Agent: test\r\n\r\n\
        10\r\n{\"grant_type\":\"c\r\n12\r\nlient_credentials\"\r\n1\r\n}\r\n0\r\n\r\n";
    let reply = Client::connect(&simulator).raw(text).unwrap();
    assert_eq!(reply.status, 401);
    let request = &simulator.requests()[0];
    assert_eq!(request.body, r#"{"grant_type":"client_credentials"}"#);
    assert_eq!(request.user_agent.as_deref(), Some("test"));
}

#[test]
fn a_client_that_asks_for_it_is_disconnected() {
    let simulator = sample();
    let mut client = Client::connect(&simulator);
    let reply = client
        .raw("GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        .unwrap();
    assert_eq!(
        (reply.status, reply.header("connection")),
        (404, Some("close"))
    );
    assert!(client.request("GET", "/", "").is_err());
}

#[test]
fn nonsense_does_not_stop_the_server() {
    let simulator = sample();
    for (text, status) in [
        ("nonsense\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (
            "POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
            413,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
            413,
        ),
    ] {
        assert_eq!(
            Client::connect(&simulator).raw(text).unwrap().status,
            status
        );
    }
    // The reply to it may be lost, as it is sent before all of this is read.
    let _ =
        Client::connect(&simulator).raw(&format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(200_000)));
    let mut plain = TcpStream::connect(("127.0.0.1", simulator.port())).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(
        Client::authorized(&simulator)
            .get("/api/2/users?username=%")
            .status,
        200
    );
}

#[test]
fn a_bad_certificate_is_not_trusted() {
    for certificate in [
        Certificate::WrongHost,
        Certificate::Expired,
        Certificate::NotYetValid,
        Certificate::NoCa,
        Certificate::SelfSigned,
        Certificate::UnknownCa,
    ] {
        let simulator = Simulator::start_with(Options {
            certificate,
            ..Options::default()
        });
        let error = Client::connect(&simulator)
            .request("GET", "/", "")
            .unwrap_err();
        assert!(
            error.to_string().contains("certificate"),
            "{certificate:?}: {error}"
        );
        assert!(simulator.requests().is_empty());
    }
}

#[test]
fn it_speaks_tls_1_2_and_plain_http_on_demand() {
    let simulator = Simulator::start_with(Options {
        tls12_only: true,
        ..Options::default()
    });
    assert_eq!(
        Client::connect(&simulator)
            .request("GET", "/", "")
            .unwrap()
            .status,
        404
    );

    let simulator = Simulator::start_with(Options {
        plain_http: true,
        ..Options::default()
    });
    assert!(simulator.url().starts_with("http://localhost:"));
    let mut socket = TcpStream::connect(("127.0.0.1", simulator.port())).unwrap();
    socket
        .write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut reply = String::new();
    socket.read_to_string(&mut reply).unwrap();
    assert!(reply.contains("No Route Exists"));
}

#[test]
fn a_stop_leaves_no_thread_and_frees_the_port() {
    let simulator = sample();
    let port = simulator.port();
    let silence = |path: &str, action| simulator.fault(Fault::new(Match::path(path), action));
    silence("/silent", Action::Silence);
    silence("/late", Action::DelayMs(600_000));
    silence(
        "/slow",
        Action::Drip {
            bytes: 1,
            every_ms: 600_000,
        },
    );
    silence("/endless", Action::EndlessHeaders);
    silence("/huge", Action::Huge(1 << 40));

    thread::scope(|scope| {
        let _idle = Client::authorized(&simulator);
        let _mute = TcpStream::connect(("127.0.0.1", port)).unwrap();
        for path in ["/silent", "/late", "/slow", "/endless"] {
            let mut client = Client::connect(&simulator);
            scope.spawn(move || assert!(client.request("GET", path, "").is_err()));
            assert!(simulator.wait_for_request(PATIENCE, "GET", path).is_some());
        }
        // Asks for a great deal and reads none of it.
        let mut deaf = Client::connect(&simulator);
        deaf.write_only("GET /huge HTTP/1.1\r\n\r\n").unwrap();
        assert!(
            simulator
                .wait_for_request(PATIENCE, "GET", "/huge")
                .is_some()
        );

        assert!(threads_of(port) > 6);
        drop(simulator);
    });
    assert_eq!(threads_of(port), 0);
    let again = Simulator::start_with(Options {
        port,
        ..Options::default()
    });
    assert_eq!(again.port(), port);
}

#[test]
fn a_silent_connection_never_says_a_word() {
    let simulator = sample();
    simulator.fault(Fault::new(Match::any(), Action::SilentAccept).times(1));
    let mut socket = TcpStream::connect(("127.0.0.1", simulator.port())).unwrap();
    socket.write_all(b"hello").unwrap();
    drop(simulator);
    let mut heard = Vec::new();
    let _ = socket.read_to_end(&mut heard);
    assert!(heard.is_empty());
}

//! A proxy on the way to OneLogin: the one of the configuration, and no other. The built module in the real libpam, a real
//! proxy and HTTPS on loopback; no root.

mod world;

use onelogin_simulator::{Options, Tickets};
use pam_host::root::free_port;
use pam_host::{Code, Manner, Outcome, Proxy, Tunnels};
use std::time::Duration;
use world::{SAFE, World, assert_accepted, assert_denied_for, fresh_code, reason, totp};

const SECURE: &str = "failmode = \"secure\"";
const QUICK: &str = "onelogin.connect_timeout = 1";

/// `user:pass@word` as it stands in the configuration, and as it is sent.
const CREDENTIAL: &str = "user:pass%40word";
const SENT: &str = "dXNlcjpwYXNzQHdvcmQ=";

fn through(user: &str, port: u16) -> String {
    format!("onelogin.http_proxy = \"http://{user}127.0.0.1:{port}\"")
}

fn login(world: &World) -> Outcome {
    world.later().ssh().answer(fresh_code()).run()
}

#[test]
fn a_login_goes_through_the_proxy_on_one_connection() {
    let world = World::with_totp();
    let proxy = Tunnels::new(Manner::Joins);
    world.config(&[&through("", proxy.port())]);
    let outcome = login(&world);
    assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
    let to = format!("localhost:{}", world.onelogin.port());
    let asked = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n");
    assert_eq!(proxy.asked(), [asked]);
    assert_eq!(world.onelogin.connections(), 1);
}

#[test]
fn the_way_through_a_proxy_is_one_round_trip_more() {
    let options = Options {
        tickets: Tickets::Withheld,
        ..Options::default()
    };
    let world = World::started(options, [totp()], &[]);
    let proxy = Tunnels::new(Manner::Joins);
    let wire = Proxy::to(proxy.port(), Duration::ZERO);
    world.config(&[&through("", wire.port())]);
    assert_eq!(login(&world).code, Code::SUCCESS);
    let before = wire.trips();
    let mut login = world.ssh().spawn();
    login.wait_prompt();
    assert_eq!(wire.trips() - before, 3, "TCP, CONNECT, TLS");
    login.reply(fresh_code().as_str());
    assert_eq!(login.finish().code, Code::SUCCESS);
    assert_eq!(wire.trips() - before, 4);
}

#[test]
fn r11_the_credential_of_a_proxy_is_for_the_proxy_alone() {
    let world = World::with_totp();
    let proxy = Tunnels::new(Manner::Joins);
    let user = format!("{CREDENTIAL}@");
    world.config(&["log_level = \"debug\"", &through(&user, proxy.port())]);
    let outcome = login(&world);
    assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
    let asked = proxy.asked();
    let header = format!("\r\nProxy-Authorization: Basic {SENT}\r\n");
    assert!(asked.len() == 1 && asked[0].contains(&header), "{asked:?}");
    for request in world.onelogin.requests() {
        let has = |(name, value): &(String, String)| {
            name.eq_ignore_ascii_case("proxy-authorization") || value.contains(SENT)
        };
        assert!(!request.headers.iter().any(has), "{:?}", request.headers);
    }
    let refused = Tunnels::new(Manner::Says("HTTP/1.1 407 No\r\n\r\n"));
    world.config(&["log_level = \"debug\"", &through(&user, refused.port())]);
    let denied = login(&world);
    world.config(&[&format!(
        "onelogin.http_proxy = \"http://{CREDENTIAL}@proxy\""
    )]);
    let fault = login(&world);
    assert!(fault.log.concat().contains("http_proxy"), "{:?}", fault.log);
    for outcome in [outcome, denied, fault] {
        let log = outcome.log.concat();
        for secret in [SENT, "pass%40", "pass@"] {
            assert!(!log.contains(secret), "{secret}: {log}");
        }
    }
}

#[test]
fn r02_r19_whatever_a_proxy_on_this_host_does_it_lets_nobody_in() {
    let nobody = free_port();
    let says = |text| Tunnels::new(Manner::Says(text));
    let proxies = [
        (says("HTTP/1.1 502 Bad Gateway\r\n\r\n"), "no-connection"),
        (says("HTTP/1.0 503\r\nA: b\r\n\r\n"), "no-connection"),
        (
            says("HTTP/1.1 504 Gateway Timeout\r\n\r\n"),
            "no-connection",
        ),
        (
            says("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"),
            "request-refused",
        ),
        (says("HTTP/1.1 403 Forbidden\r\n\r\n"), "request-refused"),
        (says("HTTP/1.1 500 No\r\n\r\n"), "request-refused"),
        (
            says("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n"),
            "request-refused",
        ),
        (says("HTTP/1.1 2000 OK\r\n\r\n"), "request-refused"),
        (says("502 Bad Gateway\r\n\r\n"), "bad-reply"),
        (says("HTTP/1.1 five\r\n\r\n"), "bad-reply"),
        (says("HTTP/1.1 502 Bad"), "connection-lost"),
        (says(""), "connection-lost"),
        (says("HTTP/1.1 200 OK\r\n\r\n"), "connection-lost"),
        (
            says("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 503 No\r\n\r\n"),
            "tls",
        ),
        (Tunnels::new(Manner::Listens), "timeout"),
    ];
    let ports = proxies
        .iter()
        .map(|(proxy, reason)| (proxy.port(), *reason));
    for (port, expected) in ports.chain([(nobody, "no-connection")]) {
        let world = World::with_totp();
        world.config(&[SECURE, QUICK, &through("", port)]);
        let outcome = login(&world);
        assert_denied_for(&outcome, expected, expected);
        world.config(&[SAFE, QUICK, &through("", port)]);
        let outcome = login(&world);
        assert_denied_for(&outcome, expected, expected);
        assert_eq!(world.onelogin.connections(), 0, "never around the proxy");
    }
}

#[test]
fn r06_a_proxy_that_leads_elsewhere_is_found_out() {
    let world = World::with_totp();
    // For the same host, by a CA of the same name.
    let elsewhere = World::with_totp();
    let proxy = Tunnels::new(Manner::Misleads(elsewhere.onelogin.port()));
    world.config(&[SAFE, &through("", proxy.port())]);
    let outcome = login(&world);
    assert_eq!(outcome.code, Code::SERVICE_ERR);
    assert_eq!(reason(&outcome), "tls");
    assert_eq!(elsewhere.requests(), 0);
}

#[test]
fn r03_the_environment_names_no_proxy() {
    let proxy = Tunnels::new(Manner::Listens);
    let world = World::with_totp();
    let mut case = world.ssh().answer(fresh_code());
    for name in [
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "ALL_PROXY",
        "all_proxy",
    ] {
        case = case.env(name, format!("http://127.0.0.1:{}", proxy.port()));
    }
    assert_accepted(&case.run());
    assert_eq!(proxy.asked(), [""; 0]);
}

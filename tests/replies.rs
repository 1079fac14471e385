//! Replies as somebody between us and OneLogin would shape them: cut short, doubled, sent before they were asked
//! for, longer or shorter than they say. None but a whole and well-formed acceptance that answers the code lets in,
//! under either `failmode`. And replies of OneLogin's own with something odd in them that the decision does not need,
//! which end no login. The built module in the real libpam; no root.

mod world;

use onelogin_simulator::{Action, Fault, Match};
use pam_host::{Code, Outcome};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;
use world::{
    SAFE, TOTP, TOTP_CODE, World, assert_accepted, assert_denied, assert_denied_for, push, reason,
    totp,
};

const FAILMODES: [&str; 2] = ["failmode = \"secure\"", SAFE];
const ACCEPTED: &str = r#"{"status":"accepted"}"#;
const WRONG: &str = "111111";
const LONG: Duration = Duration::from_secs(60);

/// An HTTP reply with these lines behind its status, and this body.
fn reply(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}\r\n{body}")
}

/// An acceptance as a server sends it.
fn acceptance() -> String {
    reply("200 OK", "Content-Length: 21\r\n", ACCEPTED)
}

/// So many acceptances that nobody asked for.
fn forged(count: usize, apart: bool) -> Action {
    Action::Also {
        bytes: acceptance().repeat(count).into_bytes(),
        apart,
    }
}

/// What a login comes to whose wrong code gets these bytes as its reply.
fn answered(world: &World, action: Action) -> Outcome {
    world.onelogin.clear_faults();
    world.onelogin.clear_requests();
    world.fault(Fault::new(Match::code(), action));
    let outcome = world.later().ssh().answer(WRONG).run();
    assert_eq!(world.onelogin.codes(), 1, "{:?}", outcome.log);
    outcome
}

#[test]
fn r06_an_acceptance_that_breaks_off_at_any_byte_is_none() {
    let chunks = "a\r\n{\"status\":\r\nb\r\n\"accepted\"}\r\n0\r\n\r\n";
    let shapes = [
        (acceptance(), 0),
        // The empty chunk is the end. The line behind it, where trailers could stand, says nothing more.
        (reply("200 OK", "Transfer-Encoding: chunked\r\n", chunks), 2),
    ];
    for failmode in FAILMODES {
        let world = World::with([totp()], &[failmode, "factors.prompts = 1"]);
        for (shape, idle) in &shapes {
            for end in 0..shape.len() - idle {
                let bytes = shape.as_bytes()[..end].to_vec();
                let what = format!("{end} bytes of {shape:?}, {failmode}");
                let closed = answered(&world, Action::Raw(bytes.clone()));
                assert_denied(&closed, &format!("closed after {what}"));
                let broken = answered(&world, Action::RawThenDrop(bytes));
                assert_denied(&broken, &format!("broken after {what}"));
            }
            // Whole, it is an acceptance: the test could fail.
            let whole = answered(&world, Action::Raw(shape.clone().into_bytes()));
            assert_eq!(whole.code, Code::SUCCESS, "{shape:?} {:?}", whole.log);
        }
        // A body that is as long as its connection may have been cut, whatever it says.
        let endless = reply("200 OK", "Connection: close\r\n", ACCEPTED).into_bytes();
        for action in [Action::Raw(endless.clone()), Action::RawThenDrop(endless)] {
            let outcome = answered(&world, action);
            assert_denied_for(&outcome, "a body without a length", "bad-reply");
        }
    }
}

#[test]
fn r06_a_reply_whose_length_is_not_one_thing_is_none() {
    let chunked = "15\r\n{\"status\":\"accepted\"}\r\n0\r\n\r\n";
    let shapes = [
        ("Content-Length: 21\r\nContent-Length: 22\r\n", ACCEPTED),
        ("Content-Length: 0\r\nContent-Length: 21\r\n", ACCEPTED),
        ("Content-Length: 21, 22\r\n", ACCEPTED),
        ("Content-Length: -1\r\n", ACCEPTED),
        ("Content-Length: +21\r\n", ACCEPTED),
        ("Content-Length: 0x15\r\n", ACCEPTED),
        ("Content-Length: \r\n", ACCEPTED),
        ("Content-Length: 21a\r\n", ACCEPTED),
        ("Content-Length: 18446744073709551615\r\n", ACCEPTED),
        ("Content-Length: 18446744073709551637\r\n", ACCEPTED),
        ("Content-Length: 22\r\n", ACCEPTED),
        ("Content-Length: 20\r\n", ACCEPTED),
        ("Content-Length : 21\r\n", ACCEPTED),
        (
            "Content-Length: 21\r\nTransfer-Encoding: chunked\r\n",
            ACCEPTED,
        ),
        (
            "Content-Length: 21\r\nTransfer-Encoding: chunked\r\n",
            chunked,
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 21\r\n",
            chunked,
        ),
        ("Transfer-Encoding: chunked, identity\r\n", chunked),
        ("Transfer-Encoding: gzip\r\n", ACCEPTED),
        ("Transfer-Encoding: gzip, chunked\r\n", chunked),
        ("Transfer-Encoding: chunked\r\n", ACCEPTED),
        (
            "Transfer-Encoding: chunked\r\n",
            "-15\r\n{\"status\":\"accepted\"}\r\n0\r\n\r\n",
        ),
        (
            "Transfer-Encoding: chunked\r\n",
            "10000000000000015\r\n{\"status\":\"accepted\"}\r\n0\r\n\r\n",
        ),
        (
            "Transfer-Encoding: chunked\r\n",
            "14\r\n{\"status\":\"accepted\"}\r\n0\r\n\r\n",
        ),
        (
            "Transfer-Encoding: chunked\r\n",
            "15\r\n{\"status\":\"accepted\"}0\r\n\r\n",
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            chunked,
        ),
        ("Content-Length: 21\r\nContent-Length: 21\r\n", ACCEPTED),
    ];
    for failmode in FAILMODES {
        let world = World::with([totp()], &[failmode, "factors.prompts = 1"]);
        for (headers, body) in shapes {
            let bytes = reply("200 OK", headers, body).into_bytes();
            let outcome = answered(&world, Action::Raw(bytes));
            assert_denied(&outcome, &format!("{headers:?} {body:?}, {failmode}"));
        }
    }
}

#[test]
fn r06_what_stands_before_or_behind_the_reply_to_a_code_does_not_count() {
    let refusal = reply("401 Unauthorized", "Content-Length: 2\r\n", "{}");
    let shapes = [
        // An acceptance as the body of an interim reply, which has none.
        reply("100 Continue", "Content-Length: 21\r\n", ACCEPTED) + &refusal,
        reply("103 Early Hints", "Content-Length: 21\r\n", ACCEPTED) + &refusal,
        reply("101 Switching Protocols", "", ACCEPTED),
        // Behind the end.
        refusal.clone() + &acceptance(),
        reply("200 OK", "Content-Length: 0\r\n", &acceptance()),
        reply("204 No Content", "", ACCEPTED),
        reply("204 No Content", "Content-Length: 21\r\n", ACCEPTED),
        reply("304 Not Modified", "Content-Length: 21\r\n", ACCEPTED),
        reply(
            "200 OK",
            "Transfer-Encoding: chunked\r\n",
            "0\r\n\r\n{\"status\":\"accepted\"}",
        ),
        // In a header, a trailer, the name of a chunk's extension.
        reply(
            "200 OK",
            "Content-Length: 0\r\nX-Status: {\"status\":\"accepted\"}\r\n",
            "",
        ),
        reply(
            "200 OK",
            "Transfer-Encoding: chunked\r\n",
            "0;{\"status\":\"accepted\"}\r\n\r\n",
        ),
        reply(
            "200 OK",
            "Transfer-Encoding: chunked\r\nTrailer: status\r\n",
            "0\r\nstatus: accepted\r\n\r\n",
        ),
        // A head that is none.
        "HTTP/1.1 200 OK\n\n{\"status\":\"accepted\"}".to_owned(),
        "HTTP/0.9 200 OK\r\n\r\n{\"status\":\"accepted\"}".to_owned(),
        "HTTP/2.0 200 OK\r\n\r\n{\"status\":\"accepted\"}".to_owned(),
        "HTTP/1.1 2000 OK\r\n\r\n{\"status\":\"accepted\"}".to_owned(),
        "HTTP/1.1 +200 OK\r\n\r\n{\"status\":\"accepted\"}".to_owned(),
        ACCEPTED.to_owned(),
        "\0".repeat(100) + &acceptance(),
    ];
    for failmode in FAILMODES {
        let world = World::with([totp()], &[failmode, "factors.prompts = 1"]);
        for shape in &shapes {
            let outcome = answered(&world, Action::Raw(shape.clone().into_bytes()));
            assert_denied(&outcome, &format!("{shape:?}, {failmode}"));
        }
    }
}

#[test]
fn r06_a_reply_that_was_sent_before_its_request_is_not_its_answer() {
    for failmode in FAILMODES {
        for count in [1, 3] {
            // In the record of a reply, so that it is here before the next request: behind each that comes before a code,
            // and behind a refusal.
            for on in [
                Match::token(),
                Match::path("/api/2/users?"),
                Match::path("/devices"),
                Match::code(),
            ] {
                let what = format!("{count} forged behind {on:?}, {failmode}");
                let world = World::with([totp()], &[failmode]);
                world.fault(Fault::new(on, forged(count, false)));
                let outcome = world.ssh().answers([WRONG; 3]).run();
                assert_denied(&outcome, &what);
                // The real answers are heard all the same.
                assert_eq!(reason(&outcome), "wrong-code", "{what}");
                assert_eq!(world.onelogin.codes(), 3, "{what}");
            }
            // On its own, while the user types.
            let world = World::with([totp()], &[failmode]);
            for on in [Match::path("/devices"), Match::code()] {
                world.fault(Fault::new(on, forged(count, true)));
            }
            let mut login = world.ssh().spawn();
            for typed in 1..=3 {
                login.wait_prompt();
                assert!(world.onelogin.wait_for_unasked(LONG, typed));
                login.reply(WRONG);
            }
            let outcome = login.finish();
            assert_denied_for(&outcome, "forged while the user types", "wrong-code");
            assert_eq!(world.onelogin.codes(), 3);
        }
    }
}

#[test]
fn r06_a_poll_is_not_answered_by_what_was_sent_with_the_activation() {
    for failmode in FAILMODES {
        for id in ["", r#""id":"sim-1","#] {
            let body = format!(r#"{{{id}"status":"accepted"}}"#);
            let headers = format!("Content-Length: {}\r\n", body.len());
            let world = World::with([push()], &[failmode, "push.wait = 1"]);
            let action = Action::Also {
                bytes: reply("200 OK", &headers, &body).into_bytes(),
                apart: false,
            };
            world.fault(Fault::new(Match::activation(), action));
            let outcome = world.ssh().answers(["", ""]).run();
            assert_denied_for(&outcome, failmode, "push-unanswered");
        }
    }
}

#[test]
fn r06_tls_older_than_1_2_is_refused() {
    // What a server that can do no better answers to any ClientHello.
    let hello = |version: u8| {
        let mut hello = vec![22, 3, version, 0, 42, 2, 0, 0, 38, 3, version];
        hello.extend([7; 32]);
        hello.extend([0, 0, 0x2f, 0]);
        hello
    };
    for failmode in FAILMODES {
        for version in 0..=2 {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut buffer = [0; 4096];
                let length = stream.read(&mut buffer).unwrap();
                assert!(length > 100, "a ClientHello");
                stream.write_all(&hello(version)).unwrap();
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest);
            });
            let url = format!("onelogin.url = \"https://localhost:{port}\"");
            let world = World::with([totp()], &[failmode, &url]);
            let outcome = world.ssh().answers([TOTP_CODE; 3]).run();
            assert_eq!(outcome.code, Code::SERVICE_ERR, "{:?}", outcome.log);
            assert_eq!(reason(&outcome), "tls", "3.{version}");
            server.join().unwrap();
        }
    }
}

#[test]
fn r06_what_a_server_says_on_a_prepared_connection_before_it_is_asked_is_no_reply() {
    let world = World::with([totp()], &["factors.prompts = 1"]);
    assert_accepted(&world.ssh().answer(TOTP_CODE).run());
    let connections = world.onelogin.connections();
    let first = Action::SpeakFirst(acceptance().into_bytes());
    world.fault(Fault::new(Match::any(), first).times(1));
    let mut login = world.ssh().spawn();
    login.wait_prompt();
    assert!(world.onelogin.wait_for_unasked(LONG, 1));
    login.reply(WRONG);
    let outcome = login.finish();
    assert_denied_for(&outcome, "an acceptance that came first", "wrong-code");
    assert_eq!(world.onelogin.connections(), connections + 2, "made anew");
}

/// Whatever lists devices says this.
fn lists(world: &World, list: &str) {
    world.onelogin.clear_faults();
    let body = Action::Body(list.to_owned());
    world.fault(Fault::new(Match::new("GET", "devices"), body));
}

/// The list of version 1 with these entries.
fn enveloped(entries: &str) -> String {
    let status = r#"{"error":false,"code":200,"type":"success","message":"Success"}"#;
    format!(r#"{{"status":{status},"data":{{"otp_devices":[{entries}]}}}}"#)
}

#[test]
fn odd_entries_among_the_devices_end_no_login_and_are_one_line_at_level_debug() {
    let key = "Google Authenticator";
    let second = format!(
        r#"[null,{{"device_id":"{TOTP}","auth_factor_name":"{key}","default":"yes"}},{{"device_id":null,"auth_factor_name":"odd-0816"}}]"#
    );
    let first = enveloped(&format!(
        r#"{{"id":"odd-0816"}},{{"id":{TOTP},"auth_factor_name":"{key}","default":1,"user_display_name":7}},[]"#
    ));
    for (version, list) in [(2, second), (1, first)] {
        for level in ["debug", "info"] {
            let version = format!("onelogin.api_version = {version}");
            let level_line = format!("log_level = \"{level}\"");
            let world = World::with([totp()], &[&version, &level_line]);
            lists(&world, &list);
            let outcome = world.ssh().answer(TOTP_CODE).run();
            assert_eq!(outcome.code, Code::SUCCESS, "{version} {:?}", outcome.log);
            let told = outcome.log.iter().filter(|line| line.contains("skipped"));
            let told: Vec<_> = told.collect();
            assert_eq!(told.len(), usize::from(level == "debug"), "{told:?}");
            assert!(
                told.iter().all(|line| line.ends_with(": count=2")),
                "{told:?}"
            );
            let log = format!("{:?}", outcome.log);
            assert!(!log.contains("0816"), "{log}");
        }
    }
}

#[test]
fn a_reply_of_64_kib_is_read_and_one_byte_more_denies() {
    let list = format!(r#"[{{"device_id":"{TOTP}","auth_factor_name":"Google Authenticator"}}]"#);
    let padded = |length: usize| format!("{list}{}", " ".repeat(length - list.len()));
    let world = World::with([totp()], &[]);
    lists(&world, &padded(64 << 10));
    let outcome = world.ssh().answer(TOTP_CODE).run();
    assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);

    let world = World::with([totp()], &[]);
    lists(&world, &padded((64 << 10) + 1));
    let outcome = world.ssh().answers([TOTP_CODE; 3]).run();
    assert_denied_for(&outcome, "a byte too long", "bad-reply");
}

#[test]
fn r01_whose_devices_cannot_be_read_is_neither_exempt_nor_enrolled() {
    for no_factor in ["exempt", "enroll", "deny"] {
        for (version, list) in [(2, "[null]".to_owned()), (1, enveloped("{}"))] {
            let version = format!("onelogin.api_version = {version}");
            if version.ends_with('1') && no_factor == "enroll" {
                continue;
            }
            let no_factor = format!("users.no_factor = \"{no_factor}\"");
            let world = World::with([totp()], &[&version, &no_factor]);
            lists(&world, &list);
            let outcome = world.ssh().answers([TOTP_CODE; 3]).run();
            assert_denied_for(
                &outcome,
                &format!("{version} {no_factor}"),
                "no-allowed-factor",
            );
            assert_eq!(world.onelogin.count("POST", "/registrations"), 0);
            assert_eq!(world.onelogin.codes(), 0);
        }
    }
}

#[test]
fn what_a_login_does_not_need_of_a_user_may_have_any_type() {
    let world = World::with([totp()], &[]);
    let user = format!(
        r#"[{{"id":{},"username":"{}","email":7,"external_id":[],"custom_attributes":[],"state":1,"status":1}}]"#,
        world::ID,
        world::NAME
    );
    let on = Match::new("GET", "/api/2/users?");
    world.fault(Fault::new(on, Action::Body(user)));
    assert_accepted(&world.ssh().answer(TOTP_CODE).run());
}

//! `pam-onelogin check`: what it says of the configuration, of the way to OneLogin and of the credentials.

mod days;
mod tool;
mod world;

use days::{changed_in, day_in};
use onelogin_simulator::{
    Action, Certificate, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, Dialect, Fault, Match, Options,
    Scope, ScopeRules, User, Usernames,
};
use pam_host::place::set_mode;
use pam_host::{Manner, Tunnels};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::channel;
use tool::{Ran, at, has, run, with_config};
use world::{NAME, World, push, totp};

/// The second credential, and its lines of configuration.
const LOOKUP: [&str; 3] = [
    "lookup-id",
    "onelogin.lookup.client_id = \"lookup-id\"",
    "onelogin.lookup.client_secret = \"lookup-secret\"",
];

#[test]
fn a_right_host_is_told_what_is_right_and_how_often_onelogin_was_asked() {
    let world = World::with_totp();
    let checked = Checked::of(&world, &[NAME]);
    for id in [
        "configuration",
        "names",
        "connection",
        "certificate",
        "token",
        "clock",
        "rate-limit",
    ] {
        assert_eq!(checked.severity(id), ["good"], "{id}: {}", checked.ran.out);
    }
    assert_eq!(checked.severity("scope"), ["good"; 3]);
    // A token, the user, the devices, a verification that is not there, apps, factors, what is left.
    assert_eq!(world.requests(), 7);
    assert!(checked.what("requests").contains("sent 7 requests"));
    assert_eq!(world.onelogin.activations() + world.onelogin.codes(), 0);
    assert!(
        world
            .onelogin
            .requests()
            .iter()
            .all(|request| { request.method == "GET" || request.path == "/auth/oauth2/v2/token" })
    );
    assert!(world.onelogin.messages().is_empty());
    assert!(
        !world.place.state_path().exists(),
        "nothing is changed here, too"
    );
    for part in ["localhost resolves to ", "127.0.0.1"] {
        assert!(checked.what("names").contains(part));
    }
    for part in ["ca.pem", "for localhost", "onelogin-simulator CA"] {
        assert!(checked.what("certificate").contains(part), "{part}");
    }
}

#[test]
fn without_a_name_less_is_asked_and_what_was_not_tried_is_said() {
    let world = World::with_totp();
    let checked = Checked::of(&world, &[]);
    assert_eq!(
        world.requests(),
        5,
        "token, a user, some users, apps, what is left"
    );
    assert!(checked.what("not-tried").contains("--user"));
    assert_eq!(checked.severity("scope"), ["good"]);
}

#[test]
fn where_users_have_no_user_name_the_e_mail_address_is_proposed() {
    let options = || Options {
        usernames: Usernames::Empty,
        ..Options::default()
    };
    let world = World::started(options(), [totp()], &[]);
    let checked = Checked::of(&world, &[NAME]);
    assert_eq!(checked.severity("empty-usernames"), ["warning"]);
    let out = &checked.ran.out;
    has(out, "none of the first 1 users at OneLogin has a user name");
    // The advice, followed to the letter.
    let advice = r#"match = \"email\", append_domain = \"example.com\""#;
    has(out, advice);
    world.config(&[
        "users.match = \"email\"",
        "users.append_domain = \"example.com\"",
    ]);
    let checked = Checked::of(&world, &[NAME]);
    assert_eq!(checked.severity("empty-usernames"), [""; 0]);
    assert_eq!(checked.severity("editable-attribute"), ["note"]);
    assert_eq!(checked.severity("scope"), ["good"; 3]);

    // With two domains, the tool cannot propose one.
    let world = World::started(options(), [totp()], &[]);
    let other = User::new(1002, "other").email("other@example.org");
    world.onelogin.add_user(other);
    let checked = Checked::of(&world, &[]);
    has(&checked.ran.out, "append_domain = \\\"YOUR.DOMAIN\\\"");
    // One user with a name is enough to see that there are such.
    let world = World::with_totp();
    let checked = Checked::of(&world, &["root"]);
    assert_eq!(checked.severity("empty-usernames"), [""; 0]);
    assert_eq!(checked.severity("editable-attribute"), [""; 0]);
}

#[test]
fn offline_nobody_is_asked() {
    let world = World::with_totp();
    let checked = Checked::of(&world, &["--offline"]);
    assert_eq!((world.requests(), world.onelogin.connections()), (0, 0));
    assert_eq!(checked.severity("configuration"), ["good"]);
}

#[test]
fn a_wrong_secret_is_told_by_its_table_and_what_to_compare() {
    let secret = "onelogin.client_secret = \"wrong-secret\"";
    let world = World::with([totp()], &[secret]);
    let checked = Checked::of(&world, &["--user", NAME]);
    assert_eq!((checked.ran.code, world.requests()), (1, 1));
    assert_eq!(checked.severity("token"), ["fault"]);
    assert!(checked.what("token").contains("401"));
    assert!(checked.what("token").ends_with("the token of [onelogin]"));
    assert!(checked.part("token", "advice").contains("client_secret"));
    assert_eq!(place(&checked, "token"), line_with(&world, "client_id"));
    assert!(!checked.ran.out.contains("wrong-secret"));
}

#[test]
fn each_credential_is_looked_at_by_itself() {
    let [id, lines @ ..] = LOOKUP;
    let world = World::with([totp()], &lines);
    let checked = Checked::of(&world, &["--user", NAME]);
    assert_eq!(checked.severity("token"), ["fault", "good"]);
    world.onelogin.add_credential(id, "lookup-secret");
    let checked = Checked::of(&world, &["--user", NAME]);
    assert_eq!(checked.severity("token"), ["good", "good"]);
}

#[test]
fn a_host_that_is_not_onelogin_is_told_by_what_it_answers() {
    let world = World::with_totp();
    for (action, id, part) in [
        (Action::status(404), "token", "404"),
        (
            Action::Status(200, "<html>".into(), Vec::new()),
            "no-onelogin",
            "unexpected JSON",
        ),
        (
            Action::Redirect("https://example.com/".into()),
            "no-onelogin",
            "302",
        ),
        (Action::status(500), "onelogin-down", "500"),
        (Action::status(503), "onelogin-down", "503"),
        (
            Action::Status(
                429,
                String::new(),
                vec![("Retry-After".into(), "70".into())],
            ),
            "rate-limited",
            "70 s more",
        ),
    ] {
        world.onelogin.clear_faults();
        world.onelogin.clear_requests();
        world.fault(Fault::new(Match::any(), action));
        let checked = Checked::of(&world, &[]);
        assert_eq!((checked.ran.code, world.requests()), (1, 1), "{id}");
        assert_eq!(checked.severity(id), ["fault"], "{}", checked.ran.out);
        assert!(checked.what(id).contains(part), "{}", checked.what(id));
    }
    world.onelogin.clear_faults();
    world.fault(Fault::new(Match::any(), Action::status(404)));
    let checked = Checked::of(&world, &[]);
    assert!(checked.part("token", "advice").contains("onelogin.url"));
}

#[test]
fn a_host_that_does_not_exist_or_cannot_be_reached_is_told_before_anything_is_sent() {
    let url = "onelogin.url = \"https://no-such-host.invalid\"";
    let world = World::with([totp()], &[url]);
    let checked = Checked::of(&world, &[]);
    // Where there is no name server, it cannot be told that there is no such host.
    let ids = ["no-such-host", "name-server"];
    let found: Vec<_> = ids.iter().flat_map(|id| checked.severity(id)).collect();
    assert_eq!(found, ["fault"], "{}", checked.ran.out);
    assert!(checked.all("token").is_empty());

    world.config(&["onelogin.url = \"https://127.0.0.1:1\""]);
    let checked = Checked::of(&world, &[]);
    assert_eq!(checked.severity("no-connection"), ["fault"]);
    has(
        checked.what("no-connection"),
        "127.0.0.1 refuses the connection: 127.0.0.1:1: ",
    );
    assert_eq!(place(&checked, "no-connection"), line_with(&world, "url"));
    let advice = checked.part("no-connection", "advice");
    has(
        advice,
        "compare onelogin.url with the address of your tenant; if it is right, OneLogin is down; ",
    );
    has(advice, "read \"WHEN ONELOGIN IS DOWN\" in pam_onelogin(8)");
    assert!(checked.all("tls").is_empty() && checked.all("token").is_empty());
    let why = |checked: &Checked| checked.part("no-connection", "why").to_owned();
    assert_eq!(why(&checked), "logins are denied (reason=no-connection)");
    assert!(checked.all("failmode-safe").is_empty());

    world.config(&[
        "onelogin.url = \"https://127.0.0.1:1\"",
        "failmode = \"safe\"",
        "failmode_from = [\"10.20.0.0/16\"]",
    ]);
    let checked = Checked::of(&world, &[]);
    assert!(why(&checked).starts_with("logins are denied (reason=no-connection), unless "));
    // The configuration is right all the same.
    assert_eq!(checked.severity("configuration"), ["good"]);
    assert_eq!(checked.severity("failmode-safe"), ["warning"]);
    assert!(checked.what("failmode-safe").ends_with("from 10.20.0.0/16"));
    assert!(checked.all("failmode-from-everywhere").is_empty());
}

#[test]
fn behind_a_proxy_it_is_the_proxy_that_is_looked_at_and_the_module_that_connects() {
    let world = World::with_totp();
    let proxy = Tunnels::new(Manner::Joins);
    let through =
        |port| format!("onelogin.http_proxy = \"http://user:proxy-password@127.0.0.1:{port}\"");
    world.config(&[&through(proxy.port())]);
    let checked = Checked::of(&world, &[]);
    has(
        checked.what("connection"),
        &format!("127.0.0.1:{} accepts", proxy.port()),
    );
    assert_eq!(checked.severity("certificate"), ["good"]);
    assert_eq!(
        (checked.severity("token"), world.requests()),
        (vec!["good"], 5)
    );
    assert!(!checked.ran.out.contains("proxy-password"));
    world.config(&[&through(1)]);
    let checked = Checked::of(&world, &[]);
    assert_eq!(checked.severity("no-connection"), ["fault"]);
    assert!(
        checked
            .what("no-connection")
            .starts_with("127.0.0.1 refuses the connection")
    );
    has(
        checked.part("no-connection", "advice"),
        "compare onelogin.http_proxy with the address of your proxy; if it is right, the proxy is down; ",
    );
    // The name of the proxy, too.
    world.config(&["onelogin.http_proxy = \"http://no-such-host.invalid:3128\""]);
    let checked = Checked::of(&world, &[]);
    for finding in checked.all("no-such-host") {
        has(
            finding["advice"].as_str().unwrap(),
            "compare onelogin.http_proxy",
        );
    }
}

#[test]
fn a_server_that_accepts_connections_and_is_not_onelogin_is_called_so() {
    for (reply, id, what, advice) in [
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(),
            "tls",
            "127.0.0.1 shows no certificate that can be read, at port ",
            "compare onelogin.url, and its port, with the address of your tenant",
        ),
        (
            b"",
            "onelogin",
            "the connection to OneLogin broke: ",
            "a firewall or a proxy that ends TLS connections; ",
        ),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let mut hello = [0; 4096];
                let _ = client.read(&mut hello);
                let _ = client.write_all(reply);
            }
        });
        let world = World::with_totp();
        world.config(&[&format!("onelogin.url = \"https://127.0.0.1:{port}\"")]);
        let checked = Checked::of(&world, &[]);
        assert_eq!(checked.severity(id), ["fault"], "{}", checked.ran.out);
        has(checked.what(id), what);
        has(checked.part(id, "advice"), advice);
    }
}

#[test]
fn a_proxy_that_refuses_is_told_of_and_hears_nothing_but_the_module() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, heard) = channel();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut first = [0];
            let length = client.read(&mut first).unwrap_or(0);
            tell.send(first[..length].to_vec()).unwrap();
            let _ = client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
        }
    });
    let proxy = format!("onelogin.http_proxy = \"http://127.0.0.1:{port}\"");
    let world = World::with([totp()], &[&proxy]);
    let checked = Checked::of(&world, &[]);
    // A connection that only comes and goes, then the module's CONNECT.
    let heard: Vec<_> = heard.try_iter().collect();
    assert_eq!(heard, [b"".as_slice(), b"C"]);
    let id = "onelogin";
    assert!(checked.what(id).contains("407"), "{}", checked.ran.out);
    assert!(checked.part(id, "advice").contains("onelogin.http_proxy"));
}

#[test]
fn a_certificate_that_is_refused_is_told_with_its_issuer_and_what_is_wrong() {
    for (certificate, part) in [
        (Certificate::Expired, "it has expired"),
        (Certificate::NotYetValid, "it is not valid yet"),
        (
            Certificate::WrongHost,
            "if it is right, the name server, or a proxy",
        ),
        (Certificate::UnknownCa, "its CA is not in "),
        (Certificate::SelfSigned, "its CA is not in "),
    ] {
        let options = Options {
            certificate,
            ..Options::default()
        };
        let world = World::started(options, [totp()], &[]);
        let checked = Checked::of(&world, &[]);
        assert_eq!(checked.severity("tls"), ["fault"], "{certificate:?}");
        has(checked.part("tls", "advice"), part);
        has(checked.part("tls", "advice"), "\"WHEN ONELOGIN IS DOWN\"");
        if let Certificate::WrongHost = certificate {
            let what = checked.what("tls");
            let start = "the certificate is not for localhost, but for ";
            assert!(what.starts_with(start), "{what}");
        }
        has(checked.what("tls"), "issued by CN=onelogin-simulator");
        assert_eq!(world.requests(), 0);
        if part != "its CA is not in " {
            continue;
        }
        let advice = checked.part("tls", "advice");
        assert!(!advice.contains("ca-certificates"), "{advice}");
        let line = line_with(&world, "ca_file");
        let end = format!(
            "otherwise remove ca_file (line {}); while it is set, the system's bundle is not used",
            line.1
        );
        has(advice, &end);
        assert_eq!(place(&checked, "tls"), line);
    }
}

#[test]
fn a_certificate_that_ends_soon_is_a_warning() {
    let options = Options {
        certificate: Certificate::EndsSoon,
        ..Options::default()
    };
    let world = World::started(options, [totp()], &[]);
    let checked = Checked::of(&world, &[]);
    assert_eq!(checked.severity("certificate-ends"), ["warning"]);
    assert!(checked.what("certificate-ends").ends_with("; 10 days left"));
}

#[test]
fn a_clock_that_is_wrong_is_a_warning_in_either_direction() {
    let world = World::with_totp();
    for (ahead, severity, id, part) in [
        (90, "warning", "clock", "behind"),
        (-90, "warning", "clock", "ahead of"),
        (5, "good", "clock", "behind"),
    ] {
        world.onelogin.set_ahead(ahead);
        let checked = Checked::of(&world, &[]);
        assert_eq!(checked.severity(id), [severity], "{ahead}");
        if severity == "warning" {
            // A command that fails is of no use: systemd may know no NTP service.
            let mut timedatectl = std::process::Command::new("timedatectl");
            let known = timedatectl.args(["show", "--property=CanNTP"]).output();
            let is_known = known.is_ok_and(|said| said.stdout == b"CanNTP=yes\n");
            let advice = if is_known {
                "type: sudo timedatectl set-ntp true"
            } else {
                "no NTP service is installed: install one, such as chrony"
            };
            has(checked.part(id, "advice"), advice);
        }
        assert!(checked.what(id).contains(part), "{}", checked.what(id));
    }
    // A reply without a date that can be read says nothing.
    let header = Action::Header("Date".into(), "yesterday".into());
    world.fault(Fault::new(Match::any(), header));
    assert!(Checked::of(&world, &[]).all("clock").is_empty());
}

#[test]
fn a_scope_that_is_missing_is_told_by_call_and_table() {
    let world = World::with_totp();
    set_scope(&world, Scope::ReadUsers);
    let checked = Checked::of(&world, &["--user", NAME]);
    assert_eq!(checked.severity("scope-missing"), ["fault"]);
    let what = checked.what("scope-missing");
    has(what, "may not list the devices of a user: status=403");
    has(what, "[onelogin] needs the scope \"Manage All\"");
    assert_eq!(
        place(&checked, "scope-missing"),
        line_with(&world, "client_id")
    );
    assert_eq!(checked.severity("scope-small"), ["good"]);

    set_scope(&world, Scope::AuthenticationOnly);
    let checked = Checked::of(&world, &["--user", NAME]);
    has(checked.what("scope-missing"), "may not look up users");
    assert!(checked.what("rate-limit").contains("not tested"));
}

#[test]
fn manage_all_is_a_note_as_version_2_needs_it_and_the_least_that_was_seen_to_do_is_none() {
    let [id, lines @ ..] = LOOKUP;
    let world = World::with([push()], &lines);
    world.onelogin.add_credential(id, "lookup-secret");
    let checked = Checked::of(&world, &["--user", NAME]);
    // OneLogin documents no smaller scope, so an administrator cannot mend it: the exit status does not depend on it.
    assert_eq!(checked.severity("scope-large"), ["note"; 2]);
    for finding in checked.all("scope-large") {
        assert!(finding["what"].as_str().unwrap().ends_with("Manage All"));
        has(
            finding["advice"].as_str().unwrap(),
            "see \"SET UP ONELOGIN\"",
        );
    }
    let large = checked.all("scope-large").into_iter();
    let lines: Vec<_> = large.map(|it| it["line"].as_u64().unwrap()).collect();
    let expected = ["lookup.client_id", "client_id"].map(|key| line_with(&world, key).1);
    assert_eq!(lines, expected);
    let quiet = run(at(&world.place, &["check", "--quiet"]), &[]);
    assert!(!quiet.out.contains("Manage All"), "{}", quiet.out);

    let onelogin = &world.onelogin;
    onelogin.set_scope_rules(ScopeRules::Observed);
    set_scope(&world, Scope::AuthenticationOnly);
    onelogin.set_scope(id, Scope::ReadAll);
    let checked = Checked::of(&world, &["--user", NAME]);
    assert!(checked.all("scope-large").is_empty(), "{}", checked.ran.out);
    assert_eq!(checked.severity("scope-missing"), [""; 0]);
    assert_eq!(checked.severity("scope"), ["good"; 3]);

    // To ask for verifications by a credential that only reads is refused.
    set_scope(&world, Scope::ReadAll);
    let checked = Checked::of(&world, &["--user", NAME]);
    has(
        checked.what("scope-missing"),
        "may not read the state of verifications",
    );
    let large = checked.what("scope-large");
    has(large, "in [onelogin] can access the apps of the tenant");
}

#[test]
fn where_users_enrol_at_the_login_manage_all_is_needed_and_a_note() {
    let world = World::with([totp()], &["users.no_factor = \"enroll\""]);
    let checked = Checked::of(&world, &["--user", NAME]);
    assert_eq!(checked.severity("scope"), ["good"; 4]);
    assert_eq!(checked.severity("scope-large"), ["note"]);
    let onelogin = &world.onelogin;
    onelogin.set_scope_rules(ScopeRules::Observed);
    set_scope(&world, Scope::ManageUsers);
    let checked = Checked::of(&world, &["--user", NAME]);
    // Users with a device need no enrolment: this denies not every login.
    for found in checked.all("scope-missing") {
        assert!(!found.to_string().contains("enrol"), "{found}");
    }
    has(
        checked.what("scope-enrolment"),
        "may not list the factors that a user can enrol",
    );
    has(
        checked.part("scope-enrolment", "why"),
        "users without a device cannot set one up",
    );
    assert_eq!(world.onelogin.registrations().len(), 0);
}

#[test]
fn few_calls_that_are_left_are_a_warning() {
    let world = World::with_totp();
    let body = r#"{"status":{"error":false,"code":200},"data":{"X-RateLimit-Limit":5000,"X-RateLimit-Remaining":499,"X-RateLimit-Reset":60}}"#;
    let fault = Fault::new(Match::path("/auth/rate_limit"), Action::Body(body.into()));
    world.fault(fault);
    let checked = Checked::of(&world, &[]);
    assert_eq!(checked.severity("rate-limit"), ["warning"]);
    has(
        checked.what("rate-limit"),
        "499 of 5000 API calls left for the next 60 s",
    );
}

#[test]
fn version_1_has_scopes_of_its_own() {
    let [id, lines @ ..] = LOOKUP;
    let world = World::with([totp()], &[lines[0], lines[1], "onelogin.api_version = 1"]);
    world.onelogin.add_credential(id, "lookup-secret");
    set_scope(&world, Scope::ManageUsers);
    world.onelogin.set_scope(id, Scope::ReadUsers);
    let checked = Checked::of(&world, &["--user", NAME]);
    assert_eq!(checked.severity("scope-missing"), [""; 0]);
    assert!(checked.all("scope-large").is_empty(), "{}", checked.ran.out);
    assert_eq!(world.onelogin.count("", "/verify"), 0, "it would be a try");
    world.onelogin.set_scope(id, Scope::ReadAll);
    let checked = Checked::of(&world, &["--user", NAME]);
    assert_eq!(checked.severity("scope-large"), ["warning"]);
    assert!(checked.part("scope-large", "advice").contains("Read Users"));
}

#[test]
fn the_forms_of_the_replies_are_told_and_none_of_their_values() {
    for (numeric, part) in [(true, "ids as numbers"), (false, "ids as text")] {
        for dialect in [Dialect::Docs, Dialect::Live] {
            let world = World::with_totp().speaking(dialect);
            world.onelogin.set_numeric_ids(numeric);
            let checked = Checked::of(&world, &["--user", NAME]);
            let what = checked.what("dialect");
            let devices = format!("devices: 200 list, {part}");
            assert!(what.contains(&devices), "{what}");
            let unknown = "unknown verification: 404 object {statusCode, name, message}";
            assert!(what.contains(unknown), "{what}");
            assert!(!what.contains("501"), "{what}");
        }
    }
}

#[test]
fn an_exempt_user_is_told_with_the_group_and_its_line() {
    let world = World::with_totp();
    world.config(&["users.exempt_groups = [", "  \"root\"]"]);
    let checked = Checked::of(&world, &["root"]);
    assert_eq!(
        checked.what("user"),
        "root is exempt: exempt-group; root logs in without a second factor"
    );
    has(
        checked.part("user", "why"),
        "users.exempt_groups names the group root",
    );
    let text = std::fs::read_to_string(world.place.config_path()).unwrap();
    let line = text.lines().position(|line| line == "  \"root\"]").unwrap() + 1;
    assert_eq!(checked.all("user")[0]["line"], line);
}

#[test]
fn the_command_to_type_has_the_name_of_the_user() {
    let world = World::with([], &[]);
    let checked = Checked::of(&world, &[NAME]);
    let advice = checked.part("user", "advice");
    let command = format!("to set up a factor, type: sudo pam-onelogin enroll {NAME};");
    assert!(advice.starts_with(&command), "{advice}");
    has(checked.what("user"), "and could not log in: no-factor");
    assert_eq!(
        checked.part("not-tried", "advice"),
        format!("to test the rest, type: sudo pam-onelogin test {NAME}")
    );
}

#[test]
fn a_user_who_cannot_be_asked_for_is_told_of() {
    let world = World::with_totp();
    world
        .onelogin
        .change_user(world::ID, |user| user.status = 2);
    let checked = Checked::of(&world, &["--user", NAME]);
    assert!(checked.what("user").contains("inactive-onelogin-user"));
    world.onelogin.remove_user(world::ID);
    let checked = Checked::of(&world, &["--user", NAME]);
    assert!(checked.what("user").contains("no-onelogin-user"));
}

#[test]
fn users_who_are_looked_up_by_an_address_without_a_domain_are_a_warning_that_names_the_lines() {
    let world = World::with([totp()], &["users.match = \"email\""]);
    let checked = Checked::of(&world, &["--offline"]);
    assert_eq!(checked.severity("match-without-domain"), ["warning"]);
    let found = checked.all("match-without-domain")[0];
    assert!(found["line"].is_number(), "{found}");
    let line = "append_domain = \"YOUR.DOMAIN\"";
    has(checked.part("match-without-domain", "advice"), line);

    // For one user, the warning says what OneLogin was asked for, and the last line what comes next.
    let checked = Checked::of(&world, &[NAME]);
    has(checked.what("user"), "could not log in: no-onelogin-user");
    has(checked.part("user", "why"), "whose email is \"nobody\"");
    has(checked.part("user", "advice"), line);
    let ran = run(at(&world.place, &["check", NAME]), &[]);
    let next = ran.out.lines().last().unwrap();
    has(next, "sudo pam-onelogin");
    assert!(!next.contains(" test "), "{next}");

    // The advice, followed to the letter.
    world.config(&[
        "users.match = \"email\"",
        "users.append_domain = \"example.com\"",
    ]);
    let checked = Checked::of(&world, &[NAME]);
    assert_eq!(checked.severity("match-without-domain"), [""; 0]);
    assert_eq!(checked.severity("user"), [""; 0]);
    // With a map, all users may be in it.
    let map = world.place.write("map", "nobody nobody@example.com\n");
    set_mode(&map, 0o600);
    let map = format!("users.map_file = {:?}", map.to_str().unwrap());
    world.config(&["users.match = \"email\"", &map]);
    let checked = Checked::of(&world, &[NAME]);
    assert_eq!(checked.severity("match-without-domain"), ["note"]);
    assert_eq!(checked.severity("user"), [""; 0]);
}

#[test]
fn a_name_that_is_neither_of_a_user_nor_of_a_service_ends_check_at_once() {
    let world = World::with_totp();
    for (words, kinds) in [
        (&["check", "no-such-name"] as &[&str], "user and no service"),
        (
            &["check", "no-such-name", "--offline"],
            "user and no service",
        ),
        (&["check", "--user", "no-such-name"], "user"),
    ] {
        let ran = run(at(&world.place, words), &[]);
        assert_eq!((ran.code, ran.out.as_str()), (1, ""));
        has(
            &ran.err,
            &format!("this host has no {kinds} of this name: no-such-name"),
        );
    }
    assert_eq!(world.requests(), 0);
}

#[test]
fn for_a_user_whom_onelogin_does_not_find_the_line_of_the_map_is_named() {
    let world = World::with_totp();
    world
        .onelogin
        .change_user(world::ID, |user| user.username = Some("n.body".to_owned()));
    let checked = Checked::of(&world, &[NAME]);
    has(checked.part("user", "why"), "whose username is \"nobody\"");
    let advice = checked.part("user", "advice");
    has(
        advice,
        "compare match in [users] with this user at OneLogin",
    );
    has(
        advice,
        "create the user at OneLogin, or write exempt_users = [\"nobody\"] into [users]",
    );
    has(advice, "map_file = \"/etc/pam_onelogin/map\"");
    has(advice, "the line \"nobody NAME-AT-ONELOGIN\"");
    let ran = run(at(&world.place, &["test", NAME]), &[]);
    has(
        &ran.err,
        "If OneLogin does not have this user, create the user at OneLogin, or exempt them; for what to write, as root, \
         type: pam-onelogin check nobody",
    );

    let path = world.place.write("map", "nobody n.body\n");
    set_mode(&path, 0o600);
    let line = format!("users.map_file = {:?}", path.to_str().unwrap());
    world.config(&[&line]);
    assert_eq!(Checked::of(&world, &[NAME]).severity("user"), [""; 0]);
    world.place.write("map", "nobody other\n");
    let checked = Checked::of(&world, &[NAME]);
    let line = format!(
        "write into {} the line \"nobody NAME-AT-ONELOGIN\"",
        path.display()
    );
    has(checked.part("user", "advice"), &line);
}

#[test]
fn a_pause_of_look_ups_is_explained_with_its_length_and_the_command_that_ends_it() {
    let world = World::with_totp();
    world.onelogin.remove_user(world::ID);
    let login = || world::reason(&world.ssh().run());
    assert_eq!(login(), "no-onelogin-user");
    assert_eq!(login(), "look-up-paused");
    let why = "OneLogin is not asked again for up to two minutes";
    let command = "pam-onelogin limits reset nobody";
    let tested = run(at(&world.place, &["test", NAME]), &[]);
    let status = run(at(&world.place, &["status", NAME]), &[]);
    let checked = run(at(&world.place, &["check", NAME]), &[]);
    for said in [&tested.err, &status.out, &checked.out] {
        has(said, why);
        has(said, command);
    }
    // The command does what it is said to do.
    let reset = run(at(&world.place, &["limits", "reset", NAME]), &[]);
    assert_eq!(reset.code, 0, "{}", reset.err);
    assert_eq!(login(), "no-onelogin-user");

    for _ in 0..19 {
        world.forget_what(|path| path.contains("/d-"));
        assert_eq!(login(), "no-onelogin-user");
    }
    world.forget_what(|path| path.contains("/d-"));
    assert_eq!(login(), "too-many-look-ups");
    let why = "20 look-ups of this user found nothing to verify, or could not be stored, so";
    let tested = run(at(&world.place, &["test", NAME]), &[]);
    let status = run(at(&world.place, &["status", NAME]), &[]);
    let checked = run(at(&world.place, &["check", NAME]), &[]);
    for said in [&tested.err, &status.out, &checked.out] {
        has(said, why);
        has(said, "one hour old");
        has(said, command);
    }
}

/// Someone else may have the key or the password, so the user is asked before the limits are reset.
#[test]
fn limits_that_are_used_up_and_a_denied_push_are_told_by_check_users_and_test() {
    let world = World::with([world::push()], &["limits.failures = 3"]);
    let tool = |words: &[&str]| run(at(&world.place, words), &[]);
    let ask = "ask nobody whether these logins were their own; if not, someone else has their key or password";
    let reset = "as root, type: pam-onelogin limits reset nobody";
    let told = |what: &str, users: &str| {
        let checked = Checked::of(&world, &[NAME]);
        assert_eq!(checked.severity("limit-used-up"), ["warning"]);
        assert_eq!(checked.what("limit-used-up"), what);
        for part in [ask, reset] {
            has(checked.part("limit-used-up", "advice"), part);
        }
        has(&tool(&["users", NAME]).out, users);
    };
    assert!(Checked::of(&world, &[NAME]).all("limit-used-up").is_empty());
    let mut login = world.ssh().spawn();
    login.wait_prompt();
    login.reply("");
    login.wait_prompt();
    assert!(world.onelogin.deny_latest().is_some());
    login.reply("");
    assert_eq!(world::reason(&login.finish()), "push-denied");
    let what = "no push is sent to nobody for now, except for logins from known addresses";
    told(what, &format!("pass    push; {what}\n"));
    let _ = tool(&["limits", "reset", NAME]);
    let _ = world.ssh().answers(["000001", "000002", "000003"]).run();
    told(
        "logins of nobody are denied for now: too many refused codes",
        "denied  too-many-codes\n",
    );
    let tested = run(at(&world.place, &["test", NAME]), &["000004"]);
    has(&tested.err, &format!("First {ask}"));
    has(&tested.err, reset);
}

#[test]
fn r04_each_fault_of_owners_and_modes_is_told_at_once() {
    let secret = "onelogin.client_secret = \"x\"";
    let world = World::with([totp()], &[secret]);
    let place = &world.place;
    let file = place.write("etc/secret", "s3cret-in-a-file\n");
    let text = std::fs::read_to_string(place.config_path()).unwrap();
    let line = format!("onelogin.client_secret_file = {:?}", file.to_str().unwrap());
    place.config(text.replace(secret, &line));
    for path in [&file, &place.config_path()] {
        set_mode(path, 0o644);
    }
    set_mode(&place.path().join("etc/ca.pem"), 0o666);
    set_mode(&place.path().join("etc"), 0o777);
    let checked = Checked::of(&world, &[]);
    assert_eq!(checked.severity("secret-file"), ["fault"; 3]);
    assert_eq!(checked.severity("file"), ["fault"]);
    let whats: Vec<_> = checked
        .all("secret-file")
        .iter()
        .map(|found| &found["what"])
        .collect();
    assert!(
        whats[0].as_str().unwrap().contains("/etc has mode 0777"),
        "{whats:?}"
    );
    assert!(
        checked
            .what("not-asked")
            .contains("OneLogin was not contacted")
    );
    assert_eq!(world.requests(), 0);
    assert!(!checked.ran.out.contains("s3cret-in-a-file"));
}

#[test]
fn each_fault_of_the_configuration_is_told_with_its_line() {
    let world = World::with_totp();
    world
        .place
        .config("[onelogin]\nurl = \"http://x\"\nfactor = 1\n\n[push]\nwait = 0\n");
    let checked = Checked::of(&world, &[]);
    let lines: Vec<_> = checked
        .all("configuration")
        .iter()
        .map(|found| found["line"].as_u64().unwrap())
        .collect();
    // client_id and the secret are one finding.
    assert_eq!(lines, [1, 2, 3, 6], "{}", checked.ran.out);
    std::fs::remove_file(world.place.config_path()).unwrap();
    let checked = Checked::of(&world, &[]);
    assert_eq!(checked.severity("no-configuration"), ["fault"]);
    // The commands, followed to the letter, but for the editor.
    let advice = checked.part("no-configuration", "advice");
    let path = world.place.config_path().display().to_string();
    let sample = match advice.split(' ').nth(6).unwrap() {
        "/dev/null" => "/dev/null",
        sample => {
            assert!(sample.ends_with("/examples/config.toml"), "{advice}");
            sample
        }
    };
    let install = format!("install -D -m 600 {sample} {path}");
    has(
        advice,
        &format!("type: sudo {install}; then type: sudoedit {path}; "),
    );
    let mut words = install.split(' ');
    let mut install = std::process::Command::new(words.next().unwrap());
    assert!(install.args(words).status().unwrap().success());
    let checked = Checked::of(&world, &["--config-only"]);
    assert!(checked.all("secret-file").is_empty());
    has(checked.what("configuration"), "[onelogin] needs \"url\"");
}

#[test]
fn a_folder_of_the_kernel_is_no_state_dir() {
    let world = World::with_totp();
    for folder in ["/proc/pam_onelogin", "/proc/self", "/sys/pam_onelogin"] {
        world.config(&[&format!("state_dir = \"{folder}\"")]);
        let checked = Checked::of(&world, &[]);
        assert_eq!(checked.severity("state"), ["fault"], "{folder}");
        assert!(checked.all("state-on-disk").is_empty(), "{folder}");
    }
}

#[test]
fn what_a_named_file_holds_is_looked_at_too() {
    let world = World::with_totp();
    let map = world.place.write("etc/map", "nobody\nsomebody id=5 more\n");
    let map = format!("users.map_file = {:?}", map.to_str().unwrap());
    world.config(&[&map]);
    let checked = Checked::of(&world, &[]);
    let places: Vec<_> = checked
        .all("configuration")
        .iter()
        .map(|found| {
            (
                found["path"].as_str().unwrap().to_owned(),
                found["line"].as_u64(),
            )
        })
        .collect();
    let path = world.place.path().join("etc/map").display().to_string();
    assert_eq!(places, [(path.clone(), Some(1)), (path, Some(2))]);
}

#[test]
fn the_folder_of_private_files_is_looked_at_and_not_made() {
    let world = World::with_totp();
    let state = world.place.state_path();
    pam_host::place::make_folder(&state);
    let folder = state.display();
    for (mode, advice) in [
        (
            0o777,
            format!(
                "type: sudo chown root:root {folder} && sudo chmod 700 {folder} && sudo find {folder} -mindepth 1 -delete"
            ),
        ),
        (0o755, format!("type: sudo chmod 700 {folder}")),
    ] {
        set_mode(&state, mode);
        let checked = Checked::of(&world, &[]);
        assert_eq!(checked.severity("state"), ["fault"]);
        assert_eq!(checked.part("state", "advice"), advice);
    }
    let checked = Checked::of(&world, &[]);
    assert!(
        checked
            .part("state", "why")
            .ends_with("no user can log in, by any service")
    );
    // In memory, but any local user can fill it.
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let memory = memory.path().join("state");
    world.config(&[&format!("state_dir = {:?}", memory.to_str().unwrap())]);
    let checked = Checked::of(&world, &[]);
    let out = &checked.ran.out;
    assert_eq!(checked.severity("state-shared"), ["warning"], "{out}");
    assert!(checked.what("state-shared").contains("/dev/shm"), "{out}");
    let line = format!("tmpfs {} tmpfs mode=0700,", memory.display());
    let advice = checked.part("state-shared", "advice");
    assert!(advice.contains(&line), "{advice}");
    assert!(checked.all("state").is_empty() && checked.all("state-on-disk").is_empty());
    assert!(!memory.exists());
}

#[test]
fn the_module_is_looked_for_where_libpam_looks() {
    let world = World::with_totp();
    let checked = Checked::of(&world, &[]);
    let path = match (
        checked.all("module").first(),
        checked.all("module-absent").first(),
    ) {
        (Some(found), None) | (None, Some(found)) => found["path"].as_str().unwrap().to_owned(),
        _ => panic!("{}", checked.ran.out),
    };
    assert!(
        path.starts_with('/') && path.ends_with("/security/pam_onelogin.so"),
        "{path}"
    );
}

#[test]
fn r10_what_a_host_says_of_itself_moves_no_cursor() {
    let world = World::with_totp();
    let body = "{\"statusCode\":401,\"name\":\"X\",\"message\":\"\\u001b[2Jgone\\u202e\"}";
    let fault = Fault::new(Match::token(), Action::Status(401, body.into(), Vec::new()));
    world.fault(fault);
    let ran = run(at(&world.place, &["check"]), &[]);
    assert!(ran.out.contains("gone"), "{}", ran.out);
    assert!(!ran.out.contains(['\u{1b}', '\u{202e}']), "{:?}", ran.out);
}

#[test]
fn right_after_installing_one_finding_names_the_missing_values_and_one_line_the_next_command() {
    let world = World::with_totp();
    world
        .place
        .config("[onelogin]\n# url = \"https://example.onelogin.com\"\n");
    let checked = Checked::of(&world, &[]);
    let path = world.place.config_path().display().to_string();
    for part in ["\"url\"", "\"client_id\"", "\"client_secret\""] {
        assert!(checked.what("configuration").contains(part), "{part}");
    }
    let advice = checked.part("configuration", "advice");
    assert!(
        advice.starts_with(&format!("type: sudoedit {path}; ")),
        "{advice}"
    );
    let ran = run(at(&world.place, &["check"]), &[]);
    let last = ran.out.lines().last().unwrap();
    // An ordinary user cannot read sudoers, and so is told to be root first.
    let next = if nix::unistd::Uid::effective().is_root() {
        format!(" Next: sudoedit {path}")
    } else {
        format!(" Next: sudo pam-onelogin --config {path} check")
    };
    assert!(last.ends_with(&next), "{}", ran.out);
}

#[test]
fn a_configuration_alone_can_be_checked_before_it_is_put_in_its_place() {
    let world = World::with_totp();
    let only = ["check", "--config-only"];
    let path = world.place.config_path();
    let ran = run(at(&world.place, &only), &[]);
    let line = format!(
        "No faults. Next: sudo pam-onelogin --config {} check\n",
        path.display()
    );
    assert_eq!(
        (ran.code, ran.out.as_str(), ran.err.as_str()),
        (0, line.as_str(), "")
    );
    // A program may make a copy for the check in a folder of another user; only root may read the copy.
    let folder = world.place.path().join("copies");
    std::fs::create_dir(&folder).unwrap();
    let copy = folder.join("copy");
    std::fs::write(&copy, std::fs::read(&path).unwrap()).unwrap();
    set_mode(&copy, 0o600);
    set_mode(&folder, 0o777);
    let ran = run(with_config(&copy, &only), &[]);
    assert_eq!(ran.code, 0, "{}", ran.out);
    let ran = run(with_config(&copy, &["check", "--offline"]), &[]);
    has(&ran.out, "FAULT    the folder ");
    set_mode(&path, 0o644);
    for words in ["--config-only", "--offline"] {
        let checked = Checked::of(&world, &[words]);
        assert_eq!(checked.ran.code, 1);
        assert_eq!(checked.severity("secret-file"), ["fault"]);
        assert_eq!(
            checked.part("secret-file", "advice"),
            format!(
                "type: sudo chmod 600 {}; other users may have read the secret in it, so renew that secret, too",
                path.display()
            )
        );
    }
    let ran = run(at(&world.place, &["test", NAME]), &[]);
    let command = format!(
        "has mode 0644, which is too open; as root, type: chmod 600 {}; other",
        path.display()
    );
    has(&ran.err, &command);
    set_mode(&path, 0o600);
    if nix::unistd::Uid::effective().is_root() {
        std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
        let checked = Checked::of(&world, &["--config-only"]);
        assert_eq!(checked.severity("secret-file"), ["fault"]);
        has(checked.part("secret-file", "advice"), "chown");
        std::os::unix::fs::chown(&path, Some(0), None).unwrap();
    }

    world.place.config("[onelogin]\nurl = 5\n");
    let ran = run(at(&world.place, &only), &[]);
    assert_eq!(ran.code, 1);
    has(&ran.out, &format!("Next: sudoedit {}\n", path.display()));
    assert!(!ran.out.contains("/etc/pam.d"), "{}", ran.out);
    assert_eq!(world.requests(), 0);
}

#[test]
fn a_group_or_user_in_the_configuration_that_this_host_does_not_have_is_named_with_its_line() {
    let world = World::with_totp();
    world.config(&[
        "users.exempt_groups = [\"root\", \"breakglas\"]",
        "users.groups = [\"*,!no such group\", \"root\"]",
        "users.exempt_users = [\"root\", \"bakcup\"]",
    ]);
    let text = std::fs::read_to_string(world.place.config_path()).unwrap();
    let line = |name: &str| text.lines().position(|line| line.contains(name)).unwrap() + 1;
    let checked = Checked::of(&world, &["--offline"]);
    let missing = checked.all("group-missing");
    assert_eq!(
        checked.severity("group-missing"),
        ["fault"; 2],
        "{}",
        checked.ran.out
    );
    for (found, key, name) in [
        (missing[0], "groups", "no such group"),
        (missing[1], "exempt_groups", "breakglas"),
    ] {
        let what = format!("users.{key} names the group {name}, which does not exist on this host");
        assert_eq!(found["what"], what);
        assert_eq!(found["line"], line(name));
        let command = if name.contains(' ') {
            format!("'{name}'")
        } else {
            name.to_owned()
        };
        let advice = found["advice"].as_str().unwrap();
        assert!(
            advice.ends_with(&format!("type: sudo groupadd -- {command}")),
            "{advice}"
        );
    }
    assert_eq!(checked.severity("user-missing"), ["warning"]);
    assert_eq!(
        checked.what("user-missing"),
        "users.exempt_users names the user bakcup, who does not exist on this host"
    );
    assert_eq!(checked.all("user-missing")[0]["line"], line("bakcup"));
    // The names are of the host, not of the file.
    let checked = Checked::of(&world, &["--config-only"]);
    assert_eq!(checked.ran.code, 0, "{}", checked.ran.out);
}

#[test]
fn an_exemption_that_has_ended_or_ends_soon_is_a_warning_with_its_line() {
    let world = World::with_totp();
    let entry = |name: &str, days| {
        let until = day_in(days);
        format!("  {{ user = \"{name}\", until = \"{until}\", reason = \"ticket 4711\" }},")
    };
    let (over, soon, later) = (entry("root", -1), entry("bin", 5), entry("daemon", 20));
    let lines = ["users.exempt = [", &over, &soon, &later, "]"];
    world.config(&lines);
    let text = std::fs::read_to_string(world.place.config_path()).unwrap();
    let line = |name: &str| text.lines().position(|line| line.contains(name)).unwrap() + 1;
    let checked = Checked::of(&world, &["--config-only"]);
    assert_eq!(checked.ran.code, 1, "{}", checked.ran.out);
    for (id, what, place) in [
        (
            "exemption-ended",
            format!("the exemption of the user root ended on {}", day_in(-1)),
            line("\"root\""),
        ),
        (
            "exemption-ends",
            format!("the exemption of the user bin ends on {}", day_in(5)),
            line("\"bin\""),
        ),
    ] {
        assert_eq!(checked.severity(id), ["warning"], "{}", checked.ran.out);
        assert_eq!(checked.what(id), what);
        assert_eq!(checked.all(id)[0]["line"], place);
    }
    assert!(
        checked
            .part("exemption-ends", "why")
            .ends_with("ticket 4711")
    );

    world.config(&["users.exempt = [", &later, "]"]);
    let checked = Checked::of(&world, &["--config-only"]);
    assert_eq!(checked.ran.code, 0, "{}", checked.ran.out);
    changed_in(world.place.config_path(), 1);
    let checked = Checked::of(&world, &["--config-only"]);
    assert_eq!(checked.severity("clock-behind"), ["fault"]);
}

#[test]
fn observe_mode_is_a_warning_while_it_applies_and_when_it_does_not() {
    let world = World::with_totp();
    let checked = |days| {
        world.config(&[&format!("observe.until = \"{}\"", day_in(days))]);
        Checked::of(&world, &["--config-only"])
    };
    let applies = checked(5);
    assert_eq!(applies.ran.code, 1, "{}", applies.ran.out);
    assert_eq!(applies.severity("observe"), ["warning"]);
    let until = day_in(5);
    assert_eq!(
        applies.what("observe"),
        format!(
            "observe mode until {until}: there is no second factor, logins go on after the first one"
        )
    );
    assert_eq!(
        applies.all("observe")[0]["who"],
        "all users, until observe mode ends"
    );
    for (days, why) in [
        (-1, "its last day is over"),
        (62, "its last day is more than 60 days"),
    ] {
        let over = checked(days);
        assert_eq!(over.severity("observe-over"), ["warning"]);
        has(
            over.what("observe-over"),
            &format!("so users are asked: {why}"),
        );
        let latest = format!("write a day until {}", day_in(60));
        has(over.part("observe-over", "advice"), &latest);
    }
}

#[test]
fn a_misspelt_group_is_one_finding_that_names_the_group_that_was_meant() {
    let world = World::with_totp();
    world.config(&["users.exempt_groups = [\"rooot\"]"]);
    let checked = Checked::of(&world, &["--user", NAME]);
    let advice = checked.part("group-missing", "advice");
    assert!(advice.starts_with("did you mean \"root\"? "), "{advice}");
    assert!(checked.all("user").is_empty(), "{}", checked.ran.out);
}

#[test]
fn a_path_in_the_url_and_a_file_that_does_not_exist_are_called_so() {
    let world = World::with_totp();
    let text = |url: &str, secret: &str| {
        format!(
            "[onelogin]\nurl = \"{url}\"\nclient_id = \"a\"\nclient_secret_file = \"{secret}\"\n"
        )
    };
    for (url, host) in [
        ("https://acme.onelogin.com/api/2", "acme.onelogin.com"),
        ("https://localhost:8443/api/2", "localhost:8443"),
    ] {
        world.place.config(text(url, "/nothing"));
        let checked = Checked::of(&world, &["--offline"]);
        assert_eq!(
            checked.what("configuration"),
            "\"url\" contains a path, /api/2"
        );
        assert_eq!(
            checked.part("configuration", "advice"),
            format!("write url = \"https://{host}\"")
        );
    }
    let secret = world.place.path().join("etc/secret").display().to_string();
    world
        .place
        .config(text("https://acme.onelogin.com", &secret));
    let checked = Checked::of(&world, &["--offline"]);
    assert_eq!(
        checked.what("secret-file"),
        "the configuration names this file, which does not exist"
    );
    let advice = checked.part("secret-file", "advice");
    let command = format!("type: sudo install -m 600 /dev/null {secret}; ");
    assert!(advice.starts_with(&command), "{advice}");
}

/// The file and the line of the only finding with this id.
fn place(checked: &Checked, id: &str) -> (String, u64) {
    let finding = &checked.all(id)[0];
    let path = finding["path"].as_str().unwrap();
    (path.to_owned(), finding["line"].as_u64().unwrap())
}

/// The file of the configuration, and the line that sets this key of `[onelogin]`.
fn line_with(world: &World, key: &str) -> (String, u64) {
    let path = world.place.config_path();
    let text = std::fs::read_to_string(&path).unwrap();
    let is_it = |line: &str| {
        let key_of = line.split('=').next().unwrap().trim();
        key_of.trim_start_matches("onelogin.") == key
    };
    let line = (1..).zip(text.lines()).find(|(_, line)| is_it(line));
    (path.display().to_string(), line.unwrap().0)
}

/// Of the credential that verifies.
fn set_scope(world: &World, scope: Scope) {
    world.onelogin.set_scope(DEFAULT_CLIENT_ID, scope);
}

/// What a run of `check --json` found.
struct Checked {
    ran: Ran,
    findings: Vec<Value>,
}

impl Checked {
    fn of(world: &World, words: &[&str]) -> Self {
        let words = [&["check", "--json"], words].concat();
        let ran = run(at(&world.place, &words), &[]);
        assert_eq!(ran.err, "");
        let all = format!("{}{}", ran.out, ran.err);
        let tokens = world.onelogin.access_tokens();
        for secret in [DEFAULT_CLIENT_SECRET, "lookup-secret"] {
            assert!(!all.contains(secret), "{all}");
        }
        assert!(tokens.iter().all(|token| !all.contains(token)), "{all}");
        let findings = ran.json()["findings"].as_array().unwrap().clone();
        for found in &findings {
            let is_bad = ["fault", "warning"].contains(&found["severity"].as_str().unwrap());
            assert!(
                !is_bad || found["advice"].is_string(),
                "what to do: {found:#}"
            );
        }
        Self { ran, findings }
    }

    fn all(&self, id: &str) -> Vec<&Value> {
        let found = self.findings.iter().filter(|found| found["id"] == id);
        found.collect()
    }

    fn severity(&self, id: &str) -> Vec<&str> {
        let found = self.all(id).into_iter();
        found
            .map(|found| found["severity"].as_str().unwrap())
            .collect()
    }

    /// The one sentence of this id.
    fn what(&self, id: &str) -> &str {
        self.part(id, "what")
    }

    fn part(&self, id: &str, part: &str) -> &str {
        let found = self.all(id);
        assert_eq!(found.len(), 1, "{id}: {}", self.ran.out);
        found[0][part].as_str().unwrap()
    }
}

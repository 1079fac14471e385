//! The real `HAProxy` with the configuration that `pam-onelogin gateway config` prints, between hosts with certificates and the
//! simulator. What the module sends comes through as it was; everything else reaches nothing. No root.

mod world;

use nix::sched::{CloneFlags, unshare};
use onelogin_simulator::{
    Action, Device, Dialect, Factor, Fault, Match, Options, Page, ProtectListing, PushBehaviour,
    Request, Simulator, User,
};
use pam_host::gateway::{Connection, Said, ports};
use pam_host::{Code, Flaw, Gateway, Identity, Pki, Place};
use pam_onelogin::onelogin::token::TOKEN_PATH;
use socket2::{Domain, Socket, Type};
use std::collections::BTreeSet;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::resume_unwind;
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use world::{ID, NAME, TOTP_CODE, World, assert_accepted};

/// A host that may use the gateway, and one that may also enrol.
const WEB: &str = "web1.hosts.test";
const ENROLLING: &str = "enrol1.hosts.test";

/// Lets the host named above enrol.
const MAY_ENROL: [&str; 2] = [
    "enrolling = [\"enrol1.hosts.test\"]",
    "enrolling_users = \"@folder@/enrolling-users\"",
];

/// The headers that may reach OneLogin. `connection` is the gateway's own.
const HEADERS: [&str; 8] = [
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "host",
    "user-agent",
];

/// The longest wait for what is about to happen.
const LONG: Duration = Duration::from_secs(20);

const DEVICES: &str = "/api/2/mfa/users/1001/devices";
const VERIFICATIONS: &str = "/api/2/mfa/users/1001/verifications";

/// OneLogin, a gateway before it, and a host.
struct Site {
    onelogin: Simulator,
    pki: Pki,
    gateway: Gateway,
    host: Identity,
    token: String,
}

impl Site {
    fn new() -> Self {
        Self::with(&[], &[])
    }

    /// With these lines of the settings and of the configuration of hosts.
    fn with(settings: &[&str], host_config: &[&str]) -> Self {
        let onelogin = Simulator::start();
        onelogin.add_user(User::new(ID, NAME));
        onelogin.add_device(ID, world::totp());
        Self::before(onelogin, settings, host_config)
    }

    fn before(onelogin: Simulator, settings: &[&str], host_config: &[&str]) -> Self {
        let pki = Pki::new();
        let gateway = Gateway::before(&onelogin, &pki, settings, host_config);
        let token = onelogin.give_token();
        gateway.set_token(&token, now() + 3600);
        onelogin.clear_requests();
        let host = pki.host(WEB, 0x0A01, Flaw::None);
        Self {
            onelogin,
            pki,
            gateway,
            host,
            token,
        }
    }

    fn connect(&self) -> Connection {
        self.gateway.connect(Some(&self.host)).unwrap()
    }

    /// Another host that may use the gateway.
    fn another(&self, number: u64) -> Identity {
        let name = format!("web{number}.hosts.test");
        self.pki.host(&name, number, Flaw::None)
    }

    /// The reply to one request of this host over a connection of its own.
    fn ask_as(&self, host: &Identity, bytes: impl AsRef<[u8]>) -> Said {
        self.gateway.connect(Some(host)).unwrap().ask(bytes)
    }

    /// The reply to one request over a connection of its own.
    fn ask(&self, bytes: impl AsRef<[u8]>) -> Said {
        self.connect().ask(bytes)
    }

    /// The gateway answers with this status and word, and OneLogin gets nothing.
    fn assert_kept(&self, bytes: impl AsRef<[u8]>, status: u16, word: &str) {
        let bytes = bytes.as_ref();
        let said = self.ask(bytes);
        let shown = String::from_utf8_lossy(bytes).into_owned();
        assert_eq!((said.status, said.word()), (status, word), "{shown}");
        assert_eq!(self.onelogin.requests(), [], "{shown}");
    }

    /// The gateway refuses a request, and OneLogin gets nothing. What is not HTTP is refused by a page of `HAProxy`.
    fn assert_refused(&self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let said = self.ask(bytes);
        let shown = String::from_utf8_lossy(bytes).into_owned();
        let is_refused = matches!(
            (said.status, said.word()),
            (403, "refused") | (400 | 422, "")
        );
        assert!(is_refused, "{said:?} to {shown}");
        assert_eq!(self.onelogin.requests(), [], "{shown}");
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn get(url: &str) -> String {
    format!("GET {url} HTTP/1.1\r\nhost: gateway.test\r\n\r\n")
}

fn with_body(method: &str, url: &str, body: &str) -> String {
    format!(
        "{method} {url} HTTP/1.1\r\nhost: gateway.test\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn post(url: &str, body: &str) -> String {
    with_body("POST", url, body)
}

fn code(code: &str) -> String {
    post(
        VERIFICATIONS,
        &format!("{{\"otp\":\"{code}\",\"device_id\":501}}"),
    )
}

/// What was asked: method, URL and body.
fn asked(request: &Request) -> (String, String, String) {
    let url = match request.query.as_str() {
        "" => request.path.clone(),
        query => format!("{}?{query}", request.path),
    };
    (request.method.clone(), url, request.body.clone())
}

// What the module sends

/// A login without a gateway, and whether its calls come through a gateway for the same configuration.
fn passes(world: &World, lines: &[&str], login: impl FnOnce(&World)) -> BTreeSet<String> {
    world.onelogin.clear_requests();
    login(world);
    let mut direct = world.onelogin.requests();
    direct.retain(|request| request.path != TOKEN_PATH);
    assert!(!direct.is_empty());
    let onelogin = Simulator::start();
    let site = Site::before(onelogin, &MAY_ENROL, lines);
    let list = site.gateway.file("enrolling-users").display().to_string();
    assert_eq!(
        site.gateway.admin(&format!("add acl {list} {ID}")).trim(),
        ""
    );
    let is_enrolment = |request: &Request| {
        request.path.ends_with("/factors") || request.path.contains("/registrations")
    };
    let enrolling = site.pki.host(ENROLLING, 7, Flaw::None);
    for request in &direct {
        let host = if is_enrolment(request) {
            &enrolling
        } else {
            &site.host
        };
        let (method, url, body) = asked(request);
        // With a gateway the module has no token.
        let headers = request.headers.iter();
        let headers = headers.filter(|(name, _)| name != "authorization");
        let headers: Vec<_> = headers
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let headers = headers.concat();
        let bytes = format!("{method} {url} HTTP/1.1\r\n{headers}\r\n{body}");
        let said = site.gateway.connect(Some(host)).unwrap().ask(&bytes);
        assert_eq!(said.word(), "", "{said:?} to {bytes}");
    }
    let through = site.onelogin.requests();
    let both = [&direct, &through].map(|requests| requests.iter().map(asked).collect::<Vec<_>>());
    assert_eq!(both[0], both[1]);
    let bearer = format!("Bearer {}", site.token);
    for request in &through {
        assert_eq!(request.authorization.as_deref(), Some(bearer.as_str()));
        let names = request.headers.iter().map(|(name, _)| name.as_str());
        let others: Vec<_> = names.filter(|name| !HEADERS.contains(name)).collect();
        assert_eq!(others, [""; 0]);
    }
    let calls = direct.iter().map(|request| {
        let is_id = |part: &str| part.len() > 1 && part.contains(char::is_numeric);
        let parts = request.path.split('/');
        let parts = parts.map(|part| if is_id(part) { "*" } else { part });
        let path = parts.collect::<Vec<_>>().join("/");
        format!("{} {path}", request.method)
    });
    calls.collect()
}

fn accepted(world: &World, answers: &[&str]) {
    assert_accepted(&world.ssh().answers(answers.iter().copied()).run());
}

#[test]
fn each_call_of_a_login_comes_through_as_the_module_writes_it() {
    let mut calls = BTreeSet::new();
    let message = "factors.sms_message = 'It is \"{{otp_code}}\" (\\ü), for {{otp_expiry}} min.'";
    let v1 = "onelogin.api_version = 1";
    for lines in [&[][..], &[v1]] {
        let world = World::with([world::totp()], lines);
        calls.extend(passes(&world, lines, |world| accepted(world, &[TOTP_CODE])));
        let world = World::with([Device::protect("601", "Phone")], lines).speaking(Dialect::Docs);
        world.onelogin.set_protect_listing(ProtectListing::Twice);
        world.onelogin.on_push(PushBehaviour::ApproveAfterPolls(1));
        calls.extend(passes(&world, lines, |world| accepted(world, &["", ""])));
        let lines = [lines, &[message]].concat();
        let world = World::with([world::sms()], &lines);
        world.onelogin.set_next_code("0042");
        calls.extend(passes(&world, &lines, |world| {
            accepted(world, &["", "0042"]);
        }));
        let world = World::with([Device::email("702", "Mail")], &lines);
        world.onelogin.set_next_code("0042");
        calls.extend(passes(&world, &lines, |world| {
            accepted(world, &["", "0042"]);
        }));
        let lines = [&lines[..], &["factors.allow = [\"totp\", \"temporary\"]"]].concat();
        let world = World::with([], &lines);
        let _ = world.onelogin.give_temporary_token(ID, "25992782", false);
        calls.extend(passes(&world, &lines, |world| {
            accepted(world, &["25992782"]);
        }));
    }
    let lines = [
        "onelogin.verify = \"activated\"",
        "factors.expires_in = 300",
    ];
    let world = World::with([world::totp()], &lines);
    calls.extend(passes(&world, &lines, |world| {
        accepted(world, &[TOTP_CODE]);
    }));
    assert_eq!(
        Vec::from_iter(calls),
        [
            "GET /api/1/users/*/otp_devices",
            "GET /api/2/mfa/users/*/devices",
            "GET /api/2/mfa/users/*/verifications/*",
            "GET /api/2/users",
            "POST /api/1/users/*/otp_devices/*/trigger",
            "POST /api/1/users/*/otp_devices/*/verify",
            "POST /api/1/users/*/otp_devices/0/verify",
            "POST /api/2/mfa/users/*/verifications",
            "PUT /api/2/mfa/users/*/verifications/*",
        ]
    );
}

#[test]
fn each_look_up_comes_through_as_the_module_writes_it() {
    let map = "users.match = \"map\"\nusers.map_file = \"@map@\"";
    for (line, value) in [
        ("users.match = \"email\"", "nobody@example.com"),
        ("users.match = \"samaccountname\"", "nobody"),
        (
            "users.match = \"userprincipalname\"",
            "nobody@ad.example.com",
        ),
        ("users.match = \"custom_attributes.unix_name\"", "nobody"),
        (map, ""),
    ] {
        let world = World::with([world::totp()], &[]);
        world.onelogin.change_user(ID, |user| {
            *user = User::new(ID, NAME)
                .email("nobody@example.com")
                .samaccountname("nobody")
                .userprincipalname("nobody@ad.example.com")
                .custom_attribute("unix_name", "nobody");
        });
        let file = world.place.write("etc/map", format!("{NAME} id={ID}\n"));
        let line = line.replace("@map@", file.to_str().unwrap());
        let mut lines: Vec<String> = line.lines().map(str::to_owned).collect();
        if let Some((_, domain)) = value.split_once('@') {
            lines.push(format!("users.append_domain = {domain:?}"));
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        world.config(&lines);
        passes(&world, &lines, |world| accepted(world, &[TOTP_CODE]));
    }
}

#[test]
fn each_character_that_a_name_may_have_comes_through() {
    let names = [
        "o'brien",
        "a.b-c_d",
        "ad\\jörg",
        "smb$",
        "a+b@example.com",
        "日本",
    ];
    let world = World::with([world::totp()], &[]);
    for name in names {
        let file = world.place.write("etc/map", format!("{NAME} {name}\n"));
        let lines = [format!("users.map_file = {:?}", file.to_str().unwrap())];
        let lines = lines.each_ref().map(String::as_str);
        world
            .onelogin
            .change_user(ID, |user| *user = User::new(ID, name));
        world.config(&lines);
        passes(&world, &lines, |world| {
            world.later();
            accepted(world, &[&world::fresh_code()]);
        });
    }
}

#[test]
fn an_enrolment_comes_through_from_a_host_that_may_enrol() {
    let lines = ["users.no_factor = \"enroll\"", "push.wait = 5"];
    for kind in [Factor::Authenticator, Factor::Protect] {
        let world = World::with([], &lines);
        world
            .onelogin
            .change_user(ID, |user| user.factors = vec![kind.clone()]);
        let calls = passes(&world, &lines, |world| {
            let mut login = world.ssh().spawn();
            login.wait_prompt();
            login.reply("1");
            login.wait_prompt();
            let registration = world.onelogin.registrations().pop().unwrap();
            if kind == Factor::Authenticator {
                login.reply(registration.code.unwrap());
            } else {
                world.onelogin.confirm_registration(&registration.id);
                login.reply("");
            }
            login.wait_prompt();
            login.reply("000000");
            drop(login);
        });
        let has = |call: &str| calls.iter().any(|other| other.starts_with(call));
        assert!(has("POST /api/2/mfa/users/*/registrations"), "{calls:?}");
        assert!(has("GET /api/2/mfa/users/*/factors"), "{calls:?}");
        let end = if kind == Factor::Protect {
            "GET"
        } else {
            "PUT"
        };
        assert!(
            has(&format!("{end} /api/2/mfa/users/*/registrations/*")),
            "{calls:?}"
        );
    }
}

#[test]
fn a_host_with_a_certificate_logs_in_through_the_gateway() {
    for version in [1, 2] {
        let version = format!("onelogin.api_version = {version}");
        let site = Site::with(&[], &[&version]);
        site.onelogin.set_protect_listing(ProtectListing::Twice);
        site.onelogin.on_push(PushBehaviour::ApproveAfterPolls(1));
        let place = Place::new();
        let config = (site.gateway).config_of_host(&place, &site.host, site.gateway.port());
        place.config(format!("{config}{version}\nusers.cache = 0\n"));
        for (device, answers) in [
            (world::totp(), &[TOTP_CODE][..]),
            (world::sms(), &["", "0042"]),
            (Device::protect("601", "Phone"), &["", ""]),
        ] {
            site.onelogin
                .change_devices(ID, |devices| *devices = vec![device.clone()]);
            site.onelogin.set_next_code("0042");
            let case = place.alone("sshd").user(NAME);
            let case = case.ssh_with_key(&world::connection());
            assert_accepted(&case.answers(answers.iter().copied()).run());
        }
        assert_eq!(
            site.onelogin.count("POST", "/auth/"),
            0,
            "no host asks for a token"
        );
    }
}

// What is refused

#[test]
fn a_url_outside_the_list_is_refused() {
    let site = Site::new();
    let fields = "fields=id%2Cusername%2Cstate%2Cstatus";
    let mut urls: Vec<String> = [
        "/",
        "/api/2/users",
        "/api/2/users/1001",
        "/api/2/apps",
        "/api/2/roles",
        "/auth/rate_limit",
        "/auth/oauth2/v2/token",
        "/api/2/mfa/users/1001/factors",
        "/api/2/mfa/users/1001/registrations/1",
        "/api/1/users/1001/otp_devices",
        "/api/2/mfa/users/1001",
        "/api/2/mfa/users",
        "/api/2/mfa/users/1001/mfa_token",
        "/gateway/health",
        "/api/2/mfa/users/01001/devices",
        "/api/2/mfa/users/0/devices",
        "/api/2/mfa/users/-1/devices",
        "/api/2/mfa/users/a/devices",
        "/api/2/mfa/users/1234567890123456789/devices",
        "/api/2/mfa/users/1001/devices/",
        "/api/2/mfa/users/1001/devices?",
        "/api/2/mfa/users/1001/devices?x=1",
        "/api/2/mfa/users/1001/devices;x",
        "/api/2/mfa/users/1001/devices#x",
        "/api/2/mfa/users/1001/devices%00",
        "/api/2/mfa/users/1001/devices%20",
        "/api/2/mfa/users/1001/Devices",
        "/API/2/mfa/users/1001/devices",
        "//api/2/mfa/users/1001/devices",
        "/api/2/mfa/users//1001/devices",
        "/api/2/mfa/users/1001/./devices",
        "/api/2/mfa/users/1002/../1001/devices",
        "/api/2/mfa/users/1002/%2e%2e/1001/devices",
        "/api/2/mfa/users/1001%2fdevices",
        "/api/2/mfa/users/1001%5cdevices",
        "/api/2/mfa/users/1001\\devices",
        "/api/2/mfa/users/%31001/devices",
        "/api/2/mfa/users/1001/verifications/a/b",
        "/api/2/mfa/users/1001/verifications/..",
        "/api/2/mfa/users/1001/verifications/a%2fb",
        "/api/2/mfa/users/1001/verifications/",
        "https://gateway.test/api/2/mfa/users/1001/devices",
        "http://gateway.test/api/2/mfa/users/1001/devices",
        "*",
    ]
    .map(str::to_owned)
    .into();
    for value in [
        "*", "a*", "!a", "%2A", "%2a", "%21", "%252A", "a%00", "a%20b", "a+b", "-a", "%40a", "@a",
        "", "a%2Cb", "a,b", "a%26b", "a;b",
    ] {
        urls.push(format!("/api/2/users?username={value}&{fields}&limit=2"));
    }
    for query in [
        format!("username=a&{fields}&limit=3"),
        format!("username=a&{fields}&limit=20"),
        format!("username=a&{fields}"),
        "username=a&fields=id%2Cusername%2Cstate%2Cstatus%2Cemail&limit=2".to_owned(),
        "username=a&limit=2".to_owned(),
        "username=a".to_owned(),
        format!("{fields}&username=a&limit=2"),
        format!("username=a&username=b&{fields}&limit=2"),
        format!("username=a&{fields}&limit=2&limit=99"),
        format!("email=a&{fields}&limit=2"),
        format!("username=a&{fields}&limit=2&page=2"),
        format!("Username=a&{fields}&limit=2"),
        "username=a&fields=id,username,state,status&limit=2".to_owned(),
        format!("?username=a&{fields}&limit=2"),
        format!("username=a&{fields}&limit=2#"),
    ] {
        urls.push(format!("/api/2/users?{query}"));
    }
    for url in urls {
        site.assert_refused(get(&url));
    }
    // The same request in its right form comes through, or the test would show nothing.
    assert_eq!(site.ask(get(DEVICES)).status, 200);
    assert_eq!(
        site.ask(get(&format!(
            "/api/2/users?username={NAME}&{fields}&limit=2"
        )))
        .status,
        200
    );
    assert_eq!(site.onelogin.requests().len(), 2);
}

#[test]
fn a_method_outside_the_list_is_refused() {
    let site = Site::new();
    let body = r#"{"otp":"123456","device_id":501}"#;
    for (method, url) in [
        ("DELETE", DEVICES),
        ("PATCH", DEVICES),
        ("HEAD", DEVICES),
        ("OPTIONS", DEVICES),
        ("TRACE", DEVICES),
        ("CONNECT", DEVICES),
        ("get", DEVICES),
        ("PUT", DEVICES),
        ("POST", DEVICES),
        ("PUT", VERIFICATIONS),
        ("DELETE", VERIFICATIONS),
        ("PATCH", VERIFICATIONS),
        ("PUT", "/api/2/users/1001"),
        ("POST", "/api/2/users"),
        ("DELETE", "/api/2/users/1001"),
        ("POST", "/auth/oauth2/v2/token"),
        ("POST", "/auth/oauth2/revoke"),
        ("POST", "/api/2/mfa/users/1001/mfa_token"),
        ("POST", "/api/2/mfa/users/1001/registrations"),
        ("POST", "/api/2/mfa/users/1001/verifications/1"),
    ] {
        site.assert_refused(with_body(method, url, body));
        site.assert_refused(
            format!("{method} {url} HTTP/1.1\r\nhost: gateway.test\r\n\r\n")
                .replace("GET", "DELETE"),
        );
    }
    site.assert_refused(format!(
        "GET {DEVICES} HTTP/1.0\r\nhost: gateway.test\r\n\r\n"
    ));
    site.assert_refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    site.assert_refused(format!(
        "GET {DEVICES} HTTP/2.0\r\nhost: gateway.test\r\n\r\n"
    ));
}

#[test]
fn a_body_that_the_module_does_not_write_is_refused() {
    let site = Site::with(&[], &["factors.sms_message = \"Code {{otp_code}}\""]);
    for body in [
        "",
        "{}",
        "null",
        "[]",
        "otp=123456&device_id=501",
        r#"{"otp":"123456"}"#,
        r#"{"device_id":501}"#,
        r#"{"device_id":501,"otp":"123456"}"#,
        r#"{"otp":123456,"device_id":501}"#,
        r#"{"otp":"123456","device_id":501} "#,
        r#" {"otp":"123456","device_id":501}"#,
        "{\"otp\":\"123456\",\"device_id\":501}\n",
        "{\"otp\":\"123456\",\"device_id\":501}\0",
        r#"{"otp": "123456","device_id":501}"#,
        r#"{"otp":"123456","device_id":501,"device_id":502}"#,
        r#"{"otp":"123456","otp":"1","device_id":501}"#,
        r#"{"otp":"123456","device_id":501,"x":1}"#,
        r#"{"otp":"12\u00333","device_id":501}"#,
        r#"{"OTP":"123456","device_id":501}"#,
        r#"{"otp":"123456","device_id":"5/1"}"#,
        r#"{"otp":"","device_id":501}"#,
        r#"{"otp":"1 2","device_id":501}"#,
        r#"{"otp":"123456","device_id":0501}"#,
        r#"{"device_id":501,"expires_in":121}"#,
        r#"{"device_id":501,"expires_in":900}"#,
        r#"{"device_id":501,"expires_in":120,"custom_message":"Code {{otp_code}}!"}"#,
        r#"{"device_id":501,"expires_in":120,"custom_message":"code {{otp_code}}"}"#,
        r#"{"device_id":501,"expires_in":120,"custom_message":"\u0043ode {{otp_code}}"}"#,
        r#"{"device_id":501,"expires_in":120,"redirect_to":"https://example.com"}"#,
        r#"{"custom_message":"x","device_id":501,"expires_in":120}"#,
        r#"{"device_id":501,"expires_in":120,"Custom_Message":"x"}"#,
        r#"{"device_id":501,"expires_in":120,"custom_message":"Code {{otp_code}}","custom_message":"x"}"#,
        r#"{"device_id":501,"expires_in":120}{"a":1}"#,
        r#"[{"device_id":501,"expires_in":120}]"#,
    ] {
        site.assert_refused(post(VERIFICATIONS, body));
    }
    let put = format!("{VERIFICATIONS}/9");
    for body in [
        r#"{"device_id":501,"expires_in":120}"#,
        r#"{"otp":"123456","device_id":501,"x":1}"#,
        r#"{"otp":123456}"#,
        "",
    ] {
        site.assert_refused(with_body("PUT", &put, body));
    }
    let long = format!("{{\"otp\":\"{}\",\"device_id\":501}}", "1".repeat(3000));
    site.assert_refused(post(VERIFICATIONS, &long));
    let right = r#"{"otp":"123456","device_id":501}"#;
    site.assert_refused(
        post(VERIFICATIONS, right).replace("application/json", "application/x-www-form-urlencoded"),
    );
    site.assert_refused(
        post(VERIFICATIONS, right).replace("content-type: application/json\r\n", ""),
    );
    site.assert_refused(with_body("GET", DEVICES, right));
    let chunked = format!("{:x}\r\n{right}\r\n0\r\n\r\n", right.len());
    let head = "host: gateway.test\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    site.assert_refused(format!("POST {VERIFICATIONS} HTTP/1.1\r\n{head}{chunked}"));
    site.assert_refused(format!("GET {DEVICES} HTTP/1.1\r\n{head}{chunked}"));
    let allowed = [
        right,
        r#"{"device_id":501,"expires_in":120}"#,
        r#"{"device_id":501,"expires_in":120,"custom_message":"Code {{otp_code}}"}"#,
    ];
    for body in allowed {
        assert_eq!(site.ask(post(VERIFICATIONS, body)).word(), "", "{body}");
    }
    assert_eq!(site.onelogin.requests().len(), allowed.len());
}

#[test]
fn bodies_of_version_1_are_those_of_the_module() {
    let site = Site::with(&[], &["onelogin.api_version = 1"]);
    let device = "/api/1/users/1001/otp_devices/501";
    for (call, body) in [
        ("trigger", "{}"),
        ("trigger", r#"{"state_token_expires_in":121}"#),
        (
            "trigger",
            r#"{"state_token_expires_in":120,"sms_message":"x"}"#,
        ),
        (
            "trigger",
            r#"{"state_token_expires_in":120,"redirect_to":"https://example.com"}"#,
        ),
        ("verify", "{}"),
        ("verify", r#"{"otp_token":123456}"#),
        ("verify", r#"{"otp_token":"123456","state_token":"a/b"}"#),
        ("verify", r#"{"state_token":"a","otp_token":"123456"}"#),
        ("verify", ""),
    ] {
        site.assert_refused(post(&format!("{device}/{call}"), body));
    }
    site.assert_refused(get(DEVICES));
    site.assert_refused(code("123456"));
}

#[test]
fn only_the_allowed_headers_arrive() {
    let site = Site::new();
    let extra = "Authorization: Bearer mine\r\nauthorization: Basic eDp5\r\nConnection: keep-alive, authorization\r\nCookie: a=b\r\n\
        X-HTTP-Method-Override: DELETE\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Host: evil.test\r\nForwarded: for=10.0.0.1\r\n\
        X_Custom: 1\r\nUser-Agent: mine\r\nAccept: text/html\r\nAccept-Encoding: gzip\r\nx-gateway: mine\r\nX-Request-Id: mine\r\nExpect: x\r\n";
    for bytes in [get(DEVICES), code("123456")] {
        site.onelogin.clear_requests();
        let bytes = bytes.replacen("\r\n", &format!("\r\n{extra}"), 1);
        let said = site.ask(&bytes);
        assert_eq!(said.word(), "", "{said:?}");
        let request = site.onelogin.requests().pop().unwrap();
        let mut headers = request.headers.clone();
        headers.retain(|(name, value)| (name.as_str(), value.as_str()) != ("connection", "close"));
        headers.sort();
        let authority = site.onelogin.url().replace("https://", "");
        let mut expected = vec![
            ("accept", "application/json".to_owned()),
            ("accept-encoding", "identity".to_owned()),
            ("authorization", format!("Bearer {}", site.token)),
            ("host", authority),
            (
                "user-agent",
                concat!("pam_onelogin-gateway/", env!("CARGO_PKG_VERSION")).to_owned(),
            ),
        ];
        if request.method == "POST" {
            expected.push(("content-length", request.body.len().to_string()));
            expected.push(("content-type", "application/json".to_owned()));
        }
        expected.sort();
        let expected = expected.into_iter();
        let expected: Vec<_> = expected
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        assert_eq!(headers, expected);
    }
}

#[test]
fn requests_that_two_programs_could_read_in_two_ways_are_refused() {
    let site = Site::new();
    let body = r#"{"otp":"123456","device_id":501}"#;
    let length = body.len();
    let head = format!(
        "POST {VERIFICATIONS} HTTP/1.1\r\nhost: gateway.test\r\ncontent-type: application/json\r\n"
    );
    for lines in [
        format!("content-length: {length}\r\ncontent-length: 5\r\n"),
        format!("content-length: {length}, 5\r\n"),
        format!("content-length: +{length}\r\n"),
        "content-length: -1\r\n".to_owned(),
        format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"),
        "transfer-encoding: gzip, chunked\r\n".to_owned(),
        "transfer-encoding: xchunked\r\n".to_owned(),
        "transfer-encoding : chunked\r\n".to_owned(),
        format!("content-length: {length}\r\nx: y\r\n folded\r\ntransfer-encoding: chunked\r\n"),
        format!("content-length : {length}\r\n"),
        format!("content-length: {length}\r\nhost: other.test\r\n"),
        format!("content-length: {length}\r\nx\0: 1\r\n"),
    ] {
        site.assert_refused(format!("{head}{lines}\r\n{body}"));
    }
    let many = "x: 1\r\n".repeat(60);
    site.assert_refused(get(DEVICES).replacen("\r\n", &format!("\r\n{many}"), 1));
    let long = format!("\r\nx: {}\r\n", "y".repeat(20_000));
    // HAProxy may end the connection before the host has read why.
    let said = site.ask(get(DEVICES).replacen("\r\n", &long, 1));
    assert!(matches!(said.status, 0 | 400), "{said:?}");
    assert_eq!(site.onelogin.requests(), []);
    site.assert_refused(get(DEVICES).replace("host: gateway.test\r\n", ""));
}

#[test]
fn enrolment_is_for_its_hosts_and_its_users_only() {
    let site = Site::with(&MAY_ENROL, &[]);
    let enrolling = site.pki.host(ENROLLING, 7, Flaw::None);
    let factors = get("/api/2/mfa/users/1001/factors");
    let begin = post(
        "/api/2/mfa/users/1001/registrations",
        r#"{"factor_id":1,"display_name":"A \"b\" \\","expires_in":900,"verified":false}"#,
    );
    let end = with_body(
        "PUT",
        "/api/2/mfa/users/1001/registrations/9",
        r#"{"otp":123456}"#,
    );
    let all = [factors, begin.clone(), end];
    let word = |host: &Identity, bytes: &str| {
        site.gateway
            .connect(Some(host))
            .unwrap()
            .ask(bytes)
            .word()
            .to_owned()
    };
    for bytes in &all {
        assert_eq!(
            word(&enrolling, bytes),
            "refused",
            "a user that is not listed"
        );
    }
    let list = site.gateway.file("enrolling-users").display().to_string();
    site.gateway.admin(&format!("add acl {list} {ID}"));
    for bytes in &all {
        assert_eq!(
            word(&site.host, bytes),
            "refused",
            "a host that does not enrol"
        );
    }
    assert_eq!(site.onelogin.requests(), []);
    for bytes in [
        begin.replace("\"verified\":false", "\"verified\":true "),
        begin.replace("900", "901"),
        begin.replace("\"verified\"", "\"custom_message\":\"x\",\"verified\""),
    ] {
        let body = bytes.split("\r\n\r\n").nth(1).unwrap();
        assert_eq!(
            word(
                &enrolling,
                &post("/api/2/mfa/users/1001/registrations", body)
            ),
            "refused"
        );
    }
    assert_eq!(site.onelogin.requests(), []);
    for bytes in &all {
        assert_eq!(word(&enrolling, bytes), "");
    }
    assert_eq!(site.onelogin.requests().len(), 3);
}

// Who is asked

#[test]
fn a_host_without_a_good_certificate_reaches_nothing() {
    let site = Site::new();
    let host = |name, flaw| Some(site.pki.host(name, 99, flaw));
    for (what, identity) in [
        ("no certificate", None),
        ("another CA", host(WEB, Flaw::OtherCa)),
        ("expired", host(WEB, Flaw::Expired)),
        ("for servers", host(WEB, Flaw::ForServers)),
    ] {
        if let Ok(mut connection) = site.gateway.connect(identity.as_ref()) {
            assert_eq!(connection.ask(get(DEVICES)).status, 0, "{what}");
        }
    }
    if let Ok(mut connection) = site.gateway.connect_by_tls12(&site.host) {
        assert_eq!(connection.ask(get(DEVICES)).status, 0, "TLS 1.2");
    }
    for name in [
        "web1.example.test",
        "hosts.test",
        "a.b.hosts.test",
        "web1.hosts.test.example",
        "xhosts.test",
    ] {
        let identity = host(name, Flaw::None);
        let said = site
            .gateway
            .connect(identity.as_ref())
            .unwrap()
            .ask(get(DEVICES));
        assert_eq!((said.status, said.word()), (403, "refused"), "{name}");
    }
    assert_eq!(site.onelogin.requests(), []);
    assert_eq!(site.ask(get(DEVICES)).status, 200);
}

#[test]
fn an_open_connection_of_a_revoked_host_ends_at_its_next_request() {
    let site = Site::new();
    let mut connection = site.connect();
    assert_eq!(connection.ask(get(DEVICES)).status, 200);
    let other = site.pki.host("web2.hosts.test", 0x0A02, Flaw::None);
    site.gateway.revoke(&site.host);
    site.onelogin.clear_requests();
    let said = connection.ask(get(DEVICES));
    assert_eq!((said.status, said.word()), (403, "revoked"));
    assert!(connection.is_closed());
    site.assert_kept(get(DEVICES), 403, "revoked");
    let said = site
        .gateway
        .connect(Some(&other))
        .unwrap()
        .ask(get(DEVICES));
    assert_eq!(said.status, 200);
}

#[test]
fn connections_without_a_certificate_end_and_keep_no_host_out() {
    let site = Site::with(&["limits.connections_per_host = 3"], &[]);
    let mut prepared = site.connect();
    let mut idle: Vec<_> = (0..900).map(|_| site.gateway.raw()).collect();
    assert_eq!(site.ask(get(DEVICES)).status, 200);
    // All of them end, while the connection that has shown a certificate stays.
    for stream in &mut idle {
        let end = stream.read_to_end(&mut Vec::new());
        let is_waiting = end.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        assert!(!is_waiting, "the connection is still open");
    }
    assert_eq!(prepared.ask(get(DEVICES)).status, 200);
    // Each host has so many connections.
    let mut open = vec![prepared];
    for _ in 0..2 {
        let mut connection = site.connect();
        assert_eq!(connection.ask(get(DEVICES)).status, 200);
        open.push(connection);
    }
    if let Ok(mut connection) = site.gateway.connect(Some(&site.host)) {
        assert_eq!(connection.ask(get(DEVICES)).status, 0);
    }
    let other = site.pki.host("web2.hosts.test", 2, Flaw::None);
    let said = site
        .gateway
        .connect(Some(&other))
        .unwrap()
        .ask(get(DEVICES));
    assert_eq!(said.status, 200);
}

#[test]
#[ignore = "takes 50 seconds: run by make test-more"]
fn a_connection_that_was_prepared_50_seconds_ago_still_takes_a_code() {
    let site = Site::new();
    let mut prepared = site.connect().patience(Duration::from_secs(50));
    assert!(!prepared.is_closed());
    assert_eq!(prepared.ask(code("111111")).word(), "");
    assert_eq!(site.onelogin.requests().len(), 1);
}

#[test]
fn a_request_that_comes_slowly_ends_without_reaching_onelogin() {
    let site = Site::with(
        &[],
        &["onelogin.login_timeout = 5", "onelogin.request_timeout = 5"],
    );
    let whole = code("123456");
    let parts = ["", "GET /api", &whole[..whole.len() - 1]];
    let open = parts.map(|part| (part, site.connect()));
    for (part, mut connection) in open {
        assert_eq!(connection.ask(part).status, 408, "{part}");
    }
    assert_eq!(site.onelogin.requests(), []);
}

#[test]
fn at_its_limit_of_connections_the_gateway_closes_them() {
    for limit in [
        "limits.connections = 2",
        "limits.connections_per_address = 2",
        "limits.connections_per_host = 2",
    ] {
        let site = Site::with(&[limit], &[]);
        let mut open = [site.connect(), site.connect()];
        for connection in &mut open {
            assert_eq!(connection.ask(get(DEVICES)).status, 200, "{limit}");
        }
        if let Ok(mut further) = site.gateway.connect(Some(&site.host)) {
            assert_eq!(further.ask(get(DEVICES)).status, 0, "{limit}");
        }
    }
}

#[test]
fn an_address_that_makes_too_many_connections_is_cut_off() {
    let site = Site::with(&["limits.new_connections = 3"], &[]);
    for _ in 0..3 {
        assert_eq!(site.ask(get(DEVICES)).status, 200);
    }
    if let Ok(mut further) = site.gateway.connect(Some(&site.host)) {
        assert_eq!(further.ask(get(DEVICES)).status, 0);
    }
}

#[test]
#[ignore = "needs root: run by make test-more"]
fn addresses_of_ipv6_are_counted_by_their_first_64_bits() {
    // In a thread, and with it all that it starts: the others keep their network.
    let test = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network can be made");
        let ip = |words: &str| {
            let ran = Command::new("ip").args(words.split(' ')).status();
            assert!(ran.expect("ip is installed").success(), "{words}");
        };
        ip("link set lo up");
        for address in ["2001:db8::1/64", "2001:db8::2/64", "2001:db8:0:1::1/64"] {
            ip(&format!("addr add {address} dev lo nodad"));
        }
        let listener = TcpListener::bind("[2001:db8::1]:0").unwrap();
        let to = listener.local_addr().unwrap();
        let pki = Pki::new();
        let limits = ["limits.connections_per_address = 2"];
        let certificates = pki.certificates();
        let free = "https://127.0.0.1:1";
        let _gateway = Gateway::at(
            listener,
            free,
            pki.gateways_ca(),
            &certificates,
            &limits,
            &[],
        );
        let from = |address: &str| {
            let socket = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
            let address: SocketAddr = format!("[{address}]:0").parse().unwrap();
            socket.bind(&address.into()).unwrap();
            socket.connect(&to.into()).unwrap();
            socket.set_read_timeout(Some(LONG)).unwrap();
            TcpStream::from(socket)
        };
        let mut open = [from("2001:db8::1"), from("2001:db8::2")];
        // The gateway closes a third one at once, and waits five seconds for a handshake over the others.
        let mut third = from("2001:db8::2");
        assert!(matches!(third.read(&mut [0]), Ok(0) | Err(_)));
        let mut other = from("2001:db8:0:1::1");
        for stream in open.iter_mut().chain([&mut other]) {
            stream.set_nonblocking(true).unwrap();
            let error = stream.read(&mut [0]).expect_err("it is open");
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
        }
    });
    if let Err(panic) = test.join() {
        resume_unwind(panic);
    }
}

#[test]
fn a_gateway_with_too_much_to_do_says_so_at_once() {
    for (method, bytes) in [("GET", get(DEVICES)), ("POST", code("123456"))] {
        let site = Site::with(&["limits.at_onelogin = 1"], &[]);
        site.onelogin
            .fault(Fault::new(Match::any(), Action::Silence));
        let mut waiting = site.connect();
        waiting.send(&bytes);
        let seen = site
            .onelogin
            .wait_for_request(LONG, method, "/api/2/mfa/users/1001");
        assert!(seen.is_some());
        site.onelogin.clear_requests();
        site.assert_kept(&bytes, 503, "busy");
    }
}

// Limits

#[test]
fn codes_of_a_user_are_limited_over_all_hosts_and_methods() {
    let site = Site::with(&["limits.codes = 4"], &[]);
    let other = site.pki.host("web2.hosts.test", 2, Flaw::None);
    let put = with_body("PUT", &format!("{VERIFICATIONS}/9"), r#"{"otp":"123456"}"#);
    for bytes in [&code("111111"), &put] {
        assert_eq!(site.ask(bytes).word(), "");
        assert_eq!(
            site.gateway
                .connect(Some(&other))
                .unwrap()
                .ask(bytes)
                .word(),
            ""
        );
    }
    site.onelogin.clear_requests();
    for bytes in [&code("111111"), &put] {
        site.assert_kept(bytes, 429, "limit");
        let said = site.gateway.connect(Some(&other)).unwrap().ask(bytes);
        assert_eq!((said.status, said.word()), (429, "limit"));
        assert_eq!(said.header("retry-after"), None);
    }
    // Another user, and a push for the same one.
    assert_eq!(site.ask(code("111111").replace("1001", "1002")).word(), "");
    assert_eq!(
        site.ask(post(VERIFICATIONS, r#"{"device_id":501,"expires_in":120}"#))
            .word(),
        ""
    );
}

#[test]
fn codes_that_onelogin_accepts_do_not_count_for_the_day() {
    for version in [1, 2] {
        let site = Site::with(
            &["limits.refused_codes = 4"],
            &[&format!("onelogin.api_version = {version}")],
        );
        let code = |text: &str| match version {
            1 => post(
                "/api/1/users/1001/otp_devices/501/verify",
                &format!("{{\"otp_token\":\"{text}\"}}"),
            ),
            _ => code(text),
        };
        // The body comes after the head.
        site.onelogin.fault(Fault::new(
            Match::any(),
            Action::Drip {
                bytes: 60,
                every_ms: 2,
            },
        ));
        for _ in 0..4 {
            let said = site.ask(code(&world::fresh_code()));
            assert_eq!((said.status, said.word()), (200, ""), "{said:?}");
        }
        let [other, third] = [2, 3].map(|number| site.another(number));
        for host in [&site.host, &other] {
            for _ in 0..2 {
                assert_eq!(site.ask_as(host, code("000000")).word(), "");
            }
        }
        site.onelogin.clear_requests();
        for host in [&site.host, &other, &third] {
            assert_eq!(
                site.ask_as(host, code(&world::fresh_code())).word(),
                "limit"
            );
        }
        assert_eq!(site.onelogin.requests(), []);
    }
}

#[test]
fn one_host_alone_cannot_use_up_the_limits_of_a_user() {
    let send = post(VERIFICATIONS, r#"{"device_id":501,"expires_in":120}"#);
    let enrol = post(
        "/api/2/mfa/users/1001/registrations",
        r#"{"factor_id":1,"display_name":"A","expires_in":900,"verified":false}"#,
    );
    let enrolling = [
        "enrolling = [\"*.hosts.test\"]",
        "enrolling_users = \"@folder@/enrolling-users\"",
    ];
    for (limit, bytes) in [
        ("limits.codes = 4", code("111111")),
        ("limits.refused_codes = 4", code("111111")),
        ("limits.sends = 4", send),
        ("limits.enrolments = 4", enrol),
    ] {
        let site = Site::with(&[&enrolling[..], &[limit]].concat(), &[]);
        let list = site.gateway.file("enrolling-users").display().to_string();
        site.gateway.admin(&format!("add acl {list} {ID}"));
        let [other, third] = [2, 3].map(|number| site.another(number));
        let words = |host| [(); 4].map(|()| site.ask_as(host, &bytes).word().to_owned());
        // What the first host sends beyond its share does not count for the user.
        for host in [&site.host, &other] {
            assert_eq!(words(host), ["", "", "limit", "limit"], "{limit}");
        }
        assert_eq!(words(&third), ["limit"; 4], "{limit}");
        assert_eq!(site.onelogin.requests().len(), 4, "{limit}");
    }
}

#[test]
fn what_is_sent_to_a_user_is_limited() {
    let site = Site::with(&["limits.sends = 4"], &[]);
    let send = post(VERIFICATIONS, r#"{"device_id":501,"expires_in":120}"#);
    for _ in 0..2 {
        assert_eq!(site.ask(&send).word(), "");
    }
    site.onelogin.clear_requests();
    site.assert_kept(&send, 429, "limit");
    assert_eq!(site.ask(code("111111")).word(), "");
}

#[test]
fn requests_and_look_ups_of_a_host_are_limited() {
    let devices = |user: u64| get(&format!("/api/2/mfa/users/{user}/devices"));
    let poll = get(&format!("{VERIFICATIONS}/9"));
    for (limit, last, further) in [
        ("limits.requests = 3", &poll, None),
        ("limits.look_ups = 3", &devices(1), Some(&poll)),
    ] {
        let site = Site::with(&[limit], &[]);
        for user in 1..=3 {
            assert_eq!(site.ask(devices(user)).word(), "", "{limit}");
        }
        site.onelogin.clear_requests();
        site.assert_kept(last, 429, "limit");
        if let Some(further) = further {
            assert_eq!(site.ask(further).word(), "", "{limit}");
        }
        let other = site.pki.host("web2.hosts.test", 2, Flaw::None);
        let said = site.gateway.connect(Some(&other)).unwrap().ask(last);
        assert_eq!(said.word(), "", "{limit}: another host");
    }
}

#[test]
fn users_that_are_new_to_a_host_are_limited() {
    let site = Site::with(&["limits.users = 2"], &[]);
    let look_ups = |user: u64| {
        [
            get(&format!(
                "/api/2/users?username=user{user}&fields=id%2Cusername%2Cstate%2Cstatus&limit=2"
            )),
            get(&format!("/api/2/mfa/users/{user}/devices")),
        ]
    };
    for bytes in [1, 2, 1].into_iter().flat_map(look_ups) {
        assert_eq!(site.ask(&bytes).word(), "", "{bytes}");
    }
    site.onelogin.clear_requests();
    for bytes in look_ups(3) {
        site.assert_kept(bytes, 429, "limit");
    }
    site.assert_kept(code("111111"), 429, "limit");
    assert_eq!(site.ask(code("111111").replace("1001", "2")).word(), "");
    let other = site.pki.host("web2.hosts.test", 2, Flaw::None);
    for bytes in look_ups(3) {
        let said = site.gateway.connect(Some(&other)).unwrap().ask(bytes);
        assert_eq!(said.word(), "");
    }
}

#[test]
fn enrolments_of_a_user_are_limited() {
    let site = Site::with(&[&MAY_ENROL[..], &["limits.enrolments = 1"]].concat(), &[]);
    let list = site.gateway.file("enrolling-users").display().to_string();
    site.gateway.admin(&format!("add acl {list} {ID}"));
    let enrolling = site.pki.host(ENROLLING, 7, Flaw::None);
    let begin = post(
        "/api/2/mfa/users/1001/registrations",
        r#"{"factor_id":1,"display_name":"A","expires_in":900,"verified":false}"#,
    );
    let words = [0, 1].map(|_| {
        site.gateway
            .connect(Some(&enrolling))
            .unwrap()
            .ask(&begin)
            .word()
            .to_owned()
    });
    assert_eq!(words, ["", "limit"]);
}

#[test]
fn two_gateways_share_their_limits() {
    let onelogin = Simulator::start();
    let pki = Pki::new();
    let [first, second] = ports();
    let peers = format!(
        "[[peers]]\nname = \"a\"\naddress = \"127.0.0.1:{first}\"\n[[peers]]\nname = \"b\"\naddress = \"127.0.0.1:{second}\""
    );
    let token = onelogin.give_token();
    let gateways = ["a", "b"].map(|name| {
        let name = format!("name = {name:?}");
        let gateway = Gateway::before(&onelogin, &pki, &[&name, "limits.codes = 4", &peers], &[]);
        gateway.set_token(&token, now() + 3600);
        gateway
    });
    let hosts =
        [1, 2, 3].map(|number| pki.host(&format!("web{number}.hosts.test"), number, Flaw::None));
    let ask = |gateway: &Gateway, host: usize| {
        let mut connection = gateway.connect(Some(&hosts[host])).unwrap();
        connection.ask(code("111111")).word().to_owned()
    };
    assert_eq!([ask(&gateways[0], 0), ask(&gateways[0], 0)], ["", ""]);
    // The tables arrive when both are connected, for which HAProxy has no event.
    let mut tries = 0..200;
    let has = |table: &str| {
        let table = gateways[1].admin(&format!("show table {table}"));
        table.contains("code/1001")
    };
    while !(has("users") && has("shares")) {
        assert!(
            tries.next().is_some(),
            "{}",
            gateways[1].admin("show peers")
        );
        thread::sleep(Duration::from_millis(100));
    }
    let [mut first, second] = gateways;
    first.stop();
    // The share of the first host, and the limit of the user.
    let words = [0, 1, 1, 1, 2].map(|host| ask(&second, host));
    assert_eq!(words, ["limit", "", "", "limit", "limit"]);
}

#[test]
fn the_port_of_the_peers_is_closed_for_other_addresses() {
    let onelogin = Simulator::start();
    let pki = Pki::new();
    let [first, second] = ports();
    let peers = format!(
        "[[peers]]\nname = \"a\"\naddress = \"127.0.0.1:{first}\"\n[[peers]]\nname = \"b\"\naddress = \"127.0.0.2:{second}\""
    );
    let gateway = Gateway::before(&onelogin, &pki, &["name = \"a\"", &peers], &[]);
    gateway.admin("show info");
    let from = |address: &str| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let address: SocketAddr = format!("{address}:0").parse().unwrap();
        socket.bind(&address.into()).unwrap();
        let to = SocketAddr::from(([127, 0, 0, 1], first));
        socket.connect(&to.into()).unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        TcpStream::from(socket)
    };
    let mut peer = from("127.0.0.2");
    // Closed, before there is anything to read.
    let end = from("127.0.0.3").read(&mut [0]);
    let is_waiting = end
        .as_ref()
        .is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    assert!(!is_waiting && !matches!(end, Ok(1)), "{end:?}");
    peer.set_nonblocking(true).unwrap();
    let error = peer.read(&mut [0]).expect_err("it is open");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

// The token, and OneLogin

#[test]
fn without_a_token_nothing_is_sent() {
    let site = Site::new();
    assert_eq!(site.ask(get(DEVICES)).status, 200);
    site.onelogin.clear_requests();
    for (token, end) in [
        (site.token.as_str(), now() - 1),
        (site.token.as_str(), 0),
        ("", now() + 9),
    ] {
        if token.is_empty() {
            let map = site.gateway.file("token.map").display().to_string();
            site.gateway.admin(&format!("del map {map} token"));
        } else {
            site.gateway.set_token(token, end);
        }
        site.assert_kept(get(DEVICES), 503, "no-token");
        site.assert_kept(code("123456"), 503, "no-token");
    }
    site.gateway.set_token(&site.token, now() + 3600);
    assert_eq!(site.ask(get(DEVICES)).status, 200);
    let map = site.gateway.file("token.map").display().to_string();
    site.gateway.admin(&format!("clear map {map}"));
    site.onelogin.clear_requests();
    site.assert_kept(get(DEVICES), 503, "no-token");
}

#[test]
fn a_gateway_that_reaches_no_onelogin_says_so() {
    let pki = Pki::new();
    let host = pki.host(WEB, 1, Flaw::None);
    let free = ports()[0];
    let wrong = Simulator::start_with(Options {
        certificate: onelogin_simulator::Certificate::UnknownCa,
        ..Options::default()
    });
    for (url, ca) in [
        (format!("https://localhost:{free}"), wrong.ca_pem()),
        (wrong.url(), wrong.ca_pem()),
    ] {
        let gateway = Gateway::start(&url, ca, &pki, &[], &[]);
        gateway.set_token("t", now() + 3600);
        for bytes in [get(DEVICES), code("123456")] {
            let said = gateway.connect(Some(&host)).unwrap().ask(&bytes);
            assert_eq!((said.status, said.word()), (503, "unreached"), "{url}");
        }
    }
    assert_eq!(wrong.requests(), []);
}

#[test]
fn a_code_whose_reply_is_lost_is_sent_once_and_a_look_up_again() {
    let site = Site::new();
    site.onelogin
        .fault(Fault::new(Match::any(), Action::DropBefore));
    for (bytes, times) in [
        (code("123456"), 1),
        (
            post(VERIFICATIONS, r#"{"device_id":501,"expires_in":120}"#),
            1,
        ),
        (get(DEVICES), 2),
    ] {
        site.onelogin.clear_requests();
        let said = site.ask(&bytes);
        assert_eq!((said.status, said.word()), (503, "upstream"), "{bytes}");
        assert_eq!(site.onelogin.requests().len(), times, "{bytes}");
    }
}

#[test]
fn a_onelogin_that_hangs_is_given_up_before_the_module_does() {
    // It accepts connections and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let onelogin = Simulator::start();
    onelogin.fault(Fault::new(Match::any(), Action::Silence));
    let pki = Pki::new();
    let host = pki.host(WEB, 1, Flaw::None);
    let silent = format!(
        "https://localhost:{}",
        listener.local_addr().unwrap().port()
    );
    for (url, word) in [(onelogin.url(), "upstream"), (silent, "unreached")] {
        let lines = ["onelogin.request_timeout = 3"];
        let gateway = Gateway::start(&url, onelogin.ca_pem(), &pki, &[], &lines);
        gateway.set_token("t", now() + 3600);
        let connection = gateway.connect(Some(&host)).unwrap();
        let mut connection = connection.patience(Duration::from_secs(3));
        let said = connection.ask(code("123456"));
        assert_eq!((said.status, said.word()), (503, word), "{url}");
    }
}

#[test]
fn pages_of_the_front_end_are_told_apart() {
    let site = Site::new();
    for status in 502..=504 {
        site.onelogin.clear_faults();
        site.onelogin
            .fault(Fault::new(Match::any(), Action::status(status)));
        let said = site.ask(code("123456"));
        assert_eq!((said.status, said.word()), (status, "upstream"));
    }
    for (page, status, word) in [
        (Page::TooManyRequests, 429, "edge-limit"),
        (Page::RequestTimeout, 504, "upstream"),
    ] {
        site.onelogin.clear_faults();
        site.onelogin
            .fault(Fault::new(Match::any(), Action::Raw(page.bytes())));
        for bytes in [get(DEVICES), code("123456")] {
            let said = site.ask(&bytes);
            assert_eq!((said.status, said.word()), (status, word), "{said:?}");
        }
    }
}

/// A request whose head is so long that only a part of its body fits into the buffer of the gateway.
fn padded(request: &str, pad: usize) -> String {
    request.replacen(
        "\r\n\r\n",
        &format!("\r\nx-pad: {}\r\n\r\n", "p".repeat(pad)),
        1,
    )
}

#[test]
fn a_body_of_which_the_gateway_sees_a_part_reaches_nobody() {
    let site = Site::new();
    let tail = "X".repeat(3000);
    let valid = "{\"device_id\":501,\"expires_in\":120}";
    let read = with_body("GET", DEVICES, &tail);
    let send = post(VERIFICATIONS, &format!("{valid}{tail}"));
    // All heads around the size of the buffer, 16 KiB, less what HAProxy keeps free.
    for pad in (14_900..15_500).step_by(4) {
        for request in [&read, &send] {
            site.ask(padded(request, pad));
        }
    }
    assert_eq!(site.onelogin.requests().len(), 0);
}

#[test]
fn a_zero_byte_in_a_body_is_seen_however_long_the_body_is() {
    let site = Site::new();
    for length in [0, 1, 1000, 1900, 3000, 6000, 10_000, 14_000] {
        let body = format!(
            "{{\"device_id\":501,\"expires_in\":120}}\0{}",
            "A".repeat(length)
        );
        let said = site.ask(post(VERIFICATIONS, &body));
        assert!(said.status >= 400, "{length}: {said:?}");
    }
    assert_eq!(site.onelogin.requests().len(), 0);
}

#[test]
fn what_was_not_sent_is_not_counted() {
    let site = Site::new();
    site.gateway.set_token(&site.token, 1);
    for _ in 0..40 {
        assert_eq!(site.ask(code("111111")).word(), "no-token");
    }
    site.gateway.set_token(&site.token, now() + 3600);
    assert_eq!(site.ask(code("111111")).word(), "");
}

#[test]
fn an_accepted_code_is_known_by_its_status_and_by_nothing_beside_it() {
    let reply = |status: u16, body: &str| {
        format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    for (reply, is_accepted) in [
        (reply(201, "{\"status\":\"accepted\"}"), true),
        (reply(200, "[{\"id\":1,\"status\" : \"accepted\"}]"), true),
        (
            reply(200, "{\"status\":{\"type\":\"success\",\"code\":200}}"),
            true,
        ),
        (
            reply(200, "{\"status\":\"rejected\",\"name\":\"accepted\"}"),
            false,
        ),
        (
            reply(
                200,
                "{\"status\":\"rejected\",\"name\":\"\\\"status\\\":\\\"accepted\\\"\"}",
            ),
            false,
        ),
    ] {
        let site = Site::with(&["limits.refused_codes = 6", "limits.codes = 1000"], &[]);
        let action = Action::Raw(reply.clone().into_bytes());
        site.onelogin.fault(Fault::new(Match::any(), action));
        for _ in 0..3 {
            assert_eq!(site.ask(code("111111")).word(), "", "{reply}");
        }
        let last = site.ask(code("111111"));
        assert_eq!(last.word() == "limit", !is_accepted, "{reply}");
    }
}

#[test]
fn each_code_has_a_connection_of_its_own_to_onelogin() {
    let site = Site::new();
    let mut connection = site.connect();
    for _ in 0..3 {
        assert_eq!(connection.ask(code("111111")).word(), "");
    }
    for _ in 0..3 {
        assert_eq!(connection.ask(get(DEVICES)).status, 200);
    }
    let requests = site.onelogin.requests();
    let connections = |method: &str| {
        let of = requests.iter().filter(|request| request.method == method);
        of.map(|request| request.connection)
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(connections("POST").len(), 3);
    assert_eq!(connections("GET").len(), 1);
    assert!(connections("POST").is_disjoint(&connections("GET")));
}

#[test]
fn a_reply_that_was_not_asked_for_answers_no_code() {
    let site = Site::new();
    let stray = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nstray".to_vec();
    for apart in [true, false] {
        site.onelogin.clear_faults();
        let fault = Action::Also {
            bytes: stray.clone(),
            apart,
        };
        site.onelogin.fault(Fault::new(Match::any(), fault));
        let (mut first, mut second) = (site.connect(), site.connect());
        for _ in 0..10 {
            for connection in [&mut first, &mut second] {
                // Reads share connections: the module compares what they return with what it asked for.
                connection.ask(get(DEVICES));
                let said = connection.ask(code("111111"));
                assert!(!said.body.contains("stray"), "{said:?}");
            }
        }
    }
}

#[test]
fn no_reply_of_onelogin_looks_like_one_of_the_gateway() {
    let site = Site::new();
    let reply = b"HTTP/1.1 401 Unauthorized\r\nx-gateway: no-token\r\nx-request-id: 7\r\nretry-after: 30\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n";
    site.onelogin
        .fault(Fault::new(Match::any(), Action::Raw(reply.to_vec())));
    let said = site.ask(code("123456"));
    assert_eq!((said.status, said.word()), (401, ""));
    assert_eq!(said.header("x-onelogin-id"), Some("7"));
    assert!(said.header("x-request-id").is_some_and(|id| id != "7"));
    assert_eq!(
        (said.header("retry-after"), said.header("set-cookie")),
        (None, None)
    );
}

#[test]
fn a_word_in_an_interim_reply_or_a_trailer_of_onelogin_is_not_the_gateways() {
    let site = Site::new();
    let accepted = site.ask(code(&world::fresh_code())).body;
    assert!(accepted.contains("accepted"), "{accepted}");
    let length = accepted.len();
    let json = "content-type: application/json\r\n";
    let word = "x-gateway: no-token\r\n";
    let last = format!("HTTP/1.1 200 OK\r\n{json}content-length: {length}\r\n\r\n{accepted}");
    for reply in [
        // No request asked for it, so this reply is refused as a whole.
        format!("HTTP/1.1 100 Continue\r\n{word}\r\n{last}"),
        format!("HTTP/1.1 103 Early Hints\r\n{word}\r\n{last}"),
        format!("HTTP/1.1 102 Processing\r\n{word}\r\nHTTP/1.1 103 X\r\n{word}\r\n{last}"),
        format!(
            "HTTP/1.1 200 OK\r\n{json}trailer: x-gateway\r\ntransfer-encoding: chunked\r\n\r\n\
             {length:x}\r\n{accepted}\r\n0\r\n{word}\r\n"
        ),
    ] {
        site.onelogin.clear_faults();
        site.onelogin.clear_requests();
        let fault = Fault::new(
            Match::path("/verifications"),
            Action::Raw(reply.clone().into_bytes()),
        );
        site.onelogin.fault(fault);
        let place = Place::new();
        let config = (site.gateway).config_of_host(&place, &site.host, site.gateway.port());
        place.config(config);
        let case = place.alone("sshd").user(NAME);
        let login = case.ssh_with_key(&world::connection());
        let outcome = login.answer(world::fresh_code()).run();
        // HAProxy passes both on. The word would be in the log, and the code would be sent once more.
        assert!(
            !outcome.log.concat().contains("gateway="),
            "{:?}",
            outcome.log
        );
        let is_refused = reply.contains(" 100 ");
        assert_eq!(
            outcome.code == Code::SUCCESS,
            !is_refused,
            "{:?}",
            outcome.log
        );
        assert_eq!(site.onelogin.count("POST", "/verifications"), 1, "{reply}");
    }
}

// The log

#[test]
fn the_log_has_a_line_for_each_request_and_no_secret() {
    let site = Site::new();
    let fields = "fields=id%2Cusername%2Cstate%2Cstatus";
    let look_up = get(&format!("/api/2/users?username=jane.doe&{fields}&limit=2"));
    site.ask(&look_up);
    site.ask(code("918273"));
    site.ask(get("/api/2/users?username=jane.doe").replace(
        "gateway.test",
        "gateway.test\r\nauthorization: Bearer jane.doe",
    ));
    let mut raw = site.gateway.raw();
    raw.write_all(b"jane.doe\r\n\r\n").unwrap();
    let _ = raw.shutdown(Shutdown::Write);
    let _ = raw.read_to_end(&mut Vec::new());
    site.gateway.admin("show info");
    let log = site.gateway.log();
    let read = |line: &str| -> serde_json::Value {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    };
    let lines: Vec<_> = log.lines().map(read).collect();
    let (lines, others): (Vec<_>, Vec<_>) = lines
        .into_iter()
        .partition(|line| line.get("method").is_some());
    assert_eq!(others.len(), 1, "{others:?}");
    assert_eq!(others[0]["address"], "127.0.0.1");
    let kinds: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                line["host"].as_str().unwrap(),
                line["kind"].as_str().unwrap(),
                line["gateway"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        kinds,
        [
            (WEB, "look-up", "-"),
            (WEB, "code", "-"),
            (WEB, "-", "refused")
        ]
    );
    assert_eq!(lines[0]["serial"], "0A01");
    assert_ne!(lines[1]["onelogin_id"], "-");
    for secret in ["jane.doe", "918273", &site.token] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
    for command in [
        "show stat",
        "show info",
        "show sess all",
        "show table users",
        "show table hosts",
        "show errors",
    ] {
        let said = site.gateway.admin(command);
        assert!(
            !said.contains(&site.token) && !said.contains("918273"),
            "{command}: {said}"
        );
    }
}

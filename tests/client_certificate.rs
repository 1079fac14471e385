//! A host behind a gateway: it shows a client certificate, asks for no token and sends none. The gateway is the real `HAProxy`
//! with a few lines; the whole configuration of a gateway is in tests/gateway.rs. No root.

mod tool;
mod world;

use onelogin_simulator::{
    Authority, Device, Issued, KeyKind, Options, ProtectListing, PushBehaviour, Simulator, Usage,
    User, Wanted,
};
use pam_host::place::set_mode;
use pam_host::{Case, Edge, Outcome, Place};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use world::{
    ID, NAME, TOTP_CODE, assert_accepted, assert_denied_for, assert_logged, connection, sms, totp,
};

/// The name of the host in its certificate.
const HOST: &str = "web1.hosts.test";

/// A key of this kind is made by no crate that the tests have.
const RSA_KEY: &str = include_str!("simulator/rsa-test-key.pem");

/// OneLogin, a gateway and a host.
struct Site {
    onelogin: Simulator,
    authority: Authority,
    gateway: Edge,
    place: Place,
}

impl Site {
    /// A gateway that sends everything on, with its token; these lines come before.
    fn with(lines: &[&str]) -> Self {
        let onelogin = Simulator::start_with(Options {
            plain_http: true,
            ..Options::default()
        });
        onelogin.on_push(PushBehaviour::ApproveAfterPolls(0));
        onelogin.add_user(User::new(ID, NAME));
        let authority = Authority::new("hosts");
        let token = format!(
            "http-request set-header authorization \"Bearer {}\"",
            onelogin.give_token()
        );
        let all: Vec<&str> = [
            // A host has nothing to say here.
            "http-request return status 500 if { req.hdr(authorization) -m found }",
        ]
        .into_iter()
        .chain(lines.iter().copied())
        .chain([token.as_str()])
        .collect();
        let gateway = Edge::knowing_clients(&onelogin, authority.pem(), &all);
        let site = Self {
            onelogin,
            authority,
            gateway,
            place: Place::new(),
        };
        site.onelogin.add_device(ID, totp());
        site.install(&site.authority.issue(Wanted::of(HOST)));
        site.config(&[]);
        site
    }

    fn install(&self, issued: &Issued) {
        self.place.write("etc/host.pem", &issued.cert);
        set_mode(&self.place.write("etc/host.key", &issued.key), 0o600);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// The configuration of the host, with these lines.
    fn config(&self, further: &[&str]) {
        let ca = self.place.write("etc/ca.pem", self.onelogin.ca_pem());
        let mut text = further.join("\n");
        let lines = [
            ("state_dir", self.place.state_path().display().to_string()),
            (
                "onelogin.url",
                format!("https://localhost:{}", self.gateway.port()),
            ),
            ("onelogin.ca_file", ca.display().to_string()),
            (
                "onelogin.client_cert",
                self.path("etc/host.pem").display().to_string(),
            ),
            (
                "onelogin.client_key",
                self.path("etc/host.key").display().to_string(),
            ),
        ];
        for (key, value) in lines {
            let _ = write!(text, "\n{key} = {value:?}");
        }
        self.place.config(text + "\n");
    }

    fn ssh(&self) -> Case {
        let case = self.place.alone("sshd").user(NAME);
        case.ssh_with_key(&connection())
    }

    fn code(&self) -> Outcome {
        self.ssh().answer(world::fresh_code()).run()
    }

    /// How many entries of a kind the host keeps, such as `f-` of refused codes.
    fn kept(&self, kind: &str) -> usize {
        let folders = fs::read_dir(self.place.state_path()).unwrap().flatten();
        let users = folders.filter(|entry| entry.file_name().to_string_lossy().starts_with("u-"));
        users
            .flat_map(|user| fs::read_dir(user.path()).unwrap().flatten())
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(kind))
            .count()
    }
}

/// A line by which the gateway answers this by itself.
fn answers(status: u16, word: &str, condition: &str) -> String {
    format!(
        "http-request return status {status} hdr x-gateway {word} content-type application/json string '{{}}' if {{ {condition} }}"
    )
}

#[test]
fn r11_behind_a_gateway_a_host_asks_for_no_token_and_sends_none() {
    for version in ["onelogin.api_version = 2", "onelogin.api_version = 1"] {
        let site = Site::with(&[]);
        site.onelogin.set_protect_listing(ProtectListing::Twice);
        site.config(&[version]);
        let only = |device| {
            site.onelogin.change_devices(ID, Vec::clear);
            site.onelogin.add_device(ID, device);
            let _ = fs::remove_dir_all(site.place.state_path());
        };
        // Cold, then warm.
        assert_accepted(&site.code());
        assert_accepted(&site.code());
        only(Device::protect("601", "Phone"));
        assert_accepted(&site.ssh().answers(["", ""]).run());
        only(sms());
        site.onelogin.set_next_code("135790");
        assert_accepted(&site.ssh().answers(["", "135790"]).run());
        assert_eq!(site.onelogin.count("POST", "/auth/"), 0);
        // The gateway answers 500 to a request with an Authorization header, so none came with one.
        assert!(site.onelogin.requests().len() > 8);
        let state = fs::read_dir(site.place.state_path()).unwrap().flatten();
        let mut names = state.map(|entry| entry.file_name().to_string_lossy().into_owned());
        assert!(!names.any(|name| name.starts_with("token-")));
    }
}

#[test]
fn each_kind_of_key_logs_in() {
    let site = Site::with(&[]);
    for key in [
        KeyKind::P256,
        KeyKind::P384,
        KeyKind::Ed25519,
        KeyKind::Given(RSA_KEY),
    ] {
        let issued = site.authority.issue(Wanted {
            key,
            ..Wanted::of(HOST)
        });
        site.install(&issued);
        assert_accepted(&site.code());
    }
}

#[test]
fn certificate_and_key_may_be_one_file() {
    let site = Site::with(&[]);
    let issued = site.authority.issue(Wanted::of(HOST));
    let both = site.place.write("etc/both.pem", issued.key + &issued.cert);
    let with = |mode| {
        set_mode(&both, mode);
        let name = both.display();
        let text = fs::read_to_string(site.place.config_path()).unwrap();
        let text = text.replace(
            &site.path("etc/host.pem").display().to_string(),
            &name.to_string(),
        );
        let text = text.replace(
            &site.path("etc/host.key").display().to_string(),
            &name.to_string(),
        );
        site.place.config(text);
        site.code()
    };
    assert_accepted(&with(0o600));
    // It holds the key, so no other user may read it.
    let outcome = with(0o644);
    assert_denied_for(&outcome, "both", "tls");
    assert_logged(&outcome, "both.pem");
}

#[test]
fn r04_a_certificate_or_key_that_cannot_be_used_denies_and_names_its_file() {
    let site = Site::with(&[]);
    let issued = site.authority.issue(Wanted::of(HOST));
    let other = site.authority.issue(Wanted::of(HOST));
    let (cert, key) = (issued.cert.as_str(), issued.key.as_str());
    let locked =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (cert, key, mode, file, why) in [
        ("", key, 0o600, "host.pem", "contains no certificate"),
        (key, key, 0o600, "host.pem", "contains no certificate"),
        (cert, "", 0o600, "host.key", "contains no private key"),
        (cert, cert, 0o600, "host.key", "contains no private key"),
        (cert, locked, 0o600, "host.key", "without a passphrase"),
        (
            cert,
            &other.key,
            0o600,
            "host.key",
            "is not the key of the certificate",
        ),
        (cert, key, 0o640, "host.key", "chmod"),
    ] {
        site.place.write("etc/host.pem", cert);
        set_mode(&site.place.write("etc/host.key", key), mode);
        let outcome = site.code();
        assert_denied_for(&outcome, why, "tls");
        assert_logged(&outcome, file);
        assert_logged(&outcome, why);
    }
    fs::remove_file(site.path("etc/host.key")).unwrap();
    let outcome = site.code();
    assert_denied_for(&outcome, "no key", "tls");
    assert_logged(&outcome, "host.key");
    assert_eq!(site.onelogin.requests().len(), 0);
}

#[test]
fn a_certificate_that_the_gateway_does_not_know_lets_nobody_in() {
    let site = Site::with(&[]);
    let stranger = Authority::new("hosts");
    for issued in [
        stranger.issue(Wanted::of(HOST)),
        site.authority.issue(Wanted {
            hours: -1,
            ..Wanted::of(HOST)
        }),
        site.authority.issue(Wanted {
            usage: Usage::Server,
            ..Wanted::of(HOST)
        }),
    ] {
        site.install(&issued);
        assert_denied_for(&site.code(), "a stranger", "tls");
    }
    assert_eq!(site.onelogin.requests().len(), 0);
    // What is installed counts at the next login.
    site.install(&site.authority.issue(Wanted::of(HOST)));
    assert_accepted(&site.code());
}

#[test]
fn a_certificate_that_ends_within_14_days_is_named_in_the_log() {
    let site = Site::with(&[]);
    let days = |hours| {
        let issued = site.authority.issue(Wanted {
            hours,
            ..Wanted::of(HOST)
        });
        site.install(&issued);
        let outcome = site.code();
        let mut lines = outcome.log.into_iter();
        lines.find(|line| line.contains("renew it: client_cert="))
    };
    assert_eq!(days(14 * 24 + 1), None);
    let line = days(14 * 24 - 1).unwrap();
    assert!(line.contains("ends in 13 days"), "{line}");
    assert!(line.contains("host.pem"), "{line}");
    let line = days(1).unwrap();
    assert!(line.contains("ends in 0 days"), "{line}");
    let line = days(-1).unwrap();
    assert!(line.contains("the client certificate has ended"), "{line}");
}

#[test]
fn what_a_gateway_answers_to_a_code_is_counted_as_onelogin_has_seen_it() {
    for (status, word, why, kept) in [
        (403, "refused", "gateway-refused", 0),
        (403, "revoked", "gateway-refused", 0),
        (429, "limit", "rate-limited", 0),
        (429, "edge-limit", "rate-limited", 0),
        (503, "busy", "gateway", 1),
        (503, "no-token", "gateway", 0),
        (503, "unreached", "gateway", 0),
        (504, "upstream", "gateway", 1),
        // No acceptance comes from a gateway, whatever it says.
        (200, "accepted", "bad-reply", 1),
        (200, "refused", "gateway-refused", 0),
    ] {
        let line = answers(status, word, "method POST");
        let line = line.replace(
            "'{}'",
            "'{\"status\":\"accepted\",\"user_id\":1001,\"device_id\":501}'",
        );
        let site = Site::with(&[&line]);
        let outcome = site.code();
        assert_denied_for(&outcome, word, why);
        assert_eq!(site.kept("f-"), kept, "{word}: {:?}", outcome.log);
        assert_eq!(site.onelogin.codes(), 0);
        if word != "accepted" {
            assert_logged(&outcome, &format!("gateway={word}"));
        }
    }
}

#[test]
fn r16_what_a_gateway_could_not_send_on_is_sent_once_more_and_no_third_time() {
    let with = |line: &str| {
        Site::with(&[
            "http-request set-var(proc.n) int(0) unless { var(proc.n) -m found }",
            "http-request set-var(proc.n) var(proc.n),add(1) if { method POST }",
            line,
        ])
    };
    for word in ["no-token", "unreached"] {
        let line = answers(503, word, "method POST } { var(proc.n) -m int 1");
        let site = with(&line);
        assert_accepted(&site.code());
        assert_eq!(site.onelogin.codes(), 1);

        // The first two codes get no further.
        let line = answers(503, word, "method POST } { var(proc.n) -m int le 2");
        let site = with(&line);
        assert_denied_for(&site.code(), word, "gateway");
        assert_eq!((site.onelogin.codes(), site.kept("f-")), (0, 0));
        assert_accepted(&site.code());
    }
    // OneLogin may have seen what it did not answer.
    let line = answers(504, "upstream", "method POST } { var(proc.n) -m int 1");
    let site = with(&line);
    assert_denied_for(&site.code(), "upstream", "gateway");
    assert_eq!(site.onelogin.codes(), 0);
}

#[test]
fn the_header_of_a_gateway_means_nothing_without_a_client_certificate() {
    let onelogin = Simulator::start_with(Options {
        plain_http: true,
        ..Options::default()
    });
    onelogin.add_user(User::new(ID, NAME));
    onelogin.add_device(ID, totp());
    let edge = Edge::before(&onelogin, &["http-response set-header x-gateway refused"]);
    let place = Place::new();
    let url = format!("onelogin.url = \"https://localhost:{}\"", edge.port());
    place.config_for(&onelogin, &[&url]);
    let case = place.alone("sshd").user(NAME).ssh_with_key(&connection());
    assert_accepted(&case.answer(TOTP_CODE).run());
}

#[test]
fn a_token_of_the_gateway_that_has_ended_denies_and_is_no_wrong_code() {
    let site = Site::with(&[]);
    assert_accepted(&site.code());
    site.onelogin.revoke_tokens();
    let outcome = site.code();
    assert_denied_for(&outcome, "a dead token", "credential");
    assert_logged(&outcome, "the token of the gateway was no longer valid");
    assert_eq!(site.kept("f-"), 0);
    assert_eq!(site.onelogin.count("POST", "/auth/"), 0);
}

/// The one finding of an id that `check --json` prints, as severity and sentence.
fn checked(site: &Site, id: &str) -> (String, String) {
    let ran = tool::run(tool::at(&site.place, &["check", "--json", NAME]), &[]);
    let findings = ran.json()["findings"].as_array().unwrap().clone();
    let found: Vec<_> = findings.iter().filter(|found| found["id"] == id).collect();
    assert_eq!(found.len(), 1, "{id}: {}", ran.out);
    let part = |part: &str| found[0][part].as_str().unwrap().to_owned();
    (part("severity"), part("what"))
}

/// A line by which the gateway refuses what is not on its list.
const LIST: &str =
    "http-request return status 403 hdr x-gateway refused if { path_beg /api/2/apps /auth }";

#[test]
fn check_looks_at_the_client_certificate_and_asks_nothing_that_a_gateway_refuses() {
    let site = Site::with(&[LIST]);
    let good = "good".to_owned();
    let (severity, what) = checked(&site, "client-certificate");
    assert_eq!(severity, good);
    assert!(
        what.starts_with("the client certificate is valid until 20"),
        "{what}"
    );
    let (severity, what) = checked(&site, "gateway");
    let ca = site.path("etc/ca.pem");
    let sentence = format!(
        "the gateway localhost, known by the CA in {}, refuses a call that no login makes",
        ca.display()
    );
    assert_eq!((severity, what), (good, sentence));
    assert_eq!(site.onelogin.count("GET", "/auth/"), 0);
    assert_eq!(site.onelogin.count("POST", ""), 0);
    assert_eq!(site.onelogin.count("GET", "/api/2/apps"), 0);

    for (hours, severity, part) in [(24, "warning", "ends on "), (-1, "fault", "ended on ")] {
        site.install(&site.authority.issue(Wanted {
            hours,
            ..Wanted::of(HOST)
        }));
        let (found, what) = checked(&site, "client-certificate");
        assert_eq!(
            (found.as_str(), what.contains(part)),
            (severity, true),
            "{what}"
        );
    }
    let other = site.authority.issue(Wanted::of(HOST));
    set_mode(&site.place.write("etc/host.key", other.key), 0o600);
    let (severity, what) = checked(&site, "client-certificate");
    assert_eq!(severity, "fault");
    assert!(what.contains("is not the key of the certificate"), "{what}");
    let (_, what) = checked(&site, "not-asked");
    assert!(what.contains("client certificate"), "{what}");
}

#[test]
fn check_names_a_gateway_that_sends_on_what_no_login_asks() {
    let site = Site::with(&[]);
    let (severity, what) = checked(&site, "gateway");
    assert_eq!(severity, "fault");
    assert!(what.contains("GET /api/2/apps"), "{what}");
}

#[test]
fn check_refuses_one_ca_for_gateways_and_hosts() {
    let site = Site::with(&[LIST]);
    let findings = |site: &Site| {
        let ran = tool::run(tool::at(&site.place, &["check", "--json"]), &[]);
        let found = ran.json()["findings"].as_array().unwrap().clone();
        found.iter().filter(|found| found["id"] == "one-ca").count()
    };
    assert_eq!(findings(&site), 0);
    site.place.write(
        "etc/ca.pem",
        site.onelogin.ca_pem().to_owned() + site.authority.pem(),
    );
    assert_eq!(findings(&site), 1);
}

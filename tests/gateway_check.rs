//! `pam-onelogin gateway check`: each finding, once right and once wrong, beside the real `HAProxy`. No root.

mod tool;
mod world;

use onelogin_simulator::{Authority, Options, Simulator, Usage, User, Wanted};
use pam_host::gateway::ports;
use pam_host::place::{binary, set_mode};
use pam_host::{Edge, Flaw, Gateway, Identity, Pki};
use serde_json::Value;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tool::{Ran, has, run, tool};
use world::{ID, NAME};

/// A host that may use the gateway.
const WEB: &str = "web1.hosts.test";

/// The names of files in the folder of a gateway.
const SETTINGS: &str = "gateway.toml";
const CERTIFICATE: &str = "gateway.pem";

/// A user without rights of root.
const NOBODY: u32 = 65534;

/// A gateway with all that it needs, and the certificate of a host.
struct Site {
    onelogin: Simulator,
    pki: Pki,
    gateway: Gateway,
    host: Identity,
    token: String,
}

/// One finding.
#[derive(Debug)]
struct Found {
    severity: String,
    what: String,
    path: String,
    line: Option<u64>,
    advice: String,
}

impl Site {
    fn new() -> Self {
        Self::with(&[], &[])
    }

    /// With these lines of the settings and of the configuration of hosts.
    fn with(settings: &[&str], host_config: &[&str]) -> Self {
        let onelogin = Simulator::start();
        onelogin.add_user(User::new(ID, NAME));
        let pki = Pki::new();
        let secret = "onelogin.client_secret_file = \"@folder@/client_secret\"";
        let settings = [&[secret], settings].concat();
        let gateway = Gateway::before(&onelogin, &pki, &settings, host_config);
        let token = onelogin.give_token();
        gateway.set_token(&token, now() + 3600);
        onelogin.clear_requests();
        let host = pki.host(WEB, 0x0A01, Flaw::None);
        let site = Self {
            onelogin,
            pki,
            gateway,
            host,
            token,
        };
        site.write("client_secret", "s");
        site
    }

    fn path(&self, name: &str) -> String {
        self.gateway.file(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.gateway.file(name);
        fs::write(&path, text).unwrap();
        set_mode(&path, 0o600);
        path
    }

    /// Replaces text in a file.
    fn change(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.gateway.file(name)).unwrap();
        assert!(text.contains(from), "{text}");
        self.write(name, &text.replace(from, to));
    }

    /// Installs another certificate of the gateway, which `HAProxy` does not read again.
    fn install(&self, authority: &Authority, wanted: Wanted<'_>) {
        let issued = authority.issue(wanted);
        self.write(CERTIFICATE, &(issued.cert + &issued.key));
    }

    fn check_with(&self, further: &[&str]) -> Ran {
        let (settings, config) = (self.path(SETTINGS), self.path("printed.cfg"));
        let words = [
            "gateway",
            "check",
            "--settings",
            &settings,
            "--haproxy-cfg",
            &config,
        ];
        run(tool(&[&words, further].concat()), &[])
    }

    /// Sends requests with the certificate of this host, too.
    fn check_as(&self, host: &Identity) -> Ran {
        let cert = self.write("host.pem", &host.certificate);
        let key = self.write("host.key", &host.key);
        let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
        self.check_with(&["--json", "--client-cert", cert, "--client-key", key])
    }

    fn check(&self) -> Ran {
        self.check_with(&["--json"])
    }

    /// The findings of an id that are a fault or a warning.
    fn bad(&self, id: &str) -> Vec<Found> {
        let mut findings = found(&self.check(), id);
        findings.retain(|found| found.severity == "fault" || found.severity == "warning");
        findings
    }

    /// The only finding of an id that is a fault or a warning: its severity, and a part of its sentence.
    #[track_caller]
    fn assert_bad(&self, id: &str, severity: &str, part: &str) -> Found {
        let mut bad = self.bad(id);
        assert_eq!(bad.len(), 1, "{id}, {part}: {bad:#?}");
        let found = bad.pop().unwrap();
        assert_eq!(found.severity, severity, "{found:#?}");
        has(&found.what, part);
        found
    }

    /// A look-up with the certificate of this host does not come through, and its sentence has this part.
    #[track_caller]
    fn assert_look_up(&self, host: &Identity, part: &str) {
        let found = found(&self.check_as(host), "look-up");
        assert_eq!(
            (found.len(), &*found[0].severity),
            (1, "fault"),
            "{found:#?}"
        );
        has(&found[0].what, part);
    }

    #[track_caller]
    fn assert_good(&self, id: &str) {
        let findings = found(&self.check(), id);
        let is_good = findings.iter().all(|found| found.severity == "good");
        assert!(is_good && !findings.is_empty(), "{id}: {findings:#?}");
    }
}

/// The findings of an id.
fn found(ran: &Ran, id: &str) -> Vec<Found> {
    let document = ran.json();
    let findings = document["findings"].as_array().unwrap().iter();
    let findings = findings.filter(|found| found["id"] == id);
    let text = |found: &Value, key: &str| found[key].as_str().unwrap_or_default().to_owned();
    findings
        .map(|found| Found {
            severity: text(found, "severity"),
            what: text(found, "what"),
            path: text(found, "path"),
            line: found["line"].as_u64(),
            advice: text(found, "advice"),
        })
        .collect()
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs()
}

#[test]
fn a_gateway_that_is_right_has_neither_fault_nor_warning() {
    let site = Site::new();
    let ran = site.check_as(&site.host);
    let document = ran.json();
    let bad = document["findings"].as_array().unwrap().iter();
    let bad: Vec<_> = bad.filter(|found| found["severity"] != "good").collect();
    assert_eq!((ran.code, bad), (0, Vec::<&Value>::new()));
    tool::assert_documented("gateway check", &document);
    for id in [
        "gateway-settings",
        "ca-ends",
        "client-secret",
        "gateway-certificate",
        "revoked",
        "gateway-config",
        "haproxy",
        "token",
        "shown-certificate",
        "look-up",
        "gateway",
    ] {
        assert!(!found(&ran, id).is_empty(), "{id}");
    }
    assert!(!ran.out.contains(&site.token));
    // The look-up is all that OneLogin got.
    let asked = site.onelogin.requests();
    let asked: Vec<_> = asked
        .iter()
        .map(|asked| (&*asked.method, &*asked.path))
        .collect();
    assert_eq!(asked, [("GET", "/api/2/users")]);
    let ran = site.check_with(&[]);
    assert_eq!(
        ran.out,
        "No faults. Next, on a host: sudo pam-onelogin check\n"
    );
}

#[test]
fn a_look_up_comes_through_in_each_configuration_of_hosts() {
    for line in [
        "onelogin.api_version = 1",
        "users.match = \"email\"\nusers.append_domain = \"example.com\"",
        "users.match = \"userprincipalname\"\nusers.append_domain = \"example.com\"",
        "users.match = \"custom_attributes.unix_name\"",
        "users.match = \"map\"\nusers.map_file = \"/map\"",
        "users.match = \"map\"\nusers.map_file = \"/map\"\nonelogin.api_version = 1",
    ] {
        let site = Site::with(&[], &[line]);
        let ran = site.check_as(&site.host);
        let found = found(&ran, "look-up");
        assert_eq!(found[0].severity, "good", "{line}: {found:#?}");
        assert_eq!(site.onelogin.requests().len(), 1, "{line}");
    }
}

#[test]
fn faults_of_the_settings_have_their_file_and_line() {
    let site = Site::new();
    site.assert_good("gateway-settings");
    site.change(
        SETTINGS,
        "hosts = [\"*.hosts.test\"]",
        "hosts = [\"*.hosts.test\", \"a..b\"]",
    );
    let found = site.assert_bad("gateway-settings", "fault", "\"a..b\" is not a host name");
    assert_eq!((found.path, found.line), (site.path(SETTINGS), Some(2)));
    let ran = site.check_with(&[]);
    has(
        &ran.out,
        &format!("1 fault. Next: sudoedit {}", site.path(SETTINGS)),
    );
    assert_eq!(ran.code, 1);

    let site = Site::new();
    let id = "onelogin.client_id";
    site.change("config.toml", id, &format!("api_version = 2\n{id}"));
    let found = site.assert_bad("gateway-settings", "fault", "api_version");
    assert_eq!(
        (found.path, found.line),
        (site.path("config.toml"), Some(2))
    );

    let site = Site::new();
    set_mode(&site.gateway.file(SETTINGS), 0o666);
    let found = site.assert_bad("gateway-settings", "fault", "0666");
    assert_eq!(found.path, site.path(SETTINGS));
    fs::remove_file(site.gateway.file(SETTINGS)).unwrap();
    site.assert_bad("gateway-settings", "fault", "does not exist");
}

#[test]
fn a_user_who_may_not_read_the_settings_is_told_to_use_sudo() {
    let folder = tempfile::tempdir().unwrap();
    set_mode(folder.path(), 0o755);
    let settings = folder.path().join(SETTINGS);
    fs::write(&settings, "").unwrap();
    let copy = folder.path().join("tool");
    // Another process writes it: a child that another test starts at this moment would keep it open.
    let mut cp = Command::new("cp");
    cp.arg(binary("pam-onelogin")).arg(&copy);
    assert!(cp.status().unwrap().success());
    let mut command = Command::new(&copy);
    command.env_clear().args(["gateway", "check", "--settings"]);
    command.arg(&settings);
    if nix::unistd::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
        set_mode(&settings, 0o600);
    } else {
        set_mode(&settings, 0o000);
    }
    let ran = run(command, &[]);
    has(&ran.out, "only root may read this file");
    let settings = settings.display();
    let last = format!("1 fault. Next: sudo pam-onelogin gateway check --settings {settings}\n");
    assert!(ran.out.ends_with(&last), "{}", ran.out);
}

#[test]
fn files_that_other_users_can_change_or_secrets_that_they_can_read_are_faults() {
    let site = Site::new();
    assert_eq!(site.bad("gateway-file").len(), 0);
    for (name, mode) in [
        ("hosts-ca.pem", 0o666),
        ("gateways-ca.pem", 0o666),
        ("onelogin-ca.pem", 0o666),
        ("revoked", 0o666),
        (CERTIFICATE, 0o644),
    ] {
        set_mode(&site.gateway.file(name), mode);
        let found = site.assert_bad("gateway-file", "fault", &format!("{mode:04o}"));
        assert_eq!(found.path, site.path(name));
        set_mode(&site.gateway.file(name), 0o600);
    }
    site.write("hosts-ca.pem", "no certificate");
    site.assert_bad("gateway-file", "fault", "contains no certificate");

    let site = Site::new();
    set_mode(&site.gateway.file("client_secret"), 0o640);
    site.assert_bad("client-secret", "fault", "mode 0640");
    fs::remove_file(site.gateway.file("client_secret")).unwrap();
    site.assert_bad("client-secret", "fault", "cannot be looked at");
    assert_eq!(site.bad("token-map").len(), 0);
    set_mode(&site.gateway.file("token.map"), 0o644);
    site.assert_bad("token-map", "fault", "mode 0644");
}

#[test]
fn a_ca_that_ends_soon_or_has_ended_is_named() {
    let site = Site::new();
    site.assert_good("ca-ends");
    for (hours, severity, part) in [(24, "warning", "ends on 20"), (-1, "fault", "ended on 20")] {
        for (name, of) in [("hosts-ca.pem", "hosts"), ("gateways-ca.pem", "gateways")] {
            let good = fs::read_to_string(site.gateway.file(name)).unwrap();
            let issued = Authority::new("x").issue(Wanted {
                hours,
                ..Wanted::of("x")
            });
            site.write(name, &(good.clone() + &issued.cert));
            let found = site.assert_bad("ca-ends", severity, part);
            has(&found.what, &format!("the CA of the {of}"));
            site.write(name, &good);
        }
    }
}

#[test]
fn a_certificate_by_way_of_a_link_is_judged_as_the_file_that_haproxy_reads() {
    let site = Site::new();
    fs::rename(site.gateway.file(CERTIFICATE), site.gateway.file("2.pem")).unwrap();
    std::os::unix::fs::symlink("2.pem", site.gateway.file(CERTIFICATE)).unwrap();
    site.assert_good("gateway-certificate");
    set_mode(&site.gateway.file("2.pem"), 0o644);
    site.assert_bad("gateway-file", "fault", "0644");
}

#[test]
fn the_certificate_of_the_gateway_must_be_right() {
    let id = "gateway-certificate";
    let site = Site::new();
    let good = Wanted {
        usage: Usage::Both,
        ..Wanted::of("localhost")
    };
    let gateways = &site.pki.gateways;
    for (hours, severity, part) in [
        (
            14 * 24 - 1,
            "warning",
            "the certificate of this gateway ends on 20",
        ),
        (-1, "fault", "the certificate of this gateway ended on 20"),
    ] {
        site.install(gateways, Wanted { hours, ..good });
        site.assert_bad(id, severity, part);
    }
    let hours = 14 * 24 + 1;
    site.install(gateways, Wanted { hours, ..good });
    site.assert_good(id);
    site.install(
        gateways,
        Wanted {
            host: "other.test",
            ..good
        },
    );
    let found = site.assert_bad(id, "fault", "is not for localhost");
    has(&found.advice, "subjectAltName=DNS:localhost");
    site.install(&Authority::new("other"), good);
    site.assert_bad(id, "fault", "hosts cannot trust");
    site.install(
        gateways,
        Wanted {
            usage: Usage::Client,
            ..good
        },
    );
    site.assert_bad(id, "fault", "hosts cannot trust");
    let [one, other] = [0, 1].map(|_| gateways.issue(good));
    site.write(CERTIFICATE, &(one.cert.clone() + &other.key));
    site.assert_bad(id, "fault", "is not the key of the certificate");
    site.write(CERTIFICATE, &one.cert);
    site.assert_bad(id, "fault", "contains no private key");
    // Without the CA, the last certificate of the chain must have signed the others.
    site.change(SETTINGS, "gateways_ca", "# gateways_ca");
    let chain = |ca: &Authority| site.write(CERTIFICATE, &(one.cert.clone() + ca.pem() + &one.key));
    chain(gateways);
    site.assert_good(id);
    chain(&site.pki.hosts);
    site.assert_bad(id, "fault", "hosts cannot trust");
}

#[test]
fn without_the_url_of_the_gateway_its_name_is_not_compared() {
    let site = Site::new();
    let url = site.onelogin.url();
    site.change("config.toml", "https://localhost", "https://gateway.test");
    site.assert_bad("gateway-certificate", "fault", "is not for gateway.test");
    site.change("config.toml", "https://gateway.test", &url);
    assert_eq!(site.bad("gateway-certificate").len(), 0);
}

#[test]
fn one_ca_for_gateways_and_hosts_is_a_fault() {
    let id = "one-ca";
    let site = Site::new();
    assert_eq!(site.bad(id).len(), 0);
    // Whatever the certificate is for, and after its end.
    for usage in [Usage::Both, Usage::Server, Usage::Client] {
        for hours in [24, -1] {
            let wanted = Wanted {
                usage,
                hours,
                ..Wanted::of("localhost")
            };
            site.install(&site.pki.hosts, wanted);
            site.assert_bad(id, "fault", "the CA of the hosts");
        }
    }
    let site = Site::new();
    let both = site.pki.hosts.pem().to_owned() + site.pki.gateways.pem();
    site.write("gateways-ca.pem", &both);
    site.assert_bad(id, "fault", "the CA of the hosts");
    // A certificate that is a CA itself.
    let site = Site::new();
    site.write(CERTIFICATE, site.pki.hosts.pem());
    site.assert_bad(id, "fault", "the CA of the hosts");
}

#[test]
fn a_serial_number_that_haproxy_never_matches_is_a_fault() {
    // The serial number, its line, and what to write instead.
    let lines = [
        (0x0A01, "0A01", ""),
        (0x0A02, "0a02", ""),
        (0x0A03, "\t 0A03", ""),
        (0x0A04, "0A04\r", ""),
        (0xFF05, "FF05", ""),
        (0x0A11, "A11", "0A11"),
        (0x0A12, "0A12 ", "0A12"),
        (0x0A13, "0A:13", "0A13"),
        (0x0A14, "0x0A14", "0A14"),
        (0x0A15, "000A15", "0A15"),
        (0x0A16, "serial=0A16", "0A16"),
        (0x0A17, "0A17 # web1", "0A17"),
        (0xFF18, "00FF18", "FF18"),
    ];
    let mut site = Site::new();
    let text: Vec<&str> = lines.iter().map(|(_, line, _)| *line).collect();
    let file = site.write("revoked", &format!("# Revoked\n\n{}\n", text.join("\n")));
    site.gateway.restart();
    let bad = site.bad("revoked");
    let settings = site.path(SETTINGS);
    let printed = run(tool(&["gateway", "config", "--settings", &settings]), &[]);
    assert_eq!((printed.code, printed.out.as_str()), (1, ""));
    for (number, (serial, line, instead)) in (3..).zip(lines) {
        let host = site.pki.host(WEB, serial, Flaw::None);
        let mut connection = site.gateway.connect(Some(&host)).unwrap();
        let request = "GET /api/2/mfa/users/1001/devices HTTP/1.1\r\nhost: x\r\n\r\n";
        let is_revoked = connection.ask(request).word() == "revoked";
        assert_eq!(is_revoked, instead.is_empty(), "{line:?}");
        let found = bad.iter().find(|found| found.line == Some(number));
        assert_eq!(found.is_none(), is_revoked, "{line:?}: {found:?}");
        if let Some(found) = found {
            assert_eq!(found.path, file.to_str().unwrap());
            has(&found.advice, &format!("\"{instead}\""));
            let fault = format!(
                "{}:{number}: \"{line}\" is not a serial number",
                file.display()
            );
            has(&printed.err, &fault);
        }
    }
    assert_eq!(
        printed.err.matches("never matches").count(),
        8,
        "{}",
        printed.err
    );
    assert_eq!(
        bad.iter().filter(|found| found.severity == "fault").count(),
        8,
        "{bad:#?}"
    );
}

#[test]
fn the_running_haproxy_must_know_what_the_list_of_revoked_certificates_says() {
    let id = "revoked";
    let site = Site::new();
    site.assert_good(id);
    site.write("revoked", "0A01\n");
    let found = site.assert_bad(id, "fault", "HAProxy does not know that 0A01 is revoked");
    has(
        &found.advice,
        &format!("add acl {} 0A01", site.path("revoked")),
    );
    site.gateway.revoke(&site.host);
    site.assert_good(id);
    site.write("revoked", "");
    let found = site.assert_bad(id, "warning", "the list does not have it");
    has(
        &found.advice,
        &format!("echo 0A01 >> {}", site.path("revoked")),
    );
    fs::remove_file(site.gateway.file("revoked")).unwrap();
    let what: Vec<_> = site.bad(id).into_iter().map(|found| found.what).collect();
    has(
        &what.concat(),
        "the list of revoked certificates does not exist",
    );
}

#[test]
fn a_line_that_is_not_the_id_of_a_user_lets_no_host_enrol() {
    let id = "enrolling-users";
    let site = Site::with(
        &[
            "enrolling = [\"enrol1.hosts.test\"]",
            "enrolling_users = \"@folder@/enrolling-users\"",
        ],
        &[],
    );
    site.write("enrolling-users", "# Users\n1001\n");
    site.assert_good(id);
    for line in ["alice", "01001", "1001 ", "1001,1002"] {
        site.write("enrolling-users", &format!("# Users\n1001\n{line}\n"));
        let found = site.assert_bad(id, "fault", "is not the id of a user");
        assert_eq!(
            (found.path, found.line),
            (site.path("enrolling-users"), Some(3))
        );
    }
}

#[test]
fn a_configuration_of_haproxy_that_differs_is_a_warning_with_the_command() {
    let id = "gateway-config";
    let site = Site::new();
    site.assert_good(id);
    site.change(SETTINGS, "hosts = [", "limits.codes = 7\nhosts = [");
    let found = site.assert_bad(id, "warning", "differs");
    assert_eq!(found.path, site.path("printed.cfg"));
    let text = fs::read_to_string(site.gateway.file("printed.cfg")).unwrap();
    let line = text
        .lines()
        .nth(usize::try_from(found.line.unwrap()).unwrap() - 1);
    has(line.unwrap(), "gt 15 }");
    let command = format!(
        "pam-onelogin gateway config --settings {} > {}",
        site.path(SETTINGS),
        site.path("printed.cfg")
    );
    has(&found.advice, &command);
    // A file with less, and one with more.
    let site = Site::new();
    for text in [
        text.lines().next().unwrap().to_owned() + "\n",
        text.clone() + "# more\n",
    ] {
        site.write("printed.cfg", &text);
        site.assert_bad(id, "warning", "differs");
    }
    fs::remove_file(site.gateway.file("printed.cfg")).unwrap();
    assert_eq!(site.bad(id).len(), 0);
    // HAProxy itself judges what it would read at its next start.
    let site = Site::new();
    fs::remove_file(site.gateway.file("token.map")).unwrap();
    let found = site.assert_bad(id, "fault", "HAProxy does not accept");
    has(&found.what, "token.map");
    has(&found.what, "haproxy.cfg:");
}

#[test]
fn a_haproxy_that_does_not_run_or_has_no_valid_token_is_a_fault() {
    let mut site = Site::new();
    site.assert_good("haproxy");
    site.assert_good("token");
    site.gateway.set_token(&site.token, now() - 10);
    site.assert_bad("token", "fault", "the token of HAProxy ended at 20");
    let map = site.path("token.map");
    site.gateway.admin(&format!("clear map {map}"));
    let found = site.assert_bad("token", "fault", "HAProxy has no token");
    has(
        &found.advice,
        "systemctl restart pam-onelogin-gateway-token",
    );
    site.change(SETTINGS, "token.map", "other.map");
    site.assert_bad("token", "fault", "HAProxy has no such map");
    site.gateway.stop();
    site.assert_bad("haproxy", "fault", "HAProxy does not answer");
}

#[test]
fn a_renewed_certificate_that_haproxy_has_not_read_is_a_warning() {
    let site = Site::new();
    site.assert_good("shown-certificate");
    let wanted = Wanted {
        usage: Usage::Both,
        ..Wanted::of("localhost")
    };
    site.install(&site.pki.gateways, wanted);
    let found = site.assert_bad("shown-certificate", "warning", "shows another certificate");
    has(&found.advice, "systemctl reload pam-onelogin-gateway");
    // Requests of a host still show what works.
    let ran = site.check_as(&site.host);
    assert_eq!(self::found(&ran, "look-up")[0].severity, "good");
}

#[test]
fn a_look_up_that_does_not_come_through_says_why() {
    let mut site = Site::new();
    site.assert_look_up(
        &site.pki.host("web1.other.test", 2, Flaw::None),
        "gateway=refused",
    );
    site.assert_look_up(
        &site.pki.host(WEB, 3, Flaw::OtherCa),
        "does not serve this client certificate",
    );
    site.assert_look_up(
        &site.pki.host(WEB, 4, Flaw::Expired),
        "does not serve this client certificate",
    );
    let revoked = site.pki.host(WEB, 5, Flaw::None);
    site.gateway.revoke(&revoked);
    site.assert_look_up(&revoked, "gateway=revoked");
    assert_eq!(site.onelogin.requests(), []);
    site.onelogin.revoke_tokens();
    site.assert_look_up(&site.host, "status=401 gateway=-");
    site.gateway.set_token(&site.token, now() - 10);
    site.assert_look_up(&site.host, "gateway=no-token");
    site.onelogin.stop();
    site.gateway.set_token(&site.token, now() + 3600);
    site.assert_look_up(&site.host, "status=503 gateway=unreached");
    // The key of another certificate.
    let other = site.pki.host(WEB, 6, Flaw::None);
    let mixed = Identity {
        key: other.key,
        ..site.host.clone()
    };
    let ran = site.check_as(&mixed);
    has(&found(&ran, "client-certificate")[0].what, "is not the key");
}

#[test]
fn a_host_at_its_limit_says_nothing_about_calls_that_the_gateway_refuses() {
    let site = Site::with(&["limits.requests = 1"], &[]);
    let ran = site.check_as(&site.host);
    assert_eq!(found(&ran, "look-up")[0].severity, "good");
    let refuses = &found(&ran, "gateway")[0];
    assert_eq!(refuses.severity, "warning");
    has(&refuses.what, "not tested");
    let ran = site.check_as(&site.host);
    has(&found(&ran, "look-up")[0].what, "gateway=limit");
    assert_eq!(found(&ran, "gateway").len(), 0);
}

#[test]
fn a_gateway_that_sends_on_what_no_login_asks_is_a_fault() {
    let site = Site::new();
    let behind = Simulator::start_with(Options {
        plain_http: true,
        ..Options::default()
    });
    let check = |lines: &[&str]| {
        let edge = Edge::knowing_clients(&behind, site.pki.hosts.pem(), lines);
        let listen = |port: u16| format!("listen = [\"127.0.0.1:{port}\"]");
        let (from, to) = (listen(site.gateway.port()), listen(edge.port()));
        site.change(SETTINGS, &from, &to);
        let found = found(&site.check_as(&site.host), "gateway");
        site.change(SETTINGS, &to, &from);
        found
    };
    let token = format!(
        "http-request set-header authorization \"Bearer {}\"",
        behind.give_token()
    );
    let refuse = |what: &str| {
        format!("http-request return status 403 hdr x-gateway refused if {{ {what} }}")
    };
    for (kept, sent_on) in [
        (
            "path_beg /none",
            &[
                "GET /api/2/apps",
                "GET /api/2/users",
                "POST /auth/oauth2/v2/token",
                "DELETE /api/2/users/0",
            ][..],
        ),
        (
            "path_beg /api/2/apps /auth",
            &["GET /api/2/users", "DELETE /api/2/users/0"],
        ),
    ] {
        let found = check(&[&refuse(kept), &token]);
        assert_eq!(
            (found.len(), &*found[0].severity),
            (1, "fault"),
            "{found:#?}"
        );
        let (_, list) = found[0].what.split_once(": ").unwrap();
        let list: Vec<_> = list.split(", ").collect();
        assert_eq!(list.len(), sent_on.len(), "{list:?}");
        assert!(
            list.iter()
                .zip(sent_on)
                .all(|(one, other)| one.starts_with(other)),
            "{list:?}"
        );
    }
    let all =
        refuse("path_beg /api/2/apps /auth } || { method DELETE } || { url_beg /api/2/users?limit");
    assert_eq!(check(&[&all, &token])[0].severity, "good");
}

#[test]
fn a_gateway_without_a_connection_to_the_other_one_is_a_warning() {
    let onelogin = Simulator::start();
    let pki = Pki::new();
    let [first, second] = ports();
    let peers = format!(
        "[[peers]]\nname = \"a\"\naddress = \"127.0.0.1:{first}\"\n[[peers]]\nname = \"b\"\naddress = \"127.0.0.1:{second}\""
    );
    let [a, mut b] = ["a", "b"].map(|name| {
        let name = format!("name = {name:?}");
        Gateway::before(&onelogin, &pki, &[&name, &peers], &[])
    });
    // HAProxy has no event for this.
    let wait_for = |is_connected: bool| {
        let mut tries = 0..600;
        while a.admin("show peers").contains("last_status=ESTA") != is_connected {
            assert!(tries.next().is_some(), "{}", a.admin("show peers"));
            thread::sleep(Duration::from_millis(100));
        }
    };
    let check = || {
        let settings = a.file(SETTINGS).display().to_string();
        let ran = run(
            tool(&["gateway", "check", "--json", "--settings", &settings]),
            &[],
        );
        let found = found(&ran, "peers");
        assert_eq!(found.len(), 1, "{found:#?}");
        (found[0].severity.clone(), found[0].what.clone())
    };
    wait_for(true);
    let address = format!("b at 127.0.0.1:{second}");
    let shares = format!("this gateway shares its limits with {address}");
    assert_eq!(check(), ("good".to_owned(), shares));
    b.stop();
    wait_for(false);
    let alone = format!("this gateway has no connection to {address}");
    assert_eq!(check(), ("warning".to_owned(), alone));
}

#[test]
fn a_certificate_for_servers_alone_cannot_connect_to_the_other_gateway() {
    let [first, second] = ports();
    let peers = format!(
        "name = \"a\"\n[[peers]]\nname = \"a\"\naddress = \"127.0.0.1:{first}\"\n[[peers]]\nname = \"b\"\naddress = \"127.0.0.1:{second}\""
    );
    let site = Site::with(&[&peers], &[]);
    site.assert_good("gateway-certificate");
    let wanted = Wanted {
        usage: Usage::Server,
        ..Wanted::of("localhost")
    };
    site.install(&site.pki.gateways, wanted);
    let found = site.assert_bad(
        "gateway-certificate",
        "fault",
        "the other gateway cannot trust",
    );
    has(&found.advice, "serverAuth,clientAuth");
}

//! `packaging/gateway/examples/certificates.sh`: hosts log in with the certificates that it issues, through the real `HAProxy`,
//! until it has revoked them. No root.

mod world;

use onelogin_simulator::{Simulator, User};
use pam_host::{Certificates, Gateway, Identity, Outcome, Place};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use world::{ID, NAME, assert_accepted, assert_denied_for, assert_logged};

const PAGE: &str = include_str!("../docs/gateway.md");

/// In the place of socat, which few machines have: sends its input to a socket, and prints the answer.
const SOCAT: &str = r#"socat() {
    perl -MIO::Socket::UNIX -e '
        my $to = IO::Socket::UNIX->new($ARGV[0]) or die "$ARGV[0]: $!";
        print $to <STDIN>;
        $to->flush;
        print <$to>;' "${2#UNIX-CONNECT:}"
}"#;

/// A host.
const WEB: &str = "web1.hosts.test";

/// OneLogin, and a folder with certificates.
struct Site {
    onelogin: Simulator,
    place: Place,
}

impl Site {
    /// With both CAs and the certificate of a gateway.
    fn new() -> Self {
        let onelogin = Simulator::start();
        onelogin.add_user(User::new(ID, NAME));
        onelogin.add_device(ID, world::totp());
        let place = Place::new();
        let site = Self { onelogin, place };
        site.script(&["cas"]);
        site.script(&["gateways", "localhost"]);
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn run(&self, words: &[&str]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("packaging/gateway/examples/certificates.sh");
        let mut command = Command::new(script);
        command.args(words).current_dir(self.place.path());
        command.output().unwrap()
    }

    /// What the script prints.
    fn script(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What the script reports as an error.
    fn refused(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn gateway(&self, settings: &[&str]) -> Gateway {
        let certificates = Certificates {
            gateway: self.read("gateways/localhost.pem"),
            gateways_ca: self.read("gateways-ca.pem"),
            hosts_ca: self.read("hosts-ca.pem"),
        };
        let (url, ca) = (self.onelogin.url(), self.onelogin.ca_pem());
        let gateway = Gateway::with_certificates(&url, ca, &certificates, settings, &[]);
        gateway.set_token(&self.onelogin.give_token(), now() + 3600);
        gateway
    }

    /// A login on a host that has this file of a certificate and its key.
    fn login(&self, gateway: &Gateway, pem: &str) -> Outcome {
        let host = self.place.write("etc/host.pem", pem).display().to_string();
        self.place.config(format!(
            "state_dir = {:?}\nonelogin.url = \"https://localhost:{}\"\nonelogin.ca_file = {:?}\n\
             onelogin.client_cert = {host:?}\nonelogin.client_key = {host:?}\nusers.cache = 0\n",
            self.place.state_path().display().to_string(),
            gateway.port(),
            self.path("gateways-ca.pem").display().to_string(),
        ));
        let case = self.place.alone("sshd").user(NAME);
        let case = case.ssh_with_key(&world::connection());
        case.answer(world::fresh_code()).run()
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.as_ref().map_or(0, Duration::as_secs)
}

#[test]
fn a_host_logs_in_with_an_issued_and_a_renewed_certificate_until_they_are_revoked() {
    let site = Site::new();
    let gateway = site.gateway(&[]);
    site.script(&["hosts", WEB, "web2.hosts.test"]);
    let first = site.read("hosts/web1.hosts.test.pem");
    assert_accepted(&site.login(&gateway, &first));
    site.script(&["hosts", WEB]);
    let second = site.read("hosts/web1.hosts.test.pem");
    assert_ne!(first, second);
    assert_accepted(&site.login(&gateway, &second));
    assert_accepted(&site.login(&gateway, &first));

    let serials = site.script(&["revoke", WEB]);
    assert_eq!(serials.lines().count(), 2);
    site.place.write("serials", &serials);
    let list = gateway.file("revoked").display().to_string();
    fs::write(&list, "# Stolen.\n").unwrap();
    let (_, commands) = PAGE.split_once("and type there:\n\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    let socket = gateway.file("haproxy.sock").display().to_string();
    let commands = commands
        .replace("/etc/pam_onelogin/gateway/revoked", &list)
        .replace("/run/pam_onelogin_gateway/haproxy.sock", &socket);
    let mut shell = Command::new("/bin/sh");
    shell.args(["-euc", &format!("{SOCAT}\n{commands}")]);
    let output = shell.current_dir(site.place.path()).output().unwrap();
    // HAProxy answers to a good command with an empty line.
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "");
    assert!(output.status.success(), "{output:?}");
    let revoked = fs::read_to_string(&list).unwrap();
    assert_eq!(revoked, format!("# Stolen.\n{serials}"));
    let restarted = site.gateway(&[&format!("revoked = {list:?}")]);
    for gateway in [&gateway, &restarted] {
        for pem in [&first, &second] {
            let outcome = site.login(gateway, pem);
            assert_denied_for(&outcome, "a revoked certificate", "gateway-refused");
            assert_logged(&outcome, "gateway=revoked");
        }
        let other = site.read("hosts/web2.hosts.test.pem");
        assert_accepted(&site.login(gateway, &other));
    }
}

#[test]
fn one_command_issues_certificates_for_two_hundred_hosts() {
    let site = Site::new();
    let gateway = site.gateway(&[]);
    let names: Vec<String> = (1..=200)
        .map(|host| format!("h{host}.hosts.test"))
        .collect();
    site.place.write("names", names.join("\n"));
    let said = site.script(&["hosts", "--from", "names"]);
    assert_eq!(said.lines().count(), 200);
    let mut serials = BTreeSet::new();
    for name in &names {
        let pem = site.read(&format!("hosts/{name}.pem"));
        let (certificate, key) = pem.split_at(pem.find("-----BEGIN PRIVATE KEY").unwrap());
        let serial = site.script(&["revoke", name]).trim().to_owned();
        let host = Identity {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            serial: serial.clone(),
        };
        let mut connection = gateway.connect(Some(&host)).unwrap();
        let request = "GET /api/2/mfa/users/1001/devices HTTP/1.1\r\nhost: gateway.test\r\n\r\n";
        assert_eq!(connection.ask(request).status, 200, "{name}");
        serials.insert((name, serial));
    }
    // HAProxy has the same name and serial number for each.
    gateway.admin("show info");
    let log = gateway.log();
    for (name, serial) in &serials {
        let part = format!("\"host\":\"{name}\",\"serial\":\"{serial}\"");
        assert!(log.contains(&part), "{part}");
    }
    let different: BTreeSet<_> = serials.iter().map(|(_, serial)| serial).collect();
    assert_eq!(different.len(), 200);
}

#[test]
fn a_wrong_name_issues_no_certificate_and_a_ca_is_never_replaced() {
    let site = Site::new();
    let long = format!("{}.hosts.test", "a".repeat(60));
    for name in ["", "a b", "a/b", "../a", "-a", "ü", &long] {
        let said = site.refused(&["hosts", WEB, name]);
        assert!(said.starts_with("certificates.sh: "), "{said}");
    }
    assert!(!site.path("hosts").exists());
    site.refused(&["hosts"]);
    site.refused(&["revoke", WEB]);
    let ca = site.read("hosts-ca.pem");
    let said = site.refused(&["cas"]);
    assert!(said.contains("exists"), "{said}");
    assert_eq!(site.read("hosts-ca.pem"), ca);
}

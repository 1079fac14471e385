//! The way from a credential on each host to a gateway, and back: the commands of docs/gateway.md, one after the other, with the
//! real `HAProxy` and the keeper of its token. No root.

mod sources;
mod tool;
mod world;

use onelogin_simulator::{DEFAULT_CLIENT_ID, Request, Simulator, User};
use pam_host::place::binary;
use pam_host::{Flaw, Gateway, Outcome, Pki, Place};
use sources::between;
use std::fs;
use std::path::Path;
use std::process::Command;
use tool::{Ran, has, run};
use world::{ID, NAME, assert_accepted, assert_denied_for};

const PAGE: &str = include_str!("../docs/gateway.md");

/// The credential of the gateway.
const OWN: (&str, &str) = ("c0ffee0fthegateway", "5ec2e70fthegateway");

/// OneLogin, a gateway, and hosts with the credential.
struct Site {
    onelogin: Simulator,
    gateway: Gateway,
    pki: Pki,
    host: Place,
    other: Place,
}

impl Site {
    fn new() -> Self {
        let onelogin = Simulator::start();
        onelogin.add_user(User::new(ID, NAME));
        onelogin.add_device(ID, world::totp());
        onelogin.add_credential(OWN.0, OWN.1);
        let (host, other) = (Place::new(), Place::new());
        for host in [&host, &other] {
            host.config_for(&onelogin, &["users.cache = 0"]);
        }
        let secret = host.write("secret-of-the-gateway", OWN.1);
        let settings = [
            format!("onelogin.client_id = {:?}", OWN.0),
            format!("onelogin.client_secret_file = {:?}", text_of(&secret)),
        ];
        let pki = Pki::new();
        let settings = settings.each_ref().map(String::as_str);
        let gateway = Gateway::before(&onelogin, &pki, &settings, &[]);
        Self {
            onelogin,
            gateway,
            pki,
            host,
            other,
        }
    }

    /// The commands of the page after these words, with the paths of the host, an administrator who edits, and these answers to
    /// prompts.
    fn type_commands(&self, after: &str, answers: &[&str]) -> Ran {
        let section = between(PAGE, "### From the credential", "\n## ");
        let (_, section) = section.split_once(after).unwrap();
        let block = section.split("\n\n").find(|part| part.starts_with("    "));
        let state = self.host.state_path();
        let commands = block
            .unwrap()
            .replace("/etc/pam_onelogin", &text_of(&self.host.path().join("etc")))
            .replace("/run/pam_onelogin", &text_of(&state))
            .replace(
                "pam-onelogin ",
                &format!("{} ", text_of(&binary("pam-onelogin"))),
            )
            .replace("sudoedit", &format!("cp {}", text_of(&self.edited())))
            .replace("alice", NAME);
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &commands]).env_clear();
        command
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("TERM", "dumb");
        run(command, answers)
    }

    /// What an administrator makes of the configuration of the host: that of "On the hosts".
    fn edited(&self) -> std::path::PathBuf {
        let pem = self.pki.host("web1.hosts.test", 0x0A01, Flaw::None);
        self.host.write("etc/host.pem", pem.certificate + &pem.key);
        self.host
            .write("etc/gateway-ca.pem", self.pki.gateways_ca());
        let (_, table) = PAGE.split_once("## On the hosts\n").unwrap();
        let table = between(table, "    [onelogin]\n", "\n\n");
        let table = table
            .replace(
                "gateway.example.com:8443",
                &format!("localhost:{}", self.gateway.port()),
            )
            .replace("/etc/pam_onelogin", &text_of(&self.host.path().join("etc")));
        let state = text_of(&self.host.state_path());
        let text = format!(
            "# client_secret = \"\"\nstate_dir = {state:?}\nusers.cache = 0\n[onelogin]\n{table}\n"
        );
        self.host.write("edited", text)
    }

    /// A login on a host, and which calls reached OneLogin.
    fn login(&self, host: &Place) -> (Outcome, Vec<Request>) {
        self.onelogin.clear_requests();
        let case = host.alone("sshd").user(NAME);
        let case = case.ssh_with_key(&world::connection());
        let outcome = case.answer(world::fresh_code()).run();
        (outcome, self.onelogin.requests())
    }

    /// The user gets in, and every call has the credential of this client.
    #[track_caller]
    fn assert_in_by(&self, host: &Place, client: &str) {
        let (outcome, calls) = self.login(host);
        assert_accepted(&outcome);
        assert!(calls.len() >= 3, "{calls:?}");
        for call in calls {
            assert_eq!(call.client.as_deref(), Some(client), "{call:?}");
        }
    }

    /// The findings of `check` in this configuration of the host, as ids with their severity.
    fn findings(&self, config: &str) -> Vec<String> {
        let config = self.host.path().join("etc").join(config);
        let ran = run(tool::with_config(&config, &["check", "--json"]), &[]);
        let document = ran.json();
        let findings = document["findings"].as_array().unwrap().iter();
        let shown = |found: &serde_json::Value| {
            let part = |part: &str| found[part].as_str().unwrap().to_owned();
            format!("{} {}", part("severity"), part("id"))
        };
        findings.map(shown).collect()
    }

    /// The tokens that the host has on its disk.
    fn tokens(&self) -> usize {
        let entries = fs::read_dir(self.host.state_path()).unwrap().flatten();
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("token-"))
            .count()
    }
}

fn text_of(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn the_way_from_a_credential_to_the_gateway_and_back_works_as_it_is_described() {
    let site = Site::new();
    let _keeper = site.gateway.keep_token();
    site.assert_in_by(&site.host, DEFAULT_CLIENT_ID);

    // The new configuration beside the old one, which logins still use.
    let ran = site.type_commands("**Try it on one host.**", &[&world::fresh_code()]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    has(&ran.out, "The module would return PAM_SUCCESS.");
    let findings = site.findings("config.gateway");
    for id in ["client-certificate", "gateway"] {
        assert!(findings.contains(&format!("good {id}")), "{findings:?}");
    }
    site.assert_in_by(&site.host, DEFAULT_CLIENT_ID);

    // One host by the gateway, another one with the credential; and back.
    for _ in 0..2 {
        let ran = site.type_commands("**Switch it over.**", &[]);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        site.assert_in_by(&site.host, OWN.0);
        site.assert_in_by(&site.other, DEFAULT_CLIENT_ID);
        assert!(site.gateway.log().contains("\"host\":\"web1.hosts.test\""));
        let ran = site.type_commands("**Go back**", &[]);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        site.assert_in_by(&site.host, DEFAULT_CLIENT_ID);
    }
    site.type_commands("**Switch it over.**", &[]);
    assert_eq!(site.tokens(), 1);

    // The old credential is deleted at OneLogin, which the host can show.
    site.onelogin.remove_credential(DEFAULT_CLIENT_ID);
    let ran = site.type_commands("**Remove the credential**", &[]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    has(&ran.out, between(PAGE, "`check` must report `", "`. Now"));
    site.assert_in_by(&site.host, OWN.0);
    let (outcome, _) = site.login(&site.other);
    assert_denied_for(&outcome, "the old credential", "credential");

    // Nothing of it stays on the host.
    let ran = site.type_commands("`check` must report", &[]);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""));
    assert_eq!(site.tokens(), 0);
    site.assert_in_by(&site.host, OWN.0);
    for name in ["config.direct", "config.gateway"] {
        assert!(!site.host.path().join("etc").join(name).exists());
    }
}

#[test]
fn a_credential_that_is_left_on_a_host_is_found() {
    let site = Site::new();
    site.edited();
    let ran = site.type_commands("`check` must report", &[]);
    has(&ran.out, "onelogin.client_secret = ");
}

#[test]
fn the_gateway_takes_the_configuration_of_a_host_that_has_no_credential() {
    let site = Site::new();
    let edited = text_of(&site.edited());
    let settings = fs::read_to_string(site.gateway.file("gateway.toml")).unwrap();
    let copy = text_of(&site.gateway.file("config.toml"));
    let settings = site
        .host
        .write("etc/gateway.toml", settings.replace(&copy, &edited));
    let words = ["gateway", "config", "--settings", &text_of(&settings)];
    let ran = run(tool::tool(&words), &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    has(&ran.out, "frontend requests");
}

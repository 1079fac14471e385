//! `pam-onelogin gateway token`: with the real `HAProxy` of Debian and a simulated OneLogin. Tokens live for seconds here. No root.

mod tool;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use onelogin_simulator::{
    Action, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, Fault, Match, Options, Reissue, Simulator,
};
use pam_host::{Flaw, Pki, Place};
use std::cell::RefCell;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// A wait for an event that comes sooner.
const LONG: Duration = Duration::from_secs(60);

/// An error of OneLogin with status 200, as it was seen.
const ERROR: &str = r#"{"status":{"error":true,"code":401,"type":"Unauthorized","message":"Authentication Failure"}}"#;

/// A gateway without TLS and rules: a folder, a `HAProxy` that reads its token from the map, and OneLogin behind it.
struct Gateway {
    onelogin: Simulator,
    place: Place,
    /// The port of the hosts. It stays open while `HAProxy` is started again.
    listener: TcpListener,
    haproxy: RefCell<Option<Child>>,
    notify: UnixDatagram,
}

/// A keeper that runs.
struct Keeper {
    process: Child,
    lines: Receiver<String>,
    /// Everything that it said so far.
    said: RefCell<Vec<String>>,
}

/// An answer at the port of the hosts: its status, and the header `x-gateway`.
#[derive(Debug, PartialEq, Eq)]
struct Answer(u16, Option<String>);

impl Answer {
    fn good() -> Self {
        Self(200, None)
    }

    fn no_token() -> Self {
        Self(503, Some("no-token".to_owned()))
    }
}

impl Gateway {
    /// With a `HAProxy`, and tokens of this life in seconds.
    fn with_tokens_of(life: u64) -> Self {
        let gateway = Self::without_haproxy(life);
        gateway.place.write("token.map", "");
        gateway.start_haproxy();
        assert_eq!(gateway.ask(), Answer::no_token());
        gateway
    }

    fn without_haproxy(life: u64) -> Self {
        let onelogin = Simulator::start_with(Options::default());
        onelogin.set_token_lifetime(0, life);
        let place = Place::with_module(Path::new("/"));
        place.write("etc/ca.pem", onelogin.ca_pem());
        place.write("etc/secret", DEFAULT_CLIENT_SECRET);
        let notify = UnixDatagram::bind(place.path().join("notify")).unwrap();
        notify.set_read_timeout(Some(LONG)).unwrap();
        let gateway = Self {
            onelogin,
            place,
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            haproxy: RefCell::new(None),
            notify,
        };
        let path = |name: &str| gateway.path(name).display().to_string();
        let settings = format!(
            "certificate = \"/none\"\nhosts_ca = \"/none\"\nhosts = [\"*.hosts.test\"]\n\
             host_config = \"/none\"\nsocket = {:?}\ntoken_map = {:?}\n\
             [onelogin]\nurl = {:?}\nclient_id = {DEFAULT_CLIENT_ID:?}\n\
             client_secret_file = {:?}\nca_file = {:?}\n",
            path("haproxy.sock"),
            path("token.map"),
            gateway.onelogin.url(),
            path("etc/secret"),
            path("etc/ca.pem"),
        );
        gateway.place.write("etc/gateway.toml", settings);
        gateway
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn map(&self) -> String {
        fs::read_to_string(self.path("token.map")).unwrap()
    }

    fn start_haproxy(&self) {
        let map = self.path("token.map").display().to_string();
        let config = format!(
            "global\n  stats socket {socket} mode 600 level admin\n\
             defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n\
             frontend hosts\n  bind fd@0\n  \
             http-request set-var(txn.token) str(token),map({map})\n  \
             http-request set-var(txn.end) str(end),map({map},0)\n  \
             acl token var(txn.token) -m len gt 0\n  \
             acl ended date,sub(txn.end) ge 0\n  \
             http-request return status 503 hdr x-gateway no-token if !token or ended\n  \
             http-request set-header authorization \"Bearer %[var(txn.token)]\"\n  \
             default_backend onelogin\n\
             backend onelogin\n  server onelogin 127.0.0.1:{port} ssl verify required ca-file {ca} sni str(localhost) verifyhost localhost\n",
            socket = self.path("haproxy.sock").display(),
            port = self.onelogin.port(),
            ca = self.path("etc/ca.pem").display(),
        );
        let config = self.place.write("etc/haproxy.cfg", config);
        let haproxy = |more: &[&str]| {
            let mut command = Command::new("/usr/sbin/haproxy");
            let twin = OwnedFd::from(self.listener.try_clone().unwrap());
            command.args(more).arg("-f").arg(&config).stdin(twin);
            command
        };
        let checked = haproxy(&["-c"]).output().unwrap();
        assert!(checked.status.success(), "{checked:?}");
        let mut running = haproxy(&["-db"]);
        running.stdout(Stdio::null()).stderr(Stdio::null());
        *self.haproxy.borrow_mut() = Some(running.spawn().unwrap());
    }

    fn stop_haproxy(&self) {
        if let Some(mut haproxy) = self.haproxy.borrow_mut().take() {
            let _ = haproxy.kill();
            let _ = haproxy.wait();
        }
    }

    /// What an administrator types at the admin socket.
    fn type_at_haproxy(&self, command: &str) -> String {
        let mut socket = UnixStream::connect(self.path("haproxy.sock")).unwrap();
        writeln!(socket, "{command}").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }

    /// A request of a host.
    fn ask(&self) -> Answer {
        let mut stream = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let request =
            "GET /api/2/users?username=a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let header = answer
            .lines()
            .find_map(|line| line.strip_prefix("x-gateway: "));
        Answer(status, header.map(str::to_owned))
    }

    /// Asks until the answer is this one; the others before it are all the second one.
    fn ask_until(&self, expected: &Answer, before: &Answer) {
        loop {
            let answer = self.ask();
            if answer == *expected {
                return;
            }
            assert_eq!(answer, *before);
        }
    }

    fn keeper(&self) -> Keeper {
        Keeper::start(&self.path("etc/gateway.toml"), Some(&self.path("notify")))
    }

    /// A keeper that has handed over its first token.
    fn ready_keeper(&self) -> Keeper {
        let keeper = self.keeper();
        keeper.wait_for("gateway: token until ");
        keeper
    }

    /// The next message to systemd.
    fn told(&self) -> String {
        let mut buffer = [0; 1024];
        let length = self.notify.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    /// No request of a host came to OneLogin without a valid token.
    fn assert_each_request_had_a_valid_token(&self) {
        let requests = self.onelogin.requests();
        let mut count = 0;
        for request in requests {
            if request.path.starts_with("/api/") {
                assert_eq!(
                    request.client.as_deref(),
                    Some(DEFAULT_CLIENT_ID),
                    "{request:?}"
                );
                count += 1;
            }
        }
        assert!(count > 0, "no request came to OneLogin");
    }

    /// How many different tokens OneLogin has issued.
    fn issued(&self) -> usize {
        self.onelogin.access_tokens().len()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop_haproxy();
    }
}

impl Keeper {
    /// With these settings, and a socket for what it tells systemd.
    fn start(settings: &Path, notify: Option<&Path>) -> Self {
        let settings = settings.display().to_string();
        let words = ["gateway", "token", "--settings", &settings, "--probe", "1"];
        let mut command = tool::tool(&words);
        if let Some(notify) = notify {
            command.env("NOTIFY_SOCKET", notify);
        }
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let errors = BufReader::new(process.stderr.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in errors.lines() {
                let _ = sender.send(line.unwrap());
            }
        });
        Self {
            process,
            lines,
            said: RefCell::default(),
        }
    }

    /// The next line with this part.
    fn wait_for(&self, part: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(LONG);
            let line = line.unwrap_or_else(|_| panic!("{part}: {:?}", self.said.borrow()));
            self.said.borrow_mut().push(line.clone());
            if line.contains(part) {
                return line;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.process.id()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    /// Ends it as systemd does, and returns what it said in its life.
    fn stop(mut self) -> Vec<String> {
        self.signal(Signal::SIGTERM);
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}");
        self.said.borrow_mut().extend(self.lines.iter());
        self.said.take()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn systemd_is_told_when_a_token_is_in_place() {
    let gateway = Gateway::with_tokens_of(3600);
    let keeper = gateway.keeper();
    let told = gateway.told();
    assert!(told.starts_with("READY=1\nSTATUS=token until "), "{told}");
    assert_eq!(gateway.ask(), Answer::good());
    drop(keeper);
}

#[test]
fn hosts_have_a_valid_token_over_three_ends_of_one() {
    let gateway = Gateway::with_tokens_of(4);
    let keeper = gateway.ready_keeper();
    let mut good = 0;
    while gateway.issued() < 4 {
        match gateway.ask() {
            answer if answer == Answer::good() => good += 1,
            answer => assert_eq!(answer, Answer::no_token()),
        }
    }
    gateway.ask_until(&Answer::good(), &Answer::no_token());
    assert!(good > 0);
    gateway.assert_each_request_had_a_valid_token();
    // OneLogin repeats a token until it ends. That is the rule, and not in the log.
    let said = keeper.stop();
    let is_trouble = |line: &String| line.contains("no token:") || line.contains("no new token");
    assert!(!said.iter().any(is_trouble), "{said:#?}");
    let tokens = said
        .iter()
        .filter(|line| line.contains("gateway: token until "));
    assert_eq!(tokens.count(), gateway.issued(), "{said:#?}");
}

#[test]
fn a_token_is_asked_for_until_onelogin_issues_one() {
    let gateway = Gateway::with_tokens_of(3600);
    // A request that is lost is sent a second time.
    for (action, times) in [
        (Action::Body(ERROR.to_owned()), 1),
        (Action::Body("{}".to_owned()), 1),
        (Action::status(500), 1),
        (Action::DropBefore, 2),
        (Action::Body(r#"{"access_token":"a;b"}"#.to_owned()), 1),
    ] {
        let fault = Fault::new(Match::token(), action).times(times);
        gateway.onelogin.fault(fault);
    }
    let keeper = gateway.keeper();
    keeper.wait_for("gateway: token until ");
    assert_eq!(gateway.ask(), Answer::good());
    let said = keeper.stop();
    for part in [
        "no token: reason=credential ",
        "no token: reason=bad-reply ",
        "no token: reason=server-error ",
        "no token: reason=connection-lost ",
        "no token: the token has characters that no access token has",
    ] {
        assert!(
            said.iter().any(|line| line.contains(part)),
            "{part}: {said:#?}"
        );
    }
}

#[test]
fn a_valid_token_outlives_an_outage_and_is_not_used_after_its_end() {
    let gateway = Gateway::with_tokens_of(5);
    let keeper = gateway.ready_keeper();
    gateway
        .onelogin
        .fault(Fault::new(Match::token(), Action::status(500)));
    keeper.wait_for("no new token yet: reason=server-error");
    gateway.ask_until(&Answer::no_token(), &Answer::good());
    gateway.assert_each_request_had_a_valid_token();
    gateway.onelogin.clear_faults();
    gateway.ask_until(&Answer::good(), &Answer::no_token());
    gateway.assert_each_request_had_a_valid_token();
}

#[test]
fn a_revoked_token_is_replaced() {
    let gateway = Gateway::with_tokens_of(3600);
    let keeper = gateway.ready_keeper();
    assert_eq!(gateway.ask(), Answer::good());
    gateway.onelogin.revoke_tokens();
    keeper.wait_for("no token: OneLogin refuses the token before its end");
    keeper.wait_for("token until ");
    assert_eq!(gateway.ask(), Answer::good());
    gateway.assert_each_request_had_a_valid_token();
}

#[test]
fn a_token_that_onelogin_refuses_is_not_used_when_it_is_issued_again() {
    let gateway = Gateway::with_tokens_of(3600);
    let keeper = gateway.ready_keeper();
    gateway.onelogin.set_reissue(Reissue::Same);
    gateway.onelogin.revoke_tokens();
    keeper.wait_for("no token: OneLogin issues a token again that it refuses");
    assert_eq!(gateway.ask(), Answer::no_token());
    gateway.onelogin.expire_tokens();
    keeper.wait_for("token until ");
    assert_eq!(gateway.ask(), Answer::good());
    gateway.assert_each_request_had_a_valid_token();
}

#[test]
fn a_new_secret_in_the_file_is_used_without_a_restart() {
    let gateway = Gateway::with_tokens_of(3);
    let keeper = gateway.ready_keeper();
    gateway
        .onelogin
        .add_credential(DEFAULT_CLIENT_ID, "rotated-secret");
    keeper.wait_for("no token: reason=credential");
    gateway.place.write("etc/secret", "rotated-secret\n");
    keeper.wait_for("token until ");
    gateway.ask_until(&Answer::good(), &Answer::no_token());
    let said = keeper.stop().concat();
    let mut secrets = gateway.onelogin.access_tokens();
    secrets.extend([
        DEFAULT_CLIENT_SECRET.to_owned(),
        "rotated-secret".to_owned(),
    ]);
    for secret in secrets {
        assert!(!said.contains(&secret), "{said}");
    }
}

#[test]
fn a_missing_secret_is_named_with_its_file() {
    let gateway = Gateway::with_tokens_of(3600);
    fs::remove_file(gateway.path("etc/secret")).unwrap();
    let keeper = gateway.keeper();
    keeper.wait_for("etc/secret: does not exist");
    gateway.place.write("etc/secret", DEFAULT_CLIENT_SECRET);
    keeper.wait_for("token until ");
}

#[test]
fn a_secret_comes_from_systemd_if_the_settings_name_no_file() {
    let gateway = Gateway::with_tokens_of(3600);
    let text = fs::read_to_string(gateway.path("etc/gateway.toml")).unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("client_secret_file"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let settings = gateway.place.write("etc/gateway.toml", text);
    let command = || {
        let settings = settings.display().to_string();
        tool::tool(&["gateway", "token", "--settings", &settings])
    };
    let ran = tool::run(command(), &[]);
    assert_eq!(ran.code, 1);
    tool::has(&ran.err, "LoadCredential=client_secret:FILE");

    // systemd may let the service read the file by an access list, which shows as the mode of the group.
    let secret = gateway
        .place
        .write("credentials/client_secret", DEFAULT_CLIENT_SECRET);
    pam_host::place::set_mode(&secret, 0o440);
    let mut keeper = command();
    keeper
        .env("CREDENTIALS_DIRECTORY", gateway.path("credentials"))
        .env("NOTIFY_SOCKET", gateway.path("notify"));
    let _keeper = Keeper::spawn(keeper);
    let told = gateway.told();
    assert!(told.starts_with("READY=1"), "{told}");
}

#[test]
fn a_haproxy_that_is_started_again_has_the_token_at_once() {
    let gateway = Gateway::with_tokens_of(3600);
    let keeper = gateway.ready_keeper();
    gateway.stop_haproxy();
    gateway.start_haproxy();
    assert_eq!(gateway.ask(), Answer::good());
    drop(keeper);
}

#[test]
fn a_haproxy_without_the_token_gets_it_again() {
    let gateway = Gateway::with_tokens_of(3600);
    let _keeper = gateway.ready_keeper();
    let map = gateway.path("token.map");
    // Queued connections are served after the command: the answer to it is the end of it.
    gateway.type_at_haproxy(&format!("clear map {}", map.display()));
    gateway.ask_until(&Answer::good(), &Answer::no_token());
}

#[test]
fn a_haproxy_that_is_started_after_the_keeper_has_the_token_at_once() {
    let gateway = Gateway::without_haproxy(3600);
    let keeper = gateway.keeper();
    keeper.wait_for("haproxy.sock: ");
    keeper.wait_for("token until ");
    gateway.start_haproxy();
    assert_eq!(gateway.ask(), Answer::good());
    keeper.wait_for("HAProxy answers");
}

#[test]
fn no_dead_token_is_sent_when_the_keeper_was_killed() {
    let gateway = Gateway::with_tokens_of(4);
    let mut keeper = gateway.ready_keeper();
    assert_eq!(gateway.ask(), Answer::good());
    keeper.signal(Signal::SIGKILL);
    keeper.process.wait().unwrap();
    gateway.ask_until(&Answer::no_token(), &Answer::good());
    for _ in 0..100 {
        assert_eq!(gateway.ask(), Answer::no_token());
    }
    // The file has the old token with its end, for the next start of HAProxy.
    gateway.stop_haproxy();
    gateway.start_haproxy();
    assert_eq!(gateway.ask(), Answer::no_token());
    gateway.assert_each_request_had_a_valid_token();
}

#[test]
fn a_keeper_that_is_stopped_takes_the_token_away() {
    let gateway = Gateway::with_tokens_of(3600);
    let keeper = gateway.ready_keeper();
    assert_eq!(gateway.ask(), Answer::good());
    assert!(gateway.map().contains("\nend "), "{}", gateway.map());
    let said = keeper.stop();
    assert_eq!(gateway.ask(), Answer::no_token());
    assert_eq!(gateway.map(), "");
    tool::has(said.last().unwrap(), "stopped; HAProxy has no token");
}

#[test]
fn a_keeper_that_waits_for_onelogin_can_be_stopped() {
    let gateway = Gateway::with_tokens_of(3600);
    gateway
        .onelogin
        .fault(Fault::new(Match::token(), Action::Silence));
    let keeper = gateway.keeper();
    gateway
        .onelogin
        .wait_for_request(LONG, "POST", "/token")
        .unwrap();
    let said = keeper.stop();
    assert!(
        !said.iter().any(|line| line.contains("no token:")),
        "{said:#?}"
    );
}

#[test]
fn a_clock_that_is_ahead_does_not_end_a_token_early() {
    let gateway = Gateway::with_tokens_of(60);
    gateway.onelogin.set_ahead(-300);
    let _keeper = gateway.ready_keeper();
    assert_eq!(gateway.ask(), Answer::good());
}

#[test]
fn a_clock_that_is_behind_does_not_keep_a_token_after_its_end() {
    let gateway = Gateway::with_tokens_of(4);
    gateway.onelogin.set_ahead(300);
    let _keeper = gateway.ready_keeper();
    gateway
        .onelogin
        .fault(Fault::new(Match::token(), Action::status(500)));
    gateway.ask_until(&Answer::no_token(), &Answer::good());
    gateway.assert_each_request_had_a_valid_token();
}

#[test]
fn the_sample_settings_say_what_is_missing_and_are_right_when_it_is_filled_in() {
    let place = Place::with_module(Path::new("/"));
    let sample = include_str!("../packaging/gateway/gateway.toml");
    let faults = |text: &str| {
        let path = place.write("etc/gateway.toml", text).display().to_string();
        let ran = tool::run(tool::tool(&["gateway", "token", "--settings", &path]), &[]);
        assert_eq!(ran.code, 1);
        ran.err
    };
    let said = faults(sample);
    for key in ["hosts", "url", "client_id"] {
        tool::has(&said, &format!("\"{key}\""));
    }
    assert_eq!(said.lines().count(), 3, "{said}");
    let filled_in = sample
        .replace("hosts = []", "hosts = [\"*.hosts.example.com\"]")
        .replace("<subdomain>", "example")
        .replace("# client_id = \"\"", "client_id = \"id\"");
    let lines = filled_in.lines().map(|line| {
        let bare = line.trim_start_matches("# ");
        let is_setting = bare.contains(" = ") && !bare.contains(". ");
        if is_setting { bare } else { line }
    });
    let said = faults(&lines.collect::<Vec<_>>().join("\n"));
    tool::has(&said, "LoadCredential=client_secret:FILE");
    assert_eq!(said.lines().count(), 1, "{said}");
}

/// The same with the configuration that `pam-onelogin gateway config` prints.
#[test]
fn the_printed_configuration_takes_the_token_and_its_end_from_the_keeper() {
    let onelogin = Simulator::start_with(Options::default());
    onelogin.set_token_lifetime(0, 4);
    let pki = Pki::new();
    let settings = [
        "onelogin.client_secret_file = \"@folder@/secret\"",
        "limits.requests = 1000000",
        "limits.look_ups = 1000000",
        "limits.new_connections = 1000000",
    ];
    let gateway = pam_host::Gateway::before(&onelogin, &pki, &settings, &[]);
    fs::write(gateway.file("secret"), DEFAULT_CLIENT_SECRET).unwrap();
    pam_host::place::set_mode(&gateway.file("secret"), 0o600);
    let host = pki.host("web1.hosts.test", 0x0A01, Flaw::None);
    let ask = || {
        let mut connection = gateway.connect(Some(&host)).unwrap();
        let said = connection.ask(
            "GET /api/2/mfa/users/1001/devices HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        );
        (said.status, said.word().to_owned())
    };
    let no_token = (503, "no-token".to_owned());
    // OneLogin does not know the user.
    let passed_on = (404, String::new());
    assert_eq!(ask(), no_token);

    let mut keeper = Keeper::start(&gateway.file("gateway.toml"), None);
    while onelogin.access_tokens().len() < 2 {
        let answer = ask();
        assert!(answer == no_token || answer == passed_on, "{answer:?}");
    }
    while ask() == no_token {}
    keeper.signal(Signal::SIGKILL);
    keeper.process.wait().unwrap();
    while ask() == passed_on {}
    assert_eq!(ask(), no_token);
    let requests = onelogin.requests();
    let mut calls = requests
        .iter()
        .filter(|request| request.path.starts_with("/api/"));
    assert!(calls.clone().count() > 1);
    assert!(calls.all(|request| request.client.as_deref() == Some(DEFAULT_CLIENT_ID)));
}

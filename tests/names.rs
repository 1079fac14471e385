//! When the name of `OneLogin` cannot be resolved: the login ends, and nobody gets in, whatever `failmode` says.
//!
//! Each test has a network of its own, with a name server on its loopback, and a private /etc:
//! `tests/private-etc.sh cargo test --test names -- --ignored`.

mod scene;

use std::cell::Cell;
use std::net::{Ipv4Addr, UdpSocket};
use std::panic::resume_unwind;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::sethostname;
use pam_host::place::binary;
use pam_host::pty::Pty;
use pam_host::root::Sshd;
use scene::{Scene, refused};

#[test]
#[ignore = "needs root: run by make test"]
fn r09_a_silent_name_server_is_asked_as_often_as_resolv_conf_says_and_the_login_is_denied() {
    in_a_network_of_its_own(|| {
        let login = Login::new("secure", &[]);
        let again = format!("{NAME}.example.test");
        for (options, names) in [
            ("timeout:1 attempts:1", vec![NAME]),
            ("timeout:1 attempts:2", vec![NAME, NAME]),
            // Once more with the first domain of the search list, and not with the second.
            (
                "timeout:1 attempts:1\nsearch example.test other.test",
                vec![NAME, &again],
            ),
        ] {
            let server = NameServer::start(Server::Silent);
            login.resolver(options);
            refused(login.client("1"), "asscode: ");
            // Each time for IPv4 and for IPv6.
            let twice: Vec<_> = names.iter().flat_map(|name| [*name, *name]).collect();
            assert_eq!(server.queries(), twice, "{options}");
            assert_eq!(login.reasons(), ["no-connection"]);
            let detail = "the name server gave no answer";
            assert!(login.scene.decision(NO_CONNECTION).contains(detail));
        }
        // The client would start over, and gets no leave to.
        let server = NameServer::start(Server::Silent);
        login.resolver("timeout:1 attempts:1");
        refused(login.client("3"), "asscode: ");
        assert_eq!(server.queries(), [NAME; 2]);
        assert_eq!(login.reasons(), ["no-connection"]);
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_under_safe_a_name_server_that_fails_lets_nobody_in() {
    in_a_network_of_its_own(|| {
        let login = Login::new("safe", &[]);
        login.resolver("timeout:1 attempts:1");
        for (server, reason) in [
            (Server::Silent, "no-connection"),
            (Server::Garbage, "no-connection"),
            (Server::Says(SERVFAIL), "no-connection"),
            (Server::Says(NOTIMP), "no-connection"),
            (Server::Says(REFUSED), "no-connection"),
            (Server::Says(NXDOMAIN), "no-such-host"),
            (Server::Says(NO_ADDRESS), "no-such-host"),
        ] {
            let _server = NameServer::start(server);
            refused(login.client("1"), "asscode: ");
            assert_eq!(login.reasons(), [reason], "{server:?}");
        }
        // Nobody at all on the port.
        refused(login.client("1"), "asscode: ");
        assert_eq!(login.reasons(), ["no-connection"]);
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_a_name_that_is_resolved_too_late_or_never_lets_nobody_in() {
    in_a_network_of_its_own(|| {
        let login = Login::new("safe", &["onelogin.request_timeout = 1"]);
        login.resolver("timeout:2 attempts:2");
        {
            let _server = NameServer::start(Server::AnswersTheSecondTime);
            refused(login.client("1"), "asscode: ");
            assert_eq!(login.reasons(), ["timeout"]);
        }
        let _server = NameServer::start(Server::Silent);
        refused(login.client("1"), "asscode: ");
        assert_eq!(login.reasons(), ["no-connection"]);
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn the_tool_tells_a_name_server_that_fails_from_a_name_that_does_not_exist_and_from_a_slow_one() {
    in_a_network_of_its_own(|| {
        let login = Login::new("secure", &[]);
        login.resolver("timeout:1 attempts:1");
        let found = || {
            let mut check = Command::new(binary("pam-onelogin"));
            check.env_clear().args(["check"]);
            let output = check.output().expect("the tool runs");
            String::from_utf8(output.stdout).expect("text")
        };
        for (server, word) in [
            (Server::Silent, "no name server told the address of "),
            (
                Server::Says(SERVFAIL),
                "no name server told the address of ",
            ),
            (Server::Says(NXDOMAIN), "there is no host "),
            (Server::Says(NO_ADDRESS), "there is no host "),
        ] {
            let _server = NameServer::start(server);
            let text = found();
            let what = format!("FAULT    {word}{NAME}");
            assert!(text.contains(&what), "{server:?}: {text}");
        }
        login.resolver("timeout:2 attempts:2");
        let _server = NameServer::start(Server::AnswersTheSecondTime);
        let text = found();
        let what = format!("warning  the address of {NAME} took ");
        assert!(text.contains(&what), "{text}");
        // Whoever listens there has a certificate for another name.
        assert!(text.contains(&format!("it is not for {NAME}")), "{text}");
    });
}

// The machinery

/// Logins of alice behind a key, where `OneLogin` has a name that only the name server knows.
struct Login {
    scene: Scene,
    sshd: Sshd,
    /// How many decisions have been looked at.
    seen: Cell<usize>,
}

impl Login {
    fn new(failmode: &str, further: &[&str]) -> Self {
        let scene = Scene::new(&[]);
        // Where there is an address there is a server; its certificate is for another name.
        let port = scene.simulator.port();
        let url = format!("onelogin.url = \"https://{NAME}:{port}\"");
        let failmode = format!("failmode = \"{failmode}\"\nfailmode_from = [\"0.0.0.0/0\"]");
        let lines: Vec<_> = [url.as_str(), &failmode]
            .into_iter()
            .chain(further.iter().copied())
            .collect();
        scene.stage.config(&scene.simulator, &lines);
        let sources = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n";
        scene.stage.write("/etc/nsswitch.conf", sources, 0o644);
        let sshd = scene.sshd("sshd-key");
        let _ = scene.person("alice");
        Self {
            scene,
            sshd,
            seen: Cell::default(),
        }
    }

    fn resolver(&self, options: &str) {
        let text = format!("nameserver 127.0.0.1\noptions {options}\n");
        self.scene.stage.write("/etc/resolv.conf", text, 0o644);
    }

    /// A client that may start over so many times.
    fn client(&self, times: &str) -> Pty {
        let key = self.scene.stage.private_key();
        let key = format!("IdentityFile={}", key.display());
        let times = format!("NumberOfPasswordPrompts={times}");
        self.sshd.client("alice", &[&key, &times])
    }

    /// The reasons of the decisions since the last call.
    fn reasons(&self) -> Vec<String> {
        let decisions = self.scene.stage.decisions();
        let seen = self.seen.replace(decisions.len());
        let reason = |line: &String| {
            let reason = line.split("reason=").nth(1)?.split(' ').next()?;
            Some(reason.to_owned())
        };
        decisions[seen..].iter().filter_map(reason).collect()
    }
}

/// Runs this in a network that has nothing but a loopback.
fn in_a_network_of_its_own(test: impl FnOnce() + Send + 'static) {
    // In a thread, and with it all that it starts: the others keep their network.
    let result = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS)
            .expect("namespaces can be made");
        // A domain in the host's own name would be searched.
        sethostname("host").expect("the name is ours to change");
        let status = Command::new("ip")
            .args(["link", "set", "lo", "up"])
            .status();
        assert!(status.expect("ip is installed").success());
        test();
    })
    .join();
    if let Err(panic) = result {
        resume_unwind(panic);
    }
}

/// What a name server does with every query.
#[derive(Clone, Copy, Debug)]
enum Server {
    Silent,
    Garbage,
    /// Answers with this code (RFC 1035, 4.1.1) and no record.
    Says(u8),
    /// Answers a query that comes again, with the address of the loopback.
    AnswersTheSecondTime,
}

/// A name server on port 53 of the loopback, until it is dropped.
struct NameServer {
    queries: Arc<Mutex<Vec<String>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl NameServer {
    fn start(server: Server) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53)).expect("port 53 is free here");
        let queries = Arc::new(Mutex::new(Vec::new()));
        let thread = thread::spawn({
            let queries = Arc::clone(&queries);
            move || serve(&socket, server, &queries)
        });
        Self {
            queries,
            thread: Some(thread),
        }
    }

    /// The names that were asked for.
    fn queries(&self) -> Vec<String> {
        self.queries.lock().expect("no thread died").clone()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let _ = socket.send_to(&[], (Ipv4Addr::LOCALHOST, 53));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Until an empty datagram comes.
fn serve(socket: &UdpSocket, server: Server, queries: &Mutex<Vec<String>>) {
    let mut buffer = [0; 512];
    while let Ok((length @ 12.., from)) = socket.recv_from(&mut buffer) {
        let query = &buffer[..length];
        let so_far = {
            let mut queries = queries.lock().expect("no thread died");
            queries.push(name(query));
            queries.len()
        };
        let reply = match server {
            Server::Silent => continue,
            Server::AnswersTheSecondTime if so_far <= 1 => continue,
            Server::AnswersTheSecondTime => answer(query, 0, true),
            Server::Garbage => query[..11].to_vec(),
            Server::Says(code) => answer(query, code, false),
        };
        let _ = socket.send_to(&reply, from);
    }
}

/// A reply with this code and the question, and with an address where one is asked for.
fn answer(query: &[u8], code: u8, has_address: bool) -> Vec<u8> {
    let end = query[12..].iter().position(|&byte| byte == 0);
    let end = 12 + end.expect("a name ends") + 1;
    let mut reply = query[..end + 4].to_vec();
    // A response; recursion is available.
    reply[2] |= 0x80;
    reply[3] = 0x80 | code;
    reply[6..12].fill(0);
    if has_address && query[end..end + 2] == [0, 1] {
        reply[7] = 1;
        // The name of the question, an address, of the internet, for no time, four bytes.
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]);
    }
    reply
}

/// The name in a query.
fn name(query: &[u8]) -> String {
    let mut rest = &query[12..];
    let mut labels = Vec::new();
    while let Some((&length, tail)) = rest.split_first().filter(|(length, _)| **length > 0) {
        let (label, tail) = tail.split_at(usize::from(length).min(tail.len()));
        labels.push(String::from_utf8_lossy(label).into_owned());
        rest = tail;
    }
    labels.join(".")
}

const NAME: &str = "example.onelogin.test";
const NO_CONNECTION: &str = "reason=no-connection";
// Codes of RFC 1035; "no error" without a record says that the name has no address.
const NO_ADDRESS: u8 = 0;
const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;
const NOTIMP: u8 = 4;
const REFUSED: u8 = 5;

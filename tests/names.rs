//! Name servers that are silent, slow or in trouble: the login goes on where an answer is to be had. Else it ends, and nobody
//! gets in, whatever `failmode` says.
//!
//! Each test has a network of its own, with a name server on its loopback, and a private /etc:
//! `tests/private-etc.sh cargo test --test names -- --ignored`.

mod scene;
mod world;

use std::cell::Cell;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::panic::resume_unwind;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::sethostname;
use pam_host::place::binary;
use pam_host::pty::Pty;
use pam_host::root::{Sshd, Stage};
use pam_host::{Case, Code, Outcome};
use scene::{Scene, refused};
use world::{SAFE, World, assert_denied, assert_denied_for, decision, fresh_code, totp};

#[test]
#[ignore = "needs root: run by make test"]
fn r09_a_silent_name_server_is_asked_twice_whatever_resolv_conf_says_and_the_login_is_denied() {
    in_a_network_of_its_own(|| {
        let login = Login::new("secure", &[]);
        // For IPv4 and IPv6; and patiently for IPv4, without an answer to go on to IPv6.
        let asked = [NAME; 3];
        for options in [
            "timeout:1 attempts:1",
            "timeout:30 attempts:5",
            // The name is not looked up in a domain, as nobody said that it does not exist.
            "timeout:1 attempts:2\nsearch example.test other.test",
        ] {
            let server = NameServer::start(Server::Silent);
            login.resolver(options);
            refused(login.client("1"), "(OneLogin): ");
            assert_eq!(server.queries(), asked, "{options}");
            assert_eq!(login.reasons(), ["no-connection"]);
            let detail = "the name server gave no answer";
            assert!(login.scene.decision(NO_CONNECTION).contains(detail));
        }
        // The client would start over, and gets no leave to.
        let server = NameServer::start(Server::Silent);
        refused(login.client("3"), "(OneLogin): ");
        assert_eq!(server.queries(), asked);
        assert_eq!(login.reasons(), ["no-connection"]);
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r09_a_right_code_is_accepted_where_a_name_server_ignores_queries_for_ipv6() {
    in_a_network_of_its_own(|| {
        let secure = "failmode = \"secure\"";
        for (failmode, for_ipv6) in [(secure, 3), (SAFE, 2)] {
            let host = Host::new(&[failmode, "onelogin.request_timeout = 5"]);
            host.resolver("nameserver 127.0.0.1");
            let server = NameServer::start(Server::IgnoresIpv6);
            by_code(&host.login().run(), failmode);
            // With one time-out each: both at once, one by one, by two ports; or IPv6 alone, and once more with patience.
            assert_eq!(server.kinds("AAAA"), for_ipv6, "{failmode}");
        }
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r09_a_right_code_is_accepted_where_the_first_name_server_is_dead() {
    in_a_network_of_its_own(|| {
        for failmode in ["failmode = \"secure\"", SAFE] {
            let host = Host::new(&[failmode, "onelogin.request_timeout = 4"]);
            host.resolver("nameserver 127.0.0.2\nnameserver 127.0.0.1");
            let dead = NameServer::at(SECOND, Server::Silent);
            let server = NameServer::start(Server::Answers);
            by_code(&host.login().run(), failmode);
            assert_eq!((dead.kinds("A"), server.kinds("A")), (1, 1), "{failmode}");
        }
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r09_a_login_ends_where_the_name_servers_answer_is_truncated_and_its_tcp_port_stalls() {
    in_a_network_of_its_own(|| {
        // Connections are made, and nobody reads from them.
        let _stalled = TcpListener::bind((Ipv4Addr::LOCALHOST, 53)).expect("port 53 is free here");
        for failmode in ["failmode = \"secure\"", SAFE] {
            let host = Host::new(&[failmode]);
            host.resolver("nameserver 127.0.0.1");
            {
                // The answer is small enough for EDNS.
                let _server = NameServer::start(Server::TruncatesWithoutEdns);
                by_code(&host.login().run(), failmode);
            }
            let host = host.anew(&[failmode]);
            let _server = NameServer::start(Server::Truncates);
            let outcome = host.login().run();
            // It does not say that there is no such host, nor is it an outage.
            assert_denied_for(&outcome, failmode, "no-connection");
            let detail = "the name server gave no answer";
            assert!(decision(&outcome).contains(detail), "{:?}", outcome.log);
        }
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_changed_resolv_conf_counts_for_the_next_login_of_the_same_process() {
    in_a_network_of_its_own(|| {
        let host = Host::new(&["users.cache = 0"]);
        let (first, second) = (
            NameServer::start(Server::Answers),
            NameServer::at(SECOND, Server::Answers),
        );
        host.resolver("nameserver 127.0.0.1");
        let mut logins = host.world.host("openvpn").repeat(2).spawn();
        logins.wait_prompt();
        logins.reply(fresh_code());
        host.resolver("# another one\nnameserver 127.0.0.2");
        logins.wait_prompt();
        logins.reply(fresh_code());
        let outcome = logins.finish();
        assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
        assert_eq!((first.kinds("A"), second.kinds("A")), (1, 1));
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn a_name_is_looked_up_as_it_stands_and_then_in_the_domains_of_the_search_list() {
    in_a_network_of_its_own(|| {
        let host = Host::new(&[]);
        host.resolver("nameserver 127.0.0.1\nsearch onelogin.example\noptions ndots:3");
        let server = NameServer::start(Server::Knows(KNOWN));
        by_code(&host.login().run(), "as it stands");
        assert_eq!(server.queries(), [KNOWN; 2]);

        let longer = "onelogin.example.corp.test";
        let host = host.anew(&[]);
        let server = NameServer::at(SECOND, Server::Knows(longer));
        host.resolver("nameserver 127.0.0.2\nsearch other.test corp.test");
        by_code(&host.login().run(), "in a domain");
        assert!(server.queries().contains(&longer.to_owned()));
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_a_name_that_is_found_by_the_search_list_alone_proves_no_outage() {
    in_a_network_of_its_own(|| {
        // No route leads to the address that is told.
        let server = |name| NameServer::start(Server::Elsewhere(name));
        let host = Host::new(&[SAFE]);
        host.resolver("nameserver 127.0.0.1\nsearch corp.test");
        {
            let _server = server(KNOWN);
            let outcome = host.login().under(AS_PID_1).run();
            assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
        }
        let host = host.anew(&[SAFE]);
        let _server = server("onelogin.example.corp.test");
        let outcome = host.login().under(AS_PID_1).run();
        assert_denied(&outcome, "in a domain");
        let why = "failmode=safe does not apply: why=\"the name server gave no answer\"";
        assert!(outcome.log.concat().contains(why), "{:?}", outcome.log);
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
            refused(login.client("1"), "(OneLogin): ");
            assert_eq!(login.reasons(), [reason], "{server:?}");
        }
        // Nobody at all on the port.
        refused(login.client("1"), "(OneLogin): ");
        assert_eq!(login.reasons(), ["no-connection"]);
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_a_name_that_is_resolved_too_late_or_never_lets_nobody_in() {
    in_a_network_of_its_own(|| {
        let login = Login::new("safe", &["onelogin.request_timeout = 1"]);
        {
            // The first two take more time than there is.
            login.resolver("timeout:2\nnameserver 127.0.0.2\nnameserver 127.0.0.3");
            let _first = NameServer::start(Server::Silent);
            let _second = NameServer::at(SECOND, Server::Silent);
            let _third = NameServer::at(THIRD, Server::Answers);
            refused(login.client("1"), "(OneLogin): ");
            assert_eq!(login.reasons(), ["timeout"]);
        }
        let _server = NameServer::start(Server::Silent);
        refused(login.client("1"), "(OneLogin): ");
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
            (Server::Silent, "no name server gave the address of "),
            (
                Server::Says(SERVFAIL),
                "no name server gave the address of ",
            ),
            (Server::Says(NXDOMAIN), "the host "),
            (Server::Says(NO_ADDRESS), "the host "),
        ] {
            let _server = NameServer::start(server);
            let text = found();
            let what = format!("FAULT    {word}{NAME}");
            assert!(text.contains(&what), "{server:?}: {text}");
            assert!(
                text.contains("compare onelogin.url with the address"),
                "{server:?}: {text}"
            );
            // The server that answers with an error does so at once.
            let waited = matches!(server, Server::Silent);
            assert_eq!(text.contains(" within "), waited, "{server:?}: {text}");
        }
        login.resolver("timeout:1\nnameserver 127.0.0.2");
        let _dead = NameServer::start(Server::Silent);
        let _server = NameServer::at(SECOND, Server::Answers);
        let text = found();
        let what = format!("warning  resolving {NAME} took ");
        assert!(text.contains(&what), "{text}");
        // Whoever listens there has a certificate for another name.
        assert!(
            text.contains(&format!("the certificate is not for {NAME}, but for ")),
            "{text}"
        );
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
        scene.stage.write("/etc/nsswitch.conf", SOURCES, 0o644);
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

/// Logins by libpam, where `OneLogin` has a name that only name servers know, and a certificate for it.
struct Host {
    stage: Stage,
    world: World,
}

impl Host {
    fn new(further: &[&str]) -> Self {
        let stage = Stage::enter();
        stage.write("/etc/nsswitch.conf", SOURCES, 0o644);
        Self::on(stage, further)
    }

    fn on(stage: Stage, further: &[&str]) -> Self {
        let world = World::with([totp()], &[]);
        let port = world.onelogin.port();
        let url = format!("onelogin.url = \"https://{KNOWN}:{port}\"");
        world.config(&[&[url.as_str()], further].concat());
        Self { stage, world }
    }

    /// Another one, with a state of its own, on the same stage.
    fn anew(self, further: &[&str]) -> Self {
        Self::on(self.stage, further)
    }

    fn resolver(&self, text: &str) {
        self.stage
            .write("/etc/resolv.conf", format!("{text}\n"), 0o644);
    }

    /// With the right code.
    fn login(&self) -> Case {
        self.world.ssh().answer(fresh_code())
    }
}

fn by_code(outcome: &Outcome, what: &str) {
    assert_eq!(outcome.code, Code::SUCCESS, "{what}: {:?}", outcome.log);
    assert!(
        decision(outcome).contains("accepted "),
        "{what}: {:?}",
        outcome.log
    );
}

/// What a name server does with every query.
#[derive(Clone, Copy, Debug)]
enum Server {
    Silent,
    Garbage,
    /// Answers with this code (RFC 1035, 4.1.1) and no record.
    Says(u8),
    /// Answers with the loopback address for IPv4, and that there is no address for IPv6.
    Answers,
    /// The same, and nothing to a query for IPv6.
    IgnoresIpv6,
    /// The same, but for this name alone: others do not exist.
    Knows(&'static str),
    /// The same, with an address elsewhere.
    Elsewhere(&'static str),
    /// Answers that the answer is too long.
    Truncates,
    /// The same to a query that does not allow for long answers (RFC 6891).
    TruncatesWithoutEdns,
}

/// A name server on port 53 of the loopback, until it is dropped.
struct NameServer {
    address: Ipv4Addr,
    queries: Arc<Mutex<Vec<(String, &'static str)>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl NameServer {
    fn start(server: Server) -> Self {
        Self::at(Ipv4Addr::LOCALHOST, server)
    }

    fn at(address: Ipv4Addr, server: Server) -> Self {
        let socket = UdpSocket::bind((address, 53)).expect("port 53 is free here");
        let queries = Arc::new(Mutex::new(Vec::new()));
        let thread = thread::spawn({
            let queries = Arc::clone(&queries);
            move || serve(&socket, server, &queries)
        });
        Self {
            address,
            queries,
            thread: Some(thread),
        }
    }

    /// The names that were asked for.
    fn queries(&self) -> Vec<String> {
        let queries = self.queries.lock().expect("no thread died");
        queries.iter().map(|(name, _)| name.clone()).collect()
    }

    /// How many queries of this kind there were.
    fn kinds(&self, kind: &str) -> usize {
        let queries = self.queries.lock().expect("no thread died");
        queries.iter().filter(|(_, asked)| *asked == kind).count()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let _ = socket.send_to(&[], (self.address, 53));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Until an empty datagram comes.
fn serve(socket: &UdpSocket, server: Server, queries: &Mutex<Vec<(String, &'static str)>>) {
    let mut buffer = [0; 512];
    while let Ok((length @ 12.., from)) = socket.recv_from(&mut buffer) {
        let query = &buffer[..length];
        let name = name(query);
        let kind = kind(query);
        // How many records there are that say more of the query: one, with EDNS.
        let has_edns = query[11] == 1;
        let reply = match server {
            Server::Silent => Vec::new(),
            Server::IgnoresIpv6 if kind == "AAAA" => Vec::new(),
            Server::Knows(known) | Server::Elsewhere(known) if name != known => {
                answer(query, NXDOMAIN, None)
            }
            Server::Elsewhere(_) => answer(query, 0, Some([203, 0, 113, 10])),
            Server::TruncatesWithoutEdns if !has_edns => truncated(query),
            Server::Answers
            | Server::IgnoresIpv6
            | Server::Knows(_)
            | Server::TruncatesWithoutEdns => answer(query, 0, Some([127, 0, 0, 1])),
            Server::Truncates => truncated(query),
            Server::Garbage => query[..11].to_vec(),
            Server::Says(code) => answer(query, code, None),
        };
        queries.lock().expect("no thread died").push((name, kind));
        if !reply.is_empty() {
            let _ = socket.send_to(&reply, from);
        }
    }
}

/// A reply with this code and the question, and with an address where one is asked for.
fn answer(query: &[u8], code: u8, address: Option<[u8; 4]>) -> Vec<u8> {
    let end = end_of_name(query);
    let mut reply = query[..end + 4].to_vec();
    // A response; recursion is available.
    reply[2] |= 0x80;
    reply[3] = 0x80 | code;
    reply[6..12].fill(0);
    if let Some(address) = address.filter(|_| kind(query) == "A") {
        reply[7] = 1;
        // The name of the question, an address, of the internet, for no time, four bytes.
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        reply.extend(address);
    }
    reply
}

/// A reply without a record that says that it is not the whole one.
fn truncated(query: &[u8]) -> Vec<u8> {
    let mut reply = answer(query, 0, None);
    reply[2] |= 0x02;
    reply
}

/// What a query asks for.
fn kind(query: &[u8]) -> &'static str {
    let end = end_of_name(query);
    match query[end..end + 2] {
        [0, 1] => "A",
        [0, 28] => "AAAA",
        _ => "other",
    }
}

/// Where the name in a query ends.
fn end_of_name(query: &[u8]) -> usize {
    let end = query[12..].iter().position(|&byte| byte == 0);
    12 + end.expect("a name ends") + 1
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
/// `OneLogin` has a certificate for it.
const KNOWN: &str = "onelogin.example";
/// Where further name servers are.
const SECOND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const THIRD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const SOURCES: &str = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n";
/// As the first process of a host: PID 1 is what comes next.
const AS_PID_1: [&str; 6] = [
    "unshare",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--",
];
const NO_CONNECTION: &str = "reason=no-connection";
// Codes of RFC 1035; "no error" without a record says that the name has no address.
const NO_ADDRESS: u8 = 0;
const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;
const NOTIMP: u8 = 4;
const REFUSED: u8 = 5;

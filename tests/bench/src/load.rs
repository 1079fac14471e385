//! How many requests a second a gateway carries, beside the same `HAProxy` without the rules of the gateway.

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use onelogin_simulator::{Options, Simulator};
use pam_host::gateway::{Connection, Flaw, Identity, Pki};
use pam_host::{Edge, Gateway};

use crate::gateway::end_of_token;
use crate::report::thousands;

/// Hosts that send at the same time, each over one connection.
const HOSTS: u16 = 8;

/// How long each kind of request is sent.
const TIME: Duration = Duration::from_secs(5);

/// Few hosts stand for a fleet here: no limit may be reached.
const NO_LIMITS: [&str; 4] = [
    "limits.new_connections = 1000000",
    "limits.requests = 1000000",
    "limits.look_ups = 1000000",
    "limits.users = 1000000",
];

/// What hosts send.
#[derive(Clone, Copy)]
enum Kind {
    LookUp,
    Code,
    Login,
}

impl Kind {
    fn request(self, user: u64) -> String {
        let path = format!("/api/2/mfa/users/{user}");
        match self {
            Self::LookUp => format!("GET {path}/devices HTTP/1.1\r\nhost: x\r\n\r\n"),
            Self::Code | Self::Login => {
                let body = "{\"otp\":\"123456\",\"device_id\":501}";
                let length = body.len();
                format!(
                    "POST {path}/verifications HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                     content-length: {length}\r\n\r\n{body}"
                )
            }
        }
    }
}

/// Where hosts connect to.
struct Target<'a> {
    port: u16,
    ca: &'a str,
}

impl Target<'_> {
    /// The requests of all hosts in a second.
    fn carries(&self, kind: Kind, hosts: &[Identity]) -> usize {
        let begin = Instant::now();
        let count: usize = thread::scope(|scope| {
            let senders = hosts.iter().zip(1_u64..).map(|(host, number)| {
                scope.spawn(move || self.send(kind, host, number * 10_000_000, begin + TIME))
            });
            let senders: Vec<_> = senders.collect();
            senders
                .into_iter()
                .map(|sender| sender.join().expect("a sender"))
                .sum()
        });
        let millis = usize::try_from(begin.elapsed().as_millis()).unwrap_or(usize::MAX);
        count * 1000 / millis
    }

    /// Sends requests, each for another user, as a limit of a user would end them. Returns how many had a reply.
    fn send(&self, kind: Kind, host: &Identity, first_user: u64, end: Instant) -> usize {
        let connect = || Connection::to(self.port, self.ca, Some(host)).expect("a connection");
        let mut connection = connect();
        let mut count = 0;
        for user in first_user.. {
            if Instant::now() > end {
                break;
            }
            if matches!(kind, Kind::Login) && count > 0 {
                connection = connect();
            }
            let said = connection.ask(kind.request(user));
            assert_eq!((said.status, said.word()), (200, ""));
            count += 1;
        }
        count
    }
}

/// The table for the page.
///
/// # Panics
/// When a request has no reply.
pub fn table() -> String {
    let simulator = Simulator::start_with(Options {
        plain_http: true,
        ..Options::default()
    });
    // Quicker than a simulator.
    let onelogin = Edge::before(
        &simulator,
        &[
            "http-request return status 200 content-type application/json string '{\"status\":\"accepted\"}'",
        ],
    );
    let pki = Pki::new();
    let url = format!("https://localhost:{}", onelogin.port());
    let gateway = Gateway::start(&url, simulator.ca_pem(), &pki, &NO_LIMITS, &[]);
    gateway.set_token("token", end_of_token());
    let server = format!(
        "server onelogin 127.0.0.1:{} ssl verify none",
        onelogin.port()
    );
    let bare = Edge::knowing_clients(
        &simulator,
        pki.hosts_ca(),
        &[
            "use_backend acts if !{ method GET }",
            "default_backend reads",
            &format!("backend reads\n  http-reuse always\n  {server}"),
            &format!(
                "backend acts\n  http-reuse never\n  option http-server-close\n  {server} no-ssl-reuse"
            ),
        ],
    );
    let hosts: Vec<Identity> = (1..=HOSTS)
        .map(|number| pki.host(&format!("h{number}.hosts.test"), number.into(), Flaw::None))
        .collect();
    let gateway = Target {
        port: gateway.port(),
        ca: pki.gateways_ca(),
    };
    let bare = Target {
        port: bare.port(),
        ca: simulator.ca_pem(),
    };
    let mut text = format!(
        "Requests a second that one gateway carries, from {HOSTS} hosts at the same time, on this small machine: {} processors, which\n\
         the hosts and OneLogin's stand-in also use. Beside it, the same HAProxy without the rules of the gateway.\n\n\
         | requests | gateway | HAProxy without rules | share |\n|---|--:|--:|--:|\n",
        thread::available_parallelism().map_or(0, usize::from),
    );
    for (name, kind) in [
        ("look-ups, over one connection of each host", Kind::LookUp),
        ("codes, over one connection of each host", Kind::Code),
        ("logins: a connection of the host and a code", Kind::Login),
    ] {
        let [with, without] = [&gateway, &bare].map(|target| target.carries(kind, &hosts));
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {} % |",
            thousands(with),
            thousands(without),
            with * 100 / without.max(1)
        );
    }
    text
}

//! The real `HAProxy` of Debian as the front end of a simulator: `OneLogin`'s edge is one.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use onelogin_simulator::Simulator;
use tempfile::TempDir;

use crate::place::set_mode;

/// A `HAProxy` on a free port of 127.0.0.1, run as whoever runs the test. Dropping it ends it.
#[derive(Debug)]
pub struct Edge {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Edge {
    /// A front end before this simulator, which speaks plain HTTP. `lines` are those of its section `frontend`, such as
    /// `timeout http-request 3s`; further sections may follow them. The certificate is that of the simulator.
    ///
    /// # Panics
    /// When there is no `HAProxy` here, or it does not understand the lines.
    pub fn before(simulator: &Simulator, lines: &[&str]) -> Self {
        Self::start(simulator, Some(simulator.server_pem()), None, lines)
    }

    /// The same, but only for clients with a certificate of the CA in `ca_pem`.
    ///
    /// # Panics
    /// As [`Edge::before`].
    pub fn knowing_clients(simulator: &Simulator, ca_pem: &str, lines: &[&str]) -> Self {
        Self::start(simulator, Some(simulator.server_pem()), Some(ca_pem), lines)
    }

    /// The same without TLS, for a client that looks at bytes.
    ///
    /// # Panics
    /// As [`Edge::before`].
    pub fn plain_before(simulator: &Simulator, lines: &[&str]) -> Self {
        Self::start(simulator, None, None, lines)
    }

    fn start(
        simulator: &Simulator,
        pem: Option<&str>,
        clients: Option<&str>,
        lines: &[&str],
    ) -> Self {
        let folder = TempDir::with_prefix("pam-edge-").expect("a temporary folder can be made");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("a file can be written");
            set_mode(&path, 0o600);
            path
        };
        let tls = pem.map(|pem| format!("ssl crt {}", write("server.pem", pem).display()));
        let clients = clients.map(|pem| {
            let ca = write("clients.pem", pem);
            format!(
                "ca-file {} verify required ssl-min-ver TLSv1.3",
                ca.display()
            )
        });
        let tls = [tls.unwrap_or_default(), clients.unwrap_or_default()].join(" ");
        let config = config(simulator.port(), &tls, lines);
        let config = write("haproxy.cfg", &config);
        // It takes the listener as its standard input: nobody else gets the port meanwhile, and nobody need wait.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on 127.0.0.1");
        let port = listener.local_addr().expect("its address").port();
        let twin = listener.try_clone().expect("the listener can be shared");
        check(&config, twin);
        let process = haproxy(&config)
            .stdin(OwnedFd::from(listener))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{MISSING}: {error}"));
        Self {
            process,
            port,
            _folder: folder,
        }
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `x-request-id` as in the recorded replies; it is not added to the pages of the front end itself.
fn config(simulator: u16, tls: &str, lines: &[&str]) -> String {
    let lines = lines.join("\n  ");
    format!(
        "global
  maxconn 1000
defaults
  mode http
  timeout connect 10s
  timeout client 60s
  timeout server 60s
backend simulator
  server simulator 127.0.0.1:{simulator}
frontend edge
  bind fd@0 {tls}
  default_backend simulator
  unique-id-format %{{+X}}o\\ %Ts-%ci-%cp-%fi-%fp-%rt-%pid
  http-response set-header x-request-id %[unique-id]
  {lines}
"
    )
}

/// Says what is wrong with a configuration, as a server that does not start says nothing to those who wait for it.
pub(crate) fn check(config: &Path, listener: TcpListener) {
    let mut haproxy = haproxy(config);
    let checked = haproxy.arg("-c").stdin(OwnedFd::from(listener)).output();
    let checked = checked.unwrap_or_else(|error| panic!("{MISSING}: {error}"));
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "haproxy: {said}");
}

pub(crate) fn haproxy(config: &Path) -> Command {
    // Debian has it where an ordinary user does not look.
    let place = Path::new("/usr/sbin/haproxy");
    let mut command = Command::new(if place.exists() {
        place
    } else {
        Path::new("haproxy")
    });
    command.args(["-db", "-f"]).arg(config);
    command
}

pub(crate) const MISSING: &str = "install the package haproxy; HAProxy cannot be run";

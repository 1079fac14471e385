//! The real `HAProxy` of the distribution as a gateway, with the configuration that `pam-onelogin gateway config` prints, and hosts
//! that send it bytes of their own over TLS.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use onelogin_simulator::{
    Authority, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, Issued, Simulator, Usage, Wanted,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

use crate::edge::{MISSING, check, haproxy};
use crate::ffi;
use crate::place::{Place, binary, quiet, set_mode};

/// The longest that a test waits for bytes, before it fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A key and its certificate, as PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
    /// The serial number of the certificate, as `openssl x509 -serial` prints it.
    pub serial: String,
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    None,
    /// Another CA of the same name signed it.
    OtherCa,
    /// It is no longer valid.
    Expired,
    /// It is one for servers.
    ForServers,
}

/// Two CAs: one for gateways, one for hosts; and one that nobody trusts.
pub struct Pki {
    /// That of gateways, which hosts trust.
    pub gateways: Authority,
    /// That of hosts.
    pub hosts: Authority,
    other: Authority,
}

/// What a gateway has on its disk, as PEM.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// Its certificate and its key.
    pub gateway: String,
    /// The CA of gateways.
    pub gateways_ca: String,
    /// The CA of hosts.
    pub hosts_ca: String,
}

impl Pki {
    /// New ones.
    pub fn new() -> Self {
        Self {
            gateways: Authority::new("CA of gateways"),
            hosts: Authority::new("CA of hosts"),
            other: Authority::new("CA of hosts"),
        }
    }

    /// The certificate of the CA of gateways, which hosts trust.
    pub fn gateways_ca(&self) -> &str {
        self.gateways.pem()
    }

    /// The certificate of the CA of hosts, which gateways trust.
    pub fn hosts_ca(&self) -> &str {
        self.hosts.pem()
    }

    /// The certificate of a host with this name and serial number.
    pub fn host(&self, name: &str, serial: u64, flaw: Flaw) -> Identity {
        let authority = match flaw {
            Flaw::OtherCa => &self.other,
            Flaw::None | Flaw::Expired | Flaw::ForServers => &self.hosts,
        };
        let good = Wanted::of(name);
        let wanted = Wanted {
            serial,
            hours: if flaw == Flaw::Expired {
                -1
            } else {
                good.hours
            },
            usage: if flaw == Flaw::ForServers {
                Usage::Server
            } else {
                Usage::Client
            },
            ..good
        };
        issued(authority, wanted)
    }

    /// Those of a gateway.
    pub fn certificates(&self) -> Certificates {
        let identity = self.gateway();
        Certificates {
            gateway: identity.certificate + &identity.key,
            gateways_ca: self.gateways.pem().to_owned(),
            hosts_ca: self.hosts.pem().to_owned(),
        }
    }

    /// That of a gateway, which is a server for hosts, and server and client among gateways.
    pub fn gateway(&self) -> Identity {
        let wanted = Wanted {
            usage: Usage::Both,
            also: &["127.0.0.1"],
            ..Wanted::of("localhost")
        };
        issued(&self.gateways, wanted)
    }
}

impl Default for Pki {
    fn default() -> Self {
        Self::new()
    }
}

/// With the serial number as `openssl x509 -serial` prints it.
fn issued(authority: &Authority, wanted: Wanted<'_>) -> Identity {
    let Issued { cert, key } = authority.issue(wanted);
    // Two digits for each byte.
    let digits = format!("{:X}", wanted.serial);
    let even = digits.len().next_multiple_of(2);
    Identity {
        certificate: cert,
        key,
        serial: format!("{digits:0>even$}"),
    }
}

/// A gateway on a free port of 127.0.0.1, run as the user of the test. Dropping it ends it.
pub struct Gateway {
    process: Child,
    port: u16,
    listener: TcpListener,
    folder: TempDir,
    gateways_ca: String,
}

/// Runs `HAProxy` with the files in this folder.
fn run(folder: &TempDir, listener: &TcpListener) -> Child {
    let log = File::create(folder.path().join("log")).expect("a log");
    let mut command = haproxy(&folder.path().join("haproxy.cfg"));
    ffi::with_its_starter(&mut command);
    command
        .stdin(OwnedFd::from(listener.try_clone().expect("the listener")))
        .stdout(log)
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{MISSING}: {error}"))
}

impl Gateway {
    /// A gateway for hosts below `hosts.test`, before this simulator. `settings` are lines of `gateway.toml`, as dotted keys, and
    /// replace the lines that it has already; `host_config` are lines of the configuration of the hosts. The file `printed.cfg`
    /// has the configuration as the tool prints it; the listener of `HAProxy` is a prepared one.
    ///
    /// # Panics
    /// When there is no `HAProxy` here, or it does not understand its configuration; or when the settings have a fault.
    pub fn before(
        simulator: &Simulator,
        pki: &Pki,
        settings: &[&str],
        host_config: &[&str],
    ) -> Self {
        let ca = simulator.ca_pem();
        Self::start(&simulator.url(), ca, pki, settings, host_config)
    }

    /// The same for any URL and CA.
    ///
    /// # Panics
    /// As [`Gateway::before`].
    pub fn start(
        url: &str,
        onelogin_ca: &str,
        pki: &Pki,
        settings: &[&str],
        host_config: &[&str],
    ) -> Self {
        Self::with_certificates(url, onelogin_ca, &pki.certificates(), settings, host_config)
    }

    /// The same with certificates from elsewhere.
    ///
    /// # Panics
    /// As [`Gateway::before`].
    pub fn with_certificates(
        url: &str,
        onelogin_ca: &str,
        certificates: &Certificates,
        settings: &[&str],
        host_config: &[&str],
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on 127.0.0.1");
        Self::at(
            listener,
            url,
            onelogin_ca,
            certificates,
            settings,
            host_config,
        )
    }

    /// The same at another address.
    ///
    /// # Panics
    /// As [`Gateway::before`].
    pub fn at(
        listener: TcpListener,
        url: &str,
        onelogin_ca: &str,
        certificates: &Certificates,
        settings: &[&str],
        host_config: &[&str],
    ) -> Self {
        let root = std::env::temp_dir().canonicalize().expect("a folder");
        let folder = tempfile::Builder::new()
            .prefix("pam-gateway-")
            .tempdir_in(root)
            .expect("a temporary folder can be made");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("a file can be written");
            set_mode(&path, 0o600);
            path
        };
        let address = listener.local_addr().expect("its address");
        let line = |key: &str, path: PathBuf| format!("{key} = {:?}", path.display().to_string());
        let host_lines = [
            "onelogin.url = \"https://localhost\"",
            "onelogin.client_id = \"i\"",
            "onelogin.client_secret = \"s\"",
        ];
        let host_config = [&host_lines[..], host_config].concat().join("\n");
        let socket = folder.path().join("haproxy.sock");
        let mut lines = vec![
            format!("listen = [\"{address}\"]"),
            "hosts = [\"*.hosts.test\"]".to_owned(),
            line("certificate", write("gateway.pem", &certificates.gateway)),
            line("hosts_ca", write("hosts-ca.pem", &certificates.hosts_ca)),
            line(
                "gateways_ca",
                write("gateways-ca.pem", &certificates.gateways_ca),
            ),
            line("revoked", write("revoked", "")),
            line("host_config", write("config.toml", &host_config)),
            line("token_map", write("token.map", "")),
            line("socket", socket.clone()),
            line("onelogin.ca_file", write("onelogin-ca.pem", onelogin_ca)),
            format!("onelogin.url = {url:?}"),
            format!("onelogin.client_id = {DEFAULT_CLIENT_ID:?}"),
            line(
                "onelogin.client_secret_file",
                write("client_secret", DEFAULT_CLIENT_SECRET),
            ),
        ];
        write("enrolling-users", "");
        let place = folder.path().display().to_string();
        let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
        lines.retain(|line| !settings.iter().any(|other| key(other) == key(line)));
        lines.extend(settings.iter().map(|line| line.replace("@folder@", &place)));
        let settings = write("gateway.toml", &(lines.join("\n") + "\n"));
        let printed = Command::new(binary("pam-onelogin"))
            .args(["gateway", "config", "--settings"])
            .arg(&settings)
            .output()
            .expect("the tool runs");
        let said = String::from_utf8_lossy(&printed.stderr);
        assert!(printed.status.success(), "pam-onelogin: {said}");
        let text = String::from_utf8(printed.stdout).expect("text");
        write("printed.cfg", &text);
        // No other program gets the port meanwhile.
        let text = text.replace(&format!("bind {address} "), "bind fd@0 ");
        assert!(text.contains("bind fd@0 "), "{text}");
        // HAProxy compares no address with a certificate. The simulator's has this name, too.
        let text = text.replace(
            "sni str(127.0.0.1) verifyhost 127.0.0.1",
            "sni str(localhost) verifyhost localhost",
        );
        // Where /etc/hosts gives this name two addresses, HAProxy takes the one of IPv6, at which no simulator listens.
        let text = text.replace("server onelogin localhost:", "server onelogin 127.0.0.1:");
        let config = write("haproxy.cfg", &text);
        check(&config, listener.try_clone().expect("the listener"));
        Self {
            process: run(&folder, &listener),
            port: address.port(),
            listener,
            folder,
            gateways_ca: certificates.gateways_ca.clone(),
        }
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The configuration of a host with this certificate, which connects to a port of `localhost`. `place` gets its files.
    pub fn config_of_host(&self, place: &Place, identity: &Identity, port: u16) -> String {
        let write = |name: &str, text: &str| {
            let path = place.write(name, text);
            set_mode(&path, 0o600);
            path
        };
        let mut text = format!("onelogin.url = \"https://localhost:{port}\"\n");
        for (key, path) in [
            ("onelogin.ca_file", write("etc/ca.pem", &self.gateways_ca)),
            (
                "onelogin.client_cert",
                write("etc/host.pem", &identity.certificate),
            ),
            ("onelogin.client_key", write("etc/host.key", &identity.key)),
            ("state_dir", place.state_path()),
        ] {
            let _ = writeln!(text, "{key} = {:?}", path.display().to_string());
        }
        text
    }

    /// A file of the gateway.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What it has logged so far.
    ///
    /// # Panics
    /// When the log cannot be read.
    pub fn log(&self) -> String {
        fs::read_to_string(self.file("log")).expect("the log")
    }

    /// The reply of the admin socket to a command. Waits for `HAProxy` to start.
    ///
    /// # Panics
    /// When there is no reply.
    pub fn admin(&self, command: &str) -> String {
        let mut tries = 0..600;
        let mut stream = loop {
            match UnixStream::connect(self.file("haproxy.sock")) {
                Ok(stream) => break stream,
                Err(error) if tries.next().is_none() => panic!("haproxy.sock: {error}"),
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        };
        writeln!(stream, "{command}").expect("a command");
        let mut said = String::new();
        stream.read_to_string(&mut said).expect("a reply");
        said
    }

    /// Gives the gateway a token that ends at this Unix time.
    pub fn set_token(&self, token: &str, end: u64) {
        let map = self.file("token.map").display().to_string();
        let there = self.admin(&format!("show map {map}"));
        for (key, value) in [("token", token), ("end", &end.to_string())] {
            let verb = if there.contains(&format!(" {key} ")) {
                "set"
            } else {
                "add"
            };
            let said = self.admin(&format!("{verb} map {map} {key} {value}"));
            assert_eq!(said.trim(), "", "{verb} map");
        }
    }

    /// Starts the keeper of the token, and waits for the first token.
    ///
    /// # Panics
    /// When no token comes.
    pub fn keep_token(&self) -> Keeper {
        // Only a HAProxy that answers can take the token.
        self.admin("show info");
        let notify = self.file("notify");
        let socket = UnixDatagram::bind(&notify).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let said = self.file("keeper.log");
        let mut command = Command::new(binary("pam-onelogin"));
        ffi::with_its_starter(&mut command);
        let process = command
            .args(["gateway", "token", "--settings"])
            .arg(self.file("gateway.toml"))
            .env("NOTIFY_SOCKET", &notify)
            // Its lines do not belong in the log of this machine.
            .env("LD_PRELOAD", quiet())
            .env("PAM_HOST_LOG", self.file("no-log"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&said).expect("a file"))
            .spawn()
            .expect("the tool runs");
        let keeper = Keeper { process };
        let mut buffer = [0; 1024];
        loop {
            let length = socket.recv(&mut buffer).unwrap_or_else(|error| {
                let said = fs::read_to_string(&said).unwrap_or_default();
                panic!("no token ({error}): {said}")
            });
            if buffer[..length].starts_with(b"READY=1") {
                return keeper;
            }
        }
    }

    /// Revokes a certificate, as an administrator does while the gateway runs.
    pub fn revoke(&self, identity: &Identity) {
        let list = self.file("revoked").display().to_string();
        let said = self.admin(&format!("add acl {list} {}", identity.serial));
        assert_eq!(said.trim(), "");
    }

    /// A connection of a host, after its part of the handshake.
    ///
    /// # Errors
    /// When the handshake fails on this side. The gateway judges the certificate later.
    pub fn connect(&self, identity: Option<&Identity>) -> io::Result<Connection> {
        self.connect_by(identity, false)
    }

    /// The same with TLS 1.2.
    ///
    /// # Errors
    /// As [`Gateway::connect`].
    pub fn connect_by_tls12(&self, identity: &Identity) -> io::Result<Connection> {
        self.connect_by(Some(identity), true)
    }

    fn connect_by(&self, identity: Option<&Identity>, is_tls12: bool) -> io::Result<Connection> {
        Connection::by(self.raw(), &self.gateways_ca, identity, is_tls12)
    }

    /// A connection without TLS.
    ///
    /// # Panics
    /// When no connection can be made.
    pub fn raw(&self) -> TcpStream {
        raw(self.port)
    }

    /// Stops it, and starts it with the files as they are now.
    pub fn restart(&mut self) {
        self.stop();
        self.process = run(&self.folder, &self.listener);
    }

    /// Stops it.
    pub fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A keeper of the token. Dropping it ends it.
pub struct Keeper {
    process: Child,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A connection of a host.
pub struct Connection(StreamOwned<ClientConnection, TcpStream>);

/// What came back.
#[derive(Clone, Debug)]
pub struct Said {
    /// The status; 0 if the connection ended without a reply.
    pub status: u16,
    /// All headers, with names in small letters.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Said {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(other, _)| other == name);
        header.map(|(_, value)| value.as_str())
    }

    /// The word of the gateway.
    pub fn word(&self) -> &str {
        self.header("x-gateway").unwrap_or_default()
    }
}

impl Connection {
    /// A connection to another server at a port of 127.0.0.1, which has a certificate of this CA.
    ///
    /// # Errors
    /// As [`Gateway::connect`].
    pub fn to(port: u16, ca: &str, identity: Option<&Identity>) -> io::Result<Self> {
        Self::by(raw(port), ca, identity, false)
    }

    fn by(
        mut stream: TcpStream,
        ca: &str,
        identity: Option<&Identity>,
        is_tls12: bool,
    ) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(ca.as_bytes()).expect("a CA");
        roots.add(ca).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions: &[_] = if is_tls12 { &[&TLS12] } else { &[&TLS13] };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let chain = CertificateDer::pem_slice_iter(identity.certificate.as_bytes());
                let chain = chain.collect::<Result<_, _>>().expect("certificates");
                let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("a key");
                builder.with_client_auth_cert(chain, key).expect("a client")
            }
        };
        let name = ServerName::try_from("localhost").expect("a name");
        let mut tls = ClientConnection::new(Arc::new(config), name).expect("a client");
        while tls.is_handshaking() {
            tls.complete_io(&mut stream)?;
        }
        Ok(Self(StreamOwned::new(tls, stream)))
    }

    /// Sends bytes and reads one reply.
    pub fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Said {
        self.send(&bytes);
        if bytes.as_ref().starts_with(b"HEAD ") {
            return self.head();
        }
        self.reply()
    }

    /// Sends bytes. A gateway that has closed the connection may have said why.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.0.write_all(bytes.as_ref());
        let _ = self.0.flush();
    }

    /// Waits for bytes no longer than this.
    ///
    /// # Panics
    /// When the time is zero.
    pub fn patience(mut self, time: Duration) -> Self {
        let stream = self.0.get_mut();
        stream.set_read_timeout(Some(time)).expect("a timeout");
        self
    }

    /// Reads one reply.
    pub fn reply(&mut self) -> Said {
        let mut said = self.head();
        let length = said.header("content-length").and_then(|it| it.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        let _ = self.0.read_exact(&mut body);
        if said.header("transfer-encoding").is_some() {
            let mut byte = [0];
            while !body.ends_with(b"0\r\n\r\n") {
                match self.0.read(&mut byte) {
                    Ok(1) => body.push(byte[0]),
                    _ => break,
                }
            }
        }
        said.body = String::from_utf8_lossy(&body).into_owned();
        said
    }

    /// Reads the head of a reply.
    fn head(&mut self) -> Said {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            match self.0.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => break,
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.lines();
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
        Said {
            status: status.unwrap_or(0),
            headers: headers.collect(),
            body: String::new(),
        }
    }

    /// Whether the other side has closed the connection: waits for that or for bytes.
    pub fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        match self.0.read(&mut byte) {
            Ok(read) => read == 0,
            Err(error) => !matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            ),
        }
    }
}

fn raw(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Two free ports of 127.0.0.1.
///
/// # Panics
/// When no port is free.
pub fn ports() -> [u16; 2] {
    let listeners = [0, 1].map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port"));
    listeners.map(|listener| listener.local_addr().expect("its address").port())
}

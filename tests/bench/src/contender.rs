//! The modules that are compared, each with stacks of its own and what it talks to.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use nix::unistd::{Uid, User as Account};
use onelogin_simulator::{Action, Device, Fault, Match, Options, Simulator, Tickets, User, totp};
use pam_host::place::settings;
use pam_host::{Case, Place, Proxy};

/// A round trip on the slow way.
pub const FAR: Duration = Duration::from_millis(80);

/// Where a login goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Loopback.
    Near,
    /// Loopback, with [`FAR`] for a round trip.
    Far,
}

/// A module under measurement.
pub struct Contender {
    /// What the tables call it.
    pub name: &'static str,
    /// Its file.
    pub module: PathBuf,
    /// Whether it asks for a code.
    pub asks: bool,
    /// What it talks to, if anything.
    pub wires: Option<Rc<Wires>>,
    /// Where it keeps its state, if that is known.
    pub state: Option<PathBuf>,
    place: Place,
    service: &'static str,
    code: Box<dyn Fn() -> String>,
    case: Box<dyn Fn(Case) -> Case>,
}

/// A server, and both ways to it.
pub struct Wires {
    /// It answers.
    pub server: Simulator,
    near: Proxy,
    far: Proxy,
}

impl Wires {
    fn to(server: Simulator) -> Rc<Self> {
        let near = Proxy::to(server.port(), Duration::ZERO);
        let far = Proxy::to(server.port(), FAR);
        Rc::new(Self { server, near, far })
    }

    /// One of the ways.
    pub fn way(&self, way: Way) -> &Proxy {
        match way {
            Way::Near => &self.near,
            Way::Far => &self.far,
        }
    }
}

impl Contender {
    /// A login at this module, not begun.
    pub fn case(&self, way: Way) -> Case {
        let case = Case::new(self.place.path().join(folder(way)), self.service);
        (self.case)(case.user(account().as_str()).unwatched())
    }

    /// A code that it takes now.
    pub fn code(&self) -> String {
        (self.code)()
    }

    /// `pam_permit`: what libpam itself costs.
    ///
    /// # Errors
    /// When the module is not on this machine.
    pub fn permit() -> io::Result<Self> {
        let place = Place::with_module(&beside_pam_unix("pam_permit.so")?);
        let mut made = Self::new("pam_permit (the floor)", place, "sshd", None, |_, _| {
            String::new()
        });
        made.asks = false;
        Ok(made)
    }

    /// `pam_google_authenticator`: a code without a network.
    ///
    /// # Errors
    /// When `peers` does not have it.
    pub fn google_authenticator(peers: &Path) -> io::Result<Self> {
        const SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
        let place = Place::with_module(&found(peers, "pam_google_authenticator.so")?);
        let name = "pam_google_authenticator (no network)";
        let mut made = Self::new(name, place, "sshd", None, |place, _| {
            let file = place.write("google/secret", format!("{SECRET}\n\" TOTP_AUTH\n"));
            format!("secret={} echo_verification_code", file.display())
        });
        made.code = Box::new(|| totp(SECRET, SystemTime::now()).unwrap_or_default());
        Ok(made)
    }

    /// `pam_duo` in sshd or sudo, against a stand-in for Duo's service. It is given one certificate to trust, as it is built
    /// with a short list of its own.
    ///
    /// # Errors
    /// When `peers` does not have it.
    pub fn duo(peers: &Path, service: &'static str) -> io::Result<Self> {
        let place = Place::with_module(&found(peers, "pam_duo.so")?);
        let library = found(peers, "libduo.so.3")?;
        let wires = Wires::to(duo_service());
        let name = if service == "sudo" {
            "pam_duo as sudo"
        } else {
            "pam_duo as sshd"
        };
        let server = Rc::clone(&wires);
        let mut made = Self::new(name, place, service, Some(wires), move |place, way| {
            let ca = place.write("etc/ca.pem", server.server.ca_pem());
            let text = format!(
                "[duo]\nikey = DI{0:X>18}\nskey = {0:x>40}\nhost = localhost:{1}\ncafile = {2}\nprompts = 1\n",
                "",
                server.way(way).port(),
                ca.display()
            );
            let file = place.write(format!("etc/{}.conf", folder(way)), text);
            format!("conf={}", file.display())
        });
        let libraries = library.parent().map(Path::to_owned).unwrap_or_default();
        made.case = Box::new(move |case| {
            let case = case.tty("ssh").rhost("127.0.0.1");
            case.env("LD_LIBRARY_PATH", &libraries)
        });
        Ok(made)
    }

    /// This module in sshd, with these certificates and that of the simulator's CA behind them.
    pub fn ours(name: &'static str, bundle: &str) -> Self {
        Self::ours_in(name, "sshd", bundle, &[])
    }

    /// This module in sshd or sudo, with further lines of configuration.
    pub fn ours_in(
        name: &'static str,
        service: &'static str,
        bundle: &str,
        further: &'static [&str],
    ) -> Self {
        let wires = Wires::to(onelogin());
        let server = Rc::clone(&wires);
        let bundle = bundle.to_owned() + wires.server.ca_pem();
        let mut made = Self::new(
            name,
            Place::new(),
            service,
            Some(wires),
            move |place, way| {
                let ca = place.write("etc/ca.pem", &bundle);
                let port = server.way(way).port();
                let url = format!("onelogin.url = \"https://localhost:{port}\"");
                let lines = [&[url.as_str()], further].concat();
                let text = settings(&server.server, &ca, Some(&place.state_path()), &lines);
                let file = place.write(format!("etc/{}.toml", folder(way)), text);
                format!("config={}", file.display())
            },
        );
        made.state = Some(made.place.state_path());
        made.case = Box::new(move |case| match service {
            "sudo" => case.tty("/dev/pts/7"),
            _ => case.ssh_with_key(&connection()),
        });
        made.code = Box::new(fresh_code);
        made
    }

    /// One request by rustls and nothing else, at the server of `other`, which must have been logged in at.
    pub fn bare(name: &'static str, bundle: &str, module: &Path, other: &Self) -> Self {
        let place = Place::with_module(module);
        let wires = other.wires.clone();
        let server = wires.clone();
        let bundle = bundle.to_owned();
        let mut made = Self::new(name, place, "sshd", wires, move |place, way| {
            let Some(wires) = &server else {
                return String::new();
            };
            let ca = place.write("etc/ca.pem", bundle.clone() + wires.server.ca_pem());
            let tokens = wires.server.access_tokens();
            let plan = format!(
                "{}\n{}\n{}\n/api/2/mfa/users/{ID}/verifications\n{DEVICE}\n",
                wires.way(way).port(),
                ca.display(),
                tokens.first().map(String::as_str).unwrap_or_default(),
            );
            let file = place.write(format!("etc/{}.plan", folder(way)), plan);
            file.display().to_string()
        });
        made.code = Box::new(fresh_code);
        made
    }

    /// A module whose stacks have these arguments.
    fn new(
        name: &'static str,
        place: Place,
        service: &'static str,
        wires: Option<Rc<Wires>>,
        arguments: impl Fn(&Place, Way) -> String,
    ) -> Self {
        for way in [Way::Near, Way::Far] {
            let module = place.module().display();
            let line = format!("auth required {module} {}\n", arguments(&place, way));
            place.write(format!("{}/{service}", folder(way)), line);
        }
        Self {
            name,
            module: place.module().to_owned(),
            asks: true,
            wires,
            state: None,
            place,
            service,
            code: Box::new(|| "123456".to_owned()),
            case: Box::new(|case| case),
        }
    }
}

/// The certificates of this system, as PEM.
///
/// # Errors
/// When there are none at the usual places.
pub fn system_bundle() -> io::Result<String> {
    let places = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
    ];
    let found = places.iter().find_map(|path| fs::read_to_string(path).ok());
    found.ok_or_else(|| io::Error::other("no CA bundle: install ca-certificates"))
}

/// The folder of the stacks for a way, below the place.
fn folder(way: Way) -> &'static str {
    match way {
        Way::Near => "near",
        Way::Far => "far",
    }
}

/// A OneLogin at which this process's user has an authenticator.
pub(crate) fn onelogin() -> Simulator {
    let simulator = Simulator::start_with(quiet());
    simulator.add_user(User::new(ID, account()));
    let codes = (0..CODES).map(|number| format!("{number:06}"));
    simulator.add_device(ID, Device::authenticator(DEVICE, "App").codes(codes));
    simulator
}

/// A OneLogin at which the user `nobody` has OneLogin Protect, and a place for stacks with this module.
pub fn with_push() -> (Simulator, Place) {
    let simulator = Simulator::start_with(quiet());
    simulator.add_user(User::new(ID, "nobody"));
    simulator.add_device(ID, Device::protect(DEVICE, "Phone"));
    let place = Place::new();
    place.config_for(&simulator, &["first_factor = \"assumed\""]);
    (simulator, place)
}

/// Duo's service as libduo 1.11 speaks with it: BSON in replies to forms. Each code is right. Where a transaction is asked
/// for (sudo), its status is the reply.
pub fn duo_service() -> Simulator {
    duo_service_that("allow", "Success. Logging you in...")
}

/// The same, where each push is denied.
pub fn duo_service_that_denies() -> Simulator {
    duo_service_that("deny", "Login request denied.")
}

fn duo_service_that(result: &str, status: &str) -> Simulator {
    let service = Simulator::start_with(quiet());
    let reply = bson(&[
        ("result", Bson::Text(result)),
        ("status", Bson::Text(status)),
    ]);
    let transaction = bson(&[("txid", Bson::Text("tx1"))]);
    let factors = bson(&[("default", Bson::Text("push1")), ("1", Bson::Text("push1"))]);
    let question = bson(&[
        ("result", Bson::Text("auth")),
        ("prompt", Bson::Text("Passcode: ")),
        ("factors", Bson::Document(&factors)),
    ]);
    for (on, response) in [
        (Match::path("/preauth.bson"), question),
        (Match::path("/auth.bson").body("async=1"), transaction),
        (Match::path("/auth.bson"), reply.clone()),
        (Match::path("/status.bson"), reply),
    ] {
        let reply = bson(&[
            ("stat", Bson::Text("OK")),
            ("response", Bson::Document(&response)),
        ]);
        service.fault(Fault::new(on, Action::Body(reply)));
    }
    service
}

enum Bson<'a> {
    Text(&'a str),
    Document(&'a str),
}

/// A BSON document. It is text as long as each length in it is below 128, which is what this is for.
fn bson(fields: &[(&str, Bson<'_>)]) -> String {
    let length = |length: usize| {
        let byte = u8::try_from(length).ok().filter(u8::is_ascii);
        let byte = byte.expect("a document for this fits into 127 bytes");
        format!("{}\0\0\0", char::from(byte))
    };
    let fields = fields.iter().map(|(name, value)| match value {
        Bson::Text(text) => format!("\u{2}{name}\0{}{text}\0", length(text.len() + 1)),
        Bson::Document(document) => format!("\u{3}{name}\0{document}"),
    });
    let inside: String = fields.collect();
    // The length counts itself and the last byte.
    format!("{}{inside}\0", length(inside.len() + 5))
}

fn quiet() -> Options {
    Options {
        tickets: Tickets::Withheld,
        ..Options::default()
    }
}

/// The name of the user of this process, who need not be root.
pub(crate) fn account() -> String {
    Account::from_uid(Uid::current())
        .ok()
        .flatten()
        .map_or_else(|| "root".to_owned(), |account| account.name)
}

/// A connection that no login had before.
pub(crate) fn connection() -> String {
    static PORT: AtomicU32 = AtomicU32::new(1);
    let port = PORT.fetch_add(1, Ordering::Relaxed);
    format!("192.0.2.7 {port} 192.0.2.1 22")
}

/// A code that was not typed before.
pub(crate) fn fresh_code() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{:06}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A file of this name below a folder.
fn found(folder: &Path, name: &str) -> io::Result<PathBuf> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|file| file == name) {
            return Ok(path);
        }
        if path.is_dir() && !path.is_symlink() {
            if let Ok(path) = found(&path, name) {
                return Ok(path);
            }
        }
    }
    let text = format!("no {name} below {}", folder.display());
    Err(io::Error::new(io::ErrorKind::NotFound, text))
}

/// A module of libpam's own.
fn beside_pam_unix(name: &str) -> io::Result<PathBuf> {
    let machine = std::env::consts::ARCH;
    let folders = [
        format!("/usr/lib/{machine}-linux-gnu/security"),
        format!("/lib/{machine}-linux-gnu/security"),
        "/usr/lib64/security".to_owned(),
        "/usr/lib/security".to_owned(),
    ];
    let mut paths = folders.iter().map(|folder| Path::new(folder).join(name));
    let found = paths.find(|path| path.exists());
    found.ok_or_else(|| io::Error::other(format!("no {name} on this system")))
}

const ID: u64 = 1001;
const DEVICE: &str = "501";
/// More than a measurement types.
const CODES: u32 = 20_000;

//! `gateway.toml`, the settings of a gateway, as values, or every fault with its line and what to write instead. What the hosts
//! do is in a copy of their own configuration, which `host_config` names.

use crate::outcome::Failure;
use pam_onelogin::config::keys::{Key, Number, Path as PathKind, Text, Texts};
use pam_onelogin::config::table::{Keys, Reader, Table, list};
use pam_onelogin::config::{self, Config, ConfigFault, Origin};
use pam_onelogin::host::uids;
use pam_onelogin::trust::{Privacy, Trusted};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where the settings are by default.
pub(crate) const DEFAULT: &str = "/etc/pam_onelogin/gateway.toml";

/// The longest settings, and the longest configuration of hosts, in bytes.
const MAX: u64 = 64 << 10;

/// The settings of a gateway.
pub(crate) struct Settings {
    /// `listen`: the addresses that hosts connect to.
    pub(crate) listen: Vec<SocketAddr>,
    /// `certificate`: PEM file with the gateway's certificate, its chain and its key.
    pub(crate) certificate: PathBuf,
    /// `hosts_ca`: PEM file with the CA that signs the certificates of hosts.
    pub(crate) hosts_ca: PathBuf,
    /// `hosts`: patterns of the names of hosts that may use the gateway.
    pub(crate) hosts: Vec<Pattern>,
    /// `enrolling`: patterns of the names of hosts that may also enrol factors.
    pub(crate) enrolling: Vec<Pattern>,
    /// `enrolling_users`: file with the ids of the users that those hosts may enrol factors for.
    pub(crate) enrolling_users: Option<PathBuf>,
    /// `revoked`: file with the serial numbers of revoked certificates.
    pub(crate) revoked: PathBuf,
    /// What the file that `host_config` names says.
    pub(crate) host_config: Config,
    /// `[onelogin]`: the tenant.
    pub(crate) onelogin: OneLogin,
    /// `[limits]`: what hosts may send.
    pub(crate) limits: Limits,
    /// `name`: which of `[[peers]]` this gateway is; `None` for a gateway alone.
    pub(crate) name: Option<String>,
    /// `gateways_ca`: PEM file with the CA that signs the certificates of gateways.
    pub(crate) gateways_ca: Option<PathBuf>,
    /// `[[peers]]`: all gateways that share their limits, this one too.
    pub(crate) peers: Vec<Peer>,
    /// `socket`: the admin socket of `HAProxy`.
    pub(crate) socket: PathBuf,
    /// `token_map`: the file from which `HAProxy` takes the token when it starts.
    pub(crate) token_map: PathBuf,
}

/// The table `[onelogin]`.
pub(crate) struct OneLogin {
    /// `url`: the tenant.
    pub(crate) origin: Origin,
    /// `client_id` of the API credential.
    #[allow(dead_code, reason = "only the token keeper needs it")]
    pub(crate) client_id: String,
    /// `client_secret_file`; `None` for the credential `client_secret` of the service.
    #[allow(dead_code, reason = "only the token keeper needs it")]
    pub(crate) client_secret_file: Option<PathBuf>,
    /// `ca_file`: replaces the system's trust store.
    pub(crate) ca_file: Option<PathBuf>,
}

/// The table `[limits]`.
pub(crate) struct Limits {
    /// `connections`: open connections of all hosts.
    pub(crate) connections: u32,
    /// `connections_per_address`: open connections from one address, before and after the handshake.
    pub(crate) connections_per_address: u32,
    /// `new_connections`: connections that one address makes in ten seconds.
    pub(crate) new_connections: u32,
    /// `connections_per_host`: open connections of one certificate.
    pub(crate) connections_per_host: u32,
    /// `requests`: requests of one host in a minute.
    pub(crate) requests: u32,
    /// `look_ups`: look-ups of users and devices by one host in a minute.
    pub(crate) look_ups: u32,
    /// `users`: users that are new to one host, in an hour.
    pub(crate) users: u32,
    /// `sends`: pushes, calls and messages to one user by all hosts, in five minutes.
    pub(crate) sends: u32,
    /// `codes`: codes of one user by all hosts, in five minutes.
    pub(crate) codes: u32,
    /// `refused_codes`: codes of one user that OneLogin did not accept, by all hosts, in a day.
    pub(crate) refused_codes: u32,
    /// `enrolments`: enrolments of one user that all hosts began, in a day.
    pub(crate) enrolments: u32,
    /// `at_onelogin`: requests that are sent to OneLogin at a time.
    pub(crate) at_onelogin: u32,
}

/// One of `[[peers]]`: a gateway that shares its limits.
pub(crate) struct Peer {
    /// `name`
    pub(crate) name: String,
    /// `address`
    pub(crate) address: SocketAddr,
}

/// A name of hosts in which `*` stands for any letters, digits, `-` and `_`, but for no dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(String);

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.*".contains(c);
        let is_name = text.chars().all(fits) && !text.split('.').any(str::is_empty);
        (is_name && text.len() <= 253).then(|| Self(text.to_owned()))
    }

    /// As it is in the settings.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

const LISTEN: Key<Texts> = texts("listen");
const CERTIFICATE: Key<Text> = text("certificate");
const HOSTS_CA: Key<Text> = text("hosts_ca");
const HOSTS: Key<Texts> = texts("hosts");
const ENROLLING: Key<Texts> = texts("enrolling");
const ENROLLING_USERS: Key<PathKind> = path("enrolling_users", None);
const REVOKED: Key<PathKind> = path("revoked", Some("/etc/pam_onelogin/gateway/revoked"));
const HOST_CONFIG: Key<Text> = text("host_config");
const NAME: Key<Text> = text("name");
const GATEWAYS_CA: Key<PathKind> = path("gateways_ca", None);
const SOCKET: Key<PathKind> = path("socket", Some("/run/pam_onelogin_gateway/haproxy.sock"));
const TOKEN_MAP: Key<PathKind> = path(
    "token_map",
    Some("/run/pam_onelogin_gateway_token/token.map"),
);

const URL: Key<Text> = text("url");
const CLIENT_ID: Key<Text> = text("client_id");
const CLIENT_SECRET_FILE: Key<PathKind> = path("client_secret_file", None);
const CA_FILE: Key<PathKind> = path("ca_file", None);

const CONNECTIONS: Key<Number<u32>> = number("connections", 4000, 50_000);
const CONNECTIONS_PER_ADDRESS: Key<Number<u32>> = number("connections_per_address", 1000, 50_000);
const NEW_CONNECTIONS: Key<Number<u32>> = number("new_connections", 2000, 1_000_000);
const CONNECTIONS_PER_HOST: Key<Number<u32>> = number("connections_per_host", 200, 50_000);
const REQUESTS: Key<Number<u32>> = number("requests", 3000, 1_000_000);
const LOOK_UPS: Key<Number<u32>> = number("look_ups", 600, 1_000_000);
const USERS: Key<Number<u32>> = number("users", 300, 1_000_000);
const SENDS: Key<Number<u32>> = number("sends", 20, 1000);
const CODES: Key<Number<u32>> = number("codes", 30, 1000);
const REFUSED_CODES: Key<Number<u32>> = number("refused_codes", 40, 1000);
const ENROLMENTS: Key<Number<u32>> = number("enrolments", 5, 100);
const AT_ONELOGIN: Key<Number<u32>> = number("at_onelogin", 200, 10_000);

const PEER_NAME: Key<Text> = text("name");
const PEER_ADDRESS: Key<Text> = text("address");

const fn text(name: &'static str) -> Key<Text> {
    Key { name, kind: Text }
}

const fn texts(name: &'static str) -> Key<Texts> {
    let kind = Texts::Empty;
    Key { name, kind }
}

const fn path(name: &'static str, default: Option<&'static str>) -> Key<PathKind> {
    let kind = PathKind(default);
    Key { name, kind }
}

const fn number(name: &'static str, default: u32, most: u32) -> Key<Number<u32>> {
    let kind = Number {
        default,
        least: 1,
        most,
    };
    Key { name, kind }
}

/// The keys of the settings.
const KEYS: Keys = Keys { names, table_of };

fn table_of(key: &str) -> Option<&'static str> {
    let mut tables = ["", "onelogin", "limits", "peers"].into_iter();
    tables.find(|table| names(table).contains(&key))
}

/// The keys of each table, for the faults.
fn names(table: &str) -> Vec<&'static str> {
    let names: &[&str] = match table {
        "" => &[
            "listen",
            "certificate",
            "hosts_ca",
            "hosts",
            "enrolling",
            "enrolling_users",
            "revoked",
            "host_config",
            "name",
            "gateways_ca",
            "socket",
            "token_map",
            "onelogin",
            "limits",
            "peers",
        ],
        "onelogin" => &["url", "client_id", "client_secret_file", "ca_file"],
        "limits" => &[
            "connections",
            "connections_per_address",
            "new_connections",
            "connections_per_host",
            "requests",
            "look_ups",
            "users",
            "sends",
            "codes",
            "refused_codes",
            "enrolments",
            "at_onelogin",
        ],
        _ => &["name", "address"],
    };
    names.to_vec()
}

impl Settings {
    /// Reads the settings, and the configuration of the hosts that they name.
    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        let text = file(path)?;
        let read = parse(&path.display().to_string(), &text, |path| {
            let text = file(path).map_err(|Failure(sentences)| sentences)?;
            config::parse(&path.display().to_string(), &text).map_err(|faults| sentences(&faults))
        });
        read.map_err(Failure)
    }
}

/// What the token keeper needs of the settings.
pub(crate) struct OfKeeper {
    /// `[onelogin]`: the tenant.
    pub(crate) onelogin: OneLogin,
    /// `socket`: the admin socket of `HAProxy`.
    pub(crate) socket: PathBuf,
    /// `token_map`: the file from which `HAProxy` takes the token when it starts.
    pub(crate) token_map: PathBuf,
}

impl OfKeeper {
    /// Reads the settings. The configuration of the hosts stays closed: the user of the keeper may not read it.
    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        const STAND_IN: &str =
            "onelogin = { url = \"https://x.invalid\", client_id = \"-\", client_secret = \"-\" }";
        let text = file(path)?;
        let stand_in = |_: &Path| {
            let config = config::parse("", STAND_IN);
            config.map_err(|faults| faults.iter().map(ToString::to_string).collect())
        };
        let settings = parse(&path.display().to_string(), &text, stand_in).map_err(Failure)?;
        Ok(Self {
            onelogin: settings.onelogin,
            socket: settings.socket,
            token_map: settings.token_map,
        })
    }
}

fn file(path: &Path) -> Result<String, Failure> {
    let bytes = Trusted::of(uids())
        .read(path, Privacy::Public, MAX)
        .map_err(|error| Failure::at(path, error))?;
    String::from_utf8(bytes.to_vec()).map_err(|_| Failure::at(path, "is not UTF-8 text"))
}

fn sentences(faults: &[ConfigFault]) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

/// Reads the settings. `name` is that of their file in the faults; `host_config` reads a configuration of hosts.
fn parse(
    name: &str,
    text: &str,
    host_config: impl Fn(&Path) -> Result<Config, Vec<String>>,
) -> Result<Settings, Vec<String>> {
    let (mut reader, top) =
        Reader::open(name, text, KEYS).map_err(|fault| vec![fault.to_string()])?;
    let mut of_hosts = Vec::new();
    let settings = settings(&mut reader, top, |path| match host_config(path) {
        Ok(config) => Some(config),
        Err(sentences) => {
            of_hosts = sentences;
            None
        }
    });
    match reader.end(settings) {
        Ok(settings) => Ok(settings),
        Err(faults) => Err(sentences(&faults).into_iter().chain(of_hosts).collect()),
    }
}

fn settings<'a>(
    reader: &mut Reader<'a>,
    mut top: Table<'a>,
    host_config: impl FnOnce(&Path) -> Option<Config>,
) -> Option<Settings> {
    let onelogin = reader.table(&mut top, "onelogin");
    let limits = reader.table(&mut top, "limits");
    let peers = reader.tables(&mut top, "peers");
    let listen = listen(reader, &mut top);
    let certificate = required_path(reader, &mut top, &CERTIFICATE);
    let hosts_ca = required_path(reader, &mut top, &HOSTS_CA);
    let hosts_line = reader.line(&top, HOSTS.name);
    let hosts = patterns(reader, &mut top, &HOSTS);
    if hosts.is_empty() {
        reader.fault(
            hosts_line,
            "\"hosts\" must name the hosts that may use the gateway, such as [\"*.hosts.example.com\"]",
        );
    }
    let enrolling_line = reader.line(&top, ENROLLING.name);
    let enrolling = patterns(reader, &mut top, &ENROLLING);
    let enrolling_users = reader.path(&mut top, &ENROLLING_USERS);
    if !enrolling.is_empty() && enrolling_users.is_none() {
        reader.fault(
            enrolling_line,
            "\"enrolling\" needs \"enrolling_users\": write the path of a file with the id of a user on each line",
        );
    }
    let revoked = reader.path(&mut top, &REVOKED);
    let host_config_path = required_path(reader, &mut top, &HOST_CONFIG);
    let (name, gateways_ca, peers) = cluster(reader, &mut top, peers);
    let socket = reader.path(&mut top, &SOCKET);
    let token_map = reader.path(&mut top, &TOKEN_MAP);
    reader.leftovers(top);
    let onelogin = self::onelogin(reader, onelogin);
    let limits = self::limits(reader, limits);
    Some(Settings {
        host_config: host_config_path.as_deref().and_then(host_config)?,
        listen,
        certificate: certificate?,
        hosts_ca: hosts_ca?,
        hosts,
        enrolling,
        enrolling_users,
        revoked: revoked?,
        onelogin: onelogin?,
        limits,
        name,
        gateways_ca,
        peers,
        socket: socket?,
        token_map: token_map?,
    })
}

fn listen<'a>(reader: &mut Reader<'a>, top: &mut Table<'a>) -> Vec<SocketAddr> {
    let line = reader.line(top, LISTEN.name);
    let Some(texts) = reader.texts(top, &LISTEN) else {
        return [8443]
            .into_iter()
            .flat_map(|port| {
                [
                    SocketAddr::from(([0; 4], port)),
                    SocketAddr::from(([0_u16; 8], port)),
                ]
            })
            .collect();
    };
    if texts.is_empty() {
        reader.fault(
            line,
            "\"listen\" is empty; write addresses with a port, or remove the line",
        );
    }
    let mut addresses = Vec::new();
    for text in texts {
        match text.parse() {
            Ok(address) => addresses.push(address),
            Err(_) => reader.fault(
                line,
                format!("\"listen\": \"{text}\" is not an address with a port, such as \"0.0.0.0:8443\" or \"[::]:8443\""),
            ),
        }
    }
    addresses
}

fn patterns<'a>(reader: &mut Reader<'a>, top: &mut Table<'a>, key: &Key<Texts>) -> Vec<Pattern> {
    let line = reader.line(top, key.name);
    let mut patterns = Vec::new();
    for text in reader.texts(top, key).unwrap_or_default() {
        match Pattern::parse(&text) {
            Some(pattern) => patterns.push(pattern),
            None => reader.fault(
                line,
                format!("\"{}\": \"{text}\" is not a host name, in which \"*\" may stand for a part without dots", key.name),
            ),
        }
    }
    patterns
}

/// A path without a default.
fn required_path<'a>(
    reader: &mut Reader<'a>,
    table: &mut Table<'a>,
    key: &Key<Text>,
) -> Option<PathBuf> {
    let line = reader.line(table, key.name);
    let path = PathBuf::from(reader.required_text(table, key)?);
    if path.is_absolute() {
        return Some(path);
    }
    reader.fault(line, format!("\"{}\" must be an absolute path", key.name));
    None
}

/// `name`, `gateways_ca` and `[[peers]]`. A gateway alone may have a CA, which is then for its check.
fn cluster<'a>(
    reader: &mut Reader<'a>,
    top: &mut Table<'a>,
    tables: Vec<Table<'a>>,
) -> (Option<String>, Option<PathBuf>, Vec<Peer>) {
    let line = reader.line(top, NAME.name);
    let name = reader.text(top, &NAME);
    let gateways_ca = reader.path(top, &GATEWAYS_CA);
    let mut peers = Vec::new();
    for mut table in tables {
        let (name_line, address_line) = (
            reader.line(&table, PEER_NAME.name),
            reader.line(&table, PEER_ADDRESS.name),
        );
        let name = reader.required_text(&mut table, &PEER_NAME);
        let address = reader.required_text(&mut table, &PEER_ADDRESS);
        reader.leftovers(table);
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name
            .as_deref()
            .is_some_and(|name| !name.chars().all(is_name))
        {
            reader.fault(
                name_line,
                "\"name\" may contain letters, digits, \"-\", \"_\" and \".\"",
            );
        }
        let address = address.and_then(|text| {
            let address = text.parse().ok();
            if address.is_none() {
                reader.fault(
                    address_line,
                    format!("\"address\": \"{text}\" is not an address with a port, such as \"10.0.0.1:8444\""),
                );
            }
            address
        });
        if let (Some(name), Some(address)) = (name, address) {
            peers.push(Peer { name, address });
        }
    }
    if peers.is_empty() {
        return (None, gateways_ca, peers);
    }
    let known: Vec<&str> = peers.iter().map(|peer| peer.name.as_str()).collect();
    let is_known = |name: &str| known.contains(&name);
    if !name.as_deref().is_some_and(is_known) {
        reader.fault(
            line,
            format!(
                "\"name\" must be that of this gateway in [[peers]]: one of {}",
                list(&known)
            ),
        );
    }
    if gateways_ca.is_none() {
        reader.fault(
            line,
            "[[peers]] needs \"gateways_ca\", the CA of the certificates of gateways",
        );
    }
    (name, gateways_ca, peers)
}

fn onelogin<'a>(reader: &mut Reader<'a>, mut table: Table<'a>) -> Option<OneLogin> {
    let line = reader.line(&table, URL.name);
    let url = reader.required_text(&mut table, &URL);
    let origin = url.and_then(|url| match Origin::parse(&url) {
        Ok(origin) => Some(origin),
        Err(why) => {
            let text = format!("\"url\" {why}; write \"https://<subdomain>.onelogin.com\"");
            reader.fault(line, text);
            None
        }
    });
    let client_id = reader.required_text(&mut table, &CLIENT_ID);
    let client_secret_file = reader.path(&mut table, &CLIENT_SECRET_FILE);
    let ca_file = reader.path(&mut table, &CA_FILE);
    reader.leftovers(table);
    Some(OneLogin {
        origin: origin?,
        client_id: client_id?,
        client_secret_file,
        ca_file,
    })
}

fn limits<'a>(reader: &mut Reader<'a>, mut table: Table<'a>) -> Limits {
    let mut number = |key| reader.number(&mut table, key);
    let limits = Limits {
        connections: number(&CONNECTIONS),
        connections_per_address: number(&CONNECTIONS_PER_ADDRESS),
        new_connections: number(&NEW_CONNECTIONS),
        connections_per_host: number(&CONNECTIONS_PER_HOST),
        requests: number(&REQUESTS),
        look_ups: number(&LOOK_UPS),
        users: number(&USERS),
        sends: number(&SENDS),
        codes: number(&CODES),
        refused_codes: number(&REFUSED_CODES),
        enrolments: number(&ENROLMENTS),
        at_onelogin: number(&AT_ONELOGIN),
    };
    reader.leftovers(table);
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "certificate = \"/c\"\nhosts_ca = \"/h\"\nhosts = [\"*.hosts.test\"]\nhost_config = \"/config.toml\"\n[onelogin]\nurl = \"https://example.onelogin.com\"\nclient_id = \"id\"\n";

    fn host_config(_: &Path) -> Result<Config, Vec<String>> {
        let text = "[onelogin]\nurl = \"https://gateway.test\"\nclient_id = \"i\"\nclient_secret = \"s\"\n";
        config::parse("config.toml", text).map_err(|faults| sentences(&faults))
    }

    fn faults(text: &str) -> Vec<String> {
        parse("g", text, host_config).err().unwrap_or_default()
    }

    #[test]
    fn few_keys_are_required_and_the_rest_has_defaults() {
        let settings = parse("g", LEAST, host_config).unwrap_or_else(|faults| panic!("{faults:?}"));
        let listen: Vec<String> = settings.listen.iter().map(ToString::to_string).collect();
        assert_eq!(listen, ["0.0.0.0:8443", "[::]:8443"]);
        assert_eq!(settings.limits.sends, 20);
        assert_eq!(
            settings.token_map,
            Path::new("/run/pam_onelogin_gateway_token/token.map")
        );
        assert!(settings.enrolling.is_empty() && settings.peers.is_empty());
    }

    #[test]
    fn a_gateway_alone_may_name_the_ca_of_gateways() {
        let text = format!("gateways_ca = \"/g\"\n{LEAST}");
        let settings = parse("g", &text, host_config).unwrap_or_else(|faults| panic!("{faults:?}"));
        assert_eq!(settings.gateways_ca.as_deref(), Some(Path::new("/g")));
        assert!(settings.peers.is_empty());
    }

    #[test]
    fn each_fault_names_its_line_and_what_to_write() {
        for (text, expected) in [
            ("", "g:1: \"certificate\" is missing"),
            (
                "certificate = \"c\"\n",
                "g:1: \"certificate\" must be an absolute path",
            ),
            (
                "\nhosts = [\"a b\"]",
                "g:2: \"hosts\": \"a b\" is not a host name",
            ),
            (
                "\nhosts = [\"a..b\"]",
                "g:2: \"hosts\": \"a..b\" is not a host name",
            ),
            (
                "\nenrolling = [\"a\"]",
                "g:2: \"enrolling\" needs \"enrolling_users\"",
            ),
            (
                "listen = [\"8443\"]",
                "g:1: \"listen\": \"8443\" is not an address with a port",
            ),
            ("listen = []", "g:1: \"listen\" is empty"),
            (
                "wrong = 1",
                "g:1: \"wrong\" is not a key at the top of the file",
            ),
            (
                "[limits]\nsends = 0",
                "g:2: \"sends\" must be 1 to 1000, not 0",
            ),
            (
                "[onelogin]\nhttp_proxy = \"x\"",
                "g:2: \"http_proxy\" is not a key in [onelogin]",
            ),
            (
                "[onelogin]\nurl = \"http://x\"",
                "g:2: \"url\" must begin with",
            ),
            (
                "peers = 1",
                "g:1: \"peers\" must be a list of tables, \"[[peers]]\", not integer",
            ),
            (
                "peers = [1]",
                "g:1: \"peers\" must be a list of tables, \"[[peers]]\", not of integer",
            ),
            (
                "[[peers]]\nname = \"a\"\naddress = \"x\"",
                "g:3: \"address\": \"x\" is not an address",
            ),
            ("[[peers]]\nname = \"a b\"", "g:2: \"name\" may contain"),
            (
                "[[peers]]\nname = \"a\"\naddress = \"10.0.0.1:1\"",
                "\"name\" must be that of this gateway in [[peers]]: one of \"a\"",
            ),
            (
                "name = \"a\"\n[[peers]]\nname = \"a\"\naddress = \"10.0.0.1:1\"",
                "needs \"gateways_ca\"",
            ),
        ] {
            let faults = faults(text);
            assert!(
                faults.iter().any(|fault| fault.contains(expected)),
                "{text}: {faults:#?}"
            );
        }
    }

    #[test]
    fn a_fault_of_the_configuration_of_the_hosts_is_a_fault() {
        let wrong = |_: &Path| Err(vec!["config.toml:7: wrong".to_owned()]);
        let faults = parse("g", LEAST, wrong).err().unwrap();
        assert_eq!(faults, ["config.toml:7: wrong"]);
    }

    #[test]
    fn the_keys_that_faults_name_are_those_that_are_read() {
        let numbers = |text: &str| faults(&format!("{LEAST}{text}"));
        for key in names("limits") {
            assert_eq!(numbers(&format!("[limits]\n{key} = 1\n")), [""; 0], "{key}");
        }
        for table in ["", "onelogin", "peers"] {
            for key in names(table) {
                let head = match table {
                    "" => String::new(),
                    "peers" => "[[peers]]\n".to_owned(),
                    _ => format!("[{table}]\n"),
                };
                let faults = faults(&format!("{head}{key} = 1.5\n"));
                let unknown = format!("\"{key}\" is not a key");
                assert!(
                    !faults.iter().any(|fault| fault.contains(&unknown)),
                    "{faults:?}"
                );
            }
        }
    }
}

//! The configuration of a gateway's `HAProxy` 2.6 or newer, as text.
//!
//! Two front ends serve a connection. `tls` does the handshake and forwards what it decrypts over a Unix socket that no other
//! user can reach, with the serial number and the name in the client's certificate in the header of the PROXY protocol. `requests`
//! judges each request. A single front end could not give a handshake less time than a prepared connection: up to version 2.8,
//! `timeout client` is for both.

use crate::gateway::allowed::{Kind, Row, User, literal, rows};
use crate::gateway::settings::{Limits, Pattern, Settings};
use crate::outcome::Failure;
use pam_onelogin::text::printable;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// How many headers a request may have: more than the module sends.
const MAX_HEADERS: u32 = 24;

/// How many bytes a body may have: more than any that the module sends.
const MAX_BODY: u32 = 2048;

/// The longest wait for a connection to OneLogin, in milliseconds. Together with [`ANSWER`] less than what the module waits.
const CONNECT: u64 = 1500;

/// How much earlier than the module the gateway gives a request up, in seconds.
const EARLIER: u64 = 2;

/// How long a prepared connection lives beyond the longest login, in seconds.
const LATER: u64 = 5;

/// How often idle connections to OneLogin are thrown out. Its front end was seen to close them after a minute.
const POOL: &str = "10s";

/// The configuration.
pub(crate) fn config(settings: &Settings) -> Result<String, Failure> {
    let names = Names::of(settings)?;
    let mut text = Writer(String::new());
    global(&mut text, settings, &names);
    tls(&mut text, settings, &names);
    requests(&mut text, settings, &names);
    onelogin(&mut text, settings, &names);
    tables(&mut text, settings, &names);
    Ok(text.0)
}

/// Paths of files, as words of the configuration.
struct Names {
    certificate: String,
    hosts_ca: String,
    gateways_ca: String,
    revoked: String,
    enrolling_users: String,
    socket: String,
    requests: String,
    peers: String,
    token_map: String,
    onelogin_ca: String,
}

impl Names {
    fn of(settings: &Settings) -> Result<Self, Failure> {
        let optional = |path: Option<&Path>| path.map_or(Ok(String::new()), word);
        let ca_file = settings.onelogin.ca_file.as_deref();
        Ok(Self {
            certificate: word(&settings.certificate)?,
            hosts_ca: word(&settings.hosts_ca)?,
            gateways_ca: optional(settings.gateways_ca.as_deref())?,
            revoked: word(&settings.revoked)?,
            enrolling_users: optional(settings.enrolling_users.as_deref())?,
            socket: word(&settings.socket)?,
            requests: word(&settings.socket.with_file_name("requests.sock"))?,
            peers: word(&settings.socket.with_file_name("peers.sock"))?,
            token_map: word(&settings.token_map)?,
            onelogin_ca: ca_file.map_or(Ok("@system-ca".to_owned()), word)?,
        })
    }
}

/// A path that needs no quotes: what is inside the arguments of `map` cannot have any.
fn word(path: &Path) -> Result<String, Failure> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "/._-+@:".contains(c);
    match path.to_str().filter(|text| text.chars().all(fits)) {
        Some(text) => Ok(text.to_owned()),
        None => Err(Failure::new(format!(
            "\"{}\": a path for HAProxy may contain letters, digits and / . _ - + @ : only; choose another path",
            printable(&path.display().to_string())
        ))),
    }
}

/// Lines of the configuration.
struct Writer(String);

impl Writer {
    /// Begins a section.
    fn section(&mut self, name: &str) {
        let _ = writeln!(self.0, "\n{name}");
    }

    fn line(&mut self, line: impl AsRef<str>) {
        let _ = writeln!(self.0, "  {}", line.as_ref());
    }

    fn note(&mut self, text: &str) {
        let _ = writeln!(self.0, "  # {text}");
    }
}

fn global(text: &mut Writer, settings: &Settings, names: &Names) {
    let limits = &settings.limits;
    text.0.push_str(
        "# Written by pam-onelogin gateway config. Change the settings and write it again, instead of this file.\n",
    );
    text.section("global");
    // A connection of a host is one in each front end, and has one to the second front end and one to OneLogin.
    text.line(format!(
        "maxconn {}",
        u64::from(limits.connections) * 2 + 500
    ));
    text.line(format!(
        "stats socket {} mode 660 level admin",
        names.socket
    ));
    text.line("log stdout format raw local0 info");
    text.note("After a reload, logins on open connections can end.");
    let wait = prepared(settings) + answer(settings);
    text.line(format!("hard-stop-after {wait}s"));
    text.note("No resumption: a certificate is judged at each connection.");
    text.line("ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets");
    text.line("ssl-default-server-options ssl-min-ver TLSv1.2 no-tls-tickets");
    text.line("tune.ssl.cachesize 0");
    text.line("tune.bufsize 16384");
    if let Some(name) = &settings.name {
        text.line(format!("localpeer {name}"));
    }
    text.section("defaults");
    text.line("log global");
    text.line("timeout client-fin 5s");
    text.line("timeout server-fin 5s");
    text.line(format!("timeout connect {CONNECT}ms"));
}

/// The longest life of a connection without a request, in seconds.
fn prepared(settings: &Settings) -> u64 {
    settings.host_config.onelogin.login_timeout.as_secs() + LATER
}

/// How long OneLogin may take for a reply, in seconds.
fn answer(settings: &Settings) -> u64 {
    let request = settings.host_config.onelogin.request_timeout.as_secs();
    request.saturating_sub(EARLIER).max(1)
}

fn tls(text: &mut Writer, settings: &Settings, names: &Names) {
    let limits = &settings.limits;
    text.section("frontend tls");
    text.line("mode tcp");
    for address in &settings.listen {
        let v6only = if address.is_ipv6() { " v6only" } else { "" };
        text.line(format!(
            "bind {address}{v6only} ssl crt {} ca-file {} verify required alpn http/1.1",
            names.certificate, names.hosts_ca
        ));
    }
    text.note("At the limit a connection is accepted and closed, which a host notices at once.");
    text.line(format!("maxconn {}", u64::from(limits.connections) + 200));
    text.line(format!(
        "tcp-request connection reject if {{ fe_conn gt {} }}",
        limits.connections
    ));
    text.note("One customer of a provider has 2^64 addresses of IPv6.");
    text.line("tcp-request connection track-sc0 src,ipmask(32,64) table addresses");
    text.line(format!(
        "tcp-request connection reject if {{ sc_conn_rate(0,addresses) gt {} }}",
        limits.new_connections
    ));
    text.line(format!(
        "tcp-request connection reject if {{ sc_conn_cur(0,addresses) gt {} }}",
        limits.connections_per_address
    ));
    text.note("After the handshake.");
    text.line("tcp-request session track-sc1 ssl_c_s_dn(cn) table certificates");
    text.line(format!(
        "tcp-request session reject if {{ sc_conn_cur(1,certificates) gt {} }}",
        limits.connections_per_host
    ));
    text.note("For the handshake; afterwards timeout tunnel holds.");
    text.line("timeout client 5s");
    text.line("unique-id-format %[ssl_c_serial,hex]/%[ssl_c_s_dn(cn)]");
    text.line("option dontlog-normal");
    text.line(r#"log-format '{"time":"%[date,utime(%Y-%m-%dT%H:%M:%SZ)]","address":"%ci","host":"%[ssl_c_s_dn(cn),json(utf8s)]","connection":"%ts","ms":%Tt}'"#);
    text.line(r#"error-log-format '{"time":"%[date,utime(%Y-%m-%dT%H:%M:%SZ)]","address":"%ci","connection":"%[fc_err_str]"}'"#);
    text.line("default_backend decrypted");
    text.section("backend decrypted");
    text.line("mode tcp");
    text.line("timeout server 5s");
    text.line(format!("timeout tunnel {}s", prepared(settings) + LATER));
    text.line(format!(
        "server requests unix@{} send-proxy-v2 proxy-v2-options unique-id",
        names.requests
    ));
}

/// A reply of the gateway's own.
fn reply(status: u16, word: &str) -> String {
    format!(
        "return status {status} hdr x-gateway {word} content-type application/json string '{{\"statusCode\":{status},\"name\":\"Gateway\"}}'"
    )
}

fn requests(text: &mut Writer, settings: &Settings, names: &Names) {
    let limits = &settings.limits;
    text.section("frontend requests");
    text.line("mode http");
    text.line(format!(
        "bind unix@{} accept-proxy proto h1 mode 660",
        names.requests
    ));
    text.line(format!("maxconn {}", u64::from(limits.connections) + 200));
    text.line("option http-buffer-request");
    let prepared = prepared(settings);
    text.note("A host prepares a connection while its user types.");
    for timeout in ["http-request", "http-keep-alive", "client"] {
        text.line(format!("timeout {timeout} {prepared}s"));
    }
    text.line("unique-id-format %{+X}o%Ts-%pid-%rt-%ci-%cp");
    text.line(r#"log-format '{"time":"%[date,utime(%Y-%m-%dT%H:%M:%SZ)]","host":"%[var(txn.host),json(utf8s)]","serial":"%[var(txn.serial),json(utf8s)]","address":"%ci","method":"%HM","path":"%[var(txn.path),json(utf8s)]","kind":"%[var(txn.kind)]","status":%ST,"gateway":"%[var(txn.gateway)]","state":"%ts","ms":%Ta,"id":"%ID","onelogin_id":"%[var(txn.onelogin_id),json(utf8s)]"}'"#);
    text.note("Who asks: what the first front end says of the certificate.");
    text.line("http-request set-var(txn.serial) fc_pp_unique_id,field(1,/)");
    text.line("http-request set-var(txn.host) fc_pp_unique_id,regsub(^[0-9A-F]*/,)");
    text.line("http-request set-var(txn.path) path,bytes(0,200)");
    text.line(format!(
        "acl revoked var(txn.serial) -m str -i -f {}",
        names.revoked
    ));
    text.line(format!(
        "acl known var(txn.host) -m reg {}",
        hosts(&settings.hosts)
    ));
    if !settings.enrolling.is_empty() {
        text.line(format!(
            "acl enrolling var(txn.host) -m reg {}",
            hosts(&settings.enrolling)
        ));
        text.line(format!(
            "acl enrolled-user var(txn.user) -m str -f {}",
            names.enrolling_users
        ));
    }
    text.line(format!(
        "http-request {} hdr connection close if revoked",
        reply(403, "revoked")
    ));
    text.line("http-request track-sc0 var(txn.host) table hosts");
    text.line(format!(
        "http-request {} if {{ sc_http_req_rate(0,hosts) gt {} }}",
        reply(429, "limit"),
        limits.requests
    ));
    text.note("What is asked: each form of each call, byte for byte as the module writes it.");
    let refused = reply(403, "refused");
    text.line(format!(
        "http-request {refused} unless known {{ req.ver 1.1 }} {{ req.hdr_cnt(host) 1 }}"
    ));
    text.line(format!(
        "http-request {refused} if {{ req.hdr_cnt(transfer-encoding) gt 0 }}"
    ));
    text.line(format!(
        "http-request {refused} if {{ req.hdr_cnt gt {MAX_HEADERS} }}"
    ));
    body(text, &refused);
    let rows = rows(&settings.host_config, !settings.enrolling.is_empty());
    user(text, &rows);
    allow(text, &rows);
    text.line(format!(
        "http-request {refused} unless {{ var(txn.kind) -m found }}"
    ));
    token(text, names);
    text.line(format!(
        "http-request {} if {{ method GET }} {{ be_conn(reads) ge {} }}",
        reply(503, "busy"),
        limits.at_onelogin
    ));
    text.line(format!(
        "http-request {} if !{{ method GET }} {{ be_conn(acts) ge {} }}",
        reply(503, "busy"),
        limits.at_onelogin
    ));
    count(text, settings, &rows);
    text.note("Of the request's headers, only those that are set here reach OneLogin.");
    text.line("http-request del-header ^(?!(host|content-length)$) -m reg");
    text.line(format!(
        "http-request set-header host {}",
        authority(settings)
    ));
    text.line(format!(
        "http-request set-header user-agent pam_onelogin-gateway/{}",
        env!("CARGO_PKG_VERSION")
    ));
    text.line("http-request set-header accept application/json");
    text.line("http-request set-header accept-encoding identity");
    text.line("http-request set-header content-type application/json unless { method GET }");
    text.line("http-request set-header authorization \"Bearer %[var(txn.token)]\"");
    text.line("use_backend reads if { method GET }");
    text.line("default_backend acts");
    replies(text);
}

/// The body must be small, and be here as a whole: what did not fit into the buffer beside a long head would be sent on unseen. A
/// match ends at the first zero byte, so no byte may be one; a body for which that cannot be decided is refused.
fn body(text: &mut Writer, refused: &str) {
    text.note("A body is judged as a whole, and has no zero byte, at which a match would end.");
    text.line(format!(
        "http-request {refused} if {{ method GET }} {{ req.body_size gt 0 }}"
    ));
    text.line(format!(
        "http-request {refused} if {{ req.body_size gt {MAX_BODY} }}"
    ));
    text.line("http-request set-var(txn.body) req.body_len");
    text.line(format!(
        "http-request {refused} unless {{ req.body_size,sub(txn.body) -m int 0 }}"
    ));
    text.line(format!(
        "http-request {refused} if {{ req.body_size gt 0 }} !{{ req.body,hex -m reg '^([0-9A-F][1-9A-F]|[1-9A-F]0)+\\z' }}"
    ));
}

/// The rows of the allow-list.
fn allow(text: &mut Writer, rows: &[Row]) {
    let mut urls: Vec<&str> = Vec::new();
    for row in rows {
        if !urls.contains(&row.url.as_str()) {
            urls.push(&row.url);
            text.line(format!(
                "acl url-{} url -m reg '^{}\\z'",
                urls.len(),
                row.url
            ));
        }
    }
    text.line("acl no-body req.body_len 0");
    text.line("acl json req.hdr(content-type) -m str application/json");
    for row in rows {
        let body = match &row.body {
            None => "no-body".to_owned(),
            Some(body) => format!("json {{ req.body -m reg '^{body}\\z' }}"),
        };
        let only = if row.enrolling {
            "enrolling enrolled-user "
        } else {
            ""
        };
        let url = urls.iter().take_while(|url| **url != row.url).count() + 1;
        let (word, method) = (row.kind.word(), row.method);
        text.line(format!(
            "http-request set-var(txn.kind) str({word}) if {only}{{ method {method} }} url-{url} {body}"
        ));
    }
}

/// The number of the user in the URL, for the limits. It is of use only after the URL has been judged.
fn user(text: &mut Writer, rows: &[Row]) {
    let mut places = Vec::new();
    for row in rows {
        if let Some(user) = row.user.filter(|user| !places.contains(user)) {
            places.push(user);
            let User { before, field } = user;
            text.line(format!(
                "http-request set-var(txn.user) path,field({field},/) if {{ path_beg {before} }}"
            ));
        }
    }
}

impl Kind {
    /// The word in the log.
    fn word(self) -> &'static str {
        match self {
            Self::LookUp => "look-up",
            Self::Poll => "poll",
            Self::Send => "send",
            Self::Code => "code",
            Self::Enrol => "enrol",
            Self::EnrolCode => "enrol-code",
        }
    }
}

/// The part of a user's limit that one host may use up. Two hosts together can still use up all of it.
fn share(limit: u32) -> u32 {
    limit.div_ceil(2)
}

/// The limits. Only three entries can be tracked for a request: its host, its user with what is sent, and one for the host and the
/// user together, which is the pair for look-ups and the share for what is sent.
fn count(text: &mut Writer, settings: &Settings, rows: &[Row]) {
    let limits = &settings.limits;
    // A user that hosts look up by name is new twice: by name and by number.
    let per_user = if rows.iter().any(|row| row.user.is_none()) {
        2
    } else {
        1
    };
    let limit = reply(429, "limit");
    let is = |kind: Kind| format!("{{ var(txn.kind) -m str {} }}", kind.word());
    text.note("How much is asked.");
    let look_up = is(Kind::LookUp);
    text.line(format!(
        "http-request {limit} if {look_up} {{ sc_gpc0_rate(0,hosts) ge {} }}",
        limits.look_ups
    ));
    text.line(format!("http-request sc-inc-gpc0(0) if {look_up}"));
    text.note("What is sent to a user, and codes of a user, by POST and PUT and in both versions.");
    for kind in [Kind::Send, Kind::Code, Kind::Enrol] {
        text.line(format!(
            "http-request set-var-fmt(txn.counted) {}/%[var(txn.user)] if {}",
            kind.word(),
            is(kind)
        ));
    }
    // The code of an enrolment is one of the user as well.
    text.line(format!(
        "http-request set-var-fmt(txn.counted) {}/%[var(txn.user)] if {}",
        Kind::Code.word(),
        is(Kind::EnrolCode)
    ));
    text.line("acl counted var(txn.counted) -m found");
    text.note(
        "Users that are new to the host, by the number, and by the URL of a look-up by name.",
    );
    text.line("http-request set-var(txn.who) var(txn.user)");
    text.line(format!(
        "http-request set-var(txn.who) url,sha1,hex if {look_up} !{{ var(txn.user) -m found }}"
    ));
    text.line("acl pair var(txn.pair) -m found");
    text.line("acl new-pair var(txn.pair),table_gpc0(pairs) 0");
    text.line("http-request set-var-fmt(txn.pair) %[var(txn.host)]/%[var(txn.who)] if { var(txn.who) -m found }");
    text.line(format!(
        "http-request {limit} if pair new-pair {{ sc_gpc1_rate(0,hosts) ge {} }}",
        u64::from(limits.users) * per_user
    ));
    text.line("http-request sc-inc-gpc1(0) if pair new-pair");
    text.line("http-request track-sc2 var(txn.pair) table pairs if pair !counted");
    text.line("http-request sc-inc-gpc0(2) if pair !counted new-pair");
    text.note("First the share of the host: what is beyond it does not count for the user.");
    text.line(
        "http-request set-var-fmt(txn.share) %[var(txn.counted)]/%[var(txn.host)] if counted",
    );
    text.line("http-request track-sc2 var(txn.share) table shares if counted");
    text.line("acl codes var(txn.kind) -m str code enrol-code");
    limited(text, 2, "shares", limits, share);
    text.note("Then the user, over all hosts.");
    text.line("http-request track-sc1 var(txn.counted) table users if counted");
    limited(text, 1, "users", limits, |limit| limit);
    for counter in [1, 2] {
        text.line(format!(
            "http-request sc-inc-gpc0({counter}) if codes or {}",
            is(Kind::Enrol)
        ));
    }
}

/// The limits of what is sent to a user and of codes. In the table of this counter, gpc0 counts all codes of a day, and gpc1 those
/// that OneLogin accepted.
fn limited(text: &mut Writer, counter: u8, table: &str, limits: &Limits, part: fn(u32) -> u32) {
    let limit = reply(429, "limit");
    let is = |kind: Kind| format!("{{ var(txn.kind) -m str {} }}", kind.word());
    text.line(format!(
        "http-request {limit} if {} {{ sc_http_req_rate({counter},{table}) gt {} }}",
        is(Kind::Send),
        part(limits.sends)
    ));
    text.line(format!(
        "http-request {limit} if codes {{ sc_http_req_rate({counter},{table}) gt {} }}",
        part(limits.codes)
    ));
    text.line(format!(
        "http-request set-var(txn.accepted) sc_gpc1_rate({counter},{table}) if codes"
    ));
    text.line(format!(
        "http-request {limit} if codes {{ sc_gpc0_rate({counter},{table}),sub(txn.accepted) ge {} }}",
        part(limits.refused_codes)
    ));
    text.line(format!(
        "http-request {limit} if {} {{ sc_gpc0_rate({counter},{table}) ge {} }}",
        is(Kind::Enrol),
        part(limits.enrolments)
    ));
}

/// The token and its end, which the token keeper writes into the map.
fn token(text: &mut Writer, names: &Names) {
    let map = &names.token_map;
    text.note("The token. Without one, or after its end, nothing is sent.");
    text.line(format!(
        "http-request set-var(txn.token) str(token),map({map})"
    ));
    text.line("http-request set-var(txn.now) date");
    text.line(format!(
        "http-request set-var(txn.left) str(end),map({map}),sub(txn.now)"
    ));
    text.line(format!(
        "http-request {} unless {{ var(txn.token) -m reg ^[A-Za-z0-9._~+/=-]{{1,4096}}\\z }} {{ var(txn.left) -m int gt 0 }}",
        reply(503, "no-token")
    ));
}

/// What a host gets back.
fn replies(text: &mut Writer) {
    text.note("Replies. The word in x-gateway says what the gateway did itself.");
    text.line("http-response set-var(txn.onelogin_id) res.hdr(x-request-id)");
    text.line("http-response del-header x-gateway");
    text.line("http-response del-header set-cookie");
    text.note("A wait that OneLogin asks for would hold up a login.");
    text.line("http-response del-header retry-after");
    text.note("Pages of OneLogin's own front end, which has not asked OneLogin.");
    text.line("acl page res.hdr(content-type) -m beg text/html");
    text.line("acl answered var(txn.onelogin_id) -m found");
    text.line(format!(
        "http-response {} if page !answered {{ status 408 }}",
        reply(504, "upstream")
    ));
    text.line("http-response set-header x-gateway edge-limit if page !answered { status 429 }");
    text.line("http-response set-header x-gateway upstream if { status 502 503 504 }");
    text.line("http-response set-header x-onelogin-id %[var(txn.onelogin_id)] if answered");
    text.note("A code that OneLogin accepted does not count for the day.");
    text.line("http-response wait-for-body time 1s if { var(txn.kind) -m str code enrol-code } { status 200 201 }");
    for counter in [1, 2] {
        text.line(format!(
            r#"http-response sc-inc-gpc1({counter}) if {{ var(txn.kind) -m str code enrol-code }} {{ status 200 201 }} {{ res.body -m reg '("status" *: *"accepted"|"type" *: *"success")' }}"#
        ));
    }
    text.line("http-response set-var(txn.is_onelogins) bool(true)");
    text.note("Every other reply is HAProxy's own: 503 if no connection to OneLogin was made.");
    text.line("acl own var(txn.is_onelogins) -m found");
    text.line("acl worded res.hdr(x-gateway) -m found");
    text.line("http-after-response set-header x-gateway unreached if !own !worded { status 503 }");
    text.line(
        "http-after-response set-var(txn.gave_up) bool(true) if !own !worded { status 502 504 }",
    );
    text.line("http-after-response set-header x-gateway upstream if { var(txn.gave_up) -m found }");
    text.line("http-after-response set-status 503 if { var(txn.gave_up) -m found }");
    text.line("http-after-response set-header x-gateway busy if !own !worded { status 500 }");
    text.line("http-after-response set-header x-request-id %[unique-id]");
    text.line("http-after-response set-var(txn.gateway) res.hdr(x-gateway)");
}

/// The host and port of the tenant, as in `Host`.
fn authority(settings: &Settings) -> &str {
    let origin = settings.onelogin.origin.as_str();
    origin.strip_prefix("https://").unwrap_or(origin)
}

/// OneLogin. Reads share connections and are repeated; what acts has a connection of its own each time, so that no late reply can
/// reach another request, and is sent once.
fn onelogin(text: &mut Writer, settings: &Settings, names: &Names) {
    let origin = &settings.onelogin.origin;
    let (host, port) = (origin.host(), origin.port());
    // The name of the machine itself never comes from DNS.
    let is_resolved = host.parse::<IpAddr>().is_err() && host != "localhost";
    let mut server = format!(
        "server onelogin {host}:{port} ssl verify required ca-file {} sni str({host}) verifyhost {host} alpn http/1.1",
        names.onelogin_ca
    );
    if is_resolved {
        server.push_str(" resolvers system resolve-prefer ipv4 init-addr libc,none");
        text.section("resolvers system");
        text.line("parse-resolv-conf");
        text.note(
            "If no name server answers, the last address stays; TLS proves that OneLogin is there.",
        );
        for state in ["nx", "other", "refused", "timeout"] {
            text.line(format!("hold {state} 1d"));
        }
    }
    let timeout = format!("timeout server {}s", answer(settings));
    text.section("backend reads");
    text.line("mode http");
    text.line(&timeout);
    text.line("http-reuse always");
    text.line("retries 1");
    text.line("retry-on conn-failure empty-response");
    text.line(format!(
        "{server} pool-purge-delay {POOL} pool-max-conn 100"
    ));
    text.section("backend acts");
    text.line("mode http");
    text.line(&timeout);
    text.line("http-reuse never");
    text.line("option http-server-close");
    text.line("retries 0");
    text.line(server);
}

fn tables(text: &mut Writer, settings: &Settings, names: &Names) {
    let peers = if settings.peers.is_empty() {
        ""
    } else {
        " peers gateways"
    };
    let of_user = |length: u32| {
        format!(
            "type string len {length} size 200k expire 1d{peers} store http_req_rate(5m),gpc0_rate(1d),gpc1_rate(1d)"
        )
    };
    for (name, table) in [
        (
            "addresses",
            "type ipv6 size 100k expire 10m store conn_cur,conn_rate(10s)".to_owned(),
        ),
        (
            "certificates",
            "type string len 64 size 100k expire 10m store conn_cur".to_owned(),
        ),
        (
            "hosts",
            format!(
                "type string len 64 size 100k expire 1h{peers} store http_req_rate(1m),gpc0_rate(1m),gpc1_rate(1h)"
            ),
        ),
        ("users", of_user(32)),
        ("shares", of_user(112)),
        (
            "pairs",
            format!("type string len 112 size 1m expire 1h{peers} store gpc0"),
        ),
    ] {
        text.section(&format!("backend {name}"));
        text.line(format!("stick-table {table}"));
    }
    if settings.peers.is_empty() {
        return;
    }
    let own = |name: &str| settings.name.as_deref() == Some(name);
    text.section("frontend peers-port");
    text.line("mode tcp");
    let mut source = String::new();
    for peer in settings.peers.iter().filter(|peer| own(&peer.name)) {
        text.line(format!("bind {}", peer.address));
        source = format!(" source {}", peer.address.ip());
    }
    text.note("A section of peers cannot refuse a connection. Idle ones of others would keep the gateways apart.");
    let addresses = settings
        .peers
        .iter()
        .map(|peer| peer.address.ip().to_string());
    text.line(format!(
        "tcp-request connection reject unless {{ src {} }}",
        addresses.collect::<Vec<_>>().join(" ")
    ));
    text.line("timeout client 30s");
    text.line("default_backend peers-socket");
    text.section("backend peers-socket");
    text.line("mode tcp");
    text.line("timeout server 30s");
    text.line(format!("server peers unix@{}", names.peers));
    text.section("peers gateways");
    let tls = format!(
        "ssl crt {} ca-file {} verify required",
        names.certificate, names.gateways_ca
    );
    text.line(format!("bind unix@{} mode 660 {tls}", names.peers));
    text.line(format!("default-server {tls}{source}"));
    for peer in &settings.peers {
        let address: Option<SocketAddr> = (!own(&peer.name)).then_some(peer.address);
        let address = address.map_or(String::new(), |address| format!(" {address}"));
        text.line(format!("server {}{address}", peer.name));
    }
}

/// A regular expression for names of hosts.
fn hosts(patterns: &[Pattern]) -> String {
    let expression = |pattern: &Pattern| {
        let parts = pattern.as_str().split('*').map(literal);
        parts.collect::<Vec<_>>().join("[A-Za-z0-9_-]+")
    };
    let all: Vec<String> = patterns.iter().map(expression).collect();
    format!("'^({})\\z'", all.join("|"))
}

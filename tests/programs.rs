//! Logins through the real programs of docs/services.md, in a Debian 13, with the sample stacks of pam.d/debian/ as they stand.
//!
//! They need what `make test-services` installs into a root of its own: `tests/in-root.sh`.

mod scene;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use onelogin_simulator::Simulator;
use pam_bench::contender::{duo_service, duo_service_that_denies};
use pam_host::place::set_mode;
use pam_host::pty::Pty;
use pam_host::root::{PASSWORD, Sshd, free_port, read_sample};
use scene::{LONG, OURS_ALONE, Scene, became_root, denied};

// vsftpd

#[test]
#[ignore = "needs a Debian 13 with the programs: run by make test-services"]
fn vsftpd_sends_one_push() {
    let scene = with_sample("vsftpd");
    let (_vsftpd, client) = vsftpd(&scene);
    one_push(&scene, "vsftpd", "no-conversation", &client);
    scene
        .stage
        .tried("vsftpd", "in prompt mode: denied (no-conversation)");
    at_the_same_time(&scene, &client);
    scene
        .stage
        .tried("vsftpd", "a second login during a push: denied at once");

    // OneLogin has accepted bob before.
    let sent = scene.simulator.activations();
    scene.simulator.clear_messages();
    let login = client.start("bob", PASSWORD);
    scene.deny_push();
    login.refused();
    client.start("bob", PASSWORD).refused();
    assert_eq!(scene.simulator.activations(), sent + 1);
    scene.stage.tried(
        "vsftpd",
        "after an accepted login: a push, denied, and none for the next try",
    );
}

/// `pam_duo`, without a prompt, asks this service.
fn ask_duo(scene: &Scene, service: &Simulator) {
    let ca = "/etc/ssl/duo.pem";
    scene.stage.write(ca, service.ca_pem(), 0o644);
    let settings = format!(
        "[duo]\nikey = DI{0:X>18}\nskey = {0:x>40}\nhost = localhost:{1}\ncafile = {ca}\nautopush = yes\nprompts = 1\n\
         failmode = secure\n",
        "",
        service.port()
    );
    scene
        .stage
        .write("/etc/security/pam_duo.conf", settings, 0o600);
}

fn vsftpd(scene: &Scene) -> (Daemon, Curl) {
    let port = free_port();
    let config = format!(
        "listen=YES\nlisten_ipv6=NO\nlisten_port={port}\nlisten_address=127.0.0.1\nbackground=NO\nanonymous_enable=NO\n\
         local_enable=YES\nsecure_chroot_dir=/run/vsftpd\npam_service_name=vsftpd\n"
    );
    fs::create_dir_all("/run/vsftpd").expect("/run can be written");
    scene.stage.write("/etc/vsftpd.conf", config, 0o600);
    let vsftpd = Daemon::start("vsftpd", &["/etc/vsftpd.conf"], port);
    let client = Curl {
        url: format!("ftp://127.0.0.1:{port}/"),
        further: Vec::new(),
        user: "--user",
        refused: 67,
    };
    (vsftpd, client)
}

// pam_duo

#[test]
#[ignore = "needs a Debian 13 with the programs: run by make test-services"]
fn pam_duo_sends_a_push_for_each_try() {
    let scene = with_sample("vsftpd");
    let (_vsftpd, client) = vsftpd(&scene);
    scene.stage.stack(
        "vsftpd",
        "auth requisite pam_unix.so\nauth required pam_duo.so conf=/etc/security/pam_duo.conf\n\
         account required pam_permit.so\nsession required pam_permit.so\n",
    );
    let duo = duo_service();
    ask_duo(&scene, &duo);
    client.is_refused("dave", "a wrong one");
    assert_eq!(duo.count("POST", "/auth.bson"), 0);
    scene
        .stage
        .tried("pam_duo", "in vsftpd: a wrong password: nothing is sent");
    client.start("dave", PASSWORD).entered();
    assert_eq!(duo.count("POST", "/auth.bson"), 1);
    scene.stage.tried("pam_duo", "in vsftpd: a push, approved");

    let duo = duo_service_that_denies();
    ask_duo(&scene, &duo);
    for tries in 1..=4 {
        client.is_refused("dave", PASSWORD);
        assert_eq!(duo.count("POST", "/auth.bson"), tries);
    }
    scene.stage.tried(
        "pam_duo",
        "in vsftpd: a push, denied: a push for each of three more tries",
    );
}

// dovecot

#[test]
#[ignore = "needs a Debian 13 with the programs: run by make test-services"]
fn dovecot_sends_one_push() {
    let scene = with_sample("dovecot");
    let (_dovecot, client) = dovecot(&scene, "");
    one_push(&scene, "dovecot", "user-name-typed", &client);
    scene
        .stage
        .tried("dovecot", "in prompt mode: denied (user-name-typed)");
    at_the_same_time(&scene, &client);
    scene
        .stage
        .tried("dovecot", "a second login during a push: denied at once");
}

#[test]
#[ignore = "needs a Debian 13 with the programs: run by make test-services"]
fn dovecot_remembers_a_login() {
    let scene = with_sample("dovecot");
    let (_dovecot, client) = dovecot(&scene, "auth_cache_size = 1 M\n");
    let login = client.start("bob", PASSWORD);
    scene.approve_push();
    login.entered();
    let login = client.start("bob", PASSWORD);
    login.entered();
    assert_eq!(scene.simulator.activations(), 1);
    scene
        .stage
        .tried("dovecot", "with auth_cache_size, a second login: no push");
}

fn dovecot(scene: &Scene, further: &str) -> (Daemon, Curl) {
    let port = free_port();
    let config = format!(
        "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\nlisten = 127.0.0.1\nssl = no\n\
         auth_allow_cleartext = yes\n{further}protocols {{\n  imap = yes\n}}\nmail_driver = maildir\nmail_path = ~/Maildir\n\
         passdb pam {{\n}}\nuserdb passwd {{\n}}\n\
         service imap-login {{\n  inet_listener imap {{\n    port = {port}\n  }}\n  inet_listener imaps {{\n    port = 0\n  }}\n}}\n"
    );
    scene
        .stage
        .write("/etc/dovecot/dovecot.conf", config, 0o644);
    let dovecot = Daemon::start("dovecot", &["-F"], port);
    let client = Curl {
        url: format!("imap://127.0.0.1:{port}/"),
        further: Vec::new(),
        user: "--user",
        refused: 67,
    };
    (dovecot, client)
}

// ProFTPD

#[test]
#[ignore = "needs a Debian 13 with the programs: run by make test-services"]
fn proftpd_sends_one_push() {
    let scene = with_sample("proftpd");
    let (_proftpd, client) = proftpd(&scene, &order_of("proftpd"));
    one_push(&scene, "proftpd", "user-name-typed", &client);
    scene
        .stage
        .tried("proftpd", "in prompt mode: denied (user-name-typed)");
    at_the_same_time(&scene, &client);
    scene
        .stage
        .tried("proftpd", "a second login during a push: denied at once");
}

#[test]
#[ignore = "needs a Debian 13 with the programs: run by make test-services"]
fn proftpd_goes_past_pam_without_an_order() {
    let scene = with_sample("proftpd");
    let (_proftpd, client) = proftpd(&scene, "");
    let login = client.start("dave", PASSWORD);
    scene.deny_push();
    login.entered();
    scene.decision("reason=push-denied ");
    scene.stage.tried(
        "proftpd",
        "without the star in AuthOrder, a push, denied: the password alone is enough",
    );
}

fn proftpd(scene: &Scene, order: &str) -> (Daemon, Curl) {
    let port = free_port();
    let config = format!(
        "Include /etc/proftpd/modules.conf\nServerType standalone\nDefaultAddress 127.0.0.1\nPort {port}\nUseReverseDNS off\nUser proftpd\nGroup nogroup\n\
         PidFile /run/proftpd.pid\nScoreboardFile /run/proftpd.scoreboard\n{order}\n"
    );
    scene
        .stage
        .write("/etc/proftpd/proftpd.conf", config, 0o644);
    let proftpd = Daemon::start("proftpd", &["--nodaemon"], port);
    let client = Curl {
        url: format!("ftp://127.0.0.1:{port}/"),
        further: Vec::new(),
        user: "--user",
        refused: 67,
    };
    (proftpd, client)
}

/// The line for `ProFTPD`'s configuration in the comment of the sample.
fn order_of(sample: &str) -> String {
    let text = read_sample(sample);
    let order = text.lines().find_map(|line| line.split_once(": AuthOrder"));
    format!("AuthOrder{}", order.expect("the sample names the line").1)
}

// OpenVPN

#[test]
#[ignore = "needs a Debian 13 with the programs: run by make test-services"]
fn openvpn_sends_one_push() {
    own_network();
    let scene = with_sample("openvpn");
    let vpn = Vpn::start(&scene, &plugin_line(0));
    one_push(&scene, "openvpn", "user-name-typed", &vpn);
    scene
        .stage
        .tried("openvpn", "in prompt mode: denied (user-name-typed)");
}

#[test]
#[ignore = "needs a Debian 13 with the programs: run by make test-services"]
fn openvpn_asks_for_a_code_where_a_pair_names_the_prompt() {
    own_network();
    let scene = with_sample("openvpn");
    let _ = scene.person("alice");
    scene.stage.config(&scene.simulator, &[]);
    let vpn = Vpn::start(&scene, &plugin_line(1));
    vpn.with_code("alice", "a wrong one", "123456").refused();
    assert_eq!(scene.simulator.connections(), 0);
    vpn.with_code("alice", PASSWORD, "999999").refused();
    assert_eq!(scene.simulator.codes(), 1);
    vpn.with_code("alice", PASSWORD, "123456").entered();
    scene.decision("accepted user=alice");
    // With a menu, the code of the first device that makes some.
    vpn.with_code("bob", PASSWORD, "222222").entered();
    scene.decision("accepted user=bob");
    scene.stage.tried(
        "openvpn",
        "with a pair for the prompt: a wrong code, then, in a new login, a right one",
    );
}

/// An `OpenVPN` server with the plugin for PAM.
struct Vpn {
    _server: Daemon,
    port: String,
}

impl Vpn {
    fn start(scene: &Scene, plugin: &str) -> Self {
        certificate(scene);
        let port = free_port();
        let config = format!(
            "local 127.0.0.1\nport {port}\nproto tcp-server\ndev tun\nserver 10.77.0.0 255.255.255.0\nca {CERTIFICATE}\n\
             cert {CERTIFICATE}\nkey {KEY}\ndh none\nverify-client-cert none\nusername-as-common-name\n{plugin}\n"
        );
        scene.stage.write("/etc/openvpn/server.conf", config, 0o600);
        Self {
            _server: Daemon::start("openvpn", &["--config", "/etc/openvpn/server.conf"], port),
            port: port.to_string(),
        }
    }

    /// The client of a user, who has written name and password into a file.
    fn client(&self, user: &str, password: &str) -> Command {
        let said = "/etc/openvpn/said";
        fs::write(said, format!("{user}\n{password}\n")).expect("/etc can be written");
        let mut command = Command::new("openvpn");
        command
            .args([
                "--client",
                "--dev",
                "tun",
                "--nobind",
                "--proto",
                "tcp-client",
            ])
            .args(["--remote", "127.0.0.1", &self.port, "--ca", CERTIFICATE])
            .args([
                "--route-noexec",
                "--ifconfig-noexec",
                "--auth-retry",
                "none",
            ])
            .args(["--auth-user-pass", said]);
        command
    }

    fn with_code(&self, user: &str, password: &str, code: &str) -> Attempt {
        let mut command = self.client(user, password);
        command.args(["--static-challenge", "Code", "1"]);
        let mut client = Pty::spawn(command);
        client.expect("Code");
        client.line(code);
        on_terminal(client)
    }
}

impl Client for Vpn {
    fn start(&self, user: &str, password: &str) -> Attempt {
        on_terminal(Pty::spawn(self.client(user, password)))
    }
}

fn on_terminal(screen: Pty) -> Attempt {
    Attempt::Terminal {
        screen,
        entered: "Initialization Sequence Completed",
        refused: "AUTH_FAILED",
    }
}

/// This thread, and what it starts, have a network of their own, in which `OpenVPN` can make interfaces.
fn own_network() {
    unshare(CloneFlags::CLONE_NEWNET).expect("a network can be made");
    let run = |program: &str, arguments: &[&str]| {
        let status = Command::new(program).args(arguments).status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "{program} {arguments:?}"
        );
    };
    run("ip", &["link", "set", "lo", "up"]);
    let device = Path::new("/dev/net/tun");
    if !device.exists() {
        fs::create_dir_all("/dev/net").expect("/dev can be written");
        run("mknod", &["/dev/net/tun", "c", "10", "200"]);
    }
}

/// A line for the plugin in the comment of the sample, counted from 0.
fn plugin_line(index: usize) -> String {
    let text = read_sample("openvpn");
    let mut lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("# plugin "));
    let line = lines.nth(index).expect("the sample names the plugin");
    format!("plugin {line}")
}

/// A certificate for localhost, and its key.
fn certificate(scene: &Scene) {
    scene.stage.write(KEY, "", 0o600);
    let status = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        ])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ])
        .args(["-keyout", KEY, "-out", CERTIFICATE])
        .stderr(Stdio::null())
        .status();
    assert!(status.expect("openssl is installed").success());
}

// ocserv

#[test]
#[ignore = "needs a Debian 13 with the programs: run by make test-services"]
fn ocserv_shows_the_prompt() {
    let scene = with_sample("ocserv");
    let _ = scene.person("alice");
    let (_ocserv, port) = ocserv(&scene);
    let mut client = openconnect(port, "alice", "a wrong one");
    client.expect("Failed to complete authentication");
    drop(client);
    assert_eq!(scene.simulator.connections(), 0);
    scene
        .stage
        .tried("ocserv", "a wrong password: nothing is sent to OneLogin");

    let mut client = openconnect(port, "alice", PASSWORD);
    client.expect("Verification code (OneLogin)");
    client.line("999999");
    client.expect("Verification code (OneLogin)");
    client.line("123456");
    client.expect("COOKIE=");
    drop(client);
    scene.decision("accepted user=alice");
    scene
        .stage
        .tried("ocserv", "a wrong code, then a right one");
}

#[test]
#[ignore = "needs a Debian 13 with the programs: run by make test-services"]
fn ocserv_waits_for_a_push() {
    let scene = with_sample("ocserv");
    let (_ocserv, port) = ocserv(&scene);
    let prompt = "Verification code, or Enter for a push to Dave's phone:";
    let mut client = openconnect(port, "dave", PASSWORD);
    client.expect(prompt);
    client.line("push");
    client.expect("Push sent to Dave's phone.");
    scene.approve_push();
    client.line("ok");
    client.expect("COOKIE=");
    drop(client);
    scene.decision("accepted user=dave");
    scene.stage.tried("ocserv", "the answer push, approved");

    scene.simulator.clear_messages();
    let mut client = openconnect(port, "dave", PASSWORD);
    client.expect(prompt);
    client.line("push");
    client.expect("Push sent to Dave's phone.");
    scene.deny_push();
    client.line("ok");
    scene.decision("reason=push-denied ");
    assert_eq!(scene.simulator.activations(), 2);
    scene.stage.tried("ocserv", "a push, denied: one push");
}

fn ocserv(scene: &Scene) -> (Daemon, u16) {
    certificate(scene);
    let port = free_port();
    let config = format!(
        "auth = \"pam\"\nlisten-host = 127.0.0.1\ntcp-port = {port}\nudp-port = {port}\nserver-cert = {CERTIFICATE}\nserver-key = {KEY}\n\
         socket-file = /run/ocserv.socket\nrun-as-user = nobody\nrun-as-group = nogroup\nmax-clients = 4\nmax-same-clients = 4\n\
         device = vpns\nipv4-network = 10.78.0.0/24\nmax-ban-score = 0\nisolate-workers = false\n"
    );
    scene.stage.write("/etc/ocserv/ocserv.conf", config, 0o600);
    let arguments = ["--foreground", "--config", "/etc/ocserv/ocserv.conf"];
    (Daemon::start("ocserv", &arguments, port), port)
}

/// The client, up to the password. It ends after it has got a cookie, without a tunnel.
fn openconnect(port: u16, user: &str, password: &str) -> Pty {
    let mut command = Command::new("openconnect");
    command
        .args([
            "--authenticate",
            "--protocol=anyconnect",
            "--cafile",
            CERTIFICATE,
            "--user",
            user,
        ])
        .arg(format!("https://localhost:{port}/"));
    let mut client = Pty::spawn(command);
    client.expect("assword:");
    client.hidden_line(password);
    client
}

// xrdp

#[test]
#[ignore = "needs a Debian 13 with the programs: run by make test-services"]
fn xrdp_sends_one_push() {
    let scene = with_sample("xrdp-sesman");
    fs::create_dir_all("/run/xrdp").expect("/run can be written");
    let _sesman = Daemon::until("xrdp-sesman", &["--nodaemon"], &|| {
        UnixStream::connect("/run/xrdp/sockdir/sesman.socket").is_ok()
    });
    one_push(&scene, "xrdp-sesman", "no-conversation", &Xrdp);
    scene
        .stage
        .tried("xrdp-sesman", "in prompt mode: denied (no-conversation)");
    at_the_same_time(&scene, &Xrdp);
    scene.stage.tried(
        "xrdp-sesman",
        "a second login during a push: denied at once",
    );
}

/// xrdp's own client of its session manager. This system has no X server: that is what it says after a login.
struct Xrdp;

impl Client for Xrdp {
    fn start(&self, user: &str, password: &str) -> Attempt {
        let mut command = Command::new("xrdp-sesrun");
        command.arg(user);
        let mut screen = Pty::spawn(command);
        screen.expect("Password:");
        screen.hidden_line(password);
        Attempt::Terminal {
            screen,
            entered: "X server could not be started",
            refused: "Login failed",
        }
    }
}

// squid

#[test]
#[ignore = "needs a Debian 13 with the programs: run by make test-services"]
fn squid_sends_one_push() {
    let scene = with_sample("squid");
    // As the sample says.
    let status = Command::new("dpkg-statoverride")
        .args(["--update", "--add", "root", "proxy", "4750", HELPER])
        .status();
    assert!(status.expect("dpkg is installed").success());
    let proxy = Proxy::start(&scene);
    let client = proxy.client();
    one_push(&scene, "squid", "no-conversation", &client);
    scene
        .stage
        .tried("squid", "in prompt mode: denied (no-conversation)");

    let sent = scene.simulator.activations();
    let login = client.start("bob", PASSWORD);
    login.entered();
    assert_eq!(scene.simulator.activations(), sent);
    client.is_refused("bob", "a wrong one");
    scene
        .stage
        .tried("squid", "a second request within credentialsttl: no push");
}

#[test]
#[ignore = "needs a Debian 13 with the programs: run by make test-services"]
fn squid_needs_a_helper_that_runs_as_root() {
    let scene = with_sample("squid");
    // pam_unix would end the stack before: without root it cannot check the password of another user.
    scene.stage.stack(
        "squid",
        "auth requisite pam_permit.so\nauth required @module@\naccount required pam_permit.so\n",
    );
    set_mode(Path::new(HELPER), 0o755);
    let proxy = Proxy::start(&scene);
    proxy.client().is_refused("bob", PASSWORD);
    scene.decision("reason=unprivileged");
    assert_eq!(scene.simulator.connections(), 0);
    scene.stage.tried(
        "squid",
        "the helper as Debian installs it, without root: denied (unprivileged)",
    );
}

/// squid, its helper for PAM, and an HTTP server behind it.
struct Proxy {
    _squid: Daemon,
    url: String,
    port: u16,
}

impl Proxy {
    fn start(scene: &Scene) -> Self {
        let port = free_port();
        let config = format!(
            "http_port 127.0.0.1:{port}\nauth_param basic program {HELPER}\n\
             auth_param basic children 1\n\
             acl users proxy_auth REQUIRED\nhttp_access allow users\nhttp_access deny all\ncache deny all\n\
             pid_filename none\naccess_log none\nshutdown_lifetime 0 seconds\n"
        );
        scene.stage.write("/etc/squid/squid.conf", config, 0o644);
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let url = format!("http://{}/", server.local_addr().expect("a port"));
        thread::spawn(move || {
            for mut stream in server.incoming().map_while(Result::ok) {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                );
            }
        });
        Self {
            _squid: Daemon::start("squid", &["-N"], port),
            url,
            port,
        }
    }

    fn client(&self) -> Curl {
        Curl {
            url: self.url.clone(),
            further: vec![
                "--proxy".to_owned(),
                format!("http://127.0.0.1:{}", self.port),
            ],
            user: "--proxy-user",
            refused: 22,
        }
    }
}

// cups

#[test]
#[ignore = "needs a Debian 13 with the programs: run by make test-services"]
fn cups_sends_one_push() {
    let scene = with_sample("cups");
    let port = free_port();
    let config = format!(
        "Listen 127.0.0.1:{port}\nDefaultAuthType Basic\n<Location /admin/conf>\nAuthType Basic\nRequire valid-user\n</Location>\n"
    );
    scene.stage.write("/etc/cups/cupsd.conf", config, 0o640);
    let _cupsd = Daemon::start("cupsd", &["-f"], port);
    let client = Curl {
        url: format!("http://127.0.0.1:{port}/admin/conf/cupsd.conf"),
        further: Vec::new(),
        user: "--user",
        refused: 22,
    };
    one_push(&scene, "cups", "user-name-typed", &client);
    scene
        .stage
        .tried("cups", "in prompt mode: denied (user-name-typed)");

    scene.simulator.clear_messages();
    let first = client.start("bob", PASSWORD);
    scene.wait_for_push();
    scene.simulator.clear_messages();
    let second = client.start("bob", PASSWORD);
    scene.simulator.approve_latest().expect("a push is open");
    first.entered();
    scene.approve_push();
    second.entered();
    scene.stage.tried(
        "cups",
        "a second login during a push: it waits, then a push of its own",
    );
}

// doas

#[test]
#[ignore = "needs a Debian 13 with the programs: run by make test-services"]
fn doas_sends_nothing_to_onelogin_after_a_wrong_password() {
    let scene = doas_scene();
    let doas = doas_as(&scene, "alice", "a wrong one");
    denied(doas);
    assert_eq!(scene.simulator.connections(), 0);
    scene
        .stage
        .tried("doas", "a wrong password: nothing is sent to OneLogin");
}

#[test]
#[ignore = "needs a Debian 13 with the programs: run by make test-services"]
fn doas_lets_in_with_a_password_and_a_code() {
    let scene = doas_scene();
    let mut doas = doas_as(&scene, "alice", PASSWORD);
    doas.expect("Verification code (OneLogin): ");
    doas.line("999999");
    doas.expect("Verification code (OneLogin): ");
    doas.line("123456");
    became_root(doas);
    scene.decision("accepted user=alice");
    scene.stage.tried("doas", "a wrong code, then a right one");
}

#[test]
#[ignore = "needs a Debian 13 with the programs: run by make test-services"]
fn doas_denies_after_three_wrong_codes() {
    let scene = doas_scene();
    let mut doas = doas_as(&scene, "alice", PASSWORD);
    for _ in 0..3 {
        doas.expect("Verification code (OneLogin): ");
        doas.line("999999");
    }
    denied(doas);
    assert_eq!((scene.simulator.codes(), scene.denials()), (3, 1));
    scene
        .stage
        .tried("doas", "three wrong codes: denied, not asked again");
}

#[test]
#[ignore = "needs a Debian 13 with the programs: run by make test-services"]
fn doas_waits_for_a_push() {
    let scene = doas_scene();
    let mut doas = doas_as(&scene, "dave", PASSWORD);
    doas.expect("Verification code, or Enter for a push to Dave's phone: ");
    doas.line("");
    doas.expect("Push sent to Dave's phone. Approve it, then press Enter");
    scene.approve_push();
    doas.line("");
    became_root(doas);
    scene.stage.tried("doas", "a push, approved, then Enter");

    scene.simulator.clear_messages();
    let mut doas = doas_as(&scene, "dave", PASSWORD);
    doas.expect("Verification code, or Enter for a push to Dave's phone: ");
    doas.line("");
    doas.expect("Push sent to Dave's phone. Approve it, then press Enter");
    scene.deny_push();
    doas.line("");
    denied(doas);
    assert_eq!((scene.simulator.activations(), scene.denials()), (2, 1));
    scene.stage.tried("doas", "a push, denied: one push");
}

fn doas_scene() -> Scene {
    let scene = Scene::new(&[]);
    scene.stage.sample("doas", "doas");
    let rules = "permit :alice\npermit :dave\n";
    scene.stage.write("/etc/doas.conf", rules, 0o400);
    scene
}

/// Up to the answer to the password prompt.
fn doas_as(scene: &Scene, name: &str, password: &str) -> Pty {
    let mut doas = scene.as_person(name, "doas", &["id", "-un"]);
    doas.expect("assword: ");
    doas.line(password);
    doas
}

// cockpit

#[test]
#[ignore = "needs a Debian 13 with the programs: run by make test-services"]
fn cockpit_shows_the_prompt() {
    let scene = cockpit_scene();
    let cockpit = Cockpit::start();
    let page = cockpit.login("alice", "a wrong one");
    assert_eq!(page, Page::Refused("Authentication failure".to_owned()));
    assert_eq!(scene.simulator.connections(), 0);
    scene
        .stage
        .tried("cockpit", "a wrong password: nothing is sent to OneLogin");

    let question = cockpit.login("alice", PASSWORD).question();
    assert_eq!(question.prompt, "Verification code (OneLogin): ");
    let question = cockpit.answer(&question, "999999").question();
    assert!(question.prompt.ends_with("Verification code (OneLogin): "));
    assert_eq!(cockpit.answer(&question, "123456"), Page::Entered);
    scene.decision("accepted user=alice");
    scene
        .stage
        .tried("cockpit", "a wrong code, then a right one");

    let mut page = cockpit.login("alice", PASSWORD);
    for _ in 0..3 {
        page = cockpit.answer(&page.question(), "999999");
    }
    assert_eq!(
        page,
        Page::Refused("OneLogin verification failed.".to_owned())
    );
    assert_eq!((scene.simulator.codes(), scene.denials()), (5, 1));
    scene
        .stage
        .tried("cockpit", "three wrong codes: denied, not asked again");
}

#[test]
#[ignore = "needs a Debian 13 with the programs: run by make test-services"]
fn cockpit_waits_for_a_push() {
    let scene = cockpit_scene();
    let cockpit = Cockpit::start();
    let pushed = || {
        scene.simulator.clear_messages();
        let question = cockpit.login("dave", PASSWORD).question();
        assert_eq!(
            question.prompt,
            "Verification code, or Enter for a push to Dave's phone: "
        );
        let question = cockpit.answer(&question, "").question();
        assert!(
            question.prompt.starts_with("Push sent to Dave's phone."),
            "{question:?}"
        );
        question
    };
    let question = pushed();
    scene.approve_push();
    assert_eq!(cockpit.answer(&question, ""), Page::Entered);
    scene.stage.tried("cockpit", "a push, approved, then Enter");

    let question = pushed();
    scene.deny_push();
    let said = "The login was not approved. Log in again to retry.";
    assert_eq!(
        cockpit.answer(&question, ""),
        Page::Refused(said.to_owned())
    );
    scene.decision("reason=push-denied ");
    assert_eq!((scene.simulator.activations(), scene.denials()), (2, 1));
    scene.stage.tried("cockpit", "a push, denied: one push");
}

fn cockpit_scene() -> Scene {
    let scene = with_sample("cockpit");
    let _ = scene.person("alice");
    scene
}

/// cockpit-ws, the web server, without systemd, which starts cockpit-session for each connection to a socket.
struct Cockpit {
    _ws: Daemon,
    url: String,
}

/// What the web server answers to a login.
#[derive(Debug, PartialEq)]
enum Page {
    Entered,
    /// With the sentence for the user.
    Refused(String),
    Asked(Question),
}

/// A prompt of PAM, and the word by which the answer is known to belong to it.
#[derive(Debug, PartialEq)]
struct Question {
    conversation: String,
    prompt: String,
}

impl Page {
    fn question(self) -> Question {
        match self {
            Self::Asked(question) => question,
            other => panic!("no prompt: {other:?}"),
        }
    }
}

impl Cockpit {
    fn start() -> Self {
        fs::create_dir_all("/run/cockpit").expect("/run can be written");
        let socket = "/run/cockpit/session";
        let _ = fs::remove_file(socket);
        let sessions = UnixListener::bind(socket).expect("/run is ours");
        thread::spawn(move || {
            for connection in sessions.incoming().map_while(Result::ok) {
                let input = connection.try_clone().expect("a socket can be copied");
                let mut session = Command::new("/usr/lib/cockpit/cockpit-session")
                    .stdin(OwnedFd::from(input))
                    .stdout(OwnedFd::from(connection))
                    .stderr(Stdio::null())
                    .spawn()
                    .expect("cockpit-session is installed");
                thread::spawn(move || session.wait());
            }
        });
        let port = free_port();
        let number = port.to_string();
        let arguments = ["--no-tls", "--address", "127.0.0.1", "--port", &number];
        Self {
            _ws: Daemon::start("/usr/lib/cockpit/cockpit-ws", &arguments, port),
            url: format!("http://127.0.0.1:{port}/cockpit/login"),
        }
    }

    fn login(&self, user: &str, password: &str) -> Page {
        let words = base64(&[], &format!("{user}:{password}"));
        self.request(&format!("Basic {words}"))
    }

    fn answer(&self, question: &Question, answer: &str) -> Page {
        let conversation = &question.conversation;
        let words = base64(&[], answer);
        self.request(&format!("X-Conversation {conversation} {words}"))
    }

    /// A request of a browser that says this of its user.
    fn request(&self, authorization: &str) -> Page {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--include", "--max-time", "60"])
            .args(["--header", &format!("Authorization: {authorization}")])
            .arg(&self.url)
            .output()
            .expect("curl is installed");
        let text = String::from_utf8(output.stdout).expect("a page is UTF-8");
        let asked = text.lines().find_map(|line| {
            let words = line.strip_prefix("WWW-Authenticate: X-Conversation ")?;
            let (conversation, prompt) = words.trim_end().split_once(' ')?;
            Some(Question {
                conversation: conversation.to_owned(),
                prompt: base64(&["--decode"], prompt),
            })
        });
        let message = text.rsplit_once("\"message\":\"");
        let message = message.and_then(|(_, rest)| rest.split_once('"'));
        // The last prompt stays in the header, also when the login is over.
        match (text.split(' ').nth(1), asked, message) {
            (Some("200"), _, _) => Page::Entered,
            (Some("401" | "500"), _, Some((message, _))) => Page::Refused(message.to_owned()),
            (Some("401"), Some(question), None) => Page::Asked(question),
            _ => panic!("{text}{}", String::from_utf8_lossy(&output.stderr)),
        }
    }
}

/// As the program of this name writes or reads it, in one line.
fn base64(arguments: &[&str], text: &str) -> String {
    let mut child = Command::new("base64")
        .arg("--wrap=0")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("coreutils are installed");
    let mut input = child.stdin.take().expect("it is a pipe");
    input.write_all(text.as_bytes()).expect("it reads all");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{text}");
    String::from_utf8(output.stdout).expect("it is UTF-8")
}

// gvfs, a client of sshd

#[test]
#[ignore = "needs a Debian 13 with the programs: run by make test-services"]
fn gvfs_knows_the_prompt_by_its_words() {
    let scene = Scene::new(&[]);
    let sshd = scene.sshd("sshd-password");
    let mut gio = gio(&scene, &sshd, "alice");
    gio_password(&mut gio, "alice", "a wrong one");
    gio_password(&mut gio, "alice", PASSWORD);
    gio_code(&mut gio, "alice", "999999");
    gio_code(&mut gio, "alice", "123456");
    let (status, screen) = gio.finish();
    assert!(status.success(), "{screen}");
    scene.decision("accepted user=alice");
    scene.stage.tried(
        "gvfs",
        "gio mount sftp: a wrong password, a wrong code, then right ones",
    );

    // It does not know the prompt that says that a push was sent, and waits for another one.
    let mut gio = self::gio(&scene, &sshd, "dave");
    gio_password(&mut gio, "dave", PASSWORD);
    gio_code(&mut gio, "dave", "push");
    scene.approve_push();
    let (status, screen) = gio.finish();
    assert!(
        !status.success() && screen.contains("Timed out when logging in"),
        "{screen}"
    );
    scene.stage.tried(
        "gvfs",
        "gio mount sftp: the answer push: gio shows no further prompt, and ends after 40 seconds",
    );
}

/// The way of GNOME's file manager to a server, on a terminal.
fn gio(scene: &Scene, sshd: &Sshd, name: &str) -> Pty {
    let person = scene.person(name);
    let options = "StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel ERROR\n";
    scene.stage.write("/etc/ssh/ssh_config", options, 0o644);
    let place = format!("sftp://{name}@127.0.0.1:{}/", sshd.port());
    let arguments = ["--", "gio", "mount", &place];
    let command = scene.stage.command(&person, "dbus-run-session", &arguments);
    scene.stage.on_terminal(&person, command)
}

/// Its question for a password.
fn gio_password(gio: &mut Pty, name: &str, password: &str) {
    gio.expect(&format!("Enter password for “{name}” on “127.0.0.1”:"));
    gio.expect("Password: ");
    gio.hidden_line(password);
}

/// Its question for a code, by the words "Verification code" in the prompt. The text of the prompt itself it does not show.
fn gio_code(gio: &mut Pty, name: &str, code: &str) {
    gio.expect(&format!("Enter verification code for {name} on 127.0.0.1"));
    gio.expect("Password: ");
    gio.hidden_line(code);
}

// What they share

/// With the sample of this name, and the configuration that its comment shows.
fn with_sample(service: &str) -> Scene {
    let settings = settings(service);
    let scene = Scene::new(&[&settings]);
    scene.stage.sample(service, service);
    for name in ["bob", "dave"] {
        let _ = scene.person(name);
    }
    scene
}

/// What holds for every program that can show no prompt. All of it happens to one process of the program.
fn one_push(scene: &Scene, service: &str, reason: &str, client: &dyn Client) {
    client.is_refused("dave", "a wrong one");
    assert_eq!(scene.simulator.connections(), 0);
    scene
        .stage
        .tried(service, "a wrong password: nothing is sent to OneLogin");

    let login = client.start("dave", PASSWORD);
    scene.deny_push();
    login.refused();
    scene.decision("reason=push-denied ");
    // A client that tries again by itself.
    for _ in 0..3 {
        client.is_refused("dave", PASSWORD);
    }
    scene.decision("reason=push-denied-lately");
    assert_eq!(scene.simulator.activations(), 1);
    scene.stage.tried(
        service,
        "a push, denied: one push, and none for three more tries",
    );

    scene.simulator.clear_messages();
    let login = client.start("bob", PASSWORD);
    scene.approve_push();
    login.entered();
    scene.decision("accepted user=bob");
    assert_eq!(scene.simulator.activations(), 2);
    scene
        .stage
        .tried(service, "a push, approved, after another user was denied");

    scene.stage.stack(service, OURS_ALONE);
    client.is_refused("dave", PASSWORD);
    scene.decision("reason=no-first-factor");
    assert_eq!(scene.simulator.activations(), 2);
    scene.stage.tried(
        service,
        "without a first factor: nothing is sent to OneLogin",
    );

    // As without [services.NAME].
    scene.stage.sample(service, service);
    scene.stage.config(&scene.simulator, &[]);
    client.is_refused("dave", PASSWORD);
    scene.decision(&format!("reason={reason}"));
    assert_eq!(scene.simulator.activations(), 2);
    scene.stage.config(&scene.simulator, &[&settings(service)]);
}

/// A second login while the push of the first one waits.
fn at_the_same_time(scene: &Scene, client: &dyn Client) {
    let sent = scene.simulator.activations();
    scene.simulator.clear_messages();
    let first = client.start("bob", PASSWORD);
    scene.wait_for_push();
    client.is_refused("bob", PASSWORD);
    scene.decision("reason=push-paused");
    scene.approve_push();
    first.entered();
    assert_eq!(scene.simulator.activations(), sent + 1);
}

/// The lines of configuration in the comment of a sample.
fn settings(sample: &str) -> String {
    let text = read_sample(sample);
    let lines: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("#     "))
        .collect();
    assert!(
        !lines.is_empty(),
        "{sample} does not say what the configuration needs"
    );
    lines.join("\n")
}

/// A client of a service.
trait Client {
    /// Begins a login.
    fn start(&self, user: &str, password: &str) -> Attempt;

    fn is_refused(&self, user: &str, password: &str) {
        self.start(user, password).refused();
    }
}

/// A login that goes on.
enum Attempt {
    /// curl, with the status of its end where the user or the password is not right.
    Curl { running: Child, refused: i32 },
    /// A client on a terminal, with what it says where the login succeeds, and where it does not.
    Terminal {
        screen: Pty,
        entered: &'static str,
        refused: &'static str,
    },
}

impl Attempt {
    /// The login succeeds.
    fn entered(self) {
        match self {
            Self::Curl { running, .. } => {
                let output = running.wait_with_output().expect("curl ends");
                assert!(output.status.success(), "{output:?}");
            }
            Self::Terminal {
                mut screen,
                entered,
                refused,
            } => {
                let (which, _) = screen.expect_any(&[entered, refused]);
                assert_eq!(which, 0, "{}", screen.screen());
            }
        }
    }

    /// It does not.
    fn refused(self) {
        match self {
            Self::Curl { running, refused } => {
                let output = running.wait_with_output().expect("curl ends");
                assert_eq!(output.status.code(), Some(refused), "{output:?}");
            }
            Self::Terminal {
                mut screen,
                entered,
                refused,
            } => {
                let (which, _) = screen.expect_any(&[entered, refused]);
                assert_eq!(which, 1, "{}", screen.screen());
            }
        }
    }
}

/// curl, as a user of a service.
struct Curl {
    url: String,
    further: Vec<String>,
    /// The option that names user and password.
    user: &'static str,
    /// The status with which it ends where the user or the password is not right.
    refused: i32,
}

impl Client for Curl {
    fn start(&self, user: &str, password: &str) -> Attempt {
        let running = Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--fail",
                "--max-time",
                "60",
                self.user,
            ])
            .arg(format!("{user}:{password}"))
            .args(&self.further)
            .arg(&self.url)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("curl is installed");
        Attempt::Curl {
            running,
            refused: self.refused,
        }
    }
}

/// A program that serves a port, with all its processes.
struct Daemon(Child);

impl Daemon {
    /// Waits until it serves this port.
    fn start(program: &str, arguments: &[&str], port: u16) -> Self {
        let serves = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        Self::until(program, arguments, &serves)
    }

    fn until(program: &str, arguments: &[&str], is_ready: &dyn Fn() -> bool) -> Self {
        let mut daemon = Self::begin(program, arguments);
        let deadline = Instant::now() + LONG;
        while !is_ready() {
            let ended = daemon.0.try_wait().expect("a child can be asked");
            assert!(ended.is_none(), "{program}: {ended:?}");
            assert!(Instant::now() < deadline, "{program} does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        daemon
    }

    fn begin(program: &str, arguments: &[&str]) -> Self {
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        Self(child)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Ok(group) = i32::try_from(self.0.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = self.0.wait();
    }
}

const CERTIFICATE: &str = "/etc/ssl/localhost.pem";
const KEY: &str = "/etc/ssl/localhost.key";
const HELPER: &str = "/usr/lib/squid/basic_pam_auth";

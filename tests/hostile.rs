//! What OneLogin, the network, the files and the system can do to a login: nobody gets in by it,
//! under either `failmode`. The built module in the real libpam; no root.

mod world;

use onelogin_simulator::{Action, Certificate, Fault, Match, Options, PushBehaviour};
use pam_host::root::free_port;
use pam_host::{Code, Outcome};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::thread;
use std::time::Duration;
use world::{
    DIALECTS, SAFE, TOTP_CODE, World, assert_denied, assert_denied_for, connection, decision,
    fresh_code, push, reason, sms, totp,
};

const NETWORKS: &str = "failmode_from = [\"192.0.2.0/24\"]";
const SECURE: &str = "failmode = \"secure\"";
const QUICK: &str = "onelogin.request_timeout = 1";

const SUCCESS: &str =
    r#"{"status":{"type":"success","code":200,"message":"Success","error":false}}"#;

fn with_code(world: &World) -> Outcome {
    world
        .later()
        .ssh()
        .answers([TOTP_CODE, "111111", "222222"])
        .run()
}

#[test]
fn r02_a_fault_in_the_configuration_denies_under_every_failmode_and_names_its_line() {
    let world = World::with_totp();
    for (fault, expected) in [
        (
            "users.matches = \"email\"",
            "config.toml:8: \\\"matches\\\" is not a key in [users]",
        ),
        (
            "onelogin.url = \"http://localhost\"",
            "must begin with \\\"https://\\\"",
        ),
        (
            "onelogin.client_secret = \"\"",
            "\\\"client_secret\\\" is empty",
        ),
        (
            "factors.prompts = 0",
            "config.toml:8: \\\"prompts\\\" must be 1 to 3, not 0",
        ),
        ("push.wait = 56", "make it at most 55"),
        ("factors.allow = []", "\\\"allow\\\" is empty"),
        ("nonsense", "not TOML"),
        (
            "onelogin.client_secret = 5\nonelogin.client_secret_file = \"/x\"",
            "must be text in quotes",
        ),
    ] {
        for failmode in [SECURE, "failmode = \"safe\""] {
            world.config(&[failmode, NETWORKS, fault]);
            let outcome = with_code(&world);
            assert_eq!(outcome.code, Code::SERVICE_ERR, "{fault}");
            assert_eq!(outcome.prompts(), [""; 0]);
            assert!(outcome.log[0].contains("fault="), "{:?}", outcome.log);
            assert!(
                outcome.log.concat().contains(expected),
                "{expected}: {:?}",
                outcome.log
            );
            assert_eq!(reason(&outcome), "config");
            assert_eq!(
                outcome.texts(),
                [
                    "OneLogin verification does not work on this host. Please tell your administrator."
                ]
            );
        }
    }
    assert_eq!(world.onelogin.connections(), 0);
}

#[test]
fn r02_an_argument_that_is_none_denies() {
    let world = World::with([totp()], &[SAFE]);
    for argument in [
        "nullok",
        "config=relative",
        "config=/no/such/file",
        "use_first_pass",
    ] {
        let line = format!(
            "auth required {} {argument}",
            world.place.module().display()
        );
        world.place.service("sshd", &[&line]);
        let case = world
            .place
            .case("sshd")
            .user(world::NAME)
            .ssh_with_key(&connection());
        let outcome = case.answers([TOTP_CODE; 3]).run();
        assert_eq!(outcome.code, Code::SERVICE_ERR, "{argument}");
        assert!(outcome.log[0].contains("fault="), "{:?}", outcome.log);
    }
}

#[test]
fn r04_files_that_others_could_have_changed_deny() {
    let set_mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let world = World::with([totp()], &[SAFE]);
    let config = world.place.config_path();
    let denied = |expected: &str| {
        let outcome = with_code(&world);
        assert_eq!(
            outcome.code,
            Code::SERVICE_ERR,
            "{expected}: {:?}",
            outcome.log
        );
        assert!(
            outcome.log.concat().contains(expected),
            "{expected}: {:?}",
            outcome.log
        );
    };
    for mode in [0o644, 0o640, 0o622, 0o606] {
        set_mode(&config, mode);
        denied("chmod 600");
    }
    set_mode(&config, 0o600);
    let folder = config.parent().unwrap();
    for mode in [0o777, 0o770, 0o702] {
        set_mode(folder, mode);
        denied("type: chmod go-w");
    }
    set_mode(folder, 0o700);
    assert_eq!(with_code(&world).code, Code::SUCCESS, "all is well again");

    let ca = world.place.path().join("etc/ca.pem");
    set_mode(&ca, 0o666);
    denied("chmod go-w");
    set_mode(&ca, 0o644);
    std::fs::write(&ca, "no certificate").unwrap();
    denied("contains no certificate");
    std::fs::remove_file(&ca).unwrap();
    denied("does not exist");

    let real = folder.join("real.toml");
    std::fs::rename(&config, &real).unwrap();
    symlink(&real, &config).unwrap();
    denied("symbolic link");
    std::fs::remove_file(&config).unwrap();
    nix::unistd::mkfifo(&config, nix::sys::stat::Mode::S_IRUSR).unwrap();
    denied("is a pipe");
    std::fs::remove_file(&config).unwrap();
    std::fs::create_dir(&config).unwrap();
    denied("is a folder");
    std::fs::remove_dir(&config).unwrap();
    denied("does not exist");
    std::fs::write(&config, vec![b'#'; 70_000]).unwrap();
    set_mode(&config, 0o600);
    denied("longer than 65536 bytes");
    std::fs::write(&config, b"\xff\xfe").unwrap();
    denied("not UTF-8");
}

#[test]
fn a_client_secret_in_a_file_of_its_own_is_used() {
    let world = World::with_totp();
    let secret = world
        .place
        .write("etc/secret", onelogin_simulator::DEFAULT_CLIENT_SECRET);
    let text = std::fs::read_to_string(world.place.config_path()).unwrap();
    let file = format!(
        "onelogin.client_secret_file = {:?}",
        secret.to_str().unwrap()
    );
    let lines: Vec<&str> = text
        .lines()
        .map(|l| {
            if l.contains("client_secret") {
                &file
            } else {
                l
            }
        })
        .collect();
    world.place.config(lines.join("\n"));
    assert_eq!(with_code(&world).code, Code::SUCCESS);
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o640)).unwrap();
    let outcome = with_code(&world);
    assert_eq!(outcome.code, Code::SERVICE_ERR);
    assert!(outcome.log[0].contains("chmod 600"), "{:?}", outcome.log);
}

/// The four requests of a login by code.
fn stages() -> [(&'static str, Match); 4] {
    [
        ("token", Match::token()),
        ("user", Match::path("/api/2/users")),
        ("devices", Match::path("/devices")),
        ("code", Match::code()),
    ]
}

#[test]
fn r02_each_http_fault_of_a_server_on_this_host_denies_under_either_failmode() {
    let refusals = [
        400, 401, 403, 404, 422, 429, 500, 501, 502, 503, 504, 301, 302, 307, 202, 206,
    ];
    for (stage, on) in stages() {
        for status in refusals {
            for failmode in [SECURE, SAFE] {
                let world = World::with([totp()], &[failmode]);
                // A redirect that were followed, or a body that were believed, would accept.
                let headers = vec![("Location".to_owned(), world.onelogin.url())];
                let action = Action::Status(status, SUCCESS.to_owned(), headers);
                world.fault(Fault::new(on.clone(), action));
                let outcome = with_code(&world);
                let what = format!("{status} at {stage}, {failmode}: {:?}", outcome.log);
                // This server is on this host: whoever is here could have made it say so.
                assert_denied(&outcome, &what);
            }
        }
    }
}

#[test]
fn r02_r19_no_connection_to_a_server_on_this_host_lets_in_under_either_failmode() {
    let url = format!("onelogin.url = \"https://localhost:{}\"", free_port());
    let world = World::with([totp()], &[SECURE, &url]);
    let outcome = with_code(&world);
    assert_eq!(outcome.code, Code::MAXTRIES);
    assert_eq!(reason(&outcome), "no-connection");
    world.config(&[SAFE, &url]);
    let outcome = with_code(&world);
    assert_eq!(outcome.code, Code::MAXTRIES);
    assert_eq!(outcome.prompts(), [""; 0]);
    let remark = "failmode=safe does not apply: why=";
    assert!(outcome.log[0].contains(remark), "{:?}", outcome.log);
    // A name service that fails is no outage: a user of this host can see to that.
    let (again, no_name, fail, system) = (-3, -2, -4, -11);
    let names = |code| world.ssh().answers([TOTP_CODE; 3]).names(code).run();
    world.config(&[SAFE]);
    let outcome = names(again);
    assert_eq!(outcome.code, Code::MAXTRIES);
    assert_eq!(reason(&outcome), "no-connection");
    let outcome = names(no_name);
    assert_eq!(outcome.code, Code::MAXTRIES);
    assert_eq!(reason(&outcome), "no-such-host");
    for code in [fail, system] {
        assert_denied(&names(code), &format!("getaddrinfo: {code}"));
    }
    assert_eq!(world.requests(), 0);
}

#[test]
fn r02_with_an_activation_before_the_code_safe_ends_there() {
    let world = World::with([totp()], &[SAFE, "onelogin.verify = \"activated\""]);
    for status in [502, 503, 504] {
        world.onelogin.clear_faults();
        world.fault(Fault::new(Match::activation(), Action::status(status)));
        assert_denied(&with_code(&world), &format!("{status}"));
    }
}

#[test]
fn r06_no_redirect_is_followed_wherever_it_leads() {
    let elsewhere = World::with_totp();
    for (stage, on) in stages() {
        let world = World::with([totp()], &[SAFE]);
        // The other server is trusted, and would accept.
        let ca = format!("{}{}", world.onelogin.ca_pem(), elsewhere.onelogin.ca_pem());
        world.place.write("etc/ca.pem", ca);
        let target = format!("{}/api/2/users", elsewhere.onelogin.url());
        world.fault(Fault::new(on, Action::Redirect(target)));
        let outcome = with_code(&world);
        assert_denied_for(&outcome, stage, "redirected");
    }
    assert_eq!(elsewhere.onelogin.connections(), 0);
}

#[test]
fn r06_a_ca_file_is_read_whole_or_not_at_all() {
    let world = World::with_totp();
    let good = world.onelogin.ca_pem();
    let login = |pem: &str| {
        world.place.write("etc/ca.pem", pem);
        world.later().ssh().answer(fresh_code()).run()
    };
    let text = "# a name\n\nsubject=somebody\n";
    for pem in [
        format!("{text}{good}{text}"),
        good.replace('\n', "\r\n"),
        good.trim_end().to_owned(),
    ] {
        assert_eq!(login(&pem).code, Code::SUCCESS, "{pem}");
    }
    for (pem, fault) in [
        (String::new(), "contains no certificate in PEM form"),
        (text.to_owned(), "contains no certificate in PEM form"),
        (
            format!("{good}-----BEGIN CERTIFICATE-----\nAAAA\n"),
            "contains a certificate without an END line",
        ),
        (
            good.replace("-----END CERTIFICATE-----", ""),
            "contains a certificate without an END line",
        ),
        (
            good.replacen("MI", "*I", 1),
            "contains a certificate that is not base64",
        ),
    ] {
        let outcome = login(&pem);
        assert_denied_for(&outcome, fault, "tls");
        assert!(outcome.log.concat().contains(fault), "{:?}", outcome.log);
    }
}

#[test]
fn r06_without_ca_file_the_systems_bundle_decides() {
    let world = World::with_totp();
    let text = std::fs::read_to_string(world.place.config_path()).unwrap();
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("ca_file"))
        .collect();
    world.place.config(lines.join("\n"));
    let outcome = with_code(&world);
    assert_eq!(outcome.code, Code::SERVICE_ERR);
    assert_eq!(reason(&outcome), "tls");
    let opened: Vec<_> = outcome
        .notes
        .opened
        .iter()
        .map(|file| file.path.as_str())
        .collect();
    assert!(
        opened
            .iter()
            .any(|path| path.contains("/cert") || path.contains("/pki")),
        "{opened:?}"
    );
    assert_eq!(world.requests(), 0);
}

#[test]
fn r09_silence_drip_and_floods_end_and_deny() {
    let faults = || {
        [
            ("silence", Action::Silence),
            ("a drip", Action::Drip { bytes: 1, every_ms: 200 }),
            ("a flood", Action::Huge(1 << 30)),
            ("endless headers", Action::EndlessHeaders),
            ("dropped before", Action::DropBefore),
            ("dropped after", Action::DropAfter),
            ("no HTTP", Action::Raw(b"220 smtp ready\r\n".to_vec())),
            ("half a head", Action::Raw(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec())),
            ("half a body", Action::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{\"status\":\"accepted\"".to_vec())),
            ("two lengths", Action::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 22\r\n\r\n{\"status\":\"accepted\"}".to_vec())),
        ]
    };
    for (stage, on) in stages() {
        for (name, action) in faults() {
            let world = World::with([totp()], &[SAFE, QUICK]);
            world.fault(Fault::new(on.clone(), action));
            let outcome = with_code(&world);
            let what = format!("{name} at {stage}: {:?}", outcome.log);
            assert_denied(&outcome, &what);
            if stage == "code" {
                assert_eq!(world.onelogin.codes(), 1, "sent once: {what}");
            }
        }
    }
}

#[test]
fn r09_a_server_that_accepts_and_says_nothing_denies() {
    let world = World::with([totp()], &[SAFE, "onelogin.connect_timeout = 1"]);
    world.fault(Fault::new(Match::any(), Action::SilentAccept));
    let outcome = with_code(&world);
    assert_denied_for(&outcome, "silence before TLS", "timeout");
    let world = World::with([totp()], &[SAFE]);
    world.fault(Fault::new(Match::any(), Action::HangUpAfterHandshake));
    assert_denied(&with_code(&world), "hang up after the handshake");
}

/// A OneLogin that presents this, and an outage would let in.
fn presenting(certificate: Certificate, tls12_only: bool) -> World {
    let options = Options {
        certificate,
        tls12_only,
        ..Options::default()
    };
    World::started(options, [totp()], &[SAFE])
}

#[test]
fn r06_any_chain_that_ends_in_a_certificate_of_the_ca_file_is_taken() {
    for tls12_only in [false, true] {
        for certificate in [
            Certificate::Intermediate,
            Certificate::IntermediateAndRoot,
            Certificate::GoodInACrowd,
            Certificate::Nameless,
            Certificate::TrustedIntermediate,
        ] {
            let world = presenting(certificate, tls12_only);
            let outcome = with_code(&world);
            assert_eq!(
                outcome.code,
                Code::SUCCESS,
                "{certificate:?} {:?}",
                outcome.log
            );
        }
    }
}

#[test]
fn r06_of_cas_with_one_name_each_is_tried() {
    let world = World::with_totp();
    let others: Vec<World> = (0..3).map(|_| World::with_totp()).collect();
    let others = others.iter().map(|other| other.onelogin.ca_pem());
    let others = others.collect::<String>();
    let good = world.onelogin.ca_pem();
    let login = |pem: String| {
        world.place.write("etc/ca.pem", pem);
        world.later().ssh().answer(fresh_code()).run()
    };
    for pem in [format!("{good}{others}"), format!("{others}{good}")] {
        assert_eq!(login(pem).code, Code::SUCCESS);
    }
    let outcome = login(others);
    assert_eq!(outcome.code, Code::SERVICE_ERR);
    assert_eq!(reason(&outcome), "tls");
}

#[test]
fn r06_a_broken_certificate_that_nobody_names_is_a_fault_of_a_refusal_alone() {
    let broken = |pem: &str| {
        let (head, tail) = pem.split_at(pem.len() - 100);
        head.to_owned() + &tail.replacen(|c: char| c.is_ascii_lowercase(), "*", 1)
    };
    let fault = "contains a certificate that is not base64";
    let world = World::with_totp();
    let good = world.onelogin.ca_pem();
    let stranger = presenting(Certificate::Nameless, false);
    let elsewhere = broken(stranger.onelogin.ca_pem());
    let login = |pem: &str| {
        world.place.write("etc/ca.pem", pem);
        world.later().ssh().answer(fresh_code()).run()
    };
    let outcome = login(&format!("{elsewhere}{good}"));
    assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
    for pem in [broken(good), elsewhere] {
        let outcome = login(&pem);
        assert_eq!(reason(&outcome), "tls");
        assert!(outcome.log.concat().contains(fault), "{:?}", outcome.log);
    }
}

#[test]
fn r06_only_a_certificate_for_this_host_from_our_ca_is_taken() {
    for certificate in [
        Certificate::WrongHost,
        Certificate::Expired,
        Certificate::NotYetValid,
        Certificate::NoCa,
        Certificate::SelfSigned,
        Certificate::UnknownCa,
        Certificate::UnknownCaInACrowd,
        Certificate::Stolen,
    ] {
        for tls12_only in [false, true] {
            let name = format!("{certificate:?}");
            let world = presenting(certificate, tls12_only);
            let outcome = with_code(&world);
            assert_eq!(outcome.code, Code::SERVICE_ERR, "{name} {:?}", outcome.log);
            assert_eq!(reason(&outcome), "tls", "{name}");
            assert_eq!(world.requests(), 0, "{name}");
        }
    }
    let options = Options {
        plain_http: true,
        ..Options::default()
    };
    let world = World::started(options, [totp()], &[SAFE]);
    assert_denied(&with_code(&world), "plain HTTP");
    let options = Options {
        tls12_only: true,
        ..Options::default()
    };
    let world = World::started(options, [totp()], &[SAFE]);
    assert_eq!(with_code(&world).code, Code::SUCCESS, "TLS 1.2 is enough");
}

#[test]
fn r06_no_other_reply_to_a_code_or_a_poll_is_an_acceptance() {
    let replies = [
        "",
        "accepted",
        "{}",
        "[]",
        r#"{"status":"pending"}"#,
        r#"{"status":"rejected"}"#,
        r#"{"status":"ACCEPTED"}"#,
        r#"{"data":{"status":"accepted"}}"#,
        r#"[{"status":"accepted"},{"status":"accepted"}]"#,
        r#"{"status":"accepted","user_id":"1002"}"#,
        r#"{"status":"accepted","device_id":"999"}"#,
        r#"{"status":"accepted","statusCode":401}"#,
        r#"{"status":{"type":"pending","code":200,"message":"Authentication pending on OL Protect","error":false}}"#,
        r#"{"status":{"type":"success","code":200,"message":"Authentication pending on OL Protect","error":false}}"#,
        r#"{"status":{"type":"success","code":200,"message":"Success","error":true}}"#,
        r#"{"message":"accepted","status":{}}"#,
    ];
    for body in replies {
        let world = World::with_totp();
        world.fault(Fault::new(Match::code(), Action::Body(body.to_owned())));
        assert_denied(&with_code(&world), body);

        let world = World::with([push()], &["push.wait = 1"]);
        world.fault(Fault::new(Match::poll(), Action::Body(body.to_owned())));
        assert_denied(&world.ssh().answers(["", ""]).run(), body);
    }
    // What a code's reply may be, a poll's may not: it must carry our verification.
    for body in [
        r#"{"status":"accepted"}"#,
        SUCCESS,
        r#"{"id":"another","status":"accepted"}"#,
    ] {
        let world = World::with([push()], &["push.wait = 1"]);
        world.fault(Fault::new(Match::poll(), Action::Body(body.to_owned())));
        assert_denied(&world.ssh().answers(["", ""]).run(), body);
    }
}

#[test]
fn r06_an_activation_of_somebody_else_is_not_waited_for() {
    let world = World::with_push();
    world.onelogin.on_push(PushBehaviour::ApproveAfterPolls(1));
    for body in [
        r#"{"id":"v-1","user_id":"1002","device_id":"601"}"#,
        r#"{"id":"v-1","user_id":"1001","device_id":"602"}"#,
        r#"{"id":"../../users/1002/verifications/x","user_id":"1001"}"#,
    ] {
        world.onelogin.clear_faults();
        world.fault(Fault::new(
            Match::activation(),
            Action::Body(body.to_owned()),
        ));
        assert_denied(&world.ssh().answers(["", ""]).run(), body);
    }
    assert_eq!(world.onelogin.count("GET", "/verifications/"), 0);
}

#[test]
fn r16_a_code_or_activation_is_sent_once_whatever_becomes_of_its_reply() {
    for dialect in DIALECTS {
        for action in [
            Action::DropBefore,
            Action::DropAfter,
            Action::Silence,
            Action::status(401),
            Action::status(504),
        ] {
            let what = format!("{dialect:?} {action:?}");
            let world = World::with([totp()], &[QUICK]).speaking(dialect);
            world.fault(Fault::new(Match::code(), action.clone()));
            assert_denied(&world.ssh().answer(TOTP_CODE).run(), &what);
            assert_eq!(world.onelogin.codes(), 1, "{what}");

            for device in [push(), sms()] {
                let world = World::with([device], &[QUICK]).speaking(dialect);
                world.onelogin.on_push(PushBehaviour::ApproveAfterPolls(1));
                world.fault(Fault::new(Match::activation(), action.clone()));
                let connection = connection();
                for _ in 0..3 {
                    // sshd would run the stack again.
                    let outcome = world.ssh_again(&connection).answers(["", ""]).run();
                    assert_denied(&outcome, &what);
                }
                assert_eq!(world.onelogin.activations(), 1, "{what}");
            }
        }
    }
}

#[test]
fn a_poll_that_fails_once_is_asked_again() {
    let world = World::with_push();
    world.onelogin.on_push(PushBehaviour::ApproveAfterPolls(1));
    world.fault(Fault::new(Match::poll(), Action::status(504)).times(1));
    let outcome = world.ssh().answers(["", ""]).run();
    assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
    assert_eq!(world.onelogin.activations(), 1);
}

#[test]
fn a_credential_that_is_wrong_is_named_in_the_log() {
    let world = World::with([totp()], &["onelogin.client_secret = \"wrong\"", SAFE]);
    let outcome = with_code(&world);
    assert_eq!(outcome.code, Code::SERVICE_ERR);
    assert_eq!(reason(&outcome), "credential");
    assert!(
        decision(&outcome).contains("status=401"),
        "{:?}",
        outcome.log
    );
}

#[test]
fn r10_names_and_messages_of_onelogin_cannot_move_the_terminal_or_forge_the_log() {
    let world = World::with([], &[]);
    let evil = "\u{1b}]0;owned\u{7}\u{202e}Phone\r\nPassword: ";
    world
        .onelogin
        .add_device(world::ID, onelogin_simulator::Device::protect("601", evil));
    let outcome = world.ssh().answers(["x"; 3]).run();
    assert_eq!(
        outcome.prompts()[0],
        "Verification code, or Enter for a push to ]0;ownedPhone Password:: "
    );
    let message = r#"{"statusCode":403,"name":"ForbiddenAction","message":"x\nsshd: accepted user=root\u001b[2J"}"#;
    let action = Action::Status(403, message.to_owned(), Vec::new());
    world.fault(Fault::new(Match::path("/devices"), action));
    let outcome = world.ssh().rhost("evil\n<86>sshd: accepted").run();
    assert_eq!(outcome.log.len(), 1);
    assert!(
        outcome.log[0].chars().all(|c| !c.is_control()),
        "{:?}",
        outcome.log
    );
    assert!(
        outcome.log[0].contains("rhost=\"evil <86>sshd: accepted\""),
        "{:?}",
        outcome.log
    );
}

/// Each code that a module can return, in the place of ours, in each sample as it stands.
#[test]
fn r15_in_every_sample_stack_a_denial_is_a_denial_whatever_its_code() {
    for layout in LAYOUTS {
        let samples = samples_of(layout);
        let place = pam_host::Place::new();
        let in_the_stack = |name: &str, unix: &str, ours: &str| {
            services(&place, layout, &samples, unix, ours);
            place.case(name).user(world::NAME).run()
        };
        for (name, sample) in &samples {
            for code in 0..32 {
                // The first factor is passed.
                let ours = format!("@helper@ auth={code} cred=0");
                let outcome = in_the_stack(name, "pam_permit.so", &ours);
                let lets_in = outcome.code == Code::SUCCESS;
                assert_eq!(
                    lets_in,
                    code == 0 || code == 25,
                    "{layout}/{name}, code {code}: {}",
                    outcome.code
                );
            }
            // A first factor that is not passed is the end: we are not even asked.
            let asked = "@helper@ print=asked auth=0";
            let outcome = in_the_stack(name, "pam_deny.so", asked);
            let has_key = *name == "sshd-key";
            assert_eq!(outcome.code == Code::SUCCESS, has_key, "{layout}/{name}");
            assert_eq!(outcome.stdout == "asked\n", has_key, "{layout}/{name}");
            if !sample.contains("pam_onelogin.so") {
                assert!(sample.contains("auth       include      su"), "{name}");
            }
        }
        let expected = if layout == "debian" { 17 } else { 7 };
        assert_eq!(samples.len(), expected, "{layout}");
    }
}

/// The lines that the samples for Fedora offer for users who come from elsewhere.
#[test]
fn r15_two_first_factors_deny_and_do_not_reach_us_unless_one_is_passed() {
    let mut seen = 0;
    for (name, sample) in samples_of("fedora") {
        let lines: Vec<&str> = sample
            .lines()
            .filter_map(|line| line.strip_prefix("#   "))
            .filter(|line| line.starts_with("auth "))
            .collect();
        if lines.is_empty() {
            continue;
        }
        let place = pam_host::Place::new();
        let sample = sample.replace("auth       requisite    pam_unix.so", &lines.join("\n"));
        for (unix, sssd, code, expected) in [
            ("pam_permit.so", "pam_deny.so", 0, (true, "asked\n")),
            ("pam_deny.so", "pam_permit.so", 0, (true, "asked\n")),
            ("pam_permit.so", "pam_deny.so", 7, (false, "asked\n")),
            ("pam_deny.so", "pam_permit.so", 7, (false, "asked\n")),
            ("pam_deny.so", "pam_deny.so", 0, (false, "")),
        ] {
            let ours = format!("@helper@ print=asked auth={code}");
            let stack = [(name.clone(), sample.replace("pam_sss.so", sssd))];
            services(&place, "fedora", &stack, unix, &ours);
            let outcome = place.case(&name).user(world::NAME).run();
            assert_eq!(
                (outcome.code == Code::SUCCESS, outcome.stdout.as_str()),
                expected,
                "{name}: {unix} {sssd} {code}"
            );
        }
        seen += 1;
    }
    assert_eq!(seen, 4);
}

/// Why the samples for Fedora have another first factor than Fedora.
#[test]
fn r15_behind_what_fedora_includes_we_are_asked_too_early_or_not_at_all() {
    let place = pam_host::Place::new();
    for (control, unix, expected) in [
        // A wrong password, and the stack goes on: a stranger's push.
        ("substack", "pam_deny.so", (false, "asked\n")),
        // The right one, and the stack ends: no second factor.
        ("include", "pam_permit.so", (true, "")),
    ] {
        let stack = format!("auth {control} system-auth\nauth required pam_onelogin.so\n");
        let ours = "@helper@ print=asked auth=7";
        services(&place, "fedora", &[("x".to_owned(), stack)], unix, ours);
        let outcome = place.case("x").user(world::NAME).run();
        let seen = (outcome.code == Code::SUCCESS, outcome.stdout.as_str());
        assert_eq!(seen, expected, "{control}");
    }
}

const LAYOUTS: [&str; 2] = ["debian", "fedora"];

/// Name and text of each sample of a layout.
fn samples_of(layout: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("pam.d")
        .join(layout);
    let mut samples = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        samples.push((name, std::fs::read_to_string(&path).unwrap()));
    }
    samples
}

/// Writes these stacks, and what they include, with other modules in the place of `pam_unix` and of ours. The caller is
/// not root, and may use every service.
fn services(
    place: &pam_host::Place,
    layout: &str,
    stacks: &[(String, String)],
    unix: &str,
    ours: &str,
) {
    let stacks = stacks
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()));
    for (name, text) in stacks.chain(included(layout)) {
        let text = text
            .replace("pam_onelogin.so", ours)
            .replace("pam_unix.so", unix)
            .replace("pam_rootok.so", "pam_deny.so")
            .replace("pam_listfile.so", "pam_permit.so")
            .replace("pam_shells.so", "pam_permit.so");
        let lines: Vec<_> = text.lines().map(|line| with_path(place, line)).collect();
        place.service(name, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// A line with the path of what it includes: libpam looks for a bare name in /etc, wherever the stack itself is.
fn with_path(place: &pam_host::Place, line: &str) -> String {
    let includes = |word| ["include", "substack", "@include"].contains(&word);
    match line.rsplit_once(' ') {
        Some((before, name)) if before.split(' ').any(includes) && !line.starts_with('#') => {
            format!("{before} {}/{name}", place.confdir().display())
        }
        _ => line.to_owned(),
    }
}

/// What the samples include, as far as it decides a login: Debian's as pam-auth-update writes it, Fedora's as authselect
/// does, profile "local" without features.
fn included(layout: &str) -> Vec<(&'static str, &'static str)> {
    const ACCOUNT: &str = "account required pam_permit.so";
    const SYSTEM_AUTH: &str = "auth required pam_env.so\nauth required pam_faildelay.so delay=2000000\n\
        auth sufficient pam_unix.so nullok\nauth required pam_deny.so\naccount required pam_permit.so";
    const POSTLOGIN: &str = "session optional pam_umask.so silent";
    if layout == "fedora" {
        return vec![
            ("system-auth", SYSTEM_AUTH),
            ("password-auth", SYSTEM_AUTH),
            ("postlogin", POSTLOGIN),
        ];
    }
    vec![
        ("common-account", ACCOUNT),
        ("common-session", ACCOUNT),
        ("common-session-noninteractive", ACCOUNT),
        ("common-password", ACCOUNT),
    ]
}

#[test]
fn r09_a_server_that_never_pauses_does_not_outlast_the_request() {
    for action in [Action::EndlessHints, Action::Tickets] {
        let world = World::with([totp()], &[SAFE, QUICK]);
        let on = Match::code();
        world.fault(Fault::new(on, action.clone()));
        let outcome = with_code(&world);
        assert_denied_for(&outcome, &format!("{action:?}"), "timeout");
        assert_eq!(world.onelogin.codes(), 1, "sent once: {action:?}");
    }
}

#[test]
fn r09_a_handshake_that_trickles_ends_with_the_time_of_a_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("onelogin.url = \"https://localhost:{port}\"");
    let world = World::with([totp()], &[SAFE, "onelogin.connect_timeout = 1", &url]);
    let real = world.onelogin.port();
    let between = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", real)).unwrap();
        let mut hello = [0; 4096];
        let length = client.read(&mut hello).unwrap();
        server.write_all(&hello[..length]).unwrap();
        let mut byte = [0];
        // Until the client has had enough.
        while server.read_exact(&mut byte).is_ok() && client.write_all(&byte).is_ok() {
            thread::sleep(Duration::from_millis(100));
        }
    });
    let outcome = with_code(&world);
    assert_denied_for(&outcome, "a handshake that trickles", "timeout");
    assert_eq!(world.requests(), 0);
    between.join().unwrap();
}

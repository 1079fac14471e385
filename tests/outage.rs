//! When `failmode = "safe"` lets in, and what a user of the host can do that must not (rule R19): the built module in the real
//! libpam, on a host with a network of its own that leads to another one, where OneLogin is.
//!
//! Each test makes both networks, and needs a private /etc for names:
//! `tests/private-etc.sh cargo test --test outage -- --ignored`.

mod world;

use std::any::Any;
use std::cell::Cell;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::panic::resume_unwind;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, Once};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::libc::{AF_INET, AF_INET6, AF_NETLINK, AF_PACKET};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Pid, gettid, sethostname};
use onelogin_simulator::{Action, Authority, Fault, Match, Options, Simulator, User, Wanted};
use pam_host::place::binary;
use pam_host::{Case, Code, Flaw, Gateway, Outcome, Pki, Place};
use pam_onelogin::config;
use pam_onelogin::host::uids;
use pam_onelogin::offline::{self, BYTES, Holder};
use pam_onelogin::state::offline_codes::OfflineCodes;
use pam_onelogin::trust::Trusted;
use world::{
    ID, NAME, assert_denied, assert_denied_for, connection, decision, fresh_code, push, totp,
};

// Outages

#[test]
#[ignore = "needs root: run by make test"]
fn r19_safe_lets_in_when_every_address_refuses_or_is_silent_or_no_route_leads_there() {
    on_a_host(|host| {
        let cases = [
            (REFUSING, "every address refuses"),
            (NO_ROUTE, "the host has no route"),
            (NO_SUCH_HOST, "a router says that there is no such host"),
            (SILENT, "there is no answer"),
            (REFUSING_AND_SILENT, "one refuses, one is silent"),
        ];
        all_let_in(cases.map(|(name, what)| {
            let place = host.safe(&[&url(name), "onelogin.connect_timeout = 1"]);
            (place, what)
        }));
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_safe_lets_in_when_the_link_of_the_host_is_down() {
    on_a_host(|host| {
        ip("link set uplink down");
        // The host has its addresses, and nobody to send to.
        let place = host.safe(&[&url(ONELOGIN)]);
        let_in(&login(&place).run(), "the link is down");
        let place = host.safe(&[&url(REFUSING)]);
        let_in(&login(&place).run(), "the link is down, two families");
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_safe_lets_in_when_onelogin_or_its_gateway_answers_503_twice() {
    on_a_host(|host| {
        let place = host.safe(&[&url(ONELOGIN)]);
        for status in [502, 503, 504] {
            host.onelogin().clear_faults();
            host.fails_with(status, Match::any(), None);
            let connections = host.onelogin().connections();
            let_in(&login(&place).run(), &format!("{status}"));
            // Each answer came by a connection of its own.
            assert_eq!(host.onelogin().connections(), connections + 2, "{status}");
        }
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r16_a_gateway_without_a_token_leads_to_the_next_address_and_the_code_is_sent_once() {
    on_a_host(|_| {
        let onelogin = Simulator::start();
        onelogin.add_user(User::new(ID, NAME));
        onelogin.add_device(ID, totp());
        let pki = Pki::new();
        // Both are `localhost` here, and the first one is dialled first.
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let second = TcpListener::bind(("198.51.100.2", port)).unwrap();
        let gateways = [first, second].map(|listener| {
            let (url, ca) = (onelogin.url(), onelogin.ca_pem());
            Gateway::at(listener, &url, ca, &pki.certificates(), &[], &[])
        });
        let token = onelogin.give_token();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let set = |gateway: &Gateway, end| gateway.set_token(&token, end);
        let end = now.as_secs() + 3600;
        let place = Place::new();
        let host = pki.host("web1.hosts.test", 1, Flaw::None);
        place.config(gateways[0].config_of_host(&place, &host, port));
        let kinds = |gateway: &Gateway| {
            let log = gateway.log();
            let lines = log.lines().filter(|line| line.contains("\"kind\""));
            let word = |line: &str, key: &str| {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                line[key].as_str().unwrap().to_owned()
            };
            let kinds = lines.map(|line| word(line, "kind") + " " + &word(line, "gateway"));
            kinds.collect::<Vec<_>>()
        };

        set(&gateways[0], end);
        set(&gateways[1], end);
        by_code(&login(&place).answer(fresh_code()).run(), "the first one");
        assert_eq!(kinds(&gateways[0]), ["look-up -", "look-up -", "code -"]);
        assert_eq!(kinds(&gateways[1]), [""; 0]);

        // What the host knows of the user is enough, so the code is its first request.
        set(&gateways[0], 1);
        onelogin.clear_requests();
        by_code(&login(&place).answer(fresh_code()).run(), "the second one");
        assert_eq!(kinds(&gateways[0])[3..], ["code no-token"]);
        assert_eq!(kinds(&gateways[1]), ["code -"]);
        assert_eq!(onelogin.count("POST", ""), 1);
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_of_a_gateway_only_the_word_that_onelogin_is_away_lets_in() {
    on_a_host(|host| {
        let place = host.safe(&[&url(ONELOGIN)]);
        let issued = Authority::new("hosts").issue(Wanted::of("web1.hosts.test"));
        let cert = place.write("etc/host.pem", issued.key + &issued.cert);
        let text = fs::read_to_string(place.config_path()).unwrap();
        let mut text: String = text
            .lines()
            .filter(|line| !line.starts_with("onelogin.client_"))
            .flat_map(|line| [line, "\n"])
            .collect();
        for key in ["client_cert", "client_key"] {
            let _ = writeln!(text, "onelogin.{key} = {:?}", cert.display().to_string());
        }
        place.config(text);
        for (status, word, is_outage) in [
            (503, "no-token", true),
            (503, "unreached", true),
            (504, "upstream", true),
            (503, "busy", false),
            (403, "refused", false),
            (403, "revoked", false),
            (429, "limit", false),
            (429, "edge-limit", false),
            // Not the gateway: something on the way to it.
            (503, "", false),
        ] {
            host.onelogin().clear_faults();
            let header = match word {
                "" => String::new(),
                word => format!("x-gateway: {word}\r\n"),
            };
            let reply = format!("HTTP/1.1 {status} X\r\n{header}content-length: 0\r\n\r\n");
            let action = Action::Raw(reply.into_bytes());
            host.onelogin().fault(Fault::new(Match::any(), action));
            let what = format!("{status} {word}");
            let outcome = login(&place).run();
            if is_outage {
                let_in(&outcome, &what);
            } else {
                assert_denied(&outcome, &what);
            }
        }
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_safe_lets_in_when_ipv4_refuses_and_the_host_has_no_ipv6() {
    on_a_host(|host| {
        let place = host.safe(&[&url(REFUSING)]);
        ip("route del ::/0");
        let_in(&login(&place).run(), "no route for IPv6");
        set("ipv6/conf/all/disable_ipv6", "1");
        let_in(&login(&place).run(), "IPv6 is off");
        let confined = login(&place).without_families([AF_INET6]);
        let_in(&confined.run(), "the service gets no socket for IPv6");
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_safe_lets_in_when_a_proxy_elsewhere_refuses_or_cannot_reach_onelogin() {
    on_a_host(|host| {
        let overloaded = host.internet.listen("203.0.113.12:3129");
        answer(overloaded, "HTTP/1.1 503 Service Unavailable\r\n\r\n");
        let cases = [
            (REFUSING, 3128, "it refuses"),
            (SILENT, 3128, "it is silent"),
            ("203.0.113.12", 3129, "the proxy answered 503"),
        ];
        all_let_in(cases.map(|(proxy, port, what)| {
            let proxy = format!("onelogin.http_proxy = \"http://{proxy}:{port}\"");
            let place = host.safe(&[&url(ONELOGIN), &proxy, "onelogin.connect_timeout = 1"]);
            (place, what)
        }));
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_a_login_goes_on_when_onelogin_is_back_at_the_second_look() {
    on_a_host(|host| {
        // One 503, then nothing is wrong.
        let place = host.safe(&[&url(ONELOGIN)]);
        host.fails_with(503, Match::any(), Some(1));
        by_code(&login(&place).answer(fresh_code()).run(), "after one 503");

        // A router says that there is no such host, until it has said so once.
        host.internet.ip("addr del 203.0.113.10/32 dev lo
            route add unreachable 203.0.113.10/32");
        let before = host.internet.unreachables();
        let mut login = login(&place).spawn();
        while host.internet.unreachables() == before {
            thread::sleep(Duration::from_millis(1));
        }
        host.internet.ip("route del unreachable 203.0.113.10/32
            addr add 203.0.113.10/32 dev lo");
        login.wait_prompt();
        login.reply(fresh_code());
        by_code(&login.finish(), "after one refusal by a router");
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_safe_lets_in_and_secure_denies_when_a_firewall_rejects_or_drops_both_families() {
    on_a_host(|host| {
        host.serve_both_families();
        let admin = "reject with icmpx admin-prohibited";
        for (name, verdict) in [
            (IPV6_FIRST, admin),
            (IPV4_FIRST, admin),
            (
                IPV6_FIRST,
                "meta nfproto ipv6 reject with icmpv6 policy-fail
                meta nfproto ipv4 reject with icmp host-prohibited",
            ),
            (
                IPV6_FIRST,
                "meta nfproto ipv6 reject with icmpv6 reject-route
                meta nfproto ipv4 reject with icmp prot-unreachable",
            ),
            (
                IPV6_FIRST,
                "meta nfproto ipv6 reject with icmpv6 admin-prohibited
                meta nfproto ipv4 drop",
            ),
            (IPV4_FIRST, "reject with tcp reset"),
            (IPV6_FIRST, "drop"),
        ] {
            let what = format!("{verdict}, {name}");
            let lines = [&url(name), FROM, "onelogin.connect_timeout = 2"];
            host.firewall(Hook::OneLogin, verdict);
            let safe = host.place(&[&lines[..], &[SAFE]].concat());
            let_in(&login(&safe).run(), &what);
            // At both looks each address was dialled.
            assert_eq!(host.dialled(Hook::OneLogin), (2, 2), "{what}");

            host.firewall(Hook::OneLogin, verdict);
            let secure = host.place(&[&lines[..], &[SECURE]].concat());
            let outcome = login(&secure).run();
            assert_denied_for(&outcome, &what, "no-connection");
            assert!(!says_why(&outcome), "{:?}", outcome.log);
            assert_eq!(host.dialled(Hook::OneLogin), (1, 1), "{what}");
        }
    });
}

// What is no outage

#[test]
#[ignore = "needs root: run by make test"]
fn r19_where_a_firewall_rejects_drops_or_resets_one_family_the_other_one_serves() {
    on_a_host(|host| {
        host.serve_both_families();
        // The broken family is the one that is dialled first.
        for (broken, name) in [("ipv6", IPV6_FIRST), ("ipv4", IPV4_FIRST)] {
            for verdict in [
                "reject with icmpx admin-prohibited",
                "reject with icmpx no-route",
                "reject with tcp reset",
                "drop",
            ] {
                // A firewall before OneLogin, and one of this host.
                for hook in [Hook::OneLogin, Hook::Host] {
                    for failmode in [SECURE, SAFE] {
                        let what = format!("{verdict} of {broken}, {hook:?}, {failmode}");
                        host.firewall(hook, &format!("meta nfproto {broken} {verdict}"));
                        let place = host.place(&[&url(name), failmode, FROM]);
                        let connections = host.onelogin().connections();
                        let outcome = login(&place).answer(fresh_code()).run();
                        by_code(&outcome, &what);
                        assert!(!says_why(&outcome), "{what}: {:?}", outcome.log);
                        // For each connection both families were dialled once: nothing was looked at twice.
                        let connections = host.onelogin().connections() - connections;
                        let both = (connections, connections);
                        assert_eq!(host.dialled(hook), both, "{what}");
                    }
                }
            }
        }
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_secure_denies_in_every_outage() {
    on_a_host(|host| {
        for name in [REFUSING, NO_ROUTE] {
            let place = host.place(&[&url(name), SECURE, FROM]);
            let outcome = login(&place).run();
            assert_denied(&outcome, name);
            assert!(!says_why(&outcome), "{:?}", outcome.log);
        }
        let place = host.place(&[&url(ONELOGIN), SECURE, FROM]);
        host.fails_with(503, Match::any(), None);
        let outcome = login(&place).run();
        assert_denied(&outcome, "503");
        assert!(!says_why(&outcome), "{:?}", outcome.log);
        host.onelogin().clear_faults();

        let place = host.place(&[&url(IN_DNS), SECURE, FROM]);
        let _names = NameServer::start("127.0.0.1:53".parse().unwrap());
        set("ipv4/ip_local_port_range", FEW_PORTS);
        let _neighbour = Neighbour::start(&["udp-ports"]);
        assert_denied(&login(&place).run(), "no UDP ports");
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_a_user_who_takes_all_udp_ports_makes_no_outage() {
    on_a_host(|host| {
        let _names = NameServer::start("127.0.0.1:53".parse().unwrap());
        let known = host.safe(&[&url(IN_DNS)]);
        by_code(&login(&known).answer(fresh_code()).run(), "before");

        set("ipv4/ip_local_port_range", FEW_PORTS);
        let neighbour = Neighbour::start(&["udp-ports"]);
        let place = host.safe(&[&url(IN_DNS)]);
        kept_out(&login(&place).run(), "the name server gave no answer");
        // Where the addresses are known, such a user achieves nothing at all.
        by_code(&login(&known).answer(fresh_code()).run(), "known addresses");

        drop(neighbour);
        by_code(&login(&place).answer(fresh_code()).run(), "afterwards");
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_a_user_who_takes_all_tcp_ports_makes_no_outage() {
    on_a_host(|host| {
        ip("route del ::/0");
        let place = host.safe(&[&url(ONELOGIN)]);
        by_code(&login(&place).answer(fresh_code()).run(), "before");

        set("ipv4/ip_local_port_range", FEW_PORTS);
        let neighbour = Neighbour::start(&["tcp-ports"]);
        for name in [ONELOGIN, ONELOGIN_AND_NO_ROUTE] {
            let place = host.safe(&[&url(name)]);
            kept_out(&login(&place).run(), "no local port was free");
        }
        drop(neighbour);
        by_code(&login(&place).answer(fresh_code()).run(), "afterwards");
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_a_user_who_takes_all_tcp_ports_after_the_first_look_makes_no_outage() {
    on_a_host(|host| {
        set("ipv4/ip_local_port_range", FEW_PORTS);
        let place = host.safe(&[&url(ONELOGIN)]);
        host.fails_with(503, Match::any(), Some(1));
        let login = login(&place).spawn();
        while host.onelogin().requests().is_empty() {
            thread::sleep(Duration::from_millis(1));
        }
        let _neighbour = Neighbour::start(&["tcp-ports"]);
        kept_out(&login.finish(), "no local port was free");
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_a_user_who_keeps_dnsmasq_busy_makes_no_outage() {
    on_a_host(|host| {
        // It answers for OneLogin's name, and is silent about all others.
        let address = "203.0.113.53:53".parse().unwrap();
        let _names = host.internet.run(move || NameServer::start(address));
        let _dnsmasq = Dnsmasq::start();
        let known = host.safe(&[&url(IN_DNS)]);
        by_code(&login(&known).answer(fresh_code()).run(), "before");

        let _neighbour = Neighbour::start(&["queries", "127.0.0.1:53", "silent.example"]);
        let place = host.safe(&[&url(IN_DNS)]);
        kept_out(&login(&place).run(), "the name server gave no answer");
        by_code(&login(&known).answer(fresh_code()).run(), "known addresses");
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_a_proxy_on_this_host_that_is_full_or_refuses_or_answers_503_is_no_outage() {
    on_a_host(|host| {
        set("core/somaxconn", "2");
        let own = |address: &str, port: u16| {
            let proxy = format!("onelogin.http_proxy = \"http://{address}:{port}\"");
            host.safe(&[&url(ONELOGIN), &proxy, "onelogin.connect_timeout = 1"])
        };
        let addresses = ["127.0.0.1", "127.0.0.9", "198.51.100.2", "198.51.100.3"];
        let mut held: Vec<Box<dyn Any>> = Vec::new();
        let mut places = Vec::new();
        for address in addresses {
            let listener = TcpListener::bind((address, 3128)).expect("the port is free");
            held.push(Box::new(Neighbour::start(&[
                "connections",
                &format!("{address}:3128"),
            ])));
            held.push(Box::new(listener));
            places.push((own(address, 3128), format!("full at {address}")));
            places.push((own(address, 3127), format!("refusing at {address}")));
            let listener = TcpListener::bind((address, 3129)).expect("the port is free");
            answer(listener, "HTTP/1.1 503 Service Unavailable\r\n\r\n");
            places.push((own(address, 3129), format!("503 at {address}")));
        }
        for name in [THIS_HOST, THIS_HOST_AND_REFUSING] {
            places.push((own(name, 3127), format!("refusing at {name}")));
        }
        let logins: Vec<_> = places
            .iter()
            .map(|(place, what)| (login(place).spawn(), what))
            .collect();
        for (login, what) in logins {
            let outcome = login.finish();
            assert_denied(&outcome, what);
            kept_out(&outcome, "the address belongs to this host");
        }
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_a_gateway_on_this_host_that_answers_503_is_no_outage() {
    on_a_host(|_| {
        for address in ["127.0.0.1", "198.51.100.2", "198.51.100.3"] {
            let gateway = Simulator::start_with(Options {
                address: Some(address.parse().expect("an address")),
                ..Options::default()
            });
            let action = Action::Status(503, String::new(), Vec::new());
            gateway.fault(Fault::new(Match::any(), action));
            let place = Place::new();
            // The name has all three addresses, and only one has this port.
            let url = format!("onelogin.url = \"https://{HERE}:{}\"", gateway.port());
            place.config_for(&gateway, &[SAFE, FROM, &url]);
            kept_out(&login(&place).run(), "the address belongs to this host");
            assert_eq!(gateway.requests().len(), 1, "{address}");
        }
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_a_lack_of_descriptors_is_no_outage() {
    on_a_host(|host| {
        let _names = NameServer::start("127.0.0.1:53".parse().unwrap());
        // With fewer than five, libpam itself gives up.
        for limit in 5..14 {
            for name in [ONELOGIN, IN_DNS] {
                let place = host.safe(&[&url(name)]);
                let outcome = login(&place).descriptors(limit).run();
                assert_denied(&outcome, &format!("{limit} descriptors, {name}"));
            }
        }
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_a_route_that_this_host_forbids_is_no_outage() {
    on_a_host(|host| {
        for (route, name) in [
            ("blackhole 203.0.113.10", ONELOGIN),
            ("prohibit 203.0.113.11", REFUSING),
        ] {
            ip(&format!("route add {route}"));
            let place = host.safe(&[&url(name)]);
            kept_out(&login(&place).run(), "an error on this host");
        }
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_each_of_many_silent_addresses_is_dialled_in_time() {
    on_a_host(|host| {
        // OneLogin is at the sixth address. It shows a certificate for another name, which ends the login.
        let place = host.safe(&[&url(ONELOGIN_AT_LAST), "onelogin.connect_timeout = 1"]);
        let outcome = login(&place).run();
        assert_denied_for(&outcome, "OneLogin at last", "tls");
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_half_of_an_answer_of_the_name_server_proves_no_outage() {
    on_a_host(|host| {
        // OneLogin is there by IPv4, for which a busy name server says REFUSED; no route leads to the IPv6 address.
        let at = "127.0.0.1:53".parse().unwrap();
        let names = NameServer::saying(at, Says::Ipv6);
        let unknown = host.safe(&[&url(IN_DNS)]);
        kept_out(&login(&unknown).run(), "the name server gave no answer");

        // Addresses that worked before serve to go on.
        let known = host.safe(&[&url(IN_DNS), "users.cache = 0"]);
        names.says(Says::All);
        by_code(&login(&known).answer(fresh_code()).run(), "before");
        names.says(Says::Ipv6);
        by_code(&login(&known).answer(fresh_code()).run(), "half an answer");
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_safe_lets_in_when_a_name_server_says_that_there_is_no_ipv6_address_and_ipv4_refuses() {
    on_a_host(|host| {
        let _names = NameServer::start("127.0.0.1:53".parse().unwrap());
        let place = host.safe(&[&url(IN_DNS)]);
        host.end_onelogin();
        let_in(&login(&place).run(), "a name of the name server");
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_a_truncated_answer_for_either_family_proves_no_outage() {
    on_a_host(|host| {
        // A name server that is asked too often does so; any local user can ask. By TCP it accepts, and says nothing.
        let _stalled = TcpListener::bind("127.0.0.1:53").expect("port 53 is free here");
        let at = "127.0.0.1:53".parse().unwrap();
        let why = "the name server gave no answer";

        // OneLogin is there by IPv4; no route leads to the IPv6 address.
        let names = NameServer::saying(at, Says::Ipv6AndTruncated);
        let place = host.safe(&[&url(IN_DNS)]);
        kept_out(&login(&place).run(), why);

        // Nobody is there by IPv4; OneLogin may be there by IPv6.
        names.says(Says::Ipv4AndTruncated);
        host.end_onelogin();
        kept_out(&login(&place).run(), why);
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_more_addresses_than_are_dialled_prove_no_outage() {
    on_a_host(|host| {
        let place = host.safe(&[&url(MANY), "onelogin.connect_timeout = 1"]);
        kept_out(
            &login(&place).run(),
            "there was no time to try every address",
        );
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_a_name_that_is_not_looked_up_in_this_login_proves_no_outage() {
    on_a_host(|host| {
        let names = NameServer::start("127.0.0.1:53".parse().unwrap());
        // Without the user in the cache, OneLogin is asked before the prompt.
        let known = host.safe(&[&url(IN_DNS), "users.cache = 0"]);
        by_code(&login(&known).answer(fresh_code()).run(), "before");
        drop(names);

        // Nobody answers for names any more. OneLogin is there, at the addresses that worked last.
        by_code(
            &login(&known).answer(fresh_code()).run(),
            "by known addresses",
        );
        let unknown = host.safe(&[&url(IN_DNS)]);
        kept_out(&login(&unknown).run(), "the name server gave no answer");

        let why = "no name server answered, so a stored address was used";
        host.fails_with(503, Match::any(), None);
        kept_out(&login(&known).run(), why);
        host.end_onelogin();
        kept_out(&login(&known).run(), why);
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_a_code_or_a_push_that_was_sent_ends_what_counts_as_an_outage() {
    on_a_host(|host| {
        let place = host.safe(&[&url(ONELOGIN)]);
        host.fails_with(503, Match::code(), None);
        let outcome = login(&place).answer(fresh_code()).run();
        let why = "a code or an activation was already sent";
        kept_out(&outcome, why);

        // The code still fails, and now the state of the push as well.
        host.onelogin().add_device(ID, push());
        host.fails_with(503, Match::poll(), None);
        let later = host.safe(&[&url(ONELOGIN)]);
        let answers = [String::new(), fresh_code(), fresh_code()];
        let outcome = login(&later).answers(answers).run();
        assert_eq!(host.onelogin().activations(), 1);
        kept_out(&outcome, why);
    });
}

// Services and logins for which no outage counts

#[test]
#[ignore = "needs root: run by make test"]
fn r19_a_user_who_has_offline_codes_is_not_let_in_without_one() {
    on_a_host(|host| {
        let folder = tempfile::tempdir().unwrap();
        let offline_dir = format!("offline_dir = \"{}/codes\"", folder.path().display());
        let place = host.safe(&["offline = true", &offline_dir, &url(REFUSING)]);
        let_in(&login(&place).run(), "a user without codes");
        let code = offline::Code::of(&[7; BYTES]);
        let config = fs::read_to_string(place.config_path()).unwrap();
        let config = config::parse("config.toml", &config).unwrap();
        let uid = nix::unistd::User::from_name(NAME).unwrap().unwrap().uid;
        let holder = Holder {
            name: NAME,
            uid: uid.as_raw(),
        };
        OfflineCodes::of(&config, Trusted::of(uids()))
            .issue(holder, [0, u64::MAX], "root", "1", &code)
            .unwrap();
        kept_out(
            &login(&place).answer("").run(),
            "the user has offline codes",
        );
        let typed = code.secret().shown_to_its_owner().to_owned();
        let outcome = login(&place).answer(typed).run();
        by_code(&outcome, "an offline code");
        let_in(&login(&place).run(), "the last code is used up");
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_a_service_with_another_network_than_pid_1_lets_nobody_in() {
    on_a_host(|host| {
        let place = host.safe(&[&url(REFUSING)]);
        let why = "the service runs in another network namespace than PID 1";
        // PID 1 of this test has the network of the machine.
        kept_out(&proven(&place).run(), why);
        // As PrivateNetwork= does it: PID 1 has the host's network.
        let private = ["unshare", "--net", "--"];
        let private = proven(&place).under(AS_PID_1.into_iter().chain(SHELL).chain(private));
        kept_out(&private.run(), why);
        // With the shell, and without PrivateNetwork=.
        let_in(
            &proven(&place)
                .under(AS_PID_1.into_iter().chain(SHELL))
                .run(),
            "the host's own network",
        );
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_a_service_that_gets_no_sockets_lets_nobody_in() {
    on_a_host(|host| {
        // OneLogin is there: what keeps the login from it is the unit of the service.
        let place = host.safe(&[&url(ONELOGIN)]);
        by_code(&login(&place).answer(fresh_code()).run(), "unconfined");
        for families in [&[AF_INET][..], &[AF_INET, AF_INET6], &OTHER_THAN_UNIX] {
            let outcome = login(&place).without_families(families.iter().copied());
            refused(&outcome.run());
            // A client whose address could be looked at closer.
            let from = "2001:db8:2::7 5 2001:db8::2 22";
            let outcome = login(&place)
                .ssh_with_key(from)
                .without_families(families.iter().copied());
            refused(&outcome.run());
        }
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_the_unit_of_polkit_lets_nobody_in() {
    on_a_host(|host| {
        // PrivateNetwork=yes, RestrictAddressFamilies=AF_UNIX, NoNewPrivileges=yes; the process is root's alone.
        let confined = |case: Case| {
            let private = ["unshare", "--net", "--"];
            case.under(AS_PID_1.into_iter().chain(SHELL).chain(private))
                .without_families(OTHER_THAN_UNIX)
        };
        for name in [ONELOGIN, REFUSING, IN_DNS] {
            let place = host.safe(&[&url(name)]);
            place.service(
                "polkit-1",
                &[
                    "auth requisite @helper@ authtok=secret",
                    "auth required @module@",
                ],
            );
            let polkit = confined(place.case("polkit-1").user(NAME));
            kept_out(&polkit.run(), "the login is not over ssh");
            refused(&confined(proven(&place)).run());
        }
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_a_client_on_this_host_or_outside_failmode_from_is_not_let_in() {
    on_a_host(|host| {
        // Networks that hold this host's own addresses, too. One that is the loopback alone is refused as a setting.
        let from = "failmode_from = [\"0.0.0.0/1\", \"192.0.0.0/2\", \"::/0\"]";
        let wide = host.place(&[SAFE, from, &url(REFUSING)]);
        let narrow = host.safe(&[&url(REFUSING)]);
        let here = "the client is on this host";
        let elsewhere = "the client address is not in failmode_from";
        for (client, place, why) in [
            ("127.0.0.1", &wide, here),
            ("127.8.8.8", &wide, here),
            ("::ffff:127.0.0.1", &wide, here),
            ("::1", &wide, here),
            ("198.51.100.2", &wide, here),
            ("198.51.100.3", &wide, here),
            ("::ffff:198.51.100.3", &wide, here),
            ("203.0.113.200", &wide, here),
            ("2001:db8::2", &wide, here),
            ("127.0.0.1", &narrow, elsewhere),
            ("198.51.100.2", &narrow, elsewhere),
            ("203.0.113.7", &narrow, elsewhere),
            ("2001:db8:3::7", &narrow, elsewhere),
            ("UNKNOWN", &narrow, elsewhere),
        ] {
            let case = login(place).ssh_with_key(&format!("{client} 5 198.51.100.2 22"));
            let outcome = case.run();
            assert_denied(&outcome, client);
            kept_out(&outcome, why);
        }
        let outside = login(&wide).ssh_with_key("203.0.113.7 5 198.51.100.2 22");
        let_in(&outside.run(), "a client elsewhere");
    });
}

#[test]
#[ignore = "needs root: run by make test"]
fn r19_a_login_that_is_unproven_or_not_by_ssh_or_in_a_users_process_is_not_let_in() {
    on_a_host(|host| {
        let place = host.safe(&[&url(REFUSING)]);
        let user = nix::unistd::User::from_name(NAME).unwrap().unwrap();
        let user = user.uid.as_raw();
        let not_root = "the process has a user id other than 0";
        // sudo and su, a process that can become the user again, and the user's own.
        kept_out(&login(&place).ids(user, 0, 0).run(), not_root);
        kept_out(&login(&place).ids(0, 0, user).run(), not_root);

        let unproven = place.alone("sshd").user(NAME).ssh(&connection());
        let why = "no first factor was verified before this module";
        // Until a code comes, nothing shows that OneLogin is out of reach (rule R13).
        let unproven = unproven
            .under(AS_PID_1)
            .answers([fresh_code(), fresh_code(), fresh_code()]);
        kept_out(&unproven.run(), why);

        place.service(
            "login",
            &[
                "auth requisite @helper@ authtok=secret",
                "auth required @module@",
            ],
        );
        let console = place.case("login").user(NAME).tty("/dev/tty1");
        kept_out(&console.under(AS_PID_1).run(), "the login is not over ssh");
    });
}

// How a login ends

fn let_in(outcome: &Outcome, what: &str) {
    assert_eq!(outcome.code, Code::SUCCESS, "{what}: {:?}", outcome.log);
    let line = "let in by failmode=safe";
    assert!(
        decision(outcome).contains(line),
        "{what}: {:?}",
        outcome.log
    );
    // A warning of authpriv.
    let is_warning = |entry: &String| entry.contains(line) && entry.starts_with("<84>");
    assert!(
        outcome.log.iter().any(is_warning),
        "{what}: {:?}",
        outcome.log
    );
    assert!(
        outcome.prompts().is_empty(),
        "{what}: {:?}",
        outcome.prompts()
    );
}

/// All of these let in, at the same time.
fn all_let_in<const N: usize>(places: [(Place, &str); N]) {
    let logins = places.map(|(place, what)| (login(&place).spawn(), place, what));
    for (login, _place, what) in logins {
        let_in(&login.finish(), what);
    }
}

fn kept_out(outcome: &Outcome, why: &str) {
    refused(outcome);
    let why = format!("{WHY}why=\"{why}\"");
    assert!(
        outcome.log.concat().contains(&why),
        "{why}: {:?}",
        outcome.log
    );
}

/// Denied, whatever the reason, which is in the log.
fn refused(outcome: &Outcome) {
    assert_denied(outcome, "under failmode=safe");
    assert!(says_why(outcome), "{:?}", outcome.log);
}

fn by_code(outcome: &Outcome, what: &str) {
    assert_eq!(outcome.code, Code::SUCCESS, "{what}: {:?}", outcome.log);
    assert!(
        decision(outcome).contains("accepted "),
        "{what}: {:?}",
        outcome.log
    );
    assert_eq!(outcome.prompts().len(), 1, "{what}");
}

fn says_why(outcome: &Outcome) -> bool {
    outcome.log.concat().contains(WHY)
}

const WHY: &str = "failmode=safe does not apply: ";

// The host

/// A host with its own network, and what it is connected to.
struct Host {
    internet: Internet,
    /// In the other network.
    onelogin: Option<Simulator>,
    /// There is a firewall before it.
    is_walled: Cell<bool>,
}

/// Runs this as on a host with a network of its own.
fn on_a_host(test: impl FnOnce(&mut Host) + Send + 'static) {
    static NAMES: Once = Once::new();
    NAMES.call_once(|| {
        let private = env::var_os("PAM_HOST_PRIVATE_ETC");
        assert!(private.is_some(), "run this by tests/private-etc.sh");
        let sources = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n";
        fs::write("/etc/nsswitch.conf", sources).unwrap();
        fs::write("/etc/hosts", hosts()).unwrap();
        let _ = fs::remove_file("/etc/resolv.conf");
        let resolver = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n";
        fs::write("/etc/resolv.conf", resolver).unwrap();
    });
    // In a thread, and with it all that it starts: the others keep their network.
    let result = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS)
            .expect("namespaces can be made");
        // A domain in the host's own name would be searched.
        sethostname("host").expect("the name is ours to change");
        test(&mut Host::new());
    })
    .join();
    if let Err(panic) = result {
        resume_unwind(panic);
    }
}

impl Host {
    fn new() -> Self {
        let internet = Internet::start();
        ip(&format!(
            "link set lo up
            link add uplink type veth peer name host netns {}
            addr add 198.51.100.2/24 dev uplink
            addr add 198.51.100.3/24 dev uplink
            addr add 2001:db8::2/64 dev uplink nodad
            route add local 203.0.113.200/32 dev lo src 198.51.100.2
            link set uplink up",
            internet.thread
        ));
        internet.ip("link set lo up
            addr add 198.51.100.1/24 dev host
            addr add 2001:db8::1/64 dev host nodad
            addr add 203.0.113.10/32 dev lo
            addr add 203.0.113.11/32 dev lo
            addr add 203.0.113.12/32 dev lo
            addr add 203.0.113.53/32 dev lo
            addr add 2001:db8:1::10/128 dev lo
            addr add 2001:db8:1::11/128 dev lo
            addr add fd00::10/128 dev lo
            route add unreachable 203.0.113.21
            route add blackhole 203.0.113.30
            route add blackhole 203.0.113.32/29
            link set host up");
        internet.run(|| set("ipv4/ip_forward", "1"));
        ip("route add default via 198.51.100.1
            route add ::/0 via 2001:db8::1
            route add unreachable 203.0.113.20");
        for address in ["203.0.113.11", "2001:db8:1::11"] {
            is_linked(address.parse().unwrap());
        }
        let onelogin = internet.serve(Ipv4Addr::new(203, 0, 113, 10).into());
        Self {
            internet,
            onelogin: Some(onelogin),
            is_walled: Cell::default(),
        }
    }

    fn onelogin(&self) -> &Simulator {
        self.onelogin.as_ref().expect("it was not ended")
    }

    /// From now on its port refuses connections.
    fn end_onelogin(&mut self) {
        // Where it can be reached, whatever the test has done to the host.
        let onelogin = self.onelogin.take();
        let is_walled = self.is_walled.take();
        self.internet.run(move || {
            if is_walled {
                nft(&["flush ruleset"]);
            }
            drop(onelogin);
        });
    }

    /// OneLogin is no longer at one IPv4 address, but at all addresses of its network.
    fn serve_both_families(&mut self) {
        self.end_onelogin();
        self.onelogin = Some(self.internet.serve(Ipv6Addr::UNSPECIFIED.into()));
        // Each rejection is told, however many there are.
        self.internet.run(|| {
            set("ipv6/icmp/ratelimit", "0");
            set("ipv4/icmp_ratelimit", "0");
        });
        for address in ["2001:db8:1::10", "fd00::10"] {
            is_linked(address.parse().unwrap());
        }
    }

    /// A new firewall, which counts what is dialled at OneLogin's port, and then does this with it.
    fn firewall(&self, hook: Hook, verdict: &str) {
        // A packet that is sent again, from the same port, is not counted again.
        let counts = |family: &str| {
            format!(
                "add set inet wall {family}_ports {{ type inet_service; flags dynamic; size 1024; }}
                add counter inet wall {family}
                add rule inet wall wall meta nfproto {family} tcp dport 443 tcp flags & (syn | ack) == syn \
                    tcp sport != @{family}_ports add @{family}_ports {{ tcp sport }} counter name {family}\n"
            )
        };
        let mut rules = format!(
            "flush ruleset
            add table inet wall
            add chain inet wall wall {{ type filter hook {} priority 0; }}\n",
            hook.name()
        );
        rules += &counts("ipv4");
        rules += &counts("ipv6");
        for verdict in verdict.lines() {
            let _ = writeln!(rules, "add rule inet wall wall tcp dport 443 {verdict}");
        }
        let other = match hook {
            Hook::OneLogin => Hook::Host,
            Hook::Host => Hook::OneLogin,
        };
        self.is_walled.set(true);
        self.within(other, || nft(&["flush ruleset"]));
        self.within(hook, move || nft(&[&rules]));
    }

    /// How many connections a firewall has seen that were begun by IPv4, and by IPv6.
    fn dialled(&self, hook: Hook) -> (u64, u64) {
        let said = self.within(hook, || nft(&["--json", "list counters"]));
        let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        let of = |family: &str| {
            let counters = said["nftables"].as_array().expect("a list");
            let mut counters = counters.iter().map(|entry| &entry["counter"]);
            let counter = counters.find(|counter| counter["name"] == family);
            counter.expect(family)["packets"].as_u64().expect("a count")
        };
        (of("ipv4"), of("ipv6"))
    }

    /// Does something where a firewall is.
    fn within<T: Send + 'static>(
        &self,
        hook: Hook,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        match hook {
            Hook::OneLogin => self.internet.run(work),
            Hook::Host => work(),
        }
    }

    /// OneLogin answers requests with this status.
    fn fails_with(&self, status: u16, on: Match, times: Option<usize>) {
        let action = Action::Status(status, String::new(), Vec::new());
        let fault = Fault::new(on, action);
        self.onelogin().fault(Fault { times, ..fault });
    }

    /// A configuration with these lines.
    fn place(&self, lines: &[&str]) -> Place {
        let place = Place::new();
        place.config_for(self.onelogin(), lines);
        place
    }

    /// One with `failmode = "safe"` for the clients of [`connection`], and these lines.
    fn safe(&self, lines: &[&str]) -> Place {
        self.place(&[&[SAFE, FROM], lines].concat())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.end_onelogin();
    }
}

/// Where a firewall is.
#[derive(Clone, Copy, Debug)]
enum Hook {
    /// In the other network, before OneLogin.
    OneLogin,
    /// On the host, behind its programs.
    Host,
}

impl Hook {
    fn name(self) -> &'static str {
        match self {
            Self::OneLogin => "input",
            Self::Host => "output",
        }
    }
}

/// A proven login at sshd, on a host whose PID 1 has the network of this thread.
fn login(place: &Place) -> Case {
    proven(place).under(AS_PID_1)
}

/// A proven login at sshd. PID 1 has the network of the machine.
fn proven(place: &Place) -> Case {
    place.alone("sshd").user(NAME).ssh_with_key(&connection())
}

/// As the first process of a host: PID 1 is what comes next.
const AS_PID_1: [&str; 6] = [
    "unshare",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--",
];

/// A first process that starts what comes next, and ends with it.
const SHELL: [&str; 3] = ["sh", "-c", "\"$0\" \"$@\"; exit $?"];

const OTHER_THAN_UNIX: [i32; 4] = [AF_INET, AF_INET6, AF_NETLINK, AF_PACKET];

const SAFE: &str = "failmode = \"safe\"";
const SECURE: &str = "failmode = \"secure\"";
const FROM: &str = "failmode_from = [\"192.0.2.0/24\", \"2001:db8:2::/64\"]";
const FEW_PORTS: &str = "40000 40063";

// Names of /etc/hosts, and one that only a name server knows. OneLogin has certificates for all of its names.
const ONELOGIN: &str = "onelogin.test";
const IN_DNS: &str = "onelogin.example";
/// Addresses of both families, of which the one is dialled first: an address of a private network comes last (RFC 6724, rule 5).
const IPV6_FIRST: &str = "ipv6-first.onelogin.test";
const IPV4_FIRST: &str = "ipv4-first.onelogin.test";
const REFUSING: &str = "refusing.test";
const NO_ROUTE: &str = "no-route.test";
const NO_SUCH_HOST: &str = "no-such-host.test";
const SILENT: &str = "silent.test";
const REFUSING_AND_SILENT: &str = "refusing-and-silent.test";
const ONELOGIN_AT_LAST: &str = "onelogin-at-last.test";
const ONELOGIN_AND_NO_ROUTE: &str = "onelogin-and-no-route.test";
const MANY: &str = "many.test";
const THIS_HOST: &str = "this-host.test";
const THIS_HOST_AND_REFUSING: &str = "this-host-and-refusing.test";
const HERE: &str = "localhost";

/// More than the client's list has room for; OneLogin is at the last one.
const MANY_ADDRESSES: [&str; 17] = [
    "203.0.113.40",
    "203.0.113.41",
    "203.0.113.42",
    "203.0.113.43",
    "203.0.113.44",
    "203.0.113.45",
    "203.0.113.46",
    "203.0.113.47",
    "203.0.113.48",
    "203.0.113.49",
    "203.0.113.50",
    "203.0.113.51",
    "203.0.113.52",
    "203.0.113.53",
    "203.0.113.54",
    "203.0.113.55",
    "203.0.113.10",
];

fn hosts() -> String {
    let mut text = String::new();
    for (name, addresses) in [
        (ONELOGIN, &["203.0.113.10"][..]),
        (IPV6_FIRST, &["2001:db8:1::10", "203.0.113.10"]),
        (IPV4_FIRST, &["fd00::10", "203.0.113.10"]),
        (
            REFUSING,
            &["203.0.113.11", "203.0.113.12", "2001:db8:1::11"],
        ),
        (NO_ROUTE, &["203.0.113.20"]),
        (NO_SUCH_HOST, &["203.0.113.21"]),
        (SILENT, &["203.0.113.30"]),
        (REFUSING_AND_SILENT, &["203.0.113.11", "203.0.113.30"]),
        (
            ONELOGIN_AT_LAST,
            &[
                "203.0.113.33",
                "203.0.113.34",
                "203.0.113.35",
                "203.0.113.36",
                "203.0.113.37",
                "203.0.113.10",
            ],
        ),
        (MANY, &MANY_ADDRESSES),
        (ONELOGIN_AND_NO_ROUTE, &["2001:db8:1::11", "203.0.113.10"]),
        (THIS_HOST, &["::1", "2001:db8::2", "203.0.113.200"]),
        (THIS_HOST_AND_REFUSING, &["203.0.113.11", "198.51.100.3"]),
        (HERE, &["127.0.0.1", "198.51.100.2", "198.51.100.3"]),
    ] {
        for address in addresses {
            let _ = writeln!(text, "{address} {name}");
        }
    }
    text
}

fn url(name: &str) -> String {
    format!("onelogin.url = \"https://{name}\"")
}

/// Commands of ip(8), one a line, in the network of this thread.
fn ip(commands: &str) {
    let mut child = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("ip is installed");
    let mut to = child.stdin.take().expect("a pipe");
    to.write_all(commands.as_bytes()).expect("ip reads");
    to.write_all(b"\n").expect("ip reads");
    drop(to);
    assert!(child.wait().expect("ip ends").success(), "{commands}");
}

/// nft(8), in the network of this thread: what it says to these words.
fn nft(words: &[&str]) -> String {
    let output = Command::new("nft")
        .args(words)
        .stderr(Stdio::inherit())
        .output()
        .expect("nft is installed");
    assert!(output.status.success(), "{words:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// A setting below `/proc/sys/net`, of the network of this thread.
fn set(name: &str, value: &str) {
    fs::write(format!("/proc/sys/net/{name}"), value).unwrap_or_else(|error| {
        panic!("{name}: {error}");
    });
}

/// Waits until packets arrive at this address, where no port is open.
fn is_linked(address: IpAddr) {
    let refuses = || {
        let address = SocketAddr::new(address, 9);
        let error = TcpStream::connect_timeout(&address, Duration::from_millis(100)).err();
        error.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    };
    while !refuses() {
        thread::sleep(Duration::from_millis(1));
    }
}

// The other network

type Job = Box<dyn FnOnce() + Send>;

/// What is not the host: a thread with a network of its own, to which the host's uplink leads.
struct Internet {
    jobs: Option<Sender<Job>>,
    running: Option<JoinHandle<()>>,
    thread: Pid,
}

impl Internet {
    fn start() -> Self {
        let (jobs, waiting): (_, Receiver<Job>) = mpsc::channel();
        let (to, from) = mpsc::channel();
        let running = thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network can be made");
            to.send(gettid()).expect("the test waits");
            for job in waiting {
                job();
            }
        });
        Self {
            jobs: Some(jobs),
            running: Some(running),
            thread: from.recv().expect("the thread runs"),
        }
    }

    /// Does something there.
    fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (to, from) = mpsc::channel();
        let job = Box::new(move || drop(to.send(work())));
        let jobs = self.jobs.as_ref().expect("it runs");
        jobs.send(job).expect("the thread runs");
        from.recv().expect("it is done")
    }

    fn ip(&self, commands: &'static str) {
        self.run(|| ip(commands));
    }

    /// OneLogin, at this address.
    fn serve(&self, address: IpAddr) -> Simulator {
        self.run(move || {
            let onelogin = Simulator::start_with(Options {
                port: 443,
                address: Some(address),
                ..Options::default()
            });
            onelogin.add_user(User::new(ID, NAME).email("nobody@example.com"));
            onelogin.add_device(ID, totp());
            onelogin
        })
    }

    fn listen(&self, address: &'static str) -> TcpListener {
        self.run(move || TcpListener::bind(address).expect("the port is free"))
    }

    /// How often it has said that there is no such host.
    fn unreachables(&self) -> u64 {
        self.run(|| {
            let text = fs::read_to_string("/proc/thread-self/net/snmp").expect("counters");
            let mut lines = text.lines().filter_map(|line| line.strip_prefix("Icmp: "));
            let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
            let at = names.split(' ').position(|name| name == "OutDestUnreachs");
            values.split(' ').nth(at.unwrap()).unwrap().parse().unwrap()
        })
    }
}

impl Drop for Internet {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(running) = self.running.take() {
            let _ = running.join();
        }
    }
}

/// Answers each request at this port with a text.
fn answer(listener: TcpListener, text: &'static str) {
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && client.read_exact(&mut byte).is_ok() {
                head.extend(byte);
            }
            let _ = client.write_all(text.as_bytes());
        }
    });
}

// Programs on the host

/// Another user, who takes something from everybody until it is dropped.
struct Neighbour(Child);

impl Neighbour {
    fn start(deed: &[&str]) -> Self {
        let mut child = Command::new(binary("pam-neighbour"))
            .args(deed)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("pam-neighbour can be started");
        let mut line = String::new();
        let from = child.stdout.take().expect("a pipe");
        let neighbour = Self(child);
        BufReader::new(from).read_line(&mut line).expect("text");
        assert_eq!(line, "done\n", "{deed:?}");
        neighbour
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// dnsmasq with its usual limit of 150 queries, on this host.
struct Dnsmasq(Child);

impl Dnsmasq {
    fn start() -> Self {
        let child = Command::new("dnsmasq")
            .args([
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--pid-file=",
            ])
            .args(["--no-resolv", "--no-hosts", "--server=203.0.113.53"])
            .args(["--listen-address=127.0.0.1", "--bind-interfaces"])
            .args(["--dns-forward-max=150", "--user=nobody", "--log-facility=-"])
            .stderr(Stdio::null())
            .spawn()
            .expect("dnsmasq is installed");
        let dnsmasq = Self(child);
        // It serves TCP, too.
        while TcpStream::connect((Ipv4Addr::LOCALHOST, 53)).is_err() {
            thread::sleep(Duration::from_millis(5));
        }
        dnsmasq
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A name server that knows OneLogin's address, and is silent about all other names, until it is dropped.
///
/// Another name server cannot take its port at once: a process that another test starts has its socket for a moment, too.
struct NameServer {
    says: Arc<Mutex<Says>>,
    stopping: Arc<AtomicBool>,
    running: Option<JoinHandle<()>>,
}

impl NameServer {
    fn start(address: SocketAddr) -> Self {
        Self::saying(address, Says::All)
    }

    fn saying(address: SocketAddr, says: Says) -> Self {
        let socket = UdpSocket::bind(address).expect("port 53 is free here");
        let look = Duration::from_millis(20);
        socket.set_read_timeout(Some(look)).expect("a time limit");
        let stopping = Arc::<AtomicBool>::default();
        let says = Arc::new(Mutex::new(says));
        let running = thread::spawn({
            let stopping = Arc::clone(&stopping);
            let says = Arc::clone(&says);
            move || {
                while !stopping.load(Ordering::Relaxed) {
                    let mut query = [0; 512];
                    let Ok((length @ 12.., from)) = socket.recv_from(&mut query) else {
                        continue;
                    };
                    let says = *says.lock().unwrap();
                    if let Some(reply) = reply(&query[..length], says) {
                        let _ = socket.send_to(&reply, from);
                    }
                }
            }
        });
        Self {
            says,
            stopping,
            running: Some(running),
        }
    }

    /// From now on it says this.
    fn says(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(running) = self.running.take() {
            let _ = running.join();
        }
    }
}

/// What a name server tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    /// OneLogin's IPv4 address, and that there is no other.
    All,
    /// An IPv6 address to which no route leads; REFUSED to the question for IPv4.
    Ipv6,
    /// The same IPv6 address; to the question for IPv4, that the answer is too long.
    Ipv6AndTruncated,
    /// OneLogin's IPv4 address; to the question for IPv6, that the answer is too long.
    Ipv4AndTruncated,
}

/// The address of OneLogin, where it is asked for (RFC 1035).
fn reply(query: &[u8], says: Says) -> Option<Vec<u8>> {
    let (head, question) = query.split_at_checked(12)?;
    let mut name = Vec::new();
    for label in IN_DNS.split('.') {
        name.push(u8::try_from(label.len()).ok()?);
        name.extend(label.as_bytes());
    }
    name.push(0);
    let kind = question.strip_prefix(name.as_slice())?.get(..4)?;
    let mut reply = head.to_vec();
    // A response; recursion is available; one question.
    reply[2] |= 0x80;
    reply[3] = 0x80;
    reply[4..].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
    reply.extend(&name);
    reply.extend(kind);
    match (says, kind == [0, 1, 0, 1]) {
        (Says::Ipv6, true) => reply[3] |= 5,
        (Says::Ipv6AndTruncated, true) | (Says::Ipv4AndTruncated, false) => reply[2] |= 2,
        (Says::Ipv6 | Says::Ipv6AndTruncated, false) => {
            reply[7] = 1;
            // An address of sixteen bytes: 2001:db8:ffff::1.
            reply.extend([0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 0, 0, 16]);
            reply.extend([0x20, 1, 0xd, 0xb8, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        }
        (Says::All | Says::Ipv4AndTruncated, true) => {
            reply[7] = 1;
            // The name of the question, an address, of the internet, for no time, four bytes.
            reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 203, 0, 113, 10]);
        }
        (Says::All, false) => {}
    }
    Some(reply)
}

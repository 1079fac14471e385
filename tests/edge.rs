//! The real `HAProxy` in front of OneLogin, as OneLogin itself has one: it closes connections that are idle, and refuses calls by
//! pages of its own. No right code is denied that OneLogin never got, and none is sent twice. The built module in the real
//! libpam; no root. Times are varied here, and none is measured.

mod world;

use onelogin_simulator::{
    Action, Device, Fault, Match, Options, Page, PushBehaviour, Simulator, User,
};
use pam_host::{Case, Code, Edge, Outcome, Place, Proxy, Running, Step};
use pam_onelogin::api::Ending;
use pam_onelogin::config;
use pam_onelogin::host::uids;
use pam_onelogin::login::Deadline;
use pam_onelogin::onelogin::http::{Call, Caller, Http, Method, Transport as _};
use pam_onelogin::secret::Secret;
use pam_onelogin::trust::Trusted;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};
use world::{NAME, PUSH_CODE, connection, fresh_code, push, totp};

/// A round trip between the hosts and OneLogin.
const ROUND_TRIP: Duration = Duration::from_millis(80);

/// What the front end lets a connection be idle, in milliseconds.
const IDLE: i64 = 3000;

/// How long before and after the end of that time the user answers, in milliseconds, and how often each is tried.
const AROUND: [i64; 13] = [-60, -50, -40, -30, -20, -10, 0, 10, 20, 30, 40, 50, 60];
const ROUNDS: usize = 3;

/// Logins begin this much apart: they are many, and should not hold each other up.
const APART: Duration = Duration::from_millis(80);

const TIME_OUT: &str = "timeout http-request 3s";
const SILENT: &str = "option http-ignore-probes";
const KEEP_ALIVE: &str = "timeout http-keep-alive 3s";

/// OneLogin behind its front end.
struct Site {
    onelogin: Simulator,
    edge: Edge,
}

impl Site {
    fn with(lines: &[&str]) -> Self {
        let onelogin = Simulator::start_with(Options {
            plain_http: true,
            ..Options::default()
        });
        onelogin.on_push(PushBehaviour::ApproveAfterPolls(0));
        let edge = Edge::before(&onelogin, lines);
        Self { onelogin, edge }
    }

    /// A host with a state of its own and a user of this id, who has this device.
    fn host(&self, id: u64, device: Device) -> Host<'_> {
        self.onelogin.add_user(User::new(id, format!("user{id}")));
        self.onelogin.add_device(id, device);
        let place = Place::new();
        let wire = Proxy::to(self.edge.port(), ROUND_TRIP);
        let map = place.write("etc/map", format!("{NAME} id={id}\n"));
        let lines = [
            format!("onelogin.url = \"https://localhost:{}\"", wire.port()),
            format!("users.map_file = {:?}", map.to_str().unwrap()),
        ];
        place.config_for(&self.onelogin, &lines.each_ref().map(String::as_str));
        Host {
            site: self,
            id,
            place,
            wire,
        }
    }

    /// One login for each moment around the end of an idle connection, all of them about at once: each must get in, and OneLogin
    /// must have got what it sent once.
    fn each_moment(&self, device: fn() -> Device, login: fn(&Host<'_>, i64)) {
        let moments = AROUND.iter().cycle().take(ROUNDS * AROUND.len());
        let failed = thread::scope(|scope| {
            let logins: Vec<_> = (0_u32..)
                .zip(moments)
                .map(|(number, &moment)| {
                    let host = self.host(2000 + u64::from(number), device());
                    scope.spawn(move || {
                        thread::sleep(APART * number);
                        login(&host, moment);
                    })
                })
                .collect();
            let ends = logins.into_iter().map(|login| login.join().is_err());
            ends.filter(|is_failed| *is_failed).count()
        });
        assert_eq!(failed, 0, "of {}", ROUNDS * AROUND.len());
    }
}

/// One host, far away.
struct Host<'a> {
    site: &'a Site,
    id: u64,
    place: Place,
    wire: Proxy,
}

impl Host<'_> {
    fn ssh(&self) -> Case {
        let case = self.place.alone("sshd").user(NAME);
        case.ssh_with_key(&connection())
    }

    /// Token, user and devices are known from now on, and no request precedes the prompt.
    fn warm(&self, code: &str) {
        let outcome = self.ssh().answer(code).run();
        assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
    }

    /// Waits for so many milliseconds behind the moment at which the front end gives up a connection that has been idle since
    /// it last said something.
    fn wait_until(&self, moment: i64) {
        let idle = Duration::from_millis((IDLE + moment).unsigned_abs());
        let mut spoke = self.wire.spoke().expect("a connection");
        loop {
            thread::sleep((spoke + idle).saturating_duration_since(Instant::now()));
            let latest = self.wire.spoke().unwrap_or(spoke);
            // At the prompt the handshake may not have been over. What comes at the end is the close.
            if latest != spoke && latest.duration_since(spoke) < idle / 2 {
                spoke = latest;
            } else {
                return;
            }
        }
    }

    /// How many entries of a kind the host keeps of its user, such as `f-` of refused codes.
    fn kept(&self, kind: &str) -> usize {
        let folders = fs::read_dir(self.place.state_path()).unwrap().flatten();
        let entries = folders.filter_map(|folder| fs::read_dir(folder.path()).ok());
        let entries = entries.flatten().flatten();
        let names = entries.map(|entry| entry.file_name());
        names
            .filter(|name| name.to_string_lossy().starts_with(kind))
            .count()
    }

    /// How many activations and codes of this user came through.
    fn came(&self) -> (usize, usize) {
        let path = format!("/mfa/users/{}/verifications", self.id);
        let requests = self.site.onelogin.requests();
        let mine = requests
            .iter()
            .filter(|request| request.path.contains(&path));
        let sent: Vec<_> = mine.filter(|request| request.method != "GET").collect();
        let codes = sent
            .iter()
            .filter(|request| request.body.contains("\"otp\""));
        let codes = codes.count();
        (sent.len() - codes, codes)
    }
}

fn assert_in(outcome: &Outcome, what: &str) {
    assert_eq!(outcome.code, Code::SUCCESS, "{what}: {:#?}", outcome.log);
}

#[test]
fn the_pages_of_the_simulator_are_those_of_a_real_front_end() {
    let onelogin = Simulator::start_with(Options {
        plain_http: true,
        ..Options::default()
    });
    let lines = [
        "timeout http-request 1s",
        "http-request deny deny_status 429",
    ];
    let edge = Edge::plain_before(&onelogin, &lines);
    let said = |asked: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", edge.port())).unwrap();
        stream.write_all(asked.as_bytes()).unwrap();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).unwrap();
        String::from_utf8(said).unwrap()
    };
    let text = |bytes| String::from_utf8(bytes).unwrap();
    assert_eq!(said(""), text(Page::RequestTimeout.bytes()));
    let asked = "GET / HTTP/1.1\r\nhost: x\r\n";
    let closed = said(&format!("{asked}connection: close\r\n\r\n"));
    assert_eq!(closed, text(Page::TooManyRequests.bytes()));
    let kept = said(&format!("{asked}\r\n"));
    assert_eq!(kept, text(Page::TooManyRequests.kept()));
    assert_eq!(onelogin.requests(), []);
}

// What the user does when the connection is about to be given up.

fn types_a_code(host: &Host<'_>, moment: i64) {
    let (_, before) = host.came();
    let mut login = host.ssh().spawn();
    login.wait_prompt();
    host.wait_until(moment);
    login.reply(fresh_code());
    let outcome = login.finish();
    let what = format!("{moment} ms, came: {:?}", host.came());
    assert_in(&outcome, &what);
    assert_eq!(host.came(), (0, before + 1), "{what}");
}

fn presses_enter(host: &Host<'_>, moment: i64) {
    let (_, before) = host.came();
    let mut login = host.ssh().spawn();
    login.wait_prompt();
    host.wait_until(moment);
    login.reply("");
    let outcome = answer_the_rest(login);
    let what = format!("{moment} ms, came: {:?}", host.came());
    assert_in(&outcome, &what);
    assert_eq!(host.came(), (1, before), "{what}");
}

/// Enter for whatever is asked.
fn answer_the_rest(mut login: Running) -> Outcome {
    loop {
        match login.step() {
            Step::Shown(_) => {}
            Step::Prompt(_) => login.reply(""),
            Step::End(report) => return login.end(*report),
        }
    }
}

fn types_a_code_on_a_prepared_connection(host: &Host<'_>, moment: i64) {
    host.warm(&fresh_code());
    types_a_code(host, moment);
}

fn presses_enter_on_a_prepared_connection(host: &Host<'_>, moment: i64) {
    host.warm(PUSH_CODE);
    presses_enter(host, moment);
}

fn approves_late(host: &Host<'_>, moment: i64) {
    let mut login = host.ssh().spawn();
    login.wait_prompt();
    login.reply("");
    login.wait_prompt();
    host.wait_until(moment);
    login.reply("");
    let outcome = login.finish();
    assert_in(&outcome, &format!("{moment} ms"));
    assert_eq!(host.came(), (1, 0), "{moment} ms");
}

#[test]
fn a_code_gets_in_at_each_moment_around_a_408_of_the_front_end() {
    let site = Site::with(&[TIME_OUT]);
    site.each_moment(totp, types_a_code_on_a_prepared_connection);
}

#[test]
fn a_code_gets_in_at_each_moment_around_a_silent_close_of_the_front_end() {
    let site = Site::with(&[TIME_OUT, SILENT]);
    site.each_moment(totp, types_a_code_on_a_prepared_connection);
}

#[test]
fn a_code_gets_in_at_each_moment_around_the_end_of_a_connection_that_was_used() {
    let site = Site::with(&[KEEP_ALIVE]);
    site.each_moment(totp, types_a_code);
}

#[test]
fn a_push_is_sent_once_at_each_moment_around_a_408_of_the_front_end() {
    let site = Site::with(&[TIME_OUT]);
    site.each_moment(push, presses_enter_on_a_prepared_connection);
}

#[test]
fn a_push_is_sent_once_at_each_moment_around_a_silent_close_of_the_front_end() {
    let site = Site::with(&[TIME_OUT, SILENT]);
    site.each_moment(push, presses_enter_on_a_prepared_connection);
}

#[test]
fn a_push_is_sent_once_at_each_moment_around_the_end_of_a_connection_that_was_used() {
    let site = Site::with(&[KEEP_ALIVE]);
    site.each_moment(push, presses_enter);
}

#[test]
fn an_approved_push_gets_in_at_each_moment_around_the_end_of_a_connection_that_was_used() {
    let site = Site::with(&[KEEP_ALIVE]);
    site.each_moment(push, approves_late);
}

// 429, once for each path that fits.

/// The lines of a front end that refuses the first of these requests.
fn refusing_once(which: &str) -> Vec<String> {
    vec![
        "option http-buffer-request".to_owned(),
        format!("http-request track-sc0 path table refused if {which}"),
        format!("http-request deny deny_status 429 if {which} {{ sc0_inc_gpc0 eq 1 }}"),
        "backend refused".to_owned(),
        "stick-table type string len 200 size 1k expire 5m store gpc0".to_owned(),
    ]
}

fn refusing(which: &str) -> Site {
    let lines = refusing_once(which);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    Site::with(&lines)
}

#[test]
fn a_look_up_that_the_front_end_refuses_once_denies_nobody() {
    for which in [
        "{ path_beg /auth/ }",
        "{ path_beg /api/2/users }",
        "{ path_end /devices }",
    ] {
        let site = refusing(which);
        let host = site.host(2000, totp());
        let outcome = host.ssh().answer(fresh_code()).run();
        assert_in(&outcome, which);
        assert_eq!(host.came(), (0, 1), "{which}");
    }
}

#[test]
fn a_poll_that_the_front_end_refuses_once_denies_nobody() {
    let site = refusing("{ method GET } { path_sub /verifications/ }");
    let host = site.host(2000, push());
    let outcome = host.ssh().answers(["", ""]).run();
    assert_in(&outcome, "poll");
    assert_eq!(host.came(), (1, 0));
}

#[test]
fn r16_what_broke_off_before_its_last_byte_has_not_been_seen_and_what_was_sent_may_have_been() {
    let onelogin = Simulator::start();
    onelogin.fault(Fault::new(Match::path("/mfa"), Action::DropBefore));
    // Longer than what the buffers on the way take.
    for (length, expected) in [(16 << 20, Ending::CutShort), (64, Ending::Lost)] {
        let place = Place::new();
        let wire = Breaking::before(onelogin.port());
        let url = format!("onelogin.url = \"https://localhost:{}\"", wire.port);
        place.config_for(&onelogin, &[&url]);
        let text = fs::read_to_string(place.config_path()).unwrap();
        let config = config::parse("c", &text).unwrap();
        let mut http = Http::new(&config, Trusted::of(uids()), None);
        let token = Secret::new("t".to_owned());
        let call = Call {
            method: Method::Post(vec![b' '; length].into()),
            path: "/mfa",
            query: &[],
            caller: Caller::Bearer(&token),
        };
        let error = http
            .send(&call, Deadline::after(Duration::from_secs(30)))
            .err()
            .expect("no reply");
        assert_eq!(error.ending, expected, "{error:?}");
    }
}

/// Carries one connection until it has carried as much as a megabyte, then breaks it.
struct Breaking {
    port: u16,
}

impl Breaking {
    fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let (client, _) = listener.accept().unwrap();
            let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (mut replies, mut to_client) =
                (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || {
                let _ = io::copy(&mut replies, &mut to_client);
                let _ = to_client.shutdown(Shutdown::Both);
            });
            let _ = io::copy(&mut (&client).take(1 << 20), &mut &server);
            // What has come and was not read makes it a reset.
            let _ = client.shutdown(Shutdown::Read);
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
        });
        Self { port: here }
    }
}

#[test]
fn an_activation_that_the_front_end_refuses_is_not_counted() {
    let site = refusing("{ method POST } { path_end /verifications } !{ req.body -m sub otp }");
    let host = site.host(2000, push());
    let refused = answer_the_rest(host.ssh().answer("").spawn());
    assert_eq!(host.kept("c-"), 0, "{:#?}", refused.log);
    let sent_before = host.came().0;
    assert_in(&host.ssh().answers(["", ""]).run(), "the next login");
    assert_eq!((sent_before, host.came()), (0, (1, 0)));
}

#[test]
fn a_code_that_the_front_end_refuses_is_not_counted_and_can_be_typed_again() {
    let site = refusing("{ method POST PUT } { req.body -m sub otp }");
    let host = site.host(2000, totp());
    let code = fresh_code();
    let refused = host.ssh().answer(&code).run();
    let kept = (host.kept("f-"), host.kept("x-"));
    let came = host.came();
    if refused.code != Code::SUCCESS {
        assert_eq!((kept, came), ((0, 0), (0, 0)), "{:#?}", refused.log);
        assert_in(&host.ssh().answer(&code).run(), "the next login");
    }
    assert_eq!(host.came(), (0, 1));
}

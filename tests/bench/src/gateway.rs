//! What a login costs through a gateway, beside the same login without one.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fs, io};

use onelogin_simulator::Simulator;
use pam_host::gateway::{Flaw, Gateway, Pki};
use pam_host::place::settings;
use pam_host::{Case, Code, Place, Proxy};

use crate::contender::{FAR, account, connection, fresh_code, onelogin};
use crate::load;
use crate::measure::count_instructions;

/// A round trip between a host and its gateway.
const NEAR: Duration = Duration::from_millis(1);

/// How often each login is made. An odd number has a median.
const LOGINS: usize = 21;

/// One user logs in more often here than a person can.
const MANY: [&str; 1] = ["limits.codes = 1000"];

/// A way from a host to OneLogin.
struct Route {
    name: &'static str,
    onelogin: Simulator,
    place: Place,
    /// Between the host and whatever it connects to.
    wire: Proxy,
    _gateway: Option<(Gateway, Proxy)>,
}

/// One login.
#[derive(Clone, Copy)]
struct Login {
    requests: usize,
    trips: usize,
    /// In milliseconds.
    to_prompt: u64,
    after_answer: u64,
}

impl Route {
    /// Straight to OneLogin, with this round trip.
    fn direct(round_trip: Duration) -> Self {
        let onelogin = onelogin();
        let wire = Proxy::to(onelogin.port(), round_trip);
        let place = Place::new();
        let ca = place.write("etc/ca.pem", onelogin.ca_pem());
        let url = format!("onelogin.url = \"https://localhost:{}\"", wire.port());
        let state = place.state_path();
        place.config(settings(&onelogin, &ca, Some(&state), &[&url]));
        Self {
            name: "direct",
            onelogin,
            place,
            wire,
            _gateway: None,
        }
    }

    /// Through a gateway, with these round trips to it and behind it.
    fn through(to_gateway: Duration, to_onelogin: Duration) -> Self {
        let onelogin = onelogin();
        let behind = Proxy::to(onelogin.port(), to_onelogin);
        let pki = Pki::new();
        let url = format!("https://localhost:{}", behind.port());
        let gateway = Gateway::start(&url, onelogin.ca_pem(), &pki, &MANY, &[]);
        gateway.set_token(&onelogin.give_token(), end_of_token());
        let wire = Proxy::to(gateway.port(), to_gateway);
        let place = Place::new();
        let identity = pki.host("web1.hosts.test", 1, Flaw::None);
        place.config(gateway.config_of_host(&place, &identity, wire.port()));
        Self {
            name: "through a gateway",
            onelogin,
            place,
            wire,
            _gateway: Some((gateway, behind)),
        }
    }

    fn case(&self) -> Case {
        let case = self.place.alone("sshd").user(account().as_str());
        case.ssh_with_key(&connection()).unwatched()
    }

    /// Forgets what earlier logins have left.
    fn cool(&self) {
        let _ = fs::remove_dir_all(self.place.state_path());
    }

    fn log_in(&self) -> Login {
        let (trips, requests) = (self.wire.trips(), self.onelogin.requests().len());
        let mut login = self.case().spawn();
        login.wait_prompt();
        login.reply(fresh_code().as_str());
        let outcome = login.finish();
        assert_eq!(
            outcome.code,
            Code::SUCCESS,
            "{}: {:?}",
            self.name,
            outcome.log
        );
        let cost = outcome.costs.last().copied().unwrap_or_default();
        Login {
            requests: self.onelogin.requests().len() - requests,
            trips: self.wire.trips() - trips,
            to_prompt: cost.to_prompt / 1000,
            after_answer: cost.after_answer / 1000,
        }
    }
}

/// The middle one.
fn median(logins: &[Login], of: fn(&Login) -> u64) -> u64 {
    let mut values: Vec<u64> = logins.iter().map(of).collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The table for the page.
///
/// # Errors
/// When instructions cannot be counted.
///
/// # Panics
/// When a login is no success.
pub fn table(folder: &Path) -> io::Result<String> {
    let far = [Route::direct(FAR), Route::through(NEAR, FAR)];
    let mut text = format!(
        "Medians of {LOGINS} logins each by code, one direct, then one through the gateway. A round trip between host and gateway takes\n\
         {} ms, one between OneLogin and what connects to it {} ms. Cold: the host keeps no token, user or devices. Instructions\n\
         are counted in a warm login on the host.\n\n\
         | login | requests at OneLogin | round trips of the host | to the prompt, ms | after Enter, ms |\n|---|--:|--:|--:|--:|\n",
        NEAR.as_millis(),
        FAR.as_millis()
    );
    for is_cold in [true, false] {
        let mut logins = [Vec::new(), Vec::new()];
        for _ in 0..LOGINS {
            for (route, logins) in far.iter().zip(&mut logins) {
                if is_cold {
                    route.cool();
                }
                logins.push(route.log_in());
            }
        }
        for (route, logins) in far.iter().zip(&logins) {
            let kind = if is_cold { "cold" } else { "warm" };
            let last = logins.last().expect("a login");
            let _ = writeln!(
                text,
                "| {kind}, {} | {} | {} | {} | {} |",
                route.name,
                last.requests,
                last.trips,
                median(logins, |login| login.to_prompt),
                median(logins, |login| login.after_answer),
            );
        }
    }
    let near = [
        Route::direct(Duration::ZERO),
        Route::through(Duration::ZERO, Duration::ZERO),
    ];
    let mut counts = Vec::new();
    for route in &near {
        route.log_in();
        let case = route.case();
        let name = route.name.replace(' ', "-");
        counts.push(count_instructions(
            case,
            Some(&fresh_code()),
            &name,
            folder,
        )?);
    }
    if let [direct, through] = counts[..] {
        let _ = writeln!(
            text,
            "\nInstructions of a warm login on the host: {:.2} million direct, {:.2} million through a gateway ({:+.1} %).",
            million(direct),
            million(through),
            (million(through) / million(direct) - 1.0) * 100.0
        );
    }
    text.push('\n');
    Ok(text + &load::table())
}

/// The end of a token that was just issued.
pub(crate) fn end_of_token() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs() + 36_000
}

fn million(count: u64) -> f64 {
    f64::from(u32::try_from(count / 1000).unwrap_or(u32::MAX)) / 1000.0
}

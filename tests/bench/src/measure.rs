//! Logins, counted and timed; instructions, counted by callgrind; system calls, counted by strace.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, io};

use pam_host::{Calls, Case, Code, Cost, Running};

use crate::contender::{Contender, Way, with_push};

/// One login.
#[derive(Clone, Copy, Debug, Default)]
pub struct Login {
    /// What the server was asked.
    pub requests: usize,
    /// Round trips until the prompt.
    pub before_prompt: usize,
    /// Round trips from the answer on.
    pub after_answer: usize,
    /// Time and computing.
    pub cost: Cost,
    /// The most memory of the process, in KiB.
    pub memory: u64,
}

/// Logs in once.
///
/// # Panics
/// When it is no success.
pub fn log_in(contender: &Contender, way: Way) -> Login {
    let case = contender.case(way);
    let proxy = contender.wires.as_ref().map(|wires| wires.way(way));
    let trips = || proxy.map_or(0, pam_host::Proxy::trips);
    let requests = || {
        let server = contender.wires.as_ref().map(|wires| &wires.server);
        server.map_or(0, |server| server.requests().len())
    };
    let (trips_before, requests_before) = (trips(), requests());
    let mut at_prompt = trips_before;
    let outcome = if contender.asks {
        let mut login = case.spawn();
        login.wait_prompt();
        at_prompt = trips();
        login.reply(contender.code().as_str());
        login.finish()
    } else {
        case.run()
    };
    assert_eq!(
        outcome.code,
        Code::SUCCESS,
        "{}: {:?} {:?} {}",
        contender.name,
        outcome.transcript,
        outcome.log,
        outcome.stderr
    );
    Login {
        requests: requests() - requests_before,
        before_prompt: at_prompt - trips_before,
        after_answer: trips() - at_prompt,
        cost: outcome.costs.last().copied().unwrap_or_default(),
        memory: outcome.peak_memory,
    }
}

/// The instructions of one login from `pam_start` to `pam_end`, with those of loading the module. `folder` gets the profile.
///
/// # Errors
/// When there is no callgrind, or what it wrote cannot be read.
pub fn instructions(contender: &Contender, folder: &Path) -> io::Result<u64> {
    let name: String = contender.name.split(' ').collect();
    let code = contender.asks.then(|| contender.code());
    count_instructions(contender.case(Way::Near), code.as_deref(), &name, folder)
}

/// The instructions of this login, which types `code` where it is asked. `folder` gets the profile, with `name` in its name.
///
/// # Errors
/// As [`instructions`].
///
/// # Panics
/// When it is no success.
pub fn count_instructions(
    case: Case,
    code: Option<&str>,
    name: &str,
    folder: &Path,
) -> io::Result<u64> {
    if !Path::new(VALGRIND).exists() {
        return Err(io::Error::other(format!("no {VALGRIND}")));
    }
    fs::create_dir_all(folder)?;
    let profile = folder.join(format!("callgrind.{name}"));
    let mut command = vec![
        VALGRIND.to_owned(),
        "--tool=callgrind".to_owned(),
        "--quiet".to_owned(),
        format!("--callgrind-out-file={}", profile.display()),
    ];
    for function in [
        "pam_start_confdir",
        "pam_authenticate",
        "pam_setcred",
        "pam_end",
    ] {
        command.push(format!("--toggle-collect={function}"));
    }
    let case = case.under(command);
    let case = match code {
        Some(code) => case.answer(code),
        None => case,
    };
    let outcome = case.run();
    assert_eq!(outcome.code, Code::SUCCESS, "{name}");
    let text = fs::read_to_string(&profile)?;
    let total = text.lines().find_map(|line| {
        let numbers = line.strip_prefix("totals: ")?;
        numbers.split_whitespace().next()?.parse().ok()
    });
    total.ok_or_else(|| io::Error::other(format!("{} has no total", profile.display())))
}

/// The system calls of one login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemCalls {
    /// Of libpam, the module and the dynamic linker.
    pub all: usize,
    /// In the folder where the module keeps its state, if that is known.
    pub in_state: Option<usize>,
}

/// The system calls of one login, in the functions where [`instructions`] are counted. Of three logins, the fewest: a minute or a
/// cache that ends during one of them costs more, and so does a reply in two pieces.
///
/// # Errors
/// When there is no strace.
///
/// # Panics
/// When a login is no success.
pub fn system_calls(contender: &Contender) -> io::Result<SystemCalls> {
    if !Path::new(STRACE).exists() {
        return Err(io::Error::other(format!("no {STRACE}")));
    }
    let state = contender.state.as_deref();
    let counts = [(); 3].map(|()| {
        let case = contender.case(Way::Near);
        let case = if contender.asks {
            case.answer(contender.code().as_str())
        } else {
            case
        };
        let (outcome, calls) = case.run_counted(state.unwrap_or(Path::new("/nonexistent")));
        assert_eq!(outcome.code, Code::SUCCESS, "{}", contender.name);
        calls
    });
    let [first, others @ ..] = counts;
    let fewest = |of: fn(&Calls) -> usize| others.iter().map(of).fold(of(&first), usize::min);
    Ok(SystemCalls {
        all: fewest(|calls| calls.all),
        in_state: state.map(|_| fewest(|calls| calls.in_folder)),
    })
}

/// What pushes came to.
#[derive(Clone, Copy, Debug)]
pub struct Push {
    /// What the server was asked where the approval came ten seconds after the push.
    pub requests: usize,
    /// How long an approval went unnoticed that came just after a poll.
    pub noticed: Duration,
}

/// Pushes in sudo, which waits for them without an Enter.
///
/// # Panics
/// When one is no success.
pub fn push() -> Push {
    let (simulator, place) = with_push();
    let login = || {
        let case = place.alone("sudo").user("nobody").tty("/dev/pts/7");
        simulator.clear_messages();
        simulator.clear_requests();
        let login = case.answer("").spawn();
        let sent = simulator.wait_for_message(PATIENCE, |_| true);
        assert!(sent.is_some(), "no push was sent");
        login
    };
    let approve = |login: Running| {
        let approved = Instant::now();
        assert!(simulator.approve_latest().is_some(), "nothing to approve");
        assert_eq!(login.finish().code, Code::SUCCESS);
        approved.elapsed()
    };
    // The first leaves behind what the module remembers.
    let cold = login();
    let polled = simulator.wait_for_request(PATIENCE, "GET", "/verifications/");
    assert!(polled.is_some(), "nobody asked about the push");
    let noticed = approve(cold);
    let warm = login();
    thread::sleep(Duration::from_secs(10));
    approve(warm);
    Push {
        requests: simulator.requests().len(),
        noticed,
    }
}

const PATIENCE: Duration = Duration::from_secs(60);
const VALGRIND: &str = "/usr/bin/valgrind";
const STRACE: &str = "/usr/bin/strace";

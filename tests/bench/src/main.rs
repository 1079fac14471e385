//! `make bench`, `make bench-gateway`, `make fleet`, and the chart of `make pictures`: measures, and writes the tables and the chart of the documents.

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

use pam_bench::chart::chart;
use pam_bench::contender::{Contender, Way, system_bundle};
use pam_bench::measure::{SystemCalls, instructions, log_in, push, system_calls};
use pam_bench::report::{
    BARE_WITH_ONE, OURS_WITH_ONE, Results, Row, comparison, here, insert, libraries, targets,
};
use pam_bench::{fleet, gateway};

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["chart"] => draw(),
        ["gateway"] => through_a_gateway(),
        ["fleet"] => insert(Path::new(PAGE), "fleet", &fleet::table()),
        ["logins", bare, peers] => bench(Path::new(bare), Path::new(peers)),
        _ => Err(io::Error::other(
            "usage: pam-bench chart | fleet | gateway | logins BARE-MODULE PEERS",
        )),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pam-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn through_a_gateway() -> io::Result<()> {
    let folder = env::temp_dir().join(format!("pam-bench-{}", std::process::id()));
    let table = gateway::table(&folder);
    let _ = fs::remove_dir_all(folder);
    insert(Path::new(PAGE), "gateway", &table?)
}

fn bench(bare: &Path, peers: &Path) -> io::Result<()> {
    // libpam takes a path that does not begin at the root for the name of a module.
    let (bare, peers) = (
        bare.canonicalize()?,
        peers.canonicalize().unwrap_or_default(),
    );
    let bundle = system_bundle()?;
    let ours = Contender::ours("pam_onelogin", &bundle);
    // Warm, on both ways; and the bare module needs its token.
    for way in [Way::Near, Way::Far] {
        let _ = log_in(&ours, way);
    }
    let with_all = Contender::bare(
        "bare rustls, one request (the limit)",
        &bundle,
        &bare,
        &ours,
    );
    let with_one = Contender::bare(BARE_WITH_ONE, "", &bare, &ours);
    let ours_with_one = Contender::ours(OURS_WITH_ONE, "");
    let duo = [
        Contender::duo(&peers, "sshd"),
        Contender::duo(&peers, "sudo"),
    ];
    let others = [
        Ok(ours_with_one),
        Ok(with_all),
        Ok(with_one),
        Contender::google_authenticator(&peers),
        Contender::permit(),
    ];

    let mut contenders = vec![ours];
    for contender in duo.into_iter().chain(others) {
        match contender {
            Ok(contender) => contenders.push(contender),
            Err(error) => eprintln!("SKIPPED: {error}"),
        }
    }
    let mut rows = measured(&contenders)?.into_iter();
    let mut ours = rows
        .next()
        .ok_or_else(|| io::Error::other("nothing was measured"))?;
    let further = |service, lines| {
        let contender = Contender::ours_in("pam_onelogin", service, &bundle, lines);
        // Warm.
        let _ = log_in(&contender, Way::Near);
        counted(&contender)
    };
    ours.calls_in_sudo = further("sudo", &[ASSUMED]);
    let (duo, others): (Vec<_>, Vec<_>) = rows.partition(|row| row.name.starts_with("pam_duo"));
    eprintln!("Two pushes.");
    let results = Results {
        ours,
        duo: duo.try_into().ok(),
        others,
        calls_with_more_failures: [
            further("sshd", &[MORE_FAILURES]),
            further("sudo", &[ASSUMED, MORE_FAILURES]),
        ],
        push: push(),
    };
    write(&results)
}

/// All modules by turns, so that what else the machine does meets all alike.
fn measured(contenders: &[Contender]) -> io::Result<Vec<Row>> {
    let mut rows = Vec::new();
    // Counted first: later, more logins and another span of time would be behind them.
    eprintln!("System calls.");
    for contender in contenders {
        // Warm, on both ways.
        for way in [Way::Near, Way::Far] {
            let _ = log_in(contender, way);
        }
        rows.push(Row {
            name: contender.name,
            size: fs::metadata(&contender.module)?.len(),
            libraries: libraries(&contender.module)?,
            near: Vec::new(),
            far: Vec::new(),
            instructions: None,
            calls: counted(contender),
            calls_in_sudo: None,
        });
    }
    eprintln!("{LOGINS} logins with {} modules, near and far.", rows.len());
    for _ in 0..LOGINS {
        for (contender, row) in contenders.iter().zip(&mut rows) {
            row.near.push(log_in(contender, Way::Near));
            row.far.push(log_in(contender, Way::Far));
        }
    }
    eprintln!("Instructions.");
    let folder = env::temp_dir().join(format!("pam-bench-{}", std::process::id()));
    for (contender, row) in contenders.iter().zip(&mut rows) {
        match instructions(contender, &folder) {
            Ok(count) => row.instructions = Some(count),
            Err(error) => eprintln!("SKIPPED: instructions of {}: {error}", row.name),
        }
    }
    let _ = fs::remove_dir_all(folder);
    Ok(rows)
}

fn counted(contender: &Contender) -> Option<SystemCalls> {
    let calls = system_calls(contender);
    calls
        .inspect_err(|error| eprintln!("SKIPPED: system calls of {}: {error}", contender.name))
        .ok()
}

fn write(results: &Results) -> io::Result<()> {
    let (targets, here) = (targets(results), here(LOGINS));
    let text = format!(
        "![What a login costs, beside other modules](pictures/bench.svg)\n\n{here}\n\n{targets}\n{}\n{NOTES}",
        comparison(results)
    );
    println!("{targets}");
    insert(Path::new(PAGE), "bench", &text)?;
    draw()
}

/// Draws the chart of the figures that the page has.
fn draw() -> io::Result<()> {
    fs::write(PICTURE, chart(&fs::read_to_string(PAGE)?)?)
}

/// A real sudo proves its user by its real uid, which only root can set.
const ASSUMED: &str = "first_factor = \"assumed\"";
const MORE_FAILURES: &str = "limits.failures = 100";

const PAGE: &str = "docs/performance.md";
const PICTURE: &str = "docs/pictures/bench.svg";

/// An odd number has a median.
const LOGINS: usize = 41;

const NOTES: &str = "\
- Each login is a process of its own (`pam-host`), which runs the real libpam with a stack of the one module, over TLS on
  loopback. What the host itself takes is the row of pam_permit; it is in the memory of all rows.
- Warm: a login before it has left behind what the module remembers: the access token, the user, the devices.
- All files are in memory (`/dev/shm`), as those below `/run` are.
- Round trips are counted by a proxy in between: a connection is one, and so is each change of direction from client to server and
  back. The servers send no session tickets, which no login would wait for.
- Times are from `pam_start` to `pam_end`, without the time at the prompt. A network with 80 ms has 40 ms in each direction.
- Computing is the processor time of the process from `pam_start` to `pam_end`, with loading and unloading the module.
- Instructions are counted by callgrind inside `pam_start`, `pam_authenticate`, `pam_setcred` and `pam_end`, with the dynamic
  linker's.
- System calls are counted by strace in the same functions: those of libpam, the module and the dynamic linker, without those of
  the conversation, which is the host's. Of three logins, the fewest.
- System calls in the state folder: those that name `state_dir` or a path below it, or a descriptor that is open there, `close`
  included. The other modules have no such folder.
- pam_onelogin is measured as sshd runs it, after a key that was accepted. Its system calls are counted as sudo runs it, too, with
  the first factor assumed, and where `limits.failures` is 100 instead of 10: their number must not depend on the limits.
- pam_onelogin and the bare module trust the certificates of the system and the one of the test's CA, but where the row says one
  certificate. pam_duo trusts that one alone, as it is built with a short list of its own.
- pam_duo is Debian's, against a stand-in for Duo's service, with a passcode. On loopback it waits for its own small writes
  (Nagle's algorithm), which is not its computing.
- The bare module makes one TLS connection before the prompt and sends one request after it, and nothing else: no configuration,
  no checks, no files, no log.
";

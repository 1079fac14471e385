//! The tables, and the documents that hold them.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::{fs, io};

use time::OffsetDateTime;

use crate::measure::{Login, Push, SystemCalls};

/// What was measured of one module.
pub struct Row {
    /// What the tables call it.
    pub name: &'static str,
    /// The size of its file in bytes.
    pub size: u64,
    /// The libraries that it names.
    pub libraries: Vec<String>,
    /// Logins on loopback.
    pub near: Vec<Login>,
    /// Logins with 80 ms for a round trip.
    pub far: Vec<Login>,
    /// Instructions of one login; `None` where they cannot be counted here.
    pub instructions: Option<u64>,
    /// System calls of one login; `None` where they cannot be counted here.
    pub calls: Option<SystemCalls>,
    /// The same in sudo, for a module that is otherwise measured in sshd.
    pub calls_in_sudo: Option<SystemCalls>,
}

/// The rows that the targets speak of, and the others in their order.
pub struct Results {
    /// This module with the system's certificates, as it is used.
    pub ours: Row,
    /// `pam_duo` as sshd and as sudo.
    pub duo: Option<[Row; 2]>,
    /// All others.
    pub others: Vec<Row>,
    /// System calls of this module in sshd and sudo where `limits.failures` is 100.
    pub calls_with_more_failures: [Option<SystemCalls>; 2],
    /// A push.
    pub push: Push,
}

/// Median, and the quartiles around it.
#[derive(Clone, Copy, Debug, Default)]
struct Spread {
    low: f64,
    middle: f64,
    high: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |quarter: usize| {
            let index = values.len().saturating_sub(1) * quarter / 4;
            values.get(index).copied().unwrap_or_default()
        };
        Self {
            low: at(1),
            middle: at(2),
            high: at(3),
        }
    }

    fn text(self) -> String {
        format!(
            "{} ({} to {})",
            short(self.middle),
            short(self.low),
            short(self.high)
        )
    }
}

impl Row {
    fn spread(logins: &[Login], of: impl Fn(&Login) -> u64) -> Spread {
        let values = logins.iter().map(|login| thousandths(of(login)));
        Spread::of(values.collect())
    }

    fn processor(&self) -> Spread {
        Self::spread(&self.near, |login| login.cost.processor)
    }

    fn start(&self) -> Spread {
        Self::spread(&self.near, |login| login.cost.start)
    }

    /// In MB.
    fn memory(&self) -> Spread {
        Self::spread(&self.near, |login| login.memory * 1024 / 1000)
    }

    /// The counts of a login: those of the last, as the first had nothing to remember.
    fn counts(&self) -> Login {
        self.near.last().copied().unwrap_or_default()
    }

    fn millions(&self) -> Option<f64> {
        self.instructions.map(|count| thousandths(count / 1000))
    }

    fn millions_text(&self) -> String {
        self.millions().map_or_else(|| NONE.to_owned(), short)
    }

    /// System calls, in both hosts where both are known.
    fn calls_text(&self, of: fn(SystemCalls) -> Option<usize>) -> String {
        let text =
            |calls: SystemCalls| of(calls).map_or_else(|| NONE.to_owned(), |n| n.to_string());
        match (self.calls.map(text), self.calls_in_sudo.map(text)) {
            (Some(sshd), Some(sudo)) => in_both(sshd, &sudo),
            (Some(only), None) => only,
            (None, _) => NONE.to_owned(),
        }
    }

    fn to_prompt(logins: &[Login]) -> Spread {
        Self::spread(logins, |login| login.cost.to_prompt)
    }

    fn after_answer(logins: &[Login]) -> Spread {
        Self::spread(logins, |login| login.cost.after_answer)
    }
}

/// The libraries that a module names.
///
/// # Errors
/// When readelf cannot be run.
pub fn libraries(module: &Path) -> io::Result<Vec<String>> {
    let output = Command::new("readelf").arg("-d").arg(module).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let needed = text.lines().filter(|line| line.contains("(NEEDED)"));
    Ok(needed
        .filter_map(|line| Some(line.split_once('[')?.1.split_once(']')?.0.to_owned()))
        .collect())
}

/// The same cell for sshd and sudo.
fn in_both(sshd: String, sudo: &str) -> String {
    if sshd == sudo {
        return sshd;
    }
    format!("{sshd} (sshd), {sudo} (sudo)")
}

/// A line of the table of targets.
struct Goal {
    what: &'static str,
    theirs: String,
    ours: String,
    target: &'static str,
    /// `None` where there is no target.
    is_met: Option<bool>,
}

impl Results {
    /// What is counted.
    fn counted(&self) -> [Goal; 5] {
        let counts = self.ours.counts();
        let noticed = self.push.noticed.as_secs_f64();
        let of_counts = |of: fn(Login) -> usize| self.both(|row| of(row.counts()).to_string());
        [
            Goal {
                what: "requests, code, warm",
                theirs: of_counts(|login| login.requests),
                ours: counts.requests.to_string(),
                target: "1",
                is_met: Some(counts.requests <= 1),
            },
            Goal {
                what: "network round trips before the prompt",
                theirs: of_counts(|login| login.before_prompt),
                ours: counts.before_prompt.to_string(),
                target: "2",
                is_met: Some(counts.before_prompt <= 2),
            },
            Goal {
                what: "network round trips after Enter",
                theirs: of_counts(|login| login.after_answer),
                ours: counts.after_answer.to_string(),
                target: "1",
                is_met: Some(counts.after_answer <= 1),
            },
            Goal {
                what: "requests, push in sudo approved after 10 s, warm",
                theirs: NONE.to_owned(),
                ours: self.push.requests.to_string(),
                target: "≤ 6",
                is_met: Some(self.push.requests <= 6),
            },
            Goal {
                what: "an approval just after a poll is noticed within",
                theirs: NONE.to_owned(),
                ours: format!("{} s", short(noticed)),
                target: "2 s and a request",
                is_met: Some(noticed <= 2.1),
            },
        ]
    }

    /// System calls.
    fn calls(&self) -> [Goal; 3] {
        let of_all = |row: &Row| row.calls_text(|calls| Some(calls.all));
        let [more_in_sshd, more_in_sudo] = self.calls_with_more_failures;
        let in_state =
            |what, calls: Option<SystemCalls>, more: Option<SystemCalls>, target, most| {
                let count = calls.and_then(|calls| calls.in_state);
                let more = more.and_then(|calls| calls.in_state);
                Goal {
                    what,
                    theirs: NONE.to_owned(),
                    ours: match (count, more) {
                        (Some(count), Some(more)) => {
                            format!("{count}; {more} with `limits.failures = 100`")
                        }
                        _ => NONE.to_owned(),
                    },
                    target,
                    is_met: Some(
                        count
                            .zip(more)
                            .is_some_and(|(count, more)| count.max(more) <= most),
                    ),
                }
            };
        [
            Goal {
                what: "system calls",
                theirs: self.both(of_all),
                ours: of_all(&self.ours),
                target: NONE,
                is_met: None,
            },
            in_state(
                "system calls in the state folder, sshd",
                self.ours.calls,
                more_in_sshd,
                "≤ 24",
                24,
            ),
            in_state(
                "system calls in the state folder, sudo",
                self.ours.calls_in_sudo,
                more_in_sudo,
                "≤ 20",
                20,
            ),
        ]
    }

    /// What is measured.
    fn measured(&self) -> [Goal; 8] {
        let ours = &self.ours;
        let processor = ours.processor();
        let duos = self.duo.as_ref().map(|[sshd, _]| sshd.processor().middle);
        let share = duos.map(|duos| processor.middle / duos);
        let of_bare = self.share_of_bare();
        let system = ["libc.so", "libpam.so", "libgcc_s.so", "ld-linux"];
        let is_system = |name: &String| system.iter().any(|known| name.starts_with(known));
        [
            Goal {
                what: "computing, ms",
                theirs: self.sshd(|row| row.processor().text()),
                ours: processor.text(),
                target: "≤ 1.9",
                is_met: Some(processor.middle <= 1.9),
            },
            Goal {
                what: "computing, share of pam_duo's",
                theirs: self.sshd(|_| "1".to_owned()),
                ours: share.map_or_else(|| NONE.to_owned(), short),
                target: "≤ 0.25",
                is_met: Some(share.is_some_and(|share| share <= 0.25)),
            },
            Goal {
                what: "computing, share of the bare module's, both with one certificate",
                theirs: NONE.to_owned(),
                ours: of_bare.map_or_else(|| NONE.to_owned(), short),
                target: "≤ 1.3",
                is_met: Some(of_bare.is_some_and(|share| share <= 1.3)),
            },
            Goal {
                what: "instructions, million",
                theirs: self.sshd(Row::millions_text),
                ours: ours.millions_text(),
                target: "≤ 4.5",
                is_met: Some(ours.millions().is_some_and(|millions| millions <= 4.5)),
            },
            Goal {
                what: "most memory of the process, MB",
                theirs: self.sshd(|row| row.memory().text()),
                ours: ours.memory().text(),
                target: "≤ 4.5",
                is_met: Some(ours.memory().middle <= 4.5),
            },
            Goal {
                what: "`pam_start` with the module, ms",
                theirs: self.sshd(|row| row.start().text()),
                ours: ours.start().text(),
                target: "≤ 0.30",
                is_met: Some(ours.start().middle <= 0.3),
            },
            Goal {
                what: "the module, KiB",
                theirs: self.sshd(|row| (row.size / 1024).to_string()),
                ours: format!("{} ({} bytes)", ours.size / 1024, ours.size),
                target: "≤ 2048",
                is_met: Some(ours.size <= 2 << 20),
            },
            Goal {
                what: "libraries that it names",
                theirs: self.sshd(|row| row.libraries.join(", ")),
                ours: ours.libraries.join(", "),
                target: "libc (with its loader), libpam, libgcc_s",
                is_met: Some(ours.libraries.iter().all(is_system)),
            },
        ]
    }

    /// The computing of this module, as a share of the bare module's: both with one certificate.
    fn share_of_bare(&self) -> Option<f64> {
        let of = |name: &str| {
            let row = self.others.iter().find(|row| row.name == name)?;
            Some(row.processor().middle)
        };
        Some(of(OURS_WITH_ONE)? / of(BARE_WITH_ONE)?)
    }

    /// A cell about `pam_duo` as sshd.
    fn sshd(&self, cell: impl Fn(&Row) -> String) -> String {
        let duo = self.duo.as_ref();
        duo.map_or_else(|| NONE.to_owned(), |[sshd, _]| cell(sshd))
    }

    /// A cell about `pam_duo` in both hosts.
    fn both(&self, cell: impl Fn(&Row) -> String) -> String {
        let Some([sshd, sudo]) = &self.duo else {
            return NONE.to_owned();
        };
        in_both(cell(sshd), &cell(sudo))
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        let duo = self.duo.iter().flatten();
        std::iter::once(&self.ours).chain(duo).chain(&self.others)
    }
}

/// The table of targets.
pub fn targets(results: &Results) -> String {
    let mut text = String::from(
        "| one login | pam_duo | pam_onelogin | target | target met |\n|---|--:|--:|--:|---|\n",
    );
    let (counted, calls, measured) = (results.counted(), results.calls(), results.measured());
    for line in counted.iter().chain(&calls).chain(&measured) {
        let met = match line.is_met {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => NONE,
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {met} |",
            line.what, line.theirs, line.ours, line.target
        );
    }
    text
}

/// The table of all modules.
pub fn comparison(results: &Results) -> String {
    let mut text = String::from(
        "| module | requests | round trips before the prompt, after Enter | computing, ms | instructions, million | system calls \
         | system calls in the state folder | most memory, MB | `pam_start`, ms | to the prompt, ms | after Enter, ms \
         | the same with 80 ms a round trip | module, KiB |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for row in results.rows() {
        let counts = row.counts();
        let _ = writeln!(
            text,
            "| {} | {} | {}, {} | {} | {} | {} | {} | {} | {} | {} | {} | {} + {} | {} |",
            row.name,
            counts.requests,
            counts.before_prompt,
            counts.after_answer,
            row.processor().text(),
            row.millions_text(),
            row.calls_text(|calls| Some(calls.all)),
            row.calls_text(|calls| calls.in_state),
            row.memory().text(),
            row.start().text(),
            Row::to_prompt(&row.near).text(),
            Row::after_answer(&row.near).text(),
            short(Row::to_prompt(&row.far).middle),
            short(Row::after_answer(&row.far).middle),
            row.size / 1024,
        );
    }
    text
}

/// What the tables call this module with one certificate.
pub const OURS_WITH_ONE: &str = "pam_onelogin with one certificate";

/// What the tables call the bare module with one certificate: it stands below the bare module.
pub const BARE_WITH_ONE: &str = "… with one certificate";

/// A cell without a figure.
const NONE: &str = "–";

/// When and where this runs.
pub fn here(logins: usize) -> String {
    let field = |path: &str, name: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let found = text.lines().find_map(|line| line.strip_prefix(name));
        let found = found
            .unwrap_or("=unknown")
            .trim_start_matches([' ', '\t', ':', '=']);
        found.trim_matches('"').to_owned()
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "Measured on {} by `make bench`: {}, {processors} processors, {}.\nMedians (and quartiles) of {logins} logins \
         each, one login of each module, then the next of each.",
        OffsetDateTime::now_utc().date(),
        field("/proc/cpuinfo", "model name"),
        field("/etc/os-release", "PRETTY_NAME"),
    )
}

/// Puts a text between `<!-- NAME -->` and `<!-- /NAME -->` of a document.
///
/// # Errors
/// When the document has no such marks, or cannot be read or written.
pub fn insert(document: &Path, name: &str, text: &str) -> io::Result<()> {
    let old = fs::read_to_string(document)?;
    let (before, rest) = split(&old, &format!("<!-- {name} -->\n"))?;
    let end = format!("<!-- /{name} -->");
    let (_, after) = split(rest, &end)?;
    let new = format!("{before}<!-- {name} -->\n{text}{end}{after}");
    fs::write(document, new)
}

fn split<'a>(text: &'a str, mark: &str) -> io::Result<(&'a str, &'a str)> {
    let fault = || io::Error::other(format!("no {mark:?} in the document"));
    text.split_once(mark).ok_or_else(fault)
}

/// A number with commas.
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three digits, more or less.
fn short(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[allow(clippy::cast_precision_loss, reason = "figures of three digits")]
fn thousandths(value: u64) -> f64 {
    value as f64 / 1000.0
}

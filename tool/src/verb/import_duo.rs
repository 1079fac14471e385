//! `import-duo [FILE]`: converts a configuration of `pam_duo` or `login_duo` into one for `pam_onelogin`, each
//! line with its origin. Keys and secrets belong to Duo: they are neither copied nor shown.

mod ini;

use crate::host::files::output::Output;
use crate::outcome::{Exit, Failure};
use crate::ui::console::{Paint, paint};
use crate::verb::Context;
use clap::Args;
use ini::{Line, Wrong};
use pam_onelogin::config::Proxy;
use pam_onelogin::group::PatternList;
use pam_onelogin::text::clean;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What to read, and where to write.
#[derive(Args)]
#[command(after_help = "\
Keys and secrets of Duo are not copied. Standard error lists what is left to do.
Without FILE, the command reads the first of these that exists: /etc/duo/pam_duo.conf,
/etc/security/pam_duo.conf, /etc/duo/login_duo.conf, /etc/security/login_duo.conf.")]
pub(crate) struct Options {
    /// Configuration file of Duo: of its PAM module or of its login program
    file: Option<PathBuf>,
    /// Write the result to this new file, with mode 0600 [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The result for machines.
#[derive(Serialize)]
struct Document<'a> {
    file: &'a str,
    output: Option<String>,
    toml: &'a str,
    lines: &'a [Told],
    to_do: &'a [String],
}

/// What a line is converted to.
#[derive(Serialize)]
struct Told {
    line: usize,
    key: String,
    /// Our line; `None` without a counterpart.
    becomes: Option<String>,
    note: String,
}

/// The mode of the result, which will hold a secret.
const MODE: u32 = 0o600;

/// Turns it into ours.
pub(crate) fn run(context: &Context, options: &Options) -> Result<Exit, Failure> {
    let file = match &options.file {
        Some(file) => file.clone(),
        None => usual()?,
    };
    let place = shown(&file);
    let lines = ini::read(&file).map_err(|faults| {
        let faults = faults.into_iter().map(|fault| match fault {
            Wrong::File(text) => format!("{place}: {text}"),
            Wrong::Line(line, text) => format!("{place}:{line}: {text}"),
        });
        Failure(faults.collect())
    })?;
    let imported = Imported::of(&place, &lines).map_err(|faults| {
        Failure(
            faults
                .iter()
                .map(|(line, text)| format!("{place}:{line}: {text}"))
                .collect(),
        )
    })?;
    let toml = imported.toml(&place);
    let console = &context.console;
    match &options.output {
        None => console.say(toml.trim_end()),
        Some(path) => {
            if !Output::at(path)?.create(toml.as_bytes(), MODE)? {
                return Err(Failure::new(format!(
                    "{} exists already; pass another file, and compare the two",
                    path.display()
                )));
            }
            console.note(&format!("{}: written.", shown(path)));
        }
    }
    for sentence in &imported.to_do {
        console.note(&format!("{} {sentence}", paint(Paint::Warning, "to do:")));
    }
    console.document(&Document {
        file: &place,
        output: options.output.as_deref().map(shown),
        toml: &toml,
        lines: &imported.told,
        to_do: &imported.to_do,
    });
    Ok(Exit::Good)
}

fn shown(path: &Path) -> String {
    clean(&path.display().to_string(), CHARS)
}

/// The first file of Duo's that is there.
fn usual() -> Result<PathBuf, Failure> {
    let mut there = USUAL.iter().map(PathBuf::from).filter(|path| path.exists());
    there.next().ok_or_else(|| {
        Failure::new(format!(
            "none of these files exists: {}; pass the file",
            USUAL.join(", ")
        ))
    })
}

/// A line of ours.
struct Ours {
    /// The line of Duo's that it comes from.
    from: usize,
    text: String,
    note: &'static str,
}

/// What is known of ours by now.
#[derive(Default)]
struct Imported {
    onelogin: Vec<Ours>,
    users: Vec<Ours>,
    factors: Vec<Ours>,
    failmode: Option<Ours>,
    groups: Vec<(usize, String)>,
    /// What is left out, as comments.
    left_out: Vec<(usize, String)>,
    told: Vec<Told>,
    to_do: Vec<String>,
}

type Faults = Vec<(usize, String)>;

impl Imported {
    fn of(place: &str, lines: &[Line]) -> Result<Self, Faults> {
        let mut imported = Self::default();
        imported
            .to_do
            .push("fill in url, client_id and client_secret".to_owned());
        let mut faults = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            let later = lines.get(at + 1..).unwrap_or_default();
            let is_list = matches!(line.key.as_str(), "group" | "groups");
            match later.iter().find(|later| later.key == line.key) {
                // The smallest number of prompts holds, the last of all else.
                Some(later) if !is_list && line.key != "prompts" => {
                    let text = format!("line {} sets it again", later.number);
                    imported.leave_out(line, &text);
                }
                _ => {
                    if let Err(text) = imported.take(place, line) {
                        faults.push((line.number, text));
                    }
                }
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        imported.finish();
        Ok(imported)
    }

    fn take(&mut self, place: &str, line: &Line) -> Result<(), String> {
        let value = line.value.as_str();
        match line.key.as_str() {
            "ikey" => self.leave_out(line, "not copied; onelogin.client_id replaces it"),
            "skey" => self.leave_out(line, "not copied; onelogin.client_secret replaces it"),
            "host" => self.leave_out(line, "not copied; onelogin.url replaces it"),
            "cafile" => self.leave_out(
                line,
                "for Duo's server; onelogin.ca_file is needed only for a proxy that inspects TLS",
            ),
            "http_proxy" => self.proxy(place, line),
            "group" | "groups" => self.groups(place, line),
            "failmode" => self.failmode(place, line)?,
            "autopush" => {
                let ours = self.ours(line, format!("autopush = {}", is_yes(value)), SAME);
                self.factors.push(ours);
            }
            "prompts" => self.prompts(line)?,
            "https_timeout" => self.timeout(line)?,
            "send_gecos" if is_yes(value) => {
                self.leave_out(
                    line,
                    "users can edit GECOS; users.map_file lists names that differ",
                );
                self.to_do.push(format!(
                    "{place}:{}: Duo takes names from GECOS; write the names that differ into users.map_file",
                    line.number
                ));
            }
            "noverify" if is_yes(value) => {
                self.leave_out(line, "pam_onelogin always verifies certificates");
            }
            key => match WITHOUT_COUNTERPART.iter().find(|(known, _)| *known == key) {
                Some((_, why)) => self.leave_out(line, why),
                None => return Err(unknown(key)),
            },
        }
        Ok(())
    }

    fn proxy(&mut self, place: &str, line: &Line) {
        let text = if line.value.contains("://") {
            line.value.clone()
        } else {
            Zeroizing::new(format!("http://{}", *line.value))
        };
        let number = line.number;
        match Proxy::parse(&text) {
            Ok(proxy) => {
                let text = format!("http_proxy = \"http://{}:{}\"", proxy.host, proxy.port);
                let ours = self.ours(line, text, "without user and password");
                self.onelogin.push(ours);
                if proxy.credential.is_some() {
                    self.to_do.push(format!(
                        "{place}:{number}: the user and password of the proxy are not copied; write them before its host, as in http://USER:PASSWORD@HOST:PORT"
                    ));
                }
            }
            Err(why) => {
                self.leave_out(line, &format!("onelogin.http_proxy {why}"));
                self.to_do.push(format!(
                    "{place}:{number}: the proxy could not be converted; write onelogin.http_proxy"
                ));
            }
        }
    }

    fn groups(&mut self, place: &str, line: &Line) {
        for list in ini::words(&line.value) {
            let list = clean(&list, CHARS);
            let patterns: Vec<_> = list.split(',').map(with_spaces).collect();
            let list = patterns.join(",");
            match PatternList::parse(&list) {
                Ok(_) => self.groups.push((line.number, list.clone())),
                Err(misfit) => {
                    let text = format!(
                        "{place}:{}: groups: {} {misfit}",
                        line.number,
                        quoted(&list)
                    );
                    self.left_out
                        .push((line.number, format!("groups: {} {misfit}", quoted(&list))));
                    self.to_do.push(text);
                }
            }
        }
        self.tell(line, Some("groups, in [users]".to_owned()), GROUPS);
    }

    fn failmode(&mut self, place: &str, line: &Line) -> Result<(), String> {
        let note = match line.value.as_str() {
            "secure" => SAME,
            "safe" => {
                self.to_do.push(format!(
                    "{place}:{}: failmode = safe became failmode = \"secure\", which also denies logins during an outage of OneLogin. {SAFE_INSTEAD}",
                    line.number
                ));
                "NOT AS WITH DUO: \"safe\" needs networks here; this line also denies logins during an outage"
            }
            _ => return Err("failmode must be \"safe\" or \"secure\"".to_owned()),
        };
        let mut ours = self.ours(line, SECURE.to_owned(), note);
        if note != SAME {
            ours.text.insert_str(0, SAFE_LINES);
        }
        self.failmode = Some(ours);
        Ok(())
    }

    fn prompts(&mut self, line: &Line) -> Result<(), String> {
        let number: i64 = number(line)?;
        let text = format!("prompts = {}", number.clamp(1, 3));
        let is_prompts = |ours: &Ours| ours.text.starts_with("prompts");
        if (self.factors.iter()).any(|ours| is_prompts(ours) && ours.text < text) {
            self.leave_out(line, "a line above sets a smaller number");
            return Ok(());
        }
        self.factors.retain(|ours| !is_prompts(ours));
        let ours = self.ours(line, text, "1 to 3, as with Duo");
        self.factors.push(ours);
        Ok(())
    }

    fn timeout(&mut self, line: &Line) -> Result<(), String> {
        match number(line)? {
            none if none <= 0 => self.leave_out(
                line,
                "pam_onelogin always has a time limit; the default is 10 s",
            ),
            seconds => {
                let text = format!("request_timeout = {}", seconds.min(MOST_SECONDS));
                let note = "for one request; login_timeout limits the whole login";
                let ours = self.ours(line, text, note);
                self.onelogin.push(ours);
            }
        }
        Ok(())
    }

    /// What no line of the file sets.
    fn finish(&mut self) {
        if !self.groups.is_empty() {
            let lists: Vec<_> = self.groups.iter().map(|(_, list)| quoted(list)).collect();
            self.users.push(Ours {
                from: self.groups.first().map_or(0, |(line, _)| *line),
                text: format!("groups = [{}]", lists.join(", ")),
                note: GROUPS,
            });
        }
        if self.failmode.is_none() {
            self.to_do.push(format!(
                "failmode is not set, so Duo accepted every login when its service could not be reached (its default is safe). pam_onelogin does NOT: failmode = \"secure\". Make sure that an administrator can log in at the console. {SAFE_INSTEAD}"
            ));
        }
        self.to_do.push(
            "remove pam_duo.so from the stacks in /etc/pam.d, and login_duo (ForceCommand) from sshd_config"
                .to_owned(),
        );
    }

    /// What a line becomes.
    fn ours(&mut self, line: &Line, text: String, note: &'static str) -> Ours {
        self.tell(line, Some(text.clone()), note);
        Ours {
            from: line.number,
            text,
            note,
        }
    }

    fn leave_out(&mut self, line: &Line, why: &str) {
        self.left_out
            .push((line.number, format!("{}: {why}", line.key)));
        self.tell(line, None, why);
    }

    fn tell(&mut self, line: &Line, becomes: Option<String>, note: &str) {
        self.told.push(Told {
            line: line.number,
            key: line.key.clone(),
            becomes,
            note: note.to_owned(),
        });
    }

    /// The configuration.
    fn toml(&self, place: &str) -> String {
        let mut text = format!(
            "# Converted from {place} by pam-onelogin import-duo. Fill in the three lines after FILL IN, then type:\n# pam-onelogin check\n\n"
        );
        match &self.failmode {
            Some(ours) => section(&mut text, place, std::slice::from_ref(ours)),
            None => {
                let _ = writeln!(
                    text,
                    "# NOT AS WITH DUO: its default is \"safe\", which accepts every login when its service cannot be reached.\n{SAFE_LINES}{SECURE}"
                );
            }
        }
        text.push_str(FILL_IN);
        section(&mut text, place, &self.onelogin);
        for (name, lines) in [("users", &self.users), ("factors", &self.factors)] {
            if !lines.is_empty() {
                let _ = writeln!(text, "\n[{name}]");
                section(&mut text, place, lines);
            }
        }
        if !self.left_out.is_empty() {
            text.push_str("\n# Options without a counterpart in pam_onelogin:\n");
            for (line, note) in &self.left_out {
                let _ = writeln!(text, "# {place}:{line}: {note}");
            }
        }
        text
    }
}

fn section(text: &mut String, place: &str, lines: &[Ours]) {
    for Ours {
        from,
        text: line,
        note,
    } in lines
    {
        let _ = writeln!(text, "# {place}:{from}: {note}\n{line}");
    }
}

/// The option itself is shown only if it cannot be part of a key that was split into two lines.
fn unknown(key: &str) -> String {
    let is_word = key.len() <= 30 && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let option = if is_word {
        quoted(key)
    } else {
        "this".to_owned()
    };
    format!(
        "{option} is not an option of pam_duo or login_duo; Duo ignores this and all later lines"
    )
}

fn number(line: &Line) -> Result<i64, String> {
    let wrong = |_| format!("{} must be a whole number", line.key);
    line.value.parse().map_err(wrong)
}

/// Whether Duo reads this value as yes; it reads every other value as no.
fn is_yes(value: &str) -> bool {
    matches!(value, "yes" | "true" | "on" | "1")
}

/// A pattern of a list of groups. A space in a name stays; in a pattern with wildcards it becomes `?`.
fn with_spaces(pattern: &str) -> String {
    if pattern.contains(['*', '?']) {
        pattern.replace(' ', "?")
    } else {
        pattern.to_owned()
    }
}

/// A text in quotes. A JSON string is valid TOML once control characters are removed.
fn quoted(text: &str) -> String {
    serde_json::to_string(&clean(text, CHARS)).unwrap_or_default()
}

/// Options without a counterpart, and the reason.
const WITHOUT_COUNTERPART: [(&str, &str); 11] = [
    (
        "pushinfo",
        "OneLogin's pushes cannot show a text of this host",
    ),
    (
        "accept_env_factor",
        "the factor is never read from the environment, which the user controls",
    ),
    ("fallback_local_ip", "no address is sent to OneLogin"),
    ("send_gecos", "names are never taken from GECOS"),
    ("gecos_parsed", "names are never taken from GECOS"),
    ("gecos_delim", "names are never taken from GECOS"),
    ("gecos_username_pos", "names are never taken from GECOS"),
    ("motd", "only for login_duo; sshd or pam_motd shows it"),
    ("verified_push", "OneLogin's API has no number matching"),
    ("noverify", "pam_onelogin always verifies certificates"),
    ("dev_fips_mode", "only for Duo's own tests"),
];

const SAME: &str = "same meaning";

/// Our line, whatever Duo's line is: `safe` needs networks, which no Duo configuration has.
const SECURE: &str = "failmode = \"secure\"";

/// The comment before [`SECURE`] if Duo's failmode is safe. The network is reserved for documentation, so that
/// these lines accept no login before an administrator edits them.
const SAFE_LINES: &str = "\
# To accept SSH logins during an outage of OneLogin, write these two lines instead. Replace the network with the
# networks that your users log in from. See \"WHEN ONELOGIN IS DOWN\" in pam_onelogin(8).
# failmode = \"safe\"
# failmode_from = [\"192.0.2.0/24\"]
";

/// The same for standard error.
const SAFE_INSTEAD: &str = "To accept SSH logins during an outage, write failmode = \"safe\" and failmode_from = [\"192.0.2.0/24\"] instead, with the networks that your users log in from; \"safe\" never applies to sudo and su";
const GROUPS: &str =
    "each string is one of Duo's lists; a group that does not exist denies every user";

/// The usual places of Duo's files, and those of Debian's package; the file of the module first.
const USUAL: [&str; 4] = [
    "/etc/duo/pam_duo.conf",
    "/etc/security/pam_duo.conf",
    "/etc/duo/login_duo.conf",
    "/etc/security/login_duo.conf",
];

const FILL_IN: &str = "
[onelogin]
# FILL IN: the address of your tenant.
#url = \"https://example.onelogin.com\"
# FILL IN: the API credential (Administration > Developers > API Credentials).
#client_id = \"\"
# FILL IN: its secret, or client_secret_file = \"/etc/pam_onelogin/secret\".
#client_secret = \"\"
";

/// The longest text of the file that is shown, in characters.
const CHARS: usize = 200;

/// A request must end before the login does, `onelogin.login_timeout`.
const MOST_SECONDS: i64 = 55;

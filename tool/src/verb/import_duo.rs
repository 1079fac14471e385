//! `import-duo [FILE]`: a configuration of `pam_duo` or `login_duo` becomes one of ours, each line with where it
//! comes from. Its keys and secrets are Duo's: they are neither copied nor shown.

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

/// What became of a line.
#[derive(Serialize)]
struct Told {
    line: usize,
    key: String,
    /// Our line; none where there is no counterpart.
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
                    "{} is there already; name another file, and compare",
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
            "there is none of {}; name the file",
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
                    let text = format!("line {} says it anew", later.number);
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
            "ikey" => self.leave_out(line, "Duo's; onelogin.client_id takes its place. Not copied"),
            "skey" => self.leave_out(line, "Duo's; onelogin.client_secret takes its place. Not copied"),
            "host" => self.leave_out(line, "Duo's; onelogin.url takes its place"),
            "cafile" => self.leave_out(
                line,
                "for Duo's host; onelogin.ca_file is for a proxy that looks into TLS, and rarely needed",
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
                self.leave_out(line, "a user may edit GECOS; names that differ stand in users.map_file");
                self.to_do.push(format!(
                    "{place}:{}: Duo's names come from GECOS; write those that differ into users.map_file",
                    line.number
                ));
            }
            "noverify" if is_yes(value) => {
                self.leave_out(line, "certificates are always verified here");
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
                        "{place}:{number}: the proxy's user and password are not copied; write them before its host"
                    ));
                }
            }
            Err(why) => {
                self.leave_out(line, &format!("ours {why}"));
                self.to_do.push(format!(
                    "{place}:{number} names a proxy, which could not be read: write onelogin.http_proxy"
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
                    "{place}:{} is failmode = safe: ours became \"secure\", which denies during an outage of OneLogin, too. {SAFE_INSTEAD}",
                    line.number
                ));
                "NOT AS THERE: \"safe\" needs networks here; until then this denies during an outage, too"
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
            self.leave_out(line, "a smaller number stands above");
            return Ok(());
        }
        self.factors.retain(|ours| !is_prompts(ours));
        let ours = self.ours(line, text, "1 to 3, as there");
        self.factors.push(ours);
        Ok(())
    }

    fn timeout(&mut self, line: &Line) -> Result<(), String> {
        match number(line)? {
            none if none <= 0 => self.leave_out(line, "there is always a time limit here, 10 s"),
            seconds => {
                let text = format!("request_timeout = {}", seconds.min(MOST_SECONDS));
                let note = "for one request; login_timeout ends all of them";
                let ours = self.ours(line, text, note);
                self.onelogin.push(ours);
            }
        }
        Ok(())
    }

    /// What no line said.
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
                "Duo let everybody in when its service was out of reach (failmode was not set, and its default is safe). Ours does NOT: failmode = \"secure\". Make sure that somebody gets in at the console. {SAFE_INSTEAD}"
            ));
        }
        self.to_do.push(
            "take pam_duo.so out of the stacks in /etc/pam.d, login_duo out of sshd_config (ForceCommand)"
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
            "# From {place}, by pam-onelogin import-duo. Fill in the three lines with FILL IN, then type:\n# pam-onelogin check\n\n"
        );
        match &self.failmode {
            Some(ours) => section(&mut text, place, std::slice::from_ref(ours)),
            None => {
                let _ = writeln!(
                    text,
                    "# NOT AS WITH DUO: its default is \"safe\", which lets everybody in when its service is out of reach.\n{SAFE_LINES}{SECURE}"
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
            text.push_str("\n# Without a counterpart here:\n");
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

/// The option itself is shown where it cannot be a part of a key that was broken into two lines.
fn unknown(key: &str) -> String {
    let is_word = key.len() <= 30 && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let option = if is_word {
        quoted(key)
    } else {
        "this".to_owned()
    };
    format!("{option} is no option of pam_duo or login_duo; Duo ignores each line from here on")
}

fn number(line: &Line) -> Result<i64, String> {
    let wrong = |_| format!("{} must be a whole number", line.key);
    line.value.parse().map_err(wrong)
}

/// As Duo reads it: everything else is no.
fn is_yes(value: &str) -> bool {
    matches!(value, "yes" | "true" | "on" | "1")
}

/// A pattern of a list of groups. A space in a name stands for itself; beside a wildcard `?` stands for it.
fn with_spaces(pattern: &str) -> String {
    if pattern.contains(['*', '?']) {
        pattern.replace(' ', "?")
    } else {
        pattern.to_owned()
    }
}

/// A text in quotes. Those of JSON are good TOML once control characters are gone.
fn quoted(text: &str) -> String {
    serde_json::to_string(&clean(text, CHARS)).unwrap_or_default()
}

/// Options for which there is nothing here, and why.
const WITHOUT_COUNTERPART: [(&str, &str); 11] = [
    ("pushinfo", "OneLogin's pushes carry no text of a host"),
    (
        "accept_env_factor",
        "no factor is taken from the environment, which is the user's",
    ),
    ("fallback_local_ip", "OneLogin is not told an address"),
    ("send_gecos", "names are never taken from GECOS"),
    ("gecos_parsed", "names are never taken from GECOS"),
    ("gecos_delim", "names are never taken from GECOS"),
    ("gecos_username_pos", "names are never taken from GECOS"),
    ("motd", "login_duo's; sshd and pam_motd show it"),
    ("verified_push", "OneLogin's API has no number to compare"),
    ("noverify", "certificates are always verified here"),
    ("dev_fips_mode", "Duo's own tests"),
];

const SAME: &str = "the same";

/// Our line, whatever Duo's is: `safe` needs networks, which no file of Duo's has.
const SECURE: &str = "failmode = \"secure\"";

/// What stands before [`SECURE`] where Duo lets in. The network is one for documents, so that nobody gets in by
/// these lines before they are filled in.
const SAFE_LINES: &str = "\
# To let in during an outage of OneLogin, write these two lines instead. failmode_from needs the networks that
# people log in from by ssh, in place of this one; pam_onelogin(8) says what an outage is.
# failmode = \"safe\"
# failmode_from = [\"192.0.2.0/24\"]
";

/// The same for standard error.
const SAFE_INSTEAD: &str = "To let in then, write failmode = \"safe\" and failmode_from = [\"192.0.2.0/24\"] instead, with the networks that people log in from by ssh; it never applies in sudo and su";
const GROUPS: &str = "each text is one of Duo's lists; a group that is not there denies everybody";

/// Where Duo's files are, and where Debian's package has them; the module's first.
const USUAL: [&str; 4] = [
    "/etc/duo/pam_duo.conf",
    "/etc/security/pam_duo.conf",
    "/etc/duo/login_duo.conf",
    "/etc/security/login_duo.conf",
];

const FILL_IN: &str = "
[onelogin]
# FILL IN: your tenant's address.
#url = \"https://example.onelogin.com\"
# FILL IN: the API credential (Administration, Developers, API Credentials).
#client_id = \"\"
# FILL IN: its secret, or client_secret_file = \"/etc/pam_onelogin/secret\".
#client_secret = \"\"
";

/// The longest text of the file that is shown, in characters.
const CHARS: usize = 200;

/// A request must end before the login does, `onelogin.login_timeout`.
const MOST_SECONDS: i64 = 55;

//! Plays a story through the product, from the settings to the log line, and judges each call on its
//! way and the end by rules of its own.

mod calls;
mod end;
mod healthy;
mod ports;

use crate::reading;
use crate::story::{Host, Story};
use calls::Sent;
use pam_onelogin::api::ApiTrouble;
use pam_onelogin::config::dates::Dates;
use pam_onelogin::config::file::Secrets;
use pam_onelogin::config::{self, Access, Config, FirstFactor, SecretSource};
use pam_onelogin::denials::Denials;
use pam_onelogin::digest;
use pam_onelogin::id::UserId;
use pam_onelogin::log::{self, Facts};
use pam_onelogin::login::{
    ApprovalWait, Denial, Fault, Login, Memory as _, Outcome, Report, Unknown,
};
use pam_onelogin::map::{Entries, Map};
use pam_onelogin::onelogin::OneLogin;
use pam_onelogin::outage::{Here, SafePlace};
use pam_onelogin::secret::Secret;
use pam_onelogin::state::State;
use pam_onelogin::state::user_memory::{self, Action, UserMemory};
use pam_onelogin::trust::Trusted;
use pam_onelogin::user::{Proof, Request, Uids, Who, who};
use pam_onelogin::verdict::{self, Circumstances, Verdict};
use ports::{Person, Tape};
use std::cell::{Cell, RefCell};
use std::os::unix::fs::PermissionsExt as _;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What an admin writes at least. `%config` adds to it. Nothing is believed of a login before: each one asks, so that its
/// script says everything that it may rest on.
const LEAST: &str = "onelogin.url = \"https://x.onelogin.com\"\nonelogin.client_id = \"client-1\"\nonelogin.client_secret = \"secret-kept-from-logs\"\nusers.cache = 0\n";

/// The secret above.
const SECRET: &str = "secret-kept-from-logs";

/// The access token, where the story has no other.
const TOKEN: &str = "token-kept-from-logs";

/// The accounts of this host.
const ACCOUNTS: [(&str, u32); 3] = [("root", 0), ("alice", 1001), ("bob", 1002)];

/// The groups of this host, and who is in them.
const GROUPS: [(&str, &str); 2] = [("staff", "bob"), ("ops", "alice")];

/// The day of each story is 2027-01-15.
const DATES: Dates = Dates {
    now: 1_800_000_000,
    changed: 0,
};

/// The uid of who calls sudo and su.
const CALLER: u32 = 1001;

/// The one connection of each story.
const CONNECTION: &str = "192.0.2.7 5 192.0.2.1 22";

/// The clock of what is remembered: it stands still.
/// The end of a login for which OneLogin is not asked.
fn without_onelogin(outcome: Outcome) -> Report {
    Report {
        outcome,
        onelogin_id: None,
        factor: None,
        denial_unrecorded: false,
        held_back: None,
        odd_devices: 0,
        without_offline_code: None,
        not_safe: None,
        removed_offline_codes: 0,
    }
}

#[allow(clippy::unnecessary_wraps)] // as the user_memory wants it
pub(crate) fn boot_clock() -> Option<i64> {
    Some(BOOTED)
}

/// How long ago the machine was started, in seconds.
pub(crate) const BOOTED: i64 = 1_000_000;

/// More calls than any login makes.
const TOO_MANY: usize = 400;

/// A login, from the settings to the log line.
pub fn story(data: &[u8]) {
    let _ = played(data);
}

/// As [`story`]: what the log says of it, if the configuration has no faults.
pub fn played(data: &[u8]) -> Option<String> {
    let story = Story::read(data);
    let settings = Settings::of(&story)?;
    FOLDER.with(|folder| {
        let state = folder.open(story.shut);
        assert_eq!(
            state.trouble().is_some(),
            story.shut,
            "the folder of the state"
        );
        if let Some(stored) = &story.stored {
            let origin = settings.config.onelogin.origin.as_str();
            let name = digest::name(&[origin, settings.config.onelogin.access.name()]);
            let name = format!("token-{name}");
            let _ = state.write(&name, stored);
        }
        let judge = Judge::new(&settings, story.clone());
        let end = judge.login(&state);
        judge.verdict(&end);
        if !story.shut {
            judge.run_again(story, &state, &end.report.outcome);
        }
        Some(end.line)
    })
}

/// What files and arguments come to.
struct Settings {
    config: Config,
    secrets: Secrets,
    map: Map,
    request: Request,
    uids: Uids,
}

impl Settings {
    /// `None` where the configuration has faults: nobody gets further.
    fn of(story: &Story) -> Option<Self> {
        let text = format!("{LEAST}{}", story.config);
        let mut config = config::parse("config", &text).ok()?;
        // `LEAST` has a credential, so a certificate beside it is a fault.
        let Access::Credentials { verify, lookup } = &mut config.onelogin.access else {
            unreachable!("a credential and a certificate");
        };
        let verify = secret(&mut verify.client_secret)?;
        let lookup = match lookup {
            Some(lookup) => Some(secret(&mut lookup.client_secret)?),
            None => None,
        };
        let map = match (&config.users.map_file, &config.users.attribute) {
            (None, _) => Map::default(),
            (Some(_), Some(_)) => Map::parse("map", &story.map, Entries::NamesAndIds).ok()?,
            (Some(_), None) => Map::parse("map", &story.map, Entries::Ids).ok()?,
        };
        let is_setuid = matches!(story.host, Host::Sudo | Host::Su);
        let service = match story.host {
            Host::Key | Host::Ssh => "sshd",
            Host::Sudo => "sudo",
            Host::Su => "su",
            Host::Login => "login",
        };
        let request = Request {
            user: Some(story.who.clone().unwrap_or_else(|| "alice".to_owned())),
            service: service.to_owned(),
            tty: (story.host != Host::Su).then(|| "/dev/pts/7".to_owned()),
            ssh_connection: matches!(story.host, Host::Key | Host::Ssh)
                .then(|| CONNECTION.to_owned()),
            ssh_auth_info: story.host == Host::Key,
            ssh_key: story.host == Host::Key,
            password: story.password.clone().map(Secret::new),
            ..Request::default()
        };
        let uids = Uids {
            real: if is_setuid { CALLER } else { 0 },
            effective: 0,
            saved: 0,
        };
        Some(Self {
            config,
            secrets: Secrets { verify, lookup },
            map,
            request,
            uids,
        })
    }
}

fn secret(source: &mut SecretSource) -> Option<Secret> {
    let nothing = SecretSource::Inline(Secret::new(String::new()));
    match std::mem::replace(source, nothing) {
        SecretSource::Inline(secret) => Some(secret),
        SecretSource::File(_) => None,
    }
}

/// How a story ended.
struct End {
    report: Report,
    verdict: Verdict,
    line: String,
}

/// One call and what it got.
struct RequestTrace {
    sent: Sent,
    status: Option<u16>,
    trouble: Option<ApiTrouble>,
    body: Vec<u8>,
}

/// Plays OneLogin, the person and the clock of one story, and looks at each call.
struct Judge<'a> {
    settings: &'a Settings,
    story: RefCell<Story>,
    input: Story,
    traces: RefCell<Vec<RequestTrace>>,
    /// OneLogin users that a reply has named as ours.
    users: RefCell<Vec<String>>,
    /// Devices that a reply has listed: user, id, `auth_factor_name`.
    devices: RefCell<Vec<(String, String, String)>>,
    /// Verifications that were begun: user, device, id.
    begun: RefCell<Vec<(String, String, String)>>,
    codes: RefCell<Vec<String>>,
    /// A code that was accepted before.
    spent: RefCell<Option<String>>,
    /// What was typed last, without blanks, while it has not been sent.
    typed: RefCell<Option<String>>,
    start: Instant,
    now: Cell<Duration>,
    typed_at: Cell<Duration>,
    activated_at: Cell<Duration>,
    waits: Cell<usize>,
    prompts: Cell<usize>,
    /// Activations since the last answer.
    activations: Cell<usize>,
    /// Activations that send something to somebody, and registrations.
    loud: Cell<usize>,
    registrations: Cell<usize>,
    sent_anything: Cell<bool>,
    works: Cell<bool>,
    /// What the PAM handle keeps.
    denials: Rc<Denials>,
}

impl<'a> Judge<'a> {
    fn new(settings: &'a Settings, story: Story) -> Self {
        Self {
            settings,
            input: story.clone(),
            works: Cell::new(!story.shut),
            story: RefCell::new(story),
            traces: RefCell::default(),
            users: RefCell::default(),
            devices: RefCell::default(),
            begun: RefCell::default(),
            codes: RefCell::default(),
            spent: RefCell::default(),
            typed: RefCell::default(),
            start: Instant::now(),
            now: Cell::default(),
            typed_at: Cell::default(),
            activated_at: Cell::default(),
            waits: Cell::default(),
            prompts: Cell::default(),
            activations: Cell::default(),
            loud: Cell::default(),
            registrations: Cell::default(),
            sent_anything: Cell::default(),
            denials: Rc::default(),
        }
    }

    fn calls(&self) -> usize {
        self.traces.borrow().len()
    }

    /// Plays the login as `module.rs` puts it together.
    fn login(&self, state: &State) -> End {
        let Settings {
            config,
            secrets,
            map,
            request,
            uids,
        } = self.settings;
        let (found, proof) = who(request, config, map, DATES, self);
        let name = match &found {
            Who::Subject(subject) => {
                assert_eq!(
                    Some(subject.name.as_str()),
                    self.subject(),
                    "whose factor it is"
                );
                subject.name.clone()
            }
            Who::Exempt { name, .. } => name.clone(),
            Who::NoAccount | Who::Unclear(_) | Who::NoSuchGroup(_) => {
                request.user.clone().unwrap_or_default()
            }
        };
        let action = match &request.ssh_connection {
            Some(connection) => Action::Connection(connection.clone()),
            None => Action::Handle(Some(&self.denials)),
        };
        let person = user_memory::Person {
            name: &name,
            uid: ports::account(|account| account.0 == name).map(|account| account.uid),
            proof,
            origin: None,
        };
        let mut user_memory = UserMemory::of(state, config, action, &person);
        let mut tape = Tape(self);
        let mut person = Person(self);
        let mut onelogin = OneLogin::new(config, Some(secrets), state, &mut tape);
        let approval_wait = match self.input.host {
            Host::Sudo | Host::Login => ApprovalWait::AtOnce,
            Host::Key | Host::Ssh | Host::Su => ApprovalWait::AfterEnter,
        };
        let login = Login::new(
            &mut onelogin,
            &mut person,
            self,
            &mut user_memory,
            config,
            approval_wait,
        );
        let safe = SafePlace::check(
            config,
            &Here {
                uids: *uids,
                proof,
                ssh_connection: request.ssh_connection.as_deref(),
                is_of_this_host: &|_| false,
                has_the_hosts_network: &|| Some(true),
            },
        );
        let login = login.with_outages(safe.ok());
        let report = match found {
            Who::Subject(subject) => login.run(Ok(&subject)),
            Who::NoAccount => login.run(Err(Unknown::Account)),
            Who::Unclear(unclear) => login.run(Err(Unknown::Unclear(unclear))),
            Who::Exempt { exemption, .. } => without_onelogin(Outcome::Exempt(exemption)),
            Who::NoSuchGroup(name) => without_onelogin(Outcome::Fault(Fault::NoSuchGroup(name))),
        };
        assert_eq!(user_memory.works(), self.works.get());
        let here = Circumstances {
            in_ssh: request.ssh_connection.is_some(),
            proven: proof == Proof::Proven,
        };
        let verdict = verdict::of(&report.outcome, here);
        let line = log::decision(
            &verdict,
            &Facts {
                user: Some(&name),
                onelogin_id: report.onelogin_id.as_ref().map(UserId::as_str),
                factor: report.factor,
                requests: self.calls(),
                ..Facts::default()
            },
        );
        End {
            report,
            verdict,
            line,
        }
    }

    /// The host may run the stack again for the same connection or process.
    fn run_again(&self, story: Story, state: &State, outcome: &Outcome) {
        let mut again = Judge::new(self.settings, story);
        again.denials = Rc::clone(&self.denials);
        match outcome {
            Outcome::Accepted(_) => {
                // A code counts once on this host (rule R18).
                again.spent.replace(self.accepted_code());
                let _ = again.login(state);
            }
            Outcome::Denied(_) | Outcome::Unknown(_) => again.is_denied_at_once(state),
            _ if self.sent_anything.get() => again.is_denied_at_once(state),
            _ => {}
        }
    }

    /// A denial, and whatever left before an end of another kind, is remembered (rule R14).
    fn is_denied_at_once(&self, state: &State) {
        let outcome = self.login(state).report.outcome;
        assert!(
            matches!(outcome, Outcome::Denied(Denial::Before)),
            "R14: a rerun after a denial came to {outcome:?}"
        );
        let asked = (self.calls(), self.prompts.get());
        assert_eq!(asked, (0, 0), "R14: a rerun asked again");
    }

    /// Who must pass, if it is somebody: on the way to root in somebody else's process, the caller.
    fn subject(&self) -> Option<&str> {
        let wanted = self.settings.request.user.as_deref()?;
        let (name, uid) = ACCOUNTS.iter().find(|(name, _)| *name == wanted)?;
        Some(match self.settings.uids.real {
            CALLER if *uid == 0 => "alice",
            _ => name,
        })
    }

    /// Whom OneLogin is asked for: attribute and value, from the map's text and the settings.
    fn wanted(&self) -> Option<reading::Wanted> {
        let users = &self.settings.config.users;
        let name = self.subject()?;
        let mapped = self.input.map.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(name))
                .then(|| words.next().map(str::to_owned))
                .flatten()
        });
        let mapped = mapped.filter(|_| users.map_file.is_some());
        let attribute = users.attribute.as_ref().map(config::Attribute::name);
        let ignore_case = users.ignore_case;
        if let Some(id) = mapped.as_deref().and_then(|text| text.strip_prefix("id=")) {
            return Some(reading::Wanted {
                attribute: None,
                value: id.to_owned(),
                ignore_case: false,
            });
        }
        attribute.as_ref()?;
        let value = mapped.unwrap_or_else(|| match &users.append_domain {
            Some(domain) => format!("{name}@{domain}"),
            None => name.to_owned(),
        });
        Some(reading::Wanted {
            attribute,
            value,
            ignore_case,
        })
    }

    fn is_proven(&self) -> bool {
        let typed = self.input.password.as_ref();
        typed.is_some_and(|password| !password.chars().any(char::is_control))
            || matches!(self.input.host, Host::Key | Host::Sudo | Host::Su)
            || self.settings.config.first_factor == FirstFactor::Assumed
    }
}

/// Nothing moves a terminal's cursor, colours or direction (rule R10).
fn is_fit_to_show(c: char) -> bool {
    let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c == '\n' || (!c.is_control() && !turns)
}

/// A folder for the private files of one story at a time.
pub(crate) struct Folder(tempfile::TempDir);

thread_local! {
    pub(crate) static FOLDER: Folder = Folder::new();
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let shut = folder.path().join("shut");
        std::fs::create_dir(&shut).expect("a folder");
        std::fs::set_permissions(&shut, std::fs::Permissions::from_mode(0o755)).expect("a mode");
        Self(folder)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.0.path().join("state")
    }

    /// The state, empty; or one that cannot be used.
    pub(crate) fn open(&self, shut: bool) -> State {
        let path = self.0.path().join(if shut { "shut" } else { "state" });
        if !shut {
            // Absent before the first story.
            let _ = std::fs::remove_dir_all(&path);
        }
        let uid = nix::unistd::getuid().as_raw();
        let uids = Uids {
            real: uid,
            effective: uid,
            saved: uid,
        };
        State::by_clock(&path, Trusted::of(uids), boot_clock)
    }
}

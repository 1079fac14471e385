//! A simulator and a private service folder in which `nobody` is a OneLogin user.
#![allow(unreachable_pub, dead_code)]

use onelogin_simulator::{Device, Dialect, Fault, Options, Simulator, User};
use pam_host::{Case, Code, Outcome, Place};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A Unix account that every system has, and that logs in here.
pub const NAME: &str = "nobody";

/// Its OneLogin id.
pub const ID: u64 = 1001;

/// The id, code and kind of its devices.
pub const TOTP: &str = "501";
pub const TOTP_CODE: &str = "123456";
/// From here on there are ten thousand codes of the authenticator, for logins that need one each: a code is taken once.
pub const FRESH_CODES: u32 = 990_000;
pub const PUSH: &str = "601";
pub const PUSH_CODE: &str = "654321";
pub const PUSH_CODE_2: &str = "765432";
pub const SMS: &str = "701";

/// An outage lets in: in the logins of [`World::ssh`], if they were root's and OneLogin were not on this host.
pub const SAFE: &str = "failmode = \"safe\"\nfailmode_from = [\"192.0.2.0/24\"]";

/// The likeliest, which is the default, and the documented one. For the third see tests/factors.rs.
pub const DIALECTS: [Dialect; 2] = [Dialect::Live, Dialect::Docs];

/// A OneLogin, a configuration and a folder of services.
pub struct World {
    pub onelogin: Simulator,
    pub place: Place,
}

impl World {
    /// With an authenticator.
    pub fn with_totp() -> Self {
        Self::with([totp()], &[])
    }

    /// With OneLogin Protect.
    pub fn with_push() -> Self {
        Self::with([push()], &[])
    }

    /// With text messages.
    pub fn with_sms() -> Self {
        Self::with([sms()], &[])
    }

    /// With these devices and lines of configuration.
    pub fn with<const N: usize>(devices: [Device; N], config: &[&str]) -> Self {
        Self::started(Options::default(), devices, config)
    }

    /// As `with`, and the simulator's own settings.
    pub fn started<const N: usize>(
        options: Options,
        devices: [Device; N],
        config: &[&str],
    ) -> Self {
        let onelogin = Simulator::start_with(options);
        onelogin.add_user(User::new(ID, NAME).email("nobody@example.com"));
        for device in devices {
            onelogin.add_device(ID, device);
        }
        let world = Self {
            onelogin,
            place: Place::new(),
        };
        world.config(config);
        world
    }

    /// Another configuration.
    pub fn config(&self, lines: &[&str]) {
        self.place.config_for(&self.onelogin, lines);
    }

    /// In another dialect.
    pub fn speaking(self, dialect: Dialect) -> Self {
        self.onelogin.set_dialect(dialect);
        self
    }

    /// One more thing goes wrong at OneLogin.
    pub fn fault(&self, fault: Fault) {
        self.onelogin.fault(fault);
    }

    /// A login at sshd after a key was accepted, in a connection of its own.
    pub fn ssh(&self) -> Case {
        self.ssh_again(&connection())
    }

    /// A login at sshd after a key was accepted, in this connection.
    pub fn ssh_again(&self, connection: &str) -> Case {
        self.place.alone("sshd").user(NAME).ssh_with_key(connection)
    }

    /// A login at a host of this name, on a terminal. As root, nothing has proven the user there.
    pub fn host(&self, service: &str) -> Case {
        self.place.alone(service).user(NAME).tty("/dev/pts/7")
    }

    /// So much later that nothing is remembered of the users, only the token.
    pub fn later(&self) -> &Self {
        self.forget_what(|path| !path.starts_with("token-"))
    }

    /// Forgets what counts for the limits over several logins, and which codes were accepted, so that one login more is not
    /// held back by those before. Denials and the token stay.
    pub fn forget_counts(&self) -> &Self {
        self.forget_what(|path| !path.starts_with("denied-") && !path.starts_with("token-"))
    }

    /// As `forget_counts`; but what was looked up stays.
    pub fn forget_user(&self) -> &Self {
        self.forget_what(|path| path.starts_with("u-") || path.starts_with("n-"))
    }

    /// Forgets which codes were used. A login may be at work meanwhile.
    pub fn forget_used_codes(&self) {
        for (name, path) in self.all_kept() {
            if name.contains("/x-") {
                let _ = std::fs::remove_file(path);
            }
        }
    }

    /// Forgets the private files of these names, in the folder of the state and below it.
    pub fn forget_what(&self, goes: impl Fn(&str) -> bool) -> &Self {
        for (name, path) in self.all_kept() {
            if goes(&name) {
                std::fs::remove_file(path).unwrap();
            }
        }
        self
    }

    /// The private files and entries, by their names below the folder of the state.
    fn all_kept(&self) -> Vec<(String, PathBuf)> {
        let mut all = Vec::new();
        let folder = self.place.state_path();
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let inner = std::fs::read_dir(entry.path());
            match inner {
                Ok(inner) => all.extend(inner.map(|entry| entry.unwrap().path())),
                Err(_) => all.push(entry.path()),
            }
        }
        let name = |path: &PathBuf| path.strip_prefix(&folder).unwrap().display().to_string();
        all.into_iter().map(|path| (name(&path), path)).collect()
    }

    /// The private files whose names begin so, and the entries: by the letter of their kind, as `c-`.
    pub fn kept(&self, beginning: &str) -> Vec<PathBuf> {
        let is_meant = |name: &str| {
            name.starts_with(beginning)
                || name
                    .split('/')
                    .nth(1)
                    .is_some_and(|name| name.starts_with(beginning))
        };
        let all = self.all_kept().into_iter();
        all.filter(|(name, _)| is_meant(name))
            .map(|(_, path)| path)
            .collect()
    }

    /// How many requests were sent so far.
    pub fn requests(&self) -> usize {
        self.onelogin.requests().len()
    }

    /// How many activations and codes OneLogin got.
    pub fn sent(&self) -> (usize, usize) {
        (self.onelogin.activations(), self.onelogin.codes())
    }
}

/// A code of the authenticator that was not typed before.
pub fn fresh_code() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(FRESH_CODES);
    format!("{:06}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The name of a connection that nobody else has.
pub fn connection() -> String {
    static PORT: AtomicU32 = AtomicU32::new(1);
    format!(
        "192.0.2.7 {} 192.0.2.1 22",
        PORT.fetch_add(1, Ordering::Relaxed)
    )
}

pub fn totp() -> Device {
    Device::authenticator(TOTP, "App")
        .code(TOTP_CODE)
        .codes((0..10_000).map(|number| format!("{:06}", FRESH_CODES + number)))
}

pub fn push() -> Device {
    Device::protect(PUSH, "Phone")
        .code(PUSH_CODE)
        .code(PUSH_CODE_2)
}

pub fn sms() -> Device {
    Device::sms(SMS, "Mobile")
}

/// The decision in the log: exactly one line, without its figures.
pub fn decision(outcome: &Outcome) -> String {
    let decisions: Vec<_> = outcome
        .decisions()
        .into_iter()
        .filter(|line| line.contains(" requests="))
        .collect();
    assert_eq!(decisions.len(), 1, "{:?}", outcome.log);
    let line = &decisions[0];
    line.split(" requests=").next().unwrap().to_owned()
}

/// The reason in the log.
pub fn reason(outcome: &Outcome) -> String {
    let decision = decision(outcome);
    let reason = decision.split("reason=").nth(1).unwrap_or_default();
    reason.split(' ').next().unwrap_or_default().to_owned()
}

/// The login was accepted.
pub fn assert_accepted(outcome: &Outcome) {
    assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
}

/// The login ended with this code and for this reason.
pub fn assert_end(outcome: &Outcome, code: Code, why: &str) {
    assert_eq!((outcome.code, reason(outcome).as_str()), (code, why));
}

/// A line of the log contains this.
pub fn assert_logged(outcome: &Outcome, text: &str) {
    let is_logged = outcome.log.iter().any(|line| line.contains(text));
    assert!(is_logged, "{:?}", outcome.log);
}

/// The decision names this factor.
pub fn assert_factor(outcome: &Outcome, factor: &str) {
    let decision = decision(outcome);
    assert!(decision.contains(&format!("factor={factor}")), "{decision}");
}

/// Nobody got in, and nobody was skipped.
pub fn assert_denied(outcome: &Outcome, what: &str) {
    for call in outcome.runs.iter().flatten() {
        assert!(
            !matches!(call.code, Code::SUCCESS | Code::IGNORE),
            "{what}: {call:?} {:?}",
            outcome.log
        );
    }
    assert!(!outcome.runs.is_empty(), "{what}: nothing was called");
    // A denial for what an earlier login did would say nothing of what is tried here.
    // A call that fails may have any reason.
    if outcome.notes.failed.is_some() {
        return;
    }
    for earlier in [
        "used-code",
        "too-many-",
        "push-denied-lately",
        "look-up-paused",
    ] {
        let earlier = format!("reason={earlier}");
        assert!(
            outcome.log.iter().all(|line| !line.contains(&earlier)),
            "{what}: see World::later {:?}",
            outcome.log
        );
    }
}

/// As [`assert_denied`], for this reason.
pub fn assert_denied_for(outcome: &Outcome, what: &str, why: &str) {
    assert_denied(outcome, what);
    assert_eq!(reason(outcome), why, "{what}: {:?}", outcome.log);
}

/// Whether libpam was asked to wait about two seconds; it adds or takes up to a half.
pub fn is_delayed(outcome: &Outcome) -> bool {
    matches!(outcome.fail_delays.as_slice(), [1_000_000..=3_000_000])
}

/// The patterns of tests/touched.txt: a word for the kind, then what is touched.
pub fn listed_touches() -> Vec<&'static str> {
    include_str!("../touched.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once("  ").expect("a reason").0)
        .collect()
}

/// Whether a pattern, in which `*` is anything but `/`, is that of the text.
pub fn fits(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern == text;
    };
    text.strip_prefix(head).is_some_and(|rest| {
        (0..=rest.find('/').unwrap_or(rest.len()))
            .any(|at| rest.get(at..).is_some_and(|rest| fits(tail, rest)))
    })
}

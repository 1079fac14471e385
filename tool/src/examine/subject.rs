//! What is examined: a machine, its configuration, its sshd.

use crate::examine::named_stack::{NamedStack, asks, has_strict_factor, read};
use crate::examine::services::openvpn;
use crate::examine::stacks::programs::hides_prompts;
use crate::host::target_system::TargetSystem;
use crate::host::user_selection::{local_people, sudo_caller};
use crate::pam_stack::Entry;
use crate::sshd::config::Sshd;
use crate::sshd::keyword::Keyword;
use crate::sshd::lost_logins::user_has_key;
use pam_onelogin::config::{Config, NoFactor, Service, UnknownUser, parse};
use pam_onelogin::factor::CODE_PROMPT;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What an examiner looks at.
pub(crate) struct Subject<'a> {
    pub(super) machine: &'a TargetSystem,
    /// Of `--config`; a path on that machine.
    pub(super) config: &'a Path,
    /// Its settings; `None` if it has faults, which another examiner reports.
    pub(super) settings: Option<Config>,
    /// The configuration of sshd.
    pub(super) sshd: Sshd,
    /// Of `--user`.
    pub(super) user: Option<&'a str>,
    /// The only service to look at; `None` for all.
    pub(super) service: Option<&'a str>,
    /// The changes that `enable` made and that were confirmed, by its records.
    pub(super) enabled: Vec<Enabled>,
    /// Whether OneLogin and the running system may be asked.
    pub(super) is_live: bool,
}

/// A change that `enable` made.
pub(crate) struct Enabled {
    /// As on the command line.
    pub(crate) service: String,
    /// The files that it wrote.
    pub(crate) files: Vec<PathBuf>,
    /// The services that called the module because of these files.
    pub(crate) through: Vec<String>,
}

impl<'a> Subject<'a> {
    /// A machine with this configuration, and a user whose devices may be looked up.
    pub(crate) fn of(machine: &'a TargetSystem, config: &'a Path, user: Option<&'a str>) -> Self {
        Self {
            machine,
            config,
            settings: settings(machine, config),
            sshd: Sshd::read(machine),
            user,
            service: None,
            enabled: Vec::new(),
            is_live: false,
        }
    }

    /// The same; with `is_live`, OneLogin and the running system may be asked.
    pub(crate) fn live(mut self, is_live: bool) -> Self {
        self.is_live = is_live;
        self
    }

    /// The same, with the changes that `enable` has made on this machine.
    pub(crate) fn enabled(mut self, enabled: Vec<Enabled>) -> Self {
        self.enabled = enabled;
        self
    }

    /// The same, with the stacks of this service alone.
    pub(crate) fn only(mut self, service: Option<&'a str>) -> Self {
        self.service = service;
        self
    }

    /// The settings `[services.NAME]`.
    pub(super) fn table(&self, service: &str) -> Option<&Service> {
        self.settings.as_ref()?.service(service)
    }

    /// Whether the module shows no prompt in this service.
    pub(super) fn is_push_only(&self, service: &str) -> bool {
        self.table(service)
            .is_some_and(|table| table.ask.is_push_only())
    }

    /// Whether a user can log in through this service: its program answers the prompt for a code, or needs none.
    pub(super) fn can_ask(&self, service: &str) -> bool {
        let prompt = self
            .table(service)
            .and_then(|table| table.prompt.as_deref());
        !hides_prompts(service)
            || self.is_push_only(service)
            || service == openvpn::NAME
                && openvpn::answers(self.machine, service, prompt.unwrap_or(CODE_PROMPT))
    }

    /// The command that adds OneLogin to a service; for sshd, with the first factor.
    pub(crate) fn enable(&self, service: &str) -> String {
        match service {
            "sshd" => format!("enable sshd --behind {} --try 5m", self.first_factor()),
            name => format!("enable {name} --try 5m"),
        }
    }

    /// The command that adds OneLogin to a service once more, which changes nothing there; `None` if no service has it.
    pub(super) fn enable_again(&self) -> Option<String> {
        let mut services = ["sudo", "su", "login", "sshd"].into_iter();
        let service = services.find(|service| asks(self.machine, service))?;
        Some(self.enable(service))
    }

    /// The first factor of sshd: the one that its stack has, if it calls the module. Else the one that its logins
    /// have now: a key if sshd accepts no login without one, or if it leaves the choice to a user who has one.
    fn first_factor(&self) -> &'static str {
        let stack = read(self.machine, self.sshd.service()).filter(NamedStack::asks);
        if let Some(stack) = stack {
            let mut words = stack.service.ours().flat_map(Entry::arguments);
            if words.any(|word| word == "behind=key") {
                return "key";
            }
            if has_strict_factor(&stack) {
                return "password";
            }
        }
        let settings = self.sshd.global();
        let is_without_key = self.sshd.path.is_some() && settings.lets_in_without_key();
        let is_choice = settings.any_method_is_enough();
        if is_without_key && !(is_choice && self.user_has_key()) {
            "password"
        } else {
            "key"
        }
    }

    /// What to do if the file of settings that `enable sshd` wrote no longer exists.
    pub(super) fn lost_settings(&self) -> Option<String> {
        let mut enabled = self.enabled.iter().filter(|it| it.service == "sshd");
        let mut files = enabled.next()?.files.iter();
        let is_lost = |path: &&PathBuf| path.starts_with("/etc/ssh") && !self.machine.has(path);
        let path = files.find(is_lost)?.display();
        Some(format!(
            "{path} is missing; type: sudo pam-onelogin {}; if this is intended, type: sudo pam-onelogin disable sshd",
            self.enable("sshd")
        ))
    }

    /// Whether the user of the command line, or the one who called sudo, has a key; if neither is known, whether any
    /// user has one.
    fn user_has_key(&self) -> bool {
        let caller = sudo_caller().filter(|_| self.machine.is_this());
        let files = self.sshd.global().value(Keyword::KeysFile);
        let has_key = |user: &str| user_has_key(self.machine, files, user) == Some(true);
        match self.user.or(caller.as_deref()) {
            Some(user) => has_key(user),
            // It is not known who will try it: a key, if any user has one.
            None => local_people(self.machine)
                .iter()
                .any(|user| user.uid != 0 && has_key(&user.name)),
        }
    }

    /// The services that `enable` has changed, as on its command line.
    pub(crate) fn services(&self) -> impl Iterator<Item = &str> {
        self.enabled.iter().map(|it| it.service.as_str())
    }

    /// Whether a service is to be looked at.
    pub(super) fn includes(&self, service: &str) -> bool {
        self.service.is_none_or(|only| only == service)
    }

    /// Whether the configuration lets a user log in without OneLogin.
    pub(super) fn exempts(&self) -> bool {
        self.settings.as_ref().is_some_and(|settings| {
            let users = &settings.users;
            settings.observe.is_some()
                || !users.exempt_users.is_empty()
                || !users.exempt_groups.is_empty()
                || !users.exempt.is_empty()
                || users.groups.is_some()
                || users.unknown == UnknownUser::Exempt
                || users.no_factor == NoFactor::Exempt
        })
    }

    /// The longest time of a login.
    pub(super) fn login_timeout(&self) -> Duration {
        let settings = self.settings.as_ref();
        settings.map_or(LOGIN_TIMEOUT, |settings| settings.onelogin.login_timeout)
    }

    /// Whether sshd uses this service.
    pub(super) fn is_ssh(&self, service: &str) -> bool {
        service == self.sshd.service()
    }

    /// Whether sshd uses this service for some or all users, or whether that is unknown.
    pub(super) fn may_be_ssh(&self, service: &str) -> bool {
        let mut services = self.sshd.services();
        self.sshd.cannot_be_told() || services.any(|used| used == service)
    }
}

/// The settings, no matter which user owns the file.
fn settings(machine: &TargetSystem, path: &Path) -> Option<Config> {
    let text = machine.text(path).ok().flatten()?;
    parse(&path.display().to_string(), &text).ok()
}

/// The default of `onelogin.login_timeout`.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(55);

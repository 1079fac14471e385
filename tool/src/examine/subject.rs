//! What is examined: a machine, its configuration, its sshd.

use crate::host::target_system::TargetSystem;
use crate::sshd::config::Sshd;
use pam_onelogin::config::{Config, NoFactor, UnknownUser, parse};
use std::path::Path;
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
    /// Whether OneLogin and the running system may be asked.
    pub(super) is_live: bool,
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
            is_live: false,
        }
    }

    /// The same; with `is_live`, OneLogin and the running system may be asked.
    pub(crate) fn live(mut self, is_live: bool) -> Self {
        self.is_live = is_live;
        self
    }

    /// The same, with the stacks of this service alone.
    pub(crate) fn only(mut self, service: Option<&'a str>) -> Self {
        self.service = service;
        self
    }

    /// The command that adds OneLogin to sshd, with the first factor that its logins have now.
    pub(crate) fn enable_sshd(&self) -> String {
        let settings = self.sshd.global();
        let factor = if self.sshd.path.is_some() && settings.lets_in_without_key() {
            "password"
        } else {
            "key"
        };
        format!("enable sshd --behind {factor} --try 5m")
    }

    /// Whether a service is to be looked at.
    pub(super) fn includes(&self, service: &str) -> bool {
        self.service.is_none_or(|only| only == service)
    }

    /// Whether the configuration exempts a user.
    pub(super) fn exempts(&self) -> bool {
        self.settings.as_ref().is_some_and(|settings| {
            let users = &settings.users;
            !users.exempt_users.is_empty()
                || !users.exempt_groups.is_empty()
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

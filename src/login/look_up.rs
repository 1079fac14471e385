//! Who the user is at OneLogin, and which of their devices may be used: the menu.

use super::Login;
use super::codes::too_many_codes;
use super::outcome::{Denial, Outcome, Unknown};
use super::port::{Limit, LimitReached, LookUpEnd, Recalled, Uncounted};
use super::requests::too_many_challenges;
use crate::api::{Devices, Found};
use crate::config::{NoFactor, UnknownUser, VerifyForm};
use crate::factor::{Activations, Codes, Device, Factor, Menu, NoChoice};
use crate::id::UserId;
use crate::map::UserKey;
use crate::offline::CodeStore;
use crate::user::{Exemption, Proof, Subject, Unfit};

/// Why there is no menu.
pub(super) enum NoMenu {
    /// There is no user to verify.
    Unknown(Unknown),
    /// The user has no factor and may enrol one.
    NoFactorYet(UserId),
    /// This is how it ends.
    For(Outcome),
}

/// Where a menu is expected.
impl From<NoMenu> for Outcome {
    fn from(no_menu: NoMenu) -> Self {
        match no_menu {
            NoMenu::Unknown(unknown) => Self::Unknown(unknown),
            NoMenu::NoFactorYet(_) => Self::Denied(Denial::NotEnrolled),
            NoMenu::For(outcome) => outcome,
        }
    }
}

impl From<Outcome> for NoMenu {
    fn from(outcome: Outcome) -> Self {
        Self::For(outcome)
    }
}

impl Login<'_> {
    /// Finds the subject at OneLogin, and what there is to choose from.
    pub(super) fn devices_of(&mut self, subject: &Subject) -> Result<(UserId, Menu), NoMenu> {
        // Where nothing can be counted, nothing is asked.
        if !self.memory.works() {
            return Err(NoMenu::For(Outcome::Denied(Denial::NoState)));
        }
        self.progress.nothing_to_verify = false;
        if self.config.ask.is_push_only() {
            self.may_push()?;
        }
        let found = self.find(subject);
        let is_found = found.is_ok();
        let result = found.and_then(|(user, devices)| {
            self.codes_are_left()?;
            let menu = self.offer(subject.proof, &user, devices)?;
            Ok((user, menu))
        });
        let end = match &result {
            _ if self.progress.nothing_to_verify => LookUpEnd::NothingToVerify,
            Err(NoMenu::NoFactorYet(_) | NoMenu::For(Outcome::Exempt(_))) => LookUpEnd::Other,
            _ if is_found => LookUpEnd::Found {
                is_cached: self.api.is_cached(),
            },
            _ => LookUpEnd::Other,
        };
        self.memory.looked_up(end);
        result
    }

    pub(super) fn find(&mut self, subject: &Subject) -> Result<(UserId, Devices), NoMenu> {
        let key = Self::key(subject)?;
        let user = match self.api.cached_user(key) {
            Some(user) => user,
            None => self.look_up(key)?,
        };
        self.memory.meet(&user);
        self.progress.onelogin_id = Some(user.clone());
        let devices = self.read(|api, deadline| api.devices(&user, deadline))?;
        self.progress.odd_devices = devices.odd;
        Ok((user, devices))
    }

    /// The name or id to look up at OneLogin.
    pub(super) fn key(subject: &Subject) -> Result<&UserKey, NoMenu> {
        subject.key.as_ref().map_err(|unfit| match unfit {
            Unfit::Name => NoMenu::Unknown(Unknown::Name),
            Unfit::NotMapped => NoMenu::Unknown(Unknown::NotMapped),
        })
    }

    /// Looks the user up at OneLogin, unless a recent look-up found no user or no factor. The limit keeps a stolen password from
    /// using up the account's hourly API quota (rule R22).
    pub(super) fn look_up(&mut self, key: &UserKey) -> Result<UserId, NoMenu> {
        if let UserKey::Id(id) = key {
            self.memory.meet(id);
        }
        if self.memory.recall() == Recalled::NothingToVerify {
            return Err(NoMenu::Unknown(Unknown::LookUpPaused));
        }
        self.codes_are_left()?;
        self.memory.count_look_up().map_err(|why| {
            NoMenu::For(Outcome::Denied(match why {
                Uncounted::LimitReached(_) => Denial::TooManyLookUps,
                Uncounted::NoState => Denial::NoState,
            }))
        })?;
        self.user_of(key)
    }

    /// Beyond the limit on codes everything is denied.
    pub(super) fn codes_are_left(&mut self) -> Result<(), Outcome> {
        match self.memory.limit_reached(Limit::RefusedCodes) {
            Some(reached) => Err(Outcome::Denied(too_many_codes(reached))),
            None => Ok(()),
        }
    }

    /// OneLogin's answer makes verification impossible, for proven and unproven users.
    pub(super) fn nothing_to_verify(&mut self, unknown: Unknown) -> NoMenu {
        self.progress.nothing_to_verify = true;
        if matches!(unknown, Unknown::User | Unknown::Inactive) {
            // Who has left has no way in by an outage.
            let removed = self.offline.map_or(0, CodeStore::remove_all);
            self.progress.removed_offline_codes += removed;
        }
        NoMenu::Unknown(unknown)
    }

    /// What there is to choose from among these devices.
    pub(super) fn offer(
        &mut self,
        proof: Proof,
        user: &UserId,
        devices: Devices,
    ) -> Result<Menu, NoMenu> {
        let no_factor = self.config.users.no_factor;
        let activations = self.activations(proof);
        let allow = &self.config.factors.allow;
        match (devices.enrolled, no_factor, activations) {
            (0, NoFactor::Exempt, _) => {
                return Err(NoMenu::For(Outcome::Exempt(Exemption::NoFactor)));
            }
            // Who has a temporary token has something to type.
            (0, NoFactor::Enroll, Activations::Offered)
                if !allow.contains(&Factor::Temporary) && !self.config.ask.is_push_only() =>
            {
                return Err(NoMenu::NoFactorYet(user.clone()));
            }
            _ => {}
        }
        let usable = self.with_codes_that_can_be_checked(devices.usable);
        let menu = Menu::new(usable, devices.enrolled, allow, activations);
        let menu = menu.map_err(|no_choice| match no_choice {
            // Once something has proven them, they can enrol one.
            NoChoice::NoDevice if no_factor == NoFactor::Enroll && proof == Proof::Unproven => {
                NoMenu::Unknown(Unknown::NoFactor)
            }
            NoChoice::NoDevice => self.nothing_to_verify(Unknown::NoFactor),
            // Other services may allow one.
            NoChoice::NoneAllowed if self.config.is_narrowed && !self.config.ask.is_push_only() => {
                NoMenu::Unknown(Unknown::NoAllowedFactor)
            }
            NoChoice::NoneAllowed => self.nothing_to_verify(Unknown::NoAllowedFactor),
            NoChoice::NoneWithoutActivation => match self.progress.held_back {
                Some(reached) => NoMenu::For(Outcome::Denied(too_many_challenges(reached))),
                None => NoMenu::Unknown(Unknown::NoAllowedFactor),
            },
        })?;
        if self.config.ask.is_push_only() && menu.pushed().is_none() {
            return Err(NoMenu::For(self.without_push_device()));
        }
        Ok(menu)
    }

    /// What may be sent to the user: nothing before something has proven them, and not beyond the
    /// limit.
    fn activations(&mut self, proof: Proof) -> Activations {
        if proof == Proof::Unproven {
            return Activations::Off;
        }
        self.progress.held_back = self.memory.limit_reached(self.limit_of_challenges());
        match self.progress.held_back {
            None => Activations::Offered,
            Some(LimitReached::PushDenied | LimitReached::PushPaused) => Activations::NoPush,
            Some(LimitReached::Window | LimitReached::Day) => Activations::Off,
        }
    }

    /// A tenant that takes a posted code for an activation would send a push, or more, for it: codes
    /// of Protect and Duo cannot be checked there.
    fn with_codes_that_can_be_checked(&self, mut devices: Vec<Device>) -> Vec<Device> {
        if self.config.onelogin.verify == VerifyForm::Activated {
            devices.retain(|device| device.factor != Factor::Duo);
            for device in devices
                .iter_mut()
                .filter(|device| device.factor == Factor::Push)
            {
                device.codes = Codes::Never;
            }
        }
        devices
    }

    pub(super) fn user_of(&mut self, key: &UserKey) -> Result<UserId, NoMenu> {
        let unknown = match self.read(|api, deadline| api.user(key, deadline))? {
            Found::One(user) => return Ok(user),
            Found::NoUser if self.config.users.unknown == UnknownUser::Exempt => {
                return Err(NoMenu::For(Outcome::Exempt(Exemption::Unknown)));
            }
            Found::NoUser | Found::Gone => Unknown::User,
            Found::Several => Unknown::Several,
            Found::Other => Unknown::Other,
            Found::Inactive => Unknown::Inactive,
        };
        Err(self.nothing_to_verify(unknown))
    }
}

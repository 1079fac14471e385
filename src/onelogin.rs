//! The client of OneLogin's API. `http` is the only folder that knows the HTTP client; the wire format is in `crate::api`.

pub mod addresses;
pub mod cache;
pub mod calls;
pub mod client;
pub mod http;
pub mod token;
pub mod users;
pub mod v1;
pub mod v2;

use crate::api::{
    Activation, Answer, ApiError, Available, Devices, Enrolment, Found, Registration, Seen,
};
use crate::config::file::Secrets;
use crate::config::{Config, Version};
use crate::factor::{Code, Device, Factor};
use crate::id::{RegistrationId, UserId, VerificationId};
use crate::login::{Api, Deadline, Permit};
use crate::map::UserKey;
use crate::state::State;
use cache::Cache;
use client::{Client, Role};
use http::Transport;

/// OneLogin for one login, in the configured version.
pub struct OneLogin<'a> {
    client: Client<'a>,
    cache: Cache<'a>,
    config: &'a Config,
}

impl<'a> OneLogin<'a> {
    /// Prepares the API. Nothing is sent before it is asked.
    pub fn new(
        config: &'a Config,
        secrets: Option<&'a Secrets>,
        state: &'a State,
        transport: &'a mut dyn Transport,
    ) -> Self {
        Self {
            client: Client::new(config, secrets, state, transport),
            cache: Cache::new(config, state),
            config,
        }
    }
}

impl OneLogin<'_> {
    fn look_up(&mut self, key: &UserKey, deadline: Deadline) -> Result<Found, ApiError> {
        let users = &self.config.users;
        match (key, &users.attribute) {
            (UserKey::Id(id), _) if !users.check_active => Ok(Found::One(id.clone())),
            (UserKey::Id(id), _) => users::by_id(&mut self.client, id, deadline),
            (UserKey::Name(name), Some(attribute)) => {
                let ignore_case = users.ignore_case;
                users::by_attribute(&mut self.client, attribute, name, ignore_case, deadline)
            }
            (UserKey::Name(_), None) => Ok(Found::NoUser),
        }
    }

    fn list(&mut self, user: &UserId, deadline: Deadline) -> Result<Devices, ApiError> {
        match self.config.onelogin.version {
            Version::V1 => v1::devices(&mut self.client, user, deadline),
            Version::V2 => v2::devices(&mut self.client, user, &self.config.factors, deadline),
        }
    }

    /// What is kept is dropped unless this went as it should: the device may be another one by now,
    /// or the user gone. It stays where OneLogin has seen nothing, so that requests which never
    /// leave this host cannot cause look-ups again and again (rule R22).
    fn after<T>(
        &mut self,
        result: Result<T, ApiError>,
        is_good: impl FnOnce(&T) -> bool,
    ) -> Result<T, ApiError> {
        let is_cached = match &result {
            Ok(answer) => is_good(answer),
            Err(error) => error.ending.consequences().seen == Seen::No,
        };
        if !is_cached {
            self.cache.forget();
        }
        result
    }
}

impl Api for OneLogin<'_> {
    fn prepare(&mut self, deadline: Deadline) -> Result<(), ApiError> {
        self.client.prepare(deadline)
    }

    fn authorise(&mut self, deadline: Deadline) -> Result<(), ApiError> {
        self.client.authorise(Role::Verify, deadline)
    }

    fn disconnect(&mut self) {
        self.client.disconnect();
    }

    fn cached_user(&mut self, key: &UserKey) -> Option<UserId> {
        self.cache.user(key)
    }

    fn is_cached(&self) -> bool {
        self.cache.is_cached()
    }

    fn user(&mut self, key: &UserKey, deadline: Deadline) -> Result<Found, ApiError> {
        let found = self.look_up(key, deadline);
        if !matches!(found, Ok(Found::One(_))) {
            self.cache.unlock();
        }
        found
    }

    fn devices(&mut self, user: &UserId, deadline: Deadline) -> Result<Devices, ApiError> {
        if let Some(devices) = self.cache.devices(user) {
            return Ok(devices);
        }
        let devices = self.list(user, deadline);
        match &devices {
            Ok(devices) => self.cache.store(user, devices),
            Err(_) => self.cache.unlock(),
        }
        devices
    }

    fn activate(
        &mut self,
        user: &UserId,
        device: &Device,
        permit: Permit<'_>,
    ) -> Result<Activation, ApiError> {
        let factors = &self.config.factors;
        let result = match self.config.onelogin.version {
            Version::V1 => v1::activate(&mut self.client, user, device, factors, permit),
            Version::V2 => v2::activate(&mut self.client, user, device, factors, permit),
        };
        self.after(result, |_| true)
    }

    fn check(
        &mut self,
        user: &UserId,
        device: &Device,
        verification: Option<&VerificationId>,
        code: &Code,
        deadline: Deadline,
    ) -> Result<Answer, ApiError> {
        let client = &mut self.client;
        let result = match (self.config.onelogin.version, device.factor) {
            // Version 2 does not say how a temporary token is checked; version 1 does.
            (Version::V1, _) | (Version::V2, Factor::Temporary) => {
                v1::check(client, user, device, verification, code, deadline)
            }
            (Version::V2, _) => v2::check(client, user, device, verification, code, deadline),
        };
        self.after(result, |answer| !matches!(answer, Answer::Unfit))
    }

    fn poll(
        &mut self,
        user: &UserId,
        device: &Device,
        verification: &VerificationId,
        deadline: Deadline,
    ) -> Result<Answer, ApiError> {
        let result = match self.config.onelogin.version {
            Version::V1 => v1::poll(&mut self.client, user, device, verification, deadline),
            Version::V2 => v2::poll(&mut self.client, user, device, verification, deadline),
        };
        self.after(result, |_| true)
    }

    fn available(&mut self, user: &UserId, deadline: Deadline) -> Result<Vec<Available>, ApiError> {
        let factors = &self.config.factors;
        v2::available(&mut self.client, user, factors, deadline)
    }

    fn register(
        &mut self,
        user: &UserId,
        available: &Available,
        deadline: Deadline,
    ) -> Result<Registration, ApiError> {
        self.cache.forget();
        let factors = &self.config.factors;
        v2::register(&mut self.client, user, available, factors, deadline)
    }

    fn check_registration(
        &mut self,
        user: &UserId,
        registration: &RegistrationId,
        code: &Code,
        deadline: Deadline,
    ) -> Result<Enrolment, ApiError> {
        v2::check_registration(&mut self.client, user, registration, code, deadline)
    }

    fn poll_registration(
        &mut self,
        user: &UserId,
        registration: &RegistrationId,
        deadline: Deadline,
    ) -> Result<Enrolment, ApiError> {
        v2::poll_registration(&mut self.client, user, registration, deadline)
    }
}

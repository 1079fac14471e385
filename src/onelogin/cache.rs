//! What OneLogin said of a user: id, state and devices, kept for `users.cache` seconds from the
//! look-up, and dropped on any sign that it is no longer true.

use crate::api::Devices;
use crate::config::{Attribute, Config, Version};
use crate::digest;
use crate::factor::{Codes, Device, Factor};
use crate::id::{DeviceId, UserId};
use crate::map::UserKey;
use crate::state::{Lock, State};
use serde::{Deserialize, Serialize};

/// The cache of one login.
pub struct Cache<'a> {
    state: &'a State,
    config: &'a Config,
    /// The name of the entry that this login asks for.
    name: String,
    /// What was found there.
    found: Option<(UserId, Devices)>,
    /// Held from the look-up of the user to that of the devices, so that only one of several
    /// simultaneous logins of a user asks OneLogin.
    lock: Option<Lock>,
    /// When the look-up began.
    asked: Option<i64>,
    /// Whether what was looked up is kept.
    is_cached: bool,
}

impl<'a> Cache<'a> {
    /// The cache in this folder.
    #[must_use]
    pub fn new(config: &'a Config, state: &'a State) -> Self {
        Self {
            state,
            config,
            name: String::new(),
            found: None,
            lock: None,
            asked: None,
            is_cached: false,
        }
    }

    /// Whether what was looked up now is kept for the next login.
    #[must_use]
    pub fn is_cached(&self) -> bool {
        self.is_cached
    }

    /// The user of this name or id, if a recent look-up found it active and with devices. If not, other
    /// logins wait until this one has asked.
    pub fn user(&mut self, key: &UserKey) -> Option<UserId> {
        self.found = None;
        if self.config.users.cache.is_zero() {
            return None;
        }
        self.name = self.name_of(key);
        self.found = self.read();
        if self.found.is_none() {
            self.lock = self.state.lock("directory", &self.name);
            self.found = self.read();
            self.asked = self.state.now().ok();
        }
        let (user, _) = self.found.as_ref()?;
        self.lock = None;
        Some(user.clone())
    }

    /// How many seconds ago this name or id was looked up, and its id, if the entry still counts.
    #[must_use]
    pub fn cached(&self, key: &UserKey) -> Option<(i64, UserId)> {
        let (asked, user, _) = self.entry(&self.name_of(key))?;
        Some((self.state.now().ok()? - asked, user))
    }

    /// The devices that belong to [`Cache::user`].
    pub fn devices(&mut self, user: &UserId) -> Option<Devices> {
        self.found
            .take_if(|(found, _)| found == user)
            .map(|(_, devices)| devices)
    }

    /// Keeps what OneLogin said just now, if it is of use: that a user has no device is not kept,
    /// as an exemption may depend on it.
    pub fn store(&mut self, user: &UserId, devices: &Devices) {
        let asked = self.asked.filter(|_| !devices.usable.is_empty());
        if let (Some(asked), Some(file)) = (asked, self.file(&self.name)) {
            let entry = Entry {
                asked,
                user: user.as_str().to_owned(),
                enrolled: devices.enrolled,
                devices: devices.usable.iter().map(DeviceEntry::from).collect(),
            };
            if let Ok(text) = serde_json::to_vec(&entry) {
                // What cannot be kept is asked for again next time.
                self.is_cached = self.state.write(&file, &text).is_ok();
            }
        }
        self.lock = None;
    }

    /// Lets other logins ask.
    pub fn unlock(&mut self) {
        self.lock = None;
    }

    /// Removes the entry of this user.
    pub fn forget(&mut self) {
        if let Some(file) = self.file(&self.name).filter(|_| !self.name.is_empty()) {
            self.state.remove(&file);
        }
    }

    /// The file of an entry; its times count from this start of the machine.
    fn file(&self, name: &str) -> Option<String> {
        Some(format!("directory-{}-{name}", self.state.boot().ok()?))
    }

    /// A digest of everything that the answer depends on.
    fn name_of(&self, key: &UserKey) -> String {
        let (onelogin, users) = (&self.config.onelogin, &self.config.users);
        let credential = onelogin.access.lookup_id();
        let version = match onelogin.version {
            Version::V1 => "1",
            Version::V2 => "2",
        };
        let (form, key) = match key {
            UserKey::Id(id) => ("id", id.as_str()),
            UserKey::Name(name) => ("name", name.as_str()),
        };
        let attribute = users.attribute.as_ref().map(Attribute::name);
        let rules = format!("{} {}", users.ignore_case, users.check_active);
        let mut parts = vec![
            onelogin.origin.as_str(),
            credential,
            version,
            attribute.as_deref().unwrap_or_default(),
            &rules,
            form,
            key,
        ];
        parts.extend(self.config.factors.magic_link.iter().map(String::as_str));
        digest::name(&parts)
    }

    fn read(&self) -> Option<(UserId, Devices)> {
        let (_, user, devices) = self.entry(&self.name)?;
        Some((user, devices))
    }

    /// When the user was looked up, and what was found. An entry that cannot be read counts as absent.
    fn entry(&self, name: &str) -> Option<(i64, UserId, Devices)> {
        let text = self.state.read(&self.file(name)?).ok()?;
        let entry: Entry = serde_json::from_slice(&text).ok()?;
        let life = i64::try_from(self.config.users.cache.as_secs()).unwrap_or(0);
        let age = self.state.now().ok()?.checked_sub(entry.asked)?;
        let devices: Option<Vec<Device>> =
            entry.devices.into_iter().map(DeviceEntry::device).collect();
        let devices = Devices {
            usable: devices?,
            enrolled: entry.enrolled,
            odd: 0,
        };
        let is_of_use = devices.enrolled > 0 && !devices.usable.is_empty();
        let holds = is_of_use && (0..life).contains(&age);
        Some((entry.asked, UserId::parse(&entry.user)?, devices)).filter(|_| holds)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// In seconds since the machine started.
    asked: i64,
    user: String,
    enrolled: usize,
    devices: Vec<DeviceEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceEntry {
    id: String,
    factor: String,
    name: String,
    default: bool,
    codes: String,
}

impl From<&Device> for DeviceEntry {
    fn from(device: &Device) -> Self {
        Self {
            id: device.id.as_str().to_owned(),
            factor: device.factor.word().to_owned(),
            name: device.name.clone(),
            default: device.default,
            codes: device.codes.word().to_owned(),
        }
    }
}

impl DeviceEntry {
    fn device(self) -> Option<Device> {
        let factor = Factor::all().find(|factor| factor.word() == self.factor)?;
        let codes = Codes::all().find(|codes| codes.word() == self.codes)?;
        let device = Device::new(DeviceId::parse(&self.id)?, factor, self.name, self.default);
        Some(Device { codes, ..device })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::Trusted;
    use crate::user::Uids;

    fn state(dir: &tempfile::TempDir) -> State {
        let uid = nix::unistd::getuid().as_raw();
        let trusted = Trusted::of(Uids {
            real: uid,
            effective: uid,
            saved: uid,
        });
        State::by_clock(&dir.path().join("state"), trusted, || Some(1_000))
    }

    fn config(version: u8) -> Config {
        let text = format!(
            "[onelogin]\nurl = \"https://x.onelogin.com\"\nclient_id = \"i\"\nclient_secret = \"s\"\napi_version = {version}\n"
        );
        crate::config::parse("c", &text).unwrap_or_else(|faults| panic!("{faults:?}"))
    }

    fn alice() -> UserKey {
        UserKey::Name("alice".to_owned())
    }

    #[test]
    fn what_is_kept_is_found_as_it_was_and_by_its_own_version_of_the_api_only() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(&dir);
        let (first, second) = (config(1), config(2));
        let user = UserId::parse("1001").unwrap();
        let id = DeviceId::parse("501").unwrap();
        let mut device = Device::new(id, Factor::Push, "Phone".to_owned(), true);
        device.codes = Codes::Never;
        let mut cache = Cache::new(&first, &state);
        assert_eq!(cache.user(&alice()), None);
        let devices = Devices {
            usable: vec![device.clone()],
            enrolled: 2,
            odd: 0,
        };
        cache.store(&user, &devices);
        assert_eq!(Cache::new(&second, &state).user(&alice()), None);
        let mut cache = Cache::new(&first, &state);
        assert_eq!(cache.user(&alice()), Some(user.clone()));
        let found = cache.devices(&user).unwrap();
        assert_eq!((found.usable, found.enrolled), (vec![device], 2));
    }

    #[test]
    fn an_entry_in_the_form_of_another_build_is_asked_for_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (state, config) = (state(&dir), config(1));
        let user = UserId::parse("1001").unwrap();
        let id = DeviceId::parse("501").unwrap();
        let devices = Devices {
            usable: vec![Device::new(id, Factor::Push, "Phone".to_owned(), true)],
            enrolled: 1,
            odd: 0,
        };
        let mut cache = Cache::new(&config, &state);
        assert_eq!(cache.user(&alice()), None);
        cache.store(&user, &devices);
        let file = cache.file(&cache.name).unwrap();
        let kept = state.read(&file).unwrap();
        let kept = std::str::from_utf8(&kept).unwrap();
        let ours = r#""codes":"at-hand""#;
        for (other, is_read) in [
            (ours, true),
            (r#""takes_codes":true"#, false),
            (r#""codes":"of-a-later-build""#, false),
            (r#""codes":"at-hand","later":1"#, false),
        ] {
            assert!(kept.contains(ours), "{kept}");
            let text = kept.replace(ours, other);
            state.write(&file, text.as_bytes()).unwrap();
            let found = Cache::new(&config, &state).user(&alice());
            assert_eq!(found.is_some(), is_read, "{other}");
        }
    }

    #[test]
    fn who_finds_nobody_lets_others_ask_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (own, other) = (state(&dir), state(&dir));
        let config = config(2);
        let mut cache = Cache::new(&config, &own);
        assert_eq!(cache.user(&alice()), None);
        cache.unlock();
        assert!(other.lock("directory", &cache.name).is_some());
    }
}

//! What OneLogin said of a user: id, state and devices, believed for `users.cache` seconds from the
//! look-up, and dropped on any sign that it is no longer true.

use crate::config::{Attribute, Config, Version};
use crate::factor::{Device, Factor};
use crate::map::Wanted;
use crate::onelogin::wire::{DeviceId, Devices, UserId};
use crate::state;
use crate::state::Lock;
use crate::state::notes::{Kind, Notes};
use serde::{Deserialize, Serialize};

/// The cache of one login.
pub struct Cache<'a> {
    notes: Notes<'a>,
    /// `None`: nothing is believed.
    kind: Option<Kind>,
    config: &'a Config,
    /// The name of the entry that this login asks for.
    name: String,
    /// What was found there.
    found: Option<(UserId, Devices)>,
    /// Held from the look-up of a user to that of the devices, so that of many logins of one user
    /// at once one asks.
    lock: Option<Lock>,
    /// When the look-up began.
    asked: Option<i64>,
}

impl<'a> Cache<'a> {
    /// The cache under these notes.
    #[must_use]
    pub fn new(config: &'a Config, notes: Notes<'a>) -> Self {
        let life = i64::try_from(config.users.cache.as_secs()).unwrap_or(0);
        Self {
            notes,
            kind: (life > 0).then_some(Kind {
                word: "directory",
                life,
            }),
            config,
            name: String::new(),
            found: None,
            lock: None,
            asked: None,
        }
    }

    /// The user of this name or id, if it was looked up lately, active, with devices. If not, other
    /// logins wait until this one has asked.
    pub fn user(&mut self, wanted: &Wanted) -> Option<UserId> {
        let kind = self.kind?;
        self.name = self.name_of(wanted);
        self.found = self.read(kind);
        if self.found.is_none() {
            self.lock = self.notes.state().lock("directory", &self.name);
            self.found = self.read(kind);
            self.asked = self.notes.now().ok();
        }
        let (user, _) = self.found.as_ref()?;
        self.lock = None;
        Some(user.clone())
    }

    /// How many seconds ago this name or id was looked up, if that is still believed.
    #[must_use]
    pub fn age(&self, wanted: &Wanted) -> Option<i64> {
        self.notes.age(self.kind?, &self.name_of(wanted))
    }

    /// The devices that belong to [`Cache::user`].
    pub fn devices(&mut self, user: &UserId) -> Option<Devices> {
        self.found
            .take_if(|(found, _)| found == user)
            .map(|(_, devices)| devices)
    }

    /// Keeps what OneLogin said just now, if it is of use: that somebody has no device is believed
    /// only fresh, as an exemption may rest on it.
    pub fn keep(&mut self, user: &UserId, devices: &Devices) {
        if let Some(kind) = self.kind.filter(|_| !devices.usable.is_empty()) {
            let entry = Entry {
                user: user.as_str().to_owned(),
                enrolled: devices.enrolled,
                devices: devices.usable.iter().map(DeviceEntry::from).collect(),
            };
            if let (Ok(text), Some(asked)) = (serde_json::to_string(&entry), self.asked) {
                // What cannot be kept is asked for again next time.
                let _ = self.notes.write_at(kind, &self.name, &text, asked);
            }
        }
        self.lock = None;
    }

    /// Lets other logins ask.
    pub fn unlock(&mut self) {
        self.lock = None;
    }

    /// Believes nothing of this user any more.
    pub fn forget(&mut self) {
        if let Some(kind) = self.kind {
            self.notes.remove(kind, &self.name);
        }
    }

    /// A digest of everything that the answer depends on.
    fn name_of(&self, wanted: &Wanted) -> String {
        let (onelogin, users) = (&self.config.onelogin, &self.config.users);
        let credential = onelogin
            .lookup
            .as_ref()
            .map_or(&onelogin.client_id, |lookup| &lookup.client_id);
        let version = match onelogin.version {
            Version::V1 => "1",
            Version::V2 => "2",
        };
        let (form, wanted) = match wanted {
            Wanted::Id(id) => ("id", id.as_str()),
            Wanted::Name(name) => ("name", name.as_str()),
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
            wanted,
        ];
        parts.extend(self.config.factors.magic_link.iter().map(String::as_str));
        state::name(&parts)
    }

    /// An entry that cannot be read is none.
    fn read(&self, kind: Kind) -> Option<(UserId, Devices)> {
        let text = self.notes.find(kind, &self.name).ok()?;
        let entry: Entry = serde_json::from_str(&text).ok()?;
        let devices: Option<Vec<Device>> =
            entry.devices.into_iter().map(DeviceEntry::device).collect();
        let devices = Devices {
            usable: devices?,
            enrolled: entry.enrolled,
        };
        let has_devices = devices.enrolled > 0 && !devices.usable.is_empty();
        Some((UserId::parse(&entry.user)?, devices)).filter(|_| has_devices)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
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
    takes_codes: bool,
}

impl From<&Device> for DeviceEntry {
    fn from(device: &Device) -> Self {
        Self {
            id: device.id.as_str().to_owned(),
            factor: device.factor.word().to_owned(),
            name: device.name.clone(),
            default: device.default,
            takes_codes: device.takes_codes,
        }
    }
}

impl DeviceEntry {
    fn device(self) -> Option<Device> {
        let all = Factor::WORDS.iter().flat_map(|(_, factors)| *factors);
        let factor = all.copied().find(|factor| factor.word() == self.factor)?;
        let device = Device::new(DeviceId::parse(&self.id)?, factor, self.name, self.default);
        Some(Device {
            takes_codes: self.takes_codes,
            ..device
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State;
    use crate::trust::Trusted;
    use crate::user::Uids;

    fn state(dir: &tempfile::TempDir) -> State {
        let uid = nix::unistd::getuid().as_raw();
        let trusted = Trusted::of(Uids {
            real: uid,
            effective: uid,
            saved: uid,
        });
        State::open(&dir.path().join("state"), trusted)
    }

    fn config(version: u8) -> Config {
        let text = format!(
            "[onelogin]\nurl = \"https://x.onelogin.com\"\nclient_id = \"i\"\nclient_secret = \"s\"\napi_version = {version}\n"
        );
        crate::config::parse("c", &text).unwrap_or_else(|faults| panic!("{faults:?}"))
    }

    fn alice() -> Wanted {
        Wanted::Name("alice".to_owned())
    }

    #[test]
    fn what_is_kept_is_found_as_it_was_and_by_its_own_version_of_the_api_only() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(&dir);
        let notes = Notes::new(&state, || Some(1_000));
        let (first, second) = (config(1), config(2));
        let user = UserId::parse("1001").unwrap();
        let id = DeviceId::parse("501").unwrap();
        let mut device = Device::new(id, Factor::Push, "Phone".to_owned(), true);
        device.takes_codes = false;
        let mut cache = Cache::new(&first, notes);
        assert_eq!(cache.user(&alice()), None);
        let devices = Devices {
            usable: vec![device.clone()],
            enrolled: 2,
        };
        cache.keep(&user, &devices);
        assert_eq!(Cache::new(&second, notes).user(&alice()), None);
        let mut cache = Cache::new(&first, notes);
        assert_eq!(cache.user(&alice()), Some(user.clone()));
        let found = cache.devices(&user).unwrap();
        assert_eq!((found.usable, found.enrolled), (vec![device], 2));
    }

    #[test]
    fn who_finds_nobody_lets_others_ask_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (own, other) = (state(&dir), state(&dir));
        let config = config(2);
        let mut cache = Cache::new(&config, Notes::new(&own, || Some(1_000)));
        assert_eq!(cache.user(&alice()), None);
        cache.unlock();
        assert!(other.lock("directory", &cache.name).is_some());
    }
}

//! Whether a login through a service was accepted since the admin's tool began to watch it: how a
//! stack on trial is seen to work. Where nothing is watched, a login looks for one file.

use super::{State, StateError};
use crate::digest::name;

impl State {
    /// From now on logins through this service are recorded.
    ///
    /// # Errors
    /// [`StateError`] when that could not be written.
    pub fn watch(&self, service: &str) -> Result<(), StateError> {
        self.write(&file(service), b"")
    }

    /// Records that this user's login was accepted, where the service is watched.
    pub fn record_login(&self, service: &str, user: &str) {
        if self.read(&file(service)).is_ok() {
            // Without the record the tool says that it has seen none, which is safe.
            let _ = self.write(&file(service), user.as_bytes());
        }
    }

    /// Whose login was accepted last, since the service is watched.
    #[must_use]
    pub fn recorded_login(&self, service: &str) -> Option<String> {
        let user = self.read(&file(service)).ok()?;
        let user = String::from_utf8_lossy(&user).into_owned();
        (!user.is_empty()).then_some(user)
    }

    /// Logins are recorded no longer.
    pub fn unwatch(&self, service: &str) {
        self.remove(&file(service));
    }
}

fn file(service: &str) -> String {
    format!("watched-{}", name(&["service", service]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::uids;
    use crate::trust::Trusted;

    #[test]
    fn a_login_is_noted_where_its_service_is_watched_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let state = State::open(&path, Trusted::of(uids()));
        state.record_login("sshd", "alice");
        assert_eq!(path.read_dir().unwrap().count(), 0);
        state.watch("sshd").unwrap();
        state.record_login("sudo", "alice");
        assert_eq!(state.recorded_login("sshd"), None);
        state.record_login("sshd", "alice");
        assert_eq!(state.recorded_login("sshd").as_deref(), Some("alice"));
        state.watch("sshd").unwrap();
        assert_eq!(state.recorded_login("sshd"), None);
        state.unwatch("sshd");
        state.record_login("sshd", "alice");
        assert_eq!(state.recorded_login("sshd"), None);
    }
}

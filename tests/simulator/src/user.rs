//! A directory entry as the users API shows it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::device::Factor;

/// A user of the simulated account. `None` is JSON `null`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct User {
    /// `OneLogin`'s id of the user.
    pub id: u64,
    /// Often empty or null in real accounts.
    pub username: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// Active Directory's short name.
    pub samaccountname: Option<String>,
    /// Active Directory's `name@domain`; shown, but no filter of the v2 search.
    pub userprincipalname: Option<String>,
    /// The id in some other directory.
    pub external_id: Option<String>,
    /// The given name.
    pub firstname: Option<String>,
    /// The family name.
    pub lastname: Option<String>,
    /// 1 is approved.
    pub state: i64,
    /// 1 is active, 2 suspended, 3 locked.
    pub status: i64,
    /// Values of custom attributes by short name.
    pub custom_attributes: BTreeMap<String, String>,
    /// Roles of the user.
    pub role_ids: Vec<u64>,
    /// What the user's policy allows to enrol; by default all that the documentation names.
    pub factors: Vec<Factor>,
}

impl User {
    /// An approved, active user with the e-mail address `<username>@example.com`.
    pub fn new(id: u64, username: impl Into<String>) -> User {
        let username = username.into();
        User {
            id,
            email: Some(format!("{username}@example.com")),
            username: Some(username),
            samaccountname: None,
            userprincipalname: None,
            external_id: None,
            firstname: None,
            lastname: None,
            state: 1,
            status: 1,
            custom_attributes: BTreeMap::new(),
            role_ids: Vec::new(),
            factors: vec![
                Factor::Protect,
                Factor::Authenticator,
                Factor::Sms,
                Factor::Email,
                Factor::Voice,
            ],
        }
    }

    /// With this e-mail address.
    pub fn email(mut self, value: impl Into<String>) -> User {
        self.email = Some(value.into());
        self
    }

    /// With this Active Directory short name.
    pub fn samaccountname(mut self, value: impl Into<String>) -> User {
        self.samaccountname = Some(value.into());
        self
    }

    /// With this Active Directory principal name.
    pub fn userprincipalname(mut self, value: impl Into<String>) -> User {
        self.userprincipalname = Some(value.into());
        self
    }

    /// With this state.
    pub fn state(mut self, value: i64) -> User {
        self.state = value;
        self
    }

    /// With this status.
    pub fn status(mut self, value: i64) -> User {
        self.status = value;
        self
    }

    /// With this custom attribute.
    pub fn custom_attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> User {
        self.custom_attributes.insert(name.into(), value.into());
        self
    }

    /// With a policy that allows these factors to be enrolled.
    pub fn factors(mut self, factors: impl IntoIterator<Item = Factor>) -> User {
        self.factors = factors.into_iter().collect();
        self
    }

    /// The name for people: the user name, or else the id.
    pub(crate) fn label(&self) -> String {
        self.username.clone().unwrap_or_else(|| self.id.to_string())
    }

    /// The whole object, as `GET /api/2/users/:id` gives it.
    pub(crate) fn json(&self) -> Value {
        json!({
            "id": self.id,
            "username": self.username,
            "email": self.email,
            "samaccountname": self.samaccountname,
            "userprincipalname": self.userprincipalname,
            "external_id": self.external_id,
            "firstname": self.firstname,
            "lastname": self.lastname,
            "state": self.state,
            "status": self.status,
            "custom_attributes": self.custom_attributes,
            "role_ids": self.role_ids,
            "group_id": null,
            "directory_id": null,
            "distinguished_name": null,
            "phone": null,
            "member_of": null,
            "invalid_login_attempts": 0,
            "locked_until": null,
            "last_login": null,
            "activated_at": "2024-01-01T00:00:00.000Z",
            "created_at": "2024-01-01T00:00:00.000Z",
            "updated_at": "2024-01-01T00:00:00.000Z",
            "password_changed_at": null,
        })
    }
}

//! What a call gets.

use super::calls::Sent;
use super::{Judge, TOKEN};
use crate::factors::DEVICES;
use crate::reading::{self, Asked, Version};
use crate::story::Scripted;
use serde_json::{Value, json};
use std::collections::VecDeque;

impl Judge<'_> {
    /// The next reply of the story for a call; where there is none, what a healthy OneLogin says.
    pub(super) fn next(&self, sent: &Sent) -> Scripted {
        let mut story = self.story.borrow_mut();
        let replies = story.replies.get_mut(&sent.kind());
        replies.and_then(VecDeque::pop_front).unwrap_or_else(|| {
            let (status, body) = self.healthy(sent);
            Scripted::Reply {
                status,
                retry_after: None,
                body: body.to_string().into_bytes(),
            }
        })
    }

    /// It knows the user, who has a device of each kind, and it never accepts.
    fn healthy(&self, sent: &Sent) -> (u16, Value) {
        let body = match sent {
            Sent::Token => {
                json!({"access_token": TOKEN, "created_at": "2100-01-01T00:00:00Z", "expires_in": 36000})
            }
            Sent::User { version, id } => self.user(*version, id.as_deref()),
            Sent::Devices { version, .. } => devices(*version),
            Sent::Activation(asked) => activation(asked),
            Sent::Verify(asked) => return no_acceptance(asked),
            Sent::Factors => json!([
                {"factor_id": 1, "name": "Authenticator", "auth_factor_name": "Google Authenticator"},
                {"factor_id": 2, "name": "Phone", "auth_factor_name": "OneLogin"},
                {"factor_id": 3, "name": "Text", "auth_factor_name": "SMS"},
            ]),
            Sent::Registration => {
                let data = json!({"totp_url": "otpauth://totp/x?secret=GEZDGNBV", "verification_token": "4711"});
                json!({"id": "r-1", "factor_data": data})
            }
            Sent::Enrolment => json!({"id": "r-1", "status": "pending"}),
        };
        (200, body)
    }

    fn user(&self, version: Version, id: Option<&str>) -> Value {
        let id = id.map_or(json!(1001), Value::from);
        let mut user = json!({"id": id, "state": 1, "status": 1});
        if let Some(reading::Wanted {
            attribute: Some(name),
            value,
            ..
        }) = self.wanted()
        {
            match name.strip_prefix("custom_attributes.") {
                Some(name) => user["custom_attributes"] = json!({name: value}),
                None => user[name] = json!(value),
            }
        }
        match (version, id.is_string()) {
            (_, true) => user,
            (Version::V2, false) => json!([user]),
            (Version::V1, false) => enveloped(&json!([user])),
        }
    }
}

fn devices(version: Version) -> Value {
    let devices = DEVICES.iter().map(|&(id, name)| match version {
        Version::V2 => json!({"device_id": id.to_string(), "auth_factor_name": name}),
        Version::V1 => {
            json!({"id": id, "auth_factor_name": name, "needs_trigger": name == "OneLogin Protect"})
        }
    });
    let list: Value = devices.collect();
    match version {
        Version::V2 => list,
        Version::V1 => enveloped(&json!({"otp_devices": list})),
    }
}

fn activation(asked: &Asked) -> Value {
    let Asked { user, device, .. } = asked;
    match asked.version {
        Version::V2 => {
            let digits = json!({"verification_token": "42"});
            json!({"id": "v-1", "user_id": user, "device_id": device, "factor_data": digits})
        }
        Version::V1 => enveloped(&json!([{"id": user, "device_id": device, "state_token": "v-1"}])),
    }
}

/// A code is wrong, and nobody has answered a push yet.
fn no_acceptance(asked: &Asked) -> (u16, Value) {
    let words = match (asked.version, asked.code) {
        (Version::V2, false) => {
            return (200, json!({"id": asked.verification, "status": "pending"}));
        }
        (Version::V1, false) => "Authentication pending on OL Protect",
        (_, true) => "Failed authentication with this factor",
    };
    let status = json!({"error": true, "code": 401, "type": "Unauthorized", "message": words});
    (401, json!({"status": status}))
}

fn enveloped(data: &Value) -> Value {
    let status = json!({"error": false, "code": 200, "type": "success", "message": "Success"});
    json!({"status": status, "data": data})
}

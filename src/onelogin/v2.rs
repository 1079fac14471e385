//! OneLogin's API, version 2. Sources: the pages "List Users", "Enrolled Factors", "Activate
//! Factor", "Verify Factor" (PUT, POST and poll) of OneLogin's developer documentation.

use crate::config::{Attribute, Config};
use crate::factor::{Code, Device, Factor};
use crate::login::{Api, ApiError};
use crate::onelogin::http::{Allowance, Call, Caller, Exchange, Http, Method, exposed, json};
use crate::onelogin::token::Tokens;
use crate::onelogin::wire::{
    self, Answer, DeviceId, Devices, Found, Ours, Reply, UserId, VerificationId, Verify,
};
use crate::secret::Secret;
use crate::state::State;
use crate::trust::Trusted;
use serde::{Serialize, Serializer};
use std::time::Duration;

/// The API for one login.
pub struct V2<'a> {
    http: Http,
    tokens: Tokens<'a>,
    attribute: Attribute,
    ignore_case: bool,
    expires_in: u32,
}

impl<'a> V2<'a> {
    /// Prepares the API. Nothing is sent before it is asked.
    #[must_use]
    pub fn new(
        config: &'a Config,
        client_secret: &'a Secret,
        state: &'a State,
        trusted: Trusted,
    ) -> Self {
        Self {
            http: Http::new(config, trusted),
            tokens: Tokens::new(config, client_secret, state),
            attribute: config.users.attribute,
            ignore_case: config.users.ignore_case,
            expires_in: config.factors.expires_in,
        }
    }

    /// What was sent.
    #[must_use]
    pub fn into_exchanges(self) -> Vec<Exchange> {
        self.http.into_exchanges()
    }

    /// Reads something. A token that is not taken is replaced once: only here, as a GET changes
    /// nothing when it is sent again (rule R16).
    fn get(
        &mut self,
        path: &str,
        query: &[(&str, &str)],
        allowance: Allowance,
    ) -> Result<Reply, ApiError> {
        let reply = self.send(Method::Get, path, query, allowance)?;
        if reply.status != 401 {
            return Ok(reply);
        }
        self.tokens.forget();
        self.send(Method::Get, path, query, allowance)
    }

    /// Sends something that must not be sent twice. After a 401 the next try starts cold.
    fn act(&mut self, method: Method, path: &str, allowance: Allowance) -> Result<Reply, ApiError> {
        let reply = self.send(method, path, &[], allowance)?;
        if reply.status == 401 {
            self.tokens.forget();
        }
        Ok(reply)
    }

    fn send(
        &mut self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        allowance: Allowance,
    ) -> Result<Reply, ApiError> {
        let token = self.tokens.bearer(&mut self.http, allowance)?;
        let call = Call {
            method,
            path: path.to_owned(),
            query,
            caller: Caller::Bearer(&token),
        };
        self.http.send(&call, allowance)
    }
}

impl Api for V2<'_> {
    fn user(&mut self, name: &str, time: Duration) -> Result<Found, ApiError> {
        let attribute = self.attribute.name();
        let fields = format!("id,{attribute},state,status");
        let query = [
            (attribute, name),
            ("fields", fields.as_str()),
            ("limit", "2"),
        ];
        let reply = self.get("/api/2/users", &query, Allowance::of(time))?;
        wire::user(&reply, self.attribute, name, self.ignore_case)
    }

    fn devices(&mut self, user: &UserId, time: Duration) -> Result<Devices, ApiError> {
        let path = format!("{}/devices", base(user));
        let reply = self.get(&path, &[], Allowance::of(time))?;
        wire::devices(&reply)
    }

    fn activate(
        &mut self,
        user: &UserId,
        device: &Device,
        time: Duration,
    ) -> Result<VerificationId, ApiError> {
        let body = json(&ActivateBody {
            device_id: &device.id,
            expires_in: self.expires_in,
        })?;
        let path = format!("{}/verifications", base(user));
        let reply = self.act(Method::Post(body), &path, Allowance::of(time))?;
        wire::activation(&reply, ours(user, device, None))
    }

    fn check(
        &mut self,
        user: &UserId,
        device: &Device,
        verification: Option<&VerificationId>,
        code: &Code,
        time: Duration,
    ) -> Result<Answer, ApiError> {
        let path = format!("{}/verifications", base(user));
        let otp = code.secret();
        let reply = match verification {
            None => {
                let body = json(&DirectBody {
                    otp,
                    device_id: &device.id,
                })?;
                self.act(Method::Post(body), &path, Allowance::of(time))?
            }
            Some(verification) => {
                // The documentation wants the device's id beside an authenticator's code, and
                // shows none beside an SMS's.
                let device_id = match device.factor {
                    Factor::Totp | Factor::Push => Some(&device.id),
                    Factor::Sms => None,
                };
                let body = json(&PutBody { otp, device_id })?;
                let path = format!("{path}/{}", verification.as_str());
                self.act(Method::Put(body), &path, Allowance::of(time))?
            }
        };
        wire::answer(Verify::Code, &reply, ours(user, device, verification))
    }

    fn poll(
        &mut self,
        user: &UserId,
        device: &Device,
        verification: &VerificationId,
        time: Duration,
    ) -> Result<Answer, ApiError> {
        let path = format!("{}/verifications/{}", base(user), verification.as_str());
        let reply = self.get(&path, &[], Allowance::of(time))?;
        wire::answer(Verify::Poll, &reply, ours(user, device, Some(verification)))
    }
}

fn base(user: &UserId) -> String {
    format!("/api/2/mfa/users/{}", user.as_str())
}

fn ours<'a>(
    user: &'a UserId,
    device: &'a Device,
    verification: Option<&'a VerificationId>,
) -> Ours<'a> {
    Ours {
        user,
        device: &device.id,
        verification,
    }
}

/// Without an `otp` the same URL sends a push or a text message: hence a type of its own for each.
#[derive(Serialize)]
struct ActivateBody<'a> {
    device_id: &'a DeviceId,
    expires_in: u32,
}

#[derive(Serialize)]
struct DirectBody<'a> {
    #[serde(serialize_with = "exposed")]
    otp: &'a Secret,
    device_id: &'a DeviceId,
}

#[derive(Serialize)]
struct PutBody<'a> {
    #[serde(serialize_with = "exposed")]
    otp: &'a Secret,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<&'a DeviceId>,
}

/// A number where it is one, as in the newest documentation, and text elsewhere: not every device
/// id is a number.
impl Serialize for DeviceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.as_str().parse::<u64>() {
            Ok(number) if number.to_string() == self.as_str() => serializer.serialize_u64(number),
            _ => serializer.serialize_str(self.as_str()),
        }
    }
}

//! What the API credentials may do: each call that logins here need, and some that they should not. Only
//! reading calls are made; what they cannot tell is said to be not tried.

use crate::examine::replies::{Replies, UNKNOWN, of_error};
use crate::examine::subject::Subject;
use crate::login::outlook::{Prediction, subject};
use crate::ui::finding::Finding;
use pam_onelogin::api::{ApiError, ApiTrouble, Found};
use pam_onelogin::config::file::Loaded;
use pam_onelogin::config::{Config, NoFactor, Version};
use pam_onelogin::factor::Device;
use pam_onelogin::id::{UserId, VerificationId};
use pam_onelogin::login::Deadline;
use pam_onelogin::login::{Outcome, Unknown};
use pam_onelogin::map::UserKey;
use pam_onelogin::onelogin::client::{Client, Purpose, Role};
use pam_onelogin::onelogin::{users, v1, v2};
use pam_onelogin::state::State;
use pam_onelogin::user::{Request, Subject as Person, Unfit};
use serde::Deserialize;

/// Asks what the credentials may do.
pub(crate) fn examine(
    subject: &Subject<'_>,
    loaded: &Loaded,
    replies: &mut Replies<'_>,
    findings: &mut Vec<Finding>,
) {
    // A token that is kept would say nothing of the credential.
    let nowhere = State::nowhere();
    let mut probe = Probe {
        loaded,
        config: &loaded.config,
        client: Client::new(&loaded.config, &loaded.secrets, &nowhere, replies),
        findings,
    };
    probe.run(subject.user);
    let requests = replies.requests();
    let what = format!(
        "OneLogin was asked {requests} times; nothing was changed there, and nobody was sent anything"
    );
    findings.push(Finding::note("requests", what));
}

struct Probe<'a> {
    loaded: &'a Loaded,
    config: &'a Config,
    client: Client<'a>,
    findings: &'a mut Vec<Finding>,
}

impl Probe<'_> {
    fn run(&mut self, name: Option<&str>) {
        let has_lookup = self.config.onelogin.lookup.is_some();
        let looks_up = !has_lookup || self.token(Role::Lookup);
        let verifies = self.token(Role::Verify);
        let looks_up = looks_up && (has_lookup || verifies);
        let user = if looks_up { self.user(name) } else { None };
        let device = user.as_ref().and_then(|user| self.devices(user));
        if verifies {
            if let Some((user, device)) = user.as_ref().zip(device.as_ref()) {
                self.verification(user, device);
            }
            self.enrolment(user.as_ref());
        }
        self.not_tried(user.is_some(), device.is_some());
        if has_lookup && looks_up {
            self.excess(Role::Lookup, user.as_ref());
        }
        if verifies {
            self.excess(Role::Verify, user.as_ref());
        }
        match (looks_up, verifies) {
            (true, _) => self.rate_limit(Role::Lookup),
            (false, true) => self.rate_limit(Role::Verify),
            (false, false) => {}
        }
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(self.config.onelogin.request_timeout)
    }

    fn token(&mut self, role: Role) -> bool {
        let deadline = self.deadline();
        let table = self.client.table_of(role);
        let error = match self.client.authorise(role, deadline) {
            Ok(()) => {
                let what = format!("OneLogin gave a token for the credential of {table}");
                self.findings.push(Finding::good("token", what));
                return true;
            }
            Err(error) if error.trouble == ApiTrouble::Credential => error,
            Err(error) => {
                self.findings.push(of_error(&error));
                return false;
            }
        };
        let advice = if error.detail.starts_with("status=404") {
            "compare onelogin.url with the address at which you administer OneLogin"
        } else {
            "compare client_id and client_secret with OneLogin's Administration, Developers, API Credentials"
        };
        let what = format!("OneLogin gave no token: {}", error.detail);
        self.findings.push(
            Finding::fault("token", what)
                .why("everybody is denied, reason=credential")
                .advice(advice),
        );
        false
    }

    /// Looks a user up; somebody whom nobody is called after, where no name was given.
    fn user(&mut self, name: Option<&str>) -> Option<UserId> {
        let wanted = match name {
            Some(name) => self.wanted(name)?,
            None => nobody(self.config)?,
        };
        let deadline = self.deadline();
        let users = &self.config.users;
        let found = match (&wanted, &users.attribute) {
            (UserKey::Name(value), Some(attribute)) => {
                let ignore_case = users.ignore_case;
                users::by_attribute(&mut self.client, attribute, value, ignore_case, deadline)
            }
            (UserKey::Id(id), _) => users::by_id(&mut self.client, id, deadline),
            (UserKey::Name(_), None) => return None,
        };
        let found = self.may(Role::Lookup, "look users up", found)?;
        match (name, found) {
            (Some(_), Found::One(user)) => Some(user),
            (None, _) => None,
            (Some(name), Found::NoUser | Found::Gone) => self.cannot(name, Unknown::User),
            (Some(name), Found::Several) => self.cannot(name, Unknown::Several),
            (Some(name), Found::Other) => self.cannot(name, Unknown::Other),
            (Some(name), Found::Inactive) => self.cannot(name, Unknown::Inactive),
        }
    }

    /// Whom OneLogin should know for this Unix name.
    fn wanted(&mut self, name: &str) -> Option<UserKey> {
        let request = Request {
            user: Some(name.to_owned()),
            ..Request::default()
        };
        match subject(&request, self.loaded) {
            Ok(Person { key: wanted, .. }) => match wanted {
                Ok(wanted) => Some(wanted),
                Err(Unfit::Name) => self.cannot(name, Unknown::Name),
                Err(Unfit::NotMapped) => self.cannot(name, Unknown::NotMapped),
            },
            Err(outcome) => self.ends(name, &outcome),
        }
    }

    fn cannot<T>(&mut self, name: &str, unknown: Unknown) -> Option<T> {
        self.ends(name, &Outcome::Unknown(unknown))
    }

    /// This user cannot be asked for, in the log's words.
    fn ends<T>(&mut self, name: &str, outcome: &Outcome) -> Option<T> {
        let what = format!("{name} {}", Prediction::of_end(outcome).sentence());
        let finding = Finding::warning("user", what);
        self.findings
            .push(finding.advice("name somebody else with --user, or type: pam-onelogin users"));
        None
    }

    /// A device of the user.
    fn devices(&mut self, user: &UserId) -> Option<Device> {
        let deadline = self.deadline();
        let client = &mut self.client;
        let devices = match self.config.onelogin.version {
            Version::V1 => v1::devices(client, user, deadline),
            Version::V2 => v2::devices(client, user, &self.config.factors, deadline),
        };
        let devices = self.may(Role::Lookup, "list a user's devices", devices)?;
        if devices.usable.is_empty() {
            let what = "that user has no device that can be used here";
            self.findings.push(Finding::warning("user", what));
        }
        devices.usable.into_iter().next()
    }

    /// Asks how a verification stands that nobody began: OneLogin does not know it, unless it may not say
    /// so. In version 1 the same call would be a try.
    fn verification(&mut self, user: &UserId, device: &Device) {
        let Some(unknown) = VerificationId::parse(UNKNOWN) else {
            return;
        };
        if self.config.onelogin.version == Version::V2 {
            let deadline = self.deadline();
            let answer = v2::poll(&mut self.client, user, device, &unknown, deadline);
            let _ = self.may(Role::Verify, "ask for verifications", answer);
        }
    }

    fn enrolment(&mut self, user: Option<&UserId>) {
        let (true, Some(user)) = (self.enrols(), user) else {
            return;
        };
        let deadline = self.deadline();
        let factors = &self.config.factors;
        let available = v2::available(&mut self.client, user, factors, deadline);
        let _ = self.may(Role::Verify, "list what a user can enrol", available);
    }

    fn enrols(&self) -> bool {
        self.config.users.no_factor == NoFactor::Enroll
    }

    fn not_tried(&mut self, has_user: bool, has_device: bool) {
        let what = if has_device {
            "not tried: to check a code, and to send one; either would use something up"
        } else if has_user {
            "not tried: verifications; that user has no device"
        } else {
            "not tried: a user's devices and verifications; name a user with --user"
        };
        self.findings.push(
            Finding::note("not-tried", what).advice("for the rest, type: pam-onelogin test USER"),
        );
    }

    /// What a call came to that logins need.
    fn may<T>(&mut self, role: Role, what: &str, result: Result<T, ApiError>) -> Option<T> {
        let table = self.client.table_of(role);
        let error = match result {
            Ok(value) => {
                let what = format!("the credential of {table} may {what}");
                self.findings.push(Finding::good("scope", what));
                return Some(value);
            }
            Err(error) => error,
        };
        self.findings.push(match error.trouble {
            ApiTrouble::Credential => {
                let detail = &error.detail;
                Finding::fault(
                    "scope-missing",
                    format!("the credential of {table} may not {what}: {detail}"),
                )
                .why("logins are denied, reason=credential")
                .advice("give it that scope: see \"OneLogin's side\" in the README")
            }
            // A credential that is told that there is no such thing may ask for it.
            ApiTrouble::NotFound => {
                let what = format!("the credential of {table} may {what}");
                Finding::good("scope", what)
            }
            _ => of_error(&error),
        });
        None
    }

    /// Whether OneLogin answers a call that no login makes.
    fn answers(&mut self, role: Role, path: &str, query: &[(&str, &str)]) -> bool {
        let purpose = Purpose { role, scope: "" };
        let deadline = self.deadline();
        let reply = self.client.get(purpose, path, query, deadline);
        reply.is_ok_and(|reply| reply.status == 200)
    }

    /// Whether a credential may do more than logins need. The tenant's apps are for Read All and Manage All
    /// alone, the factors that a user can enrol for Manage All alone, as documented.
    fn excess(&mut self, role: Role, user: Option<&UserId>) {
        let table = self.client.table_of(role);
        let reads_all = self.answers(role, "/api/2/apps", &[("limit", "1")]);
        let factors = user.map(|user| format!("/api/2/mfa/users/{}/factors", user.as_str()));
        let manages_all = reads_all && factors.is_some_and(|path| self.answers(role, &path, &[]));
        let is_v2 = self.config.onelogin.version == Version::V2;
        // Read All was seen to do for devices; nothing less was.
        let may_read_all = role == Role::Lookup && is_v2;
        let scope = match (manages_all, reads_all) {
            (true, _) => "everything in the tenant: its scope is Manage All",
            (false, true) if may_read_all => return,
            (false, true) => "the tenant's apps: its scope is Read All or Manage All",
            (false, false) => {
                let what = format!("the credential of {table} may not read the tenant's apps");
                self.findings.push(Finding::good("scope-small", what));
                return;
            }
        };
        let what = format!("the credential of {table} may reach {scope}");
        let finding = if self.enrols() && role == Role::Verify {
            Finding::note("scope-large", what)
                .why("whoever becomes root here has it; enrolment at the login needs Manage All")
        } else {
            let advice = if is_v2 {
                "try Authentication Only for [onelogin] and Read All for [onelogin.lookup]: see \"OneLogin's side\" in the README"
            } else {
                "Manage Users is enough for [onelogin], and Read Users for [onelogin.lookup]"
            };
            Finding::warning("scope-large", what)
                .why("whoever becomes root on this host has it")
                .advice(advice)
        };
        self.findings.push(finding);
    }

    fn rate_limit(&mut self, role: Role) {
        let purpose = Purpose { role, scope: "" };
        let deadline = self.deadline();
        let reply = self.client.get(purpose, "/auth/rate_limit", &[], deadline);
        let body = reply.ok().filter(|reply| reply.status == 200);
        let body = body.and_then(|reply| serde_json::from_slice::<RateReply>(&reply.body).ok());
        let Some(RateReply { data: rate }) = body else {
            let what = "not tried: how many calls the account has left; the credential may not ask";
            self.findings.push(Finding::note("rate-limit", what));
            return;
        };
        let what = format!(
            "the account has {} of {} calls left, for {} s more",
            rate.left, rate.limit, rate.reset
        );
        self.findings.push(if rate.left < rate.limit / 10 {
            Finding::warning("rate-limit", what)
                .why("with none left, logins are denied; all clients of the account share them")
                .advice("find out who asks so much; raise users.cache")
        } else {
            Finding::good("rate-limit", what)
        });
    }
}

/// A name or id that no user has.
fn nobody(config: &Config) -> Option<UserKey> {
    let users = &config.users;
    match users.attribute {
        Some(_) => Some(UserKey::Name("pam-onelogin-check".to_owned())),
        None if users.check_active => UserId::parse("0").map(UserKey::Id),
        None => None,
    }
}

#[derive(Deserialize)]
struct RateReply {
    data: Rate,
}

#[derive(Deserialize)]
struct Rate {
    #[serde(rename = "X-RateLimit-Limit")]
    limit: u64,
    #[serde(rename = "X-RateLimit-Remaining")]
    left: u64,
    #[serde(rename = "X-RateLimit-Reset")]
    reset: u64,
}

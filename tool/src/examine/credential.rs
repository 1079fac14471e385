//! What the API credentials may do: each call that logins here need, and some that they should not be able
//! to make. Only reading calls are made; the report lists what they cannot test.

use crate::examine::config::place_of;
use crate::examine::found_by::{attribute, what_to_write};
use crate::examine::names::line_of;
use crate::examine::replies::{DOWN, Replies, UNKNOWN, of_error};
use crate::examine::subject::Subject;
use crate::examine::{directory, gateway};
use crate::login::outlook::{Prediction, group_of, subject, word};
use crate::ui::finding::{Finding, Place};
use pam_onelogin::api::{ApiError, ApiTrouble, Found};
use pam_onelogin::config::file::Loaded;
use pam_onelogin::config::{Config, NoFactor, Version};
use pam_onelogin::factor::Device;
use pam_onelogin::id::{UserId, VerificationId};
use pam_onelogin::login::Deadline;
use pam_onelogin::login::{Fault, Outcome, Unknown};
use pam_onelogin::map::UserKey;
use pam_onelogin::onelogin::calls::FACTORS;
use pam_onelogin::onelogin::client::{Client, Purpose, Role};
use pam_onelogin::onelogin::{users, v1, v2};
use pam_onelogin::state::State;
use pam_onelogin::user::{Exemption, Request, Subject as Person, Unfit};
use serde::Deserialize;

/// Asks what the credentials may do.
pub(crate) fn examine(
    subject: &Subject<'_>,
    loaded: &Loaded,
    replies: &mut Replies<'_>,
    findings: &mut Vec<Finding>,
) {
    // A cached token would prove nothing about the credential.
    let nowhere = State::nowhere();
    let mut probe = Probe {
        subject,
        loaded,
        config: &loaded.config,
        client: Client::new(&loaded.config, loaded.secrets.as_ref(), &nowhere, replies),
        findings,
    };
    probe.run(subject.user);
    let requests = replies.requests();
    let what = format!(
        "check sent {requests} requests to OneLogin; they changed nothing and sent no push, call or message"
    );
    findings.push(Finding::note("requests", what));
}

struct Probe<'a> {
    subject: &'a Subject<'a>,
    loaded: &'a Loaded,
    config: &'a Config,
    client: Client<'a>,
    findings: &'a mut Vec<Finding>,
}

impl Probe<'_> {
    fn run(&mut self, name: Option<&str>) {
        let access = &self.config.onelogin.access;
        if access.certificate().is_some() {
            self.through_a_gateway(name);
            return;
        }
        let has_lookup = access.has_lookup();
        let looks_up = !has_lookup || self.token(Role::Lookup);
        let verifies = self.token(Role::Verify);
        let looks_up = looks_up && (has_lookup || verifies);
        let user = if looks_up { self.user(name) } else { None };
        directory::editable(self.config, self.findings);
        if looks_up && user.is_none() {
            directory::empty_usernames(&mut self.client, self.config, self.findings);
        }
        let device = user
            .as_ref()
            .and_then(|user| self.devices(name.unwrap_or_default(), user));
        if verifies {
            if let Some((user, device)) = user.as_ref().zip(device.as_ref()) {
                self.verification(user, device);
            }
            self.enrolment(user.as_ref());
        }
        self.not_tried(name, user.is_some(), device.is_some());
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

    /// The credential is on the gateway: only calls of logins are made, and one that it must refuse.
    fn through_a_gateway(&mut self, name: Option<&str>) {
        let user = self.user(name);
        directory::editable(self.config, self.findings);
        let device = user
            .as_ref()
            .and_then(|user| self.devices(name.unwrap_or_default(), user));
        if let Some((user, device)) = user.as_ref().zip(device.as_ref()) {
            self.verification(user, device);
        }
        self.enrolment(user.as_ref());
        self.not_tried(name, user.is_some(), device.is_some());
        gateway::refuses(&mut self.client, self.config, self.findings);
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(self.config.onelogin.request_timeout)
    }

    /// The line of the credential of a role; behind a gateway, that of the certificate of this host.
    fn place(&self, role: Role) -> Place {
        if self.config.onelogin.access.certificate().is_some() {
            return place_of(self.subject, "onelogin.client_cert");
        }
        let table = self.client.table_of(role).trim_matches(['[', ']']);
        place_of(self.subject, &format!("{table}.client_id"))
    }

    fn token(&mut self, role: Role) -> bool {
        let deadline = self.deadline();
        let table = self.client.table_of(role);
        let error = match self.client.authorise(role, deadline) {
            Ok(()) => {
                let what = format!("OneLogin issued a token for the credential in {table}");
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
            "compare client_id and client_secret with Administration > Developers > API Credentials at OneLogin"
        };
        let what = format!(
            "OneLogin issued no token for the credential in {table}: {}",
            error.detail
        );
        self.findings.push(
            Finding::fault("token", what)
                .of(Some(self.place(role)))
                .why("every login is denied (reason=credential)")
                .advice(format!("{advice}; {DOWN}")),
        );
        false
    }

    /// Looks a user up; without `--user`, a name that no user has.
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
        let found = self.may(Role::Lookup, "look up users", found)?;
        let unknown = match found {
            Found::One(user) => return name.map(|_| user),
            Found::NoUser | Found::Gone => Unknown::User,
            Found::Several => Unknown::Several,
            Found::Other => Unknown::Other,
            Found::Inactive => Unknown::Inactive,
        };
        self.cannot(name?, unknown, Some(&wanted))
    }

    /// The name or id at OneLogin for this Unix name.
    fn wanted(&mut self, name: &str) -> Option<UserKey> {
        let request = Request {
            user: Some(name.to_owned()),
            ..Request::default()
        };
        match subject(&request, self.loaded) {
            Ok(Person { key: wanted, .. }) => match wanted {
                Ok(wanted) => Some(wanted),
                Err(Unfit::Name) => self.cannot(name, Unknown::Name, None),
                Err(Unfit::NotMapped) => self.cannot(name, Unknown::NotMapped, None),
            },
            // The finding about the group says what to do; another user is denied, too.
            Err(Outcome::Fault(Fault::NoSuchGroup(_))) => None,
            Err(Outcome::Exempt(exemption)) => {
                self.exempt(name, &exemption);
                None
            }
            Err(outcome) => self.ends(
                name,
                &outcome,
                "the calls for devices, codes and pushes could not be tested",
                "pass another user with --user NAME, or type: sudo pam-onelogin users",
            ),
        }
    }

    /// OneLogin has no such user, or not only this one: what was asked for, and what to write instead.
    fn cannot<T>(&mut self, name: &str, unknown: Unknown, asked: Option<&UserKey>) -> Option<T> {
        let why = match asked {
            Some(UserKey::Name(value)) => format!(
                "OneLogin was asked for the user whose {} is \"{value}\"",
                attribute(self.config)
            ),
            Some(UserKey::Id(id)) => {
                format!("the map has the id {} for this user", id.as_str())
            }
            None if matches!(unknown, Unknown::Name) => {
                "this name has characters that are never sent to OneLogin".to_owned()
            }
            None => "users.match is \"map\", and the map has no line for this user".to_owned(),
        };
        let advice = what_to_write(self.config, name, &unknown, asked);
        self.ends(name, &Outcome::Unknown(unknown), &why, &advice)
    }

    /// A warning that OneLogin is not asked about this user: by which line of the configuration.
    fn exempt(&mut self, name: &str, exemption: &Exemption) {
        let users = &self.config.users;
        let group = group_of(name, users.exempt_groups.iter().map(String::as_str));
        let (key, entry, what) = match (exemption, group) {
            (Exemption::User, _) => ("exempt_users", name, "the user"),
            (Exemption::Group, Some(group)) => ("exempt_groups", group, "the group"),
            (Exemption::OtherGroups, _) => ("groups", "", "groups of other users"),
            _ => (
                "exempt",
                "",
                "the user, or a group of the user, until a day",
            ),
        };
        let path = self.subject.config;
        let text = self.subject.machine.text_or_empty(path);
        let sentence = Prediction::of_end(&Outcome::Exempt(exemption.clone())).sentence();
        let names = match entry {
            "" => what.to_owned(),
            entry if entry == name => format!("{what} {name}"),
            entry => format!("{what} {entry}, and {name} is a member"),
        };
        self.findings.push(
            Finding::warning(
                "user",
                format!("{name} {sentence}; {name} logs in without a second factor"),
            )
            .of(Some(Place::of(path, line_of(&text, key, entry))))
            .why(format!("users.{key} names {names}"))
            .advice(
                "if this is not intended, change this line; to test devices, codes and pushes, pass another user with \
                 --user NAME",
            ),
        );
    }

    /// A warning that this user cannot be looked up, in the words of the log.
    fn ends<T>(&mut self, name: &str, outcome: &Outcome, why: &str, advice: &str) -> Option<T> {
        let what = format!("{name} {}", Prediction::of_end(outcome).sentence());
        let finding = Finding::warning("user", what);
        self.findings.push(finding.why(why).advice(advice));
        None
    }

    /// A device of the user.
    fn devices(&mut self, name: &str, user: &UserId) -> Option<Device> {
        let deadline = self.deadline();
        let client = &mut self.client;
        let devices = match self.config.onelogin.version {
            Version::V1 => v1::devices(client, user, deadline),
            Version::V2 => v2::devices(client, user, &self.config.factors, deadline),
        };
        let devices = self.may(Role::Lookup, "list the devices of a user", devices)?;
        if devices.usable.is_empty() {
            let outcome = match (devices.enrolled, self.config.users.no_factor) {
                (0, NoFactor::Exempt) => Some(Outcome::Exempt(Exemption::NoFactor)),
                (0, NoFactor::Enroll) => None,
                (0, NoFactor::Deny) => Some(Outcome::Unknown(Unknown::NoFactor)),
                _ => Some(Outcome::Unknown(Unknown::NoAllowedFactor)),
            };
            let result = outcome.map_or_else(
                || "would have to set up a factor at the next login".to_owned(),
                |outcome| Prediction::of_end(&outcome).sentence(),
            );
            let advice = format!(
                "to set up a factor, type: sudo pam-onelogin enroll {}; to test the credential with another user, \
                 pass --user NAME",
                word(name)
            );
            let what = format!("{name} has no device that can be used here, and {result}");
            self.findings.push(
                Finding::warning("user", what)
                    .why("the calls for codes and pushes could not be tested")
                    .advice(advice),
            );
        }
        devices.usable.into_iter().next()
    }

    /// Asks for the state of a verification that does not exist. OneLogin answers that it does not know it,
    /// or that the credential may not ask. In version 1 the same call would count as a try.
    fn verification(&mut self, user: &UserId, device: &Device) {
        let Some(unknown) = VerificationId::parse(UNKNOWN) else {
            return;
        };
        if self.config.onelogin.version == Version::V2 {
            let deadline = self.deadline();
            let answer = v2::poll(&mut self.client, user, device, &unknown, deadline);
            let _ = self.may(Role::Verify, "read the state of verifications", answer);
        }
    }

    fn enrolment(&mut self, user: Option<&UserId>) {
        let (true, Some(user)) = (self.enrols(), user) else {
            return;
        };
        let deadline = self.deadline();
        let factors = &self.config.factors;
        let available = v2::available(&mut self.client, user, factors, deadline);
        let before = self.findings.len();
        let what = "list the factors that a user can enrol";
        let _ = self.may(Role::Verify, what, available);
        for finding in self.findings.iter_mut().skip(before) {
            if finding.id == "scope-missing" {
                // A user who has a device can log in all the same.
                finding.id = "scope-enrolment";
                finding.why = Some(
                    "users without a device cannot set one up at the login, and are denied (reason=credential)"
                        .to_owned(),
                );
            }
        }
    }

    fn enrols(&self) -> bool {
        self.config.users.no_factor == NoFactor::Enroll
    }

    fn not_tried(&mut self, name: Option<&str>, has_user: bool, has_device: bool) {
        let what = if has_device {
            "not tested: checking a code and sending a push; both would count against the limits"
        } else if has_user {
            "not tested: verifications; this user has no device"
        } else {
            "not tested: devices and verifications; to test them, pass --user NAME"
        };
        let user = name.filter(|_| has_user).map(word);
        let user = user.as_deref().unwrap_or("USER");
        self.findings
            .push(Finding::note("not-tried", what).advice(format!(
                "to test the rest, type: sudo pam-onelogin test {user}"
            )));
    }

    /// The result of a call that logins need, with its finding.
    fn may<T>(&mut self, role: Role, what: &str, result: Result<T, ApiError>) -> Option<T> {
        let whose = match self.config.onelogin.access.certificate() {
            Some(_) => "of the gateway".to_owned(),
            None => format!("in {}", self.client.table_of(role)),
        };
        let place = self.place(role);
        let error = match result {
            Ok(value) => {
                let what = format!("the credential {whose} may {what}");
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
                    format!("the credential {whose} may not {what}: {detail}"),
                )
                .of(Some(place))
                .why("logins are denied (reason=credential)")
                .advice("give it that scope: see \"SET UP ONELOGIN\" in pam_onelogin.conf(5)")
            }
            // The answer "not found" shows that the credential may ask.
            ApiTrouble::NotFound => {
                let what = format!("the credential {whose} may {what}");
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

    /// Whether a credential may do more than logins need. As documented, only Read All and Manage All may
    /// read the apps of the tenant, and only Manage All the factors that a user can enrol.
    fn excess(&mut self, role: Role, user: Option<&UserId>) {
        let table = self.client.table_of(role);
        let reads_all = self.answers(role, "/api/2/apps", &[("limit", "1")]);
        let factors = user.map(|user| FACTORS.with(&[user.as_str()]));
        let manages_all = reads_all && factors.is_some_and(|path| self.answers(role, &path, &[]));
        let is_v2 = self.config.onelogin.version == Version::V2;
        // For devices Read All was seen to be enough, and no smaller scope.
        let may_read_all = role == Role::Lookup && is_v2;
        let scope = match (manages_all, reads_all) {
            (true, _) => "everything in the tenant: the scope of this credential is Manage All",
            (false, true) if may_read_all => return,
            (false, true) => {
                "the apps of the tenant: the scope of this credential is Read All or Manage All"
            }
            (false, false) => {
                let what = format!("the credential in {table} may not read the apps of the tenant");
                self.findings.push(Finding::good("scope-small", what));
                return;
            }
        };
        let what = format!("the credential in {table} can access {scope}");
        // By OneLogin's documentation version 2 works with Manage All alone: an administrator can try a smaller
        // scope, but cannot be told that there is one. With version 1 there is one.
        let (finding, advice) = if self.enrols() && role == Role::Verify {
            let why = format!("{THEFT}; enrolment at login needs Manage All");
            (
                Finding::note("scope-large", what).why(why),
                PROTECT.to_owned(),
            )
        } else if is_v2 {
            let why = format!(
                "{THEFT}; by OneLogin's documentation version 2 of the API needs Manage All"
            );
            let advice = format!(
                "{PROTECT}; or try the scope Authentication Only for [onelogin] and Read All for [onelogin.lookup]"
            );
            (Finding::note("scope-large", what).why(why), advice)
        } else {
            let advice = "the scope Manage Users is enough for [onelogin], and Read Users for [onelogin.lookup]";
            let finding = Finding::warning("scope-large", what).why(THEFT);
            (finding, advice.to_owned())
        };
        let place = self.place(role);
        self.findings.push(finding.of(Some(place)).advice(advice));
    }

    fn rate_limit(&mut self, role: Role) {
        let purpose = Purpose { role, scope: "" };
        let deadline = self.deadline();
        let reply = self.client.get(purpose, "/auth/rate_limit", &[], deadline);
        let body = reply.ok().filter(|reply| reply.status == 200);
        let body = body.and_then(|reply| serde_json::from_slice::<RateReply>(&reply.body).ok());
        let Some(RateReply { data: rate }) = body else {
            let what = "not tested: the number of API calls left; the credential may not read it";
            self.findings.push(Finding::note("rate-limit", what));
            return;
        };
        let what = format!(
            "the account has {} of {} API calls left for the next {} s",
            rate.left, rate.limit, rate.reset
        );
        self.findings.push(if rate.left < rate.limit / 10 {
            Finding::warning("rate-limit", what)
                .why("with no call left, logins are denied; all clients of the account share the limit")
                .advice("find the client that sends most requests; on this host, raise users.cache")
        } else {
            Finding::good("rate-limit", what)
        });
    }
}

/// What follows from a credential that may do more than logins need.
const THEFT: &str = "anyone who becomes root on this host can use it";

/// What to do where a large scope is needed, and where to read what follows from it.
const PROTECT: &str = "protect this host like the tenant itself: see \"SET UP ONELOGIN\" in pam_onelogin.conf(5), and the page \
     \"For security officers\"";

/// A name or an id that no user has.
fn nobody(config: &Config) -> Option<UserKey> {
    let users = &config.users;
    match users.attribute {
        Some(_) => Some(UserKey::Name("pam-onelogin-check".to_owned())),
        // A gateway refuses an id that no user can have.
        None if users.check_active && config.onelogin.access.certificate().is_none() => {
            UserId::parse("0").map(UserKey::Id)
        }
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

//! The targets for one part of a login alone: more inputs a second than a whole story.

use crate::factors::has_shape;
use crate::json;
use crate::login::FOLDER;
use crate::reading::{self, Asked, Version};
use pam_onelogin::api::{
    self, Answer, ApiError, Candidate, Devices, Enrolment, Equal, Found, Ours, Reply, Verify,
};
use pam_onelogin::config::{self, Attribute, Config, FailMode, FirstFactor, NoFactor, UnknownUser};
use pam_onelogin::digest;
use pam_onelogin::factor::{Activations, Choice, Codes, Device, Factor, Menu, Pick};
use pam_onelogin::id::{DeviceId, RegistrationId, UserId, VerificationId};
use pam_onelogin::login::Deadline;
use pam_onelogin::map::{Entries, Map, UserKey};
use pam_onelogin::offline::{Holder, Record};
use pam_onelogin::onelogin::OneLogin;
use pam_onelogin::onelogin::cache::Cache;
use pam_onelogin::onelogin::http::{Call, Caller, Transport};
use pam_onelogin::secret::Secret;
use pam_onelogin::state::expiring_files::Entry;
use std::time::Duration;

/// The user of whom replies must speak.
pub const USER: &str = "1001";
/// Their device.
pub const DEVICE: &str = "501";
const VERIFICATION: &str = "v-1";

/// One reply, through each reader. The first line is the status, the rest the body.
///
/// An acceptance, a user and an activation are held to the second reading; an acceptance in both
/// directions, so that neither becomes stricter than the rule without being seen.
pub fn replies(data: &[u8]) {
    let (status, body) = status_and_body(data);
    let reply = Reply {
        status,
        body: body.to_vec().into(),
        request_id: None,
        retry_after: None,
        is_of_front_end: false,
        miss: None,
    };
    answers_of(&reply);
    activations_of(&reply);
    users_of(&reply);
    for version in [Version::V1, Version::V2] {
        let devices = match version {
            Version::V1 => api::otp_devices(&reply),
            Version::V2 => api::devices(&reply, &[]),
        };
        let enrolled = reading::enrolled(version, reply.status, &reply.body);
        assert!(
            devices.is_ok() || enrolled.is_none() || !is_plain(&reply),
            "an odd entry ends a login"
        );
        if let Ok(devices) = devices {
            assert!(devices.usable.len() + devices.odd <= devices.enrolled);
            assert_eq!(Some(devices.enrolled), enrolled, "R1");
            if devices.enrolled == 0 {
                assert!(
                    reading::is_without_devices(version, reply.status, &reply.body),
                    "R1"
                );
            }
            let listed = reading::devices(version, reply.status, &reply.body).unwrap_or_default();
            for device in devices.usable {
                assert!(
                    listed.iter().any(|(id, _)| id == device.id.as_str()),
                    "{device:?}"
                );
            }
        }
    }
    let user = id(UserId::parse(USER));
    if let Ok(registration) = api::registration(&reply, &user) {
        let is_shown = |secret: Secret| assert!(secret.all(|c| !c.is_control()), "R10");
        registration.address.map(is_shown);
        registration.token.map(is_shown);
    }
    let registration = id(RegistrationId::parse("r-1"));
    for verify in [Verify::Code, Verify::Poll] {
        if let Ok(Enrolment::Done) = api::enrolment(verify, &reply, &registration) {
            assert!(matches!(reply.status, 200 | 201) && contains(&reply.body, "accepted"));
        }
    }
    let _ = api::factors(&reply, &[]);
    if let Ok(token) = api::token(&reply) {
        assert!(token.bearer.all(|c| c.is_ascii_graphic()) && !token.bearer.is_empty());
        assert_eq!(reply.status, 200);
        let is_it = |object: &json::Object<'_>| {
            let life = reading::seconds(object, "expires_in");
            object.text("access_token").as_deref() == Some(token.bearer.expose())
                && token
                    .expires
                    .is_none_or(|end| Some(end) >= life && life.is_some())
        };
        assert!(reading::tokens(&reply.body).iter().any(is_it), "R17");
    }
}

/// Whether a reply can be read by anybody: numbers in range, texts in UTF-8.
fn is_plain(reply: &Reply) -> bool {
    serde_json::from_slice::<serde_json::Value>(&reply.body).is_ok()
}

/// An input as a reply: status and body.
pub fn status_and_body(data: &[u8]) -> (u16, &[u8]) {
    let end = data.iter().position(|&b| b == b'\n').unwrap_or(data.len());
    let (head, rest) = data.split_at(end);
    let status = std::str::from_utf8(head)
        .ok()
        .and_then(|head| head.trim().parse().ok());
    (
        status.unwrap_or(200),
        rest.strip_prefix(b"\n").unwrap_or(rest),
    )
}

fn answers_of(reply: &Reply) {
    let (user, device) = (id(UserId::parse(USER)), id(DeviceId::parse(DEVICE)));
    let begun = id(VerificationId::parse(VERIFICATION));
    let is_plain = is_plain(reply);
    for version in [Version::V1, Version::V2] {
        for verify in [Verify::Code, Verify::Poll] {
            for verification in [None, Some(&begun)] {
                if version == Version::V1 && verification.is_some() {
                    continue;
                }
                let ours = Ours {
                    user: &user,
                    device: &device,
                    verification,
                };
                let answer = match version {
                    Version::V1 => api::otp_answer(verify, reply, ours),
                    Version::V2 => api::answer(verify, reply, ours),
                };
                let asked = Asked {
                    version,
                    user: USER.to_owned(),
                    device: DEVICE.to_owned(),
                    verification: verification.map(|id| id.as_str().to_owned()),
                    code: verify == Verify::Code,
                };
                let truth = reading::is_acceptance(&asked, reply.status, &reply.body);
                let is_accepted = matches!(answer, Ok(Answer::Accepted(_)));
                assert!(
                    truth || !is_accepted,
                    "R6: accepted, and is none: {asked:?}"
                );
                assert!(
                    is_accepted || !truth || !is_plain,
                    "refused, and is an acceptance: {asked:?}"
                );
                if let Err(error) = answer {
                    assert!(
                        error.detail.chars().all(|c| !c.is_control()),
                        "R10: {error:?}"
                    );
                }
            }
        }
    }
}

fn activations_of(reply: &Reply) {
    let (user, device) = (id(UserId::parse(USER)), id(DeviceId::parse(DEVICE)));
    let ours = Ours {
        user: &user,
        device: &device,
        verification: None,
    };
    let found = [
        (Version::V2, api::activation(reply, ours)),
        (Version::V1, api::trigger(reply, ours)),
    ];
    for (version, activation) in found {
        if let Ok(activation) = activation {
            let second = reading::verification(version, reply.status, &reply.body, USER, DEVICE);
            assert_eq!(second.as_deref(), Some(activation.id.as_str()), "R6");
            assert!(
                activation
                    .digits
                    .unwrap_or_default()
                    .bytes()
                    .all(|b| b.is_ascii_digit())
            );
        }
    }
}

fn users_of(reply: &Reply) {
    let user = id(UserId::parse(USER));
    let (username, custom) = (Attribute::Username, Attribute::Custom("login".to_owned()));
    let attributes = [&username, &Attribute::ExternalId, &custom];
    let by_name = attributes.iter().flat_map(|attribute| {
        [false, true].map(|ignore_case| Equal::Attribute {
            attribute,
            value: "alice",
            ignore_case,
        })
    });
    for equal in by_name.chain([Equal::Id(&user)]) {
        let wanted = match equal {
            Equal::Attribute {
                attribute,
                value,
                ignore_case,
            } => reading::Wanted {
                attribute: Some(attribute.name()),
                value: value.to_owned(),
                ignore_case,
            },
            Equal::Id(id) => reading::Wanted {
                attribute: None,
                value: id.as_str().to_owned(),
                ignore_case: false,
            },
        };
        let found = [
            (
                Version::V2,
                true,
                api::search(reply, config::Version::V2, equal),
            ),
            (
                Version::V1,
                true,
                api::search(reply, config::Version::V1, equal),
            ),
            (Version::V2, false, api::user(reply, equal)),
        ];
        for (version, is_list, found) in found {
            match found {
                Ok(Found::One(found)) => {
                    let second =
                        reading::user(version, is_list, reply.status, &reply.body, &wanted);
                    assert_eq!(second.as_deref(), Some(found.as_str()), "R5: {wanted:?}");
                }
                Ok(Found::NoUser) => {
                    assert!(
                        is_list && reading::is_nobody(version, reply.status, &reply.body),
                        "R1"
                    );
                }
                Ok(Found::Several) => {
                    let hits = reading::hits(version, reply.status, &reply.body);
                    assert!(is_list && hits > Some(1), "R5");
                }
                Ok(_) | Err(_) => {}
            }
        }
    }
    let candidate = api::candidate(reply).ok();
    if let Some(hits) = candidate.map(|candidate| match candidate {
        Candidate::NoUser => 0..=0,
        Candidate::One(_) => 1..=1,
        Candidate::Several => 2..=usize::MAX,
    }) {
        let all = reading::hits(Version::V2, reply.status, &reply.body);
        assert!(all.is_some_and(|all| hits.contains(&all)), "R5");
    }
}

/// A configuration. What weakens it must have been written, and each fault names a line.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match config::parse("c", text) {
        Ok(config) => is_sound(&config, text),
        Err(faults) => {
            assert!(!faults.is_empty(), "neither a configuration nor a fault");
            for fault in faults {
                let fault = fault.to_string();
                let line = fault
                    .strip_prefix("c:")
                    .and_then(|rest| rest.split(':').next());
                let line: usize = line.and_then(|line| line.parse().ok()).expect("a line");
                assert!((1..=text.lines().count() + 1).contains(&line), "{fault}");
            }
        }
    }
}

fn is_sound(config: &Config, text: &str) {
    // A key or word in another spelling, as TOML allows them, cannot be told from its absence.
    let says = |word: &str| text.contains(word) || text.contains('\\');
    let users = &config.users;
    assert!(config.failmode == FailMode::Secure || says("safe"), "R2");
    let has_networks = !config.failmode_from.is_empty();
    assert!(config.failmode == FailMode::Secure || has_networks, "R19");
    assert!(
        config.first_factor == FirstFactor::Auto || says("assumed"),
        "R13"
    );
    let spares = users.unknown == UnknownUser::Exempt || users.no_factor == NoFactor::Exempt;
    assert!(!spares || says("exempt"), "R1");
    let exempts = users.exempt_users.len() + users.exempt_groups.len();
    assert!(exempts == 0 || says("exempt_"), "R1");
    if let Some(until) = config.observe {
        assert!(says("observe") && says(&until.to_string()), "R1");
    }
    for entry in &users.exempt {
        let until = entry.term.until.to_string();
        assert!(says("exempt") && says(&until), "R1");
        assert!(!entry.term.reason.is_empty(), "R1");
        assert!((1..=text.lines().count()).contains(&entry.line));
    }
    assert!(users.no_factor != NoFactor::Enroll || says("enroll"));
    assert!(users.check_active || says("check_active"), "R5");
    assert!(
        config.onelogin.origin.as_str().starts_with("https://"),
        "R6"
    );
    assert!((1..=3).contains(&config.factors.prompts), "R14");
    assert!((120..=900).contains(&config.factors.expires_in));
    assert!(!config.factors.allow.is_empty());
    assert!(config.push_wait <= config.onelogin.login_timeout, "R9");
    assert!(
        config.onelogin.request_timeout <= config.onelogin.login_timeout,
        "R9"
    );
    assert!(!config.onelogin.connect_timeout.is_zero(), "R9");
    assert!(config.state_dir.is_absolute(), "R4");
}

/// A map file. Whom a line names must be told again by a plainer reading of that line.
pub fn map(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for entries in [Entries::NamesAndIds, Entries::Ids] {
        let map = match Map::parse("m", text, entries) {
            Ok(map) => map,
            Err(faults) => {
                assert!(
                    faults
                        .iter()
                        .all(|fault| fault.to_string().starts_with("m:"))
                );
                continue;
            }
        };
        let mut lines = Vec::new();
        for line in text.lines() {
            let line = line
                .split_whitespace()
                .take_while(|word| !word.starts_with('#'));
            match line.collect::<Vec<_>>().as_slice() {
                [] => {}
                [unix, onelogin] => lines.push((*unix, *onelogin)),
                other => panic!("R5: a line that is none: {other:?}"),
            }
        }
        for (unix, onelogin) in &lines {
            let same = lines.iter().filter(|(other, _)| other == unix).count();
            assert_eq!(same, 1, "R5: two lines for {unix}");
            match map.get(unix) {
                Some(UserKey::Id(id)) => {
                    assert_eq!(onelogin.strip_prefix("id="), Some(id.as_str()), "R5");
                    assert!(id.as_str().bytes().all(|b| b.is_ascii_digit()), "R5");
                }
                Some(UserKey::Name(name)) => {
                    assert_eq!(
                        (name.as_str(), entries),
                        (*onelogin, Entries::NamesAndIds),
                        "R5"
                    );
                    assert!(
                        !name.contains(['*', '!', '%', '"', '(', ')', '=']),
                        "R5: {name}"
                    );
                }
                None => panic!("R5: no entry for {unix}"),
            }
        }
    }
}

/// The private files that a login finds: a token, a user who was looked up, entries.
pub fn state_files(data: &[u8]) {
    const LEAST: &str =
        "[onelogin]\nurl = \"https://x.onelogin.com\"\nclient_id = \"i\"\nclient_secret = \"s\"\n";
    let Ok(config) = config::parse("c", LEAST) else {
        panic!("the least configuration");
    };
    for line in String::from_utf8_lossy(data).lines() {
        if let Some(entry) = Entry::parse(line) {
            assert_eq!(Entry::parse(&entry.name()), Some(entry), "{line}");
        }
    }
    if let Some(record) = Record::parse(data) {
        assert_eq!(record.text().as_bytes(), data, "R20");
        let holder = Holder {
            name: &record.user,
            uid: record.uid,
        };
        assert!(record.belongs_to(holder), "R20");
        let [before, last] = [record.issued, record.end].map(|time| time.checked_sub(1));
        assert!(!before.is_some_and(|time| record.is_valid(time)), "R20");
        assert!(!record.is_valid(record.end), "R20");
        let is_valid = last.is_some_and(|time| record.is_valid(time));
        assert_eq!(is_valid, record.issued < record.end, "R20");
    }
    FOLDER.with(|folder| {
        let state = folder.open(false);
        let wanted = UserKey::Name("alice".to_owned());
        let user = UserId::parse("1001").expect("an id");
        let mut cache = Cache::new(&config, &state);
        assert_eq!(cache.user(&wanted), None);
        let device = DeviceId::parse("501").expect("an id");
        let device = Device::new(device, Factor::Totp, "App".to_owned(), true);
        cache.store(
            &user,
            &Devices {
                usable: vec![device],
                enrolled: 1,
                odd: 0,
            },
        );
        let origin = config.onelogin.origin.as_str();
        let token = format!("token-{}", digest::name(&[origin, "i"]));
        let names = std::fs::read_dir(folder.path()).expect("the folder");
        let names = names.map(|name| name.expect("a name").file_name());
        let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
        assert!(names.iter().any(|name| name.starts_with("directory-")));
        names.push(token);
        for name in names.iter().filter(|name| !name.starts_with("lock-")) {
            state.write(name, data).expect("a private file");
        }
        if let Some((age, _)) = Cache::new(&config, &state).cached(&wanted) {
            let life = config.users.cache.as_secs();
            assert!(u64::try_from(age).is_ok_and(|age| age < life), "{age}");
        }
        drop(cache);

        let secrets = config::file::Secrets {
            verify: Secret::new("s".to_owned()),
            lookup: None,
        };
        let mut teller = Teller(None);
        let mut onelogin = OneLogin::new(&config, Some(&secrets), &state, &mut teller);
        let _ = pam_onelogin::login::Api::user(
            &mut onelogin,
            &wanted,
            Deadline::after(Duration::from_secs(9)),
        );
        match teller.0.expect("a call") {
            Told::Client => {}
            Told::Bearer(bearer) => {
                let (token, expires) = stored(data).expect("a token that nobody stored");
                assert_eq!(token, bearer, "another token");
                assert!(expires > unix_now(), "a token that is over");
            }
        }
    });
}

/// The token of a file, and its end; as an object, or in the order of its keys.
fn stored(file: &[u8]) -> Option<(String, u64)> {
    let number = |raw: &[u8]| std::str::from_utf8(raw).ok()?.parse().ok();
    if let Some(list) = json::array(file) {
        return match list.as_slice() {
            [token, expires] => Some((json::string(token)?, number(expires)?)),
            _ => None,
        };
    }
    let file = json::Object::read(file)?;
    match file.at("expires") {
        json::Value::Once(expires) => Some((file.text("token")?, number(expires)?)),
        json::Value::Absent | json::Value::Ambiguous => None,
    }
}

/// Whether a note still means something: it is not over before the time that it begins with. What
/// is no note does, as somebody wrote it.
fn unix_now() -> u64 {
    pam_onelogin::clock::unix_now()
}

/// A transport that tells who called first, and is never there.
struct Teller(Option<Told>);

enum Told {
    Client,
    Bearer(String),
}

impl Transport for Teller {
    fn prepare(&mut self, _: Deadline) -> Result<(), ApiError> {
        Ok(())
    }

    fn send(&mut self, call: &Call<'_>, _: Deadline) -> Result<Reply, ApiError> {
        let told = match call.caller {
            Caller::Client { .. } => Told::Client,
            Caller::Bearer(token) => Told::Bearer(token.expose().to_owned()),
            Caller::Certificate => panic!("a call without the token: {}", call.path),
        };
        self.0.get_or_insert(told);
        Err(ApiError::late("login_timeout"))
    }
}

/// An answer to each menu. Only what has the shape of a code is one (rule R12).
pub fn answers(data: &[u8]) {
    let Some(answer) = Secret::from_bytes(data) else {
        return;
    };
    let text = answer.expose();
    let bare: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    for factor in Factor::all() {
        if let Some(code) = factor.code(&answer) {
            assert_eq!(code.secret().expose(), bare, "R12");
            assert!(has_shape(factor, &bare), "R12: a code of {factor:?}");
        }
    }
    for device in devices() {
        judge(&[device], &answer, &bare);
    }
    judge(&devices(), &answer, &bare);
}

fn judge(devices: &[Device], answer: &Secret, bare: &str) {
    let count = devices.len();
    let allow: Vec<Factor> = Factor::all().collect();
    for activations in [Activations::Offered, Activations::Off] {
        let Ok(menu) = Menu::new(devices.to_vec(), count, &allow, activations) else {
            continue;
        };
        match menu.pick(answer) {
            Pick::Nothing => {}
            Pick::Start(choice) => {
                let text = answer.expose();
                let is_digit = matches!(text.as_bytes(), [b'1'..=b'9']);
                assert!(
                    is_digit || text.trim().is_empty(),
                    "R12: an option by {text:?}"
                );
                let is_sent = !matches!(choice, Choice::CodeOf(_));
                assert!(!is_sent || activations == Activations::Offered, "R13");
            }
            Pick::Check(device, code) => {
                assert!(
                    device.codes != Codes::Never && has_shape(device.factor, bare),
                    "R12: {device:?}"
                );
                let is_at_hand = device.codes == Codes::AtHand;
                assert!(is_at_hand || activations == Activations::Offered, "R13");
                assert_eq!(code.secret().expose(), bare);
                assert!(answer.len() <= 64, "R12");
            }
        }
    }
}

fn devices() -> Vec<Device> {
    // API v2 has one entry for a Protect, and none for a temporary token.
    let factors = Factor::all().filter(|it| !matches!(it, Factor::ProtectCode | Factor::Temporary));
    let device = |(number, factor): (u32, Factor)| {
        let id = id(DeviceId::parse(&number.to_string()));
        Device::new(id, factor, format!("{factor:?}"), false)
    };
    let mut devices: Vec<Device> = (1..).zip(factors).map(device).collect();
    // As API v1 lists a Protect with a trigger alone.
    devices.push(Device {
        codes: Codes::WithPush,
        ..device((9, Factor::Push))
    });
    devices
}

fn id<T>(parsed: Option<T>) -> T {
    parsed.expect("an id")
}

fn contains(body: &[u8], word: &str) -> bool {
    body.windows(word.len()).any(|part| part == word.as_bytes()) || body.contains(&b'\\')
}

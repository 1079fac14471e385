//! A script that plays OneLogin, the person, the clock and the memory of denials at once.
#![allow(unreachable_pub)]

use pam_onelogin::api::{
    self, Activation, Answer, ApiError, ApiTrouble, Available, Devices, Ending, Enrolment, Found,
    Ours, Registration, Reply, Verify,
};
use pam_onelogin::config::{Config, parse};
use pam_onelogin::factor::{Code, Codes, Device, Factor};
use pam_onelogin::id::{DeviceId, RegistrationId, UserId, VerificationId};
use pam_onelogin::login::{
    Api, ApprovalWait, BadAnswer, Challenge, Clock, CodeNotCounted, Deadline, Further, Limit,
    LimitReached, Login, LookUpEnd, Memory, NoAnswer, NoState, Permit, Phone, Preview, Prompt,
    Recalled, Report, Setup, Typed, Uncounted, Unknown, Wait,
};
use pam_onelogin::map::UserKey;
use pam_onelogin::offline::{self, BYTES, CodeStore, Holder, Record};
use pam_onelogin::outage::{Here, Miss, SafePlace};
use pam_onelogin::secret::Secret;
use pam_onelogin::user::{Proof, Subject, Uids, Unfit};
use pam_onelogin::verdict::{self, Circumstances};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

pub use Step::{AsksSlowly, CtrlC, Nobody, NotText, Password};

/// The reply to a code or a poll, made when it is due.
pub type Answers = fn() -> Result<Answer, ApiError>;

/// One call, and what it gives back.
#[allow(dead_code)]
pub enum Step {
    /// The user is looked up by this name.
    Looks(&'static str, Result<Found, ApiError>),
    /// The devices of this user are listed.
    Lists(&'static str, Vec<Device>),
    /// Finds alice, whose id is 1001, and lists these devices of hers.
    Finds(Vec<Device>),
    /// The prompt with this text is answered.
    Asks(&'static str, &'static str),
    /// As `Asks`, after so many seconds.
    AsksSlowly(&'static str, &'static str, u64),
    /// The prompt is answered with bytes that are no text.
    NotText(&'static str),
    /// The prompt is answered with the login password.
    Password(&'static str),
    /// The conversation fails.
    Nobody(&'static str),
    /// A text is shown.
    Tells(&'static str),
    /// This device is activated; behind the verification's id may stand the digits of a call.
    Activates(&'static str, Result<&'static str, ApiError>),
    /// A code is checked: device, verification, code.
    Checks(&'static str, Option<&'static str>, &'static str, Answers),
    /// A push is asked about: device, verification.
    Polls(&'static str, &'static str, Answers),
    /// As `Polls`, but with the time of the last poll only.
    PollsBriefly(&'static str, &'static str, Answers),
    /// As `Lists`, of that many enrolled devices.
    ListsOf(&'static str, usize, Vec<Device>),
    /// These factors can be enrolled.
    Offers(Vec<Available>),
    /// The factor with this number is registered: address and token.
    Registers(u64, Option<&'static str>, Option<&'static str>),
    /// This code ends an enrolment, or not.
    ChecksRegistration(&'static str, Enrolment),
    /// An enrolment is asked about.
    PollsRegistration(Enrolment),
    /// So many seconds pass.
    Waits(u64),
    /// This time passes.
    WaitsFor(Duration),
    /// A wait is ended by the user.
    CtrlC,
    /// A denial is remembered.
    Denies,
    /// A denial cannot be remembered.
    DeniesInVain,
    /// A denial is forgotten, and what was counted taken back.
    Allows,
    /// A challenge of this kind is counted.
    CountsChallenge(Challenge),
    /// A challenge cannot be counted.
    NoChallenge(Uncounted),
    /// A code must not be sent.
    NotCounted(CodeNotCounted),
    /// A look-up must not be sent.
    NoLookUp(Uncounted),
    /// OneLogin said a moment ago that there is nobody.
    LookUpPaused,
    /// It is remembered that there is nobody.
    RemembersNobody,
    /// The look-up ends in this way, which decides how it is counted.
    LookUpEnds(LookUpEnd),
    /// This id is what was kept of the user.
    HasCached(&'static str),
    /// What is counted is counted for this id.
    Meets(&'static str),
    /// It is remembered that a push was denied.
    RemembersDeniedPush,
    /// The last count of this limit, which OneLogin has not seen, is given back.
    GivesBack(Limit),
    /// As `GivesBack`, as far as front ends may refuse requests.
    TurnsAway(Limit),
    /// What is sent a second time is counted a second time, or cannot be.
    CountsAgain(Limit, Result<(), Uncounted>),
    /// An offline code is counted, or cannot be.
    CountsOfflineCode(Result<(), Uncounted>),
    /// An offline code is removed: `false` if it is gone already, `None` if that fails.
    RemovesCode(Option<bool>),
    /// All offline codes are removed.
    RemovesCodes,
    /// A denial is forgotten, as an offline code lets in.
    LetsIn,
    /// OneLogin gives no token.
    NoToken(ApiError),
    /// Another login's push is pending.
    PhoneBusy,
    /// The connection is ended, so that the next call makes one of its own.
    Disconnects,
    /// The push is over, or the phone another login's.
    PhoneLost,
    /// That a push is pending cannot be written.
    NoPhone,
    /// No connection can be made before the prompt.
    Unprepared(ApiError),
}

/// OneLogin accepts.
pub const ACCEPTED: Answers = || answer(r#"{"id":"v","status":"accepted"}"#);
/// OneLogin refuses the code, or the phone the push.
pub const REJECTED: Answers = || answer(r#"{"id":"v","status":"rejected"}"#);
/// Nobody has answered yet.
pub const PENDING: Answers = || answer(r#"{"id":"v","status":"pending"}"#);
/// The search finds nobody.
pub const NOBODY: Result<Found, ApiError> = Ok(Found::NoUser);
/// The search finds more than one.
pub const SEVERAL: Result<Found, ApiError> = Ok(Found::Several);
/// The search finds another one.
pub const OTHER: Result<Found, ApiError> = Ok(Found::Other);
/// The search finds one who is not active.
pub const INACTIVE: Result<Found, ApiError> = Ok(Found::Inactive);

/// The search finds this user.
#[allow(clippy::unnecessary_wraps)] // as the port returns it
pub fn one(id: &str) -> Result<Found, ApiError> {
    Ok(Found::One(UserId::parse(id).unwrap()))
}

/// A OneLogin Protect.
pub fn push(id: &str) -> Device {
    device(id, Factor::Push, "Phone")
}

/// A OneLogin Protect whose codes are a device of their own.
pub fn only_push(id: &str) -> Device {
    Device {
        codes: Codes::Never,
        ..push(id)
    }
}

/// A OneLogin Protect whose codes go only together with a push.
pub fn triggered(id: &str) -> Device {
    Device {
        codes: Codes::WithPush,
        ..push(id)
    }
}

/// An authenticator app.
pub fn totp(id: &str) -> Device {
    device(id, Factor::Totp, "App")
}

/// A phone that gets text messages.
pub fn sms(id: &str) -> Device {
    device(id, Factor::Sms, "Mobile")
}

/// A YubiKey.
pub fn yubikey(id: &str) -> Device {
    device(id, Factor::YubiKey, "Key")
}

/// Duo's app.
pub fn duo(id: &str) -> Device {
    device(id, Factor::Duo, "Duo")
}

/// A phone that is called.
pub fn voice(id: &str) -> Device {
    device(id, Factor::Voice, "Desk")
}

/// A mailbox that gets codes.
pub fn email(id: &str) -> Device {
    device(id, Factor::Email, "Mail")
}

/// A mailbox that gets links.
pub fn link(id: &str) -> Device {
    device(id, Factor::MagicLink, "Mail")
}

/// A factor that can be enrolled.
pub fn offer(id: u64, factor: Factor, name: &str) -> Available {
    Available {
        id,
        factor,
        name: name.to_owned(),
    }
}

/// What the network says of OneLogin.
pub fn missed(trouble: ApiTrouble, miss: Miss) -> ApiError {
    let miss = Some(miss);
    ApiError {
        miss,
        ..error(trouble)
    }
}

/// What is wrong on the way to OneLogin, or there.
pub fn error(trouble: ApiTrouble) -> ApiError {
    ApiError::new(trouble, "").ended(match trouble {
        ApiTrouble::NoConnection | ApiTrouble::NoSuchHost => Ending::NotSent,
        ApiTrouble::Timeout => Ending::NoReply,
        ApiTrouble::Broken => Ending::Lost,
        ApiTrouble::RateLimited => Ending::RateLimited,
        _ => Ending::Answered,
    })
}

/// A request that ended in this way.
pub fn ended(ending: Ending) -> ApiError {
    error(match ending {
        Ending::NotSent => ApiTrouble::NoConnection,
        Ending::CutShort | Ending::Lost => ApiTrouble::Broken,
        Ending::NoReply => ApiTrouble::Timeout,
        Ending::IdleTimeout => ApiTrouble::RequestRefused,
        Ending::FrontEndLimit | Ending::RateLimited => ApiTrouble::RateLimited,
        Ending::TokenReplaced | Ending::TokenRefused | Ending::TokenChanged => {
            ApiTrouble::Credential
        }
        Ending::GatewayRefused => ApiTrouble::GatewayRefused,
        Ending::NotForwarded => ApiTrouble::Gateway,
        Ending::Answered => ApiTrouble::ServerError,
    })
    .ended(ending)
}

/// A text for a step that is made at run time.
pub fn leaked(text: String) -> &'static str {
    text.leak()
}

fn device(id: &str, factor: Factor, name: &str) -> Device {
    Device::new(DeviceId::parse(id).unwrap(), factor, name.to_owned(), false)
}

/// An acceptance can only be made by reading a reply.
fn answer(body: &str) -> Result<Answer, ApiError> {
    let user = UserId::parse("1").unwrap();
    let device = DeviceId::parse("1").unwrap();
    let verification = VerificationId::parse("v").unwrap();
    let ours = Ours {
        user: &user,
        device: &device,
        verification: Some(&verification),
    };
    let reply = Reply {
        status: 200,
        body: body.as_bytes().to_vec().into(),
        request_id: None,
        retry_after: None,
        is_of_front_end: false,
        miss: None,
    };
    api::answer(Verify::Poll, &reply, ours)
}

/// The steps of one login, and who logs in.
#[allow(clippy::struct_excessive_bools)] // each is a wish of its own
pub struct Script {
    steps: RefCell<VecDeque<Step>>,
    start: Instant,
    now: Cell<Duration>,
    /// No call has more time than this.
    longest: Cell<Duration>,
    answered: Cell<bool>,
    config: String,
    service: &'static str,
    subject: Result<Subject, Unknown>,
    approval_wait: ApprovalWait,
    denied_before: bool,
    memory_works: bool,
    used_up: Option<(Limit, LimitReached)>,
    can_ask: bool,
    nobody_is_wrong: bool,
    jitter: Duration,
    /// The user has these offline codes, each by its byte; `None`: they are switched off.
    offline_codes: Option<Vec<u8>>,
}

impl Step {
    /// The steps that it stands for.
    fn parts(self) -> Vec<Self> {
        match self {
            Self::Finds(devices) => vec![
                Self::Looks("alice", one("1001")),
                Self::Lists("1001", devices),
            ],
            step => vec![step],
        }
    }
}

impl Script {
    /// A proven user, alice, in a host that holds texts back.
    pub fn of<const N: usize>(steps: [Step; N]) -> Self {
        Self::of_steps(Vec::from(steps))
    }

    /// As `of`, for steps that are made at run time.
    pub fn of_steps(steps: Vec<Step>) -> Self {
        Self {
            steps: RefCell::new(steps.into_iter().flat_map(Step::parts).collect()),
            start: Instant::now(),
            now: Cell::default(),
            answered: Cell::default(),
            longest: Cell::new(Duration::MAX),
            config: String::new(),
            service: "",
            subject: Ok(Subject {
                name: "alice".to_owned(),
                uid: 1000,
                key: Ok(UserKey::Name("alice".to_owned())),
                proof: Proof::Proven,
                lapse: None,
            }),
            approval_wait: ApprovalWait::AfterEnter,
            denied_before: false,
            memory_works: true,
            used_up: None,
            can_ask: true,
            nobody_is_wrong: false,
            jitter: Duration::ZERO,
            offline_codes: None,
        }
    }

    /// Lines of configuration.
    pub fn config(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.config);
        self
    }

    /// Lines of configuration, and the PAM service whose login this is.
    pub fn service(mut self, lines: &str, name: &'static str) -> Self {
        self.service = name;
        self.config(lines)
    }

    /// Nothing has proven the user.
    pub fn unproven(mut self) -> Self {
        self.subject.as_mut().unwrap().proof = Proof::Unproven;
        self
    }

    /// The user's name must not be searched for.
    pub fn refused_name(mut self) -> Self {
        self.subject.as_mut().unwrap().key = Err(Unfit::Name);
        self
    }

    /// Only the map names users, and it does not name this one.
    pub fn not_mapped(mut self) -> Self {
        self.subject.as_mut().unwrap().key = Err(Unfit::NotMapped);
        self
    }

    /// Nobody can be verified.
    pub fn unknown(mut self, unknown: Unknown) -> Self {
        self.subject = Err(unknown);
        self
    }

    /// The host shows texts at once.
    pub fn waited(mut self) -> Self {
        self.approval_wait = ApprovalWait::AtOnce;
        self
    }

    /// The action was denied before.
    pub fn denied_before(mut self) -> Self {
        self.denied_before = true;
        self
    }

    /// The state cannot be written.
    pub fn without_memory(mut self) -> Self {
        self.memory_works = false;
        self
    }

    /// The user has used this limit up.
    pub fn used_up(self, limit: Limit) -> Self {
        self.limit_reached(limit, LimitReached::Window)
    }

    /// The user has used up this part of a limit.
    pub fn limit_reached(mut self, limit: Limit, reached: LimitReached) -> Self {
        self.used_up = Some((limit, reached));
        self
    }

    /// It must not be remembered that there is nobody.
    pub fn remembering_nobody_is_wrong(mut self) -> Self {
        self.nobody_is_wrong = true;
        self
    }

    /// There is no conversation.
    pub fn without_conversation(mut self) -> Self {
        self.can_ask = false;
        self
    }

    /// A pause that OneLogin does not name is this much longer.
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// Offline codes are switched on, and the user has these.
    pub fn offline_codes(mut self, codes: &[u8]) -> Self {
        self.offline_codes = Some(codes.to_vec());
        self
    }

    /// Plays a part of the login. No step of the script may be left over.
    fn play<T>(&self, call: impl FnOnce(Login<'_>) -> T, end: impl FnOnce(&T) -> String) -> T {
        let config = config(&self.config).for_service(self.service);
        let mut api = Player(self);
        let mut prompt = Player(self);
        let mut memory = Player(self);
        let clock = Player(self);
        let login = Login::new(
            &mut api,
            &mut prompt,
            &clock,
            &mut memory,
            &config,
            self.approval_wait,
        );
        let here = Here {
            uids: Uids {
                real: 0,
                effective: 0,
                saved: 0,
            },
            proof: self.proof(),
            ssh_connection: Some("192.0.2.7 5 192.0.2.1 22"),
            is_of_this_host: &|_| false,
            has_the_hosts_network: &|| Some(true),
        };
        let login = login.with_outages(SafePlace::check(&config, &here).ok());
        let store = Player(self);
        let is_on = self.offline_codes.is_some();
        let result = call(login.with_offline_codes(is_on.then_some(&store)));
        let left = self.steps.borrow().len();
        assert_eq!(
            left,
            0,
            "steps that did not happen; it ended with {}",
            end(&result)
        );
        result
    }

    /// Plays the login.
    pub fn report(&self) -> Report {
        self.play(
            |login| login.run(self.subject.as_ref().map_err(Clone::clone)),
            |report| format!("{:?}", report.outcome),
        )
    }

    /// Plays the login in observe mode, which must come to this, in the words of [`Script::run`].
    #[track_caller]
    pub fn observes(self, expected: &str) {
        self.longest.set(Duration::from_secs(5));
        let report = self.play(
            |login| login.observe(self.subject.as_ref().map_err(Clone::clone)),
            |report| format!("{:?}", report.outcome),
        );
        assert_eq!(self.words(&report), expected);
    }

    /// Plays the preview of the login.
    pub fn preview(&self) -> Preview {
        let subject = self.subject.as_ref().unwrap();
        self.play(|login| login.preview(subject), |_| "a preview".to_owned())
    }

    /// Plays an enrolment that an administrator began.
    pub fn setup(&self, further: Further, heading: &str) -> Setup {
        let subject = self.subject.as_ref().unwrap();
        self.play(
            |login| login.run_setup(subject, further, heading),
            |setup| format!("{:?}", setup.end),
        )
    }

    fn proof(&self) -> Proof {
        self.subject.as_ref().map_or(Proof::Unproven, |s| s.proof)
    }

    /// Plays the login and says how it ended: event, reason, factor and OneLogin id.
    pub fn run(self) -> String {
        let report = self.report();
        self.words(&report)
    }

    fn words(&self, report: &Report) -> String {
        let here = Circumstances {
            in_ssh: false,
            proven: self.proof() == Proof::Proven,
        };
        let verdict = verdict::of(&report.outcome, here);
        let mut words = vec![verdict.event.word().to_owned()];
        words.extend(verdict.reason.map(|reason| reason.word().to_owned()));
        words.push(format!("factor={}", report.factor.unwrap_or("-")));
        words.push(format!(
            "id={}",
            report.onelogin_id.as_ref().map_or("-", UserId::as_str)
        ));
        words.join(" ")
    }

    /// Plays the login, which must end so, in the words of [`Script::run`].
    #[track_caller]
    pub fn ends(self, expected: &str) {
        assert_eq!(self.run(), expected);
    }

    /// The time until a moment on the script's clock.
    fn left(&self, deadline: Deadline) -> Duration {
        let end = deadline.moment().saturating_duration_since(self.start);
        end.saturating_sub(self.now.get())
    }

    /// No call may take longer than the login has left, or than one request where somebody typed
    /// late.
    fn allows(&self, deadline: Deadline) {
        let time = self.left(deadline);
        let limit = config(&self.config).onelogin.login_timeout;
        let left = limit.saturating_sub(self.now.get());
        assert!(!time.is_zero());
        assert!(time <= self.longest.get(), "{time:?}");
        assert!(
            time <= left.max(Duration::from_secs(10)),
            "{time:?} with {left:?} left"
        );
    }

    /// A poll ends with the login, but for the moment that the last one needs; only the first one
    /// after an answer that came late has the time of a request.
    fn allows_poll(&self, deadline: Deadline) {
        let time = self.left(deadline);
        let limit = config(&self.config).onelogin.login_timeout;
        let left = limit.saturating_sub(self.now.get());
        let least = if self.answered.take() { 10 } else { 1 };
        assert_eq!(time, left.max(Duration::from_secs(least)));
    }

    /// The next step, if it is such a one.
    fn next_if(&self, is_meant: impl FnOnce(&Step) -> bool) -> Option<Step> {
        let mut steps = self.steps.borrow_mut();
        steps
            .front()
            .is_some_and(is_meant)
            .then(|| steps.pop_front())?
    }

    /// What precedes a step of that kind and no other: order is what is scripted.
    fn precedes(&self, what: &str, is_meant: impl FnOnce(&Step) -> bool) {
        let steps = self.steps.borrow();
        assert!(steps.front().is_some_and(is_meant), "{what} out of order");
    }

    fn next(&self, call: &str) -> Step {
        let step = self.steps.borrow_mut().pop_front();
        step.unwrap_or_else(|| panic!("the script is over, but the login {call}"))
    }
}

/// A configuration with these lines; a line of a table that every configuration has goes there.
pub fn config(lines: &str) -> Config {
    let least = "url = \"https://x.onelogin.com\"\nclient_id = \"i\"\nclient_secret = \"s\"\n";
    let text = if lines.contains("[onelogin]\n") {
        lines.replace("[onelogin]\n", &format!("[onelogin]\n{least}"))
    } else {
        format!("{lines}\n[onelogin]\n{least}")
    };
    parse("c", &text).unwrap_or_else(|faults| panic!("{faults:?}"))
}

/// One of the ports, played from the script.
struct Player<'a>(&'a Script);

impl Api for Player<'_> {
    fn prepare(&mut self, deadline: Deadline) -> Result<(), ApiError> {
        self.0.allows(deadline);
        match self.0.next_if(|step| matches!(step, Step::Unprepared(_))) {
            Some(Step::Unprepared(error)) => Err(error),
            _ => Ok(()),
        }
    }

    fn authorise(&mut self, deadline: Deadline) -> Result<(), ApiError> {
        self.0.allows(deadline);
        match self.0.next_if(|step| matches!(step, Step::NoToken(_))) {
            Some(Step::NoToken(error)) => Err(error),
            _ => Ok(()),
        }
    }

    fn disconnect(&mut self) {
        match self.0.next("disconnects") {
            Step::Disconnects => {}
            _ => panic!("disconnects out of order"),
        }
    }

    fn cached_user(&mut self, _: &UserKey) -> Option<UserId> {
        match self.0.next_if(|step| matches!(step, Step::HasCached(_))) {
            Some(Step::HasCached(id)) => UserId::parse(id),
            _ => None,
        }
    }

    fn is_cached(&self) -> bool {
        true
    }

    fn user(&mut self, key: &UserKey, deadline: Deadline) -> Result<Found, ApiError> {
        self.0.allows(deadline);
        let UserKey::Name(name) = key else {
            panic!("looks up {key:?} out of order");
        };
        match self.0.next(&format!("looks up {name}")) {
            Step::Looks(expected, found) if expected == name.as_str() => found,
            _ => panic!("looks up {name} out of order"),
        }
    }

    fn devices(&mut self, user: &UserId, deadline: Deadline) -> Result<Devices, ApiError> {
        self.0.allows(deadline);
        match self.0.next("lists devices") {
            Step::Lists(expected, devices) if expected == user.as_str() => Ok(Devices {
                enrolled: devices.len(),
                usable: devices,
                odd: 0,
            }),
            Step::ListsOf(expected, enrolled, usable) if expected == user.as_str() => {
                let odd = 0;
                Ok(Devices {
                    usable,
                    enrolled,
                    odd,
                })
            }
            _ => panic!("lists devices of {} out of order", user.as_str()),
        }
    }

    fn activate(
        &mut self,
        _: &UserId,
        device: &Device,
        permit: Permit<'_>,
    ) -> Result<Activation, ApiError> {
        self.0.allows(permit.deadline);
        if !(permit.holds)() {
            return Err(ApiError::late("factors.expires_in"));
        }
        match self.0.next("activates") {
            Step::Activates(expected, result) if expected == device.id.as_str() => {
                result.map(|id| {
                    let (id, digits) = id.split_once(' ').unwrap_or((id, ""));
                    Activation {
                        id: VerificationId::parse(id).unwrap(),
                        digits: Some(digits.to_owned()).filter(|digits| !digits.is_empty()),
                    }
                })
            }
            _ => panic!("activates {} out of order", device.id.as_str()),
        }
    }

    fn check(
        &mut self,
        _: &UserId,
        device: &Device,
        verification: Option<&VerificationId>,
        code: &Code,
        deadline: Deadline,
    ) -> Result<Answer, ApiError> {
        self.0.allows(deadline);
        let call = (
            device.id.as_str(),
            verification.map(VerificationId::as_str),
            code.secret().expose(),
        );
        match self.0.next(&format!("checks {call:?}")) {
            Step::Checks(device, verification, code, answers)
                if (device, verification, code) == call =>
            {
                answers()
            }
            _ => panic!("checks {call:?} out of order"),
        }
    }

    fn poll(
        &mut self,
        _: &UserId,
        device: &Device,
        verification: &VerificationId,
        deadline: Deadline,
    ) -> Result<Answer, ApiError> {
        match self.0.next("polls") {
            Step::Polls(expected, id, answers)
                if (expected, id) == (device.id.as_str(), verification.as_str()) =>
            {
                self.0.allows_poll(deadline);
                answers()
            }
            Step::PollsBriefly(expected, id, answers)
                if (expected, id) == (device.id.as_str(), verification.as_str()) =>
            {
                assert_eq!(self.0.left(deadline), Duration::from_secs(1));
                answers()
            }
            _ => panic!("polls {} out of order", device.id.as_str()),
        }
    }

    fn available(&mut self, _: &UserId, deadline: Deadline) -> Result<Vec<Available>, ApiError> {
        self.0.allows(deadline);
        match self.0.next("lists factors") {
            Step::Offers(available) => Ok(available),
            _ => panic!("lists factors out of order"),
        }
    }

    fn register(
        &mut self,
        _: &UserId,
        available: &Available,
        deadline: Deadline,
    ) -> Result<Registration, ApiError> {
        self.0.allows(deadline);
        match self.0.next("registers") {
            Step::Registers(id, address, token) if id == available.id => Ok(Registration {
                id: RegistrationId::parse("r-1").unwrap(),
                address: address.map(|text| Secret::new(text.to_owned())),
                token: token.map(|text| Secret::new(text.to_owned())),
            }),
            _ => panic!("registers {} out of order", available.id),
        }
    }

    fn check_registration(
        &mut self,
        _: &UserId,
        _: &RegistrationId,
        code: &Code,
        deadline: Deadline,
    ) -> Result<Enrolment, ApiError> {
        self.0.allows(deadline);
        match self.0.next("checks a registration") {
            Step::ChecksRegistration(expected, result) if expected == code.secret().expose() => {
                Ok(result)
            }
            _ => panic!("checks a registration out of order"),
        }
    }

    fn poll_registration(
        &mut self,
        _: &UserId,
        _: &RegistrationId,
        deadline: Deadline,
    ) -> Result<Enrolment, ApiError> {
        self.0.allows_poll(deadline);
        match self.0.next("polls a registration") {
            Step::PollsRegistration(result) => Ok(result),
            _ => panic!("polls a registration out of order"),
        }
    }
}

impl Prompt for Player<'_> {
    fn ask(&mut self, text: &str) -> Result<Typed, NoAnswer> {
        self.0.answered.set(true);
        let typed = |answer: &str| Ok(Typed::Text(Secret::new(answer.to_owned())));
        match self.0.next(&format!("asks {text:?}")) {
            Step::Asks(expected, answer) if expected == text => typed(answer),
            Step::AsksSlowly(expected, answer, seconds) if expected == text => {
                self.0
                    .now
                    .set(self.0.now.get() + Duration::from_secs(seconds));
                typed(answer)
            }
            Step::NotText(expected) if expected == text => Ok(Typed::Unusable(BadAnswer::NotText)),
            Step::Password(expected) if expected == text => {
                Ok(Typed::Unusable(BadAnswer::Password))
            }
            Step::Nobody(expected) if expected == text => Err(NoAnswer),
            _ => panic!("asks {text:?} out of order"),
        }
    }

    fn is_there(&self) -> bool {
        self.0.can_ask
    }

    fn tell(&mut self, text: &str) {
        match self.0.next(&format!("tells {text:?}")) {
            Step::Tells(expected) if expected == text => {}
            _ => panic!("tells {text:?} out of order"),
        }
    }
}

impl Clock for Player<'_> {
    fn elapsed(&self) -> Duration {
        self.0.now.get()
    }

    fn at(&self, elapsed: Duration) -> Deadline {
        Deadline::at(self.0.start + elapsed)
    }

    fn wait(&self, time: Duration) -> Wait {
        match self.0.next(&format!("waits {time:?}")) {
            Step::Waits(seconds) if Duration::from_secs(seconds) == time => {
                self.0.now.set(self.0.now.get() + time);
                Wait::Over
            }
            Step::WaitsFor(exactly) if exactly == time => {
                self.0.now.set(self.0.now.get() + time);
                Wait::Over
            }
            Step::CtrlC => Wait::Interrupted,
            _ => panic!("waits {time:?} out of order"),
        }
    }

    fn jitter(&self) -> Duration {
        self.0.jitter
    }
}

impl Memory for Player<'_> {
    fn is_denied(&self) -> bool {
        self.0.denied_before
    }

    fn works(&self) -> bool {
        self.0.memory_works
    }

    fn deny_beforehand(&mut self) -> Result<(), NoState> {
        self.deny()
    }

    fn deny(&mut self) -> Result<(), NoState> {
        match self.0.next("remembers a denial") {
            Step::Denies => Ok(()),
            Step::DeniesInVain => Err(NoState),
            _ => panic!("remembers a denial out of order"),
        }
    }

    fn recall(&mut self) -> Recalled {
        match self.0.next_if(|step| matches!(step, Step::LookUpPaused)) {
            Some(_) => Recalled::NothingToVerify,
            None => Recalled::Nothing,
        }
    }

    fn count_look_up(&mut self) -> Result<(), Uncounted> {
        match self.0.next_if(|step| matches!(step, Step::NoLookUp(_))) {
            Some(Step::NoLookUp(why)) => Err(why),
            _ => Ok(()),
        }
    }

    fn looked_up(&mut self, end: LookUpEnd) {
        let expected = self.0.next_if(|step| matches!(step, Step::LookUpEnds(_)));
        if let Some(Step::LookUpEnds(expected)) = expected {
            assert_eq!(end, expected);
            return;
        }
        if end == LookUpEnd::NothingToVerify {
            assert!(!self.0.nobody_is_wrong, "remembers nobody");
            // Where a script says nothing of it, it is not about that.
            let _ = self.0.next_if(|step| matches!(step, Step::RemembersNobody));
        } else {
            let steps = self.0.steps.borrow();
            assert!(!matches!(steps.front(), Some(Step::RemembersNobody)));
        }
    }

    fn meet(&mut self, user: &UserId) {
        if let Some(Step::Meets(id)) = self.0.next_if(|step| matches!(step, Step::Meets(_))) {
            assert_eq!(user.as_str(), id);
        }
    }

    fn limit_reached(&self, limit: Limit) -> Option<LimitReached> {
        let (used_up, reached) = self.0.used_up?;
        (used_up == limit).then_some(reached)
    }

    fn count_challenge(&mut self, challenge: Challenge) -> Result<(), Uncounted> {
        let expected = self
            .0
            .next_if(|step| matches!(step, Step::CountsChallenge(_)));
        if let Some(Step::CountsChallenge(expected)) = expected {
            assert_eq!(challenge, expected);
        }
        if let Some(Step::NoChallenge(why)) =
            self.0.next_if(|step| matches!(step, Step::NoChallenge(_)))
        {
            return Err(why);
        }
        // Between a push and what is sent a code may turn out to be used, or the turn of the push to be over.
        self.0.precedes("counts a challenge", |step| {
            matches!(
                step,
                Step::Activates(..) | Step::Registers(..) | Step::NotCounted(..) | Step::PhoneLost
            )
        });
        Ok(())
    }

    fn push_denied(&mut self) {
        match self.0.next("remembers a denied push") {
            Step::RemembersDeniedPush => {}
            _ => panic!("remembers a denied push out of order"),
        }
    }

    fn count_code(&mut self, _: &Code) -> Result<(), CodeNotCounted> {
        if let Some(Step::NotCounted(why)) =
            self.0.next_if(|step| matches!(step, Step::NotCounted(_)))
        {
            return Err(why);
        }
        self.0.precedes("counts a code", |step| {
            matches!(
                step,
                Step::Denies | Step::DeniesInVain | Step::Activates(..) | Step::Checks(..)
            )
        });
        Ok(())
    }

    fn refused(&mut self) {}

    fn unsent(&mut self, limit: Limit) {
        match self.0.next(&format!("gives back {limit:?}")) {
            Step::GivesBack(expected) if expected == limit => {}
            _ => panic!("gives back {limit:?} out of order"),
        }
    }

    fn turned_away(&mut self, limit: Limit) {
        let call = format!("gives back {limit:?} that a front end refused");
        match self.0.next(&call) {
            Step::TurnsAway(expected) if expected == limit => {}
            _ => panic!("{call}, out of order"),
        }
    }

    fn count_again(&mut self, limit: Limit) -> Result<(), Uncounted> {
        match self.0.next(&format!("counts again {limit:?}")) {
            Step::CountsAgain(expected, result) if expected == limit => result,
            _ => panic!("counts again {limit:?} out of order"),
        }
    }

    fn count_offline_code(&mut self) -> Result<(), Uncounted> {
        match self.0.next("counts an offline code") {
            Step::CountsOfflineCode(result) => result,
            _ => panic!("counts an offline code out of order"),
        }
    }

    fn let_in(&mut self) {
        match self.0.next("lets in") {
            Step::LetsIn => {}
            _ => panic!("lets in out of order"),
        }
    }

    fn take_phone(&mut self, _: Duration) -> Result<Phone, NoState> {
        if self
            .0
            .next_if(|step| matches!(step, Step::NoPhone))
            .is_some()
        {
            return Err(NoState);
        }
        let busy = self.0.next_if(|step| matches!(step, Step::PhoneBusy));
        Ok(if busy.is_some() {
            Phone::Busy
        } else {
            Phone::Ours
        })
    }

    fn holds_phone(&self) -> bool {
        let lost = self.0.next_if(|step| matches!(step, Step::PhoneLost));
        lost.is_none()
    }

    fn leave_phone(&mut self) {}

    fn allow(&mut self) {
        match self.0.next("forgets a denial") {
            Step::Allows => {}
            _ => panic!("forgets a denial out of order"),
        }
    }
}

impl CodeStore for Player<'_> {
    fn usable(&self) -> Vec<(String, Record)> {
        let codes = self.0.offline_codes.as_deref().unwrap_or_default();
        let holder = Holder {
            name: "alice",
            uid: 1000,
        };
        let record = |&byte: &u8| {
            let code = offline::Code::of(&[byte; BYTES]);
            let record = Record::new(holder, [0, 1], "dave", String::new(), &code);
            (byte.to_string(), record)
        };
        codes.iter().map(record).collect()
    }

    fn remove(&self, _: &str) -> io::Result<bool> {
        match self.0.next("removes an offline code") {
            Step::RemovesCode(Some(is_removed)) => Ok(is_removed),
            Step::RemovesCode(None) => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
            _ => panic!("removes an offline code out of order"),
        }
    }

    fn remove_all(&self) -> usize {
        match self.0.next("removes all offline codes") {
            Step::RemovesCodes => 2,
            _ => panic!("removes all offline codes out of order"),
        }
    }
}

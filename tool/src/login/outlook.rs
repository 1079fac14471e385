//! Predicts the result of a user's next login, with the code of the login itself, over one connection and
//! with one token. It asks no user, activates no factor and counts nothing.

use crate::outcome::{Exit, Failure};
use crate::ui::console::{Console, Paint};
use crate::ui::terminal::Countdown;
use pam_onelogin::api::ApiError;
use pam_onelogin::clock::unix_now;
use pam_onelogin::config::file::Loaded;
use pam_onelogin::config::{Attribute, Config, Exempt, Users, Whom};
use pam_onelogin::denials::Denials;
use pam_onelogin::host::{Nss, process_identity};
use pam_onelogin::id::UserId;
use pam_onelogin::login::{
    Api, ApprovalWait, Beginning, Clock, Denial, Fault, Login, NoAnswer, Outcome, Preview, Prompt,
    Typed, Unknown, Wait,
};
use pam_onelogin::map::UserKey;
use pam_onelogin::onelogin::OneLogin;
use pam_onelogin::onelogin::http::Transport;
use pam_onelogin::reason::Reason;
use pam_onelogin::state::State;
use pam_onelogin::state::user_memory::{Action, LookUpPause, Person, UserMemory};
use pam_onelogin::text::{LOG_CHARS, clean};
use pam_onelogin::user::{Exemption, People as _, Request, Subject, Unfit, Who, who};
use pam_onelogin::verdict::{self, Circumstances};
use std::time::Duration;

/// How often OneLogin may ask to retry later, one time after another, for one user.
const PATIENCE: u32 = 5;

/// The longest wait before a retry: OneLogin's limits are per hour.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// After this many users in a row without a usable answer from OneLogin, the rest is not checked.
const MOST_TROUBLES: u32 = 3;

/// From this many users on, announce the number of requests.
const MANY: usize = 50;

/// The service whose login is predicted: one that checks a first factor.
const SERVICE: &str = "sshd";

/// A login there.
const CIRCUMSTANCES: Circumstances = Circumstances {
    in_ssh: true,
    proven: true,
};

/// The means of looking at many users.
pub(crate) struct Outlook<'a> {
    loaded: &'a Loaded,
    console: &'a Console,
    state: &'a State,
    onelogin: OneLogin<'a>,
}

/// The predicted result of a login.
pub(crate) struct Prediction {
    /// One word.
    pub(crate) word: Word,
    /// The reason in the log, where it is no choice of factors.
    pub(crate) reason: Option<&'static str>,
    /// The message of OneLogin or the system, without control characters.
    pub(crate) detail: Option<String>,
    /// What the administrator does next.
    next: Next,
}

/// What the administrator does next.
#[derive(Clone, Copy)]
enum Next {
    Nothing,
    /// Runs it where a person can answer.
    Answer,
    /// Looks at the machine and at OneLogin.
    Check,
    /// Sets up a factor.
    Enroll,
    /// Resets the limits.
    Reset,
    /// Waits until a pause is over, or ends it.
    EndPause(LookUpPause),
    /// Finds out what to write into the configuration or the map.
    Map,
    /// Does the same, or creates the user at OneLogin.
    Create,
    /// Reads about the reason in the manual.
    Read,
}

impl Next {
    fn after(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::NoConversation => Self::Answer,
            Outcome::Denied(Denial::Interrupted) => Self::Nothing,
            Outcome::Unknown(Unknown::NoFactor) => Self::Enroll,
            Outcome::Denied(
                Denial::TooManyCodes
                | Denial::TooManyCodesToday
                | Denial::TooManyChallenges
                | Denial::TooManyChallengesToday
                | Denial::PushDeniedLately
                | Denial::Push,
            ) => Self::Reset,
            Outcome::Denied(Denial::TooManyLookUps) => Self::EndPause(LookUpPause::TooMany),
            Outcome::Unknown(Unknown::LookUpPaused) => Self::EndPause(LookUpPause::NothingFound),
            Outcome::Unknown(Unknown::User) => Self::Create,
            Outcome::Unknown(
                Unknown::Several | Unknown::Other | Unknown::Name | Unknown::NotMapped,
            ) => Self::Map,
            // `check` names the line of the configuration.
            Outcome::Fault(Fault::NoSuchGroup(_)) => Self::Check,
            outcome if is_no_answer(outcome) => Self::Check,
            _ => Self::Read,
        }
    }
}

/// The word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// There are factors to pass with.
    Pass,
    /// The login would begin with an enrolment.
    Enroll,
    /// An admin exempted the user.
    Exempt,
    /// The user could not log in.
    Denied,
}

impl<'a> Outlook<'a> {
    /// Prepares it. It does not use the cache of this host (see [`fresh`]).
    pub(crate) fn new(
        loaded: &'a Loaded,
        state: &'a State,
        transport: &'a mut dyn Transport,
        console: &'a Console,
    ) -> Self {
        Self {
            loaded,
            console,
            state,
            onelogin: OneLogin::new(&loaded.config, loaded.secrets.as_ref(), state, transport),
        }
    }

    /// What a login of this user would begin with.
    pub(crate) fn preview(&mut self, name: &str) -> Preview {
        match self.subject(name) {
            Err(outcome) => Preview::of(outcome),
            Ok(subject) => self.patiently(&subject, |login| {
                let preview = login.preview(&subject);
                let pause = match &preview.beginning {
                    Beginning::End(outcome) => pause(outcome),
                    Beginning::Menu(_) | Beginning::Enrolment => None,
                };
                (preview, pause)
            }),
        }
    }

    /// The OneLogin id of this user, and the name by which the system knows them.
    pub(crate) fn identify(&mut self, name: &str) -> Result<(String, UserId), Outcome> {
        let subject = self.subject(name)?;
        let id = self.patiently(&subject, |login| {
            let result = login.identify(&subject);
            let pause = result.as_ref().err().and_then(pause);
            (result, pause)
        })?;
        Ok((subject.name, id))
    }

    /// The user who would need a factor, unless the login ends before that.
    pub(crate) fn subject(&self, name: &str) -> Result<Subject, Outcome> {
        subject(&request(name), self.loaded)
    }

    /// Asks, and asks again when OneLogin says when to retry: with many users, the time limit of one login
    /// does not matter.
    fn patiently<T>(
        &mut self,
        subject: &Subject,
        ask: impl Fn(Login<'_>) -> (T, Option<Duration>),
    ) -> T {
        let mut left = PATIENCE;
        loop {
            let clock = Countdown::start(self.console);
            let (config, api) = (&self.loaded.config, &mut self.onelogin);
            let (answer, pause) =
                with_login(config, self.state, api, &mut Nobody, &clock, subject, &ask);
            match pause {
                Some(pause) if left > 0 => {
                    left -= 1;
                    let pause = pause.min(LONGEST_PAUSE);
                    if !pause.is_zero() {
                        let seconds = pause.as_secs();
                        let text = format!("OneLogin asks to retry in {seconds} s; waiting.");
                        self.console.note(&text);
                    }
                    let _: Wait = clock.wait(pause);
                }
                _ => return answer,
            }
        }
    }
}

impl Prediction {
    /// What this preview of a login of a user means.
    pub(crate) fn of(preview: &Preview, name: &str, users: &Users) -> Self {
        match &preview.beginning {
            Beginning::Menu(_) => Self::without_reason(Word::Pass),
            Beginning::Enrolment => Self::without_reason(Word::Enroll),
            Beginning::End(outcome) => Self::of_end_for(outcome, name, users),
        }
    }

    /// As [`Self::of_end`]; for an exempt user with the key of the configuration, and the group.
    pub(crate) fn of_end_for(outcome: &Outcome, name: &str, users: &Users) -> Self {
        let mut prediction = Self::of_end(outcome);
        if let Outcome::Exempt(exemption) = outcome {
            let facts = [Some(key_of(exemption, name, users)), prediction.detail];
            let facts: Vec<_> = facts.into_iter().flatten().collect();
            prediction.detail = Some(clean(&facts.join(", "), LOG_CHARS));
        }
        prediction
    }

    /// What this end means, in the log's words.
    pub(crate) fn of_end(outcome: &Outcome) -> Self {
        let verdict = verdict::of(outcome, CIRCUMSTANCES);
        let (word, next) = if verdict.is_denial() {
            (Word::Denied, Next::after(outcome))
        } else {
            (Word::Exempt, Next::Nothing)
        };
        // A missing answer here says nothing about a login through sshd.
        let detail = verdict.detail.filter(|_| !matches!(next, Next::Answer));
        Self {
            word,
            reason: verdict.reason.map(Reason::word),
            detail: detail.map(|detail| clean(&detail, LOG_CHARS)),
            next,
        }
    }

    /// What to type next, for this user.
    pub(crate) fn advice(&self, name: &str) -> Option<String> {
        let reason = self.reason.unwrap_or_default();
        let user = word(name);
        Some(match self.next {
            Next::Nothing => return None,
            Next::Answer => "No answer was typed: run this at a terminal.".to_owned(),
            Next::Check => {
                format!("To find the cause, as root, type: pam-onelogin check --user {user}")
            }
            Next::Enroll => format!("To enrol a factor, as root, type: pam-onelogin enroll {user}"),
            Next::Reset => format!("First {}", ask_first(name)),
            Next::EndPause(pause) => format!(
                "Paused: {}. To ask at once, as root, type: pam-onelogin limits reset {user}",
                pause.text()
            ),
            Next::Create => format!(
                "If OneLogin does not have this user, create the user at OneLogin, or exempt them; for what to write, \
                 as root, type: pam-onelogin check {user}"
            ),
            Next::Map => format!(
                "For what to write, as root, type: pam-onelogin check {user}; or see pam_onelogin(8), reason {reason}"
            ),
            Next::Read => format!("For what to do, see pam_onelogin(8), reason {reason}"),
        })
    }

    /// Whether another user may be able to log in.
    pub(crate) fn is_about_user(&self) -> bool {
        !matches!(self.next, Next::Nothing | Next::Answer | Next::Check)
    }

    /// Why a command could do nothing for this user.
    pub(crate) fn failure(&self, user: &str, end: &str) -> Failure {
        let sentence = format!("{user} {}{end}", self.sentence());
        Failure(
            [Some(sentence), self.advice(user)]
                .into_iter()
                .flatten()
                .collect(),
        )
    }

    /// After the user's name.
    pub(crate) fn sentence(&self) -> String {
        let Self {
            word,
            reason,
            detail,
            ..
        } = self;
        let mut text = match word {
            Word::Pass => "could log in",
            Word::Enroll => "would enrol a factor",
            Word::Exempt => "is exempt",
            Word::Denied => "could not log in",
        }
        .to_owned();
        let facts = [reason.map(str::to_owned), detail.clone()];
        for (before, fact) in [": ", ", "].into_iter().zip(facts.into_iter().flatten()) {
            text.push_str(before);
            text.push_str(&fact);
        }
        text
    }

    fn without_reason(word: Word) -> Self {
        Self {
            word,
            reason: None,
            detail: None,
            next: Next::Nothing,
        }
    }
}

impl Word {
    /// As it is shown.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Enroll => "enroll",
            Self::Exempt => "exempt",
            Self::Denied => "denied",
        }
    }

    /// How a look at it ends.
    pub(crate) fn exit(self) -> Exit {
        match self {
            Self::Pass | Self::Enroll | Self::Exempt => Exit::Good,
            Self::Denied => Exit::Bad,
        }
    }

    /// Its colour.
    pub(crate) fn paint(self) -> Paint {
        match self {
            Self::Pass => Paint::Good,
            Self::Enroll => Paint::Warning,
            Self::Exempt => Paint::Dim,
            Self::Denied => Paint::Bad,
        }
    }
}

/// The key of the configuration that exempts a user, and the group of the user that it names.
fn key_of(exemption: &Exemption, name: &str, users: &Users) -> String {
    let (key, group) = match exemption {
        Exemption::User => ("users.exempt_users", None),
        Exemption::Group => (
            "users.exempt_groups",
            group_of(name, users.exempt_groups.iter().map(String::as_str)),
        ),
        Exemption::Dated(term) => {
            let entries = users.exempt.iter().filter(|entry| entry.term == *term);
            let is_named = |entry: &Exempt| matches!(&entry.whom, Whom::User(user) if user == name);
            let groups = entries.clone().filter_map(|entry| match &entry.whom {
                Whom::User(_) => None,
                Whom::Group(group) => Some(group.as_str()),
            });
            let by_name = entries.clone().any(is_named);
            let group = (!by_name).then(|| group_of(name, groups)).flatten();
            ("users.exempt", group)
        }
        Exemption::OtherGroups => ("users.groups", None),
        Exemption::Unknown => ("users.unknown = \"exempt\"", None),
        Exemption::NoFactor => ("users.no_factor = \"exempt\"", None),
    };
    match group {
        Some(group) => format!("{key}, group {group}"),
        None => key.to_owned(),
    }
}

/// The first of these groups that a user is a member of.
pub(crate) fn group_of<'a>(
    name: &str,
    mut groups: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let account = Nss.by_name(name).ok().flatten()?;
    groups.find(|group| {
        let found = Nss.groups(&account, &[group]);
        found.is_ok_and(|found| found.has(group))
    })
}

/// What to do before the limits of a user are reset, and how to reset them.
pub(crate) fn ask_first(user: &str) -> String {
    format!(
        "ask {user} whether these logins were their own; if not, someone else has their key or password, so change it first; then \
         to reset the limits, as root, type: pam-onelogin limits reset {}",
        word(user)
    )
}

/// A name as one word of a shell: a directory's names may be anything.
pub(crate) fn word(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-@+".contains(c);
    if !name.is_empty() && name.chars().all(is_plain) {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', "'\\''"))
    }
}

/// The configuration without the cache, which may be minutes old.
pub(crate) fn fresh(mut loaded: Loaded) -> Loaded {
    loaded.config.users.cache = Duration::ZERO;
    loaded
}

/// A login of this subject in this process.
pub(crate) fn with_login<T>(
    config: &Config,
    state: &State,
    api: &mut dyn Api,
    prompt: &mut dyn Prompt,
    clock: &dyn Clock,
    subject: &Subject,
    run: impl FnOnce(Login<'_>) -> T,
) -> T {
    let denials = Denials::default();
    let action = Action::Handle(Some(&denials));
    let mut user_memory =
        UserMemory::of(state, config, action, &Person::of(subject)).for_an_admin();
    run(Login::new(
        api,
        prompt,
        clock,
        &mut user_memory,
        config,
        ApprovalWait::AfterEnter,
    ))
}

/// The user who would need a factor, unless the login ends before that.
pub(crate) fn subject(request: &Request, loaded: &Loaded) -> Result<Subject, Outcome> {
    let dates = loaded.dates(unix_now());
    let (who, _) = who(request, &loaded.config, &loaded.map, dates, &Nss);
    match who {
        Who::Subject(subject) => Ok(subject),
        Who::Exempt { exemption, .. } => Err(Outcome::Exempt(exemption)),
        Who::NoAccount => Err(Outcome::Unknown(Unknown::Account)),
        Who::Unclear(unclear) => Err(Outcome::Unknown(Unknown::Unclear(unclear))),
        Who::NoSuchGroup(name) => Err(Outcome::Fault(Fault::NoSuchGroup(name))),
    }
}

/// The name or id by which OneLogin is asked for a user.
pub(crate) fn known_as(subject: &Subject, config: &Config) -> String {
    let attribute = config.users.attribute.as_ref().map(Attribute::name);
    match &subject.key {
        Ok(UserKey::Name(name)) => {
            let attribute = attribute.unwrap_or_default();
            format!("{attribute} \"{}\"", clean(name, LOG_CHARS))
        }
        Ok(UserKey::Id(id)) => format!("id {} from the map", id.as_str()),
        Err(Unfit::Name) => "nothing: such a name is never sent to OneLogin".to_owned(),
        Err(Unfit::NotMapped) => "nothing: the map has no line for this user".to_owned(),
    }
}

/// Whether OneLogin gave no usable answer about this user.
pub(crate) fn is_no_answer(outcome: &Outcome) -> bool {
    concerns_all(outcome) || matches!(outcome, Outcome::Unavailable(_))
}

/// Whether the same holds for every user: OneLogin cannot be asked at all.
fn concerns_all(outcome: &Outcome) -> bool {
    match outcome {
        // It says nothing about OneLogin.
        Outcome::Fault(Fault::NoSuchGroup(_)) => false,
        Outcome::Fault(_) => true,
        Outcome::Unavailable(error) => error.trouble.is_of_the_way(),
        _ => false,
    }
}

/// How often OneLogin gave no usable answer, one time after another.
#[derive(Default)]
pub(crate) struct FailureStreak(u32);

impl FailureStreak {
    /// Counts the result of one user.
    pub(crate) fn saw(&mut self, outcome: &Outcome) {
        self.0 = match outcome {
            _ if concerns_all(outcome) => MOST_TROUBLES,
            Outcome::Unavailable(_) => self.0 + 1,
            _ => 0,
        };
    }

    /// Whether to stop asking.
    pub(crate) fn are_too_many(&self) -> bool {
        self.0 >= MOST_TROUBLES
    }
}

/// Announces the number of requests if it is large, because all clients of the account share OneLogin's limit.
/// Each user needs a look-up and `further` more requests.
pub(crate) fn announce(console: &Console, config: &Config, users: usize, further: usize) {
    let look_up = match &config.users.attribute {
        Some(Attribute::Custom(_)) => 2,
        _ => 1,
    };
    if users >= MANY {
        let requests = users * (look_up + further) + 1;
        console.note(&format!("{users} users, up to {requests} requests."));
    }
}

/// What sshd would ask after a key was accepted.
pub(crate) fn request(name: &str) -> Request {
    Request {
        user: Some(name.to_owned()),
        service: SERVICE.to_owned(),
        ssh_connection: Some(process_identity()),
        ssh_auth_info: true,
        ..Request::default()
    }
}

/// When OneLogin wants to be asked again.
fn pause(outcome: &Outcome) -> Option<Duration> {
    match outcome {
        Outcome::Unavailable(ApiError { retry_after, .. }) => *retry_after,
        _ => None,
    }
}

/// A login that asks no person.
struct Nobody;

impl Prompt for Nobody {
    fn ask(&mut self, _: &str) -> Result<Typed, NoAnswer> {
        Err(NoAnswer)
    }

    fn is_there(&self) -> bool {
        false
    }

    fn tell(&mut self, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_type_next_is_one_command_whatever_a_user_is_called() {
        assert_eq!(word("a.b-c@example.com"), "a.b-c@example.com");
        assert_eq!(word("x;reboot"), "'x;reboot'");
        assert_eq!(word("it's $(me)"), "'it'\\''s $(me)'");
        assert_eq!(word(""), "''");
        let prediction = Prediction::of_end(&Outcome::Unknown(Unknown::NoFactor));
        let advice = prediction.advice("x;reboot").unwrap();
        assert!(advice.ends_with("enroll 'x;reboot'"), "{advice}");
    }
}

//! `check --prove USER`: finds out how the administrator's own tenant behaves, by real codes and pushes of one
//! user. Each step says what it sends, asks first, and stops at the first surprise. At most three messages or
//! pushes are sent. The wrong code comes first: a tenant that accepts one must not guard a login.
//!
//! The steps are logins by the module's own code, which the tool answers. Their counts are kept apart, so that
//! a wrong code on purpose does not count against the user's limits on this host.

mod step;

use crate::login::last_reply::{LastReply, Noted};
use crate::login::outlook::{Prediction, request, subject, word};
use crate::login::proof::{
    Answer, CODE_BESIDE_PUSH, DENIED_PUSH, EXPIRED_PUSH, IDS, Proof, QUESTIONS, RIGHT_CODE,
    WRONG_CODE,
};
use crate::login::scratch::Scratch;
use crate::login::script::{Claim, Script, Typing};
use crate::outcome::{Exit, Failure};
use crate::ui::console::{Paint, paint, width};
use crate::ui::finding::wrap;
use crate::ui::terminal::{Countdown, hold_interrupts};
use crate::verb::Context;
use pam_onelogin::api::{self, ApiError, ApiTrouble};
use pam_onelogin::config::file::Loaded;
use pam_onelogin::factor::{Codes, Device, Factor};
use pam_onelogin::id::UserId;
use pam_onelogin::login::{
    Api as _, ApprovalWait, Beginning, Clock as _, Deadline, Denial, Memory as _, Outcome, Unknown,
    Wait,
};
use pam_onelogin::onelogin::OneLogin;
use pam_onelogin::secret::Secret;
use pam_onelogin::state::State;
use pam_onelogin::state::user_memory::{Action, Person, UserMemory};
use pam_onelogin::text::{LOG_CHARS, PROMPT_CHARS, clean};
use pam_onelogin::user::Subject;
use std::cell::RefCell;
use std::time::Duration;

/// How many messages and pushes are sent at most.
const MOST_SENT: u32 = 3;

/// The time for one step: the longest that the configuration allows for a login.
const STEP: Duration = Duration::from_secs(600);

/// How long between two looks at a push that stays unanswered, and how long after its end it is looked at.
const LOOK: Duration = Duration::from_secs(5);
const AFTER: Duration = Duration::from_secs(15);

/// Finds out how the tenant behaves.
pub(crate) fn run(context: &Context, user: &str) -> Result<Exit, Failure> {
    let mut loaded = context.load()?;
    let on_host = context.load()?;
    let console = &context.console;
    hold_interrupts();
    let name = clean(user, PROMPT_CHARS);
    let end = |outcome: &Outcome| Prediction::of_end(outcome).failure(&name, "; nothing was asked");
    let subject = subject(&request(user), &loaded).map_err(|outcome| end(&outcome))?;
    let proof = Proof::load(&context.config, &loaded.config)?;
    let marked = proof.marks(&context.config)?;
    // Whether it can be written is known before anything is sent.
    proof.save(&context.config)?;
    // A tenant that was found unsafe is asked again like any other.
    loaded.unsafe_tenant = None;
    loaded.config.onelogin.login_timeout = STEP;
    loaded.config.factors.prompts = 1;
    loaded.config.factors.autopush = false;
    loaded.config.push_wait = Duration::from_secs(loaded.config.factors.expires_in.into());
    let scratch = Scratch::new(&loaded.config)?;
    let seen = RefCell::new(LastReply::default());
    let person = Person::of(&subject);
    let host = UserMemory::of(
        &scratch.host,
        &on_host.config,
        Action::Handle(None),
        &person,
    );
    let mut prover = Prover {
        context,
        subject: &subject,
        proof,
        asked: Vec::new(),
        marked,
        loaded,
        own: &scratch.own,
        host: RefCell::new(host.for_an_admin()),
        user: None,
        seen: &seen,
        sent: 0,
        right: Vec::new(),
    };
    let url = &prover.proof.url;
    console.note(&wrapped(&format!(
        "This finds out how {url} behaves, by real codes and pushes of {name}. Each step says what it sends, \
         and asks first. At most {MOST_SENT} messages and pushes are sent. It stops at the first surprise. \
         If OneLogin accepts what it must refuse, this host then denies every login that uses this API \
         credential, also in sudo: keep a root shell open."
    )));
    let devices = prover.devices().map_err(|outcome| end(&outcome))?;
    let ended = prover.steps(&devices);
    Ok(prover.conclude(ended))
}

/// Why there are no further steps.
enum Stop {
    /// The administrator did not go on.
    Declined,
    /// OneLogin did something that it should not do, but no user gets in by it.
    Surprise,
    /// OneLogin accepted what it must refuse.
    Unsafe,
    /// The tool could not go on.
    Failed(Failure),
}

struct Prover<'a> {
    context: &'a Context,
    subject: &'a Subject,
    loaded: Loaded,
    /// The private files of these logins.
    own: &'a State,
    /// What all logins of this user on this host know: used codes, and the push that is open.
    host: RefCell<UserMemory<'a>>,
    /// The user at OneLogin, once looked up.
    user: Option<UserId>,
    seen: &'a RefCell<LastReply>,
    proof: Proof,
    /// The answers of this run.
    asked: Vec<Answer>,
    /// The questions that the tenant was marked for before this run.
    marked: Vec<String>,
    /// How many messages and pushes were sent.
    sent: u32,
    /// The questions that OneLogin must answer in one way only, and did, with what was tested.
    right: Vec<String>,
}

impl Prover<'_> {
    /// The devices of the user, looked up as a login does.
    fn devices(&mut self) -> Result<Vec<Device>, Outcome> {
        let subject = self.subject;
        let claim: &dyn Fn(&Secret) -> Claim = &|_| Claim::Used;
        let script = (Script::default(), claim);
        let preview = self.login(script, ApprovalWait::AfterEnter, |login| {
            login.preview(subject)
        });
        if let Some(user) = &preview.onelogin_id {
            self.host.borrow_mut().meet(user);
        }
        self.user = preview.onelogin_id;
        match preview.beginning {
            Beginning::Menu(menu) => Ok(menu.devices().to_vec()),
            Beginning::End(outcome) => Err(outcome),
            Beginning::Enrolment => Err(Outcome::Unknown(Unknown::NoFactor)),
        }
    }

    fn steps(&mut self, devices: &[Device]) -> Result<(), Stop> {
        let at_hand = devices
            .iter()
            .find(|device| device.codes == Codes::AtHand && device.factor != Factor::Temporary);
        let with_code = at_hand
            .or_else(|| {
                devices
                    .iter()
                    .find(|device| !device.factor.medium().is_empty())
            })
            .or_else(|| {
                devices
                    .iter()
                    .find(|device| device.codes == Codes::WithPush)
            });
        match with_code {
            Some(device) => {
                self.wrong_code(device)?;
                self.right_code(device)?;
            }
            None => self.not_asked(WRONG_CODE, "this user has no device for codes"),
        }
        let Some(push) = devices.iter().find(|device| device.factor == Factor::Push) else {
            self.not_asked(DENIED_PUSH, "this user has no OneLogin Protect");
            return Ok(());
        };
        self.denied_push(push)?;
        if push.codes == Codes::Never {
            self.not_asked(CODE_BESIDE_PUSH, "this OneLogin Protect takes no codes");
        } else {
            self.code_beside_push(push)?;
        }
        self.expired_push(push)
    }

    /// Step 1. One wrong code that is accepted may be chance; a second one is not.
    fn wrong_code(&mut self, device: &Device) -> Result<(), Stop> {
        let name = device.label();
        let what = format!(
            "Type the code of {name}. The tool changes its last characters and sends the wrong code to \
             OneLogin, which must refuse it. OneLogin may count this as a failed attempt."
        );
        self.step(WRONG_CODE, &what);
        for is_second in [false, true] {
            let outcome = self.code(device, Typing::Wrong)?;
            let said = self.said();
            match outcome {
                Outcome::Denied(Denial::Code) if is_second => {
                    let answer = format!("one was accepted, a second one refused: {said}");
                    self.answer(WRONG_CODE, device, &answer, Some(AGAIN));
                    return Err(Stop::Surprise);
                }
                Outcome::Denied(Denial::Code) => {
                    // That it is right is known once a right code is accepted.
                    self.answer(WRONG_CODE, device, &format!("refused: {said}"), None);
                    return Ok(());
                }
                Outcome::Accepted(_) if is_second => {
                    return self.is_unsafe(WRONG_CODE, device, "two wrong codes", &said);
                }
                Outcome::Accepted(_) => {
                    let answer = format!("accepted one: {said}");
                    self.answer(WRONG_CODE, device, &answer, Some(AGAIN));
                    self.note(&wrapped(&format!(
                        "OneLogin accepted a wrong code. To be sure, the tool sends another one: type the code of {name} again."
                    )));
                }
                other => return self.surprised(WRONG_CODE, device, &other, &said),
            }
        }
        Ok(())
    }

    /// Step 2.
    fn right_code(&mut self, device: &Device) -> Result<(), Stop> {
        let name = device.label();
        let what = format!(
            "Type the code of {name} once more. It is sent as it is, and OneLogin must accept it."
        );
        self.step(RIGHT_CODE, &what);
        let outcome = self.code(device, Typing::Right)?;
        let said = self.said();
        match outcome {
            Outcome::Accepted(_) => {
                self.answer(RIGHT_CODE, device, &format!("accepted: {said}"), None);
                self.right.push(self.key(WRONG_CODE, device));
                let ids = self.seen.borrow().ids();
                self.keep(IDS, device, &format!("it carries {ids}"), None);
                Ok(())
            }
            Outcome::Denied(Denial::Code) => {
                // Then the refusal of the wrong code says nothing: a token without rights gets the same reply.
                let advice = if self.seen.borrow().is("pending") {
                    ACTIVATE
                } else {
                    "OneLogin may refuse every code: check the scope of the credential, and the clock of the \
                     phone; then run this again"
                };
                let answer = format!("refused: {said}");
                self.answer(RIGHT_CODE, device, &answer, Some(advice));
                Err(Stop::Surprise)
            }
            other => self.surprised(RIGHT_CODE, device, &other, &said),
        }
    }

    /// Step 3.
    fn denied_push(&mut self, device: &Device) -> Result<(), Stop> {
        let name = device.label();
        let what = format!("A push is sent to {name}. Deny it on the phone.");
        if !self.may_send(DENIED_PUSH, &what)? {
            return Ok(());
        }
        let script = Script::of([Typing::Enter]).once_pushed(DENY_NOW);
        let outcome = self.run(device, script, ApprovalWait::AtOnce)?;
        let said = self.said();
        let is_gone = self.seen.borrow().status() == Some(404);
        match outcome {
            Outcome::Denied(Denial::Push) => {
                self.refused(DENIED_PUSH, device, DENY, &said);
                Ok(())
            }
            Outcome::Denied(Denial::Expired) if is_gone => {
                self.refused(DENIED_PUSH, device, DENY, &said);
                Ok(())
            }
            Outcome::Denied(Denial::Unanswered) => {
                let advice = "users who deny a push wait until push.wait is over; you may lower it";
                let answer = format!("looks like a push without an answer: {said}");
                self.answer(DENIED_PUSH, device, &answer, Some(advice));
                Ok(())
            }
            Outcome::Accepted(_) => {
                self.approved(DENIED_PUSH, device, DENY, "a push that was denied")
            }
            other => self.surprised(DENIED_PUSH, device, &other, &said),
        }
    }

    /// Step 4.
    fn code_beside_push(&mut self, device: &Device) -> Result<(), Stop> {
        let name = device.label();
        let what = format!(
            "A push is sent to {name}. Do not answer it: type the code that the app shows. It is sent while the push is open."
        );
        if !self.may_send(CODE_BESIDE_PUSH, &what)? {
            return Ok(());
        }
        let script = match device.codes {
            Codes::WithPush => Script::of([Typing::Right]),
            Codes::AtHand | Codes::Never => Script::of([Typing::Enter, Typing::Right]),
        };
        let outcome = self.run(device, script, ApprovalWait::AfterEnter)?;
        let said = self.said();
        match outcome {
            Outcome::Accepted(_) => {
                let answer = format!("accepted: {said}");
                self.answer(CODE_BESIDE_PUSH, device, &answer, None);
                Ok(())
            }
            Outcome::Denied(Denial::Code) => {
                let advice = "if you typed the code right, and while the push was open, tell your users: answer \
                     the push, or deny it and log in again, before you type a code";
                let answer = format!("refused: {said}");
                self.answer(CODE_BESIDE_PUSH, device, &answer, Some(advice));
                Ok(())
            }
            other => self.surprised(CODE_BESIDE_PUSH, device, &other, &said),
        }
    }

    /// Step 5. A login ends before its push does, so this step asks OneLogin itself.
    fn expired_push(&mut self, device: &Device) -> Result<(), Stop> {
        let life = self.loaded.config.factors.expires_in;
        let name = device.label();
        let what = format!(
            "A push is sent to {name}. Do not answer it. The tool waits until it ends, which takes up to {life} seconds."
        );
        if !self.may_send(EXPIRED_PUSH, &what)? {
            return Ok(());
        }
        self.take_phone()?;
        let ended = self.wait_for_the_end(device);
        self.host.borrow_mut().leave_phone();
        let said = self.said();
        match ended {
            Ok(Some(api::Answer::Rejected | api::Answer::Unfit)) => {
                self.refused(EXPIRED_PUSH, device, LEAVE, &said);
                Ok(())
            }
            Ok(Some(api::Answer::Accepted(_))) => {
                self.approved(EXPIRED_PUSH, device, LEAVE, "a push without an answer")
            }
            Ok(Some(api::Answer::Pending)) => {
                let answer = format!("still open {} s after its end: {said}", AFTER.as_secs());
                let advice = "keep push.wait below factors.expires_in";
                self.answer(EXPIRED_PUSH, device, &answer, Some(advice));
                Ok(())
            }
            Ok(None) => Err(Stop::Declined),
            Err(error) if error.trouble == ApiTrouble::NotFound => {
                self.refused(EXPIRED_PUSH, device, LEAVE, &said);
                Ok(())
            }
            Err(error) => {
                let outcome = Outcome::Unavailable(error);
                self.surprised(EXPIRED_PUSH, device, &outcome, &said)
            }
        }
    }

    /// Sends a push and asks how it stands until it is answered or well over; `None` after Ctrl-C.
    fn wait_for_the_end(&self, device: &Device) -> Result<Option<api::Answer>, ApiError> {
        let console = &self.context.console;
        let clock = Countdown::start(console);
        let config = &self.loaded.config;
        let watch = self.watch(Noted::All);
        let mut transport = self.transport(&clock, &watch);
        let mut onelogin = OneLogin::new(
            config,
            self.loaded.secrets.as_ref(),
            self.own,
            &mut transport,
        );
        let Some(user) = &self.user else {
            return Ok(None);
        };
        let deadline = || Deadline::after(config.onelogin.request_timeout);
        onelogin.authorise(deadline())?;
        let activation = onelogin.activate(user, device, deadline().into())?;
        console.note(LEAVE_IT);
        let end = clock.elapsed() + Duration::from_secs(config.factors.expires_in.into()) + AFTER;
        clock.counts(end.saturating_sub(clock.elapsed()));
        loop {
            if clock.wait(LOOK) == Wait::Interrupted {
                return Ok(None);
            }
            let answer = onelogin.poll(user, device, &activation.id, deadline())?;
            if !matches!(answer, api::Answer::Pending) || clock.elapsed() >= end {
                return Ok(Some(answer));
            }
        }
    }
}

impl Prover<'_> {
    /// Shows and keeps the answers.
    fn conclude(self, ended: Result<(), Stop>) -> Exit {
        let console = &self.context.console;
        let config = &self.context.config;
        console.note(&format!("\n{}", paint(Paint::Bold, "Result")));
        for answer in &self.asked {
            let question = QUESTIONS.iter().find(|known| known.word == answer.question);
            let text = question.map_or(answer.question.as_str(), |question| question.text);
            let said = capital(&clean(&answer.answer, LOG_CHARS));
            console.say(&wrapped(&format!("{text} {said}.")));
            if let Some(advice) = &answer.advice {
                console.say(&wrap(&format!("  do: {advice}"), 6, width()));
            }
        }
        let saved = self.proof.save(config);
        let lifted: Vec<String> = self
            .marked
            .iter()
            .filter(|it| self.right.contains(it))
            .cloned()
            .collect();
        let unmarked = if lifted.is_empty() {
            Ok(())
        } else {
            self.proof.unmark(config, &lifted)
        };
        for Failure(sentences) in [saved, unmarked].into_iter().filter_map(Result::err) {
            for sentence in sentences {
                console.fault(&sentence);
            }
        }
        let left = self.proof.marks(config).unwrap_or_default();
        if !self.marked.is_empty() && left.is_empty() {
            console.note(&wrapped(
                "OneLogin now refuses what it accepted before. Logins by this credential work again.",
            ));
        }
        let user = word(&self.subject.name);
        let exit = match ended {
            Err(Stop::Failed(Failure(sentences))) => {
                for sentence in sentences {
                    console.fault(&sentence);
                }
                Exit::Bad
            }
            Err(Stop::Declined) => {
                console.fault("stopped; the other questions were not asked");
                Exit::Bad
            }
            Err(Stop::Surprise) => {
                console.fault("stopped at a surprise; the other questions were not asked");
                Exit::Bad
            }
            Ok(()) if self.proof.tells_codes_apart(&self.loaded.config).is_none() => {
                console.fault(
                    "no code was tested: run this again with a user who has a device for codes",
                );
                Exit::Bad
            }
            Ok(()) if left.is_empty() => {
                console.note(&format!("Next: sudo pam-onelogin test {user}"));
                Exit::Good
            }
            Ok(()) | Err(Stop::Unsafe) => Exit::Bad,
        };
        let exit = if left.is_empty() {
            exit
        } else {
            let questions = left.join(", ");
            console.fault(&format!(
                "every login by this credential is denied, because of: {questions}. To let users in without a \
                 second factor, type: pam-onelogin disable SERVICE"
            ));
            Exit::Unsafe
        };
        console.document(&self.document());
        exit
    }

    /// The answers of this run, for machines.
    fn document(&self) -> Proof {
        Proof {
            answers: self.asked.clone(),
            ..self.proof.clone()
        }
    }
}

/// Where an answer was not the expected one.
const AGAIN: &str = "run this again before you protect a login";
const ACTIVATE: &str = "write verify = \"activated\" into [onelogin], and run this again";

/// What the user has to do with a push that has been sent.
const DENY_NOW: &str = "The push has been sent. Deny it now.";
const LEAVE_IT: &str = "The push has been sent. Do not answer it.";

/// What the user should have done with a push.
const DENY: &str = "Did you press Deny?";
const LEAVE: &str = "Did you leave the push unanswered?";

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

fn wrapped(text: &str) -> String {
    wrap(text, 0, width())
}

//! The parts of a step of `check --prove`: consent, a login, the answer.

use crate::login::last_reply::{Noted, Watch};
use crate::login::outlook::Prediction;
use crate::login::proof::{ACCEPTED, Answer, Question, form, today};
use crate::login::script::{Claim, Script, Scripted, Typing};
use crate::login::traced_http::{Steps, TracedHttp};
use crate::outcome::Failure;
use crate::ui::console::{Paint, paint};
use crate::ui::terminal::{Countdown, agrees, answer, is_yes};
use crate::verb::prove::{ACTIVATE, AGAIN, MOST_SENT, Prover, Stop, wrapped};
use pam_onelogin::api::ApiTrouble;
use pam_onelogin::config::VerifyForm;
use pam_onelogin::config::file::unsafe_tenants;
use pam_onelogin::denials::Denials;
use pam_onelogin::factor::{Codes, Device};
use pam_onelogin::login::{
    ApprovalWait, CodeNotCounted, Denial, Login, Memory as _, NoState, Outcome, Phone,
};
use pam_onelogin::onelogin::OneLogin;
use pam_onelogin::secret::Secret;
use pam_onelogin::state::user_memory::{Action, Person, UserMemory};
use std::cell::Cell;
use std::time::Duration;

impl Prover<'_> {
    /// A login that types one code of this device.
    pub(super) fn code(&mut self, device: &Device, code: Typing) -> Result<Outcome, Stop> {
        let script = match device.codes {
            Codes::AtHand => Script::of([code]),
            Codes::WithPush | Codes::Never => {
                if self.sent >= MOST_SENT {
                    return Err(Stop::Failed(Failure::new(
                        "three messages and pushes were sent already; run this again",
                    )));
                }
                let what = match device.factor.medium() {
                    "" => "A push is sent with it; do not answer it.".to_owned(),
                    medium => format!("A {medium} to {} brings it.", device.label()),
                };
                self.note(&what);
                if !agrees(&self.context.console, "Send it?") {
                    return Err(Stop::Declined);
                }
                self.sent += 1;
                match device.codes {
                    Codes::WithPush => Script::of([code]),
                    Codes::AtHand | Codes::Never => Script::of([Typing::Enter, code]),
                }
            }
        };
        self.run(device, script, ApprovalWait::AfterEnter)
    }

    /// A login with this device alone. While it lasts, no other login of this user on this host sends a push.
    pub(super) fn run(
        &mut self,
        device: &Device,
        script: Script,
        wait: ApprovalWait,
    ) -> Result<Outcome, Stop> {
        self.loaded.config.factors.allow = vec![device.factor];
        self.forget_counts();
        self.take_phone()?;
        let subject = self.subject;
        let is_claimed = Cell::new(false);
        let claim = |code: &Secret| {
            is_claimed.set(true);
            self.claim(device, code)
        };
        let report = self.login((script, &claim), wait, |login| login.run(Ok(subject)));
        let mut host = self.host.borrow_mut();
        match report.outcome {
            Outcome::Accepted(_) => host.allow(),
            Outcome::Denied(Denial::Code) if is_claimed.get() => host.refused(),
            _ => {}
        }
        host.leave_phone();
        match report.outcome {
            Outcome::NoConversation | Outcome::Denied(Denial::Interrupted) => Err(Stop::Declined),
            outcome => Ok(outcome),
        }
    }

    /// A code that OneLogin shall accept is used up for the logins of this host, too, before it is sent (rule R18).
    fn claim(&self, device: &Device, code: &Secret) -> Claim {
        let Some(code) = device.factor.code(code) else {
            // It is not sent.
            return Claim::Claimed;
        };
        match self.host.borrow_mut().count_code(&code) {
            Ok(()) => Claim::Claimed,
            Err(CodeNotCounted::UsedBefore) => Claim::Used,
            Err(CodeNotCounted::LimitReached(_)) => Claim::Refused(
                "Too many codes of this user were refused on this host; see: pam-onelogin limits",
            ),
            Err(CodeNotCounted::NoState) => {
                Claim::Refused("The code cannot be counted on this host.")
            }
        }
    }

    /// An approval must not be taken for that of another login (rule R21).
    pub(super) fn take_phone(&self) -> Result<(), Stop> {
        let life = Duration::from_secs(self.loaded.config.factors.expires_in.into());
        let failed = |text: &str| Err(Stop::Failed(Failure::new(text)));
        match self.host.borrow_mut().take_phone(life) {
            Ok(Phone::Ours) => Ok(()),
            Ok(Phone::Busy) => failed(
                "another login of this user waits for its push: answer it on the phone, then run this again",
            ),
            Err(NoState) => failed("the push cannot be noted in state_dir"),
        }
    }

    pub(super) fn login<T>(
        &self,
        (script, claim): (Script, &dyn Fn(&Secret) -> Claim),
        wait: ApprovalWait,
        run: impl FnOnce(Login<'_>) -> T,
    ) -> T {
        let console = &self.context.console;
        let clock = Countdown::start(console);
        let config = &self.loaded.config;
        let notes = match wait {
            ApprovalWait::AtOnce => Noted::All,
            ApprovalWait::AfterEnter => Noted::Sent,
        };
        let watch = self.watch(notes);
        let mut transport = self.transport(&clock, &watch);
        let mut onelogin = OneLogin::new(
            config,
            self.loaded.secrets.as_ref(),
            self.own,
            &mut transport,
        );
        let denials = Denials::default();
        let action = Action::Handle(Some(&denials));
        let mut memory = UserMemory::of(self.own, config, action, &Person::of(self.subject));
        let mut prompt = Scripted {
            console,
            script,
            claim,
        };
        run(Login::new(
            &mut onelogin,
            &mut prompt,
            &clock,
            &mut memory,
            config,
            wait,
        ))
    }

    pub(super) fn watch(&self, notes: Noted) -> Watch<'_> {
        Watch {
            seen: self.seen,
            notes,
        }
    }

    /// A connection of its own for a step.
    pub(super) fn transport<'t>(
        &'t self,
        clock: &'t Countdown<'t>,
        watch: &'t Watch<'t>,
    ) -> TracedHttp<'t> {
        let (config, console) = (&self.loaded.config, &self.context.console);
        TracedHttp::new(config, console, clock, Steps::Shown).seen_by(watch)
    }

    /// A push that was denied in one step must not hold up the next one.
    fn forget_counts(&self) {
        let person = Person::of(self.subject);
        let mut memory =
            UserMemory::of(self.own, &self.loaded.config, Action::Handle(None), &person);
        if let Some(user) = &self.user {
            memory.meet(user);
            let _ = memory.reset();
        }
    }

    /// Announces a step.
    pub(super) fn step(&self, question: &Question, what: &str) {
        self.note(&format!("\n{}", paint(Paint::Bold, question.text)));
        self.note(&wrapped(what));
    }

    /// Announces a step that sends a push, and asks for consent.
    pub(super) fn may_send(&mut self, question: &Question, what: &str) -> Result<bool, Stop> {
        if self.sent >= MOST_SENT {
            self.not_asked(question, "three messages and pushes were sent already");
            return Ok(false);
        }
        self.step(question, what);
        if !agrees(&self.context.console, "Send it?") {
            return Err(Stop::Declined);
        }
        self.sent += 1;
        Ok(true)
    }

    pub(super) fn note(&self, text: &str) {
        self.context.console.note(text);
    }

    /// What OneLogin replied last.
    pub(super) fn said(&self) -> String {
        self.seen.borrow().words()
    }

    /// A question, with what is tested by it.
    pub(super) fn key(&self, question: &Question, device: &Device) -> String {
        format!("{}/{}", question.word, self.tested(device))
    }

    fn tested(&self, device: &Device) -> String {
        format!("{}/{}", device.factor.word(), form(&self.loaded.config))
    }

    /// A question that is left out stays as it was answered before.
    pub(super) fn not_asked(&mut self, question: &Question, why: &str) {
        self.asked.push(Answer {
            question: question.word.to_owned(),
            tested: String::new(),
            date: today(),
            answer: format!("not asked: {why}"),
            advice: None,
        });
    }

    /// OneLogin refused what it must refuse, if the user did what was asked.
    pub(super) fn refused(&mut self, question: &Question, device: &Device, ask: &str, said: &str) {
        let did = self.yes_or_no(ask);
        let answer = match did {
            Some(true) => format!("refused: {said}"),
            Some(false) | None => {
                format!("not clear, as the push was not handled as asked: {said}")
            }
        };
        if did == Some(true) {
            self.right.push(self.key(question, device));
        }
        self.answer(question, device, &answer, None);
    }

    pub(super) fn answer(
        &mut self,
        question: &Question,
        device: &Device,
        answer: &str,
        advice: Option<&str>,
    ) {
        self.note(&wrapped(&format!("OneLogin's answer: {answer}.")));
        self.keep(question, device, answer, advice);
    }

    pub(super) fn keep(
        &mut self,
        question: &Question,
        device: &Device,
        answer: &str,
        advice: Option<&str>,
    ) {
        let answer = Answer {
            question: question.word.to_owned(),
            tested: self.tested(device),
            date: today(),
            answer: answer.to_owned(),
            advice: advice.map(str::to_owned),
        };
        self.asked.retain(|it| it.question != answer.question);
        self.asked.push(answer.clone());
        self.proof.take(answer);
    }

    /// The login ended in a way that the step did not expect.
    pub(super) fn surprised(
        &mut self,
        question: &Question,
        device: &Device,
        outcome: &Outcome,
        said: &str,
    ) -> Result<(), Stop> {
        let prediction = Prediction::of_end(outcome);
        let seen = self.seen.borrow();
        let is_begun = self.loaded.config.onelogin.verify == VerifyForm::Direct
            && device.codes == Codes::AtHand
            && matches!(outcome, Outcome::Unavailable(error) if error.trouble == ApiTrouble::BadReply)
            && seen.has("id")
            && !seen.has("status");
        drop(seen);
        let reason = prediction.reason.unwrap_or("none");
        let detail = prediction.detail.as_deref().unwrap_or_default();
        let answer = format!("unexpected: {said}; reason={reason} {detail}");
        let advice = is_begun.then_some(ACTIVATE);
        self.answer(question, device, answer.trim_end(), advice);
        Err(Stop::Surprise)
    }

    /// OneLogin says that a push was approved, which should not be. What is not denied is kept, whatever comes of the question.
    pub(super) fn approved(
        &mut self,
        question: &Question,
        device: &Device,
        ask: &str,
        what: &str,
    ) -> Result<(), Stop> {
        let said = self.said();
        let answer = format!("approved, but the user was asked not to: {said}");
        self.answer(question, device, &answer, Some(AGAIN));
        let _ = self.proof.save(&self.context.config);
        match self.yes_or_no(ask) {
            Some(true) => self.is_unsafe(question, device, what, &said),
            Some(false) => {
                self.keep(
                    question,
                    device,
                    "it was approved on the phone",
                    Some(AGAIN),
                );
                Err(Stop::Surprise)
            }
            None => Err(Stop::Declined),
        }
    }

    /// Asks until the answer is yes or no; `None` at the end of the input.
    fn yes_or_no(&self, question: &str) -> Option<bool> {
        loop {
            let text = format!("{question} [y/n] ");
            let answer = answer(&self.context.console, &text)?;
            let is_no = answer.eq_ignore_ascii_case(b"n") || answer.eq_ignore_ascii_case(b"no");
            match (is_yes(&answer), is_no) {
                (true, _) => return Some(true),
                (_, true) => return Some(false),
                (false, false) => {}
            }
        }
    }

    /// OneLogin accepted what it must refuse: from now on the module denies all logins by this credential.
    pub(super) fn is_unsafe(
        &mut self,
        question: &Question,
        device: &Device,
        what: &str,
        said: &str,
    ) -> Result<(), Stop> {
        let config = &self.context.config;
        let marked = self.proof.mark(config, &self.key(question, device));
        let advice = "ask OneLogin's support; then run this again";
        let answer = format!("{ACCEPTED} {what}: {said}");
        self.answer(question, device, &answer, Some(advice));
        let text = format!(
            "DANGER: OneLogin accepted {what}. With this tenant the second factor protects nothing."
        );
        self.note(&paint(Paint::Bad, &wrapped(&text)));
        // What the module will see is what counts.
        let is_marked = || {
            self.context
                .load()
                .is_ok_and(|loaded| loaded.unsafe_tenant.is_some())
        };
        match marked {
            Ok(()) if is_marked() => {
                let (config, list) = (config.display(), unsafe_tenants(config));
                let text = format!(
                    "From now on the module denies every login that reads {config} with this API credential: \
                     {} says so. Keep this root shell open.",
                    list.display()
                );
                self.note(&wrapped(&text));
                Err(Stop::Unsafe)
            }
            marked => {
                let mut sentences = marked.err().map_or_else(Vec::new, |failure| failure.0);
                let text = "this host still lets users in: remove the module from its stacks";
                sentences.push(text.to_owned());
                Err(Stop::Failed(Failure(sentences)))
            }
        }
    }
}

//! The parts of a step of `check --prove`: consent, a login, the answer.

use crate::login::outlook::Prediction;
use crate::login::proof::{Answer, Question};
use crate::login::script::{Script, Scripted, Typing};
use crate::login::watched::{Noted, Watched};
use crate::ui::console::{Paint, paint};
use crate::ui::terminal::{Countdown, agrees};
use crate::verb::prove::{MOST_SENT, Prover, Stop, wrapped};
use pam_onelogin::api::ApiTrouble;
use pam_onelogin::config::VerifyForm;
use pam_onelogin::denials::Denials;
use pam_onelogin::factor::{Codes, Device};
use pam_onelogin::login::{ApprovalWait, Denial, Login, Memory as _, Outcome};
use pam_onelogin::onelogin::OneLogin;
use pam_onelogin::state::State;
use pam_onelogin::state::user_memory::{Action, Person, UserMemory};
use pam_onelogin::text::{PROMPT_CHARS, clean};

impl Prover<'_> {
    /// A login that types one code of this device.
    pub(super) fn code(&mut self, device: &Device, code: Typing) -> Result<Outcome, Stop> {
        let script = match device.codes {
            Codes::AtHand => Script::of([code]),
            Codes::WithPush | Codes::Never => {
                let what = match device.factor.medium() {
                    "" => "A push is sent with it; do not answer it.".to_owned(),
                    medium => format!("A {medium} to {} brings it.", device.label()),
                };
                self.note(&what);
                if !self.agrees("Send it?") {
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

    /// A login with this device alone.
    pub(super) fn run(
        &mut self,
        device: &Device,
        script: Script,
        wait: ApprovalWait,
    ) -> Result<Outcome, Stop> {
        self.loaded.config.factors.allow = vec![device.factor];
        self.forget_counts();
        let subject = self.subject;
        let report = self.login(script, wait, |login| login.run(Ok(subject)));
        if matches!(report.outcome, Outcome::Accepted(_)) {
            self.spend(device);
        }
        match report.outcome {
            Outcome::NoConversation | Outcome::Denied(Denial::Interrupted) => Err(Stop::Declined),
            outcome => Ok(outcome),
        }
    }

    /// A push that was denied in one step must not hold up the next one.
    pub(super) fn forget_counts(&self) {
        let mut memory = self.memory(&self.scratch.own);
        if let Some(user) = &self.user {
            memory.meet(user);
            let _ = memory.reset();
        }
    }

    pub(super) fn memory<'s>(&'s self, state: &'s State) -> UserMemory<'s> {
        let person = Person::of(self.subject);
        UserMemory::of(state, &self.loaded.config, Action::Handle(None), &person)
    }

    /// A code that OneLogin accepted is used up for the logins of this host, too (rule R18).
    pub(super) fn spend(&self, device: &Device) {
        let spent = self.spent.borrow();
        let code = spent.last().and_then(|code| device.factor.code(code));
        let (Some(code), Some(user)) = (code, &self.user) else {
            return;
        };
        let mut memory = self.memory(&self.scratch.host);
        memory.meet(user);
        if memory.count_code(&code).is_ok() {
            memory.allow();
        }
    }

    pub(super) fn login<T>(
        &self,
        script: Script,
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
        let mut transport = Watched::new(config, console, &clock, (self.seen, notes));
        let mut onelogin = OneLogin::new(
            config,
            &self.loaded.secrets,
            &self.scratch.own,
            &mut transport,
        );
        let denials = Denials::default();
        let action = Action::Handle(Some(&denials));
        let mut memory =
            UserMemory::of(&self.scratch.own, config, action, &Person::of(self.subject));
        let mut prompt = Scripted {
            console,
            script,
            spent: &self.spent,
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
        if !self.agrees("Send it?") {
            return Err(Stop::Declined);
        }
        self.sent += 1;
        Ok(true)
    }

    pub(super) fn agrees(&self, question: &str) -> bool {
        agrees(&self.context.console, question)
    }

    pub(super) fn note(&self, text: &str) {
        self.context.console.note(text);
    }

    /// What OneLogin replied last.
    pub(super) fn said(&self) -> String {
        self.seen.borrow().last()
    }

    pub(super) fn not_asked(&mut self, question: &Question, why: &str) {
        self.answer(question, format!("not asked: {why}"), None);
    }

    /// OneLogin refused what it must refuse.
    pub(super) fn right(&mut self, question: &Question, answer: String) {
        self.right.push(question.word);
        self.answer(question, answer, None);
    }

    pub(super) fn answer(&mut self, question: &Question, answer: String, advice: Option<&str>) {
        self.note(&wrapped(&format!("OneLogin's answer: {answer}.")));
        self.keep(question, answer, advice);
    }

    pub(super) fn keep(&mut self, question: &Question, answer: String, advice: Option<&str>) {
        self.proof.answers.push(Answer {
            question: question.word.to_owned(),
            answer,
            advice: advice.map(str::to_owned),
        });
    }

    /// The login ended in a way that the step did not expect.
    pub(super) fn surprised(
        &mut self,
        question: &Question,
        outcome: &Outcome,
        said: &str,
    ) -> Result<(), Stop> {
        let user = clean(&self.subject.name, PROMPT_CHARS);
        let prediction = Prediction::of_end(outcome);
        let wants_activation = self.loaded.config.onelogin.verify == VerifyForm::Direct
            && matches!(outcome, Outcome::Unavailable(error) if error.trouble == ApiTrouble::BadReply)
            && self.seen.borrow().has("id");
        let advice = if wants_activation {
            let text = "write verify = \"activated\" into [onelogin], and run this again";
            Some(text.to_owned())
        } else {
            prediction.advice(&user)
        };
        let answer = format!("unexpected: {said}; {user} {}", prediction.sentence());
        self.answer(question, answer, advice.as_deref());
        Err(Stop::Surprise)
    }

    /// OneLogin says that a push was approved, which should not be.
    pub(super) fn approved(
        &mut self,
        question: &Question,
        ask: &str,
        what: &str,
        said: &str,
    ) -> Result<(), Stop> {
        let ask = format!("OneLogin says that it was approved. {ask}");
        if self.agrees(&ask) {
            return self.is_unsafe(question, what, said);
        }
        let answer = "it was approved on the phone".to_owned();
        self.answer(question, answer, Some("run this again"));
        Err(Stop::Surprise)
    }

    /// OneLogin accepted what it must refuse: from now on the module denies all logins by this credential.
    pub(super) fn is_unsafe(
        &mut self,
        question: &Question,
        what: &str,
        said: &str,
    ) -> Result<(), Stop> {
        let advice =
            "protect no login with this tenant; ask OneLogin's support; then run this again";
        self.answer(question, format!("ACCEPTED: {said}"), Some(advice));
        let marked = self.proof.mark_unsafe(&self.context.config, question.word);
        self.note(&paint(
            Paint::Bad,
            &wrapped(&format!(
                "DANGER: OneLogin accepted {what}. With this tenant the second factor protects nothing."
            )),
        ));
        match marked {
            Ok(()) => {
                let text = "From now on the module on this host denies every login that uses this API credential.";
                self.note(&wrapped(text));
                Err(Stop::Unsafe)
            }
            Err(mut failure) => {
                failure.0.push(
                    "this host still lets users in: remove the module from its stacks".to_owned(),
                );
                Err(Stop::Failed(failure))
            }
        }
    }
}

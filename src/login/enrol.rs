//! Enrolment at login: a proven user without a factor registers one, then logs in with it.

use super::Login;
use super::approval::Poll;
use super::codes::Tries;
use super::outcome::{Denial, Outcome, Unknown};
use super::port::{Challenge, Limit, Typed};
use crate::api::{Acceptance, ApiError, ApiTrouble, Available, Enrolment, Registration};
use crate::factor::{Code, Factor};
use crate::id::UserId;
use crate::secret::Secret;
use crate::text::{PROMPT_CHARS, clean};
use crate::user::Subject;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use std::fmt::Write as _;

/// Before the choice, in a login.
const FIRST: &str = "You have no OneLogin factor yet. Choose one to set up:";

/// The reply does not have what the user needs.
struct NotEnrolled;

impl Login<'_> {
    /// Lets the user choose and register a factor. That is no acceptance: the login goes on with
    /// the new device.
    pub(super) fn enrol(
        &mut self,
        subject: &Subject,
        user: &UserId,
    ) -> Result<Acceptance, Outcome> {
        let available = self.available(user)?;
        if available.is_empty() {
            return Err(Outcome::Unknown(Unknown::NoFactor));
        }
        self.set_up(user, &available, FIRST)?;
        let (user, menu) = self.devices_of(subject)?;
        self.menu(subject, &user, &menu)
    }

    /// What the user can enrol, as far as it is allowed here.
    pub(super) fn available(&mut self, user: &UserId) -> Result<Vec<Available>, Outcome> {
        let mut available = self.read(|api, deadline| api.available(user, deadline))?;
        let allow = &self.config.factors.allow;
        available.retain(|available| allow.contains(&available.factor));
        Ok(available)
    }

    /// Lets the person choose one of these factors and register it.
    pub(super) fn set_up(
        &mut self,
        user: &UserId,
        available: &[Available],
        heading: &str,
    ) -> Result<(), Outcome> {
        let choice = self.choose(available, heading)?;
        self.register(user, &choice)?;
        self.progress.enrolled = true;
        Ok(())
    }

    fn choose(&mut self, available: &[Available], heading: &str) -> Result<Available, Outcome> {
        let mut text = format!("{heading}\n\n");
        for (number, available) in (1..).zip(available).take(9) {
            let _ = writeln!(text, " {number}. {}", clean(&available.name, PROMPT_CHARS));
        }
        text.push_str("\nOption: ");
        let mut tries = Tries::new(self.config.factors.prompts);
        while tries.left() {
            if let Typed::Text(answer) = self.ask(&tries.prompt(&text))? {
                let number = answer.small_number();
                if let Some(choice) = number.and_then(|number| available.get(number - 1)) {
                    return Ok(choice.clone());
                }
            }
            tries.failed(Denial::NotEnrolled);
        }
        Err(Outcome::Denied(Denial::NotEnrolled))
    }

    fn register(&mut self, user: &UserId, available: &Available) -> Result<(), Outcome> {
        self.progress.factor = Some(available.factor.word());
        self.authorise()?;
        let deadline = self.begin(Challenge::Other)?;
        let registration = self
            .send(Some(Limit::Challenges), |login| {
                login.api.register(user, available, deadline)
            })
            .map_err(|error| self.give_back(Limit::Challenges, error))?;
        let prompt = prompt(available.factor, &registration).map_err(|NotEnrolled| {
            Self::trouble(ApiError::new(
                ApiTrouble::BadReply,
                "the reply to the registration has no address or token",
            ))
        })?;
        if available.factor == Factor::Voice || available.factor == Factor::Push {
            self.wait_for_the_phone(user, &registration, &prompt)
        } else {
            self.codes_for(user, &registration, available.factor, &prompt)
        }
    }

    /// The code that the new device makes, or that was sent to it.
    fn codes_for(
        &mut self,
        user: &UserId,
        registration: &Registration,
        factor: Factor,
        prompt: &Secret,
    ) -> Result<(), Outcome> {
        let mut tries = Tries::new(self.config.factors.prompts);
        while tries.left() {
            let typed = self.ask(&tries.prompt(prompt.shown_to_its_owner()))?;
            let code: Option<Code> = match &typed {
                Typed::Text(answer) => factor.code(answer),
                Typed::Unusable(_) => None,
            };
            if let Some(code) = code {
                let deadline = self.deadline();
                let result = self.send(None, |login| {
                    login
                        .api
                        .check_registration(user, &registration.id, &code, deadline)
                });
                match result.map_err(Self::trouble)? {
                    Enrolment::Done => return Ok(()),
                    Enrolment::Pending => {}
                    Enrolment::Rejected => break,
                }
            }
            tries.failed(Denial::NotEnrolled);
        }
        Err(Outcome::Denied(Denial::NotEnrolled))
    }

    /// What is done on the phone.
    fn wait_for_the_phone(
        &mut self,
        user: &UserId,
        registration: &Registration,
        prompt: &Secret,
    ) -> Result<(), Outcome> {
        let _: Typed = self.ask(prompt.shown_to_its_owner())?;
        let done_at = self.clock.elapsed();
        let result = self.wait(done_at, true, |api, deadline| {
            let result = api.poll_registration(user, &registration.id, deadline)?;
            Ok(match result {
                Enrolment::Done => Poll::Over(()),
                Enrolment::Rejected => Poll::No,
                Enrolment::Pending => Poll::NotYet,
            })
        });
        result.map_err(|outcome| match outcome {
            Outcome::Denied(Denial::Push | Denial::Unanswered | Denial::Expired) => {
                Outcome::Denied(Denial::NotEnrolled)
            }
            other => other,
        })
    }
}

/// What the user has to do, with all that is needed for it. It holds the new device's secret: it
/// is shown to its owner and goes nowhere else.
fn prompt(factor: Factor, registration: &Registration) -> Result<Secret, NotEnrolled> {
    let shown = |secret: &Option<Secret>| {
        let secret = secret.as_ref().ok_or(NotEnrolled)?;
        Ok(secret.shown_to_its_owner().to_owned())
    };
    let text = match factor {
        Factor::Totp => {
            let address = shown(&registration.address)?;
            format!(
                "Scan this with your authenticator app, or type the part after secret= into the app:\n\n{}\n{address}\n\nVerification code from the app: ",
                qr_code(&address)
            )
        }
        Factor::Push => format!(
            "In OneLogin Protect, add an account and type this code: {}\nThen press Enter: ",
            shown(&registration.token)?
        ),
        Factor::Voice => format!(
            "Your phone is ringing. Type {} on the phone, then press Enter: ",
            shown(&registration.token)?
        ),
        _ => format!(
            "Verification code from the {} that was sent to you: ",
            factor.medium()
        ),
    };
    Ok(Secret::new(text))
}

/// A QR code in half-height blocks, dark on light as scanners want it on a dark terminal. An
/// address that is too long for one is left to be typed.
fn qr_code(address: &str) -> String {
    QrCode::new(address).map_or(String::new(), |code| {
        code.render::<Dense1x2>()
            .dark_color(Dense1x2::Light)
            .light_color(Dense1x2::Dark)
            .build()
    })
}

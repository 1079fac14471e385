//! Approvals: a push, a call or a link is sent once, one at a time for a user, and waited for.

use super::codes::{Checked, CodeCount, Tries};
use super::outcome::{Denial, Outcome};
use super::port::{Api, Challenge, Deadline, Limit, NoState, Phone, Typed, Wait};
use super::{ApprovalWait, Login};
use crate::api::{Acceptance, Activation, Answer, ApiError, ApiTrouble};
use crate::factor::{Code, Codes, Device, Factor};
use crate::id::{UserId, VerificationId};
use std::time::Duration;

/// Where the phone shows the push of another login, perhaps of one that the user has broken off.
const BUSY: &str =
    "Another login is waiting on your phone. Approve it if it is yours, deny it if not. ";

/// How often another login's push is looked at.
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// The time of a poll when that of the login is over.
const LAST_POLL: Duration = Duration::from_secs(1);

/// How long before the end of a push its last poll is sent.
const READ: Duration = Duration::from_secs(2);

/// Polls that may fail in a row before they are given up.
const POLL_FAILURES: u8 = 2;

/// How one poll fared.
pub(super) enum Poll<T> {
    Over(T),
    No,
    NotYet,
}

impl Login<'_> {
    /// A push, a call or a link: sent once, then waited for as the host allows it. Where there
    /// is a prompt, a code of the same device may be typed instead, if it makes any.
    pub(super) fn approval(
        &mut self,
        user: &UserId,
        device: &Device,
        tries: u8,
    ) -> Result<Acceptance, Outcome> {
        let mut tries = Tries::new(tries);
        if let Some(acceptance) = self.have_the_phone(user, device, &mut tries)? {
            return Ok(acceptance);
        }
        let activation = self.activate(user, device)?;
        let sent = self.sent(device, activation)?;
        match self.approval_wait {
            ApprovalWait::AfterEnter => self.prompt_for_approval(user, device, &sent, &mut tries),
            ApprovalWait::AtOnce => {
                self.prompt.tell(&sent.task.waited());
                self.wait_for_approval(user, device, &sent, false)
            }
        }
    }

    /// A code that the device takes only together with a push: the push is sent once, as any other,
    /// and the code is checked with it. If it is refused, another one may be typed at the prompt of
    /// that push, or the push approved. `None`: the code was used before, and nothing was sent.
    pub(super) fn code_with_push(
        &mut self,
        user: &UserId,
        device: &Device,
        code: &Code,
        tries: &mut Tries,
    ) -> Result<Option<Acceptance>, Outcome> {
        // What was wrong with an answer before is not said of this one.
        tries.words = "".into();
        if let Some(acceptance) = self.have_the_phone(user, device, tries)? {
            return Ok(Some(acceptance));
        }
        self.authorise()?;
        let deadline = self.begin(Challenge::Push)?;
        match self.count_code(device, code) {
            Ok(CodeCount::Counted) => {}
            not_sent => {
                self.memory.unsent(Limit::Challenges);
                self.memory.leave_phone();
                self.progress.phone_until = None;
                not_sent?;
                return Ok(tries.take(Checked::Used));
            }
        }
        let result = self.send_challenge(user, device, deadline);
        let activation = result.map_err(|error| {
            // Without its push the code has not left, however that ended.
            self.memory.unsent(Limit::RefusedCodes);
            self.give_back(Limit::Challenges, error)
        })?;
        let sent = self.sent(device, activation)?;
        let checked = self.send_code(user, device, Some(&sent.verification), code, false)?;
        let acceptance = match tries.take(checked) {
            Some(acceptance) => self.while_it_is_ours(acceptance)?,
            None => self.prompt_for_approval(user, device, &sent, tries)?,
        };
        Ok(Some(acceptance))
    }

    pub(super) fn sent(&self, device: &Device, activation: Activation) -> Result<Sent, Outcome> {
        Ok(Sent {
            verification: activation.id,
            at: self.clock.elapsed(),
            task: Task::of(device, activation.digits).map_err(Self::trouble)?,
        })
    }

    /// The prompt beside an approval, and the wait that Enter begins.
    fn prompt_for_approval(
        &mut self,
        user: &UserId,
        device: &Device,
        sent: &Sent,
        tries: &mut Tries,
    ) -> Result<Acceptance, Outcome> {
        let text = sent.task.prompted(device);
        let pushed = Some(&sent.verification);
        let ended = self.enter_or_code(user, device, pushed, &text, tries);
        if let Err(Outcome::Denied(_) | Outcome::NoConversation) = ended {
            self.notice_a_denial(user, device, sent);
        }
        match ended? {
            Some(acceptance) => Ok(acceptance),
            // Enter says that it is approved.
            None => self.wait_for_approval(user, device, sent, true),
        }
    }

    /// One approval is asked for at a time, so that the user knows which login it belongs to. A second login waits, or the user
    /// types a code. An approval still counts for its own login only.
    fn have_the_phone(
        &mut self,
        user: &UserId,
        device: &Device,
        tries: &mut Tries,
    ) -> Result<Option<Acceptance>, Outcome> {
        let life = Duration::from_secs(self.config.factors.expires_in.into());
        let mut is_told = false;
        self.progress.factor = Some(device.factor.word());
        loop {
            let now = self.clock.elapsed();
            match self.memory.take_phone(life) {
                Ok(Phone::Ours) => {
                    self.progress.phone_until = Some(now + life);
                    return Ok(None);
                }
                Err(NoState) => return Err(Outcome::Denied(Denial::NoState)),
                Ok(Phone::Busy) => {}
            }
            if !std::mem::replace(&mut is_told, true) {
                if self.approval_wait == ApprovalWait::AtOnce {
                    self.prompt.tell(&format!("{BUSY}This login is next."));
                } else {
                    let text = format!("{BUSY}Press Enter to wait{}: ", or_code(device, false));
                    let acceptance = self.enter_or_code(user, device, None, &text, tries)?;
                    if acceptance.is_some() {
                        return Ok(acceptance);
                    }
                }
            }
            if self.clock.elapsed() >= self.config.onelogin.login_timeout {
                return Err(Outcome::Denied(Denial::PhoneBusy));
            }
            if self.clock.wait(BUSY_PAUSE) == Wait::Interrupted {
                return Err(Outcome::Denied(Denial::Interrupted));
            }
        }
    }

    /// Asks until the user presses Enter, which gives `None`, or types a code that is accepted. `pushed`
    /// is the push of this login that waits for its answer.
    fn enter_or_code(
        &mut self,
        user: &UserId,
        device: &Device,
        pushed: Option<&VerificationId>,
        text: &str,
        tries: &mut Tries,
    ) -> Result<Option<Acceptance>, Outcome> {
        while tries.left() {
            match self.ask(&tries.prompt(text))? {
                Typed::Unusable(bad) => tries.failed(bad.into()),
                Typed::Text(answer) if answer.all(char::is_whitespace) => {
                    // A code that was refused before is not what decides from here on.
                    self.progress.factor = Some(device.factor.word());
                    return Ok(None);
                }
                // Some programs cannot send an empty answer: after a push, what is no code says "go on".
                Typed::Text(answer) if pushed.is_some() && !Factor::looks_like_a_code(&answer) => {
                    self.progress.factor = Some(device.factor.word());
                    return Ok(None);
                }
                Typed::Text(_) if !takes_codes(device, pushed.is_some()) => {
                    tries.failed(Denial::NoCode);
                }
                Typed::Text(answer) => match device.factor.code(&answer) {
                    None => tries.failed(Denial::NoCode),
                    Some(code) => {
                        let with = pushed.filter(|_| device.codes == Codes::WithPush);
                        let checked = self.count_and_send(user, device, with, &code)?;
                        match (tries.take(checked), with) {
                            (None, _) => {}
                            (Some(acceptance), None) => return Ok(Some(acceptance)),
                            (Some(acceptance), Some(_)) => {
                                return self.while_it_is_ours(acceptance).map(Some);
                            }
                        }
                    }
                },
            }
        }
        Err(Outcome::Denied(tries.why))
    }

    /// Polls until the approval is answered or the time is over; at once where that `is_due`.
    pub(super) fn wait_for_approval(
        &mut self,
        user: &UserId,
        device: &Device,
        sent: &Sent,
        is_due: bool,
    ) -> Result<Acceptance, Outcome> {
        let result = self.wait(sent.at, is_due, |api, deadline| {
            Ok(
                match api.poll(user, device, &sent.verification, deadline)? {
                    Answer::Accepted(acceptance) => Poll::Over(acceptance),
                    Answer::Rejected | Answer::Unfit => Poll::No,
                    Answer::Pending => Poll::NotYet,
                },
            )
        });
        if device.factor == Factor::Push && matches!(result, Err(Outcome::Denied(Denial::Push))) {
            self.memory.push_denied();
        }
        self.while_it_is_ours(result?)
    }

    /// A login that ends while its push is on the phone asks once whether that was denied: a thief of the first factor
    /// who types wrong codes, or hangs up, does not get the next push so soon (rule R22). What a wrong code does to a push
    /// that it goes with is not known, so these are left out. An approval counts for nothing here.
    fn notice_a_denial(&mut self, user: &UserId, device: &Device, sent: &Sent) {
        if device.factor != Factor::Push || device.codes == Codes::WithPush {
            return;
        }
        let deadline = self.last_poll();
        let answer = self.api.poll(user, device, &sent.verification, deadline);
        if matches!(answer, Ok(Answer::Rejected | Answer::Unfit)) {
            self.memory.push_denied();
        }
    }

    /// An acceptance by means of a push counts only while the phone is this login's: another one may
    /// have sent its own push since this one's was over, and the acceptance may belong to either.
    fn while_it_is_ours(&self, acceptance: Acceptance) -> Result<Acceptance, Outcome> {
        if self.memory.holds_phone() {
            Ok(acceptance)
        } else {
            Err(Outcome::Denied(Denial::Expired))
        }
    }

    /// Polls by a schedule. A failed poll is repeated up to [`POLL_FAILURES`] times in a row: a poll changes nothing at OneLogin.
    pub(super) fn wait<T>(
        &mut self,
        sent_at: Duration,
        mut is_due: bool,
        mut poll: impl FnMut(&mut dyn Api, Deadline) -> Result<Poll<T>, ApiError>,
    ) -> Result<T, Outcome> {
        let mut end = (sent_at + self.config.push_wait).min(self.config.onelogin.login_timeout);
        if let Some(until) = self.progress.phone_until {
            // The last poll must be read while the push is still this login's.
            end = end.min(until.saturating_sub(READ));
        }
        let mut failures = 0;
        // An Enter that comes late still gets the time of one request.
        let mut deadline = self.deadline().max(self.last_poll());
        loop {
            let mut pause = poll_pause(self.clock.elapsed().saturating_sub(sent_at));
            if is_due {
                match poll(self.api, deadline) {
                    Ok(Poll::Over(result)) => return Ok(result),
                    Ok(Poll::No) => return Err(Outcome::Denied(Denial::Push)),
                    Ok(Poll::NotYet) => failures = 0,
                    Err(error) if error.trouble == ApiTrouble::NotFound => {
                        return Err(Outcome::Denied(Denial::Expired));
                    }
                    Err(error) if error.trouble.may_pass() && failures < POLL_FAILURES => {
                        failures += 1;
                        pause = pause.max(error.retry_after.unwrap_or_default());
                    }
                    Err(error) => return Err(Self::trouble(error)),
                }
            }
            let now = self.clock.elapsed();
            if now >= end {
                return Err(Outcome::Denied(Denial::Unanswered));
            }
            if self.clock.wait(pause.min(end.saturating_sub(now))) == Wait::Interrupted {
                return Err(Outcome::Denied(Denial::Interrupted));
            }
            is_due = true;
            // A poll ends with the login, but for the moment that the last one needs.
            let end = self.clock.at(self.config.onelogin.login_timeout);
            deadline = end.max(self.last_poll());
        }
    }

    fn last_poll(&self) -> Deadline {
        self.clock.at(self.clock.elapsed() + LAST_POLL)
    }
}

/// A push, a call or a link that was sent.
pub(super) struct Sent {
    verification: VerificationId,
    /// When, on the clock of the login.
    at: Duration,
    task: Task,
}

/// What the user does elsewhere.
struct Task {
    sent: String,
    what: String,
}

impl Task {
    fn of(device: &Device, digits: Option<String>) -> Result<Self, ApiError> {
        let (sent, what) = device.factor.approval();
        let digits = match digits {
            Some(digits) => digits,
            None if what.contains("{digits}") => {
                let text = "the reply to the call has no digits to type";
                return Err(ApiError::new(ApiTrouble::BadReply, text));
            }
            None => String::new(),
        };
        Ok(Self {
            sent: sent.replace("{name}", &device.label()),
            what: what.replace("{digits}", &digits),
        })
    }

    fn waited(&self) -> String {
        format!("{}. {} to continue.", self.sent, self.what)
    }

    fn prompted(&self, device: &Device) -> String {
        let or_code = or_code(device, true);
        format!("{}. {}, then press Enter{or_code}: ", self.sent, self.what)
    }
}

/// What a prompt beside an approval offers.
fn or_code(device: &Device, is_pushed: bool) -> &'static str {
    if takes_codes(device, is_pushed) {
        " (or type a code)"
    } else {
        ""
    }
}

/// Whether a code of the device can be checked now: one that needs a push only once that is sent.
fn takes_codes(device: &Device, is_pushed: bool) -> bool {
    match device.codes {
        Codes::AtHand => true,
        Codes::WithPush => is_pushed,
        Codes::Never => false,
    }
}

/// How long to wait before the next poll: an approval is noticed within 2 s, or a tenth of the
/// wait, so that an account's hourly budget of calls holds.
fn poll_pause(waited: Duration) -> Duration {
    (waited / 10).max(Duration::from_secs(2))
}

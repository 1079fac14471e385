//! Enrolment by an admin who sits beside the user: the same choice and registration as in a login, and
//! no login after it.

use super::Login;
use super::outcome::Outcome;
use crate::id::UserId;
use crate::user::Subject;

/// Whether a user who has a device may get one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Further {
    /// They may.
    Allowed,
    /// Only a first one.
    Refused,
}

/// An enrolment that an admin began.
pub struct Setup {
    /// How it ended.
    pub end: SetupEnd,
    /// The OneLogin user, once found.
    pub onelogin_id: Option<UserId>,
    /// The factor that was chosen, as the log calls it.
    pub factor: Option<&'static str>,
}

/// How it ended.
#[derive(Debug)]
pub enum SetupEnd {
    /// The user has the factor.
    Done,
    /// The user has a device, and may not get another one.
    HasSome,
    /// There is nothing that the user could enrol and that is allowed here.
    NothingToEnrol,
    /// As a login would end.
    Ended(Outcome),
}

impl Login<'_> {
    /// Sets a factor up for the subject. `heading` stands before the choice.
    #[must_use]
    pub fn run_setup(mut self, subject: &Subject, further: Further, heading: &str) -> Setup {
        let end = self.enrolled(subject, further, heading);
        if let Ok(SetupEnd::Done) = end {
            // What was counted is taken back, as on acceptance.
            self.memory.allow();
        }
        Setup {
            end: end.unwrap_or_else(SetupEnd::Ended),
            onelogin_id: self.progress.onelogin_id,
            factor: self.progress.factor,
        }
    }

    fn enrolled(
        &mut self,
        subject: &Subject,
        further: Further,
        heading: &str,
    ) -> Result<SetupEnd, Outcome> {
        let (user, devices) = self.find(subject)?;
        if devices.enrolled > 0 && further == Further::Refused {
            return Ok(SetupEnd::HasSome);
        }
        let available = self.available(&user)?;
        if available.is_empty() {
            return Ok(SetupEnd::NothingToEnrol);
        }
        self.set_up(&user, &available, heading)?;
        Ok(SetupEnd::Done)
    }
}

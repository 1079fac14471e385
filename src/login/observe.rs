//! A login in observe mode: it looks up what a login looks up, and asks, activates and denies nothing.

use super::Login;
use super::look_up::NoMenu;
use super::outcome::{Foreseen, Outcome, Report, Unknown};
use crate::user::Subject;
use std::time::Duration;

/// How long OneLogin is asked at most: the user waits for nothing that they know of.
const LONGEST: Duration = Duration::from_secs(5);

impl Login<'_> {
    /// What would become of a login of this subject, or of this user who cannot be verified. Look-ups are counted as in a
    /// login; a denial is not written down.
    #[must_use]
    pub fn observe(mut self, subject: Result<&Subject, Unknown>) -> Report {
        self.limit = self.limit.min(LONGEST);
        // To prove an outage takes time, and the login goes on in any case.
        self.safe = None;
        let outcome = match subject.map(|subject| self.devices_of(subject)) {
            Ok(Ok((_, menu))) => {
                let first = if self.config.ask.is_push_only() {
                    menu.pushed()
                } else {
                    menu.devices().first()
                };
                self.progress.factor = first.map(|device| device.factor.word());
                Outcome::Observed(Foreseen::Asked)
            }
            Ok(Err(NoMenu::NoFactorYet(_))) => Outcome::Observed(Foreseen::Enrolled),
            Ok(Err(no_menu)) => Outcome::from(no_menu).observed(),
            Err(unknown) => Outcome::Unknown(unknown).observed(),
        };
        self.report(outcome)
    }
}

//! What a login would begin with, for the admin who wants to know before it happens. It reads what a
//! login reads, decides by the same code, and asks, counts, activates and writes down nothing.

use super::Login;
use super::look_up::NoMenu;
use super::outcome::{Denial, Outcome};
use super::port::LimitReached;
use crate::api::Devices;
use crate::factor::Menu;
use crate::id::UserId;
use crate::user::Subject;

/// A login that did not take place.
pub struct Preview {
    /// How it would begin.
    pub beginning: Beginning,
    /// The OneLogin user, once found.
    pub onelogin_id: Option<UserId>,
    /// Their devices, as far as they were listed.
    pub devices: Option<Devices>,
    /// Why less would be offered than could be sent.
    pub held_back: Option<LimitReached>,
}

/// How a login would begin.
pub enum Beginning {
    /// With this choice.
    Menu(Menu),
    /// With the enrolment of a factor.
    Enrolment,
    /// It would end so, whatever is typed.
    End(Outcome),
}

impl Login<'_> {
    /// What a login of this subject would begin with.
    #[must_use]
    pub fn preview(mut self, subject: &Subject) -> Preview {
        let (beginning, devices) = match self.find(subject) {
            Err(no_menu) => (no_menu.into(), None),
            Ok((user, devices)) => {
                let offer = self.offer(subject.proof, &user, devices.clone());
                let offer = self.codes_are_left().map_err(NoMenu::from).and(offer);
                let beginning = match offer {
                    _ if !self.memory.works() => Beginning::End(Outcome::Denied(Denial::NoState)),
                    Ok(menu) => Beginning::Menu(menu),
                    Err(no_menu) => no_menu.into(),
                };
                (beginning, Some(devices))
            }
        };
        Preview {
            beginning,
            onelogin_id: self.progress.onelogin_id,
            devices,
            held_back: self.progress.held_back,
        }
    }

    /// Who the subject is at OneLogin; no devices are listed.
    ///
    /// # Errors
    /// How a login would end if the user cannot be identified.
    pub fn identify(mut self, subject: &Subject) -> Result<UserId, Outcome> {
        Ok(self.user_of(Self::key(subject)?)?)
    }
}

impl Preview {
    /// A login for which OneLogin would not be asked.
    #[must_use]
    pub fn of(outcome: Outcome) -> Self {
        Self {
            beginning: Beginning::End(outcome),
            onelogin_id: None,
            devices: None,
            held_back: None,
        }
    }
}

impl From<NoMenu> for Beginning {
    fn from(no_menu: NoMenu) -> Self {
        match no_menu {
            NoMenu::NoFactorYet(_) => Self::Enrolment,
            other => Self::End(other.into()),
        }
    }
}

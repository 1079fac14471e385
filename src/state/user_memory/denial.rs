//! The denial of one action: in a folder for an ssh connection, in the handle for other hosts.

use super::{Action, UserMemory};
use crate::denials::Denials;
use crate::login::NoState;
use crate::state::expiring_files::NOTHING;

/// How long a folder takes the denials of ssh connections, in seconds. They hold for this one and the
/// next: longer than a host keeps one login waiting, and short enough that the next connection with
/// the same addresses and ports is not affected.
pub(super) const SPAN: i64 = 600;

impl UserMemory<'_> {
    /// Whether this action was denied before. A state that cannot be read counts as a denial.
    pub(super) fn has_denial(&self) -> bool {
        match &self.action {
            Action::Handle(denials) => {
                let now = self.state.now();
                let is_held =
                    |denials: &Denials| now.map_or(true, |now| denials.hold(self.denied_user, now));
                denials.is_some_and(is_held)
            }
            Action::Connection(_) => {
                let is_there = |span: &String| {
                    let entry = self.state.target(span, &self.denial);
                    !matches!(entry, Ok(None))
                };
                self.spans()
                    .map_or(true, |spans| spans.iter().any(is_there))
            }
        }
    }

    /// Lets the denial that this login has written into the handle hold from now on: it was written
    /// before something was sent, and the user may have taken a minute since then. Called when the
    /// login ends without an acceptance. A login that was denied because of an earlier denial has
    /// written none, so it does not prolong that one.
    pub fn renew_denial(&self) {
        if let (Action::Handle(Some(denials)), true) = (&self.action, self.denied_in_handle) {
            if let Ok(now) = self.state.now() {
                denials.add(self.denied_user, now);
            }
        }
    }

    /// The folders of denials that count now.
    fn spans(&self) -> Result<[String; 2], NoState> {
        let (boot, span) = (self.state.boot()?, self.state.now()?.div_euclid(SPAN));
        Ok([span, span - 1].map(|span| format!("denied-{boot}-{span}")))
    }

    pub(super) fn write_denial(&mut self) -> Result<(), NoState> {
        match &self.action {
            Action::Handle(denials) => {
                let denials = denials.ok_or(NoState)?;
                denials.add(self.denied_user, self.state.now()?);
                self.denied_in_handle = true;
            }
            Action::Connection(_) => {
                let [span, _] = self.spans()?;
                let made = self.state.link(&span, &self.denial, NOTHING);
                made.map_err(|_| NoState)?;
                self.denied_in = Some(span);
            }
        }
        Ok(())
    }

    /// Removes the denial of this action.
    pub(super) fn remove_denial(&mut self) {
        match &self.action {
            Action::Handle(denials) => {
                if let Some(denials) = denials {
                    denials.remove(self.denied_user);
                }
            }
            Action::Connection(_) => {
                if let Some(span) = self.denied_in.take() {
                    self.state.remove(&format!("{span}/{}", self.denial));
                }
            }
        }
    }
}

//! Observe mode: whether it applies now, for people and for programs.

use pam_onelogin::config::Config;
use pam_onelogin::config::dates::{Dates, NotObserved};
use serde::Serialize;

/// Observe mode of a configuration.
#[derive(Clone, Serialize)]
pub(crate) struct ObserveMode {
    until: String,
    applies: bool,
    /// Why it does not.
    why: Option<&'static str>,
}

impl ObserveMode {
    /// That of a configuration; `None` where it has none.
    pub(crate) fn of(config: &Config, dates: Dates) -> Option<Self> {
        let until = config.observe?;
        let result = dates.observe(until);
        Some(Self {
            until: until.to_string(),
            applies: result.is_ok(),
            why: result.err().map(NotObserved::why),
        })
    }

    /// Whether logins go on without a second factor.
    pub(crate) fn applies(&self) -> bool {
        self.applies
    }

    /// In one sentence.
    pub(crate) fn sentence(&self) -> String {
        let until = &self.until;
        match self.why {
            None => format!(
                "observe mode until {until}: there is no second factor, logins go on after the first one"
            ),
            Some(why) => {
                format!("observe mode does not apply, so users are asked: {why} ({until})")
            }
        }
    }
}

//! An offline code in place of OneLogin's answer (rule R20): for a user with a first factor, where OneLogin gives no answer
//! about this user.

use super::Login;
use super::codes::{Tries, too_many_codes};
use super::outcome::{Denial, Fault, Outcome};
use super::port::{Typed, Uncounted};
use crate::api::ApiTrouble;
use crate::offline::{Code, CodeStore, NotUsed, Used, use_up};
use crate::outage::NotSafe;
use crate::user::{Proof, Subject};

const PROMPT: &str = "OneLogin cannot be reached. Offline code: ";

/// How the log calls it.
const FACTOR: &str = "offline-code";

impl Login<'_> {
    /// Asks for an offline code, if OneLogin gave no answer and the user has codes. A user who has some gets in by one, and not
    /// because there is an outage. Without a code the login ends as it would.
    pub(super) fn or_offline_code(
        &mut self,
        outcome: Outcome,
        subject: Option<&Subject>,
    ) -> Outcome {
        let is_proven = subject.is_some_and(|subject| subject.proof == Proof::Proven);
        let store = self.offline.filter(|_| is_proven && is_no_answer(&outcome));
        let Some(store) = store.filter(|store| !store.usable().is_empty()) else {
            return outcome;
        };
        let outcome = match outcome {
            Outcome::Outage(_, error) => {
                self.progress.not_safe = Some(NotSafe::OfflineCodes);
                Outcome::Unavailable(error)
            }
            other => other,
        };
        if self.config.ask.is_push_only() {
            return outcome;
        }
        match self.offline_code(store) {
            Some(end) => {
                self.progress.without_offline_code = Some(Box::new(outcome));
                end
            }
            None => outcome,
        }
    }

    /// `None`: the user has typed no code, or cannot be asked.
    fn offline_code(&mut self, store: &dyn CodeStore) -> Option<Outcome> {
        let mut tries = Tries::new(self.config.factors.prompts);
        while tries.left() {
            match self.ask(&tries.prompt(PROMPT)).ok()? {
                Typed::Unusable(bad) => tries.failed(bad.into()),
                Typed::Text(answer) if answer.all(char::is_whitespace) => {
                    // After a wrong code, the user learns that a right one would do.
                    let is_wrong = tries.why == Denial::OfflineCode;
                    return is_wrong.then_some(Outcome::Denied(tries.why));
                }
                Typed::Text(answer) => {
                    self.progress.factor = Some(FACTOR);
                    let used = Code::typed(&answer).map(|code| self.use_up(store, &code));
                    match used {
                        Some(Ok(used)) => return Some(Outcome::OfflineCode(used)),
                        Some(Err(Denial::OfflineCode)) | None => tries.failed(Denial::OfflineCode),
                        Some(Err(denial)) => return Some(Outcome::Denied(denial)),
                    }
                }
            }
        }
        Some(Outcome::Denied(tries.why))
    }

    /// Counts a code as wrong and records the denial, then compares it.
    fn use_up(&mut self, store: &dyn CodeStore, code: &Code) -> Result<Used, Denial> {
        self.memory.count_offline_code().map_err(|why| match why {
            Uncounted::LimitReached(reached) => too_many_codes(reached),
            Uncounted::NoState => Denial::NoState,
        })?;
        self.mark_beforehand().map_err(|_| Denial::NoState)?;
        use_up(store, code).map_err(|why| match why {
            NotUsed::Wrong => Denial::OfflineCode,
            NotUsed::NotRemoved => Denial::OfflineCodeKept,
        })
    }
}

/// Whether OneLogin gave no answer about this user: there was no connection, or what came says nothing about any user. A reply
/// that the module does not understand, and a 4xx status, may be about this user.
fn is_no_answer(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Outage(..)
        | Outcome::Fault(Fault::Credential(_) | Fault::GatewayRefused(_) | Fault::Tls(_)) => true,
        Outcome::Unavailable(error) => match error.trouble {
            ApiTrouble::NoConnection
            | ApiTrouble::Gateway
            | ApiTrouble::NoSuchHost
            | ApiTrouble::Timeout
            | ApiTrouble::Broken
            | ApiTrouble::ServerError
            | ApiTrouble::RateLimited
            | ApiTrouble::Redirected
            | ApiTrouble::Local
            | ApiTrouble::Tls
            | ApiTrouble::GatewayRefused
            | ApiTrouble::Credential => true,
            ApiTrouble::NotFound
            | ApiTrouble::RequestRefused
            | ApiTrouble::BadReply
            | ApiTrouble::Interrupted => false,
        },
        Outcome::Accepted(_)
        | Outcome::Exempt(_)
        | Outcome::OfflineCode(_)
        | Outcome::Denied(_)
        | Outcome::Unknown(_)
        | Outcome::Fault(Fault::Config | Fault::NoSuchGroup(_) | Fault::UnsafeTenant(_))
        | Outcome::NoConversation
        | Outcome::Unprivileged
        | Outcome::Panicked
        | Outcome::Observed(_) => false,
    }
}

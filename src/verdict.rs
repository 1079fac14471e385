//! The one table: how a login ended → PAM code, log line, words for the user. What each reason says is
//! in `reason.rs`; here is what depends on the circumstances. Pure; one `match` without a catch-all.
//! Here and in setcred are the only places that can say `PAM_SUCCESS`.

use crate::login::{Denial, Fault, Foreseen, Outcome};
use crate::reason::{Reason, WRONG};
use crate::user::no_such_group;
use pam::constants::PamResultCode;

/// What the verdict depends on beside the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circumstances {
    /// The PAM environment has `SSH_CONNECTION`: the host is sshd.
    pub in_ssh: bool,
    /// Something before us has proven the user. An unproven user must not learn whether a name is known,
    /// and is never let in without OneLogin.
    pub proven: bool,
}

/// How serious a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// An administrator has to fix something.
    Error,
    /// A login without a second factor, or a remark for the administrator (a used-up limit, a denied push).
    Warning,
    /// A denial.
    Notice,
    /// A login that went as it should.
    Info,
    /// Shapes and timings.
    Debug,
}

listed! {
    /// What a decision comes to.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Event {
        /// OneLogin accepted, or an offline code did.
        Accepted,
        /// The user is not asked.
        Exempt,
        /// The user does not get in.
        Denied,
        /// The user gets in without OneLogin, in an outage.
        LetIn,
        /// Observe mode: the user would have been asked.
        WouldAsk,
        /// Observe mode: the user would have set up a factor.
        WouldEnroll,
        /// Observe mode: the login would have been denied.
        WouldDeny,
    }
}

impl Event {
    /// The first words of the log line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Exempt => "exempt",
            Self::Denied => "denied",
            Self::LetIn => "let in by failmode=safe",
            Self::WouldAsk => "observed, would ask",
            Self::WouldEnroll => "observed, would enroll",
            Self::WouldDeny => "observed, would deny",
        }
    }
}

/// The decision.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What libpam gets.
    pub code: PamResultCode,
    /// How serious the log line is.
    pub level: Level,
    /// The first word of the log line.
    pub event: Event,
    /// Why.
    pub reason: Option<Reason>,
    /// OneLogin's or the system's own words, for the log only.
    pub detail: Option<String>,
    /// One sentence for the user, on a denial.
    pub words: Option<&'static str>,
}

/// For the log: sshd's password method answers hidden prompts only, so ours fail there.
const NO_PROMPT_IN_SSH: &str = "the client gave no answer, or sshd could not show the prompt; sshd_config needs KbdInteractiveAuthentication yes, PasswordAuthentication no";

/// For the log: a stack behind a key that is asked without one.
const NO_KEY: &str = "sshd has accepted no key before this stack (behind=key); sshd_config needs AuthenticationMethods publickey,keyboard-interactive";

/// Reads the table.
pub fn of(outcome: &Outcome, here: Circumstances) -> Verdict {
    use PamResultCode as Code;
    match outcome {
        Outcome::Accepted(_) => Verdict {
            code: Code::PAM_SUCCESS,
            level: Level::Info,
            event: Event::Accepted,
            reason: None,
            detail: None,
            words: None,
        },
        Outcome::Exempt(exemption) => Verdict {
            code: Code::PAM_IGNORE,
            level: Level::Info,
            event: Event::Exempt,
            reason: Some(Reason::from(exemption)),
            detail: exemption.detail(),
            words: None,
        },
        Outcome::Denied(denial) => {
            let verdict = Verdict {
                detail: (*denial == Denial::NoKey).then(|| NO_KEY.to_owned()),
                ..no(here.end_of_attempts(), Level::Notice, *denial)
            };
            match denial {
                // A rerun is denied in these words for every name.
                Denial::Before => verdict,
                _ => here.masked(verdict),
            }
        }
        Outcome::Unknown(why) => here.masked(Verdict {
            detail: why.detail().map(str::to_owned),
            ..no(Code::PAM_USER_UNKNOWN, Level::Notice, why)
        }),
        Outcome::Outage(_, error) => Verdict {
            code: Code::PAM_SUCCESS,
            level: Level::Warning,
            event: Event::LetIn,
            reason: Some(Reason::from(error.trouble)),
            detail: Some(error.detail.clone()),
            words: None,
        },
        Outcome::OfflineCode(_) => Verdict {
            code: Code::PAM_SUCCESS,
            level: Level::Warning,
            event: Event::Accepted,
            reason: None,
            detail: None,
            words: None,
        },
        Outcome::Unavailable(error) => here.masked(Verdict {
            detail: Some(error.detail.clone()),
            ..no(
                // An ssh client would run the stack again, up to six times.
                if here.in_ssh {
                    here.end_of_attempts()
                } else {
                    Code::PAM_AUTHINFO_UNAVAIL
                },
                Level::Error,
                error.trouble,
            )
        }),
        Outcome::Fault(Fault::Config) => no(Code::PAM_SERVICE_ERR, Level::Error, Reason::Config),
        Outcome::Fault(Fault::NoSuchGroup(name)) => Verdict {
            detail: Some(no_such_group(name)),
            ..no(Code::PAM_SERVICE_ERR, Level::Error, Reason::GroupLookup)
        },
        Outcome::Fault(Fault::UnsafeTenant(detail)) => Verdict {
            detail: Some(detail.clone()),
            ..no(Code::PAM_SERVICE_ERR, Level::Error, Reason::UnsafeTenant)
        },
        Outcome::Fault(Fault::Credential(detail)) => here.masked(Verdict {
            detail: Some(detail.clone()),
            ..no(Code::PAM_SERVICE_ERR, Level::Error, Reason::Credential)
        }),
        Outcome::Fault(Fault::GatewayRefused(detail)) => here.masked(Verdict {
            detail: Some(detail.clone()),
            ..no(Code::PAM_SERVICE_ERR, Level::Error, Reason::GatewayRefused)
        }),
        Outcome::Fault(Fault::Tls(detail)) => here.masked(Verdict {
            detail: Some(detail.clone()),
            ..no(Code::PAM_SERVICE_ERR, Level::Error, Reason::Tls)
        }),
        Outcome::NoConversation => Verdict {
            detail: here.in_ssh.then(|| NO_PROMPT_IN_SSH.to_owned()),
            ..no(Code::PAM_CONV_ERR, Level::Notice, Reason::NoConversation)
        },
        Outcome::Unprivileged => no(
            Code::PAM_AUTHINFO_UNAVAIL,
            Level::Error,
            Reason::Unprivileged,
        ),
        Outcome::Panicked => no(Code::PAM_ABORT, Level::Error, Reason::Panic),
        Outcome::Observed(foreseen) => observed(foreseen, here),
    }
}

impl Verdict {
    /// Whether it denies the login.
    #[must_use]
    pub fn is_denial(&self) -> bool {
        self.event == Event::Denied
    }
}

impl Circumstances {
    /// Where nothing has proven the user, everything that depends on the user looks like a wrong
    /// code (rule R13): the words everywhere, and the code where the host shows it, as sshd does.
    fn masked(self, verdict: Verdict) -> Verdict {
        if self.proven {
            return verdict;
        }
        let code = if self.in_ssh {
            self.end_of_attempts()
        } else {
            verdict.code
        };
        Verdict {
            code,
            words: Some(WRONG),
            ..verdict
        }
    }

    /// The code that makes this host stop asking: sshd ends its attempts on `PAM_MAXTRIES`, sudo on
    /// `PAM_ABORT`. For those that run the stack again all the same there is the memory of denials.
    fn end_of_attempts(self) -> PamResultCode {
        if self.in_ssh {
            PamResultCode::PAM_MAXTRIES
        } else {
            PamResultCode::PAM_ABORT
        }
    }
}

/// The login goes on, and the log has what would have become of it.
fn observed(foreseen: &Foreseen, here: Circumstances) -> Verdict {
    let (event, end) = match foreseen {
        Foreseen::Asked => (Event::WouldAsk, None),
        Foreseen::Enrolled => (Event::WouldEnroll, None),
        Foreseen::Ended(end) => (Event::WouldDeny, Some(of(end, here))),
    };
    Verdict {
        code: PamResultCode::PAM_IGNORE,
        level: Level::Warning,
        event,
        reason: end.as_ref().and_then(|end| end.reason),
        detail: end.and_then(|end| end.detail),
        words: None,
    }
}

fn no(code: PamResultCode, level: Level, reason: impl Into<Reason>) -> Verdict {
    let reason = reason.into();
    Verdict {
        code,
        level,
        event: Event::Denied,
        reason: Some(reason),
        detail: None,
        words: reason.words(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{ApiError, ApiTrouble};
    use crate::login::Unknown;
    use crate::offline::tests::used;
    use crate::outage::tests::outage;
    use crate::reason::Group;
    use crate::user::{Exemption, LookupFailed, Unclear};

    const SUDO: Circumstances = Circumstances {
        in_ssh: false,
        proven: true,
    };
    const SSH: Circumstances = Circumstances {
        in_ssh: true,
        ..SUDO
    };

    fn error(trouble: ApiTrouble) -> ApiError {
        ApiError::new(trouble, "")
    }

    /// Each end of a login but the three that let in.
    fn denials() -> Vec<Outcome> {
        let denials: Vec<Outcome> = ApiTrouble::all()
            .map(|trouble| Outcome::Unavailable(error(trouble)))
            .chain(Denial::all().map(Outcome::Denied))
            .chain(Unknown::all().map(Outcome::Unknown))
            .chain([
                Outcome::Fault(Fault::Config),
                Outcome::Fault(Fault::Tls(String::new())),
                Outcome::Fault(Fault::Credential(String::new())),
                Outcome::Fault(Fault::GatewayRefused(String::new())),
                Outcome::Fault(Fault::NoSuchGroup(String::new())),
                Outcome::Fault(Fault::UnsafeTenant(String::new())),
                Outcome::NoConversation,
                Outcome::Unprivileged,
                Outcome::Panicked,
            ])
            .collect();
        let reasons: Vec<Option<Reason>> = denials.iter().map(|end| of(end, SUDO).reason).collect();
        for reason in Reason::all().filter(|reason| reason.group() != Group::Exempt) {
            assert!(reasons.contains(&Some(reason)), "{reason:?} is of no end");
        }
        denials
    }

    fn code(outcome: &Outcome, here: Circumstances) -> PamResultCode {
        of(outcome, here).code
    }

    #[test]
    fn the_end_of_attempts_depends_on_the_host() {
        let denied = Outcome::Denied(Denial::Code);
        assert_eq!(code(&denied, SSH), PamResultCode::PAM_MAXTRIES);
        assert_eq!(code(&denied, SUDO), PamResultCode::PAM_ABORT);
    }

    #[test]
    fn r13_an_unknown_name_looks_like_a_wrong_code_to_an_unproven_ssh_client() {
        let unknown = Outcome::Unknown(Unknown::Account);
        assert_eq!(code(&unknown, SUDO), PamResultCode::PAM_USER_UNKNOWN);
        assert_eq!(code(&unknown, SSH), PamResultCode::PAM_USER_UNKNOWN);
        let unproven = Circumstances {
            proven: false,
            ..SSH
        };
        assert_eq!(code(&unknown, unproven), PamResultCode::PAM_MAXTRIES);
        let denied = Outcome::Denied(Denial::Code);
        assert_eq!(of(&unknown, unproven).words, of(&denied, unproven).words);
    }

    #[test]
    fn r19_an_outage_lets_in_with_a_warning_and_no_other_trouble_does() {
        let verdict = of(
            &Outcome::Outage(outage(), error(ApiTrouble::NoConnection)),
            SSH,
        );
        assert_eq!(verdict.code, PamResultCode::PAM_SUCCESS);
        assert_eq!(verdict.level, Level::Warning);
        assert_eq!(verdict.reason, Some(Reason::NoConnection));
        assert_eq!(
            code(&Outcome::Unavailable(error(ApiTrouble::NoConnection)), SUDO),
            PamResultCode::PAM_AUTHINFO_UNAVAIL
        );
        for outcome in denials() {
            for here in [SSH, SUDO] {
                let code = code(&outcome, here);
                assert!(
                    !matches!(code, PamResultCode::PAM_SUCCESS | PamResultCode::PAM_IGNORE),
                    "{outcome:?}"
                );
            }
        }
    }

    #[test]
    fn r13_trouble_that_depends_on_the_user_looks_like_a_wrong_code_to_the_unproven() {
        let unproven = Circumstances {
            proven: false,
            ..SSH
        };
        let wrong = of(&Outcome::Denied(Denial::Code), unproven);
        for outcome in [
            Outcome::Unavailable(error(ApiTrouble::NoConnection)),
            Outcome::Unavailable(error(ApiTrouble::ServerError)),
            Outcome::Fault(Fault::Credential(String::new())),
            Outcome::Fault(Fault::GatewayRefused(String::new())),
            Outcome::Fault(Fault::Tls(String::new())),
            Outcome::Unknown(Unknown::User),
        ] {
            let verdict = of(&outcome, unproven);
            assert_eq!(
                (&verdict.code, verdict.words),
                (&wrong.code, wrong.words),
                "{outcome:?}"
            );
        }
    }

    /// A missing group ends the login of every name alike, so the sentence is that of this host. A look-up
    /// that fails may be of this user alone.
    #[test]
    fn r13_a_missing_group_is_named_as_a_fault_of_this_host_and_a_failed_look_up_is_not() {
        let unproven = Circumstances {
            proven: false,
            ..SSH
        };
        let missing = of(
            &Outcome::Fault(Fault::NoSuchGroup("ops".to_owned())),
            unproven,
        );
        assert_eq!(missing.words, Reason::Config.words());
        assert_eq!(missing.reason, Some(Reason::GroupLookup));
        assert_eq!(missing.detail.as_deref(), Some("there is no group ops"));
        let failed = Outcome::Unknown(Unknown::Unclear(Unclear::Groups(LookupFailed::default())));
        assert_eq!(of(&failed, unproven).words, Some(WRONG));
        assert_eq!(of(&failed, SSH).words, missing.words);
    }

    #[test]
    fn r20_an_offline_code_is_an_acceptance_with_a_warning() {
        let verdict = of(&Outcome::OfflineCode(used()), SSH);
        assert_eq!(verdict.code, PamResultCode::PAM_SUCCESS);
        assert_eq!(
            (verdict.level, verdict.event),
            (Level::Warning, Event::Accepted)
        );
        assert!(!verdict.is_denial());
    }

    #[test]
    fn r22_where_onelogin_gives_no_answer_an_ssh_client_does_not_ask_again() {
        for trouble in ApiTrouble::all() {
            let verdict = code(&Outcome::Unavailable(error(trouble)), SSH);
            assert_eq!(verdict, PamResultCode::PAM_MAXTRIES, "{trouble:?}");
        }
    }

    #[test]
    fn r01_in_observe_mode_each_denial_is_ignored_with_its_reason_and_a_warning() {
        for outcome in denials() {
            let denied = of(&outcome, SSH);
            let name = format!("{outcome:?}");
            let is_changed = matches!(outcome, Outcome::Denied(Denial::UserChanged));
            let observed = of(&outcome.observed(), SSH);
            if is_changed {
                assert_eq!(observed, denied, "{name}");
                continue;
            }
            let expected = Verdict {
                code: PamResultCode::PAM_IGNORE,
                level: Level::Warning,
                event: Event::WouldDeny,
                words: None,
                ..denied
            };
            assert_eq!(observed, expected, "{name}");
            assert!(!observed.is_denial());
        }
        for foreseen in [Foreseen::Asked, Foreseen::Enrolled] {
            let verdict = of(&Outcome::Observed(foreseen), SUDO);
            assert_eq!(verdict.code, PamResultCode::PAM_IGNORE);
            assert_eq!((verdict.level, verdict.reason), (Level::Warning, None));
        }
        let exempt = Outcome::Exempt(Exemption::User).observed();
        assert_eq!(of(&exempt, SSH).event, Event::Exempt);
    }

    #[test]
    fn r01_only_an_exemption_is_ignored() {
        assert_eq!(
            code(&Outcome::Exempt(Exemption::User), SSH),
            PamResultCode::PAM_IGNORE
        );
    }

    #[test]
    fn faults_and_bugs_have_codes_of_their_own() {
        assert_eq!(
            code(&Outcome::Fault(Fault::Config), SSH),
            PamResultCode::PAM_SERVICE_ERR
        );
        assert_eq!(
            code(&Outcome::NoConversation, SSH),
            PamResultCode::PAM_CONV_ERR
        );
        assert_eq!(
            code(&Outcome::Unprivileged, SSH),
            PamResultCode::PAM_AUTHINFO_UNAVAIL
        );
        assert_eq!(code(&Outcome::Panicked, SSH), PamResultCode::PAM_ABORT);
    }

    #[test]
    fn each_denial_has_a_reason_and_a_sentence() {
        for outcome in denials() {
            let verdict = of(&outcome, SUDO);
            assert!(verdict.reason.is_some(), "{outcome:?}");
            // Where no prompt can be shown, no sentence can be shown either.
            let is_mute = matches!(outcome, Outcome::NoConversation);
            assert_eq!(verdict.words.is_none(), is_mute, "{outcome:?}");
            assert_eq!(verdict.event, Event::Denied);
        }
    }

    #[test]
    fn r13_each_denial_looks_like_a_wrong_code_to_the_unproven_but_a_rerun_the_same_for_all() {
        for here in [SSH, SUDO] {
            let unproven = Circumstances {
                proven: false,
                ..here
            };
            for denial in Denial::all() {
                let verdict = of(&Outcome::Denied(denial), unproven);
                let words = match denial {
                    Denial::Before => Reason::DeniedBefore.words(),
                    _ => Some(WRONG),
                };
                assert_eq!(verdict.code, here.end_of_attempts(), "{denial:?}");
                assert_eq!(verdict.words, words, "{denial:?}");
            }
        }
        // Where no host shows the code, it stays what it is.
        let unproven = Circumstances {
            proven: false,
            ..SUDO
        };
        let unknown = of(&Outcome::Unknown(Unknown::Account), unproven);
        assert_eq!(unknown.code, PamResultCode::PAM_USER_UNKNOWN);
    }

    #[test]
    fn what_onelogin_or_the_system_said_is_kept_for_the_log() {
        let said = || "said".to_owned();
        for outcome in [
            Outcome::Outage(outage(), ApiError::new(ApiTrouble::NoConnection, "said")),
            Outcome::Unavailable(ApiError::new(ApiTrouble::BadReply, "said")),
            Outcome::Fault(Fault::Credential(said())),
            Outcome::Fault(Fault::GatewayRefused(said())),
            Outcome::Fault(Fault::Tls(said())),
            Outcome::Fault(Fault::UnsafeTenant(said())),
            Outcome::Unknown(Unknown::Unclear(Unclear::Groups(LookupFailed(said())))),
        ] {
            let detail = of(&outcome, SSH).detail;
            assert_eq!(detail.as_deref(), Some("said"), "{outcome:?}");
        }
    }

    #[test]
    fn of_a_login_without_a_key_and_of_no_other_denial_the_log_names_the_setting_of_sshd() {
        for denial in Denial::all() {
            let detail = of(&Outcome::Denied(denial), SSH).detail;
            let setting = detail.is_some_and(|detail| detail.contains("AuthenticationMethods"));
            assert_eq!(setting, denial == Denial::NoKey, "{denial:?}");
        }
    }

    #[test]
    fn where_nobody_can_be_asked_nothing_is_said_and_in_ssh_the_log_names_the_setting() {
        let in_ssh = of(&Outcome::NoConversation, SSH);
        assert_eq!((in_ssh.words, in_ssh.detail.is_some()), (None, true));
        let in_sudo = of(&Outcome::NoConversation, SUDO);
        assert_eq!((in_sudo.words, in_sudo.detail), (None, None));
    }

    #[test]
    fn only_a_denial_is_one() {
        assert!(of(&Outcome::Denied(Denial::Code), SSH).is_denial());
        assert!(of(&Outcome::Panicked, SSH).is_denial());
        let outage = Outcome::Outage(outage(), error(ApiTrouble::NoConnection));
        for outcome in [Outcome::Exempt(Exemption::User), outage] {
            assert!(!of(&outcome, SSH).is_denial(), "{outcome:?}");
        }
    }
}

//! OneLogin, the person, the clock and the system of a story.

use super::calls::Sent;
use super::{ACCOUNTS, GROUPS, Judge, RequestTrace, TOO_MANY, is_fit_to_show};
use crate::story::{Answered, Scripted};
use pam_onelogin::api::{ApiError, ApiTrouble, Ending, Reply};
use pam_onelogin::factor::CODE_PROMPT;
use pam_onelogin::group::Groups;
use pam_onelogin::login::{BadAnswer, Clock, Deadline, NoAnswer, Prompt, Typed, Wait};
use pam_onelogin::onelogin::http::{Call, Transport};
use pam_onelogin::outage::Miss;
use pam_onelogin::secret::Secret;
use pam_onelogin::user::{Account, LookupFailed, People, Uids};
use std::time::Duration;

/// OneLogin, behind the transport.
pub(super) struct Tape<'a>(pub(super) &'a Judge<'a>);

impl Transport for Tape<'_> {
    fn prepare(&mut self, _: Deadline) -> Result<(), ApiError> {
        Ok(())
    }

    fn send(&mut self, call: &Call<'_>, _: Deadline) -> Result<Reply, ApiError> {
        let judge = self.0;
        assert!(judge.calls() < TOO_MANY, "a login without an end");
        let sent = judge.look_at(call);
        judge.now.set(judge.now.get() + Duration::from_millis(20));
        if let Sent::Activation(_) = sent {
            judge.activated_at.set(judge.now.get());
        }
        let scripted = judge.next(&sent);
        let mut exchange = RequestTrace {
            sent,
            status: None,
            trouble: None,
            body: Vec::new(),
        };
        let result = match scripted {
            Scripted::Reply {
                status,
                retry_after,
                body,
            } => {
                judge.note(&exchange.sent, status, &body);
                exchange.status = Some(status);
                exchange.body.clone_from(&body);
                Ok(Reply {
                    status,
                    body: body.into(),
                    request_id: None,
                    retry_after,
                    is_of_front_end: false,
                    miss: (502..=504).contains(&status).then_some(Miss::Gateway),
                })
            }
            Scripted::ApiTrouble(trouble) => {
                exchange.trouble = Some(trouble);
                Err(ApiError {
                    miss: (trouble == ApiTrouble::NoConnection).then_some(Miss::Refused),
                    ..ApiError::new(trouble, "").ended(match trouble {
                        ApiTrouble::NoConnection | ApiTrouble::NoSuchHost => Ending::NotSent,
                        ApiTrouble::Timeout => Ending::NoReply,
                        ApiTrouble::Broken => Ending::Lost,
                        _ => Ending::Answered,
                    })
                })
            }
        };
        judge.traces.borrow_mut().push(exchange);
        result
    }
}

/// The person, behind the conversation.
pub(super) struct Person<'a>(pub(super) &'a Judge<'a>);

impl Prompt for Person<'_> {
    fn is_there(&self) -> bool {
        true
    }

    fn ask(&mut self, text: &str) -> Result<Typed, NoAnswer> {
        let judge = self.0;
        judge.prompts.set(judge.prompts.get() + 1);
        judge.activations.set(0);
        judge.typed.take();
        assert!(text.chars().all(is_fit_to_show), "R10: {text:?}");
        if !judge.is_proven() || judge.subject().is_none() {
            let text = text.strip_prefix("Not accepted. ").unwrap_or(text);
            assert_eq!(text, CODE_PROMPT, "R13: a prompt that tells");
        }
        let answer = judge.story.borrow_mut().answers.pop_front();
        let Some(Answered::Typed(bytes, seconds)) = answer else {
            return Err(NoAnswer);
        };
        judge
            .now
            .set(judge.now.get() + Duration::from_secs(seconds));
        judge.typed_at.set(judge.now.get());
        Ok(match String::from_utf8(bytes) {
            Err(_) => Typed::Unusable(BadAnswer::NotText),
            Ok(text) if Some(&text) == judge.input.password.as_ref() => {
                Typed::Unusable(BadAnswer::Password)
            }
            Ok(text) => {
                let code = text.chars().filter(|c| !c.is_whitespace()).collect();
                judge.typed.replace(Some(code));
                Typed::Text(Secret::new(text))
            }
        })
    }

    fn tell(&mut self, text: &str) {
        assert!(text.chars().all(is_fit_to_show), "R10: {text:?}");
        assert!(
            self.0.is_proven(),
            "R13: a text for somebody whom nothing has proven"
        );
    }
}

impl Clock for Judge<'_> {
    fn elapsed(&self) -> Duration {
        self.now.get()
    }

    fn at(&self, elapsed: Duration) -> Deadline {
        Deadline::at(self.start + elapsed)
    }

    fn wait(&self, time: Duration) -> Wait {
        let onelogin = &self.settings.config.onelogin;
        // A wrong code of somebody whom nothing has proven takes two seconds (rule R13).
        let late = self.typed_at.get() + onelogin.request_timeout.max(Duration::from_secs(2));
        let end = self.now.get() + time;
        assert!(
            end <= onelogin.login_timeout.max(late),
            "R9: a wait until {end:?}"
        );
        if self.loud.get() > 0 {
            let longest = self.activated_at.get() + self.settings.config.push_wait;
            assert!(end <= longest, "R9: an approval waited for until {end:?}");
        }
        self.waits.set(self.waits.get() + 1);
        if self.input.interrupt == Some(self.waits.get()) {
            return Wait::Interrupted;
        }
        self.now.set(end);
        Wait::Over
    }

    fn jitter(&self) -> Duration {
        Duration::ZERO
    }
}

impl People for Judge<'_> {
    fn uids(&self) -> Uids {
        self.settings.uids
    }

    fn by_name(&self, name: &str) -> Result<Option<Account>, LookupFailed> {
        Ok(account(|account| account.0 == name))
    }

    fn by_uid(&self, uid: u32) -> Result<Option<Account>, LookupFailed> {
        Ok(account(|account| account.1 == uid))
    }

    fn groups(&self, account: &Account, named: &[&str]) -> Result<Groups, LookupFailed> {
        if !named
            .iter()
            .all(|name| GROUPS.iter().any(|(group, _)| group == name))
        {
            return Err(LookupFailed::default());
        }
        let own = GROUPS.iter().filter(|(_, member)| *member == account.name);
        let own: Vec<String> = own.map(|(group, _)| (*group).to_owned()).collect();
        Ok(Groups {
            configured: own.clone(),
            names: own,
        })
    }

    fn lacks_group(&self, name: &str) -> bool {
        GROUPS.iter().all(|(group, _)| *group != name)
    }
}

pub(super) fn account(is_meant: impl Fn(&(&str, u32)) -> bool) -> Option<Account> {
    let found = ACCOUNTS.iter().find(|account| is_meant(account));
    found.map(|&(name, uid)| Account {
        name: name.to_owned(),
        uid,
    })
}

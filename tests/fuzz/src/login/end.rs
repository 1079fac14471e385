//! How a story may end.

use super::calls::Sent;
use super::{End, GROUPS, Judge, RequestTrace, SECRET, TOKEN, is_fit_to_show};
use crate::reading;
use crate::story::{Host, Kind, Scripted};
use pam::constants::PamResultCode as Code;
use pam_onelogin::api::ApiTrouble;
use pam_onelogin::config::{FailMode, NoFactor, UnknownUser, Whom};
use pam_onelogin::login::Outcome;
use serde_json::Value;

/// The day of each story.
const TODAY: &str = "2027-01-15";

impl Judge<'_> {
    /// Looks at the end of a story.
    pub(super) fn verdict(&self, end: &End) {
        let outcome = &end.report.outcome;
        let truth = self.is_truly_accepted();
        match end.verdict.code {
            Code::PAM_SUCCESS => match outcome {
                Outcome::Accepted(_) => assert!(
                    truth,
                    "R6: accepted without an acceptance of this user, device and verification"
                ),
                _ => assert!(self.is_an_outage_to_let_in(), "R2: let in by {outcome:?}"),
            },
            Code::PAM_IGNORE => assert!(self.is_truly_exempt(), "R1: ignored by {outcome:?}"),
            _ => {}
        }
        if truth && self.last_is_plain_json() && !self.is_a_late_approval(outcome) {
            assert!(
                matches!(outcome, Outcome::Accepted(_)),
                "an acceptance came to {outcome:?}"
            );
        }
        let prompts = usize::from(self.settings.config.factors.prompts);
        let most = match self.registrations.get() {
            0 if self.settings.config.users.no_factor == NoFactor::Enroll => prompts + 1 + prompts,
            0 => prompts + 1,
            _ => prompts + 1 + 2 * prompts,
        };
        // Three answers that a menu does not have cost no try.
        let most = most + 3;
        assert!(
            self.prompts.get() <= most,
            "R14: {} prompts",
            self.prompts.get()
        );
        self.keeps_secrets(&end.line);
        assert!(
            end.verdict
                .words
                .unwrap_or_default()
                .chars()
                .all(is_fit_to_show)
        );
    }

    /// A login that ends at the prompt of its push asks once whether that was denied. An approval counts for nothing then.
    fn is_a_late_approval(&self, outcome: &Outcome) -> bool {
        let traces = self.traces.borrow();
        let is_a_poll = traces
            .last()
            .is_some_and(|last| matches!(&last.sent, Sent::Verify(asked) if !asked.code));
        let is_over = matches!(outcome, Outcome::NoConversation | Outcome::Denied(_));
        is_a_poll && is_over
    }

    fn is_truly_accepted(&self) -> bool {
        match self.traces.borrow().last() {
            Some(RequestTrace {
                sent: Sent::Verify(asked),
                status: Some(status),
                body,
                ..
            }) => reading::is_acceptance(asked, *status, body),
            _ => false,
        }
    }

    /// The code that the last call carried, if it did.
    pub(super) fn accepted_code(&self) -> Option<String> {
        match self.traces.borrow().last()?.sent {
            Sent::Verify(ref asked) if asked.code => self.codes.borrow().last().cloned(),
            _ => None,
        }
    }

    /// Whether the whole last reply can be read by anybody: numbers in range, texts in UTF-8.
    fn last_is_plain_json(&self) -> bool {
        let traces = self.traces.borrow();
        traces
            .last()
            .is_some_and(|last| serde_json::from_slice::<Value>(&last.body).is_ok())
    }

    /// `failmode = "safe"`, where it applies (rules R2, R19): twice in a row, in an ssh login of a proven user.
    fn is_an_outage_to_let_in(&self) -> bool {
        let traces = self.traces.borrow();
        let is_down = |exchange: &RequestTrace| {
            exchange.trouble == Some(ApiTrouble::NoConnection)
                || matches!(exchange.status, Some(502..=504))
        };
        let down = traces.iter().rev().take_while(|last| is_down(last));
        self.settings.config.failmode == FailMode::Safe
            && matches!(self.input.host, Host::Key | Host::Ssh)
            && self.is_proven()
            && down.count() >= 2
            && !self.sent_anything.get()
    }

    /// Whether the admin wrote that this user is not asked (rule R1).
    fn is_truly_exempt(&self) -> bool {
        let users = &self.settings.config.users;
        let Some(name) = self.subject() else {
            return false;
        };
        if users.exempt_users.iter().any(|exempt| exempt == name) {
            return true;
        }
        let is_in = |group: &String| GROUPS.contains(&(group, name));
        if users.exempt_groups.iter().any(is_in) {
            return true;
        }
        let dated = users.exempt.iter();
        let mut dated = dated.filter(|entry| entry.term.until.to_string().as_str() >= TODAY);
        let is_meant = |whom: &Whom| match whom {
            Whom::User(exempt) => exempt == name,
            Whom::Group(group) => is_in(group),
        };
        if dated.any(|entry| is_meant(&entry.whom)) {
            return true;
        }
        if self.traces.borrow().is_empty() {
            return users.groups.is_some() && !self.is_in_a_group_that_is_meant(name);
        }
        match self.traces.borrow().last() {
            Some(RequestTrace {
                sent: Sent::User { version, id: None },
                status: Some(status),
                body,
                ..
            }) => {
                users.unknown == UnknownUser::Exempt && reading::is_nobody(*version, *status, body)
            }
            Some(RequestTrace {
                sent: Sent::Devices { version, .. },
                status: Some(status),
                body,
                ..
            }) => {
                users.no_factor == NoFactor::Exempt
                    && reading::is_without_devices(*version, *status, body)
            }
            _ => false,
        }
    }

    /// Whether the admin's text names a group of the user, or says `*`: then nobody leaves the user out,
    /// unless something is excluded.
    fn is_in_a_group_that_is_meant(&self, name: &str) -> bool {
        let text = &self.input.config;
        let is_named = |(group, member): &(&str, &str)| {
            *member == name && text.contains(&format!("groups = [\"{group}\"]"))
        };
        GROUPS.iter().any(is_named) || text.contains("groups = [\"*\"]")
    }

    /// Nothing that was typed, and no secret of ours, stands in the log (rule R11), unless the
    /// story itself put it where the log takes its words from.
    fn keeps_secrets(&self, line: &str) {
        assert!(
            !line.contains(SECRET) || self.is_told(SECRET, None),
            "R11: {line}"
        );
        assert!(
            !line.contains(TOKEN) || self.is_told(TOKEN, None),
            "R11: {line}"
        );
        for code in self.codes.borrow().iter() {
            let is_clear = code.len() >= 6 && code.bytes().any(|b| b.is_ascii_digit());
            if is_clear && line.contains(code.as_str()) {
                assert!(
                    self.is_told(code, Some(Kind::Verify)),
                    "R11: {code} in {line}"
                );
            }
        }
        assert!(line.chars().all(|c| !c.is_control()), "R10: {line:?}");
    }

    /// Whether the story says something elsewhere than in answers and in replies of one kind.
    fn is_told(&self, word: &str, but: Option<Kind>) -> bool {
        let story = &self.input;
        let in_replies = story.replies.iter().any(|(kind, replies)| {
            Some(*kind) != but
                && replies.iter().any(|reply| match reply {
                    Scripted::Reply { body, .. } => {
                        String::from_utf8_lossy(body).contains(word) || body.contains(&b'\\')
                    }
                    Scripted::ApiTrouble(_) => false,
                })
        });
        let texts = [&story.config, &story.map];
        let who = story.who.as_deref().unwrap_or_default();
        in_replies || who.contains(word) || texts.iter().any(|text| text.contains(word))
    }
}

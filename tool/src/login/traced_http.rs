//! The connection to OneLogin, with each step shown.

use crate::login::recorder::Recorder;
use crate::ui::console::{Console, Paint, paint};
use crate::ui::terminal::Countdown;
use pam_onelogin::api::{ApiError, Reply};
use pam_onelogin::config::Config;
use pam_onelogin::host::{interrupt_is_pending, uids};
use pam_onelogin::login::{Clock as _, Deadline};
use pam_onelogin::onelogin::http::{Call, Http, Method, RequestTrace, Transport};
use pam_onelogin::text::printable;
use pam_onelogin::trust::Trusted;
use std::net::IpAddr;
use std::time::Instant;

/// Whether each connection and request is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Steps {
    Shown,
    Hidden,
}

/// A transport that shows what it does, and has the clock count down to the end of what it sent.
pub(crate) struct TracedHttp<'a> {
    http: Http,
    console: &'a Console,
    clock: &'a Countdown<'a>,
    config: &'a Config,
    steps: Steps,
    recorder: Option<&'a Recorder>,
}

impl<'a> TracedHttp<'a> {
    /// Prepares it. Ctrl-C ends a wait for a reply where it is held.
    pub(crate) fn new(
        config: &'a Config,
        console: &'a Console,
        clock: &'a Countdown<'a>,
        steps: Steps,
    ) -> Self {
        Self {
            http: Http::new(config, Trusted::of(uids()), Some(interrupt_is_pending)),
            console,
            clock,
            config,
            steps,
            recorder: None,
        }
    }

    /// Makes a tape of what is sent, if there is a recorder.
    pub(crate) fn recorded_by(self, recorder: Option<&'a Recorder>) -> Self {
        Self { recorder, ..self }
    }

    /// What was sent.
    pub(crate) fn into_traces(self) -> Vec<RequestTrace> {
        self.http.into_traces()
    }
}

impl Transport for TracedHttp<'_> {
    fn prepare(&mut self, deadline: Deadline) -> Result<(), ApiError> {
        let start = Instant::now();
        let result = self.http.prepare(deadline);
        let outcome = match &result {
            Ok(()) => "connected".to_owned(),
            Err(error) => {
                if let Some(recorder) = self.recorder {
                    recorder.no_connection(error);
                }
                format!("no connection: {}", error.detail)
            }
        };
        self.step(&outcome, start);
        result
    }

    fn refresh(&mut self, deadline: Deadline) -> Result<(), ApiError> {
        self.http.refresh(deadline)
    }

    fn send(&mut self, call: &Call<'_>, deadline: Deadline) -> Result<Reply, ApiError> {
        let start = Instant::now();
        let after = self.clock.elapsed();
        let result = self.http.send(call, deadline);
        if let Some(recorder) = self.recorder {
            recorder.exchange(call, &result, after, start.elapsed());
        }
        let outcome = match &result {
            Ok(reply) => reply.status.to_string(),
            Err(error) => error.detail.clone(),
        };
        self.step(
            &format!("{} {} {outcome}", call.method.name(), call.path),
            start,
        );
        if result.is_ok() {
            self.count_down(call);
        }
        result
    }

    fn disconnect(&mut self) {
        self.http.disconnect();
    }

    fn addresses(&self) -> Vec<IpAddr> {
        self.http.addresses()
    }

    fn fall_back(&mut self, addresses: Vec<IpAddr>) {
        self.http.fall_back(addresses);
    }
}

impl TracedHttp<'_> {
    /// What was sent is waited for from now on; an enrolment from the first time that it is asked for.
    fn count_down(&self, call: &Call<'_>) {
        let is_sent = matches!(call.method, Method::Post(_));
        let is_asked_for = matches!(call.method, Method::Get) && self.clock.counts_nothing();
        let path = call.path;
        if (is_sent && (path.ends_with("/verifications") || path.ends_with("/trigger")))
            || (is_asked_for && path.contains("/registrations/"))
        {
            let left = self.config.onelogin.login_timeout;
            let left = left.saturating_sub(self.clock.elapsed());
            self.clock.counts(self.config.push_wait.min(left));
        }
    }

    fn step(&self, what: &str, start: Instant) {
        if self.steps == Steps::Hidden {
            return;
        }
        let ms = start.elapsed().as_millis();
        self.console.note(&paint(
            Paint::Dim,
            &format!("  {}, {ms} ms", printable(what)),
        ));
    }
}

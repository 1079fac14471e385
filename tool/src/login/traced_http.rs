//! The connection to OneLogin, with each step shown.

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
use std::time::{Duration, Instant};

/// Whether each connection and request is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Steps {
    Shown,
    Hidden,
}

/// Sees each request with what came of it.
pub(crate) trait Observer {
    /// `after` is the time of the login when it was sent; `time` is how long it took.
    fn exchange(
        &self,
        call: &Call<'_>,
        result: &Result<Reply, ApiError>,
        after: Duration,
        time: Duration,
    );

    /// A connection that could not be made.
    fn no_connection(&self, _: &ApiError) {}
}

/// A transport that shows what it does, and has the clock count down to the end of what it sent.
pub(crate) struct TracedHttp<'a> {
    http: Http,
    console: &'a Console,
    clock: &'a Countdown<'a>,
    config: &'a Config,
    steps: Steps,
    observer: Option<&'a dyn Observer>,
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
            observer: None,
        }
    }

    /// Lets an observer see what is sent.
    pub(crate) fn seen_by(self, observer: &'a dyn Observer) -> Self {
        let observer = Some(observer);
        Self { observer, ..self }
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
                if let Some(observer) = self.observer {
                    observer.no_connection(error);
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
        if let Some(observer) = self.observer {
            observer.exchange(call, &result, after, start.elapsed());
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

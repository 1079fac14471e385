//! The running simulator, as tests hold it.

use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, Builder, JoinHandle};
use std::time::{Duration, Instant};

use pam_onelogin_tape::{Replay, Tape, format};

use crate::api::token::current as current_token;
use crate::certificate::{Certificate, identity};
use crate::device::Device;
use crate::fault::Fault;
use crate::message::Message;
use crate::scope::{Scope, ScopeRules};
use crate::server::{self, Shared};
use crate::state::{
    Account, Dialect, ExpiredPoll, Outcome, ProtectListing, Purpose, PushBehaviour, Registration,
    Reissue, Request, State, Usernames, Verification, WrongCode,
};
use crate::user::User;
use crate::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET};

/// What is decided before the start.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The port; 0 is any free one.
    pub port: u16,
    /// Where it listens; 127.0.0.1 by default.
    pub address: Option<IpAddr>,
    /// What the server presents.
    pub certificate: Certificate,
    /// TLS 1.2 only, instead of 1.3 and 1.2.
    pub tls12_only: bool,
    /// Whether TLS 1.3 sends session tickets.
    pub tickets: Tickets,
    /// HTTP instead of HTTPS.
    pub plain_http: bool,
    /// Whether the user search minds case. The real rule is unknown.
    pub case_sensitive: bool,
    /// How replies are written.
    pub dialect: Dialect,
    /// Whether users have names to log in with.
    pub usernames: Usernames,
    /// What the token call gives after [`Simulator::revoke_tokens`].
    pub reissue: Reissue,
}

/// Whether session tickets are sent. Nobody waits for them, but who counts round trips sees them as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tickets {
    /// As servers do.
    #[default]
    Sent,
    /// None.
    Withheld,
}

/// A running server. Dropping it ends its connections and threads and frees the port.
pub struct Simulator {
    shared: Arc<Shared>,
    address: SocketAddr,
    url: String,
    ca_pem: String,
    server_pem: String,
    listener: Option<JoinHandle<()>>,
}

impl Simulator {
    /// A server on a free port, with TLS and a CA of its own.
    ///
    /// # Panics
    /// When there is no port, no thread or no key to be had; so does [`Simulator::start_with`].
    pub fn start() -> Simulator {
        Simulator::start_with(Options::default())
    }

    /// A server as `options` say.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "callers write the options in place"
    )]
    pub fn start_with(options: Options) -> Simulator {
        let address = options.address.unwrap_or(Ipv4Addr::LOCALHOST.into());
        let listener = TcpListener::bind((address, options.port)).expect("the port is free");
        let address = listener.local_addr().expect("the address of the listener");
        let identity = identity(options.certificate, options.tls12_only).expect("a certificate");
        let mut state = State::default();
        state.settings.case_sensitive = options.case_sensitive;
        state.settings.dialect = options.dialect;
        state.settings.usernames = options.usernames;
        state.settings.reissue = options.reissue;
        state.credentials.insert(
            DEFAULT_CLIENT_ID.to_owned(),
            DEFAULT_CLIENT_SECRET.to_owned(),
        );
        let mut config = identity.config;
        if options.tickets == Tickets::Withheld {
            config.send_tls13_tickets = 0;
        }
        let tls = (!options.plain_http).then(|| Arc::new(config));
        let shared = Arc::new(Shared::new(state, tls, address.port()));
        let thread = {
            let shared = Arc::clone(&shared);
            let accept = move || server::accept(&shared, &listener);
            Builder::new()
                .name(format!("sim-{}", address.port()))
                .spawn(accept)
                .expect("a thread")
        };
        let scheme = if options.plain_http { "http" } else { "https" };
        Simulator {
            shared,
            address,
            url: format!("{scheme}://localhost:{}", address.port()),
            ca_pem: identity.ca_pem,
            server_pem: identity.server_pem,
            listener: Some(thread),
        }
    }

    /// `https://localhost:PORT`.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The CA that clients are to trust, as PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Certificate and key, as PEM, for a front end that ends TLS before a simulator without it.
    pub fn server_pem(&self) -> &str {
        &self.server_pem
    }

    /// Changes the way replies are written.
    pub fn set_dialect(&self, dialect: Dialect) {
        self.shared.state().settings.dialect = dialect;
    }

    /// Changes what [`Dialect::Live`] says of a wrong code.
    pub fn set_wrong_code(&self, reply: WrongCode) {
        self.shared.state().settings.wrong_code = reply;
    }

    /// Changes what a poll says of an expired verification.
    pub fn set_expired_poll(&self, reply: ExpiredPoll) {
        self.shared.state().settings.expired_poll = reply;
    }

    /// Whether `device_id` and `user_id` of the MFA replies are JSON numbers where they can be, as clients in use
    /// have seen them in the list of devices.
    pub fn set_numeric_ids(&self, numeric: bool) {
        self.shared.state().settings.numeric_ids = numeric;
    }

    /// Changes the messages with which API v1 answers a poll of a push that is pending, and of one that was denied; both
    /// are 401.
    pub fn set_v1_poll_texts(&self, pending: impl Into<String>, refused: impl Into<String>) {
        let mut state = self.shared.state();
        state.settings.v1_pending = pending.into();
        state.settings.v1_refused = refused.into();
    }

    /// Changes how API v1 lists Protect devices.
    pub fn set_protect_listing(&self, listing: ProtectListing) {
        self.shared.state().settings.protect_listing = listing;
    }

    /// Sets the server's clock ahead, as far as the header `Date` tells it; behind, where this is negative.
    pub fn set_ahead(&self, seconds: i64) {
        self.shared.state().settings.ahead = seconds;
    }

    /// Fields that the list of users leaves out even when asked for; only `GET /api/2/users/:id` has them.
    pub fn omit_from_list(&self, fields: &[&str]) {
        self.shared.state().settings.omitted = fields.iter().map(ToString::to_string).collect();
    }

    /// One more client credential.
    pub fn add_credential(&self, id: impl Into<String>, secret: impl Into<String>) {
        self.shared
            .state()
            .credentials
            .insert(id.into(), secret.into());
    }

    /// Deletes a client credential. Its tokens end at once; the documentation of OneLogin does not say whether they do.
    pub fn remove_credential(&self, id: &str) {
        let mut state = self.shared.state();
        state.credentials.remove(id);
        for token in state.tokens.iter_mut().filter(|token| token.client == id) {
            token.revoked = true;
            token.current = false;
        }
    }

    /// Limits what a client may do; without a call to this it may do everything. A call that wants another scope
    /// is answered with 403 `ForbiddenAction` in v2 and 401 `Insufficient Permission` in v1.
    pub fn set_scope(&self, client_id: impl Into<String>, scope: Scope) {
        self.shared.state().scopes.insert(client_id.into(), scope);
    }

    /// Changes which calls a scope is good for.
    pub fn set_scope_rules(&self, rules: ScopeRules) {
        self.shared.state().settings.scope_rules = rules;
    }

    /// One more user, or another one with the same id.
    pub fn add_user(&self, user: User) {
        let mut state = self.shared.state();
        let devices = state
            .accounts
            .remove(&user.id)
            .map(|account| account.devices)
            .unwrap_or_default();
        state.accounts.insert(user.id, Account { user, devices });
    }

    /// Changes a user.
    ///
    /// # Panics
    /// When there is no such user.
    pub fn change_user(&self, id: u64, change: impl FnOnce(&mut User)) {
        let mut state = self.shared.state();
        let account = state
            .accounts
            .get_mut(&id)
            .unwrap_or_else(|| panic!("there is no user {id}"));
        change(&mut account.user);
    }

    /// Removes a user with all devices.
    pub fn remove_user(&self, id: u64) {
        self.shared.state().accounts.remove(&id);
    }

    /// Enrols a device.
    ///
    /// # Panics
    /// When there is no such user.
    pub fn add_device(&self, user_id: u64, device: Device) {
        self.change_devices(user_id, |devices| devices.push(device));
    }

    /// Changes the devices of a user.
    ///
    /// # Panics
    /// When there is no such user.
    pub fn change_devices(&self, user_id: u64, change: impl FnOnce(&mut Vec<Device>)) {
        let mut state = self.shared.state();
        let account = state
            .accounts
            .get_mut(&user_id)
            .unwrap_or_else(|| panic!("there is no user {user_id}"));
        change(&mut account.devices);
    }

    /// The requests so far, in order. A request is logged before its reply is sent.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.state().requests.clone()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.shared.state().requests.clear();
    }

    /// TCP connections accepted so far, with those that never sent a request.
    pub fn connections(&self) -> u64 {
        self.shared.state().connections
    }

    /// How many requests had this method and `path_part` in path or query as sent. An empty method is any.
    pub fn count(&self, method: &str, path_part: &str) -> usize {
        self.shared
            .state()
            .requests
            .iter()
            .filter(|request| request.fits(method, path_part))
            .count()
    }

    /// How many activations (push, message, call) were asked for, in v1 or v2, whatever the answer was.
    pub fn activations(&self) -> usize {
        self.posts("/verifications", "\"otp\"", false) + self.count("POST", "/trigger")
    }

    /// How many codes were submitted, by POST or by PUT, in v1 or v2, whatever the answer was. Those of enrolments
    /// do not count.
    pub fn codes(&self) -> usize {
        self.posts("/verifications", "\"otp\"", true)
            + self.count("PUT", "/verifications/")
            + self.posts("/verify", "\"otp_token\"", true)
    }

    fn posts(&self, path_part: &str, code: &str, with_code: bool) -> usize {
        let state = self.shared.state();
        let posts = state.requests.iter();
        posts
            .filter(|request| request.fits("POST", path_part))
            .filter(|request| request.body.contains(code) == with_code)
            .count()
    }

    /// What telephones and mailboxes got so far.
    pub fn messages(&self) -> Vec<Message> {
        self.shared.state().messages.clone()
    }

    /// Forgets the messages so far.
    pub fn clear_messages(&self) {
        self.shared.state().messages.clear();
    }

    /// The first message that `pred` likes, waiting for it if need be; `None` after `timeout`.
    pub fn wait_for_message(
        &self,
        timeout: Duration,
        mut pred: impl FnMut(&Message) -> bool,
    ) -> Option<Message> {
        self.shared.wait(timeout, |state| {
            state.messages.iter().find(|message| pred(message)).cloned()
        })
    }

    /// Whether this many connections have been closed by now, waiting for it if need be; `false` after `timeout`.
    pub fn wait_for_closed(&self, timeout: Duration, connections: u64) -> bool {
        let closed = |state: &State| (state.closed >= connections).then_some(());
        self.shared.wait(timeout, closed).is_some()
    }

    /// Whether [`crate::Action::Also`] or [`crate::Action::SpeakFirst`] has sent its bytes this many times by now, waiting for
    /// it if need be; `false` after `timeout`.
    pub fn wait_for_unasked(&self, timeout: Duration, times: u64) -> bool {
        let sent = |state: &State| (state.unasked >= times).then_some(());
        self.shared.wait(timeout, sent).is_some()
    }

    /// The first request as [`Simulator::count`] counts them, waiting for it if need be; `None` after `timeout`.
    pub fn wait_for_request(
        &self,
        timeout: Duration,
        method: &str,
        path_part: &str,
    ) -> Option<Request> {
        self.wait_for_nth_request(timeout, method, path_part, 1)
    }

    /// The `nth` such request, from 1.
    pub fn wait_for_nth_request(
        &self,
        timeout: Duration,
        method: &str,
        path_part: &str,
        nth: usize,
    ) -> Option<Request> {
        self.shared.wait(timeout, |state| {
            let mut fitting = state
                .requests
                .iter()
                .filter(|request| request.fits(method, path_part));
            fitting.nth(nth.saturating_sub(1)).cloned()
        })
    }

    /// The person says yes: to a push, by keying in the digits of a call, or by following a link.
    /// Takes the id of a verification or registration, or the `state_token` of API v1.
    ///
    /// # Panics
    /// When there is no such verification.
    pub fn approve(&self, verification_id: &str) {
        self.decide(verification_id, Outcome::Accepted);
    }

    /// The person says no, or keys in other digits.
    ///
    /// # Panics
    /// When there is no such verification.
    pub fn deny(&self, verification_id: &str) {
        self.decide(verification_id, Outcome::Rejected);
    }

    fn decide(&self, id: &str, outcome: Outcome) {
        let mut state = self.shared.state();
        let mut verifications = state.verifications.iter();
        let is_known = verifications.any(|verification| verification.id == id);
        assert!(is_known, "there is no verification {id}");
        state.decide(id, outcome);
    }

    /// The enrolments through API v2 so far, with what the person sees on telephone or screen.
    pub fn registrations(&self) -> Vec<Registration> {
        self.shared.state().registrations()
    }

    /// The person has done what the enrolment wants, whatever the factor; the device is there.
    ///
    /// # Panics
    /// When there is no such registration.
    pub fn confirm_registration(&self, id: &str) {
        self.assert_registration(id);
        self.decide(id, Outcome::Accepted);
    }

    /// The person refuses the enrolment.
    ///
    /// # Panics
    /// When there is no such registration.
    pub fn reject_registration(&self, id: &str) {
        self.assert_registration(id);
        self.decide(id, Outcome::Rejected);
    }

    fn assert_registration(&self, id: &str) {
        let is_known = self.registrations().iter().any(|r| r.id == id);
        assert!(is_known, "there is no registration {id}");
    }

    /// Ends all enrolments through API v2.
    pub fn expire_registrations(&self) {
        self.expire(|verification| matches!(verification.purpose, Purpose::Enrolment(_)));
    }

    /// Gives a user a temporary MFA token, valid for an hour, and names its device.
    pub fn give_temporary_token(
        &self,
        user_id: u64,
        token: impl Into<String>,
        reusable: bool,
    ) -> String {
        let hour = Duration::from_secs(3600);
        let mut state = self.shared.state();
        state.give_temporary(user_id, token.into(), reusable, hour)
    }

    /// Ends all temporary MFA tokens.
    pub fn expire_temporary_tokens(&self) {
        let now = Instant::now();
        let mut state = self.shared.state();
        state.temporary.iter_mut().for_each(|t| t.expires = now);
    }

    /// Approves the newest push, call or link that is open, of a login or an enrolment, and names it.
    pub fn approve_latest(&self) -> Option<String> {
        self.decide_latest(Outcome::Accepted)
    }

    /// Denies the newest push, call or link that is open, and names it.
    pub fn deny_latest(&self) -> Option<String> {
        self.decide_latest(Outcome::Rejected)
    }

    fn decide_latest(&self, outcome: Outcome) -> Option<String> {
        let mut state = self.shared.state();
        let id = state.latest_push()?.id.clone();
        state.decide(&id, outcome);
        Some(id)
    }

    /// What becomes of pushes, calls and links activated from now on, and of enrolments that are polled.
    pub fn on_push(&self, behaviour: PushBehaviour) {
        self.shared.state().settings.push = behaviour;
    }

    /// The code of the next text message, e-mail or call; several calls queue up.
    pub fn set_next_code(&self, code: impl Into<String>) {
        self.shared.state().next_codes.push_back(code.into());
    }

    /// The access token that the first credential gets now, without a token call.
    pub fn give_token(&self) -> String {
        current_token(&mut self.shared.state(), DEFAULT_CLIENT_ID.to_owned()).access
    }

    /// The access tokens that were given out and not ended.
    pub fn access_tokens(&self) -> Vec<String> {
        let state = self.shared.state();
        let tokens = state.tokens.iter().filter(|token| !token.revoked);
        tokens.map(|token| token.access.clone()).collect()
    }

    /// Makes all access tokens dead before their time: each call with one is refused as if it had none, though nothing was
    /// told of it. What the token call gives then is up to [`Options::reissue`].
    pub fn revoke_tokens(&self) {
        let mut state = self.shared.state();
        let is_given_again = state.settings.reissue == Reissue::Same;
        for token in &mut state.tokens {
            token.revoked = true;
            token.current &= is_given_again;
        }
    }

    /// Changes what the token call gives after [`Simulator::revoke_tokens`].
    pub fn set_reissue(&self, reissue: Reissue) {
        self.shared.state().settings.reissue = reissue;
    }

    /// Ends all access tokens; the token call gives a new one.
    pub fn expire_tokens(&self) {
        self.shared.state().tokens.clear();
    }

    /// Ends all verifications, in v1 all state tokens.
    pub fn expire_verifications(&self) {
        self.expire(|verification| !matches!(verification.purpose, Purpose::Enrolment(_)));
    }

    fn expire(&self, which: impl Fn(&Verification) -> bool) {
        let now = Instant::now();
        let mut state = self.shared.state();
        let expiring = state.verifications.iter_mut().filter(|v| which(v));
        expiring.for_each(|verification| verification.expires = now);
    }

    /// Makes the next token call give a new token, created `created_ago_s` seconds ago and valid for
    /// `expires_in_s` seconds from then. Tokens given before stay valid.
    pub fn set_token_lifetime(&self, created_ago_s: u64, expires_in_s: u64) {
        let mut state = self.shared.state();
        state.settings.token_created_ago = Some(Duration::from_secs(created_ago_s));
        state.settings.token_expires_in = Duration::from_secs(expires_in_s);
        state
            .tokens
            .iter_mut()
            .for_each(|token| token.current = false);
    }

    /// One more thing to go wrong.
    pub fn fault(&self, fault: Fault) {
        self.shared.state().faults.add(fault);
    }

    /// From now on nothing goes wrong; what a connection is already in goes on.
    pub fn clear_faults(&self) {
        self.shared.state().faults.clear();
    }

    /// From now on answers as the tape does, and not as the account would. Returns the lines that the user types.
    ///
    /// # Errors
    /// The line that cannot be replayed.
    pub fn replay(&self, tape: Tape) -> Result<Vec<String>, format::Fault> {
        let replay = Replay::new(tape)?;
        let answers = replay.answers();
        self.shared.state().replay = Some(replay);
        Ok(answers)
    }

    /// Where requests differed from the tape, and which of its lines were not used; empty if the login was that of the tape.
    #[must_use]
    pub fn replay_report(&self) -> Vec<String> {
        let state = self.shared.state();
        state
            .replay
            .as_ref()
            .map(Replay::report)
            .unwrap_or_default()
    }

    /// Calls `printer` with each message from now on, before the login gets its reply.
    pub fn set_printer(&self, printer: impl Fn(&Message) + Send + Sync + 'static) {
        self.shared.state().printer = Some(Arc::new(printer));
    }
}

impl Simulator {
    /// Ends the connections that are open; new ones are served.
    pub fn close_connections(&self) {
        for socket in self.shared.state().sockets.values() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Ends: from now on connections are refused.
    pub fn stop(&mut self) {
        self.shared.stop();
        let Some(listener) = self.listener.take() else {
            return;
        };
        // A connection of our own wakes the listener; again, should it have failed.
        while !listener.is_finished() {
            let _ = TcpStream::connect_timeout(&self.address, Duration::from_millis(100));
            thread::sleep(Duration::from_millis(1));
        }
        let _ = listener.join();
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop();
    }
}

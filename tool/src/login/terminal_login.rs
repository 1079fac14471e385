//! A real login in this terminal, without a PAM stack.

use crate::ui::terminal::Countdown;
use pam_onelogin::config::file::Loaded;
use pam_onelogin::denials::Denials;
use pam_onelogin::host::{process_identity, uids};
use pam_onelogin::host_login::{Decision, HostLogin};
use pam_onelogin::login::Prompt;
use pam_onelogin::onelogin::http::Transport;
use pam_onelogin::secret::Secret;
use pam_onelogin::user::Request;

/// The request that a service would make for this user.
pub(crate) fn request(user: &str, service: &str, is_proven: bool) -> Request {
    let is_ssh = service == "sshd";
    Request {
        user: Some(user.to_owned()),
        service: service.to_owned(),
        tty: Some(if is_ssh { "ssh" } else { "/dev/tty" }.to_owned()),
        // A connection of its own, so that a denial is remembered for this run alone.
        ssh_connection: is_ssh.then(process_identity),
        ssh_auth_info: is_ssh && is_proven,
        ssh_key: is_ssh && is_proven,
        // As if a password had been typed; the login never reads it.
        password: (!is_ssh && is_proven).then(|| Secret::new(String::new())),
        ..Request::default()
    }
}

/// Runs the login.
pub(crate) fn log_in(
    request: &Request,
    loaded: &Loaded,
    clock: &Countdown<'_>,
    prompt: &mut dyn Prompt,
    transport: &mut dyn Transport,
) -> Decision {
    HostLogin {
        request,
        uids: uids(),
        clock,
        prompt,
        transport,
        denials: Some(&Denials::default()),
        is_same_user: &|| true,
        has_stack: false,
    }
    .run(loaded)
}

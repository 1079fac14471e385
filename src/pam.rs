//! The PAM handle as values, and the conversation as a prompt. Touches libpam only.

pub mod sys;

use crate::login::{BadAnswer, NoAnswer, Prompt, Typed};
use crate::secret::Secret;
use crate::user::Request;
use pam::constants::{PAM_ERROR_MSG, PAM_PROMPT_ECHO_ON, PAM_TEXT_INFO};
use pam::conv::Conv;
use pam::items::{AuthTok, Item, RHost, RUser, Service, Tty, User};
use pam::module::PamHandle;
use std::ffi::CStr;

/// The longest answer that is taken from a conversation, in bytes.
const MAX_TYPED: usize = 512;

/// `PAM_SERVICE`, such as `sshd`; empty when it is absent.
#[must_use]
pub fn service(handle: &PamHandle) -> String {
    item::<Service>(handle).unwrap_or_default()
}

/// Reads what the host asks. Each item may be absent.
#[must_use]
pub fn request(handle: &mut PamHandle) -> Request {
    // This may ask for the name, as every first module does; it never changes one that is set.
    let user = match handle.get_user(None) {
        Ok(_) => user(handle),
        Err(_) => None,
    };
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let environment = |name: &CStr| sys::environment(handle, name).map(text);
    let ssh_auth_info = environment(c"SSH_AUTH_INFO_0").unwrap_or_default();
    Request {
        user,
        service: service(handle),
        rhost: item::<RHost>(handle),
        tty: item::<Tty>(handle),
        ruser: item::<RUser>(handle),
        ssh_connection: environment(c"SSH_CONNECTION").filter(|value| !value.is_empty()),
        ssh_auth_info: !ssh_auth_info.is_empty(),
        ssh_key: ssh_auth_info
            .lines()
            .any(|line| line.starts_with("publickey ")),
        password: handle
            .get_item::<AuthTok>()
            .ok()
            .flatten()
            .map(|password| Secret::from_bytes_lossy(password.as_bytes())),
    }
}

/// Whether `PAM_USER` is still who it was in the request: a module or conversation in between
/// could have changed it.
#[must_use]
pub fn is_still_the_user(handle: &PamHandle, request: &Request) -> bool {
    user(handle) == request.user
}

/// `PAM_USER`, if it is UTF-8.
fn user(handle: &PamHandle) -> Option<String> {
    let user = handle.get_item::<User>().ok().flatten()?;
    user.to_str().ok().map(str::to_owned)
}

/// Shows an error to the user, if the host shows texts. Whether it arrived decides nothing.
pub fn tell_error(handle: &PamHandle, text: &str) {
    if let Ok(Some(conversation)) = handle.get_item::<Conv>() {
        let _ = conversation.send(PAM_ERROR_MSG, text);
    }
}

/// The conversation of a login.
pub struct Conversation<'a> {
    handle: &'a PamHandle,
    request: &'a Request,
}

impl<'a> Conversation<'a> {
    /// The conversation of this handle. An answer that equals the password or the name of the request
    /// is put aside unseen: the host has given it, not the user.
    #[must_use]
    pub fn new(handle: &'a PamHandle, request: &'a Request) -> Self {
        Self { handle, request }
    }

    fn taken(&self, answer: Secret) -> Typed {
        let is_password = |password: &Secret| !password.is_empty() && answer.same_as(password);
        let is_name = |name: &str| answer.same_as(&Secret::new(name.to_owned()));
        if self.request.password.as_ref().is_some_and(is_password) {
            Typed::Unusable(BadAnswer::Password)
        } else if !answer.is_empty() && self.request.user.as_deref().is_some_and(is_name) {
            Typed::Unusable(BadAnswer::UserName)
        } else {
            Typed::Text(answer)
        }
    }
}

impl Prompt for Conversation<'_> {
    /// Asks with echo: sshd answers a hidden prompt with the login password by itself.
    fn ask(&mut self, text: &str) -> Result<Typed, NoAnswer> {
        let conversation = self
            .handle
            .get_item::<Conv>()
            .ok()
            .flatten()
            .ok_or(NoAnswer)?;
        let answer = conversation
            .send(PAM_PROMPT_ECHO_ON, text)
            .ok()
            .flatten()
            .ok_or(NoAnswer)?;
        if answer.len() > MAX_TYPED {
            return Ok(Typed::Unusable(BadAnswer::NotText));
        }
        Ok(match Secret::from_bytes(answer.as_bytes()) {
            None => Typed::Unusable(BadAnswer::NotText),
            Some(answer) => self.taken(answer),
        })
    }

    fn is_there(&self) -> bool {
        matches!(self.handle.get_item::<Conv>(), Ok(Some(_)))
    }

    fn tell(&mut self, text: &str) {
        if let Ok(Some(conversation)) = self.handle.get_item::<Conv>() {
            let _ = conversation.send(PAM_TEXT_INFO, text);
        }
    }
}

/// A text item; what is not UTF-8 in it is replaced.
fn item<'a, T>(handle: &'a PamHandle) -> Option<String>
where
    T: Item<'a> + std::ops::Deref<Target = &'a CStr>,
{
    let item = handle.get_item::<T>().ok().flatten()?;
    Some(item.to_string_lossy().into_owned())
}

//! What a test and `pam-host` say to each other: one script in, events and one report out, each a line of JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Text that need not be UTF-8: a string in JSON where it is, an array of bytes where it is not.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Text {
    /// Proper text.
    Utf8(String),
    /// Anything else.
    Bytes(Vec<u8>),
}

impl Text {
    /// The bytes as they are.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Utf8(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&String::from_utf8_lossy(self.bytes()))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{:?}", self.to_string())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::Utf8(text.to_owned())
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Self {
        Self::Utf8(text.clone())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::Utf8(text)
    }
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        String::from_utf8(bytes).map_or_else(|error| Self::Bytes(error.into_bytes()), Self::Utf8)
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        Self::from(bytes.to_vec())
    }
}

impl<const N: usize> From<&[u8; N]> for Text {
    fn from(bytes: &[u8; N]) -> Self {
        Self::from(bytes.to_vec())
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

/// A call of the PAM application interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// `pam_authenticate`
    Authenticate,
    /// `pam_setcred` with `PAM_ESTABLISH_CRED`
    Setcred,
    /// `pam_acct_mgmt`
    Account,
    /// `pam_open_session`
    OpenSession,
    /// `pam_close_session`
    CloseSession,
    /// `pam_chauthtok`
    Password,
    /// `pam_set_item` of `PAM_USER` with the name of [`crate::Case::next_user`]
    NextUser,
    /// No call: the time of [`crate::Case::time_passes`] does
    TimePasses,
}

/// What the bytes of [`Answer::Masked`] are combined with, by exclusive or.
pub const MASK: u8 = 0xa5;

/// What the conversation does at a prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Answers with this text.
    Text(Text),
    /// Answers with these bytes, each of which is under [`MASK`]: `pam-host` itself never holds the text, so that every copy
    /// in its memory is of somebody else's making.
    Masked(Vec<u8>),
    /// Returns `PAM_CONV_ERR`.
    Fail,
    /// Returns `PAM_SUCCESS` and leaves the response pointer null.
    Null,
    /// Returns `PAM_SUCCESS` and a response whose text is null.
    NullText,
    /// Answers with this many bytes of `9`.
    Long(usize),
    /// Answers with this number in six digits, and with one more in each further run.
    Count(u32),
    /// Sets `PAM_USER` to the first, then answers with the second.
    Rename(String, Text),
    /// Asks the test, which may act first: see `Running`.
    Ask,
}

/// What the conversation does with messages that want no answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Texts {
    /// Shows them, with a response whose text is null.
    #[default]
    Shown,
    /// `PAM_SUCCESS` with a null response, as `su -c` does.
    Dropped,
    /// `PAM_CONV_ERR`.
    Refused,
}

/// Real, effective and saved user id that the process takes before it starts (needs root).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    /// Real user id.
    pub real: u32,
    /// Effective user id.
    pub effective: u32,
    /// Saved user id.
    pub saved: u32,
}

/// One run of `pam-host`.
#[allow(clippy::struct_excessive_bools)] // Each is a line of JSON of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Script {
    /// Folder with the service files.
    pub confdir: PathBuf,
    /// Name of the service.
    pub service: String,
    /// `PAM_USER`; null when absent.
    #[serde(default)]
    pub user: Option<Text>,
    /// `PAM_RHOST`.
    #[serde(default)]
    pub rhost: Option<Text>,
    /// `PAM_TTY`.
    #[serde(default)]
    pub tty: Option<Text>,
    /// The PAM environment (`pam_putenv`), which is not the process's.
    #[serde(default)]
    pub pam_env: BTreeMap<String, Text>,
    /// Whether the calls carry `PAM_SILENT`.
    #[serde(default)]
    pub silent: bool,
    /// The calls; when empty, authenticate and, after success, setcred.
    #[serde(default)]
    pub calls: Vec<Call>,
    /// Whether there is a conversation function at all.
    #[serde(default = "yes")]
    pub conversation: bool,
    /// Answers to the prompts, in their order.
    #[serde(default)]
    pub answers: Vec<Answer>,
    /// The answer to every prompt after those.
    #[serde(default = "fail")]
    pub further: Answer,
    /// The treatment of texts that want no answer.
    #[serde(default)]
    pub texts: Texts,
    /// Whether each message is reported when it comes, not only at the end.
    #[serde(default)]
    pub live: bool,
    /// How many times the whole is done, from `pam_start` to `pam_end`, in this one process.
    #[serde(default = "once")]
    pub repeat: u32,
    /// Who it is from [`Call::NextUser`] on.
    pub next_user: Option<Text>,
    /// Whether only the last time is reported.
    #[serde(default)]
    pub lean: bool,
    /// Ids to take first.
    #[serde(default)]
    pub ids: Option<Ids>,
    /// The umask to start with.
    #[serde(default)]
    pub umask: Option<u32>,
    /// Which of the descriptors 0 to 2 are closed at the start.
    #[serde(default)]
    pub closed: Vec<i32>,
    /// Soft limit of open descriptors during the calls.
    #[serde(default)]
    pub descriptors: Option<u64>,
    /// Whether files cannot grow during the calls.
    #[serde(default)]
    pub file_size: Option<FileSize>,
    /// How many KiB of memory the calls may take beyond what the process has.
    #[serde(default)]
    pub memory: Option<u64>,
    /// The address families of which the process gets no socket.
    #[serde(default)]
    pub no_families: Vec<i32>,
}

/// What a process does where a file may not grow (`RLIMIT_FSIZE` of 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileSize {
    /// SIGXFSZ ends it.
    Deadly,
    /// SIGXFSZ is ignored: writing fails with `EFBIG`.
    Ignored,
}

impl Script {
    /// The answers of the run with this number, from 0.
    pub(crate) fn answers_of(&self, run: u32) -> Vec<Answer> {
        let answers = self.answers.iter().cloned();
        answers
            .map(|answer| match answer {
                Answer::Count(number) => Answer::Count(number + run),
                other => other,
            })
            .collect()
    }
}

fn yes() -> bool {
    true
}

fn fail() -> Answer {
    Answer::Fail
}

fn once() -> u32 {
    1
}

/// A PAM return code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Code(pub i32);

macro_rules! codes {
    ($($name:ident = $number:literal),* $(,)?) => {
        impl Code {
            $(#[doc = concat!("`PAM_", stringify!($name), "`")] pub const $name: Self = Self($number);)*

            /// The name in the headers of Linux-PAM.
            pub fn name(self) -> &'static str {
                match self.0 {
                    $($number => concat!("PAM_", stringify!($name)),)*
                    _ => "unknown PAM code",
                }
            }
        }
    };
}

codes! {
    SUCCESS = 0, OPEN_ERR = 1, SYMBOL_ERR = 2, SERVICE_ERR = 3, SYSTEM_ERR = 4, BUF_ERR = 5, PERM_DENIED = 6,
    AUTH_ERR = 7, CRED_INSUFFICIENT = 8, AUTHINFO_UNAVAIL = 9, USER_UNKNOWN = 10, MAXTRIES = 11,
    NEW_AUTHTOK_REQD = 12, ACCT_EXPIRED = 13, SESSION_ERR = 14, CRED_UNAVAIL = 15, CRED_EXPIRED = 16, CRED_ERR = 17,
    NO_MODULE_DATA = 18, CONV_ERR = 19, AUTHTOK_ERR = 20, AUTHTOK_RECOVERY_ERR = 21, AUTHTOK_LOCK_BUSY = 22,
    AUTHTOK_DISABLE_AGING = 23, TRY_AGAIN = 24, IGNORE = 25, ABORT = 26, AUTHTOK_EXPIRED = 27, MODULE_UNKNOWN = 28,
    BAD_ITEM = 29, CONV_AGAIN = 30, INCOMPLETE = 31,
}

impl fmt::Debug for Code {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} ({})", self.name(), self.0)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.name())
    }
}

/// A call and what it returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Called {
    /// The call.
    pub call: Call,
    /// What it returned.
    pub code: Code,
}

/// The style of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// `PAM_PROMPT_ECHO_OFF`: the answer is not shown.
    Hidden,
    /// `PAM_PROMPT_ECHO_ON`: the answer is shown.
    Visible,
    /// `PAM_ERROR_MSG`
    Error,
    /// `PAM_TEXT_INFO`
    Info,
    /// Any other number.
    Other(i32),
}

impl Style {
    /// Whether it wants an answer.
    pub fn is_prompt(self) -> bool {
        matches!(self, Self::Hidden | Self::Visible)
    }
}

impl From<i32> for Style {
    fn from(number: i32) -> Self {
        match number {
            1 => Self::Hidden,
            2 => Self::Visible,
            3 => Self::Error,
            4 => Self::Info,
            other => Self::Other(other),
        }
    }
}

/// One message of the module and the answer it got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its style.
    pub style: Style,
    /// Its text.
    pub text: Text,
    /// What the conversation did; `None` for a text that wants no answer.
    pub answer: Option<Answer>,
}

/// The traits of a process that a module has to leave as they were (rule R8).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Number of tasks (threads).
    pub tasks: usize,
    /// Descriptors and what they refer to.
    pub descriptors: BTreeMap<i32, String>,
    /// The umask.
    pub umask: u32,
    /// The working folder.
    pub folder: PathBuf,
    /// Signal masks: the `Sig…` and `Shd…` lines of `/proc/self/status`.
    pub signals: BTreeMap<String, String>,
    /// Per signal: the address of its handler and its flags.
    pub handlers: BTreeMap<i32, String>,
    /// Resource limits, as `/proc/self/limits` has them.
    pub limits: BTreeMap<String, String>,
    /// Name of the locale.
    pub locale: String,
    /// Real, effective and saved user id, the same of the group, and the further groups.
    pub ids: String,
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// Interval timers and POSIX timers that are set.
    pub timers: Vec<String>,
    /// Name of the process (`/proc/self/comm`).
    pub name: String,
}

/// A file that the module opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The path as given.
    pub path: String,
    /// The descriptor; -1 when it failed.
    pub descriptor: i32,
    /// Whether it was opened `O_CLOEXEC`.
    pub close_on_exec: bool,
}

/// What the shim saw of the calls that the module's own code made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notes {
    /// Whether the shim was there.
    pub shim: bool,
    /// Environment variables asked for.
    pub getenv: Vec<String>,
    /// Files opened.
    pub opened: Vec<Opened>,
    /// How many calls were seen that the shim can make fail.
    pub calls: u64,
    /// The call that was made to fail.
    pub failed: Option<String>,
}

/// What a process holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Bytes in memory (`/proc/self/statm`).
    pub resident: u64,
    /// Bytes of the heap that are in use (`mallinfo2`).
    pub heap: u64,
}

/// What one repetition cost, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// `pam_start`.
    pub start: u64,
    /// From the first call to its first prompt, or to its end where it asked nothing.
    pub to_prompt: u64,
    /// From the last answer to the end of the first call.
    pub after_answer: u64,
    /// What the process computed from `pam_start` to `pam_end`.
    pub processor: u64,
}

/// What `pam-host` says at the end.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// Per repetition, the calls and their codes.
    pub runs: Vec<Vec<Called>>,
    /// How often all calls were a success.
    #[serde(default)]
    pub successes: u32,
    /// What the process holds after a tenth of the repetitions and after the last one.
    #[serde(default)]
    pub memory: Vec<Memory>,
    /// Whether a file of the module's name is still mapped after the last `pam_end`.
    #[serde(default)]
    pub mapped: bool,
    /// Per repetition, what it cost.
    pub costs: Vec<Cost>,
    /// The most memory that the process ever had after the last `pam_end`, in KiB.
    pub peak_memory: u64,
    /// All messages.
    pub transcript: Vec<Message>,
    /// Scripted answers that no prompt asked for.
    pub unused: usize,
    /// Prompts after the last scripted answer.
    pub unscripted: usize,
    /// The process before the first `pam_start`.
    pub before: Snapshot,
    /// The process after the first `pam_end`.
    pub first: Snapshot,
    /// The process after the last `pam_end`.
    pub after: Snapshot,
    /// The largest number of tasks while a message was shown.
    pub threads_during: usize,
    /// Delays, in microseconds, that failed calls asked for (`pam_fail_delay`); none is slept.
    pub fail_delays: Vec<u32>,
    /// What came to the standard output.
    pub stdout: String,
    /// What came to the standard error.
    pub stderr: String,
    /// What the shim saw.
    pub notes: Notes,
}

/// One line of `pam-host`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A message is shown (`live`); a prompt whose answer is `ask` waits for an [`Answer`] on standard input.
    Message(Message),
    /// The end.
    Report(Box<Report>),
    /// The script could not be played.
    Fault(String),
}

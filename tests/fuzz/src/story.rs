//! An input as a login. Each line that begins with `%` begins a part; what follows, up to the next
//! one, is the part's text. What is not understood is passed over, so that each input is a login.
//!
//! | part | what it is |
//! |---|---|
//! | `%config` | lines of configuration beside those that each login needs |
//! | `%map` | the map file |
//! | `%host KIND` | `key` (sshd after a key), `ssh` (sshd, nothing proven), `sudo`, `su`, `login` |
//! | `%who NAME` | `PAM_USER`: `alice`, `bob` and `root` have accounts |
//! | `%password` | `PAM_AUTHTOK` |
//! | `%shut` | the private files cannot be used |
//! | `%stored` | the file of the token, left by a login before |
//! | `%token STATUS [SECONDS]` … | the next reply to a call of this kind (see [`Kind`]), with its `retry-after` |
//! | `%token TROUBLE` … | no reply, but this trouble (see [`trouble`]) |
//! | `%answer [SECONDS]` | the next answer, after so many seconds |
//! | `%nobody` | the conversation fails |
//! | `%interrupt N` | Ctrl-C at the wait with this number |

use pam_onelogin::api::ApiTrouble;
use std::collections::{BTreeMap, VecDeque};

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `%token`: the access token
    Token,
    /// `%user`: a search for users, or a look at one
    User,
    /// `%devices`
    Devices,
    /// `%activation`: a push, a message, a call
    Activation,
    /// `%verify`: a code is checked, or an approval asked for
    Verify,
    /// `%factors`: what can be enrolled
    Factors,
    /// `%registration`: an enrolment begins
    Registration,
    /// `%enrolment`: its code is checked, or how it stands asked for
    Enrolment,
}

/// The kinds by their words.
pub const KINDS: [(&str, Kind); 8] = [
    ("token", Kind::Token),
    ("user", Kind::User),
    ("devices", Kind::Devices),
    ("activation", Kind::Activation),
    ("verify", Kind::Verify),
    ("factors", Kind::Factors),
    ("registration", Kind::Registration),
    ("enrolment", Kind::Enrolment),
];

/// What a call gets.
#[derive(Clone, Debug)]
pub enum Scripted {
    /// A reply.
    Reply {
        /// Its HTTP status.
        status: u16,
        /// The header `retry-after`.
        retry_after: Option<u64>,
        /// Its body.
        body: Vec<u8>,
    },
    /// None.
    ApiTrouble(ApiTrouble),
}

/// What a prompt gets.
#[derive(Clone, Debug)]
pub enum Answered {
    /// Bytes, typed after so many seconds.
    Typed(Vec<u8>, u64),
    /// Nobody is there.
    Nobody,
}

/// The program that logs somebody in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Host {
    /// sshd, after a key was accepted.
    #[default]
    Key,
    /// sshd; nothing has proven the user.
    Ssh,
    /// sudo on a terminal, as uid 1001.
    Sudo,
    /// su without a terminal, as uid 1001.
    Su,
    /// login on a terminal, as root; nothing has proven the user but perhaps a password.
    Login,
}

/// A login to be played.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// Further lines of configuration.
    pub config: String,
    /// The map file.
    pub map: String,
    /// The program.
    pub host: Host,
    /// `PAM_USER`
    pub who: Option<String>,
    /// `PAM_AUTHTOK`
    pub password: Option<String>,
    /// Whether the private files cannot be used.
    pub shut: bool,
    /// The file of the token.
    pub stored: Option<Vec<u8>>,
    /// The replies, by what they answer.
    pub replies: BTreeMap<Kind, VecDeque<Scripted>>,
    /// The answers.
    pub answers: VecDeque<Answered>,
    /// The wait that Ctrl-C ends.
    pub interrupt: Option<usize>,
}

impl Story {
    /// Reads an input.
    pub fn read(data: &[u8]) -> Self {
        let mut story = Self::default();
        for part in parts(data) {
            story.add(part);
        }
        story
    }

    fn add(&mut self, part: Part<'_>) {
        let text = || String::from_utf8_lossy(part.text).into_owned();
        let head = String::from_utf8_lossy(part.head);
        let mut words = head.split_ascii_whitespace();
        let name = words.next().unwrap_or_default();
        let word = words.next().unwrap_or_default();
        match name {
            "config" => self.config.extend([&*text(), "\n"]),
            "map" => self.map = text(),
            "host" => {
                self.host = match word {
                    "ssh" => Host::Ssh,
                    "sudo" => Host::Sudo,
                    "su" => Host::Su,
                    "login" => Host::Login,
                    _ => Host::Key,
                }
            }
            "who" => self.who = Some(word.to_owned()),
            "password" => self.password = Some(text()),
            "shut" => self.shut = true,
            "stored" => self.stored = Some(part.text.to_vec()),
            "answer" => {
                let seconds = word.parse().unwrap_or(0).min(1000);
                self.answers
                    .push_back(Answered::Typed(part.text.to_vec(), seconds));
            }
            "nobody" => self.answers.push_back(Answered::Nobody),
            "interrupt" => self.interrupt = word.parse().ok(),
            _ => {
                let Some(&(_, kind)) = KINDS.iter().find(|(word, _)| *word == name) else {
                    return;
                };
                let scripted = match trouble(word) {
                    Some(trouble) => Scripted::ApiTrouble(trouble),
                    None => Scripted::Reply {
                        status: word.parse().unwrap_or(200),
                        retry_after: words.next().and_then(|word| word.parse().ok()),
                        body: part.text.to_vec(),
                    },
                };
                self.replies.entry(kind).or_default().push_back(scripted);
            }
        }
    }
}

/// A part of an input: the rest of its first line, and its text.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// After `%`.
    pub head: &'a [u8],
    /// Without the last line end.
    pub text: &'a [u8],
}

/// Cuts an input into its parts.
pub fn parts(data: &[u8]) -> Vec<Part<'_>> {
    let mut starts: Vec<usize> = (0..data.len())
        .filter(|&i| data[i] == b'%' && (i == 0 || data[i - 1] == b'\n'))
        .collect();
    starts.push(data.len());
    let part = |bounds: &[usize]| {
        let whole = &data[bounds[0] + 1..bounds[1]];
        let whole = whole.strip_suffix(b"\n").unwrap_or(whole);
        let end = whole.iter().position(|&b| b == b'\n');
        let (head, text) = whole.split_at(end.unwrap_or(whole.len()));
        Part {
            head,
            text: text.strip_prefix(b"\n").unwrap_or(text),
        }
    };
    starts.windows(2).map(part).collect()
}

/// The kinds of trouble by their words.
pub fn trouble(word: &str) -> Option<ApiTrouble> {
    Some(match word {
        "no-connection" => ApiTrouble::NoConnection,
        "no-such-host" => ApiTrouble::NoSuchHost,
        "timeout" => ApiTrouble::Timeout,
        "broken" => ApiTrouble::Broken,
        "bad-reply" => ApiTrouble::BadReply,
        "tls" => ApiTrouble::Tls,
        "local" => ApiTrouble::Local,
        _ => return None,
    })
}

//! New inputs out of old ones. Bytes are changed as any fuzzer does it; beside that whole parts of
//! stories, replies in all dialects, near-acceptances, ids of others and statuses are put in place
//! of each other, so that few tries reach what blind ones would not.

use crate::factors::{NAMES, WORDS};
use crate::story::{KINDS, parts};

/// Chance that is the same in each run (splitmix64).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `end`; 0 where that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % end).unwrap_or(0)
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// Where chance begins in the tests.
pub const SEED: u64 = 20_261_121;

/// The longest input that is made, in bytes.
pub const LONGEST: usize = 8 << 10;

/// A new input out of those of a corpus.
pub fn mutate(chance: &mut Chance, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut input = if corpus.is_empty() {
        Vec::new()
    } else {
        chance.of(corpus).clone()
    };
    for _ in 0..=chance.below(3) {
        input = edit(chance, input, corpus);
    }
    input.truncate(LONGEST);
    input
}

/// Changes an input in its place, as libFuzzer wants it: by libFuzzer's own means, or by ours. The
/// input fills `size` of `data` and may grow to `room`; its new size comes back.
pub fn within(
    data: &mut [u8],
    size: usize,
    room: usize,
    seed: u32,
    other: impl FnOnce(&mut [u8], usize, usize) -> usize,
) -> usize {
    let mut chance = Chance::new(seed.into());
    if chance.below(2) == 0 {
        return other(data, size, room);
    }
    let input = edit(&mut chance, data[..size].to_vec(), &[]);
    let size = input.len().min(room).min(data.len());
    data[..size].copy_from_slice(&input[..size]);
    size
}

fn edit(chance: &mut Chance, input: Vec<u8>, corpus: &[Vec<u8>]) -> Vec<u8> {
    match chance.below(12) {
        0..=2 => exchange_word(chance, input),
        3..=4 => exchange_reply(chance, &input),
        5 => leave_out_a_pair(chance, input),
        6 => insert_a_pair(chance, input),
        7 => rearrange(chance, &input),
        8 => splice(chance, &input, corpus),
        9 => insert_a_part(chance, &input),
        _ => change_bytes(chance, input),
    }
}

/// Puts one word in the place of another of its family, somewhere.
fn exchange_word(chance: &mut Chance, mut input: Vec<u8>) -> Vec<u8> {
    let mut places = Vec::new();
    for family in FAMILIES {
        for word in family.split('|') {
            for place in places_of(&input, word) {
                places.push((place, word.len(), *family));
            }
        }
    }
    if places.is_empty() {
        return change_bytes(chance, input);
    }
    let &(place, length, family) = chance.of(&places);
    let words: Vec<&str> = family.split('|').collect();
    let word = *chance.of(&words);
    input.splice(place..place + length, word.bytes());
    input
}

fn places_of(input: &[u8], word: &str) -> Vec<usize> {
    let is_here = |&place: &usize| input[place..].starts_with(word.as_bytes());
    (0..input.len()).filter(is_here).collect()
}

/// Gives one part another reply; an input without parts becomes that reply.
fn exchange_reply(chance: &mut Chance, input: &[u8]) -> Vec<u8> {
    let status = *chance.of(STATUSES);
    let body = *chance.of(BODIES);
    let mut all = owned(input);
    if all.is_empty() {
        return format!("{status}\n{body}").into_bytes();
    }
    let place = chance.below(all.len());
    if let Some(word) = reply_word(&all[place].0) {
        all[place] = (
            format!("{word} {status}").into_bytes(),
            body.as_bytes().to_vec(),
        );
    } else {
        let word = if chance.below(3) == 0 {
            chance.of(&KINDS).0
        } else {
            "verify"
        };
        all.insert(
            place,
            (
                format!("{word} {status}").into_bytes(),
                body.as_bytes().to_vec(),
            ),
        );
    }
    joined(&all)
}

fn reply_word(head: &[u8]) -> Option<&'static str> {
    let head = std::str::from_utf8(head).ok()?.split(' ').next()?;
    KINDS
        .iter()
        .map(|(word, _)| *word)
        .find(|word| *word == head)
}

/// Leaves out what stands between two commas or brackets.
fn leave_out_a_pair(chance: &mut Chance, mut input: Vec<u8>) -> Vec<u8> {
    let ends: Vec<usize> = (0..input.len())
        .filter(|&i| b",{}[]".contains(&input[i]))
        .collect();
    if ends.len() < 2 {
        return change_bytes(chance, input);
    }
    let first = chance.below(ends.len() - 1);
    let (start, end) = (ends[first], ends[first + 1]);
    let (start, end) = if input[start] == b',' {
        (start, end)
    } else {
        (start + 1, end + usize::from(input[end] == b','))
    };
    input.drain(start..end.max(start));
    input
}

/// Puts a pair into an object.
fn insert_a_pair(chance: &mut Chance, mut input: Vec<u8>) -> Vec<u8> {
    let places: Vec<usize> = (0..input.len()).filter(|&i| input[i] == b'{').collect();
    if places.is_empty() {
        return change_bytes(chance, input);
    }
    let place = *chance.of(&places) + 1;
    let comma = if input.get(place) == Some(&b'}') {
        ""
    } else {
        ","
    };
    let pair = format!("{}{comma}", chance.of(PAIRS));
    input.splice(place..place, pair.into_bytes());
    input
}

/// Doubles, drops or moves a part.
fn rearrange(chance: &mut Chance, input: &[u8]) -> Vec<u8> {
    let mut all = owned(input);
    if all.is_empty() {
        return change_bytes(chance, input.to_vec());
    }
    let (from, to) = (chance.below(all.len()), chance.below(all.len()));
    match chance.below(3) {
        0 => all.insert(to, all[from].clone()),
        1 => drop(all.remove(from)),
        _ => all.swap(from, to),
    }
    joined(&all)
}

/// Takes the parts up to a point of one input, and those behind a point of another.
fn splice(chance: &mut Chance, input: &[u8], corpus: &[Vec<u8>]) -> Vec<u8> {
    if corpus.is_empty() {
        return input.to_vec();
    }
    let other = owned(chance.of::<Vec<u8>>(corpus));
    let mut all = owned(input);
    if all.is_empty() || other.is_empty() {
        return chance.of(corpus).clone();
    }
    all.truncate(chance.below(all.len() + 1));
    let from = chance.below(other.len());
    all.extend(other[from..].iter().cloned());
    joined(&all)
}

fn insert_a_part(chance: &mut Chance, input: &[u8]) -> Vec<u8> {
    let mut all = owned(input);
    if all.is_empty() {
        let mut input = input.to_vec();
        let place = chance.below(input.len() + 1);
        input.splice(place..place, chance.of(LINES).bytes());
        return input;
    }
    let part = chance.of(PARTS);
    let (head, text) = part.split_once('\n').unwrap_or((part, ""));
    let place = chance.below(all.len() + 1);
    all.insert(place, (head.as_bytes().to_vec(), text.as_bytes().to_vec()));
    joined(&all)
}

fn change_bytes(chance: &mut Chance, mut input: Vec<u8>) -> Vec<u8> {
    let place = chance.below(input.len());
    let byte = *chance.of(BYTES);
    match chance.below(4) {
        0 if !input.is_empty() => drop(input.remove(place)),
        1 if !input.is_empty() => input[place] = byte,
        2 if !input.is_empty() => input[place] ^= 1 << chance.below(8),
        _ => input.insert(place, byte),
    }
    input
}

type OwnedPart = (Vec<u8>, Vec<u8>);

fn owned(input: &[u8]) -> Vec<OwnedPart> {
    parts(input)
        .iter()
        .map(|part| (part.head.to_vec(), part.text.to_vec()))
        .collect()
}

fn joined(parts: &[OwnedPart]) -> Vec<u8> {
    let mut input = Vec::new();
    for (head, text) in parts {
        input.push(b'%');
        input.extend(head);
        input.push(b'\n');
        if !text.is_empty() {
            input.extend(text);
            input.push(b'\n');
        }
    }
    input
}

/// Words of which one may stand where another did, separated by `|`.
const FAMILIES: &[&str] = &[
    "accepted|pending|rejected|Accepted|success|expired|acceptedx|",
    r#"1001|1002|"1001"|10010|0|-1|1001.0|null"#,
    "101|201|301|401|501|601|0",
    "v-1|v-2|V-1|v-1 |",
    "200|201|202|204|302|400|401|403|404|422|429|500|503|504",
    r#"true|false|null|0|1|"false""#,
    "success|Success|pending|error|bad request",
    r#""id"|"user_id"|"device_id"|"data"|"status"|"state_token"|"x""#,
    r#""type"|"code"|"error"|"message"|"name"|"statusCode"|"errors""#,
    NAMES,
    "deny|exempt|enroll",
    "secure|safe",
    "direct|activated",
    "auto|assumed",
    "username|email|userprincipalname|external_id|custom_attributes.login|map",
    "alice|bob|root|Alice|mallory|al*",
    "%host key|%host ssh|%host sudo|%host su|%host login",
    WORDS,
    "123456|12345|1234567|0123456|999999|abcd12|cccccccbcjdifctrndncchkftchjlnbhvhtugdljibej",
];

const STATUSES: &[&str] = &[
    "200", "200", "200", "201", "201", "202", "204", "302", "400", "401", "403", "404", "422",
    "429 1", "500", "503",
];

/// Acceptances, refusals and what is nearly one, for the ids that a healthy OneLogin of
/// [`crate::login`] gives out.
const BODIES: &[&str] = &[
    r#"{"id":"v-1","status":"accepted"}"#,
    r#"{"id":"v-1","device_id":"101","user_id":1001,"status":"accepted"}"#,
    r#"[{"id":"v-1","status":"accepted"}]"#,
    r#"{"status":{"type":"success","code":200,"error":false,"message":"Success"}}"#,
    r#"{"status":{"type":"success","code":200,"error":false,"message":"Success"},"id":"v-1","device_id":"101","user_id":1001}"#,
    r#"{"id":"v-1","status":"pending"}"#,
    r#"{"id":"v-1","status":"rejected"}"#,
    r#"{"status":"accepted"}"#,
    r#"{"id":"v-2","status":"accepted"}"#,
    r#"{"id":"v-1","user_id":1002,"status":"accepted"}"#,
    r#"{"id":"v-1","device_id":"901","status":"accepted"}"#,
    r#"{"id":"v-1","status":"success"}"#,
    r#"{"id":"v-1","status":true}"#,
    r#"{"id":"v-1","status":200}"#,
    r#"{"id":"v-1","status":["accepted"]}"#,
    r#"{"id":"v-1","status":"accepted","status":"rejected"}"#,
    r#"{"id":"v-1","status":"accepted","error":"x"}"#,
    r#"{"id":"v-1","status":"accepted","error":false}"#,
    r#"{"id":"v-1","status":"pending","error":true,"message":"Authentication pending"}"#,
    r#"{"id":"v-1","status":"accepted","data":[{"user_id":1002}]}"#,
    r#"[{"id":"v-1","status":"accepted"},{"id":"v-2","status":"rejected"}]"#,
    r#"[{"status":{"type":"success","code":200,"error":false,"message":"Success"}}]"#,
    r#"{"status":{"code":200,"error":false,"message":"Success"}}"#,
    r#"{"status":{"type":"success","code":200,"error":true,"message":"Success"}}"#,
    r#"{"status":{"type":"success","code":401,"error":false,"message":"Success"}}"#,
    r#"{"status":{"type":"pending","code":200,"error":false,"message":"Success"}}"#,
    r#"{"status":{"type":"success","code":200,"error":false,"message":"Authentication pending on OL Protect"}}"#,
    r#"{"status":{"type":"success","code":200,"error":false,"message":"MFA is required for this user"},"data":[{"state_token":"v-1"}]}"#,
    r#"{"status":["success",200,false,"Success"]}"#,
    r#"["accepted"]"#,
    r#"[["accepted","v-1"]]"#,
    r#""accepted""#,
    "accepted",
    "OK",
    "[]",
    "{}",
    "null",
    "",
    r#"{"status":{"error":true,"code":401,"type":"Unauthorized","message":"Authentication pending on OL Protect"}}"#,
    r#"{"status":{"error":true,"code":401,"type":"Unauthorized","message":"Failed authentication with this factor"}}"#,
    r#"{"statusCode":401,"name":"InvalidCredentials","message":"123456"}"#,
    r#"[{"id":1001,"username":"alice","state":1,"status":1}]"#,
    r#"[{"id":1002,"username":"alice2","state":1,"status":1}]"#,
    r#"[{"id":1001,"username":"alice","state":1,"status":2}]"#,
    r#"[{"id":1001,"username":"alice","state":1,"status":1},{"id":1002,"username":"alice","state":1,"status":1}]"#,
    r#"{"id":1001,"username":"alice","state":1,"status":1,"custom_attributes":{"login":"alice"}}"#,
    r#"[{"device_id":"101","auth_factor_name":"Google Authenticator","user_display_name":"App","default":true}]"#,
    r#"[{"device_id":101,"auth_factor_name":"OneLogin Protect","user_display_name":"Phone"},{"device_id":"201","auth_factor_name":"OneLogin SMS"}]"#,
    r#"[{"device_id":"cabc","auth_factor_name":"YubiKey"}]"#,
    r#"[{"device_id":"9","auth_factor_name":"WebAuthn"}]"#,
    "[null]",
    r#"[null,{"device_id":null,"auth_factor_name":"SMS"},{"device_id":"101","auth_factor_name":"Google Authenticator","default":"yes"}]"#,
    r#"{"status":{"error":false,"code":200,"type":"success","message":"Success"},"data":{"otp_devices":[null,{"id":101,"auth_factor_name":"Google Authenticator","default":1}]}}"#,
    r#"[{"id":1001,"username":"alice","email":7,"custom_attributes":[],"state":1,"status":1},null]"#,
    r#"{"status":{"error":false,"code":200,"type":"success","message":"Success"},"data":{"otp_devices":[{"id":101,"auth_factor_name":"OneLogin Protect","needs_trigger":true}]}}"#,
    r#"{"status":{"error":false,"code":200,"type":"success","message":"Success"},"data":{"otp_devices":[]}}"#,
    r#"{"status":{"error":false,"code":200,"type":"success","message":"Success"},"data":[{"id":1001,"device_id":101,"state_token":"v-1"}]}"#,
    r#"{"id":"v-1","user_id":"1001","device_id":"101"}"#,
    r#"[{"id":"v-2","user_id":1002,"device_id":101}]"#,
    r#"{"access_token":"abc","created_at":"2100-01-01T00:00:00Z","expires_in":36000}"#,
    r#"{"data":{"access_token":"abc","created_at":4102444800,"expires_in":"36000"}}"#,
    r#"{"status":{"error":true,"code":401,"type":"Unauthorized","message":"Authentication Failure"}}"#,
    r#"[{"factor_id":1,"name":"Authenticator","auth_factor_name":"Google Authenticator"}]"#,
    r#"{"id":"r-1","factor_data":{"totp_url":"otpauth://totp/x?secret=GEZDGNBV","verification_token":"4711"}}"#,
    r#"{"id":"r-1","factor_data":[]}"#,
    r#"{"id":"r-1","status":"accepted"}"#,
];

const PAIRS: &[&str] = &[
    r#""id":"v-1""#,
    r#""id":"v-2""#,
    r#""id":null"#,
    r#""id":{}"#,
    r#""user_id":1001"#,
    r#""user_id":"1002""#,
    r#""device_id":"101""#,
    r#""device_id":901"#,
    r#""status":"accepted""#,
    r#""status":"pending""#,
    r#""error":false"#,
    r#""error":null"#,
    r#""data":null"#,
    r#""data":{}"#,
    r#""code":200"#,
    r#""message":"Success""#,
    r#""type":"success""#,
    r#""x":[{"status":"accepted"}]"#,
    r#""x":1e999"#,
    r#""default":true"#,
    r#""active":false"#,
    r#""default":"true""#,
    r#""needs_trigger":1"#,
    r#""auth_factor_name":null"#,
    r#""device_id":null"#,
    r#""factor_data":[]"#,
    r#""expires_in":"36000""#,
    r#""created_at":4102444800"#,
    r#""state":"1""#,
];

const PARTS: &[&str] = &[
    "answer\n123456",
    "answer\n1",
    "answer\n2",
    "answer\n3",
    "answer",
    "answer 60\n123456",
    "answer\nabcd12",
    "answer\ncccccccbcjdifctrndncchkftchjlnbhvhtugdljibej",
    "nobody",
    "interrupt 2",
    "shut",
    "host ssh",
    "host sudo",
    "host su",
    "host login",
    "password\nhunter2",
    "who root",
    "who bob",
    "who mallory",
    "config\nonelogin.api_version = 1",
    "config\nonelogin.verify = \"activated\"",
    "config\nfactors.autopush = true",
    "config\nfactors.prompts = 1",
    "config\nusers.no_factor = \"enroll\"",
    "config\nusers.no_factor = \"exempt\"",
    "config\nusers.unknown = \"exempt\"",
    "config\nfailmode = \"safe\"\nfailmode_from = [\"192.0.2.0/24\"]",
    "config\nfactors.allow = [\"totp\", \"temporary\"]",
    "config\nfactors.magic_link = [\"OneLogin Email\"]",
    "config\nusers.exempt_users = [\"bob\"]",
    "config\nusers.exempt_groups = [\"staff\"]",
    "config\nusers.exempt = [{ user = \"bob\", until = \"2027-01-15\", reason = \"r\" }]",
    "config\nusers.exempt = [{ user = \"bob\", until = \"2027-01-14\", reason = \"r\" }]",
    "config\nusers.exempt = [{ group = \"staff\", until = \"2028-02-29\", reason = \"r\" }]",
    "config\nusers.match = \"custom_attributes.login\"",
    "config\nusers.match = \"userprincipalname\"",
    "config\nusers.map_file = \"/map\"",
    "config\nusers.groups = [\"ops\"]",
    "config\nusers.groups = [\"*,!staff\"]",
    "config\nlimits.challenges = 1",
    "config\nlimits.failures = 1",
    "config\nusers.ignore_case = true",
    "map\nalice id=1002",
    "map\nalice bob",
    "verify no-connection",
    "verify broken",
    "token no-connection",
    "user timeout",
    "stored\n{\"token\":\"kept\",\"expires\":4102444800}",
];

/// Pieces of inputs that are no stories.
const LINES: &[&str] = &[
    "failmode = \"safe\"\nfailmode_from = [\"192.0.2.0/24\"]\n",
    "first_factor = \"assumed\"\n",
    "[users]\n",
    "[factors]\n",
    "[onelogin.lookup]\n",
    "[push]\nwait = 60\n",
    "allow = [\"push\"]\n",
    "match = \"map\"\n",
    "exempt_users = [\"root\"]\n",
    "[observe]\nuntil = \"2027-01-31\"\n",
    "exempt = [{ group = \"a\", until = \"2028-02-29\", reason = \"b\" }]\n",
    "alice id=12\n",
    "bob bob@example.com # note\n",
    "\u{feff}",
    "123456",
    " ",
];

const BYTES: &[u8] = b"\0\t\n\r !\"#%'*,-./0123456789:=@AZ[\\]_az{}\x7f\x80\xc3\xff";

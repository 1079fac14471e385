//! Offline codes (rule R20): the form of a code, the file that stands for one, and how one is used up. A code lets in a user
//! with a first factor while OneLogin gives no answer. Pure. The only place that can make an [`OfflineCode`].

use crate::digest::name_with;
use crate::secret::Secret;
use crate::user::Subject;
use std::io;

/// How many random bytes a code has: 80 bits, so that its digest may be a plain SHA-256.
pub const BYTES: usize = 10;

/// How many characters a code has, without the hyphens.
const LENGTH: usize = 16;

/// Crockford's base 32: no I, L, O and U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The first line of the file of a code.
const HEAD: &str = "pam_onelogin offline code 1";

/// A code as it is compared: 16 characters of Crockford's base 32.
pub struct Code(Secret);

impl Code {
    /// The code that these random bytes make.
    #[must_use]
    pub fn of(bytes: &[u8; BYTES]) -> Self {
        let mut text = String::with_capacity(LENGTH);
        let (mut bits, mut count) = (0_u32, 0);
        for byte in bytes {
            bits = bits << 8 | u32::from(*byte);
            count += 8;
            while count >= 5 {
                count -= 5;
                let digit = usize::try_from(bits >> count & 31).unwrap_or_default();
                text.extend(ALPHABET.get(digit).map(|&c| char::from(c)));
            }
        }
        Self(Secret::new(text))
    }

    /// Reads what was typed: hyphens and blanks are left out, upper and lower case are the same, O is 0, I and L are 1.
    #[must_use]
    pub fn typed(answer: &Secret) -> Option<Self> {
        let is_other = |c: char| c != '-' && !c.is_whitespace() && !c.is_ascii_alphanumeric();
        if !answer.all(|c| !is_other(c)) {
            return None;
        }
        let code = answer.replaced(|c| match c.to_ascii_uppercase() {
            'O' => Some('0'),
            'I' | 'L' => Some('1'),
            '-' => None,
            c => (!c.is_whitespace()).then_some(c),
        });
        let is_digit = |c: char| ALPHABET.iter().any(|&digit| char::from(digit) == c);
        (code.len() == LENGTH && code.all(is_digit)).then_some(Self(code))
    }

    /// The text, for the person whose it is.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.0
    }
}

/// Whose a code is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder<'a> {
    /// The Unix name.
    pub name: &'a str,
    /// Its uid.
    pub uid: u32,
}

impl<'a> From<&'a Subject> for Holder<'a> {
    fn from(subject: &'a Subject) -> Self {
        Self {
            name: &subject.name,
            uid: subject.uid,
        }
    }
}

/// The file of one code. The code itself is not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The Unix name of the user.
    pub user: String,
    /// Its uid.
    pub uid: u32,
    /// When it was issued, in seconds since 1970.
    pub issued: u64,
    /// From when on it no longer counts, in seconds since 1970.
    pub end: u64,
    /// The administrator who issued it.
    pub by: String,
    /// What names this file, its folder and this machine: a copy of the file is another one.
    place: String,
    digest: String,
}

impl Record {
    /// The file for a code. `place` names the file.
    #[must_use]
    pub fn new(
        holder: Holder<'_>,
        [issued, end]: [u64; 2],
        by: &str,
        place: String,
        code: &Code,
    ) -> Self {
        let mut record = Self {
            user: holder.name.to_owned(),
            uid: holder.uid,
            issued,
            end,
            by: by.to_owned(),
            place,
            digest: String::new(),
        };
        record.digest = record.digest_with(code);
        record
    }

    /// Reads a file. `None` if it is not as it was written.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(bytes).ok()?.lines();
        if lines.next() != Some(HEAD) {
            return None;
        }
        let mut value = |key: &str| lines.next()?.strip_prefix(key)?.strip_prefix('=');
        let record = Self {
            user: value("user")?.to_owned(),
            uid: value("uid")?.parse().ok()?,
            issued: value("issued")?.parse().ok()?,
            end: value("end")?.parse().ok()?,
            by: value("by")?.to_owned(),
            place: value("place")?.to_owned(),
            digest: value("digest")?.to_owned(),
        };
        // One way to write a record: nothing more, and no number in another form.
        (record.text().as_bytes() == bytes).then_some(record)
    }

    /// What stands in the file.
    #[must_use]
    pub fn text(&self) -> String {
        let Self {
            user,
            uid,
            issued,
            end,
            by,
            place,
            digest,
        } = self;
        format!(
            "{HEAD}\nuser={user}\nuid={uid}\nissued={issued}\nend={end}\nby={by}\nplace={place}\ndigest={digest}\n"
        )
    }

    /// Whether this file is the one that was written, and still where it was: not a copy, and not restored.
    #[must_use]
    pub fn is_at(&self, place: &str) -> bool {
        self.place == place
    }

    /// Whether the code counts at this time. A clock that stands before the issue is wrong, so the code does not count.
    #[must_use]
    pub fn is_valid(&self, now: u64) -> bool {
        (self.issued..self.end).contains(&now)
    }

    /// Whether the file is for a code of this user.
    #[must_use]
    pub fn belongs_to(&self, holder: Holder<'_>) -> bool {
        self.user == holder.name && self.uid == holder.uid
    }

    fn digest_with(&self, code: &Code) -> String {
        let [uid, issued, end] =
            [self.uid.into(), self.issued, self.end].map(|n: u64| n.to_string());
        let parts = [HEAD, &self.user, &uid, &issued, &end, &self.by, &self.place];
        name_with(&parts, &code.0)
    }
}

/// The codes of one user on this host.
pub trait CodeStore {
    /// Those that count now, each with the name of its file.
    fn usable(&self) -> Vec<(String, Record)>;
    /// Removes a code for good: when this returns, no crash of the machine brings it back. `false`: it was not there, so
    /// another login has used it.
    ///
    /// # Errors
    /// Why it is there still, or may come back.
    fn remove(&self, file: &str) -> io::Result<bool>;
    /// Removes all codes of the user, as far as possible, and says how many.
    fn remove_all(&self) -> usize;
}

/// An offline code was right, and is used up. One of the proofs that let a user in (rule R1).
#[derive(Debug)]
pub struct OfflineCode(());

/// A code that was used up.
#[derive(Debug)]
pub struct Used {
    /// The proof.
    pub proof: OfflineCode,
    /// How many the user still has.
    pub left: usize,
    /// Who issued it.
    pub by: String,
}

/// Why a code does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotUsed {
    /// The user has no such code, or another login has just used it.
    Wrong,
    /// It is one, and could not be removed.
    NotRemoved,
}

/// Uses a code up. It counts only after it was removed: of several logins that use the same code at once, one gets in, and a
/// process that is killed at any moment leaves no code that works twice.
///
/// # Errors
/// [`NotUsed`] when it does not count.
pub fn use_up(store: &dyn CodeStore, code: &Code) -> Result<Used, NotUsed> {
    let usable = store.usable();
    let is_it = |(_, record): &&(String, Record)| record.digest == record.digest_with(code);
    let (file, record) = usable.iter().find(is_it).ok_or(NotUsed::Wrong)?;
    match store.remove(file) {
        Ok(true) => Ok(Used {
            proof: OfflineCode(()),
            left: usable.len() - 1,
            by: record.by.clone(),
        }),
        Ok(false) => Err(NotUsed::Wrong),
        Err(_) => Err(NotUsed::NotRemoved),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::cell::RefCell;

    const ALICE: Holder<'_> = Holder {
        name: "alice",
        uid: 1000,
    };

    /// A code that was used up.
    pub(crate) fn used() -> Used {
        Used {
            proof: OfflineCode(()),
            left: 0,
            by: String::new(),
        }
    }

    fn code(number: u8) -> Code {
        Code::of(&[number; BYTES])
    }

    fn record(code: &Code) -> Record {
        Record::new(ALICE, [100, 200], "root", "here".to_owned(), code)
    }

    fn typed(text: &str) -> Option<Code> {
        Code::typed(&Secret::new(text.to_owned()))
    }

    fn same(one: &Code, other: &Code) -> bool {
        one.0.same_as(&other.0)
    }

    #[test]
    fn a_code_has_sixteen_characters_and_each_bit_of_its_bytes() {
        let codes = [
            [0; BYTES],
            [255; BYTES],
            *b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09",
        ];
        let texts = codes.map(|bytes| Code::of(&bytes).0.expose().to_owned());
        assert_eq!(texts[0], "0".repeat(16));
        assert_eq!(texts[1], "Z".repeat(16));
        assert_eq!(texts[2], "000G40R40M30E209");
    }

    #[test]
    fn a_code_is_read_in_each_way_to_type_it() {
        let code = Code::of(b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09");
        for text in [
            "000G40R40M30E209",
            "000g-40r4-0m30-e209",
            " OoOG 40R4 0M3o E2O9 ",
        ] {
            assert!(typed(text).is_some_and(|read| same(&read, &code)), "{text}");
        }
        let ones = Code::of(&[8, 66, 16, 132, 33, 8, 66, 16, 132, 33]);
        assert!(typed("1111 iiii LLLL 1Il1").is_some_and(|read| same(&read, &ones)));
    }

    #[test]
    fn other_texts_are_no_code() {
        for text in [
            "",
            "123456",
            "000G40R40M30E20",
            "000G40R40M30E2099",
            "000G40R40M30E20U",
            "000G40R40M30E20\u{e9}",
            "000G_40R4_0M30_E209",
        ] {
            assert!(typed(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_record_is_read_as_it_is_written_and_in_no_other_form() {
        let record = record(&code(1));
        let text = record.text();
        assert_eq!(Record::parse(text.as_bytes()), Some(record));
        assert!(!text.contains(code(1).0.expose()));
        for (what, by) in [
            ("code 1", "code 2"),
            ("uid=1000", "uid=01000"),
            ("uid=1000", "uid=+1000"),
            ("uid=1000", "uid=-1"),
            ("end=200", "end=x"),
            ("issued=100\n", ""),
            ("digest=", "digests="),
            ("user=alice", "user=alice\nuser=alice"),
        ] {
            let text = text.replace(what, by);
            assert_eq!(Record::parse(text.as_bytes()), None, "{text}");
        }
        for end in ["", "\nx\n", "\n\n"] {
            let text = format!("{}{end}", text.trim_end());
            assert_eq!(Record::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(Record::parse(b"\xff\n"), None);
    }

    #[test]
    fn r20_a_record_counts_from_its_issue_to_its_end() {
        let record = record(&code(1));
        for (now, is_valid) in [(99, false), (100, true), (199, true), (200, false)] {
            assert_eq!(record.is_valid(now), is_valid, "{now}");
        }
    }

    #[test]
    fn r20_whatever_is_changed_in_a_record_its_code_is_none() {
        let text = record(&code(1)).text();
        let is_of = |text: &str| {
            let record = Record::parse(text.as_bytes()).unwrap();
            record.digest == record.digest_with(&code(1))
        };
        assert!(is_of(&text));
        for (what, by) in [
            ("alice", "bob"),
            ("=1000", "=0"),
            ("issued=100", "issued=99"),
            ("end=200", "end=900"),
            ("by=root", "by=dave"),
            ("place=here", "place=there"),
        ] {
            assert!(!is_of(&text.replace(what, by)), "{what}");
        }
    }

    struct Codes {
        records: Vec<(String, Record)>,
        removed: RefCell<Vec<String>>,
        result: fn() -> io::Result<bool>,
    }

    impl CodeStore for Codes {
        fn usable(&self) -> Vec<(String, Record)> {
            self.records.clone()
        }
        fn remove(&self, file: &str) -> io::Result<bool> {
            self.removed.borrow_mut().push(file.to_owned());
            (self.result)()
        }
        fn remove_all(&self) -> usize {
            0
        }
    }

    #[test]
    fn r20_a_code_counts_only_if_it_was_removed_by_this_login() {
        let store = |result| Codes {
            records: vec![
                ("one".to_owned(), record(&code(1))),
                ("two".to_owned(), record(&code(2))),
            ],
            removed: RefCell::default(),
            result,
        };
        let mut codes = store(|| Ok(true));
        let used = use_up(&codes, &code(2)).unwrap();
        assert_eq!((used.left, used.by.as_str()), (1, "root"));
        assert_eq!(codes.removed.take(), ["two"]);
        assert_eq!(use_up(&codes, &code(3)).unwrap_err(), NotUsed::Wrong);
        assert!(codes.removed.take().is_empty());
        codes = store(|| Ok(false));
        assert_eq!(use_up(&codes, &code(1)).unwrap_err(), NotUsed::Wrong);
        codes = store(|| Err(io::ErrorKind::Other.into()));
        assert_eq!(use_up(&codes, &code(1)).unwrap_err(), NotUsed::NotRemoved);
    }
}

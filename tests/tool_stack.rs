//! The tool's reading of stacks is libpam's: what it says of some thousand random ones is what the real libpam answers.

use pam_host::ffi::{Transaction, c_path};
use pam_host::place::helper;
use pam_host::{Call, Place};
use pam_onelogin_tool::pam_stack::{
    ABORT, Code, Entry, INCOMPLETE, Jumps, Kind, MODULE_UNKNOWN, Model, NAMES, PERM_DENIED, Stack,
    authenticate, explore, read, set_credentials,
};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

/// How many stacks are tried where `STACKS` in the environment says nothing else.
const STACKS: u64 = 4000;

/// The files of a place: the service, the one for all others, and those that are included.
const FILES: [(&str, usize); 5] = [("x", 0), ("other", 0), ("one", 1), ("two", 2), ("three", 3)];

#[test]
fn random_stacks_come_to_what_the_real_libpam_answers() {
    let mut answers = [0_u32; 32];
    let mut aborted = 0;
    let place = Place::with_module(Path::new("/none"));
    let stacks = std::env::var("STACKS").map_or(STACKS, |stacks| stacks.parse().unwrap());
    for seed in 1..=stacks {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        for (name, depth) in FILES {
            // Without a file of its own a service is what "other" is.
            let _ = std::fs::remove_file(place.confdir().join(name));
            if name != "x" || !dice.once_in(20) {
                renew(&place, name, &file(&mut dice, &place, depth));
            }
        }
        let service = service(&place, "X");
        let expected = answers_of(&service);
        let real = real_answers(&place);
        assert!(
            expected == real,
            "seed {seed}: {expected:?}, and libpam {real:?}\n{}",
            show(&place)
        );
        if let Some(count) = answers.get_mut(usize::from(expected.0)) {
            *count += 1;
        }
        aborted += u32::from(service.unreadable.is_some());
    }
    // The dice show what they are to show.
    assert!(answers[0] > 200 && answers[6] > 300, "{answers:?}");
    assert!(answers[25] > 5 && answers[31] > 5, "{answers:?}");
    assert!(aborted > 20, "{aborted}");
}

/// Every way that there is, against each choice of answers tried one by one.
#[test]
fn each_way_through_a_stack_is_found() {
    const CODES: [Code; 3] = [0, 7, 25];
    let place = Place::with_module(Path::new("/none"));
    let mut seen = 0;
    for seed in 1..=600_u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        for (name, depth) in FILES {
            place.write(
                Path::new("pam.d").join(name),
                file(&mut dice, &place, depth),
            );
        }
        let service = service(&place, "x");
        let chain = service.chain(Kind::Auth);
        if service.unreadable.is_some() || !(2..=7).contains(&chain.len()) {
            continue;
        }
        seen += 1;
        let ours = dice.below(chain.len());
        let mut found = BTreeSet::new();
        let model = Model {
            is_ours: &|index| index == ours,
            is_factor: &|index| index != ours,
            returns: &|_| &CODES,
        };
        let is_whole = explore(chain, &model, |answer, way| {
            found.insert((answer, way.answered, way.asked_first, way.proven));
        });
        assert!(is_whole);
        let mut tried = BTreeSet::new();
        for choice in 0..CODES.len().pow(u32::try_from(chain.len()).unwrap()) {
            let code = |index: usize| {
                let digit = choice / CODES.len().pow(u32::try_from(index).unwrap());
                CODES[digit % CODES.len()]
            };
            let (answer, reached) = authenticate(chain, code);
            let others = |end: usize, wanted: Code| {
                let mut lines = reached.iter().enumerate().take(end);
                lines.any(|(index, code)| index != ours && *code == Some(wanted))
            };
            let answered = reached[ours];
            // A line that libpam cannot use says no, with PERM_DENIED.
            let is_first = !others(ours, 0) && !others(ours, 7) && !others(ours, PERM_DENIED);
            let asked_first = answered.is_some() && is_first;
            tried.insert((answer, answered, asked_first, others(chain.len(), 0)));
        }
        assert_eq!(found, tried, "seed {seed}, line {ours}: {}", show(&place));
    }
    assert!(seen > 200, "{seen}");
}

/// Writes a file that is a new one: some file systems wait for the disk where one is written over.
fn renew(place: &Place, name: &str, text: &str) {
    let path = place.confdir().join(name);
    let _ = std::fs::remove_file(&path);
    std::fs::write(path, text).unwrap();
}

/// What the stack comes to: authenticate, setcred after it, and setcred alone.
type Answers = (Code, Option<Code>, Code);

/// By the tool's reading.
fn answers_of(service: &Stack) -> Answers {
    if service.unreadable.is_some() {
        return (ABORT, Some(ABORT), ABORT);
    }
    let chain = service.chain(Kind::Auth);
    let returned = |index: usize, key: &str| returned(&chain[index], key);
    let jumps = if Path::new("/etc/debian_version").exists() {
        Jumps::AreIgnored
    } else {
        Jumps::Count
    };
    let (answer, reached) = authenticate(chain, |index| returned(index, "auth="));
    let after = set_credentials(chain, &reached, jumps, |index| returned(index, "cred="));
    let alone = set_credentials(chain, &[], jumps, |index| returned(index, "cred="));
    (answer, (answer != INCOMPLETE).then_some(after), alone)
}

/// What a line of ours returns.
fn returned(entry: &Entry, key: &str) -> Code {
    if !entry.is("pam_host_helper") {
        return MODULE_UNKNOWN;
    }
    let value = entry
        .arguments()
        .iter()
        .find_map(|word| word.strip_prefix(key));
    value.map_or(25, |value| value.parse().unwrap())
}

/// By libpam.
fn real_answers(place: &Place) -> Answers {
    let folder = c_path(&place.confdir()).unwrap();
    let start = || Transaction::start(&folder, c"X", Some(c"nobody"), None);
    let code = |code: pam_host::Code| Code::try_from(code.0).unwrap();
    let mut transaction = match start() {
        Ok(transaction) => transaction,
        Err(fault) => return (code(fault), Some(code(fault)), code(fault)),
    };
    let answer = code(transaction.call(Call::Authenticate, true));
    let after = (answer != INCOMPLETE).then(|| code(transaction.call(Call::Setcred, true)));
    let _ = transaction.end(pam_host::Code::SUCCESS);
    let mut transaction = start().unwrap();
    let alone = code(transaction.call(Call::Setcred, true));
    let _ = transaction.end(pam_host::Code::SUCCESS);
    (answer, after, alone)
}

/// By the tool, in a folder of its own.
fn service(place: &Place, name: &str) -> Stack {
    read(name, &|path| {
        let path = match path.strip_prefix("/etc/pam.d") {
            Ok(name) => place.confdir().join(name),
            Err(_) => path.to_owned(),
        };
        std::fs::read_to_string(path).ok()
    })
}

fn show(place: &Place) -> String {
    let mut all = String::new();
    for (name, _) in FILES {
        let text = std::fs::read_to_string(place.confdir().join(name));
        let _ = writeln!(all, "== {name}\n{}", text.unwrap_or_default());
    }
    all
}

/// A file with some lines; it may include those that are deeper.
fn file(dice: &mut Dice, place: &Place, depth: usize) -> String {
    let mut text = String::new();
    for _ in 0..dice.below(7) {
        line(dice, place, depth, &mut text);
    }
    if depth < 2 && dice.once_in(60) {
        // A line that goes on at the end of the file.
        text.push_str("auth required \\\n");
    }
    text
}

fn line(dice: &mut Dice, place: &Place, depth: usize, text: &mut String) {
    let blank = *dice.one_of(&[" ", "\t", "  ", " \\\n ", " \t\\ \n\t"]);
    let kind = match dice.below(24) {
        0 => "account",
        1 => "-auth",
        2 => "AUTH",
        3 => "session",
        _ => "auth",
    };
    let inner = ["one", "two", "three"].get(depth..).unwrap_or_default();
    let include = match dice.below(14) {
        0 | 1 => Some(format!("{kind}{blank}include")),
        2 | 3 => Some(format!("{kind}{blank}SubStack")),
        4 if Path::new("/etc/debian_version").exists() => Some("@include".to_owned()),
        _ => None,
    };
    if let (Some(include), false) = (include, inner.is_empty()) {
        // What Debian's libpam makes of an `@include` that fails in a file that is included, is left to chance: its
        // control is not set.
        let is_defined = depth == 0 || !include.starts_with('@');
        let name = if is_defined && dice.once_in(40) {
            "/none/such".to_owned()
        } else {
            format!("{}/{}", place.confdir().display(), dice.one_of(inner))
        };
        let _ = writeln!(text, "{include} {name}");
        return;
    }
    match dice.below(80) {
        0 => return text.push_str("# auth sufficient x\n"),
        1 => return text.push_str(" \t\n"),
        2 => return text.push_str("aut required x\n"),
        3 => return text.push_str("auth\n"),
        4 => return text.push_str("auth required\n"),
        5 => return text.push_str("auth required\r\n"),
        // Included, libpam 1.5 crashes on it.
        6 if depth == 0 => return text.push_str("auth required /none/\n"),
        _ => {}
    }
    let control = control(dice);
    let auth = code(dice);
    let cred = code(dice);
    let module = if dice.once_in(30) {
        Path::new("/none/such.so")
    } else {
        helper()
    };
    let _ = writeln!(
        text,
        "{kind}{blank}{control}{blank}{} auth={auth} [cred={cred}]# x",
        module.display()
    );
}

/// What a module returns: mostly what decides something.
fn code(dice: &mut Dice) -> Code {
    match dice.below(10) {
        0..=4 => 0,
        5 | 6 => 7,
        7 => 25,
        _ => Code::try_from(dice.below(34)).unwrap(),
    }
}

fn control(dice: &mut Dice) -> String {
    let plain = [
        "required",
        "requisite",
        "optional",
        "Sufficient",
        "REQUIRED",
        "[default=die]",
        "[success=1 default=ignore]",
        "[success=2 default=bad]",
        "[default=reset]",
    ];
    if dice.below(3) == 0 {
        return (*dice.one_of(&plain)).to_owned();
    }
    let mut text = "[".to_owned();
    let usual = ["success", "auth_err", "ignore", "default"];
    for _ in 0..dice.below(5) {
        let code = if dice.once_in(3) {
            *dice.one_of(&NAMES)
        } else {
            *dice.one_of(&usual)
        };
        let action = match dice.below(12) {
            0 | 1 => dice.below(4).to_string(),
            2 => (*dice.one_of(&["1", "1", "1", "5", "65534", "01"])).to_owned(),
            _ => (*dice.one_of(&["ok", "done", "bad", "die", "reset", "ignore"])).to_owned(),
        };
        let between = *dice.one_of(&["=", " = ", "=", "= "]);
        let after = *dice.one_of(&[" ", "", "  "]);
        let _ = write!(text, "{code}{between}{action}{after}");
    }
    text.push(']');
    if dice.once_in(40) {
        text.replace('=', ":")
    } else {
        text
    }
}

/// The same throws for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

#[test]
fn a_service_without_lines_of_a_kind_has_those_of_other() {
    let place = Place::with_module(Path::new("/none"));
    place.service("x", &["account required a.so"]);
    place.service("other", &["auth required b.so", "account required c.so"]);
    let service = service(&place, "x");
    assert!(service.falls_back(Kind::Auth) && !service.falls_back(Kind::Account));
    assert_eq!(service.chain(Kind::Auth)[0].module(), Some("b.so"));
    assert_eq!(service.chain(Kind::Account)[0].module(), Some("a.so"));
    let (answer, _) = authenticate(service.chain(Kind::Session), |_| 0);
    assert_eq!(answer, PERM_DENIED);
}

#[test]
fn pam_conf_counts_where_there_is_no_folder_and_no_file_is_included_for_ever() {
    let conf = "SSHD auth required a.so\nother auth required b.so\nsshd auth include /loop\n";
    let loops = "auth include /loop\n";
    let files = |path: &Path| match path.to_str() {
        Some("/etc/pam.conf") => Some(conf.to_owned()),
        Some("/loop") => Some(loops.to_owned()),
        _ => None,
    };
    let service = read("sshd", &files);
    let chain = service.chain(Kind::Auth);
    assert_eq!(chain[0].module(), Some("a.so"));
    assert_eq!(chain.len(), 2);
    assert_eq!(authenticate(chain, |_| 0).0, PERM_DENIED);
    assert_eq!(read("su", &files).chain(Kind::Auth)[0].line, 2);
}

//! What is remembered, in a real folder.

use super::*;
use crate::factor::Factor;
use crate::secret::Secret;
use crate::state::State;
use crate::trust::Trusted;
use crate::user::Uids;
use std::cell::Cell;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

const LIMITS: Limits = Limits {
    challenges: 3,
    failures: 4,
    window: Duration::from_secs(600),
};

const PHONE: Kind = Kind {
    word: "pending",
    life: 120,
};

/// A folder for the state, which is removed in the end.
struct Room {
    dir: tempfile::TempDir,
    state: State,
}

impl Room {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = open(dir.path());
        Self { dir, state }
    }

    /// Another login, in an action of its own.
    fn ledger<'a>(&'a self, user: &'a str) -> Ledger<'a> {
        self.in_action(user, "1.2.3.4 5 6.7.8.9 22")
    }

    fn in_action<'a>(&'a self, user: &'a str, connection: &str) -> Ledger<'a> {
        let action = Action::Connection(connection.to_owned());
        self.of(user, &action)
    }

    fn of<'a>(&'a self, user: &'a str, action: &Action) -> Ledger<'a> {
        let notes = Notes::new(&self.state, now);
        let account = (user, Some(1000));
        Ledger::of(notes, action, account, &LIMITS, Strictness::Strict)
    }

    /// The paths of all files.
    fn files(&self) -> Vec<String> {
        let folders = self.state.names("");
        let files = folders.flat_map(|folder| {
            let names: Vec<String> = self.state.names(&folder).collect();
            names
                .into_iter()
                .map(move |name| format!("{folder}/{name}"))
        });
        files.collect()
    }
}

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(1_000_000) };
}

#[allow(clippy::unnecessary_wraps)] // as the clock has it
fn now() -> Option<i64> {
    Some(NOW.get())
}

/// Lets this many seconds pass.
fn pass(seconds: i64) {
    NOW.set(NOW.get() + seconds);
}

fn open(path: &Path) -> State {
    let uid = nix::unistd::getuid().as_raw();
    let trusted = Trusted::of(Uids {
        real: uid,
        effective: uid,
        saved: uid,
    });
    State::open(&path.join("state"), trusted)
}

fn alice() -> UserId {
    UserId::parse("1001").unwrap()
}

fn code(text: &str) -> Code {
    Factor::Totp.code(&Secret::new(text.to_owned())).unwrap()
}

#[test]
fn r14_a_denial_is_remembered_for_its_action_and_user_only() {
    let room = Room::new();
    let connection = "1.2.3.4 5 6.7.8.9 22";
    assert!(!room.ledger("alice").is_denied());
    room.ledger("alice").deny().unwrap();
    assert!(room.ledger("alice").is_denied());
    assert!(!room.ledger("bob").is_denied());
    assert!(!room.in_action("alice", "1.2.3.4 6 6.7.8.9 22").is_denied());
    let process = Action::Process(connection.to_owned());
    let process = room.of("alice", &process);
    assert!(!process.is_denied());
    room.ledger("alice").allow();
    assert!(!room.ledger("alice").is_denied());
}

#[test]
fn r14_an_old_denial_is_over_and_a_corrupt_one_holds() {
    let room = Room::new();
    let mut ledger = room.ledger("alice");
    ledger.deny().unwrap();
    pass(599);
    assert!(ledger.is_denied());
    pass(1);
    assert!(!ledger.is_denied());
    ledger.deny().unwrap();
    let path = room.files().pop().unwrap();
    for corrupt in ["garbage", "", "1", "x y", "\u{fffd} \u{fffd}"] {
        room.state.write(&path, corrupt.as_bytes()).unwrap();
        assert!(ledger.is_denied(), "{corrupt:?}");
    }
}

#[test]
fn r14_without_a_clock_every_action_is_a_denied_one() {
    let room = Room::new();
    let notes = Notes::new(&room.state, || None);
    let action = Action::Process("1@2".to_owned());
    let mut ledger = Ledger::of(
        notes,
        &action,
        ("alice", None),
        &LIMITS,
        Strictness::Lenient,
    );
    assert!(ledger.is_denied());
    assert!(ledger.deny().is_err());
}

#[test]
fn r14_challenges_are_counted_up_to_the_limit_and_taken_back_on_acceptance() {
    let room = Room::new();
    let mut first = room.ledger("alice");
    assert_eq!(first.challenge(), Ok(()));
    first.allow();
    assert_eq!(
        room.files(),
        [""; 0],
        "nothing is left of a login that passed"
    );
    for _ in 0..LIMITS.challenges {
        assert!(!room.ledger("alice").is_used_up(Limit::Challenges));
        assert_eq!(room.ledger("alice").challenge(), Ok(()));
    }
    assert!(room.ledger("alice").is_used_up(Limit::Challenges));
    assert_eq!(room.ledger("alice").challenge(), Err(Uncounted::UsedUp));
    assert!(!room.ledger("alice").is_used_up(Limit::Failures));
    assert!(!room.ledger("bob").is_used_up(Limit::Challenges));
    pass(600);
    assert!(!room.ledger("alice").is_used_up(Limit::Challenges));
}

#[test]
fn r14_within_no_window_more_is_counted_than_the_limit() {
    // Whatever the moments, and wherever the spans of time begin.
    for start in [1_000_000, 1_000_199, 1_000_200, 1_000_201, 1_000_599] {
        let room = Room::new();
        NOW.set(start);
        let mut counted = Vec::new();
        for step in [0, 1, 250, 100, 248, 1, 1, 300, 298, 1, 1, 599, 1] {
            pass(step);
            if room.ledger("alice").challenge().is_ok() {
                counted.push(NOW.get());
            }
            let within = counted.iter().filter(|&&at| at > NOW.get() - 600).count();
            assert!(within <= 3, "{counted:?}");
            assert_eq!(
                room.ledger("alice").is_used_up(Limit::Challenges),
                within == 3
            );
        }
        assert!(counted.len() > 6, "{counted:?}");
    }
}

#[test]
fn r14_parallel_logins_cannot_beat_the_count() {
    let room = Room::new();
    let path = room.dir.path();
    let counted: usize = std::thread::scope(|scope| {
        let logins: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    let state = open(path);
                    let notes = Notes::new(&state, now);
                    let action = Action::Process("1@2".to_owned());
                    let account = ("alice", Some(1000));
                    let mut ledger =
                        Ledger::of(notes, &action, account, &LIMITS, Strictness::Strict);
                    usize::from(ledger.challenge().is_ok())
                })
            })
            .collect();
        logins.into_iter().map(|login| login.join().unwrap()).sum()
    });
    assert_eq!(counted, 3);
    assert_eq!(room.files().len(), 3, "no draft is left");
}

#[test]
fn r14_codes_are_counted_before_they_are_sent() {
    let room = Room::new();
    for number in 0..LIMITS.failures {
        let code = code(&format!("00000{number}"));
        let mut ledger = room.ledger("alice");
        assert_eq!(ledger.guess(&alice(), &code), Ok(()));
        ledger.refused(&alice(), &code);
    }
    let mut ledger = room.ledger("alice");
    assert!(ledger.is_used_up(Limit::Failures));
    assert_eq!(
        ledger.guess(&alice(), &code("999999")),
        Err(Unguessed::UsedUp)
    );
    // A code that was not sent is not used.
    assert!(room.files().iter().all(|file| !file.starts_with("used-")));
    pass(600);
    assert_eq!(
        room.ledger("alice").guess(&alice(), &code("999999")),
        Ok(())
    );
}

#[test]
fn r18_a_code_that_was_used_is_refused_for_ten_minutes_and_one_that_was_refused_is_not() {
    let room = Room::new();
    let mut login = room.ledger("alice");
    assert_eq!(login.guess(&alice(), &code("123456")), Ok(()));
    login.allow();
    let again = |room: &Room, id: &str, text: &str| {
        let mut ledger = room.ledger("alice");
        let result = ledger.guess(&UserId::parse(id).unwrap(), &code(text));
        ledger.allow();
        result
    };
    assert_eq!(again(&room, "1001", "123456"), Err(Unguessed::UsedBefore));
    assert_eq!(again(&room, "1002", "123456"), Ok(()));
    pass(599);
    assert_eq!(again(&room, "1001", "123456"), Err(Unguessed::UsedBefore));
    pass(1);
    assert_eq!(again(&room, "1001", "123456"), Ok(()));

    let mut login = room.ledger("alice");
    assert_eq!(login.guess(&alice(), &code("654321")), Ok(()));
    login.refused(&alice(), &code("654321"));
    assert_eq!(login.guess(&alice(), &code("654321")), Ok(()));
}

#[test]
fn r18_of_two_logins_that_send_the_same_code_at_once_one_is_refused() {
    let room = Room::new();
    let (mut first, mut second) = (room.ledger("alice"), room.in_action("alice", "other"));
    assert_eq!(first.guess(&alice(), &code("123456")), Ok(()));
    assert_eq!(
        second.guess(&alice(), &code("123456")),
        Err(Unguessed::UsedBefore)
    );
}

#[test]
fn r14_a_code_that_has_not_left_is_neither_refused_nor_used() {
    let room = Room::new();
    let mut login = room.ledger("alice");
    login.guess(&alice(), &code("111111")).unwrap();
    login.refused(&alice(), &code("111111"));
    login.guess(&alice(), &code("123456")).unwrap();
    login.unsent(&alice(), &code("123456"));
    assert_eq!(room.files().len(), 1, "the refused one");
    assert_eq!(login.guess(&alice(), &code("123456")), Ok(()));
}

#[test]
fn r14_an_acceptance_takes_back_what_its_own_login_counted_and_no_more() {
    let room = Room::new();
    NOW.set(1_000_190);
    let mut thief = room.ledger("alice");
    for wrong in ["000001", "000002"] {
        thief.guess(&alice(), &code(wrong)).unwrap();
    }
    NOW.set(1_000_210);
    let mut owner = room.ledger("alice");
    owner.guess(&alice(), &code("123456")).unwrap();
    owner.allow();
    let left = ["000003", "000004", "000005"]
        .iter()
        .filter(|wrong| room.ledger("alice").guess(&alice(), &code(wrong)).is_ok());
    assert_eq!(left.count(), 2);
}

/// Time goes on with each look at the clock.
fn ticking() -> Option<i64> {
    pass(1);
    now()
}

#[test]
fn r14_who_is_stopped_at_the_border_of_two_spans_takes_back_what_others_no_longer_see() {
    let room = Room::new();
    let notes = Notes::new(&room.state, ticking);
    let action = Action::Process("1@2".to_owned());
    let mut ledger = Ledger::of(
        notes,
        &action,
        ("alice", Some(1000)),
        &LIMITS,
        Strictness::Strict,
    );
    // The border is at 1_000_200: the clock is looked at before, the note is there behind it.
    NOW.set(1_000_198);
    assert_eq!(ledger.challenge(), Ok(()));
    assert_eq!(room.files().len(), 1);
    assert!(
        room.files().concat().contains("-1667/"),
        "{:?}",
        room.files()
    );
    NOW.set(1_000_798);
    let refused = ledger.guess(&alice(), &code("123456"));
    assert_eq!(refused, Err(Unguessed::UsedBefore), "and never twice");
}

#[test]
fn r14_two_logins_never_have_the_phone_at_once() {
    let room = Room::new();
    let path = room.dir.path();
    for round in 0..600 {
        let (start, end) = (Barrier::new(2), Barrier::new(2));
        let ours = AtomicUsize::new(0);
        let action = Action::Process("1@2".to_owned());
        // In every other round the note of a login that is gone is there.
        if round % 2 == 0 {
            let ledger = room.ledger("alice");
            let gone = format!("4194999@{round}");
            let note = format!("{}{round}", ledger.phone());
            ledger.notes.write(PHONE, &note, &gone).unwrap();
        }
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let state = open(path);
                    let notes = Notes::new(&state, now);
                    let account = ("alice", Some(1000));
                    let mut login =
                        Ledger::of(notes, &action, account, &LIMITS, Strictness::Strict);
                    start.wait();
                    let phone = login.take_phone(Duration::from_secs(120)).unwrap();
                    ours.fetch_add(usize::from(phone == Phone::Ours), Ordering::SeqCst);
                    end.wait();
                    login.leave_phone();
                });
            }
        });
        assert!(ours.into_inner() <= 1, "round {round}");
    }
}

#[test]
fn r14_a_login_whose_push_is_over_does_not_free_the_phone_of_another() {
    let room = Room::new();
    let life = Duration::from_secs(120);
    let (mut late, mut owner) = (room.ledger("alice"), room.in_action("alice", "other"));
    assert_eq!(late.take_phone(life).unwrap(), Phone::Ours);
    pass(121);
    assert_eq!(owner.take_phone(life).unwrap(), Phone::Ours);
    late.leave_phone();
    assert_eq!(room.ledger("alice").take_phone(life).unwrap(), Phone::Busy);
}

#[test]
fn r18_the_code_itself_is_not_written_down() {
    let room = Room::new();
    room.ledger("alice")
        .guess(&alice(), &code("123456"))
        .unwrap();
    for name in room.files() {
        let content = room.state.read(&name).unwrap();
        assert!(!name.contains("123456") && !content.windows(6).any(|part| part == b"123456"));
    }
}

#[test]
fn r14_the_phone_is_one_logins_at_a_time() {
    let room = Room::new();
    let life = Duration::from_secs(120);
    let (mut first, mut second) = (room.ledger("alice"), room.in_action("alice", "other"));
    assert_eq!(first.take_phone(life).unwrap(), Phone::Ours);
    assert_eq!(second.take_phone(life).unwrap(), Phone::Busy);
    assert_eq!(room.ledger("bob").take_phone(life).unwrap(), Phone::Ours);
    // Who does not have it cannot give it away.
    second.leave_phone();
    assert_eq!(second.take_phone(life).unwrap(), Phone::Busy);
    first.leave_phone();
    assert_eq!(second.take_phone(life).unwrap(), Phone::Ours);
}

#[test]
fn r14_the_phone_is_free_when_its_login_is_gone_or_its_push_is_over() {
    let room = Room::new();
    let life = Duration::from_secs(120);
    assert_eq!(room.ledger("alice").take_phone(life).unwrap(), Phone::Ours);
    pass(119);
    assert_eq!(room.ledger("alice").take_phone(life).unwrap(), Phone::Busy);
    pass(1);
    assert_eq!(room.ledger("alice").take_phone(life).unwrap(), Phone::Ours);
    for gone in ["4194999@1", "", "garbage"] {
        let room = Room::new();
        let mut ledger = room.ledger("alice");
        let note = format!("{}0", ledger.phone());
        ledger.notes.write(PHONE, &note, gone).unwrap();
        assert_eq!(ledger.take_phone(life).unwrap(), Phone::Ours, "{gone}");
    }
}

/// It finds the note of a login that was killed, and is stopped until that is over; another login takes the phone meanwhile.
#[test]
fn r21_a_login_that_was_stopped_while_it_took_the_phone_does_not_get_it_too() {
    let room = Room::new();
    let life = Duration::from_secs(120);
    let (mut stopped, mut owner) = (room.ledger("alice"), room.in_action("alice", "other"));
    // All within one span of the notes: 1_000_080 to 1_000_199.
    NOW.set(1_000_081);
    let killed = format!("{}0", stopped.phone());
    stopped.notes.write(PHONE, &killed, "4194999@1").unwrap();
    let seen_at = now().unwrap();
    let number = stopped.look_at_phone(PHONE, seen_at).unwrap().unwrap();
    for later in [0, 100, 118] {
        NOW.set(1_000_081 + later);
        assert_eq!(owner.take_phone(life).unwrap(), Phone::Ours, "{later}");
        let claimed = stopped.claim_phone(PHONE, number, seen_at).unwrap();
        assert_eq!(claimed, Phone::Busy, "{later}");
        assert!(owner.holds_phone() && !stopped.holds_phone(), "{later}");
        owner.leave_phone();
    }
    // Behind the border of two spans it finds out by itself.
    NOW.set(1_000_205);
    assert_eq!(owner.take_phone(life).unwrap(), Phone::Ours);
    let claimed = stopped.claim_phone(PHONE, number, seen_at).unwrap();
    assert_eq!(claimed, Phone::Busy);
    assert!(owner.holds_phone() && !stopped.holds_phone());
}

#[test]
fn without_a_folder_only_codes_go_on_and_only_where_nobody_could_have_arranged_it() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(&dir.path().join("no/such"));
    let action = Action::Process("1@2".to_owned());
    let notes = Notes::new(&state, now);
    let of = |strictness| Ledger::of(notes, &action, ("alice", Some(1000)), &LIMITS, strictness);
    let mut lenient = of(Strictness::Lenient);
    assert!(!lenient.works());
    assert!(!lenient.is_denied());
    assert!(lenient.deny().is_err());
    assert_eq!(lenient.challenge(), Err(Uncounted::Forgotten));
    assert!(lenient.take_phone(Duration::from_secs(1)).is_err());
    assert_eq!(lenient.guess(&alice(), &code("123456")), Ok(()));
    let strict = of(Strictness::Strict).guess(&alice(), &code("123456"));
    assert_eq!(strict, Err(Unguessed::Forgotten));
}

#[test]
fn r14_challenges_and_refused_codes_are_counted_apart() {
    let room = Room::new();
    for _ in 0..LIMITS.challenges {
        assert_eq!(room.ledger("alice").challenge(), Ok(()));
    }
    for number in 0..LIMITS.failures {
        let code = code(&format!("00000{number}"));
        assert_eq!(
            room.ledger("alice").guess(&alice(), &code),
            Ok(()),
            "{number}"
        );
    }
    assert_eq!(room.ledger("alice").challenge(), Err(Uncounted::UsedUp));
}

#[test]
fn r18_a_code_that_was_not_sent_is_not_used() {
    let room = Room::new();
    for number in 0..LIMITS.failures {
        let code = code(&format!("00000{number}"));
        let mut ledger = room.ledger("alice");
        assert_eq!(ledger.guess(&alice(), &code), Ok(()));
        ledger.refused(&alice(), &code);
    }
    let unsent = room.ledger("alice").guess(&alice(), &code("999999"));
    assert_eq!(unsent, Err(Unguessed::UsedUp));
    let files = room.files();
    assert!(
        files.iter().all(|file| !file.starts_with("used-")),
        "{files:?}"
    );
}

#[test]
fn r18_a_note_of_a_used_code_that_cannot_be_read_is_told_from_one_that_holds() {
    let room = Room::new();
    assert_eq!(
        room.ledger("alice").guess(&alice(), &code("123456")),
        Ok(())
    );
    let files = room.files();
    let used = files.iter().find(|file| file.starts_with("used-")).unwrap();
    room.state.write(used, b"garbage").unwrap();
    let again = room.ledger("alice").guess(&alice(), &code("123456"));
    assert_eq!(again, Err(Unguessed::Forgotten));
}

//! What is remembered, in a real folder.

use super::denial::SPAN;
use super::identity::ORIGINS;
use super::phone::PENDING;
use super::*;
use crate::config::parse;
use crate::factor::Factor;
use crate::host::{pid_namespace, process_identity};
use crate::login::Limit::{Challenges, PushesAlone, RefusedCodes};
use crate::login::LimitReached::{Day, PushDenied, PushPaused, Window};
use crate::secret::Secret;
use crate::trust::Trusted;
use crate::user::Uids;
use std::cell::Cell;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

const CONFIG: &str = "[onelogin]\nurl = \"https://x.onelogin.com\"\nclient_id = \"i\"\nclient_secret = \"s\"\n\
    [limits]\nchallenges = 3\nchallenges_per_day = 5\nfailures = 4\nfailures_per_day = 6\n";
const OFFICE: &str = "ssh 192.0.2.7/32";
const FOUND: LookUpEnd = LookUpEnd::Found { is_cached: true };
const TOO_MANY: Result<(), Uncounted> = Err(Uncounted::LimitReached(Window));
const TOO_MANY_CODES: Result<(), CodeNotCounted> = Err(CodeNotCounted::LimitReached(Window));
const USED_BEFORE: Result<(), CodeNotCounted> = Err(CodeNotCounted::UsedBefore);
const LIFE: Duration = Duration::from_secs(120);

/// A folder for the state, which is removed in the end.
struct Place {
    dir: tempfile::TempDir,
    state: State,
    config: Config,
}

/// Another login.
#[derive(Clone, Copy)]
struct By<'a> {
    name: &'a str,
    connection: &'a str,
    id: &'a str,
    proof: Proof,
    origin: Option<&'a str>,
}

const ALICE: By<'static> = By {
    name: "alice",
    connection: "1.2.3.4 5 6.7.8.9 22",
    id: "1001",
    proof: Proof::Proven,
    origin: None,
};

impl<'a> By<'a> {
    fn named(self, name: &'a str) -> Self {
        Self { name, ..self }
    }

    /// Of another OneLogin user.
    fn of(self, id: &'a str) -> Self {
        Self { id, ..self }
    }

    fn from(self, origin: &'a str) -> Self {
        Self {
            origin: Some(origin),
            ..self
        }
    }

    fn by(self, connection: &'a str) -> Self {
        Self { connection, ..self }
    }

    fn unproven(self) -> Self {
        Self {
            proof: Proof::Unproven,
            ..self
        }
    }
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = open(dir.path());
        Self {
            dir,
            state,
            config: parse("c", CONFIG).unwrap_or_else(|faults| panic!("{faults:?}")),
        }
    }

    /// Before it is known who it is at OneLogin.
    fn stranger(&self, by: &By<'_>) -> UserMemory<'_> {
        let action = Action::Connection(by.connection.to_owned());
        UserMemory::of(&self.state, &self.config, action, &person(by))
    }

    fn user_memory(&self, by: &By<'_>) -> UserMemory<'_> {
        let mut user_memory = self.stranger(by);
        user_memory.meet(&UserId::parse(by.id).unwrap());
        user_memory
    }

    fn alice(&self) -> UserMemory<'_> {
        self.user_memory(&ALICE)
    }

    /// Those of a kind, in the folders of OneLogin users and of local names.
    fn entries(&self, kind: Kind) -> Vec<Entry> {
        let all = self.paths();
        let entries = all
            .iter()
            .filter_map(|path| Entry::parse(path.rsplit('/').next()?));
        entries.filter(|entry| entry.kind == kind).collect()
    }

    fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        for folder in names(&self.state, ".") {
            for name in names(&self.state, &folder) {
                paths.push(format!("{folder}/{name}"));
            }
        }
        paths
    }

    /// A code that OneLogin refused.
    fn refuse(&self, by: &By<'_>, text: &str) -> Result<(), CodeNotCounted> {
        let mut user_memory = self.user_memory(by);
        user_memory.count_code(&code(text))?;
        user_memory.refused();
        Ok(())
    }

    /// A code that OneLogin accepted.
    fn accept(&self, by: &By<'_>, text: &str) -> Result<(), CodeNotCounted> {
        let mut user_memory = self.user_memory(by);
        user_memory.count_code(&code(text))?;
        user_memory.allow();
        Ok(())
    }

    fn challenge(&self, by: &By<'_>) -> Result<(), Uncounted> {
        self.user_memory(by).count_challenge(Challenge::Push)
    }
}

/// Alice's memory in another state.
fn alice_in<'a>(state: &'a State, config: &'a Config) -> UserMemory<'a> {
    let action = Action::Connection("c".to_owned());
    let mut user_memory = UserMemory::of(state, config, action, &person(&ALICE));
    user_memory.meet(&UserId::parse(ALICE.id).unwrap());
    user_memory
}

fn names(state: &State, folder: &str) -> Vec<String> {
    let listing = state.listing(folder).ok().flatten();
    listing.map_or(Vec::new(), |mut listing| listing.names().unwrap())
}

fn person<'a>(by: &By<'a>) -> Person<'a> {
    Person {
        name: by.name,
        uid: Some(1000),
        proof: by.proof,
        origin: by.origin,
    }
}

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(1_000_020) };
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
    State::by_clock(&path.join("state"), trusted, now)
}

fn code(text: &str) -> Code {
    Factor::Totp.code(&Secret::new(text.to_owned())).unwrap()
}

/// Codes, no two alike.
fn codes() -> impl Iterator<Item = String> {
    (0..).map(|number| format!("{number:06}"))
}

#[test]
fn r14_a_denial_is_remembered_for_its_connection_and_user_only() {
    let place = Place::new();
    assert!(!place.alice().is_denied());
    let mut login = place.alice();
    login.deny_beforehand().unwrap();
    assert!(place.alice().is_denied());
    let bob = ALICE.named("bob");
    let other = ALICE.by("1.2.3.4 6 6.7.8.9 22");
    assert!(!place.user_memory(&bob).is_denied() && !place.user_memory(&other).is_denied());
    login.allow();
    assert!(!place.alice().is_denied());
}

#[test]
fn r14_a_denial_of_a_connection_holds_for_ten_minutes_at_least_and_twenty_at_most() {
    let place = Place::new();
    for start in [1_000_200, 1_000_799, 1_000_800] {
        NOW.set(start);
        let mut user_memory = place.alice();
        user_memory.deny_beforehand().unwrap();
        NOW.set(start + 600);
        assert!(user_memory.is_denied());
        NOW.set(start + 1_200);
        assert!(!user_memory.is_denied());
    }
}

#[test]
fn r14_a_denial_in_a_handle_is_in_no_folder_and_ends_with_the_handle() {
    let place = Place::new();
    let of = |handle| {
        UserMemory::of(
            &place.state,
            &place.config,
            Action::Handle(handle),
            &person(&ALICE),
        )
    };
    let denials = Denials::default();
    of(Some(&denials)).deny_beforehand().unwrap();
    assert!(of(Some(&denials)).is_denied());
    assert_eq!(place.paths(), [""; 0]);
    let other = Denials::default();
    assert!(!of(Some(&other)).is_denied());
    of(Some(&denials)).allow();
    assert!(!of(Some(&denials)).is_denied());
    // A handle that can keep nothing: nothing is sent, then.
    assert!(of(None).deny_beforehand().is_err());
}

#[test]
fn r14_a_denial_in_a_handle_holds_for_a_minute_from_the_end_of_its_login() {
    let place = Place::new();
    let denials = Denials::default();
    let login = || {
        let action = Action::Handle(Some(&denials));
        UserMemory::of(&place.state, &place.config, action, &person(&ALICE))
    };
    NOW.set(1_000_000);
    let mut first = login();
    first.deny_beforehand().unwrap();
    NOW.set(1_000_055);
    first.renew_denial();
    NOW.set(1_000_114);
    assert!(login().is_denied());
    // A rerun that is denied for that reason does not prolong it.
    login().renew_denial();
    NOW.set(1_000_115);
    assert!(!login().is_denied());
}

#[test]
fn r22_without_a_clock_or_a_folder_nothing_works() {
    let place = Place::new();
    let trusted = Trusted::of(crate::host::uids());
    let dir = place.dir.path();
    for state in [
        State::by_clock(&dir.join("state"), trusted, || None),
        State::by_clock(&dir.join("no/such"), trusted, now),
    ] {
        let mut user_memory = alice_in(&state, &place.config);
        assert!(!user_memory.works());
        assert!(user_memory.deny_beforehand().is_err() && user_memory.deny().is_err());
        assert_eq!(
            user_memory.count_challenge(Challenge::Push),
            Err(Uncounted::NoState)
        );
        assert_eq!(
            user_memory.count_code(&code("123456")),
            Err(CodeNotCounted::NoState)
        );
        assert_eq!(user_memory.count_look_up(), Err(Uncounted::NoState));
        assert!(user_memory.take_phone(LIFE).is_err() && !user_memory.holds_phone());
    }
}

#[test]
fn r14_challenges_are_counted_up_to_the_limit_and_taken_back_on_acceptance() {
    let place = Place::new();
    let mut first = place.alice();
    assert_eq!(first.count_challenge(Challenge::Push), Ok(()));
    first.allow();
    assert_eq!(place.paths(), [""; 0], "nothing is left of it");
    for _ in 0..3 {
        assert_eq!(place.alice().limit_reached(Challenges), None);
        assert_eq!(place.challenge(&ALICE), Ok(()));
    }
    assert_eq!(place.alice().limit_reached(Challenges), Some(Window));
    assert_eq!(place.challenge(&ALICE), TOO_MANY);
    assert_eq!(place.alice().limit_reached(RefusedCodes), None);
    let bob = ALICE.of("1002");
    assert_eq!(place.user_memory(&bob).limit_reached(Challenges), None);
    pass(660);
    assert_eq!(place.alice().limit_reached(Challenges), None);
}

#[test]
fn r22_two_names_of_one_onelogin_user_have_one_limit() {
    let place = Place::new();
    let work = ALICE.named("alice-admin");
    for (by, code) in [&ALICE, &work].into_iter().cycle().zip(codes()).take(4) {
        assert_eq!(place.refuse(by, &code), Ok(()));
    }
    for by in [&ALICE, &work] {
        assert_eq!(place.refuse(by, "999999"), TOO_MANY_CODES);
        assert_eq!(
            place.user_memory(by).limit_reached(RefusedCodes),
            Some(Window)
        );
    }
}

#[test]
fn r22_within_no_window_and_no_day_more_is_counted_than_the_limits() {
    // Whatever the moments, and wherever the minutes begin.
    for start in [1_000_000, 1_000_019, 1_000_020, 1_000_059] {
        let place = Place::new();
        NOW.set(start);
        let mut counted: Vec<i64> = Vec::new();
        let within =
            |counted: &[i64], time| counted.iter().filter(|&&at| at > NOW.get() - time).count();
        for step in [
            0, 1, 59, 1, 250, 100, 248, 1, 1, 59, 1, 300, 298, 1, 1, 599, 1, 70_000, 1, 700, 20_000,
        ] {
            pass(step);
            if place.challenge(&ALICE).is_ok() {
                counted.push(NOW.get());
            }
            assert!(
                within(&counted, 600) <= 3 && within(&counted, 86_400) <= 5,
                "{counted:?}"
            );
        }
        assert!(counted.len() > 5, "{counted:?}");
    }
}

#[test]
fn r22_an_offline_code_does_not_hide_that_the_codes_of_a_day_are_used_up() {
    let place = Place::new();
    let is_told = codes().take(9).any(|code| {
        let mut user_memory = place.alice();
        let _ = user_memory.count_code(&super::tests::code(&code));
        let is_last = user_memory.last_of_the_day().is_some();
        user_memory.let_in();
        assert_eq!(user_memory.last_of_the_day().is_some(), is_last);
        pass(400);
        is_last
    });
    assert!(is_told);
}

#[test]
fn r22_the_last_of_a_day_is_told_once() {
    let place = Place::new();
    let mut told = Vec::new();
    for code in codes().take(9) {
        let mut user_memory = place.alice();
        let is_counted = user_memory.count_code(&super::tests::code(&code)).is_ok();
        user_memory.refused();
        told.push((is_counted, user_memory.last_of_the_day().is_some()));
        pass(400);
    }
    let ends = told
        .iter()
        .position(|&(is_counted, _)| !is_counted)
        .unwrap();
    assert_eq!(ends, 6, "{told:?}");
    let last: Vec<_> = told.iter().map(|&(_, is_last)| is_last).collect();
    assert_eq!(
        last.iter().position(|&is_last| is_last),
        Some(5),
        "{told:?}"
    );
    assert_eq!(
        last.iter().filter(|&&is_last| is_last).count(),
        1,
        "{told:?}"
    );
    assert_eq!(place.alice().limit_reached(RefusedCodes), Some(Day));
    pass(86_400);
    assert_eq!(place.alice().limit_reached(RefusedCodes), None);
}

#[test]
fn r22_parallel_logins_cannot_beat_the_limits() {
    let place = Place::new();
    let path = place.dir.path();
    for round in 0..20 {
        let id = format!("{round}");
        let (start, counted) = (Barrier::new(27), AtomicUsize::new(0));
        let texts: Vec<String> = codes().take(27).collect();
        std::thread::scope(|scope| {
            for text in &texts {
                let (start, counted, config, id) = (&start, &counted, &place.config, &id);
                scope.spawn(move || {
                    let state = open(path);
                    let action = Action::Connection(text.clone());
                    let mut user_memory = UserMemory::of(&state, config, action, &person(&ALICE));
                    user_memory.meet(&UserId::parse(id).unwrap());
                    start.wait();
                    let is_counted = user_memory.count_code(&code(text)).is_ok();
                    counted.fetch_add(usize::from(is_counted), Ordering::SeqCst);
                });
            }
        });
        assert_eq!(counted.into_inner(), 4, "round {round}");
    }
}

/// Time goes on with each look at the clock.
fn ticking() -> Option<i64> {
    pass(1);
    now()
}

#[test]
fn r22_who_is_stopped_until_the_minute_is_over_takes_back_and_looks_again() {
    let place = Place::new();
    let state = State::by_clock(
        &place.dir.path().join("state"),
        Trusted::of(crate::host::uids()),
        ticking,
    );
    let mut user_memory = alice_in(&state, &place.config);
    // The clock is looked at in the last second of a minute, and again in the next.
    NOW.set(1_000_078);
    assert_eq!(user_memory.count_challenge(Challenge::Other), Ok(()));
    let minutes: Vec<i64> = place
        .entries(Kind::Challenge)
        .iter()
        .map(|it| it.minute)
        .collect();
    assert_eq!(minutes, [1_000_080 / 60]);
    NOW.set(1_000_138);
    assert_eq!(user_memory.count_code(&code("123456")), Ok(()));
    assert_eq!(place.entries(Kind::Used).len(), 1);
    assert_eq!(place.entries(Kind::Code).len(), 1);
}

/// Each look at the clock is a minute later.
fn racing() -> Option<i64> {
    pass(60);
    now()
}

#[test]
fn r22_who_never_gets_through_within_a_minute_is_denied_and_leaves_nothing() {
    let place = Place::new();
    let state = State::by_clock(
        &place.dir.path().join("state"),
        Trusted::of(crate::host::uids()),
        racing,
    );
    let mut user_memory = alice_in(&state, &place.config);
    assert_eq!(
        user_memory.count_challenge(Challenge::Push),
        Err(Uncounted::NoState)
    );
    assert_eq!(
        user_memory.count_code(&code("123456")),
        Err(CodeNotCounted::NoState)
    );
    assert!(user_memory.take_phone(LIFE).is_err());
    assert_eq!(place.paths(), [""; 0]);
}

#[test]
fn r22_a_full_count_of_the_unproven_denies_nobody_who_is_proven() {
    let place = Place::new();
    let stranger = ALICE.unproven();
    for code in codes().take(4) {
        assert_eq!(place.refuse(&stranger, &code), Ok(()));
    }
    assert_eq!(place.refuse(&stranger, "999999"), TOO_MANY_CODES);
    assert_eq!(place.alice().limit_reached(RefusedCodes), None);
    assert_eq!(place.refuse(&ALICE, "999999"), Ok(()));
}

#[test]
fn r22_a_known_origin_has_a_reserve_of_its_own_and_an_unknown_one_has_none() {
    let place = Place::new();
    let at_home = ALICE.from(OFFICE);
    let elsewhere = ALICE.from("ssh 198.51.100.1/32");
    assert_eq!(place.accept(&at_home, "900000"), Ok(()));
    assert_eq!(place.alice().standing().unwrap().origins, 1);
    // A thief uses everything up.
    let mut codes = codes();
    while place.refuse(&elsewhere, &codes.next().unwrap()).is_ok() {}
    while place.challenge(&elsewhere).is_ok() {}
    assert_eq!(
        place.user_memory(&at_home).limit_reached(RefusedCodes),
        None
    );
    assert_eq!(place.challenge(&at_home), Ok(()));
    assert_eq!(place.challenge(&at_home), TOO_MANY, "one a day");
    for _ in 0..3 {
        let code = codes.next().unwrap();
        assert_eq!(place.refuse(&at_home, &code), Ok(()));
    }
    assert_eq!(place.refuse(&at_home, "999999"), TOO_MANY_CODES);
    assert_eq!(
        place.user_memory(&at_home).limit_reached(RefusedCodes),
        Some(Window)
    );
    // It is that of this origin, for a day; what is accepted is given back.
    pass(86_340);
    while place.refuse(&elsewhere, &codes.next().unwrap()).is_ok() {}
    assert_eq!(
        place.refuse(&at_home, "999998"),
        Err(CodeNotCounted::LimitReached(Day))
    );
    pass(120);
    while place.refuse(&elsewhere, &codes.next().unwrap()).is_ok() {}
    for code in ["910000", "920000", "930000", "940000"] {
        assert_eq!(place.accept(&at_home, code), Ok(()));
    }
}

#[test]
fn r22_the_reserve_never_lets_a_used_code_pass() {
    let place = Place::new();
    let at_home = ALICE.from(OFFICE);
    place.accept(&at_home, "900000").unwrap();
    for code in codes().take(4) {
        place.refuse(&ALICE, &code).unwrap();
    }
    assert_eq!(place.refuse(&at_home, "900000"), USED_BEFORE);
}

#[test]
fn r22_an_origin_that_nothing_has_proven_is_not_that_of_a_proven_login() {
    let place = Place::new();
    let unproven = ALICE.from(OFFICE).unproven();
    place.accept(&unproven, "900000").unwrap();
    for code in codes().take(4) {
        place.refuse(&ALICE, &code).unwrap();
    }
    let proven = By {
        proof: Proof::Proven,
        ..unproven
    };
    assert_eq!(place.refuse(&proven, "999999"), TOO_MANY_CODES);
}

#[test]
fn r22_so_many_origins_are_known_and_one_of_every_day_takes_the_place_of_none() {
    let place = Place::new();
    let from = |origin: &str, code: &str| {
        let by = ALICE.from(origin);
        place.accept(&by, code).unwrap();
    };
    let mut codes = codes();
    // The office, each day of a month.
    for _ in 0..30 {
        from(OFFICE, &codes.next().unwrap());
        pass(86_400);
    }
    assert!(
        place.entries(Kind::Origin).len() <= 3,
        "{:?}",
        place.entries(Kind::Origin)
    );
    for number in 0..20 {
        from(&format!("ssh {number}"), &codes.next().unwrap());
    }
    assert_eq!(place.alice().standing().unwrap().origins, ORIGINS);
    pass(31 * 86_400);
    assert_eq!(place.alice().standing().unwrap().origins, 0);
}

#[test]
fn r22_after_a_denied_push_unknown_origins_get_none_for_an_hour() {
    let place = Place::new();
    let at_home = ALICE.from(OFFICE);
    place.accept(&at_home, "900000").unwrap();
    let mut login = place.alice();
    login.count_challenge(Challenge::Push).unwrap();
    login.push_denied();
    assert!(login.is_push_denied());
    for _ in 0..2 {
        assert_eq!(place.alice().limit_reached(Challenges), Some(PushDenied));
        let refused = Err(Uncounted::LimitReached(PushDenied));
        assert_eq!(place.challenge(&ALICE), refused);
        pass(3_590);
    }
    assert_eq!(place.user_memory(&at_home).limit_reached(Challenges), None);
    assert_eq!(place.challenge(&at_home), Ok(()));
    // A message shows on no phone as a push.
    assert_eq!(place.alice().count_challenge(Challenge::Other), Ok(()));
    pass(60);
    assert_eq!(place.challenge(&ALICE), Ok(()));
}

#[test]
fn r22_look_ups_that_lead_to_nobody_are_few_and_others_are_given_back() {
    let place = Place::new();
    for _ in 0..40 {
        let mut user_memory = place.stranger(&ALICE);
        assert_eq!(user_memory.recall(), Recalled::Nothing);
        user_memory.count_look_up().unwrap();
        user_memory.looked_up(LookUpEnd::Other);
    }
    assert!(place.entries(Kind::LookUp).is_empty());
    let mut asked = 0;
    // One who asks each five seconds, for an hour.
    for _ in 0..720 {
        let mut user_memory = place.stranger(&ALICE);
        if user_memory.recall() == Recalled::Nothing && user_memory.count_look_up().is_ok() {
            asked += 1;
            user_memory.looked_up(LookUpEnd::NothingToVerify);
        }
        pass(5);
    }
    assert_eq!(asked, LOOK_UPS);
    assert_eq!(place.alice().standing().unwrap().look_ups, LOOK_UPS);
    // Of another uid, or another name, nothing is known.
    let other = ALICE.named("bob");
    assert_eq!(place.stranger(&other).count_look_up(), Ok(()));
}

#[test]
fn r22_who_is_killed_while_it_looks_up_has_counted() {
    let place = Place::new();
    for _ in 0..LOOK_UPS {
        assert_eq!(place.stranger(&ALICE).count_look_up(), Ok(()));
    }
    assert_eq!(place.stranger(&ALICE).count_look_up(), TOO_MANY);
}

#[test]
fn r22_nobody_is_remembered_for_a_minute_at_least_and_two_at_most() {
    let place = Place::new();
    for start in [1_000_020, 1_000_079] {
        NOW.set(start);
        let mut user_memory = place.stranger(&ALICE);
        user_memory.count_look_up().unwrap();
        user_memory.looked_up(LookUpEnd::NothingToVerify);
        NOW.set(start + 60);
        assert_eq!(place.stranger(&ALICE).recall(), Recalled::NothingToVerify);
        NOW.set(start + 120);
        assert_eq!(place.stranger(&ALICE).recall(), Recalled::Nothing);
    }
}

#[test]
fn r22_who_is_known_to_have_used_the_limit_up_is_denied_before_a_look_up() {
    let place = Place::new();
    let mut user_memory = place.stranger(&ALICE);
    user_memory.count_look_up().unwrap();
    user_memory.meet(&UserId::parse("1001").unwrap());
    user_memory.looked_up(FOUND);
    for code in codes().take(4) {
        place.refuse(&ALICE, &code).unwrap();
    }
    let mut again = place.stranger(&ALICE);
    assert_eq!(
        again.limit_reached(RefusedCodes),
        None,
        "nobody is known yet"
    );
    again.recall();
    assert_eq!(again.limit_reached(RefusedCodes), Some(Window));
    // One pointer for many look-ups; the newest one holds.
    for (id, pointers) in [("1001", 1), ("1002", 2)] {
        pass(60);
        let mut user_memory = place.stranger(&ALICE);
        user_memory.count_look_up().unwrap();
        user_memory.meet(&UserId::parse(id).unwrap());
        user_memory.looked_up(FOUND);
        assert_eq!(place.entries(Kind::Pointer).len(), pointers);
    }
    assert_eq!(place.stranger(&ALICE).pointed_at(), UserId::parse("1002"));
}

#[test]
fn an_admins_look_ups_are_neither_counted_nor_denied() {
    let place = Place::new();
    let mut login = place.stranger(&ALICE);
    login.count_look_up().unwrap();
    login.looked_up(LookUpEnd::NothingToVerify);
    for _ in 0..2 * LOOK_UPS {
        let mut user_memory = place.stranger(&ALICE).for_an_admin();
        assert_eq!(user_memory.recall(), Recalled::Nothing);
        user_memory.count_look_up().unwrap();
        user_memory.looked_up(LookUpEnd::NothingToVerify);
    }
    assert_eq!(place.alice().standing().unwrap().look_ups, 1);
}

#[test]
fn r18_a_code_that_was_used_is_refused_for_ten_minutes_and_one_that_was_refused_is_not() {
    let place = Place::new();
    assert_eq!(place.accept(&ALICE, "123456"), Ok(()));
    let other = ALICE.of("1002");
    assert_eq!(place.accept(&ALICE, "123456"), USED_BEFORE);
    assert_eq!(place.accept(&other, "123456"), Ok(()));
    pass(600);
    assert_eq!(place.accept(&ALICE, "123456"), USED_BEFORE);
    pass(60);
    assert_eq!(place.accept(&ALICE, "123456"), Ok(()));
    assert_eq!(place.refuse(&ALICE, "654321"), Ok(()));
    assert_eq!(place.refuse(&ALICE, "654321"), Ok(()));
}

#[test]
fn r18_of_two_logins_that_send_the_same_code_at_once_one_is_refused() {
    let place = Place::new();
    let (mut first, mut second) = (place.alice(), place.alice());
    assert_eq!(first.count_code(&code("123456")), Ok(()));
    assert_eq!(second.count_code(&code("123456")), USED_BEFORE);
}

#[test]
fn r18_a_code_that_was_not_sent_is_neither_used_nor_refused() {
    let place = Place::new();
    let mut login = place.alice();
    login.count_code(&code("111111")).unwrap();
    login.refused();
    login.count_code(&code("123456")).unwrap();
    login.unsent(RefusedCodes);
    assert_eq!(place.paths().len(), 1, "the refused one");
    assert_eq!(login.count_code(&code("123456")), Ok(()));
    login.unsent(RefusedCodes);
    for code in codes().skip(7).take(3) {
        place.refuse(&ALICE, &code).unwrap();
    }
    assert_eq!(place.refuse(&ALICE, "999999"), TOO_MANY_CODES);
    assert!(place.entries(Kind::Used).is_empty());
}

#[test]
fn r18_the_code_itself_is_not_written_down() {
    let place = Place::new();
    place.accept(&ALICE, "123456").unwrap();
    assert!(!place.paths().is_empty());
    for path in place.paths() {
        let (folder, name) = path.split_once('/').unwrap();
        let target = place.state.target(folder, name).unwrap().unwrap();
        assert!(
            !path.contains("123456") && target == NOTHING,
            "{path} {target}"
        );
    }
}

#[test]
fn r14_an_acceptance_takes_back_what_its_own_login_counted_and_no_more() {
    let place = Place::new();
    let mut thief = place.alice();
    for wrong in ["000001", "000002"] {
        thief.count_code(&code(wrong)).unwrap();
    }
    let mut owner = place.alice();
    owner.count_code(&code("111111")).unwrap();
    owner.refused();
    owner.count_code(&code("123456")).unwrap();
    owner.allow();
    assert_eq!(place.alice().standing().unwrap().codes, [2, 2]);
}

#[test]
fn r14_challenges_and_refused_codes_are_counted_apart() {
    let place = Place::new();
    while place.challenge(&ALICE).is_ok() {}
    for code in codes().take(4) {
        assert_eq!(place.refuse(&ALICE, &code), Ok(()), "{code}");
    }
}

#[test]
fn r14_a_challenge_that_has_not_left_is_given_back() {
    let place = Place::new();
    let mut login = place.alice();
    login.count_challenge(Challenge::Push).unwrap();
    login.unsent(Challenges);
    assert_eq!(place.paths(), [""; 0]);
}

#[test]
fn a_code_and_a_push_of_one_login_are_given_back_each_for_itself() {
    let place = Place::new();
    let mut login = place.alice();
    login.count_challenge(Challenge::Push).unwrap();
    login.count_code(&code("123456")).unwrap();
    login.count_again(Challenges).unwrap();
    let counted =
        || [Kind::Challenge, Kind::Code, Kind::Used].map(|kind| place.entries(kind).len());
    assert_eq!(counted(), [2, 1, 1]);
    login.unsent(RefusedCodes);
    assert_eq!(counted(), [2, 0, 0]);
    login.unsent(Challenges);
    assert_eq!(counted(), [1, 0, 0]);

    login.count_code(&code("123456")).unwrap();
    login.unsent(Challenges);
    assert_eq!(counted(), [0, 1, 1]);
    assert_eq!(
        login.count_code(&code("123456")),
        USED_BEFORE,
        "a push that was not sent leaves the code used"
    );
}

#[test]
fn r14_two_logins_never_have_the_phone_at_once() {
    let place = Place::new();
    let path = place.dir.path();
    for round in 0..400 {
        let (start, end) = (Barrier::new(2), Barrier::new(2));
        let ours = AtomicUsize::new(0);
        // In every other round the entry of a login that is gone is there.
        if round % 2 == 0 {
            let name = Kind::Pending.name(NOW.get() / 60, &round.to_string());
            let target = format!(
                "4194999@1 {} 0 {}",
                pid_namespace().unwrap(),
                NOW.get() + 60
            );
            place
                .alice()
                .folder()
                .unwrap()
                .make(&name, &target)
                .unwrap();
        }
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let state = open(path);
                    let mut login = alice_in(&state, &place.config);
                    start.wait();
                    let phone = login.take_phone(LIFE).unwrap();
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
fn r14_the_phone_is_one_logins_at_a_time_whatever_the_users_name() {
    let place = Place::new();
    let work = ALICE.named("alice-admin");
    let (mut first, mut second) = (place.alice(), place.user_memory(&work));
    assert_eq!(first.take_phone(LIFE).unwrap(), Phone::Ours);
    assert_eq!(second.take_phone(LIFE).unwrap(), Phone::Busy);
    let other = ALICE.of("1002");
    assert_eq!(
        place.user_memory(&other).take_phone(LIFE).unwrap(),
        Phone::Ours
    );
    // Who does not have it cannot give it away.
    second.leave_phone();
    assert_eq!(second.take_phone(LIFE).unwrap(), Phone::Busy);
    first.leave_phone();
    assert_eq!(second.take_phone(LIFE).unwrap(), Phone::Ours);
}

#[test]
fn r14_the_phone_is_free_when_its_push_is_over_or_its_login_is_gone_for_sure() {
    let place = Place::new();
    let (mut late, mut owner) = (place.alice(), place.alice());
    assert_eq!(late.take_phone(LIFE).unwrap(), Phone::Ours);
    pass(119);
    assert!(late.holds_phone());
    assert_eq!(owner.take_phone(LIFE).unwrap(), Phone::Busy);
    pass(1);
    assert!(!late.holds_phone());
    assert_eq!(owner.take_phone(LIFE).unwrap(), Phone::Ours);
    late.leave_phone();
    assert_eq!(place.alice().take_phone(LIFE).unwrap(), Phone::Busy);

    let own = pid_namespace().unwrap();
    let end = NOW.get() + 100;
    for (target, phone) in [
        (format!("4194999@1 {own} 0 {end}"), Phone::Ours),
        (
            format!("{} {own} 0 {}", process_identity(), NOW.get()),
            Phone::Ours,
        ),
        (format!("{} {own} 0 {end}", process_identity()), Phone::Busy),
        // One that could not say when it began, and one of another container, which cannot be looked at.
        (format!("4194999@? {own} 0 {end}"), Phone::Busy),
        (format!("4194999@1 pid:[1] 0 {end}"), Phone::Busy),
        ("garbage".to_owned(), Phone::Busy),
    ] {
        let place = Place::new();
        let name = Kind::Pending.name(NOW.get() / 60, "0");
        place
            .alice()
            .folder()
            .unwrap()
            .make(&name, &target)
            .unwrap();
        assert_eq!(place.alice().take_phone(LIFE).unwrap(), phone, "{target}");
    }
}

#[test]
fn an_admins_reset_takes_back_what_was_counted_and_nothing_else() {
    let place = Place::new();
    let at_home = ALICE.from(OFFICE);
    place.accept(&at_home, "900000").unwrap();
    let mut codes = codes();
    while place.refuse(&ALICE, &codes.next().unwrap()).is_ok() {}
    while place.challenge(&ALICE).is_ok() {}
    place.challenge(&at_home).unwrap();
    let mut login = place.alice();
    login.push_denied();
    assert_eq!(login.take_phone(LIFE).unwrap(), Phone::Ours);
    let mut look_up = place.stranger(&ALICE);
    look_up.count_look_up().unwrap();
    look_up.looked_up(LookUpEnd::NothingToVerify);
    place.alice().reset().unwrap();
    let standing = Standing {
        origins: 1,
        is_phone_busy: true,
        ..Standing::default()
    };
    assert_eq!(place.alice().standing().unwrap(), standing);
    assert_eq!(place.stranger(&ALICE).recall(), Recalled::Nothing);
    assert_eq!(place.accept(&ALICE, "900000"), USED_BEFORE);
}

#[test]
fn r14_what_is_over_is_swept_a_little_at_a_time_and_what_counts_stays() {
    let place = Place::new();
    for code in codes().take(5) {
        place.refuse(&ALICE, &code).unwrap();
        pass(600);
    }
    place.accept(&ALICE, "900000").unwrap();
    pass(86_400 - 3_000 + 180);
    let sweep = |place: &Place| {
        let user_memory = place.alice();
        user_memory.limit_reached(RefusedCodes);
        user_memory.sweep(true);
    };
    sweep(&place);
    assert_eq!(place.entries(Kind::Code).len(), 4);
    assert!(place.entries(Kind::Used).is_empty());
    pass(86_400);
    sweep(&place);
    assert_eq!(place.paths(), [""; 0]);
}

#[test]
fn r14_the_folders_of_denials_that_are_over_go() {
    let place = Place::new();
    let deny = |count: usize| {
        for number in 0..count {
            let connection = format!("{number} {}", NOW.get());
            let by = ALICE.by(&connection);
            let mut user_memory = place.stranger(&by);
            user_memory.deny().unwrap();
            user_memory.sweep(true);
        }
    };
    deny(30);
    assert_eq!(place.paths().len(), 30);
    pass(1_200);
    deny(15);
    assert_eq!(place.paths().len(), 15, "three for each");
    // Of another start of the machine, of version 0.1.0, and of a process that was killed.
    for path in [
        "u-0123-x/f-5-0",
        "denied-0123-7/x",
        "failure-600-7/x",
        "challenge-600-7/x",
    ] {
        let (folder, name) = path.split_once('/').unwrap();
        place.state.link(folder, name, NOTHING).unwrap();
    }
    place.state.write("directory-0123-x", b"").unwrap();
    std::fs::write(place.dir.path().join("state/.token-x.4194999"), "").unwrap();
    place.state.write("token-x", b"kept").unwrap();
    pass(1_200);
    deny(16);
    let mut names = names(&place.state, ".");
    names.sort();
    let boot = place.state.boot().unwrap();
    let span = NOW.get() / SPAN;
    assert_eq!(
        names,
        [format!("denied-{boot}-{span}"), "token-x".to_owned()]
    );
}

#[test]
fn r21_a_push_whose_entry_is_anothers_is_not_held() {
    let place = Place::new();
    let mut login = place.alice();
    assert_eq!(login.take_phone(LIFE).unwrap(), Phone::Ours);
    let name = Kind::Pending.name(NOW.get() / 60, "0");
    let user_memory = place.alice();
    let folder = user_memory.folder().unwrap();
    folder.remove(&name);
    let other = format!("1@1 pid:[1] 0 {}", NOW.get() + 120);
    folder.make(&name, &other).unwrap();
    assert!(!login.holds_phone());
}

#[test]
fn r22_logins_that_are_killed_with_the_phone_leave_few_entries() {
    let place = Place::new();
    let own = pid_namespace().unwrap();
    for number in 0..PENDING {
        let name = Kind::Pending.name(NOW.get() / 60, &number.to_string());
        let target = format!("4194999@1 {own} 0 {}", NOW.get() + 120);
        let user_memory = place.alice();
        assert_eq!(
            place.alice().take_phone(LIFE).unwrap(),
            Phone::Ours,
            "{number}"
        );
        user_memory.folder().unwrap().remove(&name);
        user_memory.folder().unwrap().make(&name, &target).unwrap();
    }
    assert_eq!(place.alice().take_phone(LIFE).unwrap(), Phone::Busy);
    pass(20 * 60);
    assert_eq!(place.alice().take_phone(LIFE).unwrap(), Phone::Ours);
}

#[test]
fn r22_the_reserve_of_one_origin_is_not_anothers() {
    let place = Place::new();
    let [office, home] = [OFFICE, "ssh 203.0.113.9/32"].map(|origin| ALICE.from(origin));
    place.accept(&office, "900000").unwrap();
    place.accept(&home, "910000").unwrap();
    let mut codes = codes();
    for by in [&ALICE, &ALICE, &ALICE, &ALICE, &office, &office, &office] {
        place.refuse(by, &codes.next().unwrap()).unwrap();
    }
    assert!(place.refuse(&office, "999999").is_err());
    pass(60);
    assert_eq!(place.refuse(&home, &codes.next().unwrap()), Ok(()));
}

/// A thief of the first factor who types wrong offline codes does not keep the owner out.
#[test]
fn r22_wrong_offline_codes_count_for_their_origin_alone() {
    let place = Place::new();
    let [office, home] = [OFFICE, "ssh 203.0.113.9/32"].map(|origin| ALICE.from(origin));
    let count = |by: &By<'_>| place.stranger(by).count_offline_code();
    let at_once = (0..50).take_while(|_| count(&office).is_ok()).count();
    assert!((1..50).contains(&at_once), "{at_once}");
    assert_eq!(count(&home), Ok(()));
    // The limit of a day: it is told once, and an offline code that lets in takes back its own.
    let mut told = 0;
    for _ in 0..60 {
        pass(400);
        let mut user_memory = place.stranger(&office);
        let is_counted = user_memory.count_offline_code().is_ok();
        told += usize::from(is_counted && user_memory.last_of_the_day().is_some());
    }
    assert_eq!(told, 1);
    assert!(count(&office).is_err());
    let mut user_memory = place.stranger(&home);
    assert_eq!(user_memory.count_offline_code(), Ok(()));
    user_memory.let_in();
    assert_eq!(count(&home), Ok(()));
}

#[test]
fn r22_a_pointer_that_is_out_of_date_is_counted_for_nobody() {
    let place = Place::new();
    let mut user_memory = place.stranger(&ALICE);
    user_memory.count_look_up().unwrap();
    user_memory.meet(&UserId::parse("1001").unwrap());
    user_memory.looked_up(FOUND);
    let mut user_memory = place.stranger(&ALICE);
    user_memory.recall();
    user_memory.meet(&UserId::parse("1002").unwrap());
    user_memory.count_code(&code("123456")).unwrap();
    assert_eq!(place.alice().standing().unwrap().codes, [0, 0]);
    // Who a failed look-up would have found, nobody knows.
    pass(13 * 3_600);
    let mut user_memory = place.stranger(&ALICE);
    user_memory.recall();
    user_memory.count_look_up().unwrap();
    user_memory.looked_up(LookUpEnd::Other);
    assert_eq!(place.entries(Kind::Pointer).len(), 1);
}

#[test]
fn r22_a_window_is_rounded_up_to_minutes() {
    let mut place = Place::new();
    place.config.limits.window = Duration::from_secs(90);
    for code in codes().take(4) {
        place.refuse(&ALICE, &code).unwrap();
    }
    pass(120);
    assert_eq!(place.refuse(&ALICE, "999999"), TOO_MANY_CODES);
}

#[test]
fn r22_what_seems_to_be_counted_later_counts() {
    let place = Place::new();
    pass(300);
    for code in codes().take(4) {
        place.refuse(&ALICE, &code).unwrap();
    }
    pass(-300);
    assert_eq!(place.refuse(&ALICE, "999999"), TOO_MANY_CODES);
    assert_eq!(place.alice().limit_reached(RefusedCodes), Some(Window));
}

#[test]
fn r22_a_thief_who_breaks_off_look_ups_does_not_keep_the_owner_out() {
    let place = Place::new();
    let at_home = ALICE.from(OFFICE);
    let mut first = place.stranger(&at_home);
    first.count_look_up().unwrap();
    first.meet(&UserId::parse("1001").unwrap());
    first.looked_up(FOUND);
    first.allow();
    // Nobody's first factor.
    let unproven = ALICE.unproven();
    for _ in 0..LOOK_UPS {
        place.stranger(&unproven).count_look_up().unwrap();
    }
    assert_eq!(place.stranger(&unproven).count_look_up(), TOO_MANY);
    // The user's.
    for _ in 0..LOOK_UPS {
        place.stranger(&ALICE).count_look_up().unwrap();
    }
    assert_eq!(place.stranger(&ALICE).count_look_up(), TOO_MANY);
    for _ in 0..LOOK_UPS {
        let mut own = place.stranger(&at_home);
        own.recall();
        assert_eq!(own.count_look_up(), Ok(()));
    }
    let mut own = place.stranger(&at_home);
    own.recall();
    assert_eq!(own.count_look_up(), TOO_MANY);
}

#[test]
fn r22_a_look_up_that_nothing_keeps_counts_until_an_acceptance() {
    let place = Place::new();
    let look_up = || {
        let mut user_memory = place.stranger(&ALICE);
        let result = user_memory.count_look_up();
        user_memory.meet(&UserId::parse("1001").unwrap());
        user_memory.looked_up(LookUpEnd::Found { is_cached: false });
        (user_memory, result)
    };
    for _ in 0..LOOK_UPS - 1 {
        assert_eq!(look_up().1, Ok(()));
    }
    let (mut accepted, _) = look_up();
    assert_eq!(look_up().1, TOO_MANY);
    accepted.allow();
    assert_eq!(look_up().1, Ok(()));
}

#[test]
fn r22_after_a_push_without_a_prompt_that_was_not_approved_none_is_sent_for_ten_minutes() {
    let place = Place::new();
    let push = |by: &By<'_>| place.user_memory(by).count_challenge(Challenge::PushAlone);
    let paused = Err(Uncounted::LimitReached(PushPaused));
    assert_eq!(push(&ALICE), Ok(()));
    assert_eq!(push(&ALICE), paused);
    assert_eq!(place.alice().limit_reached(PushesAlone), Some(PushPaused));
    assert!(place.alice().standing().unwrap().is_push_paused);
    // Logins with a prompt have their own limit.
    assert_eq!(place.alice().limit_reached(Challenges), None);
    assert_eq!(place.challenge(&ALICE), Ok(()));
    pass(660);
    assert_eq!(place.alice().limit_reached(PushesAlone), None);
    // One that is approved, or that OneLogin has not seen, leaves no pause.
    let mut login = place.alice();
    login.count_challenge(Challenge::PushAlone).unwrap();
    login.unsent(PushesAlone);
    let mut login = place.alice();
    login.count_challenge(Challenge::PushAlone).unwrap();
    login.allow();
    assert_eq!(place.alice().limit_reached(PushesAlone), None);
    // A known origin is not paused, but limited.
    let office = ALICE.from(OFFICE);
    place.accept(&office, "123456").unwrap();
    for _ in 0..3 {
        assert_eq!(push(&office), Ok(()));
        assert_eq!(push(&ALICE), paused);
    }
    // It has no reserve.
    assert_eq!(push(&office), TOO_MANY);
    place.alice().reset().unwrap();
    assert_eq!(place.alice().limit_reached(PushesAlone), None);
    assert_eq!(push(&ALICE), Ok(()));
}

#[test]
fn r22_pushes_without_a_prompt_use_up_no_reserve_of_logins_with_one() {
    let place = Place::new();
    let office = ALICE.from(OFFICE);
    place.accept(&office, "123456").unwrap();
    let push = |by: &By<'_>| place.user_memory(by).count_challenge(Challenge::PushAlone);
    // The user's own client at a known origin.
    while push(&office).is_ok() {}
    // A thief of the first factor uses up the challenges from elsewhere.
    while place.challenge(&ALICE).is_ok() {}
    assert_eq!(place.challenge(&office), Ok(()));
}

//! What this host remembers of one user: denials, counted challenges, codes and look-ups, used codes,
//! the pending push (rules R14, R18, R22). What concerns OneLogin's user is counted for that user,
//! whatever their names are here; before it is known who that is, for the name and uid.

use super::entries::{Claim, DAY, Entry, Folder, Kind, NOTHING, SWEPT, minute};
use super::{State, name, name_of, raw_name};
use crate::config::{Attribute, Config, Limits};
use crate::denials::Denials;
use crate::factor::Code;
use crate::host::{exists, is_gone, pid_namespace, sure_identity};
use crate::id::UserId;
use crate::login::{
    Challenge, Forgotten, Full, Limit, LookUp, Memory, Phone, Recalled, Uncounted, Unguessed,
};
use crate::user::{Proof, Subject};
use once_cell::unsync::OnceCell;
use std::iter;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long a folder takes the denials of ssh connections, in seconds. They hold for this one and the
/// next: longer than a host keeps one login waiting, and short enough that the next connection with
/// the same addresses and ports is not meant.
const SPAN: i64 = 600;

/// How many look-ups in an hour may come to nothing; those from a known origin beyond that, each origin
/// for itself.
const LOOK_UPS: usize = 20;

/// How many pushes of one user may be pending by their entries. Of those, one is; the others are of
/// logins that were killed.
const PENDING: usize = 32;

/// What a known origin has beyond the limits, in 24 hours.
const RESERVE_CODES: usize = 3;
const RESERVE_PUSHES: usize = 1;

/// How many counts of a user are given back in a minute because a front end refused the request.
const TURNED_AWAY: usize = 3;

/// How many origins of a user are known.
const ORIGINS: usize = 16;

/// When an origin and a pointer are written down again, in minutes: at the half of their life, so that
/// there are few of them.
const ORIGIN_AGAIN: i64 = 15 * DAY;
const POINTER_AGAIN: i64 = DAY / 2;

/// How many entries are removed from a folder in which nothing counts: a denial makes one.
const OVER_SWEPT: usize = 3;

/// The action that a host may run the stack for more than once.
pub enum Action<'a> {
    /// One ssh connection, named by `SSH_CONNECTION`.
    Connection(String),
    /// One PAM handle, by what it keeps; `None` where it cannot.
    Handle(Option<&'a Denials>),
}

/// Who logs in, by what is known before OneLogin is asked.
pub struct Person<'a> {
    /// The name of the account; of several that one process serves, the one that is meant.
    pub name: &'a str,
    /// Its uid, where there is such an account.
    pub uid: Option<u32>,
    /// Whether something before us has proven the user.
    pub proof: Proof,
    /// Where the login comes from, in words of one kind; `None` where that cannot be told.
    pub origin: Option<&'a str>,
}

impl<'a> Person<'a> {
    /// Somebody whom an admin means, who comes from nowhere.
    #[must_use]
    pub fn of(subject: &'a Subject) -> Self {
        Self {
            name: &subject.name,
            uid: Some(subject.uid),
            proof: subject.proof,
            origin: None,
        }
    }
}

/// How a user stands with the limits: what counts within the window, and within 24 hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Challenges.
    pub challenges: [usize; 2],
    /// Codes that were refused after a first factor.
    pub codes: [usize; 2],
    /// Codes that were refused before anything had proven the user.
    pub unproven_codes: [usize; 2],
    /// Codes and pushes of known origins beyond the limits, in 24 hours.
    pub reserve: usize,
    /// Look-ups within an hour that came to nothing.
    pub look_ups: usize,
    /// How many origins are known.
    pub origins: usize,
    /// Whether no push is sent to unknown origins, as one was denied on the phone.
    pub is_push_denied: bool,
    /// Whether a login waits for the answer to a push.
    pub is_phone_busy: bool,
}

/// The memory of one user in one action.
pub struct Ledger<'a> {
    state: &'a State,
    url: &'a str,
    limits: &'a Limits,
    action: Action<'a>,
    /// The names of this action's denial: in a folder, and in a handle.
    denial: String,
    denied_user: [u8; 16],
    /// The folder in which this login has written its denial.
    denied_in: Option<String>,
    /// Whether this login has written its denial into the handle.
    denied_in_handle: bool,
    proof: Proof,
    /// A digest of where the login comes from.
    origin: Option<String>,
    /// What is known of the local name.
    local: String,
    local_folder: OnceCell<Folder<'a>>,
    /// The OneLogin user, once known.
    user: Option<(UserId, Folder<'a>)>,
    counts_look_ups: bool,
    /// What this login counted, to be taken back on acceptance; the newest last.
    counted: Vec<(Limit, String)>,
    /// The code that was counted last: its entry as a used one.
    used: Option<String>,
    look_up: Option<String>,
    /// Look-ups of this login that count unless it is accepted.
    look_ups: Vec<String>,
    /// The push of this login that is pending: its entry, what that leads to, and when it is over.
    pending: Option<(String, String, i64)>,
    last_of_the_day: Option<Limit>,
    push_denied: bool,
}

impl<'a> Ledger<'a> {
    /// The memory for this action of this person.
    #[must_use]
    pub fn of(
        state: &'a State,
        config: &'a Config,
        action: Action<'a>,
        person: &Person<'_>,
    ) -> Self {
        let users = &config.users;
        let url = config.onelogin.origin.as_str();
        let attribute = users.attribute.as_ref().map(Attribute::name);
        let domain = users.append_domain.as_deref();
        let uid = person.uid.map_or_else(String::new, |uid| uid.to_string());
        let proof = match person.proof {
            Proof::Proven => "proven",
            Proof::Unproven => "unproven",
        };
        let connection = match &action {
            Action::Connection(connection) => connection.as_str(),
            Action::Handle(_) => "",
        };
        Self {
            state,
            url,
            limits: &config.limits,
            denial: name(&[connection, person.name]),
            denied_user: raw_name(&[person.name]),
            denied_in: None,
            denied_in_handle: false,
            action,
            proof: person.proof,
            origin: person.origin.map(|origin| name(&[proof, origin])),
            local: name(&[
                url,
                attribute.as_deref().unwrap_or_default(),
                domain.unwrap_or_default(),
                person.name,
                &uid,
            ]),
            local_folder: OnceCell::new(),
            user: None,
            counts_look_ups: true,
            counted: Vec::new(),
            used: None,
            look_up: None,
            look_ups: Vec::new(),
            pending: None,
            last_of_the_day: None,
            push_denied: false,
        }
    }

    /// For an admin's tool: its look-ups are not counted, and what is known of earlier ones is nothing
    /// to it.
    #[must_use]
    pub fn for_an_admin(mut self) -> Self {
        self.counts_look_ups = false;
        self
    }

    /// Which limit of 24 hours this login has used up by the last that it counted.
    #[must_use]
    pub fn last_of_the_day(&self) -> Option<Limit> {
        self.last_of_the_day
    }

    /// Whether a push of this login was denied on the phone.
    #[must_use]
    pub fn is_push_denied(&self) -> bool {
        self.push_denied
    }

    /// Who the user was at OneLogin when they were looked up last, in this day.
    #[must_use]
    pub fn pointed_at(&self) -> Option<UserId> {
        let seen = self.local_folder().ok()?.seen().ok()?;
        let newest = newest_pointer(&seen, minute(self.state).ok()?)?;
        let id = self.local_folder().ok()?.target(&newest.name()).ok()??;
        UserId::parse(&id)
    }

    /// How the user stands with the limits.
    ///
    /// # Errors
    /// [`Forgotten`] when nobody can tell.
    pub fn standing(&self) -> Result<Standing, Forgotten> {
        let (minute, now) = (minute(self.state)?, self.state.now()?);
        let window = minutes(self.limits.window);
        let mut standing = Standing::default();
        if let Some((_, folder)) = &self.user {
            let seen = folder.seen()?;
            let of = |kind| [window, DAY].map(|life| count(&seen, kind, life, minute));
            standing.challenges = of(Kind::Challenge);
            standing.codes = of(Kind::Code);
            standing.unproven_codes = of(Kind::UnprovenCode);
            standing.reserve = [Kind::ReserveCode, Kind::ReservePush]
                .map(|kind| count(&seen, kind, DAY, minute))
                .iter()
                .sum();
            standing.origins = origins(&seen, minute).len();
            standing.is_push_denied = is_push_denied(&seen, minute);
            standing.is_phone_busy = is_phone_busy(folder, &seen, minute, now)?;
        }
        let seen = self.local_folder()?.seen()?;
        standing.look_ups = [Kind::LookUp, Kind::UnprovenLookUp]
            .map(|kind| count(&seen, kind, kind.life(), minute))
            .iter()
            .sum();
        Ok(standing)
    }

    /// Takes back what was counted of the user, whichever login counted it. For an admin alone. Used
    /// codes and the pending push stay: a code counts once, and a push is one at a time. A login that is
    /// at work meanwhile may take back the place of another one: one count less.
    ///
    /// # Errors
    /// [`Forgotten`] when nobody can tell what is counted now.
    pub fn reset(&self) -> Result<(), Forgotten> {
        if let Some((_, folder)) = &self.user {
            take_back(folder)?;
        }
        take_back(self.local_folder()?)
    }

    /// Lets the denial that this login has written into the handle hold from now on: it was written
    /// before something was sent, and the user may have taken a minute since then. Called when the
    /// login ends without an acceptance. A login that was denied because of an earlier denial has
    /// written none, so it does not prolong that one.
    pub fn renew_denial(&self) {
        if let (Action::Handle(Some(denials)), true) = (&self.action, self.denied_in_handle) {
            if let Ok(now) = self.state.now() {
                denials.add(self.denied_user, now);
            }
        }
    }

    /// Removes what is over; so much at most that nobody waits for it.
    pub fn sweep(&self, is_denied: bool) {
        let folders = [
            self.user.as_ref().map(|(_, folder)| folder),
            self.local_folder.get(),
        ];
        let mut left = SWEPT;
        for folder in folders.into_iter().flatten() {
            left -= folder.sweep(left);
        }
        if is_denied && matches!(self.action, Action::Connection(_)) && left == SWEPT {
            self.sweep_a_folder();
        }
    }

    /// Removes a few entries of a folder in which nothing counts: of denials that are over, of another
    /// start of the machine. Each denial makes one entry at most and this removes some, so that there
    /// are no more of them in the long run.
    fn sweep_a_folder(&self) {
        let (Ok(now), Ok(boot)) = (self.state.now(), self.state.boot()) else {
            return;
        };
        let Ok(Some(mut all)) = self.state.listing(".") else {
            return;
        };
        let is_over = |name: &String| is_over(name, boot, now) || is_abandoned(name);
        let Some(over) = all
            .names()
            .ok()
            .and_then(|names| names.into_iter().find(is_over))
        else {
            return;
        };
        let Ok(Some(mut listing)) = self.state.listing(&over) else {
            return self.state.remove(&over);
        };
        let names = listing.some_names().unwrap_or_default();
        for name in names.iter().take(OVER_SWEPT) {
            self.state.remove(&format!("{over}/{name}"));
        }
        if names.len() <= OVER_SWEPT {
            self.state.remove_folder(&over);
        }
    }

    fn local_folder(&self) -> Result<&Folder<'a>, Forgotten> {
        self.local_folder.get_or_try_init(|| {
            let name = format!("n-{}-{}", self.state.boot()?, self.local);
            Ok(Folder::new(self.state, name))
        })
    }

    fn folder(&self) -> Result<&Folder<'a>, Forgotten> {
        let (_, folder) = self.user.as_ref().ok_or(Forgotten)?;
        Ok(folder)
    }

    fn kind(&self, limit: Limit) -> Kind {
        match (limit, self.proof) {
            (Limit::Challenges, _) => Kind::Challenge,
            (Limit::Failures, Proof::Proven) => Kind::Code,
            (Limit::Failures, Proof::Unproven) => Kind::UnprovenCode,
        }
    }

    /// How many may be counted within the window, and within 24 hours.
    fn most(&self, limit: Limit) -> [usize; 2] {
        let limits = self.limits;
        let most = match limit {
            Limit::Challenges => [limits.challenges, limits.challenges_per_day],
            Limit::Failures => [limits.failures, limits.failures_per_day],
        };
        most.map(|most| usize::try_from(most).unwrap_or_default())
    }

    /// How many places are free of both limits beside these entries.
    fn free<'e>(
        &self,
        limit: Limit,
        entries: impl Iterator<Item = &'e Entry>,
        now: i64,
    ) -> [usize; 2] {
        let kind = self.kind(limit);
        let window = minutes(self.limits.window);
        let [mut free, mut free_today] = self.most(limit);
        for entry in entries.filter(|entry| entry.kind == kind) {
            free = free.saturating_sub(entry.counts(window, now).into());
            free_today = free_today.saturating_sub(entry.counts(DAY, now).into());
        }
        [free, free_today]
    }

    /// The origin of this login, if OneLogin has accepted the user from there.
    fn known_origin(&self, seen: &[Entry], now: i64) -> Option<&str> {
        let origin = self.origin.as_deref()?;
        origins(seen, now).contains(&origin).then_some(origin)
    }

    /// How many places of the reserve are free beside these entries.
    fn free_reserve<'e>(
        limit: Limit,
        origin: &str,
        entries: impl Iterator<Item = &'e Entry>,
        now: i64,
    ) -> (Kind, usize) {
        let (kind, most) = match limit {
            Limit::Challenges => (Kind::ReservePush, RESERVE_PUSHES),
            Limit::Failures => (Kind::ReserveCode, RESERVE_CODES),
        };
        let is_of_it = |entry: &&Entry| {
            entry.kind == kind && entry.rest.starts_with(origin) && entry.counts(DAY, now)
        };
        (kind, most.saturating_sub(entries.filter(is_of_it).count()))
    }

    /// Counts one: within the limits, else of the reserve of a known origin. What was counted in
    /// minutes before leaves fewer places in this one: at no moment has more been counted within the
    /// length of a window, or a day, than may be.
    fn count(
        &self,
        limit: Limit,
        folder: &Folder<'_>,
        minute: i64,
        seen: &[Entry],
    ) -> Result<Result<Counted, Full>, Forgotten> {
        let earlier = || seen.iter().filter(|entry| entry.minute != minute);
        let [free, free_today] = self.free(limit, earlier(), minute);
        let most = free.min(free_today);
        let place = folder.make_in_a_place(self.kind(limit), minute, "", most, seen)?;
        if let Some((place, name)) = place {
            let is_last_of_the_day = place + 1 == free_today;
            return Ok(Ok(Counted {
                name,
                is_last_of_the_day,
            }));
        }
        if let Some(origin) = self.known_origin(seen, minute) {
            let (kind, most) = Self::free_reserve(limit, origin, earlier(), minute);
            let before = format!("{origin}-");
            if let Some((_, name)) = folder.make_in_a_place(kind, minute, &before, most, seen)? {
                return Ok(Ok(Counted {
                    name,
                    is_last_of_the_day: false,
                }));
            }
        }
        Ok(Err(which(free, free_today)))
    }

    /// Counts one, unless `refuse` names a limit that forbids it.
    fn claim_one(
        &mut self,
        limit: Limit,
        refuse: impl Fn(&Self, i64, &[Entry]) -> Option<Full>,
    ) -> Result<(), Uncounted> {
        let folder = self.folder()?;
        let mut counted = None;
        let claim: Claim<Full> = folder.claim(|minute, seen| {
            if let Some(full) = refuse(self, minute, seen) {
                return Ok(Err(full));
            }
            let one = self.count(limit, folder, minute, seen)?;
            Ok(one.map(|one| vec![counted.insert(one).name.clone()]))
        });
        claim?.map_err(Uncounted::Full)?;
        self.counted(limit, counted);
        Ok(())
    }

    fn counted(&mut self, limit: Limit, counted: Option<Counted>) {
        if let Some(counted) = counted {
            self.counted.push((limit, counted.name));
            if counted.is_last_of_the_day {
                self.last_of_the_day = Some(limit);
            }
        }
    }

    /// What stands before the places of look-ups beyond the limit: those of this origin, if the user whom
    /// the name stood for lately is known to come from there.
    fn reserve_of_look_ups(&self) -> Option<String> {
        let (_, folder) = self.user.as_ref()?;
        let (seen, now) = (folder.seen().ok()?, minute(self.state).ok()?);
        Some(format!("{}-", self.known_origin(&seen, now)?))
    }

    /// The folders of denials that count now.
    fn spans(&self) -> Result<[String; 2], Forgotten> {
        let (boot, span) = (self.state.boot()?, self.state.now()?.div_euclid(SPAN));
        Ok([span, span - 1].map(|span| format!("denied-{boot}-{span}")))
    }

    fn write_denial(&mut self) -> Result<(), Forgotten> {
        match &self.action {
            Action::Handle(denials) => {
                let denials = denials.ok_or(Forgotten)?;
                denials.add(self.denied_user, self.state.now()?);
                self.denied_in_handle = true;
            }
            Action::Connection(_) => {
                let [span, _] = self.spans()?;
                let made = self.state.link(&span, &self.denial, NOTHING);
                made.map_err(|_| Forgotten)?;
                self.denied_in = Some(span);
            }
        }
        Ok(())
    }

    /// Where OneLogin has accepted the user from, unless that is known for some time still.
    fn know_origin(&self) -> Result<(), Forgotten> {
        let (Some(origin), folder) = (self.origin.as_deref(), self.folder()?) else {
            return Ok(());
        };
        let (seen, now) = (folder.seen()?, minute(self.state)?);
        let is_fresh = |entry: &Entry| {
            entry.kind == Kind::Origin && entry.rest == origin && entry.counts(ORIGIN_AGAIN, now)
        };
        let known = origins(&seen, now);
        let has_room = known.contains(&origin) || known.len() < ORIGINS;
        if has_room && !seen.iter().any(is_fresh) {
            folder.make(&Kind::Origin.name(now, origin), NOTHING)?;
        }
        Ok(())
    }

    /// Who the name stood for, unless that is known for some time still.
    fn know_user(&self) -> Result<(), Forgotten> {
        let now = minute(self.state)?;
        let known = self.pointed_at();
        let Some(user) = self.user.as_ref().map(|(user, _)| user.clone()) else {
            return Ok(());
        };
        let folder = self.local_folder()?;
        let seen = folder.seen()?;
        let is_fresh = newest_pointer(&seen, now).is_some_and(|it| it.counts(POINTER_AGAIN, now));
        if !is_fresh || known.as_ref() != Some(&user) {
            folder.make(&Kind::Pointer.name(now, ""), user.as_str())?;
        }
        Ok(())
    }
}

/// One more that was counted.
struct Counted {
    name: String,
    /// The day has no place left.
    is_last_of_the_day: bool,
}

impl Memory for Ledger<'_> {
    fn is_denied(&self) -> bool {
        if !self.works() {
            return false;
        }
        match &self.action {
            Action::Handle(denials) => {
                let now = self.state.now();
                let is_held =
                    |denials: &Denials| now.map_or(true, |now| denials.hold(self.denied_user, now));
                denials.is_some_and(is_held)
            }
            Action::Connection(_) => {
                let is_there = |span: &String| {
                    let entry = self.state.target(span, &self.denial);
                    !matches!(entry, Ok(None))
                };
                self.spans()
                    .map_or(true, |spans| spans.iter().any(is_there))
            }
        }
    }

    fn works(&self) -> bool {
        let state = self.state;
        state.trouble().is_none() && state.now().is_ok() && state.boot().is_ok()
    }

    fn deny_beforehand(&mut self) -> Result<(), Forgotten> {
        self.write_denial()
    }

    fn deny(&mut self) -> Result<(), Forgotten> {
        // Nothing bounds how often strangers are denied; what precedes something that is sent is counted.
        let is_bounded = matches!(self.action, Action::Handle(_)) || self.state.has_much_room();
        if is_bounded {
            self.write_denial()
        } else {
            Err(Forgotten)
        }
    }

    fn allow(&mut self) {
        match &self.action {
            Action::Handle(denials) => {
                if let Some(denials) = denials {
                    denials.remove(self.denied_user);
                }
            }
            Action::Connection(_) => {
                if let Some(span) = self.denied_in.take() {
                    self.state.remove(&format!("{span}/{}", self.denial));
                }
            }
        }
        let look_ups = std::mem::take(&mut self.look_ups);
        if let Ok(folder) = self.local_folder() {
            for name in &look_ups {
                folder.remove(name);
            }
        }
        let counted = std::mem::take(&mut self.counted);
        if let Ok(folder) = self.folder() {
            for (_, name) in &counted {
                folder.remove(name);
            }
        }
        // Without it the user has no reserve.
        let _ = self.know_origin();
    }

    fn recall(&mut self) -> Recalled {
        if !self.counts_look_ups {
            return Recalled::Nothing;
        }
        let (Ok(folder), Ok(now)) = (self.local_folder(), minute(self.state)) else {
            return Recalled::Nothing;
        };
        let Ok(seen) = folder.seen() else {
            return Recalled::Nothing;
        };
        if count(&seen, Kind::Nobody, Kind::Nobody.life(), now) > 0 {
            return Recalled::Nobody;
        }
        if self.user.is_none() {
            if let Some(user) = self.pointed_at() {
                self.meet(&user);
            }
        }
        Recalled::Nothing
    }

    fn look_up(&mut self) -> Result<(), Uncounted> {
        if !self.counts_look_ups {
            return Ok(());
        }
        let kind = match self.proof {
            Proof::Proven => Kind::LookUp,
            Proof::Unproven => Kind::UnprovenLookUp,
        };
        let reserve = self.reserve_of_look_ups();
        let folder = self.local_folder()?;
        let claim: Claim<Full> = folder.claim(|minute, seen| {
            for before in iter::once(String::new()).chain(reserve.clone()) {
                let is_earlier = |entry: &&Entry| {
                    let is_of_it = place_of(&entry.rest).0 == before;
                    let is_it = entry.kind == kind && is_of_it && entry.minute != minute;
                    is_it && entry.counts(kind.life(), minute)
                };
                let free = LOOK_UPS.saturating_sub(seen.iter().filter(is_earlier).count());
                let place = folder.make_in_a_place(kind, minute, &before, free, seen)?;
                if let Some((_, name)) = place {
                    return Ok(Ok(vec![name]));
                }
            }
            Ok(Err(Full::Window))
        });
        let names = claim?.map_err(Uncounted::Full)?;
        self.look_up = names.into_iter().next();
        Ok(())
    }

    fn looked_up(&mut self, end: LookUp) {
        let Some(name) = self.look_up.take() else {
            return;
        };
        let (Ok(folder), Ok(minute)) = (self.local_folder(), minute(self.state)) else {
            return;
        };
        match end {
            // Without the entry OneLogin is asked again, as often as look-ups may be counted.
            LookUp::Nobody => drop(folder.make(&Kind::Nobody.name(minute, ""), NOTHING)),
            LookUp::Else => folder.remove(&name),
            LookUp::Found { is_kept } => {
                if is_kept {
                    folder.remove(&name);
                } else {
                    // The next login asks again: an acceptance alone gives it back.
                    self.look_ups.push(name);
                }
                let _ = self.know_user();
            }
        }
    }

    fn meet(&mut self, user: &UserId) {
        if self.user.as_ref().is_some_and(|(known, _)| known == user) {
            return;
        }
        if let Ok(boot) = self.state.boot() {
            let name = format!("u-{boot}-{}", name(&[self.url, user.as_str()]));
            self.user = Some((user.clone(), Folder::new(self.state, name)));
        }
    }

    fn full(&self, limit: Limit) -> Option<Full> {
        // What cannot be read cannot be counted either: the login ends there.
        let (seen, now) = (self.folder().ok()?.seen().ok()?, minute(self.state).ok()?);
        let [free, free_today] = self.free(limit, seen.iter(), now);
        let origin = self.known_origin(&seen, now);
        let reserve = origin.map_or(0, |origin| {
            let (_, free) = Self::free_reserve(limit, origin, seen.iter(), now);
            free
        });
        if free.min(free_today) + reserve == 0 {
            return Some(which(free, free_today));
        }
        let is_paused = limit == Limit::Challenges && origin.is_none();
        (is_paused && is_push_denied(&seen, now)).then_some(Full::PushDenied)
    }

    fn challenge(&mut self, challenge: Challenge) -> Result<(), Uncounted> {
        self.claim_one(Limit::Challenges, |ledger, minute, seen| {
            let is_unknown = ledger.known_origin(seen, minute).is_none();
            let is_paused = challenge == Challenge::Push && is_unknown;
            (is_paused && is_push_denied(seen, minute)).then_some(Full::PushDenied)
        })
    }

    fn push_denied(&mut self) {
        self.push_denied = true;
        if let (Ok(folder), Ok(minute)) = (self.folder(), minute(self.state)) {
            // Without it the limit on challenges holds.
            let _ = folder.make(&Kind::PushDenied.name(minute, ""), NOTHING);
        }
    }

    /// Makes a code this login's alone, before it is sent, and counts it: of two logins that send the
    /// same one at once, one is refused here.
    fn guess(&mut self, code: &Code) -> Result<(), Unguessed> {
        let (user, folder) = self.user.as_ref().ok_or(Forgotten)?;
        let digest = name_of(&[user.as_str()], code.secret());
        let mut counted = None;
        let claim: Claim<Unguessed> = folder.claim(|minute, seen| {
            let is_it = |entry: &Entry| {
                let life = Kind::Used.life();
                entry.kind == Kind::Used && entry.rest == digest && entry.counts(life, minute)
            };
            let own = Kind::Used.name(minute, &digest);
            if seen.iter().any(is_it) || !folder.make(&own, NOTHING)? {
                return Ok(Err(Unguessed::UsedBefore));
            }
            match self.count(Limit::Failures, folder, minute, seen) {
                Ok(Ok(one)) => Ok(Ok(vec![own, counted.insert(one).name.clone()])),
                Ok(Err(full)) => {
                    folder.remove(&own);
                    Ok(Err(Unguessed::Full(full)))
                }
                Err(forgotten) => {
                    folder.remove(&own);
                    Err(forgotten)
                }
            }
        });
        self.used = claim??.into_iter().next();
        self.counted(Limit::Failures, counted);
        Ok(())
    }

    fn refused(&mut self) {
        if let (Some(name), Ok(folder)) = (self.used.take(), self.folder()) {
            folder.remove(&name);
        }
    }

    fn unsent(&mut self, limit: Limit) {
        if limit == Limit::Failures {
            self.refused();
        }
        let last = self.counted.iter().rposition(|(of, _)| *of == limit);
        let name = last.map(|place| self.counted.remove(place).1);
        if let (Some(name), Ok(folder)) = (name, self.folder()) {
            folder.remove(&name);
        }
    }

    fn turned_away(&mut self, limit: Limit) {
        let Ok(folder) = self.folder() else {
            return;
        };
        // Those whom nothing has proven use up nothing of the user's.
        let kind = match self.proof {
            Proof::Proven => Kind::TurnedAway,
            Proof::Unproven => Kind::UnprovenTurnedAway,
        };
        let claim: Claim<()> = folder.claim(|minute, seen| {
            let is_earlier = |entry: &&Entry| {
                entry.kind == kind && entry.minute != minute && entry.counts(kind.life(), minute)
            };
            let free = TURNED_AWAY.saturating_sub(seen.iter().filter(is_earlier).count());
            let place = folder.make_in_a_place(kind, minute, "", free, seen)?;
            Ok(place.map(|(_, name)| vec![name]).ok_or(()))
        });
        if matches!(claim, Ok(Ok(_))) {
            self.unsent(limit);
        }
    }

    fn count_again(&mut self, limit: Limit) -> Result<(), Uncounted> {
        self.claim_one(limit, |_, _, _| None)
    }

    fn take_phone(&mut self, life: Duration) -> Result<Phone, Forgotten> {
        let folder = self.folder()?;
        let mut pending = None;
        let claim: Claim<Phone> = folder.claim(|minute, seen| {
            let now = self.state.now()?;
            let entries = count(seen, Kind::Pending, Kind::Pending.life(), minute);
            if entries >= PENDING || is_phone_busy(folder, seen, minute, now)? {
                return Ok(Err(Phone::Busy));
            }
            let numbers = seen
                .iter()
                .filter(|entry| entry.kind == Kind::Pending && entry.minute == minute);
            let numbers = numbers.filter_map(|entry| entry.rest.parse::<u32>().ok());
            let next = numbers.max().map_or(0, |last| last.saturating_add(1));
            let end = now + i64::try_from(life.as_secs()).unwrap_or(0);
            let name = Kind::Pending.name(minute, &next.to_string());
            // Others must be able to tell that this login is there still.
            let process = sure_identity().ok_or(Forgotten)?;
            let namespace = pid_namespace().ok_or(Forgotten)?;
            let target = format!("{process} {namespace} {} {end}", nonce());
            if !folder.make(&name, &target)? {
                return Ok(Err(Phone::Busy));
            }
            pending = Some((name.clone(), target, end));
            Ok(Ok(vec![name]))
        });
        match claim? {
            Ok(_) => {
                self.pending = pending;
                Ok(Phone::Ours)
            }
            Err(busy) => Ok(busy),
        }
    }

    fn holds_phone(&self) -> bool {
        let (Some((name, target, end)), Ok(folder)) = (&self.pending, self.folder()) else {
            return false;
        };
        let is_over = self.state.now().map_or(true, |now| now >= *end);
        !is_over
            && folder
                .target(name)
                .is_ok_and(|found| found.as_ref() == Some(target))
    }

    fn leave_phone(&mut self) {
        if let (Some((name, ..)), Ok(folder)) = (self.pending.take(), self.folder()) {
            folder.remove(&name);
        }
    }
}

/// What stands before the place in the rest of a name, and the place.
fn place_of(rest: &str) -> (&str, &str) {
    let at = rest.rfind('-').map_or(0, |dash| dash + 1);
    rest.split_at(at)
}

/// How many of a kind count.
fn count(seen: &[Entry], kind: Kind, life: i64, now: i64) -> usize {
    let is_meant = |entry: &&Entry| entry.kind == kind && entry.counts(life, now);
    seen.iter().filter(is_meant).count()
}

/// The origins that are known, each once.
fn origins(seen: &[Entry], now: i64) -> Vec<&str> {
    let mut origins = Vec::new();
    for entry in seen {
        let is_known = entry.kind == Kind::Origin && entry.counts(Kind::Origin.life(), now);
        if is_known && !origins.contains(&entry.rest.as_str()) {
            origins.push(entry.rest.as_str());
        }
    }
    origins
}

fn is_push_denied(seen: &[Entry], now: i64) -> bool {
    count(seen, Kind::PushDenied, Kind::PushDenied.life(), now) > 0
}

fn newest_pointer(seen: &[Entry], now: i64) -> Option<&Entry> {
    let is_meant = |entry: &&Entry| entry.kind == Kind::Pointer && entry.counts(DAY, now);
    seen.iter()
        .filter(is_meant)
        .max_by_key(|entry| entry.minute)
}

/// Which of two limits is to be named; of both, the one that lasts longer.
fn which(free: usize, free_today: usize) -> Full {
    if free_today <= free {
        Full::Day
    } else {
        Full::Window
    }
}

/// Whether some login's push waits for its answer: it is not over, and its process is there.
fn is_phone_busy(
    folder: &Folder<'_>,
    seen: &[Entry],
    minute: i64,
    now: i64,
) -> Result<bool, Forgotten> {
    for entry in seen {
        if entry.kind == Kind::Pending && entry.counts(Kind::Pending.life(), minute) {
            if let Some(target) = folder.target(&entry.name())? {
                if is_pending(&target, now) {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

/// Whether a push is not over whose entry leads to this, and its login is still there. A process of
/// another namespace cannot be looked at: it is there.
fn is_pending(target: &str, now: i64) -> bool {
    let parts: Vec<&str> = target.split(' ').collect();
    let [process, namespace, _, end] = parts.as_slice() else {
        return true;
    };
    let is_over = end.parse().is_ok_and(|end: i64| now >= end);
    let is_of_here = pid_namespace().as_deref() == Some(*namespace);
    let is_dead = is_of_here && is_gone(process);
    !is_over && !is_dead
}

/// What tells two logins of one process apart.
fn nonce() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Removes what counts for a limit.
fn take_back(folder: &Folder<'_>) -> Result<(), Forgotten> {
    for entry in folder.seen()?.iter() {
        match entry.kind {
            Kind::Code
            | Kind::UnprovenCode
            | Kind::Challenge
            | Kind::PushDenied
            | Kind::ReserveCode
            | Kind::ReservePush
            | Kind::TurnedAway
            | Kind::UnprovenTurnedAway
            | Kind::LookUp
            | Kind::UnprovenLookUp
            | Kind::Nobody => folder.remove(&entry.name()),
            Kind::Used | Kind::Pending | Kind::Origin | Kind::Pointer => {}
        }
    }
    Ok(())
}

/// Whether nothing in a folder can count any more: it is of another start of the machine, or of
/// denials that are over.
fn is_over(folder: &str, boot: &str, now: i64) -> bool {
    let mut parts = folder.splitn(3, '-');
    let (Some(kind), Some(of), rest) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    match kind {
        "u" | "n" | "directory" => of != boot,
        "denied" => {
            let span = rest.and_then(|rest| rest.parse::<i64>().ok());
            of != boot || span.is_some_and(|span| span < now.div_euclid(SPAN) - 1)
        }
        // As version 0.1.0 made them.
        "challenge" | "failure" | "used" | "pending" => true,
        _ => false,
    }
}

/// Whether a file is the draft of a process that is gone.
fn is_abandoned(name: &str) -> bool {
    let process = name
        .strip_prefix('.')
        .and_then(|name| name.rsplit_once('.'));
    process.is_some_and(|(_, pid)| pid.bytes().all(|byte| byte.is_ascii_digit()) && !exists(pid))
}

fn minutes(time: Duration) -> i64 {
    i64::try_from(time.as_secs().div_ceil(60)).unwrap_or(DAY)
}

#[cfg(test)]
mod tests;

//! What this host remembers of one user: denials, counted challenges, codes and look-ups, used codes,
//! the pending push (rules R14, R18, R22). What concerns OneLogin's user is counted for that user,
//! whatever their names are here; before it is known who that is, for the name and uid.

mod counting;
mod denial;
mod identity;
mod phone;
mod standing;
mod sweep;

pub use standing::{LookUpPause, Standing};

use counting::{count, place_of, which};

use super::State;
use super::expiring_files::{Claim, DAY, Entry, Folder, Kind, NOTHING, minute};
use crate::config::{Ask, Attribute, Config, Limits};
use crate::denials::Denials;
use crate::digest::{name, name_with, raw_name};
use crate::factor::Code;
use crate::id::UserId;
use crate::login::{
    Challenge, CodeNotCounted, Limit, LimitReached, LookUpEnd, Memory, NoState, Phone, Recalled,
    Uncounted,
};
use crate::user::{Proof, Subject};
use once_cell::unsync::OnceCell;
use std::iter;
use std::time::Duration;

/// How many look-ups in an hour may come to nothing; those from a known origin beyond that, each origin
/// for itself.
const LOOK_UPS: usize = 20;

/// How many minutes after a push without a prompt that was not approved no other one is sent.
const PAUSE: i64 = 10;

/// How many counts of a user are given back in a minute because a front end refused the request.
const TURNED_AWAY: usize = 3;

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
    /// Where the login comes from, as text; `None` if that is unknown.
    pub origin: Option<&'a str>,
}

impl<'a> Person<'a> {
    /// A user named by an administrator; the login has no origin.
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

/// The memory of one user in one action.
pub struct UserMemory<'a> {
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
    /// How this login asks.
    ask: Ask,
    /// What this login counted, to be taken back on acceptance; the newest last.
    counted: Vec<(Limit, String)>,
    /// The code that was counted last: its entry as a used one.
    used: Option<String>,
    look_up: Option<String>,
    /// Look-ups of this login that count unless it is accepted.
    look_ups: Vec<String>,
    /// Offline codes of this login that count as wrong unless it is let in by one.
    offline_codes: Vec<String>,
    /// The push of this login that is pending: its entry, what that leads to, and when it is over.
    pending: Option<(String, String, i64)>,
    last_of_the_day: Option<Limit>,
    push_denied: bool,
}

impl<'a> UserMemory<'a> {
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
            ask: config.ask,
            counted: Vec::new(),
            used: None,
            look_up: None,
            look_ups: Vec::new(),
            offline_codes: Vec::new(),
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

    fn local_folder(&self) -> Result<&Folder<'a>, NoState> {
        self.local_folder.get_or_try_init(|| {
            let name = format!("n-{}-{}", self.state.boot()?, self.local);
            Ok(Folder::new(self.state, name))
        })
    }

    fn folder(&self) -> Result<&Folder<'a>, NoState> {
        let (_, folder) = self.user.as_ref().ok_or(NoState)?;
        Ok(folder)
    }

    /// What stands before the places of look-ups beyond the limit: those of this origin, if the user whom
    /// the name stood for lately is known to come from there.
    fn reserve_of_look_ups(&self) -> Option<String> {
        let (_, folder) = self.user.as_ref()?;
        let (seen, now) = (folder.seen().ok()?, minute(self.state).ok()?);
        Some(format!("{}-", self.known_origin(&seen, now)?))
    }
}

impl Memory for UserMemory<'_> {
    fn is_denied(&self) -> bool {
        self.works() && self.has_denial()
    }

    fn works(&self) -> bool {
        let state = self.state;
        state.trouble().is_none() && state.now().is_ok() && state.boot().is_ok()
    }

    fn deny_beforehand(&mut self) -> Result<(), NoState> {
        self.write_denial()
    }

    fn deny(&mut self) -> Result<(), NoState> {
        // Denials of unproven users are not limited, so they are written only while the file system has many free inodes;
        // `deny_beforehand` is limited by the counts.
        let is_bounded = matches!(self.action, Action::Handle(_)) || self.state.has_much_room();
        if is_bounded {
            self.write_denial()
        } else {
            Err(NoState)
        }
    }

    fn allow(&mut self) {
        self.remove_denial();
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
        let is_noted = |kind: Kind| count(&seen, kind, kind.life(), now) > 0;
        if is_noted(Kind::NothingToVerify)
            || self.ask.is_push_only() && is_noted(Kind::NothingToPush)
        {
            return Recalled::NothingToVerify;
        }
        if self.user.is_none() {
            if let Some(user) = self.pointed_at() {
                self.meet(&user);
            }
        }
        Recalled::Nothing
    }

    fn count_look_up(&mut self) -> Result<(), Uncounted> {
        if !self.counts_look_ups {
            return Ok(());
        }
        let kind = match self.proof {
            Proof::Proven => Kind::LookUp,
            Proof::Unproven => Kind::UnprovenLookUp,
        };
        let reserve = self.reserve_of_look_ups();
        let folder = self.local_folder()?;
        let claim: Claim<LimitReached> = folder.claim(|minute, seen| {
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
            Ok(Err(LimitReached::Window))
        });
        let names = claim?.map_err(Uncounted::LimitReached)?;
        self.look_up = names.into_iter().next();
        Ok(())
    }

    fn looked_up(&mut self, end: LookUpEnd) {
        let look_up = self.look_up.take();
        let (Ok(folder), Ok(minute)) = (self.local_folder(), minute(self.state)) else {
            return;
        };
        // A program comes back by itself, also where the user was known and no look-up was counted. What it cannot use, other
        // services may.
        if self.ask.is_push_only() && end == LookUpEnd::NothingToVerify {
            drop(folder.make(&Kind::NothingToPush.name(minute, ""), NOTHING));
            return;
        }
        let Some(name) = look_up else {
            return;
        };
        match end {
            // Without the entry OneLogin is asked again, as often as look-ups may be counted.
            LookUpEnd::NothingToVerify => {
                drop(folder.make(&Kind::NothingToVerify.name(minute, ""), NOTHING));
            }
            LookUpEnd::Other => folder.remove(&name),
            LookUpEnd::Found { is_cached } => {
                if is_cached {
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

    fn limit_reached(&self, limit: Limit) -> Option<LimitReached> {
        // What cannot be read cannot be counted either: the login ends there.
        let (seen, now) = (self.folder().ok()?.seen().ok()?, minute(self.state).ok()?);
        let [free, free_today] = self.free(limit, seen.iter(), now);
        let origin = self.known_origin(&seen, now);
        let reserve = origin.map_or(0, |origin| {
            Self::free_reserve(limit, origin, seen.iter(), now).map_or(0, |(_, free)| free)
        });
        if free.min(free_today) + reserve == 0 {
            return Some(which(free, free_today));
        }
        match limit {
            Limit::Challenges | Limit::PushesAlone => pause(limit, &seen, now, origin.is_some()),
            Limit::RefusedCodes | Limit::OfflineCodes => None,
        }
    }

    fn count_challenge(&mut self, challenge: Challenge) -> Result<(), Uncounted> {
        let limit = match challenge {
            Challenge::Push | Challenge::Other => Limit::Challenges,
            Challenge::PushAlone => Limit::PushesAlone,
        };
        self.claim_one(limit, |user_memory, minute, seen| {
            let is_known = user_memory.known_origin(seen, minute).is_some();
            let is_push = challenge != Challenge::Other;
            pause(limit, seen, minute, is_known).filter(|_| is_push)
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
    fn count_code(&mut self, code: &Code) -> Result<(), CodeNotCounted> {
        let (user, folder) = self.user.as_ref().ok_or(NoState)?;
        let digest = name_with(&[user.as_str()], code.secret());
        let mut counted = None;
        let claim: Claim<CodeNotCounted> = folder.claim(|minute, seen| {
            let is_it = |entry: &Entry| {
                let life = Kind::Used.life();
                entry.kind == Kind::Used && entry.rest == digest && entry.counts(life, minute)
            };
            let own = Kind::Used.name(minute, &digest);
            if seen.iter().any(is_it) || !folder.make(&own, NOTHING)? {
                return Ok(Err(CodeNotCounted::UsedBefore));
            }
            match self.count(Limit::RefusedCodes, folder, minute, seen) {
                Ok(Ok(one)) => Ok(Ok(vec![own, counted.insert(one).name.clone()])),
                Ok(Err(reached)) => {
                    folder.remove(&own);
                    Ok(Err(CodeNotCounted::LimitReached(reached)))
                }
                Err(no_state) => {
                    folder.remove(&own);
                    Err(no_state)
                }
            }
        });
        self.used = claim??.into_iter().next();
        self.counted(Limit::RefusedCodes, counted);
        Ok(())
    }

    fn refused(&mut self) {
        if let (Some(name), Ok(folder)) = (self.used.take(), self.folder()) {
            folder.remove(&name);
        }
    }

    fn unsent(&mut self, limit: Limit) {
        if limit == Limit::RefusedCodes {
            self.refused();
        }
        let last = self.counted.iter().rposition(|(of, _)| *of == limit);
        let name = last.map(|place| self.counted.remove(place).1);
        if let (Some(name), Ok(folder)) = (name, self.folder()) {
            folder.remove(&name);
            if self.last_of_the_day == Some(limit) {
                self.last_of_the_day = None;
            }
        }
    }

    fn turned_away(&mut self, limit: Limit) {
        let Ok(folder) = self.folder() else {
            return;
        };
        // Unproven logins use up no count of the proven user.
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

    fn count_offline_code(&mut self) -> Result<(), Uncounted> {
        let folder = self.local_folder()?;
        // Each origin for itself: a code cannot be guessed, and a thief of the first factor must not keep the owner out.
        let before = self.origin.as_ref().map(|origin| format!("{origin}-"));
        let before = before.unwrap_or_default();
        let mut is_last_of_the_day = false;
        let claim: Claim<LimitReached> = folder.claim(|minute, seen| {
            let is_of_it = |entry: &&Entry| place_of(&entry.rest).0 == before;
            let earlier = seen.iter().filter(|entry| entry.minute != minute);
            let [free, free_today] =
                self.free(Limit::OfflineCodes, earlier.filter(is_of_it), minute);
            let most = free.min(free_today);
            let place =
                folder.make_in_a_place(Kind::WrongOfflineCode, minute, &before, most, seen)?;
            Ok(place.map_or(Err(which(free, free_today)), |(place, name)| {
                is_last_of_the_day = place + 1 == free_today;
                Ok(vec![name])
            }))
        });
        let names = claim?.map_err(Uncounted::LimitReached)?;
        self.offline_codes.extend(names);
        if is_last_of_the_day {
            self.last_of_the_day = Some(Limit::OfflineCodes);
        }
        Ok(())
    }

    fn let_in(&mut self) {
        self.remove_denial();
        let names = std::mem::take(&mut self.offline_codes);
        if let Ok(folder) = self.local_folder() {
            for name in &names {
                folder.remove(name);
            }
        }
        if self.last_of_the_day == Some(Limit::OfflineCodes) {
            self.last_of_the_day = None;
        }
    }

    fn take_phone(&mut self, life: Duration) -> Result<Phone, NoState> {
        self.claim_phone(life)
    }

    fn holds_phone(&self) -> bool {
        self.has_phone()
    }

    fn leave_phone(&mut self) {
        self.release_phone();
    }
}

/// Why no push is sent for this limit now, but to known origins.
fn pause(limit: Limit, seen: &[Entry], now: i64, is_known: bool) -> Option<LimitReached> {
    let is_mute = limit == Limit::PushesAlone;
    // A person at a known origin sees what they cause; of a program, all its users may have one origin.
    if is_push_denied(seen, now) && (is_mute || !is_known) {
        return Some(LimitReached::PushDenied);
    }
    let is_paused = is_mute && !is_known && count(seen, Kind::PushAlone, PAUSE, now) > 0;
    is_paused.then_some(LimitReached::PushPaused)
}

fn is_push_denied(seen: &[Entry], now: i64) -> bool {
    count(seen, Kind::PushDenied, Kind::PushDenied.life(), now) > 0
}

fn minutes(time: Duration) -> i64 {
    i64::try_from(time.as_secs().div_ceil(60)).unwrap_or(DAY)
}

#[cfg(test)]
mod tests;

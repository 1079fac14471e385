//! One service's stack: what follows from each return code of `pam_onelogin`, and which logins succeed
//! without it. A long file, because all findings follow from the same walk of the stack.

use crate::examine::stacks::edit::{Edit, Found, Spot};
use crate::examine::stacks::programs::{Reach, needs_no_login};
use crate::examine::stacks::rewrite::line;
use crate::examine::subject::Subject;
use crate::pam_stack::known_modules::{
    OURS, Role, asks_for_code, is_password, is_second, may_be_password, may_ignore, returns, role,
};
use crate::pam_stack::spelling::is_ours_or_almost;
use crate::pam_stack::{
    ABORT, AUTH_ERR, AUTHINFO_UNAVAIL, Action, Body, CONF, Code, Control, Entry, IGNORE,
    INCOMPLETE, Jumps, Kind, MODULE_UNKNOWN, Model, SUCCESS, Skip, Stack, USER_UNKNOWN, Way,
    authenticate, explore, name, set_credentials,
};
use crate::ui::finding::{Finding, Severity};
use pam_onelogin::config::FirstFactor;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

/// A stack with what is known of its modules.
pub(super) struct Judge<'a> {
    /// The service's name.
    pub(super) name: &'a str,
    pub(super) subject: &'a Subject<'a>,
    pub(super) service: &'a Stack,
    /// Whether sshd uses it: a key may come before the stack.
    pub(super) is_ssh: bool,
    /// Whether a key, or the like, comes before the stack.
    pub(super) key: Key,
    /// The accounts whose prompts the user of the program can reach.
    pub(super) reach: Reach,
    /// Whether a program that runs as root uses it, for users who have not logged in yet.
    pub(super) is_login: bool,
    /// The folders of the modules; without any, modules are not looked for.
    pub(super) folders: &'a [PathBuf],
}

/// The logins through sshd in which a key, or a similar method, comes before the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Some of them, or none.
    Open,
    /// All that no `Match` block changes.
    First,
    /// All: our argument demands it, or `AuthenticationMethods` does, in each `Match` block as well.
    Always,
}

/// Each way in which a stack can end: whether it succeeds, and what happened on the way.
struct Outcomes {
    ends: HashSet<(bool, Way)>,
    /// Whether these are all.
    is_whole: bool,
}

/// The summary of all outcomes.
#[derive(Default)]
struct Summary {
    /// Whether a user who is not already root can log in.
    lets_in: bool,
    /// Whether the code alone is enough.
    unproven: bool,
    /// Whether `pam_onelogin` is called before a first factor.
    asked_first: bool,
    /// The lines that skip `pam_onelogin`, and whether they do so after a success. The value tells whether a
    /// first factor had succeeded each time.
    skips: BTreeMap<(usize, bool), bool>,
    /// The first factors that had failed before `pam_onelogin` was called.
    bombs: BTreeSet<usize>,
}

impl Outcomes {
    fn summary(&self, chain: &[Entry]) -> Summary {
        let mut sum = Summary::default();
        for (is_success, way) in &self.ends {
            let skip = way.skip.filter(|_| *is_success && way.answered.is_none());
            let by = skip.and_then(|skip| chain.get(skip.by));
            let is_by_root = by.is_some_and(|entry| role(entry) == Role::Root);
            sum.lets_in |= *is_success && !is_by_root;
            sum.unproven |= *is_success && way.answered == Some(SUCCESS) && !way.proven;
            sum.asked_first |= way.asked_first;
            sum.bombs.extend(way.asked_after_refusal);
            if let Some(skip) = skip {
                *sum.skips.entry((skip.by, skip.is_yes)).or_insert(true) &= skip.is_proven;
            }
        }
        sum
    }

    /// Whether a login succeeds after this return code of `pam_onelogin`.
    fn let_in(&self, code: Code) -> bool {
        let mut ends = self.ends.iter();
        ends.any(|(is_success, way)| *is_success && way.answered == Some(code))
    }
}

impl Judge<'_> {
    /// Everything about this service.
    pub(super) fn findings(&self) -> Vec<Found> {
        if let Some(unreadable) = &self.service.unreadable {
            return vec![self.unreadable(unreadable)];
        }
        let mut findings: Vec<Found> = Vec::new();
        for kind in [Kind::Account, Kind::Session, Kind::Password] {
            findings.extend(self.elsewhere(kind).map(Found::from));
        }
        if let Some(finding) = self.carriage_return().filter(|_| self.is_ours()) {
            findings.push(finding.into());
            return findings;
        }
        for entry in self.ours() {
            findings.extend(self.arguments(entry).into_iter().map(Found::from));
        }
        findings.extend(self.lines());
        let Some(first) = self.ours().next() else {
            return findings;
        };
        let is_broken = findings
            .iter()
            .any(|found| BROKEN.contains(&found.finding.id));
        let outcomes = self.outcomes();
        findings.extend(self.asked_twice(first, &outcomes));
        findings.extend(self.asked_by_another(first).map(Found::from));
        findings.extend(self.denied(first, &outcomes));
        let successes = self.successes(first, &outcomes, is_broken);
        let is_right = successes.is_empty();
        for entry in self.ours() {
            findings.extend(self.behind_key(entry, is_right));
        }
        let denies_all = is_broken && !self.lets_in();
        if successes.is_empty() && !denies_all {
            findings.extend(self.exempt(first, &outcomes));
        }
        findings.extend(successes);
        findings.extend(self.credentials(first).filter(|_| !denies_all));
        let is_used = self.subject.can_ask(self.name) && !needs_no_login(self.name);
        if is_used && !findings.iter().any(|found| found.finding.severity.is_bad()) {
            findings.push(
                Finding::good("stack", "pam_onelogin is called, and its denial is final")
                    .at(&first.path, first.line)
                    .into(),
            );
        }
        findings
    }

    /// The lines that libpam cannot use, and those whose module does not exist.
    pub(super) fn lines(&self) -> Vec<Found> {
        let denies_all = !self.lets_in();
        let auth = self.chain().iter();
        let mut findings: Vec<_> = auth
            .filter_map(|entry| self.line(entry, denies_all))
            .collect();
        let account = self.service.chain(Kind::Account).iter();
        findings.extend(account.filter_map(|entry| self.unusable(entry, denies_all)));
        let session = self.service.chain(Kind::Session).iter();
        findings.extend(session.filter_map(|entry| {
            let mut found = self.unusable(entry, false)?;
            found.finding.severity = Severity::Warning;
            found.finding.why = Some(SESSION.to_owned());
            Some(found)
        }));
        findings
    }

    /// Whether some login through this stack succeeds. A user who is already root does not count, unless the program of the
    /// service runs as root.
    pub(super) fn lets_in(&self) -> bool {
        if self.service.unreadable.is_some() || self.denies_accounts() {
            return false;
        }
        let chain = self.chain();
        let returned: Vec<Vec<Code>> = chain
            .iter()
            .map(|entry| match returns(entry) {
                _ if self.is_missing(entry) => vec![MODULE_UNKNOWN],
                None => vec![SUCCESS],
                Some(_) if role(entry) == Role::Root && !self.is_login => vec![AUTH_ERR],
                Some(codes) => unlike(&entry.control, codes),
            })
            .collect();
        let mut lets_in = false;
        let model = Model {
            is_ours: &|_| false,
            is_factor: &|_| false,
            returns: &|index| returned.get(index).map(Vec::as_slice).unwrap_or_default(),
        };
        let is_whole = explore(chain, &model, |answer, _| lets_in |= answer == SUCCESS);
        lets_in || !is_whole
    }

    /// Whether a line that libpam cannot use, or whose module does not exist, makes the account stack fail.
    fn denies_accounts(&self) -> bool {
        let chain = self.service.chain(Kind::Account);
        let is_broken = |entry: &Entry| {
            matches!(entry.body, Body::Broken(_))
                || self.is_missing(entry)
                || entry.body != Body::Substack && Control::parse(&entry.control_text).1.is_some()
        };
        let passes = |index: usize| match chain.get(index) {
            Some(entry) if self.is_missing(entry) => MODULE_UNKNOWN,
            Some(entry) if role(entry) == Role::Deny => AUTH_ERR,
            _ => SUCCESS,
        };
        chain.iter().any(is_broken) && authenticate(chain, passes).0 != SUCCESS
    }

    /// Whether this line was meant to call our module, and does not.
    pub(super) fn misses_us(&self, entry: &Entry) -> bool {
        match &entry.body {
            Body::Broken(_) => self.means_us(entry),
            Body::Module { name, .. } => {
                role(entry) != Role::Ours && is_ours_or_almost(name) && self.is_missing(entry)
            }
            Body::Substack => false,
        }
    }

    /// Whether a line calls our module, or was meant to.
    fn is_ours(&self) -> bool {
        let mut chain = self.chain().iter();
        chain.any(|entry| entry.is(OURS) || self.misses_us(entry))
    }

    /// After a first factor, another module asks for a code or a push as well.
    fn asked_by_another(&self, first: &Entry) -> Option<Finding> {
        let chain = self.chain();
        let passes = |index: usize| match chain.get(index).map(role) {
            Some(Role::Deny) => AUTH_ERR,
            _ => SUCCESS,
        };
        let (_, reached) = authenticate(chain, passes);
        let called = || {
            let pairs = chain.iter().zip(&reached);
            pairs
                .filter(|(_, code)| code.is_some())
                .map(|(entry, _)| entry)
        };
        let is_asked = called().any(|entry| entry.is(OURS));
        let is_proven = self.is_ssh || called().any(is_password);
        let other = called().find(|entry| asks_for_code(entry))?;
        if !is_asked || !is_proven {
            return None;
        }
        let module = other.module().unwrap_or_default();
        let what = format!("{module} asks for a second factor, too");
        let why = format!(
            "users are asked for a second factor twice: here, and by pam_onelogin in {}",
            spot(first)
        );
        let finding = Finding::warning("asked-by-another", what).at(&other.path, other.line);
        Some(finding.why(why).advice(
            "put a # before the line, unless users must pass both; then type: sudo pam-onelogin check",
        ))
    }

    /// Two lines ask the user.
    fn asked_twice(&self, first: &Entry, outcomes: &Outcomes) -> Option<Found> {
        let mut ends = outcomes.ends.iter();
        let is_twice = ends.any(|(is_success, way)| *is_success && way.asked_twice);
        let second = self.ours().nth(1).filter(|_| is_twice)?;
        let finding = Finding::warning("asked-twice", "pam_onelogin is in the stack twice")
            .at(&second.path, second.line)
            .why(format!(
                "the user is asked twice; the other line is {}",
                spot(first)
            ));
        // With other arguments it asks by other settings.
        let edits = if second.arguments() == first.arguments() {
            vec![Edit::TakeOut(place(second)), Edit::Rewrite]
        } else {
            Vec::new()
        };
        Some(Found::mended_by(finding, edits))
    }

    pub(super) fn chain(&self) -> &[Entry] {
        self.service.chain(Kind::Auth)
    }

    fn ours(&self) -> impl Iterator<Item = &Entry> {
        self.service.ours()
    }

    /// All outcomes of the stack. Denials of `pam_onelogin` with the same effect count as one.
    fn outcomes(&self) -> Outcomes {
        let chain = self.chain();
        let is = |index: usize, wanted: Role| chain.get(index).is_some_and(|it| role(it) == wanted);
        let mut answers = vec![SUCCESS, IGNORE];
        answers.extend(
            self.denials()
                .into_iter()
                .filter_map(|alike| alike.first().copied()),
        );
        let returned: Vec<Vec<Code>> = chain
            .iter()
            .map(|entry| match returns(entry) {
                None => answers.clone(),
                Some(_) if self.is_missing(entry) => vec![MODULE_UNKNOWN],
                Some(codes) => unlike(&entry.control, codes),
            })
            .collect();
        let mut ends = HashSet::new();
        let is_whole = explore(
            chain,
            &Model {
                is_ours: &|index| is(index, Role::Ours),
                is_factor: &|index| is(index, Role::Factor),
                returns: &|index| returned.get(index).map(Vec::as_slice).unwrap_or_default(),
            },
            |answer, way| {
                ends.insert((answer == SUCCESS, way));
            },
        );
        Outcomes { ends, is_whole }
    }

    /// The denials of `pam_onelogin`, grouped by what its lines in the stack do with them.
    fn denials(&self) -> Vec<Vec<Code>> {
        let mut groups: Vec<(Vec<Action>, Vec<Code>)> = Vec::new();
        for code in (0..INCOMPLETE).filter(|&code| code != SUCCESS && code != IGNORE) {
            let actions: Vec<_> = self.ours().map(|ours| ours.control.action(code)).collect();
            match groups.iter_mut().find(|(known, _)| *known == actions) {
                Some((_, codes)) => codes.push(code),
                None => groups.push((actions, vec![code])),
            }
        }
        groups.into_iter().map(|(_, codes)| codes).collect()
    }

    /// A finding if a denial of `pam_onelogin` does not end in a denial of the stack.
    fn denied(&self, ours: &Entry, outcomes: &Outcomes) -> Option<Found> {
        let groups = self.denials().into_iter();
        let mut open: Vec<Code> = groups
            .filter(|alike| alike.first().is_some_and(|&code| outcomes.let_in(code)))
            .flatten()
            .collect();
        if open.is_empty() {
            return None;
        }
        let what = if OUR_DENIALS.iter().all(|code| open.contains(code)) {
            "a denial by OneLogin does not stop the login".to_owned()
        } else {
            open.sort_by_key(|code| !OUR_DENIALS.contains(code));
            let shown: Vec<_> = open.iter().take(3).map(|&code| name(code)).collect();
            let more = match open.len().saturating_sub(shown.len()) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!(
                "a denial with {}{more} does not stop the login",
                shown.join(", ")
            )
        };
        let why = format!("the control is \"{}\"", ours.control_text);
        let finding = Finding::fault("denial-lets-in", what)
            .at(&ours.path, ours.line)
            .opens_to("users that OneLogin denies")
            .why(why);
        let edits = [
            self.with_control(ours, "required"),
            Some(Edit::Behind(place(ours), self.own(ours, DENY))),
            Some(Edit::Rewrite),
        ];
        Some(Found::mended_by(
            finding,
            edits.into_iter().flatten().collect::<Vec<_>>(),
        ))
    }

    /// Findings about who can log in, and when the user is asked.
    fn successes(&self, ours: &Entry, outcomes: &Outcomes, is_broken: bool) -> Vec<Found> {
        let chain = self.chain();
        let Summary {
            lets_in,
            unproven,
            asked_first,
            skips,
            mut bombs,
        } = outcomes.summary(chain);
        let at = |finding: Finding| finding.at(&ours.path, ours.line);
        let has_factor = chain.iter().any(|entry| role(entry) == Role::Factor);
        let mut findings: Vec<Found> = Vec::new();
        if !outcomes.is_whole {
            let what = "the stack has too many paths to check all of them";
            findings.push(
                at(Finding::warning("too-large", what)
                    .why("check may miss a fault in it")
                    .advice("simplify the stack"))
                .into(),
            );
        }
        // A line that libpam cannot use has a finding of its own.
        if !lets_in && !is_broken {
            let what = "no user can log in, whatever OneLogin decides";
            let finding = Finding::fault("never-lets-in", what)
                .why("even after a success of pam_onelogin, the stack ends in a denial");
            findings.push(Found::mended_by(at(finding), [Edit::Rewrite]));
        }
        let is_bombed = !bombs.is_empty();
        // The edit that mends a line that succeeds too early mends this as well.
        bombs.retain(|&index| !skips.contains_key(&(index, true)));
        findings.extend(skips.iter().filter_map(|(&(by, is_yes), &is_proven)| {
            let skip = Skip {
                by,
                is_yes,
                is_proven,
            };
            self.skip(skip, ours)
        }));
        for entry in bombs.into_iter().filter_map(|index| chain.get(index)) {
            let module = entry.module().unwrap_or_default();
            let what = format!("pam_onelogin is called although {module} failed");
            let finding = Finding::fault("asked-after-refusal", what)
                .at(&entry.path, entry.line)
                .why("an attacker can send pushes to a user's phone without the password");
            findings.push(Found::mended_by(
                finding,
                self.required_at_once(entry, ours),
            ));
        }
        if unproven && !self.is_ssh && !is_bombed {
            findings.push(self.no_first_factor(ours, has_factor));
        } else if asked_first && has_factor && !is_bombed && self.key == Key::Open {
            let finding = at(self.asked_first());
            findings.push(Found::mended_by(finding, [Edit::Rewrite]));
        }
        findings
    }

    /// The code alone is enough.
    fn no_first_factor(&self, ours: &Entry, has_factor: bool) -> Found {
        let what = if has_factor {
            "the first factor can be skipped"
        } else {
            "the stack has no first factor"
        };
        // A user of sudo has logged in, and reaches only their own prompts.
        let is_push_only = self.subject.is_push_only(self.name);
        let by_push = self.subject.table(self.name).filter(|_| is_push_only);
        let finding = if self.is_login || self.reach == Reach::Others || by_push.is_some() {
            Finding::fault("no-first-factor", what)
        } else {
            Finding::warning("no-first-factor", what)
        };
        let why = match by_push.map(|table| table.first_factor) {
            None => "the code alone is enough to log in, and exempt users need no factor at all",
            Some(Some(FirstFactor::Assumed)) => {
                "a login without the password sends a push, and exempt users need no factor at all"
            }
            Some(_) => {
                "with ask = \"push\", a login without a first factor is denied, and exempt users need no \
                 factor at all"
            }
        };
        let mut before = self.chain().iter().take_while(|entry| !entry.is(OURS));
        let edits = if has_factor {
            vec![Edit::Rewrite]
        } else if before.any(may_be_password) {
            Vec::new()
        } else {
            vec![
                Edit::Before(place(ours), self.own(ours, UNIX)),
                Edit::Rewrite,
            ]
        };
        let finding = finding.why(why).at(&ours.path, ours.line);
        Found::mended_by(finding, edits)
    }

    /// Our line is before the one that checks the password.
    fn asked_first(&self) -> Finding {
        let mut factors = self.chain().iter();
        let factor = factors.find(|entry| role(entry) == Role::Factor);
        let factor = factor.and_then(Entry::module).unwrap_or_default();
        let what = format!("pam_onelogin is called before {factor}, the first factor");
        match self.reach {
            Reach::Others => Finding::fault("asked-first", what).why(
                "a user can reach the prompts of another account without the password of that account",
            ),
            Reach::Own => Finding::warning("asked-first", what)
                .why("anyone at a terminal of the user can send pushes without the password"),
            Reach::None => Finding::warning("asked-first", what)
                .why("before a first factor, the user gets one prompt for a code, and no push"),
        }
    }

    /// What happens to users that the configuration exempts.
    fn exempt(&self, ours: &Entry, outcomes: &Outcomes) -> Option<Found> {
        if outcomes.let_in(IGNORE) {
            return None;
        }
        let what = "users who are exempt from the second factor are denied";
        let finding = if self.subject.exempts() {
            Finding::fault("exempt-denied", what)
        } else {
            Finding::note("exempt-denied", what)
        };
        let finding = finding.at(&ours.path, ours.line);
        let mut edits = Vec::new();
        let finding = if ours.control.action(IGNORE) == Action::Ignore {
            // Elsewhere exempt users could log in without any factor.
            if self.key == Key::Always {
                edits.push(Edit::Behind(place(ours), self.own(ours, PERMIT)));
            }
            finding.why("for an exempt user the module returns PAM_IGNORE, which does not count, and no other line succeeds")
        } else {
            edits.extend(self.with_control(ours, "required"));
            finding.why(format!(
                "for an exempt user the module returns PAM_IGNORE, and \"{}\" treats that as a denial",
                ours.control_text
            ))
        };
        edits.push(Edit::Rewrite);
        Some(Found::mended_by(finding, edits))
    }

    /// Whether setcred succeeds where authenticate was not called, as after a login with a key. (After a
    /// successful authenticate it does: each line that counted there counts with what setcred returns.)
    fn credentials(&self, ours: &Entry) -> Option<Found> {
        let chain = self.chain();
        let jumps = if self.subject.machine.has("/etc/debian_version") {
            Jumps::AreIgnored
        } else {
            Jumps::Count
        };
        let sets = |index: usize| match chain.get(index) {
            Some(entry) if role(entry) == Role::Deny => CRED_ERR,
            Some(entry) if entry.is("pam_succeed_if") => IGNORE,
            _ => SUCCESS,
        };
        if !self.is_ssh || set_credentials(chain, &[], jumps, sets) == SUCCESS {
            return None;
        }
        let what = "a login with a key alone fails in this stack";
        let finding = Finding::warning("setcred", what)
            .at(&ours.path, ours.line)
            .why("sshd then calls only pam_setcred, and these lines give no success there; it matters if sshd_config allows a key alone");
        Some(Found::mended_by(finding, [Edit::Rewrite]))
    }

    /// A line that ends the stack with a success before `pam_onelogin`.
    fn skip(&self, skip: Skip, ours: &Entry) -> Option<Found> {
        let entry = self.chain().get(skip.by)?;
        let module = entry.module().unwrap_or_default();
        let words = entry.arguments().join(" ");
        let because = format!("the control \"{}\" skips pam_onelogin", entry.control_text);
        let not_asked = format!("pam_onelogin is not called when {module} succeeds");
        let is_before_deny = self.chain().get(skip.by + 1).map(role) == Some(Role::Deny);
        let take_out = || vec![Edit::TakeOut(place(entry)), Edit::Rewrite];
        let (finding, edits) = match role(entry) {
            Role::Root if self.is_login => {
                let what = format!("{module} accepts every user, without any factor");
                let why = "the program that uses this stack runs as root, so the module always \
                           succeeds; it is for su and similar programs";
                (Finding::fault("skips", what).why(why), take_out())
            }
            Role::Root => {
                let what = "root can become another user without a factor";
                let why = "pam_rootok accepts root, as is usual in su";
                (Finding::note("root-skips", what).why(why), Vec::new())
            }
            Role::Gate if entry.is("pam_cockpit_cert") || entry.is("pam_selinux_permit") => {
                let what = format!("a user who passes {module} needs no second factor");
                let finding = Finding::note("skips", what);
                let why = "the distribution ships this line, for certificates and for guests";
                (finding.why(why), Vec::new())
            }
            Role::Gate => (self.gate(entry, skip.is_proven, &because), take_out()),
            Role::Factor if !skip.is_yes => {
                let what = format!("pam_onelogin is not called when {module} fails");
                let why = format!("{because}, and the stack then succeeds");
                let finding = Finding::fault("skips", what).why(why);
                (finding, self.required_at_once(entry, ours))
            }
            Role::Factor if skip.is_proven && is_second(entry) => {
                let why = "another factor comes before it, so the login still needs two factors";
                (Finding::note("skips", not_asked).why(why), Vec::new())
            }
            Role::Factor => {
                let why = format!("{because}: one factor is enough");
                let finding = Finding::fault("skips", not_asked).why(why);
                (finding, self.required_at_once(entry, ours))
            }
            Role::Aside if is_before_deny && entry.control_text == "sufficient" => {
                let what = format!("{module} {words} skips pam_onelogin");
                let why =
                    format!("it always succeeds, and {because}: no login needs a second factor");
                let mut edits = Vec::from_iter(self.with_control(entry, PAST_DENY));
                edits.push(Edit::Rewrite);
                (Finding::fault("skips", what).why(why), edits)
            }
            Role::Ours | Role::Permit | Role::Deny | Role::Aside | Role::Unknown => {
                let what = format!("{module} skips pam_onelogin");
                let finding = Finding::fault("skips", what);
                (finding.why(because), self.required_at_once(entry, ours))
            }
        };
        let who = match role(entry) {
            Role::Root if !self.is_login => "root".to_owned(),
            Role::Gate => format!("users who pass {module} {words}")
                .trim_end()
                .to_owned(),
            Role::Factor if skip.is_yes => format!("users who pass {module}"),
            _ => "every user".to_owned(),
        };
        let finding = finding.at(&entry.path, entry.line).opens_to(who);
        Some(match edits.as_slice() {
            [] => finding.into(),
            _ => Found::mended_by(finding, edits),
        })
    }

    /// A line that succeeds for users who have not proven anything.
    fn gate(&self, entry: &Entry, is_proven: bool, because: &str) -> Finding {
        let module = entry.module().unwrap_or_default();
        let words = entry.arguments().join(" ");
        if is_proven || self.is_ssh {
            let what = format!("a user who passes {module} {words} needs no second factor");
            Finding::warning("skips", what).why(format!(
                "{because}; for a logged exemption, use users.exempt_groups instead"
            ))
        } else {
            let what = format!("a user who passes {module} {words} needs no factor at all");
            let why = format!("{because}, and the password check as well");
            Finding::warning("skips", what).why(why)
        }
    }

    /// The edits for a line whose success ends the stack too early, or whose failure ends it too late.
    fn required_at_once(&self, entry: &Entry, ours: &Entry) -> Vec<Edit> {
        // In a file that other stacks include, it would lock out users of other services.
        let is_own = entry.path == ours.path || self.service.path.as_ref() == Some(&entry.path);
        let passwords = self.chain().iter().filter(|other| is_password(other));
        // Users of the other line would be locked out.
        if !is_own || is_password(entry) && passwords.count() > 1 {
            return vec![Edit::Rewrite];
        }
        let mut edits = Vec::from_iter(self.with_control(entry, "requisite"));
        // Wrong passwords would not be counted any more.
        let counts = self.chain().iter().any(|other| other.is("pam_faillock"));
        edits.insert(if counts { 0 } else { edits.len() }, Edit::Rewrite);
        edits
    }

    /// The line of a module with another control.
    fn with_control(&self, entry: &Entry, control: &str) -> Option<Edit> {
        let Body::Module { name, .. } = &entry.body else {
            return None;
        };
        if may_ignore(entry) {
            return None;
        }
        let mut arguments = entry.arguments().to_vec();
        if is_password(entry) {
            arguments.retain(|word| !NO_PASSWORD.contains(&word.as_str()));
        }
        let line = line(control, name, &arguments)?;
        Some(Edit::Replace(place(entry), self.own(entry, &line)))
    }

    /// A line as this file needs it: in pam.conf the service comes first.
    pub(super) fn own(&self, beside: &Entry, line: &str) -> String {
        if beside.path == Path::new(CONF) {
            format!("{} {line}", self.name)
        } else {
            line.to_owned()
        }
    }
}

pub(super) fn place(entry: &Entry) -> Spot {
    Spot {
        path: entry.path.clone(),
        line: entry.line,
    }
}

/// The failure codes, one for each action: the others have the same effect.
fn unlike(control: &Control, codes: &[Code]) -> Vec<Code> {
    let mut seen = HashSet::new();
    let is_no = |code| code != SUCCESS && code != IGNORE;
    let mut codes = codes.to_vec();
    codes.retain(|&code| !is_no(code) || seen.insert(control.action(code)));
    codes
}

fn spot(entry: &Entry) -> String {
    format!("{}:{}", entry.path.display(), entry.line)
}

/// The codes of our denials; that of a module that cannot be loaded is one of them.
const OUR_DENIALS: [Code; 7] = [
    3,
    AUTHINFO_UNAVAIL,
    USER_UNKNOWN,
    11,
    19,
    ABORT,
    MODULE_UNKNOWN,
];

const SESSION: &str = "libpam cannot use this line: the session is not opened as it should be, and some \
                       programs then end the login";

/// Findings about a line that denies every login until it is corrected, or is as if it were not there.
pub(super) const BROKEN: [&str; 4] = ["control", "line", "module-missing", "stack-unreadable"];

/// Arguments that allow an empty password.
const NO_PASSWORD: [&str; 2] = ["nullok", "nullok_secure"];

const UNIX: &str = "auth requisite pam_unix.so";
const DENY: &str = "auth requisite pam_deny.so";
const PERMIT: &str = "auth required pam_permit.so";

/// Skips the `pam_deny` after it, and nothing else.
const PAST_DENY: &str = "[success=1 default=ignore]";

/// `PAM_CRED_ERR`
const CRED_ERR: Code = 17;

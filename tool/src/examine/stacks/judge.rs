//! One service's stack: what becomes of each answer of ours, and who gets in without it.

use crate::examine::stacks::edit::{Edit, Found, Spot};
use crate::examine::stacks::rewrite::line;
use crate::examine::subject::Subject;
use crate::pam_stack::known_modules::{
    OURS, Role, is_password, is_second, may_be_password, may_ignore, returns, role,
};
use crate::pam_stack::{
    ABORT, AUTHINFO_UNAVAIL, Action, Body, CONF, Code, Control, Entry, IGNORE, INCOMPLETE, Jumps,
    Kind, MODULE_UNKNOWN, Model, SUCCESS, Skip, Stack, USER_UNKNOWN, Way, explore, name,
    set_credentials,
};
use crate::ui::finding::Finding;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

/// A stack with what is known of its modules.
pub(super) struct Judge<'a> {
    /// The service's name.
    pub(super) name: &'a str,
    pub(super) subject: &'a Subject<'a>,
    pub(super) service: &'a Stack,
    /// Whether sshd uses it: a key comes before the stack.
    pub(super) is_ssh: bool,
    /// Whether a key, or the like, comes before the stack.
    pub(super) key: Key,
    /// What the user of the program that uses it can reach.
    pub(super) reach: Reach,
    /// Whether a program of root's uses it, for people who have not logged in yet.
    pub(super) is_login: bool,
    /// The folders of the modules; none: not looked for.
    pub(super) folders: &'a [PathBuf],
}

/// In which logins through sshd a key, or the like, comes before the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Some, or none.
    Open,
    /// Those that no `Match` block changes.
    First,
    /// Each: the argument of ours says so, or `AuthenticationMethods`, also behind each `Match`.
    Always,
}

/// Whose account a program with a stack opens to a user who is logged in already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// It is no such program.
    None,
    /// sudo and the like ask for the caller's own secrets.
    Own,
    /// su and the like ask for the secrets of another account.
    Others,
}

/// Each way on which a stack ends: whether it lets in, and what happened.
struct Outcomes {
    ends: HashSet<(bool, Way)>,
    /// Whether these are all.
    is_whole: bool,
}

/// What they come to.
#[derive(Default)]
struct Summary {
    /// Whether a user gets in who is not root already.
    lets_in: bool,
    /// Whether the code alone lets in.
    unproven: bool,
    /// Whether we are asked before a factor.
    asked_first: bool,
    /// The lines that led past ours, and whether they said yes; whether each time a factor had said yes.
    skips: BTreeMap<(usize, bool), bool>,
    /// The factors that had said no before we were asked.
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

    /// Whether a login that got this answer of ours lets in.
    fn let_in(&self, code: Code) -> bool {
        let mut ends = self.ends.iter();
        ends.any(|(is_success, way)| *is_success && way.answered == Some(code))
    }
}

impl Judge<'_> {
    /// Everything about this service.
    pub(super) fn findings(&self) -> Vec<Found> {
        if let Some(unreadable) = &self.service.unreadable {
            let what = format!("libpam cannot read the stack: {}", unreadable.what);
            return vec![
                Finding::fault("stack-unreadable", what)
                    .at(&unreadable.path, unreadable.line)
                    .why("every login here is denied")
                    .advice("mend the line")
                    .into(),
            ];
        }
        let mut findings: Vec<Found> = Vec::new();
        for kind in [Kind::Account, Kind::Session, Kind::Password] {
            findings.extend(self.elsewhere(kind).map(Found::from));
        }
        let chain = self.chain();
        let Some(first) = self.ours().next() else {
            return findings;
        };
        if let Some(finding) = self.carriage_return() {
            findings.push(finding.into());
            return findings;
        }
        for entry in self.ours() {
            findings.extend(self.arguments(entry).into_iter().map(Found::from));
        }
        for entry in chain {
            findings.extend(self.line(entry));
        }
        let outcomes = self.outcomes();
        findings.extend(self.asked_twice(first, &outcomes));
        findings.extend(self.denied(first, &outcomes));
        let successes = self.successes(first, &outcomes);
        let is_right = successes.is_empty();
        for entry in self.ours() {
            findings.extend(self.behind_key(entry, is_right));
        }
        if successes.is_empty() {
            findings.extend(self.exempt(first, &outcomes));
        }
        findings.extend(successes);
        findings.extend(self.credentials(first));
        if !findings.iter().any(|found| found.finding.severity.is_bad()) {
            findings.push(
                Finding::good("stack", "pam_onelogin is asked, and its denial is final")
                    .at(&first.path, first.line)
                    .into(),
            );
        }
        findings
    }

    /// The user is asked by two lines.
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

    /// What the stack can come to. Of our denials those that count alike are one.
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

    /// Our denials, together where each of our lines does the same with them.
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

    /// Whether each denial is one.
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
            "a denial by OneLogin lets in all the same".to_owned()
        } else {
            open.sort_by_key(|code| !OUR_DENIALS.contains(code));
            let shown: Vec<_> = open.iter().take(3).map(|&code| name(code)).collect();
            let more = match open.len().saturating_sub(shown.len()) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!(
                "a denial by {}{more} lets in all the same",
                shown.join(", ")
            )
        };
        let why = format!("the control is \"{}\"", ours.control_text);
        let finding = Finding::fault("denial-lets-in", what)
            .at(&ours.path, ours.line)
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

    /// Who gets in, and who is asked when.
    fn successes(&self, ours: &Entry, outcomes: &Outcomes) -> Vec<Found> {
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
            let what = "the stack has too many ways to look at each";
            findings.push(
                at(Finding::warning("too-large", what)
                    .why("what is said of it may not be all")
                    .advice("make it simpler"))
                .into(),
            );
        }
        if !lets_in {
            let finding = Finding::fault("never-lets-in", "nobody gets in, whatever OneLogin says")
                .why("with a success of pam_onelogin the stack ends in a denial, too");
            findings.push(Found::mended_by(at(finding), [Edit::Rewrite]));
        }
        let is_bombed = !bombs.is_empty();
        // What mends a line that lets in too early mends this, too.
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
            let what = format!("pam_onelogin is asked although {module} said no");
            let finding = Finding::fault("asked-after-refusal", what)
                .at(&entry.path, entry.line)
                .why("without the password a stranger sends pushes to other people's phones");
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

    /// The code alone lets in.
    fn no_first_factor(&self, ours: &Entry, has_factor: bool) -> Found {
        let what = if has_factor {
            "the first factor can be passed by"
        } else {
            "there is no first factor in the stack"
        };
        // Who runs sudo has logged in, and reaches no prompt but their own.
        let finding = if self.is_login || self.reach == Reach::Others {
            Finding::fault("no-first-factor", what)
        } else {
            Finding::warning("no-first-factor", what)
        };
        let why = "the code alone lets in, and whom the configuration exempts needs nothing";
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

    /// Our line stands before the one that checks the password.
    fn asked_first(&self) -> Finding {
        let mut factors = self.chain().iter();
        let factor = factors.find(|entry| role(entry) == Role::Factor);
        let factor = factor.and_then(Entry::module).unwrap_or_default();
        let what = format!("pam_onelogin is asked before {factor}, the first factor");
        match self.reach {
            Reach::Others => Finding::fault("asked-first", what).why(
                "a user then reaches the prompts of another account, without a secret of that account",
            ),
            Reach::Own => Finding::warning("asked-first", what)
                .why("who sits at a terminal of the user can send pushes without the password"),
            Reach::None => Finding::warning("asked-first", what)
                .why("a user whom nothing has proven gets one prompt for a code, and no push"),
        }
    }

    /// What becomes of those whom the configuration exempts.
    fn exempt(&self, ours: &Entry, outcomes: &Outcomes) -> Option<Found> {
        if outcomes.let_in(IGNORE) {
            return None;
        }
        let what = "who is exempt from the second factor is denied";
        let finding = if self.subject.exempts() {
            Finding::fault("exempt-denied", what)
        } else {
            Finding::note("exempt-denied", what)
        };
        let finding = finding.at(&ours.path, ours.line);
        let mut edits = Vec::new();
        let finding = if ours.control.action(IGNORE) == Action::Ignore {
            // Elsewhere exempt users would get in without any factor.
            if self.key == Key::Always {
                edits.push(Edit::Behind(place(ours), self.own(ours, PERMIT)));
            }
            finding.why("PAM_IGNORE counts for nothing, and nothing else says yes")
        } else {
            edits.extend(self.with_control(ours, "required"));
            finding.why(format!(
                "\"{}\" takes PAM_IGNORE for a denial",
                ours.control_text
            ))
        };
        edits.push(Edit::Rewrite);
        Some(Found::mended_by(finding, edits))
    }

    /// Whether setcred passes where authenticate was not called, as after a login by key. (After
    /// one that let in it does: each line that counted then counts with what setcred returns.)
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
        let what = "setcred fails where authenticate was not called";
        let finding = Finding::warning("setcred", what)
            .at(&ours.path, ours.line)
            .why("a login by key alone, where sshd_config allows one, is closed");
        Some(Found::mended_by(finding, [Edit::Rewrite]))
    }

    /// A line that lets in without us.
    fn skip(&self, skip: Skip, ours: &Entry) -> Option<Found> {
        let entry = self.chain().get(skip.by)?;
        let module = entry.module().unwrap_or_default();
        let words = entry.arguments().join(" ");
        let because = format!("the control \"{}\" leads past it", entry.control_text);
        let not_asked = format!("pam_onelogin is not asked when {module} says yes");
        let is_before_deny = self.chain().get(skip.by + 1).map(role) == Some(Role::Deny);
        let take_out = || vec![Edit::TakeOut(place(entry)), Edit::Rewrite];
        let (finding, edits) = match role(entry) {
            Role::Root if self.is_login => {
                let what = format!("{module} lets everybody in, without any factor");
                let why = "root runs the program that uses this stack, so the module always says \
                           yes; it is for su and the like";
                (Finding::fault("skips", what).why(why), take_out())
            }
            Role::Root => {
                let what = "root becomes others without being asked";
                let why = "pam_rootok lets root in, as is usual in su";
                (Finding::note("root-skips", what).why(why), Vec::new())
            }
            Role::Gate if entry.is("pam_cockpit_cert") || entry.is("pam_selinux_permit") => {
                let finding = Finding::note("skips", format!("who passes {module} is not asked"));
                let why = "the distribution ships it so, for certificates and for guests";
                (finding.why(why), Vec::new())
            }
            Role::Gate => (self.gate(entry, skip.is_proven, &because), take_out()),
            Role::Factor if !skip.is_yes => {
                let what = format!("pam_onelogin is not asked when {module} says no");
                let why = format!("{because}, and the stack then lets in");
                let finding = Finding::fault("skips", what).why(why);
                (finding, self.required_at_once(entry, ours))
            }
            Role::Factor if skip.is_proven && is_second(entry) => {
                let why = "another factor came before it, so there are two all the same";
                (Finding::note("skips", not_asked).why(why), Vec::new())
            }
            Role::Factor => {
                let why = format!("{because}: one factor is enough");
                let finding = Finding::fault("skips", not_asked).why(why);
                (finding, self.required_at_once(entry, ours))
            }
            Role::Aside if is_before_deny && entry.control_text == "sufficient" => {
                let what = format!("{module} {words} leads past pam_onelogin");
                let why = format!("it always says yes, and {because}: nobody is asked");
                let mut edits = Vec::from_iter(self.with_control(entry, PAST_DENY));
                edits.push(Edit::Rewrite);
                (Finding::fault("skips", what).why(why), edits)
            }
            Role::Ours | Role::Permit | Role::Deny | Role::Aside | Role::Unknown => {
                let what = format!("{module} leads past pam_onelogin");
                let finding = Finding::fault("skips", what);
                (finding.why(because), self.required_at_once(entry, ours))
            }
        };
        let finding = finding.at(&entry.path, entry.line);
        Some(match edits.as_slice() {
            [] => finding.into(),
            _ => Found::mended_by(finding, edits),
        })
    }

    /// A line that lets in by something that no user has to prove.
    fn gate(&self, entry: &Entry, is_proven: bool, because: &str) -> Finding {
        let module = entry.module().unwrap_or_default();
        let words = entry.arguments().join(" ");
        if is_proven || self.is_ssh {
            let what = format!("who passes {module} {words} is not asked");
            Finding::warning("skips", what).why(format!(
                "{because}; is that what you want? users.exempt_groups is logged"
            ))
        } else {
            let what = format!("who passes {module} {words} gets in without any factor");
            let why = format!("{because}, and past the password; is that what you want?");
            Finding::warning("skips", what).why(why)
        }
    }

    /// The edits for a line that says yes too early, or no too late.
    fn required_at_once(&self, entry: &Entry, ours: &Entry) -> Vec<Edit> {
        // In a file that others include it would lock out users of other services.
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

    /// A line as it stands in this file: in pam.conf the service comes first.
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

/// Of the codes that say no one for each action: the others come to the same.
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

/// What our denials are, by their number; a module that cannot be loaded is one, too.
const OUR_DENIALS: [Code; 7] = [
    3,
    AUTHINFO_UNAVAIL,
    USER_UNKNOWN,
    11,
    19,
    ABORT,
    MODULE_UNKNOWN,
];

/// Arguments by which an empty password is one.
const NO_PASSWORD: [&str; 2] = ["nullok", "nullok_secure"];

const UNIX: &str = "auth requisite pam_unix.so";
const DENY: &str = "auth requisite pam_deny.so";
const PERMIT: &str = "auth required pam_permit.so";

/// Leads past the `pam_deny` behind it, and no further.
const PAST_DENY: &str = "[success=1 default=ignore]";

/// `PAM_CRED_ERR`
const CRED_ERR: Code = 17;

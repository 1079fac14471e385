//! One service's stack: what becomes of each answer of ours, and who gets in without it.

use crate::examine::stacks::edit::{Edit, Found, Spot};
use crate::examine::stacks::rewrite::line;
use crate::examine::subject::Subject;
use crate::pam_stack::known_modules::{
    BEHIND_KEY, OURS, Role, has, is_password, is_second, may_be_password, may_ignore, returns, role,
};
use crate::pam_stack::{
    ABORT, AUTHINFO_UNAVAIL, Action, Body, CONF, Code, Control, Entry, IGNORE, INCOMPLETE, Jumps,
    Kind, MODULE_UNKNOWN, Model, SUCCESS, Skip, Stack, USER_UNKNOWN, Way, authenticate, explore,
    name, set_credentials,
};
use crate::ui::finding::Finding;
use pam_onelogin::args::Args;
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

/// Whose account a program with a stack opens to somebody who is logged in already.
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

impl Outcomes {
    /// Whether somebody gets in to whom we gave this answer.
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
        if let Some(entry) = chain.iter().find(|entry| has_return(entry)) {
            findings.push(
                Finding::fault("carriage-return", "the lines end as those of Windows do")
                    .at(&entry.path, entry.line)
                    .why("libpam takes the carriage return for a part of the last word")
                    .advice(format!("sed -i 's/\\r$//' {}", entry.path.display()))
                    .into(),
            );
            return findings;
        }
        for entry in self.ours() {
            findings.extend(self.arguments(entry).into_iter().map(Found::from));
        }
        for entry in chain {
            findings.extend(self.line(entry));
        }
        let outcomes = self.outcomes();
        let mut ends = outcomes.ends.iter();
        let is_twice = ends.any(|(is_success, way)| *is_success && way.asked_twice);
        if let Some(second) = self.ours().nth(1).filter(|_| is_twice) {
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
            findings.push(Found::mended_by(finding, edits));
        }
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

    fn chain(&self) -> &[Entry] {
        self.service.chain(Kind::Auth)
    }

    fn ours(&self) -> impl Iterator<Item = &Entry> {
        self.chain().iter().filter(|entry| entry.is(OURS))
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

    /// Our line where it does nothing.
    fn elsewhere(&self, kind: Kind) -> Option<Finding> {
        let chain = self.service.chain(kind);
        let entry = chain.iter().find(|entry| entry.is(OURS))?;
        let all_else = |index: usize| match chain.get(index).map(role) {
            Some(Role::Ours) => IGNORE,
            _ => SUCCESS,
        };
        let what = format!("pam_onelogin is in the {} stack", kind.word());
        let finding = if authenticate(chain, all_else).0 == SUCCESS {
            Finding::warning("wrong-type", what).why("it does nothing there")
        } else {
            Finding::fault("wrong-type", what)
                .why("nothing else says yes there, so every login is denied")
        };
        let advice = "take the line out: the module belongs into \"auth\"";
        Some(finding.at(&entry.path, entry.line).advice(advice))
    }

    /// The words behind our module.
    fn arguments(&self, entry: &Entry) -> Vec<Finding> {
        let words = entry.arguments().iter().map(String::as_bytes);
        match Args::parse(words) {
            Err(faults) => faults
                .iter()
                .map(|fault| {
                    Finding::fault("arguments", fault.to_string())
                        .at(&entry.path, entry.line)
                        .why("every login here is denied")
                        .advice("take it out of the line")
                })
                .collect(),
            Ok(args) if self.subject.config.to_str() != Some(&args.config) => {
                let what = format!("the stack reads another configuration, {}", args.config);
                vec![
                    Finding::warning("other-config", what)
                        .at(&entry.path, entry.line)
                        .why(format!(
                            "this check is about {}",
                            self.subject.config.display()
                        ))
                        .advice(format!("pam-onelogin check --config {}", args.config)),
                ]
            }
            Ok(_) => Vec::new(),
        }
    }

    /// The argument for sshd in the stack of another service; `is_right`: without it the stack needs
    /// both factors.
    fn behind_key(&self, entry: &Entry, is_right: bool) -> Option<Found> {
        if !has(entry, BEHIND_KEY) || self.subject.may_be_ssh(self.name) {
            return None;
        }
        let Body::Module { name, .. } = &entry.body else {
            return None;
        };
        let what = format!("{BEHIND_KEY} is for sshd, which does not use this stack");
        let finding = Finding::fault("behind-key", what)
            .at(&entry.path, entry.line)
            .why("no key of sshd's comes before this stack, so every login here is denied")
            .advice(format!(
                "take {BEHIND_KEY} out of the line, and check a password before it: README, \"Stacks\""
            ));
        let mut arguments = entry.arguments().to_vec();
        arguments.retain(|word| word != BEHIND_KEY);
        let control = if entry.control_text.contains('=') {
            format!("[{}]", entry.control_text)
        } else {
            entry.control_text.clone()
        };
        let line = line(&control, name, &arguments);
        let line = line.filter(|_| is_right);
        let edit = line.map(|line| Edit::Replace(place(entry), self.own(entry, &line)));
        Some(Found {
            finding,
            edits: edit.into_iter().chain([Edit::Rewrite]).collect(),
            lead: "",
        })
    }

    /// A line that libpam cannot use, or a module that is not there.
    fn line(&self, entry: &Entry) -> Option<Found> {
        let at = |finding: Finding| finding.at(&entry.path, entry.line);
        if let Body::Broken(what) = &entry.body {
            let finding = at(Finding::fault("line", what.clone())
                .why("libpam denies at this line, whatever the modules say")
                .advice("mend the line: see pam.conf(5)"));
            return Some(Found {
                finding,
                edits: vec![Edit::TakeOut(place(entry))],
                lead: "mend it, or ",
            });
        }
        if entry.body == Body::Substack {
            return None;
        }
        if let (_, Some(fault)) = Control::parse(&entry.control_text) {
            let what = format!("the control [{}] is not understood", entry.control_text);
            return Some(
                at(Finding::fault("control", what)
                    .why(format!(
                        "{fault}; libpam then takes every answer for a denial"
                    ))
                    .advice("mend it: see pam.conf(5)"))
                .into(),
            );
        }
        if !self.is_missing(entry) {
            return None;
        }
        let module = entry.module().unwrap_or_default();
        let what = format!("the module {module} is not there");
        if role(entry) == Role::Ours {
            let why = "every login here is denied, or goes on without a second factor";
            return Some(
                at(Finding::fault("module-missing", what)
                    .why(why)
                    .advice("install the module, or mend its path"))
                .into(),
            );
        }
        if entry.is_quiet {
            return None;
        }
        let finding = at(Finding::warning("module-missing", what)
            .why(format!("its line answers {}", name(MODULE_UNKNOWN)))
            .advice("install it, or mend its path"));
        Some(Found {
            finding,
            edits: vec![Edit::TakeOut(place(entry))],
            lead: "install it, or ",
        })
    }

    fn is_missing(&self, entry: &Entry) -> bool {
        let Body::Module { name, .. } = &entry.body else {
            return false;
        };
        let machine = self.subject.machine;
        if name.starts_with('/') {
            return !name.contains("$ISA") && !machine.has(name);
        }
        let mut folders = self.folders.iter();
        !self.folders.is_empty() && !folders.any(|folder| machine.has(folder.join(name)))
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
        let mut lets_in = false;
        let mut unproven = false;
        let mut first = false;
        let mut skips = BTreeMap::new();
        let mut bombs = BTreeSet::new();
        for (is_success, way) in &outcomes.ends {
            let skip = way.skip.filter(|_| *is_success && way.answered.is_none());
            let is_by_root = |skip: Skip| {
                let entry = chain.get(skip.by);
                entry.is_some_and(|entry| role(entry) == Role::Root)
            };
            lets_in |= *is_success && !skip.is_some_and(is_by_root);
            unproven |= *is_success && way.answered == Some(SUCCESS) && !way.proven;
            first |= way.asked_first;
            bombs.extend(way.asked_after_refusal);
            if let Some(skip) = skip {
                *skips.entry((skip.by, skip.is_yes)).or_insert(true) &= skip.is_proven;
            }
        }
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
            let mut before = chain.iter().take_while(|entry| !entry.is(OURS));
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
            findings.push(Found::mended_by(at(finding.why(why)), edits));
        } else if first && has_factor && !is_bombed && self.key == Key::Open {
            let finding = at(self.asked_first());
            findings.push(Found::mended_by(finding, [Edit::Rewrite]));
        }
        findings
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
        let next = self.chain().get(skip.by + 1);
        let is_proven = skip.is_proven;
        let module = entry.module().unwrap_or_default();
        let words = entry.arguments().join(" ");
        let because = format!("the control \"{}\" leads past it", entry.control_text);
        let not_asked = format!("pam_onelogin is not asked when {module} says yes");
        let is_before_deny = next.is_some_and(|next| role(next) == Role::Deny);
        let take_out = || vec![Edit::TakeOut(place(entry)), Edit::Rewrite];
        let (finding, edits) = match role(entry) {
            Role::Root if self.is_login => {
                let what = format!("{module} lets everybody in, without any factor");
                let why = "root runs the program that uses this stack, so the module always says \
                           yes; it is for su and the like";
                (Finding::fault("skips", what).why(why), take_out())
            }
            Role::Root => (
                Finding::note("root-skips", "root becomes others without being asked")
                    .why("pam_rootok lets root in, as is usual in su"),
                Vec::new(),
            ),
            Role::Gate if entry.is("pam_cockpit_cert") || entry.is("pam_selinux_permit") => (
                Finding::note("skips", format!("who passes {module} is not asked"))
                    .why("the distribution ships it so, for certificates and for guests"),
                Vec::new(),
            ),
            Role::Gate if is_proven || self.is_ssh => (
                Finding::warning("skips", format!("who passes {module} {words} is not asked")).why(
                    format!("{because}; is that what you want? users.exempt_groups is logged"),
                ),
                take_out(),
            ),
            Role::Gate => {
                let what = format!("who passes {module} {words} gets in without any factor");
                let why = format!("{because}, and past the password; is that what you want?");
                (Finding::warning("skips", what).why(why), take_out())
            }
            Role::Factor if !skip.is_yes => {
                let what = format!("pam_onelogin is not asked when {module} says no");
                let why = format!("{because}, and the stack then lets in");
                let finding = Finding::fault("skips", what).why(why);
                (finding, self.required_at_once(entry, ours))
            }
            Role::Factor if is_proven && is_second(entry) => (
                Finding::note("skips", not_asked)
                    .why("another factor came before it, so there are two all the same"),
                Vec::new(),
            ),
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
                let finding = Finding::fault("skips", what).why(because);
                (finding, self.required_at_once(entry, ours))
            }
        };
        let finding = finding.at(&entry.path, entry.line);
        Some(match edits.as_slice() {
            [] => finding.into(),
            _ => Found::mended_by(finding, edits),
        })
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
    fn own(&self, beside: &Entry, line: &str) -> String {
        if beside.path == Path::new(CONF) {
            format!("{} {line}", self.name)
        } else {
            line.to_owned()
        }
    }
}

fn place(entry: &Entry) -> Spot {
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

/// Whether a word of the line ends with a carriage return.
fn has_return(entry: &Entry) -> bool {
    let name = match &entry.body {
        Body::Module { name, .. } => name.as_str(),
        Body::Substack | Body::Broken(_) => "",
    };
    let mut words = entry.arguments().iter().map(String::as_str).chain([name]);
    words.any(|word| word.ends_with('\r'))
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

//! One service's stack: what becomes of each answer of ours, and who gets in without it.

use super::modules::{OURS, Role, is_second, returns, role};
use crate::args::Args;
use crate::cli::check::Subject;
use crate::cli::finding::Finding;
use crate::cli::stack::{
    ABORT, AUTHINFO_UNAVAIL, Action, Body, Code, Control, Entry, IGNORE, INCOMPLETE, Jumps, Kind,
    MODULE_UNKNOWN, Model, SUCCESS, Service, Skip, USER_UNKNOWN, Way, authenticate, explore, name,
    set_credentials,
};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;

/// A stack with what is known of its modules.
pub(super) struct Judge<'a> {
    pub(super) subject: &'a Subject<'a>,
    pub(super) service: &'a Service,
    /// Whether sshd uses it: a key comes before the stack.
    pub(super) is_ssh: bool,
    /// Whether a program of root's uses it, for people who have not logged in yet.
    pub(super) is_login: bool,
    /// The folders of the modules; none: not looked for.
    pub(super) folders: &'a [PathBuf],
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
    pub(super) fn judge(&self) -> Vec<Finding> {
        if let Some(trouble) = &self.service.trouble {
            let what = format!("libpam cannot read the stack: {}", trouble.what);
            return vec![
                Finding::fault("stack-unreadable", what)
                    .at(&trouble.path, trouble.line)
                    .why("every login here is denied")
                    .advice("mend the line"),
            ];
        }
        let mut findings = Vec::new();
        for kind in [Kind::Account, Kind::Session, Kind::Password] {
            findings.extend(self.elsewhere(kind));
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
                    .advice(format!("sed -i 's/\\r$//' {}", entry.path.display())),
            );
            return findings;
        }
        for entry in self.ours() {
            findings.extend(self.arguments(entry));
        }
        for entry in chain {
            findings.extend(self.line(entry));
        }
        let outcomes = self.outcomes();
        let mut ends = outcomes.ends.iter();
        let is_twice = ends.any(|(is_success, way)| *is_success && way.asked_twice);
        if let Some(second) = self.ours().nth(1).filter(|_| is_twice) {
            findings.push(
                Finding::warning("asked-twice", "pam_onelogin is in the stack twice")
                    .at(&second.path, second.line)
                    .why("the user is asked twice")
                    .advice(format!("take one out; the other is {}", spot(first))),
            );
        }
        findings.extend(self.denied(first, &outcomes));
        let successes = self.successes(first, &outcomes);
        if successes.is_empty() {
            findings.extend(self.exempt(first, &outcomes));
        }
        findings.extend(successes);
        findings.extend(self.credentials(first));
        if !findings.iter().any(|finding| finding.severity.is_bad()) {
            findings.push(
                Finding::good("stack", "pam_onelogin is asked, and its denial is final")
                    .at(&first.path, first.line),
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

    /// A line that libpam cannot use, or a module that is not there.
    fn line(&self, entry: &Entry) -> Option<Finding> {
        let at = |finding: Finding| finding.at(&entry.path, entry.line);
        if let Body::Broken(what) = &entry.body {
            return Some(at(Finding::fault("line", what.clone())
                .why("libpam denies at this line, whatever the modules say")
                .advice("mend the line, or take it out")));
        }
        if entry.body == Body::Substack {
            return None;
        }
        if let (_, Some(fault)) = Control::parse(&entry.control_text) {
            let what = format!("the control [{}] is not understood", entry.control_text);
            return Some(at(Finding::fault("control", what)
                .why(format!(
                    "{fault}; libpam then takes every answer for a denial"
                ))
                .advice("mend it: see pam.conf(5)")));
        }
        if !self.is_missing(entry) {
            return None;
        }
        let module = entry.module().unwrap_or_default();
        let what = format!("the module {module} is not there");
        if role(entry) == Role::Ours {
            let why = "every login here is denied, or goes on without a second factor";
            return Some(at(Finding::fault("module-missing", what)
                .why(why)
                .advice("install the module, or mend its path")));
        }
        if entry.is_quiet {
            return None;
        }
        Some(at(Finding::warning("module-missing", what)
            .why(format!("its line answers {}", name(MODULE_UNKNOWN)))
            .advice("install it, or take the line out")))
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
    fn denied(&self, ours: &Entry, outcomes: &Outcomes) -> Option<Finding> {
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
        let advice = format!(
            "write \"auth required {}\", or \"auth requisite pam_deny.so\" right behind the line",
            ours.module().unwrap_or_default()
        );
        let why = format!("the control is \"{}\"", ours.control_text);
        Some(
            Finding::fault("denial-lets-in", what)
                .at(&ours.path, ours.line)
                .why(why)
                .advice(advice),
        )
    }

    /// Who gets in, and who is asked when.
    fn successes(&self, ours: &Entry, outcomes: &Outcomes) -> Vec<Finding> {
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
        let mut findings = Vec::new();
        if !outcomes.is_whole {
            let what = "the stack has too many ways to look at each";
            findings.push(at(Finding::warning("too-large", what)
                .why("what is said of it may not be all")
                .advice("make it simpler")));
        }
        if !lets_in {
            findings.push(at(Finding::fault(
                "never-lets-in",
                "nobody gets in, whatever OneLogin says",
            )
            .why("with a success of pam_onelogin the stack ends in a denial, too")
            .advice("compare it with the samples: README, \"Stacks\"")));
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
            findings.push(
                Finding::fault("asked-after-refusal", what)
                    .at(&entry.path, entry.line)
                    .why("without the password a stranger sends pushes to other people's phones")
                    .advice(self.instead(entry, ours)),
            );
        }
        if unproven && !self.is_ssh && !is_bombed {
            let (what, advice) = if has_factor {
                (
                    "the first factor can be passed by",
                    "see that no line leads past it, and that it has no \"nullok\"",
                )
            } else {
                (
                    "there is no first factor in the stack",
                    "put \"auth requisite pam_unix.so\" before it",
                )
            };
            // Who runs sudo or su has logged in.
            let finding = if self.is_login {
                Finding::fault("no-first-factor", what)
            } else {
                Finding::warning("no-first-factor", what)
            };
            findings.push(at(finding
                .why("the code alone lets in, and whom the configuration exempts needs nothing")
                .advice(advice)));
        } else if first && has_factor && !is_bombed {
            let what = "pam_onelogin can be asked before any first factor";
            findings.push(at(Finding::warning("asked-first", what)
                .why("whom nothing has proven gets one prompt for a code, and no push")
                .advice("put it behind the line of the password")));
        }
        findings
    }

    /// What becomes of those whom the configuration exempts.
    fn exempt(&self, ours: &Entry, outcomes: &Outcomes) -> Option<Finding> {
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
        Some(if ours.control.action(IGNORE) == Action::Ignore {
            finding
                .why("PAM_IGNORE counts for nothing, and nothing else says yes")
                .advice("behind a key: put \"auth required pam_permit.so\" behind it")
        } else {
            finding
                .why(format!(
                    "\"{}\" takes PAM_IGNORE for a denial",
                    ours.control_text
                ))
                .advice("write \"required\" in its place")
        })
    }

    /// Whether setcred passes where authenticate was not called, as after a login by key. (After
    /// one that let in it does: each line that counted then counts with what setcred returns.)
    fn credentials(&self, ours: &Entry) -> Option<Finding> {
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
        Some(
            Finding::warning("setcred", what)
                .at(&ours.path, ours.line)
                .why("a login by key alone, where sshd_config allows one, is closed")
                .advice("compare it with the samples: README, \"Stacks\""),
        )
    }

    /// A line that lets in without us.
    fn skip(&self, skip: Skip, ours: &Entry) -> Option<Finding> {
        let entry = self.chain().get(skip.by)?;
        let next = self.chain().get(skip.by + 1);
        let is_proven = skip.is_proven;
        let module = entry.module().unwrap_or_default();
        let words = entry.arguments().join(" ");
        let because = format!("the control \"{}\" leads past it", entry.control_text);
        let not_asked = format!("pam_onelogin is not asked when {module} says yes");
        let is_before_deny = next.is_some_and(|next| role(next) == Role::Deny);
        let finding = match role(entry) {
            Role::Root if self.is_login => {
                let what = format!("{module} lets everybody in, without any factor");
                Finding::fault("skips", what)
                    .why(
                        "root runs the program that uses this stack, so the module always says yes",
                    )
                    .advice("take the line out: it is for su and the like")
            }
            Role::Root => Finding::note("root-skips", "root becomes others without being asked")
                .why("pam_rootok lets root in, as is usual in su"),
            Role::Gate if entry.is("pam_cockpit_cert") || entry.is("pam_selinux_permit") => {
                Finding::note("skips", format!("who passes {module} is not asked"))
                    .why("the distribution ships it so, for certificates and for guests")
            }
            Role::Gate if is_proven || self.is_ssh => {
                Finding::warning("skips", format!("who passes {module} {words} is not asked"))
                    .why(format!("{because}; is that what you want?"))
                    .advice("take the line out, or use users.exempt_groups: that is logged")
            }
            Role::Gate => {
                let what = format!("who passes {module} {words} gets in without any factor");
                Finding::warning("skips", what)
                    .why(format!(
                        "{because}, and past the password; is that what you want?"
                    ))
                    .advice("take the line out, or put it behind the password")
            }
            Role::Factor if !skip.is_yes => {
                let what = format!("pam_onelogin is not asked when {module} says no");
                Finding::fault("skips", what)
                    .why(format!("{because}, and the stack then lets in"))
                    .advice(self.instead(entry, ours))
            }
            Role::Factor if is_proven && is_second(entry) => Finding::note("skips", not_asked)
                .why("another factor came before it, so there are two all the same"),
            Role::Factor => Finding::fault("skips", not_asked)
                .why(format!("{because}: one factor is enough"))
                .advice(self.instead(entry, ours)),
            Role::Aside if is_before_deny && entry.control_text == "sufficient" => {
                Finding::fault("skips", format!("{module} {words} leads past pam_onelogin"))
                    .why(format!(
                        "it always says yes, and {because}: nobody is asked"
                    ))
                    .advice(
                        "write \"[success=1 default=ignore]\" for \"sufficient\": that leads \
                         past the pam_deny.so behind it, and no further",
                    )
            }
            Role::Ours | Role::Permit | Role::Deny | Role::Aside | Role::Unknown => {
                Finding::fault("skips", format!("{module} leads past pam_onelogin"))
                    .why(because)
                    .advice(self.instead(entry, ours))
            }
        };
        Some(finding.at(&entry.path, entry.line))
    }

    /// What to write for a line that says yes too early, or no too late.
    fn instead(&self, entry: &Entry, ours: &Entry) -> String {
        if entry.path == ours.path || self.service.path.as_ref() == Some(&entry.path) {
            return format!(
                "write \"auth requisite {}\"",
                entry.module().unwrap_or_default()
            );
        }
        // Each that checks the password there: who is left out is locked out.
        let mut modules: Vec<&str> = Vec::new();
        for other in self.chain().iter().filter(|other| other.path == entry.path) {
            let name = other.module().unwrap_or_default();
            if role(other) == Role::Factor && !is_second(other) && !modules.contains(&name) {
                modules.push(name);
            }
        }
        let mut lines = Vec::new();
        for (index, module) in modules.iter().enumerate() {
            let behind = modules.len() - index - 1;
            let control = match behind {
                0 => "requisite".to_owned(),
                _ => format!("[success={behind} default=ignore]"),
            };
            let word = if index == 0 { "" } else { " use_first_pass" };
            lines.push(format!("\"auth {control} {module}{word}\""));
        }
        if lines.is_empty() {
            lines.push("\"auth requisite pam_unix.so\"".to_owned());
        }
        let path = entry.path.display();
        format!(
            "put {} in place of the line that includes {path}",
            lines.join(" and ")
        )
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

/// `PAM_CRED_ERR`
const CRED_ERR: Code = 17;

//! One service's stack: what becomes of each answer of ours, and who gets in without it.

use super::modules::{OURS, Role, returns, role};
use crate::args::Args;
use crate::cli::check::Subject;
use crate::cli::finding::Finding;
use crate::cli::stack::{
    ABORT, AUTHINFO_UNAVAIL, Action, Body, Code, Control, Entry, IGNORE, INCOMPLETE, Jumps, Kind,
    MODULE_UNKNOWN, Model, SUCCESS, Service, USER_UNKNOWN, Way, authenticate, explore, name,
    set_credentials,
};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// A stack with what is known of its modules.
pub(super) struct Judge<'a> {
    pub(super) subject: &'a Subject<'a>,
    pub(super) service: &'a Service,
    /// Whether sshd uses it: a key comes before the stack.
    pub(super) is_ssh: bool,
    /// The folders of the modules; none: not looked for.
    pub(super) folders: &'a [PathBuf],
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
        if let Some(second) = self.ours().nth(1) {
            findings.push(
                Finding::warning("asked-twice", "pam_onelogin is in the stack twice")
                    .at(&second.path, second.line)
                    .why("the user is asked twice")
                    .advice(format!("take one out; the other is {}", spot(first))),
            );
        }
        findings.extend(self.denials(first));
        let successes = self.successes(first);
        if successes.is_empty() {
            findings.extend(self.exempt(first));
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

    /// Each way through the chain with these answers of ours. `false`: there are too many.
    fn ways(&self, answers: &[Code], end: impl FnMut(Code, Way)) -> bool {
        let chain = self.chain();
        let is = |index: usize, wanted: Role| chain.get(index).is_some_and(|it| role(it) == wanted);
        explore(
            chain,
            &Model {
                is_ours: &|index| is(index, Role::Ours),
                is_factor: &|index| is(index, Role::Factor),
                returns: &|index| {
                    let Some(entry) = chain.get(index) else {
                        return &[];
                    };
                    match returns(entry) {
                        None => answers,
                        Some(_) if self.is_missing(entry) => &[MODULE_UNKNOWN],
                        Some(codes) => codes,
                    }
                },
            },
            end,
        )
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
    fn denials(&self, ours: &Entry) -> Option<Finding> {
        let denials = || (0..INCOMPLETE).filter(|&code| code != SUCCESS && code != IGNORE);
        let lets_in = |code: &Code| {
            let mut lets_in = false;
            self.ways(&[*code], |answer, way| {
                lets_in |= way.asked && answer == SUCCESS;
            });
            lets_in
        };
        let mut open: Vec<Code> = denials().filter(lets_in).collect();
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
    fn successes(&self, ours: &Entry) -> Vec<Finding> {
        let mut lets_in = false;
        let mut unproven = false;
        let mut first = false;
        let mut skips = BTreeSet::new();
        let mut bombs = BTreeSet::new();
        let is_whole = self.ways(&[SUCCESS], |answer, way| {
            let is_success = answer == SUCCESS;
            lets_in |= way.asked && is_success;
            unproven |= way.asked && is_success && !way.proven;
            first |= way.asked_first;
            bombs.extend(way.asked_after_refusal);
            if is_success && !way.asked {
                skips.extend(way.skipped_by);
            }
        });
        let at = |finding: Finding| finding.at(&ours.path, ours.line);
        let has_factor = self.chain().iter().any(|entry| role(entry) == Role::Factor);
        let mut findings = Vec::new();
        if !is_whole {
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
        let entries = |indices: BTreeSet<usize>| {
            let chain = self.chain();
            indices.into_iter().filter_map(|index| chain.get(index))
        };
        findings.extend(entries(skips).map(|entry| skip(entry, ours)));
        let is_bombed = !bombs.is_empty();
        for entry in entries(bombs) {
            let module = entry.module().unwrap_or_default();
            let what = format!("pam_onelogin is asked although {module} said no");
            findings.push(
                Finding::fault("asked-after-refusal", what)
                    .at(&entry.path, entry.line)
                    .why("without the password a stranger sends pushes to other people's phones")
                    .advice(if is_borrowed(entry, ours) {
                        "put \"auth requisite pam_unix.so\" in place of the line that includes it"
                            .to_owned()
                    } else {
                        format!("write \"auth requisite {module}\"")
                    }),
            );
        }
        if first && has_factor && !is_bombed {
            let what = "pam_onelogin can be asked before any first factor";
            findings.push(at(Finding::warning("asked-first", what)
                .why("whom nothing has proven gets one prompt for a code, and no push")
                .advice("put it behind the line of the password")));
        } else if unproven && !has_factor && !self.is_ssh {
            let what = "there is no first factor in the stack";
            findings.push(at(Finding::warning("no-first-factor", what)
                .why("the code alone lets in, and whom the configuration exempts needs nothing")
                .advice("put \"auth requisite pam_unix.so\" before it")));
        }
        findings
    }

    /// What becomes of those whom the configuration exempts.
    fn exempt(&self, ours: &Entry) -> Option<Finding> {
        let mut lets_in = false;
        self.ways(&[IGNORE], |answer, way| {
            lets_in |= way.asked && answer == SUCCESS;
        });
        if lets_in {
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
}

/// A line that lets in without us.
fn skip(entry: &Entry, ours: &Entry) -> Finding {
    let module = entry.module().unwrap_or_default();
    let because = format!("the control \"{}\" leads past it", entry.control_text);
    let finding = match role(entry) {
        Role::Root => {
            return Finding::note("root-skips", "root becomes others without being asked")
                .at(&entry.path, entry.line)
                .why("pam_rootok lets root in, as is usual in su");
        }
        Role::Gate => {
            let condition = entry.arguments().join(" ");
            let what = format!("who passes {module} {condition} is not asked");
            Finding::warning("skips", what).why(format!("{because}; is that what you want?"))
        }
        Role::Factor => {
            let what = format!("pam_onelogin is not asked when {module} says yes");
            Finding::fault("skips", what).why(format!("{because}: one factor is enough"))
        }
        Role::Ours | Role::Permit | Role::Deny | Role::Aside | Role::Unknown => {
            let what = format!("{module} leads past pam_onelogin");
            Finding::fault("skips", what).why(because)
        }
    };
    let advice = match role(entry) {
        Role::Gate => "take the line out, or use users.exempt_groups: that is logged".to_owned(),
        _ if is_borrowed(entry, ours) => format!(
            "put \"auth requisite pam_unix.so\" in place of the line that includes {}",
            entry.path.display()
        ),
        _ => format!("write \"auth requisite {module}\""),
    };
    finding.at(&entry.path, entry.line).advice(advice)
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

/// Whether a line is in another file than ours.
fn is_borrowed(entry: &Entry, ours: &Entry) -> bool {
    entry.path != ours.path
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

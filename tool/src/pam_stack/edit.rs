//! Computes the new text of a stack, with our lines in a block of their own, and the old text from the
//! new one. It knows the stacks that Debian, Ubuntu, Fedora and RHEL ship, with lines that an administrator
//! has added if ours does not depend on them. It refuses all other stacks. It takes and returns values only.

use crate::pam_stack::spelling::nearest_line;
use crate::pam_stack::syntax::{Says, goes_on, says};
use std::fmt;
use std::path::{Path, PathBuf};

/// The first factor, which is checked before OneLogin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Behind {
    /// sshd checks a public key
    Key,
    /// The stack checks a password
    Password,
}

/// A service's stack, and the others that it may name.
pub(crate) struct Source<'a> {
    /// The service.
    pub(crate) name: &'a str,
    pub(crate) path: &'a Path,
    pub(crate) text: &'a str,
    /// The stack of another service, by its name: its file and its text.
    pub(crate) other: &'a dyn Fn(&str) -> Option<(PathBuf, String)>,
    /// The stacks that change together with this one.
    pub(crate) siblings: &'a [&'a str],
}

/// What has to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Insertion {
    /// OneLogin is asked already; by what.
    Already(String),
    /// Another stack that changes with this one is included here.
    Covered(String),
    /// The new text.
    New(NewText),
}

/// A new text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct NewText {
    pub(crate) text: String,
    /// What an admin must agree to.
    pub(crate) objections: Vec<Refusal>,
}

/// Why a stack is not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The file, and the line in it.
    pub(crate) place: (PathBuf, Option<usize>),
    pub(crate) why: String,
}

impl Refusal {
    fn at(path: &Path, line: impl Into<Option<usize>>, why: impl Into<String>) -> Self {
        Self {
            place: (path.to_owned(), line.into()),
            why: why.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, line) = (self.place.0.display(), self.place.1);
        match line {
            Some(line) => write!(f, "{path}:{line}: {}", self.why),
            None => write!(f, "{path}: {}", self.why),
        }
    }
}

/// Inserts our lines into a stack.
pub(crate) fn insert(source: &Source<'_>, behind: Behind) -> Result<Insertion, Refusal> {
    let lines = read(source.path, source.text)?;
    if let Some(line) = lines.iter().find(|line| line.is_ours()) {
        return Ok(Insertion::Already(source.place(line.number)));
    }
    let mut anchor = None;
    for line in &lines {
        let Some(first) = source.first_factor(line)? else {
            continue;
        };
        match first {
            First::Sibling(name) => return Ok(Insertion::Covered(name)),
            First::Ours(name) => return Ok(Insertion::Already(name)),
            First::Factor(factor) if anchor.is_none() => anchor = Some((line, factor)),
            First::Factor(_) => {
                return Err(source.refuse(line.number, "is a second line that checks a password"));
            }
        }
    }
    let Some((anchor, factor)) = anchor else {
        let text = "has no line that checks a password as the stacks of Debian, Ubuntu, Fedora and \
                    RHEL do";
        return Err(source.refuse(None, text));
    };
    for line in &lines {
        source.accept(line, anchor.number, behind)?;
    }
    let mut objections = Vec::new();
    let block = match (behind, factor) {
        (Behind::Key, _) => block(Some(anchor), &[AFTER_KEY, PERMIT]),
        (Behind::Password, Factor::Debian(name)) => {
            accept_common_auth(source, &name)?;
            block(None, &[AFTER_PASSWORD])
        }
        (Behind::Password, Factor::PamUnix) => block(None, &[AFTER_PASSWORD]),
        (Behind::Password, Factor::Fedora(name)) => {
            let (first, others) = fedora(source, &name)?;
            objections.extend(others);
            let mut added = Vec::new();
            if !lines.iter().any(|line| line.module() == Some("pam_env.so")) {
                added.push(ENV);
            }
            added.extend(first);
            added.push(AFTER_PASSWORD);
            block(Some(anchor), &added)
        }
    };
    let text = with_block(&lines, anchor.number, &block);
    Ok(Insertion::New(NewText { text, objections }))
}

/// The lines with our block, in place of this one or after it.
fn with_block(lines: &[Line<'_>], anchor: usize, block: &str) -> String {
    let mut text = String::new();
    for line in lines {
        let is_anchor = line.number == anchor;
        if !(is_anchor && block.contains(KEPT)) {
            text.push_str(line.raw);
            // The last line of a file may have no newline.
            if is_anchor && !line.raw.ends_with('\n') {
                text.push('\n');
            }
        }
        if is_anchor {
            text.push_str(block);
        }
    }
    text
}

/// Removes our block from a stack; `None` if there is no block.
pub(crate) fn take_out(path: &Path, text: &str) -> Result<Option<String>, Refusal> {
    let refuse = |line: usize, why: &str| Err(Refusal::at(path, line, why));
    let mut out = String::new();
    let mut inside = false;
    let mut found = false;
    for (number, raw) in (1..).zip(text.split_inclusive('\n')) {
        let line = raw.trim_end_matches('\n');
        match (line, inside) {
            (BEGIN, false) => (inside, found) = (true, true),
            (END, true) => inside = false,
            (BEGIN | END, _) => {
                return refuse(
                    number,
                    "this marker of pam-onelogin is not where the tool put it",
                );
            }
            (_, false) => out.push_str(raw),
            (_, true) => {
                if let Some(old) = raw.strip_prefix(KEPT) {
                    out.push_str(old);
                } else if !ALL_OURS.contains(&line) {
                    let why = "was changed by hand in the block of this tool";
                    return match nearest_line(line, &ALL_OURS) {
                        Some(ours) => refuse(number, &format!("{why}; it was \"{ours}\"")),
                        None => refuse(number, why),
                    };
                }
            }
        }
    }
    if inside {
        let why = format!("the line \"{END}\" is missing");
        return refuse(text.lines().count(), &why);
    }
    Ok(found.then_some(out))
}

/// The first line that names the module and is not a comment. The rest of the file does not have to be valid.
pub(crate) fn names_us(text: &str) -> Option<usize> {
    let code = |line: &str| {
        line.split('#')
            .next()
            .is_some_and(|code| code.contains("pam_onelogin.so"))
    };
    text.lines().position(code).map(|index| index + 1)
}

/// A line of a stack.
struct Line<'a> {
    number: usize,
    raw: &'a str,
    says: Says,
}

/// What checks the first factor.
enum Factor {
    /// `@include common-auth`
    Debian(String),
    /// `include` or `substack` of what authselect writes.
    Fedora(String),
    /// `requisite pam_unix.so`
    PamUnix,
}

enum First {
    Factor(Factor),
    Sibling(String),
    Ours(String),
}

impl Line<'_> {
    fn module(&self) -> Option<&str> {
        match &self.says {
            Says::Auth { module, .. } => Some(module.rsplit('/').next().unwrap_or(module)),
            _ => None,
        }
    }

    fn is_ours(&self) -> bool {
        self.module() == Some("pam_onelogin.so")
    }
}

impl Source<'_> {
    fn place(&self, number: usize) -> String {
        format!("{}:{number}", self.path.display())
    }

    fn refuse(&self, line: impl Into<Option<usize>>, why: &str) -> Refusal {
        Refusal::at(self.path, line, why)
    }

    /// Whether a line brings the first factor.
    fn first_factor(&self, line: &Line<'_>) -> Result<Option<First>, Refusal> {
        let (control, name) = match &line.says {
            Says::Include(name) => ("@include", name.as_str()),
            Says::Auth { control, module } => (control.as_str(), module.as_str()),
            Says::Nothing | Says::Other => return Ok(None),
        };
        if control == "requisite" && name == "pam_unix.so" {
            return Ok(Some(First::Factor(Factor::PamUnix)));
        }
        if !["@include", "include", "substack"].contains(&control) {
            return Ok(None);
        }
        if self.siblings.contains(&name) {
            return Ok(Some(First::Sibling(name.to_owned())));
        }
        let Some((path, text)) = (self.other)(name) else {
            return Err(self.refuse(line.number, "includes a stack that does not exist"));
        };
        let lines = read(&path, &text)?;
        if let Some(ours) = lines.iter().find(|line| line.is_ours()) {
            let place = format!("{}:{}", path.display(), ours.number);
            return Ok(Some(First::Ours(place)));
        }
        let has_auth = lines.iter().any(|line| line.module().is_some());
        Ok(match (control, name) {
            (_, "postlogin") => None,
            ("@include", "common-auth") => Some(First::Factor(Factor::Debian(name.to_owned()))),
            ("include" | "substack", "system-auth" | "password-auth") => {
                Some(First::Factor(Factor::Fedora(name.to_owned())))
            }
            _ if has_auth => {
                let why = "includes further auth lines, which this tool does not know";
                return Err(self.refuse(line.number, why));
            }
            _ => None,
        })
    }

    /// Whether the stack may hold this line beside ours.
    fn accept(&self, line: &Line<'_>, anchor: usize, behind: Behind) -> Result<(), Refusal> {
        let Says::Auth { control, module } = &line.says else {
            return Ok(());
        };
        if line.number == anchor || ["include", "substack"].contains(&control.as_str()) {
            return Ok(());
        }
        let is_before = line.number < anchor;
        let is_su_root = is_before && self.name.starts_with("su") && module == "pam_rootok.so";
        match control.as_str() {
            "required" | "requisite" | "optional" => Ok(()),
            "sufficient" if is_su_root && behind == Behind::Password => Ok(()),
            "sufficient" if !is_before => Ok(()),
            "sufficient" => Err(self.refuse(
                line.number,
                "ends the stack before OneLogin is asked (sufficient)",
            )),
            _ => Err(self.refuse(
                line.number,
                "uses a control that this tool does not edit (not required, requisite, sufficient or optional)",
            )),
        }
    }
}

/// Reads the lines of a stack.
fn read<'a>(path: &Path, text: &'a str) -> Result<Vec<Line<'a>>, Refusal> {
    let mut lines = Vec::new();
    for (number, raw) in (1..).zip(text.split_inclusive('\n')) {
        let refuse = |why: &str| Refusal::at(path, number, why);
        if goes_on(raw) {
            return Err(refuse(
                "continues on the next line (\\); write it as one line",
            ));
        }
        let says = says(raw).ok_or_else(|| refuse("this tool does not understand the line"))?;
        lines.push(Line { number, raw, says });
    }
    Ok(lines)
}

/// After common-auth, our line is safe only if a wrong password ends the stack in common-auth, and if no
/// line of common-auth ends the whole stack with a success.
fn accept_common_auth(source: &Source<'_>, name: &str) -> Result<(), Refusal> {
    let (path, text) = (source.other)(name).unwrap_or_default();
    let lines = read(&path, &text)?;
    let auth: Vec<_> = lines
        .iter()
        .filter_map(|line| match &line.says {
            Says::Auth { control, module } => Some((line.number, control, module)),
            _ => None,
        })
        .collect();
    let refuse = |line: Option<usize>, why: &str| Err(Refusal::at(&path, line, why));
    let is_end = |&(_, control, module): &(usize, &String, &String)| {
        control == "requisite" && module.ends_with("pam_deny.so")
    };
    let Some(end) = auth.iter().position(is_end) else {
        return refuse(
            None,
            "does not end in \"requisite pam_deny.so\" after a wrong password",
        );
    };
    for (index, &(number, control, _)) in auth.iter().enumerate() {
        if control == "sufficient" || control.contains("done") {
            let why = "ends the whole stack with a success before OneLogin is asked";
            return refuse(Some(number), why);
        }
        // A jump must lead to the line after the denial, and not further.
        let jumps = control.split(['[', ' ', ']']).filter_map(|pair| {
            let (_, action) = pair.split_once('=')?;
            action.parse::<usize>().ok()
        });
        for jump in jumps {
            if index < end && index + jump != end {
                return refuse(Some(number), "does not jump to the line after pam_deny.so");
            }
        }
    }
    Ok(())
}

/// The lines that replace Fedora's include, and the losses that the administrator must accept. In Fedora's
/// stack a wrong password does not end the stack, or a right one does (see STACKS in `pam_onelogin(8)`).
fn fedora(source: &Source<'_>, name: &str) -> Result<(Vec<&'static str>, Vec<Refusal>), Refusal> {
    let (path, text) = (source.other)(name).unwrap_or_default();
    let lines = read(&path, &text)?;
    let mut objections = Vec::new();
    for line in &lines {
        let Some(module) = line.module() else {
            continue;
        };
        if !COMES_ALONG.contains(&module) {
            let why = format!("{module} would no longer be used in {}", source.name);
            objections.push(Refusal::at(&path, line.number, why));
        }
    }
    let has_sssd = lines.iter().any(|line| line.module() == Some("pam_sss.so"));
    let first = if has_sssd { SSSD.to_vec() } else { vec![UNIX] };
    Ok((first, objections))
}

/// Our lines, in place of an old line or after it.
fn block(replaced: Option<&Line<'_>>, lines: &[&str]) -> String {
    let mut text = format!("{BEGIN}\n");
    if let Some(line) = replaced {
        text.push_str(KEPT);
        text.push_str(line.raw.trim_end_matches('\n'));
        text.push('\n');
    }
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    text + END + "\n"
}

const BEGIN: &str = "# BEGIN pam-onelogin enable; \"pam-onelogin disable\" takes it out";
const END: &str = "# END pam-onelogin enable";
/// Before a line that our block replaces.
const KEPT: &str = "#was: ";

const AFTER_PASSWORD: &str = "auth       required     pam_onelogin.so";
const AFTER_KEY: &str = "auth       requisite    pam_onelogin.so behind=key";
/// For exempt users, whose `PAM_IGNORE` alone would be a denial.
const PERMIT: &str = "auth       required     pam_permit.so";
const ENV: &str = "auth       required     pam_env.so";
const UNIX: &str = "auth       requisite    pam_unix.so";
const SSSD: [&str; 3] = [
    "auth  [success=2 default=ignore]  pam_unix.so",
    "auth  [success=1 default=ignore]  pam_sss.so use_first_pass",
    "auth  requisite                   pam_deny.so",
];
const ALL_OURS: [&str; 8] = {
    let [unix, sss, deny] = SSSD;
    [
        AFTER_PASSWORD,
        AFTER_KEY,
        PERMIT,
        ENV,
        UNIX,
        unix,
        sss,
        deny,
    ]
};

/// The modules of Fedora's system-auth that our lines replace, or that decide nothing.
const COMES_ALONG: [&str; 10] = [
    "pam_debug.so",
    "pam_deny.so",
    "pam_env.so",
    "pam_faildelay.so",
    "pam_localuser.so",
    "pam_permit.so",
    "pam_sss.so",
    "pam_succeed_if.so",
    "pam_unix.so",
    "pam_usertype.so",
];

#[cfg(test)]
mod tests;

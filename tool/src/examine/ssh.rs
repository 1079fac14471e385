//! sshd: whether it uses PAM, and which logins it accepts without PAM.

use crate::examine::break_glass;
use crate::examine::named_stack::{NamedStack, asks, has_factor, has_strict_factor, read};
use crate::examine::subject::Subject;
use crate::sshd::config::{Block, EXEMPT, Said, Sshd, View};
use crate::sshd::effective::{BOTH, USE_PAM};
use crate::sshd::keyword::Keyword;
use crate::sshd::methods::{KEY, hides_prompts, method, switch};
use crate::ui::finding::{Finding, Place, Severity, UNKNOWN};
use std::fmt::Write as _;
use std::time::Duration;

/// Checks the configuration of sshd, if its stack calls `pam_onelogin`.
pub(crate) fn examine(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    if subject
        .service
        .is_some_and(|service| !subject.is_ssh(service))
    {
        return;
    }
    let sshd = &subject.sshd;
    let Some(path) = &sshd.path else { return };
    let service = sshd.service();
    // Files that cannot be read have a finding of their own.
    let Some(stack) = read(subject.machine, service).filter(|_| !sshd.is_in_part) else {
        return;
    };
    if !stack.asks() {
        if service != SERVICE && asks(subject.machine, SERVICE) {
            let what = format!("sshd uses the stack {service}, which does not call pam_onelogin");
            findings.push(
                Finding::fault("sshd-service", what)
                    .of(sshd.global().place(Keyword::Service))
                    .opens_to("users of ssh")
                    .why("sshd does not use the stack sshd, which calls pam_onelogin")
                    .advice(format!("add pam_onelogin to /etc/pam.d/{service}")),
            );
        }
        return;
    }
    if sshd.is_endless() {
        findings.push(
            Finding::fault(
                "sshd-config",
                "sshd_config includes files in an endless loop",
            )
            .in_file(path)
            .why("sshd does not start")
            .advice("look for a file that includes itself; type: sudo sshd -t"),
        );
        return;
    }
    let known = findings.len();
    let global = sshd.global();
    for_all(subject, &global, &stack, findings);
    limits(subject, &global, findings);
    for finding in findings.iter_mut().skip(known) {
        let place = finding.place.get_or_insert_with(|| Place::of(path, None));
        let is_line = |advice: &&mut String| advice.contains("write \"");
        let Some(advice) = finding.advice.as_mut().filter(is_line) else {
            continue;
        };
        if place.path != *path {
            advice.push_str(
                "; write it in this file, or in one that sshd reads earlier: the first value counts",
            );
        }
        if let Some(first) = sshd.first_match(&place.path) {
            let _ = write!(advice, "; write it above the first Match line ({first})");
        }
    }
    if global.is_on(Keyword::UsePam) {
        for (index, block) in sshd.blocks.iter().enumerate() {
            in_block(subject, index, block, &stack, findings);
            another_stack(subject, index, block, findings);
        }
    }
    options(subject, findings);
    if !findings
        .iter()
        .skip(known)
        .any(|found| found.severity.is_bad() || found.who.is_some())
    {
        let what = "sshd accepts no login without its PAM stack";
        findings.push(Finding::good("sshd", what).in_file(path));
    }
    if global.is_on(Keyword::UsePam) {
        for (index, block) in sshd.blocks.iter().enumerate() {
            in_vain(sshd, index, block, findings);
        }
    }
}

/// The ways to log in, for users that no `Match` block selects.
fn for_all(
    subject: &Subject<'_>,
    global: &View<'_>,
    stack: &NamedStack,
    findings: &mut Vec<Finding>,
) {
    let known = findings.len();
    if global.is_on(Keyword::UsePam) {
        methods(subject, global, stack, findings);
    } else {
        findings.push(
            Finding::fault("sshd-pam", "sshd does not use PAM")
                .of(global.place(Keyword::UsePam))
                .opens_to("users of ssh")
                .why("a key or a password alone is enough to log in")
                .advice(global.advice(&USE_PAM)),
        );
    }
    if let Some(advice) = subject.lost_settings() {
        let found = findings.iter_mut().skip(known);
        for finding in found.filter(|found| found.severity.is_bad()) {
            finding.advice = Some(advice.clone());
        }
    }
}

/// A `Match` block that allows passwords although every way to log in needs a key first. Its users could log
/// in with a password before the settings for all users required a key.
fn in_vain(sshd: &Sshd, index: usize, block: &Block, findings: &mut Vec<Finding>) {
    let says = |keyword| sshd.own(index, keyword);
    let password = says(Keyword::Password).filter(Said::is_on);
    let (Some(said), None) = (password, says(Keyword::Methods)) else {
        return;
    };
    let view = sshd.within(index);
    if block.is_for_all() || view.lets_in_without_key() {
        return;
    }
    let condition = &block.condition;
    let what = format!("sshd, for \"Match {condition}\": PasswordAuthentication yes has no effect");
    let methods = view.value(Keyword::Methods);
    findings.push(
        Finding::warning("sshd-password", what)
            .of(Some(said.place.clone()))
            .why(format!(
                "AuthenticationMethods {methods} applies there, too: users without a key cannot log in"
            ))
            .advice("give these users keys, and remove the line"),
    );
}

/// What a `Match` block changes.
fn in_block(
    subject: &Subject<'_>,
    index: usize,
    block: &Block,
    stack: &NamedStack,
    findings: &mut Vec<Finding>,
) {
    if break_glass::in_block(subject, index, block, findings) {
        return;
    }
    let sshd = &subject.sshd;
    let mut global = Vec::new();
    methods(subject, &sshd.global(), stack, &mut global);
    let mut here = Vec::new();
    methods(subject, &sshd.within(index), stack, &mut here);
    for mut finding in here {
        let is_new = !global.iter().any(|known| known.what == finding.what);
        if is_new && finding.severity.is_bad() {
            if finding.id == "sshd-methods" {
                // An administrator wrote this block on purpose.
                if block.is_exempt && finding.who.is_some() {
                    finding.severity = Severity::Note;
                    finding.advice = None;
                } else {
                    finding.severity = Severity::Warning;
                }
                if finding.severity == Severity::Warning && finding.who.is_some() {
                    let advice = finding.advice.unwrap_or_default();
                    finding.advice = Some(format!(
                        "{advice}; if these logins are exempt on purpose, write the comment \"{EXEMPT}\" into the block"
                    ));
                }
            }
            finding.what = format!(
                "sshd, for \"Match {}\": {}",
                block.condition,
                without_name(&finding.what)
            );
            finding.place.get_or_insert_with(|| block.place.clone());
            if finding.who.is_some() {
                finding.who = Some(format!("logins that \"Match {}\" selects", block.condition));
            }
            findings.push(finding);
        }
    }
}

/// A `Match` block that names another stack.
fn another_stack(subject: &Subject<'_>, index: usize, block: &Block, findings: &mut Vec<Finding>) {
    let view = subject.sshd.within(index);
    let service = view.value(Keyword::Service);
    if service != subject.sshd.service() && !asks(subject.machine, service) {
        let condition = &block.condition;
        let what = format!(
            "sshd, for \"Match {condition}\": sshd uses the stack {service}, which does not call \
             pam_onelogin"
        );
        findings.push(
            Finding::fault("sshd-service", what)
                .of(view.place(Keyword::Service))
                .opens_to(format!("logins that \"Match {condition}\" selects"))
                .why("PAMServiceName sets this stack")
                .advice(format!(
                    "add pam_onelogin to /etc/pam.d/{service}, or remove the line"
                )),
        );
    }
}

fn without_name(what: &str) -> &str {
    what.strip_prefix("sshd: ").unwrap_or(what)
}

/// The methods by which sshd accepts a login, and which of them use the stack.
fn methods(
    subject: &Subject<'_>,
    view: &View<'_>,
    stack: &NamedStack,
    findings: &mut Vec<Finding>,
) {
    let place = view.place(Keyword::Methods);
    let place = place.or_else(|| view.place(Keyword::KbdInteractive));
    let lists = view.methods();
    let usable = view.usable_methods();
    if usable.is_empty() {
        let mut methods = lists.iter().flatten();
        let off = methods.find(|method| !view.is_enabled(method));
        let off = off.copied().unwrap_or_default();
        let keyword = switch(off);
        findings.push(
            Finding::fault(
                "sshd-methods",
                format!("sshd: no user can log in: {off} is off"),
            )
            .of(keyword.and_then(|keyword| view.place(keyword)).or(place))
            .why("each list in AuthenticationMethods has a method that is off")
            .advice(view.advice(&BOTH)),
        );
        return;
    }
    let has_first = has_strict_factor(stack);
    for list in &usable {
        let has = |name: &str| list.iter().any(|one| method(one) == name);
        let shown = list.join(",");
        let is_bare = list.len() == 1 && !has_first;
        let finding = if hides_prompts(list) {
            let is_only = usable.iter().all(|list| hides_prompts(list));
            password(subject, view, is_only, is_bare, findings);
            continue;
        } else if !has("keyboard-interactive") {
            let what = format!("sshd: {shown} alone is enough to log in");
            let why = if view.is_on(Keyword::KbdInteractive) {
                "sshd then does not authenticate with PAM"
            } else {
                "sshd then does not authenticate with PAM, and KbdInteractiveAuthentication is off"
            };
            Finding::fault("sshd-methods", what)
                .opens_to("users of ssh")
                .why(why)
        } else if is_bare {
            let lacks = if has_factor(stack) {
                "does not ask every user for a password"
            } else {
                "does not ask for a password"
            };
            let why = format!("{shown} needs no key, and the stack {} {lacks}", stack.name);
            Finding::fault("sshd-methods", "sshd: the code alone is enough to log in").why(why)
        } else {
            continue;
        };
        findings.push(finding.of(place.clone()).advice(view.advice(&BOTH)));
    }
    root_login(view, &lists, findings);
}

/// Whether `PermitRootLogin` excludes the method that the login needs.
fn root_login(view: &View<'_>, lists: &[Vec<&str>], findings: &mut Vec<Finding>) {
    let is_needed = lists.iter().all(|list| {
        let mut methods = list.iter();
        methods.any(|method| method.starts_with("keyboard-interactive"))
    });
    let permit = view.value(Keyword::RootLogin);
    let excludes = [
        "prohibit-password",
        "without-password",
        "forced-commands-only",
    ];
    if is_needed && excludes.contains(&permit) {
        let what = format!("sshd: root cannot log in by SSH (PermitRootLogin {permit})");
        findings.push(
            Finding::note("sshd-root", what)
                .of(view.place(Keyword::RootLogin))
                .why("this value excludes keyboard-interactive, which the login needs"),
        );
    }
}

/// The method `password`, which shows no prompt.
fn password(
    subject: &Subject<'_>,
    view: &View<'_>,
    is_only: bool,
    is_bare: bool,
    findings: &mut Vec<Finding>,
) {
    let on = "sshd: PasswordAuthentication is on";
    let finding = if view.is_on(Keyword::Kerberos) {
        let what = "sshd: a Kerberos password is enough to log in, without PAM";
        let why = "with KerberosAuthentication, sshd checks the password itself";
        findings.push(
            Finding::fault("sshd-kerberos", what)
                .of(view.place(Keyword::Kerberos))
                .opens_to("users of ssh")
                .why(why)
                .advice(view.advice(&["KerberosAuthentication no", NO_PASSWORD])),
        );
        return;
    } else if is_bare && subject.exempts() {
        Finding::fault("sshd-password", on)
            .opens_to("exempt users")
            .why("an exempt user can log in with any password: the stack does not check it")
    } else if is_only {
        Finding::fault("sshd-password", "sshd: no user can log in with a password")
            .why("every list of methods needs \"password\", which cannot show a prompt for a code")
    } else {
        Finding::warning("sshd-password", on)
            .why("it cannot show a prompt for a code: a login with it is denied")
    };
    findings.push(
        finding
            .of(view
                .place(Keyword::Password)
                .or_else(|| view.place(Keyword::Methods)))
            .advice(if is_only {
                view.advice(&[KEY, NO_PASSWORD])
            } else {
                view.advice(&[NO_PASSWORD])
            }),
    );
}

/// Options on sshd's command line, which take precedence over its file.
fn options(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for path in OPTIONS {
        let text = subject.machine.text_or_empty(path);
        for (index, line) in text.lines().enumerate() {
            let is_said = !line.trim_start().starts_with('#');
            let mut words = line.split([' ', '\t', '"', '\'', '=']);
            if is_said && words.any(|word| word.starts_with("-o") || word.starts_with("-f")) {
                findings.push(
                    Finding::warning("sshd-options", "sshd is started with command-line options")
                        .at(path, index + 1)
                        .opens_to(UNKNOWN)
                        .why("they take precedence over sshd_config, and check does not read them")
                        .advice("move them to sshd_config; to see those of the running sshd, type: ps -o args -C sshd"),
                );
            }
        }
    }
}

/// The setting that turns the method `password` off.
const NO_PASSWORD: &str = "PasswordAuthentication no";

/// Times and tries.
fn limits(subject: &Subject<'_>, view: &View<'_>, findings: &mut Vec<Finding>) {
    let wait = subject.login_timeout();
    let grace = view.value(Keyword::GraceTime);
    let enough = (wait.as_secs() + 60).max(120);
    let enough = view.advice(&[&format!("LoginGraceTime {enough}")]);
    match seconds(grace) {
        Some(0) => {}
        Some(grace) if Duration::from_secs(grace) > wait => {}
        Some(grace) => findings.push(
            Finding::warning(
                "sshd-grace",
                format!("sshd: LoginGraceTime is {grace} seconds"),
            )
            .of(view.place(Keyword::GraceTime))
            .why(format!(
                "sshd ends the login before pam_onelogin does (login_timeout, {} seconds)",
                wait.as_secs()
            ))
            .advice(enough),
        ),
        None => findings.push(
            Finding::warning("sshd-grace", "sshd: LoginGraceTime is not a valid time")
                .of(view.place(Keyword::GraceTime))
                .why("sshd does not start with it")
                .advice(enough),
        ),
    }
    if let Ok(tries @ 0..=2) = view.value(Keyword::MaxTries).parse::<u32>() {
        findings.push(
            Finding::warning("sshd-tries", format!("sshd: MaxAuthTries is {tries}"))
                .of(view.place(Keyword::MaxTries))
                .why(
                    "every key that sshd rejects counts as a try: a client with several keys may \
                     never get a prompt for the code",
                )
                .advice(view.advice(&["MaxAuthTries 6"])),
        );
    }
}

/// As sshd writes times: `90`, `2m`, `1h30m`.
fn seconds(text: &str) -> Option<u64> {
    let mut total = 0_u64;
    let mut number = None;
    for c in text.chars() {
        if let Some(digit) = c.to_digit(10) {
            let so_far: u64 = number.unwrap_or(0);
            number = Some(so_far.checked_mul(10)?.checked_add(u64::from(digit))?);
        } else {
            let factor = match c.to_ascii_lowercase() {
                's' => 1,
                'm' => 60,
                'h' => 3600,
                'd' => 86400,
                'w' => 604_800,
                _ => return None,
            };
            total = total.checked_add(number.take()?.checked_mul(factor)?)?;
        }
    }
    total.checked_add(number.unwrap_or(0))
}

/// Where services keep the options of sshd: Debian, Fedora and SUSE, Alpine.
const OPTIONS: [&str; 4] = [
    "/etc/default/ssh",
    "/etc/sysconfig/sshd",
    "/etc/sysconfig/ssh",
    "/etc/conf.d/sshd",
];

/// The service of sshd.
const SERVICE: &str = "sshd";

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn times_are_read_as_sshd_writes_them() {
        assert_eq!(seconds("90"), Some(90));
        assert_eq!(seconds("2m"), Some(120));
        assert_eq!(seconds("1h30M5"), Some(5405));
        assert_eq!(seconds("m"), None);
        assert_eq!(seconds("2x"), None);
    }
}

//! What sshd is set to, in its own words (`sshd -T`), and what its stack needs of it. What lacks goes
//! into a file of ours, where sshd reads such files; the admin's own are read, never written.

use crate::change::plan::Planned;
use crate::change::sandbox::Scratch;
use crate::host::files::{self, Metadata};
use crate::outcome::Failure;
use crate::pam_stack::edit::Behind;
use crate::sshd::effective::Settings;
use crate::sshd::match_blocks;
use crate::sshd::methods::{KEY, PASSWORD};
use crate::sshd::running::{self, Sessions, reload, unread};
use std::path::Path;

/// What sshd needs.
pub(crate) struct Needs {
    /// What proves the user before.
    pub(crate) behind: Behind,
    /// Our file of settings, where that is all that lacks.
    pub(crate) file: Option<Planned>,
    /// What else is wrong.
    pub(crate) objections: Vec<String>,
}

/// Finds it out, for a login of this user.
pub(crate) fn needs(user: &str, said: Option<Behind>) -> Result<Needs, Failure> {
    let settings = Settings::of(None, user)?;
    let behind = said.or_else(|| settings.behind()).ok_or_else(|| {
        Failure::new(
            "sshd's AuthenticationMethods do not tell what comes before OneLogin; say --behind key, or \
             --behind password: what they lack is then written, too",
        )
    })?;
    let mut objections = settings.objections(behind);
    let mut file = None;
    if objections.is_empty() {
        objections.extend(unread(&settings, user));
    } else if let Some(planned) = planned(&settings, user, behind)? {
        running::can_be_reloaded()?;
        objections.clear();
        file = Some(planned);
    }
    objections.extend(match_blocks::lose_login(behind));
    objections.extend(settings.keeps_out(user));
    Ok(Needs {
        behind,
        file,
        objections,
    })
}

/// Why nobody would come in by ssh with a password any more, or some would not, once sshd's stack asks
/// for a code.
pub(crate) fn hides_prompts(user: &str) -> Vec<String> {
    // Without sshd there is nobody to keep out.
    let Ok(settings) = Settings::of(None, user) else {
        return Vec::new();
    };
    let for_all = settings.hides_prompts().then(|| {
        "sshd takes passwords in a way that cannot ask for a code, and would keep out who has no key; \
         sshd_config needs \"KbdInteractiveAuthentication yes\" and \"PasswordAuthentication no\""
            .to_owned()
    });
    for_all
        .into_iter()
        .chain(match_blocks::see_no_prompt())
        .collect()
}

/// Our file, where sshd would read it, and would then need nothing else.
fn planned(now: &Settings, user: &str, behind: Behind) -> Result<Option<Planned>, Failure> {
    if !Path::new(OURS).parent().is_some_and(Path::is_dir) {
        return Ok(None);
    }
    let config = std::fs::read(CONFIG).unwrap_or_default();
    let text = lines(now.lacking_methods(behind));
    let scratch = Scratch::make()?;
    let (ours, preview) = (scratch.0.join("ours.conf"), scratch.0.join("sshd_config"));
    let Some(config) = with_include(&String::from_utf8_lossy(&config), &ours) else {
        return Ok(None);
    };
    let metadata = Metadata::own(0o600);
    files::put(&ours, text.as_bytes(), &metadata)?;
    files::put(&preview, config.as_bytes(), &metadata)?;
    let settings = Settings::of(Some(&preview), user)?;
    if !settings.objections(behind).is_empty() {
        return Ok(None);
    }
    Ok(Some(Planned {
        path: OURS.into(),
        before: files::snapshot(Path::new(OURS))?,
        after: text.into_bytes(),
    }))
}

/// The settings of our file.
fn lines(methods: Option<&str>) -> String {
    let text = "UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no\n";
    let methods = methods.map(|line| format!("{line}\n"));
    format!("{HEAD}{text}{}", methods.unwrap_or_default())
}

/// sshd's configuration with this file read before those that it includes: whatever is said first
/// counts. `None` where it includes none.
fn with_include(config: &str, ours: &Path) -> Option<String> {
    let includes = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let key = words.next().unwrap_or_default();
        key.eq_ignore_ascii_case("include") && words.any(|word| INCLUDED.contains(&word))
    };
    let lines: Vec<_> = config.split_inclusive('\n').collect();
    let place = lines.iter().position(|line| includes(line))?;
    let (before, after) = lines.split_at(place);
    Some(format!(
        "{}Include {}\n{}",
        before.concat(),
        ours.display(),
        after.concat()
    ))
}

/// Whether sshd reads its settings from this file, as far as we write any.
pub(crate) fn reads(path: &Path) -> bool {
    path == Path::new(OURS)
}

/// Whether our file is there, as we have written it.
pub(crate) fn is_written() -> Result<bool, Failure> {
    let ours = files::snapshot(Path::new(OURS))?;
    Ok(ours.is_some_and(|file| {
        let written = [None, Some(KEY), Some(PASSWORD)].map(lines);
        written.iter().any(|text| text.as_bytes() == file.bytes)
    }))
}

/// Takes our file away where no record knows of it.
pub(crate) fn take_away() -> Result<(), Failure> {
    files::remove(Path::new(OURS))?;
    reload(Sessions::Stay)
}

/// What sshd goes on to ask for by settings that are not ours, once its stack is without us.
pub(crate) fn what_stays() -> Option<&'static str> {
    let settings = Settings::of(None, "root").ok()?;
    (settings.behind() == Some(Behind::Key)).then_some(
        "sshd still asks for a key and then for what its stack asks, the password: \
         AuthenticationMethods in its settings is yours to take out",
    )
}

/// Has the sshd that runs read its settings again, and sees that it has.
pub(crate) fn take_effect(user: &str, behind: Behind) -> Result<(), Failure> {
    let settings = Settings::of(None, user)?;
    let mut objections = settings.objections(behind);
    if objections.is_empty() {
        reload(Sessions::Stay)?;
        objections.extend(unread(&settings, user));
    }
    if objections.is_empty() {
        Ok(())
    } else {
        Err(Failure(objections))
    }
}

/// sshd's own file.
const CONFIG: &str = "/etc/ssh/sshd_config";
/// Our file of settings; its name comes before those of others.
pub(crate) const OURS: &str = "/etc/ssh/sshd_config.d/00-onelogin.conf";
/// How `sshd_config` includes such files.
const INCLUDED: [&str; 2] = ["/etc/ssh/sshd_config.d/*.conf", "sshd_config.d/*.conf"];
const HEAD: &str = "# By pam-onelogin enable sshd, together with /etc/pam.d/sshd. To undo both: pam-onelogin disable sshd\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_file_is_read_where_others_are_and_before_them() {
        let ours = Path::new("/ours");
        for line in [
            "Include /etc/ssh/sshd_config.d/*.conf",
            "include\t/elsewhere /etc/ssh/sshd_config.d/*.conf",
            "Include sshd_config.d/*.conf",
        ] {
            let text = with_include(&format!("# {line}\n{line}\nPort 1\n"), ours).unwrap();
            assert_eq!(text, format!("# {line}\nInclude /ours\n{line}\nPort 1\n"));
        }
        for line in [
            "",
            "#Include /etc/ssh/sshd_config.d/*.conf",
            "Include /etc/ssh/other/*.conf",
        ] {
            assert_eq!(with_include(line, ours), None, "{line}");
        }
    }
}

//! The settings of sshd as `sshd -T` shows them, and the settings that its stack needs. Missing settings go
//! into a file of ours, if sshd reads such files; the administrator's files are read, never written.

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
    /// The first factor.
    pub(crate) behind: Behind,
    /// Our file of settings, if it is enough.
    pub(crate) file: Option<Planned>,
    /// Everything else that is wrong.
    pub(crate) objections: Vec<String>,
}

/// Finds out what a login of this user needs.
pub(crate) fn needs(user: &str, said: Option<Behind>) -> Result<Needs, Failure> {
    let settings = Settings::of(None, user)?;
    let behind = said.or_else(|| settings.behind()).ok_or_else(|| {
        Failure::new(
            "cannot tell the first factor from AuthenticationMethods; pass --behind key or --behind \
             password",
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

/// What a change of sshd takes away, although it is right: to be read before it is written.
pub(crate) fn consequences(behind: Behind) -> Vec<String> {
    let mut lines = Vec::new();
    if behind == Behind::Key {
        lines
            .push("Users without a key in authorized_keys can no longer log in by SSH.".to_owned());
    }
    let root = Settings::of(None, "root").ok();
    if let Some(permit) = root.as_ref().and_then(|settings| settings.excludes("root")) {
        lines.push(format!(
            "root can no longer log in by SSH (PermitRootLogin {permit}); keep another way in for root, or write \
             \"PermitRootLogin yes\""
        ));
    }
    lines
}

/// Why users could no longer log in by SSH with a password once the stack of sshd asks for a code.
pub(crate) fn hides_prompts(user: &str) -> Vec<String> {
    // Without sshd, no user can be locked out.
    let Ok(settings) = Settings::of(None, user) else {
        return Vec::new();
    };
    let for_all = settings.hides_prompts().then(|| {
        "sshd accepts passwords with a method that cannot show a prompt for a code, so users without a key \
         could not log in; sshd_config needs \"KbdInteractiveAuthentication yes\" and \
         \"PasswordAuthentication no\""
            .to_owned()
    });
    for_all
        .into_iter()
        .chain(match_blocks::see_no_prompt())
        .collect()
}

/// Our file, if sshd would read it, and if no other setting is then missing.
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

/// sshd's configuration with this file before the files that it includes, because the first value counts.
/// `None` if it includes none.
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

/// Whether this is the file of sshd settings that the tool writes.
pub(crate) fn reads(path: &Path) -> bool {
    path == Path::new(OURS)
}

/// Whether our file exists exactly as the tool writes it.
pub(crate) fn is_written() -> Result<bool, Failure> {
    let ours = files::snapshot(Path::new(OURS))?;
    Ok(ours.is_some_and(|file| {
        let written = [None, Some(KEY), Some(PASSWORD)].map(lines);
        written.iter().any(|text| text.as_bytes() == file.bytes)
    }))
}

/// Removes our file, if no record lists it.
pub(crate) fn take_away() -> Result<(), Failure> {
    files::remove(Path::new(OURS))?;
    reload(Sessions::Stay)
}

/// What sshd still asks for after its stack no longer calls `pam_onelogin`, because of settings that are
/// not ours.
pub(crate) fn what_stays() -> Option<&'static str> {
    let settings = Settings::of(None, "root").ok()?;
    (settings.behind() == Some(Behind::Key)).then_some(
        "sshd still asks for a key and then for the password; to change that, remove \
         AuthenticationMethods from its settings by hand",
    )
}

/// Makes the running sshd read its settings again, and checks that it has.
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

//! The settings of sshd as `sshd -T` shows them, and the settings that its stack needs. Missing settings go
//! into a file of ours, if sshd reads such files; the administrator's files are read, never written.

use crate::change::plan::Planned;
use crate::change::sandbox::Scratch;
use crate::host::files::{self, Metadata};
use crate::host::target_system::TargetSystem;
use crate::outcome::Failure;
use crate::pam_stack::edit::Behind;
use crate::sshd::config::Sshd;
use crate::sshd::effective::{Missing, Settings};
use crate::sshd::keyword::Keyword;
use crate::sshd::lost_logins::{lost_logins, user_has_key};
use crate::sshd::match_blocks;
use crate::sshd::methods::{KEY, PASSWORD, needed};
use crate::sshd::running::{self, Sessions, reload, unread};
use std::path::{Path, PathBuf};

/// What sshd needs.
pub(crate) struct Needs {
    /// The first factor.
    pub(crate) behind: Behind,
    /// Our file of settings, if it is enough.
    pub(crate) file: Option<Planned>,
    /// Everything else that is wrong.
    pub(crate) objections: Vec<String>,
}

/// The user for whose logins sshd is changed.
#[derive(Clone, Copy)]
pub(crate) struct Whose<'a> {
    /// The user whose settings of sshd count.
    pub(crate) user: &'a str,
    /// Whether this user must be able to log in: for the trial login, or to confirm the change.
    pub(crate) logs_in: bool,
}

/// Finds out what a login of this user needs.
pub(crate) fn needs(whose: Whose<'_>, said: Option<Behind>) -> Result<Needs, Failure> {
    let Whose { user, logs_in } = whose;
    let settings = Settings::of(None, user)?;
    let machine = TargetSystem::this();
    let behind = said.or_else(|| settings.behind()).ok_or_else(|| {
        let mut sentences = vec![
            "cannot tell the first factor from AuthenticationMethods; pass --behind key or --behind \
             password"
                .to_owned(),
        ];
        let files = settings.value(Keyword::KeysFile);
        let name = pam_onelogin::text::printable(user);
        sentences.extend(match user_has_key(&machine, files, user).filter(|_| logs_in) {
            Some(true) => Some(format!("{name} has a key in authorized_keys: key is the better choice")),
            Some(false) => Some(format!(
                "{name} has no key in authorized_keys, and could not log in by ssh after --behind key"
            )),
            None => None,
        });
        Failure(sentences)
    })?;
    let files = Sshd::read(&machine);
    let sentences = |missing: Vec<Missing>| -> Vec<String> {
        missing.iter().map(|it| it.sentence(&files)).collect()
    };
    let missing = settings.missing(behind);
    let mut file = None;
    let mut objections = if missing.is_empty() {
        unread(&settings, &files, user).into_iter().collect()
    } else if let Some((planned, missing)) = planned(&machine, &files, user, behind)? {
        // What comes before our file stays as it is.
        if missing.is_empty() {
            running::can_follow(&settings)?;
            file = Some(planned);
        }
        sentences(missing)
    } else {
        let mut sentences = sentences(missing);
        let config = files.path.as_deref().unwrap_or(Path::new(CONFIG)).display();
        sentences.push(format!(
            "{config} does not include {FOLDER}/*.conf, so this tool cannot write these settings; write \
             them yourself, or make that folder and write \"Include {FOLDER}/*.conf\" as the first line of {config}"
        ));
        sentences
    };
    objections.extend(match_blocks::lose_login(behind));
    objections.extend(logs_in.then(|| settings.keeps_out(user)).flatten());
    Ok(Needs {
        behind,
        file,
        objections,
    })
}

/// What a change of sshd takes away, although it is right: to be read before it is written.
pub(crate) fn consequences(user: &str, behind: Behind) -> Vec<String> {
    let now = Settings::of(None, user).ok();
    let mut lines = now.map_or_else(Vec::new, |now| {
        lost_logins(&TargetSystem::this(), &now, behind)
    });
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

/// Our file, if sshd reads such files, and the settings that are missing once it is written.
fn planned(
    machine: &TargetSystem,
    files: &Sshd,
    user: &str,
    behind: Behind,
) -> Result<Option<(Planned, Vec<Missing>)>, Failure> {
    if !Path::new(FOLDER).is_dir() {
        return Ok(None);
    }
    let config = files
        .path
        .as_deref()
        .and_then(|path| std::fs::read(path).ok());
    let config = config.unwrap_or_default();
    let scratch = Scratch::make()?;
    let (ours, preview) = (scratch.0.join("ours.conf"), scratch.0.join("sshd_config"));
    let config = String::from_utf8_lossy(&config);
    let included = machine.matching(&Path::new(FOLDER).join("*.conf"));
    let Some(config) = with_ours(&config, included, &ours) else {
        return Ok(None);
    };
    let metadata = Metadata::own(0o600);
    files::put(&preview, config.as_bytes(), &metadata)?;
    let missing_with = |text: &str| {
        files::put(&ours, text.as_bytes(), &metadata)?;
        Ok::<_, Failure>(Settings::of(Some(&preview), user)?.missing(behind))
    };
    // Methods of the administrator that are sufficient stay: they may ask for more.
    let mut text = lines(None);
    let mut missing = missing_with(&text)?;
    if !missing.is_empty() {
        text = lines(Some(needed(behind).0));
        missing = match missing_with(&text) {
            Ok(missing) => missing,
            // sshd refuses methods that another line switches off.
            Err(failure) => {
                missing.retain(|it| it.is_overruled(files));
                if missing.is_empty() {
                    return Err(failure);
                }
                missing
            }
        };
    }
    let planned = Planned {
        path: OURS.into(),
        before: files::snapshot(Path::new(OURS))?,
        after: text.into_bytes(),
    };
    Ok(Some((planned, missing)))
}

/// The settings of our file.
fn lines(methods: Option<&str>) -> String {
    let text = "UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no\n";
    let methods = methods.map(|line| format!("{line}\n"));
    format!("{HEAD}{text}{}", methods.unwrap_or_default())
}

/// sshd's configuration as it will be: the files that it includes by our folder are named one by one, and
/// this file is in the place of ours. `None` if it does not include them.
fn with_ours(config: &str, mut files: Vec<PathBuf>, ours: &Path) -> Option<String> {
    files.push(OURS.into());
    files.sort();
    files.dedup();
    let each = files.iter().map(|file| {
        let file = if reads(file) { ours } else { file };
        format!("\"{}\"", file.display())
    });
    let each = each.collect::<Vec<_>>().join(" ");
    let mut is_included = false;
    let mut text = String::new();
    for line in config.lines() {
        let mut words: Vec<&str> = line.split_ascii_whitespace().collect();
        let includes = words
            .first()
            .is_some_and(|key| key.eq_ignore_ascii_case("include"));
        for word in words.iter_mut().skip(1).filter(|_| includes) {
            if INCLUDED.contains(&word.trim_matches('"')) {
                *word = &each;
                is_included = true;
            }
        }
        text.push_str(&if includes {
            words.join(" ")
        } else {
            line.to_owned()
        });
        text.push('\n');
    }
    is_included.then_some(text)
}

/// Whether this is the file of sshd settings that the tool writes.
pub(crate) fn reads(path: &Path) -> bool {
    path == Path::new(OURS)
}

/// The text of our file after an edit, without our settings; `None` if nothing else is left. A file without
/// our first line is not ours.
pub(crate) fn without_ours(text: &str) -> Option<String> {
    if !text.lines().any(|line| line == HEAD.trim_end()) {
        return Some(text.to_owned());
    }
    let ours = [KEY, PASSWORD].map(|methods| lines(Some(methods))).concat();
    let is_ours = |line: &str| ours.lines().any(|one| one == line);
    let rest = text.split_inclusive('\n');
    let rest: String = rest.filter(|line| !is_ours(line.trim_end())).collect();
    (!rest.trim().is_empty()).then_some(rest)
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
    let files = Sshd::read(&TargetSystem::this());
    let missing = settings.missing(behind);
    let mut objections: Vec<_> = missing.iter().map(|it| it.sentence(&files)).collect();
    if objections.is_empty() {
        reload(Sessions::Stay)?;
        objections.extend(unread(&settings, &files, user));
    }
    if objections.is_empty() {
        Ok(())
    } else {
        Err(Failure(objections))
    }
}

/// sshd's own file.
const CONFIG: &str = "/etc/ssh/sshd_config";
/// The folder of such files, as distributions include it.
const FOLDER: &str = "/etc/ssh/sshd_config.d";
/// Our file of settings; its name comes before those of most others.
pub(crate) const OURS: &str = "/etc/ssh/sshd_config.d/00-onelogin.conf";
/// How `sshd_config` includes such files.
const INCLUDED: [&str; 2] = ["/etc/ssh/sshd_config.d/*.conf", "sshd_config.d/*.conf"];
const HEAD: &str = "# By pam-onelogin enable sshd, together with /etc/pam.d/sshd. To undo both: pam-onelogin disable sshd\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_file_is_read_in_its_place_among_the_others() {
        let ours = Path::new("/ours");
        let files = ["00-a.conf", "50-b.conf"].map(|name| Path::new(FOLDER).join(name));
        let named = format!("\"{FOLDER}/00-a.conf\" \"/ours\" \"{FOLDER}/50-b.conf\"");
        for (line, read) in [
            (
                "Include /etc/ssh/sshd_config.d/*.conf",
                format!("Include {named}"),
            ),
            (
                "include\t/elsewhere /etc/ssh/sshd_config.d/*.conf",
                format!("include /elsewhere {named}"),
            ),
            ("Include sshd_config.d/*.conf", format!("Include {named}")),
            (
                "Include \"/etc/ssh/sshd_config.d/*.conf\"",
                format!("Include {named}"),
            ),
        ] {
            let text = format!("# {line}\n{line}\nPort 1\n");
            let text = with_ours(&text, files.to_vec(), ours).unwrap();
            assert_eq!(text, format!("# {line}\n{read}\nPort 1\n"));
        }
        for line in [
            "",
            "#Include /etc/ssh/sshd_config.d/*.conf",
            "Include /etc/ssh/other/*.conf",
        ] {
            assert_eq!(with_ours(line, files.to_vec(), ours), None, "{line}");
        }
        // Our own file, if there is one already, is read as it will be.
        let files = vec![PathBuf::from(OURS)];
        let text = with_ours("Include sshd_config.d/*.conf", files, ours).unwrap();
        assert_eq!(text, "Include \"/ours\"\n");
    }
}

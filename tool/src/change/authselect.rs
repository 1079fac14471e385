//! `all` on systems where authselect writes the stacks. It runs in a mount namespace with overlays that
//! receive what it writes; the result is then tried and written like any other change. authselect
//! overwrites files that were edited by hand (since 1.5 without a message), so the tool looks for these
//! first.

use crate::change::plan::{Planned, names_us_as_planned};
use crate::change::sandbox::{own_program, private_mounts};
use crate::host::files;
use crate::host::programs::{clean, run};
use crate::outcome::{Exit, Failure};
use nix::mount::{MsFlags, mount};
use pam_onelogin::text::printable;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

/// The selected profile.
struct Selected {
    profile: String,
    features: Vec<String>,
}

/// What authselect has written to the overlays: first when it wrote the selected profile again, then with
/// the change.
#[derive(Serialize, Deserialize)]
struct Preview {
    anew: Vec<Touched>,
    changed: Vec<Touched>,
}

/// A file that it has touched.
#[derive(Serialize, Deserialize)]
struct Touched {
    path: PathBuf,
    what: What,
}

#[derive(Serialize, Deserialize)]
enum What {
    File(Vec<u8>),
    Link(PathBuf),
    Gone,
}

/// Whether this host has authselect.
pub(crate) fn is_here() -> bool {
    Path::new(AUTHSELECT).exists()
}

/// Whether only authselect writes this file.
pub(crate) fn writes(path: &Path) -> bool {
    FOLDERS.iter().any(|folder| path.starts_with(folder))
}

/// The files to write so that logins ask OneLogin, and the objections to them.
pub(crate) fn change() -> Result<(Vec<Planned>, Vec<String>), Failure> {
    let selected = selected()?.ok_or_else(|| {
        Failure(vec![
            "no authselect profile is selected on this host; to list the profiles, type: authselect list"
                .to_owned(),
            A_SERVICE.to_owned(),
        ])
    })?;
    let (words, lost) = selected.words()?;
    let plans = plans(&words)?;
    if !asks(&plans)? {
        return Err(Failure(vec![
            format!(
                "the authselect profile {} does not ask OneLogin, although its feature {FEATURE} is on",
                printable(&selected.profile)
            ),
            A_SERVICE.to_owned(),
        ]));
    }
    Ok((plans, lost))
}

/// Lets authselect remove `pam_onelogin`; returns the changed files.
pub(crate) fn take_out() -> Result<Vec<String>, Failure> {
    let selected = selected()?;
    let is_on = |selected: &Selected| selected.features.iter().any(|feature| feature == FEATURE);
    if !selected.as_ref().is_some_and(is_on) {
        return if asks(&[])? {
            Err(Failure::new(format!(
                "a stack of authselect names pam_onelogin, although the feature {FEATURE} is off; remove \
                 the line by hand"
            )))
        } else {
            Ok(Vec::new())
        };
    }
    let words = ["disable-feature", FEATURE];
    let plans = plans(&words.map(str::to_owned))?;
    let output = ask(&words)?;
    if !output.status.success() || asks(&[])? {
        return Err(said(
            &format!(
                "{AUTHSELECT} did not remove pam_onelogin: {}",
                output.status
            ),
            &output,
        ));
    }
    let paths = plans.iter().map(|plan| plan.path.display().to_string());
    Ok(paths.collect())
}

impl Selected {
    /// The arguments for authselect, and the features that would be lost.
    fn words(&self) -> Result<(Vec<String>, Vec<String>), Failure> {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        if self.features.iter().any(|feature| feature == FEATURE) {
            return Ok((words(&["apply-changes"]), Vec::new()));
        }
        // Our profile, or a custom profile made from it.
        let own = features(&self.profile)?;
        if own.iter().any(|feature| feature == FEATURE) {
            return Ok((words(&["enable-feature", FEATURE]), Vec::new()));
        }
        let profile = printable(&self.profile);
        if !REPLACEABLE.contains(&self.profile.as_str()) {
            return Err(Failure(vec![
                format!(
                    "the authselect profile {profile} has no feature {FEATURE}, and the profile {PROFILE} \
                     cannot replace it"
                ),
                A_SERVICE.to_owned(),
            ]));
        }
        let ours = features(PROFILE)?;
        let (kept, lost): (Vec<_>, Vec<_>) = self
            .features
            .iter()
            .cloned()
            .partition(|feature| ours.contains(feature));
        let mut select: Vec<String> = words(&["select", PROFILE]);
        select.extend(kept);
        select.push(FEATURE.to_owned());
        let lost = lost.iter().map(|feature| {
            let feature = printable(feature);
            format!(
                "the feature {feature} of {profile} would be lost: {PROFILE} does not have it; to disable \
                 it yourself, type: authselect disable-feature {feature}"
            )
        });
        Ok((select, lost.collect()))
    }
}

/// The profile with its features; `None` if no profile is selected.
fn selected() -> Result<Option<Selected>, Failure> {
    let output = ask(&["current", "--raw"])?;
    if !output.status.success() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut words = text.split_whitespace().map(str::to_owned);
    let profile = words.next();
    Ok(profile.map(|profile| Selected {
        profile,
        features: words.collect(),
    }))
}

/// The features that a profile has.
fn features(profile: &str) -> Result<Vec<String>, Failure> {
    let output = ask(&["list-features", profile])?;
    if !output.status.success() {
        let what = format!(
            "the authselect profile {} does not exist",
            printable(profile)
        );
        return Err(said(&what, &output));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

/// The files that authselect would change with these arguments. Files edited by hand are refused.
fn plans(words: &[String]) -> Result<Vec<Planned>, Failure> {
    let output = ask(&["check"])?;
    if !output.status.success() {
        return Err(edited(&output, &[]));
    }
    let preview = preview(words)?;
    let mut strange = Vec::new();
    for file in preview.anew.iter().filter(|file| !file.is_compiled()) {
        if !file.is_as_it_stands()? {
            strange.push(file.path.as_path());
        }
    }
    if !strange.is_empty() {
        return Err(edited(&output, &strange));
    }
    let mut plans = Vec::new();
    let mut is_changed = false;
    for file in preview.changed {
        let is_same = file.is_as_it_stands()?;
        is_changed |= !is_same;
        match file.what {
            What::File(after) if writes(&file.path) => {
                let before = files::snapshot(&file.path)?;
                if before.as_ref().is_none_or(|now| now.bytes != after) {
                    plans.push(Planned {
                        path: file.path,
                        before,
                        after,
                    });
                }
            }
            _ if is_same => {}
            _ => {
                return Err(Failure::at(
                    &file.path,
                    "authselect would change this file as well, which this tool does not support",
                ));
            }
        }
    }
    // A new date above the same text is not a change.
    plans.retain(|_| is_changed);
    plans.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(plans)
}

/// Whether a stack that services include calls `pam_onelogin`, once these files are as planned.
fn asks(plans: &[Planned]) -> Result<bool, Failure> {
    let [system, password] = STACKS.map(Path::new);
    Ok(names_us_as_planned(system, plans)? || names_us_as_planned(password, plans)?)
}

/// A child process finds out what authselect would do.
fn preview(words: &[String]) -> Result<Preview, Failure> {
    let output = clean(own_program()?)
        .args(["preview", "--authselect"])
        .args(words)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Failure::new(format!("the trial run of {AUTHSELECT} failed: {error}")))?;
    if !output.status.success() {
        let mut failure = said(&format!("the trial run of {AUTHSELECT} failed:"), &output);
        failure.0.push(A_SERVICE.to_owned());
        return Err(failure);
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| Failure::new(format!("the trial run of {AUTHSELECT} failed: {error}")))
}

/// The child process: no other process sees what it does.
pub(crate) fn preview_here(words: &[String]) -> Result<Exit, Failure> {
    let layers = layers()?;
    let touched = |words: &[&str]| {
        let output = ask(words)?;
        if !output.status.success() {
            return Err(said(
                &format!("authselect {}: {}", words.join(" "), output.status),
                &output,
            ));
        }
        let mut found = Vec::new();
        for (layer, folder) in &layers {
            look_through(layer, folder, &mut found).map_err(|error| Failure::at(layer, error))?;
        }
        Ok(found)
    };
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let preview = Preview {
        anew: touched(&["apply-changes"])?,
        changed: touched(&words)?,
    };
    let none_of_it = |error: std::io::Error| Failure::new(error.to_string());
    serde_json::to_writer(std::io::stdout().lock(), &preview)
        .map_err(|error| none_of_it(error.into()))?;
    Ok(Exit::Good)
}

/// Overlays that receive what is written below [`LAYERED`], each with its folder; no other process sees them.
fn layers() -> Result<Vec<(PathBuf, &'static Path)>, Failure> {
    private_mounts()?;
    let failed = |what: &Path, errno: nix::Error| Failure::at(what, errno.desc());
    // The overlays are in memory; and the sockets in /run are out of reach.
    let run = Path::new("/run");
    mount(
        Some("tmpfs"),
        run,
        Some("tmpfs"),
        MsFlags::empty(),
        Some("mode=0755"),
    )
    .map_err(|errno| failed(run, errno))?;
    let mut layers = Vec::new();
    for (number, folder) in LAYERED.iter().enumerate() {
        let folder = Path::new(folder);
        if !folder.is_dir() {
            continue;
        }
        let (layer, work) = (
            run.join(format!("layer-{number}")),
            run.join(format!("work-{number}")),
        );
        for folder in [&layer, &work] {
            std::fs::create_dir(folder).map_err(|error| Failure::at(folder, error))?;
        }
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            folder.display(),
            layer.display(),
            work.display()
        );
        mount(
            Some("overlay"),
            folder,
            Some("overlay"),
            MsFlags::empty(),
            Some(options.as_str()),
        )
        .map_err(|errno| failed(folder, errno))?;
        layers.push((layer, folder));
    }
    Ok(layers)
}

/// The content of an overlay: what was changed in its folder.
fn look_through(layer: &Path, folder: &Path, found: &mut Vec<Touched>) -> std::io::Result<()> {
    for entry in layer.read_dir()? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        let kind = entry.file_type()?;
        let what = if kind.is_dir() {
            look_through(&entry.path(), &path, found)?;
            continue;
        } else if kind.is_file() {
            What::File(std::fs::read(entry.path())?)
        } else if kind.is_symlink() {
            What::Link(std::fs::read_link(entry.path())?)
        } else {
            What::Gone
        };
        found.push(Touched { path, what });
    }
    Ok(())
}

impl Touched {
    /// Whether the file on disk is the same.
    fn is_as_it_stands(&self) -> Result<bool, Failure> {
        Ok(match &self.what {
            What::File(bytes) => {
                files::snapshot(&self.path)?.is_some_and(|now| body(&now.bytes) == body(bytes))
            }
            What::Link(target) => {
                std::fs::read_link(&self.path).is_ok_and(|present| present == *target)
            }
            What::Gone => std::fs::symlink_metadata(&self.path).is_err(),
        })
    }

    /// Whether dconf compiled it from the other files, so that no editor changes it.
    fn is_compiled(&self) -> bool {
        self.path.starts_with(DCONF) && matches!(self.what, What::File(_))
    }
}

/// A file without the comment at its top, where some versions write the date.
fn body(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = rest.split_at(end + 1);
        // A comment that continues on the next line could hide that line.
        let is_comment = line.starts_with(b"#") && !line.ends_with(b"\\\n");
        if !(is_comment || line == b"\n") {
            break;
        }
        rest = after;
    }
    rest
}

/// Files that are not as authselect writes them.
fn edited(output: &Output, files: &[&Path]) -> Failure {
    let mut failure = said(
        "these files were edited by hand, and authselect would overwrite them:",
        output,
    );
    let paths = files.iter().map(|path| format!("    {}", path.display()));
    failure.0.extend(paths);
    failure.0.extend([
        "to discard the edits, type: authselect apply-changes; to keep them, make a custom profile: see \
         authselect-profiles(5)"
            .to_owned(),
        A_SERVICE.to_owned(),
    ]);
    failure
}

/// A sentence, and the error output of authselect.
fn said(sentence: &str, output: &Output) -> Failure {
    let mut sentences = vec![sentence.to_owned()];
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    sentences.extend(lines.take(MOST_LINES).map(printable));
    Failure(sentences)
}

fn ask(words: &[&str]) -> Result<Output, Failure> {
    run(&[AUTHSELECT], words).ok_or_else(|| Failure::new(format!("{AUTHSELECT} cannot be run")))
}

const AUTHSELECT: &str = "/usr/bin/authselect";
/// The profile that the packages install.
const PROFILE: &str = "onelogin";
const FEATURE: &str = "with-onelogin";
/// The profiles that ours can replace: those for local users and for SSSD.
const REPLACEABLE: [&str; 3] = ["local", "minimal", "sssd"];
/// The stacks that services include.
const STACKS: [&str; 2] = [
    "/etc/authselect/system-auth",
    "/etc/authselect/password-auth",
];
/// The folders that authselect writes to: stacks and other files, copies by which versions before 1.5
/// detect edits, and the databases that dconf compiles from two of them.
const FOLDERS: [&str; 3] = ["/etc/authselect", "/var/lib/authselect", DCONF];
const DCONF: &str = "/etc/dconf/db";
/// The folders that contain them.
const LAYERED: [&str; 2] = ["/etc", "/var/lib/authselect"];
const A_SERVICE: &str = "or pass a service instead of all: sshd, sudo, su, login";
const MOST_LINES: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_comment_above_a_file_is_no_part_of_it_and_any_other_is() {
        let file = b"# Generated by authselect on Monday\n# by nobody\n\nauth required\n# mine\n";
        assert_eq!(body(file), b"auth required\n# mine\n");
        assert_eq!(body(b"# all of it\n"), b"");
        assert_eq!(body(b"GVariant\n# x"), b"GVariant\n# x");
        assert_eq!(body(b" # x\n"), b" # x\n");
        assert_eq!(body(b"# x\\\nauth\n"), b"# x\\\nauth\n");
    }
}

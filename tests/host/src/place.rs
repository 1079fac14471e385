//! A private folder for one test: service files, a configuration, state; and where cargo has put what was built.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{env, process};

use onelogin_simulator::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, Simulator};
use tempfile::TempDir;

use crate::case::Case;

/// A temporary folder (0700) with `pam.d/` for service files. Its parents are root's or ours, and not writable by
/// others unless sticky, as the module demands of the folders above its configuration.
#[derive(Debug)]
pub struct Place {
    folder: TempDir,
    module: PathBuf,
}

impl Place {
    /// An empty place for the module that was built last.
    ///
    /// # Panics
    /// When the module was not built, or the folder cannot be made.
    pub fn new() -> Self {
        Self::with_module(&module())
    }

    /// An empty place for stacks that need not have our module in them.
    ///
    /// # Panics
    /// When the folder cannot be made.
    pub fn with_module(module: &Path) -> Self {
        let root = env::temp_dir()
            .canonicalize()
            .expect("the folder for temporary files exists");
        let folder = tempfile::Builder::new()
            .prefix("pam-")
            .tempdir_in(root)
            .expect("a temporary folder can be made");
        for name in ["pam.d", "etc"] {
            make_folder(&folder.path().join(name));
        }
        Self {
            folder,
            module: module.to_owned(),
        }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of the service files.
    pub fn confdir(&self) -> PathBuf {
        self.path().join("pam.d")
    }

    /// Where [`Place::config`] writes.
    pub fn config_path(&self) -> PathBuf {
        self.path().join("etc/config.toml")
    }

    /// A folder that does not exist yet, for `state_dir`.
    pub fn state_path(&self) -> PathBuf {
        self.path().join("state")
    }

    /// The module in use.
    pub fn module(&self) -> &Path {
        &self.module
    }

    /// Writes a file (0600) at a path relative to the place, making folders (0700) on the way.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(path);
        let parent = path.parent().expect("a file has a folder");
        make_folder(parent);
        fs::write(&path, contents).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        set_mode(&path, 0o600);
        path
    }

    /// Writes the configuration.
    pub fn config(&self, toml: impl AsRef<[u8]>) {
        self.write("etc/config.toml", toml);
    }

    /// Writes a configuration for this simulator, with state in this place. `further` lines (`push.wait = 2`) add to it
    /// or replace a line of the same key.
    pub fn config_for(&self, simulator: &Simulator, further: &[&str]) {
        let ca = self.write("etc/ca.pem", simulator.ca_pem());
        self.config(settings(simulator, &ca, Some(&self.state_path()), further));
    }

    /// Writes a service file. In its lines `@module@` stands for the module with `config=` of this place, `@helper@`
    /// for the module of helper.c.
    pub fn service(&self, name: &str, lines: &[&str]) {
        let ours = format!(
            "{} config={}",
            self.module.display(),
            self.config_path().display()
        );
        let mut text = lines.join("\n");
        text.push('\n');
        let text = text
            .replace("@module@", &ours)
            .replace("@helper@", env!("PAM_HOST_HELPER"));
        self.write(Path::new("pam.d").join(name), text);
    }

    /// A case for a service that is nothing but `auth required` with our module, and setcred the same.
    pub fn alone(&self, service: &str) -> Case {
        self.service(service, &["auth required @module@"]);
        self.case(service)
    }

    /// A case for a service written before.
    pub fn case(&self, service: &str) -> Case {
        Case::new(self.confdir(), service)
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

/// The text of a configuration for a simulator: dotted keys, one a line. `further` lines add to it or replace a line of
/// the same key.
pub fn settings(
    simulator: &Simulator,
    ca: &Path,
    state: Option<&Path>,
    further: &[&str],
) -> String {
    let mut lines = vec![
        format!("onelogin.url = {:?}", simulator.url()),
        format!("onelogin.client_id = {DEFAULT_CLIENT_ID:?}"),
        format!("onelogin.client_secret = {DEFAULT_CLIENT_SECRET:?}"),
        format!("onelogin.ca_file = {:?}", ca.to_string_lossy()),
    ];
    lines.extend(state.map(|state| format!("state_dir = {:?}", state.to_string_lossy())));
    let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
    lines.retain(|line| !further.iter().any(|other| key(other) == key(line)));
    lines.extend(further.iter().map(ToString::to_string));
    lines.join("\n") + "\n"
}

/// Makes a folder 0700, and those above it, where there is none.
///
/// # Panics
/// When it cannot be made.
pub fn make_folder(path: &Path) {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Sets the mode of a file.
///
/// # Panics
/// When it cannot be set.
pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// The built module: `PAM_ONELOGIN_MODULE` if set, else the newest `libpam_onelogin.so` of this profile.
///
/// # Panics
/// When there is none, with the command that makes it.
pub fn module() -> PathBuf {
    if let Some(path) = env::var_os("PAM_ONELOGIN_MODULE") {
        return PathBuf::from(path);
    }
    let profile = profile_folder();
    ["libpam_onelogin.so", "deps/libpam_onelogin.so"]
        .iter()
        .map(|name| profile.join(name))
        .filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path)))
        .max()
        .map_or_else(
            || {
                panic!(
                    "no libpam_onelogin.so in {}: run `cargo build`",
                    profile.display()
                )
            },
            |(_, path)| path,
        )
}

/// A binary that cargo built beside the running test, such as `pam-host`.
///
/// # Panics
/// When it was not built, with the command that makes it.
pub fn binary(name: &str) -> PathBuf {
    let path = profile_folder().join(name);
    assert!(
        path.exists(),
        "{} is not there: run `cargo build`{}",
        path.display(),
        if path
            .parent()
            .is_some_and(|folder| folder.ends_with("release"))
        {
            " --release"
        } else {
            ""
        },
    );
    path
}

/// The module of helper.c, for stacks.
pub fn helper() -> &'static Path {
    Path::new(env!("PAM_HOST_HELPER"))
}

/// The shim of shim.c, for `LD_PRELOAD`.
pub fn shim() -> &'static Path {
    Path::new(env!("PAM_HOST_SHIM"))
}

/// The library of quiet.c, for `LD_PRELOAD`.
pub fn quiet() -> &'static Path {
    Path::new(env!("PAM_HOST_QUIET"))
}

/// `target/<profile>` of the running executable.
fn profile_folder() -> PathBuf {
    let executable = env::current_exe().unwrap_or_else(|error| {
        eprintln!("the path of the running program: {error}");
        process::exit(2)
    });
    let folder = executable.parent().unwrap_or(Path::new("."));
    let folder = if folder.ends_with("deps") || folder.ends_with("examples") {
        folder.parent().unwrap_or(folder)
    } else {
        folder
    };
    folder.to_owned()
}

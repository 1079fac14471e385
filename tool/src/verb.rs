//! The commands: one file each, with its `Options` and `run`; and what two of them report.

pub(crate) mod check;
pub(crate) mod confirm;
pub(crate) mod disable;
pub(crate) mod enable;
pub(crate) mod enroll;
pub(crate) mod factors;
pub(crate) mod gateway;
pub(crate) mod import_duo;
pub(crate) mod limits;
pub(crate) mod map;
pub(crate) mod offline;
mod on_trial;
pub(crate) mod prove;
pub(crate) mod restore;
pub(crate) mod status;
pub(crate) mod try_login;
pub(crate) mod users;

use crate::outcome::{Failure, for_root};
use crate::ui::console::Console;
use pam_onelogin::args::DEFAULT_CONFIG;
use pam_onelogin::config::file::{LoadError, Loaded, load};
use pam_onelogin::host::uids;
use pam_onelogin::trust::Trusted;
use std::path::{Path, PathBuf};

/// What every verb gets.
pub(crate) struct Context {
    pub(crate) config: PathBuf,
    pub(crate) console: Console,
}

impl Context {
    /// The command that explains what is wrong with the configuration.
    fn check_command(&self) -> String {
        if self.config == Path::new(DEFAULT_CONFIG) {
            return "pam-onelogin check".to_owned();
        }
        format!("pam-onelogin --config {} check", self.config.display())
    }

    /// The configuration, read as the module reads it.
    pub(crate) fn load(&self) -> Result<Loaded, Failure> {
        load(&self.config, Trusted::of(uids())).map_err(|error| match error {
            LoadError::Unprivileged => Failure::at(
                &self.config,
                "only root may read this file; run the command with sudo",
            ),
            LoadError::Faults(_) if self.config.try_exists().is_ok_and(|exists| !exists) => {
                Failure::at(
                    &self.config,
                    format!(
                        "does not exist; to see what to do, as root, type: {}",
                        self.check_command()
                    ),
                )
            }
            LoadError::Faults(faults) => {
                let sentences = faults.iter().map(ToString::to_string);
                Failure(sentences.map(|it| for_root(&it)).collect())
            }
        })
    }
}

/// Refuses to change stacks unless root runs the tool.
pub(crate) fn needs_root() -> Result<(), Failure> {
    if uids().effective == 0 {
        Ok(())
    } else {
        Err(Failure::new(
            "only root may change stacks; run the command with sudo",
        ))
    }
}

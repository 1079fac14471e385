//! What rolls a change on trial back unless it is confirmed: a process that outlives the terminal; a
//! systemd timer, if systemd runs; a unit at the next boot; and this tool, at its next start with any
//! command.

use crate::change::sandbox::own_program;
use crate::change::service::Service;
use crate::host::programs::{SYSTEMCTL, clean, systemd_runs, works};
use crate::outcome::Failure;
use crate::ui::console::Console;
use pam_onelogin::host::process_identity;
use std::io::Read as _;
use std::process::Stdio;

/// Starts them; when this returns, the process is waiting.
pub(crate) fn start(console: &Console, service: Service, seconds: u32) -> Result<(), Failure> {
    let program = own_program()?;
    let failed = |error: std::io::Error| {
        Failure::new(format!(
            "the process that would roll the change back cannot start: {error}"
        ))
    };
    let mut child = clean(&program)
        .args(["restore", "--wait", service.name()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let mut ready = [0];
    let mut said = child.stdout.take().ok_or_else(|| {
        Failure::new("the process that would roll the change back does not answer")
    })?;
    said.read_exact(&mut ready).map_err(failed)?;
    if !systemd_runs() {
        return Ok(());
    }
    let unit = process_identity().replace('@', "-");
    let timer = works(
        "/usr/bin/systemd-run",
        &[
            "--quiet",
            "--collect",
            &format!("--unit=pam-onelogin-restore-{}-{unit}", service.name()),
            &format!("--on-active={seconds}s"),
            "--timer-property=AccuracySec=1s",
            // A timer that is over would go off again after a daemon-reload.
            "--timer-property=RemainAfterElapse=no",
            "--",
            &program.display().to_string(),
            "restore",
        ],
    );
    if !timer {
        console.note(
            "systemd-run could not start a timer. A background process will roll the change back instead; if it \
             is killed, the next start of this host does.",
        );
    }
    if !works(SYSTEMCTL, &["--quiet", "enable", UNIT]) {
        console.note(&format!(
            "{UNIT} is not installed: if this host restarts before you confirm, type: pam-onelogin restore"
        ));
    }
    Ok(())
}

/// Ends the timers of this service, whose change is confirmed.
pub(crate) fn stop(service: Service) {
    if systemd_runs() {
        let timers = format!("pam-onelogin-restore-{}-*.timer", service.name());
        // A timer that is left finds nothing to roll back.
        let _ = works(SYSTEMCTL, &["--quiet", "stop", &timers]);
    }
}

const UNIT: &str = "pam-onelogin-restore.service";

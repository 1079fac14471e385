//! The units of a gateway, where systemd has them.

use crate::host::programs::{SYSTEMCTL, output_of, systemd_runs};
use crate::ui::finding::Finding;

/// The units, and what happens without each.
const UNITS: [(&str, &str); 2] = [
    (
        "pam-onelogin-gateway.service",
        "every login of every host is denied",
    ),
    (
        "pam-onelogin-gateway-token.service",
        "when the token ends, every login of every host is denied",
    ),
];

/// Asks systemd for each unit.
pub(super) fn examine(findings: &mut Vec<Finding>) {
    if !systemd_runs() {
        return;
    }
    for (unit, why) in UNITS {
        let properties = "--property=LoadState,ActiveState,UnitFileState";
        if let Some(shown) = output_of(&[SYSTEMCTL], &["show", properties, unit]) {
            findings.push(finding(unit, why, &shown));
        }
    }
}

/// The finding about a unit, of which systemd says this.
fn finding(unit: &str, why: &'static str, shown: &str) -> Finding {
    let id = "unit";
    let is = |line: &str| shown.lines().any(|other| other == line);
    if !is("LoadState=loaded") {
        return Finding::note(id, format!("systemd has no unit {unit}"))
            .why("check cannot see whether the gateway starts with the system");
    }
    if !is("ActiveState=active") {
        return Finding::fault(id, format!("{unit} does not run"))
            .why(why)
            .advice(format!(
                "type: sudo systemctl start {unit}; if it fails, type: sudo journalctl -u {unit}"
            ));
    }
    if is("UnitFileState=disabled") {
        return Finding::warning(
            id,
            format!("{unit} runs, but systemd does not start it with the system"),
        )
        .why(format!("after the next start of this system, {why}"))
        .advice(format!("type: sudo systemctl enable {unit}"));
    }
    Finding::good(id, format!("{unit} runs"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::finding::Severity;

    #[test]
    fn a_unit_must_run_and_start_with_the_system() {
        for (shown, severity) in [
            (
                "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\n",
                Severity::Good,
            ),
            (
                "LoadState=loaded\nActiveState=active\nUnitFileState=disabled\n",
                Severity::Warning,
            ),
            (
                "LoadState=loaded\nActiveState=activating\nUnitFileState=enabled\n",
                Severity::Fault,
            ),
            (
                "LoadState=loaded\nActiveState=inactive\nUnitFileState=enabled\n",
                Severity::Fault,
            ),
            (
                "LoadState=not-found\nActiveState=inactive\nUnitFileState=\n",
                Severity::Note,
            ),
        ] {
            assert_eq!(
                finding("x.service", "", shown).severity,
                severity,
                "{shown}"
            );
        }
    }
}

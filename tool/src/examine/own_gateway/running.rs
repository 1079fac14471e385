//! The `HAProxy` of a gateway: its configuration, and what it says at its admin socket about its version, its token, revoked
//! certificates and the other gateway.

use crate::examine::own_gateway::subject::{DENIED, OwnGateway};
use crate::gateway::handover::{Haproxy, escaped};
use crate::gateway::haproxy::config;
use crate::gateway::lists::serials;
use crate::gateway::settings::Settings;
use crate::host::dates::text_of;
use crate::host::programs::clean;
use crate::outcome::Failure;
use crate::ui::finding::Finding;
use pam_onelogin::clock::unix_now;
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;
use std::process::Stdio;
use time::OffsetDateTime;

/// Where distributions and administrators install `HAProxy`.
const PROGRAMS: [&str; 2] = ["/usr/sbin/haproxy", "/usr/local/sbin/haproxy"];

/// The oldest `HAProxy` that understands the configuration.
const OLDEST: (u32, u32) = (2, 6);

/// Looks at it. Returns whether it runs.
pub(super) fn examine(
    gateway: &OwnGateway<'_>,
    settings: &Settings,
    findings: &mut Vec<Finding>,
) -> bool {
    match config(settings) {
        Ok(text) => {
            findings.push(accepted(&text));
            findings.push(in_use(gateway, &text));
        }
        Err(Failure(sentences)) => {
            let sentences = sentences.into_iter();
            findings.extend(sentences.map(|sentence| Finding::fault("gateway-config", sentence)));
        }
    }
    let haproxy = Haproxy {
        socket: settings.socket.clone(),
        map: settings.token_map.clone(),
    };
    let info = match haproxy.ask("show info\n") {
        Ok(info) => info,
        Err(Failure(sentences)) => {
            findings.push(
                Finding::fault("haproxy", format!("HAProxy does not answer: {}", sentences.join("; ")))
                    .why(DENIED)
                    .advice("type: sudo systemctl start pam-onelogin-gateway; if it fails, type: sudo journalctl -u pam-onelogin-gateway"),
            );
            return false;
        }
    };
    findings.push(version(&info));
    findings.push(token(&haproxy));
    revoked(&haproxy, &settings.revoked, findings);
    if !settings.peers.is_empty() {
        match haproxy.ask("show peers\n") {
            Ok(shown) => peers(settings, &shown, findings),
            Err(failure) => findings.push(unanswered("peers", &failure)),
        }
    }
    true
}

/// Whether `HAProxy` accepts the configuration that these settings give.
fn accepted(text: &str) -> Finding {
    let id = "gateway-config";
    let program = PROGRAMS.iter().find(|program| Path::new(program).exists());
    let Some(program) = program else {
        return Finding::fault(id, "HAProxy is not installed")
            .why(DENIED)
            .advice("install the package haproxy of your distribution, 2.6 or newer");
    };
    let said = match said(program, text) {
        Ok(None) => {
            return Finding::good(
                id,
                "HAProxy accepts the configuration that the settings give",
            );
        }
        Ok(Some(said)) => said,
        Err(error) => format!("{program}: {error}"),
    };
    Finding::fault(
        id,
        format!("HAProxy does not accept the configuration that the settings give: {said}"),
    )
    .why("at its next start HAProxy fails, and every login of every host is denied")
    .advice("correct the file that HAProxy names; HAProxy must be 2.6 or newer")
}

/// What `HAProxy` says against a configuration; `None` if it accepts it.
fn said(program: &str, text: &str) -> io::Result<Option<String>> {
    // A file without a name: nothing is left behind, and each version of HAProxy can read it.
    let mut file = File::from(memfd_create("haproxy.cfg", MemfdFlags::CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    let output = clean(program)
        .args(["-c", "-f", "/dev/stdin"])
        .env("LC_ALL", "C")
        .stdin(Stdio::from(file))
        .output()?;
    if output.status.success() {
        return Ok(None);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let alert = said.lines().find(|line| line.contains("[ALERT]"));
    let alert = alert.or_else(|| said.lines().last()).unwrap_or_default();
    // "[ALERT]    (1234) : config : …"
    let alert = alert.split_once(" : ").map_or(alert, |(_, what)| what);
    Ok(Some(alert.replace("/dev/stdin", "haproxy.cfg")))
}

/// Whether `HAProxy` runs with the configuration that these settings give.
fn in_use(gateway: &OwnGateway<'_>, text: &str) -> Finding {
    let id = "gateway-config";
    let path = gateway.in_use;
    let finding = match std::fs::read_to_string(path) {
        Ok(used) if used == text => Finding::good(
            id,
            "the configuration of HAProxy is that of the settings",
        ),
        Ok(used) => {
            let lines = used.lines().chain([""]).zip(text.lines().chain([""]));
            let same = lines.take_while(|(one, other)| one == other).count();
            return Finding::warning(
                id,
                "the configuration of HAProxy differs from what pam-onelogin gateway config prints now, from this line on",
            )
            .at(path, same + 1)
            .why("HAProxy still works by older settings, or by a changed file")
            .advice(gateway.reload);
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Finding::note(
            id,
            "not compared: the configuration of HAProxy with the settings: this file does not exist",
        )
        .advice("name the file that HAProxy reads: --haproxy-cfg FILE"),
        Err(error) => Finding::warning(id, format!("cannot be read: {error}"))
            .why("check cannot compare it with the settings")
            .advice("type: sudo pam-onelogin gateway check"),
    };
    finding.in_file(path)
}

fn version(info: &str) -> Finding {
    let id = "haproxy";
    let version = info.lines().find_map(|line| line.strip_prefix("Version: "));
    let version = version.unwrap_or_default();
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    let is_old = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < OLDEST;
    if is_old {
        return Finding::fault(id, format!("HAProxy {version} is too old"))
            .why("it does not understand each rule of the configuration")
            .advice("install HAProxy 2.6 or newer");
    }
    Finding::good(id, format!("HAProxy {version} runs"))
}

/// Whether `HAProxy` has a token. Only its end is read.
fn token(haproxy: &Haproxy) -> Finding {
    let id = "token";
    let end = match haproxy.end() {
        Ok(end) => end,
        Err(failure) => return unanswered(id, &failure),
    };
    let what = match end {
        None => "HAProxy has no token".to_owned(),
        Some(end) => {
            let moment = i64::try_from(end).ok();
            let moment = moment.and_then(|end| OffsetDateTime::from_unix_timestamp(end).ok());
            let moment = moment.map(text_of).unwrap_or_default();
            if end > unix_now() {
                return Finding::good(id, format!("HAProxy has a token until {moment}"));
            }
            format!("the token of HAProxy ended at {moment}")
        }
    };
    Finding::fault(id, what)
        .why("each request is answered with 503 and x-gateway: no-token, and every login is denied")
        .advice("type: sudo systemctl restart pam-onelogin-gateway-token; if no token comes, type: sudo journalctl -u pam-onelogin-gateway-token")
}

/// Whether the running `HAProxy` knows each revoked certificate, and the file each that `HAProxy` knows.
fn revoked(haproxy: &Haproxy, path: &Path, findings: &mut Vec<Finding>) {
    let id = "revoked";
    let list = escaped(path);
    let shown = match haproxy.ask(&format!("show acl {list}\n")) {
        Ok(shown) if !shown.contains("Unknown ACL identifier") => shown,
        Ok(_) => {
            findings.push(
                Finding::fault(id, "HAProxy has no such list of revoked certificates")
                    .in_file(path)
                    .why("hosts with a revoked certificate can use the gateway")
                    .advice("let HAProxy read its configuration again, type: sudo systemctl reload pam-onelogin-gateway"),
            );
            return;
        }
        Err(failure) => return findings.push(unanswered(id, &failure)),
    };
    // "0x55c1325950b0 0A01"
    let known = shown.lines().filter_map(|line| line.split_once(' '));
    let known = known.filter(|(address, _)| address.starts_with("0x"));
    let known: Vec<String> = known
        .map(|(_, serial)| serial.to_ascii_uppercase())
        .collect();
    let kept = serials(path);
    for serial in kept.iter().filter(|serial| !known.contains(serial)) {
        findings.push(
            Finding::fault(
                id,
                format!("HAProxy does not know that {serial} is revoked"),
            )
            .in_file(path)
            .why("a host with this certificate can still use the gateway")
            .advice(format!(
                "type: echo \"add acl {list} {serial}\" | socat - UNIX-CONNECT:{}",
                haproxy.socket.display()
            )),
        );
    }
    let is_missing =
        |serial: &&String| !kept.contains(serial) && serial.chars().all(|c| c.is_ascii_hexdigit());
    for serial in known.iter().filter(is_missing) {
        findings.push(
            Finding::warning(
                id,
                format!("HAProxy knows that {serial} is revoked, but the list does not have it"),
            )
            .in_file(path)
            .why("at its next start HAProxy forgets it, and the host can use the gateway again")
            .advice(format!("type: echo {serial} >> {}", path.display())),
        );
    }
}

/// Whether this gateway is connected to each other one.
fn peers(settings: &Settings, shown: &str, findings: &mut Vec<Finding>) {
    let id = "peers";
    let others = settings.peers.iter();
    for peer in others.filter(|peer| settings.name.as_ref() != Some(&peer.name)) {
        let begin = format!(" id={}(remote", peer.name);
        let line = shown.lines().find(|line| line.contains(&begin));
        let name = &peer.name;
        findings.push(match line {
            Some(line) if line.contains(" last_status=ESTA") => Finding::good(
                id,
                format!("this gateway shares its limits with {name} at {}", peer.address),
            ),
            Some(_) => Finding::warning(
                id,
                format!("this gateway has no connection to {name} at {}", peer.address),
            )
            .why("each gateway counts alone: a thief gets the limits once more at each of them")
            .advice(format!(
                "type: pam-onelogin gateway check on {name}; each gateway must reach the address of the other one"
            )),
            None => Finding::warning(id, format!("HAProxy does not know the gateway {name}"))
                .why("each gateway counts alone: a thief gets the limits once more at each of them")
                .advice("let HAProxy read its configuration again, type: sudo systemctl reload pam-onelogin-gateway"),
        });
    }
}

fn unanswered(id: &'static str, Failure(sentences): &Failure) -> Finding {
    Finding::fault(id, sentences.join("; ")).why("check cannot see whether logins work")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::finding::Severity;

    #[test]
    fn a_haproxy_before_2_6_is_too_old() {
        for (version_of, severity) in [
            ("2.4.22-f8e3218", Severity::Fault),
            ("1.8.30", Severity::Fault),
            ("2.6.12-1+deb12u4", Severity::Good),
            ("2.10.1", Severity::Good),
            ("3.0.2", Severity::Good),
        ] {
            let info = format!("Name: HAProxy\nVersion: {version_of}\nNbthread: 2\n");
            assert_eq!(version(&info).severity, severity, "{version_of}");
        }
    }
}

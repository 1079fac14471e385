//! The .deb on a machine that starts and ends: a Debian with its own systemd and journal, in a container of systemd-nspawn.
//!
//! The container has a cgroup of its own, and shares a network without a way out with the simulator. What its init says of
//! itself is waited for, and no time.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::ops::Deref;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::system::*;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use onelogin_simulator::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, Simulator, samples};
use pam_host::Pty;

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn a_restart_puts_back_what_is_on_trial_before_anybody_can_log_in_and_keeps_what_was_confirmed() {
    on_each_release(|machine, onelogin| {
        let before = machine.stacks();
        // As slow as can be: whatever does not wait for it is there before it.
        machine.drop_in(
            "pam-onelogin-restore.service",
            "[Service]\nExecStartPre=sh -c 'while systemctl list-jobs --no-legend | grep -v restore | grep -q running; do :; done'\n",
        );

        // An orderly restart, after an upgrade.
        machine.on_trial("sudo", HOUR);
        machine.sh(INSTALL);
        assert!(machine.changed(&before).contains("pam_onelogin.so"));
        machine.restart();
        assert_eq!(machine.changed(&before), "");
        machine.expect_restored("sudo");
        let done = machine.moment(RESTORE, "ExecMainExitTimestampMonotonic");
        for (unit, moment) in [
            ("sysinit.target", "ActiveEnterTimestampMonotonic"),
            (
                "systemd-user-sessions.service",
                "InactiveExitTimestampMonotonic",
            ),
            ("console-getty.service", "ExecMainStartTimestampMonotonic"),
            ("ssh.service", "ExecMainStartTimestampMonotonic"),
        ] {
            let began = machine.moment(unit, moment);
            assert!(0 < done && done < began, "{unit}: {began}, and {done}");
        }

        // What is confirmed stays, whatever comes.
        let admin = machine.on_trial("sudo", HOUR);
        machine.alice_becomes_root("123456");
        machine.sh("pam-onelogin confirm sudo");
        assert!(admin.finish().0.success());
        let timers = "systemctl list-timers --all --no-legend 'pam-onelogin-restore-*'";
        assert_eq!(machine.sh(timers), "", "its timer has ended");
        let confirmed = machine.stacks();

        // A power cut; and a container that has the boot id of its host, as most have.
        machine.has_the_boot_id_of_its_host();
        machine.on_trial("su", HOUR);
        assert!(machine.changed(&confirmed).contains("pam_onelogin.so"));
        machine.power_cut();
        machine.start();
        assert_eq!(machine.changed(&confirmed), "");
        machine.expect_restored("su");
        machine.alice_becomes_root("234567");
        assert_eq!(onelogin.codes(), 2);
    });
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn a_timer_of_systemd_puts_back_what_was_on_trial_when_all_that_the_admin_started_is_killed() {
    on_each_release(|machine, _| {
        let before = machine.stacks();
        // On a machine that is too busy for the first, the process that waits was there until the end.
        let is_left = [5, 20, 60].iter().any(|seconds| {
            let admin = machine.on_trial("su", *seconds);
            machine.sh("systemctl kill --signal=KILL admin-su");
            assert_eq!(
                admin.finish().0.code(),
                Some(255),
                "killed, says systemd-run"
            );
            let processes = machine.sh("cat /proc/[0-9]*/comm 2>/dev/null || true");
            assert!(!processes.contains("pam-onelogin"), "{processes}");
            !machine.changed(&before).is_empty()
        });
        assert!(is_left, "it was put back before");
        machine.expect_restored("su");
        assert_eq!(machine.changed(&before), "");
    });
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn status_reads_the_decisions_of_real_logins_in_the_journal() {
    on_each_release(|machine, _| {
        machine.sh("pam-onelogin enable sudo --no-trial --yes");
        machine.alice_becomes_root("123456");
        let mut sudo = machine.sudo();
        for _ in 0..3 {
            sudo.expect("Verification code (OneLogin): ");
            sudo.line("999999");
        }
        assert!(!sudo.finish().0.success());

        let document = machine.sh("pam-onelogin --json status alice");
        let document: serde_json::Value = serde_json::from_str(&document).unwrap();
        assert_eq!(document["log"], "the journal, last 24 hours");
        let last = document["last"].as_array().unwrap();
        let told: Vec<[&str; 4]> = last
            .iter()
            .map(|one| {
                ["service", "event", "user", "reason"].map(|key| one[key].as_str().unwrap_or(""))
            })
            .collect();
        assert_eq!(
            told,
            [
                ["sudo", "accepted", "alice", ""],
                ["sudo", "denied", "alice", "wrong-code"],
            ]
        );
    });
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn the_package_is_removed_with_its_unit_and_timers_when_what_it_was_told_to_change_is_put_back() {
    on_each_release(|machine, _| {
        let before = machine.stacks();

        // Refused: and what is said to type is enough.
        let admin = machine.on_trial("sudo", HOUR);
        machine.sh("pam-onelogin enable su --no-trial --yes");
        let changed = machine.stacks();
        let refusal = machine.sh("dpkg -r libpam-onelogin 2>&1 && exit 1 || exit 0");
        assert!(refusal.contains("/etc/pam.d/sudo:"), "{refusal}");
        assert_eq!(machine.changed(&changed), "");
        let advice = refusal
            .lines()
            .filter_map(|line| line.strip_prefix("  pam-onelogin "));
        for words in advice {
            machine.sh(&format!("pam-onelogin {words}"));
        }
        assert_eq!(machine.changed(&before), "");
        assert_eq!(admin.finish().0.code(), Some(1), "put back, says enable");
        assert_ne!(machine.units(), "");
        machine.sh("dpkg -r libpam-onelogin");
        assert_eq!(machine.units(), "");
        assert_eq!(machine.changed(&before), "");

        // Against all advice, but not with a stack on trial that nobody would put back.
        machine.sh(INSTALL);
        let admin = machine.on_trial("su", HOUR);
        machine.sh("PAM_ONELOGIN_REMOVE_ANYWAY=yes dpkg -r libpam-onelogin");
        assert_eq!(machine.changed(&before), "");
        assert_eq!(admin.finish().0.code(), Some(1), "put back, says enable");
        assert_eq!(machine.units(), "");

        // What pam-auth-update wrote goes through it, and the tool knows.
        machine.sh(INSTALL);
        machine.sh("pam-onelogin enable all --no-trial --yes --anyway");
        assert!(machine.changed(&before).contains("pam_onelogin.so"));
        machine.sh("dpkg -r libpam-onelogin");
        assert_eq!(machine.changed(&before), "");
        assert_eq!(
            machine.sh(
                "ls /var/lib/pam_onelogin/trial /var/lib/pam_onelogin/enabled | grep json || true"
            ),
            ""
        );
        machine.sh("dpkg -P libpam-onelogin");
        assert!(!machine.path("/var/lib/pam_onelogin").exists());
    });
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn the_private_files_may_have_a_file_system_of_their_own_which_goes_with_the_package() {
    on_each_release(|machine, _| {
        let unit = machine.sh(&format!("systemctl is-enabled {MOUNT} || true"));
        assert_eq!(unit.trim(), "disabled");
        assert_eq!(machine.own_mounts(), "");
        machine.sh(&format!("systemctl enable --now {MOUNT}"));
        machine.has_its_own_mount();

        // After a start it is there before systemd-tmpfiles labels the folder, and before anybody can log in.
        machine.restart();
        machine.has_its_own_mount();
        let mounted = machine.moment(MOUNT, "ActiveEnterTimestampMonotonic");
        for (unit, moment) in [
            (
                "systemd-tmpfiles-setup.service",
                "ExecMainStartTimestampMonotonic",
            ),
            ("sysinit.target", "ActiveEnterTimestampMonotonic"),
        ] {
            let began = machine.moment(unit, moment);
            assert!(
                0 < mounted && mounted <= began,
                "{unit}: {began}, and {mounted}"
            );
        }

        // Also while a process has the folder open.
        machine.sh(
            "systemd-run --quiet --collect --unit=inside --working-directory=/run/pam_onelogin sleep infinity",
        );
        machine.sh("dpkg -r libpam-onelogin");
        assert_eq!(machine.own_mounts(), "");
        assert!(!machine.sh("ls /run").contains("pam_onelogin"));
        assert_eq!(machine.units(), "");
    });
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn after_enable_a_user_who_fills_run_keeps_nobody_out() {
    on_each_release(|machine, onelogin| {
        let enable = |words: &str| machine.sh(&format!("pam-onelogin enable {words} 2>&1"));
        let is_said = format!("{MOUNT} is enabled: ");
        let said = enable("sudo --no-trial --dry-run");
        assert!(
            said.contains(&format!("{MOUNT} would be enabled")),
            "{said}"
        );
        assert_eq!(machine.own_mounts(), "");

        let before = machine.stacks();
        let said = enable("sudo --no-trial --yes");
        assert!(said.contains(&is_said), "{said}");
        machine.has_its_own_mount();
        machine.alice_becomes_root("123456");
        // Neither a second service nor a second run mounts once more, and what was counted stays.
        for words in ["su --no-trial --yes", "sudo --no-trial --yes"] {
            let counted = machine.sh("ls /run/pam_onelogin");
            let said = enable(words);
            assert!(!said.contains(MOUNT), "{said}");
            machine.has_its_own_mount();
            assert_eq!(machine.sh("ls /run/pam_onelogin"), counted);
        }

        machine.alice_fills_run();
        machine.alice_becomes_root_without_room("234567");
        assert_eq!(onelogin.codes(), 2);
        let findings = machine.sh("pam-onelogin --json check || true");
        assert!(!findings.contains("state-shared"), "{findings}");

        // Other services may go on with it. systemd reads no units while there is little room.
        machine.sh("rm -r /run/shared && mount -o remount,size=64m,nr_inodes=64k /run");
        machine.sh("pam-onelogin disable sudo");
        machine.has_its_own_mount();
        machine.sh("pam-onelogin disable su");
        machine.has_its_own_mount();
        assert_eq!(machine.changed(&before), "");
        machine.sh("dpkg -r libpam-onelogin");
        assert_eq!(machine.own_mounts(), "");
        assert_eq!(machine.units(), "");
    });
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn where_nothing_can_be_mounted_enable_says_so_and_goes_on() {
    on_each_release(|machine, _| {
        machine.drop_in(MOUNT, "[Mount]\nOptions=no-such-option\n");
        let said = machine.sh("pam-onelogin enable sudo --no-trial --yes 2>&1");
        let sentence = format!(
            "{MOUNT} could not be enabled, so /run/pam_onelogin has no file system of its own; \
             for what to do, type: pam-onelogin check"
        );
        assert!(said.lines().any(|line| line == sentence), "{said}");
        assert_eq!(machine.own_mounts(), "");
        // Nothing that would fail again at the next start.
        let unit = machine.sh(&format!("systemctl is-enabled {MOUNT} || true"));
        assert_eq!(unit.trim(), "disabled");
        assert_eq!(
            machine.sh("systemctl list-units --failed --no-legend '*onelogin*'"),
            ""
        );
        machine.alice_becomes_root("123456");

        // A folder for everybody on that file system: the state is shared, and check says what to type.
        machine.sh("mkdir -m 1777 /run/shared && rm -r /etc/systemd/system/*.mount.d && systemctl daemon-reload");
        let check = || machine.sh("pam-onelogin --json check || true");
        let findings = check();
        // The unit alone would hide what the folder has.
        let advice = "\"type: sudo pam-onelogin enable sudo --try 5m\"";
        assert!(
            findings.contains("state-shared") && findings.contains(advice),
            "{findings}"
        );
        machine.sh("pam-onelogin enable sudo --no-trial --yes");
        machine.has_its_own_mount();
        let findings = check();
        assert!(!findings.contains("state-shared"), "{findings}");
    });
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn enable_sshd_counts_for_the_next_login_where_systemd_has_the_socket_of_sshd() {
    on_each_release(|machine, onelogin| {
        let before = machine.stacks();
        machine.has_a_key_for_alice();
        machine.sh("systemctl disable --now ssh.service && systemctl enable --now ssh.socket");

        // As in Ubuntu: the first connection starts sshd, with the socket of systemd.
        let mut open = machine.ssh(TALK);
        open.expect("ready");
        let listener = machine.listener();
        machine.enable_sshd();
        assert_ne!(machine.listener(), listener);
        machine.alice_needs_a_code("123456");
        // The session that was open goes on.
        open.line("one");
        open.expect("heard one");
        machine.disable_sshd();
        machine.alice_needs_no_code();
        assert_eq!(machine.stacks(), before);
        open.line("two");
        open.expect("heard two");
        open.line("end");
        assert!(open.finish().0.success());

        // Settings that an admin has written, and sshd has not read: what is said to type is enough.
        let settings = "/etc/ssh/sshd_config.d/10-admin.conf";
        machine.write(
            settings,
            "KbdInteractiveAuthentication yes\nPasswordAuthentication no\nAuthenticationMethods publickey,keyboard-interactive\n",
        );
        let refused = machine.refuses_sshd();
        let advice = "systemctl restart ssh.service";
        assert!(
            refused
                .trim_end()
                .lines()
                .any(|line| line.ends_with(advice)),
            "{refused}"
        );
        machine.sh(advice);
        machine.enable_sshd();
        fs::remove_file(machine.path(settings)).unwrap();
        machine.sh(advice);
        machine.disable_sshd();

        // A restart that would end the sessions is left to the admin, before anything is written.
        machine.ends_sessions_with_sshd();
        let refused = machine.refuses_sshd();
        assert!(refused.contains("systemctl edit ssh.service"), "{refused}");
        assert_eq!(machine.stacks(), before);
        machine.keeps_sessions_without_sshd();

        // Nothing listens but systemd. sshd -T needs a folder that sshd makes when it starts; what is said to type is enough.
        machine.sh("systemctl stop ssh.service");
        let said = machine.refuses_sshd();
        assert!(said.contains(MAKE_RUN), "{said}");
        machine.sh(MAKE_RUN);
        machine.enable_sshd();
        machine.alice_needs_a_code("234567");
        machine.sh("systemctl stop ssh.service");
        machine.disable_sshd();
        machine.alice_needs_no_code();

        // An sshd for each connection: none of them is signalled or ended.
        machine.sh("systemctl disable --now ssh.socket && systemctl stop ssh.service");
        machine.starts_an_sshd_for_each_connection();
        let mut open = machine.ssh(TALK);
        open.expect("ready");
        machine.enable_sshd();
        machine.alice_needs_a_code("345678");
        open.line("one");
        open.expect("heard one");
        machine.disable_sshd();
        machine.alice_needs_no_code();
        open.line("end");
        assert!(open.finish().0.success());
        assert_eq!(machine.stacks(), before);
        assert_eq!(onelogin.codes(), 3);
    });
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn the_unit_that_puts_back_restarts_an_sshd_with_a_socket_of_systemd_and_does_not_wait_for_itself()
{
    on_each_release(|machine, _| {
        let before = machine.stacks();
        machine.has_a_key_for_alice();
        machine.gives_the_socket_of_sshd_to_systemd();
        let mut open = machine.ssh(TALK);
        open.expect("ready");
        let admin = machine.on_trial(SSHD_BEHIND_KEY, HOUR);

        machine.leaves_nothing_but_the_record(admin, "sshd");

        // sshd starts after this unit, and this unit has sshd restarted: neither may wait for the other.
        let listener = machine.listener();
        machine.sh(&format!("timeout 60 systemctl start {RESTORE}"));
        let limit = format!("systemctl show --value --property=TimeoutStartUSec {RESTORE}");
        assert_eq!(machine.sh(&limit).trim(), "2min");
        assert_ne!(machine.listener(), listener);
        assert_eq!(machine.changed(&before), "");
        machine.alice_needs_no_code();
        open.line("one");
        open.expect("heard one");
        open.line("end");
        assert!(open.finish().0.success());
    });
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn where_a_restart_of_sshd_would_end_sessions_enable_and_disable_change_nothing() {
    on_each_release(|machine, _| {
        let before = machine.stacks();
        machine.has_a_key_for_alice();
        machine.gives_the_socket_of_sshd_to_systemd();
        let advice = "systemctl edit ssh.service";

        // No sshd runs yet, and nothing starts one to find out.
        machine.ends_sessions_with_sshd();
        let refused = machine.refuses_sshd();
        assert!(refused.contains(advice), "{refused}");
        assert_eq!(machine.changed(&before), "");
        assert_eq!(machine.listener(), 0);
        machine.keeps_sessions_without_sshd();
        machine.enable_sshd();

        // The same before anything goes back: with and without an sshd that runs, and without a record of the change.
        let enabled = machine.stacks();
        machine.ends_sessions_with_sshd();
        for then in [
            "true",
            "systemctl stop ssh.service",
            "rm /var/lib/pam_onelogin/enabled/sshd.json",
        ] {
            machine.sh(then);
            let refused = machine.sh("! pam-onelogin disable sshd 2>&1");
            assert!(refused.contains(advice), "{then}: {refused}");
            assert_eq!(machine.changed(&enabled), "", "{then}");
            assert!(machine.path(SSHD_SETTINGS).exists(), "{then}");
        }
        machine.alice_needs_a_code("123456");
        machine.keeps_sessions_without_sshd();
        machine.disable_sshd();
        assert_eq!(machine.changed(&before), "");
        machine.alice_needs_no_code();
    });
}

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn a_trial_in_sshd_goes_back_even_where_a_restart_of_sshd_ends_sessions() {
    on_each_release(|machine, _| {
        let before = machine.stacks();
        machine.has_a_key_for_alice();
        machine.gives_the_socket_of_sshd_to_systemd();
        let admin = machine.on_trial(SSHD_BEHIND_KEY, HOUR);
        machine.ends_sessions_with_sshd();
        machine.leaves_nothing_but_the_record(admin, "sshd");
        machine.sh("pam-onelogin restore");
        machine.expect_restored("sshd");
        assert_eq!(machine.changed(&before), "");
        machine.alice_needs_no_code();
        let said = machine.sh("journalctl --no-pager --output=cat SYSLOG_FACILITY=10");
        let restarted = "ssh.service is restarted with KillMode=control-group";
        assert_eq!(said.matches(restarted).count(), 1, "{said}");

        // Before its end, too: a package that is removed takes the tool with it.
        machine.keeps_sessions_without_sshd();
        let admin = machine.on_trial(SSHD_BEHIND_KEY, HOUR);
        machine.ends_sessions_with_sshd();
        machine.disable_sshd();
        assert_eq!(admin.finish().0.code(), Some(1), "put back, says enable");
        assert_eq!(machine.changed(&before), "");
        machine.alice_needs_no_code();
    });
}

/// A Debian with the package in it, filled in; alice, who may use sudo.
struct Machine {
    root: Root,
    name: String,
    running: Option<Running>,
}

/// From a start to the next end.
struct Running {
    nspawn: Child,
    /// Its init, as we see it; once there is one.
    init: Option<Pid>,
}

impl Deref for Machine {
    type Target = Root;

    fn deref(&self) -> &Root {
        &self.root
    }
}

// The units of a gateway

/// In the place of what `pam-onelogin gateway config` writes: the same use of the token, and no TLS.
const GATEWAY: &str = "\
global
  stats socket /run/pam_onelogin_gateway/haproxy.sock mode 660 level admin
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend hosts
  bind 127.0.0.1:8443
  http-request set-var(txn.token) str(token),map(/run/pam_onelogin_gateway_token/token.map)
  http-request return status 503 unless { var(txn.token) -m len gt 0 }
  http-request return status 200
";

const KEEPER_UNIT: &str = "pam-onelogin-gateway-token.service";
const GATEWAY_UNIT: &str = "pam-onelogin-gateway.service";

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn the_units_of_a_gateway_keep_a_token_in_haproxy_and_come_back_after_a_restart() {
    on_each_release(|machine, onelogin| {
        machine.set_up_gateway(onelogin);
        machine.drop_in(
            GATEWAY_UNIT,
            "[Service]\nExecStartPre=\nExecStartPre=/bin/sh -c 'cp /etc/gateway-of-the-test.cfg \"$RUNTIME_DIRECTORY/haproxy.cfg\"'\n",
        );
        machine.write("/etc/gateway-of-the-test.cfg", GATEWAY);

        // HAProxy answers without a token. A start of the keeper returns when there is one.
        machine.sh(&format!("systemctl enable --now {GATEWAY_UNIT} || {{ journalctl --no-pager -u {GATEWAY_UNIT}; exit 1; }}"));
        machine.sh(&format!("systemctl enable --now {KEEPER_UNIT} || {{ journalctl --no-pager -u {KEEPER_UNIT}; exit 1; }}"));
        assert_eq!(machine.answer_of_the_gateway(), "200");
        let [token] = onelogin.access_tokens().try_into().unwrap();
        let map = "/run/pam_onelogin_gateway_token/token.map";
        assert!(machine.sh(&format!("cat {map}")).contains(&token));
        let owner = machine.sh(&format!("stat -c '%a %U:%G' {map}"));
        assert_eq!(owner.trim(), "640 pam-onelogin-token:pam-onelogin-gateway");

        // The worker that hosts talk to is another user, who cannot read the secret.
        let workers = machine.sh(
            "for process in /proc/[0-9]*; do \
             if [ \"$(cat $process/comm)\" = haproxy ]; then stat -c %U $process; fi; done | sort -u",
        );
        assert_eq!(workers, "pam-onelogin-gateway\nroot\n");
        let secret = format!("/run/credentials/{KEEPER_UNIT}/client_secret");
        machine.sh(&format!("test -s {secret}"));
        for file in [secret.as_str(), "/etc/pam_onelogin/gateway/client_secret"] {
            machine.sh(&format!(
                "! setpriv --reuid=pam-onelogin-gateway --regid=pam-onelogin-gateway --clear-groups cat {file} 2>/dev/null"
            ));
        }

        // Nor can it put a link where root reads a file.
        for folder in [
            "/run/pam_onelogin_gateway",
            "/run/pam_onelogin_gateway_token",
        ] {
            machine.sh(&format!(
                "! setpriv --reuid=pam-onelogin-gateway --regid=pam-onelogin-gateway --clear-groups ln -s /etc/shadow {folder}/x 2>/dev/null"
            ));
        }

        // One line in the log, without token and secret.
        let journal = machine.sh("journalctl --no-pager --output=cat SYSLOG_FACILITY=10");
        let lines: Vec<_> = journal
            .lines()
            .filter(|line| line.contains("gateway: token until"))
            .collect();
        assert_eq!(lines.len(), 1, "{journal}");
        let journal = machine.sh("journalctl --no-pager --output=cat");
        assert!(
            !journal.contains(&token) && !journal.contains(DEFAULT_CLIENT_SECRET),
            "{journal}"
        );

        // Killed, it is started again. Stopped, it takes the token away.
        machine.sh(&format!("systemctl kill --signal=KILL {KEEPER_UNIT}"));
        machine.sh(&format!("systemctl restart {KEEPER_UNIT}"));
        assert_eq!(machine.answer_of_the_gateway(), "200");
        machine.sh(&format!("systemctl stop {KEEPER_UNIT}"));
        assert_eq!(machine.answer_of_the_gateway(), "503");

        machine.restart();
        machine.sh(&format!("systemctl start {KEEPER_UNIT} {GATEWAY_UNIT}"));
        assert_eq!(machine.answer_of_the_gateway(), "200");
        assert_eq!(
            machine.sh("systemctl list-units --failed --no-legend 'pam-onelogin-*'"),
            ""
        );

        machine.sh("dpkg -r pam-onelogin-gateway");
        machine
            .sh("test ! -e /run/pam_onelogin_gateway && test ! -e /run/pam_onelogin_gateway_token");
        machine.sh("! systemctl is-active --quiet pam-onelogin-gateway-token");
        machine.sh("dpkg -P pam-onelogin-gateway && test ! -e /etc/pam_onelogin/gateway.toml");
    });
}

/// Starts one of each release, with a simulator beside it, and does this with it; at the same time.
fn on_each_release(scene: fn(&mut Machine, &Simulator)) {
    // The harness calls its threads by the tests.
    let test = thread::current().name().unwrap_or_default().to_owned();
    let test = test.as_str();
    thread::scope(|scope| {
        let threads = ["bookworm", "trixie"].map(|release| {
            scope.spawn(move || {
                let mut machine = Machine::unpack(release);
                if let Some(reason) = machine.cannot_start() {
                    // Past the harness, which keeps what a test that passes says.
                    let _ = writeln!(std::io::stderr(), "SKIPPED: {test}, {release}: {reason}");
                    return;
                }
                // A network for this thread, and for all that it starts.
                unshare(CloneFlags::CLONE_NEWNET).unwrap();
                run(Command::new("ip").args(["link", "set", "lo", "up"]));
                let onelogin = Simulator::start();
                samples(&onelogin);
                machine.start();
                machine.set_up(&onelogin);
                scene(&mut machine, &onelogin);
            })
        });
        for thread in threads {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
    });
}

/// The folders of our own cgroup: of version 2, and of version 1 as systemd has it, where that is there too.
fn cgroups() -> Result<Vec<PathBuf>, String> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let find = |own_begin: &str, is_it: &dyn Fn(&str) -> bool| {
        let own = own.lines().find_map(|line| line.split_once(own_begin))?.1;
        let mount = mounts
            .lines()
            .find(|line| line.split_once(" - ").is_some_and(|(_, kind)| is_it(kind)))?;
        let folder = mount.split(' ').nth(4)?;
        Some(Path::new(folder).join(own.trim_start_matches('/')))
    };
    let second = find("0::", &|kind| kind.starts_with("cgroup2 "))
        .ok_or("there is no cgroup of version 2")?;
    let first = find(":name=systemd:", &|kind| {
        kind.starts_with("cgroup ") && kind.ends_with("name=systemd")
    });
    Ok(std::iter::once(second).chain(first).collect())
}

impl Machine {
    fn unpack(release: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("machine-{}-{release}", COUNT.fetch_add(1, Relaxed));
        let root = Root::bare(&format!("boot-{release}"), &name);
        root.write("/etc/hostname", "machine\n");
        root.write("/etc/hosts", "127.0.0.1 localhost machine\n");
        Self {
            root,
            name,
            running: None,
        }
    }

    /// systemd-nspawn in cgroups of its own, for what else it is told.
    fn container(&self) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", INTO_CGROUPS, "sh"])
            .args(self.cgroups())
            .args([
                "--",
                "systemd-nspawn",
                "--quiet",
                "--register=no",
                "--keep-unit",
            ])
            .arg(format!("--directory={}", self.folder.display()))
            .arg(format!("--machine={}", self.name))
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1");
        command
    }

    /// What keeps systemd-nspawn from its work here.
    fn cannot_start(&self) -> Option<String> {
        if let Err(reason) = cgroups() {
            return Some(reason);
        }
        let mut command = self.container();
        command.args(["--as-pid2", "true"]).stdin(Stdio::null());
        let output = command.output().unwrap();
        (!output.status.success()).then(|| both(&output).trim().to_owned())
    }

    /// Switches it on; up, when this returns.
    fn start(&mut self) {
        let socket = self.notes();
        let _ = fs::remove_file(&socket);
        let notes = UnixDatagram::bind(&socket).unwrap();
        notes
            .set_read_timeout(Some(Duration::from_secs(1)))
            .unwrap();
        let latest = Instant::now() + WATCHDOG;
        let console = File::create(self.console()).unwrap();
        let mut command = self.container();
        command
            .args(["--boot", "--notify-ready=yes"])
            .env("NOTIFY_SOCKET", &socket)
            .stdin(Stdio::null())
            .stdout(console.try_clone().unwrap())
            .stderr(console);
        let running = self.running.insert(Running {
            nspawn: command.spawn().unwrap(),
            init: None,
        });
        let mut buffer = [0; 4096];
        loop {
            let Ok(length) = notes.recv(&mut buffer) else {
                let is_over = running.nspawn.try_wait().unwrap().is_some();
                let is_stuck = Instant::now() > latest;
                assert!(!is_over && !is_stuck, "{} does not start", self.name);
                continue;
            };
            let note = String::from_utf8_lossy(&buffer[..length]);
            for line in note.lines() {
                if let Some(pid) = line.strip_prefix("X_NSPAWN_LEADER_PID=") {
                    running.init = Some(Pid::from_raw(pid.parse().unwrap()));
                }
                if line == "READY=1" {
                    return;
                }
            }
        }
    }

    fn init(&self) -> Pid {
        let running = self.running.as_ref().expect("it was started");
        running.init.expect("it has said which process it is")
    }

    /// What systemd-nspawn says when the machine is off.
    fn wait(&mut self) -> ExitStatus {
        self.running.take().unwrap().nspawn.wait().unwrap()
    }

    fn restart(&mut self) {
        self.sh("systemctl reboot");
        assert_eq!(self.wait().code(), Some(133), "it asks to be started again");
        self.start();
    }

    fn power_cut(&mut self) {
        kill(self.init(), Signal::SIGKILL).unwrap();
        assert!(self.wait().code() != Some(0));
    }

    /// A command line of root in it, without a terminal.
    fn sh(&self, line: &str) -> String {
        let Output {
            status,
            stdout,
            stderr,
        } = self
            .inside(["sh", "-c", line])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (stdout, stderr) = (
            String::from_utf8(stdout).unwrap(),
            String::from_utf8_lossy(&stderr).into_owned(),
        );
        assert!(status.success(), "{}: {line}: {stdout}{stderr}", self.name);
        stdout
    }

    fn inside(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args([
                "--all",
                "--root",
                "--wd",
                "--target",
                &self.init().to_string(),
                "--",
            ])
            .args(words)
            .env_clear()
            .envs(ENVIRONMENT);
        command
    }

    fn set_up(&self, onelogin: &Simulator) {
        self.copy(&package("deb"), "/root/");
        self.sh(INSTALL);
        self.sh(&new_person("alice"));
        fill_in(self, onelogin);
        let config = "/etc/pam_onelogin/config.toml";
        let authority = "/etc/pam_onelogin/ca.pem";
        self.write(authority, onelogin.ca_pem());
        let text = self.read(config);
        assert!(text.contains("\n# ca_file = "));
        self.write(config, &text.replacen("\n# ca_file = ", "\nca_file = ", 1));
    }

    fn set_up_gateway(&self, onelogin: &Simulator) {
        self.copy(&gateway_package("deb"), "/root/");
        // Debian starts the one of its own configuration, which has no front end.
        self.sh("systemctl disable --now haproxy");
        self.sh("dpkg -i /root/pam-onelogin-gateway_*.deb");
        let owner = self.sh("stat -c '%a %U:%G' /run/pam_onelogin_gateway /etc/pam_onelogin");
        assert_eq!(owner, "2750 root:pam-onelogin-gateway\n700 root:root\n");
        // The user of the keeper must be able to read it.
        self.write("/etc/onelogin.pem", onelogin.ca_pem());
        let settings = "/etc/pam_onelogin/gateway.toml";
        let text = self.read(settings);
        let text = text.replace("hosts = []", "hosts = [\"*.hosts.test\"]");
        let url = format!(
            "[onelogin]\nurl = {:?}\nclient_id = {DEFAULT_CLIENT_ID:?}\nca_file = \"/etc/onelogin.pem\"\n",
            onelogin.url()
        );
        self.write(settings, &text.replacen("[onelogin]\n", &url, 1));
        let secret = "/etc/pam_onelogin/gateway/client_secret";
        self.write(secret, DEFAULT_CLIENT_SECRET);
        self.sh(&format!("chmod 600 {secret} {settings}"));
    }

    /// The status that a host gets.
    fn answer_of_the_gateway(&self) -> String {
        let answer = self.sh(
            "bash -c 'exec 3<>/dev/tcp/127.0.0.1/8443; printf \"GET / HTTP/1.0\\r\\n\\r\\n\" >&3; head -n 1 <&3'",
        );
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    }

    /// Puts the service on trial, without a trial login, from the unit admin-SERVICE. Options may follow its name.
    fn on_trial(&self, service: &str, seconds: u32) -> Pty {
        let seconds = seconds.to_string();
        let mut words = service.split(' ');
        let service = words.next().unwrap_or_default();
        let unit = format!("--unit=admin-{service}");
        let enable = [
            "systemd-run",
            "--quiet",
            "--pipe",
            "--wait",
            "--collect",
            &unit,
            "pam-onelogin",
            "enable",
            service,
            "--no-trial",
            "--yes",
            "--try",
            &seconds,
        ];
        let mut admin = Pty::spawn(self.inside(enable.into_iter().chain(words)));
        admin.expect("The new stack is active");
        admin
    }

    /// Kills all that waits for the end of a trial, and has its time over.
    fn leaves_nothing_but_the_record(&self, admin: Pty, service: &str) {
        self.sh(&format!("systemctl kill --signal=KILL admin-{service}"));
        assert_eq!(
            admin.finish().0.code(),
            Some(255),
            "killed, says systemd-run"
        );
        self.sh("systemctl stop 'pam-onelogin-restore-*.timer'");
        let record = format!("/var/lib/pam_onelogin/trial/{service}.json");
        let number = r#""deadline": [1-9][0-9]*"#;
        self.sh(&format!(
            "grep -q '{number}' {record} && sed -i 's/{number}/\"deadline\": 0/' {record}"
        ));
    }

    /// The stacks that are not as they were: name, mode and text.
    fn changed(&self, before: &BTreeMap<String, (u32, Vec<u8>)>) -> String {
        let now = self.stacks();
        let gone = before.keys().filter(|path| !now.contains_key(*path));
        let gone = gone.map(|path| format!("{path} is gone\n"));
        let changed = now
            .iter()
            .filter(|(path, file)| before.get(*path) != Some(file));
        let changed = changed.map(|(path, (mode, text))| {
            format!("{path} {mode:o}:\n{}", String::from_utf8_lossy(text))
        });
        gone.chain(changed).collect()
    }

    /// Waits for the line in the journal.
    fn expect_restored(&self, service: &str) {
        let mut journal = Pty::spawn(self.inside([
            "journalctl",
            "--no-pager",
            "--merge",
            "--lines=all",
            "--follow",
            "--output=cat",
            "SYSLOG_FACILITY=10",
        ]));
        journal.expect(&format!(
            "pam_onelogin(pam-onelogin:auth): {service} was not confirmed in time"
        ));
    }

    /// What systemd knows of us, on the disk and in its memory.
    fn units(&self) -> String {
        self.sh(
            "find /etc/systemd /run/systemd /var/lib/systemd -name '*pam[-_]onelogin*' && \
             systemctl list-units --all --no-legend '*pam[-_]onelogin*'",
        )
    }

    /// What is mounted on the folder of the private files: type and options, a line for each.
    fn own_mounts(&self) -> String {
        self.sh("findmnt --noheadings --list --output FSTYPE,OPTIONS --mountpoint /run/pam_onelogin || true")
    }

    /// One tmpfs for root alone, with as many inodes as the unit says.
    fn has_its_own_mount(&self) {
        let mounts = self.own_mounts();
        assert_eq!(mounts.lines().count(), 1, "{mounts}");
        for word in [
            "tmpfs ",
            "nosuid",
            "nodev",
            "noexec",
            "mode=700",
            "size=65536k",
        ] {
            assert!(mounts.contains(word), "{word}: {mounts}");
        }
        let folder = self.sh("stat -c '%a %u:%g' /run/pam_onelogin");
        assert_eq!(folder.trim(), "700 0:0");
        let inodes = self.sh("stat -f -c %c /run/pam_onelogin");
        assert_eq!(inodes.trim(), "262144");
    }

    /// A time of a unit, since its init began to count; 0 if it has not happened.
    fn moment(&self, unit: &str, name: &str) -> u64 {
        let shown = self.sh(&format!("systemctl show --value --property={name} {unit}"));
        shown
            .trim()
            .parse()
            .unwrap_or_else(|_| panic!("{unit}: {name}: {shown}"))
    }

    fn drop_in(&self, unit: &str, text: &str) {
        let folder = format!("/etc/systemd/system/{unit}.d");
        fs::create_dir_all(self.path(&folder)).unwrap();
        self.write(&format!("{folder}/test.conf"), text);
        self.sh("systemctl daemon-reload");
    }

    /// systemd-nspawn makes one for each start, which other containers do not have: away with it, now and early in each start.
    fn has_the_boot_id_of_its_host(&self) {
        self.drop_in(
            RESTORE,
            &format!("[Service]\nExecStartPre=umount {BOOT_ID}\n"),
        );
        let host = fs::read_to_string(BOOT_ID).unwrap();
        assert_ne!(self.sh(&format!("cat {BOOT_ID}")), host);
        self.sh(&format!("umount {BOOT_ID}"));
        assert_eq!(self.sh(&format!("cat {BOOT_ID}")), host);
    }

    /// sudo by alice, up to where her password is right. What she runs ends when it has been seen: systemd-run may lose the
    /// last words of a program that ends by itself.
    fn sudo(&self) -> Pty {
        let mut sudo = Pty::spawn(self.inside([
            "systemd-run",
            "--quiet",
            "--pty",
            "--wait",
            "--collect",
            "--uid=alice",
            "sudo",
            "-k",
            "sh",
            "-c",
            "id -un && read -r end",
        ]));
        sudo.expect("password for alice: ");
        sudo.line(PASSWORD);
        sudo
    }

    fn has_a_key_for_alice(&self) {
        self.sh(
            "ssh-keygen -q -t ed25519 -N '' -f /root/key && install -d -m 700 -o alice -g alice /home/alice/.ssh && \
             install -m 600 -o alice -g alice /root/key.pub /home/alice/.ssh/authorized_keys",
        );
    }

    /// The ssh client of root, who has alice's key.
    fn ssh(&self, line: &str) -> Pty {
        Pty::spawn(self.inside([
            "ssh",
            "-tt",
            "-i",
            "/root/key",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "LogLevel=ERROR",
            "alice@127.0.0.1",
            line,
        ]))
    }

    fn alice_needs_no_code(&self) {
        let (status, screen) = self.ssh("echo in as $(id -un)").finish();
        assert!(
            status.success() && screen.contains("in as alice"),
            "{screen}"
        );
    }

    fn alice_needs_a_code(&self, code: &str) {
        let mut client = self.ssh("echo in as $(id -un)");
        client.expect("Verification code (OneLogin): ");
        client.line(code);
        client.expect("in as alice");
        assert!(client.finish().0.success());
    }

    /// As in Ubuntu: the first connection starts sshd. Until then, sshd -T needs the folder.
    fn gives_the_socket_of_sshd_to_systemd(&self) {
        self.sh("systemctl disable --now ssh.service && systemctl enable --now ssh.socket");
        self.sh(MAKE_RUN);
        assert_eq!(self.listener(), 0);
    }

    /// As an admin may have it: what stops sshd stops all that it has started.
    fn ends_sessions_with_sshd(&self) {
        self.drop_in("ssh.service", "[Service]\nKillMode=control-group\n");
    }

    /// As Debian has it.
    fn keeps_sessions_without_sshd(&self) {
        self.sh("rm -r /etc/systemd/system/ssh.service.d && systemctl daemon-reload");
    }

    /// The sshd that ssh.service runs; 0 if it runs none.
    fn listener(&self) -> u64 {
        self.moment("ssh.service", "MainPID")
    }

    fn enable_sshd(&self) {
        self.sh(ENABLE_SSHD);
        self.has_no_failed_unit();
    }

    /// What is said where nothing is switched on.
    fn refuses_sshd(&self) -> String {
        self.sh(&format!("! {ENABLE_SSHD} 2>&1"))
    }

    fn disable_sshd(&self) {
        self.sh("pam-onelogin disable sshd");
        self.has_no_failed_unit();
    }

    fn has_no_failed_unit(&self) {
        assert_eq!(
            self.sh("systemctl list-units --failed --no-legend 'ssh*'"),
            ""
        );
    }

    /// As in Debian before 12, and in Fedora and Arch by their sshd.socket.
    fn starts_an_sshd_for_each_connection(&self) {
        let folder = "/etc/systemd/system";
        let socket = "[Socket]\nListenStream=22\nAccept=yes\n[Install]\nWantedBy=sockets.target\n";
        self.write(&format!("{folder}/by-connection.socket"), socket);
        let service = "[Service]\nExecStart=-/usr/sbin/sshd -i\nStandardInput=socket\n\
            RuntimeDirectory=sshd\nRuntimeDirectoryPreserve=yes\nRuntimeDirectoryMode=0755\n";
        self.write(&format!("{folder}/by-connection@.service"), service);
        self.sh("systemctl daemon-reload && systemctl enable --now by-connection.socket");
    }

    fn alice_becomes_root(&self, code: &str) {
        become_root(self.sudo(), code);
    }

    /// As [`Machine::alice_becomes_root`], without systemd-run, which needs room in /run.
    fn alice_becomes_root_without_room(&self, code: &str) {
        let mut sudo = Pty::spawn(self.inside(ALICE.into_iter().chain([
            "sudo",
            "-k",
            "sh",
            "-c",
            "id -un && read -r end",
        ])));
        sudo.expect("password for alice: ");
        sudo.line(PASSWORD);
        become_root(sudo, code);
    }

    /// Leaves neither a block nor an inode on the file system of /run. It gets a smaller one first, so that she is done soon.
    fn alice_fills_run(&self) {
        self.sh(
            "mkdir -m 1777 /run/shared && blocks=$(df --output=used /run | tail -n 1) && \
            inodes=$(df --output=iused /run | tail -n 1) && \
            mount -o remount,size=$((blocks + 1024))k,nr_inodes=$((inodes + 100)) /run",
        );
        let full = "cd /run/shared; number=0; while true >$number; do number=$((number + 1)); done; cat /dev/zero >0; true";
        let said = self
            .inside(ALICE.into_iter().chain(["sh", "-c", full]))
            .output()
            .unwrap();
        let said = both(&said);
        assert_eq!(said.matches("No space left on device").count(), 2, "{said}");
        let refused = self.sh("mkdir /run/more 2>&1 || true");
        assert!(refused.contains("No space left"), "{refused}");
    }

    /// Named by our process numbers' namespace, too: others may run these tests at the same time.
    fn cgroups(&self) -> impl Iterator<Item = PathBuf> {
        let namespace = fs::metadata("/proc/self/ns/pid").unwrap().ino();
        let name = format!("pam-onelogin-{namespace}-{}", self.name);
        let folders = cgroups().unwrap_or_default().into_iter();
        folders.map(move |folder| folder.join(&name))
    }

    fn console(&self) -> PathBuf {
        self.folder.with_extension("console")
    }

    fn notes(&self) -> PathBuf {
        self.folder.with_extension("notes")
    }

    fn said(&self) -> String {
        fs::read_to_string(self.console()).unwrap_or_default()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the console of {}: {}", self.name, self.said());
        }
        if let Some(Running { mut nspawn, init }) = self.running.take() {
            let _ = match init {
                Some(init) => kill(init, Signal::SIGKILL).map_err(Into::into),
                None => nspawn.kill(),
            };
            let _ = nspawn.wait();
        }
        for folder in self.cgroups() {
            take_away(&folder);
        }
        let _ = fs::remove_file(self.console());
        let _ = fs::remove_file(self.notes());
    }
}

/// The rest of a sudo that is behind the password.
fn become_root(mut sudo: Pty, code: &str) {
    sudo.expect("Verification code (OneLogin): ");
    sudo.line(code);
    sudo.expect("root\r\n");
    sudo.line("");
    let (status, screen) = sudo.finish();
    assert!(status.success(), "{screen}");
}

/// A cgroup with those in it.
fn take_away(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            take_away(&entry.path());
        }
    }
    let _ = fs::remove_dir(folder);
}

/// Goes into each cgroup named before "--", and becomes the program behind it.
const INTO_CGROUPS: &str = r#"
while [ "$1" != -- ]; do
    mkdir -p "$1" && echo $$ > "$1/cgroup.procs" || exit
    shift
done
shift
exec "$@"
"#;
const SSHD_BEHIND_KEY: &str = "sshd --behind key --user alice";
const SSHD_SETTINGS: &str = "/etc/ssh/sshd_config.d/00-onelogin.conf";
const ENABLE_SSHD: &str = "pam-onelogin enable sshd --behind key --user alice --no-trial --yes";
const MAKE_RUN: &str = "mkdir -m 755 /run/sshd";
/// Answers each line until it is told to end.
const TALK: &str =
    "echo ready; while read -r word && test $word != end; do echo heard $word; done; exit 0";
const INSTALL: &str = "dpkg -i /root/libpam-onelogin_*.deb";
const RESTORE: &str = "pam-onelogin-restore.service";
const MOUNT: &str = "run-pam_onelogin.mount";
/// Makes what follows a process of hers.
const ALICE: [&str; 4] = ["setpriv", "--reuid=alice", "--regid=alice", "--init-groups"];
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
const HOUR: u32 = 3600;
const WATCHDOG: Duration = Duration::from_secs(60);

//! The policy module: linked into Debian's full policy by the .rpm's own script, then asked what it allows. It is not enforced.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::system::*;

/// What the hosts of the module may do because of it, and nothing else.
const ALLOWED: [&str; 21] = [
    "allow pam_onelogin_host cert_t:dir { getattr search };",
    "allow pam_onelogin_host cert_t:file { getattr open read };",
    "allow pam_onelogin_host cert_t:lnk_file { getattr read };",
    "allow pam_onelogin_host dns_port_t:tcp_socket name_connect;",
    "allow pam_onelogin_host http_cache_port_t:tcp_socket name_connect;",
    "allow pam_onelogin_host http_port_t:tcp_socket name_connect;",
    "allow pam_onelogin_host net_conf_t:dir { getattr search };",
    "allow pam_onelogin_host net_conf_t:file { getattr open read };",
    "allow pam_onelogin_host net_conf_t:lnk_file { getattr read };",
    "allow pam_onelogin_host pam_onelogin_etc_t:dir { getattr search };",
    "allow pam_onelogin_host pam_onelogin_etc_t:file { getattr open read };",
    "allow pam_onelogin_host pam_onelogin_run_t:dir { add_name create getattr open read remove_name rmdir search setattr write };",
    "allow pam_onelogin_host pam_onelogin_run_t:file { create getattr link lock open read rename setattr unlink write };",
    "allow pam_onelogin_host pam_onelogin_run_t:lnk_file { create getattr read rename unlink };",
    "allow pam_onelogin_host proc_t:dir search;",
    "allow pam_onelogin_host squid_port_t:tcp_socket name_connect;",
    "allow pam_onelogin_host sysctl_kernel_t:dir search;",
    "allow pam_onelogin_host sysctl_kernel_t:file { getattr open read };",
    "allow pam_onelogin_host sysctl_t:dir search;",
    "allow pam_onelogin_host tmpfs_t:filesystem getattr;",
    "allow pam_onelogin_host var_run_t:dir { add_name getattr search write };",
];

#[test]
#[ignore = "needs root and clean systems: run by make test-packages"]
fn the_policy_module_links_and_lets_the_hosts_do_what_the_module_needs_and_no_more() {
    let root = Root::unpack("policy");
    let policy = || {
        let folder = root.path("/etc/selinux/default/policy");
        let file = fs::read_dir(&folder).unwrap().next().unwrap().unwrap();
        file.path()
    };
    let ask = |program: &str, arguments: &[&str]| {
        let said = run(Command::new(program).args(arguments).arg(policy()));
        said.lines()
            .map(|line| line.trim().to_owned())
            .filter(|line| !line.is_empty())
            .collect::<BTreeSet<_>>()
    };
    let hosts = || ask("seinfo", &["-x", "-a", "pam_onelogin_host"]);
    let stores = || root.sh("semodule -l -s default").contains("pam_onelogin");
    assert!(!stores());

    let (success, said) = root.rpm(&["-i", "--nodeps", package("rpm").to_str().unwrap()]);
    assert!(success && !said.contains("was not installed"), "{said}");
    assert!(stores());
    let rules = ask("sesearch", &["-A", "-ds", "-s", "pam_onelogin_host"]);
    let allowed: BTreeSet<String> = ALLOWED.map(str::to_owned).into();
    assert_eq!(rules, allowed);
    let named = hosts();
    for host in [
        "sshd_t",
        "local_login_t",
        "staff_sudo_t",
        "sysadm_sudo_t",
        "staff_su_t",
        "sysadm_su_t",
    ] {
        assert!(named.contains(host), "{host}: {named:?}");
        let transition = ask(
            "sesearch",
            &["-T", "-s", host, "-t", "var_run_t", "-c", "dir"],
        );
        let wanted =
            format!("type_transition {host} var_run_t:dir pam_onelogin_run_t pam_onelogin;");
        assert!(transition.contains(&wanted), "{transition:?}");
    }
    a_proxy_is_reached_at_its_usual_ports(&ask);
    can_be_a_mount_point(&ask);
    the_boot_id_is_a_sysctl_of_the_kernel(&ask);
    // Debian's policy does not know the program of OpenSSH 9.8 yet; once one does, it is covered.
    assert!(!named.contains("sshd_session_t"), "{named:?}");
    assert_eq!(named.len(), 8, "{named:?}");
    newer_sshd(&root);
    assert!(hosts().contains("sshd_session_t"));
    let connects = ask(
        "sesearch",
        &[
            "-A",
            "-s",
            "sshd_session_t",
            "-t",
            "http_port_t",
            "-c",
            "tcp_socket",
            "-p",
            "name_connect",
        ],
    );
    assert!(connects.contains(ALLOWED[5]), "{connects:?}");
    // Who may read all that is no secret does not read the file with the secret.
    let readers = ask(
        "sesearch",
        &["-A", "-t", "pam_onelogin_etc_t", "-c", "file", "-p", "read"],
    );
    for stranger in ["user_t ", "httpd_t ", "non_security_file_type"] {
        let found = readers
            .iter()
            .find(|rule| rule.starts_with(&format!("allow {stranger}")));
        assert_eq!(found, None);
    }

    let labels = root.read("/etc/selinux/default/contexts/files/file_contexts");
    for label in include_str!("../../packaging/selinux/pam_onelogin.fc").lines() {
        assert!(labels.lines().any(|line| line == label), "{label}");
    }
    let (success, said) = root.rpm(&["-e", "pam_onelogin"]);
    assert!(success, "{said}");
    assert!(!stores());
}

/// At 443, 3128 and 8080. In Fedora's policy 3128 is of `squid_port_t`, in Debian's of `http_cache_port_t`; both know both types.
fn a_proxy_is_reached_at_its_usual_ports(ask: &dyn Fn(&str, &[&str]) -> BTreeSet<String>) {
    let reached = ALLOWED.iter().filter_map(|rule| {
        let rule = rule.strip_prefix("allow pam_onelogin_host ")?;
        rule.strip_suffix(":tcp_socket name_connect;")
    });
    let reached: Vec<&str> = reached.collect();
    assert!(reached.contains(&"squid_port_t"));
    for port in ["443", "3128", "8080"] {
        let labels = ask("seinfo", &["--flat", &format!("--portcon={port}")]);
        let is_reached = |line: &&String| {
            let is_one = line.starts_with(&format!("portcon tcp {port} "));
            is_one
                && reached
                    .iter()
                    .any(|name| line.contains(&format!(":{name}:")))
        };
        assert_eq!(labels.iter().filter(is_reached).count(), 1, "{labels:?}");
    }
}

/// What becomes of the folder when run-pam_onelogin.mount is switched on: systemd makes it where it is not there yet, runs mount,
/// and systemd-tmpfiles gives the root of the tmpfs its label.
fn can_be_a_mount_point(ask: &dyn Fn(&str, &[&str]) -> BTreeSet<String>) {
    for (source, target, class, right) in [
        ("init_t", "pam_onelogin_run_t", "dir", "create"),
        ("mount_t", "pam_onelogin_run_t", "dir", "mounton"),
        ("mount_t", "tmpfs_t", "filesystem", "mount"),
        ("mount_t", "tmpfs_t", "filesystem", "unmount"),
        ("systemd_tmpfiles_t", "tmpfs_t", "dir", "relabelfrom"),
        (
            "systemd_tmpfiles_t",
            "pam_onelogin_run_t",
            "dir",
            "relabelto",
        ),
        ("pam_onelogin_run_t", "tmpfs_t", "filesystem", "associate"),
    ] {
        let rules = ask(
            "sesearch",
            &["-A", "-s", source, "-t", target, "-c", class, "-p", right],
        );
        // Not by a boolean, which may be off.
        let is_allowed = rules.iter().any(|rule| !rule.contains("]:"));
        assert!(is_allowed, "{source} {target}:{class} {right}: {rules:?}");
    }
}

/// The boot id has no label of its own.
fn the_boot_id_is_a_sysctl_of_the_kernel(ask: &dyn Fn(&str, &[&str]) -> BTreeSet<String>) {
    let labels = ask("seinfo", &["--flat", "--genfscon", "proc"]);
    let of_boot_id = labels.iter().filter_map(|line| {
        let mut words = line.split_whitespace().skip(2);
        let (path, label) = (words.next()?, words.next()?);
        let is_above = "/sys/kernel/random/boot_id".starts_with(path);
        is_above.then_some((path.len(), label))
    });
    let label = of_boot_id.max().map(|(_, label)| label);
    assert_eq!(label, Some("system_u:object_r:sysctl_kernel_t:s0"));
}

/// A policy as newer distributions have it: with a type of its own for sshd-session.
fn newer_sshd(root: &Root) {
    let module = "module newer 1.0;\nrequire { attribute domain; role system_r; }\n\
        type sshd_session_t, domain;\nrole system_r types sshd_session_t;\n";
    root.write("/root/newer.te", module);
    run(Command::new("checkmodule")
        .args(["-M", "-m", "-o"])
        .arg(root.path("/root/newer.mod"))
        .arg(root.path("/root/newer.te")));
    run(Command::new("semodule_package")
        .arg("-o")
        .arg(root.path("/root/newer.pp"))
        .arg("-m")
        .arg(root.path("/root/newer.mod")));
    root.sh("semodule -n -s default -i newer.pp");
}

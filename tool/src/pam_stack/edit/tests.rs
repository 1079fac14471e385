//! Stacks as distributions ship them, and as admins have changed them.

use super::*;

const COMMON: &str = "\
# here are the per-package modules (the \"Primary\" block)
auth\t[success=2 default=ignore]\tpam_unix.so nullok
auth\t[success=1 default=ignore]\tpam_sss.so use_first_pass
auth\trequisite\t\t\tpam_deny.so
auth\trequired\t\t\tpam_permit.so
auth\toptional\t\t\tpam_cap.so
";
const SUDO: &str = "\
#%PAM-1.0

session    required   pam_limits.so

@include common-auth
@include common-account
@include common-session-noninteractive
";
const SYSTEM: &str = "\
auth        required      pam_env.so
auth        sufficient    pam_unix.so nullok
auth        required      pam_deny.so
account     required      pam_unix.so
";
const SYSTEM_SSSD: &str = "\
auth        required                                     pam_env.so
auth        required                                     pam_faildelay.so delay=2000000
auth        [default=1 ignore=ignore success=ok]         pam_usertype.so isregular
auth        [default=1 ignore=ignore success=ok]         pam_localuser.so
auth        sufficient                                   pam_unix.so nullok
auth        [default=1 ignore=ignore success=ok]         pam_usertype.so isregular
auth        sufficient                                   pam_sss.so forward_pass
auth        required                                     pam_deny.so
";
const FEDORA_SSHD: &str = "\
#%PAM-1.0
auth       substack     password-auth
auth       include      postlogin
account    required     pam_sepermit.so
account    include      password-auth
";
const FEDORA_SU: &str = "\
#%PAM-1.0
auth\t\trequired\tpam_env.so
auth\t\tsufficient\tpam_rootok.so
# Uncomment the following line to implicitly trust users in the \"wheel\" group.
#auth\t\tsufficient\tpam_wheel.so trust use_uid
auth\t\tsubstack\tsystem-auth
auth\t\tinclude\t\tpostlogin
account\t\tinclude\t\tsystem-auth
";

fn in_etc(name: &str) -> PathBuf {
    Path::new("/etc/pam.d").join(name)
}

fn others(name: &str) -> Option<(PathBuf, String)> {
    let text = match name {
        "common-auth" => COMMON,
        "system-auth" => SYSTEM,
        "password-auth" => SYSTEM_SSSD,
        "common-account" | "common-session" | "common-session-noninteractive" | "postlogin" => {
            "session required pam_unix.so\n"
        }
        _ => return None,
    };
    Some((in_etc(name), text.to_owned()))
}

fn plan(name: &str, text: &str, behind: Behind) -> Result<Insertion, Refusal> {
    let siblings: &[&str] = match name {
        "sudo-i" => &["sudo"],
        "su-l" => &["su"],
        _ => &[],
    };
    let source = Source {
        name,
        path: &in_etc(name),
        text,
        other: &others,
        siblings,
    };
    insert(&source, behind)
}

fn change(name: &str, text: &str, behind: Behind) -> NewText {
    match plan(name, text, behind) {
        Ok(Insertion::New(change)) => {
            let back = take_out(&in_etc(name), &change.text).unwrap();
            assert_eq!(back.as_deref(), Some(text), "taken out again");
            change
        }
        other => panic!("{other:?}"),
    }
}

/// The lines that count, with single blanks.
fn auth(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| line.starts_with("auth") || line.starts_with("@include common-auth"))
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn debian_gets_our_line_behind_common_auth() {
    let change = change("sudo", SUDO, Behind::Password);
    assert_eq!(
        auth(&change.text),
        ["@include common-auth", "auth required pam_onelogin.so"]
    );
    assert!(change.objections.is_empty());
}

#[test]
fn behind_a_key_our_lines_take_the_place_of_the_password() {
    for (text, rest) in [(SUDO, None), (FEDORA_SSHD, Some("auth include postlogin"))] {
        let change = change("sshd", text, Behind::Key);
        let mut wanted = vec![
            "auth requisite pam_onelogin.so behind=key",
            "auth required pam_permit.so",
        ];
        wanted.extend(rest);
        assert_eq!(auth(&change.text), wanted);
    }
}

#[test]
fn fedora_gets_a_first_factor_that_ends_the_stack() {
    let su = change("su", FEDORA_SU, Behind::Password);
    assert_eq!(
        auth(&su.text),
        [
            "auth required pam_env.so",
            "auth sufficient pam_rootok.so",
            "auth requisite pam_unix.so",
            "auth required pam_onelogin.so",
            "auth include postlogin",
        ]
    );
    let sshd = change("sshd", FEDORA_SSHD, Behind::Password);
    assert_eq!(
        auth(&sshd.text),
        [
            "auth required pam_env.so",
            "auth [success=2 default=ignore] pam_unix.so",
            "auth [success=1 default=ignore] pam_sss.so use_first_pass",
            "auth requisite pam_deny.so",
            "auth required pam_onelogin.so",
            "auth include postlogin",
        ]
    );
    assert!(sshd.objections.is_empty());
}

#[test]
fn what_fedora_had_and_would_lose_is_an_objection() {
    let faillock = SYSTEM.replace("pam_deny.so", "pam_faillock.so authfail");
    let source = Source {
        name: "login",
        path: &in_etc("login"),
        text: "auth substack system-auth\n",
        other: &|name| Some((in_etc(name), faillock.clone())),
        siblings: &[],
    };
    let Ok(Insertion::New(change)) = insert(&source, Behind::Password) else {
        panic!("no change");
    };
    let said: Vec<_> = change.objections.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        ["/etc/pam.d/system-auth:3: pam_faillock.so would no longer be used in login"]
    );
}

#[test]
fn a_line_of_ours_is_not_written_twice() {
    let first = change("sudo", SUDO, Behind::Password);
    let second = plan("sudo", &first.text, Behind::Password).unwrap();
    assert_eq!(second, Insertion::Already("/etc/pam.d/sudo:7".to_owned()));

    let by_hand = SUDO.replace(
        "common-auth\n",
        "common-auth\n-auth [success=ok default=die]  /lib/security/pam_onelogin.so debug\n",
    );
    let by_hand = plan("sudo", &by_hand, Behind::Password).unwrap();
    assert_eq!(by_hand, Insertion::Already("/etc/pam.d/sudo:6".to_owned()));

    let source = Source {
        name: "sudo",
        path: &in_etc("sudo"),
        text: SUDO,
        other: &|name| {
            let text = format!("{COMMON}auth requisite pam_onelogin.so\n");
            Some((Path::new("/usr/lib/pam.d").join(name), text))
        },
        siblings: &[],
    };
    let everywhere = insert(&source, Behind::Password).unwrap();
    assert_eq!(
        everywhere,
        Insertion::Already("/usr/lib/pam.d/common-auth:7".to_owned())
    );
}

#[test]
fn a_stack_that_includes_its_sibling_stays() {
    for (name, text) in [
        ("su-l", "auth\t\tinclude\t\tsu\nsession include su\n"),
        ("sudo-i", "auth       include      sudo\n"),
    ] {
        let plan = plan(name, text, Behind::Password).unwrap();
        assert!(matches!(plan, Insertion::Covered(_)), "{plan:?}");
    }
}

#[test]
fn comments_and_lines_that_decide_nothing_for_us_are_kept() {
    let text = "auth       optional   pam_faildelay.so  delay=3000000 # [1]\n\
        # auth sufficient pam_wheel.so trust\n\
        auth requisite pam_nologin.so\nsession required pam_env.so\n\
        @include common-auth\nauth optional pam_group.so";
    let change = change("login", text, Behind::Password);
    assert!(change.text.ends_with("auth optional pam_group.so"));
    assert_eq!(auth(&change.text).len(), 5);
}

#[test]
fn a_last_line_without_an_end_is_ended() {
    let Ok(Insertion::New(change)) = plan("sudo", "@include common-auth", Behind::Password) else {
        panic!("no change");
    };
    assert!(change.text.starts_with("@include common-auth\n# BEGIN"));
}

#[test]
fn what_is_not_understood_is_refused_with_its_line() {
    let cases = [
        (
            "auth sufficient pam_wheel.so trust\n@include common-auth\n",
            1,
        ),
        (
            "auth [success=1 default=ignore] pam_x.so\n@include common-auth\n",
            1,
        ),
        ("@include common-auth\nauth [default=reset] pam_x.so\n", 2),
        ("@include common-auth\n@include common-auth\n", 2),
        ("auth required \\\n pam_unix.so\n", 1),
        ("@include common-auth\n@include elsewhere\n", 2),
        ("# none\nauthentication required pam_unix.so\n", 2),
        ("auth sufficient pam_rootok.so\n@include common-auth\n", 1),
    ];
    for (text, line) in cases {
        let refusal = plan("sshd", text, Behind::Password).unwrap_err();
        assert_eq!(refusal.place, (in_etc("sshd"), Some(line)), "{text}");
    }
    for text in [
        "",
        "auth required pam_unix.so\n",
        "account required pam_unix.so\n",
    ] {
        let refusal = plan("sshd", text, Behind::Password).unwrap_err();
        assert_eq!(refusal.place, (in_etc("sshd"), None), "{text}");
    }
    let root = "auth sufficient pam_rootok.so\n@include common-auth\n";
    assert!(plan("su", root, Behind::Password).is_ok());
}

#[test]
fn a_common_auth_that_goes_on_after_a_wrong_password_is_refused() {
    let cases = [
        ("auth required pam_unix.so\n", None),
        (
            "auth sufficient pam_unix.so\nauth requisite pam_deny.so\n",
            Some(1),
        ),
        (
            "auth [success=done default=ignore] pam_unix.so\nauth requisite pam_deny.so\n",
            Some(1),
        ),
        (
            "auth [success=2 default=ignore] pam_unix.so\nauth requisite pam_deny.so\n",
            Some(1),
        ),
        (
            "auth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\n\
             auth sufficient pam_faillock.so authsucc\n",
            Some(3),
        ),
    ];
    for (text, line) in cases {
        let source = Source {
            name: "sudo",
            path: &in_etc("sudo"),
            text: "@include common-auth\n",
            other: &|name| Some((in_etc(name), text.to_owned())),
            siblings: &[],
        };
        let refusal = insert(&source, Behind::Password).unwrap_err();
        assert_eq!(refusal.place, (in_etc("common-auth"), line), "{text}");
    }
}

#[test]
fn only_our_own_block_is_taken_out() {
    let new = change("sshd", SUDO, Behind::Key).text;
    let edited = format!("{new}session optional pam_motd.so\n");
    let back = take_out(&in_etc("sshd"), &edited).unwrap().unwrap();
    assert_eq!(back, format!("{SUDO}session optional pam_motd.so\n"));

    assert_eq!(take_out(&in_etc("sshd"), SUDO).unwrap(), None);
    let inside = new.replace(PERMIT, "auth required pam_permit.so debug");
    assert!(take_out(&in_etc("sshd"), &inside).is_err());
    assert!(take_out(&in_etc("sshd"), &new.replace(END, "")).is_err());
    assert!(take_out(&in_etc("sshd"), &new.replace(BEGIN, "")).is_err());
    assert!(take_out(&in_etc("sshd"), &format!("{new}{new}")).is_ok());
}

/// libpam takes blanks behind the backslash for its end, too.
#[test]
fn a_line_that_goes_on_is_refused_whatever_blanks_stand_behind_the_backslash() {
    for blanks in ["", " ", "\t "] {
        let text = format!("auth required pam_env.so \\{blanks}\nfoo\n@include common-auth\n");
        let refusal = plan("sudo", &text, Behind::Password).unwrap_err();
        assert!(
            refusal.why.starts_with("continues on the next line"),
            "{refusal}"
        );
        assert_eq!(refusal.place.1, Some(1));
    }
}

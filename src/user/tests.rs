//! Who must pass, by tables.

use super::*;
use crate::id::UserId;

fn ask(request: &Request, config: &Config, people: &dyn People) -> Who {
    who(request, config, &Map::default(), TODAY, people).0
}

/// 2027-01-31T12:00:00Z; the configuration was changed an hour before.
const TODAY: Dates = Dates {
    now: 1_801_396_800,
    changed: 1_801_393_200,
};

struct Village {
    uids: Uids,
    broken: bool,
}

impl People for Village {
    fn uids(&self) -> Uids {
        self.uids
    }
    fn by_name(&self, name: &str) -> Result<Option<Account>, LookupFailed> {
        if self.broken {
            return Err(LookupFailed("out of order".to_owned()));
        }
        let uid = match name {
            "root" | "toor" => 0,
            "alice" | "ALICE" => 1000,
            "bob" => 1001,
            "a*" => 1002,
            _ => return Ok(None),
        };
        Ok(Some(Account {
            name: name.to_lowercase(),
            uid,
        }))
    }
    fn by_uid(&self, uid: u32) -> Result<Option<Account>, LookupFailed> {
        match uid {
            0 => self.by_name("root"),
            1000 => self.by_name("alice"),
            1001 => self.by_name("bob"),
            _ => Ok(None),
        }
    }
    fn groups(&self, account: &Account, named: &[&str]) -> Result<Groups, LookupFailed> {
        if named.contains(&"missing") {
            return Err(LookupFailed("missing".to_owned()));
        }
        let groups: &[&str] = match account.name.as_str() {
            "bob" => &["bob", "robots", "users"],
            "alice" => &["alice", "users"],
            _ => &["root"],
        };
        let own: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        Ok(Groups {
            configured: own.clone(),
            names: own,
        })
    }
    fn lacks_group(&self, name: &str) -> bool {
        name == "nowhere"
    }
}

fn village(real: u32, effective: u32) -> Village {
    Village {
        uids: Uids {
            real,
            effective,
            saved: effective,
        },
        broken: false,
    }
}

fn config(lines: &str) -> Config {
    let text = format!(
        "{lines}\n[onelogin]\nurl = \"https://x.onelogin.com\"\nclient_id = \"i\"\nclient_secret = \"s\"\n"
    );
    crate::config::parse("c", &text).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn request(user: &str) -> Request {
    Request {
        user: Some(user.to_owned()),
        ..Request::default()
    }
}

fn name_of(who: &Who) -> &str {
    match who {
        Who::Subject(subject) => &subject.name,
        Who::Exempt { name, .. } => name,
        Who::NoAccount | Who::Unclear(_) | Who::NoSuchGroup(_) => "",
    }
}

fn unclear_caller(why: &str) -> Who {
    Who::Unclear(Unclear::Caller(LookupFailed(why.to_owned())))
}

#[test]
fn r05_the_subject_is_pam_user_as_passwd_spells_it() {
    let who = ask(&request("ALICE"), &config(""), &village(0, 0));
    let Who::Subject(subject) = who else {
        panic!("{who:?}")
    };
    assert_eq!(subject.name, "alice");
    assert_eq!(subject.key, Ok(UserKey::Name("alice".to_owned())));
}

#[test]
fn on_the_way_to_root_the_caller_must_pass() {
    let config = config("[users]\nexempt_users = [\"root\"]");
    let from = |user: &str, real: u32| ask(&request(user), &config, &village(real, 0));
    // su to root, sudo with rootpw: root's exemption does not exempt the caller.
    assert_eq!(name_of(&from("root", 1000)), "alice");
    assert!(matches!(from("root", 1000), Who::Subject(_)));
    assert_eq!(name_of(&from("toor", 1001)), "bob");
    // Root itself, and a login as root, are root's.
    assert!(matches!(from("root", 0), Who::Exempt { .. }));
    // su to another user challenges the target.
    assert_eq!(name_of(&from("bob", 1000)), "bob");
    // A caller without a passwd entry cannot be identified.
    assert_eq!(from("root", 4242), unclear_caller("uid 4242 has no name"));
}

#[test]
fn a_name_that_the_system_does_not_know_is_a_stranger() {
    for user in [Some("mallory".to_owned()), Some(String::new()), None] {
        let mut request = request("");
        request.user = user;
        assert_eq!(ask(&request, &config(""), &village(0, 0)), Who::NoAccount);
    }
}

#[test]
fn a_failed_look_up_is_not_a_missing_user() {
    let mut village = village(0, 0);
    village.broken = true;
    assert_eq!(
        ask(&request("alice"), &config(""), &village),
        Who::Unclear(Unclear::Passwd(LookupFailed("out of order".to_owned())))
    );
}

#[test]
fn exemptions_are_those_the_admin_wrote() {
    let config = config("[users]\nexempt_users = [\"alice\"]\nexempt_groups = [\"robots\"]");
    let exemption = |user| match ask(&request(user), &config, &village(0, 0)) {
        Who::Exempt { exemption, .. } => Some(exemption),
        _ => None,
    };
    assert_eq!(exemption("alice"), Some(Exemption::User));
    assert_eq!(exemption("bob"), Some(Exemption::Group));
    assert_eq!(exemption("root"), None);
}

#[test]
fn who_is_in_no_group_that_is_meant_is_exempt() {
    let exemption = |user, lines| match ask(&request(user), &config(lines), &village(0, 0)) {
        Who::Exempt { exemption, .. } => Some(exemption),
        Who::Subject(_) => None,
        other => panic!("{other:?}"),
    };
    let other = Some(Exemption::OtherGroups);
    let humans = "[users]\ngroups = [\"users,!rob*\"]";
    assert_eq!(exemption("alice", humans), None);
    assert_eq!(exemption("bob", humans), other);
    assert_eq!(exemption("root", humans), other);
    // One list that means somebody is enough.
    let two = "[users]\ngroups = [\"users,!rob*\", \"root\"]";
    assert_eq!(exemption("root", two), None);
    assert_eq!(exemption("bob", two), other);
    // An exemption wins.
    let exempt = "[users]\ngroups = [\"*\"]\nexempt_groups = [\"robots\"]";
    assert_eq!(exemption("bob", exempt), Some(Exemption::Group));
    assert_eq!(exemption("alice", exempt), None);
    // su to root: the groups of the caller count.
    let who = ask(&request("root"), &config(humans), &village(1000, 0));
    assert!(matches!(who, Who::Subject(_)), "{who:?}");
}

#[test]
fn a_group_that_cannot_be_looked_up_denies() {
    for lines in [
        "exempt_groups = [\"robots\", \"missing\"]",
        "groups = [\"*,!missing\"]",
        "groups = [\"users\", \"missing\"]",
    ] {
        let config = config(&format!("[users]\n{lines}"));
        assert_eq!(
            ask(&request("alice"), &config, &village(0, 0)),
            Who::Unclear(Unclear::Groups(LookupFailed("missing".to_owned()))),
            "{lines}"
        );
    }
}

/// Whatever the name is, and whatever the system says of it: no user can be told from another.
#[test]
fn r13_a_group_that_does_not_exist_ends_every_login_alike_but_that_of_an_exempt_user() {
    let broken = Village {
        broken: true,
        ..village(0, 0)
    };
    for lines in [
        "exempt_groups = [\"nowhere\"]",
        "groups = [\"*,!nowhere\"]",
        // Also where a group before it cannot be looked up.
        "groups = [\"users\", \"missing\", \"nowhere\"]",
    ] {
        let config = config(&format!("[users]\nexempt_users = [\"root\"]\n{lines}"));
        let missing = || Who::NoSuchGroup("nowhere".to_owned());
        for name in ["alice", "bob", "a*", "nobody-has-this-name", ""] {
            for people in [village(0, 0), village(1001, 0), village(4711, 0)] {
                assert_eq!(ask(&request(name), &config, &people), missing(), "{name}");
            }
            assert_eq!(ask(&request(name), &config, &broken), missing(), "{name}");
        }
        let root = ask(&request("root"), &config, &village(0, 0));
        assert!(matches!(root, Who::Exempt { .. }), "{root:?}");
    }
}

#[test]
fn r13_only_what_was_shown_proves() {
    let proof = |change: &dyn Fn(&mut Request), lines: &str, real: u32| {
        let mut request = request("alice");
        change(&mut request);
        match ask(&request, &config(lines), &village(real, 0)) {
            Who::Subject(subject) => subject.proof,
            other => panic!("{other:?}"),
        }
    };
    let shows = |change: &dyn Fn(&mut Request)| proof(change, "", 0);
    let types = |password: &str| shows(&|r| r.password = Some(Secret::new(password.into())));
    assert_eq!(shows(&|_| ()), Proof::Unproven);
    assert_eq!(shows(&|r| r.ssh_auth_info = true), Proof::Proven);
    assert_eq!(types("x"), Proof::Proven);
    assert_eq!(types("\u{8}\n\r\u{7f}INCORRECT"), Proof::Unproven);
    assert_eq!(proof(&|_| (), "", 1000), Proof::Proven);
    let assumed = "first_factor = \"assumed\"";
    assert_eq!(proof(&|_| (), assumed, 0), Proof::Proven);
    let ruser = |r: &mut Request| r.ruser = Some("alice".into());
    assert_eq!(shows(&ruser), Proof::Unproven);
    let connection = |r: &mut Request| r.ssh_connection = Some("1 2 3 4".into());
    assert_eq!(shows(&connection), Proof::Unproven);
}

#[test]
fn r13_a_real_uid_proves_its_own_account_and_no_other() {
    let proof = |user: &str, real: u32| {
        let (_, proof) = who(
            &request(user),
            &config(""),
            &Map::default(),
            TODAY,
            &village(real, 0),
        );
        proof
    };
    assert_eq!(proof("alice", 1000), Proof::Proven);
    // `su bob` as alice, with this module before the password.
    assert_eq!(proof("bob", 1000), Proof::Unproven);
    assert_eq!(proof("no-such-user", 1000), Proof::Unproven);
    // On the way to root the caller must pass, whose process it is.
    assert_eq!(proof("root", 1000), Proof::Proven);
    // A uid without an account proves nobody.
    assert_eq!(proof("root", 54_321), Proof::Unproven);
}

#[test]
fn r05_a_callers_name_that_belongs_to_another_uid_names_nobody() {
    // A second store of users has a uid 70000 under the name of the exempt bob.
    struct TwoStores(Village);
    impl People for TwoStores {
        fn uids(&self) -> Uids {
            self.0.uids()
        }
        fn by_name(&self, name: &str) -> Result<Option<Account>, LookupFailed> {
            self.0.by_name(name)
        }
        fn by_uid(&self, uid: u32) -> Result<Option<Account>, LookupFailed> {
            let bob = Account {
                name: "bob".to_owned(),
                uid,
            };
            Ok(Some(bob))
        }
        fn groups(&self, account: &Account, named: &[&str]) -> Result<Groups, LookupFailed> {
            self.0.groups(account, named)
        }
        fn lacks_group(&self, name: &str) -> bool {
            self.0.lacks_group(name)
        }
    }
    let config = config("[users]\nexempt_users = [\"bob\"]");
    let their_bob = TwoStores(village(70_000, 0));
    let nobody = unclear_caller("uid 70000 has the name bob, which belongs to another uid");
    let caller = ask(&request("root"), &config, &their_bob);
    assert_eq!(caller, nobody);
    // sudo names its caller by the name of their uid.
    let caller = ask(&request("bob"), &config, &their_bob);
    assert_eq!(caller, nobody);
    // `su alice` as the other bob is about alice.
    assert_eq!(
        name_of(&ask(&request("alice"), &config, &their_bob)),
        "alice"
    );
    let our_bob = TwoStores(village(1001, 0));
    assert_eq!(name_of(&ask(&request("root"), &config, &our_bob)), "bob");
}

#[test]
fn r01_a_dated_exemption_applies_until_its_last_day_is_over() {
    let entry = |whom: &str, until: &str| {
        format!("[users]\nexempt = [{{ {whom}, until = \"{until}\", reason = \"r\" }}]")
    };
    let ask = |lines: &str, user: &str, dates: Dates| {
        let config = config(lines);
        let (who, _) = who(
            &request(user),
            &config,
            &Map::default(),
            dates,
            &village(0, 0),
        );
        match who {
            Who::Exempt { exemption, .. } => exemption.detail().unwrap(),
            Who::Subject(subject) => subject.lapse.map_or("asked", Lapse::word).to_owned(),
            other => format!("{other:?}"),
        }
    };
    for whom in ["user = \"bob\"", "group = \"robots\""] {
        let last = entry(whom, "2027-01-31");
        assert_eq!(ask(&last, "bob", TODAY), "until 2027-01-31: r");
        assert_eq!(ask(&last, "alice", TODAY), "asked");
        let over = entry(whom, "2027-01-30");
        assert_eq!(ask(&over, "bob", TODAY), "exemption-expired");
        // With such a clock, what is over could apply again.
        let early = Dates {
            now: TODAY.changed - 1,
            ..TODAY
        };
        assert_eq!(ask(&last, "bob", early), "exemption-clock-behind");
    }
    // Of two entries, the one that applies counts.
    let two = "[users]\nexempt = [{ user = \"bob\", until = \"2027-01-30\", reason = \"a\" }, \
               { group = \"robots\", until = \"2027-02-01\", reason = \"b\" }]";
    assert_eq!(ask(two, "bob", TODAY), "until 2027-02-01: b");
    // A group must exist, as in `exempt_groups`.
    let nowhere = entry("group = \"nowhere\"", "2027-01-30");
    assert_eq!(ask(&nowhere, "alice", TODAY), "NoSuchGroup(\"nowhere\")");
}

#[test]
fn r05_names_with_search_operators_are_never_sent() {
    let subject = ask(&request("a*"), &config(""), &village(0, 0));
    assert!(matches!(
        subject,
        Who::Subject(Subject {
            key: Err(Unfit::Name),
            ..
        })
    ));
    for name in [
        "",
        "*",
        "a*",
        "!x",
        "a!b",
        "%",
        "a%2Ab",
        "-rf",
        "@x",
        "a b",
        "a,b",
        "a;b",
        "a\n",
        "a\0",
        "a&b=c",
        "a?b",
        "a#b",
        "a/b",
        "a\"b",
        "a\u{202e}b",
        &"x".repeat(300),
    ] {
        assert!(!is_searchable(name), "{name:?}");
    }
    for name in [
        "alice",
        "alice.b-c_d",
        "o'neil",
        "CORP\\alice",
        "svc$",
        "zoë",
        "a@b.c",
    ] {
        assert!(is_searchable(name), "{name:?}");
    }
}

#[test]
fn the_map_wins_over_the_name_and_its_domain() {
    let map = Map::parse(
        "m",
        "alice alice.a@x.org\nbob id=77\n",
        crate::map::Entries::NamesAndIds,
    )
    .unwrap();
    let key = |user: &str, lines: &str| {
        let (who, _) = who(&request(user), &config(lines), &map, TODAY, &village(0, 0));
        let Who::Subject(subject) = who else {
            panic!("{who:?}")
        };
        subject.key
    };
    let name = |name: &str| Ok(UserKey::Name(name.to_owned()));
    let domain = "[users]\nappend_domain = \"example.com\"";
    assert_eq!(key("alice", domain), name("alice.a@x.org"));
    assert_eq!(
        key("bob", domain),
        Ok(UserKey::Id(UserId::parse("77").unwrap()))
    );
    assert_eq!(key("root", domain), name("root@example.com"));
    let map_only = "[users]\nmatch = \"map\"\nmap_file = \"/m\"";
    assert_eq!(key("root", map_only), Err(Unfit::NotMapped));
}

#[test]
fn on_the_way_to_root_is_only_who_is_not_root_yet_in_a_process_that_is() {
    // A second name of uid 0 is its own: root's exemption is not toor's.
    let config = config("[users]\nexempt_users = [\"root\"]");
    let who = ask(&request("toor"), &config, &village(0, 0));
    assert!(matches!(who, Who::Subject(_)), "{who:?}");
    assert_eq!(name_of(&who), "toor");
    // A process without root's rights leads to nobody's.
    let who = ask(&request("toor"), &config, &village(1000, 1000));
    assert_eq!(name_of(&who), "toor");
}

#[test]
fn a_setuid_process_has_rights_that_its_starter_has_not() {
    let uids = |real, effective| village(real, effective).uids;
    assert!(uids(1000, 0).is_setuid());
    assert!(!uids(0, 0).is_setuid());
    assert!(!uids(1000, 1000).is_setuid());
}

/// A village whose group database is out of order.
struct Groupless(Village);

impl People for Groupless {
    fn uids(&self) -> Uids {
        self.0.uids()
    }
    fn by_name(&self, name: &str) -> Result<Option<Account>, LookupFailed> {
        self.0.by_name(name)
    }
    fn by_uid(&self, uid: u32) -> Result<Option<Account>, LookupFailed> {
        self.0.by_uid(uid)
    }
    fn groups(&self, _: &Account, _: &[&str]) -> Result<Groups, LookupFailed> {
        Err(LookupFailed("out of order".to_owned()))
    }
    fn lacks_group(&self, _: &str) -> bool {
        false
    }
}

#[test]
fn groups_are_asked_for_only_where_the_configuration_names_any() {
    let groupless = Groupless(village(0, 0));
    let who = ask(&request("alice"), &config(""), &groupless);
    assert!(matches!(who, Who::Subject(_)), "{who:?}");
    let named = config("[users]\nexempt_groups = [\"robots\"]");
    let who = ask(&request("alice"), &named, &groupless);
    let out_of_order = LookupFailed("out of order".to_owned());
    assert_eq!(who, Who::Unclear(Unclear::Groups(out_of_order)));
}

//! `pam-onelogin enroll`: a factor for a user who sits beside the admin.

mod tool;
mod world;

use onelogin_simulator::{DEFAULT_CLIENT_SECRET, Factor, Registration, Simulator, User};
use pam_host::root::Stage;
use pam_host::{Code, Pty};
use tool::{at, on_terminal, run, tool};
use world::{DIALECTS, ID, NAME, World, assert_accepted, totp};

/// A world in which the user can enrol this.
fn offering(world: World, kind: Factor) -> World {
    world
        .onelogin
        .change_user(ID, |user| user.factors = vec![kind]);
    world
}

fn enroll(world: &World, further: &[&str]) -> Pty {
    on_terminal(at(&world.place, &[&["enroll", NAME], further].concat()))
}

fn begun(onelogin: &Simulator) -> Registration {
    onelogin.registrations().pop().expect("a registration")
}

#[test]
fn an_authenticator_is_set_up_by_qr_code_and_logs_in_afterwards() {
    for dialect in DIALECTS {
        let world = offering(
            World::with([], &[]).speaking(dialect),
            Factor::Authenticator,
        );
        let mut screen = enroll(&world, &[]);
        screen.expect("Choose a factor to enrol for nobody:");
        screen.expect("Option: ");
        screen.line("1");
        let shown = screen.expect("Verification code from the app: ");
        assert!(
            shown.contains("otpauth://totp/") && shown.contains('█'),
            "{shown}"
        );
        screen.line(begun(&world.onelogin).code.as_deref().unwrap());
        screen
            .expect("nobody has a new factor: totp.\r\nTo test it, type: pam-onelogin test nobody");
        assert!(screen.finish().0.success());
        // Nothing is counted against the user, and no login was asked for.
        assert!(world.kept("c-").is_empty() && world.kept("denied-").is_empty());
        assert_eq!(world.onelogin.codes(), 0);
        let code = begun(&world.onelogin).code.unwrap();
        assert_eq!(
            world.ssh().answer(code).run().code,
            Code::SUCCESS,
            "{dialect:?}"
        );
    }
}

#[test]
fn who_has_a_device_gets_another_one_only_where_that_is_said() {
    let world = offering(World::with([totp()], &[]), Factor::Sms);
    let mut screen = enroll(&world, &[]);
    screen.expect("pam-onelogin enroll nobody --another");
    assert_eq!(screen.finish().0.code(), Some(1));
    assert_eq!(world.onelogin.count("POST", "/registrations"), 0);

    // A login believes what is there; the new device is seen by the next one.
    assert_accepted(&world.ssh().answer(world::fresh_code()).run());
    let mut screen = enroll(&world, &["--another"]);
    screen.expect("Option: ");
    screen.line("1");
    screen.expect("Verification code from the text message that was sent to you: ");
    screen.line(begun(&world.onelogin).code.as_deref().unwrap());
    screen.expect("has a new factor: sms.");
    assert!(screen.finish().0.success());
    let prompt = world.ssh().answer("").run().prompts().remove(0);
    assert!(prompt.contains("Text message"), "{prompt}");
}

#[test]
fn a_protect_is_confirmed_on_the_phone_refused_there_or_broken_off_here() {
    let world = || offering(World::with([], &[]), Factor::Protect);
    let until_the_phone = |world: &World| {
        let mut screen = enroll(world, &[]);
        screen.expect("Option: ");
        screen.line("1");
        screen.expect("Then press Enter: ");
        screen
    };
    let confirmed = world();
    let mut screen = until_the_phone(&confirmed);
    confirmed
        .onelogin
        .confirm_registration(&begun(&confirmed.onelogin).id);
    screen.line("");
    screen.expect("has a new factor: push.");
    assert!(screen.finish().0.success());

    let refused = world();
    let mut screen = until_the_phone(&refused);
    refused
        .onelogin
        .reject_registration(&begun(&refused.onelogin).id);
    screen.line("");
    screen.expect("No factor was enrolled for nobody: not-enrolled.");
    assert_eq!(screen.finish().0.code(), Some(1));

    let broken_off = world();
    let mut screen = until_the_phone(&broken_off);
    screen.line("");
    screen.expect("Waiting for OneLogin, ");
    screen.type_keys("\u{3}");
    screen.expect("No factor was enrolled for nobody: interrupted.");
    assert_eq!(screen.finish().0.code(), Some(1));
}

#[test]
fn off_a_terminal_and_in_version_1_nothing_is_asked() {
    let world = offering(World::with([], &[]), Factor::Authenticator);
    let ran = run(at(&world.place, &["enroll", NAME]), &[]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.contains("so it needs a terminal"), "{}", ran.err);
    world.config(&["onelogin.api_version = 1"]);
    let mut screen = enroll(&world, &[]);
    screen.expect("only with onelogin.api_version = 2");
    assert_eq!(screen.finish().0.code(), Some(1));
    assert_eq!(world.requests(), 0);
}

#[test]
fn whom_no_login_would_ask_gets_no_factor_and_the_reason_is_said() {
    let cases: [(&[&str], &str); 3] = [
        (
            &["users.exempt_users = [\"nobody\"]"],
            "nobody is exempt: exempt-user",
        ),
        (
            &["users.append_domain = \"elsewhere.example\""],
            "No factor was enrolled for nobody: no-onelogin-user.",
        ),
        (
            &["factors.allow = [\"sms\"]"],
            "nobody can enrol no factor that factors.allow allows.",
        ),
    ];
    for (config, text) in cases {
        let world = offering(World::with([], config), Factor::Authenticator);
        let mut screen = enroll(&world, &[]);
        screen.expect(text);
        assert_eq!(screen.finish().0.code(), Some(1));
        assert_eq!(world.onelogin.count("POST", "/registrations"), 0);
    }
}

#[test]
fn wrong_codes_enrol_nothing() {
    let world = offering(World::with([], &[]), Factor::Sms);
    let mut screen = enroll(&world, &[]);
    screen.expect("Option: ");
    screen.line("1");
    for _ in 0..3 {
        screen.expect("that was sent to you: ");
        screen.line("0000");
    }
    screen.expect("No factor was enrolled for nobody: not-enrolled.");
    assert_eq!(screen.finish().0.code(), Some(1));
    assert_eq!(world.onelogin.count("POST", "/registrations"), 1);
}

#[test]
#[ignore = "needs root: run by make test"]
fn r11_the_log_says_who_set_what_up_for_whom_and_never_the_secret() {
    let stage = Stage::enter();
    let onelogin = Simulator::start();
    // An id of its own: the log is that of all tests here.
    onelogin.add_user(User::new(4242, NAME).factors([Factor::Authenticator]));
    stage.config(&onelogin, &[]);
    let mut screen = on_terminal(tool(&["enroll", NAME]));
    screen.expect("Option: ");
    screen.line("1");
    screen.expect("Verification code from the app: ");
    let registration = begun(&onelogin);
    screen.line(registration.code.as_deref().unwrap());
    screen.expect("has a new factor: totp.");
    assert!(screen.finish().0.success());
    let line = stage.wait_for_decision("onelogin_id=4242");
    let begin =
        "pam_onelogin(pam-onelogin:auth): enrolled user=nobody onelogin_id=4242 factor=totp by=";
    assert!(line.starts_with(begin), "{line}");
    assert!(!line.contains("by=nobody"), "{line}");
    let log = stage.log().lines().concat();
    for secret in [
        registration.secret.as_deref().unwrap(),
        registration.code.as_deref().unwrap(),
        "otpauth",
        DEFAULT_CLIENT_SECRET,
    ] {
        assert!(!secret.is_empty() && !log.contains(secret), "{log}");
    }
}

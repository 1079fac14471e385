//! The flow of a login, by a script of its ports. Each step names the one call that may come next
//! and what it gives back: a call out of order fails, and so does a step that is left over.

mod script;

use pam_onelogin::api::{Again, ApiTrouble, Available, Ending, Enrolment, GiveBack};
use pam_onelogin::factor::{Device, Factor};
use pam_onelogin::login::LimitReached::{Day, PushDenied, PushPaused, Window};
use pam_onelogin::login::{
    Beginning, Challenge, CodeNotCounted, Denial, Further, Limit, LookUpEnd, Outcome, SetupEnd,
    Uncounted, Unknown,
};
use pam_onelogin::outage::Miss;
use pam_onelogin::user::{Exemption, LookupFailed, Unclear};
use script::Step;
use script::Step::{
    Activates, Allows, Asks, Checks, CountsAgain, CountsChallenge, CountsOfflineCode, Denies,
    DeniesInVain, Disconnects, Finds, GivesBack, HasCached, LetsIn, Lists, LookUpEnds,
    LookUpPaused, Looks, Meets, NoChallenge, NoLookUp, NoToken, NotCounted, PhoneBusy, Polls,
    PollsBriefly, RemembersDeniedPush, RemembersNobody, RemovesCode, RemovesCodes, Tells,
    TurnsAway, Unprepared, Waits, WaitsFor,
};
use script::{
    ACCEPTED, CtrlC, INACTIVE, NOBODY, Nobody, NotText, OTHER, Password, REJECTED, SEVERAL, Script,
    ended, error, missed, one, only_push, push, sms, totp, triggered,
};
use std::time::Duration;

const SAFE: &str = "failmode = \"safe\"\nfailmode_from = [\"192.0.2.0/24\"]";
const CODE_PROMPT: &str = "Verification code (OneLogin): ";
const AGAIN: &str = "Not accepted. Verification code (OneLogin): ";
const FOR_A_PUSH: &str = "Verification code, or Enter for a push to Phone: ";
const PUSH_SENT: &str = "Push sent to Phone. Approve it, then press Enter (or type a code): ";
const PUSH_NOT_ACCEPTED: &str =
    "Not accepted. Push sent to Phone. Approve it, then press Enter (or type a code): ";
const FOR_A_TEXT: &str = "Press Enter to get a verification code by text message (Mobile): ";
const FROM_THE_TEXT: &str = "Verification code from the text message to Mobile: ";
const MENU: &str = "OneLogin verification for alice\n\n 1. Push to OneLogin Protect (Phone)\n 2. Verification code from App\n 3. Text message\n\nVerification code or option (1-3): ";

const MENU_OF_TWO: &str = "OneLogin verification for alice\n\n 1. Push to OneLogin Protect (Phone)\n 2. Verification code from App\n\nVerification code or option (1-2): ";

#[test]
fn a_code_that_onelogin_accepts_lets_in() {
    Script::of([
        Finds(vec![totp("501")]),
        Asks(CODE_PROMPT, "123456"),
        Denies,
        Checks("501", None, "123456", ACCEPTED),
        Allows,
    ])
    .ends("accepted factor=totp id=1001");
}

#[test]
fn a_wrong_code_may_be_corrected() {
    Script::of([
        Finds(vec![totp("501")]),
        Asks(CODE_PROMPT, "111111"),
        Denies,
        Checks("501", None, "111111", REJECTED),
        Asks(AGAIN, "123 456"),
        Checks("501", None, "123456", ACCEPTED),
        Allows,
    ])
    .ends("accepted factor=totp id=1001");
}

#[test]
fn after_the_last_try_the_login_is_denied_and_the_denial_remembered() {
    Script::of([
        Finds(vec![totp("501")]),
        Asks(CODE_PROMPT, "111111"),
        Denies,
        Checks("501", None, "111111", REJECTED),
        Asks(AGAIN, "222222"),
        Checks("501", None, "222222", REJECTED),
        Asks(AGAIN, "333333"),
        Checks("501", None, "333333", REJECTED),
    ])
    .ends("denied wrong-code factor=totp id=1001");
}

#[test]
fn prompts_limits_the_tries() {
    Script::of([
        Finds(vec![totp("501")]),
        Asks(CODE_PROMPT, "111111"),
        Denies,
        Checks("501", None, "111111", REJECTED),
    ])
    .config("[factors]\nprompts = 1")
    .ends("denied wrong-code factor=totp id=1001");
}

#[test]
fn r12_what_is_no_code_is_never_sent() {
    Script::of([
        Finds(vec![totp("501")]),
        Asks(CODE_PROMPT, "hunter2"),
        NotText(AGAIN),
        Password(AGAIN),
        Denies,
    ])
    .ends("denied password-typed factor=- id=1001");
}

#[test]
fn r14_a_rerun_of_a_denied_action_is_denied_without_a_call_or_a_prompt() {
    Script::of([])
        .denied_before()
        .ends("denied denied-before factor=- id=-");
}

#[test]
fn r12_without_any_conversation_onelogin_is_not_asked() {
    Script::of([])
        .without_conversation()
        .ends("denied no-conversation factor=- id=-");
}

#[test]
fn r02_a_connection_that_cannot_be_made_before_the_prompt_is_an_outage() {
    Script::of([
        Finds(vec![totp("501")]),
        Unprepared(missed(ApiTrouble::NoConnection, Miss::Refused)),
        WaitsFor(SECOND_LOOK),
        Disconnects,
        Unprepared(missed(ApiTrouble::NoConnection, Miss::Refused)),
    ])
    .config(SAFE)
    .ends("let in by failmode=safe no-connection factor=- id=1001");
}

#[test]
fn r13_a_connection_that_cannot_be_made_shows_nobody_anything_and_is_not_tried_again() {
    let prompts = || {
        [
            Unprepared(error(ApiTrouble::NoConnection)),
            Asks(CODE_PROMPT, "111111"),
            Waits(2),
            Asks(AGAIN, "111111"),
            Waits(2),
            Asks(AGAIN, "111111"),
            Waits(2),
            Denies,
        ]
    };
    Script::of(prompts())
        .unproven()
        .ends("denied no-connection factor=- id=-");
    Script::of(prompts())
        .unknown(Unknown::Account)
        .ends("denied no-account factor=- id=-");
}

#[test]
fn r14_beyond_the_limit_on_challenges_codes_go_on_and_nothing_is_sent() {
    const HELD_BACK: &str = "Too many pushes, calls or messages. Type a code, or log in again later. Verification code (OneLogin): ";
    // autopush or Enter: neither sends anything.
    Script::of([
        Finds(vec![push("601"), sms("701")]),
        Asks(HELD_BACK, ""),
        Asks(AGAIN, "654321"),
        Denies,
        Checks("601", None, "654321", ACCEPTED),
        Allows,
    ])
    .config("[factors]\nautopush = true")
    .used_up(Limit::Challenges)
    .ends("accepted factor=protect-code id=1001");

    // Who has no device for a code has to wait.
    Script::of([Finds(vec![sms("701")]), Denies])
        .used_up(Limit::Challenges)
        .ends("denied too-many-challenges factor=- id=1001");
}

#[test]
fn r14_a_challenge_that_a_parallel_login_has_taken_or_that_cannot_be_counted_is_not_sent() {
    for (why, reason) in [
        (Uncounted::LimitReached(Window), "too-many-challenges"),
        (Uncounted::LimitReached(Day), "too-many-challenges-today"),
        (Uncounted::LimitReached(PushDenied), "push-denied-lately"),
        (Uncounted::NoState, "no-state"),
    ] {
        Script::of([
            Finds(vec![sms("701")]),
            Asks(
                "Press Enter to get a verification code by text message (Mobile): ",
                "",
            ),
            Denies,
            NoChallenge(why),
        ])
        .ends(&format!("denied {reason} factor=sms id=1001"));
    }
}

#[test]
fn r14_after_too_many_refused_codes_onelogin_is_not_asked() {
    Script::of([Denies])
        .used_up(Limit::RefusedCodes)
        .ends("denied too-many-codes factor=- id=-");

    // Another login has used the last one up meanwhile.
    Script::of([
        Finds(vec![totp("501")]),
        Asks(CODE_PROMPT, "111111"),
        NotCounted(CodeNotCounted::LimitReached(Window)),
        Denies,
    ])
    .ends("denied too-many-codes factor=totp id=1001");
}

#[test]
fn r13_an_unproven_user_who_may_not_try_again_sees_the_same_prompts() {
    Script::of([
        Asks(CODE_PROMPT, "111111"),
        Waits(2),
        Asks(AGAIN, "111111"),
        Waits(2),
        Asks(AGAIN, "111111"),
        Waits(2),
        Denies,
    ])
    .unproven()
    .used_up(Limit::RefusedCodes)
    .ends("denied too-many-codes factor=- id=-");
}

#[test]
fn r14_where_the_user_owns_the_process_a_code_that_cannot_be_counted_is_not_sent() {
    Script::of([
        Finds(vec![totp("501")]),
        Asks(CODE_PROMPT, "111111"),
        NotCounted(CodeNotCounted::NoState),
        Denies,
    ])
    .ends("denied no-state factor=totp id=1001");
}

#[test]
fn r18_a_code_that_was_used_before_is_not_sent_and_the_next_one_is() {
    Script::of([
        Finds(vec![totp("501")]),
        Asks(CODE_PROMPT, "111111"),
        NotCounted(CodeNotCounted::UsedBefore),
        Asks(
            "That code was used before; wait for the next one. Verification code (OneLogin): ",
            "222222",
        ),
        Denies,
        Checks("501", None, "222222", ACCEPTED),
        Allows,
    ])
    .ends("accepted factor=totp id=1001");
}

#[test]
fn r18_whoever_types_a_used_code_without_proof_learns_nothing_of_it() {
    Script::of([
        Asks(CODE_PROMPT, "111111"),
        Finds(vec![totp("501")]),
        NotCounted(CodeNotCounted::UsedBefore),
        Waits(2),
        Asks(AGAIN, "222222"),
        Denies,
        Checks("501", None, "222222", ACCEPTED),
        Allows,
    ])
    .unproven()
    .ends("accepted factor=totp id=1001");
}

#[test]
fn r14_a_push_waits_until_the_one_before_is_answered() {
    let busy = "Another login is waiting on your phone. Approve it if it is yours, deny it if not. Press Enter to wait (or type a code): ";
    Script::of([
        Finds(vec![push("601")]),
        Asks("Verification code, or Enter for a push to Phone: ", ""),
        PhoneBusy,
        Asks(busy, ""),
        Waits(1),
        PhoneBusy,
        Waits(1),
        Denies,
        Activates("601", Ok("v")),
        Asks(
            "Push sent to Phone. Approve it, then press Enter (or type a code): ",
            "",
        ),
        Polls("601", "v", ACCEPTED),
        Allows,
    ])
    .ends("accepted factor=push id=1001");

    // A code instead.
    Script::of([
        Finds(vec![push("601")]),
        Asks("Verification code, or Enter for a push to Phone: ", ""),
        PhoneBusy,
        Asks(busy, "654321"),
        Denies,
        Checks("601", None, "654321", ACCEPTED),
        Allows,
    ])
    .ends("accepted factor=protect-code id=1001");
}

#[test]
fn r14_a_push_that_never_gets_its_turn_is_not_sent() {
    let mut steps = vec![
        Finds(vec![push("601")]),
        PhoneBusy,
        Tells(
            "Another login is waiting on your phone. Approve it if it is yours, deny it if not. This login is next.",
        ),
    ];
    for _ in 0..55 {
        steps.extend([Waits(1), PhoneBusy]);
    }
    steps.push(Denies);
    Script::of_steps(steps)
        .waited()
        .config("[factors]\nautopush = true")
        .ends("denied phone-busy factor=push id=1001");
}

#[test]
fn an_approved_push_lets_in() {
    Script::of([
        Finds(vec![push("601")]),
        Asks(FOR_A_PUSH, ""),
        Denies,
        Activates("601", Ok("v-1")),
        Asks(PUSH_SENT, ""),
        Polls("601", "v-1", ACCEPTED),
        Allows,
    ])
    .ends("accepted factor=push id=1001");
}

#[test]
fn a_push_that_is_denied_on_the_phone_denies_at_once() {
    Script::of([
        Finds(vec![push("601")]),
        Asks(FOR_A_PUSH, ""),
        Denies,
        Activates("601", Ok("v-1")),
        Asks(PUSH_SENT, ""),
        Polls("601", "v-1", REJECTED),
        RemembersDeniedPush,
    ])
    .ends("denied push-denied factor=push id=1001");
}

#[test]
fn where_texts_are_shown_at_once_a_push_needs_no_enter() {
    Script::of([
        Finds(vec![push("601")]),
        Asks(FOR_A_PUSH, ""),
        Denies,
        Activates("601", Ok("v-1")),
        Tells("Push sent to Phone. Approve it to continue."),
        Waits(2),
        Polls("601", "v-1", script::PENDING),
        Waits(2),
        Polls("601", "v-1", ACCEPTED),
        Allows,
    ])
    .waited()
    .ends("accepted factor=push id=1001");
}

#[test]
fn an_unanswered_push_ends_after_its_wait() {
    Script::of([
        Finds(vec![push("601")]),
        Asks(FOR_A_PUSH, ""),
        Denies,
        Activates("601", Ok("v-1")),
        Asks(PUSH_SENT, ""),
        Polls("601", "v-1", script::PENDING),
        Waits(2),
        Polls("601", "v-1", script::PENDING),
        Waits(1),
        Polls("601", "v-1", script::PENDING),
    ])
    .config("[push]\nwait = 3")
    .ends("denied push-unanswered factor=push id=1001");
}

/// A service that cannot show a prompt, as `Config::for_service` has it.
const PUSH_ONLY: &str = "services.vsftpd.ask = \"push\"";

#[test]
fn a_service_without_prompts_sends_one_push_and_shows_nothing() {
    let approved = || {
        [
            Finds(vec![totp("501"), push("601")]),
            Denies,
            CountsChallenge(Challenge::PushAlone),
            Activates("601", Ok("v-1")),
            Waits(2),
            Polls("601", "v-1", script::PENDING),
            Waits(2),
            Polls("601", "v-1", ACCEPTED),
            Allows,
        ]
    };
    // A host that shows texts at once gets none either, and no conversation is needed.
    Script::of(approved())
        .service(PUSH_ONLY, "vsftpd")
        .ends("accepted factor=push id=1001");
    Script::of(approved())
        .service(PUSH_ONLY, "vsftpd")
        .waited()
        .without_conversation()
        .ends("accepted factor=push id=1001");
    Script::of([
        Finds(vec![push("601")]),
        Denies,
        CountsChallenge(Challenge::PushAlone),
        Activates("601", Ok("v-1")),
        Waits(2),
        Polls("601", "v-1", REJECTED),
        RemembersDeniedPush,
    ])
    .service(PUSH_ONLY, "vsftpd")
    .ends("denied push-denied factor=push id=1001");
    // Other services ask as before.
    Script::of([
        Finds(vec![totp("501")]),
        Asks(CODE_PROMPT, "123456"),
        Denies,
        Checks("501", None, "123456", ACCEPTED),
        Allows,
    ])
    .service(PUSH_ONLY, "sshd")
    .ends("accepted factor=totp id=1001");
}

#[test]
fn r13_a_service_without_prompts_sends_no_push_without_a_first_factor() {
    Script::of([Denies])
        .service(PUSH_ONLY, "vsftpd")
        .unproven()
        .ends("denied no-first-factor factor=- id=-");
    Script::of([Denies])
        .service(PUSH_ONLY, "vsftpd")
        .unknown(Unknown::Account)
        .ends("denied no-account factor=- id=-");
}

#[test]
fn a_service_without_prompts_needs_a_device_for_a_push() {
    let codes_only = || Script::of([Finds(vec![totp("501"), sms("701")]), Denies]);
    codes_only()
        .service(PUSH_ONLY, "vsftpd")
        .ends("denied no-push-device factor=- id=1001");
    let narrowed = "factors.allow = [\"push\", \"totp\"]\nservices.vsftpd = { ask = \"push\", factors = [\"push\"] }";
    codes_only()
        .service(narrowed, "vsftpd")
        .ends("denied no-allowed-factor factor=- id=1001");
}

#[test]
fn r22_a_service_without_prompts_sends_no_push_beyond_its_limits() {
    for (reached, reason) in [
        (Window, "too-many-challenges"),
        (Day, "too-many-challenges-today"),
        (PushDenied, "push-denied-lately"),
        (PushPaused, "push-paused"),
    ] {
        Script::of([Denies])
            .service(PUSH_ONLY, "vsftpd")
            .limit_reached(Limit::PushesAlone, reached)
            .ends(&format!("denied {reason} factor=- id=-"));
    }
    // What other services sent does not count here.
    Script::of([Finds(vec![push("601")]), PhoneBusy, Denies])
        .service(PUSH_ONLY, "vsftpd")
        .used_up(Limit::Challenges)
        .ends("denied phone-busy factor=push id=1001");
    // OneLogin has not seen it.
    Script::of([
        Finds(vec![push("601")]),
        Denies,
        Activates("601", Err(ended(Ending::NotSent))),
        GivesBack(Limit::PushesAlone),
    ])
    .service(PUSH_ONLY, "vsftpd")
    .ends("denied no-connection factor=push id=1001");
}

#[test]
fn r20_a_service_without_prompts_asks_for_no_offline_code() {
    Script::of([
        Finds(vec![push("601")]),
        Unprepared(error(ApiTrouble::ServerError)),
    ])
    .service(PUSH_ONLY, "vsftpd")
    .offline_codes(&[1])
    .ends("denied server-error factor=- id=1001");
}

#[test]
fn a_service_may_have_a_prompt_of_its_own() {
    let own = "services.ocserv.prompt = \"Code: \"";
    Script::of([
        Finds(vec![totp("501")]),
        Asks("Code: ", "111111"),
        Denies,
        Checks("501", None, "111111", REJECTED),
        Asks("Not accepted. Code: ", "123456"),
        Checks("501", None, "123456", ACCEPTED),
        Allows,
    ])
    .service(own, "ocserv")
    .ends("accepted factor=totp id=1001");
    Script::of([
        Asks("Code: ", "123456"),
        Finds(vec![totp("501")]),
        Denies,
        Checks("501", None, "123456", ACCEPTED),
        Allows,
    ])
    .service(own, "ocserv")
    .unproven()
    .ends("accepted factor=totp id=1001");
}

#[test]
fn the_word_push_sends_one_and_what_is_no_code_then_goes_on() {
    Script::of([
        Finds(vec![totp("501"), push("601")]),
        Asks(MENU_OF_TWO, "PUSH"),
        Denies,
        Activates("601", Ok("v-1")),
        Asks(PUSH_SENT, "ok"),
        Polls("601", "v-1", ACCEPTED),
        Allows,
    ])
    .ends("accepted factor=push id=1001");
}

#[test]
fn ctrl_c_ends_the_wait_for_a_push() {
    Script::of([
        Finds(vec![push("601")]),
        Asks(FOR_A_PUSH, ""),
        Denies,
        Activates("601", Ok("v-1")),
        Tells("Push sent to Phone. Approve it to continue."),
        CtrlC,
    ])
    .waited()
    .ends("denied interrupted factor=push id=1001");
}

#[test]
fn a_code_of_the_same_device_may_be_typed_while_its_push_is_open() {
    Script::of([
        Finds(vec![push("601")]),
        Asks(FOR_A_PUSH, ""),
        Denies,
        Activates("601", Ok("v-1")),
        Asks(PUSH_SENT, "111111"),
        Checks("601", None, "111111", REJECTED),
        Asks(PUSH_NOT_ACCEPTED, "654321"),
        Checks("601", None, "654321", ACCEPTED),
        Allows,
    ])
    .ends("accepted factor=protect-code id=1001");
}

#[test]
fn the_log_names_the_push_that_was_waited_for_and_not_the_code_before() {
    for (answers, expected) in [
        (ACCEPTED, "accepted factor=push id=1001"),
        (REJECTED, "denied push-denied factor=push id=1001"),
    ] {
        let end = if expected.starts_with("accepted") {
            Allows
        } else {
            RemembersDeniedPush
        };
        let ended = Script::of([
            Finds(vec![push("601")]),
            Asks(FOR_A_PUSH, ""),
            Denies,
            Activates("601", Ok("v-1")),
            Asks(PUSH_SENT, "111111"),
            Checks("601", None, "111111", REJECTED),
            Asks(PUSH_NOT_ACCEPTED, ""),
            Polls("601", "v-1", answers),
            end,
        ])
        .run();
        assert_eq!(ended, expected);
    }
    // The same where it is the turn of another push.
    let busy = "Another login is waiting on your phone. Approve it if it is yours, deny it if not. Press Enter to wait (or type a code): ";
    let ended = Script::of([
        Finds(vec![push("601")]),
        Asks(FOR_A_PUSH, ""),
        PhoneBusy,
        Asks(busy, "111111"),
        Denies,
        Checks("601", None, "111111", REJECTED),
        Asks(script::leaked(format!("Not accepted. {busy}")), ""),
        CtrlC,
    ])
    .run();
    assert_eq!(ended, "denied interrupted factor=push id=1001");
}

#[test]
fn a_poll_that_fails_is_repeated_and_given_up_after_three() {
    let gateway = || Err(error(ApiTrouble::Gateway));
    Script::of([
        Finds(vec![push("601")]),
        Asks(FOR_A_PUSH, ""),
        Denies,
        Activates("601", Ok("v-1")),
        Asks(PUSH_SENT, ""),
        Polls("601", "v-1", gateway),
        Waits(2),
        Polls("601", "v-1", gateway),
        Waits(2),
        Polls("601", "v-1", gateway),
    ])
    .ends("denied gateway factor=push id=1001");
}

#[test]
fn a_verification_that_is_gone_is_not_approved() {
    Script::of([
        Finds(vec![push("601")]),
        Asks(FOR_A_PUSH, ""),
        Denies,
        Activates("601", Ok("v-1")),
        Asks(PUSH_SENT, ""),
        Polls("601", "v-1", || Err(error(ApiTrouble::NotFound))),
    ])
    .ends("denied expired factor=push id=1001");
}

#[test]
fn a_text_message_is_sent_on_enter_and_only_once() {
    Script::of([
        Finds(vec![sms("701")]),
        Asks(FOR_A_TEXT, ""),
        Denies,
        Activates("701", Ok("v-2")),
        Asks(FROM_THE_TEXT, "0000"),
        Checks("701", Some("v-2"), "0000", REJECTED),
        Asks(
            "Not accepted. Verification code from the text message to Mobile: ",
            "B41832",
        ),
        Checks("701", Some("v-2"), "B41832", ACCEPTED),
        Allows,
    ])
    .ends("accepted factor=sms id=1001");
}

#[test]
fn the_menu_takes_an_option_or_a_code() {
    let devices = || vec![push("601"), totp("501"), sms("701")];
    Script::of([
        Finds(devices()),
        Asks(MENU, "3"),
        Denies,
        Activates("701", Ok("v-2")),
        Asks(FROM_THE_TEXT, "B41832"),
        Checks("701", Some("v-2"), "B41832", ACCEPTED),
        Allows,
    ])
    .ends("accepted factor=sms id=1001");

    // A code typed at the menu goes to the first device that makes codes, and to no other.
    Script::of([
        Finds(devices()),
        Asks(MENU, "123456"),
        Denies,
        Checks("601", None, "123456", REJECTED),
        Asks(script::leaked(format!("Not accepted. {MENU}")), "2"),
        Asks("Verification code from App: ", "123456"),
        Checks("501", None, "123456", ACCEPTED),
        Allows,
    ])
    .ends("accepted factor=totp id=1001");
}

#[test]
fn nothing_is_activated_without_a_choice_unless_autopush() {
    Script::of([
        Finds(vec![push("601"), totp("501")]),
        Denies,
        Activates("601", Ok("v-1")),
        Asks(PUSH_SENT, ""),
        Polls("601", "v-1", ACCEPTED),
        Allows,
    ])
    .config("[factors]\nautopush = true")
    .ends("accepted factor=push id=1001");
}

#[test]
fn where_the_tenant_takes_a_posted_code_for_an_activation_none_is_posted() {
    let config = "[onelogin]\nverify = \"activated\"";
    for device in [totp("501"), script::yubikey("501")] {
        let (prompt, code) = match device.factor {
            Factor::Totp => (CODE_PROMPT, "123456"),
            _ => (
                "Verification code (touch your YubiKey): ",
                "ccccccbchvthlivuitriujjifivbvtrjkjfirllluurj",
            ),
        };
        let end = Script::of([
            Finds(vec![device]),
            Asks(prompt, code),
            Denies,
            Activates("501", Ok("v-3")),
            Checks("501", Some("v-3"), code, ACCEPTED),
            Allows,
        ])
        .config(config)
        .run();
        assert!(end.starts_with("accepted "), "{end}");
    }
    // A posted code of Protect would be a push there, and one of Duo perhaps, too.
    Script::of([
        Finds(vec![push("601"), script::duo("602")]),
        Asks("Press Enter to get a push (Phone): ", "123456"),
        Asks(
            "Not accepted. Press Enter to get a push (Phone): ",
            "123456",
        ),
        Asks(
            "Not accepted. Press Enter to get a push (Phone): ",
            "123456",
        ),
        Denies,
    ])
    .config(config)
    .ends("denied no-code factor=- id=1001");
    Script::of([
        Asks(CODE_PROMPT, "123456"),
        Finds(vec![push("601"), script::duo("602")]),
        Waits(2),
        Asks(AGAIN, "123456"),
        Waits(2),
        Asks(AGAIN, "123456"),
        Waits(2),
        Denies,
    ])
    .unproven()
    .config(config)
    .ends("denied no-allowed-factor factor=- id=1001");
}

#[test]
fn r22_without_memory_nothing_is_asked_and_the_unproven_see_the_same_prompts() {
    Script::of([DeniesInVain])
        .without_memory()
        .ends("denied no-state factor=- id=-");
    Script::of([
        Asks(CODE_PROMPT, "123456"),
        Waits(2),
        Asks(AGAIN, "123456"),
        Waits(2),
        Asks(AGAIN, "123456"),
        Waits(2),
        DeniesInVain,
    ])
    .unproven()
    .without_memory()
    .ends("denied no-state factor=- id=-");
}

#[test]
fn r22_a_code_whose_denial_cannot_be_written_down_is_not_sent() {
    Script::of([
        Finds(vec![totp("501")]),
        Asks(CODE_PROMPT, "123456"),
        DeniesInVain,
        GivesBack(Limit::RefusedCodes),
        DeniesInVain,
    ])
    .ends("denied no-state factor=totp id=1001");
}

#[test]
fn r18_a_code_that_has_not_left_is_given_back_in_either_form() {
    Script::of([
        Finds(vec![totp("501")]),
        Asks(CODE_PROMPT, "123456"),
        Denies,
        Checks("501", None, "123456", || {
            Err(error(ApiTrouble::NoConnection))
        }),
        GivesBack(Limit::RefusedCodes),
    ])
    .ends("denied no-connection factor=totp id=1001");
    Script::of([
        Finds(vec![totp("501")]),
        Asks(CODE_PROMPT, "123456"),
        Denies,
        Activates("501", Err(error(ApiTrouble::NoConnection))),
        GivesBack(Limit::RefusedCodes),
    ])
    .config("[onelogin]\nverify = \"activated\"")
    .ends("denied no-connection factor=totp id=1001");
}

#[test]
fn r22_onelogin_is_not_asked_again_at_once_who_leads_to_nobody() {
    for (found, reason) in [
        (NOBODY, "no-onelogin-user"),
        (SEVERAL, "several-onelogin-users"),
        (OTHER, "other-onelogin-user"),
        (INACTIVE, "inactive-onelogin-user"),
    ] {
        Script::of([Looks("alice", found), RemembersNobody, Denies])
            .ends(&format!("denied {reason} factor=- id=-"));
    }
    let no_device = Script::of([Finds(Vec::new()), RemembersNobody, Denies]);
    assert_eq!(no_device.run(), "denied no-factor factor=- id=1001");
    // The same without proof, as this configuration lets no proven user enrol a factor.
    let unproven = Script::of([
        Asks(CODE_PROMPT, "111111"),
        Finds(Vec::new()),
        RemembersNobody,
        Waits(2),
        Asks(AGAIN, "111111"),
        Waits(2),
        Asks(AGAIN, "111111"),
        Waits(2),
        Denies,
    ]);
    unproven
        .unproven()
        .ends("denied no-factor factor=- id=1001");
    let again = Script::of([LookUpPaused, Denies]);
    assert_eq!(again.run(), "denied look-up-paused factor=- id=-");
}

#[test]
fn r22_what_leads_to_an_exemption_an_enrolment_or_other_trouble_is_not_remembered() {
    Script::of([Looks("alice", NOBODY)])
        .config("[users]\nunknown = \"exempt\"")
        .remembering_nobody_is_wrong()
        .ends("exempt exempt-unknown factor=- id=-");
    Script::of([Looks("alice", Err(error(ApiTrouble::ServerError)))])
        .remembering_nobody_is_wrong()
        .ends("denied server-error factor=- id=-");
    // A device that needs a message is a way in for those who are proven.
    Script::of([
        Asks(CODE_PROMPT, "111111"),
        Finds(vec![sms("701")]),
        Waits(2),
        Asks(AGAIN, "111111"),
        Waits(2),
        Asks(AGAIN, "111111"),
        Waits(2),
        Denies,
    ])
    .unproven()
    .remembering_nobody_is_wrong()
    .ends("denied no-allowed-factor factor=- id=1001");
    // Who can enrol a factor once they are proven.
    Script::of([
        Asks(CODE_PROMPT, "111111"),
        Finds(Vec::new()),
        Waits(2),
        Asks(AGAIN, "111111"),
        Waits(2),
        Asks(AGAIN, "111111"),
        Waits(2),
        Denies,
    ])
    .unproven()
    .config("[users]\nno_factor = \"enroll\"")
    .remembering_nobody_is_wrong()
    .ends("denied no-factor factor=- id=1001");
}

#[test]
fn r22_who_is_known_is_denied_before_a_prompt_where_the_limit_is_used_up() {
    Script::of([
        HasCached("1001"),
        Meets("1001"),
        Lists("1001", vec![totp("501")]),
        Denies,
    ])
    .used_up(Limit::RefusedCodes)
    .ends("denied too-many-codes factor=- id=1001");
}

#[test]
fn r22_beyond_the_look_ups_of_an_hour_onelogin_is_not_asked() {
    for (why, reason) in [
        (Uncounted::LimitReached(Window), "too-many-look-ups"),
        (Uncounted::NoState, "no-state"),
    ] {
        Script::of([NoLookUp(why), Denies]).ends(&format!("denied {reason} factor=- id=-"));
    }
}

#[test]
fn r22_what_is_counted_is_counted_for_onelogins_user() {
    Script::of([
        Looks("alice", one("1001")),
        Meets("1001"),
        Lists("1001", vec![totp("501")]),
        Asks(CODE_PROMPT, "123456"),
        Denies,
        Checks("501", None, "123456", ACCEPTED),
        Allows,
    ])
    .ends("accepted factor=totp id=1001");
    // Where the user is known from before, nothing is looked up, and nothing counted for that.
    Script::of([
        HasCached("1001"),
        Meets("1001"),
        Lists("1001", vec![totp("501")]),
        Asks(CODE_PROMPT, "123456"),
        Denies,
        Checks("501", None, "123456", ACCEPTED),
        Allows,
    ])
    .ends("accepted factor=totp id=1001");
}

#[test]
fn r22_after_a_denied_push_other_factors_are_offered_and_no_push() {
    Script::of([
        Finds(vec![push("601"), sms("701")]),
        Asks(
            "A push was denied. No push is sent for one hour. OneLogin verification for alice\n\n 1. Text message\n\nVerification code or option (1): ",
            "654321",
        ),
        Denies,
        Checks("601", None, "654321", ACCEPTED),
        Allows,
    ])
    .config("[factors]\nautopush = true")
    .limit_reached(Limit::Challenges, PushDenied)
    .ends("accepted factor=protect-code id=1001");
    Script::of([Finds(vec![only_push("601")]), Denies])
        .limit_reached(Limit::Challenges, PushDenied)
        .ends("denied push-denied-lately factor=- id=1001");
}

#[test]
fn r22_beyond_the_limits_of_a_day_the_words_say_so() {
    Script::of([Denies])
        .limit_reached(Limit::RefusedCodes, Day)
        .ends("denied too-many-codes-today factor=- id=-");
    Script::of([Finds(vec![sms("701")]), Denies])
        .limit_reached(Limit::Challenges, Day)
        .ends("denied too-many-challenges-today factor=- id=1001");
}

#[test]
fn r14_a_challenge_that_has_not_left_is_given_back() {
    Script::of([
        Finds(vec![sms("701")]),
        Asks(FOR_A_TEXT, ""),
        Denies,
        Activates("701", Err(error(ApiTrouble::NoConnection))),
        GivesBack(Limit::Challenges),
    ])
    .ends("denied no-connection factor=sms id=1001");
}

#[test]
fn r14_a_push_whose_denial_cannot_be_written_down_is_not_sent() {
    Script::of([
        Finds(vec![push("601")]),
        Asks(FOR_A_PUSH, ""),
        DeniesInVain,
        DeniesInVain,
    ])
    .ends("denied no-state factor=push id=1001");
}

#[test]
fn r13_unproven_users_and_strangers_see_the_same_prompts() {
    let unproven = Script::of([
        Asks(CODE_PROMPT, "xxx"),
        Asks(AGAIN, "111111"),
        Finds(vec![push("601"), totp("501")]),
        Denies,
        Checks("601", None, "111111", REJECTED),
        Waits(2),
        Asks(AGAIN, "222222"),
        Checks("601", None, "222222", REJECTED),
        Waits(2),
    ])
    .unproven()
    .run();
    assert_eq!(unproven, "denied wrong-code factor=protect-code id=1001");
    for (unknown, reason) in [
        (Unknown::Account, "no-account"),
        (
            Unknown::Unclear(Unclear::Groups(LookupFailed::default())),
            "group-lookup",
        ),
    ] {
        let stranger = Script::of([
            Asks(CODE_PROMPT, "xxx"),
            Asks(AGAIN, "111111"),
            Waits(2),
            Asks(AGAIN, "222222"),
            Waits(2),
            Denies,
        ])
        .unknown(unknown)
        .run();
        assert_eq!(stranger, format!("denied {reason} factor=- id=-"));
    }
}

#[test]
fn r13_an_unproven_user_whom_onelogin_does_not_know_sees_them_too() {
    Script::of([
        Asks(CODE_PROMPT, "111111"),
        Looks("alice", NOBODY),
        Waits(2),
        Asks(AGAIN, "222222"),
        Waits(2),
        Asks(AGAIN, "333333"),
        Waits(2),
        Denies,
    ])
    .unproven()
    .ends("denied no-onelogin-user factor=- id=-");
    // One with a text message only cannot be verified without an activation.
    Script::of([
        Asks(CODE_PROMPT, "111111"),
        Finds(vec![sms("701")]),
        Waits(2),
        Asks(AGAIN, "222222"),
        Waits(2),
        Asks(AGAIN, "333333"),
        Waits(2),
        Denies,
    ])
    .unproven()
    .ends("denied no-allowed-factor factor=- id=1001");
}

#[test]
fn r13_an_unproven_user_gets_in_with_a_code() {
    Script::of([
        Asks(CODE_PROMPT, "123456"),
        Finds(vec![totp("501")]),
        Denies,
        Checks("501", None, "123456", ACCEPTED),
        Allows,
    ])
    .unproven()
    .ends("accepted factor=totp id=1001");
}

#[test]
fn a_user_that_onelogin_does_not_know_is_denied_at_once_after_a_first_factor() {
    Script::of([Looks("alice", NOBODY), Denies]).ends("denied no-onelogin-user factor=- id=-");
}

#[test]
fn an_answer_that_the_menu_does_not_have_is_explained_and_costs_a_try_from_the_fourth_on() {
    let hint: &str = script::leaked(format!("Type 1 to 3, or a code. {MENU}"));
    let refused: &str = script::leaked(format!("Not accepted. {MENU}"));
    let devices = || Finds(vec![push("601"), totp("501"), sms("701")]);
    let end = Script::of([
        devices(),
        Asks(MENU, "9"),
        Asks(hint, "hello"),
        Asks(hint, "123456"),
        Denies,
        Checks("601", None, "123456", ACCEPTED),
        Allows,
    ])
    .run();
    assert_eq!(end, "accepted factor=protect-code id=1001");
    // A program that answers at random comes to an end.
    Script::of([
        devices(),
        Asks(MENU, "x"),
        Asks(hint, "x"),
        Asks(hint, "x"),
        Asks(hint, "x"),
        Asks(refused, "x"),
        Asks(refused, "x"),
        Denies,
    ])
    .ends("denied no-code factor=- id=1001");
}

#[test]
fn r05_hits_that_are_not_exactly_ours_are_denied_even_where_the_unknown_are_exempt() {
    for (found, reason) in [
        (script::SEVERAL, "several-onelogin-users"),
        (script::OTHER, "other-onelogin-user"),
        (script::INACTIVE, "inactive-onelogin-user"),
    ] {
        Script::of([Looks("alice", found), Denies])
            .config("[users]\nunknown = \"exempt\"\nno_factor = \"exempt\"")
            .ends(&format!("denied {reason} factor=- id=-"));
    }
}

#[test]
fn r05_a_name_that_must_not_be_searched_for_is_never_sent() {
    Script::of([Denies])
        .refused_name()
        .config("[users]\nunknown = \"exempt\"")
        .ends("denied name-refused factor=- id=-");
}

#[test]
fn r01_the_unknown_and_the_factorless_are_exempt_only_where_the_admin_says_so() {
    Script::of([Looks("alice", NOBODY)])
        .config("[users]\nunknown = \"exempt\"")
        .remembering_nobody_is_wrong()
        .ends("exempt exempt-unknown factor=- id=-");
    let no_device = || [Finds(Vec::new())];
    Script::of(no_device())
        .config("[users]\nno_factor = \"exempt\"")
        .ends("exempt exempt-no-factor factor=- id=1001");
    // A device that is not allowed here is a device all the same.
    Script::of([Finds(vec![push("601")]), Denies])
        .config("[users]\nno_factor = \"exempt\"\n[factors]\nallow = [\"totp\"]")
        .ends("denied no-allowed-factor factor=- id=1001");
}

#[test]
fn r02_trouble_before_anything_was_sent_is_told_from_trouble_after() {
    let look = |trouble| {
        let looked = || Looks("alice", Err(missed(trouble, Miss::Gateway)));
        let twice = [looked(), WaitsFor(SECOND_LOOK), Disconnects, looked()];
        Script::of(twice).config(SAFE).run()
    };
    let safe = |reason| format!("let in by failmode=safe {reason} factor=- id=-");
    assert_eq!(look(ApiTrouble::NoConnection), safe("no-connection"));
    assert_eq!(look(ApiTrouble::Gateway), safe("gateway"));
    let look = |trouble| {
        let mut steps = vec![Looks("alice", Err(error(trouble)))];
        if trouble == ApiTrouble::RateLimited {
            steps.extend([Waits(1), Looks("alice", Err(error(trouble)))]);
        }
        Script::of_steps(steps).config(SAFE).run()
    };
    for (trouble, reason) in [
        (ApiTrouble::NoSuchHost, "no-such-host"),
        (ApiTrouble::Timeout, "timeout"),
        (ApiTrouble::Broken, "connection-lost"),
        (ApiTrouble::ServerError, "server-error"),
        (ApiTrouble::RateLimited, "rate-limited"),
        (ApiTrouble::Redirected, "redirected"),
        (ApiTrouble::NotFound, "not-found"),
        (ApiTrouble::RequestRefused, "request-refused"),
        (ApiTrouble::BadReply, "bad-reply"),
        (ApiTrouble::Tls, "tls"),
        (ApiTrouble::Credential, "credential"),
        (ApiTrouble::Local, "local-error"),
    ] {
        assert_eq!(look(trouble), format!("denied {reason} factor=- id=-"));
    }

    for trouble in [ApiTrouble::NoConnection, ApiTrouble::Gateway] {
        let mut steps = vec![
            Finds(vec![totp("501")]),
            Asks(CODE_PROMPT, "123456"),
            Denies,
            Checks(
                "501",
                None,
                "123456",
                match trouble {
                    ApiTrouble::Gateway => || Err(missed(ApiTrouble::Gateway, Miss::Gateway)),
                    _ => || Err(missed(ApiTrouble::NoConnection, Miss::Refused)),
                },
            ),
        ];
        // Without a connection nothing has left.
        if trouble == ApiTrouble::NoConnection {
            steps.push(GivesBack(Limit::RefusedCodes));
        }
        let after_a_code = Script::of_steps(steps).config(SAFE).run();
        assert!(after_a_code.starts_with("denied "), "{after_a_code}");
        let mut steps = vec![
            Finds(vec![push("601")]),
            Asks(FOR_A_PUSH, ""),
            Denies,
            Activates("601", Err(missed(trouble, Miss::Gateway))),
        ];
        if trouble == ApiTrouble::NoConnection {
            steps.push(GivesBack(Limit::Challenges));
        }
        let after_an_activation = Script::of_steps(steps).config(SAFE).run();
        assert!(
            after_an_activation.starts_with("denied "),
            "{after_an_activation}"
        );
    }
}

#[test]
fn r16_a_code_or_activation_whose_reply_is_lost_is_not_sent_again() {
    Script::of([
        Finds(vec![totp("501")]),
        Asks(CODE_PROMPT, "123456"),
        Denies,
        Checks("501", None, "123456", || Err(error(ApiTrouble::Broken))),
    ])
    .ends("denied connection-lost factor=totp id=1001");
    Script::of([
        Finds(vec![sms("701")]),
        Asks(FOR_A_TEXT, ""),
        Denies,
        Activates("701", Err(error(ApiTrouble::Timeout))),
    ])
    .ends("denied timeout factor=sms id=1001");
}

/// The reply to a code that ends in this way.
fn ends_in(ending: Ending) -> script::Answers {
    match ending {
        Ending::NotSent => || Err(ended(Ending::NotSent)),
        Ending::CutShort => || Err(ended(Ending::CutShort)),
        Ending::Lost => || Err(ended(Ending::Lost)),
        Ending::NoReply => || Err(ended(Ending::NoReply)),
        Ending::IdleTimeout => || Err(ended(Ending::IdleTimeout)),
        Ending::FrontEndLimit => || Err(ended(Ending::FrontEndLimit)),
        Ending::RateLimited => || Err(ended(Ending::RateLimited)),
        Ending::TokenReplaced => || Err(ended(Ending::TokenReplaced)),
        Ending::TokenRefused => || Err(ended(Ending::TokenRefused)),
        Ending::TokenChanged => || Err(ended(Ending::TokenChanged)),
        Ending::GatewayRefused => || Err(ended(Ending::GatewayRefused)),
        Ending::NotForwarded => || Err(ended(Ending::NotForwarded)),
        Ending::Answered => || Err(ended(Ending::Answered)),
    }
}

/// What follows in a script where a request has ended in this way, and `again` is the same request with a good end.
fn follows(ending: Ending, limit: Limit, again: Vec<Step>) -> (Vec<Step>, bool) {
    let row = ending.consequences();
    match (row.act, row.give_back) {
        (Again::AtOnce, _) => (again, true),
        (Again::Counted, _) => {
            let mut steps = vec![CountsAgain(limit, Ok(()))];
            steps.extend(again);
            (steps, true)
        }
        (_, GiveBack::Always) => (vec![GivesBack(limit)], false),
        (_, GiveBack::Sometimes) => (vec![TurnsAway(limit)], false),
        (_, GiveBack::Never) => (Vec::new(), false),
    }
}

#[test]
fn r16_a_code_is_sent_and_counted_as_the_table_of_endings_says() {
    for ending in Ending::all() {
        let good = vec![Checks("501", None, "123456", ACCEPTED), Allows];
        let (end, is_accepted) = follows(ending, Limit::RefusedCodes, good);
        let mut steps = vec![
            Finds(vec![totp("501")]),
            Asks(CODE_PROMPT, "123456"),
            Denies,
            Checks("501", None, "123456", ends_in(ending)),
        ];
        steps.extend(end);
        let outcome = Script::of_steps(steps).run();
        assert_eq!(
            outcome.starts_with("accepted "),
            is_accepted,
            "{ending:?}: {outcome}"
        );
    }
}

#[test]
fn r22_a_code_that_was_not_seen_counts_where_its_activation_was() {
    for ending in [Ending::NotSent, Ending::FrontEndLimit] {
        let end = Script::of([
            Finds(vec![totp("501")]),
            Asks(CODE_PROMPT, "123456"),
            Denies,
            Activates("501", Ok("v1")),
            Checks("501", Some("v1"), "123456", ends_in(ending)),
        ])
        .config("[onelogin]\nverify = \"activated\"")
        .run();
        assert!(end.starts_with("denied "), "{end}");
    }
}

#[test]
fn r16_an_activation_is_sent_and_counted_as_the_table_of_endings_says() {
    for ending in Ending::all() {
        let good = vec![
            Activates("701", Ok("v1")),
            Asks(FROM_THE_TEXT, "1234"),
            Checks("701", Some("v1"), "1234", ACCEPTED),
            Allows,
        ];
        let (end, is_accepted) = follows(ending, Limit::Challenges, good);
        let mut steps = vec![
            Finds(vec![sms("701")]),
            Asks(FOR_A_TEXT, ""),
            Denies,
            Activates("701", Err(ended(ending))),
        ];
        steps.extend(end);
        let outcome = Script::of_steps(steps).run();
        assert_eq!(
            outcome.starts_with("accepted "),
            is_accepted,
            "{ending:?}: {outcome}"
        );
    }
}

#[test]
fn r16_nothing_is_sent_a_third_time_or_a_second_time_uncounted() {
    let begins = || {
        vec![
            Finds(vec![totp("501")]),
            Asks(CODE_PROMPT, "123456"),
            Denies,
        ]
    };
    let checks = |ending| Checks("501", None, "123456", ends_in(ending));
    // Each count is given back once: that of the first sending served for the second.
    let mut steps = begins();
    steps.extend([
        checks(Ending::CutShort),
        checks(Ending::CutShort),
        GivesBack(Limit::RefusedCodes),
    ]);
    let outcome = Script::of_steps(steps).run();
    assert_eq!(outcome, "denied connection-lost factor=totp id=1001");
    let mut steps = begins();
    steps.extend([
        checks(Ending::TokenReplaced),
        checks(Ending::TokenReplaced),
        GivesBack(Limit::RefusedCodes),
    ]);
    let outcome = Script::of_steps(steps).run();
    assert_eq!(outcome, "denied credential factor=totp id=1001");
    let mut steps = begins();
    steps.extend([
        checks(Ending::TokenChanged),
        CountsAgain(Limit::RefusedCodes, Err(Uncounted::LimitReached(Window))),
    ]);
    let outcome = Script::of_steps(steps).run();
    assert_eq!(outcome, "denied credential factor=totp id=1001");
}

#[test]
fn a_token_call_that_a_limit_refuses_is_made_again_before_a_code_is_counted() {
    let limited = || error(ApiTrouble::RateLimited);
    Script::of([
        Finds(vec![totp("501")]),
        Asks(CODE_PROMPT, "123456"),
        NoToken(limited()),
        Waits(1),
        Denies,
        Checks("501", None, "123456", ACCEPTED),
        Allows,
    ])
    .ends("accepted factor=totp id=1001");
    Script::of([
        Finds(vec![totp("501")]),
        Asks(CODE_PROMPT, "123456"),
        NoToken(limited()),
        Waits(1),
        NoToken(limited()),
    ])
    .ends("denied rate-limited factor=- id=1001");
}

#[test]
fn r12_without_a_conversation_nothing_is_sent_to_anybody() {
    Script::of([Finds(vec![push("601")]), Nobody(FOR_A_PUSH)])
        .ends("denied no-conversation factor=- id=1001");
}

#[test]
fn r09_a_code_that_is_typed_late_still_gets_one_request() {
    Script::of([
        Finds(vec![totp("501")]),
        script::AsksSlowly(CODE_PROMPT, "123456", 300),
        Denies,
        Checks("501", None, "123456", ACCEPTED),
        Allows,
    ])
    .ends("accepted factor=totp id=1001");
    // A push is not begun when the time is over.
    Script::of([
        Finds(vec![push("601")]),
        script::AsksSlowly(FOR_A_PUSH, "", 300),
    ])
    .ends("denied timeout factor=push id=1001");
}

#[test]
fn r09_no_poll_waits_longer_than_the_login() {
    Script::of([
        Finds(vec![push("601")]),
        script::AsksSlowly(FOR_A_PUSH, "", 50),
        Denies,
        Activates("601", Ok("v-1")),
        script::AsksSlowly(PUSH_SENT, "", 2),
        Polls("601", "v-1", script::PENDING),
        Waits(2),
        Polls("601", "v-1", script::PENDING),
        Waits(1),
        Polls("601", "v-1", script::PENDING),
    ])
    .ends("denied push-unanswered factor=push id=1001");
}

#[test]
fn r14_whoever_breaks_off_after_a_wrong_code_is_remembered() {
    // The denial is written down before the code is sent, and only an acceptance removes it.
    Script::of([
        Finds(vec![totp("501")]),
        Asks(CODE_PROMPT, "111111"),
        Denies,
        Checks("501", None, "111111", REJECTED),
        Nobody(AGAIN),
    ])
    .ends("denied no-conversation factor=totp id=1001");
}

#[test]
fn r13_an_outage_looks_like_a_wrong_code_to_somebody_unproven() {
    Script::of([
        Asks(CODE_PROMPT, "111111"),
        Looks(
            "alice",
            Err(missed(ApiTrouble::NoConnection, Miss::Refused)),
        ),
        Waits(2),
        Asks(AGAIN, "222222"),
        Waits(2),
        Asks(AGAIN, "333333"),
        Waits(2),
        Denies,
    ])
    .unproven()
    .config(SAFE)
    .ends("denied no-connection factor=- id=-");
}

#[test]
fn a_call_shows_the_digits_to_key_in() {
    let end = Script::of([
        Finds(vec![script::voice("801")]),
        Asks("Press Enter to get a phone call (Desk): ", ""),
        Denies,
        Activates("801", Ok("v-4 0427")),
        Asks(
            "Calling Desk. Type 0427 on the phone, then press Enter: ",
            "",
        ),
        Polls("801", "v-4", ACCEPTED),
        Allows,
    ])
    .run();
    assert_eq!(end, "accepted factor=voice id=1001");
    // In sudo the text is there at once; wrong digits end it.
    Script::of([
        Finds(vec![script::voice("801")]),
        Asks("Press Enter to get a phone call (Desk): ", ""),
        Denies,
        Activates("801", Ok("v-4 0427")),
        Tells("Calling Desk. Type 0427 on the phone to continue."),
        Waits(2),
        Polls("801", "v-4", REJECTED),
    ])
    .waited()
    .ends("denied push-denied factor=voice id=1001");
    // A call whose digits nobody knows cannot be answered.
    Script::of([
        Finds(vec![script::voice("801")]),
        Asks("Press Enter to get a phone call (Desk): ", ""),
        Denies,
        Activates("801", Ok("v-4")),
    ])
    .ends("denied bad-reply factor=voice id=1001");
}

#[test]
fn an_e_mail_brings_a_code_or_a_link() {
    Script::of([
        Finds(vec![script::email("802")]),
        Asks(
            "Press Enter to get a verification code by e-mail (Mail): ",
            "",
        ),
        Denies,
        Activates("802", Ok("v-5")),
        Asks("Verification code from the e-mail to Mail: ", "A1B2C3"),
        Checks("802", Some("v-5"), "A1B2C3", ACCEPTED),
        Allows,
    ])
    .ends("accepted factor=email id=1001");
    Script::of([
        Finds(vec![script::link("803")]),
        Asks("Press Enter to get a link by e-mail (Mail): ", ""),
        Denies,
        Activates("803", Ok("v-6")),
        Asks(
            "Link sent by e-mail (Mail). Open it, then press Enter: ",
            "",
        ),
        Polls("803", "v-6", ACCEPTED),
        Allows,
    ])
    .ends("accepted factor=magic-link id=1001");
}

#[test]
fn a_temporary_token_is_checked_where_it_is_allowed() {
    Script::of([
        Finds(vec![totp("501")]),
        Asks(
            "OneLogin verification for alice\n\n 1. Temporary passcode from your administrator\n\nVerification code or option (1): ",
            "1",
        ),
        Asks("Temporary passcode: ", "25992782"),
        Denies,
        Checks("0", None, "25992782", ACCEPTED),
        Allows,
    ])
    .config("[factors]\nallow = [\"totp\", \"temporary\"]")
    .ends("accepted factor=temporary id=1001");
    // A user without a device needs no menu.
    Script::of([
        Finds(Vec::new()),
        Asks(CODE_PROMPT, "25992782"),
        Denies,
        Checks("0", None, "25992782", ACCEPTED),
        Allows,
    ])
    .config("[factors]\nallow = [\"totp\", \"temporary\"]")
    .ends("accepted factor=temporary id=1001");
}

#[test]
fn a_user_without_a_factor_can_enrol_one_and_then_logs_in_with_it() {
    Script::of([
        Finds(Vec::new()),
        Step::Offers(vec![script::offer(7, Factor::Push, "Protect"), script::offer(8, Factor::Sms, "SMS")]),
        Asks("You have no OneLogin factor yet. Choose one to set up:\n\n 1. Protect\n 2. SMS\n\nOption: ", "1"),
        Denies,
        Step::Registers(7, None, Some("01-1912451")),
        Asks("In OneLogin Protect, add an account and type this code: 01-1912451\nThen press Enter: ", ""),
        Step::PollsRegistration(Enrolment::Pending),
        Waits(2),
        Step::PollsRegistration(Enrolment::Done),
        Finds(vec![push("601")]),
        Asks(FOR_A_PUSH, "123456"),
        Checks("601", None, "123456", ACCEPTED),
        Allows,
    ])
    .config("[users]\nno_factor = \"enroll\"")
    .ends("accepted factor=protect-code id=1001");
}

#[test]
fn an_enrolment_that_is_refused_lets_nobody_in() {
    let offered = || vec![script::offer(8, Factor::Sms, "SMS")];
    let choose = "You have no OneLogin factor yet. Choose one to set up:\n\n 1. SMS\n\nOption: ";
    let code = "Verification code from the text message that was sent to you: ";
    Script::of([
        Finds(Vec::new()),
        Step::Offers(offered()),
        Asks(choose, "1"),
        Denies,
        Step::Registers(8, None, None),
        Asks(code, "0042"),
        Step::ChecksRegistration("0042", Enrolment::Pending),
        Asks(script::leaked(format!("Not accepted. {code}")), "0043"),
        Step::ChecksRegistration("0043", Enrolment::Rejected),
    ])
    .config("[users]\nno_factor = \"enroll\"")
    .ends("denied not-enrolled factor=sms id=1001");
    // Nothing that may be enrolled is allowed here.
    Script::of([Finds(Vec::new()), Step::Offers(offered()), Denies])
        .config("[users]\nno_factor = \"enroll\"\n[factors]\nallow = [\"totp\"]")
        .ends("denied no-factor factor=- id=1001");
}

#[test]
fn nobody_who_is_not_proven_can_enrol_and_nobody_without_memory() {
    Script::of([
        Asks(CODE_PROMPT, "111111"),
        Finds(Vec::new()),
        Waits(2),
        Asks(AGAIN, "111111"),
        Waits(2),
        Asks(AGAIN, "111111"),
        Waits(2),
        Denies,
    ])
    .unproven()
    .config("[users]\nno_factor = \"enroll\"")
    .ends("denied no-factor factor=- id=1001");
    Script::of([DeniesInVain])
        .without_memory()
        .config("[users]\nno_factor = \"enroll\"")
        .ends("denied no-state factor=- id=-");
}

#[test]
fn a_retry_after_is_respected_inside_the_deadline_and_never_lets_in() {
    let busy = |seconds| {
        let mut busy = error(ApiTrouble::RateLimited);
        busy.retry_after = Some(std::time::Duration::from_secs(seconds));
        busy
    };
    Script::of([
        Looks("alice", Err(busy(3))),
        Waits(3),
        Finds(vec![totp("501")]),
        Asks(CODE_PROMPT, "123456"),
        Denies,
        Checks("501", None, "123456", ACCEPTED),
        Allows,
    ])
    .ends("accepted factor=totp id=1001");
    for script in [
        Script::of([Looks("alice", Err(busy(60)))]),
        Script::of([Looks("alice", Err(busy(55)))]),
        Script::of([
            Looks("alice", Err(busy(1))),
            Waits(1),
            Looks("alice", Err(busy(1))),
        ]),
    ] {
        assert_eq!(
            script.config(SAFE).run(),
            "denied rate-limited factor=- id=-"
        );
    }
}

#[test]
fn r16_a_retry_after_never_sends_a_code_or_an_activation_again() {
    let busy = || {
        let mut busy = error(ApiTrouble::RateLimited);
        busy.retry_after = Some(std::time::Duration::from_secs(1));
        busy
    };
    Script::of([
        Finds(vec![totp("501")]),
        Asks(CODE_PROMPT, "123456"),
        Denies,
        Checks("501", None, "123456", || {
            let mut busy = error(ApiTrouble::RateLimited);
            busy.retry_after = Some(std::time::Duration::from_secs(1));
            Err(busy)
        }),
    ])
    .ends("denied rate-limited factor=totp id=1001");
    Script::of([
        Finds(vec![push("601")]),
        Asks(FOR_A_PUSH, ""),
        Denies,
        Activates("601", Err(busy())),
    ])
    .ends("denied rate-limited factor=push id=1001");
}

#[test]
fn r13_after_trouble_with_a_code_an_unproven_user_causes_no_further_call() {
    Script::of([
        Asks(CODE_PROMPT, "111111"),
        Finds(vec![totp("501")]),
        Denies,
        Checks("501", None, "111111", || {
            Err(error(ApiTrouble::ServerError))
        }),
        Waits(2),
        Asks(AGAIN, "222222"),
        Waits(2),
        Asks(AGAIN, "333333"),
        Waits(2),
    ])
    .unproven()
    .ends("denied server-error factor=totp id=1001");
}

#[test]
fn r01_devices_of_unknown_kinds_are_devices_for_every_exemption() {
    for no_factor in ["exempt", "enroll"] {
        Script::of([
            Looks("alice", one("1001")),
            Step::ListsOf("1001", 1, Vec::new()),
            Denies,
        ])
        .config(&format!("[users]\nno_factor = \"{no_factor}\""))
        .ends("denied no-allowed-factor factor=- id=1001");
    }
}

#[test]
fn an_enrolment_on_the_phone_is_asked_about_in_sudo_too_however_long_it_took() {
    let choose =
        "You have no OneLogin factor yet. Choose one to set up:\n\n 1. Protect\n\nOption: ";
    let token = "In OneLogin Protect, add an account and type this code: 01-1\nThen press Enter: ";
    Script::of([
        Finds(Vec::new()),
        Step::Offers(vec![script::offer(7, Factor::Push, "Protect")]),
        Asks(choose, "1"),
        Denies,
        Step::Registers(7, None, Some("01-1")),
        script::AsksSlowly(token, "", 70),
        Step::PollsRegistration(Enrolment::Done),
        Finds(vec![push("601")]),
        // The time of the login is over: a push is not begun, and the user is told what to do.
        Asks(FOR_A_PUSH, ""),
    ])
    .waited()
    .config("[users]\nno_factor = \"enroll\"")
    .ends("denied log-in-again factor=push id=1001");
}

#[test]
fn who_may_use_a_temporary_token_is_not_offered_an_enrolment() {
    Script::of([
        Finds(Vec::new()),
        Asks(CODE_PROMPT, "25992782"),
        Denies,
        Checks("0", None, "25992782", ACCEPTED),
        Allows,
    ])
    .config("[users]\nno_factor = \"enroll\"\n[factors]\nallow = [\"totp\", \"temporary\"]")
    .ends("accepted factor=temporary id=1001");
}

#[test]
fn r18_a_code_that_was_used_before_costs_a_try() {
    let used = "That code was used before; wait for the next one. Verification code (OneLogin): ";
    Script::of([
        Finds(vec![totp("501")]),
        Asks(CODE_PROMPT, "111111"),
        NotCounted(CodeNotCounted::UsedBefore),
        Asks(used, "111111"),
        NotCounted(CodeNotCounted::UsedBefore),
        Asks(used, "111111"),
        NotCounted(CodeNotCounted::UsedBefore),
        Denies,
    ])
    .ends("denied used-code factor=totp id=1001");
}

#[test]
fn r12_an_answer_that_is_put_aside_is_not_the_enter_that_a_push_waits_for() {
    for unusable in [NotText(PUSH_SENT), Password(PUSH_SENT)] {
        Script::of([
            Finds(vec![push("601")]),
            Asks(FOR_A_PUSH, ""),
            Denies,
            Activates("601", Ok("v-1")),
            unusable,
            Asks(script::leaked(format!("Not accepted. {PUSH_SENT}")), ""),
            Polls("601", "v-1", ACCEPTED),
            Allows,
        ])
        .ends("accepted factor=push id=1001");
    }
}

#[test]
fn why_no_answer_was_looked_at_is_the_reason() {
    Script::of([
        Finds(vec![totp("501")]),
        NotText(CODE_PROMPT),
        NotText(AGAIN),
        NotText(AGAIN),
        Denies,
    ])
    .ends("denied no-code factor=- id=1001");
    Script::of([
        Password(CODE_PROMPT),
        Password(AGAIN),
        Password(AGAIN),
        Denies,
    ])
    .unproven()
    .ends("denied password-typed factor=- id=-");
}

#[test]
fn a_poll_comes_no_sooner_than_onelogin_wants() {
    let busy = || {
        let mut busy = error(ApiTrouble::RateLimited);
        busy.retry_after = Some(std::time::Duration::from_secs(7));
        Err(busy)
    };
    Script::of([
        Finds(vec![push("601")]),
        Asks(FOR_A_PUSH, ""),
        Denies,
        Activates("601", Ok("v-1")),
        Asks(PUSH_SENT, ""),
        Polls("601", "v-1", busy),
        Waits(7),
        Polls("601", "v-1", ACCEPTED),
        Allows,
    ])
    .ends("accepted factor=push id=1001");
}

#[test]
fn a_poll_is_not_repeated_after_trouble_that_does_not_pass() {
    let polls: [(script::Answers, &str); 4] = [
        (|| Err(error(ApiTrouble::Credential)), "credential"),
        (|| Err(error(ApiTrouble::Tls)), "tls"),
        (|| Err(error(ApiTrouble::BadReply)), "bad-reply"),
        (|| Err(error(ApiTrouble::Redirected)), "redirected"),
    ];
    for (poll, reason) in polls {
        Script::of([
            Finds(vec![push("601")]),
            Asks(FOR_A_PUSH, ""),
            Denies,
            Activates("601", Ok("v-1")),
            Asks(PUSH_SENT, ""),
            Polls("601", "v-1", poll),
        ])
        .ends(&format!("denied {reason} factor=push id=1001"));
    }
}

#[test]
fn ctrl_c_ends_a_request_and_the_wait_for_the_next_one() {
    Script::of([Looks("alice", Err(error(ApiTrouble::Interrupted))), Denies])
        .ends("denied interrupted factor=- id=-");
    let mut busy = error(ApiTrouble::RateLimited);
    busy.retry_after = Some(std::time::Duration::from_secs(3));
    Script::of([Looks("alice", Err(busy)), CtrlC, Denies]).ends("denied interrupted factor=- id=-");
}

#[test]
fn a_code_for_a_verification_that_is_gone_is_too_late() {
    Script::of([
        Finds(vec![totp("501")]),
        Asks(CODE_PROMPT, "123456"),
        Denies,
        Checks("501", None, "123456", || Err(error(ApiTrouble::NotFound))),
    ])
    .ends("denied expired factor=totp id=1001");
}

#[test]
fn r05_who_is_not_in_the_map_is_never_looked_up() {
    Script::of([Denies])
        .not_mapped()
        .ends("denied not-mapped factor=- id=-");
}

#[test]
fn r14_a_push_whose_turn_cannot_be_written_down_is_not_sent() {
    Script::of([
        Finds(vec![push("601")]),
        Asks(FOR_A_PUSH, ""),
        Step::NoPhone,
        Denies,
    ])
    .ends("denied no-state factor=push id=1001");
}

#[test]
fn a_device_that_was_chosen_is_activated_too_where_the_tenant_wants_that() {
    let code = "ccccccbchvthlivuitriujjifivbvtrjkjfirllluurj";
    Script::of([
        Finds(vec![script::yubikey("502"), totp("501")]),
        Asks(
            "OneLogin verification for alice\n\n 1. Verification code from Key\n\nVerification code or option (1): ",
            "1",
        ),
        Asks("Verification code from Key: ", code),
        Denies,
        Activates("502", Ok("v-3")),
        Checks("502", Some("v-3"), code, ACCEPTED),
        Allows,
    ])
    .config("[onelogin]\nverify = \"activated\"")
    .ends("accepted factor=yubikey id=1001");
}

/// A user without a factor chooses the only one there is.
fn enrols(offer: Available, choices: &[&'static str], then: Vec<Step>) -> Script {
    let choose = script::leaked(format!(
        "You have no OneLogin factor yet. Choose one to set up:\n\n 1. {}\n\nOption: ",
        offer.name
    ));
    let mut steps = vec![Finds(Vec::new()), Step::Offers(vec![offer])];
    let again = script::leaked(format!("Not accepted. {choose}"));
    let prompts = std::iter::once(choose).chain(std::iter::repeat(again));
    steps.extend(
        prompts
            .zip(choices)
            .map(|(text, choice)| Asks(text, choice)),
    );
    steps.push(Denies);
    steps.extend(then);
    Script::of_steps(steps).config("[users]\nno_factor = \"enroll\"")
}

#[test]
fn the_choice_of_an_enrolment_ends_after_the_last_try() {
    let offer = script::offer(8, Factor::Sms, "SMS");
    enrols(offer, &["0", "2", "x"], Vec::new()).ends("denied not-enrolled factor=- id=1001");
}

#[test]
fn each_enrolment_says_what_to_do_and_ends_when_it_is_refused() {
    let rings = "Your phone is ringing. Type 1234 on the phone, then press Enter: ";
    enrols(
        script::offer(9, Factor::Voice, "Call"),
        &["1"],
        vec![
            Step::Registers(9, None, Some("1234")),
            Asks(rings, ""),
            Step::PollsRegistration(Enrolment::Rejected),
        ],
    )
    .ends("denied not-enrolled factor=voice id=1001");
    enrols(
        script::offer(5, Factor::Email, "Mail"),
        &["1"],
        vec![
            Step::Registers(5, None, None),
            Asks(
                "Verification code from the e-mail that was sent to you: ",
                "0042",
            ),
            Step::ChecksRegistration("0042", Enrolment::Rejected),
        ],
    )
    .ends("denied not-enrolled factor=email id=1001");
}

#[test]
fn ctrl_c_ends_the_wait_for_an_enrolment() {
    let token = "In OneLogin Protect, add an account and type this code: 01-1\nThen press Enter: ";
    enrols(
        script::offer(7, Factor::Push, "Protect"),
        &["1"],
        vec![
            Step::Registers(7, None, Some("01-1")),
            Asks(token, ""),
            Step::PollsRegistration(Enrolment::Pending),
            CtrlC,
        ],
    )
    .ends("denied interrupted factor=push id=1001");
}

#[test]
fn an_enrolled_device_that_is_not_allowed_lets_nobody_in() {
    enrols(
        script::offer(8, Factor::Sms, "SMS"),
        &["1"],
        vec![
            Step::Registers(8, None, None),
            Asks(
                "Verification code from the text message that was sent to you: ",
                "0042",
            ),
            Step::ChecksRegistration("0042", Enrolment::Done),
            Finds(vec![totp("501")]),
        ],
    )
    .config("[users]\nno_factor = \"enroll\"\n[factors]\nallow = [\"sms\"]")
    .ends("denied no-allowed-factor factor=sms id=1001");
}

#[test]
fn r21_an_approval_that_is_read_when_its_push_is_over_denies() {
    let ended = Script::of([
        Looks("alice", one("7")),
        Lists("7", vec![push("p")]),
        Asks("Verification code, or Enter for a push to Phone: ", ""),
        Denies,
        Activates("p", Ok("v")),
        Asks(
            "Push sent to Phone. Approve it, then press Enter (or type a code): ",
            "",
        ),
        Polls("p", "v", ACCEPTED),
        Step::PhoneLost,
    ])
    .run();
    assert_eq!(ended, "denied expired factor=push id=7");
}

/// A login of somebody whose Protect takes codes only together with a push, up to the code.
fn types_a_code() -> Vec<Step> {
    vec![
        Finds(vec![triggered("601")]),
        Asks(FOR_A_PUSH, "654321"),
        Denies,
    ]
}

fn after_a_typed_code<const N: usize>(steps: [Step; N]) -> Script {
    let mut all = types_a_code();
    all.extend(steps);
    Script::of_steps(all)
}

#[test]
fn a_code_that_needs_a_push_is_checked_with_it() {
    for is_waited in [false, true] {
        let script = after_a_typed_code([
            Activates("601", Ok("v-1")),
            Checks("601", Some("v-1"), "654321", ACCEPTED),
            Allows,
        ]);
        let script = if is_waited { script.waited() } else { script };
        assert_eq!(script.run(), "accepted factor=protect-code id=1001");
    }
}

#[test]
fn a_refused_code_that_needs_a_push_stays_at_its_prompt() {
    // Where texts are shown at once, too: there is something to type.
    for is_waited in [false, true] {
        let script = after_a_typed_code([
            Activates("601", Ok("v-1")),
            Checks("601", Some("v-1"), "654321", REJECTED),
            Asks(PUSH_NOT_ACCEPTED, "111111"),
            Checks("601", Some("v-1"), "111111", ACCEPTED),
            Allows,
        ]);
        let script = if is_waited { script.waited() } else { script };
        assert_eq!(script.run(), "accepted factor=protect-code id=1001");

        let script = after_a_typed_code([
            Activates("601", Ok("v-1")),
            Checks("601", Some("v-1"), "654321", REJECTED),
            Asks(PUSH_NOT_ACCEPTED, ""),
            Polls("601", "v-1", script::PENDING),
            Waits(2),
            Polls("601", "v-1", ACCEPTED),
            Allows,
        ]);
        let script = if is_waited { script.waited() } else { script };
        assert_eq!(script.run(), "accepted factor=push id=1001");
    }
    after_a_typed_code([
        Activates("601", Ok("v-1")),
        Checks("601", Some("v-1"), "654321", REJECTED),
        Asks(PUSH_NOT_ACCEPTED, "111111"),
        Checks("601", Some("v-1"), "111111", REJECTED),
        Asks(PUSH_NOT_ACCEPTED, "222222"),
        Checks("601", Some("v-1"), "222222", REJECTED),
    ])
    .ends("denied wrong-code factor=protect-code id=1001");
    after_a_typed_code([
        Activates("601", Ok("v-1")),
        Checks("601", Some("v-1"), "654321", REJECTED),
        Asks(PUSH_NOT_ACCEPTED, "111111"),
        NotCounted(CodeNotCounted::UsedBefore),
        Asks(
            "That code was used before; wait for the next one. Push sent to Phone. Approve it, then press Enter (or type a code): ",
            "",
        ),
        Polls("601", "v-1", REJECTED),
        RemembersDeniedPush,
    ])
    .ends("denied push-denied factor=push id=1001");
}

#[test]
fn beside_a_push_that_was_chosen_its_codes_go_with_it() {
    Script::of([
        Finds(vec![triggered("601")]),
        Asks(FOR_A_PUSH, ""),
        Denies,
        Activates("601", Ok("v-1")),
        Asks(PUSH_SENT, "111111"),
        Checks("601", Some("v-1"), "111111", REJECTED),
        Asks(PUSH_NOT_ACCEPTED, "654321"),
        Checks("601", Some("v-1"), "654321", ACCEPTED),
        Allows,
    ])
    .ends("accepted factor=protect-code id=1001");
}

#[test]
fn while_another_push_is_pending_no_code_that_needs_one_is_taken() {
    const BUSY: &str = "Another login is waiting on your phone. Approve it if it is yours, deny it if not. Press Enter to wait: ";
    Script::of([
        Finds(vec![triggered("601")]),
        Asks(FOR_A_PUSH, "xxx"),
        Asks(
            "Not accepted. Verification code, or Enter for a push to Phone: ",
            "654321",
        ),
        PhoneBusy,
        // What was wrong before is not this code.
        Asks(BUSY, ""),
        Waits(1),
        PhoneBusy,
        Waits(1),
        Denies,
        Activates("601", Ok("v-1")),
        Checks("601", Some("v-1"), "654321", ACCEPTED),
        Allows,
    ])
    .ends("accepted factor=protect-code id=1001");
    for answer in ["", "654321"] {
        Script::of([
            Finds(vec![triggered("601")]),
            Asks(FOR_A_PUSH, answer),
            PhoneBusy,
            Asks(BUSY, "111111"),
            Asks(script::leaked(format!("Not accepted. {BUSY}")), ""),
            CtrlC,
            Denies,
        ])
        .ends("denied interrupted factor=push id=1001");
    }
}

#[test]
fn r18_a_used_code_that_needs_a_push_sends_neither() {
    let again = "That code was used before; wait for the next one. Verification code, or Enter for a push to Phone: ";
    after_a_typed_code([
        NotCounted(CodeNotCounted::UsedBefore),
        GivesBack(Limit::Challenges),
        Asks(again, "111111"),
        Activates("601", Ok("v-1")),
        Checks("601", Some("v-1"), "111111", ACCEPTED),
        Allows,
    ])
    .ends("accepted factor=protect-code id=1001");
}

#[test]
fn r22_a_code_that_needs_a_push_is_sent_only_if_both_are_counted() {
    after_a_typed_code([
        NotCounted(CodeNotCounted::LimitReached(Window)),
        GivesBack(Limit::Challenges),
    ])
    .ends("denied too-many-codes factor=protect-code id=1001");
    after_a_typed_code([
        NotCounted(CodeNotCounted::NoState),
        GivesBack(Limit::Challenges),
    ])
    .ends("denied no-state factor=protect-code id=1001");
    after_a_typed_code([NoChallenge(Uncounted::LimitReached(PushDenied))])
        .ends("denied push-denied-lately factor=push id=1001");
}

#[test]
fn r16_a_push_for_a_code_is_sent_and_counted_as_the_table_of_endings_says() {
    for ending in Ending::all() {
        let good = vec![
            Activates("601", Ok("v-1")),
            Checks("601", Some("v-1"), "654321", ACCEPTED),
            Allows,
        ];
        let (end, is_accepted) = follows(ending, Limit::Challenges, good);
        let mut steps = types_a_code();
        steps.push(Activates("601", Err(ended(ending))));
        if !is_accepted {
            // The code has not left at all.
            steps.push(GivesBack(Limit::RefusedCodes));
        }
        steps.extend(end);
        let outcome = Script::of_steps(steps).run();
        assert_eq!(
            outcome.starts_with("accepted "),
            is_accepted,
            "{ending:?}: {outcome}"
        );
        assert!(outcome.contains("factor=protect-code"), "{outcome}");
    }
}

#[test]
fn r21_a_code_counts_only_while_its_push_is_this_logins() {
    after_a_typed_code([
        Activates("601", Ok("v-1")),
        Checks("601", Some("v-1"), "654321", ACCEPTED),
        Step::PhoneLost,
    ])
    .ends("denied expired factor=protect-code id=1001");
    after_a_typed_code([
        Activates("601", Ok("v-1")),
        Checks("601", Some("v-1"), "654321", REJECTED),
        Asks(PUSH_NOT_ACCEPTED, "111111"),
        Checks("601", Some("v-1"), "111111", ACCEPTED),
        Step::PhoneLost,
    ])
    .ends("denied expired factor=protect-code id=1001");
    after_a_typed_code([
        Activates("601", Ok("v-1")),
        Checks("601", Some("v-1"), "654321", || {
            Err(error(ApiTrouble::NotFound))
        }),
    ])
    .ends("denied expired factor=protect-code id=1001");
}

#[test]
fn r13_no_code_that_nothing_has_proven_causes_a_push() {
    Script::of([
        Asks(CODE_PROMPT, "654321"),
        Finds(vec![triggered("601")]),
        Waits(2),
        Asks(AGAIN, "654321"),
        Waits(2),
        Asks(AGAIN, "654321"),
        Waits(2),
        Denies,
    ])
    .unproven()
    .ends("denied no-allowed-factor factor=- id=1001");
    Script::of([
        Asks(CODE_PROMPT, "654321"),
        Finds(vec![triggered("601"), totp("501")]),
        Denies,
        Checks("501", None, "654321", ACCEPTED),
        Allows,
    ])
    .unproven()
    .ends("accepted factor=totp id=1001");
}

#[test]
fn r22_where_pushes_are_held_back_so_are_the_codes_that_need_one() {
    for (reached, words, reason) in [
        (
            Window,
            "Too many pushes, calls or messages. Type a code, or log in again later. ",
            "too-many-challenges",
        ),
        (
            PushDenied,
            "A push was denied. No push is sent for one hour. ",
            "push-denied-lately",
        ),
    ] {
        Script::of([
            Finds(vec![triggered("601"), totp("501")]),
            Asks(script::leaked(format!("{words}{CODE_PROMPT}")), "654321"),
            Denies,
            Checks("501", None, "654321", ACCEPTED),
            Allows,
        ])
        .limit_reached(Limit::Challenges, reached)
        .ends("accepted factor=totp id=1001");
        Script::of([Finds(vec![triggered("601")]), Denies])
            .limit_reached(Limit::Challenges, reached)
            .ends(&format!("denied {reason} factor=- id=1001"));
    }
}

#[test]
fn codes_at_hand_go_before_those_that_need_a_push() {
    const MENU: &str = "OneLogin verification for alice\n\n 1. Push to OneLogin Protect (Phone)\n 2. Verification code from OneLogin Protect (Phone)\n\nVerification code or option (1-2): ";
    let devices = || vec![triggered("601"), totp("501")];
    Script::of([
        Finds(devices()),
        Asks(MENU, "654321"),
        Denies,
        Checks("501", None, "654321", ACCEPTED),
        Allows,
    ])
    .ends("accepted factor=totp id=1001");
    Script::of([
        Finds(devices()),
        Asks(MENU, "2"),
        Asks("Verification code from Phone: ", "654321"),
        Denies,
        NotCounted(CodeNotCounted::UsedBefore),
        GivesBack(Limit::Challenges),
        Asks(
            "That code was used before; wait for the next one. Verification code from Phone: ",
            "111111",
        ),
        Activates("601", Ok("v-1")),
        Checks("601", Some("v-1"), "111111", ACCEPTED),
        Allows,
    ])
    .ends("accepted factor=protect-code id=1001");
}

/// Between two looks at an outage.
const SECOND_LOOK: Duration = Duration::from_millis(1500);

#[test]
fn r19_a_login_goes_on_when_onelogin_is_there_at_the_second_look() {
    Script::of([
        Looks(
            "alice",
            Err(missed(ApiTrouble::NoConnection, Miss::Refused)),
        ),
        WaitsFor(SECOND_LOOK),
        Disconnects,
        Finds(vec![totp("501")]),
        Asks(CODE_PROMPT, "123456"),
        Denies,
        Checks("501", None, "123456", ACCEPTED),
        Allows,
    ])
    .config(SAFE)
    .ends("accepted factor=totp id=1001");
}

#[test]
fn r19_what_this_host_may_have_made_denies_at_either_look() {
    for local in Miss::all().filter(|miss| !miss.is_outage()) {
        let first = Script::of([Looks("alice", Err(missed(ApiTrouble::NoConnection, local)))]);
        let second = Script::of([
            Looks(
                "alice",
                Err(missed(ApiTrouble::NoConnection, Miss::Silence)),
            ),
            WaitsFor(SECOND_LOOK),
            Disconnects,
            Looks("alice", Err(missed(ApiTrouble::NoConnection, local))),
        ]);
        for script in [first, second] {
            let end = script.config(SAFE).run();
            assert_eq!(end, "denied no-connection factor=- id=-", "{local:?}");
        }
    }
}

#[test]
fn r19_without_failmode_safe_nothing_is_asked_twice() {
    Script::of([Looks(
        "alice",
        Err(missed(ApiTrouble::NoConnection, Miss::Refused)),
    )])
    .ends("denied no-connection factor=- id=-");
}

#[test]
fn r21_the_last_poll_comes_before_the_push_is_over() {
    let mut steps = vec![
        Finds(vec![push("601")]),
        Asks(FOR_A_PUSH, ""),
        Denies,
        Activates("601", Ok("v-1")),
        Asks(PUSH_SENT, ""),
    ];
    // A poll each 2 s, then after a tenth of the wait, until 2 s before the 120 s of the push.
    let (mut waited, end) = (Duration::ZERO, Duration::from_secs(118));
    loop {
        steps.push(Polls("601", "v-1", script::PENDING));
        let pause = (waited / 10)
            .max(Duration::from_secs(2))
            .min(end.saturating_sub(waited));
        if pause.is_zero() {
            break;
        }
        steps.push(WaitsFor(pause));
        waited += pause;
    }
    Script::of_steps(steps)
        .config("push.wait = 300\n[onelogin]\nlogin_timeout = 300")
        .ends("denied push-unanswered factor=push id=1001");
}

#[test]
fn r19_an_outage_before_an_automatic_push_is_seen_before_anything_is_counted() {
    let refused = || Unprepared(missed(ApiTrouble::NoConnection, Miss::Refused));
    Script::of([
        Finds(vec![push("601")]),
        refused(),
        WaitsFor(SECOND_LOOK),
        Disconnects,
        refused(),
    ])
    .config(&format!("{SAFE}\nfactors.autopush = true"))
    .ends("let in by failmode=safe no-connection factor=- id=1001");
}

#[test]
fn r09_there_is_no_second_look_beyond_the_end_of_a_login() {
    let mut busy = error(ApiTrouble::RateLimited);
    busy.retry_after = Some(Duration::from_secs(54));
    let end = Script::of([
        Looks("alice", Err(busy)),
        Waits(54),
        Looks(
            "alice",
            Err(missed(ApiTrouble::NoConnection, Miss::Refused)),
        ),
    ])
    .config(SAFE)
    .report();
    // The log then says that the time was too short, and not that a code had been sent before.
    let Outcome::Unavailable(error) = end.outcome else {
        panic!("{:?}", end.outcome);
    };
    assert_eq!(error.trouble, ApiTrouble::NoConnection);
    assert_eq!(error.miss, Some(Miss::Hurry));
}

#[test]
fn the_report_says_when_a_denial_could_not_be_written() {
    let login = |step| {
        Script::of([step])
            .used_up(Limit::RefusedCodes)
            .report()
            .denial_unrecorded
    };
    assert!(login(DeniesInVain));
    assert!(!login(Denies));
}

#[test]
fn r22_a_push_is_counted_as_a_push_and_a_message_is_not() {
    Script::of([
        Finds(vec![push("601")]),
        Asks(FOR_A_PUSH, ""),
        Denies,
        CountsChallenge(Challenge::Push),
        Activates("601", Ok("v-1")),
        Asks(PUSH_SENT, ""),
        Polls("601", "v-1", ACCEPTED),
        Allows,
    ])
    .ends("accepted factor=push id=1001");
    Script::of([
        Finds(vec![sms("701")]),
        Asks(FOR_A_TEXT, ""),
        Denies,
        CountsChallenge(Challenge::Other),
        Activates("701", Ok("v-2")),
        Asks(FROM_THE_TEXT, "B41832"),
        Checks("701", Some("v-2"), "B41832", ACCEPTED),
        Allows,
    ])
    .ends("accepted factor=sms id=1001");
}

#[test]
fn r21_a_push_whose_turn_is_over_before_it_is_sent_is_not_sent() {
    Script::of([
        Finds(vec![push("601")]),
        Asks(FOR_A_PUSH, ""),
        Denies,
        CountsChallenge(Challenge::Push),
        Step::PhoneLost,
        GivesBack(Limit::Challenges),
    ])
    .ends("denied timeout factor=push id=1001");
}

#[test]
fn a_pause_that_onelogin_does_not_name_differs_from_login_to_login() {
    let jitter = Duration::from_millis(400);
    Script::of([
        Looks("alice", Err(error(ApiTrouble::RateLimited))),
        WaitsFor(Duration::from_millis(1400)),
        Finds(vec![totp("501")]),
        Asks(CODE_PROMPT, "123456"),
        Denies,
        Checks("501", None, "123456", ACCEPTED),
        Allows,
    ])
    .jitter(jitter)
    .ends("accepted factor=totp id=1001");
}

#[test]
fn r22_a_look_up_is_counted_by_how_it_ended() {
    let found = LookUpEnd::Found { is_cached: true };
    Script::of([
        Finds(vec![totp("501")]),
        LookUpEnds(found),
        Asks(CODE_PROMPT, "123456"),
        Denies,
        Checks("501", None, "123456", ACCEPTED),
        Allows,
    ])
    .ends("accepted factor=totp id=1001");
    Script::of([Finds(Vec::new()), LookUpEnds(LookUpEnd::Other)])
        .config("[users]\nno_factor = \"exempt\"")
        .ends("exempt exempt-no-factor factor=- id=1001");
    Script::of([
        Looks("alice", Err(error(ApiTrouble::ServerError))),
        LookUpEnds(LookUpEnd::Other),
    ])
    .ends("denied server-error factor=- id=-");
    Script::of([
        Looks("alice", NOBODY),
        LookUpEnds(LookUpEnd::NothingToVerify),
        Denies,
    ])
    .ends("denied no-onelogin-user factor=- id=-");
}

/// A login whose push is pending while the user types wrong codes, up to the last try.
fn wrong_codes_beside_a_push() -> Vec<Step> {
    vec![
        Finds(vec![push("601")]),
        Asks(FOR_A_PUSH, ""),
        Denies,
        Activates("601", Ok("v-1")),
        Asks(PUSH_SENT, "111111"),
        Checks("601", None, "111111", REJECTED),
        Asks(PUSH_NOT_ACCEPTED, "222222"),
        Checks("601", None, "222222", REJECTED),
        Asks(PUSH_NOT_ACCEPTED, "333333"),
        Checks("601", None, "333333", REJECTED),
    ]
}

#[test]
fn r22_a_login_that_ends_while_its_push_is_pending_asks_once_whether_it_was_denied() {
    let mut steps = wrong_codes_beside_a_push();
    steps.extend([PollsBriefly("601", "v-1", REJECTED), RemembersDeniedPush]);
    Script::of_steps(steps).ends("denied wrong-code factor=protect-code id=1001");
    Script::of([
        Finds(vec![push("601")]),
        Asks(FOR_A_PUSH, ""),
        Denies,
        Activates("601", Ok("v-1")),
        Nobody(PUSH_SENT),
        PollsBriefly("601", "v-1", REJECTED),
        RemembersDeniedPush,
    ])
    .ends("denied no-conversation factor=push id=1001");
}

#[test]
fn r22_an_approval_that_comes_after_the_last_wrong_code_lets_nobody_in() {
    for answer in [ACCEPTED, script::PENDING, || {
        Err(error(ApiTrouble::Timeout))
    }] {
        let mut steps = wrong_codes_beside_a_push();
        steps.push(PollsBriefly("601", "v-1", answer));
        Script::of_steps(steps).ends("denied wrong-code factor=protect-code id=1001");
    }
    // After a call there is no such poll: a call that is denied does not hold back pushes.
    Script::of([
        Finds(vec![script::voice("801")]),
        Asks("Press Enter to get a phone call (Desk): ", ""),
        Denies,
        Activates("801", Ok("v-4 0427")),
        Nobody("Calling Desk. Type 0427 on the phone, then press Enter: "),
    ])
    .ends("denied no-conversation factor=voice id=1001");
}

#[test]
fn an_authenticator_app_is_enrolled_by_the_address_below_its_qr_code() {
    let address = "otpauth://totp/x?secret=JBSWY3DPEHPK3PXP";
    let picture = qrcode::QrCode::new(address)
        .unwrap()
        .render::<qrcode::render::unicode::Dense1x2>()
        .dark_color(qrcode::render::unicode::Dense1x2::Light)
        .light_color(qrcode::render::unicode::Dense1x2::Dark)
        .build();
    let scan = script::leaked(format!(
        "Scan this with your authenticator app, or type the part after secret= into the app:\n\n{picture}\n{address}\n\nVerification code from the app: "
    ));
    enrols(
        script::offer(6, Factor::Totp, "App"),
        &["1"],
        vec![
            Step::Registers(6, Some(address), None),
            Asks(scan, "123456"),
            Step::ChecksRegistration("123456", Enrolment::Rejected),
        ],
    )
    .ends("denied not-enrolled factor=totp id=1001");
    // Without what the user needs there is nothing to show.
    enrols(
        script::offer(6, Factor::Totp, "App"),
        &["1"],
        vec![Step::Registers(6, None, None)],
    )
    .ends("denied bad-reply factor=totp id=1001");
}

#[test]
fn a_preview_begins_as_the_login_would() {
    let preview = Script::of([
        Looks("alice", one("1001")),
        Meets("1001"),
        Lists("1001", vec![push("601"), totp("501")]),
    ])
    .preview();
    let Beginning::Menu(menu) = preview.beginning else {
        panic!("no menu");
    };
    assert_eq!(menu.devices(), [push("601"), totp("501")]);
    assert_eq!(preview.onelogin_id.unwrap().as_str(), "1001");
    assert_eq!(preview.devices.unwrap().enrolled, 2);
    assert_eq!(preview.held_back, None);

    let preview = Script::of([Finds(Vec::new())])
        .config("[users]\nno_factor = \"enroll\"")
        .preview();
    assert!(matches!(preview.beginning, Beginning::Enrolment));
    assert_eq!(preview.devices.unwrap().enrolled, 0);
}

#[test]
fn a_preview_ends_as_the_login_would() {
    let end = |script: Script| match script.preview().beginning {
        Beginning::End(outcome) => outcome,
        Beginning::Menu(_) | Beginning::Enrolment => panic!("it does not end"),
    };
    let found = || Script::of([Finds(vec![totp("501")])]);
    assert!(matches!(
        end(found().without_memory()),
        Outcome::Denied(Denial::NoState)
    ));
    let kept = Script::of([HasCached("1001"), Lists("1001", vec![totp("501")])]);
    assert!(matches!(
        end(kept.used_up(Limit::RefusedCodes)),
        Outcome::Denied(Denial::TooManyCodes)
    ));
    assert!(matches!(
        end(Script::of([Looks("alice", NOBODY)])),
        Outcome::Unknown(Unknown::User)
    ));
    let exempt = Script::of([Finds(Vec::new())]).config("[users]\nno_factor = \"exempt\"");
    assert!(matches!(end(exempt), Outcome::Exempt(Exemption::NoFactor)));
}

// Observe mode

#[test]
fn r01_observe_mode_tells_what_would_become_of_a_login_and_asks_nothing() {
    let proven = |devices| Script::of([Finds(devices)]);
    proven(vec![push("601"), totp("501")]).observes("observed, would ask factor=push id=1001");
    proven(Vec::new()).observes("observed, would deny no-factor factor=- id=1001");
    proven(vec![sms("701")])
        .config("[factors]\nallow = [\"totp\"]")
        .observes("observed, would deny no-allowed-factor factor=- id=1001");
    proven(Vec::new())
        .config("[users]\nno_factor = \"enroll\"")
        .observes("observed, would enroll factor=- id=1001");
    // An exemption is one in each mode.
    proven(Vec::new())
        .config("[users]\nno_factor = \"exempt\"")
        .observes("exempt exempt-no-factor factor=- id=1001");
    Script::of([Looks("alice", NOBODY)])
        .observes("observed, would deny no-onelogin-user factor=- id=-");
    Script::of([])
        .without_memory()
        .observes("observed, would deny no-state factor=- id=-");
    Script::of([HasCached("1001"), Lists("1001", vec![totp("501")])])
        .used_up(Limit::RefusedCodes)
        .observes("observed, would deny too-many-codes factor=- id=1001");
}

#[test]
fn r02_in_observe_mode_an_outage_counts_as_a_denial() {
    let error = missed(ApiTrouble::NoConnection, Miss::Refused);
    Script::of([Looks("alice", Err(error))])
        .config(SAFE)
        .observes("observed, would deny no-connection factor=- id=-");
}

/// An administrator enrols a text message for a user who has these devices.
fn sets_up(devices: Vec<Device>, further: Further) -> SetupEnd {
    const CHOOSE: &str = "For alice:\n\n 1. SMS\n\nOption: ";
    let may = devices.is_empty() || further == Further::Allowed;
    let mut steps = vec![Finds(devices)];
    if may {
        steps.extend([
            Step::Offers(vec![script::offer(8, Factor::Sms, "SMS")]),
            Asks(CHOOSE, "1"),
            Denies,
            Step::Registers(8, None, None),
            Asks(
                "Verification code from the text message that was sent to you: ",
                "0042",
            ),
            Step::ChecksRegistration("0042", Enrolment::Done),
            Allows,
        ]);
    }
    let setup = Script::of_steps(steps).setup(further, "For alice:");
    assert_eq!(setup.onelogin_id.unwrap().as_str(), "1001");
    assert_eq!(setup.factor, may.then_some("sms"));
    setup.end
}

#[test]
fn an_administrator_enrols_another_factor_only_if_that_is_allowed() {
    for further in [Further::Allowed, Further::Refused] {
        let first = sets_up(Vec::new(), further);
        assert!(matches!(first, SetupEnd::Done), "{first:?}");
    }
    let another = sets_up(vec![totp("501")], Further::Allowed);
    assert!(matches!(another, SetupEnd::Done), "{another:?}");
    let another = sets_up(vec![totp("501")], Further::Refused);
    assert!(matches!(another, SetupEnd::HasSome), "{another:?}");
}

#[test]
fn an_enrolment_by_an_administrator_ends_where_there_is_nothing_to_enrol() {
    let end = |steps| Script::of_steps(steps).setup(Further::Refused, "").end;
    let nothing = end(vec![Finds(Vec::new()), Step::Offers(Vec::new())]);
    assert!(matches!(nothing, SetupEnd::NothingToEnrol), "{nothing:?}");
    let nobody = end(vec![Looks("alice", NOBODY)]);
    assert!(
        matches!(nobody, SetupEnd::Ended(Outcome::Unknown(Unknown::User))),
        "{nobody:?}"
    );
}

const OFFLINE: &str = "OneLogin cannot be reached. Offline code: ";
const OFFLINE_AGAIN: &str = "Not accepted. OneLogin cannot be reached. Offline code: ";

/// The codes of which each byte is 1, 2 and 3.
const CODE_1: &str = "040g-2081-040g-2081";
const CODE_2: &str = "O81O4OG2O81O4OG2";
const CODE_3: &str = "0C1G60R30C1G60R3";

fn looks(trouble: ApiTrouble) -> Step {
    Looks("alice", Err(error(trouble)))
}

/// Alice has the first two of these codes; the look-up ends with this trouble.
fn without_an_answer(trouble: ApiTrouble, mut steps: Vec<Step>) -> Script {
    steps.insert(0, looks(trouble));
    Script::of_steps(steps).offline_codes(&[1, 2])
}

fn offline<const N: usize>(steps: [Step; N]) -> Script {
    without_an_answer(ApiTrouble::NoConnection, Vec::from(steps))
}

#[test]
fn r20_an_offline_code_is_removed_before_it_lets_in() {
    for code in [CODE_1, CODE_2] {
        offline([
            Asks(OFFLINE, code),
            CountsOfflineCode(Ok(())),
            Denies,
            RemovesCode(Some(true)),
            LetsIn,
        ])
        .ends("accepted factor=offline-code id=-");
    }
}

#[test]
fn r20_a_wrong_offline_code_is_counted_and_may_be_corrected() {
    offline([
        Asks(OFFLINE, CODE_3),
        CountsOfflineCode(Ok(())),
        Denies,
        // What cannot be a code is not compared.
        Asks(OFFLINE_AGAIN, "123456"),
        Asks(OFFLINE_AGAIN, CODE_2),
        CountsOfflineCode(Ok(())),
        RemovesCode(Some(true)),
        LetsIn,
    ])
    .ends("accepted factor=offline-code id=-");
    let wrong = offline([
        Asks(OFFLINE, CODE_3),
        CountsOfflineCode(Ok(())),
        Denies,
        Asks(OFFLINE_AGAIN, CODE_3),
        CountsOfflineCode(Ok(())),
        Password(OFFLINE_AGAIN),
    ]);
    wrong.ends("denied password-typed factor=offline-code id=-");
}

#[test]
fn r20_a_code_that_another_login_used_first_or_that_cannot_be_removed_lets_nobody_in() {
    offline([
        Asks(OFFLINE, CODE_1),
        CountsOfflineCode(Ok(())),
        Denies,
        RemovesCode(Some(false)),
        Asks(OFFLINE_AGAIN, ""),
    ])
    .ends("denied wrong-offline-code factor=offline-code id=-");
    offline([
        Asks(OFFLINE, CODE_1),
        CountsOfflineCode(Ok(())),
        Denies,
        RemovesCode(None),
    ])
    .ends("denied offline-code-kept factor=offline-code id=-");
}

#[test]
fn r20_an_offline_code_that_cannot_be_counted_or_noted_is_not_compared() {
    for (why, reason) in [
        (Uncounted::LimitReached(Window), "too-many-codes"),
        (Uncounted::LimitReached(Day), "too-many-codes-today"),
        (Uncounted::NoState, "no-state"),
    ] {
        offline([Asks(OFFLINE, CODE_1), CountsOfflineCode(Err(why)), Denies])
            .ends(&format!("denied {reason} factor=offline-code id=-"));
    }
    offline([
        Asks(OFFLINE, CODE_1),
        CountsOfflineCode(Ok(())),
        DeniesInVain,
        Denies,
    ])
    .ends("denied no-state factor=offline-code id=-");
}

#[test]
fn r20_who_has_no_code_at_hand_is_denied_as_without_one() {
    offline([Asks(OFFLINE, " ")]).ends("denied no-connection factor=- id=-");
    offline([Nobody(OFFLINE)]).ends("denied no-connection factor=- id=-");
}

#[test]
fn r20_offline_codes_are_for_a_login_without_an_answer_about_the_user() {
    for trouble in ApiTrouble::all() {
        let is_offered = !matches!(
            trouble,
            ApiTrouble::NotFound
                | ApiTrouble::RequestRefused
                | ApiTrouble::BadReply
                | ApiTrouble::Interrupted
        );
        let mut steps = match trouble {
            // Asked once more: rule R16.
            ApiTrouble::RateLimited => vec![WaitsFor(Duration::from_secs(1)), looks(trouble)],
            _ => vec![],
        };
        if is_offered {
            steps.push(Asks(OFFLINE, ""));
        } else if trouble == ApiTrouble::Interrupted {
            steps.push(Denies);
        }
        without_an_answer(trouble, steps).run();
    }
    // An answer about the user: refused codes, a denied push.
    Script::of([
        Finds(vec![totp("501")]),
        Asks(CODE_PROMPT, "111111"),
        Denies,
        Checks("501", None, "111111", REJECTED),
        Asks(AGAIN, "111111"),
        Checks("501", None, "111111", REJECTED),
        Asks(AGAIN, "111111"),
        Checks("501", None, "111111", REJECTED),
    ])
    .offline_codes(&[1])
    .ends("denied wrong-code factor=totp id=1001");
}

#[test]
fn r20_a_code_whose_answer_is_lost_may_be_followed_by_an_offline_code() {
    Script::of([
        Finds(vec![totp("501")]),
        Asks(CODE_PROMPT, "123456"),
        Denies,
        Checks("501", None, "123456", || Err(error(ApiTrouble::Timeout))),
        Asks(OFFLINE, CODE_1),
        CountsOfflineCode(Ok(())),
        RemovesCode(Some(true)),
        LetsIn,
    ])
    .offline_codes(&[1])
    .ends("accepted factor=offline-code id=1001");
}

#[test]
fn r20_who_has_no_codes_or_no_first_factor_is_not_asked_for_one() {
    offline([])
        .offline_codes(&[])
        .ends("denied no-connection factor=- id=-");
    Script::of([looks(ApiTrouble::NoConnection)]).ends("denied no-connection factor=- id=-");
    let unproven = || {
        Script::of([
            Unprepared(error(ApiTrouble::NoConnection)),
            Asks(CODE_PROMPT, CODE_1),
            Asks(AGAIN, CODE_1),
            Asks(AGAIN, CODE_1),
            Denies,
        ])
        .unproven()
        .offline_codes(&[1])
    };
    unproven().ends("denied no-connection factor=- id=-");
    unproven()
        .unknown(Unknown::Account)
        .ends("denied no-account factor=- id=-");
}

#[test]
fn r19_r20_who_has_offline_codes_is_asked_for_one_where_an_outage_would_let_in() {
    let outage = || {
        let missed = || Err(missed(ApiTrouble::NoConnection, Miss::Refused));
        let pause = WaitsFor(Duration::from_millis(1500));
        vec![
            Looks("alice", missed()),
            pause,
            Disconnects,
            Looks("alice", missed()),
        ]
    };
    let script = |steps: Vec<Step>, codes: &[u8]| {
        let steps = outage().into_iter().chain(steps).collect();
        Script::of_steps(steps).config(SAFE).offline_codes(codes)
    };
    script(vec![], &[]).ends("let in by failmode=safe no-connection factor=- id=-");
    script(vec![Asks(OFFLINE, "")], &[1]).ends("denied no-connection factor=- id=-");
    script(vec![Nobody(OFFLINE)], &[1]).ends("denied no-connection factor=- id=-");
    script(
        vec![
            Asks(OFFLINE, CODE_1),
            CountsOfflineCode(Ok(())),
            Denies,
            RemovesCode(Some(true)),
            LetsIn,
        ],
        &[1],
    )
    .ends("accepted factor=offline-code id=-");
}

#[test]
fn r20_the_codes_of_a_user_whom_onelogin_does_not_have_or_who_is_inactive_are_removed() {
    let cases: [(fn() -> Step, bool); 4] = [
        (|| Looks("alice", NOBODY), true),
        (|| Looks("alice", INACTIVE), true),
        (|| Looks("alice", SEVERAL), false),
        (|| Looks("alice", OTHER), false),
    ];
    for (looks, is_removed) in cases {
        for is_proven in [true, false] {
            let mut steps = vec![looks()];
            if is_removed {
                steps.push(RemovesCodes);
            }
            if !is_proven {
                // As for a wrong code: rule R13.
                steps.insert(0, Asks(CODE_PROMPT, "123456"));
                steps.extend([
                    Waits(2),
                    Asks(AGAIN, "123456"),
                    Waits(2),
                    Asks(AGAIN, "123456"),
                    Waits(2),
                ]);
            }
            steps.push(Denies);
            let mut script = Script::of_steps(steps).offline_codes(&[1, 2]);
            if !is_proven {
                script = script.unproven();
            }
            let report = script.report();
            assert_eq!(report.removed_offline_codes, if is_removed { 2 } else { 0 });
        }
    }
}

#[test]
fn r19_r20_without_a_prompt_an_outage_does_not_let_in_who_has_offline_codes() {
    let outage = || {
        let missed = || Err(missed(ApiTrouble::NoConnection, Miss::Refused));
        [
            Looks("alice", missed()),
            WaitsFor(Duration::from_millis(1500)),
            Disconnects,
            Looks("alice", missed()),
        ]
    };
    let lines: &'static str = script::leaked(format!("{SAFE}\nservices.sshd.ask = \"push\""));
    Script::of(outage())
        .service(lines, "sshd")
        .offline_codes(&[])
        .ends("let in by failmode=safe no-connection factor=- id=-");
    Script::of(outage())
        .service(lines, "sshd")
        .offline_codes(&[1])
        .ends("denied no-connection factor=- id=-");
}

#[test]
fn r01_observe_mode_foresees_no_enrolment_where_nobody_can_be_asked() {
    let enroll = "users.no_factor = \"enroll\"\nservices.vsftpd.ask = \"push\"";
    let script = || Script::of([Finds(vec![])]).service(enroll, "vsftpd");
    Script::of([Finds(vec![]), Denies])
        .service(enroll, "vsftpd")
        .ends("denied no-factor factor=- id=1001");
    script().observes("observed, would deny no-factor factor=- id=1001");
}

//! Replies by tables: what is an acceptance, and everything that is not (rules R5, R6).

use super::*;
use crate::config::{Attribute, Version};
use crate::factor::{Codes, Factor};

fn reply(status: u16, body: &str) -> Reply {
    Reply {
        status,
        body: Zeroizing::new(body.as_bytes().to_vec()),
        request_id: None,
        retry_after: None,
        is_of_front_end: false,
        miss: None,
    }
}

fn id() -> (UserId, DeviceId, VerificationId) {
    (
        UserId::parse("1001").unwrap(),
        DeviceId::parse("501").unwrap(),
        VerificationId::parse("v-1").unwrap(),
    )
}

/// Ours of a user and a device, with no verification.
fn ours((user, device, _): &(UserId, DeviceId, VerificationId)) -> Ours<'_> {
    Ours {
        user,
        device,
        verification: None,
    }
}

/// What is made of a reply: `accepted`, `pending`, `rejected`, or the kind of trouble.
fn word(answer: Result<Answer, ApiError>) -> String {
    match answer {
        Ok(Answer::Accepted(_)) => "accepted".to_owned(),
        Ok(Answer::Pending) => "pending".to_owned(),
        Ok(Answer::Rejected | Answer::Unfit) => "rejected".to_owned(),
        Err(error) => format!("{:?}", error.trouble),
    }
}

/// What is made of a reply in version 2.
fn read(verify: Verify, status: u16, body: &str) -> String {
    let ids = id();
    let ours = Ours {
        verification: Some(&ids.2),
        ..ours(&ids)
    };
    word(answer(verify, &reply(status, body), ours))
}

fn is_bad<T>(result: &Result<T, ApiError>) -> bool {
    matches!(result, Err(error) if error.trouble == ApiTrouble::BadReply)
}

const SUCCESS: &str =
    r#"{"status":{"type":"success","code":200,"message":"Success","error":false}}"#;

#[test]
fn r06_both_dialects_of_acceptance_are_read() {
    for status in [200, 201] {
        for body in [
            SUCCESS,
            r#"{"status":"accepted"}"#,
            r#"{"status":"accepted","device_id":501,"user_id":"1001"}"#,
            r#"{"id":"v-1","status":"accepted","device_id":"501","user_id":1001,"type_display_name":"X"}"#,
            r#"[{"id":"v-1","status":"accepted","device_id":"501"}]"#,
        ] {
            assert_eq!(read(Verify::Code, status, body), "accepted", "{body}");
        }
        for body in [
            r#"{"id":"v-1","status":"accepted","device_id":"501"}"#,
            r#" [ {"id":"v-1","status":"accepted","device_id":501} ] "#,
        ] {
            assert_eq!(read(Verify::Poll, status, body), "accepted", "{body}");
        }
    }
}

#[test]
fn r06_pending_and_rejected_are_told_apart() {
    for (verify, status, body, end) in [
        (
            Verify::Poll,
            200,
            r#"{"id":"v-1","status":"pending"}"#,
            "pending",
        ),
        (
            Verify::Poll,
            200,
            r#"[{"id":"v-1","status":"rejected"}]"#,
            "rejected",
        ),
        (Verify::Code, 200, r#"{"status":"pending"}"#, "pending"),
        (
            Verify::Code,
            401,
            r#"{"statusCode":401,"name":"InvalidCredentials"}"#,
            "rejected",
        ),
        (Verify::Code, 422, "", "rejected"),
        (Verify::Poll, 401, "", "Credential"),
    ] {
        assert_eq!(read(verify, status, body), end, "{body}");
    }
}

#[test]
fn r06_nothing_else_is_an_acceptance() {
    let of_other_statuses = [
        // another status, and the acceptance as the body
        (202, r#"{"status":"accepted"}"#),
        (204, ""),
        (301, r#"{"status":"accepted"}"#),
        (400, r#"{"status":"accepted"}"#),
        (401, SUCCESS),
        (403, SUCCESS),
        (404, SUCCESS),
        (429, SUCCESS),
        (500, SUCCESS),
        (503, r#"{"status":"accepted"}"#),
    ];
    let under_200 = [
        // other shapes
        "",
        "OK",
        "accepted",
        "\"accepted\"",
        "null",
        "true",
        "{}",
        "[]",
        r#"{"status":null}"#,
        r#"{"status":true}"#,
        r#"{"status":"Accepted"}"#,
        r#"{"status":"accepted "}"#,
        r#"{"status":"success"}"#,
        r#"{"Status":"accepted"}"#,
        r#"{"data":{"status":"accepted"}}"#,
        r#"{"data":[{"status":"accepted"}]}"#,
        r#"{"status":{"status":"accepted"}}"#,
        r#"{"status":["accepted"]}"#,
        r#"{"message":"accepted"}"#,
        r#"[{"status":"accepted"},{"status":"accepted"}]"#,
        r#"[[{"status":"accepted"}]]"#,
        r#"[{"status":{"type":"success","code":200,"message":"Success","error":false}}]"#,
        r#"{"status":"accepted"} {"status":"rejected"}"#,
        r#"{"status":"accepted","status":"rejected"}"#,
        r#"{"status":"rejected","status":"accepted"}"#,
        r#"{"status":"accepted""#,
        // the object that the Login API uses for "not yet", and its neighbours
        r#"{"status":{"type":"pending","code":200,"message":"Authentication pending on OL Protect","error":false}}"#,
        r#"{"status":{"type":"success","code":200,"message":"Authentication pending on OL Protect","error":false}}"#,
        r#"{"status":{"type":"success","code":200,"message":"MFA is required for this user","error":false}}"#,
        r#"{"status":{"type":"success","code":200,"message":"Success","error":true}}"#,
        r#"{"status":{"type":"success","code":401,"message":"Success","error":false}}"#,
        r#"{"status":{"type":"success","code":"200","message":"Success","error":false}}"#,
        r#"{"status":{"type":"Success","code":200,"message":"Success","error":false}}"#,
        r#"{"status":{"type":"success","code":200,"error":false}}"#,
        r#"{"status":{"code":200,"message":"Success","error":false}}"#,
        r#"{"error":false,"code":200,"type":"success","message":"Success"}"#,
        // arrays that a derived reader would take for objects, by position
        r#"["accepted","v-1","501","1001",null,null,null,null,null,null,null]"#,
        r#"[["accepted","v-1","501","1001",null,null,null,null,null,null,null]]"#,
        r#"{"status":["success",200,false,"Success"]}"#,
        // ids where nobody compares them
        r#"{"id":"v-1","status":"accepted","data":{"user_id":"1002"}}"#,
        // an error beside the acceptance
        r#"{"status":"accepted","statusCode":401}"#,
        r#"{"status":"accepted","error":true}"#,
        r#"{"status":"accepted","errors":[]}"#,
        r#"{"status":"accepted","name":"InvalidCredentials"}"#,
        // somebody else's
        r#"{"status":"accepted","user_id":"1002"}"#,
        r#"{"status":"accepted","user_id":""}"#,
        r#"{"status":"accepted","device_id":"502"}"#,
        r#"{"status":"accepted","id":"v-2"}"#,
        r#"[{"status":"accepted","id":"v-2","device_id":"501"}]"#,
        r#"{"status":{"type":"success","code":200,"message":"Success","error":false},"user_id":1002}"#,
        r#"{"status":"accepted","device_id":null,"user_id":-1}"#,
    ];
    let under_200 = under_200.map(|body| (200, body));
    for (status, body) in of_other_statuses.into_iter().chain(under_200) {
        for verify in [Verify::Code, Verify::Poll] {
            assert_ne!(read(verify, status, body), "accepted", "{status} {body}");
        }
    }
}

#[test]
fn r06_a_poll_reply_must_carry_our_verification() {
    for body in [
        SUCCESS,
        r#"{"status":"accepted"}"#,
        r#"{"id":null,"status":"accepted"}"#,
        r#"{"id":"v-2","status":"pending"}"#,
    ] {
        assert_eq!(read(Verify::Poll, 200, body), "BadReply", "{body}");
    }
}

#[test]
fn a_deeply_nested_reply_is_a_bad_reply() {
    let body = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    assert_eq!(read(Verify::Code, 200, &body), "BadReply");
    assert_eq!(
        read(Verify::Code, 200, &format!("{{\"status\":{body}}}")),
        "BadReply"
    );
}

#[test]
fn an_activation_is_read_in_both_dialects_and_must_be_ours() {
    let ids = id();
    let ours = ours(&ids);
    let read = |status, body: &str| activation(&reply(status, body), ours);
    for body in [
        r#"{"id":"v-1","user_id":"1001","device_id":501,"expires_at":"x"}"#,
        r#"[{"id":"v-1","user_id":1001,"device_id":"501"}]"#,
        r#"{"id":"v-1"}"#,
    ] {
        assert_eq!(read(201, body).unwrap().id.as_str(), "v-1");
        assert_eq!(read(200, body).unwrap().id.as_str(), "v-1");
    }
    for body in [
        r#"{"id":"v-1","user_id":"1002"}"#,
        r#"{"id":"v-1","device_id":"502"}"#,
        r#"{"id":"../../users/1"}"#,
        r#"{"id":""}"#,
        r#"{"user_id":"1001"}"#,
        "[]",
        "",
    ] {
        assert!(is_bad(&read(201, body)), "{body}");
    }
    assert_eq!(read(401, "").unwrap_err().trouble, ApiTrouble::Credential);
    assert!(is_bad(&read(204, r#"{"id":"v-1"}"#)));
}

fn by(
    attribute: &Attribute,
    value: &str,
    ignore_case: bool,
    body: &str,
) -> Result<Found, ApiTrouble> {
    let equal = Equal::Attribute {
        attribute,
        value,
        ignore_case,
    };
    super::search(&reply(200, body), Version::V2, equal).map_err(|error| error.trouble)
}

fn search(body: &str) -> Result<Found, ApiTrouble> {
    by(&Attribute::Username, "alice", false, body)
}

#[test]
fn r05_a_user_is_one_hit_that_is_equal_and_active() {
    let alice = UserId::parse("1001").unwrap();
    assert_eq!(
        search(r#"[{"id":1001,"username":"alice","state":1,"status":1}]"#),
        Ok(Found::One(alice))
    );
    assert_eq!(search("[]"), Ok(Found::NoUser));
    for body in [
        r#"[{"id":1,"username":"alice2","state":1,"status":1}]"#,
        r#"[{"id":1,"username":"Alice","state":1,"status":1}]"#,
        r#"[{"id":1,"username":"","state":1,"status":1}]"#,
        r#"[{"id":1,"username":null,"state":1,"status":1}]"#,
        r#"[{"id":1,"email":"alice","state":1,"status":1}]"#,
    ] {
        assert_eq!(search(body), Ok(Found::Other), "{body}");
    }
    for status in [
        r#""state":1,"status":2"#,
        r#""state":0,"status":1"#,
        r#""state":1"#,
        r#""status":1"#,
        r#""state":null,"status":1"#,
    ] {
        let body = format!(r#"[{{"id":1,"username":"alice",{status}}}]"#);
        assert_eq!(search(&body), Ok(Found::Inactive), "{body}");
    }
    let one = r#"{"id":1,"username":"alice","state":1,"status":1}"#;
    assert_eq!(search(&format!("[{one},{one}]")), Ok(Found::Several));
    for body in [
        "",
        "{}",
        r#"[[1001,"alice",null,null,null,null,null,1,1]]"#,
        one,
        "null",
        r#"[{"username":"alice","state":1,"status":1}]"#,
        "[null]",
        r#"[{"id":"1/2","username":"alice","state":1,"status":1}]"#,
    ] {
        assert_eq!(search(body), Err(ApiTrouble::BadReply), "{body}");
    }
}

#[test]
fn r05_case_is_ignored_only_where_the_admin_says_so() {
    let body = r#"[{"id":1,"email":"Alice@Example.com","state":1,"status":1}]"#;
    let search = |ignore| by(&Attribute::Email, "alice@example.com", ignore, body).unwrap();
    assert_eq!(search(false), Found::Other);
    assert_eq!(search(true), Found::One(UserId::parse("1").unwrap()));
}

#[test]
fn devices_are_known_by_their_factor_name() {
    let body = r#"[
        {"device_id":"3","auth_factor_name":"OneLogin","user_display_name":"Phone","type_display_name":"X","default":true},
        {"device_id":4,"auth_factor_name":"Google Authenticator","user_display_name":"","type_display_name":"App"},
        {"device_id":"5","auth_factor_name":"SMS","default":null},
        {"device_id":"6","auth_factor_name":"RSA SecurID","type_display_name":"OneLogin Protect"},
        {"device_id":"a/b","auth_factor_name":"SMS"}
    ]"#;
    let devices = devices(&reply(200, body), &[]).unwrap();
    assert_eq!(devices.enrolled, 5);
    let seen: Vec<_> = devices
        .usable
        .iter()
        .map(|d| (d.id.as_str(), d.factor, d.name.as_str(), d.default))
        .collect();
    assert_eq!(
        seen,
        [
            ("3", Factor::Push, "Phone", true),
            ("4", Factor::Totp, "App", false),
            ("5", Factor::Sms, "", false),
        ]
    );
    assert_eq!(devices.odd, 1);
    for body in ["{}", ""] {
        let error = super::devices(&reply(200, body), &[]).unwrap_err();
        assert_eq!(error.trouble, ApiTrouble::BadReply, "{body}");
    }
}

#[test]
fn r17_a_token_lasts_from_created_at() {
    let flat = r#"{"access_token":"t0k","created_at":"2026-01-01T00:00:00.123Z","expires_in":36000,"token_type":"bearer"}"#;
    let read = |body: &str| super::token(&reply(200, body)).unwrap();
    let token = read(flat);
    assert_eq!(token.expires, Some(1_767_225_600 + 36_000));
    assert_eq!(token.bearer.len(), 3);
    let wrapped = format!(r#"{{"status":{{"error":false,"code":200}},"data":[{flat}]}}"#);
    assert_eq!(read(&wrapped).expires, token.expires);
    for created in ["null", "\"yesterday\"", "\"\""] {
        let body = format!(r#"{{"access_token":"t","created_at":{created},"expires_in":1}}"#);
        assert_eq!(read(&body).expires, None);
    }
    let huge = r#"{"access_token":"t","created_at":"2026-01-01T00:00:00Z","expires_in":18446744073709551615}"#;
    assert_eq!(read(huge).expires, Some(u64::MAX));
}

#[test]
fn an_error_instead_of_a_token_concerns_the_credential() {
    let trouble = |status, body: &str| super::token(&reply(status, body)).err().unwrap().trouble;
    let error = r#"{"status":{"error":true,"code":401,"type":"Unauthorized","message":"Authentication Failure"}}"#;
    assert_eq!(trouble(200, error), ApiTrouble::Credential);
    assert_eq!(trouble(401, error), ApiTrouble::Credential);
    assert_eq!(trouble(400, ""), ApiTrouble::Credential);
    assert_eq!(trouble(500, ""), ApiTrouble::ServerError);
    assert_eq!(trouble(503, "<html>"), ApiTrouble::Gateway);
    assert_eq!(trouble(302, ""), ApiTrouble::Redirected);
    assert_eq!(trouble(200, "<html>"), ApiTrouble::BadReply);
    assert_eq!(trouble(200, r#"{"access_token":""}"#), ApiTrouble::BadReply);
    assert_eq!(
        trouble(200, "{\"access_token\":\"a\\r\\nHost: evil\"}"),
        ApiTrouble::BadReply
    );
}

#[test]
fn each_shape_of_error_is_named_in_the_log() {
    let detail = |status, body: &str| problem(&reply(status, body), Names::AndMessages).detail;
    for (status, body, text) in [
        (
            403,
            r#"{"statusCode":403,"name":"ForbiddenAction","message":"No\u001b[2J way"}"#,
            "status=403 ForbiddenAction: No[2J way",
        ),
        (
            401,
            r#"{"status":{"error":true,"code":401,"type":"Unauthorized","message":"Authentication Failure"}}"#,
            "status=401 Unauthorized: Authentication Failure",
        ),
        (
            400,
            r#"{"status":{"type":"bad request","message":{"description":"x"}}}"#,
            "status=400 bad request",
        ),
        (
            422,
            r#"{"code":422,"message":"Validation Failed","errors":[{"field":"x","message":["y"]}]}"#,
            "status=422: Validation Failed",
        ),
        (
            401,
            r#"{"name":"Unauthorized","message":"Failed authentication with this factor"}"#,
            "status=401 Unauthorized: Failed authentication with this factor",
        ),
        (
            422,
            r#"{"statusCode":422,"name":"ValidationError","message":"Validations failed","details":{"parameters":[]}}"#,
            "status=422 ValidationError: Validations failed",
        ),
        (500, "<html>", "status=500"),
        (504, "", "status=504"),
    ] {
        assert_eq!(detail(status, body), text);
    }
}

#[test]
fn r11_the_reply_to_a_code_cannot_bring_the_code_into_the_log() {
    let body = r#"{"statusCode":500,"name":"123456","message":"code 123456 is wrong"}"#;
    assert_eq!(problem(&reply(500, body), Names::Only).detail, "status=500");
}

#[test]
fn ids_are_safe_in_a_path() {
    for text in [
        "1",
        "user_temp_otp_36216766",
        "6f1f7a2a-1111-2222-3333-444455556666",
    ] {
        assert_eq!(DeviceId::parse(text).unwrap().as_str(), text);
    }
    for text in [
        "",
        ".",
        "..",
        "a/b",
        "a b",
        "a?b",
        "a#b",
        "a%2f",
        "é",
        &"1".repeat(65),
    ] {
        assert!(UserId::parse(text).is_none(), "{text}");
    }
}

#[test]
fn r05_every_attribute_is_compared_and_custom_ones_too() {
    let body = r#"[{"id":1,"samaccountname":"s","userprincipalname":"u@x","external_id":77,"custom_attributes":{"unix":"alice","empty":null,"number":5},"state":1,"status":1}]"#;
    let found = |attribute, value| by(&attribute, value, false, body).unwrap();
    let one = Found::One(UserId::parse("1").unwrap());
    assert_eq!(found(Attribute::SamAccountName, "s"), one);
    assert_eq!(found(Attribute::UserPrincipalName, "u@x"), one);
    assert_eq!(found(Attribute::ExternalId, "77"), one);
    assert_eq!(found(Attribute::Custom("unix".into()), "alice"), one);
    assert_eq!(found(Attribute::Custom("unix".into()), "bob"), Found::Other);
    assert_eq!(found(Attribute::Custom("empty".into()), ""), Found::Other);
    assert_eq!(found(Attribute::Custom("missing".into()), ""), Found::Other);
}

#[test]
fn a_user_by_id_must_be_that_user_and_active() {
    let id = UserId::parse("1").unwrap();
    let read = |status, body: &str| super::user(&reply(status, body), Equal::Id(&id));
    for (user, state, found) in [
        (1, 1, Found::One(id.clone())),
        (2, 1, Found::Other),
        (1, 2, Found::Inactive),
    ] {
        let body = format!(r#"{{"id":{user},"state":1,"status":{state}}}"#);
        assert_eq!(read(200, &body).unwrap(), found, "{body}");
    }
    assert_eq!(read(404, "").unwrap(), Found::Gone);
    assert_eq!(read(403, "").unwrap_err().trouble, ApiTrouble::Credential);
}

#[test]
fn a_user_of_version_1_comes_in_an_envelope() {
    let user = r#"{"id":1,"userprincipalname":"u@x","state":1,"status":1}"#;
    let attribute = Attribute::UserPrincipalName;
    let read = |status: &str| {
        let body = format!(r#"{{"status":{status},"pagination":{{}},"data":[{user}]}}"#);
        let equal = Equal::Attribute {
            attribute: &attribute,
            value: "u@x",
            ignore_case: false,
        };
        super::search(&reply(200, &body), Version::V1, equal).map_err(|error| error.trouble)
    };
    let one = Found::One(UserId::parse("1").unwrap());
    assert_eq!(
        read(r#"{"error":false,"code":200,"type":"success","message":"Success"}"#),
        Ok(one)
    );
    for status in [
        r#"{"error":true,"code":200}"#,
        r#"{"error":false,"code":401}"#,
    ] {
        assert_eq!(read(status), Err(ApiTrouble::BadReply), "{status}");
    }
}

#[test]
fn a_link_by_e_mail_is_known_by_its_display_name_only() {
    let body = r#"[
        {"device_id":1,"auth_factor_name":"OneLogin Email","type_display_name":"Link"},
        {"device_id":2,"auth_factor_name":"OneLogin Email","type_display_name":"Code"},
        {"device_id":3,"auth_factor_name":"OneLogin Voice"},
        {"device_id":4,"auth_factor_name":"YubiKey"},
        {"device_id":5,"auth_factor_name":"Duo Security"}
    ]"#;
    let devices = devices(&reply(200, body), &["Link".to_owned()]).unwrap();
    let factors: Vec<_> = devices.usable.iter().map(|device| device.factor).collect();
    assert_eq!(
        factors,
        [
            Factor::MagicLink,
            Factor::Email,
            Factor::Voice,
            Factor::YubiKey,
            Factor::Duo
        ]
    );
}

const OK: &str = r#""status":{"type":"success","code":200,"message":"Success","error":false}"#;

#[test]
fn version_1_lists_a_protect_for_pushes_and_one_for_codes() {
    let body = format!(
        r#"{{{OK},"data":{{"otp_devices":[
        {{"id":1,"auth_factor_name":"OneLogin Protect","needs_trigger":true,"active":true}},
        {{"id":2,"auth_factor_name":"OneLogin Protect","needs_trigger":false,"active":true}},
        {{"id":3,"auth_factor_name":"OneLogin SMS","needs_trigger":true,"default":true}},
        {{"id":4,"auth_factor_name":"Google Authenticator","active":false}},
        {{"id":5,"auth_factor_name":"OneLogin Voice","needs_trigger":true}}
    ]}}}}"#
    );
    let devices = otp_devices(&reply(200, &body)).unwrap();
    assert_eq!(devices.enrolled, 5);
    let seen: Vec<_> = devices.usable.iter().map(|d| (d.factor, d.codes)).collect();
    assert_eq!(
        seen,
        [
            (Factor::Push, Codes::Never),
            (Factor::ProtectCode, Codes::AtHand),
            (Factor::Sms, Codes::Never)
        ]
    );
}

#[test]
fn where_version_1_lists_a_protect_with_a_trigger_alone_its_codes_go_with_a_push() {
    let protect = |needs_trigger: &str, active: &str| {
        format!(
            r#"{{"id":1,"auth_factor_name":"OneLogin Protect","needs_trigger":{needs_trigger},"active":{active}}}"#
        )
    };
    let sms = r#"{"id":3,"auth_factor_name":"OneLogin SMS","needs_trigger":true}"#.to_owned();
    let odd = r#"{"auth_factor_name":"OneLogin Protect","needs_trigger":false}"#.to_owned();
    let triggered = || protect("true", "true");
    let codes = |entries: &[String]| {
        let list = entries.join(",");
        let body = format!(r#"{{{OK},"data":{{"otp_devices":[{list}]}}}}"#);
        let devices = otp_devices(&reply(200, &body)).unwrap();
        let usable = devices.usable.iter().map(|d| (d.factor, d.codes));
        usable.collect::<Vec<_>>()
    };
    let push = |codes| (Factor::Push, codes);
    assert_eq!(codes(&[triggered()]), [push(Codes::WithPush)]);
    assert_eq!(
        codes(&[triggered(), sms, triggered()]),
        [
            push(Codes::WithPush),
            (Factor::Sms, Codes::Never),
            push(Codes::WithPush)
        ]
    );
    // An entry for codes that cannot be used takes none.
    let unused = protect("false", "false");
    assert_eq!(codes(&[triggered(), unused]), [push(Codes::WithPush)]);
    assert_eq!(codes(&[triggered(), odd]), [push(Codes::WithPush)]);
    let of_codes = (Factor::ProtectCode, Codes::AtHand);
    assert_eq!(
        codes(&[triggered(), protect("false", "true"), triggered()]),
        [push(Codes::Never), of_codes, push(Codes::Never)]
    );
    assert_eq!(codes(&[protect("false", "true")]), [of_codes]);
}

#[test]
fn r06_version_1_accepts_by_its_envelope_alone() {
    let read = read_first;
    let error = |code: u16, message: &str| {
        format!(r#"{{"status":{{"error":true,"code":{code},"type":"x","message":"{message}"}}}}"#)
    };
    for verify in [Verify::Code, Verify::Poll] {
        assert_eq!(read(verify, 200, SUCCESS), "accepted");
        for body in [
            r#"{"status":"accepted"}"#,
            "",
            "{}",
            &format!("[{SUCCESS}]"),
            &format!(r#"{{{OK},"device_id":"999"}}"#),
            &format!(r#"{{{OK},"user_id":"999"}}"#),
            r#"{"status":["success",200,false,"Success"]}"#,
            &format!(r#"{{{OK},"statusCode":401}}"#),
            &format!(r#"{{{OK},"error":true}}"#),
            &format!(r#"{{{OK},"data":[{{"id":1002}}]}}"#),
        ] {
            assert_eq!(read(verify, 200, body), "BadReply", "{body}");
        }
        assert_ne!(read(verify, 201, SUCCESS), "accepted");
        let pending = error(401, "Authentication pending on OL Protect");
        assert_ne!(read(verify, 200, &pending), "pending");
        for (status, message, end) in [
            (401, "Failed authentication with this factor", "rejected"),
            (401, "Insufficient Permission", "Credential"),
            (400, "State token is invalid or expired", "NotFound"),
            (400, "User does not exist", "RequestRefused"),
        ] {
            assert_eq!(
                read(verify, status, &error(status, message)),
                end,
                "{message}"
            );
        }
        assert_eq!(read(verify, 500, ""), "ServerError");
    }
    let pending = error(401, "Authentication pending on OL Protect");
    assert_eq!(read(Verify::Poll, 401, &pending), "pending");
    assert_eq!(
        read(Verify::Code, 401, &pending),
        "pending",
        "OneLogin may still accept the code"
    );
    assert_eq!(read(Verify::Code, 401, ""), "rejected");
}

/// What is made of a reply in version 1.
fn read_first(verify: Verify, status: u16, body: &str) -> String {
    let ids = id();
    word(otp_answer(verify, &reply(status, body), ours(&ids)))
}

#[test]
fn a_poll_of_version_1_is_pending_by_the_beginning_of_its_message() {
    let error = |message: &str| {
        format!(
            r#"{{"status":{{"error":true,"code":401,"type":"Unauthorized","message":{message}}}}}"#
        )
    };
    for message in [
        r#""Authentication pending on OL Protect""#,
        r#""Authentication pending""#,
        r#""Authentication pending.""#,
        r#""Authentication pending on OneLogin Protect (Phone)""#,
    ] {
        assert_eq!(read_first(Verify::Poll, 401, &error(message)), "pending");
        assert_eq!(read_first(Verify::Code, 401, &error(message)), "pending");
        for status in [200, 202, 400, 403, 500] {
            let read = read_first(Verify::Poll, status, &error(message));
            assert_ne!(read, "pending", "{status}");
        }
    }
    for message in [
        r#""authentication pending""#,
        r#""No Authentication pending""#,
        r#""Authentication""#,
        r#"["Authentication pending"]"#,
        r#"{"description":"Authentication pending"}"#,
    ] {
        let read = read_first(Verify::Poll, 401, &error(message));
        assert_eq!(read, "rejected", "{message}");
    }
    // What a proxy says is no word of the phone's.
    for body in ["", "<html>", "\"Unauthorized\"", "[]", "{"] {
        assert_eq!(read_first(Verify::Poll, 401, body), "Credential", "{body}");
    }
}

#[test]
fn any_other_object_with_401_to_a_poll_of_version_1_is_a_refusal() {
    let error = |message: &str| {
        format!(
            r#"{{"status":{{"error":true,"code":401,"type":"Unauthorized","message":"{message}"}}}}"#
        )
    };
    for body in [
        error("Failed authentication with this factor"),
        error("Authentication denied on OL Protect"),
        error("Request was denied"),
        error(""),
        r#"{"message":"denied"}"#.to_owned(),
        r#"{"status":7}"#.to_owned(),
        r#"{"status":{"type":7,"message":7}}"#.to_owned(),
    ] {
        assert_eq!(read_first(Verify::Poll, 401, &body), "rejected", "{body}");
    }
    // What is documented for a lack of permission and a token that is over, and what a dead bearer gets.
    for (message, trouble) in [
        ("Insufficient Permission", "Credential"),
        ("Authentication Failure", "Credential"),
        ("State token is invalid or expired", "NotFound"),
    ] {
        assert_eq!(read_first(Verify::Poll, 401, &error(message)), trouble);
    }
    // An odd type beside the message takes nothing from it.
    let odd = r#"{"status":{"error":1,"code":"401","type":[],"message":"Authentication pending"}}"#;
    assert_eq!(read_first(Verify::Poll, 401, odd), "pending");
}

#[test]
fn a_forbidden_action_is_a_refused_code_and_other_403_concern_the_credential() {
    let second = r#"{"statusCode":403,"name":"ForbiddenAction","message":"x"}"#;
    let first = r#"{"status":{"error":true,"code":403,"type":"ForbiddenAction","message":"x"}}"#;
    for body in [second, first] {
        assert_eq!(read(Verify::Code, 403, body), "rejected", "{body}");
        assert_eq!(read_first(Verify::Code, 403, body), "rejected", "{body}");
        assert_eq!(read(Verify::Poll, 403, body), "Credential", "{body}");
        assert_eq!(read_first(Verify::Poll, 403, body), "Credential", "{body}");
    }
    for body in [
        "",
        "<html>",
        r#"{"statusCode":403,"name":"Forbidden"}"#,
        r#"{"message":"ForbiddenAction"}"#,
        r#"{"name":["ForbiddenAction"]}"#,
        r#"{"status":{"type":"Forbidden","message":"ForbiddenAction"}}"#,
    ] {
        assert_eq!(read(Verify::Code, 403, body), "Credential", "{body}");
        assert_eq!(read_first(Verify::Code, 403, body), "Credential", "{body}");
    }
}

#[test]
fn a_trigger_must_be_ours() {
    let ids = id();
    let ours = ours(&ids);
    let read = |data: &str| trigger(&reply(200, &format!("{{{OK},\"data\":{data}}}")), ours);
    let token = r#"[{"id":1001,"device_id":501,"state_token":"abc123"}]"#;
    assert_eq!(read(token).unwrap().id.as_str(), "abc123");
    for data in [
        "[]",
        r#"[{"id":1002,"device_id":501,"state_token":"a"}]"#,
        r#"[{"id":1001,"device_id":502,"state_token":"a"}]"#,
        r#"[{"id":1001,"device_id":501}]"#,
        r#"[{"id":1001,"device_id":501,"state_token":"a/b"}]"#,
        "null",
    ] {
        assert!(is_bad(&read(data)), "{data}");
    }
}

#[test]
fn a_call_shows_digits_and_nothing_else() {
    let ids = id();
    let ours = ours(&ids);
    let read = |data: &str| {
        let body = format!(r#"{{"id":"v-1","factor_data":{data}}}"#);
        activation(&reply(201, &body), ours).map(|activation| activation.digits)
    };
    assert_eq!(
        read(r#"{"verification_token":"012345"}"#)
            .unwrap()
            .as_deref(),
        Some("012345")
    );
    for data in [
        r#"{"verification_token":"12\u001b[2J"}"#,
        r#"{"verification_token":""}"#,
        "null",
        "{}",
    ] {
        assert_eq!(read(data).unwrap(), None, "{data}");
    }
}

#[test]
fn factors_that_can_be_enrolled_and_registrations_are_read() {
    let body = r#"[
        {"factor_id":1,"name":"Auth","auth_factor_name":"Google Authenticator"},
        {"factor_id":2,"name":"Protect","auth_factor_name":"OneLogin"},
        {"factor_id":3,"name":"Duo","auth_factor_name":"Duo Security"},
        {"factor_id":4,"name":"Link","auth_factor_name":"OneLogin Email"}
    ]"#;
    let factors = factors(&reply(200, body), &["Link".to_owned()]).unwrap();
    let seen: Vec<_> = factors.iter().map(|f| (f.id, f.factor)).collect();
    assert_eq!(seen, [(1, Factor::Totp), (2, Factor::Push)]);

    let user = UserId::parse("1001").unwrap();
    let foreign = r#"{"id":"r-1","user_id":1002}"#;
    assert!(registration(&reply(201, foreign), &user).is_err());
    let totp = r#"[{"id":"r-1","status":"pending","factor_data":{"totp_url":"otpauth://totp/x?secret=A"}}]"#;
    let read = registration(&reply(201, totp), &user).unwrap();
    assert_eq!(read.id.as_str(), "r-1");
    assert!(read.address.is_some() && read.token.is_none());
    let evil = r#"{"id":"r-1","factor_data":{"totp_url":"otpauth://\u001b[2J"}}"#;
    assert!(
        registration(&reply(201, evil), &user)
            .unwrap()
            .address
            .is_none()
    );
    assert!(registration(&reply(201, r#"{"id":"a/b"}"#), &user).is_err());
    assert!(registration(&reply(401, ""), &user).is_err());
}

#[test]
fn an_enrolment_is_done_only_when_it_says_so_of_itself() {
    let ours = RegistrationId::parse("r-1").unwrap();
    let read = |verify, status, body: &str| enrolment(verify, &reply(status, body), &ours);
    for body in [
        r#"{"id":"r-1","status":"accepted"}"#,
        r#"[{"id":"r-1","status":"accepted","device_id":"1"}]"#,
    ] {
        assert_eq!(read(Verify::Poll, 200, body).unwrap(), Enrolment::Done);
    }
    assert_eq!(
        read(Verify::Code, 200, r#"{"id":"r-1","status":"pending"}"#).unwrap(),
        Enrolment::Pending
    );
    assert_eq!(read(Verify::Code, 401, "").unwrap(), Enrolment::Pending);
    assert_eq!(
        read(Verify::Code, 200, r#"{"id":"r-1","status":"rejected"}"#).unwrap(),
        Enrolment::Rejected
    );
    assert_eq!(read(Verify::Poll, 404, "").unwrap(), Enrolment::Rejected);
    assert!(read(Verify::Poll, 200, r#"{"id":"r-2","status":"accepted"}"#).is_err());
    assert!(read(Verify::Poll, 200, "{}").is_err());
    assert!(read(Verify::Poll, 200, r#"{"status":"accepted"}"#).is_err());
    assert!(read(Verify::Poll, 401, "").is_err());
}

#[test]
fn r05_only_http_200_says_who_or_what_there_is() {
    let ids = id();
    let ours = ours(&ids);
    let equal = Equal::Id(&ids.0);
    let envelope =
        |data: &str| format!(r#"{{"status":{{"error":false,"code":200}},"data":{data}}}"#);
    let token = envelope(r#"[{"id":1001,"device_id":501,"state_token":"abc"}]"#);
    for status in [201, 204, 302, 400, 401, 404, 429, 500, 503] {
        let list = reply(status, "[]");
        assert!(
            super::search(&list, Version::V2, equal).is_err(),
            "{status}"
        );
        let list_1 = reply(status, &envelope("[]"));
        assert!(
            super::search(&list_1, Version::V1, equal).is_err(),
            "{status}"
        );
        assert!(candidate(&list).is_err(), "{status}");
        assert!(devices(&list, &[]).is_err(), "{status}");
        assert!(factors(&list, &[]).is_err(), "{status}");
        let none = reply(status, &envelope(r#"{"otp_devices":[]}"#));
        assert!(otp_devices(&none).is_err(), "{status}");
    }
    for status in [200, 201, 202, 204, 302, 400, 401, 404, 429, 500, 503] {
        let begun = registration(&reply(status, r#"{"id":"r-1"}"#), &ids.0);
        assert_eq!(begun.is_ok(), matches!(status, 200..=202), "{status}");
        let begun = trigger(&reply(status, &token), ours);
        assert_eq!(begun.is_ok(), matches!(status, 200..=202), "{status}");
    }
}

#[test]
fn r05_a_candidate_is_the_only_hit() {
    let read = |body: &str| candidate(&reply(200, body)).map_err(|error| error.trouble);
    assert_eq!(read("[]"), Ok(Candidate::NoUser));
    let one = UserId::parse("1001").unwrap();
    assert_eq!(read(r#"[{"id":1001}]"#), Ok(Candidate::One(one)));
    assert_eq!(read(r#"[{"id":1001},{"id":1002}]"#), Ok(Candidate::Several));
    assert_eq!(read(r#"[{"id":"a/b"}]"#), Err(ApiTrouble::BadReply));
}

#[test]
fn an_enrolment_of_another_status_is_not_done() {
    let ours = RegistrationId::parse("r-1").unwrap();
    for (status, known) in [("rejected", true), ("expired", false), ("", false)] {
        let body = format!(r#"{{"id":"r-1","status":"{status}"}}"#);
        let read = enrolment(Verify::Poll, &reply(200, &body), &ours);
        assert_eq!(read.ok(), known.then_some(Enrolment::Rejected), "{status}");
    }
    // Whatever stands in it, a reply of another status is not one.
    let done = r#"{"id":"r-1","status":"accepted"}"#;
    for verify in [Verify::Code, Verify::Poll] {
        for status in [202, 204, 302, 403, 429, 500, 503] {
            let read = enrolment(verify, &reply(status, done), &ours);
            assert!(read.is_err(), "{status}");
        }
    }
}

#[test]
fn each_status_is_a_trouble_of_its_own_and_only_429_may_name_a_time() {
    for (status, trouble) in [
        (302, ApiTrouble::Redirected),
        (400, ApiTrouble::RequestRefused),
        (401, ApiTrouble::Credential),
        (403, ApiTrouble::Credential),
        (404, ApiTrouble::NotFound),
        (429, ApiTrouble::RateLimited),
        (500, ApiTrouble::ServerError),
        (502, ApiTrouble::Gateway),
        (504, ApiTrouble::Gateway),
        (599, ApiTrouble::ServerError),
        (204, ApiTrouble::BadReply),
    ] {
        let reply = Reply {
            retry_after: Some(7),
            ..reply(status, "")
        };
        let error = problem(&reply, Names::Only);
        assert_eq!(error.trouble, trouble, "{status}");
        let named = (status == 429).then_some(std::time::Duration::from_secs(7));
        assert_eq!(error.retry_after, named, "{status}");
    }
}

/// An odd entry of a list of devices, in version 2 and in version 1.
const ODD_DEVICES: [(&str, &str); 9] = [
    ("null", "null"),
    ("7", "7"),
    ("[\"3\",\"SMS\"]", "[3,\"OneLogin SMS\"]"),
    ("{}", "{}"),
    (
        r#"{"device_id":"3","auth_factor_name":null}"#,
        r#"{"id":3,"auth_factor_name":null}"#,
    ),
    (r#"{"device_id":"3"}"#, r#"{"id":3}"#),
    (
        r#"{"device_id":null,"auth_factor_name":"SMS"}"#,
        r#"{"id":null,"auth_factor_name":"OneLogin SMS"}"#,
    ),
    (
        r#"{"device_id":"3","device_id":"4","auth_factor_name":"SMS"}"#,
        r#"{"id":3,"id":4,"auth_factor_name":"OneLogin SMS"}"#,
    ),
    (
        r#"{"device_id":"a/b","auth_factor_name":"SMS"}"#,
        r#"{"id":-3,"auth_factor_name":"OneLogin SMS"}"#,
    ),
];

/// Both lists of devices with these entries.
fn lists(second: &str, first: &str) -> [Result<Devices, ApiError>; 2] {
    let first = format!(r#"{{{OK},"data":{{"otp_devices":[{first}]}}}}"#);
    [
        devices(&reply(200, &format!("[{second}]")), &[]),
        otp_devices(&reply(200, &first)),
    ]
}

#[test]
fn an_odd_entry_among_the_devices_is_skipped_and_counted() {
    let good = (
        r#"{"device_id":"9","auth_factor_name":"Google Authenticator"}"#,
        r#"{"id":9,"auth_factor_name":"Google Authenticator"}"#,
    );
    for (second, first) in ODD_DEVICES {
        let lists = lists(
            &format!("{second},{},{second}", good.0),
            &format!("{first},{},{first}", good.1),
        );
        for list in lists {
            let list = list.unwrap_or_else(|error| panic!("{second}: {error:?}"));
            let ids: Vec<_> = list
                .usable
                .iter()
                .map(|device| device.id.as_str())
                .collect();
            assert_eq!(
                (ids, list.enrolled, list.odd),
                (vec!["9"], 3, 2),
                "{second}"
            );
        }
    }
}

#[test]
fn r01_a_list_of_odd_entries_alone_is_not_a_list_without_devices() {
    for (second, first) in ODD_DEVICES {
        for list in lists(second, first) {
            let list = list.unwrap_or_else(|error| panic!("{second}: {error:?}"));
            assert_eq!(
                (list.usable.len(), list.enrolled, list.odd),
                (0, 1, 1),
                "{second}"
            );
        }
    }
    for list in [
        "null",
        "{}",
        "\"\"",
        "7",
        r#"{"otp_devices":null}"#,
        "[null",
    ] {
        let first = format!(r#"{{{OK},"data":{{"otp_devices":{list}}}}}"#);
        assert!(otp_devices(&reply(200, &first)).is_err(), "{list}");
        assert!(devices(&reply(200, list), &[]).is_err(), "{list}");
    }
}

#[test]
fn what_a_device_does_not_need_may_have_any_type() {
    for odd in ["null", "7", "\"yes\"", "[]", "{}", "[true]", "1.5"] {
        let rest = format!(
            r#""user_display_name":{odd},"type_display_name":{odd},"default":{odd},"phone_number":{odd}"#
        );
        let lists = lists(
            &format!(r#"{{"device_id":3,"auth_factor_name":"SMS",{rest}}}"#),
            &format!(
                r#"{{"id":"3","auth_factor_name":"OneLogin SMS",{rest},"needs_trigger":{odd},"active":{odd}}}"#
            ),
        );
        for list in lists {
            let list = list.unwrap_or_else(|error| panic!("{odd}: {error:?}"));
            let [device] = list.usable.as_slice() else {
                panic!("{odd}: {list:?}");
            };
            assert_eq!(
                (device.id.as_str(), device.factor),
                ("3", Factor::Sms),
                "{odd}"
            );
            assert!(!device.default, "{odd}");
            assert_eq!((list.enrolled, list.odd), (1, 0), "{odd}");
        }
    }
}

#[test]
fn yes_and_no_are_read_as_text_and_as_number_too() {
    for (yes, no) in [("true", "false"), ("\"true\"", "\"false\""), ("1", "0")] {
        let read = |default: &str, needs_trigger: &str, active: &str| {
            let [second, first] = lists(
                &format!(r#"{{"device_id":3,"auth_factor_name":"OneLogin","default":{default}}}"#),
                &format!(
                    r#"{{"id":3,"auth_factor_name":"OneLogin Protect","default":{default},"needs_trigger":{needs_trigger},"active":{active}}}"#
                ),
            );
            (second.unwrap().usable, first.unwrap().usable)
        };
        let (second, first) = read(yes, yes, yes);
        assert!(second[0].default && first[0].default, "{yes}");
        assert_eq!(first[0].factor, Factor::Push, "{yes}");
        let (second, first) = read(no, no, yes);
        assert!(!second[0].default && !first[0].default, "{no}");
        assert_eq!(first[0].factor, Factor::ProtectCode, "{no}");
        assert!(read(yes, yes, no).1.is_empty(), "{no}");
    }
}

#[test]
fn r05_an_odd_entry_of_a_search_is_a_hit() {
    let one = r#"{"id":1,"username":"alice","state":1,"status":1}"#;
    for odd in [
        "null",
        "7",
        "{}",
        "[]",
        "\"\"",
        r#"{"id":null}"#,
        r#"{"id":2,"id":3}"#,
    ] {
        for list in [
            format!("{one},{odd}"),
            format!("{odd},{one}"),
            format!("{odd},{odd}"),
        ] {
            assert_eq!(search(&format!("[{list}]")), Ok(Found::Several), "{list}");
            let candidate = candidate(&reply(200, &format!("[{list}]")));
            assert_eq!(candidate.unwrap(), Candidate::Several, "{list}");
        }
        // Alone it leads to nobody, and is not nobody.
        assert_eq!(
            search(&format!("[{odd}]")),
            Err(ApiTrouble::BadReply),
            "{odd}"
        );
        assert!(
            candidate(&reply(200, &format!("[{odd}]"))).is_err(),
            "{odd}"
        );
    }
}

#[test]
fn r05_attributes_that_are_not_compared_may_have_any_type() {
    let one = Ok(Found::One(UserId::parse("1").unwrap()));
    for odd in ["null", "7", "true", "[]", "{}", "1.5", "[{\"a\":1}]"] {
        let body = format!(
            r#"[{{"id":1,"username":"alice","email":{odd},"samaccountname":{odd},"userprincipalname":{odd},"external_id":{odd},"custom_attributes":{odd},"locked_until":{odd},"state":1,"status":1}}]"#
        );
        assert_eq!(search(&body), one, "{odd}");
        // The one that is compared is text, and nothing is made of anything else.
        let body = format!(r#"[{{"id":1,"username":{odd},"state":1,"status":1}}]"#);
        assert_eq!(search(&body), Ok(Found::Other), "{odd}");
    }
    let body = r#"[{"id":1,"username":7,"state":1,"status":1}]"#;
    assert_eq!(by(&Attribute::Username, "7", false, body), Ok(Found::Other));
}

#[test]
fn r05_a_state_of_an_odd_type_is_not_active() {
    for odd in ["null", "\"1\"", "1.0", "true", "[1]", "{}", "\"active\""] {
        for (state, status) in [(odd, "1"), ("1", odd), (odd, odd)] {
            let body =
                format!(r#"[{{"id":1,"username":"alice","state":{state},"status":{status}}}]"#);
            assert_eq!(search(&body), Ok(Found::Inactive), "{body}");
        }
    }
}

#[test]
fn a_begun_verification_or_enrolment_is_read_under_202_and_with_odd_data() {
    let ids = id();
    let ours = ours(&ids);
    for status in [200, 201, 202] {
        for data in [
            "[]",
            "null",
            "{}",
            "\"\"",
            "7",
            r#"{"verification_token":[]}"#,
        ] {
            let body = format!(r#"{{"id":"v-1","user_id":1001,"factor_data":{data}}}"#);
            let begun = activation(&reply(status, &body), ours);
            let begun = begun.unwrap_or_else(|error| panic!("{status} {data}: {error:?}"));
            assert_eq!((begun.id.as_str(), begun.digits), ("v-1", None), "{data}");
            let begun = registration(&reply(status, &body), &ids.0);
            let begun = begun.unwrap_or_else(|error| panic!("{status} {data}: {error:?}"));
            assert!(begun.address.is_none() && begun.token.is_none(), "{data}");
        }
        let odd = r#"{"id":"v-1","factor_data":{"verification_token":"012345","totp_url":[]}}"#;
        let begun = activation(&reply(status, odd), ours).unwrap();
        assert_eq!(begun.digits.as_deref(), Some("012345"));
        let token =
            format!(r#"{{{OK},"data":[{{"id":1001,"device_id":501,"state_token":"a1"}}]}}"#);
        assert_eq!(
            trigger(&reply(status, &token), ours).unwrap().id.as_str(),
            "a1"
        );
    }
}

#[test]
fn r06_pending_and_rejected_are_read_under_202_and_an_acceptance_is_not() {
    for verify in [Verify::Code, Verify::Poll] {
        for word in ["pending", "rejected"] {
            let body = format!(r#"{{"id":"v-1","status":"{word}"}}"#);
            assert_eq!(read(verify, 202, &body), word);
            assert_eq!(read(verify, 202, &format!("[{body}]")), word);
        }
        for body in [r#"{"id":"v-1","status":"accepted"}"#, SUCCESS] {
            assert_eq!(read(verify, 202, body), "BadReply", "{body}");
        }
    }
    let ours = RegistrationId::parse("r-1").unwrap();
    for (word, known) in [
        ("pending", Some(Enrolment::Pending)),
        ("rejected", Some(Enrolment::Rejected)),
        ("accepted", None),
    ] {
        let body = format!(r#"{{"id":"r-1","status":"{word}"}}"#);
        let read = enrolment(Verify::Poll, &reply(202, &body), &ours);
        assert_eq!(read.ok(), known, "{word}");
    }
}

#[test]
fn r06_beside_an_acceptance_stands_no_error_but_one_that_is_literally_false() {
    for (error, accepted) in [
        ("false", true),
        ("null", true),
        ("true", false),
        ("0", false),
        ("\"\"", false),
        ("\"false\"", false),
        ("[]", false),
        ("{}", false),
        ("[false]", false),
    ] {
        let body = format!(r#"{{"id":"v-1","status":"accepted","error":{error}}}"#);
        for verify in [Verify::Code, Verify::Poll] {
            for body in [body.clone(), format!("[{body}]")] {
                let read = read(verify, 200, &body);
                assert_eq!(read == "accepted", accepted, "{body}");
                assert!(accepted || read == "BadReply", "{body}");
            }
        }
    }
    for mark in ["errors", "statusCode", "code", "name", "message", "data"] {
        let body = format!(r#"{{"id":"v-1","status":"accepted","error":false,"{mark}":false}}"#);
        assert_eq!(read(Verify::Poll, 200, &body), "BadReply", "{mark}");
    }
    // The other shape says it within.
    let body = format!(r#"{{{OK},"error":false}}"#);
    assert_eq!(read(Verify::Code, 200, &body), "BadReply");
}

#[test]
fn marks_of_an_error_beside_pending_or_rejected_end_nothing() {
    for word in ["pending", "rejected"] {
        for mark in [
            r#""error":true"#,
            r#""message":"Authentication pending""#,
            r#""data":{}"#,
            r#""code":200"#,
        ] {
            let body = format!(r#"{{"id":"v-1","status":"{word}",{mark}}}"#);
            for verify in [Verify::Code, Verify::Poll] {
                assert_eq!(read(verify, 200, &body), word, "{body}");
            }
        }
    }
    assert_eq!(
        read(Verify::Poll, 200, r#"{"id":"v-2","status":"pending"}"#),
        "BadReply"
    );
}

#[test]
fn r17_the_times_of_a_token_are_read_as_text_and_as_number() {
    let expires = |created: &str, life: &str| {
        let body = format!(r#"{{"access_token":"t","created_at":{created},"expires_in":{life}}}"#);
        let token = super::token(&reply(200, &body));
        token
            .unwrap_or_else(|error| panic!("{body}: {error:?}"))
            .expires
    };
    let text = "\"2026-01-01T00:00:00Z\"";
    let end = Some(1_767_225_600 + 36_000);
    assert_eq!(expires(text, "36000"), end);
    assert_eq!(expires(text, "\"36000\""), end);
    assert_eq!(expires("1767225600", "36000"), end);
    assert_eq!(expires("1767225600", "\"36000\""), end);
    // Milliseconds would be an end that never comes.
    for odd in [
        "1767225600000",
        "-1",
        "1.5",
        "true",
        "[]",
        "{}",
        "\"1767225600\"",
    ] {
        assert_eq!(expires(odd, "36000"), None, "{odd}");
    }
    for odd in [
        "null",
        "-1",
        "1.5",
        "true",
        "[]",
        "{}",
        "\"\"",
        "\"ten hours\"",
        "\"+5\"",
    ] {
        assert_eq!(expires(text, odd), None, "{odd}");
    }
}

#[test]
fn a_token_is_read_out_of_an_object_and_out_of_a_list_in_an_object() {
    let token = r#"{"access_token":"t0k","created_at":"2026-01-01T00:00:00Z","expires_in":36000}"#;
    let status = r#""status":{"error":false,"code":200,"type":"success","message":"Success"}"#;
    for body in [
        format!(r#"{{"data":{token}}}"#),
        format!(r#"{{{status},"data":{token}}}"#),
        format!(r#"{{"data":[{token}]}}"#),
        format!(r#"{{{status},"data":[{token}]}}"#),
    ] {
        let read = super::token(&reply(200, &body));
        let read = read.unwrap_or_else(|error| panic!("{body}: {error:?}"));
        assert_eq!(read.bearer.expose(), "t0k", "{body}");
        assert_eq!(read.expires, Some(1_767_225_600 + 36_000), "{body}");
    }
    for body in [
        format!(r#"{{"data":{{"data":{token}}}}}"#),
        format!(r#"{{"data":[[{token}]]}}"#),
        format!("[{token}]"),
        r#"{"data":["t0k"]}"#.to_owned(),
        r#"{"data":"t0k"}"#.to_owned(),
        r#"{"data":[]}"#.to_owned(),
    ] {
        assert!(super::token(&reply(200, &body)).is_err(), "{body}");
    }
}

/// As recorded from the service: every user of a tenant without `username`, with null for what a
/// directory would fill.
#[test]
fn a_user_as_recorded_is_found_by_e_mail_and_not_by_an_empty_username() {
    let body = r#"[{"id":123456789,"username":"","email":"alice@example.com","samaccountname":null,"userprincipalname":null,"distinguished_name":null,"external_id":null,"directory_id":null,"member_of":null,"group_id":null,"role_ids":[1,2],"openid_name":"alice","locked_until":null,"invitation_sent_at":"2021-05-04T12:00:00.000Z","preferred_locale_code":null,"custom_attributes":null,"state":1,"status":1}]"#;
    let one = Ok(Found::One(UserId::parse("123456789").unwrap()));
    assert_eq!(by(&Attribute::Email, "alice@example.com", false, body), one);
    for attribute in [
        Attribute::Username,
        Attribute::SamAccountName,
        Attribute::UserPrincipalName,
        Attribute::ExternalId,
    ] {
        assert_eq!(by(&attribute, "alice", false, body), Ok(Found::Other));
    }
}

/// As in a fixture that looks like a reply: Protect once, beside an authenticator; neither is the
/// default.
#[test]
fn devices_as_recorded_are_read_though_none_is_the_default() {
    let body = format!(
        r#"{{{OK},"data":{{"otp_devices":[
        {{"active":true,"default":false,"auth_factor_name":"OneLogin Protect","type_display_name":"OneLogin Protect","needs_trigger":true,"user_display_name":"OneLogin Protect","id":1234567}},
        {{"active":true,"default":false,"auth_factor_name":"Google Authenticator","type_display_name":"Google Authenticator","needs_trigger":false,"user_display_name":"Google Authenticator","id":"7654321"}}
    ]}}}}"#
    );
    let first = otp_devices(&reply(200, &body)).unwrap();
    let numbers = r#"[
        {"device_id":1234567,"user_display_name":"Phone","type_display_name":"OneLogin Protect","auth_factor_name":"OneLogin","default":false},
        {"device_id":"7654321","user_display_name":"App","type_display_name":"Google Authenticator","auth_factor_name":"Google Authenticator","default":false}
    ]"#;
    let second = devices(&reply(200, numbers), &[]).unwrap();
    for list in [first, second] {
        let seen: Vec<_> = list
            .usable
            .iter()
            .map(|device| (device.id.as_str(), device.factor, device.default))
            .collect();
        assert_eq!(
            seen,
            [
                ("1234567", Factor::Push, false),
                ("7654321", Factor::Totp, false)
            ]
        );
        assert_eq!((list.enrolled, list.odd), (2, 0));
    }
    let none = format!(r#"{{"data":{{"otp_devices":[]}},{OK}}}"#);
    assert_eq!(otp_devices(&reply(200, &none)).unwrap().enrolled, 0);
}

#[test]
fn a_registration_that_is_answered_as_an_object_or_in_a_list_is_read() {
    let user = UserId::parse("1001").unwrap();
    let object = r#"{"id":"0ca1e6ff-0000-4a9e-9a61-1f2e3d4c5b6a","status":"pending","expires_at":"2024-12-01T10:00:00Z","auth_factor_name":"OneLogin","type_display_name":"OneLogin Protect","user_display_name":"Phone","factor_data":{"verification_token":"01-1912451"}}"#;
    for body in [object.to_owned(), format!("[{object}]")] {
        let begun = registration(&reply(201, &body), &user).unwrap();
        assert_eq!(begun.id.as_str(), "0ca1e6ff-0000-4a9e-9a61-1f2e3d4c5b6a");
        assert!(begun.token.is_some() && begun.address.is_none());
    }
}

#[test]
fn an_odd_entry_among_the_factors_is_skipped() {
    for odd in [
        "null",
        "{}",
        r#"{"factor_id":null,"name":"A","auth_factor_name":"SMS"}"#,
        r#"{"factor_id":1,"name":"A","auth_factor_name":null}"#,
    ] {
        let good = r#"{"factor_id":2,"name":"Protect","auth_factor_name":"OneLogin"}"#;
        let body = format!("[{odd},{good}]");
        let factors = factors(&reply(200, &body), &[]).unwrap();
        let seen: Vec<_> = factors.iter().map(|factor| factor.id).collect();
        assert_eq!(seen, [2], "{odd}");
    }
}

//! Replies by tables: what is an acceptance, and everything that is not (rules R5, R6).

use super::*;

fn reply(status: u16, body: &str) -> Reply {
    Reply {
        status,
        body: body.as_bytes().to_vec(),
        request_id: None,
    }
}

fn id() -> (UserId, DeviceId, VerificationId) {
    (
        UserId::parse("1001").unwrap(),
        DeviceId::parse("501").unwrap(),
        VerificationId::parse("v-1").unwrap(),
    )
}

/// What is made of a reply: `accepted`, `pending`, `rejected`, or the kind of trouble.
fn read(verify: Verify, status: u16, body: &str) -> String {
    let (user, device, verification) = id();
    let ours = Ours {
        user: &user,
        device: &device,
        verification: Some(&verification),
    };
    match answer(verify, &reply(status, body), ours) {
        Ok(Answer::Accepted(_)) => "accepted".to_owned(),
        Ok(Answer::Pending) => "pending".to_owned(),
        Ok(Answer::Rejected) => "rejected".to_owned(),
        Err(error) => format!("{:?}", error.trouble),
    }
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
            assert_eq!(
                read(Verify::Code, status, body),
                "accepted",
                "{status} {body}"
            );
        }
        for body in [
            r#"{"id":"v-1","status":"accepted","device_id":"501"}"#,
            r#" [ {"id":"v-1","status":"accepted","device_id":501} ] "#,
        ] {
            assert_eq!(
                read(Verify::Poll, status, body),
                "accepted",
                "{status} {body}"
            );
        }
    }
}

#[test]
fn r06_pending_and_rejected_are_told_apart() {
    assert_eq!(
        read(Verify::Poll, 200, r#"{"id":"v-1","status":"pending"}"#),
        "pending"
    );
    assert_eq!(
        read(Verify::Poll, 200, r#"[{"id":"v-1","status":"rejected"}]"#),
        "rejected"
    );
    assert_eq!(
        read(Verify::Code, 200, r#"{"status":"pending"}"#),
        "pending"
    );
    assert_eq!(
        read(
            Verify::Code,
            401,
            r#"{"statusCode":401,"name":"InvalidCredentials"}"#
        ),
        "rejected"
    );
    assert_eq!(read(Verify::Code, 422, ""), "rejected");
    assert_eq!(read(Verify::Poll, 401, ""), "Credential");
}

#[test]
#[allow(clippy::too_many_lines)] // one table
fn r06_nothing_else_is_an_acceptance() {
    let cases = [
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
        // other shapes under 200
        (200, ""),
        (200, "OK"),
        (200, "accepted"),
        (200, "\"accepted\""),
        (200, "null"),
        (200, "true"),
        (200, "{}"),
        (200, "[]"),
        (200, r#"{"status":null}"#),
        (200, r#"{"status":true}"#),
        (200, r#"{"status":"Accepted"}"#),
        (200, r#"{"status":"accepted "}"#),
        (200, r#"{"status":"success"}"#),
        (200, r#"{"Status":"accepted"}"#),
        (200, r#"{"data":{"status":"accepted"}}"#),
        (200, r#"{"data":[{"status":"accepted"}]}"#),
        (200, r#"{"status":{"status":"accepted"}}"#),
        (200, r#"{"status":["accepted"]}"#),
        (200, r#"{"message":"accepted"}"#),
        (200, r#"[{"status":"accepted"},{"status":"accepted"}]"#),
        (200, r#"[[{"status":"accepted"}]]"#),
        (
            200,
            r#"[{"status":{"type":"success","code":200,"message":"Success","error":false}}]"#,
        ),
        (200, r#"{"status":"accepted"} {"status":"rejected"}"#),
        (200, r#"{"status":"accepted","status":"rejected"}"#),
        (200, r#"{"status":"rejected","status":"accepted"}"#),
        (200, r#"{"status":"accepted""#),
        // the object that the Login API uses for "not yet", and its neighbours
        (
            200,
            r#"{"status":{"type":"pending","code":200,"message":"Authentication pending on OL Protect","error":false}}"#,
        ),
        (
            200,
            r#"{"status":{"type":"success","code":200,"message":"Authentication pending on OL Protect","error":false}}"#,
        ),
        (
            200,
            r#"{"status":{"type":"success","code":200,"message":"MFA is required for this user","error":false}}"#,
        ),
        (
            200,
            r#"{"status":{"type":"success","code":200,"message":"Success","error":true}}"#,
        ),
        (
            200,
            r#"{"status":{"type":"success","code":401,"message":"Success","error":false}}"#,
        ),
        (
            200,
            r#"{"status":{"type":"success","code":"200","message":"Success","error":false}}"#,
        ),
        (
            200,
            r#"{"status":{"type":"Success","code":200,"message":"Success","error":false}}"#,
        ),
        (
            200,
            r#"{"status":{"type":"success","code":200,"error":false}}"#,
        ),
        (
            200,
            r#"{"status":{"code":200,"message":"Success","error":false}}"#,
        ),
        (
            200,
            r#"{"error":false,"code":200,"type":"success","message":"Success"}"#,
        ),
        // an error beside the acceptance
        (200, r#"{"status":"accepted","statusCode":401}"#),
        (200, r#"{"status":"accepted","error":true}"#),
        (200, r#"{"status":"accepted","errors":[]}"#),
        (200, r#"{"status":"accepted","name":"InvalidCredentials"}"#),
        // somebody else's
        (200, r#"{"status":"accepted","user_id":"1002"}"#),
        (200, r#"{"status":"accepted","user_id":""}"#),
        (200, r#"{"status":"accepted","device_id":"502"}"#),
        (200, r#"{"status":"accepted","id":"v-2"}"#),
        (
            200,
            r#"[{"status":"accepted","id":"v-2","device_id":"501"}]"#,
        ),
        (
            200,
            r#"{"status":{"type":"success","code":200,"message":"Success","error":false},"user_id":1002}"#,
        ),
        (
            200,
            r#"{"status":"accepted","device_id":null,"user_id":-1}"#,
        ),
    ];
    for (status, body) in cases {
        for verify in [Verify::Code, Verify::Poll] {
            assert_ne!(read(verify, status, body), "accepted", "{status} {body}");
        }
    }
}

#[test]
fn r06_a_poll_reply_must_carry_our_verification() {
    assert_eq!(
        read(Verify::Poll, 200, r#"{"status":"accepted"}"#),
        "BadReply"
    );
    assert_eq!(read(Verify::Poll, 200, SUCCESS), "BadReply");
    assert_eq!(
        read(Verify::Poll, 200, r#"{"id":null,"status":"accepted"}"#),
        "BadReply"
    );
    assert_eq!(
        read(Verify::Poll, 200, r#"{"id":"v-2","status":"pending"}"#),
        "BadReply"
    );
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
    let (user, device, _) = id();
    let ours = Ours {
        user: &user,
        device: &device,
        verification: None,
    };
    let read = |status, body: &str| activation(&reply(status, body), ours);
    for body in [
        r#"{"id":"v-1","user_id":"1001","device_id":501,"expires_at":"x"}"#,
        r#"[{"id":"v-1","user_id":1001,"device_id":"501"}]"#,
        r#"{"id":"v-1"}"#,
    ] {
        assert_eq!(read(201, body).unwrap().as_str(), "v-1");
        assert_eq!(read(200, body).unwrap().as_str(), "v-1");
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
        assert_eq!(
            read(201, body).unwrap_err().trouble,
            Trouble::BadReply,
            "{body}"
        );
    }
    assert_eq!(read(401, "").unwrap_err().trouble, Trouble::Credential);
    assert_eq!(
        read(202, r#"{"id":"v-1"}"#).unwrap_err().trouble,
        Trouble::BadReply
    );
}

fn search(body: &str) -> Result<Found, Trouble> {
    user(&reply(200, body), Attribute::Username, "alice", false).map_err(|error| error.trouble)
}

#[test]
fn r05_a_user_is_one_hit_that_is_equal_and_active() {
    let alice = UserId::parse("1001").unwrap();
    assert_eq!(
        search(r#"[{"id":1001,"username":"alice","state":1,"status":1}]"#),
        Ok(Found::One(alice))
    );
    assert_eq!(search("[]"), Ok(Found::Nobody));
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
        one,
        "null",
        r#"[{"username":"alice","state":1,"status":1}]"#,
        r#"[{"id":"1/2","username":"alice","state":1,"status":1}]"#,
    ] {
        assert_eq!(search(body), Err(Trouble::BadReply), "{body}");
    }
}

#[test]
fn r05_case_is_ignored_only_where_the_admin_says_so() {
    let body = r#"[{"id":1,"email":"Alice@Example.com","state":1,"status":1}]"#;
    let search = |ignore| {
        user(
            &reply(200, body),
            Attribute::Email,
            "alice@example.com",
            ignore,
        )
        .unwrap()
    };
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
    let devices = devices(&reply(200, body)).unwrap();
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
    for body in ["{}", "", r#"[{"auth_factor_name":"SMS"}]"#] {
        let error = super::devices(&reply(200, body)).unwrap_err();
        assert_eq!(error.trouble, Trouble::BadReply, "{body}");
    }
}

#[test]
fn r17_a_token_lasts_from_created_at() {
    let flat = r#"{"access_token":"t0k","created_at":"2026-01-01T00:00:00.123Z","expires_in":36000,"token_type":"bearer"}"#;
    let token = super::token(&reply(200, flat)).unwrap();
    assert_eq!(token.expires, Some(1_767_225_600 + 36_000));
    assert_eq!(token.bearer.len(), 3);
    let wrapped = format!(r#"{{"status":{{"error":false,"code":200}},"data":[{flat}]}}"#);
    assert_eq!(
        super::token(&reply(200, &wrapped)).unwrap().expires,
        token.expires
    );
    for created in ["null", "\"yesterday\"", "\"\""] {
        let body = format!(r#"{{"access_token":"t","created_at":{created},"expires_in":1}}"#);
        assert_eq!(super::token(&reply(200, &body)).unwrap().expires, None);
    }
    let huge = r#"{"access_token":"t","created_at":"2026-01-01T00:00:00Z","expires_in":18446744073709551615}"#;
    assert_eq!(
        super::token(&reply(200, huge)).unwrap().expires,
        Some(u64::MAX)
    );
}

#[test]
fn an_error_instead_of_a_token_concerns_the_credential() {
    let trouble = |status, body: &str| super::token(&reply(status, body)).err().unwrap().trouble;
    let error = r#"{"status":{"error":true,"code":401,"type":"Unauthorized","message":"Authentication Failure"}}"#;
    assert_eq!(trouble(200, error), Trouble::Credential);
    assert_eq!(trouble(401, error), Trouble::Credential);
    assert_eq!(trouble(400, ""), Trouble::Credential);
    assert_eq!(trouble(500, ""), Trouble::ServerError);
    assert_eq!(trouble(503, "<html>"), Trouble::Gateway);
    assert_eq!(trouble(302, ""), Trouble::Redirected);
    assert_eq!(trouble(200, "<html>"), Trouble::BadReply);
    assert_eq!(trouble(200, r#"{"access_token":""}"#), Trouble::BadReply);
    assert_eq!(
        trouble(200, "{\"access_token\":\"a\\r\\nHost: evil\"}"),
        Trouble::BadReply
    );
}

#[test]
fn each_shape_of_error_is_named_in_the_log() {
    let detail = |status, body: &str| problem(&reply(status, body), Names::AndMessages).detail;
    assert_eq!(
        detail(
            403,
            r#"{"statusCode":403,"name":"ForbiddenAction","message":"No\u001b[2J way"}"#
        ),
        "status=403 ForbiddenAction: No[2J way"
    );
    assert_eq!(
        detail(
            401,
            r#"{"status":{"error":true,"code":401,"type":"Unauthorized","message":"Authentication Failure"}}"#
        ),
        "status=401 Unauthorized: Authentication Failure"
    );
    assert_eq!(
        detail(
            400,
            r#"{"status":{"type":"bad request","message":{"description":"x"}}}"#
        ),
        "status=400 bad request"
    );
    assert_eq!(detail(500, "<html>"), "status=500");
    assert_eq!(detail(504, ""), "status=504");
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

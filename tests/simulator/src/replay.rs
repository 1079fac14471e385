//! Answers from a tape: the requests must arrive in its order and its form. `tape/` compares and fills in.

use pam_onelogin_tape::{Authorization, RawRequest, Served};
use serde_json::json;
use time::OffsetDateTime;

use crate::http::{Incoming, Reply, pairs};
use crate::server::Answer;
use crate::state::{State, http_date};

/// The status of a reply to a request that is not that of the tape. No server of `OneLogin` sends it.
const MISMATCH: u16 = 599;

/// The answer of the tape; `None` if no tape is replayed.
pub(crate) fn answer(state: &mut State, request: &Incoming) -> Option<Answer> {
    let tape = state.replay.as_mut()?;
    let query = pairs(&request.query);
    let query: Vec<(&str, &str)> = query
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let authorization = request.header("authorization").unwrap_or_default();
    let is_bearer = authorization.to_ascii_lowercase().starts_with("bearer");
    let served = tape.serve(
        &RawRequest {
            method: &request.method,
            path: &request.path,
            query: &query,
            authorization: if is_bearer {
                Authorization::Bearer
            } else {
                Authorization::Client
            },
            body: Some(request.body.as_bytes()).filter(|body| !body.is_empty()),
        },
        OffsetDateTime::now_utc(),
    );
    Some(match served {
        Served::Close => Answer::Drop,
        Served::Silence => Answer::Silence,
        Served::Mismatch(what) => Answer::Reply(Reply::new(
            MISMATCH,
            &json!({"message": "This is not the request of the tape.", "what": what}),
        )),
        Served::Reply {
            status,
            headers,
            body,
        } => {
            let reply = Reply::new(status, &body);
            let reply = Reply { headers, ..reply };
            Answer::Reply(reply.header("Date", &http_date(0)))
        }
    })
}

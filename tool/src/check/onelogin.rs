//! OneLogin as this host sees it: the way there, the certificate, the clock, and what the credentials may do.
//! By the module's own code; nothing is sent to a person, and nothing is written at OneLogin.

mod certificate;
mod credential;
mod network;
mod replies;

use crate::check::Subject;
use crate::ui::finding::Finding;
use pam_onelogin::config::file::load;
use pam_onelogin::host::uids;
use pam_onelogin::login::{ApiError, Trouble};
use pam_onelogin::onelogin::http::Http;
use pam_onelogin::trust::Trusted;
use replies::Replies;

/// Looks at OneLogin.
pub(super) fn examine(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let trusted = Trusted::of(uids());
    let Ok(loaded) = load(subject.config, trusted) else {
        let what = "OneLogin was not asked: the configuration must be right first";
        findings.push(Finding::note("not-asked", what));
        return;
    };
    let mut http = Http::new(&loaded.config, trusted, None);
    if !network::examine(&loaded.config, &mut http, findings) {
        return;
    }
    let mut replies = Replies::of(&mut http);
    credential::examine(subject, &loaded, &mut replies, findings);
    replies.clock(findings);
    replies.dialect(findings);
}

/// What is behind an error that says nothing of a credential.
fn trouble(error: &ApiError) -> Finding {
    let detail = &error.detail;
    match error.trouble {
        Trouble::RateLimited => {
            let when = error.retry_after.map_or(String::new(), |time| {
                format!(", for {} s more", time.as_secs())
            });
            Finding::fault(
                "rate-limited",
                format!("OneLogin takes no more calls{when}: {detail}"),
            )
            .why("logins are denied, reason=rate-limited")
            .advice("find out which client of the account asks so much")
        }
        Trouble::Gateway | Trouble::ServerError => {
            Finding::fault("onelogin-down", format!("OneLogin is in trouble: {detail}"))
                .why("logins are denied meanwhile")
                .advice("try again; look at OneLogin's status page")
        }
        Trouble::Timeout => Finding::fault("timeout", format!("OneLogin is too slow: {detail}"))
            .why("logins are denied, reason=timeout")
            .advice("look at the way there, then raise onelogin.request_timeout"),
        Trouble::BadReply | Trouble::Redirected => Finding::fault(
            "no-onelogin",
            format!("what answers there does not speak OneLogin's API: {detail}"),
        )
        .why("logins are denied")
        .advice("compare onelogin.url with the address at which you administer OneLogin"),
        Trouble::NoConnection
        | Trouble::NoSuchHost
        | Trouble::Broken
        | Trouble::NotFound
        | Trouble::RequestRefused
        | Trouble::Tls
        | Trouble::Credential
        | Trouble::Local
        | Trouble::Interrupted => {
            Finding::fault("onelogin", format!("OneLogin gave no answer: {detail}"))
                .why("logins are denied")
        }
    }
}

//! OneLogin as this host sees it: the network path, the certificate, the clock, and what the credentials may
//! do. It uses the module's own code, sends nothing to a user and changes nothing at OneLogin.

use crate::examine::config::place_of;
use crate::examine::replies::Replies;
use crate::examine::subject::Subject;
use crate::examine::{credential, network};
use crate::ui::finding::Finding;
use pam_onelogin::config::file::load;
use pam_onelogin::host::uids;
use pam_onelogin::onelogin::http::{Http, certificate_end};
use pam_onelogin::trust::Trusted;

/// Looks at OneLogin.
pub(crate) fn examine(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let trusted = Trusted::of(uids());
    let Ok(loaded) = load(subject.config, trusted) else {
        let what = "OneLogin was not contacted: correct the configuration first";
        findings.push(Finding::note("not-asked", what));
        return;
    };
    let certificate = loaded.config.onelogin.access.certificate();
    if certificate.is_some_and(|files| certificate_end(files, trusted).is_err()) {
        let what = "the gateway was not contacted: install a usable client certificate first";
        findings.push(Finding::note("not-asked", what));
        return;
    }
    let mut http = Http::new(&loaded.config, trusted, None);
    let server = match &loaded.config.onelogin.http_proxy {
        None => "onelogin.url",
        Some(_) => "onelogin.http_proxy",
    };
    let place = place_of(subject, server);
    let ca_place = place_of(subject, "onelogin.ca_file");
    if !network::examine(&loaded.config, &place, &ca_place, &mut http, findings) {
        return;
    }
    let mut replies = Replies::of(&mut http);
    credential::examine(subject, &loaded, &mut replies, findings);
    replies.clock(findings);
    replies.dialect(findings);
}

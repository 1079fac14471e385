//! The changes of `enable` that are on trial now, as `check` and `status` report them.

use crate::change::record::Store;
use crate::change::service::Service;
use crate::host::dates::text_of;
use crate::ui::finding::{Finding, Place};
use pam_onelogin::clock::unix_now;
use serde::Serialize;
use std::path::PathBuf;
use time::OffsetDateTime;

/// A change that is rolled back unless it is confirmed.
#[derive(Serialize)]
pub(crate) struct OnTrial {
    #[serde(skip)]
    of: Service,
    service: &'static str,
    /// Seconds since 1970.
    until: u64,
    left_seconds: i64,
    files: Vec<PathBuf>,
}

impl OnTrial {
    /// All of this host; none if this user may not read the records.
    pub(crate) fn all() -> Vec<Self> {
        let records = Service::EACH.into_iter().filter_map(|service| {
            let record = Store::on_trial(service).ok().flatten()?;
            Some((service, record))
        });
        let waiting = records.filter(|(_, record)| !record.is_overdue());
        waiting
            .map(|(of, record)| {
                let left_seconds = record.left();
                let files = record.files.into_iter().map(|file| file.path);
                Self {
                    of,
                    service: of.name(),
                    until: unix_now().saturating_add_signed(left_seconds),
                    left_seconds,
                    // Below /var are notes of pam-auth-update.
                    files: files.filter(|path| !path.starts_with("/var")).collect(),
                }
            })
            .collect()
    }

    /// Whether it may change logins of this service.
    pub(crate) fn concerns(&self, service: &str) -> bool {
        self.of.logins().contains(&service)
    }

    /// As a finding of `check`.
    pub(crate) fn finding(&self) -> Finding {
        let name = self.service;
        let what = format!(
            "the change of {name} by enable is on trial until {}",
            self.moment()
        );
        let place = self.files.first().map(|path| Place::of(path, None));
        Finding::warning("on-trial", what)
            .of(place)
            .why(
                "if it is not confirmed, the files are rolled back at that time, even if the window of enable is \
                 closed; this report then no longer fits",
            )
            .advice(format!("{}; {}", self.confirm(), self.undo()))
    }

    /// The lines of `status`.
    pub(crate) fn lines(&self) -> Vec<String> {
        vec![
            format!(
                "  {:<8}rolled back at {}, in {} s, unless it is confirmed",
                self.service,
                self.moment(),
                self.left_seconds
            ),
            format!("  {:<8}{}", "", self.confirm()),
            format!("  {:<8}{}", "", self.undo()),
        ]
    }

    /// How to keep it.
    pub(crate) fn confirm(&self) -> String {
        let name = self.service;
        format!(
            "to keep it, log in from a second window: {}; then, as root, type: pam-onelogin confirm {name}",
            self.of.second_login("USER")
        )
    }

    fn undo(&self) -> String {
        let name = self.service;
        format!("to undo it now, as root, type: pam-onelogin disable {name}")
    }

    fn moment(&self) -> String {
        let moment = i64::try_from(self.until).ok();
        let moment = moment.and_then(|until| OffsetDateTime::from_unix_timestamp(until).ok());
        moment.map(text_of).unwrap_or_default()
    }
}

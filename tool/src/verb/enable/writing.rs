//! Writes the change of `enable`, with a record and with what rolls it back, and waits for the confirmation.

use crate::change::drop_in::Whose;
use crate::change::record::{Record, Store};
use crate::change::service::Service;
use crate::change::{drop_in, undo, watchdog};
use crate::host::files;
use crate::outcome::{Exit, Failure};
use crate::ui::console::Console;
use crate::ui::terminal::{HeldInterrupts, Typing, discard_typed, is_yes, line_within};
use crate::verb::confirm::keep;
use crate::verb::enable::planning::Change;
use pam_onelogin::state::State;
use std::time::Duration;

/// What is known when a change is written.
pub(crate) struct Writing<'a> {
    pub(crate) console: &'a Console,
    pub(crate) service: Service,
    pub(crate) whose: Whose<'a>,
    /// What to change so that sudo asks this user, if it skips the stack.
    pub(crate) skipped: Option<String>,
    /// The time for a confirmation, if the change needs one.
    pub(crate) seconds: Option<u32>,
    pub(crate) state: &'a State,
}

impl Writing<'_> {
    /// Writes the new stacks, with a record, and with a process that rolls them back.
    pub(crate) fn write(&self, change: &Change) -> Result<Record, Failure> {
        let store = Store::open()?;
        refuse_while_changing(self.service)?;
        self.refuse_what_has_changed(change)?;
        let seconds = self.seconds.unwrap_or(WRITING);
        let (plans, through) = (&change.plans, &change.through);
        let mut record = store.begin(self.service, plans, through, i64::from(seconds))?;
        let written = self
            .write_on_record(change)
            .and_then(|()| match self.seconds {
                Some(_) => store.written(&mut record),
                None => store.keep(&record),
            });
        match written {
            Ok(()) => Ok(record),
            // All of it or nothing.
            Err(mut failure) => {
                failure.0.push(match store.put_back(&record) {
                    Ok(()) => "nothing was changed".to_owned(),
                    Err(_) => {
                        "some files were changed; to roll them back, type: pam-onelogin restore"
                            .to_owned()
                    }
                });
                Err(failure)
            }
        }
    }

    /// Refuses a change if a file or a setting of sshd is no longer as it was when the change was shown.
    fn refuse_what_has_changed(&self, change: &Change) -> Result<(), Failure> {
        if self.service == Service::Sshd {
            let needs = drop_in::needs(self.whose, Some(change.behind))?;
            let is_known = |text| change.objections.contains(text);
            let is_planned = change.plans.iter().any(|plan| drop_in::reads(&plan.path));
            if needs.file.is_some() != is_planned || !needs.objections.iter().all(is_known) {
                return Err(Failure::new(
                    "the settings of sshd have changed in the meantime; nothing was written; run the \
                     command again",
                ));
            }
        }
        for plan in &change.plans {
            if files::snapshot(&plan.path)? != plan.before {
                return Err(Failure::at(
                    &plan.path,
                    "has changed in the meantime; nothing was written; run the command again",
                ));
            }
        }
        Ok(())
    }

    fn write_on_record(&self, change: &Change) -> Result<(), Failure> {
        if let Some(seconds) = self.seconds {
            for service in &change.through {
                self.state.watch(service).map_err(|error| {
                    Failure::new(format!(
                        "the module could not record an accepted login: {error}"
                    ))
                })?;
            }
            watchdog::start(self.console, self.service, seconds)?;
        }
        for plan in &change.plans {
            files::put(&plan.path, &plan.after, &plan.metadata())?;
            if drop_in::reads(&plan.path) {
                drop_in::take_effect(self.whose.user, change.behind)?;
            }
        }
        Ok(())
    }

    /// Waits until the administrator confirms the change, here or with `confirm`; or rolls it back.
    pub(crate) fn await_confirmation(&self, record: &Record) -> Result<Exit, Failure> {
        let (console, service) = (self.console, self.service);
        let name = service.name();
        // Before the text says what may be typed: what came earlier does not answer it.
        let interrupts = HeldInterrupts::start();
        discard_typed();
        console.note(&format!(
            "The new stack is active for {} s. Keep this window open, and log in from a second one:\n    {}\n\
             If that works, type yes here, or type there: sudo pam-onelogin confirm {name}\n\
             If not, press Ctrl-C here, or type in another window, as root: pam-onelogin disable {name}\n\
             Without an answer the change is rolled back, even if this window is closed.",
            record.left(),
            service.second_login(self.whose.user),
        ));
        let mut is_there = true;
        loop {
            if !Store::on_trial(service)?.is_some_and(|now| now.is_same(record)) {
                record
                    .through
                    .iter()
                    .for_each(|service| self.state.unwatch(service));
                let is_kept =
                    Store::enabled(service)?.is_some_and(|kept| kept.changed == record.changed);
                return Ok(if is_kept { Exit::Good } else { Exit::Bad });
            }
            let left = record.left();
            if left == 0 {
                undo::overdue(console)?;
                std::thread::sleep(LOOK);
                continue;
            }
            if interrupts.take() {
                self.roll_back(record);
                continue;
            }
            console.passing(&format!(
                "Rolling back in {left} s unless the change is confirmed"
            ));
            if !is_there {
                std::thread::sleep(LOOK);
                continue;
            }
            match line_within(LOOK) {
                Typing::Line(answer) if is_yes(answer.trim_ascii()) => {
                    match keep(console, service, self.state, Some(self.whose.user), false) {
                        Ok(_) => {}
                        Err(failure) => {
                            for sentence in failure.0.iter().chain(&self.skipped) {
                                console.note(sentence);
                            }
                        }
                    }
                }
                Typing::Line(_) => console
                    .note("Type yes to keep the change, or press Ctrl-C to roll it back now."),
                Typing::Nothing => {}
                Typing::Gone => is_there = false,
            }
        }
    }

    /// Rolls the change back before its time is over.
    fn roll_back(&self, record: &Record) {
        let console = self.console;
        console.note("Ctrl-C: the change is rolled back now.");
        match undo::now(self.service, record) {
            Ok(()) => watchdog::stop(self.service),
            Err(failure) => {
                for sentence in failure.0 {
                    console.note(&sentence);
                }
                console.note(&format!(
                    "Not all of the change is rolled back. This is tried again when the time is over; to try it \
                     at once, type: pam-onelogin disable {}",
                    self.service.name()
                ));
            }
        }
    }
}

/// Refuses a second change of a service while one is on trial.
pub(crate) fn refuse_while_changing(service: Service) -> Result<(), Failure> {
    let name = service.name();
    if Store::on_trial(service)?.is_some() {
        return Err(Failure::new(format!(
            "{name}: a change is on trial already; type: pam-onelogin confirm {name}, or: pam-onelogin \
             disable {name}"
        )));
    }
    Ok(())
}

/// How long writing may take without `--try`, in seconds; an unfinished change is then rolled back.
const WRITING: u32 = 60;

/// How often the tool checks whether the change was confirmed.
const LOOK: Duration = Duration::from_millis(500);

//! A way into a host that needs no second factor.

use crate::examine::root_shell::as_root;
use crate::ui::finding::{Place, clean_all, parts_text, wrap};
use serde::Serialize;

/// One way.
#[derive(Debug, Serialize)]
pub(crate) struct Way {
    /// One sentence.
    pub(super) what: String,
    /// The users who can take it.
    pub(super) who: String,
    /// Its file; `None` if no file shows it.
    #[serde(flatten)]
    place: Option<Place>,
    /// How to close it.
    close: String,
}

impl Way {
    pub(super) fn new(
        what: impl Into<String>,
        who: impl Into<String>,
        close: impl Into<String>,
    ) -> Self {
        Self {
            what: what.into(),
            who: who.into(),
            place: None,
            close: close.into(),
        }
    }

    pub(super) fn of(mut self, place: Option<Place>) -> Self {
        self.place = place;
        self
    }

    /// Writes its commands as root types them.
    pub(super) fn close_as_root(&mut self) {
        self.close = as_root(&self.close);
    }

    /// For people.
    pub(crate) fn text(&self, width: Option<usize>) -> String {
        let place = self.place.as_ref().map(Place::text);
        let place = place.as_deref().unwrap_or("not in a file that check reads");
        let parts = [
            ("who", Some(self.who.as_str())),
            ("where", Some(place)),
            ("close", Some(self.close.as_str())),
        ];
        let what = wrap(&clean_all(&self.what), 0, width);
        format!("{what}{}", parts_text(parts, 2, width))
    }

    /// Without control characters (rule R10).
    pub(crate) fn cleaned(mut self) -> Self {
        for text in [&mut self.what, &mut self.who, &mut self.close] {
            *text = clean_all(text);
        }
        self.place = self.place.map(Place::cleaned);
        self
    }
}

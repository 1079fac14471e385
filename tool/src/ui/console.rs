//! The output of the tool: results go to standard output, everything else to standard error. Colour and
//! updated lines appear only on a terminal.

use crate::outcome::{Exit, Failure};
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use pam_onelogin::text::printable;
use rustix::termios::tcgetwinsize;
use serde::Serialize;
use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, IsTerminal as _, Write as _, stderr, stdout};

/// The terminal, pipe or file that the tool speaks to.
pub(crate) struct Console {
    json: bool,
    moves: bool,
    /// Whether there is a line on the terminal that the next one replaces.
    passing: Cell<bool>,
    /// Why a result could not be written.
    lost: RefCell<Option<io::Error>>,
}

/// The JSON document of a command that failed.
#[derive(Serialize)]
struct Troubles {
    troubles: Vec<String>,
}

/// The meaning of a word, which determines its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    Good,
    Warning,
    Bad,
    Dim,
    Bold,
}

impl Console {
    /// For people, or as one JSON document for machines.
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            moves: stderr().is_terminal()
                && std::env::var_os("TERM").is_some_and(|it| it != "dumb"),
            passing: Cell::new(false),
            lost: RefCell::new(None),
        }
    }

    /// The result for people; a machine gets [`Console::document`].
    pub(crate) fn say(&self, text: &str) {
        self.settle();
        if !self.json {
            self.keep(writeln!(anstream::stdout(), "{text}"));
        }
    }

    /// The result for a machine: shown by `--json` alone.
    pub(crate) fn document(&self, value: &impl Serialize) {
        if self.json {
            self.print(&json(value));
        }
    }

    /// A result that is the same for all, as a file would be.
    pub(crate) fn print(&self, text: &str) {
        self.settle();
        self.keep(write!(stdout(), "{text}"));
    }

    /// How the tool ends. A result that could not be written, as on a full disk, is a failure as well. After
    /// a closed pipe there is no message: the reader has what it wanted.
    pub(crate) fn end(&self, result: Result<Exit, Failure>) -> Exit {
        let exit = result.unwrap_or_else(|Failure(sentences)| {
            for sentence in &sentences {
                self.fault(sentence);
            }
            let troubles = sentences.iter().map(|text| printable(text)).collect();
            self.document(&Troubles { troubles });
            Exit::Bad
        });
        self.keep(stdout().flush());
        match self.lost.take() {
            None => exit,
            Some(error) => {
                if error.kind() != ErrorKind::BrokenPipe {
                    self.fault(&format!("standard output: {error}"));
                }
                Exit::Bad
            }
        }
    }

    /// A note, to standard error.
    pub(crate) fn note(&self, text: &str) {
        self.settle();
        let _ = writeln!(anstream::stderr(), "{text}");
    }

    /// A question, without the end of its line.
    pub(crate) fn ask(&self, text: &str) {
        self.settle();
        let mut out = anstream::stderr();
        let _ = write!(out, "{text}");
        let _ = out.flush();
    }

    /// Why the tool could not do its work.
    pub(crate) fn fault(&self, text: &str) {
        let tool = paint(Paint::Bad, "pam-onelogin");
        self.note(&format!("{tool}: {}", printable(text)));
    }

    /// Shows progress in a line that the next output replaces. Does nothing without a terminal.
    pub(crate) fn passing(&self, text: &str) {
        if self.moves {
            let mut out = AutoStream::new(stderr(), ColorChoice::Always);
            let _ = write!(out, "\r{text} \u{1b}[K");
            let _ = out.flush();
            self.passing.set(true);
        }
    }

    fn keep(&self, written: io::Result<()>) {
        if let Err(error) = written {
            self.lost.borrow_mut().get_or_insert(error);
        }
    }

    /// Removes the progress line.
    fn settle(&self) {
        if self.passing.take() {
            let mut out = stderr();
            let _ = write!(out, "\r\u{1b}[K");
            let _ = out.flush();
        }
    }
}

/// The width of the terminal that results go to, in characters; `None` for a pipe or a file.
pub(crate) fn width() -> Option<usize> {
    let size = tcgetwinsize(stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|width| *width > 0)
}

/// A document, with the end of its last line.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).map_or_else(|_| String::new(), |text| text + "\n")
}

/// A word in its colour. The output drops the colour if the stream is not a terminal, or if the user wants
/// no colour.
pub(crate) fn paint(paint: Paint, text: &str) -> String {
    let style = match paint {
        Paint::Good => Style::new().fg_color(Some(AnsiColor::Green.into())),
        Paint::Warning => Style::new().fg_color(Some(AnsiColor::Yellow.into())),
        Paint::Bad => Style::new().fg_color(Some(AnsiColor::Red.into())).bold(),
        Paint::Dim => Style::new().dimmed(),
        Paint::Bold => Style::new().bold(),
    };
    format!("{style}{text}{style:#}")
}

/// Rows in columns; the last one is as wide as it is.
pub(crate) fn table<const N: usize>(rows: impl IntoIterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = rows.into_iter().collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let gap = width.saturating_sub(cell.chars().count()) + 2;
            line.push_str(cell);
            line.push_str(&" ".repeat(gap));
        }
        format!("  {}", line.trim_end())
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

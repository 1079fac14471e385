//! The reasons of the log, and the sentences at the end of a denial.

use crate::markup::{Form, Sections, wrapped};
use pam_onelogin::reason::{Group, Reason};

/// The longest line of the README, in characters.
const WIDTH: usize = 128;

/// The sentences that a user may see, each once.
pub(crate) fn sentences(form: Form) -> String {
    let mut sentences = Vec::new();
    for sentence in Reason::all().filter_map(Reason::words) {
        if !sentences.contains(&sentence) {
            sentences.push(sentence);
        }
    }
    let (before, indent, behind) = match form {
        Form::Markdown | Form::Comment => ("\n", "    ", "\n"),
        Form::Man(_) => (".PP\n.RS 4\n.EX\n", "", ".EE\n.RE\n"),
    };
    let mut text = before.to_owned();
    for sentence in sentences {
        text.push_str(indent);
        text.push_str(&form.line(sentence));
        text.push('\n');
    }
    text + behind
}

/// Each reason with what to do, by groups.
pub(crate) fn list(form: Form, sections: &Sections) -> Result<String, String> {
    let mut text = String::new();
    for group in Group::all() {
        let heading = form.text(group.heading(), sections)?;
        let head = match form {
            Form::Markdown | Form::Comment => format!("\n{heading}\n\n"),
            Form::Man(_) => format!(".PP\n{heading}\n"),
        };
        text.push_str(&head);
        for reason in Reason::all().filter(|reason| reason.group() == group) {
            let word = form.literal(reason.word());
            let about = format!("{} {}", reason.meaning(), reason.advice());
            let about = form.text(&about, sections)?;
            let entry = match form {
                Form::Markdown | Form::Comment => {
                    wrapped(&format!("- {word}: {about}"), "  ", WIDTH)
                }
                Form::Man(_) => format!(".TP\n{word}\n{about}"),
            };
            text.push_str(&entry);
            text.push('\n');
        }
    }
    if form == Form::Markdown {
        text.push('\n');
    }
    Ok(text)
}

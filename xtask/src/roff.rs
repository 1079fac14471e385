//! A page of docs/ as a part of a manual page: from Markdown to roff with the macros of man(7).

#![allow(clippy::format_push_string)] // rather clear than quick

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use std::mem::{replace, take};

/// The comments around the parts of a page that manual pages leave out.
const LEFT_OUT: [&str; 2] = ["<!-- not in the manual -->", "<!-- in the manual again -->"];

/// The width of the terminal that tables are made for, without the indents of a manual page.
const WIDTH: usize = 70;

/// The lines of a cell that a table may have at most.
const LINES: usize = 6;

/// A space within code, until the line is written: no sentence ends there.
const CODE_SPACE: &str = "\u{a0}";

/// The width that tbl puts between two columns.
const GAP: usize = 3;

/// How far `.TP` indents the text behind a tag.
const TAG_INDENT: usize = 7;

/// What finds the name that a manual page uses for the target of a link. `None`: no manual page shows the target.
pub(crate) type Links<'a> = dyn Fn(&str) -> Result<Option<String>, String> + 'a;

/// A heading of a page: its level, its text, and where it begins.
pub(crate) struct Heading {
    pub(crate) level: usize,
    pub(crate) text: String,
    pub(crate) start: usize,
}

fn parser(text: &str) -> Parser<'_> {
    Parser::new_ext(text, Options::ENABLE_TABLES)
}

/// The headings of a page, in their order.
pub(crate) fn headings(text: &str) -> Vec<Heading> {
    let mut headings = Vec::new();
    let mut is_inside = false;
    for (event, range) in parser(text).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                is_inside = true;
                headings.push(Heading {
                    level: level as usize,
                    text: String::new(),
                    start: range.start,
                });
            }
            Event::End(TagEnd::Heading(_)) => is_inside = false,
            Event::Text(part) | Event::Code(part) if is_inside => {
                if let Some(heading) = headings.last_mut() {
                    heading.text.push_str(&part);
                }
            }
            _ => {}
        }
    }
    headings
}

/// The page without the parts that manual pages leave out.
pub(crate) fn for_manuals(text: &str) -> Result<String, String> {
    let [start, end] = LEFT_OUT;
    let mut kept = String::new();
    let mut is_left_out = false;
    for line in text.lines() {
        if line == start || line == end {
            if is_left_out == (line == start) {
                return Err(format!("\"{start}\" and \"{end}\" must alternate"));
            }
            is_left_out = line == start;
        } else if !is_left_out {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    if is_left_out {
        return Err(format!("needs \"{end}\""));
    }
    Ok(kept)
}

/// A text in roff. If it `is_section`, its first heading begins a section of the manual page; otherwise its headings stand
/// within one.
pub(crate) fn roff(text: &str, is_section: bool, links: &Links) -> Result<String, String> {
    let mut writer = Writer {
        top: headings(text)
            .first()
            .map_or(1, |heading| heading.level - usize::from(!is_section)),
        links,
        written: String::new(),
        inline: String::new(),
        heading: None,
        is_block: false,
        fonts: Vec::new(),
        open: Vec::new(),
        lists: Vec::new(),
        before: if is_section {
            Before::Heading
        } else {
            Before::Paragraph
        },
        tag: None,
        rows: Vec::new(),
    };
    for event in parser(text) {
        writer.event(event)?;
    }
    Ok(writer.written)
}

/// What stands before the next paragraph.
enum Before {
    /// A heading: the paragraph needs no macro.
    Heading,
    /// Another paragraph.
    Paragraph,
    /// The beginning of a list item with this mark, indented by this width.
    Mark(String, usize),
}

/// A list that is open.
struct List {
    /// The number of the next item.
    number: Option<u64>,
    /// How far the text of the current item is indented.
    indent: usize,
}

struct Writer<'a> {
    /// The level of the headings that become sections.
    top: usize,
    links: &'a Links<'a>,
    written: String,
    /// The current paragraph or cell, in roff.
    inline: String,
    /// The current heading, in plain text.
    heading: Option<String>,
    /// The current text is a code block.
    is_block: bool,
    /// The fonts that are open, the innermost last.
    fonts: Vec<char>,
    /// The links and images that are open: where their text begins, and their target.
    open: Vec<(usize, String)>,
    lists: Vec<List>,
    before: Before,
    /// Where the code ends that the current paragraph begins with.
    tag: Option<usize>,
    /// The rows of the current table, the header first.
    rows: Vec<Vec<String>>,
}

impl Writer<'_> {
    fn event(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Start(tag) => self.start(tag)?,
            Event::End(tag) => self.end(tag)?,
            Event::Text(text) | Event::Code(text) if self.heading.is_some() => {
                self.heading.get_or_insert_default().push_str(&text);
            }
            Event::Text(text) if self.is_block => self.inline += &escaped(&text, "\\(aq"),
            Event::Text(text) => self.inline += &escaped(&text, "\\(cq"),
            Event::Code(text) => {
                let is_first = self.inline.is_empty();
                self.font('B');
                self.inline += &escaped(&text, "\\(aq").replace(' ', CODE_SPACE);
                self.font_before();
                self.tag = if is_first {
                    Some(self.inline.len())
                } else {
                    self.tag
                };
            }
            Event::SoftBreak => self.inline.push(' '),
            Event::HardBreak => self.inline += "\n.br\n",
            Event::Html(_) | Event::InlineHtml(_) => {}
            other => return Err(format!("a manual page cannot show {other:?}")),
        }
        Ok(())
    }

    fn start(&mut self, tag: Tag) -> Result<(), String> {
        match tag {
            Tag::Heading { .. } => self.heading = Some(String::new()),
            Tag::Paragraph | Tag::HtmlBlock | Tag::TableCell => {}
            Tag::TableHead | Tag::TableRow => self.rows.push(Vec::new()),
            Tag::Table(_) => {
                self.paragraph();
                self.rows.clear();
            }
            Tag::CodeBlock(_) => {
                self.paragraph();
                self.is_block = true;
            }
            Tag::List(number) => {
                self.paragraph();
                if let Some(outer) = self.lists.last() {
                    self.written += &format!(".RS {}\n", outer.indent);
                }
                self.lists.push(List { number, indent: 0 });
            }
            Tag::Item => {
                if let Some(list) = self.lists.last_mut() {
                    let (mark, indent) = match &mut list.number {
                        None => ("\\(bu".to_owned(), 2),
                        Some(number) => {
                            *number += 1;
                            (
                                format!("{}.", *number - 1),
                                if *number > 10 { 4 } else { 3 },
                            )
                        }
                    };
                    list.indent = indent;
                    self.before = Before::Mark(mark, indent);
                }
            }
            Tag::Strong => self.font('B'),
            Tag::Emphasis => self.font('I'),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                self.open.push((self.inline.len(), dest_url.to_string()));
            }
            other => return Err(format!("a manual page cannot show {other:?}")),
        }
        Ok(())
    }

    fn end(&mut self, tag: TagEnd) -> Result<(), String> {
        match tag {
            TagEnd::Heading(level) => {
                let text = self.heading.take().unwrap_or_default();
                self.write_heading(level as usize, &text);
            }
            TagEnd::Paragraph | TagEnd::Item => self.paragraph(),
            TagEnd::CodeBlock => self.code_block(),
            TagEnd::List(_) => {
                self.lists.pop();
                if !self.lists.is_empty() {
                    self.written += ".RE\n";
                }
            }
            TagEnd::TableCell => {
                let cell = take(&mut self.inline);
                self.tag = None;
                self.rows
                    .last_mut()
                    .into_iter()
                    .for_each(|row| row.push(cell.clone()));
            }
            TagEnd::Table => self.table(),
            TagEnd::Strong | TagEnd::Emphasis => self.font_before(),
            TagEnd::Link => self.link()?,
            TagEnd::Image => {
                let start = self.open.pop().map_or(0, |(start, _)| start);
                self.inline.truncate(start);
            }
            _ => {}
        }
        Ok(())
    }

    fn font(&mut self, font: char) {
        self.fonts.push(font);
        self.inline += &format!("\\f{font}");
    }

    /// Ends a font: that around it goes on.
    fn font_before(&mut self) {
        self.fonts.pop();
        let font = self.fonts.last().unwrap_or(&'R');
        self.inline += &format!("\\f{font}");
    }

    /// A link to what a manual page shows gets the name there; any other one keeps its text.
    fn link(&mut self) -> Result<(), String> {
        let Some((start, target)) = self.open.pop() else {
            return Ok(());
        };
        let text = self.inline.split_off(start);
        if let Some(name) = (self.links)(&target)? {
            self.inline += &escaped(&name, "\\(cq");
            return Ok(());
        }
        let file = if target.contains("://") {
            target.as_str()
        } else {
            let path = target.split('#').next().unwrap_or_default();
            path.rsplit('/').next().unwrap_or_default()
        };
        let file = escaped(file, "\\(aq");
        let is_same = text == file;
        if !is_same {
            self.inline += &format!("{text} (");
        }
        self.font('I');
        self.inline += &file;
        self.font_before();
        self.inline += if is_same { "" } else { ")" };
        Ok(())
    }

    fn write_heading(&mut self, level: usize, text: &str) {
        let argument = |text: &str| escaped(text, "\\(cq").replace('"', "\\(dq");
        self.written += &match level.saturating_sub(self.top) {
            0 => format!(".SH \"{}\"\n", argument(&text.to_uppercase())),
            1 => format!(".SS \"{}\"\n", argument(text)),
            _ => format!(".PP\n\\fB{}\\fR\n", escaped(text, "\\(cq")),
        };
        self.before = if level > self.top + 1 {
            Before::Paragraph
        } else {
            Before::Heading
        };
    }

    /// The macro before a paragraph. True: it makes the code at the beginning a tag.
    fn begin(&mut self, has_tag: bool) {
        let before = replace(&mut self.before, Before::Paragraph);
        self.written += &match before {
            Before::Heading => String::new(),
            Before::Mark(..) if has_tag => ".TP\n".to_owned(),
            Before::Mark(mark, indent) => format!(".IP {mark} {indent}\n"),
            Before::Paragraph if self.lists.is_empty() => ".PP\n".to_owned(),
            Before::Paragraph => ".IP\n".to_owned(),
        };
    }

    fn paragraph(&mut self) {
        let text = take(&mut self.inline);
        let tag = self.tag.take().and_then(|end| text.split_at_checked(end));
        let tag = tag.and_then(|(tag, behind)| Some((tag, behind.strip_prefix(": ")?)));
        match (tag, &self.before, self.lists.last_mut()) {
            (Some((tag, behind)), Before::Mark(..), Some(list)) => {
                list.indent = TAG_INDENT;
                self.begin(true);
                self.written += &format!("{}\n{}", protected(tag), sentences(behind));
            }
            _ if text.trim().is_empty() => {}
            _ => {
                self.begin(false);
                self.written += &sentences(&text);
            }
        }
    }

    fn code_block(&mut self) {
        self.is_block = false;
        let text = take(&mut self.inline);
        if matches!(self.before, Before::Paragraph) && !self.lists.is_empty() {
            self.written += ".sp\n";
        } else {
            self.begin(false);
        }
        let indent = self.lists.last().map_or(0, |list| list.indent) + 4;
        self.written += &format!(".RS {indent}\n.EX\n");
        for line in text.lines() {
            self.written += &format!("{}\n", protected(line));
        }
        self.written += ".EE\n.RE\n";
    }

    /// Two columns, and what is wider than a terminal, become tagged paragraphs; other tables are for tbl.
    fn table(&mut self) {
        let rows = take(&mut self.rows);
        let [header, body @ ..] = rows.as_slice() else {
            return;
        };
        let widths = widths(&rows, header.len());
        let is_narrow = |row: &Vec<String>| {
            let mut cells = row.iter().zip(&widths);
            cells.any(|(cell, most)| width(cell) > LINES * most)
        };
        let is_too_wide = widths.iter().map(|width| width + GAP).sum::<usize>() > WIDTH + GAP
            || body.iter().any(is_narrow);
        if header.len() == 2 || is_too_wide {
            for row in body {
                self.written += ".TP\n";
                for (index, (name, cell)) in header.iter().zip(row).enumerate() {
                    self.written += &match index {
                        0 => format!("{}\n", protected(cell)),
                        _ if header.len() == 2 => sentences(cell),
                        1 => sentences(&format!("{name}: {cell}")),
                        _ => format!(".br\n{}", sentences(&format!("{name}: {cell}"))),
                    };
                }
            }
            self.before = Before::Paragraph;
            return;
        }
        self.begin(false);
        let formats = |font: &str| {
            let column = |width: &usize| format!("l{font}w({width}n)");
            widths.iter().map(column).collect::<Vec<_>>().join(" ")
        };
        // In a narrow column, justified lines have wide gaps, and a hyphen that groff adds to a key misleads.
        self.written += &format!(".na\n.nh\n.TS\n{}\n{}.\n", formats("B"), formats(""));
        for row in &rows {
            let cells = row.iter().zip(&widths).map(|(cell, most)| {
                if width(cell) > *most {
                    format!("T{{\n{}T}}", sentences(cell))
                } else {
                    cell.clone()
                }
            });
            self.written += &format!("{}\n", protected(&cells.collect::<Vec<_>>().join("\t")));
        }
        self.written += ".TE\n.ad\n.hy\n";
    }
}

/// The width of each column: at least that of its longest word, and of what is left a share by the length of its cells.
fn widths(rows: &[Vec<String>], count: usize) -> Vec<usize> {
    let most = |column: usize, measure: &dyn Fn(&str) -> usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| measure(cell)).max().unwrap_or_default()
    };
    let longest_word = |cell: &str| {
        cell.split([' ', '\u{a0}'])
            .map(width)
            .max()
            .unwrap_or_default()
    };
    let words: Vec<usize> = (0..count)
        .map(|column| most(column, &longest_word))
        .collect();
    let rests: Vec<usize> = (0..count)
        .map(|column| most(column, &width))
        .zip(&words)
        .map(|(cell, word)| cell - word)
        .collect();
    let free = (WIDTH + GAP).saturating_sub(count * GAP + words.iter().sum::<usize>());
    let all = rests.iter().sum::<usize>().max(1);
    words
        .iter()
        .zip(&rests)
        .map(|(word, rest)| word + (free * rest / all).min(*rest))
        .collect()
}

/// The width of a text on the terminal.
fn width(text: &str) -> usize {
    let mut parts = text.split('\\');
    let plain = parts.next().unwrap_or_default().chars().count();
    let escapes = parts.map(|part| {
        let length = part.chars().count();
        match part.chars().next() {
            Some('f' | '(') => length - 2,
            Some('[') => length - part.find(']').unwrap_or_default(),
            _ => length,
        }
    });
    plain + escapes.sum::<usize>()
}

/// A text as groff has to read it, in which `'` is this.
pub(crate) fn escaped(text: &str, quote: &str) -> String {
    let mut written = String::new();
    for c in text.chars() {
        match c {
            '\\' => written += "\\e",
            '-' => written += "\\-",
            '\'' => written += quote,
            '^' => written += "\\(ha",
            '~' => written += "\\(ti",
            '`' => written += "\\(ga",
            '…' => written += "...",
            c if c.is_ascii() => written.push(c),
            c => written += &format!("\\[u{:04X}]", u32::from(c)),
        }
    }
    written
}

/// A line that groff does not take for a request.
fn protected(line: &str) -> String {
    let mark = if line.starts_with('.') { "\\&" } else { "" };
    format!("{mark}{}", line.trim_end().replace(CODE_SPACE, " "))
}

/// Each sentence on a line of its own, so that groff puts its space behind it.
fn sentences(text: &str) -> String {
    let mut lines = String::new();
    let mut words = text.trim().split(' ').peekable();
    while let Some(word) = words.next() {
        lines += word;
        let bare = word.trim_end_matches("\\fR").trim_end_matches([')', '"']);
        let is_end = bare.trim_end_matches("\\fR").ends_with(['.', '?', '!']);
        match words.peek() {
            None => {}
            Some(next) if is_end && !next.starts_with(char::is_lowercase) => lines.push('\n'),
            Some(_) => lines.push(' '),
        }
    }
    let line = |line: &str| match line {
        ".br" => ".br\n".to_owned(),
        line => format!("{}\n", protected(line)),
    };
    lines.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::process::Command;

    fn converted(text: &str) -> String {
        let links = |target: &str| {
            Ok(target
                .contains("limits.md")
                .then(|| "\"LIMITS\"".to_owned()))
        };
        roff(&for_manuals(text).unwrap(), true, &links).unwrap()
    }

    #[test]
    fn each_construct_has_its_form() {
        for (text, written) in [
            // Headings
            ("# The user's \"x\"", ".SH \"THE USER\\(cqS \\(dqX\\(dq\"\n"),
            (
                "# A\n\ntext\n\n## B `c`\n\ntext",
                ".SH \"A\"\ntext\n.SS \"B c\"\ntext\n",
            ),
            (
                "## A\n\n### B\n\n#### C\n\ntext",
                ".SH \"A\"\n.SS \"B\"\n.PP\n\\fBC\\fR\n.PP\ntext\n",
            ),
            // Paragraphs
            (
                "One\n(two). Three? `Four.` Five: e.g. six.\n\nSeven.",
                "One (two).\nThree?\n\\fBFour.\\fR\nFive: e.g. six.\n.PP\nSeven.\n",
            ),
            ("a\\\nb", "a\n.br\nb\n"),
            (
                ".a\n\n'b' … c – ^~",
                "\\&.a\n.PP\n\\(cqb\\(cq ... c \\[u2013] \\(ha\\(ti\n",
            ),
            (
                "**a** *b* **c `d` e**",
                "\\fBa\\fR \\fIb\\fR \\fBc \\fBd\\fB e\\fR\n",
            ),
            ("`a. B `c", "\\fBa. B \\fRc\n"),
            ("`.a-b\\'` c", "\\fB.a\\-b\\e\\(aq\\fR c\n"),
            // Code blocks
            (
                "a\n\n    .b\n    'c'  d\n\ne",
                "a\n.PP\n.RS 4\n.EX\n\\&.b\n\\(aqc\\(aq  d\n.EE\n.RE\n.PP\ne\n",
            ),
            ("```toml\n[a]\n\nb\n```", ".RS 4\n.EX\n[a]\n\nb\n.EE\n.RE\n"),
            // Lists
            (
                "- a\n  b\n- c\n\nd",
                ".IP \\(bu 2\na b\n.IP \\(bu 2\nc\n.PP\nd\n",
            ),
            ("9. a\n10. b", ".IP 9. 3\na\n.IP 10. 4\nb\n"),
            (
                "- `a`: b. C\n- `d`, `e`: f",
                ".TP\n\\fBa\\fR\nb.\nC\n.IP \\(bu 2\n\\fBd\\fR, \\fBe\\fR: f\n",
            ),
            (
                "- a\n\n  b\n\n      c\n  - d\n",
                ".IP \\(bu 2\na\n.IP\nb\n.sp\n.RS 6\n.EX\nc\n.EE\n.RE\n.RS 2\n.IP \\(bu 2\nd\n.RE\n",
            ),
            // Tables
            (
                "| h | i |\n|---|---|\n| `a` | b. C |\n| .d | e |",
                ".TP\n\\fBa\\fR\nb.\nC\n.TP\n\\&.d\ne\n",
            ),
            (
                "a\n\n| h | i | j |\n|---|---|---|\n| .b | `c` | d |",
                "a\n.PP\n.na\n.nh\n.TS\nlBw(2n) lBw(1n) lBw(1n)\nlw(2n) lw(1n) lw(1n).\nh\ti\tj\n\\&.b\t\\fBc\\fR\td\n.TE\n.ad\n.hy\n",
            ),
            // Links
            ("See [Limits](limits.md#x).", "See \"LIMITS\".\n"),
            (
                "See [the *rules*](../SECURITY.md#x), [README.md](../README.md).",
                "See the \\fIrules\\fR (\\fISECURITY.md\\fR), \\fIREADME.md\\fR.\n",
            ),
            (
                "**[A](https://a.b/c) <https://d.e>**",
                "\\fBA (\\fIhttps://a.b/c\\fB) \\fIhttps://d.e\\fB\\fR\n",
            ),
            // What is left out
            (
                "a ![b](c.svg)\n\n![d `e`](f.svg)\n\n`g`",
                "a\n.PP\n\\fBg\\fR\n",
            ),
            (
                "a\n<!-- not in the manual -->\n\nb\n<!-- in the manual again -->\n\n<!-- c -->\nd",
                "a\n.PP\nd\n",
            ),
            (
                "<!-- generated by make docs: x -->\n\na\n\n<!-- end of x -->\n",
                "a\n",
            ),
        ] {
            assert_eq!(converted(text), written, "{text}");
        }
    }

    #[test]
    fn a_long_cell_is_wrapped_and_a_table_that_is_too_wide_becomes_paragraphs() {
        let long = "word ".repeat(70);
        let table =
            |cell: &str| converted(&format!("| h | i | j |\n|---|---|---|\n| a | {cell} | c |"));
        let written = table(&long);
        assert!(
            written.contains(".TS\nlBw(1n) lBw(62n) lBw(1n)\n"),
            "{written}"
        );
        assert!(
            written.contains(&format!("\na\tT{{\n{}\nT}}\tc\n", long.trim())),
            "{written}"
        );
        for cell in ["w".repeat(70), "word ".repeat(75).trim().to_owned()] {
            assert_eq!(table(&cell), format!(".TP\na\ni: {cell}\n.br\nj: c\n"));
        }
    }

    #[test]
    fn headings_of_a_part_within_a_section_are_subsections() {
        let links = |_: &str| Ok(None);
        assert_eq!(roff("## a\n\nb", false, &links).unwrap(), ".SS \"a\"\nb\n");
        assert_eq!(roff("a", false, &links).unwrap(), ".PP\na\n");
    }

    #[test]
    fn what_a_manual_page_cannot_show_is_an_error() {
        let links = |_: &str| Ok(None);
        for text in ["> a", "a\n\n---\n\nb"] {
            assert!(roff(text, true, &links).is_err(), "{text}");
        }
        for text in [
            "<!-- not in the manual -->\n",
            "<!-- in the manual again -->\n",
        ] {
            assert!(for_manuals(text).is_err(), "{text}");
        }
    }

    #[test]
    fn formatters_find_no_fault_in_a_converted_page() {
        let page = "# One\n\nA `b`:\n\n    c\n\n- d:\n\n      e\n\n  f\n  - g\n    1. h\n- `i`: j\n\n\
                    | a | b | c |\n|---|---|---|\n| `d-e` | '.f' | .g \"h\" – |\n\n## Two\n\n    i\n\n\
                    # Three\n\n| a | b |\n|---|---|\n| c | d |\n\n### Four\n\n- [e](f.md)\n";
        let head = "'\\\" t\n.TH X 8 \"2026-01-01\" \"x\" \"y\"\n.SH NAME\nx \\- y\n";
        let path = std::env::temp_dir().join(format!("xtask-{}.8", std::process::id()));
        fs::write(&path, format!("{head}{}", converted(page))).unwrap();
        for command in ["groff -t -man -ww -Tutf8 -z", "mandoc -T lint -W warning"] {
            let mut words = command.split(' ');
            let mut formatter = Command::new(words.next().unwrap());
            // Where there is no formatter, the tests of the packages look again.
            if let Ok(output) = formatter.args(words).arg(&path).output() {
                let said = [output.stdout, output.stderr].concat();
                assert_eq!(String::from_utf8_lossy(&said), "", "{command}");
            }
        }
        fs::remove_file(&path).unwrap();
    }
}

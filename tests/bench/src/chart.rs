//! The chart of what a login costs, drawn from the table of docs/performance.md: it can be drawn again without measuring.

use std::fmt::Write as _;
use std::io;

/// Draws the chart from the text of docs/performance.md.
///
/// # Errors
/// When the table of all modules is not in it, or a cell of it has no figure.
pub fn chart(document: &str) -> io::Result<String> {
    let rows = rows(document)?;
    let height = TOP + ROW * rows.len() + 14;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\">\n<title>What a login costs, beside other modules</title>\n<desc>{}</desc>\n{STYLE}\n\
         <rect class=\"card\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"6\"/>\n",
        description(&rows),
        WIDTH - 1,
        height - 1
    );
    for (line, row) in rows.iter().enumerate() {
        let y = TOP + line * ROW;
        let (name, note) = match row.name.split_once(" (") {
            Some((name, note)) => (name, note.trim_end_matches(')')),
            None => (row.name.as_str(), ""),
        };
        let class = row.class();
        let down = if note.is_empty() { 19 } else { 13 };
        let _ = writeln!(
            svg,
            "<text class=\"{class}\" x=\"{LEFT}\" y=\"{}\">{name}</text>",
            y + down
        );
        if !note.is_empty() {
            let _ = writeln!(
                svg,
                "<text class=\"note\" x=\"{LEFT}\" y=\"{}\">{note}</text>",
                y + 27
            );
        }
    }
    for (number, panel) in PANELS.iter().enumerate() {
        let left = NAMES + number * PANEL;
        let _ = writeln!(
            svg,
            "<g transform=\"translate({left} 0)\">\n<text class=\"title\" y=\"26\">{}</text>\n\
             <text class=\"note\" y=\"44\">{}</text>",
            panel.title, panel.note
        );
        let longest = rows
            .iter()
            .map(|row| row.figures[number])
            .fold(f64::MIN_POSITIVE, f64::max);
        for (line, row) in rows.iter().enumerate() {
            let (y, figure) = (TOP + line * ROW, row.figures[number]);
            let class = row.class();
            // A bar that is too short to be seen is a line.
            let width = (figure / longest * BAR).max(1.0);
            let _ = writeln!(
                svg,
                "<rect class=\"{class}\" y=\"{}\" width=\"{width:.1}\" height=\"20\"/>\n\
                 <text class=\"{class}\" x=\"{:.1}\" y=\"{}\">{}</text>",
                y + 5,
                width + 6.0,
                y + 20,
                panel.text(figure)
            );
        }
        svg.push_str("</g>\n");
    }
    Ok(svg + "</svg>\n")
}

/// A module, and its figure in each panel.
struct Row {
    name: String,
    figures: [f64; 3],
}

impl Row {
    fn class(&self) -> &'static str {
        if self.name == OURS { "ours" } else { "other" }
    }
}

/// A column of the chart.
struct Panel {
    /// The beginning of the name of the table's column.
    column: &'static str,
    title: &'static str,
    note: &'static str,
    unit: &'static str,
}

impl Panel {
    fn text(&self, figure: f64) -> String {
        let digits = match figure {
            figure if figure >= 100.0 => 0,
            _ => 1,
        };
        format!("{figure:.digits$} {}", self.unit)
    }
}

const PANELS: [Panel; 3] = [
    Panel {
        column: "the same with 80 ms a round trip",
        title: "Time to log in",
        note: "at 80 ms a round trip, without typing",
        unit: "ms",
    },
    Panel {
        column: "computing, ms",
        title: "Computing",
        note: "processor time",
        unit: "ms",
    },
    Panel {
        column: "most memory, MB",
        title: "Memory",
        note: "of the whole process",
        unit: "MB",
    },
];

/// The rows of the table that the chart shows: one for each module, in sshd where there are two.
fn rows(document: &str) -> io::Result<Vec<Row>> {
    let fault = |what: &str| io::Error::other(format!("docs/performance.md: {what}"));
    let cells = |line: &str| -> Vec<String> {
        let cells = line.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    let mut lines = document
        .lines()
        .skip_while(|line| !line.starts_with("| module |"));
    let head = lines.next().ok_or_else(|| fault("no table of modules"))?;
    let head = cells(head);
    let mut columns = [0; 3];
    for (column, panel) in columns.iter_mut().zip(&PANELS) {
        *column = head
            .iter()
            .position(|name| name == panel.column)
            .ok_or_else(|| fault(panel.column))?;
    }
    let table = lines.skip(1).take_while(|line| line.starts_with('|'));
    let mut rows = Vec::new();
    for line in table {
        let cells = cells(line);
        let name = cells.first().ok_or_else(|| fault(line))?;
        if OTHER_SETTINGS.iter().any(|end| name.ends_with(end)) {
            continue;
        }
        let mut figures = [0.0; 3];
        for (figure, column) in figures.iter_mut().zip(columns) {
            let cell = cells.get(column).and_then(|cell| sum(cell));
            *figure = cell.ok_or_else(|| fault(line))?;
        }
        rows.push(Row {
            name: name.trim_end_matches(" as sshd").to_owned(),
            figures,
        });
    }
    Ok(rows)
}

/// The figure of a cell such as `2.03 (1.94 to 2.36)`, or the sum of `162 + 87.3`.
fn sum(cell: &str) -> Option<f64> {
    let figures = cell.split(" (").next()?;
    figures
        .split(" + ")
        .map(|figure| figure.parse::<f64>().ok())
        .sum()
}

/// The first two modules in words.
fn description(rows: &[Row]) -> String {
    let of = |row: &Row| {
        let figures = PANELS.iter().zip(row.figures);
        let figures: Vec<String> = figures
            .map(|(panel, figure)| format!("{} {}", panel.title.to_lowercase(), panel.text(figure)))
            .collect();
        format!("{}: {}.", row.name, figures.join(", "))
    };
    let rows: Vec<String> = rows.iter().take(2).map(of).collect();
    rows.join(" ")
}

const OURS: &str = "pam_onelogin";

/// Rows of a module that the chart shows with other settings already.
const OTHER_SETTINGS: [&str; 2] = ["with one certificate", " as sudo"];

const WIDTH: usize = 860;
const LEFT: usize = 16;
const NAMES: usize = 210;
const PANEL: usize = 215;
/// The length of the longest bar; the figure stands behind it.
const BAR: f64 = 130.0;
const TOP: usize = 56;
const ROW: usize = 34;
const STYLE: &str = "<style>\
text{font:14px system-ui,'Segoe UI',Helvetica,Arial,sans-serif;fill:#1f2328}\
.title{font-size:16px;font-weight:600}.note{font-size:12px;fill:#59636e}text.ours{font-weight:600;fill:#0550ae}\
rect.card{fill:#fff;stroke:#d1d9e0}rect.ours{fill:#0969da}rect.other{fill:#afb8c1}\
</style>";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chart_is_drawn_from_the_table_of_the_last_run() {
        let chart = chart(include_str!("../../../docs/performance.md")).unwrap();
        let there = include_str!("../../../docs/pictures/bench.svg");
        assert!(chart == there, "please type: make pictures");
    }

    #[test]
    fn each_module_has_one_row_and_this_one_has_a_colour_of_its_own() {
        let rows = rows(include_str!("../../../docs/performance.md")).unwrap();
        let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        let first_words: std::collections::BTreeSet<&str> = names
            .iter()
            .filter_map(|name| name.split(' ').next())
            .collect();
        assert_eq!(first_words.len(), names.len(), "{names:?}");
        let ours: Vec<bool> = rows.iter().map(|row| row.class() == "ours").collect();
        assert_eq!(ours, [true, false, false, false, false]);
    }

    #[test]
    fn the_figure_of_a_cell_is_its_median_or_its_sum() {
        for (cell, figure) in [
            ("2.03 (1.94 to 2.36)", Some(2.03)),
            ("162 + 87.5", Some(249.5)),
            ("–", None),
        ] {
            assert_eq!(sum(cell), figure, "{cell}");
        }
    }
}

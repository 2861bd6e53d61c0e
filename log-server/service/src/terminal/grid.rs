//! A table for people: columns under their names, numbers to the right.

use unicode_width::UnicodeWidthStr as _;

use super::shown;
use crate::search::{Kind, ShownTable};

/// Columns of a terminal that one cell may take; longer text is cut.
const WIDTH: usize = 100;

/// The table as lines of text.
pub(super) fn grid(table: &ShownTable) -> String {
    let head: Vec<String> = table.columns.iter().map(|head| cut(&head.name)).collect();
    let rows: Vec<Vec<String>> = table
        .rows
        .iter()
        .map(|row| row.iter().map(|cell| cut(&cell.text())).collect())
        .collect();
    let widths: Vec<usize> = head
        .iter()
        .enumerate()
        .map(|(place, name)| {
            let cells = rows.iter().map(|row| row[place].width());
            cells.fold(name.width(), usize::max)
        })
        .collect();
    let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
    let mut text = String::new();
    for row in [&head, &rule].into_iter().chain(&rows) {
        let mut line = String::new();
        for ((cell, width), column) in row.iter().zip(&widths).zip(&table.columns) {
            let padding = " ".repeat(width - cell.width());
            match column.kind {
                Kind::Number => line.extend([&padding, cell, "  "]),
                Kind::Text | Kind::Time | Kind::Level => line.extend([cell, &*padding, "  "]),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn cut(text: &str) -> String {
    let shown = shown(text);
    if shown.width() <= WIDTH {
        return shown;
    }
    let mut short = String::new();
    for character in shown.chars() {
        if short.width() + 2 >= WIDTH {
            break;
        }
        short.push(character);
    }
    short + "…"
}

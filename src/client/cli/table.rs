//! Text tables in two styles: boxed as python-glanceclient prints them, and plain columns as the
//! clients of 2011 do. Scripts parse both, so the output must not change by a byte.

use unicode_width::UnicodeWidthStr;

use super::printable::printable;

/// Alignment of the cells of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Formats a table with borders, as python-glanceclient prints it. Escapes the cells.
pub(super) fn boxed(headings: &[&str], rows: &[Vec<String>]) -> String {
    let heading_row: Vec<String> = headings.iter().map(|text| (*text).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(&heading_row)
        .chain(rows)
        .map(|row| {
            row.iter()
                .map(|cell| printable(cell).into_owned())
                .collect()
        })
        .collect();
    let widths: Vec<usize> = (0..headings.len())
        .map(|column| {
            rows.iter()
                .map(|row| row[column].width())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let dashes: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
    let rule = format!("+{}+\n", dashes.join("+"));
    let mut text = rule.clone();
    for (position, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            text.push_str("| ");
            text.push_str(&padded(cell, *width, Align::Left));
            text.push(' ');
        }
        text.push_str("|\n");
        if position == 0 {
            text.push_str(&rule);
        }
    }
    text.push_str(&rule);
    text
}

/// A column of a plain table.
pub(super) struct Column {
    pub(super) heading: &'static str,
    pub(super) width: usize,
    pub(super) align: Align,
}

/// Formats the heading of a plain table and the line of dashes below it, as the clients of 2011
/// print them.
pub(super) fn plain_heading(columns: &[Column]) -> String {
    let headings: Vec<String> = columns.iter().map(|c| c.heading.to_owned()).collect();
    let heading = plain_row(columns, &headings);
    let dashes: Vec<String> = columns.iter().map(|c| "-".repeat(c.width)).collect();
    format!("{heading}{}\n", dashes.join(" "))
}

/// Formats a row of a plain table. Escapes the cells and truncates those that are too wide.
pub(super) fn plain_row(columns: &[Column], cells: &[String]) -> String {
    let cells: Vec<String> = columns
        .iter()
        .zip(cells)
        .map(|(column, cell)| {
            let cut = cut_to(&printable(cell), column.width);
            padded(&cut, column.width, column.align)
        })
        .collect();
    format!("{}\n", cells.join(" "))
}

fn padded(cell: &str, width: usize, align: Align) -> String {
    let blanks = " ".repeat(width.saturating_sub(cell.width()));
    match align {
        Align::Left => format!("{cell}{blanks}"),
        Align::Right => format!("{blanks}{cell}"),
    }
}

fn cut_to(cell: &str, width: usize) -> String {
    let mut cut = String::new();
    // Widths are those of a terminal: an East Asian character takes two columns.
    for character in cell.chars() {
        cut.push(character);
        if cut.width() > width {
            cut.pop();
            break;
        }
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxed_columns_fit_their_widest_cell() {
        let rows = vec![
            vec!["name".to_owned(), "日本".to_owned()],
            vec!["x".to_owned(), "\u{7}".to_owned()],
        ];
        let wanted = "\
+----------+-------+
| Property | Value |
+----------+-------+
| name     | 日本  |
| x        | \\u{7} |
+----------+-------+
";
        assert_eq!(boxed(&["Property", "Value"], &rows), wanted);
    }

    #[test]
    fn plain_columns_are_truncated_and_aligned() {
        let columns = [
            Column {
                heading: "Name",
                width: 4,
                align: Align::Left,
            },
            Column {
                heading: "Size",
                width: 6,
                align: Align::Right,
            },
        ];
        assert_eq!(plain_heading(&columns), "Name   Size\n---- ------\n");
        let row = ["abcdef".to_owned(), "42".to_owned()];
        assert_eq!(plain_row(&columns, &row), "abcd     42\n");
    }
}

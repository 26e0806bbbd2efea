//! Parses the INI dialect of `oslo_config.iniparser` and keeps the line number of every value.
//!
//! The available INI crates drop line numbers, merge repeated keys and do not support oslo's
//! continuation lines. The parser also reads Python's logging configuration, whose format is close
//! enough for the parts that this program supports.
//!
//! # Format
//! * `[section]` opens a section; a key before the first section is an error.
//! * `key = value` or `key: value`, split at the first of the two signs. One pair of quotes around
//!   a value is removed.
//! * `#` or `;` in the first column starts a comment. A value cannot be followed by a comment,
//!   because `#` may be part of it.
//! * A line that starts with white space continues the value above; a blank line ends the value.

use std::fmt;

/// Name of the section to which other sections fall back.
pub(crate) const DEFAULT: &str = "DEFAULT";

/// A `key = value`, with the number of its first line (from 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub section: String,
    pub key: String,
    /// The value; continuation lines are joined by a line feed, as in oslo.
    pub value: String,
    pub line: usize,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.section, self.key)
    }
}

/// The content of a file: sections and entries in their order, without merging.
#[derive(Debug, Default)]
pub(crate) struct Ini {
    /// Name and line of each header. A section that is opened twice occurs twice.
    pub sections: Vec<(String, usize)>,
    pub entries: Vec<Entry>,
}

impl Ini {
    /// Returns the last entry of a key, which is the one in effect.
    pub fn last(&self, section: &str, key: &str) -> Option<&Entry> {
        self.entries
            .iter()
            .rev()
            .find(|entry| entry.section == section && entry.key == key)
    }
}

/// A line that violates the format.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadLine {
    pub line: usize,
    pub problem: &'static str,
}

/// Parses a whole file.
///
/// # Errors
/// Returns the first line that is neither a section, nor an assignment, nor a continuation.
pub(crate) fn parse(text: &str) -> Result<Ini, BadLine> {
    let (ini, bad) = parse_all(text);
    bad.into_iter().next().map_or(Ok(ini), Err)
}

/// Parses a whole file and returns its valid part together with every invalid line. Entries below
/// an invalid section header belong to a section without a name.
pub(crate) fn parse_all(text: &str) -> (Ini, Vec<BadLine>) {
    let mut reader = Reader::default();
    // Some editors write a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        if let Err(problem) = reader.line(number, line.trim_end()) {
            // A continuation line below an invalid line must not extend the value before it.
            reader.open = false;
            reader.bad.push(BadLine {
                line: number,
                problem,
            });
        }
    }
    (reader.ini, reader.bad)
}

#[derive(Default)]
struct Reader {
    ini: Ini,
    bad: Vec<BadLine>,
    /// True if the next line can continue a value.
    open: bool,
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) -> Result<(), &'static str> {
        let ini = &mut self.ini;
        if line.is_empty() || line.starts_with(['#', ';']) {
            self.open = false;
        } else if line.starts_with([' ', '\t']) {
            let entry = ini.entries.last_mut().filter(|_| self.open);
            let entry = entry.ok_or("starts with white space but continues no value")?;
            entry.value.push('\n');
            entry.value.push_str(line.trim_start());
        } else if line.starts_with('[') {
            self.open = false;
            let name = section_name(line);
            // An invalid header still ends the section above, so its keys are not read into that one.
            let own = name.unwrap_or_default().to_owned();
            ini.sections.push((own, number));
            name?;
        } else {
            let section = ini.sections.last().map(|(section, _)| section.clone());
            let section = section.ok_or("comes before the first [section]")?;
            let (key, value) = assignment(line)?;
            ini.entries.push(Entry {
                section,
                key: key.to_owned(),
                value: value.to_owned(),
                line: number,
            });
            self.open = true;
        }
        Ok(())
    }
}

fn section_name(line: &str) -> Result<&str, &'static str> {
    let name = line
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .ok_or("opens a section but has no ] at its end")?
        .trim();
    if name.is_empty() {
        return Err("opens a section without a name");
    }
    Ok(name)
}

fn assignment(line: &str) -> Result<(&str, &str), &'static str> {
    let (key, value) = line
        .split_once(['=', ':'])
        .ok_or("is neither a [section] nor key = value")?;
    let key = key.trim();
    if key.is_empty() {
        return Err("has no key before its value");
    }
    Ok((key, unquote(value.trim())))
}

/// Removes one pair of equal quotes.
fn unquote(value: &str) -> &str {
    ['"', '\'']
        .iter()
        .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<(String, String, String, usize)> {
        let ini = parse(text).expect("the text is INI");
        ini.entries
            .into_iter()
            .map(|e| (e.section, e.key, e.value, e.line))
            .collect()
    }

    fn row(section: &str, key: &str, value: &str, line: usize) -> (String, String, String, usize) {
        (section.into(), key.into(), value.into(), line)
    }

    #[test]
    fn both_separators_are_accepted_and_lines_are_counted() {
        let text =
            "# head\n[DEFAULT]\na = 1\nb: 2\r\n\n; note\n[x:y]\nurl = http://h:1/?a=b\nc:d=e\n";
        assert_eq!(
            values(text),
            [
                row("DEFAULT", "a", "1", 3),
                row("DEFAULT", "b", "2", 4),
                row("x:y", "url", "http://h:1/?a=b", 8),
                row("x:y", "c", "d=e", 9),
            ]
        );
    }

    #[test]
    fn continuation_ends_at_a_blank_line() {
        let text = "[s]\nlist = a,\n  b,\n\tc\nnext = 1\n";
        assert_eq!(
            values(text),
            [row("s", "list", "a,\nb,\nc", 2), row("s", "next", "1", 5)]
        );
        let lost = parse("[s]\na = 1\n\n  b\n").expect_err("b continues nothing");
        assert_eq!(lost.line, 4);
    }

    #[test]
    fn quotes_are_removed_and_signs_inside_values_kept() {
        let text = "[s]\na = \"x # y\"\nb = 'it''\nc = \"\nd = a#b;c\ne =\n";
        let got: Vec<_> = values(text).into_iter().map(|row| row.2).collect();
        assert_eq!(got, ["x # y", "it'", "\"", "a#b;c", ""]);
    }

    #[test]
    fn last_value_wins() {
        let ini = parse("[s]\na = 1\n[t]\na = 2\n[s]\na = 3\n").expect("INI");
        let last = ini.last("s", "a").expect("there are two");
        assert_eq!((last.value.as_str(), last.line), ("3", 6));
        assert!(ini.last("s", "b").is_none());
    }

    #[test]
    fn invalid_line_is_reported_with_its_number() {
        for (text, line) in [
            ("a = 1\n", 1),
            ("[s\n", 1),
            ("[]\n", 1),
            ("[s]\n\nnonsense\n", 3),
            ("[s]\n= 1\n", 2),
            ("[s]\n  a = 1\n", 2),
            ("[s]\na = 1\n# note\n  more\n", 4),
        ] {
            assert_eq!(
                parse(text).expect_err("this is no INI").line,
                line,
                "{text:?}"
            );
        }
    }

    #[test]
    fn every_invalid_line_is_reported() {
        let (ini, bad) = parse_all("a = 1\n[s]\nnonsense\nb = 2\n[t\nc = 3\n[u]\nd = 4\n");
        let lines: Vec<usize> = bad.iter().map(|bad| bad.line).collect();
        assert_eq!(lines, [1, 3, 5]);
        let kept: Vec<_> = ini.entries.iter().map(|e| (&*e.section, &*e.key)).collect();
        assert_eq!(kept, [("s", "b"), ("", "c"), ("u", "d")]);
    }

    #[test]
    fn byte_order_mark_is_skipped() {
        assert_eq!(
            values("\u{feff}[DEFAULT]\na=1"),
            [row("DEFAULT", "a", "1", 2)]
        );
    }
}

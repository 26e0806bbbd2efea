//! Renders log lines by formats of Python's `%` operator, such as `%(levelname)8s`.
//!
//! Source: Python's "printf-style String Formatting" and "LogRecord attributes".

use std::fmt::Write;

use tracing::Level;

use super::clock::DateFormat;
use crate::log::record::Record;

/// Largest width of a field. A larger number is taken for a typing error.
const MAX_WIDTH: usize = 255;

/// A field of a record, by its name in Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    AscTime,
    Created,
    FileName,
    FuncName,
    LevelName,
    LevelNo,
    LineNo,
    Message,
    Module,
    Msecs,
    Name,
    PathName,
    Process,
    Thread,
    ThreadName,
}

const FIELDS: &[(&str, Field)] = &[
    ("asctime", Field::AscTime),
    ("created", Field::Created),
    ("filename", Field::FileName),
    ("funcName", Field::FuncName),
    ("levelname", Field::LevelName),
    ("levelno", Field::LevelNo),
    ("lineno", Field::LineNo),
    ("message", Field::Message),
    ("module", Field::Module),
    ("msecs", Field::Msecs),
    ("name", Field::Name),
    ("pathname", Field::PathName),
    ("process", Field::Process),
    ("thread", Field::Thread),
    ("threadName", Field::ThreadName),
];

/// The value of a field in a record.
enum FieldValue {
    Text(String),
    Int(u64),
    Float(f64),
}

impl Field {
    fn is_number(self) -> bool {
        matches!(
            self,
            Self::Created
                | Self::LevelNo
                | Self::LineNo
                | Self::Msecs
                | Self::Process
                | Self::Thread
        )
    }

    fn value(self, record: &Record<'_>, dates: &DateFormat) -> FieldValue {
        let path = || std::path::Path::new(record.file);
        let lossy = |part: Option<&std::ffi::OsStr>| {
            FieldValue::Text(part.unwrap_or_default().to_string_lossy().into_owned())
        };
        match self {
            Self::AscTime => FieldValue::Text(dates.render(&record.time)),
            Self::Created => FieldValue::Float(record.time.timestamp().as_duration().as_secs_f64()),
            Self::FileName => lossy(path().file_name()),
            Self::FuncName => FieldValue::Text(record.function.into()),
            Self::LevelName => FieldValue::Text(python_level(record.level).0.into()),
            Self::LevelNo => FieldValue::Int(python_level(record.level).1),
            Self::LineNo => FieldValue::Int(record.line.into()),
            Self::Message => FieldValue::Text(record.message.into()),
            Self::Module => lossy(path().file_stem()),
            Self::Msecs => FieldValue::Float(f64::from(record.time.millisecond())),
            Self::Name => FieldValue::Text(record.target.replace("::", ".")),
            Self::PathName => FieldValue::Text(record.file.into()),
            Self::Process => FieldValue::Int(std::process::id().into()),
            Self::Thread => FieldValue::Int(crate::log::record::thread_id()),
            Self::ThreadName => {
                FieldValue::Text(std::thread::current().name().unwrap_or("unnamed").into())
            }
        }
    }
}

/// Returns the name and the number of a level in Python.
fn python_level(level: Level) -> (&'static str, u64) {
    match level {
        Level::ERROR => ("ERROR", 40),
        Level::WARN => ("WARNING", 30),
        Level::INFO => ("INFO", 20),
        Level::DEBUG => ("DEBUG", 10),
        Level::TRACE => ("TRACE", 5),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Conversion {
    Text,
    Int,
    Float,
}

/// The conversion specification of a field.
#[derive(Clone, Debug)]
struct FieldSpec {
    field: Field,
    left: bool,
    zeros: bool,
    /// Sign in front of a number; no field is negative.
    sign: &'static str,
    width: usize,
    precision: Option<usize>,
    conversion: Conversion,
}

#[derive(Clone, Debug)]
enum TemplatePart {
    Literal(String),
    Field(FieldSpec),
}

/// A parsed line format.
#[derive(Clone, Debug)]
pub(in crate::log) struct Template(Vec<TemplatePart>);

impl Template {
    /// Parses a format.
    ///
    /// # Errors
    /// Returns a description of the mistake with the field in which it is.
    pub fn parse(format: &str) -> Result<Self, String> {
        if format.contains(char::is_control) {
            return Err("it has a control character; one event is one line".into());
        }
        let mut parts = Vec::new();
        let mut rest = format;
        while let Some((literal, after)) = rest.split_once('%') {
            parts.push(TemplatePart::Literal(literal.to_owned()));
            if let Some(after) = after.strip_prefix('%') {
                parts.push(TemplatePart::Literal("%".to_owned()));
                rest = after;
                continue;
            }
            let (spec, after) = FieldSpec::parse(after)?;
            parts.push(TemplatePart::Field(spec));
            rest = after;
        }
        parts.push(TemplatePart::Literal(rest.to_owned()));
        Ok(Self(parts))
    }

    /// Appends the line of a record without a line feed.
    pub fn render(&self, record: &Record<'_>, dates: &DateFormat, out: &mut String) {
        for part in &self.0 {
            match part {
                TemplatePart::Literal(text) => out.push_str(text),
                // The message is by far the longest part, so it is appended without a copy.
                TemplatePart::Field(spec) if spec.is_bare(Field::Message) => {
                    out.push_str(record.message)
                }
                TemplatePart::Field(spec) => spec.render(spec.field.value(record, dates), out),
            }
        }
    }
}

impl FieldSpec {
    /// Parses the text after a percent sign. Returns the specification and the rest of the text.
    fn parse(text: &str) -> Result<(Self, &str), String> {
        let (name, after) = text
            .strip_prefix('(')
            .and_then(|text| text.split_once(')'))
            .ok_or("a % is followed by neither (name) nor another %")?;
        let known = FIELDS.iter().find(|(known, _)| *known == name);
        let field = known
            .map(|(_, field)| *field)
            .ok_or_else(|| unknown_field(name))?;

        let is_flag = |c: char| matches!(c, '-' | '0' | '+' | ' ' | '#');
        let (flags, after) = split_while(after, is_flag);
        let (width, after) = split_while(after, |c| c.is_ascii_digit());
        let (precision, after) = match after.strip_prefix('.') {
            Some(after) => {
                let (digits, after) = split_while(after, |c| c.is_ascii_digit());
                (Some(digits), after)
            }
            None => (None, after),
        };
        let mut letters = after.chars();
        let conversion = conversion(name, field, letters.next())?;
        let spec = Self {
            field,
            left: flags.contains('-'),
            zeros: flags.contains('0'),
            sign: match flags {
                _ if flags.contains('+') => "+",
                _ if flags.contains(' ') => " ",
                _ => "",
            },
            width: number(name, width)?,
            precision: precision.map(|digits| number(name, digits)).transpose()?,
            conversion,
        };
        Ok((spec, letters.as_str()))
    }

    fn is_bare(&self, field: Field) -> bool {
        self.field == field && self.width == 0 && self.precision.is_none()
    }

    fn render(&self, value: FieldValue, out: &mut String) {
        let text = self.bare_text(value);
        let is_number = self.conversion != Conversion::Text;
        let sign = if is_number { self.sign } else { "" };
        let width = self.width;
        if width == 0 {
            out.push_str(sign);
            out.push_str(&text);
            return;
        }
        // Writing to a String cannot fail.
        let _ = if self.left {
            write!(out, "{:<width$}", format!("{sign}{text}"))
        } else if self.zeros && is_number {
            write!(
                out,
                "{sign}{text:0>digits$}",
                digits = width.saturating_sub(sign.len())
            )
        } else {
            write!(out, "{:>width$}", format!("{sign}{text}"))
        };
    }

    /// Returns the value without sign and padding.
    fn bare_text(&self, value: FieldValue) -> String {
        let decimals = self.precision.unwrap_or(6);
        let digits = self.precision.unwrap_or(0);
        match (self.conversion, value) {
            (Conversion::Text, FieldValue::Int(number)) => number.to_string(),
            (Conversion::Text, FieldValue::Float(number)) => format!("{number:?}"),
            // Python truncates the fraction.
            (Conversion::Int, FieldValue::Float(number)) => format!("{:0>digits$}", number.trunc()),
            (Conversion::Int, FieldValue::Int(number)) => format!("{number:0>digits$}"),
            (Conversion::Float, FieldValue::Float(number)) => format!("{number:.decimals$}"),
            (Conversion::Float, FieldValue::Int(number)) => format!("{:.decimals$}", number as f64),
            // `conversion` accepts only `s` for text.
            (_, FieldValue::Text(text)) => match self.precision {
                Some(length) => text.chars().take(length).collect(),
                None => text,
            },
        }
    }
}

fn conversion(name: &str, field: Field, letter: Option<char>) -> Result<Conversion, String> {
    match letter {
        Some('s') => Ok(Conversion::Text),
        Some('d' | 'i' | 'u') if field.is_number() => Ok(Conversion::Int),
        Some('f' | 'F') if field.is_number() => Ok(Conversion::Float),
        Some(letter @ ('d' | 'i' | 'u' | 'f' | 'F')) => Err(format!(
            "%({name}){letter}: {name} is text, write %({name})s"
        )),
        Some(letter) => Err(format!(
            "%({name}) ends in {letter:?}; the conversions are s, d and f"
        )),
        None => Err(format!("%({name}) has no conversion; write %({name})s")),
    }
}

fn unknown_field(name: &str) -> String {
    let names: Vec<_> = FIELDS.iter().map(|(name, _)| *name).collect();
    format!(
        "%({name}) is not a field; the fields are {}",
        names.join(", ")
    )
}

fn number(name: &str, digits: &str) -> Result<usize, String> {
    if digits.is_empty() {
        return Ok(0);
    }
    let number = digits.parse().ok().filter(|number| *number <= MAX_WIDTH);
    number.ok_or_else(|| format!("%({name}): {digits} is wider than {MAX_WIDTH}"))
}

fn split_while(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !keep(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(format: &str) -> String {
        let record = Record {
            time: "2026-01-02T03:04:05.006789+00:00[UTC]"
                .parse()
                .expect("a time"),
            level: Level::WARN,
            target: "glance::store::file",
            file: "src/store/file.rs",
            line: 42,
            function: "open",
            message: "disk is full",
        };
        let mut out = String::new();
        let template = Template::parse(format).unwrap_or_else(|problem| panic!("{problem}"));
        template.render(&record, &DateFormat::Python, &mut out);
        out
    }

    #[test]
    fn default_format_of_glance_is_rendered() {
        assert_eq!(
            render("%(asctime)s %(levelname)8s [%(name)s] %(message)s"),
            "2026-01-02 03:04:05,006  WARNING [glance.store.file] disk is full"
        );
    }

    /// Each line as Python writes it: `format % {"name": value}`.
    #[test]
    fn flags_widths_and_letters_as_in_python() {
        for (format, expected) in [
            ("%(levelname)-10s|", "WARNING   |"),
            ("%(levelname).4s|%(levelname)6.1s", "WARN|     W"),
            ("%(msecs)03d", "006"),
            ("%(msecs)d|%(msecs)5d|%(msecs)-5d|", "6|    6|6    |"),
            (
                "%(lineno)+d %(lineno)+05d %(lineno) d %(lineno)+5d",
                "+42 +0042  42   +42",
            ),
            (
                "%(lineno).4d %(msecs).3d %(levelname)+s",
                "0042 006 WARNING",
            ),
            ("%(msecs)s %(msecs).1f %(msecs)f", "6.0 6.0 6.000000"),
            ("%(lineno)05d %(lineno)s %(lineno).2f", "00042 42 42.00"),
            (
                "%(created)f %(created).3f",
                "1767323045.006789 1767323045.007",
            ),
            ("%(levelno)d%% %%(x)", "30% %(x)"),
            (
                "%(pathname)s %(filename)s %(module)s %(funcName)s",
                "src/store/file.rs file.rs file open",
            ),
            ("%(levelname)020s", "             WARNING"),
            ("", ""),
        ] {
            assert_eq!(render(format), expected, "{format}");
        }
    }

    #[test]
    fn process_and_thread_fields_name_the_current_ones() {
        assert_eq!(render("%(process)d"), std::process::id().to_string());
        assert_ne!(render("%(thread)d"), "0");
        let name = std::thread::current()
            .name()
            .unwrap_or("unnamed")
            .to_owned();
        assert_eq!(render("%(threadName)s"), name);
    }

    #[test]
    fn mistakes_in_a_format_are_described() {
        for (format, part) in [
            (
                "%(user)s",
                "%(user) is not a field; the fields are asctime, created",
            ),
            ("%(message)d", "message is text"),
            ("%(message)", "has no conversion"),
            ("%(message)r", "ends in 'r'"),
            ("%s", "neither (name) nor another %"),
            ("100%", "neither (name) nor another %"),
            ("%(message", "neither (name) nor another %"),
            ("%(message)9999s", "wider than 255"),
            ("a\nb", "control character"),
        ] {
            let problem = Template::parse(format).expect_err(format);
            assert!(problem.contains(part), "{format}: {problem}");
        }
    }
}

//! Renders the option reference (`docs/reference/options.md`) from the declarations of the options.
//!
//! A unit test compares the file with the declarations. With `GLANCE_UPDATE_REFERENCE=1` in its
//! environment that test writes the file instead:
//!
//! ```text
//! GLANCE_UPDATE_REFERENCE=1 cargo test --lib config::reference config::sample
//! ```

use std::fmt::Write;

use crate::config::declare::{DeclaredOption, OptionGroup};
use crate::config::root;

const HEAD: &str = "\
# Option reference

Every option of `glance-api.conf`, `glance-registry.conf` and `glance-scrubber.conf`, by section.
This file is generated from the declarations in `src/config/options`; a test compares them.
[configuration.md](../configuration.md) explains how a file is found and read.
";

/// Returns the option reference in Markdown.
pub(crate) fn render() -> String {
    let mut out = String::from(HEAD);
    let groups = root::groups();
    // Writing to a String cannot fail.
    for group in &groups {
        let _ = writeln!(
            out,
            "- [{}](#{}) `[{}]`",
            group.title,
            anchor(group),
            group.section
        );
    }
    out.insert(HEAD.len(), '\n');
    for group in &groups {
        let _ = write!(
            out,
            "\n## {}\n\nSection `[{}]`.\n",
            group.title, group.section
        );
        for option in &group.options {
            render_option(&mut out, option);
        }
    }
    out
}

/// Returns the anchor that Markdown renderers give the heading of a group.
fn anchor(group: &OptionGroup) -> String {
    group.title.to_lowercase().replace(' ', "-")
}

fn render_option(out: &mut String, option: &DeclaredOption) {
    let key = &option.key;
    let _ = write!(out, "\n### `{}`\n\n", key.name);
    for line in option.help {
        let _ = writeln!(out, "{}", escape(line.trim_start()));
    }
    let default = match key.default {
        "" => "empty".to_owned(),
        default => format!("`{default}`"),
    };
    let _ = write!(
        out,
        "\n- Value: {}\n- Default: {default}\n",
        escape(&option.expected)
    );
    if !key.aliases.is_empty() {
        let aliases = key.aliases.iter();
        let aliases: Vec<_> = aliases
            .map(|(section, name)| format!("`[{section}] {name}`"))
            .collect();
        let _ = writeln!(out, "- Also read from: {}", aliases.join(", "));
    }
}

/// Escapes characters that Markdown would take for emphasis or a link.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '_' | '*' | '[' | ']' | '<' | '>' | '~') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Compares a generated file with the file in the checkout, or writes it if
/// `GLANCE_UPDATE_REFERENCE` is set.
#[cfg(test)]
pub(crate) fn assert_file_is_current(path: &str, expected: &str) {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("GLANCE_UPDATE_REFERENCE").is_some() {
        std::fs::write(&file, expected).expect("the file can be written");
    }
    let current = std::fs::read_to_string(&file).expect("the file can be read");
    assert!(
        current == expected,
        "{path} is out of date; write it with: \
         GLANCE_UPDATE_REFERENCE=1 cargo test --lib config::"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn option_reference_is_current() {
        assert_file_is_current("docs/reference/options.md", &render());
    }

    #[test]
    fn markdown_signs_in_help_are_escaped() {
        assert_eq!(escape("see [a] bind_host"), "see \\[a\\] bind\\_host");
    }
}

//! Renders the sample configuration file (`etc/glance.conf.sample`, `--print-config`) from the
//! declarations of the options.

use std::fmt::Write;

use crate::config::declare::{DeclaredOption, OptionGroup};

/// Longest line of the sample, apart from defaults that are longer themselves.
const MAX_COLUMNS: usize = 100;

const HEAD: &str = "\
# Configuration of glance-api. The command glance-api --print-config prints this file.
#
# The server reads the file that its command line names. Without one it reads the first
# glance-api.conf or glance.conf in the folders ./, ~/.glance/, ~/, /etc/glance/ and /etc/.
# Every option is shown with its default. Remove the # in front of an option to set it.
# $name stands for the value of another option of the same section or of [DEFAULT]; $$ is a
# dollar sign. A line that starts with white space continues the value above it.
";

/// Returns the sample file: every option with its help, its values and its default, grouped by
/// subject in the order of declaration.
pub(crate) fn render(groups: &[OptionGroup]) -> String {
    let mut out = String::from(HEAD);
    let mut section = "";
    for group in groups {
        if group.section != section {
            section = group.section;
            // Writing to a String cannot fail.
            let _ = write!(out, "\n\n[{section}]\n");
        }
        let _ = write!(out, "\n## {} ##\n", group.title);
        for option in &group.options {
            render_option(&mut out, option);
        }
    }
    out
}

fn render_option(out: &mut String, option: &DeclaredOption) {
    out.push('\n');
    for line in option.help {
        let _ = writeln!(out, "#{line}");
    }
    push_comment(out, &format!("Value: {}.", option.expected));
    let name = option.key.name;
    for (section, alias) in option.key.aliases {
        let _ = writeln!(out, "# Also read from [{section}] {alias}.");
    }
    let _ = writeln!(
        out,
        "{}",
        format!("#{name} = {}", option.key.default).trim_end()
    );
}

/// Appends a comment, wrapped at [`MAX_COLUMNS`].
fn push_comment(out: &mut String, text: &str) {
    let mut line = String::from("#");
    for word in text.split(' ') {
        if line.len() + 1 + word.len() > MAX_COLUMNS {
            out.push_str(&line);
            out.push('\n');
            line = String::from("#  ");
        }
        line.push(' ');
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::MAX_COLUMNS;
    use crate::config::{Config, reference, root};

    #[test]
    fn sample_in_etc_is_current() {
        reference::assert_file_is_current("etc/glance.conf.sample", &Config::sample());
    }

    #[test]
    fn sample_sets_no_option() {
        let (config, warnings) = Config::from_text("sample", &Config::sample()).expect("sound");
        assert_eq!(warnings, []);
        let (built_in, _) = Config::from_text("empty", "").expect("defaults are sound");
        assert_eq!(format!("{config:?}"), format!("{built_in:?}"));
    }

    #[test]
    fn local_configuration_starts_a_server_from_a_checkout() {
        let text = include_str!("../../etc/glance-local.conf");
        let (config, warnings) = Config::from_text("local", text).expect("sound");
        assert_eq!(warnings, []);
        assert_eq!(config.data.data_dir.to_str(), Some("glance-data"));
        assert_eq!(
            config.store.filesystem_store_datadir.to_str(),
            Some("glance-data/images")
        );
        assert!(config.listen.bind_host.is_loopback());
    }

    #[test]
    fn every_default_is_accepted_as_a_value() {
        let mut text = String::new();
        for group in root::groups() {
            text.push_str(&format!("[{}]\n", group.section));
            for option in &group.options {
                text.push_str(&format!("{} = {}\n", option.key.name, option.key.default));
            }
        }
        let (given, warnings) = Config::from_text("defaults", &text).expect("defaults are sound");
        assert_eq!(warnings, []);
        let (built_in, _) = Config::from_text("empty", "").expect("defaults are sound");
        assert_eq!(format!("{given:?}"), format!("{built_in:?}"));
    }

    #[test]
    fn every_option_has_help_in_whole_sentences() {
        for option in root::groups().iter().flat_map(|group| &group.options) {
            let last = option.help.last().unwrap_or(&"");
            assert!(last.ends_with('.'), "{}: {last:?}", option.key.name);
        }
    }

    #[test]
    fn no_line_of_the_sample_is_too_long() {
        let sample = Config::sample();
        let long: Vec<_> = sample
            .lines()
            .filter(|line| line.len() > MAX_COLUMNS)
            .collect();
        assert!(long.is_empty(), "{long:#?}");
    }
}

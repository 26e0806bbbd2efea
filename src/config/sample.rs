//! The sample file, rendered from the declarations.

use std::fmt::Write;

use crate::config::declare::{DeclaredOption, OptionGroup};

const HEAD: &str = "\
# Configuration of glance-api. glance-api --print-config prints this file.
#
# The server reads the file named on its command line, else the first found of ./, ~/.glance/, ~/, /etc/glance/ and
# /etc/, looking for glance-api.conf, then glance.conf. An option that is commented out here shows its default.
# $name stands for the value of another option of the same section or of [DEFAULT]; $$ is a dollar sign.
# A line that starts with white space continues the value above it.
";

/// Every option, grouped, in the order of declaration.
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
    let _ = writeln!(out, "# Value: {}.", option.expected);
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

#[cfg(test)]
mod tests {
    use crate::config::{Config, root};

    #[test]
    fn the_file_in_etc_is_what_the_program_prints() {
        let file = include_str!("../../etc/glance.conf.sample");
        let hint =
            "write it anew: cargo run --bin glance-api -- --print-config > etc/glance.conf.sample";
        assert!(
            file == Config::sample(),
            "etc/glance.conf.sample is out of date; {hint}"
        );
    }

    #[test]
    fn the_sample_sets_nothing() {
        let (config, warnings) = Config::from_text("sample", &Config::sample()).expect("sound");
        assert_eq!(warnings, []);
        let (built_in, _) = Config::from_text("empty", "").expect("defaults are sound");
        assert_eq!(format!("{config:?}"), format!("{built_in:?}"));
    }

    #[test]
    fn the_local_configuration_starts_a_server_from_a_checkout() {
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
    fn every_default_can_be_uncommented() {
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
    fn every_option_has_help_that_ends() {
        for option in root::groups().iter().flat_map(|group| &group.options) {
            let last = option.help.last().unwrap_or(&"");
            assert!(last.ends_with('.'), "{}: {last:?}", option.key.name);
        }
    }
}

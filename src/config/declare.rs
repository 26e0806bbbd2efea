//! The `options!` macro, by which every option is declared once.
//!
//! From a declaration come the field of a struct, its default, its reader, and the data that
//! `sample` and `reference` render. Add an option by adding a declaration in `options`.

use std::fmt;

/// The names and the default of an option.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OptionKey {
    pub section: &'static str,
    pub name: &'static str,
    /// Older names as (section, key), tried in this order when the file does not have the first
    /// name.
    pub aliases: &'static [(&'static str, &'static str)],
    /// The default in the notation of the file.
    pub default: &'static str,
}

impl OptionKey {
    /// Returns every (section, key) that sets the option, its own name first.
    pub fn spellings(&self) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
        std::iter::once((self.section, self.name)).chain(self.aliases.iter().copied())
    }
}

impl fmt::Display for OptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.section, self.name)
    }
}

/// A declared option, as the sample file shows it.
#[derive(Clone, Debug)]
pub(crate) struct DeclaredOption {
    pub key: OptionKey,
    /// The doc comment of the field, line by line.
    pub help: &'static [&'static str],
    /// Description of its values, which completes the sentence "expected ...".
    pub expected: String,
    /// True if the value must never be printed.
    pub is_secret: bool,
}

/// The options of one struct, as the sample file shows them.
pub(crate) struct OptionGroup {
    pub section: &'static str,
    pub title: &'static str,
    pub options: Vec<DeclaredOption>,
}

/// Declares a struct whose fields are options of one section of the file.
///
/// ```text
/// options! {
///     /// The subject of the options.
///     pub struct Name, "SECTION", "Title in the sample";
///     /// What the option sets.
///     option_name: Type = "default as in the file", ValueType, also [("OTHER", "old_name")];
/// }
/// ```
///
/// It generates the struct with its documented fields, `group()` with the declarations, and
/// `read()`, which reads the options from a file.
macro_rules! options {
    (
        $(#[doc = $about:literal])*
        pub struct $name:ident, $section:literal, $title:literal;
        $(
            $(#[doc = $help:literal])*
            $field:ident: $type:ty = $default:literal, $kind:expr $(, also $aliases:expr)?;
        )*
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug)]
        pub struct $name {
            $(
                $(#[doc = $help])*
                pub $field: $type,
            )*
        }

        impl $name {
            pub(crate) fn group() -> $crate::config::declare::OptionGroup {
                use $crate::config::{declare, value_types::ValueType};
                $crate::config::declare::OptionGroup {
                    section: $section,
                    title: $title,
                    options: vec![$(
                        declare::DeclaredOption {
                            key: options!(@key $section, $field, $default $(, $aliases)?),
                            help: &[$($help),*],
                            expected: $kind.expected(),
                            is_secret: $kind.is_secret(),
                        },
                    )*],
                }
            }

            pub(crate) fn read(
                values: &$crate::config::values::Values<'_>,
            ) -> Result<Self, $crate::config::error::ConfigError> {
                Ok(Self {
                    $(
                        $field: values.read(
                            &options!(@key $section, $field, $default $(, $aliases)?),
                            &$kind,
                        )?,
                    )*
                })
            }
        }
    };
    (@key $section:literal, $field:ident, $default:literal) => {
        options!(@key $section, $field, $default, [])
    };
    (@key $section:literal, $field:ident, $default:literal, $aliases:expr) => {
        $crate::config::declare::OptionKey {
            section: $section,
            name: stringify!($field),
            aliases: &$aliases,
            default: $default,
        }
    };
}

pub(crate) use options;

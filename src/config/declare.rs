//! How an option is declared: once, giving its field, default, reader and lines in the sample.

use std::fmt;

/// The names and the default of one option.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OptionKey {
    pub section: &'static str,
    pub name: &'static str,
    /// Other places it is read from, in order, when it is not at its own: (section, key).
    pub aliases: &'static [(&'static str, &'static str)],
    /// As it would stand in the file.
    pub default: &'static str,
}

impl OptionKey {
    /// Every place the option is read from, its own first.
    pub fn spellings(&self) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
        std::iter::once((self.section, self.name)).chain(self.aliases.iter().copied())
    }
}

impl fmt::Display for OptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.section, self.name)
    }
}

/// One declared option.
#[derive(Clone, Debug)]
pub(crate) struct DeclaredOption {
    pub key: OptionKey,
    /// The doc comment of the field, line by line.
    pub help: &'static [&'static str],
    /// The words of its kind, to finish "expected ...".
    pub expected: String,
    /// Whether nobody may see the value.
    pub is_secret: bool,
}

/// The options of one struct, as the sample shows them.
pub(crate) struct OptionGroup {
    pub section: &'static str,
    pub title: &'static str,
    pub options: Vec<DeclaredOption>,
}

/// Declares a struct of options that all stand in one section of the file.
///
/// ```text
/// options! {
///     /// What the struct holds.
///     pub struct Name, "SECTION", "Title in the sample";
///     /// What the option does.
///     option_name: Type = "default as in the file", ValueType, also [("OTHER", "old_name")];
/// }
/// ```
///
/// It gives the struct with its documented fields, `group()` for the sample and the look-up of defaults, and `read()`.
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

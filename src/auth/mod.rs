//! Who is asking: from what a request says of its sender to a [`Caller`].
//!
//! Three ways, chosen by `[paste_deploy] flavor`: nobody is asked, and everybody is an
//! administrator; a proxy in front has asked, and says so in headers (`trusted`); or the
//! request has a token, which the identity service knows (`tokens`). Headers that claim an
//! identity count in the second way only, and only from the proxies that were named.

mod authenticator;
mod presented;
mod rules;
mod tokens;
mod trusted;

pub use authenticator::{Authenticator, AuthenticatorOptions, Way};
pub use rules::CallerRules;
pub use tokens::TokenOptions;

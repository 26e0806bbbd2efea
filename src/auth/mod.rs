//! Authentication: determines the [`Caller`](crate::image::Caller) of a request from its headers.
//!
//! `[paste_deploy] flavor` selects one of three modes. Without authentication every caller is an
//! administrator. In `trusted-auth` a proxy has authenticated the caller and states the identity
//! in headers (`trusted_proxies`). In `keystone` the request carries a token, which the identity
//! service validates (`tokens`). Identity headers are ignored in every mode but `trusted-auth`,
//! and there unless a configured proxy sends them.

mod authenticator;
mod caller_rules;
mod identity_headers;
mod tokens;
mod trusted_proxies;

pub use authenticator::{AuthMode, Authenticator, AuthenticatorOptions};
pub use caller_rules::CallerRules;
pub use tokens::TokenOptions;

//! The identity service (Keystone, Identity API v3), as its client sees it.
//!
//! [`Keystone::issue`] turns a login into a [`Token`], which says how long it is valid and,
//! by its [`Catalogue`], where the services of the cloud are. Whoever uses a token for long
//! holds it in a [`ExpiringCell`](crate::http_client::ExpiringCell). [`Keystone::verify`] says who
//! it is that shows us a token.

mod catalogue;
mod client;
mod error;
mod login;
mod token;
mod token_info;

pub use catalogue::{Catalogue, EndpointQuery, Interface};
pub use client::Keystone;
pub use error::KeystoneError;
pub use login::{ApplicationCredential, Domain, Login, Project, Proof, User};
pub use token::Token;
pub use token_info::TokenInfo;

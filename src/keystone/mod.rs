//! A client of the identity service (Keystone, Identity API v3).
//!
//! [`Keystone::issue`] exchanges a login for a [`Token`], which has a lifetime and a [`Catalogue`]
//! of the cloud's services. Callers that use a token for long hold it in an
//! [`ExpiringCell`](crate::http_client::ExpiringCell). [`Keystone::verify`] returns the owner of a
//! token that a client has presented.

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

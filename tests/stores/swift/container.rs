//! A container for the images of one node.

use super::Look;
use crate::support::backends::swift::{Account, SwiftHandle};
use crate::support::server::Setup;
use crate::support::{eventually, unique};

/// A separate container, and direct access to it.
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) look: Look,
}

impl Container {
    pub(crate) fn of(look: Look) -> Self {
        Self {
            name: unique("images"),
            look,
        }
    }

    pub(crate) fn by_v1(swift: &SwiftHandle, account: &Account) -> Self {
        Self::of(Look::by_v1(swift, account))
    }

    /// A node that stores its images in it, in segments of 1 MiB from 4 MiB on.
    pub(crate) fn node(&self, login: &[(&str, &str)]) -> Setup {
        let options = [
            ("stores", "swift"),
            ("default_store", "swift"),
            ("swift_store_container", &self.name),
            ("swift_store_create_container_on_put", "True"),
            ("swift_store_large_object_size", "4"),
            ("swift_store_large_object_chunk_size", "1"),
        ];
        let options = options.iter().chain(login);
        options.fold(Setup::new(), |setup, (name, value)| {
            setup.store_option(name, value)
        })
    }

    pub(crate) fn node_by_v1(&self, auth_url: &str, account: &Account) -> Setup {
        self.node(&[
            ("swift_store_auth_version", "1"),
            ("swift_store_auth_address", auth_url),
            ("swift_store_user", &account.user),
            ("swift_store_key", &account.key),
        ])
    }

    pub(crate) fn names(&self) -> Vec<String> {
        match self.look.ask("GET", &format!("/{}", self.name)) {
            missing if missing.status == 404 => Vec::new(),
            listing => listing.text().lines().map(str::to_owned).collect(),
        }
    }

    #[track_caller]
    pub(crate) fn await_empty(&self) {
        eventually("the container is empty", || {
            self.names().is_empty().then_some(())
        });
    }
}

//! The differences between the two servers that read a configuration file.

use crate::config::checks::conflict;
use crate::config::ini::DEFAULT;
use crate::config::options::RegistryBackend;
use crate::config::root::Config;
use crate::config::values::Values;

/// Default ports of a registry server.
const REGISTRY_PORT: u16 = 9191;
const REGISTRY_ADMIN_PORT: u16 = 9192;

/// The server to which a configuration belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `glance-api`, and the programs that use its file.
    Api,
    /// `glance-registry`: it has other default ports and is never a client of another registry
    /// server.
    Registry,
}

impl Role {
    /// Returns the section in which the first Glance kept the options of the program.
    pub(crate) fn legacy_section(self) -> &'static str {
        match self {
            Role::Api => "app:glance-api",
            Role::Registry => "app:glance-registry",
        }
    }
}

impl Config {
    /// Applies the defaults of a registry server: its own ports, and no registry server to connect
    /// to. Reports an explicit `registry_backend = remote`.
    pub(crate) fn apply_registry_defaults(&mut self, values: &Values<'_>) {
        let is_set = |name| {
            let key = values.declared(DEFAULT, name);
            key.is_some_and(|key| values.find(&key).is_some())
        };
        if !is_set("bind_port") {
            self.listen.bind_port = REGISTRY_PORT;
        }
        if !is_set("admin_bind_port") {
            self.listen.admin_bind_port = REGISTRY_ADMIN_PORT;
        }
        // In a file that both servers read, the option tells the API server where this one is.
        self.registry.registry_host.clear();
        if self.registry.backend() == RegistryBackend::Remote {
            values.report(conflict(
                values,
                (DEFAULT, "registry_backend"),
                "remote",
                "embedded or etcd for a registry server",
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigError;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let read = Config::from_text_for(Role::Registry, "g.conf", text);
        read.map(|(config, _)| config)
    }

    #[test]
    fn registry_server_has_default_ports_of_its_own() {
        let config = read("[DEFAULT]\nregistry_host = 10.0.0.1\n").unwrap();
        let ports = (config.listen.bind_port, config.listen.admin_bind_port);
        assert_eq!(ports, (9191, 9192));
        assert_eq!(config.registry.backend(), RegistryBackend::Embedded);
        let config =
            read("[DEFAULT]\nbind_port = 1\n[app:glance-registry]\nbind_port = 2\n").unwrap();
        assert_eq!(config.listen.bind_port, 2);
        let (api, _) =
            Config::from_text("g.conf", "[DEFAULT]\nregistry_host = 10.0.0.1\n").unwrap();
        assert_eq!(api.registry.backend(), RegistryBackend::Remote);
        assert_eq!(api.registry.remote_address(), "http://10.0.0.1:9191");
    }

    #[test]
    fn a_registry_server_asks_no_other() {
        let wrong =
            read("[DEFAULT]\nregistry_backend = remote\nregistry_host = 10.0.0.1\n").unwrap_err();
        assert!(wrong.to_string().contains("embedded or etcd"), "{wrong}");
    }
}

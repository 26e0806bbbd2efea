//! Maps the locations of an old registry to the stores of this server.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::config::Config;

/// The stores of this server, and the folders to which the files of the old stores were moved.
#[derive(Debug, Default)]
#[cfg_attr(not(feature = "legacy-sql"), expect(dead_code))]
pub(in super::super) struct LocationMap {
    /// Names of the enabled stores: file, http, s3, swift.
    stores: Vec<&'static str>,
    /// The folder of the file store.
    folder: PathBuf,
    /// Folders by the identifier of the old store (`--store-folder`).
    moved: HashMap<String, PathBuf>,
}

impl LocationMap {
    /// Combines the stores of the configuration with the folders of the command line.
    pub(in super::super) fn new(config: &Config, moved: &[(String, PathBuf)]) -> Self {
        let stores = ["file", "http", "s3", "swift"];
        Self {
            stores: stores
                .into_iter()
                .filter(|store| config.store.has(store))
                .collect(),
            folder: config.store.filesystem_store_datadir.clone(),
            moved: moved.iter().cloned().collect(),
        }
    }
}

/// Parses `ID=PATH` of `--store-folder`.
pub(in super::super) fn store_folder(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((id, path)) if !id.is_empty() && path.starts_with('/') => {
            Ok((id.to_owned(), Path::new(path).components().collect()))
        }
        _ => Err("wanted ID=PATH with an absolute path".to_owned()),
    }
}

#[cfg(feature = "legacy-sql")]
mod mapping {
    use std::path::Path;

    use super::LocationMap;
    use crate::image::Location;
    use crate::store::{file_name_in, store_of_scheme};

    impl LocationMap {
        /// Returns the location on this server: a file of a store that was moved is in its new
        /// folder.
        pub(in crate::manage::legacy) fn moved(
            &self,
            location: Location,
            store: Option<&str>,
        ) -> Location {
            let folder = store.and_then(|id| self.moved.get(id));
            let is_file = store_of_scheme(location.scheme()) == Some("file");
            let Some(folder) = folder.filter(|_| is_file) else {
                return location;
            };
            let name = location.expose_rest().rsplit('/').next();
            let moved = format!("file://{}/{}", folder.display(), name.unwrap_or_default());
            Location::parse(&moved).unwrap_or(location)
        }

        /// Checks that a store of this server can read the location.
        ///
        /// # Errors
        /// The reason and the remedy. Shows the folder of a file and no other part of the location,
        /// which may contain credentials.
        pub(in crate::manage::legacy) fn check(
            &self,
            location: &Location,
            store: Option<&str>,
        ) -> Result<(), String> {
            let scheme = location.scheme();
            let Some(reader) = store_of_scheme(scheme).filter(|name| self.stores.contains(name))
            else {
                return Err(format!(
                    "no store here reads its location, which has the scheme {scheme}"
                ));
            };
            let rest = location.expose_rest();
            if reader != "file" || file_name_in(&self.folder, rest).is_some() {
                return Ok(());
            }
            let path = Path::new(rest.strip_prefix("//").unwrap_or(rest));
            let there = path.parent().unwrap_or(path).display();
            let id = store.unwrap_or("ID");
            let of_store = store.map_or(String::new(), |id| format!(" of the store {id}"));
            Err(format!(
                "its file{of_store} is in {there}, which is not filesystem_store_datadir, so it \
                 cannot be read; move the files there and give --store-folder {id}={}",
                self.folder.display()
            ))
        }
    }

    impl LocationMap {
        /// Returns a map with every store, and with the files in one folder.
        #[cfg(test)]
        pub(in crate::manage::legacy) fn of_test(folder: &str, moved: &[(&str, &str)]) -> Self {
            let moved = moved
                .iter()
                .map(|(id, folder)| ((*id).to_owned(), folder.into()));
            Self {
                stores: vec!["file", "http", "s3", "swift"],
                folder: folder.into(),
                moved: moved.collect(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_folder_requires_id_and_absolute_path() {
        let read = |text| store_folder(text);
        assert_eq!(read("b=/x/"), Ok(("b".to_owned(), "/x".into())));
        for bad in ["b", "=/x", "b=x", "b="] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}

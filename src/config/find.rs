//! Locates the configuration file in the folders that Glance searches.

use std::path::{Path, PathBuf};

use crate::config::error::ConfigError;

/// Names that every program tries after its own name, so that the other programs find the server's
/// file.
const COMMON_NAMES: [&str; 2] = ["glance-api.conf", "glance.conf"];

/// Returns the folders to search, in order: `./`, `~/.glance/`, `~/`, `/etc/glance/`, `/etc/`.
/// Without a home folder, the two folders in it are omitted.
pub fn search_dirs(home: Option<&Path>) -> Vec<PathBuf> {
    let mut dirs = vec![PathBuf::from(".")];
    if let Some(home) = home {
        dirs.push(home.join(".glance"));
        dirs.push(home.to_owned());
    }
    dirs.extend(["/etc/glance", "/etc"].map(PathBuf::from));
    dirs
}

/// Returns the file to read: `choice` if the command line names one, else the first of
/// `<program>.conf`, `glance-api.conf` and `glance.conf` in each of the folders.
///
/// # Errors
/// Returns [`ConfigError::NotFound`] if there is no choice and no file exists. The existence of a
/// chosen file is not checked here, so that reading it reports the error of the system.
pub fn find_config_file(
    program: &str,
    choice: Option<&Path>,
    dirs: &[PathBuf],
) -> Result<PathBuf, ConfigError> {
    if let Some(choice) = choice {
        return Ok(choice.to_owned());
    }
    let own = format!("{program}.conf");
    let names = [own.as_str(), COMMON_NAMES[0], COMMON_NAMES[1]];
    let mut candidates = dirs
        .iter()
        .flat_map(|dir| names.iter().map(|name| dir.join(name)));
    candidates
        .find(|path| path.is_file())
        .ok_or_else(|| ConfigError::NotFound {
            program: program.to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn chosen_file_is_returned_even_if_it_does_not_exist() {
        let found = find_config_file("glance-api", Some(Path::new("/no/such.conf")), &[]);
        assert_eq!(found.expect("chosen"), Path::new("/no/such.conf"));
    }

    #[test]
    fn first_folder_wins_and_then_the_name_of_the_program() {
        let root = tempfile::tempdir().expect("a folder");
        let dirs = ["first", "second"].map(|name| root.path().join(name));
        for dir in &dirs {
            fs::create_dir(dir).expect("a folder");
        }
        let find = || find_config_file("glance-api", None, &dirs);
        let put = |dir: &Path, name: &str| fs::write(dir.join(name), "").expect("written");

        let none = find().expect_err("nothing is there");
        assert_eq!(
            none.to_string(),
            "Unable to locate any configuration file. Cannot load application glance-api"
        );
        assert_eq!(none.exit_code(), 1);

        put(&dirs[1], "glance-api.conf");
        assert_eq!(find().expect("there"), dirs[1].join("glance-api.conf"));
        put(&dirs[0], "glance.conf");
        assert_eq!(find().expect("there"), dirs[0].join("glance.conf"));
        put(&dirs[0], "glance-api.conf");
        assert_eq!(find().expect("there"), dirs[0].join("glance-api.conf"));
    }

    #[test]
    fn folder_with_the_name_of_a_file_is_skipped() {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir(root.path().join("glance.conf")).expect("a folder");
        assert!(find_config_file("glance-api", None, &[root.path().to_owned()]).is_err());
    }

    #[test]
    fn folders_are_searched_in_the_order_of_glance() {
        let dirs = search_dirs(Some(Path::new("/home/op")));
        let expected = [".", "/home/op/.glance", "/home/op", "/etc/glance", "/etc"];
        assert_eq!(dirs, expected.map(PathBuf::from));
        assert_eq!(
            search_dirs(None),
            [".", "/etc/glance", "/etc"].map(PathBuf::from)
        );
    }
}

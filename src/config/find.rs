//! Where the configuration file is.

use std::path::{Path, PathBuf};

use crate::config::error::ConfigError;

/// The names that every program looks for after its own: programs beside the server have its configuration.
const COMMON_NAMES: [&str; 2] = ["glance-api.conf", "glance.conf"];

/// The folders that are searched, first one first: `./`, `~/.glance/`, `~/`, `/etc/glance/`, `/etc/`.
/// Without a home folder the two of it are left out.
pub fn search_dirs(home: Option<&Path>) -> Vec<PathBuf> {
    let mut dirs = vec![PathBuf::from(".")];
    if let Some(home) = home {
        dirs.push(home.join(".glance"));
        dirs.push(home.to_owned());
    }
    dirs.extend(["/etc/glance", "/etc"].map(PathBuf::from));
    dirs
}

/// The file to read: the one that was chosen on the command line, else the first of `<program>.conf`, `glance-api.conf`
/// and `glance.conf` in the folders, in that order within each.
///
/// # Errors
/// [`ConfigError::NotFound`] when none was chosen and none is there. A chosen file is not looked at here.
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
    fn a_choice_wins_even_if_it_is_not_there() {
        let found = find_config_file("glance-api", Some(Path::new("/no/such.conf")), &[]);
        assert_eq!(found.expect("chosen"), Path::new("/no/such.conf"));
    }

    #[test]
    fn the_first_folder_wins_and_in_it_the_name_of_the_program() {
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
    fn a_folder_of_that_name_is_no_file() {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir(root.path().join("glance.conf")).expect("a folder");
        assert!(find_config_file("glance-api", None, &[root.path().to_owned()]).is_err());
    }

    #[test]
    fn the_order_of_the_first_glance() {
        let dirs = search_dirs(Some(Path::new("/home/op")));
        let expected = [".", "/home/op/.glance", "/home/op", "/etc/glance", "/etc"];
        assert_eq!(dirs, expected.map(PathBuf::from));
        assert_eq!(
            search_dirs(None),
            [".", "/etc/glance", "/etc"].map(PathBuf::from)
        );
    }
}

//! A certificate authority for tests, and its certificates for loopback.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// Issues certificates. Dropping it removes its files.
#[derive(Debug)]
pub struct Authority {
    folder: TempDir,
}

/// A certificate and its key, in PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
}

impl Authority {
    pub fn new() -> Self {
        let authority = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        let own = authority.identity("ca");
        make(&own, &["-subj", "/CN=authority of a test"]);
        authority
    }

    /// Returns the authority's certificate, for clients that trust it.
    pub fn ca_file(&self) -> PathBuf {
        self.identity("ca").cert_file
    }

    /// Issues a certificate for 127.0.0.1 and `localhost` with this subject name.
    pub fn issue(&self, name: &str) -> Identity {
        let (ca, issued) = (self.identity("ca"), self.identity(name));
        let (cert, key) = (ca.cert_file.display(), ca.key_file.display());
        make(
            &issued,
            &[
                "-subj",
                &format!("/CN={name}"),
                "-CA",
                &cert.to_string(),
                "-CAkey",
                &key.to_string(),
                "-addext",
                "basicConstraints=critical,CA:FALSE",
                "-addext",
                "subjectAltName=IP:127.0.0.1,DNS:localhost",
            ],
        );
        issued
    }

    fn identity(&self, name: &str) -> Identity {
        let at = |end: &str| self.folder.path().join(format!("{name}.{end}"));
        Identity {
            cert_file: at("pem"),
            key_file: at("key"),
        }
    }
}

fn make(identity: &Identity, arguments: &[&str]) {
    let mut command = Command::new("openssl");
    command
        .args(["req", "-x509", "-days", "2", "-nodes", "-newkey", "ec"])
        .args(["-pkeyopt", "ec_paramgen_curve:P-256"])
        .arg("-out")
        .arg(&identity.cert_file)
        .arg("-keyout")
        .arg(&identity.key_file)
        .args(arguments);
    let output = command.output().expect("openssl; tests/run installs it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

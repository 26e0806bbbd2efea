//! Notifications to systemd for a unit of `Type=notify`.

use std::os::unix::net::UnixDatagram;

use crate::support::PATIENCE;
use crate::support::server::Setup;

#[test]
fn systemd_is_notified_of_the_main_process_after_reload() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let heard = || {
        let mut bytes = [0; 200];
        let len = socket.recv(&mut bytes).expect("something is said");
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    };
    let mut server = Setup::new()
        .with_pid_file()
        .environment("NOTIFY_SOCKET", path.to_str().unwrap())
        .start();
    assert_eq!(heard(), "READY=1");
    server.reload();
    assert_eq!(heard(), "RELOADING=1");
    assert_eq!(heard(), format!("MAINPID={}\nREADY=1", server.pid()));
    server.terminate();
    assert!(heard().starts_with("STOPPING=1\n"));
}

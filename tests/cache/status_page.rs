//! The cache on the operator's status page, as a browser displays it.

use std::process::Command;
use std::time::Duration;

use super::node::{MIB, caching, fills, locate};
use super::reader::{Reader, read_image};
use crate::support::eventually;
use crate::support::http::{Request, Response};
use crate::support::origin::Origin;
use crate::support::origin::answer::Answer;
use crate::support::origin::content::Content;
use crate::support::server::Server;
use crate::support::skip;

fn page(node: &Server) -> Response {
    node.connect_admin()
        .request(&Request::get("/status"))
        .expect(200)
}

#[test]
fn status_page_shows_real_figures() {
    let node = caching().option("image_cache_max_size", 64 * MIB).start();
    let kept = Origin::honest(Content::new(1, 3 * MIB));
    let kept_id = locate(&node, &kept);
    assert!(read_image(node.address(), &kept_id, &kept.content.all()).is_good());
    eventually("it is kept", || (fills(&node, "kept") == 1).then_some(()));
    let slow = Origin::start(Content::new(2, 4 * MIB), |seen| match &*seen.method {
        "GET" => Answer::whole().slowly(MIB / 8, Duration::from_millis(200)),
        _ => Answer::whole(),
    });
    let broken = Origin::start(Content::new(3, MIB), |seen| match &*seen.method {
        "GET" => Answer::whole().wrong_at(1),
        _ => Answer::whole(),
    });
    let (slow_id, broken_id) = (locate(&node, &slow), locate(&node, &broken));
    assert!(!read_image(node.address(), &broken_id, &broken.content.all()).is_good());
    let reading = Reader::send(node.address(), &slow_id, "").expect("sent");
    let page = eventually("something moves", || {
        let page = page(&node);
        let text = page.text();
        let moves = text.contains("<b id=\"transfers\">1</b>") && text.contains("KiB/s");
        (moves && text.contains("id=\"fills\"")).then_some(page)
    });
    let text = page.text();
    assert!(
        text.contains("of 64.0 MiB") && text.contains("<b id=\"cached\">1</b>"),
        "{text}"
    );
    assert!(
        text.contains(&slow_id) && text.contains("4.0 MiB"),
        "{text}"
    );
    assert!(
        text.contains("wrong MD5") && text.contains(&broken_id),
        "{text}"
    );
    assert!(page.header("content-security-policy").is_some());
    // The transfer has ended, so its bytes are in the store's total.
    assert!(reading.read(&slow.content.all(), u64::MAX).is_good());
    eventually("it has ended", || {
        let text = node.connect_admin().request(&Request::get("/status"));
        text.text()
            .contains("<b id=\"transfers\">0</b>")
            .then_some(())
    });
    browse(&node);
}

/// Returns the page's DOM from Chromium.
fn browse(node: &Server) {
    let Some(chromium) = ["chromium", "chromium-browser"].into_iter().find(|name| {
        let asked = Command::new(name).arg("--version").output();
        asked.is_ok_and(|output| output.status.success())
    }) else {
        return skip("the status page in a browser", "chromium is not installed");
    };
    let url = format!("http://{}/status", node.admin_address());
    let profile = node.folder().join("chromium");
    let screenshot = node.folder().join("status.png");
    let run = |what: &str| {
        let output = Command::new(chromium)
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
            ])
            .arg(format!("--user-data-dir={}", profile.display()))
            .args(["--window-size=1000,900", what, &url])
            .output();
        output.expect("chromium runs")
    };
    let dom = run("--dump-dom");
    let dom = String::from_utf8_lossy(&dom.stdout).into_owned();
    for wanted in [
        "<h1>Glance node</h1>",
        "id=\"cached\">2</b>",
        "<table id=\"stores\">",
        "<progress",
    ] {
        assert!(dom.contains(wanted), "{wanted}: {dom}");
    }
    run(&format!("--screenshot={}", screenshot.display()));
    let png = std::fs::read(&screenshot).expect("a screenshot");
    assert!(
        png.starts_with(b"\x89PNG") && png.len() > 5_000,
        "{} bytes",
        png.len()
    );
    if let Some(keep) = std::env::var_os("GLANCE_STATUS_SCREENSHOT") {
        std::fs::copy(&screenshot, keep).expect("copied");
    }
}

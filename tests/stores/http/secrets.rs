//! Secrets in locations never leak (CVE-2013-0212, CVE-2013-1840, CVE-2014-1948).

use super::{COPY_FROM, LOCATION, end_of_copy, from, open_setup};
use crate::support::http::{Request, Response};
use crate::support::origin::Origin;
use crate::support::origin::answer::Answer;
use crate::support::origin::content::Content;
use crate::support::v1::{image_path, put};

/// In user, password, path and query.
const CANARY: &str = "CANARY";

const SIZE_BYTES: u64 = 100_000;

fn with_secrets(origin: &Origin) -> String {
    let url = origin.url("/CANARY-path?X-Amz-Signature=CANARY-query");
    url.replace("http://", "http://CANARY-user:CANARY%20pass@")
}

fn whole(response: &Response) -> String {
    let mut text = String::from_utf8_lossy(&response.body).into_owned();
    for (name, value) in &response.head.headers {
        text += &format!("\n{name}: {}", String::from_utf8_lossy(value));
    }
    text
}

#[test]
fn credentials_are_used_and_never_shown() {
    let node = open_setup()
        .option("debug", true)
        .option_in("glance_store", "http_store_answer_timeout", 1)
        .option_in("glance_store", "http_store_stall_timeout", 1)
        .start();
    // Base64 of "CANARY-user:CANARY pass".
    const BASIC: &str = "Basic Q0FOQVJZLXVzZXI6Q0FOQVJZIHBhc3M=";
    let good = Origin::start(Content::new(1, SIZE_BYTES), |seen| {
        match seen.header("authorization") {
            Some(BASIC) => Answer::whole(),
            _ => Answer::status(401),
        }
    });
    // Correct lengths first, then every failure.
    let failing: [fn() -> Answer; 6] = [
        || Answer::status(500),
        || Answer::status(404),
        || Answer::whole().cut_after(1000),
        || Answer::whole().hang_after(1000),
        || Answer::whole().claims_length(5),
        || Answer::redirect("http://CANARY:CANARY@127.0.0.1/CANARY"),
    ];
    let mut answers = Vec::new();
    let mut ask = |request: &Request| {
        let answer = node.connect().exchange(request);
        answer.inspect(|answer| answers.push(whole(answer)))
    };
    let mut ids = Vec::new();
    for header in [LOCATION, COPY_FROM] {
        let source = with_secrets(&good);
        let answer = ask(&from(header, &source)).expect("an answer").expect(201);
        let id = answer.json()["image"]["id"].as_str().map(str::to_owned);
        ids.push(id.expect("an id"));
        let bad_size = from(header, &source).header("x-image-meta-size", "1");
        let _ = ask(&bad_size);
    }
    assert_eq!(end_of_copy(&node, &ids[1]), "active");
    for id in &ids {
        let got = ask(&Request::get(&image_path(id))).expect("an answer");
        assert!(good.content.all() == got.expect(200).body);
    }
    for fault in failing {
        let origin = Origin::start(Content::new(1, SIZE_BYTES), move |seen| {
            match seen.method.as_str() {
                "HEAD" => Answer::whole(),
                _ => fault(),
            }
        });
        for header in [LOCATION, COPY_FROM] {
            let made = ask(&from(header, &with_secrets(&origin))).expect("an answer");
            let id = made.expect(201).json()["image"]["id"].clone();
            let id = id.as_str().expect("an id").to_owned();
            if header == COPY_FROM {
                assert_eq!(end_of_copy(&node, &id), "killed");
            }
            let _ = ask(&Request::get(&image_path(&id)));
            ids.push(id);
        }
        let always = Origin::start(Content::new(1, SIZE_BYTES), move |_| fault());
        for header in [LOCATION, COPY_FROM] {
            let _ = ask(&from(header, &with_secrets(&always)));
        }
    }
    for id in &ids {
        let _ = ask(&Request::head(&image_path(id)));
        let _ = ask(&put(id, &[("x-image-meta-name", "n")]));
        let _ = ask(&put(id, &[(LOCATION, &with_secrets(&good))]));
        let _ = ask(&Request::delete(&image_path(id)));
        let _ = ask(&Request::head(&image_path(id)));
    }
    for query in ["", "?is_public=None", "?changes-since=2010-01-01"] {
        let _ = ask(&Request::get(&format!("/v1/images/detail{query}")));
        let _ = ask(&Request::get(&format!("/images/detail{query}")));
    }
    for source in [
        "http://CANARY:CANARY@[::1/CANARY",
        "http://CANARY:CANARY@127.1/CANARY",
        "CANARY://CANARY:CANARY@h/CANARY",
        "http://CANARY:CANARY@h:CANARY/",
        "http://CANARY:CANARY@nowhere.invalid/CANARY",
        "swift+https://CANARY:CANARY@h/CANARY",
    ] {
        for header in [LOCATION, COPY_FROM] {
            let _ = ask(&from(header, source));
        }
    }
    let metrics = node.connect_admin().request(&Request::get("/metrics"));
    answers.push(whole(&metrics.expect(200)));
    assert!(answers.len() > 80);
    for answer in &answers {
        assert!(!answer.contains(CANARY), "{answer}");
        assert!(!answer.contains("Q0FOQVJZ"), "{answer}");
    }
    node.expect_log("image copy failed");
    let log = node.log();
    for line in log.lines() {
        assert!(
            !line.contains(CANARY) && !line.contains("Q0FOQVJZ"),
            "{line}"
        );
    }
}

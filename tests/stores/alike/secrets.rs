//! Keys and passwords never appear in a response, log line, metric or command line, whether the
//! backends work or fail (CVE-2013-0212, CVE-2014-1948).
//!
//! Every secret of these tests contains `CANARY` and differs in every encoding.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use glance::image::{ImageData, Location, OwnerLimits};
use glance::registry::{EmbeddedOptions, EmbeddedRegistry, Registry};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use crate::s3::Bucket;
use crate::support::backends::{Cloud, address_of};
use crate::support::gate::{Gate, Mode, Way};
use crate::support::http::{Connection, Request, Response};
use crate::support::origin::Origin;
use crate::support::origin::answer::Answer;
use crate::support::origin::content::Content;
use crate::support::server::{GLANCE_API, Server};
use crate::support::v1::{OCTETS, RAW, id_of, image_path, post, put};
use crate::support::{eventually, pattern, unique};
use crate::swift::Look;

const PASSWORD: &str = "CANARY p@ss/w:rd+\"é=%41";

/// Size of an image with several parts and segments.
const LARGE_BYTES: usize = (6 << 20) + 5;

/// Timeout of the node's requests to its backends, in seconds. A busy machine must not exceed it
/// while the backends work; the requests that wait for it run at the same time.
const BACKEND_TIMEOUT_S: u32 = 5;

/// The responses of a node, as text.
#[derive(Default)]
struct Heard(Vec<String>);

impl Heard {
    fn ask(&mut self, node: &Server, request: &Request) -> Option<Response> {
        let answer = node.connect().exchange(request).ok()?;
        self.0.push(text_of(&answer));
        Some(answer)
    }

    /// Downloads images at the same time, from backends that do not respond.
    fn ask_silent(&mut self, node: &Server, gates: &[Gate], ids: &[&String]) {
        gates.iter().for_each(|gate| gate.set(Mode::Silent));
        let heard = thread::scope(|scope| {
            let download = |id: &str| {
                let mut heard = Self::default();
                heard.ask(node, &Request::get(&image_path(id)));
                heard.0
            };
            let downloads: Vec<_> = ids
                .iter()
                .map(|id| scope.spawn(move || download(id)))
                .collect();
            let ended = downloads.into_iter().map(|thread| thread.join());
            ended
                .map(|heard| heard.expect("no panic"))
                .collect::<Vec<_>>()
        });
        self.0.extend(heard.into_iter().flatten());
        gates.iter().for_each(|gate| gate.set(Mode::Open));
    }

    /// Sends every kind of request about an image.
    fn ask_all(&mut self, node: &Server, id: &str) {
        let path = image_path(id);
        self.ask(node, &Request::head(&path));
        self.ask(node, &Request::get(&path));
        self.ask(node, &Request::get(&path).header("Range", "bytes=1-2"));
        self.ask(node, &put(id, &[("x-image-meta-name", "n")]));
        for list in ["/v1/images", "/v1/images/detail", "/images/detail"] {
            self.ask(node, &Request::get(&format!("{list}?is_public=None")));
        }
    }
}

fn text_of(answer: &Response) -> String {
    let mut text = String::from_utf8_lossy(&answer.body).into_owned();
    for (name, value) in &answer.head.headers {
        text += &format!("\n{name}: {}", String::from_utf8_lossy(value));
    }
    text
}

fn encoded(secret: &str) -> String {
    utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string()
}

/// Creates a member of `tenant-a` whose password is [`PASSWORD`], and returns its name.
fn odd_user(cloud: &Cloud) -> String {
    let name = unique("odd");
    let (admin, keystone) = (cloud.keystone.token("admin"), &cloud.keystone);
    let ask = |method: &str, path: &str, body: Option<String>| {
        let request = Request::new(method, &format!("/v3{path}"))
            .header("X-Auth-Token", &admin)
            .header("Content-Type", "application/json");
        let request = match body {
            Some(body) => request.body(body),
            None => request,
        };
        let connection = Connection::open(address_of(&keystone.auth_url));
        connection.expect("Keystone").request(&request)
    };
    let user = json!({"user": {"name": name, "password": PASSWORD, "domain_id": "default"}});
    let made = ask("POST", "/users", Some(user.to_string()))
        .expect(201)
        .json();
    let id = made["user"]["id"].as_str().expect("an id").to_owned();
    let roles = ask("GET", "/roles?name=member", None).expect(200).json();
    let role = roles["roles"][0]["id"].as_str().expect("a role").to_owned();
    let project = &keystone.user("alice").project_id;
    let path = format!("/projects/{project}/users/{id}/roles/{role}");
    ask("PUT", &path, None).expect(204);
    name
}

/// A node with secrets in its configuration, and the gates in front of its backends.
struct Scene {
    node: Server,
    gates: [Gate; 2],
    bucket: Bucket,
    container: String,
}

fn scene() -> Scene {
    let cloud = Cloud::shared();
    let mut bucket = Bucket::new("secrets").of_odd_account();
    bucket.service.url.clone_from(&cloud.swift.url);
    let (container, user) = (unique("secrets"), odd_user(cloud));
    let gates = [
        Gate::before(address_of(&cloud.swift.url)),
        Gate::before(address_of(&cloud.keystone.auth_url)),
    ];
    let project = &cloud.keystone.user("alice").project_id;
    let endpoint = format!("{}/v1/AUTH_{project}", cloud.swift.url);
    let node = bucket
        .node_behind(&gates[0])
        .option("debug", true)
        .option_in("import_filtering_opts", "allow_private_addresses", true)
        .option_in("import_filtering_opts", "allowed_ports", "")
        .store_option("stores", "file,http,s3,swift")
        .store_option("s3_store_response_timeout", BACKEND_TIMEOUT_S)
        .store_option(
            "swift_store_auth_address",
            gates[1].url(&cloud.keystone.auth_url),
        )
        .store_option("swift_store_endpoint", gates[0].url(&endpoint))
        .store_option("swift_store_user", format!("tenant-a:{user}"))
        .store_option("swift_store_key", PASSWORD)
        .store_option("swift_store_container", &container)
        .store_option("swift_store_create_container_on_put", true)
        .store_option("swift_store_large_object_size", 4)
        .store_option("swift_store_large_object_chunk_size", 1)
        .store_option("swift_store_timeout", BACKEND_TIMEOUT_S)
        .start();
    Scene {
        node,
        gates,
        bucket,
        container,
    }
}

/// Writes locations into the node's registry in Glance's formats.
fn give_locations(node: &mut Server, images: &[(String, String)], data: &[u8]) {
    node.stop();
    let options = EmbeddedOptions {
        folder: node.data_dir().join("registry"),
        cache_bytes: 1 << 20,
        flush_limit: Duration::from_secs(60),
        reserve_bytes: 64 << 10,
        max_deleted_images: None,
        owner_limits: OwnerLimits::default(),
    };
    let registry = EmbeddedRegistry::open(&options).expect("the registry");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.expect("a runtime").block_on(async {
        for (id, uri) in images {
            let id = id.parse().expect("an id");
            let record = registry.get(&id).await.expect("read").expect("the image");
            let mut image = record.image.clone();
            image.data = Some(ImageData::new(
                Location::parse(uri).expect("a location"),
                data.len() as u64,
                image.checksum.clone(),
            ));
            let replaced = registry.replace(image, record.version).await;
            replaced.expect("written");
        }
    });
    drop(registry);
    node.start();
}

/// Asserts that no text contains a secret in any encoding.
#[track_caller]
fn assert_silent(heard: &[String], secrets: &[&str]) {
    let mut words = vec!["CANARY".to_owned(), "gAAAAA".to_owned()];
    words.extend(["AUTH_tk", "TEMP_tk", "AWS4-HMAC", "X-Amz-Signature"].map(str::to_owned));
    for secret in secrets {
        words.push(encoded(secret));
        words.push(
            BASE64_STANDARD
                .encode(secret)
                .trim_end_matches('=')
                .to_owned(),
        );
    }
    // The beginning of "CANARY-user:…" in base64.
    words.push("Q0FOQVJZ".to_owned());
    for text in heard.iter().flat_map(|text| text.lines()) {
        for word in &words {
            assert!(!text.contains(word), "{word}: {text}");
        }
    }
}

/// Returns the node's other output: log, metrics, health, configuration check, and /proc.
fn other_words(node: &Server) -> Vec<String> {
    let process = |file: &str| {
        let bytes = fs::read(format!("/proc/{}/{file}", node.pid())).expect("readable");
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let check = Command::new(GLANCE_API)
        .arg("--check-config")
        .arg(node.config_file())
        .output()
        .expect("started");
    let [out, err] =
        [check.stdout, check.stderr].map(|text| String::from_utf8(text).expect("text"));
    let health = node.connect_admin().request(&Request::get("/healthcheck"));
    let mut words = vec![node.log(), node.metrics(), text_of(&health), out, err];
    words.extend(["cmdline", "environ", "comm"].map(process));
    words
}

#[test]
fn configured_secrets_never_leak() {
    let Scene {
        node,
        gates,
        bucket,
        ..
    } = scene();
    let mut heard = Heard::default();
    let made = upload_all(&node, &mut heard);
    let ids: Vec<String> = made.iter().map(id_of).collect();
    for mode in [Mode::Open, Mode::Closed] {
        gates.iter().for_each(|gate| gate.set(mode));
        ids.iter().for_each(|id| heard.ask_all(&node, id));
        upload_all(&node, &mut heard);
    }
    heard.ask_silent(&node, &gates, &ids.iter().collect::<Vec<_>>());
    for way in [Way::Up, Way::Down] {
        gates.iter().for_each(|gate| gate.cut(way, 1_500));
        upload_all(&node, &mut heard);
        ids.iter().for_each(|id| heard.ask_all(&node, id));
    }
    for id in &ids {
        let deleted = heard.ask(&node, &Request::delete(&image_path(id)));
        deleted.expect("an answer").expect(200);
    }
    assert!(heard.0.len() > 100);
    heard.0.extend(other_words(&node));
    assert_silent(&heard.0, &[PASSWORD, &bucket.account().key]);
}

/// Uploads small and large images to both stores, and returns the responses.
fn upload_all(node: &Server, heard: &mut Heard) -> Vec<Response> {
    let mut answers = Vec::new();
    for store in ["s3", "swift"] {
        for len in [1_000, LARGE_BYTES] {
            let request = post(RAW).headers(&[OCTETS, ("x-image-meta-store", store)]);
            answers.extend(heard.ask(node, &request.body(pattern(len, 1))));
        }
    }
    answers
}

#[test]
fn secrets_in_locations_never_leak() {
    let Scene {
        mut node,
        gates,
        container,
        ..
    } = scene();
    let (swift, data) = (&Cloud::shared().swift, pattern(300_000, 3));
    let odd = Look::by_v1(swift, &swift.odd);
    odd.ask("PUT", &format!("/{container}")).expect(201);
    let host = gates[0].address();
    let key = encoded(&swift.odd.key);
    let origin = Origin::start(Content::new(1, data.len() as u64), |_| Answer::status(403));
    let s3 = format!("s3://odd%3Atester:{key}@{host}/{container}");
    let v1 = format!("swift+http://odd%3Atester:{key}@{host}/auth/v1.0/{container}");
    let good = [&s3, &v1].map(|place| {
        let id = node.upload(&[], &data);
        odd.put(&format!("/{container}/{id}"), &data);
        let uri = format!("{place}/{id}");
        (id, uri)
    });
    let bad = [
        format!("{s3}/missing"),
        format!("{v1}/missing"),
        format!("s3://odd%3Atester:CANARY-wrong@{host}/{container}/x"),
        format!("s3+https://odd%3Atester:CANARY@{host}/{container}/x"),
        format!("swift+http://odd%3Atester:CANARY-wrong@{host}/auth/v1.0/{container}/x"),
        format!("swift://odd%3Atester:CANARY@{host}/auth/v1.0/{container}/x"),
        format!(
            "swift+http://odd:CANARY@{}/v3/{container}/x",
            gates[1].address()
        ),
        "swift://CANARY:CANARY@/CANARY".to_owned(),
        "s3://CANARY:CANARY@".to_owned(),
        "http://CANARY-user:CANARY@[::1/CANARY".to_owned(),
        origin
            .url("/CANARY?X-Amz-Signature=CANARY")
            .replace("//", "//CANARY-user:CANARY@"),
        "rbd://CANARY".to_owned(),
    ]
    .map(|uri| (node.upload(&[], &data), uri));
    let all: Vec<_> = good.iter().chain(&bad).cloned().collect();
    give_locations(&mut node, &all, &data);
    let mut heard = Heard::default();
    for (id, _) in &good {
        let got = heard.ask(&node, &Request::get(&image_path(id)));
        assert!(got.expect("an answer").expect(200).body == data);
    }
    for mode in [Mode::Open, Mode::Closed] {
        gates.iter().for_each(|gate| gate.set(mode));
        all.iter().for_each(|(id, _)| heard.ask_all(&node, id));
    }
    heard.ask_silent(&node, &gates, &good.each_ref().map(|(id, _)| id));
    for (id, _) in &all {
        let deleted = heard.ask(&node, &Request::delete(&image_path(id)));
        deleted.expect("an answer").expect(200);
    }
    for (id, _) in &good {
        let path = format!("/{container}/{id}");
        eventually("it is removed", || {
            (odd.ask("HEAD", &path).status == 404).then_some(())
        });
    }
    heard.0.extend(other_words(&node));
    assert_silent(&heard.0, &[PASSWORD, &swift.odd.key]);
}

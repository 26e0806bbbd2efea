//! A node for each kind of backend, and direct access to the backend.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::s3::Bucket;
use crate::support::backends::address_of;
use crate::support::backends::swift::Swift;
use crate::support::gate::Gate;
use crate::support::http::Response;
use crate::support::origin::Origin;
use crate::support::origin::answer::Answer;
use crate::support::origin::content::Content;
use crate::support::server::{Server, Setup};
use crate::support::v1::{RAW, id_of, post};
use crate::swift::container::Container;

const MIB: u64 = 1 << 20;

/// Timeout for a silent backend behind a gate, in seconds. Long enough that a busy machine does not
/// exceed it while the backend works.
const SILENCE_S: u32 = 4;

/// The images in a backend: by name the bytes and the number of objects.
pub type Holding = BTreeMap<String, (u64, u64)>;

/// A node and its backend.
pub struct Backend {
    pub name: &'static str,
    pub node: Server,
    gate: Option<Gate>,
    kind: Kind,
}

enum Kind {
    File,
    /// Images stay at origins of their own, each with its own fault.
    Http(Mutex<HashMap<String, (Origin, Arc<Fault>)>>),
    S3(Box<Bucket>),
    Swift(Container),
}

/// The fault of an origin: none, or a code of [`Fault`].
#[derive(Default)]
struct Fault(AtomicU64);

impl Fault {
    const GONE: u64 = 1;
    const WRONG_BYTE: u64 = 2;
    /// And any greater number: as many bytes more than this in the object.
    const LONGER: u64 = 3;

    fn answer(&self, content_bytes: u64) -> Answer {
        match self.0.load(Ordering::Relaxed) {
            0 => Answer::whole(),
            Self::GONE => Answer::status(404),
            Self::WRONG_BYTE => Answer::whole().wrong_at(content_bytes / 2),
            more => Answer::whole().claims_length(content_bytes + 1 + more - Self::LONGER),
        }
    }
}

/// A node whose clients may name origins on loopback.
fn open(setup: Setup) -> Setup {
    setup
        .option_in("import_filtering_opts", "allow_private_addresses", true)
        .option_in("import_filtering_opts", "allowed_ports", "")
}

impl Backend {
    pub fn file() -> Self {
        Self {
            name: "file",
            node: open(Setup::new()).start(),
            gate: None,
            kind: Kind::File,
        }
    }

    pub fn http() -> Self {
        Self {
            name: "http",
            node: open(Setup::new()).start(),
            gate: None,
            kind: Kind::Http(Mutex::default()),
        }
    }

    pub fn s3() -> Self {
        let bucket = Bucket::new("alike");
        let setup = bucket.node();
        Self::of_s3(bucket, setup, None)
    }

    /// Through a gate, with short timeouts.
    pub fn s3_behind_a_gate() -> Self {
        let bucket = Bucket::new("alike");
        let gate = bucket.gate();
        let setup = bucket.node_behind(&gate);
        let setup = setup.store_option("s3_store_response_timeout", SILENCE_S);
        let setup = setup.store_option("s3_store_stall_timeout", SILENCE_S);
        Self::of_s3(bucket, setup, Some(gate))
    }

    fn of_s3(bucket: Bucket, setup: Setup, gate: Option<Gate>) -> Self {
        Self {
            name: "s3",
            node: open(setup).store_option("stores", "s3,http").start(),
            gate,
            kind: Kind::S3(Box::new(bucket)),
        }
    }

    /// With static large objects (`slo`) or dynamic ones (`dlo`).
    pub fn swift(manifest: &'static str) -> Self {
        let swift = Swift::shared();
        let container = Container::by_v1(swift, &swift.account);
        let setup = container.node_by_v1(&swift.auth_url, &swift.account);
        Self::of_swift(container, setup, manifest, None)
    }

    /// Through a gate, with short timeouts.
    pub fn swift_behind_a_gate(manifest: &'static str) -> Self {
        let swift = Swift::shared();
        let container = Container::by_v1(swift, &swift.account);
        let gate = Gate::before(address_of(&swift.url));
        let setup = container.node_by_v1(&gate.url(&swift.auth_url), &swift.account);
        let setup = setup.store_option("swift_store_timeout", SILENCE_S);
        Self::of_swift(container, setup, manifest, Some(gate))
    }

    /// Behind a gate too, without resuming downloads.
    pub fn swift_that_never_goes_on() -> Self {
        let swift = Swift::shared();
        let container = Container::by_v1(swift, &swift.account);
        let gate = Gate::before(address_of(&swift.url));
        let setup = container.node_by_v1(&gate.url(&swift.auth_url), &swift.account);
        let setup = setup.store_option("swift_store_retry_get_count", 0);
        Self::of_swift(container, setup, "slo", Some(gate))
    }

    fn of_swift(
        container: Container,
        setup: Setup,
        manifest: &'static str,
        gate: Option<Gate>,
    ) -> Self {
        let setup = open(setup)
            .store_option("stores", "swift,http")
            .store_option("swift_store_large_object_manifest", manifest);
        Self {
            name: manifest,
            node: setup.start(),
            gate,
            kind: Kind::Swift(container),
        }
    }

    /// Returns the gate between the node and its backend.
    ///
    /// # Panics
    /// If there is no gate.
    pub fn gate(&self) -> &Gate {
        self.gate.as_ref().expect("a gate")
    }

    /// Returns true if the node stores data in the backend.
    pub fn takes_data(&self) -> bool {
        !matches!(self.kind, Kind::Http(_))
    }

    /// Returns the number of objects of an image of this size.
    pub fn pieces(&self, size_bytes: u64, is_length_known: bool) -> u64 {
        match &self.kind {
            Kind::File | Kind::Http(_) => 1,
            Kind::S3(_) if is_length_known && size_bytes <= MIB => 1,
            Kind::S3(_) => size_bytes.div_ceil(5 * MIB).max(1),
            Kind::Swift(_) if is_length_known && size_bytes < 4 * MIB => 1,
            // Plus the manifest, if there are segments.
            Kind::Swift(_) => size_bytes.div_ceil(MIB) + 1,
        }
    }

    /// Returns the images in the backend by its own listing. Objects at origins are not listed,
    /// since they do not belong to the node.
    pub fn holding(&self) -> Holding {
        match &self.kind {
            Kind::File => {
                let files = self.node.stored_files().into_iter();
                let held = files.map(|(path, bytes)| (path.display().to_string(), (bytes, 1)));
                held.collect()
            }
            Kind::Http(_) => Holding::new(),
            Kind::S3(bucket) => {
                let contents = bucket.contents();
                let objects = contents.objects.into_iter();
                let held = objects.map(|(key, stored)| (key, (stored.size, stored.parts)));
                // A failed abort is retried, like a removal.
                let uploads = contents.uploads.into_iter();
                let unfinished = uploads.map(|key| (format!("upload of {key}"), (0, 0)));
                held.chain(unfinished).collect()
            }
            Kind::Swift(container) => swift_holding(container),
        }
    }

    /// Waits until the backend has exactly these images, except those to ignore.
    #[track_caller]
    pub fn await_holding(&self, expected: &Holding, unlooked: &BTreeSet<String>) {
        let nothing = Holding::new();
        let expected = if self.takes_data() {
            expected
        } else {
            &nothing
        };
        let mut seen = nothing.clone();
        // Listings are slow: some start a program.
        for _ in 0..40 {
            seen = self.holding();
            seen.retain(|name, _| !unlooked.contains(name));
            if seen == *expected {
                return;
            }
            thread::sleep(Duration::from_millis(250));
        }
        assert_eq!(seen, *expected, "{}", self.name);
    }

    /// Creates an image whose data are at an origin of its own.
    ///
    /// # Panics
    /// If the node stores data.
    pub fn locate(&self, content: Content, stated: &[(&str, &str)]) -> Response {
        let Kind::Http(origins) = &self.kind else {
            panic!("the data come through the node");
        };
        let (fault, size_bytes) = (Arc::new(Fault::default()), content.size_bytes);
        let theirs = Arc::clone(&fault);
        let origin = Origin::start(content, move |_| theirs.answer(size_bytes));
        let url = origin.url("/image");
        let request = post(RAW).headers(stated);
        let request = request.header("x-image-meta-location", &url);
        let answer = self.node.request(&request);
        if answer.status == 201 {
            let id = id_of(&answer);
            origins.lock().unwrap().insert(id, (origin, fault));
        }
        answer
    }

    /// Replaces an image's object by a longer one.
    pub fn lengthen(&self, id: &str, data: &[u8], more: u64) {
        let mut longer = data.to_vec();
        longer.resize(data.len() + more as usize, 7);
        self.overwrite(id, &longer, Fault::LONGER + more - 1);
    }

    /// Replaces an image's object by one of the same length with one other byte.
    pub fn tamper(&self, id: &str, data: &[u8]) {
        let mut other = data.to_vec();
        other[data.len() / 2] ^= 1;
        self.overwrite(id, &other, Fault::WRONG_BYTE);
    }

    /// Replaces an image's object.
    ///
    /// # Panics
    /// If its data are at an origin.
    pub fn replace(&self, id: &str, bytes: &[u8]) {
        assert!(self.takes_data());
        self.overwrite(id, bytes, 0);
    }

    fn overwrite(&self, id: &str, bytes: &[u8], fault: u64) {
        match &self.kind {
            Kind::File => fs::write(self.node.store_dir().join(id), bytes).expect("written"),
            Kind::Http(origins) => set_fault(origins, id, fault),
            Kind::S3(bucket) => bucket.overwrite(id, bytes),
            Kind::Swift(container) => {
                container
                    .look
                    .put(&format!("/{}/{id}", container.name), bytes);
            }
        }
    }

    /// Removes an image's object directly from the backend.
    pub fn vanish(&self, id: &str) {
        match &self.kind {
            Kind::File => fs::remove_file(self.node.store_dir().join(id)).expect("removed"),
            Kind::Http(origins) => set_fault(origins, id, Fault::GONE),
            Kind::S3(bucket) => bucket.remove(id),
            Kind::Swift(container) => {
                let path = format!("/{}/{id}", container.name);
                container.look.ask("DELETE", &path).expect(204);
            }
        }
    }
}

fn set_fault(origins: &Mutex<HashMap<String, (Origin, Arc<Fault>)>>, id: &str, fault: u64) {
    origins.lock().unwrap()[id]
        .1
        .0
        .store(fault, Ordering::Relaxed);
}

/// Returns the images with their number of objects.
fn swift_holding(container: &Container) -> Holding {
    let mut holding = Holding::new();
    for name in container.names() {
        if let Some(image) = image_of_segment(&name) {
            holding.entry(image.to_owned()).or_default().1 += 1;
            continue;
        }
        let path = format!("/{}/{name}", container.name);
        let head = container.look.ask("HEAD", &path);
        // The object was removed after the listing.
        if head.status == 404 {
            continue;
        }
        let bytes = head.expect(200).header("content-length").map(str::to_owned);
        let held = holding.entry(name).or_default();
        held.0 = bytes
            .and_then(|bytes| bytes.parse().ok())
            .expect("a length");
        held.1 += 1;
    }
    holding
}

/// Returns the image of an object or segment: segments end in a dash and five digits.
fn image_of_segment(name: &str) -> Option<&str> {
    let (image, number) = name.split_at_checked(36)?;
    number.starts_with('-').then_some(image)
}

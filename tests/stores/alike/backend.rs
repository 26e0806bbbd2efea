//! A node for each kind of backend, and what a test may do behind its back.

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

/// How long a backend behind a gate may be silent.
const SILENCE_S: u32 = 2;

/// What a backend has of images: by name its bytes, and of how many pieces it is.
pub type Holding = BTreeMap<String, (u64, u64)>;

/// A node, and where it keeps its images.
pub struct Backend {
    pub name: &'static str,
    pub node: Server,
    gate: Option<Gate>,
    kind: Kind,
}

enum Kind {
    File,
    /// Images stay at origins of their own, which have a fault each.
    Http(Mutex<HashMap<String, (Origin, Arc<Fault>)>>),
    S3(Box<Bucket>),
    Swift(Container),
}

/// What an origin does wrong: none, or a code of [`Fault`].
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

    /// Through a gate, and impatient.
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

    /// Through a gate, and impatient.
    pub fn swift_behind_a_gate(manifest: &'static str) -> Self {
        let swift = Swift::shared();
        let container = Container::by_v1(swift, &swift.account);
        let gate = Gate::before(address_of(&swift.url));
        let setup = container.node_by_v1(&gate.url(&swift.auth_url), &swift.account);
        let setup = setup.store_option("swift_store_timeout", SILENCE_S);
        Self::of_swift(container, setup, manifest, Some(gate))
    }

    /// Behind a gate too: what is cut off in a download stays cut off.
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

    /// What the node reaches its backend through.
    ///
    /// # Panics
    /// When that is no gate.
    pub fn gate(&self) -> &Gate {
        self.gate.as_ref().expect("a gate")
    }

    /// Whether the data go to the backend through the node.
    pub fn takes_data(&self) -> bool {
        !matches!(self.kind, Kind::Http(_))
    }

    /// Of how many pieces an image of this size is.
    pub fn pieces(&self, size_bytes: u64, is_length_known: bool) -> u64 {
        match &self.kind {
            Kind::File | Kind::Http(_) => 1,
            Kind::S3(_) if is_length_known && size_bytes <= MIB => 1,
            Kind::S3(_) => size_bytes.div_ceil(5 * MIB).max(1),
            Kind::Swift(_) if is_length_known && size_bytes < 4 * MIB => 1,
            // What joins them is one more, unless there is nothing to be joined.
            Kind::Swift(_) => size_bytes.div_ceil(MIB) + 1,
        }
    }

    /// What the backend has, by its own listing. Of origins nothing, since it is not the
    /// node's.
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
                // An abort that did not get through is tried again, as a removal is.
                let uploads = contents.uploads.into_iter();
                let unfinished = uploads.map(|key| (format!("upload of {key}"), (0, 0)));
                held.chain(unfinished).collect()
            }
            Kind::Swift(container) => swift_holding(container),
        }
    }

    /// Waits until the backend has exactly this, but for images that are not to be looked at.
    #[track_caller]
    pub fn await_holding(&self, expected: &Holding, unlooked: &BTreeSet<String>) {
        let nothing = Holding::new();
        let expected = if self.takes_data() {
            expected
        } else {
            &nothing
        };
        let mut seen = nothing.clone();
        // Looks are slow: some start a program.
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

    /// An image whose data are at an origin of its own.
    ///
    /// # Panics
    /// When the node takes data.
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

    /// Puts an object of so many more bytes in an image's place.
    pub fn lengthen(&self, id: &str, data: &[u8], more: u64) {
        let mut longer = data.to_vec();
        longer.resize(data.len() + more as usize, 7);
        self.overwrite(id, &longer, Fault::LONGER + more - 1);
    }

    /// Puts an object of the same length in an image's place, with one other byte.
    pub fn tamper(&self, id: &str, data: &[u8]) {
        let mut other = data.to_vec();
        other[data.len() / 2] ^= 1;
        self.overwrite(id, &other, Fault::WRONG_BYTE);
    }

    /// Puts an object in an image's place.
    ///
    /// # Panics
    /// When its data are at an origin.
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

    /// Removes an image's object, past the node.
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

/// Images with the number of objects that they are of.
fn swift_holding(container: &Container) -> Holding {
    let mut holding = Holding::new();
    for name in container.names() {
        if let Some(image) = image_of_segment(&name) {
            holding.entry(image.to_owned()).or_default().1 += 1;
            continue;
        }
        let path = format!("/{}/{name}", container.name);
        let head = container.look.ask("HEAD", &path);
        // Removed since it was listed.
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

/// Segments have a dash and five digits behind the image's id.
fn image_of_segment(name: &str) -> Option<&str> {
    let (image, number) = name.split_at_checked(36)?;
    number.starts_with('-').then_some(image)
}

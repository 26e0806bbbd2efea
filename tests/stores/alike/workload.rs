//! The same sequence of operations has equal results on every store.

use std::collections::BTreeSet;
use std::thread;

use super::backend::{Backend, Holding};
use super::script::{Manner, New, Stated, Step, script};
use crate::support::http::{Request, Response};
use crate::support::origin::Origin;
use crate::support::origin::content::Content;
use crate::support::v1::{OCTETS, RAW, id_of, image_path, post, post_data, put_data};
use crate::support::{eventually, md5_hex};

/// Concurrent readers of one image.
const READERS: u64 = 4;

/// The result of a step for the client. It is the same on every store, except for the refusal of an
/// upload with a wrong statement on stores without uploads.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    /// Number of the image's bytes, which were compared, and the status.
    Bytes(u16, usize),
    /// The status of a download that is not the image; `None` if the connection broke.
    NoImage(Option<u16>),
    Done(u16),
}

/// The expected state of an image.
struct Image {
    id: String,
    new: New,
    content: Content,
}

struct Run<'a> {
    backend: &'a Backend,
    /// By number.
    images: Vec<Image>,
    sound: BTreeSet<usize>,
    /// Images that the test has damaged in the backend, whose objects are not compared.
    spoilt: BTreeSet<String>,
}

/// The seed and the number of random steps; `GLANCE_WORKLOAD_SEED` and `_STEPS` choose others.
fn chosen() -> (u64, usize) {
    let number = |name: &str, default: u64| {
        let given = std::env::var(name).ok();
        given.map_or(default, |text| text.parse().expect(name))
    };
    let steps = number("GLANCE_WORKLOAD_STEPS", 40);
    (number("GLANCE_WORKLOAD_SEED", 4), steps as usize)
}

#[test]
fn the_same_workload_has_equal_results_on_all_stores() {
    let (seed, random_steps) = chosen();
    let steps = script(seed, random_steps);
    let backends: [fn() -> Backend; 5] = [
        Backend::file,
        Backend::http,
        Backend::s3,
        || Backend::swift("slo"),
        || Backend::swift("dlo"),
    ];
    let results: Vec<(&str, Vec<Seen>)> = thread::scope(|scope| {
        let runs = backends.map(|backend| {
            let steps = &steps;
            scope.spawn(move || {
                let backend = backend();
                let seen = Run::of(&backend).all(steps);
                (backend.name, seen)
            })
        });
        let runs = runs.into_iter();
        runs.map(|run| run.join().expect("a run")).collect()
    });
    let (first, expected) = &results[0];
    for (name, seen) in &results[1..] {
        for (number, step) in steps.iter().enumerate() {
            let (seen, expected) = (&seen[number], &expected[number]);
            assert_eq!(
                seen, expected,
                "step {number} of seed {seed}, {step:?}: {name}, and then {first}"
            );
        }
    }
}

impl<'a> Run<'a> {
    fn of(backend: &'a Backend) -> Self {
        Self {
            backend,
            images: Vec::new(),
            sound: BTreeSet::new(),
            spoilt: BTreeSet::new(),
        }
    }

    fn all(mut self, steps: &[Step]) -> Vec<Seen> {
        let mut seen = Vec::new();
        let last_deletions = steps.iter().rev();
        let last_deletions = last_deletions.take_while(|step| matches!(step, Step::Delete(_)));
        let looked_at = steps.len() - last_deletions.count();
        for (number, step) in steps.iter().enumerate() {
            if number == looked_at {
                self.look();
            }
            seen.push(self.step(*step));
        }
        self.backend
            .await_holding(&Holding::new(), &BTreeSet::new());
        seen
    }

    /// Asserts that the backend has every intact image with its number of objects, and nothing
    /// else.
    fn look(&self) {
        let sound = self.sound.iter().map(|number| &self.images[*number]);
        let expected = sound.map(|image| {
            let bytes = image.new.size_bytes;
            let New { manner, stated, .. } = image.new;
            let is_length_known = manner != Manner::Chunked || stated == Stated::Right;
            let pieces = self.backend.pieces(bytes, is_length_known);
            (image.id.clone(), (bytes, pieces))
        });
        self.backend
            .await_holding(&expected.collect(), &self.spoilt);
    }

    fn step(&mut self, step: Step) -> Seen {
        match step {
            Step::Create(new) => self.create(new),
            Step::Read(image) => self.read(image),
            Step::Range(image, first, last) => self.range(image, first, last),
            Step::ReadByMany(image) => self.read_by_many(image),
            Step::Lengthen(number, more) => {
                let image = &self.images[number];
                self.backend.lengthen(&image.id, &image.content.all(), more);
                self.spoil(number)
            }
            Step::Vanish(number) => {
                self.backend.vanish(&self.images[number].id);
                self.spoil(number)
            }
            Step::Delete(number) => {
                self.sound.remove(&number);
                let id = &self.images[number].id;
                let status = self.backend.node.remove(id).status;
                assert_eq!(self.backend.node.download(id).status, 404);
                Seen::Done(status)
            }
        }
    }

    /// One reader reads the whole image, others from random positions to its end.
    fn read_by_many(&self, image: usize) -> Seen {
        let size_bytes = self.images[image].new.size_bytes;
        thread::scope(|scope| {
            let ranges = (1..READERS).map(|part| {
                let first = size_bytes * part / READERS;
                scope.spawn(move || self.range(image, first, size_bytes - 1))
            });
            let ranges: Vec<_> = ranges.collect();
            let whole = self.read(image);
            for range in ranges {
                assert!(matches!(range.join(), Ok(Seen::Bytes(206, _))));
            }
            whole
        })
    }

    fn spoil(&mut self, number: usize) -> Seen {
        self.sound.remove(&number);
        self.spoilt.insert(self.images[number].id.clone());
        self.nothing(&self.images[number].id)
    }

    fn create(&mut self, new: New) -> Seen {
        let content = Content::new(new.seed, new.size_bytes);
        let (sum, size) = (content.md5_hex(), new.size_bytes.to_string());
        let (wrong_sum, wrong_size) = (md5_hex(b"another"), (new.size_bytes + 1).to_string());
        let stated: &[(&str, &str)] = match new.stated {
            // Without a stated checksum the location is not verified.
            Stated::Nothing if self.backend.takes_data() => &[],
            Stated::Nothing => &[("x-image-meta-checksum", &sum)],
            Stated::Right => &[
                ("x-image-meta-checksum", &sum),
                ("x-image-meta-size", &size),
            ],
            Stated::WrongChecksum => &[("x-image-meta-checksum", &wrong_sum)],
            Stated::WrongSize => &[("x-image-meta-size", &wrong_size)],
        };
        let (id, content) = match self.backend.takes_data() {
            true => (self.upload(&content, new, stated), content),
            false => {
                let answer = self
                    .backend
                    .locate(Content::new(new.seed, new.size_bytes), stated);
                (self.located(&answer, stated), content)
            }
        };
        let image = Image { id, new, content };
        let number = self.images.len();
        self.images.push(image);
        if new.stated.is_right() {
            self.sound.insert(number);
            return self.read(number);
        }
        // The refusal is in the status of the response; here the image must not be readable.
        match self.nothing(&self.images[number].id) {
            Seen::NoImage(_) => Seen::NoImage(None),
            seen => seen,
        }
    }

    /// Creates the image of a location. If it is refused, creates another one to delete later.
    fn located(&self, answer: &Response, stated: &[(&str, &str)]) -> String {
        if answer.status == 409 {
            assert_eq!(stated[0].0, "x-image-meta-size");
            return self.backend.node.reserve();
        }
        id_of(answer)
    }

    /// Uploads the data of an image, whether they will be accepted or not.
    fn upload(&self, content: &Content, new: New, stated: &[(&str, &str)]) -> String {
        let node = &self.backend.node;
        let data = content.all();
        let id = uuid::Uuid::new_v4().to_string();
        let named = [("x-image-meta-id", id.as_str())];
        let answer = match new.manner {
            Manner::Known => node.request(&post_data(stated, &data).headers(&named)),
            Manner::Chunked => {
                let request = post(RAW).headers(&[OCTETS]).headers(stated).headers(&named);
                node.request(&request.chunked(data.chunks(70_001)))
            }
            Manner::Later => {
                node.request(&post(RAW).headers(stated).headers(&named))
                    .expect(201);
                node.request(&put_data(&id, &[], &data))
            }
            Manner::Copied => return self.copy(content, stated, id),
        };
        let expected = match (new.stated.is_right(), new.manner) {
            (false, _) => 400,
            (true, Manner::Later) => 200,
            (true, _) => 201,
        };
        assert_eq!(
            answer.status,
            expected,
            "{}: {}",
            self.backend.name,
            answer.text()
        );
        id
    }

    fn copy(&self, content: &Content, stated: &[(&str, &str)], id: String) -> String {
        let node = &self.backend.node;
        let content = Content::new(content.seed(), content.size_bytes);
        let origin = Origin::honest(content);
        let request = post(RAW).headers(stated).header("x-image-meta-id", &id);
        let request = request.header("x-glance-api-copy-from", origin.url("/image"));
        node.request(&request).expect(201);
        eventually("the copy ends", || {
            let status = node.status_of(&id);
            (status != "queued" && status != "saving").then_some(())
        });
        id
    }

    fn read(&self, number: usize) -> Seen {
        let image = &self.images[number];
        let answer = self.backend.node.download(&image.id);
        assert!(
            answer.body == image.content.all(),
            "{}: {:?} {}",
            self.backend.name,
            image.new,
            answer.status
        );
        Seen::Bytes(answer.status, answer.body.len())
    }

    fn range(&self, number: usize, first: u64, last: u64) -> Seen {
        let image = &self.images[number];
        let range = format!("bytes={first}-{last}");
        let request = Request::get(&image_path(&image.id)).header("Range", range);
        let answer = self.backend.node.request(&request);
        assert!(
            answer.body == image.content.bytes(first..last + 1),
            "{}: {:?} {first}-{last} {}",
            self.backend.name,
            image.new,
            answer.status
        );
        Seen::Bytes(answer.status, answer.body.len())
    }

    /// Downloads an image that must not be readable.
    fn nothing(&self, id: &str) -> Seen {
        let request = Request::get(&image_path(id));
        let answer = self.backend.node.connect().exchange(&request);
        let status = answer.ok().map(|answer| answer.status);
        assert!(!matches!(status, Some(200..=299)), "{}", self.backend.name);
        Seen::NoImage(status)
    }
}

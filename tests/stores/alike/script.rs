//! A sequence of client operations and backend faults, drawn from a seed.

use crate::support::bytes::Chance;

/// Size of an image with several parts and segments.
const LARGE_BYTES: u64 = 6 * (1 << 20) + 4_321;

/// A step of the sequence; images are numbered from 0 in the order of their creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Create(New),
    Read(usize),
    /// Bytes from the first to the last.
    Range(usize, u64, u64),
    ReadByMany(usize),
    /// The image's object is replaced by one of another length.
    Lengthen(usize, u64),
    /// The object is removed directly from the backend.
    Vanish(usize),
    Delete(usize),
}

/// An image to create, whose bytes are drawn from a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct New {
    pub seed: u64,
    pub size_bytes: u64,
    pub manner: Manner,
    pub stated: Stated,
}

/// How the data reach the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Known,
    Chunked,
    /// With a PUT, after the image was registered.
    Later,
    /// From an origin.
    Copied,
}

/// The statements about the data before they are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stated {
    Nothing,
    Right,
    WrongChecksum,
    WrongSize,
}

impl Stated {
    pub fn is_right(self) -> bool {
        matches!(self, Self::Nothing | Self::Right)
    }
}

const MANNERS: [Manner; 4] = [
    Manner::Known,
    Manner::Chunked,
    Manner::Later,
    Manner::Copied,
];

const STATED: [Stated; 4] = [
    Stated::Nothing,
    Stated::Right,
    Stated::WrongChecksum,
    Stated::WrongSize,
];

/// Returns every manner with every statement, then a number of random steps, and the deletion of
/// all images.
pub fn script(seed: u64, random_steps: usize) -> Vec<Step> {
    let mut script = Script {
        chance: Chance::new(seed),
        steps: Vec::new(),
        sizes: Vec::new(),
        sound: Vec::new(),
        kept: Vec::new(),
    };
    for (manner, stated) in MANNERS.iter().flat_map(|m| STATED.map(|s| (*m, s))) {
        let size_bytes = 1 + script.chance.below(300_000);
        script.create(size_bytes, manner, stated);
    }
    for manner in MANNERS {
        script.create(LARGE_BYTES, manner, Stated::Right);
    }
    for _ in 0..random_steps {
        script.draw();
    }
    let kept = std::mem::take(&mut script.kept);
    script.steps.extend(kept.into_iter().map(Step::Delete));
    script.steps
}

struct Script {
    chance: Chance,
    steps: Vec<Step>,
    sizes: Vec<u64>,
    /// Numbers of images that can be read.
    sound: Vec<usize>,
    /// Those that were not deleted.
    kept: Vec<usize>,
}

impl Script {
    fn create(&mut self, size_bytes: u64, manner: Manner, stated: Stated) {
        let number = self.sizes.len();
        self.sizes.push(size_bytes);
        self.kept.push(number);
        if stated.is_right() {
            self.sound.push(number);
        }
        let seed = self.chance.next();
        self.steps.push(Step::Create(New {
            seed,
            size_bytes,
            manner,
            stated,
        }));
    }

    fn draw(&mut self) {
        if self.sound.len() < 4 {
            return self.draw_image();
        }
        let place = self.chance.below(self.sound.len() as u64) as usize;
        let image = self.sound[place];
        let step = match self.chance.below(20) {
            0..=3 => return self.draw_image(),
            4..=6 => Step::Read(image),
            7..=11 => self.range(image),
            12..=14 => Step::ReadByMany(image),
            15 => Step::Lengthen(image, 1 + self.chance.below(1_000)),
            16 => Step::Vanish(image),
            _ => Step::Delete(image),
        };
        if matches!(step, Step::Lengthen(..) | Step::Vanish(_) | Step::Delete(_)) {
            self.sound.swap_remove(place);
        }
        if let Step::Delete(_) = step {
            self.kept.retain(|kept| *kept != image);
        }
        self.steps.push(step);
    }

    fn draw_image(&mut self) {
        let size_bytes = match self.chance.below(8) {
            0 => 1,
            // Around the size from which a store splits images.
            1 => (1 << 20) - 1 + self.chance.below(3),
            2 => (4 << 20) - 1 + self.chance.below(3),
            _ => 1 + self.chance.below(2 << 20),
        };
        let manner = MANNERS[self.chance.below(4) as usize];
        let stated = STATED[self.chance.below(4) as usize];
        self.create(size_bytes, manner, stated);
    }

    fn range(&mut self, image: usize) -> Step {
        let size_bytes = self.sizes[image];
        let first = self.chance.below(size_bytes);
        let last = first + self.chance.below(size_bytes - first);
        Step::Range(image, first, last)
    }
}

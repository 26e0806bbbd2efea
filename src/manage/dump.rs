//! The dump format: JSON lines, the first a header and the last a count.
//!
//! ```text
//! {"header":{"format":"glance-registry-dump","version":1,"program":"glance-manage 0.1.0"}}
//! {"image":{"id":"71c675ab-d94f-49cd-a114-e12490b328d9","name":...}}
//! {"document":{"key":{"kind":"task","id":"7"},"owner":null,"version":3,...}}
//! {"end":{"images":1,"documents":1,"crc32c":"1c291ca3"}}
//! ```
//!
//! The fields of an image are those of its record, and the images are sorted by identifier.
//! Documents follow, sorted by key. A dump with documents has version 2; one without has version 1
//! and can be read by releases that know no documents. `crc32c` covers all bytes before the last
//! line (RFC 3720, appendix B.4). A release that adds fields with defaults keeps the version; one
//! that changes the meaning of a field raises it.

use std::io::{self, BufRead, Read, Write};

use serde::{Deserialize, Serialize};

use crate::image::{Image, ImageId};
use crate::registry::{Document, DocumentKey, MAX_RECORD_BYTES};

const FORMAT: &str = "glance-registry-dump";
const VERSION: u32 = 1;
/// The version of a dump with documents.
const VERSION_WITH_DOCUMENTS: u32 = 2;
const PROGRAM: &str = concat!("glance-manage ", env!("CARGO_PKG_VERSION"));

/// The longest line that is read. Far longer than an image's; it bounds the memory for a file that
/// is no dump and may have no line ends.
const MAX_LINE_BYTES: u64 = 16 * MAX_RECORD_BYTES as u64;

/// A line. `I` and `D` are an image and a document when reading, and references to them when
/// writing.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line<I, D> {
    Header {
        format: String,
        version: u32,
        program: String,
    },
    Image(I),
    Document(D),
    End {
        images: u64,
        #[serde(default, skip_serializing_if = "is_zero")]
        documents: u64,
        crc32c: String,
    },
}

// The signature is that of serde's `skip_serializing_if`.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The content of a dump.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Dump {
    /// Sorted by identifier.
    pub(super) images: Vec<Image>,
    /// Sorted by key.
    pub(super) documents: Vec<Document>,
}

/// A dump cannot be imported.
#[derive(Debug, thiserror::Error)]
pub(super) enum DumpError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("line {line} is invalid: {cause}")]
    Line { line: u64, cause: serde_json::Error },
    #[error("the file is not a dump of a registry")]
    NoDump,
    #[error(
        "its format version {0} is not supported (at most {VERSION_WITH_DOCUMENTS}); use a newer program"
    )]
    Version(u32),
    #[error("the file is truncated after {0} images")]
    Truncated(u64),
    #[error("the file has {found} images or documents instead of {stated}")]
    Count { stated: u64, found: u64 },
    #[error("the checksum does not match; the file was changed after the export")]
    Checksum,
    #[error("line {0}: images are not sorted by identifier")]
    Order(u64),
    #[error("line {0}: documents are not sorted by key after the images")]
    DocumentOrder(u64),
    #[error("there are data after the end of the dump")]
    TrailingData,
}

/// Writes a dump.
pub(super) struct DumpWriter<W: Write> {
    out: W,
    images: u64,
    documents: u64,
    crc: u32,
}

impl<W: Write> DumpWriter<W> {
    /// Writes the header. `has_documents` decides the version.
    pub(super) fn begin(out: W, has_documents: bool) -> io::Result<Self> {
        let mut writer = Self {
            out,
            images: 0,
            documents: 0,
            crc: 0,
        };
        writer.line(&Line::Header {
            format: FORMAT.to_owned(),
            version: match has_documents {
                true => VERSION_WITH_DOCUMENTS,
                false => VERSION,
            },
            program: PROGRAM.to_owned(),
        })?;
        Ok(writer)
    }

    /// Writes an image. Images must be sorted by identifier.
    pub(super) fn image(&mut self, image: &Image) -> io::Result<()> {
        self.images += 1;
        self.line(&Line::Image(image))
    }

    /// Writes the next document in the order of keys, behind all images.
    pub(super) fn document(&mut self, document: &Document) -> io::Result<()> {
        self.documents += 1;
        self.line(&Line::Document(document))
    }

    /// Writes the last line. Returns the number of images and the output.
    pub(super) fn end(mut self) -> io::Result<(u64, W)> {
        let end = Line::End {
            images: self.images,
            documents: self.documents,
            crc32c: hex(self.crc),
        };
        self.line(&end)?;
        Ok((self.images, self.out))
    }

    fn line(&mut self, line: &Line<&Image, &Document>) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.crc = crc32c::crc32c_append(self.crc, &text);
        self.out.write_all(&text)
    }
}

fn hex(crc: u32) -> String {
    format!("{crc:08x}")
}

/// Reads a dump.
///
/// # Errors
/// [`DumpError`] when the file is not a complete and unchanged dump.
pub(super) fn read_dump(input: impl BufRead) -> Result<Dump, DumpError> {
    let mut reader = Reader {
        input,
        line: 0,
        crc: 0,
    };
    match reader.next() {
        Ok(Some(Line::Header {
            format, version, ..
        })) if format == FORMAT => match version {
            VERSION | VERSION_WITH_DOCUMENTS => {}
            other => return Err(DumpError::Version(other)),
        },
        Err(DumpError::Io(error)) => return Err(error.into()),
        _ => return Err(DumpError::NoDump),
    }
    let mut dump = Dump::default();
    loop {
        let crc = reader.crc;
        let found = dump.images.len() as u64;
        let found_documents = dump.documents.len() as u64;
        match reader.next()? {
            Some(Line::Image(image)) => {
                let before = dump.images.last().map(|image| image.id);
                reader.check_order(before, image.id)?;
                if !dump.documents.is_empty() {
                    return Err(DumpError::DocumentOrder(reader.line));
                }
                dump.images.push(*image);
            }
            Some(Line::Document(document)) => {
                let before = dump.documents.last().map(|document| &document.key);
                reader.check_document_order(before, &document.key)?;
                dump.documents.push(*document);
            }
            Some(Line::End { images: stated, .. }) if stated != found => {
                return Err(DumpError::Count { stated, found });
            }
            Some(Line::End {
                documents: stated, ..
            }) if stated != found_documents => {
                let found = found_documents;
                return Err(DumpError::Count { stated, found });
            }
            Some(Line::End { crc32c, .. }) if crc32c != hex(crc) => {
                return Err(DumpError::Checksum);
            }
            Some(Line::End { .. }) => break,
            Some(Line::Header { .. }) => return Err(DumpError::NoDump),
            None => return Err(DumpError::Truncated(found)),
        }
    }
    match reader.input.fill_buf()? {
        [] => Ok(dump),
        _ => Err(DumpError::TrailingData),
    }
}

struct Reader<R> {
    input: R,
    line: u64,
    /// The checksum of all bytes read so far.
    crc: u32,
}

/// A line as it is read.
type OwnedLine = Line<Box<Image>, Box<Document>>;

impl<R: BufRead> Reader<R> {
    /// Reads the next line. Returns `None` at the end and for a line without a line end.
    fn next(&mut self) -> Result<Option<OwnedLine>, DumpError> {
        let mut text = Vec::new();
        self.line += 1;
        let mut limited = (&mut self.input).take(MAX_LINE_BYTES);
        limited.read_until(b'\n', &mut text)?;
        let is_too_long = limited.limit() == 0;
        if text.last() != Some(&b'\n') && !is_too_long {
            return Ok(None);
        }
        self.crc = crc32c::crc32c_append(self.crc, &text);
        let line = serde_json::from_slice(&text);
        line.map(Some).map_err(|cause| DumpError::Line {
            line: self.line,
            cause,
        })
    }

    fn check_document_order(
        &self,
        before: Option<&DocumentKey>,
        key: &DocumentKey,
    ) -> Result<(), DumpError> {
        match before {
            Some(before) if before >= key => Err(DumpError::DocumentOrder(self.line)),
            _ => Ok(()),
        }
    }

    /// Checks that the images are strictly sorted, which also excludes duplicates.
    fn check_order(&self, before: Option<ImageId>, id: ImageId) -> Result<(), DumpError> {
        match before {
            Some(before) if before >= id => Err(DumpError::Order(self.line)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Timestamp;

    fn document(id: &str) -> Document {
        let key = DocumentKey::new("task", id).unwrap();
        Document::new(key, Timestamp::from_micros(1), b"\xff".to_vec())
    }

    fn image(number: u32) -> Image {
        let id = format!("{number:032}").parse().unwrap();
        let mut image = Image::queued(id, Timestamp::from_micros(1));
        image.name = Some(format!("image {number}\n"));
        image
    }

    fn dumped(numbers: &[u32]) -> Vec<u8> {
        let mut writer = DumpWriter::begin(Vec::new(), false).unwrap();
        for number in numbers {
            writer.image(&image(*number)).unwrap();
        }
        writer.end().unwrap().1
    }

    #[test]
    fn written_dump_is_read_back() {
        let dump = read_dump(&dumped(&[1, 2, 7])[..]).unwrap();
        assert_eq!(dump.images, [image(1), image(2), image(7)]);
        assert_eq!(read_dump(&dumped(&[])[..]).unwrap(), Dump::default());
    }

    #[test]
    fn documents_follow_the_images() {
        let mut writer = DumpWriter::begin(Vec::new(), true).unwrap();
        writer.image(&image(1)).unwrap();
        writer.document(&document("a")).unwrap();
        writer.document(&document("b")).unwrap();
        let bytes = writer.end().unwrap().1;
        let dump = read_dump(&bytes[..]).unwrap();
        assert_eq!(dump.images, [image(1)]);
        assert_eq!(dump.documents, [document("a"), document("b")]);
        let text = String::from_utf8(bytes).unwrap();
        let fewer = text.replace(r#""documents":2"#, r#""documents":1"#);
        let refused = read_dump(fewer.as_bytes()).unwrap_err();
        assert!(matches!(
            refused,
            DumpError::Count {
                stated: 1,
                found: 2
            }
        ));
        let twice = text.replace(r#""id":"b""#, r#""id":"a""#);
        let refused = read_dump(twice.as_bytes()).unwrap_err();
        assert!(matches!(refused, DumpError::DocumentOrder(4)));
        // A release without documents refuses it by its version.
        assert!(text.starts_with(r#"{"header":{"format":"glance-registry-dump","version":2"#));
    }

    #[test]
    fn truncated_or_changed_dump_is_refused() {
        let whole = dumped(&[1, 2]);
        for len in 0..whole.len() {
            assert!(read_dump(&whole[..len]).is_err(), "{len} bytes");
        }
        for position in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[position] ^= 1;
            assert!(read_dump(&damaged[..]).is_err(), "bit of byte {position}");
        }
    }

    #[test]
    fn it_is_said_what_is_wrong() {
        let refused = |text: &str| read_dump(text.as_bytes()).unwrap_err();
        let whole = String::from_utf8(dumped(&[1, 2])).unwrap();
        let other = refused(&whole.replace(r#""version":1"#, r#""version":3"#));
        assert!(matches!(other, DumpError::Version(3)), "{other}");
        let fewer = refused(&whole.replace(r#"{"images":2"#, r#"{"images":3"#));
        assert!(matches!(
            fewer,
            DumpError::Count {
                stated: 3,
                found: 2
            }
        ));
        assert!(matches!(refused("{}\n"), DumpError::NoDump));
        assert!(matches!(
            refused(&format!("{whole}x")),
            DumpError::TrailingData
        ));
        let twice = String::from_utf8(dumped(&[1, 1])).unwrap();
        assert!(matches!(refused(&twice), DumpError::Order(3)));
        let header = whole.lines().next().unwrap();
        let endless = format!("{header}\n{}", "x".repeat(16 * MAX_RECORD_BYTES + 1));
        assert!(matches!(refused(&endless), DumpError::Line { line: 2, .. }));
    }
}

//! Long texts, such as lists of images, that are rendered piece by piece while they are sent, so
//! that a list of any length needs little memory.

use std::fmt;

use bytes::Bytes;

/// Least size of a piece in bytes: large enough for a system call; it takes a fraction of a
/// millisecond to render.
const PIECE_BYTES: usize = 128 * 1024;

/// Up to this length in bytes, a text is rendered at once and sent with a Content-Length.
const WHOLE_BYTES: usize = 256 * 1024;

/// Renders a text element by element.
pub trait TextRenderer {
    /// Appends the next element of the text to `out`. Returns true if more follow.
    fn render(&mut self, out: &mut Vec<u8>) -> bool;
}

/// A text that is partly rendered.
pub struct LazyText {
    /// Rendered and not yet returned.
    ready: Vec<u8>,
    /// Renders the rest; `None` if all of it is in `ready`.
    rest: Option<Box<dyn TextRenderer>>,
}

impl LazyText {
    /// Starts to render a text. Returns the whole text if it is short.
    ///
    /// # Errors
    /// The partly rendered text, if it is long.
    pub fn begin(render: impl TextRenderer + 'static) -> Result<Bytes, Self> {
        let mut rendered = Self {
            ready: Vec::with_capacity(8 * 1024),
            rest: Some(Box::new(render)),
        };
        rendered.fill(WHOLE_BYTES);
        match rendered.rest {
            None => Ok(rendered.ready.into()),
            Some(_) => Err(rendered),
        }
    }

    /// Returns the next piece, or `None` after the last.
    pub fn next_piece(&mut self) -> Option<Bytes> {
        // The vector is passed on without a copy, so the next piece allocates a new one.
        self.fill(PIECE_BYTES);
        let piece = std::mem::take(&mut self.ready);
        (!piece.is_empty()).then(|| piece.into())
    }

    fn fill(&mut self, least_bytes: usize) {
        while let Some(rest) = &mut self.rest
            && self.ready.len() < least_bytes
        {
            if !rest.render(&mut self.ready) {
                self.rest = None;
            }
        }
    }
}

impl fmt::Debug for LazyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LazyText")
            .field("ready_bytes", &self.ready.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Renders numbers, one per element.
    struct Numbers(usize);

    impl TextRenderer for Numbers {
        fn render(&mut self, out: &mut Vec<u8>) -> bool {
            out.extend_from_slice(format!("{:1000}", self.0).as_bytes());
            self.0 -= 1;
            self.0 > 0
        }
    }

    #[test]
    fn short_text_is_rendered_at_once() {
        let text = LazyText::begin(Numbers(200)).unwrap();
        assert_eq!(text.len(), 200_000);
    }

    #[test]
    fn long_text_comes_in_pieces_of_bounded_size() {
        let mut whole = Vec::new();
        let mut numbers = Numbers(2000);
        while numbers.render(&mut whole) {}
        let mut text = LazyText::begin(Numbers(2000)).unwrap_err();
        let mut pieces = Vec::new();
        while let Some(piece) = text.next_piece() {
            assert!(piece.len() <= WHOLE_BYTES + 1000, "{}", piece.len());
            pieces.extend_from_slice(&piece);
        }
        assert!(pieces == whole);
        assert!(text.next_piece().is_none());
    }
}

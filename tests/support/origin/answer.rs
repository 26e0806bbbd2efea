//! What an origin does with one request.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// An answer. As it is made it is honest; every method takes some honesty away.
#[derive(Debug, Clone)]
pub struct Answer {
    /// `None` for 200 or 206, as the range asks.
    pub(super) status: Option<u16>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) framing: Framing,
    pub(super) ranges: Ranges,
    pub(super) etag: String,
    pub(super) wrong_at: Option<u64>,
    pub(super) is_endless: bool,
    /// So many bytes at a time, with a pause after each.
    pub(super) pace: Option<(u64, Duration)>,
    /// What happens after so many bytes of the body, in order.
    pub(super) events: Vec<(u64, Event)>,
}

/// How the end of the body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Length,
    /// Another `Content-Length` than the body has.
    FalseLength(u64),
    Chunked,
    /// By the end of the connection.
    Close,
}

/// What becomes of a `Range` in the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ranges {
    Honoured,
    Ignored,
    /// 206, but from here, wherever the request wanted it to begin.
    From(u64),
}

#[derive(Debug, Clone)]
pub(super) enum Event {
    /// The connection ends as if the body were whole.
    Cut,
    /// The connection is reset; what the client has not read yet is lost to it.
    Reset,
    Pause(Duration),
    Hold(Hold),
    /// Nothing more, and the connection stays until the client ends it.
    Hang,
}

/// What holds answers up until the test lets them go; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Hold {
    released: Arc<(Mutex<bool>, Condvar)>,
}

impl Hold {
    /// All answers go on, and those to come are not held up.
    pub fn release(&self) {
        *self.released.0.lock().unwrap() = true;
        self.released.1.notify_all();
    }

    /// Waits for that.
    pub(super) fn wait(&self) {
        let (is_released, released) = &*self.released;
        let waiting = is_released.lock().unwrap();
        let waited = released.wait_while(waiting, |is_released| !*is_released);
        drop(waited.unwrap());
    }
}

impl Answer {
    /// All of the content, or the range that is asked for, with its length and an ETag.
    pub fn whole() -> Self {
        Self {
            status: None,
            headers: Vec::new(),
            framing: Framing::Length,
            ranges: Ranges::Honoured,
            etag: "\"first\"".to_owned(),
            wrong_at: None,
            is_endless: false,
            pace: None,
            events: Vec::new(),
        }
    }

    /// A status and a short body that says it.
    pub fn status(status: u16) -> Self {
        Self {
            status: Some(status),
            ..Self::whole()
        }
    }

    /// 302 to another place.
    pub fn redirect(location: &str) -> Self {
        Self::status(302).header("Location", location)
    }

    /// A header more. Of a content coding only the header is there, the bytes are as ever.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The head of an answer in gzip, for a client that has not asked for it.
    pub fn gzip(self) -> Self {
        self.header("Content-Encoding", "gzip")
    }

    /// Another state of the content, as far as the ETag tells.
    pub fn etag(mut self, etag: &str) -> Self {
        self.etag = etag.to_owned();
        self
    }

    /// 200 with everything, whatever range is asked for, and no `Accept-Ranges`.
    pub fn ignores_ranges(mut self) -> Self {
        self.ranges = Ranges::Ignored;
        self
    }

    /// 206 from this offset, when another range is asked for.
    pub fn answers_from(mut self, offset: u64) -> Self {
        self.ranges = Ranges::From(offset);
        self
    }

    /// `Content-Length` says this; the body is as long as ever, and the connection ends.
    pub fn claims_length(mut self, bytes: u64) -> Self {
        self.framing = Framing::FalseLength(bytes);
        self
    }

    /// No length; in chunks.
    pub fn chunked(mut self) -> Self {
        self.framing = Framing::Chunked;
        self
    }

    /// No length; the end of the connection is the end.
    pub fn until_close(mut self) -> Self {
        self.framing = Framing::Close;
        self
    }

    /// The body goes on after the content. Say too how it is framed.
    pub fn endless(mut self) -> Self {
        self.is_endless = true;
        self
    }

    /// The byte at this offset of the content is another.
    pub fn wrong_at(mut self, offset: u64) -> Self {
        self.wrong_at = Some(offset);
        self
    }

    /// So many bytes at a time, and a pause after each.
    pub fn slowly(mut self, bytes: u64, pause: Duration) -> Self {
        self.pace = Some((bytes, pause));
        self
    }

    /// The connection ends after so many bytes of this body.
    pub fn cut_after(self, bytes: u64) -> Self {
        self.event(bytes, Event::Cut)
    }

    /// The connection is reset after so many bytes of this body.
    pub fn reset_after(self, bytes: u64) -> Self {
        self.event(bytes, Event::Reset)
    }

    /// Nothing comes for a time after so many bytes of this body.
    pub fn pause_after(self, bytes: u64, pause: Duration) -> Self {
        self.event(bytes, Event::Pause(pause))
    }

    /// Nothing comes after so many bytes of this body until the test says so.
    pub fn hold_after(self, bytes: u64, hold: &Hold) -> Self {
        self.event(bytes, Event::Hold(hold.clone()))
    }

    /// Nothing comes any more after so many bytes of this body.
    pub fn hang_after(self, bytes: u64) -> Self {
        self.event(bytes, Event::Hang)
    }

    fn event(mut self, after_bytes: u64, event: Event) -> Self {
        self.events.push((after_bytes, event));
        self.events.sort_by_key(|(after_bytes, _)| *after_bytes);
        self
    }
}

//! The response of a scripted origin to one request.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// A response. It is correct when it is created; each method introduces a fault.
#[derive(Debug, Clone)]
pub struct Answer {
    /// `None` for 200 or 206, according to the range.
    pub(super) status: Option<u16>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) framing: Framing,
    pub(super) ranges: Ranges,
    pub(super) etag: String,
    pub(super) wrong_at: Option<u64>,
    pub(super) is_endless: bool,
    /// Bytes that are sent at a time, and the pause after them.
    pub(super) pace: Option<(u64, Duration)>,
    /// Events after a number of bytes of the body, in order.
    pub(super) events: Vec<(u64, Event)>,
}

/// Framing of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Length,
    /// A `Content-Length` that differs from the body.
    FalseLength(u64),
    Chunked,
    /// The end of the connection ends the body.
    Close,
}

/// Treatment of a `Range` in the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ranges {
    Honoured,
    Ignored,
    /// 206 from this offset, whatever the request asked for.
    From(u64),
}

#[derive(Debug, Clone)]
pub(super) enum Event {
    /// The connection ends as if the body were complete.
    Cut,
    /// The connection is reset; data that the client has not read are lost.
    Reset,
    Pause(Duration),
    Hold(Hold),
    /// Silence; the connection remains until the client closes it.
    Hang,
}

/// Holds responses until the test releases them. Clones share their state.
#[derive(Debug, Clone, Default)]
pub struct Hold {
    released: Arc<(Mutex<bool>, Condvar)>,
}

impl Hold {
    /// Releases all held and later responses.
    pub fn release(&self) {
        *self.released.0.lock().unwrap() = true;
        self.released.1.notify_all();
    }

    /// Waits until the responses are released.
    pub(super) fn wait(&self) {
        let (is_released, released) = &*self.released;
        let waiting = is_released.lock().unwrap();
        let waited = released.wait_while(waiting, |is_released| !*is_released);
        drop(waited.unwrap());
    }
}

impl Answer {
    /// Returns a response with the content or the requested range, its length and an ETag.
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

    /// Returns a response with a status and a short body.
    pub fn status(status: u16) -> Self {
        Self {
            status: Some(status),
            ..Self::whole()
        }
    }

    /// Returns a 302 to another location.
    pub fn redirect(location: &str) -> Self {
        Self::status(302).header("Location", location)
    }

    /// Adds a header. A content coding is only announced; the bytes do not change.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Announces gzip to a client that did not request it.
    pub fn gzip(self) -> Self {
        self.header("Content-Encoding", "gzip")
    }

    /// Changes the ETag, as if the content had changed.
    pub fn etag(mut self, etag: &str) -> Self {
        self.etag = etag.to_owned();
        self
    }

    /// Answers 200 with the whole content to any range, without `Accept-Ranges`.
    pub fn ignores_ranges(mut self) -> Self {
        self.ranges = Ranges::Ignored;
        self
    }

    /// Answers 206 from this offset when another range is requested.
    pub fn answers_from(mut self, offset: u64) -> Self {
        self.ranges = Ranges::From(offset);
        self
    }

    /// States this `Content-Length`; the body keeps its length, and the connection ends.
    pub fn claims_length(mut self, bytes: u64) -> Self {
        self.framing = Framing::FalseLength(bytes);
        self
    }

    /// Sends chunks without a length.
    pub fn chunked(mut self) -> Self {
        self.framing = Framing::Chunked;
        self
    }

    /// States no length; the end of the connection ends the body.
    pub fn until_close(mut self) -> Self {
        self.framing = Framing::Close;
        self
    }

    /// Continues the body after the content. Set the framing as well.
    pub fn endless(mut self) -> Self {
        self.is_endless = true;
        self
    }

    /// Changes the byte at this offset of the content.
    pub fn wrong_at(mut self, offset: u64) -> Self {
        self.wrong_at = Some(offset);
        self
    }

    /// Sends this number of bytes at a time, with a pause after them.
    pub fn slowly(mut self, bytes: u64, pause: Duration) -> Self {
        self.pace = Some((bytes, pause));
        self
    }

    /// Closes the connection after this number of bytes of the body.
    pub fn cut_after(self, bytes: u64) -> Self {
        self.event(bytes, Event::Cut)
    }

    /// Resets the connection after this number of bytes of the body.
    pub fn reset_after(self, bytes: u64) -> Self {
        self.event(bytes, Event::Reset)
    }

    /// Pauses after this number of bytes of the body.
    pub fn pause_after(self, bytes: u64, pause: Duration) -> Self {
        self.event(bytes, Event::Pause(pause))
    }

    /// Pauses after this number of bytes of the body until the test releases it.
    pub fn hold_after(self, bytes: u64, hold: &Hold) -> Self {
        self.event(bytes, Event::Hold(hold.clone()))
    }

    /// Falls silent after this number of bytes of the body.
    pub fn hang_after(self, bytes: u64) -> Self {
        self.event(bytes, Event::Hang)
    }

    fn event(mut self, after_bytes: u64, event: Event) -> Self {
        self.events.push((after_bytes, event));
        self.events.sort_by_key(|(after_bytes, _)| *after_bytes);
        self
    }
}

//! A Swift that is unreachable, falls silent, or cuts connections.

use std::time::{Duration, Instant};

use glance::error::{Error, Kind};
use glance::image::Location;
use glance::store::{Store, SwiftOptions, SwiftStore};

use super::{Look, MIB, SILENCE, an_upload, by_v1, collect, on_worker, options, put, read, store};
use super::{whole, write};
use crate::support::backends::address_of;
use crate::support::backends::swift::Swift;
use crate::support::gate::{Gate, Mode, Way};
use crate::support::pattern;

/// A store that reaches Swift through a gate, and direct access to its account.
struct Behind {
    gate: Gate,
    look: Look,
    options: SwiftOptions,
    store: SwiftStore,
}

fn behind_a_gate() -> Behind {
    let swift = Swift::shared();
    let gate = Gate::before(address_of(&swift.url));
    // Swift returns the storage URL with the requested host, so all requests pass the gate.
    let options = SwiftOptions {
        stall: SILENCE,
        ..options(by_v1(&gate.url(&swift.auth_url), &swift.account))
    };
    Behind {
        store: store(&options),
        look: Look::by_v1(swift, &swift.account),
        options,
        gate,
    }
}

impl Behind {
    /// Writes an object, which creates the container and logs in.
    async fn begin(&self) {
        put(&self.store, b"makes the container and the login", true).await;
    }

    /// Asserts that nothing else exists.
    #[track_caller]
    fn assert_nothing_is_left(&self) {
        assert_eq!(self.look.names(&self.options.container).len(), 1);
    }
}

fn assert_unavailable(error: &Error) {
    assert!(
        matches!(error.kind(), Kind::Unavailable { .. }),
        "{error:?}"
    );
}

/// Writes all data and returns the result.
async fn try_put(
    store: &SwiftStore,
    data: &[u8],
) -> (super::ImageId, super::Upload, Option<Error>) {
    let (image, upload) = an_upload();
    let written = async {
        let hint = Some(data.len() as u64);
        let mut writer = store.create(&image, &upload, hint).await?;
        write(&mut *writer, data).await?;
        writer.commit().await
    };
    let failure = written.await.err();
    (image, upload, failure)
}

/// Cuts at several bytes, of one object and of segments.
#[test]
fn cut_upload_fails_and_leaves_nothing() {
    let behind = behind_a_gate();
    let Behind { gate, store, .. } = &behind;
    on_worker(async {
        behind.begin().await;
        for data in [pattern(3 * MIB as usize, 1), pattern(5 * MIB as usize, 1)] {
            for after in [1_000, 300_000, 2 * MIB + 300_000] {
                gate.cut(Way::Up, after);
                let (image, upload, failure) = try_put(store, &data).await;
                assert_unavailable(&failure.expect("it was cut"));
                store.discard(&image, &upload).await.unwrap();
                behind.assert_nothing_is_left();
            }
        }
    });
}

#[test]
fn silent_swift_times_out() {
    let behind = behind_a_gate();
    let Behind { gate, store, .. } = &behind;
    on_worker(async {
        behind.begin().await;
        let (image, upload) = an_upload();
        let hint = Some(64 * MIB);
        let mut writer = store.create(&image, &upload, hint).await.unwrap();
        write(&mut *writer, &pattern(2 * MIB as usize, 1))
            .await
            .unwrap();
        gate.set(Mode::Silent);
        let began = Instant::now();
        let data = pattern(62 * MIB as usize, 1);
        let error = write(&mut *writer, &data)
            .await
            .expect_err("nobody listens");
        assert_unavailable(&error);
        let took = began.elapsed();
        // Sent bytes may fit into socket buffers; only the wait for a response notices the silence.
        assert!(took >= SILENCE && took < 5 * SILENCE, "{took:?}");
        assert!(writer.abort().await.is_err());
        gate.set(Mode::Open);
        store.discard(&image, &upload).await.unwrap();
        behind.assert_nothing_is_left();
    });
}

/// A request that timed out may be completely in socket buffers, and reach Swift later. It must not
/// create an object after its removal.
#[test]
fn abandoned_upload_does_not_complete_later() {
    let behind = behind_a_gate();
    let Behind { gate, store, .. } = &behind;
    let past_the_gate = self::store(&SwiftOptions {
        accounts: vec![by_v1(&Swift::shared().auth_url, &Swift::shared().account)],
        ..behind.options.clone()
    });
    on_worker(async {
        behind.begin().await;
        let (image, upload) = an_upload();
        let hint = Some(8 * MIB);
        let mut writer = store.create(&image, &upload, hint).await.unwrap();
        gate.set(Mode::Silent);
        // Two segments fit into the socket buffers; there is no response to the first.
        let written = write(&mut *writer, &pattern(8 * MIB as usize, 1)).await;
        assert_unavailable(&written.expect_err("nobody listens"));
        assert!(writer.abort().await.is_err());
        past_the_gate.discard(&image, &upload).await.unwrap();
        gate.set(Mode::Open);
        std::thread::sleep(Duration::from_secs(1));
        behind.assert_nothing_is_left();
    });
}

#[test]
fn unreachable_swift_fails_at_once() {
    let Behind { gate, store, .. } = behind_a_gate();
    on_worker(async {
        let (_, location) = put(&store, b"abc", true).await;
        gate.set(Mode::Closed);
        let began = Instant::now();
        let (image, upload, failure) = try_put(&store, b"abc").await;
        assert_unavailable(&failure.expect("away"));
        assert_unavailable(&store.size(&location).await.unwrap_err());
        assert_unavailable(&store.delete(&location).await.unwrap_err());
        assert_unavailable(&store.discard(&image, &upload).await.unwrap_err());
        assert!(began.elapsed() < 2 * SILENCE);
        gate.set(Mode::Open);
        assert_eq!(read(&store, &location, 3).await, b"abc");
        store.delete(&location).await.unwrap();
    });
}

/// An idle connection that Swift has closed is replaced, also for a request with a body.
#[test]
fn closed_idle_connections_are_replaced() {
    let Behind { gate, store, .. } = behind_a_gate();
    on_worker(async {
        let (_, location) = put(&store, b"abc", true).await;
        for _ in 0..3 {
            gate.set(Mode::Closed);
            gate.set(Mode::Open);
            let (_, other) = put(&store, b"abc", true).await;
            gate.set(Mode::Closed);
            gate.set(Mode::Open);
            assert_eq!(store.size(&location).await.unwrap(), 3);
            store.delete(&other).await.unwrap();
        }
    });
}

#[test]
fn download_resumes_where_it_was_cut() {
    let Behind { gate, store, .. } = behind_a_gate();
    let data = pattern(5 * MIB as usize + 7, 2);
    on_worker(async {
        let (_, location) = put(&store, &data, true).await;
        for after in [2_000, 700_000, 3 * MIB, 5 * MIB] {
            gate.cut(Way::Down, after);
            assert!(read(&store, &location, data.len()).await == data, "{after}");
            assert!(!gate.is_cut_pending(Way::Down), "{after}");
        }
        store.delete(&location).await.unwrap();
    });
}

#[test]
fn download_without_progress_fails() {
    let Behind {
        gate,
        options,
        store,
        ..
    } = behind_a_gate();
    let data = pattern(4 * MIB as usize, 2);
    let patient = store;
    let store = super::store(&SwiftOptions {
        most_resumes: 0,
        ..options
    });
    on_worker(async {
        let (_, location) = put(&patient, &data, true).await;
        gate.cut(Way::Down, 700_000);
        assert_unavailable(&failed_read(&store, &location, data.len()).await);
        gate.set(Mode::Silent);
        let began = Instant::now();
        assert_unavailable(&failed_read(&patient, &location, data.len()).await);
        assert!(began.elapsed() < 3 * SILENCE);
        gate.set(Mode::Open);
        patient.delete(&location).await.unwrap();
    });
}

async fn failed_read(store: &SwiftStore, location: &Location, bytes: usize) -> Error {
    let opened = store.open(location, whole(bytes as u64)).await;
    let read = match opened {
        Ok(payload) => collect(payload).await,
        Err(error) => return error,
    };
    read.expect_err("the rest did not come")
}

/// An object of the same length and name is not the rest of the first.
#[test]
fn download_of_a_replaced_object_fails() {
    let behind = behind_a_gate();
    let Behind { gate, store, .. } = &behind;
    on_worker(async {
        let data = pattern(3 * MIB as usize, 3);
        let (image, location) = put(store, &data, true).await;
        gate.cut(Way::Down, MIB);
        let opened = store.open(&location, whole(data.len() as u64));
        let payload = opened.await.unwrap();
        let path = format!("/{}/{image}", behind.options.container);
        behind.look.put(&path, &pattern(data.len(), 4));
        let error = collect(payload).await.expect_err("another object");
        assert_eq!(error.kind(), Kind::Internal, "{error:?}");
        store.delete(&location).await.unwrap();
    });
}

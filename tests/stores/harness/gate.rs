//! The gate in front of a server, which is a faultless origin here.

use std::time::Duration;

use crate::support::eventually;
use crate::support::gate::{Gate, Mode, Way};
use crate::support::http::{Connection, Request};
use crate::support::origin::Origin;
use crate::support::origin::content::Content;

const SIZE_BYTES: u64 = 1_000_000;

fn origin_and_gate() -> (Origin, Gate) {
    let origin = Origin::honest(Content::new(5, SIZE_BYTES));
    let gate = Gate::before(origin.address());
    (origin, gate)
}

fn connect(gate: &Gate) -> Connection {
    Connection::open(gate.address()).expect("a connection")
}

fn get() -> Request {
    Request::get("/image")
}

#[test]
fn an_open_gate_changes_nothing() {
    let (origin, gate) = origin_and_gate();
    let url = gate.url(&origin.url("/image"));
    assert_eq!(url, format!("http://{}/image", gate.address()));
    let mut connection = connect(&gate);
    for _ in 0..2 {
        assert!(connection.request(&get()).expect(200).body == origin.content.all());
    }
    assert!(gate.passed_bytes(Way::Down) > 2 * SIZE_BYTES);
    assert_eq!(
        gate.passed_bytes(Way::Up),
        2 * get().head_bytes().len() as u64
    );
    assert_eq!(gate.connections(), 1);
}

#[test]
fn a_cut_is_at_the_byte_and_happens_once() {
    let (origin, gate) = origin_and_gate();
    gate.cut(Way::Down, 500_000);
    connect(&gate).exchange(&get()).expect_err("a cut");
    assert_eq!(gate.passed_bytes(Way::Down), 500_000);
    assert!(!gate.is_cut_pending(Way::Down));
    assert!(connect(&gate).request(&get()).body == origin.content.all());
    gate.cut(Way::Up, 3);
    connect(&gate).exchange(&get()).expect_err("a cut");
    assert_eq!(origin.count("GET"), 2);
}

#[test]
fn silence_holds_bytes_back() {
    let (origin, gate) = origin_and_gate();
    gate.set(Mode::Silent);
    let mut connection = connect(&gate);
    connection.send(&get()).expect("sent");
    assert!(
        connection
            .is_silent_for(Duration::from_millis(200))
            .expect("open")
    );
    assert_eq!(origin.count("GET"), 0);
    gate.set(Mode::Open);
    let answer = connection.read_response("GET").expect("an answer");
    assert!(answer.body == origin.content.all());
}

#[test]
fn a_closed_gate_ends_connections_until_it_opens() {
    let (_origin, gate) = origin_and_gate();
    let mut early = connect(&gate);
    early.request(&get()).expect(200);
    gate.set(Mode::Closed);
    assert!(early.is_closed_by_server());
    assert!(connect(&gate).is_closed_by_server());
    gate.set(Mode::Open);
    connect(&gate).request(&get()).expect(200);
}

#[test]
fn a_flip_changes_one_bit_once() {
    let (origin, gate) = origin_and_gate();
    gate.flip(Way::Down, 500_000);
    let got = connect(&gate).request(&get()).expect(200).body;
    let all = origin.content.all();
    let mut others = got.iter().zip(&all).filter(|(got, sent)| got != sent);
    assert_eq!(others.next().map(|(got, sent)| got ^ sent), Some(1));
    assert!(others.next().is_none() && got.len() == all.len());
    assert!(!gate.is_flip_pending(Way::Down));
    assert!(connect(&gate).request(&get()).body == all);
}

#[test]
fn a_hold_lets_the_first_bytes_pass_and_keeps_the_rest() {
    let (origin, gate) = origin_and_gate();
    gate.hold(Way::Down, 500_000);
    let answer = std::thread::scope(|scope| {
        let get = scope.spawn(|| connect(&gate).request(&get()));
        eventually("it is silent", || {
            (gate.mode() == Mode::Silent).then_some(())
        });
        let passed = gate.passed_bytes(Way::Down);
        assert!((500_000..SIZE_BYTES).contains(&passed), "{passed}");
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(gate.passed_bytes(Way::Down), passed);
        gate.set(Mode::Open);
        get.join().expect("an answer")
    });
    assert!(answer.body == origin.content.all());
}

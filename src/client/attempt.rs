//! One attempt: one request on the wire, its answer read to the end, under one timeout.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};

use super::answer::Answer;
use super::kept::Kept;
use super::meter::{Meter, Reading};
use super::pool::{Connection, MOST_HEADERS, Pool};
use super::way::{Stage, Way};
use crate::http::{MOST_HEAD, too_many};
use crate::sample::{Kind, Work};
use crate::units::Micros;
use crate::world::{Wake, World, is_local};

/// A request as it is sent.
type Rendered = http::Request<Full<Bytes>>;

/// How an attempt ended.
pub enum Ending {
    Answer(Box<Answer>),
    Failed { kind: Kind, detail: String },
}

/// An attempt and its stamps.
pub struct Attempt {
    pub ending: Ending,
    /// From dequeue until a connection was had; until the end if none was.
    pub pool_wait: Micros,
    /// For how long of that squall itself held it up.
    pub held_unsent: Micros,
    pub reading: Reading,
    /// None where nothing could be sent.
    pub work: Work,
    pub done: Micros,
}

/// What is known of an attempt even when the timeout cuts it off.
struct Progress {
    connected: Option<Micros>,
    /// For how long it had been held up by then.
    held_unsent: Micros,
    meter: Option<Rc<Meter>>,
    /// The latest wake that it went on in, and for how long it was held up by then.
    wake: Wake,
    held: Micros,
}

impl Progress {
    fn goes_on(&mut self, world: &World, way: &Way) {
        let of_connection = self.meter.as_ref().map_or(Micros::ZERO, |meter| meter.turns().take_waited());
        self.was_held(world, way, of_connection);
    }

    /// It has a connection, or will have none.
    fn was_on_its_way(&mut self, world: &World, way: &Way, queued: Micros) {
        self.was_held(world, way, queued);
        self.held_unsent = self.held;
    }

    /// `queued` is what it waited for beside its own turns. Who waits inside squall may wait for a processor meanwhile.
    fn was_held(&mut self, world: &World, way: &Way, queued: Micros) {
        way.turns().goes_on();
        let wake = world.wake();
        self.held += wake.held_since(self.wake).max(way.turns().take_waited() + queued);
        self.wake = wake;
    }
}

/// Sends `request`, the `nth` of its flow, dequeued at `dequeued`. `whole` asks for the whole body, otherwise only its
/// beginning is kept. `again` makes the same request once more.
pub async fn attempt(
    world: &World,
    (pool, nth): (&Pool, u32),
    request: Rendered,
    again: &dyn Fn() -> Option<Rendered>,
    dequeued: Micros,
    timeout: Option<Micros>,
    whole: bool,
) -> Attempt {
    let way = Way::new(world);
    let wake = world.wake();
    let held = Micros::ZERO;
    let progress = RefCell::new(Progress { connected: None, held_unsent: held, meter: None, wake, held });
    let ending = {
        // Handed on by value it would be copied, and lie here twice for every flow in flight.
        let exchange =
            std::pin::pin!(exchange(world, (pool, nth), (request, again), whole, (&way, &progress)));
        let exchange = way.turns().count(exchange);
        match timeout {
            None => exchange.await,
            Some(timeout) => world.timeout_at(dequeued + timeout, exchange).await.unwrap_or_else(|_| {
                pool.timed_out(&way, timeout);
                too_late(way.stage(), timeout)
            }),
        }
    };
    let done = world.now();
    let mut progress = progress.into_inner();
    match progress.connected {
        Some(_) => progress.goes_on(world, &way),
        None => progress.was_on_its_way(world, &way, pool.take_queued(&way)),
    }
    let pool_wait = progress.connected.unwrap_or(done) - dequeued;
    let reading = progress.meter.map(|meter| meter.read()).unwrap_or_default();
    let (sent, received, held) = (reading.sent, reading.received, progress.held);
    let work = Work { attempts: 1, tried: 1, sent, received, held };
    Attempt { ending, pool_wait, held_unsent: progress.held_unsent, reading, work, done }
}

/// What did not come in time.
fn too_late(stage: Stage, timeout: Micros) -> Ending {
    let (kind, what) = match stage {
        Stage::Waiting => (Kind::Timeout, "free connection"),
        Stage::Dialling(_) => (Kind::Connect, "connection"),
        Stage::Connected(_) => (Kind::Timeout, "answer"),
    };
    Ending::Failed { kind, detail: format!("no {what} within {timeout}") }
}

async fn exchange(
    world: &World,
    (pool, nth): (&Pool, u32),
    (mut request, again): (Rendered, &dyn Fn() -> Option<Rendered>),
    whole: bool,
    (way, progress): (&Way, &RefCell<Progress>),
) -> Ending {
    loop {
        // What a connection that turned out to be closed has stamped is not this one's.
        (progress.borrow_mut().connected, progress.borrow_mut().meter) = (None, None);
        let mut connection = match pool.acquire(nth, way).await {
            Ok(connection) => connection,
            Err(error) => return connect_failed(&error),
        };
        // Those of one that was open already were none of this request's.
        let turns = Some(connection.meter.arm()).filter(|_| !connection.reused).unwrap_or_default();
        {
            let mut progress = progress.borrow_mut();
            progress.connected = Some(world.now());
            progress.meter = Some(connection.meter.clone());
            progress.was_on_its_way(world, way, pool.take_queued(way) + turns);
        }
        let answer = connection.sender.try_send_request(request).await;
        progress.borrow_mut().goes_on(world, way);
        match answer {
            Ok(response) => {
                connection.meter.answers();
                return read(pool, connection, response, whole).await;
            }
            Err(mut error) => {
                let unsent = error.take_message();
                // A kept connection that its peer closed before the request came there is no failure of the target.
                let once_more = || if connection.meter.took_nothing() { again() } else { None };
                match unsent.or_else(once_more).filter(|_| connection.reused) {
                    Some(unsent) => request = unsent,
                    None => return unanswered(&error.into_error(), &connection),
                }
            }
        }
    }
}

async fn read(
    pool: &Pool,
    connection: Connection,
    response: http::Response<hyper::body::Incoming>,
    whole: bool,
) -> Ending {
    let (parts, mut body) = response.into_parts();
    let mut kept = Kept::new(pool.shelf(), whole);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                if let Ok(data) = frame.into_data() {
                    kept.push(data);
                }
            }
            Err(error) => return broken(&error, &connection.meter),
        }
    }
    pool.give_back(connection);
    let (status, headers) = (parts.status.as_u16(), parts.headers);
    let (length, short) = (kept.length, kept.short);
    let (body, taken) = kept.into_bytes();
    Ending::Answer(Box::new(Answer { status, headers, body, length, short, taken: taken.map(Arc::new) }))
}

/// No connection came about, or only to be closed at once.
fn connect_failed(error: &io::Error) -> Ending {
    let kind = match error.kind() {
        _ if is_local(error) => Kind::Local,
        io::ErrorKind::ConnectionAborted => Kind::Reset,
        _ => Kind::Connect,
    };
    Ending::Failed { kind, detail: plain(error) }
}

/// No answer came. Where a kept connection broke before its first byte, the server may only have closed what was idle.
fn unanswered(error: &hyper::Error, connection: &Connection) -> Ending {
    match broken(error, &connection.meter) {
        Ending::Failed { kind: Kind::Reset, detail }
            if connection.reused && connection.meter.read().received == 0 =>
        {
            let detail = format!("{detail}, on a kept connection that may have been closed as idle");
            Ending::Failed { kind: Kind::Reset, detail }
        }
        ending => ending,
    }
}

fn broken(error: &hyper::Error, meter: &Meter) -> Ending {
    if let Some(detail) = too_many(error) {
        return Ending::Failed { kind: Kind::Protocol, detail };
    }
    let source = std::error::Error::source(error).and_then(|e| e.downcast_ref::<io::Error>());
    let (kind, detail) = match source {
        Some(io) if is_local(io) => (Kind::Local, plain(io)),
        Some(io) if matches!(io.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
            (Kind::Protocol, format!("the answer is no HTTP: {io}"))
        }
        Some(io) => (Kind::Reset, plain(io)),
        None if error.is_parse_too_large() => {
            let limit = format!("{MOST_HEADERS} headers or {} kB", MOST_HEAD / 1_000);
            (
                Kind::Protocol,
                format!("the head of the answer is longer than {limit}, or its body than squall can count"),
            )
        }
        None if error.is_parse() => (Kind::Protocol, format!("the answer is no HTTP: {error}")),
        None if meter.cut_off() => (Kind::Reset, "connection closed while sending".to_owned()),
        None => (Kind::Reset, "connection closed before the answer was complete".to_owned()),
    };
    Ending::Failed { kind, detail }
}

/// The error in words, without the operating system's number, so that equal errors group together.
fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset by peer".to_owned(),
        io::ErrorKind::ConnectionAborted => "connection closed before anything was sent".to_owned(),
        io::ErrorKind::BrokenPipe => "connection closed while sending".to_owned(),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or_default().to_lowercase()
        }
    }
}

impl Attempt {
    /// A request that squall could not make: a variable was missing or gave no path.
    pub fn unsent(detail: String, dequeued: Micros, now: Micros) -> Attempt {
        let ending = Ending::Failed { kind: Kind::Template, detail };
        Attempt {
            ending,
            pool_wait: now - dequeued,
            held_unsent: Micros::ZERO,
            reading: Reading::default(),
            work: Work::default(),
            done: now,
        }
    }
}

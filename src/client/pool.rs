//! Keep-alive connections of one shape on one shard.
//!
//! A flow that finds no idle connection takes the first that is given back or opened, whichever comes
//! first: after a hiccup of the generator's own, flows then do not open a connection each, which would
//! cost more than the hiccup. Who is opening one already gets only what nobody else waits for. With a limit it
//! waits its turn, and that wait is part of the response time. Several addresses are loaded in turn and each has a limit
//! of its own, so that one that hangs takes no other's connections, nor do those that wait for it. Only a connection
//! that can take the next request at once is kept.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::kept::Shelf;
use super::meter::{Meter, Metered};
use super::place::{AddressCount, Place, Turns, places};
use super::room::{Budget, Idle, Room, Seat};
use super::waiting::Waiting;
use super::way::{Dials, Stage, Way};
use crate::units::Micros;
use crate::world::{World, is_local};

/// Headers that the head of an answer may have: hyper's own limit, as room for more costs every answer time.
pub(super) const MOST_HEADERS: usize = 100;
/// Connections that one pool opens at once.
const DIALS: usize = 64;
/// One that takes longer than this waits for the target, not for us, and no longer counts: a target that
/// does not answer is dialled by everybody, as in life.
const OWN_TIME: Micros = Micros::millis(5);
/// A connection that nobody has needed for so long, or twice as long, is closed, as clients do: a target that stood
/// still for a moment does not have the connections of that moment until the run ends.
const UNUSED: Micros = Micros::secs(60);
/// A request that times out proves that the target hangs, if it waited for a file for so small a part of its time at most.
const PROOF: i64 = 20;
/// How often a connection is looked at that was given back and is not ready yet, before it is closed: one whose
/// request is not sent to its end when the answer is there would keep the next one waiting.
const LOOKS: usize = 8;

/// A connection in use; give it back with `Pool::give_back` when the whole answer was read. Dropped, it closes.
pub struct Connection {
    pub sender: SendRequest<Full<Bytes>>,
    pub meter: Rc<Meter>,
    /// It has carried a request before.
    pub reused: bool,
    place: Rc<Place>,
    /// Which of the place's addresses it leads to.
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A handle; clones share the connections.
#[derive(Clone)]
pub struct Pool(Rc<Inner>);

struct Inner {
    world: World,
    places: Vec<Rc<Place>>,
    /// Whose turn it is.
    turns: RefCell<Turns>,
    slots: Semaphore,
    dials: Rc<Dials>,
    budget: Budget,
    /// When unused connections were looked for.
    looked: Cell<Micros>,
}

impl Idle for Inner {
    fn close_one(&self) -> bool {
        self.places.iter().any(|place| place.close_one())
    }
}

impl Pool {
    /// `limit`: connections to each of the addresses at a time.
    pub fn new(world: World, addresses: &[SocketAddr], limit: Option<u32>, budget: &Budget) -> Pool {
        let (now, dials) = (world.now(), Dials::new(&world));
        let places = places(addresses, || Room::new(budget, limit));
        let inner = Rc::new(Inner {
            world,
            turns: RefCell::new(Turns::of(places.len())),
            places,
            slots: Semaphore::new(DIALS),
            dials,
            budget: budget.clone(),
            looked: Cell::new(now),
        });
        let idle: Weak<dyn Idle> = Rc::downgrade(&(inner.clone() as Rc<dyn Idle>));
        budget.knows(&idle);
        Pool(inner)
    }

    /// Room for answers that are needed whole.
    pub(super) fn shelf(&self) -> &Shelf {
        self.0.budget.shelf()
    }

    /// Closes what nobody has needed for a while; to be called now and then.
    pub fn close_unused(&self) {
        let now = self.0.world.now();
        if now - self.0.looked.get() >= UNUSED {
            self.0.looked.set(now);
            self.0.places.iter().for_each(|place| place.close_unused());
        }
    }

    /// What became of each address so far.
    pub fn addresses(&self) -> Vec<AddressCount> {
        self.0.places.iter().flat_map(|place| place.counts()).collect()
    }

    /// A request or its connection came to the end of its time.
    pub fn timed_out(&self, way: &Way, timeout: Micros) {
        let stage = way.stage();
        let (address, count): (_, fn(&mut AddressCount)) = match stage {
            Stage::Waiting => return,
            Stage::Dialling(address) => (address, |count| count.connect_timeouts += 1),
            Stage::Connected(address) => (address, |count| count.timeouts += 1),
        };
        for place in self.0.places.iter().filter(|place| place.has(address)) {
            place.count(address, count);
            if way.for_files() * PROOF <= timeout {
                place.room.hangs();
            }
        }
    }

    /// For how long a flow has waited for its turn to dial since this was last asked: in squall, and not for the target.
    pub fn take_queued(&self, way: &Way) -> Micros {
        way.take_queued(&self.0.dials)
    }

    /// An idle connection, one that is given back meanwhile, or a new one, for the `nth` request of a flow; `way` tells
    /// how far it has come.
    ///
    /// # Errors
    /// The error of the last address, when none of them accepted.
    pub async fn acquire(&self, nth: u32, way: &Way) -> io::Result<Connection> {
        loop {
            way.comes_to(Stage::Waiting);
            let turn = self.0.turns.borrow_mut().next(nth);
            let connection = match self.0.places.get(turn).and_then(|place| place.take_idle()) {
                Some(connection) => connection,
                // Few flows open a connection; the room for that need not be in all that are in flight.
                None => Box::pin(self.0.to_any_from(turn, way)).await?,
            };
            if connection.sender.is_ready() {
                let address = connection.address;
                connection.place.count(address, |count| count.requests += 1);
                way.comes_to(Stage::Connected(address));
                return Ok(connection);
            }
        }
    }

    /// Keeps a connection for the next request as soon as it can take one.
    pub fn give_back(&self, mut connection: Connection) {
        connection.reused = true;
        if connection.sender.is_ready() {
            return self.0.hand_on(connection);
        }
        let pool = self.0.clone();
        self.0.world.spawn(async move {
            for _ in 0..LOOKS {
                tokio::task::yield_now().await;
                if connection.sender.is_closed() {
                    return;
                }
                if connection.sender.is_ready() {
                    return pool.hand_on(connection);
                }
            }
        });
    }
}

impl Inner {
    /// To whom waits for this place; where flows to others wait for a file, it is closed.
    fn hand_on(&self, connection: Connection) {
        let place = connection.place.clone();
        if place.room.gives_back(&self.world) {
            return;
        }
        if let Err(connection) = place.waiting.hand(connection)
            && !place.room.is_wanted()
        {
            place.keep(connection);
        }
    }

    /// Tries the places in turn, as a resolver's client does; where one took nobody, an idle connection to the next
    /// will do: those that serve do not get a new connection for every request that was another's turn.
    async fn to_any_from(&self, turn: usize, way: &Way) -> io::Result<Connection> {
        let mut failed = io::Error::new(io::ErrorKind::AddrNotAvailable, "the target has no address");
        for n in 0..self.places.len() {
            let place = &self.places[(turn + n) % self.places.len()];
            if let Some(idle) = Some(place).filter(|_| n > 0).and_then(|place| place.take_idle()) {
                return Ok(idle);
            }
            way.comes_to(Stage::Waiting);
            match self.wait_or_dial(place, way).await {
                Err(error) if matches!(way.stage(), Stage::Dialling(_)) => failed = error,
                // Who accepts only to close has taken it.
                other => return other,
            }
        }
        Err(failed)
    }

    /// A flow waits for its own place alone: one that takes no connections would seem to serve, if its flows went
    /// elsewhere.
    async fn wait_or_dial(&self, place: &Rc<Place>, way: &Way) -> io::Result<Connection> {
        let (dials, full) = (Rc::default(), place.room.is_full());
        // With as many turns to dial taken, the room is, too, by flows that wait for theirs.
        if !full && self.slots.available_permits() == 0 {
            way.queues(&self.dials);
        }
        let own = place.room.seat(way, &self.world);
        let seat = match full {
            false => own.await,
            true => match self.or_handed((&place.waiting, &dials), own).await {
                Ok(seat) => seat,
                Err(connection) => return Ok(connection),
            },
        };
        way.queues(&self.dials);
        let dialled = self.or_handed((&place.waiting, &dials), self.dial((place, &dials), seat, way)).await;
        dialled.unwrap_or_else(Ok)
    }

    /// What comes of `own`, unless a connection is handed on meanwhile.
    async fn or_handed<T>(
        &self,
        (waiting, dials): (&Waiting, &Rc<Cell<bool>>),
        own: impl Future<Output = T>,
    ) -> Result<T, Connection> {
        let mut handed = waiting.join(dials);
        let own = tokio::select! {
            biased;
            Ok(connection) = &mut handed => return Err(connection),
            own = own => own,
        };
        handed.close();
        if let Ok(connection) = handed.try_recv() {
            self.hand_on(connection);
        }
        Ok(own)
    }

    /// `dials` tells for how long it is about to be done.
    async fn dial(
        &self,
        (place, dials): (&Rc<Place>, &Cell<bool>),
        seat: Seat,
        way: &Way,
    ) -> io::Result<Connection> {
        let slot = self.slots.acquire().await.expect("the semaphore is never closed");
        way.goes_on(&self.dials);
        dials.set(true);
        let mut connecting = std::pin::pin!(self.connect(place, seat, way));
        match self.world.timeout(OWN_TIME, &mut connecting).await {
            Ok(connected) => connected,
            Err(_) => {
                way.is_kept(&self.dials);
                dials.set(false);
                drop(slot);
                connecting.await
            }
        }
    }

    async fn connect(&self, place: &Rc<Place>, seat: Seat, way: &Way) -> io::Result<Connection> {
        let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in place.in_order() {
            way.comes_to(Stage::Dialling(address));
            match self.world.connect(address).await {
                Ok(stream) => {
                    place.answers_at(address);
                    way.comes_to(Stage::Connected(address));
                    return self.begin(stream, (place.clone(), address), seat).await;
                }
                Err(error) => {
                    // What this machine refused is none of the address's.
                    place.count(address, |count| count.refused += u64::from(!is_local(&error)));
                    failed = error;
                }
            }
        }
        Err(failed)
    }

    async fn begin(
        &self,
        stream: crate::world::Stream,
        (place, address): (Rc<Place>, SocketAddr),
        seat: Seat,
    ) -> io::Result<Connection> {
        let meter = Meter::new(&self.world);
        let io = TokioIo::new(Metered::new(stream, meter.clone(), self.world.clone()));
        let handshake = Builder::new().handshake(io).await;
        let (mut sender, connection) = handshake.map_err(io::Error::other)?;
        let turns = meter.turns().clone();
        let task = self.world.spawn(async move {
            let _seat = seat;
            // Its error reaches the flow through the sender.
            let _ = turns.count(std::pin::pin!(connection)).await;
        });
        // The peer took the connection and closed it, or spoke before it was spoken to.
        sender.ready().await.map_err(|_| io::Error::from(io::ErrorKind::ConnectionAborted))?;
        meter.turns().goes_on();
        Ok(Connection { sender, meter, reused: false, place, address, task })
    }
}

#[cfg(test)]
mod tests;

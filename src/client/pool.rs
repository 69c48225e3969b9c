//! Keep-alive connections of one shape on one shard.
//!
//! A flow that finds no idle connection takes the first that is given back or opened, whichever comes
//! first: after a hiccup of the generator's own, flows then do not open a connection each, which would
//! cost more than the hiccup. Who is opening one already gets only what nobody else waits for. With a limit it
//! waits its turn, and that wait is part of the response time. Several addresses are loaded in turn, and who waits
//! for one takes no other's connection. Only a connection that can take the next request at once is kept.

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
    /// Flows without room for a connection.
    waiting: Waiting,
    slots: Semaphore,
    dials: Rc<Dials>,
    room: Room,
    /// When unused connections were looked for.
    looked: Cell<Micros>,
}

impl Idle for Inner {
    fn close_one(&self) -> bool {
        self.places.iter().any(|place| place.close_one())
    }
}

impl Pool {
    pub fn new(world: World, addresses: &[SocketAddr], limit: Option<u32>, budget: &Budget) -> Pool {
        let (now, dials) = (world.now(), Dials::new(&world));
        let places = places(addresses);
        let inner = Rc::new(Inner {
            world,
            turns: RefCell::new(Turns::of(places.len())),
            places,
            waiting: Waiting::default(),
            slots: Semaphore::new(DIALS),
            dials,
            room: Room::new(budget, limit),
            looked: Cell::new(now),
        });
        let idle: Weak<dyn Idle> = Rc::downgrade(&(inner.clone() as Rc<dyn Idle>));
        budget.knows(&idle);
        Pool(inner)
    }

    /// Room for answers that are needed whole.
    pub(super) fn shelf(&self) -> &Shelf {
        self.0.room.shelf()
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

    /// A request or its connection came to the end of its time at this stage.
    pub fn timed_out(&self, stage: Stage) {
        let (address, count): (_, fn(&mut AddressCount)) = match stage {
            Stage::Waiting => return,
            Stage::Dialling(address) => (address, |count| count.connect_timeouts += 1),
            Stage::Connected(address) => (address, |count| count.timeouts += 1),
        };
        self.0.places.iter().for_each(|place| place.count(address, count));
    }

    /// For how long a flow has waited for its turn to dial since this was last asked: in squall, and not for the target.
    pub fn take_queued(&self, way: &Way) -> Micros {
        way.take_queued(&self.0.dials)
    }

    /// An idle connection, one that is given back meanwhile, or a new one; `way` tells how far it has come.
    ///
    /// # Errors
    /// The error of the last address, when none of them accepted.
    pub async fn acquire(&self, way: &Way) -> io::Result<Connection> {
        loop {
            way.comes_to(Stage::Waiting);
            let turn = self.0.turns.borrow_mut().next();
            let connection = match self.0.idle(turn) {
                Some(connection) => connection,
                // Few flows open a connection; the room for that need not be in all that are in flight.
                None => Box::pin(self.0.wait_or_dial(turn, way)).await?,
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
    /// An idle connection to the place whose turn it is; to another where no further one may be opened.
    fn idle(&self, turn: usize) -> Option<Connection> {
        let others = if self.room.is_full() { self.places.len() } else { 1 };
        let in_turn = (0..others).map(|n| &self.places[(turn + n) % self.places.len()]);
        in_turn.filter(|_| !self.places.is_empty()).find_map(|place| place.take_idle())
    }

    /// To whom waits for this place, else to whom waits for room to go anywhere.
    fn hand_on(&self, mut connection: Connection) {
        let place = connection.place.clone();
        for waiting in [&place.waiting, &self.waiting] {
            match waiting.hand(connection) {
                Ok(()) => return,
                Err(back) => connection = back,
            }
        }
        place.keep(connection);
    }

    /// A flow that has room waits for its own place alone: one that takes no connections would seem to serve, if its
    /// flows went elsewhere.
    async fn wait_or_dial(&self, turn: usize, way: &Way) -> io::Result<Connection> {
        // With as many turns to dial taken, the room is, too, by flows that wait for theirs.
        if self.slots.available_permits() == 0 && !self.room.is_at_limit() {
            way.queues(&self.dials);
        }
        let dials = Rc::default();
        let seat = match self.room.is_full() {
            false => self.room.seat().await,
            true => match self.or_handed((&self.waiting, &dials), self.room.seat()).await {
                Ok(seat) => seat,
                Err(connection) => return Ok(connection),
            },
        };
        let Some(place) = self.places.get(turn) else { return self.connect(turn, seat, way).await };
        way.queues(&self.dials);
        let dialled = self.or_handed((&place.waiting, &dials), self.dial((turn, &dials), seat, way)).await;
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
        (turn, dials): (usize, &Cell<bool>),
        seat: Seat,
        way: &Way,
    ) -> io::Result<Connection> {
        let slot = self.slots.acquire().await.expect("the semaphore is never closed");
        way.goes_on(&self.dials);
        dials.set(true);
        let mut connecting = std::pin::pin!(self.connect(turn, seat, way));
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

    /// Tries the places in turn, as a resolver's client does; where one took nobody, an idle connection to the next
    /// will do: those that serve do not get a new connection for every request that was another's turn.
    async fn connect(&self, turn: usize, seat: Seat, way: &Way) -> io::Result<Connection> {
        let mut failed = io::Error::new(io::ErrorKind::AddrNotAvailable, "the target has no address");
        for n in 0..self.places.len() {
            let place = &self.places[(turn + n) % self.places.len()];
            if let Some(idle) = Some(place).filter(|_| n > 0).and_then(|place| place.take_idle()) {
                return Ok(idle);
            }
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
mod tests {
    use super::super::attempt::{Attempt, Ending, attempt};
    use super::*;
    use crate::world::run_virtual;
    use tokio::io::AsyncReadExt;

    /// A server that accepts, and how many connections it has.
    async fn server(world: &World) -> (SocketAddr, Rc<Cell<usize>>) {
        let mut listener = world.listen(([127, 0, 0, 1], 0).into()).await.unwrap();
        let (address, open) = (listener.local_addr().unwrap(), Rc::<Cell<usize>>::default());
        let (tasks, counted) = (world.clone(), open.clone());
        world.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let open = counted.clone();
                tasks.spawn(async move {
                    open.set(open.get() + 1);
                    while stream.read(&mut [0; 64]).await.is_ok_and(|n| n > 0) {}
                    open.set(open.get() - 1);
                });
            }
        });
        (address, open)
    }

    /// A request that comes to no connection in its time.
    async fn in_vain(world: &World, pool: &Pool) -> Attempt {
        let (request, timeout) = (http::Request::new(Full::default()), Micros::millis(300));
        let tried = attempt(world, pool, request, &|| None, world.now(), Some(timeout), false).await;
        assert!(matches!(tried.ending, Ending::Failed { .. }));
        tried
    }

    #[test]
    fn connections_that_nobody_needs_any_more_are_closed_and_those_in_use_are_not() {
        run_virtual(|world| async move {
            let (address, open) = server(&world).await;
            let pool = Pool::new(world.clone(), &[address], None, &Budget::of_shard(&world, 1));
            let (way, mut burst) = (Way::new(&world), Vec::new());
            for _ in 0..10 {
                burst.push(pool.acquire(&way).await.unwrap());
            }
            burst.into_iter().for_each(|connection| pool.give_back(connection));
            for seconds in 1..=130 {
                world.sleep(Micros::SECOND).await;
                let (first, second) = (pool.acquire(&way).await, pool.acquire(&way).await);
                [first, second].into_iter().for_each(|connection| pool.give_back(connection.unwrap()));
                pool.close_unused();
                assert!(seconds > 50 || open.get() == 10, "{seconds} s: {}", open.get());
            }
            assert_eq!((open.get(), pool.addresses()[0].connections), (2, 10), "two at a time are in use");
        });
    }

    #[test]
    fn an_address_that_serves_gets_no_connection_for_each_request_that_another_refused() {
        run_virtual(|world| async move {
            let ((serves, open), (gone, _)) = (server(&world).await, server(&world).await);
            let gone = SocketAddr::new([127, 0, 0, 9].into(), gone.port());
            let pool = Pool::new(world.clone(), &[gone, serves], None, &Budget::of_shard(&world, 1));
            let way = Way::new(&world);
            for _ in 0..100 {
                let (first, second) = (pool.acquire(&way).await, pool.acquire(&way).await);
                [first, second].into_iter().for_each(|connection| pool.give_back(connection.unwrap()));
                world.sleep(Micros::MILLISECOND).await;
            }
            let counts = pool.addresses();
            let told: Vec<_> = counts.iter().map(|count| (count.requests, count.refused)).collect();
            assert_eq!((open.get(), told), (2, vec![(0, 100), (200, 0)]));
        });
    }

    #[test]
    fn the_wait_for_a_turn_to_dial_is_told_apart_and_one_for_the_target_is_none() {
        run_virtual(|world| async move {
            let (address, _) = server(&world).await;
            let pool = Pool::new(world.clone(), &[address], None, &Budget::of_shard(&world, 1));
            let way = Way::new(&world);
            let slots = pool.0.slots.acquire_many(DIALS as u32).await.unwrap();
            let freed = async {
                world.sleep(Micros::millis(300)).await;
                drop(slots);
            };
            let (dialled, ()) = tokio::join!(pool.acquire(&way), freed);
            let dialled = dialled.unwrap();
            assert_eq!(pool.take_queued(&way), Micros::millis(300));
            let given_back = async {
                let slots = pool.0.slots.acquire_many(DIALS as u32).await.unwrap();
                world.sleep(Micros::millis(200)).await;
                pool.give_back(dialled);
                slots
            };
            let (slots, handed) = tokio::join!(biased; given_back, pool.acquire(&way));
            let handed = handed.unwrap();
            assert_eq!((pool.take_queued(&way), handed.reused), (Micros::millis(200), true));
            drop(slots);
            pool.give_back(handed);
            let _lay_there = pool.acquire(&way).await.unwrap();
            assert_eq!(pool.take_queued(&way), Micros::ZERO);
        });
    }

    /// Also where it has no connection to tell of it: such a time-out is none of the target's.
    #[test]
    fn who_times_out_while_it_waits_for_a_turn_to_dial_was_held_up_by_squall() {
        run_virtual(|world| async move {
            let (address, _) = server(&world).await;
            let pool = Pool::new(world.clone(), &[address], None, &Budget::of_shard(&world, 1));
            let _slots = pool.0.slots.acquire_many(DIALS as u32).await.unwrap();
            let attempt = in_vain(&world, &pool).await;
            assert_eq!([attempt.work.held, attempt.held_unsent], [Micros::millis(300); 2]);
        });
    }

    #[test]
    fn who_waits_for_a_turn_to_dial_a_target_that_takes_nobody_is_held_up_by_the_target() {
        run_virtual(|world| async move {
            let listener = world.listen(([127, 0, 0, 1], 0).into()).await.unwrap();
            let (address, mut backlog) = (listener.local_addr().unwrap(), Vec::new());
            while let Ok(taken) = world.timeout(Micros::MILLISECOND, world.connect(address)).await {
                backlog.push(taken);
            }
            let pool = Pool::new(world.clone(), &[address], None, &Budget::of_shard(&world, 1));
            let flow = |(world, pool): (World, Pool)| async move { in_vain(&world, &pool).await.work.held };
            let mut flows = Vec::new();
            // They come on for so long that turns are had just before a time-out.
            for _ in 0..1_000 {
                flows.extend((0..16).map(|_| world.spawn(flow((world.clone(), pool.clone())))));
                world.sleep(Micros::MILLISECOND).await;
            }
            for flow in flows {
                assert!(flow.await.unwrap() <= OWN_TIME);
            }
        });
    }

    #[test]
    fn a_request_counts_for_the_address_that_its_connection_leads_to() {
        run_virtual(|world| async move {
            let (second, _) = server(&world).await;
            let mut listener = world.listen(([0, 0, 0, 0, 0, 0, 0, 1], second.port()).into()).await.unwrap();
            let first = listener.local_addr().unwrap();
            let pool = Pool::new(world.clone(), &[first, second], None, &Budget::of_shard(&world, 1));
            let way = Way::new(&world);
            let old = pool.acquire(&way).await.unwrap();
            // It takes no further connections, and goes on with this one.
            let _open = listener.accept().await.unwrap();
            drop(listener);
            let _new = pool.acquire(&way).await.unwrap();
            pool.give_back(old);
            let _old = pool.acquire(&way).await.unwrap();
            let requests: Vec<_> =
                pool.addresses().iter().map(|count| (count.address, count.requests)).collect();
            assert_eq!(requests, [(first, 2), (second, 1)]);
            pool.timed_out(way.stage());
            assert_eq!(pool.addresses()[0].timeouts, 1);
        });
    }
}

//! Keep-alive connections of one shape on one shard.
//!
//! A flow that finds no idle connection takes the first that is given back or opened, whichever comes
//! first: after a hiccup of the generator's own, flows then do not open a connection each, which would
//! cost more than the hiccup. With a limit it waits its turn, and that wait is part of the response time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::sync::{Notify, Semaphore, oneshot};

use super::meter::{Meter, Metered};
use crate::units::Micros;
use crate::world::World;

/// Connections that one pool opens at once.
const DIALS: usize = 64;
/// One that takes longer than this waits for the target, not for us, and no longer counts: a target that
/// does not answer is dialled by everybody, as in life.
const OWN_TIME: Micros = Micros::millis(5);

/// A connection in use; give it back with `Pool::give_back` when the whole answer was read.
pub struct Connection {
    pub sender: SendRequest<Full<Bytes>>,
    pub meter: Rc<Meter>,
    /// It has carried a request before.
    pub reused: bool,
    _open: Open,
}

/// Counts a connection for as long as it exists.
struct Open(Rc<Count>);

#[derive(Default)]
struct Count {
    open: Cell<u32>,
    closed: Notify,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        self.0.closed.notify_one();
    }
}

pub struct Pool {
    world: World,
    addresses: Vec<SocketAddr>,
    /// Which address the next connection tries first.
    next: Cell<usize>,
    idle: RefCell<Vec<Connection>>,
    /// Flows without a connection, the longest waiting first.
    waiting: RefCell<VecDeque<oneshot::Sender<Connection>>>,
    dials: Semaphore,
    limit: u32,
    count: Rc<Count>,
    /// Connections opened since they were last asked for.
    opened: Cell<u64>,
}

impl Pool {
    pub fn new(world: World, addresses: Vec<SocketAddr>, limit: Option<u32>) -> Pool {
        Pool {
            world,
            addresses,
            next: Cell::new(0),
            idle: RefCell::default(),
            waiting: RefCell::default(),
            dials: Semaphore::new(DIALS),
            limit: limit.unwrap_or(u32::MAX),
            count: Rc::default(),
            opened: Cell::new(0),
        }
    }

    /// How many connections were opened since this was last asked.
    pub fn take_opened(&self) -> u64 {
        self.opened.take()
    }

    /// An idle connection, one that is given back meanwhile, or a new one.
    ///
    /// # Errors
    /// The error of the last address, when none of them accepted.
    pub async fn acquire(&self) -> io::Result<Connection> {
        loop {
            let kept = self.idle.borrow_mut().pop();
            let mut connection = match kept {
                Some(connection) => connection,
                None => self.wait_or_dial().await?,
            };
            if !connection.reused || connection.sender.ready().await.is_ok() {
                return Ok(connection);
            }
        }
    }

    pub fn give_back(&self, mut connection: Connection) {
        connection.reused = true;
        loop {
            let next = self.waiting.borrow_mut().pop_front();
            let Some(next) = next else { break };
            match next.send(connection) {
                Ok(()) => return,
                // That flow has one by now, or has given up.
                Err(back) => connection = back,
            }
        }
        self.idle.borrow_mut().push(connection);
    }

    async fn wait_or_dial(&self) -> io::Result<Connection> {
        let (hand, mut handed) = oneshot::channel();
        {
            let mut waiting = self.waiting.borrow_mut();
            while waiting.front().is_some_and(oneshot::Sender::is_closed) {
                waiting.pop_front();
            }
            waiting.push_back(hand);
        }
        let dialled = tokio::select! {
            biased;
            Ok(connection) = &mut handed => return Ok(connection),
            dialled = self.dial() => dialled,
        };
        handed.close();
        if let Ok(connection) = handed.try_recv() {
            self.give_back(connection);
        }
        dialled
    }

    async fn dial(&self) -> io::Result<Connection> {
        while self.count.open.get() >= self.limit {
            self.count.closed.notified().await;
        }
        self.count.open.set(self.count.open.get() + 1);
        let open = Open(self.count.clone());
        let slot = self.dials.acquire().await.expect("the semaphore is never closed");
        let mut connecting = std::pin::pin!(self.connect(open));
        match self.world.timeout(OWN_TIME, &mut connecting).await {
            Ok(connected) => connected,
            Err(_) => {
                drop(slot);
                connecting.await
            }
        }
    }

    /// Tries the addresses in turn, as a resolver's client does; each connection begins with the next.
    async fn connect(&self, open: Open) -> io::Result<Connection> {
        let first = self.next.get();
        self.next.set((first + 1) % self.addresses.len().max(1));
        let mut failed = io::Error::new(io::ErrorKind::AddrNotAvailable, "the target has no address");
        for offset in 0..self.addresses.len() {
            let address = self.addresses[(first + offset) % self.addresses.len()];
            match self.world.connect(address).await {
                Ok(stream) => {
                    self.opened.set(self.opened.get() + 1);
                    let meter = Rc::<Meter>::default();
                    let io = TokioIo::new(Metered::new(stream, meter.clone(), self.world.clone()));
                    let (sender, connection) =
                        Builder::new().handshake(io).await.map_err(io::Error::other)?;
                    self.world.spawn(async move {
                        // Its error reaches the flow through the sender.
                        let _ = connection.await;
                    });
                    return Ok(Connection { sender, meter, reused: false, _open: open });
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}

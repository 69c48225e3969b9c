//! Keep-alive connections of one shape on one shard.
//!
//! Without a limit, a flow that finds no idle connection opens one; with a limit it waits its turn,
//! and that wait is part of the response time.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::meter::{Meter, Metered};
use crate::world::World;

/// A connection in use; give it back with `Pool::give_back` when the whole answer was read.
pub struct Connection {
    pub sender: SendRequest<Full<Bytes>>,
    pub meter: Rc<Meter>,
    /// It has carried a request before.
    pub reused: bool,
    turn: Option<OwnedSemaphorePermit>,
}

pub struct Pool {
    world: World,
    addresses: Vec<SocketAddr>,
    /// Which address the next connection tries first.
    next: Cell<usize>,
    idle: RefCell<Vec<Connection>>,
    turns: Option<std::sync::Arc<Semaphore>>,
}

impl Pool {
    pub fn new(world: World, addresses: Vec<SocketAddr>, limit: Option<u32>) -> Pool {
        let turns = limit.map(|n| std::sync::Arc::new(Semaphore::new(n as usize)));
        Pool { world, addresses, next: Cell::new(0), idle: RefCell::default(), turns }
    }

    /// An idle connection, or a new one.
    ///
    /// # Errors
    /// The error of the last address, when none of them accepted.
    pub async fn acquire(&self) -> io::Result<Connection> {
        let turn = match &self.turns {
            Some(turns) => Some(turns.clone().acquire_owned().await.expect("the semaphore is never closed")),
            None => None,
        };
        loop {
            let Some(mut connection) = self.idle.borrow_mut().pop() else { break };
            if connection.sender.ready().await.is_ok() {
                connection.turn = turn;
                connection.reused = true;
                return Ok(connection);
            }
        }
        self.connect(turn).await
    }

    pub fn give_back(&self, mut connection: Connection) {
        connection.turn = None;
        self.idle.borrow_mut().push(connection);
    }

    /// Tries the addresses in turn, as a resolver's client does; each connection begins with the next.
    async fn connect(&self, turn: Option<OwnedSemaphorePermit>) -> io::Result<Connection> {
        let first = self.next.get();
        self.next.set((first + 1) % self.addresses.len().max(1));
        let mut failed = io::Error::new(io::ErrorKind::AddrNotAvailable, "the target has no address");
        for offset in 0..self.addresses.len() {
            let address = self.addresses[(first + offset) % self.addresses.len()];
            match self.world.connect(address).await {
                Ok(stream) => {
                    let meter = Rc::<Meter>::default();
                    let io = TokioIo::new(Metered::new(stream, meter.clone(), self.world.clone()));
                    let (sender, connection) =
                        Builder::new().handshake(io).await.map_err(io::Error::other)?;
                    self.world.spawn(async move {
                        // Its error reaches the flow through the sender.
                        let _ = connection.await;
                    });
                    return Ok(Connection { sender, meter, reused: false, turn });
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}

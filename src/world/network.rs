//! The in-memory network of virtual time: addresses, listeners and their accept queues.
//!
//! It has no latency of its own: delay is what a link's faults and a server's waits add.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::pipe::Pipe;

/// Connections that wait to be accepted before further ones hang: Linux's default somaxconn.
const BACKLOG: usize = 4096;
const FIRST_PORT: u16 = 20_000;
const FIRST_CLIENT_PORT: u16 = 40_000;

#[derive(Default)]
struct Backlog {
    waiting: VecDeque<Pipe>,
    acceptor: Option<Waker>,
    connectors: Vec<Waker>,
}

type Listeners = RefCell<BTreeMap<SocketAddr, Rc<RefCell<Backlog>>>>;

/// All listeners of one virtual world.
#[derive(Default)]
pub struct Network {
    listeners: Rc<Listeners>,
    ports_used: Cell<u16>,
    clients: Cell<u16>,
}

impl Network {
    /// # Errors
    /// `AddrInUse` if somebody listens there already.
    pub fn listen(&self, mut address: SocketAddr) -> io::Result<PipeListener> {
        if address.port() == 0 {
            address.set_port(FIRST_PORT + self.ports_used.replace(self.ports_used.get() + 1));
        }
        let backlog = Rc::<RefCell<Backlog>>::default();
        let mut listeners = self.listeners.borrow_mut();
        if listeners.contains_key(&address) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        listeners.insert(address, backlog.clone());
        Ok(PipeListener { address, backlog, listeners: self.listeners.clone() })
    }

    /// Connects at once, or waits while the accept queue is full.
    ///
    /// # Errors
    /// `ConnectionRefused` if nobody listens there.
    pub async fn connect(&self, address: SocketAddr) -> io::Result<Pipe> {
        let client = self.clients.replace(self.clients.get().wrapping_add(1)) % 20_000;
        let local = SocketAddr::new(address.ip(), FIRST_CLIENT_PORT + client);
        poll_fn(|cx| {
            let Some(backlog) = self.listeners.borrow().get(&address).cloned() else {
                return Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into()));
            };
            let mut backlog = backlog.borrow_mut();
            if backlog.waiting.len() >= BACKLOG {
                backlog.connectors.push(cx.waker().clone());
                return Poll::Pending;
            }
            let (ours, theirs) = Pipe::pair(local, address);
            backlog.waiting.push_back(theirs);
            if let Some(acceptor) = backlog.acceptor.take() {
                acceptor.wake();
            }
            Poll::Ready(Ok(ours))
        })
        .await
    }
}

/// A listening address; dropping it closes it and resets what was not accepted.
pub struct PipeListener {
    pub address: SocketAddr,
    backlog: Rc<RefCell<Backlog>>,
    listeners: Rc<Listeners>,
}

impl PipeListener {
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Pipe> {
        let mut backlog = self.backlog.borrow_mut();
        match backlog.waiting.pop_front() {
            Some(pipe) => {
                backlog.connectors.drain(..).for_each(Waker::wake);
                Poll::Ready(pipe)
            }
            None => {
                backlog.acceptor = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for PipeListener {
    fn drop(&mut self) {
        self.listeners.borrow_mut().remove(&self.address);
        let mut backlog = self.backlog.borrow_mut();
        backlog.connectors.drain(..).for_each(Waker::wake);
        let waiting = std::mem::take(&mut backlog.waiting);
        drop(backlog);
        drop(waiting);
    }
}

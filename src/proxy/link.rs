//! One link: its listener, its connections, the toxics in force and what they have touched.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::net::TcpSocket;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::task::{AbortHandle, JoinHandle};

use super::machine::{Machine, ROOM_PAUSE};
use super::message::LinkState;
use super::pump;
use crate::experiment::Canary;
use crate::record::Touched;
use crate::toxic::{Direction, Toxic};
use crate::units::Micros;
use crate::world::{Listener, Stream, World, is_local};

/// A closed port may stay taken for a moment; tried again this often, this far apart.
const LISTEN_TRIES: u32 = 50;
const LISTEN_PAUSE: Micros = Micros::millis(20);

pub struct Link {
    pub(super) world: World,
    address: SocketAddr,
    upstream: Cell<SocketAddr>,
    /// The upstream that it goes back to when it is healed.
    home: Cell<SocketAddr>,
    pub(super) machine: Rc<Machine>,
    pub(super) canary: Option<Canary>,
    /// In force, in order of injection.
    toxics: RefCell<Vec<(String, Toxic)>>,
    touched: RefCell<BTreeMap<String, Impact>>,
    /// Rings when `toxics` changes, and counts how often it did.
    pub(super) changed: Notify,
    pub(super) changes: Cell<u64>,
    accepting: RefCell<Option<JoinHandle<()>>>,
    /// Its port while it does not listen: an outgoing connection could take it else.
    kept: RefCell<Option<TcpSocket>>,
    connections: RefCell<BTreeMap<u64, Connection>>,
    next: Cell<u64>,
    /// Local ports of canaries under way: what they felt is theirs alone, and not counted as traffic.
    canaries: RefCell<BTreeMap<SocketAddr, Rc<Felt>>>,
    /// Bytes that were not a canary's have passed.
    used: Cell<bool>,
}

struct Connection {
    abort: AbortHandle,
    peer: SocketAddr,
    /// squall's own, to its last byte.
    canary: Option<Rc<Felt>>,
    /// Bytes of it were dropped: it cannot go on after the heal.
    broken: bool,
    /// Faults that it has met.
    met: BTreeSet<String>,
}

/// What the toxics did to one canary, by the proxy's own clock.
#[derive(Default)]
pub(super) struct Felt {
    /// The longest delay of a request's chunk, and of an answer's.
    up: Cell<Micros>,
    down: Cell<Micros>,
    /// Bytes.
    pub dropped: Cell<u64>,
}

impl Felt {
    pub fn delay(&self) -> Micros {
        self.up.get() + self.down.get()
    }

    fn note(&self, way: Direction, delay: Micros) {
        let cell = if way == Direction::Upstream { &self.up } else { &self.down };
        cell.set(cell.get().max(delay));
    }
}

#[derive(Default)]
struct Impact {
    counts: Touched,
    /// Delay of the chunks that were delivered while it was in force, and how many those were.
    added: Micros,
    delayed: u64,
    /// New connections were refused.
    down: bool,
}

impl Link {
    /// Listens and forwards.
    ///
    /// # Errors
    /// The address cannot be listened on; in words, with the next step.
    pub async fn open(
        world: World,
        listen: SocketAddr,
        upstream: SocketAddr,
        canary: Option<Canary>,
        machine: &Rc<Machine>,
    ) -> Result<Rc<Link>, String> {
        let listener = world.listen(listen).await.map_err(|e| cannot_listen(listen, &e))?;
        let address = listener.local_addr().map_err(|e| cannot_listen(listen, &e))?;
        let link = Rc::new(Link {
            world,
            address,
            upstream: Cell::new(upstream),
            home: Cell::new(upstream),
            machine: machine.clone(),
            canary,
            toxics: RefCell::default(),
            touched: RefCell::default(),
            changed: Notify::new(),
            changes: Cell::new(0),
            accepting: RefCell::default(),
            kept: RefCell::default(),
            connections: RefCell::default(),
            next: Cell::new(0),
            canaries: RefCell::default(),
            used: Cell::new(false),
        });
        link.accept_from(listener);
        Ok(link)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn connections(&self) -> usize {
        self.connections.borrow().len()
    }

    fn accept_from(self: &Rc<Link>, mut listener: Listener) {
        let link = self.clone();
        let accepting = self.world.spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, peer)) => {
                        let room = link.machine.room(&link.world).await;
                        link.carry(stream, peer, room);
                    }
                    Err(error) => {
                        link.note_refusal(&error);
                        link.world.sleep(ROOM_PAUSE).await;
                    }
                }
            }
        });
        *self.accepting.borrow_mut() = Some(accepting);
    }

    /// Forwards one connection in a task of its own; dialling happens there too, so that a slow
    /// upstream holds up nobody else.
    fn carry(self: &Rc<Link>, client: Stream, peer: SocketAddr, room: OwnedSemaphorePermit) {
        let id = self.next.replace(self.next.get() + 1);
        let link = self.clone();
        let task = self.world.spawn(async move {
            let dialling = link.world.connect(link.upstream.get());
            if let Err(error) = pump::carry(&link, id, client, dialling).await {
                link.note_refusal(&error);
            }
            link.connections.borrow_mut().remove(&id);
            drop(room);
        });
        let connection = Connection {
            abort: task.abort_handle(),
            peer,
            canary: None,
            broken: false,
            met: BTreeSet::new(),
        };
        self.connections.borrow_mut().insert(id, connection);
    }

    /// Puts a toxic in force; a link that is down refuses from the moment that this returns.
    pub async fn inject(self: &Rc<Link>, fault: &str, toxic: Toxic) {
        let down = toxic == Toxic::Down;
        self.touched.borrow_mut().insert(fault.to_owned(), Impact { down, ..Impact::default() });
        self.connections.borrow_mut().values_mut().for_each(|connection| {
            connection.met.remove(fault);
        });
        self.toxics.borrow_mut().push((fault.to_owned(), toxic));
        self.ring();
        if down {
            let accepting = self.accepting.borrow_mut().take();
            if let Some(accepting) = accepting {
                accepting.abort();
                // Its end closes the listener.
                let _ = accepting.await;
                // Where it cannot be kept, it is there again most often.
                *self.kept.borrow_mut() = self.world.keep(self.address).ok().flatten();
            }
            let closed = self.close(|_| true);
            if let Some(impact) = self.touched.borrow_mut().get_mut(fault) {
                impact.counts.closed_connections += closed;
            }
        }
    }

    fn ring(&self) {
        self.changes.set(self.changes.get() + 1);
        self.changed.notify_waiters();
    }

    /// Removes a toxic; connections that lost bytes are closed, a closed listener listens again.
    pub async fn clear(self: &Rc<Link>, fault: &str) -> Result<(), String> {
        self.toxics.borrow_mut().retain(|(name, _)| name != fault);
        self.settle().await
    }

    /// Removes all toxics, and goes back to where it was redirected from.
    pub async fn heal(self: &Rc<Link>) -> Result<(), String> {
        self.toxics.borrow_mut().clear();
        self.go_back();
        self.settle().await
    }

    /// What is in force on it.
    pub fn state(&self) -> LinkState {
        let faults = self.toxics.borrow().iter().map(|(name, _)| name.clone()).collect();
        let listening = self.accepting.borrow().is_some();
        LinkState { faults, listening, upstream: self.upstream.get() }
    }

    /// Nothing is in force on it any more.
    pub fn is_whole(&self) -> bool {
        let LinkState { faults, listening, upstream } = self.state();
        faults.is_empty() && listening && upstream == self.home.get()
    }

    async fn settle(self: &Rc<Link>) -> Result<(), String> {
        self.ring();
        let in_force = |wanted: Toxic| self.toxics.borrow().iter().any(|(_, toxic)| *toxic == wanted);
        if !in_force(Toxic::Blackhole) {
            self.close(|connection| connection.broken);
        }
        if in_force(Toxic::Down) || self.accepting.borrow().is_some() {
            return Ok(());
        }
        self.kept.borrow_mut().take();
        let mut why = String::new();
        for _ in 0..LISTEN_TRIES {
            match self.world.listen(self.address).await {
                Ok(listener) => {
                    self.accept_from(listener);
                    return Ok(());
                }
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                    why = "another process took the port".to_owned();
                }
                Err(error) => {
                    self.note_refusal(&error);
                    why = error.to_string();
                }
            }
            self.world.sleep(LISTEN_PAUSE).await;
        }
        Err(format!("cannot listen on {} again: {why}", self.address))
    }

    pub fn redirect(&self, upstream: SocketAddr, stay: bool) {
        if stay {
            self.home.set(upstream);
        }
        if self.upstream.replace(upstream) != upstream {
            self.close(|_| true);
        }
    }

    pub fn go_back(&self) {
        self.redirect(self.home.get(), false);
    }

    /// Notes an error if it is this machine's own.
    fn note_refusal(&self, error: &std::io::Error) {
        if is_local(error) {
            self.machine.refuses();
        }
    }

    /// Closes the connections that `which` picks; returns how many were not canaries.
    fn close(&self, which: impl Fn(&Connection) -> bool) -> u64 {
        let mut closed = 0;
        self.connections.borrow_mut().retain(|_, connection| {
            let picked = which(connection);
            if picked {
                connection.abort.abort();
                closed += u64::from(self.canary_of(connection).is_none());
            }
            !picked
        });
        closed
    }

    /// What a fault has touched. None where it cannot be told: a closed port keeps clients away uncounted,
    /// and a link that is in use may have been without a connection when it went down.
    pub fn touched(&self, fault: &str) -> Option<Touched> {
        let touched = self.touched.borrow();
        let Some(impact) = touched.get(fault) else { return Some(Touched::default()) };
        if impact.down && impact.counts.closed_connections == 0 && self.used.get() {
            return None;
        }
        let mut counts = impact.counts.clone();
        counts.added = (impact.delayed > 0).then(|| Micros(impact.added.0 / impact.delayed as i64));
        Some(counts)
    }

    pub(super) fn toxics(&self) -> std::cell::Ref<'_, Vec<(String, Toxic)>> {
        self.toxics.borrow()
    }

    /// Notes that connection `id` carries bytes.
    pub(super) fn note_use(&self, id: u64) {
        if !self.used.get()
            && let Some(connection) = self.connections.borrow_mut().get_mut(&id)
        {
            self.used.set(self.canary_of(connection).is_none());
        }
    }

    /// Notes that a chunk of connection `id` met the toxics in force.
    pub(super) fn count_chunk(&self, id: u64, bytes: usize, delay: Option<Micros>) {
        let mut connections = self.connections.borrow_mut();
        let mut connection = connections.get_mut(&id);
        if let Some(connection) = &mut connection {
            connection.broken |= delay.is_none();
            if let Some(felt) = self.canary_of(connection) {
                let dropped = if delay.is_none() { bytes as u64 } else { 0 };
                return felt.dropped.set(felt.dropped.get() + dropped);
            }
        }
        let toxics = self.toxics.borrow();
        let mut touched = self.touched.borrow_mut();
        for (name, _) in toxics.iter() {
            let Some(impact) = touched.get_mut(name) else { continue };
            if let Some(connection) = &mut connection
                && !connection.met.contains(name)
            {
                connection.met.insert(name.clone());
                impact.counts.connections += 1;
            }
            match delay {
                Some(Micros(0)) => {}
                Some(_) => {
                    impact.counts.chunks += 1;
                    impact.counts.bytes += bytes as u64;
                }
                None => {
                    impact.counts.chunks += 1;
                    impact.counts.dropped_bytes += bytes as u64;
                }
            }
        }
    }

    /// Notes how long a chunk of connection `id` was really kept back, as it leaves.
    pub(super) fn note_delay(&self, id: u64, way: Direction, delay: Micros) {
        if let Some(connection) = self.connections.borrow_mut().get_mut(&id)
            && let Some(felt) = self.canary_of(connection)
        {
            return felt.note(way, delay);
        }
        let toxics = self.toxics.borrow();
        let mut touched = self.touched.borrow_mut();
        for (name, _) in toxics.iter() {
            if let Some(impact) = touched.get_mut(name) {
                impact.added += delay;
                impact.delayed += 1;
            }
        }
    }

    /// What a connection feels, if it is a canary's.
    fn canary_of(&self, connection: &mut Connection) -> Option<Rc<Felt>> {
        if connection.canary.is_none() {
            connection.canary = self.canaries.borrow().get(&connection.peer).cloned();
        }
        connection.canary.clone()
    }

    /// Traffic from this peer is squall's own until the guard is dropped, and told to `felt`.
    pub(super) fn uncounted(&self, peer: SocketAddr, felt: Rc<Felt>) -> Uncounted<'_> {
        self.canaries.borrow_mut().insert(peer, felt);
        Uncounted { link: self, peer }
    }
}

#[must_use]
pub(super) struct Uncounted<'a> {
    link: &'a Link,
    peer: SocketAddr,
}

impl Drop for Uncounted<'_> {
    fn drop(&mut self) {
        self.link.canaries.borrow_mut().remove(&self.peer);
    }
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => format!(
            "port {} is in use: end the program that listens on {address}, or give the link another `listen`",
            address.port()
        ),
        _ => format!("cannot listen on {address}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::world::{Origin, run_real, run_virtual};

    #[test]
    fn what_many_connections_hold_back_is_bounded_and_comes_all_the_same() {
        run_virtual(|world| async move {
            const ANSWER: usize = 256 << 10;
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            let mut server = world.listen(any).await.unwrap();
            let upstream = server.local_addr().unwrap();
            let many = 1 << 20;
            let mut machine = Machine::of(&world);
            Rc::get_mut(&mut machine).unwrap().many = many;
            let link = Link::open(world.clone(), any, upstream, None, &machine).await.unwrap();
            let (latency, jitter) = (Micros::SECOND, Micros::ZERO);
            link.inject("f", Toxic::Latency { latency, jitter, direction: Direction::Downstream }).await;
            let mut clients = Vec::new();
            for _ in 0..16 {
                clients.push(world.connect(link.address()).await.unwrap());
                let (mut stream, _) = server.accept().await.unwrap();
                world.spawn(async move { stream.write_all(&[7; ANSWER]).await });
            }
            world.sleep(Micros::millis(500)).await;
            let kept = machine.backlog.get();
            assert!((many..many + (16 << 14)).contains(&kept), "{kept}");
            let mut got = vec![0; ANSWER];
            for client in &mut clients {
                client.read_exact(&mut got).await.unwrap();
            }
            assert_eq!(machine.backlog.get(), 0);
        });
    }

    #[test]
    fn a_link_that_is_down_keeps_its_port_from_outgoing_connections() {
        run_real(Origin::now(), |world| async move {
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            let upstream = world.listen(any).await.unwrap().local_addr().unwrap();
            let link = Link::open(world.clone(), any, upstream, None, &Machine::of(&world)).await.unwrap();
            link.inject("f", Toxic::Down).await;
            let outgoing = TcpSocket::new_v4().unwrap();
            assert!(outgoing.bind(link.address()).is_err(), "another could take it");
            assert!(world.connect(link.address()).await.is_err(), "nobody listens");
            link.clear("f").await.unwrap();
            assert!(world.connect(link.address()).await.is_ok());
        });
    }
}

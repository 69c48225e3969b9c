//! The places that a pool's connections lead to, each loaded in its turn, and what became of each address.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;

use super::pool::Connection;
pub use crate::record::AddressCount;
use crate::units::Micros;

/// One place; it may have an address of each family, and the one that answers is asked first.
pub(super) struct Place {
    counts: RefCell<Vec<AddressCount>>,
    preferred: Cell<usize>,
    /// With the time since when; the one that was used last is at the end, and is taken first.
    idle: RefCell<VecDeque<(Micros, Connection)>>,
}

/// A connection that nobody has needed for so long is closed, as other clients do: what a surge opened does not
/// stay for the rest of a day.
const IDLE: Micros = Micros::secs(90);

/// The places that these addresses are. `localhost` is one with two addresses, of which often one answers.
pub(super) fn places(addresses: &[SocketAddr]) -> Vec<Rc<Place>> {
    let mut groups: Vec<Vec<SocketAddr>> = Vec::new();
    for &address in addresses {
        let same = |other: &SocketAddr| {
            let loopback = address.ip().is_loopback() && other.ip().is_loopback();
            loopback && address.port() == other.port() && address.is_ipv4() != other.is_ipv4()
        };
        match groups.iter_mut().find(|group| group.len() == 1 && same(&group[0])) {
            Some(group) => group.push(address),
            None => groups.push(vec![address]),
        }
    }
    groups.into_iter().map(|group| Rc::new(Place::new(&group))).collect()
}

impl Place {
    fn new(addresses: &[SocketAddr]) -> Place {
        let none = |&address| AddressCount {
            address,
            connections: 0,
            requests: 0,
            refused: 0,
            connect_timeouts: 0,
            timeouts: 0,
        };
        let counts = RefCell::new(addresses.iter().map(none).collect());
        Place { counts, preferred: Cell::new(0), idle: RefCell::default() }
    }

    /// What became of its addresses; one that never answered is none of the place's where another did.
    pub fn counts(&self) -> Vec<AddressCount> {
        let all = self.counts.borrow().clone();
        let answers = all.iter().any(|count| count.connections > 0);
        all.into_iter().filter(|count| !answers || count.connections > 0).collect()
    }

    pub fn count(&self, address: SocketAddr, change: impl Fn(&mut AddressCount)) {
        self.counts.borrow_mut().iter_mut().filter(|count| count.address == address).for_each(change);
    }

    /// The address that is asked first.
    pub fn address(&self) -> SocketAddr {
        self.counts.borrow()[self.preferred.get()].address
    }

    /// All addresses, the one that answered last first.
    pub fn in_order(&self) -> Vec<SocketAddr> {
        let all: Vec<SocketAddr> = self.counts.borrow().iter().map(|count| count.address).collect();
        let first = self.preferred.get();
        (0..all.len()).map(|n| all[(first + n) % all.len()]).collect()
    }

    /// It accepted a connection.
    pub fn answers_at(&self, address: SocketAddr) {
        let found = self.counts.borrow().iter().position(|count| count.address == address);
        self.preferred.set(found.unwrap_or_default());
        self.count(address, |count| count.connections += 1);
    }

    /// An idle connection that can take a request; those that cannot are closed.
    pub fn take_idle(&self, now: Micros) -> Option<Connection> {
        loop {
            let (since, connection) = self.idle.borrow_mut().pop_back()?;
            if connection.sender.is_ready() && now - since <= IDLE {
                return Some(connection);
            }
        }
    }

    /// Nobody needs it now.
    pub fn keep_idle(&self, connection: Connection, now: Micros) {
        let mut idle = self.idle.borrow_mut();
        idle.push_back((now, connection));
        while idle.front().is_some_and(|(since, _)| now - *since > IDLE) {
            idle.pop_front();
        }
    }

    /// Closes the one that has been idle for longest; false if there is none.
    pub fn close_one(&self) -> bool {
        self.idle.borrow_mut().pop_front().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_of_localhost_are_one_place_and_the_one_that_answers_is_asked_first() {
        let all = ["[::1]:80", "127.0.0.1:80", "127.0.0.1:81", "10.0.0.1:80"].map(|a| a.parse().unwrap());
        let places = places(&all);
        assert_eq!(places.iter().map(|p| p.counts().len()).collect::<Vec<_>>(), [2, 1, 1]);
        assert_eq!(places[0].in_order(), all[..2]);
        places[0].answers_at(all[1]);
        assert_eq!(places[0].in_order(), [all[1], all[0]]);
        let told: Vec<SocketAddr> = places[0].counts().iter().map(|count| count.address).collect();
        assert_eq!(told, [all[1]], "nobody asked for the other");
    }
}

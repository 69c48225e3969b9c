//! The places that a pool's connections lead to, each loaded in its turn, and what became of each address.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use super::pool::Connection;
use super::waiting::Waiting;
use crate::random::{Key, Purpose, Stream};
pub use crate::record::AddressCount;

/// One place; it may have an address of each family, and the one that answers is asked first.
pub(super) struct Place {
    counts: RefCell<Vec<AddressCount>>,
    preferred: Cell<usize>,
    idle: RefCell<Vec<Connection>>,
    /// Who waits for a connection to this place.
    pub waiting: Waiting,
    /// The fewest that were idle since `close_unused` last looked: so many nobody needed.
    least: Cell<usize>,
}

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

/// Whose turn it is: each place as often as any other, in an order that is drawn anew after each round. In a fixed one, of
/// two places and flows of two steps one place would get all the first steps, and the other all the second.
pub(super) struct Turns {
    order: Vec<usize>,
    taken: usize,
    draws: Stream,
}

impl Turns {
    pub fn of(places: usize) -> Turns {
        let key = Key { seed: 0, shape: 0, index: 0, attempt: 0, purpose: Purpose::Address };
        Turns { order: (0..places).collect(), taken: places, draws: key.stream() }
    }

    pub fn next(&mut self) -> usize {
        if self.taken >= self.order.len() {
            for left in (1..self.order.len()).rev() {
                let picked = self.draws.below(left as u64 + 1) as usize;
                self.order.swap(left, picked);
            }
            self.taken = 0;
        }
        self.taken += 1;
        self.order.get(self.taken - 1).copied().unwrap_or_default()
    }
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
        Place {
            counts,
            preferred: Cell::new(0),
            idle: RefCell::default(),
            waiting: Waiting::default(),
            least: Cell::new(0),
        }
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
    pub fn take_idle(&self) -> Option<Connection> {
        loop {
            let connection = self.pop()?;
            if connection.sender.is_ready() {
                return Some(connection);
            }
        }
    }

    /// The one that was used last: what nobody needs stays at the bottom.
    fn pop(&self) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        let last = idle.pop();
        self.least.set(self.least.get().min(idle.len()));
        last
    }

    pub fn keep(&self, connection: Connection) {
        self.idle.borrow_mut().push(connection);
    }

    /// Closes one that is idle; false if there is none.
    pub fn close_one(&self) -> bool {
        self.pop().is_some()
    }

    /// Closes the idle ones that nobody has needed since the last look.
    pub fn close_unused(&self) {
        let mut idle = self.idle.borrow_mut();
        idle.drain(..self.least.get());
        self.least.set(idle.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flows of two, three or four steps in a row: each step comes to each place as often.
    #[test]
    fn no_place_gets_all_the_first_steps_of_flows() {
        for (places, steps) in [(2, 2), (2, 4), (2, 6), (3, 3), (3, 6), (4, 2)] {
            let mut turns = Turns::of(places);
            let mut each = vec![vec![0u32; places]; steps];
            (0..steps * 1_000).for_each(|n| each[n % steps][turns.next()] += 1);
            let fair = 1_000.0 / places as f64;
            let off = each.iter().flatten().map(|&n| (f64::from(n) / fair - 1.0).abs()).fold(0.0, f64::max);
            assert!(off < 0.15, "{places} places, {steps} steps: {each:?}");
            let all: Vec<u32> = (0..places).map(|place| each.iter().map(|step| step[place]).sum()).collect();
            assert!(all.iter().all(|&n| n.abs_diff(all[0]) <= 1), "{all:?}");
        }
        assert_eq!(Turns::of(0).next(), 0);
    }

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

//! The places that a pool's connections lead to, each loaded in its turn, and what became of each address.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use super::pool::Connection;
use super::room::Room;
use super::waiting::Waiting;
use crate::random::{Key, Purpose, Stream};
pub use crate::record::AddressCount;

/// One place; it may have an address of each family, and the one that answers is asked first.
pub(super) struct Place {
    counts: RefCell<Vec<AddressCount>>,
    preferred: Cell<usize>,
    idle: RefCell<Vec<Connection>>,
    pub room: Room,
    /// Who waits for a connection to this place.
    pub waiting: Waiting,
    /// The fewest that were idle since `close_unused` last looked: so many nobody needed.
    least: Cell<usize>,
}

/// The places that these addresses are. `localhost` is one with two addresses, of which often one answers.
pub(super) fn places(addresses: &[SocketAddr], room: impl Fn() -> Room) -> Vec<Rc<Place>> {
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
    groups.into_iter().map(|group| Rc::new(Place::new(&group, room()))).collect()
}

/// Requests of a flow that have turns of their own; those of longer flows share them.
const KEPT_APART: usize = 64;

/// Whose turn it is. The first requests of flows come to each place as often as to any other, so do the second, and so
/// on: one order for all would send whoever follows a failure, and so begins anew, to a place that serves.
pub(super) struct Turns {
    places: usize,
    of_nth: Vec<Round>,
}

/// Each place once, in an order that is drawn anew for each round.
struct Round {
    left: Vec<usize>,
    draws: Stream,
}

impl Turns {
    pub fn of(places: usize) -> Turns {
        Turns { places, of_nth: Vec::new() }
    }

    /// Of the `nth` request of a flow.
    pub fn next(&mut self, nth: u32) -> usize {
        let nth = nth as usize % KEPT_APART;
        while self.of_nth.len() <= nth {
            let index = self.of_nth.len() as u64;
            let key = Key { seed: 0, shape: 0, index, attempt: 0, purpose: Purpose::Address };
            self.of_nth.push(Round { left: Vec::new(), draws: key.stream() });
        }
        self.of_nth[nth].next(self.places)
    }
}

impl Round {
    fn next(&mut self, places: usize) -> usize {
        if self.left.is_empty() {
            self.left.extend(0..places);
        }
        match self.left.len() {
            0 => 0,
            left => self.left.swap_remove(self.draws.below(left as u64) as usize),
        }
    }
}

impl Place {
    fn new(addresses: &[SocketAddr], room: Room) -> Place {
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
            room,
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

    pub fn has(&self, address: SocketAddr) -> bool {
        self.counts.borrow().iter().any(|count| count.address == address)
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
    use crate::client::room::Budget;
    use crate::world::{Programs, run_virtual};

    /// Of so many flows of so many requests, each of which ends where one comes to the first place: how many of each
    /// request came to each place, and how many flows came to their end.
    fn flows(n: u32, steps: u32, places: usize, fails: bool) -> (Vec<Vec<u32>>, u32) {
        let (mut turns, mut each, mut ended) = (Turns::of(places), vec![vec![0; places]; steps as usize], 0);
        for _ in 0..n {
            let failed = (0..steps).any(|nth| {
                let place = turns.next(nth);
                each[nth as usize][place] += 1;
                fails && place == 0
            });
            ended += u32::from(!failed);
        }
        (each, ended)
    }

    #[test]
    fn each_request_of_a_flow_comes_to_each_place_as_often() {
        for (places, steps) in [(2, 1), (2, 2), (2, 5), (3, 3), (3, 4), (4, 2)] {
            let (each, ended) = flows(1_000, steps, places, false);
            let even = each.iter().all(|of| of.iter().all(|n| n.abs_diff(of[0]) <= 1));
            assert!(even && ended == 1_000, "{places} places, {steps} steps: {each:?}");
        }
        assert_eq!(Turns::of(0).next(0), 0);
    }

    #[test]
    fn what_begins_anew_after_a_failure_begins_at_no_other_place_for_that() {
        for (places, steps) in [(2, 1), (2, 2), (2, 3), (2, 5), (3, 4)] {
            let (each, ended) = flows(6_400, steps, places, true);
            let even = each.iter().all(|of| of.iter().all(|n| n.abs_diff(of[0]) <= 1));
            assert!(even, "{places} places, {steps} steps: {each:?}");
            let by_chance = 6_400.0 * (1.0 - 1.0 / places as f64).powi(steps as i32);
            assert!((f64::from(ended) / by_chance - 1.0).abs() < 0.15, "{ended} of {by_chance} flows ended");
        }
    }

    #[test]
    fn both_families_of_localhost_are_one_place_and_the_one_that_answers_is_asked_first() {
        let all = ["[::1]:80", "127.0.0.1:80", "127.0.0.1:81", "10.0.0.1:80"].map(|a| a.parse().unwrap());
        run_virtual(move |world| async move {
            let budget = Budget::of_shard(&world, 1, Programs::default());
            let places = places(&all, || Room::new(&budget, None));
            assert_eq!(places.iter().map(|p| p.counts().len()).collect::<Vec<_>>(), [2, 1, 1]);
            assert_eq!(places[0].in_order(), all[..2]);
            places[0].answers_at(all[1]);
            assert_eq!(places[0].in_order(), [all[1], all[0]]);
            let told: Vec<SocketAddr> = places[0].counts().iter().map(|count| count.address).collect();
            assert_eq!(told, [all[1]], "nobody asked for the other");
        });
    }
}

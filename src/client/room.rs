//! How many connections there may be: to one place, and of all pools of a shard, which stay below the files that
//! this process may open. Whoever finds no room waits, and the wait is part of its response time; for a file it is squall
//! that keeps it waiting, as long as the target answers others.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use tokio::sync::Notify;

use super::kept::Shelf;
use super::way::Way;
use crate::units::Micros;
use crate::world::{OWN_FILES, World, open_files};

/// Fewer connections than these cannot carry a load; where the system allows less, it says so itself.
const LEAST: u64 = 4;
/// Among pools that all wait for files one gives up a connection no more often than this: a closed one keeps its port
/// for a minute.
const YIELDS: Micros = Micros::millis(10);
/// One in so many of a shard's connections may be a patient probe's.
const PROBES: u32 = 4;

/// Somebody with connections that nobody uses at the moment.
pub(super) trait Idle {
    /// Closes one of them; false if there is none.
    fn close_one(&self) -> bool;
}

/// What all pools of a shard share.
#[derive(Clone)]
pub struct Budget(Rc<Shared>);

struct Shared {
    seats: Rc<Seats>,
    shelf: Shelf,
    idle: RefCell<Vec<Weak<dyn Idle>>>,
    /// Flows of all pools that wait for a file.
    wanted: Cell<u32>,
    /// When a pool last gave up a connection that it needed itself.
    yielded: Cell<Micros>,
    /// When one last had a connection back while flows waited for a file.
    given_back: Cell<Micros>,
}

/// So many at most.
struct Seats {
    most: u32,
    taken: Cell<u32>,
    freed: Notify,
}

impl Seats {
    fn new(most: u32) -> Rc<Seats> {
        Rc::new(Seats { most, taken: Cell::new(0), freed: Notify::new() })
    }

    fn are_full(&self) -> bool {
        self.taken.get() >= self.most
    }
}

impl Budget {
    /// A shard's share of what this process may open; in virtual time there are no files.
    pub fn of_shard(world: &World, shards: u32) -> Budget {
        let files = if world.is_virtual() { None } else { open_files() };
        let share =
            files.map(|files| (files.saturating_sub(OWN_FILES) / u64::from(shards.max(1))).max(LEAST));
        let most = share.map_or(u32::MAX, |share| share.min(u64::from(u32::MAX)) as u32);
        Budget::new(most, Shelf::of_shard(shards))
    }

    pub(super) fn new(most: u32, shelf: Shelf) -> Budget {
        Budget(Rc::new(Shared {
            seats: Seats::new(most),
            shelf,
            idle: RefCell::default(),
            wanted: Cell::default(),
            yielded: Cell::default(),
            given_back: Cell::default(),
        }))
    }

    /// How many connections the patient probes of one of so many shapes may have to one of so many addresses: they
    /// never give one up, and must leave room for the load.
    pub fn of_probes(&self, shapes: usize, addresses: usize) -> u32 {
        (self.0.seats.most / PROBES / (shapes * addresses).max(1) as u32).max(1)
    }

    /// Room for answers that are needed whole.
    pub(super) fn shelf(&self) -> &Shelf {
        &self.0.shelf
    }

    pub(super) fn knows(&self, idle: &Weak<dyn Idle>) {
        self.0.idle.borrow_mut().push(idle.clone());
    }

    /// A pool, of whose flows so many wait for a file, had an answer and has its connection back. True where it ought to
    /// close that one, which its own flows could use, as those of other pools wait.
    pub(super) fn gives_back(&self, own: u32, world: &World) -> bool {
        let shared = &self.0;
        if shared.wanted.get() == 0 {
            return false;
        }
        let now = world.now();
        shared.given_back.set(now);
        let yields = self.is_wanted(own) && now - shared.yielded.get() >= YIELDS;
        if yields {
            shared.yielded.set(now);
        }
        yields
    }

    /// Flows of other pools than this one, of whose so many do, wait for a file.
    pub(super) fn is_wanted(&self, own: u32) -> bool {
        self.0.wanted.get() > own
    }

    /// One more flow waits for a file, of a pool that counts its own.
    pub(super) fn want<'a>(&'a self, own: &'a Cell<u32>, way: &'a Way, now: Micros) -> Wanted<'a> {
        let wanted = [&self.0.wanted, own];
        wanted.iter().for_each(|n| n.set(n.get() + 1));
        Wanted { wanted, way, since: now, given_back: &self.0.given_back }
    }

    /// Another pool gives up what it does not need.
    fn close_one_idle(&self) -> bool {
        let all: Vec<_> = self.0.idle.borrow().iter().filter_map(Weak::upgrade).collect();
        all.iter().any(|pool| pool.close_one())
    }
}

/// A flow waits for a file, for as long as this exists.
pub(super) struct Wanted<'a> {
    wanted: [&'a Cell<u32>; 2],
    way: &'a Way,
    since: Micros,
    given_back: &'a Cell<Micros>,
}

/// Squall kept it waiting for as long as others had answers meanwhile; from the last of those on it waited for the
/// target, which would not have answered it either.
impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.wanted.iter().for_each(|n| n.set(n.get() - 1));
        self.way.was_kept_from_a_file((self.given_back.get() - self.since).max(Micros::ZERO));
    }
}

/// One place's room in the budget.
pub(super) struct Room {
    own: Rc<Seats>,
    budget: Budget,
}

/// A connection's place, for as long as it exists.
pub(super) struct Seat([Rc<Seats>; 2]);

impl Room {
    pub fn new(budget: &Budget, limit: Option<u32>) -> Room {
        Room { own: Seats::new(limit.unwrap_or(u32::MAX)), budget: budget.clone() }
    }

    /// The place has as many connections as a shape may have to it.
    pub fn is_at_limit(&self) -> bool {
        self.own.are_full()
    }

    /// A further connection would have to wait.
    pub fn is_full(&self) -> bool {
        self.own.are_full() || self.budget.0.seats.are_full()
    }

    /// Waits until there is room.
    pub async fn seat(&self) -> Seat {
        loop {
            let blocking = [&self.own, &self.budget.0.seats].into_iter().find(|seats| seats.are_full());
            let Some(full) = blocking else { break };
            if Rc::ptr_eq(full, &self.own) || !self.budget.close_one_idle() {
                full.freed.notified().await;
            } else {
                // What is closed leaves its seat when its task is next looked at.
                tokio::task::yield_now().await;
            }
        }
        let seats = [self.own.clone(), self.budget.0.seats.clone()];
        seats.iter().for_each(|seats| seats.taken.set(seats.taken.get() + 1));
        Seat(seats)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        for seats in &self.0 {
            seats.taken.set(seats.taken.get() - 1);
            seats.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::run_virtual;

    #[test]
    fn patient_probes_of_any_number_of_shapes_leave_room_for_the_load() {
        for shapes in [1, 2, 4, 7, 20] {
            run_virtual(move |_| async move {
                let budget = Budget::new(100, Shelf::new(0));
                let mut seats = Vec::new();
                for _ in 0..shapes {
                    let probes = Room::new(&budget, Some(budget.of_probes(shapes, 1)));
                    while !probes.is_full() {
                        seats.push(probes.seat().await);
                    }
                }
                assert!((shapes..=25).contains(&seats.len()), "{shapes} shapes: {}", seats.len());
                assert!(!Room::new(&budget, None).is_full());
            });
        }
    }
}

//! How many connections there may be: of one pool, and of all pools of a shard, which stay below the files that
//! this process may open. Whoever finds no room waits, and the wait is part of its response time.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use tokio::sync::Notify;

use super::kept::Shelf;
use crate::world::{OWN_FILES, World, open_files};

/// Fewer connections than these cannot carry a load; where the system allows less, it says so itself.
const LEAST: u64 = 4;
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

    fn new(most: u32, shelf: Shelf) -> Budget {
        Budget(Rc::new(Shared { seats: Seats::new(most), shelf, idle: RefCell::default() }))
    }

    /// How many connections the patient probes of one of so many shapes may have: they never give one up, and must
    /// leave room for the load.
    pub fn of_probes(&self, shapes: usize) -> u32 {
        (self.0.seats.most / PROBES / shapes.max(1) as u32).max(1)
    }

    pub(super) fn knows(&self, idle: &Weak<dyn Idle>) {
        self.0.idle.borrow_mut().push(idle.clone());
    }

    /// Another pool gives up what it does not need.
    fn close_one_idle(&self) -> bool {
        let all: Vec<_> = self.0.idle.borrow().iter().filter_map(Weak::upgrade).collect();
        all.iter().any(|pool| pool.close_one())
    }
}

/// One pool's room in the budget.
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

    pub fn shelf(&self) -> &Shelf {
        &self.budget.0.shelf
    }

    /// The pool has as many connections as its shape may have.
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
                    let probes = Room::new(&budget, Some(budget.of_probes(shapes)));
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

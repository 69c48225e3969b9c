//! How many connections there may be: to one place, and of all pools of a shard, which stay below the files that
//! this process may open. Whoever finds no room waits, and the wait is part of its response time; for a file it is squall
//! that keeps it waiting, unless that hangs.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use tokio::sync::Notify;

use super::kept::Shelf;
use super::way::Way;
use crate::units::Micros;
use crate::world::{Programs, World, open_files, own_files};

/// Fewer connections than these cannot carry a load; where the system allows less, it says so itself.
const LEAST: u64 = 4;
/// Where all wait for files, a place gives up a connection no more often than this: a closed one keeps its port
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
    /// Flows to all places of all pools that wait for a file.
    wanted: Cell<u32>,
    /// When a place last gave up a connection that it needed itself.
    yielded: Cell<Micros>,
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
    /// A shard's share of what this process may open beside its own files; in virtual time there are no files.
    pub fn of_shard(world: &World, shards: u32, beside: Programs) -> Budget {
        let files = if world.is_virtual() { None } else { open_files() };
        let most = files.map_or(u32::MAX, |files| share_of(files, shards, beside));
        Budget::new(most, Shelf::of_shard(shards))
    }

    pub(super) fn new(most: u32, shelf: Shelf) -> Budget {
        Budget(Rc::new(Shared {
            seats: Seats::new(most),
            shelf,
            idle: RefCell::default(),
            wanted: Cell::default(),
            yielded: Cell::default(),
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

    /// Another pool gives up what it does not need.
    fn close_one_idle(&self) -> bool {
        let all: Vec<_> = self.0.idle.borrow().iter().filter_map(Weak::upgrade).collect();
        all.iter().any(|pool| pool.close_one())
    }
}

/// How many connections one of so many shards may have.
fn share_of(files: u64, shards: u32, beside: Programs) -> u32 {
    let share = files.saturating_sub(own_files(shards, beside)) / u64::from(shards.max(1));
    share.max(LEAST).min(u64::from(u32::MAX)) as u32
}

/// A flow waits for a file, for as long as this exists.
pub(super) struct Wanted<'a> {
    room: &'a Room,
    way: &'a Way,
    world: &'a World,
    since: Micros,
}

/// Squall kept it waiting. Where the place hangs for this shape, as somebody saw who had a connection all the time, it did so until
/// the last answer that anybody had: from then on it would not have answered this one either.
impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        let (room, now) = (self.room, self.world.now());
        [&room.budget.0.wanted, &room.wanted].iter().for_each(|n| n.set(n.get() - 1));
        let until = if room.hangs.get() { room.given_back.get() } else { now };
        self.way.was_kept_from_a_file((until - self.since).max(Micros::ZERO), now - self.since);
    }
}

/// One place's room in the budget.
pub(super) struct Room {
    own: Rc<Seats>,
    budget: Budget,
    /// It has as many connections as a shape may have to it.
    filled: Notify,
    /// Flows to this place that wait for a file.
    wanted: Cell<u32>,
    /// When one last had a connection back while flows waited for a file.
    given_back: Cell<Micros>,
    /// Who had a connection to it for all of their time got no answer, and nobody has had one since.
    hangs: Cell<bool>,
}

/// A connection's place, for as long as it exists.
pub(super) struct Seat([Rc<Seats>; 2]);

impl Room {
    pub fn new(budget: &Budget, limit: Option<u32>) -> Room {
        let own = Seats::new(limit.unwrap_or(u32::MAX));
        Room {
            own,
            budget: budget.clone(),
            filled: Notify::new(),
            wanted: Cell::default(),
            given_back: Cell::default(),
            hangs: Cell::default(),
        }
    }

    /// One more flow waits for a file.
    fn want<'a>(&'a self, way: &'a Way, world: &'a World) -> Wanted<'a> {
        [&self.budget.0.wanted, &self.wanted].iter().for_each(|n| n.set(n.get() + 1));
        Wanted { room: self, way, world, since: world.now() }
    }

    /// A flow that had a connection for all of its time got no answer.
    pub fn hangs(&self) {
        self.hangs.set(true);
    }

    /// Flows to other places wait for a file.
    pub fn is_wanted(&self) -> bool {
        self.budget.0.wanted.get() > self.wanted.get()
    }

    /// A flow had an answer, and its connection back. True where that one ought to be closed, although flows to this place
    /// could use it, as those to others wait.
    pub fn gives_back(&self, world: &World) -> bool {
        let shared = &self.budget.0;
        self.hangs.set(false);
        if shared.wanted.get() == 0 {
            return false;
        }
        let now = world.now();
        self.given_back.set(now);
        let yields = self.is_wanted() && now - shared.yielded.get() >= YIELDS;
        if yields {
            shared.yielded.set(now);
        }
        yields
    }

    /// A further connection would have to wait.
    pub fn is_full(&self) -> bool {
        self.own.are_full() || self.budget.0.seats.are_full()
    }

    /// Waits until there is room.
    pub async fn seat(&self, way: &Way, world: &World) -> Seat {
        loop {
            let blocking = [&self.own, &self.budget.0.seats].into_iter().find(|seats| seats.are_full());
            let Some(full) = blocking else { break };
            if !self.budget.0.seats.are_full() {
                // Its own place filled up meanwhile: the file that it was woken for is the next one's.
                self.budget.0.seats.freed.notify_one();
            }
            let for_file = !Rc::ptr_eq(full, &self.own);
            // Who waits at its own limit takes no file from anybody.
            let _wanted = for_file.then(|| self.want(way, world));
            if !for_file || !self.budget.close_one_idle() {
                // Whose place fills up while it waits for a file waits for its place from then on.
                tokio::select! {
                    () = full.freed.notified() => {}
                    () = self.filled.notified(), if for_file => {}
                }
            } else {
                // What is closed leaves its seat when its task is next looked at.
                tokio::task::yield_now().await;
            }
        }
        let seats = [self.own.clone(), self.budget.0.seats.clone()];
        seats.iter().for_each(|seats| seats.taken.set(seats.taken.get() + 1));
        if self.own.are_full() {
            self.filled.notify_waiters();
        }
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
    fn connections_leave_what_threads_services_and_hooks_need() {
        let cases = [
            ((1024, 1, 0, 0), 960),
            ((1024, 8, 2, 0), 113),
            ((256, 2, 16, 0), 64),
            ((256, 6, 2, 0), 25),
            ((200, 1, 0, 20), 76),
        ];
        for ((files, shards, services, hooks), most) in cases {
            let beside = Programs { services, hooks };
            assert_eq!(share_of(files, shards, beside), most, "{files} files, {shards} shards");
        }
        let beside = Programs { services: 32, hooks: 0 };
        assert_eq!(share_of(70, 1, beside), 4, "fewer cannot carry a load");
    }

    #[test]
    fn patient_probes_of_any_number_of_shapes_leave_room_for_the_load() {
        for shapes in [1, 2, 4, 7, 20] {
            run_virtual(move |world| async move {
                let budget = Budget::new(100, Shelf::new(0));
                let mut seats = Vec::new();
                for _ in 0..shapes {
                    let probes = Room::new(&budget, Some(budget.of_probes(shapes, 1)));
                    while !probes.is_full() {
                        seats.push(probes.seat(&Way::new(&world), &world).await);
                    }
                }
                assert!((shapes..=25).contains(&seats.len()), "{shapes} shapes: {}", seats.len());
                assert!(!Room::new(&budget, None).is_full());
            });
        }
    }
}

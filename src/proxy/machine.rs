//! What the machine has for all links together: files, and memory for what delays keep back.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::units::Micros;
use crate::world::{OWN_FILES, World, open_files};

/// Where this machine has no room for a connection, it is looked for again this much later.
pub(super) const ROOM_PAUSE: Micros = Micros::millis(10);

/// Bytes that all links together keep back before they take no more than they must: with large answers on hundreds of
/// connections it were gigabytes.
const MANY: usize = 256 << 20;

/// What this machine has for all links together.
pub struct Machine {
    /// How often it has refused a connection.
    refused: Cell<u64>,
    /// Room for connections, with two files each: what heals needs files too, however many there are.
    room: Arc<Semaphore>,
    /// Rings for the connection that was given up first, when there is none.
    wanted: Notify,
    /// Bytes that delays keep back, and from how many on a connection keeps back one chunk at a time.
    pub(super) backlog: Cell<usize>,
    pub(super) many: usize,
}

impl Machine {
    pub fn of(world: &World) -> Rc<Machine> {
        let files = open_files().filter(|_| !world.is_virtual());
        let room = files.map_or(u64::MAX, |files| (files - OWN_FILES.min(files / 4)) / 2);
        let room = usize::try_from(room).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let room = Arc::new(Semaphore::new(room));
        Rc::new(Machine {
            refused: Cell::new(0),
            room,
            wanted: Notify::new(),
            backlog: Cell::new(0),
            many: MANY,
        })
    }

    pub fn refused(&self) -> u64 {
        self.refused.get()
    }

    pub fn refuses(&self) {
        self.refused.set(self.refused.get() + 1);
    }

    /// Room for one connection, until dropped.
    pub async fn room(&self, world: &World) -> OwnedSemaphorePermit {
        loop {
            if let Ok(room) = self.room.clone().try_acquire_owned() {
                return room;
            }
            self.wanted.notify_one();
            world.sleep(ROOM_PAUSE).await;
            if self.is_full() {
                self.refuses();
            }
        }
    }

    fn is_full(&self) -> bool {
        self.room.available_permits() == 0
    }

    /// Returns when the room of one that its client gave up is wanted for another.
    pub async fn wants_room(&self) {
        loop {
            self.wanted.notified().await;
            if self.is_full() {
                return;
            }
        }
    }

    pub fn keeps(&self, bytes: usize) {
        self.backlog.set(self.backlog.get() + bytes);
    }

    pub fn lets_go(&self, bytes: usize) {
        self.backlog.set(self.backlog.get() - bytes);
    }

    pub fn keeps_many(&self) -> bool {
        self.backlog.get() >= self.many
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::run_virtual;

    /// A target that hung behind a link was INVALID, as squall's keeper refused what it had no files for, while it held
    /// those whose clients had long gone.
    #[test]
    fn where_there_is_no_room_those_whom_nobody_waits_for_make_it_first() {
        run_virtual(|world| async move {
            let machine = Machine::of(&world);
            machine.room.forget_permits(Semaphore::MAX_PERMITS - 3);
            let _waits = machine.room(&world).await;
            for _ in 0..2 {
                let (room, machine) = (machine.room(&world).await, machine.clone());
                world.spawn(async move {
                    machine.wants_room().await;
                    drop(room);
                });
            }
            world.sleep(Micros::SECOND).await;
            assert!(machine.is_full(), "nobody wants it");
            let before = world.now();
            let _first = machine.room(&world).await;
            let _second = machine.room(&world).await;
            assert_eq!((machine.refused(), world.now()), (0, before + ROOM_PAUSE * 2));
            assert!(world.timeout(Micros::SECOND, machine.room(&world)).await.is_err());
            assert!(machine.refused() > 50, "who waits is let go for nobody");
        });
    }
}

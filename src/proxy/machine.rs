//! What the machine has for all links together: files, and memory for what delays keep back.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
        Rc::new(Machine { refused: Cell::new(0), room, backlog: Cell::new(0), many: MANY })
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
            self.refuses();
            world.sleep(ROOM_PAUSE).await;
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

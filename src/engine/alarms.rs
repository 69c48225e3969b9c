//! Wake-ups of one shard: think times and heartbeats share one exact sleeper.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

use tokio::sync::{Notify, oneshot};

use crate::units::Micros;
use crate::world::{Pacer, World};

struct Alarm {
    at: Micros,
    order: u64,
    ring: oneshot::Sender<()>,
    /// It may ring before its time, when the load ends.
    early: bool,
}

impl PartialEq for Alarm {
    fn eq(&self, other: &Alarm) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl Eq for Alarm {}
impl PartialOrd for Alarm {
    fn partial_cmp(&self, other: &Alarm) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Alarm {
    fn cmp(&self, other: &Alarm) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

#[derive(Default)]
struct State {
    heap: BinaryHeap<Reverse<Alarm>>,
    orders: u64,
}

/// Handle to a shard's alarms.
#[derive(Clone)]
pub struct Alarms {
    world: World,
    state: Rc<RefCell<State>>,
    earlier: Rc<Notify>,
}

impl Alarms {
    /// Starts the task that rings them.
    pub fn start(world: &World) -> Alarms {
        let alarms = Alarms { world: world.clone(), state: Rc::default(), earlier: Rc::default() };
        let ringing = alarms.clone();
        let pacer = world.pacer();
        world.spawn(async move { ringing.ring(pacer).await });
        alarms
    }

    /// Returns at `at`, or at once if that has passed.
    pub async fn until(&self, at: Micros) {
        self.wait(at, false).await;
    }

    /// The same, or when `ring_early` is called.
    pub async fn until_or_early(&self, at: Micros) {
        self.wait(at, true).await;
    }

    /// Wakes all who wait for their time or for this.
    pub fn ring_early(&self) {
        let mut state = self.state.borrow_mut();
        let (early, kept) = std::mem::take(&mut state.heap).into_iter().partition(|Reverse(a)| a.early);
        state.heap = kept;
        for Reverse(alarm) in BinaryHeap::into_sorted_vec(early) {
            // Whoever waited may have been cut off by its timeout.
            let _ = alarm.ring.send(());
        }
    }

    async fn wait(&self, at: Micros, early: bool) {
        if at <= self.world.now() {
            return;
        }
        let (ring, rung) = oneshot::channel();
        {
            let mut state = self.state.borrow_mut();
            let first = state.heap.peek().is_none_or(|Reverse(alarm)| at < alarm.at);
            let order = state.orders;
            state.orders += 1;
            state.heap.push(Reverse(Alarm { at, order, ring, early }));
            if first {
                self.earlier.notify_one();
            }
        }
        // The ringing task lives as long as the shard; when both end, nobody waits any more.
        let _ = rung.await;
    }

    async fn ring(&self, mut pacer: Pacer) {
        loop {
            let next = self.state.borrow().heap.peek().map(|Reverse(alarm)| alarm.at);
            tokio::select! {
                biased;
                () = self.earlier.notified() => continue,
                () = pacer.until(next.unwrap_or(Micros::MAX)), if next.is_some() => {}
            }
            let now = self.world.now();
            loop {
                let mut state = self.state.borrow_mut();
                if state.heap.peek().is_none_or(|Reverse(alarm)| alarm.at > now) {
                    break;
                }
                if let Some(Reverse(alarm)) = state.heap.pop() {
                    // Whoever waited may have been cut off by its timeout.
                    let _ = alarm.ring.send(());
                }
            }
        }
    }
}

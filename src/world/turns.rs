//! Turns: how long a future that could go on waited until its thread came to it.
//!
//! A thread that has more to do than it can lets everything wait that is ready: the answer that has come, the
//! connection that is open, the task that is to write. None of that is a wait for a processor, and a turn of the loop
//! is too short to be a standstill; only who was woken, and when, tells.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

use super::{Kind, Origin, World};
use crate::units::Micros;

/// Nobody has woken it since its last turn.
const ASLEEP: i64 = -1;

/// The waits of one future, and of whatever it awaits.
#[derive(Clone, Debug, Default)]
pub struct Turns(Option<Arc<Stamps>>);

#[derive(Debug)]
struct Stamps {
    origin: Origin,
    /// When it was woken, in microseconds of the process, or `ASLEEP`.
    woken: AtomicI64,
    /// Microseconds waited for the turn that it has now.
    latest: AtomicI64,
    /// Those of the turns in which it went on, since this was last asked.
    waited: AtomicI64,
    /// Of the task that it is part of.
    task: Mutex<Waker>,
}

impl Turns {
    /// Of a future that is ready to begin now. In virtual time nothing waits: the clock stands still meanwhile.
    pub fn of(world: &World) -> Turns {
        let Kind::Real(origin) = world.kind else { return Turns(None) };
        let (woken, [latest, waited]) = (AtomicI64::new(origin.micros()), Default::default());
        Turns(Some(Arc::new(Stamps {
            origin,
            woken,
            latest,
            waited,
            task: Mutex::new(Waker::noop().clone()),
        })))
    }

    /// What comes of `future`, whose waits are these.
    pub async fn count<F: Future>(&self, mut future: Pin<&mut F>) -> F::Output {
        let Some(stamps) = &self.0 else { return future.await };
        let waker = Waker::from(stamps.clone());
        poll_fn(|cx| {
            stamps.comes_to_its_turn(cx.waker());
            future.as_mut().poll(&mut Context::from_waker(&waker))
        })
        .await
    }

    /// It goes on in this turn, which it has waited for: what wakes it in vain costs it nothing. Gives
    /// back for how long.
    pub fn goes_on(&self) -> Micros {
        let Some(stamps) = &self.0 else { return Micros::ZERO };
        let waited = stamps.latest.swap(0, Relaxed);
        stamps.waited.fetch_add(waited, Relaxed);
        Micros(waited)
    }

    /// So much of what it has waited held nothing up.
    pub fn forget(&self, waited: Micros) {
        if let Some(stamps) = &self.0 {
            stamps.waited.store((stamps.waited.load(Relaxed) - waited.0).max(0), Relaxed);
        }
    }

    /// For how long it has waited for turns in which it went on, since this was last asked.
    pub fn take_waited(&self) -> Micros {
        self.0.as_ref().map_or(Micros::ZERO, |stamps| Micros(stamps.waited.swap(0, Relaxed)))
    }
}

impl Stamps {
    fn comes_to_its_turn(&self, waker: &Waker) {
        let waited = match self.woken.swap(ASLEEP, Relaxed) {
            ASLEEP => 0,
            woken => (self.origin.micros() - woken).max(0),
        };
        self.latest.store(waited, Relaxed);
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if !task.will_wake(waker) {
            task.clone_from(waker);
        }
    }
}

impl Wake for Stamps {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Who is woken again waits since the first time.
        let _ = self.woken.compare_exchange(ASLEEP, self.origin.micros(), Relaxed, Relaxed);
        self.task.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "they hold up a real thread")]
mod tests {
    use std::pin::pin;

    use super::*;
    use crate::world::{run_real, run_virtual};

    /// Two futures of one thread; the second holds it up for 60 ms when the first has just been woken.
    async fn held_up(world: World) -> Micros {
        let (tell, told) = tokio::sync::oneshot::channel();
        let turns = Turns::of(&world);
        let first = {
            let turns = turns.clone();
            world.spawn(async move {
                turns.count(pin!(told)).await.unwrap();
                turns.goes_on();
            })
        };
        world.sleep(Micros::millis(5)).await;
        assert!(turns.take_waited() < Micros::millis(5), "it slept, and waited for nobody");
        tell.send(()).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(60));
        first.await.unwrap();
        turns.take_waited()
    }

    #[test]
    fn who_is_woken_while_another_has_the_thread_waits_for_its_turn() {
        assert!(run_real(Origin::now(), held_up) >= Micros::millis(60));
        assert_eq!(run_virtual(held_up), Micros::ZERO);
    }

    #[test]
    fn the_first_turn_is_waited_for_too_and_each_wait_is_told_once() {
        run_real(Origin::now(), async |world| {
            let turns = Turns::of(&world);
            std::thread::sleep(std::time::Duration::from_millis(20));
            turns.count(pin!(std::future::ready(()))).await;
            assert_eq!(turns.take_waited(), Micros::ZERO, "it has not gone on");
            turns.goes_on();
            assert!(turns.take_waited() >= Micros::millis(20));
            assert_eq!(turns.take_waited(), Micros::ZERO);
        });
    }
}

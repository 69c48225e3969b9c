//! Flows that wait for a connection, the longest waiting first.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::sync::oneshot;

use super::pool::Connection;

/// They are handed what others give back.
#[derive(Default)]
pub(super) struct Waiting(RefCell<VecDeque<Waits>>);

struct Waits {
    hand: oneshot::Sender<Connection>,
    /// It will have one of its own in a moment: handed another, it would have dialled in vain, and the next begin to.
    dials: Rc<Cell<bool>>,
}

impl Waiting {
    /// What a flow will be handed; `dials` tells whether it dials.
    pub fn join(&self, dials: &Rc<Cell<bool>>) -> oneshot::Receiver<Connection> {
        self.leave();
        let (hand, handed) = oneshot::channel();
        self.0.borrow_mut().push_back(Waits { hand, dials: dials.clone() });
        handed
    }

    /// Hands it to whoever waits, to one that dials only where nobody else does.
    ///
    /// # Errors
    /// Nobody waits: the connection.
    pub fn hand(&self, mut connection: Connection) -> Result<(), Connection> {
        while let Some(next) = self.next() {
            match next.hand.send(connection) {
                Ok(()) => return Ok(()),
                // That flow has one by now, or has given up.
                Err(back) => connection = back,
            }
        }
        Err(connection)
    }

    fn next(&self) -> Option<Waits> {
        self.leave();
        let mut waiting = self.0.borrow_mut();
        let first = waiting.iter().position(|flow| !flow.dials.get());
        waiting.remove(first.unwrap_or_default())
    }

    /// Those that have waited longest and wait no more.
    fn leave(&self) {
        let mut waiting = self.0.borrow_mut();
        while waiting.front().is_some_and(|flow| flow.hand.is_closed()) {
            waiting.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::pool::Pool;
    use super::super::room::Budget;
    use super::super::way::Way;
    use super::*;
    use crate::world::{Programs, run_virtual};

    /// A flow that is handed a connection while it dials has dialled in vain, and the next takes its turn to dial: a
    /// generator at its limit opened a connection for every second request.
    #[test]
    fn what_is_given_back_goes_to_a_flow_that_does_not_dial() {
        run_virtual(|world| async move {
            let mut listener = world.listen(([127, 0, 0, 1], 0).into()).await.unwrap();
            let (address, dialled) = (listener.local_addr().unwrap(), Rc::<Cell<usize>>::default());
            let count = dialled.clone();
            world.spawn(async move {
                let mut open = Vec::new();
                while let Ok((stream, _)) = listener.accept().await {
                    count.set(count.get() + 1);
                    open.push(stream);
                }
            });
            let pool =
                Pool::new(world.clone(), &[address], None, &Budget::of_shard(&world, 1, Programs::default()));
            let users = (0..1_000).map(|_| {
                let (tasks, pool) = (world.clone(), pool.clone());
                world.spawn(async move {
                    for _ in 0..20 {
                        let connection = pool.acquire(0, &Way::new(&tasks)).await.unwrap();
                        tokio::task::yield_now().await;
                        pool.give_back(connection);
                    }
                })
            });
            for user in users.collect::<Vec<_>>() {
                user.await.unwrap();
            }
            assert_eq!(pool.addresses()[0].requests, 20_000);
            assert!(dialled.get() <= 1_100, "{}", dialled.get());
        });
    }
}

//! A group of tasks that can be paused and dropped as one: an operating-system process in virtual
//! time. Paused, none of its tasks is polled; dropped, all of them are gone and their pipes reset.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use tokio::task::{JoinHandle, LocalSet, spawn_local};

#[derive(Default)]
struct State {
    paused: bool,
    waker: Option<Waker>,
}

/// Handle to a running group; dropping it kills the group.
pub struct TaskGroup {
    state: Rc<RefCell<State>>,
    task: JoinHandle<()>,
}

impl TaskGroup {
    /// Starts `main`; whatever it spawns belongs to the group.
    pub fn start(main: impl Future<Output = ()> + 'static) -> TaskGroup {
        let state = Rc::<RefCell<State>>::default();
        let mut tasks = LocalSet::new();
        tasks.spawn_local(main);
        let shared = state.clone();
        let task = spawn_local(poll_fn(move |cx| {
            let mut state = shared.borrow_mut();
            state.waker = Some(cx.waker().clone());
            if state.paused {
                return Poll::Pending;
            }
            drop(state);
            Pin::new(&mut tasks).poll(cx)
        }));
        TaskGroup { state, task }
    }

    pub fn pause(&self) {
        self.state.borrow_mut().paused = true;
    }

    /// Ends it, and returns when all of it is gone.
    pub async fn kill(&self) {
        self.task.abort();
        while !self.task.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    pub fn resume(&self) {
        let mut state = self.state.borrow_mut();
        state.paused = false;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }
}

impl Drop for TaskGroup {
    fn drop(&mut self) {
        self.task.abort();
    }
}

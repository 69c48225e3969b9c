//! A thread of its own for what is shown while a run goes on: a terminal that takes nothing for a while (Ctrl-S, a
//! connection that hangs) must hold up neither a fault's end nor a stop.

use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::time::Duration;

/// What may wait to be shown; what comes then is not.
const WAITING: usize = 1_000;
/// How long the last of it may take.
const LAST: Duration = Duration::from_secs(1);

type Stroke = Box<dyn FnOnce() + Send>;

/// Shows things one after the other.
#[derive(Clone, Debug)]
pub(super) struct Pen {
    strokes: SyncSender<Stroke>,
}

impl Pen {
    pub(super) fn new() -> Pen {
        let (strokes, waiting): (_, Receiver<Stroke>) = sync_channel(WAITING);
        // Without a thread nothing is shown.
        let _ = std::thread::Builder::new()
            .name("progress".to_owned())
            .spawn(move || waiting.into_iter().for_each(|stroke| stroke()));
        Pen { strokes }
    }

    pub(super) fn show(&self, stroke: impl FnOnce() + Send + 'static) {
        // Nobody takes it: it is not shown.
        let _ = self.strokes.try_send(Box::new(stroke));
    }

    /// The last of it, waited for as long as something is taken.
    pub(super) fn last(&self, stroke: impl FnOnce() + Send + 'static) {
        let (tell, told) = channel();
        self.show(move || {
            stroke();
            // Whoever waits may have given up.
            let _ = tell.send(());
        });
        // What is not shown by then is not waited for.
        let _ = told.recv_timeout(LAST);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn what_is_shown_comes_in_order_and_what_hangs_holds_nobody_up() {
        let pen = Pen::new();
        let shown = Arc::new(Mutex::new(Vec::new()));
        let show = |n: u32| {
            let shown = shown.clone();
            move || shown.lock().unwrap().push(n)
        };
        (0..3).for_each(|n| pen.show(show(n)));
        pen.last(show(3));
        assert_eq!(*shown.lock().unwrap(), [0, 1, 2, 3]);
        let (let_go, hangs) = channel::<()>();
        // It ends when the test does.
        pen.show(move || _ = hangs.recv());
        (0..2_000).for_each(|n| pen.show(show(n)));
        pen.last(show(0));
        assert_eq!(shown.lock().unwrap().len(), 4);
        drop(let_go);
    }
}

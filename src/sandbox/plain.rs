//! The plain FIFO server of VERDICTS.md 4: one job at a time, in order of arrival, never cancelled.
//! completion = max(arrival, previous completion) + service.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::json;

use super::metrics::Counters;
use super::queue::WorkQueue;
use crate::experiment::PlainOptions;
use crate::http::{Reply, Request, reply};
use crate::random::{Key, Purpose};
use crate::units::Micros;
use crate::world::World;

pub struct Plain {
    world: World,
    options: PlainOptions,
    queue: RefCell<WorkQueue>,
    jobs: RefCell<u64>,
    counters: Counters,
}

/// The service time of job `index`: constant, or drawn from the server's own stream.
pub fn service_time(options: &PlainOptions, index: u64) -> Micros {
    if !options.exponential {
        return options.service;
    }
    let key = Key { seed: options.seed, shape: 0, index, attempt: 0, purpose: Purpose::Service };
    Micros((key.stream().exponential() * options.service.0 as f64).round() as i64)
}

impl Plain {
    pub fn new(world: World, options: PlainOptions) -> Rc<Plain> {
        let limit = options.queue.map_or(usize::MAX, |limit| limit as usize);
        let queue = RefCell::new(WorkQueue::new(1, limit));
        Rc::new(Plain { world, options, queue, jobs: RefCell::default(), counters: Counters::default() })
    }

    pub async fn handle(self: Rc<Plain>, request: Request) -> Reply {
        match request.uri().path() {
            "/livez" | "/readyz" => return reply(200, &json!({"ok": true})),
            "/metrics" => return self.counters.reply("requests", &[]),
            _ => {}
        }
        let index = self.jobs.replace_with(|jobs| *jobs + 1);
        let service = service_time(&self.options, index);
        let admitted = self.queue.borrow_mut().admit(self.world.now(), service);
        let status = match admitted {
            Some(done) => {
                self.world.sleep_until(done).await;
                200
            }
            None => 503,
        };
        self.counters.count(request.method().as_str(), status);
        reply(status, &json!({"job": index}))
    }
}

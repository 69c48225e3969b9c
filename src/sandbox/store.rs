//! The sandbox's store: rooms in memory behind a bounded worker pool, each query at a cost.
//!
//! Two stores keep each other's copy: a write is answered once the peer has it too. A peer that does
//! not answer is dropped from the path and fetches a snapshot when it starts again.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Bound;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::metrics::Counters;
use super::queue::WorkQueue;
use crate::experiment::{Flaw, SandboxOptions};
use crate::http::{Caller, Reply, Request, reply};
use crate::units::Micros;
use crate::world::World;

/// How long a write waits for the peer before going on without it.
const PEER_TIMEOUT: Micros = Micros::millis(500);
/// Rows a list gives at most, whatever its limit says.
const PAGE_LIMIT: usize = 500;
const DEFAULT_PAGE: usize = 50;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Room {
    id: u64,
    participants: BTreeSet<String>,
}

#[derive(Default)]
struct Rows {
    rooms: BTreeMap<String, Room>,
    next_id: u64,
}

/// One store process.
pub struct Store {
    world: World,
    options: SandboxOptions,
    rows: RefCell<Rows>,
    queue: RefCell<WorkQueue>,
    peer: Caller,
    peer_in_sync: RefCell<bool>,
    counters: Counters,
}

/// A write as it travels to the peer.
#[derive(Serialize, Deserialize)]
struct Write {
    method: String,
    path: String,
    /// The id that a new room gets.
    id: u64,
}

impl Store {
    pub fn new(world: World, options: SandboxOptions, peer: SocketAddr) -> Rc<Store> {
        let queue = RefCell::new(WorkQueue::new(options.workers, options.queue as usize));
        let peer = Caller::new(world.clone(), peer, 64);
        let peer_in_sync = RefCell::new(true);
        let rows = RefCell::default();
        Rc::new(Store { world, options, rows, queue, peer, peer_in_sync, counters: Counters::default() })
    }

    /// Copies the peer's rows, or makes the rooms that exist from the start where there is no peer yet.
    pub async fn load(&self) {
        let mut rows = Rows::default();
        match self.peer.get("/snapshot", PEER_TIMEOUT).await {
            Ok(answer) if answer.status == 200 => {
                rows.rooms = serde_json::from_slice(&answer.body).unwrap_or_default();
            }
            _ => {
                for id in 1..=self.options.rooms {
                    rows.rooms.insert(format!("seed-{id:06}"), Room { id, ..Room::default() });
                }
            }
        }
        rows.next_id = rows.rooms.values().map(|room| room.id).max().unwrap_or(0);
        *self.rows.borrow_mut() = rows;
    }

    pub async fn handle(self: Rc<Store>, request: Request) -> Reply {
        match request.uri().path() {
            "/livez" | "/readyz" => reply(200, &json!({"ok": true})),
            "/metrics" => self.metrics(),
            "/snapshot" => {
                // Whoever fetches a snapshot is from now on kept in step.
                *self.peer_in_sync.borrow_mut() = true;
                reply(200, &json!(self.rows.borrow().rooms))
            }
            "/replica" => match serde_json::from_slice(request.body()) {
                Ok(write) => {
                    self.apply(&write);
                    reply(200, &json!({}))
                }
                Err(error) => reply(400, &json!({"error": error.to_string()})),
            },
            _ => self.query(&request).await,
        }
    }

    fn metrics(&self) -> Reply {
        let waiting = self.queue.borrow_mut().waiting(self.world.now());
        let gauges =
            [("store_queue", waiting as u64), ("store_rooms", self.rows.borrow().rooms.len() as u64)];
        self.counters.reply("store_queries", &gauges)
    }

    async fn query(&self, request: &Request) -> Reply {
        let (method, path) = (request.method().as_str(), request.uri().path());
        let page = Page::of(request.uri().query().unwrap_or(""), &self.options);
        let cost = self.options.query_cost + self.options.row_cost * self.rows_read(path, &page) as i64;
        let admitted = self.queue.borrow_mut().admit(self.world.now(), cost);
        let Some(done) = admitted else {
            self.counters.count(method, 503);
            return reply(503, &json!({"error": "store queue is full"}));
        };
        self.world.sleep_until(done).await;
        let (status, body) = self.execute(method, path, &page);
        self.counters.count(method, status);
        if matches!(method, "PUT" | "DELETE") && status < 300 {
            let id = body["id"].as_u64().unwrap_or(0);
            let write = Write { method: method.to_owned(), path: path.to_owned(), id };
            self.apply(&write);
            self.replicate(&write).await;
        }
        reply(status, &body)
    }

    /// How many rows a query has to read; each costs.
    fn rows_read(&self, path: &str, page: &Page) -> usize {
        let rows = self.rows.borrow();
        match segments(path).as_slice() {
            ["rooms"] => page.limit.min(rows.rooms.len()),
            ["rooms", name, "participants"] => {
                rows.rooms.get(*name).map_or(1, |room| room.participants.len())
            }
            _ => 1,
        }
    }

    fn execute(&self, method: &str, path: &str, page: &Page) -> (u16, Value) {
        let rows = self.rows.borrow();
        let parts = segments(path);
        let (name, rest) = match parts.as_slice() {
            ["rooms"] if method == "GET" => return (200, page.of_rooms(&rows.rooms)),
            ["rooms", name, rest @ ..] => (*name, rest),
            _ => return (404, json!({"error": "no such table"})),
        };
        let room = rows.rooms.get(name);
        match (method, room, rest) {
            ("PUT", None, []) => (201, json!({"name": name, "id": rows.next_id + 1})),
            (_, None, _) => (404, json!({"error": "no such room"})),
            ("GET" | "PUT", Some(room), []) => (200, json!({"name": name, "id": room.id})),
            ("DELETE", Some(_), []) => (204, json!(null)),
            ("GET", Some(room), ["participants"]) => (200, json!({"participants": room.participants})),
            ("PUT" | "DELETE", Some(_), ["participants", who]) => (200, json!({"name": who})),
            _ => (405, json!({"error": "no such query"})),
        }
    }

    /// Carries out a write, the same on both stores.
    fn apply(&self, write: &Write) {
        let mut rows = self.rows.borrow_mut();
        match (write.method.as_str(), segments(&write.path).as_slice()) {
            ("PUT", ["rooms", name]) if !rows.rooms.contains_key(*name) => {
                rows.next_id = rows.next_id.max(write.id);
                rows.rooms.insert((*name).to_owned(), Room { id: write.id, ..Room::default() });
            }
            ("DELETE", ["rooms", name]) => {
                rows.rooms.remove(*name);
            }
            (method, ["rooms", name, "participants", who]) => {
                if let Some(room) = rows.rooms.get_mut(*name) {
                    match method {
                        "PUT" => room.participants.insert((*who).to_owned()),
                        _ => room.participants.remove(*who),
                    };
                }
            }
            _ => {}
        }
    }

    async fn replicate(&self, write: &Write) {
        if !*self.peer_in_sync.borrow() {
            return;
        }
        let body = serde_json::to_vec(write).expect("a write is plain data");
        let sent = self.peer.call(http::Method::POST, "/replica", body, PEER_TIMEOUT).await;
        if !sent.is_ok_and(|answer| answer.status == 200) {
            *self.peer_in_sync.borrow_mut() = false;
        }
    }
}

fn segments(path: &str) -> Vec<&str> {
    path.trim_matches('/').split('/').collect()
}

/// Which part of a list is asked for.
struct Page {
    limit: usize,
    after: String,
}

impl Page {
    fn of(query: &str, options: &SandboxOptions) -> Page {
        if options.flaws.contains(&Flaw::UnboundedList) {
            return Page { limit: usize::MAX, after: String::new() };
        }
        let parameter =
            |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let limit = parameter("limit").and_then(|v| v.parse().ok()).unwrap_or(DEFAULT_PAGE).min(PAGE_LIMIT);
        Page { limit, after: parameter("cursor").unwrap_or("").to_owned() }
    }

    fn of_rooms(&self, rooms: &BTreeMap<String, Room>) -> Value {
        let mut rest = rooms.range::<str, _>((Bound::Excluded(self.after.as_str()), Bound::Unbounded));
        let page: Vec<Value> =
            rest.by_ref().take(self.limit).map(|(name, room)| json!({"name": name, "id": room.id})).collect();
        let next = rest.next().and(page.last()).map(|last| last["name"].clone());
        json!({"rooms": page, "next": next})
    }
}

//! One shape on one shard: its compiled flow, its connections, its users' tokens.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::client::{AddressCount, Budget, Common, Pool, Program, RunFacts, Tokens, Usual};
use crate::experiment::{Experiment, HttpTarget, Shape, Start};
use crate::sample::OpId;
use crate::world::World;

pub struct ShapeRunner {
    pub index: usize,
    pub shape: Shape,
    pub program: Program,
    pub pool: Pool,
    /// Patient probes have connections of their own: they keep them for as long as the target likes.
    pub probe_pool: Pool,
    pub tokens: Tokens,
    pub facts: Arc<RunFacts>,
    /// Of the responses of all its requests.
    pub pace: Usual,
    /// Patient probes under way.
    pub probes: Cell<u64>,
    statuses: RefCell<BTreeMap<OpId, BTreeSet<u16>>>,
    /// Connections that `take_opened` has told of.
    told: Cell<u64>,
}

/// Statuses of one operation that are counted one by one.
const STATUSES: usize = 32;

impl ShapeRunner {
    pub fn new(
        world: &World,
        experiment: &Experiment,
        target: &HttpTarget,
        facts: &Arc<RunFacts>,
        budget: &Budget,
        index: usize,
    ) -> Result<ShapeRunner, String> {
        let mut shape = experiment.shapes[index].clone();
        if let Start::Closed { users, .. } = shape.arrival {
            shape.users = Some(users);
        }
        let common = common(experiment, target);
        Ok(ShapeRunner {
            index,
            program: Program::compile(&common, &shape.flow)?,
            pool: Pool::new(world.clone(), &target.addresses, shape.connections, budget),
            probe_pool: Pool::new(
                world.clone(),
                &target.addresses,
                Some(budget.of_probes(experiment.shapes.len(), target.addresses.len())),
                budget,
            ),
            tokens: Tokens::new(experiment.target.auth.as_ref(), shape.users.is_some())?,
            facts: facts.clone(),
            pace: Usual::default(),
            probes: Cell::new(0),
            statuses: RefCell::default(),
            told: Cell::new(0),
            shape,
        })
    }

    /// The status under which an answer is counted: a target that has ever new ones is counted under 0 from some
    /// number of them on.
    pub fn counted_as(&self, op: OpId, status: u16) -> u16 {
        let mut all = self.statuses.borrow_mut();
        let known = all.entry(op).or_default();
        if known.len() < STATUSES {
            known.insert(status);
        }
        if known.contains(&status) { status } else { 0 }
    }

    /// Closes connections that nobody has needed for a while.
    pub fn close_unused(&self) {
        self.pool.close_unused();
        self.probe_pool.close_unused();
    }

    /// Connections that were opened since this was last asked.
    pub fn take_opened(&self) -> u64 {
        let opened = self.addresses().iter().map(|address| address.connections).sum();
        opened - self.told.replace(opened)
    }

    /// What became of each address of the target, patient probes included.
    pub fn addresses(&self) -> Vec<AddressCount> {
        let mut all = self.pool.addresses();
        for more in self.probe_pool.addresses() {
            match all.iter_mut().find(|count| count.address == more.address) {
                Some(count) => count.add(&more),
                None => all.push(more),
            }
        }
        all
    }
}

/// What all requests of an experiment share.
pub fn common<'a>(experiment: &'a Experiment, target: &'a HttpTarget) -> Common<'a> {
    Common { authority: &target.authority, base_path: &target.base_path, headers: &experiment.target.headers }
}

/// Which shard does what: a pure function of plan and shard count.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    pub shard: u32,
    pub shards: u32,
}

impl Share {
    /// Whether arrival `index` of the shape belongs to this shard. A user's arrivals all lie on one
    /// shard; a shape with a shared cap or pool lies on one shard as a whole.
    pub fn owns(self, shape_index: usize, shape: &Shape, index: u64) -> bool {
        let shards = u64::from(self.shards);
        let key = if shape.in_flight_cap.is_some() || shape.connections.is_some() {
            shape_index as u64
        } else {
            shape.users.map_or(index, |users| index % users.max(1))
        };
        key % shards == u64::from(self.shard)
    }
}

//! One shape on one shard: its compiled flow, its connections, its users' tokens.

use std::cell::Cell;
use std::sync::Arc;

use crate::client::{Common, Pool, Program, RunFacts, Tokens};
use crate::experiment::{Experiment, HttpTarget, Shape, Start};
use crate::world::World;

pub struct ShapeRunner {
    pub index: usize,
    pub shape: Shape,
    pub program: Program,
    pub pool: Pool,
    pub tokens: Tokens,
    pub facts: Arc<RunFacts>,
    /// Patient probes under way.
    pub probes: Cell<u64>,
}

impl ShapeRunner {
    pub fn new(
        world: &World,
        experiment: &Experiment,
        target: &HttpTarget,
        facts: &Arc<RunFacts>,
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
            pool: Pool::new(world.clone(), target.addresses.clone(), shape.connections),
            tokens: Tokens::new(experiment.target.auth.as_ref(), shape.users.is_some())?,
            facts: facts.clone(),
            probes: Cell::new(0),
            shape,
        })
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

//! What a flow's templates can see: `user`, `i`, `run`, `data.NAME`, `setup.NAME`, `hex(n)`, captures
//! and loop names.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use minijinja::Value;
use minijinja::value::{Enumerator, Object};

use super::kept::{Shelf, Taken};
use crate::experiment::Data;
use crate::random::{Key, Purpose};

/// What all flows of a run share.
#[derive(Clone, Debug)]
pub struct RunFacts {
    pub seed: u64,
    /// A short id, unique to the run.
    pub run: String,
    pub data: Vec<(String, Data)>,
    /// What setup captured.
    pub setup: BTreeMap<String, Value>,
    /// Room for what flows capture.
    pub room: Shelf,
}

/// A value of an answer, and its room where it takes up much.
#[derive(Debug)]
pub struct Captured {
    pub name: String,
    pub value: Value,
    pub room: Option<Taken>,
}

/// The variables of one flow.
#[derive(Clone, Debug)]
pub struct Vars {
    facts: Arc<RunFacts>,
    shape: u32,
    pub index: u64,
    pub user: u64,
    /// Captures and loop names; they hide nothing else (the plan refuses that).
    pub own: BTreeMap<String, Value>,
    /// Room of those captures that take up much.
    rooms: BTreeMap<String, Arc<Taken>>,
    /// Draws made by `hex` so far, so that two calls differ.
    drawn: Arc<Mutex<u32>>,
}

impl Vars {
    pub fn new(facts: Arc<RunFacts>, shape: u32, index: u64, user: u64) -> Vars {
        Vars {
            facts,
            shape,
            index,
            user,
            own: BTreeMap::new(),
            rooms: BTreeMap::new(),
            drawn: Arc::default(),
        }
    }

    /// Keeps a captured value in the place of the one before it.
    pub fn learn(&mut self, captured: Captured) {
        let Captured { name, value, room } = captured;
        match room {
            Some(room) => _ = self.rooms.insert(name.clone(), Arc::new(room)),
            None => _ = self.rooms.remove(&name),
        }
        self.own.insert(name, value);
    }

    /// Where what this flow captures finds room.
    pub(super) fn room(&self) -> Shelf {
        self.facts.room.clone()
    }

    pub fn key(&self, attempt: u32, purpose: Purpose) -> Key {
        Key { seed: self.facts.seed, shape: self.shape, index: self.index, attempt, purpose }
    }

    fn data(&self, name: &str) -> Option<Value> {
        let position = self.facts.data.iter().position(|(n, _)| n == name)?;
        let mut draws = self.key(position as u32, Purpose::Data).stream();
        Some(match &self.facts.data[position].1 {
            Data::Sequence { start, step } => Value::from(start + step * self.index as i64),
            Data::List(values) if values.is_empty() => return None,
            Data::List(values) => Value::from_serialize(&values[self.index as usize % values.len()]),
            Data::Pick(values) => {
                Value::from_serialize(values.get(draws.below(values.len() as u64) as usize)?)
            }
            Data::Random { from, to } => {
                Value::from(from + draws.below((to - from).unsigned_abs() + 1) as i64)
            }
        })
    }

    fn hex(&self) -> Value {
        let (vars, drawn) = (self.clone(), self.drawn.clone());
        Value::from_function(move |digits: u32| -> String {
            let mut drawn = drawn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *drawn += 1;
            let mut draws = vars.key(*drawn, Purpose::Template).stream();
            (0..digits.min(64)).map(|_| char::from(b"0123456789abcdef"[draws.below(16) as usize])).collect()
        })
    }
}

impl Object for Vars {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        match name {
            "user" => Some(Value::from(self.user)),
            "i" => Some(Value::from(self.index)),
            "run" => Some(Value::from(self.facts.run.as_str())),
            "setup" => Some(Value::from_iter(self.facts.setup.iter().map(|(k, v)| (k.as_str(), v.clone())))),
            "data" => Some(Value::from_object(DataVars(self.clone()))),
            "hex" => Some(self.hex()),
            _ => self.own.get(name).cloned(),
        }
    }
}

#[derive(Debug)]
struct DataVars(Arc<Vars>);

impl Object for DataVars {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.data(key.as_str()?)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.facts.data.iter().map(|(name, _)| Value::from(name.as_str())).collect())
    }
}

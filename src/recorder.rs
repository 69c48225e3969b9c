//! The recorder: every record goes through it into the history, and into the fold that progress and
//! live rules read. Nothing in a report comes from elsewhere.

use std::cell::{Ref, RefCell};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::rc::Rc;

use crate::history::HistoryWriter;
use crate::record::{Header, Record, ServiceEvent, SetupEvent};
use crate::sample::{Kind, OpId};
use crate::timeline::Timeline;
use crate::units::Micros;
use crate::world::World;

/// Samples kept per operation, kind and status over all shards.
const ERROR_SAMPLES: u32 = 3;

struct Inner {
    world: World,
    /// The start of the load; none before `begin`.
    zero: Option<Micros>,
    history: HistoryWriter<Box<dyn Write>>,
    timeline: Option<Timeline>,
    /// What happened before the header could be written.
    early: Vec<Record>,
    samples: BTreeMap<(OpId, Kind, u16), u32>,
    failed: Option<io::Error>,
}

/// Handle to a run's recorder.
#[derive(Clone)]
pub struct Recorder(Rc<RefCell<Inner>>);

impl Recorder {
    /// Records into `out`; what comes before `begin` is kept until then, and its times are shifted so
    /// that they count from the start of the load.
    pub fn new(world: World, out: Box<dyn Write>) -> Recorder {
        Recorder(Rc::new(RefCell::new(Inner {
            world,
            zero: None,
            history: HistoryWriter::new(out),
            timeline: None,
            early: Vec::new(),
            samples: BTreeMap::new(),
            failed: None,
        })))
    }

    /// The time for what happens now: since the start of the load, or provisional before that is known.
    pub fn now(&self) -> Micros {
        let inner = self.0.borrow();
        inner.world.now() - inner.zero.unwrap_or(Micros::ZERO)
    }

    /// Writes the header and whatever was recorded before it; the load starts at `zero` of the world
    /// that was handed in.
    pub fn begin(&self, zero: Micros, header: Header) {
        let mut inner = self.0.borrow_mut();
        inner.zero = Some(zero);
        inner.timeline = Some(Timeline::new(header.clone()));
        inner.append(vec![Record::Header(Box::new(header))]);
        let mut early = std::mem::take(&mut inner.early);
        drop(inner);
        early.iter_mut().for_each(|record| shift(record, zero));
        self.write(early);
    }

    pub fn write(&self, mut records: Vec<Record>) {
        let mut inner = self.0.borrow_mut();
        if inner.timeline.is_none() {
            inner.early.extend(records);
            return;
        }
        records.retain(|record| inner.wanted(record));
        if let Some(timeline) = &mut inner.timeline {
            records.iter().for_each(|record| timeline.apply(record));
        }
        inner.append(records);
    }

    pub fn note(&self, record: Record) {
        self.write(vec![record]);
    }

    /// The fold so far; none before the load begins.
    pub fn timeline(&self) -> Option<Ref<'_, Timeline>> {
        Ref::filter_map(self.0.borrow(), |inner| inner.timeline.as_ref()).ok()
    }

    /// Whether writing has failed: nothing more is recorded.
    pub fn has_failed(&self) -> bool {
        self.0.borrow().failed.is_some()
    }

    /// The first error of writing, if any: the disk is full, the folder is gone.
    pub fn take_error(&self) -> Option<io::Error> {
        self.0.borrow_mut().failed.take()
    }
}

/// Moves the time of a record that was made before the load.
fn shift(record: &mut Record, zero: Micros) {
    match record {
        Record::Service(ServiceEvent { at, .. })
        | Record::Setup(SetupEvent { at, .. })
        | Record::Note { at, .. } => *at = *at - zero,
        _ => {}
    }
}

impl Inner {
    fn append(&mut self, records: Vec<Record>) {
        // What comes after a torn line would make all of the history unreadable.
        if self.failed.is_none() {
            self.failed = self.history.append(&records).err();
        }
    }

    /// Shards keep three samples of an error each; the history keeps three of all.
    fn wanted(&mut self, record: &Record) -> bool {
        let Record::Error(sample) = record else { return true };
        let seen = self.samples.entry((sample.op, sample.kind, sample.status)).or_default();
        *seen += 1;
        *seen <= ERROR_SAMPLES
    }
}

//! The recorder: every record goes through it into the history, and into the fold that progress and
//! live rules read. Nothing in a report comes from elsewhere.

use std::cell::{Ref, RefCell};
use std::io::{self, Write};
use std::rc::Rc;

use crate::history::HistoryWriter;
use crate::outline::Outline;
use crate::record::{Header, Record, ServiceEvent, SetupEvent};
use crate::sampling::Sampling;
use crate::timeline::Timeline;
use crate::units::Micros;
use crate::world::World;

/// Cells that live rules and progress need beside the longest rule and deadline.
const KEPT: u32 = 60;

struct Inner {
    world: World,
    /// The start of the load; none before `begin`.
    zero: Option<Micros>,
    history: HistoryWriter<Box<dyn Write>>,
    timeline: Option<Timeline>,
    /// What happened before the header could be written.
    early: Vec<Record>,
    sampling: Option<Sampling>,
    /// Cells of the fold that are kept behind the newest.
    reach: u32,
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
            sampling: None,
            reach: 0,
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
        inner.sampling = Some(Sampling::new(&header.outline));
        inner.reach = reach(&header.outline);
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
        let reach = inner.reach;
        if let Some(timeline) = &mut inner.timeline {
            records.iter().for_each(|record| timeline.apply(record));
            timeline.keep(reach);
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

    /// Returns when all of it is written, or cannot be.
    pub fn finish(&self) {
        let mut inner = self.0.borrow_mut();
        if inner.failed.is_none() {
            inner.failed = inner.history.finish().err();
        }
    }

    /// The first error of writing, if any: the disk is full, the folder is gone.
    pub fn take_error(&self) -> Option<io::Error> {
        self.finish();
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

    /// Shards keep some samples of an error each; the history keeps as many of all.
    fn wanted(&mut self, record: &Record) -> bool {
        let (Record::Error(sample), Some(sampling)) = (record, &mut self.sampling) else { return true };
        let text = format!("{} {}", sample.detail, sample.body);
        sampling.wants(sample.op, (sample.kind, sample.status), sample.at, &text)
    }
}

/// How many cells live rules look back on: the longest of them, as long as operations may take before it is known how
/// they end, for two rounds of users who wait for that, and to the burst before.
fn reach(outline: &Outline) -> u32 {
    let rules = outline.abort.iter().chain(&outline.steady).filter_map(|rule| rule.window).max();
    let deadline = outline.operations.iter().map(|o| o.deadline).max();
    let apart = outline.shapes.iter().filter_map(|shape| shape.period).max();
    let longest = rules.unwrap_or_default() + deadline.unwrap_or_default() * 2 + apart.unwrap_or_default();
    u32::try_from(longest.0 / outline.cell.0.max(1)).unwrap_or(u32::MAX - KEPT) + KEPT
}

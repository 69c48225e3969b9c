//! What the tests of whole runs share: experiments from text, runs in virtual time, and what came of
//! them. Each test crate uses its part of it.
#![allow(dead_code)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use squall::conductor::{self, Failure, Outcome, Setting};
use squall::diagnose::render;
use squall::experiment::{Experiment, Flags, resolve};
use squall::histogram::Hist;
use squall::record::{FaultStage, Record, Touched};
use squall::recorder::Recorder;
use squall::sample::{Kind, OpId, Outcome as Ended};
use squall::timeline::{Cells, Tally, Timeline};
use squall::units::Micros;
use squall::verdict::{JudgedObjective, Judgement, judge};
use squall::world::{World, run_virtual};
use squall::{chaos_plan, history, profile};

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn shipped(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// YAML files of a folder that have nothing to do with LiveKit, by name.
pub fn sandbox_files(folder: &str) -> Vec<String> {
    let files = std::fs::read_dir(root().join(folder)).unwrap();
    let mut names: Vec<String> = files.map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| Path::new(name).extension().is_some_and(|e| e == "yaml"));
    names.retain(|name| !name.starts_with("livekit"));
    names.sort();
    names.into_iter().map(|name| format!("{folder}/{name}")).collect()
}

/// Flags of a virtual run with seed 7.
pub fn flags() -> Flags {
    Flags { seed: 7, virtual_time: true, ..Flags::default() }
}

fn lookup(host: &str, _: u16) -> Result<Vec<SocketAddr>, String> {
    Err(format!("no name is looked up in this test: {host}"))
}

/// Resolves texts; what is wrong with them is the panic's message.
pub fn experiment(profile: &str, chaos: Option<&str>, flags: &Flags) -> Experiment {
    try_experiment(profile, chaos, flags).unwrap_or_else(|text| panic!("{text}"))
}

/// The same, what is wrong as text.
pub fn try_experiment(profile: &str, chaos: Option<&str>, flags: &Flags) -> Result<Experiment, String> {
    let env = BTreeMap::new();
    let profile = profile::read("profile.yaml", profile, &env);
    let chaos = chaos.map(|text| chaos_plan::read("chaos.yaml", text, &env));
    resolve(&profile, chaos.as_ref(), flags, &lookup).map_err(|problems| render(&problems, false))
}

/// A writer that its maker can still read.
#[derive(Clone, Default)]
pub struct Shared(Rc<RefCell<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A run and what came of it.
pub struct Ran {
    pub ended: Result<Outcome, Failure>,
    pub history: Vec<u8>,
    pub timeline: Timeline,
    pub judgement: Judgement,
}

/// Runs texts in virtual time with seed 7 on one shard.
pub fn run(profile: &str, chaos: &str) -> Ran {
    conducted(experiment(profile, Some(chaos).filter(|text| !text.is_empty()), &flags()))
}

pub fn conducted(experiment: Experiment) -> Ran {
    conducted_beside(experiment, 1, |_| {})
}

/// Conducts an experiment in virtual time; `beside` is called in its world first, to start what else
/// is to happen there.
pub fn conducted_beside(experiment: Experiment, shards: u32, beside: impl FnOnce(&World)) -> Ran {
    let written = Shared::default();
    let (_keep, interrupts) = tokio::sync::watch::channel(0);
    let setting =
        Setting { shards, files: None, origin: None, run: "test".into(), interrupts, host: String::new() };
    let out = Box::new(written.clone());
    let ended = run_virtual(|world| {
        let recorder = Recorder::new(world.clone(), out);
        async move {
            beside(&world);
            conductor::run(world, Arc::new(experiment), setting, recorder, &mut ()).await
        }
    });
    let history = written.0.take();
    let timeline = history::read(&history[..]).unwrap_or_else(|e| panic!("{e} ({ended:?})"));
    let judgement = judge(&timeline);
    Ran { ended, history, timeline, judgement }
}

impl Ran {
    pub fn records(&self) -> Vec<Record> {
        let lines = self.history.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
    }

    /// Exit code of the judgement.
    pub fn exit(&self) -> u8 {
        self.judgement.exit.code
    }

    /// The times of a fault: asked, effective, verified.
    pub fn fault(&self, name: &str) -> [Option<Micros>; 3] {
        [FaultStage::Asked, FaultStage::Effective, FaultStage::Verified].map(|stage| self.stage(name, stage))
    }

    pub fn stage(&self, name: &str, stage: FaultStage) -> Option<Micros> {
        let mut events = self.timeline.faults.iter().filter(|e| e.fault == name && e.stage == stage);
        let at = events.next().map(|e| e.at);
        assert!(events.next().is_none(), "{name} is told twice to be {stage:?}");
        at
    }

    pub fn touched(&self, name: &str) -> Touched {
        let mut events = self.timeline.faults.iter().filter(|e| e.fault == name);
        events.find_map(|e| e.touched.clone()).unwrap_or_default()
    }

    pub fn op(&self, name: &str) -> OpId {
        op(&self.timeline, name)
    }

    pub fn tally(&self, name: &str) -> Tally {
        tally(&self.timeline, name)
    }

    /// Operations by name, kind and status; none of them left out.
    pub fn outcomes(&self, name: &str) -> BTreeMap<(Kind, u16), u64> {
        outcomes(&self.timeline, name)
    }

    pub fn objective(&self, text: &str) -> &JudgedObjective {
        self.judgement.objectives.iter().find(|o| o.text == text).unwrap_or_else(|| panic!("no `{text}`"))
    }

    /// Everything the reader of a failed test wants to know first.
    pub fn story(&self) -> String {
        let j = &self.judgement;
        let faults: Vec<String> = j
            .faults
            .iter()
            .map(|f| format!("{}: {:?} {} {:?}", f.name, f.problem, f.detail, f.touched))
            .collect();
        let objectives: Vec<String> =
            j.objectives.iter().map(|o| format!("{:?} {}: {}", o.word, o.text, o.reason)).collect();
        format!(
            "{:?} {}\n{}\n{}\n{}\n{}\n{}",
            j.verdict,
            j.summary.verdict,
            j.summary.recovery.as_deref().unwrap_or("-"),
            j.summary.generator,
            objectives.join("\n"),
            faults.join("\n"),
            j.notes.join("\n")
        )
    }
}

pub fn op(timeline: &Timeline, name: &str) -> OpId {
    let found = timeline.operations().find(|(_, o)| o.name == name);
    found.map(|(op, _)| op).unwrap_or_else(|| panic!("no operation {name}"))
}

/// One operation over the whole run.
pub fn tally(timeline: &Timeline, name: &str) -> Tally {
    timeline.tally(op(timeline, name), &timeline.all_cells())
}

pub fn outcomes(timeline: &Timeline, name: &str) -> BTreeMap<(Kind, u16), u64> {
    let tally = tally(timeline, name);
    tally.outcomes.iter().map(|(Ended { kind, status }, n)| ((*kind, *status), *n)).collect()
}

pub fn cells(range: std::ops::Range<u32>) -> Cells {
    range.collect()
}

/// A quantile in microseconds.
pub fn quantile(hist: &Hist, q: f64) -> f64 {
    hist.quantile(q).expect("nothing was measured").0 as f64
}

/// Draws of a test: a number in 0..1 each.
pub fn drawn(seed: u64) -> impl Fn() -> f64 + Clone {
    let n = Rc::new(std::cell::Cell::new(seed * 7_919));
    move || {
        n.set(n.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
        (n.get() >> 11) as f64 / (1u64 << 53) as f64
    }
}

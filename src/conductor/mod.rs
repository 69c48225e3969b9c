//! The conductor: one run from bringing the system up to taking it down, on the world handed in.
//!
//! Load, faults and rules go side by side on one clock; everything that happens goes to the recorder.
//! What is shown meanwhile and what is judged afterwards is not its business.

mod exchange;
mod rules;
mod scrape;
mod script;
mod system;
mod trial;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

pub use script::Show;
pub use system::{Files, System, journal_of};
pub use trial::trial;

use crate::chaos::{Controller, Reach, Urgency, Watcher};
use crate::client::{RunFacts, Shelf};
use crate::engine::{self, Batch, Load, Share};
use crate::exit;
use crate::experiment::{Experiment, requests};
use crate::record::{End, Header, How, LoadChange, LoadEvent, Record, SetupEvent};
use crate::recorder::Recorder;
use crate::timeline::Timeline;
use crate::units::{Micros, grouped};
use crate::world::{Origin, World};
use rules::Rules;
use script::{Script, ScriptError};

/// Between the end of setup and the start of the load: shards get ready.
const HEAD_START: Micros = Micros::millis(200);
/// By this part of a cell after its end all shards have told of it: who looks earlier misses its last cell.
const TOLD: i64 = 20;

/// Why a run did not take place, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nothing was sent: exit 104.
    #[error("{0}")]
    Configuration(String),
    /// Exit 107.
    #[error("{0}")]
    Runtime(String),
    /// Exit 105: the user asked to stop before the load began, or something failed besides.
    #[error("{0}")]
    Interrupted(String),
    /// Exit 110: something failed, and a fault could not be undone either.
    #[error("{0}")]
    NotUndone(String),
}

impl Failure {
    /// What the process exits with.
    pub fn exit(&self) -> u8 {
        match self {
            Failure::Configuration(_) => exit::BAD_CONFIGURATION,
            Failure::Runtime(_) => exit::RUNTIME_ERROR,
            Failure::Interrupted(_) => exit::INTERRUPTED,
            Failure::NotUndone(_) => exit::NOT_UNDONE,
        }
    }
}

/// How a run is carried out.
pub struct Setting {
    pub shards: u32,
    /// None in virtual time: nothing outside this process is touched.
    pub files: Option<Files>,
    /// The clock that the shards' threads share; none in virtual time.
    pub origin: Option<Origin>,
    /// A short id, unique to the run.
    pub run: String,
    /// How often the user asked to stop: once, end in good order; twice, heal and leave.
    pub interrupts: watch::Receiver<u32>,
    /// Cores and kernel, for the header; empty in virtual time.
    pub host: String,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub how: How,
    /// A fault could not be undone.
    pub not_undone: bool,
}

/// How and why the load ended.
struct LoadEnd {
    how: How,
    /// A sentence; empty if it ended as planned.
    detail: String,
}

impl LoadEnd {
    fn failed(detail: String) -> LoadEnd {
        LoadEnd { how: How::Failed, detail }
    }
}

/// Who looks on while a run goes on.
pub trait Watch {
    /// What happens before the load begins and after it has ended.
    fn stage(&mut self, what: &str);
    /// What whoever looks on should have read.
    fn remark(&mut self, what: &str);
    /// The fold, once a second while the load runs.
    fn look(&mut self, fold: &Timeline, now: Micros);
}

/// Nobody looks on.
impl Watch for () {
    fn stage(&mut self, _: &str) {}
    fn remark(&mut self, _: &str) {}
    fn look(&mut self, _: &Timeline, _: Micros) {}
}

/// Conducts one run.
pub async fn run(
    world: World,
    experiment: Arc<Experiment>,
    setting: Setting,
    recorder: Recorder,
    watch: &mut dyn Watch,
) -> Result<Outcome, Failure> {
    System::hooks_are_there(&experiment)?;
    let services = system::to_start(&experiment);
    if !services.is_empty() {
        watch.stage(&format!("starting {}", services.join(", ")));
    } else if !experiment.links.is_empty() {
        watch.stage("waiting for the target, as its links are there now");
    }
    let mut times = 0;
    let once_more = async || {
        times += 1;
        asked(&setting, times).await;
    };
    let system = System::start(&world, &experiment, &recorder, setting.files.as_ref(), once_more).await?;
    let dead_links = tokio::select! {
        said = system.dead_links(&experiment) => said,
        () = asked(&setting, 1) => Vec::new(),
    };
    for text in dead_links {
        watch.remark(&text);
        recorder.note(Record::Note { at: world.now(), text });
    }
    let run = Run { world, experiment, setting, recorder, system };
    let result = run.to_its_end(watch).await;
    run.system.stop(asked(&run.setting, 2)).await;
    result
}

/// Returns when the user has asked to stop so many times. What it waits for is let go by then: as long as somebody holds
/// that, whoever asks once more waits, and with it all of squall.
fn asked(setting: &Setting, times: u32) -> impl Future<Output = ()> + use<> {
    let mut interrupts = setting.interrupts.clone();
    async move {
        // Where nobody can ask, nobody does.
        if interrupts.wait_for(|n| *n >= times).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Values by name.
type Captured = BTreeMap<String, minijinja::Value>;

struct Run {
    world: World,
    experiment: Arc<Experiment>,
    setting: Setting,
    recorder: Recorder,
    system: System,
}

impl Run {
    async fn to_its_end(&self, watch: &mut dyn Watch) -> Result<Outcome, Failure> {
        let setup = &self.experiment.setup.steps;
        if !setup.is_empty() {
            watch.stage(&format!("setup: {} requests", grouped(requests(setup).round() as u64)));
        }
        let facts = match self.set_up().await {
            Ok(facts) => facts,
            Err((failure, captured)) => {
                self.begin(self.world.now());
                self.tear_down(Arc::new(self.facts(captured))).await;
                let interrupted = matches!(failure, Failure::Interrupted(_));
                let how = if interrupted { How::Interrupted } else { How::Failed };
                let exit = matches!(failure, Failure::Configuration(_)).then_some(exit::BAD_CONFIGURATION);
                self.end(&LoadEnd { how, ..LoadEnd::failed(failure.to_string()) }, exit);
                return Err(failure);
            }
        };
        let zero = self.world.now() + HEAD_START;
        self.begin(zero);
        let outcome = self.load(self.world.rebased(zero), &facts, watch).await;
        if !self.experiment.teardown.steps.is_empty() {
            watch.stage("teardown");
        }
        let cut_short = self.tear_down(facts).await;
        match outcome {
            Ok((mut end, not_undone)) => {
                let failed = end.how == How::Failed;
                let cut_short = cut_short.filter(|_| !failed);
                let sentence = failed.then(|| end.detail.clone()).or(cut_short.clone());
                if let Some(why) = cut_short {
                    (end.how, end.detail) = (How::Interrupted, why);
                }
                self.end(&end, not_undone.then_some(exit::NOT_UNDONE));
                self.told(Outcome { how: end.how, not_undone }, sentence)
            }
            Err(failure) => {
                self.end(&LoadEnd::failed(failure.to_string()), None);
                Err(failure)
            }
        }
    }

    /// An end that was no good one has a sentence; the worst of its reasons decides the exit code.
    fn told(&self, outcome: Outcome, sentence: Option<String>) -> Result<Outcome, Failure> {
        let unwritten = self.recorder.take_error().map(|error| cannot_record(&error));
        let Some(why) = unwritten.or(sentence) else { return Ok(outcome) };
        Err(match outcome {
            Outcome { not_undone: true, .. } => Failure::NotUndone(why),
            Outcome { how: How::Interrupted, .. } => Failure::Interrupted(why),
            _ => Failure::Runtime(why),
        })
    }

    fn facts(&self, setup: Captured) -> RunFacts {
        let (seed, run) = (self.experiment.outline.seed, self.setting.run.clone());
        RunFacts { seed, run, data: self.experiment.data.clone(), setup, room: Shelf::of_run() }
    }

    /// The facts with what setup captured; if it failed, what its good steps had captured until then.
    async fn set_up(&self) -> Result<Arc<RunFacts>, (Failure, Captured)> {
        let facts = Arc::new(self.facts(Captured::new()));
        let setup = &self.experiment.setup;
        if setup.steps.is_empty() {
            return Ok(facts);
        }
        let began = self.world.now();
        let limits = (setup.retries, setup.within);
        let (world, target) = (&self.world, &self.system.target);
        let script = Script::new(world, &self.experiment, target, facts, &setup.steps, limits, false);
        let script = script.map_err(|why| (Failure::Configuration(why), Captured::new()))?;
        let script = Rc::new(script);
        let result = tokio::select! {
            biased;
            () = asked(&self.setting, 1) => {
                Err(Failure::Interrupted("stopped during setup".to_owned()))
            }
            result = script.run() => result.map_err(|error| match error {
                ScriptError::NeverAnswered(why) => {
                    Failure::Configuration(format!("the target never answered in setup: {why}"))
                }
                ScriptError::Failed(why) => Failure::Runtime(format!("setup failed: {why}")),
                ScriptError::Unsent(why) => Failure::Configuration(format!("a request of setup cannot be made: {why}")),
            }),
        };
        let captured = script.captured.borrow().clone();
        if let Err(failure) = result {
            return Err((failure, captured));
        }
        let (requests, retried) = (script.requests.get(), script.retried.get());
        let at = self.recorder.now();
        let took = self.world.now() - began;
        self.recorder.note(Record::Setup(SetupEvent { at, took, requests, retried }));
        Ok(Arc::new(self.facts(captured)))
    }

    fn begin(&self, zero: Micros) {
        let outline = self.experiment.outline.clone();
        let wall = self.world.wall() + (zero - self.world.now()).0;
        let header = Header {
            version: crate::record::VERSION,
            squall: env!("CARGO_PKG_VERSION").to_owned(),
            started: crate::units::rfc3339(wall),
            pacer: self.world.pacer().kind(),
            shards: self.setting.shards,
            host: self.setting.host.clone(),
            outline,
            experiment: self.experiment.redacted(),
        };
        self.recorder.begin(zero, header);
    }

    /// `exit` is the exit code, where nothing else in the history tells it.
    fn end(&self, end: &LoadEnd, exit: Option<u8>) {
        let at = self.recorder.now();
        let detail = crate::redact::redact(&end.detail, &self.experiment.secrets);
        self.recorder.note(Record::End(End { at, how: end.how, detail, exit }));
    }

    /// Load, faults and rules; `world`'s zero is the start of the load. Gives back whether a fault could
    /// not be undone, too.
    async fn load(
        &self,
        world: World,
        facts: &Arc<RunFacts>,
        watch: &mut dyn Watch,
    ) -> Result<(LoadEnd, bool), Failure> {
        let (stop, stopped) = watch::channel(false);
        let (urgency, urged) = watch::channel(Urgency::None);
        let mut records = self.start_shards(&world, facts, stopped)?;
        let reach = Reach { world: world.clone(), ..self.system.reach.clone() };
        // A keeper that carries no link does nothing to the load.
        let carries = !self.experiment.links.is_empty();
        let watcher = carries.then(|| Watcher::new(world.clone(), reach.port.clone(), self.recorder.clone()));
        let (gate, steady) = watch::channel(false);
        let controller =
            Controller::new(reach, self.experiment.clone(), self.recorder.clone(), urged, steady);
        let faults = world.spawn(controller.clone().run());
        let mut beside: Vec<_> = watcher.iter().map(|w| world.spawn(w.clone().watch())).collect();
        beside.extend(self.experiment.target.metrics.clone().map(|metrics| {
            let (recorder, target) = (self.recorder.clone(), self.system.target.clone());
            let secrets = self.experiment.secrets.clone();
            world.spawn(scrape::scrape(world.clone(), recorder, target, metrics, secrets))
        }));
        beside.extend(self.system.reach.services.values().map(|s| world.spawn(s.clone().watch_health())));
        let end = self.until_load_ends(&world, &mut records, &stop, (&urgency, &gate), watch).await;
        urgency.send_replace(Urgency::Heal);
        let healing = async {
            let healed = faults.await;
            controller.go_back().await;
            healed
        };
        tokio::pin!(healing);
        let healed = tokio::select! {
            biased;
            healed = &mut healing => healed,
            () = asked(&self.setting, 2) => {
                urgency.send_replace(Urgency::Leave);
                healing.await
            }
        };
        beside.iter().for_each(tokio::task::JoinHandle::abort);
        if let Some(watcher) = watcher {
            watcher.look().await;
        }
        Ok((end, healed.is_err() || !controller.undone()))
    }

    async fn until_load_ends(
        &self,
        world: &World,
        records: &mut mpsc::UnboundedReceiver<Batch>,
        stop: &watch::Sender<bool>,
        (urgency, gate): (&watch::Sender<Urgency>, &watch::Sender<bool>),
        watch: &mut dyn Watch,
    ) -> LoadEnd {
        let mut rules = Rules::new(&self.experiment.outline);
        gate.send_replace(rules.is_steady());
        let mut interrupts = self.setting.interrupts.clone();
        let mut ended = LoadEnd { how: How::Complete, detail: String::new() };
        // The first reason counts, but for squall's own failure.
        let cut_short = |ended: &mut LoadEnd, how, detail| {
            if ended.how == How::Complete || how == How::Failed {
                *ended = LoadEnd { how, detail };
                if !stop.send_replace(true) {
                    let (at, change) = (world.now(), LoadChange::Stopped);
                    self.recorder.note(Record::Load(LoadEvent { at, change }));
                }
                urgency.send_replace(Urgency::Heal);
            }
        };
        let cell = self.experiment.outline.cell;
        let mut tick = cell + Micros(cell.0 / TOLD);
        let mut shards = self.setting.shards;
        let mut asked = 0;
        loop {
            tokio::select! {
                biased;
                _ = interrupts.changed(), if asked < 2 => {
                    asked = *interrupts.borrow_and_update();
                    if asked > 0 {
                        cut_short(&mut ended, How::Interrupted, "asked to stop".to_owned());
                    }
                    if asked > 1 {
                        break;
                    }
                }
                batch = records.recv() => match batch {
                    None => {
                        // Shards that are left ended without a word.
                        cut_short(&mut ended, How::Failed, engine::PANICKED.to_owned());
                        break;
                    }
                    Some(Batch::Records(batch)) => self.recorder.write(batch),
                    Some(Batch::Ended) => {
                        shards -= 1;
                        if shards == 0 {
                            break;
                        }
                    }
                    Some(Batch::Failed(error)) => cut_short(&mut ended, How::Failed, error),
                },
                () = world.sleep_until(tick) => {
                    let now = world.now();
                    let late = now - tick;
                    tick = (tick + cell).max(now);
                    let decided = self.recorder.timeline().and_then(|fold| {
                        watch.look(&fold, now);
                        rules.look(&fold, now, late)
                    });
                    gate.send_replace(rules.is_steady() && ended.how == How::Complete);
                    if self.recorder.has_failed() && ended.how == How::Complete {
                        cut_short(&mut ended, How::Failed, "the history could not be written".to_owned());
                    }
                    if let (Some((event, how)), How::Complete) = (decided, ended.how) {
                        cut_short(&mut ended, how, format!("{}: {}", event.text, event.measured));
                        self.recorder.note(Record::Rule(event));
                    }
                }
            }
        }
        ended
    }

    /// One thread per shard; in virtual time, tasks.
    fn start_shards(
        &self,
        world: &World,
        facts: &Arc<RunFacts>,
        stop: watch::Receiver<bool>,
    ) -> Result<mpsc::UnboundedReceiver<Batch>, Failure> {
        let (tell, told) = mpsc::unbounded_channel();
        for shard in 0..self.setting.shards {
            let load = Load {
                experiment: self.experiment.clone(),
                target: self.system.target.clone(),
                facts: facts.clone(),
                share: Share { shard, shards: self.setting.shards },
                stop: stop.clone(),
                records: tell.clone(),
            };
            match self.setting.origin {
                None => {
                    world.spawn(engine::run(world.clone(), load));
                }
                Some(origin) => {
                    let zero = world.zero();
                    let run = move || {
                        crate::world::run_real(origin, |world| engine::run(world.rebased(zero), load));
                    };
                    let thread = std::thread::Builder::new().name(format!("shard-{shard}"));
                    thread.spawn(run).map_err(|e| Failure::Runtime(format!("no thread for a shard: {e}")))?;
                }
            }
        }
        Ok(told)
    }

    /// Whatever it could not do is in the history. In words what was left undone, if squall was asked to
    /// leave at once.
    async fn tear_down(&self, facts: Arc<RunFacts>) -> Option<String> {
        let teardown = &self.experiment.teardown;
        if teardown.steps.is_empty() {
            return None;
        }
        let limits = (1, teardown.within);
        let (world, target) = (&self.world, &self.system.target);
        let script = Script::new(world, &self.experiment, target, facts, &teardown.steps, limits, true);
        let mut leaves = false;
        let (mut left, undone) = match script {
            Err(error) => (vec![error], None),
            Ok(script) => {
                let script = Rc::new(script);
                tokio::select! {
                    biased;
                    () = asked(&self.setting, 2) => leaves = true,
                    // Failures are in `left`; an error besides them cannot happen, as the script keeps going.
                    _ = world.timeout(teardown.within, script.run()) => {}
                }
                (script.left.take(), script.undone())
            }
        };
        let cut_short = undone.map(|steps| format!("teardown was cut short: {steps} not done"));
        left.extend(cut_short.clone());
        let at = self.recorder.now();
        let left = left.into_iter().map(|what| crate::redact::redact(&what, &self.experiment.secrets));
        self.recorder.write(left.map(|what| Record::Left { at, what }).collect());
        cut_short.filter(|_| leaves)
    }
}

fn cannot_record(error: &std::io::Error) -> String {
    format!("the history could not be written: {error}; free some space or choose `--reports`")
}

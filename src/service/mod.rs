//! Services: processes that squall starts, waits for, pauses, kills and stops.
//!
//! A service is a foreign program, or a process of the sandbox: an OS process of this binary, or a
//! task group in virtual time. All of them end when squall ends.

mod child;
pub mod family;
mod health;
pub mod listener;
mod log;
#[cfg(test)]
mod patience;
pub mod process;

use std::cell::{Cell, RefCell};
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use rustix::process::Signal;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use crate::experiment::{Command, Ready};
use crate::record::{Record, ServiceEvent, ServiceStage};
use crate::recorder::Recorder;
use crate::sandbox;
use crate::units::Micros;
use crate::world::{TaskGroup, World};
pub use child::own_binary;
pub use log::last_words;

use child::Child;
use family::{Census, Family};
use health::PATIENCE;
use listener::Holder;
use process::{ProcessId, State};

/// Between two looks at whether a service is ready.
const READY_PAUSE: Micros = Micros::millis(50);
/// Between two looks at whether signals were followed.
const FOLLOW_PAUSE: Micros = Micros::millis(10);
/// How long all of a service may take to stand still.
const PAUSE_TIMEOUT: Micros = Micros::SECOND;
/// How long a service may take to end when asked; then it is killed.
const STOP_TIMEOUT: Micros = Micros::secs(3);

/// Why a service is not there.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// squall could not start it: no such program, no journal, a stranger on its port.
    #[error("{0}")]
    NotStarted(String),
    /// It was started, and ended or was not ready in time; with its own last words.
    #[error("{0}")]
    NotReady(String),
}

/// How a service is started.
#[derive(Clone, Debug)]
pub enum Spec {
    Command(Command),
    Sandbox(sandbox::Process),
}

enum Body {
    Child(Child),
    Group { group: TaskGroup, paused: Cell<bool> },
}

/// One service.
pub struct Service {
    pub name: String,
    world: World,
    spec: Spec,
    ready: Ready,
    within: Micros,
    /// Where a foreign program's output goes.
    log: PathBuf,
    recorder: Recorder,
    lives: Lives,
    body: RefCell<Option<Rc<Body>>>,
    /// Held by the fault that breaks it.
    turn: Arc<Mutex<()>>,
}

/// What must be noted of a service's process, so that it ends whatever becomes of squall.
pub enum Life<'a> {
    /// A foreign program is about to be started; all that it starts carries this mark.
    Coming(&'a str),
    /// A process is there.
    There(ProcessId),
    /// Nothing is left of it: what has its numbers from now on is another's.
    Over,
}

/// Called with every life; if it cannot be noted, there must be none.
pub type Lives = Rc<dyn Fn(&str, Life) -> Result<(), String>>;

impl Service {
    /// Not started yet. It is started as `spec` says and has `within` to be `ready`.
    pub fn new(
        world: World,
        recorder: Recorder,
        name: &str,
        (spec, ready, within): (Spec, Ready, Micros),
        log: PathBuf,
        lives: Lives,
    ) -> Service {
        let name = name.to_owned();
        let (body, turn) = (RefCell::default(), Arc::default());
        Service { name, world, spec, ready, within, log, recorder, lives, body, turn }
    }

    /// Whose turn it is to break it, until dropped: what breaks it next waits for a start that takes longer than the plan
    /// leaves it.
    pub async fn turn(&self) -> OwnedMutexGuard<()> {
        self.turn.clone().lock_owned().await
    }

    /// Its address, for processes of the sandbox.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.spec {
            Spec::Sandbox(process) => Some(process.listen),
            Spec::Command(_) => None,
        }
    }

    /// Its processes; none in virtual time and while it is down.
    pub fn family(&self) -> Option<Family> {
        match self.body.borrow().as_deref() {
            Some(Body::Child(child)) => Some(child.family.clone()),
            _ => None,
        }
    }

    fn tell(&self, what: ServiceStage, detail: impl Into<String>) {
        let (service, detail) = (self.name.clone(), detail.into());
        self.recorder.note(Record::Service(ServiceEvent { at: self.recorder.now(), service, what, detail }));
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// In words: the program is missing, something else has its port, it ended, or it was not ready in time.
    pub async fn start(&self) -> Result<(), StartError> {
        self.no_stranger().await.map_err(StartError::NotStarted)?;
        let deadline = self.world.now() + self.within;
        let said = fs::metadata(&self.log).map_or(0, |log| log.len());
        let (body, told) = self.spawn().map_err(StartError::NotStarted)?;
        let detail = match &body {
            Body::Child(child) => format!("pid {}", child.family.leader.pid),
            Body::Group { .. } => String::new(),
        };
        if let Body::Child(child) = &body
            && let Err(why) = (self.lives)(&self.name, Life::There(child.family.leader.clone()))
        {
            child.end(&[]);
            return Err(StartError::NotStarted(why));
        }
        *self.body.borrow_mut() = Some(Rc::new(body));
        self.tell(ServiceStage::Started, detail);
        self.await_ready(deadline, told).await.map_err(|error| match error {
            StartError::NotReady(why) => StartError::NotReady(why + &self.last_words(said)),
            not_started => not_started,
        })?;
        self.tell(ServiceStage::Ready, "");
        Ok(())
    }

    /// Whatever answers before a foreign program is started would be taken for it.
    async fn no_stranger(&self) -> Result<(), String> {
        let address = match &self.ready {
            Ready::Tcp { address } => address,
            Ready::Http(ready) => &ready.address,
            Ready::Sandbox => return Ok(()),
        };
        if !self.anybody_answers().await {
            return Ok(());
        }
        let who = Holder::of(*address).map_or(String::new(), |holder| format!(" ({holder})"));
        Err(format!(
            "service `{}`: {address} answers before the service is started{who}: end what answers there, or give \
             the service another port",
            self.name
        ))
    }

    /// What it wrote to its log after the first `said` bytes, at its end: `; its last words: ...`.
    fn last_words(&self, said: u64) -> String {
        let words = log::last_words_of(&self.log, said).unwrap_or_default();
        if words.is_empty() { String::new() } else { format!("; its last words: {words}") }
    }

    fn spawn(&self) -> Result<(Body, Option<Told>), String> {
        match &self.spec {
            Spec::Command(command) => {
                let mark = process::new_mark();
                (self.lives)(&self.name, Life::Coming(&mark))?;
                let child = Child::spawn(&self.world, command, &mark, &self.log)?;
                Ok((Body::Child(child), None))
            }
            Spec::Sandbox(process) if self.world.is_virtual() => {
                let (tell, told) = tokio::sync::oneshot::channel();
                let (world, process) = (self.world.clone(), process.clone());
                let group = TaskGroup::start(async move {
                    // In virtual time an address is taken only if the plan says so twice.
                    let _ = sandbox::run(world, process, |_| {
                        // Whoever waited may have given up.
                        let _ = tell.send(());
                    })
                    .await;
                });
                Ok((Body::Group { group, paused: Cell::new(false) }, Some(told)))
            }
            Spec::Sandbox(process) => {
                let (child, told) = Child::spawn_sandbox(&self.world, process, &self.log)?;
                Ok((Body::Child(child), Some(told)))
            }
        }
    }

    async fn await_ready(&self, deadline: Micros, told: Option<Told>) -> Result<(), StartError> {
        let not_ready = |seen: &str| StartError::NotReady(self.not_ready(seen));
        if let Some(told) = told {
            return match self.world.timeout_at(deadline, told).await {
                Ok(Ok(())) => Ok(()),
                // squall's own program: it had no address to listen on.
                Ok(Err(_)) => Err(StartError::NotStarted(self.ended_early().await)),
                Err(_) => Err(not_ready("")),
            };
        }
        let (mut seen, mut patience) = (String::new(), PATIENCE);
        while self.world.now() < deadline {
            let asked = self.world.now();
            let look = self.look(patience.min(deadline - asked)).await;
            // One that is slow as it starts is waited for longer, and one that lost the question asked again.
            if self.world.now() - asked >= patience {
                patience += patience;
            }
            // Whatever answered, it is not what has ended.
            if self.state() == State::Gone {
                return Err(StartError::NotReady(self.ended_early().await));
            }
            match look {
                Ok(()) => return Ok(()),
                Err(problem) => seen = problem,
            }
            self.world.sleep(READY_PAUSE).await;
        }
        Err(not_ready(&seen))
    }

    async fn ended_early(&self) -> String {
        // That it has gone may be seen a moment before squall is told how.
        let _ = self.world.timeout(PATIENCE, self.its_end()).await;
        let (name, log) = (&self.name, self.log.display());
        let how = self.exit().map_or(String::new(), |how| format!(" ({how})"));
        format!("service `{name}` ended before it was ready{how}: see {log} for what it said")
    }

    /// `seen`: what the last look at it brought.
    fn not_ready(&self, seen: &str) -> String {
        let (name, within, log) = (&self.name, self.within, self.log.display());
        let seen = match &self.ready {
            Ready::Http(ready) => format!(" (GET http://{}{}: {seen})", ready.authority, ready.path),
            Ready::Tcp { address } => format!(" ({address}: {seen})"),
            Ready::Sandbox => String::new(),
        };
        format!(
            "service `{name}` was not ready within {within}{seen}: see {log}, or give it a longer `within`"
        )
    }

    /// What the process that squall started is doing.
    pub fn state(&self) -> State {
        match self.body.borrow().as_deref() {
            None => State::Gone,
            Some(Body::Child(child)) => child.family.leader.state(),
            Some(Body::Group { paused, .. }) if paused.get() => State::Stopped,
            Some(Body::Group { .. }) => State::Running,
        }
    }

    /// How many of all its processes run, and how many are stopped.
    ///
    /// # Errors
    /// In words: the system does not let squall look.
    pub fn census(&self) -> Result<Census, String> {
        match self.body.borrow().as_deref() {
            None => Ok(Census::default()),
            Some(Body::Child(child)) => child.family.census(),
            Some(Body::Group { paused, .. }) => {
                let stopped = usize::from(paused.get());
                Ok(Census { running: 1 - stopped, stopped })
            }
        }
    }

    /// SIGSTOP to all of it, until nothing of it runs: whether that came in time is for others to see.
    pub async fn pause(&self) -> Result<(), String> {
        let stop = |family: &Family| family.signal(&[State::Running], Signal::STOP);
        self.signal(true, stop)?;
        let deadline = self.world.now() + PAUSE_TIMEOUT;
        while self.census()?.running > 0 && self.world.now() < deadline {
            self.world.sleep(FOLLOW_PAUSE).await;
            self.signal(true, stop)?;
        }
        self.tell(ServiceStage::Paused, "");
        Ok(())
    }

    /// SIGCONT to what is stopped of it.
    pub fn resume(&self) -> Result<(), String> {
        self.signal(false, |family| family.signal(&[State::Stopped], Signal::CONT))?;
        self.tell(ServiceStage::Continued, "");
        Ok(())
    }

    fn signal(&self, pause: bool, send: impl Fn(&Family) -> Result<(), String>) -> Result<(), String> {
        match self.body.borrow().as_deref() {
            None => Err(format!("service `{}` is down", self.name)),
            Some(Body::Child(child)) => send(&child.family),
            Some(Body::Group { group, paused }) => {
                paused.set(pause);
                if pause {
                    group.pause()
                } else {
                    group.resume()
                }
                Ok(())
            }
        }
    }

    /// SIGKILL to all of it, and waits until it is gone.
    pub async fn kill(&self) -> Result<(), String> {
        let body = self.body.borrow_mut().take();
        match body.as_deref() {
            None => return Err(format!("service `{}` is down already", self.name)),
            Some(Body::Child(child)) => {
                let known = members(&child.family);
                if let Err(why) = self.end(child, &known).await {
                    *self.body.borrow_mut() = body;
                    return Err(why);
                }
            }
            Some(Body::Group { group, .. }) => group.kill().await,
        }
        drop(body);
        self.tell(ServiceStage::Killed, "");
        self.is_over();
        Ok(())
    }

    /// One that runs as another user (`sudo`) cannot be ended: the next run would find it on its port.
    fn is_left(&self, family: &Family, why: String) {
        let refused = family.signal(&[State::Running, State::Stopped], Signal::KILL).err().unwrap_or(why);
        let what = format!("service `{}`: {refused}; end it by hand", self.name);
        self.recorder.note(Record::Left { at: self.recorder.now(), what });
    }

    fn is_over(&self) {
        // What is not noted is merely ended again.
        let _ = (self.lives)(&self.name, Life::Over);
    }

    /// Ends all of it and `known`, who belonged to it before, and waits until it holds no port any more.
    async fn end(&self, child: &Child, known: &[ProcessId]) -> Result<(), String> {
        let ended = async {
            while !child.end(known) {
                self.world.sleep(FOLLOW_PAUSE).await;
            }
        };
        // What the kernel cannot end holds nobody up for longer.
        let ended = self.world.timeout(STOP_TIMEOUT, ended).await;
        ended.map_err(|_| format!("not all of service `{}` ended within {STOP_TIMEOUT}", self.name))
    }

    /// Ends it for good: asked first, killed if it does not go, or when it is to be `hurried`. Nothing that it started
    /// stays.
    pub async fn stop(&self, mut hurried: watch::Receiver<bool>) {
        let body = self.body.borrow_mut().take();
        if let Some(Body::Child(child)) = body.as_deref() {
            let known = members(&child.family);
            child.ask_to_end();
            let gone = async {
                child.gone().await;
                while !child.family.census().is_ok_and(Census::is_empty) {
                    self.world.sleep(FOLLOW_PAUSE).await;
                }
            };
            tokio::select! {
                _ = self.world.timeout(STOP_TIMEOUT, gone) => {}
                Ok(_) = hurried.wait_for(|hurried| *hurried) => {}
            }
            match self.end(child, &known).await {
                Ok(()) => self.is_over(),
                Err(why) => self.is_left(&child.family, why),
            }
        }
        if body.is_some() {
            self.tell(ServiceStage::Stopped, "");
        }
    }
}

/// As far as they can be seen.
fn members(family: &Family) -> Vec<ProcessId> {
    family.members().into_iter().flatten().map(|(process, _)| process).collect()
}

/// Resolves when a sandbox process serves.
type Told = tokio::sync::oneshot::Receiver<()>;

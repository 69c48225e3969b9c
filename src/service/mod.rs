//! Services: processes that squall starts, waits for, pauses, kills and stops.
//!
//! A service is a foreign program, or a process of the sandbox: an OS process of this binary, or a
//! task group in virtual time. All of them end when squall ends.

mod child;
mod health;
pub mod process;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;

use rustix::process::Signal;

use crate::experiment::{Command, Ready};
use crate::record::{Record, ServiceEvent, ServiceStage};
use crate::recorder::Recorder;
use crate::sandbox;
use crate::units::Micros;
use crate::world::{TaskGroup, World};
pub use child::own_binary;

use child::Child;
use process::{ProcessId, State};

/// Between two looks at whether a service is ready.
const READY_PAUSE: Micros = Micros::millis(50);
/// Between two looks for what a killed service has left.
const REST_PAUSE: Micros = Micros::millis(10);
/// How long a service may take to end when asked; then it is killed.
const STOP_TIMEOUT: Micros = Micros::secs(3);

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
    born: Born,
    body: RefCell<Option<Rc<Body>>>,
}

/// What must be noted of a service's process, so that it ends whatever becomes of squall.
pub enum Birth<'a> {
    /// A foreign program is about to be started; all that it starts carries this mark.
    Coming(&'a str),
    /// A process is there.
    There(ProcessId),
}

/// Called with every birth; if it cannot be noted, there must be none.
pub type Born = Rc<dyn Fn(&str, Birth) -> Result<(), String>>;

impl Service {
    /// Not started yet. It is started as `spec` says and has `within` to be `ready`.
    pub fn new(
        world: World,
        recorder: Recorder,
        name: &str,
        (spec, ready, within): (Spec, Ready, Micros),
        log: PathBuf,
        born: Born,
    ) -> Service {
        let name = name.to_owned();
        Service { name, world, spec, ready, within, log, recorder, born, body: RefCell::default() }
    }

    /// Its address, for processes of the sandbox.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.spec {
            Spec::Sandbox(process) => Some(process.listen),
            Spec::Command(_) => None,
        }
    }

    /// The running process; none in virtual time and while it is down.
    pub fn process(&self) -> Option<ProcessId> {
        match self.body.borrow().as_deref() {
            Some(Body::Child(child)) => Some(child.id.clone()),
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
    /// In words: the program is missing, it ended, or it was not ready in time.
    pub async fn start(&self) -> Result<(), String> {
        let deadline = self.world.now() + self.within;
        let (body, told) = self.spawn()?;
        let detail = match &body {
            Body::Child(child) => format!("pid {}", child.id.pid),
            Body::Group { .. } => String::new(),
        };
        if let Body::Child(child) = &body
            && let Err(why) = (self.born)(&self.name, Birth::There(child.id.clone()))
        {
            let _ = child.id.signal_group(Signal::KILL);
            return Err(why);
        }
        *self.body.borrow_mut() = Some(Rc::new(body));
        self.tell(ServiceStage::Started, detail);
        self.await_ready(deadline, told).await?;
        self.tell(ServiceStage::Ready, "");
        Ok(())
    }

    fn spawn(&self) -> Result<(Body, Option<Told>), String> {
        match &self.spec {
            Spec::Command(command) => {
                let mark = process::new_mark();
                (self.born)(&self.name, Birth::Coming(&mark))?;
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

    async fn await_ready(&self, deadline: Micros, told: Option<Told>) -> Result<(), String> {
        if let Some(told) = told {
            return match self.world.timeout_at(deadline, told).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) => Err(self.ended_early()),
                Err(_) => Err(self.not_ready()),
            };
        }
        while self.world.now() < deadline {
            if self.state() == State::Gone {
                return Err(self.ended_early());
            }
            if self.look().await.is_ok() {
                return Ok(());
            }
            self.world.sleep(READY_PAUSE).await;
        }
        Err(self.not_ready())
    }

    fn ended_early(&self) -> String {
        let (name, log) = (&self.name, self.log.display());
        format!("service `{name}` ended before it was ready: see {log} for what it said")
    }

    fn not_ready(&self) -> String {
        let (name, within, log) = (&self.name, self.within, self.log.display());
        format!("service `{name}` was not ready within {within}: see {log}, or give it a longer `within`")
    }

    pub fn state(&self) -> State {
        match self.body.borrow().as_deref() {
            None => State::Gone,
            Some(Body::Child(child)) => child.id.state(),
            Some(Body::Group { paused, .. }) if paused.get() => State::Stopped,
            Some(Body::Group { .. }) => State::Running,
        }
    }

    /// SIGSTOP.
    pub fn pause(&self) -> Result<(), String> {
        self.signal(Signal::STOP, true)?;
        self.tell(ServiceStage::Paused, "");
        Ok(())
    }

    /// SIGCONT.
    pub fn resume(&self) -> Result<(), String> {
        self.signal(Signal::CONT, false)?;
        self.tell(ServiceStage::Continued, "");
        Ok(())
    }

    fn signal(&self, signal: Signal, pause: bool) -> Result<(), String> {
        match self.body.borrow().as_deref() {
            None => Err(format!("service `{}` is down", self.name)),
            Some(Body::Child(child)) => child.id.signal_group(signal),
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

    /// SIGKILL, and waits until it is gone.
    pub async fn kill(&self) -> Result<(), String> {
        let body = self.body.borrow_mut().take();
        match body.as_deref() {
            None => return Err(format!("service `{}` is down already", self.name)),
            Some(Body::Child(child)) => {
                child.id.signal_group(Signal::KILL)?;
                child.gone().await;
                self.end_rest(&child.id).await;
            }
            Some(Body::Group { group, .. }) => group.kill().await,
        }
        drop(body);
        self.tell(ServiceStage::Killed, "");
        Ok(())
    }

    /// Ends what a process that has gone left of its group, and waits until it holds no port any more.
    async fn end_rest(&self, process: &ProcessId) {
        process.end_rest();
        let gone = async {
            while process.has_rest() {
                self.world.sleep(REST_PAUSE).await;
            }
        };
        // What the kernel cannot end holds nobody up for longer.
        let _ = self.world.timeout(STOP_TIMEOUT, gone).await;
    }

    /// Ends it for good: asked first, killed if it does not go.
    pub async fn stop(&self) {
        let body = self.body.borrow_mut().take();
        if let Some(Body::Child(child)) = body.as_deref() {
            // A stopped process cannot hear; one that is gone needs nothing.
            let _ = child.id.signal_group(Signal::TERM);
            let _ = child.id.signal_group(Signal::CONT);
            if self.world.timeout(STOP_TIMEOUT, child.gone()).await.is_err() {
                let _ = child.id.signal_group(Signal::KILL);
                child.gone().await;
            }
            self.end_rest(&child.id).await;
        }
        if body.is_some() {
            self.tell(ServiceStage::Stopped, "");
        }
    }
}

/// Resolves when a sandbox process serves.
type Told = tokio::sync::oneshot::Receiver<()>;

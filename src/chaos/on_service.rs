//! Faults on a service that squall started: pause, kill, restart. They prove state.

use std::rc::Rc;

use super::journal::Undo;
use crate::experiment::Fault;
use crate::service::Service;
use crate::service::process::State;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Pause,
    /// Stays down.
    Kill,
    /// Starts again at the end.
    KillFor,
    Restart,
}

pub struct ServiceDriver {
    service: Rc<Service>,
    act: Act,
}

impl ServiceDriver {
    pub fn new(service: Rc<Service>, fault: &Fault, windowed: bool) -> ServiceDriver {
        let act = match fault {
            Fault::Pause { .. } => Act::Pause,
            Fault::Restart { .. } => Act::Restart,
            _ if windowed => Act::KillFor,
            _ => Act::Kill,
        };
        ServiceDriver { service, act }
    }

    /// A killed service needs none: what squall started ends with squall.
    pub fn undo(&self) -> Option<Undo> {
        let process = self.service.process().filter(|_| self.act == Act::Pause)?;
        Some(Undo::Continue { service: self.service.name.clone(), process })
    }

    pub async fn inject(&self) -> Result<(), String> {
        match self.act {
            Act::Pause => self.service.pause(),
            Act::Kill | Act::KillFor | Act::Restart => self.service.kill().await,
        }
    }

    pub fn effect(&self) -> Result<String, String> {
        match (self.act, self.service.state()) {
            (Act::Pause, State::Stopped) => Ok("the process is stopped".to_owned()),
            (Act::Kill | Act::KillFor | Act::Restart, State::Gone) => Ok("the process is gone".to_owned()),
            (_, state) => Err(format!("the process is {}", word(state))),
        }
    }

    pub async fn heal(&self) -> Result<(), String> {
        match self.act {
            // What crashed while it was paused, or just now, cannot be continued, and need not be.
            Act::Pause => match self.service.resume() {
                Err(_) if self.service.state() == State::Gone => Ok(()),
                resumed => resumed,
            },
            Act::Kill => Ok(()),
            Act::KillFor | Act::Restart => self.service.start().await,
        }
    }

    pub fn cleared(&self) -> Result<(), String> {
        match (self.act, self.service.state()) {
            (Act::Kill, _) | (_, State::Running) | (Act::Pause, State::Gone) => Ok(()),
            (_, state) => Err(format!("the process is {}", word(state))),
        }
    }

    /// Healing it means to start a process that ends with squall.
    pub fn starts_again(&self) -> bool {
        matches!(self.act, Act::KillFor | Act::Restart)
    }

    pub fn remark(&self) -> String {
        match (self.act, self.service.state()) {
            (Act::Pause, State::Gone) => "the process is gone: nothing was left to continue".to_owned(),
            _ => String::new(),
        }
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Running => "running",
        State::Stopped => "stopped",
        State::Gone => "gone",
    }
}

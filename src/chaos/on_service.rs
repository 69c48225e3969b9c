//! Faults on a service that squall started: pause, kill, restart. They prove state.

use std::rc::Rc;

use tokio::sync::OwnedMutexGuard;

use super::driver::NotHealed;
use super::journal::Undo;
use crate::experiment::Fault;
use crate::service::family::Census;
use crate::service::{Service, StartError};
use crate::units::Micros;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Pause,
    /// Stays down.
    Kill,
    /// Starts again at the end.
    KillFor,
    Restart,
}

/// How long a paused service has to answer its health check after all.
const SILENCE: Micros = Micros::millis(500);

pub struct ServiceDriver {
    service: Rc<Service>,
    act: Act,
    /// How long a look at its health may take: no pause lasts longer because it is looked at.
    patience: Micros,
}

impl ServiceDriver {
    pub fn new(service: Rc<Service>, fault: &Fault, length: Option<Micros>) -> ServiceDriver {
        let act = match fault {
            Fault::Pause { .. } => Act::Pause,
            Fault::Restart { .. } => Act::Restart,
            _ if length.is_some() => Act::KillFor,
            _ => Act::Kill,
        };
        let patience = length.map_or(SILENCE, |length| SILENCE.min(Micros(length.0 / 2)));
        ServiceDriver { service, act, patience }
    }

    /// One fault at a time breaks it.
    pub async fn turn(&self) -> OwnedMutexGuard<()> {
        self.service.turn().await
    }

    /// A killed service needs none: what squall started ends with squall.
    pub fn undo(&self) -> Option<Undo> {
        let family = self.service.family().filter(|_| self.act == Act::Pause)?;
        let (process, mark) = (family.leader, family.mark);
        Some(Undo::Continue { service: self.service.name.clone(), process, mark })
    }

    pub async fn inject(&self) -> Result<(), String> {
        match self.act {
            Act::Pause => self.service.pause().await,
            Act::Kill | Act::KillFor | Act::Restart => self.service.kill().await,
        }
    }

    /// By all of its processes, and by what its users would see.
    pub async fn effect(&self) -> Result<String, String> {
        let proof = match (self.act, self.service.census()?) {
            (Act::Pause, Census { running: 0, stopped: 1.. }) => "the process is stopped",
            (Act::Kill | Act::KillFor | Act::Restart, census) if census.is_empty() => "the process is gone",
            (_, census) => return Err(told(census)),
        };
        match self.service.still_answers(self.patience).await {
            true => Err(format!("{proof}, but the health check is still answered")),
            false => Ok(proof.to_owned()),
        }
    }

    /// Nobody else has continued it; that it ended meanwhile is told of the service.
    pub fn lasts(&self) -> Result<(), String> {
        match (self.act, self.service.census()?) {
            (Act::Pause, census @ Census { running: 1.., .. }) => Err(told(census)),
            _ => Ok(()),
        }
    }

    pub async fn heal(&self) -> Result<(), NotHealed> {
        match self.act {
            // What crashed while it was paused, or just now, cannot be continued, and need not be.
            Act::Pause => match self.service.resume() {
                Err(_) if self.has_gone() => Ok(()),
                resumed => resumed.map_err(NotHealed::Failed),
            },
            Act::Kill => Ok(()),
            Act::KillFor | Act::Restart => self.service.start().await.map_err(|error| match error {
                StartError::NotStarted(why) => NotHealed::Failed(why),
                StartError::NotReady(why) => NotHealed::NotBack(why),
            }),
        }
    }

    /// Nothing is left of it; what cannot be seen may be there.
    fn has_gone(&self) -> bool {
        self.service.census().is_ok_and(Census::is_empty)
    }

    pub fn cleared(&self) -> Result<(), String> {
        if self.act == Act::Kill {
            return Ok(());
        }
        let census = match self.service.census() {
            // It has just been ready.
            Err(_) if self.starts_again() => return Ok(()),
            census => census?,
        };
        match (self.act, census) {
            (_, Census { running: 1.., stopped: 0 }) => Ok(()),
            (Act::Pause, census) if census.is_empty() => Ok(()),
            (_, census) => Err(told(census)),
        }
    }

    /// Healing it means to start a process that ends with squall.
    pub fn starts_again(&self) -> bool {
        matches!(self.act, Act::KillFor | Act::Restart)
    }

    pub fn remark(&self) -> String {
        match self.act {
            Act::Pause if self.has_gone() => "the process is gone: nothing was left to continue".to_owned(),
            _ => String::new(),
        }
    }
}

fn told(census: Census) -> String {
    match census {
        Census { running: 0, stopped: 0 } => "the process is gone".to_owned(),
        Census { running: 1, stopped: 0 } => "the process is running".to_owned(),
        Census { running: 0, stopped: 1 } => "the process is stopped".to_owned(),
        Census { running, stopped } => {
            format!("of its {} processes {stopped} are stopped", running + stopped)
        }
    }
}

//! One driver per kind of thing, one small interface: undo recipe, inject, effect, heal, cleared, passes.

use tokio::sync::OwnedMutexGuard;

use super::Reach;
use super::exec;
use super::journal::Undo;
use super::on_link::LinkDriver;
use super::on_service::ServiceDriver;
use crate::experiment::{Experiment, Fault};
use crate::record::Touched;
use crate::service::process::new_mark;
use crate::units::Micros;

/// Why a fault's harm is still there after the heal.
pub enum NotHealed {
    /// squall could not undo it.
    Failed(String),
    /// squall did its part, and the service did not come back.
    NotBack(String),
}

impl From<String> for NotHealed {
    fn from(why: String) -> NotHealed {
        NotHealed::Failed(why)
    }
}

pub enum Driver {
    Link(LinkDriver),
    Service(ServiceDriver),
    Exec { reach: Reach, name: String, run: Vec<String>, undo: Vec<String>, check: Vec<String> },
}

impl Driver {
    /// Made ready.
    ///
    /// # Errors
    /// In words: the thing is not there.
    pub fn new(reach: &Reach, experiment: &Experiment, index: usize) -> Result<Driver, String> {
        let outline = &experiment.outline.faults[index];
        let fault = &experiment.faults[index];
        Ok(match fault {
            Fault::Latency { link, .. }
            | Fault::Blackhole { link }
            | Fault::Down { link }
            | Fault::Failover { link, .. } => {
                let declared = experiment.links.iter().find(|declared| declared.name == *link);
                let canary = declared.is_some_and(|declared| declared.canary.is_some());
                Driver::Link(LinkDriver::new(reach, &outline.name, link, canary, fault))
            }
            Fault::Pause { service } | Fault::Kill { service } | Fault::Restart { service } => {
                let service = reach.services.get(service).ok_or_else(|| format!("no service `{service}`"))?;
                Driver::Service(ServiceDriver::new(service.clone(), fault, outline.length))
            }
            Fault::Exec { run, undo, check } => Driver::Exec {
                reach: reach.clone(),
                name: outline.name.clone(),
                run: run.clone(),
                undo: undo.clone(),
                check: check.clone(),
            },
        })
    }

    /// What must be written to the journal before injecting.
    pub fn undo(&self) -> Option<Undo> {
        match self {
            Driver::Link(link) => Some(link.undo()),
            Driver::Service(service) => service.undo(),
            Driver::Exec { name, undo, check, .. } => {
                let (fault, undo, check) = (name.clone(), undo.clone(), check.clone());
                // Where there is none the words say where they mean.
                let folder = std::env::current_dir().unwrap_or_default();
                Some(Undo::Exec { fault, undo, check, folder })
            }
        }
    }

    /// Its turn, until dropped: a service may take longer to start than the plan leaves it, and is broken again only
    /// when it is there, or has had its time.
    pub async fn turn(&self) -> Option<OwnedMutexGuard<()>> {
        match self {
            Driver::Service(service) => Some(service.turn().await),
            Driver::Link(_) | Driver::Exec { .. } => None,
        }
    }

    /// A failover's own window.
    pub fn outage(&self) -> Option<Micros> {
        match self {
            Driver::Link(link) => link.outage(),
            Driver::Service(_) | Driver::Exec { .. } => None,
        }
    }

    pub async fn inject(&self) -> Result<(), String> {
        match self {
            Driver::Link(link) => link.inject().await,
            Driver::Service(service) => service.inject().await,
            Driver::Exec { reach, name, run, .. } => break_it(reach, name, run).await,
        }
    }

    /// Its injection may be broken off: whatever has come of it by then is undone.
    pub fn may_be_broken_off(&self) -> bool {
        matches!(self, Driver::Exec { .. })
    }

    /// Something of it stays after the heal, and must go back when the run ends: the link's name.
    pub fn goes_back(&self) -> Option<&str> {
        match self {
            Driver::Link(link) => link.goes_back(),
            Driver::Service(_) | Driver::Exec { .. } => None,
        }
    }

    /// Proof that it is in force, in words; or why there is none yet.
    pub async fn effect(&self) -> Result<String, String> {
        match self {
            Driver::Link(link) => link.effect().await,
            Driver::Service(service) => service.effect().await,
            Driver::Exec { reach, check, .. } => {
                let ended = exec::run(&reach.world, check, None, None).await?;
                match ended.well() {
                    true => Ok("its check says so".to_owned()),
                    false => {
                        let check = check.join(" ");
                        Err(format!("its check says that it is not in force (`{check}`: {ended})"))
                    }
                }
            }
        }
    }

    /// How long what proved it had been kept back by it then: it was in force before that.
    pub async fn held_back(&self) -> Micros {
        match self {
            Driver::Link(link) => link.held_back().await,
            Driver::Service(_) | Driver::Exec { .. } => Micros::ZERO,
        }
    }

    /// Whether it is in force until squall takes it back, by state; what the keeper holds nobody else can take back.
    pub async fn lasts(&self) -> Result<(), String> {
        match self {
            Driver::Link(_) => Ok(()),
            Driver::Service(service) => service.lasts(),
            Driver::Exec { .. } => self.effect().await.map(drop),
        }
    }

    pub async fn heal(&self) -> Result<(), NotHealed> {
        match self {
            Driver::Link(link) => Ok(link.heal().await?),
            Driver::Service(service) => service.heal().await,
            Driver::Exec { reach, undo, .. } => Ok(exec::done(&reach.world, undo).await?),
        }
    }

    /// Its heal may be tried again: twice is as good as once.
    pub fn heals_again(&self) -> bool {
        !self.ends_with_squall()
    }

    /// What the heal makes whole ends with squall anyway.
    pub fn ends_with_squall(&self) -> bool {
        matches!(self, Driver::Service(service) if service.starts_again())
    }

    /// Proof by state that it is gone; or why there is none yet.
    pub async fn cleared(&self) -> Result<(), String> {
        match self {
            Driver::Link(link) => link.cleared().await,
            Driver::Service(service) => service.cleared(),
            Driver::Exec { reach, check, .. } => {
                match exec::run(&reach.world, check, None, None).await?.well() {
                    true => Err("its check says that it is still in force".to_owned()),
                    false => Ok(()),
                }
            }
        }
    }

    /// Whether traffic passes again, as far as anybody can see: a target that is unwell by itself must not
    /// pass for a fault that is still in force.
    pub async fn passes(&self) -> Result<(), String> {
        match self {
            Driver::Link(link) => link.passes().await,
            Driver::Service(_) | Driver::Exec { .. } => Ok(()),
        }
    }

    /// It is over when the other side answers, and proves nothing if that does not come.
    pub fn waits_for_an_answer(&self) -> bool {
        self.outage().is_some()
    }

    /// What is to be said of a fault that is gone.
    pub fn remark(&self) -> String {
        match self {
            Driver::Service(service) => service.remark(),
            Driver::Link(_) | Driver::Exec { .. } => String::new(),
        }
    }

    pub async fn touched(&self) -> Option<Touched> {
        match self {
            Driver::Link(link) => link.touched().await,
            Driver::Service(_) | Driver::Exec { .. } => None,
        }
    }
}

/// Runs a hook's `run`. Should squall end meanwhile, it is ended before it is undone: its entry is younger.
pub(super) async fn break_it(reach: &Reach, name: &str, run: &[String]) -> Result<(), String> {
    let mark = new_mark();
    let (what, hook) = (format!("`run` of hook `{name}`"), Some(name.to_owned()));
    let undo = Undo::Marked { what, mark: mark.clone(), hook };
    let entry = reach.journal.open(undo).map_err(|e| format!("the undo journal cannot be written: {e}"))?;
    let ended = exec::run(&reach.world, run, None, Some(&mark)).await?;
    // What it leaves running now is what its undo undoes. An entry that stays open ends it once more.
    let _ = reach.journal.close(entry);
    exec::told(run, &ended)
}

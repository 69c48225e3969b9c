//! Health checks while the load runs, as an orchestrator makes them: one look a second, told when what it
//! sees changes.

use std::rc::Rc;

use super::{Body, Service};
use crate::experiment::{HttpReady, Ready};
use crate::http::{CallError, Caller};
use crate::record::ServiceStage;
use crate::units::Micros;

const EVERY: Micros = Micros::SECOND;
/// How long an answer may take.
pub(super) const PATIENCE: Micros = Micros::SECOND;
/// How long after its connections have closed a process may still be ending.
const MOMENT: Micros = Micros::millis(100);

impl Service {
    /// Looks until dropped, at a service that was ready when it began. Also tells at once of a process that
    /// ended by itself; whatever answers then, it is not the service.
    pub async fn watch_health(self: Rc<Service>) {
        let (mut well, mut ended) = (true, false);
        let mut at = self.world.now() + EVERY;
        loop {
            tokio::select! {
                biased;
                () = self.its_end(), if !ended => {}
                () = self.world.sleep_until(at) => at = (at + EVERY).max(self.world.now()),
            }
            let exit = self.exit();
            if let Some(exit) = exit.as_ref().filter(|_| !ended) {
                self.tell(ServiceStage::Ended, exit);
            }
            ended = exit.is_some();
            let look = match exit {
                Some(exit) => Err(format!("it ended ({exit})")),
                None => self.look(PATIENCE).await,
            };
            if look.is_ok() != well {
                well = look.is_ok();
                let stage = if well { ServiceStage::Healthy } else { ServiceStage::Unhealthy };
                self.tell(stage, look.err().unwrap_or_default());
            }
        }
    }

    /// Returns when the process that runs now has ended.
    pub(super) async fn its_end(&self) {
        let end = match self.body.borrow().as_deref() {
            Some(Body::Child(child)) => Some(child.gone()),
            _ => None,
        };
        match end {
            Some(end) => end.await,
            None => std::future::pending().await,
        }
    }

    /// How its process ended, if nobody ended it.
    pub(super) fn exit(&self) -> Option<String> {
        match self.body.borrow().as_deref() {
            Some(Body::Child(child)) => child.ended(),
            _ => None,
        }
    }

    /// How its process ended, with its own last words, if nobody ended it. That it has gone may be seen a moment
    /// before squall is told how.
    pub async fn own_end(&self) -> Option<String> {
        let _ = self.world.timeout(MOMENT, self.its_end()).await;
        self.exit().map(|how| how + &self.last_words(0))
    }

    /// Whether its health check is answered within `patience`. Of a stopped program whose port is all that
    /// is asked it says nothing: the system itself accepts connections there.
    pub async fn still_answers(&self, patience: Micros) -> bool {
        let says_nothing =
            matches!(self.ready, Ready::Tcp { .. }) && self.census().is_ok_and(|census| census.stopped > 0);
        !says_nothing && self.look(patience).await.is_ok()
    }

    /// Whether anything answers in its place, well or not.
    pub(super) async fn anybody_answers(&self) -> bool {
        match &self.ready {
            Ready::Http(ready) => match self.caller(ready).get(&ready.path, PATIENCE).await {
                Err(CallError::Broken(error)) => error.is_parse(),
                answer => answer.is_ok(),
            },
            _ => self.look(PATIENCE).await.is_ok(),
        }
    }

    /// Asks as the URL was written: servers tell their own hosts from others'.
    fn caller(&self, ready: &HttpReady) -> Caller {
        let caller = Caller::new(self.world.clone(), ready.address, 1);
        caller.named(&ready.authority, ready.authorization.as_deref())
    }

    /// One look at whether it serves, in the way in which it becomes ready.
    ///
    /// # Errors
    /// In words.
    pub(super) async fn look(&self, patience: Micros) -> Result<(), String> {
        let (caller, path) = match (&self.ready, self.address()) {
            (Ready::Tcp { address }, _) => {
                let connected = self.world.timeout(patience, self.world.connect(*address)).await;
                let connected = connected.map_err(|_| format!("no connection within {patience}"))?;
                return connected.map(|_| ()).map_err(|error| format!("no connection: {error}"));
            }
            (Ready::Http(ready), _) => (self.caller(ready), ready.path.as_str()),
            (Ready::Sandbox, Some(address)) => (Caller::new(self.world.clone(), address, 1), "/livez"),
            (Ready::Sandbox, None) => return Ok(()),
        };
        let status = caller.status(path, patience).await;
        match status.map_err(|error| error.to_string())? {
            200..300 => Ok(()),
            status => Err(format!("status {status}")),
        }
    }
}

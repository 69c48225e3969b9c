//! Health checks while the load runs, as an orchestrator makes them: one look a second, told when what it
//! sees changes.

use std::rc::Rc;

use super::{Body, Service};
use crate::experiment::Ready;
use crate::http::Caller;
use crate::record::ServiceStage;
use crate::units::Micros;

const EVERY: Micros = Micros::SECOND;
/// How long an answer may take.
const PATIENCE: Micros = Micros::SECOND;

impl Service {
    /// Looks until dropped, at a service that was ready when it began. Also tells of a process that ended by
    /// itself.
    pub async fn watch_health(self: Rc<Service>) {
        let (mut well, mut ended) = (true, false);
        let mut at = self.world.now();
        loop {
            at = (at + EVERY).max(self.world.now());
            self.world.sleep_until(at).await;
            let exit = self.exit();
            if let Some(exit) = exit.as_ref().filter(|_| !ended) {
                self.tell(ServiceStage::Ended, exit);
            }
            ended = exit.is_some();
            let look = self.look().await;
            if look.is_ok() != well {
                well = look.is_ok();
                let stage = if well { ServiceStage::Healthy } else { ServiceStage::Unhealthy };
                self.tell(stage, look.err().unwrap_or_default());
            }
        }
    }

    /// How its process ended, if nobody ended it.
    fn exit(&self) -> Option<String> {
        match self.body.borrow().as_deref() {
            Some(Body::Child(child)) => child.ended(),
            _ => None,
        }
    }

    /// One look at whether it serves, in the way in which it becomes ready.
    ///
    /// # Errors
    /// In words.
    pub(super) async fn look(&self) -> Result<(), String> {
        let (address, path) = match (&self.ready, self.address()) {
            (Ready::Tcp { address }, _) => {
                let connected = self.world.timeout(PATIENCE, self.world.connect(*address)).await;
                let connected = connected.map_err(|_| format!("no connection within {PATIENCE}"))?;
                return connected.map(|_| ()).map_err(|error| format!("no connection: {error}"));
            }
            (Ready::Http { address, path }, _) => (*address, path.as_str()),
            (Ready::Sandbox, Some(address)) => (address, "/livez"),
            (Ready::Sandbox, None) => return Ok(()),
        };
        let status = Caller::new(self.world.clone(), address, 1).status(path, PATIENCE).await;
        match status.map_err(|error| error.to_string())? {
            200..300 => Ok(()),
            status => Err(format!("status {status}")),
        }
    }
}

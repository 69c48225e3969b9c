//! Faults on a link: latency, blackhole, down, failover. They prove traffic, through the link's canary
//! or, without one, by what the proxy measures on real chunks.

use std::net::SocketAddr;

use super::Reach;
use super::journal::Undo;
use crate::experiment::{Fault, Upstream};
use crate::proxy::message::CanaryResult;
use crate::proxy::{Ask, CANARY_TIMEOUT, Reply};
use crate::record::Touched;
use crate::toxic::{Direction, Toxic};
use crate::units::Micros;

/// Share of the least delay that a canary must see: clocks and schedulers round.
const SEEN: f64 = 0.8;
/// How long a canary waits when silence is what it looks for.
const SILENCE: Micros = Micros::millis(500);

pub struct LinkDriver {
    reach: Reach,
    fault: String,
    link: String,
    toxic: Toxic,
    /// Failover: the outage, where the link goes then, and whether it stays there for good.
    failover: Option<(Micros, Upstream, bool)>,
    /// What the canary took before the fault; none if the link has no canary.
    before: Option<Micros>,
}

impl LinkDriver {
    pub async fn new(reach: &Reach, name: &str, link: &str, fault: &Fault) -> Result<LinkDriver, String> {
        let (toxic, failover) = match fault {
            Fault::Latency { latency, jitter, direction, .. } => {
                (Toxic::Latency { latency: *latency, jitter: *jitter, direction: *direction }, None)
            }
            Fault::Failover { to, outage, stay, .. } => (Toxic::Down, Some((*outage, to.clone(), *stay))),
            Fault::Down { .. } => (Toxic::Down, None),
            _ => (Toxic::Blackhole, None),
        };
        let (fault, link) = (name.to_owned(), link.to_owned());
        let mut driver = LinkDriver { reach: reach.clone(), fault, link, toxic, failover, before: None };
        driver.before = match driver.canary(CANARY_TIMEOUT).await? {
            CanaryResult::None => None,
            CanaryResult::Answered { took } => Some(took),
            // The upstream is in trouble of its own; what the canary sees later still counts.
            _ => Some(Micros::ZERO),
        };
        Ok(driver)
    }

    /// How long a failover refuses before the other upstream answers.
    pub fn outage(&self) -> Option<Micros> {
        self.failover.as_ref().map(|(outage, ..)| *outage)
    }

    pub fn undo(&self) -> Undo {
        Undo::Link { link: self.link.clone(), fault: self.fault.clone() }
    }

    /// The link, if it must go back to where it was before the failover.
    pub fn goes_back(&self) -> Option<&str> {
        self.failover.as_ref().filter(|(.., stay)| !stay).map(|_| self.link.as_str())
    }

    async fn ask(&self, ask: Ask) -> Result<Reply, String> {
        match self.reach.port.ask(ask).await {
            Reply::Failed { error } => Err(error),
            reply => Ok(reply),
        }
    }

    async fn canary(&self, timeout: Micros) -> Result<CanaryResult, String> {
        match self.ask(Ask::Canary { link: self.link.clone(), timeout }).await? {
            Reply::Canary(result) => Ok(result),
            other => Err(format!("the keeper answered {other:?}")),
        }
    }

    pub async fn inject(&self) -> Result<(), String> {
        let (link, fault, toxic) = (self.link.clone(), self.fault.clone(), self.toxic.clone());
        self.ask(Ask::Inject { link, fault, toxic }).await.map(|_| ())
    }

    /// The least delay that the latency toxic adds to an exchange.
    fn least_delay(&self) -> Micros {
        match &self.toxic {
            Toxic::Latency { latency, jitter, direction } => {
                let once = (latency.0 - jitter.0).max(0) as f64 * SEEN;
                Micros(once as i64 * if *direction == Direction::Both { 2 } else { 1 })
            }
            _ => Micros::ZERO,
        }
    }

    fn canary_timeout(&self) -> Micros {
        match &self.toxic {
            Toxic::Latency { latency, jitter, .. } => CANARY_TIMEOUT + (*latency + *jitter) * 2,
            Toxic::Blackhole => SILENCE,
            Toxic::Down => CANARY_TIMEOUT,
        }
    }

    pub async fn effect(&self) -> Result<String, String> {
        let Some(before) = self.before else { return self.effect_on_traffic().await };
        match (&self.toxic, self.canary(self.canary_timeout()).await?) {
            (Toxic::Latency { .. }, CanaryResult::Answered { took })
                if took > Micros::ZERO && took - before >= self.least_delay() =>
            {
                Ok(format!("canary +{}", took - before))
            }
            (Toxic::Blackhole, CanaryResult::Silent) => Ok("canary got no answer".to_owned()),
            (Toxic::Down, CanaryResult::Refused) => Ok("canary was refused".to_owned()),
            (_, other) => Err(format!("the canary saw {}", seen(&other))),
        }
    }

    async fn effect_on_traffic(&self) -> Result<String, String> {
        let touched = self.touched().await.unwrap_or_default();
        match &self.toxic {
            Toxic::Down => Ok("the proxy closed the link".to_owned()),
            Toxic::Latency { .. } => match touched.added {
                Some(added) => Ok(format!("real chunks +{added}")),
                None => Err("no traffic passed the link".to_owned()),
            },
            Toxic::Blackhole if touched.dropped_bytes > 0 => Ok("real bytes were dropped".to_owned()),
            Toxic::Blackhole => Err("no traffic passed the link".to_owned()),
        }
    }

    pub async fn heal(&self) -> Result<(), String> {
        let link = || self.link.clone();
        if let Some((_, to, stay)) = &self.failover {
            let upstream = resolve(&self.reach, to)?;
            self.ask(Ask::Redirect { link: link(), upstream, stay: *stay }).await?;
        }
        self.ask(Ask::Clear { link: link(), fault: self.fault.clone() }).await.map(|_| ())
    }

    /// By what the proxy has in force.
    pub async fn cleared(&self) -> Result<(), String> {
        let Reply::State(state) = self.ask(Ask::State { link: self.link.clone() }).await? else {
            return Err("the keeper did not say what is in force".to_owned());
        };
        if state.faults.contains(&self.fault) {
            return Err("the proxy still has it in force".to_owned());
        }
        if !state.listening {
            return Err("the link does not accept connections".to_owned());
        }
        match &self.failover {
            Some((_, to, _)) if resolve(&self.reach, to)? != state.upstream => {
                Err(format!("the link leads to {}", state.upstream))
            }
            _ => Ok(()),
        }
    }

    /// By the canary, where there is one.
    pub async fn passes(&self) -> Result<(), String> {
        let Some(before) = self.before else { return Ok(()) };
        match (self.canary(CANARY_TIMEOUT).await?, &self.toxic) {
            (CanaryResult::Answered { took }, Toxic::Latency { .. })
                if self.least_delay() > Micros::ZERO && took - before >= self.least_delay() =>
            {
                Err(format!("the canary still takes {took}"))
            }
            (CanaryResult::Answered { .. }, _) => Ok(()),
            // The link passes; what is behind it answers badly for reasons of its own.
            (CanaryResult::Closed | CanaryResult::Wrong { .. }, _) if self.failover.is_none() => Ok(()),
            (other, _) => Err(format!("the canary saw {}", seen(&other))),
        }
    }

    pub async fn touched(&self) -> Option<Touched> {
        let (link, fault) = (self.link.clone(), self.fault.clone());
        match self.ask(Ask::Touched { link, fault }).await {
            Ok(Reply::Touched { counts }) => counts,
            _ => None,
        }
    }
}

fn seen(result: &CanaryResult) -> String {
    match result {
        CanaryResult::Answered { took } => format!("an answer after {took}"),
        CanaryResult::Refused => "a refused connection".to_owned(),
        CanaryResult::Closed => "a closed connection".to_owned(),
        CanaryResult::Silent => "no answer".to_owned(),
        CanaryResult::Wrong { answer } => format!("a wrong answer: {}", answer.escape_default()),
        CanaryResult::None => "nothing".to_owned(),
    }
}

/// The address behind an upstream.
fn resolve(reach: &Reach, upstream: &Upstream) -> Result<SocketAddr, String> {
    match upstream {
        Upstream::Address(address) => Ok(*address),
        Upstream::Service(name) => reach
            .services
            .get(name)
            .and_then(|service| service.address())
            .ok_or_else(|| format!("service `{name}` has no address of its own")),
    }
}

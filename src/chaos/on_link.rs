//! Faults on a link: latency, blackhole, down, failover. They prove traffic, through the link's canary
//! or, without one, by what the proxy measures on real chunks.

use std::cell::Cell;
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
/// A busy machine may hold a canary back for as long as this by itself.
const HICCUP: Micros = Micros::millis(100);
/// Canaries sent before the fault, of which the fastest counts.
const LOOKS_BEFORE: usize = 10;
/// After so long no further canary is sent: the fault must not come late because the upstream is slow.
const LOOKING: Micros = Micros::millis(250);
/// Canaries that must show a delay shorter than a hiccup.
const LOOKS_AT_SHORT: usize = 3;
/// How long a canary waits when silence is what it looks for.
const SILENCE: Micros = Micros::millis(500);

pub struct LinkDriver {
    reach: Reach,
    fault: String,
    link: String,
    toxic: Toxic,
    /// Failover: the outage, where the link goes then, and whether it stays there for good.
    failover: Option<(Micros, Upstream, bool)>,
    /// What the fastest canary took before the fault, zero if none was answered; none if the link has none.
    before: Option<Micros>,
    /// What the fastest took since the injection.
    since: Cell<Option<Micros>>,
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
        let mut driver = LinkDriver {
            reach: reach.clone(),
            fault,
            link,
            toxic,
            failover,
            before: None,
            since: Cell::new(None),
        };
        driver.before = driver.look_before().await?;
        Ok(driver)
    }

    async fn look_before(&self) -> Result<Option<Micros>, String> {
        let world = &self.reach.world;
        let (began, mut took) = (world.now(), Vec::new());
        while took.len() < LOOKS_BEFORE && world.now() - began <= LOOKING {
            match self.canary(CANARY_TIMEOUT).await? {
                CanaryResult::None => return Ok(None),
                CanaryResult::Answered { took: this } => took.push(this),
                // The upstream is in trouble of its own; what a canary sees later still counts.
                _ => break,
            }
        }
        Ok(Some(took.into_iter().min().unwrap_or_default()))
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
        if let Toxic::Latency { .. } = &self.toxic {
            return self.delayed(before).await;
        }
        match (&self.toxic, self.canary(self.canary_timeout()).await?) {
            (Toxic::Blackhole, CanaryResult::Silent) => Ok("canary got no answer".to_owned()),
            (Toxic::Down, CanaryResult::Refused) => Ok("canary was refused".to_owned()),
            (_, other) => Err(format!("the canary saw {}", seen(&other))),
        }
    }

    /// A long delay shows in one canary; a hiccup could pass for a short one, hardly several times. The toxic is
    /// in force since the injection, so that a single faster answer refutes it for good, however often it is
    /// looked at again.
    async fn delayed(&self, before: Micros) -> Result<String, String> {
        let looks = if self.least_delay() < HICCUP { LOOKS_AT_SHORT } else { 1 };
        for _ in 0..looks {
            match self.canary(self.canary_timeout()).await? {
                CanaryResult::Answered { took } => {
                    self.since.set(Some(self.since.get().map_or(took, |fastest| fastest.min(took))));
                }
                other => return Err(format!("the canary saw {}", seen(&other))),
            }
        }
        let fastest = self.since.get().unwrap_or_default();
        match self.held_back(fastest, before) {
            true => Ok(format!("canary +{}", fastest - before)),
            false => Err(format!("the canary saw an answer after {fastest}, {before} without the fault")),
        }
    }

    /// Whether a canary took as much longer than `before` as the latency toxic makes it.
    fn held_back(&self, took: Micros, before: Micros) -> bool {
        took > Micros::ZERO && took - before >= self.least_delay()
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
                if self.least_delay() > Micros::ZERO && self.held_back(took, before) =>
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::rc::Rc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::super::Port;
    use super::super::journal::Journal;
    use super::*;
    use crate::experiment::Canary;
    use crate::proxy::Links;
    use crate::world::{World, run_virtual};

    const ANY: ([u8; 4], u16) = ([127, 0, 0, 1], 0);
    const BUSY: Micros = Micros::millis(20);

    /// Answers `hi`; the connections of these numbers wait for a busy machine first.
    async fn upstream(world: &World, busy: &'static [usize]) -> SocketAddr {
        let mut listener = world.listen(ANY.into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = world.clone();
        world.spawn(async move {
            for number in 0.. {
                let Ok((mut stream, _)) = listener.accept().await else { return };
                let world = tasks.clone();
                tasks.spawn(async move {
                    let mut question = [0; 2];
                    stream.read_exact(&mut question).await.unwrap();
                    let hiccup = if busy.contains(&number) { BUSY } else { Micros::ZERO };
                    world.sleep(hiccup + Micros::millis(1)).await;
                    stream.write_all(b"hi").await.unwrap();
                    stream.shutdown().await.unwrap();
                });
            }
        });
        address
    }

    /// What is said of 5 ms of latency, looked at until it is proven or for the hundredth time.
    async fn effect(world: World, busy: &'static [usize], inject: bool) -> Result<String, String> {
        let upstream = upstream(&world, busy).await;
        let links = Links::new(world.clone());
        let canary = Some(Canary::Bytes { send: "hi".into(), expect: "hi".into() });
        links.handle(Ask::Open { link: "l".into(), listen: ANY.into(), upstream, canary }).await;
        let (port, journal) = (Rc::new(Port::Local(links)), Rc::new(Journal::none()));
        let reach = Reach { world, port, services: Rc::new(BTreeMap::new()), journal };
        let fault = Fault::Latency {
            link: "l".into(),
            latency: Micros::millis(5),
            jitter: Micros::ZERO,
            direction: Direction::Downstream,
        };
        let driver = LinkDriver::new(&reach, "slow", "l", &fault).await.unwrap();
        if inject {
            driver.inject().await.unwrap();
        }
        let mut effect = driver.effect().await;
        for _ in 1..100 {
            if effect.is_err() {
                effect = driver.effect().await;
            }
        }
        effect
    }

    #[test]
    fn a_hiccup_neither_hides_a_small_delay_nor_passes_for_one() {
        let (proven, unseen) =
            (Ok("canary +5 ms"), Err("the canary saw an answer after 1 ms, 1 ms without the fault"));
        let cases = [
            ("a quiet machine", &[] as &[usize], true, proven),
            ("a hiccup before", &[0], true, proven),
            ("a hiccup after", &[10], true, proven),
            ("no delay", &[], false, unseen),
            ("a hiccup is no delay", &[11], false, unseen),
            ("nor are many in a row", &[12, 13, 14, 15, 16, 17, 18], false, unseen),
        ];
        for (name, busy, inject, expected) in cases {
            run_virtual(move |world| async move {
                let found = effect(world, busy, inject).await;
                assert_eq!(found.as_deref().map_err(String::as_str), expected, "{name}");
            });
        }
    }
}

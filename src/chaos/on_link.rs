//! Faults on a link: latency, blackhole, down, failover. They prove traffic, through the link's canary
//! or, without one, by what the proxy measures on real chunks.

use std::net::SocketAddr;

use super::Reach;
use super::journal::Undo;
use crate::experiment::{Fault, Upstream};
use crate::proxy::message::{CanaryResult, Sighting};
use crate::proxy::{Ask, CANARY_TIMEOUT, Reply};
use crate::record::Touched;
use crate::toxic::{Direction, Toxic};
use crate::units::Micros;

/// How long a canary waits when silence is what it looks for.
const SILENCE: Micros = Micros::millis(500);

pub struct LinkDriver {
    reach: Reach,
    fault: String,
    link: String,
    toxic: Toxic,
    /// Failover: the outage, where the link goes then, and whether it stays there for good.
    failover: Option<(Micros, Upstream, bool)>,
    /// The link has one.
    canary: bool,
}

impl LinkDriver {
    pub fn new(reach: &Reach, name: &str, link: &str, canary: bool, fault: &Fault) -> LinkDriver {
        let (toxic, failover) = match fault {
            Fault::Latency { latency, jitter, direction, .. } => {
                (Toxic::Latency { latency: *latency, jitter: *jitter, direction: *direction }, None)
            }
            Fault::Failover { to, outage, stay, .. } => (Toxic::Down, Some((*outage, to.clone(), *stay))),
            Fault::Down { .. } => (Toxic::Down, None),
            _ => (Toxic::Blackhole, None),
        };
        let (fault, link) = (name.to_owned(), link.to_owned());
        LinkDriver { reach: reach.clone(), fault, link, toxic, failover, canary }
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

    async fn canary(&self, timeout: Micros) -> Result<Sighting, String> {
        match self.ask(Ask::Canary { link: self.link.clone(), timeout }).await? {
            Reply::Canary(sighting) => Ok(sighting),
            other => Err(format!("the keeper answered {other:?}")),
        }
    }

    pub async fn inject(&self) -> Result<(), String> {
        let (link, fault, toxic) = (self.link.clone(), self.fault.clone(), self.toxic.clone());
        self.ask(Ask::Inject { link, fault, toxic }).await.map(|_| ())
    }

    /// The least delay that the latency toxic adds to a chunk.
    fn least_delay(&self) -> Micros {
        match &self.toxic {
            Toxic::Latency { latency, jitter, .. } => (*latency - *jitter).max(Micros(1)),
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

    /// By what a canary met, and what the proxy says that it did to it: how slow the upstream is and how busy the
    /// machine is does not matter.
    pub async fn effect(&self) -> Result<String, String> {
        if !self.canary && self.toxic != Toxic::Down {
            return self.effect_on_traffic().await;
        }
        let sighting = self.canary(self.canary_timeout()).await?;
        match (&self.toxic, &sighting.saw) {
            (Toxic::Latency { direction, .. }, _)
                if sighting.delay >= self.least_delay() * ways(*direction) =>
            {
                Ok(format!("canary +{}", sighting.delay))
            }
            (Toxic::Blackhole, CanaryResult::Silent) if sighting.dropped > 0 => {
                Ok("canary got no answer".to_owned())
            }
            (Toxic::Down, CanaryResult::Refused) => {
                let who = if self.canary { "canary" } else { "a connection" };
                Ok(format!("{who} was refused"))
            }
            _ => Err(format!("the canary saw {}", seen(&sighting))),
        }
    }

    async fn effect_on_traffic(&self) -> Result<String, String> {
        let touched = self.touched().await.unwrap_or_default();
        match (&self.toxic, touched.added) {
            (Toxic::Latency { .. }, Some(added)) if added >= self.least_delay() => {
                Ok(format!("real chunks +{added}"))
            }
            (Toxic::Latency { .. }, Some(added)) => {
                Err(format!("real chunks were held back by {added} only"))
            }
            (Toxic::Latency { .. }, None) if touched.chunks > 0 => {
                Err(format!("{} chunks were kept back, and none had come through by then", touched.chunks))
            }
            (Toxic::Blackhole, _) if touched.dropped_bytes > 0 => Ok("real bytes were dropped".to_owned()),
            _ => Err("no traffic passed the link".to_owned()),
        }
    }

    /// Without a canary a latency is proven when the first chunk has come through.
    pub async fn held_back(&self) -> Micros {
        let by_traffic = !self.canary && matches!(self.toxic, Toxic::Latency { .. });
        let touched = if by_traffic { self.touched().await } else { None };
        touched.and_then(|touched| touched.added).unwrap_or_default()
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

    /// By the canary; without one, the other side of a failover must accept connections at least.
    pub async fn passes(&self) -> Result<(), String> {
        match (self.canary, &self.failover) {
            (false, None) => return Ok(()),
            (false, Some((_, to, _))) => return self.accepts(resolve(&self.reach, to)?).await,
            (true, _) => {}
        }
        let sighting = self.canary(CANARY_TIMEOUT).await?;
        match &sighting.saw {
            _ if sighting.delay > Micros::ZERO => {
                Err(format!("the canary was still held back by {}", sighting.delay))
            }
            CanaryResult::Answered => Ok(()),
            // The link passes; what is behind it answers badly for reasons of its own.
            CanaryResult::Closed | CanaryResult::Wrong { .. } if self.failover.is_none() => Ok(()),
            _ => Err(format!("the canary saw {}", seen(&sighting))),
        }
    }

    async fn accepts(&self, address: SocketAddr) -> Result<(), String> {
        let world = &self.reach.world;
        match world.timeout(CANARY_TIMEOUT, world.connect(address)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(format!("nobody answers at {address}: {error}")),
            Err(_) => Err(format!("nobody answers at {address}: no connection within {CANARY_TIMEOUT}")),
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

/// How often an exchange is held back.
fn ways(direction: Direction) -> i64 {
    if direction == Direction::Both { 2 } else { 1 }
}

fn seen(sighting: &Sighting) -> String {
    let saw = match &sighting.saw {
        CanaryResult::Answered => "an answer".to_owned(),
        CanaryResult::Refused => "a refused connection".to_owned(),
        CanaryResult::Closed => "a closed connection".to_owned(),
        CanaryResult::Silent => "no answer".to_owned(),
        CanaryResult::Wrong { answer } => format!("a wrong answer: {}", answer.escape_default()),
        CanaryResult::None => "an open port".to_owned(),
    };
    match (sighting.delay, sighting.dropped) {
        (Micros::ZERO, 0) => saw,
        (delay, 0) => format!("{saw}, held back by {delay}"),
        (_, dropped) => format!("{saw}, {dropped} bytes dropped"),
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

    /// Answers `hi` after `slow`.
    async fn upstream(world: &World, slow: Micros) -> SocketAddr {
        let mut listener = world.listen(ANY.into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = world.clone();
        world.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let world = tasks.clone();
                tasks.spawn(async move {
                    let mut question = [0; 2];
                    if stream.read_exact(&mut question).await.is_ok() {
                        world.sleep(slow).await;
                        // Nobody may be there any more.
                        let _ = stream.write_all(b"hi").await;
                        let _ = stream.shutdown().await;
                    }
                });
            }
        });
        address
    }

    /// Somebody who asks through the link every 10 ms.
    fn traffic(world: &World, link: SocketAddr) {
        let tasks = world.clone();
        world.spawn(async move {
            loop {
                tasks.sleep(Micros::millis(10)).await;
                let Ok(mut stream) = tasks.connect(link).await else { continue };
                let _ = stream.write_all(b"hi").await;
                tasks.spawn(async move { stream.read_exact(&mut [0; 2]).await.is_ok() });
            }
        });
    }

    /// The driver of a fault on a link, with or without a canary, before an upstream this slow.
    async fn driver(
        world: &World,
        fault: &Fault,
        canary: bool,
        slow: Micros,
        port: fn(Links) -> Port,
    ) -> LinkDriver {
        let upstream = upstream(world, slow).await;
        let links = Links::new(world.clone());
        let says = Canary::Bytes { send: "hi".into(), expect: "hi".into() };
        let says = canary.then_some(says);
        let ask = Ask::Open { link: "l".into(), listen: ANY.into(), upstream, canary: says };
        let Reply::Opened { listen } = links.handle(ask).await else { panic!("not opened") };
        traffic(world, listen);
        let (port, journal) = (Rc::new(port(links)), Rc::new(Journal::none()));
        let reach = Reach { world: world.clone(), port, services: Rc::new(BTreeMap::new()), journal };
        LinkDriver::new(&reach, "broken", "l", canary, fault)
    }

    fn latency(latency: Micros, direction: Direction) -> Fault {
        Fault::Latency { link: "l".into(), latency, jitter: Micros::ZERO, direction }
    }

    fn failover(to: SocketAddr) -> Fault {
        let (to, outage) = (Upstream::Address(to), Micros::SECOND);
        Fault::Failover { link: "l".into(), to, outage, stay: false }
    }

    fn every_kind() -> Vec<(&'static str, Fault)> {
        vec![
            ("latency", latency(Micros::millis(5), Direction::Downstream)),
            ("blackhole", Fault::Blackhole { link: "l".into() }),
            ("down", Fault::Down { link: "l".into() }),
            ("failover", failover(ANY.into())),
        ]
    }

    /// What is said 100 ms after the injection.
    async fn effect(world: &World, driver: &LinkDriver) -> Result<String, String> {
        driver.inject().await.unwrap();
        world.sleep(Micros::millis(100)).await;
        driver.effect().await
    }

    #[test]
    fn an_injector_that_does_nothing_is_found_out_for_every_kind_of_fault_on_a_link() {
        for (name, fault) in every_kind() {
            for canary in [true, false] {
                let fault = fault.clone();
                run_virtual(move |world| async move {
                    let slow = Micros::MILLISECOND;
                    for port in [Port::Deaf as fn(Links) -> Port, Port::InNameOnly] {
                        let does_nothing = driver(&world, &fault, canary, slow, port).await;
                        let found = effect(&world, &does_nothing).await;
                        assert!(found.is_err(), "{name}, canary {canary}: {found:?}");
                    }
                    let works = driver(&world, &fault, canary, slow, Port::Local).await;
                    let found = effect(&world, &works).await;
                    assert!(found.is_ok(), "{name}, canary {canary}: {found:?}");
                });
            }
        }
    }

    #[test]
    fn a_delay_is_told_by_what_the_proxy_held_however_slow_the_upstream_is() {
        let cases = [(Direction::Downstream, "canary +5 ms"), (Direction::Both, "canary +10 ms")];
        for (direction, expected) in cases {
            for slow in [1, 700] {
                run_virtual(move |world| async move {
                    let fault = latency(Micros::millis(5), direction);
                    let driver = driver(&world, &fault, true, Micros::millis(slow), Port::Local).await;
                    assert_eq!(effect(&world, &driver).await.as_deref(), Ok(expected), "{slow} ms");
                    driver.heal().await.unwrap();
                    assert_eq!((driver.cleared().await, driver.passes().await), (Ok(()), Ok(())));
                });
            }
        }
    }

    #[test]
    fn a_delay_longer_than_it_was_looked_for_is_not_told_as_no_traffic() {
        run_virtual(|world| async move {
            let fault = latency(Micros::secs(10), Direction::Downstream);
            let driver = driver(&world, &fault, false, Micros::MILLISECOND, Port::Local).await;
            let found = effect(&world, &driver).await.unwrap_err();
            assert!(found.ends_with("chunks were kept back, and none had come through by then"), "{found}");
        });
    }

    #[test]
    fn a_failover_passes_only_when_the_other_side_answers() {
        for canary in [true, false] {
            run_virtual(move |world| async move {
                let nobody = world.free_address().await.unwrap();
                let somebody = upstream(&world, Micros::MILLISECOND).await;
                for (to, answers) in [(nobody, false), (somebody, true)] {
                    let driver =
                        driver(&world, &failover(to), canary, Micros::MILLISECOND, Port::Local).await;
                    driver.inject().await.unwrap();
                    driver.heal().await.unwrap();
                    assert_eq!(driver.cleared().await, Ok(()));
                    let passes = driver.passes().await;
                    assert_eq!(passes.is_ok(), answers, "canary {canary}: {passes:?}");
                }
            });
        }
    }
}

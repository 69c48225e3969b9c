//! The controller in virtual time: when it injects, and when it does not.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::watch;

use super::journal::Journal;
use super::*;
use crate::chaos_plan;
use crate::experiment::{Flags, resolve};
use crate::profile;
use crate::timeline::fake::Plan;
use crate::world::run_virtual;
use crate::yaml::Env;

const PROFILE: &str = "target: sandbox\nduration: 60s\nshapes:\n  load:\n    arrival: {constant: {rate: 10/s}}\n    timeout: 1s\n    flow: [{get: /rooms, as: list}]\n";
const CHAOS: &str = "judge: {warmup: 2s, baseline: 10s, windows: 5, stretch: 5s}\nsteady: [errors < 1%]\ntimeline:\n  - {name: x, at: 20s, for: 5s, blackhole: {link: api-store}}\n";

fn experiment(chaos: &str) -> Arc<Experiment> {
    let profile = profile::read("p.yaml", PROFILE, &Env::default());
    let chaos = chaos_plan::read("c.yaml", chaos, &Env::default());
    let flags = Flags { virtual_time: true, ..Flags::default() };
    let nowhere = |_: &str, _: u16| Err("no network".to_owned());
    Arc::new(resolve(&profile, Some(&chaos), &flags, &nowhere).unwrap_or_else(|p| panic!("{p:?}")))
}

/// Stages of the fault and their times, where the steady state is seen at `steady` and all must be healed at `heal`.
fn stages(steady: Option<i64>, heal: i64) -> Vec<(FaultStage, Micros)> {
    stages_of(CHAOS, steady, heal)
}

fn stages_of(chaos: &'static str, steady: Option<i64>, heal: i64) -> Vec<(FaultStage, Micros)> {
    run_virtual(|world| async move {
        let recorder = Recorder::new(world.clone(), Box::new(std::io::sink()));
        recorder.begin(Micros::ZERO, Plan::new(60).header());
        let (port, journal) = (Rc::new(Port::Local(Links::new(world.clone()))), Rc::new(Journal::none()));
        let listen = "127.0.0.1:0".parse().unwrap();
        let upstream = "127.0.0.1:9".parse().unwrap();
        let open = Ask::Open { link: "api-store".into(), listen, upstream, canary: None };
        assert!(matches!(port.ask(open).await, Reply::Opened { .. }));
        let reach = Reach { world: world.clone(), port, services: Rc::new(BTreeMap::new()), journal };
        let (urgency, urged) = watch::channel(Urgency::None);
        let (gate, opened) = watch::channel(false);
        let controller = Controller::new(reach, experiment(chaos), recorder.clone(), urged, opened);
        let running = world.spawn(controller.run());
        if let Some(at) = steady {
            world.sleep_until(Micros::secs(at)).await;
            gate.send_replace(true);
        }
        world.sleep_until(Micros::secs(heal)).await;
        urgency.send_replace(Urgency::Heal);
        running.await.unwrap();
        let fold = recorder.timeline().unwrap();
        fold.faults.iter().map(|event| (event.stage, event.at)).collect()
    })
}

#[test]
fn nothing_is_injected_before_the_steady_state_was_seen_however_late_that_is() {
    let asked = |steady| stages(steady, 50)[0];
    assert_eq!(asked(Some(19)), (FaultStage::Asked, Micros::secs(20)));
    assert_eq!(asked(Some(23)), (FaultStage::Asked, Micros::secs(23)), "the look came late");
    assert_eq!(stages(None, 50), [(FaultStage::Skipped, Micros::secs(50))], "it was never seen");
}

#[test]
fn who_heals_waits_for_no_failover_to_settle_however_long_it_has_been_waited_for() {
    const FAILOVER: &str = "judge: {warmup: 2s, baseline: 10s, windows: 5, stretch: 5s}\ntimeline:\n  - {name: x, at: 20s, settle: 35s, failover: {link: api-store, to: '127.0.0.1:9', outage: 1s}}\n";
    let over = |heal| stages_of(FAILOVER, Some(10), heal).pop();
    assert_eq!(
        over(23),
        Some((FaultStage::NotEffective, Micros::secs(26))),
        "as if it had been healed at first"
    );
    assert_eq!(over(40), Some((FaultStage::NotEffective, Micros::secs(40))));
    assert_eq!(over(59), Some((FaultStage::NotEffective, Micros::secs(56))), "until it was to have settled");
}

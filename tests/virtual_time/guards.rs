//! What stops a run, what makes it prove nothing, and what is cleaned up whatever happened.

use std::net::SocketAddr;

use squall::conductor::Failure;
use squall::exit::NOT_UNDONE;
use squall::record::{FaultStage, How};
use squall::sample::Kind;
use squall::units::Micros;
use squall::world::World;

use crate::common::{Ran, conducted_beside, experiment, flags, outcomes, run, try_experiment};

const S: Micros = Micros::SECOND;

/// Ten rooms looked at a second; `{}` is for more of the profile.
fn lookers(more: &str) -> String {
    format!(
        "target: {{ sandbox: {{ rooms: 1 }} }}\nduration: 60s\nshapes:\n  s:\n    arrival: {{ constant: {{ rate: 10/s }} }}\n    \
         probes: false\n    timeout: 1s\n    flow: [{{ get: /rooms/seed-000001, as: look }}]\n{more}"
    )
}

const JUDGE: &str = "judge: { warmup: 2s, baseline: 10s, windows: 5, stretch: 5s, stretch_windows: 3 }\n";

fn ended(ran: &Ran) -> How {
    ran.timeline.end.as_ref().unwrap().how
}

#[test]
fn an_abort_rule_ends_the_run_heals_at_once_and_is_a_fail() {
    let chaos = format!(
        "{JUDGE}abort: [errors > 50% for 5s]\ntimeline: [{{ name: x, at: 20s, for: 30s, down: {{ link: api-store }} }}]\n"
    );
    let ran = run(&lookers("teardown: { steps: [{ get: /rooms/seed-000001 }] }\n"), &chaos);
    assert_eq!((ran.exit(), ended(&ran)), (99, How::Aborted), "{}", ran.story());
    let rule = &ran.timeline.rules[0];
    assert_eq!(rule.rule.word(), "abort");
    assert!(rule.at >= S * 22 && rule.at <= S * 27, "more than half of 5 s: {}", rule.at);
    assert_eq!(ran.stage("x", FaultStage::Verified), Some(rule.at), "healed at once, not at 50 s");
    let last = ran.timeline.all_cells().into_iter().next_back().unwrap();
    assert!(Micros::secs(i64::from(last)) <= rule.at, "no load after it: cell {last}");
    assert!(ran.timeline.left.is_empty(), "teardown ran, on a healed system: {:?}", ran.timeline.left);
    assert!(ran.judgement.summary.verdict.contains("abort rule"), "{}", ran.story());
}

#[test]
fn a_rule_over_minutes_fires_after_as_many_of_them() {
    let chaos = format!(
        "{JUDGE}abort: [errors > 50% for 5m]\ntimeline: [{{ name: x, at: 60s, for: 14m, down: {{ link: api-store }} }}]\n"
    );
    let ran = run(&lookers("").replace("60s", "20m").replace("10/s", "1/s"), &chaos);
    let rule = &ran.timeline.rules[0];
    // Bad from 60 s on: at 1/s a window is of 5 s, and most of the one that begins 2 s before is bad.
    assert_eq!(rule.at, S * 358 + Micros::millis(50));
}

/// Its last second is told of as the next begins: who looked at that moment never saw all of ten seconds, if its
/// arrivals lie between the edges of seconds.
#[test]
fn a_rule_fires_as_soon_as_its_time_is_over_whatever_the_load() {
    let chaos = format!(
        "{JUDGE}abort: [errors > 50% for 10s]\ntimeline: [{{ name: x, at: 60s, for: 14m, down: {{ link: api-store }} }}]\n"
    );
    let constant = "constant: { rate: 10/s }";
    for load in [constant, "poisson: { rate: 20/s }", "closed: { users: 10 }"] {
        let lookers = lookers("").replace("60s", "20m").replace(constant, load);
        let ran = run(&lookers.replace("as: look }", "as: look }, { think: 900ms }"), &chaos);
        let at = ran.timeline.rules[0].at;
        assert!(at >= S * 70 && at < S * 72, "{load}: {at}");
    }
}

/// Its canary would be back 8 s after the injection.
#[test]
fn a_heal_waits_for_no_canary_that_is_under_way() {
    let chaos = format!(
        "{JUDGE}abort: [errors > 50% for 4s]\n\
         timeline: [{{ name: x, at: 20s, for: 30s, latency: {{ link: api-store, latency: 8s }} }}]\n"
    );
    let ran = run(&lookers(""), &chaos);
    let rule = &ran.timeline.rules[0];
    assert!(rule.at < S * 27, "{}", rule.at);
    assert_eq!(ran.stage("x", FaultStage::Verified), Some(rule.at), "{}", ran.story());
}

#[test]
fn a_run_that_was_cut_short_is_judged_as_far_as_its_load_went() {
    let profile = "target: { sandbox: { rooms: 1 } }\nduration: 60s\nshapes:\n  s:\n    arrival: { constant: { rate: 10/s } }\n    \
        probes: false\n    timeout: 5s\n    flow:\n      - { get: /rooms/seed-000001, as: look }\n      - think: 15s\n      - { get: /livez, as: again }\n";
    let chaos = format!(
        "{JUDGE}abort: [errors(look) > 50% for 5s]\ntimeline: [{{ name: x, at: 20s, for: 30s, down: {{ link: api-store }} }}]\n"
    );
    let ran = run(profile, &chaos);
    let at = ran.timeline.rules[0].at;
    assert_eq!(ran.timeline.stopped_at(), Some(at), "{}", ran.story());
    assert_eq!(ran.timeline.load_end(), at);
    let last = ran.timeline.all_cells().into_iter().next_back().unwrap();
    assert!(Micros::secs(i64::from(last)) <= at, "no flow begins a further step: cell {last}");
    assert!(ran.judgement.generator.sound, "{}", ran.judgement.generator.sentence);
}

#[test]
fn a_panic_of_squalls_own_is_its_failure_and_nothing_of_the_rest_is_lost() {
    let of = |broken: fn(&mut squall::experiment::Experiment)| {
        let mut experiment = experiment(&lookers(""), Some(JUDGE), &flags());
        broken(&mut experiment);
        conducted_beside(experiment, 2, |_| {})
    };
    let rows = [
        ("a flow", of(|e| e.shapes[0].op = squall::sample::OpId(999))),
        ("a shard", of(|e| e.outline.shapes.clear())),
    ];
    for (what, ran) in rows {
        let Err(Failure::Runtime(why)) = &ran.ended else { panic!("{what}: {:?}", ran.ended) };
        assert!(why.contains("panicked"), "{what}: {why}");
        assert_eq!((ran.exit(), ended(&ran)), (107, How::Failed), "{what}: {}", ran.story());
        let stopped = ran.timeline.stopped_at().unwrap();
        assert!(stopped < S, "{what}: at once, not at {stopped}");
    }
}

#[test]
fn a_fault_planned_after_the_abort_is_never_injected() {
    let chaos = format!(
        "{JUDGE}abort: [errors > 50% for 5s]\ntimeline:\n  - {{ name: x, at: 20s, for: 10s, down: {{ link: api-store }} }}\n  \
         - {{ name: y, at: 45s, kill: {{ service: store-a }} }}\n"
    );
    let ran = run(&lookers(""), &chaos);
    assert_eq!(ran.fault("y"), [None; 3]);
    assert!(ran.stage("y", FaultStage::Skipped).is_some());
}

#[test]
fn without_its_steady_state_a_service_is_not_broken_on_top() {
    let absent = lookers("").replace("seed-000001", "nobody");
    let chaos = format!(
        "{JUDGE}steady: [errors < 5%]\ntimeline: [{{ name: x, at: 20s, for: 10s, down: {{ link: api-store }} }}]\n"
    );
    let ran = run(&absent, &chaos);
    assert_eq!((ran.exit(), ended(&ran)), (97, How::Unsteady), "{}", ran.story());
    assert_eq!(ran.fault("x"), [None; 3], "nothing was injected");
    let well = run(&lookers(""), &chaos);
    assert_eq!((well.exit(), ended(&well)), (98, How::Complete), "no objective: {}", well.story());
    let summary = squall::report::markdown(&well.judgement);
    assert!(summary.contains("To do: add "), "{summary}");
}

#[test]
fn a_setup_that_fails_ends_the_run_and_teardown_runs_all_the_same() {
    let profile = lookers(
        "setup: { retries: 2, steps: [{ get: /rooms/nobody }] }\nteardown: { steps: [{ delete: /rooms/nobody }] }\n",
    );
    let ran = run(&profile, "");
    let Err(Failure::Runtime(why)) = &ran.ended else { panic!("{:?}", ran.ended) };
    assert!(why.contains("setup failed") && why.contains("GET /rooms/nobody"), "{why}");
    assert_eq!((ran.exit(), ended(&ran)), (107, How::Failed));
    assert_eq!(ran.timeline.left.len(), 1, "{:?}", ran.timeline.left);
    assert!(ran.timeline.left[0].starts_with("DELETE /rooms/nobody"), "{:?}", ran.timeline.left);
    assert!(outcomes(&ran.timeline, "look").is_empty(), "no load was sent");
}

#[test]
fn teardown_after_a_failed_setup_knows_what_the_steps_before_have_captured() {
    let profile = lookers(
        "setup:\n  retries: 0\n  steps:\n    \
         - { post: /rooms, json: { name: hall }, expect: { status: 201 }, capture: { hall: $.name } }\n    \
         - { get: /rooms/nobody }\n\
         teardown: { steps: [{ delete: \"/rooms/{{ setup.hall }}\", expect: { status: 204 } }] }\n",
    );
    let ran = run(&profile, "");
    assert!(matches!(ran.ended, Err(Failure::Runtime(_))), "{:?}", ran.ended);
    assert_eq!(ran.timeline.left, [""; 0], "the hall is gone");
}

#[test]
fn a_target_that_never_answers_in_setup_is_a_bad_configuration() {
    let profile = "target: { sandbox: { plain: { service: 30s } } }\nduration: 60s\n\
        setup: { within: 5s, steps: [{ get: /, timeout: 1s }] }\n\
        shapes:\n  s:\n    arrival: { constant: { rate: 10/s } }\n    timeout: 1s\n    flow: [{ get: /, as: look }]\n";
    let ran = run(profile, "");
    let Err(Failure::Configuration(why)) = &ran.ended else { panic!("{:?}", ran.ended) };
    assert!(why.contains("never answered in setup") && why.contains("no answer within 1 s"), "{why}");
}

#[test]
fn what_setup_captures_is_there_for_flows_and_teardown_lists_what_it_could_not_remove() {
    let profile = "target: sandbox\nduration: 20s\n\
        setup: { steps: [{ post: /rooms, json: { name: \"hall-{{ run }}\" }, expect: { status: 201 }, capture: { hall: $.name } }] }\n\
        shapes:\n  s:\n    arrival: { constant: { rate: 10/s } }\n    probes: false\n    flow: [{ get: \"/rooms/{{ setup.hall }}\", as: look }]\n\
        teardown:\n  steps:\n    - delete: \"/rooms/{{ setup.hall }}\"\n    - delete: \"/rooms/{{ setup.hall }}\"\n";
    let ran = run(profile, "judge: { warmup: 2s, baseline: 1s }\n");
    assert_eq!(outcomes(&ran.timeline, "look").get(&(Kind::Ok, 200)), Some(&200), "{}", ran.story());
    assert_eq!(ran.judgement.left.len(), 1, "the second finds nothing: {:?}", ran.judgement.left);
    let left = &ran.judgement.left[0];
    assert!(left.starts_with("DELETE /rooms/hall-test: status 404"), "{left}");
    let setup = ran.timeline.setup.as_ref().unwrap();
    assert_eq!((setup.requests, setup.retried), (1, 0));
    assert!(setup.at < Micros::ZERO, "before the load: {}", setup.at);
}

/// VERDICTS.md 5, lie 4: windows without an answer are bad, never left out.
#[test]
fn a_target_that_swallows_everything_makes_every_window_bad() {
    let profile = "target: { sandbox: { plain: { service: 1ms } } }\nduration: 120s\n\
        shapes:\n  s:\n    arrival: { constant: { rate: 50/s } }\n    probes: false\n    timeout: 1s\n    flow: [{ get: /, as: look }]\n\
        objectives: [errors(look) < 1% during swallow, \"p50(look) < 500ms during swallow\", goodput(look) > 99% during baseline]\n";
    let chaos =
        format!("{JUDGE}timeline: [{{ name: swallow, at: 30s, for: 60s, pause: {{ service: plain }} }}]\n");
    let ran = run(profile, &chaos);
    let op = ran.op("look");
    for cell in 30..89 {
        let tally = ran.timeline.tally(op, &[cell].into());
        assert_eq!((tally.intended, tally.good()), (50, 0), "second {cell}");
        assert!(tally.responses().quantile(1e-9).unwrap().0 > 999_000, "second {cell}");
    }
    let words: Vec<&str> = ran.judgement.objectives.iter().map(|o| o.word.text()).collect();
    assert_eq!((words, ran.exit()), (vec!["FAIL", "FAIL", "PASS"], 99), "{}", ran.story());
    assert!(ran.judgement.generator.sound, "the target's silence is not the generator's: {}", ran.story());
}

fn taken() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7_777))
}

/// From 21 s on, takes an address as soon as it is free, and keeps it.
fn squat(world: &World, address: SocketAddr) {
    let beside = world.clone();
    world.spawn(async move {
        beside.sleep(S * 21).await;
        // For as long as any of the runs here lasts: one that never gets it must end as well.
        let mut squatter = None;
        for _ in 0..10_000 {
            squatter = squatter.or(beside.listen(address).await.ok());
            beside.sleep(Micros::millis(10)).await;
        }
    });
}

/// VERDICTS.md 5, lie 6: somebody takes the port of a link that is down, so that it cannot come back.
#[test]
fn a_fault_that_cannot_be_removed_is_said_so_and_proves_nothing() {
    let chaos = format!("{JUDGE}timeline: [{{ name: x, at: 20s, for: 5s, down: {{ link: api-store }} }}]\n");
    let profile = lookers("objectives: [errors < 1% after x, errors < 100% during x]\n");
    let mut experiment = experiment(&profile, Some(&chaos), &flags());
    experiment.links[0].listen = Some(taken());
    let ran = conducted_beside(experiment, 1, |world| squat(world, taken()));
    assert_eq!(ran.stage("x", FaultStage::Verified), None);
    let seen = ran.timeline.faults.iter().find(|e| e.stage == FaultStage::NotCleared).unwrap();
    assert!(seen.detail.contains("took the port"), "{}", seen.detail);
    assert!(ran.ended.as_ref().unwrap().not_undone);
    assert_eq!((ran.judgement.verdict.text(), ran.exit()), ("INVALID", NOT_UNDONE), "{}", ran.story());
}

/// Somebody takes the address of a store that is dead: it cannot start again.
#[test]
fn a_service_that_does_not_start_again_is_a_fault_that_was_not_removed() {
    let chaos = format!("{JUDGE}timeline: [{{ name: x, at: 20s, for: 5s, kill: {{ service: store-a }} }}]\n");
    let experiment = experiment(&lookers(""), Some(&chaos), &flags());
    let first_port = SocketAddr::from(([127, 0, 0, 1], 20_000));
    let ran = conducted_beside(experiment, 1, |world| squat(world, first_port));
    assert_eq!(ran.stage("x", FaultStage::Effective), Some(S * 20));
    assert_eq!(ran.stage("x", FaultStage::Verified), None);
    let problem = ran.judgement.faults[0].problem.clone().unwrap_or_default();
    assert!(problem.contains("not proven to be removed") && problem.contains("store-a"), "{problem}");
    assert_eq!((ran.judgement.verdict.text(), ran.exit()), ("INVALID", NOT_UNDONE), "{}", ran.story());
}

#[test]
fn a_plan_that_cannot_be_rehearsed_is_refused_in_words() {
    let chaos = format!(
        "{JUDGE}timeline: [{{ name: x, at: 20s, for: 5s, exec: {{ run: [a], undo: [b], check: [c] }} }}]\n"
    );
    let refused = try_experiment(&lookers(""), Some(&chaos), &flags()).unwrap_err();
    assert!(refused.contains("programs cannot run in virtual time"), "{refused}");
    let nothing = format!(
        "{JUDGE}timeline: [{{ name: x, at: 20s, for: 5s, latency: {{ link: api-store, latency: 0ms }} }}]\n"
    );
    assert!(
        try_experiment(&lookers(""), Some(&nothing), &flags()).is_err(),
        "a latency of nothing breaks nothing"
    );
}

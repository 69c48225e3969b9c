//! Faults: in force and gone exactly when the plan says, seen, counted, and told in phases.

use squall::experiment::Experiment;
use squall::objective::PhaseName;
use squall::record::FaultStage;
use squall::sample::Kind;
use squall::units::Micros;

use crate::common::{Ran, conducted, experiment, flags, outcomes, run};

const S: Micros = Micros::SECOND;
const MS: Micros = Micros::MILLISECOND;

/// Ten rooms looked at a second, on a sandbox with a room.
const LOOKERS: &str = "target: { sandbox: { rooms: 1 } }\nduration: 60s\nshapes:\n  s:\n    arrival: { constant: { rate: 10/s } }\n    \
    probes: false\n    timeout: 1s\n    flow: [{ get: /rooms/seed-000001, as: look }]\n";

const JUDGE: &str = "judge: { warmup: 2s, baseline: 10s, windows: 5, stretch: 5s, stretch_windows: 3 }\n";

/// Faults of one timeline under `LOOKERS`.
fn broken(timeline: &str) -> Ran {
    run(LOOKERS, &plan(timeline))
}

fn plan(timeline: &str) -> String {
    format!("{JUDGE}timeline:\n  - {}\n", timeline.replace("; ", "\n  - "))
}

fn at(asked: Micros, effective: Micros, verified: Micros) -> [Option<Micros>; 3] {
    [Some(asked), Some(effective), Some(verified)]
}

/// Start and end of a phase in seconds.
fn phase(ran: &Ran, name: PhaseName) -> Vec<(i64, i64)> {
    let phase = ran.judgement.phases.iter().find(|p| p.name == name).unwrap_or_else(|| panic!("{name:?}"));
    phase.spans.iter().map(|s| (s.from.0 / S.0, s.to.0 / S.0)).collect()
}

fn during(ran: &Ran, name: &str) -> Vec<(i64, i64)> {
    phase(ran, PhaseName::During(name.into()))
}

fn after(ran: &Ran, name: &str) -> Vec<(i64, i64)> {
    phase(ran, PhaseName::After(name.into()))
}

/// Operations that went wrong, by the second they were due in.
fn bad_seconds(ran: &Ran) -> Vec<u32> {
    let op = ran.op("look");
    let bad =
        |cell: &u32| ran.timeline.tally(op, &[*cell].into()).bad_share().is_some_and(|share| share > 0.0);
    ran.timeline.all_cells().into_iter().filter(bad).collect()
}

#[test]
fn each_fault_is_in_force_and_gone_at_its_time() {
    let rows = [
        (
            "latency",
            "{ name: x, at: 20s, for: 10s, latency: { link: api-store, latency: 100ms } }",
            (20_000, 20_000, 30_000),
        ),
        (
            "blackhole",
            "{ name: x, at: 20s, for: 10s, blackhole: { link: api-store } }",
            (20_000, 20_000, 30_000),
        ),
        ("down", "{ name: x, at: 20s, for: 10s, down: { link: api-store } }", (20_000, 20_000, 30_000)),
        ("a pause", "{ name: x, at: 20s, for: 10s, pause: { service: store-a } }", (20_000, 20_000, 30_000)),
        (
            "a kill that ends: ready again after 500 ms",
            "{ name: x, at: 20s, for: 10s, kill: { service: store-a } }",
            (20_000, 20_000, 30_500),
        ),
        ("a kill for good", "{ name: x, at: 20s, kill: { service: store-a } }", (20_000, 20_000, 20_000)),
        ("a restart", "{ name: x, at: 20s, restart: { service: store-a } }", (20_000, 20_000, 20_500)),
        (
            "a failover: over when B answers",
            "{ name: x, at: 20s, failover: { link: api-store, to: store-b, outage: 4s } }",
            (20_000, 20_000, 24_000),
        ),
    ];
    for (what, timeline, (asked, effective, verified)) in rows {
        let ran = broken(timeline);
        assert_eq!(ran.fault("x"), at(MS * asked, MS * effective, MS * verified), "{what}: {}", ran.story());
        let trigger = &ran.judgement.triggers[0];
        assert_eq!((trigger.t_inject, trigger.t_effective), (MS * asked, Some(MS * effective)), "{what}");
        let one_shot = what.contains("good") || what.contains("restart");
        let clear = if one_shot { effective } else { verified };
        assert_eq!(trigger.t_clear, Some(MS * clear), "{what}");
        assert_eq!(ran.judgement.faults[0].problem, None, "{what}");
        assert!(!ran.ended.as_ref().unwrap().not_undone, "{what}");
    }
}

#[test]
fn a_fault_is_over_when_it_is_gone_whatever_its_target_does_then() {
    let ran = broken(
        "{ name: x, at: 20s, for: 10s, blackhole: { link: api-store } }; \
         { name: y, at: 29s, for: 4s, pause: { service: store-a } }",
    );
    assert_eq!(ran.fault("x"), at(MS * 20_000, MS * 20_000, MS * 30_000), "{}", ran.story());
}

#[test]
fn a_service_that_starts_for_longer_than_the_plan_leaves_it_is_broken_again_when_it_is_there() {
    let profile = LOOKERS.replace("rooms: 1", "rooms: 1, start_time: 14s");
    let ran =
        run(&profile, &plan("{ name: x, at: 20s, every: 12s, times: 2, restart: { service: store-a } }"));
    assert_eq!(ran.fault("x#1"), at(S * 20, S * 20, S * 34), "{}", ran.story());
    assert_eq!(ran.fault("x#2"), at(S * 34, S * 34, S * 48), "{}", ran.story());
    assert!(!ran.ended.as_ref().unwrap().not_undone, "{}", ran.story());
}

#[test]
fn a_fault_for_which_a_slow_start_left_no_time_says_so() {
    let profile = LOOKERS.replace("rooms: 1", "rooms: 1, start_time: 19s");
    let ran =
        run(&profile, &plan("{ name: x, at: 43s, every: 12s, times: 2, restart: { service: store-a } }"));
    let said = ran.judgement.faults[1].problem.as_deref();
    let why =
        "x#2 was never seen in force (the run ended before what it breaks was back from the fault before it)";
    assert_eq!(said, Some(why), "{}", ran.story());
}

#[test]
fn a_failover_to_where_nobody_answers_is_never_verified() {
    let ran = broken("{ name: x, at: 20s, failover: { link: api-store, to: \"127.0.0.1:9\", outage: 4s } }");
    assert_eq!(ran.stage("x", FaultStage::Verified), None, "{}", ran.story());
    assert!(ran.stage("x", FaultStage::NotEffective).is_some(), "{}", ran.story());
    assert!(!ran.ended.as_ref().unwrap().not_undone, "it went back");
}

#[test]
fn phases_round_outward_while_a_fault_is_in_force_and_inward_around_it() {
    let ran = broken("{ name: x, at: 20500ms, for: 9s, latency: { link: api-store, latency: 100ms } }");
    assert_eq!(phase(&ran, PhaseName::Warmup), [(0, 2)]);
    assert_eq!(phase(&ran, PhaseName::Baseline), [(2, 19)], "one deadline of 1 s before 20.5 s");
    assert_eq!(during(&ran, "x"), [(20, 30)]);
    assert_eq!(after(&ran, "x"), [(30, 60)]);
    assert_eq!(phase(&ran, PhaseName::Run), [(2, 60)]);
    let one_shot = broken("{ name: x, at: 20s, restart: { service: api-1 } }");
    assert_eq!(during(&one_shot, "x"), [(20, 30)], "10 s to settle");
    assert_eq!(after(&one_shot, "x"), [(30, 60)]);
}

#[test]
fn latency_is_added_to_every_answer_and_counted_to_the_chunk() {
    let ran = broken("{ name: x, at: 20s, for: 10s, latency: { link: api-store, latency: 100ms } }");
    let touched = ran.touched("x");
    assert_eq!(touched.added, Some(MS * 100));
    assert_eq!(touched.chunks, 100, "one answer for each of 100 requests, canaries not counted");
    assert_eq!((touched.dropped_bytes, touched.closed_connections), (0, 0));
    assert!(touched.connections >= 1 && touched.bytes > 100 * 50, "{touched:?}");
    let op = ran.op("look");
    assert_eq!(ran.timeline.tally(op, &(20..30).collect()).good(), 100);
    // What is held when the fault ends is let go at once, so the last second is left out.
    let slow = ran.timeline.tally(op, &(20..29).collect());
    let least = slow.responses().quantile(1e-9).unwrap();
    assert!((least - MS * 101).0.abs() < 100, "100 ms on top of 1 ms: {least}");
    assert_eq!(ran.judgement.faults[0].detail, "canary +100 ms");
    for cell in [19, 30, 31] {
        let well = ran.timeline.tally(op, &[cell].into()).responses().max().unwrap();
        assert!(well < MS * 2, "second {cell}: {well}");
    }
}

#[test]
fn latency_both_ways_counts_twice_and_upstream_slows_requests() {
    for (way, delay, chunks) in [("upstream", 100, 100), ("both", 200, 200)] {
        let text = format!(
            "{{ name: x, at: 20s, for: 10s, latency: {{ link: api-store, latency: 100ms, direction: {way} }} }}"
        );
        let ran = broken(&text);
        let slow = ran.timeline.tally(ran.op("look"), &(20..29).collect()).responses().quantile(0.5).unwrap();
        assert!((slow - MS * (delay + 1)).0.abs() < 200, "{way}: {slow}");
        assert_eq!(ran.touched("x").added, Some(MS * 100), "{way}: each chunk by itself");
        assert!((ran.touched("x").chunks as i64 - chunks).abs() <= 2, "{way}: {:?}", ran.touched("x"));
    }
}

#[test]
fn a_blackhole_drops_and_its_connections_are_closed_by_the_heal() {
    let ran = broken("{ name: x, at: 20s, for: 10s, blackhole: { link: api-store } }");
    let touched = ran.touched("x");
    assert!(touched.dropped_bytes > 0 && touched.bytes == 0, "{touched:?}");
    assert_eq!(bad_seconds(&ran), (20..30).collect::<Vec<u32>>());
    let out = outcomes(&ran.timeline, "look");
    assert_eq!(out.get(&(Kind::Timeout, 0)), Some(&91), "{out:?}");
    assert_eq!(
        out.get(&(Kind::Status, 503)),
        Some(&9),
        "in flight at the heal, which closes what lost bytes: {out:?}"
    );
    assert_eq!(out.len(), 3, "and nothing after the heal: {out:?}");
}

#[test]
fn a_link_that_is_down_fails_at_once_and_is_well_at_once() {
    let ran = broken("{ name: x, at: 20s, for: 10s, down: { link: api-store } }");
    assert!(ran.touched("x").closed_connections >= 1, "{:?}", ran.touched("x"));
    assert_eq!(bad_seconds(&ran), (20..30).collect::<Vec<u32>>());
    let out = outcomes(&ran.timeline, "look");
    assert_eq!(out.get(&(Kind::Status, 503)), Some(&100), "{out:?}");
    let trigger = &ran.judgement.triggers[0];
    assert_eq!((trigger.outage, trigger.recovery), (Some(S * 10), Some(Micros::ZERO)), "{}", ran.story());
}

#[test]
fn a_paused_store_holds_its_work_and_a_killed_one_loses_it() {
    let paused = broken("{ name: x, at: 20s, for: 500ms, pause: { service: store-a } }");
    assert_eq!(bad_seconds(&paused), [0u32; 0], "half a second is within the timeout");
    let held = paused.timeline.tally(paused.op("look"), &[20].into()).responses().max().unwrap();
    assert!((held - MS * 501).0.abs() < 500, "{held}");
    let killed = broken("{ name: x, at: 20s, for: 10s, kill: { service: store-a } }");
    let bad = bad_seconds(&killed);
    assert_eq!((bad[0], bad.last(), bad.len()), (20, Some(&30), 11), "until it is ready at 30.5 s");
    let out = outcomes(&killed.timeline, "look");
    assert_eq!(out.get(&(Kind::Status, 503)), Some(&105), "{out:?}");
    let for_good = broken("{ name: x, at: 20s, kill: { service: store-a } }");
    assert_eq!(bad_seconds(&for_good), (20..60).collect::<Vec<u32>>());
    assert_eq!(for_good.exit(), 98, "no objective was set");
    assert!(for_good.judgement.summary.recovery.unwrap().contains("did not recover"));
}

/// As an orchestrator sees it: one look a second, just before it is full, with a second of patience.
#[test]
fn health_checks_are_told_when_what_they_see_changes() {
    let seen = |fault: &str| {
        let ran = broken(&format!("{{ name: x, at: 20500ms, for: 10s, {fault} }}"));
        let health = ran.timeline.services.iter().filter(|e| e.what.word().ends_with("healthy"));
        let told = health
            .map(|e| (e.service.clone(), e.what.word().to_owned(), e.detail.clone(), e.at.0 / 1_000_000));
        told.collect::<Vec<_>>()
    };
    let event = |service: &str, what: &str, detail: &str, second: i64| {
        (service.to_owned(), what.to_owned(), detail.to_owned(), second)
    };
    assert_eq!(
        seen("pause: { service: store-a }"),
        [event("store-a", "unhealthy", "no answer within 1 s", 21), event("store-a", "healthy", "", 30)]
    );
    let killed = seen("kill: { service: api-1 }");
    assert_eq!(killed.len(), 2, "{killed:?}");
    assert!(killed[0].2.starts_with("no connection"), "{killed:?}");
    // The store is slow, and yet its process is well: what users feel, health checks may not.
    assert_eq!(seen("latency: { link: api-store, latency: 900ms }"), []);
}

#[test]
fn repeats_are_faults_of_their_own_under_one_phase() {
    let text = "{ name: x, at: 15s, for: 2s, every: 15s, times: 3, settle: 5s, down: { link: api-store } }";
    let ran = broken(text);
    for (n, from) in [(1, 15), (2, 30), (3, 45)] {
        assert_eq!(ran.fault(&format!("x#{n}")), at(S * from, S * from, S * (from + 2)));
    }
    assert_eq!(during(&ran, "x"), [(15, 17), (30, 32), (45, 47)]);
    assert_eq!(after(&ran, "x"), [(17, 30), (32, 45), (47, 60)]);
    assert_eq!(bad_seconds(&ran), [15, 16, 30, 31, 45, 46]);
}

#[test]
fn two_faults_at_once_each_keep_their_times_and_operations_count_in_both() {
    let ran = broken(
        "{ name: x, at: 20s, for: 20s, latency: { link: api-store, latency: 100ms } }; \
         { name: y, at: 30s, for: 20s, pause: { service: store-b } }",
    );
    assert_eq!(ran.fault("x"), at(S * 20, S * 20, S * 40));
    assert_eq!(ran.fault("y"), at(S * 30, S * 30, S * 50));
    assert_eq!((during(&ran, "x"), during(&ran, "y")), (vec![(20, 40)], vec![(30, 50)]));
    let n = |name: &str| {
        let table = ran.judgement.operations.iter().find(|o| o.name == "look").unwrap();
        table.phases.iter().find(|p| p.phase == PhaseName::During(name.into())).unwrap().n
    };
    assert_eq!((n("x"), n("y")), (200, 200));
}

/// In a real run one of two that are planned for the same time is asked a moment before the other.
#[test]
fn of_faults_that_begin_together_the_first_is_judged_as_the_second() {
    let (short, long) = (
        "name: short, for: 5s, pause: { service: store-a }",
        "name: long, for: 25s, pause: { service: store-b }",
    );
    for (first, then) in [(short, long), (long, short)] {
        let timeline = format!("{{ at: 20s, {first} }}; {{ at: 20004ms, {then} }}");
        let ran = run(LOOKERS, &(plan(&timeline) + "objectives: [recovery(short) < 10s]\n"));
        let judged = &ran.judgement.objectives[0];
        assert_eq!(judged.word, squall::verdict::Word::Pass, "{first}: {}", judged.reason);
    }
}

#[test]
fn two_faults_of_one_link_may_not_overlap() {
    let chaos = plan(
        "{ name: x, at: 20s, for: 20s, latency: { link: api-store, latency: 100ms } }; \
         { name: y, at: 30s, for: 20s, down: { link: api-store } }",
    );
    let refused = crate::common::try_experiment(LOOKERS, Some(&chaos), &flags()).unwrap_err();
    assert!(refused.contains("`y` begins at 30 s while `x` has `api-store` until 40 s"), "{refused}");
}

/// Rooms are made before, while and after the store is killed and the other takes over; each is asked
/// for when that is over.
const KEEPERS: &str = "target: sandbox\nduration: 60s\n\
    shapes:\n  s:\n    arrival: { constant: { rate: 20/s } }\n    for: 30s\n    probes: false\n    timeout: 4s\n    flow:\n\
    \x20     - { post: /rooms, as: create, json: { name: \"kept-{{ i }}\" }, expect: { status: 201 }, capture: { name: $.name } }\n\
    \x20     - think: 26s\n\
    \x20     - { get: \"/rooms/{{ name }}\", as: read_back }\n";

#[test]
fn no_acknowledged_room_is_lost_when_a_killed_store_is_failed_over() {
    let chaos = plan(
        "{ name: death, at: 20s, kill: { service: store-a } }; \
         { name: over, at: 21s, failover: { link: api-store, to: store-b, outage: 3s } }",
    );
    let ran = run(KEEPERS, &chaos);
    let (made, read) = (ran.tally("create"), ran.tally("read_back"));
    assert!(made.good() >= 510 && made.good() <= 520, "4 s of 30 are lost at 20/s: {}", made.good());
    let unreached = read.of_kind(Kind::Unreached);
    assert_eq!(read.intended - unreached, made.good(), "each acknowledged room is asked for");
    assert_eq!(unreached, made.bad(), "and nobody could ask for the others, which is bad too");
    assert_eq!(read.good(), made.good(), "and found: {:?}", outcomes(&ran.timeline, "read_back"));
    assert_eq!(ran.fault("over"), at(S * 21, S * 21, S * 24));
}

/// The toxic is gone, and the proxy says so; that the store behind the link is paused is another matter.
#[test]
fn a_healed_link_whose_upstream_is_silent_by_itself_is_verified_by_its_state() {
    let faults = [
        "latency: { link: api-store, latency: 100ms }",
        "blackhole: { link: api-store }",
        "down: { link: api-store }",
    ];
    for fault in faults {
        let ran = broken(&format!(
            "{{ name: x, at: 20s, for: 5s, {fault} }}; {{ name: y, at: 21s, for: 20s, pause: {{ service: store-a }} }}"
        ));
        assert_eq!(ran.fault("x"), at(S * 20, S * 20, S * 25), "{fault}: {}", ran.story());
        let judged = &ran.judgement.faults[0];
        assert_eq!(judged.problem, None, "{fault}");
        assert!(judged.detail.contains("canary") && judged.detail.contains("no answer"), "{}", judged.detail);
        assert!(!ran.ended.as_ref().unwrap().not_undone, "{fault}");
        assert_eq!(ran.exit(), 98, "no objective was set, and {fault} went well: {}", ran.story());
    }
}

/// What teardown finds tells to which store the link leads: the first one is dead.
fn failed_over(stay: bool) -> Ran {
    let profile = format!("{LOOKERS}teardown: {{ steps: [{{ get: /rooms/seed-000001 }}] }}\n");
    let chaos = plan(&format!(
        "{{ name: death, at: 20s, kill: {{ service: store-a }} }}; \
         {{ name: over, at: 25s, failover: {{ link: api-store, to: store-b, outage: 2s, stay: {stay} }} }}"
    ));
    run(&profile, &chaos)
}

#[test]
fn a_failover_goes_back_when_the_run_ends_unless_it_stays() {
    let stays = failed_over(true);
    assert_eq!(stays.timeline.left, [""; 0], "store-b answers");
    let back = failed_over(false);
    assert_eq!(back.timeline.left.len(), 1, "store-a is dead: {:?}", back.timeline.left);
    assert!(back.timeline.left[0].contains("503"), "{:?}", back.timeline.left);
    for ran in [stays, back] {
        assert_eq!(bad_seconds(&ran), (20..27).collect::<Vec<u32>>(), "well under the other store");
    }
}

/// The profile's users never come near the store.
const STRANGERS: &str = "target: sandbox\nduration: 60s\nshapes:\n  s:\n    arrival: { constant: { rate: 10/s } }\n    \
    probes: false\n    timeout: 1s\n    flow: [{ get: /livez, as: look }]\nobjectives: [errors < 1% during x]\n";

fn without_canary(timeline: &str) -> Experiment {
    let mut experiment = experiment(STRANGERS, Some(&plan(timeline)), &flags());
    experiment.links[0].canary = None;
    experiment
}

#[test]
fn a_fault_that_nobody_can_have_met_proves_nothing() {
    let rows = [
        (
            "no canary, no traffic",
            without_canary("{ name: x, at: 20s, for: 10s, latency: { link: api-store, latency: 100ms } }"),
            "no traffic passed",
        ),
        (
            "no canary, nothing dropped",
            without_canary("{ name: x, at: 20s, for: 10s, blackhole: { link: api-store } }"),
            "no traffic passed",
        ),
        (
            "a canary alone is no traffic",
            experiment(
                STRANGERS,
                Some(&plan("{ name: x, at: 20s, for: 10s, latency: { link: api-store, latency: 100ms } }")),
                &flags(),
            ),
            "touched no traffic",
        ),
    ];
    for (why, experiment, said) in rows {
        let ran = conducted(experiment);
        assert_eq!((ran.exit(), ran.judgement.verdict.text()), (97, "INVALID"), "{why}: {}", ran.story());
        let problem = ran.judgement.faults[0].problem.as_deref().unwrap_or("none");
        assert!(problem.contains(said), "{why}: {problem}");
        assert_eq!(ran.judgement.objectives[0].word.text(), "INVALID", "{why}: {}", ran.story());
    }
    let quiet =
        "{ name: x, at: 20s, for: 10s, expect: no_traffic, latency: { link: api-store, latency: 100ms } }";
    let ran = run(STRANGERS, &plan(quiet));
    assert_eq!(ran.exit(), 0, "declared quiet: {}", ran.story());
    let ran = broken(quiet);
    assert_eq!(ran.exit(), 97, "declared quiet, and is not: {}", ran.story());
    let problem = ran.judgement.faults[0].problem.as_deref().unwrap_or("none");
    assert!(problem.contains("where none was expected"), "{problem}");
}

#[test]
fn a_fault_on_what_is_not_there_is_never_proven() {
    let mut experiment = experiment(
        LOOKERS,
        Some(&plan("{ name: x, at: 20s, for: 10s, pause: { service: store-a } }")),
        &flags(),
    );
    // A pause of what is not there: nothing is stopped, and nothing may be proven.
    experiment.faults[0] = squall::experiment::Fault::Pause { service: "store-z".into() };
    let ran = conducted(experiment);
    assert_eq!(ran.exit(), 97, "{}", ran.story());
    assert_eq!(ran.stage("x", FaultStage::Effective), None);
    assert!(ran.stage("x", FaultStage::NotEffective).is_some());
}

/// Without a canary a latency is seen when the first chunk has come through: it was in force when that was taken. An outage
/// was told as shorter by the latency itself.
#[test]
fn a_latency_without_a_canary_is_in_force_before_its_first_chunk_has_come_through() {
    let slow = "{ name: x, at: 20s, for: 10s, latency: { link: api-store, latency: 6s } }";
    let mut experiment = experiment(LOOKERS, Some(&plan(slow)), &flags());
    experiment.links[0].canary = None;
    let ran = conducted(experiment);
    let effective = ran.judgement.triggers[0].t_effective.unwrap();
    assert!(effective >= S * 20 && effective < S * 21, "{effective}: {}", ran.story());
    assert_eq!(bad_seconds(&ran).first(), Some(&20), "{}", ran.story());
    assert!(ran.judgement.triggers[0].outage.unwrap() >= S * 9, "{}", ran.story());
}

//! The rig with known answers: one FIFO server, stalled or with random service, against formulas and
//! recursions (`VERDICTS.md` 4, S1 and S2).

use squall::engine;
use squall::experiment::{Place, Start};
use squall::sandbox::plain::service_time;
use squall::units::Micros;

use crate::common::{Ran, conducted, experiment, flags, op, quantile, run};

/// 0.1 ms of service, 20 s of load, a pause of 1.4 s at 8 s.
fn stalled(shape: &str) -> Ran {
    let profile = format!(
        "target: {{ sandbox: {{ plain: {{ service: 100us }} }} }}\nduration: 20s\nshapes:\n  s:\n    {shape}\n    probes: false\n    timeout: 5s\n\
        objectives: [\"p99(a) < 10ms\"]\n"
    );
    let chaos = "judge: { warmup: 1ms, baseline: 1s, windows: 1, stretch: 1s, stretch_windows: 1 }\n\
        timeline: [{ name: stall, at: 8s, for: 1400ms, pause: { service: plain } }]\n";
    run(&profile, chaos)
}

fn close(measured: f64, expected: f64, relative: f64, absolute: f64, what: &str) {
    let off = (measured - expected).abs();
    assert!(off <= expected * relative + absolute, "{what}: {measured} us, expected {expected} us");
}

const OPEN: &str = "arrival: { constant: { rate: 2000/s } }\n    flow: [{ get: /, as: a }]";

/// R(t) = S - (1 - rho) t + s for arrivals t after the stall began, so that the q-quantile over T is
/// S - (1 - rho)(1 - q) T + s (`oracles/stall_oracle.py`).
fn formula(q: f64) -> f64 {
    let (stall, rho, length, service) = (1.4e6, 2_000.0 * 100e-6, 20e6, 100.0);
    stall - (1.0 - rho) * (1.0 - q) * length + service
}

#[test]
fn an_open_loop_sees_the_whole_stall() {
    let ran = stalled(OPEN);
    let all = ran.tally("a");
    assert_eq!((all.intended, all.good()), (40_000, 40_000));
    close(formula(0.99), 1.240e6, 1e-3, 0.0, "the formula itself");
    close(formula(0.95), 0.600e6, 1e-3, 0.0, "the formula itself");
    for q in [0.99, 0.95] {
        close(quantile(&all.responses(), q), formula(q), 0.01, 0.0, &format!("q{q}"));
    }
    assert_eq!(
        ran.fault("stall"),
        [Some(Micros::secs(8)), Some(Micros::secs(8)), Some(Micros::millis(9_400))]
    );
    assert_eq!(ran.exit(), 99, "{}", ran.story());
}

/// With one connection only the request that is on it feels the stall on the wire; all others wait
/// for the connection, which only response times show.
#[test]
fn behind_one_connection_service_times_hide_the_stall_and_response_times_do_not() {
    let ran = stalled(&format!("{OPEN}\n    connections: 1"));
    let all = ran.tally("a");
    assert_eq!(all.good(), 40_000);
    assert!(quantile(&all.service, 0.99) < 5_000.0, "service p99 {}", quantile(&all.service, 0.99));
    let felt = all.service.values().filter(|(at, _)| *at > Micros::millis(5)).map(|(_, n)| n).sum::<u64>();
    assert_eq!(felt, 1, "exactly the one that was on the wire");
    for q in [0.99, 0.95] {
        close(quantile(&all.responses(), q), formula(q), 0.01, 0.0, &format!("q{q}"));
    }
    assert!(quantile(&all.wait, 0.99) > 1e6, "they waited for the connection");
}

/// A hundred users at twenty a second each, as many requests as above.
#[test]
fn a_closed_loop_hides_the_stall_and_squall_says_why() {
    let ran =
        stalled("arrival: { closed: { users: 100 } }\n    flow: [{ get: /, as: a }, { think: 49900us }]");
    let all = ran.tally("a");
    assert!(all.intended > 36_000, "{}", all.intended);
    assert!(quantile(&all.responses(), 0.99) < 1_000.0, "p99 {}", quantile(&all.responses(), 0.99));
    assert!(all.responses().max().unwrap() > Micros::secs(1), "each user met the stall once");
    let objective = ran.objective("p99(a) < 10ms");
    assert_eq!(objective.word.text(), "PASS");
    assert!(objective.notes.iter().any(|note| note.contains("closed loop")), "{:?}", objective.notes);
}

/// Lindley's recursion over the run's own arrivals and service draws.
#[test]
fn an_m_m_1_queue_is_what_its_own_recursion_says() {
    let profile = "target: { sandbox: { plain: { service: 1ms, exponential: true, seed: 3 } } }\nduration: 120s\n\
        shapes:\n  s:\n    arrival: { poisson: { rate: 800/s } }\n    probes: false\n    flow: [{ get: /, as: a }]\n";
    let experiment = experiment(profile, Some("judge: { warmup: 1ms, baseline: 1s }\n"), &flags());
    let Place::Sandbox(options) = &experiment.target.place else { panic!("a sandbox") };
    let plain = options.plain.clone().unwrap();
    let Start::Open(arrival) = &experiment.shapes[0].arrival else { panic!("an open loop") };
    let (mut free, mut responses) = (Micros::ZERO, Vec::new());
    for (job, at) in arrival.times(experiment.outline.seed, 0).enumerate() {
        free = at.max(free) + service_time(&plain, job as u64);
        responses.push(free - at);
    }
    let sum: f64 = responses.iter().map(|r| r.0 as f64).sum();
    responses.sort();
    let ran = conducted(experiment);
    let all = ran.tally("a");
    assert_eq!((all.intended, all.good()), (responses.len() as u64, responses.len() as u64));
    for q in [0.5, 0.9, 0.99, 0.999] {
        let rank = ((q * responses.len() as f64).ceil() as usize).clamp(1, responses.len());
        close(quantile(&all.responses(), q), responses[rank - 1].0 as f64, 0.01, 200.0, &format!("q{q}"));
    }
    // L = lambda W, both sides as squall measured them.
    let shape = ran.timeline.operations().find(|(id, _)| *id == op(&ran.timeline, "s")).unwrap().1.shape;
    let in_flight: f64 =
        (0..120).filter_map(|second| ran.timeline.in_flight(shape, second)).sum::<f64>() / 120.0;
    let mean = all.responses().mean().unwrap().0 as f64;
    let little = all.intended as f64 / 120e6 * mean;
    assert!((in_flight / little - 1.0).abs() < 0.01, "L = {in_flight}, lambda W = {little}");
    close(mean, sum / responses.len() as f64, 0.01, 0.0, "the mean");
}

#[test]
fn a_full_queue_refuses_and_what_it_refuses_is_bad() {
    let profile = "target: { sandbox: { plain: { service: 100ms, queue: 5 } } }\nduration: 30s\n\
        shapes:\n  s:\n    arrival: { constant: { rate: 20/s } }\n    probes: false\n    timeout: 2s\n    flow: [{ get: /, as: a }]\n\
        objectives: [errors(a) < 60%, \"rate(target.sandbox_requests_total) > 19\", \"target.sandbox_requests_total > 500\"]\n";
    let ran = run(profile, "judge: { warmup: 5s, baseline: 1s }\n");
    let all = ran.tally("a");
    assert_eq!(all.intended, 600);
    assert!((all.good() as i64 - 305).abs() <= 2, "10 a second and the five in the queue: {}", all.good());
    let objectives: Vec<_> =
        ran.judgement.objectives.iter().map(|o| (o.word.text(), o.measured_text.as_str())).collect();
    assert!(objectives.iter().all(|(word, _)| *word == "PASS"), "{}", ran.story());
    assert_eq!(objectives[1].1.parse::<f64>().map(f64::round), Ok(20.0), "as the target counts them");
}

/// The plan of a shard is a pure function: what one shard has is what four have together.
#[test]
fn shards_share_the_arrivals_without_gap_or_overlap() {
    let profile = "target: sandbox\nduration: 20s\nshapes:\n  s:\n    arrival: { poisson: { rate: 100/s } }\n    users: 13\n    flow: [{ get: /, as: a }]\n";
    let experiment = experiment(profile, None, &flags());
    for index in 0..1_000 {
        let owners = (0..4)
            .filter(|&shard| engine::Share { shard, shards: 4 }.owns(0, &experiment.shapes[0], index))
            .count();
        assert_eq!(owners, 1, "arrival {index}");
    }
}

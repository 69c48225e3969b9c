//! What is said of operations that come by chance: the same of every seed, and true of nearly all of them.

use super::*;

const SLOW: &str =
    "timeline:\n  - {name: slow, at: 40s, for: 20s, latency: {link: api-store, latency: 100ms}}\n";

/// What of a rate is told of an objective, by each of some seeds, and how many of the operation each of them draws.
fn told(rate: u32, flow: &str, objective: &str) -> Vec<(Vec<String>, u64)> {
    let profile = format!(
        "target: sandbox\nduration: 90s\nobjectives: ['{objective}']\nshapes:\n  web: {{arrival: {{poisson: {{rate: {rate}/s}}}}, probes: false, timeout: 2s, flow: {flow}}}\n"
    );
    let of_seed = |seed: u64| {
        let flags = Flags { seed, ..Flags::default() };
        let plan = with_flags(&profile, Some(&format!("{QUICK}{SLOW}")), &flags);
        let plan = plan.unwrap_or_else(|p| panic!("{}", render(&p, false)));
        let drawn = plan.outline.shapes[0].planned[40..60].iter().sum();
        let remarks = plan.foresight.remarks.into_iter().filter(|remark| remark.contains(objective));
        (remarks.collect(), drawn)
    };
    (0..60).map(of_seed).collect()
}

/// One seed's arrivals were counted, and the run has another's: of 39 that are expected 58 were.
#[test]
fn what_an_objective_will_have_is_what_is_expected_and_no_seeds_own_draw() {
    let (list, more) = ("[{get: /l, as: list}]", "[{repeat: {times: 4, steps: [{get: /l, as: list}]}}]");
    let choice =
        "[{choice: [{weight: 1, steps: [{get: /l, as: list}]}, {weight: 3, steps: [{get: /b, as: b}]}]}]";
    let p99 = "p99(list) < 300ms during slow";
    for (rate, flow, objective, each, needed, said) in [
        (
            1,
            list,
            "errors(list) < 1% during slow",
            1.0,
            100,
            "will not be told to hold: about 20 list are expected for it, and it takes 100",
        ),
        (
            1,
            list,
            "errors(list) < 4% during slow",
            1.0,
            25,
            "will hardly be told to hold: about 20 list are expected for it, and it takes 25",
        ),
        (
            18,
            list,
            p99,
            1.0,
            368,
            "will hardly be told to hold: about 360 list are expected for it, and it takes 368",
        ),
        (
            19,
            list,
            p99,
            1.0,
            368,
            "may not be told to hold: about 380 list are expected for it, of which chance may leave 341, and it takes 368; ask for `p95(list) < 300ms during slow`, or raise the rate",
        ),
        (21, list, p99, 1.0, 368, ""),
        (
            5,
            more,
            p99,
            4.0,
            368,
            "may not be told to hold: about 400 list are expected for it, of which chance may leave 320",
        ),
        (
            80,
            choice,
            p99,
            0.25,
            368,
            "may not be told to hold: about 400 list are expected for it, of which chance may leave 360",
        ),
        (90, choice, p99, 0.25, 368, ""),
    ] {
        let all = told(rate, flow, objective);
        let first = &all[0].0;
        assert!(all.iter().all(|(remarks, _)| remarks == first), "{objective} at {rate}/s: {all:?}");
        assert_eq!(first.len(), usize::from(!said.is_empty()), "{objective} at {rate}/s: {first:?}");
        assert!(first.iter().all(|remark| remark.contains(said)), "{objective} at {rate}/s: {first:?}");
        let few = all.iter().filter(|(_, drawn)| (*drawn as f64 * each) < f64::from(needed)).count();
        let as_said = match said {
            "" => few <= 3,
            _ if said.starts_with("will not") => few == 60,
            _ if said.starts_with("will hardly") => few >= 30,
            _ => few <= 30,
        };
        assert!(as_said, "{objective} at {rate}/s: {few} of 60 seeds have too few");
    }
}

/// Of 20 that were expected a draw of 30 was told, or of 12.
#[test]
fn a_count_that_chance_may_bring_will_hardly_hold_and_one_that_it_cannot_will_not() {
    let list = "[{get: /l, as: list}]";
    for (objective, said) in [
        ("count(list) > 19 during slow", ""),
        ("count(list) > 25 during slow", "will hardly hold: 20 list are expected for during slow"),
        ("rate(list) > 1.5/s during slow", "will hardly hold: 1/s list are expected for during slow"),
        ("count(list) > 60 during slow", "will not hold: 20 list are expected for during slow"),
        ("rate(list) > 9/s during slow for 5s", "will not hold: 1/s list are expected for during slow"),
        ("rate(list) > 2/s during slow for 5s", ""),
    ] {
        for (remarks, _) in told(1, list, objective) {
            assert_eq!(remarks.len(), usize::from(!said.is_empty()), "{objective}: {remarks:?}");
            assert!(remarks.iter().all(|remark| remark.contains(said)), "{objective}: {remarks:?}");
        }
    }
}

#[test]
fn a_steady_state_that_chance_may_leave_too_few_for_may_not_be_found() {
    let profile = CALM.replace("constant: {rate: 10/s}", "poisson: {rate: 9/s}");
    let chaos = format!("{QUICK}steady: ['p95(list) < 1s for 10s']\n{SLOW}");
    let remarks = resolved(&profile, Some(&chaos)).foresight.remarks;
    let said = "`steady: p95(list) < 1s for 10s` may not be found, and the run then ends as INVALID: it looks at about 85 list, of which chance may leave 67, and it takes 72;";
    assert!(remarks.len() == 1 && remarks[0].starts_with(said), "{remarks:?}");
}

/// Seed 0 drew none, or drew one of less than one.
#[test]
fn a_shape_is_refused_for_too_few_flows_by_what_is_expected() {
    let resolve = |rate: &str, seed: u64| {
        let shape = format!(
            "  few: {{for: 10s, arrival: {{poisson: {{rate: {rate}/s}}}}, timeout: 1s, flow: [{{get: /f, as: f}}]}}\n"
        );
        with_flags(&format!("{CALM}{shape}"), None, &Flags { seed, ..Flags::default() })
    };
    for seed in 0..60 {
        assert!(resolve("0.15", seed).is_ok_and(|plan| plan.foresight.remarks.is_empty()), "{seed}");
        let told = render(&resolve("0.05", seed).expect_err("too few"), false);
        assert!(told.contains("a shape of 0.5 flows may never start one"), "{told}");
    }
}

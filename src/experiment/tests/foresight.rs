//! What the plan alone tells of the judgement to come.

use super::*;

#[test]
fn the_plan_tells_how_many_operations_an_objective_will_have_and_how_many_it_needs() {
    let profile = format!(
        "{CALM}    probes: false\nobjectives: [\"p99(list) < 1s during slow\", errors < 0.1%, p95 < 300ms, \"recovery(slow) < 9s\", \"p95 < 1s after slow\"]\n"
    );
    let chaos = format!(
        "{QUICK}timeline:\n  - {{name: slow, at: 40s, for: 8s, latency: {{link: api-store, latency: 100ms}}}}\n"
    );
    let ahead = resolved(&profile, Some(&chaos)).foresight;
    let n: Vec<_> = ahead.objectives.iter().map(|o| o.as_ref().map(|o| (o.n, o.needed))).collect();
    assert_eq!(n, [Some((80, 368)), Some((850, 1_000)), Some((850, 72)), None, Some((410, 72))]);
    insta::assert_snapshot!(ahead.remarks.join("\n"));
    // One that comes later is not asked about, as the judge does not.
    let late = "  late: {start: 60s, for: 5s, arrival: {constant: {rate: 1/s}}, timeout: 2s, flow: [{get: /b, as: b}]}\n";
    let during = format!("{CALM}    probes: false\n{late}objectives: [errors < 5% during slow]\n");
    let ahead = resolved(&during, Some(&chaos)).foresight;
    assert_eq!(ahead.objectives[0].as_ref().map(|o| (&o.operation[..], o.n)), Some(("list", 80)));
}

#[test]
fn the_plan_tells_windows_and_quantile_of_each_band_or_why_there_is_none() {
    let profile = "target: sandbox\nduration: 90s\nshapes:\n\
        \x20 few: {arrival: {constant: {rate: 10/s}}, timeout: 2s, flow: [{get: /a, as: a}]}\n\
        \x20 many: {arrival: {constant: {rate: 1200/s}}, timeout: 2s, flow: [{get: /b, as: b}]}\n\
        \x20 some: {arrival: {constant: {rate: 150/s}}, timeout: 2s, flow: [{get: /c, as: c}]}\n\
        \x20 ramp: {arrival: {stages: {from: 1/s, steps: [{to: 90/s, over: 80s}]}}, timeout: 2s, flow: [{get: /d, as: d}]}\n\
        \x20 loop: {arrival: {closed: {users: 2}}, timeout: 2s, flow: [{get: /e, as: e}]}\n\
        \x20 surge: {start: 60s, for: 5s, trigger: true, arrival: {constant: {rate: 10/s}}, timeout: 2s, flow: [{get: /f, as: f}]}\n";
    let ahead = resolved(profile, Some(QUICK)).foresight;
    let told: Vec<String> = ahead
        .bands
        .iter()
        .map(|b| match &b.band {
            Ok((window, quantile)) => format!("{}: {window}, {quantile:?}", b.shape),
            Err(why) => format!("{}: none, {why}", b.shape),
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn the_plan_tells_of_default_deadlines_of_silent_shapes_and_of_a_baseline_cut_short() {
    let profile = "target: sandbox\nduration: 190s\nshapes:\n\
        \x20 mix: {arrival: {constant: {rate: 10/s}}, flow: [{get: /a, as: a}, {get: /b, as: b, timeout: 1s}]}\n\
        \x20 idle: {arrival: {stages: {steps: [{to: 0/s, over: 5s}]}}, timeout: 1s, flow: [{get: /c, as: c}]}\n";
    let chaos = "judge: {warmup: 5s, windows: 10}\ntimeline:\n  - {name: cut, at: 60s, for: 5s, down: {link: api-store}}\n";
    insta::assert_snapshot!(resolved(profile, Some(chaos)).foresight.remarks.join("\n"));
}

#[test]
fn the_plan_tells_of_a_recovery_without_a_trigger() {
    let profile = format!("{CALM}objectives: [recovery < 5s, errors < 1%]\n");
    let remarks = |chaos: Option<&str>| resolved(&profile, chaos).foresight.remarks.join("\n");
    assert!(
        remarks(None).contains("`recovery < 5s` will be INCONCLUSIVE: no trigger comes"),
        "{}",
        remarks(None)
    );
    let chaos = format!(
        "{QUICK}timeline:\n  - {{name: slow, at: 40s, for: 8s, latency: {{link: api-store, latency: 100ms}}}}\n"
    );
    assert!(!remarks(Some(&chaos)).contains("INCONCLUSIVE"), "{}", remarks(Some(&chaos)));
}

#[test]
fn the_plan_tells_of_a_limit_that_lies_within_two_windows() {
    let profile = format!("{CALM}objectives: [\"recovery(slow) < 3s\", \"outage(slow) < 4s\"]\n");
    let chaos = format!(
        "{QUICK}timeline:\n  - {{name: slow, at: 40s, for: 8s, latency: {{link: api-store, latency: 100ms}}}}\n"
    );
    let remarks = resolved(&profile, Some(&chaos)).foresight.remarks.join("\n");
    assert!(remarks.contains("`recovery(slow) < 3s` is told in windows of 2 s (of mix)"), "{remarks}");
    assert!(!remarks.contains("`outage(slow) < 4s`"), "{remarks}");
}

/// In virtual time each recovery of it is INVALID, with 10 s of warm-up.
#[test]
fn the_plan_tells_of_flows_that_last_for_longer_than_the_warm_up() {
    let told = |warmup: u32, arrival: &str, think: &str| {
        let flow = format!(
            "[{{get: /a, as: a}}, {{repeat: {{times: 3, steps: [{{think: {think}}}, {{get: /b, as: b}}]}}}}]"
        );
        let profile = format!(
            "target: sandbox\nduration: 260s\nobjectives: [recovery(slow) < 9s]\nshapes:\n  shop: {{arrival: {arrival}, timeout: 2s, flow: {flow}}}\n"
        );
        let chaos = format!(
            "judge: {{warmup: {warmup}s}}\ntimeline:\n  - {{name: slow, at: {}s, for: 8s, latency: {{link: api-store, latency: 100ms}}}}\n",
            warmup + 70
        );
        resolved(&profile, Some(&chaos)).foresight.remarks.join("\n")
    };
    let (open, closed) = ("{constant: {rate: 5/s}}", "{closed: {users: 20}}");
    let long = told(10, open, "10s..30s");
    assert!(
        long.contains("a flow of shop thinks for 1 min, and until then ever more are in flight")
            && long.contains("let `judge: warmup` be 60s or longer"),
        "{long}"
    );
    // What a shape has in flight is counted from where it begins.
    let late = told(10, &format!("{open}, start: 50s"), "2s");
    assert!(!late.contains("in flight"), "{late}");
    assert!(long.contains("what is asked of a return may be INVALID"), "{long}");
    for (warmup, arrival, think) in [(60, open, "10s..30s"), (10, open, "5s"), (10, closed, "10s..30s")] {
        let remarks = told(warmup, arrival, think);
        assert!(!remarks.contains("in flight"), "{warmup} s, {arrival}, {think}: {remarks}");
    }
}

#[test]
fn the_plan_tells_of_a_rate_and_a_count_that_are_more_than_what_is_planned() {
    let late = "  late: {start: 45s, arrival: {constant: {rate: 50/s}}, timeout: 2s, probes: false, flow: [{get: /b, as: b}]}\n";
    let profile = format!(
        "{CALM}{late}objectives: [rate(b) >= 45/s, count(b) > 3000, rate(b) >= 20/s, \"rate(b) >= 45/s for 5s\", rate(b) < 90/s, count(b) > 2000]\n"
    );
    let remarks = resolved(&profile, None).foresight.remarks;
    let told: Vec<&String> = remarks.iter().filter(|remark| remark.contains("will not hold")).collect();
    assert_eq!(told.len(), 2, "{remarks:#?}");
    assert!(
        told[0].starts_with("`rate(b) >= 45/s` will not hold: 28.1/s b are planned for run;"),
        "{told:?}"
    );
    assert!(told[1].starts_with("`count(b) > 3000` will not hold: 2,250 b are planned for run;"), "{told:?}");
}

#[test]
fn the_plan_tells_of_more_than_is_planned_in_a_steady_state_on_end_and_without_a_trigger() {
    let fault = "timeline:\n  - {name: slow, at: 40s, for: 8s, latency: {link: api-store, latency: 100ms}}\n";
    let calm = format!("{CALM}    probes: false\n");
    let steady = |rule: &str| {
        let ahead = resolved(&calm, Some(&format!("{QUICK}steady: ['{rule}']\n{fault}"))).foresight;
        ahead.remarks.into_iter().filter(|remark| remark.starts_with("`steady")).collect::<Vec<_>>()
    };
    for (rule, planned) in
        [("rate > 50/s", "10/s"), ("count(list) > 500", "100"), ("rate(list) > 50/s for 5s", "10/s")]
    {
        let told = steady(rule);
        let said = format!("will not be found, and the run then ends as INVALID: {planned} ");
        assert!(told.len() == 1 && told[0].contains(&said), "{rule}: {told:?}");
    }
    for fine in ["rate > 9/s", "count(list) > 90", "rate(list) < 50/s"] {
        assert_eq!(steady(fine), [""; 0], "{fine}");
    }
    let objective = |text: &str| {
        let ahead = resolved(&format!("{calm}objectives: ['{text}']\n"), None).foresight;
        ahead.remarks.into_iter().filter(|remark| remark.contains("will not hold")).count()
    };
    for text in ["rate > 50/s during baseline", "count > 5000 during baseline", "rate > 50/s for 5s"] {
        assert_eq!(objective(text), 1, "{text}");
    }
    for fine in ["rate > 9/s during baseline", "count > 700 during baseline", "rate > 9/s for 5s"] {
        assert_eq!(objective(fine), 0, "{fine}");
    }
}

#[test]
fn the_plan_tells_of_a_return_that_a_longer_trigger_may_hide() {
    let profile = format!(
        "{CALM}objectives: [\"recovery(again) < 5s\", errors < 5% after again, errors < 5% during again]\n"
    );
    let chaos = |at: u32| {
        format!(
            "{QUICK}timeline:\n  - {{name: slow, at: 40s, for: 8s, latency: {{link: api-store, latency: 100ms}}}}\n  - {{name: again, at: {at}s, restart: {{service: api-1}}}}\n"
        )
    };
    let hidden = |at: u32| {
        let remarks = resolved(&profile, Some(&chaos(at))).foresight.remarks;
        remarks.into_iter().filter(|remark| remark.contains("which is still in force")).collect::<Vec<_>>()
    };
    let told = hidden(42);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("`recovery(again) < 5s` will be INCONCLUSIVE if `slow`, which"), "{told:?}");
    assert!(told[1].starts_with("`errors < 5% after again` will be INCONCLUSIVE if `slow`"), "{told:?}");
    assert_eq!(hidden(60), Vec::<String>::new());
}

#[test]
fn the_plan_tells_of_a_return_that_no_shape_has_a_band_for() {
    let told = |shapes: &str| {
        let profile = format!(
            "target: sandbox\nduration: 90s\nobjectives: [recovery(slow) < 9s, errors < 5% after slow]\nshapes:\n{shapes}"
        );
        let chaos = format!(
            "{QUICK}timeline:\n  - {{name: slow, at: 40s, for: 8s, latency: {{link: api-store, latency: 100ms}}}}\n"
        );
        let remarks = resolved(&profile, Some(&chaos)).foresight.remarks;
        remarks.into_iter().filter(|remark| remark.contains("will be INCONCLUSIVE")).collect::<Vec<_>>()
    };
    let ramp = "  ramp: {arrival: {stages: {from: 1/s, steps: [{to: 50/s, over: 30s}]}}, timeout: 1s, flow: [{get: /a, as: a}]}\n";
    let early =
        "  early: {for: 45s, arrival: {constant: {rate: 20/s}}, timeout: 1s, flow: [{get: /b, as: b}]}\n";
    let steady = "  steady: {arrival: {constant: {rate: 20/s}}, timeout: 1s, flow: [{get: /c, as: c}]}\n";
    let said = "`recovery(slow) < 9s` will be INCONCLUSIVE: no shape will have a normal band to come back to when `slow` is over (ramp: its planned rate varies by more than 10 %";
    let alone = told(ramp);
    assert!(alone.len() == 1 && alone[0].starts_with(said), "{alone:#?}");
    let both = told(&format!("{ramp}{early}"));
    assert!(both.len() == 1 && both[0].contains("; early: its load ends before); let"), "{both:#?}");
    assert_eq!(told(&format!("{ramp}{steady}")), Vec::<String>::new());
}

/// They were said not to fit, and left out without a word where nobody said how many.
#[test]
fn more_repeats_than_a_fault_may_have_are_refused_as_that() {
    let day = CALM.replace("duration: 90s", "duration: 24h");
    assert_ne!(day, CALM);
    for times in ["", "times: 1001, ", "times: 1000, "] {
        let chaos = format!(
            "{QUICK}timeline:\n  - {{name: c, at: 60s, for: 5s, every: 40s, {times}down: {{link: api-store}}}}\n"
        );
        if times.contains("1000") {
            let plan = with_flags(&day, Some(&chaos), &Flags::default()).unwrap();
            assert_eq!(plan.outline.faults.len(), 1000);
            continue;
        }
        let refused = refused(&day, Some(&chaos));
        let asked = if times.is_empty() { 2159 } else { 1001 };
        let told = format!("error: {asked} repeats are more than the 1000 that one fault may have");
        assert!(refused.contains(&told) && refused.contains("go on from 40060s"), "{refused}");
        assert_eq!(refused.matches("error:").count(), 1, "{refused}");
    }
}

#[test]
fn the_plan_tells_of_users_who_think_for_too_long_to_be_enough() {
    let users = "  users: {arrival: {closed: {users: 10}}, timeout: 2s, flow: [{get: /l, as: l}, {think: 1s..3s}]}\n\
        \x20 busy: {arrival: {closed: {users: 10}}, timeout: 2s, flow: [{get: /b, as: b}]}\n";
    let profile = format!(
        "{CALM}{users}objectives: [p99(l) < 1s during slow, p95(l) < 1s during slow, p99(l) < 1s, errors(l) < 0.1%, p99(b) < 1s during slow]\n"
    );
    let chaos = format!(
        "{QUICK}timeline:\n  - {{name: slow, at: 40s, for: 8s, latency: {{link: api-store, latency: 100ms}}}}\n"
    );
    let remarks = resolved(&profile, Some(&chaos)).foresight.remarks;
    assert_eq!(
        remarks,
        [
            "`p99(l) < 1s during slow` will not be told to hold: 10 users who think for 2 s come to 64 l at most, and it takes 368; take more users, or let it last longer",
            "`p95(l) < 1s during slow` will not be told to hold: 10 users who think for 2 s come to 64 l at most, and it takes 72; take more users, or let it last longer",
            "`errors(l) < 0.1%` will not be told to hold: 10 users who think for 2 s come to 471 l at most, and it takes 1,000; take more users, or let it last longer",
        ]
    );
}

#[test]
fn the_plan_tells_of_a_list_that_is_only_the_first_of_many() {
    let listed = |capture: &str| {
        let flow = format!(
            "[{{get: /l, as: l, capture: {{ids: {capture}}}}}, {{for_each: {{in: ids, as: id, steps: [{{get: \"/l/{{{{ id }}}}\", as: one}}]}}}}]"
        );
        let shape = format!("  walk: {{arrival: {{constant: {{rate: 1/s}}}}, timeout: 2s, flow: {flow}}}\n");
        resolved(&format!("{CALM}{shape}"), None).foresight.remarks
    };
    assert_eq!(
        listed("\"$.rooms[*].id\""),
        [
            "`for_each` goes through `ids`, which is only the first that `$.rooms[*].id` finds; for all of them write `capture: {ids: {all: \"$.rooms[*].id\"}}`"
        ]
    );
    for good in ["{all: \"$.rooms[*].id\"}", "$.ids"] {
        assert_eq!(listed(good), [""; 0], "{good}");
    }
}

#[test]
fn a_delay_that_outlasts_its_fault_is_refused_as_nothing_would_come_through_that_proves_it() {
    let plan = |fault: &str| {
        let links = "links: {db: {listen: 127.0.0.1:1, upstream: 127.0.0.1:2}, seen: {listen: 127.0.0.1:3, upstream: 127.0.0.1:4, canary: redis}}";
        format!("{QUICK}{links}\ntimeline: [{{name: hang, at: 40s, {fault}}}]\n")
    };
    let profile = CALM.replace("target: sandbox", "target: http://127.0.0.1:5");
    for fault in [
        "for: 8s, latency: {link: db, latency: 8s}",
        "for: 3s, every: 14s, times: 3, latency: {link: db, latency: 7s, jitter: 2s}",
    ] {
        let said = refused(&profile, Some(&plan(fault)));
        assert_eq!(said.matches("to show that something came through").count(), 1, "{said}");
    }
    for fault in [
        "for: 8s, latency: {link: db, latency: 7s}",
        "for: 3s, latency: {link: db, latency: 4s}",
        "for: 8s, latency: {link: seen, latency: 8s}",
        "for: 8s, expect: no_traffic, latency: {link: db, latency: 8s}",
    ] {
        resolved(&profile, Some(&plan(fault)));
    }
    let flags = Flags { smoke: true, ..Flags::default() };
    assert!(with_flags(&profile, Some(&plan("for: 20s, latency: {link: db, latency: 8s}")), &flags).is_ok());
}

/// Whoever did as it said was told the same of a later time, for ever.
#[test]
fn what_is_advised_of_repeats_that_come_too_soon_is_enough() {
    let with = |timeline: &str| {
        let profile = format!("{CALM}objectives: [recovery(gone) < 8s]\n").replace("90s", "200s");
        (profile, format!("{QUICK}timeline:\n{timeline}\n"))
    };
    let told = |timeline: &str| {
        let (profile, chaos) = with(timeline);
        refused(&profile, Some(&chaos))
    };
    let again = "  - {name: gone, at: 40s, every: 15s, times: 2, for: 3s, down: {link: api-store}}";
    let text = told(again);
    assert!(text.contains("`gone#2` begins at 55 s") && text.contains("`gone#1` is over at 43 s"), "{text}");
    assert!(text.contains("write `every: 20s` or more"), "{text}");
    let (profile, chaos) = with(&again.replace("every: 15s", "every: 20s"));
    resolved(&profile, Some(&chaos));
    // Where another one repeats, the first of it must come later.
    let other = "  - {name: gone, at: 50s, for: 3s, down: {link: api-store}}\n  \
                 - {name: slow, at: 30s, every: 30s, times: 3, for: 3s, latency: {link: api-store, latency: 9ms}}";
    let text = told(other);
    assert!(text.contains("let the first `slow` begin at 40s or later"), "{text}");
}

#[test]
fn a_limit_at_the_end_of_all_values_asks_for_nothing_beyond_it() {
    let chaos = format!("{QUICK}timeline: [{{name: cut, at: 40s, for: 5s, down: {{link: api-store}}}}]\n");
    for (objective, instead) in [("errors < 0%", "<="), ("goodput > 100%", ">="), ("p99 < 0ms", "<=")] {
        let text = refused(&format!("{CALM}objectives: [{objective}]\n"), Some(&chaos));
        assert!(text.contains(&format!("`{objective}` can never be")), "{text}");
        assert!(text.contains(&format!("write `{instead}`")), "{text}");
    }
    resolved(&format!("{CALM}objectives: [errors <= 0%, goodput >= 100%, errors > 0%]\n"), Some(&chaos));
}

#[test]
fn a_steady_state_of_a_phase_that_comes_later_is_refused() {
    let rule = "steady: [errors < 1% during cut]\ntimeline: [{name: cut, at: 60s, for: 5s, down: {link: api-store}}]\n";
    let told = refused(CALM, Some(&format!("{QUICK}{rule}")));
    assert!(told.contains("and the first trigger, and never during cut"), "{told}");
    let told = refused(CALM, Some(&format!("{QUICK}{}", rule.replace("during cut", "during warmup"))));
    assert!(told.contains("and never warmup"), "{told}");
}

/// Figures of one of them were told of both, under a name that did not tell which.
#[test]
fn operations_of_two_shapes_with_one_name_are_told_apart() {
    let shape =
        "arrival: {constant: {rate: 10/s}}, timeout: 1s, flow: [{get: /rooms, as: look}, {get: /a, as: ";
    let profile = format!(
        "target: sandbox\nduration: 60s\nshapes:\n  web: {{{shape}a}}]}}\n  mobile: {{{shape}b}}]}}\nobjectives: [errors(look) < 1%]\n"
    );
    let experiment = resolved(&profile, None);
    let named = |name: &str| experiment.outline.operations.iter().filter(|o| o.is_called(name)).count();
    let names: Vec<&str> = experiment.outline.operations.iter().map(|o| o.name.as_str()).collect();
    assert_eq!(names, ["web", "look of web", "a", "mobile", "look of mobile", "b"]);
    assert_eq!((named("look"), named("a"), named("look of web")), (2, 1, 1));
    let told = experiment.foresight.remarks.join("\n");
    assert!(
        told.contains("look is an operation of mobile and of web")
            || told.contains("look is an operation of web and of mobile"),
        "{told}"
    );
}

/// `ö` is a letter, and was refused with "use letters".
#[test]
fn a_name_that_is_none_is_told_which_letters_make_one() {
    for name in ["größe_list", "8ball"] {
        let told = refused(&CALM.replace("as: list", &format!("as: {name}")), None);
        assert!(told.contains(&format!("`{name}` is no name")), "{told}");
        assert!(told.contains("use letters from a to z"), "{told}");
    }
}

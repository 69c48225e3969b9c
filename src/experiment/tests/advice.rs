//! Whoever does what `squall check` advises has a plan that can be judged.

use super::*;

/// Windows of 5 s, from the start of the shape on.
const WIDE: &str = "judge: {warmup: 2s, baseline: 60s, windows: 10, stretch: 10s, stretch_windows: 2}\n";

fn cut(at: u32, rest: &str) -> String {
    format!("{WIDE}timeline:\n  - {{name: x, at: {at}s, {rest}}}\n")
}

/// What follows these words in what is said, up to a space or the end of the line.
fn advised<'t>(told: &'t str, before: &str) -> Option<&'t str> {
    told.split_once(before)?.1.split([' ', '\n']).next()
}

/// The judge has windows of whole widths, and the load ended before the last of a stretch did.
#[test]
fn a_load_lasts_until_the_last_window_of_a_stretch_ends() {
    let needed = |objective: &str, fault: &str, at: u32, start: &str| {
        let profile = CALM.replace("90s", &format!("{}s", at + 4)).replace("mix:", &format!("mix:\n{start}"));
        let told = refused(&format!("{profile}objectives: [{objective}]\n"), Some(&cut(at, fault)));
        advised(&told, "raise `duration` to ").unwrap_or_else(|| panic!("{told}")).to_owned()
    };
    let (restart, down) = ("settle: 3s, restart: {service: store-a}", "for: 3s, down: {link: api-store}");
    let after = "errors < 50% after x";
    for (objective, fault, at, start, until) in [
        (after, restart, 66, "", "80s"),
        (after, restart, 69, "", "80s"),
        (after, restart, 70, "", "85s"),
        (after, restart, 70, "    start: 1s\n", "81s"),
        ("recovery(x) < 1s", down, 68, "", "85s"),
        ("recovery(x) < 5s", down, 70, "", "85s"),
        ("recovery(x) < 7s", down, 70, "", "90s"),
        ("outage(x) < 4s", down, 68, "", "85s"),
    ] {
        assert_eq!(needed(objective, fault, at, start), until, "{objective}, {fault} at {at} s {start}");
    }
}

/// What is out of band so near to the next trigger may be its doing.
#[test]
fn a_trigger_that_comes_within_a_deadline_of_a_late_return_is_refused() {
    let profile = CALM.replace("timeout: 2s", "timeout: 20s").replace("90s", "160s");
    let plan = |second: &str| {
        format!(
            "judge: {{warmup: 2s, baseline: 20s, windows: 10, stretch: 5s, stretch_windows: 3}}\ntimeline:\n  \
             - {{name: first, at: 58s, for: 12s, pause: {{service: api-1}}}}\n  \
             - {{name: second, at: {second}, for: 5s, down: {{link: api-store}}}}\n"
        )
    };
    for (objective, at) in [("recovery(first) < 10s", "102s"), ("outage(first) < 14s", "94s")] {
        let profile = format!("{profile}objectives: [{objective}]\n");
        let told = refused(&profile, Some(&plan("87s")));
        assert!(
            told.contains("within one deadline (20 s) before `second` may be that one's doing"),
            "{told}"
        );
        assert_eq!(advised(&told, "let `second` begin at "), Some(at), "{told}");
        // No limit is low enough where a deadline takes that long.
        assert!(told.contains("or later, or shorten the longest timeout"), "{told}");
        resolved(&profile, Some(&plan(at)));
    }
    let after = plan("72s").replace("for: 12s, pause", "restart");
    let told = refused(&format!("{profile}objectives: [errors < 50% after first]\n"), Some(&after));
    assert_eq!(advised(&told, "let `second` begin at "), Some("80s"), "{told}");
}

#[test]
fn users_who_come_to_too_few_are_told_of_whatever_is_asked() {
    let told = |users: u32, think: &str, steady: &str, objectives: &str, timeline: &str| {
        let flow = format!("[{{get: /l, as: l}}, {{think: {think}}}]");
        let profile = format!(
            "target: sandbox\nduration: 80s\nshapes:\n  users: {{arrival: {{closed: {{users: {users}}}}}, timeout: 2s, flow: {flow}}}\nobjectives: [{objectives}]\n"
        );
        let chaos = format!("{QUICK}{steady}{timeline}\n");
        resolved(&profile, Some(&chaos)).foresight.remarks
    };
    let slow = "timeline: [{name: x, at: 40s, for: 8s, latency: {link: api-store, latency: 100ms}}]";
    let sure = |text: &str| told(3, "2s", "", &format!("\"{text}\""), "");
    let three = "3 users who think for 2 s come to";
    assert_eq!(
        sure("p99 < 2s during baseline"),
        [format!(
            "`p99 < 2s during baseline` will not be told to hold: {three} 114 l at most, and it takes 368; take more users, or let it last longer"
        )]
    );
    assert_eq!(
        sure("count > 500"),
        [format!(
            "`count > 500` will not hold: {three} 114 l at most in 1 min 15 s; ask for less, or take more users"
        )]
    );
    assert!(sure("rate > 2/s")[0].starts_with("`rate > 2/s` will not hold: "));
    for fine in ["p95 < 1s", "count > 100", "rate > 1/s", "count < 500", "errors < 1% for 9s"] {
        assert_eq!(sure(fine), [""; 0], "{fine}");
    }
    for (users, think, rule, n, needed) in [
        (3, "2s", "errors < 5%", "18 l at most in the 10 s", 20),
        (3, "2s", "p95 < 1s for 20s", "33 l at most in the 20 s", 72),
        (10, "1s..3s", "errors < 1%", "75 l at most in the 10 s", 100),
    ] {
        let remarks = told(users, think, &format!("steady: ['{rule}']\n"), "errors < 50%", slow);
        let said = remarks.iter().find(|r| r.contains("will not be found")).map_or("", |r| r);
        assert!(said.contains(n) && said.contains(&format!("it takes {needed};")), "{rule}: {remarks:?}");
    }
    assert_eq!(told(3, "1s", "steady: [errors < 5%]\n", "errors < 50%", slow), [""; 0]);
}

/// A hundred beats of three seconds each were counted as coming within ten.
#[test]
fn users_who_go_round_within_a_flow_are_counted_by_what_they_think_between_operations() {
    let told = |users: u32, repeat: &str, rule: &str| {
        let steps = "[{get: /l, as: l}, {repeat: ".to_owned() + repeat + "}]";
        let profile = format!(
            "target: sandbox\nduration: 80s\nshapes:\n  users: {{arrival: {{closed: {{users: {users}}}}}, timeout: 2s, flow: {steps}}}\nobjectives: [errors(l) < 50%]\n"
        );
        let fault = "timeline: [{name: x, at: 40s, for: 8s, latency: {link: api-store, latency: 100ms}}]";
        let remarks =
            resolved(&profile, Some(&format!("{QUICK}steady: ['{rule}']\n{fault}\n"))).foresight.remarks;
        remarks.into_iter().filter(|r| r.starts_with("`steady")).collect::<Vec<_>>().join("\n")
    };
    let long = "{times: 100, steps: [{get: /b, as: b}, {think: 2s..4s}]}";
    for (rule, said) in [
        (
            "errors(b) < 1%",
            "10 users, as they think, come to 52 b at most in the 10 s at which it looks, and it takes 100;",
        ),
        ("p95(b) < 500ms", "52 b at most"),
        ("rate(b) > 6/s", "52 b at most in the 10 s at which it looks; ask for less, or take more users"),
    ] {
        let all = told(10, long, rule);
        assert!(all.contains("will not be found") && all.contains(said), "{rule}: {all}");
    }
    for fine in ["errors(b) < 5%", "rate(b) > 2/s", "p90(b) < 500ms"] {
        assert_eq!(told(10, long, fine), "", "{fine}");
    }
    // All that is written out, or lies within one another, is bounded by the same.
    let within =
        "{times: 9, steps: [{repeat: {times: 9, steps: [{get: /b, as: b}, {think: 3s}]}}, {think: 30s}]}";
    let out = "{times: 9, steps: [{get: /b, as: b}, {think: 3s}, {get: /b, as: b}, {think: 3s}, {get: /b, as: b}, {think: 3s}, {get: /b, as: b}, {think: 3s}, {get: /b, as: b}, {think: 3s}, {think: 85s}]}";
    for repeat in [within, out] {
        let all = told(10, repeat, "errors(b) < 1%");
        assert!(all.contains("come to 40 b at most in the 10 s"), "{repeat}: {all}");
    }
}

/// Windows in which nobody asks are none of a stretch: each run of it was INCONCLUSIVE.
#[test]
fn users_who_all_think_the_same_have_as_many_windows_as_they_ask_in() {
    let told = |arrival: &str, flow: &str| {
        let profile = format!(
            "target: sandbox\nduration: 61s\nshapes:\n  users: {{arrival: {arrival}, timeout: 2s, flow: [{{get: /l, as: l}}, {flow}]}}\nobjectives: [recovery(x) < 10s]\n"
        );
        let judge = "judge: {warmup: 5s, baseline: 25s, windows: 10, stretch: 10s, stretch_windows: 5}\n";
        let fault = "timeline: [{name: x, at: 33s, for: 7s, latency: {link: api-store, latency: 200ms}}]\n";
        let flags = Flags::default();
        with_flags(&profile, Some(&format!("{judge}{fault}")), &flags)
            .err()
            .map(|_| refused(&profile, Some(&format!("{judge}{fault}"))))
    };
    let closed = "{closed: {users: 20}}";
    for flow in ["{think: 5s}", "{repeat: {times: 9, steps: [{get: /l, as: m}, {think: 5s}]}}"] {
        let said = told(closed, flow).unwrap();
        assert_eq!(advised(&said, "raise `duration` to "), Some("75s"), "{said}");
    }
    for (arrival, flow) in [
        (closed, "{think: 4s..6s}"),
        (closed, "{think: 1s}"),
        (closed, "{choice: [{weight: 1, steps: [{think: 5s}]}, {weight: 1, steps: [{think: 1s}]}]}"),
        ("{constant: {rate: 9/s}}", "{think: 5s}"),
    ] {
        assert_eq!(told(arrival, flow), None, "{arrival}, {flow}");
    }
}

#[test]
fn faults_that_begin_together_on_one_thing_are_told_to_begin_apart() {
    let plan = |at: u32| {
        let one =
            |name: &str, at: u32| format!("  - {{name: {name}, at: {at}s, restart: {{service: api-1}}}}\n");
        format!("{QUICK}timeline:\n{}{}", one("a", 50), one("b", at))
    };
    let told = refused(CALM, Some(&plan(50)));
    assert!(told.contains("`a` and `b` both begin at 50 s, on `api-1`"), "{told}");
    assert!(told.contains("let one begin later than the other"), "{told}");
    resolved(CALM, Some(&plan(60)));
}

/// What was rounded down was refused again, in the same words.
#[test]
fn a_limit_that_could_be_told_is_accepted() {
    for (rate, probes) in [(1, false), (2, false), (3, true), (5, false), (6, true), (7, false), (9, true)] {
        let calm = CALM.replace("rate: 10/s", &format!("rate: {rate}/s"));
        for (written, limit) in [("errors < {}%", 0.01), ("goodput > {}%", 99.99)] {
            let told = |limit: &str| {
                let objective = written.replace("{}", limit);
                let profile = format!("{calm}    probes: {probes}\nobjectives: [{objective}]\n");
                resolved(&profile, None).foresight.remarks.join("\n")
            };
            let first = told(&limit.to_string());
            let could = advised(&first, "a limit of ").unwrap_or_else(|| panic!("{first}"));
            assert_eq!(told(could), "", "{written} at {rate}/s, {could} %");
        }
    }
}

/// It was looked for as long before as its deadline is, where nobody will look.
#[test]
fn a_steady_state_is_looked_for_just_before_the_first_trigger() {
    let remarks = |steps: &str, share: &str| {
        let profile = format!(
            "target: sandbox\nduration: 100s\nshapes:\n  late: {{arrival: {{stages: {{{steps}}}}}, probes: false, flow: [{{get: /l, as: l}}]}}\n"
        );
        let rule = format!("steady: [errors < {share}]\n");
        let fault = "timeline: [{name: x, at: 62s, for: 5s, latency: {link: api-store, latency: 100ms}}]\n";
        let all = resolved(&profile, Some(&format!("{QUICK}{rule}{fault}"))).foresight.remarks;
        all.into_iter().filter(|r| r.contains("hardly be found")).collect::<Vec<_>>()
    };
    assert_eq!(remarks("from: 1/s, steps: [{to: 30/s, over: 60s}]", "0.5%"), [""; 0]);
    let falls = remarks("from: 40/s, steps: [{to: 40/s, over: 36s}, {to: 3/s, over: 1s}]", "1%");
    assert!(falls.len() == 1 && falls[0].contains("about 30 l, and it takes 100"), "{falls:?}");
}

#[test]
fn a_shape_without_load_is_none_of_what_is_asked_where_users_of_a_closed_loop_come() {
    let profile = "target: sandbox\nduration: 60s\nshapes:\n\
        \x20 users: {arrival: {closed: {users: 9}}, timeout: 2s, flow: [{get: /l, as: l}]}\n\
        \x20 surge: {trigger: true, start: 50s, for: 5s, arrival: {constant: {rate: 9/s}}, timeout: 2s, flow: [{get: /s, as: s}]}\n\
        objectives: [mean < 2s after x]\n";
    let told = resolved(profile, Some(&cut(30, "for: 8s, down: {link: api-store}").replace("60s", "20s")));
    assert_eq!(told.foresight.remarks, [""; 0]);
}

/// A link may have the name of the service that it leads to.
#[test]
fn a_link_and_a_service_of_one_name_are_two() {
    let plan = format!(
        "{QUICK}services:\n  api-store: {{start: [\"true\"], ready: {{tcp: \"127.0.0.1:9\"}}}}\ntimeline:\n  \
         - {{name: a, at: 40s, kill: {{service: api-store}}}}\n  - {{name: b, at: 60s, for: 5s, down: {{link: api-store}}}}\n"
    );
    resolved(CALM, Some(&plan));
}

#[test]
fn a_one_shot_as_the_load_ends_is_refused() {
    for fault in ["restart: {service: api-1}", "kill: {service: api-1}"] {
        let told = refused(CALM, Some(&cut(90, fault)));
        assert!(told.contains("the load ends at 1 min 30 s, just as this comes"), "{told}");
        assert_eq!(advised(&told, "raise `duration` to "), Some("100s"), "{told}");
    }
}

/// The end of the load was named, which moves with it.
#[test]
fn a_fault_of_what_was_killed_for_good_is_told_of_for_and_of_restart() {
    let plan = |at: u32, first: &str, next: &str| {
        format!(
            "{QUICK}timeline:\n  - {{name: a, at: 40s, {first}}}\n  - {{name: b, at: {at}s, {next}: {{service: api-1}}}}\n"
        )
    };
    for (at, next) in [(60, "for: 5s, pause"), (89, "restart")] {
        let told = refused(CALM, Some(&plan(at, "kill: {service: api-1}", next)));
        assert!(told.contains("and `a` has killed `api-1` for good"), "{told}");
        assert!(told.contains("give `a` a `for` that ends before, or make it a `restart`"), "{told}");
    }
    for first in ["for: 5s, kill: {service: api-1}", "restart: {service: api-1}", "kill: {service: api-2}"] {
        resolved(CALM, Some(&plan(60, first, "for: 5s, pause")));
    }
}

#[test]
fn what_is_looked_at_for_longer_is_long_enough() {
    let profile = "target: sandbox\nduration: 90s\nshapes:\n  b: {arrival: {bursts: {size: 20, every: 10s}}, probes: false, timeout: 9s, flow: [{get: /l, as: l}]}\n";
    let plan = |rule: &str| {
        format!(
            "{QUICK}steady: [{rule}]\ntimeline: [{{name: x, at: 60s, for: 5s, down: {{link: api-store}}}}]\n"
        )
    };
    let told = refused(profile, Some(&plan("p95 < 500ms")));
    assert!(told.contains("look at more with `p95 < 500ms for 44s`"), "{told}");
    resolved(profile, Some(&plan("p95 < 500ms for 44s")));
}

/// One seed's arrivals were counted, and the run has another's.
#[test]
fn a_live_rule_is_refused_of_every_seed_or_of_none() {
    let told = |rate: u32, rule: &str, seed: u64| {
        let profile = CALM.replace("constant: {rate: 10/s}", &format!("poisson: {{rate: {rate}/s}}"));
        let fault = "timeline: [{name: x, at: 60s, for: 5s, latency: {link: api-store, latency: 100ms}}]\n";
        let flags = Flags { seed, ..Flags::default() };
        match with_flags(&profile, Some(&format!("{QUICK}{rule}\n{fault}")), &flags) {
            Ok(experiment) => (false, experiment.foresight.remarks.join("\n")),
            Err(_) => (true, refused_with(&profile, Some(&format!("{QUICK}{rule}\n{fault}")), &flags)),
        }
    };
    for (rate, rule, refuses, remark) in [
        (3, "abort: [p95 > 4s for 10s]", true, ""),
        (6, "abort: [p95 > 4s for 10s]", false, "`abort: p95 > 4s for 10s` will seldom decide: it looks at"),
        (9, "abort: [p95 > 4s for 10s]", false, ""),
        (3, "steady: [p95 < 1s for 10s]", true, ""),
        (7, "steady: [p95 < 1s for 10s]", false, "will hardly be found"),
    ] {
        let each: Vec<_> = (0..30).map(|seed| told(rate, rule, seed)).collect();
        assert!(each.iter().all(|one| *one == each[0]), "{rule} at {rate}/s: {each:?}");
        assert_eq!(each[0].0, refuses, "{rule} at {rate}/s: {each:?}");
        assert!(
            each[0].1.contains(remark) && (refuses || each[0].1.is_empty() == remark.is_empty()),
            "{each:?}"
        );
    }
    let first = told(3, "steady: [p95 < 1s for 10s]", 1).1;
    let longer = advised(&first, "look at more with `p95 < 1s for ").unwrap().trim_end_matches("`,");
    for seed in 0..30 {
        let rule = format!("steady: [p95 < 1s for {longer}]");
        assert_eq!(told(3, &rule, seed), (false, String::new()), "{rule}");
    }
}

#[test]
fn a_baseline_without_room_has_no_length_to_ask_for_less_of() {
    let profile = format!("{CALM}objectives: [p50 < 3s during baseline for 3s]\n");
    let told = refused(&profile, Some(&cut(3, "for: 5s, down: {link: api-store}")));
    assert!(told.contains("the baseline has no room") && !told.contains("can never be"), "{told}");
}

/// Between 5 s and 35 s lie nine whole windows of 3 s.
#[test]
fn a_baseline_holds_as_many_whole_windows_as_the_judge_needs() {
    let bursts = CALM.replace("{constant: {rate: 10/s}}", "{bursts: {size: 9, every: 3s}}");
    let profile = format!("{bursts}objectives: [recovery(x) < 8s]\n");
    let plan = |at: &str| {
        format!(
            "judge: {{warmup: 5s, baseline: 30s, windows: 10, stretch: 10s}}\ntimeline: [{{name: x, at: {at}, for: 3s, down: {{link: api-store}}}}]\n"
        )
    };
    let told = refused(&profile, Some(&plan("37s")));
    assert!(told.contains("it needs 31 s") && told.contains("begin at 38s or later"), "{told}");
    assert_eq!(resolved(&profile, Some(&plan("38s"))).foresight.remarks, [""; 0]);
}

#[test]
fn a_load_that_the_flag_makes_too_short_is_told_of_the_flag() {
    let profile = format!("{CALM}objectives: [recovery(x) < 5s]\n");
    let chaos = cut(70, "for: 3s, down: {link: api-store}");
    for (duration, chaos, caret) in [
        (5, None, None),
        (80, Some(&chaos[..]), Some("recovery(x)")),
        (71, Some(&chaos[..]), Some("name: x")),
    ] {
        let flags = Flags { duration: Some(Micros::secs(duration)), ..Flags::default() };
        let told = refused_with(&profile, chaos, &flags);
        assert!(told.contains("raise `--duration`") && !told.contains("raise `duration`"), "{told}");
        assert!(!told.contains("duration: 90s") && caret.is_none_or(|at| told.contains(at)), "{told}");
    }
}

/// A higher rate was advised where a window is a tenth of the baseline, however many come in it.
#[test]
fn windows_become_shorter_as_is_advised() {
    let told = |rate: u32, windows: &str| {
        let profile = CALM.replace("10/s", &format!("{rate}/s")).replace("90s", "130s");
        let judge = format!(
            "judge: {{warmup: 5s, baseline: 40s, windows: {windows}, stretch: 5s, stretch_windows: 3}}\n"
        );
        let fault = "timeline: [{name: x, at: 61s, for: 3s, latency: {link: api-store, latency: 100ms}}]\n";
        let profile = format!("{profile}objectives: [recovery(x) < 8s]\n");
        let remarks = resolved(&profile, Some(&format!("{judge}{fault}"))).foresight.remarks;
        remarks.into_iter().filter(|r| r.contains("is told in windows of")).collect::<Vec<_>>().join("\n")
    };
    for rate in [6, 20, 100, 190] {
        let first = told(rate, "10");
        let more = advised(&first, "`judge: {windows: ").map(|n| n.trim_end_matches("}`"));
        assert_eq!(told(rate, more.unwrap_or("10")), "", "{first}");
    }
    // Of so many the narrowest that hold a thousand.
    let many = told(300, "10");
    assert!(many.ends_with("a higher rate has shorter windows"), "{many}");
    assert_eq!(told(600, "10"), "");
}

/// Three rounds it took: `duration` was told for the old `at`, and went from 85 s to 97 s to 127 s.
#[test]
fn when_to_begin_and_how_long_to_last_are_told_together_and_accepted_at_once() {
    let judge = "judge: {warmup: 10s, baseline: 20s, windows: 20, stretch: 30s}\n";
    for (duration, at, fault, rules) in [
        (80, 40, "latency: {link: api-store, latency: 100ms}", "objectives: [recovery(x) < 20s]\n"),
        (80, 30, "latency: {link: api-store, latency: 100ms}", "objectives: [recovery(x) < 20s]\n"),
        (130, 20, "down: {link: api-store}", "objectives: [outage(x) < 30s]\n"),
        (45, 20, "down: {link: api-store}", "objectives: [errors < 5% after x]\n"),
        (
            45,
            12,
            "down: {link: api-store}",
            "objectives: [errors < 5% after x for 15s]\nsteady: [errors < 50% for 20s]\n",
        ),
        (40, 12, "down: {link: api-store}", "steady: [errors < 50% for 20s]\n"),
        (
            90,
            20,
            "down: {link: api-store}",
            "objectives: [recovery(x) < 9s]\nsteady: [errors < 50% for 50s]\n",
        ),
    ] {
        let plan = |at: &str| format!("{judge}{rules}timeline: [{{name: x, at: {at}, for: 15s, {fault}}}]\n");
        let calm = |duration: &str| CALM.replace("duration: 90s", &format!("duration: {duration}"));
        let (duration, at) = (format!("{duration}s"), format!("{at}s"));
        let written = with_flags(&calm(&duration), Some(&plan(&at)), &Flags::default());
        let told = written.map_or_else(|p| render(&p, false), |_| String::new());
        let begin = advised(&told, "begin at ").unwrap_or(&at);
        let lasts = advised(&told, "raise `duration` to ").unwrap_or(&duration);
        for (asked, one) in [("begin at ", begin), ("raise `duration` to ", lasts)] {
            let all = told.match_indices(asked).map(|(at, _)| advised(&told[at..], asked));
            assert!(all.into_iter().all(|other| other == Some(one)), "{told}");
        }
        let again = with_flags(&calm(lasts), Some(&plan(begin)), &Flags::default());
        assert!(again.is_ok(), "{told}\n{}", again.map_or_else(|p| render(&p, false), |_| String::new()));
    }
}

/// Those of `check` were refused when all of them were followed, or walked away for ever.
#[test]
fn a_plan_that_is_changed_as_is_advised_is_accepted_at_once() {
    let slow = "for: 5s, latency: {link: api-store, latency: 100ms}";
    let gone = "for: 2s, down: {link: api-store}";
    let dead = "for: 3s, kill: {service: api-1}";
    let failover = "failover: {link: api-store, to: store-b, outage: 2s}";
    let poisson = |rate: u32| format!("poisson: {{rate: {rate}/s}}");
    for (arrival, duration, judge, rules, faults) in [
        (
            poisson(3),
            40,
            "",
            "recovery(a) < 10s, recovery(b) < 10s",
            vec![("a", 5, "", slow), ("b", 12, "", slow)],
        ),
        (poisson(1), 30, "", "errors < 5% after a", vec![("a", 5, "", failover)]),
        (
            "bursts: {size: 20, every: 5s, over: 500ms}".to_owned(),
            30,
            "judge: {warmup: 1s, baseline: 20s, windows: 10, stretch: 5s, stretch_windows: 5}\n",
            "recovery(a) < 30s",
            vec![("a", 10, "", dead)],
        ),
        (poisson(10), 30, QUICK, "errors < 5% after a for 20s", vec![("a", 40, "", gone)]),
        (
            poisson(10),
            60,
            QUICK,
            "errors < 5% after a for 20s",
            vec![("a", 40, "", gone), ("b", 50, "", gone)],
        ),
        // Each needs 22 s and more before the next of the other.
        (
            "constant: {rate: 6/s}".to_owned(),
            900,
            "judge: {warmup: 5s, baseline: 40s, windows: 10, stretch: 5s, stretch_windows: 3}\n",
            "recovery(a) < 5s, recovery(b) < 5s",
            vec![("a", 60, "every: 30s, times: 20, ", slow), ("b", 80, "every: 30s, times: 20, ", gone)],
        ),
        (poisson(9), 90, QUICK, "recovery(a) < 8s", vec![("a", 40, "every: 16s, ", slow)]),
        // What no longer fits is told of first.
        (
            poisson(9),
            60,
            QUICK,
            "recovery(a) < 5s",
            vec![("a", 50, "every: 20s, times: 3, ", slow), ("b", 90, "", gone)],
        ),
        (poisson(9), 60, QUICK, "", vec![("a", 40, "every: 8s, times: 5, ", slow)]),
    ] {
        let calm = |lasts: &str| {
            let profile = CALM.replace("constant: {rate: 10/s}", &arrival).replace("90s", lasts);
            format!("{profile}objectives: [{rules}]\n")
        };
        let plan = |told: &str| {
            let fault = |(name, at, repeats, what): &(&str, u32, &str, &str)| {
                let change = |what: &str, now: String| advised(told, what).map_or(now, str::to_owned);
                let begins = [format!("let `{name}` begin at "), format!("let the first `{name}` begin at ")];
                let at = begins.iter().fold(format!("{at}s"), |at, what| change(what, at));
                let at = if faults[0].0 == *name { change("help: begin at ", at) } else { at };
                let every = advised(told, "write `every: ").map(|every| every.trim_end_matches('`'));
                let now = advised(repeats, "every: ").map_or("", |every| every.trim_end_matches(','));
                let repeats = repeats.replace(now, every.unwrap_or(now));
                let times =
                    told.split(&format!("` of `{name}`")).next().and_then(|t| t.rsplit_once("`times: "));
                let times = times.filter(|_| !repeats.contains("times") && !repeats.is_empty());
                let times = times.map_or(String::new(), |(_, n)| format!("times: {n}, "));
                format!("  - {{name: {name}, at: {at}, {repeats}{times}{what}}}\n")
            };
            format!("{judge}timeline:\n{}", faults.iter().map(fault).collect::<String>())
        };
        let duration = format!("{duration}s");
        let told = refused(&calm(&duration), Some(&plan("")));
        let lasts = advised(&told, "raise `duration` to ").unwrap_or(&duration);
        let again = with_flags(&calm(lasts), Some(&plan(&told)), &Flags::default());
        let again = again.map_or_else(|p| render(&p, false), |_| String::new());
        assert_eq!(again, "", "{told}\n{}", plan(&told));
    }
}

//! What `--smoke` makes of a plan.

use super::*;

#[test]
fn a_smoke_run_shortens_the_plans_clock_and_nothing_that_requests_take() {
    let profile = CALM.replace("timeout: 2s", "start: 9s\n    timeout: 2s");
    let chaos = "steady: [errors < 1%]\ntimeline:\n  - {name: slow, at: 40s, for: 20s, latency: {link: api-store, latency: 100ms}}\n";
    let flags = Flags { smoke: true, ..Flags::default() };
    let experiment =
        with_flags(&profile, Some(chaos), &flags).unwrap_or_else(|p| panic!("{}", render(&p, false)));
    let outline = &experiment.outline;
    assert_eq!((outline.smoke, outline.duration), (Some(9.0), Micros::secs(10)));
    assert_eq!(outline.shapes[0].start, Micros::secs(1));
    assert_eq!(outline.shapes[0].planned, [0, 10, 10, 10, 10, 10, 10, 10, 10, 10], "rates stay");
    assert_eq!(outline.operations[1].deadline, Micros::secs(2));
    assert_eq!(
        (outline.faults[0].at, outline.faults[0].length),
        (Micros(4_444_444), Some(Micros(2_222_222)))
    );
    assert_eq!((outline.judge.warmup, outline.judge.windows), (Micros(1_111_111), 1));
    assert!(outline.steady.is_empty(), "there is no time to look for it");
    let brief = chaos.replace("for: 20s", "for: 2s");
    let experiment =
        with_flags(&profile, Some(&brief), &flags).unwrap_or_else(|p| panic!("{}", render(&p, false)));
    assert_eq!(experiment.outline.faults[0].length, Some(Micros::millis(500)), "no fault gets shorter");
}

#[test]
fn a_trigger_of_which_a_smoke_run_leaves_nothing_is_not_refused() {
    let storm = "  storm: {start: 20m, for: 60s, trigger: true, arrival: {poisson: {rate: 2/s}}, timeout: 2s, flow: [{get: /b, as: b}]}\n";
    let profile = CALM.replace("duration: 90s", "duration: 30m") + storm;
    let flags = Flags { smoke: true, ..Flags::default() };
    let experiment = with_flags(&profile, None, &flags).unwrap_or_else(|p| panic!("{}", render(&p, false)));
    assert_eq!(experiment.outline.duration, Micros::secs(10));
}

#[test]
fn what_fits_into_a_plan_fits_into_its_smoke_run() {
    let flags = Flags { smoke: true, ..Flags::default() };
    // Rounded microseconds do not add up, and the time to settle is a part of the plan even where nobody wrote it.
    for (duration, at, every, how) in [
        (150, 45, 30, "restart: {service: api-1}"),
        (150, 45, 20, "for: 10s, latency: {link: api-store, latency: 100ms}"),
        (70, 5, 20, "for: 5s, latency: {link: api-store, latency: 100ms}"),
    ] {
        let profile = CALM.replace("duration: 90s", &format!("duration: {duration}s"));
        let chaos = format!("timeline: [{{name: again, at: {at}s, every: {every}s, times: 4, {how}}}]\n");
        let experiment =
            with_flags(&profile, Some(&chaos), &flags).unwrap_or_else(|p| panic!("{}", render(&p, false)));
        let outline = &experiment.outline;
        assert_eq!((outline.duration, outline.faults.len()), (Micros::secs(10), 4), "{how}");
        assert!(outline.faults.iter().all(|fault| fault.settle < Micros::secs(2)), "{how}");
    }
}

#[test]
fn what_is_wrong_with_the_whole_plan_is_told_in_its_own_times() {
    let flags = Flags { smoke: true, ..Flags::default() };
    let late = "timeline: [{name: slow, at: 88s, for: 6s, down: {link: api-store}}]\n";
    let text = refused_with(CALM, Some(late), &flags);
    assert_eq!(text, refused(CALM, Some(late)));
    assert!(text.contains("ends at 1 min 34 s"), "{text}");
    let close = "timeline: [{name: slow, at: 40s, every: 12s, times: 2, for: 3s, down: {link: api-store}}]\n";
    assert!(refused_with(CALM, Some(close), &flags).contains("write `every: 13s`"), "as without `--smoke`");
}

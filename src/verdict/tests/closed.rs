//! Closed loops: users who ask again when they were answered, and so ask nothing while they wait, whoever keeps
//! them waiting.

use proptest::prelude::*;

use super::*;
use crate::objective::Objective;
use crate::sample::Clean;

const LENGTH: i64 = 60;
const DEADLINE: i64 = 2;

/// What the nth request of a user meets at a time.
pub(super) type Answer<'a> = &'a dyn Fn(usize, Micros) -> (Micros, Kind);

/// From when to when squall stands still.
pub(super) type Frozen<'a> = &'a [(f64, f64)];

/// So many users for so long, while squall stands still in these times, and holds up each answer for so long.
pub(super) fn users(n: usize, seconds: i64, answer: Answer, frozen: Frozen, held: Micros) -> Vec<Sample> {
    let still: Vec<(Micros, Micros)> = frozen.iter().map(|(from, to)| (s(*from), s(*to))).collect();
    let awake =
        |at: Micros| still.iter().find(|(from, to)| *from <= at && at < *to).map_or(at, |(_, to)| *to);
    let hit = |at: Micros| still.iter().any(|(from, to)| *from <= at && at < *to + (*to - *from) * 2);
    let mut samples = Vec::new();
    for user in 0..n {
        let (mut at, mut nth) = (Micros::millis(user as i64), user);
        while at < Micros::secs(seconds) {
            let dequeued = awake(at);
            let (took, kind) = answer(nth, dequeued);
            let mut sent = sample(0, at, took + (dequeued - at), kind);
            sent.dequeued = dequeued;
            let read = awake(sent.done) + held;
            (sent.work.held, sent.done) = (read - sent.done, read);
            if sent.outcome.kind == Kind::Ok && sent.response() > Micros::secs(DEADLINE) {
                sent.outcome.kind = Kind::Late;
                sent.clean = if sent.without_own_part() <= Micros::secs(DEADLINE) {
                    Clean::InTime
                } else {
                    sent.clean
                };
            }
            let through_squall = kind == Kind::Timeout && sent.work.held * 4 >= Micros::secs(DEADLINE);
            sent.clean = if hit(at) || through_squall { Clean::LeftOut } else { sent.clean };
            (at, nth) = (sent.done.max(at + Micros::MILLISECOND), nth + n);
            samples.push(sent);
        }
    }
    samples.sort_by_key(|sample| sample.intended);
    samples
}

pub(super) fn closed(seconds: i64, frozen: Frozen) -> Plan {
    let mut plan = Plan::new(seconds).shape("rooms", "create", s(DEADLINE as f64));
    plan.outline.shapes[0].closed = true;
    for (from, to) in frozen {
        let mut record = Happened { cell: *to as u32, ..Happened::default() };
        record.heartbeat.record(s(to - from));
        plan.events.push(Record::Happened(Box::new(record)));
    }
    plan
}

fn disturbed(objective: Objective, frozen: Frozen) -> Plan {
    at_half_time(closed(LENGTH, frozen), objective)
}

/// Odd milliseconds, and whether it fails.
fn table() -> impl Strategy<Value = Vec<(i64, bool)>> {
    prop::collection::vec(
        (20i64..100, prop::bool::weighted(0.04)).prop_map(|(ms, bad)| (2 * ms + 1, bad)),
        400,
    )
}

fn of_table(table: &[(i64, bool)], nth: usize) -> (Micros, Kind) {
    let (ms, bad) = table[nth * 7 % table.len()];
    (Micros::millis(ms), if bad { Kind::Status } else { Kind::Ok })
}

fn objectives() -> impl Strategy<Value = Objective> {
    let time = (1i64..2_000).prop_map(|ms| Micros::millis(2 * ms).0 as f64);
    let quantile = prop::sample::select(vec![0.5, 0.95, 0.99, 0.999]);
    let phase = prop::sample::select(vec![RUN, during("x"), after("x"), PhaseName::Baseline]);
    let latency = prop_oneof![quantile.prop_map(Metric::Quantile), Just(Metric::Mean), Just(Metric::Max)];
    let latency = (latency, time.clone()).prop_map(|(metric, limit)| (metric, Comparison::Below, limit));
    let share = (0.0f64..0.3).prop_map(|x| (Metric::Errors, Comparison::Below, x));
    let goodput = (0.7f64..1.0).prop_map(|x| (Metric::Goodput, Comparison::AtLeast, x));
    let rate = (1.0f64..100.0).prop_map(|x| (Metric::Rate, Comparison::AtLeast, x));
    let count = (1.0f64..4_000.0).prop_map(|x| (Metric::Count, Comparison::AtLeast, x));
    let back = time.prop_map(|limit| (Metric::Recovery, Comparison::Below, limit * 10.0));
    let window = prop::option::of(Just(s(5.0)));
    (prop_oneof![latency, share, goodput, rate, count, back], phase, window).prop_map(
        |(what, phase, window)| {
            let (metric, comparison, value) = what;
            let of_trigger = metric == Metric::Recovery;
            let (phase, window) = if of_trigger { (RUN, None) } else { (phase, window) };
            Objective { window, ..expect(metric, comparison, value, phase) }
        },
    )
}

/// Less is asked: users who are held up ask less often, and so other things at another time, which in a short while is
/// another mixture.
fn eased(objective: &Objective) -> Objective {
    let ease = match (objective.metric.unit(), objective.window) {
        (Unit::Duration, None) => 1.25,
        (Unit::Duration, Some(_)) => 1.5,
        (Unit::Share, _) => 1.0,
        (Unit::Rate | Unit::Number, None) => 0.9,
        (Unit::Rate | Unit::Number, Some(_)) => 0.66,
    };
    Objective { value: objective.value * ease, ..objective.clone() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn more_bad_answers_never_improve_a_word(
        table in table(), objective in objectives(), share in 0.0f64..1.0, seed in any::<u64>(),
    ) {
        // Each answer keeps its time: who waits longer asks later, and so other things lie in a window and a phase.
        let from = if objective.metric == Metric::Recovery { s(30.0) } else { Micros::ZERO };
        let before = users(8, LENGTH, &|nth, _| of_table(&table, nth), &[], Micros::ZERO);
        let mut after = before.clone();
        for (nth, sample) in after.iter_mut().enumerate().filter(|(_, sample)| sample.intended >= from) {
            let index = nth as u64;
            let key = crate::random::Key { seed, shape: 0, index, attempt: 0, purpose: crate::random::Purpose::Data };
            if key.stream().unit() < share {
                sample.outcome = crate::sample::Outcome::new(Kind::Status, 503);
            }
        }
        let (was, why) = word(disturbed(objective.clone(), &[]), &before);
        let (is, then) = word(disturbed(objective, &[]), &after);
        prop_assert!(is >= was, "{:?} ({}) became {:?} ({})", was, why, is, then);
    }

    #[test]
    fn more_delay_of_squalls_own_never_makes_a_fail(
        table in table(), objective in objectives(), held in 0i64..300, from in 3.0f64..50.0, long in 0.0f64..8.0,
    ) {
        let answer = |nth: usize, _: Micros| (of_table(&table, nth).0, Kind::Ok);
        let frozen = if long > 0.1 { vec![(from, from + long)] } else { Vec::new() };
        let before = users(8, LENGTH, &answer, &[], Micros::ZERO);
        let after = users(8, LENGTH, &answer, &frozen, Micros::millis(held));
        let (was, _) = word(disturbed(objective.clone(), &[]), &before);
        let (is, why) = word(disturbed(eased(&objective), &frozen), &after);
        prop_assert!(was == Word::Fail || is != Word::Fail, "{:?} became FAIL: {}", was, why);
    }

    #[test]
    fn a_hiccup_never_turns_a_tenfold_breach_into_invalid(
        table in table(), at in 3.0f64..55.0, kind in prop::sample::select(vec![Kind::Status, Kind::Timeout]),
    ) {
        let gross = |nth: usize, _: Micros| match nth % 4 {
            0 => (Micros::secs(DEADLINE), kind),
            _ => of_table(&table, nth),
        };
        let hiccup = [(at, at + 0.15)];
        let samples = users(20, LENGTH, &gross, &hiccup, Micros::ZERO);
        let share = expect(Metric::Errors, Comparison::Below, 0.02, RUN);
        let rate = expect(Metric::Rate, Comparison::AtLeast, 1_000.0, RUN);
        for objective in [share, p(0.95, s(0.15), RUN), rate] {
            let (is, why) = word(disturbed(objective, &hiccup), &samples);
            prop_assert_eq!(is, Word::Fail, "{}", why);
        }
    }

    #[test]
    fn a_target_that_only_fails_is_called_so_whatever_squall_does_beside(from in 3.0f64..50.0, long in 0.1f64..6.0) {
        let frozen = [(from, from + long)];
        let all = users(8, LENGTH, &|_, _| (Micros::millis(100), Kind::Status), &frozen, Micros::ZERO);
        let rate = expect(Metric::Rate, Comparison::AtLeast, 1.0, RUN);
        for objective in [expect(Metric::Errors, Comparison::Below, 0.5, RUN), rate] {
            let (is, why) = word(disturbed(objective, &frozen), &all);
            prop_assert_eq!(is, Word::Fail, "{}", why);
        }
    }

    #[test]
    fn scaling_all_times_changes_nothing(table in table(), objective in objectives(), k in 2i64..6) {
        let (plan, samples) = (disturbed(objective, &[]), users(8, LENGTH, &|nth, _| of_table(&table, nth), &[], Micros::ZERO));
        let (long, longer) = properties::scaled(&plan, &samples, k);
        let ((was, why), (is, then)) = (word(plan, &samples), word(long, &longer));
        prop_assert_eq!(was, is, "{} became {}", why, then);
    }

    #[test]
    fn twice_as_much_of_the_same_turns_no_word_into_its_opposite(table in table(), objective in objectives(), loops in any::<bool>()) {
        let once = users(4, LENGTH, &|nth, _| of_table(&table, nth), &[], Micros::ZERO);
        let twice: Vec<Sample> = once.iter().flat_map(|sample| [sample.clone(), sample.clone()]).collect();
        let plan = |objective: &Objective| {
            let mut plan = disturbed(objective.clone(), &[]);
            plan.outline.shapes[0].closed = loops;
            plan
        };
        let double = match objective.metric {
            Metric::Rate | Metric::Count => Objective { value: objective.value * 2.0, ..objective.clone() },
            _ => objective.clone(),
        };
        let ((was, why), (is, then)) = (word(plan(&objective), &once), word(plan(&double), &twice));
        // What few of a window may lose by chance, twice as many have not, and then it is out of its band.
        let lost = || {
            let shapes = verdict(plan(&double), &twice).triggers.into_iter().flat_map(|t| t.shapes);
            shapes.map(|s| s.depth_during.max(s.depth_after)).fold(0.0, f64::max)
        };
        let by_chance = objective.metric == Metric::Recovery && was == Word::Pass && lost() < 0.1;
        let opposite = matches!((was, is), (Word::Pass, Word::Fail) | (Word::Fail, Word::Pass));
        prop_assert!(!opposite || by_chance, "{} became {}", why, then);
    }
}

#[test]
fn a_frozen_squall_beside_users_who_wait_is_told_from_a_target_that_is_away() {
    let well = |nth: usize| Micros::millis(20 + nth as i64 % 7);
    let away = |at: Micros| at >= s(100.0) && at < s(140.0);
    let up = |nth: usize, _: Micros| (well(nth), Kind::Ok);
    let down =
        |nth: usize, at: Micros| if away(at) { (s(0.05), Kind::Connect) } else { (well(nth), Kind::Ok) };
    let hung =
        |nth: usize, at: Micros| if away(at) { (s(2.0), Kind::Timeout) } else { (well(nth), Kind::Ok) };
    let freeze = [(100.0, 106.0)];
    let rows: [(&str, Answer, Frozen, Word); 6] = [
        ("well", &up, &[], Word::Pass),
        ("well, squall frozen all through the fault", &up, &freeze, Word::Invalid),
        ("down", &down, &[], Word::Fail),
        ("down, squall frozen", &down, &freeze, Word::Fail),
        ("hung", &hung, &[], Word::Fail),
        ("hung, squall frozen", &hung, &freeze, Word::Fail),
    ];
    for (name, answer, frozen, word) in rows {
        let mut plan = closed(200, frozen).fault("x", 100.0, Some(5.0)).objective(recovery_within(10.0));
        plan = plan.objective(Objective { metric: Metric::Outage, ..recovery_within(3.0) });
        let judged = verdict(plan, &users(20, 200, answer, frozen, Micros::ZERO));
        for objective in &judged.objectives {
            assert_eq!(objective.word, word, "{name}: {}", objective.reason);
        }
    }
}

/// Where every answer takes as long there is no other mixture: what users would have asked is known to a twentieth over a
/// phase, and at best no less in a second of a while, in which a round of them more or less may lie.
#[test]
fn the_rate_of_users_who_are_held_up_is_theirs_without_it() {
    let well = |_: usize, _: Micros| (Micros::millis(85), Kind::Ok);
    let rate = 8.0 / 0.085;
    for held in [20, 100, 197, 290] {
        let samples = users(8, LENGTH, &well, &[], Micros::millis(held));
        let rows =
            [(0.95, None, Word::Invalid), (0.95, Some(s(5.0)), Word::Invalid), (1.05, None, Word::Fail)];
        for (share, window, expected) in rows {
            let least = expect(Metric::Rate, Comparison::AtLeast, share * rate, PhaseName::Baseline);
            let (is, why) = word(disturbed(Objective { window, ..least }, &[]), &samples);
            assert_eq!(is, expected, "{held} ms, {window:?}: {why}");
        }
    }
}

/// What is left of the seconds in which it began and ended is not all of their time.
#[test]
fn the_ends_of_a_standstill_are_no_time_in_which_users_asked() {
    let well = |_: usize, _: Micros| (Micros::millis(120), Kind::Ok);
    let rows = [
        (26.1, 29.9, [Word::Invalid; 2]),
        (25.2, 29.9, [Word::Invalid; 2]),
        (26.9, 29.1, [Word::Invalid, Word::Fail]),
        (27.1, 29.9, [Word::Invalid, Word::Fail]),
    ];
    for (from, to, words) in rows {
        let frozen = [(from, to)];
        let samples = users(8, LENGTH, &well, &frozen, Micros::ZERO);
        for (least, word) in [60.0, 75.0].into_iter().zip(words) {
            let objective = expect(Metric::Rate, Comparison::AtLeast, least, during("x"));
            let judged = verdict(disturbed(objective, &frozen), &samples);
            assert_eq!(judged.verdict, word, "{from} to {to}, {least}: {}", judged.summary.verdict);
        }
    }
}

/// They all ask at once, each twenty seconds, one thing or three of them a second apart: five windows are a stretch, or as
/// many as come in half a minute, and not as many as fit into it.
#[test]
fn users_who_think_for_long_come_back_in_the_windows_that_they_have() {
    let slow = |at: Micros, until: f64| at >= s(105.0) && at < s(until);
    let rows = [(275, 125.0, Word::Pass), (275, 275.0, Word::Fail), (190, 125.0, Word::Inconclusive)];
    let more = [(200, 125.0, Word::Pass), (275, 275.0, Word::Fail), (165, 125.0, Word::Inconclusive)];
    for (steps, (seconds, until, word)) in
        rows.map(|row| (1, row)).into_iter().chain(more.map(|row| (3, row)))
    {
        let asked = (0..seconds / 20)
            .flat_map(|round| (0..steps).map(move |step| s(20.005 * round as f64) + Micros::secs(step)))
            .flat_map(|at| (0..20).map(move |user| at + Micros::millis(user)));
        let took = |at| if slow(at, until) { Micros::millis(250) } else { Micros::millis(5) };
        let samples: Vec<Sample> = asked.map(|at| sample(0, at, took(at), Kind::Ok)).collect();
        let mut plan = closed(seconds, &[]).fault("x", 105.0, Some(20.0)).objective(recovery_within(30.0));
        plan.outline.judge = JudgeSettings::default();
        let judged = verdict(plan, &samples);
        let what = format!("{steps}, slow until {until} of {seconds}");
        assert_eq!(judged.verdict, word, "{what}: {}", judged.summary.verdict);
        let needed = judged.triggers[0].needed;
        let told = if steps == 1 { 220.0..250.0 } else { 150.0..185.0 };
        let lies = |needed: Micros| told.contains(&needed.as_secs_f64());
        assert_eq!(needed.is_some(), word == Word::Inconclusive, "{what}");
        assert!(needed.is_none_or(lies), "{what}: {needed:?} would tell");
    }
}

/// While they wait in vain each second has a window: for longer than the rest of the run, and yet no more of them come
/// afterwards.
#[test]
fn users_who_think_for_long_come_back_in_those_windows_however_long_they_waited() {
    let judged = |until: f64, seconds: i64| {
        let each = |user: i64| {
            let (mut at, mut samples) = (Micros::millis(user), Vec::new());
            while at < Micros::secs(seconds) {
                let down = at >= s(105.0) && at < s(until);
                let (took, kind) = if down { (s(1.0), Kind::Timeout) } else { fine(at) };
                samples.push(sample(0, at, took, kind));
                at = at + took + if down { s(0.01) } else { s(20.0) };
            }
            samples
        };
        let mut samples: Vec<Sample> = (0..20).flat_map(each).collect();
        samples.sort_by_key(|sample| sample.intended);
        let mut plan = closed(seconds, &[]).fault("x", 105.0, Some(20.0)).objective(recovery_within(200.0));
        plan.outline.judge = JudgeSettings::default();
        verdict(plan, &samples)
    };
    for (until, seconds, word) in
        [(280.0, 420, Word::Pass), (330.0, 460, Word::Fail), (420.0, 420, Word::Fail)]
    {
        let judged = judged(until, seconds);
        assert_eq!(judged.verdict, word, "{until} of {seconds}: {}", judged.summary.verdict);
    }
    let short = judged(280.0, 340);
    assert_eq!(short.verdict, Word::Inconclusive, "{}", short.summary.verdict);
    let needed = short.triggers[0].needed.map(Micros::as_secs_f64);
    assert!(needed.is_some_and(|at| (355.0..385.0).contains(&at)), "{needed:?}");
}

/// They all ask at once, each twenty seconds, until an outage spreads them: five seconds have five windows then, and are no
/// stretch.
#[test]
fn users_whom_an_outage_spread_are_watched_for_as_long_as_all_others() {
    let rows = [(275, 275.0, Word::Pass), (275, 141.0, Word::Fail), (141, 141.0, Word::Inconclusive)];
    for (seconds, well_until, word) in rows {
        let rounds = (0..seconds / 20).flat_map(|round| (0..20).map(move |user| (round, user)));
        let asked = rounds.map(|(round, user)| {
            let at = s(20.005 * round as f64) + Micros::millis(user);
            if at < s(105.0) { at } else { at + s(5.0) + Micros::secs(user) }
        });
        let well = |at: Micros| at < s(105.0) || (at >= s(125.0) && at < s(well_until));
        let took = |at| if well(at) { Micros::millis(5) } else { Micros::millis(250) };
        let mut samples: Vec<Sample> = asked.map(|at| sample(0, at, took(at), Kind::Ok)).collect();
        samples.retain(|sample| sample.intended < Micros::secs(seconds));
        samples.sort_by_key(|sample| sample.intended);
        let mut plan = closed(seconds, &[]).fault("x", 105.0, Some(20.0)).objective(recovery_within(30.0));
        plan.outline.judge = JudgeSettings::default();
        let judged = verdict(plan, &samples);
        let what = format!("well until {well_until} of {seconds}");
        assert_eq!(judged.verdict, word, "{what}: {}", judged.summary.verdict);
        let needed = judged.triggers[0].needed.map(Micros::as_secs_f64);
        assert_eq!(needed.is_some(), word == Word::Inconclusive, "{what}: {needed:?}");
        assert!(needed.is_none_or(|at| (155.0..157.0).contains(&at)), "{what}: {needed:?}");
    }
}

/// One asks each second, until an outage holds them all up and lets them go at once: a stretch takes longer then, and no
/// load is told to be needed until a time to which it lasted.
#[test]
fn users_whom_an_outage_brought_together_are_told_a_time_that_is_to_come() {
    let each = |user: i64| {
        let (mut at, mut samples) = (Micros::secs(user), Vec::new());
        while at < s(275.0) {
            let held = if at >= s(105.0) && at < s(125.0) { s(125.0) - at } else { Micros::ZERO };
            samples.push(sample(0, at, held + Micros::millis(5), Kind::Ok));
            at = at + held + s(20.005);
        }
        samples
    };
    let mut samples: Vec<Sample> = (0..20).flat_map(each).collect();
    samples.sort_by_key(|sample| sample.intended);
    let mut plan = closed(275, &[]).fault("x", 105.0, Some(20.0)).objective(recovery_within(60.0));
    plan.outline.operations.iter_mut().for_each(|op| op.deadline = s(30.0));
    plan.outline.judge = JudgeSettings::default();
    let judged = verdict(plan, &samples);
    assert_eq!(judged.verdict, Word::Inconclusive, "{}", judged.summary.verdict);
    let needed = judged.triggers[0].needed.map(Micros::as_secs_f64);
    assert!(needed.is_some_and(|at| (400.0..460.0).contains(&at)), "{needed:?}");
}

/// Nobody asked anything while the fault was in force: that nothing failed proves nothing.
#[test]
fn a_phase_that_squall_slept_through_supports_no_pass_of_a_closed_loop() {
    let up = |_: usize, _: Micros| (Micros::millis(20), Kind::Ok);
    let seconds = [100.0, 101.0, 102.0, 103.0, 104.0];
    let rows = [
        (vec![(100.5, 106.0)], Word::Invalid),
        (vec![(102.0, 102.3)], Word::Pass),
        (seconds.map(|at| (at + 0.05, at + 0.95)).to_vec(), Word::Invalid),
        (seconds.map(|at| (at + 0.3, at + 0.7)).to_vec(), Word::Pass),
    ];
    for (frozen, word) in rows {
        let objective = expect(Metric::Errors, Comparison::Below, 0.2, during("x"));
        let plan = closed(200, &frozen).fault("x", 100.0, Some(5.0)).objective(objective);
        let judged = verdict(plan, &users(20, 200, &up, &frozen, Micros::ZERO));
        assert_eq!(judged.verdict, word, "{}", judged.summary.verdict);
    }
}

/// Five users who were kept waiting for a minute, and asked often when it was over: what they asked in the last second of
/// their waiting hid that all had failed for a minute on end.
#[test]
fn what_users_ask_as_their_waiting_ends_does_not_hide_how_long_they_waited() {
    let mut samples: Vec<Sample> = evenly(15, 0, 71, fine);
    for round in [71.0, 91.3, 111.6] {
        samples
            .extend((0..5).map(|user| sample(0, s(round) + Micros::millis(user), s(20.004), Kind::Timeout)));
    }
    samples.extend(evenly(100, 131, 200, fine).into_iter().filter(|sample| sample.intended > s(131.65)));
    let half = Objective { window: Some(s(60.0)), ..expect(Metric::Errors, Comparison::AtMost, 0.5, RUN) };
    let mut plan = Plan::new(200).shape("rooms", "create", s(20.0)).objective(half);
    plan.outline.shapes[0].closed = true;
    let (is, why) = word(plan, &samples);
    assert_eq!(is, Word::Fail, "{why}");
}

/// Users who hang for half a minute: nothing is their rate, whatever went before.
#[test]
fn users_who_wait_have_no_rate() {
    let hung = |_: usize, at: Micros| {
        if at >= s(29.5) && at < s(59.5) { (s(59.5) - at, Kind::Ok) } else { (s(0.05), Kind::Ok) }
    };
    let mut plan = closed(100, &[]);
    plan.outline.operations.iter_mut().for_each(|op| op.deadline = s(30.0));
    let samples = users(20, 100, &hung, &[], Micros::ZERO);
    let samples: Vec<Sample> = samples
        .into_iter()
        .map(|sample| Sample { outcome: crate::sample::Outcome::new(Kind::Ok, 200), ..sample })
        .collect();
    let objective = |window| Objective { window, ..expect(Metric::Rate, Comparison::AtLeast, 5.0, RUN) };
    for (window, word) in [(None, Word::Pass), (Some(s(10.0)), Word::Fail), (Some(s(40.0)), Word::Pass)] {
        let judged = verdict(plan.clone().objective(objective(window)), &samples);
        assert_eq!(judged.verdict, word, "{window:?}: {}", judged.summary.verdict);
    }
    let rule = Objective { window: Some(s(10.0)), ..expect(Metric::Rate, Comparison::Below, 5.0, RUN) };
    let mut timeline = plan.clone().timeline(&samples);
    timeline.end = None;
    let mut rule = AbortRule::new(&rule);
    assert!(rule.fired(&timeline, s(58.0)).is_some());
    assert!(rule.fired(&timeline, s(80.0)).is_some(), "the rest of it");
    assert!(rule.fired(&timeline, s(90.0)).is_none());
}

/// Somebody who looks every minute beside a load: one answer before the fault does not tell what is usual of the others'
/// latency, and that the next ones fail is seen all the same.
#[test]
fn what_was_asked_once_before_a_fault_tells_no_usual_latency() {
    let judged = |think: i64, gone: bool| {
        let kind = |at: i64| if gone && at > 90 { Kind::Connect } else { Kind::Ok };
        let asked = (0..240 / think).map(|nth| 5 + nth * think).zip([24, 20, 60, 50].into_iter().cycle());
        let alone = asked.map(|(at, ms)| sample(2, Micros::secs(at), Micros::millis(ms), kind(at)));
        let mut plan = rooms(240).shape("admin", "look", s(2.0)).fault("x", 90.0, Some(5.0));
        plan.outline.shapes[1].closed = true;
        plan.outline.judge = JudgeSettings::default();
        let samples = [evenly(5, 0, 240, fine), alone.collect()].concat();
        verdict(plan.objective(recovery_within(20.0)), &samples)
    };
    let once = judged(60, false);
    // It is asked too seldom to be seen to be well, too.
    assert_eq!(once.verdict, Word::Inconclusive, "{}", once.summary.verdict);
    let told =
        "Recovery goes by what failed of admin, not by latency: something is known of 1 of the baseline's";
    assert!(once.notes.iter().any(|note| note.starts_with(told)), "{:?}", once.notes);
    let seldom = judged(15, false);
    assert_eq!(seldom.verdict, Word::Pass, "{}", seldom.summary.verdict);
    let told = "Recovery goes by what failed of admin, not by latency: of so few operations before the first trigger less than";
    assert!(seldom.notes.iter().any(|note| note.starts_with(told)), "{:?}", seldom.notes);
    for think in [60, 15] {
        let gone = judged(think, true);
        assert_ne!(gone.verdict, Word::Pass, "{}", gone.summary.verdict);
    }
}

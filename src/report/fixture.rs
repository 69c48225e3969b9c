//! A made-up run for tests: ninety seconds, two shapes, a slow store, a failover, and errors.
//!
//! Owns a plausible history and judgement, nothing that is asserted. The target in it is hostile: its
//! answers hold markup and terminal escapes.

use crate::histogram::Hist;
use crate::objective::{Names, PhaseName, parse};
use crate::outline::{FaultOutline, JudgeSettings, OperationOutline, Outline, ShapeOutline};
use crate::record::{
    Done, End, ErrorSample, FaultEvent, FaultStage, Header, How, ItemsEvent, ProbeEvent, Record, Second,
    ServiceEvent, SlowOperation, Touched,
};
use crate::sample::{Kind, OpId};
use crate::timeline::Timeline;
use crate::units::Micros;
use crate::verdict::{
    Band, Ended, ErrorGroup, Exit, Generator, Interval, JudgedFault, JudgedObjective, JudgedTrigger,
    Judgement, OperationPhase, OperationTable, Phase, Quantity, Run, ShapeBand, ShapeTrigger, Span, Summary,
    Unit, VERSION, Word,
};

pub(super) const LENGTH: i64 = 90;

/// What a hostile target answers.
pub(super) const HOSTILE: &str = "<script>alert(1)</script>\x1b[31m\r\n| **bold** \u{202e}";

const CREATE: OpId = OpId(0);
const JOIN: OpId = OpId(1);
const LIST: OpId = OpId(2);
const FLOW: OpId = OpId(3);

fn secs(s: f64) -> Micros {
    Micros::from_secs_f64(s)
}

fn outline() -> Outline {
    let shape = |name: &str, arrival: &str, rate: u64| ShapeOutline {
        name: name.into(),
        arrival: arrival.into(),
        start: Micros::ZERO,
        end: Micros::secs(LENGTH),
        trigger: false,
        closed: false,
        planned: vec![rate; LENGTH as usize],
        period: None,
    };
    let op =
        |name: &str, shape, flow| OperationOutline { name: name.into(), shape, deadline: secs(2.0), flow };
    let fault = |name: &str, what: &str, at, length: Option<f64>| FaultOutline {
        name: name.into(),
        trigger: name.into(),
        what: what.into(),
        on: Some("api-store".into()),
        at: secs(at),
        length: length.map(secs),
        settle: secs(10.0),
        expect_no_traffic: false,
    };
    Outline {
        profile: "room-creation-burst".into(),
        chaos: Some("store-storm".into()),
        target: "sandbox".into(),
        command: "squall run profiles/room-creation-burst.yaml --chaos chaos/store-storm.yaml --seed 7"
            .into(),
        seed: 7,
        virtual_time: false,
        cell: Micros::SECOND,
        duration: Micros::secs(LENGTH),
        shapes: vec![shape("rooms", "40/s, Poisson", 40), shape("lists", "10/s", 10)],
        operations: vec![
            op("create_room", 0, false),
            op("join_room", 0, false),
            op("list_rooms", 1, false),
            op("rooms", 0, true),
        ],
        faults: vec![
            fault("store_slow", "latency +250 ms ± 20 ms on api-store", 25.0, Some(20.0)),
            fault("store_failover", "store-a → store-b, 3 s outage", 60.0, Some(3.0)),
        ],
        objectives: OBJECTIVES.iter().map(|(text, ..)| parse(text, &Names::default()).expect(text)).collect(),
        abort: vec![],
        steady: vec![],
        judge: JudgeSettings { warmup: secs(5.0), ..JudgeSettings::default() },
    }
}

/// Text, word, measured, its text, limit's text, ratio.
type ObjectiveRow = (&'static str, Word, Option<f64>, &'static str, &'static str, Option<f64>);

const OBJECTIVES: [ObjectiveRow; 6] = [
    ("p99(create_room) < 50ms during baseline", Word::Pass, Some(14_000.0), "14 ms", "50 ms", Some(0.28)),
    ("p99 < 300ms during store_slow", Word::Fail, Some(412_000.0), "412 ms", "300 ms", Some(1.373)),
    ("errors(create_room) < 1% during store_slow", Word::Pass, Some(0.004), "0.4 %", "1 %", Some(0.4)),
    ("recovery(store_slow) < 30s", Word::Pass, Some(3e6), "3 s", "30 s", Some(0.1)),
    (
        "p99(list_rooms) < 1s during store_failover",
        Word::Invalid,
        Some(2e6),
        ">= 2 s (31 % bad)",
        "1 s",
        Some(2.0),
    ),
    (
        "p99.9(create_room) < 5s after store_failover",
        Word::Inconclusive,
        Some(2.1e6),
        "2.1 s",
        "5 s",
        Some(0.42),
    ),
];

/// Seconds from the failover at which things were bad, and how bad: 1 is all.
fn badness(second: f64) -> f64 {
    match second - 60.0 {
        t if (0.0..3.0).contains(&t) => 0.7,
        t if (3.0..7.0).contains(&t) => 0.7 - t / 10.0,
        _ => 0.0,
    }
}

/// A response time: the q-quantile of what one second was like.
fn response(op: OpId, second: f64, q: f64) -> Micros {
    let usual = if op == LIST { 9.0 } else { 3.1 };
    let wobble = 1.0 + 0.15 * (second * 2.399 + f64::from(op.0)).sin();
    let slow = match second {
        s if (25.0..45.0).contains(&s) => 250.0 + 80.0 * q * q,
        s if (45.0..48.0).contains(&s) => 60.0 * (48.0 - s),
        s if s >= 60.0 => 1_300.0 * badness(s) * q,
        _ => 0.0,
    };
    Micros(((usual * wobble - 2.2 * (1.0 - q).ln() + slow) * 1e3) as i64)
}

fn cell(timeline: &mut Timeline, op: OpId, second: u32, n: u64) {
    let bad = (badness(f64::from(second)) * n as f64).round() as u64;
    timeline.apply(&Record::Due { cell: second, op, n: n as i64 });
    let kinds = [(Kind::Ok, 200, n - bad), (Kind::Timeout, 0, bad - bad / 3), (Kind::Status, 503, bad / 3)];
    for (kind, status, count) in kinds.into_iter().filter(|(_, _, count)| *count > 0) {
        let [mut times, mut lag, mut none] = [Hist::default(), Hist::default(), Hist::default()];
        for i in 0..count {
            let q = (i as f64 + 0.5) / count as f64;
            let time = response(op, f64::from(second), q);
            times.record(if kind == Kind::Ok { time.min(secs(1.99)) } else { secs(2.0) });
            lag.record(Micros(12 + (q * 20.0) as i64));
            none.record(Micros::ZERO);
        }
        let attempts = if kind == Kind::Ok { count } else { 2 * count };
        let (sent, received) = (attempts * 180, count * 240);
        let service = times.clone();
        timeline.apply(&Record::Done(Box::new(Done {
            cell: second,
            op,
            kind,
            status,
            n: count,
            attempts,
            tried: count,
            sent,
            received,
            since: None,
            response: times,
            service,
            lag,
            wait: none,
            held: Hist::default(),
        })));
    }
}

/// The history.
pub(crate) fn timeline() -> Timeline {
    let mut timeline = Timeline::new(Header {
        version: crate::record::VERSION,
        squall: "0.1.0".into(),
        started: "2026-11-21T08:12:31Z".into(),
        pacer: crate::record::Pacing::Timerfd,
        shards: 2,
        host: "2 cores".into(),
        outline: outline(),
        experiment: serde_json::Value::Null,
    });
    for second in 0..LENGTH as u32 {
        for (op, n) in [(CREATE, 40), (JOIN, 40), (LIST, 10), (FLOW, 40)] {
            cell(&mut timeline, op, second, n + u64::from(second * 7 % 5) - 2);
        }
        for (shape, n) in [(0, 40), (1, 10)] {
            timeline.apply(&Record::Arrived { cell: second, shape, n });
        }
        let mut heartbeat = Hist::default();
        heartbeat.record_n(Micros(80), 100);
        timeline.apply(&Record::Second(Box::new(Second {
            second,
            shard: 0,
            answers: vec![80, 10],
            in_flight: vec![1.5, 0.2],
            heartbeat,
            cpu: Some(0.21),
        })));
    }
    events(&mut timeline);
    timeline
}

fn events(timeline: &mut Timeline) {
    use FaultStage::{Asked, Clearing, Effective, Verified};
    for (fault, times) in
        [("store_slow", [25.0, 25.01, 45.0, 45.02]), ("store_failover", [60.0, 60.02, 63.0, 63.02])]
    {
        for (at, stage) in times.into_iter().zip([Asked, Effective, Clearing, Verified]) {
            let (fault, detail) = (fault.to_owned(), String::new());
            timeline.apply(&Record::Fault(FaultEvent { at: secs(at), fault, stage, detail, touched: None }));
        }
    }
    for (at, what) in [(-2.0, "started"), (-1.4, "ready"), (60.01, "killed"), (63.0, "ready")] {
        let (service, detail) = ("store-a".to_owned(), HOSTILE.to_owned());
        timeline.apply(&Record::Service(ServiceEvent { at: secs(at), service, what: what.into(), detail }));
    }
    for i in 0..20u64 {
        let (intended, n) = (Micros::secs(4 * i as i64), 100 * i + 50);
        timeline.apply(&Record::Probe(ProbeEvent { op: CREATE, index: i, intended, done: None }));
        let done = (i != 15).then_some(intended + Micros::millis(4 + i as i64));
        timeline.apply(&Record::Probe(ProbeEvent { op: CREATE, index: i, intended, done }));
        let service = Micros::millis(3 + i as i64);
        timeline.apply(&Record::Items(ItemsEvent {
            at: intended,
            op: LIST,
            items: n,
            bytes: n * 612,
            service,
        }));
        timeline.apply(&Record::Slow(SlowOperation {
            op: CREATE,
            index: 2_400 + i,
            kind: Kind::Timeout,
            status: 0,
            intended: secs(60.0 + i as f64 / 9.0),
            lag: Micros(31),
            wait: Micros(140),
            service: secs(1.9),
            response: secs(2.0) + Micros(i as i64 * 900),
        }));
    }
    timeline.apply(&Record::End(End {
        at: secs(92.0),
        how: How::Complete,
        stopped: None,
        detail: String::new(),
    }));
}

/// Name, from, to.
fn phases() -> Vec<Phase> {
    let name = |n: &str| n.to_owned();
    let rows = [
        (PhaseName::Warmup, 0, 5),
        (PhaseName::Baseline, 5, 23),
        (PhaseName::During(name("store_slow")), 25, 46),
        (PhaseName::After(name("store_slow")), 46, 60),
        (PhaseName::During(name("store_failover")), 60, 64),
        (PhaseName::After(name("store_failover")), 64, 90),
        (PhaseName::Run, 5, 90),
    ];
    rows.into_iter()
        .map(|(name, from, to)| {
            let (from, to) = (Micros::secs(from), Micros::secs(to));
            Phase { name, from, to, spans: vec![Span { from, to }] }
        })
        .collect()
}

fn operations(timeline: &Timeline, phases: &[Phase]) -> Vec<OperationTable> {
    let quantity = |t: &crate::timeline::Tally, q: f64| {
        let value = t.response.quantile(q).unwrap_or_default();
        Quantity { value, censored: t.censored() > 0 && value >= secs(2.0) }
    };
    let row = |op: OpId, p: &Phase| {
        let t = super::series::over(timeline, op, p);
        OperationPhase {
            phase: p.name.clone(),
            n: t.intended,
            rate: t.good() as f64 / (p.to - p.from).as_secs_f64(),
            bad: t.bad_share().unwrap_or(0.0),
            amplification: t.amplification(),
            p50: quantity(&t, 0.5),
            p90: quantity(&t, 0.9),
            p99: quantity(&t, 0.99),
            p999: quantity(&t, 0.999),
            max: quantity(&t, 1.0),
            successes_p99: t.successes.quantile(0.99),
        }
    };
    timeline
        .operations()
        .map(|(op, o)| OperationTable {
            name: o.name.clone(),
            shape: timeline.outline().shapes[o.shape].name.clone(),
            flow: o.flow,
            deadline: o.deadline,
            phases: phases.iter().map(|p| row(op, p)).collect(),
        })
        .collect()
}

fn objectives(outline: &Outline) -> Vec<JudgedObjective> {
    let rows = outline.objectives.iter().zip(OBJECTIVES);
    rows.map(|(o, (text, word, measured, measured_text, limit_text, ratio))| JudgedObjective {
        text: text.into(),
        word,
        phase: o.phase.clone(),
        decided: o.selector.clone().or(Some("create_room".into())),
        censored: measured_text.starts_with(">= "),
        unit: Unit::Duration,
        measured,
        measured_text: measured_text.into(),
        successes: (word == Word::Fail).then_some(Micros::millis(390)),
        interval: (word == Word::Fail).then_some(Interval { low: 404_000.0, high: 431_000.0 }),
        comparison: o.comparison,
        limit: o.value,
        limit_text: limit_text.into(),
        ratio,
        n: 840,
        bad: 0.004,
        reason:
            "While store_slow was in force, 1 in 100 create_room took 412 ms or more; the limit is 300 ms."
                .into(),
        notes: vec![],
    })
    .collect()
}

fn triggers() -> Vec<JudgedTrigger> {
    let row = |name: &str, one_shot, times: [f64; 5], sentence: &str| JudgedTrigger {
        name: name.into(),
        trigger: name.into(),
        shape: false,
        one_shot,
        t_inject: secs(times[0]),
        t_effective: Some(secs(times[0])),
        t_clear: Some(secs(times[1])),
        recovered: Some(secs(times[2])),
        outage: Some(secs(times[3])),
        recovery: Some(secs(times[4])),
        margin: secs(1.0),
        shapes: vec![ShapeTrigger {
            shape: "rooms".into(),
            recovered: Some(secs(times[2])),
            outage: Some(secs(times[3])),
            recovery: Some(secs(times[4])),
            window: secs(1.0),
            depth_during: 0.002,
            depth_after: 0.31,
            area_during: 4.0,
            area_after: 61.0,
            time_to_detect: Some(secs(1.0)),
            flapping: vec![],
        }],
        sentence: sentence.into(),
    };
    vec![
        row(
            "store_slow",
            false,
            [25.01, 45.02, 48.0, 23.0, 3.0],
            "The service came back 3 s after store_slow ended.",
        ),
        row(
            "store_failover",
            false,
            [60.02, 63.02, 67.0, 7.0, 4.0],
            "The service came back 4 s after store_failover ended.",
        ),
    ]
}

fn faults(outline: &Outline) -> Vec<JudgedFault> {
    let touched = |connections, chunks, bytes, added| Touched {
        connections,
        chunks,
        bytes,
        added,
        ..Touched::default()
    };
    let both = [
        (25.0, 45.02, touched(16, 2_004, 481_200, Some(Micros::millis(251)))),
        (60.0, 63.02, Touched { closed_connections: 96, ..touched(96, 0, 0, None) }),
    ];
    outline
        .faults
        .iter()
        .zip(both)
        .map(|(f, (from, to, touched))| JudgedFault {
            name: f.name.clone(),
            trigger: f.trigger.clone(),
            what: f.what.clone(),
            on: f.on.clone(),
            planned: f.at,
            injected: Some(secs(from)),
            effective: Some(secs(from + 0.01)),
            cleared: Some(secs(to - 0.02)),
            verified: Some(secs(to)),
            touched: Some(touched),
            detail: String::new(),
            problem: None,
        })
        .collect()
}

fn errors() -> Vec<ErrorGroup> {
    let sample = |at: f64, kind, status, detail: &str| ErrorSample {
        at: secs(at),
        op: CREATE,
        kind,
        status,
        request: "POST /rooms HTTP/1.1".into(),
        detail: detail.into(),
        body: if status > 0 { HOSTILE.into() } else { String::new() },
    };
    let group = |operation: &str, kind, status, count, samples| ErrorGroup {
        operation: operation.into(),
        kind,
        status,
        count,
        first: secs(60.0),
        last: secs(66.0),
        samples,
    };
    let busy = vec![sample(60.4, Kind::Status, 503, "status 503 where 201 was expected")];
    let late = [60.0, 60.1, 61.7].map(|at| sample(at, Kind::Timeout, 0, "no answer within 2 s")).to_vec();
    vec![
        group("create_room", Kind::Status, 503, 38, busy),
        group("create_room", Kind::Timeout, 0, 87, late),
        group("list_rooms", Kind::Timeout, 0, 21, vec![]),
    ]
}

fn generator() -> Generator {
    Generator {
        sound: true,
        sentence: "The generator was sound in all 90 cells; 99 in 100 operations left within 0.032 ms of their time.".into(),
        delivered: Some(1.0), lag_p50: Some(Micros(21)), lag_p99: Some(Micros(32)), lag_max: Some(Micros(44)),
        heartbeat_p99: Some(Micros(80)), heartbeat_max: Some(Micros(80)),
        held_p99: Some(Micros(0)), held_max: Some(Micros(12)), cpu: Some(0.21), cells: 90,
        unsound: vec![], pacer: "timerfd".into(), shards: 2,
    }
}

fn band() -> ShapeBand {
    let band = |median, limit| Some(Band { median, limit });
    ShapeBand {
        shape: "rooms".into(),
        none: None,
        window: secs(1.0),
        windows: 18,
        quantile: 0.5,
        goodput: band(1.0, 0.98),
        latency: band(3_100.0, 5_100.0),
        in_flight: band(1.5, 3.5),
        amplification: band(1.0, 1.05),
        unsteady: None,
    }
}

/// The judgement of [`timeline`].
pub(crate) fn judgement(timeline: &Timeline) -> Judgement {
    let (outline, phases) = (timeline.outline(), phases());
    let none = "it has too few operations for a band; at least 72 in a window are needed";
    Judgement {
        version: VERSION,
        verdict: Word::Fail,
        exit: Exit { code: 99, reason: "the verdict is FAIL".into() },
        summary: Summary {
            verdict: "While store_slow was in force, 1 in 100 create_room took 412 ms or more; the limit is 300 ms.".into(),
            recovery: Some("The service came back 3 s after store_slow ended and 4 s after store_failover.".into()),
            generator: generator().sentence,
        },
        run: Run {
            profile: outline.profile.clone(), chaos: outline.chaos.clone(), target: outline.target.clone(),
            command: outline.command.clone(), seed: 7, virtual_time: false, started: timeline.header.started.clone(),
            duration: outline.duration, squall: "0.1.0".into(), host: "2 cores".into(), intended: 8_100,
        },
        objectives: objectives(outline),
        operations: operations(timeline, &phases),
        phases,
        triggers: triggers(),
        faults: faults(outline),
        errors: errors(),
        generator: generator(),
        baseline: vec![
            band(),
            ShapeBand { shape: "lists".into(), none: Some(none.into()), windows: 0, goodput: None, latency: None,
                in_flight: None, amplification: None, ..band() },
        ],
        rule: None,
        ended: Ended { at: secs(92.0), how: Some(How::Complete), detail: String::new() },
        left: vec!["3 rooms".into()],
        notes: vec!["Shorter than the defaults: a baseline of 18 s instead of 60 s.".into()],
    }
}

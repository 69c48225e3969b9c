//! A made-up run for tests: ninety seconds, two shapes, a slow store, a failover, and errors.
//!
//! Owns a plausible history, nothing that is asserted; the judgement is the judge's own. The target in it is hostile: its
//! answers hold markup and terminal escapes.

use crate::histogram::Hist;
use crate::objective::{Names, parse};
use crate::outline::{FaultOutline, JudgeSettings, OperationOutline, Outline, ShapeOutline};
use crate::record::{
    Done, End, ErrorSample, FaultEvent, FaultStage, Happened, Header, How, ItemsEvent, ProbeEvent, Record,
    ServiceEvent, ServiceStage, SlowOperation, Touched,
};
use crate::sample::{Clean, Kind, OpId};
use crate::timeline::Timeline;
use crate::units::Micros;
use crate::verdict::{Judgement, judge};

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
        first: Some(Micros::ZERO),
        trigger: false,
        closed: false,
        users: None,
        planned: vec![rate; LENGTH as usize],
        period: None,
    };
    let op = |name: &str, shape, flow| OperationOutline {
        name: name.into(),
        shape,
        deadline: secs(2.0),
        flow,
        written: None,
    };
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
        smoke: None,
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
            fault("cache_flush", "`redis-cli flushall`", 82.0, Some(2.0)),
        ],
        objectives: OBJECTIVES.iter().map(|text| parse(text, &Names::default()).expect(text)).collect(),
        abort: vec![],
        steady: vec![],
        judge: JudgeSettings {
            warmup: secs(5.0),
            windows: 8,
            stretch: secs(8.0),
            ..JudgeSettings::default()
        },
    }
}

const OBJECTIVES: [&str; 6] = [
    "p95(create_room) < 50ms during baseline",
    "p95 < 300ms during store_slow",
    "errors(create_room) < 1% during store_slow",
    "recovery(store_slow) < 30s",
    "p95(list_rooms) < 1s during cache_flush",
    "p99.9(create_room) < 5s after store_slow",
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
            clean: times.clone(),
            counted: Clean::AsSeen,
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
            timeline.apply(&Record::Arrived { cell: second, shape, n, late: 0, probes: 0 });
        }
        let mut heartbeat = Hist::default();
        heartbeat.record_n(Micros(80), 100);
        timeline.apply(&Record::Happened(Box::new(Happened {
            cell: second,
            shard: 0,
            answers: vec![80, 10],
            attempts: vec![80, 10],
            connects: vec![0, 0],
            in_flight: vec![1.5, 0.2],
            heartbeat,
            cpu: Some(0.21),
        })));
    }
    events(&mut timeline);
    timeline
}

fn events(timeline: &mut Timeline) {
    use FaultStage::{Asked, Clearing, Effective, NotEffective, Verified};
    let slowed = Touched {
        connections: 16,
        chunks: 2_004,
        bytes: 481_200,
        added: Some(Micros::millis(251)),
        ..Touched::default()
    };
    let closed = Touched { connections: 96, closed_connections: 96, ..Touched::default() };
    let faults = [
        ("store_slow", [25.0, 25.01, 45.0, 45.02], slowed),
        ("store_failover", [60.0, 60.02, 63.0, 63.02], closed),
    ];
    let event = |timeline: &mut Timeline, at, fault: &str, stage, detail: &str, touched| {
        let (fault, detail) = (fault.to_owned(), detail.to_owned());
        timeline.apply(&Record::Fault(FaultEvent { at: secs(at), fault, stage, detail, touched }));
    };
    for (fault, times, touched) in faults {
        for (at, stage) in times.into_iter().zip([Asked, Effective, Clearing, Verified]) {
            event(timeline, at, fault, stage, "", Some(touched.clone()).filter(|_| stage == Verified));
        }
    }
    event(timeline, 82.0, "cache_flush", Asked, "", None);
    event(timeline, 84.0, "cache_flush", NotEffective, "its check never saw it", None);
    for (at, what) in [
        (-2.0, ServiceStage::Started),
        (-1.4, ServiceStage::Ready),
        (60.01, ServiceStage::Killed),
        (61.0, ServiceStage::Unhealthy),
        (63.0, ServiceStage::Ready),
        (64.0, ServiceStage::Healthy),
    ] {
        let (service, detail) = ("store-a".to_owned(), HOSTILE.to_owned());
        timeline.apply(&Record::Service(ServiceEvent { at: secs(at), service, what, detail }));
    }
    for i in 0..20u64 {
        answers(timeline, i);
    }
    errors(timeline);
    timeline.apply(&Record::Left { at: secs(91.0), what: "3 rooms".into() });
    timeline.apply(&Record::Note { at: secs(0.0), text: "A made-up run.".into() });
    timeline.apply(&Record::End(End {
        at: secs(92.0),
        how: How::Complete,
        detail: String::new(),
        exit: None,
    }));
}

/// A probe, a list and a slow operation.
fn answers(timeline: &mut Timeline, i: u64) {
    let (intended, n) = (Micros::secs(4 * i as i64), 100 * i + 50);
    timeline.apply(&Record::Probe(ProbeEvent { op: CREATE, index: i, intended, done: None }));
    let done = (i != 15).then_some(intended + Micros::millis(4 + i as i64));
    timeline.apply(&Record::Probe(ProbeEvent { op: CREATE, index: i, intended, done }));
    let service = Micros::millis(3 + i as i64);
    timeline.apply(&Record::Items(ItemsEvent { at: intended, op: LIST, items: n, bytes: n * 612, service }));
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

fn errors(timeline: &mut Timeline) {
    let rows = [
        (60.4, Kind::Status, 503, "status 503 where 201 was expected"),
        (60.0, Kind::Timeout, 0, "no answer within 2 s"),
        (60.1, Kind::Timeout, 0, "no answer within 2 s"),
        (61.7, Kind::Timeout, 0, "no answer within 2 s"),
    ];
    for (at, kind, status, detail) in rows {
        timeline.apply(&Record::Error(Box::new(ErrorSample {
            at: secs(at),
            op: CREATE,
            kind,
            status,
            request: "POST /rooms HTTP/1.1".into(),
            detail: detail.into(),
            body: if status > 0 { HOSTILE.into() } else { String::new() },
        })));
    }
}

/// The judgement of [`timeline`].
pub(crate) fn judgement(timeline: &Timeline) -> Judgement {
    judge(timeline)
}

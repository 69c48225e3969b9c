//! Evidence: list sizes, patient probes, the generator's health, services, the slowest operations, bands.
//!
//! Owns the last sections of the page, each left out where the history has nothing for it.

use std::collections::BTreeMap;

use super::heading;
use super::table::plain;
use crate::histogram::Hist;
use crate::objective::Metric;
use crate::record::{ItemsEvent, SlowOperation};
use crate::report::markup::Markup;
use crate::report::words;
use crate::sample::OpId;
use crate::timeline::Timeline;
use crate::units::{Micros, bytes, clock, grouped, or_dash, short_clock, three_digits};
use crate::verdict::{Band, Generator, Judgement, ShapeBand};

/// Rows of the table of the slowest operations.
const SLOWEST: usize = 10;
/// Rows of the table of services' events.
const EVENTS: usize = 40;
/// Rows of the table of unsound cells.
const UNSOUND: usize = 20;

pub(super) fn sections(page: &mut Markup, timeline: &Timeline, judgement: &Judgement) {
    addresses(page, judgement);
    lists(page, timeline);
    probes(page, timeline);
    generator(page, &judgement.generator);
    services(page, timeline);
    slowest(page, timeline);
    bands(page, judgement);
    left(page, judgement);
}

fn section(page: &mut Markup, title: &str, beside: &str, inside: impl FnOnce(&mut Markup)) {
    page.el("section", &[], |page| {
        heading(page, title, beside);
        inside(page);
    });
}

fn addresses(page: &mut Markup, judgement: &Judgement) {
    let rows = words::addresses(judgement);
    if rows.is_empty() {
        return;
    }
    section(page, "Addresses of the target", "each loaded in its turn", |page| {
        let columns = words::ADDRESSES.map(|name| (name, name != words::ADDRESSES[0]));
        plain(page, &columns, &rows, |row, cells| cells.iter().for_each(|cell| row.text(cell)));
    });
}

fn lists(page: &mut Markup, timeline: &Timeline) {
    let mut by_op: BTreeMap<OpId, Vec<&ItemsEvent>> = BTreeMap::new();
    timeline.items.iter().for_each(|e| by_op.entry(e.op).or_default().push(e));
    let rows: Vec<_> = by_op.into_iter().collect();
    if rows.is_empty() {
        return;
    }
    section(page, "List sizes", "answers sampled over the run", |page| {
        let columns = [
            ("operation", false),
            ("answers", true),
            ("items, first", true),
            ("items, most", true),
            ("largest answer", true),
            ("bytes per item", true),
            ("service time of the largest", true),
        ];
        plain(page, &columns, &rows, |row, (op, events)| {
            let largest = events.iter().max_by_key(|e| (e.bytes, e.items)).expect("a group has an event");
            row.text(&words::operation(timeline, *op));
            row.text(&grouped(events.len() as u64));
            row.text(&grouped(events.iter().min_by_key(|e| e.at).map_or(0, |e| e.items)));
            row.text(&grouped(events.iter().map(|e| e.items).max().unwrap_or(0)));
            row.text(&bytes(largest.bytes));
            row.text(&grouped(largest.bytes / largest.items.max(1)));
            row.text(&largest.service.to_string());
        });
    });
}

fn probes(page: &mut Markup, timeline: &Timeline) {
    let mut by_op: BTreeMap<OpId, BTreeMap<u64, (Micros, Option<Micros>)>> = BTreeMap::new();
    for p in &timeline.probes {
        let probe = by_op.entry(p.op).or_default().entry(p.index).or_insert((p.intended, None));
        probe.1 = p.done.or(probe.1);
    }
    let rows: Vec<_> = by_op.into_iter().collect();
    if rows.is_empty() {
        return;
    }
    section(page, "Patient probes", "no timeout, no retry: the queue that impatient clients hide", |page| {
        let columns = [
            ("operation", false),
            ("sent", true),
            ("never answered", true),
            ("p50", true),
            ("longest wait", true),
        ];
        plain(page, &columns, &rows, |row, (op, probes)| {
            let mut waits = Hist::default();
            let open = probes.values().filter(|(_, done)| done.is_none()).count();
            for (intended, done) in probes.values() {
                waits.record(done.unwrap_or(timeline.ended_at()) - *intended);
            }
            let bound = if open > 0 { "≥ " } else { "" };
            row.text(&words::operation(timeline, *op));
            row.text(&grouped(probes.len() as u64));
            row.text(&grouped(open as u64));
            row.text(&or_dash(waits.quantile(0.5)));
            row.text(&format!("{bound}{}", or_dash(waits.max())));
        });
    });
}

fn generator(page: &mut Markup, g: &Generator) {
    section(page, "The generator itself", if g.sound { "sound" } else { "NOT sound" }, |page| {
        page.leaf("p", &[], &g.sentence);
        let share = |v: Option<f64>| or_dash(v.map(|v| format!("{:.2} %", v * 100.0)));
        let facts = [
            ("sent or shed by its cap, of what was planned", share(g.delivered)),
            ("sent late, p50", or_dash(g.lag_p50)),
            ("sent late, p99", or_dash(g.lag_p99)),
            ("sent late, most", or_dash(g.lag_max)),
            ("heartbeat late, p99", or_dash(g.heartbeat_p99)),
            ("heartbeat late, most", or_dash(g.heartbeat_max)),
            ("operations held up for a processor, p99", or_dash(g.held_p99)),
            ("operations held up for a processor, most", or_dash(g.held_max)),
            ("processor, mean of one core", share(g.cpu)),
            ("pacer", g.pacer.clone()),
            ("shards", g.shards.to_string()),
            ("unsound cells", format!("{} of {}", grouped(g.unsound.len() as u64), grouped(g.cells))),
        ];
        plain(page, &[("measure", false), ("value", true)], &facts, |row, (name, value)| {
            row.text(name);
            row.text(value);
        });
        if !g.unsound.is_empty() {
            let first = &g.unsound[..g.unsound.len().min(UNSOUND)];
            plain(page, &[("unsound at", true), ("why", false)], first, |row, u| {
                row.text(&short_clock(u.at));
                row.text(&u.why);
            });
            more(page, g.unsound.len(), UNSOUND);
        }
    });
}

/// Says how many rows were left out.
fn more(page: &mut Markup, all: usize, shown: usize) {
    if all > shown {
        page.leaf(
            "p",
            &[("class", "note")],
            &format!("and {} more, in history.jsonl", grouped((all - shown) as u64)),
        );
    }
}

fn services(page: &mut Markup, timeline: &Timeline) {
    let events = &timeline.services;
    if events.is_empty() {
        return;
    }
    section(page, "Services", "starts, exits and health", |page| {
        let columns = [("at", true), ("service", false), ("what", false), ("detail", false)];
        plain(page, &columns, &events[..events.len().min(EVENTS)], |row, e| {
            row.text(&clock(e.at));
            row.text(&e.service);
            row.text(e.what.word());
            row.text(&e.detail);
        });
        more(page, events.len(), EVENTS);
    });
}

fn slowest(page: &mut Markup, timeline: &Timeline) {
    let mut slow: Vec<&SlowOperation> = timeline.slow.iter().collect();
    slow.sort_by_key(|s| (std::cmp::Reverse(s.response), s.op, s.index));
    slow.truncate(SLOWEST);
    if slow.is_empty() {
        return;
    }
    section(page, "Slowest operations", "where their time went, ms", |page| {
        let columns = [
            ("operation", false),
            ("began", true),
            ("ended as", false),
            ("sent late", true),
            ("waited for a connection", true),
            ("service", true),
            ("response", true),
        ];
        plain(page, &columns, &slow, |row, s| {
            row.text(&format!("{} #{}", words::operation(timeline, s.op), s.index));
            row.text(&clock(s.intended));
            row.text(&words::outcome(s.kind, s.status));
            for value in [s.lag, s.wait, s.service, s.response] {
                row.text(&words::millis(value));
            }
        });
    });
}

fn bands(page: &mut Markup, judgement: &Judgement) {
    if judgement.baseline.is_empty() {
        return;
    }
    section(page, "Baseline", "median of its windows → where out of band begins", |page| {
        let columns = [
            ("shape", false),
            ("windows", true),
            ("latency", true),
            ("good %", true),
            ("in flight", true),
            ("attempts", true),
        ];
        plain(page, &columns, &judgement.baseline, |row, b| {
            row.two(&b.shape, &remark(b));
            row.text(&if b.none.is_some() {
                "–".to_owned()
            } else {
                format!("{} of {}", b.windows, b.window)
            });
            row.text(&latency(b));
            row.text(&band(b.goodput, words::percent));
            row.text(&band(b.in_flight, words::plain));
            row.text(&band(b.amplification, |v| format!("{v:.2}")));
        });
    });
}

/// By quantile and on average, as far as there is either.
fn latency(b: &ShapeBand) -> String {
    let time = |v: f64| Micros(v.round() as i64).to_string();
    let tail = b.tail.map(|t| format!("{} {}", Metric::Quantile(t.quantile), band(Some(t.band), time)));
    let average = b.latency.map(|average| match &b.each[..] {
        [one] => {
            let limit = b.latency_limit(one.op).unwrap_or(average.limit);
            band(Some(Band { median: one.usual, limit, moved: average.moved }), time)
        }
        each => {
            let times = three_digits(average.limit / average.median);
            let leeway = each.iter().map(|one| one.leeway).fold(0.0, f64::max);
            format!("each up to {times} times as long, or {} longer", time(leeway))
        }
    });
    match (tail, average) {
        (Some(tail), Some(average)) => format!("{tail}, average {average}"),
        (None, Some(average)) => average,
        (tail, None) => or_dash(tail),
    }
}

fn band(band: Option<Band>, show: impl Fn(f64) -> String) -> String {
    or_dash(band.map(|b| format!("{} → {}", show(b.median), show(b.limit))))
}

fn remark(b: &ShapeBand) -> String {
    match (&b.none, &b.broken, &b.unsteady) {
        (Some(why), ..) => format!("no band: {why}"),
        (None, Some(why), _) => format!("no normal: {why}"),
        (None, None, Some(what)) => format!("not stationary: {what}"),
        (None, None, None) => String::new(),
    }
}

fn left(page: &mut Markup, judgement: &Judgement) {
    if judgement.left.is_empty() {
        return;
    }
    section(page, "Left behind", "what is still there after the run", |page| {
        page.el("ul", &[], |ul| judgement.left.iter().for_each(|what| ul.leaf("li", &[], what)));
    });
}

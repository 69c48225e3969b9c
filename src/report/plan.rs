//! The texts of `squall plan` and `squall check`: what would happen, and what is wrong. Sends nothing.

use std::fmt::Write as _;
use std::ops::Range;

use comfy_table::{CellAlignment, Table};

use crate::experiment::{
    BandAhead, Data, Expectation, Experiment, Fault, Foresight, Place, Shape, Start, Upstream, of_operation,
    requests,
};
use crate::objective::{Metric, PhaseName};
use crate::outline::{Outline, ShapeOutline};
use crate::redact::redact;
use crate::sample::OpId;
use crate::units::{Micros, clock, grouped, three_digits};
use crate::verdict::PlannedTail;
use crate::world::{Programs, own_files};

/// What this machine allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open files of one process.
    pub open_files: u64,
    /// Local ports for connections to one address.
    pub ephemeral_ports: u64,
    /// Threads that would send.
    pub shards: u32,
}

/// Everything that `squall plan` prints.
pub fn plan(experiment: &Experiment, limits: Limits) -> String {
    let outline = &experiment.outline;
    let mut out = String::new();
    let chaos = outline.chaos.as_deref().map(|c| format!(" x {c}")).unwrap_or_default();
    let time = if outline.virtual_time { ", in virtual time" } else { "" };
    let _ = writeln!(out, "{}{chaos} against {}", outline.profile, outline.target);
    let smoke = outline.smoke.map_or(String::new(), |factor| {
        format!("; a smoke run, {} times shorter than the plan, which proves nothing", three_digits(factor))
    });
    let _ = writeln!(out, "{} of load, seed {}{time}{smoke}\n", outline.duration, outline.seed);
    section(&mut out, "shapes", &shapes(experiment));
    section(&mut out, "system", &system(experiment));
    section(&mut out, "faults", &faults(experiment));
    section(&mut out, "phases", &phases(experiment));
    section(&mut out, "bands", &bands(&experiment.foresight));
    section(&mut out, "must hold", &rules(outline, &experiment.foresight));
    section(&mut out, "to know", &experiment.foresight.remarks.join("\n"));
    section(&mut out, "data", &data(experiment));
    section(&mut out, "before and after", &aside(experiment));
    section(&mut out, "load", &load(experiment, limits));
    let _ = writeln!(out, "nothing was sent; this does it:\n  {}", outline.command);
    redact(&out, &experiment.secrets)
}

/// The same in lines of at most so many columns, broken between words; but for the command, which is copied.
pub fn within(plan: &str, columns: usize) -> String {
    let command = plan.lines().count().saturating_sub(1);
    let broken =
        |(at, line): (usize, &str)| if at < command { broken(line, columns) } else { line.to_owned() };
    plan.lines().enumerate().map(|each| broken(each) + "\n").collect()
}

/// What goes on is further in than what it began with; blanks between words stay as they are.
fn broken(line: &str, columns: usize) -> String {
    let within = |text: &str| text.char_indices().nth(columns).map(|(end, _)| end);
    let (mut out, mut rest) = (String::new(), line.to_owned());
    let indent = line.len() - line.trim_start().len() + 4;
    while let Some(end) = within(&rest) {
        let begun = rest.len() - rest.trim_start().len();
        let here = rest[end..].starts_with(' ').then_some(end);
        let before = || rest[begun..end.max(begun)].rfind(' ').map(|at| begun + at);
        let beyond = || rest[begun..].find(' ').map(|at| begun + at);
        let Some(at) = here.filter(|&at| at > begun).or_else(before).or_else(beyond) else { break };
        let _ = writeln!(out, "{}", rest[..at].trim_end());
        rest = format!("{}{}", " ".repeat(indent), rest[at..].trim_start());
    }
    out + &rest
}

/// Links and services, and what will be started for them.
fn system(experiment: &Experiment) -> String {
    let links = experiment.links.iter().map(|link| {
        let listen = link.listen.map_or("a free port".to_owned(), |address| address.to_string());
        let upstream = match &link.upstream {
            Upstream::Address(address) => address.to_string(),
            Upstream::Service(name) => name.clone(),
        };
        let proof = if link.canary.is_some() { "canary" } else { "no canary: proven by real traffic only" };
        vec![format!("link {}", link.name), format!("{listen} -> {upstream}, {proof}")]
    });
    let services = experiment.services.iter().map(|service| {
        let what = match &service.command {
            Some(command) => format!("starts {}", command.argv.join(" ")),
            None => "started by squall, of its own sandbox".to_owned(),
        };
        vec![format!("service {}", service.name), what]
    });
    table(links.chain(services).collect(), &[])
}

fn section(out: &mut String, title: &str, body: &str) {
    if body.trim().is_empty() {
        return;
    }
    let _ = writeln!(out, "{title}");
    for line in body.lines() {
        let _ = writeln!(out, "  {}", line.trim_end());
    }
    out.push('\n');
}

fn table(rows: Vec<Vec<String>>, numbers: &[usize]) -> String {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    table.add_rows(rows);
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if numbers.contains(&i) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

/// A stretch of the clock: `0:05.00 - 0:31.00`.
fn stretch(from: Micros, to: Micros) -> String {
    format!("{} - {}", clock(from), clock(to))
}

fn shapes(experiment: &Experiment) -> String {
    let outline = &experiment.outline;
    let mut rows = Vec::new();
    for (index, (shape, told)) in experiment.shapes.iter().zip(&outline.shapes).enumerate() {
        let trigger = if told.trigger { ", trigger" } else { "" };
        let arrival = format!("{}{trigger}", told.arrival);
        let flows = flows(told).map_or_else(|| "flows as they come".to_owned(), counted_flows);
        rows.push(vec![told.name.clone(), flows, arrival, stretch(told.start, told.end)]);
        for (id, operation) in outline.operations.iter().enumerate() {
            if operation.shape != index || operation.flow {
                continue;
            }
            let each = of_operation(&shape.flow, OpId(id as u16));
            let total = match flows_f64(told) {
                Some(flows) => grouped((flows * each).round() as u64),
                None => format!("{} a flow", three_digits(each)),
            };
            rows.push(vec![
                format!("  {}", operation.name),
                total,
                format!("good within {}", operation.deadline),
            ]);
        }
    }
    table(rows, &[1])
}

fn counted_flows(n: u64) -> String {
    format!("{} flow{}", grouped(n), if n == 1 { "" } else { "s" })
}

/// Flows of an open shape.
fn flows(shape: &ShapeOutline) -> Option<u64> {
    (!shape.closed).then(|| shape.planned.iter().sum())
}

fn flows_f64(shape: &ShapeOutline) -> Option<f64> {
    flows(shape).map(|n| n as f64)
}

fn faults(experiment: &Experiment) -> String {
    let with_hooks = experiment.outline.faults.iter().zip(&experiment.faults);
    let rows = with_hooks.map(|(f, fault)| {
        let when = match f.length {
            Some(length) => stretch(f.at, f.at + length),
            None => format!("{}, once", clock(f.at)),
        };
        let quiet = if f.expect_no_traffic { ", no traffic expected" } else { "" };
        let hooks = match fault {
            Fault::Exec { undo, check, .. } => {
                format!("; undone by {}; proven by {}", undo.join(" "), check.join(" "))
            }
            _ => String::new(),
        };
        vec![f.name.clone(), when, format!("{}{quiet}{hooks}", f.what)]
    });
    table(rows.collect(), &[])
}

/// The phases as planned, repeats merged.
fn phases(experiment: &Experiment) -> String {
    let judge = &experiment.outline.judge;
    let rows = experiment.foresight.phases.iter().map(|ahead| {
        let span = |span: &Range<Micros>| match &ahead.name {
            PhaseName::During(_) if ahead.one_shot => {
                format!("{} until it has recovered", clock(span.start))
            }
            PhaseName::After(_) if ahead.one_shot => format!("from then until {}", clock(span.end)),
            _ => stretch(span.start, span.end.max(span.start)),
        };
        vec![ahead.name.to_string(), ahead.spans.iter().map(span).collect::<Vec<_>>().join(", ")]
    });
    table(rows.collect(), &[])
        + &format!(
            "\njudged with {} windows in the baseline, and {} in {} windows to call it recovered\n",
            judge.windows, judge.stretch, judge.stretch_windows
        )
}

/// What of each shape is compared with its baseline, in windows of which width; or why nothing is.
fn bands(foresight: &Foresight) -> String {
    let row = |ahead: &BandAhead| {
        let what = match &ahead.band {
            Ok((window, tail)) => {
                let tail = match tail {
                    PlannedTail::Quantile(q) => format!(" and {}", Metric::Quantile(*q)),
                    PlannedTail::None => String::new(),
                    PlannedTail::ByWhatComes => ", with p95 or p99 if enough come".to_owned(),
                };
                format!("windows of {window}: average latency{tail}, goodput, in flight, amplification")
            }
            Err(why) => format!("none: {why}; recovery leaves it out"),
        };
        vec![ahead.shape.clone(), what]
    };
    table(foresight.bands.iter().map(row).collect(), &[])
}

/// Objectives, with how many operations they will have and how many they need, and the rules that are watched.
fn rules(outline: &Outline, foresight: &Foresight) -> String {
    let ahead = foresight.objectives.iter().map(Option::as_ref).chain(std::iter::repeat(None));
    let enough = |ahead: Option<&Expectation>| match ahead {
        Some(Expectation { operation, n, least, needed, on_end, .. }) if *needed > 1 => {
            let few = match (n < needed, least < needed) {
                (true, _) => ": too few".to_owned(),
                (false, true) => format!("; chance may leave {}: too few", grouped(*least)),
                (false, false) => String::new(),
            };
            // As many as it needs at once are judged by their point, fewer by what is certain of so few.
            let gross = on_end.filter(|some| n >= needed && some < needed).map_or(String::new(), |some| {
                format!(
                    "; with about {} within its `for`, a gross breach breaks it, a small one is INCONCLUSIVE",
                    grouped(some)
                )
            });
            format!("about {} {operation}, needs {}{few}{gross}", grouped(*n), grouped(*needed))
        }
        Some(Expectation { operation, n, .. }) => format!("about {} {operation}", grouped(*n)),
        None => String::new(),
    };
    let mut rows: Vec<Vec<String>> =
        outline.objectives.iter().zip(ahead).map(|(o, ahead)| vec![o.text.clone(), enough(ahead)]).collect();
    let ahead = foresight.steady.iter().map(Option::as_ref).chain(std::iter::repeat(None));
    rows.extend(outline.steady.iter().zip(ahead).map(|(o, ahead)| {
        let told = Some(enough(ahead)).filter(|told| !told.is_empty());
        let told = told.map_or(String::new(), |told| format!(": {told}"));
        vec![o.text.clone(), format!("before the first fault{told}")]
    }));
    rows.extend(
        outline.abort.iter().map(|o| vec![o.text.clone(), "ends the run at once if it is so".to_owned()]),
    );
    table(rows, &[])
}

fn data(experiment: &Experiment) -> String {
    let rows = experiment.data.iter().map(|(name, data)| {
        let what = match data {
            Data::Sequence { start, step } => format!("{start}, {}, {}, ...", start + step, start + 2 * step),
            Data::List(items) => format!("{} values in turn", items.len()),
            Data::Pick(items) => format!("one of {} values at random", items.len()),
            Data::Random { from, to } => format!("a whole number from {from} to {to} at random"),
        };
        vec![format!("data.{name}"), what]
    });
    table(rows.collect(), &[])
}

fn aside(experiment: &Experiment) -> String {
    let mut rows = Vec::new();
    let parts = [
        ("setup", &experiment.setup.steps, experiment.setup.within),
        ("teardown", &experiment.teardown.steps, experiment.teardown.within),
    ];
    for (name, steps, within) in parts.into_iter().filter(|(_, steps, _)| !steps.is_empty()) {
        let count = grouped(requests(steps).round() as u64);
        rows.push(vec![name.to_owned(), format!("{count} requests, within {within}")]);
    }
    table(rows, &[])
}

fn load(experiment: &Experiment, limits: Limits) -> String {
    let outline = &experiment.outline;
    let mut per_cell = vec![0.0; outline.shapes.iter().map(|s| s.planned.len()).max().unwrap_or(0)];
    let mut sockets = 0;
    for (shape, told) in experiment.shapes.iter().zip(&outline.shapes) {
        let each = requests(&shape.flow);
        told.planned.iter().zip(&mut per_cell).for_each(|(&n, cell)| *cell += n as f64 * each);
        sockets += most_connections(shape, told, experiment);
    }
    let total: f64 = per_cell.iter().sum();
    let (peak_at, peak) = peak(&per_cell);
    let seconds = outline.cell.as_secs_f64();
    let mut out = format!(
        "about {} requests in all, at most {}/s (at {})\n",
        grouped(total.round() as u64),
        three_digits(peak / seconds),
        clock(outline.cell * peak_at as i64),
    );
    if experiment.shapes.iter().any(|s| s.probes && matches!(s.arrival, Start::Open(_))) {
        out.push_str("of each shape's flows 1 % to 5 % are patient probes, counted apart\n");
    }
    if outline.shapes.iter().any(|s| s.closed) {
        out.push_str("closed loops come on top: their rate is up to the target\n");
    }
    let own = own_files(limits.shards, Programs::of(experiment));
    let room = limits.open_files.saturating_sub(own).min(limits.ephemeral_ports);
    let _ = writeln!(
        out,
        "up to {} connections if nothing answers; this machine has {} files and {} ports",
        grouped(sockets),
        grouped(limits.open_files),
        grouped(limits.ephemeral_ports),
    );
    if sockets > room {
        let _ = writeln!(
            out,
            "that may not be enough: raise `ulimit -n`, or cap shapes with `connections` or `in_flight`"
        );
    }
    out
}

fn peak(cells: &[f64]) -> (usize, f64) {
    cells.iter().copied().enumerate().fold((0, 0.0), |best, (i, n)| if n > best.1 { (i, n) } else { best })
}

/// Connections if no answer came at all: flows that are open at once, within the shape's caps.
fn most_connections(shape: &Shape, told: &ShapeOutline, experiment: &Experiment) -> u64 {
    let outline = &experiment.outline;
    let addresses = match &experiment.target.place {
        Place::Http(target) => target.addresses.len() as u64,
        Place::Sandbox(sandbox) => sandbox.plain.as_ref().map_or(u64::from(sandbox.nodes), |_| 1),
    };
    let open = match &shape.arrival {
        Start::Closed { users, .. } => *users,
        Start::Open(_) => {
            let deadline = outline.operations[usize::from(shape.op.0)].deadline;
            let cells = (deadline.0.max(1) as u64).div_ceil(outline.cell.0.max(1) as u64) as usize;
            told.planned
                .windows(cells.clamp(1, told.planned.len().max(1)))
                .map(|w| w.iter().sum())
                .max()
                .unwrap_or(0)
        }
    };
    open.min(shape.in_flight_cap.unwrap_or(u64::MAX))
        .min(shape.connections.map_or(u64::MAX, |most| u64::from(most) * addresses))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::{Problem, render};
    use crate::experiment::{Flags, resolve};
    use crate::yaml::Env;

    fn experiment() -> Result<Experiment, Vec<Problem>> {
        let profile = "target: sandbox\nduration: 60s\ndata: {n: {random: {from: 1, to: 9}}}\n\
            setup: {steps: [{repeat: {times: 20, steps: [{post: /rooms, json: {name: x}}]}}]}\n\
            shapes:\n  mix:\n    arrival: {constant: {rate: 10/s}}\n    connections: 15\n    timeout: 2s\n    flow:\n\
            \x20     - {get: \"/rooms/{{ data.n }}\", as: get_room}\n\
            \x20     - choice: [{weight: 3, steps: [{post: /rooms, as: create_room}]}, {steps: [{think: 1s}]}]\n\
            \x20 pool:\n    arrival: {closed: {users: 7}}\n    flow: [{get: /rooms, as: list}]\n\
            objectives: [p99(get_room) < 1s during cut, p95(create_room) < 1s for 5s]\n";
        let chaos = "judge: {warmup: 5s, windows: 1}\ntimeline:\n  - {name: cut, at: 40s, for: 5s, down: {link: api-store}}\n\
            \x20 - {name: back, at: 50s, restart: {service: api-1}}\nsteady: [errors < 5%]\nabort: [errors > 90% for 5s]\n";
        let profile = crate::profile::read("mix.yaml", profile, &Env::new());
        let chaos = crate::chaos_plan::read("cuts.yaml", chaos, &Env::new());
        resolve(&profile, Some(&chaos), &Flags { seed: 7, ..Flags::default() }, &|_, _| Ok(Vec::new()))
    }

    #[test]
    fn the_plan_tells_all_that_would_happen() {
        let experiment = experiment().unwrap_or_else(|p| panic!("{}", render(&p, false)));
        insta::assert_snapshot!(plan(
            &experiment,
            Limits { open_files: 80, ephemeral_ports: 28_000, shards: 2 }
        ));
    }

    #[test]
    fn in_a_narrow_terminal_lines_are_broken_between_words() {
        let experiment = experiment().unwrap_or_else(|p| panic!("{}", render(&p, false)));
        let wide = plan(&experiment, Limits { open_files: 80, ephemeral_ports: 28_000, shards: 2 });
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for columns in [60, 80] {
            let narrow = within(&wide, columns);
            let long: Vec<&str> = narrow.lines().filter(|line| line.chars().count() > columns).collect();
            assert!(long.len() <= 1, "the command only: {long:#?}");
            assert_eq!(words(&narrow), words(&wide));
        }
        assert_eq!(within(&wide, 500), wide);
        for columns in 1..20 {
            assert_eq!(words(&broken("  ab   cd éf  ü gh", columns)), ["ab", "cd", "éf", "ü", "gh"]);
        }
        assert_eq!(broken("  ab   cd éf  gh", 11), "  ab   cd\n      éf\n      gh");
    }
}

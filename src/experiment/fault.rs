//! The timeline as written to faults with their times: kinds, names, repeats.

use crate::chaos_plan::{self, ChaosPlan};
use crate::diagnose::{Span, one_of, suggest};
use crate::experiment::notes::{Notes, as_written};
use crate::experiment::place::Guard;
use crate::experiment::{Action, Direction, Fault, Link, Service, Upstream};
use crate::outline::FaultOutline;
use crate::redact::redact;
use crate::units::Micros;
use crate::yaml::At;

const KINDS: [&str; 8] = ["latency", "blackhole", "down", "pause", "kill", "restart", "failover", "exec"];
/// Words of phases, which no trigger may be called.
pub(super) const PHASES: [&str; 3] = ["warmup", "baseline", "run"];
pub(super) const SETTLE: Micros = Micros::secs(10);
/// How long a fault without a window, or with a short one, has to show its effect; and how long its
/// removal has to show.
pub const PROOF: Micros = Micros::secs(5);
/// How long a hook's command may take.
pub const HOOK_TIMEOUT: Micros = Micros::secs(10);

/// A fault with its outline and its place in the file.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub fault: Fault,
    pub outline: FaultOutline,
    pub actions: Vec<Action>,
    pub span: Span,
}

impl Planned {
    /// As it is told: the words of a hook may hold secrets.
    pub fn shown(&self, secrets: &[String]) -> FaultOutline {
        FaultOutline { what: redact(&self.outline.what, secrets), ..self.outline.clone() }
    }
}

/// What faults may be on.
pub(super) struct System<'a> {
    pub links: &'a [Link],
    pub services: &'a [Service],
    /// Some could not be read: say nothing about unknown ones.
    pub links_incomplete: bool,
    pub services_incomplete: bool,
    /// Nothing was cut out of the timeline.
    pub timeline_whole: bool,
    pub guard: &'a Guard<'a>,
    pub duration: Micros,
}

/// All faults, repeats as entries of their own, in order of injection.
pub(super) fn timeline(notes: &mut Notes, plan: &ChaosPlan, system: &System<'_>) -> Vec<Planned> {
    let mut planned = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for written in &plan.timeline.value {
        let name = &written.name;
        notes.name(name.span, name, "a fault");
        if PHASES.contains(&name.as_str()) {
            notes.add(name.span, format!("`{}` is the name of a phase", name.value), "choose another name");
        } else if names.contains(&name.as_str()) {
            notes.add(name.span, format!("two faults are named `{}`", name.value), "choose another name");
        }
        names.push(name);
        if let Some((fault, on, what)) = kind(notes, written, system) {
            let actions = actions(notes, written);
            let what = actions.iter().fold(what, |what, action| format!("{what}; {}", told(action)));
            planned.extend(times(notes, written, system, (fault, actions), on, what));
        }
    }
    planned.sort_by_key(|p: &Planned| p.outline.at);
    planned
}

type Kind = (Fault, Option<String>, String);

fn kind(notes: &mut Notes, written: &At<chaos_plan::Fault>, system: &System<'_>) -> Option<Kind> {
    let spans = [
        written.latency.as_ref().map(|f| f.span),
        written.blackhole.as_ref().map(|f| f.span),
        written.down.as_ref().map(|f| f.span),
        written.pause.as_ref().map(|f| f.span),
        written.kill.as_ref().map(|f| f.span),
        written.restart.as_ref().map(|f| f.span),
        written.failover.as_ref().map(|f| f.span),
        written.exec.as_ref().map(|f| f.span),
    ];
    let given: Vec<(&str, Span)> = KINDS.iter().zip(spans).filter_map(|(k, s)| Some((*k, s?))).collect();
    match given.as_slice() {
        [] if !system.timeline_whole => return None,
        [] => {
            let help = format!("say what to break: {}", one_of(&KINDS));
            notes.add(written.name.span, format!("the fault `{}` breaks nothing", written.name.value), help);
            return None;
        }
        [_] => {}
        [(first, _), (second, span), ..] => {
            let message = format!("a fault is one thing, not `{first}` and `{second}`");
            notes.add(*span, message, "make two faults of it, with names of their own");
            return None;
        }
    }
    on_link(notes, written, system)
        .or_else(|| on_service(notes, written, system))
        .or_else(|| exec(notes, written))
}

fn on_link(notes: &mut Notes, written: &chaos_plan::Fault, system: &System<'_>) -> Option<Kind> {
    if let Some(f) = &written.latency {
        let link = link(notes, &f.link, system)?;
        let (latency, jitter) = (f.latency.0, f.jitter.as_ref().map_or(Micros::ZERO, |j| j.value.0));
        if let Some(at) = f.jitter.as_ref().filter(|_| jitter > latency) {
            notes.add(
                at.span,
                "jitter beyond the latency",
                format!("write at most `{}`", as_written(latency)),
            );
        }
        if latency <= Micros::ZERO {
            notes.add(f.span, "a latency of nothing breaks nothing", "write it like `latency: 250ms`");
        }
        let direction = f.direction.unwrap_or(Direction::Downstream);
        let spread = if jitter > Micros::ZERO { format!(" ± {jitter}") } else { String::new() };
        let way = match direction {
            Direction::Downstream => "",
            Direction::Upstream => ", requests",
            Direction::Both => ", both ways",
        };
        let what = format!("latency +{latency}{spread} on {link}{way}");
        return Some((Fault::Latency { link: link.clone(), latency, jitter, direction }, Some(link), what));
    }
    if let Some(f) = &written.blackhole {
        let link = link(notes, &f.link, system)?;
        return Some((
            Fault::Blackhole { link: link.clone() },
            Some(link.clone()),
            format!("blackhole on {link}"),
        ));
    }
    if let Some(f) = &written.down {
        let link = link(notes, &f.link, system)?;
        return Some((Fault::Down { link: link.clone() }, Some(link.clone()), format!("{link} down")));
    }
    let f = written.failover.as_ref()?;
    let link = link(notes, &f.link, system)?;
    let to = upstream(notes, &f.to, system)?;
    let outage = notes.positive(&f.outage, "the outage of a failover");
    let what = format!("failover of {link} to {} with {outage} of outage", f.to.value);
    Some((Fault::Failover { link: link.clone(), to, outage, stay: f.stay }, Some(link), what))
}

fn on_service(notes: &mut Notes, written: &chaos_plan::Fault, system: &System<'_>) -> Option<Kind> {
    if let Some(f) = &written.pause {
        let service = service(notes, &f.service, system)?;
        let what = format!("pause of {service}");
        return Some((Fault::Pause { service: service.clone() }, Some(service), what));
    }
    if let Some(f) = &written.kill {
        let service = service(notes, &f.service, system)?;
        let what = format!("kill of {service}");
        return Some((Fault::Kill { service: service.clone() }, Some(service), what));
    }
    let f = written.restart.as_ref()?;
    let service = service(notes, &f.service, system)?;
    let what = format!("restart of {service}");
    Some((Fault::Restart { service: service.clone() }, Some(service), what))
}

fn exec(notes: &mut Notes, written: &chaos_plan::Fault) -> Option<Kind> {
    let f = written.exec.as_ref()?;
    for (key, at) in [("run", &f.run), ("undo", &f.undo), ("check", &f.check)] {
        if at.first().is_none_or(|program| program.is_empty()) {
            notes.add(at.span, format!("`{key}` names no program"), "write it like `[redis-cli, PING]`");
        }
    }
    let what = format!("exec {}", f.run.join(" "));
    let fault =
        Fault::Exec { run: f.run.value.clone(), undo: f.undo.value.clone(), check: f.check.value.clone() };
    Some((fault, None, what))
}

/// What is done about a fault.
fn actions(notes: &mut Notes, written: &chaos_plan::Fault) -> Vec<Action> {
    let mut actions = Vec::new();
    for action in &written.then.value {
        let words = [Some(("run", &action.run)), action.undo.as_ref().map(|undo| ("undo", undo))];
        for (key, at) in words.into_iter().flatten() {
            if at.first().is_none_or(|program| program.is_empty()) {
                notes.add(
                    at.span,
                    format!("`{key}` names no program"),
                    "write it like `[./promote, replica]`",
                );
            }
        }
        let after = action.after.value.0;
        let undo = action.undo.as_ref().map(|undo| undo.value.clone()).unwrap_or_default();
        actions.push(Action { after, run: action.run.value.clone(), undo });
    }
    actions
}

/// `./promote replica 5 s later`.
fn told(action: &Action) -> String {
    format!("{} {} later", action.run.join(" "), action.after)
}

fn link(notes: &mut Notes, at: &At<String>, system: &System<'_>) -> Option<String> {
    let known: Vec<&str> = system.links.iter().map(|l| l.name.as_str()).collect();
    let declare = ("link", "links: {name: {listen: ..., upstream: ...}}");
    declared(notes, at, &known, system.links_incomplete, declare)
}

fn service(notes: &mut Notes, at: &At<String>, system: &System<'_>) -> Option<String> {
    let known: Vec<&str> = system.services.iter().map(|s| s.name.as_str()).collect();
    let declare = ("service", "services: {name: {start: [...], ready: {...}}}");
    declared(notes, at, &known, system.services_incomplete, declare)
}

/// The name, if there is such a thing or some could not be read; `thing` and how it is declared.
fn declared(
    notes: &mut Notes,
    at: &At<String>,
    known: &[&str],
    incomplete: bool,
    (thing, how): (&str, &str),
) -> Option<String> {
    if known.contains(&at.as_str()) || incomplete {
        return Some(at.value.clone());
    }
    let help = match known.is_empty() {
        true => format!("declare it: `{how}`, or use the sandbox's own: `--target sandbox`"),
        false => suggest(at, known.iter().copied()),
    };
    notes.add(at.span, format!("there is no {thing} `{}`", at.value), help);
    None
}

/// A service of the sandbox by its name, or an address.
fn upstream(notes: &mut Notes, at: &At<String>, system: &System<'_>) -> Option<Upstream> {
    let own = system.services.iter().filter(|s| s.command.is_none());
    let own: Vec<&str> = own.map(|s| s.name.as_str()).collect();
    if own.contains(&at.as_str()) {
        return Some(Upstream::Service(at.value.clone()));
    }
    if !at.contains(':') {
        let help = if own.is_empty() {
            "write an address, such as `127.0.0.1:6380`".to_owned()
        } else {
            suggest(at, own)
        };
        notes.add(at.span, format!("`{}` is nothing to fail over to", at.value), help);
        return None;
    }
    match system.guard.address(at) {
        Ok(address) => Some(Upstream::Address(address)),
        Err(refusal) => {
            notes.add(at.span, refusal.message, refusal.help);
            None
        }
    }
}

/// `at`, `for`, `every` and `times` as entries of the timeline.
fn times(
    notes: &mut Notes,
    written: &At<chaos_plan::Fault>,
    system: &System<'_>,
    (fault, actions): (Fault, Vec<Action>),
    on: Option<String>,
    what: String,
) -> Vec<Planned> {
    let length = length(notes, written, &fault, system.timeline_whole);
    let settle = written.settle.as_ref().map_or(SETTLE, |s| s.value.0);
    let Some(at_written) = &written.at else {
        if system.timeline_whole {
            notes.add(
                written.name.span,
                format!("when does `{}` begin?", written.name.value),
                "add `at: 30s`",
            );
        }
        return Vec::new();
    };
    let at = at_written.value.0;
    let lasts = length.unwrap_or(match &fault {
        Fault::Failover { outage, .. } => *outage,
        _ => Micros::ZERO,
    });
    if at + lasts > system.duration {
        let message = format!("this fault ends at {}, the load at {}", at + lasts, system.duration);
        let help = format!("raise `duration` to {} or more", as_written(at + lasts + settle));
        notes.add(at_written.span, message, help);
    } else if length.is_none() && at + lasts == system.duration {
        let message = format!("the load ends at {}, just as this comes", system.duration);
        let help = format!("raise `duration` to {} or more", as_written(at + lasts + settle));
        notes.add(at_written.span, message, help);
    }
    if let Some(at) = written.expect.filter(|_| !on_a_link(&fault)).map(|_| written.name.span) {
        notes.add(at, "`expect: no_traffic` is for faults on a link", "leave it out");
    }
    let count = repeats(notes, written, at, system.duration, lasts, settle);
    let every = written.every.as_ref().map_or(Micros::ZERO, |e| e.value.0);
    actions_end(notes, written, at + every * (count - 1), system.duration);
    let name = &written.name.value;
    let outline = |k: i64| FaultOutline {
        name: if count > 1 { format!("{name}#{}", k + 1) } else { name.clone() },
        trigger: name.clone(),
        what: what.clone(),
        on: on.clone(),
        at: at + every * k,
        length,
        settle,
        expect_no_traffic: written.expect.is_some(),
    };
    let planned = |k| {
        let (fault, actions) = (fault.clone(), actions.clone());
        Planned { fault, outline: outline(k), actions, span: written.name.span }
    };
    (0..count).map(planned).collect()
}

/// What is done about the last of a fault's repeats must come before the load ends too.
fn actions_end(notes: &mut Notes, written: &chaos_plan::Fault, last: Micros, duration: Micros) {
    for after in written.then.value.iter().map(|action| &action.after) {
        let at = last + after.value.0;
        if at > duration {
            let message = format!("this comes at {at}, and the load ends at {duration}");
            notes.add(after.span, message, "raise `duration`, or do it earlier");
        }
    }
}

fn on_a_link(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Latency { .. } | Fault::Blackhole { .. } | Fault::Down { .. } | Fault::Failover { .. }
    )
}

/// Windowed faults need `for`, one-shots refuse it, `kill` and `exec` may have it.
fn length(notes: &mut Notes, written: &chaos_plan::Fault, fault: &Fault, whole: bool) -> Option<Micros> {
    let name = &written.name;
    match (fault, &written.length) {
        (Fault::Restart { .. }, Some(at)) => {
            notes.add(at.span, "a restart has no length", "leave `for` out, or use `kill` with `for`");
            None
        }
        (Fault::Failover { .. }, Some(at)) => {
            notes.add(
                at.span,
                "a failover has no length",
                "leave `for` out: `outage` says how long nothing answers",
            );
            None
        }
        (_, Some(at)) => Some(notes.positive(at, "a fault")),
        (Fault::Restart { .. } | Fault::Failover { .. } | Fault::Kill { .. } | Fault::Exec { .. }, None) => {
            None
        }
        (_, None) => {
            if whole {
                notes.add(name.span, format!("how long does `{}` last?", name.value), "add `for: 20s`");
            }
            None
        }
    }
}

/// Each of a fault's repeats is a trigger, and judged.
const MOST_REPEATS: i64 = 1000;

/// How often the fault happens, with the checks on `every` and `times`.
fn repeats(
    notes: &mut Notes,
    written: &chaos_plan::Fault,
    first: Micros,
    duration: Micros,
    lasts: Micros,
    settle: Micros,
) -> i64 {
    let times = written.times.as_ref();
    let Some(every) = &written.every else {
        if let Some(at) = times.filter(|t| t.value > 1) {
            notes.add(at.span, "`times` without `every`", "say how far apart: `every: 20s`");
        }
        return 1;
    };
    let gap = notes.positive(every, "the time between repeats");
    if gap < lasts + settle {
        let message = format!("repeats every {gap} leave {} to settle, it takes {settle}", gap - lasts);
        let help = format!("write `every: {}` or more, or a shorter `settle`", as_written(lasts + settle));
        notes.add(every.span, message, help);
    }
    let fitting = if gap > Micros::ZERO { (duration - first - lasts).0.max(0) / gap.0 + 1 } else { 1 };
    let (span, asked) = times.map_or((every.span, fitting), |at| (at.span, fitting.min(at.value.into())));
    if asked > MOST_REPEATS {
        let message = format!("{asked} repeats are more than the {MOST_REPEATS} that one fault may have");
        let help = format!(
            "write `times: {MOST_REPEATS}` or a longer `every`; a second fault can go on from {}",
            as_written(first + gap * MOST_REPEATS)
        );
        notes.add(span, message, help);
    }
    let times = match times {
        Some(at) if at.value == 0 => {
            notes.add(at.span, "0 times is never", "write 1 or more");
            1
        }
        Some(at) if i64::from(at.value) > fitting => {
            let needed = first + gap * (i64::from(at.value) - 1) + lasts;
            let message =
                format!("only {fitting} of {} repeats fit before the load ends at {duration}", at.value);
            notes.add(at.span, message, format!("raise `duration` to {} or more", as_written(needed)));
            fitting
        }
        Some(at) => i64::from(at.value),
        None => fitting,
    };
    times.min(MOST_REPEATS)
}

impl Fault {
    /// It is on a link; others are on a service, which may have the same name.
    pub fn is_on_link(&self) -> bool {
        matches!(
            self,
            Fault::Latency { .. } | Fault::Blackhole { .. } | Fault::Down { .. } | Fault::Failover { .. }
        )
    }
}

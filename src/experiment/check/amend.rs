//! What must change for a plan to leave time for all that it asks, found by trying it: whoever makes all of the changes at
//! once has a plan that leaves it.
//!
//! Owns the search and the words; what lacks time, and how much, is for the checks.

use std::collections::BTreeMap;

use crate::experiment::Shape;
use crate::experiment::check::{Wait, clashes, end, is_for_good};
use crate::experiment::fault::Planned;
use crate::experiment::notes::as_written;
use crate::experiment::watch::Watch;
use crate::objective::Objective;
use crate::outline::Outline;
use crate::timeline::phases::Horizon;
use crate::timeline::trigger::Trigger;
use crate::units::Micros;

/// What is changed in a plan.
#[derive(Clone, Debug, Default)]
pub(in crate::experiment) struct Changes {
    /// Until when the load lasts.
    pub duration: Micros,
    /// By how much later triggers begin.
    pub later: BTreeMap<String, Micros>,
    /// How far apart repeats are.
    pub apart: BTreeMap<String, Micros>,
    /// How often what comes as often as fits comes now.
    pub times: BTreeMap<String, u32>,
    /// Until when shapes last whose load ends before the others'.
    pub until: BTreeMap<String, Micros>,
}

/// A plan with some changes.
pub(in crate::experiment) struct Tried {
    pub outline: Outline,
    pub timeline: Vec<Planned>,
    pub shapes: Vec<Shape>,
    /// Until when the load must last for all of it to come.
    pub ends: Micros,
    /// The changes make nothing else wrong.
    pub sound: bool,
}

impl Tried {
    fn watch(&self) -> Watch<'_> {
        Watch::new(&self.outline, &self.timeline, &self.shapes)
    }
}

/// When each trigger comes for the first time, and how often it comes.
type Firsts = BTreeMap<String, (Micros, u32)>;

/// How much time a trigger needs before the next.
type Needs = BTreeMap<String, Micros>;

/// So many rounds, and so many for each trigger, lead to an end if there is one.
const ROUNDS: (usize, usize) = (8, 3);
/// Where triggers lie between one another's repeats these are so far apart, of what all of them need: windows of whole
/// widths take more.
const APART: [i64; 4] = [100, 125, 150, 200];

/// The changes that leave time for all of it; none if none are found.
pub(in crate::experiment) fn search(first: Changes, again: &dyn Fn(&Changes) -> Tried) -> Option<Changes> {
    let mut needs = Needs::new();
    let last = match attempt(first.clone(), again, &mut needs) {
        Ok(found) => return Some(found),
        Err(last) => last,
    };
    let repeated = |name: &&String| last.get(*name).is_some_and(|(_, often)| *often > 1);
    let all: Vec<String> = needs.keys().filter(repeated).cloned().collect();
    let sum: Micros = needs.values().fold(Micros::ZERO, |sum, need| sum + *need);
    let with = |percent: i64| {
        let apart = whole(Micros(sum.0 * percent / 100));
        let mut changes = first.clone();
        changes.apart.extend(all.iter().map(|name| (name.clone(), apart)));
        attempt(changes, again, &mut Needs::new()).ok()
    };
    APART.into_iter().filter(|_| !all.is_empty()).find_map(with)
}

/// Changes until nothing lacks time; the triggers of the last plan that was tried where that comes to no end.
fn attempt(first: Changes, again: &dyn Fn(&Changes) -> Tried, needs: &mut Needs) -> Result<Changes, Firsts> {
    let mut changes = first;
    let mut tried = again(&changes);
    let rounds = ROUNDS.0 + ROUNDS.1 * tried.watch().firsts().len();
    for _ in 0..rounds {
        let Some(more) = tried.more(&changes, needs) else {
            return if tried.sound { Ok(changes) } else { Err(tried.watch().firsts()) };
        };
        changes = more;
        tried = again(&changes);
    }
    Err(tried.watch().firsts())
}

/// Up to whole seconds, as people write them.
fn whole(time: Micros) -> Micros {
    Micros(-(-time.0).div_euclid(1_000_000) * 1_000_000)
}

impl Tried {
    /// What must change beside what did; none if nothing lacks time. First comes what the baseline needs, then what
    /// triggers need between them, then how long it takes.
    fn more(&self, changes: &Changes, needs: &mut Needs) -> Option<Changes> {
        let watch = self.watch();
        let mut more = changes.clone();
        let by = watch.short_by();
        if by > Micros::ZERO {
            watch.firsts().keys().for_each(|name| more.put_off(name, by));
            return Some(more);
        }
        if let Some((earlier, later)) = clashes(&self.timeline).find(|(earlier, _)| !is_for_good(earlier)) {
            more.put_off_from(&watch, &later.outline.trigger, later.outline.at, end(earlier));
            return Some(more);
        }
        let waits = watch.waits();
        let between = |wait: &&Wait| !matches!(wait.bound, Horizon::Load(_));
        if let Some(first) = waits.iter().filter(between).min_by_key(|wait| wait.bound.at()) {
            let same = waits.iter().filter(|wait| wait.bound == first.bound);
            let last = same.max_by_key(|wait| wait.until)?;
            if let Some(after) = last.after {
                needs.entry(after.trigger.clone()).or_insert(last.until - after.t_inject);
            }
            more.separate(&watch, last);
            return Some(more);
        }
        for wait in &waits {
            if let Some(shape) = wait.shape {
                more.until.insert(shape.name.clone(), whole(wait.until));
            }
            more.duration = more.duration.max(whole(wait.until));
        }
        more.duration = more.duration.max(whole(self.ends));
        (!waits.is_empty() || more.duration > changes.duration).then_some(more)
    }
}

impl Changes {
    fn put_off(&mut self, name: &str, by: Micros) {
        let later = self.later.entry(name.to_owned()).or_default();
        *later = whole(*later + by);
    }

    /// Puts what must not come before this into some distance.
    fn separate(&mut self, watch: &Watch, wait: &Wait) {
        let (Horizon::Next(next) | Horizon::InForce(next, _)) = wait.bound else { return };
        if let Some(before) = wait.after.filter(|t| t.trigger == next.trigger) {
            let apart = whole(wait.until - before.t_inject);
            self.apart.insert(next.trigger.clone(), apart);
            self.keep_order(watch, next, apart - (next.t_inject - before.t_inject));
            return;
        }
        self.put_off_from(watch, &next.trigger, next.t_inject, wait.until);
    }

    /// Puts a trigger off that comes at some time, until later; what comes after that keeps its own distance.
    fn put_off_from(&mut self, watch: &Watch, trigger: &str, from: Micros, until: Micros) {
        for (name, (first, _)) in watch.firsts() {
            if first > from || name == trigger {
                self.put_off(&name, until - from);
            }
        }
    }

    /// What begins after some of a trigger's repeats, which become so much further apart, still does.
    fn keep_order(&mut self, watch: &Watch, repeated: &Trigger, further: Micros) {
        for (name, (first, _)) in watch.firsts() {
            let mine = |t: &&Trigger| t.trigger == repeated.trigger && t.t_inject < first;
            let before = watch.triggers.iter().filter(mine);
            let by = further * (before.clone().count() as i64 - 1);
            if name != repeated.trigger
                && before.clone().next_back().is_some_and(|t| t.t_inject + by >= first)
            {
                self.put_off(&name, by);
            }
        }
    }
}

impl Watch<'_> {
    /// When each trigger comes for the first time, and how often it comes.
    pub(in crate::experiment) fn firsts(&self) -> Firsts {
        let mut firsts = Firsts::new();
        for t in &self.triggers {
            firsts.entry(t.trigger.clone()).or_insert((t.t_inject, 0)).1 += 1;
        }
        firsts
    }

    /// All that does not fit into the run.
    fn waits(&self) -> Vec<Wait<'_>> {
        let outline = self.outline;
        let judged = outline.objectives.iter().filter_map(|o| self.too_long(o));
        let on_end = outline.objectives.iter().chain(&outline.abort).filter_map(|rule| self.too_short(rule));
        judged.chain(on_end).collect()
    }

    /// Whether something lacks time.
    pub(in crate::experiment) fn lacks(&self) -> bool {
        self.short_by() > Micros::ZERO || !self.waits().is_empty()
    }
}

/// What is advised where something lacks time: all that must change, wherever it is told.
#[derive(Default)]
pub(in crate::experiment) struct Advice {
    /// None if no changes are known that would do.
    found: Option<Changes>,
    /// When triggers begin now, and how often they come.
    firsts: Firsts,
    duration: Micros,
}

impl Advice {
    /// `watch` is the plan as it is.
    pub fn of(watch: &Watch, found: Option<Changes>) -> Advice {
        let mut firsts = watch.firsts();
        // Of a shape the start is written, and not its first arrival.
        for shape in watch.outline.shapes.iter().filter(|shape| shape.trigger) {
            firsts.entry(shape.name.clone()).and_modify(|(first, _)| *first = shape.start);
        }
        Advice { found, firsts, duration: watch.outline.duration }
    }

    /// What to change, and what else beside it.
    pub fn all(&self) -> Option<String> {
        let all = self.besides(None, false)?;
        (!all.is_empty()).then(|| joined(all))
    }

    /// When the first trigger must begin, and what else must be.
    pub fn begin(&self, watch: &Watch) -> String {
        let first = watch.triggers.first().map(|t| t.trigger.as_str()).unwrap_or_default();
        let by = |changes: &Changes| changes.later.get(first).copied();
        let by = self.found.as_ref().and_then(by).unwrap_or(watch.short_by());
        let at = self.firsts.get(first).map_or(Micros::ZERO, |(at, _)| *at);
        let begin = format!("begin at {} or later", as_written(at + by));
        match self.besides(Some(first), false) {
            Some(others) => joined([vec![begin], others].concat()),
            None if self.firsts.len() > 1 => begin + ", all others as much later",
            None => begin,
        }
    }

    /// Where an objective must wait for longer than the plan allows.
    pub fn for_wait(&self, wait: &Wait) -> String {
        match wait.bound {
            Horizon::Load(_) => self.longer(wait),
            Horizon::Next(next) => format!("{}, or {}", self.apart(next, wait), wait.or),
            Horizon::InForce(other, _) => {
                let all = self.put_off(other).map_or("let it begin later".to_owned(), |(_, all)| all);
                format!("let `{}` end first, or {all}", other.trigger)
            }
        }
    }

    /// What leaves a rule the time at which it looks on end, where more time than there is does.
    pub fn room_for(&self, watch: &Watch, rule: &Objective) -> Option<String> {
        self.all().filter(|_| watch.too_short(rule).is_some() || watch.too_long(rule).is_some())
    }

    fn longer(&self, wait: &Wait) -> String {
        let until = as_written(whole(wait.until));
        let lasts = |lasts: Micros| format!("raise `duration` to {} or more", as_written(lasts));
        match (self.besides(None, true), &self.found, wait.shape) {
            (Some(others), Some(changes), Some(shape)) if changes.duration > self.duration => {
                let until = changes.until.get(&shape.name).map_or(until, |at| as_written(*at));
                let shape = format!("let it last until {until} or longer");
                joined([vec![lasts(changes.duration) + &self.often(), shape], others].concat())
            }
            (Some(_), Some(changes), Some(shape)) => {
                let until = changes.until.get(&shape.name).map_or(until, |at| as_written(*at));
                joined([vec![format!("let it last until {until} or longer")], self.moved(None)].concat())
            }
            (Some(others), Some(changes), None) => {
                joined([vec![lasts(changes.duration) + &self.often()], others].concat())
            }
            (_, _, None) => lasts(whole(wait.until)),
            (_, _, Some(_)) => format!("let it last until {until} or longer"),
        }
    }

    /// What to change so that a trigger begins no earlier: of repeats how far apart they are, or when the first begins.
    fn apart(&self, next: &Trigger, wait: &Wait) -> String {
        if self.found.is_none() {
            let before = wait.after.map_or("", |t| &t.name);
            return format!("leave more time between `{before}` and `{}`", next.name);
        }
        match self.put_off(next) {
            Some((whose, begin)) if wait.after.is_none_or(|t| t.trigger != next.trigger) => {
                format!("let {whose} {begin}")
            }
            _ => self.all().unwrap_or_default(),
        }
    }

    /// Which trigger must begin later, where it must, and when, and what else must be.
    fn put_off(&self, trigger: &Trigger) -> Option<(String, String)> {
        let name = &trigger.trigger;
        let by = *self.found.as_ref()?.later.get(name)?;
        let (at, times) = self.firsts.get(name).copied().unwrap_or_default();
        let first = if times > 1 { "the first " } else { "" };
        let begin = format!("begin at {} or later", as_written(at + by));
        let all = joined([vec![begin], self.besides(Some(name), false)?].concat());
        Some((format!("{first}`{name}`"), all))
    }

    /// All changes but when this trigger begins, or but how long the load lasts.
    fn besides(&self, told: Option<&str>, of_load: bool) -> Option<Vec<String>> {
        let changes = self.found.as_ref()?;
        let mut all = self.moved(told);
        if !of_load {
            let until = |(name, at): (&String, &Micros)| {
                format!("let the load of `{name}` last until {} or longer", as_written(*at))
            };
            all.extend(changes.until.iter().map(until));
        }
        if !of_load && changes.duration > self.duration {
            let lasts = as_written(changes.duration);
            all.push(format!("raise `duration` to {lasts} or more{}", self.often()));
        }
        Some(all)
    }

    /// How often what comes as often as fits is to come, where the load becomes longer.
    fn often(&self) -> String {
        let Some(changes) = &self.found else { return String::new() };
        let times = changes.times.iter().map(|(name, times)| format!("`times: {times}` of `{name}`"));
        let times = times.collect::<Vec<_>>().join(" and ");
        if times.is_empty() { times } else { format!(" with {times}") }
    }

    /// How triggers are put off.
    fn moved(&self, told: Option<&str>) -> Vec<String> {
        let Some(changes) = &self.found else { return Vec::new() };
        let mut all = Vec::new();
        let by = changes.later.values().next().copied().unwrap_or_default();
        let together = changes.later.len() == self.firsts.len() && changes.later.values().all(|b| *b == by);
        match told {
            Some(_) if together && self.firsts.len() > 1 => all.push("all others as much later".to_owned()),
            _ => {
                let others = changes.later.iter().filter(|(name, _)| told != Some(name.as_str()));
                all.extend(others.map(|(name, by)| {
                    let (at, times) = self.firsts.get(name).copied().unwrap_or_default();
                    let first = if times > 1 { "the first " } else { "" };
                    format!("let {first}`{name}` begin at {} or later", as_written(at + *by))
                }));
            }
        }
        let mut apart: BTreeMap<Micros, Vec<String>> = BTreeMap::new();
        for (name, every) in &changes.apart {
            apart.entry(*every).or_default().push(format!("`{name}`"));
        }
        let alone = self.firsts.len() == 1;
        all.extend(apart.into_iter().map(|(every, names)| {
            let of = if alone { String::new() } else { format!(" of {}", names.join(" and of ")) };
            format!("write `every: {}` or more{of}", as_written(every))
        }));
        all
    }
}

/// One after the other, as people say it.
fn joined(mut all: Vec<String>) -> String {
    let last = all.pop().unwrap_or_default();
    if all.is_empty() { last } else { format!("{} and {last}", all.join(", ")) }
}

//! Whether a plan leaves time for all that it asks, and what must change where it does not.

use super::{Resolver, Rules};
use crate::chaos_plan::{ChaosPlan, Fault};
use crate::diagnose::{Problem, Span};
use crate::experiment::check::amend::{self, Advice, Changes, Tried};
use crate::experiment::fault::{self, Planned};
use crate::experiment::notes::Notes;
use crate::experiment::watch::Watch;
use crate::experiment::{Foresight, Link, Service, Shape};
use crate::outline::{Outline, ShapeOutline};
use crate::profile::Profile;
use crate::template::Scope;
use crate::units::Micros;
use crate::written::Duration;
use crate::yaml::At;

/// What a changed plan is resolved against.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub scope: &'a Scope,
    pub links: &'a [Link],
    pub services: &'a [Service],
}

impl Resolver<'_> {
    /// A smoke run need leave no time for anything, as it proves nothing. Where times could not be read nothing is
    /// known of the rest: a time-out that lacks its unit is not one of 30 s, nor is a fault on no link none.
    pub(super) fn fits_in_time(
        &mut self,
        outline: &Outline,
        timeline: &[Planned],
        rules: &Rules,
        shapes: &[Shape],
        around: Around<'_>,
    ) -> Foresight {
        let watch = Watch::new(outline, timeline, shapes);
        let read = ["duration", "judge", "shapes"].iter().all(|key| self.profile.is_whole(key))
            && ["judge", "timeline"].iter().all(|key| self.chaos.is_whole(key))
            && self.plan.timeline.iter().all(|f| timeline.iter().any(|p| p.outline.trigger == f.name.value));
        if self.smoke.is_none() && read {
            let advice = self.advice(&watch, around);
            self.leaves_time(&watch, &advice, rules);
            self.fitting(&advice);
        }
        watch.foresight()
    }

    fn leaves_time(&mut self, watch: &Watch<'_>, advice: &Advice, rules: &Rules) {
        let (outline, timeline) = (watch.outline, watch.timeline);
        for (rule, span) in rules.abort.iter().chain(&rules.steady).chain(&rules.on_faults) {
            watch.on_end(&mut self.chaos_notes, advice, rule, *span);
        }
        for (objective, span) in &rules.objectives {
            watch.on_end(&mut self.notes, advice, objective, *span);
        }
        for (rule, span) in &rules.abort {
            watch.abort(&mut self.chaos_notes, rule, *span);
        }
        for (rule, span) in &rules.steady {
            watch.steady(&mut self.chaos_notes, advice, rule, *span);
        }
        for (objective, span) in &rules.objectives {
            watch.judgeable(&mut self.notes, advice, objective, *span);
        }
        for (objective, span) in &rules.on_faults {
            watch.judgeable(&mut self.chaos_notes, advice, objective, *span);
        }
        let Some(first) = outline.first_trigger() else { return };
        let by_fault = timeline.iter().find(|p| p.outline.at == first).map(|p| p.span);
        match by_fault {
            Some(span) => watch.baseline(&mut self.chaos_notes, advice, first, span),
            None => {
                let shape = outline.shapes.iter().find(|s| s.trigger && s.first == Some(first));
                let named = |name: &&At<String>| shape.is_some_and(|s| s.name == name.value);
                let span = self.written.shapes.iter().map(|(name, _)| name).find(named).map(|name| name.span);
                if let Some(span) = span {
                    watch.baseline(&mut self.notes, advice, first, span);
                }
            }
        }
    }

    /// What must change, where something must.
    fn advice(&self, watch: &Watch<'_>, around: Around<'_>) -> Advice {
        if !watch.lacks() && self.chaos_notes.problems.is_empty() {
            return Advice::default();
        }
        let again = |changes: &Changes| self.tried(watch, changes, around);
        let mut first = Changes { duration: watch.outline.duration, ..Changes::default() };
        for written in &self.plan.timeline.value {
            let (name, lasts) = (&written.name.value, self.lasts(watch.timeline, written));
            let Some(every) = written.every.as_ref().map(|every| every.value.0) else { continue };
            let settle = written.settle.as_ref().map_or(fault::SETTLE, |settle| settle.value.0);
            if every < lasts + settle {
                first.apart.insert(name.clone(), lasts + settle);
            }
            if written.times.is_none() {
                first.times.insert(name.clone(), watch.firsts().get(name).map_or(1, |(_, times)| *times));
            }
        }
        Advice::of(watch, amend::search(first, &again))
    }

    /// How long a fault lasts by the plan.
    fn lasts(&self, timeline: &[Planned], written: &Fault) -> Micros {
        let planned = timeline.iter().find(|p| p.outline.trigger == written.name.value);
        let outage = written.failover.as_ref().map(|failover| failover.outage.value.0);
        planned.and_then(|p| p.outline.length).or(outage).unwrap_or_default()
    }

    /// The same plan with these changes.
    fn tried(&self, watch: &Watch<'_>, changes: &Changes, around: Around<'_>) -> Tried {
        let (written, plan) = (changed_profile(self.written, changes), changed_plan(self.plan, changes));
        let mut again = Resolver {
            written: &written,
            plan: &plan,
            notes: Notes::new(&self.profile.source),
            chaos_notes: Notes::new(&self.chaos.source),
            ..*self
        };
        let outline = watch.outline;
        // Of a long load arrivals take long to draw.
        let moves = |shape: &ShapeOutline| changes.later.contains_key(&shape.name);
        let same = changes.duration == outline.duration
            && changes.until.is_empty()
            && !outline.shapes.iter().any(moves);
        let (shapes, outlines) = if same {
            (watch.shapes.to_vec(), outline.shapes.clone())
        } else {
            let load = again.load(changes.duration, around.scope);
            (load.shapes, load.outlines)
        };
        let timeline = again.timeline(changes.duration, around.links, around.services, false);
        let known = |problem: &Problem| {
            let known = self.notes.problems.iter().chain(&self.chaos_notes.problems);
            known.clone().any(|other| other.span == problem.span)
        };
        let sound = again.notes.problems.iter().chain(&again.chaos_notes.problems).all(known);
        let ends = plan.timeline.iter().map(|fault| {
            let last = fault.every.as_ref().map_or(Micros::ZERO, |every| every.value.0)
                * i64::from(fault.times.as_ref().map_or(1, |times| times.value.max(1)) - 1);
            let last = fault.at.as_ref().map_or(Micros::ZERO, |at| at.value.0) + last;
            let lasts = again.lasts(&timeline, fault);
            let settle = fault.settle.as_ref().map_or(fault::SETTLE, |settle| settle.value.0);
            let over = last + lasts + Micros(i64::from(fault.length.is_none())) > changes.duration;
            let ends = if over { last + lasts + settle } else { last + lasts };
            fault.then.value.iter().map(|action| last + action.after.value.0).fold(ends, Micros::max)
        });
        let last = written.shapes.iter().filter_map(|(_, shape)| {
            let start = shape.start.as_ref().map_or(Micros::ZERO, |start| start.value.0);
            Some(start + shape.length.as_ref()?.value.0)
        });
        let ends = ends.chain(last).max().unwrap_or_default();
        let outline = Outline {
            duration: changes.duration,
            shapes: outlines,
            faults: timeline.iter().map(|p| p.outline.clone()).collect(),
            ..outline.clone()
        };
        Tried { outline, timeline, shapes, ends, sound }
    }

    /// Faults that do not fit are told the same as whatever lacks time.
    fn fitting(&mut self, advice: &Advice) {
        let Some(all) = advice.all() else { return };
        let spans = self.plan.timeline.iter().flat_map(|fault| {
            let times = [&fault.at, &fault.every].map(|at| at.as_ref().map(|at| at.span));
            times.into_iter().chain([fault.times.as_ref().map(|times| times.span)]).flatten()
        });
        let spans: Vec<Span> = spans.chain(self.plan.timeline.iter().map(|f| f.name.span)).collect();
        for problem in
            self.chaos_notes.problems.iter_mut().filter(|p| p.span.is_some_and(|s| spans.contains(&s)))
        {
            match &problem.help {
                Some(help) if help.starts_with("raise `duration` to ") => problem.help = Some(all.clone()),
                Some(help) if help.ends_with(", or a shorter `settle`") => {
                    problem.help = Some(format!("{all}, or a shorter `settle`"));
                }
                Some(help) if help.starts_with("let one ") => problem.help = Some(format!("{help}: {all}")),
                _ => {}
            }
        }
    }
}

fn changed_plan(plan: &ChaosPlan, changes: &Changes) -> ChaosPlan {
    let mut plan = plan.clone();
    for fault in &mut plan.timeline.value {
        let (span, fault) = (fault.span, &mut fault.value);
        let name = &fault.name.value;
        if let (Some(at), Some(by)) = (&mut fault.at, changes.later.get(name)) {
            at.value.0 += *by;
        }
        if let (Some(every), Some(apart)) = (&mut fault.every, changes.apart.get(name)) {
            every.value.0 = *apart;
        }
        if let Some(times) = changes.times.get(name) {
            fault.times.get_or_insert(At { value: *times, span });
        }
    }
    plan
}

fn changed_profile(profile: &Profile, changes: &Changes) -> Profile {
    let mut profile = profile.clone();
    for (name, shape) in &mut profile.shapes.0 {
        let (span, shape) = (shape.span, &mut shape.value);
        if let Some(by) = changes.later.get(&name.value) {
            let start = shape.start.get_or_insert(At { value: Duration(Micros::ZERO), span });
            start.value.0 += *by;
        }
        let start = shape.start.as_ref().map_or(Micros::ZERO, |start| start.value.0);
        if let (Some(length), Some(until)) = (&mut shape.length, changes.until.get(&name.value)) {
            length.value.0 = *until - start;
        }
    }
    profile
}

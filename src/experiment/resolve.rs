//! Profile + chaos plan + flags to an experiment, with everything that is wrong in one list.

mod time;

use std::collections::{BTreeMap, BTreeSet};

use crate::chaos_plan::ChaosPlan;
use crate::diagnose::{self, Problem, Span};
use crate::experiment::fault::{PHASES, Planned, System};
use crate::experiment::flow::{Flow, Part};
use crate::experiment::notes::Notes;
use crate::experiment::place::Guard;
pub use crate::experiment::smoke::resolve;
use crate::experiment::{
    Experiment, Link, Place, Service, Setup, Shape, Step, Target, Teardown, check, data, fault, judge,
    rehearsal, shape, smoke, system,
};
use crate::objective::{Metric, Names, Objective};
use crate::outline::{OperationOutline, Outline, ShapeOutline, called, tell_apart};
use crate::profile::{self, Profile};
use crate::redact::{forms, redact};
use crate::template::{ALWAYS, Scope};
use crate::units::Micros;
use crate::yaml::{At, Document};

pub use crate::experiment::place::Lookup;
use time::Around;

/// What the command line adds.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--target`: `sandbox` or URLs, instead of the profile's.
    pub target: Vec<String>,
    /// `--duration`, instead of the profile's.
    pub duration: Option<Micros>,
    /// `--seed`, or one that the caller drew.
    pub seed: u64,
    /// `--virtual`.
    pub virtual_time: bool,
    /// `--allow-target`: hosts outside loopback that may be loaded.
    pub allow_target: Vec<String>,
    /// `--smoke`: the plan's clock runs so much faster that it takes seconds.
    pub smoke: bool,
    /// Flaws of the sandbox, on top of the profile's.
    pub flaws: Vec<String>,
    /// The command that runs it again.
    pub command: String,
}

/// Width of a cell of an unscaled run.
const CELL: Micros = Micros::SECOND;

pub(super) fn resolve_once(
    profile: &Document<Profile>,
    chaos: Option<&Document<ChaosPlan>>,
    flags: &Flags,
    lookup: Lookup<'_>,
) -> Result<Experiment, Vec<Problem>> {
    let mut problems = profile.problems.clone();
    problems.extend(chaos.iter().flat_map(|c| c.problems.clone()));
    let mut experiment = None;
    if let Some(written) = &profile.value {
        let nothing = Document {
            name: String::new(),
            source: profile.source.clone(),
            value: Some(ChaosPlan::default()),
            problems: Vec::new(),
            cuts: Vec::new(),
            secrets: Vec::new(),
        };
        let chaos_document = chaos.unwrap_or(&nothing);
        let mut plan = chaos_document.value.clone().unwrap_or_default();
        let by_file = written.duration.clone().filter(|_| flags.duration.is_none());
        let mut written = Profile { duration: by_file, ..written.clone() };
        let smoke = flags.smoke.then(|| {
            let duration = flags.duration.or(written.duration.as_ref().map(|at| at.value.0));
            let factor = smoke::factor(duration.unwrap_or_default(), &plan);
            smoke::profile(&mut written, factor);
            smoke::plan(&mut plan, factor);
            factor
        });
        let mut resolver = Resolver {
            profile,
            written: &written,
            smoke,
            chaos: chaos_document,
            plan: &plan,
            flags,
            guard: Guard { lookup, allowed: &flags.allow_target },
            notes: Notes::new(&profile.source),
            chaos_notes: Notes::new(&chaos_document.source),
        };
        experiment = resolver.resolve(chaos.map(|c| c.name.clone()));
        problems.append(&mut resolver.notes.problems);
        problems.append(&mut resolver.chaos_notes.problems);
    }
    let secrets = forms([&profile.secrets[..], chaos.map_or(&[], |c| &c.secrets)].concat());
    problems = problems.iter().map(|problem| problem.redacted(&secrets)).collect();
    diagnose::sort(&mut problems);
    problems.dedup();
    match experiment {
        Some(experiment) if problems.is_empty() => Ok(experiment),
        _ => Err(problems.into_iter().map(|problem| problem.of_flag(flags.duration.is_some())).collect()),
    }
}

struct Resolver<'a> {
    profile: &'a Document<Profile>,
    written: &'a Profile,
    /// How many times shorter all of it is, for a smoke run.
    smoke: Option<f64>,
    chaos: &'a Document<ChaosPlan>,
    plan: &'a ChaosPlan,
    flags: &'a Flags,
    guard: Guard<'a>,
    /// About the profile.
    notes: Notes,
    /// About the chaos plan.
    chaos_notes: Notes,
}

/// Names that steps capture, and how those that are not captured for sure.
type Captured = (BTreeSet<String>, BTreeMap<String, &'static str>);

/// The shapes with all that belongs to them.
struct Load {
    shapes: Vec<Shape>,
    outlines: Vec<ShapeOutline>,
    operations: Vec<OperationOutline>,
}

/// Objectives, abort rules and steady state.
struct Rules {
    /// The profile's.
    objectives: Vec<(Objective, Span)>,
    /// The chaos plan's.
    on_faults: Vec<(Objective, Span)>,
    abort: Vec<(Objective, Span)>,
    steady: Vec<(Objective, Span)>,
}

impl Rules {
    /// All objectives, the profile's first.
    fn all(&self) -> impl Iterator<Item = &Objective> {
        self.objectives.iter().chain(&self.on_faults).map(|(objective, _)| objective)
    }
}

impl Resolver<'_> {
    fn resolve(&mut self, chaos_name: Option<String>) -> Option<Experiment> {
        let duration = smoke::shorter(self.duration(), self.smoke.unwrap_or(1.0));
        let mut scope = self.scope();
        let setup = self.setup(&mut scope);
        let load = self.load(duration, &scope);
        let teardown = self.teardown(&scope);
        let data = data::resolve(&mut self.notes, &self.written.data);

        let place = self.place();
        let (links, services) = self.system(place.as_ref().map(|p| &p.place));
        let timeline = self.timeline(duration, &links, &services, place.is_none());
        self.triggers_have_names_of_their_own(&timeline, &load);
        let rules = self.rules(&timeline, &load, place.as_ref().map(|p| &p.place));
        let place = place?;
        if self.flags.virtual_time {
            let notes = (&mut self.notes, &mut self.chaos_notes);
            rehearsal::refuse(notes, self.plan, &place.place, &timeline, (&links, &services));
        }

        let mut secrets = self.profile.secrets.clone();
        secrets.extend(self.chaos.secrets.iter().chain(&place.secrets).cloned());
        let secrets = forms(secrets);
        let shown = place.shown.clone();
        let target = self.target(place, &scope, &rules);
        let outline = Outline {
            profile: self.profile.name.clone(),
            chaos: chaos_name,
            target: redact(&shown, &secrets),
            command: redact(&self.flags.command, &secrets),
            seed: self.flags.seed,
            virtual_time: self.flags.virtual_time,
            cell: CELL,
            duration,
            shapes: load.outlines,
            operations: load.operations,
            faults: timeline.iter().map(|p| p.shown(&secrets)).collect(),
            objectives: rules.all().cloned().collect(),
            abort: rules.abort.iter().map(|(rule, _)| rule.clone()).collect(),
            steady: rules.steady.iter().map(|(rule, _)| rule.clone()).collect(),
            judge: judge::settings(
                (&mut self.notes, &mut self.chaos_notes),
                (&self.written.judge, &self.plan.judge),
                self.smoke,
                duration,
                self.written.duration.as_ref().map_or(Span::default(), |d| d.span),
            ),
            smoke: self.smoke,
        };
        let around = Around { scope: &scope, links: &links, services: &services };
        let foresight = self.fits_in_time(&outline, &timeline, &rules, &load.shapes, around);
        let (faults, actions) = timeline.into_iter().map(|p| (p.fault, p.actions)).unzip();
        Some(Experiment {
            outline,
            target,
            shapes: load.shapes,
            data,
            setup,
            teardown,
            links,
            services,
            faults,
            actions,
            foresight,
            secrets,
        })
    }

    fn duration(&mut self) -> Micros {
        match self.flags.duration {
            Some(duration) if duration > Micros::ZERO => duration,
            Some(_) => {
                self.notes.flag("--duration must be longer than nothing", "write it like `--duration 90s`");
                CELL
            }
            None => match &self.written.duration {
                Some(written) => self.notes.positive(written, "the load"),
                None => {
                    self.missing("duration", "how long does the load last?", "add `duration: 90s`");
                    Micros::secs(3600)
                }
            },
        }
    }

    /// A top-level key that was not written at all.
    fn missing(&mut self, key: &str, message: &str, help: &str) {
        if self.profile.is_whole(key) {
            self.notes.add(Span::default(), message, help);
        }
    }

    fn place(&mut self) -> Option<system::Resolved> {
        let written = self.written.target.as_ref();
        if written.is_none() && self.flags.target.is_empty() {
            self.missing("target", "where do the requests go?", "add `target: sandbox`, or a URL");
            return None;
        }
        system::place(&mut self.notes, &self.guard, written, &self.flags.target, &self.flags.flaws)
    }

    /// What every template may speak of, setup's captures left out.
    fn scope(&self) -> Scope {
        Scope {
            names: ALWAYS.iter().map(|w| (*w).to_owned()).collect(),
            data: self.written.data.iter().map(|(name, _)| name.value.clone()).collect(),
            setup: BTreeSet::new(),
            unsure: BTreeMap::new(),
            incomplete: !["data", "setup", "shapes"].iter().all(|key| self.profile.has_all_names(key)),
        }
    }

    /// Steps that are not measured; gives back what is known of names behind them.
    fn aside(&mut self, steps: &[At<profile::Step>], scope: &Scope) -> (Vec<Step>, Captured) {
        let mut operations = Vec::new();
        let mut flow = Flow {
            notes: &mut self.notes,
            operations: &mut operations,
            part: Part::Aside,
            shape: 0,
            timeout: None,
            scope: scope.clone(),
            captured: BTreeSet::new(),
            in_group: false,
            whole: self.profile.is_whole("setup") && self.profile.is_whole("teardown"),
        };
        let (steps, _) = flow.steps(steps);
        (steps, (flow.captured, flow.scope.unsure))
    }

    fn setup(&mut self, scope: &mut Scope) -> Setup {
        let Some(written) = &self.written.setup else { return Setup::default() };
        let within = written.within.as_ref();
        let within = within.map_or(Micros::secs(60), |w| self.notes.positive(w, "setup"));
        let (steps, (captured, unsure)) = self.aside(&written.steps, scope);
        scope.setup = captured.into_iter().filter(|name| !unsure.contains_key(name)).collect();
        scope.unsure = unsure.into_iter().map(|(name, how)| (format!("setup.{name}"), how)).collect();
        Setup { steps, retries: written.retries.unwrap_or(3), within }
    }

    fn teardown(&mut self, scope: &Scope) -> Teardown {
        let Some(written) = &self.written.teardown else { return Teardown::default() };
        let within = written.within.as_ref();
        let within = within.map_or(Micros::secs(20), |w| self.notes.positive(w, "teardown"));
        Teardown { steps: self.aside(&written.steps, scope).0, within }
    }

    fn load(&mut self, duration: Micros, scope: &Scope) -> Load {
        let frame = shape::Frame {
            duration,
            cell: CELL,
            seed: self.flags.seed,
            scope,
            whole: self.profile.is_whole("shapes"),
            smoke: self.smoke.is_some(),
        };
        let mut load = Load { shapes: Vec::new(), outlines: Vec::new(), operations: Vec::new() };
        for (index, (name, written)) in self.written.shapes.iter().enumerate() {
            let (shape, outline) =
                shape::resolve(&mut self.notes, &frame, index, name, written, &mut load.operations);
            load.shapes.push(shape);
            load.outlines.push(outline);
        }
        if load.shapes.is_empty() && self.profile.is_whole("shapes") {
            let help = "add one: `shapes: {name: {arrival: {constant: {rate: 50/s}}, flow: [...]}}`";
            self.notes.add(Span::default(), "a profile without shapes sends nothing", help);
        }
        self.shapes_and_operations_differ(&load);
        tell_apart(&mut load.operations, &load.outlines);
        load
    }

    fn shapes_and_operations_differ(&mut self, load: &Load) {
        for (name, written) in self.written.shapes.iter() {
            let clash = load.operations.iter().any(|o| !o.flow && o.name == name.value);
            if clash {
                let message = format!("`{}` is a shape and an operation", name.value);
                self.notes.add(
                    name.span,
                    message,
                    "the flow as a whole goes by the shape's name: rename one",
                );
            }
            if written.trigger && PHASES.contains(&name.as_str()) {
                let message = format!("`{}` is the name of a phase", name.value);
                self.notes.add(name.span, message, "choose another name");
            }
        }
    }

    fn system(&mut self, place: Option<&Place>) -> (Vec<Link>, Vec<Service>) {
        let (mut links, mut services) = match place {
            Some(Place::Sandbox(options)) => system::sandbox_system(options),
            _ => (Vec::new(), Vec::new()),
        };
        system::links(&mut self.chaos_notes, &self.guard, self.plan, &mut links);
        system::services(&mut self.chaos_notes, &self.guard, self.plan, &mut services);
        (links, services)
    }

    fn timeline(
        &mut self,
        duration: Micros,
        links: &[Link],
        services: &[Service],
        no_place: bool,
    ) -> Vec<Planned> {
        let declared = |written: usize, known: usize| no_place || known < written;
        let system = System {
            links,
            services,
            links_incomplete: !self.chaos.has_all_names("links")
                || declared(self.plan.links.0.len(), links.len()),
            services_incomplete: !self.chaos.has_all_names("services")
                || declared(self.plan.services.0.len(), services.len()),
            timeline_whole: self.chaos.is_whole("timeline"),
            guard: &self.guard,
            duration,
        };
        let timeline = fault::timeline(&mut self.chaos_notes, self.plan, &system);
        check::overlaps(&mut self.chaos_notes, &timeline);
        check::comes_through(&mut self.chaos_notes, &timeline, links, self.smoke.is_some());
        timeline
    }

    fn triggers_have_names_of_their_own(&mut self, timeline: &[Planned], load: &Load) {
        for planned in timeline {
            let name = &planned.outline.trigger;
            if load.outlines.iter().any(|s| s.name == *name) {
                let message = format!("`{name}` is a shape of the profile already");
                self.chaos_notes.add(planned.span, message, "choose another name for the fault");
            }
        }
    }

    fn rules(&mut self, timeline: &[Planned], load: &Load, place: Option<&Place>) -> Rules {
        let shapes_known = self.profile.has_all_names("shapes");
        let operations = called(&load.operations);
        let mut triggers: BTreeSet<String> =
            self.plan.timeline.iter().map(|f| f.name.value.clone()).collect();
        triggers.extend(timeline.iter().map(|p| p.outline.trigger.clone()));
        triggers.extend(load.outlines.iter().filter(|s| s.trigger).map(|s| s.name.clone()));
        let triggers_known = shapes_known && self.chaos.has_all_names("timeline");
        let names = Names {
            operations: shapes_known.then(|| operations.into_iter().collect()),
            triggers: triggers_known.then(|| triggers.into_iter().collect()),
        };
        let no_metrics = self.written.metrics.is_none()
            && self.profile.is_whole("metrics")
            && matches!(place, Some(Place::Http(_)));
        let read = |notes: &mut Notes, written: &[At<String>]| -> Vec<(Objective, Span)> {
            let mut out = Vec::new();
            for at in written {
                let Some(objective) = notes.expression(at, &names) else { continue };
                if let (Metric::Target { name, .. }, true) = (&objective.metric, no_metrics) {
                    let message = format!("nothing reads the target's metric `{name}`");
                    notes.add(
                        at.span,
                        message,
                        "say where it is: `metrics: {path: /metrics}` in the profile",
                    );
                }
                out.push((objective, at.span));
            }
            out
        };
        let live = |notes: &mut Notes, written: &[At<String>]| {
            let rules = read(notes, written);
            rules.iter().for_each(|(objective, span)| seen_live(notes, objective, *span));
            rules
        };
        Rules {
            objectives: read(&mut self.notes, &self.written.objectives),
            on_faults: read(&mut self.chaos_notes, &self.plan.objectives),
            abort: live(&mut self.chaos_notes, &self.plan.abort),
            steady: live(&mut self.chaos_notes, &self.plan.steady),
        }
    }

    fn target(&mut self, place: system::Resolved, scope: &Scope, rules: &Rules) -> Target {
        let mut keep: Vec<String> = rules
            .all()
            .chain(rules.abort.iter().chain(&rules.steady).map(|(rule, _)| rule))
            .filter_map(|o| match &o.metric {
                Metric::Target { name, .. } => Some(name.clone()),
                _ => None,
            })
            .collect();
        keep.sort();
        keep.dedup();
        system::target(&mut self.notes, self.written, place, scope, keep)
    }
}

/// Outage and recovery are known when the run is over: no rule that is watched can speak of them.
fn seen_live(notes: &mut Notes, objective: &Objective, span: Span) {
    if matches!(objective.metric, Metric::Outage | Metric::Recovery) {
        let message = format!("`{}` is not known while the run goes on", objective.metric);
        notes.add(span, message, "make it an objective, or watch `errors` or a quantile");
    }
}

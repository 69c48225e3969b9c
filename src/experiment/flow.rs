//! Steps as written to steps that can be taken: kinds, names, deadlines, and what is captured on the way.

use std::collections::BTreeSet;

use crate::diagnose::{Span, one_of, suggest};
use crate::experiment::notes::{Notes, is_name};
use crate::experiment::{If, Step, Think};
use crate::outline::OperationOutline;
use crate::profile;
use crate::sample::OpId;
use crate::template::{self, Scope};
use crate::units::Micros;
use crate::yaml::{At, Entries};

/// The deadline of an attempt without a timeout (VERDICTS.md 2).
pub const NO_TIMEOUT: Micros = Micros::secs(30);

pub(super) const METHODS: [&str; 7] = ["get", "post", "put", "patch", "delete", "head", "options"];
const KINDS: [&str; 14] = [
    "get", "post", "put", "patch", "delete", "head", "options", "method", "think", "repeat", "choice",
    "for_each", "group", "if",
];
/// Names that templates have without any capture.
const TAKEN: [&str; 6] = ["user", "i", "run", "data", "setup", "hex"];

/// Where steps stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Load,
    /// Setup and teardown: nothing is measured.
    Aside,
}

/// Turns the steps of one flow into the resolved ones.
pub(super) struct Flow<'a> {
    pub notes: &'a mut Notes,
    pub operations: &'a mut Vec<OperationOutline>,
    pub part: Part,
    /// Index of the shape; of no meaning aside.
    pub shape: usize,
    pub timeout: Option<Micros>,
    pub scope: Scope,
    /// Names that were captured so far.
    pub captured: BTreeSet<String>,
    pub in_group: bool,
    /// Nothing was cut out of these steps: what is not there was not written.
    pub whole: bool,
}

/// Resolved steps and the longest time that they may take, by their deadlines.
type Steps = (Vec<Step>, Micros);

impl Flow<'_> {
    pub fn steps(&mut self, steps: &[At<profile::Step>]) -> Steps {
        let (mut out, mut longest) = (Vec::new(), Micros::ZERO);
        for step in steps {
            if let Some((step, deadline)) = self.step(step) {
                out.push(step);
                longest += deadline;
            }
        }
        (out, longest)
    }

    fn step(&mut self, step: &At<profile::Step>) -> Option<(Step, Micros)> {
        let kinds = kinds(step);
        match kinds.as_slice() {
            [] if !self.whole => return None,
            [] => {
                let help = format!("it is {}", one_of(&KINDS));
                self.notes.add(step.span, "this step does nothing", help);
                return None;
            }
            [(kind, _)] => self.stray_keys(step, kind),
            [(first, _), (second, span), ..] => {
                let message = format!("a step is one thing, not `{first}` and `{second}`");
                self.notes.add(*span, message, "make two steps of it");
                return None;
            }
        }
        if let Some(think) = &step.think {
            return Some((Step::Think(Think { least: think.least, most: think.most }), Micros::ZERO));
        }
        if let Some(repeat) = &step.repeat {
            return Some(self.repeat(repeat));
        }
        if let Some(choice) = &step.choice {
            return Some(self.choice(choice));
        }
        if let Some(for_each) = &step.for_each {
            return Some(self.for_each(for_each));
        }
        if let Some(condition) = &step.condition {
            return Some(self.either(step, condition));
        }
        match &step.group {
            Some(group) => self.group(group),
            None => self.request(step),
        }
    }

    /// Keys of requests on a step that is none, and `path` without `method`.
    fn stray_keys(&mut self, step: &profile::Step, kind: &str) {
        let ways = [("then", &step.then), ("else", &step.otherwise)];
        for (key, at) in ways.into_iter().filter_map(|(key, at)| Some((key, at.as_ref()?))) {
            if kind != "if" {
                let message = format!("`{key}` goes with `if`, this step is `{kind}`");
                self.notes.add(at.span, message, "move it to a step with `if: \"{{ ... }}\"`");
            }
        }
        let request = METHODS.contains(&kind) || kind == "method";
        for (key, span) in request_keys(step) {
            if !request {
                let message = format!("`{key}` belongs to requests, this step is `{kind}`");
                self.notes.add(span, message, "move it to a step with `get`, `post` or another method");
            } else if key == "path" && kind != "method" {
                let help = format!("write the path after `{kind}:`");
                self.notes.add(span, format!("`path` goes with `method`, this step has `{kind}`"), help);
            }
        }
    }

    fn repeat(&mut self, repeat: &At<profile::Repeat>) -> (Step, Micros) {
        let times = *repeat.times;
        if times == 0 {
            self.notes.add(repeat.times.span, "repeated 0 times is not at all", "write 1 or more");
        }
        let parallel = repeat.parallel.as_ref().map_or(1, |p| p.value);
        if let Some(at) = &repeat.parallel {
            if self.part == Part::Load {
                let help = "leave it out; for more load at once raise the arrival's rate";
                self.notes.add(at.span, "`parallel` is for setup and teardown only", help);
            } else if parallel == 0 {
                self.notes.add(at.span, "0 at a time is none", "write 1 or more");
            }
        }
        // Setup's iterations have variables of their own where several go on at a time.
        let apart = (parallel > 1).then_some("in a step that is repeated in `parallel`");
        let (steps, longest) = self.perhaps(&repeat.steps, apart);
        (Step::Repeat { times, parallel: parallel.max(1), steps }, longest * times.min(1 << 30) as i64)
    }

    fn choice(&mut self, branches: &At<Vec<profile::Choice>>) -> (Step, Micros) {
        if branches.is_empty() {
            self.notes.add(
                branches.span,
                "a choice of nothing",
                "write `choice: [{weight: 1, steps: [...]}]`",
            );
        }
        let (mut out, mut longest) = (Vec::new(), Micros::ZERO);
        let (before, mut always) = (self.known(), None::<BTreeSet<String>>);
        for branch in &branches.value {
            let weight = branch.weight.as_ref().map_or(1.0, |w| w.value);
            if let Some(at) = branch.weight.as_ref().filter(|_| !(weight > 0.0 && weight.is_finite())) {
                self.notes.add(at.span, "a weight must be above 0", "write it like `weight: 3`");
            }
            let (steps, deadline) = self.steps(&branch.steps);
            longest = longest.max(deadline);
            out.push((weight, steps));
            let captured = self.forget(&before, "in one branch of a `choice`");
            always =
                Some(always.map_or(captured.clone(), |all| all.intersection(&captured).cloned().collect()));
        }
        always.unwrap_or_default().into_iter().for_each(|name| self.learn(name));
        (Step::Choice(out), longest)
    }

    /// What only one of the two ways captures is not always there.
    fn either(&mut self, step: &At<profile::Step>, condition: &At<String>) -> (Step, Micros) {
        let expression = template::lone_expression(condition).map(str::to_owned);
        self.notes.template(condition.span, condition, &self.scope);
        if expression.is_none() {
            let help = "write it like `if: \"{{ size | int > 10 }}\"`";
            self.notes.add(condition.span, "`if` takes one expression in `{{ }}`", help);
        }
        if step.then.as_ref().is_none_or(|steps| steps.is_empty()) && self.whole {
            self.notes.add(condition.span, "an `if` without steps does nothing", "add `then: [...]`");
        }
        let before = self.known();
        let mut way = |steps: &Option<At<Vec<At<profile::Step>>>>| {
            let steps = self.steps(steps.as_ref().map_or(&[], |at| &at.value));
            (steps, self.forget(&before, "in one way of an `if`"))
        };
        let ((then, long), captured) = way(&step.then);
        let ((otherwise, longer), also) = way(&step.otherwise);
        captured.intersection(&also).for_each(|name| self.learn(name.clone()));
        let place = self.notes.line_of(step.span);
        let condition = template::with_numbers(&template::source(&expression.unwrap_or_default()));
        (Step::If(Box::new(If { place, condition, then, otherwise })), long.max(longer))
    }

    fn for_each(&mut self, each: &At<profile::ForEach>) -> (Step, Micros) {
        let list = &each.list;
        if let Some(how) = self.scope.unsure.get(list.as_str()) {
            let message = format!("`{}` is captured only {how}, and not always there", list.value);
            self.notes.add(list.span, message, "capture it before, or go through it there");
        } else if !self.captured.contains(list.as_str()) && !self.scope.incomplete {
            let message = format!("no step before this one captures `{}`", list.value);
            let help = if list.starts_with("setup.") {
                format!(
                    "of a list of setup a flow takes its own: `{{{{ {0}[i % ({0} | length)] }}}}`",
                    list.value
                )
            } else if self.captured.is_empty() {
                format!("capture it first: `capture: {{{}: {{all: \"$.rooms[*].name\"}}}}`", list.value)
            } else {
                suggest(list, &self.captured)
            };
            self.notes.add(list.span, message, help);
        }
        self.name_is_free(&each.name);
        self.scope.names.insert(each.name.value.clone());
        let (steps, longest) =
            self.perhaps(&each.steps, Some("inside of a `for_each`, whose list may be empty"));
        self.scope.names.remove(&each.name.value);
        (Step::ForEach { list: list.value.clone(), name: each.name.value.clone(), steps }, longest)
    }

    /// Steps that are perhaps not taken, or not for all that comes later: how, if so.
    fn perhaps(&mut self, steps: &[At<profile::Step>], how: Option<&'static str>) -> Steps {
        let before = self.known();
        let steps = self.steps(steps);
        how.map(|how| self.forget(&before, how));
        steps
    }

    /// What is captured for sure.
    fn known(&self) -> BTreeSet<String> {
        self.captured.iter().filter(|name| !self.scope.unsure.contains_key(*name)).cloned().collect()
    }

    pub(super) fn learn(&mut self, name: String) {
        self.scope.unsure.remove(&name);
        self.scope.names.insert(name.clone());
        self.captured.insert(name);
    }

    /// What was captured since then is not sure any more; gives it back.
    fn forget(&mut self, before: &BTreeSet<String>, how: &'static str) -> BTreeSet<String> {
        let new: BTreeSet<String> = self.known().difference(before).cloned().collect();
        self.scope.unsure.extend(new.iter().map(|name| (name.clone(), how)));
        new
    }

    fn group(&mut self, group: &At<profile::Group>) -> Option<(Step, Micros)> {
        if self.part == Part::Aside {
            let help = "nothing is measured here: write its steps as they are";
            self.notes.add(group.span, "a group is an operation, and here are none", help);
            return None;
        }
        if self.in_group {
            self.notes.add(group.span, "a group inside a group", "one operation has no others inside");
            return None;
        }
        let op = self.operation(&group.name.value, Some(group.name.span), Micros::ZERO);
        self.in_group = true;
        let (steps, longest) = self.steps(&group.steps);
        self.in_group = false;
        let outline = &mut self.operations[usize::from(op.0)];
        outline.deadline = outline.deadline.max(longest);
        Some((Step::Group { op, steps }, longest))
    }

    /// The operation of this name in this shape; steps may share one.
    pub(super) fn operation(&mut self, name: &str, span: Option<Span>, deadline: Micros) -> OpId {
        if let Some(span) = span {
            self.notes.name(span, name, "an operation");
        }
        let shape = self.shape;
        let here = self.operations.iter().position(|o| o.shape == shape && !o.flow && o.name == name);
        let index = here.unwrap_or_else(|| {
            let (name, deadline) = (name.to_owned(), Micros::ZERO);
            self.operations.push(OperationOutline { name, shape, deadline, flow: false, written: None });
            self.operations.len() - 1
        });
        let outline = &mut self.operations[index];
        outline.deadline = outline.deadline.max(deadline);
        OpId(index as u16)
    }

    pub(super) fn name_is_free(&mut self, name: &At<String>) {
        let good = is_name(name) && !name.contains(['-', '.']);
        if !good {
            let help = "use letters from a to z, digits and `_`";
            self.notes.add(name.span, format!("`{}` is no name for a variable", name.value), help);
        } else if TAKEN.contains(&name.as_str()) {
            let message = format!("`{}` has a meaning of its own in templates", name.value);
            self.notes.add(name.span, message, "choose another name");
        }
    }
}

/// The kinds that a step claims to be, with their places.
fn kinds(step: &profile::Step) -> Vec<(&'static str, Span)> {
    let texts = [
        &step.get,
        &step.post,
        &step.put,
        &step.patch,
        &step.delete,
        &step.head,
        &step.options,
        &step.method,
    ];
    let mut found: Vec<(&'static str, Span)> =
        KINDS.iter().zip(texts).filter_map(|(kind, at)| Some((*kind, at.as_ref()?.span))).collect();
    found.extend(step.think.as_ref().map(|at| ("think", at.span)));
    found.extend(step.repeat.as_ref().map(|at| ("repeat", at.span)));
    found.extend(step.choice.as_ref().map(|at| ("choice", at.span)));
    found.extend(step.for_each.as_ref().map(|at| ("for_each", at.span)));
    found.extend(step.group.as_ref().map(|at| ("group", at.span)));
    found.extend(step.condition.as_ref().map(|at| ("if", at.span)));
    found
}

/// Keys that only requests have, with their places.
fn request_keys(step: &profile::Step) -> Vec<(&'static str, Span)> {
    let first = |entries: &Entries<At<String>>| entries.0.first().map(|(key, _)| key.span);
    let keys = [
        ("path", step.path.as_ref().map(|at| at.span)),
        ("as", step.name.as_ref().map(|at| at.span)),
        ("query", first(&step.query)),
        ("headers", first(&step.headers)),
        ("json", step.json.as_ref().map(|at| at.span)),
        ("form", step.form.as_ref().and_then(first)),
        ("body", step.body.as_ref().map(|at| at.span)),
        ("capture", step.capture.0.first().map(|(key, _)| key.span)),
        ("items", step.items.as_ref().map(|at| at.span)),
        ("timeout", step.timeout.as_ref().map(|at| at.span)),
    ];
    keys.into_iter().filter_map(|(key, span)| Some((key, span?))).collect()
}

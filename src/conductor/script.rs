//! Setup and teardown: steps that run once, unmeasured, with retries; not part of the load.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use minijinja::Value;
use tokio::task::coop::consume_budget;

use super::exchange;
use crate::client::{
    Budget, Ending, Pool, Program, Request, RunFacts, Step, Tokens, Vars, attempt, read_answer,
};
use crate::engine::common;
use crate::experiment::{Experiment, HttpTarget, Step as Written};
use crate::redact::redact;
use crate::sample::Kind;
use crate::units::{Micros, cut, grouped};
use crate::world::{Programs, World};

/// One request's time limit where the step sets none.
const TIMEOUT: Micros = Micros::secs(10);
/// Before the first retry; doubled for each further one.
const BACK_OFF: Micros = Micros::millis(100);
/// Characters of a request line and of a detail that a message shows.
const SHOWN: usize = 300;
/// What could not be done is told of so many requests, the last of them a count.
const TOLD: usize = 100;
/// Scripts draw from a stream that no shape has.
const SCRIPT_SHAPE: u32 = u32::MAX;

/// A script made ready to run.
pub struct Script {
    world: World,
    program: Program,
    pool: Pool,
    tokens: Tokens,
    secrets: Vec<String>,
    facts: Arc<RunFacts>,
    retries: u32,
    deadline: Micros,
    /// Failed requests are noted and the script goes on.
    keep_going: bool,
    /// Of which shape the values are drawn.
    shape: u32,
    /// A request's time limit where the step sets none.
    timeout: Micros,
    /// Who is shown what goes to and fro.
    show: Option<Show>,
    answered: Cell<bool>,
    /// Steps of the first level that are done.
    done: Cell<usize>,
    pub requests: Cell<u64>,
    pub retried: Cell<u64>,
    /// What failed, where the script keeps going.
    pub left: RefCell<Vec<String>>,
    /// How many those are.
    failed: Cell<u64>,
    pub captured: RefCell<BTreeMap<String, Value>>,
}

/// Why a script ended early.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    #[error("{0}")]
    NeverAnswered(String),
    #[error("{0}")]
    Failed(String),
    /// A request could not be made: the profile's own mistake.
    #[error("{0}")]
    Unsent(String),
}

/// Why a request came to nothing.
enum Why {
    /// It could not be made.
    Own(String),
    Target(String),
}

/// Takes lines for people.
pub type Show = Rc<dyn Fn(&str)>;

type Steps<'a> = Pin<Box<dyn Future<Output = Result<(), ScriptError>> + 'a>>;

impl Script {
    /// `within` from now; `retries` per request.
    pub fn new(
        world: &World,
        experiment: &Experiment,
        target: &HttpTarget,
        facts: Arc<RunFacts>,
        steps: &[Written],
        limits: (u32, Micros),
        keep_going: bool,
    ) -> Result<Script, String> {
        Ok(Script {
            world: world.clone(),
            program: Program::compile(&common(experiment, target), steps)?,
            pool: Pool::new(
                world.clone(),
                &target.addresses,
                None,
                &Budget::of_shard(world, 1, Programs::of(experiment)),
            ),
            tokens: Tokens::new(experiment.target.auth.as_ref(), true)?,
            secrets: experiment.secrets.clone(),
            facts,
            retries: limits.0,
            deadline: world.now() + limits.1,
            keep_going,
            shape: SCRIPT_SHAPE,
            timeout: TIMEOUT,
            show: None,
            answered: Cell::new(false),
            done: Cell::new(0),
            requests: Cell::new(0),
            retried: Cell::new(0),
            left: RefCell::default(),
            failed: Cell::new(0),
            captured: RefCell::default(),
        })
    }

    /// Everything that is sent and received is shown, redacted.
    pub fn shown(self, show: &Show) -> Script {
        Script { show: Some(show.clone()), ..self }
    }

    /// The steps are a flow's: they draw what its first arrival draws.
    pub fn of_shape(self, shape: usize, timeout: Micros) -> Script {
        Script { shape: shape as u32, timeout, ..self }
    }

    /// Runs all steps. What those have captured that are done is there whatever becomes of the others.
    pub async fn run(self: &Rc<Script>) -> Result<(), ScriptError> {
        let mut vars = Arc::new(Vars::new(self.facts.clone(), self.shape, 0, 0));
        for step in &self.program.steps {
            let result = self.steps(std::slice::from_ref(step), &mut vars).await;
            *self.captured.borrow_mut() = vars.own.clone();
            result?;
            self.done.set(self.done.get() + 1);
        }
        Ok(())
    }

    /// The steps that are not done, in words; none if all are.
    pub fn undone(&self) -> Option<String> {
        let mut own = Vars::new(self.facts.clone(), SCRIPT_SHAPE, 0, 0);
        own.own.clone_from(&self.captured.borrow());
        let vars = Arc::new(own);
        let words = |step: &Step| match step {
            Step::Request(request) => {
                format!("{} {}", request.method, self.program.path_of(request, &vars))
            }
            Step::Repeat { times, .. } => format!("a step repeated {times} times"),
            Step::ForEach { list, .. } => format!("a step for each of `{list}`"),
            Step::Think(_) | Step::Choice(_) | Step::Group { .. } | Step::If(_) => "a step".to_owned(),
        };
        let steps: Vec<String> = self.program.steps.iter().skip(self.done.get()).map(words).collect();
        (!steps.is_empty()).then(|| redact(&steps.join(", "), &self.secrets))
    }

    fn steps<'a>(self: &'a Rc<Script>, steps: &'a [Step], vars: &'a mut Arc<Vars>) -> Steps<'a> {
        Box::pin(async move {
            for step in steps {
                // Steps that wait for nothing must not keep a stop from being heard.
                consume_budget().await;
                match step {
                    Step::Request(request) => self.request(request, vars).await?,
                    Step::Think(think) => self.world.sleep(think.least).await,
                    Step::Repeat { times, parallel, steps, .. } => {
                        self.repeat(*times, *parallel, steps, vars).await?;
                    }
                    Step::Choice(branches) => {
                        if let Some((_, steps)) = branches.first() {
                            self.steps(steps, vars).await?;
                        }
                    }
                    Step::ForEach { list, name, steps, .. } => self.for_each(list, name, steps, vars).await?,
                    Step::Group { steps, .. } => self.steps(steps, vars).await?,
                    Step::If(either) => match self.program.way(either, vars) {
                        Ok(steps) => self.steps(steps, vars).await?,
                        Err(why) if self.keep_going => {
                            self.leave(format!("{}: {why}", either.place));
                        }
                        Err(why) => return Err(ScriptError::Unsent(format!("{}: {why}", either.place))),
                    },
                }
            }
            Ok(())
        })
    }

    /// `parallel` workers take the iterations in order; `i` is the iteration. What one iteration after the other
    /// captures stays; what several at a time do is each one's own.
    async fn repeat(
        self: &Rc<Script>,
        times: u64,
        parallel: u32,
        steps: &[Step],
        vars: &mut Arc<Vars>,
    ) -> Result<(), ScriptError> {
        if parallel <= 1 {
            let outside = vars.index;
            for index in 0..times {
                Arc::make_mut(vars).index = index;
                self.steps(steps, vars).await?;
            }
            Arc::make_mut(vars).index = outside;
            return Ok(());
        }
        let (next, vars) = (Cell::new(0), &*vars);
        let worker = || async {
            loop {
                let index = next.replace(next.get() + 1);
                if index >= times {
                    return Ok(());
                }
                let mut own = (**vars).clone();
                own.index = index;
                self.steps(steps, &mut Arc::new(own)).await?;
            }
        };
        all((0..parallel.max(1)).map(|_| worker()).collect()).await
    }

    async fn for_each(
        self: &Rc<Script>,
        list: &str,
        name: &str,
        steps: &[Step],
        vars: &mut Arc<Vars>,
    ) -> Result<(), ScriptError> {
        let listed = vars.own.get(list).and_then(|value| value.try_iter().ok());
        let elements: Vec<Value> = listed.map(Iterator::collect).unwrap_or_default();
        for element in elements {
            Arc::make_mut(vars).own.insert(name.to_owned(), element);
            self.steps(steps, vars).await?;
        }
        Ok(())
    }

    async fn request(&self, request: &Request, vars: &mut Arc<Vars>) -> Result<(), ScriptError> {
        let mut pause = BACK_OFF;
        let mut failed = String::new();
        for tried in 0..=self.retries {
            if tried > 0 {
                self.retried.set(self.retried.get() + 1);
                self.world.sleep(pause).await;
                pause = pause * 2;
            }
            if self.world.now() >= self.deadline {
                failed = format!("out of time{}", if failed.is_empty() { "" } else { " after failures" });
                break;
            }
            match self.once(request, vars).await {
                Ok(()) => return Ok(()),
                Err(Why::Own(why)) if !self.keep_going => return Err(ScriptError::Unsent(why)),
                Err(Why::Own(why)) => {
                    failed = why;
                    break;
                }
                Err(Why::Target(why)) => failed = why,
            }
        }
        let line = format!("{} {}", request.method, self.program.path_of(request, vars));
        let line = cut(&redact(&line, &self.secrets), SHOWN);
        if self.keep_going {
            self.leave(format!("{line}: {failed}"));
            return Ok(());
        }
        let sentence = format!("{line}: {failed}");
        Err(if self.answered.get() {
            ScriptError::Failed(sentence)
        } else {
            ScriptError::NeverAnswered(sentence)
        })
    }

    /// What could not be done is told, up to a number of requests.
    fn leave(&self, what: String) {
        self.failed.set(self.failed.get() + 1);
        let mut left = self.left.borrow_mut();
        if left.len() < TOLD {
            left.push(what);
        } else if let Some(last) = left.last_mut() {
            *last = format!("and {} more", grouped(self.failed.get() + 1 - TOLD as u64));
        }
    }

    async fn once(&self, request: &Request, vars: &mut Arc<Vars>) -> Result<(), Why> {
        self.requests.set(self.requests.get() + 1);
        let auth = self.tokens.header(vars, self.world.wall());
        let at = vars.clone();
        let render = || self.program.render(request, &at, auth.clone()?.as_ref());
        let (rendered, again) = (render(), || render().ok());
        let own = |why: &str| Why::Own(format!("{}: {}", request.place, redact(why, &self.secrets)));
        let rendered = rendered.map_err(|why| own(&why))?;
        let now = self.world.now();
        let timeout =
            request.timeout.unwrap_or(self.timeout).min((self.deadline - now).max(Micros::MILLISECOND));
        let whole = request.asked.needs_body() || self.show.is_some();
        if let Some(show) = &self.show {
            show(&exchange::sent(&rendered, &self.secrets).await);
        }
        let attempt =
            attempt(&self.world, (&self.pool, 0), rendered, &again, now, Some(timeout), whole).await;
        let answer = match attempt.ending {
            Ending::Failed { detail, .. } => return Err(Why::Target(detail)),
            Ending::Answer(answer) => answer,
        };
        if let Some(show) = &self.show {
            show(&exchange::received(&answer, attempt.done - now, &self.secrets));
        }
        self.answered.set(true);
        let finding = read_answer(&self.world, &self.program, request, vars, &answer, false).await;
        if finding.kind == Kind::Template {
            return Err(own(&finding.detail));
        }
        if finding.kind != Kind::Ok {
            let excerpt = String::from_utf8_lossy(&answer.body[..answer.body.len().min(200)]);
            let excerpt = redact(&excerpt, &self.secrets).split_whitespace().collect::<Vec<_>>().join(" ");
            let detail = cut(&redact(&finding.detail, &self.secrets), SHOWN);
            return Err(Why::Target(format!("{detail} ({excerpt})")));
        }
        for captured in finding.captured {
            if let Some(show) = &self.show {
                let from = request.asked.captures.iter().find(|c| c.name == captured.name).map(|c| &c.from);
                show(&exchange::captured(&captured.name, from, &captured.value, &self.secrets));
            }
            Arc::make_mut(vars).learn(captured);
        }
        Ok(())
    }
}

/// Drives several futures of one task to their ends; the first error ends all.
async fn all<F: Future<Output = Result<(), ScriptError>>>(futures: Vec<F>) -> Result<(), ScriptError> {
    let mut futures: Vec<Option<Pin<Box<F>>>> = futures.into_iter().map(|f| Some(Box::pin(f))).collect();
    std::future::poll_fn(|cx| {
        let mut pending = false;
        for slot in &mut futures {
            let Some(future) = slot else { continue };
            match future.as_mut().poll(cx) {
                std::task::Poll::Ready(Ok(())) => *slot = None,
                std::task::Poll::Ready(Err(error)) => return std::task::Poll::Ready(Err(error)),
                std::task::Poll::Pending => pending = true,
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(Ok(())) }
    })
    .await
}

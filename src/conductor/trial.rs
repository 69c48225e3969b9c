//! A trial: setup, one flow of each shape, teardown, each once; everything shown and nothing judged.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::script::{Script, ScriptError, Show};
use super::{Failure, Files, System, scrape};
use crate::client::{RunFacts, Shelf};
use crate::experiment::{Experiment, NO_TIMEOUT, Step};
use crate::recorder::Recorder;
use crate::redact::redact;
use crate::units::Micros;
use crate::world::World;

/// How long one flow may take.
const WITHIN: Micros = Micros::secs(600);

/// Tries it and gives back whether every flow came to its end. `run` is an id; `asked` returns each time that somebody
/// asks to stop: at first the flows, then teardown.
///
/// # Errors
/// What is needed did not start, or setup failed.
pub async fn trial(
    world: World,
    experiment: &Experiment,
    files: Option<&Files>,
    run: String,
    show: &Show,
    mut asked: impl AsyncFnMut(),
) -> Result<bool, Failure> {
    let recorder = Recorder::new(world.clone(), Box::new(std::io::sink()));
    let system = System::start(&world, experiment, &recorder, files, &mut asked).await?;
    let facts = RunFacts {
        seed: experiment.outline.seed,
        run,
        data: experiment.data.clone(),
        setup: Default::default(),
        room: Shelf::of_run(),
    };
    let trial = Trial { world, experiment, system, show, facts: RefCell::new(facts) };
    let result = tokio::select! {
        biased;
        () = asked() => Err(Failure::Interrupted("stopped".to_owned())),
        result = trial.flows() => result,
    };
    if matches!(result, Ok(false)) {
        trial.tell_of_the_ended().await;
    }
    let torn_down = tokio::select! {
        biased;
        () = asked() => Err(Failure::Interrupted("stopped during teardown, which was not done".to_owned())),
        result = trial.teardown() => result,
    };
    trial.system.stop(asked()).await;
    // What cut teardown short outranks what stopped the flows before it.
    let torn_down = torn_down?;
    Ok(result? & torn_down)
}

struct Trial<'t> {
    world: World,
    experiment: &'t Experiment,
    system: System,
    show: &'t Show,
    /// With what setup captured.
    facts: RefCell<RunFacts>,
}

impl Trial<'_> {
    /// Setup, and if it went well the flows; whether all came to their ends.
    async fn flows(&self) -> Result<bool, Failure> {
        let setup = &self.experiment.setup;
        let script = self.script("setup", &setup.steps, setup.within)?;
        let script = Rc::new(script);
        let ended = script.run().await;
        self.facts.borrow_mut().setup = script.captured.take();
        if !self.told(ended) {
            return Ok(false);
        }
        let mut well = true;
        for (index, shape) in self.experiment.shapes.iter().enumerate() {
            let script = self.script(&shape.name, &shape.flow, WITHIN)?;
            let script = script.of_shape(index, shape.timeout.unwrap_or(NO_TIMEOUT));
            well = self.told(Rc::new(script).run().await) && well;
        }
        self.show_metrics().await;
        Ok(well)
    }

    /// What there is of the metrics that objectives use, now that something was asked for.
    async fn show_metrics(&self) {
        let Some(metrics) = &self.experiment.target.metrics else { return };
        if metrics.keep.is_empty() {
            return;
        }
        (self.show)("\nmetrics");
        for line in scrape::look(&self.world, &self.system.target, metrics).await {
            (self.show)(&redact(&line, &self.experiment.secrets));
        }
    }

    async fn teardown(&self) -> Result<bool, Failure> {
        let teardown = &self.experiment.teardown;
        let script = self.script("teardown", &teardown.steps, teardown.within)?;
        Ok(self.told(Rc::new(script).run().await))
    }

    /// What a service that ended by itself leaves to be seen is a connection that is closed or refused.
    async fn tell_of_the_ended(&self) {
        for (name, service) in self.system.reach.services.iter() {
            if let Some(how) = service.own_end().await {
                let text =
                    redact(&format!("service `{name}` ended by itself ({how})"), &self.experiment.secrets);
                (self.show)(&format!("! {text}"));
            }
        }
    }

    fn script(&self, heading: &str, steps: &[Step], within: Micros) -> Result<Script, Failure> {
        if !steps.is_empty() {
            (self.show)(&format!("\n{heading}"));
        }
        let (target, facts) = (&self.system.target, Arc::new(self.facts.borrow().clone()));
        let script = Script::new(&self.world, self.experiment, target, facts, steps, (0, within), false);
        script.map(|script| script.shown(self.show)).map_err(Failure::Configuration)
    }

    /// Tells why it ended early; whether it did not.
    fn told(&self, ended: Result<(), ScriptError>) -> bool {
        if let Err(error) = &ended {
            let text = redact(&error.to_string(), &self.experiment.secrets);
            (self.show)(&format!("! it ends here: {text}"));
        }
        ended.is_ok()
    }
}

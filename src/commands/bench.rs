//! Hidden commands of `make bench`: a plain keep-alive server, and the engine alone against one URL.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use tokio::sync::{mpsc, watch};

use super::documents::lookup;
use super::print::{error, out};
use crate::chaos_plan;
use crate::cli;
use crate::client::{RunFacts, Shelf};
use crate::engine::{self, Batch, Load, Share};
use crate::exit;
use crate::experiment::{Experiment, Flags, resolve};
use crate::histogram::Hist;
use crate::http;
use crate::profile;
use crate::record::Record;
use crate::units::Micros;
use crate::world::{Origin, run_real};

/// Between making ready and the first request.
const HEAD_START: Micros = Micros::millis(100);

/// Answers every request with 200 and 13 bytes, until it is ended.
pub fn server(listen: SocketAddr) -> u8 {
    let served = run_real(Origin::now(), |world| async move {
        let listener = world.listen(listen).await?;
        let answer = |_| async { ::http::Response::new(Full::new(Bytes::from_static(b"Hello, world!"))) };
        http::serve(world, listener, answer).await;
        Ok::<_, std::io::Error>(())
    });
    match served {
        Ok(()) => 0,
        Err(cause) => {
            error(&format!("error: cannot listen on {listen}: {cause}"));
            exit::RUNTIME_ERROR
        }
    }
}

/// Runs one shard of the real engine and prints what it counted, as JSON.
pub fn client(args: &cli::BenchClient) -> u8 {
    match measure(args) {
        Ok(line) => {
            out(&format!("{line}\n"));
            0
        }
        Err(why) => {
            error(why.trim_end());
            exit::BAD_CONFIGURATION
        }
    }
}

fn measure(args: &cli::BenchClient) -> Result<serde_json::Value, String> {
    let experiment = Arc::new(experiment(args)?);
    let crate::experiment::Place::Http(target) = experiment.target.place.clone() else {
        return Err("error: the bench needs a URL".to_owned());
    };
    let origin = Origin::now();
    let (tell, mut told) = mpsc::unbounded_channel();
    let (_keep, stop) = watch::channel(false);
    let (run, room) = ("bench".to_owned(), Shelf::of_run());
    let facts = RunFacts { seed: 1, run, data: Vec::new(), setup: BTreeMap::new(), room };
    let load = Load {
        experiment,
        target,
        facts: Arc::new(facts),
        share: Share { shard: 0, shards: 1 },
        stop,
        records: tell,
    };
    run_real(origin, |world| {
        let zero = world.now() + HEAD_START;
        engine::run(world.rebased(zero), load)
    });
    let (mut requests, mut bad, mut lag) = (0, 0, Hist::default());
    while let Ok(batch) = told.try_recv() {
        let records = match batch {
            Batch::Records(records) => records,
            Batch::Failed(why) => return Err(format!("error: {why}")),
            Batch::Ended => break,
        };
        for record in records {
            if let Record::Done(done) = record
                && usize::from(done.op.0) == OPERATION
            {
                requests += done.n;
                bad += if done.kind.is_good() { 0 } else { done.n };
                lag.merge(&done.lag);
            }
        }
    }
    let micros = |q| lag.quantile(q).map_or(0, |at| at.0);
    Ok(serde_json::json!({
        "requests": requests, "bad": bad, "lag_p50_us": micros(0.5), "lag_p99_us": micros(0.99),
    }))
}

/// The request's operation; the flow has an entry of its own.
const OPERATION: usize = 0;

fn experiment(args: &cli::BenchClient) -> Result<Experiment, String> {
    let arrival = match (args.connections, args.rate) {
        (Some(users), _) => format!("{{closed: {{users: {users}}}}}"),
        (None, Some(rate)) => format!("{{constant: {{rate: {rate}/s}}}}"),
        (None, None) => return Err("error: give --connections or --rate".to_owned()),
    };
    let text = format!(
        "target: {}\nduration: {}\nshapes:\n  bench:\n    arrival: {arrival}\n    timeout: 5s\n    probes: false\n    flow:\n      \
         - get: /\n        as: request\nobjectives: []\n",
        args.url, args.length
    );
    let document = profile::read("bench", &text, &BTreeMap::new());
    let plan = chaos_plan::read("bench", "judge: {warmup: 1ms, baseline: 1ms}\n", &BTreeMap::new());
    resolve(&document, Some(&plan), &Flags::default(), &lookup)
        .map_err(|problems| crate::diagnose::render(&problems, false))
}

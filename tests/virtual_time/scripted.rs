//! A target whose answers the test gives, under the real engine in virtual time.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use squall::client::{RunFacts, Shelf};
use squall::engine::{self, Batch, Load, Share};
use squall::experiment::{Experiment, HttpTarget};
use squall::http::{Reply, serve};
use squall::record::{End, Header, How, Record, VERSION};
use squall::timeline::Timeline;
use squall::units::Micros;
use squall::world::run_virtual;
use tokio::sync::{mpsc, watch};

/// A request as the target saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// From the start of the load.
    pub at: Micros,
    /// With its query.
    pub path: String,
    pub headers: http::HeaderMap,
    pub body: String,
}

/// What the target saw, and what squall made of it.
pub struct Driven {
    pub seen: Vec<Seen>,
    pub records: Vec<Record>,
    pub timeline: Timeline,
}

/// Runs the load of an experiment against a target that answers what `answer` says, after the time
/// that it says; `None` never answers.
pub fn drive(
    experiment: Experiment,
    shards: u32,
    answer: impl Fn(&Seen) -> Option<(Micros, Reply)> + 'static,
) -> Driven {
    let experiment = Arc::new(experiment);
    let outline = experiment.outline.clone();
    let seen = Rc::<RefCell<Vec<Seen>>>::default();
    let witness = seen.clone();
    let (records, ended) = run_virtual(|world| async move {
        let listener = world.listen(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (clock, answer) = (world.clone(), Rc::new(answer));
        let handler = move |request: http::Request<bytes::Bytes>| {
            let (clock, witness, answer) = (clock.clone(), witness.clone(), answer.clone());
            async move {
                let seen = Seen {
                    at: clock.now(),
                    path: request.uri().to_string(),
                    headers: request.headers().clone(),
                    body: String::from_utf8(request.body().to_vec()).unwrap(),
                };
                witness.borrow_mut().push(seen.clone());
                match answer(&seen) {
                    Some((after, reply)) => {
                        clock.sleep(after).await;
                        reply
                    }
                    None => std::future::pending().await,
                }
            }
        };
        world.spawn(serve(world.clone(), listener, handler));
        let records = load(&world, &experiment, address, shards).await;
        (records, world.now())
    });
    let header = Header {
        version: VERSION,
        squall: String::new(),
        started: "2000-01-01T00:00:00Z".into(),
        pacer: squall::record::Pacing::Virtual,
        shards,
        host: String::new(),
        outline,
        experiment: serde_json::Value::Null,
    };
    let mut timeline = Timeline::new(header);
    records.iter().for_each(|record| timeline.apply(record));
    timeline.apply(&Record::End(End { at: ended, how: How::Complete, detail: String::new(), exit: None }));
    let seen = seen.borrow().clone();
    Driven { seen, records, timeline }
}

async fn load(
    world: &squall::world::World,
    experiment: &Arc<Experiment>,
    address: std::net::SocketAddr,
    shards: u32,
) -> Vec<Record> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let (_keep, stop) = watch::channel(false);
    let target = HttpTarget {
        authority: "scripted".into(),
        addresses: vec![address],
        base_path: String::new(),
        authorization: None,
    };
    let facts = RunFacts {
        seed: experiment.outline.seed,
        run: "test".into(),
        data: experiment.data.clone(),
        setup: Default::default(),
        room: Shelf::of_run(),
    };
    let facts = Arc::new(facts);
    for shard in 0..shards {
        let load = Load {
            experiment: experiment.clone(),
            target: target.clone(),
            facts: facts.clone(),
            share: Share { shard, shards },
            stop: stop.clone(),
            records: tell.clone(),
        };
        world.spawn(engine::run(world.clone(), load));
    }
    drop(tell);
    let (mut records, mut ended) = (Vec::new(), 0);
    while ended < shards {
        match told.recv().await.expect("a shard ends with `Ended`") {
            Batch::Records(batch) => records.extend(batch),
            Batch::Failed(why) => panic!("{why}"),
            Batch::Ended => ended += 1,
        }
    }
    records
}

//! `squall sandbox`: the rooms service in the foreground; and, hidden, one of its processes.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::json;

use super::documents::lookup;
use super::print::{colour, error, out};
use super::run::made_new;
use super::signals::Signals;
use crate::cli;
use crate::conductor::{Failure, Files, System};
use crate::diagnose::{self, Problem};
use crate::exit;
use crate::experiment::{Experiment, Flags, resolve};
use crate::profile;
use crate::recorder::Recorder;
use crate::sandbox;
use crate::world::{Origin, run_real};

/// Runs the sandbox until Ctrl-C or SIGTERM.
pub fn run(args: &cli::Sandbox) -> u8 {
    let experiment = match experiment(args) {
        Ok(experiment) => experiment,
        Err(problems) => {
            error(diagnose::render(&problems, colour()).trim_end());
            return exit::BAD_CONFIGURATION;
        }
    };
    run_real(Origin::now(), |world| async move {
        let folder = std::env::temp_dir().join(format!("squall-sandbox-{}", std::process::id()));
        let folder = match made_new(&folder) {
            Ok(folder) => folder,
            Err(cause) => {
                error(&format!("error: {} cannot be made: {cause}", folder.display()));
                return exit::RUNTIME_ERROR;
            }
        };
        let code = serve(world, &experiment, folder.clone()).await;
        // What the services said is of no use once they have ended well.
        let _ = std::fs::remove_dir_all(folder);
        code
    })
}

async fn serve(world: crate::world::World, experiment: &Experiment, folder: PathBuf) -> u8 {
    let recorder = Recorder::new(world.clone(), Box::new(std::io::sink()));
    let files = match crate::service::own_binary() {
        Ok(binary) => Files { folder, binary },
        Err(why) => {
            error(&format!("error: {why}"));
            return exit::RUNTIME_ERROR;
        }
    };
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(why) => {
            error(&format!("error: signals cannot be heard: {why}"));
            return exit::RUNTIME_ERROR;
        }
    };
    let system =
        match System::start(&world, experiment, &recorder, Some(&files), async || signals.next().await).await
        {
            Ok(system) => system,
            Err(Failure::Interrupted(_)) => return 0,
            Err(failure) => {
                error(&format!("error: {failure}"));
                return exit::RUNTIME_ERROR;
            }
        };
    for address in &system.target.addresses {
        out(&format!("http://{address}\n"));
    }
    error("serving until Ctrl-C");
    signals.next().await;
    system.stop(signals.next()).await;
    0
}

/// The sandbox as a profile would describe it; its one shape is never run.
fn experiment(args: &cli::Sandbox) -> Result<Experiment, Vec<Problem>> {
    let plain = json!({"service": args.service, "exponential": args.exponential, "queue": args.queue});
    let sandbox = json!({
        "nodes": args.nodes,
        "rooms": args.rooms,
        "flaws": args.flaw,
        "plain": if args.plain { plain } else { json!(null) },
    });
    let profile = json!({
        "target": {"sandbox": sandbox},
        "duration": "1h",
        "shapes": {"idle": {"arrival": {"constant": {"rate": "1/s"}}, "flow": [{"get": "/livez", "as": "livez"}]}},
        "objectives": [],
    });
    let document = profile::read("the command line", &profile.to_string(), &BTreeMap::new());
    resolve(&document, None, &Flags::default(), &lookup)
}

/// One process: says where it serves, then serves until its standard input ends.
pub fn process(spec: &str) -> u8 {
    let process: sandbox::Process = match serde_json::from_str(spec) {
        Ok(process) => process,
        Err(why) => {
            error(&format!("error: {why}"));
            return exit::BAD_CONFIGURATION;
        }
    };
    // Its parent holds the other end of this pipe: when that goes, so does this process.
    let watching = std::thread::Builder::new().name("parent".to_owned()).spawn(|| {
        let mut rest = Vec::new();
        let _ = std::io::stdin().read_to_end(&mut rest);
        std::process::exit(0);
    });
    let ready = |address: SocketAddr| out(&format!("{address}\n"));
    let served = run_real(Origin::now(), |world| sandbox::run(world, process, ready));
    match (watching, served) {
        (Ok(_), Ok(())) => 0,
        (Err(cause), _) | (_, Err(cause)) => {
            error(&format!("error: {cause}"));
            exit::RUNTIME_ERROR
        }
    }
}

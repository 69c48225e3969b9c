//! `squall sandbox`: the rooms service in the foreground; and, hidden, one of its processes.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::print::{error, out};
use crate::cli;
use crate::conductor::{Files, System};
use crate::exit;
use crate::experiment::{Experiment, Flaw, PlainOptions, SandboxOptions};
use crate::recorder::Recorder;
use crate::sandbox;
use crate::units::parse_duration;
use crate::world::{Origin, run_real};

/// Runs the sandbox until Ctrl-C or SIGTERM.
pub fn run(args: &cli::Sandbox) -> u8 {
    let options = match options(args) {
        Ok(options) => options,
        Err(why) => {
            error(&format!("error: {why}"));
            return exit::BAD_CONFIGURATION;
        }
    };
    let experiment = Arc::new(Experiment::of_sandbox(options));
    run_real(Origin::now(), |world| async move {
        let folder = std::env::temp_dir().join(format!("squall-sandbox-{}", std::process::id()));
        if let Err(cause) = std::fs::create_dir_all(&folder) {
            error(&format!("error: {} cannot be made: {cause}", folder.display()));
            return exit::RUNTIME_ERROR;
        }
        let code = serve(world, &experiment, folder.clone()).await;
        // What the services said is of no use once they have ended well.
        let _ = std::fs::remove_dir_all(folder);
        code
    })
}

async fn serve(world: crate::world::World, experiment: &Experiment, folder: PathBuf) -> u8 {
    use tokio::signal::unix::{SignalKind, signal};
    let recorder = Recorder::new(world.clone(), Box::new(std::io::sink()));
    let files = match crate::service::own_binary() {
        Ok(binary) => Files { folder, binary },
        Err(why) => {
            error(&format!("error: {why}"));
            return exit::RUNTIME_ERROR;
        }
    };
    let system = match System::start(&world, experiment, &recorder, Some(&files)).await {
        Ok(system) => system,
        Err(failure) => {
            error(&format!("error: {failure}"));
            return exit::RUNTIME_ERROR;
        }
    };
    for address in &system.target.addresses {
        out(&format!("http://{address}\n"));
    }
    error("serving until Ctrl-C");
    if let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
    system.stop().await;
    0
}

fn options(args: &cli::Sandbox) -> Result<SandboxOptions, String> {
    let service = parse_duration(&args.service).map_err(|why| format!("--service: {why}"))?;
    let plain = PlainOptions { service, exponential: args.exponential, queue: args.queue, ..PlainOptions::default() };
    let flaws = args.flaw.iter().map(|word| match word.as_str() {
        "unbounded_list" => Ok(Flaw::UnboundedList),
        other => Err(format!("--flaw: the sandbox has no flaw `{other}`; it has `unbounded_list`")),
    });
    Ok(SandboxOptions {
        plain: args.plain.then_some(plain),
        nodes: args.nodes,
        rooms: args.rooms,
        flaws: flaws.collect::<Result<_, _>>()?,
        ..SandboxOptions::default()
    })
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

//! The system under test as squall brings it up: keeper, links, services, in that order, and down
//! again in the other.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Failure;
use crate::chaos::journal::{Entry, Journal, Undo};
use crate::chaos::keeper::Keeper;
use crate::chaos::takeover::take_over;
use crate::chaos::{Port, Reach, exec};
use crate::experiment::{Experiment, Fault, HttpTarget, Place, Ready, SandboxOptions, Upstream};
use crate::proxy::{Ask, Links, Reply};
use crate::recorder::Recorder;
use crate::sandbox::{self, Role};
use crate::service::{Life, Lives, Service, Spec};
use crate::units::Micros;
use crate::world::World;

/// How long a process of the sandbox may take beyond its own start time.
const SANDBOX_WITHIN: Micros = Micros::secs(15);
/// How long the target may take to accept a connection before anything is sent.
const TARGET_WITHIN: Micros = Micros::secs(3);
/// How long one may take to be there that needs a link, which was not there before.
const BEHIND_LINKS_WITHIN: Micros = Micros::secs(20);

/// Where a run keeps its files, and which program its keeper is.
#[derive(Clone, Debug)]
pub struct Files {
    /// The run's folder.
    pub folder: PathBuf,
    /// squall itself; the keeper and the sandbox's processes are started from it.
    pub binary: PathBuf,
}

/// What was brought up.
pub struct System {
    pub reach: Reach,
    pub target: HttpTarget,
}

impl System {
    /// Brings everything up, unless `asked` to stop meanwhile; what had been started is ended again if
    /// something fails.
    pub async fn start(
        world: &World,
        experiment: &Experiment,
        recorder: &Recorder,
        files: Option<&Files>,
        mut asked: impl AsyncFnMut(),
    ) -> Result<System, Failure> {
        let (journal, port) = carrier(world, experiment, files)?;
        let (journal, port) = (Rc::new(journal), Rc::new(port));
        let stopped = || Failure::Interrupted("stopped while services were starting".to_owned());
        let mut once = Box::pin(asked());
        let planned = tokio::select! {
            biased;
            () = &mut once => Err(stopped()),
            planned = Planned::lay_out(world, experiment, &port) => planned,
        };
        let planned = match planned {
            Ok(planned) => planned,
            Err(failure) => {
                dismiss(&port).await;
                return Err(failure);
            }
        };
        let logs = files.map(|files| files.folder.join("services")).unwrap_or_default();
        let mut services = BTreeMap::new();
        for (name, spec, ready, within) in planned.services {
            let log = logs.join(format!("{name}.log"));
            let lives = to_journal(journal.clone());
            let start = (spec, ready, within);
            let service = Service::new(world.clone(), recorder.clone(), &name, start, log, lives);
            services.insert(name, Rc::new(service));
        }
        let reach = Reach { world: world.clone(), port, services: Rc::new(services), journal };
        let system = System { reach, target: planned.target };
        let started = tokio::select! {
            biased;
            () = &mut once => Err(stopped()),
            started = system.start_services(experiment) => started,
        };
        if let Err(failure) = started {
            drop(once);
            system.stop(asked()).await;
            return Err(failure);
        }
        Ok(system)
    }

    /// Asked before anything is started: a hook that cannot be run would spoil the run only when its time has come.
    ///
    /// # Errors
    /// The first hook whose program is not there.
    pub fn hooks_are_there(experiment: &Experiment) -> Result<(), Failure> {
        let faults = experiment.faults.iter().zip(&experiment.actions).zip(&experiment.outline.faults);
        for ((fault, actions), outline) in faults {
            let mut commands: Vec<_> =
                actions.iter().flat_map(|action| [&action.run, &action.undo]).collect();
            if let Fault::Exec { run, undo, check } = fault {
                commands.extend([run, undo, check]);
            }
            let mut programs = commands.into_iter().filter_map(|command| command.first());
            if let Some(program) = programs.find(|program| !exec::is_there(program)) {
                let name = &outline.name;
                return Err(Failure::Configuration(format!(
                    "fault `{name}` runs `{program}`, and there is no such program in PATH or, with a `/`, from here: correct the name or install it (what is made only later wants `sh` before it)"
                )));
            }
        }
        Ok(())
    }

    async fn start_services(&self, experiment: &Experiment) -> Result<(), Failure> {
        // Dropped with this future, if squall is asked to stop meanwhile.
        let mut starting = JoinSet::new();
        for service in self.reach.services.values().filter(|service| service.address().is_some()) {
            let service = service.clone();
            starting.spawn_local(async move { service.start().await });
        }
        while let Some(started) = starting.join_next().await {
            let started = started.map_err(|e| Failure::Runtime(e.to_string()))?;
            started.map_err(|e| Failure::Runtime(e.to_string()))?;
        }
        for declared in experiment.services.iter().filter(|service| service.command.is_some()) {
            if let Some(service) = self.reach.services.get(&declared.name) {
                service.start().await.map_err(|e| Failure::Configuration(e.to_string()))?;
            }
        }
        self.reach_target(!experiment.links.is_empty()).await
    }

    /// Why an address does not accept a connection; none if it does.
    async fn unreachable(&self, address: SocketAddr) -> Option<String> {
        let world = &self.reach.world;
        match world.timeout(TARGET_WITHIN, world.connect(address)).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => {
                let text = error.to_string().to_lowercase();
                Some(text.split(" (os error").next().unwrap_or_default().to_owned())
            }
            Err(_) => Some(format!("no connection within {TARGET_WITHIN}")),
        }
    }

    /// A sentence for every link behind which nobody answers now: the target would be blamed for it.
    pub async fn dead_links(&self, experiment: &Experiment) -> Vec<String> {
        let mut said = Vec::new();
        for link in &experiment.links {
            let Upstream::Address(upstream) = link.upstream else { continue };
            if let Some(reason) = self.unreachable(upstream).await {
                let name = &link.name;
                said.push(format!(
                    "when the load began nobody answered at {upstream}, where link `{name}` leads ({reason})"
                ));
            }
        }
        said
    }

    /// Something must accept connections before anything is sent. What ended for want of its link is started again by
    /// whoever looks after it, now that the link is there (`waits`); what squall starts is ready by now.
    async fn reach_target(&self, waits: bool) -> Result<(), Failure> {
        let world = &self.reach.world;
        let until = world.now() + if waits { BEHIND_LINKS_WITHIN } else { Micros::ZERO };
        loop {
            let Some(reason) = self.refusal().await else { return Ok(()) };
            if world.now() >= until {
                let target = &self.target.authority;
                let more = match waits {
                    true => format!(
                        "; it was waited for {BEHIND_LINKS_WITHIN}, as it may need its links; squall can start it, too (`services`)"
                    ),
                    false => String::new(),
                };
                return Err(Failure::Configuration(format!(
                    "target {target} cannot be reached ({reason}): start it, or give its address with `--target`{more}"
                )));
            }
            world.sleep(Micros::millis(250)).await;
        }
    }

    /// Why no address of the target accepts a connection; none if one does.
    async fn refusal(&self) -> Option<String> {
        let mut reason = "no address".to_owned();
        for &address in &self.target.addresses {
            reason = self.unreachable(address).await?;
        }
        Some(reason)
    }

    /// Stops services and lets the keeper go; `asked` once more, it waits for none that does not hear.
    pub async fn stop(&self, asked: impl Future<Output = ()>) {
        let world = &self.reach.world;
        let (hurry, hurried) = watch::channel(false);
        let stopping: Vec<_> = self
            .reach
            .services
            .values()
            .map(|service| {
                let (service, hurried) = (service.clone(), hurried.clone());
                world.spawn(async move { service.stop(hurried).await })
            })
            .collect();
        let all = async {
            for stopped in stopping {
                // A service whose stop panicked ends with squall.
                let _ = stopped.await;
            }
        };
        tokio::pin!(all);
        tokio::select! {
            biased;
            () = &mut all => {}
            () = asked => {
                hurry.send_replace(true);
                all.await;
            }
        }
        dismiss(&self.reach.port).await;
    }
}

/// The keeper ends what is left of the journal, and leaves.
async fn dismiss(port: &Port) {
    if let Port::Keeper(keeper) = port {
        keeper.dismiss().await;
    }
}

/// The names of the services that squall will start.
pub(super) fn to_start(experiment: &Experiment) -> Vec<String> {
    let ours = match &experiment.target.place {
        Place::Sandbox(options) => sandbox::names(options),
        Place::Http(_) => Vec::new(),
    };
    let declared = experiment.services.iter().filter(|service| service.command.is_some());
    ours.into_iter().chain(declared.map(|service| service.name.clone())).collect()
}

/// Every process of a service is in the journal as soon as it is there, restarted ones too; what a foreign program is
/// found by, before. What is over is closed there: its number may be another's by the end of the run.
fn to_journal(journal: Rc<Journal>) -> Lives {
    let open = RefCell::<Vec<u64>>::default();
    Rc::new(move |service, life| {
        let undo = match life {
            Life::Coming(mark) => {
                Undo::Marked { what: format!("service `{service}`"), mark: mark.to_owned(), hook: None }
            }
            Life::There(process) => Undo::End { service: service.to_owned(), process },
            Life::Over => {
                let over = open.take().into_iter().try_for_each(|id| journal.is_over(id));
                return over.map_err(|e| cannot_journal(e).to_string());
            }
        };
        let id = journal.open(undo).map_err(|e| cannot_journal(e).to_string())?;
        open.borrow_mut().push(id);
        Ok(())
    })
}

fn cannot_journal(error: std::io::Error) -> Failure {
    Failure::Runtime(format!(
        "the undo journal cannot be written: {error}; free some space or choose `--reports`"
    ))
}

/// The keeper and its journal in a real run that has anything to undo; otherwise links beside the rest.
fn carrier(
    world: &World,
    experiment: &Experiment,
    files: Option<&Files>,
) -> Result<(Journal, Port), Failure> {
    let local = || (Journal::none(), Port::Local(Links::new(world.clone())));
    let Some(files) = files else { return Ok(local()) };
    let sandbox = matches!(experiment.target.place, Place::Sandbox(_));
    let plain = experiment.links.is_empty() && experiment.services.is_empty() && experiment.faults.is_empty();
    if plain && !sandbox {
        return Ok(local());
    }
    let path = files.folder.join("journal.jsonl");
    let journal = Journal::create(&path).map_err(cannot_journal)?;
    let log = files.folder.join("keeper.log");
    let keeper = Keeper::spawn(world, &files.binary, &path, &log).map_err(Failure::Runtime)?;
    journal.append(&Entry::Keeper { process: keeper.process.clone() }).map_err(cannot_journal)?;
    Ok((journal, Port::Keeper(Box::new(keeper))))
}

/// What will be started, with addresses.
struct Planned {
    services: Vec<(String, Spec, Ready, Micros)>,
    target: HttpTarget,
}

impl Planned {
    async fn lay_out(world: &World, experiment: &Experiment, port: &Port) -> Result<Planned, Failure> {
        let mut addresses = BTreeMap::new();
        let options = match &experiment.target.place {
            Place::Sandbox(options) => Some(options),
            Place::Http(_) => None,
        };
        for name in options.map(sandbox::names).unwrap_or_default() {
            addresses.insert(name, free(world).await?);
        }
        let fixed: Vec<SocketAddr> = experiment.links.iter().filter_map(|link| link.listen).collect();
        let mut listening = BTreeMap::new();
        for link in &experiment.links {
            let upstream = match &link.upstream {
                Upstream::Address(address) => *address,
                Upstream::Service(name) => *addresses.get(name).ok_or_else(|| {
                    Failure::Configuration(format!("link `{}` has no upstream `{name}`", link.name))
                })?,
            };
            let unusable = |why: String| Failure::Configuration(format!("link `{}`: {why}", link.name));
            let listen = match link.listen {
                Some(listen) => {
                    if let Port::Keeper(_) = port {
                        take_over(world, listen, &fixed).await.map_err(unusable)?;
                    }
                    listen
                }
                None => free(world).await?,
            };
            let ask = Ask::Open { link: link.name.clone(), listen, upstream, canary: link.canary.clone() };
            match port.ask(ask).await {
                Reply::Opened { listen } => listening.insert(link.name.clone(), listen),
                Reply::Failed { error } => return Err(unusable(error)),
                other => return Err(Failure::Runtime(format!("the keeper answered {other:?}"))),
            };
        }
        let mut services = Vec::new();
        if let Some(options) = options {
            services = sandbox_services(options, &addresses, listening.get("api-store").copied());
        }
        for declared in &experiment.services {
            if let Some(command) = &declared.command {
                let spec = Spec::Command(command.clone());
                services.push((declared.name.clone(), spec, declared.ready.clone(), declared.within));
            }
        }
        let target = match &experiment.target.place {
            Place::Http(target) => target.clone(),
            Place::Sandbox(_) => sandbox_target(&addresses),
        };
        Ok(Planned { services, target })
    }
}

async fn free(world: &World) -> Result<SocketAddr, Failure> {
    let free = world.free_address().await;
    free.map_err(|e| Failure::Runtime(format!("no free port on loopback: {e}")))
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Clients reach the API nodes, or the plain server.
fn sandbox_target(addresses: &BTreeMap<String, SocketAddr>) -> HttpTarget {
    let faces = addresses.iter().filter(|(name, _)| name.starts_with("api-") || *name == "plain");
    HttpTarget {
        authority: "sandbox".to_owned(),
        addresses: faces.map(|(_, address)| *address).collect(),
        base_path: String::new(),
        authorization: None,
    }
}

fn sandbox_services(
    options: &SandboxOptions,
    addresses: &BTreeMap<String, SocketAddr>,
    link: Option<SocketAddr>,
) -> Vec<(String, Spec, Ready, Micros)> {
    let address = |name: &str| addresses.get(name).copied().unwrap_or_else(any_port);
    let role = |name: &str| match name {
        "plain" => Role::Plain,
        "store-a" => Role::Store { peer: address("store-b") },
        "store-b" => Role::Store { peer: address("store-a") },
        _ => Role::Api { store: link.unwrap_or_else(|| address("store-a")) },
    };
    let within = options.start_time + SANDBOX_WITHIN;
    sandbox::names(options)
        .into_iter()
        .map(|name| {
            let process =
                sandbox::Process { role: role(&name), listen: address(&name), options: options.clone() };
            (name, Spec::Sandbox(process), Ready::Sandbox, within)
        })
        .collect()
}

/// Reads a journal's folder: where `squall heal` looks.
pub fn journal_of(folder: &Path) -> PathBuf {
    folder.join("journal.jsonl")
}

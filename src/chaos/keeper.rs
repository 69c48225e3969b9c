//! The keeper: a process of the same binary that carries the links and outlives squall.
//!
//! squall speaks to it over its standard input and output, one JSON object a line. End of file means
//! that squall has ended in some way: every fault is healed at once, the journal's too, and traffic
//! keeps passing until nobody has used the links for a while.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::rc::Rc;

use rustix::io::{FdFlags, fcntl_setfd};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, mpsc, oneshot, watch};

use super::heal::{Healed, heal};
use super::pulse::Pulse;
use crate::proxy::{Ask, Links, Reply};
use crate::service::process::ProcessId;
use crate::units::Micros;
use crate::world::World;

/// A healed keeper without connections leaves after this long.
const LINGER: Micros = Micros::secs(600);
/// How long any answer of the keeper may take beyond what the question itself allows.
const ANSWER_TIMEOUT: Micros = Micros::secs(5);
/// And that of one which has been silent for so long already, where nothing is undone by it.
const SILENT_TIMEOUT: Micros = Micros::millis(500);

#[derive(Serialize, Deserialize)]
struct Question {
    id: u64,
    ask: Ask,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    id: u64,
    reply: Reply,
}

/// Runs the keeper's side until it may leave. SIGTERM asks it to leave as soon as squall has gone and nobody
/// uses its links.
pub async fn serve(world: World, journal: PathBuf) {
    let links = Rc::new(Links::new(world.clone()));
    let (answers, mut outgoing) = mpsc::unbounded_channel::<Answer>();
    world.spawn(async move {
        let mut stdout = tokio::io::stdout();
        while let Some(answer) = outgoing.recv().await {
            let mut line = serde_json::to_vec(&answer).unwrap_or_default();
            line.push(b'\n');
            // Nobody listens once squall has gone; healing goes on without it.
            if stdout.write_all(&line).await.is_err() || stdout.flush().await.is_err() {
                break;
            }
        }
    });
    if let Ok(mut terminate) = signal(SignalKind::terminate()) {
        let links = links.clone();
        world.spawn(async move {
            terminate.recv().await;
            links.dismiss();
        });
    }
    let pulse = Pulse::new(world.clone());
    let beating = world.spawn(pulse.clone().beat());
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(Question { id, ask }) = serde_json::from_str(&line) else { continue };
        let (links, answers, pulse) = (links.clone(), answers.clone(), pulse.clone());
        world.spawn(async move {
            let mut reply = links.handle(ask).await;
            if let Reply::Look { vitals, .. } = &mut reply {
                *vitals = pulse.take();
            }
            let _ = answers.send(Answer { id, reply });
        });
    }
    beating.abort();
    undo_all(&world, &links, &journal).await;
    linger(&world, &links, &journal).await;
}

/// The links, and what the journal says. Whatever becomes of that, traffic keeps passing.
async fn undo_all(world: &World, links: &Rc<Links>, journal: &Path) {
    match heal(world, journal, Some(links)).await {
        Err(error) => log(&format!("{} cannot be read: {error}", journal.display())),
        Ok(healed) => {
            for Healed { what, result } in healed {
                if let Err(error) = result {
                    log(&format!("{what} could not be undone: {error}"));
                }
            }
        }
    }
}

/// Into keeper.log. On a full disk nobody is told, and the keeper goes on.
fn log(text: &str) {
    let _ = writeln!(io::stderr(), "squall keeper: {text}");
}

/// Keeps carrying until the links have had no connection for a while; only until they have none, if
/// somebody said goodbye. A link that could not be healed is tried again: its port may come free.
async fn linger(world: &World, links: &Rc<Links>, journal: &Path) {
    let patience = || if links.dismissed() { Micros::ZERO } else { LINGER };
    let mut used = world.now();
    while links.connections() > 0 || world.now() - used < patience() {
        if links.connections() > 0 {
            used = world.now();
        }
        if !links.is_whole() && links.heal().await.is_ok() {
            undo_all(world, links, journal).await;
        }
        world.sleep(Micros::millis(200)).await;
    }
}

/// What else squall's caller had open (the lock of a nightly job, the pipe of its log) is given back as squall ends: the
/// keeper may stay for long.
#[allow(unsafe_code)]
fn takes_nothing_along(command: &mut Command) {
    let open = std::fs::read_dir("/dev/fd").into_iter().flatten().flatten();
    let numbers = open.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let beyond: Vec<i32> = numbers.filter(|number| *number > 2).collect();
    let close_on_exec = move || {
        for number in &beyond {
            // SAFETY: in a process of one thread it stays what it is; one that is not open any more is refused.
            let _ = fcntl_setfd(unsafe { BorrowedFd::borrow_raw(*number) }, FdFlags::CLOEXEC);
        }
        Ok(())
    };
    // SAFETY: between fork and exec nothing but fcntl is called.
    unsafe { command.pre_exec(close_on_exec) };
}

type Waiting = RefCell<BTreeMap<u64, oneshot::Sender<Reply>>>;

/// squall's side: the keeper as a process.
pub struct Keeper {
    world: World,
    stdin: Mutex<Option<ChildStdin>>,
    waiting: Rc<Waiting>,
    next: Cell<u64>,
    /// How many answers came so far, and had come when a question was asked in vain: while none has come since, the keeper
    /// is silent.
    heard: Rc<Cell<u64>>,
    silent_since: Cell<Option<u64>>,
    pub process: ProcessId,
    /// Closes when the keeper has.
    alive: watch::Receiver<()>,
    _child: Child,
}

impl Keeper {
    /// Starts the keeper in a process group of its own, so that Ctrl-C reaches squall alone.
    ///
    /// # Errors
    /// In words: the process could not be started.
    pub fn spawn(world: &World, binary: &Path, journal: &Path, log: &Path) -> Result<Keeper, String> {
        let cannot = |e: io::Error| format!("the keeper cannot be started: {e}");
        let mut command = Command::new(binary);
        command.arg("keeper").arg(journal).process_group(0);
        let log = std::fs::File::create(log).map_err(cannot)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        takes_nothing_along(&mut command);
        let mut child = command.spawn().map_err(cannot)?;
        let process = ProcessId::of(child.id().unwrap_or_default() as i32).map_err(cannot)?;
        let process = process.ok_or("the keeper ended at once")?;
        let (waiting, heard) = (Rc::<Waiting>::default(), Rc::<Cell<u64>>::default());
        let (lives, alive) = watch::channel(());
        if let Some(stdout) = child.stdout.take() {
            let dispatch = dispatch(BufReader::new(stdout), waiting.clone(), heard.clone());
            world.spawn(async move {
                dispatch.await;
                drop(lives);
            });
        }
        Ok(Keeper {
            world: world.clone(),
            stdin: Mutex::new(child.stdin.take()),
            waiting,
            next: Cell::new(0),
            heard,
            silent_since: Cell::new(None),
            process,
            alive,
            _child: child,
        })
    }

    pub async fn ask(&self, ask: Ask) -> Reply {
        let heard = self.heard.get();
        let silent = self.silent_since.get() == Some(heard);
        let patience = match &ask {
            Ask::Touched { .. } | Ask::Dismiss if silent => SILENT_TIMEOUT,
            Ask::Canary { timeout, .. } => ANSWER_TIMEOUT + *timeout,
            _ => ANSWER_TIMEOUT,
        };
        let id = self.next.replace(self.next.get() + 1);
        let (tell, told) = oneshot::channel();
        self.waiting.borrow_mut().insert(id, tell);
        let asking = async {
            self.send(&Question { id, ask }).await.ok()?;
            told.await.ok()
        };
        match self.world.timeout(patience, asking).await {
            Ok(Some(reply)) => reply,
            Ok(None) => Reply::Failed { error: "the keeper is gone: its links carry nothing".to_owned() },
            Err(_) => {
                self.waiting.borrow_mut().remove(&id);
                if self.heard.get() == heard {
                    self.silent_since.set(Some(heard));
                }
                Reply::Failed { error: format!("the keeper did not answer within {ANSWER_TIMEOUT}") }
            }
        }
    }

    /// Returns when its process has ended.
    pub async fn gone(&self) {
        // Nothing is ever sent.
        let _ = self.alive.clone().changed().await;
    }

    async fn send(&self, question: &Question) -> io::Result<()> {
        let mut line = serde_json::to_vec(question)?;
        line.push(b'\n');
        let mut stdin = self.stdin.lock().await;
        match stdin.as_mut() {
            Some(stdin) => stdin.write_all(&line).await,
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// The run is over and healed: the keeper leaves as soon as nobody uses its links.
    pub async fn dismiss(&self) {
        self.ask(Ask::Dismiss).await;
        self.stdin.lock().await.take();
    }
}

async fn dispatch(
    mut stdout: BufReader<tokio::process::ChildStdout>,
    waiting: Rc<Waiting>,
    heard: Rc<Cell<u64>>,
) {
    let mut line = String::new();
    while matches!(stdout.read_line(&mut line).await, Ok(1..)) {
        heard.set(heard.get() + 1);
        if let Ok(Answer { id, reply }) = serde_json::from_str(&line)
            && let Some(tell) = waiting.borrow_mut().remove(&id)
        {
            // Whoever asked may have given up.
            let _ = tell.send(reply);
        }
        line.clear();
    }
    waiting.borrow_mut().clear();
}

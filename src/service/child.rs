//! A child process: started in a group of its own, at a lower priority, reaped when it ends.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group, setpriority_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{ChildStdin, Command as Start};
use tokio::sync::{oneshot, watch};

use super::family::Family;
use super::log;
use super::process::{Group, MARK, ProcessId, State};
use crate::experiment::Command;
use crate::sandbox;
use crate::world::{World, opens_as_many_as_before};

/// So that a target that eats the machine does not starve its own measurement.
const NICENESS: i32 = 5;

/// A running child.
pub struct Child {
    pub family: Family,
    /// How, in words.
    ended: watch::Receiver<Option<String>>,
    /// Processes of the sandbox end when this closes.
    _stdin: Option<ChildStdin>,
}

impl Child {
    /// Starts a foreign program that carries `mark`; its output goes to `log`.
    pub fn spawn(world: &World, command: &Command, mark: &str, log: &Path) -> Result<Child, String> {
        let program = command.argv.first().ok_or("a service needs a program to start")?;
        let mut start = Start::new(program);
        start.args(&command.argv[1..]).envs(command.env.iter().cloned()).env(MARK, mark);
        if let Some(directory) = &command.directory {
            if !directory.is_dir() {
                let here = directory.display();
                return Err(format!(
                    "`directory: {here}` of program `{program}` is no folder, seen from where squall was started"
                ));
            }
            start.current_dir(directory);
        }
        opens_as_many_as_before(&mut start);
        start.stdin(Stdio::null()).stdout(output(log)?);
        Child::start(world, start, log, (program, Some(mark))).map(|(child, _)| child)
    }

    /// Starts a process of the sandbox from this binary; resolves when it serves.
    pub fn spawn_sandbox(
        world: &World,
        process: &sandbox::Process,
        log: &Path,
    ) -> Result<(Child, oneshot::Receiver<()>), String> {
        let binary = own_binary()?;
        let spec = serde_json::to_string(process).map_err(|e| e.to_string())?;
        let mut start = Start::new(&binary);
        start.args(["sandbox-process", &spec]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let (child, stdout) = Child::start(world, start, log, ("squall sandbox-process", None))?;
        let (tell, told) = oneshot::channel();
        world.spawn(async move {
            let Some(stdout) = stdout else { return };
            let mut lines = BufReader::new(stdout).lines();
            if let Ok(Some(_)) = lines.next_line().await {
                // Whoever waited may have given up.
                let _ = tell.send(());
            }
            while let Ok(Some(_)) = lines.next_line().await {}
        });
        Ok((child, told))
    }

    fn start(
        world: &World,
        mut start: Start,
        log: &Path,
        (program, mark): (&str, Option<&str>),
    ) -> Result<(Child, Option<tokio::process::ChildStdout>), String> {
        start.stderr(output(log)?).process_group(0).kill_on_drop(true);
        let mut child = start.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound if program.contains(' ') => {
                let words = program.split_whitespace().collect::<Vec<_>>().join(", ");
                format!(
                    "program `{program}` was not found: `start` has each word by itself: `[{words}, ...]`"
                )
            }
            std::io::ErrorKind::NotFound => {
                format!("program `{program}` was not found: install it, or give its full path in `start`")
            }
            _ => format!("program `{program}` cannot be started: {error}"),
        })?;
        let pid = child.id().unwrap_or_default() as i32;
        let leader = ProcessId::of(pid).map_err(|e| format!("program `{program}` cannot be seen: {e}"))?;
        let leader = leader.ok_or_else(|| format!("program `{program}` ended at once"))?;
        let family = Family { leader, mark: mark.map(str::to_owned) };
        if let Some(pid) = Pid::from_raw(pid) {
            // A lower priority is a courtesy to the measurement; a system that refuses it still works.
            let _ = setpriority_process(Some(pid), NICENESS);
        }
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (tell, ended) = watch::channel(None);
        // It ends with this task, even before its first turn, and so does all that it started.
        let group = Group::led_by(pid);
        let (clock, log) = (world.clone(), log.to_owned());
        world.spawn(async move {
            let how = loop {
                tokio::select! {
                    biased;
                    how = child.wait() => break how,
                    () = clock.sleep(log::EVERY) => {}
                }
                if log::is_long(&log) {
                    let long = log.clone();
                    // A disk that refuses it has the log as it is, and is asked again.
                    let _ = clock.aside(move || log::keep_the_end(&long)).await;
                }
            };
            let how = how.map_or_else(|error| error.to_string(), |status| status.to_string());
            group.let_go();
            tell.send_replace(Some(how));
        });
        Ok((Child { family, ended, _stdin: stdin }, stdout))
    }

    /// Returns when it has ended; needs nobody to hold the child meanwhile.
    pub fn gone(&self) -> impl Future<Output = ()> + use<> {
        let mut ended = self.ended.clone();
        async move {
            // The sender goes only after it has told.
            let _ = ended.wait_for(Option::is_some).await;
        }
    }

    /// SIGTERM to all of it; to its own group where nobody can be seen.
    pub fn ask_to_end(&self) {
        // A stopped process cannot hear; one that is gone needs nothing.
        for signal in [Signal::TERM, Signal::CONT] {
            if self.family.signal(&[State::Running, State::Stopped], signal).is_err()
                && self.ended().is_none()
                && let Some(group) = Pid::from_raw(self.family.leader.pid)
            {
                let _ = kill_process_group(group, signal);
            }
        }
    }

    /// SIGKILL to whoever is left of it and of `known`, who belonged to it before; whether that was nobody. Its own
    /// group is ended also where nobody can be seen.
    pub fn end(&self, known: &[ProcessId]) -> bool {
        let all = self.family.end(known);
        let ended = self.ended().is_some();
        if !ended {
            // Until its end is told it is not collected, and the number is its own.
            drop(Group::led_by(self.family.leader.pid));
        }
        all && ended
    }

    /// How it ended, if it has: `exit status: 2`.
    pub fn ended(&self) -> Option<String> {
        self.ended.borrow().clone()
    }
}

fn output(log: &Path) -> Result<Stdio, String> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder).map_err(|e| format!("{} cannot be made: {e}", folder.display()))?;
    }
    let file = File::options().create(true).append(true).open(log);
    file.map(Stdio::from).map_err(|e| format!("{} cannot be written: {e}", log.display()))
}

/// This program, for the processes it starts from itself.
pub fn own_binary() -> Result<std::path::PathBuf, String> {
    std::env::current_exe().map_err(|e| format!("squall cannot find its own program: {e}"))
}

#[cfg(test)]
mod tests {
    use super::super::patience::wait_until;
    use super::*;
    use crate::world::{Origin, run_real};

    /// As when squall panics: the tasks are dropped, and nobody has asked the child to stop.
    #[test]
    fn a_child_ends_with_the_world_and_so_does_its_group() {
        let log = std::env::temp_dir().join(format!("squall-child-{}.log", std::process::id()));
        let argv = ["sh", "-c", "sleep 100 & echo $!; exec sleep 100"].map(str::to_owned).to_vec();
        let command = Command { argv, env: Vec::new(), directory: None };
        let (leader, member) = run_real(Origin::now(), |world| {
            let log = log.clone();
            async move {
                let child = Child::spawn(&world, &command, "no mark", &log).unwrap();
                let pid = || fs::read_to_string(&log).unwrap().trim().parse::<i32>().ok();
                wait_until("the pid of its child", || pid().is_some());
                let member = pid().and_then(|pid| ProcessId::of(pid).unwrap()).unwrap();
                (child.family.leader, member)
            }
        });
        for process in [leader, member] {
            wait_until("it to be gone", || process.state() == State::Gone);
        }
        fs::remove_file(log).unwrap();
    }
}

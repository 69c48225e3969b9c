//! `squall run`: resolve, conduct, judge, report.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;

use super::behind::Behind;
use super::documents;
use super::print::error;
use super::report::{self, Outputs};
use super::signals::{self, Signals};
use crate::cli;
use crate::conductor::{self, Failure, Files, Outcome, Setting};
use crate::exit;
use crate::experiment::Experiment;
use crate::outline::Outline;
use crate::progress::Progress;
use crate::record::How;
use crate::recorder::Recorder;
use crate::redact::{redact, redact_file};
use crate::report::visible;
use crate::units::rfc3339;
use crate::world::{Origin, Programs, World, has_files_for, run_real, run_virtual};

/// Runs and returns the exit code.
pub fn run(args: &cli::Run) -> u8 {
    carry_out(args).unwrap_or_else(|code| code)
}

fn carry_out(args: &cli::Run) -> Result<u8, u8> {
    let outputs = Outputs::parse(&args.output).map_err(|why| bad(&why))?;
    let inputs = [Some(&args.experiment.profile), args.experiment.chaos.as_ref()];
    let inputs: Vec<&Path> = inputs.into_iter().flatten().map(PathBuf::as_path).collect();
    outputs.spare(&inputs).map_err(|why| bad(&why))?;
    let experiment = documents::experiment(&args.experiment);
    outputs.forget();
    let experiment = Arc::new(experiment?);
    let shards = super::plan::shards(&args.experiment);
    if !experiment.outline.virtual_time {
        let enough = has_files_for(shards, Programs::of(&experiment));
        enough.map_err(|why| bad(&format!("{why}, or ask for fewer `--shards`")))?;
    }
    let folder = make_folder(&args.reports, &experiment.outline).map_err(|why| bad(&why))?;
    let history = folder.join("history.jsonl");
    let file =
        File::create(&history).map_err(|e| bad(&format!("{} cannot be made: {e}", history.display())))?;
    let plan = crate::report::plan::plan(&experiment, super::plan::limits(&args.experiment));
    fs::write(folder.join("plan.txt"), plan).map_err(|e| bad(&format!("the plan cannot be written: {e}")))?;
    let progress = Progress::for_terminal(&experiment.outline, args.output.quiet);
    let result = if experiment.outline.virtual_time {
        in_virtual_time(&experiment, shards, file, progress)
    } else {
        in_real_time(&experiment, shards, file, &folder, progress)
    };
    finish(result, &experiment, &folder, &outputs)
}

fn bad(why: &str) -> u8 {
    error(&format!("error: {why}"));
    exit::BAD_CONFIGURATION
}

/// `reports/20261121-081200-steady-mix`, made new.
fn make_folder(reports: &Path, outline: &Outline) -> Result<PathBuf, String> {
    let wall = World::real(Origin::now()).wall();
    let stamp: String = rfc3339(wall).chars().filter(char::is_ascii_digit).collect();
    let (day, time) = stamp.split_at(8);
    fs::create_dir_all(reports).map_err(|e| cannot_make(reports, &e))?;
    let folder = reports.join(format!("{day}-{time}-{}", outline.profile));
    made_new(&folder).map_err(|e| cannot_make(&folder, &e))
}

/// Makes a folder that was not there before; with a number behind its name where that is taken.
///
/// # Errors
/// The system's.
pub fn made_new(folder: &Path) -> io::Result<PathBuf> {
    for attempt in 0..10_000 {
        let mut name = folder.as_os_str().to_owned();
        if attempt > 0 {
            name.push(format!("-{attempt}"));
        }
        match fs::create_dir(&name) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| name.into()),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// A short id of a run that begins at this wall time (microseconds): no two that begin at once, on one machine, have the
/// same.
pub fn run_id(wall: i64) -> String {
    let (moment, pid) = ((wall / 1_000) & 0xff_ffff, i64::from(std::process::id()) & 0xfff);
    format!("{moment:06x}{pid:03x}")
}

fn cannot_make(folder: &Path, cause: &io::Error) -> String {
    format!("{} cannot be made: {cause}; choose another place with `--reports`", folder.display())
}

type Ended = Result<Outcome, Failure>;

fn in_virtual_time(
    experiment: &Arc<Experiment>,
    shards: u32,
    history: File,
    mut progress: Progress,
) -> Ended {
    let (_keep, interrupts) = watch::channel(0);
    let setting = Setting {
        shards,
        files: None,
        origin: None,
        run: format!("v{:05x}", experiment.outline.seed & 0xf_ffff),
        interrupts,
        host: String::new(),
    };
    let experiment = experiment.clone();
    run_virtual(|world| async move {
        let recorder = Recorder::new(world.clone(), Box::new(history));
        let ended = conductor::run(world, experiment, setting, recorder, &mut progress).await;
        progress.finish();
        ended
    })
}

fn in_real_time(
    experiment: &Arc<Experiment>,
    shards: u32,
    history: File,
    folder: &Path,
    mut progress: Progress,
) -> Ended {
    let binary = crate::service::own_binary().map_err(Failure::Runtime)?;
    let origin = Origin::now();
    let experiment = experiment.clone();
    let files = Files { folder: folder.to_owned(), binary };
    let history =
        Behind::new(history).map_err(|e| Failure::Runtime(format!("no thread for the history: {e}")))?;
    run_real(origin, |world| async move {
        let (asked, interrupts) = watch::channel(0);
        // Before anything is started: a signal must not end squall alone.
        let signals =
            Signals::new().map_err(|e| Failure::Runtime(format!("signals cannot be heard: {e}")))?;
        world.spawn(pass_on(signals, asked, progress.voice()));
        let setting = Setting {
            shards,
            files: Some(files),
            origin: Some(origin),
            run: run_id(world.wall()),
            interrupts,
            host: host(),
        };
        let recorder = Recorder::new(world.clone(), Box::new(history));
        let ended = conductor::run(world, experiment, setting, recorder.clone(), &mut progress).await;
        // While somebody still hears them.
        signals::end_with(outranked(&ended).unwrap_or(exit::INTERRUPTED), Some(unreported(folder)));
        recorder.finish();
        progress.finish();
        ended
    })
}

/// One signal ends in good order, two heal and leave.
async fn pass_on(mut signals: Signals, asked: watch::Sender<u32>, say: impl Fn(&str)) {
    loop {
        signals.next().await;
        asked.send_modify(|n| *n += 1);
        if *asked.borrow() == 1 {
            say("stopping: healing faults, then teardown; once more to heal and leave at once");
        }
    }
}

/// Cores, memory and kernel, in one line.
fn host() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let system = rustix::system::uname();
    format!("{cores} cores, {} {}", system.sysname().to_string_lossy(), system.release().to_string_lossy())
}

/// What stays undone where squall is stopped before it has reported.
fn unreported(folder: &Path) -> String {
    let (folder, logs) = (folder.display(), folder.join("services"));
    let may_have = format!("; what services wrote ({}) may have secrets in it", logs.display());
    let secrets = Some(may_have).filter(|_| logs.is_dir()).unwrap_or_default();
    format!("stopped before all reports were written: `squall report {folder}` writes them{secrets}")
}

/// The exit code that a verdict has no say in.
fn outranked(ended: &Ended) -> Option<u8> {
    match ended {
        Err(failure) => Some(failure.exit()),
        Ok(Outcome { not_undone: true, .. }) => Some(exit::NOT_UNDONE),
        Ok(Outcome { how: How::Interrupted, .. }) => Some(exit::INTERRUPTED),
        Ok(_) => None,
    }
}

/// Judges what was recorded, whatever the end was, and reports it.
fn finish(ended: Ended, experiment: &Experiment, folder: &Path, outputs: &Outputs) -> Result<u8, u8> {
    let code = reported(ended, experiment, folder, outputs);
    mask_logs(experiment, folder, code.unwrap_or_else(|code| code));
    code
}

fn reported(ended: Ended, experiment: &Experiment, folder: &Path, outputs: &Outputs) -> Result<u8, u8> {
    let why = ended.as_ref().err().map(|why| visible(&redact(&why.to_string(), &experiment.secrets)));
    let nothing_to_report = matches!(ended, Err(Failure::Configuration(_))) && discard(folder);
    // The target may have had a say in it. Whoever wants one line gets it from the report.
    let told = why.is_some() && !(outputs.quiet() && began(folder));
    if let Some(why) = why.as_ref().filter(|_| told) {
        error(&format!("error: {why}"));
    }
    if nothing_to_report {
        return Ok(exit::BAD_CONFIGURATION);
    }
    let outranked = outranked(&ended);
    match report::report(folder, outputs, outranked) {
        Ok(judgement) => Ok(judgement.exit.code),
        Err(unwritten) => {
            // One sentence is enough: why the run failed, which may be why there is no report.
            if !told {
                error(&format!("error: {}", why.unwrap_or(unwritten)));
            }
            Ok(outranked.unwrap_or(exit::RUNTIME_ERROR))
        }
    }
}

/// What services wrote while they ran is theirs; what they printed of secrets is taken out when the run is over. Whoever
/// asks to stop does not wait for that.
pub(super) fn mask_logs(experiment: &Experiment, folder: &Path, code: u8) {
    let services = folder.join("services");
    let Ok(logs) = fs::read_dir(&services) else { return };
    let undone =
        format!("stopped before all of {} was looked at: it may have secrets in it", services.display());
    signals::end_with(code, Some(undone));
    // What somebody else put there is none of squall's.
    let is_file = |log: &fs::DirEntry| log.file_type().is_ok_and(|kind| kind.is_file());
    for log in logs.flatten().filter(is_file) {
        if let Err(why) = redact_file(&log.path(), &experiment.secrets) {
            error(&format!("{} may have secrets in it: {why}", log.path().display()));
        }
    }
}

/// A run that never began has an empty history.
fn began(folder: &Path) -> bool {
    fs::metadata(folder.join("history.jsonl")).is_ok_and(|history| history.len() > 0)
}

/// Takes the folder of a run that never began away, unless a service was started in vain: the message names its
/// log, and what it left is known to the journal.
fn discard(folder: &Path) -> bool {
    let began = began(folder);
    let logs = fs::read_dir(folder.join("services")).into_iter().flatten().flatten();
    if !began && logs.count() == 0 {
        // What cannot be removed is in nobody's way.
        let _ = fs::remove_dir_all(folder);
    }
    !began
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a container every process has the number of the one before it, and its folders may outlive it.
    #[test]
    fn a_folder_that_an_ended_process_left_is_nobody_elses() {
        let folder = std::env::temp_dir().join(format!("squall-left-{}", std::process::id()));
        let made: Vec<PathBuf> = (0..3).map(|_| made_new(&folder).unwrap()).collect();
        made.iter().for_each(|made| fs::remove_dir(made).unwrap());
        let named = |n: u32| PathBuf::from(format!("{}-{n}", folder.display()));
        assert_eq!(made, [folder.clone(), named(1), named(2)]);
    }

    #[test]
    fn runs_that_begin_at_once_have_ids_of_their_own() {
        let pid = std::process::id() & 0xfff;
        assert_eq!(run_id(1_000_000 * 1_000), format!("0f4240{pid:03x}"));
    }
}

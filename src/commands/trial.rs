//! `squall try`: one flow of each shape, shown and not judged.

use std::rc::Rc;

use super::documents;
use super::print::{error, out};
use super::run::{made_new, mask_logs, run_id};
use super::signals::Signals;
use crate::cli;
use crate::conductor::{Failure, Files, Show, trial};
use crate::exit;
use crate::experiment::Experiment;
use crate::redact::redact;
use crate::report::visible;
use crate::service::own_binary;
use crate::world::{Origin, run_real, run_virtual};

/// 0 if every flow came to its end; 1 if one did not, which is no verdict.
pub fn run(args: &cli::Experiment) -> u8 {
    let experiment = match documents::experiment(args) {
        Ok(experiment) => experiment,
        Err(code) => return code,
    };
    let tried = match experiment.outline.virtual_time {
        true => run_virtual(|world| {
            let run = format!("v{:05x}", experiment.outline.seed & 0xf_ffff);
            let experiment = &experiment;
            async move {
                trial(world, experiment, None, run, &show(), async || std::future::pending().await).await
            }
        }),
        false => in_real_time(&experiment),
    };
    match tried {
        Ok(well) => u8::from(!well),
        Err(failure) => {
            error(&format!("error: {}", visible(&redact(&failure.to_string(), &experiment.secrets))));
            failure.exit()
        }
    }
}

/// To standard output, what the target put in made harmless for a terminal.
fn show() -> Show {
    Rc::new(|text| out(&format!("{}\n", text.lines().map(visible).collect::<Vec<_>>().join("\n"))))
}

fn in_real_time(experiment: &Experiment) -> Result<bool, Failure> {
    let binary = own_binary().map_err(Failure::Runtime)?;
    let folder = std::env::temp_dir().join(format!("squall-try-{}", std::process::id()));
    let folder = made_new(&folder)
        .map_err(|e| Failure::Runtime(format!("{} cannot be made: {e}", folder.display())))?;
    let files = Files { folder: folder.clone(), binary };
    let tried = run_real(Origin::now(), |world| async move {
        let mut signals =
            Signals::new().map_err(|e| Failure::Runtime(format!("signals cannot be heard: {e}")))?;
        let run = run_id(world.wall());
        trial(world, experiment, Some(&files), run, &show(), async || signals.next().await).await
    });
    // Of a service that did not start the message names the log.
    let logs = matches!(tried, Err(Failure::Configuration(_))) && !experiment.services.is_empty();
    if logs {
        mask_logs(experiment, &folder, exit::BAD_CONFIGURATION);
    } else {
        // What cannot be removed is in nobody's way.
        let _ = std::fs::remove_dir_all(&folder);
    }
    tried
}

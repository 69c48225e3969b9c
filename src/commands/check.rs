//! `squall check`: everything that is wrong in profiles and chaos plans, at once. Sends nothing.

use std::path::{Path, PathBuf};

use super::documents::{environment, lookup, text_of};
use super::print::{colour, error, out};
use crate::chaos_plan;
use crate::cli;
use crate::diagnose::{self, Problem};
use crate::exit;
use crate::experiment::{Flags, resolve};
use crate::profile;

/// 0 if nothing is wrong. Each profile is resolved by itself and with each of the plans.
pub fn run(args: &cli::Check) -> u8 {
    let problems = check(args);
    if problems.is_empty() {
        let files =
            if args.files.len() == 1 { "1 file".to_owned() } else { format!("{} files", args.files.len()) };
        out(&format!("{files} checked, nothing is wrong\n"));
        return 0;
    }
    error(diagnose::render(&problems, colour()).trim_end());
    exit::BAD_CONFIGURATION
}

/// A chaos plan has a timeline, links or services; a profile has none of these.
fn is_plan(text: &str) -> bool {
    ["timeline:", "links:", "services:", "judge:"]
        .iter()
        .any(|key| text.lines().any(|line| line.starts_with(key)))
}

fn check(args: &cli::Check) -> Vec<Problem> {
    let mut problems = Vec::new();
    let (mut profiles, mut plans) = (Vec::new(), Vec::new());
    for path in &args.files {
        match text_of(path) {
            Err(problem) => problems.push(problem),
            Ok(text) if is_plan(&text) => plans.push((path.clone(), text)),
            Ok(text) => profiles.push((path.clone(), text)),
        }
    }
    problems.extend(resolved(args, &profiles, &plans));
    let mut seen: Vec<Problem> = Vec::new();
    problems.retain(|problem| {
        let new = !seen.contains(problem);
        seen.push(problem.clone());
        new
    });
    problems
}

type Read = (PathBuf, String);

fn resolved(args: &cli::Check, profiles: &[Read], plans: &[Read]) -> Vec<Problem> {
    let env = environment();
    let flags = Flags { allow_target: args.allow_target.clone(), ..Flags::default() };
    let name = |path: &Path| path.display().to_string();
    let mut problems = Vec::new();
    for (path, text) in plans {
        problems.extend(chaos_plan::read(&name(path), text, &env).problems);
    }
    for (path, text) in profiles {
        let profile = profile::read(&name(path), text, &env);
        if plans.is_empty() {
            problems.extend(resolve(&profile, None, &flags, &lookup).err().unwrap_or_default());
        }
        for (path, text) in plans {
            let plan = chaos_plan::read(&name(path), text, &env);
            problems.extend(resolve(&profile, Some(&plan), &flags, &lookup).err().unwrap_or_default());
        }
    }
    problems
}

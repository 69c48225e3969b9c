//! `squall check`: everything that is wrong in profiles and chaos plans, at once. Sends nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::documents::{environment, is_plan, lookup, text_of};
use super::print::{colour, error, out};
use crate::chaos_plan;
use crate::cli;
use crate::diagnose::{self, Problem};
use crate::exit;
use crate::experiment::{Experiment, Flags, resolve};
use crate::profile;
use crate::redact::redact;

/// 0 if nothing is wrong. Profiles are resolved with the plans beside them; of many, what is wrong with a
/// file is what is wrong with it in every pair, so that files of different targets may be checked at once.
pub fn run(args: &cli::Check) -> u8 {
    let (problems, remarks) = check(args);
    if problems.is_empty() {
        let files = match args.all_files().count() {
            1 => "1 file".to_owned(),
            n => format!("{n} files"),
        };
        out(&format!("{files} checked, nothing is wrong\n"));
        remarks.iter().for_each(|remark| out(&format!("note: {remark}\n")));
        return 0;
    }
    error(diagnose::render(&problems, colour()).trim_end());
    exit::BAD_CONFIGURATION
}

/// What is wrong, and what one should know all the same.
fn check(args: &cli::Check) -> (Vec<Problem>, Vec<String>) {
    let mut problems = Vec::new();
    let (mut profiles, mut plans) = (Vec::new(), Vec::new());
    for path in args.all_files() {
        match text_of(path) {
            Err(problem) => problems.push(problem),
            Ok(text) if is_plan(&text) => plans.push((path.clone(), text)),
            Ok(text) => profiles.push((path.clone(), text)),
        }
    }
    let (wrong, remarks) = resolved(args, &profiles, &plans);
    problems.extend(wrong);
    let mut seen: Vec<Problem> = Vec::new();
    problems.retain(|problem| {
        let new = !seen.contains(problem);
        seen.push(problem.clone());
        new
    });
    (problems, remarks)
}

type Read = (PathBuf, String);

fn resolved(args: &cli::Check, profiles: &[Read], plans: &[Read]) -> (Vec<Problem>, Vec<String>) {
    let env = environment();
    let flags = Flags { allow_target: args.allow_target.clone(), ..Flags::default() };
    let name = |path: &Path| path.display().to_string();
    let (mut problems, mut remarks) = (Vec::new(), Vec::new());
    for (path, text) in plans {
        problems.extend(chaos_plan::read(&name(path), text, &env).problems);
    }
    // By file: what every pair that it is in agrees on.
    let mut agreed: BTreeMap<String, Vec<Problem>> = BTreeMap::new();
    for (path, text) in profiles {
        let profile = profile::read(&name(path), text, &env);
        if plans.is_empty() {
            let resolved = resolve(&profile, None, &flags, &lookup);
            remarks.extend(told(&resolved, name(path)));
            problems.extend(resolved.err().unwrap_or_default());
        }
        for (plan_path, plan_text) in plans {
            let plan = chaos_plan::read(&name(plan_path), plan_text, &env);
            let resolved = resolve(&profile, Some(&plan), &flags, &lookup);
            remarks.extend(told(&resolved, format!("{} x {}", name(path), name(plan_path))));
            let wrong = resolved.err().unwrap_or_default();
            for file in [name(path), name(plan_path)] {
                let of_file = |p: &&Problem| p.source.as_ref().is_none_or(|source| source.path == file);
                let here: Vec<Problem> = wrong.iter().filter(of_file).cloned().collect();
                agreed.entry(file).and_modify(|all| all.retain(|p| here.contains(p))).or_insert(here);
            }
        }
    }
    problems.extend(agreed.into_values().flatten());
    if profiles.is_empty() && !plans.is_empty() {
        remarks.push(
            "a plan by itself is only read: whether its links, services, times and phases fit shows with a profile, \
             `squall check PROFILE --chaos PLAN`"
                .to_owned(),
        );
    }
    (problems, remarks)
}

/// What the plan of a pair that fits together tells ahead.
fn told(resolved: &Result<Experiment, Vec<Problem>>, pair: String) -> Vec<String> {
    let remarks = |experiment: &Experiment| {
        let all = experiment.foresight.remarks.iter();
        all.map(|remark| format!("{pair}: {}", redact(remark, &experiment.secrets))).collect()
    };
    resolved.as_ref().map(remarks).unwrap_or_default()
}

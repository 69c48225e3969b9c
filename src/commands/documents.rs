//! From files and flags to an experiment, or to a list of everything that is wrong with them.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;

use super::print::{colour, error};
use crate::chaos_plan::{self, ChaosPlan};
use crate::cli;
use crate::diagnose::{self, Problem};
use crate::exit;
use crate::experiment::{Experiment, Flags, resolve};
use crate::profile::{self, Profile};
use crate::units::parse_duration;
use crate::yaml::{Document, Env};

/// The documents of an experiment, read.
pub struct Documents {
    pub profile: Document<Profile>,
    pub chaos: Option<Document<ChaosPlan>>,
}

/// Reads and resolves; prints what is wrong.
///
/// # Errors
/// Exit code 104, everything said.
pub fn experiment(args: &cli::Experiment) -> Result<Experiment, u8> {
    prepared(args).map_err(|problems| {
        error(diagnose::render(&problems, colour()).trim_end());
        exit::BAD_CONFIGURATION
    })
}

fn prepared(args: &cli::Experiment) -> Result<Experiment, Vec<Problem>> {
    let documents = read(&args.profile, args.chaos.as_deref()).map_err(|problem| vec![problem])?;
    let flags = flags(args).map_err(|problem| vec![problem])?;
    resolve(&documents.profile, documents.chaos.as_ref(), &flags, &lookup)
}

/// Reads both files.
pub fn read(profile: &Path, chaos: Option<&Path>) -> Result<Documents, Problem> {
    let env = environment();
    let (text, shown) = (text_of(profile)?, profile.display());
    if is_plan(&text) {
        let help = format!("name the profile first, and this one after `--chaos`: `PROFILE --chaos {shown}`");
        return Err(Problem::new(format!("{shown} is a chaos plan, not a profile")).help(help));
    }
    let profile = profile::read(&shown.to_string(), &text, &env);
    let chaos = match chaos {
        None => None,
        Some(path) => {
            let (text, shown) = (text_of(path)?, path.display());
            if is_profile(&text) {
                let help = "a chaos plan has `links`, `services` and a `timeline`";
                return Err(Problem::new(format!("{shown} is a profile, not a chaos plan")).help(help));
            }
            Some(chaos_plan::read(&shown.to_string(), &text, &env))
        }
    };
    Ok(Documents { profile, chaos })
}

/// It has keys of a chaos plan, and none that only a profile has.
pub fn is_plan(text: &str) -> bool {
    has_any(text, &["timeline", "links", "services", "steady", "abort", "judge"]) && !is_profile(text)
}

fn is_profile(text: &str) -> bool {
    has_any(text, &["shapes", "target", "duration"])
}

/// One of these keys at the left margin.
fn has_any(text: &str, keys: &[&str]) -> bool {
    let key = |line: &str| line.split_once(':').map(|(key, _)| key.trim_end().to_owned());
    text.lines().filter_map(key).any(|key| keys.contains(&key.as_str()))
}

pub fn environment() -> Env {
    let pairs = std::env::vars_os();
    let text = pairs.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    text.collect::<BTreeMap<_, _>>()
}

/// A document's text; in words what is wrong, with files of nearly the same name.
pub fn text_of(path: &Path) -> Result<String, Problem> {
    fs::read_to_string(path).map_err(|cause| {
        let shown = path.display();
        match cause.kind() {
            std::io::ErrorKind::NotFound => {
                Problem::new(format!("there is no file {shown}")).help_maybe(similar(path))
            }
            std::io::ErrorKind::InvalidData => {
                Problem::new(format!("{shown} is no text")).help("profiles and chaos plans are YAML in UTF-8")
            }
            _ => Problem::new(format!("{shown} cannot be read: {cause}")),
        }
    })
}

fn similar(path: &Path) -> Option<String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let listed = fs::read_dir(folder).ok()?;
    let names: Vec<String> = listed.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let wanted = path.file_name()?.to_str()?;
    let near = diagnose::nearest(wanted, names.iter().map(String::as_str))?;
    Some(format!("did you mean {}?", folder.join(near).display()))
}

fn flags(args: &cli::Experiment) -> Result<Flags, Problem> {
    let duration = args.duration.as_deref().map(parse_duration).transpose();
    let duration = duration.map_err(|why| Problem::new(format!("--duration: {why}")))?;
    let seed = args.seed.unwrap_or_else(draw_seed);
    Ok(Flags {
        target: args.target.clone(),
        duration,
        seed,
        virtual_time: args.virtual_time,
        smoke: args.smoke,
        allow_target: args.allow_target.clone(),
        flaws: args.sandbox_flaw.clone(),
        command: format!("{} --seed {seed}", command(args)),
    })
}

/// A short seed, so that people can read it to each other. Of the system's own chance: a pid is the same in each run
/// in a container, and so would be all that `hex` and `random` draw.
fn draw_seed() -> u64 {
    100_000 + RandomState::new().build_hasher().finish() % 900_000
}

/// The command that runs it again, but for the seed.
fn command(args: &cli::Experiment) -> String {
    let mut words = vec!["squall run".to_owned(), args.profile.display().to_string()];
    let mut add = |name: &str, value: String| words.push(format!("{name} {value}"));
    if let Some(chaos) = &args.chaos {
        add("--chaos", chaos.display().to_string());
    }
    args.target.iter().for_each(|target| add("--target", target.clone()));
    args.duration.iter().for_each(|duration| add("--duration", duration.clone()));
    args.sandbox_flaw.iter().for_each(|flaw| add("--sandbox-flaw", flaw.clone()));
    args.allow_target.iter().for_each(|host| add("--allow-target", host.clone()));
    args.shards.iter().for_each(|shards| add("--shards", shards.to_string()));
    if args.smoke {
        words.push("--smoke".to_owned());
    }
    if args.virtual_time {
        words.push("--virtual".to_owned());
    }
    words.join(" ")
}

/// Looks a host's name up; both kinds of address.
pub fn lookup(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let addresses =
        (host, port).to_socket_addrs().map_err(|_| format!("the name `{host}` does not resolve"))?;
    Ok(addresses.collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_file_is_what_its_keys_say_also_where_one_of_them_is_out_of_place() {
        let rows = [
            ("target: sandbox\nshapes: {}\n", false, true),
            ("judge: {warmup: 1s}\ntimeline: []\n", true, false),
            ("judge: {warmup: 1s}\n", true, false),
            ("target: sandbox\nduration: 9s\nabort: [errors > 9%]\n", false, true),
            ("# timeline: none\nshapes : {}\n", false, true),
            ("", false, false),
        ];
        for (text, plan, profile) in rows {
            assert_eq!((is_plan(text), is_profile(text)), (plan, profile), "{text}");
        }
    }

    #[test]
    fn each_run_draws_a_seed_of_its_own() {
        let drawn: BTreeSet<u64> = (0..20).map(|_| draw_seed()).collect();
        assert!(drawn.len() >= 18 && drawn.iter().all(|seed| seed.to_string().len() == 6), "{drawn:?}");
    }

    #[test]
    fn a_key_of_the_other_file_is_told_where_it_stands() {
        let none = Env::default();
        let said = |problems: &[Problem]| {
            problems
                .iter()
                .map(|p| (p.message.clone(), p.help.clone().unwrap_or_default()))
                .collect::<Vec<_>>()
        };
        let profile = profile::read(
            "p.yaml",
            "target: sandbox\nduration: 9s\nabort: [errors > 9%]\nshapes: {}\n",
            &none,
        );
        let of_a_plan = "it stands in a chaos plan: `--chaos PLAN`";
        assert_eq!(said(&profile.problems), [("unknown key `abort`".to_owned(), of_a_plan.to_owned())]);
        let plan = chaos_plan::read("c.yaml", "duration: 9s\nlinks: {a: {duration: 1s}}\n", &none);
        let help: Vec<String> = said(&plan.problems).into_iter().map(|(_, help)| help).collect();
        assert_eq!(help[0], "it stands in the profile");
        assert!(help[1..].iter().all(|help| !help.contains("profile")), "{help:?}");
    }
}

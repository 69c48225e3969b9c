//! From files and flags to an experiment, or to a list of everything that is wrong with them.

use std::collections::BTreeMap;
use std::fs;
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
    let text = text_of(profile)?;
    let profile = profile::read(&profile.display().to_string(), &text, &env);
    let chaos = match chaos {
        None => None,
        Some(path) => Some(chaos_plan::read(&path.display().to_string(), &text_of(path)?, &env)),
    };
    Ok(Documents { profile, chaos })
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

/// A short seed, so that people can read it to each other.
fn draw_seed() -> u64 {
    u64::from(std::process::id()) * 31 % 9_000 + 1_000
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

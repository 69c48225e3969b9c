//! `squall plan`: what a run would do. Sends nothing.

use super::documents;
use super::print::{columns, out};
use crate::cli;
use crate::report::plan;
use crate::world::open_files;

pub fn run(args: &cli::Experiment) -> u8 {
    match documents::experiment(args) {
        Ok(experiment) => {
            let text = plan::plan(&experiment, limits(args));
            out(&columns().map_or(text.clone(), |columns| plan::within(&text, columns.into())));
            0
        }
        Err(code) => code,
    }
}

/// What this machine allows.
pub fn limits(args: &cli::Experiment) -> plan::Limits {
    let open_files = open_files().unwrap_or(u64::MAX);
    plan::Limits { open_files, ephemeral_ports: ephemeral_ports(), shards: shards(args) }
}

/// How many threads send: as many as there are cores, if nothing else is asked for.
pub fn shards(args: &cli::Experiment) -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
    args.shards.unwrap_or(cores).max(1)
}

/// Local ports for outgoing connections to one address; Linux's default where it does not say.
fn ephemeral_ports() -> u64 {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ends = text.split_whitespace().filter_map(|end| end.parse::<u64>().ok());
    match (ends.next(), ends.next()) {
        (Some(first), Some(last)) if last >= first => last - first + 1,
        _ => 28_232,
    }
}

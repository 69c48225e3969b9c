//! The command line: what can be said, and what each word means.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Load, faults and judgement on one clock: squall says pass or fail with evidence.
#[derive(Debug, Parser)]
#[command(name = "squall", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a profile, with or without a chaos plan, and judge it
    Run(Run),
    /// Print what a run would do; sends nothing
    Plan(Experiment),
    /// Send one flow of each shape and show all that goes to and fro; judges nothing
    Try(Experiment),
    /// Report everything that is wrong in profiles and chaos plans
    Check(Check),
    /// Make all reports of a run again from its history
    Report {
        /// A run's folder, or its history.jsonl
        run: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Run the built-in rooms service until Ctrl-C
    Sandbox(Sandbox),
    /// Undo whatever an ended run left behind, from its journal
    Heal {
        /// Runs' folders; all under --reports if none is named
        runs: Vec<PathBuf>,
        /// Where runs' folders lie
        #[arg(long, default_value = "reports", value_name = "DIR")]
        reports: PathBuf,
    },
    /// The process that carries links and outlives squall
    #[command(hide = true)]
    Keeper { journal: PathBuf },
    /// One process of the sandbox
    #[command(hide = true)]
    SandboxProcess { process: String },
    /// The plain keep-alive server of `make bench`
    #[command(hide = true)]
    BenchServer {
        #[arg(long)]
        listen: std::net::SocketAddr,
    },
    /// The engine alone against one URL, for `make bench`
    #[command(hide = true)]
    BenchClient(BenchClient),
}

/// What an experiment is made of.
#[derive(Args, Clone, Debug)]
pub struct Experiment {
    /// The profile: shapes, flows, objectives
    pub profile: PathBuf,
    /// The chaos plan: links, services, faults
    #[arg(long, value_name = "PLAN")]
    pub chaos: Option<PathBuf>,
    /// `sandbox` or a URL, instead of the profile's; again for more addresses of one service
    #[arg(long, value_name = "URL")]
    pub target: Vec<String>,
    /// Length of the load, instead of the profile's
    #[arg(long, value_name = "D")]
    pub duration: Option<String>,
    /// Seed of every random draw; drawn and printed if not given
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Against the sandbox in virtual time: minutes in seconds, the same to the byte
    #[arg(long = "virtual")]
    pub virtual_time: bool,
    /// The same plan in seconds, to see that everything in it works; proves nothing
    #[arg(long)]
    pub smoke: bool,
    /// A host outside loopback that may be loaded
    #[arg(long, value_name = "HOST", env = "SQUALL_ALLOW_TARGET", value_delimiter = ',')]
    pub allow_target: Vec<String>,
    /// A flaw that the sandbox gets: unbounded_list
    #[arg(long, value_name = "FLAW")]
    pub sandbox_flaw: Vec<String>,
    /// Threads that send; one per core if not given
    #[arg(long, value_name = "N")]
    pub shards: Option<u32>,
}

#[derive(Args, Clone, Debug)]
pub struct Run {
    #[command(flatten)]
    pub experiment: Experiment,
    /// Where the run's folder is made
    #[arg(long, default_value = "reports", value_name = "DIR")]
    pub reports: PathBuf,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Args, Clone, Debug)]
pub struct Output {
    /// A further copy: html=, verdict= or summary= and a path
    #[arg(long, value_name = "KIND=PATH")]
    pub out: Vec<String>,
    /// No progress and no summary: one line on anything but PASS
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Args, Clone, Debug)]
pub struct Check {
    /// Profiles and chaos plans, in any order
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// One of them may stand here, as `run` takes it
    #[arg(long, value_name = "PLAN")]
    pub chaos: Option<PathBuf>,
    /// A host outside loopback that may be loaded
    #[arg(long, value_name = "HOST", env = "SQUALL_ALLOW_TARGET", value_delimiter = ',')]
    pub allow_target: Vec<String>,
}

impl Check {
    pub fn all_files(&self) -> impl Iterator<Item = &PathBuf> {
        self.files.iter().chain(&self.chaos)
    }
}

#[derive(Args, Clone, Debug)]
pub struct Sandbox {
    /// API nodes
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(2..=16))]
    pub nodes: u32,
    /// Rooms that exist from the start
    #[arg(long, default_value_t = 0)]
    pub rooms: u64,
    /// What is wrong with it: unbounded_list
    #[arg(long, value_name = "FLAW")]
    pub flaw: Vec<String>,
    /// One FIFO server instead of the rooms service
    #[arg(long)]
    pub plain: bool,
    /// Service time of the plain server
    #[arg(long, default_value = "1ms", value_name = "D", requires = "plain")]
    pub service: String,
    /// Exponential service times of the plain server
    #[arg(long, requires = "plain")]
    pub exponential: bool,
    /// Jobs that may wait at the plain server
    #[arg(long, value_name = "N", requires = "plain")]
    pub queue: Option<u64>,
}

#[derive(Args, Clone, Debug)]
pub struct BenchClient {
    #[arg(long)]
    pub url: String,
    /// Closed loop over this many connections
    #[arg(long, conflicts_with = "rate")]
    pub connections: Option<u64>,
    /// Open loop at this many requests a second
    #[arg(long)]
    pub rate: Option<f64>,
    #[arg(long = "for", value_name = "D")]
    pub length: String,
}

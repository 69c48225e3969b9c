//! The program: words in, exit code out. Everything else is in the library.

use std::process::ExitCode;

use clap::Parser;
use squall::cli::{Cli, Command};
use squall::commands::{bench, check, error, heal, keeper, plan, report, run, sandbox, trial};

fn main() -> ExitCode {
    squall::world::open_many_files();
    if let Err(why) = squall::world::has_files_for(1, Default::default()) {
        error(&format!("error: {why}"));
        return ExitCode::from(squall::exit::BAD_CONFIGURATION);
    }
    squall::world::survive_full_files();
    let code = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Try(args) => trial::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Report { run, output } => report::run(&run, &output),
        Command::Sandbox(args) => sandbox::run(&args),
        Command::Heal { runs, reports } => heal::run(&runs, &reports),
        Command::Keeper { journal } => keeper::run(journal),
        Command::SandboxProcess { process } => sandbox::process(&process),
        Command::BenchServer { listen } => bench::server(listen),
        Command::BenchClient(args) => bench::client(&args),
    };
    ExitCode::from(code)
}

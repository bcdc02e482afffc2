// SPDX-License-Identifier: MIT OR Apache-2.0
//! The `apvmm` command.

use std::process::ExitCode;

use apvmm::cli::{Cli, Command};
use apvmm::config::VmConfig;
use apvmm::outcome::EXIT_CONFIG;
use apvmm::stderr::Messages;
use clap::Parser;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { EXIT_CONFIG } else { 0 };
            // nowhere left to say it if this fails
            let _ = error.print();
            return code.into();
        }
    };
    tracing_subscriber::fmt()
        .with_writer(|| Messages(std::io::stderr()))
        .with_max_level(tracing::Level::INFO)
        .without_time()
        .with_target(false)
        .init();
    match cli.command {
        Command::Ctl(args) => apvmm::ctl::run(&args).into(),
        Command::Run(args) => match args.into_config() {
            Ok(config) => run(&config).into(),
            Err(error) => {
                tracing::error!("{}", apvmm::chain(&error));
                EXIT_CONFIG.into()
            }
        },
    }
}

#[cfg(target_arch = "s390x")]
fn run(config: &VmConfig) -> u8 {
    apvmm::run::run(config)
}

#[cfg(not(target_arch = "s390x"))]
fn run(_: &VmConfig) -> u8 {
    tracing::error!("apvmm runs s390x guests on s390x hosts only; the description is fine");
    apvmm::outcome::EXIT_HOST
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest runs; its host plugs and unplugs adapters, and the terminal shows who
//! has what.

use std::io::IsTerminal;
use std::process::ExitCode;

fn main() -> ExitCode {
    let asked = std::env::args().nth(1);
    if let Some(word) = asked.as_deref().filter(|w| *w != "--story") {
        eprintln!("demo: \"{word}\": only --story, which needs nobody at the terminal");
        return ExitCode::from(2);
    }
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    match harness::demo::run(terminal && asked.is_none()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("demo: {e}");
            ExitCode::FAILURE
        }
    }
}

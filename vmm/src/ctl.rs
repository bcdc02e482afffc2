// SPDX-License-Identifier: MIT OR Apache-2.0
//! `apvmm ctl`: one control request, one answer.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::CtlArgs;

/// Attaching or detaching may reset queues, which takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);

const REFUSED: u8 = 1;
const NO_ANSWER: u8 = 2;

/// Sends the request and prints the answer; returns the exit status.
pub fn run(args: &CtlArgs) -> u8 {
    let answer = match exchange(args) {
        Ok(answer) => answer,
        Err(error) => {
            let path = args.api_socket.display();
            tracing::error!("no answer from {path}: {error}");
            return NO_ANSWER;
        }
    };
    let mut stdout = io::stdout();
    if writeln!(stdout, "{answer}").is_err() {
        return NO_ANSWER;
    }
    if answer.get("error").is_some() {
        REFUSED
    } else {
        0
    }
}

fn exchange(args: &CtlArgs) -> io::Result<Value> {
    let mut stream = UnixStream::connect(&args.api_socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    writeln!(stream, "{}", request(&args.request))?;
    let mut line = String::new();
    if BufReader::new(stream).read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_str(&line)?)
}

/// A word stands for a request without further keys.
fn request(text: &str) -> String {
    if text.trim_start().starts_with('{') {
        // one line, whatever the user's layout
        text.replace('\n', " ")
    } else {
        json!({"request": text}).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_objects() {
        assert_eq!(request("info"), r#"{"request":"info"}"#);
        assert_eq!(request("{\n\"request\": 1}"), "{ \"request\": 1}");
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files of L1 for the scenario engine: writes them, with the errno of a
//! refusal, and tells whenever one it watches has changed.
//!
//! ```text
//!   request, a line                                answer, a line
//!   {"id":1,"write":{"path":"P","data":"D"}}       {"id":1,"errno":null}, or "EBUSY"
//!   {"id":2,"watch":["P",...]}                     {"id":2}, after what they are now
//!   {"id":3,"sync":true}                           {"id":3}, after all that has changed
//!                                                  {"path":"P","text":"T"}, or null
//! ```
//!
//! A watched path may be a link: its text is then the name it points to. Every
//! write has its own thread, since a driver may take long over one.

#![forbid(unsafe_code)]

mod watch;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::{self, BufRead, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use watch::Watcher;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    id: u32,
    write: Option<Data>,
    watch: Option<Vec<String>>,
    #[serde(default)]
    sync: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    path: String,
    data: String,
}

/// A line of output.
#[derive(Serialize)]
#[serde(untagged)]
enum Line {
    Written { id: u32, errno: Option<String> },
    Done { id: u32 },
    Changed { path: String, text: Option<String> },
}

/// What the watcher is asked for.
enum Order {
    Watch(u32, Vec<String>),
    Sync(u32),
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("host-io: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    let (orders, taken) = channel();
    // A byte on this pair ends the watcher's wait.
    let (wake, woken) = UnixStream::pair()?;
    woken.set_nonblocking(true)?;
    thread::spawn(move || {
        if let Err(e) = Watcher::new(woken).run(&taken) {
            eprintln!("host-io: {e}");
        }
    });
    for line in io::stdin().lock().lines() {
        let request: Request = serde_json::from_str(&line?)?;
        execute(request, &orders, &wake)?;
    }
    Ok(())
}

fn execute(request: Request, orders: &Sender<Order>, mut wake: &UnixStream) -> io::Result<()> {
    let id = request.id;
    if let Some(Data { path, data }) = request.write {
        thread::spawn(move || {
            let errno = write(&path, data.as_bytes()).err();
            print(&Line::Written { id, errno });
        });
        return Ok(());
    }
    let order = match request.watch {
        Some(paths) => Order::Watch(id, paths),
        None if request.sync => Order::Sync(id),
        None => return Err(io::Error::other("a request without a verb")),
    };
    orders.send(order).map_err(io::Error::other)?;
    wake.write_all(&[0])
}

/// One call of write, as sysfs wants it; the errno's name if it is refused.
fn write(path: &str, data: &[u8]) -> Result<(), String> {
    let name = |e: io::Error| {
        e.raw_os_error()
            .map_or_else(|| e.to_string(), |n| format!("{:?}", Errno::from_raw(n)))
    };
    let mut file = OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(path)
        .map_err(name)?;
    match file.write(data).map_err(name)? {
        n if n == data.len() => Ok(()),
        n => Err(format!("only {n} of {} bytes were taken", data.len())),
    }
}

fn print(line: &Line) {
    let Ok(mut text) = serde_json::to_string(line) else {
        return;
    };
    text.push('\n');
    // Without a reader there is nobody to tell that there is none.
    let mut stdout = io::stdout().lock();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_its_name() {
        assert_eq!(write("/nowhere/at/all", b"1"), Err("ENOENT".to_owned()));
        assert_eq!(write("/dev/null", b"1"), Ok(()));
        assert_eq!(write("/dev/full", b"1"), Err("ENOSPC".to_owned()));
    }
}

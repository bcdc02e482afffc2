// SPDX-License-Identifier: MIT OR Apache-2.0
//! A console into one end of a pair of sockets.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

use super::*;

const PAGE: [u8; 4096] = [b'x'; 4096];

/// A console whose writer runs, and its reader.
fn console() -> (Console, UnixStream) {
    let (reader, writer) = UnixStream::pair().unwrap();
    let (console, writer) = Console::new(OwnedFd::from(writer).into());
    thread::spawn(|| writer.run());
    (console, reader)
}

/// Reads that many bytes.
fn read(mut reader: UnixStream, len: usize) -> JoinHandle<(Vec<u8>, UnixStream)> {
    thread::spawn(move || {
        let mut bytes = vec![0; len];
        reader.read_exact(&mut bytes).unwrap();
        (bytes, reader)
    })
}

/// Writes until nobody takes any more.
fn stall(console: &Console) {
    while console.dropped() == 0 {
        console.write(&PAGE);
    }
}

#[test]
fn a_reader_gets_all_in_order() {
    let (console, reader) = console();
    let lines: Vec<String> = (0..50_000).map(|n| format!("line {n}\n")).collect();
    let all = lines.concat();
    let reader = read(reader, all.len());
    for line in lines {
        console.write(line.as_bytes());
    }
    console.finish();
    assert_eq!(reader.join().unwrap().0, all.as_bytes());
    assert_eq!(console.dropped(), 0);
}

#[test]
fn a_reader_that_stalls_holds_nobody_up_and_may_come_back() {
    let (console, reader) = console();
    stall(&console);
    // not once more
    let begin = Instant::now();
    for _ in 0..1000 {
        console.write(&PAGE);
    }
    console.finish();
    assert!(begin.elapsed() < 500 * PATIENCE, "{:?}", begin.elapsed());
    let dropped = console.dropped();
    assert!(dropped >= 1000 * 4096, "{dropped}");

    let (_, reader) = read(reader, 4 * BUFFER_MAX.min(4096)).join().unwrap();
    let mut reader = reader;
    reader.set_nonblocking(true).unwrap();
    let mut rest = [0; 4096];
    let patience = Instant::now() + 20 * PATIENCE;
    // what was kept, then what is new
    loop {
        console.write(b"new\n");
        let count = reader.read(&mut rest).unwrap_or(0);
        if rest[..count].ends_with(b"new\n") {
            break;
        }
        assert!(Instant::now() < patience, "nothing new");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_pipe_that_does_not_block_is_waited_for() {
    let (reader, writer) = UnixStream::pair().unwrap();
    writer.set_nonblocking(true).unwrap();
    let (console, writer) = Console::new(OwnedFd::from(writer).into());
    thread::spawn(|| writer.run());
    stall(&console);
    let before = console.dropped();
    let reader = read(reader, BUFFER_MAX);
    let (_, reader) = reader.join().unwrap();
    // it goes on
    let patience = Instant::now() + 20 * PATIENCE;
    let _reader = read(reader, 16 * 4096);
    while console.0.as_ref().unwrap().lock().hopeless() {
        assert!(Instant::now() < patience, "the console fell silent");
        thread::sleep(Duration::from_millis(1));
    }
    console.write(&PAGE);
    assert_eq!(console.dropped(), before);
}

#[test]
fn a_reader_that_is_gone_is_not_waited_for() {
    let (console, reader) = console();
    drop(reader);
    stall(&console);
    console.finish();
    assert!(console.0.as_ref().unwrap().lock().failed);
    Console::null().write(&PAGE);
    Console::null().finish();
}

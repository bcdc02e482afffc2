// SPDX-License-Identifier: MIT OR Apache-2.0
//! Standard error, for messages that hold nobody up.

use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How long a message waits for a reader, in milliseconds.
const PATIENCE: u16 = 1000;

/// Where messages go. One that finds its reader stalled, say that of a pipe
/// that the console's output goes to as well, is dropped: the thread that has
/// it may be the one that everything else depends on.
#[derive(Clone, Copy, Debug)]
pub struct Messages<T>(pub T);

impl<T: Write + AsFd> Write for Messages<T> {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        let mut files = [PollFd::new(self.0.as_fd(), PollFlags::POLLOUT)];
        // a pipe that is ready takes a page
        match poll(&mut files, PollTimeout::from(PATIENCE)) {
            Ok(0) => Ok(message.len()),
            _ => match self.0.write(message) {
                Err(error) if error.kind() != ErrorKind::Interrupted => Ok(message.len()),
                result => result,
            },
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_reader_that_stalls_holds_nobody_up() {
        let (mut reader, mut writer) = UnixStream::pair().unwrap();
        Messages(&writer).write_all(b"hello").unwrap();
        let mut bytes = [0; 5];
        reader.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"hello");
        writer.set_nonblocking(true).unwrap();
        loop {
            match writer.write(&[0; 4096]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                result => assert!(result.unwrap() > 0),
            }
        }
        writer.set_nonblocking(false).unwrap();
        Messages(&writer).write_all(b"lost").unwrap();
        drop(reader);
        Messages(&writer).write_all(b"lost").unwrap();
    }
}

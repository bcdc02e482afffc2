// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames: a length, then one message.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, Read, Write};

/// Largest frame either side sends. Contents are cut to
/// [`CHUNK`](crate::CHUNK) bytes, so a longer frame means a broken stream.
pub const MAX_FRAME: usize = 1 << 20;

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream ended between two frames.
    #[error("the other side has closed the connection")]
    Closed,
    /// The stream failed, or ended inside a frame.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// The length is beyond [`MAX_FRAME`].
    #[error("a frame of {0} bytes is longer than any this protocol sends")]
    TooLong(usize),
    /// The bytes are no message of this protocol.
    #[error("a frame cannot be decoded: {0}")]
    Malformed(#[from] postcard::Error),
}

/// Write one message as a frame, in one call to `write_all`.
///
/// # Errors
/// [`FrameError::TooLong`] before anything is written, else what the stream
/// reports.
pub fn send<T: Serialize>(to: &mut impl Write, message: &T) -> Result<(), FrameError> {
    let mut frame = postcard::to_extend(message, vec![0; 4])?;
    let len = frame.len() - 4;
    if len > MAX_FRAME {
        return Err(FrameError::TooLong(len));
    }
    let prefix = u32::try_from(len).map_err(|_| FrameError::TooLong(len))?;
    frame[..4].copy_from_slice(&prefix.to_be_bytes());
    to.write_all(&frame)?;
    to.flush()?;
    Ok(())
}

/// Read one frame, waiting for it.
///
/// # Errors
/// See [`FrameError`]; after any of them the stream is out of step and of no
/// further use.
pub fn receive<T: DeserializeOwned>(from: &mut impl Read) -> Result<T, FrameError> {
    let mut prefix = [0; 4];
    let first = loop {
        match from.read(&mut prefix[..1]) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    if first == 0 {
        return Err(FrameError::Closed);
    }
    from.read_exact(&mut prefix[1..])?;
    let len = u32::from_be_bytes(prefix) as usize;
    if len > MAX_FRAME {
        return Err(FrameError::TooLong(len));
    }
    let mut frame = vec![0; len];
    from.read_exact(&mut frame)?;
    Ok(postcard::from_bytes(&frame)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, Request, Stream};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_round_trip_and_nothing_is_left(id: u32, level in 0u8..8, text: String, data: Vec<u8>) {
            let messages = [
                Event::Kernel { level, micros: 7, text: text.clone() },
                Event::Output { id, stream: Stream::Stderr, data },
                Event::FileDone { id, result: Err(text) },
            ];
            let mut wire = Vec::new();
            for m in &messages {
                send(&mut wire, m).unwrap();
            }
            let mut rest = wire.as_slice();
            for m in &messages {
                prop_assert_eq!(&receive::<Event>(&mut rest).unwrap(), m);
            }
            prop_assert!(matches!(receive::<Event>(&mut rest), Err(FrameError::Closed)));
        }

        #[test]
        fn hostile_bytes_are_an_error_not_a_panic(bytes: Vec<u8>) {
            let mut framed = u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
            framed.extend(&bytes);
            let _ = receive::<Request>(&mut framed.as_slice());
        }
    }

    #[test]
    fn a_cut_frame_is_told_from_a_closed_stream() {
        let mut wire = Vec::new();
        let request = Request::Stdin {
            id: 1,
            data: Vec::new(),
        };
        send(&mut wire, &request).unwrap();
        let cut = &wire[..wire.len() - 1];
        assert!(matches!(
            receive::<Request>(&mut &cut[..]),
            Err(FrameError::Io(_))
        ));
    }

    #[test]
    fn an_absurd_length_is_refused() {
        let wire = u32::MAX.to_be_bytes();
        assert!(matches!(
            receive::<Event>(&mut &wire[..]),
            Err(FrameError::TooLong(_))
        ));
    }
}

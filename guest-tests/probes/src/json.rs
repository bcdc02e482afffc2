// SPDX-License-Identifier: MIT OR Apache-2.0
//! JSON objects on one line, without allocation.

use core::fmt::{self, Display, Write};

/// An object being written.
pub struct Object<'a, W: Write> {
    to: &'a mut W,
    first: bool,
}

impl<'a, W: Write> Object<'a, W> {
    /// Starts an object.
    pub fn start(to: &'a mut W) -> Result<Self, fmt::Error> {
        to.write_char('{')?;
        Ok(Self { to, first: true })
    }

    fn key(&mut self, key: &str) -> fmt::Result {
        let comma = if self.first { "" } else { "," };
        self.first = false;
        write!(self.to, "{comma}\"{key}\":")
    }

    /// A value that is a number or `true`, `false`, `null` as displayed.
    pub fn raw(&mut self, key: &str, value: impl Display) -> fmt::Result {
        self.key(key)?;
        write!(self.to, "{value}")
    }

    /// A string.
    pub fn string(&mut self, key: &str, value: impl Display) -> fmt::Result {
        self.key(key)?;
        self.to.write_char('"')?;
        write!(Escape(self.to), "{value}")?;
        self.to.write_char('"')
    }

    /// An object, filled by `fill`.
    pub fn object(
        &mut self,
        key: &str,
        fill: impl FnOnce(&mut Object<'_, W>) -> fmt::Result,
    ) -> fmt::Result {
        self.key(key)?;
        let mut object = Object::start(self.to)?;
        fill(&mut object)?;
        object.end()
    }

    /// Ends the object.
    pub fn end(self) -> fmt::Result {
        self.to.write_char('}')
    }
}

/// Escapes what a JSON string may not hold.
struct Escape<'a, W: Write>(&'a mut W);

impl<W: Write> Write for Escape<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '"' | '\\' => write!(self.0, "\\{c}")?,
                c if c.is_ascii_control() => write!(self.0, "\\u{:04x}", u32::from(c))?,
                c => self.0.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::String;

    #[test]
    fn an_object() {
        let mut line = String::new();
        let mut object = Object::start(&mut line).unwrap();
        object.string("op", "TA\"P\\Q\n").unwrap();
        object.raw("rc", 3).unwrap();
        object
            .object("in", |o| {
                o.raw("a", true)?;
                o.raw("b", false)
            })
            .unwrap();
        object.object("empty", |_| Ok(())).unwrap();
        object.end().unwrap();
        let expected = r#"{"op":"TA\"P\\Q\u000a","rc":3,"in":{"a":true,"b":false},"empty":{}}"#;
        assert_eq!(line, expected);
    }
}

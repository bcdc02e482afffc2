// SPDX-License-Identifier: MIT OR Apache-2.0
//! The board: who has which queue, side by side.
//!
//! ```text
//!        host         mdev         guest_matrix  the guest sees
//!        0004 0005    0004 0005    0004 0005     0004 0005
//!   05    v    z       #    .       #    .        #    .
//! ```

use ap_arch::{Apid, Apqi, Apqn};
use std::collections::BTreeSet;
use std::fmt::Write;

/// What is on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Board {
    /// Rows: adapters of the host, and of the mdev.
    pub adapters: BTreeSet<Apid>,
    /// Columns.
    pub domains: BTreeSet<Apqi>,
    /// Queues of the host with their driver's letter.
    pub host: Vec<(Apqn, char)>,
    /// Lines of `matrix`.
    pub assigned: Vec<String>,
    /// Lines of `guest_matrix`.
    pub given: Vec<String>,
    /// What the guest was told, in the same form.
    pub seen: Vec<String>,
    /// Control domains: of the mdev, and as the guest sees them.
    pub control: [String; 2],
    /// Lines of `explain`.
    pub explain: Vec<String>,
}

/// The letter of a queue with this driver, or without one.
pub fn letter(driver: Option<&str>) -> char {
    match driver {
        Some("vfio_ap") => 'v',
        Some(_) => 'z',
        None => '-',
    }
}

/// `#` where a matrix has a queue, `a` and `d` where it has one half only.
fn cell(lines: &[String], queue: Apqn) -> char {
    let has = |text: String| lines.contains(&text);
    let name = queue.to_string();
    if has(name.clone()) {
        '#'
    } else if has(format!("{}.", &name[..2])) {
        'a'
    } else if has(name[2..].to_owned()) {
        'd'
    } else {
        '.'
    }
}

impl Board {
    /// As text.
    pub fn text(&self) -> String {
        let heads = ["host", "mdev", "guest_matrix", "the guest sees"];
        let width = (self.domains.len() * 5).max(14) + 2;
        let mut lines = vec!["    ".to_owned(); self.adapters.len() + 2];
        for (n, head) in heads.iter().enumerate() {
            let _ = write!(lines[0], "{head:width$}");
            let columns: Vec<String> = self.domains.iter().map(Apqi::to_string).collect();
            let _ = write!(lines[1], "{:width$}", columns.join(" "));
            for (line, apid) in lines[2..].iter_mut().zip(&self.adapters) {
                let row = self.domains.iter().map(|apqi| {
                    let queue = Apqn::new(*apid, *apqi);
                    match n {
                        0 => self
                            .host
                            .iter()
                            .find(|(q, _)| *q == queue)
                            .map_or(' ', |q| q.1),
                        1 => cell(&self.assigned, queue),
                        2 => cell(&self.given, queue),
                        _ => cell(&self.seen, queue),
                    }
                });
                let row: Vec<String> = row.map(|c| format!(" {c}  ")).collect();
                let _ = write!(line, "{:width$}", row.join(" "));
            }
        }
        for (line, apid) in lines[2..].iter_mut().zip(&self.adapters) {
            line.replace_range(..4, &format!(" {apid} "));
        }
        let [mdev, guest] = &self.control;
        lines.push(format!(
            "    control domains: mdev [{mdev}], guest [{guest}]"
        ));
        lines.extend(
            self.explain
                .iter()
                .map(|why| format!("    kept from the guest: {why}")),
        );
        let text: Vec<&str> = lines.iter().map(|l| l.trim_end()).collect();
        text.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_stand_side_by_side() {
        let words = |all: &[&str]| all.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let queue = |name: &str| name.parse::<Apqn>().unwrap();
        let board = Board {
            adapters: [Apid::new(5), Apid::new(7)].into(),
            domains: [Apqi::new(4), Apqi::new(5)].into(),
            host: vec![(queue("05.0004"), 'v'), (queue("07.0005"), 'z')],
            assigned: words(&["05.0004", "07.0004"]),
            given: words(&["05."]),
            seen: words(&[".0004"]),
            control: ["0004".to_owned(), String::new()],
            explain: words(&["adapter 07 not-in-host"]),
        };
        let text = "    host            mdev            guest_matrix    the guest sees
    0004 0005       0004 0005       0004 0005       0004 0005
 05  v               #    .          a    a          d    .
 07       z          #    .          .    .          d    .
    control domains: mdev [0004], guest []
    kept from the guest: adapter 07 not-in-host";
        assert_eq!(board.text(), text);
    }
}

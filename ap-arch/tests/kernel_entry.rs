// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel build includes `types/mod.rs` by path, below the root of its own
//! module. That this compiles proves that nothing there names `crate::`.

#[path = "../src/types/mod.rs"]
#[expect(dead_code, unused_imports, reason = "only that it compiles matters")]
mod ap_arch;

use ap_arch::{Apid, Apqi, Apqn};

#[test]
fn included_by_path() {
    let apqn = Apqn::new(Apid::new(4), Apqi::new(0x47));
    assert_eq!(apqn.to_string(), "04.0047");
}

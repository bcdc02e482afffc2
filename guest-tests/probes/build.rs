// SPDX-License-Identifier: MIT OR Apache-2.0
//! Links the guest by its own script.

fn main() {
    println!("cargo:rerun-if-changed=../bare-metal/bare-metal.ld");
    if std::env::var_os("CARGO_FEATURE_BARE_METAL").is_some() {
        let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo:rustc-link-arg-bins=-T{here}/../bare-metal/bare-metal.ld");
    }
}

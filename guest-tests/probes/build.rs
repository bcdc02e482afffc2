// SPDX-License-Identifier: MIT OR Apache-2.0
//! Links the guest by its own script.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

const SCRIPT: &str = "../bare-metal/bare-metal.ld";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={SCRIPT}");
    if env::var_os("CARGO_FEATURE_BARE_METAL").is_some() {
        // A copy: checkouts share what is built, and each may be gone.
        let copy = Path::new(&env::var("OUT_DIR")?).join("bare-metal.ld");
        fs::copy(SCRIPT, &copy)?;
        println!("cargo:rustc-link-arg-bins=-T{}", copy.display());
    }
    Ok(())
}

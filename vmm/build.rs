// SPDX-License-Identifier: MIT OR Apache-2.0
//! Marks the program as one that runs KVM guests.
//!
//! s390x kernels before 7.2 give page tables that KVM can use only to programs
//! with this ELF header (or to all, by the sysctl `vm.allocate_pgste`); others
//! cannot create a VM.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("s390x") {
        println!("cargo:rustc-link-arg-bins=-Wl,--s390-pgste");
    }
}

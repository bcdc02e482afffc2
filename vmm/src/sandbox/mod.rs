// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the process may still do once its machine is built.
//!
//! | layer        | leaves                                                    |
//! |--------------|-----------------------------------------------------------|
//! | no_new_privs | no privileges from programs, which cannot be started       |
//! | Landlock     | VFIO nodes, sysfs to read, the control socket's folder     |
//! | capabilities | none                                                       |
//! | seccomp      | the calls of a running machine; any other one kills it     |
//!
//! The order matters: kernel, RAM disk, console, log and socket are open by
//! then, and CPU threads, which start afterwards, inherit all of it.
//!
//! Source: Linux `Documentation/userspace-api/landlock.rst`,
//! `Documentation/userspace-api/seccomp_filter.rst`.

pub mod filter;
#[cfg(target_arch = "s390x")]
mod install;
#[cfg(target_arch = "s390x")]
mod process;

#[cfg(target_arch = "s390x")]
pub use process::{SandboxError, enter};

// SPDX-License-Identifier: GPL-2.0
//! AP pass-through for KVM guests: root of the `vfio_ap` module.

use kernel::prelude::*;

module! {
    type: VfioAp,
    name: "vfio_ap",
    authors: ["vfio-ap-rs"],
    description: "VFIO AP device driver in Rust",
    license: "GPL",
}

/// The module's version, logged when it is loaded.
const VERSION: &str = "0.1.0";

struct VfioAp;

impl kernel::Module for VfioAp {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        pr_info!("vfio-ap-rs {VERSION} loaded\n");
        Ok(Self)
    }
}

impl Drop for VfioAp {
    fn drop(&mut self) {
        pr_info!("vfio-ap-rs {VERSION} unloaded\n");
    }
}

// SPDX-License-Identifier: GPL-2.0
//! VFIO AP: passes AP queues through to guests, and keeps them apart.
//!
//! ```text
//!   sysfs, VFIO, KVM, AP bus       callbacks into
//!      abi/                        all that touches C, and all `unsafe`
//!        attributes, guest         what users ask for
//!          driver, queue           locks, waiting, resetting
//!            rules/                who may have what (hostdrv/logic)
//! ```

use kernel::prelude::*;
use kernel::sync::Arc;

mod abi;
#[expect(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "the architecture is shared; this driver needs part of it"
)]
#[path = "../ap-arch/src/types/mod.rs"]
mod ap_arch;
mod attributes;
mod driver;
mod guest;
mod irq;
mod locks;
mod memory;
mod pins;
mod queue;
#[expect(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "the rules also answer questions that only tests ask"
)]
#[path = "logic/src/rules/mod.rs"]
mod rules;
mod trace;

module! {
    type: VfioAp,
    name: "vfio_ap",
    authors: ["The vfio-ap-rs developers"],
    description: "VFIO AP device driver in Rust",
    license: "GPL v2",
}

/// So that the kernel's print macros take it.
impl kernel::fmt::Display for ap_arch::Apqn {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

/// The loaded driver. Fields are dropped in this order.
struct VfioAp {
    /// Removes all mdevs, and with them all guests.
    mdevs: Option<abi::mdev::Registration>,
    /// Gives all queues back.
    bus: Option<abi::ap_bus::Registration>,
    core: Arc<driver::Core>,
    _dbf: abi::Dbf,
}

impl kernel::Module for VfioAp {
    fn init(module: &'static ThisModule) -> Result<Self> {
        let dbf = abi::Dbf::register()?;
        if !abi::insn::available() {
            return Err(ENODEV);
        }
        // without QCI nothing is known to be there, so nothing can be passed
        let qci = abi::insn::qci().unwrap_or_default();
        let core = driver::Core::new(&qci)?;
        let matrix_device = abi::matrix_dev::MatrixDevice::new(module)?;
        let mut driver = Self {
            mdevs: None,
            bus: None,
            core: core.clone(),
            _dbf: dbf,
        };
        driver.bus = Some(abi::ap_bus::Registration::new(core.clone(), module)?);
        driver.mdevs = Some(abi::mdev::Registration::new(core, matrix_device, module)?);
        Ok(driver)
    }
}

impl Drop for VfioAp {
    fn drop(&mut self) {
        self.mdevs = None;
        self.bus = None;
        self.core.stop();
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! The adjunct processor (AP) architecture: identifiers, masks and layouts,
//! each defined once for the device model, the driver, the VMM and the probes.
#![no_std]
#![forbid(unsafe_code)]

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What bindgen reads. The bindings of the kernel crate have devices, drivers,
 * sysfs, modules and eventfds; added here is what only this driver needs.
 * ap_bus.h is private to the kernel tree, which the build has.
 */
#include <asm/debug.h>
#include <linux/mdev.h>
#include <linux/device-id/ap.h>
#include "ap_bus.h"
#include "shim.h"

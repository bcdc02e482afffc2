/*
 * Adjunct processor (AP) emulation: interruptions
 *
 * A program names a notification indicator byte for each queue, by PQAP(AQIC),
 * and an interruption subclass. Several queues may share one byte; Linux has a
 * single one for all. It clears the byte before it looks at the queues.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/log.h"
#include "exec/cpu-common.h"
#include "hw/s390x/ap-emulation.h"
#include "hw/s390x/css.h"
#include "trace.h"

#define NIB_REPLY 0x01

void s390_ap_irq_init(Error **errp)
{
    css_register_io_adapters(CSS_IO_ADAPTER_AP, false, false, 0, errp);
}

/* Return what the byte was before; false if there is no such storage. */
static bool ap_set_indicator(uint64_t nib, uint8_t *before)
{
    hwaddr len = 1;
    uint8_t *byte = cpu_physical_memory_map(nib, &len, true);

    if (!byte) {
        return false;
    }
    *before = qatomic_fetch_or(byte, NIB_REPLY);
    cpu_physical_memory_unmap(byte, len, true, len);
    return true;
}

void s390_ap_indicate(const ApEffect *effect)
{
    uint8_t before;

    if (effect->gisa) {
        /* no machine offers the facility that this is a part of */
        qemu_log_mask(LOG_UNIMP, "AP: an interruption for a GISA\n");
        return;
    }
    if (!ap_set_indicator(effect->nib, &before)) {
        qemu_log_mask(LOG_GUEST_ERROR,
                      "AP: no storage at indicator 0x%" PRIx64 "\n",
                      effect->nib);
        return;
    }
    trace_ap_indicate(effect->apqn, effect->nib, before, effect->isc);
    /*
     * If the byte was set, an interruption is pending or the program has yet
     * to look at the queues. Another would only pile up: they do not merge.
     */
    if (!before) {
        css_adapter_interrupt(CSS_IO_ADAPTER_AP, effect->isc);
    }
}

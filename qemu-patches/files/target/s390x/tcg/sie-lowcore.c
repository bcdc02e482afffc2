/*
 * s390x SIE: interruption parameters
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "s390x-internal.h"
#include "exec/cpu-common.h"
#include "sie.h"

/*
 * Interruption parameters go into the lowcore.  For a guest they also go into
 * the state description, whose bytes C0-EF mirror 80-AF of the lowcore (the
 * monitor code, at B0, is at E8): if the interruption turns out to be
 * intercepted they are in place.
 */
void s390_lowcore_store(CPUS390XState *env, uint32_t off, int size,
                        uint64_t val)
{
    const uint32_t sd_off =
        off == offsetof(LowCore, monitor_code)
        ? offsetof(S390SIEDescr, tecmc)
        : off - offsetof(LowCore, ext_params) + offsetof(S390SIEDescr,
                                                         eiparams);
    uint8_t buf[8];

    g_assert(size <= sizeof(buf) && off >= offsetof(LowCore, ext_params) &&
             off + size <= offsetof(LowCore, monitor_code) + 8);
    stn_be_p(buf, size, val);
    cpu_physical_memory_write((env->sie.active ? env->sie.lowcore : env->psa) +
                              off, buf, size);
    if (env->sie.active) {
        memcpy((uint8_t *)env->sie.sd + sd_off, buf, size);
    }
}

/*
 * s390x: clear the TLB entries of one address space
 *
 * An MMU index holds translations by the address-space-control element that is
 * in a control register now: loading another one flushes the index.  So the
 * entries that were formed by an ASCE are in the indices of the registers that
 * have it, and all others can stay.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/cputlb.h"
#include "tcg_s390x.h"
#include "sie.h"

/* Goes with an ASCE, in which this bit means nothing here */
#define ASCE_OF_GUEST   1

/* Do two ASCEs designate the same address space? */
bool s390_same_asce(uint64_t a, uint64_t b)
{
    return ((a ^ b) & (ASCE_ORIGIN | ASCE_TYPE_MASK)) == 0;
}

/* MMU indices that hold translations by @asce */
uint16_t s390_asce_map(uint64_t asce, uint64_t cr1, uint64_t cr7, uint64_t cr13)
{
    return s390_same_asce(cr1, asce) << MMU_PRIMARY_IDX |
           s390_same_asce(cr7, asce) << MMU_SECONDARY_IDX |
           s390_same_asce(cr13, asce) << MMU_HOME_IDX;
}

/* MMU indices of a CPU that hold translations by @asce */
static uint16_t asce_map_of(CPUS390XState *env, uint64_t asce)
{
    const uint64_t *cregs = s390_host_cregs(env);

    if (asce & ASCE_OF_GUEST) {
        return s390_sie_asce_map(env, asce);
    }
    return s390_asce_map(asce, cregs[1], cregs[7], cregs[13]) |
           s390_sie_host_asce_map(env, asce);
}

static void flush_asce(CPUState *cs, run_on_cpu_data data)
{
    CPUS390XState *env = cpu_env(cs);
    const uint64_t asce = data.target_ptr;
    const uint16_t map = asce_map_of(env, asce);

    if (!map) {
        return;
    }
    if ((map & MMU_SIE_IDX_MAP) && !(asce & ASCE_OF_GUEST)) {
        s390_sie_forget_s2(env);
    }
    tlb_flush_by_mmuidx(cs, map);
}

/*
 * No CPU executes: each has only what is in its control registers now.  Most
 * often no other has the address space, and waking a CPU that waits takes longer
 * than all else here.
 */
static void flush_asce_everywhere(CPUState *src, run_on_cpu_data data)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (cs != src && asce_map_of(cpu_env(cs), data.target_ptr)) {
            async_run_on_cpu(cs, flush_asce, data);
        }
    }
    flush_asce(src, data);
}

/*
 * Clear the entries that were formed by @asce, which is the guest's if a SIE
 * guest is running: on this CPU if @local, else on all.
 */
void s390_tlb_clear_asce(CPUS390XState *env, uint64_t asce, bool local)
{
    CPUState *src = env_cpu(env);
    const uint64_t which = (asce & ~(uint64_t)ASCE_OF_GUEST) |
                           (s390_sie_active(env) ? ASCE_OF_GUEST : 0);
    const run_on_cpu_data data = RUN_ON_CPU_TARGET_PTR(which);

    if (local) {
        flush_asce(src, data);
    } else {
        async_safe_run_on_cpu(src, flush_asce_everywhere, data);
    }
}

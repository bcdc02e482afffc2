/*
 * s390x START INTERPRETIVE EXECUTION (SIE): entering and leaving a guest
 *
 * The guest's state goes into CPUS390XState and the host's is put aside, so
 * translated code and helpers work on guest state unchanged.  Leaving is the
 * reverse.  Both end in the main loop: no translation block spans them.
 *
 * A guest is left in one of two ways.  An interception stores a nonzero code
 * in the state description and continues after the SIE instruction.  In all
 * other cases (host interruptions, host access exceptions, a stopped VM) the
 * SIE instruction is nullified: it resumes the guest when it is executed
 * again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/log.h"
#include "qemu/timer.h"
#include "cpu.h"
#include "s390x-internal.h"
#include "exec/helper-proto.h"
#include "exec/exec-all.h"
#include "exec/address-spaces.h"
#include "tcg_s390x.h"
#include "s390-tod.h"
#include "sie.h"
#include "trace.h"

/* Registers that SIE switches between host and guest */
static void save_host(CPUS390XState *env)
{
    S390SIEState *sie = &env->sie;

    sie->host.mask = s390_cpu_get_psw_mask(env);
    sie->host.addr = env->psw.addr;
    sie->host.r14 = env->regs[14];
    sie->host.r15 = env->regs[15];
    memcpy(sie->host.cregs, env->cregs, sizeof(env->cregs));
    sie->host.psa = env->psa;
    sie->host.ckc = env->ckc;
    sie->host.cputm = env->cputm;
    sie->host.todpr = env->todpr;
    sie->host.gbea = env->gbea;
    sie->host.pp = env->pp;
}

static void restore_host(CPUS390XState *env)
{
    S390SIEState *sie = &env->sie;

    env->psw.mask = sie->host.mask;
    env->psw.addr = sie->host.addr;
    env->cc_op = (sie->host.mask & PSW_MASK_CC) >> 44;
    env->regs[14] = sie->host.r14;
    env->regs[15] = sie->host.r15;
    memcpy(env->cregs, sie->host.cregs, sizeof(env->cregs));
    env->psa = sie->host.psa;
    env->ckc = sie->host.ckc;
    env->cputm = sie->host.cputm;
    env->todpr = sie->host.todpr;
    env->gbea = sie->host.gbea;
    env->pp = sie->host.pp;
}

/* Controls, read once: changing them for a running guest has no effect */
static void read_controls(S390SIEState *sie)
{
    const S390SIEDescr *sd = sie->sd;

    sie->force_per = (sd->cpuflags[3] & SIE_CPUF3_P) &&
                     s390_has_feat(S390_FEAT_SIE_GPERE);

    sie->ictl = be32_to_cpu(sd->ictl);
    sie->eca = be32_to_cpu(sd->eca);
    sie->ecb = sd->ecb;
    sie->has_extent = !(sd->cpuflags[3] & SIE_CPUF3_SM);
    sie->mso = be64_to_cpu(sd->mso) & ~0xfffffULL;
    sie->msl = be64_to_cpu(sd->msl) | 0xfffffULL;
    sie->epoch = be64_to_cpu(sd->epoch);

    if (!s390_has_feat(S390_FEAT_SIE_CEI)) {
        sie->eca &= ~SIE_ECA_CEI;
    }
}

/* Guest registers except the PSW, which may have an early exception */
static void load_guest(CPUS390XState *env)
{
    const S390SIEDescr *sd = env->sie.sd;
    int i;

    for (i = 0; i < 16; i++) {
        env->cregs[i] = be64_to_cpu(sd->gcr[i]);
    }
    env->psa = be32_to_cpu(sd->prefix) & SIE_PREFIX_MASK;
    env->regs[14] = be64_to_cpu(sd->gg14);
    env->regs[15] = be64_to_cpu(sd->gg15);
    env->ckc = be64_to_cpu(sd->ckc);
    env->cputm = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) +
                 tod2time_signed(be64_to_cpu(sd->cputm));
    env->todpr = be32_to_cpu(sd->todpr);
    env->gbea = be64_to_cpu(sd->gbea);
    env->pp = be64_to_cpu(sd->pp);
}

/*
 * Only what SIE changes is stored: other CPUs of the host update further
 * fields (cpuflags, epoch) at any time.
 */
static void store_guest(CPUS390XState *env)
{
    S390SIEDescr *sd = env->sie.sd;
    const int64_t now = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
    int i;

    sd->gpsw_mask = cpu_to_be64(s390_cpu_get_psw_mask(env));
    sd->gpsw_addr = cpu_to_be64(env->psw.addr);
    for (i = 0; i < 16; i++) {
        sd->gcr[i] = cpu_to_be64(env->cregs[i]);
    }
    sd->gg14 = cpu_to_be64(env->regs[14]);
    sd->gg15 = cpu_to_be64(env->regs[15]);
    sd->ckc = cpu_to_be64(env->ckc);
    sd->cputm = cpu_to_be64(time2tod_signed(env->cputm - now));
    sd->todpr = cpu_to_be32(env->todpr);
    sd->gbea = cpu_to_be64(env->gbea);
    sd->pp = cpu_to_be64(env->pp);
}

static void unmap_sd(S390SIEState *sie)
{
    qatomic_set(&sie->runs, 0);
    cpu_physical_memory_unmap(sie->sd, sizeof(*sie->sd), true,
                              sizeof(*sie->sd));
    sie->sd = NULL;
}

/*
 * Leave the guest and bring the host's state back.  The guest's state must be
 * exact: the caller has restored it if it comes from a translation block.
 * SIE_ICPT_NONE leaves the PSW at the SIE instruction.
 */
void s390_sie_leave(CPUS390XState *env, uint8_t icptcode)
{
    S390SIEState *sie = &env->sie;
    bool per;

    g_assert(sie->active);
    /* under icount, the clock may be read: the TB is not going to resume */
    env_cpu(env)->neg.can_do_io = true;

    s390_sie_ipte_unlock(env);
    s390_sie_save_tlb_key(env, &sie->tlb_key);
    store_guest(env);
    if (icptcode != SIE_ICPT_NONE) {
        sie->sd->icptcode = icptcode;
    }
    s390_sie_count_exit(env, icptcode);
    trace_sie_leave(env->core_id, sie->sd_addr, icptcode, env->psw.mask,
                    env->psw.addr);

    per = s390_per_active(env) || (sie->host.mask & PSW_MASK_PER);
    unmap_sd(sie);
    sie->active = false;
    restore_host(env);
    if (icptcode != SIE_ICPT_NONE) {
        env->psw.addr += sie->ilen;
    }
    /* what was pending for the guest is no business of the host */
    env->ex_value = 0;
    env->per_perc_atmid = 0;
    if (per) {
        s390_cpu_recompute_watchpoints(env_cpu(env));
    }
}

/* Back to the SIE instruction, if a guest is running: reset, stop, migration */
void s390_sie_drop(CPUS390XState *env)
{
    if (env->sie.active) {
        s390_sie_leave(env, SIE_ICPT_NONE);
    }
}

/* Map the state description at real address @addr; sets sie->sd */
static void map_sd(CPUS390XState *env, uint64_t addr)
{
    S390SIEState *sie = &env->sie;
    hwaddr len = sizeof(*sie->sd);
    uint64_t abs;

    if ((addr & (sizeof(*sie->sd) - 1)) || addr < 2 * TARGET_PAGE_SIZE ||
        addr - env->psa < 2 * TARGET_PAGE_SIZE) {
        tcg_s390_program_interrupt(env, PGM_SPECIFICATION, 0);
    }
    abs = mmu_real2abs(env, addr);
    if (!mmu_absolute_addr_valid(abs, true)) {
        tcg_s390_program_interrupt(env, PGM_ADDRESSING, 0);
    }
    sie->sd = cpu_physical_memory_map(abs, &len, true);
    if (!sie->sd) {
        tcg_s390_program_interrupt(env, PGM_ADDRESSING, 0);
    }
    if (len < sizeof(*sie->sd)) {
        cpu_physical_memory_unmap(sie->sd, len, true, 0);
        sie->sd = NULL;
        tcg_s390_program_interrupt(env, PGM_ADDRESSING, 0);
    }
    sie->sd_addr = abs;
}

static G_NORETURN void refuse(CPUS390XState *env, uint16_t why)
{
    S390SIEState *sie = &env->sie;

    qemu_log_mask(LOG_GUEST_ERROR, "SIE: validity interception 0x%04x\n", why);
    trace_sie_validity(env->core_id, sie->sd_addr, why);
    sie->sd->ipa = cpu_to_be16(0x1000);
    sie->sd->ipb = cpu_to_be32((uint32_t)why << 16);
    sie->sd->icptcode = SIE_ICPT_VALIDITY;
    s390_sie_count_exit(env, SIE_ICPT_VALIDITY);
    unmap_sd(sie);
    env->psw.addr += sie->ilen;
    cpu_loop_exit_noexc(env_cpu(env));
}

/* START INTERPRETIVE EXECUTION; @addr is a real address */
void HELPER(sie)(CPUS390XState *env, uint64_t addr)
{
    CPUState *cs = env_cpu(env);
    S390SIEState *sie = &env->sie;
    uint64_t mask;
    uint16_t why;

    /* everything below ends in the main loop, with an exact state */
    cpu_restore_state(cs, GETPC());

    map_sd(env, addr);
    if (!s390_sie_announce(env)) {
        /* once more, after what keeps this CPU from going on now */
        unmap_sd(sie);
        env->ex_value = 0;
        cpu_loop_exit_noexc(cs);
    }
    /*
     * The host announces the entry in storage, and this CPU by sie->runs, then
     * both look for requests by other CPUs; they make a request, then look for
     * the announcements.
     */
    smp_mb();
    sie->ilen = env->int_pgm_ilen;
    read_controls(sie);
    save_host(env);
    why = s390_sie_validity(env);
    if (why) {
        refuse(env, why);
    }

    s390_sie_timer_init(env);
    sie->active = true;
    sie->look = true;
    sie->in_pgm = false;
    s390_sie_count_entry(env);
    load_guest(env);
    s390_sie_timer_update(env);
    s390_sie_enter_mmu(env);

    /* an event of the host's, whose SIE instruction is not done */
    env->per_perc_atmid = 0;
    cs->exception_index = -1;
    mask = be64_to_cpu(sie->sd->gpsw_mask);
    if (((mask | sie->host.mask) & PSW_MASK_PER) || sie->force_per) {
        /* the control registers changed too: make it look at watchpoints */
        env->psw.mask = mask ^ PSW_MASK_PER;
    }
    s390_cpu_set_psw(env, mask, be64_to_cpu(sie->sd->gpsw_addr));
    trace_sie_enter(env->core_id, sie->sd_addr, mask, env->psw.addr);

    /* to the guest's first instruction, or to its early exception */
    cpu_loop_exit(cs);
}

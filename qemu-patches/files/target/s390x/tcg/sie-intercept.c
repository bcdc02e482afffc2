/*
 * s390x SIE: interceptions, host access exceptions, guest interruptions
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/log.h"
#include "cpu.h"
#include "s390x-internal.h"
#include "exec/helper-proto.h"
#include "exec/exec-all.h"
#include "exec/address-spaces.h"
#include "tcg_s390x.h"
#include "sie.h"
#include "trace.h"

/*
 * Instructions
 */

/*
 * The guest's state must be exact, its PSW at the instruction.  @insn is the
 * text, left aligned, with SIE_INSN_EXECUTED.
 */
static G_NORETURN void intercept_insn(CPUS390XState *env, uint8_t code,
                                      uint64_t insn)
{
    S390SIEDescr *sd = env->sie.sd;
    const uint32_t ilen = env->int_pgm_ilen;
    uint8_t status = 0;

    if (insn & SIE_INSN_EXECUTED) {
        /* the length is that of the EXECUTE, in bytes, times 16 */
        status |= SIE_ICPTST_EXECUTE | ilen << SIE_ICPTST_ILEN_SHIFT;
    }
    if (env->per_perc_atmid & PER_CODE_EVENT_IFETCH) {
        status |= SIE_ICPTST_PER_IFETCH;
    }
    sd->icptstatus = status;
    sd->ipa = cpu_to_be16(insn >> 48);
    sd->ipb = cpu_to_be32(insn >> 16);
    s390_sie_count_insn(env, insn);
    trace_sie_insn(env->core_id, code, insn >> 48, (uint32_t)(insn >> 16));

    env->psw.addr += ilen;
    s390_sie_leave(env, code);
    cpu_loop_exit_noexc(env_cpu(env));
}

/*
 * The IPTE interlock keeps a guest from invalidating table entries while the
 * host walks its tables: bit k of the system control area is held by either.
 * Return false if the host holds it.  Without a system control area there is
 * no interlock.
 */
static bool ipte_lock(CPUS390XState *env)
{
    const uint64_t sca = s390_sie_sca_origin(env->sie.sd);
    hwaddr len = 1;
    uint8_t *k;

    if (!sca) {
        return true;
    }
    k = cpu_physical_memory_map(sca, &len, true);
    if (!k) {
        return true;
    }
    /* a byte of what the host changes with an 8-byte compare-and-swap */
    if (qatomic_fetch_or(k, SIE_SCA_K) & SIE_SCA_K) {
        cpu_physical_memory_unmap(k, 1, true, 0);
        return false;
    }
    env->sie.ipte_lock = k;
    /* if the instruction is translated again, s390_sie_poll() lets it go */
    env->sie.look = true;
    return true;
}

/* Release the interlock, however the instruction that took it has ended */
void s390_sie_ipte_unlock(CPUS390XState *env)
{
    uint8_t *k = env->sie.ipte_lock;

    if (k) {
        qatomic_and(k, (uint8_t)~SIE_SCA_K);
        cpu_physical_memory_unmap(k, 1, true, 1);
        env->sie.ipte_lock = NULL;
    }
}

void HELPER(sie_ipte_unlock)(CPUS390XState *env)
{
    s390_sie_ipte_unlock(env);
}

/* SVC: intercepted in general, or by up to three immediate operands */
static bool svc_intercepts(uint32_t svcc, uint8_t imm)
{
    return (svcc & SIE_SVCC_ALL) ||
           ((svcc & SIE_SVCC_BYTE1) && imm == extract32(svcc, 16, 8)) ||
           ((svcc & SIE_SVCC_BYTE2) && imm == extract32(svcc, 8, 8)) ||
           ((svcc & SIE_SVCC_BYTE3) && imm == extract32(svcc, 0, 8));
}

/*
 * Intercept @insn if @kind and @arg (see sie.h) and the state description
 * say so, else return and let it be executed.
 */
void HELPER(sie_check)(CPUS390XState *env, uint64_t insn, uint32_t kind,
                       uint32_t arg)
{
    const S390SIEState *sie = &env->sie;
    uint8_t code = SIE_ICPT_INST;
    bool hit;

    switch (kind) {
    case SIE_CHK_ALWAYS:
        hit = true;
        break;
    case SIE_CHK_ICTL:
        hit = sie->ictl & arg;
        break;
    case SIE_CHK_LCTL:
        hit = be16_to_cpu(sie->sd->lctl) & arg;
        break;
    case SIE_CHK_TLBI:
        hit = (sie->ictl & arg) || !ipte_lock(env);
        break;
    case SIE_CHK_MVPG:
        hit = !(sie->eca & SIE_ECA_MVPGI);
        break;
    case SIE_CHK_STFLE:
        hit = (sie->ictl & SIE_ICTL_STFLE) || !sie->sd->fac;
        break;
    case SIE_CHK_SVC:
        hit = svc_intercepts(be32_to_cpu(sie->sd->svcc), arg);
        break;
    case SIE_CHK_AP:
        hit = s390_sie_ap_intercepts(env, insn);
        break;
    case SIE_CHK_OPEREXC:
        hit = sie->ictl & SIE_ICTL_OPEREXC;
        code = SIE_ICPT_OPEREXC;
        break;
    default:
        g_assert_not_reached();
    }
    if (hit) {
        cpu_restore_state(env_cpu(env), GETPC());
        intercept_insn(env, code, insn);
    }
}

/*
 * MVPG: a page that is not there for the host gives partial-execution
 * interception with the host's absolute addresses of both page-table entries;
 * any other host access exception is like everywhere else, also one on a table
 * of the guest's: the host would look for the cause among the operands.
 */
void s390_sie_mvpg_fault(CPUS390XState *env, int excp, uint64_t dst,
                         uint64_t src, uintptr_t ra)
{
    S390SIEDescr *sd = env->sie.sd;
    uint64_t dst_pte, src_pte;

    if (excp == PGM_PROTECTION ||
        !s390_sie_pte_addr(env, src, MMU_DATA_LOAD, &src_pte) ||
        !s390_sie_pte_addr(env, dst, MMU_DATA_STORE, &dst_pte)) {
        s390_sie_host_fault(env, excp, env->tlb_fill_tec, ra);
    }
    cpu_restore_state(env_cpu(env), ra);
    dst_pte = cpu_to_be64(dst_pte);
    src_pte = cpu_to_be64(src_pte);
    memcpy((uint8_t *)sd + SIE_SD_MVPG_DST, &dst_pte, sizeof(dst_pte));
    memcpy((uint8_t *)sd + SIE_SD_MVPG_SRC, &src_pte, sizeof(src_pte));
    intercept_insn(env, SIE_ICPT_PARTEXEC, env->sie.mvpg_insn);
}

/*
 * Requests by other CPUs, timers, wait state
 */

/*
 * Called before the lookup of a translation block while a guest runs and there
 * may be a reason to leave it, when its state is exact and no EXECUTE is under
 * way.
 */
void s390_sie_poll(CPUS390XState *env)
{
    S390SIEState *sie = &env->sie;
    const uint8_t enabled = SIE_CPUF0_STOP_INT |
        ((env->psw.mask >> 56) & (SIE_CPUF0_IO_INT | SIE_CPUF0_EXT_INT));
    const uint8_t all = qatomic_read(&sie->sd->cpuflags[0]) & SIE_CPUF0_REQUESTS;
    const uint8_t requests = all & enabled;
    uint8_t code = SIE_ICPT_NONE;

    if (all || qatomic_read(&sie->timer_due)) {
        /* the guest may enable it any time */
        qatomic_set(&sie->look, true);
    }

    /* left over if the instruction is being translated again */
    s390_sie_ipte_unlock(env);

    if (unlikely(requests)) {
        code = requests & SIE_CPUF0_STOP_INT ? SIE_ICPT_STOP :
               requests & SIE_CPUF0_EXT_INT ? SIE_ICPT_EXTREQ :
               SIE_ICPT_IOREQ;
    } else if (unlikely(qatomic_read(&sie->timer_due)) &&
               (env->psw.mask & PSW_MASK_EXT)) {
        const uint16_t eic = s390_sie_timer_pending(env);

        if (eic && (sie->eca & SIE_ECA_CEI)) {
            /* to the interruption handler, or to its PSW's early exception */
            env_cpu(env)->exception_index = -1;
            s390_sie_timer_interrupt(env, eic);
            cpu_loop_exit(env_cpu(env));
        } else if (eic) {
            sie->sd->eic = cpu_to_be16(eic);
            code = SIE_ICPT_EXTINT;
        } else {
            s390_sie_timer_update(env);
        }
    }
    if (code == SIE_ICPT_NONE && (env->psw.mask & PSW_MASK_WAIT)) {
        code = SIE_ICPT_WAIT;
    }
    if (unlikely(code != SIE_ICPT_NONE)) {
        s390_sie_leave(env, code);
        cpu_loop_exit_noexc(env_cpu(env));
    }
}

/*
 * Program interruptions
 */

/* A host access exception on behalf of the guest: the SIE insn is nullified */
void s390_sie_host_fault(CPUS390XState *env, int excp, uint64_t tec,
                         uintptr_t ra)
{
    CPUState *cs = env_cpu(env);

    cpu_restore_state(cs, ra);
    trace_sie_host_fault(env->core_id, excp, tec, env->psw.addr);
    s390_sie_count_host_fault(env, excp);
    s390_sie_leave(env, SIE_ICPT_NONE);
    env->tlb_fill_exc = excp;
    env->tlb_fill_tec = tec;
    env->int_pgm_ilen = env->sie.ilen;
    trigger_pgm_exception(env, excp);
    cpu_loop_exit(cs);
}

/*
 * A program interruption of the guest, whose PSW is already what would be
 * stored as old PSW.  Return true if it was intercepted: the host's state is
 * back then.
 */
bool s390_sie_pgm_intercept(CPUS390XState *env, int ilen, bool tec)
{
    const S390SIEState *sie = &env->sie;
    S390SIEDescr *sd = sie->sd;
    uint16_t code = env->int_pgm_code;
    bool hit = sie->ictl & SIE_ICTL_PINT;

    switch (code) {
    case PGM_PRIVILEGED:
        hit |= sie->ictl & SIE_ICTL_PRIVOP;
        break;
    case PGM_SPECIFICATION:
        /*
         * Intercepted unless SPECI asks for interpretation, which outranks
         * PINT.  An invalid program-new PSW can only be intercepted.
         */
        hit = !(sie->ecb & SIE_ECB_SPECI) || sie->in_pgm;
        break;
    case PGM_ADDRESSING:
    case PGM_SPECIAL_OP:
        hit = true;
        break;
    case PGM_PROTECTION:
        hit |= !(sie->eca & SIE_ECA_PROTEXCI);
        break;
    }
    /* events that the host enforces are for the host, with all that coincides */
    hit |= sie->force_per && env->per_perc_atmid;
    if (!hit) {
        return false;
    }

    if (env->per_perc_atmid) {
        code |= PGM_PER;
        sd->perc = cpu_to_be16(env->per_perc_atmid);
        sd->peraddr = cpu_to_be64(env->per_address);
    }
    sd->pgmilc = cpu_to_be16(ilen);
    sd->iprcc = cpu_to_be16(code);
    if (tec) {
        sd->tecmc = cpu_to_be64(env->tlb_fill_tec);
    }
    trace_sie_program(env->core_id, code, ilen);
    s390_sie_leave(env, SIE_ICPT_PROGI);
    return true;
}

/*
 * Program and supervisor-call interruptions of the guest.  The host's own are
 * not looked at here: s390_cpu_exec_interrupt() leaves the guest first.
 */
void s390_sie_do_interrupt(CPUS390XState *env)
{
    CPUState *cs = env_cpu(env);
    S390SIEState *sie = &env->sie;

    s390_sie_ipte_unlock(env);
    sie->in_pgm = false;
    while (sie->active && cs->exception_index >= 0) {
        const int excp = cs->exception_index;

        /* loading an invalid new PSW sets it again */
        cs->exception_index = -1;
        switch (excp) {
        case EXCP_PGM:
            s390_do_program_interrupt(env);
            sie->in_pgm = cs->exception_index == EXCP_PGM;
            break;
        case EXCP_SVC:
            s390_do_svc_interrupt(env);
            break;
        default:
            g_assert_not_reached();
        }
    }
    sie->in_pgm = false;
    cs->exception_index = -1;
}

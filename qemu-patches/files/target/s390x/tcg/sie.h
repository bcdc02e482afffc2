/*
 * s390x START INTERPRETIVE EXECUTION (SIE): interface between TCG files
 *
 * See docs/system/s390x/sie.rst for what is modelled.  While a guest runs,
 * CPUS390XState holds the guest's values and env->sie.host the host's; see
 * sie-state.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_S390X_TCG_SIE_H
#define TARGET_S390X_TCG_SIE_H

#include "system/tcg.h"
#include "sie-sd.h"

/*
 * Kinds of checks by helper_sie_check() before a guest instruction.  For
 * SIE_CHK_ICTL and SIE_CHK_TLBI a mask of ICTL bits goes with it, for
 * SIE_CHK_LCTL the control registers to be loaded in the format of S390SIEDescr
 * field lctl, and for SIE_CHK_SVC the immediate operand.
 */
enum {
    SIE_CHK_ALWAYS,
    SIE_CHK_ICTL,
    SIE_CHK_LCTL,
    SIE_CHK_TLBI,
    SIE_CHK_MVPG,
    SIE_CHK_STFLE,
    SIE_CHK_SVC,
    SIE_CHK_AP,
    SIE_CHK_OPEREXC,
};

/* The instruction text passed to helpers is left aligned; its last bit: */
#define SIE_INSN_EXECUTED   1   /* it is the target of an EXECUTE */

/*
 * Flag in the exception code returned by mmu_translate(): the fault is one of
 * host translation, and the host gets it.
 */
#define SIE_HOST_FAULT      0x10000

/* sie.c: entering and leaving a guest */
void s390_sie_leave(CPUS390XState *env, uint8_t icptcode);
void s390_sie_drop(CPUS390XState *env);

/* sie-check.c: is this state description acceptable? */
uint16_t s390_sie_validity(CPUS390XState *env);

/* sie-request.c: noticing requests of other CPUs */
bool s390_sie_announce(CPUS390XState *env);
void s390_sie_tell(CPUState *cs);
void s390_sie_look(CPUS390XState *env);

/* sie-intercept.c: why a guest is left */
void s390_sie_poll(CPUS390XState *env);
void s390_sie_do_interrupt(CPUS390XState *env);
bool s390_sie_pgm_intercept(CPUS390XState *env, int ilen, bool tec);
G_NORETURN void s390_sie_host_fault(CPUS390XState *env, int excp, uint64_t tec,
                                    uintptr_t ra);
G_NORETURN void s390_sie_mvpg_fault(CPUS390XState *env, int excp,
                                    uint64_t dst, uint64_t src, uintptr_t ra);
void s390_sie_ipte_unlock(CPUS390XState *env);

/* sie-mmu.c: second translation stage */
int s390_sie_translate(CPUS390XState *env, uint64_t gabs, int rw,
                       uint64_t *habs, int *prot, uint64_t *tec);
bool s390_sie_pte_addr(CPUS390XState *env, uint64_t vaddr, int rw,
                       uint64_t *pte_addr);
void s390_sie_enter_mmu(CPUS390XState *env);
void s390_sie_save_tlb_key(CPUS390XState *env, S390SIETLBKey *key);
void s390_sie_reset_mmu(CPUS390XState *env);
void s390_sie_note_page_table(CPUS390XState *env, uint64_t pte_addr);
void s390_sie_host_dat_changed(CPUS390XState *env, bool local);
uint16_t s390_sie_asce_map(const CPUS390XState *env, uint64_t asce);
uint16_t s390_sie_host_asce_map(const CPUS390XState *env, uint64_t asce);
void s390_sie_forget_s2(CPUS390XState *env);
void s390_sie_pte_invalidated(CPUS390XState *env, uint64_t pte_addr,
                              bool local);

/* sie-timer.c: guest clock comparator and CPU timer */
void s390_sie_timer_init(CPUS390XState *env);
void s390_sie_timer_update(CPUS390XState *env);
uint16_t s390_sie_timer_pending(CPUS390XState *env);
void s390_sie_timer_interrupt(CPUS390XState *env, uint16_t eic);
uint64_t s390_sie_guest_tod(CPUS390XState *env);

/* sie-stats.c: counters */
void s390_sie_count_entry(CPUS390XState *env);
void s390_sie_count_exit(CPUS390XState *env, uint8_t icptcode);
void s390_sie_count_insn(CPUS390XState *env, uint64_t insn);
void s390_sie_count_host_fault(CPUS390XState *env, int excp);
void s390_sie_count_tlb_flush(CPUS390XState *env);
void s390_sie_count_pte_flush(CPUS390XState *env);

/* What AP instructions of a guest may reach; see sie-ap.c */
typedef struct S390SIEAPView {
    uint64_t sd_addr;           /* names the guest CPU: its state description */
    uint32_t crycbd;            /* names the guest: shared by all its CPUs */
    uint32_t core_id;           /* CPU that runs it */
    uint64_t apm[4];            /* effective masks, bit 0 is leftmost */
    uint64_t aqm[4];
    uint64_t adm[4];
} S390SIEAPView;

bool s390_sie_ap_masks(CPUS390XState *env, S390SIEAPView *view);
bool s390_sie_ap_intercepts(CPUS390XState *env, uint64_t insn);

/* sie-lowcore.c: store an interruption parameter */
void s390_lowcore_store(CPUS390XState *env, uint32_t off, int size,
                        uint64_t val);

/* Constant without TCG, so that files built in any case need no stubs */
static inline bool s390_sie_active(const CPUS390XState *env)
{
    return tcg_enabled() && env->sie.active;
}

/* The host's PSW mask and control registers: they enable host interrupts */
static inline uint64_t s390_host_psw_mask(const CPUS390XState *env)
{
    return env->sie.active ? env->sie.host.mask : env->psw.mask;
}

static inline const uint64_t *s390_host_cregs(const CPUS390XState *env)
{
    return env->sie.active ? env->sie.host.cregs : env->cregs;
}

/* PER is active by the PSW, or in a guest because its host enforces it */
static inline bool s390_per_active(const CPUS390XState *env)
{
    return (env->psw.mask & PSW_MASK_PER) ||
           (s390_sie_active(env) && env->sie.force_per);
}

/* Origin of the system control area, 0 if there is none */
static inline uint64_t s390_sie_sca_origin(const S390SIEDescr *sd)
{
    const uint32_t mask = sd->ecb2 & SIE_ECB2_ESCA ? SIE_SCAOL_ESCA_MASK
                                                   : SIE_SCAOL_BSCA_MASK;

    return (uint64_t)be32_to_cpu(sd->scaoh) << 32 |
           (be32_to_cpu(sd->scaol) & mask);
}

#endif /* TARGET_S390X_TCG_SIE_H */

/*
 * s390x SIE: what a CPU remembers while it runs a guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_S390X_TCG_SIE_STATE_H
#define TARGET_S390X_TCG_SIE_STATE_H

/* Size of the set of the host's page tables that are used for a guest */
#define SIE_S2_TABLES_LOG2  13

/* One entry of the caches of guest absolute to host absolute addresses */
typedef struct S390SIEStage2 {
    uint64_t gabs;          /* of a page, or of a frame of 1 MiB */
    uint64_t habs;
    int prot;               /* PAGE_* bits */
    uint32_t epoch;         /* valid if it is S390SIEState.s2_epoch */
} S390SIEStage2;

/* What the contents of the guest's MMU indices depend on, besides tables */
typedef struct S390SIETLBKey {
    uint64_t sd_addr;
    uint64_t host_cr0, host_cr1, host_prefix;
    uint64_t prefix, mso, msl;
    uint64_t cr0, cr1, cr7, cr13;
    uint64_t hostprotint;
} S390SIETLBKey;

/* Counters, see sie-stats.c */
typedef struct S390SIEStats {
    uint64_t entries;
    uint64_t tlb_flushes;   /* on entry */
    uint64_t pte_flushes;   /* as the host invalidated a page-table entry */
    uint64_t icpt[32];      /* by interception code / 4; 0: nullified */
    uint64_t host_fault[64];/* by program interruption code */
    uint64_t *insn;         /* intercepted instructions by opcode */
} S390SIEStats;

/*
 * While a guest runs, the guest's PSW, control registers, prefix, timers,
 * general registers 14 and 15, breaking-event address and program parameter
 * are in CPUS390XState, where all helpers look for them; the host's are here.
 */
typedef struct S390SIEState {
    bool active;
    bool look;              /* call s390_sie_look() before the next lookup */
    uint8_t ilen;           /* length of the SIE instruction */
    struct S390SIEDescr *sd;/* mapped state description, NULL if !active */
    uint64_t sd_addr;       /* its absolute address */
    uint64_t runs;          /* for other CPUs: its RAM address, see sie-request.c */
    uint64_t stored;        /* state description that this CPU stores into */

    struct {
        uint64_t mask, addr;    /* PSW, at the SIE instruction */
        uint64_t r14, r15;
        uint64_t cregs[16];
        uint64_t psa;
        uint64_t ckc, cputm;
        uint64_t gbea, pp;
        uint32_t todpr;
    } host;

    /* controls that cannot change while the guest runs */
    uint32_t ictl, eca;
    uint8_t ecb;
    bool has_extent;        /* mso and msl apply */
    bool force_per;         /* PER whatever the guest's PSW says */
    uint64_t mso, msl;
    uint64_t epoch;
    uint64_t lowcore;       /* host absolute address of the prefix page */

    bool in_pgm;            /* loading a program-new PSW */
    uint64_t mvpg_insn;     /* text of the MVPG being executed */
    uint8_t *ipte_lock;     /* held byte of the SCA, mapped; or NULL */

    /* guest clock comparator and CPU timer, see sie-timer.c */
    QEMUTimer *timer;
    int64_t timer_armed;    /* deadline, INT64_MAX if none */
    bool timer_due;         /* an enabled guest timer has expired */

    /* second translation stage, see sie-mmu.c */
    S390SIEStage2 *s2, *s2_frames;
    uint32_t s2_gen, s2_epoch;
    unsigned long s2_tables[BITS_TO_LONGS(1 << SIE_S2_TABLES_LOG2)];
    S390SIETLBKey tlb_key;

    S390SIEStats stats;
} S390SIEState;

#endif /* TARGET_S390X_TCG_SIE_STATE_H */

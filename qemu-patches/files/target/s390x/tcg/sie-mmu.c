/*
 * s390x SIE: second translation stage
 *
 * What is an absolute address for the guest is an address in a virtual address
 * space of the host:
 *
 *   guest virtual --guest DAT--> guest real --guest prefix--> guest absolute
 *     --origin and limit, unless CPUSTAT_SM--> host virtual
 *     --host DAT with the host's CR1--> host real --host prefix--> absolute
 *
 * The host's CR1 is used whatever the address-space control of the host's PSW
 * is.  Guest table entries are guest absolute and take the second stage too.
 * QEMU's TLB holds the result of both stages, in MMU indices of its own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "s390x-internal.h"
#include "exec/exec-all.h"
#include "exec/cputlb.h"
#include "exec/page-protection.h"
#include "tcg_s390x.h"
#include "sie.h"

/* of 24 bytes each; they cover 64 MiB of a guest if its pages do not collide */
#define S2_ENTRIES      16384
/* for what the host maps by frames, see S390SIEState.s2_frames */
#define S2_FRAMES       1024
#define FRAME_SIZE      (1ULL << 20)
#define FRAME_MASK      (-FRAME_SIZE)

/* Translation exception identification */
#define TEID_FETCH      0x800
#define TEID_STORE      0x400
#define TEID_PROTECTION 0x004

/*
 * A change of host translation that is not known to concern no guest
 * invalidates the cached second stages of all CPUs: the host address says
 * nothing about guest addresses.  Whoever increments this flushes the MMU
 * indices of guests on all CPUs, too.
 */
static uint32_t s2_generation;

/* Drop all entries: those of an earlier epoch are not valid */
static void s2_flush(S390SIEState *sie)
{
    if (++sie->s2_epoch == 0) {
        memset(sie->s2, 0, S2_ENTRIES * sizeof(*sie->s2));
        memset(sie->s2_frames, 0, S2_FRAMES * sizeof(*sie->s2_frames));
        sie->s2_epoch = 1;
    }
}

/* Drop what became outdated by what other CPUs did */
static void s2_refresh(S390SIEState *sie)
{
    const uint32_t gen = qatomic_read(&s2_generation);

    if (sie->s2_gen != gen) {
        s2_flush(sie);
        sie->s2_gen = gen;
    }
}

/* The cache entries for a guest page, and for the frame that it is in */
static S390SIEStage2 *s2_page(S390SIEState *sie, uint64_t gabs)
{
    return &sie->s2[(gabs >> TARGET_PAGE_BITS) % S2_ENTRIES];
}

static S390SIEStage2 *s2_frame(S390SIEState *sie, uint64_t gabs)
{
    return &sie->s2_frames[gabs / FRAME_SIZE % S2_FRAMES];
}

/* Does an entry translate @gabs, which is a page's or a frame's, for @rw? */
static bool s2_hit(const S390SIEState *sie, const S390SIEStage2 *s2,
                   uint64_t gabs, int rw)
{
    return s2->epoch == sie->s2_epoch && s2->gabs == gabs &&
           (rw != MMU_DATA_STORE || (s2->prot & PAGE_WRITE));
}

/* Which bit stands for the page table that has the entry at @pte_addr */
static uint32_t table_bit(uint64_t pte_addr)
{
    const uint64_t table = pte_addr & SEGMENT_ENTRY_ORIGIN;

    return (table * 0x9e3779b97f4a7c15ULL) >> (64 - SIE_S2_TABLES_LOG2);
}

/*
 * This CPU is about to read the host's page-table entry at @pte_addr for a
 * guest.  Each CPU keeps a set of such tables, in which a table may seem to be
 * that is not, so that most entries that the host invalidates in its own
 * tables leave guests alone.
 */
void s390_sie_note_page_table(CPUS390XState *env, uint64_t pte_addr)
{
    const uint32_t bit = table_bit(pte_addr);

    if (!test_bit(bit, env->sie.s2_tables)) {
        set_bit_atomic(bit, env->sie.s2_tables);
        /* before the entry is read; pairs with s390_sie_pte_invalidated() */
        smp_mb();
    }
}

static bool table_noted(const S390SIEState *sie, uint64_t pte_addr)
{
    const uint32_t bit = table_bit(pte_addr);

    return qatomic_read(&sie->s2_tables[BIT_WORD(bit)]) & BIT_MASK(bit);
}

/*
 * Translate the page @gpage, without the caches.  Sets @frame if it is in one,
 * all of which is translated alike.
 */
static int translate_page(CPUS390XState *env, uint64_t gpage, int rw,
                          uint64_t *habs, int *prot, uint64_t *tec,
                          uint64_t *pte_addr, bool *frame)
{
    const S390SIEState *sie = &env->sie;
    const S390DATContext ctx = {
        .cr0 = sie->host.cregs[0],
        .prefix = sie->host.psa,
        .pte_addr = pte_addr,
        .stage2 = true,
        .frame_1m = frame,
    };
    uint64_t hva = gpage;
    target_ulong raddr;
    int r;

    if (sie->has_extent) {
        hva += sie->mso;
        if (hva < gpage || hva > sie->msl) {
            return PGM_ADDRESSING;
        }
    }

    *prot = PAGE_READ | PAGE_WRITE | PAGE_EXEC;
    r = mmu_translate_asce(env, &ctx, hva, sie->host.cregs[1], &raddr, prot);
    if (!r && rw == MMU_DATA_STORE && !(*prot & PAGE_WRITE)) {
        r = PGM_PROTECTION;
    }
    if (r) {
        /* the address-space identification is zero: primary */
        *tec = hva | (rw == MMU_DATA_STORE ? TEID_STORE : TEID_FETCH);
        if (r == PGM_PROTECTION) {
            *tec |= TEID_PROTECTION;
            if (!(sie->ecb & SIE_ECB_HOSTPROTINT)) {
                return PGM_PROTECTION;
            }
        }
        return SIE_HOST_FAULT | r;
    }

    /* neither low-address nor instruction-execution protection of the host */
    *prot |= PAGE_EXEC;
    *habs = s390_prefixed(raddr & TARGET_PAGE_MASK, sie->host.psa);
    return 0;
}

/*
 * Translate guest absolute to absolute.  Returns 0, a program interruption of
 * the guest, or SIE_HOST_FAULT with one of the host.  Sets @tec for the latter.
 */
int s390_sie_translate(CPUS390XState *env, uint64_t gabs, int rw,
                       uint64_t *habs, int *prot, uint64_t *tec)
{
    const uint64_t gpage = gabs & TARGET_PAGE_MASK;
    const uint64_t gframe = gabs & FRAME_MASK;
    S390SIEState *sie = &env->sie;
    /*
     * Before entry is complete the caches may belong to another guest.  They are
     * this CPU's own: a debugger does without, in whichever thread.
     */
    const bool cached = sie->active && qemu_cpu_is_self(env_cpu(env));
    bool frame = false;
    int r;

    if (cached) {
        const S390SIEStage2 *s2;

        s2_refresh(sie);
        s2 = s2_frame(sie, gabs);
        if (s2_hit(sie, s2, gframe, rw)) {
            *habs = s2->habs | (gabs & ~FRAME_MASK);
            *prot = s2->prot;
            return 0;
        }
        s2 = s2_page(sie, gabs);
        if (s2_hit(sie, s2, gpage, rw)) {
            *habs = s2->habs | (gabs & ~TARGET_PAGE_MASK);
            *prot = s2->prot;
            return 0;
        }
    }

    r = translate_page(env, gpage, rw, habs, prot, tec, NULL, &frame);
    if (r) {
        return r;
    }
    if (cached) {
        *(frame ? s2_frame(sie, gabs) : s2_page(sie, gabs)) = (S390SIEStage2) {
            .gabs = frame ? gframe : gpage,
            .habs = frame ? *habs & FRAME_MASK : *habs,
            .prot = *prot,
            .epoch = sie->s2_epoch,
        };
    }
    *habs |= gabs & ~TARGET_PAGE_MASK;
    return 0;
}

/*
 * Set @pte_addr to the absolute address of the host's page-table entry for a
 * logical address of the guest; to 0 if translation does not get that far.
 * Return false if the host does not map a table of the guest's on the way.
 */
bool s390_sie_pte_addr(CPUS390XState *env, uint64_t vaddr, int rw,
                       uint64_t *pte_addr)
{
    const uint64_t asc = env->psw.mask & PSW_MASK_ASC;
    target_ulong raddr = vaddr;
    bool frame = false;
    uint64_t habs, tec;
    int prot, r = 0;

    *pte_addr = 0;
    if (env->psw.mask & PSW_MASK_DAT) {
        r = mmu_translate(env, vaddr, MMU_S390_LRA, asc, &raddr, &prot, &tec);
    }
    if (!r) {
        translate_page(env, mmu_real2abs(env, raddr) & TARGET_PAGE_MASK, rw,
                       &habs, &prot, &tec, pte_addr, &frame);
    }
    return !(r & SIE_HOST_FAULT);
}

/*
 * The host has changed its translation tables, and the caller flushes the MMU
 * indices of guests: of this CPU if @local, else of all CPUs.
 */
void s390_sie_host_dat_changed(CPUS390XState *env, bool local)
{
    if (env->sie.active) {
        return;
    }
    if (!local) {
        qatomic_inc(&s2_generation);
    } else if (env->sie.s2) {
        s2_flush(&env->sie);
    }
}

/*
 * The host has invalidated the page-table entry at absolute address @pte_addr.
 * The caller flushes no more than a page of the host: if the entry is in a
 * table that a guest depends on, flush all of the guest, on this CPU if
 * @local, else on all.
 */
void s390_sie_pte_invalidated(CPUS390XState *env, uint64_t pte_addr, bool local)
{
    bool noted = false;
    CPUState *cs;

    if (env->sie.active) {
        return;
    }
    /* after the entry was written; pairs with s390_sie_note_page_table() */
    smp_mb();
    if (local) {
        noted = table_noted(&env->sie, pte_addr);
    } else {
        CPU_FOREACH(cs) {
            noted |= table_noted(&cpu_env(cs)->sie, pte_addr);
        }
    }
    if (!noted) {
        return;
    }
    s390_sie_count_pte_flush(env);
    s390_sie_host_dat_changed(env, local);
    if (local) {
        tlb_flush_by_mmuidx(env_cpu(env), MMU_SIE_IDX_MAP);
    } else {
        tlb_flush_by_mmuidx_all_cpus_synced(env_cpu(env), MMU_SIE_IDX_MAP);
    }
}

/* MMU indices that hold translations by @asce of the guest that is, or was, run */
uint16_t s390_sie_asce_map(const CPUS390XState *env, uint64_t asce)
{
    const S390SIETLBKey *key = &env->sie.tlb_key;
    const bool active = env->sie.active;

    return s390_asce_map(asce, active ? env->cregs[1] : key->cr1,
                         active ? env->cregs[7] : key->cr7,
                         active ? env->cregs[13] : key->cr13) << MMU_SIE_BASE;
}

/*
 * MMU indices of a CPU that hold translations whose second stage was formed by
 * the host's @asce
 */
uint16_t s390_sie_host_asce_map(const CPUS390XState *env, uint64_t asce)
{
    const S390SIEState *sie = &env->sie;
    const uint64_t cr1 = sie->active ? sie->host.cregs[1]
                                     : sie->tlb_key.host_cr1;

    return sie->s2 && s390_same_asce(cr1, asce) ? MMU_SIE_IDX_MAP : 0;
}

/* On this CPU: drop the cached translations of the second stage */
void s390_sie_forget_s2(CPUS390XState *env)
{
    s2_flush(&env->sie);
}

/*
 * A CPU reset clears the TLB, and the storage that translations were made of may
 * be another by then, as it is when a snapshot is loaded.
 */
void s390_sie_reset_mmu(CPUS390XState *env)
{
    S390SIEState *sie = &env->sie;

    if (sie->s2) {
        s2_flush(sie);
    }
    memset(sie->s2_tables, 0, sizeof(sie->s2_tables));
    memset(&sie->tlb_key, 0, sizeof(sie->tlb_key));
}

void s390_sie_save_tlb_key(CPUS390XState *env, S390SIETLBKey *key)
{
    const S390SIEState *sie = &env->sie;

    *key = (S390SIETLBKey) {
        .sd_addr = sie->sd_addr,
        .host_cr0 = sie->host.cregs[0] & CR0_EDAT,
        .host_cr1 = sie->host.cregs[1],
        .host_prefix = sie->host.psa,
        .prefix = env->psa,
        .mso = sie->has_extent ? sie->mso : 0,
        .msl = sie->has_extent ? sie->msl : UINT64_MAX,
        .cr0 = env->cregs[0] & (CR0_EDAT | CR0_IEP | CR0_LOWPROT),
        .cr1 = env->cregs[1],
        .cr7 = env->cregs[7],
        .cr13 = env->cregs[13],
        .hostprotint = sie->ecb & SIE_ECB_HOSTPROTINT,
    };
}

/*
 * On entry, with the guest's registers loaded.  Translations of the guest may
 * still be there from the last time this CPU ran it: the host overwrites
 * ihcpu if they are not to be used again.
 */
void s390_sie_enter_mmu(CPUS390XState *env)
{
    S390SIEState *sie = &env->sie;
    S390SIETLBKey key;

    if (!sie->s2) {
        sie->s2 = g_new0(S390SIEStage2, S2_ENTRIES);
        sie->s2_frames = g_new0(S390SIEStage2, S2_FRAMES);
        sie->s2_epoch = 1;
    }
    s390_sie_save_tlb_key(env, &key);
    if (be16_to_cpu(sie->sd->ihcpu) != env->core_id ||
        memcmp(&key, &sie->tlb_key, sizeof(key))) {
        s2_flush(sie);
        s390_sie_count_tlb_flush(env);
        sie->sd->ihcpu = cpu_to_be16(env->core_id);
        tlb_flush_by_mmuidx(env_cpu(env), MMU_SIE_IDX_MAP);
        memset(sie->s2_tables, 0, sizeof(sie->s2_tables));
    }
}

/*
 * s390x SIE: get a CPU out of its guest for an interception request
 *
 * Other CPUs of the host request an interception by a store into the state
 * description.  The CPU looks for requests whenever it looks up a translation
 * block, but a loop of chained blocks never does.  So stores into a page with
 * a state description have to be noticed: they come to the TLB fill handler,
 * as PAGE_WRITE_INV wants it.  That is before the store is made, so the
 * handler gives the storing CPU work to do after it: to let the CPU that runs
 * the guest leave its chain of blocks and look.
 *
 * The CPU that entered the guest last, the owner of the page, stores nothing
 * for the host while it is in the guest.  So its own stores are left alone,
 * unless several CPUs run guests with descriptions in one page.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/thread.h"
#include "cpu.h"
#include "s390x-internal.h"
#include "exec/cputlb.h"
#include "exec/exec-all.h"
#include "exec/translation-block.h"
#include "tcg_s390x.h"
#include "sie.h"

/* more than a machine has CPUs */
#define WATCHES         512
/* bits of a set that tells at once that most pages are not watched */
#define FILTER_LOG2     12
/* a page that sees so many stores by others, and no guest, has a new purpose */
#define STORES_MAX      256

typedef struct Watch {
    uint64_t page;      /* absolute address */
    CPUState *owner;
    bool shared;        /* there were guests of several CPUs at once */
    uint32_t stores;    /* by others than the owner since a guest was entered */
} Watch;

static QemuSpin lock;
static Watch watches[WATCHES];
static unsigned n_watches;
static unsigned long filter[BITS_TO_LONGS(1 << FILTER_LOG2)];

static unsigned long filter_bit(uint64_t page)
{
    return (page * 0x9e3779b97f4a7c15ULL) >> (64 - FILTER_LOG2);
}

static Watch *find(uint64_t page)
{
    for (unsigned i = 0; i < n_watches; i++) {
        if (watches[i].page == page) {
            return &watches[i];
        }
    }
    return NULL;
}

/* Whether a CPU is in a guest whose state description is in @page */
static bool runs(CPUState *cs, uint64_t page)
{
    const S390SIEState *sie = &cpu_env(cs)->sie;

    return qatomic_read(&sie->active) &&
           (qatomic_read(&sie->sd_addr) & TARGET_PAGE_MASK) == page;
}

static bool any_runs(uint64_t page)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (runs(cs, page)) {
            return true;
        }
    }
    return false;
}

/* Make room: each CPU runs one guest at most */
static void forget_unused(void)
{
    unsigned long now[ARRAY_SIZE(filter)] = {};
    unsigned n = 0;

    for (unsigned i = 0; i < n_watches; i++) {
        if (any_runs(watches[i].page)) {
            watches[n++] = watches[i];
            set_bit(filter_bit(watches[i].page), now);
        }
    }
    n_watches = n;
    for (unsigned i = 0; i < ARRAY_SIZE(filter); i++) {
        qatomic_set(&filter[i], now[i]);
    }
}

static Watch *add(uint64_t page)
{
    Watch *w;

    if (n_watches == WATCHES) {
        forget_unused();
    }
    w = &watches[n_watches++];
    *w = (Watch) { .page = page };
    set_bit_atomic(filter_bit(page), filter);
    return w;
}

/* On the former owner: from now on its stores are noticed, too */
static void disown(CPUState *cs, run_on_cpu_data owner)
{
    tlb_flush(cs);
    cpu_exit(owner.host_ptr);
}

/* On entry, after sie->active was set.  The caller goes to the main loop. */
void s390_sie_watch(CPUS390XState *env)
{
    CPUState *cs = env_cpu(env), *former = NULL;
    const uint64_t page = env->sie.sd_addr & TARGET_PAGE_MASK;
    bool added = false;
    Watch *w;

    if (!tcg_cflags_has(cs, CF_PARALLEL)) {
        /* other CPUs store nothing while this one executes */
        return;
    }
    qemu_spin_lock(&lock);
    w = find(page);
    if (!w) {
        w = add(page);
        added = true;
    } else if (w->owner != cs) {
        former = w->owner;
        w->shared |= runs(former, page);
    }
    w->owner = cs;
    w->stores = 0;
    qemu_spin_unlock(&lock);

    if (added) {
        tlb_flush_all_cpus_synced(cs);
    } else if (former) {
        async_run_on_cpu(former, disown, RUN_ON_CPU_HOST_PTR(cs));
    }
}

/* After a store into @page: let those look who may have a request there */
static void let_look(CPUState *cs, run_on_cpu_data page)
{
    CPUState *other;

    CPU_FOREACH(other) {
        if (runs(other, page.target_ptr)) {
            cpu_exit(other);
        }
    }
}

/*
 * The TLB is filled for a page at absolute address @addr that this CPU may
 * store into, and is about to if @store.  Return true if each store to the page
 * has to come here.
 */
bool s390_sie_watched(CPUS390XState *env, uint64_t addr, bool store)
{
    const uint64_t page = addr & TARGET_PAGE_MASK;
    const unsigned long bit = filter_bit(page);
    CPUState *cs = env_cpu(env);
    bool watched = false;
    Watch *w;

    if (!(qatomic_read(&filter[BIT_WORD(bit)]) & BIT_MASK(bit))) {
        return false;
    }
    qemu_spin_lock(&lock);
    w = find(page);
    if (w && (w->shared || w->owner != cs)) {
        watched = true;
        if (store && ++w->stores > STORES_MAX && !any_runs(page)) {
            *w = watches[--n_watches];
            watched = false;
        }
    }
    qemu_spin_unlock(&lock);

    if (watched && store) {
        async_run_on_cpu(cs, let_look, RUN_ON_CPU_TARGET_PTR(page));
    }
    return watched;
}

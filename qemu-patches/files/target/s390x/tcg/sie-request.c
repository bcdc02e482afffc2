/*
 * s390x SIE: how a running guest notices requests of other CPUs
 *
 * Other CPUs of the host request an interception by a bit in the state
 * description, in storage, and then wait for the guest to be left.  The guest's
 * translated code does not look there.  Instead, the page of a state
 * description is watched for stores:
 *
 * - A CPU that is about to store to a byte that may hold requests makes a note
 *   of that, and requests its own exit from translated code.  The store is done
 *   by then.  It next looks up a block or leaves its execution loop, and does
 *   what the note says: it tells all CPUs that run a guest with a state
 *   description there to look, and has them leave their blocks.
 * - A CPU that enters a guest says which state description it runs with, and
 *   then looks.
 * - A CPU that was told to look does so when it next looks up a block, and again
 *   at each lookup for as long as there is something that the guest is not
 *   enabled for.
 *
 * No request is lost.  The page is watched before a guest is entered, and that
 * begins while no CPU is in the middle of a store, so each store to it makes a
 * note.  Between the store and the question who runs a guest there is a full
 * memory barrier, and so there is between saying what runs and looking: of a
 * CPU that stores and one that enters at the same time, either the former sees
 * that the latter has entered, or the latter sees the request.  Between telling
 * a CPU to look and making it leave its blocks there is a barrier as well, and
 * between the end of its leaving and its next lookup (cpu_handle_interrupt()):
 * if one exit is for two reasons, the lookup sees both.
 *
 * A device stores first and tells then.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/rcu.h"
#include "cpu.h"
#include "s390x-internal.h"
#include "exec/page-watch.h"
#include "exec/ram_addr.h"
#include "sie.h"

/* As many stores without an entry end the watch of a page */
#define STORES_WITHOUT_ENTRY    1024

/* In S390SIEState.stored: there is more than one */
#define STORED_ANYWHERE         UINT64_MAX

/* Added to an address in S390SIEState.stored and .runs, where 0 is none */
#define SOME                    1

typedef struct SIEWatch {
    struct rcu_head rcu;
    PageWatch parent;
    int stores_left;
} SIEWatch;

/* Whether requests of the state description at @sd may be in the range */
static bool has_requests(ram_addr_t sd, ram_addr_t start, ram_addr_t last)
{
    QEMU_BUILD_BUG_ON(offsetof(S390SIEDescr, cpuflags) != 0);
    return start <= sd && sd <= last;
}

/* Have the CPUs look that run a guest with a state description in the range */
static void tell(ram_addr_t start, ram_addr_t last)
{
    CPUState *cs;

    RCU_READ_LOCK_GUARD();
    /* requests are stored before it is read who may have missed them */
    smp_mb();
    CPU_FOREACH(cs) {
        S390SIEState *sie = &cpu_env(cs)->sie;
        const uint64_t runs = qatomic_read(&sie->runs);

        if (runs && has_requests(runs - SOME, start, last)) {
            qatomic_set(&sie->look, true);
            smp_mb();
            qatomic_set(&cs->neg.icount_decr.u16.high, -1);
        }
    }
}

/* Do what @cs noted, after its store; also called as it leaves its loop */
void s390_sie_tell(CPUState *cs)
{
    S390SIEState *sie = &cpu_env(cs)->sie;
    const uint64_t stored = sie->stored;

    if (unlikely(stored)) {
        sie->stored = 0;
        if (stored == STORED_ANYWHERE) {
            tell(0, UINT64_MAX);
        } else {
            tell(stored - SOME, stored - SOME);
        }
    }
}

static void note(CPUState *cs, uint64_t what)
{
    S390SIEState *sie = &cpu_env(cs)->sie;

    sie->stored = !sie->stored || sie->stored == what ? what : STORED_ANYWHERE;
    qatomic_set(&sie->look, true);
    qatomic_set(&cs->neg.icount_decr.u16.high, -1);
}

/* Stop watching a page that is used otherwise by now */
static void end_watch(CPUState *unused, run_on_cpu_data page)
{
    PageWatch *watch = page_watch_find(page.target_ptr);
    SIEWatch *w;
    CPUState *cs;

    if (!watch) {
        return;
    }
    w = container_of(watch, SIEWatch, parent);
    if (w->stores_left > 0) {
        return;
    }
    CPU_FOREACH(cs) {
        const uint64_t runs = cpu_env(cs)->sie.runs;

        if (runs && !((runs ^ watch->page) & TARGET_PAGE_MASK)) {
            w->stores_left = STORES_WITHOUT_ENTRY;
            return;
        }
    }
    page_watch_remove(watch);
    g_free_rcu(w, rcu);
}

static void sd_store(PageWatch *watch, CPUState *cs, ram_addr_t start,
                     ram_addr_t last)
{
    SIEWatch *w = container_of(watch, SIEWatch, parent);
    const ram_addr_t sd = ROUND_UP(start, sizeof(S390SIEDescr));

    if (sd <= last) {
        /* who runs alone is done with the store before others look */
        if (!cs || cpu_in_exclusive_context(cs)) {
            tell(start, last);
        } else if (last - sd < sizeof(S390SIEDescr)) {
            note(cs, sd + SOME);
        } else {
            note(cs, STORED_ANYWHERE);
        }
    }
    if (cs && qatomic_dec_fetch(&w->stores_left) == 0) {
        async_safe_run_on_cpu(cs, end_watch,
                              RUN_ON_CPU_TARGET_PTR(watch->page));
    }
}

static void begin_watch(CPUState *unused, run_on_cpu_data page)
{
    PageWatch *watch = page_watch_find(page.target_ptr);
    SIEWatch *w;

    if (watch) {
        page_watch_remove(watch);
    } else {
        w = g_new0(SIEWatch, 1);
        w->parent.page = page.target_ptr;
        w->parent.store = sd_store;
        w->stores_left = STORES_WITHOUT_ENTRY;
        watch = &w->parent;
    }
    page_watch_add(watch);
}

/*
 * Say that this CPU runs a guest with env->sie.sd.  Return false if its page is
 * not watched yet, but will be when this CPU has left its execution loop.
 */
bool s390_sie_announce(CPUS390XState *env)
{
    S390SIEState *sie = &env->sie;
    const ram_addr_t sd = qemu_ram_addr_from_host(sie->sd);
    PageWatch *watch;

    if (sd == RAM_ADDR_INVALID) {
        /* a bounce buffer: nobody else has access to it */
        return true;
    }
    watch = page_watch_find(sd);
    /* memory that was unplugged and plugged in again there is not protected */
    if (!watch || cpu_physical_memory_get_dirty_flag(sd, DIRTY_MEMORY_CODE)) {
        async_safe_run_on_cpu(env_cpu(env), begin_watch,
                              RUN_ON_CPU_TARGET_PTR(sd & TARGET_PAGE_MASK));
        return false;
    }
    qatomic_set(&container_of(watch, SIEWatch, parent)->stores_left,
                STORES_WITHOUT_ENTRY);
    qatomic_set(&sie->runs, sd + SOME);
    return true;
}

/*
 * Called before the lookup of a translation block if sie.look is set: this CPU
 * has stored requests, or its guest may have a reason to be left.
 */
void s390_sie_look(CPUS390XState *env)
{
    S390SIEState *sie = &env->sie;

    qatomic_set(&sie->look, false);
    s390_sie_tell(env_cpu(env));
    /* whoever sets it again has done so before this CPU looks, or will after */
    smp_mb();
    if (!sie->active) {
        return;
    }
    if (env->ex_value) {
        /* an EXECUTE and its target are indivisible: when that is done */
        qatomic_set(&sie->look, true);
        return;
    }
    s390_sie_poll(env);
}

/*
 * Watch the stores into a page of RAM
 *
 * A target can have itself told of each store into a page, by any CPU and by
 * devices.  Such a page is protected like one that has translated code, so that
 * stores into other pages cost nothing, and these pass through the slow path.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef EXEC_PAGE_WATCH_H
#define EXEC_PAGE_WATCH_H

#include "exec/cpu-common.h"

typedef struct PageWatch PageWatch;

struct PageWatch {
    ram_addr_t page;
    /*
     * Called for a store into [@start, @last], which is on the page.  If it is
     * one of @cpu, which is the calling thread's, it has not been done yet: it
     * will be, or will have ended in an exception, when @cpu next looks up a
     * translation block or leaves its execution loop.  If @cpu is NULL, it has
     * been done.
     */
    void (*store)(PageWatch *watch, CPUState *cpu, ram_addr_t start,
                  ram_addr_t last);
};

/*
 * Begin and end to watch a page, in an exclusive context: no CPU is then in
 * the middle of a store.  Stores of devices are noticed as reliably as those
 * into code are.  A page has one watch at most; it is to be freed by RCU.
 */
void page_watch_add(PageWatch *watch);
void page_watch_remove(PageWatch *watch);

/* The watch of the page of @addr, or NULL; for a thread that runs a CPU */
PageWatch *page_watch_find(ram_addr_t addr);

#endif /* EXEC_PAGE_WATCH_H */

/*
 * s390x SIE: counters, for people who develop hypervisors
 *
 * Each CPU counts its own; a reader may see counts that are not from the very
 * same moment.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-misc-target.h"
#include "monitor/hmp-target.h"
#include "monitor/monitor.h"
#include "cpu.h"
#include "sie.h"

#define INSN_OPCODES    0x10000

/*
 * The opcode as far as it is in the first two bytes or, for the formats that
 * have their second opcode byte at the end, with that one.
 */
static uint16_t opcode(uint64_t insn)
{
    const uint8_t op = insn >> 56;

    switch (op) {
    case 0x01:
    case 0xb2:
    case 0xb3:
    case 0xb9:
    case 0xe5:
        return insn >> 48;
    case 0xe3:
    case 0xe7:
    case 0xeb:
    case 0xec:
    case 0xed:
        return op << 8 | extract64(insn, 16, 8);
    default:
        return op << 8;
    }
}

void s390_sie_count_insn(CPUS390XState *env, uint64_t insn)
{
    S390SIEStats *stats = &env->sie.stats;

    if (!stats->insn) {
        qatomic_store_release(&stats->insn, g_new0(uint64_t, INSN_OPCODES));
    }
    stats->insn[opcode(insn)]++;
}

void s390_sie_count_entry(CPUS390XState *env)
{
    env->sie.stats.entries++;
}

/* Interceptions by their code; what nullifies has SIE_ICPT_NONE */
void s390_sie_count_exit(CPUS390XState *env, uint8_t icptcode)
{
    env->sie.stats.icpt[icptcode / 4]++;
}

void s390_sie_count_host_fault(CPUS390XState *env, int excp)
{
    S390SIEStats *stats = &env->sie.stats;

    stats->host_fault[excp % ARRAY_SIZE(stats->host_fault)]++;
}

void s390_sie_count_tlb_flush(CPUS390XState *env)
{
    env->sie.stats.tlb_flushes++;
}

void s390_sie_count_pte_flush(CPUS390XState *env)
{
    env->sie.stats.pte_flushes++;
}

/* Those of @counters[@first] to @counters[@n - 1] that are not zero */
static S390SIECounterList *counter_list(const uint64_t *counters, int first,
                                        int n, int code_step)
{
    S390SIECounterList *head = NULL, **tail = &head;
    int i;

    for (i = first; i < n; i++) {
        if (counters[i]) {
            S390SIECounter *c = g_new0(S390SIECounter, 1);

            c->code = i * code_step;
            c->count = counters[i];
            QAPI_LIST_APPEND(tail, c);
        }
    }
    return head;
}

static S390SIEInfo *sie_info(CPUS390XState *env)
{
    const S390SIEStats *stats = &env->sie.stats;
    const uint64_t *insn = qatomic_load_acquire(&stats->insn);
    S390SIEInfo *info = g_new0(S390SIEInfo, 1);

    info->cpu = env->core_id;
    info->entries = stats->entries;
    info->tlb_flushes = stats->tlb_flushes;
    info->pte_flushes = stats->pte_flushes;
    info->nullified = stats->icpt[SIE_ICPT_NONE];
    info->intercepts = counter_list(stats->icpt, 1, ARRAY_SIZE(stats->icpt), 4);
    info->host_faults = counter_list(stats->host_fault, 0,
                                     ARRAY_SIZE(stats->host_fault), 1);
    info->instructions = insn ? counter_list(insn, 0, INSN_OPCODES, 1) : NULL;
    return info;
}

S390SIEInfoList *qmp_x_query_s390x_sie(Error **errp)
{
    S390SIEInfoList *head = NULL, **tail = &head;
    CPUState *cs;

    CPU_FOREACH(cs) {
        QAPI_LIST_APPEND(tail, sie_info(cpu_env(cs)));
    }
    return head;
}

static void print_counters(Monitor *mon, const char *what, int digits,
                           const S390SIECounterList *list)
{
    for (; list; list = list->next) {
        monitor_printf(mon, "  %s %0*" PRIx64 ": %" PRIu64 "\n", what, digits,
                       list->value->code, list->value->count);
    }
}

void hmp_info_sie(Monitor *mon, const QDict *qdict)
{
    g_autoptr(S390SIEInfoList) list = qmp_x_query_s390x_sie(&error_abort);

    for (const S390SIEInfoList *l = list; l; l = l->next) {
        const S390SIEInfo *info = l->value;

        monitor_printf(mon, "CPU %" PRIu64 ": entries %" PRIu64
                       ", guest TLB flushes %" PRIu64 " and %" PRIu64
                       " by page-table entry, nullified %" PRIu64 "\n",
                       info->cpu, info->entries, info->tlb_flushes,
                       info->pte_flushes, info->nullified);
        print_counters(mon, "interception", 2, info->intercepts);
        print_counters(mon, "host fault", 2, info->host_faults);
        print_counters(mon, "instruction", 4, info->instructions);
    }
}

/*
 * QMP commands of the adjunct processor (AP) device model
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-ap-target.h"
#include "hw/s390x/ap-emulation.h"

#define AUDIT_LIMIT_DEFAULT 1000
#define AUDIT_LIMIT_MAX 65536

static ApModel *ap_model(Error **errp)
{
    ApModel *ap = s390_ap_model();

    if (!ap) {
        error_setg(errp, "this machine does not emulate AP");
    }
    return ap;
}

char *s390_ap_format_apqn(uint16_t apqn)
{
    return g_strdup_printf("%02x.%04x", apqn >> 8, apqn & 0xff);
}

static bool parse_apqn(const char *text, uint32_t *apqn, Error **errp)
{
    unsigned int apid, apqi;
    int end = 0;

    if (sscanf(text, "%2x.%4x%n", &apid, &apqi, &end) != 2 ||
        end != strlen("00.0000") || text[end] || apqi > UINT8_MAX) {
        error_setg(errp, "'%s' is no APQN such as 05.0047", text);
        return false;
    }
    *apqn = apid << 8 | apqi;
    return true;
}

ApDeviceInfo *qmp_x_query_ap_device(Error **errp)
{
    ApDeviceInfo *info = g_new0(ApDeviceInfo, 1);

    info->version = g_strdup(ap_device_version());
    return info;
}

static ApAdapterMode ap_mode(uint8_t mode)
{
    switch (mode) {
    case AP_MODE_CCA:
        return AP_ADAPTER_MODE_CCA;
    case AP_MODE_ACCELERATOR:
        return AP_ADAPTER_MODE_ACCELERATOR;
    case AP_MODE_EP11:
        return AP_ADAPTER_MODE_EP11;
    default:
        g_assert_not_reached();
    }
}

ApQueueStateList *qmp_x_query_ap_queues(Error **errp)
{
    g_autofree ApQueueInfo *queues = NULL;
    ApQueueStateList *head = NULL, **tail = &head;
    ApModel *ap = ap_model(errp);
    size_t i, n;

    if (!ap) {
        return NULL;
    }
    n = ap_device_queues(ap, NULL, 0);
    queues = g_new0(ApQueueInfo, n);
    n = ap_device_queues(ap, queues, n);
    for (i = 0; i < n; i++) {
        ApQueueState *state = g_new0(ApQueueState, 1);

        state->apqn = s390_ap_format_apqn(queues[i].apqn);
        state->mode = ap_mode(queues[i].mode);
        state->generation = queues[i].generation;
        state->status = queues[i].status;
        state->requests = queues[i].requests;
        state->replies = queues[i].replies;
        state->enqueued = queues[i].enqueued;
        state->dequeued = queues[i].dequeued;
        state->epoch = queues[i].epoch;
        state->has_indicator = queues[i].nib != 0;
        state->indicator = queues[i].nib;
        QAPI_LIST_APPEND(tail, state);
    }
    return head;
}

void qmp_x_ap_set_domains(const char *usage, const char *control,
                          Error **errp)
{
    s390_ap_set_domains(usage, control, errp);
}

ApFaults *qmp_x_ap_inject(const char *faults, Error **errp)
{
    char msg[AP_ERROR_LEN] = "";
    ApModel *ap = ap_model(errp);
    ApFaults *result;
    uint32_t first;

    if (!ap) {
        return NULL;
    }
    if (ap_device_inject(ap, s390_ap_now(), faults, strlen(faults), &first,
                         msg, sizeof(msg)) < 0) {
        error_setg(errp, "%s", msg);
        return NULL;
    }
    s390_ap_settle();

    result = g_new0(ApFaults, 1);
    result->first = first;
    return result;
}

ApFaultsCleared *qmp_x_ap_clear_faults(bool has_id, uint32_t id, Error **errp)
{
    ApModel *ap = ap_model(errp);
    ApFaultsCleared *result;

    if (!ap) {
        return NULL;
    }
    if (has_id && !id) {
        error_setg(errp, "faults are numbered from 1");
        return NULL;
    }
    result = g_new0(ApFaultsCleared, 1);
    result->cleared = ap_device_clear_faults(ap, s390_ap_now(),
                                             has_id ? id : 0);
    s390_ap_settle();
    return result;
}

static ApAuditOp audit_op(uint8_t op)
{
    static const uint8_t ops[] = {
        [AP_AUDIT_OP_TAPQ] = 0,
        [AP_AUDIT_OP_RAPQ] = 1,
        [AP_AUDIT_OP_ZAPQ] = 2,
        [AP_AUDIT_OP_AQIC] = 3,
        [AP_AUDIT_OP_QCI] = 4,
        [AP_AUDIT_OP_QACT] = 5,
        [AP_AUDIT_OP_QBAP] = 6,
        [AP_AUDIT_OP_BAPQ] = 7,
        [AP_AUDIT_OP_AAPQ] = 8,
        [AP_AUDIT_OP_UNKNOWN] = AP_OP_UNKNOWN,
        [AP_AUDIT_OP_NQAP] = AP_OP_NQAP,
        [AP_AUDIT_OP_DQAP] = AP_OP_DQAP,
        [AP_AUDIT_OP_REPLY] = AP_OP_REPLY,
        [AP_AUDIT_OP_RESET_DONE] = AP_OP_RESET_DONE,
        [AP_AUDIT_OP_IRQ] = AP_OP_IRQ,
        [AP_AUDIT_OP_CONFIG] = AP_OP_CONFIG,
        [AP_AUDIT_OP_MARK] = AP_OP_MARK,
        [AP_AUDIT_OP_DISCARD] = AP_OP_DISCARD,
        [AP_AUDIT_OP_FAULT] = AP_OP_FAULT,
        [AP_AUDIT_OP_VIOLATION] = AP_OP_VIOLATION,
    };
    int i;

    QEMU_BUILD_BUG_ON(ARRAY_SIZE(ops) != AP_AUDIT_OP_OTHER);
    for (i = 0; i < ARRAY_SIZE(ops); i++) {
        if (ops[i] == op) {
            return i;
        }
    }
    return AP_AUDIT_OP_OTHER;
}

static ApAuditIssuer audit_issuer(uint8_t issuer)
{
    switch (issuer) {
    case AP_ISSUER_HOST:
        return AP_AUDIT_ISSUER_HOST;
    case AP_ISSUER_SIE:
        return AP_AUDIT_ISSUER_SIE;
    case AP_ISSUER_NESTED:
        return AP_AUDIT_ISSUER_NESTED;
    default:
        return AP_AUDIT_ISSUER_MACHINE;
    }
}

static ApAuditFlagList *audit_flags(uint8_t flags)
{
    static const uint8_t bits[] = {
        [AP_AUDIT_FLAG_PARTIAL] = AP_AUDIT_PARTIAL,
        [AP_AUDIT_FLAG_SPECIAL] = AP_AUDIT_SPECIAL,
        [AP_AUDIT_FLAG_T] = AP_AUDIT_T,
        [AP_AUDIT_FLAG_F] = AP_AUDIT_F,
        [AP_AUDIT_FLAG_INJECTED] = AP_AUDIT_INJECTED,
        [AP_AUDIT_FLAG_VIOLATION] = AP_AUDIT_VIOLATION,
    };
    ApAuditFlagList *head = NULL, **tail = &head;
    int i;

    for (i = 0; i < ARRAY_SIZE(bits); i++) {
        if (flags & bits[i]) {
            QAPI_LIST_APPEND(tail, i);
        }
    }
    return head;
}

static ApAuditEntry *audit_entry(const ApAuditRecord *record)
{
    ApAuditEntry *entry = g_new0(ApAuditEntry, 1);

    entry->seq = record->seq;
    entry->ns = record->ns;
    entry->op = audit_op(record->op);
    entry->issuer = audit_issuer(record->issuer);
    entry->has_cc = record->cc != 0xff;
    entry->cc = record->cc;
    entry->flags = audit_flags(record->flags);
    entry->apqn = s390_ap_format_apqn(record->apqn);
    entry->cpu = record->cpu;
    entry->status = record->status;
    entry->epoch = record->epoch;
    entry->sd = record->sd;
    entry->crycbd = record->crycbd;
    entry->length = record->length;
    entry->psmid = record->psmid;
    entry->tag = record->tag;
    return entry;
}

ApAudit *qmp_x_query_ap_audit(bool has_since, uint64_t since,
                              const char *apqn, bool has_limit,
                              uint32_t limit, Error **errp)
{
    g_autofree ApAuditRecord *records = NULL;
    ApAuditEntryList **tail;
    ApModel *ap = ap_model(errp);
    uint32_t queue = AP_ANY_QUEUE;
    ApAudit *audit;
    size_t i, n;

    if (!ap || (apqn && !parse_apqn(apqn, &queue, errp))) {
        return NULL;
    }
    limit = has_limit ? limit : AUDIT_LIMIT_DEFAULT;
    if (!limit || limit > AUDIT_LIMIT_MAX) {
        error_setg(errp, "'limit' must be 1 to %d", AUDIT_LIMIT_MAX);
        return NULL;
    }

    audit = g_new0(ApAudit, 1);
    tail = &audit->entries;
    records = g_new0(ApAuditRecord, limit);
    n = ap_device_audit_read(ap, has_since ? since : 0, queue, records, limit,
                             &audit->next, &audit->lost);
    for (i = 0; i < n; i++) {
        QAPI_LIST_APPEND(tail, audit_entry(&records[i]));
    }
    return audit;
}

ApAuditMark *qmp_x_ap_audit_mark(bool has_tag, uint64_t tag, Error **errp)
{
    ApModel *ap = ap_model(errp);
    ApAuditMark *mark;

    if (!ap) {
        return NULL;
    }
    mark = g_new0(ApAuditMark, 1);
    mark->seq = ap_device_audit_mark(ap, s390_ap_now(), has_tag ? tag : 0);
    s390_ap_settle();
    return mark;
}

ApViolationsList *qmp_x_query_ap_violations(Error **errp)
{
    ApViolationsList *head = NULL, **tail = &head;
    uint64_t counts[AP_INVARIANTS];
    ApModel *ap = ap_model(errp);
    int i;

    if (!ap) {
        return NULL;
    }
    ap_device_violations(ap, counts);
    for (i = 0; i < AP_INVARIANTS; i++) {
        ApViolations *violations = g_new0(ApViolations, 1);

        violations->rule = s390_ap_audit_rule(i + 1);
        violations->count = counts[i];
        QAPI_LIST_APPEND(tail, violations);
    }
    return head;
}

/*
 * Adjunct processor (AP) emulation: where the audit log goes
 *
 * The device model keeps the newest records for QMP to ask for. From here they
 * also go to the trace and, as a stream, to a character device. The auditor of
 * the model reads them first; what it objects to is told as a QMP event.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qapi/qapi-events-ap-target.h"
#include "hw/s390x/ap-emulation.h"
#include "system/runstate.h"
#include "trace.h"

#define BATCH 64

typedef struct ApAuditStream {
    CharBackend *chr;
    uint64_t next;
} ApAuditStream;

static ApAuditStream audit_stream;
static uint64_t audit_traced;

void s390_ap_audit_stream_to(CharBackend *chr)
{
    audit_stream.chr = chr;
}

/* The stream is in big-endian byte order on all hosts. */
static void audit_to_be(ApAuditRecord *record)
{
    cpu_to_be64s(&record->seq);
    cpu_to_be64s(&record->ns);
    cpu_to_be16s(&record->apqn);
    cpu_to_be16s(&record->cpu);
    cpu_to_be32s(&record->status);
    cpu_to_be32s(&record->epoch);
    cpu_to_be64s(&record->sd);
    cpu_to_be32s(&record->crycbd);
    cpu_to_be32s(&record->length);
    cpu_to_be64s(&record->psmid);
    cpu_to_be64s(&record->tag);
}

static void audit_write_stream(ApModel *ap)
{
    ApAuditRecord records[BATCH];
    size_t i, n;

    do {
        n = ap_device_audit_read(ap, audit_stream.next, AP_ANY_QUEUE, records,
                                 BATCH, &audit_stream.next, NULL);
        for (i = 0; i < n; i++) {
            audit_to_be(&records[i]);
        }
        qemu_chr_fe_write_all(audit_stream.chr, (const uint8_t *)records,
                              n * sizeof(records[0]));
    } while (n == BATCH);
}

static void audit_write_trace(ApModel *ap)
{
    ApAuditRecord records[BATCH];
    const ApAuditRecord *r;
    size_t n;

    do {
        n = ap_device_audit_read(ap, audit_traced, AP_ANY_QUEUE, records,
                                 BATCH, &audit_traced, NULL);
        for (r = records; r < records + n; r++) {
            trace_ap_audit(r->seq, r->op, r->issuer, r->cpu, r->sd, r->apqn,
                           r->cc, r->status, r->length, r->psmid);
        }
    } while (n == BATCH);
}

void s390_ap_audit_pass_on(ApModel *ap)
{
    if (audit_stream.chr) {
        audit_write_stream(ap);
    }
    if (trace_event_get_state_backends(TRACE_AP_AUDIT)) {
        audit_write_trace(ap);
    }
}

ApAuditRule s390_ap_audit_rule(uint64_t invariant)
{
    switch (invariant) {
    case AP_INVARIANT_REPLY_TO_OWNER:
        return AP_AUDIT_RULE_REPLY_TO_OWNER;
    case AP_INVARIANT_ZAPQ_BETWEEN_OWNERS:
        return AP_AUDIT_RULE_ZAPQ_BETWEEN_OWNERS;
    case AP_INVARIANT_NOTHING_SURVIVES:
        return AP_AUDIT_RULE_NOTHING_SURVIVES;
    case AP_INVARIANT_INDICATOR_IS_CURRENT:
        return AP_AUDIT_RULE_INDICATOR_IS_CURRENT;
    case AP_INVARIANT_HOST_KEEPS_OFF:
        return AP_AUDIT_RULE_HOST_KEEPS_OFF;
    default:
        return AP_AUDIT_RULE_MASKS_HOLD;
    }
}

/* The rules that record @seq violates: each has a record right behind it. */
static ApAuditRuleList *audit_violated(ApModel *ap, uint64_t seq)
{
    ApAuditRecord records[AP_INVARIANTS];
    ApAuditRuleList *head = NULL, **tail = &head;
    size_t i, n;

    n = ap_device_audit_read(ap, seq + 1, AP_ANY_QUEUE, records, AP_INVARIANTS,
                             NULL, NULL);
    for (i = 0; i < n && records[i].op == AP_OP_VIOLATION; i++) {
        QAPI_LIST_APPEND(tail, s390_ap_audit_rule(records[i].tag));
    }
    return head;
}

void s390_ap_stop(ApModel *ap, const ApEffect *effect)
{
    g_autofree char *apqn = s390_ap_format_apqn(effect->apqn);
    uint64_t seq = effect->nib;
    ApAuditRuleList *rules = audit_violated(ap, seq);

    trace_ap_violation(effect->apqn, seq);
    qapi_event_send_ap_violation(rules, apqn, seq);
    qapi_free_ApAuditRuleList(rules);

    qemu_system_vmstop_request_prepare();
    qemu_system_vmstop_request(RUN_STATE_PAUSED);
}

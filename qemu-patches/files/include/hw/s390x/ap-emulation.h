/*
 * Adjunct processor (AP) emulation
 *
 * The device model is a library without QEMU types (see ap_device.h). Here is
 * what it needs from a machine: a clock, a timer, a way to tell the guest.
 *
 * Everything here wants the BQL held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_S390X_AP_EMULATION_H
#define HW_S390X_AP_EMULATION_H

#include "ap_device.h"
#include "chardev/char-fe.h"
#include "qapi/qapi-types-ap-target.h"

#define TYPE_AP_CEX "ap-cex"

/* Long enough for any text of the library about what it refuses. */
#define AP_ERROR_LEN 256

/* The machine's AP complex; NULL if the machine does not emulate AP. */
ApModel *s390_ap_model(void);

/* The time that the functions of ap_device.h want. */
uint64_t s390_ap_now(void);

/*
 * To be called after every call into the library that may have changed
 * something: carries out its effects and arms the timer.
 */
void s390_ap_settle(void);

/* @topology_file: NULL for a complex without adapters and domains */
bool s390_ap_emulation_init(const char *topology_file, Error **errp);

/* Any subsystem reset, diagnose 308 included. */
void s390_ap_reset(void);

/*
 * Domain lists as in the properties of the AP bridge; NULL leaves one as it
 * is. Both are changed at once, or none.
 */
bool s390_ap_set_domains(const char *usage, const char *control, Error **errp);

/* Make devices of the adapters that a topology file brought. */
void ap_cex_adopt_adapters(BusState *bus, Error **errp);

/* Interruptions: AP_EFFECT_INDICATE */
void s390_ap_irq_init(Error **errp);
void s390_ap_indicate(const ApEffect *effect);

/* Hand on what is new in the audit log, to the trace and to @chr if given. */
void s390_ap_audit_pass_on(ApModel *ap);
void s390_ap_audit_stream_to(CharBackend *chr);

/* AP_EFFECT_STOP */
void s390_ap_stop(ApModel *ap, const ApEffect *effect);
ApAuditRule s390_ap_audit_rule(uint64_t invariant);

/* As Linux writes it, such as 05.0047; the caller frees it. */
char *s390_ap_format_apqn(uint16_t apqn);

/* SCLP (de)configure AP: returns the response code */
uint16_t s390_ap_sclp_configure(uint8_t apid, bool on);

/* CHSC store event information; 0 if there was an event */
int ap_chsc_sei_nt0_get_event(void *res);
int ap_chsc_sei_nt0_have_event(void);

#endif

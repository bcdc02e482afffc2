/*
 * Adjunct processor (AP) emulation: the device model's place in the machine
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/guest-random.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "hw/qdev-core.h"
#include "hw/s390x/ap-emulation.h"
#include "hw/s390x/css.h"
#include "hw/s390x/sclp.h"
#include "migration/blocker.h"
#include "trace.h"

/* CHSC store event information: a notification of type 0 */
typedef struct ChscSeiNt0Res {
    uint16_t length;
    uint16_t code;
    uint8_t reserved1[3];
    uint8_t nt;
    uint8_t flags;
    uint8_t vf;
    uint8_t rs;
    uint8_t cc;
    uint16_t fla;
    uint16_t rsid;
    uint32_t reserved2[2];
} QEMU_PACKED ChscSeiNt0Res;

QEMU_BUILD_BUG_ON(sizeof(ChscSeiNt0Res) != 24);

#define CHSC_SEI_STORED 0x0001
#define SEI_RS_CSS 0x05
#define SEI_CC_AP_CONFIG_CHANGED 0x03

typedef struct ApEmulation {
    ApModel *model;
    QEMUTimer *timer;
    Error *migration_blocker;
    /* an AP-configuration-change event is there for the guest to fetch */
    bool config_changed;
} ApEmulation;

/* There is one AP complex per machine, as there is one channel subsystem. */
static ApEmulation ap_emulation;

ApModel *s390_ap_model(void)
{
    return ap_emulation.model;
}

uint64_t s390_ap_now(void)
{
    return qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
}

static void ap_config_changed(void)
{
    /* What is there when the machine starts is no change. */
    if (!phase_check(PHASE_MACHINE_READY)) {
        return;
    }
    trace_ap_config_changed();
    ap_emulation.config_changed = true;
    css_generate_css_crws(0);
}

static void ap_carry_out(const ApEffect *effect)
{
    switch (effect->kind) {
    case AP_EFFECT_CONFIG_CHANGED:
        ap_config_changed();
        break;
    case AP_EFFECT_INDICATE:
        s390_ap_indicate(effect);
        break;
    case AP_EFFECT_STOP:
        s390_ap_stop(ap_emulation.model, effect);
        break;
    default:
        break;
    }
}

void s390_ap_settle(void)
{
    ApEffect effect;
    uint64_t when;

    g_assert(bql_locked());

    s390_ap_audit_pass_on(ap_emulation.model);
    while (ap_device_next_effect(ap_emulation.model, &effect)) {
        ap_carry_out(&effect);
    }
    if (ap_device_next_deadline(ap_emulation.model, &when)) {
        timer_mod_ns(ap_emulation.timer, when);
    } else {
        timer_del(ap_emulation.timer);
    }
}

static void ap_timer(void *opaque)
{
    ap_device_poll(ap_emulation.model, s390_ap_now());
    s390_ap_settle();
}

static ApModel *ap_load_topology(const char *file, uint64_t seed, Error **errp)
{
    g_autoptr(GError) gerr = NULL;
    g_autofree char *text = NULL;
    char msg[AP_ERROR_LEN] = "";
    ApModel *model;
    gsize len;

    if (!g_file_get_contents(file, &text, &len, &gerr)) {
        error_setg(errp, "AP topology: %s", gerr->message);
        return NULL;
    }
    model = ap_device_from_topology(text, len, seed, msg, sizeof(msg));
    if (!model) {
        error_setg(errp, "AP topology %s: %s", file, msg);
    }
    return model;
}

bool s390_ap_emulation_init(const char *topology_file, Error **errp)
{
    ERRP_GUARD();
    ApModel *model;
    uint64_t seed;

    g_assert(!ap_emulation.model);

    if (ap_device_abi() != AP_DEVICE_ABI) {
        error_setg(errp, "AP device library has interface %u, not %u",
                   ap_device_abi(), AP_DEVICE_ABI);
        return false;
    }

    s390_ap_irq_init(errp);
    if (*errp) {
        return false;
    }

    error_setg(&ap_emulation.migration_blocker,
               "The emulation of AP does not support migration");
    if (migrate_add_blocker(&ap_emulation.migration_blocker, errp) < 0) {
        return false;
    }

    qemu_guest_getrandom_nofail(&seed, sizeof(seed));
    model = topology_file ? ap_load_topology(topology_file, seed, errp)
                          : ap_device_new(seed);
    if (!model) {
        migrate_del_blocker(&ap_emulation.migration_blocker);
        return false;
    }

    ap_emulation.model = model;
    ap_emulation.timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, ap_timer, NULL);
    s390_ap_settle();
    return true;
}

void s390_ap_reset(void)
{
    if (!ap_emulation.model) {
        return;
    }
    /*
     * What an HMC, SCLP or a user configured since the start stays, as it
     * does for PCI functions: only the queues and the event are reset.
     */
    ap_device_reset(ap_emulation.model, s390_ap_now(), AP_RESET_SUBSYSTEM);
    ap_emulation.config_changed = false;
    s390_ap_settle();
}

uint16_t s390_ap_sclp_configure(uint8_t apid, bool on)
{
    int change;

    if (!ap_emulation.model) {
        return SCLP_RC_INVALID_SCLP_COMMAND;
    }
    change = ap_device_set_config(ap_emulation.model, s390_ap_now(), apid, on);
    s390_ap_settle();

    switch (change) {
    case AP_CHANGE_DONE:
        return SCLP_RC_NORMAL_COMPLETION;
    case AP_CHANGE_ALREADY:
        return SCLP_RC_NO_ACTION_REQUIRED;
    default:
        return SCLP_RC_ADAPTER_ID_NOT_RECOGNIZED;
    }
}

int ap_chsc_sei_nt0_get_event(void *res)
{
    ChscSeiNt0Res *nt0 = res;

    if (!ap_emulation.config_changed) {
        return 1;
    }
    ap_emulation.config_changed = false;

    memset(nt0, 0, sizeof(*nt0));
    nt0->length = cpu_to_be16(sizeof(*nt0));
    nt0->code = cpu_to_be16(CHSC_SEI_STORED);
    nt0->rs = SEI_RS_CSS;
    nt0->cc = SEI_CC_AP_CONFIG_CHANGED;
    return 0;
}

int ap_chsc_sei_nt0_have_event(void)
{
    return ap_emulation.config_changed;
}

/*
 * Crypto Express adapter, emulated
 *
 * A handle on one adapter of the AP device model: plugging the device adds
 * the adapter, its properties are what an HMC or SE can do to it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/module.h"
#include "hw/qdev-properties.h"
#include "hw/s390x/ap-bridge.h"
#include "hw/s390x/ap-device.h"
#include "hw/s390x/ap-emulation.h"
#include "monitor/qdev.h"

#define APID_NOT_GIVEN UINT32_MAX

struct APCexState {
    APDevice parent_obj;

    uint32_t apid;
    uint32_t generation;
    char *mode;
    /* before realization: what to start with; then the model knows */
    bool config;
    bool checkstop;
    /* the model already has the adapter */
    bool adopted;
};

OBJECT_DECLARE_SIMPLE_TYPE(APCexState, AP_CEX)

static bool ap_cex_get_adapter(APCexState *cex, ApAdapter *adapter)
{
    return DEVICE(cex)->realized &&
           ap_device_get_adapter(s390_ap_model(), cex->apid, adapter);
}

static bool ap_cex_get_config(Object *obj, Error **errp)
{
    APCexState *cex = AP_CEX(obj);
    ApAdapter adapter;

    return ap_cex_get_adapter(cex, &adapter) ? adapter.config : cex->config;
}

static void ap_cex_set_config(Object *obj, bool value, Error **errp)
{
    APCexState *cex = AP_CEX(obj);

    if (!DEVICE(cex)->realized) {
        cex->config = value;
        return;
    }
    ap_device_set_config(s390_ap_model(), s390_ap_now(), cex->apid, value);
    s390_ap_settle();
}

static bool ap_cex_get_checkstop(Object *obj, Error **errp)
{
    APCexState *cex = AP_CEX(obj);
    ApAdapter adapter;

    return ap_cex_get_adapter(cex, &adapter) ? adapter.checkstop
                                             : cex->checkstop;
}

static void ap_cex_set_checkstop(Object *obj, bool value, Error **errp)
{
    APCexState *cex = AP_CEX(obj);

    if (!DEVICE(cex)->realized) {
        cex->checkstop = value;
        return;
    }
    ap_device_set_checkstop(s390_ap_model(), s390_ap_now(), cex->apid, value);
    s390_ap_settle();
}

static bool ap_cex_check(const APCexState *cex, Error **errp)
{
    if (!s390_ap_model()) {
        error_setg(errp, "%s needs the TCG accelerator", TYPE_AP_CEX);
        return false;
    }
    if (cex->apid == APID_NOT_GIVEN) {
        error_setg(errp, "'apid' is missing");
        return false;
    }
    if (cex->apid > UINT8_MAX) {
        error_setg(errp, "'apid' %u is out of range, it ends at %d",
                   cex->apid, UINT8_MAX);
        return false;
    }
    if (!cex->mode) {
        error_setg(errp, "'mode' is missing");
        return false;
    }
    if (ap_device_mode_from_name(cex->mode) < 0) {
        error_setg(errp, "'mode' is '%s', but must be 'cca', 'accelerator' "
                   "or 'ep11'", cex->mode);
        return false;
    }
    if (cex->generation > UINT8_MAX) {
        error_setg(errp, "'generation' %u is unknown", cex->generation);
        return false;
    }
    return true;
}

static void ap_cex_realize(DeviceState *dev, Error **errp)
{
    APCexState *cex = AP_CEX(dev);
    char msg[AP_ERROR_LEN] = "";
    ApAdapter adapter = {};

    if (!ap_cex_check(cex, errp) || cex->adopted) {
        return;
    }

    adapter.apid = cex->apid;
    adapter.mode = ap_device_mode_from_name(cex->mode);
    adapter.generation = cex->generation;
    adapter.config = cex->config;
    adapter.checkstop = cex->checkstop;
    if (ap_device_add_adapter(s390_ap_model(), s390_ap_now(), &adapter,
                              msg, sizeof(msg)) < 0) {
        error_setg(errp, "%s", msg);
        return;
    }
    s390_ap_settle();
}

static void ap_cex_unrealize(DeviceState *dev)
{
    APCexState *cex = AP_CEX(dev);

    ap_device_remove_adapter(s390_ap_model(), s390_ap_now(), cex->apid,
                             NULL, 0);
    s390_ap_settle();
}

static void ap_cex_adopt(const ApAdapter *adapter, BusState *bus, Error **errp)
{
    DeviceState *dev = qdev_new(TYPE_AP_CEX);
    APCexState *cex = AP_CEX(dev);

    cex->apid = adapter->apid;
    cex->mode = g_strdup(ap_device_mode_name(adapter->mode));
    cex->generation = adapter->generation;
    cex->config = adapter->config;
    cex->checkstop = adapter->checkstop;
    cex->adopted = true;
    qdev_set_id(dev, g_strdup_printf("ap%02x", adapter->apid), &error_abort);
    qdev_realize_and_unref(dev, bus, errp);
}

void ap_cex_adopt_adapters(BusState *bus, Error **errp)
{
    ERRP_GUARD();
    ApAdapter adapter;
    int apid;

    for (apid = 0; apid <= UINT8_MAX; apid++) {
        if (ap_device_get_adapter(s390_ap_model(), apid, &adapter)) {
            ap_cex_adopt(&adapter, bus, errp);
            if (*errp) {
                return;
            }
        }
    }
}

static const Property ap_cex_properties[] = {
    DEFINE_PROP_UINT32("apid", APCexState, apid, APID_NOT_GIVEN),
    DEFINE_PROP_STRING("mode", APCexState, mode),
    DEFINE_PROP_UINT32("generation", APCexState, generation, 8),
};

static void ap_cex_init(Object *obj)
{
    AP_CEX(obj)->config = true;
}

static void ap_cex_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    device_class_set_props(dc, ap_cex_properties);
    object_class_property_set_description(klass, "apid",
            "adapter number, 0 to 255");
    object_class_property_set_description(klass, "mode",
            "cca, accelerator or ep11");
    object_class_property_set_description(klass, "generation",
            "4 to 8 for CEX4S to CEX8S");

    object_class_property_add_bool(klass, "config", ap_cex_get_config,
                                   ap_cex_set_config);
    object_class_property_set_description(klass, "config",
            "off: deconfigured, as by SCLP or on an HMC");
    object_class_property_add_bool(klass, "checkstop", ap_cex_get_checkstop,
                                   ap_cex_set_checkstop);
    object_class_property_set_description(klass, "checkstop",
            "on: the adapter has failed");

    dc->desc = "Crypto Express adapter (emulated)";
    dc->bus_type = TYPE_AP_BUS;
    dc->realize = ap_cex_realize;
    dc->unrealize = ap_cex_unrealize;
    dc->hotpluggable = true;
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo ap_cex_info = {
    .name = TYPE_AP_CEX,
    .parent = TYPE_AP_DEVICE,
    .instance_size = sizeof(APCexState),
    .instance_init = ap_cex_init,
    .class_init = ap_cex_class_init,
};

static void ap_cex_register(void)
{
    type_register_static(&ap_cex_info);
}

type_init(ap_cex_register)

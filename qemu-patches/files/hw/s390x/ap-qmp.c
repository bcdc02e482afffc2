/*
 * QMP commands of the adjunct processor (AP) device model
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/qapi-commands-ap-target.h"
#include "ap_device.h"

ApDeviceInfo *qmp_x_query_ap_device(Error **errp)
{
    ApDeviceInfo *info = g_new0(ApDeviceInfo, 1);

    info->version = g_strdup(ap_device_version());
    return info;
}

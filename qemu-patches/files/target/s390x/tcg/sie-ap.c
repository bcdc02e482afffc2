/*
 * s390x SIE: AP instructions of a guest
 *
 * With ECA.APIE, PQAP, NQAP and DQAP are interpreted: they reach those queues
 * of the machine whose adapter and domain are set in the AP control block
 * (APCB), which is part of the guest's crypto control block (CRYCB).  The
 * masks are read for each instruction, because the host changes them while no
 * CPU of the guest is in SIE but without telling the machine.
 *
 * Layout: struct kvm_s390_crypto_cb in Linux, arch/s390/include/asm/kvm_host.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "s390x-internal.h"
#include "exec/address-spaces.h"
#include "sie.h"

#define CRYCBD_ORIGIN       0x7ffffff8u
#define CRYCBD_FORMAT       0x00000003u
#define CRYCBD_FORMAT2      0x00000003u

/* Formats 0 and 1: one doubleword per mask, of which the domains use 16 bits */
#define APCB0_OFFSET        0x00
/* Format 2: 256 bits per mask */
#define APCB1_OFFSET        0x80

#define PQAP_OPCODE         0xb2af
#define PQAP_FC_AQIC        3

/*
 * What the running guest may reach.  All masks are zero if its AP control
 * block cannot be read.  Return false if no guest is running.
 */
bool s390_sie_ap_masks(CPUS390XState *env, S390SIEAPView *view)
{
    uint32_t crycbd, origin;
    uint64_t apcb[12] = { };
    bool format2;
    int i;

    if (!env->sie.active) {
        return false;
    }
    crycbd = be32_to_cpu(env->sie.sd->crycbd);
    origin = crycbd & CRYCBD_ORIGIN;
    format2 = (crycbd & CRYCBD_FORMAT) == CRYCBD_FORMAT2;

    *view = (S390SIEAPView) {
        .sd_addr = env->sie.sd_addr,
        .crycbd = crycbd,
        .core_id = env->core_id,
    };
    if (address_space_read(&address_space_memory,
                           origin + (format2 ? APCB1_OFFSET : APCB0_OFFSET),
                           MEMTXATTRS_UNSPECIFIED, apcb,
                           (format2 ? 12 : 3) * sizeof(uint64_t)) != MEMTX_OK) {
        return true;
    }
    if (format2) {
        for (i = 0; i < 4; i++) {
            view->apm[i] = be64_to_cpu(apcb[i]);
            view->aqm[i] = be64_to_cpu(apcb[4 + i]);
            view->adm[i] = be64_to_cpu(apcb[8 + i]);
        }
    } else {
        view->apm[0] = be64_to_cpu(apcb[0]);
        view->aqm[0] = be64_to_cpu(apcb[1]) & ~0ULL << 48;
        view->adm[0] = be64_to_cpu(apcb[2]) & ~0ULL << 48;
    }
    return true;
}

/*
 * Must the guest's AP instruction @insn (left aligned) be intercepted?  AQIC
 * always is: the notification byte it names is in guest storage.
 */
bool s390_sie_ap_intercepts(CPUS390XState *env, uint64_t insn)
{
    return !(env->sie.eca & SIE_ECA_APIE) ||
           (insn >> 48 == PQAP_OPCODE &&
            extract64(env->regs[0], 24, 8) == PQAP_FC_AQIC);
}

/*
 * s390x SIE: validity of a state description
 *
 * A state description that cannot be interpreted gives a validity
 * interception, whose reason code is a halfword.  The codes are those that
 * Linux generates in arch/s390/kvm/vsie.c, where it stands in for the machine.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "s390x-internal.h"
#include "exec/page-protection.h"
#include "sie.h"

/* size of a crypto control block up to the end of APCB1 */
#define CRYCB_SIZE          0x100
#define CRYCB_FORMAT_MASK   0x3
#define CRYCB_FORMAT1       0x1
#define CRYCB_ORIGIN        0x7ffffff8u

static uint16_t check_prefix(CPUS390XState *env)
{
    const uint64_t prefix = be32_to_cpu(env->sie.sd->prefix) & SIE_PREFIX_MASK;
    uint64_t tec;
    int prot;

    /* not active yet: translates with the host's registers as they are */
    switch (s390_sie_translate(env, prefix, MMU_DATA_STORE, &env->sie.lowcore,
                               &prot, &tec)) {
    case 0:
        break;
    case PGM_ADDRESSING:
        return SIE_VALIDITY_PREFIX_LIMIT;
    default:
        return SIE_VALIDITY_PREFIX_HOST;
    }
    if (!mmu_absolute_addr_valid(env->sie.lowcore, true)) {
        return SIE_VALIDITY_PREFIX_LIMIT;
    }
    return 0;
}

static uint16_t check_sca(CPUS390XState *env)
{
    const uint64_t sca = s390_sie_sca_origin(env->sie.sd);
    const uint64_t bsca_size = 0x840;

    if (!sca) {
        return 0;
    }
    if (sca < 2 * TARGET_PAGE_SIZE) {
        return SIE_VALIDITY_SCA_LOW;
    }
    if (sca - env->psa < 2 * TARGET_PAGE_SIZE) {
        return SIE_VALIDITY_SCA_IN_PREFIX;
    }
    if ((sca ^ (sca + bsca_size - 1)) & TARGET_PAGE_MASK) {
        return SIE_VALIDITY_SCA_CROSSES;
    }
    if (!mmu_absolute_addr_valid(sca, true)) {
        return SIE_VALIDITY_SCA_UNMAPPED;
    }
    return 0;
}

/* The AP control block is part of the crypto control block */
static uint16_t check_crycb(CPUS390XState *env)
{
    const uint32_t crycbd = be32_to_cpu(env->sie.sd->crycbd);
    const uint32_t origin = crycbd & CRYCB_ORIGIN;

    if (!(env->sie.eca & SIE_ECA_APIE)) {
        return 0;
    }
    if (!origin) {
        return SIE_VALIDITY_CRYCB_ZERO;
    }
    if ((crycbd & CRYCB_FORMAT_MASK) == CRYCB_FORMAT1 &&
        ((origin ^ (origin + 128)) & TARGET_PAGE_MASK)) {
        return SIE_VALIDITY_CRYCB_CROSSES;
    }
    if (!mmu_absolute_addr_valid(origin, false) ||
        !mmu_absolute_addr_valid(origin + CRYCB_SIZE - 1, false)) {
        return SIE_VALIDITY_CRYCB_UNMAPPED;
    }
    return 0;
}

static uint16_t check_faclist(CPUS390XState *env)
{
    const uint32_t fac = be32_to_cpu(env->sie.sd->fac) & SIE_FAC_ORIGIN;

    if (fac && !mmu_absolute_addr_valid(fac, false)) {
        return SIE_VALIDITY_FACLIST;
    }
    return 0;
}

/*
 * Return the reason why env->sie.sd is not valid, 0 if it is.  Sets
 * env->sie.lowcore.  The host's state is still in @env.
 */
uint16_t s390_sie_validity(CPUS390XState *env)
{
    const S390SIEState *sie = &env->sie;
    uint16_t why;

    if (!(sie->sd->cpuflags[2] & SIE_CPUF2_ZARCH)) {
        return SIE_VALIDITY_NOT_ZARCH;
    }
    if (sie->has_extent && sie->mso > sie->msl) {
        return SIE_VALIDITY_ORIGIN_LIMIT;
    }
    why = check_prefix(env);
    if (!why) {
        why = check_sca(env);
    }
    if (!why) {
        why = check_crycb(env);
    }
    if (!why) {
        why = check_faclist(env);
    }
    return why;
}

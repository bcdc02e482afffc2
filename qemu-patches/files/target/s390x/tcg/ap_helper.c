/*
 * Adjunct processor (AP) instructions for TCG
 *
 * The library behind ap_device.h executes them. What needs a CPU or storage is
 * done here: the exceptions with the highest priority, registers, operands.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "cpu.h"
#include "s390x-internal.h"
#include "tcg_s390x.h"
#include "sie.h"
#include "exec/helper-proto.h"
#include "exec/exec-all.h"
#include "exec/cpu_ldst.h"
#include "hw/boards.h"
#include "hw/s390x/ap-emulation.h"
#include "hw/s390x/s390-virtio-ccw.h"

/* A message on its way; the BQL protects it. */
static uint8_t ap_message[AP_MAX_MESSAGE];

static void ap_store_mask(uint8_t *to, const uint64_t from[4])
{
    int i;

    for (i = 0; i < 4; i++) {
        stq_be_p(to + 8 * i, from[i]);
    }
}

/* Who executes the instruction, and what it may reach */
static void ap_issuer(CPUS390XState *env, ApContext *ctx)
{
    S390SIEAPView view;

    if (!s390_sie_ap_masks(env, &view)) {
        ctx->issuer = AP_ISSUER_HOST;
        ctx->cpu = env->core_id;
        return;
    }
    ctx->issuer = AP_ISSUER_SIE;
    ctx->cpu = view.core_id;
    ctx->sd = view.sd_addr;
    ctx->crycbd = view.crycbd;
    ap_store_mask(ctx->apm, view.apm);
    ap_store_mask(ctx->aqm, view.aqm);
    ap_store_mask(ctx->adm, view.adm);
}

static void ap_check_executable(CPUS390XState *env, uintptr_t ra)
{
    if (!s390_has_feat(S390_FEAT_AP) || !s390_ap_model()) {
        tcg_s390_program_interrupt(env, PGM_OPERATION, ra);
    }
    if (env->psw.mask & PSW_MASK_PSTATE) {
        tcg_s390_program_interrupt(env, PGM_PRIVILEGED, ra);
    }
}

/* NQAP and DQAP: both operands are even-odd pairs of registers */
static void ap_check_pairs(CPUS390XState *env, uint32_t r1, uint32_t r2,
                           uintptr_t ra)
{
    if ((r1 | r2) & 1) {
        tcg_s390_program_interrupt(env, PGM_SPECIFICATION, ra);
    }
}

static ApModel *ap_begin(CPUS390XState *env, ApContext *ctx)
{
    memset(ctx, 0, sizeof(*ctx));
    ctx->now = s390_ap_now();
    ctx->storage_end =
        s390_get_memory_limit(S390_CCW_MACHINE(qdev_get_machine()));
    if (s390_has_feat(S390_FEAT_AP_QUERY_CONFIG_INFO)) {
        ctx->facilities |= AP_FAC_QCI;
    }
    if (s390_has_feat(S390_FEAT_AP_FACILITIES_TEST)) {
        ctx->facilities |= AP_FAC_APFT;
    }
    if (s390_has_feat(S390_FEAT_AP_QUEUE_INTERRUPT_CONTROL)) {
        ctx->facilities |= AP_FAC_AQIC;
    }
    ap_issuer(env, ctx);
    return s390_ap_model();
}

static void ap_end(CPUS390XState *env, const ApResult *res, uintptr_t ra)
{
    if (res->pgm) {
        tcg_s390_program_interrupt(env, res->pgm, ra);
    }
    if (res->writes & AP_WRITES_GR0) {
        env->regs[0] = res->gr0;
    }
    if (res->writes & AP_WRITES_GR1) {
        env->regs[1] = res->gr1;
    }
    if (res->writes & AP_WRITES_GR2) {
        env->regs[2] = res->gr2;
    }
    setcc(env_archcpu(env), res->cc);
}

/*
 * Moves @len bytes between @buf and the operand at @addr. All access exceptions
 * are recognized before the first byte is moved.
 */
static void ap_access(CPUS390XState *env, uint64_t addr, uint8_t *buf,
                      uint32_t len, MMUAccessType type, uintptr_t ra)
{
    int mmu_idx = s390x_env_mmu_index(env, false);
    uint32_t done, n, i;
    uint64_t a;

    for (done = 0; done < len; done += n) {
        a = wrap_address(env, addr + done);
        n = MIN(len - done, -(a | TARGET_PAGE_MASK));
        probe_access(env, a, n, type, mmu_idx, ra);
    }
    for (done = 0; done < len; done += n) {
        uint8_t *host;

        a = wrap_address(env, addr + done);
        n = MIN(len - done, -(a | TARGET_PAGE_MASK));
        host = probe_access(env, a, n, type, mmu_idx, ra);
        if (host && type == MMU_DATA_STORE) {
            memcpy(host, buf + done, n);
        } else if (host) {
            memcpy(buf + done, host, n);
        } else if (type == MMU_DATA_STORE) {
            for (i = 0; i < n; i++) {
                cpu_stb_mmuidx_ra(env, a + i, buf[done + i], mmu_idx, ra);
            }
        } else {
            for (i = 0; i < n; i++) {
                buf[done + i] = cpu_ldub_mmuidx_ra(env, a + i, mmu_idx, ra);
            }
        }
    }
}

static uint64_t ap_operand_length(CPUS390XState *env, uint32_t r2)
{
    uint64_t length = env->regs[r2 + 1];

    return env->psw.mask & PSW_MASK_64 ? length : (uint32_t)length;
}

/* Moves the second operand past @length bytes. */
static void ap_advance(CPUS390XState *env, uint32_t r2, uint32_t length)
{
    uint64_t addr = wrap_address(env, env->regs[r2] + length);
    uint64_t left = env->regs[r2 + 1] - length;

    if (env->psw.mask & PSW_MASK_64) {
        env->regs[r2] = addr;
        env->regs[r2 + 1] = left;
    } else {
        env->regs[r2] = deposit64(env->regs[r2], 0, 32, addr);
        env->regs[r2 + 1] = deposit64(env->regs[r2 + 1], 0, 32, left);
    }
}

void HELPER(pqap)(CPUS390XState *env)
{
    uint8_t block[AP_QCI_LEN];
    uintptr_t ra = GETPC();
    ApContext ctx;
    ApModel *ap;
    ApResult res;

    ap_check_executable(env, ra);

    BQL_LOCK_GUARD();
    ap = ap_begin(env, &ctx);
    ap_device_pqap(ap, &ctx, env->regs[0], env->regs[1], env->regs[2], block,
                   &res);
    s390_ap_settle();
    if (res.writes & AP_WRITES_STORE) {
        ap_access(env, env->regs[2], block, res.length, MMU_DATA_STORE, ra);
    }
    ap_end(env, &res, ra);
}

void HELPER(nqap)(CPUS390XState *env, uint32_t r1, uint32_t r2)
{
    uintptr_t ra = GETPC();
    uint64_t length;
    uint32_t want;
    ApContext ctx;
    ApModel *ap;
    ApResult res;

    ap_check_executable(env, ra);
    ap_check_pairs(env, r1, r2, ra);
    length = ap_operand_length(env, r2);

    BQL_LOCK_GUARD();
    ap = ap_begin(env, &ctx);
    want = ap_device_nqap_want(ap, &ctx, env->regs[0], length);
    s390_ap_settle();
    g_assert(want <= sizeof(ap_message));
    ap_access(env, env->regs[r2], ap_message, want, MMU_DATA_LOAD, ra);

    ap_device_nqap(ap, &ctx, env->regs[0], env->regs[r1], env->regs[r1 + 1],
                   length, ap_message, want, &res);
    s390_ap_settle();
    if (!res.pgm) {
        ap_advance(env, r2, res.length);
    }
    ap_end(env, &res, ra);
}

void HELPER(dqap)(CPUS390XState *env, uint32_t r1, uint32_t r2)
{
    uintptr_t ra = GETPC();
    uint64_t length;
    uint32_t ready;
    ApContext ctx;
    ApModel *ap;
    ApResult res;

    ap_check_executable(env, ra);
    ap_check_pairs(env, r1, r2, ra);
    length = ap_operand_length(env, r2);

    BQL_LOCK_GUARD();
    ap = ap_begin(env, &ctx);
    ready = ap_device_dqap_peek(ap, &ctx, env->regs[0], length, ap_message,
                                MIN(length, sizeof(ap_message)));
    s390_ap_settle();
    /* After an access exception here the reply is still in the queue. */
    ap_access(env, env->regs[r2], ap_message, ready, MMU_DATA_STORE, ra);

    ap_device_dqap(ap, &ctx, env->regs[0], length, &res);
    s390_ap_settle();
    if (!res.pgm) {
        ap_advance(env, r2, res.length);
    }
    if (res.writes & AP_WRITES_R1) {
        env->regs[r1] = res.r1_even;
        env->regs[r1 + 1] = res.r1_odd;
    }
    ap_end(env, &res, ra);
}

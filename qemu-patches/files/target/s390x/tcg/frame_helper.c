/*
 * s390x enhanced-DAT facility 1: instructions on frames of 4 KiB or 1 MiB
 *
 * What these do to a frame of 1 MiB they do from the given address up to the
 * next multiple of 1 MiB, which the second operand then has.  Such addresses
 * are absolute, those of single pages are real.
 *
 * SIE guests do not get here: the host executes these for them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/units.h"
#include "cpu.h"
#include "s390x-internal.h"
#include "tcg_s390x.h"
#include "exec/helper-proto.h"
#include "exec/exec-all.h"
#include "exec/cputlb.h"
#include "exec/address-spaces.h"
#include "hw/s390x/storage-keys.h"

#define SEGMENT_FRAME_SIZE  (1 * MiB)
#define SEGMENT_PAGES       (SEGMENT_FRAME_SIZE / TARGET_PAGE_SIZE)

/*
 * First operand of PERFORM FRAME MANAGEMENT FUNCTION.  Neither the
 * conditional-SSKE nor the nonquiescing key-setting facility is there: bits 53
 * and 54 mean nothing and bit 52 is reserved.
 */
#define PFMF_RESERVED       0xfffc0901
#define PFMF_SET_KEY        0x00020000
#define PFMF_CLEAR          0x00010000
#define PFMF_FRAME_SIZE     0x00007000
#define PFMF_FRAME_4K       0x00000000
#define PFMF_FRAME_1M       0x00001000
#define STORAGE_KEY         0x000000fe

static uint64_t effective_address(CPUS390XState *env, uint64_t addr)
{
    if (!(env->psw.mask & PSW_MASK_64)) {
        addr &= env->psw.mask & PSW_MASK_32 ? 0x7fffffff : 0x00ffffff;
    }
    return addr;
}

/* Replace the address in a register, but not what is beyond its mode's size */
static void set_address(CPUS390XState *env, uint32_t r, uint64_t addr)
{
    addr = effective_address(env, addr);
    env->regs[r] = env->psw.mask & PSW_MASK_64
                   ? addr : deposit64(env->regs[r], 0, 32, addr);
}

/* Storage keys of pages that are known to exist */
static void set_keys(CPUS390XState *env, uint64_t start, uint64_t end,
                     uint8_t key)
{
    S390SKeysState *ss = s390_get_skeys_device();
    S390SKeysClass *skeyclass = S390_SKEYS_GET_CLASS(ss);
    uint8_t keys[SEGMENT_PAGES];

    if (skeyclass->enable_skeys) {
        skeyclass->enable_skeys(ss);
    }
    memset(keys, key, sizeof(keys));
    s390_skeys_set(ss, start / TARGET_PAGE_SIZE,
                   (end - start) / TARGET_PAGE_SIZE, keys);
    /* translations that use these pages are not known */
    tlb_flush_all_cpus_synced(env_cpu(env));
}

static void check_pages(CPUS390XState *env, uint64_t start, uint64_t end,
                        bool is_write, uintptr_t ra)
{
    if (!mmu_absolute_addr_valid(start, is_write) ||
        !mmu_absolute_addr_valid(end - 1, is_write)) {
        tcg_s390_program_interrupt(env, PGM_ADDRESSING, ra);
    }
}

static uint64_t segment_end(uint64_t start)
{
    return QEMU_ALIGN_DOWN(start, SEGMENT_FRAME_SIZE) + SEGMENT_FRAME_SIZE;
}

/* SET STORAGE KEY EXTENDED with the multiple-block control */
void HELPER(sske_block)(CPUS390XState *env, uint32_t r1, uint32_t r2)
{
    const uint64_t addr = effective_address(env, env->regs[r2]);
    const uint64_t start = addr & TARGET_PAGE_MASK;
    const uint64_t end = segment_end(start);

    check_pages(env, start, end, false, GETPC());
    set_keys(env, start, end, env->regs[r1] & STORAGE_KEY);
    set_address(env, r2, end | (addr & ~TARGET_PAGE_MASK));
}

/* PERFORM FRAME MANAGEMENT FUNCTION */
void HELPER(pfmf)(CPUS390XState *env, uint32_t r1, uint32_t r2)
{
    const uintptr_t ra = GETPC();
    const uint32_t function = env->regs[r1];
    uint64_t start = effective_address(env, env->regs[r2]) & TARGET_PAGE_MASK;
    bool segment = false;
    uint64_t end;

    switch (function & PFMF_FRAME_SIZE) {
    case PFMF_FRAME_1M:
        segment = true;
        break;
    case PFMF_FRAME_4K:
        break;
    default:
        tcg_s390_program_interrupt(env, PGM_SPECIFICATION, ra);
    }
    if (function & PFMF_RESERVED) {
        tcg_s390_program_interrupt(env, PGM_SPECIFICATION, ra);
    }

    if (function & PFMF_CLEAR) {
        /* is it subject to low-address protection? */
        probe_write(env, start, TARGET_PAGE_SIZE, MMU_REAL_IDX, ra);
    }
    if (segment) {
        end = segment_end(start);
    } else {
        start = mmu_real2abs(env, start);
        end = start + TARGET_PAGE_SIZE;
    }
    check_pages(env, start, end, function & PFMF_CLEAR, ra);

    if (function & PFMF_CLEAR) {
        address_space_set(env_cpu(env)->as, start, 0, end - start,
                          MEMTXATTRS_UNSPECIFIED);
    }
    if (function & PFMF_SET_KEY) {
        set_keys(env, start, end, function & STORAGE_KEY);
    }
    if (segment) {
        set_address(env, r2, end);
    }
}

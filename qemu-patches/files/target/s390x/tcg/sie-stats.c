/*
 * s390x SIE: counters, for people who develop hypervisors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "sie.h"

#define INSN_OPCODES    0x10000

/*
 * The opcode as far as it is in the first two bytes or, for the formats that
 * have their second opcode byte at the end, with that one.
 */
static uint16_t opcode(uint64_t insn)
{
    const uint8_t op = insn >> 56;

    switch (op) {
    case 0x01:
    case 0xb2:
    case 0xb3:
    case 0xb9:
    case 0xe5:
        return insn >> 48;
    case 0xe3:
    case 0xe7:
    case 0xeb:
    case 0xec:
    case 0xed:
        return op << 8 | extract64(insn, 16, 8);
    default:
        return op << 8;
    }
}

void s390_sie_count_insn(CPUS390XState *env, uint64_t insn)
{
    S390SIEStats *stats = &env->sie.stats;

    if (!stats->insn) {
        stats->insn = g_new0(uint64_t, INSN_OPCODES);
    }
    stats->insn[opcode(insn)]++;
}

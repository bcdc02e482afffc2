# SPDX-License-Identifier: MIT OR Apache-2.0
# What the host adds to bare-metal/entry.S: the SIE instruction with its exits,
# the console's wait, and the second CPU.
# Lowcore addresses: Linux arch/s390/include/asm/lowcore.h.

    .set    EXT_CODE, 0x86
    .set    PGM_CODE, 0x8e
    .set    PGM_OLD_ADDRESS, 0x158
    .set    SVC_NEW, 0x1c0
    .set    LOWCORE_CODE, 0x300     # unused, and not protected
    .set    EXT_OLD_ADDRESS, 0x138

    .text
begin:
    larl    %r1, control_1
    lctlg   %c1, %c1, 0(%r1)
    larl    %r1, never
    sckc    0(%r1)
    brasl   %r14, sie_host_main

# u64 sie_run(state description, guest registers 0 to 13)
# Returns what ended SIE: 0 an interception, else the program interruption
# code, or the external one in the upper word.
    .globl  sie_run
sie_run:
    stmg    %r6, %r15, 48(%r15)
    aghi    %r15, -184
    stg     %r3, 160(%r15)
    xc      EXT_CODE(2), EXT_CODE
    xc      PGM_CODE(2), PGM_CODE
    lgr     %r14, %r2
    lmg     %r0, %r13, 0(%r3)
    stosm   160 + 16(%r15), 0x01    # the host's external interruptions
sie_insn:
    sie     0(%r14)
sie_exit:
    stnsm   160 + 16(%r15), 0xfe
    lg      %r14, 160(%r15)
    stmg    %r0, %r13, 0(%r14)
    llgh    %r2, PGM_CODE
    llgh    %r1, EXT_CODE
    sllg    %r1, %r1, 32
    ogr     %r2, %r1
    aghi    %r15, 184
    lmg     %r6, %r15, 48(%r15)
    br      %r14

# A host interruption: %r14 and %r15 are the host's, the others the guest's.
program_check:
    larl    %r14, sie_insn
    cg      %r14, PGM_OLD_ADDRESS
    je      sie_exit
    larl    %r14, sie_exit          # protection: after SIE
    cg      %r14, PGM_OLD_ADDRESS
    je      sie_exit
    lgrl    %r14, probing
    ltgr    %r14, %r14
    bcr     7, %r14                 # if not zero
    brasl   %r14, unexpected_program_check

external:
    larl    %r14, sie_insn
    cg      %r14, EXT_OLD_ADDRESS
    je      sie_exit
    larl    %r14, sie_exit          # just after an interception
    cg      %r14, EXT_OLD_ADDRESS
    je      sie_exit
    larl    %r14, wait_continue
    br      %r14

# The probes: one instruction that ends in a program interruption, after which
# they go on, wherever that finds the PSW. They return the interruption code, or
# 0 if there was none.

    .macro  probe to
    stg     %r14, 112(%r15)
    larl    %r1, \to
    stgrl   %r1, probing
    xc      PGM_CODE(2), PGM_CODE
    .endm

# u64 sie_probe(address): SIE at an address where none can be
    .globl  sie_probe
sie_probe:
    probe   probe_exit
    sie     0(%r2)
probe_exit:
    llgh    %r2, PGM_CODE
probe_return:
    lghi    %r1, 0
    stgrl   %r1, probing
    lg      %r14, 112(%r15)
    br      %r14

# u64 svc_probe(mask): SVC, whose new PSW has this mask
    .globl  svc_probe
svc_probe:
    probe   probe_exit
    stg     %r2, SVC_NEW
    stg     %r1, SVC_NEW + 8
    svc     0

# u64 sckpf_probe(): SCKPF with an operand that it refuses. Returns in the upper
# word what a register has at the interruption that was set to 1, to 2 in the
# same translation block as the SCKPF, and to 3 behind that.
    .globl  sckpf_probe
sckpf_probe:
    probe   sckpf_exit
    lghi    %r0, -1
    lghi    %r3, 1
    j       1f
    .short  0                       # a branch to what follows ends no block
1:  agr     %r3, %r3
    sckpf
    lghi    %r3, 3                  # or the block ends with what was set
sckpf_exit:
    llgh    %r2, PGM_CODE
    sllg    %r3, %r3, 32
    ogr     %r2, %r3
    j       probe_return

# u64 lowcore_probe(): low-address protection, on a page with code. Calls
# code in the lowcore three times: as it was stored, after a store into it, and
# after one beside it; then stores into what is protected. Returns what the
# calls returned, a byte each, in the upper word.
    .globl  lowcore_probe
lowcore_probe:
    probe   lowcore_exit
    larl    %r1, control_0_protect
    lctlg   %c0, %c0, 0(%r1)
    larl    %r1, lowcore_code
    mvc     LOWCORE_CODE(6), 0(%r1)
    lghi    %r3, LOWCORE_CODE
    basr    %r14, %r3
    lgr     %r4, %r2
    mvi     LOWCORE_CODE + 3, 2
    basr    %r14, %r3
    sllg    %r4, %r4, 8
    ogr     %r4, %r2
    mvi     LOWCORE_CODE + 8, 3
    basr    %r14, %r3
    sllg    %r4, %r4, 8
    ogr     %r4, %r2
    mvi     0x1ff, 0
lowcore_exit:
    larl    %r1, control_0
    lctlg   %c0, %c0, 0(%r1)
    llgh    %r2, PGM_CODE
    sllg    %r4, %r4, 32
    ogr     %r2, %r4
    j       probe_return

# u64 pfmf_probe(function, address): PFMF that must not succeed
    .globl  pfmf_probe
pfmf_probe:
    probe   probe_exit
    .insn   rre, 0xb9af0000, %r2, %r3
    j       probe_exit

# void wait_external(): wait for one external interruption
    .globl  wait_external
wait_external:
    stg     %r14, 112(%r15)
    larl    %r1, enabled_wait
    lpswe   0(%r1)
wait_continue:
    lg      %r14, 112(%r15)
    br      %r14

# Where the second CPU starts; %r15 is loaded here, the first CPU made the PSW
    .globl  second_cpu
second_cpu:
    larl    %r15, second_stack_end
    aghi    %r15, -160
    larl    %r1, control_0
    lctlg   %c0, %c0, 0(%r1)
    larl    %r1, control_1
    lctlg   %c1, %c1, 0(%r1)
    larl    %r1, never
    sckc    0(%r1)
    brasl   %r14, second_main
    larl    %r1, disabled_wait
    lpswe   0(%r1)

    .section .data.psw, "aw"
    .balign 16
enabled_wait:
    .quad   0x0102000180000000, 0
disabled_wait:
    .quad   0x0002000180000000, 0x2b
new_psws:
    .quad   0x0000000180000000, second_cpu
    .quad   0x0000000180000000, external
    .quad   0x0002000180000000, 0x1c
    .quad   0x0000000180000000, program_check
    .quad   0x0002000180000000, 0x1e
    .quad   0x0002000180000000, 0x1f
control_0:
    .quad   0x0ae0                  # service signal, clock comparator
control_0_protect:
    .quad   0x10000ae0              # and low-address protection
lowcore_code:
    lghi    %r2, 1
    br      %r14
    .balign 8
never:
    .quad   -1                      # clock comparator
probing:
    .quad   0                       # where program interruptions go on, if any
control_1:
    .quad   0x20                    # real space: guest absolute is host real

    .section .bss.stack, "aw", @nobits
    .balign 8
    .space  16384
second_stack_end:

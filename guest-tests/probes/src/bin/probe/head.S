# SPDX-License-Identifier: MIT OR Apache-2.0
# What the probe adds to bare-metal/entry.S.

    .text
begin:
    larl    %r1, control_14
    lctlg   %c14, %c14, 0(%r1)
    brasl   %r14, {probe_main}

    .globl  unexpected_program_check
unexpected_program_check:
    larl    %r15, stack_end
    aghi    %r15, -160
    brasl   %r14, {program_check}

# An interrupt that nobody waits for ends in a disabled wait that names it.
    .section .rodata, "a"
    .balign 8
new_psws:
    .quad   0x0002000180000000, 0x1a
    .quad   0x0000000180000000, 0x1b
    .quad   0x0002000180000000, 0x1c
    .quad   0x0000000180000000, unexpected_program_check
    .quad   0x0000000180000000, 0x1e
    .quad   0x0002000180000000, 0x1f
control_0:
    .quad   0x0ae0                  # service signal, clock comparator
control_14:
    .quad   0x10000000              # channel reports

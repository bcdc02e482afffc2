# SPDX-License-Identifier: MIT OR Apache-2.0
# The program of the second CPU, and where the first goes on after a reset that
# leaves storage alone. Numbers above 0x8000 are those of state.rs.

    .text
    .globl  second_start
second_start:
    larl    %r1, second_controls
    lctlg   %c0, %c0, 0(%r1)
    lctlg   %c10, %c11, 8(%r1)
    larl    %r1, second_registers
    lmg     %r2, %r15, 0(%r1)
    .long   0xb3c10003              # ldgr %f0, %r3
    .short  0xe700, 0xffff, 0x0844  # vgbm %v16, 0xffff
    .globl  second_loop
second_loop:
    agsi    0x8100(%r0), 1
    j       second_loop
    .globl  second_end
second_end:

    .globl  first_again
first_again:
    stctg   %c0, %c0, 0x8028(%r0)
    stg     %r9, 0x8020(%r0)
    larl    %r15, stack_end
    aghi    %r15, -160
    xc      0(8,%r15), 0(%r15)
    larl    %r1, control_0
    lctlg   %c0, %c0, 0(%r1)
    brasl   %r14, {again}

    .section .rodata, "a"
    .balign 8
second_controls:
    .quad   0x600e0                 # vector and floating-point registers
    .quad   0x1010101010101010, 0x1111111111111110
    .globl  second_registers
second_registers:
    .quad   0x0202020202020202, 0x0303030303030303, 0x0404040404040404
    .quad   0x0505050505050505, 0x0606060606060606, 0x0707070707070707
    .quad   0x0808080808080808, 0x0909090909090909, 0x0a0a0a0a0a0a0a0a
    .quad   0x0b0b0b0b0b0b0b0b, 0x0c0c0c0c0c0c0c0c, 0x0d0d0d0d0d0d0d0d
    .quad   0x0e0e0e0e0e0e0e0e, 0x0f0f0f0f0f0f0f0f

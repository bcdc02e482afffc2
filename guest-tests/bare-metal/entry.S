# SPDX-License-Identifier: MIT OR Apache-2.0
# Entry of bare-metal programs. Entry and parameter area are as the Linux boot
# protocol has them: loaders that find "S390EP" at 0x10008 put the command line
# at 0x10480 and start at 0x10000 (Linux arch/s390/boot/head.S, asm/setup.h).
#
# The program defines new_psws (restart, external, supervisor call, program,
# machine check, I/O), control_0, and begin, where it goes on with a stack.

    .section .head, "ax"
    .globl _start
_start:
    jg      start
    .org    0x8
    .ascii  "S390EP"
    .org    0x408
    .quad   0, 0, 0, 0              # RAM disk and dump area: none
    .org    0x430
    .quad   COMMAND_LINE_MAX
    .org    0x480
    .globl  command_line
command_line:
    .space  COMMAND_LINE_MAX

    .set    COMMAND_LINE_MAX, 4096

    .text
start:
    sam64
    larl    %r15, stack_end
    aghi    %r15, -160              # register save area of the ABI
    xc      0(8,%r15), 0(%r15)
    larl    %r1, new_psws
    mvc     0x1a0(96), 0(%r1)
    larl    %r1, control_0
    lctlg   %c0, %c0, 0(%r1)
    jg      begin

    .section .bss.stack, "aw", @nobits
    .balign 8
    .space  65536
stack_end:

/*
 * s390x SIE: the guest's clock comparator and CPU timer
 *
 * The guest's TOD clock is the host's plus an epoch difference.  One QEMU
 * timer per CPU waits for whichever of the two guest timers is due first.  It
 * is left running when the guest is left, because most often the same guest
 * with the same deadline is entered again soon.
 *
 * While a guest runs, env->ckc is in guest TOD units, and env->cputm is the
 * virtual time in ns at which the CPU timer turns negative, as for the host.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/timer.h"
#include "qapi/error.h"
#include "cpu.h"
#include "s390x-internal.h"
#include "hw/s390x/tod.h"
#include "tcg_s390x.h"
#include "s390-tod.h"
#include "sie.h"

uint64_t s390_sie_guest_tod(CPUS390XState *env)
{
    S390TODState *td = s390_get_todstate();
    S390TODClass *tdc = S390_TOD_GET_CLASS(td);
    S390TOD tod;

    tdc->get(td, &tod, &error_abort);
    return tod.low + env->sie.epoch;
}

/* In the main loop thread */
static void guest_timer_expired(void *opaque)
{
    S390CPU *cpu = opaque;

    qatomic_set(&cpu->env.sie.timer_armed, INT64_MAX);
    smp_wmb();
    qatomic_set(&cpu->env.sie.timer_due, true);
    smp_wmb();
    qatomic_set(&cpu->env.sie.look, true);
    cpu_exit(CPU(cpu));
}

void s390_sie_timer_init(CPUS390XState *env)
{
    S390SIEState *sie = &env->sie;

    if (!sie->timer) {
        sie->timer_armed = INT64_MAX;
        sie->timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, guest_timer_expired,
                                  env_archcpu(env));
    }
}

/*
 * The guest timer that is enabled by CR0 and has expired, as external
 * interruption code; 0 if none.
 */
uint16_t s390_sie_timer_pending(CPUS390XState *env)
{
    if ((env->cregs[0] & CR0_CKC_SC) && env->ckc < s390_sie_guest_tod(env)) {
        return EXT_CLOCK_COMP;
    }
    if ((env->cregs[0] & CR0_CPU_TIMER_SC) &&
        (int64_t)env->cputm < qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL)) {
        return EXT_CPU_TIMER;
    }
    return 0;
}

/* Interrupt the guest, whose PSW enables it; the host is not told */
void s390_sie_timer_interrupt(CPUS390XState *env, uint16_t eic)
{
    LowCore *lowcore = cpu_map_lowcore(env);
    const PSW new = lowcore->external_new_psw;

    lowcore->ext_int_code = cpu_to_be16(eic);
    lowcore->cpu_addr = 0;
    lowcore->external_old_psw.mask = cpu_to_be64(s390_cpu_get_psw_mask(env));
    lowcore->external_old_psw.addr = cpu_to_be64(env->psw.addr);
    cpu_unmap_lowcore(lowcore);

    s390_cpu_set_psw(env, be64_to_cpu(new.mask), be64_to_cpu(new.addr));
}

/* When will an enabled timer expire?  INT64_MAX if never */
static int64_t next_deadline(CPUS390XState *env)
{
    const int64_t now = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
    int64_t deadline = INT64_MAX;

    if ((env->cregs[0] & CR0_CKC_SC) && env->ckc != UINT64_MAX) {
        const uint64_t tod = s390_sie_guest_tod(env);
        const uint64_t delta = env->ckc < tod ? 0 : tod2time(env->ckc - tod);

        if (delta < INT64_MAX - now - 1) {
            deadline = now + delta + 1;
        }
    }
    if (env->cregs[0] & CR0_CPU_TIMER_SC) {
        deadline = MIN(deadline, (int64_t)env->cputm + 1);
    }
    return deadline;
}

/* Call after a change of the timers or of CR0, and on entry */
void s390_sie_timer_update(CPUS390XState *env)
{
    S390SIEState *sie = &env->sie;
    const int64_t deadline = next_deadline(env);

    const bool due = s390_sie_timer_pending(env) != 0;

    qatomic_set(&sie->timer_due, due);
    if (due) {
        qatomic_set(&sie->look, true);
    }
    smp_mb();
    if (deadline < qatomic_read(&sie->timer_armed)) {
        qatomic_set(&sie->timer_armed, deadline);
        timer_mod(sie->timer, deadline);
    }
}

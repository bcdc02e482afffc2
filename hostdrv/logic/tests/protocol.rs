// SPDX-License-Identifier: MIT OR Apache-2.0
//! The protocol among threads: writes to attributes, a guest that closes, a bus
//! that takes a queue, and a reset that is refused, lasts, and ends, all at once, on
//! one queue.
//!
//! With `--cfg loom` every interleaving is tried (up to the bound on
//! preemptions that the environment sets); without, threads race for real, a
//! number of times. What this cannot see: the kernel's own locks around the
//! driver's, which is lockdep's task.

#[path = "protocol/machine.rs"]
mod machine;

use ap_arch::{Apid, Apqi, Apqn, Matrix};
use machine::{Machine, User, X, free, model, x};
use vfio_ap_logic::protocol;
use vfio_ap_logic::{Attach, Condition, Edit, Errno, Event, Outcome, Ownership, QueueEffect};

#[test]
fn reset_completion_against_unassign_against_close() {
    model(|| {
        let machine = Machine::new();
        let unassign: User = Box::new(|machine| {
            machine.assign(0, Matrix::EMPTY).unwrap();
            // what the write promises: the queue is out, and reset
            assert_eq!(machine.apcb(0), Matrix::EMPTY);
            assert!(!machine.is_used());
        });
        let close: User = Box::new(|machine| {
            machine.close(0);
            assert!(!machine.is_used());
        });
        Machine::run(&machine, vec![unassign, close]);
        assert_eq!(machine.attach(0), Attach::Detached);
    });
}

#[test]
fn reset_completion_against_handover_against_unbind() {
    model(|| {
        let machine = Machine::new();
        let handover: User = Box::new(|machine| {
            machine.assign(0, Matrix::EMPTY).unwrap();
            machine.assign(1, x()).unwrap();
        });
        let unbind: User = Box::new(|machine| {
            machine.unbind();
            assert!(!machine.is_used(), "queue given to the host unclean");
        });
        Machine::run(&machine, vec![handover, unbind]);
        assert!(!machine.apcb(1).contains(X));
    });
}

#[test]
fn reset_completion_against_close_against_unbind() {
    model(|| {
        let machine = Machine::new();
        let close: User = Box::new(|machine| {
            machine.close(0);
            assert!(!machine.is_used());
        });
        let unbind: User = Box::new(|machine| {
            machine.unbind();
            assert!(!machine.is_used(), "queue given to the host unclean");
        });
        Machine::run(&machine, vec![close, unbind]);
        assert_eq!(machine.attach(0), Attach::Detached);
    });
}

#[test]
fn reset_completion_against_close_against_another_mdev() {
    model(|| {
        let machine = Machine::new();
        let reopen: User = Box::new(|machine| {
            let id = machine.mdevs[0];
            machine.close(0);
            machine.assign(0, Matrix::EMPTY).unwrap();
            protocol::handle(machine, &mut free(), Event::Attach(id)).unwrap();
        });
        let take: User = Box::new(|machine| {
            // refused as long as the other has it
            let _ = machine.assign(1, x());
        });
        Machine::run(&machine, vec![reopen, take]);
    });
}

#[test]
fn reset_completion_against_unassign_against_the_host() {
    model(|| {
        let machine = Machine::new();
        let unassign: User = Box::new(|machine| {
            machine.assign(0, Matrix::EMPTY).unwrap();
        });
        let ask: User = Box::new(|machine| {
            let in_use = machine.lock().model.in_use(x().apm, x().aqm);
            // nobody gets it any more, so what was seen first is seen no less now
            assert!(
                in_use.is_err() || !machine.is_used(),
                "queue given to the host unclean"
            );
        });
        Machine::run(&machine, vec![unassign, ask]);
    });
}

#[test]
fn guest_reset_against_unbind() {
    model(|| {
        let machine = Machine::new();
        let reset: User = Box::new(|machine| {
            let id = machine.mdevs[0];
            protocol::reset(machine, &mut free(), id).unwrap();
        });
        let unbind: User = Box::new(|machine| {
            machine.unbind();
            assert!(!machine.is_used(), "queue given to the host unclean");
        });
        Machine::run(&machine, vec![reset, unbind]);
    });
}

#[test]
fn guest_reset_that_fails_against_another() {
    model(|| {
        let machine = Machine::new();
        machine.hardware().broken = true;
        let reset = || -> User {
            Box::new(|machine| {
                let verdict = protocol::reset(machine, &mut free(), machine.mdevs[0]);
                assert_eq!(verdict, Err(Errno::Eio));
            })
        };
        Machine::run(&machine, vec![reset(), reset()]);
    });
}

/// All that may be under way at once; the mdev goes as its guest has.
#[test]
fn reset_completion_against_unassign_against_close_against_remove() {
    model(|| {
        let machine = Machine::new();
        let unassign: User = Box::new(|machine| {
            // refused when the mdev is gone
            let _ = machine.assign(0, Matrix::EMPTY);
        });
        let close: User = Box::new(|machine| {
            machine.close(0);
            assert!(!machine.is_used());
            let remove = Event::Remove(machine.mdevs[0]);
            protocol::handle(machine, &mut free(), remove).unwrap();
        });
        let unbind: User = Box::new(|machine| {
            machine.unbind();
            assert!(!machine.is_used(), "queue given to the host unclean");
        });
        Machine::run(&machine, vec![unassign, close, unbind]);
    });
}

/// What a guest left is not given to the host; the queue comes back, and joins the
/// next guest when it was reset.
fn take_and_give_back(machine: &Machine) {
    machine.unbind();
    let in_use = machine.lock().model.in_use(x().apm, x().aqm);
    assert!(
        in_use.is_err() || !machine.is_used(),
        "queue given to the host unclean"
    );
    machine.bind();
}

/// The bus does not wait for the reset.
fn gives_up_on_unbind(condition: Condition) -> bool {
    matches!(condition, Condition::Idle(_))
}

/// Nor do writers for queues, who are killed.
fn gives_up(condition: Condition) -> bool {
    !matches!(condition, Condition::Reset(_))
}

#[test]
fn a_bus_that_gives_up_against_handover() {
    model(|| {
        let machine = Machine::with_waiters(gives_up_on_unbind);
        let handover: User = Box::new(|machine| {
            machine.assign(0, Matrix::EMPTY).unwrap();
            machine.assign(1, x()).unwrap();
        });
        Machine::run(&machine, vec![handover, Box::new(take_and_give_back)]);
        // it is bound again, and clean at last
        assert!(machine.apcb(1).contains(X));
    });
}

#[test]
fn all_who_give_up_against_handover() {
    model(|| {
        let machine = Machine::with_waiters(gives_up);
        let unassign: User = Box::new(|machine| machine.assign(0, Matrix::EMPTY).unwrap());
        let take: User = Box::new(|machine| {
            // refused as long as the other has it
            let _ = machine.assign(1, x());
        });
        Machine::run(&machine, vec![unassign, take, Box::new(take_and_give_back)]);
    });
}

#[test]
fn a_bus_that_gives_up_against_close() {
    model(|| {
        let machine = Machine::with_waiters(gives_up_on_unbind);
        let close: User = Box::new(|machine| {
            machine.close(0);
            machine.assign(0, Matrix::EMPTY).unwrap();
            machine.assign(1, x()).unwrap();
        });
        Machine::run(&machine, vec![close, Box::new(take_and_give_back)]);
        assert_eq!(machine.attach(0), Attach::Detached);
        assert!(machine.apcb(1).contains(X));
    });
}

/// No reset is ever done, so nobody has the queue again.
#[test]
fn a_bus_that_gives_up_on_a_broken_queue() {
    model(|| {
        let machine = Machine::with_waiters(gives_up_on_unbind);
        machine.hardware().broken = true;
        let handover: User = Box::new(|machine| {
            machine.assign(0, Matrix::EMPTY).unwrap();
            machine.assign(1, x()).unwrap();
        });
        Machine::run(&machine, vec![handover, Box::new(take_and_give_back)]);
        assert!(!machine.apcb(1).contains(X));
        let in_use = machine.lock().model.in_use(x().apm, x().aqm);
        assert_eq!(in_use, Err(Errno::Eaddrinuse));
        machine.assign(1, Matrix::EMPTY).unwrap();
        let in_use = machine.lock().model.in_use(x().apm, x().aqm);
        assert_eq!(in_use, Err(Errno::Eaddrinuse));
    });
}

/// What comes back is reset, which may take long; what the host has lost is gone
/// from the guests before.
#[test]
fn what_the_host_loses_goes_before_what_comes_back_is_reset() {
    model(|| {
        let machine = Machine::new();
        let y = Apqn::new(Apid::new(6), Apqi::new(7));
        let only = |apqn: Apqn| Matrix {
            apm: [apqn.apid].into_iter().collect(),
            aqm: [apqn.apqi].into_iter().collect(),
            ..Matrix::EMPTY
        };
        lose(&machine, y, only(y));
        let mut cleared = Vec::new();
        protocol::config_changed(&*machine, &mut free(), only(y), |apqn| {
            assert_eq!(machine.apcb(0), Matrix::EMPTY);
            cleared.push(apqn);
            true
        });
        assert_eq!(cleared, [y]);
        let locked = machine.lock();
        assert_eq!(locked.model.host().current(), only(y));
        assert!(locked.model.queue(y).is_err());
    });
}

/// Has the second guest leave something in a queue that the host then loses, but
/// for which it has what it had before.
fn lose(machine: &Machine, apqn: Apqn, only: Matrix) {
    let mut locked = machine.lock();
    let mut step = |event| {
        let mut begun = None;
        let effects = locked.model.step(event, &mut |effect| {
            if let QueueEffect::StartReset(_, epoch) = effect {
                begun = Some(epoch);
            }
        });
        let _ = effects.unwrap();
        begun
    };
    let id = machine.mdevs[1];
    let both = Matrix {
        apm: x().apm.or(only.apm),
        aqm: x().aqm.or(only.aqm),
        ..Matrix::EMPTY
    };
    step(Event::ScanComplete(both));
    let epoch = step(Event::Bind(apqn)).unwrap();
    step(Event::ResetDone(apqn, epoch, Outcome::Completed));
    step(Event::Edit(id, Edit::Replace(only), Ownership::Available));
    for host in [both, x()] {
        step(Event::ScanComplete(host));
        step(Event::Plan(id));
        step(Event::Published(id));
    }
    step(Event::Unbind(apqn));
    step(Event::Unbound(apqn));
}

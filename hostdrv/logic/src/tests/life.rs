// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guests and queues that come and go.

use super::world::{World, apqn, matrix};
use crate::ap_arch::{Apid, Matrix, ResponseCode};
use crate::*;

pub(super) const X: (u8, u8) = (5, 4);

pub(super) fn one() -> Matrix {
    matrix(&[X.0], &[X.1], &[])
}

pub(super) fn state(world: &World) -> &State {
    world.model.queue(apqn(X.0, X.1)).unwrap().state()
}

pub(super) fn unreachable(traces: Traces) -> State {
    State::Used {
        traces,
        reset: Reset::Unreachable,
    }
}

#[test]
fn a_queue_enters_a_guest_only_after_its_own_reset() {
    let mut world = World::new(one());
    let id = world.guest(one());
    world.handle(Event::Bind(apqn(5, 4))).unwrap();
    assert!(matches!(
        state(&world),
        State::Used {
            traces: Traces::Host,
            reset: Reset::Running(_)
        }
    ));
    assert_eq!(world.apcb(id), matrix(&[], &[4], &[]));
    world.finish_resets(Outcome::Completed);
    assert_eq!(world.apcb(id), one());
    assert!(world.model.has_plugged(id, apqn(5, 4)));
}

#[test]
fn a_failed_reset_is_tried_again() {
    let mut world = World::new(one());
    let id = world.guest(one());
    world.handle(Event::Bind(apqn(5, 4))).unwrap();
    for outcome in [
        Outcome::Failed(ResponseCode(1)),
        Outcome::Offline(ResponseCode(3)),
    ] {
        world.finish_resets(outcome);
        assert_eq!(world.apcb(id).apm, Matrix::EMPTY.apm);
        assert!(world.retries.contains(&apqn(5, 4)));
        world.handle(Event::Retry(apqn(5, 4))).unwrap();
        assert_eq!(world.running.len(), 1);
        // one at a time
        world.handle(Event::Retry(apqn(5, 4))).unwrap();
    }
    world.finish_resets(Outcome::Completed);
    assert_eq!(world.apcb(id), one());
}

#[test]
fn a_queue_that_changes_mdevs_is_reset_in_between() {
    let mut world = World::with_clean_queues(one());
    let (a, b) = (world.guest(one()), world.create());
    world.handle(Event::Attach(b)).unwrap();
    // taken from A's assignment, but A's guest still has it
    world
        .step(Event::Edit(
            a,
            Edit::Replace(Matrix::EMPTY),
            Ownership::Available,
        ))
        .unwrap();
    world.edit(b, Edit::Replace(one())).unwrap();
    assert_eq!(world.apcb(a), one());
    assert_eq!(world.apcb(b), matrix(&[], &[4], &[]));
    world.reconcile(a);
    assert_eq!(world.apcb(a), Matrix::EMPTY);
    assert!(!world.model.holds(Condition::Drained(a)));
    assert!(world.model.holds(Condition::Drained(b)));
    assert!(!world.model.holds(Condition::Reset(b)));
    // its reset brings it to whom it is assigned to now
    world.finish_resets(Outcome::Completed);
    assert!(world.model.holds(Condition::Drained(a)));
    assert!(world.model.holds(Condition::Reset(b)));
    assert_eq!(world.apcb(b), one());
}

#[test]
fn a_clean_queue_needs_no_reset_to_change_mdevs() {
    let mut world = World::with_clean_queues(one());
    let a = world.create();
    world.edit(a, Edit::Replace(one())).unwrap();
    world.edit(a, Edit::Replace(Matrix::EMPTY)).unwrap();
    assert!(world.running.is_empty());
    let b = world.guest(one());
    assert_eq!(world.apcb(b), one());
}

#[test]
fn closing_clears_and_resets() {
    let mut world = World::with_clean_queues(one());
    let id = world.guest(one());
    assert_eq!(world.handle(Event::Attach(id)), Err(Errno::Ebusy));
    assert_eq!(world.handle(Event::Detach(id)), Err(Errno::Ebusy));
    assert_eq!(world.handle(Event::Remove(id)), Err(Errno::Ebusy));
    world.handle(Event::Close(id)).unwrap();
    assert_eq!(world.apcb(id), Matrix::EMPTY);
    let mdev = *world.model.mdev(id).unwrap();
    assert_eq!(world.model.guest_matrix(&mdev), Matrix::EMPTY);
    assert_eq!(world.handle(Event::Close(id)), Err(Errno::Ebusy));
    assert_eq!(world.handle(Event::Detach(id)), Err(Errno::Ebusy));
    assert_eq!(world.handle(Event::Attach(id)), Err(Errno::Ebusy));
    world.finish_resets(Outcome::Completed);
    world.handle(Event::Detach(id)).unwrap();
    let mdev = *world.model.mdev(id).unwrap();
    assert_eq!(world.model.guest_matrix(&mdev), one());
    world.handle(Event::Attach(id)).unwrap();
    assert_eq!(world.apcb(id), one());
}

/// A guest that lets go has nothing more once its masks are written, and is not
/// let go before.
#[test]
fn a_guest_has_its_masks_until_they_are_written() {
    let refused = Err(Errno::Ebusy);
    let mut world = World::with_clean_queues(one());
    let id = world.create();
    world.handle(Event::Attach(id)).unwrap();
    assert_eq!(world.step(Event::Detach(id)), refused);
    world.handle(Event::Close(id)).unwrap();
    world.handle(Event::Detach(id)).unwrap();
    assert_eq!(world.step(Event::Detach(id)), refused);
    world.edit(id, Edit::Replace(one())).unwrap();
    world.step(Event::Attach(id)).unwrap();
    world.step(Event::Plan(id)).unwrap();
    world.step(Event::Close(id)).unwrap();
    assert_eq!(world.step(Event::Detach(id)), refused);
    world.step(Event::Published(id)).unwrap();
    assert_eq!(world.step(Event::Detach(id)), refused);
    world.reconcile(id);
    assert_eq!(world.step(Event::Detach(id)), refused);
    world.finish_resets(Outcome::Completed);
    world.step(Event::Detach(id)).unwrap();
}

/// W16: what was asked back stays away.
#[test]
fn a_revoked_device_gets_nothing_more() {
    let config = matrix(&[5, 6], &[4], &[4]);
    let mut world = World::with_clean_queues(config);
    let id = world.guest(matrix(&[5], &[4], &[4]));
    world.handle(Event::Revoke(id)).unwrap();
    world.handle(Event::Revoke(id)).unwrap();
    assert_eq!(world.signals[&id], 2);
    world.edit(id, Edit::AssignAdapter(Apid::new(6))).unwrap();
    world.settle();
    assert_eq!(world.apcb(id), Matrix::EMPTY);
    let mdev = *world.model.mdev(id).unwrap();
    assert_eq!(world.model.guest_matrix(&mdev), Matrix::EMPTY);
    world.handle(Event::Close(id)).unwrap();
    world.handle(Event::Detach(id)).unwrap();
    assert_eq!(world.handle(Event::Revoke(id)), Err(Errno::Ebusy));
}

#[test]
fn the_bus_gets_a_queue_back_without_its_adapter_in_the_guest() {
    let config = matrix(&[5], &[4, 6], &[]);
    let mut world = World::with_clean_queues(config);
    let id = world.guest(config);
    assert_eq!(world.handle(Event::Unbound(apqn(5, 4))), Err(Errno::Ebusy));
    world.handle(Event::Unbind(apqn(5, 4))).unwrap();
    assert_eq!(world.apcb(id), matrix(&[], &[4, 6], &[]));
    assert!(!world.model.holds(Condition::Idle(apqn(5, 4))));
    // the adapter's other queue left the guest as well
    assert_eq!(world.running.len(), 2);
    world.finish_resets(Outcome::Completed);
    assert!(world.model.holds(Condition::Idle(apqn(5, 4))));
    // clean, but no longer to be given to anybody
    assert_eq!(world.apcb(id), matrix(&[], &[4, 6], &[]));
    world.handle(Event::Unbound(apqn(5, 4))).unwrap();
    assert!(world.model.holds(Condition::Idle(apqn(5, 4))));
    assert_eq!(world.handle(Event::Unbind(apqn(5, 4))), Err(Errno::Enoent));
    world.settle();
}

/// Waking costs more than a reset.
#[test]
fn whoever_waits_for_many_queues_wakes_for_the_last() {
    let config = matrix(&[5, 6], &[4, 5], &[]);
    let mut world = World::with_clean_queues(config);
    let id = world.guest(matrix(&[5], &[4, 5], &[]));
    let done = |world: &mut World, queue| {
        let event = Event::ResetDone(queue, world.running[&queue].epoch, Outcome::Completed);
        let mut begun = Vec::new();
        let mut note = |effect| begun.push(effect);
        let _ = world.model.clone().step(event, &mut note).unwrap();
        world.handle(event).unwrap();
        begun
    };
    let [first, last] = [apqn(5, 4), apqn(5, 5)];
    // what it lost
    world.edit(id, Edit::Replace(Matrix::EMPTY)).unwrap();
    assert_eq!(done(&mut world, first), []);
    assert_eq!(done(&mut world, last), [QueueEffect::Settled(last)]);
    // what it could get
    for queue in [first, last] {
        world.handle(Event::Unbind(queue)).unwrap();
        world.handle(Event::Unbound(queue)).unwrap();
        world.handle(Event::Bind(queue)).unwrap();
    }
    world.edit(id, Edit::Replace(config)).unwrap();
    assert_eq!(done(&mut world, last), []);
    assert_eq!(done(&mut world, first), [QueueEffect::Settled(first)]);
    // what nobody may wait for, and what leaves
    for queue in [first, last] {
        world.handle(Event::Unbind(queue)).unwrap();
    }
    assert_eq!(done(&mut world, first), [QueueEffect::Settled(first)]);
    world.handle(Event::Unbound(first)).unwrap();
    world.edit(id, Edit::Replace(Matrix::EMPTY)).unwrap();
    world.handle(Event::Bind(first)).unwrap();
    assert_eq!(done(&mut world, first), []);
}

#[test]
fn a_queue_that_leaves_is_not_retried() {
    let mut world = World::new(one());
    world.handle(Event::Bind(apqn(5, 4))).unwrap();
    world.finish_resets(Outcome::Failed(ResponseCode(0x30)));
    world.handle(Event::Unbind(apqn(5, 4))).unwrap();
    world.handle(Event::Retry(apqn(5, 4))).unwrap();
    assert!(world.running.is_empty());
    world.handle(Event::Unbound(apqn(5, 4))).unwrap();
}

#[test]
fn a_guest_reset_leaves_the_masks_alone() {
    let config = matrix(&[5, 6], &[4], &[]);
    let mut world = World::with_clean_queues(config);
    let id = world.guest(config);
    let other = world.create();
    world
        .edit(other, Edit::Replace(matrix(&[7], &[4], &[])))
        .unwrap();
    world.handle(Event::GuestReset(other)).unwrap();
    assert!(world.running.is_empty());
    world.handle(Event::GuestReset(id)).unwrap();
    assert_eq!(world.running.len(), 2);
    assert!(!world.model.holds(Condition::Reset(id)));
    assert_eq!(world.apcb(id), config);
    // asked again: what the first one did may not count
    let first = world.running.clone();
    world.handle(Event::GuestReset(id)).unwrap();
    assert!(
        world
            .running
            .iter()
            .all(|(k, run)| run.epoch.get() > first[k].epoch.get())
    );
    for (&apqn, run) in &first {
        let stale = Event::ResetDone(apqn, run.epoch, Outcome::Completed);
        assert_eq!(
            world.model.step(stale, &mut |_| panic!()),
            Ok(Effects::default())
        );
    }
    assert!(!world.model.holds(Condition::Reset(id)));
    world.finish_resets(Outcome::Completed);
    assert!(world.model.holds(Condition::Reset(id)));
    assert_eq!(world.model.reset_verdict(id), Ok(()));
    assert_eq!(world.signals[&id], 1);
}

/// What the guest does not have, and nobody used since its reset, is clean.
#[test]
fn a_guest_reset_leaves_clean_queues_alone() {
    let mut world = World::with_clean_queues(matrix(&[5], &[4, 5], &[]));
    world.handle(Event::Unbind(apqn(5, 5))).unwrap();
    world.handle(Event::Unbound(apqn(5, 5))).unwrap();
    // one queue is missing, so the guest does not get the other
    let id = world.guest(matrix(&[5], &[4, 5], &[]));
    assert_eq!(world.apcb(id), matrix(&[], &[4, 5], &[]));
    world.handle(Event::GuestReset(id)).unwrap();
    assert!(world.running.is_empty());
    assert!(world.model.holds(Condition::Reset(id)));
    assert_eq!(world.model.reset_verdict(id), Ok(()));
    world.handle(Event::Close(id)).unwrap();
    assert!(world.running.is_empty());
}

/// W12: a guest does not keep a queue that cannot be reset, and gets it back
/// when it can.
#[test]
fn a_guest_reset_that_fails_costs_the_adapter() {
    let mut world = World::with_clean_queues(one());
    let id = world.guest(one());
    world.handle(Event::GuestReset(id)).unwrap();
    world.finish_reset(apqn(5, 4), Outcome::Failed(ResponseCode(1)));
    assert_eq!(world.apcb(id), matrix(&[], &[4], &[]));
    world.finish_reset(apqn(5, 4), Outcome::Failed(ResponseCode(1)));
    assert_eq!(world.model.reset_verdict(id), Err(Errno::Eio));
    // another RESET tries it again
    world.handle(Event::GuestReset(id)).unwrap();
    world.finish_resets(Outcome::Completed);
    assert_eq!(world.model.reset_verdict(id), Ok(()));
    assert_eq!(world.apcb(id), one());
}

#[test]
fn masks_are_written_by_one_at_a_time() {
    let mut world = World::with_clean_queues(one());
    let id = world.create();
    world.edit(id, Edit::Replace(one())).unwrap();
    assert_eq!(world.step(Event::Published(id)), Err(Errno::Einval));
    world.step(Event::Attach(id)).unwrap();
    world.step(Event::Plan(id)).unwrap();
    assert_eq!(world.model.mdev(id).unwrap().publishing(), Some(one()));
    assert_eq!(world.step(Event::Plan(id)), Err(Errno::Ebusy));
    // growth counts before it is written
    assert_eq!(
        world.model.queue(apqn(5, 4)).unwrap().plugged_by(),
        Some(id)
    );
    // a queue on its way in can be asked back
    world.step(Event::Unbind(apqn(5, 4))).unwrap();
    assert!(!world.model.holds(Condition::Idle(apqn(5, 4))));
    world.step(Event::Published(id)).unwrap();
    world.step(Event::Plan(id)).unwrap();
    assert!(!world.model.has_plugged(id, apqn(5, 4)));
    assert_eq!(world.apcb(id), matrix(&[], &[4], &[]));
    // shrinkage counts after it is written
    assert_eq!(
        world.model.queue(apqn(5, 4)).unwrap().plugged_by(),
        Some(id)
    );
    world.step(Event::Published(id)).unwrap();
    assert_eq!(world.model.queue(apqn(5, 4)).unwrap().drains(), Some(id));
    world.settle();
}

#[test]
fn without_room_nothing_happens() {
    let mut world = World::new(one());
    world.model.tables().0.1 = 1;
    world.model.tables().1.1 = 1;
    let id = world.create();
    assert_eq!(
        world.model.create(super::world::limits()),
        Err(Errno::Enomem)
    );
    world.handle(Event::Bind(apqn(5, 4))).unwrap();
    assert_eq!(world.handle(Event::Bind(apqn(5, 4))), Err(Errno::Eexist));
    assert_eq!(world.handle(Event::Bind(apqn(5, 5))), Err(Errno::Enomem));
    assert_eq!(world.model.mdev_after(None), Some(id));
    assert_eq!(world.model.mdev_after(Some(id)), None);
    world.model.tables().0.1 = 2;
    let next = world.create();
    assert_eq!(next.get(), id.get() + 1);
    assert_eq!(world.model.mdev_after(Some(id)), Some(next));
}

#[test]
fn a_queue_that_the_host_does_not_have_waits() {
    let mut world = World::new(Matrix::EMPTY);
    world.handle(Event::Bind(apqn(5, 4))).unwrap();
    assert_eq!(state(&world), &unreachable(Traces::Host));
    assert!(world.running.is_empty());
    world.handle(Event::ScanComplete(one())).unwrap();
    assert_eq!(world.running[&apqn(5, 4)].epoch.get(), 1);
    assert_eq!(world.model.host().current(), one());
    world.finish_resets(Outcome::Completed);
    // clean stays clean: nobody can use what the host does not have
    world.handle(Event::ConfigChanged(Matrix::EMPTY)).unwrap();
    world.handle(Event::ScanComplete(one())).unwrap();
    assert!(world.running.is_empty());
}

#[test]
fn room_that_another_took_is_made_again() {
    use std::cell::Cell;
    let (made, others) = (Cell::new(0), Cell::new(2));
    let make_room = |_: &mut ()| {
        made.set(made.get() + 1);
        Ok(())
    };
    let add = |_: &mut ()| match others.get() {
        0 => Ok("added"),
        left => {
            others.set(left - 1);
            Err(Errno::Enomem)
        }
    };
    assert_eq!(with_room(&mut (), make_room, add), Ok("added"));
    assert_eq!(made.get(), 3);
    // what else is wrong is not tried again, nor is room that cannot be had
    let refuse = |_: &mut ()| Err::<(), _>(Errno::Eexist);
    assert_eq!(with_room(&mut (), make_room, refuse), Err(Errno::Eexist));
    let no_room = |_: &mut ()| Err(Errno::Enomem);
    assert_eq!(with_room(&mut (), no_room, add), Err(Errno::Enomem));
    assert_eq!(made.get(), 4);
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a guest left in a queue is nobody else's, until its reset is done.

use super::life::{X, one, state, unreachable};
use super::world::{World, apqn, matrix};
use crate::ap_arch::{Apqi, Apqn, Matrix, ResponseCode};
use crate::*;

/// The queue of `apid` for which the host is refused, if it is.
fn refused(world: &World, apid: u8) -> Option<Apqn> {
    let m = matrix(&[apid], &[X.1], &[]);
    let holding = world.model.holding_guest_data(m.apm, m.aqm);
    let answer = holding.map_or(Ok(()), |_| Err(Errno::Eaddrinuse));
    assert_eq!(world.model.in_use(m.apm, m.aqm), answer);
    holding
}

/// Whoever wrote to the attribute may have been killed while it waited.
#[test]
fn what_a_guest_had_is_refused_to_the_host_until_it_is_reset() {
    let queue = apqn(5, 4);
    let mut world = World::with_clean_queues(matrix(&[5, 6], &[4], &[]));
    let id = world.guest(one());
    let nothing = Edit::Replace(Matrix::EMPTY);
    // the guest has it still
    world
        .step(Event::Edit(id, nothing, Ownership::Available))
        .unwrap();
    assert_eq!(refused(&world, 5), Some(queue));
    world.reconcile(id);
    assert_eq!(refused(&world, 5), Some(queue));
    assert_eq!(refused(&world, 6), None);
    world.finish_resets(Outcome::Completed);
    assert_eq!(refused(&world, 5), None);
}

/// A reset that did not complete takes nothing away, however often.
#[test]
fn a_failed_reset_is_none() {
    let queue = apqn(5, 4);
    let mut world = World::with_clean_queues(one());
    let id = world.guest(one());
    world.edit(id, Edit::Replace(Matrix::EMPTY)).unwrap();
    for outcome in [
        Outcome::Failed(ResponseCode(1)),
        Outcome::Offline(ResponseCode(4)),
        Outcome::Offline(ResponseCode(3)),
        Outcome::Failed(ResponseCode(0x30)),
    ] {
        world.finish_resets(outcome);
        assert_eq!(refused(&world, 5), Some(queue), "{outcome:?}");
        world.handle(Event::Retry(queue)).unwrap();
    }
    // nobody waits for what is tried again, nor does its mdev's next guest
    assert!(world.model.holds(Condition::Drained(id)));
    world.handle(Event::Close(id)).unwrap();
    world.handle(Event::Detach(id)).unwrap();
    world.finish_resets(Outcome::Failed(ResponseCode(1)));
    // the bus takes it, and gives it back
    world.handle(Event::Unbind(queue)).unwrap();
    assert!(world.model.holds(Condition::Idle(queue)));
    world.handle(Event::Unbound(queue)).unwrap();
    assert_eq!(refused(&world, 5), Some(queue));
    world.handle(Event::Bind(queue)).unwrap();
    world.finish_resets(Outcome::Failed(ResponseCode(1)));
    assert_eq!(refused(&world, 5), Some(queue));
    // the adapter goes, and comes back as another
    world.handle(Event::ConfigChanged(Matrix::EMPTY)).unwrap();
    world.handle(Event::Retry(queue)).unwrap();
    assert_eq!(state(&world), &unreachable(Traces::FormerGuest));
    world.handle(Event::ScanComplete(one())).unwrap();
    assert_eq!(refused(&world, 5), Some(queue));
    world.finish_resets(Outcome::Completed);
    assert_eq!(refused(&world, 5), None);
}

#[test]
fn a_guest_reset_of_what_the_guest_lost_is_no_one_elses() {
    let both = matrix(&[5], &[4, 6], &[]);
    let mut world = World::with_clean_queues(both);
    let id = world.guest(both);
    world.handle(Event::Unbind(apqn(5, 6))).unwrap();
    world.finish_resets(Outcome::Offline(ResponseCode(3)));
    world.handle(Event::GuestReset(id)).unwrap();
    // what leaves is the bus's
    assert_eq!(Vec::from_iter(world.running.keys()), [&apqn(5, 4)]);
    world.finish_resets(Outcome::Offline(ResponseCode(3)));
    assert_eq!(refused(&world, 5), Some(apqn(5, 4)));
    // it is still that guest's
    world.edit(id, Edit::UnassignDomain(Apqi::new(6))).unwrap();
    assert_eq!(world.apcb(id), one());
}

/// What the host's configuration lost no reset can reach; what leaves is the
/// bus's, which may have given up waiting for it.
#[test]
fn a_change_of_the_host_resets_nothing_that_leaves() {
    let all = matrix(&[5, 6], &[4], &[]);
    let mut world = World::with_clean_queues(all);
    let id = world.guest(all);
    world
        .handle(Event::ConfigChanged(matrix(&[6], &[4], &[])))
        .unwrap();
    assert_eq!(world.apcb(id), matrix(&[6], &[4], &[]));
    assert!(world.running.is_empty());
    world.handle(Event::Unbind(apqn(5, 4))).unwrap();
    for event in [Event::ConfigChanged(all), Event::ScanComplete(all)] {
        world.handle(event).unwrap();
        assert!(world.running.is_empty());
        assert!(world.model.holds(Condition::Idle(apqn(5, 4))));
    }
    world.handle(Event::Unbound(apqn(5, 4))).unwrap();
    world.handle(Event::ConfigChanged(all)).unwrap();
    assert!(world.running.is_empty());
}

/// The bus does not wait for ever; but what left too early stays away from all.
#[test]
fn what_left_without_its_reset_is_given_to_nobody() {
    let config = matrix(&[5, 6], &[4], &[]);
    let queue = apqn(5, 4);
    let mut world = World::with_clean_queues(config);
    let id = world.guest(one());
    world.handle(Event::Unbind(queue)).unwrap();
    assert_eq!(world.handle(Event::Bind(queue)), Err(Errno::Eexist));
    let mut settled = Vec::new();
    let mut note = |effect| settled.push(effect);
    let left = world.model.clone().step(Event::Unbound(queue), &mut note);
    assert_eq!(left, Ok(Scope::One(id).into()));
    assert_eq!(settled, [QueueEffect::Settled(queue)]);
    world.handle(Event::Unbound(queue)).unwrap();
    let binding = |world: &World| world.model.queue(queue).unwrap().binding();
    assert_eq!(binding(&world), Binding::Lost);
    assert!(world.model.holds(Condition::Idle(queue)));
    assert!(world.model.holds(Condition::Drained(id)));
    // the host's drivers do not get it, and nobody can tell the driver to try
    let (five, six) = (matrix(&[5], &[4], &[]), matrix(&[6], &[4], &[]));
    world.edit(id, Edit::Replace(Matrix::EMPTY)).unwrap();
    for (m, lost) in [
        (five, Some(queue)),
        (six, None),
        (matrix(&[5], &[5], &[]), None),
    ] {
        assert_eq!(world.model.holding_guest_data(m.apm, m.aqm), lost);
        let refused = lost.map_or(Ok(()), |_| Err(Errno::Eaddrinuse));
        assert_eq!(world.model.in_use(m.apm, m.aqm), refused);
    }
    world.edit(id, Edit::Replace(one())).unwrap();
    for event in [
        Event::GuestReset(id),
        Event::Retry(queue),
        Event::ScanComplete(config),
    ] {
        world.handle(event).unwrap();
        assert_eq!(state(&world), &unreachable(Traces::FormerGuest));
    }
    assert_eq!(world.handle(Event::Unbind(queue)), Err(Errno::Enoent));
    assert_eq!(binding(&world), Binding::Lost);
    // until it was bound again, and reset
    world.handle(Event::Bind(queue)).unwrap();
    assert_eq!(binding(&world), Binding::Bound);
    assert_eq!(world.apcb(id), matrix(&[], &[4], &[]));
    world.finish_resets(Outcome::Completed);
    assert_eq!(world.apcb(id), one());
    assert_eq!(world.model.in_use(six.apm, six.aqm), Ok(()));
}

/// The host has no use for what it does not have; when it has it again, that is
/// reset before any driver can get it.
#[test]
fn what_is_gone_is_refused_only_if_it_comes_back_as_it_was() {
    let (all, six) = (matrix(&[5, 6], &[4], &[]), matrix(&[6], &[4], &[]));
    let queue = apqn(5, 4);
    let gone = || {
        let mut world = World::with_clean_queues(all);
        let id = world.guest(all);
        world.handle(Event::ConfigChanged(six)).unwrap();
        world.edit(id, Edit::Replace(six)).unwrap();
        // bound as yet
        assert_eq!(refused(&world, 5), Some(queue));
        assert_eq!(world.model.returning(all, None), None);
        assert_eq!(world.handle(Event::Cleared(queue)), Err(Errno::Ebusy));
        world.handle(Event::Unbind(queue)).unwrap();
        world.handle(Event::Unbound(queue)).unwrap();
        assert_eq!(refused(&world, 5), None);
        world
    };
    let mut world = gone();
    for (config, last, expected) in [
        (all, None, Some(queue)),
        (all, Some(apqn(5, 3)), Some(queue)),
        (all, Some(queue), None),
        (six, None, None),
    ] {
        assert_eq!(world.model.returning(config, last), expected);
    }
    // its reset failed
    world.handle(Event::ConfigChanged(all)).unwrap();
    assert_eq!(refused(&world, 5), Some(queue));
    assert_eq!(world.model.returning(all, None), None);
    assert_eq!(world.handle(Event::Cleared(queue)), Err(Errno::Ebusy));
    // its reset is done
    let mut world = gone();
    assert_eq!(world.handle(Event::Cleared(apqn(7, 4))), Err(Errno::Enoent));
    world.handle(Event::Cleared(queue)).unwrap();
    assert_eq!(world.model.queue(queue).err(), Some(Errno::Enoent));
    assert_eq!(world.model.returning(all, None), None);
    world.handle(Event::ConfigChanged(all)).unwrap();
    assert_eq!(refused(&world, 5), None);
}

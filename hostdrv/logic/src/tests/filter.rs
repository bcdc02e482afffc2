// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a guest gets of what was assigned.

use super::world::{World, apqn, matrix};
use crate::ap_arch::{Apid, Apqi, Matrix, ResponseCode};
use crate::*;

fn guest_matrix(world: &World, id: MdevId) -> Matrix {
    world.model.guest_matrix(world.model.mdev(id).unwrap())
}

#[test]
fn a_missing_queue_takes_its_adapter_along() {
    let mut world = World::with_clean_queues(matrix(&[5, 6], &[4, 6], &[4]));
    world.handle(Event::Unbind(apqn(5, 6))).unwrap();
    world.handle(Event::Unbound(apqn(5, 6))).unwrap();
    let id = world.guest(matrix(&[5, 6], &[4, 6], &[4, 9]));
    assert_eq!(world.apcb(id), matrix(&[6], &[4, 6], &[4]));
    // without the domain the adapter is whole
    world.edit(id, Edit::UnassignDomain(Apqi::new(6))).unwrap();
    assert_eq!(world.apcb(id), matrix(&[5, 6], &[4], &[4]));
    // the other adapter's queue in it left the guest, and must be reset first
    assert_eq!(world.running.len(), 1);
    world.finish_resets(Outcome::Completed);
    world.edit(id, Edit::AssignDomain(Apqi::new(6))).unwrap();
    assert_eq!(world.apcb(id), matrix(&[6], &[4, 6], &[4]));
    world.settle();
    // a bound queue joins when its reset is done, not before
    world.handle(Event::Bind(apqn(5, 6))).unwrap();
    assert_eq!(world.apcb(id), matrix(&[6], &[4, 6], &[4]));
    world.finish_resets(Outcome::Completed);
    assert_eq!(world.apcb(id), matrix(&[5, 6], &[4, 6], &[4]));
    world.settle();
}

#[test]
fn without_domains_no_adapter_is_dropped() {
    let mut world = World::new(matrix(&[5, 6], &[4], &[]));
    let id = world.create();
    world
        .edit(id, Edit::Replace(matrix(&[5, 6, 7], &[], &[])))
        .unwrap();
    assert_eq!(guest_matrix(&world, id), matrix(&[5, 6], &[], &[]));
    world
        .edit(id, Edit::Replace(matrix(&[5], &[9], &[])))
        .unwrap();
    assert_eq!(guest_matrix(&world, id), matrix(&[5], &[], &[]));
    world
        .edit(id, Edit::Replace(matrix(&[5], &[4], &[])))
        .unwrap();
    assert_eq!(guest_matrix(&world, id), matrix(&[], &[4], &[]));
}

#[test]
fn what_the_host_loses_the_guest_loses_at_once() {
    let all = matrix(&[5, 6], &[4, 6], &[4, 9]);
    let mut world = World::with_clean_queues(all);
    let id = world.guest(all);
    let less = matrix(&[5], &[4], &[9]);
    world.handle(Event::ConfigChanged(less)).unwrap();
    assert_eq!(world.apcb(id), less);
    assert_eq!(world.signals[&id], 2);
    // 05.0006 left with its domain: no reset can reach it, nor 06
    assert!(world.running.is_empty());
    let left = State::Used {
        traces: Traces::Guest(id),
        reset: Reset::Unreachable,
    };
    assert_eq!(world.model.queue(apqn(5, 6)).unwrap().state(), &left);
    // what is added waits for the end of the scan, and for a reset
    world.handle(Event::ConfigChanged(all)).unwrap();
    assert_eq!(world.apcb(id), less);
    assert_eq!(world.running.len(), 3);
    world.finish_resets(Outcome::Completed);
    assert_eq!(world.apcb(id), less);
    world.handle(Event::ScanComplete(all)).unwrap();
    assert_eq!(world.apcb(id), all);
    assert_eq!(world.signals[&id], 3);
}

#[test]
fn a_new_domain_does_not_cost_an_adapter_during_the_scan() {
    let mut world = World::with_clean_queues(matrix(&[5, 6], &[4], &[]));
    let id = world.guest(matrix(&[5, 6], &[4, 7], &[]));
    let had = matrix(&[5, 6], &[4], &[]);
    assert_eq!(world.apcb(id), had);
    let more = matrix(&[5, 6], &[4, 7], &[]);
    world.handle(Event::ConfigChanged(more)).unwrap();
    assert_eq!(world.apcb(id), had);
    for adapter in [5, 6] {
        world.handle(Event::Bind(apqn(adapter, 7))).unwrap();
    }
    world.finish_resets(Outcome::Completed);
    assert_eq!(world.apcb(id), had);
    world.handle(Event::ScanComplete(more)).unwrap();
    assert_eq!(world.apcb(id), more);
    assert_eq!(world.signals[&id], 2);
}

/// A guest is at work on the adapters it has.
#[test]
fn a_new_domain_waits_for_its_resets_and_costs_no_adapter() {
    let all = matrix(&[5, 6], &[4, 7], &[]);
    let mut world = World::with_clean_queues(matrix(&[5, 6], &[4], &[]));
    world.handle(Event::ScanComplete(all)).unwrap();
    let id = world.guest(matrix(&[5], &[4], &[]));
    world.handle(Event::Bind(apqn(5, 7))).unwrap();
    world.handle(Event::Bind(apqn(6, 7))).unwrap();
    world.edit(id, Edit::AssignDomain(Apqi::new(7))).unwrap();
    assert_eq!(world.apcb(id), matrix(&[5], &[4], &[]));
    let mdev = *world.model.mdev(id).unwrap();
    let told: Vec<_> = world.model.withheld(&mdev).collect();
    assert_eq!(told, [Withheld::ResetPending(apqn(5, 7))]);
    // what has nothing to do with it does not wait
    world.edit(id, Edit::AssignAdapter(Apid::new(6))).unwrap();
    assert_eq!(world.apcb(id), matrix(&[5, 6], &[4], &[]));
    world.finish_reset(apqn(5, 7), Outcome::Completed);
    assert_eq!(world.apcb(id), matrix(&[5, 6], &[4], &[]));
    world.finish_resets(Outcome::Completed);
    assert_eq!(world.apcb(id), all);
    world.settle();
    // a queue that cannot be reset is one that cannot be given
    let one = matrix(&[5], &[4], &[]);
    let mut world = World::with_clean_queues(one);
    world.handle(Event::ScanComplete(all)).unwrap();
    let id = world.guest(matrix(&[5], &[4, 7], &[]));
    assert_eq!(world.apcb(id), matrix(&[], &[4, 7], &[]));
    world.edit(id, Edit::UnassignDomain(Apqi::new(7))).unwrap();
    world.handle(Event::Bind(apqn(5, 7))).unwrap();
    world.edit(id, Edit::AssignDomain(Apqi::new(7))).unwrap();
    assert_eq!(world.apcb(id), one);
    world.finish_reset(apqn(5, 7), Outcome::Failed(ResponseCode(1)));
    assert_eq!(world.apcb(id), matrix(&[], &[4, 7], &[]));
}

/// A domain waits for no adapter that goes for another reason: the guest gets
/// it, and loses the adapter, in one change.
#[test]
fn a_new_domain_does_not_wait_for_an_adapter_that_goes() {
    let all = matrix(&[5, 6], &[4, 7, 8], &[]);
    let mut world = World::with_clean_queues(all);
    let id = world.guest(matrix(&[5, 6], &[4], &[]));
    for queue in [apqn(5, 7), apqn(5, 8)] {
        world.handle(Event::Unbind(queue)).unwrap();
        world.handle(Event::Unbound(queue)).unwrap();
    }
    world.handle(Event::Bind(apqn(5, 7))).unwrap();
    world.edit(id, Edit::Replace(all)).unwrap();
    assert_eq!(world.apcb(id), matrix(&[6], &[4, 7, 8], &[]));
    assert_eq!(world.signals[&id], 2);
    // looked at again, for nothing
    assert_eq!(
        world.model.step(Event::Plan(id), &mut |_| panic!()),
        Ok(Effects::default())
    );
}

/// The defect known as W13 of the C driver: a bind that a scan defers must not
/// be forgotten when the reason to defer is unassigned meanwhile.
#[test]
fn a_bind_during_a_scan_is_not_lost() {
    let mut world = World::with_clean_queues(matrix(&[7], &[4], &[]));
    let mut config = matrix(&[6, 7], &[4], &[]);
    world.handle(Event::ConfigChanged(config)).unwrap();
    world.handle(Event::ScanComplete(config)).unwrap();
    let id = world.guest(matrix(&[5, 6], &[4], &[]));
    config.apm.set(Apid::new(5));
    world.handle(Event::ConfigChanged(config)).unwrap();
    world.handle(Event::Bind(apqn(6, 4))).unwrap();
    world.finish_resets(Outcome::Completed);
    world.edit(id, Edit::UnassignAdapter(Apid::new(5))).unwrap();
    world.handle(Event::ScanComplete(config)).unwrap();
    assert_eq!(world.apcb(id), matrix(&[6], &[4], &[]));
}

/// W7: the result does not depend on the way there.
#[test]
fn the_filter_has_no_memory() {
    let config = matrix(&[5, 6], &[4, 6], &[]);
    let mut world = World::with_clean_queues(config);
    world.handle(Event::Unbind(apqn(5, 6))).unwrap();
    world.handle(Event::Unbound(apqn(5, 6))).unwrap();
    let id = world.guest(matrix(&[5], &[4, 6], &[]));
    assert_eq!(world.apcb(id), matrix(&[], &[4, 6], &[]));
    let less = matrix(&[5, 6], &[4], &[]);
    world.handle(Event::ConfigChanged(less)).unwrap();
    assert_eq!(world.apcb(id), matrix(&[5], &[4], &[]));
    world.handle(Event::ConfigChanged(config)).unwrap();
    world.handle(Event::ScanComplete(config)).unwrap();
    assert_eq!(world.apcb(id), matrix(&[], &[4, 6], &[]));
    world.settle();
}

#[test]
fn an_offline_adapter_stays_its_guests() {
    let config = matrix(&[5], &[4], &[]);
    let mut world = World::with_clean_queues(config);
    let id = world.guest(config);
    world.handle(Event::GuestReset(id)).unwrap();
    world.finish_reset(
        apqn(5, 4),
        Outcome::Offline(crate::ap_arch::ResponseCode(3)),
    );
    assert_eq!(world.apcb(id), config);
    assert_eq!(world.model.reset_verdict(id), Err(Errno::Eio));
    assert!(world.retries.is_empty());
    // when it is back, the guest can reset it
    world.handle(Event::GuestReset(id)).unwrap();
    world.finish_resets(Outcome::Completed);
    assert_eq!(world.model.reset_verdict(id), Ok(()));
    assert_eq!(world.signals[&id], 1);
}

#[test]
fn an_offline_adapter_comes_back_to_its_guest_but_to_no_other() {
    let config = matrix(&[5], &[4], &[]);
    let offline = Outcome::Offline(crate::ap_arch::ResponseCode(3));
    let mut world = World::with_clean_queues(config);
    let (a, b) = (world.guest(config), world.create());
    world.handle(Event::Attach(b)).unwrap();
    let nothing = Edit::Replace(Matrix::EMPTY);
    world.edit(a, nothing).unwrap();
    world.finish_resets(offline);
    world.edit(a, Edit::Replace(config)).unwrap();
    assert_eq!(world.apcb(a), config);
    assert_eq!(world.model.reset_verdict(a), Err(Errno::Eio));
    // not to the guest of another mdev
    world.edit(a, nothing).unwrap();
    world.finish_resets(offline);
    world.edit(b, Edit::Replace(config)).unwrap();
    assert_eq!(world.apcb(b), matrix(&[], &[4], &[]));
    // trying again does not change whose it was
    world.handle(Event::Retry(apqn(5, 4))).unwrap();
    world.finish_resets(offline);
    assert_eq!(world.apcb(b), matrix(&[], &[4], &[]));
    world.edit(b, nothing).unwrap();
    world.edit(a, Edit::Replace(config)).unwrap();
    assert_eq!(world.apcb(a), config);
    // nor to the next guest of the same mdev
    world.handle(Event::Close(a)).unwrap();
    world.finish_resets(offline);
    world.handle(Event::Detach(a)).unwrap();
    world.handle(Event::Attach(a)).unwrap();
    assert_eq!(world.apcb(a), matrix(&[], &[4], &[]));
    world.handle(Event::Retry(apqn(5, 4))).unwrap();
    world.finish_resets(Outcome::Completed);
    assert_eq!(world.apcb(a), config);
}

#[test]
fn what_the_bus_told_counts_for_more_than_what_was_asked() {
    let (old, new) = (matrix(&[5], &[4], &[]), matrix(&[5, 6], &[4], &[]));
    // it changed before the bus knew of the driver, which nobody tells
    let mut world = World::with_clean_queues(old);
    let id = world.create();
    world.edit(id, Edit::Replace(new)).unwrap();
    world.handle(Event::Bind(apqn(6, 4))).unwrap();
    assert_eq!(guest_matrix(&world, id), old);
    world.handle(Event::Registered(new)).unwrap();
    world.finish_resets(Outcome::Completed);
    assert_eq!(guest_matrix(&world, id), new);
    // it changed, and the bus told, while the answer was on its way
    let mut world = World::with_clean_queues(old);
    world.handle(Event::ConfigChanged(new)).unwrap();
    let scanning = *world.model.host();
    world.handle(Event::Registered(old)).unwrap();
    world.handle(Event::Registered(new)).unwrap();
    assert_eq!(*world.model.host(), scanning);
    world.handle(Event::ScanComplete(new)).unwrap();
    let scanned = *world.model.host();
    world.handle(Event::Registered(old)).unwrap();
    assert_eq!(*world.model.host(), scanned);
}

#[test]
fn who_watches_is_told_what_the_next_guest_would_get() {
    let (both, one) = (matrix(&[5, 6], &[4], &[]), matrix(&[5], &[4], &[]));
    let mut world = World::with_clean_queues(both);
    let id = world.create();
    // what the plan says that nobody has heard of yet
    let plan = |world: &mut World, event| {
        world.step(event).unwrap();
        let effects = world.model.step(Event::Plan(id), &mut |_| ()).unwrap();
        assert_eq!(effects.set_apcb, None, "{event:?}");
        effects.shown
    };
    let edit = |edit| Event::Edit(id, edit, Ownership::Available);
    assert_eq!(plan(&mut world, edit(Edit::Replace(both))), Some(both));
    let missing = edit(Edit::AssignAdapter(Apid::new(9)));
    assert_eq!(plan(&mut world, missing), None);
    assert_eq!(plan(&mut world, Event::Unbind(apqn(6, 4))), Some(one));
    assert_eq!(plan(&mut world, Event::Unbound(apqn(6, 4))), None);
    assert_eq!(plan(&mut world, Event::Bind(apqn(6, 4))), None);
    let epoch = world.running[&apqn(6, 4)].epoch;
    let done = Event::ResetDone(apqn(6, 4), epoch, Outcome::Completed);
    assert_eq!(plan(&mut world, done), Some(both));
    assert_eq!(plan(&mut world, Event::ConfigChanged(one)), Some(one));
    assert_eq!(plan(&mut world, Event::ScanComplete(both)), Some(both));
}

#[test]
fn who_watches_is_told_of_what_is_left_when_a_guest_has_gone() {
    let both = matrix(&[5, 6], &[4], &[]);
    let mut world = World::with_clean_queues(both);
    let id = world.guest(both);
    world.handle(Event::Close(id)).unwrap();
    let shown = |world: &mut World| {
        world
            .model
            .step(Event::Plan(id), &mut |_| ())
            .unwrap()
            .shown
    };
    assert_eq!(guest_matrix(&world, id), Matrix::EMPTY);
    world.finish_resets(Outcome::Completed);
    assert_eq!(shown(&mut world), None);
    world.step(Event::Detach(id)).unwrap();
    assert_eq!(shown(&mut world), Some(both));
}

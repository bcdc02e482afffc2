// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every sequence of events up to a length, on two adapters by two domains by
//! two mdevs, from several beginnings.
//!
//! Sequences that meet in a state are followed from there only once, so the
//! length is that of the shortest way to a state.

use std::collections::HashSet;

use super::world::{World, apqn, matrix};
use crate::ap_arch::{Apid, Apqi, Apqn, Matrix, ResponseCode};
use crate::*;

fn queues() -> impl Iterator<Item = Apqn> {
    matrix(&[0, 1], &[0, 1], &[]).apqns()
}

fn everything() -> Matrix {
    matrix(&[0, 1], &[0, 1], &[0, 1])
}

fn events(world: &World) -> Vec<Event> {
    let mut events = Vec::new();
    let edit = |id, edit| Event::Edit(id, edit, Ownership::Available);
    for id in world.model.mdevs().iter().map(Mdev::id) {
        for number in [0, 1] {
            for edit in [
                Edit::AssignAdapter(Apid::new(number)),
                Edit::UnassignAdapter(Apid::new(number)),
                Edit::AssignDomain(Apqi::new(number)),
                Edit::UnassignDomain(Apqi::new(number)),
            ] {
                events.push(Event::Edit(id, edit, Ownership::Available));
            }
            let reserved = Edit::AssignAdapter(Apid::new(number));
            events.push(Event::Edit(id, reserved, Ownership::ReservedForHost));
        }
        events.extend([
            edit(id, Edit::Replace(everything())),
            edit(id, Edit::Replace(Matrix::EMPTY)),
            edit(id, Edit::AssignControlDomain(Apqi::new(1))),
            edit(id, Edit::UnassignControlDomain(Apqi::new(1))),
            Event::Remove(id),
            Event::Attach(id),
            Event::Revoke(id),
            Event::Close(id),
            Event::Detach(id),
            Event::GuestReset(id),
            Event::Plan(id),
            Event::Published(id),
        ]);
    }
    for apqn in queues() {
        events.extend([
            Event::Bind(apqn),
            Event::Unbind(apqn),
            Event::Unbound(apqn),
            Event::Retry(apqn),
            Event::Cleared(apqn),
        ]);
        if let Some(run) = world.running.get(&apqn) {
            for outcome in [
                Outcome::Completed,
                Outcome::Offline(ResponseCode(3)),
                Outcome::Failed(ResponseCode(1)),
            ] {
                events.push(Event::ResetDone(apqn, run.epoch, outcome));
            }
            // of one that was replaced by it
            let stale = Epoch::for_tests(run.epoch.get() - 1);
            events.push(Event::ResetDone(apqn, stale, Outcome::Completed));
        }
    }
    for config in [
        everything(),
        matrix(&[0], &[0, 1], &[]),
        matrix(&[0, 1], &[1], &[1]),
    ] {
        events.push(Event::ConfigChanged(config));
        events.push(Event::Registered(config));
    }
    events.push(Event::ScanComplete(world.model.host().current()));
    events
}

/// Follows all events for `length` steps; returns how many states were met.
fn explore(start: World, length: usize) -> usize {
    let mut seen = HashSet::from([start.key()]);
    let mut border = vec![start];
    for _ in 0..length {
        let mut next = Vec::new();
        for world in border {
            let made = world.model.mdevs().len() < 2;
            let created = made.then(|| {
                let mut after = world.clone();
                after.create();
                after
            });
            let stepped = events(&world).into_iter().filter_map(|event| {
                let mut after = world.clone();
                // step checks the invariants
                after.step(event).ok().map(|_| after)
            });
            for after in stepped.chain(created) {
                if seen.insert(after.key()) {
                    // wherever it is, it can come to rest
                    after.clone().settle();
                    next.push(after);
                }
            }
        }
        border = next;
    }
    seen.len()
}

#[test]
fn from_nothing() {
    let mut world = World::new(everything());
    world.create();
    world.create();
    let states = explore(world, 4);
    assert!(states > 10_000, "{states}");
}

#[test]
fn from_a_guest_with_everything() {
    let mut world = World::with_clean_queues(everything());
    world.guest(everything());
    let other = world.create();
    world.handle(Event::Attach(other)).unwrap();
    let states = explore(world, 4);
    assert!(states > 10_000, "{states}");
}

fn two_guests_with_a_domain_each() -> World {
    let mut world = World::with_clean_queues(everything());
    world.guest(matrix(&[0, 1], &[0], &[]));
    world.guest(matrix(&[0, 1], &[1], &[]));
    world
}

#[test]
fn from_two_guests_with_a_domain_each() {
    let states = explore(two_guests_with_a_domain_each(), 4);
    assert!(states > 10_000, "{states}");
}

#[test]
#[ignore = "nightly: takes a minute"]
fn five_steps_from_two_guests_with_a_domain_each() {
    let states = explore(two_guests_with_a_domain_each(), 5);
    assert!(states > 100_000, "{states}");
}

/// The bus waited long enough for one queue of a guest, and took it; the guest ends
/// while the resets of the others run.
#[test]
fn from_a_lost_queue_and_a_guest_that_ends() {
    let mut world = World::with_clean_queues(everything());
    let a = world.guest(matrix(&[0, 1], &[0], &[]));
    let b = world.create();
    world.handle(Event::Attach(b)).unwrap();
    world.handle(Event::Unbind(apqn(0, 0))).unwrap();
    world.handle(Event::Unbound(apqn(0, 0))).unwrap();
    world.handle(Event::Close(a)).unwrap();
    world.edit(a, Edit::Replace(Matrix::EMPTY)).unwrap();
    let states = explore(world, 4);
    assert!(states > 10_000, "{states}");
}

#[test]
fn from_the_middle_of_a_handover() {
    let mut world = World::with_clean_queues(everything());
    let a = world.guest(matrix(&[0], &[0, 1], &[]));
    let b = world.guest(matrix(&[1], &[0], &[]));
    world.step(Event::Unbind(apqn(1, 0))).unwrap();
    world.step(Event::GuestReset(a)).unwrap();
    let shrink = Edit::UnassignAdapter(Apid::new(0));
    world
        .step(Event::Edit(a, shrink, Ownership::Available))
        .unwrap();
    world.step(Event::Plan(a)).unwrap();
    let grow = Edit::AssignAdapter(Apid::new(0));
    world
        .step(Event::Edit(b, grow, Ownership::Available))
        .unwrap();
    let states = explore(world, 4);
    assert!(states > 10_000, "{states}");
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Assigning and unassigning: what is refused, and what the AP bus is asked.

use super::world::{World, apqn, limits, matrix};
use crate::ap_arch::{Apid, Apm, Apqi, Aqm, Matrix, Qci, QciFlags};
use crate::*;

fn assigned(world: &World, id: MdevId) -> Matrix {
    world.model.mdev(id).unwrap().assigned()
}

#[test]
fn every_edit_changes_its_own_mask() {
    let mut world = World::new(Matrix::FULL);
    let id = world.create();
    let steps = [
        (Edit::AssignAdapter(Apid::new(5)), matrix(&[5], &[], &[])),
        (Edit::AssignDomain(Apqi::new(4)), matrix(&[5], &[4], &[])),
        (
            Edit::AssignControlDomain(Apqi::new(7)),
            matrix(&[5], &[4], &[7]),
        ),
        (
            Edit::AssignAdapter(Apid::new(6)),
            matrix(&[5, 6], &[4], &[7]),
        ),
        (
            Edit::UnassignAdapter(Apid::new(5)),
            matrix(&[6], &[4], &[7]),
        ),
        (
            Edit::UnassignControlDomain(Apqi::new(7)),
            matrix(&[6], &[4], &[]),
        ),
        (Edit::UnassignDomain(Apqi::new(4)), matrix(&[6], &[], &[])),
        (
            Edit::Replace(matrix(&[1], &[2], &[3])),
            matrix(&[1], &[2], &[3]),
        ),
    ];
    for (edit, expected) in steps {
        world.edit(id, edit).unwrap();
        assert_eq!(assigned(&world, id), expected);
        // again: allowed, and nothing to do
        assert_eq!(
            world.step(Event::Edit(id, edit, Ownership::Available)),
            Ok(Scope::None)
        );
        assert_eq!(assigned(&world, id), expected);
    }
}

#[test]
fn limits_come_from_the_machine() {
    let qci = |flags| Qci {
        flags,
        na: 0x3f,
        nd: 0x54,
        matrix: Matrix::FULL,
    };
    let with_apxa = Limits::of(&qci(QciFlags::APXA.with(QciFlags::APSC)));
    let without = Limits::of(&qci(QciFlags::APSC));
    assert_eq!(with_apxa.adapter(0x3f), Ok(Apid::new(0x3f)));
    assert_eq!(with_apxa.adapter(0x40), Err(Errno::Enodev));
    assert_eq!(with_apxa.domain(0x54), Ok(Apqi::new(0x54)));
    assert_eq!(with_apxa.domain(0x55), Err(Errno::Enodev));
    assert_eq!(without.adapter(63), Ok(Apid::new(63)));
    assert_eq!(without.adapter(64), Err(Errno::Enodev));
    assert_eq!(without.domain(15), Ok(Apqi::new(15)));
    assert_eq!(without.domain(16), Err(Errno::Enodev));

    let mut world = World::new(Matrix::FULL);
    let id = world.create();
    for edit in [
        Edit::AssignAdapter(Apid::new(0x40)),
        Edit::AssignDomain(Apqi::new(0x55)),
        Edit::AssignControlDomain(Apqi::new(0x55)),
        Edit::Replace(matrix(&[0x40], &[], &[])),
    ] {
        assert_eq!(world.model.propose(id, edit), Err(Errno::Enodev));
        assert_eq!(world.edit(id, edit), Err(Errno::Enodev));
    }
    assert_eq!(assigned(&world, id), Matrix::EMPTY);
    assert_eq!(world.model.mdev(id).unwrap().limits(), limits());
}

#[test]
fn the_bus_is_asked_about_added_queues_only() {
    let mut world = World::new(Matrix::FULL);
    let id = world.create();
    let propose = |world: &World, edit| world.model.propose(id, edit).unwrap();
    // without a domain there is no queue
    assert!(propose(&world, Edit::AssignAdapter(Apid::new(5))).adds_nothing());
    world
        .edit(id, Edit::Replace(matrix(&[5], &[4], &[])))
        .unwrap();

    let none = (Apm::EMPTY, Aqm::EMPTY);
    let proposal = propose(&world, Edit::AssignAdapter(Apid::new(6)));
    let added = proposal
        .added
        .map(|(apm, aqm)| if aqm.is_empty() { none } else { (apm, aqm) });
    assert_eq!(
        added,
        [(Apm::of(Apid::new(6)), Aqm::of(Apqi::new(4))), none]
    );
    assert!(!proposal.adds_nothing());

    let proposal = propose(&world, Edit::Replace(matrix(&[6], &[4, 7], &[1])));
    let (aqm, new) = (matrix(&[], &[4, 7], &[]).aqm, Aqm::of(Apqi::new(7)));
    let adapter = Apm::of(Apid::new(6));
    assert_eq!(proposal.added, [(adapter, aqm), (adapter, new)]);

    for edit in [
        Edit::AssignAdapter(Apid::new(5)),
        Edit::AssignControlDomain(Apqi::new(9)),
        Edit::UnassignDomain(Apqi::new(4)),
        Edit::Replace(matrix(&[5], &[4], &[8])),
    ] {
        assert!(propose(&world, edit).adds_nothing(), "{edit:?}");
    }
    assert!(Edit::AssignAdapter(Apid::new(5)).can_add_queues());
    assert!(Edit::AssignDomain(Apqi::new(5)).can_add_queues());
    assert!(Edit::Replace(Matrix::EMPTY).can_add_queues());
    assert!(!Edit::AssignControlDomain(Apqi::new(5)).can_add_queues());
    assert!(!Edit::UnassignAdapter(Apid::new(5)).can_add_queues());
}

#[test]
fn queues_of_the_host_are_not_available() {
    let mut world = World::new(Matrix::FULL);
    let id = world.create();
    let reserved = |edit| Event::Edit(id, edit, Ownership::ReservedForHost);
    world
        .handle(reserved(Edit::AssignAdapter(Apid::new(5))))
        .unwrap();
    let refused = world.handle(reserved(Edit::AssignDomain(Apqi::new(4))));
    assert_eq!(refused, Err(Errno::Eaddrnotavail));
    assert_eq!(assigned(&world, id), matrix(&[5], &[], &[]));
    // adds no queue, so nobody's ownership matters
    world
        .handle(reserved(Edit::UnassignAdapter(Apid::new(5))))
        .unwrap();
    world
        .handle(reserved(Edit::AssignControlDomain(Apqi::new(5))))
        .unwrap();
}

#[test]
fn queues_of_another_mdev_are_in_use() {
    let mut world = World::new(Matrix::FULL);
    let (a, b) = (world.create(), world.create());
    world
        .edit(a, Edit::Replace(matrix(&[5, 6], &[4], &[1])))
        .unwrap();
    // the same adapter in another domain, and the same control domain
    world
        .edit(b, Edit::Replace(matrix(&[5], &[7], &[1])))
        .unwrap();
    assert_eq!(
        world.edit(b, Edit::AssignDomain(Apqi::new(4))),
        Err(Errno::Eaddrinuse)
    );
    assert_eq!(assigned(&world, b), matrix(&[5], &[7], &[1]));
    // the host's claim is told first
    let both = Event::Edit(
        b,
        Edit::AssignDomain(Apqi::new(4)),
        Ownership::ReservedForHost,
    );
    assert_eq!(world.handle(both), Err(Errno::Eaddrnotavail));
    // one's own queues are no hindrance
    world.edit(a, Edit::AssignAdapter(Apid::new(7))).unwrap();
}

#[test]
fn in_use_names_the_mdev_and_the_queues() {
    let mut world = World::new(Matrix::FULL);
    let (a, b) = (world.create(), world.create());
    world
        .edit(a, Edit::Replace(matrix(&[5, 6], &[4], &[1])))
        .unwrap();
    world
        .edit(b, Edit::Replace(matrix(&[7], &[4, 5], &[])))
        .unwrap();
    let any = Aqm::FULL;
    let adapters = |ids: &[u8]| matrix(ids, &[], &[]).apm;
    assert_eq!(world.model.in_use(adapters(&[8, 9]), any), Ok(()));
    assert_eq!(
        world.model.in_use(adapters(&[5, 9]), any),
        Err(Errno::Eaddrinuse)
    );
    assert_eq!(world.model.in_use(Apm::FULL, Aqm::of(Apqi::new(6))), Ok(()));
    assert_eq!(
        world.model.sharer(None, adapters(&[7]), any),
        Some((b, matrix(&[7], &[4, 5], &[])))
    );
    assert_eq!(world.model.sharer(Some(b), adapters(&[7]), any), None);
    assert_eq!(world.model.owner(apqn(5, 4)).map(Mdev::id), Some(a));
    assert_eq!(world.model.owner(apqn(5, 5)), None);
}

#[test]
fn what_is_not_there_cannot_be_edited() {
    let mut world = World::new(Matrix::FULL);
    let id = world.create();
    world.handle(Event::Remove(id)).unwrap();
    let edit = Edit::AssignAdapter(Apid::new(5));
    assert_eq!(world.model.propose(id, edit), Err(Errno::Enoent));
    assert_eq!(world.edit(id, edit), Err(Errno::Enoent));
    // its name is not used again
    assert_ne!(world.create(), id);
}

/// Linux `include/uapi/asm-generic/errno{-base,}.h`.
#[test]
fn errors_are_those_of_linux() {
    let all = [
        (Errno::Enoent, 2),
        (Errno::Eio, 5),
        (Errno::Enomem, 12),
        (Errno::Ebusy, 16),
        (Errno::Eexist, 17),
        (Errno::Enodev, 19),
        (Errno::Einval, 22),
        (Errno::Erange, 34),
        (Errno::Eaddrinuse, 98),
        (Errno::Eaddrnotavail, 99),
    ];
    for (errno, code) in all {
        assert_eq!(errno.code(), code);
    }
}

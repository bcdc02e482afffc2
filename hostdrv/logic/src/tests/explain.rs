// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lines of `explain` and of a queue's `status`.

use super::world::{World, apqn, matrix};
use crate::ap_arch::{Apqn, ResponseCode};
use crate::*;

fn explain(world: &World, id: MdevId, driver: impl Fn(Apqn) -> Option<&'static str>) -> String {
    let mut text = String::new();
    for withheld in world.model.withheld(world.model.mdev(id).unwrap()) {
        let name = withheld.names_driver_of().and_then(&driver);
        withheld.write(name, &mut text).unwrap();
    }
    text
}

#[test]
fn every_reason_has_its_line() {
    let config = matrix(&[0, 1, 2, 3, 4, 5], &[4, 6], &[4]);
    let mut world = World::with_clean_queues(config);
    for queue in [apqn(0, 6), apqn(1, 4), apqn(2, 6), apqn(3, 4), apqn(4, 6)] {
        world.handle(Event::Unbind(queue)).unwrap();
        world.handle(Event::Unbound(queue)).unwrap();
    }
    for queue in [apqn(2, 6), apqn(3, 4), apqn(4, 6)] {
        world.handle(Event::Bind(queue)).unwrap();
    }
    world.finish_reset(apqn(3, 4), Outcome::Failed(ResponseCode(1)));
    world.finish_reset(apqn(4, 6), Outcome::Offline(ResponseCode(4)));
    let id = world.create();
    let wish = matrix(&[0, 1, 2, 3, 4, 5, 0x1f], &[4, 6, 0x47], &[4, 0x47]);
    world.edit(id, Edit::Replace(wish)).unwrap();
    let driver = |queue| (queue == apqn(0, 6)).then_some("cex4queue");
    let expected = "adapter 00 queue-not-bound 00.0006 cex4queue\n\
                    adapter 01 queue-not-bound 01.0004 none\n\
                    adapter 02 reset-pending 02.0006\n\
                    adapter 03 reset-failed 03.0004 rc=0x01\n\
                    adapter 04 reset-failed 04.0006 rc=0x04\n\
                    adapter 1f not-in-host\n\
                    domain 0047 not-in-host\n\
                    control-domain 0047 not-in-host\n";
    assert_eq!(explain(&world, id, driver), expected);
    // having a guest changes nothing
    world.handle(Event::Attach(id)).unwrap();
    assert_eq!(explain(&world, id, driver), expected);
    // a queue that the bus takes back is no longer the driver's
    world.handle(Event::Unbind(apqn(5, 6))).unwrap();
    world.finish_resets(Outcome::Completed);
    let line = "adapter 05 queue-not-bound 05.0006 none\n";
    assert!(explain(&world, id, driver).contains(line));
}

#[test]
fn nothing_withheld_says_nothing() {
    let config = matrix(&[5], &[4], &[4]);
    let mut world = World::with_clean_queues(config);
    let id = world.guest(config);
    assert_eq!(explain(&world, id, |_| None), "");
    // until another guest's use of it is undone
    world
        .edit(id, Edit::Replace(matrix(&[], &[], &[])))
        .unwrap();
    let other = world.guest(config);
    assert_eq!(
        explain(&world, other, |_| None),
        "adapter 05 reset-pending 05.0004\n"
    );
    world.settle();
    assert_eq!(explain(&world, other, |_| None), "");
}

#[test]
fn status_tells_what_a_queue_is_for() {
    use QueueStatusText::{Assigned, InUse, Unassigned};
    let config = matrix(&[5], &[4], &[]);
    let mut world = World::with_clean_queues(config);
    let queue = apqn(5, 4);
    assert_eq!(world.model.queue_status(queue), Unassigned);
    let id = world.create();
    world.edit(id, Edit::Replace(config)).unwrap();
    assert_eq!(world.model.queue_status(queue), Assigned);
    world.handle(Event::Attach(id)).unwrap();
    assert_eq!(world.model.queue_status(queue), InUse);
    world.handle(Event::Close(id)).unwrap();
    assert_eq!(world.model.queue_status(queue), Assigned);
    world
        .edit(id, Edit::Replace(matrix(&[], &[], &[])))
        .unwrap();
    assert_eq!(world.model.queue_status(queue), Unassigned);
}

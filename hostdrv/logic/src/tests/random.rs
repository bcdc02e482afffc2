// SPDX-License-Identifier: MIT OR Apache-2.0
//! Long random histories: nothing forbidden ever happens, and whenever things
//! come to rest every guest has exactly what it should have. What is not in the
//! model's state is checked elsewhere: which locks are held while something waits
//! is in types ([`order`]), and what interrupts hold has tests of its own.

use proptest::prelude::*;
use proptest::sample::select;

use super::world::{World, apqn, matrix};
use crate::ap_arch::{Apid, Apqi, Apqn, Matrix, ResponseCode};
use crate::*;

/// Something to do in a world; mdevs and resets by position, since their
/// names are not known before.
#[derive(Clone, Debug)]
enum Action {
    Create,
    Remove(usize),
    Edit(usize, Edit),
    /// The host asks for its drivers, or gives back, the queues of these.
    Reserve(Matrix),
    Attach(usize),
    Revoke(usize),
    Close(usize),
    Detach(usize),
    GuestReset(usize),
    Plan(usize),
    Published(usize),
    Bind(Apqn),
    Unbind(Apqn),
    Unbound(Apqn),
    Cleared(Apqn),
    Config(Matrix),
    Registered(Matrix),
    ScanComplete,
    ResetDone(usize, u8),
    Stale(Apqn, u64),
    Retry(Apqn),
    Settle,
}

const IDS: u8 = 4;

fn some_matrix() -> impl Strategy<Value = Matrix> {
    let ids = || proptest::collection::vec(0..IDS, 0..4);
    (ids(), ids(), ids()).prop_map(|(apm, aqm, adm)| matrix(&apm, &aqm, &adm))
}

fn host_matrix() -> impl Strategy<Value = Matrix> {
    let ids = || proptest::collection::vec(0..IDS, 2..9);
    (ids(), ids(), ids()).prop_map(|(apm, aqm, adm)| matrix(&apm, &aqm, &adm))
}

/// Few, since what the host's drivers own no mdev gets.
fn reserved() -> impl Strategy<Value = Matrix> {
    let ids = || proptest::collection::vec(0..IDS, 0..3);
    (ids(), ids()).prop_map(|(apm, aqm)| matrix(&apm, &aqm, &[]))
}

fn edit() -> impl Strategy<Value = Edit> {
    let adapter = || (0..IDS).prop_map(Apid::new);
    let domain = || (0..IDS).prop_map(Apqi::new);
    prop_oneof![
        3 => adapter().prop_map(Edit::AssignAdapter),
        3 => domain().prop_map(Edit::AssignDomain),
        1 => adapter().prop_map(Edit::UnassignAdapter),
        1 => domain().prop_map(Edit::UnassignDomain),
        1 => domain().prop_map(Edit::AssignControlDomain),
        1 => domain().prop_map(Edit::UnassignControlDomain),
        1 => some_matrix().prop_map(Edit::Replace),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let mdev = || 0usize..3;
    let queue = || (0..IDS, 0..IDS).prop_map(|(apid, apqi)| apqn(apid, apqi));
    let code = select(vec![0u8, 0, 0, 0, 1, 3, 4, 0x30]);
    prop_oneof![
        2 => Just(Action::Create),
        1 => mdev().prop_map(Action::Remove),
        12 => (mdev(), edit()).prop_map(|(mdev, edit)| Action::Edit(mdev, edit)),
        2 => reserved().prop_map(Action::Reserve),
        4 => mdev().prop_map(Action::Attach),
        1 => mdev().prop_map(Action::Revoke),
        2 => mdev().prop_map(Action::Close),
        3 => mdev().prop_map(Action::Detach),
        2 => mdev().prop_map(Action::GuestReset),
        14 => mdev().prop_map(Action::Plan),
        14 => mdev().prop_map(Action::Published),
        12 => queue().prop_map(Action::Bind),
        3 => queue().prop_map(Action::Unbind),
        3 => queue().prop_map(Action::Unbound),
        2 => queue().prop_map(Action::Cleared),
        3 => host_matrix().prop_map(Action::Config),
        1 => host_matrix().prop_map(Action::Registered),
        3 => Just(Action::ScanComplete),
        16 => (0usize..16, code).prop_map(|(at, code)| Action::ResetDone(at, code)),
        2 => (queue(), 0u64..20).prop_map(|(queue, epoch)| Action::Stale(queue, epoch)),
        4 => queue().prop_map(Action::Retry),
        2 => Just(Action::Settle),
    ]
}

fn outcome(code: u8) -> Outcome {
    match code {
        0 => Outcome::Completed,
        3 | 4 => Outcome::Offline(ResponseCode(code)),
        _ => Outcome::Failed(ResponseCode(code)),
    }
}

fn run(world: &mut World, action: Action) {
    let mdev = |at| world.model.mdevs().get(at).map(Mdev::id);
    let event = match action {
        Action::Create => {
            if world.model.mdevs().len() < 3 {
                world.create();
            }
            None
        }
        Action::Settle => {
            world.settle();
            None
        }
        Action::Remove(at) => mdev(at).map(Event::Remove),
        Action::Edit(at, edit) => {
            mdev(at).map(|mdev| Event::Edit(mdev, edit, world.ownership(mdev, edit)))
        }
        Action::Reserve(matrix) => {
            world.reserve(matrix);
            None
        }
        Action::Attach(at) => mdev(at).map(Event::Attach),
        Action::Revoke(at) => mdev(at).map(Event::Revoke),
        Action::Close(at) => mdev(at).map(Event::Close),
        Action::Detach(at) => mdev(at).map(Event::Detach),
        Action::GuestReset(at) => mdev(at).map(Event::GuestReset),
        Action::Plan(at) => mdev(at).map(Event::Plan),
        Action::Published(at) => mdev(at).map(Event::Published),
        Action::Bind(apqn) => Some(Event::Bind(apqn)),
        Action::Unbind(apqn) => Some(Event::Unbind(apqn)),
        Action::Unbound(apqn) => Some(Event::Unbound(apqn)),
        Action::Cleared(apqn) => Some(Event::Cleared(apqn)),
        Action::Config(config) => Some(Event::ConfigChanged(config)),
        Action::Registered(config) => Some(Event::Registered(config)),
        Action::ScanComplete => Some(Event::ScanComplete(world.model.host().current())),
        Action::ResetDone(at, code) => {
            let running = world.running.iter().nth(at % world.running.len().max(1));
            running.map(|(&apqn, run)| Event::ResetDone(apqn, run.epoch, outcome(code)))
        }
        Action::Stale(apqn, epoch) => {
            let running = world.running.get(&apqn).map(|run| run.epoch);
            let stale = Epoch::for_tests(epoch);
            (running != Some(stale)).then_some(Event::ResetDone(apqn, stale, Outcome::Completed))
        }
        Action::Retry(apqn) => Some(Event::Retry(apqn)),
    };
    // refusals are part of life; that they change nothing is checked by step
    if let Some(event) = event {
        let _ = world.step(event);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn histories_keep_the_invariants(
        config in host_matrix(),
        actions in proptest::collection::vec(action(), 0..150),
    ) {
        let mut world = World::new(config);
        world.create();
        world.create();
        for action in actions {
            run(&mut world, action);
        }
        let config = world.model.host().current();
        world.handle(Event::ScanComplete(config)).unwrap();
        world.settle();
        // and everything can end
        let ids: Vec<_> = world.model.mdevs().iter().map(Mdev::id).collect();
        for id in ids {
            let _ = world.handle(Event::Close(id));
            world.settle();
            let _ = world.handle(Event::Detach(id));
            world.handle(Event::Remove(id)).unwrap();
        }
        // what can be reset again is, by itself, and what was lost by a bind
        let everything = matrix(&[0, 1, 2, 3], &[0, 1, 2, 3], &[]);
        world.handle(Event::ScanComplete(everything)).unwrap();
        world.finish_retries();
        let queues: Vec<_> = world.model.queues().iter().map(Queue::apqn).collect();
        for apqn in queues {
            if world.model.queue(apqn).unwrap().binding() == Binding::Leaving {
                world.handle(Event::Unbound(apqn)).unwrap();
            }
            let _ = world.handle(Event::Bind(apqn));
            world.finish_resets(Outcome::Completed);
            let state = world.model.queue(apqn).unwrap().state();
            prop_assert!(matches!(state, State::Clean(_)), "{apqn} {state:?}");
            world.handle(Event::Unbind(apqn)).unwrap();
            prop_assert!(world.model.holds(Condition::Idle(apqn)));
            world.handle(Event::Unbound(apqn)).unwrap();
        }
        prop_assert!(world.model.queues().is_empty() && world.model.mdevs().is_empty());
    }
}

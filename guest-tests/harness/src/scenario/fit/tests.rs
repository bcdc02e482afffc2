// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scenarios of the library on hosts that are not their topology.

use super::*;
use crate::config::project_root;
use crate::scenario::Instead;

fn read(name: &str) -> (Scenario, Topology) {
    let folder = project_root().join("guest-tests/scenarios");
    let scenario =
        Scenario::read(&folder.join(format!("{name}.toml")), &Instead::default()).unwrap();
    let text = std::fs::read_to_string(scenario.topology.as_ref()).unwrap();
    (scenario, Topology::parse(&text).unwrap())
}

/// All adapters by all domains, which are control domains, too.
fn given(adapters: &[u8], domains: &[u8]) -> Given {
    let queue = |a: &u8, d: &u8| Apqn::new(Apid::new(*a), Apqi::new(*d));
    let pairs = adapters
        .iter()
        .flat_map(|a| domains.iter().map(move |d| queue(a, d)));
    Given {
        queues: pairs.collect(),
        accelerators: all(adapters),
        coprocessors: Apm::EMPTY,
        control: all(domains),
        masked: Apm::EMPTY,
    }
}

fn fitted(name: &str, given: &Given) -> Result<Scenario, String> {
    let (scenario, topology) = read(name);
    fit(&scenario, &topology, given, false)
}

fn step(scenario: &Scenario, action: &str) -> Step {
    let found = scenario
        .steps
        .iter()
        .find(|s| s.action.to_string() == action);
    let all: Vec<String> = scenario
        .steps
        .iter()
        .map(|s| s.action.to_string())
        .collect();
    found
        .unwrap_or_else(|| panic!("{action} in {all:?}"))
        .clone()
}

#[test]
fn numbers_become_the_hosts_in_order() {
    let host = given(&[0x1a, 0x2b, 0x2c, 0x2d], &[0x11, 0x12, 0x13]);
    let default = fitted("default", &host).unwrap();
    // 1, 5, 0x10 and 4, 5, 0x47, and the control domains 4, 5, 200.
    let first = step(
        &default,
        "assign adapter 1a, domain 11, control domain 11 to a",
    );
    let [line] = &first.expect.guest_matrix.values().next().unwrap()[..] else {
        panic!("one line");
    };
    assert_eq!(line, "1a.0011");
    let at_once = step(
        &default,
        "ap_config of a: adapter 1a 2b, domain 11 12, control domain 11 13",
    );
    let states = at_once.expect.guest_sees_only.values().next().unwrap();
    let adapters: Vec<_> = states.iter().map(|s| s.adapters.clone().unwrap()).collect();
    assert_eq!(adapters, [[0x2b, 0x2c], [0x1a, 0x2b]]);
    let exchange = fitted("exchange", &host).unwrap();
    let mut nevers = exchange.steps.iter().filter_map(|s| s.expect.never.clone());
    let Never(nevers) = nevers.next().unwrap();
    let sees = nevers[0].get_ref().guest_sees.values().next().unwrap();
    assert_eq!(sees.adapters, Some(vec![0x2b]));
    let unbound = step(&default, "unbind 2b.0011 from vfio_ap");
    let (queue, driver) = unbound.expect.queue_driver.iter().next().unwrap();
    assert_eq!(
        (queue.to_string().as_str(), driver.as_str()),
        ("2b.0011", "none")
    );
    assert!(
        step(&default, "3 RSA requests of g through 2b.0011")
            .left_out
            .is_none()
    );
}

#[test]
fn what_only_a_machine_can_do_is_left_out() {
    let host = given(&[1, 2, 3], &[4, 5, 6]);
    let default = fitted("default", &host).unwrap();
    let left_out = |s: &&Step| s.left_out.is_some();
    let machine = |s: &&Step| matches!(s.action, Action::Machine(_));
    let steps = default.steps.iter();
    assert!(steps.clone().filter(machine).all(|s| left_out(&s)));
    assert_eq!(steps.clone().filter(machine).count(), 4);
    // Besides: the adapter that never comes, and the mask that is refused.
    assert_eq!(steps.filter(left_out).count(), 6);
    // What is not there is taken out of lists.
    step(&default, "unassign adapter 01 02 from a");
    let over = fitted("over-provisioned", &host).unwrap();
    let first = step(
        &over,
        "assign adapter 01, domain 04, control domain 04 to a",
    );
    assert!(first.expect.explain.values().next().unwrap().is_empty());
}

#[test]
fn too_few_queues_are_a_reason() {
    let words = fitted("default", &given(&[1, 2], &[4, 5, 6])).unwrap_err();
    assert_eq!(
        words,
        "it needs 3 adapters by 3 domains, with 3 control domains; APQNS has no such"
    );
    let mut host = given(&[1, 2, 3], &[4, 5, 6]);
    host.queues.remove(&"02.0006".parse().unwrap());
    assert!(fitted("default", &host).is_err());
    let mut host = given(&[1, 2, 3, 4], &[4, 5, 6]);
    host.control = all(&[4, 5]);
    assert!(fitted("default", &host).is_err());
}

#[test]
fn rsa_goes_through_adapters_that_compute_it() {
    let mut host = given(&[1, 2, 3, 4], &[4, 5, 6]);
    host.accelerators = all(&[3]);
    let default = fitted("default", &host).unwrap();
    step(&default, "3 RSA requests of g through 03.0004");

    // A coprocessor does for Linux; bare metal goes without requests.
    (host.accelerators, host.coprocessors) = (Apm::EMPTY, all(&[3]));
    let (scenario, topology) = read("default");
    let linux = fit(&scenario, &topology, &host, true).unwrap();
    step(&linux, "3 RSA requests of g through 03.0004");
    let bare = fitted("default", &host).unwrap();
    assert!(bare.steps.iter().all(|s| s.expect.crypto_ok.is_none()));
    let crypto = |s: &&Step| matches!(s.action, Action::Crypto(_));
    let mut requests = bare.steps.iter().filter(crypto);
    assert!(requests.all(|s| s.left_out.as_deref() == Some(NO_RSA)));
}

#[test]
fn one_queue_is_enough_for_a_scenario_of_one() {
    let host = given(&[0x2b], &[0x11]);
    let single = fitted("single", &host).unwrap();
    step(&single, "assign adapter 2b to a");
    assert!(single.steps.iter().all(|s| s.left_out.is_none()));
}

#[test]
fn masks_are_edited_only_where_no_other_queue_is_concerned() {
    let mut host = given(&[1, 2, 3], &[4, 5, 6]);
    let words = fitted("rebind", &host).unwrap_err();
    assert!(
        words.ends_with("apmask +5: it cannot be held to the queues that were named"),
        "{words}"
    );
    host.masked = all(&[1, 2, 3]);
    let rebind = fitted("rebind", &host).unwrap();
    assert!(step(&rebind, "apmask +0x3").left_out.is_none());
    let gone = step(&rebind, "unbind 03.0005 from vfio_ap");
    let line = &gone.expect.explain.values().next().unwrap()[0];
    assert!(line.0.is_match("adapter 03 queue-not-bound 03.0005 none"));
}

#[test]
fn text_keeps_what_is_no_number() {
    let map = Map {
        adapters: [(Apid::new(5), Apid::new(0x2b))].into(),
        domains: [(Apqi::new(4), Apqi::new(0x11))].into(),
        control: [(Apqi::new(4), Apqi::new(0x12))].into(),
    };
    let text = |t| map.text(t);
    for (old, new) in [
        ("in use|assigned", "in use|assigned"),
        ("05.", "2b."),
        (".0004", ".0011"),
        (r"queue 05\.0004 .*", r"queue 2b\.0011 .*"),
        ("card05", "card2b"),
        ("adapter 05 not-in-host", "adapter 2b not-in-host"),
        ("domain 0004 x", "domain 0011 x"),
        ("control-domain 0004 x", "control-domain 0012 x"),
    ] {
        assert_eq!(text(old).as_deref(), Some(new));
    }
    for unknown in [
        "06.",
        "05.0005",
        "card06",
        "adapter 06",
        "control-domain 0005",
    ] {
        assert_eq!(text(unknown), None, "{unknown}");
    }
}

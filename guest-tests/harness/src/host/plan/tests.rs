// SPDX-License-Identifier: MIT OR Apache-2.0
//! A model of the AP bus takes the writes of plans, and what comes of them is
//! compared with what was there.

use super::*;
use crate::host::survey::Queue;
use ap_arch::Apid;

fn apqn(text: &str) -> Apqn {
    text.parse().unwrap()
}

fn set(names: &[&str]) -> BTreeSet<Apqn> {
    names.iter().map(|n| apqn(n)).collect()
}

/// Two adapters by two domains, all zcrypt's.
fn host(overrides: bool) -> Survey {
    let queue = Queue {
        driver: Some("cex4queue".to_owned()),
        only: overrides.then(String::new),
        online: Some(true),
        config: true,
        ..Queue::default()
    };
    let names = ["05.0004", "05.0005", "06.0004", "06.0005"];
    Survey {
        queues: names.map(|n| (apqn(n), queue.clone())).into(),
        apmask: Apm::FULL,
        aqmask: Aqm::FULL,
        autoprobe: true,
        ..Survey::default()
    }
}

/// What the AP bus does to its queues, as `ap_device_probe` and
/// `ap_bus_revise_bindings` have it.
fn bind(survey: &mut Survey, name: &str) {
    let q = apqn(name);
    let zcrypts = survey.apmask.test(q.apid) && survey.aqmask.test(q.apqi);
    let queue = survey.queues.get_mut(&q).unwrap();
    let driver = match queue.only.as_deref() {
        Some(only) if !only.is_empty() => only,
        _ if zcrypts => "cex4queue",
        _ => VFIO_AP,
    };
    queue.driver = Some(driver.to_owned());
    queue.online = (driver == "cex4queue").then_some(true);
}

fn apply(survey: &mut Survey, writes: &[Write]) {
    for Write { path, data } in writes {
        let overridden = survey
            .queues
            .values()
            .any(|q| q.only.as_ref().is_some_and(|o| !o.is_empty()));
        let in_use = survey.apmask != Apm::FULL || survey.aqmask != Aqm::FULL;
        let path = path.strip_prefix(BUS).unwrap();
        if let "/apmask" | "/aqmask" = path {
            assert!(!overridden, "masks are refused while a queue is overridden");
            let bytes = crate::guest::mask_bytes(data).unwrap();
            match path {
                "/apmask" => survey.apmask = Apm::from_bytes(bytes),
                _ => survey.aqmask = Aqm::from_bytes(bytes),
            }
            let bound: Vec<String> = survey
                .queues
                .iter()
                .filter(|(_, q)| q.driver.is_some())
                .map(|(q, _)| q.to_string())
                .collect();
            for name in bound {
                bind(survey, &name);
            }
        } else if path == "/drivers_autoprobe" {
            survey.autoprobe = data == "1";
        } else if path == "/drivers_probe" {
            if survey.queues[&apqn(data)].driver.is_none() {
                bind(survey, data);
            }
        } else if path.ends_with("/unbind") {
            let queue = survey.queues.get_mut(&apqn(data)).unwrap();
            let driver = path.trim_start_matches("/drivers/");
            let driver = driver.trim_end_matches("/unbind");
            assert_eq!(queue.driver.as_deref(), Some(driver));
            (queue.driver, queue.online) = (None, None);
        } else {
            let (device, file) = path.rsplit_once('/').unwrap();
            let name = device.trim_start_matches("/devices/");
            let queue = survey.queues.get_mut(&apqn(name)).unwrap();
            match file {
                "driver_override" => {
                    assert!(!in_use, "an override is refused while masks are in use");
                    queue.only = Some(data.trim().to_owned());
                }
                "online" => queue.online = Some(data == "1"),
                other => panic!("{other}"),
            }
        }
    }
}

/// Take, then put back; the queues of others never change.
fn round_trip(before: &Survey, names: &[&str]) -> Plan {
    let named = set(names);
    let plan = Plan::new(before, &named).unwrap();
    let saved = Saved::of(before, &named, String::new());
    let mut now = before.clone();
    assert!(saved.undo(&now).is_empty(), "nothing is to be undone");
    let writes = plan.writes(&now);
    // Ended after each write, it comes back all the same.
    for end in 0..=writes.len() {
        now = before.clone();
        apply(&mut now, &writes[..end]);
        if end == writes.len() {
            for queue in &named {
                assert_eq!(
                    now.queues[queue].driver.as_deref(),
                    Some(VFIO_AP),
                    "{queue}"
                );
            }
        }
        for (queue, state) in &now.queues {
            assert!(
                named.contains(queue) || *state == before.queues[queue],
                "{queue}"
            );
        }
        for _ in 0..4 {
            let undo = saved.undo(&now);
            apply(&mut now, &undo);
        }
        assert_eq!(&now, before, "after {end} writes");
    }
    plan
}

#[test]
fn single_queues_are_taken_by_override() {
    let plan = round_trip(&host(true), &["05.0004", "06.0005"]);
    assert_eq!(plan.by, By::Override);
    assert_eq!(plan.take.len(), 2);
}

#[test]
fn without_overrides_masks_take_whole_adapters_and_domains() {
    let plan = round_trip(&host(false), &["05.0004", "05.0005"]);
    assert_eq!(plan.by, By::Masks(Apm::of(Apid::new(5)), Aqm::EMPTY));
    let plan = round_trip(&host(false), &["05.0004", "06.0004"]);
    assert_eq!(plan.by, By::Masks(Apm::EMPTY, Aqm::of(4.into())));
    let reasons = Plan::new(&host(false), &set(&["05.0004"])).unwrap_err();
    assert!(
        reasons[0].ends_with("name these, too: 05.0005 (or 06.0004)"),
        "{reasons:?}"
    );
}

#[test]
fn masks_that_are_in_use_stay_so() {
    let mut before = host(true);
    before.apmask.clear(Apid::new(6));
    bind(&mut before, "06.0004");
    bind(&mut before, "06.0005");
    let plan = round_trip(&before, &["05.0004", "05.0005", "06.0004"]);
    assert_eq!(plan.by, By::Masks(Apm::of(Apid::new(5)), Aqm::EMPTY));
    let plan = round_trip(&before, &["06.0004"]);
    assert_eq!(plan.by, By::Nothing);
}

#[test]
fn of_reserved_queues_those_are_taken_that_were_named() {
    let mut before = host(true);
    before.apmask.clear(Apid::new(6));
    for name in ["06.0004", "06.0005"] {
        let queue = before.queues.get_mut(&apqn(name)).unwrap();
        (queue.driver, queue.online) = (None, None);
    }
    let plan = round_trip(&before, &["06.0004"]);
    assert_eq!(plan.by, By::Masks(Apm::EMPTY, Aqm::EMPTY));
    let plan = round_trip(&before, &["05.0004", "05.0005", "06.0004"]);
    assert_eq!(plan.by, By::Masks(Apm::of(Apid::new(5)), Aqm::EMPTY));
}

#[test]
fn who_had_no_driver_gets_none() {
    let mut before = host(true);
    before.apmask.clear(Apid::new(6));
    for name in ["05.0005", "06.0004", "06.0005"] {
        let queue = before.queues.get_mut(&apqn(name)).unwrap();
        (queue.driver, queue.online) = (None, None);
    }
    let named = set(&["06.0005"]);
    let saved = Saved::of(&before, &named, String::new());
    let idle = idle(&before, &named);
    assert_eq!(idle, set(&["05.0005", "06.0004"]));
    // Masks changed, and the bus looked for drivers for all.
    let mut now = before.clone();
    for name in ["05.0005", "06.0004", "06.0005"] {
        bind(&mut now, name);
    }
    let mut ours = now.clone();
    apply(&mut ours, &part(&idle, &now));
    bind(&mut before, "06.0005");
    assert_eq!(ours, before);
    let undo = saved.undo(&now);
    apply(&mut now, &undo);
    assert_eq!(idle, self::idle(&now, &named));
    // What somebody has assigned meanwhile is his.
    bind(&mut now, "06.0004");
    let theirs = ("another".to_owned(), vec![apqn("06.0004")]);
    now.mdevs.extend([theirs]);
    assert!(part(&idle, &now).is_empty());
}

#[test]
fn what_comes_while_nothing_is_probed_is_probed_afterwards() {
    let before = host(true);
    let saved = Saved::of(&before, &set(&["05.0004"]), String::new());
    let mut now = before.clone();
    apply(&mut now, &[autoprobe(false)]);
    assert_ne!(now, before);
    now.queues.insert(apqn("07.0004"), Queue::default());
    now.cards.insert(Apid::new(7), "CEX8P".to_owned());
    let writes = newcomers(&before, &now);
    let names: Vec<&str> = writes.iter().map(|w| w.data.as_str()).collect();
    assert_eq!(names, ["card07", "07.0004"]);
    assert!(writes.iter().all(|w| w.path == "/sys/bus/ap/drivers_probe"));
    now = before.clone();
    now.autoprobe = false;
    let undo = saved.undo(&now);
    apply(&mut now, &undo);
    assert_eq!(now, before);
}

#[test]
fn a_queue_comes_back_as_it_was() {
    let mut before = host(true);
    let queue = before.queues.get_mut(&apqn("05.0004")).unwrap();
    queue.online = Some(false);
    let queue = before.queues.get_mut(&apqn("05.0005")).unwrap();
    (queue.driver, queue.online) = (None, None);
    let queue = before.queues.get_mut(&apqn("06.0004")).unwrap();
    (queue.only, queue.online) = (Some(VFIO_AP.to_owned()), None);
    queue.driver = Some(VFIO_AP.to_owned());
    let plan = round_trip(&before, &["05.0004", "05.0005", "06.0004"]);
    assert_eq!(plan.take, set(&["05.0004", "05.0005"]));
}

#[test]
fn what_is_in_use_is_refused() {
    let refused = |change: &dyn Fn(&mut Survey)| {
        let mut survey = host(true);
        change(&mut survey);
        let before = survey.clone();
        let reasons = Plan::new(&survey, &set(&["05.0004"])).unwrap_err();
        assert_eq!(survey, before);
        reasons.join("; ")
    };
    fn queue(survey: &mut Survey) -> &mut Queue {
        survey.queues.get_mut(&apqn("05.0004")).unwrap()
    }
    for (words, change) in [
        (
            "is no queue of this host",
            (&|s: &mut Survey| s.queues.clear()) as &dyn Fn(&mut Survey),
        ),
        ("is assigned to mdev u", &|s| {
            s.mdevs.insert("u".to_owned(), vec![apqn("05.0004")]);
        }),
        ("its adapter is deconfigured", &|s| queue(s).config = false),
        ("its adapter has failed", &|s| queue(s).checkstop = true),
        ("has 2 requests in it", &|s| queue(s).requests = 2),
        ("is reserved for other", &|s| {
            queue(s).only = Some("other".to_owned())
        }),
        ("`chzcrypt -d 05.0004` takes it from them", &|s| {
            s.users = vec!["7 app".to_owned()]
        }),
    ] {
        let reasons = refused(change);
        assert!(reasons.contains(words), "{words}: {reasons}");
    }
    // Taken offline, it is nobody's.
    let mut survey = host(true);
    survey.users = vec!["7 app".to_owned()];
    queue(&mut survey).online = Some(false);
    assert!(Plan::new(&survey, &set(&["05.0004"])).is_ok());
}

#[test]
fn only_our_mdevs_are_removed_and_first() {
    let before = host(true);
    let named = set(&["05.0004"]);
    let saved = Saved::of(&before, &named, String::new());
    let mut now = before.clone();
    apply(
        &mut now,
        &Plan::new(&before, &named).unwrap().writes(&before),
    );
    now.mdevs.insert("a-stranger".to_owned(), Vec::new());
    let ours = format!("{OUR_UUIDS}000000000061");
    now.mdevs.insert(ours.clone(), vec![apqn("05.0004")]);
    let writes = saved.undo(&now);
    let [only] = &writes[..] else {
        panic!("{writes:?}");
    };
    assert!(only.path.ends_with(&format!("/{ours}/remove")));
}

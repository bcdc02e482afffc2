// SPDX-License-Identifier: MIT OR Apache-2.0
//! Expectations, held against what a guest has said.

use super::*;
use crate::scenario::world::Crypto;

fn look(never: bool) -> Look {
    Look {
        begin: Instant::now(),
        never,
        explain: true,
    }
}

fn expect(text: &str) -> Expect {
    toml::from_str(text).unwrap()
}

/// A world with a guest that has said this.
fn world(lines: &[String]) -> World {
    let mut world = World::default();
    world.begins("g");
    for line in lines {
        world.line("g", line);
    }
    world
}

/// A report of masks whose first digits are these.
fn qci(why: &str, apm: &str) -> String {
    let zeros = "0".repeat(62);
    let [aqm, adm] = ["aqm", "adm"].map(|m| format!("\"{m}\":\"0x08{zeros}\""));
    format!("{{\"op\":\"QCI\",\"why\":\"{why}\",\"apm\":\"0x{apm}{zeros}\",{aqm},{adm}}}")
}

#[test]
fn a_guest_is_asked_nothing_before_it_was_told() {
    let text = "[guest-sees.g]\nadapters = [1, 5]\n[guest-tapq.g]\n\"05.0004\" = 0";
    let asked = |expect: &Expect, lines: &[String], never| {
        let asked = to_ask(expect, &world(lines), look(never));
        asked
            .into_iter()
            .map(|(_, r)| r.to_string())
            .collect::<Vec<_>>()
    };
    let both = expect(text);
    let found = [qci("start", "04"), qci("query", "44"), qci("watch", "44")];
    assert!(asked(&both, &found, false).is_empty());
    let told = [qci("start", "04"), qci("event", "44")];
    assert_eq!(asked(&both, &told, false), ["query", "tapq 05.0004"]);
    // what must never be so is looked at in any moment
    assert_eq!(asked(&both, &found, true), ["tapq 05.0004"]);
    // nothing is waited for where nothing is to be told
    let alone = expect("[guest-tapq.g]\n\"05.0004\" = 0");
    assert_eq!(asked(&alone, &found, false), ["tapq 05.0004"]);
}

#[test]
fn a_state_that_is_not_listed_is_found() {
    let text = "[guest-sees-only]\ng = [{ adapters = [5], domains = [4] }, { adapters = [1, 5] }]";
    let only = expect(text).guest_sees_only;
    let other = |lines: &[String]| sees_other(&only, &world(lines));
    assert_eq!(other(&[]), None);
    assert_eq!(other(&[qci("start", "04")]), None);
    assert_eq!(other(&[qci("start", "04"), qci("event", "44")]), None);
    let seen = other(&[qci("start", "04"), qci("watch", "40")]);
    let words = "guest-sees-only g: seen adapters [01], domains [0004], control domains [0004]";
    assert_eq!(seen.as_deref(), Some(words));
}

#[test]
fn requests_are_under_way_until_they_are_done_or_cannot_be() {
    let wanted = expect("crypto-ok = 3\ncrypto-under-way = true");
    let held = |world: &World| {
        let found = findings(&wanted, world, look(false));
        let [ok, under_way] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!(ok.not_checked, under_way.not_checked);
        (ok.holds, under_way.holds, ok.not_checked)
    };
    let mut world = world(&[]);
    assert_eq!(held(&world), (false, false, false));
    world.crypto = Some(Crypto {
        guest: "g".to_owned(),
        id: 7,
        ok: None,
        unable: false,
    });
    assert_eq!(held(&world), (false, true, false));
    world.line("g", "{\"op\":\"crypto\",\"id\":6,\"ok\":3}");
    assert_eq!(held(&world), (false, true, false));
    let mut done = world;
    done.line("g", "{\"op\":\"crypto\",\"id\":7,\"ok\":3}");
    assert_eq!(held(&done), (true, false, false));
    done.crypto.as_mut().unwrap().ok = None;
    done.line("g", "{\"op\":\"unable\",\"id\":7}");
    // that is told, not taken for a success
    assert_eq!(held(&done), (true, true, true));
    done.begins("g");
    assert_eq!(held(&done), (false, false, false));
}

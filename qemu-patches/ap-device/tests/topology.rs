// SPDX-License-Identifier: MIT OR Apache-2.0
//! Topology files: the grammar, its errors, and the files we ship.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use ap_arch::*;
use ap_device::topology::{Topology, format_domains, parse_domains};
use ap_device::*;
use proptest::prelude::*;

const EXAMPLE: &str = r#"
usage-domains   = [4, 0x47, "80-95"]
control-domains = [4, 0x47, 255]
[[adapter]]
apid = 5
mode = "cca"
generation = 8
config = true
[[adapter]]
apid = 0
mode = "ep11"
generation = 4
config = false
[[fault]]
apqn = "05.0047"
on = "zapq"
rc = 0x02
times = 3
delay-ms = 5000
[[fault]]
apid = 0
on = "reply"
delay-ms = 1
"#;

#[test]
fn the_example() {
    let topology = Topology::parse(EXAMPLE).unwrap();
    let usage: Vec<u8> = topology.aqm.iter().map(Apqi::get).collect();
    let expect: Vec<u8> = [4, 0x47].into_iter().chain(80..=95).collect();
    assert_eq!(usage, expect);
    let control: Vec<u8> = topology.adm.iter().map(Apqi::get).collect();
    assert_eq!(control, [4, 0x47, 255]);
    let cca = AdapterSpec::new(Apid::new(5), Mode::Cca);
    let ep11 = AdapterSpec {
        generation: Generation::Cex4,
        config: false,
        ..AdapterSpec::new(Apid::new(0), Mode::Ep11)
    };
    assert_eq!(topology.adapters, [ep11, cca]);
    let zapq = Fault {
        scope: Scope::Queue("05.0047".parse().unwrap()),
        on: Trigger::Zapq,
        act: Some(Act::Code(2)),
        after: 0,
        times: Some(3),
        delay: Some(Duration::from_secs(5)),
    };
    let reply = Fault {
        scope: Scope::Adapter(Apid::new(0)),
        on: Trigger::Reply,
        act: None,
        after: 0,
        times: None,
        delay: Some(Duration::from_millis(1)),
    };
    assert_eq!(topology.faults, [zapq, reply]);
    let ap = Ap::with_topology(&topology, 0);
    assert_eq!(ap.queues().count(), 2 * 18);
    assert!(!ap.adapter(Apid::new(0)).unwrap().config);
}

#[test]
fn defaults() {
    assert_eq!(Topology::parse(""), Ok(Topology::default()));
    let topology = Topology::parse("usage-domains = [1, \"3-5\"]").unwrap();
    assert_eq!(topology.adm.to_words(), topology.aqm.to_words());
    let topology = Topology::parse("[[adapter]]\napid = 1\nmode = \"accelerator\"").unwrap();
    let spec = AdapterSpec::new(Apid::new(1), Mode::Accelerator);
    assert_eq!(topology.adapters, [spec]);
}

/// Each error names the line and the key.
#[test]
fn errors() {
    let adapter = "[[adapter]]\napid = 1\nmode = \"cca\"\n";
    let fault = "[[fault]]\napid = 1\non = \"zapq\"\n";
    let cases = [
        (
            "usage-domains = [256]",
            "line 1: usage-domains: 256 is no domain",
        ),
        (
            "usage-domains = [\n 1,\n -1,\n]",
            "line 3: usage-domains: -1 is no domain",
        ),
        (
            "\nusage-domains = [\"5-4\"]",
            "line 2: usage-domains: \"5-4\" runs backwards",
        ),
        (
            "usage-domains = [\"5\"]",
            "line 1: usage-domains: \"5\" is not a range",
        ),
        (
            "usage-domains = [\"0x1-0x2\"]",
            "line 1: usage-domains: \"0x1-0x2\" is not a range",
        ),
        ("usage-domains = [1.5]", "line 1: usage-domains: "),
        (
            "control-domains = [\"1-300\"]",
            "line 1: control-domains: 300 is no domain",
        ),
        (
            "max-domain = 84\nusage-domains = [\"80-85\"]",
            "line 2: usage-domains: 85 is above max-domain, 84",
        ),
        (
            "max-domain = 84\nusage-domains = []\ncontrol-domains = [255]",
            "line 3: control-domains: 255 is above max-domain, 84",
        ),
        (
            "max-adapter = 5\n[[adapter]]\napid = 6\nmode = \"cca\"",
            "line 3: apid: the machine has no adapter 6 and none above 5",
        ),
        ("max-domain = 256", "line 1: max-domain: "),
        ("domains = [1]", "line 1: domains: unknown field"),
        ("usage-domains = 1", "line 1: usage-domains: invalid type"),
        ("usage-domains = [1", "line 1: usage-domains: "),
        ("[[adapter]]\napid = 256\nmode = \"cca\"", "line 2: apid: "),
        (
            "[[adapter]]\napid = 1\nmode = \"rsa\"",
            "line 3: mode: unknown variant `rsa`",
        ),
        (
            "[[adapter]]\napid = 1",
            "line 1: adapter: missing field `mode`",
        ),
        (
            "[[adapter]]\nmode = \"cca\"",
            "line 1: adapter: missing field `apid`",
        ),
        (
            &[adapter, "generation = 3"].concat(),
            "line 4: generation: 3 is no generation",
        ),
        (
            &[adapter, "generation = 9"].concat(),
            "line 4: generation: 9 is no generation",
        ),
        (
            &[adapter, "colour = 3"].concat(),
            "line 4: colour: unknown field",
        ),
        (
            &[adapter, "config = 1"].concat(),
            "line 4: config: invalid type",
        ),
        (
            &[adapter, adapter].concat(),
            "line 5: apid: adapter 1 is there already",
        ),
        (fault, "line 3: on: needs rc, act or delay-ms"),
        (&[fault, "rc = 0"].concat(), "line 4: rc: 0 is not an error"),
        (&[fault, "rc = 256"].concat(), "line 4: rc: "),
        (
            &[fault, "rc = 1\ntimes = 0"].concat(),
            "line 5: times: must be at least 1",
        ),
        (
            &[fault, "apqn = \"01.0001\"\nrc = 1"].concat(),
            "line 3: on: needs one of apqn, apid and domain",
        ),
        (
            "[[fault]]\non = \"zapq\"\nrc = 1",
            "line 2: on: needs one of apqn, apid and domain",
        ),
        (
            "[[fault]]\napqn = \"1.1\"\non = \"zapq\"\nrc = 1",
            "line 2: apqn: not an APQN",
        ),
        (
            "[[fault]]\napid = 1\non = \"qci\"\nrc = 1",
            "line 3: on: this cannot",
        ),
        (
            "[[fault]]\napid = 1\non = \"tapq\"\nrc = 1\ndelay-ms = 5",
            "line 5: delay-ms: only rapq, zapq, aqic, reply and irq complete later",
        ),
    ];
    for (text, expect) in cases {
        let error = Topology::parse(text).expect_err(text).to_string();
        assert!(error.starts_with(expect), "{text:?}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn faults_alone() {
    let faults = Topology::parse_faults("[[fault]]\napid = 1\non = \"nqap\"\nrc = 5").unwrap();
    assert_eq!(faults.len(), 1);
    assert!(Topology::parse_faults("").is_err());
    assert!(Topology::parse_faults("usage-domains = [1]").is_err());
}

#[test]
fn domain_properties() {
    for (text, shortest) in [
        ("", ""),
        ("4,0x47,80-95", "4,71,80-95"),
        (" 0xff , 0", "0,255"),
        ("1,2", "1,2"),
        ("3,1,2", "1-3"),
        ("0-255", "0-255"),
    ] {
        let mask = parse_domains(text).unwrap();
        assert_eq!(format_domains(mask), shortest);
    }
    for bad in ["256", "-1", "1-", "5-4", "a", "1,,2", "0x", "1-256", ","] {
        assert!(parse_domains(bad).is_err(), "{bad:?}");
    }
}

fn shipped(name: &str) -> Topology {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let path = dir.join("../../guest-tests/topologies").join(name);
    let text = fs::read_to_string(&path).unwrap();
    Topology::parse(&text).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn shipped_files() {
    let count =
        |topology: &Topology, mode| topology.adapters.iter().filter(|a| a.mode == mode).count();
    let one = shipped("one-card.toml");
    assert_eq!((one.adapters.len(), one.aqm.count()), (1, 1));
    let twelve = shipped("twelve-by-sixteen.toml");
    assert_eq!((twelve.adapters.len(), twelve.aqm.count()), (12, 16));
    for mode in Mode::ALL {
        assert_eq!(count(&twelve, mode), 4);
    }
    let largest = shipped("largest.toml");
    assert_eq!((largest.adapters.len(), largest.aqm.count()), (128, 128));
    for mode in Mode::ALL {
        assert!(count(&largest, mode) >= 42);
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[\\PC\n]{0,200}") {
        let _ = Topology::parse(&text);
    }

    #[test]
    fn any_scrambled_example_is_read_or_refused(
        at in 0..EXAMPLE.len(), len in 0usize..40, with in "[\\PC\n]{0,20}"
    ) {
        let end = (at + len).min(EXAMPLE.len());
        let _ = Topology::parse(&[&EXAMPLE[..at], &with, &EXAMPLE[end..]].concat());
    }

    #[test]
    fn domains_round_trip(bytes: [u8; 32]) {
        let mask = Adm::from_bytes(bytes);
        let text = format_domains(mask);
        prop_assert!(text.len() < 1024);
        prop_assert_eq!(parse_domains(&text), Ok(mask));
    }
}

/// Every act, where it can happen and where it cannot.
#[test]
fn acts() {
    let read = |on: &str, rest: &str| {
        let text = format!("[[fault]]\napid = 1\non = \"{on}\"\n{rest}");
        let faults = Topology::parse_faults(&text).map_err(|e| e.to_string())?;
        Ok::<_, String>(faults[0].act)
    };
    let cases = [
        ("nqap", "act = \"async\"\nrc = 0x34", Act::Async(0x34)),
        ("reply", "act = \"checkstop\"\nafter = 3", Act::Checkstop),
        ("rapq", "act = \"stuck\"", Act::Stuck),
        ("zapq", "act = \"keep\"", Act::Keep),
        ("irq", "act = \"drop\"", Act::Drop),
        ("reply", "act = \"duplicate\"", Act::Duplicate),
        ("reply", "act = \"reorder\"", Act::Reorder),
        ("reply", "act = \"wrong-psmid\"", Act::WrongPsmid),
        ("reply", "act = \"bad-length\"\nlength = 7", Act::Length(7)),
        ("tapq", "act = \"expose\"", Act::Expose),
        ("qci", "act = \"lie\"", Act::Lie(Listener::All)),
        (
            "qci",
            "act = \"lie\"\nto = \"guest\"",
            Act::Lie(Listener::Guest),
        ),
        ("dqap", "rc = 5", Act::Code(5)),
    ];
    for (on, text, act) in cases {
        assert_eq!(read(on, text), Ok(Some(act)), "{text}");
    }
    let refused = [
        ("nqap", "act = \"async\"", "line 4: act: needs rc"),
        (
            "zapq",
            "act = \"async\"\nrc = 1",
            "line 4: act: this cannot",
        ),
        ("tapq", "act = \"stuck\"", "line 4: act: this cannot"),
        ("dqap", "act = \"drop\"", "line 4: act: this cannot"),
        ("irq", "rc = 5", "line 3: on: this cannot"),
        ("reply", "act = \"bad-length\"", "line 4: act: needs length"),
        (
            "reply",
            "act = \"bad-length\"\nlength = 0",
            "line 5: length: must be",
        ),
        (
            "reply",
            "length = 7\nrc = 1",
            "line 4: length: only bad-length",
        ),
        (
            "reply",
            "act = \"drop\"\nrc = 1",
            "line 4: act: does not go with rc",
        ),
        (
            "tapq",
            "act = \"expose\"\ntimes = 1",
            "line 5: times: expose lasts",
        ),
        ("reply", "act = \"explode\"", "line 4: act: unknown variant"),
        ("tapq", "act = \"lie\"", "line 4: act: this cannot"),
        ("qci", "act = \"expose\"", "line 4: act: this cannot"),
        (
            "nqap",
            "rc = 5\nto = \"host\"",
            "line 5: to: only lie has one",
        ),
        (
            "qci",
            "act = \"lie\"\ncontrol-domain = 4",
            "line 3: on: needs one of apid, domain and control-domain",
        ),
    ];
    for (on, text, error) in refused {
        let found = read(on, text).unwrap_err();
        assert!(found.starts_with(error), "{text}: {found}");
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Changes that no machine could make are refused, with the reason, and leave
//! everything as it was.

use crate::{boot, shell, shipped, sysfs};
use harness::Machine;
use harness::qmp::ApSetDomains;
use qapi::qmp::{device_add, qom_set};
use serde_json::{Value, json};

/// What QEMU says to a new adapter.
fn plug(machine: &Machine, arguments: Value) -> String {
    let refused = machine.qmp(device_add {
        driver: "ap-cex".to_owned(),
        id: None,
        bus: None,
        arguments: arguments.as_object().cloned().unwrap(),
    });
    refused.unwrap_err().to_string()
}

/// What it says to a property of the bridge.
fn set(machine: &Machine, property: &str, value: &str) -> String {
    let refused = machine.qmp(qom_set {
        path: "/machine/ap-bridge".to_owned(),
        property: property.to_owned(),
        value: json!(value),
    });
    refused.unwrap_err().to_string()
}

#[test]
fn bad_values_change_nothing() {
    let (machine, topology) = boot("refused", shipped("one-card"));
    let taken = topology.adapters[0].apid;
    let cases = [
        (json!({"apid": taken, "mode": "cca"}), "is there already"),
        (json!({"apid": 256, "mode": "cca"}), "apid"),
        (json!({"apid": 64, "mode": "cca"}), "no adapter 64"),
        (json!({"apid": 7, "mode": "quantum"}), "mode"),
        (json!({"apid": 7, "mode": "cca", "generation": 9}), "9"),
        (json!({"mode": "cca"}), "apid"),
    ];
    for (arguments, reason) in cases {
        let said = plug(&machine, arguments.clone());
        assert!(said.contains(reason), "{arguments}: {said}");
    }
    for property in ["usage-domains", "control-domains"] {
        for (value, reason) in [
            ("256", "256 is no domain"),
            ("4,85", "no domain 85"),
            ("5-4", "runs backwards"),
            ("four", "not a number"),
        ] {
            let said = set(&machine, property, value);
            assert!(said.contains(reason), "{property} = {value}: {said}");
        }
    }
    // One of the two is in order.
    let both = machine.qmp(ApSetDomains {
        usage: Some("1".to_owned()),
        control: Some("85".to_owned()),
    });
    assert!(both.unwrap_err().to_string().contains("no domain 85"));

    shell(&machine, "echo 1 >/sys/bus/ap/scans");
    sysfs::check(&machine, &topology);
    machine.shutdown().unwrap();
}

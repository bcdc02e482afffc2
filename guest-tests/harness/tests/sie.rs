// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rules of SIE, one by one, on a bare-metal host.

use harness::config::project_root;
use std::process::Command;

#[test]
fn a_bare_metal_host_finds_every_rule_of_sie_kept() {
    let root = project_root();
    let output = Command::new(root.join("guest-tests/sie/run.sh"))
        .arg(root.join("target/qemu/qemu-system-s390x"))
        .arg(root.join("target/share/sie-host"))
        .output()
        .unwrap();
    let ktap = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{ktap}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let passed = ktap.lines().filter(|l| l.starts_with("ok ")).count();
    assert!(passed >= 36, "only {passed} rules were checked:\n{ktap}");
}

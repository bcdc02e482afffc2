// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian's mdevctl and lszcrypt, which know nothing of our driver.

use crate::{A, LIMIT, boot_with};
use harness::config::project_root;
use harness::{Driver, Exit};
use l1_protocol::Command;

/// An mdev is defined, changed, started, stopped and forgotten; one attribute
/// is set by its old and one by its new name.
const STEPS: &str = r#"
set -e
mkdir -p /etc/mdevctl.d
mdevctl types
mdevctl define --uuid $A --parent matrix --type vfio_ap-passthrough
mdevctl modify --uuid $A --addattr assign_adapter --value 0x05
mdevctl modify --uuid $A --addattr assign_domain --value 0x04
mdevctl start --uuid $A
mdevctl list --uuid $A
cat /sys/devices/vfio_ap/matrix/$A/matrix
lszcrypt -V
mdevctl stop --uuid $A
mdevctl modify --uuid $A --delattr --index 1
mdevctl modify --uuid $A --delattr --index 0
mdevctl modify --uuid $A --addattr ap_config --value 0x06,0x0c,0x01
mdevctl start --uuid $A
mdevctl list --dumpjson --defined
cat /sys/devices/vfio_ap/matrix/$A/{matrix,control_domains}
mdevctl stop --uuid $A
mdevctl undefine --uuid $A
mdevctl list --defined
lszcrypt -V
lszcrypt -b
lszcrypt -d
"#;

#[test]
#[ignore = "nightly: needs target/l1-root with mdevctl and s390-tools"]
fn mdevctl_and_lszcrypt_see_no_difference() {
    let c = output("tools-c", Driver::C);
    let rust = output("tools-rust", Driver::Rust);
    assert_eq!(c, rust);
    for line in ["05.0004", "06.0005", "0007"] {
        assert!(rust.lines().any(|l| l == line), "no {line} in {rust}");
    }
    let queue = rust.lines().find(|line| line.starts_with("05.0004 "));
    let queue = queue.unwrap();
    assert!(
        queue.contains(" assigned ") && queue.contains("vfio_ap"),
        "{queue}"
    );
}

fn output(name: &str, driver: Driver) -> String {
    let machine = boot_with(name, driver, |config| {
        config.root = Some(project_root().join("target/l1-root"));
    });
    let argv = ["/usr/bin/bash", "-c", STEPS].map(str::to_owned).to_vec();
    let command = Command {
        argv,
        env: vec![("A".to_owned(), A.to_owned())],
        root: Some("/mnt/root".to_owned()),
        ..Command::default()
    };
    let output = machine.run(command, 3 * LIMIT).unwrap();
    assert_eq!(output.exit, Exit::Status(0), "{output:?}");
    machine.shutdown().unwrap();
    output.stdout
}

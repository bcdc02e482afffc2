// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module goes while its queues are being reset, and comes back.

use crate::{A, LIMIT, boot};
use harness::{Driver, Exit};

/// Every other round leaves no time for the resets that begin with it.
const ROUNDS: &str = r#"
set -e
M=/sys/devices/vfio_ap/matrix
n=0
while [ $n -lt 12 ]; do
  echo $A >$M/mdev_supported_types/vfio_ap-passthrough/create
  echo 0x07,0x0c,0x01 >$M/$A/ap_config &
  [ $((n % 2)) = 1 ] || wait
  rmmod vfio_ap
  wait
  [ ! -e $M ]
  [ ! -e /sys/bus/ap/drivers/vfio_ap ]
  insmod /tmp/vfio_ap.ko
  n=$((n + 1))
done
ls -d /sys/bus/ap/drivers/vfio_ap/??.???? | wc -l
"#;

#[test]
fn the_module_can_go_at_any_time() {
    let machine = boot("reload", Driver::Rust);
    let script = format!("A={A}\n{ROUNDS}");
    let output = machine.shell(&script, LIMIT).unwrap();
    assert_eq!(output.exit, Exit::Status(0), "{output:?}");
    assert_eq!(output.stdout.trim(), "6");
    // Complains if the kernel did.
    machine.shutdown().unwrap();
}

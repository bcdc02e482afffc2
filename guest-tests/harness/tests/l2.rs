// SPDX-License-Identifier: MIT OR Apache-2.0
//! Linux as a guest of Debian's QEMU with KVM in L1. It needs Debian's
//! userland and kernel for s390x, so it is part of the nightly run.

use harness::config::project_root;
use harness::{Config, Exit, Machine};
use std::fs;
use std::time::Duration;

const ROOT: &str = "target/l1-root";
const QEMU: &str = "chroot /mnt/root timeout 300 /usr/bin/qemu-system-s390x -accel kvm -cpu host \
     -machine s390-ccw-virtio -smp 2 -m 512M -nodefaults -display none -no-reboot \
     -initrd /mnt/host/guest-initramfs -chardev stdio,id=c -device sclpconsole,chardev=c";

fn number(variable: &str, default: u64) -> u64 {
    let set = std::env::var(variable).ok();
    set.map_or(default, |v| v.parse().unwrap())
}

fn boot(name: &str) -> Machine {
    let root = project_root().join(ROOT);
    assert!(
        root.join("usr/bin/qemu-system-s390x").exists(),
        "run `make l1-root PACKAGES=\"qemu-system-s390x linux-image-s390x\"` first"
    );
    let mut config = Config::new(name);
    config.memory_mib = 2048;
    config.root = Some(root);
    Machine::boot(&config).unwrap()
}

/// Runs a guest whose init is this line of shell; returns its console.
fn guest(machine: &Machine, more: &str, init: &str, limit: Duration) -> String {
    let line = format!(
        "{QEMU} {more} -append 'console=ttysclp0 panic=-1 rdinit=/bin/sh -- -c \"{init}\"' </dev/null"
    );
    let output = machine.shell(&line, limit).unwrap();
    assert_eq!(output.exit, Exit::Status(0), "{output:?}");
    output.stdout
}

/// Whether a line is just this text: the kernel's command line has it, too.
fn says(console: &str, text: &str) -> bool {
    console.lines().any(|line| line.trim_end() == text)
}

#[test]
#[ignore = "nightly: 50 boots; L2_BOOTS=N for another number"]
fn debians_kernel_boots_every_time() {
    let machine = boot("l2-boots");
    let boot_folder = project_root().join(ROOT).join("boot");
    let kernel = fs::read_dir(&boot_folder)
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().into_string().unwrap())
        .find(|name| name.starts_with("vmlinuz"))
        .expect("no kernel in target/l1-root/boot");
    let init = "mount -t proc p /proc; cat /proc/version; echo L2 is up; poweroff -f";
    for round in 0..number("L2_BOOTS", 50) {
        let limit = Duration::from_secs(320);
        let console = guest(&machine, &format!("-kernel /boot/{kernel}"), init, limit);
        assert!(says(&console, "L2 is up"), "boot {round}: {console}");
    }
    machine.shutdown().unwrap();
}

#[test]
#[ignore = "nightly: ten minutes; L2_DISK_SECONDS=N for another time"]
fn a_virtio_disk_keeps_what_is_written() {
    let machine = boot("l2-disk");
    let seconds = number("L2_DISK_SECONDS", 600).min(250);
    // each round writes 64 MiB, drops what is cached, and compares
    let init = "b=/bin/busybox; mount -t proc p /proc; mount -t devtmpfs d /dev; \
         mount -t sysfs s /sys; n=0; e=$(( $(date +%s) + SECONDS )); \
         while [ $(date +%s) -lt $e ]; do \
         $b dd if=/dev/urandom of=/r bs=1M count=64 2>/dev/null; \
         $b dd if=/r of=/dev/vda bs=1M conv=fsync 2>/dev/null; \
         echo 3 >/proc/sys/vm/drop_caches; \
         $b cmp -n 67108864 /r /dev/vda || { echo DIFFERENT; poweroff -f; }; \
         n=$((n+1)); done; echo rounds: $n; poweroff -f"
        .replace("SECONDS", &seconds.to_string());
    let disk = "truncate -s 256M /mnt/root/tmp/disk";
    machine.shell(disk, Duration::from_secs(30)).unwrap();
    let more = "-kernel /mnt/host/guest-kernel \
         -drive file=/tmp/disk,format=raw,if=none,id=d -device virtio-blk-ccw,drive=d";
    // QEMU in L1 is ended after five minutes, so several guests make the time
    for _ in 0..number("L2_DISK_SECONDS", 600).div_ceil(250) {
        let console = guest(&machine, more, &init, Duration::from_secs(320));
        assert!(!says(&console, "DIFFERENT"), "{console}");
        let rounds = console.lines().find_map(|l| l.strip_prefix("rounds: "));
        let rounds: u64 = rounds.expect("no count").trim().parse().unwrap();
        assert!(rounds > 0, "{console}");
    }
    machine.shutdown().unwrap();
}

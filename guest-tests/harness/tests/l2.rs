// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian's kernel, unmodified, as a guest in L1: under apvmm, and in the
//! nightly run, which has Debian's userland for s390x, under its QEMU.

use harness::config::project_root;
use harness::{Config, Exit, Machine};
use std::time::{Duration, Instant};

const ROOT: &str = "target/l1-root";
const INITRD: &str = "/mnt/host/guest-initramfs";
/// CPUs of a guest.
const APVMM_CPUS: u32 = 2;
const QEMU_CPUS: u32 = 2;
const MINUTE: Duration = Duration::from_secs(60);

fn number(variable: &str, default: u64) -> u64 {
    let set = std::env::var(variable).ok();
    set.map_or(default, |v| v.parse().unwrap())
}

/// What makes a guest: everything but its kernel's command line.
fn qemu(initrd: &str, more: &str) -> String {
    format!(
        "chroot /mnt/root /usr/bin/qemu-system-s390x -accel kvm -cpu host \
         -machine s390-ccw-virtio -smp {QEMU_CPUS} -m 512M -nodefaults -display none -no-reboot \
         -chardev stdio,id=c -device sclpconsole,chardev=c {more} \
         -kernel /mnt/host/debian-kernel -initrd {initrd} -append"
    )
}

fn apvmm() -> String {
    format!(
        "/mnt/host/apvmm run --kernel /mnt/host/debian-kernel --initrd {INITRD} --memory 256M --cpus {APVMM_CPUS} --console stdio --cmdline"
    )
}

/// The line of shell that runs a guest whose init is a line of shell.
fn guest(vmm: &str, init: &str) -> String {
    format!("{vmm} 'console=ttysclp0 panic=-1 rdinit=/bin/sh -- -c \"{init}\"' </dev/null")
}

fn with_root(name: &str) -> Config {
    let root = project_root().join(ROOT);
    assert!(
        root.join("usr/bin/qemu-system-s390x").exists(),
        "run `make l1-root PACKAGES=qemu-system-s390x` first"
    );
    let mut config = Config::new(name);
    config.memory_mib = 2048;
    config.root = Some(root);
    config
}

fn boot(config: &Config) -> Machine {
    assert!(
        project_root().join("target/share/debian-kernel").exists(),
        "run `make l1-debian` first"
    );
    Machine::boot(config).unwrap()
}

/// Runs a line in L1, which must succeed; returns what it prints.
fn shell(machine: &Machine, line: &str, limit: Duration) -> String {
    let output = machine.shell(line, limit).unwrap();
    assert_eq!(output.exit, Exit::Status(0), "{output:?}");
    output.stdout
}

/// Whether a line is just this text: the kernel's command line has it, too.
fn says(console: &str, text: &str) -> bool {
    console.lines().any(|line| line.trim_end() == text)
}

/// The number in a line that begins with this text.
fn told(console: &str, text: &str) -> u64 {
    let found = console.lines().find_map(|line| line.strip_prefix(text));
    let found = found.unwrap_or_else(|| panic!("no `{text}` in {console}"));
    found.trim().parse().unwrap()
}

/// Boots guests to user space, one after the other, in one L1.
fn boot_guests(machine: &Machine, vmm: &str, cpus: u32, rounds: u64) {
    let init = "mount -t proc p /proc; mount -t sysfs s /sys; cat /proc/version; \
         echo cpus $(cat /sys/devices/system/cpu/online) end; poweroff -f";
    let last = cpus - 1;
    let up = match cpus {
        1 => "cpus 0 end".to_owned(),
        _ => format!("cpus 0-{last} end"),
    };
    for round in 0..rounds {
        let begin = Instant::now();
        let console = shell(machine, &guest(vmm, init), 5 * MINUTE);
        println!("boot {round}: {:.1} s", begin.elapsed().as_secs_f32());
        assert!(says(&console, &up), "boot {round}: {console}");
        assert!(console.contains("debian-kernel@lists.debian.org"));
    }
}

#[test]
fn debians_kernel_boots_ten_times_under_apvmm() {
    let machine = boot(&Config::new("l2-boots-apvmm"));
    boot_guests(&machine, &apvmm(), APVMM_CPUS, number("L2_BOOTS", 10));
    machine.shutdown().unwrap();
}

#[test]
#[ignore = "nightly: needs target/l1-root; L2_BOOTS=N for another number"]
fn debians_kernel_boots_fifty_times_under_qemu() {
    let machine = boot(&with_root("l2-boots-qemu"));
    let rounds = number("L2_BOOTS", 50);
    boot_guests(&machine, &qemu(INITRD, ""), QEMU_CPUS, rounds);
    machine.shutdown().unwrap();
}

#[test]
#[ignore = "nightly: ten minutes; L2_DISK_SECONDS=N for another time"]
fn a_virtio_disk_keeps_what_is_written_for_ten_minutes() {
    let machine = boot(&with_root("l2-disk"));
    let seconds = number("L2_DISK_SECONDS", 600);
    // each round writes 64 MiB, drops what is cached, and compares
    let init = "b=/bin/busybox; mount -t proc p /proc; mount -t devtmpfs d /dev; \
         $b insmod /virtio_blk.ko; while [ ! -b /dev/vda ]; do :; done; n=0; e=$(( $(date +%s) + SECONDS )); \
         while [ $(date +%s) -lt $e ]; do \
         $b dd if=/dev/urandom of=/r bs=1M count=64 2>/dev/null; \
         $b dd if=/r of=/dev/vda bs=1M conv=fsync 2>/dev/null; \
         echo 3 >/proc/sys/vm/drop_caches; \
         $b cmp -n 67108864 /r /dev/vda || { echo DIFFERENT; poweroff -f; }; \
         n=$((n+1)); done; echo rounds: $n; poweroff -f"
        .replace("SECONDS", &seconds.to_string());
    let prepare = format!(
        "truncate -s 256M /mnt/root/tmp/disk; \
         cat {INITRD} /mnt/host/debian-virtio-blk >/mnt/root/tmp/initrd"
    );
    shell(&machine, &prepare, MINUTE);
    let vmm = qemu(
        "/tmp/initrd",
        "-drive file=/tmp/disk,format=raw,if=none,id=d -device virtio-blk-ccw,drive=d",
    );
    let limit = Duration::from_secs(seconds) + 5 * MINUTE;
    let console = shell(&machine, &guest(&vmm, &init), limit);
    assert!(!says(&console, "DIFFERENT"), "{console}");
    let rounds = told(&console, "rounds: ");
    println!("{rounds} rounds of 64 MiB in {seconds} s");
    assert!(rounds > 0, "{console}");
    machine.shutdown().unwrap();
}

/// The guest fills 300 MiB and sums them up again and again, in an L1 of
/// 512 MiB in which 200 MiB more are read all the time.
#[test]
#[ignore = "nightly: needs target/l1-root"]
fn a_guest_keeps_its_memory_while_l1_is_swapping() {
    let mut config = with_root("l2-swap");
    config.memory_mib = 512;
    config.disk_mib = Some(2048);
    let machine = boot(&config);
    let init = "b=/bin/busybox; mount -t proc p /proc; mount -t devtmpfs d /dev; \
         $b mkdir /t; mount -t tmpfs -o size=400m t /t; \
         $b dd if=/dev/urandom of=/t/f bs=1M count=300 2>/dev/null; \
         set -- $($b md5sum </t/f); sum=$1; n=0; while [ $n -lt 5 ]; do \
         set -- $($b md5sum </t/f); [ $1 = $sum ] || { echo DIFFERENT; poweroff -f; }; \
         n=$((n+1)); done; echo sums: $n; poweroff -f";
    let prepare = "busybox mkswap /dev/vda && busybox swapon /dev/vda && mkdir /hog && \
         mount -t tmpfs -o size=220m none /hog && dd if=/dev/zero of=/hog/f bs=1M count=200";
    shell(&machine, prepare, MINUTE);
    let watch = "vmm=$!; most=0; while kill -0 $vmm 2>/dev/null; do cat /hog/f >/dev/null; \
         now=$(sed -n 's/^VmSwap:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/$vmm/status 2>/dev/null); \
         [ ${now:-0} -gt $most ] && most=$now; sleep 0.2; done; \
         wait $vmm || exit 1; cat /tmp/console; \
         echo swapped: $most; sed -n 's/^pswp\\(in\\|out\\) /&/p' /proc/vmstat";
    let run = guest(&qemu(INITRD, ""), init);
    let console = shell(
        &machine,
        &format!("{run} >/tmp/console & {watch}"),
        30 * MINUTE,
    );
    assert!(!says(&console, "DIFFERENT"), "{console}");
    assert_eq!(told(&console, "sums: "), 5, "{console}");
    // of the guest's VMM at once, in KiB; of all of L1 in sum, in pages
    let most = told(&console, "swapped: ");
    let (pages_in, pages_out) = (told(&console, "pswpin "), told(&console, "pswpout "));
    println!("QEMU had up to {most} KiB in swap; pages in {pages_in}, out {pages_out}");
    // more than all of QEMU itself: guest pages are among it, and came back
    assert!(most > 100 << 10, "{console}");
    assert!(pages_out > 100 << 8 && pages_in > 100 << 8, "{console}");
    machine.shutdown().unwrap();
}

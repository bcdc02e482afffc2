// SPDX-License-Identifier: MIT OR Apache-2.0
//! The steps that both drivers are put through, as one shell script.
//!
//! `try FILE TEXT [NAME]` makes one write of TEXT, with the escapes of
//! `echo -e`, and prints its outcome under the text or NAME. `show GUEST`
//! prints the state once `guest_matrix` is GUEST or five seconds have passed.
//! `log` prints all that the kernel's log says of the driver, and its s390dbf log,
//! since the last `log`; but not how long resets took, which is a matter of time.

use crate::{A, B};
use std::fmt::Write;

/// Values that are no number, or none that an attribute takes: arguments of
/// `try`, and the refusal.
pub const MALFORMED: &[(&str, &str)] = &[
    (r"'\n'", INVALID),
    (r"'\0'", INVALID),
    ("five", INVALID),
    ("-1", INVALID),
    ("+-1", INVALID),
    ("' 5'", INVALID),
    ("'5 '", INVALID),
    (r"'5\n\n'", INVALID),
    (r"'5\n6\n'", INVALID),
    ("5,6", INVALID),
    ("0x", INVALID),
    ("08", INVALID),
    ("5f", INVALID),
    (r"'\0005'", INVALID),
    (r#""${SPACES}5" page"#, INVALID),
    ("18446744073709551616", OVERFLOW),
    ("99999999999999999999junk", OVERFLOW),
    ("256", ABOVE),
    ("0x100000005", ABOVE),
];

/// Values of `ap_config` that both drivers refuse.
pub const MALFORMED_CONFIG: &[(&str, &str)] = &[
    (r"'\n'", INVALID),
    (r"'\0'", INVALID),
    ("0x04", INVALID),
    ("0,0", INVALID),
    ("g,0,0", INVALID),
    ("' 0,0,0'", INVALID),
    ("0x00,0x00,0x00x", INVALID),
    (r"'0\0,0,0'", INVALID),
    (r#""0,0,${ZEROS%0000}" page"#, INVALID),
];

const INVALID: &str = "Invalid argument";
const OVERFLOW: &str = "Numerical result out of range";
pub const ABOVE: &str = "No such device";

/// What is no number at all. sysfs itself takes it, and does not ask the driver.
const EMPTY: &str = "time 7 $A assign_adapter= assign_domain= assign_control_domain= \
                     unassign_adapter= unassign_domain= unassign_control_domain= ap_config=";

/// Writes on a machine of adapters up to 63 and domains up to 84: what it takes,
/// and what it does not, with the attribute.
pub const HIGHEST: &[(&str, &str)] = &[
    ("assign_adapter", "63"),
    ("assign_domain", "84"),
    ("assign_control_domain", "0x54"),
    ("ap_config", "0x0000000000000001,0,0"),
    (
        "ap_config",
        "0,0x0000000000000000000008,0x0000000000000000000008",
    ),
    ("unassign_adapter", "63"),
];
pub const TOO_HIGH: &[(&str, &str)] = &[
    ("assign_adapter", "64"),
    ("assign_adapter", "0xff"),
    ("assign_domain", "85"),
    ("assign_domain", "255"),
    ("assign_control_domain", "0x55"),
    ("unassign_adapter", "64"),
    ("unassign_domain", "85"),
    ("unassign_control_domain", "85"),
    ("ap_config", "0x000000000000000080,0,0"),
    ("ap_config", "0,0x0000000000000000000004,0"),
    ("ap_config", "0,0,0x0000000000000000000004"),
];

/// The script of these writes.
pub fn highest() -> String {
    let tries = |table: &[(&str, &str)]| -> String {
        let line = |(attribute, value): &(&str, &str)| format!("try {attribute} {value}\n");
        table.iter().map(line).collect()
    };
    let (taken, refused) = (tries(HIGHEST), tries(TOO_HIGH));
    format!(
        "{PRELUDE}echo {A} >$T/create; cd $M/{A}\n{taken}\
         echo '== before'; show .0054\n{refused}echo '== after'; show .0054\n"
    )
}

/// Values that are 5, 8 and 255.
const NUMBERS: &[&str] = &[
    "5",
    r"'5\n'",
    "+5",
    "0x5",
    r"'0X5\n'",
    "05",
    r"'5\0junk'",
    r#""${ZEROS}5" page"#,
    "010",
    "0xff",
];

/// Values of `ap_config` that only the C driver takes.
const LAX_CONFIG: &[&str] = &[
    ",,",
    "0,0,0,0",
    "0x,0,0",
    r"'0,0,0\0junk'",
    r"'0,0\n0,0'",
    r"'\n0,0,0'",
];

const KINDS: [&str; 3] = ["adapter", "domain", "control_domain"];

const PRELUDE: &str = r#"
M=/sys/devices/vfio_ap/matrix
T=$M/mdev_supported_types/vfio_ap-passthrough
Q=/sys/bus/ap/drivers/vfio_ap
D=/sys/kernel/debug/s390dbf/vfio_ap
SPACES=$(printf %4095s '')
ZEROS=$(printf %04095d 0)
try() {
  if { echo -ne "$2" >"$1"; } 2>/tmp/error; then error=ok; else read -r error </tmp/error; fi
  echo "${1##*/} <- ${3-$2}: ${error##*: }"
}
guest_has() {
  guest=
  while read -r line; do guest="$guest $line"; done <guest_matrix
  [ "$guest" = "${1:+ $1}" ]
}
show() {
  n=0
  until guest_has "$1" || [ $n -eq 100 ]; do usleep 50000; n=$((n + 1)); done
  grep . matrix guest_matrix control_domains ap_config | sed 's/0\{60\}\(,\|$\)/\1/g'
}
log() {
  printf 'log: '
  {
    dmesg -c | sed 's/^\[[^]]*\] //' | grep vfio_ap | grep -v 'Waited [0-9]*m\{0,1\}s for reset'
    [ ! -e $D/sprintf ] || sed 's/^\([^ ]* *\)\{6\}/s390dbf: /' $D/sprintf
    [ ! -e $D/flush ] || echo - >$D/flush
  } | tr '\n' '|'
  echo
}
"#;

/// The whole script.
pub fn script() -> String {
    let mut script = format!("{PRELUDE}A={A} B={B}\n");
    let mut add = |line: &str| writeln!(script, "{line}").unwrap();

    add("log; cat $M/features $T/name $T/device_api $T/available_instances");
    add("for u in '\\n' 5 62177883 $A-1 $A${A#?}; do try $T/create $u; done");
    add("for u in $A $B $A; do try $T/create $u; done; log");
    add("cat $T/available_instances; cd $M/$A");
    add("for f in *; do case $f in explain) ;; *) stat -c 'attribute %n: %A' $f ;; esac; done");
    add("echo attribute explain: $(stat -c %A explain 2>/dev/null || echo none)");

    let malformed = |add: &mut dyn FnMut(&str), verb: &str, guest: &str| {
        for kind in KINDS {
            add(&format!("echo '== {verb}_{kind}'; show '{guest}'"));
            for (value, _) in MALFORMED {
                add(&format!("try {verb}_{kind} {value}"));
            }
            add(&format!("show '{guest}'; log"));
        }
    };
    malformed(&mut add, "assign", "");
    for (kind, guest) in KINDS.iter().zip(["05.", "05.0005", "05.0005"]) {
        for value in NUMBERS {
            add(&format!("try assign_{kind} {value}"));
        }
        add(&format!("show '{guest}'"));
    }
    malformed(&mut add, "unassign", "05.0005");
    add("echo '== ap_config'; show 05.0005");
    for (value, _) in MALFORMED_CONFIG {
        add(&format!("try ap_config {value}"));
    }
    add("show 05.0005; log; echo '== end'");
    for (kind, guest) in KINDS.iter().zip([".0005", "", ""]) {
        for value in NUMBERS {
            add(&format!("try unassign_{kind} {value}"));
        }
        add(&format!("show '{guest}'"));
    }
    for value in LAX_CONFIG {
        add("echo 0x04,0x04,0x04 >ap_config");
        add(&format!(
            "try ap_config {value}; sed 's/0\\{{60\\}}//g' ap_config; log"
        ));
    }
    script + SHARING
}

/// Steps after those with an open device.
pub fn farewell() -> String {
    format!("{PRELUDE}A={A} B={B}\n{FAREWELL}")
}

/// What a user of the devices asks, in the words of `vfio-client`.
pub fn requests() -> Vec<String> {
    let lines = REQUESTS.lines().filter(|line| !line.is_empty());
    let lines = std::iter::once(EMPTY).chain(lines);
    let matrix = "/sys/devices/vfio_ap/matrix";
    let paths = |line: &str| {
        let line = line.replace("$A", &format!("{matrix}/{A}"));
        line.replace("$B", &format!("{matrix}/{B}"))
    };
    lines.map(paths).collect()
}

/// An open device's flags: 1 none, 2 bool, 4 eventfd; 8 mask, 0x10 unmask, 0x20
/// trigger.
const REQUESTS: &str = "
open dev group $A alone
open dev cdev $A alone
open dev group $A
masks
open two group $A
open two cdev $A
open two group $B
info dev 15
info dev 16
info dev 4096
ioctl dev 7
irq-info dev 15 0
irq-info dev 16 0
irq-info dev 16 1
irq-info dev 16 2
irq-info dev 16 -1
ioctl dev 9
set-irqs dev 24 0x24 0 0 1 request
set-irqs dev 24 0x24 1 0 1 change
set-irqs dev 24 0x24 2 0 1 change
set-irqs dev 24 0x24 1 1 1 change
set-irqs dev 28 0x24 1 0 2 change change
set-irqs dev 23 0x24 1 0 1 change
set-irqs dev 16 0x24 1 0 1 change
set-irqs dev 20 0x24 1 0 0 change
set-irqs dev 24 0x24 1 0 1 -2
set-irqs dev 24 0x24 1 0 1 9999
set-irqs dev 24 0x24 1 0 1 0
set-irqs dev 24 0x04 1 0 1 change
set-irqs dev 24 0x21 1 0 1 change
set-irqs dev 24 0x22 1 0 1 change
set-irqs dev 24 0x26 1 0 1 change
set-irqs dev 24 0x14 1 0 1 change
set-irqs dev 24 0x3c 1 0 1 change
set-irqs dev 24 0x64 1 0 1 change
set-irqs dev 20 0x21 0 0 0
ioctl dev 10
reset dev
ioctl dev 8
ioctl dev 12
ioctl dev 17
ioctl dev 99
signals
set-irqs dev 24 0x24 0 0 1 -1
close dev
";

const FAREWELL: &str = r#"
log
cd $M/$A
show '05.0005 06.0005'
echo '== end'
for f in assign_adapter unassign_control_domain; do cat $f 2>&1 | sed 's/.*: //'; done
for f in matrix guest_matrix control_domains ../features $Q/05.0005/status; do try $f 5; done
dd if=matrix bs=1 skip=3 count=9 2>/dev/null; echo
dd if=matrix bs=4 2>/dev/null
dd if=ap_config bs=7 skip=2 count=2 2>/dev/null; echo
for m in $A $B; do try ../$m/remove 0; try ../$m/remove x; try ../$m/remove 1; done; log
cd /; ls $M; cat $T/available_instances
rmmod vfio_ap; log; [ ! -e $M ] && echo unloaded
"#;

/// Who may have a queue: the two mdevs, the host, and the bus.
const SHARING: &str = r#"
try ap_config '0x06,0x0c,0x01\n'
show '05.0004 05.0005 06.0004 06.0005'
cd ../$B
try assign_adapter 6; log
try assign_domain 4; log
show 06.
try ap_config 0x02,0x08,0x00; log
try ap_config 0x01,0x08,0x00; log
show 07.0004
for q in $Q/??.????; do echo "${q##*/} $(cat $q/status)"; done
try /sys/bus/ap/apmask '+5\n'; log
try /sys/bus/ap/apmask '+200\n'; log
head -c 40 /sys/bus/ap/apmask; echo
try ap_config 0,0x08,0; log
try /sys/bus/ap/apmask '+7\n'; log
try assign_adapter 7; log
show .0004
try /sys/bus/ap/apmask '-7\n'; log
try assign_adapter 7; log
show 07.0004
cd ../$A
try $Q/unbind 05.0004; log
show '06.0004 06.0005'
try $Q/bind 05.0004; log
show '05.0004 05.0005 06.0004 06.0005'
try assign_domain 0x20; log
show '05.0004 05.0005 06.0004 06.0005'
try unassign_domain 4; log
show '05.0005 06.0005'
echo '== empty'
show '05.0005 06.0005'
"#;

// SPDX-License-Identifier: MIT OR Apache-2.0
//! The C interface as C uses it: raw pointers, lengths, error texts.
#![expect(
    clippy::undocumented_unsafe_blocks,
    reason = "every call passes live variables of this file"
)]

use std::ffi::CStr;
use std::ptr::{null, null_mut};

use ap_arch::{AqicControl, DqapGr0, FunctionCode, NqapGr0, PqapGr0};
use ap_device::Ap;
use ap_device::abi::*;
use ap_device::ffi::*;

const TOPOLOGY: &str = "usage-domains = [0x47]\n[[adapter]]\napid = 4\nmode = \"accelerator\"";
const APQN: u16 = 0x0447;

struct Model(*mut Ap);

impl Drop for Model {
    fn drop(&mut self) {
        unsafe { ap_device_free(self.0) };
    }
}

fn model() -> Model {
    let text = TOPOLOGY.as_ptr().cast();
    let ap = unsafe { ap_device_from_topology(text, TOPOLOGY.len(), 1, null_mut(), 0) };
    assert!(!ap.is_null());
    Model(ap)
}

fn context(now: u64) -> Context {
    Context {
        now,
        storage_end: 1 << 31,
        facilities: FAC_QCI | FAC_APFT | FAC_AQIC,
        ..Context::default()
    }
}

fn pqap(ap: &Model, now: u64, gr0: PqapGr0, gr1: u64, gr2: u64) -> (InsnResult, [u8; 128]) {
    let mut block = [0; 128];
    let mut res = InsnResult::default();
    let ctx = context(now);
    unsafe { ap_device_pqap(ap.0, &ctx, gr0.0, gr1, gr2, block.as_mut_ptr(), &mut res) };
    (res, block)
}

#[test]
fn a_request_and_its_interrupt() {
    let ap = model();
    let apqn = ap_arch::Apqn::from_qid(APQN);
    let aqic = PqapGr0::new(FunctionCode::Aqic, apqn);
    let (res, _) = pqap(&ap, 0, aqic, AqicControl::enable(6).0, 0x3000);
    assert_eq!((res.cc, res.writes), (0, WRITES_GR1));

    let (ctx, message, mut res) = (context(1000), [0xff; 20], InsnResult::default());
    let gr0 = NqapGr0::last_part(apqn).0;
    assert_eq!(unsafe { ap_device_nqap_want(ap.0, &ctx, gr0, 20) }, 20);
    let bytes = message.as_ptr();
    unsafe {
        ap_device_nqap(
            ap.0,
            &ctx,
            gr0,
            0xaaaa_0000_0001,
            2,
            20,
            bytes,
            20,
            &mut res,
        )
    };
    assert_eq!((res.pgm, res.cc, res.length), (0, 0, 20));

    let mut when = 0;
    assert!(unsafe { ap_device_next_deadline(ap.0, &mut when) });
    assert_eq!(when, 51_000);
    let mut effect = Effect::default();
    assert!(!unsafe { ap_device_next_effect(ap.0, &mut effect) });
    unsafe { ap_device_poll(ap.0, when) };
    assert!(unsafe { ap_device_next_effect(ap.0, &mut effect) });
    assert_eq!((effect.kind, effect.nib), (EFFECT_INDICATE, 0x3000));
    assert_eq!((effect.apqn, effect.isc), (APQN, 6));

    let (ctx, mut buf) = (context(when), [0u8; 100]);
    let gr0 = DqapGr0::first_part(apqn).0;
    let n = unsafe { ap_device_dqap_peek(ap.0, &ctx, gr0, 100, buf.as_mut_ptr(), buf.len()) };
    assert_eq!((n, buf[1]), (8, 0x82));
    unsafe { ap_device_dqap(ap.0, &ctx, gr0, 100, &mut res) };
    assert_eq!((res.length, res.r1_even, res.r1_odd), (8, 1, 2));
    assert_eq!(res.writes, WRITES_GR1 | WRITES_GR2 | WRITES_R1);
    assert_eq!(res.gr1, 0x8100_0000);

    let mut queue = QueueInfo::default();
    assert_eq!(unsafe { ap_device_queues(ap.0, &mut queue, 1) }, 1);
    assert_eq!((queue.apqn, queue.enqueued, queue.dequeued), (APQN, 1, 1));
    assert_eq!(unsafe { ap_device_queues(ap.0, null_mut(), 0) }, 1);
}

#[test]
fn exceptions_and_the_block() {
    let ap = model();
    let (res, block) = pqap(&ap, 0, PqapGr0(4 << 24), 7, 0x2000);
    assert_eq!((res.writes, res.length), (WRITES_STORE, 128));
    assert_eq!((block[16], block[48 + 8]), (0x08, 0x01));
    let (res, block) = pqap(&ap, 0, PqapGr0(4 << 24), 7, 0x2001);
    assert_eq!(
        res,
        InsnResult {
            pgm: 6,
            ..InsnResult::default()
        }
    );
    assert_eq!(block, [0; 128]);
}

#[test]
fn configuration() {
    let ap = model();
    let mut err = [0x55; 20];
    let adapter = Adapter {
        apid: 4,
        mode: MODE_EP11,
        generation: 8,
        ..Adapter::default()
    };
    let add = |adapter: &Adapter, err: &mut [i8; 20]| unsafe {
        ap_device_add_adapter(ap.0, 0, adapter, err.as_mut_ptr().cast(), err.len())
    };
    assert_eq!(add(&adapter, &mut err), -1);
    let text = unsafe { CStr::from_ptr(err.as_ptr().cast()) };
    assert_eq!(text, c"adapter 04 is there", "cut off, with a NUL");
    assert_eq!(
        add(
            &Adapter {
                apid: 5,
                mode: 3,
                ..adapter
            },
            &mut err
        ),
        -1
    );
    assert_eq!(
        add(
            &Adapter {
                apid: 5,
                generation: 9,
                ..adapter
            },
            &mut err
        ),
        -1
    );
    assert_eq!(add(&Adapter { apid: 5, ..adapter }, &mut err), 0);
    let mut found = Adapter::default();
    assert!(unsafe { ap_device_get_adapter(ap.0, 5, &mut found) });
    assert_eq!(found, Adapter { apid: 5, ..adapter });
    assert_eq!(
        unsafe { ap_device_set_config(ap.0, 0, 5, true) },
        CHANGE_DONE
    );
    assert_eq!(
        unsafe { ap_device_set_config(ap.0, 0, 5, true) },
        CHANGE_ALREADY
    );
    assert_eq!(
        unsafe { ap_device_set_config(ap.0, 0, 9, true) },
        CHANGE_NO_ADAPTER
    );
    assert_eq!(
        unsafe { ap_device_set_checkstop(ap.0, 0, 5, true) },
        CHANGE_DONE
    );

    let mut domains = [0; 32];
    let parse = |text: &CStr, mask: &mut [u8; 32]| unsafe {
        ap_device_parse_domains(text.as_ptr(), mask, null_mut(), 0)
    };
    assert_eq!(parse(c"0,2-3", &mut domains), 0);
    assert_eq!(parse(c"256", &mut domains), -1);
    assert_eq!(domains[0], 0xb0, "unchanged by the refused one");
    let set = unsafe { ap_device_set_domains(ap.0, 0, &domains, &domains, null_mut(), 0) };
    assert_eq!(set, 0);
    let mut masks = [[0; 32]; 3];
    let [apm, aqm, adm] = &mut masks;
    unsafe { ap_device_get_masks(ap.0, apm, aqm, adm) };
    assert_eq!(
        masks,
        [
            [&[0x0c][..], &[0; 31]].concat().try_into().unwrap(),
            domains,
            domains
        ]
    );
    let mut buf = [0u8; 4];
    let len = unsafe { ap_device_format_domains(&domains, buf.as_mut_ptr().cast(), 4) };
    assert_eq!((len, &buf), (5, b"0,2\0"));
    assert_eq!(
        unsafe { ap_device_remove_adapter(ap.0, 0, 5, null_mut(), 0) },
        0
    );
    assert_eq!(
        unsafe { ap_device_remove_adapter(ap.0, 0, 5, null_mut(), 0) },
        -1
    );
}

#[test]
fn faults_options_and_audit() {
    let ap = model();
    let inject = |text: &str, id: &mut u32| unsafe {
        ap_device_inject(ap.0, 0, text.as_ptr().cast(), text.len(), id, null_mut(), 0)
    };
    let one = "[[fault]]\napid = 4\non = \"tapq\"\nrc = 5\n";
    let mut id = 0;
    assert_eq!(inject(&[one, one].concat(), &mut id), 0);
    assert_eq!((id, inject("nonsense", &mut id)), (1, -1));
    assert_eq!(inject(one, &mut id), 0);
    assert_eq!(id, 3);
    assert_eq!(unsafe { ap_device_clear_faults(ap.0, 0, 2) }, 1);
    assert_eq!(unsafe { ap_device_clear_faults(ap.0, 0, 0) }, 2);

    let option =
        |name: &CStr| unsafe { ap_device_set_option(ap.0, name.as_ptr(), 7, null_mut(), 0) };
    assert_eq!(
        [option(c"reset-ns"), option(c"reply-ns"), option(c"x")],
        [0, 0, -1]
    );

    let mark = unsafe { ap_device_audit_mark(ap.0, 5, 9) };
    pqap(&ap, 6, PqapGr0(u64::from(APQN)), 0, 0);
    pqap(&ap, 7, PqapGr0(0x0500), 0, 0);
    let mut records = [AuditRecord::default(); 4];
    let (mut next, mut lost) = (0, 9);
    let mut read = |apqn, max| unsafe {
        let out = records.as_mut_ptr();
        let n = ap_device_audit_read(ap.0, mark, apqn, out, max, &mut next, &mut lost);
        (n, next - mark, records[0].op)
    };
    assert_eq!(read(ANY_QUEUE, 4), (3, 3, OP_MARK));
    assert_eq!(read(ANY_QUEUE, 2), (2, 2, OP_MARK));
    assert_eq!(read(APQN.into(), 4), (1, 3, 0));
    assert_eq!(read(ANY_QUEUE, 0), (0, 0, 0));
    assert_eq!(lost, 0);
    unsafe { ap_device_reset(ap.0, 8, RESET_POWER_ON) };
}

#[test]
fn names_and_versions() {
    let version = unsafe { CStr::from_ptr(ap_device_version()) };
    assert!(version.to_str().unwrap().starts_with("ap-device 0."));
    assert_eq!(ap_device_abi(), ABI);
    for (mode, name) in [c"cca", c"accelerator", c"ep11"].into_iter().enumerate() {
        assert_eq!(
            unsafe { ap_device_mode_from_name(name.as_ptr()) },
            mode as i32
        );
        let back = unsafe { CStr::from_ptr(ap_device_mode_name(mode as u8)) };
        assert_eq!(back, name);
    }
    assert_eq!(unsafe { ap_device_mode_from_name(c"CCA".as_ptr()) }, -1);
    unsafe { ap_device_free(null_mut()) };
    let bad = b"mode = 1\xff";
    let mut err = [0u8; 100];
    let (text, at) = (bad.as_ptr().cast(), err.as_mut_ptr().cast());
    assert!(unsafe { ap_device_from_topology(text, bad.len(), 0, at, 100) }.is_null());
    assert_ne!(err[0], 0);
    let empty = Model(unsafe { ap_device_from_topology(null(), 0, 0, at, 100) });
    assert!(!empty.0.is_null());
}

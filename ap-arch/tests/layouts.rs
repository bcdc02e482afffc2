// SPDX-License-Identifier: MIT OR Apache-2.0
//! Register forms and memory images, against values worked out by hand from
//! the kernel's structures, and round trips of arbitrary values.

use ap_arch::*;
use proptest::prelude::*;

const APQN: Apqn = Apqn::new(Apid::new(0x05), Apqi::new(0x47));

#[test]
fn apqn_names() {
    assert_eq!(APQN.to_string(), "05.0047");
    assert_eq!("05.0047".parse(), Ok(APQN));
    for bad in [
        "", "5.47", "05.0147", "05.47", "0g.0000", "+5.0047", "05-0047", "05.0047 ",
    ] {
        assert_eq!(bad.parse::<Apqn>(), Err(ParseApqnError), "{bad:?}");
    }
}

#[test]
fn pqap_gr0() {
    assert_eq!(
        PqapGr0::new(FunctionCode::Tapq, APQN).with_t().0,
        0x0080_0547
    );
    assert_eq!(
        PqapGr0::new(FunctionCode::Zapq, APQN).with_f().0,
        0x0240_0547
    );
    assert_eq!(
        PqapGr0::new(FunctionCode::Qci, Apqn::default()).0,
        0x0400_0000
    );
    assert!(PqapGr0(0x0001_0000).has_reserved_bits());
    assert!(PqapGr0(0x0020_0000).has_reserved_bits());
    assert!(!PqapGr0(0xffff_ffff_ffc0_ffff).has_reserved_bits());
    for code in 0..=255 {
        let function = FunctionCode::from_code(code);
        assert_eq!(
            function.map(FunctionCode::code),
            (code <= 8).then_some(code)
        );
    }
}

#[test]
fn message_registers() {
    assert_eq!(NqapGr0::last_part(APQN).0, 0x4000_0547);
    assert_eq!(NqapGr0::last_part(APQN).with_special().0, 0x4040_0547);
    assert_eq!(DqapGr0::first_part(APQN).0, 0x8000_0547);
    let rest = DqapGr0::first_part(Apqn::default()).continued();
    assert!(rest.0 != 0 && !rest.is_first() && !rest.has_reserved_bits());
    assert_eq!(
        Psmid(0x1122_3344_5566_7788).to_pair(),
        (0x1122_3344, 0x5566_7788)
    );
    for bit in 32..48 {
        let gr0 = 1 << (63 - bit);
        assert_eq!(
            NqapGr0(gr0).has_reserved_bits(),
            [32, 34, 35, 40].contains(&bit)
        );
        assert_eq!(
            DqapGr0(gr0).has_reserved_bits(),
            [33, 34, 35, 40, 41].contains(&bit)
        );
    }
}

#[test]
fn aqic_control() {
    // ap_qirq_ctrl as vfio_ap fills it for a GISA at 0x12345600, GISC 3, ISC 5
    let control = AqicControl::enable(5)
        .with_gisc(3)
        .with_gisa(0x1234_5600, 1);
    assert_eq!(control.0, 0x0000_8301_1234_5605);
    assert!(control.ir());
    assert_eq!((control.isc(), control.gisc()), (5, 3));
    assert_eq!(
        (control.gisa_origin(), control.gisa_format()),
        (0x1234_5600, 1)
    );
    assert_eq!(AqicControl(0x00ff_0000_0000_0000).zone(), 0xff);
    assert!(!AqicControl::disable().ir());
}

#[test]
fn status_words() {
    let status = QueueStatus::of(ResponseCode::RESET_IN_PROGRESS)
        .with(QueueStatus::EMPTY, true)
        .with(QueueStatus::IRQ, true);
    assert_eq!(status.0, 0x8102_0000);
    assert_eq!(status.condition_code(), 3);
    assert_eq!(QueueStatus(0x8000_0000).condition_code(), 0);
    assert_eq!(
        format!("{status:?}"),
        "QueueStatus(E---I 02 (reset in progress))"
    );
    assert_eq!(ResponseCode(0x77).to_string(), "77");
    assert_eq!(ResponseCode::NO_PENDING_REPLY, ResponseCode::QUEUE_FULL);
}

#[test]
fn tapq_words() {
    let info = TapqInfo::default()
        .with_functions(
            ApFunctions::APSC
                .with(ApFunctions::CCA)
                .with(ApFunctions::APXA),
        )
        .with_device_type(Generation::Cex8.device_type())
        .with_nd(0x54)
        .with_ml(3)
        .with_depth(8);
    assert_eq!(info.0, 0x9200_0000_0e54_0307);
    assert_eq!(info.max_message_len(), 3 * 4096);
    assert_eq!(TapqInfo::default().max_message_len(), 12 * 1024);
    assert_eq!((info.depth(), info.nd()), (8, 0x54));
    assert_eq!(info.bind_state(), BindState::Usable);
    assert_eq!(
        TapqInfo(0x0000_8000_0000_0000).bind_state(),
        BindState::AvailableForBinding
    );
    for generation in Generation::ALL {
        assert_eq!(
            Generation::from_device_type(generation.device_type()),
            Some(generation)
        );
        assert_eq!(
            Generation::from_number(generation.number()),
            Some(generation)
        );
    }
    assert_eq!(Generation::from_device_type(3), None);
    assert_eq!(Generation::from_device_type(15), None);
    assert_eq!(QactInfo::new(4, 14).0, 0x1000_0000_0e00_0000);
}

#[test]
fn qci_block() {
    let qci = Qci {
        flags: QciFlags::APXA.with(QciFlags::APSC),
        na: 0x7f,
        nd: 0x54,
        matrix: Matrix {
            apm: Apm::of(Apid::new(0)),
            aqm: Aqm::of(Apqi::new(8)),
            adm: Adm::of(Apqi::new(255)),
        },
    };
    let block = qci.to_bytes();
    let mut expect = [0; QCI_LEN];
    (expect[0], expect[4], expect[5]) = (0xc0, 0x7f, 0x54);
    (expect[16], expect[49], expect[111]) = (0x80, 0x80, 0x01);
    assert_eq!(block, expect);
}

#[test]
fn crycb_designation() {
    for format in [
        CrycbFormat::Format0,
        CrycbFormat::Format1,
        CrycbFormat::Format2,
    ] {
        let crycbd = Crycbd::new(0x1234_5678, format);
        assert_eq!(
            (crycbd.origin(), crycbd.format()),
            (0x1234_5678, Some(format))
        );
    }
    assert_eq!(Crycbd(2).format(), None);
    assert_eq!(Crycbd(0xffff_ffff).origin(), 0x7fff_fff8);
    assert_eq!(
        CrycbFormat::for_facilities(true, true),
        CrycbFormat::Format2
    );
    assert_eq!(
        CrycbFormat::for_facilities(true, false),
        CrycbFormat::Format1
    );
    assert_eq!(
        CrycbFormat::for_facilities(false, true),
        CrycbFormat::Format0
    );
}

fn matrix() -> impl Strategy<Value = Matrix> {
    any::<[[u8; 32]; 3]>().prop_map(|[apm, aqm, adm]| Matrix {
        apm: Apm::from_bytes(apm),
        aqm: Aqm::from_bytes(aqm),
        adm: Adm::from_bytes(adm),
    })
}

proptest! {
    #[test]
    fn apqn_round_trip(qid: u16) {
        let apqn = Apqn::from_qid(qid);
        prop_assert_eq!(apqn.to_qid(), qid);
        prop_assert_eq!(apqn.to_string().parse::<Apqn>(), Ok(apqn));
    }

    #[test]
    fn qci_round_trip(flags: u32, na: u8, nd: u8, matrix in matrix()) {
        let qci = Qci { flags: QciFlags(flags), na, nd, matrix };
        prop_assert_eq!(Qci::from_bytes(&qci.to_bytes()), qci);
    }

    #[test]
    fn apcb_round_trip(matrix in matrix(), fill: u8) {
        for format in [CrycbFormat::Format0, CrycbFormat::Format1, CrycbFormat::Format2] {
            let mut apcb = vec![fill; format.apcb_len()];
            prop_assert_eq!(format.write(matrix, &mut apcb), Some(()));
            prop_assert_eq!(format.read(&apcb), Some(format.expressible(matrix)));
            prop_assert_eq!(format.read(&apcb[1..]), None);
            prop_assert_eq!(format.write(matrix, &mut apcb[1..]), None);
            // bytes that belong to no mask stay as they were
            prop_assert_eq!(apcb[format.apcb_len() - 8], fill);
        }
    }

    #[test]
    fn status_round_trip(word: u32, code: u8) {
        let status = QueueStatus(word).with_code(ResponseCode(code));
        prop_assert_eq!(status.code(), ResponseCode(code));
        prop_assert_eq!(status.with_code(QueueStatus(word).code()).0, word);
    }

    #[test]
    fn psmid_round_trip(even: u64, odd: u64) {
        let psmid = Psmid::from_pair(even, odd);
        prop_assert_eq!(psmid.to_pair(), (even & 0xffff_ffff, odd & 0xffff_ffff));
    }
}

/// Bytes of APCB0 as KVM stores them.
#[test]
fn apcb0_image() {
    let matrix = Matrix {
        apm: [0, 63, 64].map(Apid::new).into_iter().collect(),
        aqm: [1, 16].map(Apqi::new).into_iter().collect(),
        adm: Adm::of(Apqi::new(15)),
    };
    let mut apcb = [0; APCB0_LEN];
    CrycbFormat::Format1.write(matrix, &mut apcb);
    let mut expect = [0; APCB0_LEN];
    (expect[0], expect[7], expect[8], expect[17]) = (0x80, 0x01, 0x40, 0x01);
    assert_eq!(apcb, expect);
}

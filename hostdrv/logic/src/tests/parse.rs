// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table of writes, well and badly formed. The end-to-end tests run the
//! same lines against the loaded driver.

use super::world::{limits, matrix};
use crate::ap_arch::{Apid, Apqi};
use crate::*;

const PAGE: usize = 4096;

#[test]
fn numbers_are_read_as_the_kernel_reads_them() {
    let table: &[(&[u8], Result<u64, Errno>)] = &[
        (b"0", Ok(0)),
        (b"5", Ok(5)),
        (b"5\n", Ok(5)),
        (b"+5", Ok(5)),
        (b"0x1f", Ok(0x1f)),
        (b"0X1F\n", Ok(0x1f)),
        (b"+0x1f", Ok(0x1f)),
        (b"017", Ok(0o17)),
        (b"00", Ok(0)),
        (b"18446744073709551615", Ok(u64::MAX)),
        (b"0xffffffffffffffff", Ok(u64::MAX)),
        (b"01777777777777777777777", Ok(u64::MAX)),
        (b"5\0", Ok(5)),
        (b"5\0junk", Ok(5)),
        (b"5\n\0", Ok(5)),
        (b"", Err(Errno::Einval)),
        (b"\n", Err(Errno::Einval)),
        (b"\0", Err(Errno::Einval)),
        (b"+", Err(Errno::Einval)),
        (b"-1", Err(Errno::Einval)),
        (b"+-1", Err(Errno::Einval)),
        (b"++1", Err(Errno::Einval)),
        (b" 5", Err(Errno::Einval)),
        (b"5 ", Err(Errno::Einval)),
        (b"5\n\n", Err(Errno::Einval)),
        (b"5\n6\n", Err(Errno::Einval)),
        (b"5,6", Err(Errno::Einval)),
        (b"five", Err(Errno::Einval)),
        (b"0x", Err(Errno::Einval)),
        (b"0xg", Err(Errno::Einval)),
        (b"x5", Err(Errno::Einval)),
        (b"08", Err(Errno::Einval)),
        (b"1f", Err(Errno::Einval)),
        (b"18446744073709551616", Err(Errno::Erange)),
        (b"0x10000000000000000", Err(Errno::Erange)),
        (b"02000000000000000000000", Err(Errno::Erange)),
        (b"99999999999999999999junk", Err(Errno::Erange)),
        (&[b'9'; PAGE], Err(Errno::Erange)),
        (&[b'0'; PAGE], Ok(0)),
        (&[b'\n'; PAGE], Err(Errno::Einval)),
        (&[0xff; PAGE], Err(Errno::Einval)),
    ];
    for (text, expected) in table {
        let shown = String::from_utf8_lossy(&text[..text.len().min(30)]);
        assert_eq!(parse_number(text), *expected, "{shown:?}");
    }
}

#[test]
fn numbers_above_the_maximum_are_no_device() {
    use Attribute as A;
    let limits = limits();
    let adapter = Apid::new(0x3f);
    let domain = Apqi::new(0x54);
    assert_eq!(
        A::AssignAdapter.parse(b"63", limits),
        Ok(Edit::AssignAdapter(adapter))
    );
    assert_eq!(
        A::UnassignAdapter.parse(b"0x3f", limits),
        Ok(Edit::UnassignAdapter(adapter))
    );
    assert_eq!(
        A::AssignDomain.parse(b"84", limits),
        Ok(Edit::AssignDomain(domain))
    );
    assert_eq!(
        A::UnassignDomain.parse(b"84", limits),
        Ok(Edit::UnassignDomain(domain))
    );
    assert_eq!(
        A::AssignControlDomain.parse(b"84", limits),
        Ok(Edit::AssignControlDomain(domain))
    );
    assert_eq!(
        A::UnassignControlDomain.parse(b"84", limits),
        Ok(Edit::UnassignControlDomain(domain))
    );
    for attribute in [A::AssignAdapter, A::UnassignAdapter] {
        assert_eq!(attribute.parse(b"64", limits), Err(Errno::Enodev));
        assert_eq!(attribute.parse(b"256", limits), Err(Errno::Enodev));
        assert_eq!(attribute.parse(b"0x100000001", limits), Err(Errno::Enodev));
    }
    for attribute in [
        A::AssignDomain,
        A::UnassignDomain,
        A::AssignControlDomain,
        A::UnassignControlDomain,
    ] {
        assert_eq!(attribute.parse(b"85", limits), Err(Errno::Enodev));
        assert_eq!(attribute.parse(b"x", limits), Err(Errno::Einval));
    }
}

fn full(mask: &str) -> String {
    format!("0x{mask:0<64}")
}

#[test]
fn ap_config_takes_three_masks_and_nothing_else() {
    let zero = "0x00";
    let expected = matrix(&[5, 6], &[4, 0x47], &[0]);
    let long = format!(
        "{},{},{}\n",
        full("06"),
        full("080000000000000001"),
        full("8")
    );
    assert_eq!(long.len(), 201);
    for text in [
        long.as_str(),
        long.trim_end(),
        "0x06,0x080000000000000001,0x8",
        "06,080000000000000001,8\n",
        "06,080000000000000001,8\0",
        "06,080000000000000001,80\n\0\0",
    ] {
        assert_eq!(parse_ap_config(text.as_bytes()), Ok(expected), "{text:?}");
    }
    assert_eq!(parse_ap_config(b"0,0,0"), Ok(matrix(&[], &[], &[])));
    let bad = [
        String::new(),
        "\n".into(),
        ",,".into(),
        ",,\n".into(),
        "0,0".into(),
        "0,0,".into(),
        "0,0,0,".into(),
        "0,0,0,0".into(),
        "0,0,0\n\n".into(),
        "0,0,0\n0,0,0\n".into(),
        "0,0,0 ".into(),
        " 0,0,0".into(),
        "0\n0\n0\n".into(),
        "0x,0,0".into(),
        "x0,0,0".into(),
        "0xx0,0,0".into(),
        "0X0,0,0".into(),
        "+0,0,0".into(),
        "0,g,0".into(),
        "0,0\0,0".into(),
        "0,0,0\0junk".into(),
        format!("{}0,{zero},{zero}", full("")),
        format!("{long}{long}"),
        "0".repeat(PAGE),
        ",".repeat(PAGE),
    ];
    for text in bad {
        let shown = &text[..text.len().min(40)];
        assert_eq!(
            parse_ap_config(text.as_bytes()),
            Err(Errno::Einval),
            "{shown:?}"
        );
    }
}

#[test]
fn ap_config_above_the_maximum_is_no_device() {
    let parse = |text: String| Attribute::ApConfig.parse(text.as_bytes(), limits());
    let (adapter_3f, adapter_40) = (full("0000000000000001"), full("00000000000000008"));
    let (domain_54, domain_55) = (
        full("0000000000000000000008"),
        full("0000000000000000000004"),
    );
    assert_eq!(
        parse(format!("{adapter_3f},{domain_54},{domain_54}")),
        Ok(Edit::Replace(matrix(&[0x3f], &[0x54], &[0x54])))
    );
    for text in [
        format!("{adapter_40},0,0"),
        format!("0,{domain_55},0"),
        format!("0,0,{domain_55}"),
    ] {
        assert_eq!(parse(text), Err(Errno::Enodev));
    }
    assert_eq!(parse("0,0".into()), Err(Errno::Einval));
}

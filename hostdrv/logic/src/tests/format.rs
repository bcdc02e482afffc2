// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is read, byte for byte.

use std::fmt::Write;

use super::world::matrix;
use crate::ap_arch::Matrix;
use crate::*;

fn listing(matrix: Matrix) -> String {
    let mut text = String::new();
    write_matrix(&matrix, &mut text).unwrap();
    text
}

#[test]
fn listings_are_by_adapter() {
    let text = "05.0004\n05.00ab\nff.0004\nff.00ab\n";
    assert_eq!(listing(matrix(&[0xff, 5], &[0xab, 4], &[1])), text);
    assert_eq!(listing(matrix(&[5, 0xab], &[], &[])), "05.\nab.\n");
    assert_eq!(listing(matrix(&[], &[4, 0xab], &[])), ".0004\n.00ab\n");
    assert_eq!(listing(matrix(&[], &[], &[7])), "");
    let mut text = String::new();
    write_control_domains(matrix(&[], &[], &[0x47, 0, 255]).adm, &mut text).unwrap();
    assert_eq!(text, "0000\n0047\n00ff\n");
}

#[test]
fn ap_config_is_one_line_of_201_bytes_and_reads_back() {
    let config = matrix(&[0, 5, 255], &[4], &[0x47]);
    let mut text = String::new();
    write_ap_config(&config, &mut text).unwrap();
    assert_eq!(text.len(), 201);
    assert_eq!(
        text,
        "0x8400000000000000000000000000000000000000000000000000000000000001,\
         0x0800000000000000000000000000000000000000000000000000000000000000,\
         0x0000000000000000010000000000000000000000000000000000000000000000\n"
    );
    assert_eq!(parse_ap_config(text.as_bytes()), Ok(config));
}

#[test]
fn fixed_lines() {
    assert_eq!(FEATURES, "guest_matrix hotplug ap_config\n");
    assert_eq!(QueueStatusText::Unassigned.line(), "unassigned\n");
    assert_eq!(QueueStatusText::Assigned.line(), "assigned\n");
    assert_eq!(QueueStatusText::InUse.line(), "in use\n");
}

#[test]
fn a_listing_of_any_length_is_read_in_pieces() {
    assert_eq!(listing(Matrix::FULL).len(), 256 * 256 * 8);
    let some: Vec<u8> = (0..40).collect();
    let matrix = matrix(&some, &some, &[]);
    let whole = listing(matrix);
    for piece in [4096, 4095, 997, 1 << 20] {
        let mut read = String::new();
        loop {
            let mut buffer = vec![0; piece];
            let mut window = Window::new(&mut buffer, read.len());
            let _ = write_matrix(&matrix, &mut window);
            let filled = window.filled();
            read.push_str(std::str::from_utf8(&buffer[..filled]).unwrap());
            if filled == 0 {
                break;
            }
        }
        assert_eq!(read, whole);
    }
}

#[test]
fn a_window_takes_exactly_its_bytes() {
    let mut buffer = [0; 4];
    let mut window = Window::new(&mut buffer, 3);
    window.write_str("ab").unwrap();
    window.write_str("cdef").unwrap();
    window.write_str("g").unwrap();
    assert!(window.write_str("h").is_err());
    assert_eq!(window.filled(), 4);
    assert_eq!(&buffer, b"defg");
}

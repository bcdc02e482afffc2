// SPDX-License-Identifier: MIT OR Apache-2.0
//! Byte-exact tests of the service-call processor.

use super::*;
use crate::devices::be16;

const MIB: u64 = 1 << 20;
const SCCB: u64 = 0x1_0000;

struct Machine {
    memory: GuestMemoryMmap,
    sclp: Sclp,
    output: Vec<u8>,
}

impl Machine {
    fn new(cpus: u16) -> Self {
        Self {
            memory: GuestMemoryMmap::from_ranges(&[(GuestAddress(0), MIB as usize)]).unwrap(),
            sclp: Sclp::new(256 * MIB, cpus),
            output: Vec::new(),
        }
    }

    /// Stores the block, calls, checks the interrupt, returns the block.
    fn call(&mut self, command: u32, sccb: &[u8], signal: u32) -> Vec<u8> {
        let at = GuestAddress(SCCB);
        self.memory.write_slice(sccb, at).unwrap();
        let result = self.sclp.service_call(&self.memory, 0, command, SCCB);
        let served = result.unwrap();
        assert_eq!(served.signal, ServiceSignal(signal));
        self.output.extend(served.output);
        let mut block = vec![0; sccb.len()];
        self.memory.read_slice(&mut block, at).unwrap();
        block
    }

    fn listen(&mut self, mask: u32) {
        let mut sccb = block(28);
        sccb[11] = 4;
        put(&mut sccb, 12, &mask.to_be_bytes());
        let answer = self.call(WRITE_EVENT_MASK, &sccb, SCCB as u32);
        assert_eq!(be16(&answer, 6), 0x0020);
    }
}

/// A zero block of that length.
fn block(len: u16) -> Vec<u8> {
    let mut sccb = vec![0; len.into()];
    put(&mut sccb, 0, &len.to_be_bytes());
    sccb
}

fn event(event_type: u8, data: &[u8]) -> Vec<u8> {
    let len = (6 + data.len()) as u16;
    let mut event = len.to_be_bytes().to_vec();
    event.extend_from_slice(&[event_type, 0, 0, 0]);
    event.extend_from_slice(data);
    event
}

fn write_block(events: &[u8]) -> Vec<u8> {
    let mut sccb = block(8 + events.len() as u16);
    put(&mut sccb, 8, events);
    sccb
}

#[test]
fn scp_info() {
    let answer = Machine::new(2).call(READ_SCP_INFO, &block(4096), SCCB as u32);
    let mut expected = block(4096);
    put(&mut expected, 6, &[0x00, 0x10]);
    put(&mut expected, 8, &[0x01, 0x00, 1]);
    put(&mut expected, 16, &[0, 2, 0, 128]);
    put(&mut expected, 24, &[0x40; 8]);
    put(&mut expected, 48, &[0x08]);
    put(&mut expected, 120, &[0, 1]);
    expected[144] = 1;
    assert_eq!(answer, expected);
}

#[test]
fn scp_info_of_a_large_machine_uses_the_wide_field() {
    let mut sccb = block(4096);
    let code = facts::read_scp_info(&mut sccb, 0x1_0000 * MIB, 1);
    assert_eq!(code, 0x0010);
    assert_eq!(sccb[8..11], [0, 0, 1]);
    assert_eq!(sccb[104..112], 0x1_0000_u64.to_be_bytes());
}

#[test]
fn cpu_info() {
    let answer = Machine::new(1).call(READ_CPU_INFO, &block(64), SCCB as u32);
    let mut expected = block(64);
    put(&mut expected, 6, &[0x00, 0x10, 0, 1, 0, 24, 0, 0, 0, 40]);
    assert_eq!(answer, expected);
}

#[test]
fn short_blocks_and_unknown_commands() {
    let mut machine = Machine::new(1);
    for (command, len, code) in [
        (READ_SCP_INFO, 143, 0x0300),
        (READ_CPU_INFO, 39, 0x0300),
        (READ_EVENT_DATA, 4088, 0x0300),
        (0x001f_0001, 8, 0x01f0),
    ] {
        let answer = machine.call(command, &block(len), SCCB as u32);
        assert_eq!(be16(&answer, 6), code, "{command:#x}");
    }
}

#[test]
fn masks_of_both_lengths() {
    for len in [4_usize, 8] {
        let mut sccb = block(12 + 4 * len as u16);
        sccb[11] = len as u8;
        let answer = Machine::new(1).call(WRITE_EVENT_MASK, &sccb, SCCB as u32);
        let mut expected = sccb;
        put(&mut expected, 6, &[0x00, 0x20]);
        put(&mut expected, 12 + 2 * len, &0x40_u32.to_be_bytes());
        put(&mut expected, 12 + 3 * len, &0x48_u32.to_be_bytes());
        assert_eq!(answer, expected);
    }
}

#[test]
fn impossible_masks() {
    let mut machine = Machine::new(1);
    for (len, mask_len, code) in [(64, 0, 0x74f0), (64, 1022, 0x74f0), (64, 14, 0x0300)] {
        let mut sccb = block(len);
        put(&mut sccb, 10, &u16::to_be_bytes(mask_len));
        let answer = machine.call(WRITE_EVENT_MASK, &sccb, SCCB as u32);
        assert_eq!(be16(&answer, 6), code);
    }
}

#[test]
fn console_output() {
    let mut machine = Machine::new(1);
    let sccb = write_block(&[event(0x1a, b"hello "), event(0x1a, b"world\n")].concat());
    let answer = machine.call(WRITE_EVENT_DATA, &sccb, SCCB as u32);
    assert_eq!(be16(&answer, 6), 0x0020);
    assert_eq!((answer[11], answer[23]), (0x80, 0x80));
    assert_eq!(machine.output, b"hello world\n");
}

#[test]
fn malformed_output_prints_nothing() {
    let mut machine = Machine::new(1);
    let good = event(0x1a, b"x");
    let mut long = good.clone();
    long[1] = 200;
    let mut short = good.clone();
    short[1] = 5;
    for (events, code) in [
        (long, 0x73f0),
        (short, 0x73f0),
        ([good, vec![0; 3]].concat(), 0x72f0),
        (event(0x02, b"line mode"), 0x40f0),
    ] {
        let answer = machine.call(WRITE_EVENT_DATA, &write_block(&events), SCCB as u32);
        assert_eq!(be16(&answer, 6), code);
    }
    assert!(machine.output.is_empty());
}

#[test]
fn quiesce_reaches_a_guest_that_listens() {
    let mut machine = Machine::new(1);
    assert_eq!(machine.sclp.quiesce(), None);
    machine.listen(0x8);
    assert_eq!(machine.sclp.quiesce(), Some(ServiceSignal(1)));

    // any other call tells that an event waits
    machine.call(READ_CPU_INFO, &block(64), SCCB as u32 | 1);
    let answer = machine.call(READ_EVENT_DATA, &block(4096), SCCB as u32);
    assert_eq!(be16(&answer, 6), 0x0020);
    assert_eq!(answer[8..18], [0, 9, 0x1d, 0, 0, 0, 0, 0, 0, 0]);
    let answer = machine.call(READ_EVENT_DATA, &block(4096), SCCB as u32);
    assert_eq!(be16(&answer, 6), 0x60f0);
}

#[test]
fn console_input() {
    let mut machine = Machine::new(1);
    machine.listen(0x40);
    assert_eq!(machine.sclp.console_input(b"ls\n"), Some(ServiceSignal(1)));
    let mut sccb = block(4096);
    sccb[5] = 0x80;
    let answer = machine.call(READ_EVENT_DATA, &sccb, SCCB as u32);
    assert_eq!(answer[..8], [0, 18, 0, 0, 0, 0, 0x00, 0x20]);
    assert_eq!(answer[8..18], [0, 10, 0x1a, 0, 0, 0, 0, b'l', b's', b'\n']);
}

#[test]
fn input_before_the_guest_listens_waits() {
    let mut machine = Machine::new(1);
    assert_eq!(machine.sclp.console_input(b"x"), None);
    // the answer to the mask tells of it
    let mut masks = block(28);
    put(&mut masks, 11, &[4, 0, 0, 0, 0x40]);
    machine.call(WRITE_EVENT_MASK, &masks, SCCB as u32 | 1);
    let answer = machine.call(READ_EVENT_DATA, &block(4096), SCCB as u32);
    assert_eq!(answer[8..16], [0, 8, 0x1a, 0, 0, 0, 0, b'x']);
    // a reset forgets what was queued
    let _ = machine.sclp.console_input(b"y");
    machine.sclp.reset();
    machine.listen(0x40);
}

#[test]
fn endless_input_is_bounded() {
    let mut machine = Machine::new(1);
    machine.listen(0x40);
    for _ in 0..3 {
        let _ = machine.sclp.console_input(&[b'a'; 4000]);
    }
    let mut seen = 0;
    loop {
        let at = GuestAddress(SCCB);
        machine.memory.write_slice(&block(4096), at).unwrap();
        let signal = machine
            .sclp
            .service_call(&machine.memory, 0, READ_EVENT_DATA, SCCB);
        let mut answer = vec![0; 4096];
        machine.memory.read_slice(&mut answer, at).unwrap();
        seen += usize::from(be16(&answer, 8)) - 7;
        if signal.unwrap().signal == ServiceSignal(SCCB as u32) {
            break;
        }
    }
    assert_eq!(seen, 4096);
}

#[test]
fn selective_reads_need_a_subset() {
    let mut machine = Machine::new(1);
    machine.listen(0x8);
    let mut sccb = block(4096);
    sccb[2] = 0x80;
    put(&mut sccb, 8, &0x40_u32.to_be_bytes());
    let answer = machine.call(READ_EVENT_DATA, &sccb, SCCB as u32);
    assert_eq!(be16(&answer, 6), 0x70f0);
}

#[test]
fn bad_addresses_are_program_interruptions() {
    let mut machine = Machine::new(1);
    let mut call = |prefix, address| {
        machine
            .sclp
            .service_call(&machine.memory, prefix, READ_CPU_INFO, address)
    };
    let specification = Err(ProgramInterrupt::Specification);
    assert_eq!(call(0, 0x1000), specification);
    assert_eq!(call(0x1_0000, 0x1_1000), specification);
    assert_eq!(call(0, SCCB + 4), specification);
    assert_eq!(call(0, 1 << 31), specification);
    // a zero length
    assert_eq!(call(0, SCCB), specification);
    assert_eq!(call(0, 2 * MIB), Err(ProgramInterrupt::Addressing));
}

#[test]
fn blocks_must_not_cross_a_page() {
    let mut machine = Machine::new(1);
    let address = SCCB + 0xfc0;
    let at = GuestAddress(address);
    machine.memory.write_slice(&block(72), at).unwrap();
    let signal = machine
        .sclp
        .service_call(&machine.memory, 0, READ_CPU_INFO, address);
    assert_eq!(signal.unwrap().signal, ServiceSignal(address as u32));
    let mut answer = [0; 8];
    machine.memory.read_slice(&mut answer, at).unwrap();
    assert_eq!(be16(&answer, 6), 0x0100);
}

proptest::proptest! {
    /// Whatever is in a block, a call ends with an answer or an exception.
    #[test]
    fn any_block_is_survived(
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 8..4096),
        pick in 0_usize..6,
        listen: u32,
    ) {
        let mut machine = Machine::new(1);
        machine.listen(listen);
        let _ = machine.sclp.console_input(b"input");
        let commands = [
            READ_SCP_INFO, READ_CPU_INFO, WRITE_EVENT_DATA,
            READ_EVENT_DATA, WRITE_EVENT_MASK, 0xdead_beef,
        ];
        machine.memory.write_slice(&bytes, GuestAddress(SCCB)).unwrap();
        let _ = machine.sclp.service_call(&machine.memory, 0, commands[pick], SCCB);
    }
}

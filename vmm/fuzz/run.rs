// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs bytes as a hostile guest. Shared by the fuzz targets and by
//! `tests/`, which run the corpus and random bytes.
//!
//! Whatever a guest does, an instruction ends with a condition code, an
//! exception or the machine's end; storage outside of it stays untouched,
//! since there is none; and an image is loaded or refused.

use std::convert::Infallible;
use std::io::Cursor;

use apvmm::boot::{self, BootError};
use apvmm::console::Console;
use apvmm::devices::sclp::Sclp;
use apvmm::exits::{Exit, Instruction, Reg, decode};
use apvmm::instruction::{Access, Effect, Processor, execute};
use apvmm::report::EventLog;
use apvmm::shared::Devices;
use fuzz_input::Choices;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

/// Smaller than any machine has, so that more addresses are outside.
pub const RAM: u64 = 2 << 20;
/// For images: a RAM disk lies at 8 MiB or above.
const IMAGE_RAM: u64 = 12 << 20;
/// Most CPUs of a machine.
const CPUS: u16 = 8;

/// A CPU without a guest. Its storage has no translation.
pub struct FakeCpu {
    pub mask: u64,
    pub gprs: [u64; 16],
    pub prefix: u64,
    memory: GuestMemoryMmap,
    pub exceptions: u32,
    /// Storage that it may not write.
    pub read_only: bool,
}

impl FakeCpu {
    pub fn new(devices: &Devices) -> Self {
        Self {
            mask: 0x1_8000_0000,
            gprs: [0; 16],
            prefix: 0x2000,
            memory: devices.memory.clone(),
            exceptions: 0,
            read_only: false,
        }
    }

    fn access<T, E>(&mut self, result: Result<T, E>) -> Access {
        if result.is_ok() {
            Access::Done
        } else {
            self.exceptions += 1;
            Access::Exception
        }
    }
}

impl Processor for FakeCpu {
    type Error = Infallible;

    fn psw(&mut self) -> (u64, u64) {
        (self.mask, 0x1000)
    }

    fn gprs(&mut self) -> &mut [u64; 16] {
        &mut self.gprs
    }

    fn prefix(&mut self) -> u64 {
        self.prefix
    }

    fn read(&mut self, address: u64, buffer: &mut [u8]) -> Result<Access, Infallible> {
        assert!(buffer.len() <= 4096, "KVM takes a page");
        let result = self.memory.read_slice(buffer, GuestAddress(address));
        Ok(self.access(result))
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<Access, Infallible> {
        assert!(bytes.len() <= 4096, "KVM takes a page");
        if self.read_only {
            return Ok(self.access(Err::<(), _>(())));
        }
        let result = self.memory.write_slice(bytes, GuestAddress(address));
        Ok(self.access(result))
    }
}

fn memory(size: u64) -> GuestMemoryMmap {
    let range = (GuestAddress(0), size as usize);
    GuestMemoryMmap::from_ranges(&[range]).expect("a few megabytes")
}

/// A machine's devices, with storage of [`RAM`] bytes.
pub fn devices() -> Devices {
    Devices::new(
        memory(RAM),
        Sclp::new(RAM, CPUS),
        Console::null(),
        EventLog::none(),
    )
    .expect("an eventfd")
}

/// Often an address where something can be.
fn address(choices: &mut Choices<'_>) -> u64 {
    match choices.byte() % 4 {
        0 => choices.word(),
        1 => RAM - u64::from(choices.byte()),
        2 => u64::from(choices.byte()) << 12,
        _ => u64::from(choices.byte()) << 12 | u64::from(choices.byte() & 0xf8) << 3,
    }
}

/// Executes, and checks what must hold whatever it was.
fn run(cpu: &mut FakeCpu, devices: &Devices, instruction: Instruction) -> Effect {
    let before = cpu.exceptions;
    let Ok(effect) = execute(cpu, devices, instruction);
    match &effect {
        Effect::Cc(cc) => assert!(*cc <= 3),
        Effect::Signal(signal) => assert!(signal.status.index() < 16),
        _ => {}
    }
    if cpu.exceptions != before {
        assert_eq!(effect, Effect::Done, "an exception has been presented");
    }
    effect
}

/// Any intercepts, with any registers and storage.
pub fn instructions(data: &[u8]) {
    const WORDS: [u16; 8] = [
        0xb220, 0xb25f, 0xb239, 0xb234, 0xb23c, 0xb274, 0x8324, 0xae12,
    ];
    let devices = devices();
    let mut cpu = FakeCpu::new(&devices);
    let mut choices = Choices::new(data);
    while !choices.is_empty() {
        match choices.byte() % 8 {
            0 => cpu.gprs[usize::from(choices.byte() & 15)] = choices.word(),
            1 => cpu.gprs[usize::from(choices.byte() & 15)] = address(&mut choices),
            2 => {
                let at = GuestAddress(address(&mut choices));
                // most of it may be outside
                let _ = devices.memory.write(choices.bytes(), at);
            }
            3 => {
                cpu.mask = choices.word();
                // a bit without a meaning
                cpu.read_only = cpu.mask & 1 == 1;
            }
            4 => {
                let _ = devices.css().notify_ap_change();
                let _ = devices.sclp().quiesce();
                let _ = devices.sclp().console_input(choices.bytes());
            }
            5 => devices.reset(),
            kind => {
                let ipa = match kind {
                    6 => choices.word() as u16,
                    _ => WORDS[usize::from(choices.byte() % 8)],
                };
                let ipb = (choices.word() >> 16) as u32;
                if let Exit::Instruction(instruction) = decode(4, ipa, ipb) {
                    run(&mut cpu, &devices, instruction);
                }
            }
        }
    }
}

/// Service calls: command, address and block.
pub fn sclp(data: &[u8]) {
    const COMMANDS: [u64; 8] = [
        0x0002_0001,
        0x0012_0001,
        0x0001_0001,
        0x0076_0005,
        0x0077_0005,
        0x0078_0005,
        0x0078_0005,
        0x0005_0001,
    ];
    let devices = devices();
    let mut cpu = FakeCpu::new(&devices);
    let mut choices = Choices::new(data);
    let call = Instruction::ServiceCall {
        command: Reg::new(1),
        sccb: Reg::new(2),
    };
    while !choices.is_empty() {
        cpu.gprs[1] = match choices.byte() {
            255 => choices.word(),
            kind => COMMANDS[usize::from(kind % 8)],
        };
        cpu.gprs[2] = address(&mut choices);
        let block = choices.bytes();
        let _ = devices.memory.write(block, GuestAddress(cpu.gprs[2]));
        if choices.byte() & 1 == 1 {
            let _ = devices.sclp().quiesce();
            let _ = devices.sclp().console_input(block);
        }
        let effect = run(&mut cpu, &devices, call);
        assert!(matches!(effect, Effect::Service(_) | Effect::Interrupt(_)));
    }
}

/// Channel subsystem calls and report words.
pub fn chsc(data: &[u8]) {
    let devices = devices();
    let mut cpu = FakeCpu::new(&devices);
    let mut choices = Choices::new(data);
    while !choices.is_empty() {
        cpu.gprs[1] = address(&mut choices);
        let _ = devices
            .memory
            .write(choices.bytes(), GuestAddress(cpu.gprs[1]));
        if choices.byte() & 1 == 1 {
            let _ = devices.css().notify_ap_change();
        }
        let call = Instruction::ChannelSubsystemCall { block: Reg::new(1) };
        run(&mut cpu, &devices, call);
        let Exit::Instruction(stcrw) = decode(4, 0xb239, 0x1000_0000) else {
            continue;
        };
        run(&mut cpu, &devices, stcrw);
    }
    let counters = devices.css().counters();
    assert!(counters.machine_checks <= counters.notified);
    assert!(counters.events_read <= counters.notified);
}

/// DIAGNOSE with any operands.
pub fn diagnose(data: &[u8]) {
    const CODES: [u64; 4] = [0x308, 0x500, 0x288, 0x44];
    let devices = devices();
    let mut cpu = FakeCpu::new(&devices);
    let mut choices = Choices::new(data);
    while !choices.is_empty() {
        for register in [1, 2, 3, 4, 5] {
            cpu.gprs[register] = match choices.byte() {
                value @ 0..=15 => value.into(),
                16 => 0x4150_0001,
                17 => 0x4150_0002,
                18..=127 => address(&mut choices),
                _ => choices.word(),
            };
        }
        cpu.gprs[15] = CODES[usize::from(choices.byte() % 4)];
        let registers = choices.byte();
        let Exit::Instruction(diagnose) = decode(4, 0x8300 | u16::from(registers), 0xf000_0000)
        else {
            continue;
        };
        run(&mut cpu, &devices, diagnose);
    }
}

/// What every byte of a RAM disk is.
const DISK_BYTE: u8 = 0xd5;

/// A kernel image and perhaps a RAM disk.
pub fn images(data: &[u8]) {
    // refused, or sound
    let _ = load_image(data);
}

/// Loads what the bytes say; returns the address of the RAM disk, zero if there
/// is none.
pub fn load_image(data: &[u8]) -> Result<u64, BootError> {
    let mut choices = Choices::new(data);
    let initrd = choices.byte();
    let cmdline = "x".repeat(usize::from(choices.byte()) << 4);
    let disk_len = u64::from(initrd) << 16;
    let mut disk = Cursor::new(vec![DISK_BYTE; disk_len as usize]);
    let mut kernel = match choices.byte() % 4 {
        // far in: where Linux has its magic
        0 => {
            let mut image = vec![0; 0x1_0000];
            image.extend_from_slice(choices.rest());
            image
        }
        _ => choices.rest().to_vec(),
    };
    if choices.byte() & 1 == 1 {
        // any size, as of a file with a hole
        kernel.resize(usize::from(choices.byte()) << 16, 0);
    }
    let memory = memory(IMAGE_RAM);
    let disk = (initrd != 0).then_some(&mut disk);
    let mut kernel = Cursor::new(kernel);
    let entry = boot::load(&memory, &mut kernel, disk, &cmdline)?;
    assert!(entry.address < IMAGE_RAM && entry.address.is_multiple_of(2));
    if initrd == 0 {
        return Ok(0);
    }
    // the parameter area tells where it is
    let word = |at| memory.read_obj(GuestAddress(at)).map(u64::from_be);
    let (address, len) = (word(0x1_0408)?, word(0x1_0410)?);
    assert!(address >= 8 << 20 && len == disk_len);
    let last: u8 = memory.read_obj(GuestAddress(address + len - 1))?;
    assert_eq!(last, DISK_BYTE);
    Ok(address)
}

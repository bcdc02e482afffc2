// SPDX-License-Identifier: MIT OR Apache-2.0
//! Instructions, as the assembler writes them, on a CPU without KVM.

use apvmm::exits::{Exit, decode};
use apvmm::instruction::{Effect, Signal, execute};
use apvmm::outcome::Outcome;
use apvmm::program::ProgramInterrupt;
use apvmm::reset::MachineReset;
use apvmm::shared::Devices;
use vm_memory::{Bytes, GuestAddress};

#[path = "../fuzz/run.rs"]
#[expect(dead_code, reason = "what runs bytes is for tests/hostile.rs")]
mod run;

use run::{FakeCpu, RAM, devices};

const PROBLEM_STATE: u64 = 1 << 48;

fn step(cpu: &mut FakeCpu, devices: &Devices, ipa: u16, ipb: u32) -> Effect {
    let Exit::Instruction(instruction) = decode(4, ipa, ipb) else {
        panic!("not an instruction");
    };
    let Ok(effect) = execute(cpu, devices, instruction);
    effect
}

#[test]
fn an_ap_change_is_fetched() {
    let devices = devices();
    let mut cpu = FakeCpu::new(&devices);
    let _ = devices.css().notify_ap_change();
    let memory = &devices.memory;
    // stcrw 0x20(%r15)
    cpu.gprs[15] = 0x5000;
    let mut stcrw = || step(&mut cpu, &devices, 0xb239, 0xf020_0000);
    assert_eq!(stcrw(), Effect::Cc(0));
    let word: u32 = memory.read_obj(GuestAddress(0x5020)).unwrap();
    assert_eq!(u32::from_be(word), 0x0b00_0000);
    assert_eq!(stcrw(), Effect::Cc(1));

    // chsc %r3: store event information
    let request = [0, 16, 0, 0x0e];
    memory.write_slice(&request, GuestAddress(0x6000)).unwrap();
    cpu.gprs[3] = 0x6000;
    let effect = step(&mut cpu, &devices, 0xb25f, 0x0030_0000);
    assert_eq!(effect, Effect::Cc(0));
    let mut response = [0; 12];
    memory
        .read_slice(&mut response, GuestAddress(0x6010))
        .unwrap();
    assert_eq!(response, [0, 12, 0, 1, 0, 0, 0, 0, 0, 0, 5, 3]);
}

#[test]
fn a_word_that_cannot_be_stored_is_not_lost() {
    let devices = devices();
    let mut cpu = FakeCpu::new(&devices);
    let _ = devices.css().notify_ap_change();
    cpu.gprs[15] = RAM;
    // the exception has been presented
    let effect = step(&mut cpu, &devices, 0xb239, 0xf000_0000);
    assert_eq!((effect, cpu.exceptions), (Effect::Done, 1));
    cpu.gprs[15] = 0x5000;
    let effect = step(&mut cpu, &devices, 0xb239, 0xf000_0000);
    assert_eq!(effect, Effect::Cc(0));
}

#[test]
fn an_event_that_cannot_be_stored_is_not_lost() {
    let devices = devices();
    let mut cpu = FakeCpu::new(&devices);
    let _ = devices.css().notify_ap_change();
    // the request is stored, its response is not
    let request = [0, 16, 0, 0x0e];
    let memory = &devices.memory;
    memory.write_slice(&request, GuestAddress(0x6000)).unwrap();
    cpu.gprs[3] = 0x6000;
    cpu.read_only = true;
    let effect = step(&mut cpu, &devices, 0xb25f, 0x0030_0000);
    assert_eq!((effect, cpu.exceptions), (Effect::Done, 1));
    assert_eq!(devices.css().counters().events_read, 0);
    cpu.read_only = false;
    let effect = step(&mut cpu, &devices, 0xb25f, 0x0030_0000);
    assert_eq!(effect, Effect::Cc(0));
    let code: u32 = memory.read_obj(GuestAddress(0x6010)).unwrap();
    assert_eq!(u32::from_be(code), 0x000c_0001);
    assert_eq!(devices.css().counters().events_read, 1);
}

#[test]
fn operands_that_are_not_aligned() {
    let specification = Effect::Interrupt(ProgramInterrupt::Specification);
    let devices = devices();
    let mut cpu = FakeCpu::new(&devices);
    cpu.gprs[3] = 0x6008;
    let effect = step(&mut cpu, &devices, 0xb25f, 0x0030_0000);
    assert_eq!(effect, specification);
    cpu.gprs[15] = 0x5002;
    let effect = step(&mut cpu, &devices, 0xb239, 0xf000_0000);
    assert_eq!(effect, specification);
}

#[test]
fn the_problem_state_may_nothing() {
    let devices = devices();
    let mut cpu = FakeCpu::new(&devices);
    cpu.mask |= PROBLEM_STATE;
    for ipa in [
        0xb220, 0xb25f, 0xb239, 0xb234, 0xb23c, 0xb274, 0x8324, 0xae12,
    ] {
        let effect = step(&mut cpu, &devices, ipa, 0x0308_0000);
        assert_eq!(effect, Effect::Interrupt(ProgramInterrupt::Privileged));
    }
    // what is not there is so for everyone
    let effect = step(&mut cpu, &devices, 0xb2af, 0);
    assert_eq!(effect, Effect::Interrupt(ProgramInterrupt::Operation));
}

#[test]
fn orders_to_cpus() {
    let devices = devices();
    let mut cpu = FakeCpu::new(&devices);
    cpu.gprs[1] = 0x1_2345;
    cpu.gprs[2] = 0x2222;
    cpu.gprs[3] = 0x3333;
    // sigp %r2,%r1,0x06 and sigp %r3,%r1,0x0d: the parameter is odd
    for (status, order) in [(2_u16, 6_u8), (3, 13)] {
        let ipa = 0xae01 | status << 4;
        let Effect::Signal(signal) = step(&mut cpu, &devices, ipa, u32::from(order) << 16) else {
            panic!("not an order");
        };
        let Signal {
            target,
            order: told,
            parameter,
            status: register,
        } = signal;
        assert_eq!((target, told, parameter), (0x2345, order, 0x3333));
        assert_eq!(register.index(), usize::from(status));
    }
}

#[test]
fn resets_and_ends() {
    let devices = devices();
    let mut cpu = FakeCpu::new(&devices);
    // diag %r0,%r1,0x308
    for (subcode, kind) in [
        (0, MachineReset::ModifiedClear),
        (1, MachineReset::LoadNormal),
    ] {
        cpu.gprs[1] = subcode;
        let effect = step(&mut cpu, &devices, 0x8301, 0x0308_0000);
        assert_eq!(effect, Effect::Reset(kind));
    }
    cpu.gprs[1] = 0x4150_0002;
    cpu.gprs[2] = 9;
    let effect = step(&mut cpu, &devices, 0x8324, 0x0500_0000);
    assert_eq!(effect, Effect::End(Outcome::Status(9)));
    // a report from outside storage
    cpu.gprs[1] = 0x4150_0001;
    cpu.gprs[2] = RAM - 1;
    cpu.gprs[3] = 2;
    let effect = step(&mut cpu, &devices, 0x8324, 0x0500_0000);
    assert_eq!(effect, Effect::Interrupt(ProgramInterrupt::Addressing));
}

#[test]
fn a_service_call_makes_a_signal_pending() {
    let devices = devices();
    let mut cpu = FakeCpu::new(&devices);
    let block = 64_u16.to_be_bytes();
    devices
        .memory
        .write_slice(&block, GuestAddress(0x6000))
        .unwrap();
    cpu.gprs[2] = 0x0001_0001;
    cpu.gprs[4] = 0x6000;
    let effect = step(&mut cpu, &devices, 0xb220, 0x0024_0000);
    assert!(matches!(effect, Effect::Service(signal) if signal.0 == 0x6000));
    // eight CPUs do not fit
    let code: u16 = devices.memory.read_obj(GuestAddress(0x6006)).unwrap();
    assert_eq!(u16::from_be(code), 0x0300);
}

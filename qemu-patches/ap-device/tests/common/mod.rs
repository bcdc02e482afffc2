// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine to run instructions on, as a program would.
#![allow(dead_code, reason = "each test uses its part of this")]

pub mod conformance;
pub mod type6;

use std::time::Duration;

use ap_arch::*;
use ap_device::*;

pub const ACCEL: Apqn = Apqn::new(Apid::new(4), Apqi::new(0x47));
pub const ACCEL2: Apqn = Apqn::new(Apid::new(4), Apqi::new(6));
pub const CCA: Apqn = Apqn::new(Apid::new(5), Apqi::new(0x47));
pub const EP11: Apqn = Apqn::new(Apid::new(6), Apqi::new(0x47));
pub const ABSENT: Apqn = Apqn::new(Apid::new(7), Apqi::new(0x47));

pub const RESET: Duration = Duration::from_millis(5);
pub const REPLY: Duration = Duration::from_micros(50);

/// A request that every mode answers with an 8-byte error reply.
pub const NONSENSE: &[u8] = &[0xff; 40];

/// A model and its clock.
pub struct Machine {
    pub ap: Ap,
    pub now: Ns,
}

/// Three adapters, one per mode, by two domains.
pub fn machine() -> Machine {
    let mut ap = Ap::new(1);
    let modes = [Mode::Accelerator, Mode::Cca, Mode::Ep11];
    for (apid, mode) in (4..).zip(modes) {
        let spec = AdapterSpec::new(Apid::new(apid), mode);
        ap.add_adapter(Ns(0), spec).expect("free");
    }
    let aqm: Aqm = [6, 0x47].map(Apqi::new).into_iter().collect();
    ap.set_domains(Ns(0), aqm, Adm::of(Apqi::new(0x47)))
        .unwrap();
    while ap.next_effect().is_some() {}
    Machine { ap, now: Ns(0) }
}

/// A guest with the given queue, CRYCB of format 2.
pub fn guest(crycb: u32, apqn: Apqn) -> Guest {
    Guest {
        sd: 0x8000,
        crycbd: Crycbd::new(crycb, CrycbFormat::Format2),
        nested: false,
        matrix: Matrix {
            apm: Apm::of(apqn.apid),
            aqm: Aqm::of(apqn.apqi),
            adm: Adm::of(apqn.apqi),
        },
    }
}

impl Machine {
    pub fn host(&self) -> Context {
        Context::host(self.now)
    }

    pub fn wait(&mut self, delay: Duration) {
        self.now = self.now.after(delay);
    }

    pub fn effects(&mut self) -> Vec<Effect> {
        self.ap.poll(self.now);
        std::iter::from_fn(|| self.ap.next_effect()).collect()
    }

    pub fn pqap(&mut self, gr0: PqapGr0, gr1: u64, gr2: u64) -> Outcome {
        self.ap.pqap(&self.host(), gr0.0, gr1, gr2)
    }

    pub fn call(&mut self, function: FunctionCode, apqn: Apqn) -> Done {
        self.pqap(PqapGr0::new(function, apqn), 0, 0)
            .expect("no exception")
    }

    pub fn tapq(&mut self, apqn: Apqn) -> QueueStatus {
        status(self.call(FunctionCode::Tapq, apqn))
    }

    pub fn rapq(&mut self, apqn: Apqn) -> QueueStatus {
        status(self.call(FunctionCode::Rapq, apqn))
    }

    pub fn zapq(&mut self, apqn: Apqn) -> QueueStatus {
        status(self.call(FunctionCode::Zapq, apqn))
    }

    pub fn aqic(&mut self, apqn: Apqn, control: AqicControl, nib: u64) -> QueueStatus {
        let gr0 = PqapGr0::new(FunctionCode::Aqic, apqn);
        status(self.pqap(gr0, control.0, nib).expect("no exception"))
    }

    pub fn nqap(&mut self, apqn: Apqn, psmid: u64, message: &[u8]) -> QueueStatus {
        let ctx = self.host();
        status(self.nqap_as(&ctx, apqn, psmid, message))
    }

    pub fn nqap_as(&mut self, ctx: &Context, apqn: Apqn, psmid: u64, message: &[u8]) -> Done {
        let gr0 = NqapGr0::last_part(apqn).0;
        let length = message.len() as u64;
        let want = self.ap.nqap_want(ctx, gr0, length) as usize;
        self.ap
            .nqap(ctx, gr0, Psmid(psmid), length, &message[..want])
            .expect("no exception")
    }

    /// A whole reply, or the status without one.
    pub fn dqap(&mut self, apqn: Apqn) -> Result<(u64, Vec<u8>), QueueStatus> {
        let ctx = self.host();
        self.dqap_as(&ctx, apqn)
    }

    pub fn dqap_as(&mut self, ctx: &Context, apqn: Apqn) -> Result<(u64, Vec<u8>), QueueStatus> {
        let gr0 = DqapGr0::first_part(apqn).0;
        let reply = self.ap.dqap_peek(ctx, gr0, 0x10000).to_vec();
        let done = self.ap.dqap(ctx, gr0, 0x10000).expect("no exception");
        assert_eq!(done.moved as usize, reply.len());
        match done.psmid {
            Some(Psmid(psmid)) => Ok((psmid, reply)),
            None => Err(status(done)),
        }
    }

    /// Sends a request and waits for its reply.
    pub fn ask(&mut self, apqn: Apqn, message: &[u8]) -> Vec<u8> {
        assert_eq!(self.nqap(apqn, 0x77, message).code(), ResponseCode::NORMAL);
        self.wait(REPLY);
        let (psmid, reply) = self.dqap(apqn).expect("a reply");
        assert_eq!(psmid, 0x77);
        reply
    }
}

/// The status word, checked to go with the condition code.
pub fn status(done: Done) -> QueueStatus {
    let status = done.status().expect("a status word");
    assert_eq!(done.cc, status.condition_code());
    status
}

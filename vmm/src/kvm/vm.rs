// SPDX-License-Identifier: MIT OR Apache-2.0
//! The VM file: capabilities, attributes, storage, floating interrupts.

use std::ptr;

use kvm_bindings::{
    KVM_CAP_S390_HPAGE_1M, KVM_CAP_S390_USER_SIGP, KVM_CAP_S390_VECTOR_REGISTERS,
    KVM_DEV_FLIC_CLEAR_IRQS, KVM_S390_INT_SERVICE, KVM_S390_MCHK, KVM_S390_VM_CPU_MACHINE,
    KVM_S390_VM_CPU_MODEL, KVM_S390_VM_CPU_PROCESSOR, KVM_S390_VM_CRYPTO,
    KVM_S390_VM_CRYPTO_ENABLE_APIE, KVM_S390_VM_MEM_CTRL, KVM_S390_VM_MEM_LIMIT_SIZE,
    kvm_create_device, kvm_device_attr, kvm_device_type_KVM_DEV_TYPE_FLIC,
    kvm_device_type_KVM_DEV_TYPE_VFIO, kvm_enable_cap, kvm_s390_interrupt, kvm_s390_vm_cpu_machine,
    kvm_s390_vm_cpu_processor, kvm_userspace_memory_region,
};
use kvm_ioctls::{DeviceFd, Kvm, VmFd};
use vm_memory::{GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion, MemoryRegionAddress};

use super::ioctl::{KVM_GET_DEVICE_ATTR, KVM_S390_INTERRUPT, KVM_SET_DEVICE_ATTR, call_with};
use super::{KvmError, Result, Vcpu};

/// A virtual machine.
pub struct Vm {
    fd: VmFd,
    /// Opens `/dev/kvm`; vCPUs are made from the VM alone.
    _kvm: Kvm,
}

/// The floating interrupts of a machine.
pub struct InterruptController(DeviceFd);

impl InterruptController {
    /// Forgets all that are pending.
    pub fn clear(&self) -> Result<()> {
        let attr = kvm_device_attr {
            flags: 0,
            group: KVM_DEV_FLIC_CLEAR_IRQS,
            attr: 0,
            addr: 0,
        };
        self.0
            .set_device_attr(&attr)
            .map_err(|e| KvmError::new("clear pending interrupts", e))
    }
}

/// The CPU model a guest will have.
pub type CpuModel = kvm_s390_vm_cpu_processor;

/// What the host could give.
pub type MachineModel = kvm_s390_vm_cpu_machine;

/// A VM attribute: group and number.
#[derive(Clone, Copy, Debug)]
pub struct Attribute {
    group: u32,
    attr: u32,
    op: &'static str,
}

impl Attribute {
    const fn new(group: u32, attr: u32, op: &'static str) -> Self {
        Self { group, attr, op }
    }
}

const LIMIT_SIZE: Attribute = Attribute::new(
    KVM_S390_VM_MEM_CTRL,
    KVM_S390_VM_MEM_LIMIT_SIZE,
    "limit guest storage",
);
const GET_PROCESSOR: Attribute = Attribute::new(
    KVM_S390_VM_CPU_MODEL,
    KVM_S390_VM_CPU_PROCESSOR,
    "read the CPU model",
);
const SET_PROCESSOR: Attribute = Attribute::new(
    KVM_S390_VM_CPU_MODEL,
    KVM_S390_VM_CPU_PROCESSOR,
    "set the CPU model",
);
const GET_MACHINE: Attribute = Attribute::new(
    KVM_S390_VM_CPU_MODEL,
    KVM_S390_VM_CPU_MACHINE,
    "read the host's CPU model",
);
const ENABLE_APIE: Attribute = Attribute::new(
    KVM_S390_VM_CRYPTO,
    KVM_S390_VM_CRYPTO_ENABLE_APIE,
    "enable AP interpretation",
);

impl Vm {
    /// Creates a machine without storage and CPUs.
    pub fn new() -> Result<Self> {
        let kvm = Kvm::new().map_err(|e| KvmError::new("open /dev/kvm", e))?;
        let fd = kvm
            .create_vm_with_type(0)
            .map_err(|e| KvmError::new("create a VM", e))?;
        Ok(Self { fd, _kvm: kvm })
    }

    /// Gives the guest vector registers. Before CPUs and the CPU model.
    pub fn enable_vector_registers(&self) -> Result<()> {
        self.enable(KVM_CAP_S390_VECTOR_REGISTERS, "enable vector registers")
    }

    /// Takes orders between CPUs to user space, but for the frequent ones.
    pub fn enable_user_sigp(&self) -> Result<()> {
        self.enable(KVM_CAP_S390_USER_SIGP, "take orders between CPUs")
    }

    /// Maps storage by pages of 1 MiB where the host has it in such. Before
    /// CPUs. `false` if KVM was not told to do so for anybody.
    pub fn enable_huge_pages(&self) -> Result<bool> {
        match self.enable(KVM_CAP_S390_HPAGE_1M, "map guest storage by huge pages") {
            Ok(()) => Ok(true),
            Err(e) if e.errno() == libc::EINVAL => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn enable(&self, cap: u32, op: &'static str) -> Result<()> {
        let cap = kvm_enable_cap {
            cap,
            ..Default::default()
        };
        self.fd.enable_cap(&cap).map_err(|e| KvmError::new(op, e))
    }

    /// Tells KVM the size of storage, for smaller tables. Before CPUs.
    pub fn limit_storage(&self, size: u64) -> Result<()> {
        self.set_attr(LIMIT_SIZE, &size)
    }

    /// Gives the guest its storage. It must be from [`super::allocate`], which
    /// never goes away.
    pub fn set_storage(&self, memory: &GuestMemoryMmap) -> Result<()> {
        const OP: &str = "map guest storage";
        for (slot, region) in (0..).zip(memory.iter()) {
            let host = region
                .get_host_address(MemoryRegionAddress(0))
                .map_err(|error| KvmError {
                    op: OP,
                    source: std::io::Error::other(error),
                })?;
            let region = kvm_userspace_memory_region {
                slot,
                flags: 0,
                guest_phys_addr: region.start_addr().0,
                memory_size: region.len(),
                userspace_addr: host as u64,
            };
            // SAFETY: the range is mapped, and stays so (see `allocate`).
            unsafe { self.fd.set_user_memory_region(region) }.map_err(|e| KvmError::new(OP, e))?;
        }
        Ok(())
    }

    /// The CPU model the guest would have now.
    pub fn cpu_model(&self) -> Result<Box<CpuModel>> {
        let mut model = Box::<CpuModel>::default();
        self.get_attr(GET_PROCESSOR, &mut *model)?;
        Ok(model)
    }

    /// What the host could give.
    pub fn machine_model(&self) -> Result<Box<MachineModel>> {
        let mut model = Box::<MachineModel>::default();
        self.get_attr(GET_MACHINE, &mut *model)?;
        Ok(model)
    }

    /// Sets the CPU model. After vector registers, before CPUs.
    pub fn set_cpu_model(&self, model: &CpuModel) -> Result<()> {
        self.set_attr(SET_PROCESSOR, model)
    }

    /// Lets the guest's AP instructions reach its queues without intercepts.
    /// `false` if the host has no AP.
    pub fn enable_ap_interpretation(&self) -> Result<bool> {
        match self.set_attr(ENABLE_APIE, &0_u64) {
            Ok(()) => Ok(true),
            Err(e) if matches!(e.errno(), libc::EOPNOTSUPP | libc::ENXIO) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Creates a CPU.
    pub fn create_vcpu(&self, id: u16) -> Result<Vcpu> {
        let fd = self
            .fd
            .create_vcpu(id.into())
            .map_err(|e| KvmError::new("create a CPU", e))?;
        Ok(Vcpu::new(fd))
    }

    /// Creates the device that ties VFIO files to this machine.
    pub fn create_vfio_device(&self) -> Result<DeviceFd> {
        let kind = kvm_device_type_KVM_DEV_TYPE_VFIO;
        self.create_device(kind, "create the VFIO device")
    }

    /// Creates the device that holds interrupts no CPU has taken yet.
    pub fn create_interrupt_controller(&self) -> Result<InterruptController> {
        let kind = kvm_device_type_KVM_DEV_TYPE_FLIC;
        self.create_device(kind, "create the interrupt controller")
            .map(InterruptController)
    }

    fn create_device(&self, type_: u32, op: &'static str) -> Result<DeviceFd> {
        let mut device = kvm_create_device {
            type_,
            fd: 0,
            flags: 0,
        };
        self.fd
            .create_device(&mut device)
            .map_err(|e| KvmError::new(op, e))
    }

    /// Makes a service-signal interrupt pending.
    pub fn service_signal(&self, parameter: u32) -> Result<()> {
        self.interrupt(KVM_S390_INT_SERVICE, parameter, 0)
    }

    /// Makes a floating machine check pending until a CPU allows it.
    pub fn machine_check(&self, cr14: u64, mcic: u64) -> Result<()> {
        // KVM takes the subclass bits, all in the low word
        self.interrupt(KVM_S390_MCHK, cr14 as u32, mcic)
    }

    fn interrupt(&self, type_: u32, parm: u32, parm64: u64) -> Result<()> {
        let interrupt = kvm_s390_interrupt {
            type_,
            parm,
            parm64,
        };
        // SAFETY: the request takes this struct, which has no pointers.
        unsafe {
            call_with(
                &self.fd,
                KVM_S390_INTERRUPT,
                &interrupt,
                "make an interrupt pending",
            )
        }?;
        Ok(())
    }

    fn set_attr<T>(&self, attribute: Attribute, value: &T) -> Result<()> {
        let attr = device_attr(attribute, ptr::from_ref(value) as u64);
        // SAFETY: the kernel reads the attribute's type at `addr`, which is
        // what callers in this file pass.
        unsafe { call_with(&self.fd, KVM_SET_DEVICE_ATTR, &attr, attribute.op) }?;
        Ok(())
    }

    fn get_attr<T>(&self, attribute: Attribute, value: &mut T) -> Result<()> {
        let attr = device_attr(attribute, ptr::from_mut(value) as u64);
        // SAFETY: the kernel writes the attribute's type at `addr`, which is
        // what callers in this file pass, exclusively borrowed.
        unsafe { call_with(&self.fd, KVM_GET_DEVICE_ATTR, &attr, attribute.op) }?;
        Ok(())
    }
}

fn device_attr(attribute: Attribute, addr: u64) -> kvm_device_attr {
    kvm_device_attr {
        flags: 0,
        group: attribute.group,
        attr: attribute.attr.into(),
        addr,
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Confines this process.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, RulesetStatus,
};

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, remove_capability_from_bounding_set,
    set_capabilities,
};

use super::filter::{Allowed, ByArgument, program};
use super::install::install;

/// The newest interface that is made use of; what a kernel lacks is left out.
const LANDLOCK: ABI = ABI::V5;

/// `AUDIT_ARCH_S390X` (Linux `include/uapi/linux/audit.h`).
const ARCHITECTURE: u32 = 0x8000_0016;

/// Calls that `socketcall` makes (Linux `include/uapi/linux/net.h`).
const SEND: u32 = 9;
const RECV: u32 = 10;
const SENDTO: u32 = 11;
const RECVFROM: u32 = 12;
const ACCEPT4: u32 = 18;

/// How the C library has a thread made.
const THREAD: i32 = libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SYSVSEM
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SETTLS
    | libc::CLONE_PARENT_SETTID
    | libc::CLONE_CHILD_CLEARTID;

/// Why the process cannot be confined.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Landlock refused.
    #[error("cannot restrict access to files")]
    Landlock(#[from] RulesetError),
    /// There is no Landlock.
    #[error("this kernel has no Landlock to restrict access to files")]
    NoLandlock,
    /// Capabilities cannot be dropped.
    #[error("cannot drop capabilities")]
    Capabilities(#[source] std::io::Error),
    /// Seccomp refused.
    #[error("cannot filter system calls")]
    Seccomp(#[source] std::io::Error),
}

/// Confines the calling thread and those it starts.
pub fn enter(api_socket: Option<&Path>, requests: &[u64]) -> Result<(), SandboxError> {
    restrict_files(api_socket)?;
    drop_capabilities().map_err(|e| SandboxError::Capabilities(e.into()))?;
    filter_calls(requests)
}

fn restrict_files(api_socket: Option<&Path>) -> Result<(), SandboxError> {
    let nodes = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::ReadDir | AccessFs::IoctlDev;
    let look = AccessFs::ReadFile | AccessFs::ReadDir;
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .create()?;
    // for devices that are attached later
    for (path, access) in [
        ("/dev/vfio", nodes),
        ("/dev/iommu", nodes & AccessFs::from_file(LANDLOCK)),
        ("/sys", look),
    ] {
        rules = allow(rules, Path::new(path), access)?;
    }
    // the socket goes when the machine ends
    if let Some(folder) = api_socket.map(folder_of) {
        rules = allow(rules, &folder, AccessFs::RemoveFile.into())?;
    }
    if rules.restrict_self()?.ruleset == RulesetStatus::NotEnforced {
        return Err(SandboxError::NoLandlock);
    }
    Ok(())
}

/// What is not there needs no rule.
fn allow(
    rules: RulesetCreated,
    path: &Path,
    access: landlock::BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    match PathFd::new(path) {
        Ok(fd) => rules.add_rule(PathBeneath::new(fd, access)),
        Err(_) => Ok(rules),
    }
}

/// Also from the bounding set, if this process may; it starts no program.
fn drop_capabilities() -> Result<(), Errno> {
    if capabilities(None)?
        .effective
        .contains(CapabilitySet::SETPCAP)
    {
        for number in 0..u64::BITS {
            let one = CapabilitySet::from_bits_retain(1 << number);
            match remove_capability_from_bounding_set(one) {
                // the kernel has no more
                Err(Errno::INVAL) => break,
                result => result?,
            }
        }
    }
    // ambient ones go with them
    let none = CapabilitySet::empty();
    let sets = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    set_capabilities(None, sets)
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder.into(),
        _ => ".".into(),
    }
}

fn filter_calls(requests: &[u64]) -> Result<(), SandboxError> {
    let steps = program(ARCHITECTURE, true, &allowed(requests));
    install(&steps).map_err(SandboxError::Seccomp)
}

/// What a running machine calls. `requests` are the ioctls of KVM and VFIO.
fn allowed(requests: &[u64]) -> Allowed {
    let calls = [
        // files, and the control socket
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_writev,
        libc::SYS_lseek,
        libc::SYS_close,
        libc::SYS_fcntl,
        libc::SYS_fstat,
        libc::SYS_newfstatat,
        libc::SYS_statx,
        libc::SYS_openat,
        libc::SYS_readlink,
        libc::SYS_readlinkat,
        libc::SYS_getdents64,
        libc::SYS_getcwd,
        libc::SYS_access,
        libc::SYS_faccessat,
        libc::SYS_faccessat2,
        libc::SYS_unlink,
        libc::SYS_unlinkat,
        libc::SYS_accept4,
        libc::SYS_recvfrom,
        libc::SYS_sendto,
        // waiting
        libc::SYS_epoll_create1,
        libc::SYS_epoll_ctl,
        libc::SYS_epoll_wait,
        libc::SYS_epoll_pwait,
        libc::SYS_poll,
        libc::SYS_ppoll,
        libc::SYS_eventfd2,
        libc::SYS_timerfd_settime,
        libc::SYS_futex,
        libc::SYS_sched_yield,
        libc::SYS_clock_gettime,
        libc::SYS_clock_nanosleep,
        libc::SYS_restart_syscall,
        // memory
        libc::SYS_mmap,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_mprotect,
        libc::SYS_madvise,
        libc::SYS_brk,
        // threads and signals
        libc::SYS_set_robust_list,
        libc::SYS_rseq,
        libc::SYS_sched_getaffinity,
        libc::SYS_sigaltstack,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_getrandom,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ];
    // requests that the standard library makes: FIONBIO, TCGETS
    let of_std = [0x5421, 0x5401];
    // numbers of calls and requests have 32 bits
    let word = |number: u64| number as u32;
    Allowed {
        calls: calls.map(|number| number as u32).to_vec(),
        // its flags are in storage, which no filter sees
        missing: vec![libc::SYS_clone3 as u32],
        by_argument: vec![
            ByArgument {
                call: libc::SYS_ioctl as u32,
                argument: 1,
                values: requests.iter().copied().chain(of_std).map(word).collect(),
            },
            // threads, but no processes
            ByArgument {
                call: libc::SYS_clone as u32,
                argument: 1,
                values: vec![THREAD as u32],
            },
            // to threads of this process
            ByArgument {
                call: libc::SYS_tgkill as u32,
                argument: 0,
                values: vec![std::process::id()],
            },
            // how older C libraries accept, receive and send
            ByArgument {
                call: libc::SYS_socketcall as u32,
                argument: 0,
                values: vec![SEND, RECV, SENDTO, RECVFROM, ACCEPT4],
            },
            // names of threads and of memory
            ByArgument {
                call: libc::SYS_prctl as u32,
                argument: 0,
                values: vec![libc::PR_SET_NAME as u32, 0x5356_4d41],
            },
        ],
    }
}

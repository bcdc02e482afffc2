// SPDX-License-Identifier: MIT OR Apache-2.0
//! One L1 machine, from QEMU's start to its end.

mod wait;

use crate::audit::Auditing;
use crate::client::{Client, Life};
use crate::config::{Config, Driver, Flavour, Folders};
use crate::error::{Error, Tail};
use crate::keep::keep;
use crate::qemu::{accept, died, disk_file, listen, spawn};
use crate::qmp::Qmp;
use l1_protocol::{CHUNK, Command, Event, Exit, Id, Request, Stream};
use std::cell::Cell;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a machine that was told to end may take.
const OFF_LIMIT: Duration = Duration::from_secs(60);

/// A finished command's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub exit: Exit,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// A running L1. Dropping it kills QEMU; in a failing test, `KEEP=1` holds it
/// before.
pub struct Machine {
    qemu: Option<Child>,
    client: Arc<Client>,
    /// None where there is no emulated machine: see [`crate::host`].
    qmp: Option<Qmp>,
    life: Receiver<Life>,
    logs: PathBuf,
    /// Where its programs are.
    pub(crate) folders: Folders,
    /// The number of a signal that ends everything, once it came.
    stop: Option<Arc<AtomicUsize>>,
    /// Our own agent, where there is no emulated machine with one.
    agent: Option<JoinHandle<()>>,
    /// What violations of AP isolation mean; none if there is nobody to look for
    /// them, or they have been told.
    pub(crate) auditing: Cell<Option<Auditing>>,
    /// Whether its kernel has kmemleak.
    finds_leaks: bool,
    /// The kernel's release.
    pub kernel: String,
    /// From QEMU's start to the agent.
    pub boot_time: Duration,
    // Holds the sockets; removed after QEMU has ended.
    _sockets: Option<tempfile::TempDir>,
}

impl Machine {
    /// Start QEMU and wait for the agent.
    ///
    /// # Errors
    /// What is not built, or how QEMU or the kernel failed.
    pub fn boot(config: &Config) -> Result<Self, Error> {
        let logs = config.logs();
        fs::create_dir_all(&logs).map_err(Error::host(logs.display().to_string()))?;
        let sockets = tempfile::Builder::new()
            .prefix("l1-")
            .tempdir()
            .map_err(Error::host("a folder for sockets"))?;
        let module = config.module()?;
        let begin = Instant::now();

        // We listen and QEMU connects, so nobody has to poll for its sockets.
        let listen = |name| listen(&sockets.path().join(name));
        let (agent, commands, events) = (listen("agent")?, listen("qmp")?, listen("events")?);
        let mut qemu = spawn(config, sockets.path(), &logs)?;
        let mut accept = |listener| accept(listener, &mut qemu, &logs);
        let (agent, commands, events) = (accept(&agent)?, accept(&commands)?, accept(&events)?);
        let (life_to, life) = channel();
        let client =
            Client::new(agent, &logs, life_to.clone()).map_err(Error::host("kernel.log"))?;
        let qmp = match Qmp::new(commands, events, &logs, life_to) {
            Ok(qmp) => qmp,
            // It refuses bad options only after it has connected to us.
            Err(_) => return Err(died(&mut qemu, &logs)),
        };

        let mut machine = Self {
            qemu: Some(qemu),
            client: Arc::new(client),
            qmp: Some(qmp),
            life,
            logs,
            folders: Folders::default(),
            stop: None,
            agent: None,
            auditing: Cell::new(config.audited().then_some(config.auditing)),
            finds_leaks: config.flavour == Flavour::Debug,
            kernel: String::new(),
            boot_time: Duration::ZERO,
            _sockets: Some(sockets),
        };
        let limit = if config.gdb {
            Duration::MAX
        } else {
            config.boot_limit
        };
        machine.kernel = match &config.incoming {
            None => machine.wait_ready(limit)?,
            // Its agent has said so to whom it was started by.
            Some(_) => machine.shell("uname -r", limit)?.stdout.trim().to_owned(),
        };
        if config.disk_mib.is_some() {
            // QEMU has it open; so it goes with QEMU, however that ends.
            let file = disk_file(&machine.logs);
            fs::remove_file(&file).map_err(Error::host(file.display().to_string()))?;
        }
        machine.boot_time = begin.elapsed();
        machine.load_driver(config, module.as_deref())?;
        Ok(machine)
    }

    /// The Linux that this process runs on, by an agent of our own. What the
    /// agent started is killed when this is dropped. `stop` holds the number of
    /// a signal once it came; whatever waits then fails.
    ///
    /// # Errors
    /// That the agent does not start.
    pub(crate) fn here(
        folders: Folders,
        logs: PathBuf,
        stop: Arc<AtomicUsize>,
    ) -> Result<Self, Error> {
        let begin = Instant::now();
        let (ours, theirs) = UnixStream::pair().map_err(Error::host("a pair of sockets"))?;
        let agent = std::thread::spawn(|| {
            // That we hang up is how it ends.
            let _ = l1_agent::serve(OwnedFd::from(theirs).into(), l1_agent::Log::New);
        });
        let (life_to, life) = channel();
        let client = Client::new(ours, &logs, life_to).map_err(Error::host("kernel.log"))?;
        let mut machine = Self {
            qemu: None,
            client: Arc::new(client),
            qmp: None,
            life,
            logs,
            folders,
            stop: Some(stop),
            agent: Some(agent),
            auditing: Cell::new(None),
            finds_leaks: false,
            kernel: String::new(),
            boot_time: Duration::ZERO,
            _sockets: None,
        };
        machine.kernel = machine.wait_ready(OFF_LIMIT)?;
        machine.boot_time = begin.elapsed();
        Ok(machine)
    }

    /// Run a command to its end and collect what it writes.
    ///
    /// # Errors
    /// When it does not end in time or the machine fails meanwhile. A command
    /// that fails by itself is no error: see [`Output::exit`].
    pub fn run(&self, command: Command, limit: Duration) -> Result<Output, Error> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let exit = self.run_with(command, Some(limit), |stream, data| match stream {
            Stream::Stdout => stdout.extend_from_slice(data),
            Stream::Stderr => stderr.extend_from_slice(data),
        })?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Output {
            exit,
            stdout: text(stdout),
            stderr: text(stderr),
        })
    }

    /// [`run`](Self::run) for a line of shell.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub fn shell(&self, line: &str, limit: Duration) -> Result<Output, Error> {
        let argv = ["sh", "-c", line].map(str::to_owned).to_vec();
        self.run(
            Command {
                argv,
                ..Command::default()
            },
            limit,
        )
    }

    /// Start a command without waiting; its events arrive as they happen.
    pub fn start(&self, command: Command) -> (Id, Receiver<Event>) {
        let (id, events) = self.client.begin();
        self.client.send(&Request::Exec { id, command });
        (id, events)
    }

    /// Run a command to its end and pass on its output as it comes.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub fn run_with(
        &self,
        mut command: Command,
        limit: Option<Duration>,
        mut output: impl FnMut(Stream, &[u8]),
    ) -> Result<Exit, Error> {
        let what = command.argv.join(" ");
        // The agent kills what overruns; our own deadline is for a machine
        // that no longer answers.
        command.timeout_ms = limit.map(|l| u64::try_from(l.as_millis()).unwrap_or(u64::MAX));
        let grace = limit.map(|l| l + OFF_LIMIT);
        let interactive = command.terminal.is_some();
        let (id, events) = self.start(command);
        if !interactive {
            self.client.send(&Request::Stdin {
                id,
                data: Vec::new(),
            });
        }
        loop {
            match self.next(&events, grace, &what)? {
                Event::Output { stream, data, .. } => output(stream, &data),
                Event::Exited {
                    exit: Exit::TimedOut,
                    ..
                } => {
                    self.client.end(id);
                    return Err(
                        self.deadline(&format!("the end of `{what}`"), limit.unwrap_or_default())
                    );
                }
                Event::Exited { exit, .. } => {
                    self.client.end(id);
                    return Ok(exit);
                }
                _ => {}
            }
        }
    }

    /// The next event of a started command, however long it takes.
    ///
    /// # Errors
    /// When the machine fails meanwhile.
    pub fn next_event(&self, events: &Receiver<Event>, what: &str) -> Result<Event, Error> {
        self.next(events, None, what)
    }

    /// The connection, for threads that feed a started command.
    pub fn client(&self) -> Arc<Client> {
        Arc::clone(&self.client)
    }

    /// A whole file of L1.
    ///
    /// # Errors
    /// When L1 cannot read it, or the machine fails.
    pub fn read_file(&self, path: &str) -> Result<Vec<u8>, Error> {
        let (id, events) = self.client.begin();
        self.client.send(&Request::ReadFile {
            id,
            path: path.to_owned(),
        });
        let mut content = Vec::new();
        loop {
            match self.next(&events, Some(OFF_LIMIT), path)? {
                Event::FileData { data, .. } => content.extend(data),
                Event::FileDone { result, .. } => {
                    self.client.end(id);
                    return result.map(|()| content).map_err(Error::Transfer);
                }
                _ => {}
            }
        }
    }

    /// Make or replace a file of L1.
    ///
    /// # Errors
    /// When L1 cannot write it (it then keeps what it had), or the machine fails.
    pub fn write_file(&self, path: &str, mode: u32, content: &[u8]) -> Result<(), Error> {
        let (id, events) = self.client.begin();
        let mut rest = content;
        loop {
            let (now, later) = rest.split_at(rest.len().min(CHUNK));
            let last = later.is_empty();
            self.client.send(&Request::WriteFile {
                id,
                path: path.to_owned(),
                mode,
                data: now.to_vec(),
                last,
            });
            rest = later;
            if last {
                break;
            }
        }
        let done = self.next(&events, Some(OFF_LIMIT), path)?;
        self.client.end(id);
        match done {
            Event::FileDone { result, .. } => result.map_err(Error::Transfer),
            _ => Err(Error::Transfer(format!(
                "{path}: an answer that fits no transfer"
            ))),
        }
    }

    /// Execute a QMP command.
    ///
    /// # Errors
    /// With QEMU's words when it refuses.
    pub fn qmp<C: qapi::Command>(&self, command: C) -> Result<C::Ok, Error> {
        match &self.qmp {
            Some(qmp) => qmp.execute(command),
            None => Err(Error::Qmp {
                command: C::NAME,
                reason: "this is no emulated machine".to_owned(),
            }),
        }
    }

    /// Whether it is not the Linux that this process runs on.
    pub(crate) fn is_emulated(&self) -> bool {
        self.qmp.is_some()
    }

    /// Fail if the kernel has complained since the last call.
    ///
    /// # Errors
    /// [`Error::Complained`] with every report.
    pub fn check_kernel(&self) -> Result<(), Error> {
        let reports = self.client.take_reports();
        if reports.is_empty() {
            return Ok(());
        }
        Err(Error::Complained {
            reports,
            tail: Tail::of(&self.logs, "kernel.log"),
        })
    }

    /// Let kmemleak look, if this is the debug kernel; its findings count as
    /// complaints.
    ///
    /// # Errors
    /// What it found, that it does not look, or that the machine fails.
    pub fn check_leaks(&self) -> Result<(), Error> {
        if !self.finds_leaks {
            return self.check_kernel();
        }
        // Twice: what was freed or stored just now is not yet settled. After six
        // seconds: kfree_rcu() gathers objects for five, where no scan sees them.
        let scan = "set -e; cd /sys/kernel/debug; [ -e kmemleak ]; sleep 6; echo scan >kmemleak; echo scan >kmemleak; cat kmemleak";
        let found = self.shell(scan, Duration::from_secs(900))?;
        // The kernel's log has only their number.
        self.check_kernel()
            .inspect_err(|_| eprintln!("{}", found.stdout))?;
        // After an error of its own it answers no more.
        if found.exit == Exit::Status(0) {
            return Ok(());
        }
        let reason = found.stderr.trim().to_owned();
        Err(Error::Transfer(format!("kmemleak does not look: {reason}")))
    }

    /// End the machine and check that all was well.
    ///
    /// QEMU is told to quit: L1 has nothing to keep.
    ///
    /// # Errors
    /// The kernel's complaints, or that QEMU does not end.
    pub fn shutdown(mut self) -> Result<(), Error> {
        let isolation = match self.auditing.take() {
            Some(Auditing::Strict) => self.check_isolation(),
            _ => Ok(()),
        };
        isolation
            .and_then(|()| self.check_kernel())
            .inspect_err(|e| keep(&self, None, &e.to_string()))?;
        // It acts at the closing brace and may be gone before it has read the
        // rest of the line; what became of it, its end and its status tell.
        let _ = self.qmp(qapi::qmp::quit {});
        loop {
            match self.life.recv_timeout(OFF_LIMIT) {
                Ok(Life::Disconnected) => break,
                Ok(Life::Panicked) => return Err(self.crashed()),
                Ok(Life::Ready(_) | Life::Violated(_)) => {}
                Err(_) => return Err(self.deadline("the end of QEMU", OFF_LIMIT)),
            }
        }
        if let Some(mut qemu) = self.qemu.take() {
            let status = qemu.wait().map_err(Error::host("waiting for QEMU"))?;
            if !status.success() {
                return Err(Error::QemuDied {
                    status: status.to_string(),
                    tail: Tail::of(&self.logs, "qemu.log"),
                });
            }
        }
        self.check_kernel()
    }

    /// Reset the machine, as its operator would, and wait for the agent of the
    /// new boot. What was running in L1 is gone and tells nothing any more.
    ///
    /// # Errors
    /// How QEMU or the kernel failed.
    pub fn reset(&mut self, limit: Duration) -> Result<(), Error> {
        // QEMU is started to end instead, so that a crashed kernel is noticed.
        self.qmp(qapi::qmp::set_action {
            reboot: Some(qapi::qmp::RebootAction::reset),
            shutdown: None,
            panic: None,
            watchdog: None,
        })?;
        self.qmp(qapi::qmp::system_reset {})?;
        self.wait_ready(limit).map(drop)
    }

    /// Kill QEMU, as a machine that loses power.
    pub fn kill_qemu(&mut self) {
        if let Some(qemu) = &mut self.qemu {
            // It may be gone already; waiting for it is the drop's business.
            let _ = qemu.kill();
        }
    }

    /// The folder with console.log, kernel.log, qmp.log and qemu.log.
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// The next news of the machine as a whole, if there is any in this time.
    pub(crate) fn life(&self, limit: Duration) -> Option<Life> {
        self.life.recv_timeout(limit).ok()
    }

    fn load_driver(&self, config: &Config, module: Option<&Path>) -> Result<(), Error> {
        let command = match (&config.driver, module) {
            (Driver::None, _) => return Ok(()),
            (_, None) => "modprobe vfio_ap".to_owned(),
            (_, Some(file)) => {
                let content = fs::read(file).map_err(Error::host(file.display().to_string()))?;
                self.write_file("/tmp/vfio_ap.ko", 0o644, &content)?;
                "modprobe mdev && insmod /tmp/vfio_ap.ko".to_owned()
            }
        };
        let output = self.shell(&command, Duration::from_secs(300))?;
        if output.exit == Exit::Status(0) {
            return Ok(());
        }
        Err(Error::Transfer(format!(
            "`{command}` failed: {}",
            output.stderr.trim()
        )))
    }
}

impl Drop for Machine {
    /// # Panics
    /// When the auditor has objected and nobody has been told: a test that does
    /// without [`Machine::shutdown`] must not pass for that.
    fn drop(&mut self) {
        if std::thread::panicking() {
            keep(self, None, "the test has failed");
        }
        let audit = self.auditing.get() == Some(Auditing::Strict) && !std::thread::panicking();
        let isolation = if audit {
            self.check_isolation()
        } else {
            Ok(())
        };
        if let Some(agent) = self.agent.take() {
            self.client.hang_up();
            let _ = agent.join();
        }
        self.kill_qemu();
        if let Some(mut qemu) = self.qemu.take() {
            let _ = qemu.wait();
        }
        if let Err(error @ Error::Violated { .. }) = isolation {
            panic!("{error}");
        }
    }
}

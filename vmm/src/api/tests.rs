// SPDX-License-Identifier: MIT OR Apache-2.0
//! The control socket, with a machine that only counts.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use super::*;

#[derive(Default)]
struct Machine {
    notified: u32,
    paused: bool,
    resets: u32,
    device: Option<String>,
}

#[derive(Debug, thiserror::Error)]
#[error("the machine has an AP device already")]
struct HasDevice;

impl Control for Machine {
    type Error = HasDevice;

    fn info(&mut self) -> Value {
        json!({"cpus": 1})
    }

    fn ap_query(&mut self) -> Value {
        json!({"id": self.device})
    }

    fn ap_notify(&mut self) -> Result<(), HasDevice> {
        self.notified += 1;
        Ok(())
    }

    fn ap_attach(&mut self, config: &ApConfig) -> Result<(), HasDevice> {
        match self.device.replace(config.id.clone()) {
            Some(_) => Err(HasDevice),
            None => Ok(()),
        }
    }

    fn ap_detach(&mut self) -> Result<bool, HasDevice> {
        Ok(self.device.take().is_some())
    }

    fn metrics(&mut self) -> Value {
        json!({"resets": self.resets, "paused": self.paused})
    }

    fn pause(&mut self) -> Result<(), HasDevice> {
        self.paused = true;
        Ok(())
    }

    fn resume(&mut self) {
        self.paused = false;
    }

    fn reset(&mut self) -> Result<(), HasDevice> {
        self.resets += 1;
        Ok(())
    }

    fn quiesce(&mut self) -> Result<bool, HasDevice> {
        Ok(false)
    }
}

fn ask(machine: &mut Machine, request: &str) -> String {
    answer(request.as_bytes(), machine).to_string()
}

#[test]
fn requests() {
    let mut machine = Machine::default();
    let mut ask = |request| ask(&mut machine, request);
    assert_eq!(ask(r#"{"request":"info"}"#), r#"{"ok":{"cpus":1}}"#);
    assert_eq!(ask(r#"{"request":"ap.notify"}"#), r#"{"ok":null}"#);
    let attach = r#"{"request":"ap.attach","sysfsdev":"/sys/x","id":"a"}"#;
    assert_eq!(ask(attach), r#"{"ok":null}"#);
    assert_eq!(ask(r#"{"request":"ap.query"}"#), r#"{"ok":{"id":"a"}}"#);
    let refused = r#"{"error":"the machine has an AP device already"}"#;
    assert_eq!(ask(attach), refused);
    assert_eq!(ask(r#"{"request":"ap.detach"}"#), r#"{"ok":null}"#);
    assert!(ask(r#"{"request":"ap.detach"}"#).contains("no AP device"));
    assert!(ask(r#"{"request":"quiesce"}"#).contains("does not listen"));
    for request in [r#"{"request":"pause"}"#, r#"{"request":"reset"}"#] {
        assert_eq!(ask(request), r#"{"ok":null}"#);
    }
    let metrics = r#"{"request":"metrics"}"#;
    assert_eq!(ask(metrics), r#"{"ok":{"paused":true,"resets":1}}"#);
    ask(r#"{"request":"resume"}"#);
    assert_eq!(ask(metrics), r#"{"ok":{"paused":false,"resets":1}}"#);
    assert_eq!(machine.notified, 1);
}

#[test]
fn bad_requests_do_nothing() {
    let mut machine = Machine::default();
    for request in [
        "",
        "junk",
        "[]",
        "{}",
        r#"{"request":"reboot"}"#,
        r#"{"request":"ap.attach"}"#,
        r#"{"request":"ap.attach","sysfsdev":"/sys/x","force":true}"#,
        "\u{fffd}",
    ] {
        let answer = ask(&mut machine, request);
        assert!(answer.starts_with(r#"{"error":"bad request"#), "{answer}");
    }
    assert_eq!(machine.notified, 0);
    assert_eq!(machine.device, None);
}

struct Socket {
    api: Api,
    path: PathBuf,
    machine: Machine,
}

impl Socket {
    fn new(test: &str) -> Self {
        let name = format!("apvmm-api-{test}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let api = Api::new(&path).unwrap();
        let machine = Machine::default();
        Self { api, path, machine }
    }

    fn connect(&self) -> UnixStream {
        let client = UnixStream::connect(&self.path).unwrap();
        let patience = Duration::from_secs(10);
        client.set_read_timeout(Some(patience)).unwrap();
        client
    }

    fn serve(&mut self) {
        self.api.serve(&mut self.machine);
    }
}

fn line(client: &UnixStream) -> String {
    let mut line = String::new();
    BufReader::new(client).read_line(&mut line).unwrap();
    line
}

#[test]
fn lines_may_come_in_pieces() {
    let mut socket = Socket::new("pieces");
    let mut client = socket.connect();
    client.write_all(b"{\"request\":").unwrap();
    socket.serve();
    client.write_all(b"\"info\"}\n").unwrap();
    socket.serve();
    assert_eq!(line(&client), "{\"ok\":{\"cpus\":1}}\n");
}

#[test]
fn an_endless_line_drops_its_client_only() {
    let mut socket = Socket::new("endless");
    let (mut noisy, mut quiet) = (socket.connect(), socket.connect());
    noisy.set_nonblocking(true).unwrap();
    for _ in 0..64 {
        let _ = noisy.write(&[b'x'; 4096]);
        socket.serve();
    }
    assert_eq!(socket.api.clients.len(), 1);
    quiet.write_all(b"{\"request\":\"info\"}\n").unwrap();
    socket.serve();
    assert!(line(&quiet).starts_with("{\"ok\""));
}

#[test]
fn clients_are_bounded_and_forgotten() {
    let mut socket = Socket::new("bounded");
    let clients: Vec<_> = (0..CLIENTS_MAX + 3).map(|_| socket.connect()).collect();
    socket.serve();
    assert_eq!(socket.api.clients.len(), CLIENTS_MAX);
    drop(clients);
    socket.serve();
    assert!(socket.api.clients.is_empty());
}

/// Run by the test below in a process of its own, whose file descriptors are
/// used up.
#[test]
#[ignore = "part of another test"]
fn alone_without_file_descriptors() {
    if std::env::var_os("ALONE").is_none() {
        return;
    }
    let mut socket = Socket::new("exhausted");
    let outer = Epoll::new().unwrap();
    let event = EpollEvent::new(EventSet::IN, 0);
    let fd = socket.api.as_raw_fd();
    outer.ctl(ControlOperation::Add, fd, event).unwrap();
    let calls = |timeout| outer.wait(timeout, &mut [EpollEvent::default()]).unwrap();

    let mut first = socket.connect();
    let mut hoard = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        hoard.push(file);
    }
    assert_eq!(calls(0), 1);
    socket.serve();
    assert!(socket.api.clients.is_empty());
    // not told again and again of a client that cannot be accepted
    assert_eq!(calls(0), 0);
    drop(hoard);
    let mut second = socket.connect();
    assert_eq!(calls(0), 1);
    for client in [&mut first, &mut second] {
        client.write_all(b"{\"request\":\"info\"}\n").unwrap();
        socket.serve();
        assert!(line(client).starts_with("{\"ok\""));
    }
}

#[test]
fn clients_that_cannot_be_accepted_do_not_keep_it_busy() {
    let name = "api::tests::alone_without_file_descriptors";
    let this = std::env::current_exe().unwrap();
    let test = format!(
        "ulimit -n 64; ALONE=1 exec {} --ignored --exact {name}",
        this.display()
    );
    let output = std::process::Command::new("sh")
        .args(["-c", &test])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

#[test]
fn a_stale_socket_is_replaced_a_live_one_is_not() {
    let socket = Socket::new("stale");
    assert!(matches!(
        Api::new(&socket.path),
        Err(ApiError::Listen { .. })
    ));
    let path = socket.path.with_extension("dead");
    drop(UnixListener::bind(&path).unwrap());
    let api = Api::new(&path).unwrap();
    drop(api);
    assert!(!path.exists());
}

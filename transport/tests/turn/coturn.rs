//! A coturn of one test: on free ports of the loopback, with its own configuration, ended with the test.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::UdpSocket;

pub const USER: &str = "user";
pub const PASSWORD: &str = "p@ss";

pub struct Coturn {
    child: Child,
    conf: String,
    folder: PathBuf,
    pub port: u16,
    pub tls_port: u16,
    /// Coturns do not notice when they share a port, of which each needs many: one at a time.
    _alone: MutexGuard<'static, ()>,
}

impl Coturn {
    /// Starts one that serves the loopback of both families. `None`, with a word on the terminal, where coturn is missing.
    pub async fn start(extra: &str) -> Option<Self> {
        let is_there = Command::new("turnserver").arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if is_there.is_err() {
            eprintln!("SKIPPED: turnserver is not installed (Debian's package coturn)");
            return None;
        }
        // Another process may take a port between the choice and the start.
        for _ in 0..3 {
            if let Some(coturn) = Self::try_start(extra).await {
                return Some(coturn);
            }
        }
        panic!("coturn does not start");
    }

    async fn try_start(extra: &str) -> Option<Self> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        static ALONE: Mutex<()> = Mutex::new(());
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("rivero-coturn-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder of our own");
        let (port, tls_port) = (free_port(), free_port());
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        let file = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).expect("a file of our own");
            path.display().to_string()
        };
        let certificate = file("certificate.pem", &made.cert.pem());
        let key = file("key.pem", &made.signing_key.serialize_pem());
        let inside = folder.display();
        let conf = file(
            "turnserver.conf",
            &format!(
                "listening-port={port}\ntls-listening-port={tls_port}\n\
                 listening-ip=127.0.0.1\nlistening-ip=::1\nrelay-ip=127.0.0.1\nrelay-ip=::1\n\
                 relay-threads=1\nallow-loopback-peers\nlt-cred-mech\nrealm=rivero.test\nuser={USER}:{PASSWORD}\n\
                 cert={certificate}\npkey={key}\nuserdb={inside}/users\npidfile={inside}/pid\n\
                 log-file={inside}/log\nsimple-log\nverbose\nno-stdout-log\nno-cli\nno-dtls\n{extra}\n"
            ),
        );
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut coturn = Coturn { child: spawn(&conf), conf, folder, port, tls_port, _alone: alone };
        coturn.becomes_ready().await.then_some(coturn)
    }

    /// False when it has ended, or does not answer for long.
    async fn becomes_ready(&mut self) -> bool {
        for _ in 0..200 {
            if self.child.try_wait().expect("our own child").is_some() {
                return false;
            }
            if self.is_ready().await {
                return true;
            }
        }
        false
    }

    /// Ends it without a word to anybody, as a crash does. What it lent is forgotten.
    pub fn crash(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// After a crash: on the same ports.
    pub async fn start_again(&mut self) {
        self.child = spawn(&self.conf);
        assert!(self.becomes_ready().await, "coturn comes back: {}", self.log());
    }

    /// Whether it answers on all its ports. Takes a little while when it does not.
    async fn is_ready(&self) -> bool {
        let mut ready = true;
        for ip in ["127.0.0.1", "::1"] {
            // There may be no IPv6.
            let Ok(socket) = UdpSocket::bind((ip, 0)).await else { continue };
            // A Binding request.
            let request = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42], [7; 12].as_slice()].concat();
            let answered = async {
                socket.connect((ip, self.port)).await?;
                socket.send(&request).await?;
                socket.recv(&mut [0; 200]).await
            };
            ready &= matches!(tokio::time::timeout(Duration::from_millis(50), answered).await, Ok(Ok(_)));
        }
        let listens = |port| TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_ok();
        if !ready {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        ready && listens(self.port) && listens(self.tls_port)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
        self.crash();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn spawn(conf: &str) -> Child {
    let mut command = Command::new("turnserver");
    command.args(["-c", conf]).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("turnserver was there a moment ago")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound socket").port()
}

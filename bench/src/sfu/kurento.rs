//! The Kurento Protocol: one pipeline, a `WebRtcEndpoint` for each participant, `connect` from publisher to viewer.
//! Drives Rivero, and a real Kurento Media Server.

use super::socket::JsonSocket;
use super::{Negotiator, Process, Seat, Sfu, SfuError, free_port};
use crate::clock::Clock;
use serde_json::{Value, json};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How to start Rivero.
#[derive(Clone, Debug)]
pub struct RiveroOptions {
    pub binary: PathBuf,
    pub ip: IpAddr,
    /// The network interface that `ip` belongs to.
    pub interface: String,
    pub workers: usize,
    /// `pipeline` or `spread`.
    pub placement: String,
    /// Where its configuration and its log are written.
    pub folder: PathBuf,
}

pub struct Kurento {
    socket: JsonSocket,
    /// The server, when we started it.
    process: Option<Process>,
    pid: u32,
    next_id: u64,
    session: Option<String>,
    pipeline: String,
}

impl Kurento {
    /// Starts Rivero with a configuration of its own.
    pub fn start_rivero(options: &RiveroOptions, clock: Clock) -> Result<Self, SfuError> {
        let port = free_port(options.ip)?;
        let conf = options.folder.join("rivero");
        write_configuration(&conf, port, options)?;
        let mut command = Command::new(&options.binary);
        command.arg("--conf-file").arg(conf.join("kurento.conf.json")).env("GST_DEBUG_NO_COLOR", "1");
        let log = options.folder.join("rivero.log");
        let process = Process::start(command, (options.ip, port).into(), &log, clock)?;
        let pid = process.pid();
        let mut kurento =
            Self::connect(&format!("ws://{}/kurento", std::net::SocketAddr::from((options.ip, port))), pid)?;
        kurento.process = Some(process);
        Ok(kurento)
    }

    /// Connects to a server that somebody else started. A real Kurento needs `certificateKeyType=ECDSA` in
    /// `WebRtcEndpoint.conf.ini`, because the clients here speak no DTLS with RSA.
    pub fn connect(url: &str, pid: u32) -> Result<Self, SfuError> {
        let socket = JsonSocket::connect(url, None)?;
        let mut kurento = Kurento { socket, process: None, pid, next_id: 0, session: None, pipeline: String::new() };
        kurento.pipeline = kurento.create("MediaPipeline", json!({}))?;
        Ok(kurento)
    }

    fn call(&mut self, method: &str, mut params: Value) -> Result<Value, SfuError> {
        self.next_id += 1;
        let id = self.next_id;
        if let (Some(session), Some(members)) = (&self.session, params.as_object_mut()) {
            members.insert("sessionId".to_owned(), json!(session));
        }
        self.socket.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))?;
        let answer = self.socket.wait(method, |message| (message["id"] == id).then(|| message.clone()))?;
        if !answer["error"].is_null() {
            return Err(SfuError::Refused(method.to_owned(), answer["error"].to_string()));
        }
        let result = &answer["result"];
        if let Some(session) = result["sessionId"].as_str() {
            self.session = Some(session.to_owned());
        }
        Ok(result["value"].clone())
    }

    fn create(&mut self, class: &str, parameters: Value) -> Result<String, SfuError> {
        let created =
            self.call("create", json!({ "type": class, "constructorParams": parameters, "properties": {} }))?;
        created.as_str().map(str::to_owned).ok_or_else(|| SfuError::Refused(class.to_owned(), created.to_string()))
    }

    fn invoke(&mut self, object: &str, operation: &str, parameters: Value) -> Result<Value, SfuError> {
        self.call("invoke", json!({ "object": object, "operation": operation, "operationParams": parameters }))
    }

    /// A new endpoint; one that views is connected before it negotiates, as applications do.
    fn join(&mut self, source: Option<&Seat>, peer: &mut dyn Negotiator) -> Result<Seat, SfuError> {
        let pipeline = self.pipeline.clone();
        let endpoint = self.create("WebRtcEndpoint", json!({ "mediaPipeline": pipeline }))?;
        if let Some(Seat(source)) = source {
            self.invoke(source, "connect", json!({ "sink": endpoint }))?;
        }
        for event in ["IceCandidateFound", "IceGatheringDone"] {
            self.call("subscribe", json!({ "object": endpoint, "type": event }))?;
        }
        let offer = peer.offer()?;
        let answer = self.invoke(&endpoint, "processOffer", json!({ "offer": offer }))?;
        peer.take_answer(answer.as_str().unwrap_or_default())?;
        self.invoke(&endpoint, "gatherCandidates", json!({}))?;
        self.socket.wait("gatherCandidates", |message| {
            let event = event_of(message, &endpoint)?;
            (event["type"] == "IceGatheringDone").then_some(())
        })?;
        let candidates = self.socket.take_kept(|message| {
            let candidate = &event_of(message, &endpoint)?["data"]["candidate"]["candidate"];
            candidate.as_str().map(str::to_owned)
        });
        candidates.iter().for_each(|line| peer.add_candidate(line));
        Ok(Seat(endpoint))
    }
}

/// The event in a message, when it is about this object.
fn event_of<'a>(message: &'a Value, object: &str) -> Option<&'a Value> {
    let event = &message["params"]["value"];
    (message["method"] == "onEvent" && event["object"] == object).then_some(event)
}

fn write_configuration(folder: &Path, port: u16, options: &RiveroOptions) -> Result<(), SfuError> {
    let modules = folder.join("modules/kurento");
    fs::create_dir_all(&modules)?;
    let media = json!({ "workers": options.workers, "placement": options.placement });
    let websocket = json!({ "port": port, "path": "kurento" });
    let main = json!({ "mediaServer": { "net": { "websocket": websocket }, "media": media } });
    fs::write(folder.join("kurento.conf.json"), format!("{main:#}\n"))?;
    fs::write(modules.join("WebRtcEndpoint.conf.ini"), format!("networkInterfaces={}\n", options.interface))?;
    Ok(())
}

impl Sfu for Kurento {
    fn pid(&self) -> u32 {
        self.pid
    }

    fn publish(&mut self, peer: &mut dyn Negotiator) -> Result<Seat, SfuError> {
        self.join(None, peer)
    }

    fn view(&mut self, publisher: &Seat, peer: &mut dyn Negotiator) -> Result<Seat, SfuError> {
        self.join(Some(publisher), peer)
    }

    fn leave(&mut self, seat: &Seat) -> Result<(), SfuError> {
        self.call("release", json!({ "object": seat.0 })).map(drop)
    }

    fn stop(&mut self) {
        let pipeline = json!({ "object": self.pipeline });
        // A server that is gone needs no release.
        let _ = self.call("release", pipeline);
        self.process = None;
    }
}

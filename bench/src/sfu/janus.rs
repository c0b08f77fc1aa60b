//! Janus, the VideoRoom plugin over its WebSocket transport, with a configuration written here. It offers to its viewers.
//! It takes no loopback interface, so it needs the network namespace that the tool makes.

use super::socket::JsonSocket;
use super::{Negotiator, Process, Seat, Sfu, SfuError, free_port};
use crate::clock::Clock;
use serde_json::{Value, json};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOM: u64 = 1234;
const PLUGIN: &str = "janus.plugin.videoroom";

#[derive(Clone, Debug)]
pub struct JanusOptions {
    pub binary: PathBuf,
    pub ip: IpAddr,
    pub interface: String,
    /// Threads that serve all participants; 0 is Janus' own default: a thread each.
    pub event_loops: usize,
    pub folder: PathBuf,
}

pub struct Janus {
    socket: JsonSocket,
    process: Option<Process>,
    pid: u32,
    session: u64,
    next: u64,
}

impl Janus {
    pub fn start(options: &JanusOptions, clock: Clock) -> Result<Self, SfuError> {
        let port = free_port(options.ip)?;
        let conf = options.folder.join("janus");
        write_configuration(&conf, port, options)?;
        let mut command = Command::new(&options.binary);
        command.arg("--configs-folder").arg(&conf);
        let address = SocketAddr::from((options.ip, port));
        let process = Process::start(command, address, &options.folder.join("janus.log"), clock)?;
        let pid = process.pid();
        let socket = JsonSocket::connect(&format!("ws://{address}/"), Some("janus-protocol"))?;
        let mut janus = Janus { socket, process: Some(process), pid, session: 0, next: 0 };
        let created = janus.request(json!({ "janus": "create" }))?;
        janus.session = created["data"]["id"].as_u64().unwrap_or(0);
        let handle = janus.attach()?;
        let room = json!({
            "request": "create", "room": ROOM, "publishers": 1000, "bitrate": 0, "fir_freq": 0, "notify_joining": false,
            "audiocodec": "opus", "videocodec": "vp8", "transport_wide_cc_ext": false, "audiolevel_ext": false,
        });
        janus.message(handle, room, None, |event| (event["videoroom"] == "created").then_some(()))?;
        Ok(janus)
    }

    /// Sends a request and returns what it was answered with.
    fn request(&mut self, mut request: Value) -> Result<Value, SfuError> {
        self.next += 1;
        let transaction = self.next.to_string();
        let what = request["janus"].as_str().unwrap_or_default().to_owned();
        request["transaction"] = json!(transaction);
        if self.session != 0 {
            request["session_id"] = json!(self.session);
        }
        self.socket.send(&request)?;
        let answer = self
            .socket
            .wait(&what, |message| (message["transaction"] == transaction.as_str()).then(|| message.clone()))?;
        match answer["janus"].as_str() {
            Some("error") => Err(SfuError::Refused(what, answer["error"].to_string())),
            _ => Ok(answer),
        }
    }

    fn attach(&mut self) -> Result<u64, SfuError> {
        let attached = self.request(json!({ "janus": "attach", "plugin": PLUGIN }))?;
        Ok(attached["data"]["id"].as_u64().unwrap_or(0))
    }

    /// Sends a message to the plugin and waits for the event that `pick` wants, at once or later; returns it with its SDP.
    fn message<T>(
        &mut self,
        handle: u64,
        body: Value,
        jsep: Option<Value>,
        pick: impl Fn(&Value) -> Option<T>,
    ) -> Result<(T, String), SfuError> {
        let what = body["request"].as_str().unwrap_or_default().to_owned();
        let mut request = json!({ "janus": "message", "handle_id": handle, "body": body });
        if let Some(jsep) = jsep {
            request["jsep"] = jsep;
        }
        let found = |message: &Value| -> Option<Result<(T, String), SfuError>> {
            let data = &message["plugindata"]["data"];
            if message["sender"] != handle || data.is_null() {
                return None;
            }
            if !data["error"].is_null() {
                return Some(Err(SfuError::Refused(what.clone(), data["error"].to_string())));
            }
            let sdp = message["jsep"]["sdp"].as_str().unwrap_or_default().to_owned();
            pick(data).map(|value| Ok((value, sdp)))
        };
        let answer = self.request(request)?;
        match found(&answer) {
            Some(result) => result,
            None => self.socket.wait(&what, found)?,
        }
    }
}

/// Handle and, for publishers, feed.
fn seat(handle: u64, feed: u64) -> Seat {
    Seat(format!("{handle} {feed}"))
}

fn numbers(seat: &Seat) -> (u64, u64) {
    let mut words = seat.0.split(' ').map(|word| word.parse().unwrap_or(0));
    (words.next().unwrap_or(0), words.next().unwrap_or(0))
}

impl Sfu for Janus {
    fn pid(&self) -> u32 {
        self.pid
    }

    fn publish(&mut self, peer: &mut dyn Negotiator) -> Result<Seat, SfuError> {
        let handle = self.attach()?;
        let join = json!({ "request": "join", "ptype": "publisher", "room": ROOM });
        let (feed, _) = self.message(handle, join, None, |event| event["id"].as_u64())?;
        let offer = json!({ "type": "offer", "sdp": peer.offer()? });
        let publish = json!({ "request": "publish" });
        let configured = |event: &Value| (event["configured"] == "ok").then_some(());
        let (_, answer) = self.message(handle, publish, Some(offer), configured)?;
        peer.take_answer(&answer)?;
        Ok(seat(handle, feed))
    }

    fn view(&mut self, publisher: &Seat, peer: &mut dyn Negotiator) -> Result<Seat, SfuError> {
        let handle = self.attach()?;
        let (_, feed) = numbers(publisher);
        let join = json!({ "request": "join", "ptype": "subscriber", "room": ROOM, "streams": [{ "feed": feed }] });
        let (_, offer) = self.message(handle, join, None, |event| (event["videoroom"] == "attached").then_some(()))?;
        let answer = json!({ "type": "answer", "sdp": peer.answer(&offer)? });
        let start = json!({ "request": "start" });
        self.message(handle, start, Some(answer), |event| (event["started"] == "ok").then_some(()))?;
        Ok(seat(handle, 0))
    }

    fn leave(&mut self, seat: &Seat) -> Result<(), SfuError> {
        self.request(json!({ "janus": "detach", "handle_id": numbers(seat).0 })).map(drop)
    }

    fn stop(&mut self) {
        self.process = None;
    }
}

/// Only what forwards is loaded; nothing is limited, recorded or reported.
fn write_configuration(folder: &Path, port: u16, options: &JanusOptions) -> Result<(), SfuError> {
    fs::create_dir_all(folder)?;
    let loops = match options.event_loops {
        0 => String::new(),
        count => format!("\tevent_loops = {count}\n"),
    };
    let main = format!(
        "general: {{\n\tdebug_level = 3\n\tsession_timeout = 0\n{loops}}}\n\
         nat: {{\n\tice_enforce_list = \"{}\"\n\tfull_trickle = false\n}}\n\
         plugins: {{\n\tdisable = \"libjanus_audiobridge.so,libjanus_duktape.so,libjanus_echotest.so,libjanus_lua.so,\
         libjanus_nosip.so,libjanus_recordplay.so,libjanus_sip.so,libjanus_streaming.so,libjanus_textroom.so,\
         libjanus_videocall.so,libjanus_voicemail.so\"\n}}\n\
         transports: {{\n\tdisable = \"libjanus_http.so,libjanus_mqtt.so,libjanus_nanomsg.so,libjanus_pfunix.so,\
         libjanus_rabbitmq.so\"\n}}\n",
        options.interface
    );
    let transport =
        format!("general: {{\n\tjson = \"plain\"\n\tws = true\n\tws_port = {port}\n\tws_ip = \"{}\"\n}}\n", options.ip);
    fs::write(folder.join("janus.jcfg"), main)?;
    fs::write(folder.join("janus.transport.websockets.jcfg"), transport)?;
    fs::write(folder.join("janus.plugin.videoroom.jcfg"), "general: {\n}\n")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_keeps_its_numbers() {
        assert_eq!(numbers(&seat(12, 34)), (12, 34));
    }
}

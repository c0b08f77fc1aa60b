//! The example tree under `fixtures/config`, and the rules for missing and bad values.

use rivero_engine::bitrate::BitratePolicy;
use rivero_transport::net::nat::{Host, ServerAddress, TurnTransport, TurnUrl};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::config::{Format, Severity, load};

fn ini(text: &str) -> Tree {
    Format::Ini.parse(text.as_bytes()).expect("the test's own INI")
}

fn server(text: &str) -> (Result<ServerSettings, SettingsError>, Vec<Line>) {
    let mut lines = Vec::new();
    let settings = ServerSettings::read(&ini(text), &mut lines);
    (settings, lines)
}

fn elements(text: &str) -> (ElementSettings, Vec<String>) {
    let mut lines = Vec::new();
    let settings = ElementSettings::read(&ini(text), &mut lines);
    assert!(lines.iter().all(|line| line.severity == Severity::Warning));
    (settings, lines.into_iter().map(|line| line.text).collect())
}

fn ip(address: &str) -> Host {
    Host::Ip(address.parse().expect("an address"))
}

fn codec(encoding: &str, clock_rate: u32, channels: Option<u8>) -> ConfiguredCodec {
    ConfiguredCodec { encoding: encoding.to_owned(), clock_rate, channels }
}

fn fixture() -> (PathBuf, Tree) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/config");
    let loaded = load(&dir.join("kurento.conf.json"), &[dir.join("modules")]).expect("the example loads");
    let complaints: Vec<_> = loaded.lines.iter().filter(|line| line.severity != Severity::Info).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    (dir, loaded.tree)
}

#[test]
fn the_example_tree_sets_every_server_setting() {
    let (dir, tree) = fixture();
    let mut lines = Vec::new();
    let settings = ServerSettings::read(&tree, &mut lines).expect("the example is valid");
    assert_eq!(lines, []);
    let resources = ResourceSettings {
        exception_limit: 0.75,
        kill_limit: Some(0.9),
        garbage_collector_period: Duration::from_secs(120),
        request_cache: false,
    };
    let websocket = WebSocketSettings {
        port: Some(8890),
        address: Some("127.0.0.1".parse().expect("an address")),
        ipv6: false,
        path: "rivero".to_owned(),
        threads: 4,
        connection_queue: Some(50),
        secure: Some(SecureSettings {
            port: 8433,
            certificate: dir.join("cert+key.pem"),
            password: Some("example".to_owned()),
        }),
        registrar: Some(RegistrarSettings {
            address: "ws://198.51.100.7:9090".to_owned(),
            local_address: "media.example".to_owned(),
        }),
    };
    assert_eq!(settings.resources, resources);
    assert_eq!(settings.websocket, websocket);
    assert_eq!(settings.metadata, "{\n    \"site\": \"example\",\n    \"rack\": \"7\"\n}");
    assert_eq!(settings.media_workers, 3);
    assert!(!settings.modern);
    assert_eq!(settings.recordings, Some(dir.join("films")));
    assert_eq!(settings.config_path, dir);
    assert!(!format!("{settings:?}").contains("Some(\"example\")"), "the password stays out of Debug");
}

#[test]
fn the_example_tree_sets_every_element_setting() {
    let (dir, tree) = fixture();
    let mut lines = Vec::new();
    let settings = ElementSettings::read(&tree, &mut lines);
    assert_eq!(lines, []);
    let modules = dir.join("modules/kurento");
    let expected = ElementSettings {
        base_rtp: BaseRtpSettings { min_port: 40000, max_port: 49999, mtu: 1300 },
        media_element: MediaElementSettings {
            output_bitrate: Some(700_000),
            encoder_bitrate: 500_000,
            min_encoder_bitrate: 100_000,
            max_encoder_bitrate: Some(2_000_000),
        },
        sdp: SdpSettings {
            num_audio_medias: 2,
            num_video_medias: 3,
            audio_codecs: vec![codec("opus", 48_000, Some(2)), codec("PCMU", 8000, None)],
            video_codecs: vec![codec("VP8", 90_000, None), codec("H264", 90_000, None)],
        },
        webrtc: WebRtcSettings {
            stun_server: Some(ServerAddress { host: ip("198.51.100.1"), port: 3479 }),
            stun_server_port: 3479,
            turn_server: Some(TurnUrl {
                user: "user".to_owned(),
                password: "password".to_owned(),
                server: ServerAddress { host: ip("198.51.100.2"), port: 3480 },
                transport: TurnTransport::Tcp,
            }),
            pem_certificate_rsa: Some(modules.join("rsa.pem")),
            pem_certificate_ecdsa: Some(PathBuf::from("/etc/ssl/private/ecdsa.pem")),
            network_interfaces: vec!["eth0".to_owned(), "wlan0".to_owned()],
            external_ipv4: Some("198.51.100.3".parse().expect("an address")),
            external_ipv6: Some("2001:db8::3".parse().expect("an address")),
            ice_tcp: false,
            qos_dscp: Some(Dscp { name: "AUDIO_HIGH", code: Some(46) }),
            enable_h265: true,
        },
        uri: UriSettings { default_path: "file:///srv/media".to_owned() },
        http: HttpSettings {
            server_address: Some("localhost".to_owned()),
            port: 9092,
            announced_address: Some("media.example".to_owned()),
        },
        player: PlayerSettings { rtsp_client_ports: Some((30000, 30100)) },
        recorder: RecorderSettings { gaps_fix: GapsFix::GenPts },
        composite: CompositeSettings { width: 1280, height: 720, framerate: 30 },
    };
    assert_eq!(settings, expected);
    assert!(!format!("{settings:?}").contains("password\","), "credentials stay out of Debug");
}

#[test]
fn missing_server_keys_have_their_defaults() {
    let (settings, lines) = server("[mediaServer.net.websocket]\n");
    let settings = settings.expect("valid");
    let expected = WebSocketSettings {
        port: Some(8888),
        address: None,
        ipv6: true,
        path: "kurento".to_owned(),
        threads: 10,
        connection_queue: None,
        secure: None,
        registrar: None,
    };
    assert_eq!(settings.websocket, expected);
    let expected = ResourceSettings {
        exception_limit: 0.8,
        kill_limit: None,
        garbage_collector_period: Duration::from_secs(240),
        request_cache: true,
    };
    assert_eq!(settings.resources, expected);
    assert_eq!(settings.metadata, "");
    assert!(settings.media_workers >= 1);
    assert_eq!(lines, [Line::warning("mediaServer.net.websocket.threads is not set to a number from 1, using 10")]);
}

#[test]
fn port_zero_is_off() {
    let (settings, _) = server("[mediaServer.net.websocket]\nport=0\n");
    assert_eq!(settings.expect("valid").websocket.port, None);
}

#[test]
fn bad_server_values_give_way_to_defaults_and_say_so() {
    let text = "[mediaServer.net.websocket]\nport=99999\nthreads=0\nipv6=maybe\n[mediaServer.resources]\n\
                exceptionLimit=much\ngarbageCollectorPeriod=0\n[mediaServer.media]\nworkers=0\n";
    let (settings, lines) = server(text);
    let settings = settings.expect("valid");
    assert_eq!((settings.websocket.port, settings.websocket.threads, settings.websocket.ipv6), (Some(8888), 10, true));
    assert_eq!(settings.resources.exception_limit, 0.8);
    assert_eq!(settings.resources.garbage_collector_period, Duration::from_secs(240));
    assert!(settings.media_workers >= 1);
    let said = |key: &str| lines.iter().any(|line| line.text.contains(&format!("'{key}' from config")));
    for key in ["net.websocket.port", "net.websocket.ipv6", "resources.exceptionLimit", "media.workers"] {
        assert!(said(&format!("mediaServer.{key}")), "{key}: {lines:?}");
    }
}

#[test]
fn exactly_one_known_interface_must_be_configured() {
    let json = |text: &str| {
        let tree = Format::Json.parse(text.as_bytes()).expect("the test's own JSON");
        ServerSettings::read(&tree, &mut Vec::new()).map(|_| ()).map_err(|error| error.to_string())
    };
    let error = |text: &str| Err(format!("Error creating transport: {text}"));
    assert_eq!(json("{}"), error("No network interface is configured"));
    assert_eq!(json(r#"{"mediaServer":{"net":{"//":"x"}}}"#), error("No network interface is configured"));
    let two = r#"{"mediaServer":{"net":{"websocket":{},"rabbitmq":{}}}}"#;
    assert_eq!(json(two), error("Only one network interface can be configured"));
    let other = r#"{"mediaServer":{"net":{"rabbitmq":{}}}}"#;
    assert_eq!(json(other), error("Configured network interface has not been registered"));
    assert_eq!(json(r#"{"mediaServer":{"net":{"//":"x","websocket":{"//":"y"}}}}"#), Ok(()));
    let (settings, _) = server("[mediaServer.net.websocket]\naddress=media.example\n");
    assert_eq!(settings, Err(SettingsError::BadAddress("media.example".to_owned())));
}

#[test]
fn faults_of_wss_leave_ws_alone() {
    let base = "[mediaServer.net.websocket]\nport=8888\nthreads=1\n[mediaServer.net.websocket.secure]\nport=8433\n";
    let (settings, lines) = server(base);
    assert_eq!(settings.expect("valid").websocket.secure, None);
    assert_eq!(lines, [Line::error("Certificate file must be provided for Secure WebSocket")]);
    let (settings, lines) = server(&format!("{base}certificate=/nonexistent/cert.pem\n"));
    assert_eq!(settings.expect("valid").websocket.port, Some(8888));
    assert_eq!(lines, [Line::error("Certificate file doesn't exist: /nonexistent/cert.pem")]);
}

#[test]
fn missing_element_keys_have_their_defaults() {
    let (settings, lines) = elements("");
    assert_eq!(lines, Vec::<String>::new());
    assert_eq!(settings.base_rtp, BaseRtpSettings { min_port: 1024, max_port: 65535, mtu: 1200 });
    assert_eq!(settings.media_element.encoder_bitrate, 300_000);
    assert_eq!(settings.media_element.max_encoder_bitrate, None);
    let names: Vec<_> = settings.sdp.video_codecs.iter().map(|codec| codec.encoding.as_str()).collect();
    assert_eq!(names, ["H265", "AV1", "VP9", "VP8", "H264"]);
    let names: Vec<_> = settings.sdp.audio_codecs.iter().map(|codec| codec.encoding.as_str()).collect();
    assert_eq!(names, ["opus", "PCMU", "PCMA", "AMR"]);
    assert_eq!((settings.webrtc.stun_server, settings.webrtc.stun_server_port), (None, 3478));
    assert!(settings.webrtc.ice_tcp && !settings.webrtc.enable_h265);
    assert_eq!(settings.uri.default_path, "file:///var/lib/kurento");
    assert_eq!((settings.http.server_address, settings.http.port), (None, 9091));
    assert_eq!(settings.composite, CompositeSettings { width: 800, height: 600, framerate: 15 });
}

#[test]
fn an_sdp_file_without_lists_means_no_codecs() {
    let (settings, lines) = elements("[modules.kurento.SdpEndpoint]\nnumAudioMedias=0\n");
    assert_eq!((settings.sdp.num_audio_medias, settings.sdp.num_video_medias), (0, 1));
    assert_eq!((settings.sdp.audio_codecs, settings.sdp.video_codecs), (vec![], vec![]));
    assert_eq!(lines, Vec::<String>::new());
}

#[test]
fn a_malformed_codec_is_left_out() {
    for bad in ["", "VP8", "VP8/", "/90000", "VP8/0", "opus/48000/2/1", "opus/48000/x", "opus/48000/0"] {
        assert!(bad.parse::<ConfiguredCodec>().is_err(), "{bad}");
    }
    let text = r#"{"modules":{"kurento":{"SdpEndpoint":{"audioCodecs":[{"name":"x"},{"name":"PCMA/8000"}]}}}}"#;
    let mut lines = Vec::new();
    let settings = ElementSettings::read(&Format::Json.parse(text.as_bytes()).expect("JSON"), &mut lines);
    assert_eq!(settings.sdp.audio_codecs, [codec("PCMA", 8000, None)]);
    assert!(lines[0].text.starts_with("Error deserializing 'modules.kurento.SdpEndpoint.audioCodecs'"));
    assert_eq!(lines.len(), 1);
}

#[test]
fn ports_are_clamped_minimum_first() {
    for (min, max, used) in [
        ("80", "2000", (1024, 2000)),
        ("5000", "4000", (5000, 5001)),
        ("70000", "80000", (65534, 65535)),
        ("-1", "-1", (1024, 1025)),
    ] {
        let (settings, lines) = elements(&format!("[modules.kurento.BaseRtpEndpoint]\nminPort={min}\nmaxPort={max}\n"));
        assert_eq!((settings.base_rtp.min_port, settings.base_rtp.max_port), used);
        assert_eq!(lines.len(), 1, "{lines:?}");
    }
}

#[test]
fn bad_element_values_give_way_to_defaults_and_say_so() {
    let text = "[modules.kurento.WebRtcEndpoint]\niceTcp=true\nqos-dscp=LOUD\nstunServerAddress=not an ip\n\
                turnURL=me:hunter2@198.51.100.1\nexternalIPv4=::1\nenable-h265=1\nexternalIPv6=\n\
                [modules.kurento.PlayerEndpoint]\nrtspClientPortRange=9-1\n[modules.kurento.RecorderEndpoint]\ngapsFix=ALL\n";
    let (settings, lines) = elements(text);
    let webrtc = &settings.webrtc;
    assert!(webrtc.ice_tcp && !webrtc.enable_h265);
    assert_eq!((webrtc.qos_dscp, &webrtc.stun_server, &webrtc.turn_server), (None, &None, &None));
    assert_eq!((webrtc.external_ipv4, webrtc.external_ipv6), (None, None));
    assert_eq!((settings.player.rtsp_client_ports, settings.recorder.gaps_fix), (None, GapsFix::None));
    for key in [
        "WebRtcEndpoint.iceTcp",
        "WebRtcEndpoint.qos-dscp",
        "WebRtcEndpoint.turnURL",
        "PlayerEndpoint.rtspClientPortRange",
    ] {
        let start = format!("Error deserializing 'modules.kurento.{key}' from config: ");
        assert!(lines.iter().any(|line| line.starts_with(&start)), "{key}: {lines:?}");
    }
    assert_eq!(lines.len(), 7, "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("hunter2")));
}

#[test]
fn old_names_still_work_and_newer_ones_go_first() {
    let (settings, lines) = elements(
        "[modules.kurento.WebRtcEndpoint]\nconfigPath=/etc/kurento/modules/kurento\npemCertificate=old.pem\n\
         externalAddress=192.0.2.1\nqos-dscp=NO_DSCP\nnetworkInterfaces= a, b ,c\n",
    );
    assert_eq!(settings.webrtc.pem_certificate_rsa, Some(PathBuf::from("/etc/kurento/modules/kurento/old.pem")));
    assert_eq!(settings.webrtc.external_ipv4, Some("192.0.2.1".parse().expect("an address")));
    assert_eq!(settings.webrtc.qos_dscp, Some(Dscp { name: "NO_DSCP", code: None }));
    assert_eq!(settings.webrtc.network_interfaces, ["a", "b", "c"]);
    assert!(lines.contains(&"pemCertificate is deprecated. Please use pemCertificateRSA instead".to_owned()));
    let (settings, _) = elements(
        "[modules.kurento.WebRtcEndpoint]\npemCertificate=old.pem\npemCertificateRSA=/new.pem\n\
         externalAddress=192.0.2.1\nexternalIPv4=192.0.2.2\n",
    );
    assert_eq!(settings.webrtc.pem_certificate_rsa, Some(PathBuf::from("/new.pem")));
    assert_eq!(settings.webrtc.external_ipv4, Some("192.0.2.2".parse().expect("an address")));
}

#[test]
fn servers_may_have_names() {
    let (settings, lines) = elements(
        "[modules.kurento.WebRtcEndpoint]\nstunServerAddress=Stun.example\nstunServerPort=19302\n\
         turnURL=u:p@turn.example:443?transport=tls\n",
    );
    assert_eq!(lines, Vec::<String>::new());
    let stun = settings.webrtc.stun_server.map(|server| server.to_string());
    assert_eq!(stun.as_deref(), Some("stun.example:19302"));
    let turn = settings.webrtc.turn_server.map(|url| url.reveal());
    assert_eq!(turn.as_deref(), Some("u:p@turn.example:443?transport=tls"));
}

#[test]
fn modern_additions_have_one_switch() {
    let modern = |value: &str| {
        let (settings, lines) =
            server(&format!("[mediaServer.net.websocket]\nport=1\nthreads=9\n[mediaServer.media]\n{value}\n"));
        (settings.expect("valid").modern, lines.len())
    };
    assert_eq!(modern("workers=1"), (true, 0));
    assert_eq!(modern("modern=true"), (true, 0));
    assert_eq!(modern("modern=false"), (false, 0));
    assert_eq!(modern("modern=perhaps"), (true, 1));
}

#[test]
fn the_rule_for_bitrates_is_one_of_two() {
    let policy = |value: &str| {
        let (settings, lines) =
            server(&format!("[mediaServer.net.websocket]\nport=1\nthreads=9\n[mediaServer.media]\n{value}\n"));
        (settings.expect("valid").bitrate_policy, lines.len())
    };
    assert_eq!(policy("bitrate=slowest"), (BitratePolicy::Slowest, 0));
    assert_eq!(policy("bitrate=most"), (BitratePolicy::Most, 0));
    assert_eq!(policy("bitrate=all"), (BitratePolicy::Slowest, 1));
    assert_eq!(policy("workers=1"), (BitratePolicy::Slowest, 0));
}

#[test]
fn files_lie_anywhere_unless_directories_are_named() {
    let read = |media: &str| {
        let text = format!(
            r#"{{"mediaServer": {{"net": {{"websocket": {{"port": 8888, "threads": 1}}}}, "media": {media}}}}}"#
        );
        let tree = Format::Json.parse(text.as_bytes()).expect("JSON");
        let mut lines = Vec::new();
        (ServerSettings::read(&tree, &mut lines).expect("valid").files, lines.len())
    };
    assert_eq!(read("{}"), (FileSettings { roots: None, sync: false, spool: 16 << 30 }, 0));
    let below = |roots: &[&str]| Some(roots.iter().map(PathBuf::from).collect::<Vec<_>>());
    let named = read(r#"{"fileRoots": ["/", "/none/such"], "recordingSync": true, "recordingSpool": 64}"#);
    assert_eq!(named, (FileSettings { roots: below(&["/", "/none/such"]), sync: true, spool: 64 << 20 }, 1));
    assert_eq!(read(r#"{"fileRoots": "/"}"#).0.roots, below(&["/"]));
    // What cannot be meant opens nothing.
    for nowhere in [r#"["relative"]"#, "[]", r#""""#] {
        let (files, warnings) = read(&format!(r#"{{"fileRoots": {nowhere}}}"#));
        assert_eq!(files.roots, below(&[]), "{nowhere}");
        assert!(warnings > 0, "{nowhere}");
    }
}

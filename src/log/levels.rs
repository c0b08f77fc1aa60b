//! Thresholds: a text in the syntax of `GST_DEBUG` comes in, levels for tracing's targets go out.
//!
//! GStreamer knows more levels than tracing: FIXME counts as a warning; LOG, TRACE and MEMDUMP are one.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// `[<default>,]<glob>:<level>,...`; later entries win.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogSpec {
    default: Option<LevelFilter>,
    entries: Vec<(String, LevelFilter)>,
}

/// The targets of Rivero with the categories of Kurento that mean the same things. A target takes the most talkative of
/// its categories.
const CATEGORIES: [(&str, &[&str]); 5] = [
    ("rivero", &["KurentoMediaServer", "KurentoResourceManager", "KurentoModuleManager"]),
    (
        "rivero_rpc",
        &[
            "KurentoServerMethods",
            "KurentoWebSocketTransport",
            "KurentoWebSocketEventHandler",
            "KurentoWebSocketRegistrar",
            "KurentoTransportFactory",
            "KurentoRequestCache",
            "KurentoCacheEntry",
            "KurentoMediaSet",
            "KurentoWorkerPool",
            "KurentoServerManagerImpl",
        ],
    ),
    ("rivero_rpc::config", &["KurentoLoadConfig"]),
    (
        "rivero_transport",
        &[
            "webrtcendpoint",
            "rtpendpoint",
            "basertpendpoint",
            "kmsiceniceagent",
            "kmswebrtcsession",
            "kmssdpsession",
            "kmsremb",
            "KurentoWebRtcEndpointImpl",
            "KurentoRtpEndpointImpl",
        ],
    ),
    (
        "rivero_engine",
        &[
            "agnosticbin",
            "kmselement",
            "rtpsynchronizer",
            "playerendpoint",
            "recorderendpoint",
            "KurentoMediaElementImpl",
            "KurentoMediaPipelineImpl",
        ],
    ),
];

impl LogSpec {
    /// Reads the text. Entries that make no sense are left out, as GStreamer does.
    pub fn parse(text: &str) -> Self {
        let mut spec = Self::default();
        for entry in text.split(',').map(str::trim) {
            match entry.rsplit_once(':') {
                None => spec.default = level(entry).or(spec.default),
                Some((glob, name)) => {
                    if let Some(level) = level(name).filter(|_| !glob.trim().is_empty()) {
                        spec.entries.push((glob.trim().to_owned(), level));
                    }
                }
            }
        }
        spec
    }

    /// The threshold of one category: its last entry, or the default.
    fn level_of(&self, category: &str) -> LevelFilter {
        let entry = self.entries.iter().rev().find(|(glob, _)| matches_glob(glob, category));
        entry.map(|(_, level)| *level).or(self.default).unwrap_or(LevelFilter::INFO)
    }

    /// The thresholds for tracing. Without a default in the text, Rivero's own targets say what INFO says, and foreign
    /// crates only what they warn of.
    pub fn targets(&self) -> Targets {
        let mut targets = Targets::new().with_default(self.default.unwrap_or(LevelFilter::WARN));
        for (glob, level) in &self.entries {
            // A name without wildcards may be a target that the table does not know.
            match glob.as_str() {
                "*" => targets = targets.with_default(*level),
                name if !name.contains(['*', '?']) => targets = targets.with_target(name, *level),
                _ => {}
            }
        }
        for (target, categories) in CATEGORIES {
            let mut most = self.level_of(target);
            for category in categories {
                let level = self.level_of(category);
                most = most.max(level);
                targets = targets.with_target(*category, level);
            }
            // An entry that names the target itself is the more exact word.
            let is_named = self.entries.iter().any(|(glob, _)| glob.starts_with(target));
            targets = targets.with_target(target, if is_named { self.level_of(target) } else { most });
        }
        targets
    }
}

/// A digit or a name.
fn level(text: &str) -> Option<LevelFilter> {
    Some(match text.trim().to_ascii_uppercase().as_str() {
        "0" | "NONE" => LevelFilter::OFF,
        "1" | "ERROR" => LevelFilter::ERROR,
        "2" | "WARN" | "WARNING" | "3" | "FIXME" => LevelFilter::WARN,
        "4" | "INFO" => LevelFilter::INFO,
        "5" | "DEBUG" => LevelFilter::DEBUG,
        "6" | "LOG" | "7" | "TRACE" | "8" | "9" | "MEMDUMP" => LevelFilter::TRACE,
        _ => return None,
    })
}

/// `*` stands for any text, `?` for any one byte. Goes back to the last star only, so the time is bounded by the
/// product of the lengths.
fn matches_glob(glob: &str, text: &str) -> bool {
    let (glob, text) = (glob.as_bytes(), text.as_bytes());
    let (mut g, mut t) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while t < text.len() {
        match glob.get(g) {
            Some(b'*') => {
                last_star = Some((g, t));
                g += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[t] => {
                g += 1;
                t += 1;
            }
            _ => match last_star {
                Some((star, from)) => {
                    last_star = Some((star, from + 1));
                    g = star + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    fn says(spec: &str, target: &str, level: Level) -> bool {
        LogSpec::parse(spec).targets().would_enable(target, &level)
    }

    #[test]
    fn globs_match_as_in_gstreamer() {
        for (glob, text) in
            [("*", ""), ("kms*", "kmselement"), ("*rtp?nd*t", "rtpendpoint"), ("a?c", "abc"), ("a**", "a")]
        {
            assert!(matches_glob(glob, text), "{glob} {text}");
        }
        for (glob, text) in [("", "a"), ("kms", "kmselement"), ("a?c", "ac"), ("*x", "xy"), ("?", "")] {
            assert!(!matches_glob(glob, text), "{glob} {text}");
        }
    }

    #[test]
    fn without_a_text_our_own_say_info_and_others_warn() {
        assert!(says("", "rivero_engine::graph", Level::INFO) && !says("", "rivero_engine", Level::DEBUG));
        assert!(says("", "KurentoMediaServer", Level::INFO));
        assert!(says("", "hyper", Level::WARN) && !says("", "hyper", Level::INFO));
    }

    #[test]
    fn kurentos_own_default_shows_the_milestones() {
        let spec = "2,Kurento*:4,kms*:4,sdp*:4,webrtc*:4,*rtpendpoint:4,rtp*handler:4,rtpsynchronizer:4,agnosticbin:4";
        for target in ["rivero", "rivero_rpc::server", "rivero_transport::ice", "rivero_engine", "KurentoMediaServer"] {
            assert!(says(spec, target, Level::INFO), "{target}");
            assert!(!says(spec, target, Level::DEBUG), "{target}");
        }
        assert!(!says(spec, "hyper", Level::INFO));
        assert!(!says("3", "rivero_rpc", Level::INFO) && says("3", "rivero_rpc", Level::WARN));
    }

    #[test]
    fn a_category_raises_its_targets_only() {
        let spec = "3,KurentoWebSocket*:5";
        assert!(says(spec, "rivero_rpc::connection", Level::DEBUG));
        assert!(says(spec, "KurentoWebSocketTransport", Level::DEBUG));
        assert!(!says(spec, "rivero_rpc::config", Level::INFO) && !says(spec, "rivero_engine", Level::INFO));
        assert!(!says(spec, "KurentoServerMethods", Level::INFO));
        assert!(says("2,kmsice*:LOG", "rivero_transport", Level::TRACE));
    }

    #[test]
    fn later_entries_win_and_targets_may_be_named() {
        assert!(!says("kms*:6,*:2", "rivero_engine", Level::INFO));
        assert!(says("*:2,kms*:6", "rivero_engine", Level::TRACE));
        assert!(!says("4,Kurento*:5,rivero_rpc:1", "rivero_rpc", Level::WARN));
        assert!(says("2,rustls:5", "rustls::client", Level::DEBUG));
        assert!(!says("0", "rivero", Level::ERROR));
    }

    #[test]
    fn nonsense_is_left_out() {
        assert_eq!(LogSpec::parse("loud,a:b,:4,,x:-1"), LogSpec::default());
        let spec = LogSpec::parse("info, a : 5 ,b:10");
        let expected =
            LogSpec { default: Some(LevelFilter::INFO), entries: vec![("a".to_owned(), LevelFilter::DEBUG)] };
        assert_eq!(spec, expected);
    }
}

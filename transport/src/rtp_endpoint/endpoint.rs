//! The control side of an `RtpEndpoint`: negotiates, once, and holds what applications ask for afterwards.

use super::plan::{LinePlan, RtpCommand};
use super::session::RtpSession;
use crate::negotiation::{Negotiation, NegotiationError, ask, lock, origin_id, random_cname, random_u32};
use crate::net::local_addresses;
use crate::rtp::format::PayloadType;
use crate::sdp::{
    self, ABS_SEND_TIME, AudioVideo, Crypto, Kind, LocalCodec, LocalLines, OfferOptions, RtpLine, RtpLocal,
};
use crate::webrtc::SessionReport;
use crate::webrtc::bitrate::{BandwidthLimits, RembParams};
use rivero_engine::graph::NodeSpec;
use rivero_engine::node::DEFAULT_PORTS;
use rivero_engine::{Codec, Element, EngineError, MediaKind, Pipeline};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard};

/// What may be negotiated.
#[derive(Clone, Debug)]
pub struct RtpConfig {
    pub audio_codecs: Vec<LocalCodec>,
    pub video_codecs: Vec<LocalCodec>,
    /// 0 or 1 each.
    pub audio_lines: usize,
    pub video_lines: usize,
}

/// What an application sets before it negotiates.
#[derive(Clone, Debug, Default)]
pub struct RtpOptions {
    /// Our suite and key for SRTP; `None` for plain RTP.
    pub crypto: Option<Crypto>,
    pub ipv6: bool,
    /// kbps; 0 for none.
    pub max_audio_recv_kbps: u32,
    pub max_video_recv_kbps: u32,
}

pub struct RtpEndpoint {
    element: Element,
    config: RtpConfig,
    options: Mutex<RtpOptions>,
    state: Mutex<Negotiation>,
    cname: String,
    audio_ssrc: u32,
    video_ssrc: u32,
}

impl RtpEndpoint {
    pub async fn create(
        pipeline: &Pipeline,
        label: String,
        options: RtpOptions,
        config: RtpConfig,
    ) -> Result<Self, EngineError> {
        let config = RtpConfig {
            audio_codecs: carried(config.audio_codecs),
            video_codecs: carried(config.video_codecs),
            ..config
        };
        let name = label.clone();
        let spec = NodeSpec {
            class: "RtpEndpoint",
            label,
            inputs: DEFAULT_PORTS.to_vec(),
            outputs: DEFAULT_PORTS.to_vec(),
            build: Box::new(move |context| Box::new(RtpSession::new(context, name))),
            worker: None,
        };
        let element = pipeline.add(spec).await?;
        element.take_no_media_yet();
        let cname = random_cname();
        let (options, state) = (Mutex::new(options), Mutex::default());
        Ok(RtpEndpoint { element, config, options, state, cname, audio_ssrc: random_u32(), video_ssrc: random_u32() })
    }

    pub fn element(&self) -> &Element {
        &self.element
    }

    pub fn options(&self) -> MutexGuard<'_, RtpOptions> {
        lock(&self.options)
    }

    fn state(&self) -> MutexGuard<'_, Negotiation> {
        lock(&self.state)
    }

    /// Makes our offer, and opens its ports.
    ///
    /// Errors: [`NegotiationError::AlreadyNegotiated`]; [`NegotiationError::NotOpened`] when no ports are free, after which the
    /// endpoint can be used again.
    pub async fn generate_offer(&self, audio: bool, video: bool) -> Result<String, NegotiationError> {
        self.state().begin()?;
        let (mut offer, offered) = sdp::offer_rtp(&self.local(), OfferOptions { audio, video, data: false });
        let ports = self.bind(offered.len()).await.inspect_err(|_| self.state().undo())?;
        ports.into_iter().enumerate().for_each(|(index, port)| sdp::set_ports(&mut offer, index, port));
        Ok(self.state().offer(offer, offered))
    }

    /// Answers an offer and opens the session.
    ///
    /// Errors: [`NegotiationError::Sdp`] for a text that is none, and as [`RtpEndpoint::generate_offer`].
    pub async fn process_offer(&self, text: &str) -> Result<String, NegotiationError> {
        let offer = sdp::parse(text)?;
        self.state().begin()?;
        let local = self.local();
        let (mut answer, lines) = sdp::answer_rtp(&offer, &local);
        let opened = async {
            let ports = self.bind(lines.len()).await?;
            for (line, port) in lines.iter().zip(ports) {
                sdp::set_ports(&mut answer, line.index, port);
            }
            let plans = lines.iter().enumerate().filter_map(|(place, line)| plan(place, line, &local));
            self.open(plans.collect()).await
        };
        opened.await.inspect_err(|_| self.state().undo())?;
        Ok(self.state().answer(offer, answer))
    }

    /// Takes the answer to our offer, opens the session and returns our description.
    ///
    /// Errors: as [`RtpEndpoint::process_offer`], and [`NegotiationError::OfferNotGenerated`],
    /// [`NegotiationError::AnswerAlreadyProcessed`].
    pub async fn process_answer(&self, text: &str) -> Result<String, NegotiationError> {
        let (offered, answer) = self.state().begin_answer(text)?;
        let local = self.local();
        let lines = sdp::process_rtp_answer(&offered, &answer, &local);
        let plans = lines.iter().filter_map(|line| plan(line.index, line, &local)).collect();
        if let Err(why) = self.open(plans).await {
            self.state().undo_answer(offered);
            return Err(why);
        }
        let mut state = self.state();
        state.finish_answer(answer);
        Ok(state.local.as_ref().map(sdp::write).unwrap_or_default())
    }

    pub fn local_description(&self) -> Option<String> {
        self.state().local.as_ref().map(sdp::write)
    }

    pub fn remote_description(&self) -> Option<String> {
        self.state().remote.as_ref().map(sdp::write)
    }

    /// Asks whoever feeds this endpoint for a key frame; false when it sends no video.
    pub async fn request_key_frame(&self) -> Result<bool, EngineError> {
        ask(&self.element, |reply| RtpCommand::RequestKeyFrame { reply }).await
    }

    /// Sets what video may take from now on, and how its estimators work once they are negotiated.
    pub async fn set_bandwidths(&self, limits: BandwidthLimits, params: RembParams) -> Result<(), EngineError> {
        self.element.tell(RtpCommand::SetBandwidths { limits, params }).await
    }

    pub async fn report(&self) -> Result<SessionReport, EngineError> {
        ask(&self.element, |reply| RtpCommand::Report { reply }).await
    }

    async fn bind(&self, pairs: usize) -> Result<Vec<u16>, NegotiationError> {
        let bound = ask(&self.element, |reply| RtpCommand::Bind { pairs, reply }).await?;
        bound.map_err(NegotiationError::NotOpened)
    }

    async fn open(&self, lines: Vec<LinePlan>) -> Result<(), NegotiationError> {
        let cname = self.cname.clone();
        let opened = ask(&self.element, |reply| RtpCommand::Open { lines, cname, reply }).await?;
        opened.map_err(NegotiationError::NotOpened)
    }

    /// What we bring to the negotiation.
    fn local(&self) -> RtpLocal {
        let options = self.options().clone();
        RtpLocal {
            origin_id: origin_id(&self.element),
            address: own_address(options.ipv6),
            lines: AudioVideo {
                audio: LocalLines {
                    codecs: self.config.audio_codecs.clone(),
                    most: self.config.audio_lines,
                    max_recv_kbps: options.max_audio_recv_kbps,
                },
                video: LocalLines {
                    codecs: self.config.video_codecs.clone(),
                    most: self.config.video_lines,
                    max_recv_kbps: options.max_video_recv_kbps,
                },
            },
            cname: self.cname.clone(),
            audio_ssrc: self.audio_ssrc,
            video_ssrc: self.video_ssrc,
            crypto: options.crypto,
        }
    }
}

/// Whatever is negotiated must be carried as well: codecs that the graph knows no name for are left out.
fn carried(codecs: Vec<LocalCodec>) -> Vec<LocalCodec> {
    let (carried, others): (Vec<_>, Vec<_>) = codecs.into_iter().partition(|codec| Codec::parse(&codec.name).is_some());
    for codec in others {
        tracing::warn!(codec = codec.name, "a configured codec is not negotiated: nothing here can carry it");
    }
    carried
}

/// The first address of the family; that of the loopback interface on a machine without another.
fn own_address(ipv6: bool) -> IpAddr {
    let found = local_addresses(&[]).into_iter().find(|address| address.is_ipv6() == ipv6);
    found.unwrap_or(if ipv6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() })
}

fn plan(place: usize, line: &RtpLine, local: &RtpLocal) -> Option<LinePlan> {
    let kind = match line.kind {
        Kind::Audio => MediaKind::Audio,
        Kind::Video => MediaKind::Video,
        Kind::Application | Kind::Other => return None,
    };
    let (remote, remote_rtcp) = destinations(line);
    Some(LinePlan {
        place,
        kind,
        sends: line.direction.sends(),
        receives: line.direction.receives(),
        payload_types: line.codecs.iter().filter_map(PayloadType::new).collect(),
        local_ssrc: line.local_ssrc,
        remote,
        remote_rtcp,
        comedia: line.comedia,
        abs_send_time: line.extmaps.iter().find(|extmap| extmap.uri == ABS_SEND_TIME).map(|extmap| extmap.id),
        most: line.remote.bandwidth,
        keys: local.crypto.clone().zip(line.remote_crypto.clone()),
    })
}

/// Where the peer says that RTP and RTCP shall go: the port after RTP's where it names none (RFC 3550 §11, RFC 3605).
fn destinations(line: &RtpLine) -> (Option<SocketAddr>, Option<SocketAddr>) {
    // The discard port stands for none, and so does the address that is none.
    let to = |ip: Option<IpAddr>, port: u16| {
        let ip = ip.filter(|ip| !ip.is_unspecified())?;
        (port != 0 && port != 9).then(|| SocketAddr::new(ip, port))
    };
    let remote = &line.remote;
    let ip_of = |connection: &sdp::Connection| connection.address.split('/').next()?.parse::<IpAddr>().ok();
    let ip = remote.connection.as_ref().and_then(ip_of);
    let rtp = to(ip, remote.port);
    let rtcp = match &remote.rtcp {
        Some((port, connection)) => to(connection.as_ref().and_then(ip_of).or(ip), *port),
        None => rtp.and_then(|_| to(ip, remote.port.checked_add(1)?)),
    };
    (rtp, rtcp)
}

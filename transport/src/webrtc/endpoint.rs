//! The control side of a `WebRtcEndpoint`: negotiates, once, and holds what applications ask for afterwards.

use super::Certificate;
use super::bitrate::{BandwidthLimits, RembParams};
use super::data::{ChannelOptions, DataChannelError};
use super::event::SessionReport;
use super::plan::{GatherPlan, LinePlan, SessionCommand, TransportPlan};
use super::session::WebRtcSession;
use crate::negotiation::{Negotiation, NegotiationError, ask, lock, origin_id, random_cname, random_u32};
use crate::net::nat::{ServerAddress, TurnUrl};
use crate::net::{Mark, local_addresses};
use crate::rtp::format::PayloadType;
use crate::sdp::{
    self, ABS_SEND_TIME, Candidate, CandidateType, Direction, DtlsRole, IceCredentials, Kind, LocalLines, LocalMedia,
    LocalSession, MID, Modern, Negotiated, NegotiatedMedia, OfferOptions, TRANSPORT_CC,
};
use rivero_engine::graph::NodeSpec;
use rivero_engine::node::DEFAULT_PORTS;
use rivero_engine::{Element, EngineError, MediaKind, Pipeline};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::mpsc;

/// Candidates that may wait until somebody wants to see our description: of every address one, and a relay.
const LATER: usize = 256;
/// How long the name of a STUN server may take to resolve: the application waits meanwhile.
const RESOLVE: Duration = Duration::from_secs(2);

/// What all endpoints of the process share.
pub struct WebRtcConfig {
    pub certificate: Arc<Certificate>,
    /// Encoding names as configured: `opus/48000/2`, `VP8/90000` …, already without what WebRTC leaves out.
    pub audio_codecs: Vec<sdp::LocalCodec>,
    pub video_codecs: Vec<sdp::LocalCodec>,
    /// 0 or 1 each.
    pub audio_lines: usize,
    pub video_lines: usize,
    /// Takes what newer peers offer beyond Kurento's set ([`Modern`]).
    pub modern: bool,
}

/// What an application sets before it negotiates.
#[derive(Clone, Debug, Default)]
pub struct EndpointOptions {
    pub recvonly: bool,
    pub sendonly: bool,
    pub use_data_channels: bool,
    /// Names of interfaces; all when empty.
    pub network_interfaces: Vec<String>,
    pub external_v4: Option<IpAddr>,
    pub external_v6: Option<IpAddr>,
    /// Asked where our ports are seen from outside (server reflexive candidates).
    pub stun: Option<ServerAddress>,
    /// Asked for a relay.
    pub turn: Option<TurnUrl>,
    /// Offers TCP candidates beside UDP ones.
    pub ice_tcp: bool,
    /// The six bits that routers may tell our datagrams by; `None` leaves them unmarked. Read when the endpoint is made.
    pub dscp: Option<u8>,
    /// kbps; 0 for none.
    pub max_audio_recv_kbps: u32,
    pub max_video_recv_kbps: u32,
}

#[derive(Default)]
struct State {
    negotiation: Negotiation,
    /// The m-lines of each transport, by mid and position.
    transports: Vec<Vec<(String, usize)>>,
    /// What was found at once, and what servers have said since.
    candidates: Vec<Candidate>,
    late: Vec<Candidate>,
    /// Since candidates are gathered.
    later: Option<mpsc::Receiver<Candidate>>,
}

impl State {
    /// Our description, with the candidates gathered so far.
    fn describe(&mut self) -> Option<String> {
        let later = self.later.as_mut();
        for found in later.into_iter().flat_map(|later| std::iter::from_fn(|| later.try_recv().ok())) {
            if found.typ == CandidateType::Relayed {
                // There is one relay at a time: the one before was lost.
                let is_other = |known: &Candidate| known.typ != CandidateType::Relayed;
                self.candidates.retain(is_other);
                self.late.retain(is_other);
            }
            self.late.push(found);
        }
        let local = self.negotiation.local.as_ref()?;
        let lists = vec![[&self.candidates[..], &self.late].concat(); local.media.len()];
        Some(sdp::write(&sdp::describe_gathered(local, &lists)))
    }
}

pub struct WebRtcEndpoint {
    element: Element,
    config: Arc<WebRtcConfig>,
    options: Mutex<EndpointOptions>,
    state: Mutex<State>,
    /// The canonical name of our sources.
    cname: String,
}

impl WebRtcEndpoint {
    pub async fn create(
        pipeline: &Pipeline,
        label: String,
        options: EndpointOptions,
        config: Arc<WebRtcConfig>,
    ) -> Result<Self, EngineError> {
        let name = label.clone();
        let mark = options.dscp.map_or(Mark::NONE, Mark::dscp);
        let spec = NodeSpec {
            class: "WebRtcEndpoint",
            label,
            inputs: DEFAULT_PORTS.to_vec(),
            outputs: DEFAULT_PORTS.to_vec(),
            build: Box::new(move |context| Box::new(WebRtcSession::new(context, name, mark))),
            worker: None,
        };
        let element = pipeline.add(spec).await?;
        element.take_no_media_yet();
        let cname = random_cname();
        Ok(WebRtcEndpoint { element, config, options: Mutex::new(options), state: Mutex::default(), cname })
    }

    pub fn element(&self) -> &Element {
        &self.element
    }

    pub fn options(&self) -> MutexGuard<'_, EndpointOptions> {
        lock(&self.options)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Makes our offer.
    ///
    /// Errors: [`NegotiationError::AlreadyNegotiated`], [`NegotiationError::Sdp`].
    pub fn generate_offer(&self, audio: bool, video: bool) -> Result<String, NegotiationError> {
        let mut state = self.state();
        state.negotiation.begin()?;
        let local = self.local_session(3);
        let made = sdp::offer(&local, OfferOptions { audio, video, data: local.use_data_channels });
        let (offer, offered) = made.inspect_err(|_| state.negotiation.undo())?;
        // Until the answer says otherwise everything is on one transport.
        let line = |(index, media): (usize, &sdp::Media)| (media.mid().unwrap_or_default().to_owned(), index);
        state.transports = vec![offer.media.iter().enumerate().map(line).collect()];
        Ok(state.negotiation.offer(offer, offered))
    }

    /// Answers an offer and opens the session.
    ///
    /// Errors: [`NegotiationError::Sdp`] for a text that is none, [`NegotiationError::AlreadyNegotiated`],
    /// [`NegotiationError::NotOpened`], after which the endpoint can be used again.
    pub async fn process_offer(&self, text: &str) -> Result<String, NegotiationError> {
        let offer = sdp::parse(text)?;
        self.state().negotiation.begin()?;
        let answered = async {
            let negotiated = sdp::answer(&offer, &self.local_session(offer.media.len()))?;
            let (plans, transports) = plan(&negotiated, false, &self.cname);
            self.open(plans).await?;
            Ok((negotiated.answer, transports))
        };
        let answered: Result<_, NegotiationError> = answered.await;
        let mut state = self.state();
        let (answer, transports) = answered.inspect_err(|_| state.negotiation.undo())?;
        state.transports = transports;
        Ok(state.negotiation.answer(offer, answer))
    }

    /// Takes the answer to our offer, opens the session and returns our description.
    ///
    /// Errors: as [`WebRtcEndpoint::process_offer`], and [`NegotiationError::OfferNotGenerated`],
    /// [`NegotiationError::AnswerAlreadyProcessed`].
    pub async fn process_answer(&self, text: &str) -> Result<String, NegotiationError> {
        let (offered, answer) = self.state().negotiation.begin_answer(text)?;
        let outcome = match sdp::process_answer(&offered, &answer) {
            Ok(negotiated) => {
                let (plans, transports) = plan(&negotiated, true, &self.cname);
                self.open(plans).await.map(|()| transports)
            }
            Err(why) => Err(why.into()),
        };
        let mut state = self.state();
        match outcome {
            Ok(transports) => {
                state.transports = transports;
                state.negotiation.finish_answer(answer);
                Ok(state.describe().unwrap_or_default())
            }
            Err(why) => {
                state.negotiation.undo_answer(offered);
                Err(why)
            }
        }
    }

    /// Collects local candidates, once; they are told one by one, and then that there are no more.
    ///
    /// Errors: [`NegotiationError::NotGathered`], after which it can be tried again.
    pub async fn gather_candidates(&self) -> Result<(), NegotiationError> {
        if self.state().later.is_some() {
            return Ok(());
        }
        let stun = self.stun_addresses().await;
        let (later, receiver) = mpsc::channel(LATER);
        let plan = {
            let mut state = self.state();
            if state.negotiation.local.is_none() {
                return Err(NegotiationError::NotGathered("there is no description yet".to_owned()));
            }
            // Two calls at the same time: the other was faster.
            if state.later.is_some() {
                return Ok(());
            }
            // Before the first can be told: applications ask for our description as soon as they hear of it.
            state.later = Some(receiver);
            let options = self.options();
            GatherPlan {
                addresses: local_addresses(&options.network_interfaces),
                external_v4: options.external_v4,
                external_v6: options.external_v6,
                tcp: options.ice_tcp,
                stun,
                turn: options.turn.clone(),
                later,
                own_port: state.negotiation.offerer,
                transports: state.transports.clone(),
            }
        };
        let gathered = ask(&self.element, |reply| SessionCommand::Gather { plan, reply }).await?;
        let mut state = self.state();
        match gathered {
            Ok(candidates) => state.candidates = candidates,
            Err(why) => {
                state.later = None;
                return Err(NegotiationError::NotGathered(why));
            }
        }
        Ok(())
    }

    /// Where the STUN server is; nowhere, with a line in the log, when its name does not lead there.
    async fn stun_addresses(&self) -> Vec<SocketAddr> {
        let Some(server) = self.options().stun.clone() else { return Vec::new() };
        match tokio::time::timeout(RESOLVE, server.resolve()).await {
            Ok(Ok(addresses)) => addresses,
            Ok(Err(why)) => {
                tracing::warn!(%server, "the STUN server's name cannot be resolved: {why}");
                Vec::new()
            }
            Err(_) => {
                tracing::warn!(%server, "the STUN server's name takes too long to resolve");
                Vec::new()
            }
        }
    }

    /// Hands a remote candidate on; `index` is the m-line that it is for.
    pub async fn add_ice_candidate(&self, candidate: Candidate, index: Option<usize>) -> Result<(), EngineError> {
        self.element.tell(SessionCommand::AddCandidate { index, candidate }).await
    }

    /// Our description, with the candidates gathered so far.
    pub fn local_description(&self) -> Option<String> {
        self.state().describe()
    }

    pub fn remote_description(&self) -> Option<String> {
        self.state().negotiation.remote.as_ref().map(sdp::write)
    }

    /// Asks whoever feeds this endpoint for a key frame; false when it sends no video.
    pub async fn request_key_frame(&self) -> Result<bool, EngineError> {
        ask(&self.element, |reply| SessionCommand::RequestKeyFrame { reply }).await
    }

    /// Sets what video may take from now on, and how its estimators work once they are negotiated.
    pub async fn set_bandwidths(&self, limits: BandwidthLimits, params: RembParams) -> Result<(), EngineError> {
        self.element.tell(SessionCommand::SetBandwidths { limits, params }).await
    }

    pub async fn report(&self) -> Result<SessionReport, EngineError> {
        ask(&self.element, |reply| SessionCommand::Report { reply }).await
    }

    /// Opens a data channel as soon as the association stands; the peer may open others at any time.
    ///
    /// Errors: [`DataChannelError::NotNegotiated`] unless data channels are negotiated, or offered by us, and those of a wish
    /// that cannot be met.
    pub async fn create_data_channel(&self, options: ChannelOptions) -> Result<(), DataChannelError> {
        let offered = self.state().negotiation.offered().iter().any(|media| media.kind == Kind::Application);
        ask(&self.element, |reply| SessionCommand::CreateDataChannel { options, offered, reply }).await?
    }

    /// Closes the channel on an SCTP stream; that there is none is no error.
    ///
    /// Errors: [`DataChannelError::NotNegotiated`].
    pub async fn close_data_channel(&self, stream: u16) -> Result<(), DataChannelError> {
        ask(&self.element, |reply| SessionCommand::CloseDataChannel { stream, reply }).await?
    }

    async fn open(&self, transports: Vec<TransportPlan>) -> Result<(), NegotiationError> {
        let opened = ask(&self.element, |reply| SessionCommand::Open { transports, reply }).await?;
        opened.map_err(NegotiationError::NotOpened)
    }

    /// What we bring to a negotiation of `lines` m-lines: everything random is made here.
    fn local_session(&self, lines: usize) -> LocalSession {
        let options = self.options().clone();
        let media = (0..lines).map(|_| LocalMedia {
            ice: IceCredentials { ufrag: random_text(8), pwd: random_text(24) },
            ssrc: random_u32(),
            rtx_ssrc: random_u32(),
        });
        let fingerprint = self.config.certificate.fingerprint();
        let mut session = LocalSession::webrtc(origin_id(&self.element), fingerprint, &self.cname, media.collect());
        session.lines.audio = LocalLines {
            codecs: self.config.audio_codecs.clone(),
            most: self.config.audio_lines,
            max_recv_kbps: options.max_audio_recv_kbps,
        };
        session.lines.video = LocalLines {
            codecs: self.config.video_codecs.clone(),
            most: self.config.video_lines,
            max_recv_kbps: options.max_video_recv_kbps,
        };
        session.use_data_channels = options.use_data_channels;
        // Without a message size browsers send no message longer than 64 KiB.
        session.modern = match self.config.modern {
            true => Modern::ALL,
            false => Modern { message_size: true, ..Modern::default() },
        };
        session.direction = match (options.recvonly, options.sendonly) {
            (true, false) => Direction::RecvOnly,
            (false, true) => Direction::SendOnly,
            _ => Direction::SendRecv,
        };
        session
    }
}

/// What the negotiated lines mean for the session: one plan a transport, and which lines are on it.
fn plan(negotiated: &Negotiated, controlling: bool, cname: &str) -> (Vec<TransportPlan>, Vec<Vec<(String, usize)>>) {
    let accepted: Vec<&NegotiatedMedia> = negotiated.media.iter().filter(|media| media.accepted).collect();
    let (bundled, alone): (Vec<_>, Vec<_>) =
        accepted.into_iter().partition(|media| negotiated.bundle.contains(&media.index));
    let mut groups = Vec::new();
    if !bundled.is_empty() {
        groups.push(bundled);
    }
    groups.extend(alone.into_iter().map(|media| vec![media]));
    let lines = |group: &Vec<&NegotiatedMedia>| group.iter().map(|media| (media.mid.clone(), media.index)).collect();
    let transports = groups.iter().map(lines).collect();
    let plans = groups.iter().filter_map(|group| transport_plan(group, controlling, cname)).collect();
    (plans, transports)
}

/// `None` for a group that lacks what a transport needs: its lines are answered, but nothing can connect.
fn transport_plan(group: &[&NegotiatedMedia], controlling: bool, cname: &str) -> Option<TransportPlan> {
    let first = group.first()?;
    let local = first.local_ice.clone()?;
    Some(TransportPlan {
        local_ufrag: local.ufrag,
        local_pwd: local.pwd,
        remote_ufrag: first.remote.ufrag.clone()?,
        remote_pwd: first.remote.pwd.clone()?,
        remote_fingerprint: first.remote.fingerprint.as_ref()?.to_string(),
        controlling,
        dtls_active: first.dtls_role == DtlsRole::Active,
        cname: cname.to_owned(),
        lines: group.iter().filter_map(|media| line_plan(media)).collect(),
        data: group.iter().find(|media| media.kind == Kind::Application).map(|media| peer_message_size(media)),
        remote_candidates: group.iter().flat_map(|media| media.remote.candidates.iter().cloned()).collect(),
    })
}

/// The longest message that the peer takes, in bytes (RFC 8841, section 6.1).
fn peer_message_size(media: &NegotiatedMedia) -> u32 {
    match media.max_message_size {
        None => 65_536,
        Some(0) => u32::MAX,
        Some(size) => u32::try_from(size).unwrap_or(u32::MAX),
    }
}

fn line_plan(media: &NegotiatedMedia) -> Option<LinePlan> {
    let kind = match media.kind {
        Kind::Audio => MediaKind::Audio,
        Kind::Video => MediaKind::Video,
        Kind::Application => MediaKind::Data,
        Kind::Other => return None,
    };
    Some(LinePlan {
        index: media.index,
        kind,
        sends: media.direction.sends(),
        receives: media.direction.receives(),
        payload_types: media.codecs.iter().filter_map(PayloadType::new).collect(),
        local_ssrc: media.local_ssrc.unwrap_or_default(),
        remote_ssrcs: media.remote.ssrcs.iter().copied().take(1).collect(),
        abs_send_time: media.extension(ABS_SEND_TIME),
        transport_cc: media.extension(TRANSPORT_CC),
        mid: media.extension(MID).map(|id| (id, media.mid.clone())),
        local_rtx_ssrc: media.local_rtx_ssrc,
        remote_rtx_ssrc: media.remote.rtx.first().map(|(_, repair)| *repair),
    })
}

/// Characters that ICE allows in user names and passwords (RFC 8839, section 5.4).
fn random_text(length: usize) -> String {
    const CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = vec![0; length];
    if getrandom::fill(&mut bytes).is_err() {
        tracing::error!("the machine gives no random numbers");
    }
    bytes.into_iter().map(|byte| char::from(CHARS[usize::from(byte & 63)])).collect()
}

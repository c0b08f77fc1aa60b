//! The same coded media in other packets, or under another description: nothing is decoded, nothing is lost.

use super::inlet::{Arrival, Arrived, Inlet};
use super::sender::Sender;
use crate::payload::{depayload, number, parameter, payload, setup};
use rivero_engine::{Caps, Codec, Form, Input, Node, Outbox};

/// What it takes to turn packets of one description into those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repacking {
    /// Only the name changes.
    Rename,
    /// Frames are taken out of their packets, and put into others.
    Repack,
}

/// `None` where media of the one description cannot be packed as the other says.
pub fn repacking(from: &Caps, to: &Caps) -> Option<Repacking> {
    let form = |caps: &Caps| (caps.form(), caps.kind(), caps.codec(), caps.clock_rate(), caps.channels().max(1));
    if from.form() != Form::Packets || form(from) != form(to) || payload(to).is_none() {
        return None;
    }
    match from.codec() {
        // What each of these packets holds is the same whatever the description says.
        Codec::Opus | Codec::Pcmu | Codec::Pcma | Codec::G722 | Codec::Gsm | Codec::Speex | Codec::Mp3 => {
            Some(Repacking::Rename)
        }
        Codec::Vp8 | Codec::Mjpeg => Some(Repacking::Rename),
        // Packets of mode 0 are packets of mode 1 too (RFC 6184, section 6.3). The other way slices would have to be shorter.
        Codec::H264 => {
            let mode = |caps: &Caps| number(caps.format(), "packetization-mode").unwrap_or(0);
            (mode(from) <= mode(to)).then_some(Repacking::Rename)
        }
        Codec::AmrNb | Codec::AmrWb => {
            let modes = parameter(to.format(), "mode-set");
            let within = modes.is_none() || modes == parameter(from.format(), "mode-set");
            (within && depayload(from).is_some()).then_some(Repacking::Repack)
        }
        Codec::Aac => (setup(from) == setup(to) && depayload(from).is_some()).then_some(Repacking::Repack),
        _ => None,
    }
}

/// See [`Repacking::Rename`].
pub struct Rename {
    from: Caps,
    to: Caps,
}

impl Rename {
    pub fn new(from: &Caps, to: &Caps) -> Self {
        Rename { from: from.clone(), to: to.clone() }
    }
}

impl Node for Rename {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        match input {
            Input::Media { mut packet, .. } if packet.caps == self.from => {
                packet.caps = self.to.clone();
                out.media(0, packet);
            }
            // Whatever is wished for, the source has to do.
            Input::Feedback { feedback, .. } => out.feedback(0, feedback),
            _ => {}
        }
    }
}

/// See [`Repacking::Repack`]; of audio.
pub struct Repack {
    inlet: Inlet,
    sender: Sender,
}

impl Repack {
    /// `ssrc` is of what leaves.
    ///
    /// # Errors
    /// One of both has no payload format.
    pub fn new(from: &Caps, to: &Caps, ssrc: u32) -> Result<Self, String> {
        Ok(Repack { inlet: Inlet::new(from)?, sender: Sender::new(to, ssrc).ok_or("no payload format")? })
    }

    fn send(&mut self, Arrived { frame, entered, .. }: &Arrived, out: &mut Outbox) {
        if let Err(why) = self.sender.send_stamped(&frame.data, frame.key, frame.timestamp, *entered, out) {
            tracing::debug!(codec = self.inlet.from().codec().name(), "a frame cannot be packed otherwise: {why}");
            self.sender.skip(1);
        }
    }
}

impl Node for Repack {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        if let Input::Feedback { feedback, .. } = input {
            return out.feedback(0, feedback);
        }
        if !self.inlet.push(input, out.now()) {
            return;
        }
        while let Some(arrival) = self.inlet.pop(out) {
            match arrival {
                Arrival::Frame(arrived) => self.send(&arrived, out),
                // Whoever is behind shall see that they are missing.
                Arrival::Lost { packets } => self.sender.skip(packets),
                Arrival::Jump => {}
                Arrival::Restart => self.sender.begin_anew(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn h264(format: &str) -> Caps {
        Caps::video(Codec::H264, Some(format))
    }

    fn amr(format: Option<&str>) -> Caps {
        Caps::audio(Codec::AmrNb, 8000, 1).with_format(format)
    }

    #[test]
    fn only_what_need_not_be_coded_again() {
        use Repacking::{Rename, Repack};
        let (zero, one) = (h264("packetization-mode=0"), h264("packetization-mode=1;profile-level-id=42e01f"));
        assert_eq!(repacking(&zero, &one), Some(Rename));
        assert_eq!(repacking(&one, &zero), None, "slices are too long");
        assert_eq!(repacking(&one, &h264("packetization-mode=2")), None, "interleaving");
        assert_eq!(repacking(&h264("packetization-mode=2"), &h264("packetization-mode=1")), None);
        assert_eq!(repacking(&amr(None), &amr(Some("octet-align=1"))), Some(Repack));
        assert_eq!(repacking(&amr(Some("octet-align=1")), &amr(None)), Some(Repack));
        assert_eq!(repacking(&amr(None), &amr(Some("mode-set=0,2"))), None, "any mode may come");
        assert_eq!(repacking(&amr(None), &amr(Some("interleaving=30"))), None);
        let opus = Caps::audio(Codec::Opus, 48_000, 2);
        assert_eq!(repacking(&opus, &opus.with_format(Some("stereo=1"))), Some(Rename));
        let pcm = Caps::audio(Codec::Pcmu, 8000, 1);
        assert_eq!(repacking(&pcm, &Caps::audio(Codec::Pcmu, 16_000, 1)), None);
        assert_eq!(repacking(&pcm, &Caps::audio(Codec::Pcma, 8000, 1)), None);
        let vp9 = Caps::video(Codec::Vp9, None);
        assert_eq!(repacking(&vp9, &Caps::video(Codec::Vp9, Some("profile-id=2"))), None);
    }
}

//! `RtpEndpoint`: its keys. All else it has in common with `WebRtcEndpoint`.

use super::face::{ElementFace, Role, parent_pipeline};
use super::media::Media;
use super::webrtc_endpoint::Settings;
use crate::bindings::{Bindings, Made, Make};
use crate::config::settings::ConfiguredCodec;
use crate::error::Error;
use crate::objects::lock;
use rivero_transport::rtp_endpoint::{RtpConfig, RtpEndpoint, RtpOptions};
use rivero_transport::sdp::{Crypto, LocalCodec, base64};
use rivero_transport::srtp::Profile;
use serde_json::Value as Json;
use std::sync::{Arc, Mutex, MutexGuard};

const CLASS: &str = "RtpEndpoint";

pub struct RtpFace {
    pub endpoint: RtpEndpoint,
    settings: Mutex<Settings>,
}

impl RtpFace {
    pub fn settings(&self) -> MutexGuard<'_, Settings> {
        lock(&self.settings)
    }
}

pub fn bind(bindings: &mut Bindings, media: &Arc<Media>) {
    let media = media.clone();
    bindings.factory(CLASS, move |make| create(make, media.clone()));
}

async fn create(make: Make, media: Arc<Media>) -> Result<Made, Error> {
    let pipeline = parent_pipeline(&make)?;
    let crypto = make.args.opt_json("crypto").map(read_crypto).transpose()?.flatten();
    let options = RtpOptions { crypto, ipv6: make.args.boolean("useIpv6"), ..RtpOptions::default() };
    let sdp = &media.settings.sdp;
    let list = |codecs: &[ConfiguredCodec]| {
        codecs.iter().map(|codec| LocalCodec::new(&codec.encoding, codec.clock_rate, codec.channels)).collect()
    };
    let config = RtpConfig {
        audio_codecs: list(&sdp.audio_codecs),
        video_codecs: list(&sdp.video_codecs),
        audio_lines: sdp.num_audio_medias as usize,
        video_lines: sdp.num_video_medias as usize,
    };
    let mut settings = Settings::default();
    settings.mtu = i64::from(media.settings.base_rtp.mtu);
    let endpoint = RtpEndpoint::create(&pipeline, make.id.to_string(), options, config).await?;
    tracing::info!(endpoint = %make.id, worker = endpoint.element().node().worker, "RTP endpoint created");
    let element = endpoint.element().clone();
    let face = RtpFace { endpoint, settings: Mutex::new(settings) };
    Ok(ElementFace::new(element, &media, Role::Rtp(Box::new(face))).made())
}

/// An `SDES`: without a suite no SRTP, without a key a random one. Of the two forms of a key the text goes first.
///
/// Errors: a key whose length is not that of its suite.
fn read_crypto(sdes: &Json) -> Result<Option<Crypto>, Error> {
    let text = |name: &str| sdes.get(name).and_then(Json::as_str);
    let suite = match text("crypto") {
        Some("AES_128_CM_HMAC_SHA1_32") => Profile::Aes128CmSha1_32,
        Some("AES_128_CM_HMAC_SHA1_80") => Profile::Aes128CmSha1_80,
        Some("AES_256_CM_HMAC_SHA1_32") => Profile::Aes256CmSha1_32,
        Some("AES_256_CM_HMAC_SHA1_80") => Profile::Aes256CmSha1_80,
        _ => return Ok(None),
    };
    let wrong = || Error::IllegalParam("Master key size is wrong".to_owned());
    let length = suite.key_len() + suite.salt_len();
    let key = match (text("key"), text("keyBase64")) {
        (Some(key), _) => key.as_bytes().to_vec(),
        (None, Some(key)) => base64::decode(key).ok_or_else(wrong)?,
        (None, None) => return Crypto::random(suite).map(Some).map_err(|why| Error::Internal(why.to_string())),
    };
    if key.len() != length {
        return Err(wrong());
    }
    Ok(Some(Crypto { tag: 1, suite, key, lifetime: None, mki_length: 0 }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_as_clients_give_them() {
        let read = |sdes: Json| read_crypto(&sdes);
        assert_eq!(read(json!({})), Ok(None));
        assert_eq!(read(json!({ "key": "short" })), Ok(None), "no suite, no SRTP");
        let text = read(json!({ "crypto": "AES_128_CM_HMAC_SHA1_80", "key": "123456789012345678901234567890" }));
        assert_eq!(text.unwrap().map(|crypto| crypto.key), Some(b"123456789012345678901234567890".to_vec()));
        let coded = read(
            json!({ "crypto": "AES_128_CM_HMAC_SHA1_32", "keyBase64": "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVoxMjM0" }),
        );
        assert_eq!(coded.unwrap().map(|crypto| crypto.key), Some(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ1234".to_vec()));
        let random = || read(json!({ "crypto": "AES_256_CM_HMAC_SHA1_80" })).unwrap().map(|crypto| crypto.key);
        assert_eq!(random().map(|key| key.len()), Some(46));
        assert_ne!(random(), random());
        for (name, value) in [("key", "1234"), ("keyBase64", "abc"), ("keyBase64", "no base64!")] {
            let refused = read(json!({ "crypto": "AES_128_CM_HMAC_SHA1_80", name: value }));
            assert_eq!(refused, Err(Error::IllegalParam("Master key size is wrong".to_owned())));
        }
    }
}

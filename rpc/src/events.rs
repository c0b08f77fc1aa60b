//! From "this happened to that object" to the frames that subscribers read.
//!
//! What enters: an object, an event's name as of 7.3 and its own data. What leaves: one text per name under which somebody
//! subscribed. What it must never know: connections. Kurento 6 called many events otherwise; each such name is
//! served under itself, beside the new one.

use crate::api::model::Api;
use crate::envelope;
use crate::objects::Object;
use serde_json::{Map, Value as Json, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// Names of 6.x, each beside the name of 7.x.
const FORMER_NAMES: [(&str, &str); 12] = [
    ("OnIceCandidate", "IceCandidateFound"),
    ("OnIceGatheringDone", "IceGatheringDone"),
    ("OnIceComponentStateChanged", "IceComponentStateChanged"),
    ("IceComponentStateChange", "IceComponentStateChanged"),
    ("OnDataChannelOpened", "DataChannelOpened"),
    ("DataChannelOpen", "DataChannelOpened"),
    ("OnDataChannelClosed", "DataChannelClosed"),
    ("DataChannelClose", "DataChannelClosed"),
    ("MediaFlowInStateChange", "MediaFlowInStateChanged"),
    ("MediaFlowOutStateChange", "MediaFlowOutStateChanged"),
    ("MediaTranscodingStateChange", "MediaTranscodingStateChanged"),
    // Written in the FIWARE specification for subscribing; no server ever knew it.
    ("CodeFoundEvent", "CodeFound"),
];

/// The name that an event has in 7.3.
pub fn current_name(name: &str) -> &str {
    FORMER_NAMES.iter().find(|(former, _)| *former == name).map_or(name, |(_, current)| current)
}

/// Every other name of an event whose 7.3 name is given.
pub fn former_names(current: &str) -> impl Iterator<Item = &'static str> {
    FORMER_NAMES.iter().filter(move |(_, name)| *name == current).map(|(former, _)| *former)
}

/// One occurrence.
pub struct EventPost<'a> {
    pub source: &'a Object,
    /// The event's own properties.
    pub data: Map<String, Json>,
    pub at: SystemTime,
}

impl EventPost<'_> {
    /// The text for those who subscribed as `name`.
    pub fn write(&self, api: &Api, name: &str) -> String {
        let mut data = self.data.clone();
        let since_1970 = self.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        data.insert("source".into(), self.source.id().into());
        data.insert("tags".into(), tags(self.source));
        data.insert("timestamp".into(), since_1970.as_secs().to_string().into());
        data.insert("timestampMillis".into(), since_1970.as_millis().to_string().into());
        if carries_type(api, name) {
            data.insert("type".into(), name.into());
        }
        envelope::event(self.source.id(), name, Json::Object(data))
    }
}

fn tags(source: &Object) -> Json {
    if !source.sends_tags() {
        return Json::Array(Vec::new());
    }
    let tag = |(key, value): (String, String)| json!({ "__module__": "kurento", "__type__": "Tag", "key": key, "value": value });
    source.tags().into_iter().map(tag).collect()
}

/// Events that extend `Media` carry their own name as `type`; those that extend `RaiseBase` directly do not.
fn carries_type(api: &Api, name: &str) -> bool {
    let mut event = api.event(name).or_else(|| api.event(current_name(name)));
    while let Some(row) = event {
        match row.extends {
            Some("Media") => return true,
            Some(base) => event = api.event(base),
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_former_name_leads_to_a_current_one() {
        for (former, current) in FORMER_NAMES {
            assert_eq!(current_name(former), current);
            assert_eq!(current_name(current), current, "{current} is no former name itself");
            assert!(former_names(current).any(|name| name == former));
        }
        assert_eq!(current_name("NewCandidatePairSelected"), "NewCandidatePairSelected");
    }
}

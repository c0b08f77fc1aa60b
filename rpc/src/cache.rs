//! Answers kept for a while, so that a request sent twice is done once.
//!
//! What enters: session, request id and answer, with the time. What leaves: the same text for the same session and id within
//! [`KEPT_FOR`]. What it must never know: methods; they are not part of the key. Both the count and the bytes are bounded, the
//! oldest leave first.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// How long an answer is kept.
pub const KEPT_FOR: Duration = Duration::from_secs(20);
const MOST_ENTRIES: usize = 10_000;
const MOST_BYTES: usize = 64 << 20;

/// Session and request id, the latter as text: `1` and `"1"` are the same.
pub type Key = (String, String);

/// What is kept for one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub text: Arc<str>,
    /// The session that the answer names, if it does.
    pub session: Option<String>,
}

#[derive(Default)]
pub struct Cache {
    answers: HashMap<Key, Answer>,
    /// In the order of their end.
    ends: VecDeque<(Duration, Key)>,
    bytes: usize,
}

impl Cache {
    /// The answer given to the same request at most [`KEPT_FOR`] ago.
    pub fn get(&mut self, key: &Key, now: Duration) -> Option<Answer> {
        self.expire(now);
        self.answers.get(key).cloned()
    }

    /// Keeps an answer; the first one for a key stays.
    pub fn put(&mut self, key: Key, answer: Answer, now: Duration) {
        self.expire(now);
        let size = size(&key, &answer);
        if size > MOST_BYTES || self.answers.contains_key(&key) {
            return;
        }
        while self.answers.len() >= MOST_ENTRIES || self.bytes + size > MOST_BYTES {
            self.drop_oldest();
        }
        self.bytes += size;
        self.ends.push_back((now + KEPT_FOR, key.clone()));
        self.answers.insert(key, answer);
    }

    /// Forgets what is too old.
    pub fn expire(&mut self, now: Duration) {
        while self.ends.front().is_some_and(|(end, _)| *end <= now) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, key)) = self.ends.pop_front()
            && let Some(answer) = self.answers.remove(&key)
        {
            self.bytes -= size(&key, &answer);
        }
    }
}

/// What an entry weighs, in bytes; the key is kept twice.
fn size(key: &Key, answer: &Answer) -> usize {
    200 + 2 * (key.0.len() + key.1.len()) + answer.text.len() + answer.session.as_ref().map_or(0, String::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> Key {
        ("s".into(), n.to_string())
    }

    fn answer(text: &str) -> Answer {
        Answer { text: text.into(), session: None }
    }

    #[test]
    fn keeps_the_first_answer_for_twenty_seconds() {
        let mut cache = Cache::default();
        let start = Duration::from_secs(5);
        cache.put(key(1), answer("a"), start);
        cache.put(key(1), answer("b"), start + Duration::from_secs(19));
        assert_eq!(cache.get(&key(1), start + Duration::from_millis(19_999)), Some(answer("a")));
        assert_eq!(cache.get(&key(1), start + KEPT_FOR), None);
        assert_eq!(cache.bytes, 0);
    }

    #[test]
    fn is_bounded_by_count() {
        let mut cache = Cache::default();
        for n in 0..MOST_ENTRIES + 5 {
            cache.put(key(n), answer("x"), Duration::ZERO);
        }
        assert_eq!(cache.answers.len(), MOST_ENTRIES);
        assert_eq!(cache.get(&key(4), Duration::ZERO), None);
        assert!(cache.get(&key(5), Duration::ZERO).is_some());
    }

    #[test]
    fn is_bounded_by_bytes() {
        let mut cache = Cache::default();
        let big = "x".repeat(MOST_BYTES / 4);
        for n in 0..10 {
            cache.put(key(n), answer(&big), Duration::ZERO);
        }
        assert!(cache.bytes <= MOST_BYTES);
        assert!(cache.get(&key(9), Duration::ZERO).is_some());
        cache.put(key(11), answer(&"x".repeat(MOST_BYTES)), Duration::ZERO);
        assert_eq!(cache.get(&key(11), Duration::ZERO), None);
    }
}

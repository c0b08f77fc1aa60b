//! Who is connected to whom, as the application sees it: pure bookkeeping, no media, no time.
//!
//! Kurento's rules: a sink has at most one source for each media type and description, and connecting another replaces it; a
//! connection is remembered whether or not both ends have such a port; a source has any number of sinks.

use crate::MediaKind;
use crate::notice::ElementId;
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connection {
    pub source: ElementId,
    pub sink: ElementId,
    pub kind: MediaKind,
    pub source_description: String,
    pub sink_description: String,
}

/// A step of a change, in the order in which it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Disconnected(Connection),
    Connected(Connection),
}

impl Change {
    pub fn connection(&self) -> &Connection {
        match self {
            Change::Disconnected(connection) | Change::Connected(connection) => connection,
        }
    }
}

/// What a sink input is known by.
type Mouth = (ElementId, MediaKind, String);

#[derive(Debug, Default)]
pub struct Topology {
    /// Each fed input, with what feeds it.
    fed: BTreeMap<Mouth, Connection>,
    /// The inputs that each element feeds, so that nothing is ever searched for.
    feeds: BTreeMap<ElementId, Vec<Mouth>>,
}

impl Topology {
    /// Connects, first undoing what fed that input before (the same source included).
    pub fn connect(&mut self, connection: Connection) -> Vec<Change> {
        let mouth = mouth(&connection);
        let mut changes = Vec::with_capacity(2);
        if let Some(old) = self.remove(&mouth) {
            changes.push(Change::Disconnected(old));
        }
        self.feeds.entry(connection.source).or_default().push(mouth.clone());
        self.fed.insert(mouth, connection.clone());
        changes.push(Change::Connected(connection));
        changes
    }

    /// Disconnects. What was not connected is reported all the same, as Kurento does; the flag tells.
    pub fn disconnect(&mut self, connection: Connection) -> (Change, bool) {
        let mouth = mouth(&connection);
        let was = self.fed.get(&mouth) == Some(&connection);
        if was {
            self.remove(&mouth);
        }
        (Change::Disconnected(connection), was)
    }

    /// Disconnects everything that feeds the element or that it feeds.
    pub fn release(&mut self, element: ElementId) -> Vec<Change> {
        let mut mouths: Vec<Mouth> = self.feeds.get(&element).cloned().unwrap_or_default();
        mouths.extend(self.sources_of(element).map(mouth));
        let removed = mouths.iter().filter_map(|mouth| self.remove(mouth));
        removed.map(Change::Disconnected).collect()
    }

    /// What feeds the element.
    pub fn sources_of(&self, element: ElementId) -> impl Iterator<Item = &Connection> {
        let from = (element, MediaKind::Audio, String::new());
        self.fed.range(from..).take_while(move |((sink, ..), _)| *sink == element).map(|(_, connection)| connection)
    }

    /// What the element feeds.
    pub fn sinks_of(&self, element: ElementId) -> impl Iterator<Item = &Connection> {
        self.feeds.get(&element).into_iter().flatten().filter_map(|mouth| self.fed.get(mouth))
    }

    pub fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.fed.values()
    }

    fn remove(&mut self, mouth: &Mouth) -> Option<Connection> {
        let connection = self.fed.remove(mouth)?;
        if let Some(fed) = self.feeds.get_mut(&connection.source) {
            fed.retain(|other| other != mouth);
            if fed.is_empty() {
                self.feeds.remove(&connection.source);
            }
        }
        Some(connection)
    }
}

fn mouth(connection: &Connection) -> Mouth {
    (connection.sink, connection.kind, connection.sink_description.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn audio(source: u64, sink: u64) -> Connection {
        Connection {
            source: ElementId(source),
            sink: ElementId(sink),
            kind: MediaKind::Audio,
            source_description: "default".into(),
            sink_description: "default".into(),
        }
    }

    #[test]
    fn a_second_source_replaces_the_first() {
        let mut topology = Topology::default();
        assert_eq!(topology.connect(audio(1, 3)), [Change::Connected(audio(1, 3))]);
        assert_eq!(topology.connect(audio(2, 3)), [Change::Disconnected(audio(1, 3)), Change::Connected(audio(2, 3))]);
        assert_eq!(topology.sinks_of(ElementId(1)).count(), 0);
        assert_eq!(topology.sources_of(ElementId(3)).collect::<Vec<_>>(), [&audio(2, 3)]);
    }

    #[test]
    fn the_same_pair_twice_is_undone_and_done_again() {
        let mut topology = Topology::default();
        topology.connect(audio(1, 2));
        assert_eq!(topology.connect(audio(1, 2)), [Change::Disconnected(audio(1, 2)), Change::Connected(audio(1, 2))]);
        assert_eq!(topology.sinks_of(ElementId(1)).count(), 1);
    }

    #[test]
    fn what_was_not_connected_is_reported_but_nothing_else_is_touched() {
        let mut topology = Topology::default();
        topology.connect(audio(1, 3));
        assert_eq!(topology.disconnect(audio(2, 3)), (Change::Disconnected(audio(2, 3)), false));
        assert_eq!(topology.sources_of(ElementId(3)).count(), 1);
        assert_eq!(topology.disconnect(audio(1, 3)), (Change::Disconnected(audio(1, 3)), true));
    }

    proptest! {
        #[test]
        fn both_indexes_always_agree(steps in prop::collection::vec((0u8..3, 0u64..5, 0u64..5), 0..200)) {
            let mut topology = Topology::default();
            for (what, a, b) in steps {
                match what {
                    0 => drop(topology.connect(audio(a, b))),
                    1 => drop(topology.disconnect(audio(a, b))),
                    _ => drop(topology.release(ElementId(a))),
                }
                for element in (0..5).map(ElementId) {
                    prop_assert!(topology.sources_of(element).count() <= 1);
                    for connection in topology.sinks_of(element) {
                        prop_assert!(topology.sources_of(connection.sink).any(|c| c == connection));
                    }
                }
                let from_sources: usize = (0..5).map(|e| topology.sinks_of(ElementId(e)).count()).sum();
                prop_assert_eq!(from_sources, topology.connections().count());
            }
        }
    }
}

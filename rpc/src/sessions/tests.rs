//! The laws of ownership, subscriptions and bindings.

use super::*;
use crate::fixture::object;

/// A manager, and a pipeline with two elements held by session `a`.
fn family() -> (Sessions<&'static str>, Vec<Arc<Object>>) {
    let mut sessions = Sessions::new(object(MANAGER_ID, "ServerManager", None));
    let pipeline = object("p", "MediaPipeline", None);
    let one = object("p/1", "PassThrough", Some(&pipeline));
    let hub = object("p/h", "Composite", Some(&pipeline));
    let port = object("p/h/1", "HubPort", Some(&hub));
    let all = vec![pipeline, one, hub, port];
    for object in &all {
        assert!(sessions.insert(object.clone(), "a"));
    }
    (sessions, all)
}

fn ids(objects: &[Arc<Object>]) -> Vec<&str> {
    objects.iter().map(|object| object.id()).collect()
}

#[test]
fn releases_children_before_parents_and_for_everybody() {
    let (mut sessions, _) = family();
    assert!(sessions.reference("b", "p/h/1").is_some());
    let released = sessions.release("p");
    assert_eq!(ids(&released), ["p/h/1", "p/h", "p/1", "p"]);
    assert_eq!(sessions.count(), 0);
    assert!(sessions.reference("b", "p/1").is_none());
    assert!(sessions.release("p").is_empty());
}

#[test]
fn a_reference_reaches_up_but_not_down() {
    let (mut sessions, _) = family();
    sessions.reference("b", "p/h").unwrap();
    assert_eq!(ids(&sessions.close_session("a", false)), ["p/h/1", "p/1"]);
    assert_eq!(ids(&sessions.children("p")), ["p/h"]);
    assert_eq!(ids(&sessions.close_session("b", false)), ["p/h", "p"]);
}

#[test]
fn a_new_child_is_held_by_all_who_hold_its_parent() {
    let (mut sessions, all) = family();
    sessions.reference("b", "p").unwrap();
    assert!(sessions.insert(object("p/2", "PassThrough", Some(&all[0])), "c"));
    sessions.close_session("a", false);
    sessions.close_session("c", false);
    assert_eq!(
        ids(&sessions.children("p")),
        ["p/2"],
        "b holds the pipeline, and so the later child, not the earlier ones"
    );
}

#[test]
fn a_child_of_a_released_parent_is_not_taken_in() {
    let (mut sessions, all) = family();
    sessions.release("p");
    assert!(!sessions.insert(object("p/2", "PassThrough", Some(&all[0])), "a"));
    assert_eq!(sessions.count(), 0);
}

#[test]
fn unref_ends_what_nobody_else_holds() {
    let (mut sessions, _) = family();
    sessions.reference("b", "p/1").unwrap();
    assert_eq!(ids(&sessions.unreference("a", "p")), ["p/h/1", "p/h"]);
    assert!(sessions.unreference("a", "p").is_empty());
    assert!(sessions.unreference("nobody", "p").is_empty());
    assert_eq!(ids(&sessions.unreference("b", "p")), ["p/1", "p"]);
}

#[test]
fn close_with_release_ends_even_what_is_shared() {
    let (mut sessions, _) = family();
    sessions.reference("b", "p").unwrap();
    assert_eq!(sessions.close_session("b", true).len(), 4);
    assert_eq!(sessions.count(), 0);
    assert!(sessions.close_session("b", true).is_empty());
}

#[test]
fn the_manager_outlives_everything() {
    let (mut sessions, _) = family();
    sessions.reference("a", MANAGER_ID).unwrap();
    sessions.subscribe("a", MANAGER_ID, "ObjectCreated").unwrap();
    assert!(sessions.release(MANAGER_ID).is_empty());
    sessions.close_session("a", true);
    assert!(sessions.object(MANAGER_ID).is_some());
    assert!(sessions.objects[MANAGER_ID].subscribers.is_empty());
    assert!(sessions.objects[MANAGER_ID].holders.is_empty());
}

#[test]
fn an_unused_session_lives_one_to_two_passes() {
    let (mut sessions, _) = family();
    let (ended, released) = sessions.collect();
    assert!(ended.is_empty() && released.is_empty(), "it was just used");
    let (ended, released) = sessions.collect();
    assert_eq!(ended, ["a"]);
    assert_eq!(released.len(), 4);
    assert!(!sessions.keep_alive("a"));
}

#[test]
fn keep_alive_and_an_open_connection_keep_a_session() {
    let (mut sessions, _) = family();
    let (first, second) = (ConnectionId(1), ConnectionId(2));
    sessions.open(first, "first");
    sessions.open(second, "second");
    assert!(sessions.bind(first, "a"));
    assert!(!sessions.bind(first, "a"));
    for _ in 0..5 {
        assert!(sessions.collect().0.is_empty());
    }
    assert!(sessions.bind(second, "a"), "another connection takes over");
    assert_eq!(sessions.spoken_for(first), None);
    sessions.close(first);
    assert_eq!(sessions.spoken_for(second).map(|id| &**id), Some("a"));
    sessions.close(second);
    assert!(sessions.collect().0.is_empty(), "the mark of the last pass");
    assert!(sessions.keep_alive("a"));
    assert!(sessions.collect().0.is_empty());
    assert_eq!(sessions.collect().0, ["a"]);
}

#[test]
fn one_subscriber_per_session_and_name() {
    let (mut sessions, _) = family();
    sessions.open(ConnectionId(1), "first");
    sessions.bind(ConnectionId(1), "a");
    let one = sessions.subscribe("a", "p/1", "ElementConnected").unwrap();
    let two = sessions.subscribe("a", "p/1", "ElementConnected").unwrap();
    assert_ne!(one, two);
    let count =
        |sessions: &Sessions<&'static str>| sessions.subscribers("p/1", |name| name == "ElementConnected").len();
    assert_eq!(count(&sessions), 1);
    sessions.unsubscribe("a", "p/1", &one);
    assert_eq!(count(&sessions), 1);
    sessions.unsubscribe("b", "p/1", &two);
    assert_eq!(count(&sessions), 1);
    sessions.unsubscribe("a", "p/1", &two);
    assert_eq!(count(&sessions), 0);
    sessions.subscribe("a", "p/1", "ElementConnected").unwrap();
    sessions.reference("b", "p/1").unwrap();
    sessions.unreference("a", "p/1");
    assert_eq!(count(&sessions), 0, "a session's subscriptions end with its reference");
}

#[test]
fn without_a_connection_events_go_nowhere() {
    let (mut sessions, _) = family();
    sessions.subscribe("a", "p", "Error").unwrap();
    assert!(sessions.subscribers("p", |_| true).is_empty());
    sessions.open(ConnectionId(7), "later");
    sessions.bind(ConnectionId(7), "a");
    let found = sessions.subscribers("p", |_| true);
    assert_eq!(found, [Subscriber { name: "Error", connection: ConnectionId(7), reach: "later" }]);
}

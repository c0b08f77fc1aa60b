//! The protocol, message by message, byte by byte where it matters. No socket is involved.

use crate::fixture::{Bench, bench};
use crate::objects::MANAGER_ID;
use serde_json::{Value as Json, json};

mod events;
mod objects;
mod requests;

const PING: &str = r#"{"id":1,"jsonrpc":"2.0","method":"ping"}"#;
const INVALID: &str = r#"{"error":{"code":-32600,"message":"Invalid JSON-RPC request."},"id":null,"jsonrpc":"2.0"}"#;
const PARSE: &str = r#"{"error":{"code":-32700,"message":"Parse error."},"id":null,"jsonrpc":"2.0"}"#;

/// A bench whose session `s` has a pipeline and two elements.
async fn studio() -> (Bench, String, String, String) {
    let mut bench = bench();
    let pipeline = bench.create("s", "MediaPipeline", Json::Null).await;
    let one = bench.create("s", "PassThrough", json!({ "mediaPipeline": pipeline })).await;
    let two = bench.create("s", "kurento.PassThrough", json!({ "mediaPipeline": pipeline })).await;
    (bench, pipeline, one, two)
}

// ---- JSON and envelope

#[tokio::test]
async fn what_is_no_json_is_a_parse_error_and_the_connection_goes_on() {
    let bench = bench();
    let deep =
        format!(r#"{{"id":1,"jsonrpc":"2.0","method":"ping","params":{}{}}}"#, "[".repeat(1000), "]".repeat(1000));
    for text in ["", "hello", "xxxx", r#"{"id":7002,"method":"ping""#, deep.as_str()] {
        assert_eq!(bench.say(text).await, PARSE);
    }
    assert_eq!(bench.say(PING).await, r#"{"id":1,"jsonrpc":"2.0","result":{"value":"pong"}}"#);
}

#[tokio::test]
async fn nearly_too_deep_is_read_and_written() {
    let bench = bench();
    let nested = "[".repeat(900) + &"]".repeat(900);
    let text = format!(r#"{{"id":1,"jsonrpc":"2.0","method":"ping","params":{{"x":{nested}}}}}"#);
    assert_eq!(bench.say(&text).await, r#"{"id":1,"jsonrpc":"2.0","result":{"value":"pong"}}"#);
}

#[tokio::test]
async fn a_wrong_envelope_is_refused_also_on_a_bound_connection() {
    let mut bench = bench();
    for text in ["[]", "42", "null", r#"[{"id":1,"jsonrpc":"2.0","method":"ping"}]"#, r#"{"id":1,"method":"ping"}"#] {
        assert_eq!(bench.say(text).await, INVALID, "{text}");
    }
    bench.create("s", "MediaPipeline", Json::Null).await;
    assert_eq!(bench.say("[]").await, INVALID);
    assert!(bench.say(r#"{"id":2,"jsonrpc":"2.0","method":"ping","params":[]}"#).await.contains("-32603"));
    let known = bench.say(r#"{"id":3,"jsonrpc":"2.0","method":"ping"} xyz"#).await;
    assert_eq!(known, r#"{"id":3,"jsonrpc":"2.0","result":{"sessionId":"s","value":"pong"}}"#);
}

#[tokio::test]
async fn the_id_comes_back_as_it_was() {
    let bench = bench();
    for (id, echo) in [
        ("\"abc\"", "\"abc\""),
        ("1.5", "1.5"),
        ("true", "true"),
        ("-1", "-1"),
        ("12345678901234567890123", "1.2345678901234568e+22"),
    ] {
        let answer = bench.say(&format!(r#"{{"id":{id},/* c */"jsonrpc":"2.0","method":"ping","extra":1}}"#)).await;
        assert_eq!(answer, format!(r#"{{"id":{echo},"jsonrpc":"2.0","result":{{"value":"pong"}}}}"#));
    }
    assert_eq!(
        bench.say(r#"{"id":7,"id":8,"jsonrpc":"2.0","method":"foo"}"#).await,
        r#"{"error":{"code":-32601,"message":"Method not found."},"id":8,"jsonrpc":"2.0"}"#
    );
}

#[tokio::test]
async fn notifications_are_done_and_answered_with_an_error() {
    let bench = bench();
    assert_eq!(
        bench.say(r#"{"id":null,"jsonrpc":"2.0","method":"ping"}"#).await,
        r#"{"error":{"code":-32000,"data":{"value":"pong"},"message":"Ignoring response because of a notification request"},"id":null,"jsonrpc":"2.0"}"#
    );
    let create = r#"{"jsonrpc":"2.0","method":"create","params":{"type":"MediaPipeline","sessionId":"n"}}"#;
    assert!(bench.say(create).await.starts_with(r#"{"error":{"code":-32000,"data":{"sessionId":"n","value":""#));
    bench.say(create).await;
    assert_eq!(bench.server.object_count(), 2, "notifications are never taken for one another");
    assert_eq!(bench.say(r#"{"jsonrpc":"2.0","method":"closeSession","params":{"sessionId":"n"}}"#).await, "");
    assert_eq!(bench.server.object_count(), 0);
}

// ---- parameters

#[tokio::test]
async fn every_method_says_what_it_lacks() {
    let bench = bench();
    let cases = [
        ("create", "type"),
        ("invoke", "operation"),
        ("subscribe", "type"),
        ("unsubscribe", "object"),
        ("release", "object"),
        ("ref", "object"),
        ("unref", "object"),
        ("keepAlive", "sessionId"),
        ("describe", "object"),
        ("transaction", "operations"),
        ("closeSession", "sessionId"),
    ];
    for (method, first) in cases {
        for params in ["", r#","params":null"#] {
            assert_eq!(
                bench.say(&format!(r#"{{"id":1,"jsonrpc":"2.0","method":"{method}"{params}}}"#)).await,
                r#"{"error":{"code":-32602,"data":{"type":"INVALID_PARAMS"},"message":"'params' is required"},"id":1,"jsonrpc":"2.0"}"#
            );
        }
        assert_eq!(
            bench.say(&format!(r#"{{"id":1,"jsonrpc":"2.0","method":"{method}","params":{{}}}}"#)).await,
            format!(
                r#"{{"error":{{"code":-32000,"message":"'{first}' parameter is required"}},"id":1,"jsonrpc":"2.0"}}"#
            )
        );
    }
}

#[tokio::test]
async fn parameters_convert_loosely() {
    let mut bench = bench();
    assert_eq!(bench.refusal("create", json!({"type": 5})).await, (40108, "Factory '5' not found".into()));
    assert_eq!(
        bench.refusal("create", json!({"type": {}})).await,
        (-32000, "'type' parameter should be a string".into())
    );
    let result = bench.result("create", json!({"type": "MediaPipeline", "sessionId": 77})).await;
    assert_eq!(result["sessionId"], "77");
    let result = bench.result("create", json!({"type": "MediaPipeline", "sessionId": {}})).await;
    assert_eq!(result["sessionId"], "77", "an unusable session is replaced by the connection's");
    let result = bench.result("create", json!({"type": "MediaPipeline", "sessionId": ""})).await;
    assert_eq!(result["sessionId"], "");
    assert_eq!(bench.result("ping", json!({})).await["sessionId"], "77", "no connection speaks for the empty session");
    let refusal = bench.refusal("transaction", json!({"operations": {}})).await;
    assert_eq!(refusal, (-32000, "'operations' parameter should be an array".into()));
    let refusal = bench.refusal("closeSession", json!({"release": "yes"})).await;
    assert_eq!(refusal, (-32000, "'release' parameter should be a boolean".into()));
}

// ---- sessions

#[tokio::test]
async fn connect_hands_out_a_name_that_exists_once_it_references() {
    let mut bench = bench();
    let first = bench.result("connect", Json::Null).await;
    assert_eq!(first["serverId"], json!(bench.server.id()));
    let session = first["sessionId"].clone();
    assert_eq!(bench.refusal("connect", json!({})).await, (40007, "Invalid session".into()));
    assert_eq!(bench.refusal("keepAlive", json!({})).await, (40007, "Invalid session".into()));
    let made = bench.result("create", json!({"type": "MediaPipeline"})).await;
    assert_eq!(made["sessionId"], session, "the connection's session is put in");
    assert_eq!(bench.result("connect", json!({})).await, first);
    assert_eq!(bench.result("keepAlive", json!({})).await, json!({"sessionId": session}));
    assert_eq!(
        bench.say(r#"{"id":9,"jsonrpc":"2.0","method":"connect","params":{"sessionId":"fakeSession"}}"#).await,
        r#"{"error":{"code":40007,"data":{"type":"INVALID_SESSION"},"message":"Invalid session"},"id":9,"jsonrpc":"2.0"}"#
    );
}

#[tokio::test]
async fn a_session_moves_to_the_connection_that_uses_it() {
    let (mut bench, pipeline, ..) = studio().await;
    let other = bench.server.open_connection();
    let connect = r#"{"id":1,"jsonrpc":"2.0","method":"connect","params":{"sessionId":"s"}}"#;
    assert!(bench.server.handle_text(other.id, connect).await.contains("serverId"));
    assert_eq!(bench.result("ping", json!({})).await, json!({"value": "pong"}), "the first one has lost it");
    let described = bench.result("describe", json!({"object": pipeline})).await;
    assert_ne!(described["sessionId"], "s");
    assert_eq!(bench.result("ping", json!({"sessionId": "any"})).await, json!({"sessionId": "any", "value": "pong"}));
    assert_eq!(bench.result("ping", json!({"interval": 240000})).await["sessionId"], "any");
}

#[tokio::test]
async fn describes_objects() {
    let (mut bench, _, one, _) = studio().await;
    assert_eq!(
        bench.result("describe", json!({"object": one})).await,
        json!({
            "hierarchy": ["kurento.MediaElement", "kurento.MediaObject"],
            "qualifiedType": "kurento.PassThrough",
            "sessionId": "s",
            "type": "PassThrough",
        })
    );
    let manager = bench.result("describe", json!({"object": MANAGER_ID})).await;
    assert_eq!((&manager["type"], &manager["hierarchy"]), (&json!("ServerManager"), &json!(["kurento.MediaObject"])));
    assert_eq!(
        bench.say(r#"{"id":6,"jsonrpc":"2.0","method":"describe","params":{"object":"1234567890"}}"#).await,
        r#"{"error":{"code":40101,"data":{"type":"MEDIA_OBJECT_NOT_FOUND"},"message":"Object '1234567890' not found"},"id":6,"jsonrpc":"2.0"}"#
    );
}

#[tokio::test]
async fn release_ends_the_tree_and_never_fails() {
    let (mut bench, pipeline, one, two) = studio().await;
    assert_eq!(bench.result("release", json!({"object": one})).await, json!({"sessionId": "s"}));
    assert_eq!(bench.refusal("describe", json!({"object": one})).await.0, 40101);
    for gone in [one.as_str(), "does-not-exist", MANAGER_ID] {
        assert_eq!(bench.result("release", json!({"object": gone})).await, json!({"sessionId": "s"}));
    }
    bench.result("release", json!({"object": pipeline})).await;
    assert_eq!(bench.refusal("describe", json!({"object": two})).await.0, 40101);
    bench.server.shutdown().await;
    assert_eq!(*bench.world.released.lock().unwrap(), [one, two, pipeline]);
}

#[tokio::test]
async fn many_sessions_share_a_pipeline() {
    let mut bench = bench();
    let pipeline = bench.create("1", "MediaPipeline", Json::Null).await;
    let inside = json!({ "mediaPipeline": pipeline });
    bench.create("1", "PassThrough", inside.clone()).await;
    bench.create("1", "PassThrough", inside.clone()).await;
    let filter = bench.create("1", "PassThrough", inside.clone()).await;
    let recorder = bench.create("2", "PassThrough", inside).await;
    bench.invoke("2", &filter, "connect", json!({ "sink": recorder })).await;
    let children = async |bench: &mut Bench| bench.invoke("3", &pipeline, "getChildren", json!({})).await;
    assert_eq!(children(&mut bench).await.as_array().unwrap().len(), 4);
    assert_eq!(bench.result("closeSession", json!({"sessionId": "1"})).await, Json::Null);
    // In the order of their ids, which are random.
    let mut left = [filter, recorder];
    left.sort();
    assert_eq!(children(&mut bench).await, json!(left));
    bench.result("closeSession", json!({"sessionId": "2"})).await;
    assert_eq!(children(&mut bench).await, json!([]));
    bench.result("ref", json!({"object": pipeline, "sessionId": "2"})).await;
    bench.result("closeSession", json!({"sessionId": "2", "release": true})).await;
    assert_eq!(bench.refusal("describe", json!({"object": pipeline})).await.0, 40101);
    bench.result("closeSession", json!({"sessionId": "unknown"})).await;
}

#[tokio::test]
async fn ref_and_unref() {
    let (mut bench, pipeline, one, _) = studio().await;
    assert_eq!(bench.refusal("ref", json!({"object": "nope", "sessionId": "t"})).await.0, 40101);
    assert_eq!(bench.result("ref", json!({"object": one, "sessionId": "t"})).await, json!({"sessionId": "t"}));
    assert_eq!(bench.result("unref", json!({"object": pipeline, "sessionId": "s"})).await, json!({"sessionId": "s"}));
    assert_eq!(bench.invoke("t", &pipeline, "getChildren", json!({})).await, json!([one]));
    bench.result("unref", json!({"object": "nope", "sessionId": "t"})).await;
    bench.result("unref", json!({"object": pipeline, "sessionId": "t"})).await;
    assert_eq!(bench.server.object_count(), 0);
}

#[tokio::test]
async fn an_abandoned_session_is_collected_in_the_second_pass() {
    let (bench, pipeline, ..) = studio().await;
    bench.server.collect();
    bench.server.collect();
    assert_eq!(bench.server.object_count(), 3, "an open connection keeps its session");
    bench.server.close_connection(bench.connection.id);
    bench.server.collect();
    assert_eq!(bench.server.object_count(), 3);
    bench.server.collect();
    assert_eq!(bench.server.object_count(), 0);
    let late = bench.server.open_connection();
    let request = json!({"id": 1, "jsonrpc": "2.0", "method": "connect", "params": {"sessionId": "s"}}).to_string();
    assert!(bench.server.handle_text(late.id, &request).await.contains("40007"));
    let request = json!({"id": 2, "jsonrpc": "2.0", "method": "describe", "params": {"object": pipeline}}).to_string();
    assert!(bench.server.handle_text(late.id, &request).await.contains("40101"));
}

//! Requests sent twice, transactions, size, and whatever a generator thinks of.

use super::studio;
use crate::fixture::bench;
use crate::objects::MANAGER_ID;
use serde_json::{Value as Json, json};
use std::time::Duration;

#[tokio::test]
async fn the_same_id_in_the_same_session_is_done_once() {
    let mut bench = bench();
    let create = r#"{"id":500,"jsonrpc":"2.0","method":"create","params":{"type":"MediaPipeline","sessionId":"s"}}"#;
    let first = bench.say(create).await;
    assert_eq!(bench.say(create).await, first);
    assert_eq!(bench.server.object_count(), 1);
    let ping = r#"{"id":"500","jsonrpc":"2.0","method":"ping","params":{"sessionId":"s"}}"#;
    assert_eq!(bench.say(ping).await, first, "neither method nor kind of id counts");
    let other = bench.say(r#"{"id":500,"jsonrpc":"2.0","method":"ping","params":{"sessionId":"zz"}}"#).await;
    assert_eq!(other, r#"{"id":500,"jsonrpc":"2.0","result":{"sessionId":"zz","value":"pong"}}"#);
    let wrong = r#"{"id":501,"jsonrpc":"2.0","method":"create","params":{"type":"Nope","sessionId":"s"}}"#;
    let refused = bench.say(wrong).await;
    assert!(refused.contains("40108"));
    assert_eq!(bench.say(&wrong.replace("create", "ping")).await, refused, "refusals are kept too");
    bench.clock.advance(Duration::from_secs(20));
    assert_ne!(bench.say(create).await, first);
    assert_eq!(bench.server.object_count(), 2);
    assert_eq!(bench.result("ping", json!({})).await["sessionId"], "s");
}

#[tokio::test]
async fn a_kept_answer_moves_the_session_as_a_fresh_one_does() {
    let bench = bench();
    let create = r#"{"id":1,"jsonrpc":"2.0","method":"create","params":{"type":"MediaPipeline","sessionId":"s"}}"#;
    bench.say(create).await;
    let again = bench.server.open_connection();
    bench.server.handle_text(again.id, create).await;
    assert_eq!(bench.server.session_of(again.id).as_deref(), Some("s"));
    assert_eq!(bench.server.session_of(bench.connection.id), None);
}

#[tokio::test]
async fn a_transaction_builds_on_its_own_results() {
    let mut bench = bench();
    let operations = json!([
        {"id": 0, "jsonrpc": "2.0", "method": "create", "params": {"type": "MediaPipeline", "constructorParams": {}}},
        {"id": 1, "jsonrpc": "2.0", "method": "create",
         "params": {"type": "PassThrough", "constructorParams": {"mediaPipeline": "newref:0"}, "sessionId": "other"}},
        {"id": 2, "jsonrpc": "2.0", "method": "invoke", "params": {"object": "newref:1", "operation": "getParent"}},
        {"jsonrpc": "2.0", "id": 3, "method": "release", "params": {"object": "newref:0"}},
    ]);
    let params = json!({"object": {}, "operations": operations, "sessionId": "s"});
    let result = bench.result("transaction", params).await;
    assert_eq!(result["sessionId"], "s");
    let answers = result["value"].as_array().unwrap();
    let pipeline = &answers[0]["result"]["value"];
    assert_eq!(answers.len(), 4);
    assert_eq!(answers[2], json!({"id": 2, "jsonrpc": "2.0", "result": {"sessionId": "s", "value": pipeline}}));
    assert_eq!(answers[3], json!({"id": 3, "jsonrpc": "2.0", "result": {"sessionId": "s"}}));
}

#[tokio::test]
async fn a_transaction_stops_behind_the_first_failure() {
    let mut bench = bench();
    let operations = json!([
        {"id": 0, "jsonrpc": "2.0", "method": "create", "params": {"type": "MediaPipeline"}},
        {"id": 1, "jsonrpc": "2.0", "method": "create", "params": {"type": "Nope"}},
        {"id": 2, "jsonrpc": "2.0", "method": "ping"},
    ]);
    let result = bench.result("transaction", json!({"operations": operations, "sessionId": "s"})).await;
    assert_eq!(result["value"].as_array().unwrap().len(), 2);
    assert_eq!(
        result["value"][1],
        json!({"error": {"code": 40108, "data": {"type": "MEDIA_OBJECT_NOT_AVAILABLE"}, "message": "Factory 'Nope' not found"},
               "id": 1, "jsonrpc": "2.0"})
    );
    assert_eq!(bench.server.object_count(), 1, "nothing is undone");
}

#[tokio::test]
async fn transactions_tolerate_and_refuse_as_kurento_does() {
    let mut bench = bench();
    let ping = |id: Json| json!({"id": id, "jsonrpc": "2.0", "method": "ping"});
    let invoke = |object: &str| json!([{"id": 0, "jsonrpc": "2.0", "method": "invoke", "params": {"object": object, "operation": "getName"}}]);
    for (operations, message) in [
        (json!([ping(json!(5))]), "Id of request '0' should be '0'"),
        (json!([ping(json!("0"))]), "Id of request '0' should be '0'"),
        (json!([ping(json!(0)), ping(json!(null))]), "Id of request '1' should be '1'"),
        (invoke("newref:1"), "Result not found on request 1"),
        (invoke("newref:abc"), "Invalid index of newref 'abc'"),
    ] {
        let refusal = bench.refusal("transaction", json!({"operations": operations, "sessionId": "s"})).await;
        assert_eq!(refusal, (40008, message.to_owned()));
    }
    let mut value = async |operations: Json| {
        bench.result("transaction", json!({"operations": operations, "sessionId": "s"})).await["value"]
            .take()
            .to_string()
    };
    assert_eq!(value(json!([])).await, "[]");
    let pong = r#"[{"id":0,"jsonrpc":"2.0","result":{"sessionId":"s","value":"pong"}}]"#;
    assert_eq!(value(json!([{"jsonrpc": "2.0", "method": "ping"}])).await, pong);
    assert_eq!(
        value(json!([{"id": 0, "method": "ping", "params": {}}])).await,
        r#"[{"error":{"code":-32600,"message":"Invalid JSON-RPC request."},"id":0,"jsonrpc":"2.0"}]"#
    );
    assert_eq!(
        value(json!([{"id": 0, "jsonrpc": "2.0", "method": "zap", "params": {}}])).await,
        r#"[{"error":{"code":-32601,"message":"Method not found."},"id":0,"jsonrpc":"2.0"}]"#
    );
    assert_eq!(
        value(json!([{"id": 0, "jsonrpc": "2.0", "method": "closeSession"}])).await,
        r#"[{"id":0,"jsonrpc":"2.0","result":null}]"#
    );
    let nested =
        json!([{"id": 0, "jsonrpc": "2.0", "method": "transaction", "params": {"operations": [ping(json!(0))]}}]);
    assert_eq!(
        value(nested).await,
        format!(r#"[{{"id":0,"jsonrpc":"2.0","result":{{"sessionId":"s","value":{pong}}}}}]"#)
    );
    let one_after =
        json!([ping(json!(0)), {"id": 1, "jsonrpc": "2.0", "method": "describe", "params": {"object": "newref:0"}}]);
    assert!(value(one_after).await.contains("Object 'pong' not found"));
}

#[tokio::test]
async fn transactions_nest_only_so_deep() {
    let bench = bench();
    let mut text = r#"{"id":0,"jsonrpc":"2.0","method":"ping"}"#.to_owned();
    for _ in 0..200 {
        text = format!(r#"{{"id":0,"jsonrpc":"2.0","method":"transaction","params":{{"operations":[{text}]}}}}"#);
    }
    assert!(bench.say(&text).await.contains("Transactions are nested too deep"));
}

#[tokio::test]
async fn a_hundred_thousand_objects_come_and_go() {
    let mut bench = bench();
    let pipeline = bench.create("s", "MediaPipeline", json!({})).await;
    let neighbour = bench.create("t", "MediaPipeline", json!({})).await;
    let create = |n: usize| {
        format!(
            r#"{{"id":{n},"jsonrpc":"2.0","method":"create","params":{{"type":"PassThrough","constructorParams":{{"mediaPipeline":"{pipeline}"}},"sessionId":"s"}}}}"#
        )
    };
    // Other ids than the bench's own, or the request cache would answer.
    for n in 1_000_000..1_100_000 {
        assert!(bench.say(&create(n)).await.contains("result"));
    }
    assert_eq!(bench.server.object_count(), 100_002);
    let children = bench.invoke("s", &pipeline, "getChildren", json!({})).await;
    assert_eq!(children.as_array().unwrap().len(), 100_000);
    bench.result("release", json!({"object": pipeline, "sessionId": "s"})).await;
    assert_eq!(bench.server.object_count(), 1, "unreachable when the answer leaves");
    assert_eq!(bench.invoke("t", &neighbour, "getName", json!({})).await, json!(neighbour));
    bench.server.shutdown().await;
    assert_eq!(bench.world.released.lock().unwrap().len(), 100_002);
}

#[tokio::test]
async fn a_long_string_goes_through() {
    let (mut bench, _, one, _) = studio().await;
    let long = "x".repeat(5 << 20);
    bench.invoke("s", &one, "setName", json!({ "name": long })).await;
    assert_eq!(bench.invoke("s", &one, "getName", json!({})).await, json!(long));
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Json> {
        let words = prop::sample::select(vec![
            "create",
            "invoke",
            "transaction",
            "newref:0",
            "newref:",
            "s",
            "MediaPipeline",
            "PassThrough",
            "connect",
            "echo",
            MANAGER_ID,
            "2.0",
            "Point",
            "kurento",
            "Error",
            "setName",
            "",
            "\u{0}ñ",
        ]);
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<f64>().prop_map(Json::from),
            words.prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 24, 6, |inner| {
            let name = prop::sample::select(vec![
                "id",
                "jsonrpc",
                "method",
                "params",
                "object",
                "operation",
                "operationParams",
                "sessionId",
                "type",
                "constructorParams",
                "operations",
                "value",
                "x",
                "__type__",
                "__module__",
                "name",
                "subscription",
                "release",
            ]);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
                prop::collection::vec((name, inner), 0..7)
                    .prop_map(|members| members.into_iter().map(|(n, v)| (n.to_owned(), v)).collect::<Json>()),
            ]
        })
    }

    fn run(texts: Vec<String>) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (bench, ..) = studio().await;
            let mut answers = Vec::new();
            for text in texts {
                answers.push(bench.say(&text).await);
            }
            bench.server.shutdown().await;
            answers
        })
    }

    fn is_answer(text: &str) -> bool {
        text.is_empty()
            || serde_json::from_str::<Json>(text)
                .is_ok_and(|a| a["jsonrpc"] == "2.0" && (a.get("result").is_some() != a.get("error").is_some()))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_text_is_answered(texts in prop::collection::vec(".{0,60}", 1..5)) {
            prop_assert!(run(texts).iter().all(|answer| is_answer(answer)));
        }

        #[test]
        fn any_params_are_answered(
            method in prop::sample::select(vec![
                "ping", "connect", "create", "invoke", "release", "subscribe", "unsubscribe", "describe", "closeSession",
                "keepAlive", "ref", "unref", "transaction",
            ]),
            params in value(),
            id in value(),
        ) {
            let text = json!({"id": id, "jsonrpc": "2.0", "method": method, "params": params}).to_string();
            let answers = run(vec![text.clone(), text]);
            prop_assert!(answers.iter().all(|answer| is_answer(answer)), "{answers:?}");
        }
    }
}

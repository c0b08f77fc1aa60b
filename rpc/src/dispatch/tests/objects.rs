//! Making objects and calling them.

use super::studio;
use crate::fixture::bench;
use serde_json::{Value as Json, json};
use std::sync::atomic::Ordering;
use std::time::Duration;

#[tokio::test]
async fn ids_tell_class_and_parent() {
    let (mut bench, pipeline, one, _) = studio().await;
    let uuid = pipeline.strip_suffix("_kurento.MediaPipeline").expect("the class ends the id");
    assert_eq!(uuid.len(), 36);
    assert!(one.starts_with(&format!("{pipeline}/")) && one.ends_with("_kurento.PassThrough"));
    let hub = bench.create("s", "Composite", json!({ "mediaPipeline": pipeline })).await;
    let port = bench.create("s", "HubPort", json!({ "hub": hub })).await;
    assert!(port.starts_with(&format!("{hub}/")) && port.ends_with("_kurento.HubPort"));
    let chroma = bench.create("s", "chroma.ChromaFilter", json!({ "mediaPipeline": pipeline })).await;
    assert!(chroma.ends_with("_chroma.ChromaFilter"));
    assert_eq!(bench.invoke("s", &port, "getMediaPipeline", json!({})).await, json!(pipeline));
    assert_eq!(bench.invoke("s", &port, "getParent", json!({})).await, json!(hub));
}

#[tokio::test]
async fn only_classes_with_a_factory_can_be_created() {
    let mut bench = bench();
    for class in ["MediaElement", "ServerManager", "Unmade", "core.MediaPipeline", "mediapipeline", "NoSuch", ""] {
        let refusal = bench.refusal("create", json!({"type": class, "constructorParams": {}})).await;
        assert_eq!(refusal, (40108, format!("Factory '{class}' not found")));
    }
}

#[tokio::test]
async fn constructor_params_are_checked() {
    let (mut bench, pipeline, one, _) = studio().await;
    let cases = [
        (json!(null), 40001, "'constructorParams' is required".to_owned()),
        (json!([pipeline]), 40001, "'constructorParams' should be an object".into()),
        (json!("x"), 40001, "'constructorParams' should be an object".into()),
        (json!({}), 40001, "'mediaPipeline' parameter should be a string".into()),
        (json!({"mediaPipeline": {}}), 40001, "'mediaPipeline' parameter should be a string".into()),
        (json!({"mediaPipeline": "nope"}), 40101, "Object 'nope' not found".into()),
        (json!({"mediaPipeline": 5}), 40101, "Object '5' not found".into()),
        (json!({"mediaPipeline": null}), 40101, "Object '' not found".into()),
        (
            json!({"mediaPipeline": "newref:0"}),
            40109,
            "Object 'newref:0' not found. Possibly using a transactional object without committing the transaction."
                .into(),
        ),
        (
            json!({"mediaPipeline": one}),
            -32603,
            "Unexpected error while processing method: 'mediaPipeline' is an object of another class".into(),
        ),
    ];
    for (params, code, message) in cases {
        let request = json!({"type": "PassThrough", "constructorParams": params});
        assert_eq!(bench.refusal("create", request).await, (code, message));
    }
    assert_eq!(bench.server.object_count(), 3);
    bench.create("s", "PassThrough", json!({"mediaPipeline": pipeline, "unknown": 1})).await;
}

#[tokio::test]
async fn create_is_refused_near_the_systems_limits() {
    let mut bench = bench();
    bench.files.store(801, Ordering::Relaxed);
    assert_eq!(
        bench.refusal("create", json!({"type": "MediaPipeline"})).await,
        (40009, "Reached KMS files limit: 800".into())
    );
    bench.files.store(800, Ordering::Relaxed);
    bench.clock.advance(Duration::from_millis(100));
    bench.create("s", "MediaPipeline", json!({})).await;
}

#[tokio::test]
async fn after_shutdown_nothing_is_created() {
    let (mut bench, ..) = studio().await;
    bench.server.shutdown().await;
    assert_eq!(bench.world.released.lock().unwrap().len(), 3);
    assert_eq!(bench.refusal("create", json!({"type": "MediaPipeline"})).await.0, 40101);
    assert_eq!(bench.server.object_count(), 0);
    assert_eq!(bench.world.released.lock().unwrap().len(), 4, "what the factory made has ended too");
}

#[tokio::test]
async fn invoke_answers_a_value_always() {
    let (mut bench, _, one, two) = studio().await;
    let params = json!({"object": one, "operation": "connect", "operationParams": {"sink": two}});
    assert_eq!(bench.result("invoke", params).await, json!({"sessionId": "s", "value": null}));
    assert_eq!(bench.invoke("s", &one, "getLimit", json!({})).await, json!(3));
    assert_eq!(bench.invoke("s", &one, "setLimit", json!({"limit": 5.9})).await, Json::Null);
    assert_eq!(bench.invoke("s", &one, "getLimit", Json::Null).await, json!(5));
}

#[tokio::test]
async fn invoke_refuses_as_kurento_does() {
    let (mut bench, pipeline, one, two) = studio().await;
    let cases = [
        ("nope", json!({}), 40008, "Method 'nope' with 0 parameters not found"),
        ("setId", json!({"id": "x"}), 40008, "Method 'setId' with 1 parameters not found"),
        ("getType", json!(null), 40008, "Method 'getType' with 0 parameters not found"),
        ("connect", json!(null), 40001, "'operationParams' is required"),
        ("connect", json!([1]), 40001, "'operationParams' is required"),
        ("connect", json!({}), 40001, "'sink' parameter should be a string"),
        ("connect", json!({"sink": "nope"}), 40101, "Object 'nope' not found"),
        ("connect", json!({"sink": pipeline}), 40101, "Reference to sink is null"),
        ("connect", json!({"sink": two, "mediaType": "FOO"}), 40001, "Invalid value for 'MediaType'"),
        ("connect", json!({"sink": two, "mediaType": 1}), 40001, "Invalid value for 'MediaType'"),
        ("connect", json!({"sink": two, "mediaType": null}), 40001, "Invalid value for 'MediaType'"),
        ("connect", json!({"sink": two, "mediaType": {}}), 40001, "'mediaType' parameter should be a string"),
        ("setName", json!(null), 40001, "'name' parameter should be a string"),
        ("setName", json!({"name": {}}), 40001, "'name' parameter should be a string"),
        ("setLimit", json!({"limit": "100"}), 40001, "'limit' parameter should be a integer"),
        ("setLimit", json!({"limit": 1000000000000u64}), 40001, "'limit' parameter should be a integer"),
        ("setLimit", json!({"limit": -1}), 40107, "negative"),
        (
            "setSendTagsInEvents",
            json!({"sendTagsInEvents": "true"}),
            40001,
            "'sendTagsInEvents' parameter should be a boolean",
        ),
        ("echo", json!({"value": "x"}), 40001, "'value' parameter should be a object"),
        ("echo", json!({"value": {"y": 1}}), 40001, "'x' property should be a integer"),
        ("echo", json!({"value": {"x": "1"}}), 40001, "'x' property should be a integer"),
        (
            "echo",
            json!({"value": {"x": 1, "__module__": "kurento", "__type__": "Tag"}}),
            40003,
            "Type kurento.Tag is not compatible",
        ),
        ("getTag", json!({"key": "none"}), 40110, "Tag key not found"),
        ("unbound", json!({}), 40006, "Operation not implemented: unbound"),
    ];
    for (operation, params, code, message) in cases {
        let request = json!({"object": one, "operation": operation, "operationParams": params});
        assert_eq!(bench.refusal("invoke", request).await, (code, message.to_owned()), "{operation}");
    }
    let refusal = bench.refusal("invoke", json!({"object": "newref:0", "operation": "getName"})).await;
    assert_eq!(refusal.0, 40109);
    assert_eq!(bench.refusal("invoke", json!({"object": "x", "operation": 1})).await.0, 40101);
}

#[tokio::test]
async fn complex_values_are_filled_in() {
    let (mut bench, _, one, _) = studio().await;
    let mut echo = async |value: Json| bench.invoke("s", &one, "echo", json!({ "value": value })).await;
    assert_eq!(
        echo(json!({"x": 1.5, "other": 1})).await,
        json!({"__module__": "kurento", "__type__": "Point", "x": 1, "y": 7})
    );
    assert_eq!(
        echo(json!({"x": 1, "z": 2, "__module__": "kurento", "__type__": "Point3"})).await,
        json!({"__module__": "kurento", "__type__": "Point3", "x": 1, "y": 7, "z": 2.0})
    );
    assert_eq!(echo(json!({"x": true, "__type__": "Tag"})).await["__type__"], "Point", "half a name names nothing");
}

#[tokio::test]
async fn an_optional_argument_behind_a_missing_one_is_ignored() {
    let (mut bench, _, one, two) = studio().await;
    bench.result("subscribe", json!({"type": "ElementConnected", "object": one})).await;
    bench.invoke("s", &one, "connect", json!({"sink": two, "sourceMediaDescription": "x"})).await;
    bench.invoke("s", &one, "connect", json!({"sink": two, "mediaType": "VIDEO", "sourceMediaDescription": "x"})).await;
    let given: Vec<Json> = bench
        .events()
        .iter()
        .map(|e| {
            let event: Json = serde_json::from_str(e).unwrap();
            event["params"]["value"]["data"]["given"].clone()
        })
        .collect();
    assert_eq!(given, [json!(1), json!(3)]);
}

#[tokio::test]
async fn names_tags_and_times() {
    let (mut bench, pipeline, one, _) = studio().await;
    assert_eq!(bench.invoke("s", &one, "getName", json!({})).await, json!(one));
    for (name, kept) in [(json!(5), "5"), (json!(true), "true"), (json!(null), ""), (json!("my name"), "my name")] {
        bench.invoke("s", &one, "setName", json!({ "name": name })).await;
        assert_eq!(bench.invoke("s", &one, "getName", json!({})).await, json!(kept));
    }
    bench.invoke("s", &one, "addTag", json!({"key": "k1", "value": "v1"})).await;
    bench.invoke("s", &one, "addTag", json!({"key": "k1", "value": "v2"})).await;
    bench.invoke("s", &one, "addTag", json!({"key": "a0", "value": ""})).await;
    assert_eq!(
        bench.invoke("s", &one, "getTags", json!({})).await.to_string(),
        r#"[{"__module__":"kurento","__type__":"Tag","key":"a0","value":""},{"__module__":"kurento","__type__":"Tag","key":"k1","value":"v2"}]"#
    );
    assert_eq!(bench.invoke("s", &one, "getTag", json!({"key": "k1"})).await, json!("v2"));
    bench.invoke("s", &one, "removeTag", json!({"key": "k1"})).await;
    bench.invoke("s", &one, "removeTag", json!({"key": "k1"})).await;
    assert_eq!(bench.invoke("s", &one, "getCreationTime", json!({})).await, json!(1_646_657_831));
    assert_eq!(bench.invoke("s", &pipeline, "getMediaPipeline", json!({})).await, json!(pipeline));
    assert_eq!(bench.invoke("s", &pipeline, "getParent", json!({})).await, Json::Null);
    let childs = bench.invoke("s", &pipeline, "getChilds", json!({})).await;
    assert_eq!(bench.invoke("s", &pipeline, "getChildren", json!({})).await, childs);
}

#[tokio::test]
async fn a_panic_costs_one_call() {
    let (mut bench, _, one, _) = studio().await;
    let refusal = bench.refusal("invoke", json!({"object": one, "operation": "panic"})).await;
    let message = "Unexpected error while processing method: the operation failed inside the server";
    assert_eq!(refusal, (-32603, message.to_owned()));
    assert_eq!(bench.invoke("s", &one, "getLimit", json!({})).await, json!(3));
}

#[tokio::test]
async fn a_slow_call_holds_up_no_other_connection() {
    let (mut bench, _, one, _) = studio().await;
    let slow = bench.server.open_connection();
    let request =
        json!({"id": 1, "jsonrpc": "2.0", "method": "invoke", "params": {"object": one, "operation": "wait"}});
    let server = bench.server.clone();
    let waiting = tokio::spawn(async move { server.handle_text(slow.id, &request.to_string()).await });
    bench.world.waiting.notified().await;
    assert_eq!(bench.invoke("s", &one, "getLimit", json!({})).await, json!(3));
    assert!(!waiting.is_finished());
    bench.world.go.notify_one();
    assert!(waiting.await.unwrap().contains(r#""value":null"#));
}

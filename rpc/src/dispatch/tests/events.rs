//! Subscriptions, event frames, and the server manager.

use super::studio;
use crate::fixture::{Bench, bench};
use crate::objects::MANAGER_ID;
use serde_json::{Value as Json, json};

#[tokio::test]
async fn an_event_arrives_once_per_session_with_both_time_stamps() {
    let (mut bench, _, one, two) = studio().await;
    let subscribe = json!({"type": "ElementConnected", "object": one});
    let first = bench.result("subscribe", subscribe.clone()).await["value"].clone();
    let second = bench.result("subscribe", subscribe).await["value"].clone();
    assert_ne!(first, second);
    bench.invoke("s", &one, "connect", json!({"sink": two})).await;
    assert_eq!(
        bench.events(),
        [format!(
            r#"{{"jsonrpc":"2.0","method":"onEvent","params":{{"value":{{"data":{{"given":1,"mediaType":"AUDIO","sink":"{two}","source":"{one}","tags":[],"timestamp":"1646657831","timestampMillis":"1646657831138","type":"ElementConnected"}},"object":"{one}","type":"ElementConnected"}}}}}}"#
        )]
    );
    for (subscription, count) in [(first, 1), (second.clone(), 0), (second, 0), (json!("nope"), 0)] {
        let params = json!({"subscription": subscription, "object": one});
        assert_eq!(bench.result("unsubscribe", params).await, json!({"sessionId": "s"}));
        bench.invoke("s", &one, "connect", json!({"sink": two})).await;
        assert_eq!(bench.events().len(), count);
    }
    assert_eq!(
        bench.result("unsubscribe", json!({"subscription": "x", "object": "nope"})).await,
        json!({"sessionId": "s"})
    );
}

#[tokio::test]
async fn each_subscribed_name_is_served_under_itself() {
    let (mut bench, _, one, _) = studio().await;
    for name in ["MediaFlowInStateChange", "MediaFlowInStateChanged"] {
        bench.result("subscribe", json!({"type": name, "object": one})).await;
    }
    let object = bench.server.object(&one).unwrap();
    let data = json!({"state": "FLOWING"}).as_object().unwrap().clone();
    bench.server.emit(&object, "MediaFlowInStateChanged", data, bench.server.wall());
    let mut names: Vec<_> = bench
        .events()
        .iter()
        .map(|text| {
            let value = serde_json::from_str::<Json>(text).unwrap()["params"]["value"].take();
            assert_eq!(value["data"]["type"], value["type"]);
            value["type"].as_str().unwrap().to_owned()
        })
        .collect();
    names.sort();
    assert_eq!(names, ["MediaFlowInStateChange", "MediaFlowInStateChanged"]);
}

#[tokio::test]
async fn error_keeps_its_own_type() {
    let (mut bench, _, one, _) = studio().await;
    bench.result("subscribe", json!({"type": "Error", "object": one})).await;
    let data =
        json!({"description": "Invalid URI", "errorCode": 0, "type": "INVALID_URI"}).as_object().unwrap().clone();
    let object = bench.server.object(&one).unwrap();
    bench.server.emit(&object, "Error", data, bench.server.wall());
    let events = bench.events();
    assert!(events[0].contains(r#""type":"INVALID_URI"},"object""#), "{events:?}");
    assert!(events[0].ends_with(r#""type":"Error"}}}"#));
}

#[tokio::test]
async fn events_of_unknown_names_are_refused() {
    let (mut bench, _, one, _) = studio().await;
    for name in ["elementconnected", "kurento.ElementConnected", "", "ObjectCreated"] {
        let refusal = bench.refusal("subscribe", json!({"type": name, "object": one})).await;
        assert_eq!(refusal, (40106, format!("Event '{name}' not supported")));
    }
    assert_eq!(bench.refusal("subscribe", json!({"type": "Error", "object": "nope"})).await.0, 40101);
}

#[tokio::test]
async fn tags_travel_when_the_source_says_so() {
    let (mut bench, pipeline, one, two) = studio().await;
    bench.result("subscribe", json!({"type": "ElementConnected", "object": one})).await;
    bench.invoke("s", &one, "addTag", json!({"key": "tk", "value": "tv"})).await;
    bench.invoke("s", &pipeline, "setSendTagsInEvents", json!({"sendTagsInEvents": true})).await;
    assert_eq!(bench.invoke("s", &one, "getSendTagsInEvents", json!({})).await, json!(false), "it is not inherited");
    bench.invoke("s", &one, "setSendTagsInEvents", json!({"sendTagsInEvents": true})).await;
    bench.invoke("s", &one, "connect", json!({"sink": two})).await;
    let tags = r#""tags":[{"__module__":"kurento","__type__":"Tag","key":"tk","value":"tv"}],"#;
    assert!(bench.events()[0].contains(tags));
}

#[tokio::test]
async fn events_follow_the_session_to_another_connection() {
    let (mut bench, _, one, two) = studio().await;
    bench.result("subscribe", json!({"type": "ElementConnected", "object": one})).await;
    bench.server.close_connection(bench.connection.id);
    let object = bench.server.object(&one).unwrap();
    let emit = |bench: &Bench| {
        bench.server.emit(&object, "ElementConnected", crate::fixture::no_data(), bench.server.wall());
    };
    emit(&bench);
    bench.connection = bench.server.open_connection();
    bench.result("connect", json!({"sessionId": "s"})).await;
    emit(&bench);
    assert_eq!(bench.events().len(), 1, "what happened without a connection is not kept");
    bench.result("subscribe", json!({"type": "ElementConnected", "object": one, "sessionId": "t"})).await;
    bench.invoke("s", &one, "connect", json!({"sink": two})).await;
    assert_eq!(bench.events().len(), 1, "t lost this connection to s again");
}

#[tokio::test]
async fn a_full_queue_asks_for_the_end_of_the_connection() {
    let (mut bench, _, one, _) = studio().await;
    bench.result("subscribe", json!({"type": "Error", "object": one})).await;
    let object = bench.server.object(&one).unwrap();
    for _ in 0..=crate::server::EVENT_QUEUE {
        bench.server.emit(&object, "Error", crate::fixture::no_data(), bench.server.wall());
    }
    bench.connection.overrun.notified().await;
    assert_eq!(bench.events().len(), crate::server::EVENT_QUEUE);
    assert!(bench.server.object(&one).is_some(), "session and objects survive");
}

#[tokio::test]
async fn the_manager_tells_of_births_and_deaths() {
    let mut bench = bench();
    for name in ["ObjectCreated", "ObjectDestroyed"] {
        bench.result("subscribe", json!({"type": name, "object": MANAGER_ID, "sessionId": "s"})).await;
    }
    let pipeline = bench.create("s", "MediaPipeline", json!({})).await;
    let one = bench.create("s", "PassThrough", json!({"mediaPipeline": pipeline})).await;
    bench.result("release", json!({"object": pipeline})).await;
    bench.server.shutdown().await;
    let frame = |member: &str, id: &str, name: &str| {
        let data = if member == "object" {
            format!(r#""object":"{id}","source""#)
        } else {
            format!(r#""objectId":"{id}","source""#)
        };
        format!(
            r#"{{"jsonrpc":"2.0","method":"onEvent","params":{{"value":{{"data":{{{data}:"manager_ServerManager","tags":[],"timestamp":"1646657831","timestampMillis":"1646657831138"}},"object":"manager_ServerManager","type":"{name}"}}}}}}"#
        )
    };
    assert_eq!(
        bench.events(),
        [
            frame("object", &pipeline, "ObjectCreated"),
            frame("object", &one, "ObjectCreated"),
            frame("objectId", &one, "ObjectDestroyed"),
            frame("objectId", &pipeline, "ObjectDestroyed"),
        ]
    );
}

#[tokio::test]
async fn the_manager_describes_the_server() {
    let (mut bench, pipeline, ..) = studio().await;
    let module = |name: &str, factories: Json| {
        json!({"__module__": "kurento", "__type__": "ModuleInfo", "factories": factories,
               "generationTime": "Nov  9 2018 10:20:30", "name": name, "version": "7.3.0"})
    };
    assert_eq!(
        bench.invoke("s", MANAGER_ID, "getInfo", json!({})).await,
        json!({
            "__module__": "kurento", "__type__": "ServerInfo", "capabilities": ["transactions"], "type": "KMS", "version": "7.3.0",
            "modules": [
                module("core", json!(["HubPort", "MediaPipeline", "PassThrough"])),
                module("elements", json!(["Composite"])),
                module("filters", json!([])),
                module("chroma", json!(["ChromaFilter"])),
            ],
        })
    );
    assert_eq!(bench.invoke("s", MANAGER_ID, "getPipelines", json!({})).await, json!([pipeline]));
    assert_eq!(bench.invoke("s", MANAGER_ID, "getSessions", json!({})).await, json!(["s"]));
    assert_eq!(bench.invoke("s", MANAGER_ID, "getMetadata", json!({})).await, json!(""));
    assert_eq!(bench.invoke("s", MANAGER_ID, "getName", json!({})).await, json!(MANAGER_ID));
    assert_eq!(bench.invoke("s", MANAGER_ID, "getMediaPipeline", json!({})).await, Json::Null);
    assert_eq!(bench.invoke("s", MANAGER_ID, "getChildren", json!({})).await, json!([]));
    assert!(bench.invoke("s", MANAGER_ID, "getCpuCount", json!({})).await.as_u64() >= Some(1));
    assert!(bench.invoke("s", MANAGER_ID, "getUsedMemory", json!({})).await.as_u64() > Some(1000));
    assert_eq!(bench.invoke("s", MANAGER_ID, "getUsedCpu", json!({"interval": 0})).await, Json::Null);
    assert_eq!(bench.invoke("s", MANAGER_ID, "getUsedCpu", json!({"interval": -5})).await, Json::Null);
    let share = bench.invoke("s", MANAGER_ID, "getUsedCpu", json!({"interval": 1})).await;
    assert!(share.as_f64().is_some_and(|share| share >= 0.0), "{share}");
    let request = json!({"object": MANAGER_ID, "operation": "getKmd", "operationParams": {"moduleName": "nope"}});
    assert_eq!(bench.refusal("invoke", request).await, (40500, "Requested kmd module doesn't exist".into()));
    let kmd = bench.invoke("s", MANAGER_ID, "getKmd", json!({"moduleName": "core"})).await;
    assert!(kmd.as_str().unwrap().contains(r#""ServerManager""#));
}

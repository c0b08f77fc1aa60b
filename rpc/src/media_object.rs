//! What every object has: id, name, parent, children, tags.
//!
//! What enters: calls of `MediaObject`'s operations. What leaves: their answers. What it must never know: other classes.

use crate::bindings::{Answer, Bindings, Call};
use crate::error::Error;
use serde_json::{Value as Json, json};
use std::future::{Ready, ready};

pub fn bind(bindings: &mut Bindings) {
    const CLASS: &str = "MediaObject";
    bindings
        .getter(CLASS, "id", |call| ready(Ok(call.object.id().into())))
        .getter(CLASS, "name", |call| ready(Ok(call.object.name().into())))
        .setter(CLASS, "name", |call| {
            call.object.set_name(call.args.string("name"));
            done()
        })
        .getter(CLASS, "creationTime", |call| ready(Ok(call.object.creation_time().into())))
        .getter(CLASS, "parent", |call| ready(Ok(call.object.parent().map(|parent| parent.id()).into())))
        .getter(CLASS, "mediaPipeline", |call| ready(Ok(call.object.pipeline().map(|object| object.id()).into())))
        .getter(CLASS, "children", |call| ready(children(&call)))
        .getter(CLASS, "childs", |call| ready(children(&call)))
        .getter(CLASS, "sendTagsInEvents", |call| ready(Ok(call.object.sends_tags().into())))
        .setter(CLASS, "sendTagsInEvents", |call| {
            call.object.set_sends_tags(call.args.boolean("sendTagsInEvents"));
            done()
        })
        .method(CLASS, "addTag", |call| {
            call.object.set_tag(call.args.string("key"), call.args.string("value"));
            done()
        })
        .method(CLASS, "removeTag", |call| {
            call.object.remove_tag(call.args.string("key"));
            done()
        })
        .method(CLASS, "getTag", |call| {
            ready(call.object.tags().remove(call.args.string("key")).map(Json::from).ok_or(Error::TagNotFound))
        })
        .method(CLASS, "getTags", |call| ready(Ok(tags(&call))));
}

fn done() -> Ready<Answer> {
    ready(Ok(Json::Null))
}

fn children(call: &Call) -> Answer {
    // Kurento keeps children in the order of their ids.
    let mut children = call.server.children(&call.object);
    children.sort_by(|a, b| a.id().cmp(b.id()));
    Ok(children.iter().map(|child| Json::from(child.id())).collect())
}

fn tags(call: &Call) -> Json {
    let tag = |(key, value): (String, String)| json!({ "__module__": "kurento", "__type__": "Tag", "key": key, "value": value });
    call.object.tags().into_iter().map(tag).collect()
}

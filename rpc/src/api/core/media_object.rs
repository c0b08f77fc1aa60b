//! `MediaObject`, the root of all that lives in the server, and the tags it carries.
//!
//! `declare` takes the module under assembly and hands it back with these rows. What they do is bound to them
//! elsewhere; nothing here knows it.

use crate::api::model::{Class, Complex, Era, Module, class, method, param, property, register};

/// Adds the rows of this file to `module`.
pub fn declare(module: Module) -> Module {
    module.class(media_object()).complex(tag())
}

fn media_object() -> Class {
    let bare =
        class("MediaObject", "Root of everything that lives in the server: it has an id, a parent, a name and tags.")
            .is_abstract()
            .event("Error");
    tags(properties(bare))
}

fn properties(class: Class) -> Class {
    class
        .property(
            property(
                "mediaPipeline",
                "MediaPipeline",
                "The pipeline at the top of this object's ancestry; a pipeline answers itself.",
            )
            .is_final(),
        )
        .property(
            property(
                "parent",
                "MediaObject",
                "The object that owns this one; the pipeline for an element, the hub for a port.",
            )
            .is_final(),
        )
        .property(
            property(
                "id",
                "String",
                "Unique id: the parent's id, a slash, a UUID, an underscore and the qualified class name.",
            )
            .is_final(),
        )
        .property(property("childs", "MediaObject[]", "Older spelling of `children`.").read_only().era(Era::Until7))
        .property(property("children", "MediaObject[]", "The objects that this one owns directly.").read_only())
        .property(property("name", "String", "Free text for people and logs; the id until it is set."))
        .property(
            property("sendTagsInEvents", "boolean", "Whether each event of this object carries its tags.")
                .default(false),
        )
        .property(property("creationTime", "int", "When the object was made, in seconds since 1970 (UTC).").is_final())
}

fn tags(class: Class) -> Class {
    class
        .method(
            method("addTag", "Attaches a tag; a tag of the same key is replaced.")
                .param(param("key", "String", "Name of the tag."))
                .param(param("value", "String", "Text of the tag.")),
        )
        .method(method("removeTag", "Takes a tag away; an unknown key is no error.").param(param(
            "key",
            "String",
            "Name of the tag.",
        )))
        .method(
            method("getTag", "Reads one tag; an unknown key is error 40110.")
                .param(param("key", "String", "Name of the tag."))
                .returns("String", "Text of the tag."),
        )
        .method(method("getTags", "Reads all tags.").returns("Tag[]", "The tags, ordered by key."))
}

fn tag() -> Complex {
    register("Tag", "A key and a value that an application attached to an object.")
        .field(param("key", "String", "Name of the tag."))
        .field(param("value", "String", "Text of the tag."))
}

//! `ServerManager`, the server seen as an object, and what it tells of itself.
//!
//! `declare` takes the module under assembly and hands it back with these rows. What they do is bound to them
//! elsewhere; nothing here knows it.

use crate::api::model::{Class, Complex, Era, Module, class, enumeration, method, param, property, register};

/// Adds the rows of this file to `module`.
pub fn declare(module: Module) -> Module {
    module.class(server_manager()).complex(server_type()).complex(server_info()).complex(module_info())
}

fn server_manager() -> Class {
    class("ServerManager", "The server itself: what it is, what it serves, and what it costs. There is exactly one.")
        .extends("MediaObject")
        .is_abstract()
        .property(property("info", "ServerInfo", "Version, modules and capabilities of the server.").read_only())
        .property(
            property("pipelines", "MediaPipeline[]", "Every pipeline that is alive, whichever session made it.")
                .read_only(),
        )
        .property(property("sessions", "String[]", "The ids of the client sessions that are alive.").read_only())
        .property(
            property("metadata", "String", "JSON text that the operator put into the configuration under `metadata`.")
                .read_only(),
        )
        .method(
            method("getKmd", "Answers the descriptor of a module; an unknown module is error 40500.")
                .param(param("moduleName", "String", "Name of the module, such as `core`."))
                .returns("String", "The descriptor as JSON text on one line."),
        )
        .method(
            method("getCpuCount", "Counts the processor cores that this process may use.")
                .returns("int", "Number of cores.")
                .era(Era::Since7),
        )
        // Kurento lists `interval` as required in spite of its default; here the default counts.
        .method(
            method(
                "getUsedCpu",
                "Measures the processor time of this process; the answer comes when the interval is over.",
            )
            .param(param("interval", "int", "How long to measure, in ms.").default(1000))
            .returns("float", "Share of the available cores that was busy, in percent.")
            .era(Era::Since7),
        )
        .method(
            method("getUsedMemory", "Reads the resident memory of this process.").returns("int64", "Memory in KiB."),
        )
        .event("ObjectCreated")
        .event("ObjectDestroyed")
}

fn server_type() -> Complex {
    enumeration(
        "ServerType",
        "What kind of server this is: KMS serves media, KCS is the retired cloud manager.",
        ["KMS", "KCS"],
    )
}

fn server_info() -> Complex {
    register("ServerInfo", "What a client may know about the server.")
        .field(param("version", "String", "Version of the Kurento API that is served."))
        .field(param("modules", "ModuleInfo[]", "The modules that are loaded."))
        .field(param("type", "ServerType", "The kind of server."))
        .field(param(
            "capabilities",
            "String[]",
            "Optional parts of the protocol that are served, such as `transactions`.",
        ))
}

fn module_info() -> Complex {
    register("ModuleInfo", "A loaded module.")
        .field(param("version", "String", "Version of the module."))
        .field(param("name", "String", "Name of the module."))
        .field(param("generationTime", "String", "When the module was built, as text."))
        .field(param("factories", "String[]", "The classes of the module that can be created."))
}

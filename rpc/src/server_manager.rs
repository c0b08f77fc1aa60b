//! The server manager: what the server says about itself.
//!
//! What enters: calls of `ServerManager`'s operations. What leaves: modules, pipelines, sessions, memory and processor use.
//! What it must never know: media.

use crate::api::descriptor::{self, DescriptorVersion};
use crate::api::model::Module;
use crate::bindings::{Answer, Bindings, Call};
use crate::error::Error;
use crate::limits::status_field;
use crate::objects::lock;
use crate::server::Server;
use serde_json::{Value as Json, json};
use std::fs;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

/// Listed in `getInfo` even without a factory: clients refuse a server that lacks one of them.
const ALWAYS_LISTED: [&str; 3] = ["core", "elements", "filters"];
/// Linux counts processor time in hundredths of a second towards programs.
const TICKS_PER_SECOND: f64 = 100.0;

pub fn bind(bindings: &mut Bindings) {
    const CLASS: &str = "ServerManager";
    bindings
        .getter(CLASS, "info", |call| ready(Ok(info(&call.server))))
        .getter(CLASS, "pipelines", |call| {
            ready(Ok(call.server.pipelines().iter().map(|pipeline| Json::from(pipeline.id())).collect()))
        })
        .getter(CLASS, "sessions", |call| ready(Ok(lock(&call.server.sessions).session_ids().into())))
        .getter(CLASS, "metadata", |call| ready(Ok(call.server.metadata.clone().into())))
        .method(CLASS, "getKmd", |call| ready(kmd(&call)))
        .method(CLASS, "getCpuCount", |_| ready(Ok(cpu_count().into())))
        .method(CLASS, "getUsedCpu", used_cpu)
        .method(CLASS, "getUsedMemory", |_| ready(Ok(used_memory().into())));
}

/// The modules as `getInfo` lists them: core, elements and filters first, then by name.
pub fn listed_modules(server: &Server) -> Vec<(&Module, Vec<&'static str>)> {
    let mut listed: Vec<_> = server.api.modules.iter().map(|module| (module, factories(server, module))).collect();
    listed.retain(|(module, factories)| !factories.is_empty() || ALWAYS_LISTED.contains(&module.name));
    let rank = |name: &str| ALWAYS_LISTED.iter().position(|known| *known == name).unwrap_or(ALWAYS_LISTED.len());
    listed.sort_by_key(|(module, _)| (rank(module.name), module.name));
    listed
}

/// The classes of a module that can be created, by name.
fn factories(server: &Server, module: &Module) -> Vec<&'static str> {
    let can_be_created = |name: &&str| server.class(name).is_some_and(|class| class.factory.is_some());
    let mut names: Vec<_> = module.classes.iter().map(|class| class.name).filter(can_be_created).collect();
    names.sort_unstable();
    names
}

fn info(server: &Arc<Server>) -> Json {
    let module = |(module, factories): (&Module, Vec<&'static str>)| {
        json!({
            "__module__": "kurento",
            "__type__": "ModuleInfo",
            "factories": factories,
            "generationTime": server.generation_time,
            "name": module.name,
            "version": server.version,
        })
    };
    json!({
        "__module__": "kurento",
        "__type__": "ServerInfo",
        "capabilities": ["transactions"],
        "modules": listed_modules(server).into_iter().map(module).collect::<Vec<_>>(),
        "type": "KMS",
        "version": server.version,
    })
}

fn kmd(call: &Call) -> Answer {
    let name = call.args.string("moduleName");
    let module = call.server.api.module(name).ok_or(Error::KmdNotFound)?;
    if !listed_modules(&call.server).iter().any(|(listed, _)| listed.name == module.name) {
        return Err(Error::KmdNotFound);
    }
    Ok(descriptor::kmd_text(&call.server.api, module, DescriptorVersion::Union).into())
}

fn cpu_count() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Processor time of this process, in ticks.
fn used_ticks() -> Option<u64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in brackets and may hold anything; user and system time are fields 14 and 15.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// Per cent of all processors together that this process uses during `interval` ms; null for an empty interval.
async fn used_cpu(call: Call) -> Answer {
    let Ok(interval @ 1..) = u64::try_from(call.args.integer("interval")) else { return Ok(Json::Null) };
    let (before, start) = (used_ticks(), call.server.uptime());
    tokio::time::sleep(Duration::from_millis(interval)).await;
    let (after, end) = (used_ticks(), call.server.uptime());
    let seconds = end.saturating_sub(start).as_secs_f64().max(interval as f64 / 1000.0);
    let ticks = after.zip(before).map_or(0, |(after, before)| after.saturating_sub(before));
    let share = ticks as f64 / TICKS_PER_SECOND / seconds / cpu_count() as f64;
    // Kurento declares a 32-bit float, and its digits show it.
    Ok(f64::from((share * 100.0) as f32).into())
}

/// Resident memory of this process, in KiB.
fn used_memory() -> u64 {
    fs::read_to_string("/proc/self/status").ok().and_then(|status| status_field(&status, "VmRSS:")).unwrap_or(0)
}

//! Holds the tables of the API against themselves, against the committed descriptors and, where it lies beside the
//! workspace, against Kurento's own.

// A test may panic where what it reads is not as it must be.
#![allow(clippy::unwrap_used)]

use rivero_rpc::api::descriptor::{DescriptorVersion, exists, kmd, kmd_text};
use rivero_rpc::api::model::{Api, Class, Module, Param, Shape};
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const VERSIONS: [(DescriptorVersion, &str); 2] = [(DescriptorVersion::V6_8, "6.8"), (DescriptorVersion::V7_3, "7.3")];

fn beside_crate(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn api() -> Api {
    rivero_rpc::api::kurento()
}

#[test]
fn committed_descriptors_are_those_of_the_tables() {
    let api = api();
    let bless = std::env::var_os("RIVERO_BLESS").is_some_and(|v| v == "1");
    let mut drifted = Vec::new();
    for (version, folder) in VERSIONS {
        let folder = beside_crate("../fixtures/kmd").join(folder);
        let mut expected = BTreeSet::new();
        for module in api.modules.iter().filter(|m| exists(m, version)) {
            let name = format!("{}.kmd.json", module.name);
            let text = serde_json::to_string_pretty(&kmd(&api, module, version)).unwrap() + "\n";
            let path = folder.join(&name);
            if bless {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(&path, &text).unwrap();
            }
            if std::fs::read_to_string(&path).ok().as_ref() != Some(&text) {
                drifted.push(path.display().to_string());
            }
            expected.insert(name);
        }
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            if !expected.contains(entry.file_name().to_str().unwrap()) {
                drifted.push(format!("{} (no such module)", entry.path().display()));
            }
        }
    }
    let advice = "the tables in rpc/src/api and these descriptors differ; if the tables are right, run\n    \
                  RIVERO_BLESS=1 cargo test -p rivero-rpc --test descriptors\nand commit the result";
    assert!(drifted.is_empty(), "{advice}:\n{}", drifted.join("\n"));
}

#[test]
fn what_is_served_has_the_rows_of_both_versions() {
    let api = api();
    let elements = api.module("elements").unwrap();
    let text = kmd_text(&api, elements, DescriptorVersion::Union);
    assert!(!text.contains('\n'), "the descriptor is one line");
    let served: Json = serde_json::from_str(&text).unwrap();
    let names: Vec<&str> = served["events"].as_array().unwrap().iter().map(|e| e["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"OnIceCandidate") && names.contains(&"DtlsConnectionStateChange"), "{names:?}");
    let types = served["complexTypes"].as_array().unwrap();
    let pair = types.iter().find(|t| t["name"] == "IceCandidatePair").unwrap();
    let optional = pair["properties"].as_array().unwrap().iter().filter(|p| p["optional"] == true);
    let optional: Vec<&Json> = optional.map(|p| &p["name"]).collect();
    assert_eq!(optional, ["streamId", "componentId", "streamID", "componentID"]);
}

#[test]
fn a_module_answers_to_its_aliases() {
    let api = api();
    let meant = |written: &str| api.class_on_wire(written).map(|c| c.qualified());
    assert_eq!(meant("armarkerdetector.ArMarkerdetector"), Some("markerdetector.ArMarkerdetector".to_owned()));
    assert_eq!(meant("markerdetector.ArMarkerdetector"), Some("markerdetector.ArMarkerdetector".to_owned()));
    assert_eq!(meant("chroma.ArMarkerdetector"), None);
    assert_eq!(meant("kurento.WebRtcEndpoint"), Some("kurento.WebRtcEndpoint".to_owned()));
    assert_eq!(api.complex_for("chroma", "WindowParam").unwrap().module, "chroma");
    assert_eq!(api.complex_for("core", "chroma.WindowParam").unwrap().module, "chroma");
    assert_eq!(api.complex_for("pointerdetector", "WindowParam").unwrap().module, "pointerdetector");
    assert_eq!(api.complex_for("chroma", "kurento.MediaType").unwrap().module, "core");
}

/// Collects what is wrong with the tables, so that one run tells all of it.
struct Faults<'a> {
    api: &'a Api,
    found: Vec<String>,
}

impl Faults<'_> {
    fn check(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            self.found.push(fault());
        }
    }

    fn doc(&mut self, place: &str, doc: &str) {
        let one_line = !doc.contains('\n') && !doc.contains("  ");
        self.check(one_line && doc.len() > 4 && doc.ends_with('.'), || format!("{place}: doc {doc:?}"));
    }

    fn unique<'n>(&mut self, place: &str, names: impl Iterator<Item = &'n str>) {
        let mut seen = BTreeSet::new();
        for name in names {
            self.check(seen.insert(name), || format!("{place}: {name} twice"));
        }
    }

    fn ty(&mut self, module: &str, place: &str, ty: &str) {
        let bare = bare(ty);
        let primitive = ["String", "boolean", "int", "int64", "float", "double"].contains(&bare);
        let known = primitive || self.api.class(bare).is_some() || self.api.complex_for(module, bare).is_some();
        self.check(known, || format!("{place}: unknown type {ty}"));
    }

    fn default(&mut self, module: &str, place: &str, ty: &str, value: Option<&Json>) {
        if let Some(value) = value {
            let fits = fits(self.api, module, ty, value);
            self.check(fits, || format!("{place}: default {value} is no {ty}"));
        }
    }

    fn params(&mut self, module: &str, place: &str, params: &[Param]) {
        self.unique(place, params.iter().map(|p| p.name));
        for param in params {
            let place = format!("{place}.{}", param.name);
            self.doc(&place, param.doc);
            self.ty(module, &place, param.ty);
            self.default(module, &place, param.ty, param.default.as_ref());
        }
    }

    /// A required parameter after an optional one could not be left out by position.
    fn optional_last(&mut self, place: &str, params: &[Param]) {
        self.check(params.is_sorted_by_key(|p| p.optional), || format!("{place}: required after optional"));
    }

    fn class(&mut self, module: &Module, class: &Class) {
        let place = format!("{}.{}", module.name, class.name);
        self.doc(&place, class.doc);
        self.check(class.module == module.name, || format!("{place}: says module {}", class.module));
        let root = class.name == "MediaObject";
        let base = class.extends.and_then(|b| self.api.class(b));
        self.check(base.is_some() != root, || format!("{place}: extends {:?}", class.extends));
        self.check(class.constructor.is_none() == class.is_abstract, || format!("{place}: abstract or constructible"));
        if let Some(constructor) = &class.constructor {
            let place = format!("{place}()");
            self.doc(&place, constructor.doc);
            self.params(module.name, &place, &constructor.params);
            self.optional_last(&place, &constructor.params);
        }
        let mut wire: Vec<String> = class.methods.iter().map(|m| m.name.to_owned()).collect();
        for property in &class.properties {
            let place = format!("{place}.{}", property.name);
            self.doc(&place, property.doc);
            self.ty(module.name, &place, property.ty);
            self.default(module.name, &place, property.ty, property.default.as_ref());
            let mut letters = property.name.chars();
            let first = letters.next().unwrap().to_ascii_uppercase();
            wire.push(format!("get{first}{}", letters.as_str()));
            wire.push(format!("set{first}{}", letters.as_str()));
        }
        self.unique(&place, wire.iter().map(String::as_str));
        for method in &class.methods {
            let place = format!("{place}.{}()", method.name);
            self.doc(&place, method.doc);
            self.params(module.name, &place, &method.params);
            self.optional_last(&place, &method.params);
            if let Some((ty, doc)) = method.returns {
                self.doc(&place, doc);
                self.ty(module.name, &place, ty);
            }
        }
        self.unique(&place, class.events.iter().map(|(name, _)| *name));
        for (name, _) in &class.events {
            self.check(self.api.event(name).is_some(), || format!("{place}: unknown event {name}"));
        }
    }
}

fn bare(ty: &str) -> &str {
    ty.strip_suffix("[]").or_else(|| ty.strip_suffix("<>")).unwrap_or(ty)
}

fn fits(api: &Api, module: &str, ty: &str, value: &Json) -> bool {
    if let Some(item) = ty.strip_suffix("[]") {
        return value.as_array().is_some_and(|list| list.iter().all(|v| fits(api, module, item, v)));
    }
    if let Some(item) = ty.strip_suffix("<>") {
        return value.as_object().is_some_and(|map| map.values().all(|v| fits(api, module, item, v)));
    }
    match ty {
        "String" => value.is_string(),
        "boolean" => value.is_boolean(),
        "int" => value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
        "int64" => value.is_i64(),
        "float" | "double" => value.is_number(),
        name => match api.complex_for(module, name) {
            Some(complex) => match &complex.shape {
                Shape::Enum(values) => value.as_str().is_some_and(|text| values.iter().any(|(v, _)| *v == text)),
                Shape::Register(_) => value.as_object().is_some_and(|given| {
                    let fields = api.fields(complex);
                    fields.iter().all(|f| match given.get(f.name) {
                        Some(v) => fits(api, module, f.ty, v),
                        None => f.optional,
                    }) && given.keys().all(|key| fields.iter().any(|f| f.name == key))
                }),
            },
            None => false,
        },
    }
}

#[test]
fn tables_are_sound() {
    let api = api();
    let mut faults = Faults { api: &api, found: Vec::new() };
    faults.unique("modules", api.modules.iter().flat_map(|m| std::iter::once(m.name).chain(m.aliases.iter().copied())));
    faults.unique("classes", api.modules.iter().flat_map(|m| &m.classes).map(|c| c.name));
    faults.unique("events", api.modules.iter().flat_map(|m| &m.events).map(|e| e.name));
    let mut rows = 0;
    for module in &api.modules {
        faults.doc(module.name, module.doc);
        faults.unique(module.name, module.classes.iter().map(|c| c.name).chain(module.complex.iter().map(|c| c.name)));
        for import in &module.imports {
            faults.check(api.module(import).is_some(), || format!("{}: unknown import {import}", module.name));
        }
        for class in &module.classes {
            faults.class(module, class);
        }
        for complex in &module.complex {
            let place = format!("{}.{}", module.name, complex.name);
            faults.doc(&place, complex.doc);
            let base_known = complex.extends.is_none_or(|b| api.complex_for(module.name, b).is_some());
            faults.check(base_known, || format!("{place}: extends {:?}", complex.extends));
            match &complex.shape {
                Shape::Enum(values) => {
                    faults.check(!values.is_empty(), || format!("{place}: no values"));
                    faults.unique(&place, values.iter().map(|(value, _)| *value));
                }
                Shape::Register(fields) => faults.params(module.name, &place, fields),
            }
        }
        for event in &module.events {
            let place = format!("{}.{}", module.name, event.name);
            faults.doc(&place, event.doc);
            let base = event.extends.and_then(|b| api.event(b));
            faults.check(base.is_some() != (event.name == "RaiseBase"), || {
                format!("{place}: extends {:?}", event.extends)
            });
            faults.params(module.name, &place, &event.properties);
        }
        rows += module.classes.len() + module.complex.len() + module.events.len();
    }
    assert!(rows > 120, "only {rows} rows: the tables were not assembled");
    assert!(faults.found.is_empty(), "{}", faults.found.join("\n"));
}

/// The reference's files of one version as one descriptor for each module: files that begin alike belong together.
fn reference(folder: &Path) -> BTreeMap<String, Json> {
    let mut modules: BTreeMap<String, Map<String, Json>> = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let part: Json = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let whole = modules.entry(file.split('.').next().unwrap().to_owned()).or_default();
        for (key, value) in part.as_object().unwrap() {
            match (whole.get_mut(key), value) {
                (Some(Json::Array(list)), Json::Array(more)) => list.extend(more.iter().cloned()),
                _ => drop(whole.insert(key.clone(), value.clone())),
            }
        }
    }
    modules.into_values().map(|whole| (whole["name"].as_str().unwrap().to_owned(), Json::Object(whole))).collect()
}

/// Every row of a descriptor as a line of text under its path, with docs and spellings of "absent" taken away.
fn facts(descriptor: &Json) -> BTreeMap<String, String> {
    let list = |value: &Json| value.as_array().cloned().unwrap_or_default();
    let param = |p: &Json| {
        let flag = |name: &str| p[name].as_bool().unwrap_or(false);
        let flags = ["optional", "final", "readOnly"].map(flag);
        format!("{} {} {flags:?} {}", p["name"], p["type"], p["defaultValue"])
    };
    let params = |ps: &Json| list(ps).iter().map(param).collect::<Vec<_>>().join(", ");
    let mut facts = BTreeMap::new();
    for class in list(&descriptor["remoteClasses"]) {
        let place = format!("class {}", class["name"]);
        let is_abstract = class["abstract"].as_bool().unwrap_or(false);
        facts.insert(place.clone(), format!("{} {is_abstract}", class["extends"]));
        if let Some(constructor) = class.get("constructor") {
            facts.insert(format!("{place} constructor"), params(&constructor["params"]));
        }
        for property in list(&class["properties"]) {
            facts.insert(format!("{place} property {}", property["name"]), param(&property));
        }
        for method in list(&class["methods"]) {
            let fact = format!("({}) -> {}", params(&method["params"]), method["return"]["type"]);
            facts.insert(format!("{place} method {}", method["name"]), fact);
        }
        for event in list(&class["events"]) {
            facts.insert(format!("{place} event {event}"), String::new());
        }
    }
    for (kind, rows) in [("type", "complexTypes"), ("event", "events")] {
        for row in list(&descriptor[rows]) {
            let values = list(&row["values"]);
            let fact = format!("{} {} {values:?} [{}]", row["typeFormat"], row["extends"], params(&row["properties"]));
            facts.insert(format!("{kind} {}", row["name"]), fact);
        }
    }
    facts
}

/// Changes, in the reference, what the tables say otherwise on purpose; each must be found as expected.
fn amend(name: &str, folder: &str, descriptor: &mut Json) {
    let mut replace = |pointer: &[(&str, &str)], key: &str, old: Json, new: Json| {
        let mut place = &mut *descriptor;
        for (rows, wanted) in pointer {
            let list = place[*rows].as_array_mut().unwrap();
            place = list.iter_mut().find(|r| r["name"] == *wanted).expect("the row is in the reference");
        }
        assert_eq!(place[key], old, "the reference changed at {pointer:?}");
        place[key] = new;
    };
    match (name, folder) {
        // A client of 6.8 that always gives the name is served as well when it is optional, as in 7.3.
        ("core", "6.8") => {
            let name = [("complexTypes", "CodecConfiguration"), ("properties", "name")];
            replace(&name, "optional", Json::Null, json!(true));
        }
        // A parameter with a default may be left out.
        ("core", "7.3") => {
            let interval = [("remoteClasses", "ServerManager"), ("methods", "getUsedCpu"), ("params", "interval")];
            replace(&interval, "optional", json!(false), json!(true));
        }
        // A number, not the text of one.
        ("crowddetector", _) => {
            let width = [("remoteClasses", "CrowdDetectorFilter"), ("properties", "processingWidth")];
            replace(&width, "defaultValue", json!("320"), json!(320));
        }
        _ => {}
    }
}

#[test]
fn tables_equal_kurentos_descriptors() {
    let root = beside_crate("../../shared/reference/kmd");
    if !root.is_dir() {
        println!("skipped: Kurento's descriptors are not at {}", root.display());
        return;
    }
    let api = api();
    let mut differences = Vec::new();
    for ((version, folder), count) in VERSIONS.into_iter().zip([3, 12]) {
        let reference = reference(&root.join(folder));
        assert_eq!(reference.len(), count, "modules of {folder}");
        for (name, mut theirs) in reference {
            amend(&name, folder, &mut theirs);
            let theirs = facts(&theirs);
            let module = api.module(&name).unwrap_or_else(|| panic!("module {name} is missing"));
            let ours = facts(&kmd(&api, module, version));
            assert!(!theirs.is_empty(), "no rows in {folder}/{name}");
            for key in theirs.keys().chain(ours.keys()).collect::<BTreeSet<_>>() {
                if theirs.get(key) != ours.get(key) {
                    let (theirs, ours) = (theirs.get(key), ours.get(key));
                    differences.push(format!("{folder}/{name} {key}:\n  Kurento {theirs:?}\n  ours    {ours:?}"));
                }
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

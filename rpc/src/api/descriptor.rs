//! Descriptors: a module's rows in the `.kmd.json` shape that Kurento's client generators read and `getKmd` answers.
//!
//! What enters: an [`Api`], one of its modules and the version wanted. What leaves: JSON. What it must never know:
//! files, sockets, or which classes this server can really create.

use super::model::{Api, Class, Complex, Constructor, Era, Event, Method, Module, Param, Property, Shape};
use serde_json::{Map, Value as Json, json};

/// Which rows a descriptor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DescriptorVersion {
    /// What a 6.8 server has.
    V6_8,
    /// What a 7.3 server has.
    V7_3,
    /// The rows of both, as they are served. Parameters and fields of one version only are optional in it.
    Union,
}

impl DescriptorVersion {
    /// Whether rows of `era` belong to this version.
    pub fn has(self, era: Era) -> bool {
        match self {
            DescriptorVersion::V6_8 => era.in_6_8(),
            DescriptorVersion::V7_3 => era.in_7_3(),
            DescriptorVersion::Union => true,
        }
    }

    /// The version of Kurento that the descriptor names.
    pub fn text(self) -> &'static str {
        match self {
            DescriptorVersion::V6_8 => "6.8.0",
            DescriptorVersion::V7_3 | DescriptorVersion::Union => "7.3.0",
        }
    }

    /// The range of Kurento versions with which the module works, as Kurento, Maven and npm write it.
    fn range(self) -> [&'static str; 3] {
        match self {
            DescriptorVersion::V6_8 => ["^6.7.0", "[6.7.0,7.0.0-SNAPSHOT)", ">=6.7.0 <7.0.0"],
            DescriptorVersion::V7_3 | DescriptorVersion::Union => {
                ["^7.1.0", "[7.1.0,8.0.0-SNAPSHOT)", ">=7.1.0 <8.0.0"]
            }
        }
    }
}

/// Writes the descriptor of `module`. Events of one version are listed by a class only in that version.
pub fn kmd(api: &Api, module: &Module, version: DescriptorVersion) -> Json {
    let has = |era: Era| version.has(era);
    let classes = module.classes.iter().filter(|c| has(c.era)).map(|c| write_class(api, c, version));
    let complex = module.complex.iter().filter(|c| has(c.era)).map(|c| write_complex(c, version));
    let events = module.events.iter().filter(|e| has(e.era)).map(|e| write_event(e, version));
    let [range, maven, npm] = version.range();
    let import = |name: &&str| json!({"name": name, "version": range, "mavenVersion": maven, "npmVersion": npm});
    let mut root = Map::new();
    root.insert("name".into(), module.name.into());
    root.insert("version".into(), version.text().into());
    // Core is of its own version; every other module names the range of cores that it was made for.
    let kurento = if module.name == "core" { version.text() } else { range };
    root.insert("kurentoVersion".into(), kurento.into());
    root.insert("imports".into(), module.imports.iter().map(import).collect());
    if let Some(code) = write_code(module) {
        root.insert("code".into(), code);
    }
    root.insert("remoteClasses".into(), classes.collect());
    root.insert("complexTypes".into(), complex.collect());
    root.insert("events".into(), events.collect());
    Json::Object(root)
}

/// The same as one line of JSON.
pub fn kmd_text(api: &Api, module: &Module, version: DescriptorVersion) -> String {
    kmd(api, module, version).to_string()
}

/// Whether a module has any row in `version`; a module that did not exist then has no descriptor.
pub fn exists(module: &Module, version: DescriptorVersion) -> bool {
    module.classes.iter().any(|c| version.has(c.era))
}

/// Where generated code goes. The basic modules share one package; the extra ones follow the generators' defaults.
fn write_code(module: &Module) -> Option<Json> {
    let name = module.name;
    matches!(name, "core" | "elements" | "filters").then(|| {
        json!({
            "kmd": {"java": {"mavenGroupId": "org.kurento", "mavenArtifactId": format!("kms-api-{name}")}},
            "api": {
                "java": {
                    "packageName": "org.kurento.client",
                    "mavenGroupId": "org.kurento",
                    "mavenArtifactId": "kurento-client",
                },
                "js": {"nodeName": format!("kurento-client-{name}")},
            },
            "implementation": {"cppNamespace": "kurento"},
        })
    })
}

fn write_class(api: &Api, class: &Class, version: DescriptorVersion) -> Json {
    let has = |era: Era| version.has(era);
    let properties = class.properties.iter().filter(|p| has(p.era)).map(write_property);
    let methods = class.methods.iter().filter(|m| has(m.era)).map(|m| write_method(m, version));
    let listed = |(name, era): &&(&'static str, Era)| has(*era) && api.event(name).is_none_or(|e| has(e.era));
    let events = class.events.iter().filter(listed).map(|(name, _)| Json::from(*name));
    let mut row = named(class.name, class.doc);
    put_text(&mut row, "extends", class.extends);
    put_flag(&mut row, "abstract", class.is_abstract);
    if let Some(Constructor { doc, params }) = &class.constructor {
        row.insert("constructor".into(), json!({"doc": doc, "params": write_params(params, version)}));
    }
    row.insert("properties".into(), properties.collect());
    row.insert("methods".into(), methods.collect());
    row.insert("events".into(), events.collect());
    Json::Object(row)
}

fn write_method(method: &Method, version: DescriptorVersion) -> Json {
    let mut row = named(method.name, method.doc);
    row.insert("params".into(), write_params(&method.params, version));
    if let Some((ty, doc)) = method.returns {
        row.insert("return".into(), json!({"type": ty, "doc": doc}));
    }
    Json::Object(row)
}

fn write_property(property: &Property) -> Json {
    let mut row = named(property.name, property.doc);
    row.insert("type".into(), property.ty.into());
    put_flag(&mut row, "readOnly", property.read_only);
    put_flag(&mut row, "final", property.is_final);
    put_flag(&mut row, "optional", property.optional);
    put_default(&mut row, &property.default);
    Json::Object(row)
}

fn write_params(params: &[Param], version: DescriptorVersion) -> Json {
    params.iter().filter(|p| version.has(p.era)).map(|p| write_param(p, version)).collect()
}

fn write_param(param: &Param, version: DescriptorVersion) -> Json {
    let mut row = named(param.name, param.doc);
    row.insert("type".into(), param.ty.into());
    // A client of one version cannot give what only the other knows.
    let of_one_only = version == DescriptorVersion::Union && param.era != Era::Always;
    put_flag(&mut row, "optional", param.optional || of_one_only);
    put_flag(&mut row, "final", param.is_final);
    put_default(&mut row, &param.default);
    Json::Object(row)
}

fn write_complex(complex: &Complex, version: DescriptorVersion) -> Json {
    let mut row = named(complex.name, complex.doc);
    put_text(&mut row, "extends", complex.extends);
    match &complex.shape {
        Shape::Enum(values) => {
            let values = values.iter().filter(|(_, era)| version.has(*era)).map(|(value, _)| Json::from(*value));
            row.insert("typeFormat".into(), "ENUM".into());
            row.insert("values".into(), values.collect());
        }
        Shape::Register(fields) => {
            row.insert("typeFormat".into(), "REGISTER".into());
            row.insert("properties".into(), write_params(fields, version));
        }
    }
    Json::Object(row)
}

fn write_event(event: &Event, version: DescriptorVersion) -> Json {
    let mut row = named(event.name, event.doc);
    put_text(&mut row, "extends", event.extends);
    row.insert("properties".into(), write_params(&event.properties, version));
    Json::Object(row)
}

fn named(name: &str, doc: &str) -> Map<String, Json> {
    Map::from_iter([("name".to_owned(), name.into()), ("doc".to_owned(), doc.into())])
}

fn put_text(row: &mut Map<String, Json>, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        row.insert(key.to_owned(), value.into());
    }
}

/// Flags are written only when set, as in Kurento's own descriptors.
fn put_flag(row: &mut Map<String, Json>, key: &str, value: bool) {
    if value {
        row.insert(key.to_owned(), true.into());
    }
}

fn put_default(row: &mut Map<String, Json>, value: &Option<Json>) {
    if let Some(value) = value {
        row.insert("defaultValue".to_owned(), value.clone());
    }
}

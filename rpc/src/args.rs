//! The arguments of an operation or constructor: checked against the declared types, with defaults filled in.
//!
//! What enters: the declared parameters and the object that the client sent. What leaves: [`Args`], or Kurento's refusal.
//! What it must never know: which operation is called. Values arrive as loosely as Kurento takes them (a number for a string,
//! 1.5 for an int) and leave in the declared type, so that a handler never checks again.

use crate::api::model::{Api, Complex, Era, Param, Shape, namespace};
use crate::error::Error;
use crate::objects::Object;
use crate::params::{self, Params};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A declared type, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    String,
    Boolean,
    Int,
    Int64,
    Real,
    List(Box<Kind>),
    Map(Box<Kind>),
    /// A remote class, by its bare name; on the wire the object's id.
    Class(&'static str),
    Enum(Declaration),
    Register(Declaration),
    /// Declared nowhere; passes unchecked.
    Unknown,
}

/// Where a complex type is declared: two modules may each have one of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declaration {
    pub module: &'static str,
    pub name: &'static str,
}

impl Kind {
    /// The type that a row of `module` calls `ty`.
    pub fn of(api: &Api, module: &str, ty: &'static str) -> Kind {
        if let Some(inner) = ty.strip_suffix("[]") {
            return Kind::List(Box::new(Kind::of(api, module, inner)));
        }
        if let Some(inner) = ty.strip_suffix("<>") {
            return Kind::Map(Box::new(Kind::of(api, module, inner)));
        }
        match ty {
            "String" => return Kind::String,
            "boolean" => return Kind::Boolean,
            "int" => return Kind::Int,
            "int64" => return Kind::Int64,
            "float" | "double" => return Kind::Real,
            _ => {}
        }
        if let Some(class) = api.class_on_wire(ty) {
            return Kind::Class(class.name);
        }
        let Some(complex) = api.complex_for(module, ty) else { return Kind::Unknown };
        let declaration = Declaration { module: complex.module, name: complex.name };
        match complex.shape {
            Shape::Enum(_) => Kind::Enum(declaration),
            Shape::Register(_) => Kind::Register(declaration),
        }
    }

    /// How a refusal calls it.
    fn name(&self) -> &'static str {
        match self {
            Kind::String | Kind::Class(_) | Kind::Enum(_) => "string",
            Kind::Boolean => "boolean",
            Kind::Int => "integer",
            Kind::Int64 => "int64",
            Kind::Real => "double",
            Kind::List(_) => "list",
            Kind::Map(_) => "map",
            Kind::Register(_) | Kind::Unknown => "object",
        }
    }
}

/// A parameter with its type taken apart.
#[derive(Clone, Debug)]
pub struct Declared {
    pub name: &'static str,
    pub kind: Kind,
    pub optional: bool,
    pub default: Option<Json>,
}

impl Declared {
    /// A parameter in a row of `module`.
    pub fn of(api: &Api, module: &str, param: &Param) -> Declared {
        let kind = Kind::of(api, module, param.ty);
        Declared { name: param.name, kind, optional: may_be_left_out(param), default: param.default.clone() }
    }
}

/// Clients of the other version do not know a parameter of one version.
fn may_be_left_out(param: &Param) -> bool {
    param.optional || param.default.is_some() || param.era != Era::Always
}

#[derive(Clone, Debug)]
enum Arg {
    Json(Json),
    /// `None` where the object is of another class than declared.
    Object(Option<Arc<Object>>),
    Objects(Vec<Option<Arc<Object>>>),
}

/// Arguments by name. Readers answer with the declared type's zero where an optional argument without default was left out;
/// `opt_` readers and [`Args::has`] tell the difference.
#[derive(Clone, Debug, Default)]
pub struct Args {
    values: BTreeMap<&'static str, Arg>,
    given: Vec<&'static str>,
}

/// How optional parameters may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// Operations: what is given behind a left-out one is ignored.
    FromTheRight,
    /// Constructors: each by itself.
    Any,
}

impl Args {
    /// Whether the client gave this argument (rather than a default).
    pub fn has(&self, name: &str) -> bool {
        self.given.contains(&name)
    }

    /// How many of the declared parameters the client gave (and were not ignored).
    pub fn given(&self) -> usize {
        self.given.len()
    }

    /// The value as it came, with defaults filled in; null when there is none.
    pub fn json(&self, name: &str) -> &Json {
        self.opt_json(name).unwrap_or(&Json::Null)
    }

    pub fn opt_json(&self, name: &str) -> Option<&Json> {
        match self.values.get(name)? {
            Arg::Json(value) => Some(value),
            Arg::Object(_) | Arg::Objects(_) => None,
        }
    }

    /// Also for enumerations.
    pub fn string(&self, name: &str) -> &str {
        self.opt_string(name).unwrap_or("")
    }

    pub fn opt_string(&self, name: &str) -> Option<&str> {
        self.opt_json(name)?.as_str()
    }

    pub fn boolean(&self, name: &str) -> bool {
        self.opt_boolean(name).unwrap_or(false)
    }

    pub fn opt_boolean(&self, name: &str) -> Option<bool> {
        self.opt_json(name)?.as_bool()
    }

    /// An int is within 32 bits, an int64 within 64.
    pub fn integer(&self, name: &str) -> i64 {
        self.opt_integer(name).unwrap_or(0)
    }

    pub fn opt_integer(&self, name: &str) -> Option<i64> {
        self.opt_json(name)?.as_i64()
    }

    pub fn number(&self, name: &str) -> f64 {
        self.opt_number(name).unwrap_or(0.0)
    }

    pub fn opt_number(&self, name: &str) -> Option<f64> {
        self.opt_json(name)?.as_f64()
    }

    /// `None` when left out, or when the object is of another class than declared (Kurento's null reference).
    pub fn object(&self, name: &str) -> Option<Arc<Object>> {
        match self.values.get(name)? {
            Arg::Object(object) => object.clone(),
            Arg::Json(_) | Arg::Objects(_) => None,
        }
    }

    /// The members of a list of objects; those of another class are left out.
    pub fn objects(&self, name: &str) -> Vec<Arc<Object>> {
        match self.values.get(name) {
            Some(Arg::Objects(objects)) => objects.iter().flatten().cloned().collect(),
            _ => Vec::new(),
        }
    }
}

/// What checking needs to know of the world.
pub struct Checker<'a> {
    pub api: &'a Api,
    /// A live object by id.
    pub find: &'a (dyn Fn(&str) -> Option<Arc<Object>> + Sync),
}

impl Checker<'_> {
    /// Checks what was given against what is declared, in the declared order.
    pub fn check(&self, declared: &[Declared], given: Option<&Params>, leaving: Leaving) -> Result<Args, Error> {
        let mut args = Args::default();
        let mut left_out = false;
        for param in declared {
            let value = given.and_then(|given| given.get(param.name));
            let ignored = param.optional && left_out && leaving == Leaving::FromTheRight;
            match value {
                Some(value) if !ignored => {
                    let refuse = || Error::bad_argument(param.name, param.kind.name());
                    let arg = self.argument(&param.kind, value)?.ok_or_else(refuse)?;
                    args.values.insert(param.name, arg);
                    args.given.push(param.name);
                }
                _ if param.optional => {
                    left_out = true;
                    if let Some(default) = &param.default {
                        let value = self.value(&param.kind, default)?.unwrap_or_else(|| default.clone());
                        args.values.insert(param.name, Arg::Json(value));
                    }
                }
                _ => return Err(Error::bad_argument(param.name, param.kind.name())),
            }
        }
        Ok(args)
    }

    /// `None` when the value is of the wrong kind altogether.
    fn argument(&self, kind: &Kind, value: &Json) -> Result<Option<Arg>, Error> {
        match kind {
            Kind::Class(class) => match params::as_string(value) {
                Some(id) => Ok(Some(Arg::Object(self.object(class, &id)?))),
                None => Ok(None),
            },
            Kind::List(inner) if matches!(**inner, Kind::Class(_)) => {
                let Kind::Class(class) = **inner else { return Ok(None) };
                let Json::Array(items) = value else { return Ok(None) };
                let Some(ids) = items.iter().map(params::as_string).collect::<Option<Vec<_>>>() else {
                    return Ok(None);
                };
                let objects: Result<Vec<_>, _> = ids.iter().map(|id| self.object(class, id)).collect();
                Ok(Some(Arg::Objects(objects?)))
            }
            _ => Ok(self.value(kind, value)?.map(Arg::Json)),
        }
    }

    fn object(&self, class: &str, id: &str) -> Result<Option<Arc<Object>>, Error> {
        let object = (self.find)(id).ok_or_else(|| Error::no_object(id))?;
        Ok(Some(object).filter(|object| object.is_a(class)))
    }

    fn value(&self, kind: &Kind, value: &Json) -> Result<Option<Json>, Error> {
        Ok(match kind {
            Kind::String => params::as_string(value).map(Json::from),
            Kind::Boolean => params::as_boolean(value).map(Json::from),
            Kind::Int => params::as_integer(value, i32::MIN.into(), i32::MAX.into()).map(Json::from),
            Kind::Int64 => params::as_integer(value, i64::MIN, i64::MAX).map(Json::from),
            Kind::Real => params::as_real(value).map(Json::from),
            Kind::Enum(declared) => self.enumeration(*declared, value)?,
            Kind::Class(class) => match params::as_string(value) {
                Some(id) => self.object(class, &id)?.map(|object| object.id().into()),
                None => None,
            },
            Kind::List(inner) => match value {
                Json::Array(items) => items.iter().map(|item| self.value(inner, item)).collect::<Result<_, _>>()?,
                _ => None,
            },
            Kind::Map(inner) => match value {
                Json::Object(members) => {
                    let member = |(name, item): (&String, &Json)| {
                        Ok::<_, Error>(self.value(inner, item)?.map(|item| (name.clone(), item)))
                    };
                    let members: Option<Map<String, Json>> = members.iter().map(member).collect::<Result<_, _>>()?;
                    members.map(Json::Object)
                }
                _ => None,
            },
            Kind::Register(declared) => match value {
                Json::Object(members) => Some(self.register(*declared, members)?),
                _ => None,
            },
            Kind::Unknown => Some(value.clone()),
        })
    }

    fn complex(&self, declared: Declaration) -> Option<&Complex> {
        self.api.complex_for(declared.module, declared.name)
    }

    fn enumeration(&self, declared: Declaration, value: &Json) -> Result<Option<Json>, Error> {
        let Some(text) = params::as_string(value) else { return Ok(None) };
        let known = match self.complex(declared).map(|complex| &complex.shape) {
            Some(Shape::Enum(values)) => values.iter().any(|(known, _)| *known == text),
            Some(Shape::Register(_)) | None => false,
        };
        if known {
            Ok(Some(text.into()))
        } else {
            Err(Error::Marshall(format!("Invalid value for '{}'", declared.name)))
        }
    }

    /// A complex value: the declared type, or a descendant that it names by `__module__` and `__type__`.
    fn register(&self, declared: Declaration, members: &Map<String, Json>) -> Result<Json, Error> {
        let text = |name: &str| members.get(name).and_then(Json::as_str);
        let complex = match text("__module__").zip(text("__type__")) {
            None => self.complex(declared),
            Some((module, name)) => {
                let name = format!("{module}.{name}");
                let named = self.api.complex_for(declared.module, &name).filter(|c| self.descends(c, declared.name));
                Some(named.ok_or_else(|| Error::Unexpected(format!("Type {name} is not compatible")))?)
            }
        };
        let Some(complex) = complex else { return Ok(Json::Object(members.clone())) };
        let mut whole = Map::new();
        for field in self.api.fields(complex) {
            let kind = Kind::of(self.api, complex.module, field.ty);
            let value = match members.get(field.name) {
                Some(value) => {
                    let refuse = || Error::bad_field(field.name, kind.name());
                    Some(self.value(&kind, value)?.ok_or_else(refuse)?)
                }
                None if may_be_left_out(field) => field.default.clone(),
                None => return Err(Error::bad_field(field.name, kind.name())),
            };
            whole.extend(value.map(|value| (field.name.to_owned(), value)));
        }
        whole.insert("__module__".into(), namespace(complex.module).into());
        whole.insert("__type__".into(), complex.name.into());
        Ok(Json::Object(whole))
    }

    fn descends(&self, complex: &Complex, base: &str) -> bool {
        complex.name == base
            || complex.extends.and_then(|b| self.api.complex(b)).is_some_and(|b| self.descends(b, base))
    }
}

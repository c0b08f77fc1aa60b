//! The vocabulary in which Kurento's API is written down: modules, classes, methods, properties, events, types.
//!
//! What enters: rows, one per public name, from the files beside this one. What leaves: an [`Api`] that dispatch, the
//! descriptors (`getKmd`, the `.kmd.json` files) and the reference page read. What it must never know: how any of it is
//! done. Behaviour is bound to a row elsewhere (`bindings`), so that a class whose node does not exist yet can be
//! described truthfully and still have no factory.
//!
//! Types are written as Kurento writes them: `String`, `boolean`, `int`, `int64`, `float`, `double`, a class or complex type
//! by its bare name, `T[]` for a list, `T<>` for a map with string keys.

use serde_json::Value as Json;
use std::collections::HashMap;

/// To which of the two served API versions a row belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Era {
    /// In 6.8 and in 7.3.
    #[default]
    Always,
    /// In 6.x only: it was renamed or dropped before 7.3.
    Until7,
    /// New since 6.8.
    Since7,
}

impl Era {
    pub fn in_6_8(self) -> bool {
        self != Era::Since7
    }

    pub fn in_7_3(self) -> bool {
        self != Era::Until7
    }
}

/// A parameter of a method or constructor, or a field of an event or complex type.
#[derive(Clone, Debug)]
pub struct Param {
    pub name: &'static str,
    pub ty: &'static str,
    pub doc: &'static str,
    /// May be left out. A parameter with a default is always optional.
    pub optional: bool,
    pub default: Option<Json>,
    /// Fixed at construction, as some of Kurento's descriptors say of a constructor's parameters.
    pub is_final: bool,
    pub era: Era,
}

pub fn param(name: &'static str, ty: &'static str, doc: &'static str) -> Param {
    Param { name, ty, doc, optional: false, default: None, is_final: false, era: Era::Always }
}

impl Param {
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    pub fn default(mut self, value: impl Into<Json>) -> Self {
        self.optional = true;
        self.default = Some(value.into());
        self
    }

    pub fn is_final(mut self) -> Self {
        self.is_final = true;
        self
    }

    pub fn era(mut self, era: Era) -> Self {
        self.era = era;
        self
    }
}

/// A property of a class. On the wire it is `getName`, and `setName` unless read-only or final.
#[derive(Clone, Debug)]
pub struct Property {
    pub name: &'static str,
    pub ty: &'static str,
    pub doc: &'static str,
    /// Changes by itself, never by a client.
    pub read_only: bool,
    /// Fixed at construction.
    pub is_final: bool,
    pub optional: bool,
    pub default: Option<Json>,
    pub era: Era,
}

pub fn property(name: &'static str, ty: &'static str, doc: &'static str) -> Property {
    Property { name, ty, doc, read_only: false, is_final: false, optional: false, default: None, era: Era::Always }
}

impl Property {
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    pub fn is_final(mut self) -> Self {
        self.is_final = true;
        self
    }

    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    pub fn default(mut self, value: impl Into<Json>) -> Self {
        self.default = Some(value.into());
        self
    }

    pub fn era(mut self, era: Era) -> Self {
        self.era = era;
        self
    }

    pub fn writable(&self) -> bool {
        !self.read_only && !self.is_final
    }
}

/// An operation of a class. Overloads are written as one row whose trailing parameters are optional.
#[derive(Clone, Debug)]
pub struct Method {
    pub name: &'static str,
    pub doc: &'static str,
    pub params: Vec<Param>,
    /// Type and doc sentence of what it answers; `None` answers `null`.
    pub returns: Option<(&'static str, &'static str)>,
    pub era: Era,
}

pub fn method(name: &'static str, doc: &'static str) -> Method {
    Method { name, doc, params: Vec::new(), returns: None, era: Era::Always }
}

impl Method {
    pub fn param(mut self, param: Param) -> Self {
        self.params.push(param);
        self
    }

    pub fn returns(mut self, ty: &'static str, doc: &'static str) -> Self {
        self.returns = Some((ty, doc));
        self
    }

    pub fn era(mut self, era: Era) -> Self {
        self.era = era;
        self
    }
}

#[derive(Clone, Debug, Default)]
pub struct Constructor {
    pub doc: &'static str,
    pub params: Vec<Param>,
}

/// A remote class.
#[derive(Clone, Debug)]
pub struct Class {
    /// The module's own name (`core`, `elements`, `chroma` …); filled in by [`Module::class`].
    pub module: &'static str,
    pub name: &'static str,
    pub doc: &'static str,
    pub extends: Option<&'static str>,
    pub is_abstract: bool,
    pub constructor: Option<Constructor>,
    pub properties: Vec<Property>,
    pub methods: Vec<Method>,
    pub events: Vec<(&'static str, Era)>,
    pub era: Era,
}

pub fn class(name: &'static str, doc: &'static str) -> Class {
    Class {
        module: "",
        name,
        doc,
        extends: None,
        is_abstract: false,
        constructor: None,
        properties: Vec::new(),
        methods: Vec::new(),
        events: Vec::new(),
        era: Era::Always,
    }
}

impl Class {
    pub fn extends(mut self, base: &'static str) -> Self {
        self.extends = Some(base);
        self
    }

    pub fn is_abstract(mut self) -> Self {
        self.is_abstract = true;
        self
    }

    pub fn constructor(mut self, doc: &'static str, params: impl IntoIterator<Item = Param>) -> Self {
        self.constructor = Some(Constructor { doc, params: params.into_iter().collect() });
        self
    }

    pub fn property(mut self, property: Property) -> Self {
        self.properties.push(property);
        self
    }

    pub fn method(mut self, method: Method) -> Self {
        self.methods.push(method);
        self
    }

    pub fn event(mut self, name: &'static str) -> Self {
        self.events.push((name, Era::Always));
        self
    }

    pub fn event_of(mut self, name: &'static str, era: Era) -> Self {
        self.events.push((name, era));
        self
    }

    pub fn era(mut self, era: Era) -> Self {
        self.era = era;
        self
    }

    /// The name before the dot on the wire: `kurento` for core, elements and filters, else the module's own name.
    pub fn namespace(&self) -> &'static str {
        namespace(self.module)
    }

    /// `kurento.WebRtcEndpoint`, `chroma.ChromaFilter` …
    pub fn qualified(&self) -> String {
        format!("{}.{}", self.namespace(), self.name)
    }
}

pub fn namespace(module: &'static str) -> &'static str {
    match module {
        "core" | "elements" | "filters" => "kurento",
        other => other,
    }
}

/// An event type.
#[derive(Clone, Debug)]
pub struct Event {
    pub module: &'static str,
    pub name: &'static str,
    pub doc: &'static str,
    /// `RaiseBase` or `Media`; those two are rows as well.
    pub extends: Option<&'static str>,
    pub properties: Vec<Param>,
    pub era: Era,
}

pub fn event(name: &'static str, doc: &'static str) -> Event {
    Event { module: "", name, doc, extends: None, properties: Vec::new(), era: Era::Always }
}

impl Event {
    pub fn extends(mut self, base: &'static str) -> Self {
        self.extends = Some(base);
        self
    }

    pub fn property(mut self, param: Param) -> Self {
        self.properties.push(param);
        self
    }

    pub fn era(mut self, era: Era) -> Self {
        self.era = era;
        self
    }
}

/// What a complex type is made of.
#[derive(Clone, Debug)]
pub enum Shape {
    Enum(Vec<(&'static str, Era)>),
    Register(Vec<Param>),
}

#[derive(Clone, Debug)]
pub struct Complex {
    pub module: &'static str,
    pub name: &'static str,
    pub doc: &'static str,
    pub extends: Option<&'static str>,
    pub shape: Shape,
    pub era: Era,
}

/// `enumeration("MediaType", "…", ["AUDIO", "VIDEO", "DATA"])`
pub fn enumeration(name: &'static str, doc: &'static str, values: impl IntoIterator<Item = &'static str>) -> Complex {
    let values = values.into_iter().map(|v| (v, Era::Always)).collect();
    Complex { module: "", name, doc, extends: None, shape: Shape::Enum(values), era: Era::Always }
}

pub fn register(name: &'static str, doc: &'static str) -> Complex {
    Complex { module: "", name, doc, extends: None, shape: Shape::Register(Vec::new()), era: Era::Always }
}

impl Complex {
    pub fn extends(mut self, base: &'static str) -> Self {
        self.extends = Some(base);
        self
    }

    /// Adds a field to a register type.
    pub fn field(mut self, field: Param) -> Self {
        match &mut self.shape {
            Shape::Register(fields) => fields.push(field),
            Shape::Enum(_) => unreachable!("an enumeration has values, not fields: {}", self.name),
        }
        self
    }

    /// Adds a value of one era to an enumeration.
    pub fn value_of(mut self, value: &'static str, era: Era) -> Self {
        match &mut self.shape {
            Shape::Enum(values) => values.push((value, era)),
            Shape::Register(_) => unreachable!("a register type has fields, not values: {}", self.name),
        }
        self
    }

    pub fn era(mut self, era: Era) -> Self {
        self.era = era;
        self
    }
}

/// A Kurento module: one descriptor, one entry of `getInfo`.
#[derive(Clone, Debug)]
pub struct Module {
    pub name: &'static str,
    /// Other names under which clients ask for the module or write its classes.
    pub aliases: Vec<&'static str>,
    pub doc: &'static str,
    pub imports: Vec<&'static str>,
    pub classes: Vec<Class>,
    pub complex: Vec<Complex>,
    pub events: Vec<Event>,
}

impl Module {
    pub fn new(name: &'static str, doc: &'static str) -> Self {
        Module {
            name,
            doc,
            aliases: Vec::new(),
            imports: Vec::new(),
            classes: Vec::new(),
            complex: Vec::new(),
            events: Vec::new(),
        }
    }

    pub fn alias(mut self, name: &'static str) -> Self {
        self.aliases.push(name);
        self
    }

    /// Whether `written`, found before the dot of a class or type, means this module.
    pub fn is_called(&self, written: &str) -> bool {
        namespace(self.name) == written || self.aliases.contains(&written)
    }

    pub fn imports(mut self, module: &'static str) -> Self {
        self.imports.push(module);
        self
    }

    pub fn class(mut self, mut class: Class) -> Self {
        class.module = self.name;
        self.classes.push(class);
        self
    }

    pub fn complex(mut self, mut complex: Complex) -> Self {
        complex.module = self.name;
        self.complex.push(complex);
        self
    }

    pub fn event(mut self, mut event: Event) -> Self {
        event.module = self.name;
        self.events.push(event);
        self
    }
}

/// Everything that is declared, with its indexes. Made once at start and shared.
#[derive(Debug)]
pub struct Api {
    pub modules: Vec<Module>,
    classes: HashMap<&'static str, (usize, usize)>,
    complex: HashMap<&'static str, (usize, usize)>,
    events: HashMap<&'static str, (usize, usize)>,
}

impl Api {
    pub fn new(modules: Vec<Module>) -> Self {
        fn index<T>(
            modules: &[Module],
            of: fn(&Module) -> &[T],
            name: fn(&T) -> &'static str,
        ) -> HashMap<&'static str, (usize, usize)> {
            let rows = modules.iter().enumerate();
            rows.flat_map(|(m, module)| of(module).iter().enumerate().map(move |(i, row)| (name(row), (m, i))))
                .collect()
        }
        let classes = index(&modules, |m| &m.classes, |c| c.name);
        let complex = index(&modules, |m| &m.complex, |c| c.name);
        let events = index(&modules, |m| &m.events, |e| e.name);
        Api { modules, classes, complex, events }
    }

    /// By its own name (`core`, `chroma` …) or an alias.
    pub fn module(&self, name: &str) -> Option<&Module> {
        self.modules.iter().find(|m| m.name == name || m.aliases.contains(&name))
    }

    /// By bare name (`WebRtcEndpoint`).
    pub fn class(&self, name: &str) -> Option<&Class> {
        self.classes.get(name).map(|&(m, i)| &self.modules[m].classes[i])
    }

    /// By the name a client may write: bare, or qualified with the class's namespace.
    pub fn class_on_wire(&self, name: &str) -> Option<&Class> {
        match name.rsplit_once('.') {
            None => self.class(name),
            Some((written, bare)) => {
                let &(m, i) = self.classes.get(bare)?;
                self.modules[m].is_called(written).then(|| &self.modules[m].classes[i])
            }
        }
    }

    /// By bare name; where two modules have a type of that name (`WindowParam`), that of the later module.
    pub fn complex(&self, name: &str) -> Option<&Complex> {
        self.complex.get(name).map(|&(m, i)| &self.modules[m].complex[i])
    }

    /// The type that a row of `module` means by a bare or qualified `name`: the module's own first.
    pub fn complex_for(&self, module: &str, name: &str) -> Option<&Complex> {
        match name.rsplit_once('.') {
            None => {
                let own = self.module(module).and_then(|m| m.complex.iter().find(|c| c.name == name));
                own.or_else(|| self.complex(name))
            }
            Some((written, bare)) => {
                let mut called = self.modules.iter().filter(|m| m.is_called(written));
                called.find_map(|m| m.complex.iter().find(|c| c.name == bare))
            }
        }
    }

    pub fn event(&self, name: &str) -> Option<&Event> {
        self.events.get(name).map(|&(m, i)| &self.modules[m].events[i])
    }

    /// The class itself, then its bases, nearest first.
    pub fn lineage<'a>(&'a self, class: &'a Class) -> impl Iterator<Item = &'a Class> + 'a {
        std::iter::successors(Some(class), |c| c.extends.and_then(|base| self.class(base)))
    }

    /// Whether `class` is `base` or descends from it.
    pub fn is_a(&self, class: &Class, base: &str) -> bool {
        self.lineage(class).any(|c| c.name == base)
    }

    /// All fields of a register type, inherited ones first.
    pub fn fields<'a>(&'a self, complex: &'a Complex) -> Vec<&'a Param> {
        let mut fields = complex.extends.and_then(|b| self.complex(b)).map(|b| self.fields(b)).unwrap_or_default();
        if let Shape::Register(own) = &complex.shape {
            fields.extend(own.iter());
        }
        fields
    }
}

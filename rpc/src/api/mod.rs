//! Kurento's API as tables: what can be created, called, read, set and subscribed to, in 6.8 and in 7.3.
//!
//! What enters: nothing, these are facts. What leaves: one [`model::Api`], from which dispatch, the descriptors and the
//! reference page are made. What it must never know: how any of it is done.
//!
//! A row that only one of the two versions has says so by its era. Every row has a sentence for the people who read the
//! reference page or the comments in generated clients.

pub mod core;
pub mod descriptor;
pub mod elements;
pub mod extras;
pub mod filters;
pub mod model;

use model::{Api, Module};

/// Everything that is declared, in the order of dependence: core first, then what builds on it.
pub fn kurento() -> Api {
    let mut modules = vec![core::module(), elements::module(), filters::module()];
    modules.extend(extras::modules());
    Api::new(modules)
}

/// Lets each file of a module add its rows.
fn assemble(bare: Module, files: &[fn(Module) -> Module]) -> Module {
    files.iter().fold(bare, |module, declare| declare(module))
}

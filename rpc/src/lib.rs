//! Kurento's API over the wire: the Kurento Protocol, its classes, sessions and events.
//!
//! What enters: WebSocket messages of clients, and events of the media floors through the handlers in [`kurento`]. What
//! leaves: answers and `onEvent` notifications. What it must never know: how media is moved; the handlers translate and stop.
//!
//! A message's way: [`server::websocket`] reads a frame, [`dispatch`] reads the JSON, checks the envelope and picks the
//! method; `invoke` finds the object in [`sessions`], checks the arguments ([`args`]) against the rows in [`api`], and calls
//! the function that [`bindings`] holds for that row. An event's way: a handler calls [`server::Server::emit`], which
//! writes one frame per subscribed name into the queue of each subscriber's connection.
//!
//! Beside the protocol stand the ways of media over HTTP: [`uploads`] receives what peers post, [`delivery`] hands over recordings,
//! [`recordings`] shows the page of the server those that it made.

pub mod api;
pub mod args;
pub mod bindings;
mod cache;
pub mod classes;
pub mod config;
pub mod delivery;
mod dispatch;
mod envelope;
pub mod error;
mod events;
#[cfg(test)]
mod fixture;
pub mod json;
pub mod kurento;
pub mod limits;
mod media_object;
pub mod objects;
mod params;
pub mod recordings;
pub mod server;
mod server_manager;
mod sessions;
pub mod uploads;

pub use bindings::{Answer, Bindings, Call, Made, Make, Pending};
pub use error::Error;
pub use objects::Object;
pub use server::{Server, ServerOptions};
pub use sessions::ConnectionId;

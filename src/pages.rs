//! The web page that the server offers, from memory: it works wherever the binary runs; its metrics, and the recordings that it
//! made, where the server has a place for them.

use crate::metrics;
use rivero_rpc::Server;
use rivero_rpc::kurento::Media;
use rivero_rpc::recordings::Recordings;
use rivero_rpc::server::http::Pages;
use std::sync::{Arc, Weak};

pub fn pages(media: Arc<Media>, server: &Arc<Server>, recordings: Option<Recordings>) -> Pages {
    let server: Weak<Server> = Arc::downgrade(server);
    const HTML: &str = "text/html; charset=utf-8";
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    let index = include_bytes!("../web/index.html");
    let pages = Pages::default()
        .add("/", HTML, index)
        .add("/index.html", HTML, index)
        .add("/style.css", "text/css; charset=utf-8", include_bytes!("../web/style.css"))
        .add("/app.js", SCRIPT, include_bytes!("../web/app.js"))
        .add("/loopback.js", SCRIPT, include_bytes!("../web/loopback.js"))
        .add("/player.js", SCRIPT, include_bytes!("../web/player.js"))
        .add("/recorder.js", SCRIPT, include_bytes!("../web/recorder.js"))
        .add("/recordings.js", SCRIPT, include_bytes!("../web/recordings.js"))
        .add("/call.js", SCRIPT, include_bytes!("../web/call.js"))
        .add("/camera.js", SCRIPT, include_bytes!("../web/camera.js"))
        .add("/page.js", SCRIPT, include_bytes!("../web/page.js"))
        .add("/protocol.js", SCRIPT, include_bytes!("../web/protocol.js"))
        .add("/graph.js", SCRIPT, include_bytes!("../web/graph.js"))
        .add("/watch.js", SCRIPT, include_bytes!("../web/watch.js"))
        .add("/figures.js", SCRIPT, include_bytes!("../web/figures.js"))
        .write("/metrics", metrics::CONTENT_TYPE, move || metrics::write(&media, server.upgrade().as_deref()));
    match recordings {
        Some(recordings) => pages.branch("/recordings", Arc::new(recordings)),
        None => pages,
    }
}

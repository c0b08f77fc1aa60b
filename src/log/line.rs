//! One line of the log, in the columns that Kurento's tools cut:
//! `<time> <pid> <thread> <level> <category> <file>:<line> <function>() <object> <message>`.
//!
//! An event of tracing comes in with its spans, a line goes out. The category is the event's target; tracing does not
//! know the function, so its module stands there; the object is the innermost span.

use std::fmt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::zone::LocalTime;

/// The form of a line; `clock` tells the time that it begins with.
pub struct KurentoLine<C> {
    pid: u32,
    clock: C,
}

impl<C: Fn() -> LocalTime> KurentoLine<C> {
    pub fn new(pid: u32, clock: C) -> Self {
        Self { pid, clock }
    }
}

impl<S, N, C> FormatEvent<S, N> for KurentoLine<C>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    C: Fn() -> LocalTime,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let about = event.metadata();
        write!(writer, "{} {} 0x{:016x} ", (self.clock)(), self.pid, thread_number())?;
        write_level(&mut writer, *about.level())?;
        let file = about.file().unwrap_or("?").rsplit(['/', '\\']).next().unwrap_or_default();
        let module = about.module_path().unwrap_or("?").rsplit("::").next().unwrap_or_default();
        write!(writer, " {} {file}:{} {module}() ", about.target(), about.line().unwrap_or_default())?;
        if let Some(span) = ctx.event_scope().and_then(|mut scope| scope.next()) {
            let extensions = span.extensions();
            match extensions.get::<FormattedFields<N>>().filter(|fields| !fields.is_empty()) {
                Some(fields) => write!(writer, "<{} {}> ", span.name(), fields.fields)?,
                None => write!(writer, "<{}> ", span.name())?,
            }
        }
        // With the blank after an object, two blanks stand before the message in any case.
        writer.write_char(' ')?;
        ctx.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// The number that Rust gives a thread; it has no public form but `ThreadId(7)`.
fn thread_number() -> u64 {
    let text = format!("{:?}", std::thread::current().id());
    text.bytes().filter(u8::is_ascii_digit).fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

/// Right-aligned to seven, in colour on a terminal.
fn write_level(writer: &mut Writer<'_>, level: Level) -> fmt::Result {
    let (name, colour) = match level {
        Level::ERROR => ("error", 31),
        Level::WARN => ("warning", 33),
        Level::INFO => ("info", 32),
        Level::DEBUG => ("debug", 34),
        Level::TRACE => ("trace", 36),
    };
    if writer.has_ansi_escapes() {
        write!(writer, "\x1b[{colour}m{name:>7}\x1b[0m")
    } else {
        write!(writer, "{name:>7}")
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic while locked").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(colours: bool, say: impl FnOnce()) -> String {
        let kept = Kept::default();
        let to = kept.clone();
        let time = LocalTime { date: (2018, 6, 14), time: (19, 44, 26), micros: 918_243 };
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(colours)
            .event_format(KurentoLine::new(13006, move || time))
            .with_writer(move || to.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), say);
        let bytes = kept.0.lock().expect("no panic while locked").clone();
        String::from_utf8(bytes).expect("lines are UTF-8")
    }

    #[test]
    fn the_columns_are_kurentos() {
        let line = line!() + 2;
        let text = lines(false, || {
            tracing::info!(target: "KurentoMediaServer", "Kurento Media Server started");
        });
        let expected = format!(
            "2018-06-14T19:44:26,918243 13006 0x{:016x}    info KurentoMediaServer line.rs:{line} tests()  Kurento Media \
             Server started\n",
            thread_number()
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn levels_are_aligned_and_fields_follow_the_message() {
        let text = lines(false, || {
            tracing::error!(target: "a", "m");
            tracing::warn!(target: "a", packets = 3, "m");
            tracing::debug!(target: "a", "m");
            tracing::trace!(target: "a", "m");
        });
        let levels: Vec<_> = text.lines().map(|line| &line[52..60]).collect();
        assert_eq!(levels, ["  error ", "warning ", "  debug ", "  trace "]);
        assert!(text.lines().nth(1).is_some_and(|line| line.ends_with("tests()  m packets=3")), "{text}");
    }

    #[test]
    fn the_innermost_span_is_the_object() {
        let text = lines(false, || {
            let pipeline = tracing::info_span!("pipeline", id = "p");
            let element = tracing::info_span!(parent: &pipeline, "element", id = 7);
            tracing::info!(parent: &element, "one");
            let _inside = tracing::info_span!("bare").entered();
            tracing::info!("two");
        });
        let ends: Vec<_> = text.lines().map(|line| line.split("() ").nth(1).unwrap_or_default()).collect();
        assert_eq!(ends, ["<element id=7>  one", "<bare>  two"]);
    }

    #[test]
    fn colours_only_when_asked() {
        let say = || tracing::info!("m");
        assert!(lines(true, say).contains("\x1b[32m   info\x1b[0m"));
        assert!(!lines(false, say).contains('\x1b'));
    }

    #[test]
    fn what_clients_send_cannot_steer_a_terminal() {
        assert!(!lines(false, || tracing::info!("{}", "\x1b[2J")).contains('\x1b'));
    }
}

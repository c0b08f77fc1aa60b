//! A courier before servers that break, refuse and take.

use super::courier::PATIENCE;
use super::*;
use rivero_engine::time::{ManualClock, SystemClock};
use rivero_engine::{Clock, MediaTime};
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

fn room() -> SpoolRoom {
    SpoolRoom::new(1 << 20, 1 << 20)
}

/// Time goes by only while somebody rests, and then at once.
struct Simulated {
    clock: ManualClock,
    /// What happens in the meantime.
    meanwhile: Mutex<Box<dyn FnMut(MediaTime) + Send>>,
}

impl Pace for Simulated {
    fn now(&self) -> MediaTime {
        self.clock.now()
    }

    fn rest(&self, time: Duration) {
        self.clock.advance(time);
        (self.meanwhile.lock().unwrap())(self.clock.now());
    }
}

fn simulated(meanwhile: impl FnMut(MediaTime) + Send + 'static) -> Arc<dyn Pace> {
    Arc::new(Simulated { clock: ManualClock::new(), meanwhile: Mutex::new(Box::new(meanwhile)) })
}

fn at_once() -> Arc<dyn Pace> {
    simulated(|_| {})
}

/// A server that is away now and then: it closes whatever connects to it. What it takes otherwise, it accepts.
struct Server {
    url: String,
    away: Arc<AtomicBool>,
    connections: Arc<AtomicUsize>,
    taken: Receiver<Vec<u8>>,
}

fn server(away: bool) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/a", listener.local_addr().unwrap());
    let (away, connections) = (Arc::new(AtomicBool::new(away)), Arc::new(AtomicUsize::new(0)));
    let (tell, taken) = sync_channel(1);
    let (gone, counted) = (away.clone(), connections.clone());
    std::thread::spawn(move || {
        loop {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            counted.fetch_add(1, Ordering::Relaxed);
            if gone.load(Ordering::Relaxed) {
                continue;
            }
            head(&mut stream);
            say(&mut stream, "HTTP/1.1 100 Continue\r\n\r\n");
            let all = chunks(&mut stream);
            say(&mut stream, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
            tell.send(all).unwrap();
        }
    });
    Server { url, away, connections, taken }
}

/// The head of a request, up to its empty line.
fn head(stream: &mut BufReader<TcpStream>) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut head).unwrap() > 0, "the head has an end");
    }
    head.to_lowercase()
}

/// The body that comes in chunks (RFC 9112, section 7.1).
fn chunks(stream: &mut BufReader<TcpStream>) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        let length = usize::from_str_radix(line.trim(), 16).unwrap();
        let mut chunk = vec![0; length + 2];
        stream.read_exact(&mut chunk).unwrap();
        if length == 0 {
            return all;
        }
        all.extend_from_slice(&chunk[..length]);
    }
}

fn say(stream: &mut BufReader<TcpStream>, text: &str) {
    stream.get_mut().write_all(text.as_bytes()).unwrap();
}

#[test]
fn what_a_broken_connection_took_with_it_is_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://me:se%20cret@{}/a.webm", listener.local_addr().unwrap());
    let (mut delivery, arrival) = send(&url, &room(), at_once()).unwrap();
    delivery.write_all(b"one ").unwrap();
    let mut first = BufReader::new(listener.accept().unwrap().0);
    let asked = head(&mut first);
    assert!(asked.starts_with("put /a.webm http/1.1\r\n") && asked.contains("transfer-encoding: chunked"), "{asked}");
    // "me:se cret"
    assert!(asked.contains("authorization: basic bwu6c2ugy3jlda=="), "{asked}");
    say(&mut first, "HTTP/1.1 100 Continue\r\n\r\n");
    let mut line = String::new();
    first.read_line(&mut line).unwrap();
    drop(first);
    delivery.write_all(b"two ").unwrap();
    // One that only notices when it writes.
    let written = std::thread::spawn(move || {
        let mut second = BufReader::new(listener.accept().unwrap().0);
        head(&mut second);
        say(&mut second, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        drop(second);
        let mut third = BufReader::new(listener.accept().unwrap().0);
        head(&mut third);
        say(&mut third, "HTTP/1.1 100 Continue\r\n\r\n");
        let all = chunks(&mut third);
        say(&mut third, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
        all
    });
    delivery.write_all(b"three").unwrap();
    drop(delivery);
    arrival.wait().unwrap();
    let all = written.join().unwrap();
    assert_eq!(String::from_utf8(all).unwrap(), "one two three");
}

#[test]
fn who_is_refused_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut delivery, arrival) =
        send(&format!("http://{}/", listener.local_addr().unwrap()), &room(), at_once()).unwrap();
    let mut stream = BufReader::new(listener.accept().unwrap().0);
    head(&mut stream);
    say(&mut stream, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    drop(stream);
    assert_eq!(arrival.wait().unwrap_err().to_string(), "it answers 401");
    let why = delivery.write_all(b"any").unwrap_err();
    assert_eq!(why.to_string(), "the server does not take the recording: it answers 401");
}

#[test]
fn a_recording_that_nobody_takes_is_as_large_as_its_room() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut delivery, _arrival) =
        send(&format!("http://{}/", listener.local_addr().unwrap()), &room(), at_once()).unwrap();
    delivery.write_all(&vec![0; 1 << 20]).unwrap();
    assert_eq!(delivery.write_all(b"x").unwrap_err().kind(), io::ErrorKind::StorageFull);
}

/// Chunks until so many bytes have come.
fn some_chunks(stream: &mut BufReader<TcpStream>, bytes: usize, all: &mut Vec<u8>) {
    let enough = all.len() + bytes;
    while all.len() < enough {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        let length = usize::from_str_radix(line.trim(), 16).unwrap();
        let mut chunk = vec![0; length + 2];
        stream.read_exact(&mut chunk).unwrap();
        all.extend_from_slice(&chunk[..length]);
    }
}

#[test]
fn a_recording_that_is_taken_may_be_larger_than_its_room() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let room = room();
    let (mut delivery, arrival) = send(&url, &room, at_once()).unwrap();
    let mut stream = BufReader::new(listener.accept().unwrap().0);
    head(&mut stream);
    say(&mut stream, "HTTP/1.1 100 Continue\r\n\r\n");
    let (mut sent, mut taken) = (Vec::new(), Vec::new());
    for number in 0..40_u8 {
        let piece = vec![number; 100_000];
        delivery.write_all(&piece).unwrap();
        sent.extend_from_slice(&piece);
        some_chunks(&mut stream, piece.len(), &mut taken);
        assert!(room.taken() <= 1 << 20, "{}", room.taken());
    }
    drop(delivery);
    taken.extend(chunks(&mut stream));
    say(&mut stream, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    arrival.wait().unwrap();
    assert!(taken == sent, "every byte, once");
    assert_eq!(room.taken(), 0);
}

#[test]
fn what_has_outgrown_its_room_is_not_sent_once_more() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (mut delivery, arrival) = send(&url, &room(), at_once()).unwrap();
    let mut stream = BufReader::new(listener.accept().unwrap().0);
    head(&mut stream);
    say(&mut stream, "HTTP/1.1 100 Continue\r\n\r\n");
    for number in 0..20_u8 {
        delivery.write_all(&vec![number; 100_000]).unwrap();
        some_chunks(&mut stream, 100_000, &mut Vec::new());
    }
    drop(stream);
    // That the connection broke is noticed when more is to be sent.
    while delivery.write_all(&[0; 1000]).is_ok() {
        std::thread::yield_now();
    }
    arrival.wait().unwrap_err();
}

#[test]
fn an_outage_of_a_minute_loses_nothing() {
    let Server { url, away, connections, taken } = server(true);
    let back = away.clone();
    let recording = Arc::new(Mutex::new((None::<Delivery>, Vec::new())));
    let writer = recording.clone();
    // It is recorded all the while: a piece for each pause.
    let pace = simulated(move |now| {
        let mut writer = writer.lock().unwrap();
        let (delivery, all) = &mut *writer;
        let piece = format!("{now:?} ").repeat(100).into_bytes();
        if let Some(delivery) = delivery {
            delivery.write_all(&piece).unwrap();
            all.extend(piece);
        }
        if now >= MediaTime::from_millis(60_000) {
            back.store(false, Ordering::Relaxed);
            *delivery = None;
        }
    });
    let mut held = recording.lock().unwrap();
    let (delivery, arrival) = send(&url, &room(), pace.clone()).unwrap();
    held.0 = Some(delivery);
    drop(held);
    arrival.wait().unwrap();
    assert!(pace.now().since(MediaTime::ZERO) < Duration::from_secs(70), "it is noticed soon that the server is back");
    assert!((5..20).contains(&connections.load(Ordering::Relaxed)), "and is not pestered while it is away");
    let all = std::mem::take(&mut recording.lock().unwrap().1);
    assert!(all.len() > 5000 && taken.recv().unwrap() == all, "all of {} bytes", all.len());
}

#[test]
fn who_is_away_for_too_long_is_given_up_and_nothing_is_left() {
    let room = room();
    let it = server(true);
    let pace = at_once();
    let (mut delivery, arrival) = send(&it.url, &room, pace.clone()).unwrap();
    delivery.write_all(&vec![0; 1 << 20]).unwrap();
    assert!(room.claim().grow(1).is_err(), "the room is used up");
    drop(delivery);
    arrival.wait().unwrap_err();
    let tried = pace.now().since(MediaTime::ZERO);
    assert!((PATIENCE..PATIENCE * 2).contains(&tried), "{tried:?}");
    // The courier's thread lets go of it in its own time.
    let (clock, guard) = (SystemClock::new(), Duration::from_secs(20));
    while room.claim().grow(1 << 20).is_err() {
        assert!(clock.now().since(MediaTime::ZERO) < guard, "its room is free again");
        std::thread::yield_now();
    }
}

#[test]
fn a_recording_larger_than_its_room_arrives_as_far_as_it_goes() {
    let it = server(true);
    let away = it.away.clone();
    let (told, tell) = (AtomicBool::new(false), Arc::new(AtomicBool::new(false)));
    let full = tell.clone();
    let pace = simulated(move |_| {
        if full.load(Ordering::Relaxed) && !told.swap(true, Ordering::Relaxed) {
            away.store(false, Ordering::Relaxed);
        }
    });
    let (mut delivery, arrival) = send(&it.url, &room(), pace).unwrap();
    delivery.write_all(&vec![1; 1 << 20]).unwrap();
    assert_eq!(delivery.write_all(b"x").unwrap_err().kind(), io::ErrorKind::StorageFull);
    // Whoever records gives up.
    drop(delivery);
    tell.store(true, Ordering::Relaxed);
    arrival.wait().unwrap();
    assert_eq!(it.taken.recv().unwrap(), vec![1; 1 << 20]);
}

#[test]
fn some_answers_are_final_and_some_are_not() {
    for (status, is_final) in [
        (303, true),
        (307, true),
        (401, true),
        (403, true),
        (404, true),
        (413, true),
        (501, true),
        (505, true),
        (408, false),
        (429, false),
        (500, false),
        (503, false),
        (507, false),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://me:secret@{}/a", listener.local_addr().unwrap());
        let (mut delivery, arrival) = send(&url, &room(), at_once()).unwrap();
        delivery.write_all(b"recording").unwrap();
        drop(delivery);
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        head(&mut stream);
        say(&mut stream, &format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
        drop(stream);
        if is_final {
            assert_eq!(arrival.wait().unwrap_err().to_string(), format!("it answers {status}"));
            continue;
        }
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        head(&mut stream);
        say(&mut stream, "HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(chunks(&mut stream), b"recording");
        say(&mut stream, "HTTP/1.1 204 No Content\r\n\r\n");
        arrival.wait().unwrap();
    }
}

#[test]
fn a_redirection_is_followed_and_only_who_redirects_knows_the_password() {
    let (first, second) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let url = format!("http://me:secret@{}/a", first.local_addr().unwrap());
    let (mut delivery, arrival) = send(&url, &room(), at_once()).unwrap();
    delivery.write_all(b"recording").unwrap();
    drop(delivery);
    let redirect = |location: &str, secret: bool| {
        let mut stream = BufReader::new(first.accept().unwrap().0);
        assert_eq!(head(&mut stream).contains("authorization: basic"), secret);
        say(&mut stream, &format!("HTTP/1.1 307 Away\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"));
    };
    redirect("/b", true);
    redirect(&format!("http://{}/c?d", second.local_addr().unwrap()), true);
    let mut stream = BufReader::new(second.accept().unwrap().0);
    let asked = head(&mut stream);
    assert!(asked.starts_with("put /c?d http/1.1\r\n") && !asked.contains("authorization"), "{asked}");
    say(&mut stream, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(chunks(&mut stream), b"recording");
    say(&mut stream, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    arrival.wait().unwrap();
}

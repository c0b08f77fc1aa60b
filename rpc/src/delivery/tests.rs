//! A courier before servers that break, refuse and take.

use super::*;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};

fn room() -> SpoolRoom {
    SpoolRoom::new(1 << 20, 1 << 20)
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
    let (mut delivery, arrival) = send(&url, &room()).unwrap();
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
    let (mut delivery, arrival) = send(&format!("http://{}/", listener.local_addr().unwrap()), &room()).unwrap();
    let mut stream = BufReader::new(listener.accept().unwrap().0);
    head(&mut stream);
    say(&mut stream, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    drop(stream);
    assert_eq!(arrival.wait().unwrap_err().to_string(), "it answers 401");
    assert!(delivery.write_all(b"any").is_err());
}

#[test]
fn a_recording_is_as_large_as_its_room() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut delivery, _arrival) = send(&format!("http://{}/", listener.local_addr().unwrap()), &room()).unwrap();
    delivery.write_all(&vec![0; 1 << 20]).unwrap();
    assert_eq!(delivery.write_all(b"x").unwrap_err().kind(), io::ErrorKind::StorageFull);
}

//! From a URI to what it names. Enters: text from a client. Leaves: an open file, bytes, or an address that FFmpeg may connect to.
//! Everything that decides whether a URI may be played at all stands here.

use super::{FilmError, OpenOptions};
use bytes::Bytes;
use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD};
use std::fs::File;
use std::path::PathBuf;

/// What a URI may begin with. `Https` and `Rtsps` are schemes of their own: who allows one does not allow the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `file:` and plain paths.
    File,
    /// `data:` (RFC 2397)
    Data,
    Http,
    Https,
    Rtsp,
    Rtsps,
    Rtmp,
    Rtmps,
    Srt,
}

impl Scheme {
    pub const ALL: [Scheme; 9] = [
        Scheme::File,
        Scheme::Data,
        Scheme::Http,
        Scheme::Https,
        Scheme::Rtsp,
        Scheme::Rtsps,
        Scheme::Rtmp,
        Scheme::Rtmps,
        Scheme::Srt,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Scheme::File => "file",
            Scheme::Data => "data",
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::Rtsp => "rtsp",
            Scheme::Rtsps => "rtsps",
            Scheme::Rtmp => "rtmp",
            Scheme::Rtmps => "rtmps",
            Scheme::Srt => "srt",
        }
    }

    /// Schemes are case-insensitive (RFC 3986, section 3.1).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.name().eq_ignore_ascii_case(name))
    }

    /// FFmpeg's protocols that it takes to fetch such a URI, itself included.
    pub(super) fn protocols(self) -> &'static str {
        match self {
            // What is in memory or in an open file needs none.
            Scheme::File | Scheme::Data => "",
            Scheme::Http => "http,tcp,httpproxy",
            Scheme::Https => "https,tls,tcp,httpproxy",
            Scheme::Rtsp => "rtsp,rtp,udp,tcp",
            Scheme::Rtsps => "rtsp,rtsps,rtp,udp,tcp,tls",
            Scheme::Rtmp => "rtmp,tcp",
            Scheme::Rtmps => "rtmps,tls,tcp",
            Scheme::Srt => "srt",
        }
    }
}

/// What a URI names.
pub(super) enum Place {
    File { file: File, extension: String },
    Memory { bytes: Bytes, extension: String },
    Net { scheme: Scheme, url: String },
}

/// A URI's scheme; None for a plain path.
pub(super) fn scheme_of(uri: &str) -> Option<&str> {
    let (scheme, _) = uri.split_once(':')?;
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let named = scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(letters);
    named.then_some(scheme)
}

pub(super) fn locate(uri: &str, options: &OpenOptions) -> Result<Place, FilmError> {
    if uri.is_empty() || uri.contains('\0') {
        return Err(FilmError::BadUri("empty, or with a zero inside"));
    }
    if !uri.starts_with("data:") && uri.chars().any(char::is_control) {
        // They would end a line of a request early.
        return Err(FilmError::BadUri("control characters"));
    }
    let named = scheme_of(uri);
    let scheme = match named {
        None => Scheme::File,
        Some(name) => Scheme::parse(name).ok_or_else(|| FilmError::Scheme(name.to_owned()))?,
    };
    if !options.schemes.contains(&scheme) {
        return Err(FilmError::Scheme(scheme.name().to_owned()));
    }
    let rest = named.map_or(uri, |name| &uri[name.len() + 1..]);
    match scheme {
        Scheme::File => {
            let path = if named.is_some() { file_path(rest)? } else { PathBuf::from(rest) };
            let file = options.roots.open(&path)?;
            let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
            Ok(Place::File { file, extension })
        }
        Scheme::Data => data(rest),
        _ if rest.starts_with("//") => {
            // FFmpeg compares schemes as they are written.
            Ok(Place::Net { scheme, url: format!("{}:{rest}", scheme.name()) })
        }
        _ => Err(FilmError::BadUri("no host")),
    }
}

/// The path that a URI names which is to be written to.
///
/// # Errors
/// It is no path and no URI of a file.
pub fn path_of(uri: &str) -> Result<PathBuf, FilmError> {
    match scheme_of(uri) {
        None if !uri.is_empty() && !uri.contains('\0') => Ok(PathBuf::from(uri)),
        None => Err(FilmError::BadUri("empty, or with a zero inside")),
        Some(name) if name.eq_ignore_ascii_case("file") => file_path(&uri[name.len() + 1..]),
        Some(name) => Err(FilmError::Scheme(name.to_owned())),
    }
}

/// `//host/path`, `///path` or `/path` (RFC 8089), percent-encoded.
pub(super) fn file_path(rest: &str) -> Result<PathBuf, FilmError> {
    let path = match rest.strip_prefix("//") {
        None => rest,
        Some(after) => {
            let slash = after.find('/').ok_or(FilmError::BadUri("a file without a path"))?;
            let (host, path) = after.split_at(slash);
            if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
                return Err(FilmError::BadUri("a file on another host"));
            }
            path
        }
    };
    let path = percent_decoded(path)?;
    if path.is_empty() || path.contains(&0) {
        return Err(FilmError::BadUri("a file without a path"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt;
        Ok(std::ffi::OsString::from_vec(path).into())
    }
    #[cfg(not(unix))]
    String::from_utf8(path).map(PathBuf::from).map_err(|_| FilmError::BadUri("a path that is not text"))
}

fn percent_decoded(text: &str) -> Result<Vec<u8>, FilmError> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|b| char::from(b).to_digit(16));
        let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else {
            return Err(FilmError::BadUri("a percent sign without two digits"));
        };
        out.push((high * 16 + low) as u8);
    }
    Ok(out)
}

/// `[type][;parameters][;base64],data` (RFC 2397)
fn data(rest: &str) -> Result<Place, FilmError> {
    let (head, body) = rest.split_once(',').ok_or(FilmError::BadUri("data without a comma"))?;
    let mut words = head.split(';');
    let kind = words.next().unwrap_or_default();
    let mut bytes = percent_decoded(body)?;
    if words.any(|word| word.trim().eq_ignore_ascii_case("base64")) {
        bytes.retain(|byte| !byte.is_ascii_whitespace());
        let decoded =
            [BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD].iter().find_map(|code| code.decode(&bytes).ok());
        bytes = decoded.ok_or(FilmError::BadUri("data that is not base64"))?;
    }
    let extension = kind.rsplit('/').next().unwrap_or_default().chars().filter(char::is_ascii_alphanumeric).collect();
    Ok(Place::Memory { bytes: bytes.into(), extension })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_are_told_from_paths() {
        for (uri, scheme) in [
            ("/var/a.webm", None),
            ("a:b", Some("a")),
            ("HTTP://x/", Some("HTTP")),
            ("./a:b", None),
            ("1:2", None),
            ("concat:a|b", Some("concat")),
        ] {
            assert_eq!(scheme_of(uri), scheme, "{uri}");
        }
    }

    #[test]
    fn files_are_found_by_their_decoded_path() {
        for (rest, path) in [("///a%20b/c", "/a b/c"), ("//localhost/x", "/x"), ("/y", "/y"), ("///%2e%2E/z", "/../z")]
        {
            assert_eq!(file_path(rest).unwrap(), PathBuf::from(path), "{rest}");
        }
        for rest in ["//elsewhere/x", "//", "", "///%zz", "///a%0", "///a%00b"] {
            assert!(matches!(file_path(rest), Err(FilmError::BadUri(_))), "{rest}");
        }
    }

    #[test]
    fn data_is_decoded_with_and_without_base64() {
        for (uri, bytes) in [
            ("audio/wav;base64,UklGRg==", &b"RIFF"[..]),
            ("audio/wav;base64,UklGRg", b"RIFF"),
            ("audio/wav;base64,UklG%52g==", b"RIFF"),
            (",a%20b", b"a b"),
            ("text/plain;charset=utf-8,", b""),
        ] {
            let Place::Memory { bytes: is, .. } = data(uri).unwrap() else { panic!("{uri}") };
            assert_eq!(&is[..], bytes, "{uri}");
        }
        assert!(data("audio/wav;base64").is_err());
        assert!(data(";base64,*").is_err());
    }
}

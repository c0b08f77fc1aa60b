//! What is told to a server of who sends. Enters: the user and the password of a URL, and what the server asks for. Leaves: a header.

use data_encoding::BASE64;
use digest_auth::{AuthContext, HttpMethod};
use percent_encoding::percent_decode_str;

pub struct Credentials {
    name: Vec<u8>,
    password: Vec<u8>,
}

/// The credentials of a URL, whose special characters are percent-encoded, and the URL without them.
pub fn split(url: &str) -> (String, Option<Credentials>) {
    let Some((scheme, rest)) = url.split_once("://") else { return (url.to_owned(), None) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let Some((user, host)) = rest[..end].rsplit_once('@') else { return (url.to_owned(), None) };
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let decoded = |text| percent_decode_str(text).collect();
    let credentials = Credentials { name: decoded(name), password: decoded(password) };
    (format!("{scheme}://{host}{}", &rest[end..]), Some(credentials))
}

impl Credentials {
    /// Basic authentication (RFC 7617).
    pub fn basic(&self) -> String {
        let plain = [&self.name[..], b":", &self.password].concat();
        format!("Basic {}", BASE64.encode(&plain))
    }

    /// The answer to a challenge (RFC 7616) for a PUT of `path`; `None` if it is of another kind.
    pub fn digest(&self, challenge: &str, path: &str) -> Option<String> {
        let (scheme, parameters) = challenge.split_once(' ')?;
        let digest = scheme.eq_ignore_ascii_case("Digest");
        let mut prompt = digest.then(|| digest_auth::parse(parameters).ok())??;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let nobody = None::<&[u8]>;
        let context =
            AuthContext::new_with_method(text(&self.name), text(&self.password), path, nobody, HttpMethod::PUT);
        Some(prompt.respond(&context).ok()?.to_header_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_taken_out_of_a_url() {
        for (url, bare, header) in [
            ("http://me:se%20cret@host:8/a?b@c", "http://host:8/a?b@c", Some("Basic bWU6c2UgY3JldA==")),
            ("https://a%40b:p%3Aq@host", "https://host", Some("Basic YUBiOnA6cQ==")),
            ("http://user@host/", "http://host/", Some("Basic dXNlcjo=")),
            ("http://host/a@b", "http://host/a@b", None),
        ] {
            let (is, credentials) = split(url);
            assert_eq!((&is[..], credentials.map(|c| c.basic()).as_deref()), (bare, header), "{url}");
        }
    }

    #[test]
    fn only_challenges_that_are_known_are_answered() {
        let (_, credentials) = split("http://Mufasa:Circle%20of%20Life@host/");
        let credentials = credentials.unwrap();
        let challenge = r#"Digest realm="r", qop="auth, auth-int", algorithm=SHA-256, nonce="n", opaque="o""#;
        let answer = credentials.digest(challenge, "/dir/index").unwrap();
        for part in [r#"username="Mufasa""#, r#"uri="/dir/index""#, "qop=auth,", "algorithm=SHA-256", "nc=00000001"] {
            assert!(answer.contains(part), "{answer}");
        }
        for other in ["Basic realm=\"r\"", "Digest", "", "Digest nonsense", "Negotiate"] {
            assert_eq!(credentials.digest(other, "/"), None, "{other}");
        }
    }
}

//! Where the page of the server records to. Enters: the configuration and the environment. Leaves: a directory and who may see what
//! lies in it, or nothing. Why so: `rivero_rpc::recordings`.

use rivero_engine::Clock;
use rivero_rpc::config::settings::ServerSettings;
use rivero_rpc::recordings::{Audience, Recordings};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory of recordings, and who may see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub folder: PathBuf,
    pub audience: Audience,
}

impl Place {
    /// `built_in`: no configuration file was read.
    pub fn choose(
        settings: &ServerSettings,
        built_in: bool,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Option<Self> {
        if let Some(folder) = settings.recordings.clone() {
            return Some(Place { folder, audience: Audience::Everyone });
        }
        let folder = user_data(environment).filter(|_| built_in)?.join("rivero/recordings");
        Some(Place { folder, audience: Audience::ThisMachine })
    }

    pub fn open(&self, clock: Arc<dyn Clock>) -> std::io::Result<Recordings> {
        Recordings::new(&self.folder, self.audience, clock)
    }
}

/// As the XDG Base Directory Specification has it: paths that are not absolute are not meant.
fn user_data(environment: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = |name| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
    path("XDG_DATA_HOME").or_else(|| path("HOME").map(|home| home.join(Path::new(".local/share"))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rivero_rpc::config::Format;

    fn choose(text: &str, built_in: bool, environment: &[(&str, &str)]) -> Option<(String, Audience)> {
        let tree = Format::Json.parse(text.as_bytes()).expect("the test's own JSON");
        let settings = ServerSettings::read(&tree, &mut Vec::new()).expect("valid");
        let read = |name: &str| environment.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value));
        let place = Place::choose(&settings, built_in, read)?;
        Some((place.folder.to_str().expect("text").to_owned(), place.audience))
    }

    #[test]
    fn a_configured_server_shows_only_what_it_is_told_to() {
        let with = |folder: &str| {
            format!(
                r#"{{"configPath":"/etc/kurento","mediaServer":{{"net":{{"websocket":{{"port":1}}}},"demo":{{"recordings":"{folder}"}}}}}}"#
            )
        };
        let home = [("HOME", "/home/me")];
        assert_eq!(choose(&with("/srv/films"), false, &home), Some(("/srv/films".to_owned(), Audience::Everyone)));
        assert_eq!(choose(&with("films"), false, &[]), Some(("/etc/kurento/films".to_owned(), Audience::Everyone)));
        assert_eq!(choose(&with(""), false, &home), None);
    }

    #[test]
    fn a_server_without_configuration_shows_the_users_own_to_this_machine() {
        const NONE: &str = r#"{"mediaServer":{"net":{"websocket":{"port":1}}}}"#;
        let own = |folder: &str| Some((format!("{folder}/rivero/recordings"), Audience::ThisMachine));
        assert_eq!(choose(NONE, true, &[("HOME", "/home/me")]), own("/home/me/.local/share"));
        assert_eq!(choose(NONE, true, &[("HOME", "/home/me"), ("XDG_DATA_HOME", "/data")]), own("/data"));
        assert_eq!(choose(NONE, true, &[("HOME", "/h"), ("XDG_DATA_HOME", "data")]), own("/h/.local/share"));
        assert_eq!(choose(NONE, true, &[]), None);
        assert_eq!(choose(NONE, false, &[("HOME", "/home/me")]), None);
    }
}

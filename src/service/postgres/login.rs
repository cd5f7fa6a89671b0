//! As whom an app logs in, and the file that tells libpq so.

use std::fmt::Write as _;
use std::path::Path;

use crate::proxy::{Endpoint, POSTGRES_PORT as PORT};
use crate::service::secret::Secret;

/// The service that every actor's database goes by.
pub const SERVICE: &str = "arm";

/// As whom an app logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The role.
    pub user: String,
    /// Its password, where the server asks for one.
    pub password: Option<Secret>,
}

impl Login {
    /// The text of a service file for an actor whose proxy listens in the folder `host`. It may hold a password: only
    /// its owner may read the file.
    pub fn service_file(&self, host: &Path, database: &str) -> String {
        self.text(&format!("host={}\nport={PORT}", host.display()), database)
    }

    /// As [`Login::service_file`], without a proxy.
    pub fn direct_service_file(&self, endpoint: &Endpoint, database: &str) -> String {
        let server = match endpoint {
            Endpoint::Unix(socket) => {
                let port = socket.extension().map_or_else(|| PORT.to_string(), |port| port.to_string_lossy().into());
                format!("host={}\nport={port}", socket.parent().unwrap_or(socket).display())
            }
            Endpoint::Tcp { host, port } => format!("host={host}\nport={port}\nsslmode=disable\ngssencmode=disable"),
        };
        self.text(&server, database)
    }

    fn text(&self, server: &str, database: &str) -> String {
        let mut text = format!("[{SERVICE}]\n{server}\ndbname={database}\nuser={}\n", self.user);
        if let Some(password) = &self.password {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "password={}", password.reveal());
        }
        text
    }
}

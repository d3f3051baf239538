use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Mutex;

use tokio::net::{TcpStream, UnixListener};
use tokio::task::{AbortHandle, JoinSet};

use super::model::FleetModel;
use crate::http::{Action, Reply, Request, ScriptedServer};

/// A fleet that is not one; see the [module](super). It stops when dropped.
pub struct FakeFleet {
    server: ScriptedServer,
    model: FleetModel,
    sockets: Mutex<Vec<AbortHandle>>,
}

impl FakeFleet {
    /// Starts it, empty.
    ///
    /// # Errors
    ///
    /// When no loopback port can be had.
    pub async fn start() -> io::Result<Self> {
        Self::of(FleetModel::new()).await
    }

    /// Serves a model.
    ///
    /// # Errors
    ///
    /// When no loopback port can be had.
    pub async fn of(model: FleetModel) -> io::Result<Self> {
        let served = model.clone();
        let answer = move |request: &Request| {
            if request.method != "GET" {
                let body = r#"{"error":{"code":405,"message":"only GET supported against this resource"}}"#;
                return Action::Reply(json(405, body.to_owned()));
            }
            let (status, body) = served.get(&request.target);
            Action::Reply(json(status, body))
        };
        Ok(Self {
            server: ScriptedServer::with_service(answer).await?,
            model,
            sockets: Mutex::default(),
        })
    }

    /// What it shows.
    #[must_use]
    pub fn model(&self) -> &FleetModel {
        &self.model
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url("")
    }

    /// The server beneath: its requests, the port, and faults on the wire.
    #[must_use]
    pub fn server(&self) -> &ScriptedServer {
        &self.server
    }

    /// Answers on a unix socket as well, which is made there; the same server with the same faults.
    ///
    /// # Errors
    ///
    /// When the socket cannot be made.
    pub async fn unix_socket(&self, path: &Path) -> io::Result<()> {
        // Binding is immediate.
        tokio::task::yield_now().await;
        let listener = UnixListener::bind(path)?;
        let to = self.server.addr();
        let task = tokio::spawn(async move {
            let mut links = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                while links.try_join_next().is_some() {}
                links.spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(to).await {
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        });
        let mut sockets = self
            .sockets
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        sockets.push(task.abort_handle());
        Ok(())
    }
}

fn json(status: u16, body: String) -> Reply {
    Reply::new(status)
        .header("Content-Type", "application/json")
        .body(body)
}

impl Drop for FakeFleet {
    fn drop(&mut self) {
        let sockets = self
            .sockets
            .get_mut()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        for task in sockets {
            task.abort();
        }
    }
}

impl fmt::Debug for FakeFleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeFleet")
            .field("addr", &self.server.addr())
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

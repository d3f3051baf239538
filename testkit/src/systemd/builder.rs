//! What a systemd is to be like.

use std::{io, sync::Arc};

use super::{Systemd, blocking, instance::Instance};
use crate::peer;

/// Makes a [`Systemd`].
#[derive(Clone, Debug, Default)]
#[must_use = "nothing runs before it is started"]
pub struct Builder {
    /// Paths below `/etc/systemd/system`, and texts.
    pub(super) units: Vec<(String, String)>,
    pub(super) shares_network: bool,
    pub(super) host_name: Option<String>,
}

impl Builder {
    /// A unit; a name with a `/` is a file of a drop-in: `a.service.d/b.conf`. It is not started.
    pub fn unit(mut self, name: &str, text: &str) -> Self {
        self.units.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Units reach servers on the loopback of the test. Default: the network is its own, and has nothing.
    pub fn shares_network(mut self) -> Self {
        self.shares_network = true;
        self
    }

    /// The host's name in there. Default: one that no other has, `node-…`.
    pub fn host_name(mut self, name: &str) -> Self {
        self.host_name = Some(name.to_owned());
        self
    }

    /// Starts it, until it says `running`.
    ///
    /// # Errors
    ///
    /// systemd is not installed, this process is not root, namespaces cannot be had, or it was not up within a
    /// minute; then with the end of its log.
    pub async fn start(self) -> io::Result<Systemd> {
        let instance = blocking(move || {
            let instance = Instance::make(self)?;
            instance.wait_until_up()?;
            Ok(instance)
        });
        Ok(Systemd {
            instance: Arc::new(instance.await?),
        })
    }

    /// The same for a test: `None`, said aloud by [`peer::skipped`], where it does not start.
    pub async fn start_or_skip(self) -> Option<Systemd> {
        let started = self.start().await;
        started
            .map_err(|e| peer::skipped("systemd", &e.to_string().replace('\n', " | ")))
            .ok()
    }
}

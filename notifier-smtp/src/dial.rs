//! A TCP connection to a relay.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    net::{TcpStream, lookup_host},
    time::{Instant, timeout_at},
};

use crate::{
    error::{Failure, Who},
    server::Server,
};

/// Connects to the first address of the host that answers. Each has its share of the time that
/// is left, so that one that swallows packets does not use it up.
pub(crate) async fn dial(server: &Server, who: &Who, until: Instant) -> Result<TcpStream, Failure> {
    let end = until.min(Instant::now() + server.limits.connect);
    let addresses: Vec<SocketAddr> =
        match timeout_at(end, lookup_host((server.host.as_str(), server.port))).await {
            Ok(Ok(found)) => found.collect(),
            Ok(Err(e)) => {
                return Err(who
                    .unfit("has an address that cannot be looked up")
                    .because(e.to_string()));
            }
            Err(_) => return Err(who.unfit("has an address that cannot be looked up in time")),
        };
    let mut last = None;
    for (n, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - n).unwrap_or(u32::MAX);
        let share = end.saturating_duration_since(Instant::now()) / left;
        match connect(*address, share).await {
            Ok(stream) => return Ok(stream),
            Err(e) => last = Some(format!("{address}: {e}")),
        }
    }
    let cause = last.unwrap_or_else(|| "it has no address".to_owned());
    Err(who.unfit("cannot be reached").because(cause))
}

async fn connect(address: SocketAddr, within: Duration) -> io::Result<TcpStream> {
    let stream = timeout_at(Instant::now() + within, TcpStream::connect(address))
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time"))??;
    // Commands are small and wait for their answers.
    stream.set_nodelay(true)?;
    Ok(stream)
}

//! One POST over HTTP/1.1.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use url::Url;

/// SNS waits so long for an endpoint's answer.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The longest answer that is read.
const LONGEST: u64 = 64 * 1024;

/// What an endpoint answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Posted {
    /// The status.
    pub status: u16,
    /// Its head, as it came.
    pub head: String,
    /// Its body.
    pub body: String,
}

pub(super) async fn post(
    endpoint: &str,
    headers: &[(String, String)],
    body: &str,
) -> io::Result<Posted> {
    let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let url = Url::parse(endpoint).map_err(|e| wrong(&e.to_string()))?;
    let host = url.host_str().ok_or_else(|| wrong("no host"))?;
    let port = url
        .port_or_known_default()
        .ok_or_else(|| wrong("no port"))?;
    let mut request = format!(
        "POST {} HTTP/1.1\r\nHost: {host}:{port}\r\n",
        &url[url::Position::BeforePath..url::Position::AfterQuery]
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!(
        "Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    ));
    let exchange = async {
        let stream = TcpStream::connect((host, port)).await?;
        let (reader, mut writer) = stream.into_split();
        // An endpoint may refuse before it has read everything, and close: its answer counts.
        let sending = async {
            let _ = writer.write_all(request.as_bytes()).await;
        };
        let mut answer = Vec::new();
        let mut reader = reader.take(LONGEST);
        let ((), read) = tokio::join!(sending, reader.read_to_end(&mut answer));
        if answer.is_empty() {
            read?;
        }
        Ok::<_, io::Error>(answer)
    };
    let answer = tokio::time::timeout(TIMEOUT, exchange)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| wrong("no answer of HTTP"))?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .ok_or_else(|| wrong("no status"))?;
    Ok(Posted {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}

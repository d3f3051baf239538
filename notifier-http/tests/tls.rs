//! Certificates: refused, trusted, shown.
//!
//! `fixtures/server.pem` (a certificate for 127.0.0.1 with its key) is signed by `fixtures/ca.pem`; both
//! are of these tests alone and valid until 2126.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use notifier_core::{Delivery, ErrorKind, Origin, Retry, Scope};
use notifier_http::{GuestPolicy, HttpClient};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

const CA: &[u8] = include_bytes!("fixtures/ca.pem");
const SERVER: &[u8] = include_bytes!("fixtures/server.pem");

/// Answers with whether the client showed a certificate.
fn server() -> SocketAddr {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(CA).unwrap())
        .unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .unwrap();
    let chain = CertificateDer::pem_slice_iter(SERVER)
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, PrivateKeyDer::from_pem_slice(SERVER).unwrap())
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let session = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut s = StreamOwned::new(session, socket);
            let mut buf = [0; 4096];
            if s.read(&mut buf).is_err() {
                continue;
            }
            let shown = s.conn.peer_certificates().is_some();
            let body = format!("client certificate: {shown}");
            let head = format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let _ = s.write_all((head + &body).as_bytes());
            s.conn.send_close_notify();
            let _ = s.flush();
        }
    });
    addr
}

#[tokio::test]
async fn a_certificate_that_is_refused_is_a_matter_of_configuration() {
    let url = format!("https://{}/s3cret", server());
    let e = HttpClient::new()
        .unwrap()
        .post(&url)
        .secret_url()
        .body("a/b", "x")
        .send()
        .await
        .unwrap_err();
    assert_eq!(
        (e.kind(), e.retry(), e.delivery()),
        (ErrorKind::Config, Retry::Never, Delivery::NotDelivered)
    );
    assert_eq!(e.scope(), Scope::Destination);
    let shown = e.report().to_string();
    assert!(
        shown.contains("the TLS certificate of https://127.0.0.1:") && !shown.contains("s3cret"),
        "{shown}"
    );
}

#[tokio::test]
async fn an_extra_ca_is_trusted_and_a_client_certificate_shown_but_not_to_guests() {
    let url = format!("https://{}/", server());
    let builder = || {
        HttpClient::builder()
            .ca_pem(CA)
            .unwrap()
            .guests(GuestPolicy::parse("", ["127.0.0.0/8"]).unwrap())
    };
    let plain = builder().build().unwrap();
    assert_eq!(
        plain.get(&url).send().await.unwrap().text(),
        "client certificate: false"
    );
    let own = builder().client_pem(SERVER).unwrap().build().unwrap();
    assert_eq!(
        own.get(&url).send().await.unwrap().text(),
        "client certificate: true"
    );
    let guest = own.for_origin(Some(Origin::Label));
    assert_eq!(
        guest.get(&url).send().await.unwrap().text(),
        "client certificate: false"
    );
}

#[test]
fn what_is_no_certificate_is_said_so() {
    for (pem, says) in [
        (&b"hello"[..], "no certificate found"),
        (CA, "no private key found"),
    ] {
        let e = HttpClient::builder().client_pem(pem).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Config);
        assert!(e.to_string().contains(says), "{e}");
    }
    let e = HttpClient::builder()
        .ca_file("/no/such/file".as_ref())
        .unwrap_err();
    assert_eq!(e.to_string(), "/no/such/file: cannot be read");
}

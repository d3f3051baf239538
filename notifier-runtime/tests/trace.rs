//! At the loudest level, no library that the backends use prints a secret.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use notifier_runtime::{Cli, Env, Invocation, log};
use notifiers::{Secret, http::HttpClient};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, b: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(b);
        Ok(b.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn requests_leave_no_secret_in_the_log() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut s, _)) = listener.accept().await {
            let mut buffer = [0; 4096];
            let _ = s.read(&mut buffer).await;
            let _ = s
                .write_all(b"HTTP/1.1 500 X\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
                .await;
        }
    });
    let hook = format!("http://{at}/services/T1/B2/s3cretsegment-of-the-hook?token=s3cretquery");
    let args = [
        "-uploader=noop".to_owned(),
        "-reporters=slack".to_owned(),
        format!("-masters=http://admin:s3cretpassword@{at}"),
        format!("-slack.hook_url={hook}"),
        "-mesos.token=s3crettoken".to_owned(),
        "-log.level=trace".to_owned(),
    ];
    let cli = Cli::mesos_watcher("1.0.0");
    let Ok(Invocation::Run(parsed)) = cli.parse(args.iter().map(Into::into), &Env::default())
    else {
        panic!("settings")
    };
    let masker = parsed.masker();
    for format in ["text", "json"] {
        let sink = Sink::default();
        let writer = sink.clone();
        let settings = log::LogSettings::new("trace", format).unwrap();
        let subscriber = log::subscriber(&settings, &masker, move || writer.clone()).unwrap();
        let guard = tracing::subscriber::set_default(subscriber);
        let client = HttpClient::new().unwrap();
        let bearer = Secret::new("s3crettoken");
        let _ = client.post(&hook).json(&1).bearer(&bearer).send().await;
        let basic = Secret::new("s3cretpassword");
        let _ = client.get(&hook).basic("admin", &basic).send().await;
        // A library that is careless.
        tracing::trace!(target: "careless", url = %hook, "Basic YWRtaW46czNjcmV0cGFzc3dvcmQ= s3cretsegment-of-the-hook");
        drop(guard);
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        assert!(
            text.contains("hyper") && text.contains("careless"),
            "{text}"
        );
        assert!(
            !text.contains("s3cret") && !text.contains("YWRtaW46"),
            "{text}"
        );
    }
}

//! The suite of `notifier-testkit`, against a Slack made of wiremock and raw sockets.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use notifier_core::{BackendSettings, Origin, Reporter};
use notifier_http::HttpClient;
use notifier_slack::{OPTIONS, SlackReporter};
use notifier_testkit::conformance::{Harness, Row, RowVerdict, Scenario, Setup, suite};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpSocket},
};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers::method};

const SECRET: &str = "s3cr3t-hook-path";

type Seen = Arc<Mutex<Vec<String>>>;

struct Slack {
    reporter: Arc<SlackReporter>,
    /// Kept so that servers live as long as the suite.
    servers: Mutex<Vec<MockServer>>,
    /// Kept so that nobody listens there.
    ports: Mutex<Vec<TcpSocket>>,
}

impl Slack {
    fn new() -> Self {
        let http = HttpClient::builder()
            .timeout(Some(Duration::from_secs(2)))
            .connect_timeout(Duration::from_secs(1))
            .build()
            .unwrap();
        let settings = BackendSettings::new(OPTIONS);
        Self {
            reporter: Arc::new(SlackReporter::new(&settings, http).unwrap()),
            servers: Mutex::default(),
            ports: Mutex::default(),
        }
    }
}

/// Answers, and keeps what it was asked: as tried, and if its answer is a yes, as taken.
struct Answer {
    answer: ResponseTemplate,
    takes: bool,
    tried: Seen,
    taken: Seen,
}

impl Respond for Answer {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let text = String::from_utf8(request.body.clone()).unwrap();
        self.tried.lock().unwrap().push(text.clone());
        if self.takes {
            self.taken.lock().unwrap().push(text);
        }
        self.answer.clone()
    }
}

fn setup(base: &str, tried: Seen, taken: Seen) -> Setup {
    let mut s = BackendSettings::new(OPTIONS);
    s.set(
        Origin::Flag,
        "hook_url",
        &format!("{base}/services/T0/B0/{SECRET}"),
    )
    .unwrap();
    s.set(Origin::Flag, "channel", "#ops").unwrap();
    Setup::new(s.instance("default"))
        .with_received(move || {
            let messages = taken.lock().unwrap().clone();
            assert!(messages.iter().all(|m| !m.contains("\\u0000")));
            messages
        })
        .with_attempts(move || tried.lock().unwrap().len())
}

/// What a case's service does.
enum Does {
    /// It answers, and has the message if `takes`.
    Answer(ResponseTemplate, bool),
    /// It refuses with this, and takes a second message.
    AnswerOnce(ResponseTemplate),
    /// It takes the message and breaks the connection.
    Cut,
    /// Nobody listens.
    Nothing,
}

fn text(status: u16, body: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_string(body)
}

/// Slack's table of verdicts: each word of it in the form of a webhook, a status with one
/// word, and in that of the Web API, 200 with JSON; and the answers that have no word.
fn table() -> Vec<(String, RowVerdict, Does)> {
    use RowVerdict as V;
    let later = V::Retry { after: None };
    let after = |s| V::Retry {
        after: Some(Duration::from_secs(s)),
    };
    let no = |answer| Does::Answer(answer, false);
    let yes = |answer| Does::Answer(answer, true);
    let json = |body: &str| text(200, body);
    let mut rows = vec![
        ("200 ok".to_owned(), V::Delivered, yes(text(200, "ok"))),
        (
            "200 with ok: true".to_owned(),
            V::Delivered,
            yes(json(
                r#"{"ok":true,"channel":"C1","ts":"1503435956.000247","message":{"text":"x"}}"#,
            )),
        ),
        (
            "200 of a look-alike".to_owned(),
            V::Delivered,
            yes(text(200, "")),
        ),
        ("429".to_owned(), later, no(text(429, ""))),
        (
            "429 with Retry-After".to_owned(),
            after(30),
            no(text(429, "rate_limited").insert_header("retry-after", "30")),
        ),
        (
            "429 with JSON retry_after".to_owned(),
            after(3),
            no(text(
                429,
                r#"{"ok":false,"error":"rate_limited","retry_after":3}"#,
            )),
        ),
        (
            "200 with JSON retry_after".to_owned(),
            after(4),
            no(json(
                r#"{"ok":false,"error":"ratelimited","retry_after":4}"#,
            )),
        ),
        ("503".to_owned(), later, no(text(503, "<html>"))),
        (
            "503 with Retry-After".to_owned(),
            after(9),
            no(text(503, "").insert_header("retry-after", "9")),
        ),
        ("no connection".to_owned(), later, Does::Nothing),
        (
            "500 with a page".to_owned(),
            V::Ambiguous,
            no(text(500, "<html>")),
        ),
        (
            "502 with a page".to_owned(),
            V::Ambiguous,
            no(text(502, "<html>")),
        ),
        ("504".to_owned(), V::Ambiguous, yes(text(504, ""))),
        (
            "200 with a page".to_owned(),
            V::Ambiguous,
            no(text(200, "<html>log in</html>")),
        ),
        ("a reset after the body".to_owned(), V::Ambiguous, Does::Cut),
        (
            "no answer in time".to_owned(),
            V::Ambiguous,
            yes(text(200, "ok").set_delay(Duration::from_secs(60))),
        ),
        ("400 no_text".to_owned(), V::Dead, no(text(400, "no_text"))),
        (
            "200 with a new error".to_owned(),
            V::Dead,
            no(json(r#"{"ok":false,"error":"some_new_word"}"#)),
        ),
        (
            "302".to_owned(),
            V::Dead,
            no(text(302, "").insert_header("location", "http://127.0.0.1:1/")),
        ),
        (
            "413".to_owned(),
            V::Shrink,
            Does::AnswerOnce(text(413, "<html>")),
        ),
    ];
    for status in [401, 403, 404, 410] {
        rows.push((
            format!("{status} with a page"),
            V::DeadDestination,
            no(text(status, "<html>")),
        ));
    }
    // The status of a hook that goes with each word.
    let words: [(V, &[(u16, &str)]); 4] = [
        (
            later,
            &[
                (429, "ratelimited"),
                (429, "rate_limited"),
                (400, "message_limit_exceeded"),
                (503, "service_unavailable"),
                (408, "request_timeout"),
                (400, "team_added_to_org"),
                (500, "rollup_error"),
            ],
        ),
        (
            V::Ambiguous,
            &[(500, "internal_error"), (500, "fatal_error")],
        ),
        (
            V::DeadDestination,
            &[
                (403, "invalid_auth"),
                (403, "not_authed"),
                (403, "account_inactive"),
                (403, "token_revoked"),
                (403, "token_expired"),
                (403, "missing_scope"),
                (404, "no_service"),
                (404, "no_team"),
                (403, "invalid_token"),
                (403, "action_prohibited"),
                (403, "ekm_access_denied"),
                (403, "restricted_action"),
                (403, "restricted_action_read_only_channel"),
                (403, "restricted_action_thread_only_channel"),
                (404, "channel_not_found"),
                (400, "not_in_channel"),
                (400, "is_archived"),
                (410, "channel_is_archived"),
                (403, "posting_to_general_channel_denied"),
                (400, "user_not_found"),
            ],
        ),
        (
            V::Shrink,
            &[
                (400, "msg_too_long"),
                (400, "msg_blocks_too_long"),
                (400, "invalid_blocks"),
                (400, "invalid_payload"),
                (400, "too_many_attachments"),
                (400, "invalid_attachments"),
            ],
        ),
    ];
    for (verdict, words) in words {
        for (status, word) in words {
            for (form, answer) in [
                (format!("{status} {word}"), text(*status, word)),
                (
                    format!("200 with the error {word}"),
                    json(&format!(r#"{{"ok":false,"error":"{word}"}}"#)),
                ),
            ] {
                let does = match verdict {
                    V::Shrink => Does::AnswerOnce(answer),
                    _ => no(answer),
                };
                rows.push((form, verdict, does));
            }
        }
    }
    rows
}

impl Slack {
    async fn answer(&self, does: Does) -> Setup {
        let (tried, taken) = (Seen::default(), Seen::default());
        let base = match does {
            Does::Nothing => {
                // Bound and not listening: nobody else gets the port.
                let socket = TcpSocket::new_v4().unwrap();
                socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
                let base = format!("http://{}", socket.local_addr().unwrap());
                self.ports.lock().unwrap().push(socket);
                // There is nobody to count attempts.
                return Setup::new(setup(&base, tried, taken).settings);
            }
            Does::Cut => cut(Arc::clone(&tried), Arc::clone(&taken)).await,
            Does::Answer(answer, takes) => self.serve(vec![(answer, takes)], &tried, &taken).await,
            Does::AnswerOnce(answer) => {
                let answers = vec![(answer, false), (text(200, "ok"), true)];
                self.serve(answers, &tried, &taken).await
            }
        };
        setup(&base, tried, taken)
    }

    /// Gives each answer once, and the last one from then on.
    async fn serve(
        &self,
        answers: Vec<(ResponseTemplate, bool)>,
        tried: &Seen,
        taken: &Seen,
    ) -> String {
        let server = MockServer::start().await;
        let last = answers.len() - 1;
        for (n, (answer, takes)) in answers.into_iter().enumerate() {
            let mock = Mock::given(method("POST")).respond_with(Answer {
                answer,
                takes,
                tried: Arc::clone(tried),
                taken: Arc::clone(taken),
            });
            match n == last {
                true => mock.mount(&server).await,
                false => mock.up_to_n_times(1).mount(&server).await,
            }
        }
        let base = server.uri();
        self.servers.lock().unwrap().push(server);
        base
    }
}

/// A server that takes a whole request and breaks the connection.
async fn cut(tried: Seen, taken: Seen) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut s, _)) = listener.accept().await {
            let mut b = vec![0; 65536];
            let n = s.read(&mut b).await.unwrap_or(0);
            let text = String::from_utf8_lossy(&b[..n]);
            let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            tried.lock().unwrap().push(body.to_owned());
            taken.lock().unwrap().push(body.to_owned());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    base
}

#[async_trait]
impl Harness for Slack {
    fn reporter(&self) -> Arc<dyn Reporter> {
        Arc::<SlackReporter>::clone(&self.reporter)
    }

    async fn prepare(&self, scenario: Scenario) -> Option<Setup> {
        let no = |answer| Does::Answer(answer, false);
        let yes = |answer| Does::Answer(answer, true);
        let does = match scenario {
            Scenario::Deliver => yes(text(200, "ok")),
            Scenario::RateLimited { after: None } => no(text(429, "")),
            Scenario::RateLimited { after: Some(d) } => {
                no(text(429, "").insert_header("retry-after", d.as_secs().to_string()))
            }
            Scenario::Unavailable => no(text(503, "")),
            Scenario::Refuse => no(text(400, "no_text")),
            Scenario::RefuseDestination => no(text(404, "no_service")),
            Scenario::Hang => yes(ResponseTemplate::new(200).set_delay(Duration::from_secs(60))),
            Scenario::CutAfterBody => Does::Cut,
            Scenario::Row(n) => table().into_iter().nth(n)?.2,
            _ => return None,
        };
        Some(self.answer(does).await)
    }

    fn rows(&self) -> Vec<Row> {
        table()
            .into_iter()
            .map(|(answer, verdict, _)| Row::new(answer, verdict))
            .collect()
    }

    fn secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned()]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slack_conforms() {
    let slack = Slack::new();
    let results = suite(&slack).await;
    // Each server waits for a lock when it is dropped, and a task may do that only so often
    // before it must yield.
    tokio::task::spawn_blocking(move || drop(slack))
        .await
        .unwrap();
    results.assert_complete();
}

//! The suite of `notifier-testkit`, against its fake HipChat.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use notifier_core::{BackendSettings, ManualClock, Origin, Reporter, jiff::Timestamp};
use notifier_hipchat::{HipchatReporter, OPTIONS};
use notifier_http::HttpClient;
use notifier_testkit::{
    conformance::{Harness, Row, RowVerdict, Scenario, Setup, suite},
    hipchat::{FakeHipchat, HipchatReply},
    http::{Action, Body, Delivery, End, Reply},
};

/// What time it is for the reporter, in seconds since 1970.
const NOW: u64 = 1_700_000_000;

struct Hipchat {
    fake: Arc<FakeHipchat>,
    reporter: Arc<HipchatReporter>,
    /// A room for each case, and a token of its own: what one is told of limits holds for it.
    next: AtomicUsize,
    users: Vec<String>,
}

impl Hipchat {
    async fn new() -> Self {
        let http = HttpClient::builder()
            .timeout(Some(Duration::from_secs(2)))
            .connect_timeout(Duration::from_secs(1))
            .build()
            .unwrap();
        let fake = FakeHipchat::start().await.unwrap();
        let now = Timestamp::from_second(NOW.try_into().unwrap()).unwrap();
        let reporter = HipchatReporter::new(&BackendSettings::new(OPTIONS), http)
            .unwrap()
            .with_clock(Arc::new(ManualClock::new(now)));
        Self {
            users: (0..300).map(|_| fake.user()).collect(),
            fake: Arc::new(fake),
            reporter: Arc::new(reporter),
            next: AtomicUsize::new(0),
        }
    }

    /// A room of its own that answers so first.
    fn room(&self, reply: Option<HipchatReply>, set: &[(&str, &str)]) -> Setup {
        let n = self.next.fetch_add(1, Ordering::SeqCst);
        let room = format!("room {n}");
        let _ = self.fake.room(&room);
        if let Some(reply) = reply {
            self.fake.script(&room, reply);
        }
        let mut s = BackendSettings::new(OPTIONS);
        for (key, value) in [
            ("base_url", self.fake.base_url().as_str()),
            ("token", &self.users[n]),
            ("room", &room),
        ]
        .iter()
        .chain(set)
        {
            s.set(Origin::Flag, key, value).unwrap();
        }
        let (seen, tried) = (Arc::clone(&self.fake), Arc::clone(&self.fake));
        let (seen_room, tried_room) = (room.clone(), room);
        Setup::new(s.instance("default"))
            .with_received(move || {
                let messages = seen.received().into_iter();
                messages
                    .filter(|m| m.room == seen_room)
                    .map(|m| m.payload.to_string())
                    .inspect(|m| assert!(!m.contains("\\u0000")))
                    .collect()
            })
            .with_attempts(move || {
                let path = format!("/v2/room/{}/", tried_room.replace(' ', "%20"));
                let server = tried.server();
                server.count_requests(|r| r.path().starts_with(&path))
            })
    }
}

fn limited(headers: &[(&str, u64)]) -> HipchatReply {
    let mut reply = Reply::new(429);
    for (name, value) in headers {
        reply = reply.header(*name, value.to_string());
    }
    HipchatReply::action(reply)
}

/// HipChat's table of verdicts: each answer there is, and some that proxies have.
fn table() -> Vec<(&'static str, RowVerdict, HipchatReply)> {
    use RowVerdict as V;
    let after = |s| V::Retry {
        after: Some(Duration::from_secs(s)),
    };
    let later = V::Retry { after: None };
    let error = |status| HipchatReply::error(status, "because");
    let body = |status, text: &str| HipchatReply::action(Reply::text(status, text));
    vec![
        ("204", V::Delivered, HipchatReply::ok()),
        (
            "204 with nothing left",
            V::Delivered,
            HipchatReply::last(Duration::from_secs(9)),
        ),
        (
            "200 of a look-alike",
            V::Delivered,
            body(200, r#"{"ok":true}"#).posted(true),
        ),
        ("202", V::Delivered, body(202, "").posted(true)),
        ("200 with an endless answer", V::Delivered, {
            HipchatReply::action(Reply::new(200).body(Body::endless("ok "))).posted(true)
        }),
        (
            "200 with an error",
            V::Dead,
            body(200, r#"{"error":{"code":400}}"#),
        ),
        (
            "200 with a page",
            V::Ambiguous,
            HipchatReply::html(200).posted(true),
        ),
        (
            "429 until the room's reset",
            after(17),
            limited(&[
                ("X-FloodControl-Remaining", 0),
                ("X-FloodControl-Reset", NOW + 17),
                ("X-Ratelimit-Remaining", 400),
                ("X-Ratelimit-Reset", NOW + 250),
            ]),
        ),
        (
            "429 until the token's reset",
            after(250),
            limited(&[
                ("X-FloodControl-Remaining", 3),
                ("X-FloodControl-Reset", NOW + 17),
                ("X-Ratelimit-Remaining", 0),
                ("X-Ratelimit-Reset", NOW + 250),
            ]),
        ),
        (
            "429 until the later of both",
            after(60),
            limited(&[
                ("X-FloodControl-Reset", NOW + 60),
                ("X-Ratelimit-Reset", NOW + 30),
            ]),
        ),
        (
            "429 with a reset in the past",
            later,
            limited(&[("X-FloodControl-Reset", NOW - 60)]),
        ),
        (
            "429 with a reset in a year",
            after(3600),
            limited(&[("X-FloodControl-Reset", NOW + 31_536_000)]),
        ),
        (
            "429 with Retry-After",
            after(5),
            limited(&[("Retry-After", 5)]),
        ),
        ("429 alone", later, error(429)),
        ("500", later, error(500)),
        ("500 with a page", later, HipchatReply::html(500)),
        ("502", later, HipchatReply::html(502)),
        ("503", later, error(503)),
        (
            "503 with Retry-After",
            after(8),
            HipchatReply::action(Reply::html(503).header("Retry-After", "8")),
        ),
        ("504", V::Ambiguous, HipchatReply::html(504).posted(true)),
        ("522", V::Ambiguous, HipchatReply::action(Reply::new(522))),
        ("408", later, error(408)),
        ("400", V::Dead, error(400)),
        ("405", V::Dead, error(405)),
        ("413", V::Dead, HipchatReply::html(413)),
        ("422", V::Dead, error(422)),
        (
            "302",
            V::Dead,
            HipchatReply::action(Reply::redirect(302, "http://127.0.0.1:1/")),
        ),
        ("401", V::DeadDestination, error(401)),
        ("403", V::DeadDestination, error(403)),
        ("404", V::DeadDestination, error(404)),
        (
            "404 with a page",
            V::DeadDestination,
            HipchatReply::html(404),
        ),
        ("410", V::DeadDestination, error(410)),
        (
            "a reset before the body was read",
            V::Ambiguous,
            HipchatReply::reset_before_body(),
        ),
        (
            "a reset after the body",
            V::Ambiguous,
            HipchatReply::reset_after_body(),
        ),
        (
            "an end without an answer",
            V::Ambiguous,
            HipchatReply::action(Action::CloseAfterBody).posted(true),
        ),
        (
            "an answer that is none",
            V::Ambiguous,
            HipchatReply::action(Action::Raw(b"SSH-2.0-x\r\n".to_vec())).posted(true),
        ),
        (
            "an answer that breaks off",
            V::Ambiguous,
            HipchatReply::action(
                Reply::json(200, &serde_json::json!({"a": "b"}))
                    .delivery(Delivery::new().cut(3, End::Reset)),
            )
            .posted(true),
        ),
        ("no answer in time", V::Ambiguous, {
            HipchatReply::hang().posted(true)
        }),
        ("400 to a card", V::Shrink, error(400)),
        ("413 to a card", V::Shrink, HipchatReply::html(413)),
    ]
}

/// Behind the table: what no server answers.
const REFUSED: &str = "no connection";

#[async_trait]
impl Harness for Hipchat {
    fn reporter(&self) -> Arc<dyn Reporter> {
        Arc::<HipchatReporter>::clone(&self.reporter)
    }

    async fn prepare(&self, scenario: Scenario) -> Option<Setup> {
        let reply = match scenario {
            Scenario::Deliver => None,
            Scenario::RateLimited { after: None } => {
                Some(HipchatReply::error(429, "Rate limit exceeded"))
            }
            Scenario::RateLimited { after: Some(d) } => {
                Some(limited(&[("X-FloodControl-Reset", NOW + d.as_secs())]))
            }
            Scenario::Unavailable => Some(HipchatReply::error(503, "Later")),
            Scenario::Refuse => Some(HipchatReply::error(400, "No")),
            Scenario::RefuseDestination => Some(HipchatReply::error(401, "Who are you")),
            Scenario::Hang => Some(HipchatReply::hang().posted(true)),
            Scenario::CutAfterBody => Some(HipchatReply::reset_after_body()),
            Scenario::Row(n) => match table().into_iter().nth(n) {
                Some((answer, _, reply)) if answer.ends_with("to a card") => {
                    let card = r#"{"style":"application","title":{{ toJson .failure.Name }}}"#;
                    return Some(self.room(Some(reply), &[("card", card)]));
                }
                Some((_, _, reply)) => Some(reply),
                // A port that nobody listens at; there are no attempts to be counted.
                None => {
                    let setup = self.room(None, &[("base_url", "http://127.0.0.1:1/")]);
                    return Some(Setup::new(setup.settings));
                }
            },
            _ => return None,
        };
        Some(self.room(reply, &[]))
    }

    fn rows(&self) -> Vec<Row> {
        let refused = Row::new(REFUSED, RowVerdict::Retry { after: None });
        table()
            .into_iter()
            .map(|(answer, verdict, _)| Row::new(answer, verdict))
            .chain([refused])
            .collect()
    }

    fn secrets(&self) -> Vec<String> {
        self.users.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hipchat_conforms() {
    suite(&Hipchat::new().await).await.assert_complete();
}

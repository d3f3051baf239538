//! The suite of `notifier-testkit`, against its fake Jira, both as Cloud and as Data Center.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use notifier_core::{BackendSettings, ManualClock, Origin, Reporter, jiff::Timestamp};
use notifier_http::HttpClient;
use notifier_jira::{JiraReporter, OPTIONS};
use notifier_testkit::{
    conformance::{Harness, Row, RowVerdict, Scenario, Setup, suite},
    http::{Action, Delivery, End, Reply},
    jira::{Endpoint, FakeJira, JiraField, JiraProject, JiraType},
};
use serde_json::json;

const SECRET: &str = "s3cr3t-api-token";
const FIELDS: &str = "Project:OPS;Issue Type:Bug;Summary:{{ .failure.ID }} died: {{ .failure.State }};Description:[stdout|{{ .stdoutURL }}], [stderr|{{ .stderrURL }}], ID={{ .failure.ID }}";

/// One row: the answer, what it means, how the fake is made to give it, where attempts
/// are counted, and settings.
struct Case {
    answer: &'static str,
    verdict: RowVerdict,
    prepare: fn(&FakeJira),
    counted: Option<Endpoint>,
    settings: &'static [(&'static str, &'static str)],
}

const fn case(answer: &'static str, verdict: RowVerdict, prepare: fn(&FakeJira)) -> Case {
    Case {
        answer,
        verdict,
        prepare,
        counted: Some(Endpoint::Create),
        settings: &[],
    }
}

impl Case {
    const fn at(mut self, endpoint: Endpoint) -> Self {
        self.counted = Some(endpoint);
        self
    }

    const fn uncounted(mut self) -> Self {
        self.counted = None;
        self
    }

    const fn with(mut self, settings: &'static [(&'static str, &'static str)]) -> Self {
        self.settings = settings;
        self
    }
}

fn errors(field: &str, why: &str) -> Reply {
    Reply::json(
        400,
        &json!({ "errorMessages": [], "errors": { field: why } }),
    )
}

fn said(status: u16, why: &str) -> Reply {
    Reply::json(status, &json!({ "errorMessages": [why], "errors": {} }))
}

/// An issue like the one that is reported, closed.
fn closed(jira: &FakeJira) {
    let key = jira.add_issue("OPS", "Task web died");
    jira.set_status(&key, "Closed");
}

const REOPEN: &[(&str, &str)] = &[
    ("on_repeat", "reopen"),
    (
        "fields",
        "Project:OPS;Issue Type:Bug;Summary:Task {{ .failure.Name }} died",
    ),
];
const CREATE: Endpoint = Endpoint::Create;

#[expect(clippy::too_many_lines, reason = "it is a table")]
fn cases() -> Vec<Case> {
    use RowVerdict::{Ambiguous, Dead, DeadDestination, Delivered, Shrink};
    let retry = |seconds: Option<u64>| RowVerdict::Retry {
        after: seconds.map(Duration::from_secs),
    };
    vec![
        case("201 with a key", Delivered, |_| {}),
        case("200 with a key", Delivered, |j| {
            j.after(
                CREATE,
                Reply::json(200, &json!({ "id": "1", "key": "OPS-1" })),
            );
        }),
        case("204 for a transition", Delivered, closed)
            .at(Endpoint::Transition)
            .with(REOPEN),
        case("201 without a key", Ambiguous, |j| {
            j.after(CREATE, Reply::json(201, &json!({})))
        }),
        case("201 with a page", Ambiguous, |j| {
            j.after(CREATE, Reply::html(201))
        }),
        case("429 with Retry-After", retry(Some(7)), |j| {
            j.next(CREATE, said(429, "slow down").header("Retry-After", "7"));
        }),
        case(
            "429 with Retry-After 0, as Data Center says to go on",
            retry(Some(0)),
            |j| {
                j.next(CREATE, Reply::new(429).header("Retry-After", "0"));
            },
        ),
        case("429 with X-RateLimit-Reset", retry(Some(30)), |j| {
            let at = "2023-11-14T22:13:50Z";
            j.next(CREATE, Reply::new(429).header("X-RateLimit-Reset", at));
        }),
        case(
            "429 with X-RateLimit-Interval-Seconds",
            retry(Some(5)),
            |j| {
                j.next(
                    CREATE,
                    Reply::new(429).header("X-RateLimit-Interval-Seconds", "5"),
                );
            },
        ),
        case("429 without a time", retry(None), |j| {
            j.next(CREATE, Reply::new(429))
        }),
        case("429 to the search", retry(Some(9)), |j| {
            j.next(Endpoint::Search, Reply::new(429).header("Retry-After", "9"));
        })
        .at(Endpoint::Search),
        case("503", retry(None), |j| j.next(CREATE, Reply::html(503))),
        case("503 with Retry-After", retry(Some(60)), |j| {
            j.next(CREATE, Reply::html(503).header("Retry-After", "60"));
        }),
        case("408", retry(None), |j| j.next(CREATE, Reply::new(408))),
        case("500 to the search", retry(None), |j| {
            j.next(Endpoint::Search, Reply::new(500))
        })
        .at(Endpoint::Search),
        case("502 before the issue is sent", retry(None), |j| {
            j.next(Endpoint::ServerInfo, Reply::html(502));
        })
        .at(Endpoint::ServerInfo),
        case("503 before the issue is sent", retry(None), |j| {
            j.next(Endpoint::Meta, Reply::html(503));
        })
        .at(Endpoint::Meta),
        case("504 before the issue is sent", retry(None), |j| {
            j.next(Endpoint::Search, Reply::html(504));
        })
        .at(Endpoint::Search),
        case("404 before the issue is sent", DeadDestination, |j| {
            j.next(Endpoint::ServerInfo, Reply::html(404));
        })
        .at(Endpoint::ServerInfo),
        case("404 to all questions for projects", DeadDestination, |j| {
            j.next_n(Endpoint::Meta, 9, Reply::html(404));
        })
        .uncounted(),
        case("404 to the search", DeadDestination, |j| {
            j.next(Endpoint::Search, Reply::html(404));
        })
        .at(Endpoint::Search),
        case("403 to what is noted of late", Delivered, |j| {
            j.next(Endpoint::UserProperty, said(403, "not you"));
        }),
        case("403 for a transition", Delivered, |j| {
            closed(j);
            j.next(Endpoint::Transition, said(403, "not you"));
        })
        .with(REOPEN),
        case("no answer in time to the search", retry(None), |j| {
            j.next(Endpoint::Search, Action::Hang);
        })
        .at(Endpoint::Search),
        case("the connection breaks at the search", retry(None), |j| {
            j.next(Endpoint::Search, Action::ResetAfterBody);
        })
        .at(Endpoint::Search),
        case("a login page in place of JSON", retry(None), |j| {
            j.next(Endpoint::ServerInfo, Reply::html(200));
        })
        .at(Endpoint::ServerInfo),
        case("409 for a transition", retry(None), |j| {
            closed(j);
            j.next(Endpoint::Transition, Reply::new(409));
        })
        .at(Endpoint::Transition)
        .with(REOPEN),
        case("500 for the issue", Ambiguous, |j| {
            j.after(CREATE, Reply::new(500))
        }),
        case("500 for the issue, not made", Ambiguous, |j| {
            j.next(CREATE, Reply::new(500))
        }),
        case("502 for the issue", Ambiguous, |j| {
            j.after(CREATE, Reply::html(502))
        }),
        case("504 for the issue", Ambiguous, |j| {
            j.after(CREATE, Reply::html(504))
        }),
        case("reset after the issue", Ambiguous, |j| {
            j.after(CREATE, Action::ResetAfterBody)
        }),
        case("reset within the issue", Ambiguous, |j| {
            j.next(CREATE, Action::ResetBeforeBody)
        }),
        case("half of an answer", Ambiguous, |j| {
            let half = Reply::json(201, &json!({ "id": "1", "key": "OPS-1" }))
                .delivery(Delivery::new().cut(5, End::Reset));
            j.after(CREATE, half);
        }),
        case("no answer in time for the issue", Ambiguous, |j| {
            j.after(CREATE, Action::Hang)
        }),
        case("401", DeadDestination, |j| {
            j.next(CREATE, said(401, "who are you"))
        }),
        case("401 to the first question", DeadDestination, |j| {
            j.set_token("another-one")
        })
        .at(Endpoint::ServerInfo),
        case("401 with a CAPTCHA", DeadDestination, |j| {
            let reply = Reply::html(401)
                .header("X-Seraph-LoginReason", "AUTHENTICATION_DENIED")
                .header(
                    "X-Authentication-Denied-Reason",
                    "CAPTCHA_CHALLENGE; login-url=http://x",
                );
            j.next(CREATE, reply);
        }),
        case("403 with a CAPTCHA", DeadDestination, |j| {
            let reply =
                Reply::html(403).header("X-Authentication-Denied-Reason", "CAPTCHA_CHALLENGE");
            j.next(Endpoint::ServerInfo, reply);
        })
        .at(Endpoint::ServerInfo),
        case("403", DeadDestination, |j| {
            j.next(CREATE, said(403, "not you"))
        }),
        case("404 for the issue", DeadDestination, |j| {
            j.next(CREATE, said(404, "no"))
        }),
        case("404 for the project", DeadDestination, |j| {
            j.delete_project("OPS")
        })
        .uncounted(),
        case("a type that there is not", DeadDestination, |_| {})
            .uncounted()
            .with(&[(
                "fields",
                "Project:OPS;Issue Type:Nope;Summary:{{ .failure.ID }}",
            )]),
        case("a field that there is not", DeadDestination, |_| {})
            .uncounted()
            .with(&[(
                "fields",
                "Project:OPS;Issue Type:Bug;Summary:{{ .failure.ID }};Nope:x",
            )]),
        case("400 for the summary", Dead, |j| {
            j.next(CREATE, errors("summary", "too long"))
        }),
        case(
            "400 for a field that is required and not set",
            DeadDestination,
            |j| {
                let field = JiraField::new("customfield_1", "Team", json!({ "type": "string" }));
                let types = [JiraType::new("1", "Bug").with_field(field.required())];
                j.project(JiraProject::new("OPS").types(types));
            },
        ),
        case("400 for the whole", Dead, |j| {
            j.next(CREATE, said(400, "no"))
        }),
        case("400 for an optional field", Shrink, |j| {
            j.next(CREATE, errors("labels", "Field 'labels' cannot be set."));
        }),
        case("400 for the description", Shrink, |j| {
            j.next(
                CREATE,
                errors("description", "The entered text is too long."),
            );
        }),
        case("413", Shrink, |j| j.next(CREATE, Reply::html(413))),
        case("410", DeadDestination, |j| {
            j.next(CREATE, said(410, "gone"))
        }),
        case("410 to the search", DeadDestination, |j| {
            j.next(Endpoint::Search, said(410, "removed"));
        })
        .at(Endpoint::Search),
        case("301", DeadDestination, |j| {
            j.next(
                CREATE,
                Reply::redirect(301, "https://elsewhere.example/login"),
            );
        }),
        case("405", Dead, |j| j.next(CREATE, Reply::new(405))),
        case("415", Dead, |j| j.next(CREATE, Reply::new(415))),
        case("422", Dead, |j| j.next(CREATE, said(422, "no"))),
        case(
            "400 to the search for a status that there is not",
            Delivered,
            |_| {},
        )
        .with(&[("issue_closed_status", "Shut")]),
    ]
}

fn http() -> HttpClient {
    HttpClient::builder()
        .timeout(Some(Duration::from_secs(2)))
        .connect_timeout(Duration::from_secs(1))
        .build()
        .unwrap()
}

/// Settings that lead to a fake.
fn settings(jira: &FakeJira, others: &[(&str, &str)]) -> BackendSettings {
    let mut s = BackendSettings::new(OPTIONS);
    for (k, v) in [
        ("url", jira.url().as_str()),
        ("username", &jira.user()),
        ("password", &jira.token()),
        ("fields", FIELDS),
    ] {
        s.set(Origin::Flag, k, v).unwrap();
    }
    for (k, v) in others {
        s.set(Origin::Flag, k, v).unwrap();
    }
    s
}

struct Jira {
    is_cloud: bool,
    reporter: Arc<JiraReporter>,
    /// Kept so that servers live as long as the suite.
    servers: Mutex<Vec<Arc<FakeJira>>>,
}

impl Jira {
    fn new(is_cloud: bool) -> Self {
        let clock = ManualClock::new(Timestamp::from_second(1_700_000_000).unwrap());
        let settings = BackendSettings::new(OPTIONS);
        Self {
            is_cloud,
            reporter: Arc::new(JiraReporter::new(&settings, http(), Arc::new(clock)).unwrap()),
            servers: Mutex::default(),
        }
    }
}

/// What a reader of Jira got: issues that were reported, and comments.
fn messages(jira: &FakeJira) -> Vec<String> {
    let mut out = Vec::new();
    for issue in jira.issues() {
        if !issue.labels.is_empty() || issue.fields.get("project").is_some() {
            out.push(issue.fields.to_string());
        }
        out.extend(issue.comments.iter().map(|c| c.body.to_string()));
    }
    for text in &out {
        assert!(!text.contains("\\u0000"), "{text}");
    }
    out
}

#[async_trait]
impl Harness for Jira {
    fn reporter(&self) -> Arc<dyn Reporter> {
        Arc::<JiraReporter>::clone(&self.reporter)
    }

    async fn prepare(&self, scenario: Scenario) -> Option<Setup> {
        let jira = if self.is_cloud {
            FakeJira::cloud().await.unwrap()
        } else {
            FakeJira::data_center().await.unwrap()
        };
        jira.set_token(SECRET);
        let mut counted = Some(CREATE);
        let mut base = settings(&jira, &[]);
        match scenario {
            // What a recovery is told in.
            Scenario::Deliver => {
                let notice = "Messages to slack:#ops:0123456789ab do not arrive";
                jira.add_issue("OPS", notice);
            }
            Scenario::RateLimited { after: None } => jira.next(CREATE, Reply::new(429)),
            Scenario::RateLimited { after: Some(d) } => {
                let seconds = d.as_secs().to_string();
                jira.next(CREATE, Reply::new(429).header("Retry-After", seconds));
            }
            Scenario::Unavailable => jira.next(CREATE, Reply::html(503)),
            Scenario::Refuse => jira.next(CREATE, errors("summary", "no")),
            Scenario::RefuseDestination => jira.next(CREATE, said(403, "no")),
            Scenario::CutAfterBody => jira.after(CREATE, Action::CloseAfterBody),
            Scenario::Hang => jira.after(CREATE, Action::Hang),
            Scenario::Row(n) => {
                let case = cases().into_iter().nth(n)?;
                counted = case.counted;
                // Read before the fake is made to know another token.
                base = settings(&jira, case.settings);
                (case.prepare)(&jira);
            }
            _ => return None,
        }
        let jira = Arc::new(jira);
        self.servers.lock().unwrap().push(Arc::clone(&jira));
        let seen = Arc::clone(&jira);
        let mut setup = Setup::new(base.instance("default")).with_received(move || messages(&seen));
        if let Some(endpoint) = counted {
            // A notice and its end are comments here.
            let is_comment = matches!(scenario, Scenario::Deliver);
            setup = setup.with_attempts(move || {
                let comments = jira.count(Endpoint::Comment);
                jira.count(endpoint) + if is_comment { comments } else { 0 }
            });
        }
        Some(setup)
    }

    fn rows(&self) -> Vec<Row> {
        cases()
            .into_iter()
            .map(|c| Row::new(c.answer, c.verdict))
            .collect()
    }

    fn secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned()]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cloud_conforms() {
    suite(&Jira::new(true)).await.assert_complete();
}

#[tokio::test(flavor = "multi_thread")]
async fn data_center_conforms() {
    suite(&Jira::new(false)).await.assert_complete();
}

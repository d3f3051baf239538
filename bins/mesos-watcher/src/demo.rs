//! `mesos-watcher -demo`: the whole way of a failure, on a bundled cluster and a
//! bundled Slack, both real HTTP servers on loopback.

use std::{
    collections::BTreeSet,
    io::{IsTerminal, Write},
    path::PathBuf,
    time::{Duration, Instant},
};

use notifier_testkit::{
    mesos::{Death, ExecutorKind, FakeCluster, Stream, TaskHandle, TaskSpec},
    slack::{FakeSlack, SlackMessage, SlackReply},
};
use notifiers::http::{Answer, HttpClient};

/// The template that the demo's messages are written with.
pub(crate) const FORMAT: &str = "*{{ .failure.Name }}* died ({{ .failure.State }}) on {{ .failure.Slave }} after {{ .failure.Finished.Sub .failure.Started }}: <{{ .stderrURL }}|stderr>{{ with config \"mentions\" }} {{ . }}{{ end }}";

/// The cluster, the Slack and the file that the demo's watcher is pointed at.
pub(crate) struct Stage {
    cluster: FakeCluster,
    slack: FakeSlack,
    http: HttpClient,
    folder: PathBuf,
    file: PathBuf,
    started: Instant,
    colour: bool,
}

impl Stage {
    /// Sets the stage.
    pub(crate) async fn new() -> std::io::Result<Self> {
        let http = HttpClient::new().map_err(std::io::Error::other)?;
        let folder =
            std::env::temp_dir().join(format!("mesos-watcher-demo-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let file = folder.join("failures.log");
        std::fs::write(&file, "")?;
        Ok(Self {
            cluster: FakeCluster::builder()
                .name("demo")
                .work_dir("/mesos")
                .masters(2)
                .agents(3)
                .start()
                .await?,
            slack: FakeSlack::start().await?,
            http,
            folder,
            file,
            started: Instant::now(),
            colour: std::io::stdout().is_terminal() && !no_colour(),
        })
    }

    /// The command line of the demo's watcher: what a person would type for a real cluster.
    pub(crate) fn command_line(&self) -> Vec<String> {
        vec![
            format!("-masters={}", self.cluster.masters_flag()),
            "-uploader=noop".into(),
            "-reporters=slack,file".into(),
            format!("-slack.hook_url={}", self.slack.hook_url("demo")),
            "-slack.channel=#ops".into(),
            format!("-slack.format={FORMAT}"),
            format!("-file.name={}", self.file.display()),
            "-mesos.interval=500ms".into(),
            "-log.level=error".into(),
        ]
    }

    /// Says what is going to happen.
    pub(crate) fn open(&self) {
        self.say("");
        self.say(&self.bold("A Mesos cluster of 2 masters and 3 agents is up, with a Slack beside it: both bundled, both on loopback."));
        self.say("The watcher runs as it would on yours:");
        self.say("");
        for (i, arg) in self.command_line().iter().enumerate() {
            let lead = if i == 0 {
                "mesos-watcher "
            } else {
                "              "
            };
            let arg = match arg.split_once('=') {
                Some((flag, _)) if flag == "-slack.hook_url" => {
                    format!("{flag}=https://hooks.slack.com/services/…")
                }
                Some((flag, value)) if value.contains([' ', '#']) => format!("{flag}='{value}'"),
                _ => arg.clone(),
            };
            self.say(&self.dim(&format!("  {lead}{arg}")));
        }
        self.say("");
        self.say("Now tasks die, for half a minute (ctrl-c ends it):");
    }

    /// Kills tasks in several ways and shows who hears about it.
    pub(crate) async fn play(&self) -> Tally {
        // The first look at a cluster is the baseline: what died before is not news.
        self.cluster
            .wait_for_streams(1, Duration::from_secs(10))
            .await;
        let mut seen = Seen::default();

        let web = self.task("web.front.1", |t| t.image("shop/web:4.2"));
        self.scene(
            &mut seen,
            "web.front exits with status 3. It has no labels, so the defaults hold.",
            || {
                self.die(
                    &web,
                    Death::failed().exit(3),
                    "thread 'main' panicked: no more disk",
                );
            },
            1,
            1,
        )
        .await;

        let pay = self.task("payments.api.1", |t| {
            t.label("complainer_slack_instances", "default,team")
                .label("complainer_slack_mentions", "@oncall")
                .label("complainer_slack_instance_team_channel", "#payments")
                .label("complainer_slack_instance_team_mentions", "@payments-devs")
        });
        self.scene(&mut seen, "payments.api dies. Its labels say: tell #ops and its own team, each with its own mention.", || {
            self.die(&pay, Death::failed().signal("SIGSEGV"), "segmentation fault in libledger.so");
        }, 2, 1)
        .await;

        let pod = self.task("nightly.report.1", |t| {
            t.executor(ExecutorKind::Pod)
                .label("complainer_slack_channel", "#data")
        });
        self.scene(&mut seen, "A task of a pod dies. Its executor is not named like the task; the logs are found all the same.", || {
            self.die(&pod, Death::out_of_memory(), "java.lang.OutOfMemoryError: Java heap space");
        }, 1, 1)
        .await;

        let quiet = self.task("experiment.1", |t| {
            t.label("complainer_slack_instances", "")
        });
        self.scene(
            &mut seen,
            "experiment dies. Its labels ask for no Slack message: only the file hears of it.",
            || {
                self.die(&quiet, Death::failed().exit(1), "assertion failed");
            },
            0,
            1,
        )
        .await;

        let evil = self.task("evil.1", |t| {
            t.name("<!channel> & <https://evil.example|click>")
        });
        self.scene(
            &mut seen,
            "A task with a hostile name dies. Slack shows its name as plain text and alerts nobody: see the JSON.",
            || {
                self.die(&evil, Death::failed().exit(66), "…");
            },
            1,
            1,
        )
        .await;

        let busy = self.task("cache.1", |t| t);
        self.scene(&mut seen, "Slack is overloaded: it answers 429 with Retry-After: 3. The message waits and arrives.", || {
            self.slack.script("demo", SlackReply::rate_limited(Duration::from_secs(3)));
            self.die(&busy, Death::failed().exit(137), "killed");
        }, 1, 1)
        .await;

        let over = self.task("search.1", |t| t);
        self.scene(
            &mut seen,
            "The leading master dies, another takes over, and a task fails meanwhile.",
            || {
                self.die(&over, Death::failed().exit(2), "index corrupted");
                self.cluster.failover();
            },
            1,
            1,
        )
        .await;
        self.cluster.settle();

        let batch = self.task("etl.1", |t| t.framework("spark"));
        self.scene(&mut seen, "A batch framework ends at once with its failed task: it is read from the completed ones.", || {
            self.die(&batch, Death::error(), "no such column: price");
            self.cluster.framework("spark").tear_down();
        }, 1, 1)
        .await;

        let lost = self.task("queue.1", |t| t.agent(2));
        self.scene(&mut seen, "An agent vanishes with its task. There are no logs to link to; the message goes out and says so.", || {
            let _ = lost.id();
            self.cluster.agent(2).refuse();
            self.cluster.agent(2).lose();
        }, 1, 1)
        .await;

        seen.tally()
    }

    /// Says what it came to, and what to do next.
    pub(crate) fn close(&self, tally: &Tally) {
        let _ = std::fs::remove_dir_all(&self.folder);
        self.say("");
        self.say(&self.bold(&format!(
            "{} tasks died: {} Slack messages, {} records in the file, {} missing, {} twice.",
            tally.deaths, tally.slack, tally.file, tally.missing, tally.twice
        )));
        self.say("");
        self.say("Point it at your own cluster:");
        self.say(
            &self.dim("  mesos-watcher -masters=http://MASTER:5050 -uploader=noop -reporters=file"),
        );
        self.say("Preview a template:");
        self.say(
            &self.dim(
                "  notifierctl render --failure FILE.json --template '{{ .failure.Name }} died'",
            ),
        );
        self.say("Every flag, variable and label:");
        self.say(&self.dim("  mesos-watcher -help"));
    }

    fn task(&self, id: &str, more: impl FnOnce(TaskSpec) -> TaskSpec) -> TaskHandle {
        let name = id.rsplit_once('.').map_or(id, |(name, _)| name);
        let started = now() - 3725.0;
        self.cluster.launch(more(
            TaskSpec::new(id)
                .name(name)
                .image("demo/app:1")
                .started_at(started),
        ))
    }

    fn die(&self, task: &TaskHandle, death: Death, last_words: &str) {
        self.cluster
            .set_log(task, Stream::Stderr, format!("{last_words}\n").into_bytes());
        self.cluster
            .set_log(task, Stream::Stdout, b"started\n".to_vec());
        self.cluster.fail(task, death);
    }

    /// Plays one scene, and waits until everybody who should has heard of it.
    async fn scene(
        &self,
        seen: &mut Seen,
        title: &str,
        act: impl FnOnce(),
        slack: usize,
        file: usize,
    ) {
        tokio::time::sleep(Duration::from_millis(2500)).await;
        self.say("");
        let at = self.started.elapsed().as_secs();
        self.say(&format!(
            "{} {}",
            self.dim(&format!("{at:>3}s")),
            self.paint("1;31", title)
        ));
        act();
        seen.expect(slack, file);
        let until = Instant::now() + Duration::from_secs(15);
        while Instant::now() < until {
            self.show(seen).await;
            if seen.is_complete() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if slack + file > 0 && !seen.is_complete() {
            self.say("     (not all of it has arrived yet)");
        }
    }

    /// Shows what has arrived since the last look.
    async fn show(&self, seen: &mut Seen) {
        for m in self
            .slack
            .received()
            .iter()
            .filter(|m| m.posted)
            .skip(seen.slack)
        {
            self.show_slack(m).await;
            seen.message(m);
        }
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        for line in text[seen.file_bytes.min(text.len())..].lines() {
            // The addresses below it are those that were shown already.
            if line.starts_with("Task ") {
                seen.file += 1;
                self.say(&format!(
                    "     {} {}",
                    self.paint("33", "file "),
                    visible(line)
                ));
            }
        }
        seen.file_bytes = text.len();
    }

    async fn show_slack(&self, m: &SlackMessage) {
        let channel = m.channel.as_deref().unwrap_or("?");
        let (words, links) = read_markup(&m.text);
        self.say(&format!(
            "     {} {} {}",
            self.paint("36", "slack"),
            self.paint("1;36", channel),
            self.bold(&visible(&words))
        ));
        for (url, label) in links {
            self.say(&format!(
                "           {label} {}",
                self.paint("4;34", &visible(&url))
            ));
            // What a reader would see behind the link.
            let log = match self.http.get(&url).send().await.and_then(Answer::success) {
                Ok(answer) => answer.text().lines().last().unwrap_or_default().to_owned(),
                Err(e) => e.to_string(),
            };
            self.say(&format!(
                "           {} {}",
                " ".repeat(label.len()),
                self.paint("32", &visible(&log))
            ));
        }
        self.say(&self.dim(&format!("           {}", visible(&m.payload.to_string()))));
    }

    fn say(&self, line: &str) {
        // A reader that went away ends nothing here: the demo ends by itself.
        let _ = writeln!(std::io::stdout(), "{line}");
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }
}

/// What has been shown, and what is still to come.
#[derive(Default)]
struct Seen {
    deaths: usize,
    slack: usize,
    slack_expected: usize,
    file: usize,
    file_expected: usize,
    file_bytes: usize,
    texts: BTreeSet<(String, String)>,
    twice: usize,
}

impl Seen {
    fn expect(&mut self, slack: usize, file: usize) {
        self.deaths += 1;
        self.slack_expected += slack;
        self.file_expected += file;
    }

    fn message(&mut self, m: &SlackMessage) {
        self.slack += 1;
        let what = (m.channel.clone().unwrap_or_default(), m.text.clone());
        if !self.texts.insert(what) {
            self.twice += 1;
        }
    }

    fn is_complete(&self) -> bool {
        self.slack >= self.slack_expected && self.file >= self.file_expected
    }

    fn tally(&self) -> Tally {
        Tally {
            deaths: self.deaths,
            slack: self.slack,
            file: self.file,
            missing: self.slack_expected.saturating_sub(self.slack)
                + self.file_expected.saturating_sub(self.file),
            twice: self.twice,
        }
    }
}

/// What the demo came to.
pub(crate) struct Tally {
    deaths: usize,
    slack: usize,
    file: usize,
    /// Messages that did not arrive.
    pub(crate) missing: usize,
    /// Messages that arrived again.
    pub(crate) twice: usize,
}

/// Slack's markup for a terminal: the words, and the links with their labels.
fn read_markup(text: &str) -> (String, Vec<(String, String)>) {
    let mut words = String::new();
    let mut links = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        words.push_str(&rest[..start]);
        rest = &rest[start + 1..];
        let Some(end) = rest.find('>') else { break };
        let (url, label) = rest[..end]
            .split_once('|')
            .unwrap_or((&rest[..end], "link"));
        words.push_str(label);
        links.push((unescape(url), label.to_owned()));
        rest = &rest[end + 1..];
    }
    words.push_str(rest);
    (unescape(&words).replace('*', ""), links)
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

/// A text without control characters.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the terminal's own wish, and no setting of ours"
)]
fn no_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the fake cluster's tasks need a time to start at"
)]
fn now() -> f64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0.0, |d| d.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_read_for_a_terminal() {
        let (words, links) = read_markup("*a &lt;b&gt;* died: <http://h/x?a=1&amp;b=2|stderr> @x");
        assert_eq!(words, "a <b> died: stderr @x");
        assert_eq!(
            links,
            [("http://h/x?a=1&b=2".to_owned(), "stderr".to_owned())]
        );
    }
}

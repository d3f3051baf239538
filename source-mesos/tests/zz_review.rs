mod common;
use std::time::{Duration, Instant};
use common::{Watch, builder};
use notifier_testkit::http::{Reply, ScriptedServer, Delivery};
use notifier_testkit::http::*;
use source_mesos::Backlog;
use serde_json::json;

fn state(tasks: serde_json::Value) -> serde_json::Value {
    json!({"version":"1.9.0","pid":"m@1:1","leader":"m@1:1","slaves":[{"id":"S","hostname":"h","pid":"slave(1)@1.1.1.1:5051"}],
      "frameworks":[{"id":"F","name":"fw","completed_tasks":tasks}]})
}

#[tokio::test]
async fn first_start_during_failover() {
    let s = ScriptedServer::start().await.unwrap();
    let old = json!([{"id":"old","state":"TASK_FAILED","slave_id":"S","statuses":[{"state":"TASK_FAILED","timestamp":1466138479.5}]}]);
    s.next(Action::from(Reply::json(200, &json!({"version":"1.9.0","pid":"m@1:1","leader":"m@1:1","recovered_slaves":[],"frameworks":[]}))));
    s.always(Action::from(Reply::json(200, &state(old))));
    let mut w = Watch::new(builder(&s.url("")).backlog(Backlog::Skip), None);
    assert!(w.next().await.is_empty());
    let f = w.next().await;
    assert!(f.is_empty(), "old failure from 2016 reported: {:?}", f[0].id);
}

#[tokio::test]
async fn dripping_master_holds_the_poll() {
    let s = ScriptedServer::start().await.unwrap();
    let good = ScriptedServer::start().await.unwrap();
    good.always(Action::from(Reply::json(200, &state(json!([])))));
    s.always(Action::from(Reply::json(200, &state(json!([]))).delivery(Delivery::new().drip(1, Duration::from_millis(500)))));
    let mut w = Watch::new(builder(&format!("{},{}", s.url(""), good.url(""))), None);
    w.item().await.unwrap();
}

#[tokio::test]
async fn nan_blinds() {
    let s = ScriptedServer::start().await.unwrap();
    let t = json!([{"id":"a","state":"TASK_FAILED","statuses":[{"state":"TASK_FAILED","timestamp":"NNN"}]},{"id":"good","state":"TASK_FAILED"}]);
    s.always(Action::from(Reply::text(200, state(t).to_string().replace("\"NNN\"", "nan"))));
    let mut w = Watch::new(builder(&s.url("")), None);
    let r = w.item().await;
    assert!(r.is_ok(), "{:?}", r.err());
}

async fn perf(n: usize, with_status: bool) {
    let s = ScriptedServer::start().await.unwrap();
    let tasks: Vec<_> = (0..n).map(|i| json!({"id":format!("task-with-some-long-name.{i}-aaaa-bbbb-cccc"),"name":"task-with-some-long-name","framework_id":"F","slave_id":"S","executor_id":"","state":"TASK_FAILED",
        "labels":[{"key":"team","value":"a"},{"key":"other","value":"x".repeat(100)}],
        "resources":{"cpus":0.1,"mem":10.0,"disk":0.0},
        "statuses": if with_status { json!([{"state":"TASK_RUNNING","timestamp":1466138470.1},{"state":"TASK_FAILED","timestamp":1466138479.5}]) } else { json!([]) }})).collect();
    let body = state(json!(tasks)).to_string();
    eprintln!("{n} body {} MB", body.len() / 1_000_000);
    s.always(Action::from(Reply::text(200, body)));
    let mut w = Watch::new(builder(&s.url("")).timeout(Duration::from_secs(20)), None);
    let rss = || std::fs::read_to_string("/proc/self/status").unwrap().lines().filter(|l| l.starts_with("VmHWM") || l.starts_with("VmRSS")).collect::<Vec<_>>().join(" ");
    eprintln!("before {}", rss());
    for _ in 0..3 { eprintln!("{}", rss());
        let t = Instant::now();
        let b = w.batch().await;
        let cur = b.cursor.as_ref().map_or(0, |c| c.to_string().len());
        eprintln!("status={with_status} poll {:?} failures {} cursor {} bytes", t.elapsed(), b.failures.len(), cur);
        b.ack.done();
    }
    let rss = std::fs::read_to_string("/proc/self/status").unwrap();
    eprintln!("{}", rss.lines().filter(|l| l.starts_with("VmHWM") || l.starts_with("VmRSS")).collect::<Vec<_>>().join(" "));
}
#[tokio::test] async fn perf_status() { perf(50_000, true).await }
#[tokio::test] async fn perf_nostatus() { perf(50_000, false).await }
// one victim, many times, one of them without a status
#[tokio::test] async fn perf_one_victim() {
    let s = ScriptedServer::start().await.unwrap();
    let tasks: Vec<_> = (0..50_000).map(|i| json!({"id":"same","slave_id":"S","state":"TASK_FAILED","statuses": if i % 2 == 0 { json!([{"state":"TASK_FAILED","timestamp":1466138479.5 + i as f64}]) } else { json!([]) }})).collect();
    s.always(Action::from(Reply::text(200, state(json!(tasks)).to_string())));
    let mut w = Watch::new(builder(&s.url("")).timeout(Duration::from_secs(20)), None);
    for _ in 0..2 { let t = Instant::now(); let b = w.batch().await; eprintln!("one victim {:?} {}", t.elapsed(), b.failures.len()); b.ack.done(); }
}

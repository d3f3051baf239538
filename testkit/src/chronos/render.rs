//! What the API answers.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::model::{Job, Model, Past};
use crate::http::{Reply, Request};

/// What Chronos 3.x answers where it fails itself.
pub(crate) fn trouble(status: u16, message: &str) -> Reply {
    let trace = format!(
        "{message}\n\tat org.apache.mesos.chronos.scheduler.api.JobManagementResource.getJob(JobManagementResource.scala:52)\n\
         \tat sun.reflect.NativeMethodAccessorImpl.invoke0(Native Method)\n\
         \tat java.lang.Thread.run(Thread.java:748)\n"
    );
    Reply::json(
        status,
        &json!({ "status": status.to_string(), "message": trace }),
    )
}

impl Model {
    /// Answers a request within BASE; `path` begins with a slash.
    pub(crate) fn answer(&mut self, path: &str, request: &Request) -> Reply {
        match path {
            "/jobs" => {
                let list = self.list.take().unwrap_or_else(|| self.list());
                let reply = Reply::new(200).header("Content-Type", "application/json");
                reply.body(self.list.insert(list).clone())
            }
            "/jobs/search" => self.search(request),
            "/jobs/summary" if self.is_new_api => {
                let all: Vec<_> = self.jobs.values().map(summary).collect();
                Reply::json(200, &json!({ "jobs": all }))
            }
            "/graph/csv" => Reply::text(200, self.graph()),
            "/leader" => match &self.leader {
                Some(leader) => Reply::json(200, &json!({ "leader": leader })),
                None => Reply::new(404),
            },
            _ => {
                if let Some(name) = path.strip_prefix("/job/stat/") {
                    return match self.jobs.get(&decoded(name)) {
                        Some(job) => Reply::json(200, &stat(job)),
                        None => trouble(
                            400,
                            "java.lang.IllegalArgumentException: requirement failed: Job not found",
                        ),
                    };
                }
                match path.strip_prefix("/job/") {
                    Some(name) if self.is_new_api => match self.jobs.get(&decoded(name)) {
                        Some(job) => Reply::json(200, &self.job(job)),
                        None => trouble(400, "java.util.NoSuchElementException: None.get"),
                    },
                    _ => Reply::new(404),
                }
            }
        }
    }

    fn list(&self) -> String {
        let odd = self.odd.iter().cloned();
        let all = odd.chain(self.jobs.values().map(|job| self.job(job)));
        Value::Array(all.collect()).to_string()
    }

    fn search(&self, request: &Request) -> Reply {
        let asked = |name| request.param(name).unwrap_or_default().to_lowercase();
        let (name, command, any) = (asked("name"), asked("command"), asked("any"));
        let number = |name: &str, default| {
            request
                .param(name)
                .and_then(|n| n.parse().ok())
                .unwrap_or(default)
        };
        let has = |text: &str, part: &str| text.to_lowercase().contains(part);
        let found = self
            .jobs
            .values()
            .filter(|job| has(&job.spec.name, &name) && has(&job.spec.command, &command))
            .filter(|job| has(&job.spec.name, &any) || has(&job.spec.command, &any))
            .skip(number("offset", 0))
            .take(number("limit", 10))
            .map(|job| self.job(job));
        Reply::json(200, &Value::Array(found.collect()))
    }

    /// A job as its serializer writes it (`utils/JobSerializer.scala`).
    fn job(&self, job: &Job) -> Value {
        let (s, c) = (&job.spec, &job.counters);
        let variables: Vec<_> = s
            .environment
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        let mut out = json!({
            "name": s.name, "command": s.command, "shell": true, "executor": "",
            "executorFlags": "", "taskInfoData": "", "retries": s.retries, "owner": s.owner,
            "ownerName": s.owner_name, "description": "", "successCount": c.successes,
            "errorCount": c.errors, "lastSuccess": date(c.last_success),
            "lastError": date(c.last_error), "cpus": 0.1, "disk": 256.0, "mem": 128.0,
            "disabled": c.disabled, "softError": false, "dataProcessingJobType": false,
            "errorsSinceLastSuccess": c.errors_since_success, "uris": [],
            "environmentVariables": variables, "arguments": s.arguments,
            "highPriority": false, "runAsUser": "root", "constraints": [],
        });
        if let Value::Object(fields) = &mut out {
            let mut add = |name: &str, value: Value| fields.insert(name.to_owned(), value);
            if self.is_new_api {
                add("fetch", json!([]));
                add("concurrent", json!(false));
                add("maxCompletionTime", json!(0));
            } else {
                add("epsilon", json!("PT60S"));
                add("async", json!(false));
            }
            if s.parents.is_empty() {
                add("schedule", json!(c.schedule));
                add("scheduleTimeZone", json!("UTC"));
            } else {
                add("parents", json!(s.parents));
            }
            replace(fields, &s.extra);
        }
        out
    }

    fn graph(&self) -> String {
        let mut csv = String::new();
        for job in self.jobs.values() {
            let name = &job.spec.name;
            csv.push_str(&format!("node,{name},{},{}\n", state(job), status(job)));
        }
        for job in self.jobs.values() {
            for parent in &job.spec.parents {
                csv.push_str(&format!("link,{parent},{}\n", job.spec.name));
            }
        }
        csv
    }
}

fn replace(fields: &mut Map<String, Value>, extra: &[(String, Value)]) {
    for (name, value) in extra {
        if value.is_null() {
            fields.remove(name);
        } else {
            fields.insert(name.clone(), value.clone());
        }
    }
}

fn summary(job: &Job) -> Value {
    json!({
        "name": job.spec.name, "status": status(job), "state": state(job),
        "schedule": job.counters.schedule, "parents": job.spec.parents,
        "disabled": job.counters.disabled,
    })
}

fn state(job: &Job) -> &'static str {
    match (job.counters.last_success, job.counters.last_error) {
        (None, None) => "fresh",
        (success, error) if success >= error => "success",
        _ => "failure",
    }
}

fn status(job: &Job) -> String {
    match job.counters.running {
        0 => "idle".to_owned(),
        n => format!("{n} running"),
    }
}

fn stat(job: &Job) -> Value {
    let history: Vec<_> = job.past.iter().rev().map(|p| past(job, p)).collect();
    let ends = |ok: bool| {
        let of = |p: &&Past| (p.state.as_str() == "TASK_FINISHED") == ok;
        job.past.iter().filter(of).count()
    };
    json!({
        "histogram": { "count": job.past.len(), "successes": ends(true), "failures": ends(false) },
        "taskStatHistory": history,
    })
}

fn past(job: &Job, past: &Past) -> Value {
    let time = |at: Timestamp| at.strftime("%m/%d/%y %H:%M:%S").to_string();
    let seconds = past.ended.duration_since(past.begun).as_secs();
    json!({
        "taskId": past.task, "jobName": job.spec.name, "slaveId": "", "startTime": time(past.begun),
        "endTime": time(past.ended), "duration": format!("{seconds} seconds"),
        "status": past.state.as_str().trim_start_matches("TASK_").to_lowercase(),
    })
}

/// A time as Joda writes it: `2016-06-17T04:41:19.171Z`; empty for none.
pub(crate) fn date(at: Option<Timestamp>) -> String {
    at.map_or_else(String::new, |at| {
        at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
    })
}

/// A part of a path without its percent signs.
fn decoded(part: &str) -> String {
    let form = format!("n={}", part.replace('+', "%2B"));
    url::form_urlencoded::parse(form.as_bytes())
        .next()
        .map(|(_, name)| name.into_owned())
        .unwrap_or_default()
}

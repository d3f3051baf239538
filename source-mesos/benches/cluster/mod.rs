//! The state of a large cluster, in both forms a master tells it.

use std::fmt::Write as _;

const FRAMEWORKS: usize = 20;
const AGENTS: usize = 1000;

/// So many tasks that run, and so many that failed.
#[derive(Clone, Copy)]
pub(crate) struct Cluster {
    pub(crate) running: usize,
    pub(crate) failed: usize,
}

impl Cluster {
    /// The answer of `/state`, with the keys in the order in which masters write them.
    pub(crate) fn state(self) -> String {
        let mut out = String::from(
            r#"{"version":"1.9.0","git_sha":"5e79a584e6ec3e9e2f96e8bf418411df9dafac2e","build_date":"2019-08-20 11:14:18","start_time":1566300000.12,"id":"6b3a4a5e-7d3a-4b28-9d0c-95b1e0f0f6f1","pid":"master@10.0.0.1:5050","hostname":"master-1.example.org","activated_slaves":1000.0,"leader":"master@10.0.0.1:5050","leader_info":{"id":"6b3a4a5e-7d3a-4b28-9d0c-95b1e0f0f6f1","pid":"master@10.0.0.1:5050","port":5050,"hostname":"master-1.example.org"},"flags":{"agent_ping_timeout":"15secs","work_dir":"\/var\/lib\/mesos\/master"},"slaves":["#,
        );
        for i in 0..AGENTS {
            comma(&mut out, i);
            write!(out, r#"{{"id":"{}","hostname":"agent-{i}.example.org","port":5051,"attributes":{{"rack":"r{}"}},"pid":"slave(1)@10.0.1.{}:5051","registered_time":1566300010.5,"resources":{{"cpus":64.0,"mem":262144.0,"disk":1048576.0,"gpus":0.0,"ports":"[31000-32000]"}},"used_resources":{{"cpus":32.5,"mem":131072.0,"disk":0.0,"gpus":0.0,"ports":"[31000-31064]"}},"active":true,"version":"1.9.0","capabilities":["MULTI_ROLE","HIERARCHICAL_ROLE","RESERVATION_REFINEMENT"],"reserved_resources":{{}},"used_resources_full":[{{"name":"cpus","type":"SCALAR","scalar":{{"value":32.5}},"role":"*"}},{{"name":"mem","type":"SCALAR","scalar":{{"value":131072.0}},"role":"*"}}]}}"#, agent(i), i % 40, i % 250).unwrap();
        }
        out.push_str(r#"],"recovered_slaves":[],"frameworks":["#);
        for framework in 0..FRAMEWORKS {
            comma(&mut out, framework);
            write!(out, r#"{{"id":"{}","name":"marathon-{framework}","pid":"scheduler-1@10.0.0.9:1234","used_resources":{{"cpus":1200.0,"mem":4096000.0}},"hostname":"scheduler.example.org","webui_url":"http:\/\/scheduler.example.org:8080","active":true,"connected":true,"recovered":false,"user":"root","failover_timeout":604800.0,"checkpoint":true,"registered_time":1566300011.5,"role":"*","tasks":["#, id_of(framework)).unwrap();
            self.tasks(&mut out, framework, self.running, running);
            out.push_str(r#"],"unreachable_tasks":[],"completed_tasks":["#);
            self.tasks(&mut out, framework, self.failed, failed);
            out.push_str(r#"],"offers":[],"executors":[]}"#);
        }
        out.push_str(
            r#"],"completed_frameworks":[],"orphan_tasks":[],"unregistered_frameworks":[]}"#,
        );
        out
    }

    fn tasks(self, out: &mut String, framework: usize, all: usize, task: fn(&mut String, usize)) {
        for (nth, i) in (framework..all).step_by(FRAMEWORKS).enumerate() {
            comma(out, nth);
            task(out, i);
        }
    }

    /// The first record of an event stream.
    pub(crate) fn subscribed(self) -> String {
        let mut out = String::from(
            r#"{"type":"SUBSCRIBED","subscribed":{"get_state":{"get_tasks":{"tasks":["#,
        );
        for i in 0..self.running {
            comma(&mut out, i);
            running_v1(&mut out, i);
        }
        out.push_str(r#"],"completed_tasks":["#);
        for i in 0..self.failed {
            comma(&mut out, i);
            failed_v1(&mut out, i);
        }
        out.push_str(r#"]},"get_executors":{},"get_frameworks":{"frameworks":["#);
        for framework in 0..FRAMEWORKS {
            comma(&mut out, framework);
            write!(out, r#"{{"framework_info":{{"user":"root","name":"marathon-{framework}","id":{{"value":"{}"}},"failover_timeout":604800.0,"checkpoint":true,"role":"*"}},"active":true,"connected":true,"registered_time":{{"nanoseconds":1500993262264135000}},"recovered":false}}"#, id_of(framework)).unwrap();
        }
        out.push_str(r#"]},"get_agents":{"agents":["#);
        for i in 0..AGENTS {
            comma(&mut out, i);
            write!(out, r#"{{"agent_info":{{"hostname":"agent-{i}.example.org","port":5051,"resources":[{{"name":"cpus","type":"SCALAR","scalar":{{"value":64.0}}}},{{"name":"mem","type":"SCALAR","scalar":{{"value":262144.0}}}}],"attributes":[{{"name":"rack","type":"TEXT","text":{{"value":"r{}"}}}}],"id":{{"value":"{}"}}}},"active":true,"version":"1.9.0","pid":"slave(1)@10.0.1.{}:5051","registered_time":{{"nanoseconds":1500993262264135000}},"total_resources":[{{"name":"cpus","type":"SCALAR","scalar":{{"value":64.0}}}}]}}"#, i % 40, agent(i), i % 250).unwrap();
        }
        out.push_str(r#"]}},"heartbeat_interval_seconds":15.0}}"#);
        out
    }
}

fn comma(out: &mut String, nth: usize) {
    if nth > 0 {
        out.push(',');
    }
}

fn agent(i: usize) -> String {
    format!("6b3a4a5e-7d3a-4b28-9d0c-95b1e0f0f6f1-S{}", i % AGENTS)
}

fn id_of(framework: usize) -> String {
    format!("6b3a4a5e-7d3a-4b28-9d0c-95b1e0f0f6f1-{framework:04}")
}

fn id(i: usize) -> String {
    format!(
        "shop_web_frontend-{}.instance-{i:08x}-c5a1-11e9-8ad1-70b3d5800001._app.1",
        i % 997
    )
}

fn running(out: &mut String, i: usize) {
    task(out, i, "TASK_RUNNING");
}

fn failed(out: &mut String, i: usize) {
    task(out, i, "TASK_FAILED");
}

fn task(out: &mut String, i: usize, state: &str) {
    let (id, port, ip) = (id(i), 31000 + i % 1000, i % 250);
    write!(out, r#"{{"id":"{id}","name":"frontend-{}.web.shop","framework_id":"{}","executor_id":"","slave_id":"{}","state":"{state}","resources":{{"cpus":0.5,"mem":512.0,"disk":0.0,"gpus":0.0,"ports":"[{port}-{port}]"}},"role":"*","statuses":["#, i % 997, id_of(i % FRAMEWORKS), agent(i)).unwrap();
    for (n, state) in ["TASK_STARTING", "TASK_RUNNING", state]
        .into_iter()
        .enumerate()
    {
        // A state that repeats replaces the one before.
        if n == 2 && state == "TASK_RUNNING" {
            break;
        }
        comma(out, n);
        write!(out, r#"{{"state":"{state}","timestamp":15663001{:02}.{n}5,"container_status":{{"container_id":{{"value":"{i:08x}-0db9-4d5a-8c8e-3a1f2b3c4d5e"}},"executor_pid":{},"network_infos":[{{"ip_addresses":[{{"protocol":"IPv4","ip_address":"10.0.1.{ip}"}}]}}]}},"healthy":true}}"#, i % 90, 1000 + i % 30000).unwrap();
    }
    write!(out, r#"],"labels":[{{"key":"team","value":"shop-{}"}},{{"key":"slack_channel","value":"shop-alerts"}},{{"key":"HAPROXY_0_VHOST","value":"shop-{}.example.org"}},{{"key":"description","value":"The \"front\" of\nthe shop"}}],"discovery":{{"visibility":"FRAMEWORK","name":"frontend.web.shop","ports":{{"ports":[{{"number":{port},"name":"http","protocol":"tcp"}}]}}}},"container":{{"type":"DOCKER","docker":{{"image":"registry.example.org\/shop\/frontend:2019.8.{}","network":"BRIDGE","port_mappings":[{{"host_port":{port},"container_port":8080,"protocol":"tcp"}}],"privileged":false,"parameters":[{{"key":"log-opt","value":"max-size=10m"}}],"force_pull_image":false}}}}}}"#, i % 50, i % 997, i % 30).unwrap();
}

fn running_v1(out: &mut String, i: usize) {
    task_v1(out, i, "TASK_RUNNING");
}

fn failed_v1(out: &mut String, i: usize) {
    task_v1(out, i, "TASK_FAILED");
}

fn task_v1(out: &mut String, i: usize, state: &str) {
    let (id, port, ip) = (id(i), 31000 + i % 1000, i % 250);
    write!(out, r#"{{"name":"frontend-{}.web.shop","task_id":{{"value":"{id}"}},"framework_id":{{"value":"{}"}},"agent_id":{{"value":"{}"}},"state":"{state}","resources":[{{"name":"cpus","type":"SCALAR","scalar":{{"value":0.5}},"allocation_info":{{"role":"*"}}}},{{"name":"mem","type":"SCALAR","scalar":{{"value":512.0}},"allocation_info":{{"role":"*"}}}},{{"name":"ports","type":"RANGES","ranges":{{"range":[{{"begin":{port},"end":{port}}}]}},"allocation_info":{{"role":"*"}}}}],"statuses":["#, i % 997, id_of(i % FRAMEWORKS), agent(i)).unwrap();
    for (n, state) in ["TASK_STARTING", "TASK_RUNNING", state]
        .into_iter()
        .enumerate()
    {
        if n == 2 && state == "TASK_RUNNING" {
            break;
        }
        comma(out, n);
        write!(out, r#"{{"task_id":{{"value":"{id}"}},"state":"{state}","source":"SOURCE_EXECUTOR","message":"Container exited with status 1","agent_id":{{"value":"{}"}},"executor_id":{{"value":"{id}"}},"timestamp":15663001{:02}.{n}5,"uuid":"q83vEjRWeJq83vEjRWeJqw==","healthy":true,"container_status":{{"container_id":{{"value":"{i:08x}-0db9-4d5a-8c8e-3a1f2b3c4d5e"}},"executor_pid":{},"network_infos":[{{"ip_addresses":[{{"protocol":"IPv4","ip_address":"10.0.1.{ip}"}}]}}]}}}}"#, agent(i), i % 90, 1000 + i % 30000).unwrap();
    }
    write!(out, r#"],"status_update_state":"{state}","status_update_uuid":"q83vEjRWeJq83vEjRWeJqw==","labels":{{"labels":[{{"key":"team","value":"shop-{}"}},{{"key":"slack_channel","value":"shop-alerts"}},{{"key":"HAPROXY_0_VHOST","value":"shop-{}.example.org"}},{{"key":"description","value":"The \"front\" of\nthe shop"}}]}},"discovery":{{"visibility":"FRAMEWORK","name":"frontend.web.shop","ports":{{"ports":[{{"number":{port},"name":"http","protocol":"tcp"}}]}}}},"container":{{"type":"DOCKER","docker":{{"image":"registry.example.org\/shop\/frontend:2019.8.{}","network":"BRIDGE","port_mappings":[{{"host_port":{port},"container_port":8080,"protocol":"tcp"}}],"privileged":false,"parameters":[{{"key":"log-opt","value":"max-size=10m"}}],"force_pull_image":false}}}},"health_check":{{"type":"HTTP","delay_seconds":15.0,"interval_seconds":10.0,"timeout_seconds":20.0,"consecutive_failures":3,"grace_period_seconds":300.0,"http":{{"port":{port},"path":"\/health","scheme":"http"}}}},"user":"root"}}"#, i % 50, i % 997, i % 30).unwrap();
}

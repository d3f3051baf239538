//! What makes a task as big as those of real clusters. Written beforehand: with tens of
//! thousands of tasks it is most of a state.

use std::sync::LazyLock;

use serde_json::Value;

pub(super) const OPERATOR_RESOURCES: &[u8] = br#""resources":[{"name":"ports","type":"RANGES","ranges":{"range":[{"begin":31000,"end":31002},{"begin":31777,"end":31777}]},"allocation_info":{"role":"slave_public"}},{"name":"cpus","type":"SCALAR","scalar":{"value":0.25},"allocation_info":{"role":"slave_public"}},{"name":"disk","type":"SCALAR","scalar":{"value":256.0},"allocation_info":{"role":"slave_public"}},{"name":"mem","type":"SCALAR","scalar":{"value":512.0},"allocation_info":{"role":"slave_public"}}]"#;

pub(super) const OPERATOR_DISCOVERY: &[u8] = br#""discovery":{"visibility":"FRAMEWORK","name":"web.frontend","ports":{"ports":[{"number":8080,"name":"http","protocol":"tcp","labels":{"labels":[{"key":"VIP_0","value":"frontend:80"},{"key":"network-scope","value":"host"}]}},{"number":9102,"name":"metrics","protocol":"tcp","labels":{"labels":[{"key":"network-scope","value":"host"}]}}]}}"#;

pub(super) const OPERATOR_DOCKER: &[u8] = br#""port_mappings":[{"host_port":31000,"container_port":8080,"protocol":"tcp"},{"host_port":31001,"container_port":9102,"protocol":"tcp"}],"parameters":[{"key":"log-opt","value":"max-size=10m"},{"key":"label","value":"owner=frontend"}],"force_pull_image":false"#;

pub(super) const OPERATOR_CHECK: &[u8] = br#""health_check":{"delay_seconds":15.0,"interval_seconds":60.0,"timeout_seconds":10.0,"consecutive_failures":3,"grace_period_seconds":150.0,"type":"HTTP","http":{"protocol":"IPv4","scheme":"http","port":8080,"path":"/health"}}"#;

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

pub(super) static RESOURCES: LazyLock<Value> = LazyLock::new(|| {
    value(
        r#"{"cpus":0.25,"disk":256.0,"gpus":0.0,"mem":512.0,"ports":"[31000-31002, 31777-31777]"}"#,
    )
});

pub(super) static DISCOVERY: LazyLock<Value> = LazyLock::new(|| {
    value(
        r#"{"visibility":"FRAMEWORK","name":"web.frontend","ports":{"ports":[{"number":8080,"name":"http","protocol":"tcp","labels":{"labels":[{"key":"VIP_0","value":"frontend:80"},{"key":"network-scope","value":"host"}]}},{"number":9102,"name":"metrics","protocol":"tcp","labels":{"labels":[{"key":"network-scope","value":"host"}]}}]}}"#,
    )
});

pub(super) static MAPPINGS: LazyLock<Value> = LazyLock::new(|| {
    value(
        r#"[{"host_port":31000,"container_port":8080,"protocol":"tcp"},{"host_port":31001,"container_port":9102,"protocol":"tcp"}]"#,
    )
});

pub(super) static PARAMETERS: LazyLock<Value> = LazyLock::new(|| {
    value(r#"[{"key":"log-opt","value":"max-size=10m"},{"key":"label","value":"owner=frontend"}]"#)
});

pub(super) static CHECK: LazyLock<Value> = LazyLock::new(|| {
    value(
        r#"{"delay_seconds":15.0,"interval_seconds":60.0,"timeout_seconds":10.0,"consecutive_failures":3,"grace_period_seconds":150.0,"type":"HTTP","http":{"protocol":"IPv4","scheme":"http","port":8080,"path":"/health"}}"#,
    )
});

//! The Helm chart: linted, rendered, and each object held against Kubernetes' schemas.

use std::{fs, path::Path};

use notifier_testkit::peer;
use serde_json::{Value, json};

use crate::support::{deploy, pip, told, words};

/// Lints and renders; prints `{"lint": …, "objects": {template: […]}}`.
const RENDER: &str = r#"
import helm_python, json, sys, yaml
chart, values = sys.argv[1], json.loads(sys.argv[2])
lint = helm_python.lint(chart, values, strict=True)
objects = {}
loaded = helm_python.Chart.load(chart)
loaded.validate_schema(loaded.merge_values(values))
for name, text in loaded.render(values, name="mail", namespace="relays").items():
    if name.endswith(".txt"):
        objects[name] = [{"text": text}]
    else:
        objects[name] = [d for d in yaml.safe_load_all(text) if d]
print(json.dumps({"lint": lint, "objects": objects}))
"#;

/// What the chart makes of these values.
struct Rendered {
    lint: Value,
    objects: Vec<(String, Value)>,
}

impl Rendered {
    fn of_kind(&self, kind: &str) -> &Value {
        let mut all = self.objects.iter().map(|(_, o)| o);
        all.find(|o| o["kind"] == kind).unwrap_or(&Value::Null)
    }
}

fn chart() -> std::path::PathBuf {
    deploy().join("helm/postfix-relay")
}

/// `Err` is what Helm has to say against it.
fn render(values: &Value) -> Option<Result<Rendered, String>> {
    let mut python = pip("python3")?;
    python.args(["-c", RENDER]).arg(chart());
    let out = python.arg(values.to_string()).output().unwrap();
    if !out.status.success() {
        return Some(Err(told(&out)));
    }
    let mut all: Value = serde_json::from_slice(&out.stdout).unwrap();
    let mut objects = Vec::new();
    for (name, list) in all["objects"].as_object().unwrap() {
        for object in list.as_array().unwrap() {
            objects.push((name.clone(), object.clone()));
        }
    }
    let lint = all["lint"].take();
    Some(Ok(Rendered { lint, objects }))
}

/// The values that the chart's own file for tests has.
pub(crate) fn provider() -> Option<Value> {
    Some(crate::support::yaml("helm/postfix-relay/ci/provider-values.yaml")?.remove(0))
}

/// The least that must be said.
fn least() -> Value {
    json!({"hostname": "relay.mail.test", "networks": ["10.244.0.0/16"]})
}

/// Values with one of them changed.
fn with(mut values: Value, path: &str, value: Value) -> Value {
    let mut at = &mut values;
    for key in path.split('.') {
        at = &mut at[key];
    }
    *at = value;
    values
}

/// The pod's containers.
pub(crate) fn container(values: &Value, name: &str) -> Option<Value> {
    let rendered = render(values)?.unwrap();
    let pod = &rendered.of_kind("DaemonSet")["spec"]["template"]["spec"];
    let all = pod["containers"].as_array().unwrap();
    let found = all.iter().find(|c| c["name"] == name);
    Some(found.unwrap().clone())
}

#[test]
fn helm_and_kubernetes_take_the_chart() {
    let (Some(provider), Some(_)) = (provider(), pip("kubernetes-validate")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let validate = |name: &str, object: &Value| {
        // JSON is YAML.
        let path = folder.path().join(name);
        fs::write(&path, object.to_string()).unwrap();
        let mut validate = pip("kubernetes-validate").unwrap();
        validate.arg("--strict").arg(path).output().unwrap()
    };
    let host = with(provider.clone(), "hostNetwork", true.into());
    let next = with(least(), "relayHost", "[smtp.provider.test]:587".into());
    let login = with(
        next,
        "sasl",
        json!({"passwd": "[smtp.provider.test]:587 key:word"}),
    );
    for (values, count) in [(least(), 4), (login, 5), (provider, 5), (host, 5)] {
        let rendered = render(&values).unwrap().unwrap();
        assert_eq!(rendered.lint["errors"], Value::Array(Vec::new()));
        let mut validated = 0;
        for (name, object) in &rendered.objects {
            // The operator's own kind has no schema here, and notes are no object.
            if object["kind"] == "ServiceMonitor" || name.ends_with("NOTES.txt") {
                continue;
            }
            let out = validate("object.yaml", object);
            assert!(out.status.success(), "{name}: {}", told(&out));
            validated += 1;
        }
        assert_eq!(validated, count);
        let broken = rendered.of_kind("DaemonSet").to_string();
        let broken = broken.replace("\"hostPort\":", "\"nodePort\":");
        let broken = serde_json::from_str(&broken).unwrap();
        assert!(!validate("broken.yaml", &broken).status.success());
    }
    peer::ran("Helm");
    peer::ran("kubernetes-validate");
}

#[test]
fn wrong_values_are_refused_before_anything_runs() {
    let Some(provider) = provider() else { return };
    for (path, value, says) in [
        ("hostname", "relay".into(), "hostname"),
        ("networks", Value::Array(Vec::new()), "networks"),
        ("networks", vec!["0.0.0.0/0"].into(), "networks"),
        ("networks", vec!["172.0.0.0/8"].into(), "networks"),
        ("networks", vec!["10.1.2.3"].into(), "networks"),
        ("relayHost", "smtp.provider.test:587".into(), "relayHost"),
        ("relayHost", "".into(), "relayHost is not set"),
        ("relayTls", "may".into(), "relayTls"),
        ("sasl.passwd", "x".into(), "only one of them"),
        ("tls.existingSecret", "".into(), "under TLS only"),
        ("spool.hostPath", "queue".into(), "hostPath"),
        ("probes", "none".into(), "probes"),
    ] {
        let values = with(provider.clone(), path, value.clone());
        let refused = render(&values).unwrap();
        let why = refused.err().unwrap_or_default();
        assert!(why.contains(says), "{path} = {value}: {why:?}");
    }
}

#[test]
fn a_pod_is_never_started_anew_for_what_that_cannot_help() {
    let Some(provider) = provider() else { return };
    let postfix = container(&provider, "postfix").unwrap();
    for probe in ["startupProbe", "livenessProbe"] {
        let asks = words(&postfix[probe]["exec"]["command"]);
        assert!(asks.contains(&"--level=live".to_owned()), "{asks:?}");
        for flag in ["--rcpt", "--dns", "--canary", "--open-relay", "--send"] {
            assert!(!asks.iter().any(|a| a.starts_with(flag)), "{asks:?}");
        }
    }
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let asks = words(&postfix[probe]["exec"]["command"]);
        // The kubelet knows 0 and not 0 only; and the time is over before its own is.
        assert!(asks.contains(&"--exit=probe".to_owned()), "{asks:?}");
        let own = asks.iter().find_map(|a| a.strip_prefix("--timeout="));
        let own = own.unwrap().strip_suffix('s').unwrap();
        let limit = postfix[probe]["timeoutSeconds"].as_u64().unwrap();
        assert!(own.parse::<u64>().unwrap() < limit, "{probe}: {asks:?}");
    }
}

/// To MXes TLS cannot be demanded with the names of recipients' domains; and who may look at pods
/// learns nothing of a login.
#[test]
fn what_is_not_set_is_left_to_the_image() {
    let Some(alone) = container(&least(), "postfix") else {
        return;
    };
    let names = |container: &Value| -> Vec<Value> {
        let env = container["env"].as_array().unwrap();
        env.iter().map(|e| e["name"].clone()).collect()
    };
    assert_eq!(names(&alone), ["RELAY_HOSTNAME", "RELAY_NETWORKS"]);
    let next = with(least(), "relayHost", "[smtp.provider.test]:587".into());
    let login = with(
        next,
        "sasl",
        json!({"passwd": "[smtp.provider.test]:587 k:w"}),
    );
    let rendered = render(&login).unwrap().unwrap();
    let daemons = rendered.of_kind("DaemonSet");
    assert!(daemons["spec"]["template"]["metadata"]["annotations"].is_null());
    let all = names(&daemons["spec"]["template"]["spec"]["containers"][0]);
    assert!(all.contains(&"RELAY_TLS".into()), "{all:?}");
}

#[test]
fn applications_find_the_relay_of_their_node() {
    let Some(provider) = provider() else { return };
    let rendered = render(&provider).unwrap().unwrap();
    let application = &rendered.of_kind("Deployment")["spec"]["template"]["spec"]["containers"][0];
    let env = application["env"].as_array().unwrap();
    let find = |name: &str| env.iter().find(|e| e["name"] == name).unwrap();
    let address = &find("SMTP_HOST_IP")["valueFrom"]["fieldRef"]["fieldPath"];
    assert_eq!(address, "status.hostIP");
    let postfix = container(&provider, "postfix").unwrap();
    let port = postfix["ports"][0]["hostPort"].as_u64().unwrap();
    assert_eq!(find("SMTP_HOST_PORT")["value"], port.to_string());
    assert_eq!(port, 2525);
    assert_eq!(postfix["ports"][1]["hostPort"], 587);
    // Who is not trusted does not get through to it either.
    let policy = &rendered.of_kind("NetworkPolicy")["spec"];
    let from = policy["ingress"][0]["from"].as_array().unwrap();
    let blocks: Vec<&Value> = from.iter().map(|f| &f["ipBlock"]["cidr"]).collect();
    assert_eq!(
        Value::from_iter(blocks.into_iter().cloned()),
        provider["networks"]
    );
}

#[test]
fn the_checks_beside_it_may_do_nothing() {
    let Some(provider) = provider() else { return };
    let check = container(&provider, "check").unwrap();
    let may = &check["securityContext"];
    assert_eq!(may["runAsNonRoot"], true);
    assert_eq!(may["readOnlyRootFilesystem"], true);
    assert_eq!(may["capabilities"]["drop"][0], "ALL");
    assert!(
        check["volumeMounts"]
            .as_array()
            .unwrap()
            .iter()
            .all(|m| m["readOnly"] == true)
    );
    // The group that the image gives to the queue's sockets.
    let image = crate::support::file("postfix-relay/Dockerfile");
    let group = may["runAsGroup"].as_u64().unwrap();
    assert!(image.contains(&format!("groupadd --system --gid {group} postdrop")));
    let postfix = container(&provider, "postfix").unwrap();
    assert_eq!(
        postfix["securityContext"]["allowPrivilegeEscalation"],
        false
    );
}

#[test]
fn the_chart_is_of_the_version_of_the_program() {
    let chart = fs::read_to_string(Path::new(&chart()).join("Chart.yaml")).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        chart.contains(&format!("\nappVersion: {version}\n")),
        "{chart}"
    );
}

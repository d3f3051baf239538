//! The stack file for Docker Swarm.

use std::path::Path;

use notifier_testkit::peer;

use crate::support::{judge, system, words, yaml};

#[test]
fn docker_takes_the_stack() {
    if system("docker-compose").is_none() {
        return;
    }
    let config = |path: &Path| {
        let mut compose = system("docker-compose").unwrap();
        compose.arg("-f").arg(path).args(["config", "-q"]);
        compose.output().unwrap()
    };
    judge(config, "swarm/stack.yml", ("healthcheck:", "healthchecks:"));
    judge(
        config,
        "swarm/stack.yml",
        ("mode: global", "mode: [global]"),
    );
    peer::ran("docker-compose");
}

/// Docker's own networks, in which everybody seems to be who comes by a published port.
const SHARED: [&str; 4] = ["10.0.", "10.255.", "172.1", "172.2"];

#[test]
fn nobody_is_trusted_for_coming_through_docker() {
    let Some(stack) = yaml("swarm/stack.yml") else {
        return;
    };
    let stack = &stack[0];
    let relay = &stack["services"]["relay"];
    for port in relay["ports"].as_array().unwrap() {
        assert_eq!(port["mode"], "host", "{port}");
    }
    assert_eq!(relay["deploy"]["endpoint_mode"], "dnsrr");
    // Exactly the one network is trusted that applications are in.
    let subnet = |network: &str| stack["networks"][network]["ipam"]["config"][0]["subnet"].clone();
    let trusted = &relay["environment"]["RELAY_NETWORKS"];
    assert_eq!(trusted, &subnet("applications"));
    assert_ne!(trusted, &subnet("outside"));
    let trusted = trusted.as_str().unwrap();
    assert!(!SHARED.iter().any(|s| trusted.starts_with(s)), "{trusted}");
    // And one that is not in it asks whether that holds.
    let outsider = &stack["services"]["outsider"];
    let networks = words(&outsider["networks"]);
    assert!(networks.contains(&"outside".to_owned()));
    assert!(!networks.contains(&"applications".to_owned()));
    let asks = words(&outsider["command"]);
    for flag in ["--open-relay", "--expect=closed"] {
        assert!(asks.iter().any(|a| a == flag), "{flag}");
    }
    assert!(!asks.iter().any(|a| a == "--send"), "it sends nothing");
    assert_eq!(stack["secrets"]["sasl_passwd"]["external"], true);
}

//! The fake fleet: pages, what expires, and what is refused.

use std::time::Duration;

use notifier_testkit::fleet::{FakeFleet, FleetModel, UnitSpec};
use serde_json::Value;

fn read(model: &FleetModel, target: &str) -> Value {
    let (status, body) = model.get(target);
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

fn names(page: &Value) -> Vec<String> {
    let rows = page["states"].as_array().cloned().unwrap_or_default();
    rows.iter()
        .map(|r| r["name"].as_str().unwrap_or_default().to_owned())
        .collect()
}

fn next(page: &Value, filters: &str) -> String {
    let token = page["nextPageToken"].as_str().unwrap();
    let token: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
    format!("/fleet/v1/state?nextPageToken={token}{filters}")
}

fn four() -> FleetModel {
    let model = FleetModel::new();
    model.machine("m1", "10.0.0.1", [("region", "eu")]);
    model.machine("m2", "10.0.0.2", []);
    for (name, machine) in [("a", "m1"), ("b", "m2"), ("c", "m1"), ("d", "m2")] {
        let name = format!("{name}.service");
        model.unit(UnitSpec::new(&name).on(machine));
        model.run(&name, machine);
    }
    model
}

#[tokio::test]
async fn a_page_that_ends_with_the_list_has_a_token_for_an_empty_one() {
    for strict in [false, true] {
        let model = four();
        model.page_size(2);
        model.strict_tokens(strict);
        let first = read(&model, "/fleet/v1/state");
        assert_eq!(names(&first), ["a.service", "b.service"]);
        let second = read(&model, &next(&first, ""));
        assert_eq!(names(&second), ["c.service", "d.service"]);
        let third = read(&model, &next(&second, ""));
        assert_eq!(third, serde_json::json!({}));
        assert_eq!(model.pages(), 3);
    }
}

#[tokio::test]
async fn each_page_is_cut_from_a_new_list() {
    let model = four();
    model.page_size(2);
    let first = read(&model, "/fleet/v1/state");
    model.unload("a.service", "m1");
    // c has moved onto the first page, which was read.
    assert_eq!(names(&read(&model, &next(&first, ""))), ["d.service"]);
    model.run("a.service", "m1");
    model.before_page(|model, page| {
        if page == 2 {
            model.unit(UnitSpec::new("0.service").on("m1"));
            model.run("0.service", "m1");
        }
    });
    let second = read(&model, &next(&first, ""));
    assert_eq!(names(&second), ["b.service", "c.service"]);
    model.no_hook();
    assert_eq!(model.visible().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_an_agent_published_expires_and_comes_back_as_it_is_then() {
    let model = four();
    model.agent_down("m1");
    model.fail("a.service", "m1");
    tokio::time::advance(Duration::from_secs(29)).await;
    assert!(model.visible().iter().all(|r| r.active == "active"));
    assert_eq!(model.visible().len(), 4);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(model.visible().len(), 2);
    let machines = read(&model, "/fleet/v1/machines");
    assert_eq!(machines["machines"].as_array().unwrap().len(), 1);
    model.agent_up("m1");
    let failed = |r: &&notifier_testkit::fleet::Row| r.active == "failed";
    assert_eq!(model.visible().iter().filter(failed).count(), 1);
    model.hide("a.service");
    assert_eq!(model.visible().len(), 3);
    model.publish("a.service");
    model.lose_hash("a.service", "m1");
    assert_eq!(model.visible()[0].hash, "");
    model.lose_machine("m1");
    assert_eq!(model.visible().len(), 2);
}

#[tokio::test]
async fn odd_tokens_and_other_filters_are_refused() {
    let model = four();
    model.page_size(1);
    for token in [
        "nextPageToken=x",
        "nextPageToken=00000000",
        "nextPageToken=1&nextPageToken=2",
    ] {
        assert_eq!(model.get(&format!("/fleet/v1/state?{token}")).0, 400);
    }
    model.strict_tokens(true);
    let page = read(&model, "/fleet/v1/state?machineID=m1");
    assert_eq!(names(&page), ["a.service"]);
    assert_eq!(model.get(&next(&page, "")).0, 400);
    assert_eq!(model.get(&next(&page, "&machineID=m2")).0, 400);
    let page = read(&model, &next(&page, "&machineID=m1"));
    assert_eq!(names(&page), ["c.service"]);
    assert_eq!(
        names(&read(&model, "/fleet/v1/state?unitName=d.service")),
        ["d.service"]
    );
}

#[tokio::test]
async fn units_and_where_the_api_is() {
    let model = four();
    model.unit(
        UnitSpec::new("w@a+b.service")
            .global()
            .option("Unit", "A", "1"),
    );
    let unit = read(&model, "/fleet/v1/units/w%40a+b.service");
    assert_eq!(unit["options"].as_array().unwrap().len(), 2);
    assert_eq!(unit["currentState"], "inactive");
    model.destroy("a.service");
    assert_eq!(model.get("/fleet/v1/units/a.service").0, 404);
    assert_eq!(names(&read(&model, "/v1-alpha/state")).len(), 3);
    model.old_api(true);
    assert_eq!(model.get("/fleet/v1/state").0, 404);
    assert_eq!(names(&read(&model, "/v1-alpha/state")).len(), 3);
}

#[tokio::test]
async fn the_same_over_tcp_and_a_unix_socket() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let fleet = FakeFleet::of(four()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fleet.sock");
    fleet.unix_socket(&path).await.unwrap();
    let request = b"GET /fleet/v1/state HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut answers = Vec::new();
    let mut tcp = tokio::net::TcpStream::connect(fleet.server().addr())
        .await
        .unwrap();
    let mut unix = tokio::net::UnixStream::connect(&path).await.unwrap();
    let mut answer = String::new();
    tcp.write_all(request).await.unwrap();
    tcp.read_to_string(&mut answer).await.unwrap();
    answers.push(std::mem::take(&mut answer));
    unix.write_all(request).await.unwrap();
    unix.read_to_string(&mut answer).await.unwrap();
    answers.push(answer);
    assert!(answers[0].contains("d.service"), "{}", answers[0]);
    let body = |a: &str| a.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!(body(&answers[0]), body(&answers[1]));
    assert_eq!(fleet.server().accepted(), 2);
}

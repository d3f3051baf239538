use notifier_core::{BackendSettings, Origin};

use super::*;

fn built(pairs: &[(&str, &str)]) -> Result<FleetSource> {
    let mut settings = BackendSettings::new(OPTIONS);
    for (key, value) in pairs {
        settings.set(Origin::Flag, key, value)?;
    }
    let settings = settings.instance("");
    let http = HttpClient::new()?;
    FleetBuilder::from_settings(&settings, http, Arc::new(SystemClock)).build()
}

#[test]
fn defaults_of_the_declaration_and_of_the_builder_agree() {
    let declared = built(&[("endpoint", "http://a:1")]).unwrap();
    let own = FleetSource::builder(["http://a:1"]).build().unwrap();
    assert_eq!(
        format!("{:?}", declared.config),
        format!("{:?}", own.config)
    );
    assert_eq!(format!("{:?}", declared.api), format!("{:?}", own.api));
}

#[test]
fn every_option_counts() {
    let source = built(&[
        ("endpoint", "http://a:1, unix:/run/fleet.sock,http://a:1/"),
        ("name", "blue"),
        ("credentials", "u:p"),
        ("interval", "7s"),
        ("units", "web@*,db.service"),
        ("ignore", "*-notify@*"),
        ("settle", "9s"),
        ("lost", "true"),
        ("timeout", "11s"),
        ("max_answer", "1MiB"),
    ])
    .unwrap();
    assert_eq!(source.api.order(), [0, 1]);
    let c = &source.config;
    assert_eq!(
        (
            c.name.as_str(),
            c.interval.as_secs(),
            c.settle.as_secs(),
            c.tells_lost
        ),
        ("blue", 7, 9, true)
    );
    assert!(c.choice.takes("web@1.service") && !c.choice.takes("web@a-notify@1.service"));
    let shown = format!("{:?}", source.api);
    assert!(
        shown.contains("11s") && shown.contains("1048576"),
        "{shown}"
    );
    assert!(shown.contains("BasicLogin"), "{shown}");
}

#[test]
fn all_that_is_wrong_is_told_at_once_without_a_secret() {
    let e = built(&[
        ("endpoint", "http://u:s3cret@a,ftp://b"),
        ("name", " "),
        ("credentials", "s3cret"),
        ("interval", "0s"),
        ("timeout", "0s"),
    ])
    .unwrap_err()
    .to_string();
    for part in [
        "fleet.endpoint",
        "ftp://b",
        "FLEET_NAME",
        "-fleet.interval",
        "USER:PASSWORD",
    ] {
        assert!(e.contains(part), "{part}: {e}");
    }
    assert!(!e.contains("s3cret") && !e.contains('\n'), "{e}");
    let e = built(&[]).unwrap_err().to_string();
    assert!(e.contains("unix:///var/run/fleet.sock"), "{e}");
    let builder = FleetSource::builder(["http://u:s3cret@a"]);
    assert!(!format!("{builder:?}").contains("s3cret"));
}

//! The backends of this build.

use std::sync::Arc;

use notifiers::{
    BackendSettings, Error, NoopUploader, OptionGroup, OptionSpec, Reporter, ReporterFactory,
    Result, Uploader,
    http::{HttpClient, HttpSettings},
};

use crate::{
    Cli, Parsed, Problems, WatcherSettings,
    cli::{Place, unknown},
};

/// The option groups of the reporters of this build.
pub fn reporter_groups() -> Vec<OptionGroup> {
    vec![
        #[cfg(feature = "slack")]
        notifiers::slack::OPTIONS,
        #[cfg(feature = "file")]
        notifiers::file::OPTIONS,
    ]
}

/// The names of the uploaders of this build.
pub const UPLOADERS: &[&str] = &["noop"];

const fn text(key: &'static str) -> OptionSpec {
    OptionSpec::new(key, "not in this version")
}

/// What the original has and this version does not. Flags are taken, so that a command
/// line that sets them works as long as it does not ask for the backend.
const LATER_REPORTERS: &[OptionGroup] = &[
    OptionGroup::new("sentry", &[text("dsn").secret()]),
    OptionGroup::new(
        "hipchat",
        &[
            text("base_url"),
            text("room"),
            text("token").secret(),
            text("format"),
        ],
    ),
    OptionGroup::new(
        "jira",
        &[
            text("url"),
            text("username"),
            text("password").secret(),
            text("issue_closed_status"),
            text("fields"),
        ],
    ),
];

const S3: [OptionSpec; 5] = [
    text("access_key").secret(),
    text("secret_key").secret(),
    text("bucket"),
    text("prefix"),
    text("timeout"),
];

const LATER_UPLOADERS: &[OptionGroup] = &[
    OptionGroup::new(
        "s3aws",
        &[S3[0], S3[1], S3[2], S3[3], S3[4], text("region")],
    ),
    OptionGroup::new(
        "s3goamz",
        &[S3[0], S3[1], S3[2], S3[3], S3[4], text("endpoint")],
    ),
];

/// Adds every backend's options to a command line.
pub(crate) fn declare(mut cli: Cli) -> Cli {
    for g in reporter_groups() {
        cli = cli.reporter(g);
    }
    for g in LATER_REPORTERS {
        cli = cli.later(*g, Place::Reporter);
    }
    for g in LATER_UPLOADERS {
        cli = cli.later(*g, Place::Uploader);
    }
    cli.uploaders(UPLOADERS)
}

/// The uploader of a name.
///
/// # Errors
/// [`ErrorKind::Config`](notifiers::ErrorKind::Config) if there is none of this name; it lists those there are.
pub fn uploader(name: &str) -> Result<Arc<dyn Uploader>> {
    match name {
        "noop" => Ok(Arc::new(NoopUploader)),
        _ => Err(Error::config(unknown("uploader", name, UPLOADERS, &[]))),
    }
}

/// The HTTP client that all backends share, as the settings have it.
///
/// # Errors
/// [`ErrorKind::Config`](notifiers::ErrorKind::Config) if a certificate cannot be used.
pub fn http_client(parsed: &Parsed) -> Result<HttpClient> {
    let settings = HttpSettings::read(&parsed.backend(notifiers::http::OPTIONS).instance(""))?;
    HttpClient::builder().settings(&settings)?.build()
}

/// The factories of the reporters of this build.
pub fn reporters(client: &HttpClient) -> Vec<Box<dyn ReporterFactory>> {
    #[cfg(not(feature = "slack"))]
    let _ = client;
    vec![
        #[cfg(feature = "slack")]
        Box::new(notifiers::slack::SlackFactory::new(client.clone())),
        #[cfg(feature = "file")]
        Box::new(notifiers::file::FileFactory),
    ]
}

/// A reporter ready for use, with what it was told.
pub type Built = (BackendSettings, Arc<dyn Reporter>);

/// Builds the reporters of a list out of the settings, in the order of the list.
///
/// # Errors
/// Everything that is wrong with any of them: templates, files, names.
pub fn build(
    factories: &[Box<dyn ReporterFactory>],
    names: &[String],
    parsed: &Parsed,
) -> Result<Vec<Built>, Problems> {
    let mut problems = Problems::new();
    let mut built = Vec::new();
    for name in names {
        let Some(factory) = factories.iter().find(|f| f.options().name == name) else {
            let names: Vec<&str> = factories.iter().map(|f| f.options().name).collect();
            problems.push(unknown("reporters", name, &names, &[]));
            continue;
        };
        let settings = parsed.backend(factory.options());
        if let Some(reporter) = problems.take(factory.build(&settings)) {
            built.push((settings, reporter));
        }
    }
    problems.masked(&parsed.redactor()).into_result()?;
    Ok(built)
}

/// Builds the reporters that `-reporters` names, with the client of the settings.
///
/// # Errors
/// Everything that is wrong with any of them.
pub fn build_all(parsed: &Parsed, settings: &WatcherSettings) -> Result<Vec<Built>, Problems> {
    let client = http_client(parsed)?;
    build(&reporters(&client), &settings.reporters, parsed)
}

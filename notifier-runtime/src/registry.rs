//! The backends of this build.

use std::sync::Arc;

#[cfg(feature = "s3")]
use notifiers::jiff::tz::TimeZone;
use notifiers::{
    BackendSettings, NoopUploader, OptionGroup, Reporter, ReporterFactory, Result, Uploader,
    UploaderFactory,
    http::{HttpClient, HttpSettings},
};

use crate::{
    Cli, Parsed, Problems, WatcherSettings,
    cli::{NOOP, unknown},
};

/// The option groups of the reporters of this build.
pub fn reporter_groups() -> Vec<OptionGroup> {
    vec![
        #[cfg(feature = "sentry")]
        notifiers::sentry::OPTIONS,
        #[cfg(feature = "hipchat")]
        notifiers::hipchat::OPTIONS,
        #[cfg(feature = "slack")]
        notifiers::slack::OPTIONS,
        #[cfg(feature = "jira")]
        notifiers::jira::OPTIONS,
        #[cfg(feature = "smtp")]
        notifiers::smtp::OPTIONS,
        #[cfg(feature = "file")]
        notifiers::file::OPTIONS,
        #[cfg(feature = "webhook")]
        notifiers::webhook::OPTIONS,
        #[cfg(feature = "sns")]
        notifiers::sns::OPTIONS,
    ]
}

/// The option groups of the uploaders of this build, but for `noop`, which has none.
pub fn uploader_groups() -> Vec<OptionGroup> {
    vec![
        #[cfg(feature = "s3")]
        notifiers::s3::S3AWS_OPTIONS,
        #[cfg(feature = "s3")]
        notifiers::s3::S3GOAMZ_OPTIONS,
    ]
}

/// Adds every backend's options to a command line.
pub(crate) fn declare(mut cli: Cli) -> Cli {
    for g in reporter_groups() {
        cli = cli.reporter(g);
    }
    for g in uploader_groups() {
        cli = cli.uploader(g);
    }
    cli
}

/// The factories of the uploaders of this build, but for `noop`, which needs none.
fn uploaders(parsed: &Parsed, settings: &WatcherSettings) -> Result<Vec<Box<dyn UploaderFactory>>> {
    #[cfg(not(feature = "s3"))]
    let _ = (parsed, settings);
    #[cfg(feature = "s3")]
    let (client, env) = (http_client(parsed)?, parsed.env().clone());
    #[cfg(feature = "s3")]
    let environment =
        notifiers::s3::Environment::new(move |name| Some(env.get(name)?.ok()?.to_owned()));
    Ok(vec![
        #[cfg(feature = "s3")]
        Box::new(
            notifiers::s3::S3AwsFactory::new(client.clone())
                .environment(environment)
                .request_timeout(settings.request_timeout)
                .zone(TimeZone::system()),
        ),
        #[cfg(feature = "s3")]
        Box::new(
            notifiers::s3::S3GoamzFactory::new(client)
                .request_timeout(settings.request_timeout)
                .zone(TimeZone::system()),
        ),
    ])
}

/// Builds the uploader that `-uploader` names, with the client of the settings.
///
/// # Errors
/// Everything that is wrong with it; if there is none of this name, which there are.
pub fn uploader(
    parsed: &Parsed,
    settings: &WatcherSettings,
) -> Result<Arc<dyn Uploader>, Problems> {
    let name = settings.uploader.as_str();
    if name == NOOP {
        return Ok(Arc::new(NoopUploader));
    }
    let factories = uploaders(parsed, settings)?;
    let mut problems = Problems::new();
    let built = match factories.iter().find(|f| f.options().name == name) {
        Some(factory) => problems.take(factory.build(&parsed.backend(factory.options()))),
        None => {
            let names = factories.iter().map(|f| f.options().name);
            let names: Vec<&str> = [NOOP].into_iter().chain(names).collect();
            problems.push(unknown("uploader", name, &names));
            None
        }
    };
    problems.masked(&parsed.redactor()).into_result()?;
    built.ok_or_else(Problems::new)
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
    #[cfg(not(any(
        feature = "sentry",
        feature = "hipchat",
        feature = "slack",
        feature = "jira",
        feature = "webhook"
    )))]
    let _ = client;
    vec![
        #[cfg(feature = "sentry")]
        Box::new(notifiers::sentry::SentryFactory::new(client.clone())),
        #[cfg(feature = "hipchat")]
        Box::new(notifiers::hipchat::HipchatFactory::new(client.clone())),
        #[cfg(feature = "slack")]
        Box::new(notifiers::slack::SlackFactory::new(client.clone())),
        #[cfg(feature = "jira")]
        Box::new(notifiers::jira::JiraFactory::new(client.clone())),
        #[cfg(feature = "smtp")]
        Box::new(notifiers::smtp::SmtpFactory),
        #[cfg(feature = "file")]
        Box::new(notifiers::file::FileFactory),
        #[cfg(feature = "webhook")]
        Box::new(notifiers::webhook::WebhookFactory::new(client.clone())),
        #[cfg(feature = "sns")]
        Box::<notifiers::sns::SnsFactory>::default(),
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
            problems.push(unknown("reporters", name, &names));
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

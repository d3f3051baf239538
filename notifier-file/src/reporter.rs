//! The reporter.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use notifier_core::{
    BackendSettings, Capability, DEFAULT_INSTANCE, Destination, Error, ErrorKind, Markup,
    MessageTemplates, OptionGroup, Receipt, Reconciled, Report, ReportOptions, Reporter,
    ReporterExt as _, ReporterFactory, Result, Settings, SettingsBuilder, Subject, parse_bool,
};

use serde::Deserialize;

use crate::{
    DEFAULT_NAME, OPTIONS, SCHEME,
    lane::Lane,
    payload::record,
    place::{Found, Place},
};

/// Appends reports to files, pipes or the program's own standard streams.
#[derive(Debug)]
pub struct FileReporter {
    templates: MessageTemplates,
    settings: Settings,
    lanes: Mutex<BTreeMap<String, Arc<Lane>>>,
}

impl FileReporter {
    /// A reporter for use in a program of your own.
    pub fn builder() -> FileReporterBuilder {
        FileReporterBuilder {
            settings: SettingsBuilder::new(OPTIONS),
        }
    }

    /// A reporter of these settings. Every file that they name is opened.
    ///
    /// # Errors
    /// [`ErrorKind::Template`](notifier_core::ErrorKind::Template) if a template cannot be compiled,
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) if a file cannot be opened and waiting does not help.
    pub fn new(settings: &BackendSettings) -> Result<Self> {
        let templates = MessageTemplates::compile(settings, "format", Markup::Lines)?;
        let mut lanes = BTreeMap::new();
        for name in settings.all_values("name") {
            let lane = Lane::open(Path::new(&name))?;
            lanes.insert(name, Arc::new(lane));
        }
        Ok(Self {
            templates,
            settings: settings.instance(DEFAULT_INSTANCE),
            lanes: Mutex::new(lanes),
        })
    }

    /// The settings that it was built with, for [`ReportOptions::new`].
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Writes one report with the settings it was built with, once.
    ///
    /// # Errors
    /// As [`Reporter::report`].
    pub async fn send(&self, report: &Report) -> Result<Receipt> {
        self.send_once(report, &self.settings).await
    }

    fn lane(&self, name: &str) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        // A name that is not of the settings it was built with is a caller's own.
        let lane = lanes
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(Lane::closed(Path::new(name))));
        Arc::clone(lane)
    }
}

fn file(settings: &Settings) -> &str {
    settings.get("name").unwrap_or(DEFAULT_NAME)
}

#[async_trait]
impl Reporter for FileReporter {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn capability(&self) -> Capability {
        Capability::default().with_reconcile(true)
    }

    fn destination(&self, settings: &Settings) -> Result<Option<Destination>> {
        let name = file(settings);
        Ok(Some(Destination::new(SCHEME, [name], name)))
    }

    /// Dropped before the record's turn has come, it is not written.
    async fn report(&self, report: &Report, opts: &ReportOptions<'_>) -> Result<Receipt> {
        let name = file(opts.settings);
        let fsync = opts
            .settings
            .get("fsync")
            .and_then(parse_bool)
            .unwrap_or(false);
        let rendered = self.templates.render(opts.settings, report);
        let mut text = record(&rendered.text);
        let built_in = rendered.fault.is_some() || !matches!(report.subject(), Subject::Failure(_));
        if built_in && !text.ends_with('\n') {
            // No template of the user's says where this record ends.
            text.push('\n');
        }
        let mut warnings: Vec<Error> = rendered.fault.into_iter().collect();
        if text.trim().is_empty() {
            warnings.push(Error::new(
                ErrorKind::Template,
                "file.format gave an empty record; the built-in text was written",
            ));
            let summary = report.summary();
            text = record(&Markup::Lines.escape(&report.redactor().redact(&summary)));
            text.push('\n');
        }
        let lane = self.lane(name);
        if let Some(end) = lane.end().await? {
            // If the program ends before it can note that the record is written, the file tells.
            let place = serde_json::to_value(Place::new(end, &text))
                .map_err(|e| Error::internal("a place cannot be written as JSON").with_source(e))?;
            opts.save(place).await?;
        }
        lane.write(text, fsync).await?;
        let mut receipt = Receipt::delivered(name);
        receipt.warnings = warnings;
        Ok(receipt)
    }

    /// Looks into the file. A pipe or a terminal cannot tell.
    async fn reconcile(&self, _: &Report, opts: &ReportOptions<'_>) -> Result<Reconciled> {
        let name = file(opts.settings);
        let lane = self.lane(name);
        let Some(progress) = opts.progress else {
            // The place is kept before anything is written to a file; where there are no
            // places, nobody can tell.
            return Ok(match lane.end().await? {
                Some(_) => Reconciled::NotDelivered,
                None => Reconciled::CannotTell,
            });
        };
        let Ok(place) = Place::deserialize(progress) else {
            return Ok(Reconciled::CannotTell);
        };
        // Behind a write that is still under way.
        lane.end().await?;
        let looked = tokio::task::spawn_blocking(move || place.look(lane.path())).await;
        let found = looked.unwrap_or(Ok(Found::CannotTell)).map_err(|e| {
            let text = format!("cannot look into {name} for a record");
            Error::new(ErrorKind::Io, text).with_source(e)
        })?;
        Ok(found.answer(Receipt::delivered(name)))
    }

    /// Looks whether the file could be written to, and writes nothing.
    async fn check(&self, settings: &Settings) -> Result<()> {
        self.lane(file(settings)).check().await
    }
}

/// Sets up a [`FileReporter`] without the notifier's engine.
#[derive(Debug)]
#[must_use]
pub struct FileReporterBuilder {
    settings: SettingsBuilder,
}

impl FileReporterBuilder {
    fn set(mut self, key: &str, value: &str) -> Self {
        self.settings = self.settings.set(key, value);
        self
    }

    /// The file. Default [`DEFAULT_NAME`].
    pub fn name(self, path: &str) -> Self {
        self.set("name", path)
    }

    /// The template. Default [`DEFAULT_FORMAT`](crate::DEFAULT_FORMAT).
    pub fn format(self, template: &str) -> Self {
        self.set("format", template)
    }

    /// Wait until each record is on the disk. Default no.
    pub fn fsync(self, yes: bool) -> Self {
        self.set("fsync", if yes { "true" } else { "false" })
    }

    /// Builds the reporter and opens the file.
    ///
    /// # Errors
    /// As [`FileReporter::new`].
    pub fn build(self) -> Result<FileReporter> {
        FileReporter::new(&self.settings.build()?)
    }
}

/// Makes a [`FileReporter`] out of settings.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileFactory;

impl ReporterFactory for FileFactory {
    fn options(&self) -> OptionGroup {
        OPTIONS
    }

    fn build(&self, settings: &BackendSettings) -> Result<Arc<dyn Reporter>> {
        Ok(Arc::new(FileReporter::new(settings)?))
    }
}

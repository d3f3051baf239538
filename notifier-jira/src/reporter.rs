//! The reporter.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use notifier_core::{
    BackendSettings, Capability, Clock, Destination, Error, ErrorKind, Receipt, Reconciled, Report,
    ReportOptions, Reporter, ReporterExt as _, Result, Settings,
};
use notifier_http::{HttpClient, Method};

use crate::{
    JiraReporterBuilder, SCHEME,
    api::Api,
    cache::Cache,
    error::{Step, config},
    fields::Known,
    instance::Instance,
    message::{FieldTemplates, Message},
    meta::choose_field,
    project::Place,
    recent::Recent,
    registry::Registry,
    run::Attempt,
};

type PlaceKey = (String, String, String);

/// Opens issues in Jira, one for all failures of a kind as long as it is open.
///
/// What was made and whose answer was lost is looked for by a label of the delivery, half
/// a minute later and two minutes later, before it is made again.
#[derive(Debug)]
pub struct JiraReporter {
    http: HttpClient,
    templates: HashMap<String, Arc<FieldTemplates>>,
    settings: Settings,
    clock: Arc<dyn Clock>,
    instances: Cache<String, Instance>,
    places: Cache<PlaceKey, Place>,
    /// The statuses that a Jira does not have.
    no_status: Cache<(String, String), ()>,
    pub(crate) recent: Recent,
    pub(crate) registry: Registry,
}

impl JiraReporter {
    /// A reporter for use in a program of your own.
    pub fn builder() -> JiraReporterBuilder {
        JiraReporterBuilder::default()
    }

    /// A reporter of these settings.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] or [`ErrorKind::Template`] if the fields cannot be read; it names the field.
    pub fn new(
        settings: &BackendSettings,
        http: HttpClient,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let mut templates = HashMap::new();
        for text in settings.all_values("fields") {
            let compiled = Arc::new(FieldTemplates::compile(&text)?);
            templates.insert(text, compiled);
        }
        Ok(Self {
            http,
            templates,
            settings: settings.instance(notifier_core::DEFAULT_INSTANCE),
            instances: Cache::new(Arc::clone(&clock)),
            places: Cache::new(Arc::clone(&clock)),
            no_status: Cache::new(Arc::clone(&clock)),
            recent: Recent::default(),
            registry: Registry::new(Arc::clone(&clock)),
            clock,
        })
    }

    /// The settings that it was built with, for [`ReportOptions::new`].
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sends one report with the settings it was built with, once.
    ///
    /// # Errors
    /// As [`Reporter::report`]; [`ErrorKind::Config`] without an address.
    pub async fn send(&self, report: &Report) -> Result<Receipt> {
        self.send_once(report, &self.settings).await
    }

    pub(crate) fn api(&self, settings: &Settings) -> Result<Api> {
        Api::new(&self.http, settings, Arc::clone(&self.clock))
    }

    pub(crate) fn templates(&self, settings: &Settings) -> Result<Arc<FieldTemplates>> {
        let text = settings.require("fields")?;
        match self.templates.get(text) {
            Some(compiled) => Ok(Arc::clone(compiled)),
            None => FieldTemplates::compile(text).map(Arc::new),
        }
    }

    pub(crate) async fn instance(&self, api: &Api) -> Result<Instance> {
        let key = api.identity().to_owned();
        self.instances.get(key, Instance::ask(api)).await
    }

    pub(crate) async fn place(&self, api: &Api, project: &str, kind: &str) -> Result<Place> {
        let instance = self.instance(api).await?;
        let key = place_key(api, project, kind);
        self.places
            .get(key, Place::ask(api, instance, project, kind))
            .await
    }

    /// After a refusal that may come of things having changed in Jira.
    pub(crate) fn forget_place(&self, api: &Api, e: &Error, message: &Message) {
        if e.kind() == ErrorKind::Config {
            self.places
                .forget(&place_key(api, &message.project, &message.kind));
            self.instances.forget(&api.identity().to_owned());
        }
    }

    /// Whether this Jira is known to have no such status.
    pub(crate) async fn has_no_status(&self, api: &Api, status: &str) -> bool {
        let key = (api.identity().to_owned(), status.to_owned());
        self.no_status.kept(&key).await.is_some()
    }

    pub(crate) async fn note_no_status(&self, api: &Api, status: &str) {
        let key = (api.identity().to_owned(), status.to_owned());
        self.no_status.set(key, ()).await;
    }
}

fn place_key(api: &Api, project: &str, kind: &str) -> PlaceKey {
    (
        api.identity().to_owned(),
        project.to_owned(),
        kind.to_owned(),
    )
}

#[async_trait]
impl Reporter for JiraReporter {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn capability(&self) -> Capability {
        Capability::default().with_reconcile(true)
    }

    fn destination(&self, settings: &Settings) -> Result<Option<Destination>> {
        let Some(url) = settings.get("url") else {
            return Ok(None);
        };
        let parts = [
            url,
            settings.text("username"),
            settings.text("password"),
            settings.text("fields"),
        ];
        let shown = notifier_core::redact::origin(url);
        let shown = shown.split_once("://").map_or(&*shown, |(_, host)| host);
        Ok(Some(Destination::new(SCHEME, parts, shown)))
    }

    async fn report(&self, report: &Report, opts: &ReportOptions<'_>) -> Result<Receipt> {
        Attempt::new(self, report, opts).await?.run().await
    }

    async fn reconcile(&self, report: &Report, opts: &ReportOptions<'_>) -> Result<Reconciled> {
        Attempt::new(self, report, opts).await?.reconcile().await
    }

    /// Logs in and looks at project, type and fields; nothing is made.
    async fn check(&self, settings: &Settings) -> Result<()> {
        let api = self.api(settings)?;
        let instance = self.instance(&api).await?;
        let myself = instance.flavour.path("myself");
        let answer = api
            .send(api.request(Method::GET, &myself), Step::Look)
            .await?;
        if !answer.is_success() {
            return Err(api.refused(&answer, Step::Look));
        }
        let templates = self.templates(settings)?;
        // Where they differ from task to task, only a task can tell.
        let Some((project, kind)) = templates.fixed_place() else {
            return Ok(());
        };
        let place = self.place(&api, project, kind).await?;
        let mut set = vec!["project", "issuetype", "summary"];
        for (name, known) in templates.names() {
            match known {
                None => {
                    let field = choose_field(&place.fields, name, &place.shown())?;
                    set.push(&field.field_id);
                }
                Some(Known::Description) => set.push("description"),
                Some(_) => {}
            }
        }
        let missing: Vec<&str> = place
            .fields
            .iter()
            .filter(|f| f.required && !f.has_default_value && !set.contains(&f.field_id.as_str()))
            // Jira fills it in with who is logged in.
            .filter(|f| f.field_id != "reporter")
            .map(|f| f.name.as_str())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(config(format!(
            "jira.fields: {} needs {}; add to the fields",
            place.shown(),
            crate::meta::list(missing.into_iter())
        )))
    }
}

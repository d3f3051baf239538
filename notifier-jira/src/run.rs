//! One attempt to deliver one report.

use notifier_core::{
    Delivered, Delivery, Error, ErrorKind, Receipt, Reconciled, Report, ReportOptions, Result,
    Subject,
};
use notifier_http::{Answer, Method};
use serde::Deserialize;

use crate::{
    JiraReporter,
    api::{Api, Flavour},
    attach,
    error::{Step, complaints, config, is_about_others, is_closed_to_us, one_line},
    issue::browse,
    jql::Closed,
    lookup::Found,
    message::Message,
    options::OnRepeat,
    payload::{Payload, delivery_label, marker},
    progress::{Creating, Progress},
    project::Place,
    recent::Known,
    repeat,
};

/// One attempt.
pub(crate) struct Attempt<'a> {
    pub(crate) jira: &'a JiraReporter,
    pub(crate) api: Api,
    report: &'a Report,
    pub(crate) opts: &'a ReportOptions<'a>,
    progress: Progress,
    pub(crate) closed: Closed,
    pub(crate) warnings: Vec<Error>,
    /// Whom the receipt names.
    target: String,
}

#[derive(Deserialize)]
struct Created {
    key: String,
}

impl<'a> Attempt<'a> {
    pub(crate) async fn new(
        jira: &'a JiraReporter,
        report: &'a Report,
        opts: &'a ReportOptions<'a>,
    ) -> Result<Self> {
        let api = jira.api(opts.settings)?;
        let status = opts.settings.text("issue_closed_status").trim();
        let closed = if status.is_empty() || jira.has_no_status(&api, status).await {
            Closed::Done
        } else {
            Closed::Status(status.to_owned())
        };
        Ok(Self {
            jira,
            api,
            report,
            opts,
            progress: Progress::read(opts.progress),
            closed,
            warnings: Vec::new(),
            target: "jira".to_owned(),
        })
    }

    /// Delivers, as far as that was not done before.
    pub(crate) async fn run(mut self) -> Result<Receipt> {
        let instance = self.jira.instance(&self.api).await?;
        if let Some(key) = self.progress.issue.clone() {
            return Ok(self.finish(instance.flavour, &key).await);
        }
        if let Some(creating) = self.progress.creating.clone()
            && let Some(key) = self.made(instance.flavour, &creating).await?
        {
            self.settled(instance.flavour, &creating.marker, &key).await;
            return Ok(self.finish(instance.flavour, &key).await);
        }
        let mut message = self
            .jira
            .templates(self.opts.settings)?
            .render(self.report)?;
        self.warnings.append(&mut message.warnings);
        let place = self
            .jira
            .place(&self.api, &message.project, &message.kind)
            .await?;
        self.target = one_line(&self.api.redact(&place.project), 60);
        let marker = marker(&place, &message.about);
        let jira = self.jira;
        let _turn = jira.recent.turn(&self.scoped(&marker)).await;
        let on_repeat = OnRepeat::read(self.opts.settings.text("on_repeat"));
        let is_recovery = matches!(self.report.subject(), Subject::Recovery(_));
        let wants_closed = on_repeat == OnRepeat::Reopen && !is_recovery;
        match self.find(&place, &message, &marker, wants_closed).await? {
            Some(Found::Open(key)) => self.repeat(&place, &key, &marker, on_repeat).await,
            Some(Found::Closed(key)) => {
                match self.issue(&place, &key).reopen(&self.closed).await? {
                    None => self.repeat(&place, &key, &marker, on_repeat).await,
                    Some(why) => {
                        self.warnings.push(why);
                        self.create(&place, &message, &marker).await
                    }
                }
            }
            // An issue for what is over would stand open, and the next notice would be taken
            // for a part of it.
            None if is_recovery => Ok(self.done_without()),
            None => self.create(&place, &message, &marker).await,
        }
    }

    /// Says whether an attempt before this one arrived.
    pub(crate) async fn reconcile(mut self) -> Result<Reconciled> {
        // What comes after the issue can be done again.
        let Some(mut creating) = self.progress.creating.clone() else {
            let is_done = self.progress.issue.is_some() && self.progress.attaching.is_none();
            return Ok(match (is_done, self.progress.issue.clone()) {
                (true, Some(key)) => Reconciled::Delivered(self.receipt(&key)),
                _ => Reconciled::NotDelivered,
            });
        };
        let instance = self.jira.instance(&self.api).await?;
        if let Some(key) = self.made(instance.flavour, &creating).await? {
            self.settled(instance.flavour, &creating.marker, &key).await;
            return Ok(Reconciled::Delivered(
                self.finish(instance.flavour, &key).await,
            ));
        }
        let now = self.api.clock().now();
        if creating.at > now.as_millisecond() {
            // The clock was set back: from now on, then.
            creating.at = now.as_millisecond();
            self.progress.creating = Some(creating.clone());
            self.opts.save(self.progress.json()).await?;
        }
        let marker = self.scoped(&creating.marker);
        match creating.wait(now) {
            None => {
                self.jira.recent.forget(&marker);
                Ok(Reconciled::NotDelivered)
            }
            Some(wait) => {
                // Others wait, too, until it is known: also after a restart.
                if self.jira.recent.get(&marker, now).is_none() {
                    let asked = Known::Asked(self.opts.id.to_string());
                    self.jira.recent.note(&marker, now, asked);
                }
                let text = "an issue that was asked for is not found yet; the search may be behind";
                Err(Error::new(ErrorKind::Pending, text).with_retry_after(wait))
            }
        }
    }

    /// A marker of this Jira.
    pub(crate) fn scoped(&self, marker: &str) -> String {
        format!("{} {marker}", self.api.identity())
    }

    fn issue<'b>(&'b self, place: &Place, key: &'b str) -> repeat::Place<'b> {
        repeat::Place {
            api: &self.api,
            flavour: place.instance.flavour,
            key,
        }
    }

    /// What becomes of a report whose issue is open.
    async fn repeat(
        mut self,
        place: &Place,
        key: &str,
        marker: &str,
        on_repeat: OnRepeat,
    ) -> Result<Receipt> {
        let said = match self.report.subject() {
            // Each begins or ends another outage, whatever is done with repeats.
            Subject::Notice(_) | Subject::Recovery(_) => self.tell(place, key).await,
            _ if on_repeat == OnRepeat::Ignore => Ok(()),
            _ => {
                let id = self.opts.id.as_str();
                let issue = self.issue(place, key);
                issue.count(self.report, id, marker).await
            }
        };
        match said {
            Err(e) if is_closed_to_us(&e) => {
                let text = format!("{key} is there, and nothing could be added to it");
                self.warnings
                    .push(Error::new(e.kind(), text).with_source(e));
            }
            said => said?,
        }
        self.progress.issue = Some(key.to_owned());
        Ok(self.receipt(key))
    }

    /// Comments on an issue, once for each delivery.
    async fn tell(&mut self, place: &Place, key: &str) -> Result<()> {
        let words = delivery_label(self.opts.id);
        if self.progress.commenting && self.issue(place, key).ours(&words).await?.is_some() {
            return Ok(());
        }
        let text = self.report.summary();
        let text = format!("{}\n({words})", crate::neutral::neutral(&text));
        let body = place.instance.flavour.rich(&text).0;
        self.progress.commenting = true;
        self.opts.save(self.progress.json()).await?;
        self.issue(place, key).comment(&body).await?;
        Ok(())
    }

    /// Done, and no issue has it.
    fn done_without(self) -> Receipt {
        let receipt = Receipt::delivered(self.target.clone());
        self.with_warnings(receipt)
    }

    /// Makes the issue.
    async fn create(mut self, place: &Place, message: &Message, marker: &str) -> Result<Receipt> {
        let made = Payload::new(place, message, marker, self.opts.id);
        // Perhaps the field was added since it was asked for.
        let (mut payload, warnings) =
            made.inspect_err(|e| self.jira.forget_place(&self.api, e, message))?;
        self.warnings.extend(warnings);
        let scoped = self.scoped(marker);
        let now = self.api.clock().now();
        let flavour = place.instance.flavour;
        self.note_creating(&payload, place, message, marker).await?;
        let asked = Known::Asked(self.opts.id.to_string());
        self.jira.recent.note(&scoped, now, asked);
        let mut sent = self.post(flavour, &payload).await;
        if let Ok(answer) = &sent
            && matches!(answer.status(), 400 | 413)
            && let Some(less) = self.less(place, &payload, answer, message)
        {
            // Refused for its form, so certainly not made: once more, with less in it.
            let why = self.api.refused(answer, Step::Create);
            if less.labelled != payload.labelled {
                self.note_creating(&less, place, message, marker).await?;
            }
            payload = less;
            let text = "the issue was made without what jira did not take";
            self.warnings
                .push(Error::new(ErrorKind::Rejected, text).with_source(why));
            sent = self.post(flavour, &payload).await;
        }
        let e = match sent.and_then(|answer| self.read_created(&answer, &payload)) {
            Ok(key) => {
                self.settled(flavour, marker, &key).await;
                return Ok(self.finish(flavour, &key).await);
            }
            Err(e) => e,
        };
        if e.delivery() == Delivery::NotDelivered {
            self.progress.creating = None;
            self.jira.recent.forget(&scoped);
            self.jira.forget_place(&self.api, &e, message);
        }
        let progress = self.progress.json();
        let target = self.target.clone();
        Ok(self.with_warnings(
            Receipt::default()
                .and(target, Err(e))
                .with_progress(progress),
        ))
    }

    /// Notes that an issue is about to be made: should the answer be lost, it is looked for.
    async fn note_creating(
        &mut self,
        payload: &Payload,
        place: &Place,
        message: &Message,
        marker: &str,
    ) -> Result<()> {
        self.progress.creating = Some(Creating {
            at: self.api.clock().now().as_millisecond(),
            project: place.project.clone(),
            summary: message.summary.clone(),
            labelled: payload.labelled,
            marker: marker.to_owned(),
        });
        self.opts.save(self.progress.json()).await
    }

    async fn post(&self, flavour: Flavour, payload: &Payload) -> Result<Answer> {
        let request = self
            .api
            .request(Method::POST, &flavour.path("issue"))
            .json(&payload.json());
        self.api.send(request, Step::Create).await
    }

    /// What is left of an issue that was refused, if that may be taken.
    fn less(
        &self,
        place: &Place,
        payload: &Payload,
        answer: &Answer,
        message: &Message,
    ) -> Option<Payload> {
        let complaints = complaints(answer);
        let mut fields: Vec<&str> = complaints.keys().map(String::as_str).collect();
        if answer.status() == 413 || fields == ["description"] {
            fields = vec!["description"];
        }
        let mut less = payload.without(fields.iter().copied(), self.opts.id)?;
        if fields.contains(&"description") && message.description().is_some() {
            let plain = place.instance.flavour.plain(&self.report.summary());
            less.fields.insert("description".to_owned(), plain);
        }
        Some(less)
    }

    fn read_created(&self, answer: &Answer, payload: &Payload) -> Result<String> {
        if answer.is_success() {
            let created: Result<Created> = self.api.read(answer, Step::Create);
            return created.map(|c| c.key);
        }
        let e = self.api.refused(answer, Step::Create);
        if answer.status() == 400 {
            let is_setting = is_about_others(&complaints(answer), &payload.names());
            let e = Error::new(
                ErrorKind::Config,
                format!(
                    "{e}; sent were {}",
                    one_line(&payload.names().join(", "), 300)
                ),
            )
            .with_code("400");
            return Err(match is_setting {
                true => e.with_scope(notifier_core::Scope::Destination),
                false => e,
            });
        }
        if answer.status() == 404 {
            return Err(config(format!("{e}; may this user create issues there?")).with_code("404"));
        }
        Err(e)
    }

    /// Remembers the issue of a marker.
    async fn settled(&mut self, flavour: Flavour, marker: &str, key: &str) {
        self.progress.creating = None;
        self.progress.issue = Some(key.to_owned());
        if self.opts.settings.size("attach_logs").unwrap_or(0) > 0
            && self.report.subject().failure().is_some()
        {
            self.progress.attaching = Some(0);
        }
        let scoped = self.scoped(marker);
        let now = self.api.clock().now();
        self.jira
            .recent
            .note(&scoped, now, Known::Issue(key.to_owned()));
        if let Err(e) = self.opts.save(self.progress.json()).await {
            self.warnings.push(e);
        }
        self.jira
            .registry
            .note(&self.api, flavour, marker, key)
            .await;
    }

    /// What comes after the issue: its files. It is not lost over them.
    async fn finish(mut self, flavour: Flavour, key: &str) -> Receipt {
        let bytes = self.opts.settings.size("attach_logs").unwrap_or(0);
        let tries = self.progress.attaching.filter(|_| bytes > 0);
        if let Some(tries) = tries.filter(|t| *t < attach::TRIES) {
            // Noted first: of an attempt that ends here, nobody knows what it got done.
            self.progress.attaching = Some(tries + 1);
            if let Err(e) = self.opts.save(self.progress.json()).await {
                let text = format!("the logs were not attached to {key}: that cannot be noted");
                self.warnings
                    .push(Error::new(e.kind(), text).with_source(e));
                self.progress.attaching = None;
                return self.receipt(key);
            }
            let again = tries > 0 || self.opts.attempt > 1;
            let id = self.opts.id.as_str();
            match attach::attach(&self.api, flavour, key, self.report, id, bytes, again).await {
                Ok(warnings) => self.warnings.extend(warnings),
                Err(e) if tries + 1 < attach::TRIES => {
                    let progress = self.progress.json();
                    let target = self.target.clone();
                    // The issue is there; only its files are asked for again.
                    let e = e.with_delivery(Delivery::NotDelivered);
                    let receipt = Receipt::default()
                        .and(target, Err(e))
                        .with_progress(progress);
                    return self.with_warnings(receipt);
                }
                Err(e) => self.warnings.push(
                    Error::new(e.kind(), format!("the logs were not attached to {key}"))
                        .with_source(e),
                ),
            }
        } else if tries.is_some() {
            let text = format!("not all logs were attached to {key}: no attempt came to its end");
            self.warnings.push(Error::new(ErrorKind::Timeout, text));
        }
        self.progress.attaching = None;
        self.receipt(key)
    }

    fn receipt(mut self, key: &str) -> Receipt {
        self.progress.issue = Some(key.to_owned());
        let mut delivered = Delivered::with_id(one_line(key, 255));
        delivered.url = Some(browse(&self.api, key));
        let target = self.target.clone();
        let progress = self.progress.json();
        self.with_warnings(
            Receipt::default()
                .and(target, Ok(delivered))
                .with_progress(progress),
        )
    }

    fn with_warnings(self, mut receipt: Receipt) -> Receipt {
        receipt.warnings = self.warnings;
        receipt
    }
}

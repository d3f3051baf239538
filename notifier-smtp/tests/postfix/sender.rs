//! A reporter that sends to one relay, and what became of a mail.

use std::{sync::Arc, time::Duration};

use notifier_core::{
    BackendSettings, DeliveryId, Error, FailureRecord, Origin, Receipt, Report, ReportOptions,
    Reporter, ReporterFactory as _, Result, Settings, jiff::Timestamp,
};
use notifier_smtp::{OPTIONS, SmtpFactory};
use notifier_testkit::{postfix::Postfix, smtp::Certificates};
use tempfile::TempDir;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Sender {
    pub(crate) reporter: Arc<dyn Reporter>,
    pub(crate) settings: Settings,
    /// Has the file of the authority that is trusted.
    _folder: TempDir,
}

impl Sender {
    /// Sends to a port of this machine, with these options besides; `ca` says whom to trust.
    pub(crate) fn to(port: u16, ca: Option<&Certificates>, options: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut base = BackendSettings::new(OPTIONS);
        let mut set = |key: &str, value: &str| base.set(Origin::Flag, key, value).unwrap();
        set("server", &format!("127.0.0.1:{port}"));
        set("from", "Watcher <watcher@node.example>");
        set("subject", "{{ .failure.Name }}");
        set("format", "{{ .failure.ID }} died\n");
        if let Some(ca) = ca {
            let file = folder.path().join("ca.pem");
            std::fs::write(&file, ca.ca_pem()).unwrap();
            set("ca", file.to_str().unwrap());
        }
        for (key, value) in options {
            set(key, value);
        }
        let factory: SmtpFactory = Default::default();
        Self {
            reporter: factory.build(&base).unwrap(),
            settings: base.instance("default"),
            _folder: folder,
        }
    }

    /// One attempt to tell of a task's death.
    pub(crate) async fn send(&self, task: &str) -> Result<Receipt> {
        self.send_report(&Report::failure(death(task))).await
    }

    pub(crate) async fn send_report(&self, report: &Report) -> Result<Receipt> {
        let id = DeliveryId::new(format!("{:?}", report.subject().key()));
        let options = ReportOptions::new(&id, &self.settings);
        let sent = self.reporter.report(report, &options);
        let ended = tokio::time::timeout(PATIENCE * 2, sent).await;
        ended.expect("an attempt ends by itself")
    }
}

pub(crate) fn death(task: &str) -> FailureRecord {
    FailureRecord::new(task, task, "TASK_FAILED", Timestamp::UNIX_EPOCH)
}

/// The error of an attempt that failed as a whole, or for the first target that was refused.
pub(crate) fn refusal(sent: Result<Receipt>) -> Error {
    match sent {
        Err(e) => e,
        Ok(receipt) => {
            let said = format!("{receipt:?}");
            let refused = receipt.targets.into_iter().find_map(|t| t.verdict.err());
            refused.unwrap_or_else(|| panic!("nobody was refused: {said}"))
        }
    }
}

/// What a person reads of an error: one line for each cause.
pub(crate) fn whole(e: &Error) -> String {
    e.report().to_string()
}

/// The only message of a mailbox, once it is there.
pub(crate) async fn only(relay: &Postfix, mailbox: &str) -> Vec<u8> {
    let mut mails = relay.wait_for(mailbox, 1, PATIENCE).await;
    assert_eq!(mails.len(), 1, "in {mailbox}: {}", relay.log());
    mails.remove(0)
}

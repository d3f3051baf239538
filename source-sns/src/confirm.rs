//! Confirming a subscription.

use std::time::Duration;

use notifier_core::ErrorKind;
use notifier_http::{Answer, HttpClient};
use url::form_urlencoded;

use crate::{
    Notification,
    refusal::{Refusal, RefusalKind},
};

/// The time for one.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Confirms subscriptions by `ConfirmSubscription` with the token, at the address that SNS has in the topic's
/// region, or at one that is set. The address in the message is never visited.
/// (docs.aws.amazon.com/sns/latest/api/API_ConfirmSubscription.html)
#[derive(Debug)]
pub(crate) struct Confirmer {
    pub(crate) http: HttpClient,
    /// In place of Amazon's, without a slash at its end.
    pub(crate) endpoint: Option<String>,
}

impl Confirmer {
    /// Confirms the subscription of a message that was verified.
    pub(crate) async fn confirm(&self, n: &Notification) -> Result<(), Refusal> {
        let amazon = n.topic.endpoint();
        let base = self.endpoint.as_deref().unwrap_or(&amazon);
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", "ConfirmSubscription")
            .append_pair("Version", "2010-03-31")
            .append_pair("TopicArn", n.topic.as_str())
            .append_pair("Token", n.token.as_deref().unwrap_or_default())
            .finish();
        let asked = self
            .http
            .get(&format!("{base}/?{query}"))
            .secret_url()
            .timeout(Some(TIMEOUT))
            .send()
            .await
            .and_then(Answer::success);
        match asked {
            Ok(_) => Ok(()),
            Err(e) => {
                let (kind, why) = match e.kind() {
                    ErrorKind::Rejected
                    | ErrorKind::PermissionDenied
                    | ErrorKind::Unauthenticated
                    | ErrorKind::TooLarge => (
                        RefusalKind::Unconfirmed,
                        "SNS does not take the confirmation; subscribe again for a new token",
                    ),
                    _ => (
                        RefusalKind::ConfirmationUnavailable,
                        "the subscription cannot be confirmed now",
                    ),
                };
                // The other side may say the token again.
                let token = n.token.iter().map(String::as_str);
                let told = notifier_core::redact::Redactor::new(token);
                let said = told.redact(&e.report().to_string()).into_owned();
                Err(Refusal::new(kind, why).because(notifier_core::Error::new(e.kind(), said)))
            }
        }
    }
}

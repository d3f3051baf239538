//! From a request to a failure that is stored.

use std::fmt;

use notifier_core::{Engine, ErrorKind, FailureRecord, Secret};

use crate::{
    Decoder, HandlerBuilder, Notification, NotificationType, TopicArn,
    confirm::Confirmer,
    raw,
    refusal::{Refusal, RefusalKind, Refusals},
    verify::Verifier,
};

/// The longest body unless another is set: what SNS sends at most, escaped as JSON, is seldom more.
pub const MAX_BODY: usize = 300 * 1024;

/// A request of SNS, of whatever server.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    header: &'a (dyn Fn(&str) -> Option<&'a str> + Sync),
    pub(crate) query: Option<&'a str>,
    body: &'a [u8],
    from: &'a str,
}

impl<'a> Request<'a> {
    /// `header` answers the value of a header by its name in lower case.
    pub fn new(header: &'a (dyn Fn(&str) -> Option<&'a str> + Sync), body: &'a [u8]) -> Self {
        Self {
            header,
            query: None,
            body,
            from: "",
        }
    }

    /// The query of the address, without its question mark.
    #[must_use]
    pub fn query(mut self, query: Option<&'a str>) -> Self {
        self.query = query;
        self
    }

    /// Who sent it, for the log.
    #[must_use]
    pub fn from(mut self, from: &'a str) -> Self {
        self.from = from;
        self
    }

    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        (self.header)(name)
    }
}

/// Neither headers nor query nor body are shown.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("from", &self.from)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What a request that was not refused was.
#[derive(Debug)]
#[non_exhaustive]
pub enum Received {
    /// A notification, as the failure that it tells of. Not stored yet.
    Failure(Box<FailureRecord>),
    /// A subscription, which is confirmed now.
    Confirmed(TopicArn),
    /// The end of a subscription.
    Unsubscribed(TopicArn),
}

/// The answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// The HTTP status. 200 only after the failure was stored.
    pub status: u16,
    /// Whether `WWW-Authenticate: Basic` belongs to it.
    pub challenge: bool,
}

/// Takes what SNS posts: verifies it, confirms subscriptions, and hands failures to an engine.
#[derive(Debug)]
pub struct Handler {
    pub(crate) topics: Vec<TopicArn>,
    pub(crate) verifier: Verifier,
    pub(crate) confirmer: Confirmer,
    pub(crate) decoder: Decoder,
    pub(crate) raw_secret: Option<Secret>,
    pub(crate) max_body: usize,
    pub(crate) refusals: Refusals,
}

impl Handler {
    /// A handler of these topics. See [`HandlerBuilder`].
    pub fn builder<I>(topics: I) -> HandlerBuilder
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        HandlerBuilder::new(topics)
    }

    /// The topics that may tell.
    pub fn topics(&self) -> &[TopicArn] {
        &self.topics
    }

    /// The longest body that is to be read, in bytes.
    pub fn max_body(&self) -> usize {
        self.max_body
    }

    /// Takes one request, and stores the failure that it tells of. Refusals are logged: each kind
    /// once a minute, with how many there were.
    ///
    /// A message that comes again, which is not unusual, is known by its id (a document by its own) and is answered with 200.
    pub async fn handle(&self, engine: &Engine, request: &Request<'_>) -> Answer {
        let result = match self.receive(request).await {
            Ok(Received::Failure(failure)) => self.store(engine, &failure).await,
            Ok(_) => Ok(()),
            Err(refusal) => Err(refusal),
        };
        match result {
            Ok(()) => Answer {
                status: 200,
                challenge: false,
            },
            Err(refusal) => self.refused(&refusal, request.from),
        }
    }

    /// What is answered to a body that is longer than [`max_body`](Self::max_body), of which no more was read.
    pub fn too_large(&self, from: &str) -> Answer {
        self.refused(&self.is_too_large(), from)
    }

    /// Verifies one request and says what it is, without storing anything.
    ///
    /// # Errors
    /// Why it is refused.
    pub async fn receive(&self, request: &Request<'_>) -> Result<Received, Refusal> {
        if request.body.len() > self.max_body {
            return Err(self.is_too_large());
        }
        let is_raw = request.header("x-amz-sns-rawdelivery") == Some("true");
        if is_raw {
            return self.receive_raw(request);
        }
        let n = Notification::parse(request.body)?;
        self.check_topic(&n.topic)?;
        self.verifier.verify(&n).await?;
        match n.kind {
            NotificationType::Notification => {
                let failure = self.decoder.decode(
                    n.topic.as_str(),
                    &n.message_id,
                    n.subject.as_deref(),
                    &n.message,
                    &n.attributes,
                    n.published,
                );
                Ok(Received::Failure(Box::new(failure)))
            }
            NotificationType::SubscriptionConfirmation => {
                self.confirmer.confirm(&n).await?;
                tracing::info!(topic = %n.topic, "subscribed");
                Ok(Received::Confirmed(n.topic))
            }
            NotificationType::UnsubscribeConfirmation => {
                tracing::warn!(topic = %n.topic, "the subscription was ended: nothing more will come of this topic");
                Ok(Received::Unsubscribed(n.topic))
            }
        }
    }

    /// A raw delivery has what it needs in its headers.
    /// (docs.aws.amazon.com/sns/latest/dg/sns-large-payload-raw-message-delivery.html)
    fn receive_raw(&self, request: &Request<'_>) -> Result<Received, Refusal> {
        raw::check(self.raw_secret.as_ref(), request)?;
        let malformed = |why: &str| Refusal::new(RefusalKind::Malformed, why);
        let header = |name| request.header(name).unwrap_or_default();
        if header("x-amz-sns-message-type") != NotificationType::Notification.word() {
            return Err(Refusal::new(
                RefusalKind::UnknownType,
                "a raw delivery that is no Notification",
            ));
        }
        let topic: TopicArn = header("x-amz-sns-topic-arn")
            .parse()
            .map_err(|e| malformed("x-amz-sns-topic-arn is no ARN of a topic").because(e))?;
        self.check_topic(&topic)?;
        let id = header("x-amz-sns-message-id");
        let in_id = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if !(1..=128).contains(&id.len()) || !id.bytes().all(in_id) {
            return Err(malformed("x-amz-sns-message-id is no id"));
        }
        let text = std::str::from_utf8(request.body)
            .map_err(|_| malformed("the body of a raw delivery is no text"))?;
        let now = self.verifier.clock.now();
        let none = std::collections::BTreeMap::new();
        let failure = self
            .decoder
            .decode(topic.as_str(), id, None, text, &none, now);
        Ok(Received::Failure(Box::new(failure)))
    }

    fn check_topic(&self, topic: &TopicArn) -> Result<(), Refusal> {
        match self.topics.contains(topic) {
            true => Ok(()),
            false => Err(Refusal::new(
                RefusalKind::ForeignTopic,
                format!("{topic} is none of relay.topics"),
            )),
        }
    }

    async fn store(&self, engine: &Engine, failure: &FailureRecord) -> Result<(), Refusal> {
        engine.submit(failure).await.map(|_| ()).map_err(|e| {
            let why = match e.kind() {
                ErrorKind::Full => "the outbox is full",
                _ => "the outbox cannot be written to",
            };
            Refusal::new(RefusalKind::Unavailable, why).because(e)
        })
    }

    fn is_too_large(&self) -> Refusal {
        Refusal::new(
            RefusalKind::TooLarge,
            format!("the body is longer than {} bytes", self.max_body),
        )
    }

    fn refused(&self, refusal: &Refusal, from: &str) -> Answer {
        let now = self.verifier.clock.now();
        self.refusals.tell(refusal, from, now);
        Answer {
            status: refusal.status(),
            challenge: refusal.kind() == RefusalKind::Unauthenticated,
        }
    }
}

//! A fake SNS: who takes what is published, and who sends signed notifications.
//!
//! [`FakeSns`] takes `Publish` for the topics that were made, and holds a message to the documented
//! limits: the size with attributes, the subject, the names and values of attributes, an object of strings
//! with `default` where there is one for each protocol, group and id in FIFO topics, which drop a second message of the
//! same id for five minutes. Beyond what SNS itself looks at, it refuses characters that queues refuse, more
//! than ten attributes, and text messages that are too long. Once it knows a key, it checks signatures (version 4), their
//! time by its own clock, and the token of temporary keys. A script ([`SnsReply`]) answers otherwise. Nothing is delivered on.
//!
//! [`FakePlaces`] gives out temporary keys where programs on AWS look for them.

mod places;
mod publish;
mod rules;
mod sender;
mod sign;

pub use self::{
    places::{FakePlaces, TemporaryKey},
    publish::{FakeSns, Published, SnsReply},
    sender::{Posted, SnsMessage, SnsSender},
};

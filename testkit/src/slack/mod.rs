//! A scriptable fake of Slack's incoming webhooks.
//!
//! [`FakeSlack`] has any number of hooks under `/services/…` and judges what is posted
//! to them: JSON or a form with `payload`; `no_text`, `invalid_payload`,
//! `invalid_blocks`, `too_many_attachments` with status 400; `invalid_token` with 403;
//! `no_service` and `channel_not_found` with 404; texts beyond 40,000 characters are cut.
//! The limits are those Slack documents, but for the sum over all blocks (13,200
//! characters), which is observed. Other methods than POST are an `invalid_payload`,
//! which is not documented either. A [`RateLimit`] is off unless set.
//!
//! A script per hook ([`SlackReply`]) answers otherwise: errors of all kinds, resets,
//! silence, endless answers. The fake proves what a client sends and how it takes
//! answers, not what Slack does.

mod reply;
mod server;
mod verdict;

pub use reply::{RateBody, SlackReply};
pub use server::{FakeSlack, RateLimit, SlackMessage};

//! A scriptable fake of HipChat's room notifications, API version 2.
//!
//! [`FakeHipchat`] has any number of rooms under `/v2/room/…/notification`, each with a
//! token of its own, and judges what is posted to them: 401 without a known
//! `Authorization: Bearer`, 403 for the token of another room, 404 for a room that is not
//! there, 405 for other methods, 400 for what is against the documents: a `message` of 1 to
//! 10,000 characters, `message_format` html or text, one of six values of `color`, `notify`
//! true or false, `from` of at most 64 characters, a `card` with `style`, `id` and `title`.
//! What it takes it answers with 204. A token in the query counts for nothing, since one in
//! an address lands in logs. A [`RateLimit`] is off unless set.
//!
//! A script per room ([`HipchatReply`]) answers otherwise. The fake proves what a client
//! sends and how it takes answers, not what HipChat does. Limits as of
//! developer.atlassian.com/server/hipchat, read 2026.

mod reply;
mod server;
mod verdict;

pub use reply::HipchatReply;
pub use server::{FakeHipchat, HipchatMessage, RateLimit};

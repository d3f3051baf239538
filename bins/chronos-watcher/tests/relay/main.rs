//! The whole way of a failure: a job of the fake Chronos on the fake cluster, the built watcher, a real Postfix
//! as the node's relay, a real Postfix behind it, and the owners' mailboxes there.

mod away;
mod mail;
mod runs;
mod scene;
mod trouble;

//! What becomes of a mail when the relay does this or that: a row each, run against a scripted
//! relay. With `--nocapture` the tables are printed: what the relay does, the verdict of each
//! recipient, the dialogue as the relay saw it, and what the first error says.

mod again;
mod body;
mod envelope;
mod extensions;
mod greeting;
mod login;
mod outcome;
mod pool;
mod replies;
mod rig;
mod row;
mod tls;
mod verbs;

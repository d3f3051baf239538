//! What is said of a server that does this or that: a row each, run against a scripted server.
//! With `--nocapture` the tables are printed: what the server does, and the check that tells.

mod envelope;
mod greeting;
mod hostile;
mod login;
mod row;
mod second;
mod tls;

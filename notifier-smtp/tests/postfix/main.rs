//! Mail through a real Postfix, read back from where it was delivered.

mod certificates;
mod login;
mod message;
mod recipients;
mod sender;

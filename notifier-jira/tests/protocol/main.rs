//! What is sent to Jira and how its answers are taken, against `notifier-testkit`'s fake.

mod create;
mod fields;
mod lost;
mod once;
mod repeat;
mod rig;

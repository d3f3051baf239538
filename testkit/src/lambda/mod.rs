//! The runtime API of AWS Lambda, for functions under test as built programs.
//!
//! [`FakeLambda`] hands events to a program that asks for them, with deadline and trace id, and
//! records what it answers; [`Instance`] is the program, which can be frozen between
//! invocations, as Lambda does, and killed in one.
//! (docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html, read 2026-11)
//!
//! ```no_run
//! # async fn test() -> std::io::Result<()> {
//! use std::time::Duration;
//! use notifier_testkit::lambda::FakeLambda;
//!
//! let lambda = FakeLambda::start().await?;
//! let mut instance = lambda.launch("target/debug/sns-relay", &[("NOTIFIER_CONFIG", "relay.toml")]);
//! let answer = lambda.invoke(r#"{"Records": []}"#, Duration::from_secs(30)).await;
//! assert!(answer.response().is_object());
//! instance.freeze().await;
//! instance.thaw();
//! # Ok(()) }
//! ```

mod answer;
mod instance;
mod server;
mod wire;

pub use answer::{Answer, Outcome};
pub use instance::Instance;
pub use server::FakeLambda;

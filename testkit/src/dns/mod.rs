//! A DNS server on loopback that says what it is told to, by UDP and TCP.
//!
//! A [`Zone`] has the records, and the names at which it misbehaves. What it has no name of does
//! not exist (NXDOMAIN); a name without records of the type asked for has none (RFC 1035, RFC 2308).
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use notifier_testkit::dns::{FakeDns, Zone};
//!
//! let zone = Zone::new()
//!     .address("mail.corp.example", "203.0.113.25")
//!     .text("corp.example", "v=spf1 mx -all")
//!     .mx("corp.example", 10, "mail.corp.example")
//!     .pointer("203.0.113.25", "mail.corp.example")
//!     .silent("slow.example");
//! let dns = FakeDns::start(zone).await;
//! assert!(dns.address().ip().is_loopback());
//! assert!(dns.questions().is_empty());
//! # }
//! ```

mod server;
mod zone;

pub use server::{FakeDns, Question};
pub use zone::Zone;

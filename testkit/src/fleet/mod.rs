//! A fake fleet: what the agents of a cluster publish, and the API that shows it.
//!
//! [`FleetModel`] holds machines, units and the state that each machine's agent published of
//! each unit; a test drives it by hand. [`FakeFleet`] serves it on a loopback port and, if asked
//! to, on a unix socket. What a client may trip over is as in fleet 1.0
//! (`api/pagination.go`, `api/state.go`, `agent/unit_state.go`, `registry/unit_state.go`):
//!
//! * each page is cut from a list made afresh: rows that come or go between two pages make others
//!   appear twice, or not at all ([`FleetModel::before_page`]);
//! * a page that ends where the list ends still has a token, and the page behind it is empty;
//! * what is empty is left out: no rows is `{}`;
//! * what an agent published goes when the agent has not renewed it for the TTL, and comes back
//!   with the agent, as it is then ([`FleetModel::agent_down`]);
//! * a machine whose agent is silent leaves the list of machines after the same time;
//! * taking a unit off one machine takes the rows of all machines away until each agent publishes
//!   again ([`FleetModel::hide`]).
//!
//! Time is tokio's, so that it can be paused. Faults on the wire are those of its
//! [`server`](FakeFleet::server).
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use notifier_testkit::fleet::{FakeFleet, UnitSpec};
//!
//! let fleet = FakeFleet::start().await?;
//! let model = fleet.model();
//! model.machine("m1", "10.0.0.1", [("region", "eu")]);
//! model.unit(UnitSpec::new("web@1.service").on("m1").option("Unit", "Description", "Web"));
//! model.run("web@1.service", "m1");
//! model.fail("web@1.service", "m1");
//! let (status, body) = model.get("/fleet/v1/state");
//! assert_eq!(status, 200);
//! assert!(body.contains(r#""systemdActiveState":"failed""#), "{body}");
//! # Ok(())
//! # }
//! ```

mod api;
mod model;
mod server;
mod spec;

pub use model::{FleetModel, Row};
pub use server::FakeFleet;
pub use spec::UnitSpec;

//! What kind of Jira it is.

use notifier_core::Result;
use serde::Deserialize;

use crate::api::{Api, Flavour};

/// What `serverInfo` says, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instance {
    pub(crate) flavour: Flavour,
    /// Older than 8.4, with one large answer about what a new issue may have.
    pub(crate) has_old_meta: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServerInfo {
    /// Not said by very old ones, which are servers.
    #[serde(default)]
    deployment_type: String,
    #[serde(default)]
    version_numbers: Vec<u64>,
}

impl Instance {
    /// Asks. Version 2 of the interface is everywhere.
    pub(crate) async fn ask(api: &Api) -> Result<Self> {
        let info: ServerInfo = api.get("/rest/api/2/serverInfo").await?;
        Ok(Self::of(&info))
    }

    fn of(info: &ServerInfo) -> Self {
        let flavour = if info.deployment_type.eq_ignore_ascii_case("cloud") {
            Flavour::Cloud
        } else {
            Flavour::DataCenter
        };
        let number = |n: usize| info.version_numbers.get(n).copied().unwrap_or(0);
        let has_old_meta = flavour == Flavour::DataCenter
            && !info.version_numbers.is_empty()
            && (number(0), number(1)) < (8, 4);
        Self {
            flavour,
            has_old_meta,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn told_apart_by_what_they_say() {
        let read = |json: &str| Instance::of(&serde_json::from_str(json).unwrap());
        for (json, flavour, has_old_meta) in [
            (
                r#"{"deploymentType":"Cloud","versionNumbers":[1001,0,0]}"#,
                Flavour::Cloud,
                false,
            ),
            (
                r#"{"deploymentType":"Server","versionNumbers":[8,20,0]}"#,
                Flavour::DataCenter,
                false,
            ),
            (
                r#"{"deploymentType":"Server","versionNumbers":[8,3,9]}"#,
                Flavour::DataCenter,
                true,
            ),
            (
                r#"{"version":"6.4","versionNumbers":[6,4]}"#,
                Flavour::DataCenter,
                true,
            ),
            (r#"{}"#, Flavour::DataCenter, false),
        ] {
            assert_eq!(
                read(json),
                Instance {
                    flavour,
                    has_old_meta
                },
                "{json}"
            );
        }
    }
}

use crate::{BackendSettings, Error, OptionGroup, Origin, Result};

/// A backend's settings as a program puts them together, one value after the other; what is
/// wrong with any is told at the end.
///
/// ```
/// use notifier_core::{OptionGroup, OptionSpec, SettingsBuilder};
/// const GROUP: OptionGroup = OptionGroup::new("pager", &[OptionSpec::new("number", "whom to call")]);
/// let settings = SettingsBuilder::new(GROUP).set("number", "555-0100").build()?;
/// assert_eq!(settings.instance("default").get("number"), Some("555-0100"));
/// assert!(SettingsBuilder::new(GROUP).set("nunber", "x").set("number", "y").build().is_err());
/// # Ok::<(), notifier_core::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct SettingsBuilder {
    settings: BackendSettings,
    fault: Option<Error>,
}

impl SettingsBuilder {
    /// Settings of this group, at their defaults.
    pub fn new(group: OptionGroup) -> Self {
        Self {
            settings: BackendSettings::new(group),
            fault: None,
        }
    }

    /// Sets a value, as a flag would.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        if let Err(e) = self.settings.set(Origin::Flag, key, value) {
            self.fault.get_or_insert(e);
        }
        self
    }

    /// The settings.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config): what was wrong with a value first.
    pub fn build(self) -> Result<BackendSettings> {
        self.fault.map_or(Ok(self.settings), Err)
    }
}

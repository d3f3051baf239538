//! What can be set.

use notifier_core::{OptionGroup, OptionKind, OptionSpec, policy::Rate};

/// The reporter's name.
pub const SCHEME: &str = "file";

/// The file unless another is set.
pub const DEFAULT_NAME: &str = "/dev/stderr";

/// The template unless another is set.
pub const DEFAULT_FORMAT: &str = "Task {{ .failure.Name }} ({{ .failure.ID }}) died with status {{ .failure.State }}:{{ .nl }}  * {{ .stdoutURL }}{{ .nl }}  * {{ .stderrURL }}{{ .nl }}";

/// The options. None can be set by a task's label: a label that names files would be a hole.
pub const OPTIONS: OptionGroup = OptionGroup::new(
    SCHEME,
    &[
        OptionSpec::new("name", "file, pipe or device to append to")
            .kind(OptionKind::Path)
            .default(DEFAULT_NAME),
        OptionSpec::new("format", "the record; end it with {{ .nl }}")
            .kind(OptionKind::Template)
            .default(DEFAULT_FORMAT),
        OptionSpec::new("fsync", "wait until each record is on the disk")
            .kind(OptionKind::Bool)
            .default("false"),
        Rate::option("unlimited"),
        Rate::max_age_option(),
    ],
);

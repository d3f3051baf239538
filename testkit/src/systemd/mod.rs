//! A real systemd in namespaces of its own.

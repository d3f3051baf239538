//! The uploaders with scripted stores (`protocol`, `faults`, `credentials`, `prefix`) and with real ones (`s3s`, `rgw`).

mod common;
mod credentials;
mod faults;
mod peer;
mod prefix;
mod protocol;
mod rgw;
mod s3s;

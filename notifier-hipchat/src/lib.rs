#![doc = include_str!("../README.md")]

mod address;
mod builder;
mod card;
mod error;
mod html;
mod options;
mod payload;
mod rate;
mod reporter;

pub use crate::{
    builder::{HipchatFactory, HipchatReporterBuilder},
    card::MAX_CARD,
    options::{
        COLORS, DEFAULT_BASE_URL, DEFAULT_COLOR, DEFAULT_FORMAT, DEFAULT_TEXT_FORMAT, OPTIONS,
        SCHEME,
    },
    payload::{MAX_FROM, MAX_MESSAGE},
    reporter::HipchatReporter,
};

#![doc = include_str!("../README.md")]

mod body;
mod budget;
mod call;
mod credentials;
mod environment;
mod factory;
mod key;
mod multipart;
mod options;
mod refusal;
mod sign;
mod store;
mod uploader;
mod xml;

pub use crate::{
    environment::Environment,
    factory::{S3AwsFactory, S3GoamzFactory},
    options::{DEFAULT_PREFIX, MAX_V4_LINK, S3AWS, S3AWS_OPTIONS, S3GOAMZ, S3GOAMZ_OPTIONS},
};

#![doc = include_str!("../README.md")]

mod arn;
mod builder;
mod certificate;
mod confirm;
mod decode;
mod handler;
mod hosts;
mod notification;
mod options;
mod raw;
mod refusal;
mod store;
mod verify;

pub use crate::{
    arn::TopicArn,
    builder::HandlerBuilder,
    decode::{Decoder, NOTIFICATION, TextForm},
    handler::{Answer, Handler, MAX_BODY, Received, Request},
    notification::{Notification, NotificationType, SignatureVersion},
    options::{OPTIONS, SCHEME},
    refusal::{Refusal, RefusalKind},
};

//! The relay as an AWS Lambda function, on Lambda's runtime API
//! (docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html, read 2026-11).
//!
//! One invocation at a time: its messages are taken in, the engine sends what it can until a
//! moment before the deadline, and what is not told by then makes the invocation fail. Between
//! invocations nothing is under way, since Lambda freezes the process.

mod answer;
mod courier;
mod event;
mod warm;

use std::{process::ExitCode, time::Duration};

use lambda_runtime::{LambdaEvent, service_fn};
use notifier_runtime::{Cli, Context, Env, Exit, Fatal};
use notifiers::{Clock as _, SystemClock, http::HttpClient, jiff::Timestamp};
use serde_json::{Value, json, value::RawValue};

use self::{
    answer::{Failed, answer},
    courier::Courier,
    event::EventReader,
};

/// The variable that names the runtime API's host and port; set in a function, and nowhere else.
const API: &str = "AWS_LAMBDA_RUNTIME_API";

/// The levels of the log unless set: each run of the engine is an invocation, whose line is ours.
const LEVELS: &str = "info,notifier_core::engine=warn,notifier_core::engine::worker=info";

/// How long before the deadline to answer, or a fifth of the time if that is shorter.
const MARGIN: Duration = Duration::from_millis(500);
/// The least time to try in, whatever the clocks say.
const LEAST: Duration = Duration::from_millis(500);

/// How long telling Lambda why there is no function may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The runtime API's address, if this process is a Lambda function.
pub(crate) fn api() -> Option<String> {
    Some(Env::system().get(API)?.ok()?.to_owned())
}

/// Serves as a Lambda function until Lambda ends the process. What is wrong with the settings is
/// told on the standard error output and to Lambda.
pub(crate) fn main(cli: Cli, api: &str) -> ExitCode {
    let cli = cli.preset("log.level", LEVELS);
    if let Err(problems) = cli.parse(std::env::args_os().skip(1), &Env::system()) {
        tell_alone(api, &problems.to_string());
    }
    notifier_runtime::run(&cli, |context| async move {
        let served = serve(&context).await;
        if let Err(fatal) = &served {
            tell(api, &context.masker.mask(&fatal.message)).await;
        }
        served
    })
}

async fn serve(context: &Context) -> Result<(), Fatal> {
    if context.settings.listen.is_some() {
        return Err(Fatal::new(
            Exit::Usage,
            "listen: a Lambda function serves no HTTP; unset -listen, COMPLAINER_LISTEN and PORT",
        ));
    }
    let reader = &EventReader::from_settings(&context.parsed)?;
    let courier = &Courier::new(context)?;
    tracing::info!(
        name = %context.settings.name,
        reporters = context.settings.reporters.join(","),
        outbox = %context.settings.outbox.place,
        "waiting for events"
    );
    let handle = service_fn(|event: LambdaEvent<Box<RawValue>>| async move {
        let (json, about) = event.into_parts();
        invoked(reader, courier, json.get(), about.deadline).await
    });
    lambda_runtime::run(handle)
        .await
        .map_err(|e| Fatal::new(Exit::Unavailable, format!("the runtime API fails: {e}")))
}

/// Answers one event. The deadline is in milliseconds since 1970.
async fn invoked(
    reader: &EventReader,
    courier: &Courier,
    json: &str,
    deadline: u64,
) -> Result<Value, Failed> {
    let now = SystemClock.now();
    let time = time_until(deadline, now);
    let event = reader.read(json, now).map_err(Failed::unknown_event)?;
    let fates = courier.deliver(&event.items, time).await;
    answer(&event, &fates)
}

/// The time to work in.
fn time_until(deadline: u64, now: Timestamp) -> Duration {
    let now = u64::try_from(now.as_millisecond()).unwrap_or_default();
    let left = Duration::from_millis(deadline.saturating_sub(now));
    left.saturating_sub(MARGIN.min(left / 5)).max(LEAST)
}

/// As [`tell`], where nothing runs yet.
fn tell_alone(api: &str, why: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    if let Ok(runtime) = runtime {
        runtime.block_on(tell(api, why));
    }
}

/// Tells Lambda why the function does not start. That it cannot be told changes nothing.
async fn tell(api: &str, why: &str) {
    let Ok(client) = HttpClient::new() else {
        return;
    };
    let url = format!("http://{api}/2018-06-01/runtime/init/error");
    let why = json!({
        "errorType": "Runtime.InvalidSettings",
        "errorMessage": why,
        "stackTrace": [],
    });
    let told = client
        .post(&url)
        .header(
            "Lambda-Runtime-Function-Error-Type",
            "Runtime.InvalidSettings",
        )
        .json(&why)
        .send();
    let _ = tokio::time::timeout(PATIENCE, told).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_works_until_a_moment_before_the_deadline() {
        let now = Timestamp::from_millisecond(1_000_000).unwrap();
        let ms = |deadline| time_until(deadline, now).as_millis();
        assert_eq!(ms(1_060_000), 59_500);
        assert_eq!(ms(1_002_000), 1_600);
        assert_eq!(ms(1_000_000), 500);
        assert_eq!(ms(5), 500);
    }
}

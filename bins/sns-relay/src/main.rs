#![doc = include_str!("../README.md")]

#[cfg(feature = "lambda")]
mod lambda;
mod relay;
mod routes;

use std::process::ExitCode;

use notifier_runtime::Cli;

fn cli() -> Cli {
    Cli::sns_relay(env!("CARGO_PKG_VERSION"))
}

fn main() -> ExitCode {
    #[cfg(feature = "lambda")]
    if let Some(api) = lambda::api() {
        return lambda::main(cli(), &api);
    }
    let cli = cli().check(relay::check);
    notifier_runtime::run(&cli.clone(), |context| relay::serve(cli, context))
}

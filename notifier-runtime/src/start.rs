//! From `main` to a running program.

use std::{
    ffi::OsString,
    future::Future,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use crate::{Cli, Env, Exit, Fatal, Invocation, Masker, Parsed, WatcherSettings, log};

/// What a watcher starts with.
#[derive(Debug)]
#[non_exhaustive]
pub struct Context {
    /// All settings.
    pub parsed: Parsed,
    /// Those of the watcher itself.
    pub settings: WatcherSettings,
    /// Masks secrets, in the log already.
    pub masker: Masker,
}

impl Context {
    /// What a watcher starts with, out of its settings.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(parsed: Parsed) -> notifiers::Result<Self> {
        Ok(Self {
            settings: WatcherSettings::read(&parsed.program)?,
            masker: parsed.masker(),
            parsed,
        })
    }
}

/// Runs a watcher: reads the process's command line and environment, starts the
/// log, and runs `body` on a multi-threaded tokio runtime.
///
/// Help and version go to the standard output, with code 0. What is wrong with the
/// settings goes to the standard error output, one line each, with code 64, and
/// nothing is started. An error of `body` is printed once, with its code. The
/// settings must be those of [`Cli::watcher`].
pub fn run<F, Fut>(cli: &Cli, body: F) -> ExitCode
where
    F: FnOnce(Context) -> Fut,
    Fut: Future<Output = Result<(), Fatal>>,
{
    run_args(cli, std::env::args_os().skip(1), body)
}

/// The same with arguments that are given: those behind the name of a program's command.
pub fn run_args<F, Fut>(cli: &Cli, args: impl IntoIterator<Item = OsString>, body: F) -> ExitCode
where
    F: FnOnce(Context) -> Fut,
    Fut: Future<Output = Result<(), Fatal>>,
{
    run_with(cli, args, &Env::system(), body).into()
}

fn run_with<F, Fut>(cli: &Cli, args: impl IntoIterator<Item = OsString>, env: &Env, body: F) -> Exit
where
    F: FnOnce(Context) -> Fut,
    Fut: Future<Output = Result<(), Fatal>>,
{
    let parsed = match cli.parse(args, env) {
        Ok(Invocation::Run(parsed)) => parsed,
        Ok(Invocation::Print(text)) => return print(cli.name(), &text),
        Err(problems) => return complain(cli.name(), &Masker::default(), &problems.into()),
    };
    let masker = parsed.masker();
    match start(cli, parsed, body) {
        Ok(()) => Exit::Ok,
        Err(fatal) => complain(cli.name(), &masker, &fatal),
    }
}

fn start<F, Fut>(cli: &Cli, parsed: Parsed, body: F) -> Result<(), Fatal>
where
    F: FnOnce(Context) -> Fut,
    Fut: Future<Output = Result<(), Fatal>>,
{
    let context = Context::new(parsed)?;
    log::init(&context.settings.log, &context.masker)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name(cli.name())
        .build()
        .map_err(|e| Fatal::new(Exit::Internal, format!("cannot start threads: {e}")))?;
    let result = runtime.block_on(body(context));
    // A blocking call, such as a look-up of a name, does not hold up the end.
    runtime.shutdown_timeout(Duration::from_millis(200));
    result
}

/// Prints a text on the standard output as it is. A reader that went away is no error.
pub fn print(program: &str, text: &str) -> Exit {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Exit::Ok,
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Exit::Ok,
        Err(e) => {
            let fatal = Fatal::new(
                Exit::Io,
                format!("cannot write to the standard output: {e}"),
            );
            complain(program, &Masker::default(), &fatal)
        }
    }
}

/// Prints each line of a reason on the standard error output behind the program's name.
pub fn complain(program: &str, masker: &Masker, fatal: &Fatal) -> Exit {
    let mut out = io::stderr().lock();
    for line in masker.mask(&fatal.message).lines() {
        // There is nowhere else to say it.
        let _ = writeln!(out, "{program}: {line}");
    }
    fatal.exit
}

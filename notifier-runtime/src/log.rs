//! Logs on the standard error output, without secrets and without tricks.

use std::{
    fmt,
    io::{self, Write},
    sync::Arc,
};

use notifiers::{Error, Result};
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter,
    fmt::{MakeWriter, writer::BoxMakeWriter},
};

use crate::{Masker, visible::acts};

/// The longest line in text form, in bytes. What is longer is cut, and says so.
pub const MAX_LINE: usize = 32 * 1024;

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// One line of text; control characters in it are escaped.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// What is logged, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LogSettings {
    /// A level, or several for parts: `info,source_mesos=debug`.
    pub level: String,
    /// The form of a line.
    pub format: LogFormat,
}

impl LogSettings {
    /// Settings of these words: a level or a list of `target=level`, and `text` or `json`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifiers::ErrorKind::Config) if the level is none.
    pub fn new(level: &str, format: &str) -> Result<Self> {
        let settings = Self {
            level: if level.is_empty() {
                "info".to_owned()
            } else {
                level.to_owned()
            },
            format: if format == "json" {
                LogFormat::Json
            } else {
                LogFormat::Text
            },
        };
        settings.filter()?;
        Ok(settings)
    }

    fn filter(&self) -> Result<EnvFilter> {
        let wrong = |part: &str| {
            Error::config(format!(
                "log.level: {part:?} is neither a level (error, warn, info, debug, trace, off) nor target=level"
            ))
        };
        for part in self.level.split(',') {
            let level = part.rsplit_once('=').map_or(part, |(_, l)| l).trim();
            // EnvFilter itself would take any word for a target and turn it up to trace.
            if !["error", "warn", "info", "debug", "trace", "off"]
                .iter()
                .any(|l| level.eq_ignore_ascii_case(l))
            {
                return Err(wrong(part));
            }
        }
        EnvFilter::builder()
            .parse(&self.level)
            .map_err(|_| wrong(&self.level))
    }
}

/// Starts logging to the standard error output, for the whole process, and makes
/// panics log lines too.
///
/// # Errors
/// [`ErrorKind::Config`](notifiers::ErrorKind::Config) if the level is none, or
/// [`ErrorKind::Internal`](notifiers::ErrorKind::Internal) if something logs already.
pub fn init(settings: &LogSettings, masker: &Masker) -> Result<()> {
    let subscriber = subscriber(settings, masker, BoxMakeWriter::new(io::stderr))?;
    tracing::subscriber::set_global_default(subscriber)
        .map_err(|_| Error::internal("logging was started twice"))?;
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let what = match (
            payload.downcast_ref::<&str>(),
            payload.downcast_ref::<String>(),
        ) {
            (Some(text), _) => text,
            (_, Some(text)) => text.as_str(),
            _ => "no message",
        };
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(place, "panic: {what}");
    }));
    Ok(())
}

/// What [`init`] starts, on another writer.
///
/// # Errors
/// [`ErrorKind::Config`](notifiers::ErrorKind::Config) if the level is none.
pub fn subscriber<W>(
    settings: &LogSettings,
    masker: &Masker,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let writer = Masked {
        inner: Arc::new(writer),
        masker: masker.clone(),
        format: settings.format,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(settings.filter()?)
        .with_ansi(false)
        .with_writer(writer);
    Ok(match settings.format {
        LogFormat::Text => Box::new(builder.finish()),
        LogFormat::Json => Box::new(builder.json().finish()),
    })
}

/// Masks and escapes each line on its way to the inner writer.
struct Masked<W> {
    inner: Arc<W>,
    masker: Masker,
    format: LogFormat,
}

impl<W> fmt::Debug for Masked<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Masked")
    }
}

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Masked<W> {
    type Writer = Line<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Line {
            out: self.inner.make_writer(),
            masker: self.masker.clone(),
            format: self.format,
            buffer: Vec::new(),
        }
    }
}

/// One event. It is written as a whole when it is dropped, so that no secret is cut in two
/// and lines of several threads do not mix.
#[derive(Debug)]
pub(crate) struct Line<W: Write> {
    out: W,
    masker: Masker,
    format: LogFormat,
    buffer: Vec<u8>,
}

impl<W: Write> Write for Line<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.buffer);
        let text = String::from_utf8_lossy(&bytes);
        let line = clean(&self.masker.mask(text.trim_end_matches('\n')), self.format);
        self.out.write_all(line.as_bytes())?;
        self.out.flush()
    }
}

impl<W: Write> Drop for Line<W> {
    fn drop(&mut self) {
        // The standard error output is gone: there is nowhere to say so.
        let _ = self.flush();
    }
}

/// One line, ending with a line break, in which nothing can act on a terminal.
fn clean(text: &str, format: LogFormat) -> String {
    let mut out = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        match c {
            _ if !acts(c) => out.push(c),
            _ if format == LogFormat::Json => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => out.extend(c.escape_default()),
        }
        if format == LogFormat::Text && out.len() > MAX_LINE {
            out.push_str("… (cut)");
            break;
        }
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, b: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(b);
            Ok(b.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: &str, format: &str, masker: &Masker, f: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let settings = LogSettings::new(level, format).unwrap();
        let s = subscriber(&settings, masker, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(s, f);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn secrets_do_not_get_through_in_either_form() {
        let masker = Masker::new(["p\"ss w0rd/äö"]);
        for format in ["text", "json"] {
            let text = logged("trace", format, &masker, || {
                masker.learn(["later-learned"]);
                tracing::trace!(field = "p\"ss w0rd/äö", debug = ?"p\"ss w0rd/äö", "p\"ss w0rd/äö later-learned");
            });
            assert!(text.contains("***"), "{text}");
            assert!(
                !text.contains("w0rd") && !text.contains("learned"),
                "{text}"
            );
        }
    }

    #[test]
    fn an_event_is_one_line_whatever_is_in_it() {
        let evil = "a\nINFO forged\r\x1b[31mred\u{7}\u{9b}\u{202e}";
        let text = logged("info", "text", &Masker::default(), || {
            tracing::info!(label = evil, other = %evil, "got {evil}");
        });
        assert_eq!(text.matches('\n').count(), 1, "{text:?}");
        assert!(!text.trim_end().chars().any(acts), "{text:?}");
        let text = logged("info", "json", &Masker::default(), || {
            tracing::info!(label = evil, "got {evil}");
        });
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["fields"]["label"], evil);
        assert!(!text.trim_end().chars().any(acts), "{text:?}");
    }

    #[test]
    fn long_lines_are_cut() {
        let text = logged("info", "text", &Masker::default(), || {
            tracing::info!("{}", "x".repeat(MAX_LINE * 3));
        });
        assert!(
            text.len() < MAX_LINE + 100 && text.ends_with("… (cut)\n"),
            "{}",
            text.len()
        );
    }

    #[test]
    fn levels_and_parts() {
        let both = || {
            tracing::debug!(target: "hyper", "from hyper");
            tracing::debug!("from us");
        };
        assert_eq!(logged("info", "text", &Masker::default(), both), "");
        let text = logged("info,hyper=debug", "text", &Masker::default(), both);
        assert!(text.contains("from hyper") && !text.contains("from us"));
        for wrong in ["loud", "hyper=", "hyper=loud", "info,,debug", "[", "a=b=c"] {
            assert!(LogSettings::new(wrong, "text").is_err(), "{wrong}");
        }
    }
}

//! What a template may use up.

use crate::error::Trouble;

/// The largest depth that [`Limits::with_depth`] accepts: what fits a thread's stack
/// of 2 MiB in a build without optimisation.
const DEEPEST: usize = 100;

/// What a template may use up while it is parsed and rendered.
///
/// The defaults let any template that a person writes pass, and end a hostile one in
/// some milliseconds. Reaching a limit is an [`Error`](crate::Error) that answers
/// `true` to [`is_limit`](crate::Error::is_limit).
///
/// | limit | counts | default |
/// |---|---|---|
/// | `source_bytes` | bytes of the template's text | 64 KiB |
/// | `depth` | `if`, `range`, `with`, `block`, `define`, parentheses, template calls and nested data, together | 64 |
/// | `steps` | actions, commands, arguments, iterations; 64 bytes read by a function are one more | 100,000 |
/// | `output_bytes` | bytes of the result | 1 MiB |
/// | `value_bytes` | bytes of each string made on the way | 256 KiB |
/// | `total_bytes` | bytes of all strings and lists made on the way, and of the result | 4 MiB |
/// | `width` | `printf`'s width and precision | 100,000 |
///
/// ```
/// use notifier_template::{Context, Engine, Limits, Value};
///
/// let engine = Engine::new().with_limits(Limits::default().with_output_bytes(3));
/// let template = engine.parse("t", "{{ . }}{{ . }}")?;
/// let error = template.render(&Context::new(Value::from("ab"))).unwrap_err();
/// assert!(error.is_limit());
/// # Ok::<(), notifier_template::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    pub(crate) source_bytes: usize,
    pub(crate) depth: usize,
    pub(crate) steps: usize,
    pub(crate) output_bytes: usize,
    pub(crate) value_bytes: usize,
    pub(crate) total_bytes: usize,
    pub(crate) width: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            source_bytes: 64 << 10,
            depth: 64,
            steps: 100_000,
            output_bytes: 1 << 20,
            value_bytes: 256 << 10,
            total_bytes: 4 << 20,
            width: 100_000,
        }
    }
}

impl Limits {
    /// Sets the longest source, in bytes.
    #[must_use]
    pub fn with_source_bytes(mut self, bytes: usize) -> Self {
        self.source_bytes = bytes;
        self
    }

    /// Sets how deep constructs, calls and printed data may nest, all together.
    /// More than 100 counts as 100: the stack must hold it.
    #[must_use]
    pub fn with_depth(mut self, depth: usize) -> Self {
        self.depth = depth.min(DEEPEST);
        self
    }

    /// Sets how many steps one rendering may take.
    #[must_use]
    pub fn with_steps(mut self, steps: usize) -> Self {
        self.steps = steps;
        self
    }

    /// Sets the longest result, in bytes.
    #[must_use]
    pub fn with_output_bytes(mut self, bytes: usize) -> Self {
        self.output_bytes = bytes;
        self
    }

    /// Sets the longest string a function may make, in bytes.
    #[must_use]
    pub fn with_value_bytes(mut self, bytes: usize) -> Self {
        self.value_bytes = bytes;
        self
    }

    /// Sets how many bytes one rendering may make in all.
    #[must_use]
    pub fn with_total_bytes(mut self, bytes: usize) -> Self {
        self.total_bytes = bytes;
        self
    }

    /// Sets the largest width and precision of `printf`. More than 1,000,000, Go's
    /// own limit, has no effect.
    #[must_use]
    pub fn with_width(mut self, width: usize) -> Self {
        self.width = width;
        self
    }
}

/// What is left of the limits during one rendering.
#[derive(Debug)]
pub(crate) struct Budget<'a> {
    pub(crate) limits: &'a Limits,
    steps: usize,
    bytes: usize,
    depth: usize,
}

/// How many bytes a function reads for the price of a step.
const BYTES_PER_STEP: usize = 64;

impl<'a> Budget<'a> {
    pub(crate) fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            steps: limits.steps,
            bytes: limits.total_bytes,
            depth: 0,
        }
    }

    pub(crate) fn step(&mut self, steps: usize) -> Result<(), Trouble> {
        match self.steps.checked_sub(steps) {
            Some(left) => {
                self.steps = left;
                Ok(())
            }
            None => {
                self.steps = 0;
                Err(Trouble::limit(format!(
                    "more than {} steps",
                    self.limits.steps
                )))
            }
        }
    }

    /// Pays for reading so many bytes.
    pub(crate) fn read(&mut self, bytes: usize) -> Result<(), Trouble> {
        self.step(bytes / BYTES_PER_STEP)
    }

    /// Pays for making so many bytes.
    pub(crate) fn make(&mut self, bytes: usize) -> Result<(), Trouble> {
        match self.bytes.checked_sub(bytes) {
            Some(left) => {
                self.bytes = left;
                Ok(())
            }
            None => {
                self.bytes = 0;
                Err(Trouble::limit(format!(
                    "more than {} bytes made in all",
                    self.limits.total_bytes
                )))
            }
        }
    }

    /// Pays for a string that a function made or is about to make.
    pub(crate) fn value(&mut self, bytes: usize) -> Result<(), Trouble> {
        self.fits(bytes)?;
        self.make(bytes)
    }

    /// Whether a string may be so long, without paying for it yet.
    pub(crate) fn fits(&self, bytes: usize) -> Result<(), Trouble> {
        if bytes > self.limits.value_bytes {
            return Err(Trouble::limit(format!(
                "a value of more than {} bytes",
                self.limits.value_bytes
            )));
        }
        Ok(())
    }

    pub(crate) fn enter(&mut self) -> Result<(), Trouble> {
        if self.depth >= self.limits.depth {
            return Err(Trouble::limit(format!(
                "nested deeper than {}",
                self.limits.depth
            )));
        }
        self.depth += 1;
        Ok(())
    }

    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }
}

//! Go's `fmt`: `print`, `println` and `printf`.

mod number;
mod print;

use crate::error::Trouble;
use crate::limits::Limits;
use crate::text::{Rune, count_runes, first_rune};
use crate::value::{Integer, Value};

/// Above this, Go itself takes no width and no precision.
const GO_LARGEST: usize = 1_000_000;

#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    width: Option<usize>,
    precision: Option<usize>,
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    /// `%+v`: structs with the names of their fields.
    plus_v: bool,
    /// `%#v`: Go syntax.
    sharp_v: bool,
}

/// Formats into a buffer that cannot grow beyond a limit.
struct Printer<'l> {
    out: Vec<u8>,
    flags: Flags,
    limits: &'l Limits,
    /// Set when a limit is reached; from then on nothing is written.
    trouble: Option<Trouble>,
    /// While the operand of a bad verb is printed, methods such as `String` do not count.
    erroring: bool,
}

/// Go's `Sprint`: spaces only between operands that are both no strings.
pub(crate) fn print(values: &[Value], limits: &Limits) -> Result<Vec<u8>, Trouble> {
    let mut printer = Printer::new(limits);
    let mut after_string = true;
    for (index, value) in values.iter().enumerate() {
        let is_string = value.as_string_bytes().is_some();
        if index > 0 && !is_string && !after_string {
            printer.put(b" ");
        }
        printer.argument(value, 'v');
        after_string = is_string;
    }
    printer.finish()
}

/// Go's `Sprintln`.
pub(crate) fn println(values: &[Value], limits: &Limits) -> Result<Vec<u8>, Trouble> {
    let mut printer = Printer::new(limits);
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            printer.put(b" ");
        }
        printer.argument(value, 'v');
    }
    printer.put(b"\n");
    printer.finish()
}

/// Go's `Sprintf`.
pub(crate) fn printf(format: &[u8], values: &[Value], limits: &Limits) -> Result<Vec<u8>, Trouble> {
    let mut printer = Printer::new(limits);
    Directives {
        format,
        values,
        at: 0,
        next: 0,
        reordered: false,
        good_index: true,
    }
    .run(&mut printer);
    printer.finish()
}

impl<'l> Printer<'l> {
    fn new(limits: &'l Limits) -> Self {
        Self {
            out: Vec::new(),
            flags: Flags::default(),
            limits,
            trouble: None,
            erroring: false,
        }
    }

    fn finish(self) -> Result<Vec<u8>, Trouble> {
        match self.trouble {
            Some(trouble) => Err(trouble),
            None => Ok(self.out),
        }
    }

    /// Whether so many more bytes fit; if not, the printing is over.
    fn room(&mut self, bytes: usize) -> bool {
        if self.trouble.is_none() && self.out.len() + bytes > self.limits.value_bytes {
            self.trouble = Some(Trouble::limit(format!(
                "a value of more than {} bytes",
                self.limits.value_bytes
            )));
        }
        self.trouble.is_none()
    }

    fn put(&mut self, bytes: &[u8]) {
        if self.room(bytes.len()) {
            self.out.extend_from_slice(bytes);
        }
    }

    fn put_char(&mut self, c: char) {
        self.put(c.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn put_padding(&mut self, count: usize) {
        if self.room(count) {
            let byte = if self.flags.zero { b'0' } else { b' ' };
            self.out.extend(std::iter::repeat_n(byte, count));
        }
    }

    /// Writes the text, filled up to the width.
    fn pad(&mut self, text: &[u8]) {
        let fill = self
            .flags
            .width
            .map_or(0, |width| width.saturating_sub(count_runes(text)));
        if !self.flags.minus {
            self.put_padding(fill);
        }
        self.put(text);
        if self.flags.minus {
            self.put_padding(fill);
        }
    }

    fn pad_without_zeros(&mut self, text: &[u8]) {
        let zero = std::mem::take(&mut self.flags.zero);
        self.pad(text);
        self.flags.zero = zero;
    }
}

/// A format string on its way through the operands.
struct Directives<'f> {
    format: &'f [u8],
    values: &'f [Value],
    at: usize,
    /// The operand that the next verb takes.
    next: usize,
    reordered: bool,
    good_index: bool,
}

impl Directives<'_> {
    fn peek(&self) -> Option<u8> {
        self.format.get(self.at).copied()
    }

    fn run(mut self, printer: &mut Printer<'_>) {
        while self.at < self.format.len() && printer.trouble.is_none() {
            let rest = &self.format[self.at..];
            let literal = rest.iter().position(|&b| b == b'%').unwrap_or(rest.len());
            printer.put(&rest[..literal]);
            self.at += literal + 1;
            if literal == rest.len() {
                break;
            }
            if !self.directive(printer) {
                printer.put(b"%!(NOVERB)");
                break;
            }
        }
        if !self.reordered && self.next < self.values.len() {
            self.extra(printer);
        }
    }

    /// One verb with all that stands before it; `false` if the format ends first.
    fn directive(&mut self, printer: &mut Printer<'_>) -> bool {
        self.good_index = true;
        printer.flags = Flags::default();
        self.flags(&mut printer.flags);
        let mut after_index = self.index();
        if self.peek() == Some(b'*') {
            self.at += 1;
            match self.integer() {
                Some(width) => {
                    if width < 0 {
                        printer.flags.minus = true;
                        printer.flags.zero = false;
                    }
                    printer.flags.width = Some(width.unsigned_abs() as usize);
                }
                None => printer.put(b"%!(BADWIDTH)"),
            }
            after_index = false;
        } else {
            printer.flags.width = self.number();
            if after_index && printer.flags.width.is_some() {
                self.good_index = false;
            }
        }
        if self.peek() == Some(b'.') && self.at + 1 < self.format.len() {
            self.at += 1;
            if after_index {
                self.good_index = false;
            }
            after_index = self.index();
            if self.peek() == Some(b'*') {
                self.at += 1;
                printer.flags.precision = self
                    .integer()
                    .and_then(|precision| usize::try_from(precision).ok());
                if printer.flags.precision.is_none() {
                    printer.put(b"%!(BADPREC)");
                }
                after_index = false;
            } else {
                printer.flags.precision = Some(self.number().unwrap_or(0));
            }
        }
        if !after_index {
            self.index();
        }
        let Some(rune) = self.format.get(self.at..).and_then(first_rune) else {
            return false;
        };
        self.at += rune.len();
        let verb = match rune {
            Rune::Char(c) => c,
            Rune::Broken(_) => char::REPLACEMENT_CHARACTER,
        };
        self.verb(printer, verb);
        true
    }

    fn verb(&mut self, printer: &mut Printer<'_>, verb: char) {
        if verb == '%' {
            printer.put(b"%");
            return;
        }
        let complaint: &[u8] = if !self.good_index {
            b"(BADINDEX)"
        } else if self.next >= self.values.len() {
            b"(MISSING)"
        } else {
            b""
        };
        if !complaint.is_empty() {
            printer.put(b"%!");
            printer.put_char(verb);
            printer.put(complaint);
            return;
        }
        let largest = printer.limits.width;
        let flags = &mut printer.flags;
        if flags
            .width
            .max(flags.precision)
            .is_some_and(|size| size > largest)
        {
            printer.trouble = Some(Trouble::limit(format!(
                "a width or precision of more than {largest}"
            )));
            return;
        }
        if verb == 'v' {
            flags.sharp_v = std::mem::take(&mut flags.sharp);
            flags.plus_v = std::mem::take(&mut flags.plus);
        }
        printer.argument(&self.values[self.next], verb);
        self.next += 1;
    }

    fn flags(&mut self, flags: &mut Flags) {
        while let Some(byte) = self.peek() {
            match byte {
                b'#' => flags.sharp = true,
                b'0' => flags.zero = !flags.minus,
                b'+' => flags.plus = true,
                b'-' => {
                    flags.minus = true;
                    flags.zero = false;
                }
                b' ' => flags.space = true,
                _ => return,
            }
            self.at += 1;
        }
    }

    /// Takes `[n]`, if it is there: whether one was found that can be read.
    fn index(&mut self) -> bool {
        if self.peek() != Some(b'[') {
            return false;
        }
        self.reordered = true;
        let rest = &self.format[self.at..];
        let close = if rest.len() < 3 {
            None
        } else {
            rest.iter().position(|&b| b == b']')
        };
        let Some(close) = close else {
            self.good_index = false;
            self.at += 1;
            return false;
        };
        self.at += close + 1;
        let number =
            digits(&rest[1..close]).filter(|&(_, length)| length == close - 1 && length > 0);
        match number {
            Some((number, _)) if (1..=self.values.len()).contains(&number) => {
                self.next = number - 1;
                true
            }
            other => {
                self.good_index = false;
                other.is_some()
            }
        }
    }

    /// A number in the format; one that is too large swallows the rest of the format.
    fn number(&mut self) -> Option<usize> {
        match digits(&self.format[self.at.min(self.format.len())..]) {
            Some((number, length)) => {
                self.at += length;
                (length > 0).then_some(number)
            }
            None => {
                self.at = self.format.len();
                None
            }
        }
    }

    /// The next operand as a width or precision.
    fn integer(&mut self) -> Option<i64> {
        let value = self.values.get(self.next)?;
        self.next += 1;
        let number = match value.as_integer()? {
            Integer::Signed(number) => number,
            Integer::Unsigned(number) => i64::try_from(number).ok()?,
        };
        (number.unsigned_abs() <= GO_LARGEST as u64).then_some(number)
    }

    /// Complains about operands that no verb took.
    fn extra(&mut self, printer: &mut Printer<'_>) {
        printer.flags = Flags::default();
        printer.put(b"%!(EXTRA ");
        for (index, value) in self.values[self.next..].iter().enumerate() {
            if index > 0 {
                printer.put(b", ");
            }
            if let Value::Nil = value {
                printer.put(b"<nil>");
            } else {
                printer.put(value.type_name().as_bytes());
                printer.put(b"=");
                printer.argument(value, 'v');
            }
        }
        printer.put(b")");
    }
}

/// The number that begins the text, and its length; `None` if Go finds it too large.
fn digits(text: &[u8]) -> Option<(usize, usize)> {
    let mut number = 0usize;
    let mut length = 0;
    for byte in text.iter().take_while(|b| b.is_ascii_digit()) {
        if number > GO_LARGEST {
            return None;
        }
        number = number * 10 + usize::from(byte - b'0');
        length += 1;
    }
    Some((number, length))
}

//! What was said on a connection last, for a log.

use std::{collections::VecDeque, fmt};

use crate::Reply;

/// The most lines kept, and the most characters of each.
const MOST: usize = 32;
const LONGEST: usize = 200;

/// The last lines, ours and the relay's. Nothing secret is handed to it.
#[derive(Debug, Default)]
pub struct Dialogue(VecDeque<String>);

impl Dialogue {
    fn add(&mut self, who: &str, line: &str) {
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        let line: String = line.trim_end().chars().take(LONGEST).collect();
        self.0.push_back(format!("{who}{}", line.escape_debug()));
    }

    /// A command, as it may be seen.
    pub fn we(&mut self, line: &str) {
        self.add("C: ", line);
    }

    /// A reply.
    pub fn they(&mut self, reply: &Reply) {
        self.add("S: ", &format!("{} {}", reply.codes(), reply.text()));
    }
}

/// On one line.
impl fmt::Display for Dialogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, line) in self.0.iter().enumerate() {
            let between = if n == 0 { "" } else { " | " };
            write!(f, "{between}{line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_on_one() {
        let mut d = Dialogue::default();
        d.we("EHLO a\r\n");
        d.they(&"250 x\u{1b}y".parse().unwrap());
        assert_eq!(d.to_string(), "C: EHLO a | S: 250 x\\u{1b}y");
        for n in 0..100 {
            d.we(&format!("NOOP {n}"));
        }
        assert!(d.to_string().starts_with("C: NOOP 68 | "));
        d.we(&"x".repeat(10_000));
        assert!(d.to_string().len() < 1000);
    }
}

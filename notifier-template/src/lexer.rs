//! From source text to tokens, one at a time.

use crate::error::{Fault, excerpt};
use crate::text::{is_digit, is_letter};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Text,
    LeftDelim,
    RightDelim,
    Space,
    Bool,
    /// A printable character without a meaning of its own.
    Char,
    CharConstant,
    Assign,
    Declare,
    End,
    Field,
    Identifier,
    LeftParen,
    RightParen,
    Number,
    Pipe,
    RawString,
    String,
    Variable,
    Dot,
    Nil,
    Keyword(Keyword),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keyword {
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Range,
    Template,
    With,
}

impl Keyword {
    fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "block" => Self::Block,
            "break" => Self::Break,
            "continue" => Self::Continue,
            "define" => Self::Define,
            "else" => Self::Else,
            "end" => Self::End,
            "if" => Self::If,
            "range" => Self::Range,
            "template" => Self::Template,
            "with" => Self::With,
            _ => return None,
        })
    }
}

/// A piece of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'s> {
    pub(crate) kind: TokenKind,
    pub(crate) at: usize,
    pub(crate) text: &'s str,
}

impl Token<'_> {
    /// How errors name the token.
    pub(crate) fn describe(&self) -> String {
        match self.kind {
            TokenKind::End => "EOF".to_owned(),
            TokenKind::Keyword(_) | TokenKind::Dot | TokenKind::Nil => format!("<{}>", self.text),
            _ => format!("{:?}", excerpt(self.text)),
        }
    }
}

const LEFT: &str = "{{";
const RIGHT: &str = "}}";
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

fn is_space(c: char) -> bool {
    SPACES.contains(&c)
}

fn is_word(c: char) -> bool {
    c == '_' || is_letter(c) || is_digit(c)
}

#[derive(Debug)]
pub(crate) struct Lexer<'s> {
    source: &'s str,
    at: usize,
    inside: bool,
    parens: usize,
    /// Where text after a trimming delimiter begins.
    text_from: usize,
    keyword_break: bool,
    keyword_continue: bool,
}

type Lexed<'s> = Result<Token<'s>, Box<Fault>>;

impl<'s> Lexer<'s> {
    /// `break` and `continue` are keywords unless functions of these names exist.
    pub(crate) fn new(source: &'s str, keyword_break: bool, keyword_continue: bool) -> Self {
        Self {
            source,
            at: 0,
            inside: false,
            parens: 0,
            text_from: 0,
            keyword_break,
            keyword_continue,
        }
    }

    /// The next token; at the end, `End` again and again.
    pub(crate) fn next_token(&mut self) -> Lexed<'s> {
        if self.inside {
            self.lex_inside()
        } else {
            self.lex_text()
        }
    }

    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn fault(at: usize, message: impl Into<String>) -> Box<Fault> {
        Box::new(Fault {
            at,
            message: message.into(),
            limit: false,
        })
    }

    fn token(&self, kind: TokenKind, from: usize) -> Token<'s> {
        Token {
            kind,
            at: from,
            text: self.source.get(from..self.at).unwrap_or_default(),
        }
    }

    fn lex_text(&mut self) -> Lexed<'s> {
        loop {
            let from = self.text_from;
            let Some(found) = self.source.get(from..).and_then(|rest| rest.find(LEFT)) else {
                self.at = self.source.len();
                self.text_from = self.at;
                let kind = if self.at > from {
                    TokenKind::Text
                } else {
                    TokenKind::End
                };
                return Ok(self.token(kind, from));
            };
            let delim = from + found;
            let after = &self.source[delim + LEFT.len()..];
            let trims = after.starts_with('-') && after[1..].starts_with(is_space);
            let text = &self.source[from..delim];
            let text = if trims {
                text.trim_end_matches(is_space)
            } else {
                text
            };
            if !text.is_empty() {
                self.text_from = delim;
                return Ok(Token {
                    kind: TokenKind::Text,
                    at: from,
                    text,
                });
            }
            let inner = delim + LEFT.len() + if trims { 2 } else { 0 };
            if !self.source[inner..].starts_with("/*") {
                self.at = inner;
                self.inside = true;
                self.parens = 0;
                return Ok(Token {
                    kind: TokenKind::LeftDelim,
                    at: delim,
                    text: LEFT,
                });
            }
            self.skip_comment(inner)?;
        }
    }

    fn skip_comment(&mut self, from: usize) -> Result<(), Box<Fault>> {
        let body = from + 2;
        let Some(length) = self.source[body..].find("*/") else {
            return Err(Self::fault(from, "unclosed comment"));
        };
        self.at = body + length + 2;
        let Some(trims) = self.at_right_delim() else {
            return Err(Self::fault(from, "comment ends before closing delimiter"));
        };
        self.close(trims);
        Ok(())
    }

    /// Whether the right delimiter is next, and whether it trims.
    fn at_right_delim(&self) -> Option<bool> {
        let rest = self.rest();
        if rest.starts_with(RIGHT) {
            return Some(false);
        }
        let marked = rest.starts_with(is_space)
            && rest[1..].starts_with('-')
            && rest[2..].starts_with(RIGHT);
        marked.then_some(true)
    }

    /// Steps over the right delimiter, which is next.
    fn close(&mut self, trims: bool) {
        self.at += RIGHT.len() + if trims { 2 } else { 0 };
        self.text_from = self.at;
        if trims {
            let rest = self.rest();
            self.text_from += rest.len() - rest.trim_start_matches(is_space).len();
        }
        self.inside = false;
    }

    fn lex_right_delim(&mut self, trims: bool) -> Token<'s> {
        let at = self.at + if trims { 2 } else { 0 };
        self.close(trims);
        Token {
            kind: TokenKind::RightDelim,
            at,
            text: RIGHT,
        }
    }

    fn lex_inside(&mut self) -> Lexed<'s> {
        let from = self.at;
        if let Some(trims) = self.at_right_delim() {
            if self.parens > 0 {
                return Err(Self::fault(from, "unclosed left paren"));
            }
            return Ok(self.lex_right_delim(trims));
        }
        let Some(c) = self.bump() else {
            return Err(Self::fault(from, "unclosed action"));
        };
        let kind = match c {
            _ if is_space(c) => return Ok(self.lex_space(from)),
            '=' => TokenKind::Assign,
            ':' => {
                if self.bump() != Some('=') {
                    return Err(Self::fault(from, "expected :="));
                }
                TokenKind::Declare
            }
            '|' => TokenKind::Pipe,
            '"' => {
                self.skip_quoted('"', from, "unterminated quoted string")?;
                TokenKind::String
            }
            '\'' => {
                self.skip_quoted('\'', from, "unterminated character constant")?;
                TokenKind::CharConstant
            }
            '`' => {
                let Some(length) = self.rest().find('`') else {
                    return Err(Self::fault(from, "unterminated raw quoted string"));
                };
                self.at += length + 1;
                TokenKind::RawString
            }
            '$' => return self.lex_name(from, TokenKind::Variable, TokenKind::Variable),
            '.' if !self.peek().is_some_and(|c| c.is_ascii_digit())
                && self.at < self.source.len() =>
            {
                return self.lex_name(from, TokenKind::Field, TokenKind::Dot);
            }
            '.' | '+' | '-' | '0'..='9' => {
                self.at = from;
                return self.lex_number(from);
            }
            _ if is_word(c) => return self.lex_identifier(from),
            '(' => {
                self.parens += 1;
                TokenKind::LeftParen
            }
            ')' => {
                self.parens = match self.parens.checked_sub(1) {
                    Some(parens) => parens,
                    None => return Err(Self::fault(from, "unexpected right paren")),
                };
                TokenKind::RightParen
            }
            '!'..='~' => TokenKind::Char,
            _ => {
                let message = format!("unrecognized character in action: U+{:04X}", u32::from(c));
                return Err(Self::fault(from, message));
            }
        };
        Ok(self.token(kind, from))
    }

    /// A run of spaces, of which the last belongs to a trimming delimiter if one follows.
    fn lex_space(&mut self, from: usize) -> Token<'s> {
        let rest = &self.source[from..];
        self.at = from + rest.len() - rest.trim_start_matches(is_space).len();
        if self.rest().starts_with('-') && self.rest()[1..].starts_with(RIGHT) {
            self.at -= 1;
            if self.at == from {
                return self.lex_right_delim(true);
            }
        }
        self.token(TokenKind::Space, from)
    }

    /// Steps over a quoted string whose first quote is behind.
    fn skip_quoted(&mut self, quote: char, from: usize, message: &str) -> Result<(), Box<Fault>> {
        loop {
            let broken = match self.bump() {
                Some('\\') => matches!(self.bump(), None | Some('\n')),
                None | Some('\n') => true,
                Some(c) if c == quote => return Ok(()),
                Some(_) => false,
            };
            if broken {
                return Err(Self::fault(from, message));
            }
        }
    }

    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some('.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(c) => is_space(c) || self.rest().starts_with(RIGHT),
        }
    }

    fn check_terminator(&self) -> Result<(), Box<Fault>> {
        match self.peek() {
            Some(c) if !self.at_terminator() => Err(Self::fault(
                self.at,
                format!("bad character U+{:04X} {c:?}", u32::from(c)),
            )),
            _ => Ok(()),
        }
    }

    fn skip_word(&mut self) {
        while self.peek().is_some_and(is_word) {
            self.bump();
        }
    }

    /// A field or a variable, or the dot or the dollar alone.
    fn lex_name(&mut self, from: usize, kind: TokenKind, alone: TokenKind) -> Lexed<'s> {
        if self.at_terminator() {
            return Ok(self.token(alone, from));
        }
        self.skip_word();
        self.check_terminator()?;
        Ok(self.token(kind, from))
    }

    fn lex_identifier(&mut self, from: usize) -> Lexed<'s> {
        self.skip_word();
        self.check_terminator()?;
        let word = &self.source[from..self.at];
        let kind = match Keyword::from_word(word) {
            Some(Keyword::Break) if !self.keyword_break => TokenKind::Identifier,
            Some(Keyword::Continue) if !self.keyword_continue => TokenKind::Identifier,
            Some(keyword) => TokenKind::Keyword(keyword),
            None => match word {
                "nil" => TokenKind::Nil,
                "true" | "false" => TokenKind::Bool,
                _ => TokenKind::Identifier,
            },
        };
        Ok(self.token(kind, from))
    }

    fn lex_number(&mut self, from: usize) -> Lexed<'s> {
        let mut good = self.skip_number();
        if good && matches!(self.peek(), Some('+' | '-')) {
            good = self.skip_number() && self.source[..self.at].ends_with('i');
        }
        if !good {
            let text = excerpt(&self.source[from..self.at]);
            return Err(Self::fault(from, format!("bad number syntax: {text:?}")));
        }
        Ok(self.token(TokenKind::Number, from))
    }

    fn accept(&mut self, set: &str) -> bool {
        let found = self.peek().is_some_and(|c| set.contains(c));
        if found {
            self.at += 1;
        }
        found
    }

    fn accept_run(&mut self, set: &str) {
        while self.accept(set) {}
    }

    /// Roughly a number; whether it is one shows when it is read.
    fn skip_number(&mut self) -> bool {
        const DECIMAL: &str = "0123456789_";
        const HEX: &str = "0123456789abcdefABCDEF_";
        self.accept("+-");
        let mut digits = DECIMAL;
        if self.accept("0") {
            if self.accept("xX") {
                digits = HEX;
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        self.accept_run(digits);
        if self.accept(".") {
            self.accept_run(digits);
        }
        if digits == DECIMAL && self.accept("eE") || digits == HEX && self.accept("pP") {
            self.accept("+-");
            self.accept_run(DECIMAL);
        }
        self.accept("i");
        if self.peek().is_some_and(is_word) {
            self.bump();
            return false;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(source: &str) -> Result<Vec<TokenKind>, String> {
        let mut lexer = Lexer::new(source, true, true);
        let mut out = Vec::new();
        loop {
            let token = lexer.next_token().map_err(|fault| fault.message)?;
            if token.kind == TokenKind::End {
                return Ok(out);
            }
            out.push(token.kind);
        }
    }

    #[test]
    fn trims_around_actions_and_comments() {
        use TokenKind::*;
        assert_eq!(
            kinds(" \n{{- 1 -}} \t"),
            Ok(vec![LeftDelim, Number, RightDelim])
        );
        assert_eq!(kinds(" {{- /* }} */ -}} "), Ok(vec![]));
        assert_eq!(kinds("{{-1}}"), Ok(vec![LeftDelim, Number, RightDelim]));
        assert_eq!(
            kinds("{{1  -}}"),
            Ok(vec![LeftDelim, Number, Space, RightDelim])
        );
    }

    #[test]
    fn words_end_where_go_ends_them() {
        use TokenKind::*;
        assert_eq!(
            kinds("{{$x.Y}}"),
            Ok(vec![LeftDelim, Variable, Field, RightDelim])
        );
        assert!(kinds("{{.a-b}}").unwrap_err().starts_with("bad character"));
        assert!(kinds("{{ 1x }}").unwrap_err().starts_with("bad number"));
        assert_eq!(kinds("{{ (1)").unwrap_err(), "unclosed action");
        assert_eq!(kinds("{{ (1 }}").unwrap_err(), "unclosed left paren");
    }
}

//! A part of Jira's query language: comparisons of project, labels, summary, status,
//! statusCategory and key, with AND, OR, NOT, parentheses and ORDER BY.

use super::issue::JiraIssue;

/// A query that was read.
#[derive(Debug)]
pub(super) enum Query {
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    Clause {
        field: String,
        op: String,
        values: Vec<String>,
    },
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Value(String),
    Sign(String),
}

impl Token {
    fn is_word(&self, word: &str) -> bool {
        matches!(self, Self::Word(w) if w.eq_ignore_ascii_case(word))
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut out = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {}
            '"' | '\'' => {
                let mut value = String::new();
                loop {
                    match chars.next() {
                        None => {
                            return Err(format!(
                                "Error in the JQL Query: The quoted string '{value}' has not been completed."
                            ));
                        }
                        Some('\\') => match chars.next() {
                            Some(e @ ('"' | '\'' | '\\' | ' ')) => value.push(e),
                            Some('n') => value.push('\n'),
                            Some('t') => value.push('\t'),
                            Some('r') => value.push('\r'),
                            other => {
                                return Err(format!(
                                    "Error in the JQL Query: '\\{}' is an illegal JQL escape sequence.",
                                    other.map(String::from).unwrap_or_default()
                                ));
                            }
                        },
                        Some(q) if q == c => break,
                        Some(other) => value.push(other),
                    }
                }
                out.push(Token::Value(value));
            }
            '(' | ')' | ',' | '=' | '~' => out.push(Token::Sign(c.to_string())),
            '!' => match chars.next() {
                Some(n @ ('=' | '~')) => out.push(Token::Sign(format!("!{n}"))),
                _ => return Err("Error in the JQL Query: '!' is not understood.".to_owned()),
            },
            c if c.is_alphanumeric() || c == '_' || c == '.' => {
                let mut word = String::from(c);
                while let Some(c) =
                    chars.next_if(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-'))
                {
                    word.push(c);
                }
                out.push(Token::Word(word));
            }
            c => {
                return Err(format!(
                    "Error in the JQL Query: The character '{c}' is a reserved JQL character."
                ));
            }
        }
    }
    Ok(out)
}

/// Reads a query; the order asked for is not looked at, since it is always the same.
pub(super) fn parse(text: &str) -> Result<Query, String> {
    let mut tokens = tokens(text)?;
    if let Some(at) = tokens
        .windows(2)
        .position(|w| w[0].is_word("order") && w[1].is_word("by"))
    {
        let order = tokens.split_off(at);
        let created = order.get(2).is_some_and(|t| t.is_word("created"));
        let down = order.get(3).is_some_and(|t| t.is_word("desc"));
        if !created || !down || order.len() != 4 {
            return Err("the fake orders by created DESC only".to_owned());
        }
    }
    let mut parser = Parser { tokens, at: 0 };
    let query = parser.any(0)?;
    match parser.next() {
        None => Ok(query),
        Some(t) => Err(format!(
            "Error in the JQL Query: Expecting either 'OR' or 'AND' but got {t:?}."
        )),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn next(&mut self) -> Option<Token> {
        let t = self.tokens.get(self.at).cloned();
        self.at += 1;
        t
    }

    fn takes_word(&mut self, word: &str) -> bool {
        let is = self.tokens.get(self.at).is_some_and(|t| t.is_word(word));
        self.at += usize::from(is);
        is
    }

    fn takes_sign(&mut self, sign: &str) -> bool {
        let is = self.tokens.get(self.at) == Some(&Token::Sign(sign.to_owned()));
        self.at += usize::from(is);
        is
    }

    fn any(&mut self, depth: usize) -> Result<Query, String> {
        if depth > 50 {
            return Err("the query is too deep".to_owned());
        }
        let mut parts = vec![self.all(depth)?];
        while self.takes_word("or") {
            parts.push(self.all(depth)?);
        }
        Ok(Query::Or(parts))
    }

    fn all(&mut self, depth: usize) -> Result<Query, String> {
        let mut parts = vec![self.one(depth)?];
        while self.takes_word("and") {
            parts.push(self.one(depth)?);
        }
        Ok(Query::And(parts))
    }

    fn one(&mut self, depth: usize) -> Result<Query, String> {
        if self.takes_word("not") {
            return Ok(Query::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.takes_sign("(") {
            let inner = self.any(depth + 1)?;
            return match self.takes_sign(")") {
                true => Ok(inner),
                false => Err("Error in the JQL Query: Expecting ')'.".to_owned()),
            };
        }
        let Some(Token::Word(field)) = self.next() else {
            return Err("Error in the JQL Query: Expecting a field name.".to_owned());
        };
        let op = match self.next() {
            Some(Token::Sign(s)) if matches!(s.as_str(), "=" | "!=" | "~" | "!~") => s,
            Some(Token::Word(w)) if w.eq_ignore_ascii_case("in") => "in".to_owned(),
            _ => {
                return Err(format!(
                    "Error in the JQL Query: Expecting operator after '{field}'."
                ));
            }
        };
        let mut values = Vec::new();
        if op == "in" {
            if !self.takes_sign("(") {
                return Err("Error in the JQL Query: Expecting '('.".to_owned());
            }
            loop {
                values.push(self.value()?);
                if self.takes_sign(")") {
                    break;
                }
                if !self.takes_sign(",") {
                    return Err("Error in the JQL Query: Expecting ','.".to_owned());
                }
            }
        } else {
            values.push(self.value()?);
        }
        Ok(Query::Clause {
            field: field.to_lowercase(),
            op,
            values,
        })
    }

    fn value(&mut self) -> Result<String, String> {
        const RESERVED: [&str; 6] = ["and", "or", "not", "order", "by", "in"];
        match self.next() {
            Some(Token::Value(v)) => Ok(v),
            Some(Token::Word(w)) if !RESERVED.contains(&w.to_lowercase().as_str()) => Ok(w),
            other => Err(format!(
                "Error in the JQL Query: Expecting a value but got {other:?}."
            )),
        }
    }
}

/// What a query is evaluated against.
pub(super) trait World {
    /// Whether there is a project of this key, id or name, and its key.
    fn project(&self, name: &str) -> Option<String>;
    /// Whether there is such a status.
    fn has_status(&self, name: &str) -> bool;
    /// Whether an issue's status is of the category Done.
    fn is_done(&self, issue: &JiraIssue) -> bool;
}

impl Query {
    /// What Jira would refuse: values that there are not, fields that are not known.
    pub(super) fn check(&self, world: &dyn World) -> Result<(), String> {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().try_for_each(|p| p.check(world)),
            Self::Not(inner) => inner.check(world),
            Self::Clause { field, op, values } => {
                let is_words = matches!(op.as_str(), "~" | "!~");
                if is_words != (field == "summary") {
                    return Err(format!(
                        "The operator '{op}' is not supported by the '{field}' field."
                    ));
                }
                for value in values {
                    let is_known = match field.as_str() {
                        "project" => world.project(value).is_some(),
                        "status" => world.has_status(value),
                        "statuscategory" => {
                            ["new", "to do", "indeterminate", "in progress", "done"]
                                .contains(&value.to_lowercase().as_str())
                        }
                        "labels" | "key" | "issuekey" => true,
                        "summary" => {
                            words(value)?;
                            true
                        }
                        other => {
                            return Err(format!(
                                "Field '{other}' does not exist or you do not have permission to view it."
                            ));
                        }
                    };
                    if !is_known {
                        return Err(format!(
                            "The value '{value}' does not exist for the field '{field}'."
                        ));
                    }
                }
                Ok(())
            }
        }
    }

    pub(super) fn fits(&self, issue: &JiraIssue, world: &dyn World) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|p| p.fits(issue, world)),
            Self::Or(parts) => parts.iter().any(|p| p.fits(issue, world)),
            Self::Not(inner) => !inner.fits(issue, world),
            Self::Clause { field, op, values } => {
                let is = values.iter().any(|v| match field.as_str() {
                    "project" => world.project(v).as_deref() == Some(&issue.project),
                    "labels" => issue.labels.contains(v),
                    "status" => issue.status.eq_ignore_ascii_case(v),
                    "statuscategory" => v.eq_ignore_ascii_case("done") == world.is_done(issue),
                    "key" | "issuekey" => issue.key.eq_ignore_ascii_case(v),
                    _ => words(v).is_ok_and(|wanted| wanted.are_in(&issue.summary)),
                });
                is != op.starts_with('!')
            }
        }
    }
}

/// What is looked for in a text: a phrase, or words in any order.
struct Words {
    words: Vec<String>,
    is_phrase: bool,
}

/// Reads the value of `~`: the escapes of the search for words, beneath those of the query.
fn words(value: &str) -> Result<Words, String> {
    let wrong = || format!("Unable to parse the text '{value}' for the field 'summary'.");
    let mut text = String::new();
    let mut quotes = 0;
    let mut chars = value.trim().chars();
    let mut after_end = false;
    while let Some(c) = chars.next() {
        if after_end {
            return Err(wrong());
        }
        match c {
            '\\' => text.push(chars.next().ok_or_else(wrong)?),
            '"' => {
                quotes += 1;
                after_end = quotes == 2;
                if quotes == 1 && !text.is_empty() {
                    return Err(wrong());
                }
            }
            c if quotes == 0 && "[]{}()^~:/!".contains(c) => return Err(wrong()),
            c => text.push(c),
        }
    }
    if quotes % 2 == 1 {
        return Err(wrong());
    }
    Ok(Words {
        words: split(&text),
        is_phrase: quotes > 0,
    })
}

/// A text's words as the index has them.
fn split(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|w| !w.is_empty())
        .map(str::to_lowercase)
        .collect()
}

impl Words {
    fn are_in(&self, text: &str) -> bool {
        let has = split(text);
        if self.words.is_empty() {
            return false;
        }
        if self.is_phrase {
            return has.windows(self.words.len()).any(|w| w == self.words);
        }
        self.words.iter().all(|w| has.contains(w))
    }
}

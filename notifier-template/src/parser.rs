//! From tokens to trees, with the rules and the order of checks that Go has.

use std::sync::Arc;

use crate::ast::{Action, Branch, Call, Callee, Command, If, Kind, Node, Operand, Pipe, Trees};
use crate::engine::Names;
use crate::error::{Fault, Trouble, excerpt};
use crate::funcs;
use crate::lexer::{Keyword, Lexer, Token, TokenKind};
use crate::limits::Limits;
use crate::text::number::Number;
use crate::text::quote::{unquote, unquote_char};
use crate::value::Value;

/// How many variables may be in scope together: they are looked up one by one.
const MOST_VARIABLES: usize = 250;

type Parsed<T> = Result<T, Box<Fault>>;

/// Parses a source into its main tree, named `name`, and all that it defines.
pub(crate) fn parse(name: &str, source: &str, names: &Names, limits: &Limits) -> Parsed<Trees> {
    if source.len() > limits.source_bytes {
        let message = format!("more than {} bytes of source", limits.source_bytes);
        return Err(Trouble::limit(message).at(0));
    }
    let lexer = Lexer::new(
        source,
        !names.contains("break"),
        !names.contains("continue"),
    );
    let mut parser = Parser {
        lexer,
        pushed: Vec::new(),
        names,
        trees: Trees::new(),
        variables: vec!["$"],
        ranges: 0,
        depth: 0,
        deepest: limits.depth,
    };
    let root = parser.document()?;
    parser.add(name, root, 0)?;
    Ok(parser.trees)
}

/// What ends a list of nodes.
enum Ending<'s> {
    End,
    Else,
    /// `else if`: the token is the `if`.
    ElseIf(Token<'s>),
}

impl Ending<'_> {
    fn describe(&self) -> &'static str {
        match self {
            Self::End => "{{end}}",
            Self::Else | Self::ElseIf(_) => "{{else}}",
        }
    }
}

enum Item<'s> {
    Node(Node),
    Ending(Ending<'s>, usize),
}

struct Parser<'s, 'n> {
    lexer: Lexer<'s>,
    /// Tokens given back; the last is the next.
    pushed: Vec<Token<'s>>,
    names: &'n Names,
    trees: Trees,
    variables: Vec<&'s str>,
    /// How many `range`s are open.
    ranges: usize,
    depth: usize,
    deepest: usize,
}

fn fail<T>(at: usize, message: impl Into<String>) -> Parsed<T> {
    Err(Trouble::from(message.into()).at(at))
}

fn unexpected<T>(token: Token<'_>, context: &str) -> Parsed<T> {
    fail(
        token.at,
        format!("unexpected {} in {context}", token.describe()),
    )
}

impl<'s> Parser<'s, '_> {
    fn next(&mut self) -> Parsed<Token<'s>> {
        match self.pushed.pop() {
            Some(token) => Ok(token),
            None => self.lexer.next_token(),
        }
    }

    fn peek(&mut self) -> Parsed<Token<'s>> {
        let token = self.next()?;
        self.pushed.push(token);
        Ok(token)
    }

    fn next_solid(&mut self) -> Parsed<Token<'s>> {
        loop {
            let token = self.next()?;
            if token.kind != TokenKind::Space {
                return Ok(token);
            }
        }
    }

    fn peek_solid(&mut self) -> Parsed<Token<'s>> {
        let token = self.next_solid()?;
        self.pushed.push(token);
        Ok(token)
    }

    fn expect(&mut self, kind: TokenKind, context: &str) -> Parsed<Token<'s>> {
        let token = self.next_solid()?;
        if token.kind == kind {
            Ok(token)
        } else {
            unexpected(token, context)
        }
    }

    /// Runs one level deeper.
    fn nested<T>(&mut self, at: usize, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= self.deepest {
            return Err(Trouble::limit(format!("nested deeper than {}", self.deepest)).at(at));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// Keeps a tree, unless one with content would be replaced.
    fn add(&mut self, name: &str, nodes: Vec<Node>, at: usize) -> Parsed<()> {
        match self.trees.get(name) {
            Some(old) if !is_blank(old) => {
                if is_blank(&nodes) {
                    return Ok(());
                }
                fail(
                    at,
                    format!("multiple definition of template {:?}", excerpt(name)),
                )
            }
            _ => {
                self.trees.insert(name.to_owned(), nodes.into());
                Ok(())
            }
        }
    }

    fn document(&mut self) -> Parsed<Vec<Node>> {
        let mut nodes = Vec::new();
        loop {
            let token = self.peek()?;
            match token.kind {
                TokenKind::End => return Ok(nodes),
                TokenKind::LeftDelim => {
                    self.next()?;
                    let word = self.next_solid()?;
                    if word.kind == TokenKind::Keyword(Keyword::Define) {
                        self.definition(word.at)?;
                        continue;
                    }
                    self.pushed.push(word);
                    self.pushed.push(token);
                }
                _ => {}
            }
            match self.text_or_action()? {
                Item::Node(node) => nodes.push(node),
                Item::Ending(ending, at) => {
                    return fail(at, format!("unexpected {}", ending.describe()));
                }
            }
        }
    }

    /// A tree of its own: it sees no variables and no `range` from outside.
    fn separate(&mut self, at: usize, context: &str) -> Parsed<Vec<Node>> {
        let variables = std::mem::replace(&mut self.variables, vec!["$"]);
        let ranges = std::mem::take(&mut self.ranges);
        let (nodes, ending, end_at) = self.nested(at, Self::list)?;
        self.variables = variables;
        self.ranges = ranges;
        match ending {
            Ending::End => Ok(nodes),
            other => fail(
                end_at,
                format!("unexpected {} in {context}", other.describe()),
            ),
        }
    }

    fn definition(&mut self, at: usize) -> Parsed<()> {
        let context = "define clause";
        let token = self.next_solid()?;
        let name = self.template_name(token, context)?;
        self.expect(TokenKind::RightDelim, context)?;
        let nodes = self.separate(at, context)?;
        self.add(&name, nodes, at)
    }

    fn template_name(&mut self, token: Token<'s>, context: &str) -> Parsed<String> {
        match token.kind {
            TokenKind::String | TokenKind::RawString => {
                let bytes = unquote_at(token)?;
                Ok(crate::text::to_text(bytes))
            }
            _ => unexpected(token, context),
        }
    }

    fn list(&mut self) -> Parsed<(Vec<Node>, Ending<'s>, usize)> {
        let mut nodes = Vec::new();
        loop {
            let token = self.peek_solid()?;
            if token.kind == TokenKind::End {
                return fail(token.at, "unexpected EOF");
            }
            match self.text_or_action()? {
                Item::Node(node) => nodes.push(node),
                Item::Ending(ending, at) => return Ok((nodes, ending, at)),
            }
        }
    }

    fn text_or_action(&mut self) -> Parsed<Item<'s>> {
        let token = self.next_solid()?;
        match token.kind {
            TokenKind::Text => Ok(Item::Node(Node::Text(token.text.into()))),
            TokenKind::LeftDelim => self.action(),
            _ => unexpected(token, "input"),
        }
    }

    fn action(&mut self) -> Parsed<Item<'s>> {
        let token = self.next_solid()?;
        let TokenKind::Keyword(keyword) = token.kind else {
            self.pushed.push(token);
            let pipe = self.pipeline("command", TokenKind::RightDelim)?;
            let raw = ends_raw(&pipe, self.names);
            return Ok(Item::Node(Node::Action(Action { pipe, raw })));
        };
        let at = token.at;
        Ok(Item::Node(match keyword {
            Keyword::Block => self.block(at)?,
            Keyword::Break => self.jump(at, "{{break}}", Node::Break)?,
            Keyword::Continue => self.jump(at, "{{continue}}", Node::Continue)?,
            Keyword::Else => {
                let next = self.next_solid()?;
                return match next.kind {
                    TokenKind::Keyword(Keyword::If) => Ok(Item::Ending(Ending::ElseIf(next), at)),
                    TokenKind::RightDelim => Ok(Item::Ending(Ending::Else, at)),
                    _ => unexpected(next, "else"),
                };
            }
            Keyword::End => {
                self.expect(TokenKind::RightDelim, "end")?;
                return Ok(Item::Ending(Ending::End, at));
            }
            Keyword::If => self.nested(at, Self::conditional)?,
            Keyword::Range => Node::Range(self.nested(at, |parser| parser.branch("range"))?),
            Keyword::With => Node::With(self.nested(at, |parser| parser.branch("with"))?),
            Keyword::Template => self.template()?,
            Keyword::Define => return unexpected(token, "command"),
        }))
    }

    fn jump(&mut self, at: usize, name: &str, node: Node) -> Parsed<Node> {
        self.expect(TokenKind::RightDelim, name)?;
        if self.ranges == 0 {
            return fail(at, format!("{name} outside {{{{range}}}}"));
        }
        Ok(node)
    }

    fn conditional(&mut self) -> Parsed<Node> {
        let scope = self.variables.len();
        let mut branches = Vec::new();
        let mut otherwise = Vec::new();
        loop {
            let pipe = self.pipeline("if", TokenKind::RightDelim)?;
            let (body, ending, _) = self.list()?;
            branches.push((pipe, body));
            match ending {
                Ending::End => break,
                Ending::ElseIf(_) => {}
                Ending::Else => {
                    otherwise = self.last_list()?;
                    break;
                }
            }
        }
        self.variables.truncate(scope);
        Ok(Node::If(If {
            branches,
            otherwise,
        }))
    }

    fn last_list(&mut self) -> Parsed<Vec<Node>> {
        let (nodes, ending, at) = self.list()?;
        match ending {
            Ending::End => Ok(nodes),
            other => fail(at, format!("expected end; found {}", other.describe())),
        }
    }

    fn branch(&mut self, context: &str) -> Parsed<Branch> {
        let scope = self.variables.len();
        let pipe = self.pipeline(context, TokenKind::RightDelim)?;
        let looping = usize::from(context == "range");
        self.ranges += looping;
        let (body, ending, _) = self.list()?;
        self.ranges -= looping;
        let otherwise = match ending {
            Ending::End => Vec::new(),
            Ending::Else => self.last_list()?,
            Ending::ElseIf(token) => return unexpected(token, "input"),
        };
        self.variables.truncate(scope);
        Ok(Branch {
            pipe,
            body,
            otherwise,
        })
    }

    fn block(&mut self, at: usize) -> Parsed<Node> {
        let context = "block clause";
        let token = self.next_solid()?;
        let name = self.template_name(token, context)?;
        let pipe = self.pipeline(context, TokenKind::RightDelim)?;
        let nodes = self.separate(at, context)?;
        self.add(&name, nodes, at)?;
        Ok(Node::Template(Call {
            at: token.at,
            name,
            pipe: Some(pipe),
        }))
    }

    fn template(&mut self) -> Parsed<Node> {
        let context = "template clause";
        let token = self.next_solid()?;
        let name = self.template_name(token, context)?;
        let next = self.next_solid()?;
        let pipe = if next.kind == TokenKind::RightDelim {
            None
        } else {
            self.pushed.push(next);
            Some(self.pipeline(context, TokenKind::RightDelim)?)
        };
        Ok(Node::Template(Call {
            at: token.at,
            name,
            pipe,
        }))
    }

    fn pipeline(&mut self, context: &str, end: TokenKind) -> Parsed<Pipe> {
        let at = self.peek_solid()?.at;
        let mut pipe = Pipe {
            at,
            variables: Vec::new(),
            assigns: false,
            commands: Vec::new(),
        };
        while self.declaration(&mut pipe, context)? {}
        loop {
            let token = self.next_solid()?;
            match token.kind {
                kind if kind == end => {
                    check_pipeline(&pipe, context, token.at)?;
                    return Ok(pipe);
                }
                TokenKind::Bool
                | TokenKind::CharConstant
                | TokenKind::Dot
                | TokenKind::Field
                | TokenKind::Identifier
                | TokenKind::Number
                | TokenKind::Nil
                | TokenKind::RawString
                | TokenKind::String
                | TokenKind::Variable
                | TokenKind::LeftParen => {
                    self.pushed.push(token);
                    let command = self.command()?;
                    pipe.commands.push(command);
                }
                _ => return unexpected(token, context),
            }
        }
    }

    /// Takes a variable that is declared or assigned; `true` if another may follow.
    fn declaration(&mut self, pipe: &mut Pipe, context: &str) -> Parsed<bool> {
        let variable = self.peek_solid()?;
        if variable.kind != TokenKind::Variable {
            return Ok(false);
        }
        self.next()?;
        let after = self.peek()?;
        let next = self.peek_solid()?;
        let more = match next.kind {
            TokenKind::Assign | TokenKind::Declare => false,
            TokenKind::Char if next.text == "," => true,
            _ => {
                if after.kind == TokenKind::Space {
                    self.pushed.push(after);
                }
                self.pushed.push(variable);
                return Ok(false);
            }
        };
        self.next_solid()?;
        if self.variables.len() >= MOST_VARIABLES {
            let message = format!("more than {MOST_VARIABLES} variables at once");
            return Err(Trouble::limit(message).at(variable.at));
        }
        pipe.assigns = next.kind == TokenKind::Assign;
        pipe.variables.push(variable.text.into());
        self.variables.push(variable.text);
        if !more {
            return Ok(false);
        }
        if context != "range" || pipe.variables.len() >= 2 {
            return fail(variable.at, format!("too many declarations in {context}"));
        }
        match self.peek_solid()?.kind {
            TokenKind::Variable | TokenKind::RightDelim | TokenKind::RightParen => Ok(true),
            _ => fail(variable.at, "range can only initialize variables"),
        }
    }

    fn command(&mut self) -> Parsed<Command> {
        let at = self.peek_solid()?.at;
        let mut operands = Vec::new();
        loop {
            self.peek_solid()?;
            operands.extend(self.operand()?);
            let token = self.next()?;
            match token.kind {
                TokenKind::Space => continue,
                TokenKind::RightDelim | TokenKind::RightParen => self.pushed.push(token),
                TokenKind::Pipe => {}
                _ => return unexpected(token, "operand"),
            }
            let mut operands = operands.into_iter();
            let Some(head) = operands.next() else {
                return fail(at, "empty command");
            };
            return Ok(Command {
                at,
                head,
                arguments: operands.collect(),
            });
        }
    }

    /// A term and the fields behind it; `None` if no term comes next.
    fn operand(&mut self) -> Parsed<Option<Operand>> {
        let Some(mut operand) = self.term()? else {
            return Ok(None);
        };
        let first = self.peek()?;
        if first.kind != TokenKind::Field {
            return Ok(Some(operand));
        }
        let mut fields: Vec<Arc<str>> = Vec::new();
        while self.peek()?.kind == TokenKind::Field {
            fields.push(self.next()?.text[1..].into());
        }
        match &mut operand.kind {
            Kind::Field(path) | Kind::Variable(_, path) => {
                path.append(&mut fields);
                operand.at = first.at;
                Ok(Some(operand))
            }
            Kind::Bool(_) | Kind::Text(_) | Kind::Number(_) | Kind::Nil | Kind::Dot => {
                fail(first.at, "unexpected . after term")
            }
            Kind::Function(_) | Kind::Chain(..) | Kind::Pipe(_) => Ok(Some(Operand {
                at: first.at,
                kind: Kind::Chain(Box::new(operand), fields),
            })),
        }
    }

    fn term(&mut self) -> Parsed<Option<Operand>> {
        let token = self.next_solid()?;
        let at = token.at;
        let kind = match token.kind {
            TokenKind::Identifier => Kind::Function(self.callee(token)?),
            TokenKind::Dot => Kind::Dot,
            TokenKind::Nil => Kind::Nil,
            TokenKind::Variable => {
                if !self.variables.contains(&token.text) {
                    return fail(at, format!("undefined variable {:?}", excerpt(token.text)));
                }
                Kind::Variable(token.text.into(), Vec::new())
            }
            TokenKind::Field => Kind::Field(vec![token.text[1..].into()]),
            TokenKind::Bool => Kind::Bool(token.text == "true"),
            TokenKind::CharConstant => {
                let code =
                    unquote_char(token.text).map_err(|message| Trouble::from(message).at(at))?;
                Kind::Number(Number::from_char(code))
            }
            TokenKind::Number => Kind::Number(
                Number::parse(token.text).map_err(|message| Trouble::from(message).at(at))?,
            ),
            TokenKind::LeftParen => {
                let pipe = self.nested(at, |parser| {
                    parser.pipeline("parenthesized pipeline", TokenKind::RightParen)
                })?;
                return Ok(Some(Operand {
                    at: pipe.at,
                    kind: Kind::Pipe(Box::new(pipe)),
                }));
            }
            TokenKind::String | TokenKind::RawString => {
                Kind::Text(Value::from_bytes(unquote_at(token)?))
            }
            _ => {
                self.pushed.push(token);
                return Ok(None);
            }
        };
        Ok(Some(Operand { at, kind }))
    }

    /// The caller's functions come before the engine's own.
    fn callee(&self, token: Token<'_>) -> Parsed<Callee> {
        let name = token.text;
        if self.names.contains(name) {
            return Ok(Callee::Bound(name.into()));
        }
        match funcs::find(name) {
            Some(builtin) => Ok(Callee::Builtin(builtin)),
            None => fail(
                token.at,
                format!("function {:?} not defined", excerpt(name)),
            ),
        }
    }
}

fn unquote_at(token: Token<'_>) -> Parsed<Vec<u8>> {
    unquote(token.text).ok_or_else(|| Trouble::from("invalid syntax").at(token.at))
}

fn check_pipeline(pipe: &Pipe, context: &str, at: usize) -> Parsed<()> {
    if pipe.commands.is_empty() {
        return fail(at, format!("missing value for {context}"));
    }
    for (index, command) in pipe.commands.iter().enumerate().skip(1) {
        if matches!(
            command.head.kind,
            Kind::Bool(_) | Kind::Dot | Kind::Nil | Kind::Number(_) | Kind::Text(_)
        ) {
            return fail(
                command.at,
                format!("non executable command in pipeline stage {}", index + 1),
            );
        }
    }
    Ok(())
}

/// Whether a list holds nothing but space.
fn is_blank(nodes: &[Node]) -> bool {
    nodes
        .iter()
        .all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()))
}

/// Whether the last function of the pipeline is one whose result is not escaped.
fn ends_raw(pipe: &Pipe, names: &Names) -> bool {
    match pipe.commands.last().map(|command| &command.head.kind) {
        Some(Kind::Function(callee)) => match callee {
            Callee::Builtin(builtin) => builtin.raw,
            Callee::Bound(name) => names.is_raw(name),
        },
        Some(Kind::Pipe(inner)) => ends_raw(inner, names),
        _ => false,
    }
}

//! Statements → [`Dockerfile`].

use super::error::{Fault, ParseError};
use super::tree::{self, Statement, Tree};
use super::typed::{self, Request, Typed};
use super::warnings::Linter;
use super::{Dockerfile, Instruction, Node, StageText, directives};

/// Parses a whole Dockerfile.
///
/// # Errors
///
/// The first thing that is wrong with it.
pub fn parse(text: &[u8]) -> Result<Dockerfile, ParseError> {
    let text = decode(text)?;
    let tree = tree::read(text)?;
    let typed = tree.statements.iter().map(typed_statement).collect::<Result<Vec<_>, _>>()?;
    let mut linter = Linter::default();
    for (statement, typed) in tree.statements.iter().zip(&typed) {
        linter.look(statement, typed);
    }
    let warnings = linter.finish(&tree);
    let (global_args, stages) = stages(&tree, typed)?;
    Ok(Dockerfile {
        text: text.to_owned(),
        directives: directives::read(text, tree.escape),
        global_args,
        stages,
        warnings,
    })
}

/// Parses one instruction that an image's config holds for builds on top of it (`OnBuild`). The
/// spans are ranges of that text.
///
/// # Errors
///
/// The text is no instruction, or more than one, or one that cannot be there.
pub fn parse_onbuild(text: &str) -> Result<Node, ParseError> {
    let tree = tree::read(text)?;
    let [statement] = tree.statements.as_slice() else {
        return Err(ParseError {
            message: "onbuild trigger should be a single expression".into(),
            span: 0..text.len(),
            help: None,
        });
    };
    // MAINTAINER has always been harmless there, and old images are what they are.
    match statement.item.keyword().as_str() {
        "maintainer" => {}
        keyword => {
            typed::refuse_trigger(keyword).map_err(|fault| tree::locate(fault, &statement.line))?
        }
    }
    match typed_statement(statement)? {
        Typed::Instruction(instruction) => Ok(node(statement, instruction)),
        Typed::From(_) => {
            let fault = Fault::new("FROM isn't allowed as an ONBUILD trigger");
            Err(tree::locate(fault, &statement.line))
        }
    }
}

/// The text without its byte order mark.
fn decode(text: &[u8]) -> Result<&str, ParseError> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    std::str::from_utf8(text).map_err(|error| {
        let at = error.valid_up_to();
        let line = text[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        ParseError {
            message: format!("the Dockerfile is not UTF-8 text (line {line})"),
            span: at..at + error.error_len().unwrap_or(1).min(text.len() - at),
            help: Some(
                "save it as UTF-8; a file that is compressed or binary is no Dockerfile".into(),
            ),
        }
    })
}

fn typed_statement(statement: &Statement) -> Result<Typed, ParseError> {
    let request = Request {
        item: &statement.item,
        heredocs: &statement.heredocs,
        line: &statement.line.text,
    };
    typed::instruction(request).map_err(|fault| tree::locate(fault, &statement.line))
}

fn stages(tree: &Tree, typed: Vec<Typed>) -> Result<(Vec<Node>, Vec<StageText>), ParseError> {
    let mut global_args = Vec::new();
    let mut stages: Vec<StageText> = Vec::new();
    for (statement, typed) in tree.statements.iter().zip(typed) {
        match (typed, stages.last_mut()) {
            (Typed::From(from), _) => stages.push(StageText {
                from,
                node_span: statement.span.clone(),
                comments: statement.comments.clone(),
                nodes: Vec::new(),
            }),
            (Typed::Instruction(instruction), Some(stage)) => {
                stage.nodes.push(node(statement, instruction));
            }
            (Typed::Instruction(arg @ Instruction::Arg(_)), None) => {
                global_args.push(node(statement, arg));
            }
            (Typed::Instruction(_), None) => {
                let fault = Fault::new("no build stage in current context")
                    .help("only ARG can stand before the first FROM");
                return Err(tree::locate(fault, &statement.line));
            }
        }
    }
    if stages.is_empty() {
        let last = tree.statements.last().map(|statement| statement.span.clone());
        return Err(ParseError {
            message: "dockerfile contains no stages to build".into(),
            span: last.unwrap_or_default(),
            help: Some("add FROM with the image to start from, or FROM scratch".into()),
        });
    }
    Ok((global_args, stages))
}

fn node(statement: &Statement, instruction: Instruction) -> Node {
    let line = statement.line.text.trim().to_owned();
    let comments = statement.comments.clone();
    Node { span: statement.span.clone(), line, comments, instruction }
}

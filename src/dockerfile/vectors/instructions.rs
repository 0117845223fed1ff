use super::*;
use crate::dockerfile::tree::{self, Item, RawHeredoc, Statement, Word};
use crate::dockerfile::typed::flags::{Flags, Kind};
use crate::dockerfile::typed::{self, Request, Typed};
use crate::dockerfile::{CommandLine, Device, Healthcheck, Instruction, parse};

/// As upstream: the first instruction alone, so no FROM is needed.
fn first(dockerfile: &str) -> Result<(Instruction, Statement), String> {
    let mut tree = tree::read(dockerfile).map_err(|error| error.message)?;
    let statement = tree.statements.swap_remove(0);
    let request = Request {
        item: &statement.item,
        heredocs: &statement.heredocs,
        line: &statement.line.text,
    };
    match typed::instruction(request) {
        Ok(Typed::Instruction(instruction)) => Ok((instruction, statement)),
        Ok(Typed::From(from)) => Err(format!("unexpected {from:?}")),
        Err(fault) => Err(fault.message),
    }
}

fn word(text: &str) -> Word {
    Word { text: text.to_owned(), at: 0..0 }
}

/// An item made by hand, as upstream makes nodes.
fn item(row: &Value, key: &str) -> Item {
    Item {
        name: word(text(row, key)),
        flags: Vec::new(),
        args: texts(&row["args"]).iter().map(|text| word(text)).collect(),
        json: row["attributes"]["json"] == true,
        inner: None,
    }
}

fn typed_item(item: &Item) -> Result<Instruction, String> {
    match typed::instruction(Request { item, heredocs: &[], line: "" }) {
        Ok(Typed::Instruction(instruction)) => Ok(instruction),
        Ok(Typed::From(from)) => Err(format!("unexpected {from:?}")),
        Err(fault) => Err(fault.message),
    }
}

#[test]
fn parse_errors() {
    let file = file("instructions.json");
    for row in rows(&file, "parse_errors") {
        assert!(judge(row, first(text(row, "dockerfile"))).is_none());
    }
}

#[test]
fn node_errors() {
    let file = file("instructions.json");
    for row in rows(&file, "node_errors") {
        assert!(judge(row, typed_item(&item(row, "instruction"))).is_none());
    }
}

#[test]
fn healthcheck_cmd() {
    let file = file("instructions.json");
    for row in rows(&file, "healthcheck_cmd") {
        let found = typed_item(&item(row, "instruction")).expect("accepted");
        let Instruction::Healthcheck(Healthcheck::Check { command, .. }) = found else {
            panic!("{found:?}")
        };
        let test = match command {
            CommandLine::Shell(line) => vec!["CMD-SHELL".to_owned(), line],
            CommandLine::Exec(words) => [vec!["CMD".to_owned()], words].concat(),
        };
        assert_eq!(test, texts(&row["health_test"]), "{row}");
    }
}

#[test]
fn opt_interval() {
    let file = file("instructions.json");
    for row in rows(&file, "opt_interval") {
        let (flag, value) = (text(row, "flag"), text(row, "value"));
        let _ = judge(row, first(&format!("HEALTHCHECK --{flag}={value} CMD true")));
    }
}

#[test]
fn copy_heredoc() {
    let file = file("instructions.json");
    for row in rows(&file, "copy_heredoc") {
        let (instruction, _) = first(text(row, "dockerfile")).expect("accepted");
        let Instruction::Copy(copy) = instruction else { panic!("{instruction:?}") };
        assert_eq!(copy.dest, text(row, "dest"), "{row}");
        assert_eq!(copy.sources, texts(&row["sources"]), "{row}");
        let contents = row["contents"].as_array().expect("a list");
        assert_eq!(copy.heredocs.len(), contents.len(), "{row}");
        for (heredoc, expected) in copy.heredocs.iter().zip(contents) {
            assert_eq!(heredoc.name, text(expected, "path"), "{row}");
            assert_eq!(heredoc.body, text(expected, "data"), "{row}");
            assert_eq!(heredoc.expand, expected["expand"], "{row}");
        }
    }
}

#[test]
fn run_heredoc() {
    let file = file("instructions.json");
    for row in rows(&file, "run_heredoc") {
        let (instruction, statement) = first(text(row, "dockerfile")).expect("accepted");
        let Instruction::Run(run) = instruction else { panic!("{instruction:?}") };
        let (shell, command) = match run.command {
            CommandLine::Shell(line) => (true, vec![line]),
            CommandLine::Exec(words) => (false, words),
        };
        assert_eq!(shell, row["shell"], "{row}");
        assert_eq!(command, texts(&row["command"]), "{row}");
        let files = row["files"].as_array().expect("a list");
        assert_eq!(statement.heredocs.len(), files.len(), "{row}");
        for (RawHeredoc { opening, content }, expected) in statement.heredocs.iter().zip(files) {
            assert_eq!(opening.name, text(expected, "name"), "{row}");
            assert_eq!(content, text(expected, "data"), "{row}");
            assert_eq!(opening.chomp, expected["chomp"], "{row}");
        }
    }
}

#[test]
fn run_flags_used() {
    let file = file("instructions.json");
    for row in rows(&file, "run_flags_used") {
        let (instruction, _) = first(text(row, "dockerfile")).expect("accepted");
        let Instruction::Run(run) = instruction else { panic!("{instruction:?}") };
        let used = [
            ("mount", !run.mounts.is_empty()),
            ("network", run.network.is_some()),
            ("security", run.security.is_some()),
            ("device", !run.devices.is_empty()),
        ];
        let used: Vec<&str> = used.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
        assert_eq!(used, texts(&row["flags_used"]), "{row}");
    }
}

#[test]
fn doc_comments() {
    let file = file("instructions.json");
    for row in rows(&file, "doc_comments") {
        let tree = tree::read(text(row, "dockerfile")).expect("accepted");
        let doc = |statement: usize, key: &str| {
            tree.statements[statement].doc_comment(key).unwrap_or_default().to_owned()
        };
        // The file of the one row: ARG, FROM, ARG, ARG.
        for (arg, expected) in row["meta_args"].as_array().expect("a list").iter().enumerate() {
            assert_eq!(doc(arg, text(expected, "key")), text(expected, "doc_comment"));
        }
        assert_eq!(vec![doc(1, "base")], texts(&row["stage_doc_comments"]));
        for expected in row["stage_args"].as_array().expect("a list") {
            let command = expected["command"].as_u64().expect("a number") as usize;
            let found = doc(2 + command, text(expected, "key"));
            assert_eq!(found, text(expected, "doc_comment"), "{expected}");
        }
    }
}

#[test]
fn devices() {
    let file = file("instructions.json");
    for row in rows(&file, "device") {
        if let Some(device) =
            judge(row, Device::parse(text(row, "input")).map_err(|error| error.to_string()))
        {
            assert_eq!(device.name, text(&row["expected"], "name"), "{row}");
            assert_eq!(device.required, row["expected"]["required"], "{row}");
        }
    }
}

#[test]
fn json_args() {
    let file = file("instructions.json");
    for row in rows(&file, "json_args") {
        let item = Item { name: word("CMD"), ..item(row, "name") };
        let found = typed_item(&item).expect("accepted");
        let expected = texts(&row["expected"]);
        match found {
            Instruction::Cmd(CommandLine::Exec(words)) => assert_eq!(words, expected, "{row}"),
            // An empty line for the shell stands for no argument at all.
            Instruction::Cmd(CommandLine::Shell(line)) => {
                assert_eq!(line, expected.join(""), "{row}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn flags() {
    let file = file("instructions.json");
    for row in rows(&file, "bflags") {
        let defined = row["flags"].as_array().expect("a list");
        let specs: Vec<(&'static str, Kind)> = defined
            .iter()
            .map(|flag| {
                let name: &'static str = text(flag, "name").to_owned().leak();
                (name, if flag["type"] == "bool" { Kind::Bool } else { Kind::Text })
            })
            .collect();
        // `--` ends the flags before they come here.
        let words: Vec<Word> =
            texts(&row["args"]).iter().filter(|arg| *arg != "--").map(|arg| word(arg)).collect();
        let outcome = Flags::parse(&specs, &words).map_err(|fault| fault.message);
        let Some(found) = judge(row, outcome) else { continue };
        for (name, expected) in row["values"].as_object().expect("an object") {
            let default =
                &defined.iter().find(|flag| flag["name"] == *name).expect("a flag")["default"];
            let value = match found.text_or_empty(name) {
                Some(_) if default.is_boolean() => Value::from(found.bool(name)),
                Some(value) => Value::from(value),
                None => default.clone(),
            };
            assert_eq!(value, *expected, "{name} of {row}");
        }
        for (name, expected) in row["used"].as_object().expect("an object") {
            assert_eq!(found.word(name).is_some(), *expected, "{name} of {row}");
        }
        if !row["used_names"].is_null() {
            let mut used: Vec<&str> = specs.iter().map(|(name, _)| *name).collect();
            used.retain(|name| found.word(name).is_some());
            used.sort_unstable();
            assert_eq!(used, texts(&row["used_names"]), "{row}");
        }
    }
}

#[test]
fn no_crash() {
    let file = file("instructions.json");
    for row in rows(&file, "no_crash") {
        let _ = parse(text(row, "dockerfile").as_bytes());
    }
}

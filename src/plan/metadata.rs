//! Instructions that change the config and no file.

use serde_json::{Map, Value};

use super::steps::Draft;
use super::text::{command_args, healthcheck_history, quoted};
use crate::dockerfile::{CommandLine, Healthcheck, Instruction, Located, Node, Pair, expose_ports};
use crate::image::config::HealthConfig;

/// Applies an instruction to the config; the answer is its history text. ONBUILD has none: as in
/// BuildKit, what it stores is in the history of the image that it is carried out in.
pub(super) fn apply(draft: &mut Draft<'_>, node: &Node) -> Result<Option<String>, Located> {
    if let Instruction::OnBuild(trigger) = &node.instruction {
        draft.config.config.on_build.push(trigger.text.clone());
        return Ok(None);
    }
    set(draft, node).map(Some)
}

fn set(draft: &mut Draft<'_>, node: &Node) -> Result<String, Located> {
    match &node.instruction {
        Instruction::Env(pairs) => env(draft, node, pairs),
        Instruction::Label(pairs) => label(draft, node, pairs),
        Instruction::Cmd(command) => {
            let args = command_args(command, draft.config.config.shell.as_deref());
            draft.cmd_is_own = true;
            let text = format!("CMD {}", quoted(&args));
            draft.config.config.cmd = Some(args);
            Ok(text)
        }
        Instruction::Entrypoint(command) => {
            let args = command_args(command, draft.config.config.shell.as_deref());
            if !draft.cmd_is_own {
                draft.config.config.cmd = None;
            }
            let text = format!("ENTRYPOINT {}", quoted(&args));
            draft.config.config.entrypoint = Some(args);
            Ok(text)
        }
        Instruction::Expose(words) => expose(draft, node, words),
        Instruction::User(word) => {
            let user = draft.word(word, node)?;
            draft.config.config.user.clone_from(&user);
            Ok(format!("USER {user}"))
        }
        Instruction::Volume(words) => volume(draft, node, words),
        Instruction::StopSignal(word) => stop_signal(draft, node, word),
        Instruction::Shell(words) => {
            draft.config.config.shell = Some(words.clone());
            Ok(format!("SHELL [{}]", words.join(" ")))
        }
        Instruction::Healthcheck(check) => Ok(healthcheck(draft, check)),
        Instruction::Maintainer(name) => {
            draft.config.author = Some(name.clone());
            Ok(format!("MAINTAINER {name}"))
        }
        Instruction::Arg(_)
        | Instruction::OnBuild(_)
        | Instruction::Run(_)
        | Instruction::Copy(_)
        | Instruction::Add(_)
        | Instruction::Workdir(_) => Err(draft.error(node, "this instruction is no setting")),
    }
}

/// All values see the variables from before the instruction.
fn expand_pairs(
    draft: &Draft<'_>,
    node: &Node,
    pairs: &[Pair],
) -> Result<Vec<(String, String)>, Located> {
    pairs
        .iter()
        .map(|pair| Ok((draft.word(&pair.key, node)?, draft.word(&pair.value, node)?)))
        .collect()
}

fn env(draft: &mut Draft<'_>, node: &Node, pairs: &[Pair]) -> Result<String, Located> {
    let mut text = String::from("ENV");
    for (name, value) in expand_pairs(draft, node, pairs)? {
        if name.is_empty() {
            return Err(draft.error(node, "an ENV name expands to nothing"));
        }
        text.push_str(&format!(" {name}={value}"));
        draft.scope.set_env(&name, &value);
        draft.config.config.set_env(&name, &value);
    }
    Ok(text)
}

fn label(draft: &mut Draft<'_>, node: &Node, pairs: &[Pair]) -> Result<String, Located> {
    let mut text = String::from("LABEL");
    for (name, value) in expand_pairs(draft, node, pairs)? {
        text.push_str(&format!(" {name}={value}"));
        draft.config.config.labels.insert(name, value);
    }
    Ok(text)
}

fn expose(draft: &mut Draft<'_>, node: &Node, words: &[String]) -> Result<String, Located> {
    let mut expanded = Vec::new();
    for word in words {
        expanded.extend(draft.words(word, node)?);
    }
    let ports = expose_ports(&expanded).map_err(|error| draft.error(node, error.to_string()))?;
    let text = format!("EXPOSE [{}]", ports.join(" "));
    for port in ports {
        draft.config.config.exposed_ports.insert(port, Value::Object(Map::new()));
    }
    Ok(text)
}

fn volume(draft: &mut Draft<'_>, node: &Node, words: &[String]) -> Result<String, Located> {
    let mut paths = Vec::new();
    for word in words {
        let path = draft.word(word, node)?;
        if path.trim().is_empty() {
            return Err(draft.error(node, "VOLUME specified can not be an empty string"));
        }
        draft.config.config.volumes.insert(path.clone(), Value::Object(Map::new()));
        paths.push(path);
    }
    Ok(format!("VOLUME [{}]", paths.join(" ")))
}

fn stop_signal(draft: &mut Draft<'_>, node: &Node, word: &str) -> Result<String, Located> {
    let signal = draft.word(word, node)?;
    if !is_signal(&signal) {
        return Err(draft.error(node, format!("invalid stop signal: {signal}")));
    }
    draft.config.config.stop_signal.clone_from(&signal);
    Ok(format!("STOPSIGNAL {signal}"))
}

/// Linux signals by number, or by name with or without SIG (signal(7)).
fn is_signal(text: &str) -> bool {
    const NAMES: &[&str] = &[
        "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT",
        "KILL", "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM",
        "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
        "RTMIN", "RTMAX",
    ];
    if let Ok(number) = text.parse::<u32>() {
        return (1..=64).contains(&number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |text: &str, most: u32| text.parse().is_ok_and(|n: u32| (1..=most).contains(&n));
    NAMES.contains(&name)
        || name.strip_prefix("RTMIN+").is_some_and(|text| offset(text, 15))
        || name.strip_prefix("RTMAX-").is_some_and(|text| offset(text, 14))
}

fn healthcheck(draft: &mut Draft<'_>, check: &Healthcheck) -> String {
    let config = match check {
        Healthcheck::None => HealthConfig { test: vec!["NONE".into()], ..HealthConfig::default() },
        Healthcheck::Check {
            command,
            interval,
            timeout,
            start_period,
            start_interval,
            retries,
        } => {
            let nanos = |duration: &Option<std::time::Duration>| {
                duration.map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
            };
            let test = match command {
                CommandLine::Shell(line) => vec!["CMD-SHELL".into(), line.clone()],
                CommandLine::Exec(args) => [&["CMD".to_owned()][..], args.as_slice()].concat(),
            };
            HealthConfig {
                test,
                interval: nanos(interval),
                timeout: nanos(timeout),
                start_period: nanos(start_period),
                start_interval: nanos(start_interval),
                retries: u64::from(retries.unwrap_or(0)),
                ..HealthConfig::default()
            }
        }
    };
    let text = healthcheck_history(&config);
    draft.config.config.healthcheck = Some(config);
    text
}

#[cfg(test)]
mod tests {
    use super::is_signal;

    #[test]
    fn signals_by_name_and_number() {
        for good in ["9", "SIGTERM", "term", "SIGRTMIN+3", "RTMAX-1"] {
            assert!(is_signal(good), "{good}");
        }
        for bad in ["", "0", "65", "SIGFOO", "RTMIN+99"] {
            assert!(!is_signal(bad), "{bad}");
        }
    }
}

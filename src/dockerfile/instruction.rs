//! What a Dockerfile says, typed but not yet expanded: every word is as written, `$` and all.
//!
//! Source: the Dockerfile reference (docs.docker.com/reference/dockerfile) and BuildKit's
//! behaviour where that is silent.

use std::ops::Range;
use std::time::Duration;

use super::heredoc;

/// A parsed Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// The whole text, as read (without a byte order mark); spans point into it.
    pub text: String,
    /// What the first lines direct.
    pub directives: Directives,
    /// ARG before the first FROM.
    pub global_args: Vec<Node>,
    /// The stages in the order of the file; never empty.
    pub stages: Vec<StageText>,
    /// What is legal but doubtful, found while parsing.
    pub warnings: Vec<Warning>,
}

/// `# escape=`, `# syntax=`, `# check=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directives {
    /// Backslash or backtick.
    pub escape: char,
    /// The frontend image that the file names, if any, with the place.
    pub syntax: Option<(String, Span)>,
    /// The value of `# check=`, if any, with the place.
    pub check: Option<(String, Span)>,
}

impl Default for Directives {
    fn default() -> Self {
        Self { escape: '\\', syntax: None, check: None }
    }
}

/// A byte range of [`Dockerfile::text`].
pub type Span = Range<usize>;

/// Something legal but doubtful.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// BuildKit's rule name, e.g. `NoEmptyContinuation`.
    pub rule: &'static str,
    /// One sentence.
    pub message: String,
    /// Where.
    pub span: Span,
}

/// FROM and what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageText {
    /// The FROM.
    pub from: From,
    /// The place of the FROM.
    pub node_span: Span,
    /// The comment lines above the FROM, without `#`.
    pub comments: Vec<String>,
    /// The instructions after it, in order; none is a FROM.
    pub nodes: Vec<Node>,
}

/// `FROM [--platform=P] base [AS name]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// Unexpanded platform.
    pub platform: Option<String>,
    /// Unexpanded image, stage name or `scratch`.
    pub base: String,
    /// Lower-cased stage name.
    pub name: Option<String>,
}

/// One instruction and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// From the first letter of the instruction's name to its end, heredoc bodies included.
    pub span: Span,
    /// The instruction as one line: continuations joined, comment lines dropped, blanks trimmed;
    /// heredoc bodies left out. For logs and history.
    pub line: String,
    /// The comment lines above it, without `#`.
    pub comments: Vec<String>,
    /// What it says.
    pub instruction: Instruction,
}

/// The instructions, FROM aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instruction {
    /// `ARG name[=default] …`
    Arg(Vec<Arg>),
    /// `ENV key=value …`
    Env(Vec<Pair>),
    /// `LABEL key=value …`
    Label(Vec<Pair>),
    /// `RUN …`
    Run(Run),
    /// `CMD …`
    Cmd(CommandLine),
    /// `ENTRYPOINT …`
    Entrypoint(CommandLine),
    /// `COPY …`
    Copy(Transfer),
    /// `ADD …`
    Add(Transfer),
    /// `EXPOSE port …`: unexpanded words.
    Expose(Vec<String>),
    /// `USER name[:group]`
    User(String),
    /// `WORKDIR path`
    Workdir(String),
    /// `VOLUME path …`
    Volume(Vec<String>),
    /// `STOPSIGNAL signal`
    StopSignal(String),
    /// `SHELL ["program", "argument", …]`
    Shell(Vec<String>),
    /// `HEALTHCHECK …`
    Healthcheck(Healthcheck),
    /// `ONBUILD instruction`
    OnBuild(OnBuild),
    /// `MAINTAINER name`
    Maintainer(String),
}

/// One `name[=default]` of ARG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    /// The name.
    pub name: String,
    /// The unexpanded default.
    pub default: Option<String>,
}

/// One `key=value` of ENV or LABEL, both unexpanded and with their quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
}

/// The two forms of RUN, CMD and ENTRYPOINT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// A line for the shell.
    Shell(String),
    /// Arguments for exec, from a JSON array.
    Exec(Vec<String>),
}

/// RUN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The command. With heredocs in shell form: the line without their bodies.
    pub command: CommandLine,
    /// Values of `--mount`, unexpanded.
    pub mounts: Vec<String>,
    /// Value of `--network`.
    pub network: Option<String>,
    /// Value of `--security`.
    pub security: Option<String>,
    /// Values of `--device`.
    pub devices: Vec<String>,
    /// Heredocs in the order of the line.
    pub heredocs: Vec<Heredoc>,
}

impl Run {
    /// The heredoc that is the whole command: `RUN <<EOF`.
    pub fn script(&self) -> Option<&Heredoc> {
        let CommandLine::Shell(line) = &self.command else { return None };
        let alone = heredoc::opening(line).is_ok_and(|opening| opening.is_some());
        self.heredocs.first().filter(|_| alone)
    }
}

/// COPY or ADD.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transfer {
    /// Source words, unexpanded, heredocs not among them.
    pub sources: Vec<String>,
    /// Heredoc sources in order.
    pub heredocs: Vec<Heredoc>,
    /// Destination, unexpanded.
    pub dest: String,
    /// `--from`, COPY only.
    pub from: Option<String>,
    /// `--chown`, unexpanded.
    pub chown: Option<String>,
    /// `--chmod`, unexpanded.
    pub chmod: Option<String>,
    /// `--link`.
    pub link: bool,
    /// `--parents`, COPY only.
    pub parents: bool,
    /// `--exclude`, each.
    pub exclude: Vec<String>,
    /// `--checksum`, ADD only, unexpanded.
    pub checksum: Option<String>,
    /// `--keep-git-dir`, ADD only.
    pub keep_git_dir: bool,
    /// `--unpack`, ADD only.
    pub unpack: Option<bool>,
}

/// A here-document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The delimiter without quotes.
    pub name: String,
    /// The body. Of COPY and ADD without the tabs that `<<-` takes away; of RUN as written, for the
    /// shell to take them away.
    pub body: String,
    /// Whether variables in the body are expanded (no quote in the delimiter).
    pub expand: bool,
    /// Whether it was written `<<-`.
    pub chomp: bool,
    /// The file descriptor before `<<`; 0 if none.
    pub descriptor: u32,
}

impl Heredoc {
    /// The body without the tabs that `<<-` takes away.
    pub fn chomped(&self) -> String {
        if self.chomp { heredoc::chomp(&self.body) } else { self.body.clone() }
    }
}

/// HEALTHCHECK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Healthcheck {
    /// `HEALTHCHECK NONE`
    None,
    /// `HEALTHCHECK [flags] CMD …`
    Check {
        /// The command.
        command: CommandLine,
        /// `--interval`
        interval: Option<Duration>,
        /// `--timeout`
        timeout: Option<Duration>,
        /// `--start-period`
        start_period: Option<Duration>,
        /// `--start-interval`
        start_interval: Option<Duration>,
        /// `--retries`
        retries: Option<u32>,
    },
}

/// ONBUILD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnBuild {
    /// What the image's config stores: the instruction's text, heredoc bodies appended.
    pub text: String,
    /// The instruction, already checked.
    pub instruction: Box<Instruction>,
}

impl Instruction {
    /// The name in capitals, as messages quote it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Arg(_) => "ARG",
            Self::Env(_) => "ENV",
            Self::Label(_) => "LABEL",
            Self::Run(_) => "RUN",
            Self::Cmd(_) => "CMD",
            Self::Entrypoint(_) => "ENTRYPOINT",
            Self::Copy(_) => "COPY",
            Self::Add(_) => "ADD",
            Self::Expose(_) => "EXPOSE",
            Self::User(_) => "USER",
            Self::Workdir(_) => "WORKDIR",
            Self::Volume(_) => "VOLUME",
            Self::StopSignal(_) => "STOPSIGNAL",
            Self::Shell(_) => "SHELL",
            Self::Healthcheck(_) => "HEALTHCHECK",
            Self::OnBuild(_) => "ONBUILD",
            Self::Maintainer(_) => "MAINTAINER",
        }
    }
}

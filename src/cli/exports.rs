//! `-o`: text in, what is to be written out.
//!
//! Source: docs.docker.com/reference/cli/docker/buildx/build, "--output"; what the exporters take stands
//! in docs.docker.com/build/exporters. An attribute that kiln does not have is an error.

use std::io::IsTerminal;
use std::path::Path;

use super::env::Environment;
use super::error::CliError;
use super::fields::fields;
use crate::image::ImageFormat;
use crate::request::{Annotation, CompressionChoice, Export, Sink};

/// One `-o` as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Typed {
    kind: Kind,
    dest: Option<String>,
    names: Vec<String>,
    push: bool,
    as_directory: bool,
    image: ImageChoices,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Registry,
    Oci,
    Docker,
    Tar,
    Local,
    /// Nothing is written: the cache is all that is wanted.
    Cache,
}

/// What an output says of the image itself. An image is made once, so all outputs must agree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ImageChoices {
    pub(super) format: Option<ImageFormat>,
    pub(super) compression: Option<CompressionChoice>,
    pub(super) compression_level: Option<i32>,
    pub(super) annotations: Vec<Annotation>,
}

/// All outputs together.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    /// What is written to this machine.
    pub(super) exports: Vec<Export>,
    /// Names that are pushed to; nothing if nothing is pushed.
    pub(super) pushed: Option<Vec<String>>,
    /// Whether one of them is that nothing is written but the cache.
    pub(super) cache_only: bool,
    /// What they say of the image.
    pub(super) image: ImageChoices,
}

/// Reads one output; the sentence says what is wrong with it.
pub(super) fn typed(text: &str) -> Result<Typed, String> {
    if text.is_empty() {
        return Err("it is empty: is the variable in it set?".into());
    }
    let parts = fields(text)?;
    if let [only] = &parts[..]
        && only == text
        && !["type=", "dest="].iter().any(|name| only.starts_with(name))
    {
        // Docker's short forms.
        let kind = if only == "-" { Kind::Tar } else { Kind::Local };
        return Ok(Typed::new(kind, Some(only.clone())));
    }
    let mut pairs = Vec::new();
    for part in &parts {
        let (name, value) = part
            .split_once('=')
            .ok_or_else(|| format!("`{part}` is no NAME=VALUE; an output is type=…,dest=…"))?;
        pairs.push((name.trim().to_lowercase(), value));
    }
    let kind = pairs.iter().find(|(name, _)| name == "type").map(|(_, value)| *value);
    let kind = kind.ok_or("type is required for output")?;
    let mut typed = Typed::new(Kind::named(kind)?, None);
    typed.push = kind == "registry";
    for (name, value) in pairs.iter().filter(|(name, _)| name != "type") {
        typed.set(name, value)?;
    }
    Ok(typed)
}

impl Kind {
    fn named(word: &str) -> Result<Self, String> {
        match word {
            "registry" | "image" => Ok(Self::Registry),
            "oci" => Ok(Self::Oci),
            "docker" => Ok(Self::Docker),
            "tar" => Ok(Self::Tar),
            "local" => Ok(Self::Local),
            "cacheonly" => Ok(Self::Cache),
            other => Err(format!(
                "there is no output of the type `{other}`; types are registry, image, oci, docker, \
                 tar, local and cacheonly"
            )),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Registry => "image",
            Self::Oci => "oci",
            Self::Docker => "docker",
            Self::Tar => "tar",
            Self::Local => "local",
            Self::Cache => "cacheonly",
        }
    }

    fn is_image(self) -> bool {
        matches!(self, Self::Registry | Self::Oci | Self::Docker)
    }
}

impl Typed {
    fn new(kind: Kind, dest: Option<String>) -> Self {
        let (names, image) = (Vec::new(), ImageChoices::default());
        Self { kind, dest, names, push: false, as_directory: false, image }
    }

    /// Whether it pushes the image and does not say where.
    pub(super) fn needs_a_name(&self) -> bool {
        self.push && self.names.is_empty()
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let switch =
            || super::values::switch(value).map_err(|why| format!("{name}={value}: {why}"));
        match (name, self.kind) {
            ("dest", Kind::Registry) => {
                return Err("an image that is pushed has no dest; it has name=".into());
            }
            ("dest", kind) if kind != Kind::Cache => {
                self.dest = Some(value.to_owned()).filter(|dest| !dest.is_empty())
            }
            ("name", kind) if kind.is_image() => {
                for name in value.split(',').filter(|name| !name.is_empty()) {
                    self.names.push(super::values::image_name(name)?);
                }
            }
            ("push", Kind::Registry) => self.push = switch()?,
            ("tar", Kind::Oci) => self.as_directory = !switch()?,
            ("oci-mediatypes", kind) if kind.is_image() => {
                let oci = switch()?;
                self.image.format = Some(if oci { ImageFormat::Oci } else { ImageFormat::Docker });
            }
            ("compression", kind) if kind.is_image() => {
                self.image.compression = Some(compression(value)?);
            }
            ("compression-level", kind) if kind.is_image() => {
                let level = super::values::number(value);
                self.image.compression_level =
                    Some(level.map_err(|why| format!("{name}={value}: {why}"))?);
            }
            ("force-compression", kind) if kind.is_image() => {
                if switch()? {
                    return Err("force-compression: kiln does not compress the layers of a base \
                                image again"
                        .into());
                }
            }
            (name, kind) if kind.is_image() && name.starts_with("annotation") => {
                self.image.annotations.push(super::annotations::attribute(name, value)?);
            }
            (name, kind) => {
                return Err(format!(
                    "outputs of the type {} have no attribute `{name}`",
                    kind.word()
                ));
            }
        }
        Ok(())
    }

    /// Where a file goes: standard output where nothing is said, as with Docker.
    fn sink(&self, env: &Environment) -> Result<Sink, CliError> {
        let kind = self.kind.word();
        match self.dest.as_deref() {
            None | Some("-") if std::io::stdout().is_terminal() => Err(CliError::new(
                format!("dest file is required for {kind} exporter. refusing to write to console"),
                format!("name a file: -o type={kind},dest=FILE"),
            )),
            None | Some("-") => Ok(Sink::Stdout),
            Some(path) => {
                let path = env.absolute(path);
                if path.is_dir() {
                    let path = path.display();
                    let message = format!("destination file {path} is a directory");
                    return Err(CliError::new(message, "name a file in it"));
                }
                Ok(Sink::File(path))
            }
        }
    }

    fn directory(&self, env: &Environment) -> Result<std::path::PathBuf, CliError> {
        let kind = self.kind.word();
        let example = format!("name a directory: -o type={kind},dest=DIR");
        match self.dest.as_deref() {
            None => Err(CliError::new(format!("dest is required for {kind} exporter"), example)),
            Some("-") => {
                Err(CliError::new(format!("dest cannot be stdout for {kind} exporter"), example))
            }
            Some(path) => {
                let path = env.absolute(path);
                if path.exists() && !path.is_dir() {
                    let path = path.display();
                    let message = format!("destination directory {path} is a file");
                    return Err(CliError::new(message, "name another, or remove it"));
                }
                Ok(path)
            }
        }
    }

    fn export(&self, names: &[String], env: &Environment) -> Result<Option<Export>, CliError> {
        let names = if names.is_empty() { self.names.clone() } else { names.to_vec() };
        Ok(Some(match self.kind {
            Kind::Registry | Kind::Cache => return Ok(None),
            Kind::Oci if self.as_directory => {
                Export::OciLayout { dir: self.directory(env)?, names }
            }
            Kind::Oci => Export::OciArchive { to: self.sink(env)?, names },
            Kind::Docker if self.dest.is_none() => return Err(no_daemon("-o type=docker")),
            Kind::Docker => Export::DockerArchive { to: self.sink(env)?, names },
            Kind::Tar => Export::RootArchive(self.sink(env)?),
            Kind::Local => Export::RootDirectory(self.directory(env)?),
        }))
    }
}

/// There is no daemon that an image could be loaded into.
pub(super) fn no_daemon(flag: &str) -> CliError {
    CliError::new(
        format!("{flag} loads the image into Docker's daemon, and kiln talks to none"),
        "write an archive and load that: -o type=docker,dest=- | docker load",
    )
}

fn compression(word: &str) -> Result<CompressionChoice, String> {
    match word {
        "gzip" => Ok(CompressionChoice::Gzip),
        "zstd" => Ok(CompressionChoice::Zstd),
        "uncompressed" => Ok(CompressionChoice::Uncompressed),
        other => Err(format!("compression={other}: kiln has gzip, zstd and uncompressed")),
    }
}

/// Puts the outputs together. Names of the command line win over those of outputs, as with Docker.
pub(super) fn outputs(
    typed: &[Typed],
    names: &[String],
    env: &Environment,
) -> Result<Outputs, CliError> {
    let mut all = Outputs::default();
    for output in typed {
        all.exports.extend(output.export(names, env)?);
        all.cache_only |= output.kind == Kind::Cache;
        if output.push {
            let names = if names.is_empty() { &output.names } else { names };
            if names.is_empty() {
                return Err(CliError::new(
                    "tag is needed when pushing to registry",
                    "add -t registry.example/name:tag, or name= to the output",
                ));
            }
            let pushed = all.pushed.get_or_insert_default();
            pushed.extend(
                names.iter().filter(|name| !pushed.contains(name)).cloned().collect::<Vec<_>>(),
            );
        }
        all.image.merge(output)?;
    }
    one_place_each(&all.exports)?;
    Ok(all)
}

fn one_place_each(exports: &[Export]) -> Result<(), CliError> {
    let to_stdout = exports.iter().filter(|it| it.sink() == Some(&Sink::Stdout)).count();
    if to_stdout > 1 {
        return Err(CliError::new(
            "multiple outputs configured to write to stdout",
            "give all but one a dest=FILE",
        ));
    }
    let paths: Vec<&Path> = exports.iter().filter_map(Export::path).collect();
    let twice = paths.iter().enumerate().find(|(at, path)| paths[..*at].contains(path));
    match twice {
        Some((_, path)) => Err(CliError::new(
            format!("two outputs would be written to {}", path.display()),
            "give each a place of its own",
        )),
        None => Ok(()),
    }
}

impl ImageChoices {
    fn merge(&mut self, output: &Typed) -> Result<(), CliError> {
        let new = &output.image;
        let agreed = agree(&mut self.format, new.format)
            && agree(&mut self.compression, new.compression)
            && agree(&mut self.compression_level, new.compression_level);
        if !agreed {
            return Err(CliError::new(
                "outputs of one build say different things of the image",
                "kiln makes the image once: give all of them the same oci-mediatypes, compression \
                 and compression-level, or call it twice",
            ));
        }
        for annotation in &new.annotations {
            if !self.annotations.contains(annotation) {
                self.annotations.push(annotation.clone());
            }
        }
        Ok(())
    }
}

/// Takes a value where there is none; false where there is another.
fn agree<T: PartialEq + Copy>(known: &mut Option<T>, new: Option<T>) -> bool {
    match (*known, new) {
        (_, None) => true,
        (None, new) => {
            *known = new;
            true
        }
        (Some(known), Some(new)) => known == new,
    }
}

#[cfg(test)]
mod tests {
    use super::typed;

    /// `-o "$OUT"` with nothing in it would unpack an image into the current directory.
    #[test]
    fn an_output_is_somewhere() {
        assert!(typed("").is_err());
        assert!(typed("out").is_ok() && typed("-").is_ok());
    }
}

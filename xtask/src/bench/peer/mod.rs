//! Who is measured: kiln, and the programs that people build images with instead.

mod buildah;
mod buildkit;
mod container;
mod dind;
mod floor;
mod kiln;

use std::path::{Path, PathBuf};

use serde_json::Value;
use testkit::process::Daemon;

use super::case::Case;
use super::registry::IMAGE;
use super::steps::Steps;

/// One of those who are measured, in the order of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    KilnNamespaces,
    KilnChroot,
    Kaniko,
    DindClassic,
    DindBuildkit,
    BuildahChroot,
    BuildahOci,
    Buildkit,
    /// No builder, but what none can be faster than.
    Limit,
}

/// Programs that are given by their path.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    pub(crate) kiln: PathBuf,
    /// kaniko's executor, or a directory that is the root of its image.
    pub(crate) kaniko: Option<PathBuf>,
    pub(crate) buildkitd: Option<PathBuf>,
    pub(crate) buildctl: Option<PathBuf>,
    /// What dockerd tells runc of a container without any flags.
    pub(crate) container: Value,
}

impl Tools {
    /// kiln alone.
    pub(crate) fn of(kiln: &Path) -> Self {
        Self { kiln: kiln.to_owned(), ..Self::default() }
    }

    /// The runc that came with buildkitd.
    pub(crate) fn runc_of_buildkitd(&self) -> Option<PathBuf> {
        self.buildkitd.as_deref().and_then(buildkit::runc)
    }
}

/// What a build does with the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cache {
    None,
    /// The first build, which nobody measures.
    Fill,
    Use,
}

/// One build.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    pub(crate) case: &'a Case,
    pub(crate) tools: &'a Tools,
    /// The disk for everything that the peer writes.
    pub(crate) place: &'a Path,
    /// `127.0.0.1:PORT`.
    pub(crate) host: &'a str,
    pub(crate) cache: Cache,
    /// Digests of the Python base's layers.
    pub(crate) base: &'a [(String, u64)],
}

impl Job<'_> {
    /// The directory with the Dockerfile.
    pub(crate) fn context(&self) -> PathBuf {
        self.place.join("context")
    }

    /// What is pushed.
    pub(crate) fn image(&self) -> String {
        format!("{}/{IMAGE}:1", self.host)
    }

    /// The repository of caches that are not the image.
    pub(crate) fn cache_repo(&self) -> String {
        format!("{}/{IMAGE}/cache", self.host)
    }

    pub(crate) fn is_cached(&self) -> bool {
        self.cache != Cache::None
    }
}

impl Peer {
    pub(crate) const ALL: [Self; 9] = [
        Self::KilnNamespaces,
        Self::KilnChroot,
        Self::Kaniko,
        Self::DindClassic,
        Self::DindBuildkit,
        Self::BuildahChroot,
        Self::BuildahOci,
        Self::Buildkit,
        Self::Limit,
    ];

    /// Its word on the command line and in the results.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::KilnNamespaces => "kiln-namespaces",
            Self::KilnChroot => "kiln-chroot",
            Self::Kaniko => "kaniko",
            Self::DindClassic => "dind-classic",
            Self::DindBuildkit => "dind-buildkit",
            Self::BuildahChroot => "buildah-chroot",
            Self::BuildahOci => "buildah-oci",
            Self::Buildkit => "buildkit",
            Self::Limit => "limit",
        }
    }

    pub(crate) fn named(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|peer| peer.id() == id)
    }

    /// Whether no package has it, so that its path is to be given.
    pub(crate) fn is_by_path(id: &str) -> bool {
        [Self::Kaniko, Self::Buildkit].iter().any(|peer| peer.id() == id)
    }

    /// Whether it takes part in a case.
    pub(crate) fn does(self, case: &Case) -> bool {
        self != Self::Limit || case.id == "flask-cold"
    }

    /// What to do so that it can be measured, if it cannot.
    pub(crate) fn missing(self, tools: &Tools) -> Option<String> {
        let installed = |paths: &[&str], package: &str| {
            let lacks = paths.iter().find(|path| !Path::new(path).exists())?;
            Some(format!("{lacks} is not there; install it with: apt-get install {package}"))
        };
        let container = || installed(&["/usr/sbin/runc"], "runc").or_else(dockerd);
        fn dockerd() -> Option<String> {
            let lacks = ["/usr/sbin/dockerd", "/usr/bin/docker", "/usr/bin/containerd"];
            let lacks = lacks.into_iter().find(|path| !Path::new(path).exists())?;
            Some(format!("{lacks} is not there; install it with: apt-get install docker.io"))
        }
        match self {
            Self::KilnNamespaces => None,
            Self::KilnChroot => container(),
            Self::Kaniko if tools.kaniko.is_none() => {
                Some("give its executor, or the root of its image: --kaniko PATH".to_owned())
            }
            Self::Kaniko => container(),
            Self::DindClassic | Self::DindBuildkit => dockerd(),
            Self::BuildahChroot | Self::BuildahOci => installed(&["/usr/bin/buildah"], "buildah"),
            Self::Buildkit if tools.buildkitd.is_none() || tools.buildctl.is_none() => {
                Some("give its two programs: --buildkitd PATH --buildctl PATH".to_owned())
            }
            Self::Buildkit if tools.runc_of_buildkitd().is_some() => None,
            Self::Buildkit => installed(&["/usr/sbin/runc"], "runc"),
            Self::Limit => installed(&["/usr/bin/curl"], "curl"),
        }
    }

    /// What is there before the clock starts.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(crate) fn prepare(self, job: &Job<'_>) -> anyhow::Result<()> {
        match self {
            Self::KilnChroot => container::lay_out(job, &job.tools.kiln),
            Self::Kaniko => {
                let executor = job.tools.kaniko.as_deref().unwrap_or(&job.tools.kiln);
                container::lay_out(job, executor)
            }
            Self::Limit => floor::prepare(job),
            _ => Ok(()),
        }
    }

    /// Builds and pushes. Returns the daemon that still runs: to stop it is not measured.
    ///
    /// # Errors
    /// If the build fails; with what it wrote last.
    pub(crate) fn build(
        self,
        job: &Job<'_>,
        steps: &mut Steps<'_>,
    ) -> anyhow::Result<Option<Daemon>> {
        match self {
            Self::KilnNamespaces => kiln::build(job, steps).map(|()| None),
            Self::KilnChroot => container::kiln(job, steps).map(|()| None),
            Self::Kaniko => container::kaniko(job, steps).map(|()| None),
            Self::DindClassic => dind::build(job, steps, dind::Builder::Classic).map(Some),
            Self::DindBuildkit => dind::build(job, steps, dind::Builder::Buildkit).map(Some),
            Self::BuildahChroot => buildah::build(job, steps, "chroot").map(|()| None),
            Self::BuildahOci => buildah::build(job, steps, "oci").map(|()| None),
            Self::Buildkit => buildkit::build(job, steps).map(Some),
            Self::Limit => floor::measure(job, steps).map(|()| None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_peers_and_advice_says_what_to_give() {
        for peer in Peer::ALL {
            assert_eq!(Peer::named(peer.id()), Some(peer));
        }
        assert_eq!(Peer::named("podman"), None);
        let none = Tools::default();
        let advice = |peer: Peer| peer.missing(&none).unwrap_or_default();
        assert!(advice(Peer::Kaniko).contains("--kaniko PATH"));
        assert!(advice(Peer::Buildkit).contains("--buildkitd PATH --buildctl PATH"));
        assert_eq!(advice(Peer::KilnNamespaces), "");
    }
}

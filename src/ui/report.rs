//! What a build made, for the last lines of the log.

use std::time::Duration;

use super::clean;
use super::format;
use super::paint::Paint;
use super::task::push_line;
use crate::digest::Digest;

/// Steps that are named when not all are wanted.
const SLOWEST: usize = 3;
/// Faster steps are not worth a word.
const WORTH_NAMING: Duration = Duration::from_secs(1);
/// Columns of a step's name.
const NAME: usize = 60;

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// An image was built.
    Built,
    /// One that was there already was pushed.
    Pushed {
        /// Blobs whose bytes were sent.
        uploaded: usize,
        /// Blobs that registries had elsewhere.
        mounted: usize,
        /// Whether all tags led to it before.
        nothing_to_do: bool,
    },
    /// Images were joined.
    Joined {
        /// Their platforms.
        platforms: Vec<String>,
        /// Blobs that were copied because images were in other repositories.
        uploaded: usize,
        /// Whether all tags led to the index before.
        nothing_to_do: bool,
    },
}

/// What a build made.
#[derive(Debug, Clone)]
pub struct Report {
    /// What was done.
    pub work: Work,
    /// Where the image is now: names in registries, paths of files.
    pub names: Vec<String>,
    /// The manifest's digest.
    pub digest: Digest,
    /// Compressed bytes of all layers.
    pub size: u64,
    /// Number of layers.
    pub layers: usize,
    /// Number of images: one for each platform.
    pub images: usize,
    /// Whether standard output has the image, so that the digest is not printed there.
    pub stdout_taken: bool,
    /// How long the build took.
    pub seconds: f64,
    /// The steps and how long each took, in the order of the Dockerfile.
    pub steps: Vec<(String, Duration)>,
    /// Most memory used at one time, in bytes, if it is known.
    pub peak_memory: Option<u64>,
}

impl Report {
    /// A few lines for the log; `verbose` names every step.
    pub(super) fn summary(&self, verbose: bool, colour: bool) -> String {
        let paint = Paint(colour);
        let mut text = String::new();
        for name in &self.names {
            push_line(&mut text, &paint.bold(&clean::line(name)));
        }
        push_line(&mut text, &self.size_and_time());
        for (name, duration) in self.worth_naming(verbose) {
            let name = clean::truncate(&clean::line(name), NAME);
            push_line(&mut text, &format!("{:>8}  {name}", format::duration(*duration)));
        }
        text
    }

    fn size_and_time(&self) -> String {
        let layers = if self.layers == 1 { "layer" } else { "layers" };
        let platforms = match self.images {
            0 | 1 => String::new(),
            several => format!(" for {several} platforms"),
        };
        let image = format!("{} in {} {layers}{platforms}", format::size(self.size), self.layers);
        let elapsed = Duration::try_from_secs_f64(self.seconds).unwrap_or_default();
        let elapsed = format::duration(elapsed);
        let blobs = |count: usize, what: &str| match count {
            0 => String::new(),
            1 => format!(", 1 blob {what}"),
            several => format!(", {several} blobs {what}"),
        };
        match &self.work {
            Work::Built => {
                let memory = self.peak_memory.map(format::size);
                let memory = memory.map(|bytes| format!(", {bytes} of memory")).unwrap_or_default();
                format!("{image}, built in {elapsed}{memory}")
            }
            Work::Pushed { nothing_to_do: true, .. } => {
                format!("{image}; it is there already, found in {elapsed}")
            }
            Work::Pushed { uploaded, mounted, .. } => {
                let (sent, mounted) = (blobs(*uploaded, "sent"), blobs(*mounted, "mounted"));
                format!("{image}, pushed in {elapsed}{sent}{mounted}")
            }
            Work::Joined { platforms, uploaded, nothing_to_do } => {
                let images = if platforms.len() == 1 { "image" } else { "images" };
                let list = platforms.join(", ");
                let copied = blobs(*uploaded, "copied");
                let what = if *nothing_to_do {
                    format!("the index is there already, found in {elapsed}")
                } else {
                    format!("joined in {elapsed}{copied}")
                };
                format!("{} {images}: {list}; {what}", platforms.len())
            }
        }
    }

    /// All steps in order, or the slowest ones.
    fn worth_naming(&self, all: bool) -> Vec<&(String, Duration)> {
        let mut steps: Vec<_> = self.steps.iter().collect();
        if !all {
            steps.retain(|(_, duration)| *duration >= WORTH_NAMING);
            steps.sort_by_key(|(_, duration)| std::cmp::Reverse(*duration));
            steps.truncate(SLOWEST);
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let step = |name: &str, millis| (name.to_owned(), Duration::from_millis(millis));
        Report {
            work: Work::Built,
            names: vec!["registry.example/app:1".into(), "/out/app.tar".into()],
            digest: Digest::of(b""),
            size: 45_240_000,
            layers: 7,
            images: 1,
            stdout_taken: false,
            seconds: 83.2,
            steps: vec![
                step("[build 1/4] COPY . .", 1200),
                step("[build 2/4] RUN make", 61_000),
                step("[build 3/4] RUN strip", 999),
                step("[build 4/4] RUN test", 9000),
                step("[2/3] COPY --from=build /out /", 1100),
            ],
            peak_memory: Some(88_100_000),
        }
    }

    #[test]
    fn the_slowest_steps_are_named() {
        insta::assert_snapshot!(report().summary(false, false), @r"
        registry.example/app:1
        /out/app.tar
        45.2 MB in 7 layers, built in 1m23s, 88.1 MB of memory
           1m01s  [build 2/4] RUN make
            9.0s  [build 4/4] RUN test
            1.2s  [build 1/4] COPY . .
        ");
    }

    #[test]
    fn verbose_names_every_step_in_order() {
        let summary = report().summary(true, false);
        assert_eq!(summary.lines().count(), 8, "{summary}");
        assert!(summary.contains("1.0s  [build 3/4] RUN strip"), "{summary}");
    }

    #[test]
    fn what_was_sent_is_counted() {
        let said = |work| {
            let report = Report { names: Vec::new(), steps: Vec::new(), work, ..report() };
            report.summary(false, false)
        };
        let platforms = vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()];
        for (work, expected) in [
            (
                Work::Pushed { uploaded: 2, mounted: 1, nothing_to_do: false },
                "45.2 MB in 7 layers, pushed in 1m23s, 2 blobs sent, 1 blob mounted\n",
            ),
            (
                Work::Pushed { uploaded: 0, mounted: 0, nothing_to_do: true },
                "45.2 MB in 7 layers; it is there already, found in 1m23s\n",
            ),
            (
                Work::Joined { platforms: platforms.clone(), uploaded: 0, nothing_to_do: false },
                "2 images: linux/amd64, linux/arm64; joined in 1m23s\n",
            ),
            (
                Work::Joined { platforms, uploaded: 3, nothing_to_do: true },
                "2 images: linux/amd64, linux/arm64; the index is there already, found in 1m23s\n",
            ),
        ] {
            assert_eq!(said(work), expected);
        }
    }

    #[test]
    fn one_layer_and_odd_numbers() {
        let odd = Report {
            names: Vec::new(),
            layers: 1,
            images: 2,
            seconds: f64::NAN,
            steps: Vec::new(),
            peak_memory: None,
            ..report()
        };
        assert_eq!(
            odd.summary(false, false),
            "45.2 MB in 1 layer for 2 platforms, built in 0.0s\n"
        );
    }
}

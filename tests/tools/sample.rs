//! An image with everything that a tool may stumble over.

use testkit::Registry;
use testkit::image::Image;

use crate::common::{Kiln, Outcome, bases};

/// Users, links, deletions, a directory that was made anew, a layer of several gzip members, and
/// all kinds of metadata. Its command prints three lines.
const DOCKERFILE: &str = r#"
RUN echo 'app:x:1000:1000::/data:/bin/sh' >> /etc/passwd; echo 'app:x:1000:' >> /etc/group
RUN mkdir -p /data/old/deep /srv; echo 1 > /data/old/deep/f; ln /etc/passwd /srv/hard; \
    ln -s ../etc/passwd /srv/soft; chmod 2750 /srv; touch /srv/suid; chmod 4755 /srv/suid
RUN rm -r /data/old /etc/upper; mkdir /data/old; echo 2 > /data/old/g; chown -R app:app /data
COPY --chown=app:app big /data/big
COPY note /data/
USER app
WORKDIR /data
ENV GREETING="hello world"
EXPOSE 8080/udp
VOLUME /var/lib/app
LABEL org.example.label="with \"quotes\""
STOPSIGNAL SIGINT
HEALTHCHECK --interval=7s --retries=2 CMD test -e /data/note
CMD ["sh", "-c", "id -un; pwd; echo $GREETING; cat note"]
"#;

/// What the command prints.
pub const PRINTED: &str = "app\n/data\nhello world\na note\n";

/// A registry with a base image, and `host/app:1` built on it.
#[derive(Debug)]
pub struct Sample {
    pub registry: Registry,
    pub outcome: Outcome,
}

impl Sample {
    /// Builds it with these further arguments.
    pub fn build(args: &[&str]) -> Self {
        let registry = Registry::start();
        bases::busybox(&registry, "base", "1");
        let host = registry.host();
        let outcome = Kiln::build()
            .dockerfile(&format!("FROM {host}/base:1{DOCKERFILE}"))
            .file("note", "a note\n")
            .file("big", bases::noise(5_000_000, 9))
            .args(["-t", &format!("{host}/app:1")])
            .args(args)
            .run()
            .ok();
        Self { registry, outcome }
    }

    pub fn digest(&self) -> &str {
        self.outcome.stdout.trim()
    }

    /// `HOST:PORT/app:1`.
    pub fn name(&self) -> String {
        format!("{}/app:1", self.registry.host())
    }

    /// As the test's own reader sees it; whole.
    pub fn image(&self) -> Image {
        let image = Image::from_registry(&self.registry, "app", "1").expect("the image");
        image.verify().expect("whole");
        image
    }
}

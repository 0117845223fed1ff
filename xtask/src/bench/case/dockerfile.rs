//! The Dockerfiles.

use std::fmt::Write as _;

use super::Project;
use super::context::PICKED;
use crate::bench::registry::{DEBIAN, PYTHON};

/// Seconds of CPU, and then of waiting, of each stage.
const BURN: &str = "import time\nwhile time.process_time() < 1: pass\ntime.sleep(1)";
/// Bytes of the layer that does not compress.
pub(super) const BIG: u64 = 2_000_000_000;
/// How many RUNs are deep.
pub(super) const DEEP: usize = 40;

/// What the flask example's RUN does.
pub(crate) fn flask_command() -> String {
    let install = "pip install --no-cache-dir --no-index --find-links=/wheels";
    format!("cd /app && {install} -r requirements.txt")
}

pub(super) fn of(project: Project, host: &str) -> String {
    let (debian, python) = (format!("FROM {host}/{DEBIAN}\n"), format!("FROM {host}/{PYTHON}\n"));
    match project {
        Project::Flask => format!(
            "{python}WORKDIR /app\nCOPY requirements.txt .\nCOPY wheels /wheels\n\
             RUN {}\nCOPY app.py .\nENV PORT=8000\nEXPOSE 8000\nCMD [\"gunicorn\", \"app:app\"]\n",
            flask_command()
        ),
        Project::Large => {
            format!("{python}COPY write.py /\nRUN python3 /write.py /data\nRUN echo done > /done\n")
        }
        Project::Stages => stages(&format!("{host}/{PYTHON}")),
        Project::CopyOnly => format!("{debian}COPY busybox /usr/local/bin/tool\n"),
        Project::Deep => (0..DEEP).fold(debian, |mut text, step| {
            let _ = writeln!(text, "RUN echo {step} > /file-{step}");
            text
        }),
        Project::Monorepo => PICKED.iter().fold(debian, |mut text, service| {
            let _ = writeln!(text, "COPY services/s{service:03} /srv/s{service:03}");
            text
        }),
        Project::BigPush => format!("{debian}RUN head -c {BIG} /dev/urandom > /big\n"),
    }
}

fn stages(base: &str) -> String {
    let names = ["a", "b", "c"];
    let burn = BURN.replace('\n', "\\n");
    let mut text = String::new();
    for name in names {
        let _ = writeln!(text, "FROM {base} AS {name}");
        let _ = writeln!(text, "RUN python3 -c \"exec('{burn}')\" && echo {name} > /made-{name}");
    }
    let _ = writeln!(text, "FROM {base}");
    for name in names {
        let _ = writeln!(text, "COPY --from={name} /made-{name} /made-{name}");
    }
    text
}

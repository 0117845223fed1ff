//! `cargo xtask`: what people and CI do with this repository, each with one command.

mod bench;
mod bench_broker;
mod bench_cache;
mod bench_push;
mod beside;
mod checks;
mod demo;
mod emulators;
mod gitlab_ci_local;
mod image;
mod moto;
mod packages;
mod step;

use std::process::ExitCode;

use bench::options::Options;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  demo    build an example, push it, pull it, run it: what kiln does, in a minute
  test    all checks: format, lint, licenses, tests
  image   make kiln's own image: cargo xtask image [--out DIR] [--push NAME]
  bench [--case ID]... [--peer ID]... [--rounds N]
        [--kaniko EXECUTOR-OR-DIR] [--buildkitd PATH --buildctl PATH]
          kiln and those that people build images with instead, side by side
  bench broker
          what serving /proc to a RUN costs, against a chroot with mounts
  bench cache
          what a build costs of which some or all is in a cache, on a new machine
  bench curves [--most COUNT] [--rounds N] [CURVE...]
          how the cost of a build grows with files, layers, steps, stages and bytes
  bench limits
          layers, the start and memory against what the machine can do
  bench push
          what further destinations of one build cost
  bench report
          write tables and chart again from docs/benchmarks/results.json
  bases   make the base images that tests use, which takes some minutes once
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["demo"] => demo::run(),
        ["test"] => checks::run_all(),
        ["image", rest @ ..] => image::run(rest),
        // A word alone is another benchmark, or a mistake.
        ["bench", rest @ ..] if rest.first().is_none_or(|word| word.starts_with('-')) => {
            match Options::parse(rest) {
                Ok(options) => bench::compare::run(&options),
                Err(wrong) => {
                    eprintln!("error: {wrong}");
                    return ExitCode::from(2);
                }
            }
        }
        ["bench", "broker"] => bench_broker::run(),
        ["bench", "cache"] => bench_cache::run(),
        ["bench", "curves", rest @ ..] => bench::curve::run(rest),
        ["bench", "limits"] => bench::limit::run(),
        ["bench", "push"] => bench_push::run(),
        ["bench", "report"] => bench::report::again(),
        ["bases"] => checks::bases(),
        ["help" | "-h" | "--help"] | [] => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

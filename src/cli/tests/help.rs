//! The texts of the help: every flag is in them, and no other, and lines fit.

use std::collections::BTreeSet;

use crate::cli::flags;

#[test]
fn the_help_names_every_flag_and_no_other_and_fits() {
    // The second is of a RUN, and named with --secret.
    let more = ["-d", "--mount"].map(str::to_owned);
    the_help_names_every_flag_of("build", include_str!("../help/build.txt"), more);
    the_help_names_every_flag_of("doctor", include_str!("../help/doctor.txt"), []);
    // The second is of a build, and named as what writes an archive.
    let more = ["-d", "--tar-path"].map(str::to_owned);
    the_help_names_every_flag_of("push", include_str!("../help/push.txt"), more);
    the_help_names_every_flag_of("index", include_str!("../help/index.txt"), ["-d".to_owned()]);
    the_help_names_every_flag_of("login", include_str!("../help/login.txt"), []);
    the_help_names_every_flag_of("warm", include_str!("../help/warm.txt"), []);
    the_help_names_every_flag_of("logout", include_str!("../help/logout.txt"), []);
    the_help_names_every_flag_of_cache();
    assert_fits(include_str!("../help/kiln.txt"));
    assert_fits(include_str!("../help/check.txt"));
}

/// `prune` has what `du` has, and more. The rest is said of builds.
fn the_help_names_every_flag_of_cache() {
    let command = flags::command();
    let cache = command.find_subcommand("cache").expect("the command");
    let prune = cache.find_subcommand("prune").expect("the command");
    let more = ["--cache-to", "--cache-dir", "--cache-mount-dir"].map(str::to_owned);
    the_help_names_every_flag(prune, include_str!("../help/cache.txt"), more);
}

fn the_help_names_every_flag_of(name: &str, help: &str, more: impl IntoIterator<Item = String>) {
    let command = flags::command();
    the_help_names_every_flag(command.find_subcommand(name).expect("the command"), help, more);
}

fn the_help_names_every_flag(
    command: &clap::Command,
    help: &str,
    more: impl IntoIterator<Item = String>,
) {
    let mut known: BTreeSet<String> = BTreeSet::from(["--help".to_owned(), "-h".to_owned()]);
    for arg in command.get_arguments() {
        known.extend(arg.get_long_and_visible_aliases().into_iter().flatten().map(long));
        known.extend(arg.get_aliases().into_iter().flatten().map(long));
        known.extend(arg.get_short().map(|short| format!("-{short}")));
    }
    known.extend(more);
    let named: BTreeSet<String> = help
        .split(|c: char| !c.is_ascii_lowercase() && c != '-')
        .filter(|word| word.starts_with('-') && word.len() > 1)
        .map(str::to_owned)
        .collect();
    assert_eq!(named, known);
    assert_fits(help);
}

fn assert_fits(help: &str) {
    for line in help.lines() {
        assert!(line.len() <= 80, "{line}");
    }
}

fn long(name: &str) -> String {
    format!("--{name}")
}

//! kaniko's contexts in git: every form, with the program git and in an image without it.

use std::process::{Command, Output};

use testkit::image::Image;

use crate::common::Kiln;
use crate::repository::Repository;
use crate::server::Server;

/// Where programs are, and where none is.
const PATHS: [&str; 2] = ["/usr/local/bin:/usr/bin:/bin", "/nowhere"];

/// A job of kaniko's; its directory lives as long.
struct Job {
    output: Output,
    dir: tempfile::TempDir,
}

impl Job {
    fn run(context: &str, path: &str, args: &[&str], env: &[(&str, &str)]) -> Self {
        let (command, dir) = Kiln::build().into_bare_command();
        let output = Command::new(command.get_program())
            .arg("executor")
            .args(["-c", context, "--no-push", "--oci-layout-path", "layout"])
            .args(args)
            .current_dir(dir.path())
            .env_clear()
            .env("PATH", path)
            .env("TMPDIR", dir.path().join("tmp"))
            .env("HOME", dir.path().join("home"))
            .env("GIT_PULL_METHOD", "http")
            .envs(env.iter().copied())
            .output()
            .expect("kiln starts");
        Self { output, dir }
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    #[track_caller]
    fn image(&self) -> Image {
        assert!(self.output.status.success(), "{}", self.said());
        assert!(!self.said().contains("geheim"), "{}", self.said());
        Image::from_layout(&self.dir.path().join("layout"), None).expect("a layout")
    }

    #[track_caller]
    fn text(&self) -> String {
        self.image().text("f").expect("f")
    }
}

/// What is below `refs/` beside branches and tags.
const REQUESTS: [&str; 3] =
    ["refs/pull/7/head", "refs/merge-requests/3/head", "refs/changes/01/1/1"];

fn repository(server: &Server, name: &str) -> Repository {
    let repository = Repository::new(server.dir(), name);
    repository.file("sub/Dockerfile", "FROM scratch\nCOPY g /f\n");
    repository.file("sub/g", "below");
    repository.file("Dockerfile", "FROM scratch\nCOPY f .git[x] .gi[t]/HEAD /\n");
    repository.git(&["add", "."]);
    repository.commit("f", "one");
    repository.git(&["tag", "-a", "v1", "-m", "the first"]);
    repository.git(&["checkout", "--quiet", "-b", "side/way"]);
    repository.commit("f", "side");
    repository.git(&["checkout", "--quiet", "--detach"]);
    for name in REQUESTS {
        repository.commit("f", name);
        repository.git(&["update-ref", name, "HEAD"]);
    }
    repository.git(&["checkout", "--quiet", "main"]);
    repository.commit("f", "main");
    repository
}

#[test]
fn every_form_of_a_context() {
    let server = Server::of_repositories();
    let git = repository(&server, "r.git");
    let (first, side) = (git.name_of("v1^{commit}"), git.name_of("side/way"));
    let place = format!("git://{}/git/r.git", server.host());
    for path in PATHS {
        let mut forms = vec![
            (String::new(), "main"),
            ("#refs/heads/main".into(), "main"),
            ("#main".into(), "main"),
            ("#side/way".into(), "side"),
            ("#refs/heads/side/way".into(), "side"),
            ("#v1".into(), "one"),
            ("#refs/tags/v1".into(), "one"),
            (format!("#{first}"), "one"),
            (format!("#{side}"), "side"),
            (format!("#refs/heads/main#{first}"), "one"),
            (format!("#main#{side}"), "side"),
        ];
        forms.extend(REQUESTS.iter().map(|name| (format!("#{name}"), *name)));
        for (form, text) in forms {
            let job = Job::run(&format!("{place}{form}"), path, &[], &[]);
            assert_eq!(job.text(), text, "{form} with PATH={path}");
            // What stays of the clone in kaniko stays here too.
            assert!(job.image().text("HEAD").is_ok(), "{form} with PATH={path}");
        }
        for (flags, text) in [
            (&["--git", "branch=side/way"][..], "side"),
            (&["--git", "branch=v1,single-branch=true"], "one"),
            (&["--git", "branch=main", "--git", "recurse-submodules=true"], "main"),
            (&["--git", "insecure-skip-tls=false"], "main"),
            (&["--context-sub-path", "sub"], "below"),
        ] {
            assert_eq!(Job::run(&place, path, flags, &[]).text(), text, "{flags:?} with {path}");
        }
        let gone = Job::run(&format!("{place}#gone"), path, &[], &[]).said();
        assert!(gone.contains("does not contain ref gone"), "{gone}");
    }
}

#[test]
fn credentials_of_the_address_and_of_the_environment() {
    let server = Server::of_repositories();
    repository(&server, "private.git");
    repository(&server, "token.git");
    let at = |user: &str, name: &str| format!("git://{user}{}/git/{name}.git#main", server.host());
    for path in PATHS {
        let user = [("GIT_USERNAME", "x-access-token"), ("GIT_PASSWORD", "geheim")];
        for (context, env) in [
            (at("x-access-token:geheim@", "private"), &[][..]),
            (at("", "private"), &user[..]),
            (at("x-access-token:geheim@", "private"), &[("GIT_TOKEN", "falsch")]),
            (at("", "token"), &[("GIT_TOKEN", "geheim")]),
            (at("geheim@", "token"), &[]),
        ] {
            assert_eq!(Job::run(&context, path, &[], env).text(), "main", "{context} with {path}");
        }
        let wrong = Job::run(&at("", "private"), path, &[], &[("GIT_TOKEN", "falsch")]);
        let said = wrong.said();
        assert!(!wrong.output.status.success() && !said.contains("falsch"), "{said}");
        assert!(said.contains("The server wants other credentials"), "{said}");
    }
}

//! Systems of a Kubernetes cluster.

use std::fs;

use testkit::image::Image;

use crate::deploy::Deploy;
use crate::site::{Site, assert_is_of_the_source, digest_in, executable};

#[test]
fn dockerd_runs_tektons_step() {
    let (site, task) = (Site::new(), Deploy::read("tekton.yaml"));
    let image = format!("{}:tekton", site.image());
    let args = site.fill(
        &task.list("args"),
        &[
            ("$(workspaces.source.path)", "/workspace/source"),
            ("$(params.IMAGE)", &image),
            ("$(results.IMAGE_DIGEST.path)", "/tekton/results/IMAGE_DIGEST"),
        ],
    );
    assert_eq!(task.value("mountPath"), "/kaniko/.docker");
    let step = site
        .container("/workspace/source")
        .mount_read_only(&site.path("credentials"), "/kaniko/.docker")
        .mount(&site.path("results"), "/tekton/results")
        .flags(["--user", &task.value("runAsUser")]);
    // There is no `command`: the image's own program gets the arguments.
    step.run(&args).ok();
    // Tekton keeps 4 KB, and takes the file as it is.
    let digest = digest_in(&site.path("results/IMAGE_DIGEST"));
    assert_eq!(site.pushed("tekton").digest, digest);
    site.assert_source_is_whole(&[]);
}

#[test]
fn dockerd_runs_shipwrights_step() {
    let (site, strategy) = (Site::new(), Deploy::read("shipwright.yaml"));
    let image = format!("{}:shipwright", site.image());
    let args = site.fill(
        &strategy.list("args"),
        &[
            ("$(params.dockerfile)", &strategy.value("default")),
            ("$(params.shp-source-context)", "/workspace/source"),
            ("$(params.shp-output-image)", &image),
            ("$(params.shp-output-directory)", "/workspace/output-image"),
        ],
    );
    let (output, home) = (site.directory("output"), site.directory("home"));
    fs::create_dir(home.join(".docker")).unwrap();
    fs::write(home.join(".docker/config.json"), site.credentials()).unwrap();
    fs::write(site.path("uuid"), "0\n").unwrap();
    let capabilities = strategy.list("add");
    assert_eq!(capabilities.len(), 7, "{capabilities:?}");
    let step = site
        .container("/workspace/source")
        .mount(&output, "/workspace/output-image")
        .mount(&home, "/tekton/home")
        .mount_read_only(&site.path("uuid"), "/product_uuid")
        .env("HOME", "/tekton/home")
        .env("DOCKER_CONFIG", "/tekton/home/.docker")
        .flags(["--user", "0:0", "--security-opt", "no-new-privileges"])
        .flags(["--memory", "1g", "--cpus", "0.5", "--cap-drop", "ALL"])
        .flags(capabilities.iter().flat_map(|name| ["--cap-add", name]))
        .entrypoint(&strategy.list("command")[0]);
    step.run(&args).ok();
    let built = Image::from_docker_archive(&output.join("image.tar")).unwrap();
    assert_is_of_the_source(&built);
    site.assert_source_is_whole(&[]);
}

#[test]
fn dockerd_runs_argos_step() {
    let (site, workflow) = (Site::new(), Deploy::read("argo.yaml"));
    let image = format!("{}:argo", site.image());
    let values = [("{{workflow.parameters.image}}", image.as_str())];
    let args = site.fill(&workflow.list("args"), &values);
    // Argo's own program lies in /var/run/argo, and is what Kubernetes starts. It passes on.
    let argo = site.directory("argo");
    executable(
        &argo.join("argoexec"),
        "#!/busybox/sh\n[ -e /var/run/argo/template ] && exec \"$@\"\n",
    );
    fs::write(argo.join("template"), "{}").unwrap();
    let command = &workflow.list("command")[0];
    let step = site
        .container("/workspace/source")
        .mount_read_only(&site.path("credentials"), "/kaniko/.docker")
        .mount(&argo, "/var/run/argo")
        .mount(&site.directory("tmp"), "/tmp")
        .entrypoint("/var/run/argo/argoexec");
    step.run(std::iter::once(command).chain(&args)).ok();
    let digest = digest_in(&site.path("tmp").join("digest"));
    assert_eq!(site.pushed("argo").digest, digest);
    assert!(argo.join("argoexec").exists() && argo.join("template").exists());
    site.assert_source_is_whole(&[]);
}

/// The flags that Skaffold makes of its file: those that it has now, and older spellings.
fn skaffolds_arguments(file: &Deploy, image: &str, build_arg: &str) -> Vec<String> {
    let mut args: Vec<String> = Vec::new();
    let mut add = |flag: &str, value: &str| args.extend([flag.to_owned(), value.to_owned()]);
    add("--destination", image);
    add("--dockerfile", &file.value("dockerfile"));
    add("--context", "dir:///kaniko/buildcontext");
    add("--build-arg", build_arg);
    add("--cache-repo", &file.value("repo"));
    add("--digest-file", &file.value("digestFile"));
    add("--snapshotMode", &file.value("snapshotMode"));
    for (key, flag) in [("whitelistVarRun", "--whitelist-var-run"), ("useNewRun", "--use-new-run")]
    {
        assert_eq!(file.value(key), "true");
        args.push(flag.to_owned());
    }
    args.extend(["--cache".to_owned(), "--cache-run-layers=true".to_owned()]);
    args
}

#[test]
fn dockerd_runs_skaffolds_pod() {
    let (site, file) = (Site::new(), Deploy::read("skaffold.yaml"));
    let image = format!("{}:skaffold", site.image());
    let build_arg = format!("VERSION={}", file.value("VERSION"));
    let args = site.fill(&skaffolds_arguments(&file, &image, &build_arg), &[]);
    let termination = site.path("termination-log");
    fs::write(&termination, "").unwrap();
    let pod = site
        .engine
        .container()
        .mount(&site.path("source"), "/kaniko/buildcontext")
        .mount_read_only(&site.path("credentials"), "/kaniko/.docker")
        .mount(&site.directory("cache"), "/cache")
        .mount(&termination, "/dev/termination-log")
        .env("UPSTREAM_CLIENT_TYPE", "UpstreamClient(skaffold-v2)");
    pod.run(&args).ok();
    let built = site.pushed("skaffold");
    assert_eq!(digest_in(&termination), built.digest);
    assert_eq!(built.text("app/version").unwrap(), "1\n");
    site.assert_source_is_whole(&[]);
}

//! A container as dockerd makes it by default, run by runc alone: what dockerd needs besides is
//! none of its content's doing.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};
use testkit::process::dockerd;

/// What one container is about. All else is as dockerd gives it.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<String>,
    pub(crate) directory: String,
    /// Shown as the directory.
    pub(crate) context: PathBuf,
    /// Where copies of the machine's hosts, hostname and resolv.conf are.
    pub(crate) etc: PathBuf,
    /// Its control group.
    pub(crate) cgroup: Option<String>,
}

/// Asks dockerd: starts it, and a container with the machine's network and no other flag. Returns
/// the config.json that it wrote for runc.
///
/// # Errors
/// If dockerd is not installed or does not start.
pub(crate) fn default_config() -> anyhow::Result<Value> {
    let docker = dockerd()?;
    let dir = tempfile::tempdir()?;
    fs::create_dir(dir.path().join("root"))?;
    fs::copy("/bin/busybox", dir.path().join("root/busybox"))
        .context("/bin/busybox is needed; install it with: apt-get install busybox-static")?;
    let archive = dir.path().join("root.tar");
    let mut tar = std::process::Command::new("tar");
    tar.arg("-cf").arg(&archive).arg("-C").arg(dir.path().join("root")).arg("busybox");
    crate::step::quiet(&mut tar)?;
    docker.run(&["import", &archive.to_string_lossy(), "tiny"])?;
    let run = ["run", "--detach", "--network", "host", "tiny", "/busybox", "sleep", "60"];
    let id = docker.run(&run)?;
    let host = docker.host();
    let socket = Path::new(host.trim_start_matches("unix://"));
    let tasks = "exec/containerd/daemon/io.containerd.runtime.v2.task/moby";
    let task = socket.with_file_name(tasks).join(id.trim());
    let config = fs::read(task.join("config.json")).context("dockerd wrote no config.json")?;
    docker.run(&["rm", "--force", id.trim()])?;
    Ok(serde_json::from_slice(&config)?)
}

/// The same for this container. Capabilities, the seccomp profile, masked paths and all other
/// limits stay as they are.
pub(crate) fn adapt(mut config: Value, to: &Container) -> Value {
    config["process"]["args"] = json!(to.arguments);
    config["process"]["env"] = json!(to.environment);
    config["process"]["cwd"] = json!(to.directory);
    config["process"]["terminal"] = json!(false);
    config["root"]["path"] = json!("rootfs");
    if let Some(all) = config.as_object_mut() {
        // dockerd's own way into the network, which needs dockerd.
        all.remove("hooks");
    }
    if let Some(cgroup) = &to.cgroup {
        config["linux"]["cgroupsPath"] = json!(cgroup);
    }
    // The machine's network, which dockerd shows through a file of its own.
    let namespaces = config["linux"]["namespaces"].as_array().cloned().unwrap_or_default();
    let own = |namespace: &Value| namespace["type"] != "network";
    config["linux"]["namespaces"] = namespaces.into_iter().filter(own).collect();
    let mounts = config["mounts"].as_array().cloned().unwrap_or_default();
    let of_machine = |mount| of_machine(mount, &to.etc);
    let mut mounts: Vec<Value> = mounts.into_iter().filter_map(of_machine).collect();
    mounts.push(bind(&to.directory, &to.context.to_string_lossy()));
    config["mounts"] = json!(mounts);
    config
}

/// A mount without anything that lies in dockerd's directories: files of /etc are copies of the
/// machine's, as dockerd makes some.
fn of_machine(mount: Value, etc: &Path) -> Option<Value> {
    let destination = mount["destination"].as_str().unwrap_or_default().to_owned();
    match (mount["type"].as_str(), destination.as_str()) {
        (Some("bind"), "/etc/resolv.conf" | "/etc/hosts" | "/etc/hostname") => {
            let copy = etc.join(Path::new(&destination).file_name()?);
            Some(bind(&destination, &copy.to_string_lossy()))
        }
        (Some("bind"), _) => None,
        _ => Some(mount),
    }
}

fn bind(destination: &str, source: &str) -> Value {
    json!({
        "destination": destination,
        "type": "bind",
        "source": source,
        "options": ["rbind", "rprivate"],
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The parts of what dockerd writes that are looked at.
    fn written() -> Value {
        json!({
            "ociVersion": "1.0.2-dev",
            "process": {
                "terminal": true,
                "args": ["/busybox"], "env": ["A=b"], "cwd": "/",
                "capabilities": { "bounding": ["CAP_CHOWN", "CAP_SETFCAP"] },
                "apparmorProfile": "docker-default",
            },
            "root": { "path": "/x/docker/overlay2/1/merged" },
            "hostname": "vm",
            "hooks": { "prestart": [{ "path": "/proc/1/exe" }] },
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                { "destination": "/etc/hosts", "type": "bind", "source": "/x/docker/1/hosts" },
                { "destination": "/x", "type": "bind", "source": "/x/docker/volumes/x" },
            ],
            "linux": {
                "cgroupsPath": "/docker/1",
                "seccomp": { "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{ "names": ["read"] }] },
                "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"],
                "namespaces": [
                    { "type": "mount" },
                    { "type": "network", "path": "/x/docker/netns/default" },
                    { "type": "pid" },
                ],
            },
        })
    }

    fn container(cgroup: Option<&str>) -> Container {
        Container {
            arguments: vec!["/kaniko/executor".to_owned()],
            environment: vec!["HOME=/root".to_owned()],
            directory: "/workspace".to_owned(),
            context: "/place/context".into(),
            etc: "/place/etc".into(),
            cgroup: cgroup.map(str::to_owned),
        }
    }

    #[test]
    fn what_confines_the_container_is_not_touched() {
        let config = adapt(written(), &container(Some("/group/container")));
        let before = written();
        for path in ["/process/capabilities", "/process/apparmorProfile", "/linux/seccomp"] {
            assert_eq!(config.pointer(path), before.pointer(path), "{path}");
        }
        for path in ["/linux/maskedPaths", "/linux/readonlyPaths"] {
            assert_eq!(config.pointer(path), before.pointer(path), "{path}");
        }
        let namespaces = json!([{ "type": "mount" }, { "type": "pid" }]);
        assert_eq!(config["linux"]["namespaces"], namespaces);
    }

    #[test]
    fn what_lies_in_dockerds_directories_is_replaced() {
        let config = adapt(written(), &container(None));
        assert_eq!(config["process"]["args"], json!(["/kaniko/executor"]));
        assert_eq!(config["process"]["env"], json!(["HOME=/root"]));
        assert_eq!(config["linux"]["cgroupsPath"], "/docker/1");
        let mut without = config.clone();
        without["linux"]["cgroupsPath"] = Value::Null;
        assert!(!without.to_string().contains("docker/"), "{without}");
        let mounts = config["mounts"].as_array().unwrap();
        let shown = |at: &str| mounts.iter().find(|mount| mount["destination"] == at).unwrap();
        assert_eq!(shown("/workspace")["source"], "/place/context");
        assert_eq!(shown("/etc/hosts")["source"], "/place/etc/hosts");
        assert_eq!(mounts.len(), 3);
        let grouped = adapt(written(), &container(Some("/group/container")));
        assert_eq!(grouped["linux"]["cgroupsPath"], "/group/container");
    }
}

//! The images that the cases are built from.

use serde_json::{Value, json};
use testkit::Registry;
use testkit::base::busybox;
use testkit::registry::Layer;
use testkit::tar::TarBytes;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
    www:x:1000:1000:web:/home/www:/bin/sh\n\
    solo:x:1001:65534::/nonexistent:/bin/false\n\
    nobody:x:65534:65534::/:/bin/sh\n";
const GROUP: &str = "root:x:0:\n\
    staff:x:50:www\n\
    extra:x:77:nobody,www\n\
    www:x:1000:\n\
    nobody:x:65534:\n";
/// `cap_net_raw+ep` in revision 2 of `struct vfs_cap_data`.
pub const CAPABILITY: &[u8] = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
/// 2020-01-01. In an image everything is older than what a build makes.
const MTIME: u64 = 1_577_836_800;

/// Puts `kilnbase:1`, `kilnwithcmd:1` and `kilnonbuild:1` where Docker Hub has its own images.
pub fn add_to(registry: &Registry) -> anyhow::Result<()> {
    let (commands, files) = (busybox()?, files());
    let add = |name: &str, config: Value| {
        let repo = format!("library/{name}");
        let layers: Vec<Layer> =
            [&commands, &files].iter().map(|layer| registry.put_layer(&repo, layer)).collect();
        registry.add_layers(&repo, "1", layers, json!({ "config": config }));
    };
    let env = json!(["PATH=/usr/local/bin:/usr/bin:/bin", "BASE=of the base"]);
    add("kilnbase", json!({ "Env": env, "Labels": { "base": "yes" }, "WorkingDir": "/" }));
    add(
        "kilnwithcmd",
        json!({
            "Env": env,
            "Cmd": ["base", "command"],
            "ExposedPorts": { "1234/tcp": {} },
            "Volumes": { "/of-base": {} },
            "User": "www",
            "WorkingDir": "/home/www",
            "StopSignal": "SIGUSR1",
            "Healthcheck": {
                "Test": ["CMD-SHELL", "exit 0"],
                "Interval": 60_000_000_000_u64,
                "Retries": 4,
            },
        }),
    );
    add(
        "kilnonbuild",
        json!({
            "Env": env,
            "OnBuild": [
                "COPY plain.txt /triggered/",
                "RUN touch /triggered/ran",
                "ENV TRIGGERED=1",
            ],
        }),
    );
    Ok(())
}

/// What the cases change, replace, delete and look up, above the layer with the commands.
fn files() -> TarBytes {
    let mut tar = TarBytes::new();
    tar = tar.dir("home/www").owner(1000, 1000);
    for dir in ["usr/lib", "usr/share", "usr/share/removed", "usr/share/moved"] {
        tar = tar.dir(dir).mtime(MTIME);
    }
    tar = tar
        .dir("root")
        .mode(0o700)
        .dir("var/empty")
        .mode(0o555)
        .dir("var/log")
        .mode(0o2775)
        .owner(0, 50);
    tar.file("etc/passwd", PASSWD)
        .mtime(MTIME)
        .file("etc/group", GROUP)
        .mtime(MTIME)
        .file("etc/hosts", "127.0.0.1 localhost\n")
        .file("etc/hostname", "base\n")
        .file("etc/resolv.conf", "")
        .file("etc/base.conf", "key=value\n")
        .mode(0o640)
        .mtime(MTIME)
        .file("usr/share/removed/one", "1")
        .file("usr/share/removed/deep/two", "2")
        .file("usr/share/moved/three", "3")
        .owner(1000, 50)
        .mtime(MTIME)
        .file("bin/helper", "#!/bin/sh\n")
        .mode(0o755)
        .xattr("security.capability", CAPABILITY)
        .symlink("lib", "usr/lib")
        .file("usr/lib/libone.so.1", "library")
        .symlink("usr/lib/libone.so", "libone.so.1")
        .dir("existing")
        .mode(0o750)
        .owner(1000, 1000)
        .file("existing/kept", "from the base")
        .owner(1000, 1000)
        .whiteout("bin/rpm")
}

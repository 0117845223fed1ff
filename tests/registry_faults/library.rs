//! What is asked of kiln's own registry client, without the program around it.

use std::io::Read as _;
use std::time::Duration;

use kiln::cancel::Cancel;
use kiln::image::Descriptor;
use kiln::registry::{
    Body, Chance, Client, CredentialSource, Options, Pusher, Reference, RegistryError,
};
use testkit::Registry;
use testkit::digest::sha256;

use crate::world::{CONFIG, LAYER, MANIFEST, Seed, World, descriptor};

/// A client with the credentials for both registries, and without long pauses.
fn client(world: &World, upload_chunk: Option<u64>) -> Client {
    let path = world.dir.path().join("config.json");
    std::fs::write(&path, world.logins()).expect("a file");
    let options = Options {
        credentials: vec![CredentialSource::File { path, named: true }],
        retry_delay: Duration::from_millis(1),
        retry_budget: Duration::from_secs(20),
        upload_chunk,
        ..Options::default()
    };
    Client::new(options, Cancel::default()).expect("a client")
}

fn reference(registry: &Registry, rest: &str) -> Reference {
    format!("{}/{rest}", registry.host()).parse().expect("a reference")
}

fn described(media_type: &str, bytes: &[u8]) -> Descriptor {
    serde_json::from_value(descriptor(media_type, bytes)).expect("a descriptor")
}

/// Reads `base:1`: the digest, the manifest, the config, each layer.
pub fn pull(world: &World) -> Result<(), String> {
    let client = client(world, None);
    let name = reference(&world.source, "base:1");
    let seed = Seed::new();
    let peeked = client.peek(&name);
    let platform = "linux/amd64".parse().expect("a platform");
    let resolved = client.resolve(&name, &platform).map_err(|error| error.to_string())?;
    if peeked.is_some_and(|(_, digest)| digest.to_string() != sha256(&seed.manifest)) {
        return Err("the tag has another digest now".into());
    }
    if resolved.digest.to_string() != sha256(&seed.manifest) || resolved.config_bytes != seed.config
    {
        return Err("another image came".into());
    }
    for (layer, expected) in resolved.manifest.layers.iter().zip(&seed.layers) {
        let mut bytes = Vec::new();
        let mut reader =
            client.open_blob(&resolved.repository, layer).map_err(|error| error.to_string())?;
        reader.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if bytes != *expected {
            return Err("other bytes came".into());
        }
    }
    Ok(())
}

/// Writes an image as `app:1`: asks whether it may, blobs, the manifest by digest, the tag.
pub fn push(world: &World, seed: &Seed, mount: bool, chunk: Option<u64>) -> Result<(), String> {
    let client = client(world, chunk);
    let pusher = client.pusher(&reference(&world.target, "app:1"));
    let from = reference(&world.target, "base:1").repository();
    let from = mount.then_some(&from);
    let [large, small] = [0, 1].map(|index| &seed.layers[index]);
    let file = world.dir.path().join("layer");
    std::fs::write(&file, large).expect("a file");
    let blobs = [
        (described(LAYER, large), Body::File(&file)),
        (described(LAYER, small), Body::Bytes(small)),
        (described(CONFIG, &seed.config), Body::Bytes(&seed.config)),
    ];
    let work = || {
        pusher.check()?;
        for (descriptor, body) in blobs {
            pusher.push_blob(&descriptor, body, from, Chance::Some, &|_| {})?;
        }
        put(&pusher, seed)
    };
    work().map_err(|error| error.to_string())?;
    arrived(world, seed)
}

/// Passes `base:1` on to `app:1` of the target.
pub fn copy(world: &World) -> Result<(), String> {
    let client = client(world, None);
    let pusher = client.pusher(&reference(&world.target, "app:1"));
    let seed = Seed::new();
    let from = reference(&world.source, "base:1").repository();
    let work = || {
        for layer in &seed.layers {
            pusher.push_blob(
                &described(LAYER, layer),
                Body::Remote(&from),
                None,
                Chance::Some,
                &|_| {},
            )?;
        }
        let config = described(CONFIG, &seed.config);
        pusher.push_blob(&config, Body::Bytes(&seed.config), None, Chance::Some, &|_| {})?;
        put(&pusher, &seed)
    };
    work().map_err(|error| error.to_string())?;
    arrived(world, &seed)
}

fn put(pusher: &Pusher, seed: &Seed) -> Result<(), RegistryError> {
    let digest = sha256(&seed.manifest);
    pusher.put_manifest(Some(&digest), &seed.manifest, MANIFEST)?;
    pusher.put_manifest(None, &seed.manifest, MANIFEST)?;
    Ok(())
}

/// The tag names the image, whose blobs [`World::problems`] looks at.
fn arrived(world: &World, seed: &Seed) -> Result<(), String> {
    match world.target.digest("app", "1") {
        Some(digest) if digest == sha256(&seed.manifest) => Ok(()),
        other => Err(format!("the tag names {other:?}")),
    }
}

//! Results that nobody measured, for tests of what is made of results.

use std::collections::BTreeMap;

use super::results::{CaseResult, Machine, Missing, PeerResult, Results, Sample};

/// One that needed these seconds.
pub(super) fn peer(id: &str, walls: &[f64]) -> PeerResult {
    let sample = |wall: &f64| Sample {
        wall: *wall,
        cpu: wall * 1.5,
        memory: 64 << 20,
        phases: BTreeMap::from([("RUN".to_owned(), wall / 2.0)]),
        requests: 12,
        layers: 5_000_000,
    };
    let samples = walls.iter().map(sample).collect();
    PeerResult { peer: id.to_owned(), samples, failure: None }
}

/// One that could not do it.
pub(super) fn failed(id: &str, why: &str) -> PeerResult {
    PeerResult { peer: id.to_owned(), samples: Vec::new(), failure: Some(why.to_owned()) }
}

pub(super) fn case(id: &str, peers: Vec<PeerResult>) -> CaseResult {
    CaseResult { id: id.to_owned(), title: id.replace('-', ", "), peers }
}

pub(super) fn machine() -> Machine {
    let versions = [("buildah", "1.28.2"), ("dockerd", "20.10.24")];
    Machine {
        processor: "A <Processor> of 2.5 GHz".to_owned(),
        processors: 2,
        memory: 24 << 30,
        kernel: "6.1.0".to_owned(),
        file_system: "ext4".to_owned(),
        load: [0.1, 1.25],
        versions: versions.map(|(name, version)| (name.to_owned(), version.to_owned())).into(),
        control_groups: true,
        page_cache_dropped: true,
    }
}

/// Of a machine that has neither kaniko nor buildkitd.
pub(super) fn results() -> Results {
    let missing =
        |peer: &str, advice: &str| Missing { peer: peer.to_owned(), advice: advice.to_owned() };
    Results {
        date: "2026-11-30".to_owned(),
        commit: "1234567".to_owned(),
        machine: machine(),
        cases: vec![
            case(
                "flask-cold",
                vec![
                    peer("kiln-namespaces", &[1.0, 1.2, 1.4]),
                    peer("kiln-chroot", &[1.5, 1.6, 1.4]),
                    peer("dind-classic", &[6.0, 6.4, 6.2]),
                    peer("dind-buildkit", &[5.0, 5.4, 5.2]),
                    peer("buildah-chroot", &[2.0, 2.2, 2.4]),
                    failed("buildah-oci", "buildah ended with 125:\nno | crun"),
                    peer("limit", &[1.2, 1.3, 1.2]),
                ],
            ),
            case(
                "big-push",
                vec![
                    peer("kiln-namespaces", &[10.0, 11.0, 12.0]),
                    peer("kiln-chroot", &[14.0, 13.0, 15.0]),
                    peer("dind-classic", &[73.0, 75.0, 71.0]),
                ],
            ),
        ],
        missing: vec![
            missing("kaniko", "give its executor: --kaniko PATH"),
            missing("buildkit", "give buildkitd's directory: --buildkit DIR"),
        ],
    }
}

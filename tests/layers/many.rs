//! More layers than most images have.

use std::fmt::Write as _;

use testkit::base::busybox;
use testkit::tar::TarBytes;

use crate::common::built::{Bench, need_root};

#[test]
fn a_run_on_top_of_130_copied_layers_sees_them_all() {
    need_root();
    let bench = Bench::new();
    let mut dockerfile = "FROM BASE/busybox\n".to_owned();
    for number in 0..130 {
        writeln!(dockerfile, "COPY Dockerfile /layers/{number}").unwrap();
    }
    dockerfile += "RUN ls /layers | wc -l > /count && rm /layers/0 /layers/64\n\
                   RUN ls /layers | wc -l > /count2\n";
    let image = bench.build(&dockerfile);
    assert_eq!(image.layers.len(), 133);
    assert_eq!(image.text("count").unwrap(), "130\n");
    assert_eq!(image.text("count2").unwrap(), "128\n");
}

#[test]
fn a_base_of_100_layers_can_be_run_in_and_copied_from() {
    need_root();
    let bench = Bench::new();
    let mut layers = vec![busybox().unwrap()];
    for number in 1..100 {
        let layer = TarBytes::new().dir("l").mtime(number).file(format!("l/{number}"), "x");
        let layer = if number > 1 { layer.whiteout(&format!("l/{}", number - 1)) } else { layer };
        layers.push(layer.file("last", number.to_string()));
    }
    bench.base("many", layers, serde_json::json!({}));
    let image = bench.build(
        "FROM BASE/many AS many\n\
         RUN ls /l > /seen && cat /last >> /seen\n\
         FROM BASE/busybox\n\
         COPY --from=many /seen /\n\
         COPY --from=BASE/many /l /l\n",
    );
    assert_eq!(image.text("seen").unwrap(), "99\n99");
    let tree = image.tree().unwrap();
    let below: Vec<_> = tree.keys().filter(|path| path.starts_with("l/")).collect();
    assert_eq!(below, ["l/99"]);
}

use super::*;
use crate::dockerfile::expose_ports;

#[test]
fn ports() {
    let file = file("expose.json");
    for row in rows(&file, "ports") {
        let outcome = expose_ports(&texts(&row["specs"])).map_err(|error| error.to_string());
        if let Some(ports) = judge(row, outcome) {
            assert_eq!(ports, texts(&row["expected"]), "{row}");
        }
    }
}

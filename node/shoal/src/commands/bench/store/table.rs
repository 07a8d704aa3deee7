//! The figures as tables.

use super::machine::Machine;
use super::mesh::MeshRow;
use super::pace::Pace;
use super::repair::Repair;
use crate::failure::Failure;
use crate::{stdout, units};

/// What was not measured.
const NONE: &str = "-";

pub(super) fn print(machine: &Machine, meshes: &[MeshRow]) -> Result<(), Failure> {
    let pace = |what: &str, unit: &str, of: fn(&Pace) -> f64| {
        vec![what.into(), figure(machine.sync.as_ref().map(of)), unit.into()]
    };
    let speed = |what: &str, speed: f64| vec![what.into(), figure(Some(speed)), "MB/s".into()];
    let rows = [
        speed("copy, synced", machine.copy_mb_per_second),
        speed("read", machine.read_mb_per_second),
        speed("copy, synced, hashed, over TCP", machine.checked_copy_mb_per_second),
        speed("read, hashed, over TCP", machine.checked_read_mb_per_second),
        speed("BLAKE3", machine.blake3_mb_per_second),
        speed("TCP", machine.loopback_mb_per_second),
        pace("sync of 4 KiB", "/s", |pace| pace.per_second),
        pace("sync of 4 KiB, p50", "ms", |pace| pace.p50_ms),
        pace("sync of 4 KiB, p99", "ms", |pace| pace.p99_ms),
    ];
    eprintln!(
        "{} in files and objects of 16 MiB, {} at a time; {} names listed; {} cores; reads are out of the page cache",
        units::bytes(machine.bytes),
        machine.at_once,
        meshes.iter().map(|mesh| mesh.names).max().unwrap_or(0),
        machine.cores
    );
    stdout::table(&["MACHINE", "FIGURE", "UNIT"], &rows)?;
    stdout::line("")?;
    let titles = meshes.iter().map(|mesh| {
        let how = match (mesh.synced, mesh.direct) {
            (false, _) => " UNSYNCED",
            (true, true) => " DIRECT",
            (true, false) => "",
        };
        format!("PEERS={} R={}{how}", mesh.peers, mesh.replicas)
    });
    let header: Vec<String> = ["MESH".into()].into_iter().chain(titles).chain(["UNIT".into()]).collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let rows: Vec<Vec<String>> = LINES
        .iter()
        .map(|(what, unit, of)| {
            let figures = meshes.iter().map(|mesh| figure(of(mesh)));
            [(*what).into()].into_iter().chain(figures).chain([(*unit).into()]).collect()
        })
        .collect();
    stdout::table(&header, &rows)
}

/// What a line is called, its unit, and the figure.
type Line = (&'static str, &'static str, fn(&MeshRow) -> Option<f64>);

const LINES: [Line; 32] = [
    ("beside it, copy", "MB/s", |mesh| Some(mesh.copy_mb_per_second)),
    ("beside it, hashed copy", "MB/s", |mesh| Some(mesh.checked_copy_mb_per_second)),
    ("put", "MB/s", |mesh| Some(mesh.put_mb_per_second)),
    ("put over copy", "ratio", |mesh| Some(mesh.put_ratio)),
    ("put over hashed copy", "ratio", |mesh| Some(mesh.put_checked_ratio)),
    ("get", "MB/s", |mesh| Some(mesh.get_mb_per_second)),
    ("get over read", "ratio", |mesh| Some(mesh.get_ratio)),
    ("get over hashed read", "ratio", |mesh| Some(mesh.get_checked_ratio)),
    ("scrub", "MB/s", |mesh| mesh.scrub_mb_per_second),
    ("written per byte put", "bytes", |mesh| mesh.written_bytes_per_byte),
    ("put 1 KiB", "/s", |mesh| mesh.small_put.as_ref().map(|pace| pace.per_second)),
    ("put 1 KiB, p50", "ms", |mesh| mesh.small_put.as_ref().map(|pace| pace.p50_ms)),
    ("put 1 KiB, p99", "ms", |mesh| mesh.small_put.as_ref().map(|pace| pace.p99_ms)),
    ("put 1 KiB, written", "bytes", |mesh| mesh.written_bytes_per_small_put),
    ("get 1 KiB", "/s", |mesh| mesh.small_get.as_ref().map(|pace| pace.per_second)),
    ("get 1 KiB, p50", "ms", |mesh| mesh.small_get.as_ref().map(|pace| pace.p50_ms)),
    ("get 1 KiB, p99", "ms", |mesh| mesh.small_get.as_ref().map(|pace| pace.p99_ms)),
    ("swap, own names", "/s", |mesh| mesh.swap.as_ref().map(|pace| pace.per_second)),
    ("swap, own names, p50", "ms", |mesh| mesh.swap.as_ref().map(|pace| pace.p50_ms)),
    ("swap, own names, p99", "ms", |mesh| mesh.swap.as_ref().map(|pace| pace.p99_ms)),
    ("swap, one name", "/s", |mesh| mesh.swap_contended.as_ref().map(|pace| pace.per_second)),
    ("swap, one name, p50", "ms", |mesh| mesh.swap_contended.as_ref().map(|pace| pace.p50_ms)),
    ("swap, one name, p99", "ms", |mesh| mesh.swap_contended.as_ref().map(|pace| pace.p99_ms)),
    ("swap, one name, refused", "for each", |mesh| mesh.swap_contended.as_ref().map(|pace| pace.refused_per_operation)),
    ("names listed", "/s", |mesh| Some(mesh.names_per_second)),
    ("largest peer in memory", "MiB", |mesh| {
        mesh.resident_bytes.iter().max().map(|bytes| *bytes as f64 / f64::from(1 << 20))
    }),
    ("a death noticed", "s", |mesh| mesh.repair.as_ref().map(|repair| repair.noticed_seconds)),
    ("all copies after a death", "s", |mesh| mesh.repair.as_ref().map(|repair| repair.seconds)),
    ("repair, nobody waiting", "MB/s", |mesh| mesh.repair.as_ref().and_then(|repair| repair.quiet_mb_per_second)),
    ("repair, while put and got", "MB/s", |mesh| mesh.repair.as_ref().and_then(|repair| repair.loaded_mb_per_second)),
    ("while repairing, put 1 KiB, p99", "ratio", |mesh| mesh.repair.as_ref().and_then(Repair::put_p99_ratio)),
    ("while repairing, get 1 KiB, p99", "ratio", |mesh| mesh.repair.as_ref().and_then(Repair::get_p99_ratio)),
];

/// Three digits that count.
fn figure(value: Option<f64>) -> String {
    match value {
        None => NONE.into(),
        Some(value) if value >= 99.95 => format!("{value:.0}"),
        Some(value) if value >= 9.995 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_has_the_digits_that_count_and_what_was_not_measured_a_dash() {
        let text = [None, Some(0.034), Some(9.99), Some(12.34), Some(99.99), Some(12345.6)].map(figure);
        assert_eq!(text, ["-", "0.03", "9.99", "12.3", "100", "12346"]);
    }
}

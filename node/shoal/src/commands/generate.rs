use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::failure::Failure;
use crate::{tpch, units};

/// Make data to try things on.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal generate tpch --sf 0.1 data/")]
pub(crate) struct GenerateArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Tpch(TpchArgs),
}

/// The eight tables of TPC-H, as Parquet files.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal generate tpch --sf 1 data/
  shoal put data/ tpch/ && shoal sql \"SELECT count(*) FROM 'tpch/lineitem.parquet'\"")]
struct TpchArgs {
    /// The scale factor: 1 is 6 million order lines, about 250 MB of Parquet.
    #[arg(long, default_value_t = 0.1, value_parser = parse_scale)]
    sf: f64,

    /// Rows of a row group: fewer make more chunks, so more tasks.
    #[arg(long, default_value_t = tpch::ROW_GROUP_ROWS, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    row_group_rows: usize,

    /// Where the files go.
    dir: PathBuf,
}

/// A scale factor: above nothing, and such that the data fits a large disk.
pub(crate) fn parse_scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(scale) if scale > 0.0 && scale <= 10_000.0 => Ok(scale),
        _ => Err("a number above 0, at most 10000, is wanted".into()),
    }
}

impl GenerateArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let What::Tpch(args) = self.what;
        std::fs::create_dir_all(&args.dir).map_err(|error| Failure::file("make the directory", &args.dir, &error))?;
        for table in tpch::TABLES {
            let (dir, sf, rows) = (args.dir.clone(), args.sf, args.row_group_rows);
            let made = tokio::task::spawn_blocking(move || tpch::write(table, sf, &dir, rows)).await;
            let path = made
                .map_err(|error| Failure::request(format!("cannot make '{table}': {error}"), ""))?
                .map_err(|error| Failure::request(format!("cannot make '{table}': {error:#}"), ""))?;
            let size = std::fs::metadata(&path).map_or(0, |meta| meta.len());
            eprintln!("{} ({})", path.display(), units::bytes(size));
        }
        Ok(())
    }
}

use clap::Args;

use crate::failure::Failure;
use crate::target::Target;
use crate::{named, stdout, units};

/// Show what is known of an object.
#[derive(Debug, Args)]
#[command(
    disable_version_flag = true,
    after_help = "Examples:
  shoal stat trips/2026/january.parquet
  shoal stat trips/2026/january.parquet --json
  shoal stat app/config.json --version 3f2a91c04b7d"
)]
pub(crate) struct StatArgs {
    #[arg(value_name = "NAME")]
    name: String,

    /// The version whose ETag begins so, as `shoal ls --versions` shows it.
    #[arg(long, value_name = "ETAG")]
    version: Option<String>,

    /// As JSON, with the list of chunks.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

impl StatArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let name = named::object(&self.name)?;
        let manifest = self.target.client()?.stat_version(&name, self.version.as_deref()).await?;
        if self.json {
            return stdout::json(&manifest);
        }
        let object = &manifest.object;
        let rows = [
            ("name", object.name.clone()),
            ("bytes", format!("{} ({})", object.bytes, units::bytes(object.bytes))),
            ("format", object.format.as_str().into()),
            ("etag", object.etag.clone()),
            ("md5", object.md5.clone().unwrap_or_default()),
            ("modified", format!("{} UTC", units::time(object.modified_ms))),
            (
                "chunks",
                if manifest.inline { "none: it lives in its manifest".into() } else { object.chunks.to_string() },
            ),
        ];
        for (name, value) in rows.into_iter().filter(|(_, value)| !value.is_empty()) {
            stdout::line(format_args!("{name:<9} {value}"))?;
        }
        Ok(())
    }
}

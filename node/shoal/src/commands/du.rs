use clap::Args;
use futures::stream::TryStreamExt;

use crate::failure::Failure;
use crate::folders::{Folder, Folders};
use crate::selection::{self, Selection};
use crate::target::Target;
use crate::{batch, listing, stdout, units};

/// Sum up objects by folder: those in it and in all below it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal du                                       each bucket, then the whole
  shoal du trips --depth 2
  shoal du trips --depth 0 --json | jq '.[0].bytes'

The bytes are those of the objects, each counted once however many copies are kept, and under each
of its names.")]
pub(crate) struct DuArgs {
    /// A bucket or a path; by default the whole mesh.
    #[arg(value_name = "PREFIX", default_value = "")]
    prefix: String,

    /// Levels of folders that have a sum of their own; 0 for the whole only.
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    depth: usize,

    /// As a JSON array, with bytes as numbers.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

impl DuArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.target.client()?;
        let top = selection::folder(&self.prefix);
        let mut objects = std::pin::pin!(listing::objects(&client, &top));
        let mut folders = Folders::new(&top, self.depth);
        let mut printed = 0;
        let mut print = |folder: Folder| {
            let line = if self.json { json(&folder, printed == 0)? } else { row(&folder) };
            printed += 1;
            stdout::line(line)
        };
        let mut found = false;
        while let Some(object) = objects.try_next().await? {
            found = true;
            folders.add(&object.name, object.bytes).into_iter().try_for_each(&mut print)?;
        }
        if !found && !top.is_empty() {
            return Err(Selection::Below(top).nothing());
        }
        folders.finish().into_iter().try_for_each(&mut print)?;
        if self.json { stdout::line("]") } else { Ok(()) }
    }
}

fn json(folder: &Folder, is_first: bool) -> Result<String, Failure> {
    let text =
        serde_json::to_string(folder).map_err(|error| Failure::request(format!("cannot write JSON: {error}"), ""))?;
    Ok(format!("{}{text}", if is_first { '[' } else { ',' }))
}

fn row(folder: &Folder) -> String {
    let name = if folder.folder.is_empty() { "everything" } else { &folder.folder };
    format!("{:>10}  {:>14}  {name}", units::bytes(folder.bytes), batch::count(folder.objects))
}

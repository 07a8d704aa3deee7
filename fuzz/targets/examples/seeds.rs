//! Writes the seeds of all targets into folders of their names, for cargo-fuzz.

use std::{env, fs, io};

use shoal_fuzz::TARGETS;

fn main() -> io::Result<()> {
    let folder = env::args().nth(1).ok_or_else(|| io::Error::other("say where: seeds FOLDER"))?;
    for target in TARGETS {
        let folder = format!("{folder}/{}", target.name);
        fs::create_dir_all(&folder)?;
        for (n, seed) in (target.seeds)().iter().enumerate() {
            fs::write(format!("{folder}/seed-{n}"), seed)?;
        }
    }
    Ok(())
}

//! Build script: compresses the shipped data, so that the one binary carries it in less than half its size. Each file
//! `data/<path>` becomes `$OUT_DIR/<path>.gz`, which `src/lists/shipped.rs` embeds.

use std::error::Error;
use std::fs;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use flate2::Compression;
use flate2::GzBuilder;

#[expect(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=data");
    let data = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("data");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    pack_folder(&data, &data, &out)
}

fn pack_folder(data: &Path, folder: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { pack_folder(data, &path, out)? } else { pack(data, &path, out)? }
    }
    Ok(())
}

fn pack(data: &Path, file: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    let is_data = file.extension().is_some_and(|kind| ["txt", "mmdb", "json"].iter().any(|known| kind == *known));
    if !is_data {
        return Ok(());
    }
    let mut packed = out.join(file.strip_prefix(data)?).into_os_string();
    packed.push(".gz");
    let packed = PathBuf::from(packed);
    if let Some(folder) = packed.parent() {
        fs::create_dir_all(folder)?;
    }
    // No name and no time in the head: the same data gives the same binary.
    let mut coder = GzBuilder::new().write(File::create(packed)?, Compression::best());
    coder.write_all(&fs::read(file)?)?;
    coder.finish()?;
    Ok(())
}

//! Makes `samples/` and `tests/cases/footers`: `cargo run --example make-samples`.
//!
//! Everything is made up from fixed seeds, so the files come out the same, byte for byte, on every machine; a
//! test compares them. `samples/README.md` and `samples/mappings/` are written by hand and left alone, and so is
//! what else lies in `tests/cases/footers`.
//!
//! `make-samples FILE BYTES` makes one file of changes of at least that size instead, as DMS writes large ones: a row group
//! for every 10,000 rows. The row groups are all the same.

mod files;
mod large;

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => samples(),
        [file, bytes] => large::write(Path::new(file), bytes.parse().map_err(io::Error::other)?),
        _ => Err(io::Error::other("usage: make-samples [FILE BYTES]")),
    }
}

fn samples() -> io::Result<()> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let samples = repository.join("samples");
    let files = files::all();
    for bucket in ["acme-landing", "acme-backoffice"] {
        match fs::remove_dir_all(samples.join(bucket)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    for file in &files {
        write(&samples.join(&file.path), &file.bytes)?;
    }
    write(&samples.join("expected.json"), files::expectations().as_bytes())?;
    for (path, bytes) in files::footers::all() {
        write(&repository.join("tests/cases/footers").join(path), &bytes)?;
    }
    let total: usize = files.iter().map(|file| file.bytes.len()).sum();
    println!("{} files, {} KiB, in {}", files.len(), total / 1024, samples.display());
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes)
}

//! Writes `matrix.md` anew: `just matrix`.

use std::{fs, io};

use conformance::matrix;

fn main() -> io::Result<()> {
    fs::write(matrix::file(), matrix::text()?)
}

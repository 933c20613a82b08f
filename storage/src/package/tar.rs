//! A tar archive as a stream. Source: POSIX.1-1988, ustar interchange format.

use std::io::{self, Write};

const BLOCK_BYTES: usize = 512;
const MOST_FILE_BYTES: u64 = 8 << 30; // The size has eleven octal digits.

/// Writes files one after another.
pub(super) struct TarWriter<W: Write> {
    out: W,
    seconds: u64,
    /// What the current file lacks to a whole block.
    padding: usize,
}

impl<W: Write> TarWriter<W> {
    pub(super) fn new(out: W, seconds: u64) -> TarWriter<W> {
        TarWriter {
            out,
            seconds,
            padding: 0,
        }
    }

    pub(super) fn begin_file(&mut self, name: &str, bytes: u64) -> io::Result<()> {
        if bytes >= MOST_FILE_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.pad()?;
        self.out.write_all(&header(name, bytes, self.seconds))?;
        let over = usize::try_from(bytes).map_err(io::Error::other)? % BLOCK_BYTES;
        self.padding = (BLOCK_BYTES - over) % BLOCK_BYTES;
        Ok(())
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.pad()?;
        self.out.write_all(&[0; 2 * BLOCK_BYTES])?;
        Ok(self.out)
    }

    fn pad(&mut self) -> io::Result<()> {
        self.out.write_all(&[0; BLOCK_BYTES][..self.padding])?;
        self.padding = 0;
        Ok(())
    }
}

/// `name`: of ours, at most 100 characters of ASCII.
fn header(name: &str, bytes: u64, seconds: u64) -> [u8; BLOCK_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    let mut put =
        |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000600\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{bytes:011o}\0"));
    put(136, &format!("{seconds:011o}\0"));
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = block.iter().copied().map(u32::from).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

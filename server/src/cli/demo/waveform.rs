//! Draws both channels of an exported recording: the caller above, the city below.

use std::{
    fs::File,
    io::{self, BufWriter},
    path::Path,
};

const WIDTH: u32 = 1200;
const CHANNEL_HEIGHT: u32 = 160;
const MARGIN: u32 = 12;
const PAPER: [u8; 3] = [0xff, 0xff, 0xff];
const GRID: [u8; 3] = [0xdd, 0xdd, 0xdd];
const CALLER: [u8; 3] = [0x00, 0x55, 0xad];
const CITY: [u8; 3] = [0xc2, 0x41, 0x0c];

/// Reads `wav` (2 channels, 16 bit) and writes a PNG; a grey line stands at each second.
pub(super) fn draw(wav: &Path, png: &Path) -> io::Result<()> {
    let mut reader = hound::WavReader::open(wav).map_err(io::Error::other)?;
    let rate = reader.spec().sample_rate as usize;
    let interleaved = reader
        .samples::<i16>()
        .collect::<Result<Vec<_>, _>>()
        .map_err(io::Error::other)?;
    let height = 2 * CHANNEL_HEIGHT + 3 * MARGIN;
    let mut picture = Picture {
        pixels: vec![PAPER; (WIDTH * height) as usize],
        height,
    };

    let frames = (interleaved.len() / 2).max(1);
    for second in 0..=frames / rate {
        let x = u32::try_from(second * rate * WIDTH as usize / frames).unwrap_or(WIDTH);
        picture.line(x, MARGIN, height - MARGIN, GRID);
    }
    for (channel, colour) in [CALLER, CITY].into_iter().enumerate() {
        let top = MARGIN + u32::from(channel == 1) * (CHANNEL_HEIGHT + MARGIN);
        let middle = top + CHANNEL_HEIGHT / 2;
        for x in 0..WIDTH {
            let from = x as usize * frames / WIDTH as usize;
            let to = ((x as usize + 1) * frames / WIDTH as usize)
                .max(from + 1)
                .min(frames);
            let peak = (from..to)
                .filter_map(|frame| interleaved.get(2 * frame + channel))
                .map(|sample| u32::from(sample.unsigned_abs()))
                .max();
            let half = peak.unwrap_or(0) * (CHANNEL_HEIGHT / 2) / 32_768;
            picture.line(x, middle - half, middle + half + 1, colour);
        }
    }
    picture.write(png)
}

struct Picture {
    pixels: Vec<[u8; 3]>,
    height: u32,
}

impl Picture {
    fn line(&mut self, x: u32, from: u32, to: u32, colour: [u8; 3]) {
        for y in from..to.min(self.height) {
            if let Some(pixel) = self
                .pixels
                .get_mut((y * WIDTH + x) as usize)
                .filter(|_| x < WIDTH)
            {
                *pixel = colour;
            }
        }
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let mut encoder =
            png::Encoder::new(BufWriter::new(File::create(path)?), WIDTH, self.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().map_err(io::Error::other)?;
        writer
            .write_image_data(&self.pixels.concat())
            .map_err(io::Error::other)
    }
}

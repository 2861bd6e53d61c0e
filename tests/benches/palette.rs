//! Makes a screenshot small: the same picture with the colours it has most often, as a PNG with a palette.
//!
//! Knows the PNG that a browser writes: eight bits a channel, red, green, blue and perhaps opacity, not interlaced.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

type Colour = [u8; 3];

const MAGIC: &[u8] = b"\x89PNG\r\n\x1a\n";
/// As many as a palette has room for.
const COLOURS: usize = 256;

/// The picture again, lighter.
pub fn reduced(png: &[u8]) -> Vec<u8> {
    let (mut header, mut packed) = (Vec::new(), Vec::new());
    let mut rest = png.strip_prefix(MAGIC).expect("a PNG");
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let (kind, data) = (&after[..4], &after[4..4 + length]);
        match kind {
            b"IHDR" => header = data.to_vec(),
            b"IDAT" => packed.extend_from_slice(data),
            _ => {}
        }
        rest = &after[length + 8..];
    }
    let width = u32::from_be_bytes(header[..4].try_into().unwrap()) as usize;
    let channels = match header[8..] {
        [8, 2, _, _, 0] => 3,
        [8, 6, _, _, 0] => 4,
        _ => panic!("a PNG of another kind: {header:?}"),
    };
    let mut rows = Vec::new();
    ZlibDecoder::new(&*packed).read_to_end(&mut rows).unwrap();
    let colours = unfiltered(rows, width * channels, channels);

    let mut often = HashMap::<Colour, usize>::new();
    colours
        .iter()
        .for_each(|colour| *often.entry(*colour).or_default() += 1);
    let mut palette: Vec<(Colour, usize)> = often.into_iter().collect();
    palette.sort_unstable_by_key(|(colour, count)| (std::cmp::Reverse(*count), *colour));
    palette.truncate(COLOURS);
    let mut places = HashMap::new();
    let mut pixels = Vec::with_capacity(colours.len());
    for (at, colour) in colours.iter().enumerate() {
        if at % width == 0 {
            pixels.push(0);
        }
        pixels.push(
            *places
                .entry(*colour)
                .or_insert_with(|| nearest(&palette, *colour)),
        );
    }

    header[8..10].copy_from_slice(&[8, 3]);
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::best());
    packer.write_all(&pixels).unwrap();
    let mut made = MAGIC.to_vec();
    chunk(&mut made, b"IHDR", &header);
    chunk(
        &mut made,
        b"PLTE",
        &palette
            .iter()
            .flat_map(|(colour, _)| *colour)
            .collect::<Vec<u8>>(),
    );
    chunk(&mut made, b"IDAT", &packer.finish().unwrap());
    chunk(&mut made, b"IEND", &[]);
    made
}

/// Undoes what each row was filtered by; opacity is left out.
fn unfiltered(mut rows: Vec<u8>, length: usize, channels: usize) -> Vec<Colour> {
    let mut above = vec![0; length];
    let mut colours = Vec::new();
    for row in rows.chunks_exact_mut(length + 1) {
        let (filter, row) = row.split_first_mut().expect("a row has its filter");
        for at in 0..length {
            let left = at.checked_sub(channels);
            let (left, corner) = left.map_or((0, 0), |left| (row[left], above[left]));
            let guess = match *filter {
                0 => 0,
                1 => left,
                2 => above[at],
                3 => u8::midpoint(left, above[at]),
                4 => paeth(left, above[at], corner),
                other => panic!("no filter of PNG: {other}"),
            };
            row[at] = row[at].wrapping_add(guess);
        }
        above.copy_from_slice(row);
        colours.extend(
            row.chunks_exact(channels)
                .map(|pixel| [pixel[0], pixel[1], pixel[2]]),
        );
    }
    colours
}

/// Whichever of the three neighbours is nearest to where their slope leads.
fn paeth(left: u8, above: u8, corner: u8) -> u8 {
    let slope = i16::from(left) + i16::from(above) - i16::from(corner);
    [left, above, corner]
        .into_iter()
        .min_by_key(|each| (slope - i16::from(*each)).abs())
        .expect("three")
}

fn nearest(palette: &[(Colour, usize)], wanted: Colour) -> u8 {
    let distance = |colour: &Colour| -> u32 {
        colour
            .iter()
            .zip(wanted)
            .map(|(one, other)| u32::from(one.abs_diff(other)).pow(2))
            .sum()
    };
    let place = (0..palette.len()).min_by_key(|place| distance(&palette[*place].0));
    u8::try_from(place.expect("a picture has a colour")).expect("a palette has 256")
}

fn chunk(made: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    made.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
    let mut sum = flate2::Crc::new();
    sum.update(kind);
    sum.update(data);
    made.extend_from_slice(kind);
    made.extend_from_slice(data);
    made.extend(sum.sum().to_be_bytes());
}

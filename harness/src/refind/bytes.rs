//! Bytes that fuzzers are fed: any, and more often small ones, single bits, and odd ones: those let a list go on.

use fastrand::Rng;

/// The longest input.
const LONGEST: usize = 256;

/// Bytes of one kind come in runs up to this long.
const LONGEST_RUN: usize = 8;

/// The small numbers.
const SMALL: u8 = 8;

/// Some input. Short ones are as likely as long ones.
pub(super) fn any(rng: &mut Rng) -> Vec<u8> {
    let length = rng.usize(0..=LONGEST);
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let left = length.saturating_sub(bytes.len());
        let kind = rng.u8(0..6);
        let run = rng.usize(1..=LONGEST_RUN).min(left);
        bytes.extend((0..run).map(|_| byte(kind, rng)));
    }
    bytes
}

fn byte(kind: u8, rng: &mut Rng) -> u8 {
    match kind {
        0 => rng.u8(0..SMALL),
        1 => 1 << rng.u8(0..8),
        2 => rng.u8(..),
        _ => rng.u8(..) | 1,
    }
}

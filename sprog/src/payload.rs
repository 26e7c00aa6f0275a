//! Quasi-random texts: printing characters, the same ones for the same seed.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The printing characters of ASCII but the space, so that no text ends in one unseen.
const FIRST: u8 = b'!';
const COUNT: u16 = (b'~' - b'!' + 1) as u16;

/// How long random texts are, in bytes; 1 to [`TEXT_MAX`](pzog::limits::TEXT_MAX).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Lengths(RangeInclusive<usize>);

impl FromStr for Lengths {
    type Err = String;

    fn from_str(written: &str) -> Result<Lengths, String> {
        let number =
            |s: &str| s.parse::<usize>().map_err(|_| format!("{s:?} is no number; write 40 or 32..63"));
        let (shortest, longest) = match written.split_once("..") {
            Some((low, high)) => (number(low)?, number(high.strip_prefix('=').unwrap_or(high))?),
            None => (number(written)?, number(written)?),
        };
        let most = pzog::limits::TEXT_MAX;
        if shortest < 1 || longest > most || shortest > longest {
            return Err(format!("use lengths from 1 to {most}, the shorter one first"));
        }
        Ok(Lengths(shortest..=longest))
    }
}

/// Draws texts.
#[derive(Debug)]
pub(crate) struct Payload {
    rng: Xoshiro256PlusPlus,
    lengths: Lengths,
}

impl Payload {
    /// Texts of these lengths; the same seed gives the same texts.
    pub(crate) fn new(seed: u64, lengths: Lengths) -> Payload {
        Payload { rng: Xoshiro256PlusPlus::seed_from_u64(seed), lengths }
    }

    /// Puts the next text into `text`, in place of what was there.
    pub(crate) fn draw(&mut self, text: &mut Vec<u8>) {
        text.resize(self.rng.random_range(self.lengths.0.clone()), 0);
        self.rng.fill_bytes(text);
        for byte in text {
            *byte = FIRST + ((u16::from(*byte) * COUNT) >> 8) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn texts(seed: u64, lengths: &str, count: usize) -> Vec<Vec<u8>> {
        let mut payload = Payload::new(seed, lengths.parse().unwrap());
        std::iter::repeat_with(|| {
            let mut text = b"what was there before".to_vec();
            payload.draw(&mut text);
            text
        })
        .take(count)
        .collect()
    }

    #[test]
    fn lengths_cover_the_range_with_both_ends() {
        let lengths: BTreeSet<usize> = texts(1, "32..63", 5000).iter().map(Vec::len).collect();
        assert_eq!(lengths, (32..=63).collect());
        assert!(texts(1, "40", 100).iter().all(|t| t.len() == 40));
    }

    #[test]
    fn texts_are_of_all_printing_characters_and_no_others() {
        let seen: BTreeSet<u8> = texts(2, "32..=63", 2000).concat().into_iter().collect();
        assert_eq!(seen, (b'!'..=b'~').collect());
    }

    #[test]
    fn a_seed_gives_the_same_texts_everywhere_and_always() {
        assert_eq!(texts(7, "32..63", 50), texts(7, "32..63", 50));
        assert_ne!(texts(7, "32..63", 50), texts(8, "32..63", 50));
        assert_eq!(texts(7, "32..63", 50).iter().collect::<BTreeSet<_>>().len(), 50);
    }

    #[test]
    fn wrong_lengths_are_refused() {
        for written in ["", "0", "512", "63..32", "1..", "..5", "1..512", "-1", "a..b", "1...5"] {
            assert!(written.parse::<Lengths>().is_err(), "{written}");
        }
    }
}

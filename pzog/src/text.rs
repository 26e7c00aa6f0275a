//! What a message may consist of: printing characters in UTF-8, one to [`TEXT_MAX`] bytes of them (seed).
//!
//! Refused, because they would make a log line look like something it is not: all control characters (tabulator,
//! escape, DEL and the C1 range too), line and paragraph separators, marks that reorder text (bidi), marks of no
//! width, fillers, tags, and noncharacters. Accepted although of no width, because scripts and emoji need them: the joiners
//! U+200C and U+200D, variation selectors, and the soft hyphen.

use crate::limits::TEXT_MAX;
use core::fmt;

/// Why a text is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadText {
    /// There is none.
    Empty,
    /// It is longer than [`TEXT_MAX`] bytes.
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// It is not UTF-8 from this byte on.
    NotUtf8 {
        /// Offset in bytes.
        at: usize,
    },
    /// It holds a control character.
    Control {
        /// The character.
        char: char,
    },
    /// It holds a character that shows nothing or changes how others are shown.
    Invisible {
        /// The character.
        char: char,
    },
}

impl fmt::Display for BadText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            BadText::Empty => f.write_str("no text"),
            BadText::TooLong { bytes } => {
                write!(f, "text too long: {bytes} bytes, at most {TEXT_MAX}")
            }
            BadText::NotUtf8 { at } => write!(f, "not UTF-8 at byte {at} of the text"),
            BadText::Control { char } => write!(f, "control character U+{:04X}", u32::from(char)),
            BadText::Invisible { char } => write!(f, "invisible character U+{:04X}", u32::from(char)),
        }
    }
}

/// Checks the text of a message.
///
/// # Errors
/// The first reason against it.
pub fn check(text: &[u8]) -> Result<(), BadText> {
    if text.is_empty() {
        return Err(BadText::Empty);
    }
    if text.len() > TEXT_MAX {
        return Err(BadText::TooLong { bytes: text.len() });
    }
    if is_printing_ascii(text) {
        return Ok(());
    }
    let text = core::str::from_utf8(text).map_err(|e| BadText::NotUtf8 { at: e.valid_up_to() })?;
    text.chars().try_for_each(check_char)
}

/// Many bytes at once, without a branch for each; the last ones twice where they do not fill a block.
fn is_printing_ascii(text: &[u8]) -> bool {
    let are_printing = |bytes: &[u8]| bytes.iter().fold(true, |ok, b| ok & (b.wrapping_sub(b' ') < 0x5f));
    match (text.as_chunks::<16>().0, text.last_chunk::<16>()) {
        (blocks, Some(last)) => {
            blocks.iter().fold(true, |ok, block| ok & are_printing(block)) & are_printing(last)
        }
        _ => are_printing(text),
    }
}

fn check_char(char: char) -> Result<(), BadText> {
    if char.is_control() { Err(BadText::Control { char }) } else { check_visible(char) }
}

fn check_visible(char: char) -> Result<(), BadText> {
    match char {
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}' // bidi
        | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{ffa0}' // fillers
        | '\u{180e}' | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{feff}' // no width
        | '\u{2028}' | '\u{2029}' // separators of lines and paragraphs
        | '\u{fff9}'..='\u{fffb}' // interlinear annotation
        | '\u{e0000}'..='\u{e00ff}' // tags
        => Err(BadText::Invisible { char }),
        _ if is_noncharacter(char) => Err(BadText::Invisible { char }),
        _ => Ok(()),
    }
}

fn is_noncharacter(char: char) -> bool {
    let c = u32::from(char);
    c & 0xfffe == 0xfffe || (0xfdd0..=0xfdef).contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    #[test]
    fn texts_of_1_to_511_bytes_pass() {
        assert_eq!(check(b""), Err(BadText::Empty));
        assert_eq!(check(b"x"), Ok(()));
        assert_eq!(check(&vec![b'x'; 511]), Ok(()));
        assert_eq!(check(&vec![b'x'; 512]), Err(BadText::TooLong { bytes: 512 }));
        assert_eq!(check(&vec![b'x'; 513]), Err(BadText::TooLong { bytes: 513 }));
    }

    #[test]
    fn printing_characters_of_any_script_pass() {
        for text in
            ["a b~!", "grüß dich", "中文", "שלום", "می‌خواهم", "👩‍👩‍👧", "❤️", "e\u{301}", "\u{a0}", "\u{ad}"]
        {
            assert_eq!(check(text.as_bytes()), Ok(()), "{text}");
        }
    }

    #[test]
    fn control_characters_are_refused() {
        for c in (0..0x20).chain(0x7f..0xa0) {
            let char = char::from_u32(c).unwrap();
            let mut text = [0; 4];
            assert_eq!(check(char.encode_utf8(&mut text).as_bytes()), Err(BadText::Control { char }));
        }
    }

    #[test]
    fn marks_that_deceive_the_eye_are_refused() {
        for char in
            "\u{202e}\u{2066}\u{200f}\u{200b}\u{feff}\u{2028}\u{2060}\u{fffe}\u{1fffe}\u{fdd0}\u{e0041}\u{3164}\u{34f}"
                .chars()
        {
            let mut text = [0; 4];
            assert_eq!(check(char.encode_utf8(&mut text).as_bytes()), Err(BadText::Invisible { char }));
        }
    }

    #[test]
    fn every_class_of_invalid_utf_8_is_refused() {
        let cases: &[(&[u8], usize)] = &[
            (b"a\x80", 1),            // continuation byte alone
            (b"ab\xc3", 2),           // cut short
            (b"\xc0\xaf", 0),         // overlong
            (b"\xe0\x80\xaf", 0),     // overlong
            (b"\xed\xa0\x80", 0),     // surrogate
            (b"\xf4\x90\x80\x80", 0), // beyond U+10FFFF
            (b"\xf8\x88\x80\x80\x80", 0),
            (b"\xff", 0),
            (b"\xfe", 0),
        ];
        for (text, at) in cases {
            assert_eq!(check(text), Err(BadText::NotUtf8 { at: *at }), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn the_quick_check_agrees_with_the_careful_one(text in "[ -\u{100}]{1,80}") {
            let careful = text.chars().try_for_each(check_char);
            prop_assert_eq!(check(text.as_bytes()), careful);
        }
    }
}

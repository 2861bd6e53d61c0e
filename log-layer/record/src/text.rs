//! Text that is too long is cut at a character boundary.

use std::borrow::Cow;

/// Cuts `text` to at most `limit` bytes at a character boundary; says whether it did.
pub(crate) fn cut_string(text: &mut String, limit: usize) -> bool {
    if text.len() <= limit {
        return false;
    }
    text.truncate(text.floor_char_boundary(limit));
    // What was cut off may be many times what stays.
    text.shrink_to_fit();
    true
}

/// Cuts `text` to at most `limit` bytes at a character boundary; says whether it did.
#[inline]
pub(crate) fn cut(text: &mut Cow<'_, str>, limit: usize) -> bool {
    if text.len() <= limit {
        return false;
    }
    match text {
        Cow::Borrowed(text) => *text = &text[..text.floor_char_boundary(limit)],
        Cow::Owned(text) => return cut_string(text, limit),
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_keeps_characters_whole() {
        for mut text in [Cow::Borrowed("登录失败"), Cow::Owned("登录失败".to_owned())] {
            assert!(cut(&mut text, 7));
            assert_eq!(text, "登录");
            assert!(!cut(&mut text, 7));
        }
    }
}

//! One angle of degrees, as people and instruments write it: `52°31'12.3"N`, `37 deg 46' 12.00" N`, `S 33 45`.

use super::axis::{Axis, CoordinateError};

/// An angle, with the axis where a hemisphere names it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Angle {
    pub(super) degrees: f64,
    pub(super) axis: Option<Axis>,
}

/// A part of an angle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum AngleToken {
    Number(f64),
    Negative,
    Positive,
    Degree,
    Minute,
    Second,
    /// A colon, or another mark that says no unit.
    Mark,
    /// A hemisphere, and the sign it represents.
    Side(Axis, f64),
}

/// A plain number, with a point or a decimal comma.
pub(super) fn decimal(text: &str) -> Option<f64> {
    let is_plain =
        text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E'));
    if is_plain {
        return text.parse().ok().filter(|_| text.bytes().any(|byte| byte.is_ascii_digit()));
    }
    let (whole, fraction) = text.split_once(',')?;
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_comma = is_digits(whole.trim_start_matches(['-', '+'])) && is_digits(fraction);
    if is_comma { format!("{whole}.{fraction}").parse().ok() } else { None }
}

/// The hemisphere that a word names, and the sign it represents.
pub(super) fn side_of(word: &str) -> Result<(Axis, f64), CoordinateError> {
    match word.to_lowercase().as_str() {
        "n" | "north" | "nord" | "norte" => Ok((Axis::Latitude, 1.0)),
        "s" | "south" | "süd" | "sued" | "sud" | "sur" | "sul" => Ok((Axis::Latitude, -1.0)),
        "e" | "east" | "est" | "este" | "leste" | "ost" => Ok((Axis::Longitude, 1.0)),
        "w" | "west" | "ovest" | "ouest" | "oeste" => Ok((Axis::Longitude, -1.0)),
        "o" => Err(CoordinateError::EastOrWest),
        _ => Err(CoordinateError::NotANumber),
    }
}

/// Reads one angle.
pub(super) fn read(text: &str) -> Result<Angle, CoordinateError> {
    if let Some(degrees) = decimal(text) {
        return Ok(Angle { degrees, axis: None });
    }
    if let Some(angle) = between_commas(text) {
        return angle;
    }
    if is_cut_number(text) {
        return Err(CoordinateError::NotANumber);
    }
    of_tokens(&tokens(text)?)
}

/// `52, 5` and `52. 5`: one number with a blank behind its comma, and no degrees and minutes.
fn is_cut_number(text: &str) -> bool {
    let has_units = text.contains(|c| "°º˚'′’‘\"″”“:".contains(c)) || text.contains(['d', 'm']);
    let parts: Vec<&str> =
        text.split_whitespace().filter(|part| part.contains(|c: char| c.is_ascii_digit())).collect();
    !has_units && matches!(parts[..], [first, _] if first.ends_with([',', '.', ';']))
}

/// `37,46.2N` and `37,46,12N`, as XMP has them: degrees, minutes and seconds between commas.
fn between_commas(text: &str) -> Option<Result<Angle, CoordinateError>> {
    let letter = text.chars().next_back().filter(char::is_ascii_alphabetic)?;
    let parts: Vec<&str> = text[..text.len() - 1].trim_end().split(',').collect();
    let is_sure = parts.len() == 3 || (parts.len() == 2 && parts[1].contains('.'));
    let is_number = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !is_sure || !parts.iter().all(is_number) {
        return None;
    }
    let numbers: Option<Vec<f64>> = parts.iter().map(|part| part.parse().ok()).collect();
    let angle = |numbers: Vec<f64>| {
        let (axis, sign) = side_of(letter.encode_utf8(&mut [0; 4]))?;
        Ok(Angle { degrees: sign * magnitude(&numbers)?, axis: Some(axis) })
    };
    numbers.map(angle)
}

/// Splits a text into the parts of angles. Separators between angles give nothing.
pub(super) fn tokens(text: &str) -> Result<Vec<AngleToken>, CoordinateError> {
    let letters: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut has_unit_letters = false;
    let mut at = 0;
    while let Some(letter) = letters.get(at).copied() {
        let next = letters.get(at + 1).copied();
        at += 1;
        match letter {
            '0'..='9' => {
                let start = at - 1;
                at = end_of_number(&letters, at);
                let number: String = letters[start..at].iter().collect();
                let number = number.replace(',', ".").parse().map_err(|_| CoordinateError::NotANumber)?;
                tokens.push(AngleToken::Number(number));
            }
            '-' | '\u{2212}' => tokens.push(AngleToken::Negative),
            '+' => tokens.push(AngleToken::Positive),
            '°' | 'º' | '˚' => tokens.push(AngleToken::Degree),
            '\'' if next == Some('\'') => {
                at += 1;
                tokens.push(AngleToken::Second);
            }
            '\'' | '′' | '’' | '‘' | 'ʹ' | '´' => tokens.push(AngleToken::Minute),
            '"' | '″' | '”' | '“' | 'ʺ' => tokens.push(AngleToken::Second),
            ':' => tokens.push(AngleToken::Mark),
            ',' | ';' | '|' | '/' => {}
            letter if letter.is_whitespace() => {}
            letter if letter.is_alphabetic() => {
                let start = at - 1;
                at += letters[at..].iter().take_while(|letter| letter.is_alphabetic()).count();
                let word: String = letters[start..at].iter().collect();
                let token = word_token(&word, has_unit_letters)?;
                has_unit_letters |= matches!(word.as_str(), "d" | "m");
                tokens.push(token);
            }
            _ => return Err(CoordinateError::NotANumber),
        }
    }
    Ok(tokens)
}

/// Where a number ends: behind its digits, and behind a point or comma that digits follow.
fn end_of_number(letters: &[char], mut at: usize) -> usize {
    let is_digit = |at: usize| letters.get(at).is_some_and(char::is_ascii_digit);
    while is_digit(at) {
        at += 1;
    }
    if matches!(letters.get(at), Some('.' | ',')) && is_digit(at + 1) {
        at += 1;
        while is_digit(at) {
            at += 1;
        }
    } else if letters.get(at) == Some(&'.') {
        at += 1;
    }
    at
}

fn word_token(word: &str, has_unit_letters: bool) -> Result<AngleToken, CoordinateError> {
    match word {
        "d" | "deg" | "degs" | "degree" | "degrees" | "Grad" | "grados" => Ok(AngleToken::Degree),
        "m" | "min" | "minutes" | "minute" => Ok(AngleToken::Minute),
        "sec" | "seconds" | "second" => Ok(AngleToken::Second),
        "s" if has_unit_letters => Ok(AngleToken::Second),
        word => side_of(word).map(|(axis, sign)| AngleToken::Side(axis, sign)),
    }
}

/// The angle that these tokens are, all of them.
pub(super) fn of_tokens(tokens: &[AngleToken]) -> Result<Angle, CoordinateError> {
    let (mut side, mut tokens) = match tokens {
        [AngleToken::Side(axis, sign), rest @ ..] => (Some((*axis, *sign)), rest),
        tokens => (None, tokens),
    };
    if let [rest @ .., AngleToken::Side(axis, sign)] = tokens {
        if side.replace((*axis, *sign)).is_some() {
            return Err(CoordinateError::NotANumber);
        }
        tokens = rest;
    }
    let sign = match tokens {
        [AngleToken::Negative, rest @ ..] => {
            tokens = rest;
            -1.0
        }
        [AngleToken::Positive, rest @ ..] => {
            tokens = rest;
            1.0
        }
        _ => 1.0,
    };
    // a negative number of degrees north could be meant either way
    if side.is_some() && sign < 0.0 {
        return Err(CoordinateError::NotANumber);
    }
    let degrees = magnitude(&numbers_of(tokens)?)?;
    let (axis, side_sign) = side.map_or((None, sign), |(axis, sign)| (Some(axis), sign));
    Ok(Angle { degrees: side_sign * degrees, axis })
}

/// Degrees, minutes and seconds, each with a mark of its own unit or none.
fn numbers_of(tokens: &[AngleToken]) -> Result<Vec<f64>, CoordinateError> {
    let mut numbers = Vec::new();
    let mut is_after_number = false;
    for token in tokens {
        match (token, numbers.len()) {
            (AngleToken::Number(number), 0..=2) => {
                numbers.push(*number);
                is_after_number = true;
                continue;
            }
            (AngleToken::Degree, 1)
            | (AngleToken::Minute, 2)
            | (AngleToken::Second, 3)
            | (AngleToken::Mark, 1 | 2)
                if is_after_number => {}
            _ => return Err(CoordinateError::NotANumber),
        }
        is_after_number = false;
    }
    Ok(numbers)
}

fn magnitude(numbers: &[f64]) -> Result<f64, CoordinateError> {
    let is_whole = |number: f64| number.fract() == 0.0;
    match *numbers {
        [degrees] => Ok(degrees),
        [degrees, minutes] if is_whole(degrees) => sixtieths(degrees, minutes, 0.0),
        [degrees, minutes, seconds] if is_whole(degrees) && is_whole(minutes) => {
            sixtieths(degrees, minutes, seconds)
        }
        _ => Err(CoordinateError::NotANumber),
    }
}

pub(super) fn sixtieths(degrees: f64, minutes: f64, seconds: f64) -> Result<f64, CoordinateError> {
    if minutes >= 60.0 || seconds >= 60.0 {
        return Err(CoordinateError::OutOfRange);
    }
    // one division, so that nothing is lost to rounding twice
    Ok(degrees + minutes.mul_add(60.0, seconds) / 3600.0)
}

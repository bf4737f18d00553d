//! What a number of degrees is of, and why a text is none.

/// Why a text is no coordinate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoordinateError {
    /// Not a number of degrees, minutes and seconds.
    NotANumber,
    /// Beyond 90 or 180 degrees, or 60 minutes or seconds.
    OutOfRange,
    /// North or south of a longitude, east or west of a latitude.
    WrongAxis,
    /// `geo` does not hold two values.
    NotAPair,
    /// The pair is one only the other way round.
    Swapped,
    /// `O`: east in German (Ost), west in Romance languages (Oeste).
    EastOrWest,
    /// `52,13`: two whole numbers, or one with a decimal comma.
    OneOrTwo,
    /// The sign and the hemisphere say the opposite.
    Contradiction,
}

/// What a number of degrees is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// North positive, at most 90 either way.
    Latitude,
    /// East positive, at most 180 either way.
    Longitude,
}

impl Axis {
    pub(super) const fn bound(self) -> f64 {
        match self {
            Self::Latitude => 90.0,
            Self::Longitude => 180.0,
        }
    }
}

//! The slots of a forecast as rows take them: links that expire go first, the soonest before the others, and one that expires
//! before its turn takes no slot.

use super::{BlockReason, Forecast};
use crate::domain::{LINK_LIFE_MIN, UnixMillis};

/// A slot that a row takes.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// When the row is sent.
    pub at: UnixMillis,
    /// What it waits for. `None`: for nothing, or for normal spacing.
    pub waits_for: Option<BlockReason>,
}

/// The turns of the rows to come.
pub struct Turns {
    forecast: Forecast,
    /// The next turn, where the link that would have had it expires before.
    left: Option<Turn>,
}

impl Turns {
    /// The turns by this forecast.
    #[must_use]
    pub const fn of(forecast: Forecast) -> Self {
        Self { forecast, left: None }
    }

    /// The turn of a row whose link expires at this time. `None`: it expires before, and the turn is left to the next row.
    pub fn of_link(&mut self, expires_at: UnixMillis) -> Option<Turn> {
        let turn = self.next_turn();
        if expires_at > turn.at.plus(LINK_LIFE_MIN) {
            return Some(turn);
        }
        self.left = Some(turn);
        None
    }

    /// The turn of the next row.
    pub fn next_turn(&mut self) -> Turn {
        self.left.take().unwrap_or_else(|| {
            let at = self.forecast.next_slot();
            Turn { at, waits_for: self.forecast.last_wait() }
        })
    }

    /// When the last of so many rows more has its turn.
    #[must_use]
    pub fn after(self, count: u64) -> UnixMillis {
        let left = u64::from(self.left.is_some()).min(count);
        match (count - left, self.left) {
            (0, Some(turn)) => turn.at,
            (rest, _) => self.forecast.after(rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Rate;

    #[test]
    fn a_link_that_expires_before_its_turn_leaves_the_turn_to_the_next_row() {
        const T0: UnixMillis = UnixMillis(1_700_000_000_000);
        let second = |number: i64| T0.plus_ms(number * 1_000);
        let mut turns = Turns::of(Forecast::from(T0).with_rate("1/s".parse::<Rate>().unwrap()));
        let lasting = second(0).plus(LINK_LIFE_MIN).plus_ms(1);
        assert_eq!(turns.of_link(lasting).map(|turn| turn.at), Some(second(0)));
        assert!(turns.of_link(lasting).is_none(), "its turn is a second later");
        assert!(turns.of_link(lasting).is_none(), "and so is that of the one behind it");
        assert_eq!(turns.next_turn().at, second(1));
        assert!(turns.of_link(T0).is_none());
        assert_eq!(turns.after(3), second(4), "the turn that was left is one of them");
    }
}

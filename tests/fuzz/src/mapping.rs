//! The mapping language: what can be read can be shown, and is the same when it is read again; and every text can be written.

use std::{
    fmt::{Debug, Display},
    str::FromStr,
};

use telecine::manifest::{Field, Filter, Join, MapRule, Part, Piece, Selector, Transform};

use crate::Choices;

/// Checks one rule, filter or join, or rules with the lines as texts and as columns.
pub fn check(input: &[u8]) {
    let Some((mut choices, text)) = Choices::of_text(input) else { return };
    choices.one_of([reads_back::<MapRule>, reads_back::<Filter>, reads_back::<Join>, can_be_written])(text);
}

fn can_be_written(text: &str) {
    let parts = text.split('\n').map(|line| Part::Text(line.to_owned())).collect();
    let rule = MapRule { field: Field::Tags, parts };
    let shown = rule.to_string();
    assert_eq!(shown.parse().as_ref(), Ok(&rule), "it is shown as {shown:?}");
    let names = text.split('\n').filter(|line| !line.trim().is_empty() && !line.contains(['{', '}', '|']));
    for name in names {
        let transforms = vec![
            Transform::Replace("x".to_owned(), text.to_owned()),
            Transform::Split(format!("{text}}}")),
            Transform::Json(text.to_owned()),
            Transform::Html,
            Transform::First,
            Transform::Address,
        ];
        for transforms in [vec![], vec![Transform::Raw], transforms] {
            let shown: String = transforms.iter().map(ToString::to_string).collect();
            let column = Piece::Column(Selector { column: name.trim().to_owned(), transforms });
            let parts = vec![Part::Template(vec![Piece::Text("/".to_owned()), column])];
            let rule: Result<MapRule, _> = format!("url=/{{ {name} {shown} }}").parse();
            assert_eq!(rule.map(|rule| rule.parts), Ok(parts), "blanks inside braces do not count");
        }
    }
}

fn reads_back<T>(text: &str)
where
    T: FromStr + Display + Debug + PartialEq,
{
    let Ok(read) = text.parse::<T>() else { return };
    let shown = read.to_string();
    let again = shown.parse::<T>().ok();
    assert_eq!(again.as_ref(), Some(&read), "{text:?} is shown as {shown:?}");
}

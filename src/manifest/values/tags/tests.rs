//! What is one tag, and what is several.

use super::*;

fn tags<'a>(cells: &[&'a str], separator: &TagSeparator) -> Result<Vec<Cow<'a, str>>, TagError> {
    let cells = cells.iter().map(|cell| Cell::Parts(Cow::Borrowed(*cell)));
    read(cells, separator, TooLong::Refuse).map(|(tags, _)| tags)
}

#[test]
fn tags_are_trimmed_and_kept_once_in_their_order() {
    assert_eq!(tags(&["b, a;c| b ,", "a", "", "d"], &TagSeparator::Default).unwrap(), ["b", "a", "c", "d"]);
    let bar = TagSeparator::Only("|".to_owned());
    assert_eq!(tags(&["Art, Modern|History"], &bar).unwrap(), ["Art, Modern", "History"]);
    assert_eq!(
        tags(&["fog\nnight\r\n\rday, x"], &TagSeparator::Default).unwrap(),
        ["fog", "night", "day", "x"]
    );
    let others = "a\u{b}b\u{c}c\u{85}d\u{2028}e\tf\u{1d}g \u{20ac}\u{b5}";
    let invisible = TagSeparator::Only(",".to_owned());
    assert_eq!(tags(&["q\u{202b}\u{1d}"], &invisible).unwrap(), ["q"], "each line is trimmed");
    let separated = ["a", "b", "c", "d", "e", "f", "g \u{20ac}\u{b5}"];
    assert_eq!(tags(&[others], &TagSeparator::Default).unwrap(), separated);
    assert_eq!(tags(&["Art,\r\nModern|b"], &bar).unwrap(), ["Art, Modern", "b"], "no line break is sent");
}

#[test]
fn a_list_as_programs_write_it_is_a_list() {
    for (cell, expected) in [
        (r#"["a", "b, c", 7, null]"#, &["a", "b, c", "7"][..]),
        (r#"[{"id": 1, "name": "a"}, {"term": 7}, {"x": "b"}, {"x": 1}]"#, &["a", "7", "b", r#"{"x": 1}"#]),
        (r#"[{"name": "a", "name": "b"}]"#, &[r#"{"name": "a", "name": "b"}"#]),
        ("[12345678901234567890123, 1e3, 1.50, -0]", &["12345678901234567890123", "1e3", "1.50", "-0"]),
        (r#"[{"key": "site", "value": "A"}, {"Key": "n", "Value": 7}]"#, &["site:A", "n:7"]),
        ("['a', 'b, c']", &["a", "b, c"]),
        ("{'a', 'it''s', \"x\"}", &["a", "it's", "x"]),
        (r"['it\'s']", &["it's"]),
        ("{cat,dog}", &["cat", "dog"]),
        (r"['a\xa0b', 'x\ny', 'caf\u00e9', None]", &["a\u{a0}b", "x y", "caf\u{e9}"]),
        (r#"["caf\u00e9", "\ud83d"]"#, &["caf\u{e9}", "\u{fffd}"]),
        ("('a', u'b')", &["a", "b"]),
        ("['a', nan, b'c']", &["a", "c"]),
        ("{a,NULL}", &["a"]),
        (r#"{"a": true, "b": false}"#, &["a"]),
        ("(a, b)", &["(a", "b)"]),
        ("[a], [b]", &["[a]", "[b]"]),
        ("[]", &[]),
        ("{}", &[]),
        ("{fog}", &["fog"]),
        ("[fog]", &["fog"]),
        ("[nan]", &[]),
        ("[None]", &[]),
        ("WrappedArray(fog, sea)", &["fog", "sea"]),
        ("WrappedArray()", &[]),
        ("Alps (north)", &["Alps (north)"]),
        ("fog [sic]", &["fog [sic]"]),
        ("[a", &["[a"]),
        ("['a' 'b']", &["['a' 'b']"]),
        ("['a", &["['a"]),
    ] {
        assert_eq!(tags(&[cell], &TagSeparator::Default).unwrap(), expected, "{cell}");
    }
}

#[test]
fn tags_are_separated_by_the_signs_of_any_script_and_by_those_of_programs() {
    for (cell, expected) in [
        ("霧、海，空", &["霧", "海", "空"][..]),
        ("霧；海｜空,日", &["霧", "海", "空", "日"]),
        ("ضباب، بحر؛ شمس", &["ضباب", "بحر", "شمس"]),
        ("#fog #sea  #sun", &["#fog", "#sea", "#sun"]),
        ("#fog, #sea #sun", &["#fog", "#sea", "#sun"]),
        ("#fog at sea", &["#fog at sea"]),
        ("# 1", &["# 1"]),
        (r#""fog","sea, cold"; "x""#, &["fog", "sea, cold", "x"]),
        (r#""fog""#, &[r#""fog""#]),
        (r#""fog" at "sea""#, &[r#""fog" at "sea""#]),
        (";#fog;#sea;#", &["fog", "sea"]),
        ("12;#fog", &["fog"]),
        ("12;#fog;#13;#sea", &["fog", "sea"]),
        ("#fog;#sea", &["#fog", "#sea"]),
        ("fog;#sea", &["fog", "#sea"]),
        ("- fog\n- sea, cold\r\n", &["fog", "sea", "cold"]),
        ("• fog\n• sea", &["fog", "sea"]),
        ("• fog", &["fog"]),
        ("- fog\nsea", &["- fog", "sea"]),
        ("-5\n-6", &["-5", "-6"]),
        ("- fog", &["- fog"]),
        ("Île de Ré", &["Île de Ré"]),
    ] {
        assert_eq!(tags(&[cell], &TagSeparator::Default).unwrap(), expected, "{cell}");
    }
    let bar = TagSeparator::Only("|".to_owned());
    assert_eq!(tags(&["#fog #sea|霧、海"], &bar).unwrap(), ["#fog #sea", "霧、海"]);
}

#[test]
fn a_part_of_a_list_that_is_not_known_is_noticed() {
    for part in [
        "[\"a\"",
        "a:2:{i:0",
        "s:3:\"fog\"",
        "}",
        "{x",
        "\"a",
        "'b']",
        "set(['a'",
        "('a'",
        "['a' 'b']",
        "set()",
        "()",
        "fog\\",
        "(fog",
        "sea)",
        "'fog'",
        "\"\"",
    ] {
        assert!(is_fragment(part), "{part}");
    }
    for tag in [
        "fog [x]",
        "f[0]",
        "[2019] trip",
        "C++ {draft}",
        "set",
        "(draft)",
        "[sic]",
        "{x}",
        "a:b",
        "s:x",
        "7\"",
        "'70s",
        ":)",
        "\"x\"",
        "time 12:30:00",
        "1) fog",
        "1)",
        "fog (dense)",
        ":(",
        "'n' roll",
        "rock 'n'",
    ] {
        assert!(!is_fragment(tag), "{tag}");
    }
    assert_eq!(label_of(r#"{"id":1,"name":"fog"}"#).as_deref(), Some("fog"));
    assert_eq!(label_of("fog"), None);
}

#[test]
fn a_whole_text_is_one_tag() {
    let cells = [Cell::Whole(" a, b ".into()), Cell::Parts("c,d".to_owned().into())];
    let (read, _) = read(cells.into_iter(), &TagSeparator::Default, TooLong::Refuse).unwrap();
    assert_eq!(read, ["a, b", "c", "d"]);
}

#[test]
fn tags_the_service_would_refuse_are_refused_here_or_cut_on_request() {
    let many: Vec<String> = (0..21).map(|n| n.to_string()).collect();
    let many = many.join(",");
    assert_eq!(tags(&[&many], &TagSeparator::Default), Err(TagError::TooMany(21)));
    let long = "\u{e9}".repeat(201);
    assert_eq!(tags(&[&long], &TagSeparator::Default), Err(TagError::TooLong(long.clone())));
    let own = "telecine:1";
    assert_eq!(tags(&[own], &TagSeparator::Default), Err(TagError::Reserved(own.to_owned())));
    let cut = |cell: &str| {
        let cells = std::iter::once(Cell::Parts(cell.to_owned().into()));
        read(cells, &TagSeparator::Default, TooLong::Cut).unwrap()
    };
    assert_eq!((cut(&many).0.len(), cut(&many).1), (20, true));
    assert_eq!((cut(&long).0, cut(&long).1), (vec![Cow::<str>::Owned("\u{e9}".repeat(200))], true));
    let alike = format!("{}A;{}B", "x".repeat(205), "x".repeat(205));
    assert_eq!(cut(&alike).0.len(), 1, "each once");
    assert_eq!(cut(&format!("{} zz", "y".repeat(199))).0[0].len(), 199, "without a blank at its end");
    assert_eq!(cut("a,b"), (vec![Cow::Borrowed("a"), Cow::Borrowed("b")], false));
}

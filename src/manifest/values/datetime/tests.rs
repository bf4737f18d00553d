//! Every way in which dates and times are written, and what is refused.

use super::*;

fn rules(formats: &[&str], offset: OffsetRule, zone: Option<&str>) -> DateRules {
    DateRules {
        formats: formats.iter().map(|format| format.parse().unwrap()).collect(),
        offset,
        zone: zone.map(|name| TimeZone::get(name).unwrap()),
        ..DateRules::default()
    }
}

fn read_plain(text: &str) -> Result<Cow<'_, str>, DatetimeError> {
    DateRules::default().read(text)
}

#[test]
fn common_spellings_become_the_services_own() {
    for (text, taken) in [
        ("2006-4-27", "2006-04-27 00:00:00"),
        ("2003-11-14", "2003-11-14 00:00:00"),
        ("20190506", "2019-05-06 00:00:00"),
        ("2019-05-06 07:08", "2019-05-06 07:08:00"),
        ("2019-05-06 07:08:09", "2019-05-06 07:08:09"),
        ("2019-05-31 07:08:09", "2019-05-31 07:08:09"),
        ("2019-05-06T07:08:09Z", "2019-05-06 07:08:09"),
        ("2019-05-06T07:08:09.123456+02:00", "2019-05-06 07:08:09"),
        ("2016/11/17 5:03:54 UTC", "2016-11-17 05:03:54"),
        ("2015-10-21 00:00:00-04", "2015-10-21 00:00:00"),
        ("2019:05:06 10:11:12", "2019-05-06 10:11:12"),
        ("2019.05.06 1:02 PM", "2019-05-06 13:02:00"),
        ("2019-05-06 12:00am", "2019-05-06 00:00:00"),
        ("  2024-02-29  ", "2024-02-29 00:00:00"),
        ("16 Jul 2018", "2018-07-16 00:00:00"),
        ("July 16, 2018 17:21", "2018-07-16 17:21:00"),
        ("Mon, 16 Jul 2018 17:21:00 +0200", "2018-07-16 17:21:00"),
        ("Jul 16, 2018, 3:21:00 PM UTC", "2018-07-16 15:21:00"),
        ("Jul 16, 2018, 3:21:00\u{202f}PM", "2018-07-16 15:21:00"),
        ("Mon Jul 16 15:21:00 2018", "2018-07-16 15:21:00"),
        ("Mon Jul 16 2018 15:21:00 GMT+0200 (Central European Summer Time)", "2018-07-16 15:21:00"),
        ("16-Jul-2018 15:21", "2018-07-16 15:21:00"),
        ("16th of July 2018 at 3:21pm", "2018-07-16 15:21:00"),
        ("2018-Jul-16", "2018-07-16 00:00:00"),
        ("16 Sept. 2018", "2018-09-16 00:00:00"),
        ("20180716T152100Z", "2018-07-16 15:21:00"),
        ("20180716_152100", "2018-07-16 15:21:00"),
        ("20180716152100", "2018-07-16 15:21:00"),
        ("2018-07-16T152100+0200", "2018-07-16 15:21:00"),
        ("2018-07-16T15:21:00+02:00[Europe/Berlin]", "2018-07-16 15:21:00"),
        ("2018\u{5e74}7\u{6708}16\u{65e5} 15:21", "2018-07-16 15:21:00"),
        ("1531754460.5", "2018-07-16 15:21:00"),
        ("1531754460123456", "2018-07-16 15:21:00"),
        ("1531754460", "2018-07-16 15:21:00"),
        ("1531754460123", "2018-07-16 15:21:00"),
    ] {
        assert_eq!(read_plain(text).as_deref(), Ok(taken), "{text}");
    }
}

#[test]
fn a_format_that_is_given_is_the_only_one() {
    for (format, text, taken) in [
        ("dmy", "16/07/2018", Ok("2018-07-16 00:00:00")),
        ("dmy", "5.6.19 17:21", Ok("2019-06-05 17:21:00")),
        ("mdy", "5/6/69", Ok("1969-05-06 00:00:00")),
        ("dmy", "16-Jul-18", Ok("2018-07-16 00:00:00")),
        ("excel", "43297.63958333", Ok("2018-07-16 15:21:00")),
        ("excel", "soon", Err(DatetimeError::Unknown)),
        ("excel", "43,592", Err(DatetimeError::Unknown)),
        ("excel", "43592,5", Ok("2019-05-07 12:00:00")),
        ("excel-1904", "42129", Ok("2019-05-06 00:00:00")),
        ("mdy", "16/07/2018", Err(DatetimeError::Impossible)),
        ("dmy", "2018-07-16", Err(DatetimeError::Unknown)),
        ("year", "1987", Ok("1987-01-01 00:00:00")),
        ("epoch-s", "86400.5", Ok("1970-01-02 00:00:00")),
        ("epoch-ms", "-1000", Ok("1969-12-31 23:59:59")),
        ("epoch-s", "soon", Err(DatetimeError::Unknown)),
        ("epoch-s", "06.05.2019 14:30", Err(DatetimeError::Unknown)),
        ("epoch-ms", "1557126489.abc", Err(DatetimeError::Unknown)),
        ("epoch-s", "1.557126489E9", Err(DatetimeError::Unknown)),
        ("%d.%m.%Y um %H:%M", "16.07.2018 um 17:21", Ok("2018-07-16 17:21:00")),
        ("%d.%m.%Y", "16.07.18", Err(DatetimeError::Impossible)),
        ("%Y%j", "2018197", Ok("2018-07-16 00:00:00")),
    ] {
        let rules = rules(&[format], OffsetRule::Keep, None);
        let read = rules.read(text);
        assert_eq!(read.as_deref(), taken.as_ref().map(|taken| *taken), "{format}: {text}");
    }
    let several = rules(&["year", "dmy"], OffsetRule::Keep, None);
    assert_eq!(several.read("1.2.2003").as_deref(), Ok("2003-02-01 00:00:00"));
    let counted_first = rules(&["epoch-s", "dmy"], OffsetRule::Keep, None);
    assert_eq!(counted_first.read("06.05.2019 14:30").as_deref(), Ok("2019-05-06 14:30:00"));
    assert!("yearly".parse::<DateFormat>().is_err());
}

#[test]
fn an_offset_or_a_zone_is_converted_only_on_request() {
    for (text, zone, taken) in [
        ("2019-05-06T01:30:00+02:00", None, "2019-05-05 23:30:00"),
        ("2015-10-21 22:00:00-04", None, "2015-10-22 02:00:00"),
        ("2015-10-21 22:00:00+0530", None, "2015-10-21 16:30:00"),
        ("2015-10-21 22:00:00Z", Some("Europe/Berlin"), "2015-10-21 22:00:00"),
        ("2015-10-21 22:00:00", None, "2015-10-21 22:00:00"),
        ("2019-07-01 12:00:00", Some("Europe/Berlin"), "2019-07-01 10:00:00"),
        ("2019-01-01 12:00", Some("Europe/Berlin"), "2019-01-01 11:00:00"),
        ("1531754460", Some("Europe/Berlin"), "2018-07-16 15:21:00"),
    ] {
        assert_eq!(rules(&[], OffsetRule::Utc, zone).read(text).as_deref(), Ok(taken), "{text}");
    }
    let kept = rules(&[], OffsetRule::Keep, Some("Europe/Berlin"));
    assert_eq!(kept.read("1531754460").as_deref(), Ok("2018-07-16 17:21:00"), "a clock has to be chosen");
    assert_eq!(kept.read("2019-07-01 12:00:00").as_deref(), Ok("2019-07-01 12:00:00"));
}

#[test]
fn a_sample_tells_which_of_day_and_month_comes_first() {
    let order = |texts: &[&'static str]| order_of(texts.iter().copied());
    assert_eq!(order(&["01/02/2019", "16/07/2018"]), Some((DateFormat::DayFirst, "16/07/2018")));
    assert_eq!(order(&["7/16/2018 17:21"]), Some((DateFormat::MonthFirst, "7/16/2018 17:21")));
    assert_eq!(order(&["7/16/18 17:21"]), None, "the year could come first or last");
    assert_eq!(order(&["01/02/2019"]), None);
    assert_eq!(order(&["16/07/2018", "07/16/2018"]), None, "both ways in one file");
    assert_eq!(order(&["2019-05-06", "x", "40/40/2000"]), None);
}

#[test]
fn what_could_be_read_two_ways_is_refused() {
    for (text, error) in [
        ("01/02/2019", DatetimeError::Ambiguous),
        ("5/5/19 17:21", DatetimeError::TwoDigitYear),
        ("18-07-16", DatetimeError::TwoDigitYear),
        ("16-Jul-18", DatetimeError::TwoDigitYear),
        ("43297.6395", DatetimeError::SpreadsheetSerial),
        ("43297", DatetimeError::SpreadsheetSerial),
        ("2019-02-29", DatetimeError::Impossible),
        ("2019-02-29 00:00:00", DatetimeError::Impossible),
        ("2019-13-01", DatetimeError::Impossible),
        ("2019-01-01 25:00", DatetimeError::Impossible),
        ("2019-01-01 24:00:00", DatetimeError::Impossible),
        ("0000-01-00 00:00:00", DatetimeError::Impossible),
        ("0019-05-06 07:08:09", DatetimeError::Impossible),
        ("1799-12-31 23:59:59", DatetimeError::Impossible),
        ("2019", DatetimeError::BareYear),
        ("yesterday", DatetimeError::Unknown),
        ("2019-01-01 10", DatetimeError::Unknown),
        ("2019-01-01 10:00:00:00", DatetimeError::Unknown),
        ("2019-01-01 13:00 PM", DatetimeError::Unknown),
        ("2019-01-01 10:00+99:99", DatetimeError::Unknown),
        ("20190a06", DatetimeError::Unknown),
        ("２０１９-01-01", DatetimeError::Unknown),
        ("1-2-3-4", DatetimeError::Unknown),
        ("", DatetimeError::Unknown),
    ] {
        assert_eq!(read_plain(text), Err(error), "{text}");
    }
}

#[test]
fn a_time_of_day_in_another_column_belongs_to_the_date() {
    let read = |day: &str, time: &str| DateRules::default().read_with_time(day, time).map(|(read, _)| read);
    for (day, time, taken) in [
        ("2018-07-16", "15:21:00", Ok("2018-07-16 15:21:00")),
        ("2018-07-16 00:00:00", "3:21 PM", Ok("2018-07-16 15:21:00")),
        ("16 Jul 2018", "152100", Ok("2018-07-16 15:21:00")),
        ("2018-07-16 10:00", "15:21", Ok("2018-07-16 10:00:00")),
        ("2018-07-16", "1899-12-30 15:21:00", Ok("2018-07-16 15:21:00")),
        ("2018-07-16", "noon", Err(DatetimeError::Unknown)),
        ("soon", "15:21", Err(DatetimeError::Unknown)),
    ] {
        assert_eq!(read(day, time).as_deref(), taken.as_ref().map(|taken| *taken), "{day} {time}");
    }
    let berlin = rules(&["dmy"], OffsetRule::Utc, Some("Europe/Berlin"));
    let joined = berlin.read_with_time("16.07.2018", "00:30").unwrap().0;
    assert_eq!(joined, "2018-07-15 22:30:00", "converted once, as a whole");
}

#[test]
fn a_day_alone_is_not_converted() {
    let rules = |formats: &[&str]| DateRules {
        formats: formats.iter().map(|format| format.parse().unwrap()).collect(),
        offset: OffsetRule::Utc,
        zone: Some(TimeZone::get("Europe/Berlin").unwrap()),
        ..DateRules::default()
    };
    for (text, formats, read) in [
        ("2019-05-06", &[][..], "2019-05-06 00:00:00"),
        ("20190506", &[], "2019-05-06 00:00:00"),
        ("6 May 2019", &[], "2019-05-06 00:00:00"),
        ("06/05/2019", &["dmy"], "2019-05-06 00:00:00"),
        ("2019", &["year"], "2019-01-01 00:00:00"),
        ("06.05.2019", &["%d.%m.%Y"], "2019-05-06 00:00:00"),
        ("43591", &["excel"], "2019-05-06 00:00:00"),
        ("2019-05-06 00:00", &[], "2019-05-05 22:00:00"),
        ("06.05.2019 00:00", &["%d.%m.%Y %H:%M"], "2019-05-05 22:00:00"),
        ("43591.5", &["excel"], "2019-05-06 10:00:00"),
        ("2019-05-06T12:00:00+05:00", &[], "2019-05-06 07:00:00"),
    ] {
        assert_eq!(rules(formats).read(text).as_deref(), Ok(read), "{text}");
    }
}

#[test]
fn a_time_at_a_change_of_the_clocks_is_known() {
    let mut rules = DateRules {
        offset: OffsetRule::Utc,
        zone: Some(TimeZone::get("Europe/Berlin").unwrap()),
        ..DateRules::default()
    };
    let seen = |rules: &DateRules, text| rules.read_with_offset(text).unwrap().1;
    assert_eq!(seen(&rules, "2019-03-31 02:30:00"), OffsetSeen::AtChange, "never");
    assert_eq!(seen(&rules, "2019-10-27 02:30:00"), OffsetSeen::AtChange, "twice");
    assert_eq!(seen(&rules, "2019-10-27 03:30:00"), OffsetSeen::Absent);
    assert_eq!(seen(&rules, "2019-10-27 02:30:00+01:00"), OffsetSeen::Minutes(60));
    rules.offset = OffsetRule::Keep;
    assert_eq!(seen(&rules, "2019-03-31 02:30:00"), OffsetSeen::Absent, "nothing is converted");
}

#[test]
fn a_format_of_texts_is_not_applied_to_cells_that_are_dates() {
    let rules = |format: &str, has_date_cells| DateRules {
        formats: vec![format.parse().unwrap()],
        has_date_cells,
        ..DateRules::default()
    };
    assert_eq!(rules("dmy", true).read("2019-05-06").as_deref(), Ok("2019-05-06 00:00:00"));
    assert_eq!(rules("dmy", true).read("2019-05-30 07:08:09").as_deref(), Ok("2019-05-30 07:08:09"));
    assert_eq!(rules("dmy", true).read("06/05/2019").as_deref(), Ok("2019-05-06 00:00:00"));
    assert_eq!(rules("dmy", true).read("2019/05/06"), Err(DatetimeError::Unknown), "a text");
    assert_eq!(rules("dmy", false).read("2019-05-06"), Err(DatetimeError::Unknown));
    let other = "%Y-%d-%m";
    assert_eq!(rules(other, true).read("2019-05-06"), Err(DatetimeError::Ambiguous), "a date or a text");
    assert_eq!(rules(other, true).read("2019-06-06").as_deref(), Ok("2019-06-06 00:00:00"));
    assert_eq!(rules(other, false).read("2019-05-06").as_deref(), Ok("2019-06-05 00:00:00"));
}

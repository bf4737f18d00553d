//! Formulas that make a link: `HYPERLINK("https://host/a.mp4", "Watch")`.

/// The address that a formula names, without its `=`. `None`: it is another formula, or refers to a cell.
pub(in crate::manifest) fn linked_address(formula: &str) -> Option<String> {
    const NAME: &str = "HYPERLINK(";
    let formula = formula.trim();
    let is_link = formula.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME));
    let mut rest = formula.get(NAME.len()..).filter(|_| is_link)?.trim_start().strip_prefix('"')?;
    let mut address = String::new();
    // a quote that is part of the text is doubled
    loop {
        let (text, behind) = rest.split_once('"')?;
        address.push_str(text);
        let Some(more) = behind.strip_prefix('"') else {
            // what is joined with other cells is only a part
            return behind.trim_start().starts_with([',', ';', ')']).then_some(address);
        };
        address.push('"');
        rest = more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_gives_its_address_only_where_it_names_it() {
        for (formula, address) in [
            (r#"HYPERLINK("https://h/a.mp4","Watch")"#, Some("https://h/a.mp4")),
            (r#"hyperlink( "https://h/a.mp4" ; "Ansehen" )"#, Some("https://h/a.mp4")),
            (r#"HYPERLINK("https://h/a.mp4")"#, Some("https://h/a.mp4")),
            (r#"HYPERLINK("https://h/""a"".mp4","x")"#, Some(r#"https://h/"a".mp4"#)),
            (r#"HYPERLINK("https://h/"&A2,"x")"#, None),
            (r#"HYPERLINK(A2,"x")"#, None),
            (r#"HYPERLINK("https://h/a.mp4"#, None),
            ("SUM(A1:A2)", None),
            ("", None),
        ] {
            assert_eq!(linked_address(formula).as_deref(), address, "{formula}");
        }
    }
}

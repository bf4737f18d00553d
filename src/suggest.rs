//! "Did you mean": the known name that is most like one that is not known.

/// Names less alike than this are not suggested; clap suggests from 0.7 on, by a measure without weight on the beginning.
const LIKENESS_MIN: f64 = 0.8;

/// The name among these that is most like this one, if any is. Case and signs do not count.
pub(crate) fn nearest<'a>(name: &str, among: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let bare = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let own = bare(name);
    let likeness = |other: &str| {
        let other = bare(other);
        let (short, long) = if own.len() < other.len() { (&own, &other) } else { (&other, &own) };
        let is_beginning = short.len() > 2 && long.starts_with(short.as_str());
        let sorted = |text: &str| {
            let mut letters: Vec<char> = text.chars().collect();
            letters.sort_unstable();
            letters
        };
        // the measure finds nothing in common between `map` and `mpa`
        let is_turned =
            own.len() > 2 && own.chars().next() == other.chars().next() && sorted(&own) == sorted(&other);
        if is_beginning || is_turned { 1.0 } else { strsim::jaro_winkler(&own, &other) }
    };
    let rated = among.into_iter().map(|other| (likeness(other), other));
    let (best, other) = rated.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (best >= LIKENESS_MIN && !own.is_empty()).then_some(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_name_leads_to_the_one_that_is_meant() {
        let names = ["url", "tags", "latitude", "longitude", "camera_model", "video link"];
        for (name, meant) in [
            ("latitud", Some("latitude")),
            ("longtitude", Some("longitude")),
            ("tag", Some("tags")),
            ("cameramodel", Some("camera_model")),
            ("Video-Link", Some("video link")),
            ("vidoe link", Some("video link")),
            ("ulr", Some("url")),
            ("price", None),
            ("?", None),
        ] {
            assert_eq!(nearest(name, names), meant, "{name}");
        }
    }
}

//! Coordinates: what is read is a place on earth, and reads as itself however it is written.

use telecine::{
    domain::Coordinates,
    manifest::{Axis, GeoOrder},
};

use crate::Choices;

/// Checks one text, as each of both coordinates and as a pair.
pub fn check(input: &[u8]) {
    let Some((mut choices, text)) = Choices::of_text(input) else { return };
    for (axis, bound) in [(Axis::Latitude, 90.0), (Axis::Longitude, 180.0)] {
        if let Ok(degrees) = axis.read(text) {
            assert!((-bound..=bound).contains(&degrees), "{text:?} is read as {degrees} of {axis:?}");
            assert_eq!(axis.read(&degrees.to_string()), Ok(degrees), "{text:?} does not read back");
        }
    }
    let order = choices.one_of([GeoOrder::LatLon, GeoOrder::LonLat]);
    if let Ok(place) = order.read(text) {
        assert!(is_on_earth(place), "{text:?} is read as {place:?}");
        let Coordinates { latitude, longitude } = place;
        for (order, written) in [
            (GeoOrder::LatLon, format!("{latitude:?},{longitude:?}")),
            (GeoOrder::LonLat, format!("[{longitude}, {latitude}]")),
            (GeoOrder::LatLon, format!("POINT({longitude} {latitude})")),
        ] {
            assert_eq!(order.read(&written), Ok(place), "{text:?} does not read back from {written:?}");
        }
    }
    let padded = format!(" {text}\t");
    assert_eq!(order.read(&padded), order.read(text), "blanks around it make {text:?} another place");
}

/// Whether both are numbers in their bounds.
pub(crate) fn is_on_earth(place: Coordinates) -> bool {
    (-90.0..=90.0).contains(&place.latitude) && (-180.0..=180.0).contains(&place.longitude)
}

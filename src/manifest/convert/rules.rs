//! How the values of rows are read, as flags and settings say it.

use crate::{
    local_file::FilesRoot,
    manifest::{
        mapping::Field,
        values::{
            TooLong, coordinates::GeoOrder, datetime::DateRules, missing::MissingRules, tags::TagSeparator,
        },
    },
};

/// How values are read.
#[derive(Clone, Debug)]
pub struct RowRules {
    /// The namespace of rows that name none.
    pub namespace: String,
    pub tag_separator: TagSeparator,
    pub dates: DateRules,
    /// Which coordinate comes first where both are in one cell.
    pub geo_order: GeoOrder,
    pub too_long: TooLong,
    pub same_by: SameBy,
    pub lone_comma: LoneComma,
    pub missing: MissingRules,
    /// Fields whose value is left out where it cannot be read; the row is sent without it.
    pub drop_invalid: Vec<Field>,
    /// Where files on this machine may be that rows name. `None`: no row may name one.
    pub files: Option<FilesRoot>,
    pub via: Via,
    /// Whether the manifest is a listing of a bucket, which says what each object is.
    pub is_bucket: bool,
}

impl Default for RowRules {
    fn default() -> Self {
        Self {
            namespace: "default".to_owned(),
            tag_separator: TagSeparator::Default,
            dates: DateRules::default(),
            geo_order: GeoOrder::LatLon,
            too_long: TooLong::Refuse,
            same_by: SameBy::Url,
            lone_comma: LoneComma::Safe,
            missing: MissingRules::default(),
            drop_invalid: Vec::new(),
            files: None,
            via: Via::Link,
            is_bucket: false,
        }
    }
}

/// How the service gets the videos that are objects in buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Via {
    /// It fetches them by links.
    #[default]
    Link,
    /// telecine reads them, and sends them in the body of the request.
    Upload,
}

/// By what two rows of one namespace are the same item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameBy {
    /// The address, without what signs it.
    #[default]
    Url,
    /// The user's own id, whatever the address.
    Id,
}

/// A form with one `tags` value that contains a comma may be split by the service into two tags (Spring's rule for a
/// list parameter). With the marker tag there are always two values, and the comma is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoneComma {
    /// Another tag goes along.
    Safe,
    /// It would be alone: refuse the row.
    Refused,
}

//! What is odd about the values of a row that is sent all the same. An import says it, too; what only a check says is in `lint.rs`.

use super::{Explanation, Reading, problem_at};
use crate::{manifest::mapping::Field, redact};

impl Reading<'_> {
    /// Says that a text was cut on request.
    pub(super) fn warn_of_cut(&mut self, field: Field, value: &str, message: String) {
        let fix = "shorten it in the manifest, or leave --too-long cut out, so that such rows are invalid";
        let words = Explanation::new("text_cut", message, fix);
        self.warnings.push(problem_at(self.first(field), redact::opaque(value), words));
    }

    /// Says that the number in a cell is one that a spreadsheet has rounded.
    pub(super) fn warn_of_short_number(&mut self, field: Field, column: usize, value: String) {
        let (class, message) = if field == Field::Id {
            ("id_scientific", "a spreadsheet has shortened this number: different ids look the same")
        } else {
            ("number_scientific", "a spreadsheet has shortened this number: it is sent as it is written")
        };
        let fix = "format the column as text before the export";
        let words = Explanation::new(class, message.to_owned(), fix);
        self.warnings.push(problem_at(Some((column, self.columns.names()[column].as_str())), value, words));
    }

    /// Says that a tag is a list, or a part of one, in a form that is not read.
    pub(super) fn warn_of_fragment(&mut self, value: String) {
        let message = "a list, or a part of one, in a form that is not known".to_owned();
        let fix = "write tags with separators between them (a;b), or as JSON: [\"a\", \"b\"]";
        let words = Explanation::new("tag_fragment", message, fix);
        self.warnings.push(problem_at(self.first(Field::Tags), value, words));
    }

    /// Says that tags are written for HTML, or with the escapes of a database.
    pub(super) fn warn_of_escapes(&mut self, is_html: bool, value: String) {
        let decode = format!("decode it: --map 'tags={{{}|html}}'", self.name_of(Field::Tags));
        let (class, message, fix) = if is_html {
            ("text_html_escaped", "a text written for HTML", decode.as_str())
        } else {
            let fix = "export the table as CSV (PostgreSQL: COPY ... WITH (FORMAT csv)), where line breaks are quoted";
            ("text_backslash_escaped", "a line break or a tab is written with a backslash", fix)
        };
        self.warnings.push(problem_at(
            self.first(Field::Tags),
            value,
            Explanation::new(class, message.to_owned(), fix),
        ));
    }
}

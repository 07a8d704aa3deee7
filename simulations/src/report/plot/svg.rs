//! Just enough SVG. Attributes come from this crate; text from anywhere, and is
//! escaped.

use std::fmt::Write as _;

use crate::report::units::shortened;

/// Characters of a text that comes from outside.
const TEXT_MAX: usize = 160;

/// A drawing on the way.
#[derive(Default)]
pub(super) struct Svg(String);

impl Svg {
    /// A page with its own white ground: a dark viewer must not swallow the text.
    pub(super) fn page(width: f64, height: f64) -> Self {
        let (width, height) = (number(width), number(height));
        let mut svg = Self::default();
        svg.open(
            "svg",
            &format!(
                r#"xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="Helvetica, Arial, 'DejaVu Sans', sans-serif" font-size="11" fill="{}""#,
                super::palette::INK
            ),
        );
        svg.0.push_str(&format!(r##"<rect width="{width}" height="{height}" fill="#ffffff"/>"##));
        svg.0.push('\n');
        svg
    }

    pub(super) fn open(&mut self, tag: &str, attributes: &str) {
        let space = if attributes.is_empty() { "" } else { " " };
        self.0.push_str(&format!("<{tag}{space}{attributes}>\n"));
    }

    pub(super) fn close(&mut self, tag: &str) {
        self.0.push_str(&format!("</{tag}>\n"));
    }

    pub(super) fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), attributes: &str) {
        let (x, y, width, height) = (number(x), number(y), number(width.max(0.0)), number(height.max(0.0)));
        self.0.push_str(&format!(r#"<rect x="{x}" y="{y}" width="{width}" height="{height}" {attributes}/>"#));
        self.0.push('\n');
    }

    pub(super) fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), attributes: &str) {
        let (x1, y1, x2, y2) = (number(x1), number(y1), number(x2), number(y2));
        self.0.push_str(&format!(r#"<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" {attributes}/>"#));
        self.0.push('\n');
    }

    pub(super) fn path(&mut self, path: &Path, attributes: &str) {
        if !path.0.is_empty() {
            self.0.push_str(&format!(r#"<path d="{}" {attributes}/>"#, path.0));
            self.0.push('\n');
        }
    }

    /// `y` is the base line.
    pub(super) fn text(&mut self, (x, y): (f64, f64), attributes: &str, text: &str) {
        let (x, y, space) = (number(x), number(y), if attributes.is_empty() { "" } else { " " });
        self.0.push_str(&format!(r#"<text x="{x}" y="{y}"{space}{attributes}>{}</text>"#, escaped(text)));
        self.0.push('\n');
    }

    /// What a viewer says of the group that it stands in.
    pub(super) fn title(&mut self, text: &str) {
        self.0.push_str(&format!("<title>{}</title>\n", escaped(text)));
    }

    pub(super) fn finish(mut self) -> String {
        self.close("svg");
        self.0
    }
}

/// The `d` of a path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Path(String);

impl Path {
    pub(super) fn to(&mut self, command: char, (x, y): (f64, f64)) {
        let _ = write!(self.0, "{command}{} {}", number(x), number(y));
    }

    /// A level line of some length.
    pub(super) fn dash(&mut self, (x, y): (f64, f64), length: f64) {
        self.to('M', (x, y));
        let _ = write!(self.0, "h{}", number(length));
    }

    pub(super) fn level_to(&mut self, x: f64) {
        let _ = write!(self.0, "H{}", number(x));
    }

    pub(super) fn upright_to(&mut self, y: f64) {
        let _ = write!(self.0, "V{}", number(y));
    }

    pub(super) fn shut(&mut self) {
        self.0.push('z');
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// About how wide a text of this font size is: nobody can measure, so the
/// letters count as in a wide font.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    let share = |character| match character {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' => 0.31,
        't' | 'f' | 'r' | '(' | ')' | '-' | '/' => 0.39,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '+' => 0.9,
        'A'..='Z' => 0.7,
        _ => 0.62,
    };
    text.chars().map(share).sum::<f64>() * size
}

/// A tenth of a pixel is enough, and `12.0` is longer than `12`.
fn number(value: f64) -> String {
    let tenths = if value.is_finite() { (value * 10.0).round() as i64 } else { 0 };
    let sign = if tenths < 0 { "-" } else { "" };
    match (tenths.unsigned_abs() / 10, tenths.unsigned_abs() % 10) {
        (whole, 0) => format!("{sign}{whole}"),
        (whole, tenth) => format!("{sign}{whole}.{tenth}"),
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in shortened(text, TEXT_MAX).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // Not characters in XML.
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

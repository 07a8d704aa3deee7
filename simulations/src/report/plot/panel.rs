//! A panel: its head, its keys, and who draws it.

use super::frame::Frame;
use super::palette::{FAINT, HALO};
use super::svg::{Svg, text_width};

/// Room above a frame for the panel's title and keys, in pixels.
pub(super) const HEAD: f64 = 20.0;

/// One of the page's panels.
pub(super) struct Panel<'a> {
    pub title: &'static str,
    /// What else to know, in small print.
    pub note: String,
    pub keys: Vec<Key>,
    pub height: f64,
    pub draw: Draw<'a>,
}

/// Fills a frame.
pub(super) type Draw<'a> = Box<dyn Fn(&mut Svg, Frame) + 'a>;

/// A mark and what it stands for.
pub(super) struct Key {
    pub label: &'static str,
    pub mark: Mark,
}

/// How a key looks.
pub(super) enum Mark {
    /// A filled box: colour, opacity.
    Area(&'static str, f64),
    /// A line of this colour.
    Line(&'static str),
    /// A pale box with a right edge of this colour.
    Edge(&'static str),
}

impl Panel<'_> {
    pub(super) fn head(&self, svg: &mut Svg, frame: Frame) {
        let y = frame.top - 6.0;
        svg.text((frame.left, y), &format!(r#"font-size="12.5" font-weight="bold" {HALO}"#), self.title);
        // Bold letters are wider.
        let note_x = frame.left + text_width(self.title, 12.5) * 1.1 + 10.0;
        svg.text((note_x, y), &format!(r#"fill="{FAINT}" {HALO}"#), &self.note);
        let mut x = frame.right();
        for key in self.keys.iter().rev() {
            x -= text_width(key.label, 11.0);
            svg.text((x, y), HALO, key.label);
            x -= 17.0;
            key.mark.draw(svg, (x, y - 9.0));
            x -= 14.0;
        }
    }
}

impl Mark {
    fn draw(&self, svg: &mut Svg, (x, y): (f64, f64)) {
        let size = (12.0, 10.0);
        match self {
            Self::Area(colour, opacity) => {
                svg.rect((x, y), size, &format!(r#"fill="{colour}" fill-opacity="{opacity}""#));
            }
            Self::Line(colour) => {
                let attributes = format!(r#"stroke="{colour}" stroke-width="2""#);
                svg.line((x, y + 5.0), (x + 12.0, y + 5.0), &attributes);
            }
            Self::Edge(colour) => {
                svg.rect((x, y), size, r##"fill="#c9ced2""##);
                svg.rect((x + 10.0, y), (2.5, 10.0), &format!(r#"fill="{colour}""#));
            }
        }
    }
}

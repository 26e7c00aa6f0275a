//! A plot as SVG: medians joined by a line, a bar from the least to the most at each; x grows by factors, y from 0.

use crate::runs::Spread;
use std::fmt::Write;

/// What is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Plot<'a> {
    /// What stands over it.
    pub title: &'a str,
    /// What grows to the right.
    pub x: &'a str,
    /// What grows upwards.
    pub y: &'a str,
    /// In the order of x, each above 0.
    pub points: &'a [(u32, Spread)],
    /// What stands below: where it was measured.
    pub note: &'a str,
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 620.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 280.0;

impl Plot<'_> {
    /// The whole picture.
    #[must_use]
    pub fn svg(&self) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
        );
        let middle = f64::midpoint(LEFT, RIGHT);
        svg += &text(middle, 22.0, "middle", self.title);
        svg += &text(middle, BOTTOM + 36.0, "middle", self.x);
        svg += &text(LEFT - 48.0, TOP - 8.0, "start", self.y);
        svg += &text(middle, HEIGHT - 12.0, "middle", self.note);
        self.grid(&mut svg);
        self.line(&mut svg);
        svg + "</svg>\n"
    }

    /// The highest value of the y axis: the next of 1, 2, 5 times a power of ten above everything.
    fn ceiling(&self) -> f64 {
        let most = self.points.iter().map(|(_, spread)| spread.most).fold(f64::MIN_POSITIVE, f64::max);
        let power = 10_f64.powf(most.log10().floor());
        [1.0, 2.0, 5.0, 10.0]
            .map(|step| step * power)
            .into_iter()
            .find(|c| *c >= most)
            .unwrap_or(10.0 * power)
    }

    fn across(&self, x: u32) -> f64 {
        let log = |x: u32| f64::from(x).ln();
        let first = self.points.first().map_or(0.0, |(x, _)| log(*x));
        let last = self.points.last().map_or(1.0, |(x, _)| log(*x));
        let share = if last > first { (log(x) - first) / (last - first) } else { 0.5 };
        LEFT + 20.0 + share * (RIGHT - LEFT - 40.0)
    }

    fn up(&self, y: f64) -> f64 {
        BOTTOM - y / self.ceiling() * (BOTTOM - TOP)
    }

    fn grid(&self, svg: &mut String) {
        for fifth in 0..=5 {
            let value = self.ceiling() * f64::from(fifth) / 5.0;
            let y = self.up(value);
            *svg += &stroke(LEFT, y, RIGHT, y, "#ddd");
            *svg += &text(
                LEFT - 6.0,
                y + 4.0,
                "end",
                format!("{value:.3}").trim_end_matches('0').trim_end_matches('.'),
            );
        }
        for (x, _) in self.points {
            *svg += &text(self.across(*x), BOTTOM + 18.0, "middle", &x.to_string());
        }
    }

    fn line(&self, svg: &mut String) {
        let places: Vec<String> = self
            .points
            .iter()
            .map(|(x, spread)| format!("{:.1},{:.1}", self.across(*x), self.up(spread.median)))
            .collect();
        writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"#06c\" stroke-width=\"2\"/>",
            places.join(" ")
        )
        .unwrap_or_default();
        for (x, spread) in self.points {
            let across = self.across(*x);
            *svg += &stroke(across, self.up(spread.least), across, self.up(spread.most), "#06c");
            let median = self.up(spread.median);
            writeln!(svg, "<circle cx=\"{across:.1}\" cy=\"{median:.1}\" r=\"3\" fill=\"#06c\"/>")
                .unwrap_or_default();
        }
    }
}

fn stroke(x1: f64, y1: f64, x2: f64, y2: f64, colour: &str) -> String {
    format!("<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>\n")
}

fn text(x: f64, y: f64, anchor: &str, words: &str) -> String {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: &[(u32, Spread)]) -> Plot<'_> {
        Plot { title: "a < b", x: "x", y: "y", points, note: "" }
    }

    fn spread(median: f64) -> Spread {
        Spread { median, least: median / 2.0, most: median * 2.0 }
    }

    #[test]
    fn points_lie_inside_the_frame_and_further_is_more() {
        let points = [(1, spread(0.3)), (10, spread(0.4)), (10_000, spread(7.0))];
        let plot = plot(&points);
        assert_eq!(plot.ceiling(), 20.0);
        let across: Vec<f64> = points.iter().map(|(x, _)| plot.across(*x)).collect();
        assert!(across.is_sorted() && across[0] > LEFT && across[2] < RIGHT, "{across:?}");
        assert!(plot.up(14.0) > TOP && plot.up(0.0) == BOTTOM && plot.up(7.0) < plot.up(0.4));
        let svg = plot.svg();
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.contains("a &lt; b") && svg.ends_with("</svg>\n"));
    }

    #[test]
    fn one_point_or_none_is_a_plot_too() {
        assert!(!plot(&[]).svg().contains("NaN"));
        assert!(!plot(&[(5, spread(1.0))]).svg().contains("NaN"));
    }
}

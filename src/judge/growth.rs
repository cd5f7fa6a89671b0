//! How a value grows over a var: constant, linear, quadratic or falling, by least squares.
//!
//! Counts are exact: one statement more is growth, and a curve that no rounding explains is none. Only what does not repeat
//! exactly, such as bytes, is given room, and as much as it needs.

use std::fmt;

/// Least coefficient of determination of a fit that is believed.
const GOOD: f64 = 0.98;

/// A value lies off the true curve by its tolerance at most, but the fit is bent by the worst of them: so many times that is
/// no bend.
const ROOM: f64 = 3.0;

/// A count is a whole number: a true line through fractions is off by less than this.
const ROUNDING: f64 = 1.0;

/// A class of growth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The same whatever the var.
    Constant,
    /// In proportion, give or take an offset.
    Linear,
    /// With the square, alone or beside a linear part.
    Quadratic,
    /// It gets less.
    Falling,
}

/// A class and how well it fits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// The class.
    pub class: Class,
    /// R², 1 for a perfect fit; for a constant 1 less the relative spread.
    pub goodness: f64,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Constant => "constant",
            Self::Linear => "linear",
            Self::Quadratic => "quadratic",
            Self::Falling => "falling",
        })
    }
}

/// The class of growth of points (var, value), of which two of the same var may differ by this share of the greater one. An
/// error says why none can be told.
pub fn fit(points: &[(f64, f64)], tolerance: f64) -> Result<Fit, String> {
    if points.len() < 3 || points.iter().any(|(x, y)| !x.is_finite() || !y.is_finite()) {
        return Err(format!("{} points are too few to tell how it grows", points.len()));
    }
    let ends = |of: fn(&(f64, f64)) -> f64| {
        points.iter().map(of).fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(value), most.max(value)))
    };
    let ((first, last), (least, most)) = (ends(|point| point.0), ends(|point| point.1));
    let spread = (most - least) / least.abs().max(most.abs()).max(f64::MIN_POSITIVE);
    if spread <= ROOM * tolerance {
        return Ok(Fit { class: Class::Constant, goodness: 1.0 - spread });
    }
    let line = least_squares::<2>(points);
    let straight = goodness(points, &line);
    if line[1] < 0.0 {
        // Straight or not, and however fast: less is not more.
        let falls = is_falling(points, tolerance);
        return if falls {
            Ok(Fit { class: Class::Falling, goodness: straight.max(0.0) })
        } else {
            Err(neither(straight, points))
        };
    }
    let parabola = least_squares::<3>(points);
    // How far the curve is from its chord in the middle.
    let bend = parabola[2] * (last - first).powi(2) / 4.0;
    let room = (ROOM * tolerance * least.abs().max(most.abs())).max(ROUNDING);
    if bend > room && goodness(points, &parabola) >= GOOD {
        return Ok(Fit { class: Class::Quadratic, goodness: goodness(points, &parabola) });
    }
    if bend.abs() <= room && straight >= GOOD {
        return Ok(Fit { class: Class::Linear, goodness: straight });
    }
    Err(neither(straight, points))
}

fn neither(straight: f64, points: &[(f64, f64)]) -> String {
    format!("it grows neither linearly (R² {straight:.3}) nor with the square, over {} points", points.len())
}

/// Whether no value is greater than the one before it, but for what it may differ by.
fn is_falling(points: &[(f64, f64)], tolerance: f64) -> bool {
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    sorted.windows(2).all(|pair| pair[1].1 <= pair[0].1 + tolerance * pair[0].1.abs())
}

/// Coefficients of the polynomial of degree N - 1 that is nearest, by the normal equations.
#[expect(clippy::needless_range_loop, clippy::cast_possible_wrap, reason = "matrix indices; degrees below 5")]
fn least_squares<const N: usize>(points: &[(f64, f64)]) -> [f64; N] {
    let mut rows = [[0.0; N]; N];
    let mut right = [0.0; N];
    for (x, y) in points {
        for i in 0..N {
            for j in 0..N {
                rows[i][j] += x.powi((i + j) as i32);
            }
            right[i] += y * x.powi(i as i32);
        }
    }
    for column in 0..N {
        let pivot =
            (column..N).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs())).unwrap_or(column);
        rows.swap(column, pivot);
        right.swap(column, pivot);
        for row in column + 1..N {
            let factor = rows[row][column] / rows[column][column];
            for k in column..N {
                rows[row][k] -= factor * rows[column][k];
            }
            right[row] -= factor * right[column];
        }
    }
    let mut solution = [0.0; N];
    for row in (0..N).rev() {
        let known: f64 = (row + 1..N).map(|k| rows[row][k] * solution[k]).sum();
        solution[row] = (right[row] - known) / rows[row][row];
    }
    solution
}

/// R² of a polynomial.
fn goodness(points: &[(f64, f64)], coefficients: &[f64]) -> f64 {
    let mean = points.iter().map(|(_, y)| y).sum::<f64>() / points.len() as f64;
    let at = |x: f64| coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c);
    let missed: f64 = points.iter().map(|(x, y)| (y - at(*x)).powi(2)).sum();
    let total: f64 = points.iter().map(|(_, y)| (y - mean).powi(2)).sum();
    1.0 - missed / total
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const DOUBLING: [f64; 5] = [1.0, 2.0, 4.0, 8.0, 16.0];

    fn points(f: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        DOUBLING.iter().map(|&x| (x, f(x))).collect()
    }

    /// What bytes differ by.
    const BYTES: f64 = 0.01;

    #[rstest]
    #[case::same(points(|_| 7.0), 0.0, Class::Constant)]
    #[case::nothing(points(|_| 0.0), 0.0, Class::Constant)]
    #[case::bytes_that_differ(points(|x| 70_000.0 + 100.0 * x), BYTES, Class::Constant)]
    #[case::one_more_for_each_hides_below_no_constant(points(|x| 100.0 + x), 0.0, Class::Linear)]
    #[case::one_more_in_all(points(|x| if x > 8.0 { 1000.0 } else { 1000.0 - 16.0 + x }), 0.0, Class::Linear)]
    #[case::line(points(|x| x + 1.0), 0.0, Class::Linear)]
    #[case::every_other(points(|x| (x / 2.0).floor()), 0.0, Class::Linear)]
    #[case::falls(points(|x| 1000.0 - 40.0 * x), 0.0, Class::Falling)]
    #[case::falls_by_one(points(|x| if x > 8.0 { 4.0 } else { 5.0 }), 0.0, Class::Falling)]
    #[case::falls_like_a_parabola(points(|x| 1000.0 - x * x), 0.0, Class::Falling)]
    #[case::bytes_fall(points(|x| 1_000_000.0 - 40_000.0 * x), BYTES, Class::Falling)]
    #[case::square(points(|x| x * x), 0.0, Class::Quadratic)]
    #[case::square_beside_a_line(points(|x| 100.0 * x + x * x), 0.0, Class::Quadratic)]
    #[case::square_beside_much(points(|x| 500.0 + 3.0 * x + 2.0 * x * x), 0.0, Class::Quadratic)]
    #[case::square_of_bytes(vec![(400.0, 3.7e6), (800.0, 14.4e6), (1600.0, 56.2e6), (200.0, 0.95e6)], BYTES, Class::Quadratic)]
    #[case::three_points(vec![(1.0, 2.0), (2.0, 3.0), (4.0, 5.0)], 0.0, Class::Linear)]
    #[case::three_points_of_a_square(vec![(2.0, 4.0), (4.0, 16.0), (8.0, 64.0)], 0.0, Class::Quadratic)]
    fn growth_has_its_class(#[case] points: Vec<(f64, f64)>, #[case] tolerance: f64, #[case] expected: Class) {
        assert_eq!(fit(&points, tolerance).map(|fit| fit.class), Ok(expected));
    }

    #[rstest]
    #[case::up_and_down(&[(1.0, 5.0), (2.0, 1.0), (4.0, 9.0), (8.0, 2.0)])]
    #[case::two_points(&[(1.0, 5.0), (2.0, 10.0)])]
    #[case::no_number(&[(1.0, 5.0), (2.0, 10.0), (3.0, f64::NAN)])]
    #[case::slower_than_a_line(&[(1.0, 10.0), (2.0, 20.0), (4.0, 28.0), (8.0, 32.0), (16.0, 33.0)])]
    #[case::it_stops_growing(&[(1.0, 0.0), (10.0, 100.0), (20.0, 101.0), (30.0, 101.0)])]
    #[case::down_and_up_a_little(&[(1.0, 9.0), (2.0, 3.0), (4.0, 4.0), (8.0, 2.0)])]
    fn what_fits_nothing_and_what_is_too_little_has_no_class(#[case] points: &[(f64, f64)]) {
        assert!(fit(points, 0.0).is_err(), "{:?}", fit(points, 0.0));
    }

    proptest! {
        #[test]
        fn a_line_with_one_percent_of_noise_is_a_line(a in 0.0..1000.0_f64, b in 5.0..100.0_f64, noise in prop::array::uniform5(-0.01..0.01_f64)) {
            let points: Vec<_> = DOUBLING.iter().zip(noise).map(|(&x, noise)| (x, (a / 100.0 + b * x) * 1000.0 * (1.0 + noise))).collect();
            prop_assert_eq!(fit(&points, BYTES).map(|fit| fit.class), Ok(Class::Linear));
        }

        #[test]
        fn counts_that_follow_a_formula_have_its_class(offset in 0_u32..10_000, slope in 0_u32..200, square in 0_u32..20) {
            let points = points(|x| f64::from(offset) + f64::from(slope) * x + f64::from(square) * x * x);
            let expected = match (slope, square) { (0, 0) => Class::Constant, (_, 0) => Class::Linear, _ => Class::Quadratic };
            prop_assert_eq!(fit(&points, 0.0).map(|fit| fit.class), Ok(expected));
        }

        #[test]
        fn what_falls_never_grows(offset in 5000_u32..10_000, slope in 1_u32..200) {
            let points = points(|x| f64::from(offset) - f64::from(slope) * x);
            prop_assert_eq!(fit(&points, 0.0).map(|fit| fit.class), Ok(Class::Falling));
        }

        #[test]
        fn any_points_have_a_class_or_a_reason(points in prop::collection::vec((any::<f64>(), any::<f64>()), 0..8), tolerance in 0.0..1.0_f64) {
            let _ = fit(&points, tolerance);
        }
    }
}

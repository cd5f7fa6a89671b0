//! How a value grows over a var: constant, linear or quadratic, by least squares.

use std::fmt;

/// Spread, relative to the mean, up to which values count as the same: bytes repeat within 1 %.
const CONSTANT: f64 = 0.03;

/// Least coefficient of determination of a fit that is believed.
const GOOD: f64 = 0.98;

/// Share of the whole rise that a quadratic term must have: below it a curve is a line with noise.
const BEND: f64 = 0.2;

/// A class of growth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The same whatever the var.
    Constant,
    /// In proportion, give or take an offset.
    Linear,
    /// With the square.
    Quadratic,
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
        })
    }
}

/// The class of growth of points (var, value). An error says why none can be told.
pub fn fit(points: &[(f64, f64)]) -> Result<Fit, String> {
    if points.len() < 3 || points.iter().any(|(x, y)| !x.is_finite() || !y.is_finite()) {
        return Err(format!("{} points are too few to tell how it grows", points.len()));
    }
    let values = points.iter().map(|(_, y)| *y);
    let (least, most) = values.clone().fold((f64::MAX, f64::MIN), |(least, most), y| (least.min(y), most.max(y)));
    let mean = values.sum::<f64>() / points.len() as f64;
    let spread = if mean == 0.0 { most - least } else { (most - least) / mean.abs() };
    if spread <= CONSTANT {
        return Ok(Fit { class: Class::Constant, goodness: 1.0 - spread });
    }
    let line = goodness(points, &least_squares::<2>(points));
    // Three points fit every parabola.
    let parabola = (points.len() > 3).then(|| least_squares::<3>(points));
    let bend = parabola.as_ref().map_or(0.0, |[_, _, c]| {
        let furthest = points.iter().map(|(x, _)| x.abs()).fold(0.0, f64::max);
        (c * furthest * furthest / (most - least)).abs()
    });
    match parabola {
        Some(parabola) if bend >= BEND && goodness(points, &parabola) >= GOOD => {
            Ok(Fit { class: Class::Quadratic, goodness: goodness(points, &parabola) })
        }
        _ if line >= GOOD => Ok(Fit { class: Class::Linear, goodness: line }),
        _ => Err(format!("it grows neither linearly (R² {line:.3}) nor with the square, over {} points", points.len())),
    }
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

    #[rstest]
    #[case(points(|_| 7.0), Class::Constant)]
    #[case(points(|_| 0.0), Class::Constant)]
    #[case(points(|x| 7.0 + 0.001 * x), Class::Constant)]
    #[case(points(|x| x + 1.0), Class::Linear)]
    #[case(points(|x| 1000.0 - 40.0 * x), Class::Linear)]
    #[case(points(|x| x * x), Class::Quadratic)]
    #[case(points(|x| 500.0 + 3.0 * x + 2.0 * x * x), Class::Quadratic)]
    #[case(vec![(400.0, 3.7), (800.0, 14.4), (1600.0, 56.2), (200.0, 0.95)], Class::Quadratic)]
    #[case(vec![(1.0, 2.0), (2.0, 3.0), (4.0, 5.0)], Class::Linear)]
    fn growth_has_its_class(#[case] points: Vec<(f64, f64)>, #[case] expected: Class) {
        assert_eq!(fit(&points).map(|fit| fit.class), Ok(expected));
    }

    #[test]
    fn what_fits_nothing_and_what_is_too_little_has_no_class() {
        assert!(fit(&[(1.0, 5.0), (2.0, 1.0), (4.0, 9.0), (8.0, 2.0)]).is_err());
        assert!(fit(&[(1.0, 5.0), (2.0, 10.0)]).is_err());
    }

    proptest! {
        #[test]
        fn a_line_with_one_percent_of_noise_is_a_line(a in 0.0..1000.0_f64, b in 5.0..100.0_f64, noise in prop::array::uniform5(-0.01..0.01_f64)) {
            let points: Vec<_> = DOUBLING.iter().zip(noise).map(|(&x, noise)| (x, (a / 100.0 + b * x) * (1.0 + noise))).collect();
            prop_assert_eq!(fit(&points).map(|fit| fit.class), Ok(Class::Linear));
        }

        #[test]
        fn any_points_have_a_class_or_a_reason(points in prop::collection::vec((any::<f64>(), any::<f64>()), 0..8)) {
            let _ = fit(&points);
        }
    }
}

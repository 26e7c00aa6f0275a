//! Tables for people: columns as wide as what stands in them.

/// A line for each row; the last column is as it is.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let of = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let widths: Vec<usize> =
        (0..columns).map(|column| of(column).map(|cell| cell.chars().count()).max().unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// Seconds in whole days.
pub(crate) fn days(seconds: u64) -> String {
    match seconds / 86_400 {
        1 => "1 day".into(),
        days => format!("{days} days"),
    }
}

/// Seconds as people read them: the two greatest units.
pub(crate) fn seconds(count: u64) -> String {
    let (days, hours, minutes) = (count / 86_400, count / 3600 % 24, count / 60 % 60);
    match () {
        () if days > 0 => format!("{days}d {hours}h"),
        () if hours > 0 => format!("{hours}h {minutes}m"),
        () if minutes > 0 => format!("{minutes}m {}s", count % 60),
        () => format!("{count}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect();
        let rows = [row(&["host", "why"]), row(&["Verlaine", "", "x"]), row(&["é", "a"])];
        assert_eq!(table(&rows), "host      why\nVerlaine       x\né         a\n");
        assert_eq!(table(&[]), "");
    }

    #[test]
    fn times_have_two_units() {
        let shown = [0, 59, 60, 3599, 3600, 90_000].map(seconds);
        assert_eq!(shown, ["0s", "59s", "1m 0s", "59m 59s", "1h 0m", "1d 1h"]);
    }
}
